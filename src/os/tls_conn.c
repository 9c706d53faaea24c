/* One TLS connection over a non-blocking socket that stays its caller's. */
#include "loop.h"
#include "tls_int.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_ip(const char *host)
{
    unsigned char ip[16];
    return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

/* OpenSSL drops a certificate that it refuses; the error wants to say whose it is. A server goes on
 * without it (tls_peer.c). */
int ph__tls_on_verify(int ok, X509_STORE_CTX *store)
{
    struct ph_tls *t = SSL_get_app_data(
        (SSL *)X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    if (!ok && t && !t->refused && leaf && X509_up_ref(leaf))
        t->refused = leaf;
    return ok || (t && t->ctx->server);
}

/* Name to ask for, name to verify, session to resume. */
static bool client_setup(struct ph_tls *t)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    SSL_set_connect_state(t->ssl);
    SSL_set_verify(t->ssl, t->ctx->verify == PH_TLS_VERIFY_FULL ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                   ph__tls_on_verify);
    if (t->host[0] == '\0')
        return true;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_ip(t->host)) { /* an address is not a name: no SNI (RFC 6066 3) */
        if (X509_VERIFY_PARAM_set1_ip_asc(param, t->host) != 1)
            return false;
    } else if (X509_VERIFY_PARAM_set1_host(param, t->host, 0) != 1 ||
               SSL_set_tlsext_host_name(t->ssl, t->host) != 1) {
        return false;
    }
    SSL_SESSION *s = ph__tls_session_take(t->ctx, t->host);
    if (s) {
        SSL_set_session(t->ssl, s);
        SSL_SESSION_free(s);
    }
    return true;
}

struct ph_tls *ph_tls_new(struct ph_tls_ctx *c, int fd, ph_str host)
{
    struct ph_tls *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->ctx = c;
    t->fd = fd;
    c->refs++;
    while (host.n && host.p[host.n - 1] == '.') /* a name with a root dot names the same host */
        host.n--;
    BIO *bio = ph__tls_bio(c->bio, fd);
    t->ssl = SSL_new(c->ssl);
    if (!bio || !t->ssl || host.n >= sizeof t->host) {
        BIO_free(bio);
        return ph_tls_free(t);
    }
    if (host.n)
        memcpy(t->host, host.p, host.n);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    if (c->server)
        SSL_set_accept_state(t->ssl);
    else if (!client_setup(t))
        return ph_tls_free(t);
    return t;
}

struct ph_tls *ph_tls_free(struct ph_tls *t)
{
    if (!t)
        return NULL;
    /* OpenSSL forgets the session of a connection that ended without close_notify; resuming it
     * harms nobody. */
    if (t->ssl && !t->broken)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    X509_free(t->refused);
    ph_tls_ctx_free(t->ctx);
    free(t);
    return NULL;
}

/* ---- errors in words --------------------------------------------------------------------- */

/* The names a certificate is for, "a.test, b.test", for a person. */
static void names_of(X509 *x, char *out, size_t n)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        char ip[INET6_ADDRSTRLEN] = "";
        const char *text = ip;
        int len;
        if (g->type == GEN_DNS) {
            text = (const char *)ASN1_STRING_get0_data(g->d.dNSName);
            len = ASN1_STRING_length(g->d.dNSName);
        } else if (g->type == GEN_IPADD) {
            int v6 = ASN1_STRING_length(g->d.iPAddress) == 16;
            inet_ntop(v6 ? AF_INET6 : AF_INET, ASN1_STRING_get0_data(g->d.iPAddress), ip,
                      sizeof ip);
            len = (int)strlen(ip);
        } else {
            continue;
        }
        if (at + (size_t)len + 3 > n)
            break;
        at += (size_t)snprintf(out + at, n - at, "%s%.*s", at ? ", " : "", len, text);
    }
    GENERAL_NAMES_free(names);
    if (at == 0)
        X509_NAME_oneline(X509_get_subject_name(x), out, (int)n);
}

static void explain(const struct ph_tls *t, long verdict, X509 *x, char *out, size_t n)
{
    char names[96];
    switch (verdict) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        snprintf(out, n, "its certificate is self-signed and not trusted here");
        return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        if (x)
            names_of(x, names, sizeof names);
        snprintf(out, n, "its certificate is for %s, not for %s", x ? names : "another name",
                 t->host);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        snprintf(out, n, "its certificate has expired");
        return;
    default:
        snprintf(out, n, "%s", X509_verify_cert_error_string(verdict));
    }
}

static int fail_handshake(struct ph_tls *t, struct ph_error *reterr)
{
    int reason = ERR_GET_REASON(ERR_peek_error());
    long verdict = SSL_get_verify_result(t->ssl);
    char why[400];
    if (!t->ctx->server && reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
        explain(t, verdict, t->refused, why, sizeof why);
        ERR_clear_error();
        return ph_fail(reterr, PH_ETLS, 0, "TLS with %s failed: %s",
                       t->host[0] ? t->host : "the server", why);
    }
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
        reason == SSL_R_PACKET_LENGTH_TOO_LONG) {
        ERR_clear_error();
        return ph_fail(
            reterr, PH_ETLS, 0,
            "the other side does not speak TLS here (a port for STARTTLS or plain text?)");
    }
    return ph__tls_fail(reterr, "TLS handshake failed");
}

/* What a call that did not succeed means. handshake: whether it was one, for the words. */
static int outcome(struct ph_tls *t, int rc, bool handshake, unsigned *ret_want,
                   struct ph_error *reterr)
{
    int sys = errno;
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        *ret_want = PH_READ;
        return -PH_EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        *ret_want = PH_WRITE;
        return -PH_EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        if (!handshake)
            return 0;
        t->broken = true;
        return ph_fail(reterr, PH_ECLOSED, 0, "the connection was closed during the TLS handshake");
    case SSL_ERROR_SYSCALL:
        t->broken = true;
        ERR_clear_error();
        if (sys == 0 || sys == EAGAIN)
            return ph_fail(reterr, PH_ECLOSED, 0, "the connection was closed%s",
                           handshake ? " during the TLS handshake" : "");
        return ph_fail(reterr, PH_ECLOSED, sys, "the connection broke%s: %s",
                       handshake ? " during the TLS handshake" : "", strerror(sys));
    default:
        t->broken = true;
        return handshake ? fail_handshake(t, reterr) : ph__tls_fail(reterr, "TLS failed");
    }
}

/* ---- calls ------------------------------------------------------------------------------- */

int ph_tls_handshake(struct ph_tls *t, unsigned *ret_want, struct ph_error *reterr)
{
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(t->ssl);
    return rc == 1 ? 0 : outcome(t, rc, true, ret_want, reterr);
}

int64_t ph_tls_read(struct ph_tls *t, char *p, size_t n, unsigned *ret_want,
                    struct ph_error *reterr)
{
    size_t got = 0;
    ERR_clear_error();
    errno = 0;
    int rc = SSL_read_ex(t->ssl, p, n, &got);
    return rc == 1 ? (int64_t)got : outcome(t, rc, false, ret_want, reterr);
}

bool ph_tls_pending(const struct ph_tls *t)
{
    return SSL_has_pending(t->ssl) == 1;
}

int64_t ph_tls_write(struct ph_tls *t, const char *p, size_t n, unsigned *ret_want,
                     struct ph_error *reterr)
{
    size_t put = 0;
    ERR_clear_error();
    errno = 0;
    int rc = SSL_write_ex(t->ssl, p, n, &put);
    if (rc == 1)
        return (int64_t)put;
    rc = outcome(t, rc, false, ret_want, reterr);
    return rc == 0 ? ph_fail(reterr, PH_ECLOSED, 0, "the connection was closed") : rc;
}

int ph_tls_shutdown(struct ph_tls *t, unsigned *ret_want)
{
    if (t->broken || !SSL_is_init_finished(t->ssl) ||
        (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
        return 0;
    ERR_clear_error();
    int rc = SSL_shutdown(t->ssl); /* ours is sent; the peer's is not waited for */
    if (rc < 0 && SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_WRITE) {
        *ret_want = PH_WRITE;
        return -PH_EAGAIN;
    }
    ERR_clear_error();
    return 0;
}

/* Without the extended master secret (RFC 7627) a binding of TLS 1.2 binds nothing. */
static void bind_channel(SSL *ssl, bool server, struct ph_tls_info *i)
{
    static const char label[] = "EXPORTER-Channel-Binding"; /* RFC 9266 2 */
    if (SSL_version(ssl) >= TLS1_3_VERSION) {
        if (SSL_export_keying_material(ssl, i->binding, 32, label, sizeof label - 1,
                                       (const unsigned char *)"", 0, 1) == 1)
            i->binding_n = 32;
    } else if (SSL_get_extms_support(ssl) == 1) {
        /* the first Finished: the client's, when resumed the server's */
        bool ours = server == (bool)SSL_session_reused(ssl);
        i->binding_n = ours ? SSL_get_finished(ssl, i->binding, sizeof i->binding)
                            : SSL_get_peer_finished(ssl, i->binding, sizeof i->binding);
        if (i->binding_n > sizeof i->binding)
            i->binding_n = 0;
        i->binding_unique = true;
    }
}

void ph_tls_describe(struct ph_tls *t, struct ph_tls_info *ret_info)
{
    struct ph_tls_info i = {0};
    char why[400] = "";
    X509 *x = SSL_get0_peer_certificate(t->ssl);
    snprintf(i.version, sizeof i.version, "%s", SSL_get_version(t->ssl));
    snprintf(i.cipher, sizeof i.cipher, "%s", SSL_get_cipher_name(t->ssl));
    i.resumed = SSL_session_reused(t->ssl);
    long verdict = SSL_get_verify_result(t->ssl);
    i.verified = x && verdict == X509_V_OK && !t->refused;
    if (i.verified && t->ctx->server)
        ph__tls_mail_of(x, i.mail, sizeof i.mail);
    if (x)
        X509_NAME_oneline(X509_get_subject_name(x), i.peer, sizeof i.peer);
    if (!i.verified && !t->ctx->server) {
        if (x)
            explain(t, verdict, x, why, sizeof why);
        else
            snprintf(why, sizeof why, "it showed no certificate");
    }
    snprintf(i.why, sizeof i.why, "%.127s", why);
    bind_channel(t->ssl, t->ctx->server, &i);
    ERR_clear_error();
    *ret_info = i;
}
