/*
 * From an address to its servers. Each source fills the services that those before it did not:
 *
 *   provider of the domain -> SRV -> autoconfiguration -> provider of the MX -> the MX itself
 */
#include "ascii.h"
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <posthouse/discover.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_MAX = 256 * 1024, URL_MAX = 600, RECORDS = 16 };

struct search {
    ph_str address, local, domain;
    const struct ph_lookup *l;
    struct ph_discovered *found;
};

/* ---- filling ------------------------------------------------------------------------------- */

static bool is_host(ph_str s)
{
    if (!s.n || s.n > 253)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!ph_is_alnum(c) && c != '-' && c != '.')
            return false;
    }
    return s.p[0] != '.' && s.p[0] != '-';
}

static bool fill(struct search *s, enum ph_service service, ph_str host, unsigned port,
                 enum ph_tls_mode tls, ph_str user, int by)
{
    struct ph_server *to = &s->found->service[service];
    if (to->known || !is_host(host) || port == 0 || port > 65535 || user.n >= sizeof to->user)
        return false;
    *to = (struct ph_server){.known = true, .port = port, .tls = tls};
    snprintf(to->host, sizeof to->host, "%.*s", PH_FMT(host));
    snprintf(to->user, sizeof to->user, "%.*s", PH_FMT(user));
    s->found->by[service] = by;
    return true;
}

static bool is_complete(const struct search *s)
{
    for (int i = 0; i < PH_SERVICE_COUNT; i++)
        if (!s->found->service[i].known)
            return false;
    return true;
}

static void by_provider(struct search *s, const struct ph_provider *p, int by)
{
    if (!p)
        return;
    s->found->provider = p;
    for (int i = 0; i < PH_SERVICE_COUNT; i++)
        if (p->service[i].host)
            fill(s, (enum ph_service)i, ph_str_c(p->service[i].host), p->service[i].port,
                 p->service[i].tls, p->user == PH_USER_LOCAL ? s->local : s->address, by);
}

/* ---- SRV (RFC 6186 3, RFC 8314 5.1) ---------------------------------------------------------- */

static void by_srv(struct search *s)
{
    static const struct {
        const char *name;
        enum ph_service service;
        enum ph_tls_mode tls;
    } rows[] = {{"_submissions._tcp", PH_SERVICE_SMTP, PH_TLS_ON},
                {"_submission._tcp", PH_SERVICE_SMTP, PH_TLS_STARTTLS},
                {"_imaps._tcp", PH_SERVICE_IMAP, PH_TLS_ON},
                {"_imap._tcp", PH_SERVICE_IMAP, PH_TLS_STARTTLS},
                {"_pop3s._tcp", PH_SERVICE_POP3, PH_TLS_ON},
                {"_pop3._tcp", PH_SERVICE_POP3, PH_TLS_STARTTLS}};
    for (size_t i = 0; s->l->srv && i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_srv all[RECORDS];
        char name[300];
        if (s->found->service[rows[i].service].known)
            continue;
        snprintf(name, sizeof name, "%s.%.*s", rows[i].name, PH_FMT(s->domain));
        int n = s->l->srv(s->l->ctx, name, all, RECORDS);
        /* A target of "." says that there is no such service: is_host() refuses it. */
        for (int k = 0; k < n && k < RECORDS; k++)
            if (fill(s, rows[i].service, ph_str_c(all[k].host), all[k].port, rows[i].tls,
                     s->address, PH_BY_SRV))
                break;
    }
}

/* ---- autoconfiguration --------------------------------------------------------------------- */

/* The text of the child `name`, trimmed; borrowed from the document. */
static ph_str child_text(const xmlNode *of, const char *name)
{
    for (const xmlNode *n = of->children; n; n = n->next)
        if (n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, name) == 0 &&
            n->children && n->children->type == XML_TEXT_NODE)
            return ph_str_trim(ph_str_c((const char *)n->children->content));
    return (ph_str){0};
}

static ph_str user_of(const struct search *s, ph_str form)
{
    return ph_str_eq(form, PH_STR("%EMAILLOCALPART%")) ? s->local : s->address;
}

static void read_server(struct search *s, const xmlNode *n)
{
    static const struct {
        const char *element, *type;
        enum ph_service service;
    } rows[] = {{"outgoingServer", "smtp", PH_SERVICE_SMTP},
                {"incomingServer", "imap", PH_SERVICE_IMAP},
                {"incomingServer", "pop3", PH_SERVICE_POP3}};
    xmlChar *type = xmlGetNoNsProp(n, (const xmlChar *)"type");
    ph_str socket = child_text(n, "socketType");
    uint64_t port = 0;
    bool ssl = ph_str_ieq(socket, PH_STR("SSL")), up = ph_str_ieq(socket, PH_STR("STARTTLS"));
    /* "plain" would show the password to everybody: such an entry is as good as none. */
    bool usable = type && (ssl || up) && ph_str_u64(child_text(n, "port"), 65535, &port);
    for (size_t i = 0; usable && i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp((const char *)n->name, rows[i].element) == 0 &&
            strcmp((const char *)type, rows[i].type) == 0)
            fill(s, rows[i].service, child_text(n, "hostname"), (unsigned)port,
                 ssl ? PH_TLS_ON : PH_TLS_STARTTLS, user_of(s, child_text(n, "username")),
                 PH_BY_AUTOCONFIG);
    xmlFree(type);
}

static void read_config(struct search *s, ph_str xml)
{
    xmlDoc *doc = xmlReadMemory(xml.p, (int)xml.n, "config.xml", NULL,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                    XML_PARSE_NOCDATA);
    const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    for (const xmlNode *p = root ? root->children : NULL; p; p = p->next)
        for (const xmlNode *n = p->type == XML_ELEMENT_NODE ? p->children : NULL; n; n = n->next)
            if (n->type == XML_ELEMENT_NODE)
                read_server(s, n);
    xmlFreeDoc(doc);
}

/* https alone: who can answer for the domain in clear could send passwords anywhere. The address
 * itself is told to nobody. */
static void by_autoconfig(struct search *s, ph_str domain)
{
    static const struct {
        const char *before, *behind;
    } urls[] = {{"https://autoconfig.", "/mail/config-v1.1.xml"},
                {"https://", "/.well-known/autoconfig/mail/config-v1.1.xml"},
                {"https://autoconfig.thunderbird.net/v1.1/", ""}};
    for (size_t i = 0; s->l->get && i < sizeof urls / sizeof urls[0] && !is_complete(s); i++) {
        struct ph_buf body;
        char url[URL_MAX];
        ph_buf_init(&body, NULL, CONFIG_MAX);
        snprintf(url, sizeof url, "%s%.*s%s", urls[i].before, PH_FMT(domain), urls[i].behind);
        if (s->l->get(s->l->ctx, url, &body) == 0 && !ph_buf_err(&body) && body.n)
            read_config(s, ph_buf_str(&body));
        ph_buf_done(&body);
    }
}

/* ---- MX ------------------------------------------------------------------------------------ */

/* Who takes the domain's mail is mostly who keeps it: a known provider, its autoconfiguration, or
 * the machine itself. */
static void by_mx(struct search *s)
{
    struct ph_srv all[RECORDS];
    char domain[300];
    snprintf(domain, sizeof domain, "%.*s", PH_FMT(s->domain));
    int n = s->l->mx ? s->l->mx(s->l->ctx, domain, all, RECORDS) : 0;
    for (int i = 0; i < n && i < RECORDS; i++)
        by_provider(s, ph_provider_of_host(ph_str_c(all[i].host)), PH_BY_MX);
    if (n <= 0 || is_complete(s) || s->found->provider)
        return;
    ph_str mx = ph_str_c(all[0].host), base = mx;
    size_t dot = ph_str_chr(base, '.');
    if (dot != PH_NPOS && ph_str_chr(ph_str_skip(base, dot + 1), '.') != PH_NPOS)
        base = ph_str_skip(base, dot + 1);
    if (is_host(base) && !ph_str_ieq(base, s->domain))
        by_autoconfig(s, base);
    fill(s, PH_SERVICE_SMTP, mx, 465, PH_TLS_ON, s->address, PH_BY_MX);
    fill(s, PH_SERVICE_IMAP, mx, 993, PH_TLS_ON, s->address, PH_BY_MX);
    fill(s, PH_SERVICE_POP3, mx, 995, PH_TLS_ON, s->address, PH_BY_MX);
}

/* ---- the calls ----------------------------------------------------------------------------- */

int ph_discover(ph_str address, const struct ph_lookup *lookup, struct ph_discovered *ret_found,
                struct ph_error *reterr)
{
    static const struct ph_lookup nobody = {0};
    struct ph_discovered found = {0};
    size_t at = ph_str_rchr(address, '@');
    struct search s = {.address = address, .l = lookup ? lookup : &nobody, .found = &found};
    if (at == PH_NPOS || at == 0 || address.n >= sizeof found.service[0].user ||
        !is_host(ph_str_skip(address, at + 1)))
        return ph_fail(reterr, PH_EINVAL, 0, "\"%.*s\" is not an address: write name@domain",
                       PH_FMT(ph_str_sub(address, 0, 150)));
    s.local = ph_str_sub(address, 0, at);
    s.domain = ph_str_skip(address, at + 1);
    by_provider(&s, ph_provider_of_domain(s.domain), PH_BY_PRESET);
    if (!found.provider) {
        by_srv(&s);
        if (!is_complete(&s))
            by_autoconfig(&s, s.domain);
        if (!is_complete(&s))
            by_mx(&s);
    }
    bool any = false;
    for (int i = 0; i < PH_SERVICE_COUNT; i++)
        any |= found.service[i].known;
    if (!any)
        return ph_fail(reterr, PH_ENOENT, 0,
                       "the servers of %.*s are not known: no preset, no SRV records, no "
                       "autoconfiguration, no MX; ask the provider for their names%s%s",
                       PH_FMT(ph_str_sub(s.domain, 0, 60)), found.provider ? ". " : "",
                       found.provider ? found.provider->hint : "");
    *ret_found = found;
    return 0;
}

void ph_discovered_account(const struct ph_discovered *found, enum ph_service service,
                           struct ph_account *account)
{
    const struct ph_server *s = &found->service[service];
    account->host = ph_str_c(s->host);
    account->port = s->port;
    account->tls = s->tls;
    account->user = ph_str_c(s->user);
}
