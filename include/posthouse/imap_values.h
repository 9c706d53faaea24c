/*
 * posthouse/imap_values.h - IMAP (RFC 3501, RFC 9051): the values that both roles speak of. The
 * client engine is in imap.h, the server engine in imap_server.h.
 *
 * Text: mailbox names are UTF-8 here and modified UTF-7 on the wire (RFC 3501 5.1.3) unless UTF-8
 * was enabled. A name is "INBOX" in exactly this case when it is the inbox. NIL is a slice with p
 * == NULL; "" has p != NULL.
 */
#ifndef POSTHOUSE_IMAP_VALUES_H
#define POSTHOUSE_IMAP_VALUES_H
#include <posthouse/proto.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- capabilities -------------------------------------------------------------------------- */

enum ph_imap_cap_index {
#define P(sym, wire, states, by, enable, rfc) PH_IMAP_CAPX_##sym,
#include <posthouse/imap_caps.def>
#undef P
    PH_IMAP_CAP_COUNT
};
#define PH_IMAP_CAP(sym) (UINT64_C(1) << PH_IMAP_CAPX_##sym) /* the bit of one, in a mask */

/* ---- commands, conditions, response codes -------------------------------------------------- */

enum ph_imap_state {
    PH_IMAP_NOT_AUTH = 1,
    PH_IMAP_AUTH = 2,
    PH_IMAP_SELECTED = 4,
    PH_IMAP_LOGOUT_STATE = 8
};

enum ph_imap_verb {
#define C(sym, wire, states, cap, grammar, after, rfc) PH_IMAP_##sym,
#include <posthouse/imap_commands.def>
#undef C
    PH_IMAP_VERB_COUNT
};

enum ph_imap_cond { PH_IMAP_OK, PH_IMAP_NO, PH_IMAP_BAD, PH_IMAP_BYE, PH_IMAP_PREAUTH };

/* Response codes (RFC 9051 7.1, RFC 5530). OTHER: one we do not know, its text in `text`. */
#define PH_IMAP_CODES(X)                                                                           \
    X(ALERT, "ALERT")                                                                              \
    X(BADCHARSET, "BADCHARSET")                                                                    \
    X(CAPABILITY, "CAPABILITY")                                                                    \
    X(PARSE, "PARSE")                                                                              \
    X(PERMANENTFLAGS, "PERMANENTFLAGS")                                                            \
    X(READ_ONLY, "READ-ONLY")                                                                      \
    X(READ_WRITE, "READ-WRITE")                                                                    \
    X(TRYCREATE, "TRYCREATE")                                                                      \
    X(UIDNEXT, "UIDNEXT")                                                                          \
    X(UIDVALIDITY, "UIDVALIDITY")                                                                  \
    X(UNSEEN, "UNSEEN")                                                                            \
    X(APPENDUID, "APPENDUID")                                                                      \
    X(COPYUID, "COPYUID")                                                                          \
    X(UIDNOTSTICKY, "UIDNOTSTICKY")                                                                \
    X(UNAVAILABLE, "UNAVAILABLE")                                                                  \
    X(AUTHENTICATIONFAILED, "AUTHENTICATIONFAILED")                                                \
    X(AUTHORIZATIONFAILED, "AUTHORIZATIONFAILED")                                                  \
    X(EXPIRED, "EXPIRED")                                                                          \
    X(PRIVACYREQUIRED, "PRIVACYREQUIRED")                                                          \
    X(CONTACTADMIN, "CONTACTADMIN")                                                                \
    X(NOPERM, "NOPERM")                                                                            \
    X(INUSE, "INUSE")                                                                              \
    X(EXPUNGEISSUED, "EXPUNGEISSUED")                                                              \
    X(CORRUPTION, "CORRUPTION")                                                                    \
    X(SERVERBUG, "SERVERBUG")                                                                      \
    X(CLIENTBUG, "CLIENTBUG")                                                                      \
    X(CANNOT, "CANNOT")                                                                            \
    X(LIMIT, "LIMIT")                                                                              \
    X(OVERQUOTA, "OVERQUOTA")                                                                      \
    X(ALREADYEXISTS, "ALREADYEXISTS")                                                              \
    X(NONEXISTENT, "NONEXISTENT")                                                                  \
    X(HASCHILDREN, "HASCHILDREN")                                                                  \
    X(CLOSED, "CLOSED")                                                                            \
    X(TOOBIG, "TOOBIG")                                                                            \
    X(HIGHESTMODSEQ, "HIGHESTMODSEQ")                                                              \
    X(NOMODSEQ, "NOMODSEQ")                                                                        \
    X(MODIFIED, "MODIFIED")                                                                        \
    X(NOTSAVED, "NOTSAVED")                                                                        \
    X(USEATTR, "USEATTR")                                                                          \
    X(MAILBOXID, "MAILBOXID")                                                                      \
    X(UNKNOWN_CTE, "UNKNOWN-CTE")                                                                  \
    X(COMPRESSIONACTIVE, "COMPRESSIONACTIVE")                                                      \
    X(UIDREQUIRED, "UIDREQUIRED")                                                                  \
    X(INPROGRESS, "INPROGRESS")

enum ph_imap_code_kind {
    PH_IMAP_CODE_NONE,
#define PH_IMAP_CODE_ENUM(sym, wire) PH_IMAP_CODE_##sym,
    PH_IMAP_CODES(PH_IMAP_CODE_ENUM)
#undef PH_IMAP_CODE_ENUM
        PH_IMAP_CODE_OTHER,
    PH_IMAP_CODE_COUNT
};

/* System flags as bits; keywords are space-separated. ANY is "\*" of PERMANENTFLAGS. */
enum {
    PH_IMAP_SEEN = 1,
    PH_IMAP_ANSWERED = 2,
    PH_IMAP_FLAGGED = 4,
    PH_IMAP_DELETED = 8,
    PH_IMAP_DRAFT = 16,
    PH_IMAP_RECENT = 32,
    PH_IMAP_ANY_KEYWORD = 64
};
struct ph_imap_flags {
    unsigned bits;
    ph_str keywords;
};

struct ph_imap_code {
    enum ph_imap_code_kind kind;
    /* UIDNEXT, UIDVALIDITY, UNSEEN, HIGHESTMODSEQ; UIDVALIDITY of APPENDUID and COPYUID */
    uint64_t n;
    ph_str from, to;            /* COPYUID: both sets; APPENDUID: `to` */
    struct ph_imap_flags flags; /* PERMANENTFLAGS */
    /* OTHER and BADCHARSET: the code as it stands; CAPABILITY: the names; MODIFIED: the set;
     * MAILBOXID and INPROGRESS: what stands in the parentheses */
    ph_str text;
};

/* ---- values -------------------------------------------------------------------------------- */

/* A sequence set (RFC 9051 9): ranges as given, lo and hi in any order; UINT32_MAX stands for
 * "*". */
struct ph_imap_range {
    uint32_t lo, hi;
};
struct ph_imap_set {
    const struct ph_imap_range *r;
    size_t n;
    bool saved; /* "$": the result of the last SEARCH RETURN (SAVE), RFC 5182; n is 0 */
};
/* Is `value` in the set, "*" being `star`? Linear in the number of ranges. */
PH_EXPORT bool ph_imap_set_has(const struct ph_imap_set *s, uint32_t value, uint32_t star);
/* Reads "1:5,7,9:*"; ranges live in the arena given. -PH_ESYNTAX, -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_imap_set_parse(struct ph_arena *a, ph_str text,
                                              struct ph_imap_set *ret_set);

struct ph_imap_address {
    ph_str name, route, mailbox, host; /* RFC 9051 7.5.2: host NIL begins or ends a group */
};
struct ph_imap_addresses {
    const struct ph_imap_address *a;
    size_t n; /* 0 is NIL */
};
struct ph_imap_envelope {
    ph_str date, subject;
    struct ph_imap_addresses from, sender, reply_to, to, cc, bcc;
    ph_str in_reply_to, message_id;
};

struct ph_imap_param {
    ph_str name, value;
};
struct ph_imap_params {
    const struct ph_imap_param *p;
    size_t n; /* 0 is NIL */
};
/* One node of a body structure (RFC 9051 7.5.2). A multipart has its parts in child,
 * child->next...; a message/rfc822 has its envelope and its one body in child. */
struct ph_imap_body {
    bool multipart, message;
    bool brief; /* read from BODY: the extension data from md5 on were not given */
    ph_str type, subtype;
    struct ph_imap_params params;
    ph_str id, description, encoding;
    uint64_t size;
    uint32_t lines; /* text and message/rfc822 */
    const struct ph_imap_envelope *envelope;
    struct ph_imap_body *child, *next;
    ph_str md5, disposition;
    struct ph_imap_params disposition_params;
    ph_str language; /* the first of the list */
    ph_str location;
};

enum { PH_IMAP_PART_DEPTH = 64 };
enum ph_imap_section_kind {
    PH_IMAP_SEC_BODY,
    PH_IMAP_SEC_HEADER,
    PH_IMAP_SEC_FIELDS,
    PH_IMAP_SEC_FIELDS_NOT,
    PH_IMAP_SEC_TEXT,
    PH_IMAP_SEC_MIME
};
/* BODY[part.kind (fields)]<from.count>. as: how it was asked for, which the answer repeats. */
struct ph_imap_section {
    enum ph_imap_section_kind kind;
    enum {
        PH_IMAP_AS_BODY,
        PH_IMAP_AS_RFC822,
        PH_IMAP_AS_RFC822_HEADER,
        PH_IMAP_AS_RFC822_TEXT,
        PH_IMAP_AS_BINARY,     /* decoded (RFC 3516 4.2) */
        PH_IMAP_AS_BINARY_SIZE /* the size of that; never peek or partial */
    } as;
    bool peek, partial;
    uint32_t from, count; /* with partial; an answer has `from` alone */
    const uint32_t *part;
    size_t depth;
    const ph_str *fields;
    size_t field_count;
};

enum { /* what FETCH asks for beside sections */
       PH_IMAP_F_UID = 1,
       PH_IMAP_F_FLAGS = 2,
       PH_IMAP_F_INTERNALDATE = 4,
       PH_IMAP_F_SIZE = 8,
       PH_IMAP_F_ENVELOPE = 16,
       PH_IMAP_F_BODY = 32,
       PH_IMAP_F_BODYSTRUCTURE = 64,
       PH_IMAP_F_MODSEQ = 128,
       PH_IMAP_F_PREVIEW = 256, /* RFC 8970 */
       PH_IMAP_F_EMAILID = 512, /* RFC 8474 */
       PH_IMAP_F_THREADID = 1024,
       PH_IMAP_F_SAVEDATE = 2048 /* RFC 8514 */
};
struct ph_imap_items {
    unsigned mask;
    const struct ph_imap_section *sections;
    size_t section_count;
};

enum { /* STATUS items */
       PH_IMAP_ST_MESSAGES = 1,
       PH_IMAP_ST_RECENT = 2,
       PH_IMAP_ST_UIDNEXT = 4,
       PH_IMAP_ST_UIDVALIDITY = 8,
       PH_IMAP_ST_UNSEEN = 16,
       PH_IMAP_ST_DELETED = 32,
       PH_IMAP_ST_SIZE = 64,
       PH_IMAP_ST_HIGHESTMODSEQ = 128,
       PH_IMAP_ST_APPENDLIMIT = 256,     /* RFC 7889 */
       PH_IMAP_ST_DELETED_STORAGE = 512, /* RFC 9208 4.1.4 */
       PH_IMAP_ST_MAILBOXID = 1024       /* RFC 8474 4.3 */
};
struct ph_imap_status {
    ph_str name;
    unsigned mask;
    uint64_t messages, recent, uidnext, uidvalidity, unseen, deleted, size, highestmodseq,
        appendlimit, deleted_storage;
    ph_str mailboxid;
};

enum { /* attributes of a mailbox name in LIST and LSUB (RFC 9051 7.3.1, RFC 6154) */
       PH_IMAP_MB_NOINFERIORS = 1,
       PH_IMAP_MB_NOSELECT = 2,
       PH_IMAP_MB_MARKED = 4,
       PH_IMAP_MB_UNMARKED = 8,
       PH_IMAP_MB_HASCHILDREN = 16,
       PH_IMAP_MB_HASNOCHILDREN = 32,
       PH_IMAP_MB_SUBSCRIBED = 64,
       PH_IMAP_MB_NONEXISTENT = 128,
       PH_IMAP_MB_ALL = 256,
       PH_IMAP_MB_ARCHIVE = 512,
       PH_IMAP_MB_DRAFTS = 1024,
       PH_IMAP_MB_FLAGGED = 2048,
       PH_IMAP_MB_JUNK = 4096,
       PH_IMAP_MB_SENT = 8192,
       PH_IMAP_MB_TRASH = 16384,
       PH_IMAP_MB_SPECIAL = 256 | 512 | 1024 | 2048 | 4096 | 8192 | 16384
};
struct ph_imap_list {
    ph_str name;
    unsigned bits;
    char separator; /* 0: flat */
    bool lsub;
    bool child_info; /* CHILDINFO ("SUBSCRIBED"): a child of it matches (RFC 5258 3.5) */
    /* OLDNAME of a mailbox just renamed or found by another spelling (RFC 9051 6.3.9.7); empty:
     * none */
    ph_str old_name;
};
/* The bit of "\Sent" and so on, 0 when it is none; and the name of one bit. */
PH_EXPORT unsigned ph_imap_mailbox_bit(ph_str attribute);
PH_EXPORT ph_str ph_imap_mailbox_bit_name(unsigned bit);

/* Does a LIST pattern ("*" and "%", RFC 9051 6.3.9) match a name? Linear in name times pattern;
 * INBOX in any case. */
PH_EXPORT bool ph_imap_list_match(ph_str pattern, ph_str name, char separator);

/* Mailbox names: modified UTF-7 to UTF-8 and back. Decoding refuses what is not canonical:
 * -PH_ESYNTAX. */
PH_EXPORT PH_MUST_CHECK int ph_imap_utf7_decode(ph_str wire, struct ph_buf *out);
PH_EXPORT void ph_imap_utf7_encode(ph_str utf8, struct ph_buf *out);

#ifdef __cplusplus
}
#endif
#endif
