/*
 * counted.h - included before everything else in the sources that test_linear counts: calls of
 * the C library that go over bytes count those, eight a step.
 */
#ifndef PH_COUNTED_H
#define PH_COUNTED_H
#include <string.h>

extern unsigned long counted_steps;

static inline __attribute__((unused)) void *counted_memchr(const void *p, int c, size_t n)
{
    const char *found = (memchr)(p, c, n);
    counted_steps += (found ? (size_t)(found - (const char *)p) : n) / 8;
    return (void *)found;
}

#define COUNTED(call, n) (counted_steps += (n) / 8, (call))
#define memchr(p, c, n) counted_memchr(p, c, n)
#define memcpy(to, from, n) COUNTED((memcpy)(to, from, n), n)
#define memmove(to, from, n) COUNTED((memmove)(to, from, n), n)
#define memset(to, c, n) COUNTED((memset)(to, c, n), n)
#define memcmp(a, b, n) COUNTED((memcmp)(a, b, n), n)

#endif
