/*
 * posthouse/mime.h - reading mail: the tree of a message, its header, its bodies.
 *
 * Reads RFC 5322 messages with MIME (RFC 2045-2049, 2183, 2231, 2047, 6532) and everything that
 * real mail makes of them. It never refuses mail: what is wrong becomes a defect, and the only
 * errors are -PH_ENOMEM (no memory, or the arena's maximum) and, where said, -PH_ELIMIT (the
 * maximum of the buffer given).
 *
 * A parse keeps offsets and slices of the bytes given; nothing is changed or copied that need not
 * be. Unless a function says otherwise, every slice it gives is either borrowed from the message
 * bytes until those go away, or lives in the arena given; so keep both as long as the result.
 *
 * All work is linear in the size of the message for every input.
 */
#ifndef POSTHOUSE_MIME_H
#define POSTHOUSE_MIME_H

#include <posthouse/text.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- defects ----------------------------------------------------------------------------- */

/*
 * What is wrong in a message. NOTE: everyone reads it the same way. RISK: another program may
 * read this differently, so that a filter and a reader may see different mail.
 * Columns: symbol, level, text.
 */
#define PH_DEFECTS(X)                                                                              \
    X(HEADER_NO_END, NOTE, "the header is not ended by an empty line")                             \
    X(HEADER_BAD_LINE, RISK, "a line in the header is not a field; the body begins there")         \
    X(HEADER_FIRST_FOLDED, NOTE, "the header begins with a continuation line")                     \
    X(HEADER_MBOX_FROM, NOTE, "an mbox From line stands in the header")                            \
    X(HEADER_SPACE_COLON, NOTE, "white space between field name and colon")                        \
    X(HEADER_LIMIT, RISK, "the header is longer than the limit; what lies behind it is not read")  \
    X(FIELD_TWICE, RISK, "a field that may occur once occurs again; the first one counts")         \
    X(TYPE_SYNTAX, RISK, "Content-Type is malformed; read as text/plain")                          \
    X(PARAM_SYNTAX, RISK, "a parameter is malformed")                                              \
    X(PARAM_TWICE, RISK, "a parameter occurs twice; the first one counts")                         \
    X(ENCODING_UNKNOWN, NOTE, "unknown Content-Transfer-Encoding; the body is left as it is")      \
    X(ENCODING_COMPOSITE, RISK, "multipart or message under base64 or quoted-printable")           \
    X(BOUNDARY_MISSING, RISK, "multipart without a boundary parameter")                            \
    X(BOUNDARY_NONE_FOUND, RISK, "multipart whose boundary never occurs")                          \
    X(BOUNDARY_NO_END, NOTE, "multipart without its closing boundary line")                        \
    X(BOUNDARY_REUSED, RISK, "a nested multipart uses the boundary of one around it")              \
    X(BOUNDARY_PREFIX, RISK, "a line begins like a boundary but goes on; not taken as one")        \
    X(PART_EMPTY, NOTE, "a part without header and body")                                          \
    X(DEPTH_LIMIT, RISK, "parts are nested deeper than the limit; the rest is one part")           \
    X(PARTS_LIMIT, RISK, "more parts than the limit; the rest belongs to the last one")            \
    X(BARE_CR, RISK, "CR without LF")                                                              \
    X(BARE_LF, RISK, "LF without CR")                                                              \
    X(NUL, RISK, "a NUL byte")                                                                     \
    X(HEADER_8BIT, NOTE, "bytes above 127 in the header")                                          \
    X(HEADER_8BIT_CHARSET, RISK, "bytes above 127 in the header that are not UTF-8")

enum ph_defect_kind {
#define PH_DEFECT_ENUM(sym, level, text) PH_DEFECT_##sym,
    PH_DEFECTS(PH_DEFECT_ENUM)
#undef PH_DEFECT_ENUM
        PH_DEFECT_COUNT
};

enum ph_defect_level { PH_DEFECT_IS_NOTE, PH_DEFECT_IS_RISK };

struct ph_defect {
    struct ph_defect *next; /* in the order they were found */
    enum ph_defect_kind kind;
    enum ph_defect_level level;
    uint64_t at; /* offset in the message */
};

PH_EXPORT const char *ph_defect_name(enum ph_defect_kind kind); /* "BARE_CR" */
PH_EXPORT const char *ph_defect_text(enum ph_defect_kind kind);

/* ---- the tree ---------------------------------------------------------------------------- */

struct ph_range {
    uint64_t at, n; /* offset in the message, bytes */
};

/* One parameter as it stands in the header, unquoted but not decoded: "filename*0*". */
struct ph_param {
    struct ph_param *next;
    ph_str name, value;
};

enum ph_part_kind {
    PH_PART_LEAF,      /* no children are known */
    PH_PART_MULTIPART, /* one or more children */
    PH_PART_MESSAGE    /* message/rfc822, message/global: exactly one child, the message inside */
};

struct ph_envelope;

/*
 * One entity: the message itself, a part of a multipart, or the message inside message/rfc822.
 *
 * `header` includes the empty line that ends it; `body` begins behind it and ends before the line
 * break that belongs to the following boundary. They are what IMAP calls BODY[n.MIME] (or HEADER)
 * and BODY[n] (or TEXT). `lines` counts the lines of the body, a last one without line end
 * included. Strings that the header does not have are {NULL, 0}; type, subtype and encoding_name
 * always have a value (text, plain, 7bit; message, rfc822 inside multipart/digest). Letter case
 * is as written.
 */
struct ph_part {
    struct ph_part *parent, *next, *child;
    enum ph_part_kind kind;
    enum ph_encoding encoding;
    uint32_t index; /* 1, 2, ... in the parent; 1 for the root */
    uint32_t depth; /* 0 for the root */
    uint64_t lines;
    struct ph_range header, body;
    ph_str head; /* the bytes of `header`, at most the limit `header` of them; empty in a tree that
                    was read from a summary */
    ph_str type, subtype;
    struct ph_param *params;
    ph_str encoding_name;
    ph_str id, description, md5, location; /* unfolded, otherwise as written */
    ph_str language;                       /* Content-Language: tags separated by commas */
    ph_str disposition;                    /* "attachment" */
    struct ph_param *disposition_params;
    struct ph_envelope *envelope; /* of the root and the child of a MESSAGE, once
                                     ph_mime_envelope was asked; always set in a summary */
};

struct ph_message {
    ph_str bytes; /* the message; empty after ph_mime_parser_end: who kept it may set it */
    struct ph_part *root;
    struct ph_defect *defects;
    size_t part_count, defect_count;
};

/* 0 in a field means the default. Defaults in brackets. What lies beyond a limit is a defect. */
struct ph_mime_limits {
    size_t depth;   /* nesting of parts [PH_MIME_DEPTH], at most PH_MIME_DEPTH_MOST */
    size_t parts;   /* parts in all [PH_MIME_PARTS] */
    size_t header;  /* bytes of one header that are read [PH_MIME_HEADER] */
    size_t defects; /* defects kept [PH_MIME_DEFECTS]; more are only counted */
};

enum {
    PH_MIME_DEPTH = 64,
    PH_MIME_DEPTH_MOST = 512,
    PH_MIME_PARTS = 200000,
    PH_MIME_HEADER = 4 * 1024 * 1024,
    PH_MIME_DEFECTS = 200,
    PH_MIME_LINE = 16384 /* bytes of a line that are looked at to tell whether it is a field or a
                           boundary: field names, boundaries and the white space behind either
                           cannot be longer */
};

/* Parses a whole message. `limits` may be NULL. `bytes` is borrowed as long as the result is
 * used; the result lives in the arena given. 0 or -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_mime_parse(struct ph_arena *arena, ph_str bytes,
                                          const struct ph_mime_limits *limits,
                                          struct ph_message **ret_message);

/*
 * The same parser fed with the bytes as they arrive, in pieces of any size: the same tree and the
 * same defects, whatever the pieces. Nothing is borrowed from them; what the tree needs of the
 * headers is copied into the arena, and of bodies no more than PH_MIME_LINE bytes are kept.
 *
 * Everything lives in the arena given. feed gives 0 or -PH_ENOMEM, which lasts; after end the
 * parser must not be used again. ret_message->bytes is empty.
 */
struct ph_mime_parser;
PH_EXPORT struct ph_mime_parser *ph_mime_parser_new(struct ph_arena *arena,
                                                    const struct ph_mime_limits *limits);
PH_EXPORT PH_MUST_CHECK int ph_mime_parser_feed(struct ph_mime_parser *ps, ph_str bytes);
PH_EXPORT PH_MUST_CHECK int ph_mime_parser_end(struct ph_mime_parser *ps,
                                               struct ph_message **ret_message);

/* Walks the tree in document order: the part after `p`, NULL at the end. Start with the root. */
PH_EXPORT struct ph_part *ph_part_next(const struct ph_part *p);

/* Type and subtype, ignoring case; subtype NULL means any. */
PH_EXPORT bool ph_part_is(const struct ph_part *p, const char *type, const char *subtype);

/*
 * The part that an IMAP section number names (RFC 9051 6.4.5.1): {1, 2} for BODY[1.2]. A message
 * that is no multipart has exactly part 1, which is its body: then the message's own root is
 * returned. NULL when there is no such part. What to send then:
 *   BODY[n.n]          ret->body
 *   BODY[n.n.MIME]     ret->header
 *   BODY[n.n.HEADER]   ret->child->header, if ret->kind == PH_PART_MESSAGE, else nothing
 *   BODY[n.n.TEXT]     ret->child->body, likewise
 *   BODY[HEADER], BODY[TEXT]   root->header, root->body
 */
PH_EXPORT const struct ph_part *ph_part_section(const struct ph_part *root, const uint32_t *path,
                                                size_t n);

/* A parameter's value in UTF-8: RFC 2231 pieces joined and decoded, encoded words (which do not
 * belong there) decoded too. {NULL, 0} in *ret_value when there is none. 0 or -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_param_get(struct ph_arena *arena, const struct ph_param *list,
                                         ph_str name, ph_str *ret_value);

/* ---- header fields ----------------------------------------------------------------------- */

struct ph_field {
    ph_str name;  /* without white space and colon */
    ph_str value; /* raw: behind the colon, folds inside, final line end not included */
    ph_str all;   /* the whole field, name to line end */
};

/* Cuts the next field off *rest, which begins as ph_part.head; false at the end of the header.
 * Lines that are no field are passed over. */
PH_EXPORT bool ph_field_next(ph_str *rest, struct ph_field *ret_field);

/* The n-th field (0 is the first from the top) of that name. */
PH_EXPORT bool ph_field_find(ph_str head, ph_str name, size_t n, struct ph_field *ret_field);

/* The header of a message, including the empty line; linear in the header alone. */
PH_EXPORT ph_str ph_message_head(ph_str bytes);

/* A raw value on one line: line ends removed (RFC 5322 2.2.3), NUL removed, trimmed. Borrowed
 * when nothing had to change. 0 or -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_field_unfold(struct ph_arena *arena, ph_str raw, ph_str *ret_value);

/* A raw unstructured value as UTF-8: unfolded, encoded words decoded (RFC 2047), bytes that are
 * not UTF-8 read as windows-1252. Always valid UTF-8. 0 or -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_field_text(struct ph_arena *arena, ph_str raw, ph_str *ret_text);

/* ---- addresses (RFC 5322 3.4, 4.4; RFC 6532) ------------------------------------------------ */

enum ph_address_kind {
    PH_ADDRESS_MAILBOX,
    PH_ADDRESS_GROUP,    /* `name` is the group's; its members follow */
    PH_ADDRESS_GROUP_END /* all strings empty */
};

/*
 * One address as IMAP's ENVELOPE wants it. Strings are free of CR, LF and NUL, quotes and
 * comments are gone, encoded words stay as they are (ph_field_text decodes them). {NULL, 0}: not
 * there. A name that stands as a comment behind the address, "a@b (Name)", is taken as name.
 */
struct ph_address {
    struct ph_address *next;
    enum ph_address_kind kind;
    ph_str name;  /* display name */
    ph_str route; /* obsolete source route: "@a,@b" */
    ph_str local; /* left of the @, unquoted: may hold any character */
    ph_str host;  /* right of it; {NULL, 0} when there was no @ */
};

/* Reads an address list from a raw value, forgiving everything; entries beyond PH_ADDRESS_MOST
 * are not read. Returns the number of MAILBOX entries or -PH_ENOMEM. */
enum { PH_ADDRESS_MOST = 20000 };
PH_EXPORT PH_MUST_CHECK int ph_address_parse(struct ph_arena *arena, ph_str raw,
                                             struct ph_address **ret_list);

/* local@host, quoted where it must be (RFC 5321 4.1.2); appends to `out`. */
PH_EXPORT void ph_address_write(struct ph_buf *out, ph_str local, ph_str host);

/* ---- dates (RFC 5322 3.3, 4.3) ----------------------------------------------------------------
 */

enum {
    PH_DATE_TIME = 1,    /* the time of day was there */
    PH_DATE_SECOND = 2,  /* with seconds */
    PH_DATE_ZONE = 4,    /* a zone that says something: not absent, not -0000 */
    PH_DATE_WEEKDAY = 8, /* a day of the week was there (whether or not it is right) */
};

struct ph_date {
    int64_t time;  /* seconds since 1970-01-01T00:00:00Z; a zone that was absent counts as UTC */
    int16_t zone;  /* minutes east of UTC */
    uint8_t flags; /* PH_DATE_... : what was there */
};

/* Reads the date forms seen in mail: RFC 5322 and its obsolete forms, asctime, ISO 8601, with
 * comments. Years 1..9999. 0 or -PH_ESYNTAX. */
PH_EXPORT PH_MUST_CHECK int ph_date_parse(ph_str raw, struct ph_date *ret_date);

/* Appends "Sun, 22 Nov 2026 19:53:48 +0000" in the date's own zone. */
PH_EXPORT void ph_date_write(struct ph_buf *out, const struct ph_date *date);

/* ---- ids and trace fields ----------------------------------------------------------------------
 */

/* Cuts the next message id, with its angle brackets, off *rest (a raw References or Message-ID
 * value). Text outside brackets is passed over. */
PH_EXPORT bool ph_id_next(ph_str *rest, ph_str *ret_id);

/* A Received field (RFC 5321 4.4). Clauses without their keyword, raw; {NULL, 0}: not there. */
struct ph_received {
    ph_str from, from_info; /* "mail.example.org", "(mail [192.0.2.1])" without parentheses */
    ph_str by, by_info;
    ph_str via, with, id, with_info;
    ph_str for_; /* angle brackets removed */
    ph_str date_text;
    struct ph_date date;
    bool has_date;
};

PH_EXPORT void ph_received_parse(ph_str raw, struct ph_received *ret_received);

/* ---- envelope (RFC 9051 7.5.2)
 * -------------------------------------------------------------------- */

/* Strings are unfolded, not decoded, free of CR, LF and NUL; {NULL, 0}: the field is absent.
 * sender and reply_to are those of `from` when absent or empty. */
struct ph_envelope {
    ph_str date, subject;
    struct ph_address *from, *sender, *reply_to, *to, *cc, *bcc;
    ph_str in_reply_to, message_id, references;
    struct ph_date sent; /* `date` parsed */
    bool has_sent;
};

/* The envelope of the root or of the child of a MESSAGE part; made once and kept in the part. */
PH_EXPORT PH_MUST_CHECK int ph_mime_envelope(struct ph_arena *arena, struct ph_part *part,
                                             struct ph_envelope **ret_envelope);

/* ---- bodies
 * ------------------------------------------------------------------------------------------ */

/* The bytes of the body before decoding; empty when the range does not lie in `m`. */
PH_EXPORT ph_str ph_part_body(const struct ph_message *m, const struct ph_part *p);

/* The decoded body, appended. 0, -PH_ENOMEM or -PH_ELIMIT (`out` is full). */
PH_EXPORT PH_MUST_CHECK int ph_part_decode(const struct ph_message *m, const struct ph_part *p,
                                           struct ph_buf *out);

/* The decoded body of a text part as valid UTF-8 with LF line ends, appended. */
PH_EXPORT PH_MUST_CHECK int ph_part_text(const struct ph_message *m, const struct ph_part *p,
                                         struct ph_buf *out);

/* The part whose text a person reads first: the text/plain of an alternative, else its
 * text/html, attachments passed over. NULL when there is none. */
PH_EXPORT const struct ph_part *ph_message_text_part(const struct ph_message *m);

/* The text to read, appended as UTF-8 with LF: ph_message_text_part, HTML turned into text. */
PH_EXPORT PH_MUST_CHECK int ph_message_text(const struct ph_message *m, struct ph_buf *out);

struct ph_attachment {
    struct ph_attachment *next;
    const struct ph_part *part;
    ph_str name;    /* safe as a file name: no path, control or bidi characters, not empty, at most
                       200 bytes of UTF-8, unlike every other name in the list */
    bool is_inline; /* a picture of an HTML text, or disposition inline */
};

/* Every leaf (and every enclosed message) that is not the text. Returns their number. */
PH_EXPORT PH_MUST_CHECK int ph_message_attachments(struct ph_arena *arena,
                                                   const struct ph_message *m,
                                                   struct ph_attachment **ret_list);

#ifdef __cplusplus
}
#endif
#endif
