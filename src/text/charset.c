/*
 * Charsets to UTF-8. UTF-8, ASCII and the two Western sets are done here; the rest goes to the C
 * library's iconv, under the names that mail really uses. Only names in the table reach iconv, so
 * a sandboxed process that has called ph_charset_preload never opens a file for one.
 */
#include <posthouse/text.h>

#include <errno.h>
#include <iconv.h>

#include "charset.h"
#include "utf8.h"

enum { NAME_MOST = 40 };

/* Columns: name as mail has it (lower case), what to read it as; "" UTF-8 or a guess, "1252"
 * the Western set, "HZ" what is done here too. Several labels are read as their superset, as every
 * reader does. */
static const struct {
    ph_str label;
    const char *name;
} charsets[] = {
    {PH_STR_INIT("utf-8"), ""},
    {PH_STR_INIT("us-ascii"), ""},
    {PH_STR_INIT("ansi_x3.4-1968"), ""},
    {PH_STR_INIT("ascii"), ""},
    {PH_STR_INIT("utf8"), ""},
    {PH_STR_INIT("unicode-1-1-utf-8"), ""},
    {PH_STR_INIT("utf-8-mac"), ""},
    {PH_STR_INIT("unknown-8bit"), ""},
    {PH_STR_INIT("x-unknown"), ""},
    {PH_STR_INIT("default"), ""},
    {PH_STR_INIT("cp1252"), "1252"},
    {PH_STR_INIT("iso-8859-1"), "1252"},
    {PH_STR_INIT("iso8859-1"), "1252"},
    {PH_STR_INIT("iso_8859-1"), "1252"},
    {PH_STR_INIT("latin1"), "1252"},
    {PH_STR_INIT("windows-1252"), "1252"},
    {PH_STR_INIT("windows1252"), "1252"},
    {PH_STR_INIT("x-ansi"), "1252"},
    {PH_STR_INIT("big5"), "BIG5-HKSCS"},
    {PH_STR_INIT("big5-hkscs"), "BIG5-HKSCS"},
    {PH_STR_INIT("chinesebig5"), "BIG5-HKSCS"},
    {PH_STR_INIT("cn-big5"), "BIG5-HKSCS"},
    {PH_STR_INIT("cp1250"), "CP1250"},
    {PH_STR_INIT("cp1251"), "CP1251"},
    {PH_STR_INIT("cp437"), "CP437"},
    {PH_STR_INIT("cp-850"), "CP850"},
    {PH_STR_INIT("cp850"), "CP850"},
    {PH_STR_INIT("cp866"), "CP866"},
    {PH_STR_INIT("ibm850"), "CP850"},
    {PH_STR_INIT("ibm437"), "CP437"},
    {PH_STR_INIT("cp932"), "CP932"},
    {PH_STR_INIT("cp936"), "GB18030"},
    {PH_STR_INIT("cp949"), "UHC"},
    {PH_STR_INIT("cp950"), "BIG5-HKSCS"},
    {PH_STR_INIT("euc-cn"), "GB18030"},
    {PH_STR_INIT("euc-jp"), "EUC-JP-MS"},
    {PH_STR_INIT("eucjp"), "EUC-JP-MS"},
    {PH_STR_INIT("x-euc-jp"), "EUC-JP-MS"},
    {PH_STR_INIT("euc-kr"), "UHC"},
    {PH_STR_INIT("euc-tw"), "EUC-TW"},
    {PH_STR_INIT("gb18030"), "GB18030"},
    {PH_STR_INIT("gb2312"), "GB18030"},
    {PH_STR_INIT("gb2312-80"), "GB18030"},
    {PH_STR_INIT("gb_2312-80"), "GB18030"},
    {PH_STR_INIT("chinesegb2312"), "GB18030"},
    {PH_STR_INIT("gbk"), "GB18030"},
    {PH_STR_INIT("x-gbk"), "GB18030"},
    {PH_STR_INIT("hz-gb-2312"), "HZ"},
    {PH_STR_INIT("iso-2022-cn"), "ISO-2022-CN"},
    {PH_STR_INIT("iso-2022-jp"), "ISO-2022-JP-3"},
    {PH_STR_INIT("iso-2022-jp-1"), "ISO-2022-JP-2"},
    {PH_STR_INIT("iso-2022-jp-2"), "ISO-2022-JP-2"},
    {PH_STR_INIT("iso-2022-jp-3"), "ISO-2022-JP-3"},
    {PH_STR_INIT("iso-2022-jp-ms"), "ISO-2022-JP-3"},
    {PH_STR_INIT("iso-2022-kr"), "ISO-2022-KR"},
    {PH_STR_INIT("iso-8859-2"), "ISO-8859-2"},
    {PH_STR_INIT("latin2"), "ISO-8859-2"},
    {PH_STR_INIT("iso-8859-3"), "ISO-8859-3"},
    {PH_STR_INIT("iso-8859-4"), "ISO-8859-4"},
    {PH_STR_INIT("iso-8859-5"), "ISO-8859-5"},
    {PH_STR_INIT("iso-8859-6"), "ISO-8859-6"},
    {PH_STR_INIT("iso-8859-7"), "ISO-8859-7"},
    {PH_STR_INIT("iso-8859-8"), "ISO-8859-8"},
    {PH_STR_INIT("iso-8859-8-i"), "ISO-8859-8"},
    {PH_STR_INIT("iso-8859-9"), "ISO-8859-9"},
    {PH_STR_INIT("iso-8859-10"), "ISO-8859-10"},
    {PH_STR_INIT("iso-8859-11"), "TIS-620"},
    {PH_STR_INIT("iso-8859-13"), "ISO-8859-13"},
    {PH_STR_INIT("iso-8859-14"), "ISO-8859-14"},
    {PH_STR_INIT("iso-8859-15"), "ISO-8859-15"},
    {PH_STR_INIT("latin-9"), "ISO-8859-15"},
    {PH_STR_INIT("latin9"), "ISO-8859-15"},
    {PH_STR_INIT("iso-8859-16"), "ISO-8859-16"},
    {PH_STR_INIT("koi8-r"), "KOI8-R"},
    {PH_STR_INIT("koi8r"), "KOI8-R"},
    {PH_STR_INIT("koi8-u"), "KOI8-U"},
    {PH_STR_INIT("ks_c_5601-1987"), "UHC"},
    {PH_STR_INIT("ks_c_5601"), "UHC"},
    {PH_STR_INIT("ksc5601"), "UHC"},
    {PH_STR_INIT("ksc_5601"), "UHC"},
    {PH_STR_INIT("windows-949"), "UHC"},
    {PH_STR_INIT("macintosh"), "MACINTOSH"},
    {PH_STR_INIT("x-mac-roman"), "MACINTOSH"},
    {PH_STR_INIT("x-mac-cyrillic"), "MAC-CYRILLIC"},
    {PH_STR_INIT("ms_kanji"), "CP932"},
    {PH_STR_INIT("shift-jis"), "CP932"},
    {PH_STR_INIT("shift_jis"), "CP932"},
    {PH_STR_INIT("sjis"), "CP932"},
    {PH_STR_INIT("x-sjis"), "CP932"},
    {PH_STR_INIT("windows-31j"), "CP932"},
    {PH_STR_INIT("tis-620"), "TIS-620"},
    {PH_STR_INIT("windows-874"), "CP874"},
    {PH_STR_INIT("unicode-1-1-utf-7"), "UTF-7"},
    {PH_STR_INIT("utf-7"), "UTF-7"},
    {PH_STR_INIT("x-unicode-2-0-utf-7"), "UTF-7"},
    {PH_STR_INIT("utf-16"), "UTF-16"},
    {PH_STR_INIT("utf-16be"), "UTF-16BE"},
    {PH_STR_INIT("utf-16le"), "UTF-16LE"},
    {PH_STR_INIT("utf-32"), "UTF-32"},
    {PH_STR_INIT("viscii"), "VISCII"},
    {PH_STR_INIT("windows-1250"), "CP1250"},
    {PH_STR_INIT("windows-1251"), "CP1251"},
    {PH_STR_INIT("windows-1253"), "CP1253"},
    {PH_STR_INIT("windows-1254"), "CP1254"},
    {PH_STR_INIT("windows-1255"), "CP1255"},
    {PH_STR_INIT("windows-1256"), "CP1256"},
    {PH_STR_INIT("windows-1257"), "CP1257"},
    {PH_STR_INIT("windows-1258"), "CP1258"},
};

enum { CHARSETS = sizeof charsets / sizeof charsets[0] };

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

const char *ph__charset_name(ph_str label)
{
    label = ph_str_trim(label);
    while (label.n && (label.p[0] == '"' || label.p[0] == '\''))
        label = ph_str_skip(label, 1);
    while (label.n && (label.p[label.n - 1] == '"' || label.p[label.n - 1] == '\''))
        label.n--;
    if (label.n == 0 || label.n > NAME_MOST)
        return "";
    for (size_t i = 0; i < CHARSETS; i++)
        if (label.n == charsets[i].label.n && ph_str_ieq(label, charsets[i].label))
            return charsets[i].name;
    return NULL;
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

static int guessed(ph_str in, struct ph_buf *out)
{
    if (ph_utf8_is_valid(in))
        ph_buf_add(out, in);
    else
        add_western(out, in);
    return ph_buf_err(out);
}

/* An explicit UTF-8 label with a few bad bytes is UTF-8 with a few bad bytes. */
static int labelled_utf8(ph_str in, struct ph_buf *out)
{
    size_t good = ph_utf8_valid(in);
    if (good == in.n) {
        ph_buf_add(out, in);
        return ph_buf_err(out);
    }
    size_t bad = ph_utf8_add_repaired(out, in);
    int err = ph_buf_err(out);
    return err ? err : bad > INT32_MAX ? INT32_MAX : (int)bad;
}

int ph_charset_decode(ph_str charset, ph_str in, struct ph_buf *out)
{
    const char *name = ph__charset_name(charset);
    if (!name || !name[0])
        return ph_str_has_iprefix(ph_str_trim(charset), PH_STR("utf")) ? labelled_utf8(in, out)
                                                                       : guessed(in, out);
    if (name[0] == '1') {
        /* certain repair: multibyte UTF-8 sequences do not occur by chance in Western text */
        if (!ph_ascii_only(in) && ph_utf8_is_valid(in))
            ph_buf_add(out, in);
        else
            add_western(out, in);
        return ph_buf_err(out);
    }
    if (name[0] == 'H')
        return decode_hz(in, out);
    /* certain repair: 7-bit Japanese never has bytes above 127 without an escape */
    if (ph_str_has_prefix(ph_str_c(name), PH_STR("ISO-2022-JP")) && !ph_ascii_only(in) &&
        ph_str_chr(in, '\033') == PH_NPOS)
        name = "EUC-JP-MS";
    iconv_t cd = iconv_open("UTF-8", name);
    if (cd == (iconv_t)-1)
        return errno == ENOMEM ? -PH_ENOMEM : guessed(in, out);
    int rc = through_iconv(cd, in, out);
    iconv_close(cd);
    return rc;
}

void ph_charset_preload(void)
{
    /* An open descriptor keeps its module loaded; process-wide and never closed, on purpose. */
    static iconv_t open_ones[CHARSETS];
    for (size_t i = 0; i < CHARSETS; i++)
        if (!open_ones[i] && charsets[i].name[0] && charsets[i].name[0] != '1' &&
            charsets[i].name[0] != 'H')
            open_ones[i] = iconv_open("UTF-8", charsets[i].name);
}
