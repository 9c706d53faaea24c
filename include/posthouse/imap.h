/*
 * posthouse/imap.h - the client engine of IMAP4rev1 (RFC 3501) and its extensions; its values are
 * in imap_values.h. The server engine is in imap_server.h. No I/O: see proto.h for how an engine is
 * driven.
 */
#ifndef POSTHOUSE_IMAP_H
#define POSTHOUSE_IMAP_H
#include <posthouse/imap_values.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- client engine -------------------------------------------------------------------------
 *
 *   new -> GREETING -> [starttls] -> login -> RESULT -> select... -> logout -> BYE, RESULT, CLOSED
 *
 * Every command function queues one command and returns its id (> 0), found again in the event
 * RESULT; or -PH_EORDER (not in this state), -PH_EINVAL (an argument cannot be sent: text says
 * why), -PH_ELIMIT (too many under way), -PH_ENOTIMPL (the server does not offer it), -PH_ENOMEM.
 * Several may be under way (pipelining); answers come in the server's order. Argument slices are
 * copied. Literals: LITERAL+ or LITERAL- when offered, else the engine waits for "+".
 */
struct ph_imap_client;

/* All limits have defaults when 0. trace: every line in both directions, passwords and message
 * bodies masked by the engine (dir 'C' or 'S'; no CRLF; borrowed until it returns); may be NULL. */
struct ph_imap_client_options {
    size_t struct_size;
    size_t line_max;      /* one response without streamed literals; 1 MiB */
    int64_t timeout_ms;   /* silence while a command is under way; 60 s */
    bool secure;          /* TLS from the first byte */
    bool allow_plaintext; /* LOGIN and PLAIN without TLS */
    void (*trace)(void *ctx, char dir, ph_str line);
    void *trace_ctx;
};

PH_EXPORT struct ph_imap_client *ph_imap_client_new(const struct ph_alloc *al,
                                                    const struct ph_imap_client_options *opt);
PH_EXPORT struct ph_imap_client *ph_imap_client_free(struct ph_imap_client *c);
PH_EXPORT extern const struct ph_proto_ops ph_imap_client_ops;

PH_EXPORT enum ph_imap_state ph_imap_client_state(const struct ph_imap_client *c);
PH_EXPORT uint64_t ph_imap_client_caps(const struct ph_imap_client *c); /* 0: not known yet */
PH_EXPORT void ph_imap_client_tls_started(struct ph_imap_client *c);    /* after WANT_TLS */
PH_EXPORT const struct ph_error *
ph_imap_client_error(const struct ph_imap_client *c); /* of the last refusal or BROKEN */

/* All capabilities in the server's words, space-separated, also those that we do not know; empty
 * before they were said. */
PH_EXPORT ph_str ph_imap_client_offers(const struct ph_imap_client *c);
/* What was fed and not yet read, which is then the caller's: behind COMPRESS's OK it is deflated
 * (RFC 4978 3). Borrowed until feed. */
PH_EXPORT ph_str ph_imap_client_unread(struct ph_imap_client *c);

PH_EXPORT int ph_imap_client_capability(struct ph_imap_client *c);
PH_EXPORT int ph_imap_client_noop(struct ph_imap_client *c);
PH_EXPORT int ph_imap_client_starttls(struct ph_imap_client *c);
PH_EXPORT int ph_imap_client_id(struct ph_imap_client *c, ph_str name, ph_str version);
PH_EXPORT int ph_imap_client_login(struct ph_imap_client *c, ph_str user, ph_str password);
/* Any SASL mechanism, its answers from ph_sasl_client (sasl.h): the event CHALLENGE (text: decoded)
 * is answered with auth_data, RESULT ends it. Whether a password may be shown here is the caller's
 * to know. */
PH_EXPORT int ph_imap_client_auth(struct ph_imap_client *c, ph_str mechanism, ph_str initial,
                                  bool has_initial);
PH_EXPORT int ph_imap_client_auth_data(struct ph_imap_client *c, ph_str answer, bool cancel);
/* "CONDSTORE QRESYNC UTF8=ACCEPT". With UTF8=ACCEPT enabled mailbox names go as UTF-8 (RFC 6855
 * 3). */
PH_EXPORT int ph_imap_client_enable(struct ph_imap_client *c, ph_str names);
/* Any command as on the wire, without tag ("GETQUOTAROOT INBOX", "UID SORT (DATE) UTF-8 ALL", "UID
 * THREAD REFERENCES UTF-8 ALL"): its untagged responses are events, those that have none are OTHER;
 * RESULT's verb is NOOP. */
PH_EXPORT int ph_imap_client_raw(struct ph_imap_client *c, ph_str command);
PH_EXPORT int ph_imap_client_list(struct ph_imap_client *c, ph_str reference, ph_str pattern,
                                  bool subscribed);
PH_EXPORT int ph_imap_client_namespace(struct ph_imap_client *c);
PH_EXPORT int ph_imap_client_select(struct ph_imap_client *c, ph_str mailbox, bool read_only);
/* parameters: "(CONDSTORE)", "(QRESYNC (67890007 20050715194045000 41:211))" (RFC 7162 3.2.5). */
PH_EXPORT int ph_imap_client_select_with(struct ph_imap_client *c, ph_str mailbox, bool read_only,
                                         ph_str parameters);
PH_EXPORT int ph_imap_client_status(struct ph_imap_client *c, ph_str mailbox, unsigned items);
/* verb: CREATE, DELETE, SUBSCRIBE, UNSUBSCRIBE, or RENAME with `to`. */
PH_EXPORT int ph_imap_client_mailbox(struct ph_imap_client *c, enum ph_imap_verb verb,
                                     ph_str mailbox, ph_str to);
/* verb without arguments: CHECK, CLOSE, UNSELECT, EXPUNGE, IDLE, LOGOUT. */
PH_EXPORT int ph_imap_client_simple(struct ph_imap_client *c, enum ph_imap_verb verb);
/* items: "(UID FLAGS BODY.PEEK[])" as on the wire; uid: `set` holds UIDs. */
PH_EXPORT int ph_imap_client_fetch(struct ph_imap_client *c, bool uid, ph_str set, ph_str items);
/* op: '+', '-' or '='. */
PH_EXPORT int ph_imap_client_store(struct ph_imap_client *c, bool uid, ph_str set, char op,
                                   bool silent, const struct ph_imap_flags *flags);
PH_EXPORT int ph_imap_client_copy(struct ph_imap_client *c, bool uid, ph_str set, ph_str mailbox,
                                  bool move);
PH_EXPORT int ph_imap_client_uid_expunge(struct ph_imap_client *c, ph_str set);
/* criteria: search keys as on the wire, strings quoted; values not in ASCII: give charset
 * "UTF-8". */
PH_EXPORT int ph_imap_client_search(struct ph_imap_client *c, bool uid, ph_str charset,
                                    ph_str criteria);
/* Messages in order (RFC 5256 3). keys: "DATE", "REVERSE SIZE SUBJECT"; charset empty: UTF-8. FOUND
 * has the numbers in that order. */
PH_EXPORT int ph_imap_client_sort(struct ph_imap_client *c, bool uid, ph_str keys, ph_str charset,
                                  ph_str criteria);
/* Conversations (RFC 5256 3). algorithm: "REFERENCES", "ORDEREDSUBJECT", as the server offers them:
 * else -PH_ENOTIMPL. THREADED. */
PH_EXPORT int ph_imap_client_thread(struct ph_imap_client *c, bool uid, ph_str algorithm,
                                    ph_str charset, ph_str criteria);
/* Then the message itself, `size` bytes in all: append_data takes as much as there is room for
 * (result >= 0; 0: send what is in `out` first, or the server has not said "+" yet: event CONTINUE)
 * or -PH_EREFUSED once the server has answered already. date: seconds since 1970 and `zone` minutes
 * east, or INT64_MIN for none. */
PH_EXPORT int ph_imap_client_append(struct ph_imap_client *c, ph_str mailbox,
                                    const struct ph_imap_flags *flags, int64_t date, int zone,
                                    uint64_t size);
PH_EXPORT int64_t ph_imap_client_append_data(struct ph_imap_client *c, ph_str more);
/* After CONTINUE of an IDLE: end it. Its RESULT follows. */
PH_EXPORT int ph_imap_client_idle_done(struct ph_imap_client *c);

enum ph_imap_client_ev {
    PH_IMAP_NEED,       /* nothing more until there is more input */
    PH_IMAP_GREETING,   /* cond OK, PREAUTH or BYE */
    PH_IMAP_RESULT,     /* a command ended: id, verb, cond OK/NO/BAD, code, text */
    PH_IMAP_CONTINUE,   /* IDLE has begun, or APPEND may send: id */
    PH_IMAP_CONDITION,  /* untagged OK, NO, BAD, BYE: code, text */
    PH_IMAP_CAPS_EV,    /* new capabilities: caps, text */
    PH_IMAP_LIST_EV,    /* list (also LSUB) */
    PH_IMAP_STATUS_EV,  /* status */
    PH_IMAP_FLAGS_EV,   /* flags of the mailbox */
    PH_IMAP_EXISTS,     /* n */
    PH_IMAP_RECENT_EV,  /* n */
    PH_IMAP_EXPUNGED,   /* n: sequence number */
    PH_IMAP_CHALLENGE,  /* of ph_imap_client_auth: text, decoded */
    PH_IMAP_FOUND,      /* SEARCH, SORT: numbers, count */
    PH_IMAP_ESEARCH_EV, /* esearch (RFC 4731) */
    /* UIDs that are gone: text is their set, earlier: before this SELECT (RFC 7162 3.2.10) */
    PH_IMAP_VANISHED,
    PH_IMAP_CHUNK,      /* a piece of a section's literal: seq, chunk; comes before its FETCHED */
    PH_IMAP_FETCHED,    /* fetch: all attributes of one message */
    PH_IMAP_THREADED,   /* threads, count */
    PH_IMAP_NAMESPACES, /* namespaces, count (RFC 2342 5) */
    PH_IMAP_OTHER,      /* any other untagged response (ID, ENABLED, QUOTA...): text is the line
                          without "* " */
    PH_IMAP_CLOSED,     /* the server closed after BYE */
    PH_IMAP_BROKEN      /* protocol error or connection lost: ph_imap_client_error */
};

/* One message of a conversation, in the order of reading: an answer stands behind what it answers,
 * one deeper. number 0: a message that is not there, but has answers. */
struct ph_imap_thread {
    uint32_t number, depth;
};

struct ph_imap_namespace {
    enum { PH_IMAP_NS_PERSONAL, PH_IMAP_NS_OTHER_USERS, PH_IMAP_NS_SHARED } kind;
    ph_str prefix;  /* "" or "INBOX.": what its mailboxes' names begin with */
    char separator; /* 0: flat */
};

/* What one FETCH response told. mask: PH_IMAP_F_ of what is filled. */
struct ph_imap_fetched {
    uint32_t seq, uid;
    unsigned mask;
    struct ph_imap_flags flags;
    int64_t date; /* seconds since 1970 */
    int zone;
    uint64_t size, modseq;
    const struct ph_imap_envelope *envelope;
    const struct ph_imap_body *body; /* of BODY or BODYSTRUCTURE */
    const struct ph_imap_part {
        struct ph_imap_section section;
        ph_str value; /* NIL, or all of it; for a streamed one p == NULL, and n tells its size */
        bool streamed;
    } * parts;
    size_t part_count;
};

struct ph_imap_client_event {
    enum ph_imap_client_ev kind;
    int id;
    enum ph_imap_verb verb;
    enum ph_imap_cond cond;
    struct ph_imap_code code;
    ph_str text;
    uint32_t n;
    uint64_t caps;
    struct ph_imap_flags flags;
    struct ph_imap_list list;
    struct ph_imap_status status;
    const uint32_t *numbers;
    size_t count;
    const struct ph_imap_thread *threads;
    const struct ph_imap_namespace *namespaces;
    bool earlier;
    struct {
        bool uid;
        uint64_t min, max, count, modseq; /* 0: not told */
        ph_str all;                       /* a set */
    } esearch;
    struct {
        uint32_t seq, uid; /* uid: 0 when the server has not said it yet */
        struct ph_imap_section section;
        uint64_t size, at; /* of the whole literal; offset of this piece */
        ph_str data;
    } chunk;
    struct ph_imap_fetched fetch;
};

/* The next event, or NEED. Everything it points to is borrowed from the engine until the next call
 * of next or feed. */
PH_EXPORT enum ph_imap_client_ev ph_imap_client_next(struct ph_imap_client *c,
                                                     struct ph_imap_client_event *ret_ev);

#ifdef __cplusplus
}
#endif
#endif
