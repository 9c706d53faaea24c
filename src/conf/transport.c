/* Rows of `transports`: words into a struct, and which letters they fit. */
#include "transport.h"

#include "sock.h"

#include <stdio.h>
#include <string.h>

enum { PORT_LMTP = 24, PORT_SMTPS = 465, CONNECTIONS_MAX = 1000, RATE_MAX = 1000000 };

static bool next_word(ph_str *rest, ph_str *ret_word)
{
    *rest = ph_str_trim(*rest);
    size_t end = 0;
    while (end < rest->n && rest->p[end] != ' ' && rest->p[end] != '\t')
        end++;
    *ret_word = ph_str_sub(*rest, 0, end);
    *rest = ph_str_skip(*rest, end);
    return end > 0;
}

/* ---- options ----------------------------------------------------------------------------- */

static bool set_tls(struct ph_transport *t, ph_str v)
{
    t->tls = v;
    return ph_str_eq(v, PH_STR("may")) || ph_str_eq(v, PH_STR("encrypt")) ||
           ph_str_eq(v, PH_STR("verify"));
}

static bool set_source(struct ph_transport *t, ph_str v)
{
    struct ph_addr a;
    if (ph_addr_make(v, 0, &a) < 0)
        return false;
    *(a.sa.ss_family == AF_INET6 ? &t->source6 : &t->source4) = v;
    return true;
}

static bool set_user(struct ph_transport *t, ph_str v)
{
    t->user = v;
    return v.n > 0;
}

static bool set_password(struct ph_transport *t, ph_str v)
{
    t->password_file = v;
    return v.n > 1 && v.p[0] == '/';
}

static bool set_number(ph_str v, uint64_t most, unsigned *ret)
{
    uint64_t n = 0;
    bool good = ph_str_u64(v, most, &n) && n > 0;
    *ret = (unsigned)n;
    return good;
}

static bool set_connections(struct ph_transport *t, ph_str v)
{
    return set_number(v, CONNECTIONS_MAX, &t->connections);
}

static bool set_rate(struct ph_transport *t, ph_str v)
{
    return set_number(v, RATE_MAX, &t->rate);
}

static const struct {
    const char *name;
    bool (*set)(struct ph_transport *t, ph_str value);
} options[] = {{"tls=", set_tls},           {"source=", set_source},           {"user=", set_user},
               {"password=", set_password}, {"connections=", set_connections}, {"rate=", set_rate}};

static bool set_option(struct ph_transport *t, ph_str word)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        ph_str name = ph_str_c(options[i].name);
        if (ph_str_has_prefix(word, name))
            return options[i].set(t, ph_str_skip(word, name.n));
    }
    return false;
}

/* ---- the way ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum ph_transport_way way;
    unsigned port;
} ways[] = {{"smtp:", PH_TRANSPORT_SMTP, 0},
            {"smtps:", PH_TRANSPORT_SMTPS, PORT_SMTPS},
            {"lmtp:", PH_TRANSPORT_LMTP, PORT_LMTP}};

/* "host", "host:port", "[address]", "[address]:port". */
static bool set_host(struct ph_transport *t, ph_str text)
{
    bool bracket = text.n > 2 && text.p[0] == '[';
    size_t end = bracket ? ph_str_chr(text, ']') : ph_str_chr(text, ':');
    ph_str port = end == PH_NPOS ? (ph_str){0} : ph_str_skip(text, end + bracket);
    t->host = ph_str_sub(text, bracket, (end == PH_NPOS ? text.n : end) - bracket);
    if (!t->host.n || (bracket && end == PH_NPOS))
        return false;
    return !port.n || (port.p[0] == ':' && set_number(ph_str_skip(port, 1), 65535, &t->port));
}

static bool set_way(struct ph_transport *t, ph_str word)
{
    if (ph_str_eq(word, PH_STR("smtp")))
        return true;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        ph_str name = ph_str_c(ways[i].name);
        if (!ph_str_has_prefix(word, name))
            continue;
        t->way = ways[i].way;
        t->port = ways[i].port;
        return set_host(t, ph_str_skip(word, name.n));
    }
    return false;
}

static bool is_esc(ph_str word)
{
    size_t dots = 0;
    for (size_t i = 0; i < word.n; i++) {
        dots += word.p[i] == '.';
        if (word.p[i] != '.' && (word.p[i] < '0' || word.p[i] > '9'))
            return false;
    }
    return dots == 2 && word.p[0] == '5' && word.p[1] == '.' && word.n <= 9;
}

static int set_error(struct ph_transport *t, ph_str code, ph_str text, struct ph_error *reterr)
{
    ph_str rest = text, word;
    t->way = PH_TRANSPORT_ERROR;
    if (!set_number(code, 599, &t->code) || t->code < 500)
        return ph_fail(reterr, PH_EINVAL, 0,
                       "transports: error:%.*s: a reply code from 500 to 599 and a text for the "
                       "sender are needed, as in \"error:550 5.1.2 this house has closed\"",
                       PH_FMT(code));
    t->esc = PH_STR("5.3.0");
    if (next_word(&rest, &word) && is_esc(word))
        t->esc = word, text = rest;
    t->text = ph_str_trim(text);
    if (!t->text.n)
        t->text = PH_STR("this house sends no mail there");
    return 0;
}

/* ---- a row ------------------------------------------------------------------------------- */

static int parse_options(ph_str rest, struct ph_transport *t, struct ph_error *reterr)
{
    ph_str word;
    while (next_word(&rest, &word))
        if (!set_option(t, word))
            return ph_fail(reterr, PH_EINVAL, 0,
                           "transports: \"%.*s\" is not tls=may|encrypt|verify, source=ADDRESS, "
                           "user=NAME, password=/FILE, connections=N or rate=N",
                           PH_FMT(ph_str_sub(word, 0, 80)));
    if (t->user.n && (!t->password_file.n || !t->host.n))
        return ph_fail(reterr, PH_EINVAL, 0,
                       "transports: user=%.*s needs password=/FILE and a server (smtp:HOST:PORT)",
                       PH_FMT(ph_str_sub(t->user, 0, 80)));
    return 0;
}

int ph_transport_parse(ph_str row, struct ph_transport *ret_transport, struct ph_error *reterr)
{
    struct ph_transport t = {0};
    ph_str rest = row, word, from = PH_STR("from:"), error = PH_STR("error:");
    bool some = next_word(&rest, &word);
    if (some && ph_str_has_prefix(word, from)) {
        t.sender = ph_str_skip(word, from.n);
        some = t.sender.n && next_word(&rest, &word);
    }
    t.domain = word;
    if (!some || !next_word(&rest, &word))
        return ph_fail(reterr, PH_EINVAL, 0,
                       "transports: \"%.*s\" is not \"[from:SENDER] DOMAIN WAY [OPTION=VALUE]\"",
                       PH_FMT(ph_str_sub(row, 0, 80)));
    int err = 0;
    if (ph_str_has_prefix(word, error))
        err = set_error(&t, ph_str_skip(word, error.n), rest, reterr);
    else if (!set_way(&t, word))
        err = ph_fail(reterr, PH_EINVAL, 0,
                      "transports: \"%.*s\" is not smtp, smtp:HOST:PORT, smtps:HOST:PORT, "
                      "lmtp:HOST:PORT or error:CODE",
                      PH_FMT(ph_str_sub(word, 0, 80)));
    else
        err = parse_options(rest, &t, reterr);
    if (!err)
        *ret_transport = t;
    return err;
}

/* ---- fitting ----------------------------------------------------------------------------- */

static bool domain_fits(ph_str pattern, ph_str domain)
{
    if (ph_str_eq(pattern, PH_STR("*")))
        return true;
    if (pattern.n && pattern.p[0] == '.' && domain.n > pattern.n)
        domain = ph_str_skip(domain, domain.n - pattern.n);
    return domain.n && ph_str_ieq(pattern, domain);
}

static bool sender_fits(ph_str pattern, ph_str sender)
{
    size_t at = ph_str_rchr(sender, '@');
    ph_str domain = at == PH_NPOS ? (ph_str){0} : ph_str_skip(sender, at + 1);
    if (!pattern.n)
        return true;
    if (ph_str_chr(pattern, '@') == PH_NPOS)
        return domain_fits(pattern, domain);
    if (pattern.p[0] == '@')
        return domain_fits(ph_str_skip(pattern, 1), domain);
    return ph_str_ieq(pattern, sender);
}

bool ph_transport_fits(const struct ph_transport *t, ph_str sender, ph_str domain)
{
    return sender_fits(t->sender, sender) && domain_fits(t->domain, domain);
}
