/* A stranger's answers to every mechanism of the server, and a server's challenges to every one of
 * the client: first byte the mechanism, the rest messages split at 0xff. Nobody proves a password
 * that he does not know, to either side. */
#include <posthouse/sasl.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"PLAIN",    "LOGIN",       "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS",
                                    "EXTERNAL", "OAUTHBEARER", "XOAUTH2",       "CRAM-MD5"};
enum { NAMES = sizeof names / sizeof names[0], ALL_PROOFS = 15 };
static const struct ph_sasl_channel channel = {PH_SASL_TLS_EXPORTER, PH_STR_INIT("binding")};
static const ph_str password = PH_STR_INIT("correct horse battery staple");

static bool is_result(int r)
{
    return r == PH_SASL_DONE || r == PH_SASL_MORE || r == PH_SASL_KEYS_NEEDED || r == -PH_ESYNTAX ||
           r == -PH_EDENIED || r == -PH_EAUTH;
}

/* What a server hands on to be checked is within the limits that are promised. */
static void check_proof(const struct ph_sasl_server *s)
{
    bool named = s->user.n > 0 && s->user.n <= PH_SASL_USER_MAX;
    size_t most = s->proof == PH_SASL_TOKEN ? PH_SASL_TOKEN_MAX : PH_SASL_PASSWORD_MAX;
    if (s->proof == PH_SASL_PROVEN || s->user.n > PH_SASL_USER_MAX || s->password.n > most ||
        (s->proof == PH_SASL_PASSWORD && !(named && s->password.n)) ||
        (s->proof == PH_SASL_TOKEN && !s->password.n))
        abort();
}

static void server(ph_str name, ph_str in)
{
    struct ph_sasl_server s;
    struct ph_sasl_keys k;
    ph_str one;
    if (ph_sasl_server_init(&s, name, ALL_PROOFS, &channel) < 0)
        return;
    int r = PH_SASL_MORE;
    while (r == PH_SASL_MORE && ph_str_token(&in, '\xff', &one)) {
        r = ph_sasl_server_step(&s, one, one.n > 0);
        if (!is_result(r))
            abort();
        if (r == PH_SASL_KEYS_NEEDED &&
            ph_sasl_keys_fake(s.hash, s.user, PH_STR("seed"), 1, &k) == 0)
            r = ph_sasl_server_keys(&s, &k);
        if (r == PH_SASL_DONE) {
            check_proof(&s);
            r = ph_sasl_server_refuse(&s);
        }
    }
    ph_sasl_server_done(&s);
}

static void client(ph_str name, ph_str in)
{
    const struct ph_sasl_login l = {.user = PH_STR_INIT("u"),
                                    .password = password,
                                    .certificate = true,
                                    .secure = true,
                                    .channel = channel};
    const struct ph_sasl_login t = {
        .user = PH_STR_INIT("u"), .token = PH_STR_INIT("t"), .secure = true};
    struct ph_sasl_client *c;
    ph_str one, answer = {0};
    if (ph_sasl_client_new(&l, name, &c, NULL) < 0 && ph_sasl_client_new(&t, name, &c, NULL) < 0)
        return;
    bool scram = ph_str_has_prefix(name, PH_STR("SCRAM-")),
         shown = ph_str_eq(name, PH_STR("PLAIN")) || ph_str_eq(name, PH_STR("LOGIN"));
    int r = ph_sasl_client_is_first(c) ? ph_sasl_client_step(c, (ph_str){0}, &answer, NULL) : 0;
    while (r >= 0 && ph_str_token(&in, '\xff', &one) && one.n < 4096 &&
           ph_str_find(one, PH_STR("i=")) == PH_NPOS) {
        r = ph_sasl_client_step(c, one, &answer, NULL);
        if (!is_result(r) || (r >= 0 && !shown && ph_str_find(answer, password) != PH_NPOS))
            abort();
    }
    if (scram && ph_sasl_client_end(c, NULL) == 0) /* no server here knows the password */
        abort();
    ph_sasl_client_free(c);
}

/* Keys that are read are written as they were meant. */
static void keys(ph_str in)
{
    struct ph_sasl_keys k, again;
    struct ph_buf text;
    if (ph_sasl_keys_read(in, &k) < 0)
        return;
    ph_buf_init(&text, NULL, 4096);
    ph_sasl_keys_write(&k, &text);
    if (ph_sasl_keys_read(ph_buf_str(&text), &again) < 0 || again.iterations != k.iterations ||
        !ph_str_eq((ph_str){(char *)k.salt, k.salt_n},
                   (ph_str){(char *)again.salt, again.salt_n}) ||
        !ph_str_eq((ph_str){(char *)k.stored, k.n}, (ph_str){(char *)again.stored, again.n}) ||
        !ph_str_eq((ph_str){(char *)k.server, k.n}, (ph_str){(char *)again.server, again.n}))
        abort();
    ph_buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    ph_str name = ph_str_c(names[data[0] % NAMES]), in = {(const char *)data + 1, size - 1};
    server(name, in);
    client(name, in);
    keys(in);
    return 0;
}
