/* Pieces of structured header values: comments, quoted strings, white space. */
#include "ascii.h"
#include "mime_int.h"

bool ph__is_atext(char c)
{
    return (c & 0x80) || ph_is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

size_t ph__comment(ph_str s)
{
    size_t depth = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '(')
            depth++;
        else if (s.p[i] == ')' && --depth == 0)
            return i + 1;
    }
    return s.n;
}

size_t ph__quoted(ph_str s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i + 1;
    }
    return 0;
}

ph_str ph__skip_cfws(ph_str s)
{
    while (s.n) {
        char c = s.p[0];
        size_t n = c == ' ' || c == '\t' || c == '\r' || c == '\n' ? 1 : 0;
        if (c == '(')
            n = ph__comment(s);
        if (n == 0)
            break;
        s = ph_str_skip(s, n);
    }
    return s;
}

ph_str ph__without_brackets(ph_str s)
{
    if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
        return ph_str_sub(s, 1, s.n - 2);
    return s;
}
