/*
 * Summaries, writing. The form is our own: a version byte, then fields in a fixed order; numbers
 * are little-endian base-128, strings are preceded by their length + 1 (0: not there), lists end
 * with a 0 byte, parts follow in document order, each preceded by its number of children.
 * summary_read.c is the other half.
 */
#include "summary.h"

#include <stdlib.h>
#include <string.h>

#include "mime_int.h"
#include "summary_int.h"
#include "view.h"

enum {
    PARTS_MOST = 8000, /* more do not fit into PH_SUMMARY_MAX anyway */
    ARENA_MOST = 256 * 1024 * 1024,
    FULL_ARENA_MOST = 1024 * 1024 * 1024,
    LIST_MOST = 16 * 1024, /* bytes of an address list in a partial summary, about */
    TEXT_MOST = 1000,      /* bytes of a string in one */
    PREVIEW_BYTES = PH_SUMMARY_PREVIEW * 4,
    SCRATCH = 24 * 1024
};

struct writer {
    struct ph_buf *out;
    bool cut; /* writing a partial summary */
};

static void put_number(struct writer *w, uint64_t v)
{
    char b[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        b[n++] = (char)(0x80 | (v & 0x7f));
    b[n++] = (char)v;
    ph_buf_add(w->out, (ph_str){b, n});
}

static void put_str(struct writer *w, ph_str s)
{
    if (w->cut && s.n > TEXT_MOST)
        s.n = TEXT_MOST;
    put_number(w, s.p ? s.n + 1 : 0);
    if (s.p)
        ph_buf_add(w->out, s);
}

static void put_params(struct writer *w, const struct ph_param *p)
{
    for (; p; p = p->next) {
        ph_buf_addc(w->out, 1);
        put_str(w, p->name);
        put_str(w, p->value.p ? p->value : PH_STR(""));
    }
    ph_buf_addc(w->out, 0);
}

static void put_addresses(struct writer *w, const struct ph_address *a)
{
    size_t start = w->out->n;
    for (; a && (!w->cut || w->out->n - start < LIST_MOST); a = a->next) {
        ph_buf_addc(w->out, (char)(1 + a->kind));
        if (a->kind == PH_ADDRESS_GROUP_END)
            continue;
        put_str(w, a->name);
        if (a->kind == PH_ADDRESS_GROUP)
            continue;
        put_str(w, a->route);
        put_str(w, a->local);
        put_str(w, a->host);
    }
    ph_buf_addc(w->out, 0);
}

static void put_envelope(struct writer *w, const struct ph_envelope *e)
{
    unsigned flags = (e->sender == e->from ? PH__SENDER_IS_FROM : 0) |
                     (e->reply_to == e->from ? PH__REPLY_IS_FROM : 0) |
                     (e->has_sent ? PH__HAS_SENT : 0);
    ph_buf_addc(w->out, (char)flags);
    put_str(w, e->date);
    put_str(w, e->subject);
    put_addresses(w, e->from);
    if (e->sender != e->from)
        put_addresses(w, e->sender);
    if (e->reply_to != e->from)
        put_addresses(w, e->reply_to);
    put_addresses(w, e->to);
    put_addresses(w, e->cc);
    put_addresses(w, e->bcc);
    put_str(w, e->in_reply_to);
    put_str(w, e->message_id);
    put_str(w, e->references);
    if (e->has_sent) {
        put_number(w, (uint64_t)(e->sent.time + PH__TIME_BIAS));
        put_number(w, (uint64_t)(e->sent.zone + PH__ZONE_BIAS));
        ph_buf_addc(w->out, (char)e->sent.flags);
    }
}

/* What BODYSTRUCTURE could not say becomes something it can (see summary.h). */
static void put_type(struct writer *w, const struct ph_part *p)
{
    bool leaf = p->kind == PH_PART_LEAF;
    bool hollow = leaf && ph_part_is(p, "multipart", NULL);
    bool closed =
        leaf && (ph_part_is(p, "message", "rfc822") || ph_part_is(p, "message", "global"));
    put_str(w, hollow ? PH_STR("text") : closed ? PH_STR("application") : p->type);
    put_str(w, hollow ? PH_STR("plain") : closed ? PH_STR("octet-stream") : p->subtype);
    put_params(w, hollow || closed ? NULL : p->params);
}

static void put_part(struct writer *w, const struct ph_part *p)
{
    uint64_t children = 0;
    for (const struct ph_part *c = p->child; c; c = c->next)
        children++;
    put_number(w, children);
    ph_buf_addc(w->out, (char)(p->kind | p->encoding << 2 | (p->envelope ? PH__HAS_ENVELOPE : 0)));
    put_number(w, p->header.at);
    put_number(w, p->header.n);
    put_number(w, p->body.n);
    put_number(w, p->lines);
    put_type(w, p);
    put_str(w, p->encoding_name);
    put_str(w, p->id);
    put_str(w, p->description);
    put_str(w, p->md5);
    put_str(w, p->location);
    put_str(w, p->language);
    put_str(w, p->disposition);
    put_params(w, p->disposition_params);
    if (p->envelope)
        put_envelope(w, p->envelope);
}

/* ---- the whole ---- */

static int fill_envelopes(struct ph_arena *arena, struct ph_message *m)
{
    for (struct ph_part *p = m->root; p; p = ph_part_next(p)) {
        struct ph_envelope *e;
        if (!p->parent || p->parent->kind == PH_PART_MESSAGE)
            if (ph_mime_envelope(arena, p, &e))
                return -PH_ENOMEM;
    }
    return 0;
}

static bool has_attachments(const struct ph_message *m)
{
    for (const struct ph_part *p = m->root; p; p = ph__next_outside(p))
        if (ph__is_attachment(p))
            return true;
    return false;
}

static void write_all(struct writer *w, const struct ph_message *m, ph_str preview, bool attached)
{
    ph_buf_addc(w->out, PH__SUMMARY_VERSION);
    ph_buf_addc(w->out, (char)((w->cut ? PH__PARTIAL : 0) | (attached ? PH__ATTACHED : 0)));
    put_number(w, m->bytes.n);
    put_str(w, preview.p ? preview : PH_STR(""));
    if (w->cut) {
        struct ph_part whole = *m->root;
        whole.child = NULL;
        whole.kind = PH_PART_LEAF;
        whole.encoding = PH_ENC_7BIT;
        whole.encoding_name = PH_STR("7bit");
        whole.type = PH_STR("text");
        whole.subtype = PH_STR("plain");
        whole.params = whole.disposition_params = NULL;
        put_part(w, &whole);
        return;
    }
    for (const struct ph_part *p = m->root; p && !ph_buf_err(w->out); p = ph_part_next(p))
        put_part(w, p);
}

static int write_parsed(struct ph_arena *arena, struct ph_message *m, size_t most, bool cut,
                        struct ph_buf *out)
{
    struct ph_buf preview;
    ph_buf_init(&preview, NULL, PREVIEW_BYTES);
    if (fill_envelopes(arena, m))
        return -PH_ENOMEM;
    if (ph_message_preview(m, PH_SUMMARY_PREVIEW, &preview) == -PH_ENOMEM) {
        ph_buf_done(&preview);
        return -PH_ENOMEM;
    }
    bool attached = has_attachments(m);
    size_t start = out->n, max = out->max;
    if (max - start > most)
        out->max = start + most;
    struct writer w = {.out = out, .cut = cut};
    write_all(&w, m, ph_buf_str(&preview), attached);
    if (ph_buf_err(out) == -PH_ELIMIT && !cut && most < SIZE_MAX) {
        out->err = 0;
        out->n = start;
        w.cut = true;
        write_all(&w, m, ph_buf_str(&preview), attached);
    }
    out->max = max;
    ph_buf_done(&preview);
    return ph_buf_err(out);
}

/* An allocator that hands out one block on the stack before it asks the C library: a common
 * letter is parsed without malloc. */
struct scratch {
    size_t used;
    _Alignas(max_align_t) char mem[SCRATCH];
};

static bool is_scratch(const struct scratch *s, const void *p)
{
    return (uintptr_t)p >= (uintptr_t)s->mem && (uintptr_t)p < (uintptr_t)s->mem + sizeof s->mem;
}

static void *scratch_resize(void *ctx, void *p, size_t old, size_t now)
{
    struct scratch *s = ctx;
    if (!p && now <= sizeof s->mem - s->used) {
        char *from = s->mem + s->used;
        s->used += (now + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
        if (s->used > sizeof s->mem)
            s->used = sizeof s->mem;
        return from;
    }
    if (!is_scratch(s, p))
        return ph_resize(NULL, p, old, now);
    void *moved = now ? ph_resize(NULL, NULL, 0, now) : NULL;
    if (moved)
        memcpy(moved, p, old < now ? old : now);
    return moved;
}

static int summarize(ph_str message, size_t most, size_t memory, size_t parts, struct ph_buf *out)
{
    struct scratch s;
    s.used = 0;
    const struct ph_alloc al = {&s, scratch_resize};
    const struct ph_mime_limits limits = {.parts = parts};
    struct ph_arena *arena = ph_arena_new(&al, memory);
    struct ph_message *m;
    if (!arena)
        return -PH_ENOMEM;
    int rc = ph__mime_parse(arena, message, &limits, PH__NO_DEFECTS, &m);
    if (rc == 0)
        rc = write_parsed(arena, m, most, most < SIZE_MAX && m->part_count >= parts, out);
    ph_arena_free(arena);
    return rc;
}

int ph_summary_make(ph_str message, struct ph_buf *out)
{
    int rc = summarize(message, PH_SUMMARY_MAX, ARENA_MOST, PARTS_MOST, out);
    return rc == -PH_ELIMIT ? -PH_ENOMEM : rc;
}

int ph_summary_full(ph_str message, struct ph_buf *out)
{
    return summarize(message, SIZE_MAX, FULL_ARENA_MOST, PH_MIME_PARTS, out);
}

void ph_summary_trace(ph_str message, ph_str *ret_message_id, unsigned *ret_received)
{
    struct ph_field f;
    ph_str id = {0};
    unsigned received = 0;
    bool found = false;
    for (ph_str rest = ph_message_head(message); ph_field_next(&rest, &f);) {
        if (f.name.n == 8 && ph_str_ieq(f.name, PH_STR("Received"))) {
            received++;
        } else if (!found && f.name.n == 10 && ph_str_ieq(f.name, PH_STR("Message-ID"))) {
            ph_str value = f.value;
            found = true;
            if (!ph_id_next(&value, &id) || !ph__is_clean(id))
                id = (ph_str){0};
        }
    }
    *ret_message_id = id.p ? id : PH_STR("");
    *ret_received = received;
}
