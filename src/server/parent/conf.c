/* The effective configuration: defaults, the file, --set; and what is empty there and found out
 * here. */
#include "parent_int.h"

#include "file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static void complain(void *ctx, const char *where, const char *what)
{
    (void)ctx;
    fprintf(stderr, "posthouse: %s: %s\n", where, what);
}

static int read_file(struct ph_conf *c, const char *path)
{
    int r = ph_conf_read(c, path, complain, NULL);
    return r == -PH_EIO ? EX_NOINPUT : r == -PH_ENOMEM ? EX_OSERR : r ? EX_CONFIG : 0;
}

static int apply_sets(struct ph_conf *c, const char *const *sets)
{
    int code = 0;
    for (; sets && *sets; sets++) {
        ph_str text = ph_str_c(*sets);
        size_t eq = ph_str_chr(text, '=');
        struct ph_error e = {0};
        int r = eq == PH_NPOS
                    ? ph_fail(&e, PH_EINVAL, 0, "name=value is expected")
                    : ph_conf_set(c, ph_str_sub(text, 0, eq), ph_str_skip(text, eq + 1), &e);
        if (r) {
            fprintf(stderr, "posthouse: --set %s: %s\n", *sets, e.text);
            code = EX_CONFIG;
        }
    }
    return code;
}

/* The name of the machine, when it is one that mail can be sent under. */
static void find_hostname(struct ph_conf *c)
{
    char name[256];
    if (c->hostname.n)
        return;
    if (gethostname(name, sizeof name) ||
        ph_conf_set(c, PH_STR("hostname"), ph_str_c(name), NULL) || !c->hostname.n)
        c->hostname = PH_STR("localhost");
}

static int find_data(struct ph_conf *c, const struct parent_options *opt)
{
    char real[PATH_MAX], given[PATH_MAX];
    snprintf(given, sizeof given, "%.*s", PH_FMT(c->data));
    if (opt->data_given || !c->data.n)
        snprintf(given, sizeof given, "%s", opt->data);
    struct ph_error e = {0};
    if (!ph_conf_set(c, PH_STR("data"), ph_str_c(realpath(given, real) ? real : given), &e))
        return 0;
    fprintf(stderr, "posthouse: %s\n", e.text);
    return EX_CONFIG;
}

int parent_conf(const struct parent_options *opt, struct ph_conf **ret_conf)
{
    char beside[PATH_MAX];
    struct ph_conf *c = ph_conf_new();
    const char *file = opt->config;
    int code = c ? 0 : EX_OSERR;
    snprintf(beside, sizeof beside, "%s/posthouse.conf", opt->data);
    if (!file && ph_file_exists(beside))
        file = beside;
    if (!code && file)
        code = read_file(c, file);
    if (!code || code == EX_CONFIG) { /* all mistakes at once */
        int more = apply_sets(c, opt->sets);
        code = code ? code : more;
    }
    if (!code)
        code = find_data(c, opt);
    if (code) {
        ph_conf_free(c);
        return code;
    }
    find_hostname(c);
    *ret_conf = c;
    return 0;
}
