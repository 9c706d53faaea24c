/* The untagged responses of the server, FETCH above all (RFC 9051 7.5.2). */
#include "imap_int.h"

/* ---- envelope and body structure ---------------------------------------------------------------
 */

static void put_addresses(struct ph_buf *out, const struct ph_imap_addresses *l)
{
    if (l->n == 0) {
        ph_buf_add(out, PH_STR("NIL"));
        return;
    }
    ph_buf_addc(out, '(');
    for (size_t i = 0; i < l->n; i++) {
        const ph_str *parts[] = {&l->a[i].name, &l->a[i].route, &l->a[i].mailbox, &l->a[i].host};
        ph_buf_addc(out, '(');
        for (int k = 0; k < 4; k++) {
            if (k)
                ph_buf_addc(out, ' ');
            ph__imap_put_string(out, *parts[k], false);
        }
        ph_buf_addc(out, ')');
    }
    ph_buf_addc(out, ')');
}

void ph__imap_put_envelope(struct ph_buf *out, const struct ph_imap_envelope *e)
{
    /* Sender and Reply-To default to From (RFC 9051 7.5.2). */
    const struct ph_imap_addresses *lists[] = {&e->from,
                                               e->sender.n ? &e->sender : &e->from,
                                               e->reply_to.n ? &e->reply_to : &e->from,
                                               &e->to,
                                               &e->cc,
                                               &e->bcc};
    ph_buf_addc(out, '(');
    ph__imap_put_string(out, e->date, false);
    ph_buf_addc(out, ' ');
    ph__imap_put_string(out, e->subject, false);
    for (int i = 0; i < 6; i++) {
        ph_buf_addc(out, ' ');
        put_addresses(out, lists[i]);
    }
    ph_buf_addc(out, ' ');
    ph__imap_put_string(out, e->in_reply_to, false);
    ph_buf_addc(out, ' ');
    ph__imap_put_string(out, e->message_id, false);
    ph_buf_addc(out, ')');
}

static void put_params(struct ph_buf *out, const struct ph_imap_params *l)
{
    if (l->n == 0) {
        ph_buf_add(out, PH_STR("NIL"));
        return;
    }
    for (size_t i = 0; i < l->n; i++) {
        ph_buf_addc(out, i ? ' ' : '(');
        ph__imap_put_string(out, l->p[i].name.p ? l->p[i].name : PH_STR(""), false);
        ph_buf_addc(out, ' ');
        ph__imap_put_string(out, l->p[i].value.p ? l->p[i].value : PH_STR(""), false);
    }
    ph_buf_addc(out, ')');
}

/* disposition, language, location: the end of the extension data of both kinds. */
static void put_extension(struct ph_buf *out, const struct ph_imap_body *b)
{
    if (b->disposition.p) {
        ph_buf_add(out, PH_STR(" ("));
        ph__imap_put_string(out, b->disposition, false);
        ph_buf_addc(out, ' ');
        put_params(out, &b->disposition_params);
        ph_buf_addc(out, ')');
    } else {
        ph_buf_add(out, PH_STR(" NIL"));
    }
    ph_buf_addc(out, ' ');
    ph__imap_put_string(out, b->language, false);
    ph_buf_addc(out, ' ');
    ph__imap_put_string(out, b->location, false);
}

static void put_node(struct ph_buf *out, const struct ph_imap_body *b, bool extended,
                     unsigned depth);

static const ph_str empty_part = PH_STR_INIT("(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0)");

static void put_multipart(struct ph_buf *out, const struct ph_imap_body *b, bool extended,
                          unsigned depth)
{
    for (const struct ph_imap_body *part = b->child; part; part = part->next)
        put_node(out, part, extended, depth + 1);
    if (!b->child) /* the grammar has no multipart without parts */
        ph_buf_add(out, empty_part);
    ph_buf_addc(out, ' ');
    ph__imap_put_string(out, b->subtype.p ? b->subtype : PH_STR("MIXED"), false);
    if (extended) {
        ph_buf_addc(out, ' ');
        put_params(out, &b->params);
        put_extension(out, b);
    }
}

static void put_leaf(struct ph_buf *out, const struct ph_imap_body *b, bool extended,
                     unsigned depth)
{
    ph__imap_put_string(out, b->type.p ? b->type : PH_STR("TEXT"), false);
    ph_buf_addc(out, ' ');
    ph__imap_put_string(out, b->subtype.p ? b->subtype : PH_STR("PLAIN"), false);
    ph_buf_addc(out, ' ');
    put_params(out, &b->params);
    ph_buf_addc(out, ' ');
    ph__imap_put_string(out, b->id, false);
    ph_buf_addc(out, ' ');
    ph__imap_put_string(out, b->description, false);
    ph_buf_addc(out, ' ');
    ph__imap_put_string(out, b->encoding.p ? b->encoding : PH_STR("7BIT"), false);
    ph_buf_addc(out, ' ');
    ph_buf_addu(out, b->size);
    if (b->message) {
        static const struct ph_imap_envelope none;
        ph_buf_addc(out, ' ');
        ph__imap_put_envelope(out, b->envelope ? b->envelope : &none);
        ph_buf_addc(out, ' ');
        if (b->child)
            put_node(out, b->child, extended, depth + 1);
        else
            ph_buf_add(out, empty_part);
    }
    if (b->message || !b->type.p || ph_str_ieq(b->type, PH_STR("TEXT"))) {
        ph_buf_addc(out, ' ');
        ph_buf_addu(out, b->lines);
    }
    if (extended) {
        ph_buf_addc(out, ' ');
        ph__imap_put_string(out, b->md5, false);
        put_extension(out, b);
    }
}

static void put_node(struct ph_buf *out, const struct ph_imap_body *b, bool extended,
                     unsigned depth)
{
    if (depth > IMAP_NEST_MAX) {
        ph_buf_add(out, empty_part);
        return;
    }
    ph_buf_addc(out, '(');
    if (b->multipart)
        put_multipart(out, b, extended, depth);
    else
        put_leaf(out, b, extended, depth);
    ph_buf_addc(out, ')');
}

void ph__imap_put_body(struct ph_buf *out, const struct ph_imap_body *b, bool extended)
{
    put_node(out, b, extended, 0);
}

/* ---- FETCH
 * ---------------------------------------------------------------------------------------- */

void ph_imap_server_fetch_begin(struct ph_imap_server *s, uint32_t seq)
{
    ph_buf_addf(ph__imap_server_out(s), "* %u FETCH (", (unsigned)seq);
    *ph__imap_server_first(s) = true;
}

static struct ph_buf *attribute(struct ph_imap_server *s, ph_str name)
{
    struct ph_buf *out = ph__imap_server_out(s);
    bool *first = ph__imap_server_first(s);
    if (!*first)
        ph_buf_addc(out, ' ');
    *first = false;
    ph_buf_add(out, name);
    return out;
}

void ph_imap_server_fetch_uid(struct ph_imap_server *s, uint32_t uid)
{
    ph_buf_addu(attribute(s, PH_STR("UID ")), uid);
}

void ph_imap_server_fetch_flags(struct ph_imap_server *s, const struct ph_imap_flags *flags)
{
    ph__imap_put_flags(attribute(s, PH_STR("FLAGS ")), flags);
}

void ph_imap_server_fetch_date(struct ph_imap_server *s, int64_t date)
{
    ph__imap_date_time_write(attribute(s, PH_STR("INTERNALDATE ")), date, 0);
}

void ph_imap_server_fetch_size(struct ph_imap_server *s, uint64_t size)
{
    ph_buf_addu(attribute(s, PH_STR("RFC822.SIZE ")), size);
}

void ph_imap_server_fetch_envelope(struct ph_imap_server *s, const struct ph_imap_envelope *e)
{
    ph__imap_put_envelope(attribute(s, PH_STR("ENVELOPE ")), e);
}

void ph_imap_server_fetch_body(struct ph_imap_server *s, const struct ph_imap_body *b,
                               bool extended)
{
    ph__imap_put_body(attribute(s, extended ? PH_STR("BODYSTRUCTURE ") : PH_STR("BODY ")), b,
                      extended);
}

void ph_imap_server_fetch_nil(struct ph_imap_server *s, const struct ph_imap_section *sec)
{
    struct ph_buf *out = attribute(s, PH_STR(""));
    ph__imap_put_section(out, sec);
    ph_buf_add(out, PH_STR(" NIL"));
}

void ph_imap_server_fetch_end(struct ph_imap_server *s)
{
    ph_buf_add(ph__imap_server_out(s), PH_STR(")\r\n"));
}

/* ---- the rest
 * --------------------------------------------------------------------------------------- */

void ph_imap_server_exists(struct ph_imap_server *s, uint32_t n)
{
    ph_buf_addf(ph__imap_server_out(s), "* %u EXISTS\r\n", (unsigned)n);
}

void ph_imap_server_recent(struct ph_imap_server *s, uint32_t n)
{
    ph_buf_addf(ph__imap_server_out(s), "* %u RECENT\r\n", (unsigned)n);
}

void ph_imap_server_expunge(struct ph_imap_server *s, uint32_t seq)
{
    ph_buf_addf(ph__imap_server_out(s), "* %u EXPUNGE\r\n", (unsigned)seq);
}

void ph_imap_server_flags(struct ph_imap_server *s, const struct ph_imap_flags *flags)
{
    struct ph_buf *out = ph__imap_server_out(s);
    ph_buf_add(out, PH_STR("* FLAGS "));
    ph__imap_put_flags(out, flags);
    ph_buf_add(out, PH_STR("\r\n"));
}

void ph_imap_server_list(struct ph_imap_server *s, const struct ph_imap_list *l)
{
    struct ph_buf *out = ph__imap_server_out(s);
    bool first = true;
    ph_buf_add(out, l->lsub ? PH_STR("* LSUB (") : PH_STR("* LIST ("));
    for (unsigned bit = 1; bit <= PH_IMAP_MB_TRASH; bit <<= 1) {
        if (!(l->bits & bit))
            continue;
        if (!first)
            ph_buf_addc(out, ' ');
        ph_buf_add(out, ph_imap_mailbox_bit_name(bit));
        first = false;
    }
    if (l->separator)
        ph_buf_addf(out, ") \"%s%c\" ", l->separator == '\\' ? "\\" : "", l->separator);
    else
        ph_buf_add(out, PH_STR(") NIL "));
    ph__imap_put_mailbox(out, l->name, ph__imap_server_utf8(s));
    ph_buf_add(out, PH_STR("\r\n"));
}

void ph_imap_server_status(struct ph_imap_server *s, const struct ph_imap_status *st)
{
    struct ph_buf *out = ph__imap_server_out(s);
    bool first = true;
    ph_buf_add(out, PH_STR("* STATUS "));
    ph__imap_put_mailbox(out, st->name, ph__imap_server_utf8(s));
    ph_buf_add(out, PH_STR(" ("));
    for (int i = 0; i < 8; i++) {
        const struct ph__imap_status_item *item = &ph__imap_status_items[i];
        if (!(st->mask & item->bit))
            continue;
        if (!first)
            ph_buf_addc(out, ' ');
        first = false;
        ph_buf_add(out, item->name);
        ph_buf_addc(out, ' ');
        ph_buf_addu(out, *(const uint64_t *)(const void *)((const char *)st + item->offset));
    }
    ph_buf_add(out, PH_STR(")\r\n"));
}

void ph_imap_server_namespace(struct ph_imap_server *s, char separator)
{
    ph_buf_addf(ph__imap_server_out(s), "* NAMESPACE ((\"\" \"%c\")) NIL NIL\r\n", separator);
}

void ph_imap_server_search_begin(struct ph_imap_server *s)
{
    ph_buf_add(ph__imap_server_out(s), PH_STR("* SEARCH"));
}

void ph_imap_server_found(struct ph_imap_server *s, uint32_t n)
{
    struct ph_buf *out = ph__imap_server_out(s);
    ph_buf_addc(out, ' ');
    ph_buf_addu(out, n);
}

void ph_imap_server_search_end(struct ph_imap_server *s)
{
    ph_buf_add(ph__imap_server_out(s), PH_STR("\r\n"));
}
