/* failing.h - an allocator whose (left + 1)th allocation and all behind it fail; `live` counts what
 * is not yet freed. */
#ifndef PH_TEST_FAILING_H
#define PH_TEST_FAILING_H
#include <posthouse/base.h>
#include <stdlib.h>

struct failing {
    long left, live;
};

static inline void *failing_resize(void *ctx, void *p, size_t old, size_t now)
{
    struct failing *f = ctx;
    (void)old;
    if (now == 0) {
        f->live -= p != NULL;
        free(p);
        return NULL;
    }
    if (f->left-- <= 0)
        return NULL;
    f->live += p == NULL;
    return realloc(p, now);
}

#endif
