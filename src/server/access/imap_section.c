/* From the tree of mime.h to what IMAP tells: ENVELOPE, BODYSTRUCTURE, and the bytes of
 * BODY[section]. */
#include "file.h"
#include "imap_session.h"
#include "summary.h"
#include <unistd.h>

int imap_body_take(struct ipc_msg *msg, struct imap_body *ret)
{
    const struct ipc_MSG_BODIED *m = &msg->MSG_BODIED;
    if (msg->fd < 0) {
        *ret = (struct imap_body){m->body, false};
        return m->body.n == m->size ? 0 : -PH_ECORRUPT;
    }
    int r = ph_memfile_map(msg->fd, m->size, &ret->bytes);
    ret->mapped = r == 0;
    return r;
}

void imap_body_done(struct imap_body *b)
{
    if (b->mapped)
        ph_unmap(b->bytes);
    *b = (struct imap_body){0};
}

/* ---- envelope ------------------------------------------------------------------------------- */

static bool addresses(struct ph_arena *a, const struct ph_address *list,
                      struct ph_imap_addresses *ret)
{
    size_t n = 0;
    for (const struct ph_address *p = list; p; p = p->next)
        n++;
    struct ph_imap_address *out = n ? ph_arena_array(a, n, sizeof *out) : NULL;
    if (n && !out)
        return false;
    for (size_t i = 0; i < n; i++, list = list->next) {
        /* A group is its name as mailbox without host; its end is all NIL (RFC 9051 7.5.2). */
        if (list->kind == PH_ADDRESS_GROUP)
            out[i] = (struct ph_imap_address){.mailbox = list->name.p ? list->name : PH_STR("")};
        else if (list->kind == PH_ADDRESS_MAILBOX)
            out[i] = (struct ph_imap_address){
                list->name.n ? list->name : (ph_str){0}, list->route.n ? list->route : (ph_str){0},
                list->local.p ? list->local : PH_STR(""), list->host.p ? list->host : PH_STR("")};
    }
    *ret = (struct ph_imap_addresses){out, n};
    return true;
}

const struct ph_imap_envelope *imap_envelope(struct ph_arena *a, const struct ph_envelope *e)
{
    struct ph_imap_envelope *out = PH_ARENA_NEW(a, struct ph_imap_envelope);
    if (!out || !e)
        return out;
    out->date = e->date;
    out->subject = e->subject;
    out->in_reply_to = e->in_reply_to;
    out->message_id = e->message_id;
    bool ok = addresses(a, e->from, &out->from) && addresses(a, e->sender, &out->sender) &&
              addresses(a, e->reply_to, &out->reply_to) && addresses(a, e->to, &out->to) &&
              addresses(a, e->cc, &out->cc) && addresses(a, e->bcc, &out->bcc);
    return ok ? out : NULL;
}

/* ---- body structure ------------------------------------------------------------------------- */

static bool params(struct ph_arena *a, const struct ph_param *list, struct ph_imap_params *ret)
{
    size_t n = 0;
    for (const struct ph_param *p = list; p; p = p->next)
        n++;
    struct ph_imap_param *out = n ? ph_arena_array(a, n, sizeof *out) : NULL;
    if (n && !out)
        return false;
    for (size_t i = 0; i < n; i++, list = list->next)
        out[i] = (struct ph_imap_param){list->name, list->value};
    *ret = (struct ph_imap_params){out, n};
    return true;
}

/* What has none is in US-ASCII (RFC 2046 4.1.2), and clients expect to be told so. */
static bool add_charset(struct ph_arena *a, struct ph_imap_params *params)
{
    struct ph_imap_param *out = ph_arena_array(a, params->n + 1, sizeof *out);
    if (!out)
        return false;
    for (size_t i = 0; i < params->n; i++) {
        out[i] = params->p[i];
        if (ph_str_ieq(out[i].name, PH_STR("charset")))
            return true;
    }
    out[params->n] = (struct ph_imap_param){PH_STR("charset"), PH_STR("us-ascii")};
    *params = (struct ph_imap_params){out, params->n + 1};
    return true;
}

static bool is_plain_text(const struct ph_part *p)
{
    return p->kind == PH_PART_LEAF && ph_str_ieq(p->type, PH_STR("text")) &&
           ph_str_ieq(p->subtype, PH_STR("plain"));
}

static struct ph_imap_body *one_node(struct ph_arena *a, const struct ph_part *p)
{
    struct ph_imap_body *b = PH_ARENA_NEW(a, struct ph_imap_body);
    if (!b || !params(a, p->params, &b->params) ||
        !params(a, p->disposition_params, &b->disposition_params) ||
        (is_plain_text(p) && !add_charset(a, &b->params)))
        return NULL;
    b->multipart = p->kind == PH_PART_MULTIPART;
    b->message = p->kind == PH_PART_MESSAGE;
    b->type = p->type;
    b->subtype = p->subtype;
    b->id = p->id;
    b->description = p->description;
    b->encoding = p->encoding_name;
    b->size = p->body.n;
    b->lines = p->lines > UINT32_MAX ? UINT32_MAX : (uint32_t)p->lines;
    b->md5 = p->md5;
    b->disposition = p->disposition;
    b->language = p->language;
    b->location = p->location;
    if (b->message && p->child) {
        b->envelope = imap_envelope(a, p->child->envelope);
        if (!b->envelope)
            return NULL;
    }
    return b;
}

/* Depth is bounded by the parser's limit; siblings are walked. */
static struct ph_imap_body *nodes(struct ph_arena *a, const struct ph_part *p)
{
    struct ph_imap_body *first = NULL, **tail = &first;
    for (; p; p = p->next) {
        struct ph_imap_body *b = one_node(a, p);
        if (!b || (p->child && !(b->child = nodes(a, p->child))))
            return NULL;
        *tail = b;
        tail = &b->next;
    }
    return first;
}

const struct ph_imap_body *imap_structure(struct ph_arena *a, const struct ph_part *root)
{
    struct ph_part alone = *root;
    alone.next = NULL;
    return nodes(a, &alone);
}

/* ---- sections ------------------------------------------------------------------------------- */

static ph_str range(ph_str bytes, struct ph_range r)
{
    return ph_str_sub(bytes, r.at > bytes.n ? bytes.n : (size_t)r.at,
                      r.n > bytes.n ? bytes.n : (size_t)r.n);
}

static bool named(const struct ph_imap_section *sec, ph_str name)
{
    for (size_t i = 0; i < sec->field_count; i++)
        if (ph_str_ieq(sec->fields[i], name))
            return true;
    return false;
}

/* The fields asked for (or all others), and the empty line (RFC 9051 6.4.5.1). */
static void header_fields(ph_str head, const struct ph_imap_section *sec, struct ph_buf *built)
{
    struct ph_field f;
    bool not = sec->kind == PH_IMAP_SEC_FIELDS_NOT;
    while (ph_field_next(&head, &f)) {
        if (named(sec, f.name) == not )
            continue;
        ph_buf_add(built, f.all);
        if (!ph_str_has_suffix(f.all, PH_STR("\n")))
            ph_buf_add(built, PH_STR("\r\n"));
    }
    ph_buf_add(built, PH_STR("\r\n"));
}

/* Which part's header and body a section speaks of; NULL: there is none. */
static const struct ph_part *part_of(const struct ph_part *root, const struct ph_imap_section *sec)
{
    const struct ph_part *p = sec->depth ? ph_part_section(root, sec->part, sec->depth) : root;
    bool inside = sec->depth && sec->kind != PH_IMAP_SEC_BODY && sec->kind != PH_IMAP_SEC_MIME;
    if (p && inside)
        p = p->kind == PH_PART_MESSAGE ? p->child : NULL;
    return p;
}

static ph_str partial(ph_str out, const struct ph_imap_section *sec)
{
    if (sec->partial)
        out = ph_str_sub(ph_str_skip(out, sec->from), 0, sec->count);
    return out.p ? out : PH_STR("");
}

int imap_section(const struct ph_part *root, ph_str bytes, const struct ph_imap_section *sec,
                 struct ph_buf *built, ph_str *ret)
{
    const struct ph_part *p = root ? part_of(root, sec) : NULL;
    bool all = sec->kind == PH_IMAP_SEC_BODY && sec->depth == 0; /* needs no tree */
    ph_str out;
    if (!p && !all) {
        *ret = (ph_str){0};
        return 0;
    }
    switch (sec->kind) {
    case PH_IMAP_SEC_BODY:
        out = sec->depth ? range(bytes, p->body) : bytes;
        break;
    case PH_IMAP_SEC_TEXT:
        out = range(bytes, p->body);
        break;
    case PH_IMAP_SEC_HEADER:
    case PH_IMAP_SEC_MIME:
        out = range(bytes, p->header);
        break;
    default:
        header_fields(range(bytes, p->header), sec, built);
        if (ph_buf_err(built))
            return -PH_ENOMEM;
        out = ph_buf_str(built);
        break;
    }
    *ret = partial(out, sec);
    return 0;
}

int imap_section_binary(const struct ph_part *root, ph_str bytes, const struct ph_imap_section *sec,
                        struct ph_buf *built, ph_str *ret)
{
    const struct ph_part *p = root ? part_of(root, sec) : NULL;
    if (!p || sec->depth == 0 || p->kind != PH_PART_LEAF)
        return imap_section(root, bytes, sec, built, ret);
    if (p->encoding == PH_ENC_OTHER)
        return -PH_ENOTIMPL;
    struct ph_message m = {.bytes = bytes, .root = (struct ph_part *)(uintptr_t)root};
    int r = ph_part_decode(&m, p, built);
    if (r < 0)
        return r;
    *ret = partial(ph_buf_str(built), sec);
    return 0;
}
