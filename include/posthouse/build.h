/*
 * posthouse/build.h - writing mail.
 *
 * The short way: fill a struct ph_letter, call ph_letter_build, then ph_email_as_bytes.
 * The long way is that of Python's EmailMessage, under the same names:
 *
 *   EmailMessage()            ph_email_new            msg.as_bytes()       ph_email_as_bytes
 *   msg["To"] = x             ph_email_add_header     msg.walk()           ph_email_walk
 *   msg.replace_header        ph_email_replace_header msg.get_body()       ph_email_get_body
 *   del msg["To"]             ph_email_del            msg.iter_parts()     ph_email_iter_parts
 *   msg.set_content(x)        ph_email_set_content    msg.is_multipart()   ph_email_is_multipart
 *   msg.add_alternative(x)    ph_email_add_alternative  MIMEMultipart("report")  ph_mime_multipart
 *   msg.add_related(x)        ph_email_add_related    MIMEText, MIMEImage  ph_mime_text, _image
 *   msg.add_attachment(x)     ph_email_add_attachment MIMEBase, MIMEMessage ph_mime_base, _message
 *
 * What follows from the content is not the caller's work: Content-Transfer-Encoding (the smallest
 * that suffices), boundaries (that occur nowhere inside), MIME-Version, Date and Message-ID where
 * they are missing. Output has CRLF line ends, no line above 998 bytes (RFC 5322 2.1.1), header
 * lines folded at 78, encoded words (RFC 2047) and parameters (RFC 2231) where ASCII does not do.
 * parse(build(x)) gives x back.
 *
 * Header injection is impossible: CR, LF or NUL in a name or value is -PH_EINVAL.
 *
 * Everything lives in the arena given at the start and is never freed by itself. Names and values
 * are copied; contents (text, bytes, sources) are borrowed until the last writing is done.
 *
 * Unless a function says otherwise it gives 0, or -PH_EINVAL (*reterr tells a person why; reterr
 * may be NULL everywhere), -PH_EIO (a file named by a content cannot be read), -PH_ELIMIT (a limit
 * below), -PH_ENOMEM (memory, or the arena's maximum); after a failure the message is as it was.
 */
#ifndef POSTHOUSE_BUILD_H
#define POSTHOUSE_BUILD_H

#include <posthouse/text.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A message, or a part of one: header fields and a content. */
struct ph_email;

/* Limits, so that every loop has one. */
enum {
    PH_EMAIL_FIELDS = 1000,       /* header fields of one entity */
    PH_EMAIL_PARTS = 10000,       /* entities of one message */
    PH_EMAIL_DEPTH = 64,          /* nesting */
    PH_EMAIL_VALUE = 1024 * 1024, /* bytes of one value */
    PH_EMAIL_CHUNK = 64 * 1024    /* what a stream gives at once is about that much */
};

/* ---- what goes into a part ------------------------------------------------------------------- */

/* Where the bytes of a content come from. read() fills at most n bytes from offset `at` on and
 * returns their number, 0 at the end, or a negative error that the writer hands on. It may be
 * asked for everything more than once, and must give the same bytes each time. */
struct ph_source {
    void *ctx;
    int64_t (*read)(void *ctx, uint64_t at, char *to, size_t n);
};

/*
 * A content: exactly one of the first five is given (all empty: no bytes).
 *
 * `text` gets CRLF line ends, an end for its last line, a charset, and 7bit, 8bit,
 * quoted-printable or base64, whichever is smallest and allowed. Everything else keeps every byte
 * and is base64, but for messages: they are never encoded (RFC 2046 5.2.1), only their line ends
 * become CRLF.
 */
struct ph_content {
    size_t struct_size; /* sizeof(struct ph_content); PH_CONTENT sets it */
    ph_str text;        /* UTF-8, any line ends; given when .p is not NULL */
    ph_str bytes;
    ph_str path;                    /* a file, read while the message is written */
    const struct ph_source *source; /* or this */
    struct ph_email *message;       /* message/rfc822; must not be part of anything else */
    ph_str type;        /* "text/html", "text/plain; format=flowed". Default: text/plain for text,
                           message/rfc822 for a message, else by the extension of the file name,
                           else application/octet-stream */
    ph_str filename;    /* UTF-8, no path; default with `path`: its last component */
    ph_str cid;         /* Content-ID without brackets (RFC 2392) */
    ph_str disposition; /* "inline", "attachment"; default: what the function called says */
    enum ph_encoding encoding; /* PH_ENC_QP, PH_ENC_BASE64: this one; 0: the smallest */
};

/* ph_email_set_content(m, PH_CONTENT(.text = PH_STR("Hello")), &err) */
#define PH_CONTENT(...) (&(const struct ph_content){sizeof(struct ph_content), __VA_ARGS__})

/* ---- a message ------------------------------------------------------------------------------- */

/* A new, empty message. NULL: no memory. */
PH_EXPORT struct ph_email *ph_email_new(struct ph_arena *arena);

/* Values for tests and resending: time for Date, and a seed from which ids and boundaries are
 * made instead of random bytes. Call it on the outermost message, first. */
PH_EXPORT void ph_email_fixed(struct ph_email *e, int64_t unix_time, int16_t zone, uint64_t seed);

/* ---- header fields --------------------------------------------------------------------------- */

/*
 * Adds a field; value in UTF-8. How it is written follows from its name:
 *   From, Sender, Reply-To, To, Cc, Bcc, Resent-*, Mail-Followup-To, ...  an address list as a
 *       person types it; names are quoted or encoded as needed; it must be a valid list. Repeated
 *       calls for one of them join into one field. Non-ASCII domains become A-labels unless the
 *       output is UTF-8. Bcc is for ph_email_recipient and not written without PH_EMAIL_BCC.
 *   Message-ID, In-Reply-To, References, Date, List-*...   ASCII, folded between words. The
 *       first four and Subject may be there once.
 *   Content-Type, Content-Disposition, Content-ID   "type; name=value": replaces the part's own
 *   Content-Transfer-Encoding, MIME-Version   -PH_EINVAL: they follow from the content
 *   the rest    unstructured text
 */
PH_EXPORT PH_MUST_CHECK int ph_email_add_header(struct ph_email *e, ph_str name, ph_str value,
                                                struct ph_error *reterr);

/* The same instead of all fields of that name, in the place of the first; or added. */
PH_EXPORT PH_MUST_CHECK int ph_email_set_header(struct ph_email *e, ph_str name, ph_str value,
                                                struct ph_error *reterr);

/* The same instead of the first of that name; -PH_ENOENT when there is none. */
PH_EXPORT PH_MUST_CHECK int ph_email_replace_header(struct ph_email *e, ph_str name, ph_str value,
                                                    struct ph_error *reterr);

/* Removes all fields of that name (Content-* included) and tells how many there were. */
PH_EXPORT int ph_email_del(struct ph_email *e, ph_str name);

/* The value of the first field of that name as it was given; {NULL, 0}: none. Those that follow
 * from the content have functions of their own below. */
PH_EXPORT ph_str ph_email_get(const struct ph_email *e, ph_str name);

/* The n-th field, from 0, in the order in which they are written; false at the end. */
PH_EXPORT bool ph_email_header(const struct ph_email *e, size_t n, ph_str *ret_name,
                               ph_str *ret_value);

/* ---- Content-Type and Content-Disposition ---------------------------------------------------- */

PH_EXPORT ph_str ph_email_get_content_type(const struct ph_email *e); /* "text/plain" */
PH_EXPORT ph_str ph_email_get_content_maintype(const struct ph_email *e);
PH_EXPORT ph_str ph_email_get_content_subtype(const struct ph_email *e);
PH_EXPORT ph_str ph_email_get_content_disposition(const struct ph_email *e); /* {NULL, 0}: none */
PH_EXPORT ph_str ph_email_get_filename(const struct ph_email *e);
PH_EXPORT bool ph_email_is_multipart(const struct ph_email *e); /* message/rfc822 is none */
PH_EXPORT bool ph_email_is_attachment(const struct ph_email *e);

/* A parameter of "Content-Type" or "Content-Disposition" (another name: -PH_EINVAL). `charset`
 * of a text and `boundary` of a multipart: see ph_content and ph_email_set_boundary. del tells
 * whether it was there. */
PH_EXPORT ph_str ph_email_get_param(const struct ph_email *e, ph_str header, ph_str name);
PH_EXPORT PH_MUST_CHECK int ph_email_set_param(struct ph_email *e, ph_str header, ph_str name,
                                               ph_str value, struct ph_error *reterr);
PH_EXPORT int ph_email_del_param(struct ph_email *e, ph_str header, ph_str name);

/* A boundary of one's own (RFC 2046 5.1.1). One that occurs inside makes the writing fail. */
PH_EXPORT PH_MUST_CHECK int ph_email_set_boundary(struct ph_email *e, ph_str boundary,
                                                  struct ph_error *reterr);

/* ---- content --------------------------------------------------------------------------------- */

/* What the message says, instead of what it said before. */
PH_EXPORT PH_MUST_CHECK int ph_email_set_content(struct ph_email *e, const struct ph_content *c,
                                                 struct ph_error *reterr);

/*
 * Adds a part. The message becomes a multipart of the kind named, unless it is one already; what
 * it said before becomes the first part. As in Python, related goes inside alternative inside
 * mixed: -PH_EINVAL when it is the other way round. *ret_part (may be NULL) is the new part.
 *   add_alternative   the same once more, in a richer form: text/html beside text/plain
 *   add_related       what the content shows: disposition inline, has a Content-ID
 *   add_attachment    disposition attachment
 */
PH_EXPORT PH_MUST_CHECK int ph_email_add_alternative(struct ph_email *e, const struct ph_content *c,
                                                     struct ph_email **ret_part,
                                                     struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_email_add_related(struct ph_email *e, const struct ph_content *c,
                                                 struct ph_email **ret_part,
                                                 struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_email_add_attachment(struct ph_email *e, const struct ph_content *c,
                                                    struct ph_email **ret_part,
                                                    struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_email_make_alternative(struct ph_email *e, struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_email_make_related(struct ph_email *e, struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_email_make_mixed(struct ph_email *e, struct ph_error *reterr);

/* Puts a part made by the functions below (or by ph_email_new) last into a multipart. A message
 * without content becomes multipart/mixed. A part belongs to one multipart only. */
PH_EXPORT PH_MUST_CHECK int ph_email_attach(struct ph_email *e, struct ph_email *part,
                                            struct ph_error *reterr);

/* The content id of a part, without brackets; made up when it has none. {NULL, 0}: no memory. */
PH_EXPORT ph_str ph_email_content_id(struct ph_email *e);

PH_EXPORT void ph_email_clear_content(struct ph_email *e); /* and the Content-* fields */
PH_EXPORT void ph_email_clear(struct ph_email *e);         /* and all other fields */

/* ---- parts by their kind --------------------------------------------------------------------- */

/*
 * A part for ph_email_attach. `c` may be NULL where a content makes sense later. ph_mime_image,
 * _audio and _application insist that the type, given or found by the file name, is one of
 * theirs (application/octet-stream when nothing tells); ph_mime_text takes `subtype` "plain",
 * "html"...; ph_mime_base takes any type but multipart. ph_mime_multipart takes the subtype
 * ("mixed", "alternative", "related", "digest", "report", ...; other parameters by
 * ph_email_set_param) and begins empty.
 */
PH_EXPORT PH_MUST_CHECK int ph_mime_base(struct ph_arena *arena, ph_str type,
                                         const struct ph_content *c, struct ph_email **ret_part,
                                         struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_mime_text(struct ph_arena *arena, ph_str subtype, ph_str text,
                                         struct ph_email **ret_part, struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_mime_image(struct ph_arena *arena, const struct ph_content *c,
                                          struct ph_email **ret_part, struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_mime_audio(struct ph_arena *arena, const struct ph_content *c,
                                          struct ph_email **ret_part, struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_mime_application(struct ph_arena *arena, const struct ph_content *c,
                                                struct ph_email **ret_part,
                                                struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_mime_message(struct ph_arena *arena, struct ph_email *message,
                                            struct ph_email **ret_part, struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_mime_multipart(struct ph_arena *arena, ph_str subtype,
                                              struct ph_email **ret_part, struct ph_error *reterr);

/* ---- looking at it --------------------------------------------------------------------------- */

/* The entity after `at` in document order, at or below `root`; NULL at the end. `at` NULL gives
 * the root. Goes into enclosed messages, as Python's does. */
PH_EXPORT struct ph_email *ph_email_walk(struct ph_email *root, struct ph_email *at);

/* The part of a multipart after `at`; the first with NULL. iter_attachments passes over what is
 * the body: the root of related, all of alternative, else the first of plain text and HTML that
 * are no attachments. */
PH_EXPORT struct ph_email *ph_email_iter_parts(struct ph_email *e, struct ph_email *at);
PH_EXPORT struct ph_email *ph_email_iter_attachments(struct ph_email *e, struct ph_email *at);

/* The part that is the body, by what is wanted most: "related html plain" (NULL means that),
 * "plain html", ...; NULL when there is none. */
PH_EXPORT struct ph_email *ph_email_get_body(struct ph_email *e, const char *preference);

/* The content of a leaf as it was given; {NULL, 0} when it is not in memory. */
PH_EXPORT ph_str ph_email_get_content(const struct ph_email *e);

/* The n-th envelope recipient (To, Cc, Bcc in this order, doubles left out) as local@host with
 * A-labels; false when there are no more. The first Sender or else From address likewise. */
PH_EXPORT bool ph_email_recipient(struct ph_email *e, size_t n, ph_str *ret_address);
PH_EXPORT bool ph_email_sender(struct ph_email *e, ph_str *ret_address);

/* The Message-ID (with brackets) that is or will be written. {NULL, 0}: no memory. */
PH_EXPORT ph_str ph_email_message_id(struct ph_email *e);

/* An address in the message has a local part outside ASCII: only PH_EMAIL_UTF8 can write it, and
 * only a server with SMTPUTF8 (RFC 6531) carry it. */
PH_EXPORT bool ph_email_needs_utf8(const struct ph_email *e);

/* Whether every "cid:" in the HTML has its part and every inline part with a Content-ID its
 * "cid:". 0, or -PH_ENOENT with the name in *reterr. Writing does not insist. */
PH_EXPORT PH_MUST_CHECK int ph_email_check_cids(struct ph_email *e, struct ph_error *reterr);

/* ---- writing --------------------------------------------------------------------------------- */

enum {
    PH_EMAIL_UTF8 = 1, /* header in raw UTF-8 (RFC 6532; needs SMTPUTF8), no encoded words */
    PH_EMAIL_8BIT = 2, /* 8bit bodies (needs 8BITMIME) instead of quoted-printable or base64 */
    PH_EMAIL_BCC = 4   /* with Bcc: for drafts and the sender's own copy */
};

/* Appends the whole message. The outermost entity gets Date and Message-ID when they are absent;
 * writing again gives the same bytes. Also: -PH_EIO (a file cannot be read), and what sources
 * and `out` return. */
PH_EXPORT PH_MUST_CHECK int ph_email_as_bytes(struct ph_email *e, unsigned flags,
                                              struct ph_buf *out, struct ph_error *reterr);

/* The same into a file descriptor, in constant memory. Also: -PH_EIO, -PH_EFULL (no room on the
 * disk), -PH_ECLOSED (a pipe that nobody reads; SIGPIPE is the caller's). */
PH_EXPORT PH_MUST_CHECK int ph_email_write(struct ph_email *e, unsigned flags, int fd,
                                           struct ph_error *reterr);

/*
 * The same piece by piece, in constant memory however large the contents are. ph_stream_next
 * returns 1 and the next slice (never empty), borrowed from the stream until the next call; 0 at
 * the end; or an error, which ends it. The message must not change meanwhile. The stream is
 * yours; free with ph_stream_free.
 */
struct ph_stream;
PH_EXPORT PH_MUST_CHECK int ph_email_stream(struct ph_email *e, unsigned flags,
                                            struct ph_stream **ret_stream, struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_stream_next(struct ph_stream *s, ph_str *ret_bytes,
                                           struct ph_error *reterr);
/* The same into memory of the caller's: at most `max` bytes; 0 at the end. Not to be mixed with
 * ph_stream_next. */
PH_EXPORT PH_MUST_CHECK int64_t ph_stream_read(struct ph_stream *s, char *to, size_t max,
                                               struct ph_error *reterr);
PH_EXPORT struct ph_stream *ph_stream_free(struct ph_stream *s); /* returns NULL; takes NULL */

/* ---- the common letter ----------------------------------------------------------------------- */

struct ph_header {
    ph_str name, value;
};

/*
 * A letter as people write them. What is empty is left out. The nesting comes out by itself:
 *   mixed( related( alternative(plain, html), pictures ), files )
 * with every level left out that has one member only. With `html` alone the plain text is made
 * from it.
 *
 * The HTML names a picture as "cid:1" (the first one), by its file name ("cid:logo.png") or by its
 * .cid; such names are replaced by content ids that are unique in the world (RFC 2392), a .cid
 * with an '@' in it is taken as it is. A "cid:" without picture and a picture without "cid:" are
 * -PH_ENOENT, with the name in *reterr.
 */
struct ph_letter {
    size_t struct_size; /* sizeof(struct ph_letter); PH_LETTER sets it */
    ph_str from;        /* must be there */
    ph_str to, cc, bcc, reply_to, subject;
    ph_str text, html; /* UTF-8 */
    const struct ph_content *pictures;
    size_t picture_count;
    const struct ph_content *files;
    size_t file_count;
    const struct ph_header *headers; /* more fields; none of Content-* */
    size_t header_count;
};

#define PH_LETTER(...) (&(const struct ph_letter){sizeof(struct ph_letter), __VA_ARGS__})

/* -PH_EINVAL, -PH_ENOENT, -PH_ELIMIT, -PH_ENOMEM, each with the reason in *reterr. */
PH_EXPORT PH_MUST_CHECK int ph_letter_build(struct ph_arena *arena, const struct ph_letter *letter,
                                            struct ph_email **ret_email, struct ph_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
