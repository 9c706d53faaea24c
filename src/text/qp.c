/*
 * Quoted-printable (RFC 2045 6.7), decoded leniently: whole lines go from one "=" to the next,
 * with vectors where there are any; what cannot be decided at the end of a piece waits in `keep`:
 * an escape that is not complete, or white space that is dropped if the line ends behind it.
 */
#include <string.h>

#include "codec.h"
#include "simd.h"

#define DIGIT(c, v) [c] = PH__HEX_DIGIT + (v)
const uint8_t ph__hex_digits[256] = {
    DIGIT('0', 0),  DIGIT('1', 1),  DIGIT('2', 2),  DIGIT('3', 3),  DIGIT('4', 4),  DIGIT('5', 5),
    DIGIT('6', 6),  DIGIT('7', 7),  DIGIT('8', 8),  DIGIT('9', 9),  DIGIT('A', 10), DIGIT('B', 11),
    DIGIT('C', 12), DIGIT('D', 13), DIGIT('E', 14), DIGIT('F', 15), DIGIT('a', 10), DIGIT('b', 11),
    DIGIT('c', 12), DIGIT('d', 13), DIGIT('e', 14), DIGIT('f', 15),
};
#undef DIGIT

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void flush_kept(struct ph_decoder *d, struct ph_buf *out)
{
    ph_buf_add(out, (ph_str){d->keep, d->held});
    d->held = 0;
}

static void keep(struct ph_decoder *d, char c, struct ph_buf *out)
{
    if (d->held == sizeof d->keep) {
        d->errors += d->keep[0] == '='; /* too much white space behind it for a soft line end */
        flush_kept(d, out);
    }
    d->keep[d->held++] = c;
}

/* Behind "=": true when c belonged to the escape, false when it must be looked at again. */
static bool escape_byte(struct ph_decoder *d, char c, struct ph_buf *out)
{
    if (d->held == 2 && ph__hex(d->keep[1]) >= 0) {
        if (ph__hex(c) >= 0) {
            d->held = 0;
            ph_buf_addc(out, (char)(ph__hex(d->keep[1]) << 4 | ph__hex(c)));
            return true;
        }
    } else if (c == '\n') {
        d->held = 0;
        return true;
    } else if (is_blank(c) || (d->held == 1 && ph__hex(c) >= 0)) {
        keep(d, c, out);
        return true;
    }
    d->errors++;
    flush_kept(d, out);
    return false;
}

static void blank_byte(struct ph_decoder *d, char c, struct ph_buf *out)
{
    if (is_blank(c)) {
        keep(d, c, out);
    } else if (c == '\n') {
        if (d->held && d->keep[d->held - 1] == '\r')
            ph_buf_addc(out, '\r');
        ph_buf_addc(out, '\n');
        d->held = 0;
    } else {
        flush_kept(d, out);
        if (c == '=')
            keep(d, c, out);
        else
            ph_buf_addc(out, c);
    }
}

static void one_byte(struct ph_decoder *d, char c, struct ph_buf *out)
{
    if (!(d->held && d->keep[0] == '=' && escape_byte(d, c, out)))
        blank_byte(d, c, out);
}

/* The escapes at p, complete or wrong. */
PH_BODY const char *escapes(struct ph_decoder *d, const char *p, const char *end, char **to)
{
    char *o = *to;
    for (; p < end && *p == '='; o++) {
        uint8_t high = end - p > 2 ? ph__hex_digits[(uint8_t)p[1]] : 0;
        uint8_t low = high ? ph__hex_digits[(uint8_t)p[2]] : 0;
        if (low) {
            *o = (char)(high << 4 | (low & 15));
            p += 3;
        } else {
            d->errors++;
            *o = *p++;
        }
    }
    *to = o;
    return p;
}

/* One line without its end. With vectors, up to PH_VEC bytes are read before `most` and written
 * behind the result. */
PH_BODY char *line_text(struct ph_decoder *d, const char *p, const char *end, const char *most,
                        char *to)
{
    while ((p = escapes(d, p, end, &to)) < end) {
        size_t n;
        if (most - p >= PH_VEC) {
            ph_vec v = ph_vec_load(p);
            uint32_t equals = ph_vec_bits((ph_vec)(v == '='));
            memcpy(to, &v, sizeof v);
            n = equals ? (size_t)__builtin_ctz(equals) : PH_VEC;
            n = n < (size_t)(end - p) ? n : (size_t)(end - p);
        } else {
            const char *eq = memchr(p, '=', (size_t)(end - p));
            n = (size_t)((eq ? eq : end) - p);
            memcpy(to, p, n);
        }
        to += n;
        p += n;
    }
    return to;
}

/* Of a run of white space before a line end, how much is text because it is longer than what a
 * piecewise decoder can keep: the same rule, whichever way the input was cut. */
static size_t kept_blanks(size_t blanks, bool behind_equals)
{
    enum { KEPT = sizeof((struct ph_decoder *)NULL)->keep };
    size_t text = behind_equals ? KEPT - 1 : 0;
    blanks -= text;
    return text + (blanks ? (blanks - 1) / KEPT * KEPT : 0);
}

/* A whole line, up to and with its LF at nl. */
PH_BODY char *whole_line(struct ph_decoder *d, const char *p, const char *nl, const char *most,
                         char *to)
{
    const char *end = nl;
    while (end > p && is_blank(end[-1]))
        end--;
    size_t blanks = (size_t)(nl - end);
    bool equals = end > p && end[-1] == '=', soft = equals && blanks < sizeof d->keep;
    if (soft)
        return line_text(d, p, end - 1, most, to);
    if (blanks > 1)
        end += kept_blanks(blanks, equals);
    to = line_text(d, p, end, most, to);
    if (nl > p && nl[-1] == '\r')
        *to++ = '\r';
    *to++ = '\n';
    return to;
}

/* All whole lines of [*p, end). */
PH_BODY char *lines_body(struct ph_decoder *d, const char **p, const char *end, const char *most,
                         char *to)
{
    for (const char *nl; *p < end && (nl = memchr(*p, '\n', (size_t)(end - *p))); *p = nl + 1)
        to = whole_line(d, *p, nl, most, to);
    return to;
}

PH_WIDE static char *lines_wide(struct ph_decoder *d, const char **p, const char *end, char *to)
{
    return lines_body(d, p, end, end, to);
}

static char *lines_plain(struct ph_decoder *d, const char **p, const char *end, char *to)
{
    return lines_body(d, p, end, *p, to);
}

static void feed(struct ph_decoder *d, ph_str in, struct ph_buf *out, bool is_wide)
{
    const char *p = in.p, *end = in.p + in.n;
    while (d->held && p < end)
        one_byte(d, *p++, out);
    size_t room = (size_t)(end - p);
    is_wide = is_wide && out->n < out->max && out->max - out->n >= room + PH_VEC;
    char *to = ph_buf_reserve(out, room + (is_wide ? PH_VEC : 0));
    if (!to || p == end)
        return;
    ph_buf_commit(out, (size_t)((is_wide ? lines_wide : lines_plain)(d, &p, end, to) - to));
    while (p < end)
        one_byte(d, *p++, out);
}

void ph__qp_feed(struct ph_decoder *d, ph_str in, struct ph_buf *out)
{
    feed(d, in, out, ph_is_wide());
}

void ph__qp_feed_plain(struct ph_decoder *d, ph_str in, struct ph_buf *out)
{
    feed(d, in, out, false);
}

void ph__qp_end(struct ph_decoder *d, struct ph_buf *out)
{
    bool soft = d->held && d->keep[0] == '=' && (d->held == 1 || is_blank(d->keep[1]));
    bool escape = d->held && d->keep[0] == '=';
    if (escape && !soft) {
        d->errors++;
        flush_kept(d, out);
    }
    d->held = 0;
}

/* ---- encoding ---- */

enum {
    QP_LINE = 76,
    QP_BLOCK = 256, /* bytes taken at a time */
    QP_MOST = 6,    /* what one of them can become: "=\r\n=XX" */
    QP_BLOCK_ROOM = (QP_BLOCK + 1) * QP_MOST
};
static const char digits[] = "0123456789ABCDEF";

static char *room_for(struct ph_qp_encoder *e, unsigned n, char *to)
{
    if (e->col + n > QP_LINE - 1) {
        memcpy(to, "=\r\n", 3);
        to += 3;
        e->col = 0;
    }
    e->col += n;
    return to;
}

static char *put(struct ph_qp_encoder *e, char c, char *to)
{
    to = room_for(e, 1, to);
    *to = c;
    return to + 1;
}

static char *put_escaped(struct ph_qp_encoder *e, unsigned char c, char *to)
{
    to = room_for(e, 3, to);
    to[0] = '=';
    to[1] = digits[c >> 4];
    to[2] = digits[c & 15];
    return to + 3;
}

static char *put_space(struct ph_qp_encoder *e, bool escaped, char *to)
{
    if (e->space)
        to = escaped ? put_escaped(e, (unsigned char)e->space, to) : put(e, e->space, to);
    e->space = 0;
    return to;
}

static char *end_line(struct ph_qp_encoder *e, char *to)
{
    to = put_space(e, true, to);
    memcpy(to, "\r\n", 2);
    e->col = 0;
    return to + 2;
}

static bool is_plain(unsigned char c)
{
    return c > 32 && c < 127 && c != '=';
}

/* How many bytes from the front stand for themselves on this line: plain ones, and white space
 * with a plain one behind it. */
static size_t plain_run(ph_str s, unsigned room)
{
    size_t n = 0, most = s.n < room ? s.n : room;
    while (n < most) {
        unsigned char c = (unsigned char)s.p[n];
        bool blank = c == ' ' || c == '\t';
        if (!is_plain(c) && !(blank && n + 1 < s.n && is_plain((unsigned char)s.p[n + 1])))
            break;
        n++;
    }
    return n;
}

static char *encode(struct ph_qp_encoder *e, ph_str in, char *to)
{
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        bool second = e->after_cr && c == '\n';
        e->after_cr = c == '\r';
        if (second)
            continue;
        if (c == '\r' || c == '\n') {
            to = end_line(e, to);
            continue;
        }
        to = put_space(e, false, to);
        size_t run = e->col ? plain_run(ph_str_skip(in, i), QP_LINE - 1 - e->col) : 0;
        if (run) {
            memcpy(to, in.p + i, run);
            to += run;
            e->col += (unsigned)run;
            i += run - 1;
        } else if (c == ' ' || c == '\t')
            e->space = (char)c;
        else if (!is_plain(c) || (e->col == 0 && (c == '.' || c == 'F')))
            to = put_escaped(e, c, to);
        else
            to = put(e, (char)c, to);
    }
    return to;
}

void ph_qp_encoder_feed(struct ph_qp_encoder *e, ph_str in, struct ph_buf *out)
{
    char block[QP_BLOCK_ROOM];
    for (; in.n && !ph_buf_err(out); in = ph_str_skip(in, QP_BLOCK)) {
        struct ph_qp_encoder local = *e; /* that the compiler can keep in registers */
        char *to = encode(&local, ph_str_sub(in, 0, QP_BLOCK), block);
        *e = local;
        ph_buf_add(out, (ph_str){block, (size_t)(to - block)});
    }
}

void ph_qp_encoder_end(struct ph_qp_encoder *e, struct ph_buf *out)
{
    char last[QP_MOST];
    ph_buf_add(out, (ph_str){last, (size_t)(put_space(e, true, last) - last)});
    *e = (struct ph_qp_encoder){0};
}
