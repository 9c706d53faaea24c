/* Both sides of every mechanism against each other in memory, the choice of one, SCRAM keys against
 * the examples of the RFCs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <posthouse/sasl.h>
#include <stdlib.h>
#include <string.h>

#include "b64.h"

#define SALT "0123456789abcdef"
static const char exporter[] = "\x01\x00\xff the binding of one connection",
                  other[] = "another one";
enum { ALL = PH_SASL_PASSWORD | PH_SASL_KEYS | PH_SASL_TOKEN | PH_SASL_CERTIFICATE };

/* ---- one exchange -------------------------------------------------------------------------- */

struct pair {
    const char *mechanism; /* what is offered; the client must choose it */
    const char *user, *password, *token, *authzid;
    bool certificate, secure, with_channel, other_channel;
    const char *right;  /* the password that the server knows; NULL: no such user */
    int client, server; /* the last results */
    const char *error;
    ph_str said;
    unsigned proof;
};

static int check(struct pair *p, struct ph_sasl_server *s)
{
    p->proof = s->proof;
    if (s->proof == PH_SASL_PASSWORD || s->proof == PH_SASL_TOKEN) {
        bool good = p->right && ph_str_eq(s->password, ph_str_c(p->right));
        return good ? PH_SASL_DONE : ph_sasl_server_refuse(s);
    }
    return PH_SASL_DONE;
}

static int give_keys(struct pair *p, struct ph_sasl_server *s)
{
    struct ph_sasl_keys k;
    if (p->right)
        assert_int_equal(ph_sasl_keys_make(s->hash, ph_str_c(p->right), PH_STR(SALT), 4096, &k), 0);
    else
        assert_int_equal(ph_sasl_keys_fake(s->hash, s->user, PH_STR("seed"), 4096, &k), 0);
    return ph_sasl_server_keys(s, &k);
}

/* Until one side has had enough: p->server is DONE when the client is let in. */
static void talk(struct pair *p, struct ph_sasl_client *c, struct ph_sasl_server *s)
{
    struct ph_error e = {0};
    ph_str answer = {0}, challenge = {0};
    bool has = ph_sasl_client_is_first(c);
    p->client = has ? ph_sasl_client_step(c, challenge, &answer, &e) : PH_SASL_MORE;
    for (int turns = 0; turns < 8; turns++) {
        assert_true(p->client >= 0);
        p->server = ph_sasl_server_step(s, answer, has);
        if (p->server == PH_SASL_KEYS_NEEDED)
            p->server = give_keys(p, s);
        if (p->server == PH_SASL_DONE)
            p->server = check(p, s);
        if (p->server != PH_SASL_MORE)
            return;
        has = true;
        p->client = ph_sasl_client_step(c, s->challenge, &answer, &e);
        if (p->client < 0)
            return;
    }
    fail_msg("%s does not end", p->mechanism);
}

static void run(struct pair *p)
{
    struct ph_sasl_client *c = NULL;
    struct ph_sasl_server s;
    struct ph_error e = {0};
    struct ph_sasl_channel ours = {PH_SASL_TLS_EXPORTER, {exporter, sizeof exporter}},
                           theirs = {PH_SASL_TLS_EXPORTER, {other, sizeof other}};
    struct ph_sasl_login l = {.user = ph_str_c(p->user),
                              .password = ph_str_c(p->password),
                              .token = ph_str_c(p->token),
                              .authzid = ph_str_c(p->authzid),
                              .certificate = p->certificate,
                              .secure = true,
                              .host = PH_STR("mail.a.test"),
                              .port = 993};
    if (p->with_channel)
        l.channel = ours;
    assert_int_equal(ph_sasl_client_new(&l, ph_str_c(p->mechanism), &c, &e), 0);
    assert_true(ph_str_ieq(ph_sasl_client_mechanism(c), ph_str_c(p->mechanism)));
    assert_int_equal(
        ph_sasl_server_init(&s, ph_str_c(p->mechanism), ALL, p->other_channel ? &theirs : &ours),
        0);
    talk(p, c, &s);
    if (p->server == PH_SASL_DONE && p->client >= 0) {
        assert_int_equal(ph_sasl_client_end(c, &e), 0);
        assert_true(ph_str_eq(s.user, ph_str_c(p->user)));
    }
    if (p->token && p->server != PH_SASL_DONE)
        assert_true(ph_str_eq(ph_sasl_client_said(c), PH_STR("invalid_token")));
    ph_sasl_server_done(&s);
    ph_sasl_client_free(c);
}

static void both_sides(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool channel;
        unsigned proof;
    } passwords[] = {
        {"PLAIN", false, PH_SASL_PASSWORD},         {"LOGIN", false, PH_SASL_PASSWORD},
        {"SCRAM-SHA-1", false, PH_SASL_PROVEN},     {"SCRAM-SHA-256", false, PH_SASL_PROVEN},
        {"SCRAM-SHA-1-PLUS", true, PH_SASL_PROVEN}, {"SCRAM-SHA-256-PLUS", true, PH_SASL_PROVEN},
    };
    for (size_t i = 0; i < sizeof passwords / sizeof passwords[0]; i++) {
        const char *names[] = {"alice", "a,b=c", "\xe5\xbc\xa0\xe4\xb8\x89"};
        for (size_t n = 0; n < 3; n++) {
            struct pair p = {.mechanism = passwords[i].name,
                             .user = names[n],
                             .password = "p\xc3\xa4nc, il=",
                             .right = "p\xc3\xa4nc, il=",
                             .with_channel = passwords[i].channel};
            run(&p);
            assert_int_equal(p.server, PH_SASL_DONE);
            assert_int_equal(p.proof, passwords[i].proof);
            p.with_channel = true; /* which the others leave alone */
            run(&p);
            assert_int_equal(p.server, PH_SASL_DONE);
            p.right = "another";
            run(&p);
            assert_int_equal(p.server, -PH_EAUTH);
            p.right = NULL;
            run(&p);
            assert_int_equal(p.server, -PH_EAUTH);
        }
        if (passwords[i].channel) { /* someone in the middle */
            struct pair p = {.mechanism = passwords[i].name,
                             .user = "alice",
                             .password = "x",
                             .right = "x",
                             .with_channel = true,
                             .other_channel = true};
            run(&p);
            assert_true(p.server < 0);
        }
    }
    const char *tokens[] = {"OAUTHBEARER", "XOAUTH2"};
    for (size_t i = 0; i < 2; i++) {
        struct pair p = {.mechanism = tokens[i],
                         .user = "alice@a.test",
                         .token = "ya29.token==",
                         .right = "ya29.token=="};
        run(&p);
        assert_int_equal(p.server, PH_SASL_DONE);
        assert_int_equal(p.proof, PH_SASL_TOKEN);
        p.right = "expired";
        run(&p);
        assert_int_equal(p.server, -PH_EAUTH);
    }
    struct pair p = {.mechanism = "EXTERNAL", .user = "", .certificate = true};
    run(&p);
    assert_int_equal(p.server, PH_SASL_DONE);
    assert_int_equal(p.proof, PH_SASL_CERTIFICATE);
}

/* ---- the choice ---------------------------------------------------------------------------- */

static void strongest_first(void **state)
{
    (void)state;
    static const struct {
        const char *offered, *allowed, *password, *token;
        bool secure, channel, certificate;
        const char *chosen; /* NULL: none, with this error */
        int error;
    } rows[] = {
        {"PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256", "", "p", "", true, false, false,
         "SCRAM-SHA-256", 0},
        {"SCRAM-SHA-256 SCRAM-SHA-1-PLUS PLAIN", "", "p", "", true, true, false, "SCRAM-SHA-1-PLUS",
         0},
        {"SCRAM-SHA-256-PLUS", "", "p", "", true, false, false, NULL, -PH_ENOTIMPL},
        {"login plain", "", "p", "", true, false, false, "PLAIN", 0},
        {"LOGIN", "", "p", "", true, false, false, "LOGIN", 0},
        {"PLAIN LOGIN", "", "p", "", false, false, false, NULL, -PH_EDENIED},
        {"PLAIN CRAM-MD5", "", "p", "", false, false, false, "CRAM-MD5", 0},
        {"PLAIN SCRAM-SHA-1", "PLAIN", "p", "", true, false, false, "PLAIN", 0},
        {"PLAIN XOAUTH2", "", "p", "t", true, false, false, "XOAUTH2", 0},
        {"PLAIN XOAUTH2 OAUTHBEARER", "", "", "t", true, false, false, "OAUTHBEARER", 0},
        {"OAUTHBEARER", "", "", "t", false, false, false, NULL, -PH_EDENIED},
        {"PLAIN", "", "", "t", true, false, false, NULL, -PH_ENOTIMPL},
        {"EXTERNAL PLAIN", "", "p", "", true, false, true, "EXTERNAL", 0},
        {"EXTERNAL PLAIN", "", "p", "", true, false, false, "PLAIN", 0},
        {"GSSAPI NTLM", "", "p", "", true, false, false, NULL, -PH_ENOTIMPL},
        {"", "", "p", "", true, false, false, NULL, -PH_ENOTIMPL},
        {"PLAIN", "", "", "", true, false, false, NULL, -PH_EINVAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_sasl_client *c = NULL;
        struct ph_error e = {0};
        struct ph_sasl_login l = {.user = PH_STR("u"),
                                  .password = ph_str_c(rows[i].password),
                                  .token = ph_str_c(rows[i].token),
                                  .allowed = ph_str_c(rows[i].allowed),
                                  .secure = rows[i].secure,
                                  .certificate = rows[i].certificate};
        if (rows[i].channel)
            l.channel = (struct ph_sasl_channel){PH_SASL_TLS_UNIQUE, PH_STR("x")};
        assert_int_equal(ph_sasl_client_new(&l, ph_str_c(rows[i].offered), &c, &e), rows[i].error);
        if (rows[i].chosen)
            assert_true(ph_str_eq(ph_sasl_client_mechanism(c), ph_str_c(rows[i].chosen)));
        else
            assert_true(e.text[0]);
        ph_sasl_client_free(c);
    }
    struct ph_buf b;
    struct ph_sasl_channel tls = {PH_SASL_TLS_EXPORTER, PH_STR("x")};
    ph_buf_init(&b, NULL, 512);
    ph_sasl_mechanisms(PH_SASL_PASSWORD, NULL, &b);
    assert_string_equal(ph_buf_cstr(&b), "PLAIN LOGIN");
    ph_buf_clear(&b);
    ph_sasl_mechanisms(PH_SASL_PASSWORD | PH_SASL_KEYS, NULL, &b);
    assert_string_equal(ph_buf_cstr(&b), "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN");
    ph_buf_clear(&b);
    ph_sasl_mechanisms(ALL, &tls, &b);
    assert_string_equal(ph_buf_cstr(&b),
                        "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 EXTERNAL "
                        "OAUTHBEARER XOAUTH2 PLAIN LOGIN");
    ph_buf_done(&b);
}

/* A server that says yes without its signature, one that wants too much work, one that talks
 * nonsense. */
static void bad_servers(void **state)
{
    (void)state;
    struct ph_sasl_login l = {.user = PH_STR("u"), .password = PH_STR("p"), .secure = true};
    static const struct {
        const char *challenge;
        int result;
    } rows[] = {{"r=x,s=QSXCR+Q6sek8bf92,i=4096", -PH_ESYNTAX}, /* not our nonce */
                {"r=x,s=QSXCR+Q6sek8bf92,i=2000000000", -PH_ELIMIT},
                {"", -PH_ESYNTAX},
                {"e=other-error", -PH_ESYNTAX},
                {",,,,", -PH_ESYNTAX}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_sasl_client *c = NULL;
        struct ph_error e = {0};
        ph_str answer;
        assert_int_equal(ph_sasl_client_new(&l, PH_STR("SCRAM-SHA-256"), &c, &e), 0);
        assert_int_equal(ph_sasl_client_step(c, PH_STR(""), &answer, &e), PH_SASL_MORE);
        assert_int_equal(ph_sasl_client_end(c, &e), -PH_EAUTH);
        int r = ph_sasl_client_step(c, ph_str_c(rows[i].challenge), &answer, &e);
        if (rows[i].result == -PH_ELIMIT)
            assert_int_equal(r, rows[i].result);
        else
            assert_true(r < 0);
        ph_sasl_client_free(c);
    }
}

/* RFC 2195 2: the answer for user tim, secret tanstaaftanstaaf. */
static void cram_md5(void **state)
{
    (void)state;
    struct ph_sasl_login l = {.user = PH_STR("tim"), .password = PH_STR("tanstaaftanstaaf")};
    struct ph_sasl_client *c = NULL;
    struct ph_error e = {0};
    ph_str answer;
    assert_int_equal(ph_sasl_client_new(&l, PH_STR("CRAM-MD5"), &c, &e), 0);
    assert_false(ph_sasl_client_is_first(c));
    assert_true(ph_sasl_client_step(c, PH_STR("<1896.697170952@postoffice.reston.mci.net>"),
                                    &answer, &e) >= 0);
    assert_true(ph_str_eq(answer, PH_STR("tim b913a602c7eda7a495b4e6e7334d3890")));
    ph_sasl_client_free(c);
}

/* ---- keys ---------------------------------------------------------------------------------- */

static void hmac(size_t n, const unsigned char *key, const char *text, unsigned char *out)
{
    unsigned len;
    HMAC(n == 20 ? EVP_sha1() : EVP_sha256(), key, (int)n, (const unsigned char *)text,
         strlen(text), out, &len);
}

/* The examples of RFC 5802 5 and RFC 7677 3: user "user", password "pencil". */
static void rfc_examples(void **state)
{
    (void)state;
    static const struct {
        enum ph_sasl_hash hash;
        const char *salt, *message, *proof, *signature;
    } rows[] = {
        {PH_SASL_SHA1, "QSXCR+Q6sek8bf92",
         "n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+"
         "Q6sek8bf92,i=4096,"
         "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
         "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ="},
        {PH_SASL_SHA256, "W22ZaJ0SNY7soEsUEjb6gQ==",
         "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
         "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)"
         "hNlF$k0",
         "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
         "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
    };
    for (size_t i = 0; i < 2; i++) {
        struct ph_sasl_keys k, back;
        struct ph_buf b, text;
        unsigned char mac[32], client[32], stored[32];
        unsigned n;
        ph_buf_init(&b, NULL, 512);
        ph_buf_init(&text, NULL, 512);
        assert_int_equal(ph_b64_decode(&b, ph_str_c(rows[i].salt)), 0);
        assert_int_equal(
            ph_sasl_keys_make(rows[i].hash, PH_STR("pencil"), ph_buf_str(&b), 4096, &k), 0);
        ph_buf_clear(&b);
        hmac(k.n, k.server, rows[i].message, mac);
        ph_b64_encode(&b, (ph_str){(char *)mac, k.n});
        assert_string_equal(ph_buf_cstr(&b), rows[i].signature);
        ph_buf_clear(&b);
        assert_int_equal(ph_b64_decode(&b, ph_str_c(rows[i].proof)), 0);
        hmac(k.n, k.stored, rows[i].message, mac);
        for (size_t j = 0; j < k.n; j++)
            client[j] = mac[j] ^ (unsigned char)b.p[j];
        EVP_Digest(client, k.n, stored, &n, k.n == 20 ? EVP_sha1() : EVP_sha256(), NULL);
        assert_memory_equal(stored, k.stored, k.n);
        ph_sasl_keys_write(&k, &text);
        assert_int_equal(ph_sasl_keys_read(ph_buf_str(&text), &back), 0);
        assert_memory_equal(&k, &back, sizeof k);
        for (size_t cut = 0; cut < text.n; cut++) /* no prefix of it is one */
            if (ph_sasl_keys_read(ph_str_sub(ph_buf_str(&text), 0, cut), &back) == 0)
                fail_msg("%zu of %zu octets are read as keys", cut, text.n);
        ph_buf_done(&b);
        ph_buf_done(&text);
    }
}

static void unknown_users_look_known(void **state)
{
    (void)state;
    struct ph_sasl_keys a, again, b;
    assert_int_equal(ph_sasl_keys_fake(PH_SASL_SHA256, PH_STR("nobody"), PH_STR("seed"), 5000, &a),
                     0);
    assert_int_equal(
        ph_sasl_keys_fake(PH_SASL_SHA256, PH_STR("nobody"), PH_STR("seed"), 5000, &again), 0);
    assert_int_equal(ph_sasl_keys_fake(PH_SASL_SHA256, PH_STR("nobodx"), PH_STR("seed"), 5000, &b),
                     0);
    assert_memory_equal(&a, &again, sizeof a);
    assert_memory_not_equal(a.salt, b.salt, a.salt_n);
    assert_int_equal(a.iterations, 5000);
    assert_int_equal(a.salt_n, 16);
}

/* What a stranger may send first, each on every mechanism: an error, never more. */
static void nonsense(void **state)
{
    (void)state;
    static const char *const names[] = {"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "OAUTHBEARER",
                                        "XOAUTH2"};
    static const char *const lines[] = {"",
                                        "n",
                                        "n,",
                                        "n,,",
                                        "n,,n=",
                                        "n,,n=a=2,r=x",
                                        "n,,n=a=41,r=x",
                                        "p=tls-exporter,,r=x",
                                        "n,a=b,n=a,r=x",
                                        "user=\1\1",
                                        "user=a\1auth=Bearer \1\1",
                                        "n,a=u,\1auth=Basic x\1\1",
                                        "n,a=u=2C,\1auth=Bearer x\1\1",
                                        "\xff\xff",
                                        "n,,n=\xff,r=x"};
    struct ph_sasl_channel ours = {PH_SASL_TLS_EXPORTER, {exporter, sizeof exporter}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (size_t j = 0; j < sizeof lines / sizeof lines[0]; j++) {
            struct ph_sasl_server s;
            assert_int_equal(ph_sasl_server_init(&s, ph_str_c(names[i]), ALL, &ours), 0);
            int r = ph_sasl_server_step(&s, ph_str_c(lines[j]), true);
            if (r >= 0)
                fail_msg("%s takes \"%s\": %d", names[i], lines[j], r);
            ph_sasl_server_done(&s);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides),   cmocka_unit_test(strongest_first),
        cmocka_unit_test(bad_servers),  cmocka_unit_test(cram_md5),
        cmocka_unit_test(rfc_examples), cmocka_unit_test(unknown_users_look_known),
        cmocka_unit_test(nonsense)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
