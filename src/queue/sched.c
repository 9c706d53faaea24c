/* sched.c - a hash table of destinations, a ring of those that can run, a heap of those to be
 * looked for on disk. */
#include "sched.h"

#include <string.h>

enum { BUCKETS = 1 << 14, LIMIT_START = 2 };

struct ph_sched {
    struct ph_sched_options opt;
    uint64_t seed, salt;
    struct ph_dest *bucket[BUCKETS];
    size_t dests, jobs;
    struct ph_dest *ring[2]; /* foreign, local; any member: the next to run */
    struct ph_dest **heap;   /* from 1 */
    size_t heap_n, heap_cap;
};

/* ---- life -------------------------------------------------------------------------------- */

struct ph_sched *ph_sched_new(const struct ph_sched_options *opt, uint64_t seed)
{
    struct ph_sched *s = ph_new0(NULL, sizeof *s);
    if (s) {
        s->opt = *opt;
        s->seed = s->salt = seed | 1;
    }
    return s;
}

static void free_dest(struct ph_dest *d)
{
    ph_free(NULL, d, sizeof *d + d->name.n);
}

struct ph_sched *ph_sched_free(struct ph_sched *s)
{
    if (!s)
        return NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct ph_dest *d = s->bucket[i], *next; d; d = next) {
            next = d->chain;
            free_dest(d);
        }
    ph_free(NULL, s->heap, s->heap_cap * sizeof *s->heap);
    ph_free(NULL, s, sizeof *s);
    return NULL;
}

void ph_sched_options(struct ph_sched *s, const struct ph_sched_options *opt)
{
    s->opt = *opt;
}

static uint64_t chance(struct ph_sched *s)
{
    s->seed ^= s->seed << 13;
    s->seed ^= s->seed >> 7;
    return s->seed ^= s->seed << 17;
}

int64_t ph_sched_backoff(struct ph_sched *s, unsigned n)
{
    int64_t wait = s->opt.first;
    for (unsigned i = 1; i < n && wait < s->opt.most; i++)
        wait *= 2;
    if (wait > s->opt.most)
        wait = s->opt.most;
    int64_t fifth = wait / 5;
    return wait - fifth / 2 + (fifth ? (int64_t)(chance(s) % (uint64_t)fifth) : 0);
}

/* ---- ring: ready, with room to fly, not held ----------------------------------------------- */

static bool runnable(const struct ph_dest *d)
{
    return d->first && d->flying < d->limit && !d->held_until;
}

static struct ph_dest **ring_of(struct ph_sched *s, const struct ph_dest *d)
{
    return &s->ring[!d->name.n];
}

static void ring_put(struct ph_sched *s, struct ph_dest *d)
{
    struct ph_dest **ring = ring_of(s, d);
    if (d->ring_next || !runnable(d))
        return;
    if (!*ring) {
        *ring = d->ring_next = d->ring_prev = d;
        return;
    }
    d->ring_next = *ring;
    d->ring_prev = (*ring)->ring_prev;
    d->ring_prev->ring_next = d;
    (*ring)->ring_prev = d;
}

static void ring_cut(struct ph_sched *s, struct ph_dest *d)
{
    struct ph_dest **ring = ring_of(s, d);
    if (!d->ring_next)
        return;
    if (*ring == d)
        *ring = d->ring_next == d ? NULL : d->ring_next;
    d->ring_next->ring_prev = d->ring_prev;
    d->ring_prev->ring_next = d->ring_next;
    d->ring_next = d->ring_prev = NULL;
}

/* ---- heap: by the time to look again -------------------------------------------------------- */

static int64_t key(const struct ph_dest *d)
{
    int64_t when = d->on_disk ? d->disk_when : INT64_MIN;
    return when > d->held_until ? when : d->held_until;
}

static void place(struct ph_sched *s, size_t at, struct ph_dest *d)
{
    s->heap[at] = d;
    d->heap_at = at;
}

static void sift(struct ph_sched *s, size_t at)
{
    struct ph_dest *d = s->heap[at];
    while (at > 1 && key(s->heap[at / 2]) > key(d)) {
        place(s, at, s->heap[at / 2]);
        at /= 2;
    }
    for (size_t kid; (kid = at * 2) <= s->heap_n; at = kid) {
        if (kid < s->heap_n && key(s->heap[kid + 1]) < key(s->heap[kid]))
            kid++;
        if (key(s->heap[kid]) >= key(d))
            break;
        place(s, at, s->heap[kid]);
    }
    place(s, at, d);
}

static void heap_cut(struct ph_sched *s, struct ph_dest *d)
{
    size_t at = d->heap_at;
    if (!at)
        return;
    struct ph_dest *last = s->heap[s->heap_n--];
    d->heap_at = 0;
    if (last != d) {
        place(s, at, last);
        sift(s, at);
    }
}

/* In the heap exactly when there is something to find at key(d). Room for every destination is made
 * in ph_sched_dest. */
static void heap_fix(struct ph_sched *s, struct ph_dest *d)
{
    bool wanted = d->held_until || (d->on_disk && d->ready < SCHED_REFILL);
    if (!wanted) {
        heap_cut(s, d);
        return;
    }
    if (!d->heap_at)
        place(s, ++s->heap_n, d);
    sift(s, d->heap_at);
}

/* ---- destinations ------------------------------------------------------------------------ */

static uint64_t hash(const struct ph_sched *s, ph_str name)
{
    uint64_t h = s->salt;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 0xff51afd7ed558ccdu, h ^= h >> 32;
    return h;
}

static bool heap_room(struct ph_sched *s)
{
    if (s->dests + 2 <= s->heap_cap)
        return true;
    size_t cap = s->heap_cap ? s->heap_cap * 2 : 64;
    struct ph_dest **more =
        ph_resize(NULL, s->heap, s->heap_cap * sizeof *more, cap * sizeof *more);
    if (!more)
        return false;
    s->heap = more;
    s->heap_cap = cap;
    return true;
}

struct ph_dest *ph_sched_dest(struct ph_sched *s, ph_str name)
{
    uint64_t h = hash(s, name);
    struct ph_dest **bucket = &s->bucket[h % BUCKETS];
    for (struct ph_dest *d = *bucket; d; d = d->chain)
        if (d->hash == h && ph_str_eq(d->name, name))
            return d;
    if (s->dests >= SCHED_DESTS || !heap_room(s))
        return NULL;
    struct ph_dest *d = ph_new0(NULL, sizeof *d + name.n);
    if (!d)
        return NULL;
    if (name.n)
        memcpy(d + 1, name.p, name.n);
    d->name = (ph_str){(const char *)(d + 1), name.n};
    d->hash = h;
    d->limit = name.n ? LIMIT_START : s->opt.local;
    d->last = &d->first;
    d->chain = *bucket;
    *bucket = d;
    s->dests++;
    return d;
}

void ph_sched_tidy(struct ph_sched *s, struct ph_dest *d)
{
    if (d->ready || d->flying || d->pins || d->on_disk || d->held_until)
        return;
    heap_cut(s, d);
    ring_cut(s, d);
    struct ph_dest **at = &s->bucket[d->hash % BUCKETS];
    while (*at != d)
        at = &(*at)->chain;
    *at = d->chain;
    s->dests--;
    free_dest(d);
}

size_t ph_sched_dests(const struct ph_sched *s)
{
    return s->dests;
}

size_t ph_sched_jobs(const struct ph_sched *s)
{
    return s->jobs;
}

void ph_sched_each(struct ph_sched *s, void (*each)(void *ctx, struct ph_dest *d), void *ctx)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct ph_dest *d = s->bucket[i], *next; d; d = next) {
            next = d->chain;
            each(ctx, d);
        }
}

/* ---- jobs -------------------------------------------------------------------------------- */

bool ph_sched_room(const struct ph_sched *s, const struct ph_dest *d, int64_t now)
{
    unsigned most = d->name.n ? SCHED_READY : SCHED_JOBS / 2;
    return s->jobs < SCHED_JOBS && d->ready < most && d->held_until <= now;
}

void ph_sched_ready(struct ph_sched *s, struct ph_dest *d, struct ph_sched_job *job)
{
    job->next = NULL;
    job->dest = d;
    *d->last = job;
    d->last = &job->next;
    d->ready++;
    s->jobs++;
    ring_put(s, d);
    heap_fix(s, d);
}

static struct ph_sched_job *pop(struct ph_dest *d)
{
    struct ph_sched_job *job = d->first;
    d->first = job->next;
    if (!d->first)
        d->last = &d->first;
    job->next = NULL;
    d->ready--;
    return job;
}

struct ph_sched_job *ph_sched_take(struct ph_sched *s, bool local)
{
    struct ph_dest *d = s->ring[local];
    if (!d)
        return NULL;
    struct ph_sched_job *job = pop(d);
    d->flying++;
    s->ring[local] = d->ring_next;
    if (!runnable(d))
        ring_cut(s, d);
    heap_fix(s, d);
    return job;
}

struct ph_sched_job *ph_sched_shed(struct ph_sched *s, struct ph_dest *d)
{
    if (!d->first)
        return NULL;
    struct ph_sched_job *job = pop(d);
    s->jobs--;
    if (!runnable(d))
        ring_cut(s, d);
    heap_fix(s, d);
    return job;
}

void ph_sched_back(struct ph_sched *s, struct ph_sched_job *job, enum ph_sched_end end, int64_t now)
{
    struct ph_dest *d = job->dest;
    d->flying--;
    s->jobs--;
    if (end == SCHED_WELL) {
        d->fails = 0;
        d->held_until = 0;
        unsigned most = d->name.n ? s->opt.connections : s->opt.local;
        d->limit = d->limit * 2 < most ? d->limit * 2 : most;
    } else if (end == SCHED_SILENT &&
               d->held_until <= now) { /* of several that were flying, the first counts */
        d->fails++;
        d->limit = 1;
        d->held_until = now + ph_sched_backoff(s, d->fails);
    }
    if (runnable(d))
        ring_put(s, d);
    else
        ring_cut(s, d);
    heap_fix(s, d);
}

/* ---- the disk ---------------------------------------------------------------------------- */

void ph_sched_on_disk(struct ph_sched *s, struct ph_dest *d, int64_t when)
{
    if (!d->on_disk || when < d->disk_when)
        d->disk_when = when;
    d->on_disk = true;
    heap_fix(s, d);
}

/* A time so far off was written before the clock went back. */
static bool is_due(const struct ph_sched *s, int64_t when, int64_t now)
{
    return when <= now || when > now + 2 * s->opt.most;
}

struct ph_dest *ph_sched_refill(struct ph_sched *s, int64_t now)
{
    while (s->heap_n && is_due(s, key(s->heap[1]), now)) {
        struct ph_dest *d = s->heap[1];
        if (d->held_until) {
            d->held_until = 0;
            ring_put(s, d);
        }
        if (d->on_disk && d->ready < SCHED_REFILL) {
            if (s->jobs >= SCHED_JOBS)
                return NULL;
            d->on_disk = false;
            heap_fix(s, d);
            return d;
        }
        heap_fix(s, d);
        ph_sched_tidy(s, d);
    }
    return NULL;
}

int64_t ph_sched_when(const struct ph_sched *s)
{
    return s->heap_n ? key(s->heap[1]) : INT64_MAX;
}

static void release(struct ph_sched *s, struct ph_dest *d)
{
    d->held_until = 0;
    d->fails = 0;
    if (d->on_disk)
        d->disk_when = 0;
    ring_put(s, d);
    heap_fix(s, d);
    ph_sched_tidy(s, d);
}

static void release_each(void *ctx, struct ph_dest *d)
{
    release(ctx, d);
}

void ph_sched_release(struct ph_sched *s, const ph_str *name)
{
    if (!name) {
        ph_sched_each(s, release_each, s);
        return;
    }
    uint64_t h = hash(s, *name);
    for (struct ph_dest *d = s->bucket[h % BUCKETS]; d; d = d->chain)
        if (d->hash == h && ph_str_eq(d->name, *name)) {
            release(s, d);
            return;
        }
}
