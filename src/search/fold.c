/* fold.c - i;unicode-casemap (RFC 5051). */
#include "search.h"
#include "utf8.h"

#include <string.h>
#include <utf8proc.h>

enum { PIECES = 24 }; /* the longest compatibility decomposition has 18 characters (U+FDFA) */

/* Han ideographs and Hangul syllables fold to themselves: most text of three languages. */
static bool is_plain(uint32_t u)
{
    return (u >= 0x3400 && u <= 0x9fff) || (u >= 0xac00 && u <= 0xd7a3);
}

static void fold_point(uint32_t u, struct ph_buf *out)
{
    utf8proc_int32_t piece[PIECES];
    int class = 0;
    utf8proc_int32_t title = utf8proc_totitle((utf8proc_int32_t)u);
    utf8proc_ssize_t n =
        utf8proc_decompose_char(title, piece, PIECES, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &class);
    if (n < 1 || n > PIECES) {
        ph_utf8_add(out, (uint32_t)title);
        return;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++)
        ph_utf8_add(out, (uint32_t)utf8proc_totitle(piece[i]));
}

void ph_search_fold(ph_str in, struct ph_buf *out)
{
    for (size_t i = 0; i < in.n;) {
        size_t from = i;
        while (i < in.n && (unsigned char)in.p[i] < 0x80)
            i++;
        char *at = i > from ? ph_buf_reserve(out, i - from) : NULL;
        if (i > from && !at)
            return;
        for (size_t k = from; k < i; k++) {
            char c = in.p[k];
            at[k - from] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        }
        ph_buf_commit(out, i - from);
        if (i == in.n)
            return;
        size_t len = ph_utf8_step(ph_str_skip(in, i));
        uint32_t u = len ? ph_utf8_point(in.p + i, len) : 0;
        if (len == 0 || is_plain(u)) {
            len = len ? len : 1;
            ph_buf_add(out, ph_str_sub(in, i, len));
        } else {
            fold_point(u, out);
        }
        i += len;
    }
}

bool ph_search_holds(ph_str text, ph_str what)
{
    return what.n == 0 || (what.n <= text.n && memmem(text.p, text.n, what.p, what.n));
}
