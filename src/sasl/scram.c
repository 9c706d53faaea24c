/* SCRAM (RFC 5802, 7677) through libgsasl: keys, channel bindings, and what must be known of its
 * messages before the library sees them. */
#include "b64.h"
#include "sasl_int.h"
#include <string.h>

enum { SALT_MAX = sizeof((struct ph_sasl_keys *)0)->salt, KEYS_TEXT_MAX = 512 };

static const struct {
    ph_str name;
    Gsasl_hash hash;
    size_t n;
} hashes[] = {
    [PH_SASL_SHA1] = {PH_STR_INIT("SCRAM-SHA-1"), GSASL_HASH_SHA1, 20},
    [PH_SASL_SHA256] = {PH_STR_INIT("SCRAM-SHA-256"), GSASL_HASH_SHA256, 32},
};

int ph__sasl_set(Gsasl_session *s, Gsasl_property property, ph_str value)
{
    int r = gsasl_property_set_raw(s, property, value.n ? value.p : "", value.n);
    return r == GSASL_OK ? 0 : -PH_ENOMEM;
}

int ph__sasl_bind(Gsasl_session *s, const struct ph_sasl_channel *channel)
{
    struct ph_buf b64;
    if (!channel || !channel->data.n)
        return 0;
    ph_buf_init(&b64, NULL, 1024);
    ph_b64_encode(&b64, channel->data);
    int r = ph_buf_err(&b64);
    if (r == 0)
        r = ph__sasl_set(
            s, channel->type == PH_SASL_TLS_UNIQUE ? GSASL_CB_TLS_UNIQUE : GSASL_CB_TLS_EXPORTER,
            ph_buf_str(&b64));
    ph_buf_done(&b64);
    return r;
}

/* ---- messages ------------------------------------------------------------------------------ */

/* saslname: "=2C" is a comma, "=3D" an equals sign, no other "=" (RFC 5802 5.1). */
static bool add_name(struct ph_buf *out, ph_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] != '=') {
            ph_buf_addc(out, name.p[i]);
            continue;
        }
        ph_str code = ph_str_sub(name, i, 3);
        if (!ph_str_ieq(code, PH_STR("=2C")) && !ph_str_ieq(code, PH_STR("=3D")))
            return false;
        ph_buf_addc(out, code.p[1] == '2' ? ',' : '=');
        i += 2;
    }
    return true;
}

int ph__sasl_scram_names(ph_str first, struct ph_buf *scratch, ph_str *ret_user,
                         ph_str *ret_authzid)
{
    ph_str flag, authzid = {0}, user = {0};
    ph_buf_clear(scratch);
    if (!ph_str_token(&first, ',', &flag) || !ph_str_token(&first, ',', &authzid) ||
        !ph_str_token(&first, ',', &user) || !ph_str_has_prefix(user, PH_STR("n=")) ||
        (authzid.n && !ph_str_has_prefix(authzid, PH_STR("a="))))
        return -PH_ESYNTAX;
    if (!add_name(scratch, ph_str_skip(user, 2)))
        return -PH_ESYNTAX;
    size_t split = scratch->n;
    if (!add_name(scratch, ph_str_skip(authzid, 2)) || ph_buf_err(scratch) || split == 0)
        return ph_buf_err(scratch) == -PH_ENOMEM ? -PH_ENOMEM : -PH_ESYNTAX;
    *ret_user = ph_str_sub(ph_buf_str(scratch), 0, split);
    *ret_authzid = ph_str_skip(ph_buf_str(scratch), split);
    return 0;
}

bool ph__sasl_scram_bearable(ph_str server_first)
{
    ph_str part;
    uint64_t n = 0;
    while (ph_str_token(&server_first, ',', &part))
        if (ph_str_has_prefix(part, PH_STR("i=")) &&
            !ph_str_u64(ph_str_skip(part, 2), PH_SASL_ITERATIONS_MAX, &n))
            return false;
    return true;
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* password: NUL-terminated. */
static int derive(enum ph_sasl_hash hash, const char *password, ph_str salt, uint32_t iterations,
                  unsigned char salted[GSASL_HASH_MAX_SIZE], struct ph_sasl_keys *k)
{
    char client[GSASL_HASH_MAX_SIZE], server[GSASL_HASH_MAX_SIZE], stored[GSASL_HASH_MAX_SIZE];
    int r = gsasl_scram_secrets_from_password(hashes[hash].hash, password, iterations, salt.p,
                                              salt.n, (char *)salted, client, server, stored);
    ph_wipe(client, sizeof client);
    if (r != GSASL_OK)
        return -PH_ENOMEM;
    *k = (struct ph_sasl_keys){.iterations = iterations, .n = hashes[hash].n, .salt_n = salt.n};
    memcpy(k->salt, salt.p, salt.n);
    memcpy(k->stored, stored, k->n);
    memcpy(k->server, server, k->n);
    return 0;
}

int ph_sasl_keys_make(enum ph_sasl_hash hash, ph_str password, ph_str salt, uint32_t iterations,
                      struct ph_sasl_keys *ret_keys)
{
    unsigned char salted[GSASL_HASH_MAX_SIZE];
    char plain[PH_SASL_PASSWORD_MAX + 1], *prepared = NULL;
    if (!password.n || password.n > PH_SASL_PASSWORD_MAX || !salt.n || salt.n > SALT_MAX ||
        iterations == 0 || iterations > PH_SASL_ITERATIONS_MAX ||
        ph_str_chr(password, '\0') != PH_NPOS)
        return -PH_EINVAL;
    memcpy(plain, password.p, password.n);
    plain[password.n] = '\0';
    int r = gsasl_saslprep(plain, 0, &prepared, NULL) == GSASL_OK ? 0 : -PH_EINVAL;
    ph_wipe(plain, sizeof plain);
    if (r == 0)
        r = derive(hash, prepared, salt, iterations, salted, ret_keys);
    ph_wipe(salted, sizeof salted);
    if (prepared)
        ph_wipe(prepared, strlen(prepared));
    gsasl_free(prepared);
    return r;
}

int ph_sasl_keys_fake(enum ph_sasl_hash hash, ph_str user, ph_str seed, uint32_t iterations,
                      struct ph_sasl_keys *ret_keys)
{
    enum { FAKE_SALT = 16 };
    unsigned char salted[GSASL_HASH_MAX_SIZE];
    char name[PH_SASL_USER_MAX + 1] = "";
    struct ph_sasl_keys k;
    if (!user.n || user.n > PH_SASL_USER_MAX || !seed.n)
        return -PH_EINVAL;
    memcpy(name, user.p, user.n);
    int r = seed.n > SALT_MAX ? -PH_EINVAL : derive(hash, name, seed, 1, salted, &k);
    if (r < 0)
        return r;
    memcpy(k.salt, salted, FAKE_SALT);
    k.salt_n = FAKE_SALT;
    k.iterations = iterations;
    *ret_keys = k;
    return 0;
}

void ph_sasl_keys_write(const struct ph_sasl_keys *k, struct ph_buf *out)
{
    ph_buf_add(out, hashes[k->n == 20 ? PH_SASL_SHA1 : PH_SASL_SHA256].name);
    ph_buf_addf(out, "$%u:", (unsigned)k->iterations);
    ph_b64_encode(out, (ph_str){(const char *)k->salt, k->salt_n});
    ph_buf_addc(out, '$');
    ph_b64_encode(out, (ph_str){(const char *)k->stored, k->n});
    ph_buf_addc(out, ':');
    ph_b64_encode(out, (ph_str){(const char *)k->server, k->n});
}

/* Octets of base64 into `to`, at most max. The number, or -1. */
static int read_octets(ph_str text, unsigned char *to, size_t max)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, KEYS_TEXT_MAX);
    int r = ph_b64_decode(&b, text) < 0 || ph_buf_err(&b) || b.n > max ? -1 : (int)b.n;
    if (r > 0)
        memcpy(to, b.p, b.n);
    ph_buf_done(&b);
    return r;
}

int ph_sasl_keys_read(ph_str text, struct ph_sasl_keys *ret_keys)
{
    struct ph_sasl_keys k = {0};
    ph_str name = {0}, count = {0}, salt = {0}, stored = {0};
    uint64_t iterations;
    if (text.n > KEYS_TEXT_MAX)
        return -PH_ESYNTAX;
    ph_str_token(&text, '$', &name);
    ph_str_token(&text, ':', &count);
    ph_str_token(&text, '$', &salt);
    ph_str_token(&text, ':', &stored);
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
        if (ph_str_eq(name, hashes[i].name))
            k.n = hashes[i].n;
    int salt_n = read_octets(salt, k.salt, sizeof k.salt);
    if (!k.n || !ph_str_u64(count, PH_SASL_ITERATIONS_MAX, &iterations) || !iterations ||
        salt_n <= 0 || read_octets(stored, k.stored, k.n) != (int)k.n ||
        read_octets(text, k.server, k.n) != (int)k.n)
        return -PH_ESYNTAX;
    k.salt_n = (size_t)salt_n;
    k.iterations = (uint32_t)iterations;
    *ret_keys = k;
    return 0;
}
