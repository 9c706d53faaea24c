/*
 * Paths and mailboxes of RFC 5321 4.1.2 and 4.1.3, with the UTF-8 of RFC 6531 3.3.
 *
 *   "<" [ "@one,@two:" ] local "@" domain ">"
 *
 * The local part is written in its shortest form: RFC 5321 4.1.2 calls "a"@b.test and a@b.test the
 * same mailbox. Beyond the grammar an underscore is allowed in domains, which real hosts have.
 */
#include "ascii.h"
#include "smtp_int.h"
#include <string.h>

enum { LABEL_MAX = 63, DOMAIN_MAX = 255 };

static int bad(struct ph_error *reterr, ph_str all, ph_str at, const char *what)
{
    if (reterr)
        reterr->off = (uint64_t)(at.p - all.p);
    return ph_fail(reterr, PH_ESYNTAX, 0, "%s", what);
}

static bool atext(char c, unsigned allow)
{
    return ph_is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c)) ||
           ((c & 0x80) && (allow & PH_SMTP_ALLOW_UTF8));
}

/* ---- local part -------------------------------------------------------------------------- */

static size_t dot_string(ph_str s, unsigned allow)
{
    size_t i = 0;
    while (i < s.n && (atext(s.p[i], allow) || (s.p[i] == '.' && i > 0 && s.p[i - 1] != '.')))
        i++;
    return i && s.p[i - 1] == '.' ? 0 : i;
}

/* Octets of the quoted string that `s` starts with, quotes included, or 0; its content is added to
 * `content`. */
static size_t quoted(ph_str s, unsigned allow, struct ph_buf *content)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '"')
            return i + 1;
        if (s.p[i] == '\\' && (++i == s.n || (s.p[i] & 0x80)))
            return 0;
        if ((unsigned char)s.p[i] < 32 || s.p[i] == 127 ||
            ((s.p[i] & 0x80) && !(allow & PH_SMTP_ALLOW_UTF8)))
            return 0;
        ph_buf_addc(content, s.p[i]);
    }
    return 0;
}

/* Rewrites the content in out from `from` on as a local part: bare when a dot-string, else
 * quoted. */
static void write_local(struct ph_buf *out, size_t from, unsigned allow)
{
    ph_str content = ph_str_skip(ph_buf_str(out), from);
    if (ph_buf_err(out) || (content.n && dot_string(content, allow) == content.n))
        return;
    size_t extra = 2;
    for (size_t i = 0; i < content.n; i++)
        extra += content.p[i] == '"' || content.p[i] == '\\';
    size_t n = content.n;
    if (!ph_buf_reserve(out, extra))
        return;
    ph_buf_commit(out, extra);
    char *p = out->p + from, *to = p + n + extra;
    *--to = '"';
    while (n--) {
        *--to = p[n];
        if (p[n] == '"' || p[n] == '\\')
            *--to = '\\';
    }
    *--to = '"';
}

/* ---- domain ------------------------------------------------------------------------------ */

static size_t domain_name(ph_str s, unsigned allow)
{
    size_t i = 0, label = 0;
    for (; i < s.n; i++) {
        char c = s.p[i];
        if (c == '.') {
            if (!label || s.p[i - 1] == '-')
                return 0;
            label = 0;
        } else if (ph_is_alnum(c) || c == '_' || (c == '-' && label) ||
                   ((c & 0x80) && (allow & PH_SMTP_ALLOW_UTF8))) {
            if (++label > LABEL_MAX)
                return 0;
        } else {
            break;
        }
    }
    return label && s.p[i - 1] != '-' && i <= DOMAIN_MAX ? i : 0;
}

static bool ipv4(ph_str s)
{
    ph_str part;
    unsigned parts = 0;
    uint64_t v;
    bool end_dot = ph_str_has_suffix(s, PH_STR("."));
    while (ph_str_token(&s, '.', &part))
        if (++parts > 4 || part.n > 3 || !ph_str_u64(part, 255, &v))
            return false;
    return parts == 4 && !end_dot;
}

static bool hex_group(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ph_is_digit(s.p[i]) && !((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'f'))
            return false;
    return s.n >= 1 && s.n <= 4;
}

/* Groups of one side of a "::", or of an address without one; -1 when not groups. A dotted quad may
 * be the last. */
static int ipv6_groups(ph_str s, bool may_end_v4)
{
    int groups = 0;
    if (!s.n)
        return 0;
    while (groups <= 8) {
        size_t colon = ph_str_chr(s, ':');
        ph_str group = ph_str_sub(s, 0, colon);
        if (colon == PH_NPOS && may_end_v4 && ipv4(group))
            return groups + 2;
        if (!hex_group(group))
            return -1;
        groups++;
        if (colon == PH_NPOS)
            return groups;
        s = ph_str_skip(s, colon + 1);
    }
    return -1;
}

static bool ipv6(ph_str s)
{
    size_t gap = ph_str_find(s, PH_STR("::"));
    if (gap == PH_NPOS)
        return ipv6_groups(s, true) == 8;
    int before = ipv6_groups(ph_str_sub(s, 0, gap), false),
        after = ipv6_groups(ph_str_skip(s, gap + 2), true);
    return before >= 0 && after >= 0 && before + after <= 7;
}

/* "[" IPv4 / "IPv6:" IPv6 / tag ":" dcontent "]" */
static size_t literal(ph_str s)
{
    size_t end = ph_str_chr(s, ']');
    if (end == PH_NPOS || end > DOMAIN_MAX)
        return 0;
    ph_str in = ph_str_sub(s, 1, end - 1);
    if (ipv4(in))
        return end + 1;
    if (ph_str_has_iprefix(in, PH_STR("IPv6:")))
        return ipv6(ph_str_skip(in, 5)) ? end + 1 : 0;
    size_t colon = ph_str_chr(in, ':');
    if (colon == PH_NPOS || colon + 1 == in.n || domain_name(ph_str_sub(in, 0, colon), 0) != colon)
        return 0;
    for (size_t i = colon + 1; i < in.n; i++)
        if (in.p[i] < 33 || in.p[i] > 126 || in.p[i] == '[' || in.p[i] == '\\')
            return 0;
    return end + 1;
}

/* ---- mailbox and path -------------------------------------------------------------------- */

static int limit(struct ph_error *reterr)
{
    return ph_fail(reterr, PH_ELIMIT, 0, "the address is longer than %d octets", PH_SMTP_PATH);
}

/* Cuts local["@"domain] off *in. */
static int read_mailbox(ph_str *in, unsigned allow, struct ph_buf *scratch,
                        struct ph_smtp_mailbox *ret, struct ph_error *reterr)
{
    ph_str all = *in, rest = *in;
    size_t from = scratch->n, n;
    if (rest.n && rest.p[0] == '"') {
        n = quoted(rest, allow, scratch);
    } else {
        n = dot_string(rest, allow);
        ph_buf_add(scratch, ph_str_sub(rest, 0, n));
    }
    if (!n)
        return bad(reterr, all, rest,
                   "the local part of the address is not a dot-string or quoted string");
    write_local(scratch, from, allow);
    size_t local = scratch->n - from;
    bool postmaster = ph_str_ieq(ph_str_skip(ph_buf_str(scratch), from), PH_STR("postmaster"));
    rest = ph_str_skip(rest, n);
    struct ph_smtp_mailbox m = {0};
    if (rest.n && rest.p[0] == '@') {
        rest = ph_str_skip(rest, 1);
        m.literal = rest.n && rest.p[0] == '[';
        n = m.literal ? literal(rest) : domain_name(rest, allow);
        if (!n)
            return bad(reterr, all, rest,
                       "the domain of the address is not a domain name or address literal");
        ph_buf_addc(scratch, '@');
        ph_buf_add(scratch, ph_str_sub(rest, 0, n));
        rest = ph_str_skip(rest, n);
    } else if (!postmaster || !(allow & PH_SMTP_ALLOW_POSTMASTER)) {
        return bad(reterr, all, rest, "the address has no domain");
    }
    if (ph_buf_err(scratch) == -PH_ELIMIT || scratch->n - from > PH_SMTP_PATH)
        return limit(reterr);
    if (ph_buf_err(scratch))
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    m.address = ph_str_skip(ph_buf_str(scratch), from);
    m.local = ph_str_sub(m.address, 0, local);
    m.domain = ph_str_skip(m.address, local + 1);
    for (size_t i = 0; i < m.address.n; i++)
        m.utf8 |= (m.address.p[i] & 0x80) != 0;
    *in = rest;
    *ret = m;
    return 0;
}

int ph_smtp_mailbox_parse(ph_str text, unsigned allow, struct ph_buf *scratch,
                          struct ph_smtp_mailbox *ret_mailbox, struct ph_error *reterr)
{
    struct ph_smtp_mailbox m = {0};
    ph_str rest = text;
    if (text.n == 0 && (allow & PH_SMTP_ALLOW_NULL)) {
        *ret_mailbox = m;
        return 0;
    }
    int r = read_mailbox(&rest, allow, scratch, &m, reterr);
    if (r < 0)
        return r;
    if (rest.n)
        return bad(reterr, text, rest, "there is more behind the address");
    *ret_mailbox = m;
    return 0;
}

/* "@one,@two:" is read and forgotten: RFC 5321 4.1.1.3 and appendix C. */
static bool skip_route(ph_str *in)
{
    ph_str s = *in;
    while (s.n && s.p[0] == '@') {
        size_t n = domain_name(ph_str_skip(s, 1), PH_SMTP_ALLOW_UTF8);
        s = ph_str_skip(s, 1 + n);
        if (!n || !s.n || (s.p[0] != ',' && s.p[0] != ':'))
            return false;
        bool end = s.p[0] == ':';
        s = ph_str_skip(s, 1);
        if (end) {
            *in = s;
            return true;
        }
    }
    return false;
}

int ph__smtp_path_read(ph_str *in, unsigned allow, struct ph_buf *scratch,
                       struct ph_smtp_mailbox *ret_mailbox, struct ph_error *reterr)
{
    ph_str all = *in, rest = *in;
    struct ph_smtp_mailbox m = {0};
    if (!rest.n || rest.p[0] != '<')
        return bad(reterr, all, rest, "the address is not in angle brackets");
    rest = ph_str_skip(rest, 1);
    bool null = rest.n && rest.p[0] == '>' && (allow & PH_SMTP_ALLOW_NULL);
    if (rest.n && rest.p[0] == '@' && !skip_route(&rest))
        return bad(reterr, all, rest, "the source route of the address is malformed");
    int r = null ? 0 : read_mailbox(&rest, allow, scratch, &m, reterr);
    if (r < 0)
        return r;
    if (!rest.n || rest.p[0] != '>')
        return bad(reterr, all, rest, "the address does not end in an angle bracket");
    *in = ph_str_skip(rest, 1);
    *ret_mailbox = m;
    return 0;
}
