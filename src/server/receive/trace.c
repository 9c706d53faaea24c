/* Trace fields that tell the truth (RFC 5321 4.4). */
#include "id.h"
#include "letter.h"
#include <posthouse/mime.h>
#include <posthouse/smtp.h>
#include <string.h>

static bool is_v6(ph_str ip)
{
    return ph_str_chr(ip, ':') != PH_NPOS;
}

static void write_literal(struct ph_buf *out, ph_str ip)
{
    ph_buf_addf(out, "[%s%.*s]", is_v6(ip) ? "IPv6:" : "", PH_FMT(ip));
}

/* Whether what the client said it is may stand in the field as it is; else it would not be a
 * Received field. */
static bool is_name(ph_str helo)
{
    struct ph_buf address, scratch;
    struct ph_smtp_mailbox m;
    ph_buf_init(&address, NULL, 300);
    ph_buf_init(&scratch, NULL, 1024);
    ph_buf_add(&address, PH_STR("x@"));
    ph_buf_add(&address, helo);
    bool good = !ph_buf_err(&address) &&
                ph_smtp_mailbox_parse(ph_buf_str(&address), 0, &scratch, &m, NULL) == 0;
    ph_buf_done(&address);
    ph_buf_done(&scratch);
    return good;
}

void letter_trace_write(const struct letter *l, const struct letter_trace *t, struct ph_buf *out,
                        size_t *ret_skip, size_t *ret_id_at)
{
    struct ph_date date = {.time = t->now_us / 1000000,
                           .flags = PH_DATE_TIME | PH_DATE_SECOND | PH_DATE_ZONE};
    size_t from = out->n;
    ph_buf_addf(out, "Return-Path: <%s>\r\n", l->sender);
    *ret_skip = out->n - from;
    ph_buf_add(out, PH_STR("Received: from "));
    if (is_name(t->helo))
        ph_buf_add(out, t->helo);
    else
        write_literal(out, t->ip);
    ph_buf_add(out, PH_STR(" ("));
    write_literal(out, t->ip);
    ph_buf_addf(out, ")\r\n\tby %.*s with %s", PH_FMT(t->hostname), t->with);
    if (t->tls.n)
        ph_buf_addf(out, "\r\n\t(%.*s)", PH_FMT(t->tls));
    ph_buf_add(out, PH_STR(" id "));
    *ret_id_at = out->n - from;
    for (int i = 0; i < PH_ID_TEXT; i++)
        ph_buf_addc(out, '0');
    if (l->given == 1)
        ph_buf_addf(out, "\r\n\tfor <%s>", l->first);
    ph_buf_add(out, PH_STR(";\r\n\t"));
    ph_date_write(out, &date);
    ph_buf_add(out, PH_STR("\r\n"));
}
