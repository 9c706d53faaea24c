/* The untagged responses beside FETCH (RFC 9051 7). */
#include "imap_int.h"

void ph_imap_server_exists(struct ph_imap_server *s, uint32_t n)
{
    ph_buf_addf(ph__imap_server_out(s), "* %u EXISTS\r\n", (unsigned)n);
}

void ph_imap_server_recent(struct ph_imap_server *s, uint32_t n)
{
    if (!(ph_imap_server_enabled(s) & PH_IMAP_CAP(IMAP4REV2))) /* RFC 9051 has none */
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
    if (l->child_info)
        ph_buf_add(out, PH_STR(" (\"CHILDINFO\" (\"SUBSCRIBED\"))"));
    if (l->old_name.n) {
        ph_buf_add(out, PH_STR(" (\"OLDNAME\" ("));
        ph__imap_put_mailbox(out, l->old_name, ph__imap_server_utf8(s));
        ph_buf_add(out, PH_STR("))"));
    }
    ph_buf_add(out, PH_STR("\r\n"));
}

void ph_imap_server_status(struct ph_imap_server *s, const struct ph_imap_status *st)
{
    struct ph_buf *out = ph__imap_server_out(s);
    bool first = true;
    ph_buf_add(out, PH_STR("* STATUS "));
    ph__imap_put_mailbox(out, st->name, ph__imap_server_utf8(s));
    ph_buf_add(out, PH_STR(" ("));
    for (int i = 0; i < IMAP_STATUS_ITEMS; i++) {
        const struct ph__imap_status_item *item = &ph__imap_status_items[i];
        if (!(st->mask & item->bit))
            continue;
        if (!first)
            ph_buf_addc(out, ' ');
        first = false;
        ph_buf_add(out, item->name);
        ph_buf_addc(out, ' ');
        if (item->bit == PH_IMAP_ST_MAILBOXID)
            ph_buf_addf(out, "(%.*s)", PH_FMT(st->mailboxid));
        else
            ph_buf_addu(out, *(const uint64_t *)(const void *)((const char *)st + item->offset));
    }
    ph_buf_add(out, PH_STR(")\r\n"));
}

void ph_imap_server_namespace(struct ph_imap_server *s, char separator)
{
    ph_buf_addf(ph__imap_server_out(s), "* NAMESPACE ((\"\" \"%c\")) NIL NIL\r\n", separator);
}

void ph_imap_server_vanished(struct ph_imap_server *s, bool earlier, ph_str uids)
{
    struct ph_buf *out = ph__imap_server_out(s);
    ph_buf_add(out, earlier ? PH_STR("* VANISHED (EARLIER) ") : PH_STR("* VANISHED "));
    ph_buf_add(out, uids);
    ph_buf_add(out, PH_STR("\r\n"));
}

/* ---- SEARCH, SORT, THREAD ------------------------------------------------------------------- */

void ph_imap_server_search_begin(struct ph_imap_server *s)
{
    ph_buf_addf(ph__imap_server_out(s), "* %.*s",
                PH_FMT(ph__imap_rows[ph__imap_server_verb(s)].name));
    *ph__imap_server_first(s) = false;
}

static struct ph_buf *spaced(struct ph_imap_server *s, bool next_first)
{
    struct ph_buf *out = ph__imap_server_out(s);
    bool *first = ph__imap_server_first(s);
    if (!*first)
        ph_buf_addc(out, ' ');
    *first = next_first;
    return out;
}

void ph_imap_server_found(struct ph_imap_server *s, uint32_t n)
{
    ph_buf_addu(spaced(s, false), n);
}

void ph_imap_server_thread_open(struct ph_imap_server *s)
{
    struct ph_buf *out = ph__imap_server_out(s);
    bool *first = ph__imap_server_first(s);
    /* A space behind the response's name and behind numbers; none between lists. */
    if (!*first && out->n && out->p[out->n - 1] != ')')
        ph_buf_addc(out, ' ');
    ph_buf_addc(out, '(');
    *first = true;
}

void ph_imap_server_thread_close(struct ph_imap_server *s)
{
    ph_buf_addc(ph__imap_server_out(s), ')');
    *ph__imap_server_first(s) = false;
}

void ph_imap_server_search_end(struct ph_imap_server *s, uint64_t modseq)
{
    struct ph_buf *out = ph__imap_server_out(s);
    if (modseq)
        ph_buf_addf(out, " (MODSEQ %llu)", (unsigned long long)modseq);
    ph_buf_add(out, PH_STR("\r\n"));
}

static void put_number(struct ph_buf *out, const char *name, uint64_t n)
{
    ph_buf_addf(out, " %s %llu", name, (unsigned long long)n);
}

void ph_imap_server_esearch(struct ph_imap_server *s, const struct ph_imap_esearch *e)
{
    struct ph_buf *out = ph__imap_server_out(s);
    const char *sign = e->range.from_end ? "-" : "";
    ph_buf_add(out, PH_STR("* ESEARCH (TAG "));
    ph__imap_put_string(out, ph_imap_server_tag(s), false);
    ph_buf_add(out, e->uid ? PH_STR(") UID") : PH_STR(")"));
    if (e->has & PH_IMAP_RETURN_MIN)
        put_number(out, "MIN", e->min);
    if (e->has & PH_IMAP_RETURN_MAX)
        put_number(out, "MAX", e->max);
    if (e->has & PH_IMAP_RETURN_ALL) {
        ph_buf_add(out, PH_STR(" ALL "));
        ph_buf_add(out, e->all);
    }
    if (e->has & PH_IMAP_RETURN_COUNT)
        put_number(out, "COUNT", e->count);
    if (e->has & PH_IMAP_RETURN_PARTIAL) {
        ph_buf_addf(out, " PARTIAL (%s%u:%s%u ", sign, e->range.lo, sign, e->range.hi);
        ph_buf_add(out, e->partial.n ? e->partial : PH_STR("NIL"));
        ph_buf_addc(out, ')');
    }
    if (e->modseq)
        put_number(out, "MODSEQ", e->modseq);
    ph_buf_add(out, PH_STR("\r\n"));
}

/* ---- quota (RFC 9208 4.2) ------------------------------------------------------------------- */

void ph_imap_server_quotaroot(struct ph_imap_server *s, ph_str mailbox, ph_str root)
{
    struct ph_buf *out = ph__imap_server_out(s);
    ph_buf_add(out, PH_STR("* QUOTAROOT "));
    ph__imap_put_mailbox(out, mailbox, ph__imap_server_utf8(s));
    ph_buf_addc(out, ' ');
    ph__imap_put_astring(out, root, ph__imap_server_utf8(s));
    ph_buf_add(out, PH_STR("\r\n"));
}

void ph_imap_server_quota(struct ph_imap_server *s, const struct ph_imap_quota *q)
{
    struct ph_buf *out = ph__imap_server_out(s);
    bool storage = q->storage_limit != UINT64_MAX, messages = q->messages_limit != UINT64_MAX;
    ph_buf_add(out, PH_STR("* QUOTA "));
    ph__imap_put_astring(out, q->root, ph__imap_server_utf8(s));
    ph_buf_add(out, PH_STR(" ("));
    if (storage)
        ph_buf_addf(out, "STORAGE %llu %llu", (unsigned long long)q->storage,
                    (unsigned long long)q->storage_limit);
    if (messages)
        ph_buf_addf(out, "%sMESSAGE %llu %llu", storage ? " " : "", (unsigned long long)q->messages,
                    (unsigned long long)q->messages_limit);
    ph_buf_add(out, PH_STR(")\r\n"));
}
