/*
 * Charsets to UTF-8. UTF-8, ASCII and the Western sets are done here; the rest goes to the C
 * library's iconv. Only names in charsets.def reach iconv, so a sandboxed process that has called
 * ph_charset_preload never opens a file for one.
 *
 * Labels are often wrong. One is overruled only where the bytes leave no doubt: a UTF-8 mark, valid
 * UTF-8 sequences, escape sequences of ISO 2022, a UTF-16 mark with zeros, no zeros in UTF-16,
 * 8-bit bytes in a 7-bit set.
 */
#include <posthouse/text.h>

#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "charset.h"
#include "utf8.h"

/* 0x80..0x9f of windows-1252; 0 is not assigned and read as the C1 control of Latin-1. */
static const uint16_t western[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

static void add_western(struct ph_buf *out, ph_str in)
{
    for (size_t i = 0; i < in.n && !ph_buf_err(out);) {
        size_t from = i;
        while (i < in.n && !(in.p[i] & 0x80))
            i++;
        ph_buf_add(out, (ph_str){in.p + from, i - from});
        for (; i < in.n && (in.p[i] & 0x80); i++) {
            unsigned char c = (unsigned char)in.p[i];
            ph_utf8_add(out, c < 0xa0 && western[c - 0x80] ? western[c - 0x80] : c);
        }
    }
}

/* Turns what iconv understands of `in` into UTF-8; a byte that it does not becomes U+FFFD. The
 * last call, without input, gives what a converter still holds back. */
static int through_iconv(iconv_t cd, ph_str in, struct ph_buf *out)
{
    enum { ROOM = 4096 };
    size_t bad = 0;
    char *from = (char *)(uintptr_t)in.p;
    size_t left = in.n;
    for (bool done = false; !done;) {
        size_t want = left < ROOM / 4 ? left * 4 + 16 : ROOM;
        char *to = ph_buf_reserve(out, want);
        if (!to)
            break;
        size_t room = want;
        bool last = left == 0;
        size_t rc = last ? iconv(cd, NULL, NULL, &to, &room) : iconv(cd, &from, &left, &to, &room);
        bool failed = rc == (size_t)-1 && errno != E2BIG;
        ph_buf_commit(out, want - room);
        done = last && (rc != (size_t)-1 || failed);
        if (failed && left) {
            ph_utf8_add(out, 0xfffd);
            bad++;
            from++;
            left--;
        }
    }
    int err = ph_buf_err(out);
    return err ? err : bad > INT32_MAX ? INT32_MAX : (int)bad;
}

/* HZ (RFC 1843), which the C library does not know, as the GB set it wraps: "~{" and "~}" put
 * the high bit on and off, "~~" is a tilde, "~" before a line end joins lines. */
static int hz_to_gb(ph_str in, struct ph_buf *gb)
{
    bool high = false;
    for (size_t i = 0; i < in.n; i++) {
        char next = i + 1 < in.n ? in.p[i + 1] : 0;
        if (in.p[i] == '~' && (next == '{' || next == '}' || next == '~' || next == '\n')) {
            high = next == '{' || (high && next != '}');
            if (next == '~')
                ph_buf_addc(gb, '~');
            i++;
        } else {
            high = high && in.p[i] != '\n'; /* RFC 1843 2: no run goes past a line end */
            ph_buf_addc(gb, (char)(high ? in.p[i] | 0x80 : in.p[i]));
        }
    }
    return ph_buf_err(gb);
}

static int decode_hz(ph_str in, struct ph_buf *out)
{
    struct ph_buf gb;
    ph_buf_init(&gb, out->al, SIZE_MAX / 2);
    int rc = hz_to_gb(in, &gb);
    if (rc == 0)
        rc = ph_charset_decode(PH_STR("gb18030"), ph_buf_str(&gb), out);
    ph_buf_done(&gb);
    return rc;
}

/* An explicit UTF-8 label with a few bad bytes is UTF-8 with a few bad bytes. */
static int as_utf8(ph_str in, struct ph_buf *out)
{
    size_t bad = ph_utf8_add_repaired(out, in);
    int err = ph_buf_err(out);
    return err ? err : bad > INT32_MAX ? INT32_MAX : (int)bad;
}

static int as_western(ph_str in, struct ph_buf *out)
{
    add_western(out, in);
    return ph_buf_err(out);
}

static int as_named(const char *name, ph_str in, struct ph_buf *out)
{
    iconv_t cd = iconv_open("UTF-8", name);
    if (cd == (iconv_t)-1)
        return errno == ENOMEM ? -PH_ENOMEM : as_western(in, out);
    int rc = through_iconv(cd, in, out);
    iconv_close(cd);
    return rc;
}

/* ---- labels that are certainly wrong ---- */

static bool has_nul(ph_str in)
{
    return ph_str_chr(in, 0) != PH_NPOS;
}

/* The set that escape sequences in a 7-bit text name (RFC 1468, 1557); NULL when there are none:
 * ESC does not stand in a text for anything else. */
static const char *shifted(ph_str in)
{
    if (ph_str_chr(in, '\033') == PH_NPOS)
        return NULL;
    if (ph_str_find(in, PH_STR("\033$)C")) != PH_NPOS)
        return "ISO-2022-KR";
    bool japanese = ph_str_find(in, PH_STR("\033$B")) != PH_NPOS ||
                    ph_str_find(in, PH_STR("\033$@")) != PH_NPOS;
    return japanese ? "ISO-2022-JP-3" : NULL;
}

/* UTF-16 without a mark is big-endian (RFC 2781 4.3), unless its zeros tell otherwise. */
static const char *byte_order(ph_str in)
{
    size_t zeros[2] = {0, 0};
    if (ph_str_has_prefix(in, PH_STR("\xff\xfe")) || ph_str_has_prefix(in, PH_STR("\xfe\xff")))
        return "UTF-16";
    for (size_t i = 0; i < in.n; i++)
        zeros[i % 2] += in.p[i] == 0;
    return zeros[1] > zeros[0] ? "UTF-16LE" : "UTF-16BE";
}

static bool is_marked_utf16(ph_str in)
{
    return in.n % 2 == 0 && has_nul(in) && strcmp(byte_order(in), "UTF-16") == 0;
}

/* Reads with `first`; where that leaves bytes unread and `second` leaves none, with `second`. */
static int first_that_fits(const char *first, const char *second, ph_str in, struct ph_buf *out)
{
    size_t from = out->n;
    int bad = as_named(first, in, out);
    if (bad <= 0)
        return bad;
    size_t end = out->n;
    int worse = second ? as_named(second, in, out) : ph_utf8_is_valid(in) ? as_utf8(in, out) : bad;
    if (worse < 0)
        return worse;
    if (worse == 0 && out->n > end)
        memmove(out->p + from, out->p + end, out->n - end);
    out->n = worse == 0 ? from + (out->n - end) : end;
    return worse == 0 ? 0 : bad;
}

/* Valid UTF-8 that is not only ASCII. In the sets of other scripts a short text may look so by
 * chance (the Ukrainian "No" in windows-1251 is CD B3, the Chinese for "Unicom" in GB2312 C1 AA CD
 * A8), but not many characters in a row. */
static bool is_certainly_utf8(enum ph__charset_kind kind, ph_str in)
{
    static const size_t enough[] = {[PH__CHARSET_SINGLE] = 4, [PH__CHARSET_MULTI] = 8};
    size_t chars = 0;
    if (kind == PH__CHARSET_UTF8)
        return true;
    size_t most = kind <= PH__CHARSET_MULTI && enough[kind] ? enough[kind] : 1;
    for (size_t i = 0; i < in.n && chars < most; i++)
        chars += (uint8_t)in.p[i] >= 0xc0;
    return chars >= most && ph_utf8_is_valid(in);
}

/* Sets in which all text is ASCII below 128. */
static int as_bytes(const struct ph__charset *c, ph_str in, struct ph_buf *out)
{
    enum ph__charset_kind kind = c ? c->kind : PH__CHARSET_GUESS;
    const char *escaped;
    if (is_marked_utf16(in))
        return as_named("UTF-16", in, out);
    if (ph_ascii_only(in) && (escaped = shifted(in)))
        return as_named(escaped, in, out);
    if (is_certainly_utf8(kind, in))
        return as_utf8(in, out);
    return kind == PH__CHARSET_SINGLE ? as_named(c->name, in, out) : as_western(in, out);
}

bool ph_charset_known(ph_str charset)
{
    return ph__charset_find(charset) != NULL;
}

int ph_charset_decode(ph_str charset, ph_str in, struct ph_buf *out)
{
    const struct ph__charset *c = ph__charset_find(charset);
    enum ph__charset_kind kind = c ? c->kind : PH__CHARSET_GUESS;
    if (ph_str_has_prefix(in, PH_STR("\xef\xbb\xbf")))
        return as_utf8(kind == PH__CHARSET_UTF8 ? in : ph_str_skip(in, 3), out);
    switch (kind) {
    case PH__CHARSET_MULTI:
        return is_certainly_utf8(kind, in) ? as_utf8(in, out)
                                           : first_that_fits(c->name, NULL, in, out);
    case PH__CHARSET_HZ:
        return decode_hz(in, out);
    case PH__CHARSET_WIDE:
        if (!has_nul(in) && ph_utf8_is_valid(in) && strcmp(byte_order(in), "UTF-16") != 0)
            return as_utf8(in, out);
        return as_named(strcmp(c->name, "UTF-16") == 0 ? byte_order(in) : c->name, in, out);
    case PH__CHARSET_SHIFTED: /* it never has bytes above 127: then it is what it wraps */
        if (!ph_ascii_only(in) && ph_str_has_prefix(ph_str_c(c->name), PH_STR("ISO-2022-JP")) &&
            ph_str_chr(in, '\033') == PH_NPOS)
            return first_that_fits("EUC-JP-MS", "CP932", in, out);
        return as_named(c->name, in, out);
    default:
        return as_bytes(c, in, out);
    }
}
