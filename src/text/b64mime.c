/*
 * Base64 for bodies: lenient and fast.
 *
 * Decoding looks at four characters a step through tables whose entries are already shifted into
 * place; a character outside the alphabet sets a high bit in its entry, and one test tells of all
 * four. What is not in the alphabet is passed over (RFC 2045 6.8); a pad ends a group, and more
 * groups may follow, as in pieces glued together.
 */
#include <string.h>

#include "codec.h"

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

void ph__b64_feed(struct ph_decoder *d, ph_str in, struct ph_buf *out)
{
    char *start = ph_buf_reserve(out, in.n / 4 * 3 + 8);
    if (!start)
        return;
    char *to = start;
    const unsigned char *u = (const unsigned char *)in.p;
    for (size_t i = 0; i < in.n;) {
        if (d->held == 0)
            i += clean_groups(u + i, in.n - i, &to);
        if (i < in.n)
            one_char(d, u[i++], &to);
    }
    ph_buf_commit(out, (size_t)(to - start));
}

void ph__b64_end(struct ph_decoder *d, struct ph_buf *out)
{
    if (d->held == 1)
        d->errors++;
    ph__b64_feed(d, PH_STR("="), out);
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { LINE = 76 };

static char *four(char *to, const unsigned char *in)
{
    uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
    to[0] = alphabet[v >> 18];
    to[1] = alphabet[v >> 12 & 63];
    to[2] = alphabet[v >> 6 & 63];
    to[3] = alphabet[v & 63];
    return to + 4;
}

static char *four_and_break(struct ph_b64_encoder *e, char *to, const unsigned char *in)
{
    to = four(to, in);
    if ((e->col += 4) == LINE) {
        *to++ = '\r';
        *to++ = '\n';
        e->col = 0;
    }
    return to;
}

void ph_b64_encoder_feed(struct ph_b64_encoder *e, ph_str in, struct ph_buf *out)
{
    char *start = ph_buf_reserve(out, in.n / 3 * 4 + in.n / 57 * 2 + 16);
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
        if (e->col == 0 && end - u >= LINE / 4 * 3) {
            for (int i = 0; i < LINE / 4; i++, u += 3)
                to = four(to, u);
            *to++ = '\r';
            *to++ = '\n';
        } else {
            to = four_and_break(e, to, u);
            u += 3;
        }
    }
    while (u < end)
        e->keep[e->held++] = *u++;
    ph_buf_commit(out, (size_t)(to - start));
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
