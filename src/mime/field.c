/* Header fields: lines, unfolding, looking up. */
#include <string.h>

#include "mime_int.h"
#include "utf8.h"
#include "words.h"

enum { N = 1 }; /* may stand in a field name: 33..126 without the colon (RFC 5322 2.2) */

static const uint8_t in_name[256] = {
    ['!'] = N, ['"'] = N, ['#'] = N,  ['$'] = N, ['%'] = N, ['&'] = N, ['\''] = N, ['('] = N,
    [')'] = N, ['*'] = N, ['+'] = N,  [','] = N, ['-'] = N, ['.'] = N, ['/'] = N,  ['0'] = N,
    ['1'] = N, ['2'] = N, ['3'] = N,  ['4'] = N, ['5'] = N, ['6'] = N, ['7'] = N,  ['8'] = N,
    ['9'] = N, [';'] = N, ['<'] = N,  ['='] = N, ['>'] = N, ['?'] = N, ['@'] = N,  ['A'] = N,
    ['B'] = N, ['C'] = N, ['D'] = N,  ['E'] = N, ['F'] = N, ['G'] = N, ['H'] = N,  ['I'] = N,
    ['J'] = N, ['K'] = N, ['L'] = N,  ['M'] = N, ['N'] = N, ['O'] = N, ['P'] = N,  ['Q'] = N,
    ['R'] = N, ['S'] = N, ['T'] = N,  ['U'] = N, ['V'] = N, ['W'] = N, ['X'] = N,  ['Y'] = N,
    ['Z'] = N, ['['] = N, ['\\'] = N, [']'] = N, ['^'] = N, ['_'] = N, ['`'] = N,  ['a'] = N,
    ['b'] = N, ['c'] = N, ['d'] = N,  ['e'] = N, ['f'] = N, ['g'] = N, ['h'] = N,  ['i'] = N,
    ['j'] = N, ['k'] = N, ['l'] = N,  ['m'] = N, ['n'] = N, ['o'] = N, ['p'] = N,  ['q'] = N,
    ['r'] = N, ['s'] = N, ['t'] = N,  ['u'] = N, ['v'] = N, ['w'] = N, ['x'] = N,  ['y'] = N,
    ['z'] = N, ['{'] = N, ['|'] = N,  ['}'] = N, ['~'] = N,
};

enum ph__line ph__line_kind(ph_str line, size_t *ret_name, size_t *ret_value)
{
    size_t n = 0;
    line = ph_str_sub(line, 0, PH_MIME_LINE);
    if (line.n == 0 || line.p[0] == '\n' || (line.p[0] == '\r' && line.n == 2 && line.p[1] == '\n'))
        return PH__LINE_END;
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return PH__LINE_FOLDED;
    while (n < line.n && in_name[(uint8_t)line.p[n]])
        n++;
    size_t colon = n;
    while (colon < line.n && (line.p[colon] == ' ' || line.p[colon] == '\t'))
        colon++;
    if (colon < line.n && line.p[colon] == ':') {
        *ret_name = n;
        *ret_value = colon + 1;
        return PH__LINE_FIELD;
    }
    bool mbox =
        ph_str_has_prefix(line, PH_STR("From ")) || ph_str_has_prefix(line, PH_STR(">From "));
    return mbox ? PH__LINE_MBOX : PH__LINE_OTHER;
}

/* The length of the field at the front of s: its line and the folded lines behind it. */
static size_t with_folds(ph_str s, size_t first)
{
    size_t n = first;
    while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t'))
        n += ph__line(ph_str_skip(s, n)).n;
    return n;
}

bool ph_field_next(ph_str *rest, struct ph_field *ret)
{
    while (rest->n) {
        size_t name, value;
        ph_str line = ph__line(*rest);
        enum ph__line kind = ph__line_kind(line, &name, &value);
        if (kind == PH__LINE_END)
            break;
        size_t n = with_folds(*rest, line.n);
        ph_str all = {rest->p, n};
        *rest = ph_str_skip(*rest, n);
        if (kind != PH__LINE_FIELD)
            continue;
        *ret = (struct ph_field){{all.p, name}, ph_str_skip(all, value), all};
        if (ret->value.n && ret->value.p[ret->value.n - 1] == '\n')
            ret->value.n--;
        if (ret->value.n && ret->value.p[ret->value.n - 1] == '\r')
            ret->value.n--;
        return true;
    }
    *rest = (ph_str){rest->p, 0};
    return false;
}

bool ph_field_find(ph_str head, ph_str name, size_t n, struct ph_field *ret)
{
    struct ph_field f;
    while (ph_field_next(&head, &f))
        if (f.name.n == name.n && ph_str_ieq(f.name, name) && n-- == 0) {
            *ret = f;
            return true;
        }
    return false;
}

ph_str ph_message_head(ph_str bytes)
{
    size_t name, value, n = 0;
    while (n < bytes.n) {
        ph_str line = ph__line(ph_str_skip(bytes, n));
        enum ph__line kind = ph__line_kind(line, &name, &value);
        if (kind == PH__LINE_OTHER || (kind == PH__LINE_MBOX && n > 0))
            break;
        n += line.n;
        if (kind == PH__LINE_END)
            break;
    }
    return (ph_str){bytes.p, n};
}

bool ph__is_clean(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == 0)
            return false;
    return true;
}

char *ph__clean(char *to, ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != 0)
            *to++ = s.p[i];
    return to;
}

int ph_field_unfold(struct ph_arena *arena, ph_str raw, ph_str *ret)
{
    raw = ph_str_trim(raw);
    if (ph__is_clean(raw)) {
        *ret = raw;
        return 0;
    }
    char *p = ph_arena_get(arena, raw.n);
    if (!p)
        return -PH_ENOMEM;
    *ret = ph_str_trim((ph_str){p, (size_t)(ph__clean(p, raw) - p)});
    return 0;
}

/* Into the arena, unless it is fit to be shown as it is. */
static int decoded(struct ph_arena *arena, ph_str raw, ph_str charset, ph_str *ret)
{
    if (ph__is_clean(raw) && ph_str_find(raw, PH_STR("=?")) == PH_NPOS && ph_utf8_is_valid(raw)) {
        *ret = raw;
        return 0;
    }
    struct ph_buf text;
    ph_buf_init(&text, NULL, SIZE_MAX / 2);
    ph_words_decode_in(&text, raw, charset);
    int rc = ph_buf_err(&text);
    ph_str kept = rc ? (ph_str){0} : ph_arena_copy(arena, ph_buf_str(&text));
    ph_buf_done(&text);
    if (rc || !kept.p)
        return -PH_ENOMEM;
    *ret = kept;
    return 0;
}

int ph__text(struct ph_arena *arena, ph_str raw, ph_str *ret)
{
    return decoded(arena, raw, PH_STR("windows-1252"), ret);
}

int ph_field_text(struct ph_arena *arena, ph_str raw, ph_str *ret)
{
    return ph__text(arena, ph_str_trim(raw), ret);
}

int ph_field_text_in(struct ph_arena *arena, ph_str raw, ph_str charset, ph_str *ret)
{
    return decoded(arena, ph_str_trim(raw), charset.n ? charset : PH_STR("windows-1252"), ret);
}
