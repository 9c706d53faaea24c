/* Where to and as whom: options, then the environment, then the account's file, then defaults. */
#include "account.h"
#include "loop.h"
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { PEM_MAX = 256 * 1024 };

void post_login_options(struct post_login *l, struct post_option *rows)
{
    const struct post_option all[POST_LOGIN_ROWS] = {
        {"--account", "NAME", .value = &l->account_name, .help = "one of post accounts"},
        {"--server", "HOST", .value = &l->server, .help = "name or address of the server"},
        {"--port", "N", .value = &l->port, .help = "its port (587, 465, 110, 995, 143 or 993)"},
        {"--tls", "MODE", .value = &l->tls, .help = "starttls, tls (from the first byte) or none"},
        {"--user", "NAME", .value = &l->user, .help = "log in as"},
        {"--password-file", "FILE", .value = &l->password_file,
         .help = "the password is the file's first line"},
        {"--password-env", "NAME", .value = &l->password_env,
         .help = "the password is in this environment variable"},
        {"--password-command", "COMMAND", .value = &l->password_command,
         .help = "the password is the first line this prints"},
        {"--password", "PASSWORD", .value = &l->password,
         .help = "the password itself: everyone on this machine can see it"},
        {"--oauth", NULL, .flag = &l->oauth,
         .help = "what stands for the password is an OAuth 2.0 access token"},
        {"--auth", "MECHANISMS", .value = &l->auth,
         .help = "log in with one of these alone, \"SCRAM-SHA-256 PLAIN\""},
        {"--cert", "FILE", .value = &l->cert,
         .help = "show the server this certificate (PEM); it can be the login (EXTERNAL)"},
        {"--key", "FILE", .value = &l->key,
         .help = "its private key, when it is not in the same file"},
        {"--plaintext", NULL, .flag = &l->plaintext,
         .help = "send the password without TLS, too, to any machine"},
        {"--insecure", NULL, .flag = &l->insecure, .help = "do not check the server's certificate"},
        {"--ca", "FILE", .value = &l->ca,
         .help = "trust the certificates in this file instead of the system's"},
        {"--proxy", "URL", .value = &l->proxy,
         .help = "go through socks5://[user:password@]host:port or http://..."},
        {"--timeout", "SECONDS", .value = &l->timeout,
         .help = "how long to wait for a connection or a reply"},
        {"--debug", NULL, .flag = &l->debug,
         .help = "show the dialogue with the server, secrets masked"},
        {0}};
    memcpy(rows, all, sizeof all);
}

static void read_environment(struct post_login *l)
{
    const struct {
        const char **to;
        const char *name;
    } row[] = {{&l->server, "POST_SERVER"}, {&l->port, "POST_PORT"}, {&l->tls, "POST_TLS"},
               {&l->ca, "POST_CA"},         {&l->user, "POST_USER"}, {&l->from, "POST_FROM"},
               {&l->proxy, "POST_PROXY"}};
    const char *insecure = getenv("POST_INSECURE");
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const char *value = getenv(row[i].name);
        if (!*row[i].to && value && *value)
            *row[i].to = value;
    }
    l->insecure = l->insecure || (insecure && *insecure && strcmp(insecure, "0") != 0);
    if (!l->password && !l->password_file && !l->password_env && !l->password_command &&
        getenv("POST_PASSWORD"))
        l->password_env = "POST_PASSWORD";
}

static void read_account(struct post_login *l, enum post_protocol protocol)
{
    static const char *const prefixes[] = {"smtp", "pop3", "imap"};
    const struct {
        const char **to;
        const char *key;
        bool of_protocol;
    } row[] = {
        {&l->server, "server", true}, {&l->port, "port", true},       {&l->tls, "tls", true},
        {&l->ca, "ca", false},        {&l->user, "user", false},      {&l->from, "from", false},
        {&l->auth, "auth", false},    {&l->cert, "cert", false},      {&l->key, "key", false},
        {&l->proxy, "proxy", false},  {&l->timeout, "timeout", false}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (!*row[i].to)
            *row[i].to =
                post_account_get(l, row[i].of_protocol ? prefixes[protocol] : "", row[i].key);
    if (!l->password && !l->password_file && !l->password_env && !l->password_command) {
        l->password_file = post_account_get(l, "", "password_file");
        l->password_env = post_account_get(l, "", "password_env");
        l->password_command = post_account_get(l, "", "password_command");
        l->oauth = l->oauth || post_account_is(l, "oauth");
    }
    l->insecure = l->insecure || post_account_is(l, "insecure");
    l->plaintext = l->plaintext || post_account_is(l, "plaintext");
}

/* ---- all of it --------------------------------------------------------------------------- */

static const char *const tls_words[] = {
    [PH_TLS_STARTTLS] = "starttls", [PH_TLS_ON] = "tls", [PH_TLS_OFF] = "none"};

const char *post_tls_word(int mode)
{
    return tls_words[mode];
}

int post_tls_mode(const char *word)
{
    for (int mode = 0; mode < 3; mode++)
        if (strcmp(tls_words[mode], word) == 0)
            return mode;
    return -1;
}

static int choose_tls(struct post_login *l, enum post_protocol protocol)
{
    static const unsigned ports[][3] = {[POST_SMTP] = {587, 465, 587},
                                        [POST_POP3] = {110, 995, 110},
                                        [POST_IMAP] = {143, 993, 143}};
    uint64_t port = 0;
    l->account.tls = protocol == POST_SMTP ? PH_TLS_STARTTLS : PH_TLS_ON;
    if (l->tls) {
        int mode = post_tls_mode(l->tls);
        if (mode < 0)
            return post_fail(EX_USAGE, "--tls is starttls, tls or none, not \"%s\"", l->tls);
        l->account.tls = (enum ph_tls_mode)mode;
    }
    l->account.port = ports[protocol][l->account.tls];
    if (!l->port)
        return 0;
    if (!ph_str_u64(ph_str_c(l->port), 65535, &port) || port == 0)
        return post_fail(EX_USAGE, "--port is a number from 1 to 65535, not \"%s\"", l->port);
    l->account.port = (unsigned)port;
    return 0;
}

int post_login_sender(struct post_login *l)
{
    int rc = post_account_open(l);
    if (rc == 0 && !l->from && !l->account_name)
        l->from = getenv("POST_FROM");
    if (rc == 0 && !l->from)
        l->from = post_account_get(l, "", "from");
    return rc;
}

/* A certificate and its key, which may be one file. */
static int take_certificate(struct post_login *l)
{
    ph_buf_init(&l->cert_pem, NULL, PEM_MAX);
    ph_buf_init(&l->key_pem, NULL, PEM_MAX);
    if (!l->cert)
        return l->key ? post_fail(EX_USAGE, "--key goes with --cert") : 0;
    int rc = post_read_file(l->cert, &l->cert_pem);
    if (rc == 0)
        rc = post_read_file(l->key ? l->key : l->cert, &l->key_pem);
    l->account.cert_pem = ph_buf_str(&l->cert_pem);
    l->account.key_pem = ph_buf_str(&l->key_pem);
    return rc;
}

int post_login_identify(struct post_login *l)
{
    struct ph_account *a = &l->account;
    uint64_t seconds = 0;
    a->struct_size = sizeof *a;
    a->ca_file = l->ca;
    a->insecure = l->insecure;
    a->plaintext = l->plaintext;
    a->proxy = ph_str_c(l->proxy);
    a->mechanisms = ph_str_c(l->auth);
    a->user = ph_str_c(l->user);
    if (l->timeout && (!ph_str_u64(ph_str_c(l->timeout), 24 * 3600, &seconds) || seconds == 0))
        return post_fail(EX_USAGE, "--timeout is a number of seconds, not \"%s\"", l->timeout);
    a->connect_ms = a->timeout_ms = (int64_t)seconds * 1000;
    ph_buf_init(&l->secret, NULL, POST_PASSWORD_MAX);
    int rc = take_certificate(l);
    /* Who shows a certificate needs no password, and who has no name none either. */
    bool has_password = l->password || l->password_file || l->password_env || l->password_command;
    if (rc || !l->user || (l->cert && !has_password))
        return rc;
    rc = post_login_password(l);
    if (rc == 0 && l->oauth) {
        a->token = a->password;
        a->password = (ph_str){0};
    }
    return rc;
}

int post_login_complete(struct post_login *l, enum post_protocol protocol)
{
    if (l->completed)
        return 0;
    int rc = post_account_open(l);
    if (rc == 0) {
        if (!l->account_name) /* who names an account means all of it */
            read_environment(l);
        read_account(l, protocol);
        rc = choose_tls(l, protocol);
    }
    if (rc)
        return rc;
    if (!l->server)
        return post_fail(EX_USAGE,
                         "which server? Give --server HOST or set POST_SERVER; post setup "
                         "ADDRESS finds and keeps it");
    l->account.host = ph_str_c(l->server);
    if (!l->user && !l->cert && protocol != POST_SMTP)
        return post_fail(EX_USAGE, "whose mailbox? Give --user NAME");
    rc = post_login_identify(l);
    l->completed = rc == 0;
    return rc;
}

void post_login_done(struct post_login *l)
{
    struct ph_buf *const secrets[] = {&l->secret, &l->key_pem, &l->cert_pem};
    for (size_t i = 0; i < 3; i++) {
        if (secrets[i]->p)
            ph_wipe(secrets[i]->p, secrets[i]->cap);
        ph_buf_done(secrets[i]);
    }
    post_account_close(l);
}

/* ---- the dialogue ------------------------------------------------------------------------ */

static void on_line(void *ctx, int64_t at_ms, char who, ph_str line)
{
    (void)ctx;
    fprintf(stderr, "%6lld ms %c: ", (long long)at_ms, who);
    post_print(stderr, line);
    fputc('\n', stderr);
}

struct ph_transcript post_transcript(struct post_login *l)
{
    return (struct ph_transcript){l->debug ? 2 : 0, on_line, l};
}
