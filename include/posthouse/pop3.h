/*
 * posthouse/pop3.h - POP3, both roles, without any input or output of its own (see proto.h).
 *
 * RFC 1939 (POP3), 2449 (CAPA, RESP-CODES, PIPELINING), 2595 (STLS), 5034 (AUTH), 3206
 * (AUTH and SYS response codes).
 */
#ifndef POSTHOUSE_POP3_H
#define POSTHOUSE_POP3_H
#include <posthouse/base.h>
#include <posthouse/proto.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The verbs: one row each, read by both roles.
 *   X(verb, states, arguments, reply, capability)
 * states     AUTHORIZATION, TRANSACTION, ANYTIME (RFC 1939 4, 5)
 * arguments  NOTHING, NUMBER, MAYBE_NUMBER, NUMBER_LINES (a number and a count), TEXT (the rest of
 *            the line, spaces included), MAYBE_TEXT, MECHANISM (a word and perhaps an initial
 *            response)
 * reply      LINE, LINES, LINES_UNLESS_NUMBER, MAIL
 * capability what CAPA says when this row is served (RFC 2449 5, 6); "" for what RFC 1939 takes for
 *            granted
 */
#define PH_POP3_VERBS(X)                                                                           \
    X(USER, AUTHORIZATION, TEXT, LINE, "USER")                                                     \
    X(PASS, AUTHORIZATION, TEXT, LINE, "")                                                         \
    X(AUTH, AUTHORIZATION, MECHANISM, LINE, "SASL")                                                \
    X(APOP, AUTHORIZATION, TEXT, LINE, "")                                                         \
    X(STLS, AUTHORIZATION, NOTHING, LINE, "STLS")                                                  \
    X(UTF8, AUTHORIZATION, NOTHING, LINE, "UTF8")                                                  \
    X(LANG, ANYTIME, MAYBE_TEXT, LINE, "LANG")                                                     \
    X(CAPA, ANYTIME, NOTHING, LINES, "")                                                           \
    X(STAT, TRANSACTION, NOTHING, LINE, "")                                                        \
    X(LIST, TRANSACTION, MAYBE_NUMBER, LINES_UNLESS_NUMBER, "")                                    \
    X(UIDL, TRANSACTION, MAYBE_NUMBER, LINES_UNLESS_NUMBER, "UIDL")                                \
    X(RETR, TRANSACTION, NUMBER, MAIL, "")                                                         \
    X(TOP, TRANSACTION, NUMBER_LINES, MAIL, "TOP")                                                 \
    X(DELE, TRANSACTION, NUMBER, LINE, "")                                                         \
    X(RSET, TRANSACTION, NOTHING, LINE, "")                                                        \
    X(NOOP, TRANSACTION, NOTHING, LINE, "")                                                        \
    X(QUIT, ANYTIME, NOTHING, LINE, "")

enum ph_pop3_verb {
#define PH_POP3_ENUM(verb, states, arguments, reply, capability) PH_POP3_##verb,
    PH_POP3_VERBS(PH_POP3_ENUM)
#undef PH_POP3_ENUM
        PH_POP3_VERB_COUNT
};

PH_EXPORT const char *ph_pop3_verb_name(enum ph_pop3_verb verb); /* "RETR"; "?" when out of range */

/* ---- server ------------------------------------------------------------------------------ */

/*
 * The engine keeps the grammar, the states, the list of messages with their deletion marks, and
 * answers by itself whatever these suffice for (CAPA, STLS, STAT, LIST, UIDL, DELE, RSET, NOOP).
 * Its owner is asked for three things:
 *
 *   LOGIN   check a name and a password (USER and PASS)
 *   APOP    check a name and a digest (32 hexadecimal digits) of the stamp given in the options and
 *           a shared secret
 *   AUTH    a step of SASL; ph_pop3_server_challenge leads to AUTHDATA, which is the next. (A
 *           client that gives up is answered by the engine: a later AUTH begins anew.)
 *           When a login succeeds: give the messages with ph_pop3_server_message, then
 *           ph_pop3_server_welcome; or ph_pop3_server_refuse
 *   MAIL    the bytes of one message: ph_pop3_server_body, or ph_pop3_server_refuse
 *   UPDATE  remove the marked messages (ph_pop3_server_is_deleted), then ph_pop3_server_updated
 *
 * After one of these nothing more is read from the input until it was answered, which keeps
 * pipelined commands in order.
 */
struct ph_pop3_server;

struct ph_pop3_server_options {
    size_t struct_size; /* sizeof(struct ph_pop3_server_options) */
    ph_str host;        /* for the greeting; copied */
    bool tls_now;       /* the connection starts inside TLS (port 995) */
    bool tls_possible;  /* STLS is offered */
    bool plaintext;     /* passwords may travel without TLS; else USER, PASS and AUTH are refused */
    int64_t timeout_ms; /* silence after which the session ends without UPDATE (RFC 1939 3); 0: ten
                           minutes */
    unsigned max_failures; /* failed logins before the connection is closed; 0: 3 */
    unsigned max_errors;   /* commands that were not understood before it is closed; 0: 20 */
    ph_str refusal;        /* not empty: the greeting is -ERR with this sentence, and that is all */
    uint32_t max_messages; /* in one mailbox; 0: 1000000 */
    /* "<unique@host>" of the greeting, 250 octets at most, copied: APOP is possible, also without
     * TLS (RFC 1939 7). Empty: it is not. */
    ph_str apop_stamp;
};

enum ph_pop3_server_ev {
    PH_POP3_S_NEED,  /* nothing now: more input, more room in out, or an answer is needed */
    PH_POP3_S_LOGIN, /* user, password */
    PH_POP3_S_APOP,  /* user, data: the digest; answered as LOGIN is */
    /* mechanism (in any case), data: the initial response decoded (has_data: it may be empty) */
    PH_POP3_S_AUTH,
    PH_POP3_S_AUTHDATA, /* data: the answer to a challenge, decoded */
    PH_POP3_S_MAIL,     /* number (0 is the first), lines (TOP), or PH_POP3_WHOLE */
    PH_POP3_S_MORE,   /* the slice given to ph_pop3_server_body is not needed any more; see there */
    PH_POP3_S_UPDATE, /* QUIT after a login: remove what is marked */
    PH_POP3_S_BROKEN  /* the session is over; error says why, code 0 after an orderly QUIT. Given
                         once. */
};

#define PH_POP3_WHOLE UINT32_MAX

struct ph_pop3_server_event {
    ph_str mechanism, data, user, password; /* borrowed until the answer */
    bool has_data;
    uint32_t number;
    uint32_t lines;
    struct ph_error error;
};

PH_EXPORT struct ph_pop3_server *ph_pop3_server_new(const struct ph_alloc *al,
                                                    const struct ph_pop3_server_options *options);
PH_EXPORT struct ph_pop3_server *ph_pop3_server_free(struct ph_pop3_server *s); /* wipes secrets */
PH_EXPORT extern const struct ph_proto_ops ph_pop3_server_ops;
PH_EXPORT enum ph_pop3_server_ev ph_pop3_server_next(struct ph_pop3_server *s,
                                                     struct ph_pop3_server_event *ret_ev);
/* TLS is up, after want() said PH_WANT_TLS. The session starts anew, without a greeting (RFC 2595
 * 4). */
PH_EXPORT void ph_pop3_server_tls_started(struct ph_pop3_server *s);

/* Between LOGIN and welcome: the next message. size: octets as they will be sent, without
 * dot-stuffing. Its unique-id is "prefix.uid". -PH_ENOMEM, -PH_ELIMIT. */
PH_EXPORT PH_MUST_CHECK int ph_pop3_server_message(struct ph_pop3_server *s, uint64_t size,
                                                   uint64_t uid);
/* The message added last has a unique-id of its own, kept from another server (RFC 1939 7: 1 to 70
 * characters from 0x21 to 0x7E). -PH_EINVAL when it is none (then it keeps "prefix.uid"),
 * -PH_ENOMEM, -PH_ELIMIT. */
PH_EXPORT PH_MUST_CHECK int ph_pop3_server_uidl(struct ph_pop3_server *s, ph_str name);
/* Answers AUTH or AUTHDATA with a challenge. */
PH_EXPORT void ph_pop3_server_challenge(struct ph_pop3_server *s, ph_str raw);
/* The SASL mechanisms to offer, space-separated, from now on (TLS brings the -PLUS ones): 256
 * octets at most, copied; until then PLAIN. They are announced where logins are possible. 0,
 * -PH_ELIMIT, -PH_ENOMEM. */
PH_EXPORT int ph_pop3_server_mechanisms(struct ph_pop3_server *s, ph_str mechanisms);
PH_EXPORT void ph_pop3_server_welcome(struct ph_pop3_server *s, uint64_t prefix);

/* Reasons of a refusal (RFC 2449 8.1, 3206 4, 5). Only AUTH counts as a failed login. */
enum ph_pop3_code {
    PH_POP3_PLAIN_ERR, /* without a response code */
    PH_POP3_CODE_AUTH,
    PH_POP3_CODE_IN_USE,
    PH_POP3_CODE_SYS_TEMP,
    PH_POP3_CODE_SYS_PERM,
    PH_POP3_CODE_LOGIN_DELAY
};
/* Answers LOGIN or MAIL with -ERR. text: one line; control characters in it are replaced. */
PH_EXPORT void ph_pop3_server_refuse(struct ph_pop3_server *s, enum ph_pop3_code code, ph_str text);

/*
 * Answers MAIL. `part` is the next part of the message, borrowed until MORE is given, which is also
 * given for the last one (and when TOP needs no more of it); then, unless `last` was said, give the
 * following part. The engine stuffs dots in pieces of bounded size as the peer reads, ends a
 * message that has no line end with CRLF, and stops TOP at its line count. Dots are stuffed behind
 * every LF, also one without CR, so that no reader can mistake content for the end.
 */
PH_EXPORT void ph_pop3_server_body(struct ph_pop3_server *s, ph_str part, bool last);
/* The part can not be continued (the store went away): ends the connection, as nothing else can be
 * told. */
PH_EXPORT void ph_pop3_server_abort(struct ph_pop3_server *s);

/* The connection is to end as soon as no answer is under way; without UPDATE, so that marked
 * messages stay. */
PH_EXPORT void ph_pop3_server_close(struct ph_pop3_server *s);

/* Answers UPDATE: all marked messages are removed, or not all (RFC 1939 6). The connection ends. */
PH_EXPORT void ph_pop3_server_updated(struct ph_pop3_server *s, bool all);

/* The client takes UTF-8 in headers (RFC 6856 2.1). To others none may be given:
 * ph_surrogate_head. */
PH_EXPORT bool ph_pop3_server_utf8(const struct ph_pop3_server *s);

PH_EXPORT uint32_t ph_pop3_server_count(const struct ph_pop3_server *s);
PH_EXPORT uint64_t ph_pop3_server_uid(const struct ph_pop3_server *s, uint32_t number);
PH_EXPORT bool ph_pop3_server_is_deleted(const struct ph_pop3_server *s, uint32_t number);

/* ---- client ------------------------------------------------------------------------------ */

/*
 * Commands are queued at any time, also before the greeting; they are written one after another, or
 * all at once when CAPA has said PIPELINING and the verb allows it. Each command ends in exactly
 * one DONE event, in the order of the calls; before it come the ITEM or CHUNK events of a reply of
 * many lines.
 *
 *   ph_pop3_client_capa(c)                                     ... DONE CAPA
 *   ph_pop3_client_stls(c)                                     ... DONE STLS, want() says TLS
 *   ph_pop3_client_tls_started(c)
 *   ph_pop3_client_auth(c, mechanism, initial, true)           ... DONE AUTH
 *   ph_pop3_client_list(c, 0)                                  ... ITEM... DONE LIST
 */
struct ph_pop3_client;

/* The dialogue for --debug and logs: whole lines without CRLF; who: 'C' or 'S'. Secrets are shown
 * as "****", a message is one line "(N octets)". Called from inside `next`, `feed` and the
 * commands. */
struct ph_pop3_transcript {
    void (*line)(void *ctx, char who, ph_str line);
    void *ctx;
};

struct ph_pop3_client_options {
    size_t struct_size;   /* sizeof(struct ph_pop3_client_options) */
    bool tls_now;         /* the connection starts inside TLS */
    bool plaintext;       /* send passwords without TLS: for loopback only */
    int64_t timeout_ms;   /* silence of the server while a reply is due; 0: 60 s */
    size_t max_line;      /* longest line of a reply other than a message; 0: 4096 */
    uint64_t max_items;   /* lines in LIST, UIDL, CAPA; 0: 10000000 */
    uint64_t max_message; /* octets of one message; 0: no limit */
    struct ph_pop3_transcript transcript;
};

enum ph_pop3_client_ev {
    PH_POP3_C_NEED,     /* more input, or a command, is needed */
    PH_POP3_C_GREETING, /* text. ok: false when the server turned us away, BROKEN follows */
    PH_POP3_C_ITEM,  /* LIST: number, size. UIDL: number, text (unique-id). CAPA: text (the line) */
    PH_POP3_C_CHUNK, /* RETR, TOP: text is the next part of the message, dots unstuffed; lines end
                        in CRLF as sent */
    /* of ph_pop3_client_auth: text, decoded; answer with ph_pop3_client_auth_data */
    PH_POP3_C_CHALLENGE,
    PH_POP3_C_DONE,  /* ok, code, text; STAT: number (of messages), size; LIST n, UIDL n: as ITEM */
    PH_POP3_C_BROKEN /* the session is over; error. code 0 after QUIT was answered. Given once;
                        commands not done never will be */
};

struct ph_pop3_client_event {
    enum ph_pop3_verb verb;
    bool ok;
    uint32_t id;     /* as returned by the call that queued the command */
    uint32_t number; /* 1 is the first message, as on the wire */
    uint64_t size;
    ph_str text; /* borrowed until the next call of next or feed; without the response code */
    ph_str code; /* "AUTH", "IN-USE", "SYS/TEMP"...; empty when none (RFC 2449 8) */
    struct ph_error error;
};

/* What CAPA said last; nothing after TLS started (RFC 2595 4: ask again). */
struct ph_pop3_caps {
    bool known, stls, top, uidl, user, sasl_plain, pipelining, resp_codes, auth_resp_code, utf8;
};

PH_EXPORT struct ph_pop3_client *ph_pop3_client_new(const struct ph_alloc *al,
                                                    const struct ph_pop3_client_options *options);
PH_EXPORT struct ph_pop3_client *ph_pop3_client_free(struct ph_pop3_client *c); /* wipes secrets */
PH_EXPORT extern const struct ph_proto_ops ph_pop3_client_ops;
PH_EXPORT enum ph_pop3_client_ev ph_pop3_client_next(struct ph_pop3_client *c,
                                                     struct ph_pop3_client_event *ret_ev);
PH_EXPORT void ph_pop3_client_tls_started(struct ph_pop3_client *c);
PH_EXPORT const struct ph_pop3_caps *ph_pop3_client_caps(const struct ph_pop3_client *c);

/*
 * Each queues one command and gives its id (> 0), or
 *   -PH_EINVAL   an argument holds CR, LF or NUL, or a number is 0 where one is needed
 *   -PH_EDENIED  a password without TLS and without options.plaintext
 *   -PH_ELIMIT   too many commands are waiting, -PH_ENOMEM
 *   -PH_ECLOSED  the session is over, or QUIT was queued
 */
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_capa(struct ph_pop3_client *c);
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_stls(struct ph_pop3_client *c);
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_user(struct ph_pop3_client *c, ph_str user);
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_pass(struct ph_pop3_client *c, ph_str password);
/* Any SASL mechanism (RFC 5034), its answers from ph_sasl_client (sasl.h): CHALLENGE..., then DONE.
 * Whether a password may be shown here is the caller's to know. */
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_auth(struct ph_pop3_client *c, ph_str mechanism,
                                                    ph_str initial, bool has_initial);
PH_EXPORT PH_MUST_CHECK int ph_pop3_client_auth_data(struct ph_pop3_client *c, ph_str answer,
                                                     bool cancel);
/* digest: MD5 of timestamp and password in hexadecimal (RFC 1939 7). Its DONE has the verb AUTH. */
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_apop(struct ph_pop3_client *c, ph_str user,
                                                    ph_str digest);
/* "<...>" of the greeting, "" when the server has no APOP; the mechanisms of CAPA's SASL. */
PH_EXPORT ph_str ph_pop3_client_stamp(const struct ph_pop3_client *c);
PH_EXPORT ph_str ph_pop3_client_mechanisms(const struct ph_pop3_client *c);
/* Any command that is answered by one line (UTF8, LANG en): its DONE has the verb NOOP. */
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_command(struct ph_pop3_client *c, ph_str line);
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_stat(struct ph_pop3_client *c);
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_list(struct ph_pop3_client *c,
                                                    uint32_t number); /* 0: all */
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_uidl(struct ph_pop3_client *c,
                                                    uint32_t number); /* 0: all */
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_retr(struct ph_pop3_client *c, uint32_t number);
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_top(struct ph_pop3_client *c, uint32_t number,
                                                   uint32_t lines);
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_dele(struct ph_pop3_client *c, uint32_t number);
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_rset(struct ph_pop3_client *c);
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_noop(struct ph_pop3_client *c);
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_client_quit(struct ph_pop3_client *c);

#ifdef __cplusplus
}
#endif
#endif
