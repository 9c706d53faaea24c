/*
 * The passes over all bytes of a message: 64 a step with the compiler's portable vectors, plain
 * loops for what is left. Counting keeps one byte counter a lane and empties them before they
 * can overflow.
 */
#include "mime_int.h"

#include <string.h>

typedef uint8_t vec __attribute__((vector_size(16)));
typedef uint64_t wide __attribute__((vector_size(16)));

enum { STEP = 4 * sizeof(vec), ROUNDS = 63 }; /* 63 steps of 4 stay below 256 */

static inline vec load(const char *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline bool any(vec v)
{
    wide w = (wide)v;
    return (w[0] | w[1]) != 0;
}

static uint64_t lane_sum(vec v)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof v; i++)
        sum += v[i];
    return sum;
}

const char *ph__find_dashes_plain(const char *p, const char *end, uint64_t *lines)
{
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
        ++*lines;
        if (end - p > 2 && p[1] == '-' && p[2] == '-')
            return p;
        p++;
    }
    return NULL;
}

const char *ph__find_dashes(const char *p, const char *end, uint64_t *lines)
{
    while (end - p >= STEP + 2) {
        vec count = {0}, hit = {0};
        for (int i = 0; i < ROUNDS && end - p >= STEP + 2; i++, p += STEP) {
            vec lf[4];
            for (int k = 0; k < 4; k++) {
                const char *at = p + k * (int)sizeof(vec);
                lf[k] = (vec)(load(at) == '\n');
                hit |= lf[k] & (vec)(load(at + 1) == '-') & (vec)(load(at + 2) == '-');
            }
            if (any(hit))
                break;
            count -= (lf[0] + lf[1]) + (lf[2] + lf[3]);
        }
        *lines += lane_sum(count);
        if (any(hit))
            return ph__find_dashes_plain(p, p + STEP + 2, lines);
    }
    return ph__find_dashes_plain(p, end, lines);
}

struct ph__survey ph__survey_plain(ph_str s)
{
    struct ph__survey found = {0};
    for (size_t i = 0; i < s.n; i++) {
        found.bare_lf |= s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r');
        found.bare_cr |= s.p[i] == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n');
        found.nul |= s.p[i] == 0;
    }
    return found;
}

struct ph__survey ph__survey_bytes(ph_str s)
{
    vec bare_cr = {0}, bare_lf = {0}, nul = {0};
    size_t i = 0;
    for (; i + sizeof(vec) + 1 <= s.n; i += sizeof(vec)) {
        vec a = load(s.p + i), b = load(s.p + i + 1);
        vec cr = (vec)(a == '\r'), lf = (vec)(b == '\n');
        bare_cr |= cr & ~lf;
        bare_lf |= lf & ~cr;
        nul |= (vec)(a == 0);
    }
    struct ph__survey found = ph__survey_plain(ph_str_skip(s, i));
    if (i && i < s.n && s.p[i] == '\n' && s.p[i - 1] == '\r')
        found.bare_lf = any(bare_lf) || ph__survey_plain(ph_str_skip(s, i + 1)).bare_lf;
    found.bare_cr |= any(bare_cr);
    found.bare_lf |= any(bare_lf) || (s.n && s.p[0] == '\n');
    found.nul |= any(nul);
    return found;
}
