/* sched.c - hash tables of destinations, sites and senders at them; a ring of sites that can run,
 * in each a ring of senders; alarms for what is to be looked at again. */
#include "sched.h"
#include "hash.h"

#include <string.h>

enum { BUCKETS = 1 << 14, LIMIT_START = 2, NAME_MAX = 512, CROWDED_US = 1000000 };

struct ph_sched {
    struct ph_sched_options opt;
    uint64_t seed;
    struct ph_hash_key key;
    struct ph_dest *dest[BUCKETS];
    struct ph_site *site[BUCKETS];
    struct ph_flow *flow[BUCKETS];
    size_t dests, sites, jobs;
    struct ph_site *ring[2]; /* foreign, local; any member: the next to run */
    struct ph_alarms alarms;
};

/* ---- life -------------------------------------------------------------------------------- */

struct ph_sched *ph_sched_new(const struct ph_sched_options *opt, uint64_t seed)
{
    struct ph_sched *s = ph_new0(NULL, sizeof *s);
    if (s) {
        s->opt = *opt;
        s->seed = seed | 1;
        s->key = (struct ph_hash_key){{seed, ~seed}};
    }
    return s;
}

void ph_sched_unsee(struct ph_dest *d)
{
    if (d->seen)
        ph_free(NULL, d->seen, sizeof *d->seen);
    d->seen = NULL;
}

static void free_dest(struct ph_dest *d)
{
    ph_sched_unsee(d);
    ph_free(NULL, d, sizeof *d + d->name.n);
}

static void free_site(struct ph_site *site)
{
    ph_free(NULL, site, sizeof *site + site->name.n);
}

#define FREE_CHAIN(type, first, free_one)                                                          \
    for (struct type *e = (first), *after; e; e = after) {                                         \
        after = e->chain;                                                                          \
        free_one;                                                                                  \
    }

struct ph_sched *ph_sched_free(struct ph_sched *s)
{
    if (!s)
        return NULL;
    for (size_t i = 0; i < BUCKETS; i++) {
        FREE_CHAIN(ph_dest, s->dest[i], free_dest(e))
        FREE_CHAIN(ph_site, s->site[i], free_site(e))
        FREE_CHAIN(ph_flow, s->flow[i], ph_free(NULL, e, sizeof *e))
    }
    ph_alarms_done(&s->alarms);
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

uint64_t ph_sched_sender(const struct ph_sched *s, ph_str sender)
{
    return ph_hash(&s->key, sender);
}

/* ---- ring of sites: ready, with room to fly, not held, not resting -------------------------- */

static bool runnable(const struct ph_site *site)
{
    return site->turn && site->flying < site->limit && !site->held_until && !site->rest_until;
}

static void ring_put(struct ph_sched *s, struct ph_site *site)
{
    struct ph_site **ring = &s->ring[site->local];
    if (!*ring) {
        *ring = site->next = site->prev = site;
        return;
    }
    site->next = *ring;
    site->prev = (*ring)->prev;
    site->prev->next = site;
    (*ring)->prev = site;
}

static void ring_cut(struct ph_sched *s, struct ph_site *site)
{
    struct ph_site **ring = &s->ring[site->local];
    if (*ring == site)
        *ring = site->next == site ? NULL : site->next;
    site->next->prev = site->prev;
    site->prev->next = site->next;
    site->next = site->prev = NULL;
}

/* In the ring exactly when it can run. */
static void ring_fix(struct ph_sched *s, struct ph_site *site)
{
    if (runnable(site) == (site->next != NULL))
        return;
    if (site->next)
        ring_cut(s, site);
    else
        ring_put(s, site);
}

/* ---- alarms: room for those of everything is made when it is born --------------------------- */

static bool room(struct ph_sched *s)
{
    return ph_alarms_room(&s->alarms, s->dests + s->sites + 2);
}

/* In the heap exactly when there is something to find on disk, and need of it. */
static void fix_dest(struct ph_sched *s, struct ph_dest *d)
{
    if (d->on_disk && d->ready < SCHED_REFILL)
        ph_alarm_put(&s->alarms, &d->alarm, d->disk_when);
    else
        ph_alarm_cut(&s->alarms, &d->alarm);
}

static void fix_site(struct ph_sched *s, struct ph_site *site)
{
    int64_t when = site->held_until > site->rest_until ? site->held_until : site->rest_until;
    if (when)
        ph_alarm_put(&s->alarms, &site->alarm, when);
    else
        ph_alarm_cut(&s->alarms, &site->alarm);
    ring_fix(s, site);
}

/* ---- sites ------------------------------------------------------------------------------- */

static struct ph_site *find_site(const struct ph_sched *s, ph_str name, uint64_t h)
{
    struct ph_site *site = s->site[h % BUCKETS];
    while (site && !(site->hash == h && ph_str_eq(site->name, name)))
        site = site->chain;
    return site;
}

static struct ph_site *get_site(struct ph_sched *s, ph_str name)
{
    uint64_t h = ph_hash(&s->key, name);
    struct ph_site *site = find_site(s, name, h);
    if (site || !room(s) || !(site = ph_new0(NULL, sizeof *site + name.n)))
        return site;
    if (name.n)
        memcpy(site + 1, name.p, name.n);
    site->name = (ph_str){(const char *)(site + 1), name.n};
    site->hash = h;
    site->local = !name.n;
    site->most = site->calm = site->local ? s->opt.local : s->opt.connections;
    site->limit = site->local ? s->opt.local : LIMIT_START;
    if (site->limit > site->most)
        site->limit = site->most;
    site->alarm.site = site;
    site->chain = s->site[h % BUCKETS];
    s->site[h % BUCKETS] = site;
    s->sites++;
    return site;
}

static void tidy_site(struct ph_sched *s, struct ph_site *site)
{
    if (site->dests || site->ready || site->flying || site->held_until || site->rest_until)
        return;
    ph_alarm_cut(&s->alarms, &site->alarm);
    struct ph_site **at = &s->site[site->hash % BUCKETS];
    while (*at != site)
        at = &(*at)->chain;
    *at = site->chain;
    s->sites--;
    free_site(site);
}

static void move_dest(struct ph_sched *s, struct ph_dest *d, struct ph_site *to)
{
    struct ph_site *from = d->site;
    d->site = to;
    to->dests++;
    if (from && !--from->dests)
        tidy_site(s, from);
}

/* ---- destinations ------------------------------------------------------------------------ */

/* The name of a site that nobody has told yet. */
static ph_str guess(ph_str domain, char buf[NAME_MAX])
{
    size_t n = domain.n < NAME_MAX - 1 ? domain.n : NAME_MAX - 1;
    buf[0] = '@';
    if (n)
        memcpy(buf + 1, domain.p, n);
    return (ph_str){buf, n ? n + 1 : 0};
}

struct ph_dest *ph_sched_dest(struct ph_sched *s, ph_str name)
{
    uint64_t h = ph_hash(&s->key, name);
    char buf[NAME_MAX];
    struct ph_dest **bucket = &s->dest[h % BUCKETS];
    for (struct ph_dest *d = *bucket; d; d = d->chain)
        if (d->hash == h && ph_str_eq(d->name, name))
            return d;
    if (s->dests >= SCHED_DESTS || !room(s))
        return NULL;
    struct ph_dest *d = ph_new0(NULL, sizeof *d + name.n);
    struct ph_site *site = d ? get_site(s, guess(name, buf)) : NULL;
    if (!site) {
        ph_free(NULL, d, sizeof *d + name.n);
        return NULL;
    }
    if (name.n)
        memcpy(d + 1, name.p, name.n);
    d->name = (ph_str){(const char *)(d + 1), name.n};
    d->hash = h;
    d->alarm.dest = d;
    d->chain = *bucket;
    *bucket = d;
    s->dests++;
    move_dest(s, d, site);
    return d;
}

void ph_sched_tidy(struct ph_sched *s, struct ph_dest *d)
{
    if (d->ready || d->pins || d->on_disk)
        return;
    ph_alarm_cut(&s->alarms, &d->alarm);
    struct ph_dest **at = &s->dest[d->hash % BUCKETS];
    while (*at != d)
        at = &(*at)->chain;
    *at = d->chain;
    s->dests--;
    if (!--d->site->dests)
        tidy_site(s, d->site);
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
        for (struct ph_dest *d = s->dest[i], *next; d; d = next) {
            next = d->chain;
            each(ctx, d);
        }
}

/* ---- senders at a site ---------------------------------------------------------------------- */

static struct ph_flow **flow_at(const struct ph_sched *s, const struct ph_site *site,
                                uint64_t sender)
{
    return (struct ph_flow **)&s->flow[(site->hash ^ sender) % BUCKETS];
}

/* Hashes stand for names here: two senders that collide share a queue. */
static struct ph_flow *find_flow(const struct ph_sched *s, const struct ph_site *site,
                                 uint64_t sender)
{
    struct ph_flow *f = *flow_at(s, site, sender);
    while (f && f->sender != (site->hash ^ sender))
        f = f->chain;
    return f;
}

static struct ph_flow *get_flow(struct ph_sched *s, struct ph_site *site, uint64_t sender)
{
    struct ph_flow *f = find_flow(s, site, sender), **bucket = flow_at(s, site, sender);
    if (f || !(f = ph_new0(NULL, sizeof *f)))
        return f;
    f->sender = site->hash ^ sender;
    f->last = &f->first;
    f->chain = *bucket;
    *bucket = f;
    f->next = f->prev = f;
    if (site->turn) { /* behind all that wait for their turn */
        f->next = site->turn;
        f->prev = site->turn->prev;
        f->prev->next = f;
        site->turn->prev = f;
    } else {
        site->turn = f;
    }
    return f;
}

static void end_flow(struct ph_sched *s, struct ph_site *site, struct ph_flow *f)
{
    struct ph_flow **at = flow_at(s, site, f->sender ^ site->hash);
    while (*at != f)
        at = &(*at)->chain;
    *at = f->chain;
    if (site->turn == f)
        site->turn = f->next == f ? NULL : f->next;
    f->next->prev = f->prev;
    f->prev->next = f->next;
    ph_free(NULL, f, sizeof *f);
}

bool ph_sched_room(const struct ph_sched *s, const struct ph_dest *d, uint64_t sender, int64_t now)
{
    const struct ph_flow *f = find_flow(s, d->site, sender);
    size_t ready = f ? f->ready : 0, most = d->name.n ? SCHED_READY : SCHED_JOBS / 2;
    size_t jobs = ready < SCHED_FEW ? SCHED_JOBS : SCHED_DISK_JOBS;
    return s->jobs < jobs && ready < most && d->site->held_until <= now;
}

static bool enqueue(struct ph_sched *s, struct ph_site *site, struct ph_sched_job *job)
{
    struct ph_flow *f = get_flow(s, site, job->sender);
    if (!f)
        return false;
    job->next = NULL;
    job->site = site;
    *f->last = job;
    f->last = &job->next;
    f->ready++;
    site->ready++;
    return true;
}

/* The first job of the sender whose turn it is; the turn goes on. */
static struct ph_sched_job *dequeue(struct ph_sched *s, struct ph_site *site)
{
    struct ph_flow *f = site->turn;
    if (!f)
        return NULL;
    struct ph_sched_job *job = f->first;
    f->first = job->next;
    f->ready--;
    site->ready--;
    site->turn = f->next;
    if (!f->first)
        end_flow(s, site, f);
    job->next = NULL;
    return job;
}

/* ---- jobs -------------------------------------------------------------------------------- */

bool ph_sched_ready(struct ph_sched *s, struct ph_dest *d, struct ph_sched_job *job)
{
    if (!enqueue(s, d->site, job))
        return false;
    job->dest = d;
    d->ready++;
    d->pins++; /* until back or shed */
    s->jobs++;
    ring_fix(s, d->site);
    fix_dest(s, d);
    return true;
}

struct ph_sched_job *ph_sched_take(struct ph_sched *s, bool local)
{
    struct ph_site *site = s->ring[local];
    if (!site)
        return NULL;
    struct ph_sched_job *job = dequeue(s, site);
    job->dest->ready--;
    site->flying++;
    s->ring[local] = site->next;
    ring_fix(s, site);
    fix_dest(s, job->dest);
    return job;
}

struct ph_sched_job *ph_sched_shed(struct ph_sched *s, struct ph_site *site)
{
    struct ph_sched_job *job = dequeue(s, site);
    if (!job)
        return NULL;
    job->dest->ready--;
    job->dest->pins--;
    s->jobs--;
    ring_fix(s, site);
    fix_dest(s, job->dest);
    return job;
}

static void grow(struct ph_site *site)
{
    if (site->limit < site->calm) {
        site->limit = site->limit * 2 < site->calm ? site->limit * 2 : site->calm;
    } else if (++site->good >= site->limit) {
        site->good = 0;
        site->limit += site->limit < site->most;
    }
}

void ph_sched_back(struct ph_sched *s, struct ph_sched_job *job, enum ph_sched_end end, int64_t now)
{
    struct ph_site *site = job->site;
    site->flying--;
    s->jobs--;
    job->dest->pins--;
    if (end == SCHED_WELL || end == SCHED_CROWDED) {
        site->fails = 0;
        site->held_until = 0;
    }
    if (end == SCHED_WELL) {
        grow(site);
    } else if (end == SCHED_CROWDED && !site->rest_until) { /* the first of several counts */
        site->limit = site->calm = site->limit > 1 ? site->limit / 2 : 1;
        site->good = 0;
        site->rest_until = now + CROWDED_US + (int64_t)(chance(s) % CROWDED_US);
    } else if (end == SCHED_SILENT && site->held_until <= now) {
        site->fails++;
        site->limit = 1;
        site->held_until = now + ph_sched_backoff(s, site->fails);
    }
    fix_site(s, site);
    tidy_site(s, site);
}

/* ---- who serves whom ------------------------------------------------------------------------ */

/* What is ready at a guessed site is of its one destination. */
static void move_jobs(struct ph_sched *s, struct ph_site *from, struct ph_site *to)
{
    struct ph_sched_job *job;
    while ((job = dequeue(s, from)))
        if (!enqueue(s, to, job)) { /* out of memory: as it was */
            (void)enqueue(s, from, job);
            break;
        }
    ring_fix(s, from);
    ring_fix(s, to);
}

void ph_sched_learn(struct ph_sched *s, struct ph_dest *d, ph_str site, unsigned most)
{
    struct ph_site *old = d->site, *now = site.n && !old->local ? get_site(s, site) : NULL;
    if (!now)
        return;
    if (now->most == now->calm)
        now->calm = most;
    now->most = most;
    if (now->limit > most)
        now->limit = most;
    if (now == old)
        return;
    old->dests++; /* not freed under us */
    move_dest(s, d, now);
    if (old->name.p[0] == '@')
        move_jobs(s, old, now);
    old->dests--;
    tidy_site(s, old);
}

void ph_sched_rest(struct ph_sched *s, struct ph_dest *d, int64_t until)
{
    if (until > d->site->rest_until)
        d->site->rest_until = until;
    fix_site(s, d->site);
}

/* ---- the disk ---------------------------------------------------------------------------- */

void ph_sched_on_disk(struct ph_sched *s, struct ph_dest *d, int64_t when)
{
    if (!d->on_disk || when < d->disk_when)
        d->disk_when = when;
    d->on_disk = true;
    fix_dest(s, d);
}

/* A time so far off was written before the clock went back. */
static bool is_due(const struct ph_sched *s, int64_t when, int64_t now)
{
    return when <= now || when > now + 2 * s->opt.most;
}

static void wake(struct ph_sched *s, struct ph_site *site, int64_t now)
{
    if (is_due(s, site->held_until, now))
        site->held_until = 0;
    if (is_due(s, site->rest_until, now))
        site->rest_until = 0;
    fix_site(s, site);
    tidy_site(s, site);
}

struct ph_dest *ph_sched_refill(struct ph_sched *s, int64_t now)
{
    struct ph_alarm *a;
    while ((a = ph_alarm_first(&s->alarms)) && is_due(s, a->when, now)) {
        struct ph_dest *d = a->dest;
        if (!d) {
            wake(s, a->site, now);
            continue;
        }
        if (d->site->held_until)
            wake(s, d->site, now);
        if (d->site->held_until) {
            d->disk_when = d->site->held_until;
            fix_dest(s, d);
            continue;
        }
        if (s->jobs >= SCHED_DISK_JOBS)
            return NULL;
        d->on_disk = false;
        fix_dest(s, d);
        return d;
    }
    return NULL;
}

int64_t ph_sched_when(const struct ph_sched *s)
{
    const struct ph_alarm *a = ph_alarm_first(&s->alarms);
    return a ? a->when : INT64_MAX;
}

void ph_sched_release(struct ph_sched *s, ph_str name)
{
    uint64_t h = ph_hash(&s->key, name);
    struct ph_dest *d = s->dest[h % BUCKETS];
    while (d && !(d->hash == h && ph_str_eq(d->name, name)))
        d = d->chain;
    if (!d)
        return;
    d->site->held_until = 0;
    d->site->fails = 0;
    if (d->on_disk)
        d->disk_when = 0;
    fix_site(s, d->site);
    fix_dest(s, d);
    ph_sched_tidy(s, d);
}
