/*
 * grams.c - the short pieces that a text is indexed by.
 *
 * Scripts without spaces between words (from U+2E80 on: Han, kana, Hangul) are cut into single
 * characters and pairs, others into three characters within a word. A gram is a hash; that two
 * pieces may share one costs a look at a text, never a wrong answer. All grams of a substring are
 * grams of the whole, so that a letter that lacks one cannot hold it.
 */
#include "grow.h"
#include "sqlite_int.h"

#include <stdlib.h>

enum { WIDE_FROM = 0x2e80, WINDOW = 3 };

static int push(struct grams *g, ph_str piece)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < piece.n; i++)
        h = (h ^ (unsigned char)piece.p[i]) * 16777619u;
    uint32_t *v = ph_grow(g->v, g->n, &g->cap, sizeof *v);
    if (!v)
        return -PH_ENOMEM;
    g->v = v;
    g->v[g->n++] = h;
    return 0;
}

struct point {
    size_t at, n;
    bool wide, space;
};

/* Bytes that are no UTF-8 are characters of their own, the same in every text. */
static struct point point_at(ph_str text, size_t at)
{
    const unsigned char *p = (const unsigned char *)text.p + at;
    size_t left = text.n - at, n = p[0] < 0xc2 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < n; i++)
        if (i >= left || (p[i] & 0xc0) != 0x80)
            n = 1;
    bool wide = n == 4 || (n == 3 && ((p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6) >= WIDE_FROM);
    return (struct point){at, n, wide, n == 1 && p[0] <= ' '};
}

/* w: the last characters, the newest last. */
static int window(struct grams *g, ph_str text, const struct point w[WINDOW], size_t have)
{
    const struct point *last = &w[WINDOW - 1], *before = &w[WINDOW - 2], *first = &w[0];
    int r = last->wide ? push(g, ph_str_sub(text, last->at, last->n)) : 0;
    if (r == 0 && last->wide && have > 1 && before->wide)
        r = push(g, ph_str_sub(text, before->at, before->n + last->n));
    bool word = have > 2;
    for (size_t i = 0; word && i < WINDOW; i++)
        word = !w[i].wide && !w[i].space;
    if (r == 0 && word)
        r = push(g, ph_str_sub(text, first->at, first->n + before->n + last->n));
    return r;
}

int grams_add(struct grams *g, ph_str text)
{
    struct point w[WINDOW] = {0};
    int r = 0;
    size_t have = 0;
    for (size_t at = 0; r == 0 && at < text.n; at += w[WINDOW - 1].n) {
        w[0] = w[1];
        w[1] = w[2];
        w[2] = point_at(text, at);
        have++;
        r = window(g, text, w, have);
    }
    return r;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void grams_sort(struct grams *g)
{
    size_t n = 0;
    if (g->n > 0)
        qsort(g->v, g->n, sizeof *g->v, by_value);
    for (size_t i = 0; i < g->n; i++)
        if (i == 0 || g->v[i] != g->v[n - 1])
            g->v[n++] = g->v[i];
    g->n = n;
}

void grams_done(struct grams *g)
{
    free(g->v);
    *g = (struct grams){0};
}

void grams_print(const struct grams *g, const char *between, struct ph_buf *out)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < g->n; i++) {
        char word[8];
        for (int k = 0; k < 8; k++)
            word[k] = hex[g->v[i] >> (28 - 4 * k) & 15];
        if (i > 0)
            ph_buf_add(out, ph_str_c(between));
        ph_buf_add(out, (ph_str){word, sizeof word});
    }
}
