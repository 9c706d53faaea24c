/* Summaries, reading; summary.c says how they look. Any bytes are safe to read. */
#include <string.h>

#include "summary.h"
#include "summary_int.h"

/* Of the root of a summary: addresses, parameters. */
enum { THREAD_MEMORY = 16 * PH_SUMMARY_MAX };

struct reader {
    struct ph_arena *arena;
    const uint8_t *p, *end;
    int err; /* the first failure; then everything reads as 0 */
};

static void fail(struct reader *r, int code)
{
    if (!r->err)
        r->err = -code;
    r->p = r->end;
}

static unsigned get_byte(struct reader *r)
{
    if (r->p < r->end)
        return *r->p++;
    fail(r, PH_ECORRUPT);
    return 0;
}

static uint64_t get_number(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned b = get_byte(r);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    fail(r, PH_ECORRUPT);
    return 0;
}

static ph_str get_str(struct reader *r)
{
    uint64_t n = get_number(r);
    if (n == 0)
        return (ph_str){0};
    if (n - 1 > (uint64_t)(r->end - r->p)) {
        fail(r, PH_ECORRUPT);
        return (ph_str){0};
    }
    ph_str s = {(const char *)r->p, (size_t)n - 1};
    r->p += s.n;
    return s;
}

static void *get_memory(struct reader *r, size_t n)
{
    void *p = r->err ? NULL : ph_arena_get(r->arena, n);
    if (!p)
        fail(r, PH_ENOMEM);
    return p;
}

static struct ph_param *get_params(struct reader *r)
{
    struct ph_param *first = NULL, **last = &first;
    while (get_byte(r)) {
        struct ph_param *p = get_memory(r, sizeof *p);
        if (!p)
            break;
        p->name = get_str(r);
        p->value = get_str(r);
        *last = p;
        last = &p->next;
    }
    return first;
}

static struct ph_address *get_addresses(struct reader *r)
{
    struct ph_address *first = NULL, **last = &first;
    for (unsigned kind; (kind = get_byte(r));) {
        struct ph_address *a = get_memory(r, sizeof *a);
        if (kind > 1 + PH_ADDRESS_GROUP_END)
            fail(r, PH_ECORRUPT);
        if (!a)
            break;
        a->kind = (enum ph_address_kind)(kind - 1);
        if (a->kind != PH_ADDRESS_GROUP_END)
            a->name = get_str(r);
        if (a->kind == PH_ADDRESS_MAILBOX) {
            a->route = get_str(r);
            a->local = get_str(r);
            a->host = get_str(r);
        }
        *last = a;
        last = &a->next;
    }
    return first;
}

static struct ph_envelope *get_envelope(struct reader *r)
{
    struct ph_envelope *e = get_memory(r, sizeof *e);
    if (!e)
        return NULL;
    unsigned flags = get_byte(r);
    e->date = get_str(r);
    e->subject = get_str(r);
    e->from = get_addresses(r);
    e->sender = flags & PH__SENDER_IS_FROM ? e->from : get_addresses(r);
    e->reply_to = flags & PH__REPLY_IS_FROM ? e->from : get_addresses(r);
    e->to = get_addresses(r);
    e->cc = get_addresses(r);
    e->bcc = get_addresses(r);
    e->in_reply_to = get_str(r);
    e->message_id = get_str(r);
    e->references = get_str(r);
    e->has_sent = flags & PH__HAS_SENT;
    if (e->has_sent) {
        e->sent.time = (int64_t)(get_number(r) & INT64_MAX) - PH__TIME_BIAS;
        e->sent.zone = (int16_t)((int64_t)(get_number(r) & 0xfff) - PH__ZONE_BIAS);
        e->sent.flags = (uint8_t)get_byte(r);
    }
    return e;
}

static void get_strings(struct reader *r, struct ph_part *p)
{
    p->type = get_str(r);
    p->subtype = get_str(r);
    p->params = get_params(r);
    p->encoding_name = get_str(r);
    p->id = get_str(r);
    p->description = get_str(r);
    p->md5 = get_str(r);
    p->location = get_str(r);
    p->language = get_str(r);
    p->disposition = get_str(r);
    p->disposition_params = get_params(r);
}

/* The tree must be one that a parse can give. */
static bool is_sound(const struct ph_part *p, uint64_t children, uint64_t size)
{
    bool top = !p->parent || p->parent->kind == PH_PART_MESSAGE;
    bool counted = p->kind == PH_PART_LEAF        ? children == 0
                   : p->kind == PH_PART_MULTIPART ? children > 0
                                                  : children == 1;
    return counted && p->kind <= PH_PART_MESSAGE && p->encoding <= PH_ENC_OTHER &&
           top == (p->envelope != NULL) && p->depth <= PH_MIME_DEPTH_MOST && p->type.n &&
           p->subtype.n && p->encoding_name.n && p->header.at <= size &&
           p->header.n <= size - p->header.at && p->body.n <= size - p->body.at && p->lines <= size;
}

static struct ph_part *get_part(struct reader *r, struct ph_part *parent, uint64_t size,
                                uint64_t *ret_children)
{
    struct ph_part *p = get_memory(r, sizeof *p);
    if (!p)
        return NULL;
    *ret_children = get_number(r);
    unsigned flags = get_byte(r);
    p->parent = parent;
    p->depth = parent ? parent->depth + 1 : 0;
    p->kind = (enum ph_part_kind)(flags & 3);
    p->encoding = (enum ph_encoding)(flags >> 2 & 7);
    p->header.at = get_number(r);
    p->header.n = get_number(r);
    p->body.n = get_number(r);
    p->lines = get_number(r);
    p->body.at = p->header.at + p->header.n;
    get_strings(r, p);
    if (flags & PH__HAS_ENVELOPE)
        p->envelope = get_envelope(r);
    if (!r->err && !is_sound(p, *ret_children, size))
        fail(r, PH_ECORRUPT);
    return r->err ? NULL : p;
}

/* How many children a part still waits for, and where the next one goes. */
struct waiting {
    uint64_t left;
    struct ph_part **last;
    uint32_t index;
};

static struct ph_part *get_tree(struct reader *r, uint64_t size)
{
    struct ph_part *root = NULL, *parent = NULL;
    struct waiting w[PH_MIME_DEPTH_MOST + 2];
    w[0] = (struct waiting){.left = 1, .last = &root};
    for (size_t depth = 0; !r->err;) {
        if (w[depth].left == 0) {
            if (depth-- == 0)
                break;
            parent = parent->parent;
            continue;
        }
        uint64_t children;
        struct ph_part *p = get_part(r, parent, size, &children);
        if (!p)
            break;
        w[depth].left--;
        p->index = ++w[depth].index;
        *w[depth].last = p;
        w[depth].last = &p->next;
        w[++depth] = (struct waiting){.left = children, .last = &p->child};
        parent = p;
    }
    return root;
}

static ph_str text_of(ph_str s)
{
    return s.p ? s : PH_STR("");
}

static void begin(struct reader *r, struct ph_arena *arena, ph_str encoded)
{
    *r = (struct reader){.arena = arena,
                         .p = (const uint8_t *)encoded.p,
                         .end = (const uint8_t *)encoded.p + encoded.n};
}

/* What is in front of the tree. */
static void get_head(struct reader *r, struct ph_summary *s)
{
    if (get_byte(r) != PH__SUMMARY_VERSION)
        fail(r, PH_ECORRUPT);
    unsigned flags = get_byte(r);
    s->partial = flags & PH__PARTIAL;
    s->has_attachments = flags & PH__ATTACHED;
    s->size = get_number(r);
    s->preview = text_of(get_str(r));
}

int ph_summary_read(struct ph_arena *arena, ph_str encoded, struct ph_summary **ret)
{
    struct reader r;
    begin(&r, arena, encoded);
    struct ph_summary *s = get_memory(&r, sizeof *s);
    if (!s)
        return r.err;
    get_head(&r, s);
    s->root = get_tree(&r, s->size);
    if (!r.err && r.p != r.end)
        fail(&r, PH_ECORRUPT);
    if (r.err)
        return r.err;
    const struct ph_envelope *e = s->root->envelope;
    ph_str id = {0}, rest = e->in_reply_to;
    s->in_reply_to = text_of(ph_id_next(&rest, &id) ? id : (ph_str){0});
    id = (ph_str){0};
    rest = e->message_id;
    s->message_id = text_of(ph_id_next(&rest, &id) ? id : (ph_str){0});
    s->references = text_of(e->references);
    s->date = e->sent;
    s->has_date = e->has_sent;
    *ret = s;
    return 0;
}

/* ---- threads ---- */

static bool has_id(const ph_str *ids, size_t n, ph_str id)
{
    for (size_t i = 0; i < n; i++)
        if (ph_str_eq(ids[i], id))
            return true;
    return false;
}

/* In-Reply-To, then References backwards; the last place is for their first one, the root. */
static size_t parents(ph_str answers, ph_str references, ph_str *ids, size_t n)
{
    ph_str last[PH_THREAD_IDS], root = {0}, id;
    size_t seen = 0;
    if (ph_id_next(&answers, &id) && !has_id(ids, n, id))
        ids[n++] = id;
    for (; ph_id_next(&references, &id); last[seen++ % PH_THREAD_IDS] = id)
        root = seen ? root : id;
    for (size_t i = seen; i > 0 && seen - i < PH_THREAD_IDS && n < PH_THREAD_IDS - 1; i--)
        if (!has_id(ids, n, last[(i - 1) % PH_THREAD_IDS]))
            ids[n++] = last[(i - 1) % PH_THREAD_IDS];
    if (seen && !has_id(ids, n, root))
        ids[n++] = root;
    return n;
}

size_t ph_summary_thread(ph_str encoded, ph_str ids[PH_THREAD_IDS])
{
    struct reader r;
    uint64_t children;
    ph_str none = {0};
    struct ph_summary s;
    struct ph_arena *arena = ph_arena_new(NULL, THREAD_MEMORY);
    struct ph_part *root = NULL;
    ids[0] = PH_STR("");
    begin(&r, arena, encoded);
    if (arena) {
        get_head(&r, &s);
        root = get_part(&r, NULL, s.size, &children);
    }
    const struct ph_envelope *e = root ? root->envelope : NULL;
    ph_str own = e ? e->message_id : none, id;
    if (ph_id_next(&own, &id))
        ids[0] = id;
    size_t n = e ? parents(e->in_reply_to, e->references, ids, 1) : 1;
    ph_arena_free(arena); /* the strings are the encoded ones */
    return n;
}
