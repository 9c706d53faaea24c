/* os/tls: both sides over a socket pair; keys in the process and behind a signer; names,
 * resumption, replacement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "sock.h"
#include "tls_int.h"

static char dir[64];
static struct ph_buf cert_a, key_a, cert_b, key_b, cert_rsa, key_rsa, cert_person, key_person;
static struct ph_error e;

/* ---- helpers ----------------------------------------------------------------------------- */

static void read_bio(BIO *from, struct ph_buf *to)
{
    char *p;
    long n = BIO_get_mem_data(from, &p);
    ph_buf_add(to, (ph_str){p, (size_t)n});
    BIO_free(from);
}

/* Of itself, valid from and to so many seconds from now; mail: the rfc822Name, NULL for none. */
static void make_own(EVP_PKEY *key, long from, long to, const char *mail, struct ph_buf *ret_cert,
                     struct ph_buf *ret_key)
{
    X509 *x = X509_new();
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
    assert_non_null(key);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), from);
    X509_gmtime_adj(X509_getm_notAfter(x), to);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"rsa.test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_EXTENSION *names =
        mail ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, mail) : NULL;
    assert_true(!mail || X509_add_ext(x, names, -1) == 1);
    X509_EXTENSION_free(names);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    PEM_write_bio_X509(c, x);
    PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);
    read_bio(c, ret_cert);
    read_bio(k, ret_key);
    X509_free(x);
    EVP_PKEY_free(key);
}

static int make(void **state)
{
    const ph_str a[] = {PH_STR_INIT("a.test"), PH_STR_INIT("127.0.0.1"), PH_STR_INIT("::1")};
    const ph_str b[] = {PH_STR_INIT("b.test")};
    struct ph_buf *all[] = {&cert_a,   &key_a,   &cert_b,      &key_b,
                            &cert_rsa, &key_rsa, &cert_person, &key_person};
    char path[80];
    (void)state;
    for (size_t i = 0; i < 8; i++)
        ph_buf_init(all[i], NULL, 65536);
    snprintf(dir, sizeof dir, "/tmp/ph-tls-XXXXXX");
    if (!mkdtemp(dir) || ph_tls_self_signed(a, 3, &cert_a, &key_a, &e) < 0 ||
        ph_tls_self_signed(b, 1, &cert_b, &key_b, &e) < 0)
        return -1;
    make_own(EVP_RSA_gen(2048), -7200, -3600, NULL, &cert_rsa, &key_rsa); /* expired */
    make_own(EVP_EC_gen("P-256"), -60, 3600, "DNS:x.test,email:al@a.test,email:b@a.test",
             &cert_person, &key_person);
    snprintf(path, sizeof path, "%s/ca.pem", dir);
    return ph_file_write(path, ph_buf_str(&cert_a), 0600, &e);
}

static int drop(void **state)
{
    struct ph_buf *all[] = {&cert_a,   &key_a,   &cert_b,      &key_b,
                            &cert_rsa, &key_rsa, &cert_person, &key_person};
    char cmd[80];
    (void)state;
    for (size_t i = 0; i < 8; i++)
        ph_buf_done(all[i]);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

static const char *ca(void)
{
    static char path[80];
    snprintf(path, sizeof path, "%s/ca.pem", dir);
    return path;
}

struct pair {
    int fds[2];
    struct ph_tls *client, *server;
    int client_rc, server_rc;
    struct ph_error client_why, server_why;
};

/* Handshakes until both sides are through, or one failed. */
static void meet(struct pair *p, struct ph_tls_ctx *client, struct ph_tls_ctx *server,
                 const char *host)
{
    unsigned want;
    *p = (struct pair){.client_rc = -PH_EAGAIN, .server_rc = -PH_EAGAIN};
    assert_int_equal(ph_socketpair(p->fds), 0);
    p->client = ph_tls_new(client, p->fds[0], ph_str_c(host));
    p->server = ph_tls_new(server, p->fds[1], PH_STR(""));
    assert_non_null(p->client);
    assert_non_null(p->server);
    for (int i = 0; i < 20; i++) {
        if (p->client_rc == -PH_EAGAIN)
            p->client_rc = ph_tls_handshake(p->client, &want, &p->client_why);
        if (p->server_rc == -PH_EAGAIN)
            p->server_rc = ph_tls_handshake(p->server, &want, &p->server_why);
    }
}

static void part(struct pair *p)
{
    unsigned want;
    ph_tls_shutdown(p->client, &want);
    ph_tls_free(p->client);
    ph_tls_free(p->server);
    close(p->fds[0]);
    close(p->fds[1]);
}

static void say(struct ph_tls *from, struct ph_tls *to, const char *text)
{
    char in[100];
    unsigned want;
    assert_int_equal(ph_tls_write(from, text, strlen(text), &want, &e), strlen(text));
    assert_int_equal(ph_tls_read(to, in, sizeof in, &want, &e), strlen(text));
    assert_memory_equal(in, text, strlen(text));
}

static struct ph_tls_info about(struct ph_tls *t)
{
    struct ph_tls_info i;
    ph_tls_describe(t, &i);
    return i;
}

static struct ph_tls_ctx *server_with(struct ph_buf *cert, struct ph_buf *key)
{
    struct ph_tls_ctx *c = ph_tls_server_ctx(&e);
    assert_non_null(c);
    assert_true(ph_tls_add_cert(c, PH_STR(""), ph_buf_str(cert), ph_buf_str(key), NULL, &e) >= 0);
    return c;
}

/* ---- tests ------------------------------------------------------------------------------- */

static void verified(void **state)
{
    (void)state;
    static const struct {
        const char *host, *why; /* why NULL: accepted */
        bool trusted;
    } row[] = {
        {"a.test", NULL, true},
        {"A.TEST.", NULL, true},
        {"127.0.0.1", NULL, true},
        {"::1", NULL, true},
        {"b.test", "is for a.test, 127.0.0.1, ::1, not for b.test", true},
        {"127.0.0.2", "not for 127.0.0.2", true},
        {"a.test", "self-signed and not trusted here", false},
    };
    struct ph_tls_ctx *server = server_with(&cert_a, &key_a);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct pair p;
        struct ph_tls_ctx *full =
            ph_tls_client_ctx(PH_TLS_VERIFY_FULL, row[i].trusted ? ca() : NULL, &e);
        struct ph_tls_ctx *none =
            ph_tls_client_ctx(PH_TLS_VERIFY_NONE, row[i].trusted ? ca() : NULL, &e);
        meet(&p, full, server, row[i].host);
        assert_int_equal(p.client_rc, row[i].why ? -PH_ETLS : 0);
        if (row[i].why)
            assert_non_null(strstr(p.client_why.text, row[i].why));
        else
            say(p.server, p.client, "220 hello");
        part(&p);
        meet(&p, none, server, row[i].host); /* goes on, and tells */
        assert_int_equal(p.client_rc, 0);
        assert_int_equal(about(p.client).verified, row[i].why == NULL);
        if (row[i].why)
            assert_non_null(strstr(about(p.client).why, row[i].why));
        part(&p);
        ph_tls_ctx_free(full);
        ph_tls_ctx_free(none);
    }
    ph_tls_ctx_free(server);
    assert_null(ph_tls_client_ctx(PH_TLS_VERIFY_FULL, "/none/ca.pem", &e));
    assert_non_null(strstr(e.text, "/none/ca.pem"));
}

struct keeper {
    struct ph_sign_key *key;
    int calls, fail;
    uint32_t scheme;
};

static int keeper_sign(void *ctx, ph_str key, uint32_t scheme, ph_str digest, unsigned char *sig,
                       size_t max)
{
    struct keeper *k = ctx;
    assert_true(ph_str_eq(key, PH_STR("host.test")));
    k->calls++;
    k->scheme = scheme;
    return k->fail ? -PH_EIO : ph_sign(k->key, scheme, digest, sig, max);
}

static void keys_elsewhere(void **state)
{
    (void)state;
    static const struct {
        bool rsa;
        int version;
        uint32_t scheme;
    } row[] = {{false, TLS1_2_VERSION, PH_SIGN_ECDSA},
               {false, TLS1_3_VERSION, PH_SIGN_ECDSA},
               {true, TLS1_2_VERSION, PH_SIGN_RSA_RAW},
               {true, TLS1_3_VERSION, PH_SIGN_RSA_RAW}};
    for (size_t i = 0; i < 4; i++) {
        struct keeper k = {0};
        struct ph_tls_signer signer = {keeper_sign, &k, ph_tls_remote_key};
        struct ph_tls_ctx *server = ph_tls_server_ctx(&e),
                          *client = ph_tls_client_ctx(PH_TLS_VERIFY_NONE, NULL, &e);
        struct pair p;
        assert_int_equal(ph_sign_key_load(ph_buf_str(row[i].rsa ? &key_rsa : &key_a), &k.key, &e),
                         0);
        int rc =
            ph_tls_add_cert(server, PH_STR("host.test"),
                            ph_buf_str(row[i].rsa ? &cert_rsa : &cert_a), PH_STR(""), &signer, &e);
        assert_int_equal(rc, row[i].rsa); /* expired: a warning */
        if (row[i].rsa)
            assert_non_null(strstr(e.text, "expired"));
        SSL_CTX_set_max_proto_version(client->ssl, row[i].version);
        meet(&p, client, server, "host.test");
        assert_int_equal(p.client_rc, 0);
        assert_int_equal(p.server_rc, 0);
        assert_int_equal(k.calls, 1);
        assert_int_equal(k.scheme, row[i].scheme);
        assert_string_equal(about(p.server).version,
                            row[i].version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2");
        assert_int_equal(about(p.client).binding_n, about(p.client).binding_unique ? 12 : 32);
        assert_memory_equal(about(p.client).binding, about(p.server).binding,
                            about(p.client).binding_n);
        say(p.client, p.server, "EHLO x");
        part(&p);
        k.fail = 1; /* the keeper does not answer */
        meet(&p, client, server, "other.test");
        assert_true(p.server_rc < 0 && p.server_rc != -PH_EAGAIN);
        part(&p);
        ph_tls_ctx_free(server);
        ph_tls_ctx_free(client);
        ph_sign_key_free(k.key);
    }
}

static void pkcs1_of_old_clients(void **state)
{
    (void)state;
    struct keeper k = {0};
    struct ph_tls_signer signer = {keeper_sign, &k, ph_tls_remote_key};
    struct ph_tls_ctx *server = ph_tls_server_ctx(&e),
                      *client = ph_tls_client_ctx(PH_TLS_VERIFY_NONE, NULL, &e);
    struct pair p;
    assert_int_equal(ph_sign_key_load(ph_buf_str(&key_rsa), &k.key, &e), 0);
    assert_true(ph_tls_add_cert(server, PH_STR("host.test"), ph_buf_str(&cert_rsa), PH_STR(""),
                                &signer, &e) >= 0);
    SSL_CTX_set_max_proto_version(client->ssl, TLS1_2_VERSION);
    SSL_CTX_set1_sigalgs_list(client->ssl, "RSA+SHA256");
    meet(&p, client, server, "host.test");
    assert_int_equal(p.client_rc, 0);
    assert_int_equal(k.scheme, PH_SIGN_RSA_PKCS1);
    part(&p);
    ph_tls_ctx_free(server);
    ph_tls_ctx_free(client);
    ph_sign_key_free(k.key);
}

static void sign_misuse(void **state)
{
    (void)state;
    struct ph_sign_key *ec, *rsa;
    unsigned char sig[512];
    assert_int_equal(ph_sign_key_load(ph_buf_str(&key_a), &ec, &e), 0);
    assert_int_equal(ph_sign_key_load(ph_buf_str(&key_rsa), &rsa, &e), 0);
    assert_int_equal(ph_sign_key_load(PH_STR("no key"), &ec, &e), -PH_ETLS);
    ph_str digest = PH_STR("0123456789abcdef0123456789abcdef");
    assert_true(ph_sign(ec, PH_SIGN_ECDSA, digest, sig, sizeof sig) > 60);
    assert_int_equal(ph_sign(ec, PH_SIGN_RSA_RAW, digest, sig, sizeof sig), -PH_EINVAL);
    assert_int_equal(ph_sign(ec, 0, digest, sig, sizeof sig), -PH_EINVAL);
    assert_int_equal(ph_sign(ec, 99, digest, sig, sizeof sig), -PH_EINVAL);
    assert_int_equal(ph_sign(ec, PH_SIGN_ECDSA, digest, sig, 8), -PH_ELIMIT);
    assert_int_equal(ph_sign(rsa, PH_SIGN_RSA_RAW, digest, sig, sizeof sig),
                     -PH_EIO); /* not a padded block */
    assert_int_equal(ph_sign(rsa, PH_SIGN_RSA_PKCS1, digest, sig, sizeof sig), 256);
    ph_sign_key_free(ec);
    ph_sign_key_free(rsa);
}

static void names_and_replacement(void **state)
{
    (void)state;
    static const struct {
        const char *host, *peer;
    } row[] = {{"b.test", "/CN=b.test"},      {"B.Test", "/CN=b.test"},
               {"x.wild.test", "/CN=b.test"}, {"y.x.wild.test", "/CN=a.test"},
               {"c.test", "/CN=a.test"},      {"", "/CN=a.test"}};
    struct ph_tls_ctx *server = server_with(&cert_a, &key_a),
                      *client = ph_tls_client_ctx(PH_TLS_VERIFY_NONE, NULL, &e);
    struct pair p, old;
    assert_int_equal(ph_tls_add_cert(server, PH_STR("b.test"), ph_buf_str(&cert_b),
                                     ph_buf_str(&key_b), NULL, &e),
                     0);
    assert_int_equal(ph_tls_add_cert(server, PH_STR("*.wild.test"), ph_buf_str(&cert_b),
                                     ph_buf_str(&key_b), NULL, &e),
                     0);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        meet(&p, client, server, row[i].host);
        assert_int_equal(p.client_rc, 0);
        assert_string_equal(about(p.client).peer, row[i].peer);
        part(&p);
    }
    meet(&old, client, server, "one.test");
    assert_int_equal(
        ph_tls_add_cert(server, PH_STR(""), ph_buf_str(&cert_b), ph_buf_str(&key_b), NULL, &e), 0);
    meet(&p, client, server, "two.test");
    assert_string_equal(about(p.client).peer, "/CN=b.test");
    say(old.client, old.server, "still here");
    part(&p);
    part(&old);
    assert_int_equal(
        ph_tls_add_cert(server, PH_STR(""), ph_buf_str(&cert_b), ph_buf_str(&key_a), NULL, &e),
        -PH_ETLS);
    assert_non_null(strstr(e.text, "does not belong"));
    assert_int_equal(
        ph_tls_add_cert(server, PH_STR(""), PH_STR("junk"), ph_buf_str(&key_a), NULL, &e),
        -PH_ETLS);
    assert_int_equal(ph_tls_add_cert(server, PH_STR(""), ph_buf_str(&cert_b), PH_STR(""), NULL, &e),
                     -PH_EINVAL);
    ph_tls_ctx_free(server);
    ph_tls_ctx_free(client);
}

static void resumption(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct ph_tls_ctx *server = server_with(&cert_a, &key_a),
                          *client = ph_tls_client_ctx(PH_TLS_VERIFY_FULL, ca(), &e);
        SSL_CTX_set_max_proto_version(client->ssl, version);
        for (int i = 0; i < 4; i++) {
            struct pair p;
            meet(&p, client, server, "a.test");
            assert_int_equal(p.client_rc, 0);
            assert_int_equal(about(p.client).resumed, i > 0);
            assert_true(about(p.client).verified);
            say(p.server, p.client, "220 hello"); /* a ticket of 1.3 comes before it */
            ph_tls_free(p.client);                /* without close_notify */
            ph_tls_free(p.server);
            close(p.fds[0]);
            close(p.fds[1]);
        }
        ph_tls_ctx_free(server);
        ph_tls_ctx_free(client);
    }
}

/* A client's certificate: good, of another authority, none; and whom each names. */
static void clients(void **state)
{
    (void)state;
    struct ph_tls_ctx *server = server_with(&cert_a, &key_a);
    const struct {
        struct ph_buf *cert, *key;
        bool good;
    } row[] = {{&cert_person, &key_person, true},
               {&cert_rsa, &key_rsa, false},
               {&cert_b, &key_b, false},
               {NULL, NULL, false}};
    struct ph_buf authorities; /* an expired one, one for hosts alone */
    ph_buf_init(&authorities, NULL, 65536);
    ph_buf_add(&authorities, ph_buf_str(&cert_rsa));
    ph_buf_add(&authorities, ph_buf_str(&cert_b));
    ph_buf_add(&authorities, ph_buf_str(&cert_person));
    assert_int_equal(ph_tls_client_authorities(server, PH_STR("no certificate"), &e), -PH_ETLS);
    assert_int_equal(ph_tls_client_authorities(server, ph_buf_str(&authorities), &e), 0);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct ph_tls_ctx *client = ph_tls_client_ctx(PH_TLS_VERIFY_FULL, ca(), &e);
        struct pair p;
        if (row[i].cert)
            assert_int_equal(
                ph_tls_client_cert(client, ph_buf_str(row[i].cert), ph_buf_str(row[i].key), &e), 0);
        meet(&p, client, server, "a.test");
        assert_int_equal(p.server_rc, 0);
        assert_int_equal(about(p.server).verified, row[i].good);
        assert_string_equal(about(p.server).mail, row[i].good ? "al@a.test" : "");
        say(p.server, p.client, "220 hello");
        part(&p);
        ph_tls_ctx_free(client);
    }
    assert_int_equal(ph_tls_client_authorities(server, (ph_str){0}, &e), 0);
    ph_buf_done(&authorities);
    ph_tls_ctx_free(server);
}

static void no_tls_there(void **state)
{
    (void)state;
    struct ph_tls_ctx *client = ph_tls_client_ctx(PH_TLS_VERIFY_NONE, NULL, &e);
    struct ph_tls *t;
    int fds[2];
    unsigned want = 0;
    assert_int_equal(ph_socketpair(fds), 0);
    t = ph_tls_new(client, fds[0], PH_STR("a.test"));
    assert_int_equal(ph_tls_handshake(t, &want, &e), -PH_EAGAIN);
    assert_int_equal(want, 1);
    assert_int_equal(write(fds[1], "220 mx.a.test ESMTP\r\n", 21), 21);
    assert_int_equal(ph_tls_handshake(t, &want, &e), -PH_ETLS);
    assert_non_null(strstr(e.text, "does not speak TLS"));
    ph_tls_free(t);
    t = ph_tls_new(client, fds[0], PH_STR("a.test"));
    close(fds[1]);
    assert_int_equal(ph_tls_handshake(t, &want, &e), -PH_ECLOSED); /* and no SIGPIPE */
    ph_tls_free(t);
    close(fds[0]);
    ph_tls_ctx_free(client);
}

static void bulk(void **state)
{
    (void)state;
    enum { TOTAL = 1000000 };
    struct ph_tls_ctx *server = server_with(&cert_a, &key_a),
                      *client = ph_tls_client_ctx(PH_TLS_VERIFY_NONE, NULL, &e);
    struct pair p;
    char *out = malloc(TOTAL), *in = malloc(TOTAL + 1);
    size_t put = 0, got = 0;
    unsigned want, blocked = 0;
    for (size_t i = 0; i < TOTAL; i++)
        out[i] = (char)(i * 7 + i / 251);
    meet(&p, client, server, "");
    while (got < TOTAL) {
        int64_t n = put < TOTAL ? ph_tls_write(p.client, out + put, TOTAL - put, &want, &e) : 0;
        blocked += n == -PH_EAGAIN;
        assert_true(n >= 0 || n == -PH_EAGAIN);
        put += n > 0 ? (size_t)n : 0;
        if (n > 0 && put < TOTAL)
            continue;
        n = ph_tls_read(p.server, in + got, TOTAL + 1 - got, &want, &e);
        assert_true(n > 0 || n == -PH_EAGAIN);
        got += n > 0 ? (size_t)n : 0;
    }
    assert_true(blocked > 0);
    assert_memory_equal(in, out, TOTAL);
    assert_int_equal(ph_tls_shutdown(p.client, &want), 0);
    assert_int_equal(ph_tls_read(p.server, in, 1, &want, &e), 0);
    part(&p);
    free(out);
    free(in);
    ph_tls_ctx_free(server);
    ph_tls_ctx_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verified),
        cmocka_unit_test(keys_elsewhere),
        cmocka_unit_test(pkcs1_of_old_clients),
        cmocka_unit_test(sign_misuse),
        cmocka_unit_test(names_and_replacement),
        cmocka_unit_test(resumption),
        cmocka_unit_test(clients),
        cmocka_unit_test(no_tls_there),
        cmocka_unit_test(bulk),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
