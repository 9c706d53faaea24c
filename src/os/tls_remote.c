/*
 * Private keys that are elsewhere: a key object that knows the public half and asks a signer for
 * everything else. Of the servers only: what OpenSSL wants to be made once is kept in variables,
 * which a library must not have.
 *
 * OpenSSL's method tables for RSA and EC are marked deprecated since 3.0 in favour of providers, of
 * which one for this purpose is a thousand lines; they are kept as long as 3.x lives, and nothing
 * outside this file knows which of the two is used.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tls_int.h"
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

struct remote {
    struct ph_tls_signer signer;
    size_t name_n;
    char name[256];
};

static int rsa_slot = -1, ec_slot = -1;

static void remote_drop(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    (void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
    free(ptr);
}

static int ask(const struct remote *r, uint32_t scheme, const unsigned char *in, int n,
               unsigned char *sig, size_t max)
{
    if (!r || n < 0)
        return -1;
    ph_str digest = {(const char *)in, (size_t)n};
    return r->signer.sign(r->signer.ctx, (ph_str){r->name, r->name_n}, scheme, digest, sig, max);
}

/* ---- RSA --------------------------------------------------------------------------------- */

/* TLS 1.3 (PSS) pads in OpenSSL and comes with RSA_NO_PADDING; 1.2 comes with a DigestInfo. */
static int rsa_private(int n, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
    uint32_t scheme = padding == RSA_NO_PADDING ? PH_SIGN_RSA_RAW : PH_SIGN_RSA_PKCS1;
    if (padding != RSA_NO_PADDING && padding != RSA_PKCS1_PADDING)
        return -1;
    int got = ask(RSA_get_ex_data(rsa, rsa_slot), scheme, from, n, to, (size_t)RSA_size(rsa));
    return got == RSA_size(rsa) ? got : -1;
}

static const RSA_METHOD *rsa_method(void)
{
    static RSA_METHOD *m;
    if (m)
        return m;
    m = RSA_meth_dup(RSA_PKCS1_OpenSSL());
    rsa_slot = RSA_get_ex_new_index(0, NULL, NULL, NULL, remote_drop);
    if (m)
        RSA_meth_set_priv_enc(m, rsa_private);
    return m;
}

static EVP_PKEY *remote_rsa(EVP_PKEY *pub, struct remote *r)
{
    RSA *mine = EVP_PKEY_get1_RSA(pub), *rsa = mine ? RSAPublicKey_dup(mine) : NULL;
    EVP_PKEY *key = EVP_PKEY_new();
    RSA_free(mine);
    if (rsa && key && rsa_method() && RSA_set_method(rsa, rsa_method()) == 1 &&
        RSA_set_ex_data(rsa, rsa_slot, r) == 1) {
        if (EVP_PKEY_assign_RSA(key, rsa) == 1)
            return key;
        RSA_set_ex_data(rsa, rsa_slot, NULL); /* stays the caller's */
    }
    RSA_free(rsa);
    EVP_PKEY_free(key);
    return NULL;
}

/* ---- ECDSA ------------------------------------------------------------------------------- */

static int ec_sign(int type, const unsigned char *digest, int n, unsigned char *sig,
                   unsigned *ret_n, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *ec)
{
    (void)type, (void)kinv, (void)r;
    int got =
        ask(EC_KEY_get_ex_data(ec, ec_slot), PH_SIGN_ECDSA, digest, n, sig, (size_t)ECDSA_size(ec));
    if (got <= 0)
        return 0;
    *ret_n = (unsigned)got;
    return 1;
}

static const EC_KEY_METHOD *ec_method(void)
{
    static EC_KEY_METHOD *m;
    if (m)
        return m;
    m = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
    ec_slot = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, remote_drop);
    if (m)
        EC_KEY_METHOD_set_sign(m, ec_sign, NULL, NULL);
    return m;
}

static EVP_PKEY *remote_ec(EVP_PKEY *pub, struct remote *r)
{
    EC_KEY *mine = EVP_PKEY_get1_EC_KEY(pub), *ec = mine ? EC_KEY_dup(mine) : NULL;
    EVP_PKEY *key = EVP_PKEY_new();
    EC_KEY_free(mine);
    if (ec && key && ec_method() && EC_KEY_set_method(ec, ec_method()) == 1 &&
        EC_KEY_set_ex_data(ec, ec_slot, r) == 1) {
        if (EVP_PKEY_assign_EC_KEY(key, ec) == 1)
            return key;
        EC_KEY_set_ex_data(ec, ec_slot, NULL);
    }
    EC_KEY_free(ec);
    EVP_PKEY_free(key);
    return NULL;
}

int ph_tls_remote_key(EVP_PKEY *pub, ph_str name, const struct ph_tls_signer *signer,
                      EVP_PKEY **ret_key)
{
    int kind = EVP_PKEY_get_base_id(pub);
    if (kind != EVP_PKEY_RSA && kind != EVP_PKEY_EC)
        return -PH_ENOTIMPL;
    struct remote *r = calloc(1, sizeof *r);
    if (!r || name.n > sizeof r->name) {
        free(r);
        return -PH_ENOMEM;
    }
    r->signer = *signer;
    r->name_n = name.n;
    if (name.n)
        memcpy(r->name, name.p, name.n);
    EVP_PKEY *key = kind == EVP_PKEY_RSA ? remote_rsa(pub, r) : remote_ec(pub, r);
    ERR_clear_error();
    if (!key) {
        free(r);
        return -PH_ENOMEM;
    }
    *ret_key = key;
    return 0;
}
