/* Encoded words, writing: "=?utf-8?B?...?=" or "=?utf-8?Q?...?=", whichever is shorter. */
#include "ascii.h"
#include "b64.h"
#include "utf8.h"
#include "words.h"

enum {
    WORD_MOST = 75, /* RFC 2047 2 */
    LINE_MOST = 76,
    FRAME = 12, /* =?utf-8?B??= */
    UNFOLDABLE = 900
};

/* What may stand for itself in Q in every place an encoded word is allowed in. */
static bool is_q_plain(unsigned char c)
{
    return ph_is_alnum(c) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/';
}

static size_t q_len(unsigned char c)
{
    return c == ' ' || is_q_plain(c) ? 1 : 3;
}

static size_t q_len_all(ph_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += q_len((unsigned char)s.p[i]);
    return n;
}

static size_t b_len(size_t n)
{
    return (n + 2) / 3 * 4;
}

bool ph_words_needed(ph_str s)
{
    size_t run = 0;
    if (s.n && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        return true;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool space = c == ' ' || c == '\t';
        if ((c < 32 && !space) || c > 126 || (c == '=' && i + 1 < s.n && s.p[i + 1] == '?'))
            return true;
        run = space ? 0 : run + 1;
        if (run > UNFOLDABLE)
            return true;
    }
    return false;
}

/* How many bytes of whole characters fit into `room` characters of encoded text. What goes on in
 * another B word ends without padding where it can: some readers join the words before they
 * decode, and stop at the first '='. */
static size_t fitting(ph_str s, bool b, size_t room)
{
    size_t at = 0, used = 0, whole = 0;
    while (at < s.n) {
        size_t len = ph_utf8_step(ph_str_skip(s, at));
        if (len == 0)
            len = 1;
        used = b ? b_len(at + len) : used + q_len_all((ph_str){s.p + at, len});
        if (used > room)
            return b && whole ? whole : at;
        at += len;
        if (at % 3 == 0)
            whole = at;
    }
    return at;
}

static void add_q(struct ph_buf *out, ph_str s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == ' ') {
            ph_buf_addc(out, '_');
        } else if (is_q_plain(c)) {
            ph_buf_addc(out, (char)c);
        } else {
            const char three[3] = {'=', digits[c >> 4], digits[c & 15]};
            ph_buf_add(out, (ph_str){three, 3});
        }
    }
}

void ph_words_encode(struct ph_buf *out, ph_str s, unsigned *col)
{
    bool b = b_len(s.n) < q_len_all(s);
    while (s.n && !ph_buf_err(out)) {
        size_t room = *col + FRAME < LINE_MOST ? LINE_MOST - *col - FRAME : 0;
        if (room > WORD_MOST - FRAME)
            room = WORD_MOST - FRAME;
        size_t n = fitting(s, b, room);
        if (n == 0) { /* no room on this line; on a new one any character fits */
            ph_buf_add(out, PH_STR("\r\n "));
            *col = 1;
            continue;
        }
        size_t before = out->n;
        ph_buf_add(out, b ? PH_STR("=?utf-8?B?") : PH_STR("=?utf-8?Q?"));
        if (b)
            ph_b64_encode(out, (ph_str){s.p, n});
        else
            add_q(out, (ph_str){s.p, n});
        ph_buf_add(out, PH_STR("?="));
        *col += (unsigned)(out->n - before);
        s = ph_str_skip(s, n);
    }
}
