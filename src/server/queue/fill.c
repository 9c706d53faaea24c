/* fill.c - what waits on disk: finding destinations, what is due for them, what is too old. */
#include "work.h"

#include <string.h>

enum {
    SCAN_PAGE = 500,      /* destinations found in one turn */
    SCAN_AGAIN = 30,      /* seconds until those that did not fit are looked for again */
    SWEEP_PAGE = 500,     /* letters looked at in one turn */
    SWEEP_PAUSE_MS = 100, /* between pages */
    SWEEP_LEAST_MS = 500, /* and between sweeps: a quarter of the lifetime, between these */
    SWEEP_MOST_MS = 60 * 1000,
    PRUNE_MS = 60 * 1000
};

/* ---- destinations on disk ------------------------------------------------------------------ */

void fill_start(struct work *w)
{
    ph_buf_clear(&w->scan);
    w->scanning = w->scan_first = true;
    w->scan_at = work_now(w);
}

static void scan(struct work *w, int64_t now)
{
    struct ph_buf found;
    int64_t when;
    int got = 1;
    ph_buf_init(&found, NULL, 1024);
    for (int i = 0; i < SCAN_PAGE && got > 0; i++) {
        ph_buf_clear(&found);
        got = ph_spool_dest_next(w->spool, ph_buf_str(&w->scan), w->scan_first, &found, &when);
        if (got <= 0)
            break;
        struct ph_dest *d = ph_sched_dest(w->sched, ph_buf_str(&found));
        if (!d) { /* memory is full of destinations: the rest comes into sight when some are done */
            got = -PH_ELIMIT;
            break;
        }
        if (!d->seen && when != PH_SPOOL_HELD)
            ph_sched_on_disk(w->sched, d, when);
        ph_sched_tidy(w->sched, d);
        w->scan_first = false;
        ph_buf_clear(&w->scan);
        ph_buf_add(&w->scan, ph_buf_str(&found));
    }
    ph_buf_done(&found);
    if (!got) {
        w->scanning = false;
        w->scan_at = INT64_MAX;
    } else {
        w->scan_at = got > 0 ? now : now + (int64_t)SCAN_AGAIN * 1000000;
    }
}

/* ---- what is due ------------------------------------------------------------------------- */

/* A time so far off was written before the clock went back. */
static bool is_due(const struct work *w, int64_t when, int64_t now)
{
    return when <= now || (when != PH_SPOOL_HELD && when > now + 2 * w->p->conf->retry_most * 1000);
}

static void fill_row(struct work *w, struct ph_dest *d, const struct ph_spool_due *row, int64_t now)
{
    struct letter *l = letter_find(w, row->qid);
    bool loaded = !l;
    if (loaded)
        l = letter_load(w, row->qid);
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++) /* a time before the clock went back */
        if (l->rcpts[i].idx == row->idx && !l->jobs[i] && row->next_try > now)
            l->rcpts[i].next_try = now;
    work_jobs(w, l, d, now);
    if (loaded)
        letter_drop(w, l);
}

_Static_assert((int)SCHED_LANES == (int)PH_SPOOL_LANES, "a cursor for each lane");

/* One page of a destination while it is read. */
struct page {
    struct work *w;
    struct ph_dest *d;
    int64_t now, next; /* next: the earliest in the future */
    int left;          /* rows that it may still have */
    struct ph_seen seen;
    unsigned lanes[SCHED_LANES];
    size_t n; /* lanes that may have more that is due */
};

/* The lanes that have something, from the one whose turn it is on. */
static int find_lanes(struct page *g)
{
    unsigned lane;
    int64_t when;
    int got = 1;
    for (unsigned from = 0; got > 0 && from < SCHED_LANES; from = lane + 1) {
        got = ph_spool_lane_next(g->w->spool, g->d->name, from, &lane, &when);
        if (got > 0)
            g->lanes[g->n++] = lane;
    }
    for (size_t turned = 0; turned < g->n && g->lanes[0] < g->d->lane; turned++) {
        lane = g->lanes[0];
        memmove(g->lanes, g->lanes + 1, (g->n - 1) * sizeof *g->lanes);
        g->lanes[g->n - 1] = lane;
    }
    return got;
}

/* Up to `most` due rows of a lane. 1: there may be more, 0: no, or an error. */
static int fill_lane(struct page *g, unsigned lane, int most)
{
    struct ph_spool_due rows[FILL_PAGE];
    struct ph_spool_due after = {.next_try = g->seen.lane[lane].when,
                                 .qid = g->seen.lane[lane].qid,
                                 .idx = g->seen.lane[lane].idx};
    if (!after.qid)
        after.next_try = INT64_MIN;
    int n = ph_spool_due(g->w->spool, g->d->name, lane, &after, rows, (size_t)most), i = 0;
    for (; i < n && is_due(g->w, rows[i].next_try, g->now); i++) {
        fill_row(g->w, g->d, &rows[i], g->now);
        g->seen.lane[lane].when = rows[i].next_try;
        g->seen.lane[lane].qid = rows[i].qid;
        g->seen.lane[lane].idx = rows[i].idx;
    }
    if (i < n && rows[i].next_try != PH_SPOOL_HELD && rows[i].next_try < g->next)
        g->next = rows[i].next_try;
    g->left -= i;
    return n < 0 ? n : i == most;
}

/* Lanes take turns, so that the letters of a mailing do not hide those of others. */
static int fill_lanes(struct page *g)
{
    int share = g->n ? g->left / (int)g->n : 0, r = 0;
    share = share > 0 ? share : 1;
    while (g->n && g->left > 0 && r >= 0) {
        size_t open = 0;
        for (size_t i = 0; i < g->n && r >= 0; i++) {
            unsigned lane = g->lanes[i];
            r = 1;
            if (g->left > 0) {
                r = fill_lane(g, lane, share < g->left ? share : g->left);
                g->d->lane = lane + 1;
            }
            if (r > 0)
                g->lanes[open++] = lane;
        }
        g->n = open;
    }
    return r;
}

/* What was seen is kept until all of it was. */
static bool keep_seen(struct page *g)
{
    struct ph_dest *d = g->d;
    if (!g->n)
        ph_sched_unsee(d);
    else if (!d->seen && !(d->seen = ph_new0(NULL, sizeof *d->seen)))
        return false;
    else
        *d->seen = g->seen;
    return true;
}

static void fill_dest(struct work *w, struct ph_dest *d, int64_t now)
{
    struct page g = {.w = w, .d = d, .now = now, .next = INT64_MAX};
    /* Where nobody answered the last time, one is asked first. */
    g.left = d->site->fails ? FILL_PROBE : FILL_PAGE;
    if (d->seen)
        g.seen = *d->seen;
    d->pins++;
    int r = find_lanes(&g);
    if (r >= 0)
        r = fill_lanes(&g);
    if (r < 0 || !keep_seen(&g)) /* the disk fails, or memory: later */
        ph_sched_on_disk(w->sched, d, now + 1000000);
    else if (g.n)
        ph_sched_on_disk(w->sched, d, now);
    else if (g.next != INT64_MAX)
        ph_sched_on_disk(w->sched, d, g.next);
    d->pins--;
    ph_sched_tidy(w->sched, d);
}

void fill_run(struct work *w, int64_t now)
{
    struct ph_dest *d;
    if (w->p->draining)
        return;
    if (w->scanning && w->scan_at <= now)
        scan(w, now);
    else if (w->scan_at <= now)
        fill_start(w);
    for (int i = 0; i < FILL_DESTS && (d = ph_sched_refill(w->sched, now)); i++)
        fill_dest(w, d, now);
}

void fill_shed(struct work *w, struct ph_site *site, int64_t now)
{
    struct ph_sched_job *s;
    while ((s = ph_sched_shed(w->sched, site))) {
        struct job *job = (struct job *)s;
        struct letter *l = job->letter;
        struct ph_dest *d = s->dest;
        for (uint32_t k = 0; k < job->n; k++)
            if (l->rcpts[job->which[k]].next_try == PH_SPOOL_FRESH)
                work_wait(w, l, job->which[k], now, (ph_str){0});
        work_job_free(w, job);
        ph_sched_unsee(d);
        ph_sched_on_disk(w->sched, d, now);
    }
}

/* ---- what is too old ----------------------------------------------------------------------- */

static void expire(struct work *w, uint64_t qid)
{
    struct letter *l = letter_find(w, qid);
    struct report *report = NULL;
    if (l)
        letter_hold(w, l);
    else if (!(l = letter_load(w, qid)))
        return;
    for (size_t i = 0; i < l->n; i++) {
        if (l->jobs[i] || l->rcpts[i].next_try == PH_SPOOL_FRESH ||
            l->rcpts[i].next_try >= PH_SPOOL_HELD)
            continue;
        if (!report)
            report = report_new(w, l);
        ph_str reply =
            l->rcpts[i].reply.n ? l->rcpts[i].reply : PH_STR("the destination did not answer");
        report_add(w, report, (uint32_t)i,
                   &(struct ph_dsn_rcpt){.action = PH_DSN_EXPIRED, .reply = reply});
    }
    report_send(w, report);
    letter_drop(w, l);
}

static void tell_delay(struct work *w, uint64_t qid)
{
    struct letter *l = letter_find(w, qid);
    if (l)
        letter_hold(w, l);
    else if (!(l = letter_load(w, qid)))
        return;
    if (!(l->l.flags & LETTER_FLAG_DELAYED)) /* else it is being told now */
        report_delay(w, l);
    letter_drop(w, l);
}

static void sweep_letter(struct work *w, const struct ph_spool_age *letter, int64_t now)
{
    int64_t age = now - letter->received, notice = w->p->conf->delay_notice * 1000;
    if (age >= work_lifetime(w) && now >= w->expire_from)
        expire(w, letter->qid);
    else if (notice && age >= notice && !(letter->flags & LETTER_FLAG_DELAYED))
        tell_delay(w, letter->qid);
}

static int64_t sweep_pause(const struct work *w)
{
    const struct ph_conf *c = w->p->conf;
    bool notice = c->delay_notice && c->delay_notice < c->queue_lifetime;
    int64_t ms = (notice ? c->delay_notice : c->queue_lifetime) / 4;
    return ms < SWEEP_LEAST_MS ? SWEEP_LEAST_MS : ms > SWEEP_MOST_MS ? SWEEP_MOST_MS : ms;
}

void fill_sweep(struct work *w, int64_t now)
{
    struct ph_spool_age ages[SWEEP_PAGE];
    if (w->p->draining)
        return;
    if (w->prune_at <= now || w->prune_at > now + 10 * PRUNE_MS * INT64_C(1000)) {
        w->prune_at = now + PRUNE_MS * INT64_C(1000);
        trace_prune(w, now);
    }
    if (w->sweep_at > now && w->sweep_at < now + 10 * SWEEP_MOST_MS * INT64_C(1000))
        return;
    int n = ph_spool_ages(w->spool, w->sweep_qid, ages, SWEEP_PAGE);
    for (int i = 0; i < n; i++)
        sweep_letter(w, &ages[i], now);
    bool more = n == SWEEP_PAGE;
    w->sweep_qid = more ? ages[n - 1].qid : 0;
    w->sweep_at = now + (more ? SWEEP_PAUSE_MS : sweep_pause(w)) * INT64_C(1000);
}

int64_t fill_when(const struct work *w, int64_t now)
{
    int64_t when = ph_sched_when(w->sched);
    if (when <= now && ph_sched_jobs(w->sched) >= SCHED_DISK_JOBS)
        when = now + 1000000;
    if (w->scan_at < when)
        when = w->scan_at;
    if (w->sweep_at < when)
        when = w->sweep_at;
    return w->prune_at < when ? w->prune_at : when;
}
