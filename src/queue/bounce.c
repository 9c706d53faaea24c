#include "bounce.h"

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

static bool digits(ph_str s, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++)
        if (i >= s.n || s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

ph_str ph_bounce_status(ph_str reply, bool expired)
{
    bool coded = digits(reply, 0, 3) && reply.n > 3;
    ph_str rest = coded ? ph_str_skip(reply, 4) : reply, esc;
    if (ph_str_token(&rest, ' ', &esc) && esc.n >= 5 && esc.n <= 11 && digits(esc, 0, 1) &&
        esc.p[1] == '.') {
        size_t dot = ph_str_rchr(esc, '.');
        if (dot > 2 && digits(esc, 2, dot - 2) && dot + 1 < esc.n &&
            digits(esc, dot + 1, esc.n - dot - 1))
            return esc;
    }
    return expired                      ? PH_STR("4.4.7")
           : coded && reply.p[0] == '4' ? PH_STR("4.0.0")
                                        : PH_STR("5.0.0");
}

/* What a person can do, by the subject and detail of the status (RFC 3463 3). */
static const struct {
    const char *status, *advice;
} advices[] = {
    {".1.1",
     "There is no such address. Check how it is written, or ask for the right one by another way."},
    {".1.2", "The domain of this address does not exist. Check the part behind the @."},
    {".1.3", "This address is not written as an address can be. Check it."},
    {".1.10", "The domain of this address takes no mail at all."},
    {".2.1", "This mailbox is switched off."},
    {".2.2", "This mailbox is full. Try again later, or tell the recipient by another way."},
    {".2.3",
     "The letter is too large for this mailbox. Send it smaller, or share large files by a link."},
    {".3.4", "The letter is too large for the other server. Send it smaller, or share large files "
             "by a link."},
    {".4.1", "The other server did not answer. It may be down for long, or the address is wrong."},
    {".4.6", "The letter ran in circles between servers. Their administrators have to mend it."},
    {".4.7", "The other server could not be reached or did not take the letter for too long. Send "
             "it again later."},
    {".7.", "The other server's rules refuse this letter. Its reply may say why; its administrator "
            "can tell more."},
};

static const char *advice(ph_str status)
{
    ph_str tail = ph_str_skip(status, 1);
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++) {
        ph_str a = ph_str_c(advices[i].status);
        if (ph_str_eq(tail, a) || (a.p[a.n - 1] == '.' && ph_str_has_prefix(tail, a)))
            return advices[i].advice;
    }
    return "The reply of the other side says what it objected to.";
}

/* The header of the letter, without its end line, at most PH_BOUNCE_HEADER bytes of whole lines. */
static ph_str header_of(ph_str letter)
{
    size_t end = ph_str_find(letter, PH_STR("\r\n\r\n"));
    ph_str head = ph_str_sub(letter, 0, end == PH_NPOS ? letter.n : end + 2);
    if (head.n <= PH_BOUNCE_HEADER && end != PH_NPOS)
        return head;
    head = ph_str_sub(head, 0, PH_BOUNCE_HEADER);
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
static size_t told(const struct ph_bounce *b)
{
    enum { FIXED = 1200 }; /* field names, dates, advice, the indent of twenty lines */
    size_t n = 0, bytes = 0;
    while (n < b->n && n < PH_BOUNCE_RCPTS) {
        const struct ph_bounce_rcpt *r = &b->rcpts[n];
        bytes += 2 * (r->address.n + r->reply.n + r->mta.n) + r->original.n + FIXED;
        if (n && bytes > PH_BOUNCE_TOLD)
            break;
        n++;
    }
    return n;
}

bool ph_bounce_is_utf8(const struct ph_bounce_rcpt *rcpts, size_t n)
{
    bool utf8 = false;
    for (size_t i = 0; i < n; i++)
        utf8 |= has_8bit(rcpts[i].address);
    return utf8;
}

/* ---- parts ------------------------------------------------------------------------------- */

static void add_head(const struct ph_bounce *b, struct ph_buf *out)
{
    ph_buf_addf(out, "Received: by %.*s (Posthouse) id %.*s; ", PH_FMT(b->hostname), PH_FMT(b->id));
    add_date(out, b->now);
    ph_buf_addf(out, "\r\nDate: ");
    add_date(out, b->now);
    ph_buf_addf(out, "\r\nFrom: Mail Delivery System <postmaster@%.*s>\r\nTo: <",
                PH_FMT(b->hostname));
    add_clean(out, b->to, b->utf8, 1000);
    ph_buf_addf(out,
                ">\r\nSubject: %s\r\nMessage-ID: <%.*s@%.*s>\r\nAuto-Submitted: "
                "auto-replied\r\nMIME-Version: 1.0\r\n"
                "Content-Type: multipart/report; report-type=%s;\r\n boundary=\"=_%.*s\"\r\n\r\n",
                b->for_postmaster ? "A letter could not be delivered, nor returned"
                                  : "Your letter could not be delivered",
                PH_FMT(b->id), PH_FMT(b->hostname),
                b->utf8 ? "global-delivery-status" : "delivery-status", PH_FMT(b->id));
}

static void add_text(const struct ph_bounce *b, struct ph_buf *out)
{
    ph_buf_addf(out,
                "--=_%.*s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
                "%s\r\n\r\n",
                PH_FMT(b->id), b->utf8 ? "8bit" : "7bit");
    if (b->for_postmaster)
        ph_buf_addf(out,
                    "To the postmaster: the letter below could not be delivered, and there is\r\n"
                    "nobody to tell but you, because it has no sender that mail can be returned "
                    "to.\r\n\r\n");
    ph_buf_addf(out, "This is the mail server at %.*s.\r\n\r\n%s letter of ", PH_FMT(b->hostname),
                b->for_postmaster ? "The" : "Your");
    add_date(out, b->received);
    ph_buf_addf(out, " could not be delivered to:\r\n");
    for (size_t i = 0, n = told(b); i < n; i++) {
        const struct ph_bounce_rcpt *r = &b->rcpts[i];
        ph_buf_add(out, PH_STR("\r\n  <"));
        add_clean(out, r->address, b->utf8, 900);
        ph_buf_addf(out, ">\r\n    %s\r\n", advice(ph_bounce_status(r->reply, r->expired)));
        if (r->expired)
            ph_buf_addf(
                out,
                "    It was tried again and again; now it is given up. The last answer was:\r\n");
        else if (r->mta.n)
            ph_buf_addf(out, "    The server %.*s said:\r\n",
                        (int)(r->mta.n < 255 ? r->mta.n : 255), r->mta.p);
        add_quoted(out, r->reply, b->utf8);
    }
    if (b->n > told(b))
        ph_buf_addf(out, "\r\n  and to %zu more.\r\n", b->n - told(b));
    ph_buf_addf(
        out,
        "\r\n%s it will not be tried again.%s\r\nThe header of the letter is attached.\r\n\r\n",
        b->n > 1 ? "For these recipients" : "For this recipient",
        b->for_postmaster ? ""
                          : " Other recipients, if there are any, are\r\nnot concerned by this.");
}

static void add_status(const struct ph_bounce *b, struct ph_buf *out)
{
    ph_buf_addf(out, "--=_%.*s\r\nContent-Type: message/%s\r\n%s\r\n", PH_FMT(b->id),
                b->utf8 ? "global-delivery-status" : "delivery-status",
                b->utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "");
    if (b->envid.n) {
        ph_buf_add(out, PH_STR("Original-Envelope-Id: "));
        add_clean(out, b->envid, b->utf8, 128);
        ph_buf_add(out, PH_STR("\r\n"));
    }
    ph_buf_addf(out, "Reporting-MTA: dns; %.*s\r\nX-Posthouse-Queue-ID: %.*s\r\nArrival-Date: ",
                PH_FMT(b->hostname), PH_FMT(b->letter_id));
    add_date(out, b->received);
    ph_buf_add(out, PH_STR("\r\n"));
    for (size_t i = 0, n = told(b); i < n; i++) {
        const struct ph_bounce_rcpt *r = &b->rcpts[i];
        const char *type = b->utf8 && has_8bit(r->address) ? "utf-8" : "rfc822";
        ph_buf_add(out, PH_STR("\r\n"));
        if (r->original.n) {
            ph_buf_addf(out, "Original-Recipient: %s",
                        ph_str_chr(r->original, ';') == PH_NPOS ? "rfc822; " : "");
            add_clean(out, r->original, b->utf8, 900);
            ph_buf_add(out, PH_STR("\r\n"));
        }
        ph_buf_addf(out, "Final-Recipient: %s; ", type);
        add_clean(out, r->address, b->utf8, 900);
        ph_str status = ph_bounce_status(r->reply, r->expired);
        ph_buf_addf(out, "\r\nAction: failed\r\nStatus: %.*s\r\n", PH_FMT(status));
        if (r->mta.n) {
            ph_buf_add(out, PH_STR("Remote-MTA: dns; "));
            add_clean(out, r->mta, false, 255);
            ph_buf_add(out, PH_STR("\r\n"));
        }
        if (r->mta.n && digits(r->reply, 0, 3)) {
            ph_buf_add(out, PH_STR("Diagnostic-Code: smtp; "));
            add_clean(out, r->reply, b->utf8, 900);
            ph_buf_add(out, PH_STR("\r\n"));
        }
        if (r->last_try) {
            ph_buf_add(out, PH_STR("Last-Attempt-Date: "));
            add_date(out, r->last_try);
            ph_buf_add(out, PH_STR("\r\n"));
        }
    }
    ph_buf_add(out, PH_STR("\r\n"));
}

static void add_letter(const struct ph_bounce *b, struct ph_buf *out)
{
    ph_str head = header_of(b->letter);
    bool wide = has_8bit(head);
    ph_buf_addf(out, "--=_%.*s\r\nContent-Type: %s\r\n%s\r\n", PH_FMT(b->id),
                b->utf8 ? "message/global-headers" : "text/rfc822-headers",
                wide ? "Content-Transfer-Encoding: 8bit\r\n" : "");
    /* Our boundary cannot be in it: it is made of an id that was not given out when the letter
     * came. */
    ph_buf_add(out, head);
    ph_buf_addf(out, "\r\n--=_%.*s--\r\n", PH_FMT(b->id));
}

int ph_bounce_write(const struct ph_bounce *b, struct ph_buf *out, uint32_t *ret_skip,
                    ph_str *ret_id)
{
    size_t start = out->n;
    ph_buf_add(out, PH_STR("Return-Path: <>\r\n"));
    uint32_t skip = (uint32_t)(out->n - start);
    add_head(b, out);
    add_text(b, out);
    add_status(b, out);
    add_letter(b, out);
    if (ph_buf_err(out))
        return ph_buf_err(out);
    ph_str whole = ph_str_skip(ph_buf_str(out), start);
    size_t at = ph_str_find(whole, PH_STR("Message-ID: ")) + 12;
    ph_str id = ph_str_skip(whole, at);
    *ret_skip = skip;
    *ret_id = ph_str_sub(id, 0, ph_str_chr(id, '\r'));
    return 0;
}
