/*
 * search.c - which letters hold a text.
 *
 *   candidates: the letters that have all grams of the text, from the index; every letter when it
 *   is too short to have any
 *
 *   a message:  not indexed yet, or unreadable -> maybe
 *               no candidate                   -> no
 *               a candidate: its text is looked at -> yes or no
 */
#include "sqlite_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOOKED_MAX = 8 * 1024 * 1024,
    MESSAGES_MAX = 200000,
    QUERY_MAX = 1024 * 1024,
    UIDS_TEXT = 450000,
    RANGE_TEXT = 22,
    FEW = 8 /* candidates: looking at their texts costs less than another list */
};

/* Letters that have a gram: from here on it is common, by levels. */
static const int64_t many[COMMON_LEVELS] = {256, 4096, 65536};

/* One needle while its mailbox is walked. */
struct hunt {
    struct store_needle *needle;
    bool all;         /* every letter is a candidate */
    struct ids found; /* else these, sorted */
};

struct searching {
    struct store_account *a;
    struct hunt *hunts;
    size_t n, looked, walked;
    uint32_t next; /* 0: all were walked */
    struct ids unread;
};

static int out_of_memory(struct store_account *a)
{
    return sq_fail(a, PH_ENOMEM, 0, "out of memory");
}

static int take_ids(struct store_account *a, sqlite3_stmt *st, struct ids *ret)
{
    int r = st ? sq_step(a, st) : -a->err.code;
    while (r > 0) {
        if (ids_add(ret, (uint64_t)sqlite3_column_int64(st, 0)) < 0) {
            sqlite3_reset(st);
            return out_of_memory(a);
        }
        r = sq_step(a, st);
    }
    return r;
}

static int by_id(const void *key, const void *at)
{
    uint64_t x = *(const uint64_t *)key, y = *(const uint64_t *)at;
    return (x > y) - (x < y);
}

static bool has_id(const struct ids *l, uint64_t id)
{
    return l->n > 0 && bsearch(&id, l->v, l->n, sizeof *l->v, by_id);
}

/* The letters that have all of these grams, so many at most. */
static int with_all(struct store_account *a, const struct grams *g, int64_t most, struct ids *ret)
{
    struct ph_buf query;
    ph_buf_init(&query, NULL, QUERY_MAX);
    grams_print(g, " AND ", &query);
    int r = ph_buf_err(&query)
                ? out_of_memory(a)
                : take_ids(a, sq_start(a, ST_GRAM_FIND, "ti", ph_buf_str(&query), most), ret);
    ph_buf_done(&query);
    return r;
}

static void keep_both(struct ids *l, const struct ids *other)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        if (has_id(other, l->v[i]))
            l->v[n++] = l->v[i];
    l->n = n;
}

/*
 * Most grams of a text that people look for are in many letters, and long lists cost more than the
 * look at a few texts too many. So the rare ones are asked alone; those that turn out to be common
 * are remembered. What is rare grows with the account: where all grams are common, the same on the
 * next level. 1: *found are the candidates; 0: all are common.
 */
static int by_rare(struct store_account *a, const struct grams *g, unsigned level,
                   struct ids *found)
{
    int rare = 0;
    for (size_t i = 0; i < g->n && (!rare || found->n > FEW); i++) {
        uint32_t *common = &a->common[level][g->v[i] % COMMON_GRAMS];
        struct ids with = {0};
        if (*common == g->v[i])
            continue;
        int r = with_all(a, &(struct grams){.v = &g->v[i], .n = 1}, many[level], &with);
        if ((int64_t)with.n == many[level])
            *common = g->v[i];
        else if (r >= 0 && rare++)
            keep_both(found, &with);
        else if (r >= 0) {
            *found = with;
            continue;
        }
        free(with.v);
        if (r < 0)
            return r;
    }
    return rare > 0;
}

static int find_candidates(struct store_account *a, struct hunt *h)
{
    struct grams g = {0};
    int r = grams_add(&g, h->needle->text) < 0 ? out_of_memory(a) : 0;
    grams_sort(&g);
    h->all = g.n == 0;
    for (unsigned level = 0; r == 0 && !h->all && level < COMMON_LEVELS; level++)
        r = by_rare(a, &g, level, &h->found);
    if (r == 0 && !h->all)
        r = with_all(a, &g, INT64_MAX, &h->found);
    grams_done(&g);
    return r;
}

static bool holds(ph_str text, ph_str what)
{
    return what.n == 0 || (what.n <= text.n && memmem(text.p, text.n, what.p, what.n));
}

/* The verdicts of all needles on one message. */
static int look(struct searching *s, uint32_t uid, uint64_t emailid)
{
    ph_str head = {0}, body = {0};
    bool unknown = (int64_t)emailid > s->a->indexed || has_id(&s->unread, emailid);
    int have = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct hunt *h = &s->hunts[i];
        struct store_needle *x = h->needle;
        bool yes = false;
        if (!unknown && !h->all && !has_id(&h->found, emailid))
            continue;
        if (!unknown && !have) {
            have = index_text(s->a, emailid, &head, &body);
            if (have < 0)
                return have;
            unknown = have == 0;
            s->looked += head.n + body.n;
        }
        if (!unknown)
            yes = (x->in != STORE_IN_BODY && holds(head, x->text)) ||
                  (x->in != STORE_IN_HEAD && holds(body, x->text));
        if (!unknown && !yes)
            continue;
        bool sure = yes && x->in != STORE_IN_HEAD;
        if (uidset_add(sure ? &x->yes : &x->maybe, uid, uid) < 0)
            return out_of_memory(s->a);
    }
    return 0;
}

/* The answer must fit a frame: so many ranges, all needles together. */
static bool is_enough(const struct searching *s)
{
    size_t ranges = 0;
    for (size_t i = 0; i < s->n; i++)
        ranges += s->hunts[i].needle->yes.n + s->hunts[i].needle->maybe.n;
    return s->looked >= LOOKED_MAX || s->walked >= MESSAGES_MAX || ranges >= UIDS_TEXT / RANGE_TEXT;
}

/* 1: enough, the rest from this uid on. */
static int walk_on(struct searching *s, uint32_t uid, uint64_t emailid)
{
    if (is_enough(s)) {
        s->next = uid;
        return 1;
    }
    s->walked++;
    return look(s, uid, emailid);
}

static int walk_cache(struct searching *s, const struct cache *c, struct uidrange u)
{
    int r = 0;
    for (size_t at = cache_place(c, u.from); r == 0 && at < c->n && c->v[at].uid <= u.to; at++)
        r = walk_on(s, c->v[at].uid, c->v[at].emailid);
    return r;
}

/* Pages, because looking at a text may not disturb the statement that walks. */
static int walk_table(struct searching *s, uint64_t mailbox, struct uidrange u)
{
    enum { PAGE = 1024 };
    while (u.from <= u.to) {
        uint32_t uids[PAGE];
        uint64_t emails[PAGE];
        size_t n = 0;
        sqlite3_stmt *st =
            sq_start(s->a, ST_UID_EMAILS, "iii", (int64_t)mailbox, (int64_t)u.from, (int64_t)u.to);
        int r = st ? sq_step(s->a, st) : -s->a->err.code;
        for (; r > 0 && n < PAGE; r = n < PAGE ? sq_step(s->a, st) : 0) {
            uids[n] = (uint32_t)sqlite3_column_int64(st, 0);
            emails[n++] = (uint64_t)sqlite3_column_int64(st, 1);
        }
        sqlite3_reset(st);
        for (size_t i = 0; r == 0 && i < n; i++)
            r = walk_on(s, uids[i], emails[i]);
        if (r != 0 || n < PAGE || uids[n - 1] == UINT32_MAX)
            return r;
        u.from = uids[n - 1] + 1;
    }
    return 0;
}

/* 1: not all of them. */
static int walk(struct searching *s, struct mbox *m, const struct uidset *uids)
{
    int cached = cache_ready(s->a, m, 2 * uidset_count(uids) > m->messages);
    int r = cached < 0 ? cached : 0;
    for (size_t i = 0; r == 0 && i < uids->n && uids->v[i].from < m->uidnext; i++)
        r = cached ? walk_cache(s, &s->a->cache, uids->v[i]) : walk_table(s, m->id, uids->v[i]);
    return r;
}

/* Without an index nothing is ruled out. */
static int all_maybe(struct searching *s, const struct mbox *m, const struct uidset *uids)
{
    for (size_t n = 0; n < s->n; n++)
        for (size_t i = 0; i < uids->n && uids->v[i].from < m->uidnext; i++) {
            uint32_t to = uids->v[i].to < m->uidnext ? uids->v[i].to : m->uidnext - 1;
            if (uidset_add(&s->hunts[n].needle->maybe, uids->v[i].from, to) < 0)
                return out_of_memory(s->a);
        }
    return 0;
}

static int search_in(struct searching *s, struct mbox *m, const struct uidset *uids)
{
    struct store_account *a = s->a;
    if (a->indexed < 0)
        return all_maybe(s, m, uids);
    int r = take_ids(a, sq_start(a, ST_TEXT_UNREAD, ""), &s->unread);
    for (size_t i = 0; r >= 0 && i < s->n; i++)
        r = find_candidates(a, &s->hunts[i]);
    if (r >= 0)
        r = walk(s, m, uids);
    return r < 0 ? r : 0;
}

int sq_search(struct store_account *a, uint64_t mailbox, const struct uidset *uids,
              struct store_needle *needles, size_t n, uint32_t *ret_next, struct ph_error *reterr)
{
    struct searching s = {.a = a, .n = n, .hunts = calloc(n ? n : 1, sizeof *s.hunts)};
    int r = sq_enter(a, false);
    if (r >= 0 && !s.hunts)
        r = out_of_memory(a);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        s.hunts[i].needle = &needles[i];
        a->wants_index |= needles[i].in != STORE_IN_HEAD;
    }
    struct mbox *m = r < 0 ? NULL : mbox_live(a, mailbox);
    r = m ? search_in(&s, m, uids) : -a->err.code;
    *ret_next = s.next;
    for (size_t i = 0; s.hunts && i < n; i++)
        free(s.hunts[i].found.v);
    free(s.hunts);
    free(s.unread.v);
    return sq_leave(a, r, reterr);
}
