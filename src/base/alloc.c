/* Allocators: the C library's, and the calls every room goes through. */
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
