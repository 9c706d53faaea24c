/* Account files: which one is meant, reading it, writing one; and the verb `post accounts`. */
#include "account.h"
#include "file.h"
#include <confuse.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { ACCOUNTS_MAX = 1000, FILE_PATH = POST_PATH + POST_ACCOUNT_NAME + 16 };

const char *post_config_dir(char buf[POST_PATH])
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (xdg && *xdg)
        snprintf(buf, POST_PATH, "%s/post", xdg);
    else
        snprintf(buf, POST_PATH, "%s/.config/post", home ? home : "");
    return buf;
}

bool post_account_name_ok(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= POST_ACCOUNT_NAME && name[0] != '.' && !strchr(name, '/') &&
           strcmp(name, "default") != 0;
}

static void file_of(const char *name, char buf[FILE_PATH])
{
    char dir[POST_PATH];
    snprintf(buf, FILE_PATH, "%s/%.*s%s", post_config_dir(dir), POST_ACCOUNT_NAME, name,
             strcmp(name, "default") == 0 ? "" : ".conf");
}

/* ---- all of them ------------------------------------------------------------------------- */

struct names {
    char v[ACCOUNTS_MAX][POST_ACCOUNT_NAME + 8];
    size_t n;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void find_all(struct names *all)
{
    char dir[POST_PATH];
    DIR *d = opendir(post_config_dir(dir));
    all->n = 0;
    for (struct dirent *e; d && (e = readdir(d)) && all->n < ACCOUNTS_MAX;) {
        size_t n = strlen(e->d_name);
        if (n <= 5 || n > POST_ACCOUNT_NAME + 5 || strcmp(e->d_name + n - 5, ".conf") != 0)
            continue;
        e->d_name[n - 5] = '\0';
        if (post_account_name_ok(e->d_name))
            snprintf(all->v[all->n++], sizeof all->v[0], "%s", e->d_name);
    }
    if (d)
        closedir(d);
    qsort(all->v, all->n, sizeof all->v[0], by_name);
}

/* The name of the default account: what the link says, else the only one there is. */
static const char *find_default(char name[POST_PATH])
{
    char path[FILE_PATH];
    struct names *all;
    file_of("default", path);
    ssize_t n = readlink(path, name, POST_PATH - 1);
    if (n > 5) {
        name[n - 5] = '\0';
        return name;
    }
    all = malloc(sizeof *all);
    if (!all)
        return NULL;
    find_all(all);
    bool lone = all->n == 1;
    if (lone)
        snprintf(name, POST_PATH, "%s", all->v[0]);
    free(all);
    return lone ? name : NULL;
}

/* ---- one --------------------------------------------------------------------------------- */

static void complain(cfg_t *cfg, const char *fmt, va_list ap) PH_PRINTF(2, 0);
static void complain(cfg_t *cfg, const char *fmt, va_list ap)
{
    char text[512];
    vsnprintf(text, sizeof text, fmt, ap);
    post_fail(EX_CONFIG, "%s:%d: %s", cfg && cfg->filename ? cfg->filename : "account",
              cfg ? cfg->line : 0, text);
}

static int parse(struct post_login *l, const char *path)
{
#define OF_PROTOCOL(p)                                                                             \
    CFG_STR(p "_server", NULL, CFGF_NONE), CFG_STR(p "_port", NULL, CFGF_NONE),                    \
        CFG_STR(p "_tls", NULL, CFGF_NONE)
    cfg_opt_t opts[] = {OF_PROTOCOL("smtp"),
                        OF_PROTOCOL("pop3"),
                        OF_PROTOCOL("imap"),
                        CFG_STR("server", NULL, CFGF_NONE),
                        CFG_STR("tls", NULL, CFGF_NONE),
                        CFG_STR("protocol", NULL, CFGF_NONE),
                        CFG_STR("ca", NULL, CFGF_NONE),
                        CFG_STR("user", NULL, CFGF_NONE),
                        CFG_STR("password_file", NULL, CFGF_NONE),
                        CFG_STR("password_command", NULL, CFGF_NONE),
                        CFG_STR("password_env", NULL, CFGF_NONE),
                        CFG_STR("from", NULL, CFGF_NONE),
                        CFG_STR("auth", NULL, CFGF_NONE),
                        CFG_STR("cert", NULL, CFGF_NONE),
                        CFG_STR("key", NULL, CFGF_NONE),
                        CFG_STR("proxy", NULL, CFGF_NONE),
                        CFG_STR("timeout", NULL, CFGF_NONE),
                        CFG_BOOL("oauth", cfg_false, CFGF_NONE),
                        CFG_BOOL("plaintext", cfg_false, CFGF_NONE),
                        CFG_BOOL("insecure", cfg_false, CFGF_NONE),
                        CFG_END()};
#undef OF_PROTOCOL
    l->cfg = cfg_init(opts, CFGF_NONE);
    if (!l->cfg)
        return post_fail(EX_OSERR, "out of memory");
    cfg_set_error_function(l->cfg, complain);
    int rc = cfg_parse(l->cfg, path);
    if (rc == CFG_SUCCESS)
        return 0;
    post_account_close(l);
    return rc == CFG_FILE_ERROR ? post_fail(EX_CONFIG, "cannot read %s: %s", path, strerror(errno))
                                : EX_CONFIG;
}

int post_account_open(struct post_login *l)
{
    char name[POST_PATH], path[FILE_PATH];
    const char *file = getenv("POST_CONFIG"), *asked = l->account_name;
    if (l->cfg)
        return 0;
    if (!asked)
        asked = getenv("POST_ACCOUNT");
    if (asked && *asked) {
        if (!post_account_name_ok(asked))
            return post_fail(EX_USAGE, "\"%s\" cannot be the name of an account", asked);
        file_of(asked, path);
        if (!ph_file_exists(path))
            return post_fail(EX_CONFIG, "there is no account %s; post accounts shows them", asked);
        return parse(l, path);
    }
    /* Whoever names a server means that one: its password is not that of the default account. */
    if (l->server || getenv("POST_SERVER"))
        return 0;
    if (file)
        return access(file, F_OK) == 0 ? parse(l, file) : 0;
    if (!find_default(name) || !post_account_name_ok(name))
        return 0;
    file_of(name, path);
    return parse(l, path);
}

void post_account_close(struct post_login *l)
{
    if (l->cfg)
        cfg_free(l->cfg);
    l->cfg = NULL;
}

const char *post_account_get(const struct post_login *l, const char *prefix, const char *key)
{
    char name[64];
    if (!l->cfg)
        return NULL;
    snprintf(name, sizeof name, "%s_%s", prefix, key);
    const char *value = *prefix ? cfg_getstr(l->cfg, name) : NULL;
    if (!value && cfg_getopt(l->cfg, key))
        value = cfg_getstr(l->cfg, key);
    return value && *value ? value : NULL;
}

bool post_account_is(const struct post_login *l, const char *key)
{
    return l->cfg && cfg_getbool(l->cfg, key);
}

/* ---- writing ----------------------------------------------------------------------------- */

/* The link changes in one step: made beside, renamed over. */
static int make_default(const char *name)
{
    char target[POST_ACCOUNT_NAME + 8], path[FILE_PATH], beside[FILE_PATH + 8];
    snprintf(target, sizeof target, "%.*s.conf", POST_ACCOUNT_NAME, name);
    file_of("default", path);
    snprintf(beside, sizeof beside, "%s.new", path);
    unlink(beside);
    if (symlink(target, beside) < 0 || rename(beside, path) < 0)
        return post_fail(EX_CANTCREAT, "cannot make %s: %s", path, strerror(errno));
    return 0;
}

int post_account_write(const char *name, ph_str content)
{
    char path[FILE_PATH], dir[POST_PATH], other[POST_PATH];
    struct ph_error e;
    if (!post_account_name_ok(name))
        return post_fail(EX_USAGE, "\"%s\" cannot be the name of an account", name);
    bool first = !find_default(other);
    file_of(name, path);
    if (ph_mkdirs(post_config_dir(dir), 0700, &e) < 0 || ph_file_write(path, content, 0600, &e) < 0)
        return post_fail(EX_CANTCREAT, "%s", e.text);
    return first ? make_default(name) : 0;
}

/* ---- post accounts ----------------------------------------------------------------------- */

static int show(const char *name, bool is_default, bool json, bool first)
{
    static const char *const keys[] = {"from", "user", "protocol"}, *const of[] = {"smtp", "imap",
                                                                                   "pop3"};
    struct post_login l = {.account_name = name};
    int rc = post_account_open(&l);
    if (rc)
        return rc;
    if (json) {
        printf("%s{\"name\":", first ? "" : ",\n");
        post_json_string(stdout, ph_str_c(name));
        printf(",\"default\":%s", is_default ? "true" : "false");
        for (size_t i = 0; i < 6; i++) {
            const char *value = i < 3 ? post_account_get(&l, "", keys[i])
                                      : post_account_get(&l, of[i - 3], "server");
            printf(",\"%s\":", i < 3 ? keys[i] : of[i - 3]);
            post_json_string(stdout, ph_str_c(value));
        }
        putchar('}');
    } else {
        const char *from = post_account_get(&l, "", "from");
        printf("%c %-28s ", is_default ? '*' : ' ', name);
        post_print(stdout, ph_str_c(from));
        for (size_t i = 0; i < 3; i++) {
            const char *server = post_account_get(&l, of[i], "server");
            if (server)
                printf("  %s %s", of[i], server);
        }
        putchar('\n');
    }
    post_account_close(&l);
    return 0;
}

static int show_all(bool json)
{
    char name[POST_PATH];
    struct names *all = malloc(sizeof *all);
    int rc = 0;
    if (!all)
        return post_fail(EX_OSERR, "out of memory");
    const char *def = find_default(name);
    find_all(all);
    if (json)
        putchar('[');
    for (size_t i = 0; rc == 0 && i < all->n; i++)
        rc = show(all->v[i], def && strcmp(def, all->v[i]) == 0, json, i == 0);
    if (json)
        puts("]");
    else if (all->n == 0)
        puts("there is no account yet; post setup ADDRESS makes one");
    free(all);
    return rc;
}

static int removed(const char *name)
{
    char path[FILE_PATH], link[FILE_PATH], target[FILE_PATH] = "", password[FILE_PATH + 16];
    file_of(name, path);
    if (unlink(path) < 0)
        return post_fail(EX_NOINPUT, "cannot remove %s: %s", path, strerror(errno));
    snprintf(password, sizeof password, "%.*s.password", (int)strlen(path) - 5, path);
    if (unlink(password) < 0 && errno != ENOENT)
        return post_fail(EX_IOERR, "cannot remove %s: %s", password, strerror(errno));
    file_of("default", link);
    (void)!readlink(link, target, sizeof target - 1);
    if (strncmp(target, name, strlen(name)) == 0 && strcmp(target + strlen(name), ".conf") == 0)
        unlink(link);
    return 0;
}

int post_accounts(int argc, char **argv)
{
    static const char details[] =
        "Columns: * for the one that is meant when none is named, its name, its sender, its "
        "servers.\n"
        "An account is a file in $XDG_CONFIG_HOME/post/, NAME.conf; post setup makes one.\n";
    const char *make = NULL, *drop = NULL;
    bool json = false;
    const struct post_option own[] = {
        {"--default", "NAME", .value = &make, .help = "this one is meant when none is named"},
        {"--remove", "NAME", .value = &drop, .help = "forget it, and its password"},
        {"--json", NULL, .flag = &json, .help = "as JSON"},
        {0}};
    const struct post_option *const tables[] = {own, NULL};
    char path[FILE_PATH];
    int rc = post_options(argc, argv, tables, details, 0, 0);
    if (rc < 0)
        return -1 - rc;
    const char *named = make ? make : drop;
    if (!named)
        return show_all(json);
    if (!post_account_name_ok(named))
        return post_fail(EX_USAGE, "\"%s\" cannot be the name of an account", named);
    file_of(named, path);
    if (!ph_file_exists(path))
        return post_fail(EX_CONFIG, "there is no account %s; post accounts shows them", named);
    return make ? make_default(make) : removed(drop);
}
