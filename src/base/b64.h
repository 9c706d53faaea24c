/*
 * b64.h - base64 (RFC 4648 4) for protocol use: strict, whole values. MIME bodies, which are
 * lenient and large, have their own codec in text/.
 */
#ifndef PH_B64_H
#define PH_B64_H
#include <posthouse/base.h>

/* Appends the encoding of `in`, padded, without line breaks. */
void ph_b64_encode(struct ph_buf *out, ph_str in);

/* Appends the decoding of `in`. -PH_ESYNTAX on any character outside the alphabet, wrong
 * padding or non-zero trailing bits (RFC 4648 3.5); then `out` is as it was. */
PH_MUST_CHECK int ph_b64_decode(struct ph_buf *out, ph_str in);

#endif
