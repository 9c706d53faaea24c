/*
 * What has to be known before the first byte is written: the encoding of each leaf, that of what
 * is around it, and boundaries that occur nowhere. Only what is written as it is has to be looked
 * at: "=_" occurs neither in base64 nor in quoted-printable (RFC 2045 6.7), so files are read
 * once, while they are written.
 */
#include <stdio.h>
#include <string.h>

#include "build_int.h"
#include "utf8.h"

enum { LINE_MOST = 998, STEM = 26, MARK_MOST = 128 };

struct plan {
    struct ph_email *root;
    unsigned flags;
    char *room;
    struct ph_error *reterr;
    size_t parts, multiparts;
};

/* ---- encodings ---- */

struct look {
    size_t high, other; /* `other`: NUL and bare CR, which no text may hold */
    size_t line, total; /* `line`: bytes since the last line end, at most LINE_MOST */
    bool too_long, after_cr;
};

/* Counts in a block short enough for sums of one byte, so that the compiler uses vectors. */
static void count_block(struct look *k, const unsigned char *p, size_t n, size_t *cr)
{
    uint8_t high = 0, nul = 0, crs = 0;
    for (size_t i = 0; i < n; i++) {
        high = (uint8_t)(high + (p[i] >> 7));
        nul = (uint8_t)(nul + (p[i] == 0));
        crs = (uint8_t)(crs + (p[i] == '\r'));
    }
    k->high += high;
    k->other += nul;
    *cr += crs;
}

static void count_bare_cr(struct look *k, ph_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        k->other += k->after_cr && s.p[i] != '\n';
        k->after_cr = s.p[i] == '\r';
    }
}

/* Steps to the last line end that a line may have at the latest: what lies between is short enough.
 * A CR counts as part of its line. */
static void look_for_long_lines(struct look *k, ph_str s)
{
    while (s.n && !k->too_long) {
        size_t room = LINE_MOST + 1 - k->line;
        const char *end = memrchr(s.p, '\n', s.n < room ? s.n : room);
        if (end) {
            s = ph_str_skip(s, (size_t)(end - s.p) + 1);
            k->line = 0;
        } else if (s.n >= room) {
            k->too_long = true;
        } else {
            k->line += s.n;
            return;
        }
    }
}

static void look_at(struct look *k, ph_str s)
{
    size_t cr = 0;
    for (size_t i = 0; i < s.n; i += 240)
        count_block(k, (const unsigned char *)s.p + i, s.n - i < 240 ? s.n - i : 240, &cr);
    if (cr || k->after_cr)
        count_bare_cr(k, s);
    look_for_long_lines(k, s);
    k->total += s.n;
}

static enum ph_encoding text_encoding(const struct plan *p, const struct look *k)
{
    bool fits = !k->too_long && !k->other && !k->after_cr;
    if (fits && !k->high)
        return PH_ENC_7BIT;
    if (fits && (p->flags & PH_EMAIL_8BIT))
        return PH_ENC_8BIT;
    /* quoted-printable needs two bytes more for each such byte, base64 a third of all */
    return (k->high + k->other) * 6 > k->total && k->total > 60 ? PH_ENC_BASE64 : PH_ENC_QP;
}

static bool is_message_type(const struct ph_email *e)
{
    return ph_str_eq(e->type, PH_STR("message/rfc822")) ||
           ph_str_eq(e->type, PH_STR("message/global"));
}

static int plan_leaf(struct plan *p, struct ph_email *e)
{
    struct look k = {0};
    struct ph__reader r;
    e->encoding = PH_ENC_BASE64;
    if (!e->is_text && !is_message_type(e)) {
        if (e->wanted == PH_ENC_QP)
            return ph_fail(p->reterr, PH_EINVAL, 0, "quoted-printable is for text");
        return 0;
    }
    ph__reader_open(&r, e, p->reterr);
    for (ph_str s; (s = ph__reader_next(&r, p->room, p->reterr)).n;)
        look_at(&k, s);
    ph__reader_close(&r);
    e->encoding = !e->is_text                ? (k.high ? PH_ENC_8BIT : PH_ENC_7BIT)
                  : e->wanted != PH_ENC_7BIT ? e->wanted
                                             : text_encoding(p, &k);
    return r.err;
}

/* ---- boundaries ---- */

static bool is_as_it_is(const struct ph_email *e)
{
    return !e->child && (e->encoding == PH_ENC_7BIT || e->encoding == PH_ENC_8BIT);
}

/* All pieces but the last are much longer than a mark; one that is cut stands in the seam. */
static int occurs_in(struct plan *p, const struct ph_email *e, ph_str mark, bool *ret)
{
    struct ph__reader r;
    char seam[2 * MARK_MOST];
    size_t kept = 0;
    ph__reader_open(&r, e, p->reterr);
    for (ph_str s; !*ret && (s = ph__reader_next(&r, p->room, p->reterr)).n;) {
        size_t head = s.n < MARK_MOST ? s.n : MARK_MOST;
        memcpy(seam + kept, s.p, head);
        *ret = memmem(s.p, s.n, mark.p, mark.n) || memmem(seam, kept + head, mark.p, mark.n);
        kept = s.n < mark.n ? 0 : mark.n - 1;
        memcpy(seam, s.p + s.n - kept, kept);
    }
    ph__reader_close(&r);
    return r.err;
}

static int occurs(struct plan *p, ph_str mark, bool *ret)
{
    int rc = 0;
    *ret = false;
    for (struct ph_email *e = p->root; e && !*ret && rc == 0; e = ph_email_walk(p->root, e))
        if (is_as_it_is(e))
            rc = occurs_in(p, e, mark, ret);
    return rc;
}

/* A stem for all boundaries, with a number of fixed width behind it: none is the begin of
 * another. */
static int choose_stem(struct plan *p, char *stem)
{
    bool found = true;
    int rc = 0;
    while (found && rc == 0) {
        memcpy(stem, "=_", 2);
        ph__email_random(p->root, stem + 2);
        rc = occurs(p, (ph_str){stem, STEM}, &found);
    }
    return rc;
}

static int give_boundaries(struct plan *p)
{
    char stem[STEM];
    unsigned number = 0;
    bool found;
    int rc = choose_stem(p, stem);
    for (struct ph_email *e = p->root; e && rc == 0; e = ph_email_walk(p->root, e)) {
        if (!ph_email_is_multipart(e))
            continue;
        ph_str own = ph__pair_get(e->params, PH_STR("boundary"));
        snprintf(e->mark, sizeof e->mark, "%.*s%05u", STEM, stem, number++);
        e->boundary = own.n ? own : ph_str_c(e->mark);
        if (own.n && (rc = occurs(p, own, &found)) == 0 && found)
            rc = ph_fail(p->reterr, PH_EINVAL, 0, "the boundary \"%.*s\" occurs in the content",
                         PH_FMT(own));
    }
    return rc;
}

/* ---- all ---- */

static size_t depth_of(const struct ph_email *e)
{
    size_t n = 0;
    while ((e = e->parent))
        n++;
    return n;
}

/* What stands around 8bit is 8bit (RFC 2045 6.4). */
static void raise_around(struct plan *p, struct ph_email *e)
{
    for (; e != p->root && e->parent->encoding != PH_ENC_8BIT; e = e->parent)
        e->parent->encoding = PH_ENC_8BIT;
}

static bool has_wide_header(const struct ph_email *e)
{
    for (const struct ph__field *f = e->fields; f; f = f->next)
        if (!ph_ascii_only(f->value))
            return true;
    for (const struct ph__pair *p = e->params; p; p = p->next)
        if (!ph_ascii_only(p->value))
            return true;
    for (const struct ph__pair *p = e->disposition_params; p; p = p->next)
        if (!ph_ascii_only(p->value))
            return true;
    return false;
}

static int plan_entity(struct plan *p, struct ph_email *e)
{
    if (++p->parts > PH_EMAIL_PARTS || depth_of(e) > PH_EMAIL_DEPTH)
        return ph_fail(p->reterr, PH_ELIMIT, 0, "too many parts, or nested too deep");
    if (!(p->flags & PH_EMAIL_UTF8) && ph_email_needs_utf8(e))
        return ph_fail(p->reterr, PH_EINVAL, 0,
                       "an address has a local part outside ASCII: this needs SMTPUTF8");
    bool is_leaf = !e->child && !ph_email_is_multipart(e);
    p->multiparts += ph_email_is_multipart(e);
    e->encoding = PH_ENC_7BIT;
    int rc = is_leaf ? plan_leaf(p, e) : 0;
    e->has_wide_header = (p->flags & PH_EMAIL_UTF8) && has_wide_header(e);
    if (rc == 0 && (e->encoding == PH_ENC_8BIT || e->has_wide_header))
        raise_around(p, e);
    return rc;
}

int ph__email_plan(struct ph_email *root, unsigned flags, char *room, struct ph_error *reterr)
{
    struct plan p = {.root = root, .flags = flags, .room = room, .reterr = reterr};
    int rc = 0;
    for (struct ph_email *e = root; e && rc == 0; e = ph_email_walk(root, e))
        rc = plan_entity(&p, e);
    return rc == 0 && p.multiparts ? give_boundaries(&p) : rc;
}
