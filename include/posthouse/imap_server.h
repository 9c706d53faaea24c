/*
 * posthouse/imap_server.h - the server engine of IMAP. No I/O: see proto.h for how it is driven.
 *
 * The engine finds where commands end, permits or refuses literals, parses, checks the state, keeps
 * the order of pipelined commands, writes every response, and answers by itself what needs no mail:
 * CAPABILITY, ID, ENABLE, STARTTLS, LOGOUT and everything that is wrong, which includes any use of
 * a capability that it does not offer. The handler takes one command at a time:
 *
 *   next -> COMMAND -> any number of untagged responses, now or later -> done() -> next ...
 *
 *   APPEND        COMMAND -> accept() or done(NO); DATA...; then one of
 *                   MORE      another message begins (RFC 3502), its values are in
 *                             command->append: accept() or done(NO)
 *                   DATA_END  -> done()
 *                   ABORT     nothing to answer
 *   REPLACE       as APPEND, of one message
 *   AUTHENTICATE  COMMAND -> (challenge() -> RESPONSE or ABORT)... -> done()
 *   IDLE          COMMAND -> accept() -> untagged responses at any time -> IDLE_END -> done()
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
 * LITERAL+, ID, ENABLE: see imap_caps.def), hides what does not fit the state (STARTTLS,
 * LOGINDISABLED, AUTH=PLAIN), and refuses commands and arguments of capabilities not there. */
struct ph_imap_server_options {
    size_t struct_size;
    uint64_t caps;
    bool secure;              /* TLS from the first byte */
    bool starttls;            /* there is a certificate */
    bool compress;            /* the owner can compress (proto.h, WANT_DEFLATE): COMPRESS=DEFLATE */
    bool plaintext;           /* logins also without TLS; else LOGINDISABLED */
    ph_str greeting;          /* the sentence of the greeting; copied */
    ph_str product, version;  /* the answer to ID; copied */
    size_t preauth_max;       /* a whole command, literals included, before login; 12 KiB */
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
/* The SASL mechanisms to offer, space-separated, from now on (TLS brings the -PLUS ones): 256
 * octets at most, copied; until then PLAIN. They are announced where logins are possible. 0,
 * -PH_ELIMIT, -PH_ENOMEM. */
PH_EXPORT int ph_imap_server_mechanisms(struct ph_imap_server *s, ph_str mechanisms);
PH_EXPORT void ph_imap_server_tls_started(struct ph_imap_server *s); /* after WANT_TLS */
PH_EXPORT void ph_imap_server_compressed(struct ph_imap_server *s);  /* after WANT_DEFLATE */
PH_EXPORT enum ph_imap_state ph_imap_server_state(const struct ph_imap_server *s);
/* What the client has enabled (RFC 5161), as PH_IMAP_CAP bits. QRESYNC includes CONDSTORE, which is
 * also enabled by the first command that uses it (RFC 7162 3.1); IMAP4rev2 and UTF8=ACCEPT make
 * mailbox names UTF-8. */
PH_EXPORT uint64_t ph_imap_server_enabled(const struct ph_imap_server *s);
/* The tag of the command under way. */
PH_EXPORT ph_str ph_imap_server_tag(const struct ph_imap_server *s);

/* LIST's selection and return options (RFC 5258, 5819, 6154). */
enum {
    PH_IMAP_LIST_SUBSCRIBED = 1,
    PH_IMAP_LIST_REMOTE = 2,
    PH_IMAP_LIST_RECURSIVE = 4,
    PH_IMAP_LIST_SPECIAL = 8,
    PH_IMAP_LIST_CHILDREN = 16,
    PH_IMAP_LIST_STATUS = 32
};

/* Search keys: symbol, wire name, argument, capability. */
#define PH_IMAP_KEYS(X)                                                                            \
    X(ALL, "ALL", NONE, IMAP4REV1)                                                                 \
    X(ANSWERED, "ANSWERED", NONE, IMAP4REV1)                                                       \
    X(BCC, "BCC", TEXT, IMAP4REV1)                                                                 \
    X(BEFORE, "BEFORE", DATE, IMAP4REV1)                                                           \
    X(BODY, "BODY", TEXT, IMAP4REV1)                                                               \
    X(CC, "CC", TEXT, IMAP4REV1)                                                                   \
    X(DELETED, "DELETED", NONE, IMAP4REV1)                                                         \
    X(DRAFT, "DRAFT", NONE, IMAP4REV1)                                                             \
    X(EMAILID, "EMAILID", ATOM, OBJECTID)                                                          \
    X(FLAGGED, "FLAGGED", NONE, IMAP4REV1)                                                         \
    X(FROM, "FROM", TEXT, IMAP4REV1)                                                               \
    X(HEADER, "HEADER", FIELD, IMAP4REV1)                                                          \
    X(KEYWORD, "KEYWORD", ATOM, IMAP4REV1)                                                         \
    X(LARGER, "LARGER", NUMBER, IMAP4REV1)                                                         \
    X(MODSEQ, "MODSEQ", MODSEQ, CONDSTORE)                                                         \
    X(NEW, "NEW", NONE, IMAP4REV1)                                                                 \
    X(NOT, "NOT", KEY, IMAP4REV1)                                                                  \
    X(OLD, "OLD", NONE, IMAP4REV1)                                                                 \
    X(OLDER, "OLDER", SECONDS, WITHIN)                                                             \
    X(ON, "ON", DATE, IMAP4REV1)                                                                   \
    X(OR, "OR", KEYS, IMAP4REV1)                                                                   \
    X(RECENT, "RECENT", NONE, IMAP4REV1)                                                           \
    X(SAVEDATESUPPORTED, "SAVEDATESUPPORTED", NONE, SAVEDATE)                                      \
    X(SAVEDBEFORE, "SAVEDBEFORE", DATE, SAVEDATE)                                                  \
    X(SAVEDON, "SAVEDON", DATE, SAVEDATE)                                                          \
    X(SAVEDSINCE, "SAVEDSINCE", DATE, SAVEDATE)                                                    \
    X(SEEN, "SEEN", NONE, IMAP4REV1)                                                               \
    X(SENTBEFORE, "SENTBEFORE", DATE, IMAP4REV1)                                                   \
    X(SENTON, "SENTON", DATE, IMAP4REV1)                                                           \
    X(SENTSINCE, "SENTSINCE", DATE, IMAP4REV1)                                                     \
    X(SINCE, "SINCE", DATE, IMAP4REV1)                                                             \
    X(SMALLER, "SMALLER", NUMBER, IMAP4REV1)                                                       \
    X(SUBJECT, "SUBJECT", TEXT, IMAP4REV1)                                                         \
    X(TEXT, "TEXT", TEXT, IMAP4REV1)                                                               \
    X(THREADID, "THREADID", ATOM, OBJECTID)                                                        \
    X(TO, "TO", TEXT, IMAP4REV1)                                                                   \
    X(UID, "UID", SET, IMAP4REV1)                                                                  \
    X(UNANSWERED, "UNANSWERED", NONE, IMAP4REV1)                                                   \
    X(UNDELETED, "UNDELETED", NONE, IMAP4REV1)                                                     \
    X(UNDRAFT, "UNDRAFT", NONE, IMAP4REV1)                                                         \
    X(UNFLAGGED, "UNFLAGGED", NONE, IMAP4REV1)                                                     \
    X(UNKEYWORD, "UNKEYWORD", ATOM, IMAP4REV1)                                                     \
    X(UNSEEN, "UNSEEN", NONE, IMAP4REV1)                                                           \
    X(YOUNGER, "YOUNGER", SECONDS, WITHIN)

enum ph_imap_key {
#define PH_IMAP_KEY_ENUM(sym, wire, arg, cap) PH_IMAP_KEY_##sym,
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
    uint64_t number; /* LARGER, SMALLER, OLDER, YOUNGER (seconds), MODSEQ */
    int32_t day;     /* DATE keys: days since 1970-01-01 */
    struct ph_imap_set set;
    struct ph_imap_search *child, *next;
};

enum { /* what SEARCH RETURN (...) asks for (RFC 4731, 5182, 9394); ESEARCH: RETURN was there */
       PH_IMAP_RETURN_ESEARCH = 1,
       PH_IMAP_RETURN_MIN = 2,
       PH_IMAP_RETURN_MAX = 4,
       PH_IMAP_RETURN_ALL = 8,
       PH_IMAP_RETURN_COUNT = 16,
       PH_IMAP_RETURN_SAVE = 32,
       PH_IMAP_RETURN_PARTIAL = 64
};

/* PARTIAL 1:100, or -1:-100 counted from the end (RFC 9394 3.1): lo <= hi, both from 1. */
struct ph_imap_partial {
    uint32_t lo, hi;
    bool from_end;
};

/* Sort keys (RFC 5256 3, RFC 5957): symbol, wire name, capability. */
#define PH_IMAP_SORTS(X)                                                                           \
    X(ARRIVAL, "ARRIVAL", SORT)                                                                    \
    X(CC, "CC", SORT)                                                                              \
    X(DATE, "DATE", SORT)                                                                          \
    X(FROM, "FROM", SORT)                                                                          \
    X(SIZE, "SIZE", SORT)                                                                          \
    X(SUBJECT, "SUBJECT", SORT)                                                                    \
    X(TO, "TO", SORT)                                                                              \
    X(DISPLAYFROM, "DISPLAYFROM", SORT_DISPLAY)                                                    \
    X(DISPLAYTO, "DISPLAYTO", SORT_DISPLAY)
enum ph_imap_sort_kind {
#define PH_IMAP_SORT_ENUM(sym, wire, cap) PH_IMAP_SORT_BY_##sym,
    PH_IMAP_SORTS(PH_IMAP_SORT_ENUM)
#undef PH_IMAP_SORT_ENUM
        PH_IMAP_SORT_KINDS
};
struct ph_imap_sort {
    enum ph_imap_sort_kind kind;
    bool reverse;
};

/* Threading algorithms (RFC 5256 3): symbol, wire name, capability. */
#define PH_IMAP_THREADS(X)                                                                         \
    X(ORDEREDSUBJECT, "ORDEREDSUBJECT", THREAD_ORDEREDSUBJECT)                                     \
    X(REFERENCES, "REFERENCES", THREAD_REFERENCES)                                                 \
    X(REFS, "REFS", THREAD_REFS)
enum ph_imap_thread_kind {
#define PH_IMAP_THREAD_ENUM(sym, wire, cap) PH_IMAP_THREAD_##sym,
    PH_IMAP_THREADS(PH_IMAP_THREAD_ENUM)
#undef PH_IMAP_THREAD_ENUM
        PH_IMAP_THREAD_KINDS
};

enum ph_imap_server_ev {
    PH_IMAP_SRV_NEED, /* nothing to do until more input, or done() */
    PH_IMAP_SRV_COMMAND,
    PH_IMAP_SRV_MORE,     /* APPEND: another message is announced: its values in command->append */
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
    bool uid;       /* UID FETCH and so on */
    uint64_t needs; /* capabilities that the arguments make use of; all of them are offered */
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
        } mailbox; /* CREATE ... UNSUBSCRIBE, RENAME, GETQUOTA, GETQUOTAROOT */
        struct {
            ph_str name;
            bool condstore, qresync; /* RFC 7162 3.1.8, 3.2.5 */
            uint32_t uidvalidity;
            uint64_t modseq;
            bool has_known;
            struct ph_imap_set known; /* uids that the client knows; no "*" in any of the three */
            struct ph_imap_set seqs, uids; /* match data, or empty */
        } select;                          /* SELECT, EXAMINE */
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
        struct { /* APPEND, REPLACE: of the message announced last */
            ph_str name;
            struct ph_imap_flags flags;
            bool has_date, binary; /* binary: literal8, which may hold NUL (RFC 3516 4.4) */
            bool utf8;             /* given as UTF8 (...), RFC 6855 4 */
            int64_t date;
            uint64_t size;
            uint32_t replaces; /* REPLACE: the message number, or uid; UINT32_MAX is "*" */
        } append;
        struct {
            struct ph_imap_set set;
            struct ph_imap_items items;
            bool has_changedsince, vanished, has_partial;
            uint64_t changedsince;
            struct ph_imap_partial partial;
        } fetch;
        struct {
            struct ph_imap_set set;
            char op;
            bool silent, has_unchangedsince;
            uint64_t unchangedsince;
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
        struct { /* SEARCH, SORT, THREAD */
            const struct ph_imap_search *root;
            ph_str charset; /* empty is US-ASCII; UTF-8 where UTF-8 is enabled */
            unsigned ret;   /* PH_IMAP_RETURN_ */
            struct ph_imap_partial partial;
            const struct ph_imap_sort *sorts;
            size_t sort_count;
            enum ph_imap_thread_kind thread;
        } search;
        uint64_t enable; /* ENABLE: of the words, those that mean something here */
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
/* The selected mailbox is no more: DELETE of it was the command under way. */
PH_EXPORT void ph_imap_server_deselect(struct ph_imap_server *s);
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
/* Uids that are gone: instead of EXPUNGE once QRESYNC or UIDONLY is enabled; earlier: they were
 * before this session, and no sequence number changes (RFC 7162 3.2.10). */
PH_EXPORT void ph_imap_server_vanished(struct ph_imap_server *s, bool earlier, ph_str uids);
/* SEARCH and SORT in three steps: begin, any number of found, end. modseq: of RFC 7162 3.1.5, 0:
 * not told. */
PH_EXPORT void ph_imap_server_search_begin(struct ph_imap_server *s);
PH_EXPORT void ph_imap_server_found(struct ph_imap_server *s, uint32_t n);
PH_EXPORT void ph_imap_server_search_end(struct ph_imap_server *s, uint64_t modseq);
/* THREAD: search_begin, then open, found and close as RFC 5256 4 nests them, search_end. */
PH_EXPORT void ph_imap_server_thread_open(struct ph_imap_server *s);
PH_EXPORT void ph_imap_server_thread_close(struct ph_imap_server *s);

/* ESEARCH (RFC 4731 3.1): what `has` (PH_IMAP_RETURN_) names; sets as text. MIN, MAX and ALL of no
 * message are not told. */
struct ph_imap_esearch {
    unsigned has;
    bool uid;
    uint32_t min, max;
    uint64_t count, modseq; /* modseq 0: not told */
    ph_str all;
    struct ph_imap_partial range;
    ph_str partial; /* of that range; empty: NIL */
};
PH_EXPORT void ph_imap_server_esearch(struct ph_imap_server *s, const struct ph_imap_esearch *e);

/* QUOTAROOT of a mailbox, and QUOTA with its resources; a limit of UINT64_MAX is none (RFC 9208
 * 5). */
struct ph_imap_quota {
    ph_str root;
    uint64_t storage, storage_limit; /* KiB */
    uint64_t messages, messages_limit;
};
PH_EXPORT void ph_imap_server_quotaroot(struct ph_imap_server *s, ph_str mailbox, ph_str root);
PH_EXPORT void ph_imap_server_quota(struct ph_imap_server *s, const struct ph_imap_quota *q);

/* FETCH: begin, any attributes in any order, end. A section's size is told first; then exactly that
 * many bytes follow by section_data, in as many pieces as you like, before the next attribute. n:
 * the sequence number; the uid once UIDONLY is enabled, and the response is UIDFETCH then. */
PH_EXPORT void ph_imap_server_fetch_begin(struct ph_imap_server *s, uint32_t n);
PH_EXPORT void ph_imap_server_fetch_modseq(struct ph_imap_server *s, uint64_t modseq);
PH_EXPORT void ph_imap_server_fetch_emailid(struct ph_imap_server *s, ph_str id);
PH_EXPORT void ph_imap_server_fetch_threadid(struct ph_imap_server *s, ph_str id); /* empty: NIL */
PH_EXPORT void ph_imap_server_fetch_savedate(struct ph_imap_server *s, int64_t date);
PH_EXPORT void ph_imap_server_fetch_preview(struct ph_imap_server *s,
                                            ph_str text); /* p NULL: NIL */
/* BINARY.SIZE of a section (RFC 3516 4.3). */
PH_EXPORT void ph_imap_server_fetch_binary_size(struct ph_imap_server *s,
                                                const struct ph_imap_section *sec, uint64_t size);
/* Nothing once UIDONLY is enabled: the response begins with it. */
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
/* AS_BINARY is sent as a literal8, which may hold NUL. */
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
