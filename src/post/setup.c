/*
 * post setup: address -> servers -> login tried -> account saved.
 *
 *   what the options say, else what is found for the address (posthouse/discover.h)
 *     -> password -> log in to the server that sends, and to the one that is read
 *     -> write the account's file
 *
 * Nothing is saved unless both logins work, or --no-test says so.
 */
#include "account.h"
#include "file.h"
#include <limits.h>
#include <posthouse/discover.h>
#include <posthouse/fetch.h>
#include <posthouse/send.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct setup {
    struct post_login login;
    const char *address, *name, *display, *spec[PH_SERVICE_COUNT];
    bool no_test, no_lookup, pop3;
    struct ph_discovered found;
};

static const struct {
    const char *prefix, *what;
    unsigned ports[3]; /* by ph_tls_mode */
} services[PH_SERVICE_COUNT] = {[PH_SERVICE_SMTP] = {"smtp", "sends by", {587, 465, 587}},
                                [PH_SERVICE_IMAP] = {"imap", "reads by", {143, 993, 143}},
                                [PH_SERVICE_POP3] = {"pop3", "reads by", {110, 995, 110}}};

/* ---- where ------------------------------------------------------------------------------- */

/* "[tls://]host[:port]" */
static int read_spec(const char *spec, int service, struct ph_server *to)
{
    ph_str rest = ph_str_c(spec);
    size_t scheme = ph_str_find(rest, PH_STR("://"));
    uint64_t port = 0;
    int mode = service == PH_SERVICE_SMTP ? PH_TLS_STARTTLS : PH_TLS_ON;
    if (scheme != PH_NPOS) {
        char word[16];
        snprintf(word, sizeof word, "%.*s", PH_FMT(ph_str_sub(rest, 0, scheme)));
        mode = post_tls_mode(word);
        rest = ph_str_skip(rest, scheme + 3);
    }
    size_t colon = ph_str_rchr(rest, ':');
    bool has_port =
        colon != PH_NPOS && (ph_str_chr(rest, ':') == colon || rest.p[colon - 1] == ']');
    ph_str host = has_port ? ph_str_sub(rest, 0, colon) : rest;
    if (host.n > 2 && host.p[0] == '[')
        host = ph_str_sub(host, 1, host.n - 2);
    if (mode < 0 || host.n == 0 || host.n >= sizeof to->host ||
        (has_port && (!ph_str_u64(ph_str_skip(rest, colon + 1), 65535, &port) || port == 0)))
        return post_fail(EX_USAGE, "--%s is [tls://|starttls://|none://]HOST[:PORT], not \"%s\"",
                         services[service].prefix, spec);
    *to = (struct ph_server){.known = true, .tls = (enum ph_tls_mode)mode};
    to->port = port ? (unsigned)port : services[service].ports[mode];
    snprintf(to->host, sizeof to->host, "%.*s", PH_FMT(host));
    snprintf(to->user, sizeof to->user, "%s", "");
    return 0;
}

static int find_servers(struct setup *s)
{
    struct ph_lookup_system system = {0};
    struct ph_lookup lookup;
    struct ph_error e;
    bool said = s->spec[PH_SERVICE_SMTP] && (s->spec[PH_SERVICE_IMAP] || s->spec[PH_SERVICE_POP3]);
    int rc = 0;
    ph_lookup_init(&lookup, &system);
    if (!said &&
        ph_discover(ph_str_c(s->address), s->no_lookup ? NULL : &lookup, &s->found, &e) < 0)
        return post_fail(EX_NOHOST, "%s; name them with --smtp and --imap", e.text);
    for (int i = 0; rc == 0 && i < PH_SERVICE_COUNT; i++)
        if (s->spec[i])
            rc = read_spec(s->spec[i], i, &s->found.service[i]);
    return rc;
}

static void show_servers(const struct setup *s)
{
    for (int i = 0; i < PH_SERVICE_COUNT; i++) {
        const struct ph_server *v = &s->found.service[i];
        if (v->known)
            printf("%-9s %s  %s:%u  %s\n", services[i].what, services[i].prefix, v->host, v->port,
                   post_tls_word(v->tls));
    }
    if (s->found.provider && s->found.provider->hint[0])
        printf("%s: %s\n", s->found.provider->name, s->found.provider->hint);
    fflush(stdout);
}

/* ---- trying it --------------------------------------------------------------------------- */

static int try_service(struct setup *s, int service)
{
    const struct ph_server *v = &s->found.service[service];
    struct ph_account a = s->login.account;
    struct ph_trouble t = {0};
    struct ph_smtp_session *smtp;
    struct ph_imap_session *imap;
    struct ph_pop3_session *pop3;
    int rc;
    a.host = ph_str_c(v->host);
    a.port = v->port;
    a.tls = v->tls;
    if (!s->login.user && v->user[0])
        a.user = ph_str_c(v->user);
    if (service == PH_SERVICE_SMTP) {
        rc = ph_smtp_open(&a, &smtp, &t);
        if (rc == 0)
            ph_smtp_close(smtp);
    } else if (service == PH_SERVICE_IMAP) {
        rc = ph_imap_open(&a, &imap, &t);
        if (rc == 0)
            ph_imap_close(imap);
    } else {
        rc = ph_pop3_open(&a, &pop3, &t);
        if (rc == 0)
            rc = ph_pop3_close(pop3, true, &t);
    }
    if (rc < 0)
        return post_fail_trouble(&t);
    printf("%s: the login works\n", services[service].prefix);
    return 0;
}

static bool has(const struct setup *s, int service)
{
    return s->found.service[service].known;
}

static int try_all(struct setup *s)
{
    int reading = has(s, PH_SERVICE_IMAP) && !s->pop3 ? PH_SERVICE_IMAP : PH_SERVICE_POP3;
    int rc = has(s, PH_SERVICE_SMTP) ? try_service(s, PH_SERVICE_SMTP) : 0;
    if (rc == 0 && has(s, reading))
        rc = try_service(s, reading);
    return rc;
}

/* ---- saving ------------------------------------------------------------------------------ */

static void setting(struct ph_buf *out, const char *prefix, const char *key, const char *value)
{
    if (!value || !*value)
        return;
    ph_buf_addf(out, "%s%s%s = \"", prefix, *prefix ? "_" : "", key);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            ph_buf_addc(out, '\\');
        ph_buf_addc(out, (unsigned char)*value < ' ' ? ' ' : *value);
    }
    ph_buf_add(out, PH_STR("\"\n"));
}

/* A relative path would mean another file in another folder. */
static void path_setting(struct ph_buf *out, const char *key, const char *path)
{
    char real[PATH_MAX];
    setting(out, "", key, path && realpath(path, real) ? real : path);
}

static void save_how(const struct post_login *l, struct ph_buf *out)
{
    const struct {
        bool is;
        const char *line;
    } flags[] = {{l->insecure, "insecure = true\n"},
                 {l->plaintext, "plaintext = true\n"},
                 {l->oauth, "oauth = true\n"}};
    path_setting(out, "ca", l->ca);
    path_setting(out, "cert", l->cert);
    path_setting(out, "key", l->key);
    setting(out, "", "auth", l->auth);
    setting(out, "", "proxy", l->proxy);
    setting(out, "", "timeout", l->timeout);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (flags[i].is)
            ph_buf_add(out, ph_str_c(flags[i].line));
}

/* The password stays where it is, or goes into a file beside the account's. */
static int save_password(struct setup *s, struct ph_buf *out)
{
    char dir[POST_PATH], path[POST_PATH + POST_ACCOUNT_NAME + 16];
    struct ph_error e;
    struct post_login *l = &s->login;
    if (l->account.password.n == 0 && l->account.token.n == 0)
        return 0;
    if (l->password_file && strcmp(l->password_file, "-") != 0) {
        path_setting(out, "password_file", l->password_file);
        return 0;
    }
    setting(out, "", "password_env", l->password_env);
    setting(out, "", "password_command", l->password_command);
    if (l->password_env || l->password_command)
        return 0;
    snprintf(path, sizeof path, "%s/%.*s.password", post_config_dir(dir), POST_ACCOUNT_NAME,
             s->name);
    if (ph_mkdirs(dir, 0700, &e) < 0 ||
        ph_file_write(path, l->oauth ? l->account.token : l->account.password, 0600, &e) < 0)
        return post_fail(EX_CANTCREAT, "%s", e.text);
    setting(out, "", "password_file", path);
    return 0;
}

static int save(struct setup *s)
{
    struct ph_buf b;
    char from[1024], port[16];
    ph_buf_init(&b, NULL, 64 * 1024);
    if (s->display)
        snprintf(from, sizeof from, "%s <%s>", s->display, s->address);
    else
        snprintf(from, sizeof from, "%s", s->address);
    setting(&b, "", "from", from);
    setting(&b, "", "user", s->login.user);
    save_how(&s->login, &b);
    if (!has(s, PH_SERVICE_IMAP) || s->pop3)
        setting(&b, "", "protocol", "pop3");
    for (int i = 0; i < PH_SERVICE_COUNT; i++) {
        const struct ph_server *v = &s->found.service[i];
        if (!v->known)
            continue;
        snprintf(port, sizeof port, "%u", v->port);
        setting(&b, services[i].prefix, "server", v->host);
        setting(&b, services[i].prefix, "port", port);
        setting(&b, services[i].prefix, "tls", post_tls_word(v->tls));
    }
    int rc = save_password(s, &b);
    if (rc == 0)
        rc = post_account_write(s->name, ph_buf_str(&b));
    ph_buf_done(&b);
    if (rc == 0)
        printf("saved as %s; post accounts shows it, post list reads its mail\n", s->name);
    return rc;
}

/* ---- all of it --------------------------------------------------------------------------- */

static int setup(struct setup *s)
{
    struct post_login *l = &s->login;
    if (!s->name)
        s->name = s->address;
    if (!strchr(s->address, '@') || !post_account_name_ok(s->name))
        return post_fail(EX_USAGE, "\"%s\" is no address, or no name for an account", s->name);
    int rc = find_servers(s);
    if (rc)
        return rc;
    show_servers(s);
    if (!l->user)
        l->user = s->found.service[PH_SERVICE_SMTP].user[0] ? s->found.service[PH_SERVICE_SMTP].user
                                                            : s->address;
    l->account.transcript = post_transcript(l);
    rc = post_login_identify(l);
    if (rc == 0 && !s->no_test)
        rc = try_all(s);
    return rc ? rc : save(s);
}

int post_setup(int argc, char **argv)
{
    static const char details[] =
        "The servers are found from the address: well-known providers, SRV records (RFC 6186), the "
        "provider's autoconfiguration, the "
        "MX; or they are named. Both logins are tried before anything is saved. A password that "
        "was typed goes into a file that "
        "only you can read; a command or a variable is noted instead of it.\n\n"
        "  post setup me@example.org\n"
        "  post setup me@here.test --smtp starttls://mail.here.test:2587 --imap "
        "tls://mail.here.test:2993 \\\n"
        "      --password-command 'pass show mail'\n";
    struct setup *s = calloc(1, sizeof *s);
    if (!s)
        return post_fail(EX_OSERR, "out of memory");
    struct post_login *l = &s->login;
    const struct post_option own[] = {
        {"--name", "ACCOUNT", .value = &s->name,
         .help = "what the account is called (the address)"},
        {"--display", "NAME", .value = &s->display, .help = "your name, as others see it"},
        {"--smtp", "SERVER", .value = &s->spec[PH_SERVICE_SMTP],
         .help = "[tls://|starttls://|none://]HOST[:PORT] that sends"},
        {"--imap", "SERVER", .value = &s->spec[PH_SERVICE_IMAP], .help = "that is read by IMAP"},
        {"--pop3", "SERVER", .value = &s->spec[PH_SERVICE_POP3], .help = "that is read by POP3"},
        {"--prefer-pop3", NULL, .flag = &s->pop3, .help = "read by POP3 though there is IMAP"},
        {"--no-lookup", NULL, .flag = &s->no_lookup, .help = "ask nobody: known providers alone"},
        {"--no-test", NULL, .flag = &s->no_test, .help = "save without trying to log in"},
        {0}};
    struct post_option account[POST_LOGIN_ROWS];
    const struct post_option *const tables[] = {own, account + POST_LOGIN_HOW, NULL};
    post_login_options(l, account);
    int rc = post_options(argc, argv, tables, details, 1, 1);
    s->address = rc == 1 ? argv[1] : "";
    rc = rc < 0 ? -1 - rc : setup(s);
    post_login_done(l);
    free(s);
    return rc;
}
