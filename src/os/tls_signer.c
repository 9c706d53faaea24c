/* Signing with a private key for a process that has none: the half that has it. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tls_int.h"
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

struct ph_sign_key {
    EVP_PKEY *key;
};

EVP_PKEY *ph__tls_read_key(ph_str pem)
{
    /* No password is asked for: an encrypted key is not readable here. */
    char none[] = "";
    BIO *in = pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, none) : NULL;
    BIO_free(in);
    return key;
}

int ph_sign_key_load(ph_str pem, struct ph_sign_key **ret_key, struct ph_error *reterr)
{
    struct ph_sign_key *k = calloc(1, sizeof *k);
    if (!k)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    k->key = ph__tls_read_key(pem);
    if (!k->key) {
        free(k);
        return ph__tls_fail(reterr, "the private key is not readable PEM without a password");
    }
    *ret_key = k;
    return 0;
}

struct ph_sign_key *ph_sign_key_free(struct ph_sign_key *k)
{
    if (k)
        EVP_PKEY_free(k->key);
    free(k);
    return NULL;
}

static int sign_digest(EVP_PKEY *key, int padding, ph_str digest, unsigned char *sig, size_t max)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    size_t n = max;
    int rc = -PH_EIO;
    if (ctx && EVP_PKEY_sign_init(ctx) == 1 &&
        (padding == 0 || EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1) &&
        EVP_PKEY_sign(ctx, sig, &n, (const unsigned char *)digest.p, digest.n) == 1)
        rc = (int)n;
    EVP_PKEY_CTX_free(ctx);
    return rc;
}

static int sign_text(EVP_PKEY *key, ph_str text, unsigned char *sig, size_t max)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t n = max;
    int rc = -PH_EIO;
    if (ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestSign(ctx, sig, &n, (const unsigned char *)text.p, text.n) == 1)
        rc = (int)n;
    EVP_MD_CTX_free(ctx);
    return rc;
}

int ph_sign(struct ph_sign_key *k, uint32_t scheme, ph_str digest, unsigned char *sig, size_t max)
{
    static const struct {
        int kind, padding;
    } row[] = {[PH_SIGN_ECDSA] = {EVP_PKEY_EC, 0},
               [PH_SIGN_RSA_RAW] = {EVP_PKEY_RSA, RSA_NO_PADDING},
               [PH_SIGN_RSA_PKCS1] = {EVP_PKEY_RSA, RSA_PKCS1_PADDING},
               [PH_SIGN_ED25519] = {EVP_PKEY_ED25519, 0}};
    if (scheme == 0 || scheme >= sizeof row / sizeof row[0] ||
        EVP_PKEY_get_base_id(k->key) != row[scheme].kind)
        return -PH_EINVAL;
    if (max < (size_t)EVP_PKEY_get_size(k->key))
        return -PH_ELIMIT;
    int rc = scheme == PH_SIGN_ED25519 ? sign_text(k->key, digest, sig, max)
                                       : sign_digest(k->key, row[scheme].padding, digest, sig, max);
    ERR_clear_error();
    return rc;
}
