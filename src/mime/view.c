/* Bodies as a reader needs them: the text, the attachments. */
#include "view.h"

#include <string.h>

#include "html_strip.h"
#include "mime_int.h"
#include "utf8.h"

static bool is_attached(const struct ph_part *p)
{
    return ph_str_ieq(p->disposition, PH_STR("attachment"));
}

static bool is_text_leaf(const struct ph_part *p)
{
    return p->kind == PH_PART_LEAF && !is_attached(p) &&
           (ph_part_is(p, "text", "plain") || ph_part_is(p, "text", "html") ||
            ph_part_is(p, "multipart", NULL));
}

/* Recursion is bounded by the nesting limit of the parse. */
const struct ph_part *ph__text_part(const struct ph_part *p)
{
    const struct ph_part *best = NULL;
    if (p->kind == PH_PART_LEAF)
        return is_text_leaf(p) ? p : NULL;
    if (p->kind == PH_PART_MESSAGE)
        return p->parent ? NULL : ph__text_part(p->child);
    bool alternative = ph_part_is(p, "multipart", "alternative");
    for (const struct ph_part *c = p->child; c; c = c->next) {
        const struct ph_part *found = ph__text_part(c);
        if (found && (!alternative || ph_part_is(found, "text", "plain")))
            return found;
        if (!best)
            best = found;
    }
    return best;
}

const struct ph_part *ph_message_text_part(const struct ph_message *m)
{
    return ph__text_part(m->root);
}

const struct ph_part *ph__next_outside(const struct ph_part *p)
{
    if (p->kind == PH_PART_MULTIPART)
        return p->child;
    while (p && !p->next)
        p = p->parent;
    return p ? p->next : NULL;
}

bool ph__is_attachment(const struct ph_part *p, const struct ph_part *text)
{
    if (p == text || p->kind == PH_PART_MULTIPART)
        return false;
    if (is_attached(p) || p->kind == PH_PART_MESSAGE)
        return true;
    bool other_view = p->parent && ph_part_is(p->parent, "multipart", "alternative") &&
                      ph_part_is(p, "text", NULL);
    return !other_view;
}

ph_str ph__charset_of(const struct ph_part *p)
{
    return ph__param_raw(p->params, PH_STR("charset"));
}

/* ---- decoding ---- */

int ph_part_decode(const struct ph_message *m, const struct ph_part *p, struct ph_buf *out)
{
    struct ph_decoder d;
    ph_decoder_init(&d, p->encoding);
    ph_decoder_feed(&d, ph_part_body(m, p), out);
    ph_decoder_end(&d, out);
    return ph_buf_err(out);
}

/* CRLF and CR become LF, NUL a space, in place, from `at` on. */
static void plain_line_ends(struct ph_buf *b, size_t at)
{
    char *to = b->p + at;
    for (size_t i = at; i < b->n; i++) {
        char c = b->p[i];
        if (c == '\r' && i + 1 < b->n && b->p[i + 1] == '\n')
            continue;
        *to++ = c == '\r' ? '\n' : c == 0 ? ' ' : c;
    }
    b->n = (size_t)(to - b->p);
}

int ph_part_text(const struct ph_message *m, const struct ph_part *p, struct ph_buf *out)
{
    struct ph_buf raw;
    size_t at = out->n;
    ph_buf_init(&raw, out->al, SIZE_MAX / 2);
    int rc = ph_part_decode(m, p, &raw);
    if (rc == 0)
        rc = ph_charset_decode(ph__charset_of(p), ph_buf_str(&raw), out);
    ph_buf_done(&raw);
    if (rc < 0)
        return rc;
    if (out->n > at)
        plain_line_ends(out, at);
    return 0;
}

int ph_message_text(const struct ph_message *m, struct ph_buf *out)
{
    const struct ph_part *p = ph_message_text_part(m);
    if (!p)
        return 0;
    if (!ph_part_is(p, "text", "html"))
        return ph_part_text(m, p, out);
    struct ph_buf html;
    ph_buf_init(&html, out->al, SIZE_MAX / 2);
    int rc = ph_part_text(m, p, &html);
    if (rc == 0)
        rc = ph_html_text(ph_buf_str(&html), out);
    ph_buf_done(&html);
    return rc;
}

/* ---- attachments ---- */

enum { NAME_MOST = 200, STEM_MOST = 180 };

/* Controls, path and shell separators, and what turns the direction of writing. */
static bool is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c < 0x80 && strchr("/\\:*?\"<>|", (int)c)) ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0xfffd;
}

/* The last component of what claims to be a file name, made harmless. */
static void add_safe(struct ph_buf *out, ph_str name)
{
    size_t slash = ph_str_rchr(name, '/'), back = ph_str_rchr(name, '\\');
    if (slash != PH_NPOS)
        name = ph_str_skip(name, slash + 1);
    else if (back != PH_NPOS)
        name = ph_str_skip(name, back + 1);
    name = ph_str_trim(name);
    while (name.n && name.p[0] == '.')
        name = ph_str_skip(name, 1);
    for (size_t len; name.n && out->n < STEM_MOST; name = ph_str_skip(name, len)) {
        len = ph_utf8_step(name);
        if (len == 0 || is_unsafe(ph_utf8_point(name.p, len))) {
            len = len ? len : 1;
            ph_buf_addc(out, '_');
        } else {
            ph_buf_add(out, (ph_str){name.p, len});
        }
    }
    while (out->n && (out->p[out->n - 1] == ' ' || out->p[out->n - 1] == '.'))
        out->n--;
}

/* A name for what has none, by its type. */
static void add_default(struct ph_buf *out, const struct ph_part *p)
{
    static const char *const rows[][3] = {
        {"text", "plain", ".txt"}, {"text", "html", ".html"},    {"image", "jpeg", ".jpg"},
        {"image", "png", ".png"},  {"image", "gif", ".gif"},     {"application", "pdf", ".pdf"},
        {"message", NULL, ".eml"}, {"text", "calendar", ".ics"},
    };
    ph_buf_add(out, p->kind == PH_PART_MESSAGE ? PH_STR("message") : PH_STR("part"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (ph_part_is(p, rows[i][0], rows[i][1])) {
            ph_buf_add(out, ph_str_c(rows[i][2]));
            return;
        }
    ph_buf_add(out, PH_STR(".bin"));
}

static uint64_t hash_of(ph_str s)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i])) * 1099511628211u;
    return h ? h : 1;
}

/* The names given out, as hashes in an open table of a power of two. Two names of one hash only
 * cost one of them a number it did not need. */
struct names {
    uint64_t *slots;
    size_t mask;
};

static bool is_new(struct names *t, ph_str name)
{
    uint64_t h = hash_of(name);
    for (size_t i = h & t->mask;; i = (i + 1) & t->mask) {
        if (t->slots[i] == h)
            return false;
        if (t->slots[i] == 0) {
            t->slots[i] = h;
            return true;
        }
    }
}

/* "name.txt", then with the position among the attachments: "name-7.txt". */
static int unique(struct ph_arena *arena, struct names *t, ph_str name, size_t position,
                  ph_str *ret)
{
    size_t dot = ph_str_rchr(name, '.');
    if (dot == PH_NPOS || dot == 0 || name.n - dot > 10)
        dot = name.n;
    ph_str made = ph_arena_copy(arena, name);
    for (size_t n = position; made.p && !is_new(t, made); n += 100003)
        made = ph_arena_printf(arena, "%.*s-%zu%.*s", (int)dot, name.p, n,
                               PH_FMT(ph_str_skip(name, dot)));
    *ret = made;
    return made.p ? 0 : -PH_ENOMEM;
}

static int name_one(struct ph_arena *arena, struct names *t, struct ph_attachment *a, size_t nth)
{
    ph_str given;
    struct ph_buf safe;
    ph_buf_init(&safe, NULL, NAME_MOST);
    int rc = ph_param_get(arena, a->part->disposition_params, PH_STR("filename"), &given);
    if (rc == 0 && given.n == 0)
        rc = ph_param_get(arena, a->part->params, PH_STR("name"), &given);
    if (rc == 0) {
        add_safe(&safe, given);
        if (safe.n == 0)
            add_default(&safe, a->part);
        rc = ph_buf_err(&safe);
    }
    if (rc == 0)
        rc = unique(arena, t, ph_buf_str(&safe), nth, &a->name);
    ph_buf_done(&safe);
    return rc;
}

static bool is_inline(const struct ph_part *p)
{
    bool related = p->parent && ph_part_is(p->parent, "multipart", "related");
    return ph_str_ieq(p->disposition, PH_STR("inline")) || (related && !is_attached(p));
}

int ph_message_attachments(struct ph_arena *arena, const struct ph_message *m,
                           struct ph_attachment **ret_list)
{
    struct ph_attachment *first = NULL, **last = &first;
    const struct ph_part *text = ph_message_text_part(m);
    size_t count = 0, slots = 16;
    while (slots < m->part_count * 2)
        slots *= 2;
    struct names t = {ph_arena_array(arena, slots, sizeof *t.slots), slots - 1};
    if (!t.slots)
        return -PH_ENOMEM;
    for (const struct ph_part *p = m->root; p; p = ph__next_outside(p)) {
        if (!ph__is_attachment(p, text))
            continue;
        struct ph_attachment *a = PH_ARENA_NEW(arena, struct ph_attachment);
        if (!a)
            return -PH_ENOMEM;
        *a = (struct ph_attachment){.part = p, .is_inline = is_inline(p)};
        if (name_one(arena, &t, a, ++count))
            return -PH_ENOMEM;
        *last = a;
        last = &a->next;
    }
    *ret_list = first;
    return count > INT32_MAX ? INT32_MAX : (int)count;
}
