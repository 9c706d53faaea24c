/* grow.h - arrays that grow one by one. */
#ifndef PH_GROW_H
#define PH_GROW_H
#include <posthouse/base.h>

/* Room for one more element of `size` octets behind the n that are there: v, or where it lies now
 * (twice as long, *cap elements). NULL: out of memory, and v stays as it was. In memory of malloc;
 * or in an arena, which keeps the old ones too. */
PH_MUST_CHECK void *ph_grow(void *v, size_t n, size_t *cap, size_t size);
PH_MUST_CHECK void *ph_grow_in(struct ph_arena *a, void *v, size_t n, size_t *cap, size_t size);

#endif
