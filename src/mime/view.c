/*
 * Which part is what to a reader: the letter to read, its other views, what is attached.
 *
 * The lists of ph_view grow in document order. Inside an alternative each list takes what it can
 * show; an alternative that gave nothing to one list lends it what it gave to the other (RFC 8621
 * 4.1.4).
 */
#include "view.h"

#include "mime_int.h"

static bool is_attached(const struct ph_part *p)
{
    return ph_str_ieq(p->disposition, PH_STR("attachment"));
}

/* Has the part a file name, in any spelling of RFC 2231? */
static bool is_named(const struct ph_part *p)
{
    for (const struct ph_param *q = p->disposition_params; q; q = q->next)
        if (ph_str_has_iprefix(q->name, PH_STR("filename")))
            return true;
    for (const struct ph_param *q = p->params; q; q = q->next)
        if (ph_str_ieq(q->name, PH_STR("name")) || ph_str_has_iprefix(q->name, PH_STR("name*")))
            return true;
    return false;
}

/* Is this the part of a multipart/related that the others belong to (RFC 2387 3.2)? */
static bool is_related_root(const struct ph_part *p)
{
    ph_str start = ph__param_raw(p->parent->params, PH_STR("start"));
    if (start.n && p->id.n && ph_str_eq(ph__without_brackets(start), ph__without_brackets(p->id)))
        return true;
    return p->index == 1;
}

static bool is_alternative(const struct ph_part *p)
{
    return ph_part_is(p, "multipart", "alternative");
}

/* A text to read. What claims to be a multipart without having parts is one too. */
static bool is_text_leaf(const struct ph_part *p)
{
    if (p->kind != PH_PART_LEAF || is_attached(p))
        return false;
    if (!ph_part_is(p, "text", "plain") && !ph_part_is(p, "text", "html") &&
        !ph_part_is(p, "multipart", NULL))
        return false;
    if (!p->parent || p->parent->kind == PH_PART_MESSAGE || is_alternative(p->parent))
        return true;
    if (ph_part_is(p->parent, "multipart", "related"))
        return is_related_root(p);
    return p->index == 1 || !is_named(p);
}

/* Recursion is bounded by the nesting limit of the parse. */
const struct ph_part *ph__text_part(const struct ph_part *p)
{
    const struct ph_part *best = NULL;
    if (p->kind == PH_PART_LEAF)
        return is_text_leaf(p) ? p : NULL;
    if (p->kind == PH_PART_MESSAGE)
        return p->parent ? NULL : ph__text_part(p->child);
    bool alternative = is_alternative(p);
    for (const struct ph_part *c = p->child; c; c = c->next) {
        const struct ph_part *found = ph__text_part(c);
        if (found && (!alternative || !ph_part_is(found, "text", "html")))
            return found;
        if (!best)
            best = found;
    }
    return best;
}

const struct ph_part *ph_message_text_part(const struct ph_message *m)
{
    return ph__text_part(m->root);
}

const struct ph_part *ph__next_outside(const struct ph_part *p)
{
    if (p->kind == PH_PART_MULTIPART)
        return p->child;
    while (p && !p->next)
        p = p->parent;
    return p ? p->next : NULL;
}

bool ph__is_attachment(const struct ph_part *p)
{
    if (p->kind == PH_PART_MULTIPART || is_text_leaf(p))
        return false;
    if (is_attached(p) || p->kind == PH_PART_MESSAGE)
        return true;
    bool other_view = p->parent && is_alternative(p->parent) && ph_part_is(p, "text", NULL);
    return !other_view;
}

/* ---- the lists ---- */

struct lists {
    struct ph_arena *arena;
    struct ph_body *first[2], **last[2]; /* TEXT, HTML */
    bool no_memory;
};

enum { TEXT, HTML, LISTS };

static void put(struct lists *l, int which, const struct ph_part *p)
{
    struct ph_body *b = PH_ARENA_NEW(l->arena, struct ph_body);
    if (!b) {
        l->no_memory = true;
        return;
    }
    b->part = p;
    *l->last[which] = b;
    l->last[which] = &b->next;
}

/* Gives list `to` what list `from` has got since `since`. */
static void lend(struct lists *l, int from, struct ph_body **since, int to)
{
    struct ph_body **end = l->last[from];
    for (struct ph_body **b = since; b != end && *b; b = &(*b)->next)
        put(l, to, (*b)->part);
}

/* `choice`: inside an alternative, where HTML is for one list and the rest for the other. */
static void collect(struct lists *l, const struct ph_part *p, bool choice)
{
    if (p->kind == PH_PART_LEAF) {
        bool html = ph_part_is(p, "text", "html");
        for (int which = 0; which < LISTS && is_text_leaf(p); which++)
            if (!choice || html == (which == HTML))
                put(l, which, p);
        return;
    }
    if (p->kind == PH_PART_MESSAGE && p->parent)
        return;
    struct ph_body **since[LISTS] = {l->last[TEXT], l->last[HTML]};
    bool alternative = is_alternative(p);
    for (const struct ph_part *c = p->child; c; c = c->next)
        collect(l, c, choice || alternative);
    if (!alternative)
        return;
    bool has_text = l->last[TEXT] != since[TEXT], has_html = l->last[HTML] != since[HTML];
    if (has_html && !has_text)
        lend(l, HTML, since[HTML], TEXT);
    else if (has_text && !has_html)
        lend(l, TEXT, since[TEXT], HTML);
}

int ph_message_view(struct ph_arena *arena, const struct ph_message *m, struct ph_view *ret)
{
    struct lists l = {.arena = arena};
    struct ph_view view = {0};
    l.last[TEXT] = &l.first[TEXT];
    l.last[HTML] = &l.first[HTML];
    collect(&l, m->root, false);
    for (const struct ph_part *p = m->root; p; p = ph__next_outside(p)) {
        if (!view.calendar && ph_part_is(p, "text", "calendar"))
            view.calendar = p;
        if (!view.report && ph_part_is(p, "multipart", "report"))
            view.report = p;
    }
    view.text = l.first[TEXT];
    view.html = l.first[HTML];
    if (l.no_memory)
        return -PH_ENOMEM;
    *ret = view;
    return 0;
}
