/*
 * worker.c - a thread that works some of the accounts, each account's jobs in the order they came.
 *
 *   wait -> take all that came -> per account: one transaction -> answers, or to a syncer first
 *     \-> sync round of accounts with commits that are not on disk -> idle work
 *
 * While it waits, its lock is free: the main thread takes it, and does one short job in its place.
 */
#include "grow.h"
#include "store_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GROUPS = 512 };

static const struct store_ops *const be = &store_sqlite;

int requests_add(struct requests *l, uint64_t req, unsigned epoch)
{
    struct request *v = ph_grow(l->v, l->n, &l->cap, sizeof *v);
    if (!v)
        return -PH_ENOMEM;
    l->v = v;
    l->v[l->n++] = (struct request){req, epoch};
    return 0;
}

struct dirty *dirty_free(struct dirty *d)
{
    if (d)
        free(d->reqs.v);
    free(d);
    return NULL;
}

/* ---- what is not on disk yet -------------------------------------------------------------- */

static struct dirty *dirty_of(struct worker *w, const struct job *j)
{
    struct dirty *d = w->dirty;
    while (d && d->account != j->account)
        d = d->next;
    if (d)
        return d;
    d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->account = j->account;
    d->due = ph_mono_us() + SYNC_SOON_US;
    int64_t slow = atomic_load(&w->h->sync_us) * SYNC_SHARE;
    if (slow > SYNC_SOON_US)
        d->due += (slow < SYNC_LATE_US ? slow : SYNC_LATE_US) - SYNC_SOON_US;
    memcpy(d->folder, j->folder.p, j->folder.n < STORE_FOLDER_MAX ? j->folder.n : STORE_FOLDER_MAX);
    d->next = w->dirty;
    w->dirty = d;
    return d;
}

static void dirty_unlink(struct worker *w, struct dirty *d)
{
    struct dirty **p = &w->dirty;
    while (*p != d)
        p = &(*p)->next;
    *p = d->next;
    d->next = NULL;
}

/* Everything of this account that is not on disk goes to a syncer; jobs and d wait for it. */
static int start_sync(struct worker *w, struct store_account *a, struct job *jobs, struct dirty *d)
{
    struct store_sync *y = NULL;
    int r = be->mark(a, &y);
    struct sync_task *t = r > 0 ? calloc(1, sizeof *t) : NULL;
    if (r > 0 && !t) {
        be->sync(y, false);
        return -PH_ENOMEM;
    }
    if (r < 0)
        return r;
    if (r == 0) { /* it is on disk already */
        main_post(w->h, jobs);
        if (d)
            main_synced(w->h, &d->reqs);
        dirty_free(d);
        return 0;
    }
    *t = (struct sync_task){.sync = y, .worker = w, .jobs = jobs, .dirty = d};
    sync_give(w->h, t);
    return 0;
}

/* Accounts whose time has come; all of them when `now` is INT64_MAX. */
static void sync_round(struct worker *w, int64_t now)
{
    for (struct dirty *d = w->dirty, *next; d; d = next) {
        struct store_account *a;
        struct ph_error e = {0};
        next = d->next;
        if (d->due > now)
            continue;
        dirty_unlink(w, d);
        int r = be->account(w->store, d->account, ph_str_c(d->folder), STORE_OPEN, &a, &e);
        if (r == -PH_ENOENT || r == -PH_EDENIED) { /* erased meanwhile */
            dirty_free(d);
            continue;
        }
        if (r >= 0)
            r = start_sync(w, a, NULL, d);
        if (r < 0) {
            ph_log(PH_LOG_ERROR, PH_STR(""), "sync", "account=%s error=%s", d->folder, e.text);
            d->due = ph_mono_us() + SYNC_LATE_US;
            d->next = w->dirty;
            w->dirty = d;
        }
    }
}

void worker_resync(struct worker *w, struct dirty *d)
{
    pthread_mutex_lock(&w->in.lock);
    d->next = w->back;
    w->back = d;
    pthread_cond_signal(&w->in.cond);
    pthread_mutex_unlock(&w->in.lock);
}

/* ---- jobs of one account ------------------------------------------------------------------ */

static void run_job(struct job *j, struct store_account *a)
{
    struct ph_error e = {0};
    job_reset(j);
    int r = store_ops_table[j->ask.type].run(j, a, &e);
    if (r < 0)
        job_fail(j, r, &e);
}

/* One transaction for all of them. False: it was rolled back. */
static bool run_all(struct store_account *a, struct job *jobs, struct ph_error *e)
{
    bool undo = false;
    be->txn(a, STORE_BEGIN, NULL);
    for (struct job *j = jobs; j; j = j->next) {
        run_job(j, a);
        undo |= j->undo;
    }
    return be->txn(a, !undo ? STORE_COMMIT : STORE_ABORT, e) >= 0 && !undo;
}

static void run_alone(struct store_account *a, struct job *j)
{
    struct ph_error e = {0};
    struct job *rest = j->next;
    j->next = NULL;
    if (!run_all(a, j, &e) && !j->failed)
        job_fail(j, e.code ? e.code : PH_EIO, &e);
    j->next = rest;
}

/* All of them in one transaction; when that fails, each in its own, so that one does not spoil the
 * others. */
static void run_batch(struct worker *w, struct store_account *a, struct job *jobs)
{
    struct ph_error e = {0};
    atomic_fetch_add(&w->h->count.batches, 1);
    if (jobs->next && run_all(a, jobs, &e))
        return;
    for (struct job *j = jobs; j; j = j->next)
        run_alone(a, j);
}

/* What a job takes of a transaction. Where the answer needs no flush, small ones let it go
 * early. */
static size_t share(const struct job *j)
{
    bool flushed = store_ops_table[j->ask.type].durable || j->ask.type == IPC_DELIVER;
    size_t most = flushed ? BATCH_JOBS : BATCH_ANSWERS, bytes = j->body.n;
    return BATCH_BYTES / most > bytes ? BATCH_BYTES / most : bytes;
}

/* What one transaction takes of a group; gives the rest. */
static struct job *cut_batch(struct job *jobs)
{
    struct job *last = jobs;
    for (size_t n = share(last); last->next && n < BATCH_BYTES; n += share(last))
        last = last->next;
    struct job *rest = last->next;
    last->next = NULL;
    return rest;
}

static void count_job(struct worker *w, const struct job *j)
{
    struct counters *c = &w->h->count;
    if (j->failed)
        atomic_fetch_add(&c->refused, 1);
    else if (j->ask.type == IPC_DELIVER)
        atomic_fetch_add(j->answer.DELIVERED.verdict == IPC_OK ? &c->delivered : &c->again, 1);
    else if (j->ask.type == IPC_MSG_APPEND)
        atomic_fetch_add(&c->appended, 1);
    else if (j->ask.type == IPC_MSG_BODY)
        atomic_fetch_add(&c->bodies, 1);
}

/* Answers what may be answered now; gives the rest, which must be on disk first. */
static struct job *sort_out(struct worker *w, struct job *jobs, struct dirty **ret_dirty)
{
    struct job *now = NULL, **now_end = &now, *later = NULL, **later_end = &later;
    for (struct job *j = jobs, *next; j; j = next) {
        next = j->next;
        j->next = NULL;
        count_job(w, j);
        bool wait = store_ops_table[j->ask.type].durable && !j->failed;
        bool wrote = j->touched_n && j->ask.type != IPC_MB_OPEN;
        if (!j->failed && !*ret_dirty && (wrote || wait || j->ask.type == IPC_DELIVER))
            *ret_dirty = dirty_of(w, j);
        if (!j->failed && j->ask.type == IPC_DELIVER &&
            (!*ret_dirty || requests_add(&(*ret_dirty)->reqs, j->ask.DELIVER.req, j->epoch) < 0))
            job_refuse(j, IPC_TEMP, "out of memory"); /* delivered again, which is a no-op */
        struct job ***end = wait ? &later_end : &now_end;
        **end = j;
        *end = &j->next;
    }
    main_post(w->h, now);
    return later;
}

static void fail_all(struct worker *w, struct job *jobs, int code, const struct ph_error *e)
{
    for (struct job *j = jobs; j; j = j->next) {
        job_reset(j);
        job_fail(j, code, e);
        count_job(w, j);
    }
    main_post(w->h, jobs);
}

static void erase(struct worker *w, struct job *j)
{
    struct ph_error e = {0};
    if (be->account(w->store, j->account, j->folder, STORE_ERASE, NULL, &e) < 0)
        ph_log(PH_LOG_ERROR, PH_STR(""), "erase", "error=%s", e.text);
    for (struct dirty *d = w->dirty; d; d = d->next)
        if (d->account == j->account) {
            dirty_unlink(w, d);
            dirty_free(d);
            break;
        }
    j->next = NULL;
    main_post(w->h, j);
}

static void run_group(struct worker *w, struct job *jobs)
{
    struct store_account *a;
    struct ph_error e = {0};
    struct dirty *d = NULL;
    bool create = false;
    for (struct job *j = jobs; j; j = j->next)
        create |= store_ops_table[j->ask.type].create;
    int r = be->account(w->store, jobs->account, jobs->folder,
                        create ? STORE_OPEN_CREATE : STORE_OPEN, &a, &e);
    if (r < 0) {
        index_returned(w, jobs);
        ph_log(PH_LOG_ERROR, PH_STR(""), "account", "folder=%.*s error=%s", PH_FMT(jobs->folder),
               e.text);
        fail_all(w, jobs, r, &e);
        return;
    }
    w->warm = jobs->account;
    struct job *later = NULL, **later_end = &later;
    for (struct job *j = jobs; j; j = j->next)
        if (j->ask.type == IPC_DELIVER || j->ask.type == IPC_MSG_APPEND ||
            j->ask.type == IPC_MSG_SEARCH)
            index_want(w, j->account, j->folder);
    while (jobs) {
        struct job *batch = jobs;
        jobs = cut_batch(batch);
        run_batch(w, a, batch);
        index_returned(w, batch);
        *later_end = sort_out(w, batch, &d);
        while (*later_end)
            later_end = &(*later_end)->next;
    }
    if (!later)
        return;
    if (d)
        dirty_unlink(w, d);
    r = start_sync(w, a, later, d);
    if (r < 0) {
        fail_all(w, later, r, &e);
        if (d) {
            d->next = w->dirty;
            w->dirty = d;
        }
    }
}

/* Sorts a round's jobs by account; each account keeps its order. A REVOKE ends a group. */
static void run_round(struct worker *w, struct job *jobs)
{
    struct job *group[GROUPS] = {0}, *first = NULL, **end = &first;
    for (struct job *j = jobs, *next; j; j = next) {
        next = j->next;
        j->next = j->more = NULL;
        struct job **at = &group[(j->account * 0x9e3779b97f4a7c15u >> 40) % GROUPS];
        bool revoke = j->ask.type == IPC_REVOKE;
        if (*at && (*at)->account == j->account && !revoke) {
            (*at)->last->next = j;
            (*at)->last = j;
            continue;
        }
        *end = j; /* `more` links the groups in the order of their first jobs */
        end = &j->more;
        j->last = j;
        *at = revoke ? NULL : j;
    }
    for (struct job *g = first, *next; g; g = next) {
        next = g->more;
        if (g->ask.type == IPC_REVOKE)
            erase(w, g);
        else
            run_group(w, g);
    }
}

/* ---- the thread --------------------------------------------------------------------------- */

static int64_t next_due(const struct worker *w, int64_t tend_at)
{
    int64_t due = tend_at;
    for (const struct dirty *d = w->dirty; d; d = d->next)
        due = d->due < due ? d->due : due;
    return due;
}

static void wait_until(struct queue *q, int64_t due)
{
    int64_t left = due - ph_mono_us();
    if (left <= 0)
        return;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + (left % 1000000) * 1000;
    t.tv_sec += left / 1000000 + ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&q->cond, &q->lock, &t);
}

/* Everything that came, or NULL when it is time for something else. */
static struct job *take(struct worker *w, int64_t due, bool *ret_stop)
{
    struct queue *q = &w->in;
    pthread_mutex_lock(&q->lock);
    w->asleep = !q->head && !w->stop && !w->back;
    w->until = due;
    if (w->asleep)
        wait_until(q, due);
    w->asleep = false;
    struct job *jobs = q->head;
    struct dirty *back = w->back;
    q->head = q->tail = NULL;
    w->back = NULL;
    *ret_stop = w->stop;
    pthread_mutex_unlock(&q->lock);
    while (back) {
        struct dirty *d = back;
        back = d->next;
        d->due = ph_mono_us() + SYNC_LATE_US;
        d->next = w->dirty;
        w->dirty = d;
    }
    return jobs;
}

static void worker_loop(struct worker *w)
{
    int64_t tend_at = ph_mono_us() + TEND_EVERY_US;
    for (bool stop = false; !stop;) {
        struct job *jobs = take(w, next_due(w, tend_at), &stop);
        if (jobs)
            run_round(w, jobs);
        int64_t now = ph_mono_us();
        sync_round(w, now);
        index_feed(w);
        if (!jobs && now >= tend_at) {
            int more = be->tend(w->store, ph_wall_us(), IDLE_US);
            tend_at = more ? now : now + TEND_EVERY_US;
        }
    }
}

static void *worker_main(void *ctx)
{
    struct worker *w = ctx;
    worker_loop(w);
    sync_round(w, INT64_MAX);
    pthread_mutex_lock(&w->h->done_lock);
    w->h->ended++;
    pthread_mutex_unlock(&w->h->done_lock);
    ph_loop_wake(w->h->p->loop);
    return NULL;
}

/* ---- main thread -------------------------------------------------------------------------- */

void worker_give(struct house_store *h, struct job *j)
{
    struct worker *w = &h->workers[(j->account * 0x9e3779b97f4a7c15u >> 33) % h->worker_n];
    j->next = NULL;
    *(w->fresh ? &w->fresh_tail->next : &w->fresh) = j;
    w->fresh_tail = j;
    ph_loop_later(h->p->loop, &h->hand_over);
}

/* One short job of the account that was worked last, whose pages are at hand: to do it here costs
 * less than to wake the thread. */
static bool is_short(const struct worker *w)
{
    const struct job *j = w->fresh;
    bool (*quick)(const struct job *) = store_ops_table[j->ask.type].quick;
    return w->asleep && !w->in.head && !j->next && j->account == w->warm && quick && quick(j);
}

/* What the main thread does itself it answers itself, too. */
static void run_here(struct worker *w)
{
    pthread_mutex_lock(&w->h->done_lock);
    w->h->main_takes = true;
    pthread_mutex_unlock(&w->h->done_lock);
    run_round(w, w->fresh);
}

void worker_hand_over(void *ctx)
{
    struct house_store *h = ctx;
    bool here = false;
    for (unsigned i = 0; i < h->worker_n; i++) {
        struct worker *w = &h->workers[i];
        if (!w->fresh)
            continue;
        pthread_mutex_lock(&w->in.lock);
        bool wake = true;
        if (is_short(w)) {
            run_here(w);
            here = true;
            /* the index can wait until it wakes by itself */
            wake = next_due(w, w->until) < w->until;
        } else {
            *(w->in.head ? &w->in.tail->next : &w->in.head) = w->fresh;
            w->in.tail = w->fresh_tail;
        }
        pthread_mutex_unlock(&w->in.lock);
        if (wake)
            pthread_cond_signal(&w->in.cond);
        w->fresh = w->fresh_tail = NULL;
    }
    if (here)
        main_take(h);
}

static int start_worker(struct house_store *h, struct worker *w, struct ph_error *reterr)
{
    struct store_options opt = {.root = h->root,
                                .max_message = h->max_message,
                                .limits = limits_get,
                                .ctx = h->limits,
                                .no_index = h->no_index,
                                .trash_us = h->trash_us,
                                .junk_us = h->junk_us};
    pthread_condattr_t attr;
    w->h = h;
    int r = be->new (&opt, &w->store, reterr);
    if (r < 0)
        return r;
    pthread_mutex_init(&w->in.lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->in.cond, &attr);
    pthread_condattr_destroy(&attr);
    int e = pthread_create(&w->thread, NULL, worker_main, w);
    if (e == 0)
        return 0;
    w->store = be->free(w->store);
    return ph_fail(reterr, PH_EAGAIN, e, "cannot start a thread: %s", strerror(e));
}

static int start_syncers(struct house_store *h, struct ph_error *reterr)
{
    for (int i = 0; i < SYNCERS; i++) {
        int e = pthread_create(&h->syncers[i], NULL, syncer_main, h);
        if (e)
            return ph_fail(reterr, PH_EAGAIN, e, "cannot start a thread: %s", strerror(e));
    }
    return 0;
}

int threads_start(struct house_store *h, struct ph_error *reterr)
{
    int r = start_syncers(h, reterr);
    for (unsigned i = 0; r >= 0 && i < h->worker_n; i++) {
        r = start_worker(h, &h->workers[i], reterr);
        h->running += r >= 0;
    }
    return r;
}

void threads_stop(struct house_store *h)
{
    worker_hand_over(h);
    for (unsigned i = 0; i < h->running; i++) {
        struct worker *w = &h->workers[i];
        pthread_mutex_lock(&w->in.lock);
        w->stop = true;
        pthread_cond_signal(&w->in.cond);
        pthread_mutex_unlock(&w->in.lock);
    }
}

/* After `ended` has reached `running`: the syncers finish what is left, then the files are
 * closed. */
void threads_join(struct house_store *h)
{
    pthread_mutex_lock(&h->sync_lock);
    h->sync_stop = true;
    pthread_cond_broadcast(&h->sync_cond);
    pthread_mutex_unlock(&h->sync_lock);
    for (int i = 0; i < SYNCERS; i++)
        pthread_join(h->syncers[i], NULL);
    for (unsigned i = 0; i < h->running; i++) {
        struct worker *w = &h->workers[i];
        pthread_join(w->thread, NULL);
        while (w->back || w->dirty) {
            struct dirty *d = w->back ? w->back : w->dirty;
            *(w->back ? &w->back : &w->dirty) = d->next;
            dirty_free(d);
        }
        w->store = be->free(w->store);
    }
    h->running = 0;
}
