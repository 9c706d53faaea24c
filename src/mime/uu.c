/*
 * Files that were put into a text by uuencode: "begin 644 name", lines of data, "end". A line of
 * data begins with its length, so "begin ..." is never one, and each line is looked at once.
 */
#include <string.h>

#include "mime_int.h"

/* Of "begin 644 name" the name; {NULL, 0} when the line is something else. */
static ph_str name_of(ph_str line)
{
    size_t digits = 0;
    if (!ph_str_has_prefix(line, PH_STR("begin ")))
        return (ph_str){0};
    ph_str rest = ph_str_skip(line, 6);
    while (digits < rest.n && rest.p[digits] >= '0' && rest.p[digits] <= '7')
        digits++;
    if (digits < 3 || digits > 4 || digits == rest.n || rest.p[digits] != ' ')
        return (ph_str){0};
    ph_str name = ph_str_trim(ph_str_skip(rest, digits));
    return name.n ? name : (ph_str){0};
}

/* At most as long as its first character says, a checksum behind it allowed; spaces at its end
 * may have been lost. */
static bool is_data(ph_str line)
{
    while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    for (size_t i = 0; i < line.n; i++)
        if (line.p[i] < ' ' || line.p[i] > '`')
            return false;
    size_t bytes = line.n ? (size_t)(line.p[0] - ' ') & 63 : 0;
    return line.n <= 1 + (bytes + 2) / 3 * 4 + 1;
}

/* The length of the file that begins at the front of s; 0 when it is none. *ret_rest is behind
 * what was looked at. */
static size_t file_length(ph_str s, size_t *ret_rest)
{
    size_t n = ph__line(s).n, first = n;
    while (n < s.n) {
        ph_str line = ph__line(ph_str_skip(s, n));
        *ret_rest = n;
        if (ph_str_eq(ph_str_trim(line), PH_STR("end")))
            return n > first ? n + line.n : 0;
        if (!is_data(line))
            return 0;
        n += line.n;
    }
    *ret_rest = n;
    return n > first ? n : 0; /* cut off: what there is of it */
}

bool ph__uu_next(ph_str text, size_t *at, struct ph__uu *ret)
{
    while (*at < text.n) {
        ph_str s = ph_str_skip(text, *at);
        if (*at > 0 || !ph_str_has_prefix(s, PH_STR("begin "))) {
            const char *hit = memmem(s.p, s.n, "\nbegin ", 7);
            *at = hit ? (size_t)(hit + 1 - text.p) : text.n;
            s = ph_str_skip(text, *at);
        }
        size_t seen = 0, n = 0;
        ph_str name = name_of(ph__line(s));
        if (name.p)
            n = file_length(s, &seen);
        if (n == 0) { /* the line break before the next "begin" must be seen again */
            *at += seen ? seen - 1 : 5 < s.n ? 5 : s.n;
            continue;
        }
        *ret = (struct ph__uu){.at = *at, .n = n, .name = name};
        *at += n - 1;
        return true;
    }
    return false;
}
