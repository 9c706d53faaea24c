/*
 * The streaming decoder of transfer encodings: the common entry, and uuencode.
 *
 * uuencode (state):  BEFORE --"begin 644 name"--> INSIDE --"end"--> AFTER
 * Lines gather in `keep`; no line of it is longer than 62 characters, so what is longer is cut.
 */
#include <string.h>

#include "codec.h"

enum { UU_BEFORE, UU_INSIDE, UU_AFTER };

void ph_decoder_init(struct ph_decoder *d, enum ph_encoding encoding)
{
    *d = (struct ph_decoder){.encoding = encoding};
}

static void uu_data(struct ph_decoder *d, struct ph_buf *out)
{
    unsigned count = (unsigned)(d->keep[0] - 32) & 63;
    for (unsigned i = 1; count; i += 4) {
        uint32_t v = 0;
        for (unsigned k = 0; k < 4; k++)
            v = v << 6 | (i + k < d->held ? (unsigned)(d->keep[i + k] - 32) & 63 : 0);
        const char three[3] = {(char)(v >> 16), (char)(v >> 8), (char)v};
        unsigned n = count < 3 ? count : 3;
        ph_buf_add(out, (ph_str){three, n});
        count -= n;
    }
}

static void uu_line(struct ph_decoder *d, struct ph_buf *out)
{
    ph_str line = {d->keep, d->held};
    while (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    d->held = (uint8_t)line.n;
    if (d->state == UU_BEFORE)
        d->state = ph_str_has_prefix(line, PH_STR("begin ")) ? UU_INSIDE : UU_BEFORE;
    else if (d->state == UU_INSIDE && ph_str_eq(line, PH_STR("end")))
        d->state = UU_AFTER;
    else if (d->state == UU_INSIDE && line.n)
        uu_data(d, out);
    d->held = 0;
}

static void uu_feed(struct ph_decoder *d, ph_str in, struct ph_buf *out)
{
    while (in.n && d->state != UU_AFTER) {
        size_t nl = ph_str_chr(in, '\n');
        size_t n = nl == PH_NPOS ? in.n : nl;
        size_t room = sizeof d->keep - d->held;
        size_t take = n < room ? n : room;
        memcpy(d->keep + d->held, in.p, take);
        d->held = (uint8_t)(d->held + take);
        if (nl == PH_NPOS)
            return;
        uu_line(d, out);
        in = ph_str_skip(in, nl + 1);
    }
}

void ph_decoder_feed(struct ph_decoder *d, ph_str in, struct ph_buf *out)
{
    if (in.n == 0)
        return;
    if (d->encoding == PH_ENC_BASE64)
        ph__b64_feed(d, in, out);
    else if (d->encoding == PH_ENC_QP)
        ph__qp_feed(d, in, out);
    else if (d->encoding == PH_ENC_UUENCODE)
        uu_feed(d, in, out);
    else
        ph_buf_add(out, in);
}

void ph_decoder_end(struct ph_decoder *d, struct ph_buf *out)
{
    if (d->encoding == PH_ENC_BASE64)
        ph__b64_end(d, out);
    else if (d->encoding == PH_ENC_QP)
        ph__qp_end(d, out);
    else if (d->encoding == PH_ENC_UUENCODE && d->held)
        uu_line(d, out);
}
