/*
 * Base64 for bodies: lenient and fast.
 *
 * Decoding takes 32 characters a step with vectors (which see only compares, shifts and one byte
 * shuffle), or four through tables whose entries are already shifted into place; a character
 * outside the alphabet sets a high bit in its entry, and one test tells of all four. What is not in
 * the alphabet is passed over (RFC 2045 6.8); a pad ends a group, and more groups may follow, as in
 * pieces glued together.
 */
#include <string.h>

#include "codec.h"
#include "simd.h"

#define BAD 0x80000000u
#define VALUE(c)                                                                                   \
    ((c) >= 'A' && (c) <= 'Z'   ? (c) - 'A'                                                        \
     : (c) >= 'a' && (c) <= 'z' ? (c) - 'a' + 26                                                   \
     : (c) >= '0' && (c) <= '9' ? (c) - '0' + 52                                                   \
     : (c) == '+'               ? 62                                                               \
     : (c) == '/'               ? 63                                                               \
                                : -1)
#define AT(c, shift) (VALUE(c) < 0 ? BAD : (uint32_t)VALUE(c) << (shift))
#define ROW4(c, s) AT(c, s), AT((c) + 1, s), AT((c) + 2, s), AT((c) + 3, s)
#define ROW16(c, s) ROW4(c, s), ROW4((c) + 4, s), ROW4((c) + 8, s), ROW4((c) + 12, s)
#define ROW64(c, s) ROW16(c, s), ROW16((c) + 16, s), ROW16((c) + 32, s), ROW16((c) + 48, s)
#define TABLE(s)                                                                                   \
    {                                                                                              \
        ROW64(0, s), ROW64(64, s), ROW64(128, s), ROW64(192, s)                                    \
    }

static const uint32_t first[256] = TABLE(18), second[256] = TABLE(12), third[256] = TABLE(6),
                      fourth[256] = TABLE(0);

/* Decodes whole groups while they are clean; returns how many characters that were. */
static size_t clean_groups(const unsigned char *in, size_t n, char **to)
{
    char *o = *to;
    size_t i = 0;
    for (; i + 4 <= n; i += 4, o += 3) {
        uint32_t v = first[in[i]] | second[in[i + 1]] | third[in[i + 2]] | fourth[in[i + 3]];
        if (v & BAD)
            break;
        v = __builtin_bswap32(v << 8);
        memcpy(o, &v, 4); /* one byte too many: the room has it, the next step overwrites it */
    }
    *to = o;
    return i;
}

typedef uint16_t vec16 __attribute__((vector_size(PH_VEC)));
typedef uint32_t vec32 __attribute__((vector_size(PH_VEC)));

/* Characters to their values; what is outside the alphabet is set in *bad. */
PH_BODY ph_vec values(ph_vec c, ph_vec *bad)
{
    ph_vec upper = (ph_vec)(c - 'A' < 26), lower = (ph_vec)(c - 'a' < 26);
    ph_vec digit = (ph_vec)(c - '0' < 10), plus = (ph_vec)(c == '+'), slash = (ph_vec)(c == '/');
    *bad = ~(upper | lower | digit | plus | slash);
    return c + ((upper & (uint8_t)-65) | (lower & (uint8_t)-71) | (digit & 4) | (plus & 19) |
                (slash & 16));
}

/* As clean_groups, for little-endian machines; CRLF between groups is passed over. Stores are
 * longer than what they say: the room has it. Of a step that is not clean the groups before the
 * first odd character count. */
PH_BODY size_t clean_lines_wide(const unsigned char *in, size_t n, char **to)
{
    char *o = *to;
    size_t i = 0;
    while (i + PH_VEC <= n) {
        ph_vec bad, v = values(ph_vec_load(in + i), &bad);
        vec16 pairs = (vec16)v >> 8 | ((vec16)v & 0x3f) << 6;
        vec32 fours = (vec32)pairs >> 16 | ((vec32)pairs & 0xfff) << 12;
        v = (ph_vec)fours;
        v = __builtin_shufflevector(v, v, 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 3, 7, 11, 15, 18,
                                    17, 16, 22, 21, 20, 26, 25, 24, 30, 29, 28, 19, 23, 27, 31);
        memcpy(o, &v, PH_VEC / 2);
        memcpy(o + 12, (char *)&v + PH_VEC / 2, PH_VEC / 2);
        unsigned good = ph_vec_any(bad) ? (unsigned)__builtin_ctz(ph_vec_bits(bad)) & ~3u : PH_VEC;
        i += good;
        o += good / 4 * 3;
        if (good == PH_VEC)
            continue;
        if (in[i] != '\r' || in[i + 1] != '\n')
            break;
        i += 2;
    }
    *to = o;
    return i;
}

static void one_char(struct ph_decoder *d, unsigned char c, char **to)
{
    if (fourth[c] & BAD) {
        if (c == '=') {
            if (d->held >= 2)
                *(*to)++ = (char)(d->bits >> (d->held == 2 ? 4 : 10));
            if (d->held == 3)
                *(*to)++ = (char)(d->bits >> 2);
            d->held = 0;
        } else if (c != '\r' && c != '\n' && c != ' ' && c != '\t') {
            d->errors++;
        }
        return;
    }
    d->bits = d->bits << 6 | fourth[c];
    if (++d->held == 4) {
        *(*to)++ = (char)(d->bits >> 16);
        *(*to)++ = (char)(d->bits >> 8);
        *(*to)++ = (char)d->bits;
        d->held = 0;
    }
}

/* Up to the end of `in`; the room has 8 bytes more than the result. */
PH_BODY char *feed_body(struct ph_decoder *d, ph_str in, char *to, bool is_wide)
{
    const unsigned char *u = (const unsigned char *)in.p;
    for (size_t i = 0; i < in.n;) {
        if (d->held == 0 && is_wide && in.n - i >= PH_VEC)
            i += clean_lines_wide(u + i, in.n - i, &to);
        else if (d->held == 0)
            i += clean_groups(u + i, in.n - i, &to);
        if (i + 1 < in.n && u[i] == '\r' && u[i + 1] == '\n')
            i += 2;
        else if (i < in.n)
            one_char(d, u[i++], &to);
    }
    return to;
}

PH_WIDE static char *feed_wide(struct ph_decoder *d, ph_str in, char *to)
{
    return feed_body(d, in, to, true);
}

static char *feed_plain(struct ph_decoder *d, ph_str in, char *to)
{
    return feed_body(d, in, to, false);
}

static void feed(struct ph_decoder *d, ph_str in, struct ph_buf *out, bool is_wide)
{
    char *to = ph_buf_reserve(out, in.n / 4 * 3 + 8);
    if (to)
        ph_buf_commit(out, (size_t)((is_wide ? feed_wide : feed_plain)(d, in, to) - to));
}

void ph__b64_feed(struct ph_decoder *d, ph_str in, struct ph_buf *out)
{
    feed(d, in, out, ph_is_wide());
}

void ph__b64_feed_plain(struct ph_decoder *d, ph_str in, struct ph_buf *out)
{
    feed(d, in, out, false);
}

void ph__b64_end(struct ph_decoder *d, struct ph_buf *out)
{
    if (d->held == 1)
        d->errors++;
    ph__b64_feed(d, PH_STR("="), out);
}
