/* A stranger's answers to every mechanism of the server, and a server's challenges to every one of
 * the client: first byte the mechanism, the rest messages split at 0xff. */
#include <posthouse/sasl.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"PLAIN",    "LOGIN",       "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS",
                                    "EXTERNAL", "OAUTHBEARER", "XOAUTH2",       "CRAM-MD5"};
enum { NAMES = sizeof names / sizeof names[0] };
static const struct ph_sasl_channel channel = {PH_SASL_TLS_EXPORTER, PH_STR_INIT("binding")};

static void server(ph_str name, ph_str in)
{
    struct ph_sasl_server s;
    struct ph_sasl_keys k;
    ph_str one;
    if (ph_sasl_server_init(&s, name, 15, &channel) < 0)
        return;
    int r = PH_SASL_MORE;
    while (r == PH_SASL_MORE && ph_str_token(&in, '\xff', &one)) {
        r = ph_sasl_server_step(&s, one, one.n > 0);
        if (r == PH_SASL_KEYS_NEEDED &&
            ph_sasl_keys_fake(s.hash, s.user, PH_STR("seed"), 1, &k) == 0)
            r = ph_sasl_server_keys(&s, &k);
        if (r == PH_SASL_DONE)
            r = ph_sasl_server_refuse(&s);
    }
    ph_sasl_server_done(&s);
}

static void client(ph_str name, ph_str in)
{
    const struct ph_sasl_login l = {.user = PH_STR_INIT("u"),
                                    .password = PH_STR_INIT("p"),
                                    .certificate = true,
                                    .secure = true,
                                    .channel = channel};
    const struct ph_sasl_login t = {
        .user = PH_STR_INIT("u"), .token = PH_STR_INIT("t"), .secure = true};
    struct ph_sasl_client *c;
    ph_str one, answer;
    if (ph_sasl_client_new(&l, name, &c, NULL) < 0 && ph_sasl_client_new(&t, name, &c, NULL) < 0)
        return;
    int r = ph_sasl_client_is_first(c) ? ph_sasl_client_step(c, (ph_str){0}, &answer, NULL) : 0;
    while (r >= 0 && ph_str_token(&in, '\xff', &one) && one.n < 4096 &&
           ph_str_find(one, PH_STR("i=")) == PH_NPOS)
        r = ph_sasl_client_step(c, one, &answer, NULL);
    ph_sasl_client_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_sasl_keys k;
    if (size == 0)
        return 0;
    ph_str name = ph_str_c(names[data[0] % NAMES]), in = {(const char *)data + 1, size - 1};
    server(name, in);
    client(name, in);
    (void)!ph_sasl_keys_read(in, &k);
    return 0;
}
