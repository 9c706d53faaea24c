/*
 * Everything that goes wrong, each with its one cause: a fake server says what real ones say
 * (troubles.def), shows what is wrong with certificates, ports and proxies. Where a time-out is the
 * matter, a row that came to another end on a slow machine is tried again with more time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <posthouse/discover.h>
#include <posthouse/fetch.h>
#include <posthouse/send.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sock.h"

enum protocol { SMTP, POP3, IMAP };
enum { PATIENT_MS = 60000 };

struct row {
    const char *name;
    enum protocol protocol;
    const char *where, *says;
    enum ph_trouble_kind kind;
};
static const struct row rows[] = {
#define R(name, protocol, where, says, kind) {name, protocol, where, says, PH_TROUBLE_##kind},
#include "troubles.def"
#undef R
};

/* ---- the fake server ----------------------------------------------------------------------- */

struct server {
    int fd;
    unsigned port;
    pthread_t thread;
    const struct row *row;
    enum { PLAIN, TLS_NOW, TLS_SILENT, INJECT, SOCKS } mode;
    const char *ehlo;     /* lines of the EHLO reply instead of the usual ones */
    unsigned char answer; /* of the proxy */
    bool proxy_login;
    X509 *cert;
    EVP_PKEY *key;
    struct ph_error e;
};

static void put(int fd, const char *text)
{
    size_t n = strlen(text);
    while (n) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        text += sent;
        n -= (size_t)sent;
    }
}

static void put_line(int fd, const char *tag, const char *text)
{
    char line[1024]; /* in one piece: three would wait for each other's acknowledgement */
    snprintf(line, sizeof line, "%s%s\r\n", tag, text);
    put(fd, line);
}

/* A line without its end; false: the client is gone. */
static bool get_line(int fd, char *line, size_t max)
{
    size_t n = 0;
    char c;
    while (recv(fd, &c, 1, 0) == 1) {
        if (c == '\n') {
            line[n && line[n - 1] == '\r' ? n - 1 : n] = '\0';
            return true;
        }
        if (n + 1 < max)
            line[n++] = c;
    }
    return false;
}

static void wait_for_end(int fd)
{
    char buf[512];
    while (recv(fd, buf, sizeof buf, 0) > 0)
        ;
}

/* Is this the place of the row? Then it is done what it says; false: the session ends. */
static bool act(int fd, const struct row *r, const char *where, const char *tag,
                const char *otherwise)
{
    bool here = r && strcmp(r->where, where) == 0;
    if (here && strcmp(r->says, "CLOSE") == 0)
        return false;
    if (here && strcmp(r->says, "HANG") == 0) {
        wait_for_end(fd);
        return false;
    }
    if (here && r->says[0] == '\x15') {
        (void)!send(fd, "\x15\x03\x01\x00\x02\x02\x0a", 7, MSG_NOSIGNAL);
        wait_for_end(fd);
        return false;
    }
    bool untagged = here && strcmp(where, "GREETING") == 0;
    put_line(fd, untagged ? "" : tag, here ? r->says : otherwise);
    return true;
}

static void serve_smtp(int fd, const struct server *s)
{
    static const char usual[] = "250-fake\r\n250-AUTH PLAIN\r\n250 SIZE 100000";
    char line[4096];
    if (!act(fd, s->row, "GREETING", "", "220 fake"))
        return;
    while (get_line(fd, line, sizeof line)) {
        bool go_on = true;
        char verb[5] = "";
        memcpy(verb, line, strnlen(line, 4));
        if (strcmp(verb, "HELO") == 0)
            memcpy(verb, "EHLO", 4);
        if (strcmp(verb, "STAR") == 0 && s->mode == INJECT)
            put(fd, "220 go\r\n250 injected\r\n");
        else if (strcmp(verb, "STAR") == 0 && s->mode == TLS_SILENT)
            put_line(fd, "", "220 go"), wait_for_end(fd);
        else if (strcmp(verb, "DATA") == 0)
            go_on = act(fd, s->row, "DATA", "", "354 go");
        else
            go_on = act(fd, s->row, verb, "",
                        strcmp(verb, "EHLO") == 0   ? (s->ehlo ? s->ehlo : usual)
                        : strcmp(verb, "AUTH") == 0 ? "235 2.7.0 welcome"
                                                    : "250 2.0.0 ok");
        while (go_on && strcmp(verb, "DATA") == 0 && get_line(fd, line, sizeof line))
            if (strcmp(line, ".") == 0) {
                go_on = act(fd, s->row, "DOT", "", "250 2.0.0 ok");
                break;
            }
        if (!go_on)
            return;
    }
}

static void serve_pop3(int fd, const struct server *s)
{
    char line[4096];
    if (!act(fd, s->row, "GREETING", "", "+OK ready"))
        return;
    while (get_line(fd, line, sizeof line)) {
        char verb[5] = "";
        memcpy(verb, line, strnlen(line, 4));
        const char *answer = strcmp(verb, "CAPA") == 0   ? "+OK\r\nUSER\r\nUIDL\r\n."
                             : strcmp(verb, "LIST") == 0 ? "+OK\r\n1 10\r\n."
                             : strcmp(verb, "UIDL") == 0 ? "+OK\r\n1 a\r\n."
                             : strcmp(verb, "RETR") == 0 ? "+OK\r\nx\r\n."
                                                         : "+OK";
        if (!act(fd, s->row, verb, "", answer))
            return;
    }
}

static void serve_imap(int fd, const struct server *s)
{
    char line[4096], tag[32], verb[32];
    if (!act(fd, s->row, "GREETING", "", "* OK [CAPABILITY IMAP4rev1] ready"))
        return;
    while (get_line(fd, line, sizeof line)) {
        if (sscanf(line, "%30s %30s", tag, verb) != 2)
            return;
        strcat(tag, " ");
        if (strcmp(verb, "CAPABILITY") == 0)
            put(fd, "* CAPABILITY IMAP4rev1\r\n");
        if (!act(fd, s->row, verb, tag, "OK done"))
            return;
    }
}

/* TLS with a certificate of the test's choice; what is in it does not matter. */
static void serve_tls(int fd, const struct server *s)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL *ssl = NULL;
    char buf[512];
    if (ctx && SSL_CTX_use_certificate(ctx, s->cert) == 1 &&
        SSL_CTX_use_PrivateKey(ctx, s->key) == 1 && (ssl = SSL_new(ctx)) &&
        SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1 &&
        SSL_write(ssl, "220 fake\r\n", 10) == 10)
        while (SSL_read(ssl, buf, sizeof buf) > 0)
            if (SSL_write(ssl, "250 ok\r\n", 8) != 8)
                break;
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static void serve_socks(int fd, const struct server *s)
{
    unsigned char b[300];
    if (recv(fd, b, 2, MSG_WAITALL) != 2 || recv(fd, b + 2, b[1], MSG_WAITALL) != b[1])
        return;
    if (s->proxy_login) {
        (void)!send(fd, "\x05\xff", 2, MSG_NOSIGNAL);
        return;
    }
    (void)!send(fd, "\x05\x00", 2, MSG_NOSIGNAL);
    if (recv(fd, b, 5, MSG_WAITALL) != 5 || recv(fd, b + 5, b[4] + 2u, MSG_WAITALL) != b[4] + 2)
        return;
    unsigned char answer[10] = {5, s->answer, 0, 1};
    (void)!send(fd, answer, sizeof answer, MSG_NOSIGNAL);
    if (s->answer == 0)
        serve_smtp(fd, s);
}

static void *serve(void *ctx)
{
    struct server *s = ctx;
    static void (*const by_protocol[])(int, const struct server *) = {serve_smtp, serve_pop3,
                                                                      serve_imap};
    int fd;
    while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
        if (s->mode == TLS_NOW)
            serve_tls(fd, s);
        else if (s->mode == SOCKS)
            serve_socks(fd, s);
        else
            by_protocol[s->row ? s->row->protocol : SMTP](fd, s);
        close(fd);
    }
    return NULL;
}

static void start(struct server *s)
{
    struct ph_addr a;
    assert_int_equal(ph_addr_make(PH_STR("127.0.0.1"), 0, &a), 0);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* blocking, unlike those of sock.h */
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a.sa, a.len), 0);
    assert_int_equal(listen(s->fd, 16), 0);
    a.len = sizeof a.sa;
    getsockname(s->fd, (struct sockaddr *)&a.sa, &a.len);
    s->port = ph_addr_port(&a);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

/* ---- the client ---------------------------------------------------------------------------- */

static struct ph_account account(unsigned port, int64_t timeout_ms)
{
    return (struct ph_account){.struct_size = sizeof(struct ph_account),
                               .host = PH_STR_INIT("127.0.0.1"),
                               .port = port,
                               .tls = PH_TLS_OFF,
                               .user = PH_STR_INIT("alice@b.test"),
                               .password = PH_STR_INIT("secret"),
                               .connect_ms = timeout_ms,
                               .timeout_ms = timeout_ms};
}

static int ignore(void *ctx, ph_str bytes)
{
    (void)ctx;
    (void)bytes;
    return 0;
}

/* The whole way of a protocol. */
static int go(enum protocol protocol, const struct ph_account *a, struct ph_trouble *t)
{
    const ph_str to = PH_STR("b@b.test");
    struct ph_imap_session *imap = NULL;
    struct ph_pop3_session *pop3 = NULL;
    const struct ph_letter_sink sink = {.piece = ignore};
    struct ph_pop3_item item = {.number = 1};
    if (protocol == SMTP)
        return ph_send_letter(a, PH_STR("a@b.test"), &to, 1, PH_STR("Subject: x\r\n\r\nx\r\n"), t);
    int rc = protocol == POP3 ? ph_pop3_open(a, &pop3, t) : ph_imap_open(a, &imap, t);
    if (rc == 0)
        rc = protocol == POP3 ? ph_pop3_retrieve(pop3, &item, 1, UINT32_MAX, &sink, t)
                              : ph_imap_select(imap, PH_STR("X"), false, t);
    ph_pop3_close(pop3, false, NULL);
    ph_imap_close(imap);
    return rc;
}

static void expect(const char *name, enum ph_trouble_kind kind, int rc, const struct ph_trouble *t)
{
    if (rc >= 0 || t->kind != kind || rc != -t->error.code)
        fail_msg("%s: %d %s, expected %s; %s at \"%s\": %s | %s | %s", name, rc,
                 ph_trouble_name(t->kind), ph_trouble_name(kind),
                 ph_error_info(t->error.code)->name, ph_stage_text(t->stage), t->error.text,
                 t->said, t->means);
    assert_true(t->means[0] && t->remedy[0] && t->error.text[0]);
    assert_null(strstr(t->error.text, "secret"));
}

static void what_servers_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        bool hangs = strcmp(r->says, "HANG") == 0;
        int64_t ms = hangs ? 250 : PATIENT_MS;
        for (;;) {
            struct server s = {.row = r};
            struct ph_trouble t = {0};
            start(&s);
            struct ph_account a = account(s.port, ms);
            if (strcmp(r->where, "MAIL") == 0 && r->kind == PH_TROUBLE_LOGIN_REQUIRED)
                a.user = (ph_str){0};
            int rc = go(r->protocol, &a, &t);
            stop(&s);
            if (hangs && t.kind != r->kind && ms < PATIENT_MS) {
                ms *= 8;
                continue;
            }
            expect(r->name, r->kind, rc, &t);
            if (!hangs && strcmp(r->says, "CLOSE") != 0 && t.said[0])
                assert_non_null(strstr(r->says, ph_str_sub(ph_str_c(t.said), 0, 20).p));
            break;
        }
    }
}

/* ---- certificates -------------------------------------------------------------------------- */

static char dir[] = "/tmp/ph-trouble-XXXXXX", ca_file[64], other_file[64];
static X509 *ca;
static EVP_PKEY *ca_key, *other_key;

static X509 *certificate(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                         long from, long to)
{
    X509 *x = X509_new();
    X509V3_CTX ctx;
    char san[128];
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1 + from + to);
    X509_gmtime_adj(X509_getm_notBefore(x), from);
    X509_gmtime_adj(X509_getm_notAfter(x), to);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
    X509V3_set_ctx(&ctx, issuer ? issuer : x, x, NULL, NULL, 0);
    snprintf(san, sizeof san, "%s:%s", strcmp(name, "127.0.0.1") == 0 ? "IP" : "DNS", name);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, san);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    e = X509V3_EXT_conf_nid(NULL, &ctx, NID_basic_constraints, issuer ? "CA:FALSE" : "CA:TRUE");
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    X509_sign(x, issuer_key ? issuer_key : key, EVP_sha256());
    return x;
}

static int make(void **state)
{
    (void)state;
    ca_key = EVP_EC_gen("P-256");
    other_key = EVP_EC_gen("P-256");
    ca = certificate("A Test Authority", ca_key, NULL, NULL, -86400, 86400);
    X509 *other = certificate("Another Authority", other_key, NULL, NULL, -86400, 86400);
    if (!mkdtemp(dir))
        return -1;
    snprintf(ca_file, sizeof ca_file, "%s/ca.pem", dir);
    snprintf(other_file, sizeof other_file, "%s/other.pem", dir);
    FILE *f = fopen(ca_file, "w"), *g = fopen(other_file, "w");
    int rc = f && g && PEM_write_X509(f, ca) && PEM_write_X509(g, other) ? 0 : -1;
    fclose(f);
    fclose(g);
    X509_free(other);
    return rc;
}

static int drop(void **state)
{
    (void)state;
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(other_key);
    unlink(ca_file);
    unlink(other_file);
    return rmdir(dir);
}

static void certificates(void **state)
{
    (void)state;
    static const struct {
        const char *name, *of;
        long from, to; /* seconds from now */
        bool self, other_ca;
        enum ph_trouble_kind kind;
    } table[] = {
        {"expired", "127.0.0.1", -86400, -3600, false, false, PH_TROUBLE_CERT_EXPIRED},
        {"not yet", "127.0.0.1", 3600, 86400, false, false, PH_TROUBLE_CERT_NOT_YET},
        {"another name", "mail.b.test", -3600, 86400, false, false, PH_TROUBLE_CERT_NAME},
        {"self-signed", "127.0.0.1", -3600, 86400, true, false, PH_TROUBLE_CERT_SELF_SIGNED},
        {"another authority", "127.0.0.1", -3600, 86400, false, true, PH_TROUBLE_CERT_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct ph_trouble t = {0};
        EVP_PKEY *key = EVP_EC_gen("P-256");
        struct server s = {.mode = TLS_NOW, .key = key};
        s.cert = certificate(table[i].of, key, table[i].self ? NULL : ca,
                             table[i].self ? NULL : ca_key, table[i].from, table[i].to);
        start(&s);
        struct ph_account a = account(s.port, PATIENT_MS);
        a.tls = PH_TLS_ON;
        a.ca_file = table[i].other_ca ? other_file : ca_file;
        int rc = go(SMTP, &a, &t);
        expect(table[i].name, table[i].kind, rc, &t);
        assert_int_equal(t.stage, PH_STAGE_TLS);
        a.insecure = true; /* who wants it so gets in, and fails elsewhere */
        rc = go(SMTP, &a, &t);
        assert_int_not_equal(t.stage, PH_STAGE_TLS);
        stop(&s);
        X509_free(s.cert);
        EVP_PKEY_free(key);
    }
}

/* ---- ports, modes, proxies, and what the client itself refuses ------------------------------ */

static void the_way_there(void **state)
{
    (void)state;
    static const struct row injected = {"", SMTP, "", "", 0};
    struct server probe = {.row = &injected};
    start(&probe);
    stop(&probe); /* its port is closed now */
    static const struct {
        const char *name;
        int mode;
        const char *host, *proxy, *ehlo; /* proxy "*": the fake server */
        bool closed_port;
        enum ph_tls_mode tls;
        int64_t ms;
        unsigned char answer;
        bool proxy_login;
        enum ph_trouble_kind kind;
    } table[] = {
        {"dead port", PLAIN, NULL, NULL, NULL, true, PH_TLS_OFF, PATIENT_MS, 0, false,
         PH_TROUBLE_PORT_CLOSED},
        {"no server named", PLAIN, "", NULL, NULL, false, PH_TLS_OFF, PATIENT_MS, 0, false,
         PH_TROUBLE_DNS_DOWN},
        {"TLS to a plain port", PLAIN, NULL, NULL, NULL, false, PH_TLS_ON, PATIENT_MS, 0, false,
         PH_TROUBLE_TLS_NOT_SPOKEN},
        {"no STARTTLS", PLAIN, NULL, NULL, NULL, false, PH_TLS_STARTTLS, PATIENT_MS, 0, false,
         PH_TROUBLE_NO_STARTTLS},
        {"silence after STARTTLS", TLS_SILENT, NULL, NULL, "250-fake\r\n250 STARTTLS", false,
         PH_TLS_STARTTLS, 250, 0, false, PH_TROUBLE_TLS_TIMEOUT},
        {"text behind STARTTLS", INJECT, NULL, NULL, "250-fake\r\n250 STARTTLS", false,
         PH_TLS_STARTTLS, PATIENT_MS, 0, false, PH_TROUBLE_STARTTLS_INJECTED},
        {"no AUTH", PLAIN, NULL, NULL, "250-fake\r\n250 SIZE", false, PH_TLS_OFF, PATIENT_MS, 0,
         false, PH_TROUBLE_NO_MECHANISM},
        {"only others' mechanisms", PLAIN, NULL, NULL, "250-fake\r\n250 AUTH GSSAPI NTLM", false,
         PH_TLS_OFF, PATIENT_MS, 0, false, PH_TROUBLE_NO_MECHANISM},
        {"letter above SIZE", PLAIN, NULL, NULL, "250-fake\r\n250-AUTH PLAIN\r\n250 SIZE 5", false,
         PH_TLS_OFF, PATIENT_MS, 0, false, PH_TROUBLE_TOO_LARGE},
        {"password in the open", SOCKS, NULL, "socks5://127.0.0.1:*", NULL, false, PH_TLS_OFF,
         PATIENT_MS, 0, false, PH_TROUBLE_LOGIN_NEEDS_TLS},
        {"proxy refuses", SOCKS, NULL, "socks5://127.0.0.1:*", NULL, false, PH_TLS_OFF, PATIENT_MS,
         2, false, PH_TROUBLE_PROXY_REFUSED},
        {"proxy wants a login", SOCKS, NULL, "socks5://127.0.0.1:*", NULL, false, PH_TLS_OFF,
         PATIENT_MS, 0, true, PH_TROUBLE_PROXY_LOGIN},
        {"no proxy there", PLAIN, NULL, "socks5://127.0.0.1:*", NULL, true, PH_TLS_OFF, PATIENT_MS,
         0, false, PH_TROUBLE_PROXY_REFUSED},
        {"not a proxy", PLAIN, NULL, "http://127.0.0.1:*", NULL, false, PH_TLS_OFF, PATIENT_MS, 0,
         false, PH_TROUBLE_PROXY_DOWN},
        {"a proxy of another kind", PLAIN, NULL, "ftp://127.0.0.1:1", NULL, false, PH_TLS_OFF,
         PATIENT_MS, 0, false, PH_TROUBLE_PROXY_DOWN},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t ms = table[i].ms;
        for (;;) {
            struct server s = {.row = &injected,
                               .mode = table[i].mode,
                               .ehlo = table[i].ehlo,
                               .answer = table[i].answer,
                               .proxy_login = table[i].proxy_login};
            struct ph_trouble t = {0};
            char proxy[64] = "";
            start(&s);
            struct ph_account a = account(table[i].closed_port ? probe.port : s.port, ms);
            a.tls = table[i].tls;
            if (table[i].host)
                a.host = ph_str_c(table[i].host);
            if (table[i].proxy) {
                size_t n = strcspn(table[i].proxy, "*");
                snprintf(proxy, sizeof proxy, "%.*s", (int)n, table[i].proxy);
                if (table[i].proxy[n] == '*')
                    snprintf(proxy + n, sizeof proxy - n, "%u", a.port);
                a.proxy = ph_str_c(proxy);
            }
            int rc = go(SMTP, &a, &t);
            stop(&s);
            if (t.kind != table[i].kind && ms < PATIENT_MS) {
                ms *= 8;
                continue;
            }
            expect(table[i].name, table[i].kind, rc, &t);
            break;
        }
    }
}

static void addresses(void **state)
{
    (void)state;
    struct server s = {0};
    struct ph_trouble t = {0};
    struct ph_smtp_session *session = NULL;
    start(&s);
    struct ph_account a = account(s.port, PATIENT_MS);
    assert_int_equal(ph_smtp_open(&a, &session, &t), 0);
    ph_str bad = PH_STR("nobody"), utf8 = PH_STR("\xe5\xbc\xa0@b.test"), good = PH_STR("b@b.test");
    struct ph_smtp_letter l = {.struct_size = sizeof l,
                               .sender = good,
                               .recipients = &bad,
                               .count = 1,
                               .message = PH_STR("x")};
    expect("not an address", PH_TROUBLE_BAD_ADDRESS, ph_smtp_sendmail(session, &l, &t), &t);
    l.recipients = &utf8;
    expect("not ASCII", PH_TROUBLE_NOT_ASCII, ph_smtp_sendmail(session, &l, &t), &t);
    l.recipients = &good;
    l.sender = bad;
    expect("not a sender", PH_TROUBLE_BAD_ADDRESS, ph_smtp_sendmail(session, &l, &t), &t);
    l.sender = good;
    assert_int_equal(ph_smtp_sendmail(session, &l, &t), 0); /* none of it has harmed the session */
    ph_smtp_close(session);
    stop(&s);
    a.host = PH_STR("no-such-host.invalid");
    int rc = go(SMTP, &a, &t);
    assert_true(rc < 0 && (t.kind == PH_TROUBLE_NO_SUCH_HOST || t.kind == PH_TROUBLE_DNS_DOWN));
    struct ph_trouble gmail = {.stage = PH_STAGE_LOGIN, .reply = 535};
    ph_fail(&gmail.error, PH_EAUTH, 0, "x");
    ph_trouble_explain(&gmail, PH_STR("smtp.gmail.com"));
    assert_non_null(strstr(gmail.hint, "app password"));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* the fake server's TLS; the library raises none */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_servers_say), cmocka_unit_test(certificates),
        cmocka_unit_test(the_way_there), cmocka_unit_test(addresses)};
    return cmocka_run_group_tests(tests, make, drop);
}
