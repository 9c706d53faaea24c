/*
 * Certificates of clients: whose are taken, and whom they name.
 *
 * A client whose certificate is unknown, expired or somebody else's is served as one that shows
 * none: many programs show what they have to every server that asks. Only ph_tls_info.mail, which
 * is empty then, lets anyone in.
 */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

/* How many there are; their names go to `names`, which clients are shown (RFC 8446 4.2.4). */
static int read_authorities(ph_str pem, X509_STORE *store, STACK_OF(X509_NAME) * names)
{
    BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
    int n = 0;
    for (X509 *x; in && n >= 0 && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)); X509_free(x)) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));
        bool kept = name && X509_STORE_add_cert(store, x) == 1 && sk_X509_NAME_push(names, name);
        if (!kept)
            X509_NAME_free(name);
        n = kept ? n + 1 : -1;
    }
    BIO_free(in);
    return n;
}

/* Sessions that were begun under other authorities are not resumed: what they verified is void. */
static bool new_context(SSL_CTX *ssl, ph_str pem)
{
    unsigned char id[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    return EVP_Digest(pem.p, pem.n, id, &n, EVP_sha256(), NULL) == 1 &&
           SSL_CTX_set_session_id_context(ssl, id, n) == 1;
}

int ph_tls_client_authorities(struct ph_tls_ctx *c, ph_str pem, struct ph_error *reterr)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    int n = store && names && pem.n <= INT32_MAX ? read_authorities(pem, store, names) : -1;
    bool ok = n >= 0 && (n > 0 || !pem.n) && new_context(c->ssl, pem);
    if (!ok) {
        X509_STORE_free(store);
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return n == 0 ? ph__tls_fail(reterr, "there is no certificate in PEM in it")
                      : ph__tls_fail(reterr, "the authorities can not be used");
    }
    ERR_clear_error(); /* "no start line" is the normal end */
    SSL_CTX_set1_verify_cert_store(c->ssl, store);
    X509_STORE_free(store);
    SSL_CTX_set_client_CA_list(c->ssl, names);
    SSL_CTX_set_verify(c->ssl, n ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, n ? ph__tls_on_verify : NULL);
    return 0;
}

static bool fits(const ASN1_STRING *s, size_t max)
{
    int n = s ? ASN1_STRING_length(s) : 0;
    return n > 0 && (size_t)n < max && !memchr(ASN1_STRING_get0_data(s), '\0', (size_t)n);
}

void ph__tls_mail_of(X509 *x, char *out, size_t max)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type == GEN_EMAIL && fits(g->d.rfc822Name, max)) {
            size_t n = (size_t)ASN1_STRING_length(g->d.rfc822Name);
            memcpy(out, ASN1_STRING_get0_data(g->d.rfc822Name), n);
            out[n] = '\0';
            break;
        }
    }
    GENERAL_NAMES_free(names);
}
