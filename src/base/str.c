/* Slices: borrowed bytes with their length. */
#include "ascii.h"
#include <posthouse/base.h>
#include <string.h>

static bool equal_ignoring_case(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ph_lower(a[i]) != ph_lower(b[i]))
            return false;
    return true;
}

ph_str ph_str_c(const char *cstr)
{
    return (ph_str){cstr, cstr ? strlen(cstr) : 0};
}

bool ph_str_eq(ph_str a, ph_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool ph_str_ieq(ph_str a, ph_str b)
{
    return a.n == b.n && equal_ignoring_case(a.p, b.p, a.n);
}

int ph_str_cmp(ph_str a, ph_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

bool ph_str_has_prefix(ph_str s, ph_str prefix)
{
    return s.n >= prefix.n && ph_str_eq((ph_str){s.p, prefix.n}, prefix);
}

bool ph_str_has_iprefix(ph_str s, ph_str prefix)
{
    return s.n >= prefix.n && ph_str_ieq((ph_str){s.p, prefix.n}, prefix);
}

bool ph_str_has_suffix(ph_str s, ph_str suffix)
{
    return s.n >= suffix.n && ph_str_eq(ph_str_skip(s, s.n - suffix.n), suffix);
}

ph_str ph_str_skip(ph_str s, size_t n)
{
    if (n > s.n)
        n = s.n;
    return n ? (ph_str){s.p + n, s.n - n} : s;
}

ph_str ph_str_sub(ph_str s, size_t from, size_t n)
{
    s = ph_str_skip(s, from);
    return (ph_str){s.p, n < s.n ? n : s.n};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

ph_str ph_str_trim(ph_str s)
{
    while (s.n && is_blank(s.p[0]))
        s = ph_str_skip(s, 1);
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

size_t ph_str_find(ph_str s, ph_str what)
{
    if (what.n == 0)
        return 0;
    for (size_t at = 0; s.n - at >= what.n;) {
        const char *hit = memchr(s.p + at, what.p[0], s.n - at - what.n + 1);
        if (!hit)
            break;
        if (memcmp(hit, what.p, what.n) == 0)
            return (size_t)(hit - s.p);
        at = (size_t)(hit - s.p) + 1;
        if (at > s.n)
            break;
    }
    return PH_NPOS;
}

size_t ph_str_ifind(ph_str s, ph_str what)
{
    for (size_t at = 0; at + what.n <= s.n; at++)
        if (equal_ignoring_case(s.p + at, what.p, what.n))
            return at;
    return PH_NPOS;
}

size_t ph_str_chr(ph_str s, char c)
{
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;
    return hit ? (size_t)(hit - s.p) : PH_NPOS;
}

size_t ph_str_rchr(ph_str s, char c)
{
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == c)
            return i - 1;
    return PH_NPOS;
}

bool ph_str_token(ph_str *rest, char sep, ph_str *ret_token)
{
    if (rest->n == 0)
        return false;
    size_t at = ph_str_chr(*rest, sep);
    *ret_token = (ph_str){rest->p, at == PH_NPOS ? rest->n : at};
    *rest = ph_str_skip(*rest, at == PH_NPOS ? rest->n : at + 1);
    return true;
}

bool ph_str_secret_eq(ph_str a, ph_str b)
{
    if (a.n != b.n)
        return false;
    volatile unsigned char diff = 0;
    for (size_t i = 0; i < a.n; i++)
        diff = (unsigned char)(diff | (a.p[i] ^ b.p[i]));
    return diff == 0;
}

bool ph_str_u64(ph_str s, uint64_t max, uint64_t *ret_value)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v) || v > max)
            return false;
    }
    *ret_value = v;
    return true;
}

void ph_wipe(void *p, size_t n)
{
    volatile unsigned char *at = p;
    while (n--)
        *at++ = 0;
}
