/*
 * codec.h - transfer encodings (RFC 2045 6): the encoding side, and the pieces of ph_decoder
 * (<posthouse/text.h>), which is the decoding side.
 */
#ifndef PH_TEXT_CODEC_H
#define PH_TEXT_CODEC_H
#include <posthouse/text.h>

/* Base64 in lines of 76 with CRLF, piece by piece. `col` and `held` begin as 0. */
struct ph_b64_encoder {
    unsigned col;
    unsigned held;
    unsigned char keep[3];
};

void ph_b64_encoder_feed(struct ph_b64_encoder *e, ph_str in, struct ph_buf *out);
void ph_b64_encoder_end(struct ph_b64_encoder *e, struct ph_buf *out); /* ends with CRLF */
/* The same without vectors; for tests. */
void ph__b64_encoder_feed_plain(struct ph_b64_encoder *e, ph_str in, struct ph_buf *out);

/*
 * Quoted-printable for text, piece by piece: line ends (CRLF, LF, CR) become CRLF, lines are at
 * most 76 long, white space at line ends, "From " and "." at line begins are encoded. Zeroed to
 * begin with.
 */
struct ph_qp_encoder {
    unsigned col;
    char space; /* a space or tab whose fate hangs on what follows */
    bool after_cr;
};

void ph_qp_encoder_feed(struct ph_qp_encoder *e, ph_str in, struct ph_buf *out);
void ph_qp_encoder_end(struct ph_qp_encoder *e, struct ph_buf *out); /* a soft break if needed */

/* Decoders behind ph_decoder_feed and _end. */
void ph__b64_feed(struct ph_decoder *d, ph_str in, struct ph_buf *out);
void ph__b64_end(struct ph_decoder *d, struct ph_buf *out);
void ph__qp_feed(struct ph_decoder *d, ph_str in, struct ph_buf *out);
void ph__qp_end(struct ph_decoder *d, struct ph_buf *out);

/* Without vectors: what the others must equal. */
void ph__b64_feed_plain(struct ph_decoder *d, ph_str in, struct ph_buf *out);
void ph__qp_feed_plain(struct ph_decoder *d, ph_str in, struct ph_buf *out);

/* The value of a hexadecimal digit with PH__HEX_DIGIT added; 0 when it is none. */
enum { PH__HEX_DIGIT = 16 };
extern const uint8_t ph__hex_digits[256];

/* The value of a hexadecimal digit, -1 when it is none. */
static inline int ph__hex(char c)
{
    return ph__hex_digits[(uint8_t)c] - PH__HEX_DIGIT < 0 ? -1 : ph__hex_digits[(uint8_t)c] & 15;
}

#endif
