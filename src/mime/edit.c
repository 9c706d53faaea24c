/*
 * Changes over the bytes of a message.
 *
 * A change of a header field is a cut: n bytes at an offset, and what stands there instead. The
 * list of cuts is kept in the order of the message. Parts that go are kept in a list of their
 * own, in the same order, because what has to go with them depends on which brothers stay:
 *
 *   --b [part 0] --b [part 1] --b [part 2] --b--
 *       |-- run, others follow -->|              from its header to the header of the next one
 *                |<-- run at the end --------|   from the end of the one before it to its own end
 */
#include <posthouse/edit.h>

#include "build_int.h"

struct cut {
    struct cut *next;
    const struct ph_part *part;
    ph_str name;
    uint64_t at, n;
    ph_str text;
};

struct gone {
    struct gone *next;
    const struct ph_part *part;
};

struct ph_edit {
    struct ph_arena *arena;
    const struct ph_message *m;
    struct cut *cuts;
    struct gone *gone;
    size_t count;
};

struct ph_edit *ph_edit_new(struct ph_arena *arena, const struct ph_message *m)
{
    struct ph_edit *e = PH_ARENA_NEW(arena, struct ph_edit);
    if (e) {
        e->arena = arena;
        e->m = m;
    }
    return e;
}

/* ---- header fields ---- */

/* Behind all that begin at the same place or before. */
static void insert(struct ph_edit *e, struct cut *cut)
{
    struct cut **at = &e->cuts;
    while (*at && (*at)->at <= cut->at)
        at = &(*at)->next;
    cut->next = *at;
    *at = cut;
    e->count++;
}

static void forget(struct ph_edit *e, const struct ph_part *part, ph_str name)
{
    for (struct cut **at = &e->cuts; *at;) {
        bool hit = (*at)->part == part && ph_str_ieq((*at)->name, name);
        e->count -= hit;
        if (hit)
            *at = (*at)->next;
        else
            at = &(*at)->next;
    }
}

static struct cut *new_cut(struct ph_edit *e, const struct ph_part *part, ph_str name)
{
    struct cut *c = PH_ARENA_NEW(e->arena, struct cut);
    if (!c)
        return NULL;
    *c = (struct cut){.part = part, .name = ph_arena_copy(e->arena, name)};
    return c->name.p ? c : NULL;
}

/* The field as it is written, with the line ends of the header. */
static int write_field(struct ph_edit *e, const struct ph_part *part, ph_str name, ph_str value,
                       ph_str *ret, struct ph_error *reterr)
{
    struct ph_email *scratch = ph_email_new(e->arena);
    struct ph_buf text;
    if (ph__is_mime_field(name))
        return ph__refuse(reterr, name, "says what the content is and cannot be changed");
    int rc = scratch ? ph_email_add_header(scratch, name, value, reterr) : -PH_ENOMEM;
    if (rc)
        return rc;
    size_t nl = ph_str_chr(part->head, '\n');
    bool lf = nl != PH_NPOS && (nl == 0 || part->head.p[nl - 1] != '\r');
    ph_buf_init(&text, NULL, 8 * (size_t)PH_EMAIL_VALUE);
    struct ph__fold f = {.out = &text, .utf8 = ph_email_needs_utf8(scratch)};
    ph__fold_field(&f, scratch->fields);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        if (!lf || text.p[i] != '\r')
            text.p[n++] = text.p[i];
    *ret = ph_buf_err(&text) ? (ph_str){0} : ph_arena_copy(e->arena, (ph_str){text.p, n});
    ph_buf_done(&text);
    return ret->p ? 0 : -PH_ENOMEM;
}

/* Where a field at the end of the header goes; `ret_open`: the line before it has no end. */
static uint64_t end_of_fields(const struct ph_part *part, bool *ret_open)
{
    struct ph_field f;
    const char *end = part->head.p;
    for (ph_str rest = part->head; ph_field_next(&rest, &f);)
        end = f.all.p + f.all.n;
    *ret_open = end > part->head.p && end[-1] != '\n';
    return part->header.at + (uint64_t)(end - part->head.p);
}

static int add_at_end(struct ph_edit *e, struct cut *c, ph_str text)
{
    bool open;
    c->at = end_of_fields(c->part, &open);
    c->text = open ? ph_arena_printf(e->arena, "\r\n%.*s", PH_FMT(text)) : text;
    if (!c->text.p)
        return -PH_ENOMEM;
    insert(e, c);
    return 0;
}

static int limit(struct ph_error *reterr)
{
    return ph_fail(reterr, PH_ELIMIT, 0, "more than %d changes", PH_EDIT_CHANGES);
}

int ph_edit_add_header(struct ph_edit *e, const struct ph_part *part, ph_str name, ph_str value,
                       struct ph_error *reterr)
{
    ph_str text;
    if (e->count >= PH_EDIT_CHANGES)
        return limit(reterr);
    int rc = write_field(e, part, name, value, &text, reterr);
    struct cut *c = rc ? NULL : new_cut(e, part, name);
    return rc ? rc : c ? add_at_end(e, c, text) : -PH_ENOMEM;
}

/* A list of cuts, one for each field of that name; their number, or an error. */
static int cut_fields(struct ph_edit *e, const struct ph_part *part, ph_str name, struct cut **ret)
{
    struct ph_field f;
    int n = 0;
    *ret = NULL;
    for (ph_str rest = part->head; ph_field_next(&rest, &f);) {
        if (!ph_str_ieq(f.name, name))
            continue;
        struct cut *c = new_cut(e, part, name);
        if (!c)
            return -PH_ENOMEM;
        if (e->count + (size_t)++n > PH_EDIT_CHANGES)
            return -PH_ELIMIT;
        c->at = part->header.at + (uint64_t)(f.all.p - part->head.p);
        c->n = f.all.n;
        *ret = c;
        ret = &c->next;
    }
    return n;
}

static void insert_all(struct ph_edit *e, struct cut *list)
{
    for (struct cut *next; list; list = next) {
        next = list->next;
        insert(e, list);
    }
}

int ph_edit_del(struct ph_edit *e, const struct ph_part *part, ph_str name)
{
    struct cut *list;
    if (ph__is_mime_field(name))
        return -PH_EINVAL;
    int n = cut_fields(e, part, name, &list);
    if (n < 0)
        return n;
    forget(e, part, name);
    insert_all(e, list);
    return n;
}

int ph_edit_set_header(struct ph_edit *e, const struct ph_part *part, ph_str name, ph_str value,
                       struct ph_error *reterr)
{
    struct cut *list = NULL;
    ph_str text;
    int rc = write_field(e, part, name, value, &text, reterr);
    int n = rc ? rc : cut_fields(e, part, name, &list);
    if (n < 0)
        return n == -PH_ELIMIT ? limit(reterr) : n;
    struct cut *added = n ? NULL : new_cut(e, part, name);
    if (!n && (!added || e->count >= PH_EDIT_CHANGES))
        return added ? limit(reterr) : -PH_ENOMEM;
    forget(e, part, name);
    if (!n)
        return add_at_end(e, added, text);
    list->text = text;
    insert_all(e, list);
    return 0;
}

/* ---- parts ---- */

int ph_edit_remove_part(struct ph_edit *e, const struct ph_part *part, struct ph_error *reterr)
{
    struct gone **at = &e->gone;
    if (!part->parent || part->parent->kind != PH_PART_MULTIPART)
        return ph_fail(reterr, PH_EINVAL, 0, "only a part of a multipart can be removed");
    if (e->count >= PH_EDIT_CHANGES)
        return limit(reterr);
    while (*at && (*at)->part->header.at < part->header.at)
        at = &(*at)->next;
    for (const struct gone *g = *at; g && g->part->header.at == part->header.at; g = g->next)
        if (g->part == part)
            return 0;
    struct gone *g = PH_ARENA_NEW(e->arena, struct gone);
    if (!g)
        return -PH_ENOMEM;
    *g = (struct gone){*at, part};
    *at = g;
    e->count++;
    return 0;
}

static bool is_gone(const struct ph_edit *e, const struct ph_part *part)
{
    for (; part; part = part->parent)
        for (const struct gone *g = e->gone; g; g = g->next)
            if (g->part == part)
                return true;
    return false;
}

static uint64_t end_of(const struct ph_part *p)
{
    return p->body.at + p->body.n;
}

/* The next removed part that does not lie in one that was passed already. */
static const struct gone *outside(const struct gone *g, const struct ph_part *last)
{
    while (g && g->part->header.at < end_of(last) && g->part->parent != last->parent)
        g = g->next;
    return g;
}

static const struct ph_part *before(const struct ph_part *p)
{
    const struct ph_part *c = p->parent->child;
    while (c->next != p)
        c = c->next;
    return c;
}

/* The cut for the run of brothers that begins with *at, which moves on behind it. */
static struct cut run_of(const struct ph_edit *e, const struct gone **at)
{
    const struct ph_part *first = (*at)->part, *last = first;
    *at = outside((*at)->next, last);
    while (*at && (*at)->part == last->next) {
        last = (*at)->part;
        *at = outside((*at)->next, last);
    }
    size_t nl = ph_str_chr(e->m->bytes, '\n');
    bool lf = nl != PH_NPOS && (nl == 0 || e->m->bytes.p[nl - 1] != '\r');
    struct cut c = {.at = first->header.at};
    uint64_t end = end_of(last);
    if (last->next)
        end = last->next->header.at;
    else if (first != first->parent->child)
        c.at = end_of(before(first));
    else
        c.text = lf ? PH_STR("\n") : PH_STR("\r\n"); /* an empty header: one part must be there */
    c.n = end - c.at;
    return c;
}

/* ---- the result ---- */

struct result {
    ph_str bytes;
    ph_str *to;
    size_t n;
    uint64_t at;
};

static void take(struct result *r, ph_str s)
{
    if (s.n)
        r->to[r->n++] = s;
}

static void apply(struct result *r, const struct cut *c)
{
    if (c->at > r->at)
        take(r, (ph_str){r->bytes.p + r->at, (size_t)(c->at - r->at)});
    take(r, c->text);
    if (c->at + c->n > r->at)
        r->at = c->at + c->n;
}

int ph_edit_slices(struct ph_edit *e, ph_str **ret_slices, size_t *ret_count)
{
    struct result r = {.bytes = e->m->bytes};
    const struct gone *g = e->gone;
    r.to = ph_arena_array(e->arena, 2 * e->count + 1, sizeof *r.to);
    if (!r.to)
        return -PH_ENOMEM;
    for (const struct cut *c = e->cuts; c || g;) {
        const struct gone *next = g;
        struct cut run = g ? run_of(e, &next) : (struct cut){.at = UINT64_MAX};
        if (c && c->at <= run.at) { /* at the same place: the end of a header that stays */
            if (!is_gone(e, c->part))
                apply(&r, c);
            c = c->next;
        } else {
            apply(&r, &run);
            g = next;
        }
    }
    take(&r, ph_str_skip(r.bytes, (size_t)r.at));
    *ret_slices = r.to;
    *ret_count = r.n;
    return 0;
}

int ph_edit_as_bytes(struct ph_edit *e, struct ph_buf *out)
{
    struct ph_mark mark = ph_arena_mark(e->arena);
    ph_str *slices;
    size_t n;
    int rc = ph_edit_slices(e, &slices, &n);
    for (size_t i = 0; i < n && rc == 0; i++)
        ph_buf_add(out, slices[i]);
    ph_arena_back(e->arena, mark);
    return rc ? rc : ph_buf_err(out);
}
