/*
 * queue: the spool, the schedule and the journey journal. It owns data/queue and nothing else,
 * speaks to no network, and nobody's 250 is said before its commit. What is on disk when:
 * docs/queue.md; its rooms: work.h.
 */
#include "random.h"
#include "work.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
    FLUSH_MS = 20,         /* changes wait that long for letters to share a commit with */
    FLUSH_CHANGES = 20000, /* or until there are so many */
    LOG_PAGES = 1024,    /* the log is moved into the file when it is that long, after senders were
                             answered */
    LOG_PAGES_IDLE = 64, /* and when no letter is in hand */
    REPORT_MS = 1000,    /* reports under way: the keeper is asked again */
    FULL_MS = 50,        /* a peer's channel is full: tried again */
    IDLE_MS = 30 * 1000, /* clock jumps are noticed by then */
    DRAIN_MS = 10 * 1000 /* how long attempts under way are waited for */
};

/* Its privileges: its own folder; no network. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    *ret = (struct ph_sandbox){.may = PH_MAY_FILES | PH_MAY_MEMFD, .dir = p->data, .chroot = true};
}

static struct ph_sched_options schedule(const struct ph_conf *c)
{
    return (struct ph_sched_options){.first = c->retry_first * 1000,
                                     .most = c->retry_most * 1000,
                                     .connections = (unsigned)c->relay_connections,
                                     .local = LOCAL_FLYING};
}

/* ---- a turn ------------------------------------------------------------------------------ */

void work_soon(struct work *w)
{
    ph_loop_later(w->p->loop, &w->later);
}

/*
 * An fsync costs as much processor time as several letters, however many share it. When several
 * senders shared the last commit, as many are likely to be on their way again: this one waits for
 * them a moment. A sender that is alone never waits.
 */
static bool gathers(const struct work *w)
{
    size_t want = w->gather < GATHER_LETTERS ? w->gather : GATHER_LETTERS;
    return w->batch_n && w->batch_n < want && !w->p->draining &&
           ph_mono_us() - w->batch_at < GATHER_US;
}

static bool must_commit(struct work *w)
{
    size_t changes = ph_spool_changes(w->spool);
    if (w->batch || changes >= FLUSH_CHANGES)
        return true;
    if (!changes && !ph_spool_is_open(w->spool))
        return false;
    int64_t now = ph_loop_now(w->p->loop);
    if (!w->flush_at)
        w->flush_at = now + FLUSH_MS;
    return w->flush_at <= now;
}

static void set_timer(struct work *w)
{
    int64_t now = work_now(w), ms = IDLE_MS, wall = fill_when(w, now);
    if (wall != INT64_MAX) {
        int64_t left = wall <= now ? 0 : (wall - now) / 1000 + 1;
        ms = left < ms ? left : ms;
    }
    if (w->flush_at) {
        int64_t left = w->flush_at - ph_loop_now(w->p->loop);
        ms = left < ms ? left : ms;
    }
    if ((w->store_full || w->relay_full) && ms > FULL_MS)
        ms = FULL_MS;
    if (report_waits(w) && ms > REPORT_MS)
        ms = REPORT_MS;
    ph_timer_set(w->timer, ms > 0 ? ms : 1);
}

static void finish_drain(struct work *w)
{
    if (!w->p->draining || (w->flying_bytes && ph_loop_now(w->p->loop) < w->drain_at))
        return;
    work_commit(w);
    proc_done(w->p);
}

/* End of a turn: everything that arrived in it is known. */
static void turn(void *ctx)
{
    struct work *w = ctx;
    if (gathers(w)) { /* nothing else is done while a transaction with letters is open */
        ph_timer_set(w->timer, 1);
        return;
    }
    if (must_commit(w)) {
        work_commit(w);
        proc_flush(w->p); /* senders wait for it; the next ones are not taken in before */
    }
    int64_t now = work_now(w);
    fill_run(w, now);
    fill_sweep(w, now);
    if (act_run(w))
        work_soon(w);
    report_again(w);
    work_dispatch(w);
    proc_flush(w->p);
    if (ph_spool_checkpoint(w->spool, w->letter_count ? LOG_PAGES : LOG_PAGES_IDLE) < 0)
        ph_log(PH_LOG_WARN, (ph_str){0}, "checkpoint-failed", "why=%s", ph_spool_why(w->spool));
    finish_drain(w);
    set_timer(w);
}

/* ---- life -------------------------------------------------------------------------------- */

static int start(struct work *w, struct ph_error *reterr)
{
    struct proc *p = w->p;
    struct ph_sched_options opt = schedule(p->conf);
    w->batch_last = &w->batch;
    w->scan_at = INT64_MAX;
    ph_buf_init(&w->scan, NULL, 1024);
    ph_buf_init(&w->begin, NULL, BEGIN_BYTES);
    w->later = (struct ph_later){.fn = turn, .ctx = w};
    w->timer = ph_timer_new(p->loop, turn, w);
    w->sched = ph_sched_new(&opt, ph_random_u64());
    if (!w->timer || !w->sched)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    struct ph_spool_options so = {.journey = p->conf->journey};
    char path[4096];
    snprintf(path, sizeof path, "%s/queue.sqlite", strcmp(p->data, "/") ? p->data : "");
    int err = ph_spool_open(path, &so, &w->spool, reterr);
    if (err < 0)
        return err;
    work_clock(w);
    w->expire_from = work_now(w) + p->conf->retry_first * 1000;
    int64_t found = ph_spool_recover(w->spool, work_now(w));
    if (found < 0)
        return ph_fail(reterr, (int)-found, 0, "%s: %s; check the disk", path,
                       ph_spool_why(w->spool));
    if (found)
        ph_log(PH_LOG_INFO, (ph_str){0}, "resumed", "recipients=%lld", (long long)found);
    return 0;
}

static int opened(struct proc *p, struct ph_error *reterr, int *ret_exit_code)
{
    static struct work w;
    w = (struct work){.p = p};
    p->state = &w;
    int err = start(&w, reterr);
    if (err < 0) {
        *ret_exit_code = err == -PH_ECORRUPT ? EX_CONFIG : err == -PH_ENOMEM ? EX_OSERR : EX_IOERR;
        return err;
    }
    fill_start(&w);
    work_soon(&w);
    return 0;
}

static void peer_up(struct proc *p, int role, unsigned instance)
{
    struct work *w = p->state;
    (void)instance;
    if (role == ROLE_KEEPER)
        report_peer(w, true);
    work_soon(w);
}

static void peer_down(struct proc *p, int role, unsigned instance)
{
    struct work *w = p->state;
    put_forget(w, role, instance);
    work_peer_down(w, role);
    if (role == ROLE_KEEPER)
        report_peer(w, false);
    work_soon(w);
}

static void reload(struct proc *p)
{
    struct work *w = p->state;
    struct ph_sched_options opt = schedule(p->conf);
    ph_sched_options(w->sched, &opt);
    ph_spool_journey(w->spool, p->conf->journey);
}

static void drain(struct proc *p)
{
    struct work *w = p->state;
    w->drain_at = ph_loop_now(p->loop) + DRAIN_MS;
    work_soon(w);
}

static void ended(struct proc *p)
{
    struct work *w = p->state;
    w->spool = ph_spool_close(w->spool);
}

static void stats(struct proc *p, struct ph_buf *rows)
{
    const struct work *w = p->state;
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {{"queued", w->count.queued},
               {"refused", w->count.refused},
               {"delivered", w->count.delivered},
               {"relayed", w->count.relayed},
               {"deferred", w->count.deferred},
               {"bounced", w->count.bounced},
               {"expired", w->count.expired},
               {"commits", w->count.commits},
               {"letters_in_memory", w->letter_count},
               {"jobs", ph_sched_jobs(w->sched)},
               {"destinations", ph_sched_dests(w->sched)}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ipc_add(counter, rows,
                &((struct ipc_counter){.name = ph_str_c(all[i].name), .value = all[i].value}));
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {
    [IPC_QUEUE_PUT] = put_letter,    [IPC_DELIVERED] = work_delivered,
    [IPC_SYNCED] = work_synced,      [IPC_RELAY_TRIED] = work_relayed,
    [IPC_TRACE_GET] = trace_get,     [IPC_JOURNAL] = trace_journal,
    [IPC_REPORTED] = trace_reported, [IPC_RCPT_CHECKED] = report_checked,
    [IPC_QUEUE_ACT] = act_begin,
};

const struct proc_def proc_queue = {
    .role = ROLE_QUEUE,
    .handlers = handlers,
    .sandbox = sandbox,
    .opened = opened,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .reload = reload,
    .drain = drain,
    .ended = ended,
    .stats = stats,
};
