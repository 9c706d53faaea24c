/*
 * THREAD: ORDEREDSUBJECT and REFERENCES (RFC 5256 3), REFS. A forest over the messages found, and
 * over ids that only references name, made without recursion and in nearly linear time, whatever
 * the references say:
 *
 *   links of references, message by message -> ancestors that are no messages skipped
 *     -> [roots of one subject joined] -> children by date -> roots by date -> told
 *
 * Nodes below `n` are messages, in the order of their dates; the others are ids (or, later, joints
 * of roots) without a message.
 */
#include "hash.h"
#include "imap_search.h"
#include "random.h"
#include <stdlib.h>
#include <string.h>

enum {
    NONE = -1,
    REFERENCES_MAX = 200, /* of one message; the last of them count */
    STEPS_MESSAGE = 256,  /* towards roots, for each message ... */
    STEPS_ID = 4 /* ... and each id; what is not known to be no circle by then is no link */
};

struct node {
    int32_t parent, child, last, next; /* child..last by next: in the order of dates */
    int32_t set;                       /* towards the root, shortened as it is walked */
    int64_t date;                      /* that roots are ordered by */
};

struct forest {
    const struct imap_results *r;
    struct ph_arena *a;
    struct node *v;
    size_t n, count, cap;
    int32_t *order; /* messages as they lie in the mailbox */
    int32_t *table; /* ids -> nodes, open addressing */
    ph_str *ids;    /* of nodes */
    struct ph_hash_key key;
    size_t mask, steps;
};

static int by_date(const void *a, const void *b)
{
    const struct imap_found *x = a, *y = b;
    if (x->sent != y->sent)
        return x->sent < y->sent ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* ---- nodes and ids --------------------------------------------------------------------------- */

static int32_t add_node(struct forest *f, ph_str id)
{
    if (f->count == f->cap)
        return NONE;
    int32_t i = (int32_t)f->count++;
    f->v[i] = (struct node){.parent = NONE, .child = NONE, .last = NONE, .next = NONE, .set = i};
    f->ids[i] = id;
    return i;
}

static int32_t *slot(struct forest *f, ph_str id)
{
    for (size_t at = ph_hash(&f->key, id) & f->mask;; at = (at + 1) & f->mask)
        if (f->table[at] == NONE || ph_str_eq(f->ids[f->table[at]], id))
            return &f->table[at];
}

static int32_t node_of(struct forest *f, ph_str id)
{
    int32_t *s = slot(f, id);
    if (*s == NONE)
        *s = add_node(f, id);
    return *s;
}

static int32_t top(struct forest *f, int32_t i)
{
    while (f->v[i].set != i) {
        f->v[i].set = f->v[f->v[i].set].set;
        i = f->v[i].set;
    }
    return i;
}

/* Whether `below` is `node` or hangs below it. */
static bool hangs(struct forest *f, int32_t below, int32_t node)
{
    if (f->v[node].child == NONE)
        return below == node;
    while (below != node && below != NONE && f->steps) {
        below = f->v[below].parent;
        f->steps--;
    }
    return below != NONE;
}

/* A child without parent gets one, unless that would be a circle. */
static void link(struct forest *f, int32_t parent, int32_t child)
{
    if (parent == NONE || child == NONE || f->v[child].parent != NONE || hangs(f, parent, child))
        return;
    f->v[child].parent = parent;
    f->v[parent].child = child; /* while links are made: it has some */
}

/* The ids of a message's references, the last REFERENCES_MAX of them. */
static size_t references(ph_str text, ph_str ids[REFERENCES_MAX])
{
    size_t n = 0;
    ph_str id;
    while (ph_id_next(&text, &id))
        ids[n++ % REFERENCES_MAX] = id;
    if (n <= REFERENCES_MAX)
        return n;
    ph_str turned[REFERENCES_MAX];
    for (size_t i = 0; i < REFERENCES_MAX; i++)
        turned[i] = ids[(n + i) % REFERENCES_MAX];
    memcpy(ids, turned, sizeof turned);
    return REFERENCES_MAX;
}

static int make(struct forest *f)
{
    size_t refs = 0, slots = 16;
    for (size_t i = 0; i < f->r->n; i++) {
        ph_str text = f->r->v[i].references, id;
        size_t n = 0;
        while (n < REFERENCES_MAX && ph_id_next(&text, &id))
            n++;
        refs += n;
    }
    f->n = f->r->n;
    f->cap = 2 * f->n + refs + 1; /* messages, ids, joints of roots */
    while (slots < 2 * f->cap)
        slots *= 2;
    f->mask = slots - 1;
    ph_random(&f->key, sizeof f->key);
    f->steps = STEPS_MESSAGE * f->n + STEPS_ID * f->cap;
    f->v = ph_arena_array(f->a, f->cap, sizeof *f->v);
    f->order = ph_arena_array(f->a, f->n ? f->n : 1, sizeof *f->order);
    f->ids = ph_arena_array(f->a, f->cap, sizeof *f->ids);
    f->table = ph_arena_array(f->a, slots, sizeof *f->table);
    if (!f->v || !f->order || !f->ids || !f->table)
        return -PH_ENOMEM;
    memset(f->table, 0xff, slots * sizeof *f->table);
    for (size_t i = 0; i < f->n; i++)
        add_node(f, f->r->v[i].id);
    return 0;
}

static int by_place(const void *a, const void *b, void *found)
{
    const struct imap_found *v = found, *x = &v[*(const int32_t *)a], *y = &v[*(const int32_t *)b];
    return x->place < y->place ? -1 : x->place > y->place;
}

/* The messages in their order, and by their ids. A second one of an id stands alone. */
static void name_messages(struct forest *f)
{
    for (size_t i = 0; i < f->n; i++)
        f->order[i] = (int32_t)i;
    if (f->n)
        qsort_r(f->order, f->n, sizeof *f->order, by_place, f->r->v);
    for (size_t i = 0; i < f->n; i++) {
        ph_str id = f->ids[f->order[i]];
        int32_t *s = id.n ? slot(f, id) : NULL;
        if (s && *s == NONE)
            *s = f->order[i];
    }
}

/* ---- REFERENCES, REFS ------------------------------------------------------------------------ */

/* RFC 5256 3, step 1: what a message says of others counts where nothing is known of them, what it
 * says of itself always. */
static void link_all(struct forest *f)
{
    ph_str ids[REFERENCES_MAX];
    for (size_t i = 0; i < f->n; i++) {
        int32_t m = f->order[i];
        size_t n = references(f->r->v[m].references, ids);
        for (size_t k = 1; k < n; k++)
            link(f, node_of(f, ids[k - 1]), node_of(f, ids[k]));
        f->v[m].parent = NONE;
        if (n)
            link(f, node_of(f, ids[n - 1]), m);
    }
}

/* Ancestors without a message are passed over, but for a root that has several children (RFC 5256
 * 3, step 3). */
static void prune(struct forest *f)
{
    for (size_t i = 0; i < f->n; i++) {
        int32_t p = f->v[i].parent;
        while (p >= (int32_t)f->n && f->v[p].parent != NONE) {
            int32_t up = f->v[p].parent;
            if (up >= (int32_t)f->n && f->v[up].parent != NONE)
                f->v[p].parent = f->v[up].parent;
            p = up;
        }
        f->v[i].parent = p;
        if (p >= (int32_t)f->n)
            f->v[p].last = f->v[p].last == NONE ? (int32_t)i : -2; /* its only child, or many */
    }
    for (size_t i = f->n; i < f->count; i++) {
        if (f->v[i].last >= 0)
            f->v[f->v[i].last].parent = NONE;
        f->v[i].last = NONE;
    }
}

static bool is_root(const struct forest *f, int32_t i)
{
    return f->v[i].parent == NONE;
}

/* The message that stands for a root: itself, or the first child in the order of dates. */
static const struct imap_found *face(const struct forest *f, int32_t root)
{
    int32_t i = root < (int32_t)f->n ? root : f->v[root].child;
    return i == NONE ? NULL : &f->r->v[i];
}

static void children(struct forest *f)
{
    for (size_t i = 0; i < f->count; i++)
        f->v[i].child = f->v[i].last = f->v[i].next = NONE;
    for (size_t i = 0; i < f->n; i++) {
        int32_t p = f->v[i].parent;
        if (p == NONE)
            continue;
        if (f->v[p].child == NONE)
            f->v[p].child = (int32_t)i;
        else
            f->v[f->v[p].last].next = (int32_t)i;
        f->v[p].last = (int32_t)i;
    }
}

/* ---- roots of one subject (RFC 5256 3, step 5) ---------------------------------------------- */

struct topic {
    ph_str subject;
    int32_t root, order;
    bool bare, reply; /* bare: no message of its own */
};

static int by_subject(const void *a, const void *b)
{
    const struct topic *x = a, *y = b;
    int r = ph_str_cmp(x->subject, y->subject);
    return r ? r : x->order < y->order ? -1 : 1;
}

/* The best to gather under: a bare one, else one that is no reply, else the first. */
static size_t best_of(const struct topic *t, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if ((t[i].bare && !t[best].bare) ||
            (!t[i].bare && !t[best].bare && !t[i].reply && t[best].reply))
            best = i;
    return best;
}

static void move_children(struct forest *f, int32_t from, int32_t to)
{
    for (int32_t c = f->v[from].child; c != NONE; c = f->v[c].next)
        f->v[c].parent = to;
}

/* All roots of one subject under one. */
static void join(struct forest *f, struct topic *t, size_t n)
{
    size_t best = best_of(t, n);
    int32_t head = t[best].root;
    for (size_t i = 0; i < n; i++) {
        if (i == best)
            continue;
        bool beside = !t[best].bare && !(t[i].reply && !t[best].reply);
        if (beside && head == t[best].root) { /* neither answers the other: a joint for both */
            int32_t joint = add_node(f, (ph_str){0});
            if (joint == NONE)
                return;
            f->v[head].parent = joint;
            head = joint;
        }
        if (t[i].bare)
            move_children(f, t[i].root, head);
        else
            f->v[t[i].root].parent =
                !t[best].bare && t[i].reply && !t[best].reply ? t[best].root : head;
    }
}

static int gather_subjects(struct forest *f)
{
    size_t n = 0, most = f->count;
    struct topic *t = ph_arena_array(f->a, most ? most : 1, sizeof *t);
    if (!t)
        return -PH_ENOMEM;
    children(f);
    for (size_t i = 0; i < most; i++) {
        const struct imap_found *m = is_root(f, (int32_t)i) ? face(f, (int32_t)i) : NULL;
        if (m && m->subject.n) {
            t[n] = (struct topic){m->subject, (int32_t)i, (int32_t)n, i >= f->n, m->reply};
            n++;
        }
    }
    if (n)
        qsort(t, n, sizeof *t, by_subject);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && ph_str_eq(t[end].subject, t[i].subject); end++) {
        }
        if (end - i > 1)
            join(f, &t[i], end - i);
    }
    return 0;
}

/* ---- ORDEREDSUBJECT (RFC 5256 3) ------------------------------------------------------------ */

static int ordered_subject(struct forest *f)
{
    struct topic *t = ph_arena_array(f->a, f->n ? f->n : 1, sizeof *t);
    if (!t)
        return -PH_ENOMEM;
    for (size_t i = 0; i < f->n; i++)
        t[i] =
            (struct topic){.subject = f->r->v[i].subject, .root = (int32_t)i, .order = (int32_t)i};
    if (f->n)
        qsort(t, f->n, sizeof *t, by_subject);
    for (size_t i = 1, head = 0; i < f->n; i++) {
        if (ph_str_eq(t[i].subject, t[head].subject))
            f->v[t[i].root].parent = t[head].root;
        else
            head = i;
    }
    return 0;
}

/* ---- telling --------------------------------------------------------------------------------- */

struct root {
    int64_t date;
    const struct imap_found *face; /* by place where dates are the same */
    int32_t node;
};

static int by_root_date(const void *a, const void *b)
{
    const struct root *x = a, *y = b;
    if (x->date != y->date)
        return x->date < y->date ? -1 : 1;
    return x->face < y->face ? -1 : x->face > y->face;
}

/* REFS: a thread is as young as its youngest message. Messages come by date: the last one wins. */
static void youngest(struct forest *f)
{
    for (size_t i = 0; i < f->count; i++)
        f->v[i].set = f->v[i].parent == NONE ? (int32_t)i : f->v[i].parent;
    for (size_t i = 0; i < f->n; i++)
        f->v[top(f, (int32_t)i)].date = f->r->v[i].sent;
}

static bool branches(const struct forest *f, int32_t i)
{
    return f->v[i].child != NONE && f->v[f->v[i].child].next != NONE;
}

/* One thread, by walking: down to the first child, else to the next sibling, else up. */
static void tell_thread(struct imap *im, const struct forest *f, int32_t root)
{
    int32_t i = root;
    ph_imap_server_thread_open(im->e);
    for (;;) {
        if (i < (int32_t)f->n) {
            uint32_t place = f->r->v[i].place;
            ph_imap_server_found(im->e, im->cmd->uid ? imap_view_uid(&im->view, place) : place + 1);
        }
        if (f->v[i].child != NONE) {
            if (branches(f, i))
                ph_imap_server_thread_open(im->e);
            i = f->v[i].child;
            continue;
        }
        while (i != root) {
            int32_t up = f->v[i].parent;
            if (branches(f, up))
                ph_imap_server_thread_close(im->e);
            if (f->v[i].next != NONE)
                break;
            i = up;
        }
        if (i == root)
            break;
        i = f->v[i].next;
        ph_imap_server_thread_open(im->e);
    }
    ph_imap_server_thread_close(im->e);
}

static int tell(struct imap *im, struct forest *f)
{
    struct root *roots = ph_arena_array(f->a, f->count ? f->count : 1, sizeof *roots);
    size_t n = 0;
    if (!roots)
        return -PH_ENOMEM;
    children(f);
    if (im->cmd->search.thread == PH_IMAP_THREAD_REFS)
        youngest(f);
    for (size_t i = 0; i < f->count; i++) {
        const struct imap_found *m = is_root(f, (int32_t)i) ? face(f, (int32_t)i) : NULL;
        if (m)
            roots[n++] = (struct root){im->cmd->search.thread == PH_IMAP_THREAD_REFS ? f->v[i].date
                                                                                     : m->sent,
                                       m, (int32_t)i};
    }
    if (n)
        qsort(roots, n, sizeof *roots, by_root_date);
    ph_imap_server_search_begin(im->e);
    for (size_t i = 0; i < n; i++)
        tell_thread(im, f, roots[i].node);
    ph_imap_server_search_end(im->e, 0);
    return 0;
}

int imap_thread(struct imap *im, struct imap_results *r)
{
    struct forest f = {.r = r, .a = r->arena};
    enum ph_imap_thread_kind kind = im->cmd->search.thread;
    if (r->n)
        qsort(r->v, r->n, sizeof *r->v, by_date);
    int e = make(&f);
    if (e == 0 && kind == PH_IMAP_THREAD_ORDEREDSUBJECT)
        e = ordered_subject(&f);
    if (e == 0 && kind != PH_IMAP_THREAD_ORDEREDSUBJECT) {
        name_messages(&f);
        link_all(&f);
        prune(&f);
    }
    if (e == 0 && kind == PH_IMAP_THREAD_REFERENCES)
        e = gather_subjects(&f);
    return e == 0 ? tell(im, &f) : e;
}
