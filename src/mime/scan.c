/*
 * The passes over all bytes of a message: vectors for most of it, plain loops for what is left.
 * Counting keeps one byte counter a lane and empties them before they can overflow.
 */
#include "mime_int.h"

#include <string.h>

#include "simd.h"

enum { STEP = 4 * PH_VEC, ROUNDS = 63 }; /* 63 steps of 4 stay below 256 */

PH_BODY uint64_t lane_sum(ph_vec v)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof v; i++)
        sum += v[i];
    return sum;
}

/* ---- line ends ---- */

static uint64_t count_plain(const char *p, const char *end)
{
    uint64_t n = 0;
    for (; p < end; p++)
        n += *p == '\n';
    return n;
}

PH_BODY uint64_t count_body(const char *p, const char *end)
{
    uint64_t lines = 0;
    while (end - p >= STEP) {
        ph_vec count = {0};
        for (int i = 0; i < ROUNDS && end - p >= STEP; i++, p += STEP)
            for (int k = 0; k < 4; k++)
                count -= (ph_vec)(ph_vec_load(p + k * PH_VEC) == '\n');
        lines += lane_sum(count);
    }
    return lines + count_plain(p, end);
}

PH_WIDE static uint64_t count_wide(const char *p, const char *end)
{
    return count_body(p, end);
}

uint64_t ph__count_lines(const char *p, const char *end)
{
    return ph_is_wide() ? count_wide(p, end) : count_body(p, end);
}

/* ---- line ends with "--" behind them ---- */

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

PH_BODY const char *find_body(const char *p, const char *end, uint64_t *lines)
{
    while (end - p >= STEP + 2) {
        ph_vec count = {0}, hit = {0};
        for (int i = 0; i < ROUNDS && end - p >= STEP + 2; i++, p += STEP) {
            ph_vec lf[4];
            for (int k = 0; k < 4; k++) {
                const char *at = p + k * PH_VEC;
                lf[k] = (ph_vec)(ph_vec_load(at) == '\n');
                hit |= lf[k] & (ph_vec)(ph_vec_load(at + 1) == '-') &
                       (ph_vec)(ph_vec_load(at + 2) == '-');
            }
            if (ph_vec_any(hit))
                break;
            count -= (lf[0] + lf[1]) + (lf[2] + lf[3]);
        }
        *lines += lane_sum(count);
        if (ph_vec_any(hit))
            return ph__find_dashes_plain(p, p + STEP + 2, lines);
    }
    return ph__find_dashes_plain(p, end, lines);
}

PH_WIDE static const char *find_wide(const char *p, const char *end, uint64_t *lines)
{
    return find_body(p, end, lines);
}

const char *ph__find_dashes(const char *p, const char *end, uint64_t *lines)
{
    return ph_is_wide() ? find_wide(p, end, lines) : find_body(p, end, lines);
}

/* ---- bytes that should not be there ---- */

unsigned ph__odd_plain(ph_str s)
{
    unsigned odd = 0;
    for (size_t i = 0; i < s.n; i++)
        odd |= s.p[i] == 0 ? PH__ODD_NUL : 0;
    for (size_t i = 0; i + 1 < s.n; i++) {
        odd |= s.p[i] == '\r' && s.p[i + 1] != '\n' ? PH__ODD_CR : 0;
        odd |= s.p[i] != '\r' && s.p[i + 1] == '\n' ? PH__ODD_LF : 0;
    }
    return odd;
}

PH_BODY unsigned odd_body(ph_str s)
{
    ph_vec bare_cr = {0}, bare_lf = {0}, nul = {0};
    size_t i = 0;
    for (; i + PH_VEC + 1 <= s.n; i += PH_VEC) {
        ph_vec a = ph_vec_load(s.p + i), b = ph_vec_load(s.p + i + 1);
        ph_vec cr = (ph_vec)(a == '\r'), lf = (ph_vec)(b == '\n');
        bare_cr |= cr & ~lf;
        bare_lf |= lf & ~cr;
        nul |= (ph_vec)(a == 0);
    }
    return ph__odd_plain(ph_str_skip(s, i)) | (ph_vec_any(bare_cr) ? PH__ODD_CR : 0) |
           (ph_vec_any(bare_lf) ? PH__ODD_LF : 0) | (ph_vec_any(nul) ? PH__ODD_NUL : 0);
}

PH_WIDE static unsigned odd_wide(ph_str s)
{
    return odd_body(s);
}

unsigned ph__odd_bytes(ph_str s)
{
    return ph_is_wide() ? odd_wide(s) : odd_body(s);
}
