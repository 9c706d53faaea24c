/* Contexts: what all connections of one kind have in common. Certificates, chosen by the name the
 * client asks for at each handshake; sessions of the servers we spoke to. */
#include "tls_int.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int ph__tls_fail(struct ph_error *reterr, const char *did)
{
    unsigned long e = ERR_peek_error();
    const char *why = e ? ERR_reason_error_string(e) : NULL;
    char code[40];
    if (!why) {
        snprintf(code, sizeof code, "OpenSSL error %lx", e);
        why = code;
    }
    ERR_clear_error();
    return ph_fail(reterr, PH_ETLS, 0, "%s: %s", did, why);
}

/* ---- certificates ------------------------------------------------------------------------ */

static void cert_free(struct ph__tls_cert *c)
{
    if (!c)
        return;
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    free(c);
}

/* Exact, then "*.rest" for one label (RFC 9525 6.3), then the default, then any. */
static struct ph__tls_cert *choose(const struct ph_tls_ctx *c, const char *name)
{
    struct ph__tls_cert *wild = NULL, *fallback = NULL;
    const char *dot = name ? strchr(name, '.') : NULL;
    for (struct ph__tls_cert *e = c->certs; e; e = e->next) {
        if (name && strcasecmp(e->name, name) == 0)
            return e;
        if (dot && e->name[0] == '*' && strcasecmp(e->name + 1, dot) == 0)
            wild = e;
        if (e->name[0] == '\0')
            fallback = e;
    }
    return wild ? wild : fallback ? fallback : c->certs;
}

static int on_cert(SSL *ssl, void *arg)
{
    struct ph__tls_cert *e = choose(arg, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    return e && SSL_use_cert_and_key(ssl, e->leaf, e->key, e->chain, 1) == 1;
}

static int read_chain(ph_str pem, struct ph__tls_cert *e, struct ph_error *reterr)
{
    BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
    e->chain = sk_X509_new_null();
    if (!in || !e->chain) {
        BIO_free(in);
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    }
    e->leaf = PEM_read_bio_X509(in, NULL, NULL, NULL);
    if (!e->leaf) {
        BIO_free(in);
        return ph__tls_fail(reterr, "the certificate is not readable PEM");
    }
    X509 *more;
    while ((more = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL)
        if (!sk_X509_push(e->chain, more)) {
            X509_free(more);
            break;
        }
    ERR_clear_error(); /* "no start line" is the normal end */
    BIO_free(in);
    return 0;
}

static int read_pair(struct ph__tls_cert *e, ph_str key_pem, const struct ph_tls_signer *signer,
                     struct ph_error *reterr)
{
    EVP_PKEY *pub = X509_get0_pubkey(e->leaf);
    if (!pub)
        return ph__tls_fail(reterr, "the certificate's public key is not usable");
    if (key_pem.n == 0) {
        if (!signer)
            return ph_fail(reterr, PH_EINVAL, 0, "no private key given and nobody who signs");
        int rc = signer->remote(pub, (ph_str){e->name, e->name_n}, signer, &e->key);
        if (rc == -PH_ENOTIMPL)
            return ph_fail(reterr, PH_ENOTIMPL, 0,
                           "a key of this kind cannot be kept apart; use ECDSA P-256 or RSA");
        return rc < 0 ? ph_fail(reterr, -rc, 0, "out of memory") : 0;
    }
    e->key = ph__tls_read_key(key_pem);
    if (!e->key)
        return ph__tls_fail(reterr, "the private key is not readable PEM");
    if (EVP_PKEY_eq(pub, e->key) != 1)
        return ph__tls_fail(reterr, "the private key does not belong to the certificate");
    return 0;
}

static void put_cert(struct ph_tls_ctx *c, struct ph__tls_cert *e)
{
    struct ph__tls_cert **at = &c->certs;
    while (*at && strcasecmp((*at)->name, e->name) != 0)
        at = &(*at)->next;
    struct ph__tls_cert *old = *at;
    e->next = old ? old->next : NULL;
    *at = e;
    cert_free(old); /* connections that use it hold references of their own */
}

static int check_dates(const X509 *x, ph_str name, struct ph_error *reterr)
{
    if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
        ph_fail(reterr, PH_ETLS, 0, "the certificate for \"%.*s\" has expired", PH_FMT(name));
    else if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
        ph_fail(reterr, PH_ETLS, 0, "the certificate for \"%.*s\" is not valid yet", PH_FMT(name));
    else
        return 0;
    return 1;
}

int ph_tls_add_cert(struct ph_tls_ctx *c, ph_str name, ph_str chain_pem, ph_str key_pem,
                    const struct ph_tls_signer *signer, struct ph_error *reterr)
{
    struct ph__tls_cert *e = calloc(1, sizeof *e);
    if (!e)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    if (name.n >= sizeof e->name || chain_pem.n > INT32_MAX) {
        free(e);
        return ph_fail(reterr, PH_ELIMIT, 0, "the name or the certificate is too long");
    }
    if (name.n)
        memcpy(e->name, name.p, name.n);
    e->name_n = name.n;
    int rc = read_chain(chain_pem, e, reterr);
    if (rc == 0)
        rc = read_pair(e, key_pem, signer, reterr);
    if (rc < 0) {
        cert_free(e);
        return rc;
    }
    put_cert(c, e);
    return check_dates(e->leaf, name, reterr);
}

/* ---- sessions of the client -------------------------------------------------------------- */

static struct ph__tls_session *slot(struct ph_tls_ctx *c, const char *host)
{
    uint32_t h = 2166136261u;
    for (const char *p = host; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return &c->sessions[h % PH__TLS_SESSIONS];
}

void ph__tls_session_keep(struct ph_tls_ctx *c, const char *host, SSL_SESSION *owned)
{
    struct ph__tls_session *s = slot(c, host);
    SSL_SESSION_free(s->session);
    s->session = owned;
    snprintf(s->host, sizeof s->host, "%s", host);
}

SSL_SESSION *ph__tls_session_take(struct ph_tls_ctx *c, const char *host)
{
    struct ph__tls_session *s = slot(c, host);
    if (!s->session || strcmp(s->host, host) != 0)
        return NULL;
    SSL_SESSION *got = s->session;
    if (SSL_SESSION_get_protocol_version(got) >= TLS1_3_VERSION)
        /* A ticket of 1.3 is used once (RFC 8446 C.4); the server sends a new one. */
        s->session = NULL;
    else
        SSL_SESSION_up_ref(got);
    return got;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct ph_tls *t = SSL_get_app_data(ssl);
    if (!t || t->host[0] == '\0' || !SSL_SESSION_is_resumable(session))
        return 0;
    ph__tls_session_keep(t->ctx, t->host, session);
    return 1; /* ours now */
}

/* ---- contexts ---------------------------------------------------------------------------- */

static struct ph_tls_ctx *ctx_new(const SSL_METHOD *method, struct ph_error *reterr)
{
    struct ph_tls_ctx *c = calloc(1, sizeof *c);
    if (!c) {
        ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
        return NULL;
    }
    c->refs = 1;
    c->ssl = SSL_CTX_new(method);
    c->bio = ph__tls_bio_method();
    if (!c->ssl || !c->bio || SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION) != 1) {
        ph__tls_fail(reterr, "cannot set up TLS");
        return ph_tls_ctx_free(c);
    }
    /* An idle connection holds no record buffers. A missing close_notify is an orderly end: every
     * protocol of mail says itself where a message ends. */
    SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                    SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(c->ssl, 1); /* one recv(2) for head and body of a record */
    return c;
}

struct ph_tls_ctx *ph_tls_server_ctx(struct ph_error *reterr)
{
    static const unsigned char id[] = "posthouse";
    struct ph_tls_ctx *c = ctx_new(TLS_server_method(), reterr);
    if (!c)
        return NULL;
    c->server = true;
    /* Forward secrecy always: the key that signs cannot decrypt, and with a signer there is no
     * other way. */
    if (SSL_CTX_set_cipher_list(c->ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
        ph__tls_fail(reterr, "cannot choose ciphers");
        return ph_tls_ctx_free(c);
    }
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF); /* tickets carry the state */
    SSL_CTX_set_session_id_context(c->ssl, id, sizeof id - 1);
    SSL_CTX_set_num_tickets(c->ssl, 1);
    SSL_CTX_set_cert_cb(c->ssl, on_cert, c);
    return c;
}

int ph_tls_ticket_key(struct ph_tls_ctx *c, ph_str secret)
{
    unsigned char keys[PH_TLS_TICKET_KEY];
    if (secret.n != sizeof keys)
        return -PH_EINVAL;
    memcpy(keys, secret.p, sizeof keys);
    int ok = (int)SSL_CTX_set_tlsext_ticket_keys(c->ssl, keys, sizeof keys);
    ph_wipe(keys, sizeof keys);
    return ok == 1 ? 0 : -PH_EINVAL;
}

struct ph_tls_ctx *ph_tls_client_ctx(enum ph_tls_verify verify, const char *ca_file,
                                     struct ph_error *reterr)
{
    struct ph_tls_ctx *c = ctx_new(TLS_client_method(), reterr);
    if (!c)
        return NULL;
    c->verify = verify;
    c->sessions = calloc(PH__TLS_SESSIONS, sizeof *c->sessions);
    if (!c->sessions) {
        ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
        return ph_tls_ctx_free(c);
    }
    if (ca_file) {
        if (SSL_CTX_load_verify_file(c->ssl, ca_file) != 1) {
            char did[160];
            snprintf(did, sizeof did, "cannot read certificates from %.120s", ca_file);
            ph__tls_fail(reterr, did);
            return ph_tls_ctx_free(c);
        }
        /* Whoever names a file trusts what is in it, also when that is the server's own
         * certificate. */
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c->ssl), X509_V_FLAG_PARTIAL_CHAIN);
    } else {
        SSL_CTX_set_default_verify_paths(c->ssl);
    }
    SSL_CTX_set_session_cache_mode(c->ssl,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(c->ssl, on_session);
    return c;
}

void ph_tls_load_authorities(struct ph_tls_ctx *c)
{
    static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt", /* Debian */
                                          "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
                                          "/etc/ssl/cert.pem"};                 /* Alpine, BSD */
    for (size_t i = 0; i < sizeof bundles / sizeof *bundles; i++)
        if (SSL_CTX_load_verify_file(c->ssl, bundles[i]) == 1)
            break;
    ERR_clear_error();
}

int ph_tls_client_cert(struct ph_tls_ctx *c, ph_str chain_pem, ph_str key_pem,
                       struct ph_error *reterr)
{
    struct ph__tls_cert *e = calloc(1, sizeof *e);
    if (!e)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    int rc = read_chain(chain_pem, e, reterr);
    if (rc == 0)
        rc = read_pair(e, key_pem, NULL, reterr);
    if (rc == 0 && SSL_CTX_use_cert_and_key(c->ssl, e->leaf, e->key, e->chain, 1) != 1)
        rc = ph__tls_fail(reterr, "cannot use the client certificate");
    cert_free(e);
    return rc;
}

struct ph_tls_ctx *ph_tls_ctx_free(struct ph_tls_ctx *c)
{
    if (!c || --c->refs > 0)
        return NULL;
    while (c->certs) {
        struct ph__tls_cert *e = c->certs;
        c->certs = e->next;
        cert_free(e);
    }
    for (size_t i = 0; c->sessions && i < PH__TLS_SESSIONS; i++)
        SSL_SESSION_free(c->sessions[i].session);
    free(c->sessions);
    SSL_CTX_free(c->ssl);
    BIO_meth_free(c->bio);
    free(c);
    return NULL;
}
