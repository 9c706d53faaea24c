/*
 * posthouse/imap_server.h - the server engine of IMAP. No I/O: see proto.h for how it is driven.
 *
 * The engine finds where commands end, permits or refuses literals, parses, checks the state, keeps
 * the order of pipelined commands, writes every response, and answers by itself what needs no mail:
 * CAPABILITY, ID, ENABLE, STARTTLS, LOGOUT and everything that is wrong. The handler takes one
 * command at a time:
 *
 *   next -> COMMAND -> any number of untagged responses, now or later -> done() -> next ...
 *
 *   APPEND        COMMAND, then accept() or done(NO); DATA...; then DATA_END -> done(), or ABORT
 * (nothing to answer) AUTHENTICATE  COMMAND, then challenge() -> RESPONSE (or ABORT)...; then
 * done() IDLE          COMMAND, then accept(); untagged responses at any time; IDLE_END -> done()
 *
 * A bad command is answered with a tagged BAD and a sentence and never disturbs what follows it.
 */
#ifndef POSTHOUSE_IMAP_SERVER_H
#define POSTHOUSE_IMAP_SERVER_H
#include <posthouse/imap_values.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_imap_server;

/* Limits have defaults when 0. caps: what the handler implements; the engine adds its own (SASL-IR,
 * LITERAL+, ID, ENABLE), hides what does not fit the state (STARTTLS, LOGINDISABLED, AUTH=PLAIN),
 * and refuses commands of capabilities not there. */
struct ph_imap_server_options {
    size_t struct_size;
    uint64_t caps;
    bool secure;              /* TLS from the first byte */
    bool starttls;            /* there is a certificate */
    bool plaintext;           /* logins also without TLS; else LOGINDISABLED */
    ph_str greeting;          /* the sentence of the greeting; copied */
    ph_str product, version;  /* the answer to ID; copied */
    size_t preauth_max;       /* a whole command, literals included, before login; 8 KiB */
    size_t command_max;       /* after login (APPEND's message apart); 128 KiB */
    uint64_t append_max;      /* one message; 50 MiB */
    size_t out_max;           /* unsent output; 64 MiB; above it the session breaks: see backlog */
    unsigned max_bad;         /* bad commands in a row before BYE; 20 */
    int64_t login_timeout_ms; /* until a login; 60 s */
    int64_t idle_timeout_ms;  /* 30 min */
};

PH_EXPORT struct ph_imap_server *ph_imap_server_new(const struct ph_alloc *al,
                                                    const struct ph_imap_server_options *opt);
PH_EXPORT struct ph_imap_server *ph_imap_server_free(struct ph_imap_server *s);
PH_EXPORT extern const struct ph_proto_ops ph_imap_server_ops;
PH_EXPORT void ph_imap_server_tls_started(struct ph_imap_server *s); /* after WANT_TLS */
PH_EXPORT enum ph_imap_state ph_imap_server_state(const struct ph_imap_server *s);

/* LIST's selection and return options (RFC 5258, 5819, 6154). */
enum {
    PH_IMAP_LIST_SUBSCRIBED = 1,
    PH_IMAP_LIST_REMOTE = 2,
    PH_IMAP_LIST_RECURSIVE = 4,
    PH_IMAP_LIST_SPECIAL = 8,
    PH_IMAP_LIST_CHILDREN = 16,
    PH_IMAP_LIST_STATUS = 32
};

/* Search keys: symbol, wire name, argument. */
#define PH_IMAP_KEYS(X)                                                                            \
    X(ALL, "ALL", NONE)                                                                            \
    X(ANSWERED, "ANSWERED", NONE)                                                                  \
    X(BCC, "BCC", TEXT)                                                                            \
    X(BEFORE, "BEFORE", DATE)                                                                      \
    X(BODY, "BODY", TEXT)                                                                          \
    X(CC, "CC", TEXT)                                                                              \
    X(DELETED, "DELETED", NONE)                                                                    \
    X(DRAFT, "DRAFT", NONE)                                                                        \
    X(FLAGGED, "FLAGGED", NONE)                                                                    \
    X(FROM, "FROM", TEXT)                                                                          \
    X(HEADER, "HEADER", FIELD)                                                                     \
    X(KEYWORD, "KEYWORD", ATOM)                                                                    \
    X(LARGER, "LARGER", NUMBER)                                                                    \
    X(NEW, "NEW", NONE)                                                                            \
    X(NOT, "NOT", KEY)                                                                             \
    X(OLD, "OLD", NONE)                                                                            \
    X(ON, "ON", DATE)                                                                              \
    X(OR, "OR", KEYS)                                                                              \
    X(RECENT, "RECENT", NONE)                                                                      \
    X(SEEN, "SEEN", NONE)                                                                          \
    X(SENTBEFORE, "SENTBEFORE", DATE)                                                              \
    X(SENTON, "SENTON", DATE)                                                                      \
    X(SENTSINCE, "SENTSINCE", DATE)                                                                \
    X(SINCE, "SINCE", DATE)                                                                        \
    X(SMALLER, "SMALLER", NUMBER)                                                                  \
    X(SUBJECT, "SUBJECT", TEXT)                                                                    \
    X(TEXT, "TEXT", TEXT)                                                                          \
    X(TO, "TO", TEXT)                                                                              \
    X(UID, "UID", SET)                                                                             \
    X(UNANSWERED, "UNANSWERED", NONE)                                                              \
    X(UNDELETED, "UNDELETED", NONE)                                                                \
    X(UNDRAFT, "UNDRAFT", NONE)                                                                    \
    X(UNFLAGGED, "UNFLAGGED", NONE)                                                                \
    X(UNKEYWORD, "UNKEYWORD", ATOM)                                                                \
    X(UNSEEN, "UNSEEN", NONE)

enum ph_imap_key {
#define PH_IMAP_KEY_ENUM(sym, wire, arg) PH_IMAP_KEY_##sym,
    PH_IMAP_KEYS(PH_IMAP_KEY_ENUM)
#undef PH_IMAP_KEY_ENUM
        PH_IMAP_KEY_SEQ, /* a set of sequence numbers */
    PH_IMAP_KEY_AND      /* parentheses, and the whole */
};

/* A node of the search tree. NOT and AND: operands are child, child->next...; OR: two of them. */
struct ph_imap_search {
    enum ph_imap_key key;
    ph_str field;    /* HEADER */
    ph_str value;    /* text in the charset of the command; KEYWORD */
    uint64_t number; /* LARGER, SMALLER */
    int32_t day;     /* DATE keys: days since 1970-01-01 */
    struct ph_imap_set set;
    struct ph_imap_search *child, *next;
};

enum ph_imap_server_ev {
    PH_IMAP_SRV_NEED, /* nothing to do until more input, or done() */
    PH_IMAP_SRV_COMMAND,
    PH_IMAP_SRV_DATA,     /* data: a piece of APPEND's message */
    PH_IMAP_SRV_DATA_END, /* the message was whole and the command well-formed */
    PH_IMAP_SRV_RESPONSE, /* data: the client's answer to challenge(), decoded */
    PH_IMAP_SRV_IDLE_END,
    PH_IMAP_SRV_ABORT,   /* the command under way ended without you: do not answer it */
    PH_IMAP_SRV_DRAINED, /* as asked by when_drained() */
    PH_IMAP_SRV_CLOSED   /* the session is over; clean up, the pump closes */
};

struct ph_imap_command {
    enum ph_imap_verb verb;
    bool uid; /* UID FETCH and so on */
    union {
        struct {
            ph_str user, password;
        } login;
        struct {
            ph_str mechanism, initial;
            bool has_initial;
        } auth; /* initial: decoded */
        struct {
            ph_str name, to;
            unsigned special;
        } mailbox; /* SELECT ... UNSUBSCRIBE, RENAME, CREATE */
        struct {
            ph_str reference;
            const ph_str *patterns;
            size_t pattern_count;
            bool extended; /* a parenthesis was used: RFC 5258's answers */
            unsigned select, ret, status;
        } list;
        struct {
            ph_str name;
            unsigned items;
        } status;
        struct {
            ph_str name;
            struct ph_imap_flags flags;
            bool has_date;
            int64_t date;
            uint64_t size;
        } append;
        struct {
            struct ph_imap_set set;
            struct ph_imap_items items;
        } fetch;
        struct {
            struct ph_imap_set set;
            char op;
            bool silent;
            struct ph_imap_flags flags;
        } store; /* op + - = */
        struct {
            struct ph_imap_set set;
            ph_str name;
        } copy;
        struct {
            struct ph_imap_set set;
            bool has_set;
        } expunge;
        struct {
            const struct ph_imap_search *root;
            ph_str charset;
        } search; /* charset: empty is US-ASCII */
    };
};

struct ph_imap_server_event {
    enum ph_imap_server_ev kind;
    /* COMMAND: borrowed until done() or ABORT; of AUTHENTICATE until the first challenge(). */
    const struct ph_imap_command *command;
    ph_str data; /* borrowed until the next call of next or feed */
};

PH_EXPORT enum ph_imap_server_ev ph_imap_server_next(struct ph_imap_server *s,
                                                     struct ph_imap_server_event *ret_ev);

/* Memory that lives as long as the command under way; bounded by command_max times 8. */
PH_EXPORT struct ph_arena *ph_imap_server_arena(struct ph_imap_server *s);

/* ---- answering ----------------------------------------------------------------------------- */

/* APPEND and IDLE: go on ("+", where the client waits for it). */
PH_EXPORT void ph_imap_server_accept(struct ph_imap_server *s);
PH_EXPORT void ph_imap_server_challenge(struct ph_imap_server *s, ph_str data);
/* The tagged answer. code may be NULL. */
PH_EXPORT void ph_imap_server_done(struct ph_imap_server *s, enum ph_imap_cond cond,
                                   const struct ph_imap_code *code, const char *text);
/* Farewell: untagged BYE, then close. At any time; responses after it go nowhere. */
PH_EXPORT void ph_imap_server_bye(struct ph_imap_server *s, enum ph_imap_code_kind code,
                                  const char *text);

/* Unsent bytes. A handler with much to say stops above some bound and goes on at DRAINED, which
 * comes once backlog is at most `low`; asking again replaces the bound. */
PH_EXPORT size_t ph_imap_server_backlog(const struct ph_imap_server *s);
PH_EXPORT void ph_imap_server_when_drained(struct ph_imap_server *s, size_t low);

/* Untagged responses. */
PH_EXPORT void ph_imap_server_condition(struct ph_imap_server *s, enum ph_imap_cond cond,
                                        const struct ph_imap_code *code, const char *text);
PH_EXPORT void ph_imap_server_exists(struct ph_imap_server *s, uint32_t n);
PH_EXPORT void ph_imap_server_recent(struct ph_imap_server *s, uint32_t n);
PH_EXPORT void ph_imap_server_expunge(struct ph_imap_server *s, uint32_t seq);
PH_EXPORT void ph_imap_server_flags(struct ph_imap_server *s, const struct ph_imap_flags *flags);
PH_EXPORT void ph_imap_server_list(struct ph_imap_server *s, const struct ph_imap_list *l);
PH_EXPORT void ph_imap_server_status(struct ph_imap_server *s, const struct ph_imap_status *st);
PH_EXPORT void ph_imap_server_namespace(struct ph_imap_server *s,
                                        char separator); /* one personal namespace, "" */
/* SEARCH in three steps: begin, any number of found, end. */
PH_EXPORT void ph_imap_server_search_begin(struct ph_imap_server *s);
PH_EXPORT void ph_imap_server_found(struct ph_imap_server *s, uint32_t n);
PH_EXPORT void ph_imap_server_search_end(struct ph_imap_server *s);

/* FETCH: begin, any attributes in any order, end. A section's size is told first; then exactly that
 * many bytes follow by section_data, in as many pieces as you like, before the next attribute. */
PH_EXPORT void ph_imap_server_fetch_begin(struct ph_imap_server *s, uint32_t seq);
PH_EXPORT void ph_imap_server_fetch_uid(struct ph_imap_server *s, uint32_t uid);
PH_EXPORT void ph_imap_server_fetch_flags(struct ph_imap_server *s,
                                          const struct ph_imap_flags *flags);
PH_EXPORT void ph_imap_server_fetch_date(struct ph_imap_server *s,
                                         int64_t date); /* seconds since 1970, told in UTC */
PH_EXPORT void ph_imap_server_fetch_size(struct ph_imap_server *s, uint64_t size);
PH_EXPORT void ph_imap_server_fetch_envelope(struct ph_imap_server *s,
                                             const struct ph_imap_envelope *e);
PH_EXPORT void ph_imap_server_fetch_body(struct ph_imap_server *s, const struct ph_imap_body *b,
                                         bool extended);
PH_EXPORT void ph_imap_server_fetch_section(struct ph_imap_server *s,
                                            const struct ph_imap_section *sec, uint64_t size);
PH_EXPORT void ph_imap_server_fetch_nil(struct ph_imap_server *s,
                                        const struct ph_imap_section *sec);
PH_EXPORT void ph_imap_server_section_data(struct ph_imap_server *s, ph_str piece);
PH_EXPORT void ph_imap_server_fetch_end(struct ph_imap_server *s);

#ifdef __cplusplus
}
#endif
#endif
