/*
 * unbinary.h - a message that came by a binary way (BINARYMIME, literal8), for the ways and clients
 * that take lines of text.
 */
#ifndef PH_UNBINARY_H
#define PH_UNBINARY_H
#include <posthouse/mime.h>

enum { PH_TEXT_LINE = 998 }; /* octets of a line without CRLF: RFC 5322 2.1.1 */

/* Takes a piece of the result, borrowed for the call. 0, or an error that ends it. */
typedef int ph_mime_sink(void *ctx, ph_str piece);

/* Gives the message to `add`, without octets that are not text (NUL, CR or LF alone, longer lines
 * than PH_TEXT_LINE; RFC 2045 2.7 to 2.9): a part that has such octets is written in base64, other
 * parts that are declared binary are declared 8bit, and the last line ends with CRLF. All else
 * stays as it is, byte for byte.
 *
 * -PH_ENOTIMPL: that can not be done, because such octets are outside of the parts (in a header),
 * in a part that is signed (RFC 1847 2.1), encoded in another way, or a message inside (RFC 2046
 * 5.2.1); -PH_ENOMEM; or what `add` returned. Pieces may have been given before an error. */
PH_MUST_CHECK int ph_mime_unbinary(ph_str message, ph_mime_sink *add, void *ctx);
#endif
