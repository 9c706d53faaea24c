/* The view of the selected mailbox: sequence numbers are places in one ascending array of uids. */
#include "imap_session.h"
#include <stdlib.h>
#include <string.h>

void imap_view_close(struct imap_view *v)
{
    free(v->uids);
    free(v->gone);
    ph_buf_done(&v->keywords);
    ph_buf_done(&v->name);
    *v = (struct imap_view){0};
    ph_buf_init(&v->keywords, NULL, 16384);
    ph_buf_init(&v->name, NULL, 4096);
}

static int push(uint32_t **list, uint32_t *n, uint32_t *cap, uint32_t uid)
{
    if (*n == *cap) {
        uint32_t more = *cap ? *cap + *cap / 2 + 8 : 16;
        uint32_t *p = realloc(*list, (size_t)more * sizeof *p);
        if (!p)
            return -PH_ENOMEM;
        *list = p;
        *cap = more;
    }
    (*list)[(*n)++] = uid;
    return 0;
}

int imap_view_add(struct imap_view *v, uint32_t uid)
{
    if (v->n && uid <= v->uids[v->n - 1])
        return 0;
    return push(&v->uids, &v->n, &v->cap, uid);
}

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
        for (uint64_t uid = lo; uid <= hi; uid++)
            if (imap_view_add(v, (uint32_t)uid) < 0)
                return -PH_ENOMEM;
    }
    return 0;
}

/* The first place whose uid is not below. */
static uint32_t lower_bound(const uint32_t *list, uint32_t n, uint32_t uid)
{
    uint32_t lo = 0, hi = n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (list[mid] < uid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint32_t imap_view_find(const struct imap_view *v, uint32_t uid)
{
    uint32_t at = lower_bound(v->uids, v->n, uid);
    return at < v->n && v->uids[at] == uid ? at : UINT32_MAX;
}

uint32_t imap_view_recent(const struct imap_view *v)
{
    return v->recent_from ? v->n - lower_bound(v->uids, v->n, v->recent_from) : 0;
}

/* ---- expunged messages
 * ----------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int imap_view_remove_later(struct imap_view *v, ph_str uids)
{
    uint32_t lo, hi, old = v->gone_n;
    while (uids.n) {
        if (!imap_next_range(&uids, &lo, &hi))
            return -PH_ESYNTAX;
        for (uint32_t at = lower_bound(v->uids, v->n, lo); at < v->n && v->uids[at] <= hi; at++)
            if (push(&v->gone, &v->gone_n, &v->gone_cap, v->uids[at]) < 0)
                return -PH_ENOMEM;
    }
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

void imap_view_flush_gone(struct imap_view *v, struct ph_imap_server *e)
{
    uint32_t keep = 0, g = 0, told = v->told;
    struct imap_range run = {0, 0};
    struct ph_buf vanished;
    ph_buf_init(&vanished, NULL, (size_t)v->gone_n * 22 + 64);
    for (uint32_t at = 0; at < v->n; at++) {
        while (g < v->gone_n && v->gone[g] < v->uids[at])
            g++;
        if (g < v->gone_n && v->gone[g] == v->uids[at]) {
            if (at < told) {
                v->told--;
                tell_gone(e, keep + 1, v->uids[at], &run, &vanished);
            }
            continue;
        }
        v->uids[keep++] = v->uids[at];
    }
    v->n = keep;
    v->gone_n = 0;
    if (run.hi) {
        imap_put_range(&vanished, run.lo, run.hi);
        ph_imap_server_vanished(e, false, ph_buf_str(&vanished));
    }
    ph_buf_done(&vanished);
}

int imap_view_remove(struct imap_view *v, ph_str uids, struct ph_imap_server *e)
{
    int r = imap_view_remove_later(v, uids);
    if (r == 0)
        imap_view_flush_gone(v, e);
    return r;
}

/* ---- own changes
 * ------------------------------------------------------------------------------------- */

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

/* ---- sets
 * ------------------------------------------------------------------------------------------------
 */

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

/* One range of a set as places; false when it holds none. */
static bool places(const struct imap_view *v, uint32_t lo, uint32_t hi, bool uid,
                   struct imap_range *ret)
{
    if (uid) {
        uint32_t star = v->told ? v->uids[v->told - 1] : 0;
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
    uint32_t first = lower_bound(v->uids, v->told, lo),
             end = hi == UINT32_MAX ? v->told : lower_bound(v->uids, v->told, hi + 1);
    *ret = (struct imap_range){first, end - 1};
    return end > first;
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
        uint32_t lo = v->uids[r->r[i].lo], hi = v->uids[r->r[i].hi];
        if (hi >= from_uid)
            imap_put_range(out, lo < from_uid ? from_uid : lo, hi);
    }
}

void imap_view_seqs(const struct imap_view *v, ph_str uids, struct ph_buf *out)
{
    uint32_t lo, hi;
    while (imap_next_range(&uids, &lo, &hi)) {
        uint32_t from = lower_bound(v->uids, v->told, lo), to = from;
        while (to < v->told && v->uids[to] <= hi)
            to++;
        if (to > from)
            imap_put_range(out, from + 1, to);
    }
}
