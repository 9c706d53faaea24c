/*
 * The view of the selected mailbox: sequence numbers are places in one ascending list of uids,
 * which is kept as runs. A look-up is a search among the runs, a change rewrites them.
 */
#include "imap_session.h"
#include <stdlib.h>
#include <string.h>

void imap_view_close(struct imap_view *v)
{
    free(v->runs);
    free(v->gone);
    ph_buf_done(&v->keywords);
    ph_buf_done(&v->name);
    ph_buf_done(&v->fresh);
    *v = (struct imap_view){0};
    ph_buf_init(&v->fresh, NULL, (size_t)UINT32_MAX);
    ph_buf_init(&v->keywords, NULL, 16384);
    ph_buf_init(&v->name, NULL, 4096);
}

/* ---- runs ----------------------------------------------------------------------------------- */

static uint32_t run_end(const struct imap_view *v, uint32_t i) /* the place behind it */
{
    return i + 1 < v->run_n ? v->runs[i + 1].place : v->n;
}

static uint32_t run_last(const struct imap_view *v, uint32_t i) /* its last uid */
{
    return v->runs[i].uid + (run_end(v, i) - 1 - v->runs[i].place);
}

static int reserve(struct imap_view *v, uint32_t more)
{
    if (more <= v->run_cap - v->run_n)
        return 0;
    size_t cap = (size_t)v->run_n + more + v->run_n / 2;
    struct imap_run *p = cap < UINT32_MAX ? realloc(v->runs, cap * sizeof *p) : NULL;
    if (!p)
        return -PH_ENOMEM;
    v->runs = p;
    v->run_cap = (uint32_t)cap;
    return 0;
}

/* Appends lo..hi, as far as it lies above what is there. */
static int add_range(struct imap_view *v, uint32_t lo, uint32_t hi)
{
    uint32_t last = v->run_n ? run_last(v, v->run_n - 1) : 0;
    if (hi <= last)
        return 0;
    lo = lo > last ? lo : last + 1;
    if (!v->run_n || lo != last + 1) {
        if (reserve(v, 1 + v->gone_n) < 0)
            return -PH_ENOMEM;
        v->runs[v->run_n++] = (struct imap_run){lo, v->n};
    }
    v->n += hi - lo + 1;
    return 0;
}

int imap_view_add(struct imap_view *v, uint32_t uid)
{
    return add_range(v, uid, uid);
}

uint32_t imap_view_uid(const struct imap_view *v, uint32_t place)
{
    uint32_t lo = 0,
             hi = v->run_n; /* the last run that begins at or before the place is in lo..hi */
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (v->runs[mid].place <= place)
            lo = mid;
        else
            hi = mid;
    }
    return v->runs[lo].uid + (place - v->runs[lo].place);
}

/* The first place whose uid is not below; at most n. */
static uint32_t lower_bound(const struct imap_view *v, uint32_t n, uint32_t uid)
{
    uint32_t lo = 0, hi = v->run_n; /* the first run that begins above the uid is in lo..hi */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (v->runs[mid].uid <= uid)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return 0;
    uint32_t end = run_end(v, lo - 1);
    uint64_t at = (uint64_t)v->runs[lo - 1].place + (uid - v->runs[lo - 1].uid);
    end = end < n ? end : n;
    return at < end ? (uint32_t)at : end;
}

uint32_t imap_view_find(const struct imap_view *v, uint32_t uid)
{
    uint32_t at = lower_bound(v, v->n, uid);
    return at < v->n && imap_view_uid(v, at) == uid ? at : UINT32_MAX;
}

uint32_t imap_view_recent(const struct imap_view *v)
{
    return v->recent_from ? v->n - lower_bound(v, v->n, v->recent_from) : 0;
}

/* ---- sets as text --------------------------------------------------------------------------- */

void imap_put_range(struct ph_buf *out, uint32_t lo, uint32_t hi)
{
    if (out->n)
        ph_buf_addc(out, ',');
    ph_buf_addu(out, lo);
    if (hi == lo)
        return;
    ph_buf_addc(out, ':');
    ph_buf_addu(out, hi);
}

bool imap_next_range(ph_str *rest, uint32_t *ret_lo, uint32_t *ret_hi)
{
    ph_str range, first;
    uint64_t lo, hi;
    if (!ph_str_token(rest, ',', &range) || !ph_str_token(&range, ':', &first) ||
        !ph_str_u64(first, UINT32_MAX, &lo))
        return false;
    hi = lo;
    if (range.n && !ph_str_u64(range, UINT32_MAX, &hi))
        return false;
    *ret_lo = (uint32_t)lo;
    *ret_hi = (uint32_t)hi;
    return lo > 0 && hi >= lo;
}

int imap_view_add_set(struct imap_view *v, ph_str uids)
{
    uint32_t lo, hi;
    while (uids.n) {
        if (!imap_next_range(&uids, &lo, &hi))
            return -PH_ESYNTAX;
        if (add_range(v, lo, hi) < 0)
            return -PH_ENOMEM;
    }
    return 0;
}

/* ---- expunged messages ---------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int gone_add(struct imap_view *v, uint32_t uid)
{
    if (v->gone_n == v->gone_cap) {
        uint32_t cap = v->gone_cap + v->gone_cap / 2 + 8;
        uint32_t *p = realloc(v->gone, (size_t)cap * sizeof *p);
        if (!p)
            return -PH_ENOMEM;
        v->gone = p;
        v->gone_cap = cap;
    }
    v->gone[v->gone_n++] = uid;
    return 0;
}

int imap_view_remove_later(struct imap_view *v, ph_str uids)
{
    uint32_t lo, hi, old = v->gone_n;
    while (uids.n) {
        if (!imap_next_range(&uids, &lo, &hi))
            return -PH_ESYNTAX;
        uint32_t uid;
        for (uint32_t at = lower_bound(v, v->n, lo);
             at < v->n && (uid = imap_view_uid(v, at)) <= hi; at++)
            if (gone_add(v, uid) < 0)
                return -PH_ENOMEM;
    }
    if (reserve(v, v->gone_n) < 0) /* each splits a run at most; it stays: flushing cannot fail */
        return -PH_ENOMEM;
    if (old && old < v->gone_n && v->gone[old] < v->gone[old - 1])
        qsort(v->gone, v->gone_n, sizeof *v->gone, by_value);
    return 0;
}

/* Tells one expunged place, or remembers its uid for one VANISHED of all of them. */
static void tell_gone(struct ph_imap_server *e, uint32_t seq, uint32_t uid, struct imap_range *run,
                      struct ph_buf *vanished)
{
    if (!e)
        return;
    if (!(ph_imap_server_enabled(e) & (PH_IMAP_CAP(QRESYNC) | PH_IMAP_CAP(UIDONLY)))) {
        ph_imap_server_expunge(e, seq);
        return;
    }
    if (run->hi && run->hi + 1 == uid) {
        run->hi = uid;
        return;
    }
    if (run->hi)
        imap_put_range(vanished, run->lo, run->hi);
    run->lo = run->hi = uid;
}

struct flushing {
    struct imap_view *v;
    struct ph_imap_server *e;
    uint32_t g, n, run_n, told; /* of gone; messages, runs that are written; told before */
    struct imap_range vanished;
    struct ph_buf text;
};

static void keep(struct flushing *f, uint32_t lo, uint32_t hi)
{
    if (lo > hi)
        return;
    f->v->runs[f->run_n++] = (struct imap_run){lo, f->n};
    f->n += hi - lo + 1;
}

/* Writes what stays of one run. */
static void flush_run(struct flushing *f, struct imap_run run, uint32_t last)
{
    struct imap_view *v = f->v;
    uint64_t next = run.uid;
    for (; f->g < v->gone_n && v->gone[f->g] <= last; f->g++) {
        uint32_t uid = v->gone[f->g];
        if (uid < next)
            continue;
        if (uid > next)
            keep(f, (uint32_t)next, uid - 1);
        next = (uint64_t)uid + 1;
        if (run.place + (uid - run.uid) < f->told) {
            v->told--;
            tell_gone(f->e, f->n + 1, uid, &f->vanished, &f->text);
        }
    }
    if (next <= last)
        keep(f, (uint32_t)next, last);
}

/* The runs move to the end of their room and are written anew from its begin: remove_later has seen
 * to it that the writer cannot overtake the reader. */
void imap_view_flush_gone(struct imap_view *v, struct ph_imap_server *e)
{
    if (!v->gone_n)
        return;
    struct flushing f = {.v = v, .e = e, .told = v->told};
    uint32_t old = v->run_cap - v->run_n, all = v->n;
    ph_buf_init(&f.text, NULL, (size_t)v->gone_n * 22 + 64);
    if (v->run_n)
        memmove(v->runs + old, v->runs, v->run_n * sizeof *v->runs);
    for (uint32_t i = old; i < v->run_cap; i++) {
        struct imap_run run = v->runs[i];
        uint32_t end = i + 1 < v->run_cap ? v->runs[i + 1].place : all;
        flush_run(&f, run, run.uid + (end - 1 - run.place));
    }
    v->n = f.n;
    v->run_n = f.run_n;
    v->gone_n = v->gone_cap = 0;
    free(v->gone);
    v->gone = NULL;
    if (f.vanished.hi) {
        imap_put_range(&f.text, f.vanished.lo, f.vanished.hi);
        ph_imap_server_vanished(e, false, ph_buf_str(&f.text));
    }
    ph_buf_done(&f.text);
}

int imap_view_remove(struct imap_view *v, ph_str uids, struct ph_imap_server *e)
{
    int r = imap_view_remove_later(v, uids);
    if (r == 0)
        imap_view_flush_gone(v, e);
    return r;
}

/* ---- new messages --------------------------------------------------------------------------- */

int imap_view_fresh(struct imap_view *v, uint32_t uid)
{
    ph_buf_add(&v->fresh, (ph_str){(const char *)&uid, sizeof uid});
    return ph_buf_err(&v->fresh);
}

void imap_view_fresh_gone(struct imap_view *v, ph_str uids)
{
    uint32_t *list = (uint32_t *)(void *)v->fresh.p, lo, hi;
    while (v->fresh.n && imap_next_range(&uids, &lo, &hi)) {
        size_t keep = 0;
        for (size_t i = 0; i < v->fresh.n / sizeof *list; i++)
            if (list[i] < lo || list[i] > hi)
                list[keep++] = list[i];
        v->fresh.n = keep * sizeof *list;
    }
}

int imap_view_add_fresh(struct imap_view *v)
{
    uint32_t *list = (uint32_t *)(void *)v->fresh.p;
    size_t n = v->fresh.n / sizeof *list;
    int r = 0;
    if (n > 1)
        qsort(list, n, sizeof *list, by_value);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = imap_view_add(v, list[i]);
    ph_buf_clear(&v->fresh);
    ph_buf_shrink(&v->fresh);
    return r;
}

/* ---- own changes ---------------------------------------------------------------------------- */

void imap_view_own(struct imap_view *v, uint64_t modseq)
{
    for (unsigned i = 0; i < v->own_n; i++) {
        if (modseq >= v->own[i].lo && modseq <= v->own[i].hi)
            return;
        if (modseq == v->own[i].hi + 1) {
            v->own[i].hi = modseq;
            return;
        }
    }
    if (v->own_n == IMAP_OWN_RANGES) {
        v->dirty = true; /* fetched with the next news, and told a second time */
        return;
    }
    v->own[v->own_n].lo = v->own[v->own_n].hi = modseq;
    v->own_n++;
}

bool imap_view_is_own(const struct imap_view *v, uint64_t modseq)
{
    for (unsigned i = 0; i < v->own_n; i++)
        if (modseq >= v->own[i].lo && modseq <= v->own[i].hi)
            return true;
    return false;
}

bool imap_view_learn(struct imap_view *v, ph_str keywords)
{
    ph_str word, known;
    bool more = false;
    while (ph_str_token(&keywords, ' ', &word)) {
        ph_str rest = ph_buf_str(&v->keywords);
        bool have = word.n == 0;
        while (!have && ph_str_token(&rest, ' ', &known))
            have = ph_str_ieq(known, word);
        if (have)
            continue;
        if (v->keywords.n)
            ph_buf_addc(&v->keywords, ' ');
        ph_buf_add(&v->keywords, word);
        more = true;
    }
    return more;
}

/* ---- sets ----------------------------------------------------------------------------------- */

static int by_lo(const void *a, const void *b)
{
    const struct imap_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

size_t imap_ranges_merge(struct imap_range *r, size_t n)
{
    size_t keep = 0;
    if (n > 1)
        qsort(r, n, sizeof *r, by_lo);
    for (size_t i = 0; i < n; i++) {
        if (keep && (r[i].lo <= r[keep - 1].hi || r[i].lo == r[keep - 1].hi + 1))
            r[keep - 1].hi = r[i].hi > r[keep - 1].hi ? r[i].hi : r[keep - 1].hi;
        else
            r[keep++] = r[i];
    }
    return keep;
}

bool imap_ranges_have(const struct imap_ranges *r, uint32_t n)
{
    size_t lo = 0, hi = r->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->r[mid].hi < n)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < r->n && r->r[lo].lo <= n;
}

int imap_ranges_of_set(struct ph_arena *a, const struct ph_imap_set *set, uint32_t star,
                       struct imap_ranges *ret)
{
    struct imap_range *r = ph_arena_array(a, set->n ? set->n : 1, sizeof *r);
    if (!r)
        return -PH_ENOMEM;
    for (size_t i = 0; i < set->n; i++) {
        uint32_t lo = set->r[i].lo == UINT32_MAX ? star : set->r[i].lo;
        uint32_t hi = set->r[i].hi == UINT32_MAX ? star : set->r[i].hi;
        r[i] = lo <= hi ? (struct imap_range){lo, hi} : (struct imap_range){hi, lo};
    }
    *ret = (struct imap_ranges){r, imap_ranges_merge(r, set->n)};
    return 0;
}

void imap_ranges_cut(struct imap_ranges *r, const struct ph_imap_partial *p)
{
    uint64_t total = 0, at = 1;
    size_t keep = 0;
    for (size_t i = 0; i < r->n; i++)
        total += r->r[i].hi - r->r[i].lo + 1;
    uint64_t lo = p->lo, hi = p->hi;
    if (p->from_end) {
        lo = p->hi > total ? 1 : total + 1 - p->hi;
        hi = p->lo > total ? 0 : total + 1 - p->lo;
    }
    for (size_t i = 0; i < r->n; i++) {
        uint64_t n = r->r[i].hi - r->r[i].lo + 1, skip = lo > at ? lo - at : 0,
                 end = hi + 1 > at ? hi + 1 - at : 0;
        end = end > n ? n : end;
        if (skip < end)
            r->r[keep++] =
                (struct imap_range){r->r[i].lo + (uint32_t)skip, r->r[i].lo + (uint32_t)end - 1};
        at += n;
    }
    r->n = keep;
}

bool imap_view_places(const struct imap_view *v, uint32_t lo, uint32_t hi, struct imap_range *ret)
{
    uint32_t first = lower_bound(v, v->told, lo),
             end = hi == UINT32_MAX ? v->told : lower_bound(v, v->told, hi + 1);
    *ret = (struct imap_range){first, end - 1};
    return end > first;
}

/* One range of a set as places; false when it holds none. */
static bool places(const struct imap_view *v, uint32_t lo, uint32_t hi, bool uid,
                   struct imap_range *ret)
{
    if (uid) {
        uint32_t star = v->told ? imap_view_uid(v, v->told - 1) : 0;
        lo = lo == UINT32_MAX ? star : lo;
        hi = hi == UINT32_MAX ? star : hi;
    } else {
        lo = lo == UINT32_MAX ? v->told : lo;
        hi = hi == UINT32_MAX ? v->told : hi;
    }
    if (lo > hi) {
        uint32_t t = lo;
        lo = hi;
        hi = t;
    }
    if (v->told == 0 || hi == 0)
        return false;
    if (!uid) {
        *ret = (struct imap_range){lo ? lo - 1 : 0, hi - 1};
        return true;
    }
    return imap_view_places(v, lo, hi, ret);
}

int imap_view_resolve(const struct imap_view *v, const struct ph_imap_set *set, bool uid,
                      struct ph_arena *a, struct imap_ranges *ret)
{
    struct imap_range *r = ph_arena_array(a, set->n ? set->n : 1, sizeof *r);
    size_t n = 0;
    if (!r)
        return -PH_ENOMEM;
    for (size_t i = 0; i < set->n; i++) {
        uint32_t lo = set->r[i].lo, hi = set->r[i].hi;
        if (!uid && ((lo != UINT32_MAX && lo > v->told) || (hi != UINT32_MAX && hi > v->told)) &&
            !(lo == 1 && hi == UINT32_MAX))
            return -PH_EINVAL;
        if (places(v, lo, hi, uid, &r[n]))
            n++;
    }
    *ret = (struct imap_ranges){r, imap_ranges_merge(r, n)};
    return 0;
}

void imap_view_uids(const struct imap_view *v, const struct imap_ranges *r, uint32_t from_uid,
                    struct ph_buf *out)
{
    for (size_t i = 0; i < r->n; i++) {
        uint32_t lo = imap_view_uid(v, r->r[i].lo), hi = imap_view_uid(v, r->r[i].hi);
        if (hi >= from_uid)
            imap_put_range(out, lo < from_uid ? from_uid : lo, hi);
    }
}

void imap_view_seqs(const struct imap_view *v, ph_str uids, struct ph_buf *out)
{
    uint32_t lo, hi;
    while (imap_next_range(&uids, &lo, &hi)) {
        struct imap_range r;
        if (imap_view_places(v, lo, hi, &r))
            imap_put_range(out, r.lo + 1, r.hi + 1);
    }
}
