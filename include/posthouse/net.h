/*
 * posthouse/net.h - the calls that block: a connection that drives a client engine (proto.h) until it has an event, and what
 * programs want most of the time: send a letter.
 *
 *   struct ph_smtp_session *s;
 *   if (ph_smtp_open(&account, &s, &e) == 0) {
 *       n = ph_smtp_letter(s, from, to, count, message, outcomes, &e);
 *       s = ph_smtp_close(s);
 *   }
 *
 * Errors say what was tried, what the other side said, and what to do about it. SIGPIPE is never raised.
 */
#ifndef POSTHOUSE_NET_H
#define POSTHOUSE_NET_H
#include <posthouse/proto.h>
#include <posthouse/smtp.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- where to, and as whom ----------------------------------------------------------------- */

enum ph_tls_mode {
    PH_TLS_STARTTLS, /* plain at first, then TLS or nothing */
    PH_TLS_ON,       /* TLS from the first byte */
    PH_TLS_OFF       /* a password then goes to loopback addresses only */
};

struct ph_account {
    size_t struct_size; /* sizeof(struct ph_account) */
    ph_str host;        /* name or address; tried at every address it has */
    unsigned port;
    enum ph_tls_mode tls;
    bool insecure;        /* do not check the certificate */
    const char *ca_file;  /* certificates to trust instead of the system's, PEM; NULL: the system's */
    ph_str user, password; /* empty user: no login */
    int64_t connect_ms;   /* for each address, and for the TLS handshake; 0: 30 s */
    int64_t timeout_ms;   /* for each reply; 0: what the protocol's RFC asks for */
};

/* ---- a connection -------------------------------------------------------------------------- */

struct ph_conn;

/* Tries all addresses of the host one after the other; does the handshake when account->tls is PH_TLS_ON. The engine is
 * borrowed until ph_conn_close. Errors: PH_ENOENT (no such host), PH_EREFUSED, PH_ETIMEOUT, PH_ETLS, PH_EIO, PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_conn_open(const struct ph_account *account, const struct ph_proto_ops *ops, void *engine,
                                         struct ph_conn **ret_conn, struct ph_error *reterr);

enum { PH_CONN_MOVED = 0, PH_CONN_SECURED = 1, PH_CONN_DONE = 2 };
/*
 * Sends, receives or waits until something moved: then ask the engine for events, and call again when it says NEED.
 * SECURED: TLS that the engine wanted is up, tell it (ph_x_tls_started). DONE: the engine wants CLOSE and all was sent,
 * or the peer closed. The engine's deadline is kept; what it makes of it is an event. Negative: the connection is lost.
 */
PH_EXPORT PH_MUST_CHECK int ph_conn_step(struct ph_conn *c, struct ph_error *reterr);
PH_EXPORT struct ph_conn *ph_conn_close(struct ph_conn *c); /* NULL allowed; returns NULL */

struct ph_conn_info {
    char peer[352];   /* "mail.a.test [192.0.2.1]:587" */
    char local[64];   /* our address, without port */
    bool loopback;    /* the peer is on this machine */
    char tls[80];     /* "TLSv1.3 TLS_AES_256_GCM_SHA384", empty without TLS */
    bool verified;
    char why[128];    /* when TLS is there and not verified */
};
/* Borrowed from c until it is closed. */
PH_EXPORT const struct ph_conn_info *ph_conn_info(const struct ph_conn *c);

/* May a password be sent? Only under TLS, or to this machine: else -PH_EDENIED with the advice. */
PH_EXPORT PH_MUST_CHECK int ph_conn_may_login(const struct ph_conn *c, struct ph_error *reterr);

/* ---- sending ------------------------------------------------------------------------------- */

struct ph_smtp_session;

/* Connects, says EHLO, brings up TLS and logs in as the account says. transcript may be NULL. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_open(const struct ph_account *account, const struct ph_smtp_transcript *transcript,
                                         struct ph_smtp_session **ret_session, struct ph_error *reterr);

/* What the server said about one recipient, or about the whole. */
struct ph_smtp_outcome {
    int code; /* 0: it was not asked */
    char text[232];
};

/* Hands one letter over. sender: "" for the null reverse-path. message: as built, any line ends; it is borrowed until this
 * returns. ret_each (may be NULL): one for each recipient. ret_all (may be NULL): the reply to the letter ("250 queued as...").
 * Result: the number of recipients that were refused while others have it (0: all have it); negative: nobody has it, and
 * the session can go on unless the error is one of the connection. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_letter(struct ph_smtp_session *s, ph_str sender, const ph_str *recipients, size_t count,
                                           ph_str message, struct ph_smtp_outcome *ret_each, struct ph_smtp_outcome *ret_all,
                                           struct ph_error *reterr);

/* One command and its reply: the code, and the text's lines joined by '\n' added to `text`. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_ask(struct ph_smtp_session *s, ph_str line, struct ph_buf *text, struct ph_error *reterr);

PH_EXPORT const struct ph_conn_info *ph_smtp_session_info(const struct ph_smtp_session *s);
PH_EXPORT struct ph_smtp_session *ph_smtp_close(struct ph_smtp_session *s); /* QUIT, when there still is somebody */

/* All of it at once. */
PH_EXPORT PH_MUST_CHECK int ph_send_letter(const struct ph_account *account, ph_str sender, const ph_str *recipients,
                                           size_t count, ph_str message, struct ph_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
