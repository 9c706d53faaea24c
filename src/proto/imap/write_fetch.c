/* FETCH responses (RFC 9051 7.5.2). */
#include "imap_int.h"

/* ---- envelope and body structure ------------------------------------------------------------ */

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

/* body-fld-lang: the tags of Content-Language, one as a string, several as a list. */
static void put_languages(struct ph_buf *out, ph_str tags)
{
    ph_str tag;
    bool many = ph_str_chr(tags, ',') != PH_NPOS;
    if (!many) {
        ph__imap_put_string(out, tags, false);
        return;
    }
    for (char before = '('; ph_str_token(&tags, ',', &tag); before = ' ') {
        ph_buf_addc(out, before);
        ph__imap_put_string(out, ph_str_trim(tag), false);
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
    put_languages(out, b->language);
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

/* ---- FETCH ---------------------------------------------------------------------------------- */

void ph_imap_server_fetch_begin(struct ph_imap_server *s, uint32_t n)
{
    bool uid = ph_imap_server_enabled(s) & PH_IMAP_CAP(UIDONLY);
    struct ph_buf *out = ph__imap_server_out(s);
    ph_buf_add(out, PH_STR("* "));
    ph_buf_addu(out, n);
    ph_buf_add(out, uid ? PH_STR(" UIDFETCH (") : PH_STR(" FETCH ("));
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
    if (!(ph_imap_server_enabled(s) & PH_IMAP_CAP(UIDONLY)))
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

void ph_imap_server_fetch_modseq(struct ph_imap_server *s, uint64_t modseq)
{
    struct ph_buf *out = attribute(s, PH_STR("MODSEQ ("));
    ph_buf_addu(out, modseq);
    ph_buf_addc(out, ')');
}

void ph_imap_server_fetch_emailid(struct ph_imap_server *s, ph_str id)
{
    struct ph_buf *out = attribute(s, PH_STR("EMAILID ("));
    ph_buf_add(out, id);
    ph_buf_addc(out, ')');
}

void ph_imap_server_fetch_threadid(struct ph_imap_server *s, ph_str id)
{
    struct ph_buf *out = attribute(s, PH_STR("THREADID "));
    ph_buf_add(out, id.n ? PH_STR("(") : PH_STR("NIL"));
    ph_buf_add(out, id);
    if (id.n)
        ph_buf_addc(out, ')');
}

void ph_imap_server_fetch_savedate(struct ph_imap_server *s, int64_t date)
{
    ph__imap_date_time_write(attribute(s, PH_STR("SAVEDATE ")), date, 0);
}

void ph_imap_server_fetch_preview(struct ph_imap_server *s, ph_str text)
{
    ph__imap_put_string(attribute(s, PH_STR("PREVIEW ")), text, ph__imap_server_utf8(s));
}

void ph_imap_server_fetch_binary_size(struct ph_imap_server *s, const struct ph_imap_section *sec,
                                      uint64_t size)
{
    struct ph_buf *out = attribute(s, PH_STR(""));
    ph__imap_put_section(out, sec);
    ph_buf_addc(out, ' ');
    ph_buf_addu(out, size);
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
