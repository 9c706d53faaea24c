/* Parameters of Content-Type and Content-Disposition (RFC 2045 5.1), and RFC 2231. */
#include <string.h>

#include "codec.h"
#include "mime_int.h"
#include "words.h"

enum {
    TWICE_CHECKED = 16, /* parameters that a new name is compared with */
    PIECES = 500        /* of one RFC 2231 value */
};

/* Without escapes (of a quoted string), CR, LF and NUL; borrowed when nothing was taken out. */
static int cleaned(struct ph_arena *arena, ph_str s, bool escapes, ph_str *ret)
{
    if (ph__is_clean(s) && (!escapes || ph_str_chr(s, '\\') == PH_NPOS)) {
        *ret = s;
        return 0;
    }
    char *p = ph_arena_get(arena, s.n), *to = p;
    if (!p)
        return -PH_ENOMEM;
    for (size_t i = 0; i < s.n; i++) {
        if (escapes && s.p[i] == '\\' && i + 1 < s.n)
            i++;
        if (s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != 0)
            *to++ = s.p[i];
    }
    *ret = (ph_str){p, (size_t)(to - p)};
    return 0;
}

/* An unquoted value: up to ';', without a comment behind it. Spaces inside are tolerated, since
 * file names are often written so. */
static ph_str bare_value(ph_str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] != ';' &&
           !(s.p[n] == '(' && n && (s.p[n - 1] == ' ' || s.p[n - 1] == '\t')))
        n++;
    s.n = n;
    return ph_str_trim(s);
}

static int add_param(struct ph_arena *arena, struct ph__params *list, ph_str name, ph_str raw,
                     bool escapes)
{
    struct ph_param *p = PH_ARENA_NEW(arena, struct ph_param);
    if (!p || cleaned(arena, raw, escapes, &p->value))
        return -PH_ENOMEM;
    p->name = name;
    int looked = 0;
    for (const struct ph_param *q = list->first; q && looked < TWICE_CHECKED; q = q->next, looked++)
        list->doubled |= ph_str_ieq(q->name, name);
    *list->last = p;
    list->last = &p->next;
    return 0;
}

static ph_str param_name(ph_str s)
{
    size_t n = 0;
    while (n < s.n && (uint8_t)s.p[n] > ' ' && s.p[n] != '=' && s.p[n] != ';' && s.p[n] != '"')
        n++;
    return (ph_str){s.p, n};
}

static ph_str to_semicolon(ph_str s, struct ph__params *list)
{
    s = ph__skip_cfws(s);
    size_t at = ph_str_chr(s, ';');
    list->malformed |= at == PH_NPOS ? s.n > 0 : at > 0;
    return ph_str_skip(s, at == PH_NPOS ? s.n : at);
}

int ph__params_parse(struct ph_arena *arena, ph_str s, struct ph__params *list)
{
    list->last = &list->first;
    for (s = to_semicolon(s, list); s.n; s = to_semicolon(s, list)) {
        s = ph__skip_cfws(ph_str_skip(s, 1));
        ph_str name = param_name(s);
        ph_str after = ph__skip_cfws(ph_str_skip(s, name.n));
        if (name.n == 0 || after.n == 0 || after.p[0] != '=') {
            list->malformed |= s.n && s.p[0] != ';';
            continue;
        }
        s = ph__skip_cfws(ph_str_skip(after, 1));
        bool quote = s.n && s.p[0] == '"' && !list->no_quotes;
        size_t quoted = quote ? ph__quoted(s) : 0;
        ph_str value = quoted ? ph_str_sub(s, 1, quoted - 2) : bare_value(s);
        if (!quoted && value.n && value.p[0] == '"') { /* a quote that is never closed */
            list->malformed = list->no_quotes = true;
            value = ph_str_skip(value, 1);
        }
        if (add_param(arena, list, name, value, quoted > 0))
            return -PH_ENOMEM;
        s = quoted ? ph_str_skip(s, quoted) : ph_str_skip(s, (size_t)(value.p - s.p) + value.n);
    }
    return 0;
}

ph_str ph__param_raw(const struct ph_param *list, ph_str name)
{
    for (; list; list = list->next)
        if (ph_str_ieq(list->name, name))
            return list->value.p ? list->value : PH_STR("");
    return (ph_str){0};
}

/* ---- RFC 2231 ---- */

static void add_percent(struct ph_buf *out, ph_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%' && i + 2 < s.n && ph__hex(s.p[i + 1]) >= 0 && ph__hex(s.p[i + 2]) >= 0) {
            c = (char)(ph__hex(s.p[i + 1]) << 4 | ph__hex(s.p[i + 2]));
            i += 2;
        }
        ph_buf_addc(out, c);
    }
}

/* Cuts "charset'language'" off the front of an extended value. */
static ph_str cut_charset(ph_str *value)
{
    size_t one = ph_str_chr(*value, '\'');
    ph_str rest = ph_str_skip(*value, one == PH_NPOS ? value->n : one + 1);
    size_t two = ph_str_chr(rest, '\'');
    if (one == PH_NPOS || two == PH_NPOS)
        return (ph_str){0};
    ph_str charset = {value->p, one};
    *value = ph_str_skip(rest, two + 1);
    return charset;
}

/* Is this "name*", "name*N" or "name*N*"? The number or -1 for "name*", -2 for neither. */
static int piece_number(ph_str full, ph_str name, bool *ret_extended)
{
    uint64_t number;
    if (full.n <= name.n || full.p[name.n] != '*' || !ph_str_has_iprefix(full, name))
        return -2;
    ph_str rest = ph_str_skip(full, name.n + 1);
    *ret_extended = true;
    if (rest.n == 0)
        return -1;
    *ret_extended = rest.p[rest.n - 1] == '*';
    rest.n -= *ret_extended;
    return ph_str_u64(rest, PIECES, &number) ? (int)number : -2;
}

/* The first parameter that is piece `want`. */
static const struct ph_param *find_piece(const struct ph_param *p, ph_str name, int want)
{
    bool is_extended;
    while (p && piece_number(p->name, name, &is_extended) != want)
        p = p->next;
    return p;
}

static int keep(struct ph_arena *arena, ph_str charset, struct ph_buf *raw, ph_str *ret)
{
    struct ph_buf text;
    ph_buf_init(&text, NULL, SIZE_MAX / 2);
    int rc = ph_buf_err(raw) ? ph_buf_err(raw) : ph_charset_decode(charset, ph_buf_str(raw), &text);
    ph_str kept = rc < 0 ? (ph_str){0} : ph_arena_copy(arena, ph_buf_str(&text));
    ph_buf_done(&text);
    ph_buf_done(raw);
    if (!kept.p)
        return -PH_ENOMEM;
    *ret = kept;
    return 0;
}

static void add_piece(struct ph_buf *raw, const struct ph_param *p, ph_str *charset)
{
    ph_str value = p->value;
    if (p->name.p[p->name.n - 1] != '*') {
        ph_buf_add(raw, value);
        return;
    }
    if (charset)
        *charset = cut_charset(&value);
    add_percent(raw, value);
}

/* The pieces 0, 1, ... as far as there is each of them; they may stand in any order. */
static void join_pieces(struct ph_buf *raw, const struct ph_param *list, ph_str name,
                        ph_str *charset)
{
    const struct ph_param *pieces[PIECES] = {0};
    bool is_extended;
    for (const struct ph_param *p = list; p; p = p->next) {
        int n = piece_number(p->name, name, &is_extended);
        if (n >= 0 && n < PIECES && !pieces[n])
            pieces[n] = p;
    }
    for (int n = 0; n < PIECES && pieces[n]; n++)
        add_piece(raw, pieces[n], n ? NULL : charset);
}

int ph_param_get(struct ph_arena *arena, const struct ph_param *list, ph_str name, ph_str *ret)
{
    struct ph_buf raw;
    ph_str charset = {0};
    const struct ph_param *whole = find_piece(list, name, -1);
    ph_buf_init(&raw, NULL, SIZE_MAX / 2);
    if (whole)
        add_piece(&raw, whole, &charset);
    else if (find_piece(list, name, 0))
        join_pieces(&raw, list, name, &charset);
    else {
        ph_str plain = ph__param_raw(list, name);
        if (plain.p)
            return ph__text(arena, plain, ret);
        *ret = plain;
        return 0;
    }
    return keep(arena, charset, &raw, ret);
}
