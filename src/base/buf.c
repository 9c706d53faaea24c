/* Growing buffers, each born with its maximum; errors stick. */
#include <posthouse/base.h>
#include <stdio.h>
#include <string.h>

enum { BUF_FIRST = 64 };

void ph_buf_init(struct ph_buf *b, const struct ph_alloc *al, size_t max)
{
    *b = (struct ph_buf){.max = max, .al = al};
}

void ph_buf_done(struct ph_buf *b)
{
    ph_free(b->al, b->p, b->cap);
    b->p = NULL;
    b->n = b->cap = 0;
    b->err = 0;
}

void ph_buf_clear(struct ph_buf *b)
{
    b->n = 0;
    b->err = 0;
}

void ph_buf_shrink(struct ph_buf *b)
{
    if (b->n == 0 && b->cap)
        ph_buf_done(b);
}

/* One byte more than asked for is always there, for ph_buf_cstr. */
static bool grow(struct ph_buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap : BUF_FIRST;
    while (cap < need + 1)
        if (__builtin_mul_overflow(cap, 2, &cap))
            return false;
    if (cap > b->max + 1 && b->max < SIZE_MAX)
        cap = b->max + 1;
    char *p = ph_resize(b->al, b->p, b->cap, cap);
    if (!p)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

char *ph_buf_reserve(struct ph_buf *b, size_t n)
{
    size_t need;
    if (b->err)
        return NULL;
    if (__builtin_add_overflow(b->n, n, &need) || need > b->max) {
        b->err = -PH_ELIMIT;
        return NULL;
    }
    if (need + 1 > b->cap && !grow(b, need)) {
        b->err = -PH_ENOMEM;
        return NULL;
    }
    return b->p + b->n;
}

void ph_buf_commit(struct ph_buf *b, size_t n)
{
    if (!b->err)
        b->n += n;
}

void ph_buf_add(struct ph_buf *b, ph_str s)
{
    char *to = ph_buf_reserve(b, s.n);
    if (to && s.n) {
        memcpy(to, s.p, s.n);
        b->n += s.n;
    }
}

void ph_buf_addc(struct ph_buf *b, char c)
{
    char *to = ph_buf_reserve(b, 1);
    if (to) {
        *to = c;
        b->n++;
    }
}

void ph_buf_addv(struct ph_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    size_t room = b->cap > b->n ? b->cap - b->n : 0;
    int n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, ap);
    if (n >= 0 && (size_t)n >= room) {
        char *to = ph_buf_reserve(b, (size_t)n);
        if (to)
            vsnprintf(to, (size_t)n + 1, fmt, again);
    } else if (n >= 0 && !b->err && b->n + (size_t)n > b->max) {
        b->err = -PH_ELIMIT;
    }
    va_end(again);
    if (n < 0)
        b->err = -PH_EIO;
    ph_buf_commit(b, n > 0 ? (size_t)n : 0);
}

void ph_buf_addf(struct ph_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ph_buf_addv(b, fmt, ap);
    va_end(ap);
}

void ph_buf_addu(struct ph_buf *b, uint64_t decimal)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + decimal % 10);
    while (decimal /= 10);
    ph_buf_add(b, (ph_str){digits + at, sizeof digits - at});
}

void ph_buf_drop(struct ph_buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

int ph_buf_err(const struct ph_buf *b)
{
    return b->err;
}

ph_str ph_buf_str(const struct ph_buf *b)
{
    return (ph_str){b->p, b->n};
}

const char *ph_buf_cstr(struct ph_buf *b)
{
    if (!ph_buf_reserve(b, 0) || !b->p)
        return "";
    b->p[b->n] = 0;
    return b->p;
}
