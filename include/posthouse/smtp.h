/*
 * posthouse/smtp.h - SMTP (RFC 5321), message submission (RFC 6409) and LMTP (RFC 2033) as two pure
 * engines, server and client, over one grammar. Shape: posthouse/proto.h. No I/O, no clock.
 *
 * Both are pulled: the caller feeds bytes, then takes events with `next` until it says NEED. Every
 * slice in an event is borrowed from the engine until the next call of `next` or `feed`. Reply
 * texts and command arguments given to an engine are copied; message bodies are not, where it is
 * said so.
 *
 * Extensions of the server: PIPELINING (2920), SIZE (1870), 8BITMIME (6152), CHUNKING and
 * BINARYMIME (3030), SMTPUTF8 (6531), ENHANCEDSTATUSCODES (2034), DSN (3461), LIMITS (9422),
 * STARTTLS (3207), REQUIRETLS (8689), AUTH (4954), and XTRACE, our own (the journey of a letter one
 * has sent).
 */
#ifndef POSTHOUSE_SMTP_H
#define POSTHOUSE_SMTP_H
#include <posthouse/proto.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes of the protocol, both roles. Octets, CRLF included. */
enum {
    /* a command: 512 of RFC 5321 4.5.3.1.4 and room for parameters and UTF-8 */
    PH_SMTP_LINE = 4096,
    PH_SMTP_AUTH_LINE = 12288, /* a line of an AUTH exchange, RFC 4954 4.3 */
    PH_SMTP_REPLY_LINE = 4096, /* one line of a reply; the RFC's 512 is exceeded by real servers */
    PH_SMTP_REPLY = 64 * 1024, /* all lines of a reply */
    PH_SMTP_LOCAL = 64, /* local part, RFC 5321 4.5.3.1.1 (read leniently up to PH_SMTP_PATH) */
    /* a path in an envelope; the RFC's 256 is too short for real bounce addresses */
    PH_SMTP_PATH = 1000
};

/* ---- mailboxes --------------------------------------------------------------------------- */

/* A mailbox of an envelope (RFC 5321 4.1.2), in its shortest form: quotes that are not needed are
 * gone. */
struct ph_smtp_mailbox {
    ph_str
        address;  /* "local@domain" as it is written on the wire; empty: the null reverse-path <> */
    ph_str local; /* as in address, quotes included */
    ph_str domain; /* may be an address literal "[192.0.2.1]"; empty for <> and for <Postmaster> */
    bool literal;  /* domain is an address literal */
    bool utf8;     /* has octets above 127: needs SMTPUTF8 */
};

enum { PH_SMTP_ALLOW_UTF8 = 1, PH_SMTP_ALLOW_NULL = 2, PH_SMTP_ALLOW_POSTMASTER = 4 };

/* Reads "local@domain" without angle brackets, all of `text`. The result is written to `scratch`
 * and borrowed from it. allow: PH_SMTP_ALLOW_ bits. -PH_ESYNTAX with the reason and its offset,
 * -PH_ELIMIT, -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_mailbox_parse(ph_str text, unsigned allow,
                                                  struct ph_buf *scratch,
                                                  struct ph_smtp_mailbox *ret_mailbox,
                                                  struct ph_error *reterr);

/* Parameters of MAIL and RCPT (RFC 5321 4.1.2 Mail-parameters). Strings are decoded; they hold no
 * control characters. */
enum ph_smtp_body { PH_SMTP_7BIT, PH_SMTP_8BITMIME, PH_SMTP_BINARYMIME };
enum ph_smtp_ret { PH_SMTP_RET_UNSAID, PH_SMTP_RET_FULL, PH_SMTP_RET_HDRS }; /* RFC 3461 4.3 */
enum {                                                                       /* RFC 3461 4.1 */
       PH_SMTP_NOTIFY_NEVER = 1,
       PH_SMTP_NOTIFY_SUCCESS = 2,
       PH_SMTP_NOTIFY_FAILURE = 4,
       PH_SMTP_NOTIFY_DELAY = 8
};
struct ph_smtp_params {
    enum ph_smtp_body body; /* MAIL */
    bool smtputf8;          /* MAIL */
    bool requiretls;        /* MAIL, RFC 8689 2 */
    uint64_t size;          /* MAIL; 0: not said */
    enum ph_smtp_ret ret;   /* MAIL */
    ph_str envid;           /* MAIL, RFC 3461 4.4; at most 100 octets; empty: not said */
    unsigned notify;        /* RCPT: PH_SMTP_NOTIFY_ bits; 0: not said */
    ph_str more;            /* both, client only: further parameters as on the wire, "X-A=1 X-B" */
    ph_str orcpt; /* RCPT: "rfc822;Bob@b.test", RFC 3461 4.2 (type utf-8: as on the wire, RFC 6533
                     3); at most 500 octets; empty: not said */
};

/* A reply. text: the lines without code and enhanced code, joined by '\n'. esc: "5.1.1", empty when
 * there is none. */
struct ph_smtp_reply {
    int code;
    ph_str esc;
    ph_str text;
};

/* The dialogue for --debug and logs: whole lines without CRLF; who: 'C' or 'S'. Secrets of AUTH are
 * shown as "****", a message's body is one line "(N octets)". Called from inside `next`, `feed` and
 * the request functions. */
struct ph_smtp_transcript {
    void (*line)(void *ctx, char who, ph_str line);
    void *ctx;
};

/* ---- server ------------------------------------------------------------------------------ */

struct ph_smtp_limits {
    uint64_t message;    /* octets of one message, announced as SIZE; more: 552 5.3.4 */
    unsigned recipients; /* accepted ones of one message; more: 452 4.5.3 */
    unsigned errors;     /* 5xx replies in a session; then 421 4.7.0 and the end */
    unsigned junk; /* commands (NOOP, RSET, VRFY, HELO...) without a letter between; then 421 */
    unsigned auth_tries; /* failed AUTHs; then 421 4.7.0 */
    int64_t timeout_ms;  /* silence; then 421 4.4.2 (RFC 5321 4.5.3.2.7) */
};

struct ph_smtp_server_options {
    size_t struct_size;
    ph_str hostname; /* copied */
    /* mechanisms announced, "PLAIN LOGIN" (copied), until ph_smtp_server_mechanisms says others.
     * Empty: no AUTH */
    ph_str auth;
    bool plaintext;     /* AUTH also without TLS; else it is announced and taken under TLS alone */
    bool auth_required; /* MAIL needs AUTH first (submission): else 530 5.7.0 */
    bool lmtp;          /* LHLO, and one reply a recipient after the data */
    /* the caller gives one reply to EOM, and the engine gives it to each recipient */
    bool lmtp_alike;
    bool tls_available; /* STARTTLS is announced */
    bool tls_active;    /* implicit TLS */
    bool smtputf8;      /* announce it: the whole path behind can carry such letters */
    bool binary;     /* announce BINARYMIME: the caller takes NUL, bare CR and LF in such a body */
    bool requiretls; /* announce it under TLS: the whole path behind keeps that promise */
    bool xtrace;     /* announce XTRACE after AUTH */
    bool trusted;    /* announce XCLIENT and XFORWARD */
    /* a message with bare CR or LF is passed on as it is instead of refused (550 5.6.0). Never does
     * a bare one end a line that counts: only CRLF.CRLF ends a message */
    bool keep_bare;
    /* the greeting waits so long; who speaks before it hears 554 and is gone. Not with implicit
     * TLS */
    int64_t greeting_delay_ms;
    struct ph_smtp_limits limits;
    struct ph_smtp_transcript transcript;
};
/* Fills in struct_size and defaults: no TLS, no AUTH, 50 MiB, 1000 recipients, 20 errors, 100 junk,
 * 5 tries, 5 min. */
PH_EXPORT void ph_smtp_server_defaults(struct ph_smtp_server_options *o);

/*
 * Events. Those marked * wait for the caller's ph_smtp_server_reply (now or at any later time);
 * until then `next` says NEED, and pipelined commands stay in order behind it. All other replies
 * are the engine's.
 */
enum ph_smtp_server_ev {
    PH_SMTP_S_NEED, /* nothing more now */
    PH_SMTP_S_HELO, /* greeted; answered. name: what the client says it is */
    /* answered 220: the engine wants TLS; ph_smtp_server_tls_started when it is up */
    PH_SMTP_S_STARTTLS,
    PH_SMTP_S_AUTH, /* * mechanism, data: initial response decoded (has_data: it may be empty) */
    PH_SMTP_S_AUTHDATA, /* * data: the answer to ph_smtp_server_challenge, decoded */
    PH_SMTP_S_MAIL,     /* * mailbox, params */
    PH_SMTP_S_RCPT,     /* * mailbox, params */
    /* * reply 354 to have the message, anything else to refuse it; also before the first chunk of
     * BDAT, where the client sees no 354 */
    PH_SMTP_S_DATA,
    /* data: a piece of the message, dots removed, CRLF line ends; with params.body BINARYMIME any
     * octets */
    PH_SMTP_S_BODY,
    /* * the message is complete: 2xx takes the responsibility for it. LMTP: one reply a recipient,
     * in order */
    PH_SMTP_S_EOM,
    /* the transaction ended without EOM (RSET, EHLO, refused or too large data, end of session):
     * drop what was collected */
    PH_SMTP_S_RESET,
    /* * name: XTRACE, XCLIENT (reply 220: the session begins anew) or XFORWARD; data: its
     * argument */
    PH_SMTP_S_COMMAND,
    PH_SMTP_S_QUIT, /* answered; the engine wants CLOSE after out */
    /* the session is over: closed by the peer, a limit, a time-out. error says which. Given once;
     * only free is legal after `out` is sent */
    PH_SMTP_S_BROKEN
};

struct ph_smtp_server_event {
    ph_str name;                    /* HELO; AUTH: mechanism, in any case */
    ph_str data;                    /* AUTH, AUTHDATA, BODY, COMMAND */
    bool has_data;                  /* AUTH */
    struct ph_smtp_mailbox mailbox; /* MAIL, RCPT */
    struct ph_smtp_params params;   /* MAIL, RCPT */
    struct ph_error error;          /* BROKEN */
};

struct ph_smtp_server;
PH_EXPORT extern const struct ph_proto_ops
    ph_smtp_server_ops; /* for the pump: the functions below */

/* A session; the greeting is in `out` at once. NULL: out of memory. al must outlive it (NULL: the C
 * library's). */
PH_EXPORT struct ph_smtp_server *ph_smtp_server_new(const struct ph_alloc *al,
                                                    const struct ph_smtp_server_options *o);
/* A session that says this in place of a greeting (421, 554), then wants CLOSE. */
PH_EXPORT struct ph_smtp_server *ph_smtp_server_new_refusing(const struct ph_alloc *al, int code,
                                                             ph_str esc, ph_str text);
PH_EXPORT struct ph_smtp_server *ph_smtp_server_free(struct ph_smtp_server *s);

PH_EXPORT int64_t ph_smtp_server_feed(struct ph_smtp_server *s, ph_str in);
PH_EXPORT void ph_smtp_server_feed_eof(struct ph_smtp_server *s);
PH_EXPORT ph_str ph_smtp_server_out(const struct ph_smtp_server *s);
PH_EXPORT void ph_smtp_server_sent(struct ph_smtp_server *s, size_t n);
PH_EXPORT unsigned ph_smtp_server_want(const struct ph_smtp_server *s);
PH_EXPORT int64_t ph_smtp_server_deadline(const struct ph_smtp_server *s);
PH_EXPORT void ph_smtp_server_tick(struct ph_smtp_server *s, int64_t now_ms);

PH_EXPORT enum ph_smtp_server_ev ph_smtp_server_next(struct ph_smtp_server *s,
                                                     struct ph_smtp_server_event *ret_event);

/* Answers the pending event. esc: "5.1.1" or empty (left out before EHLO). A '\n' in the text
 * starts a continuation line; other control characters become '?'. AUTH: 235 lets in, anything else
 * does not. 421 ends the session. */
PH_EXPORT void ph_smtp_server_reply(struct ph_smtp_server *s, int code, const char *esc,
                                    const char *fmt, ...) PH_PRINTF(4, 5);
/* The same for data rather than sentences (XTRACE): lines of up to PH_SMTP_REPLY_LINE octets,
 * PH_SMTP_REPLY in all. */
PH_EXPORT void ph_smtp_server_reply_long(struct ph_smtp_server *s, int code, ph_str esc,
                                         ph_str text);
/* Other mechanisms from now on (TLS brings the -PLUS ones): 256 octets at most, copied. 0,
 * -PH_ELIMIT, -PH_ENOMEM. */
PH_EXPORT int ph_smtp_server_mechanisms(struct ph_smtp_server *s, ph_str mechanisms);
/* Answers AUTH or AUTHDATA with a challenge (334, base64 of raw). */
PH_EXPORT void ph_smtp_server_challenge(struct ph_smtp_server *s, ph_str raw);
/* No more letters: 421 4.3.2 now when no transaction is under way, else after it. */
PH_EXPORT void ph_smtp_server_drain(struct ph_smtp_server *s);
/* The handshake is done: state is as at the start (RFC 3207 4.2), no second greeting. */
PH_EXPORT void ph_smtp_server_tls_started(struct ph_smtp_server *s);

struct ph_smtp_server_info {
    ph_str helo; /* empty before it */
    bool esmtp, tls, authenticated, transaction;
    unsigned recipients; /* accepted in this transaction */
    unsigned errors;     /* 5xx replies in this session */
    const char *with;    /* "ESMTPSA" and so on: RFC 3848 */
};
PH_EXPORT void ph_smtp_server_info(const struct ph_smtp_server *s,
                                   struct ph_smtp_server_info *ret_info);

/* Cuts the next "NAME=xtext" of an argument of XCLIENT or XFORWARD off *rest; the value is decoded
 * into scratch, which holds one at a time. False at the end. What is not an attribute has an empty
 * name. */
PH_EXPORT bool ph_smtp_attribute_next(ph_str *rest, struct ph_buf *scratch, ph_str *ret_name,
                                      ph_str *ret_value);

/* ---- client ------------------------------------------------------------------------------ */

enum { PH_SMTP_TIMEOUT = 5 * 60 * 1000 }; /* RFC 5321 4.5.3.2 */

struct ph_smtp_client_options {
    size_t struct_size;
    bool lmtp;          /* LHLO, one reply a recipient after the data */
    bool refuse_bare;   /* bare CR or LF in a body: BROKEN with PH_ESYNTAX instead of being sent as
                           CRLF */
    bool no_pipelining; /* even when offered */
    int64_t timeout_ms; /* for every reply, doubled for the one after the data; default
                           PH_SMTP_TIMEOUT */
    struct ph_smtp_transcript transcript;
};
PH_EXPORT void ph_smtp_client_defaults(struct ph_smtp_client_options *o);

/*
 * Requests may be made at any time, one after the other: the engine queues them (at most
 * PH_SMTP_CLIENT_QUEUE), sends those together that RFC 2920 allows when PIPELINING is offered, and
 * gives exactly one event for each, in order. The GREETING comes first, before anything is sent. A
 * session of a relay is: GREETING; hello; HELLO; starttls; STARTTLS; (handshake) tls_started;
 * hello; HELLO; then for each letter: mail, rcpt..., data at once; MAIL, RCPT..., DATA; when DATA's
 * code is 354 body(...); SENT. At the end quit; QUIT.
 *
 * `chunks` in the place of `data` sends by BDAT (RFC 3030 2): nothing is asked, so its DATA event
 * with 354 is the engine's own (`local`), and comes when all before it is answered and somebody was
 * accepted. A chunk that is refused before the last ends the letter: SENT has that reply, after a
 * RSET of the engine's.
 *
 * DATA without any accepted recipient never delivers: the engine skips it, or ends it with a lone
 * dot, and the DATA event has code 554 with `local` set. Likewise RCPT and DATA after a refused
 * MAIL: 503, local (when not already sent).
 */
enum { PH_SMTP_CLIENT_QUEUE = 4096 };
enum ph_smtp_client_ev {
    PH_SMTP_C_NEED,     /* nothing more now */
    PH_SMTP_C_GREETING, /* 220, or a refusal */
    PH_SMTP_C_HELLO, /* capabilities are known now. HELO was tried when EHLO was refused with 5xx */
    PH_SMTP_C_STARTTLS, /* 220: the engine wants TLS once `out` is empty */
    /* of ph_smtp_client_auth; data: decoded. Answer with ph_smtp_client_auth_data */
    PH_SMTP_C_CHALLENGE,
    PH_SMTP_C_AUTH, /* the end of an AUTH: 235, or a refusal */
    PH_SMTP_C_MAIL,
    PH_SMTP_C_RCPT, /* index: of the recipient in this transaction, from 0 */
    PH_SMTP_C_DATA, /* 354: give the body now */
    PH_SMTP_C_MORE, /* the piece given to ph_smtp_client_body was consumed: give the next */
    PH_SMTP_C_SENT, /* the answer to the letter; LMTP: one a recipient accepted, index as in RCPT */
    PH_SMTP_C_COMMAND, /* RSET, NOOP, VRFY, XTRACE... of ph_smtp_client_command */
    PH_SMTP_C_QUIT,    /* the engine wants CLOSE */
    /* error says why: closed by the peer, time-out, not SMTP. Requests still queued will have no
     * event. When the server said something unasked (421...), reply holds it. Given once */
    PH_SMTP_C_BROKEN
};

struct ph_smtp_client_event {
    struct ph_smtp_reply reply;
    unsigned index;        /* RCPT, SENT (LMTP) */
    bool local;            /* the engine's own verdict; the server was not asked */
    ph_str data;           /* CHALLENGE */
    struct ph_error error; /* BROKEN */
};

struct ph_smtp_client;
PH_EXPORT extern const struct ph_proto_ops ph_smtp_client_ops;

PH_EXPORT struct ph_smtp_client *ph_smtp_client_new(const struct ph_alloc *al,
                                                    const struct ph_smtp_client_options *o);
PH_EXPORT struct ph_smtp_client *ph_smtp_client_free(struct ph_smtp_client *c);

PH_EXPORT int64_t ph_smtp_client_feed(struct ph_smtp_client *c, ph_str in);
PH_EXPORT void ph_smtp_client_feed_eof(struct ph_smtp_client *c);
PH_EXPORT ph_str ph_smtp_client_out(const struct ph_smtp_client *c);
PH_EXPORT void ph_smtp_client_sent(struct ph_smtp_client *c, size_t n);
PH_EXPORT unsigned ph_smtp_client_want(const struct ph_smtp_client *c);
PH_EXPORT int64_t ph_smtp_client_deadline(const struct ph_smtp_client *c);
PH_EXPORT void ph_smtp_client_tick(struct ph_smtp_client *c, int64_t now_ms);

PH_EXPORT enum ph_smtp_client_ev ph_smtp_client_next(struct ph_smtp_client *c,
                                                     struct ph_smtp_client_event *ret_event);

/* What the last EHLO announced. keyword without parameters, any case; ret_params (may be NULL) is
 * borrowed until the next `hello` or free. */
PH_EXPORT bool ph_smtp_client_has(const struct ph_smtp_client *c, ph_str keyword,
                                  ph_str *ret_params);
PH_EXPORT bool ph_smtp_client_has_auth(const struct ph_smtp_client *c, ph_str mechanism);

/* Requests: 0, or -PH_EINVAL (an argument with CR, LF or NUL, or not a mailbox: nothing was
 * queued), -PH_ELIMIT (queue full), -PH_ENOMEM, -PH_ECLOSED (BROKEN), -PH_EORDER (not legal now:
 * body without 354), -PH_ENOTIMPL (the server does not offer it: STARTTLS, AUTH mechanism, SMTPUTF8
 * needed). */
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_hello(struct ph_smtp_client *c, ph_str name);
/* HELO alone: as a server of before 1995 is spoken to. The event is HELLO. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_helo(struct ph_smtp_client *c, ph_str name);
PH_EXPORT bool ph_smtp_client_is_lmtp(const struct ph_smtp_client *c);
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_starttls(struct ph_smtp_client *c);
PH_EXPORT void ph_smtp_client_tls_started(struct ph_smtp_client *c); /* forgets all capabilities */
/* Any mechanism; ph_sasl_client (sasl.h) chooses one and makes its answers. initial: raw, sent with
 * the command when has_initial. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_auth(struct ph_smtp_client *c, ph_str mechanism,
                                                ph_str initial, bool has_initial);
/* Answers a CHALLENGE; cancel sends "*". */
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_auth_data(struct ph_smtp_client *c, ph_str raw,
                                                     bool cancel);
/* sender: "" for the null reverse-path. params may be NULL; of them those of the command are said
 * where the server offers their extension; -PH_ENOTIMPL when SMTPUTF8, or BINARYMIME with CHUNKING,
 * is needed and not offered, -PH_ELIMIT when size is above the server's SIZE. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_mail(struct ph_smtp_client *c, ph_str sender,
                                                const struct ph_smtp_params *params);
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_rcpt(struct ph_smtp_client *c, ph_str address,
                                                const struct ph_smtp_params *params);
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_data(struct ph_smtp_client *c);
/* BDAT instead of DATA; binary: pieces go as they are, any octets (declare params.body in `mail`),
 * else with the line ends of `body`. -PH_ENOTIMPL without CHUNKING, and in LMTP. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_chunks(struct ph_smtp_client *c, bool binary);
/* A piece of the message, after DATA's 354: not copied, borrowed until MORE (last: SENT) or BROKEN.
 * Dots are stuffed (not in chunks), bare CR and LF become CRLF (or see refuse_bare), a missing CRLF
 * at the end is added. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_body(struct ph_smtp_client *c, ph_str piece, bool last);
/* Any other command as one line without CRLF: "RSET", "NOOP", "XTRACE <id>". */
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_command(struct ph_smtp_client *c, ph_str line);
PH_EXPORT PH_MUST_CHECK int ph_smtp_client_quit(struct ph_smtp_client *c);

#ifdef __cplusplus
}
#endif
#endif
