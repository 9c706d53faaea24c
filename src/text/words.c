/* Encoded words, reading. */
#include <posthouse/text.h>

#include <string.h>

#include "codec.h"
#include "utf8.h"
#include "words.h"

struct word {
    ph_str charset, text;
    char encoding; /* 'b' or 'q' */
    size_t n;      /* length of it all */
};

/* The bytes of consecutive words of one charset wait here, so that a character may be split. */
struct state {
    struct ph_buf *out;
    struct ph_buf bytes;
    ph_str charset;
    ph_str fallback; /* charset of bytes outside words that are not UTF-8 */
};

static size_t token_end(ph_str s, size_t at)
{
    while (at < s.n && s.p[at] > ' ' && s.p[at] != '?' && s.p[at] != '=' && s.p[at] != 127)
        at++;
    return at;
}

/* s begins with "=?". Each piece ends at the next '?', so that the search is linear. */
static bool read_word(ph_str s, struct word *ret)
{
    size_t set = token_end(s, 2);
    if (set == 2 || set + 3 >= s.n || s.p[set] != '?' || s.p[set + 2] != '?')
        return false;
    char enc = (char)(s.p[set + 1] | 0x20);
    if (enc != 'b' && enc != 'q')
        return false;
    ph_str text = ph_str_skip(s, set + 3);
    text.n = ph_str_chr(text, '?');
    if (text.n == PH_NPOS || set + 3 + text.n + 1 >= s.n || text.p[text.n + 1] != '=')
        return false;
    ph_str charset = ph_str_sub(s, 2, set - 2);
    size_t star = ph_str_chr(charset, '*');
    *ret = (struct word){.charset = {charset.p, star == PH_NPOS ? charset.n : star},
                         .text = text,
                         .encoding = enc,
                         .n = set + 3 + text.n + 2};
    return true;
}

static void flush(struct state *st)
{
    if (st->bytes.n) {
        struct ph_buf clean;
        ph_buf_init(&clean, st->out->al, SIZE_MAX / 2);
        int rc = ph_charset_decode(st->charset, ph_buf_str(&st->bytes), &clean);
        if (rc < 0)
            st->out->err = rc;
        for (size_t i = 0; i < clean.n; i++) /* a decoded line end must not become one */
            if (clean.p[i] == '\r' || clean.p[i] == '\n' || clean.p[i] == 0)
                clean.p[i] = ' ';
        ph_buf_add(st->out, ph_buf_str(&clean));
        ph_buf_done(&clean);
    }
    ph_buf_clear(&st->bytes);
}

static void add_q(struct ph_buf *out, ph_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '=' && i + 2 < text.n && ph__hex(text.p[i + 1]) >= 0 &&
            ph__hex(text.p[i + 2]) >= 0) {
            c = (char)(ph__hex(text.p[i + 1]) << 4 | ph__hex(text.p[i + 2]));
            i += 2;
        } else if (c == '_') {
            c = ' ';
        } else if (c == '\r' || c == '\n') {
            continue;
        }
        ph_buf_addc(out, c);
    }
}

static void add_word(struct state *st, const struct word *w)
{
    if (!ph_str_ieq(w->charset, st->charset))
        flush(st);
    st->charset = w->charset;
    if (w->encoding == 'q') {
        add_q(&st->bytes, w->text);
    } else {
        struct ph_decoder d;
        ph_decoder_init(&d, PH_ENC_BASE64);
        ph_decoder_feed(&d, w->text, &st->bytes);
        ph_decoder_end(&d, &st->bytes);
    }
}

/* Text outside words: a run at a time between the bytes that are dropped. */
static void add_plain(struct state *st, ph_str s)
{
    flush(st);
    bool utf8 = ph_utf8_is_valid(s);
    while (s.n) {
        size_t n = 0;
        while (n < s.n && s.p[n] != '\r' && s.p[n] != '\n' && s.p[n] != 0)
            n++;
        ph_str run = {s.p, n};
        if (utf8)
            ph_buf_add(st->out, run);
        else if (ph_charset_decode(st->fallback, run, st->out) == -PH_ENOMEM)
            st->out->err = -PH_ENOMEM;
        s = ph_str_skip(s, n);
        while (s.n && (s.p[0] == '\r' || s.p[0] == '\n' || s.p[0] == 0))
            s = ph_str_skip(s, 1);
    }
}

static bool only_space(ph_str s)
{
    return ph_str_trim(s).n == 0;
}

void ph_words_decode(struct ph_buf *out, ph_str raw)
{
    ph_words_decode_in(out, raw, PH_STR("windows-1252"));
}

void ph_words_decode_in(struct ph_buf *out, ph_str raw, ph_str fallback)
{
    struct state st = {.out = out, .fallback = fallback};
    ph_buf_init(&st.bytes, out->al, SIZE_MAX / 2);
    ph_str plain = {raw.p, 0}; /* not yet written text before the place looked at */
    bool after_word = false;
    for (size_t at = 0; at < raw.n;) {
        const char *eq = memchr(raw.p + at, '=', raw.n - at);
        size_t hit = eq ? (size_t)(eq - raw.p) : raw.n;
        struct word w;
        plain.n = (size_t)(raw.p + hit - plain.p);
        if (hit + 1 < raw.n && raw.p[hit + 1] == '?' && read_word(ph_str_skip(raw, hit), &w)) {
            if (plain.n && !(after_word && only_space(plain)))
                add_plain(&st, plain);
            add_word(&st, &w);
            after_word = true;
            at = hit + w.n;
            plain = (ph_str){raw.p + at, 0};
        } else {
            at = hit + 1;
        }
    }
    plain.n = raw.n ? (size_t)(raw.p + raw.n - plain.p) : 0;
    if (plain.n)
        add_plain(&st, plain);
    flush(&st);
    if (ph_buf_err(&st.bytes))
        out->err = ph_buf_err(&st.bytes);
    ph_buf_done(&st.bytes);
}
