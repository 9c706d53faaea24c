/*
 * posthouse/discover.h - from an address alone to its servers: built-in providers, SRV records (RFC
 * 6186, 8314), the autoconfiguration of Thunderbird, then a guess from the MX.
 */
#ifndef POSTHOUSE_DISCOVER_H
#define POSTHOUSE_DISCOVER_H
#include <posthouse/net.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ph_service { PH_SERVICE_SMTP, PH_SERVICE_IMAP, PH_SERVICE_POP3, PH_SERVICE_COUNT };

/* A row of providers.def. domains: space-separated; hosts in their mx end in one of `mx`.
 * Static. */
struct ph_provider {
    const char *name, *domains, *mx;
    struct {
        const char *host; /* NULL: not offered */
        unsigned port;
        enum ph_tls_mode tls;
    } service[PH_SERVICE_COUNT];
    enum { PH_USER_ADDRESS, PH_USER_LOCAL } user; /* what is logged in with */
    const char *hint; /* what the provider wants, and where it is made; "" when nothing */
};
PH_EXPORT const struct ph_provider *ph_provider_at(size_t index);         /* NULL behind the last */
PH_EXPORT const struct ph_provider *ph_provider_of_domain(ph_str domain); /* NULL: none of them */
PH_EXPORT const struct ph_provider *
ph_provider_of_host(ph_str host); /* by server name or MX; of 127.0.0.1: NULL */

struct ph_server {
    bool known;
    char host[256];
    unsigned port;
    enum ph_tls_mode tls;
    char user[352]; /* to log in with */
};
struct ph_discovered {
    struct ph_server service[PH_SERVICE_COUNT];
    enum {
        PH_BY_NOTHING,
        PH_BY_PRESET,
        PH_BY_SRV,
        PH_BY_AUTOCONFIG,
        PH_BY_MX
    } by[PH_SERVICE_COUNT];
    const struct ph_provider *provider; /* NULL: nobody known */
};

struct ph_srv {
    char host[256];
    unsigned port, priority, weight;
};

/* How the outside is asked; a member that is NULL asks nothing. */
struct ph_lookup {
    /* SRV (RFC 2782) of a name, or MX of a domain, best first: at most max into rows. The number, 0
     * none, or negative. */
    int (*srv)(void *ctx, const char *name, struct ph_srv *rows, size_t max);
    int (*mx)(void *ctx, const char *domain, struct ph_srv *rows, size_t max);
    /* The body behind an https URL, at most what `out` takes. 0, or negative. */
    int (*get)(void *ctx, const char *url, struct ph_buf *out);
    void *ctx;
};
/* The system's resolver and libcurl; each question is given timeout_ms (0: 5 s). */
struct ph_lookup_system {
    int64_t timeout_ms;
};
PH_EXPORT void ph_lookup_init(struct ph_lookup *l, struct ph_lookup_system *storage);

/* address: "local@domain". lookup NULL: the providers of the table alone. 0 when at least one
 * service was found; -PH_ENOENT: none, reterr tells what was tried; -PH_EINVAL: not an address;
 * -PH_ENOMEM. Nothing is connected to: try the login. */
PH_EXPORT PH_MUST_CHECK int ph_discover(ph_str address, const struct ph_lookup *lookup,
                                        struct ph_discovered *ret_found, struct ph_error *reterr);
/* One service of what was found, for connecting: host, port, tls and user point into `found`. */
PH_EXPORT void ph_discovered_account(const struct ph_discovered *found, enum ph_service service,
                                     struct ph_account *account);

#ifdef __cplusplus
}
#endif
#endif
