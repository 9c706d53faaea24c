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
    X(BOUNDARY_AFTER_END, RISK, "a boundary occurs again behind the end of its multipart")         \
    X(PART_EMPTY, NOTE, "a part without header and body")                                          \
    X(DEPTH_LIMIT, RISK, "parts are nested deeper than the limit; the rest is one part")           \
    X(PARTS_LIMIT, RISK, "more parts than the limit; the rest belongs to the last one")            \
    X(BARE_CR, RISK, "CR without LF")                                                              \
    X(BARE_LF, RISK, "LF without CR")                                                              \
    X(NUL, RISK, "a NUL byte")                                                                     \
    X(HEADER_8BIT, NOTE, "bytes above 127 in the header")                                          \
    X(HEADER_8BIT_CHARSET, RISK, "bytes above 127 in the header that are not UTF-8")               \
    X(BASE64_RUBBISH, RISK, "characters in base64 that do not belong there; passed over")          \
    X(BASE64_PAD, RISK, "base64 goes on behind its padding, or is padded where it need not be")    \
    X(BASE64_CUT, RISK, "base64 ends inside a group")                                              \
    X(QP_ESCAPE, RISK, "an = in quoted-printable that begins no escape; left as it is")            \
    X(QP_SOFT_END, NOTE, "quoted-printable ends with a soft line break")                           \
    X(BODY_8BIT, NOTE, "bytes above 127 in a body that is said to have none")                      \
    X(LINE_LONG, NOTE, "a line of a body is longer than 998 bytes")

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
 * and BODY[n] (or TEXT). `lines` counts the line ends of the body, as IMAP servers do in
 * BODYSTRUCTURE. Strings that the header does not have are {NULL, 0}; type, subtype and
 * encoding_name always have a value (text, plain, 7bit; message, rfc822 inside multipart/digest).
 * Letter case is as written.
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

/* Reads a whole message from a file descriptor, to its end, and parses it; all of it lives in the
 * arena. 0, -PH_ELIMIT (larger than the arena may become), -PH_EIO, -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_mime_read(struct ph_arena *arena, int fd,
                                         struct ph_message **ret_message, struct ph_error *reterr);

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

/* Reads the bodies of a tree whose message has its bytes, and appends the defects of their
 * transfer encodings and lines (BASE64_..., QP_..., BODY_8BIT, LINE_LONG), each kind once a part;
 * what the parse finds by itself is not looked for again. Returns how many there were. */
PH_EXPORT int ph_mime_check(struct ph_arena *arena, struct ph_message *m);

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

/* The same where bytes that are not UTF-8 are in the charset named (empty: windows-1252):
 * programs that write raw bytes into a header mostly use the charset of the text, which
 * ph_message_charset gives. */
PH_EXPORT PH_MUST_CHECK int ph_field_text_in(struct ph_arena *arena, ph_str raw, ph_str charset,
                                             ph_str *ret_text);

/* A raw MIME-Version value (RFC 2045 4): "1.0 (produced by X)". 0 or -PH_ESYNTAX. */
PH_EXPORT PH_MUST_CHECK int ph_mime_version(ph_str raw, unsigned *ret_major, unsigned *ret_minor);

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

/* A mailbox for a person to read, appended as UTF-8: "Jürgen <j@bücher.test>", the name decoded,
 * A-labels as U-labels; of a group its name. Not for parsing again. 0 or an error of `out`. */
PH_EXPORT PH_MUST_CHECK int ph_address_text(const struct ph_address *a, struct ph_buf *out);

/* A domain in A-labels (RFC 5891 4, non-transitional), lower case, appended; a literal "[...]"
 * and what is ASCII already stays as it is. 0, -PH_EINVAL (no valid domain), an error of `out`. */
PH_EXPORT PH_MUST_CHECK int ph_host_ascii(ph_str host, struct ph_buf *out);

/* A domain in U-labels, appended as UTF-8; what has no valid U-labels stays as it is (bytes that
 * are not UTF-8 become U+FFFD). 0 or an error of `out`. */
PH_EXPORT PH_MUST_CHECK int ph_host_unicode(ph_str host, struct ph_buf *out);

/* ---- dates (RFC 5322 3.3, 4.3) ------------------------------------------------------------ */

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

/* ---- ids and trace fields ------------------------------------------------------------------ */

/* Cuts the next message id, with its angle brackets, off *rest (a raw References or Message-ID
 * value). Text outside brackets is passed over. */
PH_EXPORT bool ph_id_next(ph_str *rest, ph_str *ret_id);

/* A Received field (RFC 5321 4.4). Clauses without their keyword, raw; {NULL, 0}: not there. */
struct ph_received {
    /* "mail.example.org", and the first comment behind it: "mail [192.0.2.1]" */
    ph_str from, from_info;
    ph_str by, by_info;
    ph_str via, with, id, with_info;
    ph_str for_; /* angle brackets removed */
    ph_str date_text;
    struct ph_date date;
    bool has_date;
};

PH_EXPORT void ph_received_parse(ph_str raw, struct ph_received *ret_received);

/* ---- cid: and mid: URLs (RFC 2392) ----------------------------------------------------------- */

/* Ids without angle brackets, percent-decoded; {NULL, 0}: not there. */
struct ph_mid {
    ph_str message_id; /* of mid: */
    ph_str content_id; /* of cid:, and behind the '/' of mid: */
};

/* Reads "cid:..." or "mid:...". 0, -PH_ESYNTAX (neither, or empty), -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_mid_parse(struct ph_arena *arena, ph_str url,
                                         struct ph_mid *ret_mid);

/* The first part at or below `p` (in document order) with that Content-ID, with or without angle
 * brackets; NULL. Looks into enclosed messages too, after everything outside them. */
PH_EXPORT const struct ph_part *ph_part_by_id(const struct ph_part *p, ph_str content_id);

/* ---- mailing lists (RFC 2369, 2919, 8058) ---------------------------------------------------- */

struct ph_url {
    struct ph_url *next; /* in order of preference (RFC 2369 2) */
    ph_str url;          /* without brackets; white space inside is removed */
};

struct ph_list {
    ph_str id;   /* List-Id without brackets: "list.example.org" */
    ph_str name; /* the phrase before it, as UTF-8 */
    struct ph_url *help, *subscribe, *unsubscribe, *post, *owner, *archive;
    bool no_post;   /* "List-Post: NO": nobody may write to it */
    bool one_click; /* the first https URL of `unsubscribe` takes a POST (RFC 8058 3.1) */
};

/* The list fields of a header; all empty when it came through no list. Of a field that occurs
 * twice the first counts; at most PH_LIST_URLS of one field are kept. 0 or -PH_ENOMEM. */
enum { PH_LIST_URLS = 20 };
PH_EXPORT PH_MUST_CHECK int ph_list_parse(struct ph_arena *arena, ph_str head,
                                          struct ph_list *ret_list);

/* ---- envelope (RFC 9051 7.5.2) ------------------------------------------------------------- */

/* Strings are unfolded, not decoded, free of CR, LF and NUL; {NULL, 0}: the field is absent.
 * sender and reply_to are those of `from` when absent or empty. Of several To, Cc or Bcc fields the
 * lists are joined (RFC 5322 4.5.3), of all other fields the first one counts. */
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

/* ---- bodies -------------------------------------------------------------------------------- */

/* The bytes of the body before decoding; empty when the range does not lie in `m`. */
PH_EXPORT ph_str ph_part_body(const struct ph_message *m, const struct ph_part *p);

/* The decoded body, appended. 0, -PH_ENOMEM or -PH_ELIMIT (`out` is full). */
PH_EXPORT PH_MUST_CHECK int ph_part_decode(const struct ph_message *m, const struct ph_part *p,
                                           struct ph_buf *out);

/* The decoded body of a text part as valid UTF-8 with LF line ends, appended; format=flowed stays
 * as it is. */
PH_EXPORT PH_MUST_CHECK int ph_part_text(const struct ph_message *m, const struct ph_part *p,
                                         struct ph_buf *out);

/* What a part says, in the arena: ph_part_text of a text part, ph_part_decode of any other, empty
 * for one that is made of parts. 0 or -PH_ENOMEM (also the arena's maximum). */
PH_EXPORT PH_MUST_CHECK int ph_part_content(struct ph_arena *arena, const struct ph_message *m,
                                            const struct ph_part *p, ph_str *ret_content);

/* ---- views: what a reader shows ------------------------------------------------------------- */

struct ph_body {
    struct ph_body *next;
    const struct ph_part *part; /* text/plain or text/html */
};

/*
 * Which parts are the letter to read, chosen as RFC 8621 4.1.4 does. A text part is read unless
 * it is an attachment by its disposition, or by having a file name where it is not the first, or
 * by being a resource of multipart/related. Enclosed messages are not looked into, unless the
 * whole message is one.
 */
struct ph_view {
    struct ph_body *text;           /* for who shows text: plain where there is a choice */
    struct ph_body *html;           /* for who shows HTML: HTML where there is a choice */
    const struct ph_part *calendar; /* the first text/calendar; NULL */
    const struct ph_part *report;   /* the first multipart/report (RFC 6522); NULL */
};

PH_EXPORT PH_MUST_CHECK int ph_message_view(struct ph_arena *arena, const struct ph_message *m,
                                            struct ph_view *ret_view);

/* The part whose text a person reads first: the text/plain of an alternative, else its
 * text/html, attachments passed over. NULL when there is none. Allocates nothing. */
PH_EXPORT const struct ph_part *ph_message_text_part(const struct ph_message *m);

/* The charset that ph_message_text_part declares; empty when none. */
PH_EXPORT ph_str ph_message_charset(const struct ph_message *m);

/* The text to read, appended as UTF-8 with LF: all of ph_view.text one below the other, HTML
 * turned into text, format=flowed unwrapped (RFC 3676). */
PH_EXPORT PH_MUST_CHECK int ph_message_text(const struct ph_message *m, struct ph_buf *out);

/* Appends the URL under which the reader will find the part; asked once for each reference. */
typedef void ph_html_link(void *ctx, const struct ph_part *part, struct ph_buf *out);

/* The HTML to show, appended as UTF-8: all of ph_view.html one below the other, plain text
 * escaped and put in a <pre>. Every "cid:" that names a part of the message is replaced by what
 * `link` appends (NULL: left as it is). It is what the sender wrote: scripts, forms and remote
 * pictures are still in it, so show it in a sandbox only. */
PH_EXPORT PH_MUST_CHECK int ph_message_html(const struct ph_message *m, ph_html_link *link,
                                            void *ctx, struct ph_buf *out);

/* The first words of the text to read (RFC 8970 3.1), appended: at most `most` characters of
 * UTF-8 on one line, white space collapsed, controls left out. Reads no more than it needs. */
enum { PH_PREVIEW_MOST = 200 };
PH_EXPORT PH_MUST_CHECK int ph_message_preview(const struct ph_message *m, size_t most,
                                               struct ph_buf *out);

struct ph_attachment {
    struct ph_attachment *next;
    const struct ph_part *part;
    ph_str name;    /* safe as a file name: no path, control or bidi characters, not empty, no
                       name that Windows reserves, at most 200 bytes of UTF-8 with its extension
                       kept, and unlike every other name in the list, ignoring ASCII case */
    bool is_inline; /* a picture of an HTML text, or disposition inline */
};

/* Every leaf (and every enclosed message) that is not the letter to read nor another view of it;
 * and every file that uuencode has put into a text: its part is in no tree (no parent, no section
 * number), has the range from "begin" to "end" and encoding PH_ENC_UUENCODE, so ph_part_decode
 * gives its content. Returns their number or -PH_ENOMEM. */
PH_EXPORT PH_MUST_CHECK int ph_message_attachments(struct ph_arena *arena,
                                                   const struct ph_message *m,
                                                   struct ph_attachment **ret_list);

/* ---- reports (RFC 6522, 3464, 8098) --------------------------------------------------------- */

/* "rfc822; user@example.org": the type in lower case as written before the ';', else empty. */
struct ph_typed {
    ph_str type, value;
};

enum ph_report_action {                  /* RFC 3464 2.3.3 */
                        PH_ACTION_OTHER, /* absent or unknown */
                        PH_ACTION_FAILED,
                        PH_ACTION_DELAYED,
                        PH_ACTION_DELIVERED,
                        PH_ACTION_RELAYED,
                        PH_ACTION_EXPANDED
};

/* What a delivery report says of one recipient. Strings are unfolded, {NULL, 0}: not there. */
struct ph_report_recipient {
    struct ph_report_recipient *next;
    struct ph_typed original, final, remote_mta, diagnostic;
    enum ph_report_action action;
    ph_str status; /* "5.1.1" (RFC 3463) without the comment behind it */
    ph_str log_id;
    struct ph_date last_attempt, retry_until;
    bool has_last_attempt, has_retry_until;
    ph_str fields; /* all of them, as ph_part.head */
};

enum ph_report_kind {
    PH_REPORT_OTHER,
    PH_REPORT_DELIVERY,    /* message/delivery-status, message/global-delivery-status */
    PH_REPORT_DISPOSITION, /* message/disposition-notification (RFC 8098) */
    PH_REPORT_FEEDBACK     /* message/feedback-report (RFC 5965): read its `fields` */
};

struct ph_report {
    enum ph_report_kind kind;
    const struct ph_part *text;     /* for people; NULL */
    const struct ph_part *status;   /* for programs; NULL */
    const struct ph_part *original; /* message/rfc822, or text/rfc822-headers; NULL */
    ph_str fields;                  /* the per-message fields, as ph_part.head */
    /* delivery (RFC 3464 2.2) */
    ph_str envelope_id;
    struct ph_typed reporting_mta, gateway, received_from;
    struct ph_date arrival;
    bool has_arrival;
    /* disposition (RFC 8098 3.2); its recipients are one entry of `recipients` */
    ph_str original_message_id;
    ph_str disposition; /* "manual-action/MDN-sent-manually; displayed" */
    struct ph_report_recipient *recipients;
    size_t recipient_count; /* at most PH_REPORT_RECIPIENTS are kept */
};

/* Reads the report in `p`: a multipart/report (ph_view.report), or a status part that stands
 * alone. 0, -PH_ENOENT (`p` has no status part), -PH_ENOMEM. */
enum { PH_REPORT_RECIPIENTS = 10000 };
PH_EXPORT PH_MUST_CHECK int ph_report_parse(struct ph_arena *arena, const struct ph_message *m,
                                            const struct ph_part *p, struct ph_report *ret_report);

#ifdef __cplusplus
}
#endif
#endif
