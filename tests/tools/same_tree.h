/*
 * same_tree.h - is what the piecewise parse made of a message the same as what the parse of the
 * whole made? For tests and fuzz targets.
 */
#ifndef PH_SAME_TREE_H
#define PH_SAME_TREE_H
#include <posthouse/mime.h>

static bool same_str(ph_str a, ph_str b)
{
    return !a.p == !b.p && ph_str_eq(a, b);
}

static bool same_params(const struct ph_param *a, const struct ph_param *b)
{
    for (; a && b; a = a->next, b = b->next)
        if (!same_str(a->name, b->name) || !same_str(a->value, b->value))
            return false;
    return !a && !b;
}

static bool same_part(const struct ph_part *a, const struct ph_part *b)
{
    const ph_str *const texts[][2] = {{&a->type, &b->type},
                                      {&a->subtype, &b->subtype},
                                      {&a->encoding_name, &b->encoding_name},
                                      {&a->id, &b->id},
                                      {&a->description, &b->description},
                                      {&a->md5, &b->md5},
                                      {&a->location, &b->location},
                                      {&a->language, &b->language},
                                      {&a->disposition, &b->disposition}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!same_str(*texts[i][0], *texts[i][1]))
            return false;
    return a->kind == b->kind && a->encoding == b->encoding && a->index == b->index &&
           a->depth == b->depth && a->lines == b->lines && a->header.at == b->header.at &&
           a->header.n == b->header.n && a->body.at == b->body.at && a->body.n == b->body.n &&
           ph_str_eq(a->head, b->head) && same_params(a->params, b->params) &&
           same_params(a->disposition_params, b->disposition_params) && !a->child == !b->child &&
           !a->next == !b->next &&
           (a->parent ? a->parent->index : 0) == (b->parent ? b->parent->index : 0);
}

static bool same_message(const struct ph_message *a, const struct ph_message *b)
{
    const struct ph_part *p = a->root, *q = b->root;
    const struct ph_defect *d = a->defects, *e = b->defects;
    if (a->part_count != b->part_count || a->defect_count != b->defect_count)
        return false;
    for (; p && q; p = ph_part_next(p), q = ph_part_next(q))
        if (!same_part(p, q))
            return false;
    for (; d && e; d = d->next, e = e->next)
        if (d->kind != e->kind || d->level != e->level || d->at != e->at)
            return false;
    return !p && !q && !d && !e;
}

/*
 * Parses `bytes` in pieces of `most` bytes at the most (whose lengths follow from `seed`; all
 * `most` long when it is 0), each a copy that is gone afterwards. NULL: no memory.
 */
static struct ph_message *parse_pieces(struct ph_arena *arena, ph_str bytes,
                                       const struct ph_mime_limits *limits, size_t most,
                                       uint32_t seed)
{
    struct ph_mime_parser *ps = ph_mime_parser_new(arena, limits);
    struct ph_message *m = NULL;
    bool random = seed != 0, ok = ps != NULL;
    char *piece = ph_resize(NULL, NULL, 0, most);
    while (ok && piece && bytes.n) {
        seed = seed * 1664525u + 1013904223u;
        ph_str cut = ph_str_sub(bytes, 0, random ? 1 + (seed >> 8) % most : most);
        for (size_t i = 0; i < cut.n; i++)
            piece[i] = cut.p[i];
        ok = ph_mime_parser_feed(ps, (ph_str){piece, cut.n}) == 0;
        for (size_t i = 0; i < cut.n; i++)
            piece[i] = '-';
        bytes = ph_str_skip(bytes, cut.n);
    }
    ph_free(NULL, piece, most);
    return ok && ph_mime_parser_end(ps, &m) == 0 ? m : NULL;
}
#endif
