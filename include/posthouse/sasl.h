/*
 * posthouse/sasl.h - SASL (RFC 4422) for both sides of SMTP, POP3 and IMAP. Values are raw here:
 * base64 is the engines' work. No I/O; nothing is asked back by call: who needs something says so
 * and is given it.
 *
 *   mechanism                          the server's proof   strength
 *   SCRAM-SHA-256-PLUS, SCRAM-SHA-256  KEYS                 the password is never shown (RFC 5802, 7677)
 *   SCRAM-SHA-1-PLUS, SCRAM-SHA-1      KEYS                 the same with the older hash
 *   EXTERNAL                           CERTIFICATE          the TLS client certificate speaks (RFC 4422 A)
 *   OAUTHBEARER, XOAUTH2               TOKEN                an OAuth 2.0 bearer token (RFC 7628; Google's older form)
 *   CRAM-MD5                           (client only)        RFC 2195: for old servers
 *   PLAIN, LOGIN                       PASSWORD             RFC 4616; draft-murchison-sasl-login
 */
#ifndef POSTHOUSE_SASL_H
#define POSTHOUSE_SASL_H
#include <posthouse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PH_SASL_USER_MAX = 512,
    PH_SASL_PASSWORD_MAX = 1024,
    PH_SASL_TOKEN_MAX = 8192,
    /* of keys that we make, when nothing else is said (RFC 7677 4: 4096 at least) */
    PH_SASL_ITERATIONS = 10000,
    /* of SCRAM: more would let a server keep a client busy for seconds */
    PH_SASL_ITERATIONS_MAX = 1000000
};

/* What binds a login to its TLS connection (RFC 5929, 9266): data of ph_conn_info or of the
 * server's TLS. Without data (n == 0) no -PLUS mechanism is used. */
enum ph_sasl_binding { PH_SASL_TLS_EXPORTER, PH_SASL_TLS_UNIQUE };
struct ph_sasl_channel {
    enum ph_sasl_binding type; /* TLS 1.3: exporter; TLS 1.2: unique */
    ph_str data;
};

/* ---- PLAIN alone, for engines ---------------------------------------------------------------- */

/* authzid NUL authcid NUL password. Slices are borrowed from `in`. -PH_ESYNTAX: wrong number of
 * NULs, an empty user or password, a part above its maximum, or not UTF-8. */
PH_EXPORT PH_MUST_CHECK int ph_sasl_plain_decode(ph_str in, ph_str *ret_authzid, ph_str *ret_user,
                                                 ph_str *ret_password);
PH_EXPORT void ph_sasl_plain_encode(struct ph_buf *out, ph_str authzid, ph_str user,
                                    ph_str password);

/* ---- client ---------------------------------------------------------------------------------- */

/* Whose login, and what may be used for it. */
struct ph_sasl_login {
    ph_str user, password;
    ph_str token;     /* OAuth 2.0 bearer token: then only OAUTHBEARER and XOAUTH2 are used */
    ph_str authzid;   /* whom to act for; empty: the user itself */
    bool certificate; /* a client certificate was shown: EXTERNAL may be used */
    /* TLS, or this machine: else only mechanisms that show no password (SCRAM, CRAM-MD5) */
    bool secure;
    ph_str allowed; /* mechanisms that may be used, space-separated; empty: all */
    ph_str host;    /* for OAUTHBEARER */
    unsigned port;
    struct ph_sasl_channel channel;
};

enum ph_sasl_step { PH_SASL_DONE, PH_SASL_MORE, PH_SASL_KEYS_NEEDED };

struct ph_sasl_client;
/* Chooses the strongest mechanism that both sides can do. offered: the server's words,
 * space-separated. Slices of `login` are copied. -PH_ENOTIMPL: there is none (the text says what is
 * offered and what would be needed); -PH_EDENIED: only ones that would show the password without
 * TLS; -PH_EINVAL: not UTF-8, too long, or nothing to log in with; -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_sasl_client_new(const struct ph_sasl_login *login, ph_str offered,
                                               struct ph_sasl_client **ret_client,
                                               struct ph_error *reterr);
PH_EXPORT struct ph_sasl_client *
ph_sasl_client_free(struct ph_sasl_client *c); /* wipes; NULL allowed; returns NULL */
PH_EXPORT ph_str ph_sasl_client_mechanism(const struct ph_sasl_client *c); /* static */
/* Does the client speak first? Then the first step is made with an empty challenge, its answer is
 * the initial response. */
PH_EXPORT bool ph_sasl_client_is_first(const struct ph_sasl_client *c);
/* *ret_answer to send (it may be empty), borrowed until the next step. PH_SASL_MORE or PH_SASL_DONE
 * (this side has said all); -PH_EAUTH: the server proved not to know the password, or changed the
 * channel; -PH_ESYNTAX: a challenge of another mechanism; -PH_ENOMEM. After a negative result
 * cancel the exchange. */
PH_EXPORT PH_MUST_CHECK int ph_sasl_client_step(struct ph_sasl_client *c, ph_str challenge,
                                                ph_str *ret_answer, struct ph_error *reterr);
/* The server said that the login succeeded: 0, or -PH_EAUTH when the mechanism wanted a proof from
 * it that never came. */
PH_EXPORT PH_MUST_CHECK int ph_sasl_client_end(const struct ph_sasl_client *c,
                                               struct ph_error *reterr);
/* What an OAuth server said about a refused token ("invalid_token..."), empty when nothing. */
PH_EXPORT ph_str ph_sasl_client_said(const struct ph_sasl_client *c);

/* ---- server ---------------------------------------------------------------------------------- */

/* What the owner of a server can check; the mechanisms follow from it. */
enum {
    PH_SASL_PASSWORD = 1,    /* a name and a password */
    PH_SASL_KEYS = 2,        /* it has SCRAM keys of its users */
    PH_SASL_TOKEN = 4,       /* a name and a bearer token */
    PH_SASL_CERTIFICATE = 8, /* the peer's certificate names the user */
    PH_SASL_PROVEN = 16      /* with DONE: nothing is left to check */
};

/* SCRAM keys of a password (RFC 5802 3): nobody can log in with them, but they can be guessed
 * against. */
struct ph_sasl_keys {
    uint32_t iterations; /* 4096 (RFC 7677 4) ... PH_SASL_ITERATIONS_MAX */
    size_t n;            /* octets of each key: 20 (SHA-1) or 32 (SHA-256) */
    size_t salt_n;
    unsigned char salt[64], stored[32], server[32];
};
enum ph_sasl_hash { PH_SASL_SHA1, PH_SASL_SHA256 };
/* -PH_EINVAL: the password is not fit for SASLprep (RFC 4013), or a value is out of range;
 * -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_sasl_keys_make(enum ph_sasl_hash hash, ph_str password, ph_str salt,
                                              uint32_t iterations, struct ph_sasl_keys *ret_keys);
/* Keys that nobody has, always the same for a name: what an unknown user is answered with (RFC 5802
 * 9). seed: a secret. */
PH_EXPORT PH_MUST_CHECK int ph_sasl_keys_fake(enum ph_sasl_hash hash, ph_str user, ph_str seed,
                                              uint32_t iterations, struct ph_sasl_keys *ret_keys);
/* "SCRAM-SHA-256$4096:salt$stored:server" in base64 (RFC 5803), for keeping. read: -PH_ESYNTAX. */
PH_EXPORT void ph_sasl_keys_write(const struct ph_sasl_keys *k, struct ph_buf *out);
PH_EXPORT PH_MUST_CHECK int ph_sasl_keys_read(ph_str text, struct ph_sasl_keys *ret_keys);

/*
 * The server's side of one exchange, in the caller's storage.
 *
 *   init -> step(initial response, or none) -> MORE: send `challenge`, step(answer) ...
 *                                           -> KEYS_NEEDED: ph_sasl_server_keys(keys of `user`) -> as a step
 *                                           -> DONE: `proof` tells what is left to check
 *        DONE with PASSWORD: user, password; TOKEN: user (may be empty: the token tells), password holds the token;
 *        CERTIFICATE: user (empty: whom the certificate names); PROVEN: user, all is checked
 */
struct ph_sasl_server {
    int mechanism; /* row of the table in server.c */
    int state;
    unsigned proof;         /* with DONE: one of PH_SASL_... */
    enum ph_sasl_hash hash; /* with KEYS_NEEDED */
    ph_str challenge;       /* with MORE; borrowed until the next step */
    ph_str user, password;  /* point into secret below */
    /* SCRAM, OAUTHBEARER, EXTERNAL: as asked for; PLAIN: never another than the user */
    ph_str authzid;
    size_t used;
    void *scram; /* the library's session */
    void *context;
    char *spoken; /* its last output */
    struct ph_sasl_channel channel;
    char secret[PH_SASL_USER_MAX + PH_SASL_TOKEN_MAX + PH_SASL_USER_MAX + 2];
};

/* The mechanisms for what can be checked, strongest first, space-separated, as in a capability.
 * channel: NULL without TLS. */
PH_EXPORT void ph_sasl_mechanisms(unsigned proofs, const struct ph_sasl_channel *channel,
                                  struct ph_buf *out);
/* The name as a capability has it, static, of a mechanism in any case; NULL: there is none, for
 * these proofs and this channel. */
PH_EXPORT const char *ph_sasl_mechanism(ph_str name, unsigned proofs,
                                        const struct ph_sasl_channel *channel);
/* -PH_ENOTIMPL: no such mechanism (any case) for these proofs. channel: of this TLS connection, or
 * NULL; it must live as long as the exchange. */
PH_EXPORT PH_MUST_CHECK int ph_sasl_server_init(struct ph_sasl_server *s, ph_str mechanism,
                                                unsigned proofs,
                                                const struct ph_sasl_channel *channel);
/* enum ph_sasl_step, or -PH_ESYNTAX. `given`: the client's answer; has: false for the first step
 * without an initial response. Acting for another user: -PH_EDENIED (where it is for the caller to
 * decide, authzid tells). SCRAM with a wrong proof, or a channel that is not ours: -PH_EAUTH. */
PH_EXPORT PH_MUST_CHECK int ph_sasl_server_step(struct ph_sasl_server *s, ph_str given, bool has);
/* After KEYS_NEEDED. The same results as a step. */
PH_EXPORT PH_MUST_CHECK int ph_sasl_server_keys(struct ph_sasl_server *s,
                                                const struct ph_sasl_keys *keys);
/* A token was refused: PH_SASL_MORE with a challenge that tells why (RFC 7628 3.2.2), after whose
 * answer (any) the login fails; for other mechanisms -PH_EAUTH: fail at once. */
PH_EXPORT int ph_sasl_server_refuse(struct ph_sasl_server *s);
PH_EXPORT void ph_sasl_server_done(struct ph_sasl_server *s); /* wipes the secrets */

#ifdef __cplusplus
}
#endif
#endif
