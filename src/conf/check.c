/* What a value must be beyond its kind and range: one row a setting, or a group of them by
 * prefix. */
#include "ascii.h"
#include "conf_int.h"

#include "sock.h"
#include "transport.h"

#include <string.h>

typedef int check_fn(const struct ph__conf_row *row, ph_str value, const char *arg,
                     struct ph_error *reterr);

/* arg: the words, separated by '|'. */
static int one_of(const struct ph__conf_row *row, ph_str value, const char *arg,
                  struct ph_error *reterr)
{
    ph_str rest = ph_str_c(arg), word;
    while (ph_str_token(&rest, '|', &word))
        if (ph_str_eq(word, value))
            return 0;
    return ph_fail(reterr, PH_EINVAL, 0, "%s: \"%.*s\" is not one of %s", row->name, PH_FMT(value),
                   arg);
}

static int address(const struct ph__conf_row *row, ph_str value, const char *arg,
                   struct ph_error *reterr)
{
    struct ph_addr a;
    struct ph_error e;
    (void)arg;
    if (!ph_addr_parse(value, &a, &e))
        return 0;
    return ph_fail(reterr, PH_EINVAL, 0, "%s: %s", row->name, e.text);
}

/* An address without port. */
static int ip(const struct ph__conf_row *row, ph_str value, const char *arg,
              struct ph_error *reterr)
{
    struct ph_addr a;
    (void)arg;
    if (!value.n || !ph_addr_make(value, 1, &a))
        return 0;
    return ph_fail(reterr, PH_EINVAL, 0, "%s: \"%.*s\" is not an IP address", row->name,
                   PH_FMT(value));
}

static int range(const struct ph__conf_row *row, ph_str value, const char *arg,
                 struct ph_error *reterr)
{
    struct ph_ip_range r;
    (void)arg;
    if (!ph_ip_range_parse(value, &r))
        return 0;
    return ph_fail(reterr, PH_EINVAL, 0, "%s: \"%.*s\" is not an address or network (192.0.2.0/24)",
                   row->name, PH_FMT(value));
}

static int transport(const struct ph__conf_row *row, ph_str value, const char *arg,
                     struct ph_error *reterr)
{
    struct ph_transport t;
    (void)row, (void)arg;
    return ph_transport_parse(value, &t, reterr);
}

static int host_port(const struct ph__conf_row *row, ph_str value, const char *arg,
                     struct ph_error *reterr)
{
    uint64_t port;
    (void)arg;
    size_t colon = ph_str_rchr(value, ':');
    if (!value.n || (colon != PH_NPOS && colon > 0 &&
                     ph_str_u64(ph_str_skip(value, colon + 1), 65535, &port) && port))
        return 0;
    return ph_fail(reterr, PH_EINVAL, 0, "%s: \"%.*s\" is not host:port", row->name, PH_FMT(value));
}

static int host_name(const struct ph__conf_row *row, ph_str value, const char *arg,
                     struct ph_error *reterr)
{
    (void)arg;
    for (size_t i = 0; i < value.n; i++) {
        char ch = value.p[i];
        bool ok = ph_is_alnum(ch) || ch == '-' || ch == '.';
        if (!ok || (ch == '.' && (i == 0 || value.p[i - 1] == '.')))
            return ph_fail(reterr, PH_EINVAL, 0, "%s: \"%.*s\" is not a host name", row->name,
                           PH_FMT(value));
    }
    return 0;
}

static const struct {
    const char *name; /* a setting, or a prefix that ends in '_' */
    check_fn *fn;
    const char *arg;
} checks[] = {
    {"hostname", host_name, NULL},
    {"listen_", address, NULL},
    {"limits_exempt", range, NULL},
    {"proxy_from", range, NULL},
    {"xclient_from", range, NULL},
    {"log", one_of, "auto|human|json"},
    {"log_level", one_of, "debug|info|warn|error"},
    {"relay_source", ip, NULL},
    {"relay_tls", one_of, "may|encrypt|verify"},
    {"smarthost", host_port, NULL},
    {"transports", transport, NULL},
    {"plaintext_login", one_of, "never|loopback"},
    {"quota_full", one_of, "wait|bounce"},
    {"bare_newlines", one_of, "refuse|keep"},
    {"sender_policy", one_of, "envelope|header"},
};

int ph__conf_check(const struct ph__conf_row *row, ph_str value, struct ph_error *reterr)
{
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        size_t n = strlen(checks[i].name);
        bool group = checks[i].name[n - 1] == '_';
        if (group ? !strncmp(row->name, checks[i].name, n) : !strcmp(row->name, checks[i].name))
            return checks[i].fn(row, value, checks[i].arg, reterr);
    }
    return 0;
}
