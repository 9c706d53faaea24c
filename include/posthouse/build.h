/*
 * posthouse/build.h - writing mail: a letter from fields, text, HTML, pictures and files.
 *
 * The right nesting comes out by itself (RFC 2046, 2387, 2392):
 *   mixed( related( alternative(plain, html), pictures ), files )
 * with every level left out that has only one member. Output is 7-bit unless PH_BUILD_UTF8 is
 * asked for, lines end with CRLF and are at most 998 bytes (RFC 5322 2.1.1), header lines are
 * folded at 78, text is encoded with the smallest transfer encoding that suffices.
 *
 * Header injection is impossible: CR, LF or NUL in a name or value is -PH_EINVAL.
 */
#ifndef POSTHOUSE_BUILD_H
#define POSTHOUSE_BUILD_H

#include <posthouse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_build;

enum {
    PH_BUILD_UTF8 = 1, /* header in raw UTF-8 (RFC 6532; needs SMTPUTF8), no encoded words */
    PH_BUILD_8BIT = 2  /* 8bit bodies (needs 8BITMIME) instead of quoted-printable or base64 */
};

/* Limits, so that every loop has one. */
enum { PH_BUILD_FIELDS = 1000, PH_BUILD_PARTS = 10000, PH_BUILD_VALUE = 1024 * 1024 };

/* A new, empty letter; everything it keeps lives in the arena given, so it is never freed by
 * itself. `host` is used right of the @ in Message-ID and content ids, "localhost" when empty.
 * NULL when there is no memory. */
PH_EXPORT struct ph_build *ph_build_new(struct ph_arena *arena, ph_str host, unsigned flags);

/*
 * Sets the value behind "Subject", "X-Something" and so on, in UTF-8; repeated calls add fields.
 * How it is encoded follows from the name:
 *   From, Sender, Reply-To, To, Cc, Bcc, Resent-*  an address list as a person types it; names
 *       are quoted or encoded as needed; it must be a valid list of addresses. Repeated calls for
 *       one of them join into one field. Non-ASCII domains become A-labels without PH_BUILD_UTF8.
 *   Message-ID, In-Reply-To, References, Date, List-*  ASCII, written as it is
 *   Content-*, MIME-Version   -PH_EINVAL: they follow from the content
 *   the rest    unstructured text
 * Bcc is kept for ph_build_recipient and never written.
 * 0, -PH_EINVAL (*reterr says why), -PH_ELIMIT, -PH_ENOMEM.
 */
PH_EXPORT PH_MUST_CHECK int ph_build_field(struct ph_build *b, ph_str name, ph_str value,
                                           struct ph_error *reterr);

/* The text, UTF-8, any line ends; a last line without end gets one. At most one each; they are
 * borrowed until ph_build_write is done. With HTML only, the plain text is made from it.
 * -PH_EINVAL: not UTF-8. */
PH_EXPORT PH_MUST_CHECK int ph_build_text(struct ph_build *b, ph_str text, struct ph_error *reterr);
PH_EXPORT PH_MUST_CHECK int ph_build_html(struct ph_build *b, ph_str html, struct ph_error *reterr);

/* Where the bytes of a part come from. read() fills at most n bytes from offset `at` on and
 * returns their number, 0 at the end, or a negative error that ph_build_write hands on. It is
 * asked for the whole content more than once, and must give the same bytes each time. */
struct ph_source {
    void *ctx;
    int64_t (*read)(void *ctx, uint64_t at, char *to, size_t n);
};

struct ph_build_file {
    size_t struct_size;             /* sizeof(struct ph_build_file) */
    ph_str name;                    /* file name shown to the reader, UTF-8; empty: none */
    ph_str type;                    /* "image/png", parameters allowed; empty: from the name, else
                                       application/octet-stream */
    ph_str cid;                     /* for pictures: without angle brackets; empty: made up */
    ph_str bytes;                   /* content in memory, borrowed until written; or */
    const struct ph_source *source; /* not NULL: read from here, borrowed until written */
};

/* A file to go with the letter (disposition attachment). message/rfc822 is not encoded. */
PH_EXPORT PH_MUST_CHECK int ph_build_attach(struct ph_build *b, const struct ph_build_file *file,
                                            struct ph_error *reterr);

/* A picture (or style sheet, font) that the HTML names as "cid:..."; *ret_cid (may be NULL) is
 * the content id without brackets and lives in the arena. */
PH_EXPORT PH_MUST_CHECK int ph_build_picture(struct ph_build *b, const struct ph_build_file *file,
                                             ph_str *ret_cid, struct ph_error *reterr);

/* Tells whether every "cid:" in the HTML has its picture and every picture its "cid:"; 0, or
 * -PH_ENOENT with the name in *reterr. ph_build_write does not insist. */
PH_EXPORT PH_MUST_CHECK int ph_build_check_cids(struct ph_build *b, struct ph_error *reterr);

/* The n-th envelope recipient (To, Cc, Bcc in this order, doubles left out) as local@host;
 * false when there are no more. The first From address likewise. Live in the arena. */
PH_EXPORT bool ph_build_recipient(struct ph_build *b, size_t n, ph_str *ret_address);
PH_EXPORT bool ph_build_sender(struct ph_build *b, ph_str *ret_address);

/* The Message-ID (with brackets) that is or will be written. */
PH_EXPORT ph_str ph_build_message_id(struct ph_build *b);

/* Values for tests and resending: time for Date, and a seed from which ids and boundaries are
 * made instead of random bytes. */
PH_EXPORT void ph_build_fixed(struct ph_build *b, int64_t unix_time, int16_t zone, uint64_t seed);

/* Takes bytes as they are made; a negative result stops the writing and is returned. */
typedef int ph_build_sink(void *ctx, ph_str bytes);

/* Writes the letter piece by piece in constant memory (PH_BUILD_CHUNK at a time). Date and
 * Message-ID are added when absent; From must be there. May be called again and gives the same
 * bytes. 0, -PH_EINVAL, -PH_ENOMEM, or what sink and sources returned. */
enum { PH_BUILD_CHUNK = 64 * 1024 };
PH_EXPORT PH_MUST_CHECK int ph_build_write(struct ph_build *b, ph_build_sink *sink, void *ctx,
                                           struct ph_error *reterr);

/* The same into a buffer. */
PH_EXPORT PH_MUST_CHECK int ph_build_bytes(struct ph_build *b, struct ph_buf *out,
                                           struct ph_error *reterr);

#ifdef __cplusplus
}
#endif
#endif
