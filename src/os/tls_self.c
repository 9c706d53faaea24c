/* A certificate for a house that has none yet. */
#include "tls_int.h"
#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { DAY = 86400, VALID = 3650 * DAY, NAMES_MAX = 100 };

static bool extend(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

/* Names go in as values, not through OpenSSL's little configuration language. */
static bool add_name(GENERAL_NAMES *all, ph_str name)
{
    char text[256];
    unsigned char ip[16];
    if (name.n == 0 || name.n >= sizeof text)
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    int ip_n = inet_pton(AF_INET, text, ip) == 1 ? 4 : inet_pton(AF_INET6, text, ip) == 1 ? 16 : 0;
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *value = ip_n ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!g || !value ||
        ASN1_STRING_set(value, ip_n ? (void *)ip : (void *)text, ip_n ? ip_n : (int)name.n) != 1) {
        GENERAL_NAME_free(g);
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(g, ip_n ? GEN_IPADD : GEN_DNS, value);
    if (sk_GENERAL_NAME_push(all, g))
        return true;
    GENERAL_NAME_free(g);
    return false;
}

static bool add_names(X509 *x, const ph_str *names, size_t count)
{
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    bool ok = all != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = add_name(all, names[i]);
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0) == 1;
    GENERAL_NAMES_free(all);
    return ok;
}

static bool fill(X509 *x, EVP_PKEY *key, const ph_str *names, size_t count)
{
    unsigned char serial[16];
    X509_NAME *subject = X509_get_subject_name(x);
    size_t cn = names[0].n < 64 ? names[0].n : 64; /* ub-common-name, RFC 5280 appendix A */
    if (RAND_bytes(serial, sizeof serial) != 1)
        return false;
    serial[0] = (serial[0] & 0x7f) | 1; /* positive, and never zero */
    BIGNUM *n = BN_bin2bn(serial, sizeof serial, NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    /* A day back: clocks differ. */
    return ok && X509_set_version(x, X509_VERSION_3) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(x), -DAY) &&
           X509_gmtime_adj(X509_getm_notAfter(x), VALID) && X509_set_pubkey(x, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                      (const unsigned char *)names[0].p, (int)cn, -1, 0) == 1 &&
           X509_set_issuer_name(x, subject) == 1 &&
           extend(x, NID_basic_constraints, "critical,CA:FALSE") &&
           extend(x, NID_key_usage, "critical,digitalSignature") &&
           extend(x, NID_ext_key_usage, "serverAuth") &&
           extend(x, NID_subject_key_identifier, "hash") && add_names(x, names, count) &&
           X509_sign(x, key, EVP_sha256()) > 0;
}

static bool write_pem(BIO *from, struct ph_buf *to)
{
    char *p = NULL;
    long n = BIO_get_mem_data(from, &p);
    ph_buf_add(to, (ph_str){p, n > 0 ? (size_t)n : 0});
    return n > 0 && ph_buf_err(to) == 0;
}

int ph_tls_self_signed(const ph_str *names, size_t count, struct ph_buf *ret_cert_pem,
                       struct ph_buf *ret_key_pem, struct ph_error *reterr)
{
    if (count == 0 || count > NAMES_MAX)
        return ph_fail(reterr, PH_EINVAL, 0, "a certificate needs between 1 and %d names",
                       NAMES_MAX);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    BIO *cert_out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_secmem());
    int rc = 0;
    if (!key || !x || !cert_out || !key_out || !fill(x, key, names, count) ||
        PEM_write_bio_X509(cert_out, x) != 1 ||
        PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) != 1)
        rc = ph__tls_fail(reterr, "cannot make a certificate");
    else if (!write_pem(cert_out, ret_cert_pem) || !write_pem(key_out, ret_key_pem))
        rc = ph_fail(reterr, PH_ENOMEM, 0, "cannot make a certificate: out of memory");
    BIO_free(cert_out);
    BIO_free(key_out);
    X509_free(x);
    EVP_PKEY_free(key);
    return rc;
}
