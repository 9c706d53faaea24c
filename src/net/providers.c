/* The table of providers, and finding one by domain, server or MX. */
#include <posthouse/discover.h>

#define SSL(host, port)                                                                            \
    {                                                                                              \
        host, port, PH_TLS_ON                                                                      \
    }
#define UP(host, port)                                                                             \
    {                                                                                              \
        host, port, PH_TLS_STARTTLS                                                                \
    }
#define NONE                                                                                       \
    {                                                                                              \
        NULL, 0, PH_TLS_ON                                                                         \
    }
#define P(name, domains, mx, smtp, imap, pop3, user, hint)                                         \
    {name, domains, mx, {smtp, imap, pop3}, PH_USER_##user, hint},

static const struct ph_provider providers[] = {
#include "providers.def"
};
enum { PROVIDERS = sizeof providers / sizeof providers[0] };

const struct ph_provider *ph_provider_at(size_t index)
{
    return index < PROVIDERS ? &providers[index] : NULL;
}

const struct ph_provider *ph_provider_of_domain(ph_str domain)
{
    for (size_t i = 0; i < PROVIDERS; i++) {
        ph_str all = ph_str_c(providers[i].domains), one;
        while (ph_str_token(&all, ' ', &one))
            if (ph_str_ieq(one, domain))
                return &providers[i];
    }
    return NULL;
}

/* host is `end`, or ends in "." and it. */
static bool is_below(ph_str host, ph_str end)
{
    if (!end.n || host.n < end.n || !ph_str_ieq(ph_str_skip(host, host.n - end.n), end))
        return false;
    return host.n == end.n || host.p[host.n - end.n - 1] == '.';
}

const struct ph_provider *ph_provider_of_host(ph_str host)
{
    const struct ph_provider *best = NULL;
    size_t length = 0;
    if (ph_str_ieq(host, PH_STR("127.0.0.1"))) /* of a bridge, but of every server at home, too */
        return NULL;
    if (ph_str_has_suffix(host, PH_STR(".")))
        host.n--;
    for (size_t i = 0; i < PROVIDERS; i++) {
        ph_str all = ph_str_c(providers[i].mx), one;
        for (int s = 0; s < PH_SERVICE_COUNT; s++)
            if (host.n && ph_str_ieq(host, ph_str_c(providers[i].service[s].host)))
                return &providers[i];
        while (ph_str_token(&all, ' ',
                            &one)) /* the longest end that fits: Outlook.com before Microsoft 365 */
            if (one.n > length && is_below(host, one)) {
                best = &providers[i];
                length = one.n;
            }
    }
    return best;
}
