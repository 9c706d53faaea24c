/*
 * tls.h - TLS 1.2 and 1.3 over OpenSSL 3, non-blocking, server and client.
 *
 * A server's private key need not be in the process: a context may be given a signer, which is
 * asked (and waited for) for one signature per full handshake.
 */
#ifndef PH_TLS_H
#define PH_TLS_H
#include <posthouse/base.h>

struct ph_tls_ctx;
struct ph_tls;
struct evp_pkey_st;

/* Signs a digest with the key named `key`; scheme as in keeper.h. >= 0: bytes written to sig (cap
 * `max`). */
struct ph_tls_signer {
    int (*sign)(void *ctx, ph_str key, uint32_t scheme, ph_str digest, unsigned char *sig,
                size_t max);
    void *ctx;
    /* ph_tls_remote_key: named here so that only a program that has signers links it. */
    int (*remote)(struct evp_pkey_st *pub, ph_str name, const struct ph_tls_signer *signer,
                  struct evp_pkey_st **ret_key);
};
/* A key (OpenSSL's EVP_PKEY) whose private half is elsewhere. pub is the certificate's. 0,
 * -PH_ENOMEM, -PH_ENOTIMPL (kind of key). */
int ph_tls_remote_key(struct evp_pkey_st *pub, ph_str name, const struct ph_tls_signer *signer,
                      struct evp_pkey_st **ret_key);

/* Schemes of a signer: what is done to `digest` (which for ED25519 is the whole text). */
enum ph_sign_scheme {
    PH_SIGN_ECDSA = 1,     /* raw digest, DER signature */
    PH_SIGN_RSA_RAW = 2,   /* already padded block: RSA private operation without padding */
    PH_SIGN_RSA_PKCS1 = 3, /* DigestInfo given: PKCS#1 v1.5 */
    PH_SIGN_ED25519 = 4
};
/* The keeper's half: does what a scheme says with a private key in PEM. */
struct ph_sign_key;
PH_MUST_CHECK int ph_sign_key_load(ph_str pem, struct ph_sign_key **ret_key,
                                   struct ph_error *reterr);
struct ph_sign_key *ph_sign_key_free(struct ph_sign_key *k);
int ph_sign(struct ph_sign_key *k, uint32_t scheme, ph_str digest, unsigned char *sig, size_t max);

/* Server context without certificates. Session tickets, with a key of its own until it is given
 * one; 1.2+; modern ciphers only. */
struct ph_tls_ctx *ph_tls_server_ctx(struct ph_error *reterr);
/* Random bytes that new tickets are sealed with (RFC 5077 4) and old ones opened; servers that
 * share them resume each other's sessions. Tickets of an earlier secret lead to a full handshake.
 * 0, -PH_EINVAL (not PH_TLS_TICKET_KEY bytes). */
enum { PH_TLS_TICKET_KEY = 80 };
PH_MUST_CHECK int ph_tls_ticket_key(struct ph_tls_ctx *c, ph_str secret);
/* Adds or replaces the certificate `name` (host name, or "" for the default when SNI fits none).
 * chain: PEM, leaf first. key: PEM private key, or empty when signer does it. Replacing takes
 * effect for new handshakes. Errors say what is wrong with the certificate. 0, or 1 when it is in
 * use but expired or not yet valid: then, as an exception, reterr holds that warning. With a
 * signer: ECDSA and RSA keys; others are -PH_ENOTIMPL. The signer must outlive c. */
PH_MUST_CHECK int ph_tls_add_cert(struct ph_tls_ctx *c, ph_str name, ph_str chain_pem,
                                  ph_str key_pem, const struct ph_tls_signer *signer,
                                  struct ph_error *reterr);

/* Server: clients may show a certificate of one of these authorities (PEM, in place of earlier
 * ones; empty: none is asked for); ph_tls_info.mail tells whom it names. One that is not good is
 * taken for none. 0, or -PH_ETLS: there is no certificate in it. */
PH_MUST_CHECK int ph_tls_client_authorities(struct ph_tls_ctx *c, ph_str pem,
                                            struct ph_error *reterr);

enum ph_tls_verify {
    PH_TLS_VERIFY_NONE,
    PH_TLS_VERIFY_FULL
}; /* NONE: opportunistic encryption only */
/* Client context. ca_file: PEM bundle or directory-less default (NULL: the system's). Keeps
 * sessions per name for resumption. */
struct ph_tls_ctx *ph_tls_client_ctx(enum ph_tls_verify verify, const char *ca_file,
                                     struct ph_error *reterr);
/* Reads the system's authorities now: for a process that cannot open files later. None found: no
 * certificate is verified. */
void ph_tls_load_authorities(struct ph_tls_ctx *c);
/* A client certificate for EXTERNAL. */
PH_MUST_CHECK int ph_tls_client_cert(struct ph_tls_ctx *c, ph_str chain_pem, ph_str key_pem,
                                     struct ph_error *reterr);
struct ph_tls_ctx *ph_tls_ctx_free(struct ph_tls_ctx *c);

/* A connection on fd (stays the caller's). host: SNI and name to verify, client only. */
struct ph_tls *ph_tls_new(struct ph_tls_ctx *c, int fd, ph_str host);
struct ph_tls *ph_tls_free(struct ph_tls *t);

/* All four: >= 0 success (bytes; read 0 = closed by the peer), or -PH_EAGAIN with *ret_want =
 * PH_READ or PH_WRITE of loop.h, or -PH_ETLS / -PH_ECLOSED with reterr filled. */
int ph_tls_handshake(struct ph_tls *t, unsigned *ret_want, struct ph_error *reterr);
int64_t ph_tls_read(struct ph_tls *t, char *p, size_t n, unsigned *ret_want,
                    struct ph_error *reterr);
int64_t ph_tls_write(struct ph_tls *t, const char *p, size_t n, unsigned *ret_want,
                     struct ph_error *reterr);
/* Bytes wait inside: read without waiting for the descriptor. */
bool ph_tls_pending(const struct ph_tls *t);
int ph_tls_shutdown(struct ph_tls *t, unsigned *ret_want);

struct ph_tls_info {
    char version[16]; /* "TLSv1.3" */
    char cipher[48];
    char peer[128]; /* subject of the peer's certificate, empty when none */
    bool resumed, verified;
    char why[128]; /* when not verified: why */
    /* server, verified: the first rfc822Name (RFC 5280 4.2.1.6) of the client's certificate; else
     * empty */
    char mail[321];
    /* for SCRAM-PLUS: tls-exporter (RFC 9266) of TLS 1.3, tls-unique (RFC 5929 3) of TLS 1.2 */
    unsigned char binding[64];
    size_t binding_n;
    bool binding_unique;
};
void ph_tls_describe(struct ph_tls *t, struct ph_tls_info *ret_info);

/* A self-signed ECDSA P-256 certificate for `names` (host names and addresses, first is the CN),
 * valid 10 years. */
PH_MUST_CHECK int ph_tls_self_signed(const ph_str *names, size_t count, struct ph_buf *ret_cert_pem,
                                     struct ph_buf *ret_key_pem, struct ph_error *reterr);
#endif
