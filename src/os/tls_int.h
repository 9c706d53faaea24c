/* tls_int.h - what the files of the TLS part share. */
#ifndef PH_TLS_INT_H
#define PH_TLS_INT_H
#include "tls.h"
#include <openssl/ssl.h>

struct ph__tls_cert {
    struct ph__tls_cert *next;
    X509 *leaf;
    STACK_OF(X509) *chain;
    EVP_PKEY *key;
    size_t name_n;
    char name[256]; /* lower case; "" is the default */
};

/* Sessions that servers gave us, one a name; a name that falls on a taken slot replaces it. */
enum { PH__TLS_SESSIONS = 256, PH__TLS_HOST_MAX = 255 };

struct ph__tls_session {
    char host[PH__TLS_HOST_MAX + 1];
    SSL_SESSION *session;
};

struct ph_tls_ctx {
    SSL_CTX *ssl;
    unsigned refs; /* the owner and every connection */
    bool server;
    enum ph_tls_verify verify;
    struct ph__tls_cert *certs;
    struct ph__tls_session *sessions; /* client: PH__TLS_SESSIONS of them */
};

struct ph_tls {
    SSL *ssl;
    struct ph_tls_ctx *ctx;
    int fd;
    X509 *refused; /* the peer's, when it did not verify */
    bool broken; /* after a fatal error nothing more may be written, not even close_notify */
    char host[PH__TLS_HOST_MAX + 1];
};

/* Adds OpenSSL's reason to the text `did`, empties its error queue, returns -PH_ETLS. */
int ph__tls_fail(struct ph_error *reterr, const char *did);
/* A BIO over a socket that never raises SIGPIPE. NULL: out of memory. */
BIO *ph__tls_bio(int fd);
/* A key whose private half is elsewhere. `pub` is the certificate's. 0, -PH_ENOMEM, -PH_ENOTIMPL (kind of key). */
int ph__tls_remote_key(EVP_PKEY *pub, ph_str name, const struct ph_tls_signer *signer, EVP_PKEY **ret_key);
EVP_PKEY *ph__tls_read_key(ph_str pem);

/* The client's session store. take returns an owned reference or NULL. */
SSL_SESSION *ph__tls_session_take(struct ph_tls_ctx *c, const char *host);
void ph__tls_session_keep(struct ph_tls_ctx *c, const char *host, SSL_SESSION *owned);
#endif
