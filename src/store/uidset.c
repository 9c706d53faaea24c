/* uidset.c - sets of uids: ranges, sorted and merged as they come. */
#include "uidset.h"
#include "ascii.h"
#include "grow.h"

#include <stdlib.h>
#include <string.h>

void uidset_init(struct uidset *s)
{
    *s = (struct uidset){0};
}

void uidset_done(struct uidset *s)
{
    free(s->v);
    *s = (struct uidset){0};
}

static int grow(struct uidset *s)
{
    if (s->n >= UIDSET_MAX)
        return -PH_ELIMIT;
    struct uidrange *v = ph_grow(s->v, s->n, &s->cap, sizeof *v);
    if (!v)
        return -PH_ENOMEM;
    s->v = v;
    return 0;
}

/* The first range that ends at or above uid - 1: the one that a range from uid on may touch. */
static size_t lower(const struct uidset *s, uint32_t uid)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if ((uint64_t)s->v[mid].to + 1 < uid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Appends without looking: only for input that is sorted afterwards. */
static int push(struct uidset *s, uint32_t from, uint32_t to)
{
    int r = grow(s);
    if (r < 0)
        return r;
    s->v[s->n++] = (struct uidrange){from, to};
    return 0;
}

int uidset_add(struct uidset *s, uint32_t from, uint32_t to)
{
    if (s->n == 0 || from > s->v[s->n - 1].to) {
        if (s->n > 0 && from - 1 == s->v[s->n - 1].to) {
            s->v[s->n - 1].to = to;
            return 0;
        }
        return push(s, from, to);
    }
    size_t i = lower(s, from), j = i;
    while (j < s->n && s->v[j].from <= (uint64_t)to + 1)
        j++;
    if (i == j) {
        int r = grow(s);
        if (r < 0)
            return r;
        memmove(s->v + i + 1, s->v + i, (s->n - i) * sizeof *s->v);
        s->v[i] = (struct uidrange){from, to};
        s->n++;
        return 0;
    }
    if (from < s->v[i].from)
        s->v[i].from = from;
    s->v[i].to = s->v[j - 1].to > to ? s->v[j - 1].to : to;
    memmove(s->v + i + 1, s->v + j, (s->n - j) * sizeof *s->v);
    s->n -= j - i - 1;
    return 0;
}

static int by_from(const void *a, const void *b)
{
    const struct uidrange *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static void sort_and_merge(struct uidset *s)
{
    qsort(s->v, s->n, sizeof *s->v, by_from);
    size_t out = 0;
    for (size_t i = 1; i < s->n; i++) {
        if (s->v[i].from <= (uint64_t)s->v[out].to + 1) {
            if (s->v[i].to > s->v[out].to)
                s->v[out].to = s->v[i].to;
        } else {
            s->v[++out] = s->v[i];
        }
    }
    s->n = s->n ? out + 1 : 0;
}

static bool number(const char **p, const char *end, uint32_t *ret)
{
    uint64_t v = 0;
    const char *q = *p;
    while (q < end && ph_is_digit(*q) && v <= UINT32_MAX)
        v = v * 10 + (uint64_t)(*q++ - '0');
    if (q == *p || v == 0 || v > UINT32_MAX)
        return false;
    *p = q;
    *ret = (uint32_t)v;
    return true;
}

int uidset_parse(struct uidset *s, ph_str text)
{
    const char *p = text.p, *end = text.p + text.n;
    bool sorted = true;
    if (text.n == 0)
        return -PH_ESYNTAX;
    for (;;) {
        uint32_t a, b;
        if (!number(&p, end, &a))
            return -PH_ESYNTAX;
        b = a;
        if (p < end && *p == ':') {
            p++;
            if (!number(&p, end, &b))
                return -PH_ESYNTAX;
        }
        uint32_t from = a < b ? a : b, to = a < b ? b : a;
        if (sorted && s->n > 0 && from <= s->v[s->n - 1].to)
            sorted = false;
        int r = sorted ? uidset_add(s, from, to) : push(s, from, to);
        if (r < 0)
            return r;
        if (p == end)
            break;
        if (*p++ != ',')
            return -PH_ESYNTAX;
    }
    if (!sorted)
        sort_and_merge(s);
    return 0;
}

void uidset_print(const struct uidset *s, struct ph_buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        if (i > 0)
            ph_buf_addc(out, ',');
        ph_buf_addu(out, s->v[i].from);
        if (s->v[i].to != s->v[i].from) {
            ph_buf_addc(out, ':');
            ph_buf_addu(out, s->v[i].to);
        }
    }
}

bool uidset_has(const struct uidset *s, uint32_t uid)
{
    if (uid == 0)
        return false;
    size_t i = lower(s, uid);
    for (; i < s->n && s->v[i].from <= uid; i++)
        if (uid <= s->v[i].to)
            return true;
    return false;
}

uint64_t uidset_count(const struct uidset *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += (uint64_t)s->v[i].to - s->v[i].from + 1;
    return n;
}
