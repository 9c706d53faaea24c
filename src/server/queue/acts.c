/*
 * acts.c - an administrator's wishes: retry, hold, release, remove, bounce. A wish goes through the
 * letters in pages, one in a turn of the loop, so that a million of them stop nobody; it is
 * answered when it is through.
 *
 *   QUEUE_ACT -> list of wishes -> act_run: a page -> ... -> QUEUE_ACTED
 */
#include "pick.h"
#include "work.h"

#include <string.h>

enum { ACTS_MAX = 8, PAGE = 500 };

struct act {
    bool used;
    uint64_t req;
    int action;
    struct ph_pick pick;
    char text[PH_PICK_TEXT];
    uint64_t after; /* letters up to here are done */
    uint64_t count;
};

struct acts {
    struct act all[ACTS_MAX];
};

/* ---- what is done to one recipient --------------------------------------------------------- */

static bool retry(struct work *w, struct letter *l, uint32_t i, struct report **report)
{
    (void)report;
    if (l->rcpts[i].next_try == PH_SPOOL_HELD || l->rcpts[i].next_try == PH_SPOOL_FRESH)
        return false;
    ph_sched_release(w->sched, l->rcpts[i].dest);
    work_wait(w, l, i, work_now(w), l->rcpts[i].reply);
    return true;
}

static void note(struct work *w, const struct letter *l, uint32_t i, int kind, const char *text)
{
    trace_event(w, l,
                (struct ph_spool_event){
                    .kind = (uint8_t)kind, .rcpt = l->rcpts[i].address, .note = ph_str_c(text)});
}

static bool hold(struct work *w, struct letter *l, uint32_t i, struct report **report)
{
    (void)report;
    if (l->rcpts[i].next_try == PH_SPOOL_HELD)
        return false;
    note(w, l, i, EV_DEFERRED, "held by an administrator");
    work_wait(w, l, i, PH_SPOOL_HELD, l->rcpts[i].reply);
    return true;
}

static bool release(struct work *w, struct letter *l, uint32_t i, struct report **report)
{
    (void)report;
    if (l->rcpts[i].next_try != PH_SPOOL_HELD)
        return false;
    note(w, l, i, EV_DEFERRED, "released by an administrator");
    work_wait(w, l, i, work_now(w), l->rcpts[i].reply);
    return true;
}

static bool drop(struct work *w, struct letter *l, uint32_t i, struct report **report)
{
    (void)report;
    note(w, l, i, EV_EXPIRED, "removed by an administrator");
    work_done(w, l, i);
    return true;
}

static bool bounce(struct work *w, struct letter *l, uint32_t i, struct report **report)
{
    if (!*report && !(*report = report_new(w, l)))
        return false;
    report_add(w, *report, i,
               &(struct ph_dsn_rcpt){.action = PH_DSN_FAILED,
                                     .reply = PH_STR("554 5.7.0 an administrator of this server "
                                                     "took the letter out of its queue")});
    return true;
}

static bool (*const actions[])(struct work *w, struct letter *l, uint32_t i,
                               struct report **report) = {
    [IPC_ACT_RETRY] = retry, [IPC_ACT_HOLD] = hold,     [IPC_ACT_RELEASE] = release,
    [IPC_ACT_REMOVE] = drop, [IPC_ACT_BOUNCE] = bounce,
};

/* ---- one letter -------------------------------------------------------------------------- */

/* A job that is ready in memory goes back to disk first, with all of its site. One that is
 * on its way: too late. */
static bool is_at_rest(struct work *w, struct letter *l, uint32_t i)
{
    if (l->jobs[i] && l->jobs[i]->state == JOB_READY)
        fill_shed(w, l->jobs[i]->s.site, work_now(w));
    return !l->jobs[i] && l->rcpts[i].next_try != LETTER_RCPT_GONE;
}

static void act_letter(struct work *w, struct act *a, uint64_t qid)
{
    struct letter *l = letter_find(w, qid);
    struct report *report = NULL;
    if (l)
        letter_hold(w, l);
    else if (!(l = letter_load(w, qid)))
        return;
    bool meant = ph_pick_letter(&a->pick, &l->l, work_now(w));
    for (uint32_t i = 0; meant && i < l->n; i++)
        if (ph_pick_rcpt(&a->pick, &l->rcpts[i]) && is_at_rest(w, l, i))
            a->count += actions[a->action](w, l, i, &report);
    report_send(w, report);
    letter_drop(w, l);
}

/* ---- the wishes -------------------------------------------------------------------------- */

static void forget_cursor(void *ctx, struct ph_dest *d)
{
    (void)ctx;
    ph_sched_unsee(d);
}

static void answer(struct work *w, const struct act *a, int verdict, const char *text)
{
    if (ipc_send(proc_parent(w->p), QUEUE_ACTED, -1, .req = a->req, .verdict = (uint8_t)verdict,
                 .count = a->count, .text = ph_str_c(text)))
        ph_log(PH_LOG_DEBUG, (ph_str){0}, "act-unanswered", "");
}

static void end(struct work *w, struct act *a)
{
    static const char *const names[] = {"retry", "hold", "release", "remove", "bounce"};
    work_commit(w); /* who asks next sees it */
    ph_log(PH_LOG_INFO, (ph_str){0}, names[a->action], "recipients=%llu",
           (unsigned long long)a->count);
    answer(w, a, IPC_OK, "");
    a->used = false;
    ph_sched_each(w->sched, forget_cursor, NULL); /* what was passed by may be due now */
    fill_start(w);
    work_soon(w);
}

bool act_run(struct work *w)
{
    struct ph_spool_age ages[PAGE];
    struct act *a = NULL;
    for (size_t i = 0; w->acts && i < ACTS_MAX && !a; i++)
        a = w->acts->all[i].used ? &w->acts->all[i] : NULL;
    if (!a)
        return false;
    if (a->pick.qid) {
        act_letter(w, a, a->pick.qid);
        end(w, a);
        return true;
    }
    int n = ph_spool_ages(w->spool, a->after, ages, PAGE);
    for (int i = 0; i < n; i++)
        act_letter(w, a, ages[i].qid);
    if (n < PAGE)
        end(w, a);
    else
        a->after = ages[n - 1].qid;
    return true;
}

void act_begin(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct work *w = p->state;
    const struct ipc_QUEUE_ACT *m = &msg->QUEUE_ACT;
    struct act *a = NULL;
    (void)from;
    if (!w->acts)
        w->acts = ph_new0(NULL, sizeof *w->acts);
    for (size_t i = 0; w->acts && i < ACTS_MAX && !a; i++)
        a = w->acts->all[i].used ? NULL : &w->acts->all[i];
    if (!a) {
        answer(w, &(struct act){.req = m->req}, IPC_TEMP, "the queue is busy with other wishes");
        return;
    }
    *a = (struct act){.used = true, .req = m->req, .action = m->action};
    if (m->filter.n)
        memcpy(a->text, m->filter.p, m->filter.n);
    if (ph_pick_read((ph_str){a->text, m->filter.n}, &a->pick, NULL) < 0 ||
        ph_pick_is_empty(&a->pick)) {
        answer(w, a, IPC_INVALID, "the queue does not know these words");
        a->used = false;
        return;
    }
    work_soon(w);
}
