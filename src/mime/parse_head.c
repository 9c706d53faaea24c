/*
 * The header of a part, line by line, and the ranges it sets. A field is taken when the line
 * behind it shows that it does not go on. See parse.c for the states.
 */
#include <string.h>

#include "parse_int.h"

enum { HEAD_FIRST = 1024 };

void ph__head_begin(struct ph_mime_parser *ps)
{
    struct ph__head *h = &ps->head;
    bool room = ps->is_pushed && h->cap > h->n;
    const char *p = !ps->is_pushed ? ps->at : room ? h->p + h->n : NULL;
    *h = (struct ph__head){.p = p, .cap = room ? h->cap - h->n : 0};
    ps->state = PH__HEAD;
}

/* Counts bytes of the header, as far as they are kept, and copies those that will go away.
 * Headers stand one behind the other in a block of the arena; one that is full is left. */
static int keep(struct ph_mime_parser *ps, ph_str s)
{
    struct ph__head *h = &ps->head;
    s = ph_str_sub(s, 0, ps->lim.header - h->n);
    if (ps->is_pushed && s.n > h->cap - h->n) {
        size_t cap = HEAD_FIRST;
        while (cap < h->n + s.n)
            cap *= 2;
        char *p = ph_arena_get(ps->arena, cap);
        if (!p)
            return -PH_ENOMEM;
        if (h->n)
            memcpy(p, h->p, h->n);
        h->p = p;
        h->cap = cap;
    }
    if (ps->is_pushed && s.n)
        memcpy((char *)h->p + h->n, s.p, s.n);
    h->n += s.n;
    return 0;
}

static void content_defects(struct ph_mime_parser *ps)
{
    static const struct {
        unsigned bit;
        enum ph_defect_kind kind;
    } rows[] = {
        {PH__FIELD_TWICE, PH_DEFECT_FIELD_TWICE},
        {PH__TYPE_SYNTAX, PH_DEFECT_TYPE_SYNTAX},
        {PH__PARAM_SYNTAX, PH_DEFECT_PARAM_SYNTAX},
        {PH__PARAM_TWICE, PH_DEFECT_PARAM_TWICE},
        {PH__ENCODING_UNKNOWN, PH_DEFECT_ENCODING_UNKNOWN},
    };
    struct ph__head *h = &ps->head;
    for (size_t i = 0; h->content.defects && i < sizeof rows / sizeof rows[0]; i++)
        if (h->content.defects & rows[i].bit)
            ph__defect(ps, rows[i].kind, ps->cur->header.at + h->field);
    h->content.defects = 0;
}

static int end_field(struct ph_mime_parser *ps)
{
    struct ph__head *h = &ps->head;
    if (!h->in_field)
        return 0;
    h->in_field = false;
    if (h->value > h->n || h->name_n == 0 || (h->p[h->field] | 0x20) != 'c')
        return 0;
    ph_str raw = {h->p + h->value, h->n - h->value};
    if (ps->is_pushed) { /* the block may be left behind yet */
        raw = ph_arena_copy(ps->arena, raw);
        if (!raw.p)
            return -PH_ENOMEM;
    }
    int rc = ph__content_field(ps->arena, ps->cur, &h->content,
                               (ph_str){h->p + h->field, h->name_n}, raw);
    content_defects(ps);
    return rc;
}

static int end_head(struct ph_mime_parser *ps, bool is_ended)
{
    struct ph_part *p = ps->cur;
    int rc = end_field(ps);
    if (rc)
        return rc;
    p->header.n = ph__offset(ps, ps->at) - p->header.at;
    p->body.at = p->header.at + p->header.n;
    p->lines = ps->lines;
    p->head = (ph_str){ps->head.n ? ps->head.p : "", ps->head.n};
    if (!is_ended)
        ph__defect(ps, PH_DEFECT_HEADER_NO_END, p->body.at);
    if (p->header.n > p->head.n)
        ph__defect(ps, PH_DEFECT_HEADER_LIMIT, p->header.at + p->head.n);
    ps->state = PH__BODY;
    return ph__part_read(ps);
}

/* A line that is no field: true when the header goes on behind it. */
static bool goes_on(struct ph_mime_parser *ps, enum ph__line kind)
{
    uint64_t at = ph__offset(ps, ps->at);
    bool at_top = at == ps->cur->header.at;
    if (at_top && kind == PH__LINE_FOLDED)
        ph__defect(ps, PH_DEFECT_HEADER_FIRST_FOLDED, at);
    else if (at_top && kind == PH__LINE_MBOX)
        ph__defect(ps, PH_DEFECT_HEADER_MBOX_FROM, at);
    else if (kind != PH__LINE_FOLDED)
        ph__defect(ps, PH_DEFECT_HEADER_BAD_LINE, at);
    return kind == PH__LINE_FOLDED || (at_top && kind == PH__LINE_MBOX);
}

static int pass(struct ph_mime_parser *ps, ph_str line)
{
    ph__pass_line(ps, line);
    ps->state = line.p[line.n - 1] == '\n' ? PH__HEAD : PH__HEAD_LINE;
    return keep(ps, line);
}

int ph__head_step(struct ph_mime_parser *ps)
{
    struct ph__look line;
    struct ph__head *h = &ps->head;
    size_t name, value;
    bool closing, near_miss;
    if (!ph__look_at_line(ps, &line))
        return PH__NEED_MORE;
    if (line.s.n == 0)
        return end_head(ps, false);
    if (ps->open_count && ph__is_dashes(line.s) &&
        ph__match_boundary(ps, &line, &closing, &near_miss) >= 0)
        return end_head(ps, false);
    enum ph__line kind = ph__line_kind(line.s, &name, &value);
    if (kind == PH__LINE_FOLDED && h->in_field)
        return pass(ps, line.s);
    if (end_field(ps))
        return -PH_ENOMEM;
    if (kind == PH__LINE_END) {
        int rc = pass(ps, line.s);
        return rc ? rc : end_head(ps, true);
    }
    if (kind == PH__LINE_FIELD) {
        h->in_field = true;
        h->field = h->n;
        h->name_n = name;
        h->value = h->n + value;
        if (line.s.p[name] != ':')
            ph__defect(ps, PH_DEFECT_HEADER_SPACE_COLON, ph__offset(ps, ps->at));
    } else if (!goes_on(ps, kind)) {
        return end_head(ps, false);
    }
    return pass(ps, line.s);
}

int ph__head_line_step(struct ph_mime_parser *ps)
{
    ph_str rest = {ps->at, (size_t)(ps->end - ps->at)};
    ph_str line = ph__line(rest);
    if (line.n == 0 && !ps->is_last)
        return PH__NEED_MORE;
    if (line.n == 0) {
        ps->state = PH__HEAD;
        return PH__GO_ON;
    }
    return pass(ps, line);
}
