/*
 * posthouse/text.h - what mail does to text and undoes again: transfer encodings (RFC 2045 6),
 * charsets, HTML. Knows nothing of messages; <posthouse/mime.h> applies it to their parts.
 *
 * Any bytes may be given; the only errors are those of the buffer that takes the result:
 * -PH_ENOMEM, and -PH_ELIMIT when it is full. All work is linear.
 */
#ifndef POSTHOUSE_TEXT_H
#define POSTHOUSE_TEXT_H

#include <posthouse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- transfer encodings ------------------------------------------------------------------ */

enum ph_encoding {
    PH_ENC_7BIT, /* also when the field is absent */
    PH_ENC_8BIT,
    PH_ENC_BINARY,
    PH_ENC_QP,
    PH_ENC_BASE64,
    PH_ENC_UUENCODE,
    PH_ENC_OTHER
};

/* Streaming decoder of one transfer encoding. Lenient: what is no base64 is passed over, a bad
 * quoted-printable escape stays as it is. PH_ENC_7BIT, 8BIT, BINARY and OTHER copy. */
struct ph_decoder {
    enum ph_encoding encoding;
    uint8_t state, held;
    uint32_t bits;
    char keep[80]; /* an unfinished escape, or white space that may turn out to end a line */
    uint32_t errors;
};

PH_EXPORT void ph_decoder_init(struct ph_decoder *d, enum ph_encoding encoding);
/* Appends what `in` yields to `out`; failures stick in `out`. */
PH_EXPORT void ph_decoder_feed(struct ph_decoder *d, ph_str in, struct ph_buf *out);
PH_EXPORT void ph_decoder_end(struct ph_decoder *d, struct ph_buf *out);

/* ---- charsets and HTML ------------------------------------------------------------------- */

/* `in` in the charset named as valid UTF-8, appended. The names are those that mail really uses, in
 * any spelling; most are read as the set that contains them (iso-8859-1 as windows-1252, gb2312 as
 * GB18030). A label that is certainly wrong is overruled, and the byte order mark that told so is
 * left out; an unknown one is read as UTF-8 where it is valid, else as windows-1252. Returns the
 * number of bytes that could not be read and became U+FFFD, or an error of `out`. */
PH_EXPORT PH_MUST_CHECK int ph_charset_decode(ph_str charset, ph_str in, struct ph_buf *out);
/* Is it a name that is understood? */
PH_EXPORT bool ph_charset_known(ph_str charset);

/* Loads the converters that mail needs, so that ph_charset_decode opens no file: for a process that
 * closes its file system to itself. They stay loaded until ph_charset_unload. NULL: out of
 * memory. */
struct ph_charsets;
PH_EXPORT struct ph_charsets *ph_charset_preload(void);
PH_EXPORT struct ph_charsets *
ph_charset_unload(struct ph_charsets *c); /* returns NULL; takes NULL */

/* HTML (UTF-8) as readable text, appended: links, lists, tables and quotes kept. */
PH_EXPORT PH_MUST_CHECK int ph_html_text(ph_str html, struct ph_buf *out);

/* ---- format=flowed (RFC 3676) ------------------------------------------------------------ */

/* Paragraphs joined again: one line each, LF, appended. `del_sp` is the parameter DelSp=yes.
 * Quoted paragraphs begin with their marks and one space: ">> text". Takes any line ends. */
PH_EXPORT PH_MUST_CHECK int ph_flowed_decode(ph_str text, bool del_sp, struct ph_buf *out);

/* The reverse: each line of `text` (UTF-8) becomes lines of at most `width` characters where it
 * has spaces to break at, LF, without DelSp, space-stuffed where needed. Leading '>' are quote
 * marks. White space at the end of a line is dropped, but for the signature mark "-- ". `width` 0
 * means PH_FLOWED_WIDTH. */
enum { PH_FLOWED_WIDTH = 72 };
PH_EXPORT PH_MUST_CHECK int ph_flowed_encode(ph_str text, unsigned width, struct ph_buf *out);

#ifdef __cplusplus
}
#endif
#endif
