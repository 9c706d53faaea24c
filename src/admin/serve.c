/* posthouse serve, check-config, config: what reads the configuration. */
#include "admin.h"
#include "conf.h"
#include "file.h"
#include "parent.h"
#include "token.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { KEYS_MAX = 262144 }; /* octets of a file of keys */

static const char details[] =
    "Without a configuration file it serves unprivileged ports on 127.0.0.1 with a self-signed "
    "certificate:\n"
    "  posthouse serve --data /tmp/house &\n"
    "  posthouse account add alice@a.test --generate --data /tmp/house\n"
    "SIGTERM or Ctrl-C stops it when work under way is done, SIGHUP reads configuration and "
    "certificates again.\n"
    "Settings: posthouse.conf(5). What would be used: posthouse config.\n";

/* --set may be given many times. */
struct sets {
    const char *v[256];
    size_t n;
};

static void add_set(void *ctx, const char *value)
{
    struct sets *s = ctx;
    if (s->n + 1 < sizeof s->v / sizeof *s->v)
        s->v[s->n++] = value;
}

static const char *config_file(const char *given)
{
    const char *env = getenv("POSTHOUSE_CONFIG");
    return given ? given : env && *env ? env : NULL;
}

int admin_serve(int argc, char **argv)
{
    struct sets sets = {0};
    struct admin_args a;
    const char *config = NULL, *ready = NULL;
    uint64_t fd = 0;
    const struct admin_option opts[] = {
        {.name = "--config",
         .value = &config,
         .help = "--config FILE      the configuration (default: $POSTHOUSE_CONFIG, else "
                 "DATA/posthouse.conf if there)"},
        {.name = "--set",
         .each = add_set,
         .ctx = &sets,
         .help = "--set NAME=VALUE   a setting, over the file; may be given again"},
        {.name = "--ready-fd",
         .value = &ready,
         .help = "--ready-fd N       write a line to descriptor N when every process serves"},
        {0}};
    int left = admin_options(argc, argv, opts, details, 0, 0, &a);
    if (left >= 0)
        return left;
    if (ready && (!ph_str_u64(ph_str_c(ready), INT_MAX, &fd) || fcntl((int)fd, F_GETFD) < 0))
        return admin_fail(EX_USAGE, "--ready-fd %s: there is no such descriptor", ready);
    if (ready)
        fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    struct parent_options opt = {.data = a.data,
                                 .data_given = a.data_given,
                                 .config = config_file(config),
                                 .sets = sets.v,
                                 .ready_fd = ready ? (int)fd : -1};
    return parent_serve(&opt);
}

static int check_keys(const struct ph_conf *c, struct ph_error *reterr)
{
    char path[4200];
    struct ph_buf text;
    struct ph_error e = {0};
    struct ph_token_keys *keys = NULL;
    if (!c->oauth_keys.n)
        return 0;
    snprintf(path, sizeof path, "%.*s", PH_FMT(c->oauth_keys));
    ph_buf_init(&text, NULL, KEYS_MAX);
    int r = ph_file_read(path, &text, &e);
    if (r == 0)
        r = ph_token_keys_read(ph_buf_str(&text), &keys, &e);
    ph_token_keys_free(keys);
    ph_buf_done(&text);
    return r < 0 ? ph_fail(reterr, PH_EINVAL, 0, "oauth_keys: %s", e.text) : 0;
}

int admin_check_config(int argc, char **argv)
{
    struct admin_args a;
    struct ph_conf *c = NULL;
    int left = admin_options(
        argc, argv, NULL,
        "Every mistake is told with its line; then the files that it names are read. The exit\n"
        "code is 78 when something is wrong.\n",
        0, 1, &a);
    if (left >= 0)
        return left;
    struct parent_options opt = {.data = a.data,
                                 .data_given = a.data_given,
                                 .config = config_file(a.count ? a.args[0] : NULL)};
    int code = parent_conf(&opt, &c);
    struct ph_error e = {0};
    if (!code && (parent_check_files(c, &e) < 0 || check_keys(c, &e) < 0))
        code = admin_fail(EX_CONFIG, "%s", e.text);
    if (!code)
        puts("the configuration is good");
    ph_conf_free(c);
    return code;
}

int admin_config(int argc, char **argv)
{
    struct sets sets = {0};
    struct admin_args a;
    struct ph_conf *c = NULL;
    struct ph_buf text;
    const char *config = NULL;
    bool manual = false;
    const struct admin_option opts[] = {
        {.name = "--config", .value = &config, .help = "--config FILE      as for serve"},
        {.name = "--set", .each = add_set, .ctx = &sets, .help = "--set NAME=VALUE   as for serve"},
        {.name = "--manual",
         .flag = &manual,
         .help = "--manual           the settings section of posthouse.conf(5), for the build"},
        {0}};
    int left = admin_options(argc, argv, opts,
                             "Prints every setting with its value, in the syntax of the file.\n", 0,
                             0, &a);
    if (left >= 0)
        return left;
    struct parent_options opt = {
        .data = a.data, .data_given = a.data_given, .config = config_file(config), .sets = sets.v};
    int code = manual ? 0 : parent_conf(&opt, &c);
    ph_buf_init(&text, NULL, 1 << 20);
    if (manual)
        ph_conf_manual(&text);
    else if (!code)
        ph_conf_print(c, &text);
    fputs(ph_buf_cstr(&text), stdout);
    ph_buf_done(&text);
    ph_conf_free(c);
    return code;
}
