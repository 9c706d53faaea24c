/* dsn.c - writing reports to senders. What a reply means: dsn_class.c. */
#include "dsn.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- pieces ------------------------------------------------------------------------------ */

static void add_date(struct ph_buf *out, int64_t us)
{
    static const char days[] = "SunMonTueWedThuFriSat",
                      months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t t = (time_t)(us / 1000000);
    struct tm tm;
    gmtime_r(&t, &tm);
    ph_buf_addf(out, "%.3s, %d %.3s %d %02d:%02d:%02d +0000", days + 3 * tm.tm_wday, tm.tm_mday,
                months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Foreign text in a header field or a line: controls become spaces, octets above 127 become '?'
 * unless utf8. */
static void add_clean(struct ph_buf *out, ph_str text, bool utf8, size_t most)
{
    for (size_t i = 0; i < text.n && i < most; i++) {
        unsigned char c = (unsigned char)text.p[i];
        ph_buf_addc(out, c < 32 || c == 127 ? ' ' : c > 127 && !utf8 ? '?' : (char)c);
    }
}

/* In our own prose a line of a reply stands for itself, indented. */
static void add_quoted(struct ph_buf *out, ph_str text, bool utf8)
{
    ph_str line;
    for (int lines = 0; lines < 20 && ph_str_token(&text, '\n', &line); lines++) {
        ph_buf_add(out, PH_STR("      "));
        add_clean(out, ph_str_trim(line), utf8, 900);
        ph_buf_add(out, PH_STR("\r\n"));
    }
}

/* The same words for all recipients of a report: it tells of one kind. */
static const struct words {
    const char *action, *subject;
    const char *lead; /* "Your letter of <date> ..." */
} kinds[] = {
    [PH_DSN_FAILED] = {"failed", "Your letter could not be delivered",
                       "could not be delivered to:"},
    [PH_DSN_EXPIRED] = {"failed", "Your letter could not be delivered",
                        "could not be delivered to:"},
    [PH_DSN_DELAYED] = {"delayed", "Your letter is still on its way",
                        "has not been delivered yet to:"},
    [PH_DSN_DELIVERED] = {"delivered", "Your letter was delivered", "was delivered to:"},
    [PH_DSN_RELAYED] = {"relayed", "Your letter was handed on",
                        "was handed on to a server that sends no such reports, for:"},
    [PH_DSN_EXPANDED] = {"expanded", "Your letter was passed on",
                         "was passed on to those who stand behind:"},
};

static bool failed(enum ph_dsn_action a)
{
    return a <= PH_DSN_EXPIRED;
}

static bool is_code(ph_str s)
{
    for (size_t i = 0; i < 3; i++)
        if (i >= s.n || s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

/* The header of the letter, without its end line, at most PH_DSN_HEADER bytes of whole lines. */
static ph_str header_of(ph_str letter)
{
    size_t end = ph_str_find(letter, PH_STR("\r\n\r\n"));
    ph_str head = ph_str_sub(letter, 0, end == PH_NPOS ? letter.n : end + 2);
    if (head.n <= PH_DSN_HEADER && end != PH_NPOS)
        return head;
    head = ph_str_sub(head, 0, PH_DSN_HEADER);
    size_t line = ph_str_rchr(head, '\n');
    return line == PH_NPOS ? (ph_str){0} : ph_str_sub(head, 0, line + 1);
}

static bool has_8bit(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] > 127)
            return true;
    return false;
}

/* How many recipients are told of one by one: the report must fit into the queue's bound whatever
 * was replied. */
static size_t told(const struct ph_dsn *d)
{
    enum { FIXED = 1200 }; /* field names, dates, advice, the indent of twenty lines */
    size_t n = 0, bytes = 0;
    while (n < d->n && n < PH_DSN_RCPTS) {
        const struct ph_dsn_rcpt *r = &d->rcpts[n];
        bytes += 2 * (r->address.n + r->reply.n + r->mta.n) + r->original.n + FIXED;
        if (n && bytes > PH_DSN_TOLD)
            break;
        n++;
    }
    return n;
}

bool ph_dsn_is_utf8(const struct ph_dsn_rcpt *rcpts, size_t n)
{
    bool utf8 = false;
    for (size_t i = 0; i < n; i++)
        utf8 |= has_8bit(rcpts[i].address);
    return utf8;
}

/* ---- parts ------------------------------------------------------------------------------- */

static void add_head(const struct ph_dsn *d, struct ph_buf *out)
{
    const char *subject = d->for_postmaster ? "A letter could not be delivered, nor returned"
                                            : kinds[d->rcpts[0].action].subject;
    ph_buf_addf(out, "Received: by %.*s (Posthouse) id %.*s; ", PH_FMT(d->hostname), PH_FMT(d->id));
    add_date(out, d->now);
    ph_buf_addf(out, "\r\nDate: ");
    add_date(out, d->now);
    ph_buf_addf(out, "\r\nFrom: Mail Delivery System <postmaster@%.*s>\r\nTo: <",
                PH_FMT(d->hostname));
    add_clean(out, d->to, d->utf8, 1000);
    ph_buf_addf(out,
                ">\r\nSubject: %s\r\nMessage-ID: <%.*s@%.*s>\r\nAuto-Submitted: "
                "auto-replied\r\nMIME-Version: 1.0\r\n"
                "Content-Type: multipart/report; report-type=%s;\r\n boundary=\"=_%.*s\"\r\n\r\n",
                subject, PH_FMT(d->id), PH_FMT(d->hostname),
                d->utf8 ? "global-delivery-status" : "delivery-status", PH_FMT(d->id));
}

/* What happened to one recipient, for a person. */
static void tell(const struct ph_dsn *d, const struct ph_dsn_rcpt *r, struct ph_buf *out)
{
    const char *advice;
    ph_buf_add(out, PH_STR("\r\n  <"));
    add_clean(out, r->address, d->utf8, 900);
    ph_buf_addf(out, ">\r\n");
    ph_dsn_class(r->reply, r->action, &advice);
    if (failed(r->action) || (r->action == PH_DSN_DELAYED && r->reply.n))
        ph_buf_addf(out, "    %s\r\n", advice);
    if (r->action == PH_DSN_EXPIRED)
        ph_buf_addf(
            out, "    It was tried again and again; now it is given up. The last answer was:\r\n");
    else if (r->mta.n)
        ph_buf_addf(out, "    The server %.*s said:\r\n", (int)(r->mta.n < 255 ? r->mta.n : 255),
                    r->mta.p);
    add_quoted(out, r->reply, d->utf8);
}

static void add_ending(const struct ph_dsn *d, struct ph_buf *out)
{
    enum ph_dsn_action kind = d->rcpts[0].action;
    ph_buf_add(out, PH_STR("\r\n"));
    if (kind == PH_DSN_DELAYED) {
        ph_buf_addf(out, "It is tried again until ");
        add_date(out, d->until);
        ph_buf_addf(out, ". You need not send it again.\r\n");
    } else if (!failed(kind)) {
        ph_buf_addf(out, "This report was asked for with the letter.\r\n");
    } else {
        ph_buf_addf(out, "%s it will not be tried again.%s\r\n",
                    d->n > 1 ? "For these recipients" : "For this recipient",
                    d->for_postmaster
                        ? ""
                        : " Other recipients, if there are any, are\r\nnot concerned by this.");
    }
    ph_buf_addf(out, d->whole ? "The letter is attached.\r\n\r\n"
                              : "The header of the letter is attached.\r\n\r\n");
}

static void add_text(const struct ph_dsn *d, struct ph_buf *out)
{
    ph_buf_addf(out,
                "--=_%.*s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
                "%s\r\n\r\n",
                PH_FMT(d->id), d->utf8 ? "8bit" : "7bit");
    if (d->for_postmaster)
        ph_buf_addf(out,
                    "To the postmaster: the letter below could not be delivered, and there is\r\n"
                    "nobody to tell but you, because it has no sender that mail can be returned "
                    "to.\r\n\r\n");
    ph_buf_addf(out, "This is the mail server at %.*s.\r\n\r\n%s letter of ", PH_FMT(d->hostname),
                d->for_postmaster ? "The" : "Your");
    add_date(out, d->received);
    ph_buf_addf(out, " %s\r\n", kinds[d->rcpts[0].action].lead);
    for (size_t i = 0, n = told(d); i < n; i++)
        tell(d, &d->rcpts[i], out);
    if (d->n > told(d))
        ph_buf_addf(out, "\r\n  and to %zu more.\r\n", d->n - told(d));
    add_ending(d, out);
}

/* The fields of one recipient, RFC 3464 2.3. */
static void add_rcpt(const struct ph_dsn *d, const struct ph_dsn_rcpt *r, struct ph_buf *out)
{
    const char *type = d->utf8 && has_8bit(r->address) ? "utf-8" : "rfc822";
    ph_buf_add(out, PH_STR("\r\n"));
    if (r->original.n) {
        ph_buf_addf(out, "Original-Recipient: %s",
                    ph_str_chr(r->original, ';') == PH_NPOS ? "rfc822; " : "");
        add_clean(out, r->original, d->utf8, 900);
        ph_buf_add(out, PH_STR("\r\n"));
    }
    ph_buf_addf(out, "Final-Recipient: %s; ", type);
    add_clean(out, r->address, d->utf8, 900);
    ph_str status = ph_dsn_status(r->reply, r->action);
    ph_buf_addf(out, "\r\nAction: %s\r\nStatus: %.*s\r\n", kinds[r->action].action, PH_FMT(status));
    if (r->mta.n) {
        ph_buf_add(out, PH_STR("Remote-MTA: dns; "));
        add_clean(out, r->mta, false, 255);
        ph_buf_add(out, PH_STR("\r\n"));
    }
    if (r->mta.n && is_code(r->reply)) {
        ph_buf_add(out, PH_STR("Diagnostic-Code: smtp; "));
        add_clean(out, r->reply, d->utf8, 900);
        ph_buf_add(out, PH_STR("\r\n"));
    }
    if (r->last_try) {
        ph_buf_add(out, PH_STR("Last-Attempt-Date: "));
        add_date(out, r->last_try);
        ph_buf_add(out, PH_STR("\r\n"));
    }
    if (r->action == PH_DSN_DELAYED) {
        ph_buf_add(out, PH_STR("Will-Retry-Until: "));
        add_date(out, d->until);
        ph_buf_add(out, PH_STR("\r\n"));
    }
}

static void add_status(const struct ph_dsn *d, struct ph_buf *out)
{
    ph_buf_addf(out, "--=_%.*s\r\nContent-Type: message/%s\r\n%s\r\n", PH_FMT(d->id),
                d->utf8 ? "global-delivery-status" : "delivery-status",
                d->utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "");
    if (d->envid.n) {
        ph_buf_add(out, PH_STR("Original-Envelope-Id: "));
        add_clean(out, d->envid, d->utf8, 128);
        ph_buf_add(out, PH_STR("\r\n"));
    }
    ph_buf_addf(out, "Reporting-MTA: dns; %.*s\r\nX-Posthouse-Queue-ID: %.*s\r\nArrival-Date: ",
                PH_FMT(d->hostname), PH_FMT(d->letter_id));
    add_date(out, d->received);
    ph_buf_add(out, PH_STR("\r\n"));
    for (size_t i = 0, n = told(d); i < n; i++)
        add_rcpt(d, &d->rcpts[i], out);
    ph_buf_add(out, PH_STR("\r\n"));
}

static void add_letter(const struct ph_dsn *d, struct ph_buf *out)
{
    static const char *const types[2][2] = {{"text/rfc822-headers", "message/global-headers"},
                                            {"message/rfc822", "message/global"}};
    ph_str what = d->whole ? d->letter : header_of(d->letter);
    ph_buf_addf(out, "--=_%.*s\r\nContent-Type: %s\r\n%s\r\n", PH_FMT(d->id),
                types[d->whole][d->utf8],
                has_8bit(what) ? "Content-Transfer-Encoding: 8bit\r\n" : "");
    /* Our boundary cannot be in it: it is made of an id that was not given out when the letter
     * came. */
    ph_buf_add(out, what);
    ph_buf_addf(out, "\r\n--=_%.*s--\r\n", PH_FMT(d->id));
}

int ph_dsn_write(const struct ph_dsn *d, struct ph_buf *out, uint32_t *ret_skip, ph_str *ret_id)
{
    size_t start = out->n;
    ph_buf_add(out, PH_STR("Return-Path: <>\r\n"));
    uint32_t skip = (uint32_t)(out->n - start);
    add_head(d, out);
    add_text(d, out);
    add_status(d, out);
    add_letter(d, out);
    if (ph_buf_err(out))
        return ph_buf_err(out);
    ph_str whole = ph_str_skip(ph_buf_str(out), start);
    size_t at = ph_str_find(whole, PH_STR("Message-ID: ")) + 12;
    ph_str id = ph_str_skip(whole, at);
    *ret_skip = skip;
    *ret_id = ph_str_sub(id, 0, ph_str_chr(id, '\r'));
    return 0;
}
