/* Bump allocator for one unit of work; chunks in a stack, newest first. */
#include <posthouse/base.h>
#include <stdio.h>
#include <string.h>

struct chunk {
    struct chunk *older;
    size_t cap, used;
    _Alignas(max_align_t) char mem[];
};

/* The first chunk, head included, is of a size that malloc keeps at hand: most arenas never have
 * another. */
enum {
    CHUNK_FIRST = 1024 - sizeof(struct chunk),
    CHUNK_MOST = 256 * 1024,
    ALIGN = _Alignof(max_align_t)
};

struct ph_arena {
    const struct ph_alloc *al;
    struct chunk *top;
    size_t max, total;
};

struct ph_arena *ph_arena_new(const struct ph_alloc *al, size_t max)
{
    struct ph_arena *a = ph_new0(al, sizeof *a);
    if (a) {
        a->al = al;
        a->max = max;
    }
    return a;
}

static void pop(struct ph_arena *a)
{
    struct chunk *c = a->top;
    a->top = c->older;
    ph_free(a->al, c, sizeof *c + c->cap);
}

struct ph_arena *ph_arena_free(struct ph_arena *a)
{
    if (a) {
        while (a->top)
            pop(a);
        ph_free(a->al, a, sizeof *a);
    }
    return NULL;
}

static bool push(struct ph_arena *a, size_t need)
{
    size_t cap = a->top ? a->top->cap * 2 : CHUNK_FIRST;
    if (cap > CHUNK_MOST)
        cap = CHUNK_MOST;
    if (cap < need)
        cap = need;
    struct chunk *c = ph_resize(a->al, NULL, 0, sizeof *c + cap);
    if (!c)
        return false;
    *c = (struct chunk){.older = a->top, .cap = cap};
    a->top = c;
    return true;
}

void *ph_arena_get(struct ph_arena *a, size_t n)
{
    size_t need, total;
    if (__builtin_add_overflow(n ? n : 1, (size_t)ALIGN - 1, &need))
        return NULL;
    need &= ~((size_t)ALIGN - 1);
    if (__builtin_add_overflow(a->total, need, &total) || total > a->max)
        return NULL;
    if ((!a->top || a->top->cap - a->top->used < need) && !push(a, need))
        return NULL;
    void *p = a->top->mem + a->top->used;
    a->top->used += need;
    a->total = total;
    return memset(p, 0, need);
}

void *ph_arena_array(struct ph_arena *a, size_t count, size_t size)
{
    size_t n;
    return __builtin_mul_overflow(count, size, &n) ? NULL : ph_arena_get(a, n);
}

char *ph_arena_cstr(struct ph_arena *a, ph_str s)
{
    char *p = s.n < SIZE_MAX ? ph_arena_get(a, s.n + 1) : NULL;
    if (p && s.n)
        memcpy(p, s.p, s.n);
    return p;
}

ph_str ph_arena_copy(struct ph_arena *a, ph_str s)
{
    const char *p = ph_arena_cstr(a, s);
    return (ph_str){p, p ? s.n : 0};
}

ph_str ph_arena_printf(struct ph_arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n < 0 ? NULL : ph_arena_get(a, (size_t)n + 1);
    if (p)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return (ph_str){p, p ? (size_t)n : 0};
}

struct ph_mark ph_arena_mark(struct ph_arena *a)
{
    return (struct ph_mark){a->top, a->top ? a->top->used : 0, a->total};
}

void ph_arena_back(struct ph_arena *a, struct ph_mark m)
{
    while (a->top && a->top != m.chunk)
        pop(a);
    if (a->top)
        a->top->used = m.used;
    a->total = m.total;
}

size_t ph_arena_used(const struct ph_arena *a)
{
    return a->total;
}

size_t ph_arena_room(const struct ph_arena *a)
{
    return a->max > a->total ? a->max - a->total : 0;
}
