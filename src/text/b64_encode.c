/*
 * Base64 for bodies, the encoding side. Whole lines go 24 bytes a step with vectors:
 *
 *   b0 b1 b2  ->  a lane of 32 bits: b1 b0 b2 b1  ->  four sextets by shifts  ->  characters
 *
 * (RFC 4648 4); what begins or ends a piece inside of a line goes three bytes a step.
 */
#include <string.h>

#include "codec.h"
#include "simd.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum {
    LINE = 76,
    LINE_BYTES = 57,
    STEP = 24,               /* bytes that become one vector */
    REACH = 3 * STEP + 4,    /* what the steps of one line read at most */
    OVER = 3 * PH_VEC - LINE /* what they write too much, to be overwritten */
};

typedef int8_t vec8 __attribute__((vector_size(PH_VEC)));
typedef uint32_t vec32 __attribute__((vector_size(PH_VEC)));

/* Sextets to characters: each range of the alphabet corrects the one before it. */
PH_BODY ph_vec characters(ph_vec sextets)
{
    vec8 s = (vec8)sextets;
    return sextets + 'A' + ((ph_vec)(s > 25) & 6) - ((ph_vec)(s > 51) & 75) -
           ((ph_vec)(s > 61) & 15) + ((ph_vec)(s > 62) & 3);
}

/* 24 bytes become 32 characters; reads 28. For little-endian machines. */
PH_BODY void step(char *to, const unsigned char *in)
{
    ph_vec v;
    memcpy(&v, in, PH_VEC / 2);
    memcpy((char *)&v + PH_VEC / 2, in + STEP / 2, PH_VEC / 2);
    v = __builtin_shufflevector(v, v, 1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10, 17, 16, 18,
                                17, 20, 19, 21, 20, 23, 22, 24, 23, 26, 25, 27, 26);
    vec32 x = (vec32)v;
    x = (x >> 10 & 0x3f) | (x << 4 & 0x3f00) | (x >> 6 & 0x3f0000) | (x << 8 & 0x3f000000);
    v = characters((ph_vec)x);
    memcpy(to, &v, sizeof v);
}

static char *four(char *to, const unsigned char *in)
{
    uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
    to[0] = alphabet[v >> 18];
    to[1] = alphabet[v >> 12 & 63];
    to[2] = alphabet[v >> 6 & 63];
    to[3] = alphabet[v & 63];
    return to + 4;
}

static char *end_line(char *to)
{
    memcpy(to, "\r\n", 2);
    return to + 2;
}

/* Whole lines, from the begin of one, as long as the steps stay inside. */
PH_WIDE static char *lines_wide(const unsigned char **in, const unsigned char *end, char *to)
{
    const unsigned char *u = *in;
    for (; end - u >= REACH; u += LINE_BYTES) {
        step(to, u);
        step(to + PH_VEC, u + STEP);
        step(to + (size_t)2 * PH_VEC, u + (size_t)2 * STEP);
        to = end_line(to + LINE);
    }
    *in = u;
    return to;
}

static char *lines_plain(const unsigned char **in, const unsigned char *end, char *to)
{
    const unsigned char *u = *in;
    while (end - u >= LINE_BYTES) {
        for (int i = 0; i < LINE / 4; i++, u += 3)
            to = four(to, u);
        to = end_line(to);
    }
    *in = u;
    return to;
}

static char *four_and_break(struct ph_b64_encoder *e, char *to, const unsigned char *in)
{
    to = four(to, in);
    if ((e->col += 4) == LINE) {
        to = end_line(to);
        e->col = 0;
    }
    return to;
}

static void feed(struct ph_b64_encoder *e, ph_str in, struct ph_buf *out, bool is_wide)
{
    char *start = ph_buf_reserve(out, in.n / 3 * 4 + in.n / LINE_BYTES * 2 + 16 + OVER);
    if (!start)
        return;
    char *to = start;
    const unsigned char *u = (const unsigned char *)in.p, *end = u + in.n;
    while (e->held > 0 && e->held < 3 && u < end)
        e->keep[e->held++] = *u++;
    if (e->held == 3) {
        to = four_and_break(e, to, e->keep);
        e->held = 0;
    }
    while (end - u >= 3) {
        if (e->col == 0 && end - u >= LINE_BYTES) {
            if (is_wide)
                to = lines_wide(&u, end, to);
            to = lines_plain(&u, end, to);
        } else {
            to = four_and_break(e, to, u);
            u += 3;
        }
    }
    while (u < end)
        e->keep[e->held++] = *u++;
    ph_buf_commit(out, (size_t)(to - start));
}

void ph_b64_encoder_feed(struct ph_b64_encoder *e, ph_str in, struct ph_buf *out)
{
    feed(e, in, out, ph_is_wide());
}

void ph__b64_encoder_feed_plain(struct ph_b64_encoder *e, ph_str in, struct ph_buf *out)
{
    feed(e, in, out, false);
}

void ph_b64_encoder_end(struct ph_b64_encoder *e, struct ph_buf *out)
{
    if (e->held) {
        unsigned char last[3] = {e->keep[0], e->held > 1 ? e->keep[1] : 0, 0};
        char quad[4];
        four(quad, last);
        quad[3] = '=';
        if (e->held == 1)
            quad[2] = '=';
        ph_buf_add(out, (ph_str){quad, 4});
        e->col += 4;
    }
    if (e->col)
        ph_buf_add(out, PH_STR("\r\n"));
    *e = (struct ph_b64_encoder){0};
}
