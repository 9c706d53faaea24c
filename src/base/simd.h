/*
 * simd.h - passes over bytes with the compiler's portable vectors, compiled twice from one body:
 * for the least processor of the architecture, and for the one that is probably there.
 *
 *   PH_BODY int body(...)  { ... vectors ... }
 *   PH_WIDE static int wide(...) { return body(...); }
 *   int work(...)          { return ph_is_wide() ? wide(...) : body(...); }
 *
 * Elsewhere than on x86-64, and with PH_NARROW (for tests), only the first is used.
 */
#ifndef PH_SIMD_H
#define PH_SIMD_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PH_BODY static inline __attribute__((always_inline))

#if defined(__x86_64__) && !defined(PH_NARROW)
#define PH_WIDE __attribute__((target("avx2")))
static inline bool ph_is_wide(void)
{
    return __builtin_cpu_supports("avx2");
}
#else
#define PH_WIDE
static inline bool ph_is_wide(void)
{
    return false;
}
#endif

/* Vectors never cross a call that is not inlined, so the warning about how they would be passed
 * says nothing. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef uint8_t ph_vec __attribute__((vector_size(32)));
typedef uint64_t ph_vec64 __attribute__((vector_size(32)));

enum { PH_VEC = (int)sizeof(ph_vec) };

PH_BODY ph_vec ph_vec_load(const void *p)
{
    ph_vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

PH_BODY bool ph_vec_any(ph_vec v)
{
    ph_vec64 w = (ph_vec64)v;
    return ((w[0] | w[1]) | (w[2] | w[3])) != 0;
}

/* One bit for each byte of a comparison, the first byte the lowest. Little-endian machines. */
PH_BODY uint32_t ph_vec_bits(ph_vec v)
{
    const uint64_t one_each = 0x8040201008040201, sum = 0x0101010101010101;
    ph_vec64 w = (ph_vec64)v & one_each;
    return (uint32_t)((w[0] * sum >> 56) | (w[1] * sum >> 56) << 8 | (w[2] * sum >> 56) << 16 |
                      (w[3] * sum >> 56) << 24);
}

#endif
