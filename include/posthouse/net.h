/*
 * posthouse/net.h - what all blocking calls of the library share: an account, the errors a person
 * can act on, the transcript, and a connection that drives any client engine (proto.h) until it has
 * an event.
 *
 *   send.h       SMTP and LMTP
 *   fetch.h      POP3 and IMAP
 *   discover.h   from an address to its servers
 *
 * Nothing here prints, exits, raises SIGPIPE, or keeps state outside the objects it gives out; an
 * object may be used by one thread at a time, different ones by different threads.
 */
#ifndef POSTHOUSE_NET_H
#define POSTHOUSE_NET_H
#include <posthouse/proto.h>
#include <posthouse/sasl.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- where to, and as whom ----------------------------------------------------------------- */

enum ph_tls_mode {
    PH_TLS_STARTTLS, /* plain at first, then TLS or nothing */
    PH_TLS_ON,       /* TLS from the first byte */
    PH_TLS_OFF       /* a password then goes to loopback addresses only */
};

/*
 * The dialogue. level 0: nothing; 1: the lines of both sides; 2: also what happens below them ('*':
 * addresses tried, proxies, TLS and certificates). at_ms: since the connection was begun. Secrets
 * are "****" (AUTH and its answers, PASS, APOP, LOGIN), a letter is one line "(N octets)". No CRLF;
 * borrowed until it returns.
 */
struct ph_transcript {
    int level;
    void (*line)(void *ctx, int64_t at_ms, char who, ph_str line); /* who: 'C', 'S', '*' */
    void *ctx;
};

struct ph_account {
    size_t struct_size; /* sizeof(struct ph_account); PH_ACCOUNT sets it */
    ph_str host;        /* name or address; all its addresses are tried, see ph_conn_open */
    unsigned port;
    enum ph_tls_mode tls;
    bool insecure; /* do not check the certificate */
    /* certificates to trust instead of the system's, PEM; NULL: the system's */
    const char *ca_file;
    ph_str cert_pem, key_pem; /* a client certificate; with it EXTERNAL is possible. Empty: none */
    ph_str user, password;    /* empty user: no login */
    ph_str token;             /* OAuth 2.0 bearer token: goes before the password */
    ph_str authzid;           /* whom to act for; empty: the user */
    /* the only ones to use, "SCRAM-SHA-256 PLAIN"; empty: the strongest offered */
    ph_str mechanisms;
    bool plaintext; /* a password may go without TLS, even to other machines */
    ph_str proxy;   /* "socks5://[user:password@]host:port", "http://..." (CONNECT); empty: none */
    ph_str hello;   /* our name in EHLO; empty: the machine's, or its address */
    bool lmtp;      /* send.h: LMTP instead of SMTP (RFC 2033) */
    /* for finding and reaching the host, and again for the TLS handshake; 0: 30 s */
    int64_t connect_ms;
    int64_t timeout_ms; /* for each reply; 0: what the protocol's RFC asks for */
    struct ph_transcript transcript;
};

/* ph_send_email(PH_ACCOUNT(.host = PH_STR("mail.example.org"), .port = 587), email, &trouble) */
#define PH_ACCOUNT(...) (&(const struct ph_account){sizeof(struct ph_account), __VA_ARGS__})

/* ---- what went wrong ----------------------------------------------------------------------- */

/* How far it came. */
#define PH_STAGES(X)                                                                               \
    X(NONE, "")                                                                                    \
    X(FIND, "finding the host")                                                                    \
    X(REACH, "connecting")                                                                         \
    X(PROXY, "connecting through the proxy")                                                       \
    X(TLS, "the TLS handshake")                                                                    \
    X(GREETING, "the greeting")                                                                    \
    X(HELLO, "EHLO")                                                                               \
    X(STARTTLS, "STARTTLS")                                                                        \
    X(LOGIN, "the login")                                                                          \
    X(SENDER, "the sender")                                                                        \
    X(RECIPIENT, "a recipient")                                                                    \
    X(LETTER, "the letter")                                                                        \
    X(MAILBOX, "opening the mailbox")                                                              \
    X(FETCH, "fetching")                                                                           \
    X(COMMAND, "a command")

enum ph_stage {
#define PH_STAGE_ENUM(sym, text) PH_STAGE_##sym,
    PH_STAGES(PH_STAGE_ENUM)
#undef PH_STAGE_ENUM
};
PH_EXPORT const char *ph_stage_text(enum ph_stage stage);

/* Causes, as far as they can be told apart: rows of trouble.def, which also has how each is
 * recognised. */
enum ph_trouble_kind {
    PH_TROUBLE_UNKNOWN,
#define T(kind, stages, codes, reply, esc, words, means, remedy) PH_TROUBLE_##kind,
#define T_MORE(kind, stages, codes, reply, esc, words)
#include <posthouse/trouble.def>
#undef T
#undef T_MORE
    PH_TROUBLE_COUNT
};

/*
 * The error of the blocking calls. error.text: what was tried and what the other side said to it,
 * one sentence. means and remedy: what that is, and what to do, whole sentences without markup,
 * static; "" when nothing is known beyond the text. hint: what the provider of the host wants
 * (discover.h), NULL when that is nobody known or does not belong to this failure.
 */
struct ph_trouble {
    struct ph_error error;
    enum ph_trouble_kind kind;
    enum ph_stage stage;
    int reply;      /* SMTP reply code, or 0 */
    char esc[28];   /* "5.7.8"; IMAP: "AUTHENTICATIONFAILED"; POP3: "IN-USE"; or "" */
    char said[232]; /* the other side's words, without codes */
    const char *means, *remedy, *hint;
};
PH_EXPORT const char *ph_trouble_name(enum ph_trouble_kind kind); /* "WRONG_PASSWORD" */
/* error.text, means, remedy and hint as lines for a person: "text\n  means remedy\n". */
PH_EXPORT void ph_trouble_write(const struct ph_trouble *t, struct ph_buf *out);
/* Finds kind, means, remedy and hint from error, stage, reply, esc and said, which the caller has
 * filled. host may be empty. */
PH_EXPORT void ph_trouble_explain(struct ph_trouble *t, ph_str host);

/* ---- a connection -------------------------------------------------------------------------- */

struct ph_conn;

/*
 * Finds the host and connects: IPv6 and IPv4 addresses in turn, the next one started when one has
 * not answered within 250 ms (RFC 8305 5), the first that answers wins; or through the proxy, which
 * then finds the host. Does the handshake when account->tls is PH_TLS_ON. The engine is borrowed
 * until ph_conn_close, the account only until this returns, but for its transcript's ctx. Errors:
 * PH_ENOENT (no such host), PH_EREFUSED, PH_ETIMEOUT, PH_ETLS, PH_EIO, PH_EINVAL, PH_ENOMEM.
 */
PH_EXPORT PH_MUST_CHECK int ph_conn_open(const struct ph_account *account,
                                         const struct ph_proto_ops *ops, void *engine,
                                         struct ph_conn **ret_conn, struct ph_trouble *rett);

enum { PH_CONN_MOVED = 0, PH_CONN_SECURED = 1, PH_CONN_DONE = 2 };
/*
 * Sends, receives or waits until something moved: then ask the engine for events, and call again
 * when it says NEED. SECURED: TLS that the engine wanted is up, tell it (ph_x_tls_started). DONE:
 * the engine wants CLOSE and all was sent, or the peer closed. The engine's deadline is kept; what
 * it makes of it is an event. Negative: the connection is lost.
 */
PH_EXPORT PH_MUST_CHECK int ph_conn_step(struct ph_conn *c, struct ph_error *reterr);
/* The same, but MOVED also when `until` (milliseconds of ph_conn_now) has come, or fd (-1: none)
 * can be read. */
PH_EXPORT PH_MUST_CHECK int ph_conn_step_until(struct ph_conn *c, int64_t until, int fd,
                                               struct ph_error *reterr);
PH_EXPORT int64_t ph_conn_now(void); /* milliseconds of the monotonic clock */
/* From now on all bytes are deflated and inflated (RFC 4978). unread: what the engine was fed too
 * much. -PH_ENOMEM, -PH_EORDER. */
PH_EXPORT PH_MUST_CHECK int ph_conn_compress(struct ph_conn *c, ph_str unread);
PH_EXPORT struct ph_conn *ph_conn_close(struct ph_conn *c); /* NULL allowed; returns NULL */

struct ph_conn_info {
    char peer[352]; /* "mail.a.test [192.0.2.1]:587" */
    char local[64]; /* our address, without port */
    bool loopback;  /* the peer is on this machine */
    char tls[80];   /* "TLSv1.3 TLS_AES_256_GCM_SHA384", empty without TLS */
    bool verified;
    char why[128];             /* when TLS is there and not verified */
    char subject[128];         /* of the peer's certificate */
    unsigned char binding[64]; /* for SCRAM-PLUS, binding_n octets: ph_sasl_channel */
    size_t binding_n;
    enum ph_sasl_binding binding_type;
    bool compressed;
};
/* Borrowed from c until it is closed. */
PH_EXPORT const struct ph_conn_info *ph_conn_info(const struct ph_conn *c);

/* May a password be sent in the open? Under TLS, to this machine, or when the account allows it:
 * else -PH_EDENIED with the advice. */
PH_EXPORT PH_MUST_CHECK int ph_conn_may_login(const struct ph_conn *c, struct ph_error *reterr);
/* Who logs in, from the account and this connection: for ph_sasl_client_new. Borrowed from both. */
PH_EXPORT void ph_conn_sasl(const struct ph_conn *c, const struct ph_account *account,
                            struct ph_sasl_login *ret_login);

#ifdef __cplusplus
}
#endif
#endif
