/* tls_int.h - what the files of the TLS part share. */
#ifndef PH_TLS_INT_H
#define PH_TLS_INT_H
#include "tls.h"
#include <openssl/ssl.h>

struct ph__tls_cert {
    struct ph__tls_cert *next;
    X509 *leaf;
    STACK_OF(X509) * chain;
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
    BIO_METHOD *bio;
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
    bool broken;   /* after a fatal error nothing more may be written, not even close_notify */
    char host[PH__TLS_HOST_MAX + 1];
};

/* Adds OpenSSL's reason to the text `did`, empties its error queue, returns -PH_ETLS. */
int ph__tls_fail(struct ph_error *reterr, const char *did);
/* How a BIO over a socket works that never raises SIGPIPE; one for each context. NULL: out of
 * memory. */
BIO_METHOD *ph__tls_bio_method(void);
BIO *ph__tls_bio(const BIO_METHOD *method, int fd); /* the same */
EVP_PKEY *ph__tls_read_key(ph_str pem);
/* Keeps what is refused in `refused`; ends a client's handshake, not a server's. */
int ph__tls_on_verify(int ok, X509_STORE_CTX *store);
/* The first rfc822Name; `out` stays as it is when there is none of fewer than max octets. */
void ph__tls_mail_of(X509 *x, char *out, size_t max);

/* The client's session store. take returns an owned reference or NULL. */
SSL_SESSION *ph__tls_session_take(struct ph_tls_ctx *c, const char *host);
void ph__tls_session_keep(struct ph_tls_ctx *c, const char *host, SSL_SESSION *owned);
#endif
