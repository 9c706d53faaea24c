/* Allocators: the C library's, and the calls every room goes through. */
#include "grow.h"
#include <posthouse/base.h>
#include <stdlib.h>
#include <string.h>

static void *std_resize(void *ctx, void *p, size_t old, size_t now)
{
    (void)ctx;
    (void)old;
    if (now)
        return realloc(p, now);
    free(p);
    return NULL;
}

const struct ph_alloc *ph_alloc_std(void)
{
    static const struct ph_alloc std = {.resize = std_resize};
    return &std;
}

void *ph_resize(const struct ph_alloc *al, void *p, size_t old, size_t now)
{
    if (!al)
        al = ph_alloc_std();
    return al->resize(al->ctx, p, old, now);
}

void *ph_new0(const struct ph_alloc *al, size_t n)
{
    void *p = ph_resize(al, NULL, 0, n);
    return p ? memset(p, 0, n) : NULL;
}

void ph_free(const struct ph_alloc *al, void *p, size_t n)
{
    if (p)
        ph_resize(al, p, n, 0);
}

static size_t more_than(size_t cap)
{
    enum { FIRST = 4 };
    return cap ? 2 * cap : FIRST;
}

void *ph_grow(void *v, size_t n, size_t *cap, size_t size)
{
    size_t octets;
    if (n < *cap)
        return v;
    void *at = __builtin_mul_overflow(more_than(*cap), size, &octets) ? NULL : realloc(v, octets);
    if (at)
        *cap = more_than(*cap);
    return at;
}

void *ph_grow_in(struct ph_arena *a, void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    void *at = ph_arena_array(a, more_than(*cap), size);
    if (at && n)
        memcpy(at, v, n * size);
    if (at)
        *cap = more_than(*cap);
    return at;
}
