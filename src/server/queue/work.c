/* work.c - jobs: sending them to store and relay, and what their answers mean. States: work.h. */
#include "work.h"

#include <stdio.h>
#include <string.h>

enum { SLOT_BITS = 20, SLOTS_MAX = 1 << SLOT_BITS, TEXT_MAX = 2048 };

static void job_event(struct work *w, const struct letter *l, uint32_t i, struct ph_spool_event e)
{
    e.rcpt = l->rcpts[i].address;
    trace_event(w, l, e);
}

/* ---- request numbers --------------------------------------------------------------------- */

static bool number(struct work *w, struct job *job)
{
    for (size_t tries = 0; tries < w->slots_cap; tries++) {
        size_t at = (w->free_slot_hint + tries) % w->slots_cap;
        if (w->slots[at])
            continue;
        w->slots[at] = job;
        w->free_slot_hint = at + 1;
        job->req = ++w->serial << SLOT_BITS | at;
        return true;
    }
    if (w->slots_cap >= SLOTS_MAX)
        return false;
    size_t cap = w->slots_cap ? w->slots_cap * 2 : 1024;
    struct job **more = ph_resize(NULL, w->slots, w->slots_cap * sizeof *more, cap * sizeof *more);
    if (!more)
        return false;
    memset(more + w->slots_cap, 0, (cap - w->slots_cap) * sizeof *more);
    w->slots = more;
    w->free_slot_hint = w->slots_cap;
    w->slots_cap = cap;
    return number(w, job);
}

static struct job *numbered(struct work *w, uint64_t req)
{
    size_t at = req & (SLOTS_MAX - 1);
    struct job *job = at < w->slots_cap ? w->slots[at] : NULL;
    return job && job->req == req ? job : NULL;
}

static void unnumber(struct work *w, struct job *job)
{
    if (job->req)
        w->slots[job->req & (SLOTS_MAX - 1)] = NULL;
    job->req = 0;
}

/* ---- making and ending them ---------------------------------------------------------------- */

static void forget_job(struct letter *l, struct job *job)
{
    for (uint32_t i = 0; i < job->n; i++)
        if (l->jobs[job->which[i]] == job)
            l->jobs[job->which[i]] = NULL;
    ph_free(NULL, job, sizeof *job + job->n * sizeof *job->which);
}

void work_job_free(struct work *w, struct job *job)
{
    struct letter *l = job->letter;
    unnumber(w, job);
    if (job->state == JOB_READY && --l->ready == 0)
        letter_body_drop(w, l);
    forget_job(l, job);
    letter_drop(w, l);
}

void work_wait(struct work *w, struct letter *l, uint32_t i, int64_t when, ph_str reply)
{
    struct ph_spool_rcpt *r = &l->rcpts[i];
    r->next_try = when;
    if (ph_spool_wait(w->spool, l->l.qid, r->idx, r->attempts, when, reply) < 0)
        ph_log(PH_LOG_ERROR, l->l.message_id, "change-lost", "qid=%llu",
               (unsigned long long)l->l.qid);
    struct ph_dest *d = ph_sched_dest(w->sched, r->dest);
    if (d && when != PH_SPOOL_HELD)
        ph_sched_on_disk(w->sched, d, when);
    if (d)
        ph_sched_tidy(w->sched, d);
    work_soon(w);
}

void work_done(struct work *w, struct letter *l, uint32_t i)
{
    l->rcpts[i].next_try = LETTER_RCPT_GONE; /* the letter may stay in memory */
    if (ph_spool_done(w->spool, l->l.qid, l->rcpts[i].idx) < 0)
        ph_log(PH_LOG_ERROR, l->l.message_id, "change-lost", "qid=%llu",
               (unsigned long long)l->l.qid);
    work_soon(w);
}

static bool wants(const struct letter *l, size_t i, int64_t due)
{
    return !l->jobs[i] && l->rcpts[i].next_try <= due;
}

static bool make_job(struct work *w, struct letter *l, struct ph_dest *d, size_t from, uint32_t n)
{
    struct job *job = ph_new0(NULL, sizeof *job + n * sizeof *job->which);
    if (!job)
        return false;
    job->letter = l;
    job->n = n;
    for (uint32_t i = 0; i < n; i++) {
        job->which[i] = (uint32_t)(from + i);
        l->jobs[from + i] = job;
    }
    job->s.sender = ph_sched_sender(w->sched, l->l.sender);
    if (!ph_sched_ready(w->sched, d, &job->s)) {
        forget_job(l, job);
        return false;
    }
    l->ready++;
    letter_hold(w, l);
    return true;
}

/* An alias has no way of its own: what is left of it is to tell the sender. */
static void tell_expanded(struct work *w, struct letter *l, uint32_t i)
{
    struct report *report = report_new(w, l);
    report_add(w, report, i, &(struct ph_dsn_rcpt){.action = PH_DSN_EXPANDED});
    report_send(w, report);
}

void work_jobs(struct work *w, struct letter *l, const struct ph_dest *only, int64_t due)
{
    int64_t now = work_now(w);
    for (size_t i = 0, n; i < l->n; i += n) {
        n = 1;
        if (!wants(l, i, due) || (only && !ph_str_eq(l->rcpts[i].dest, only->name)))
            continue;
        if (l->rcpts[i].target == PH_SPOOL_EXPANDED) {
            tell_expanded(w, l, (uint32_t)i);
            continue;
        }
        bool local = l->rcpts[i].target == PH_SPOOL_LOCAL;
        while (!local && i + n < l->n && n < RCPTS_PER_TRY && wants(l, i + n, due) &&
               ph_str_eq(l->rcpts[i].dest, l->rcpts[i + n].dest))
            n++;
        struct ph_dest *d = ph_sched_dest(w->sched, l->rcpts[i].dest);
        if (d && make_job(w, l, d, i, (uint32_t)n))
            continue;
        for (size_t j = i; j < i + n; j++) /* no room to remember it: on disk it is found [Q7] */
            if (l->rcpts[j].next_try == PH_SPOOL_FRESH)
                work_wait(w, l, (uint32_t)j, now, (ph_str){0});
        if (!w->scanning)
            w->scan_at = now;
    }
    if (w->kept > KEEP_BYTES || !l->ready)
        letter_body_drop(w, l);
}

/* It is ready again; where there is no memory even for that, it is found on disk [Q7]. */
static void requeue(struct work *w, struct job *job)
{
    struct ph_dest *d = job->s.dest;
    struct letter *l = job->letter;
    unnumber(w, job);
    d->pins++;
    ph_sched_back(w->sched, &job->s, SCHED_UNDONE, work_now(w));
    bool again = ph_sched_ready(w->sched, d, &job->s);
    d->pins--;
    if (again)
        return;
    letter_hold(w, l);
    for (uint32_t k = 0; k < job->n; k++)
        work_wait(w, l, job->which[k], work_now(w), l->rcpts[job->which[k]].reply);
    work_job_free(w, job);
    letter_drop(w, l);
}

/* A flying job is ready again: its peer died, and nobody knows what became of it, or it was not
 * tried after all. */
static void again(struct work *w, struct job *job)
{
    if (job->s.dest->name.n)
        w->flying_bytes -= job->letter->l.size;
    job->state = JOB_READY;
    job->letter->ready++;
    requeue(w, job);
}

static void finish(struct work *w, struct job *job, enum ph_sched_end end, int64_t now)
{
    struct ph_dest *d = job->s.dest;
    if (d->name.n)
        w->flying_bytes -= job->letter->l.size;
    d->pins++;
    ph_sched_back(w->sched, &job->s, end, now);
    work_job_free(w, job);
    if (d->site->held_until > now)
        fill_shed(w, d->site, now);
    d->pins--;
    ph_sched_tidy(w->sched, d);
    work_soon(w);
}

/* ---- sending ----------------------------------------------------------------------------- */

static ph_str body_of(const struct letter *l)
{
    return l->fd >= 0 ? (ph_str){0}
                      : (ph_str){l->bytes + l->summary_n, l->bytes_n - 1 - l->summary_n};
}

static int deliver(const struct work *w, struct ipc_chan *chan, const struct job *job)
{
    const struct letter *l = job->letter;
    const struct ph_spool_rcpt *r = &l->rcpts[job->which[0]];
    return ipc_send(chan, DELIVER, l->fd, .req = job->req, .qid = l->l.qid, .address = r->address,
                    .account = r->account, .folder = r->folder, .mailbox = r->mailbox,
                    .received = work_wall(w, l->l.received), .message_id = l->l.message_id,
                    .size = l->l.size, .packed = (l->l.flags & IPC_PACKED) != 0,
                    .summary = {l->bytes, l->summary_n}, .body = body_of(l));
}

static int relay(struct ipc_chan *chan, const struct job *job)
{
    const struct letter *l = job->letter;
    struct ph_buf rows;
    ph_buf_init(&rows, NULL, 524288);
    for (uint32_t i = 0; i < job->n; i++) {
        const struct ph_spool_rcpt *r = &l->rcpts[job->which[i]];
        ipc_add(rcpt, &rows,
                &((struct ipc_rcpt){.target = IPC_REMOTE,
                                    .address = r->address,
                                    .original = r->original,
                                    .domain = r->dest,
                                    .notify = r->notify}));
    }
    int err = ph_buf_err(&rows);
    if (!err)
        err = ipc_send(chan, RELAY_TRY, l->fd, .req = job->req, .qid = l->l.qid,
                       .sender = l->l.sender, .domain = l->rcpts[job->which[0]].dest,
                       .rcpts = ph_buf_str(&rows), .skip = l->l.skip, .flags = l->l.flags & 0xffff,
                       .envid = l->l.envid, .size = l->l.size, .body = body_of(l));
    ph_buf_done(&rows);
    return err;
}

/* false: the channel takes no more now. */
static bool start(struct work *w, struct ipc_chan *chan, struct job *job, bool local)
{
    struct letter *l = job->letter;
    int err = -PH_ENOMEM;
    if (letter_body(w, l) && number(w, job))
        err = local ? deliver(w, chan, job) : relay(chan, job);
    if (err < 0) {
        requeue(w, job);
        return false;
    }
    job->state = JOB_FLYING;
    job->started = work_now(w);
    if (!local)
        w->flying_bytes += l->l.size;
    if (--l->ready == 0)
        letter_body_drop(w, l);
    return true;
}

static bool may_fly(const struct work *w, bool local)
{
    return local || w->flying_bytes < FLYING_BYTES;
}

void work_dispatch(struct work *w)
{
    static const struct {
        bool local;
        int role;
    } ways[] = {{true, ROLE_STORE}, {false, ROLE_RELAY}};
    if (w->p->draining)
        return;
    for (size_t i = 0; i < 2; i++) {
        struct ipc_chan *chan = proc_peer(w->p, ways[i].role);
        bool *full = ways[i].local ? &w->store_full : &w->relay_full;
        *full = false;
        struct ph_sched_job *s;
        while (chan && !*full && may_fly(w, ways[i].local) &&
               (s = ph_sched_take(w->sched, ways[i].local)))
            *full = !start(w, chan, (struct job *)s, ways[i].local);
    }
}

void work_peer_down(struct work *w, int role)
{
    if (role != ROLE_STORE && role != ROLE_RELAY)
        return;
    for (size_t i = 0; i < w->slots_cap; i++) {
        struct job *job = w->slots[i];
        if (job && (job->s.dest->name.n == 0) == (role == ROLE_STORE))
            again(w, job);
    }
}

/* ---- what became of a recipient ------------------------------------------------------------ */

int64_t work_lifetime(const struct work *w)
{
    return w->p->conf->queue_lifetime * 1000;
}

static const char *wait_text(int64_t us, char *buf, size_t n)
{
    int64_t s = (us + 500000) / 1000000;
    if (s < 120)
        snprintf(buf, n, "tried again in %lld s", (long long)s);
    else if (s < 7200)
        snprintf(buf, n, "tried again in %lld min", (long long)(s / 60));
    else
        snprintf(buf, n, "tried again in %lld h", (long long)(s / 3600));
    return buf;
}

/* 4xx, or nobody answered: waits, or is given up when its time is over (then it is added to the
 * report). */
static void defer(struct work *w, struct letter *l, uint32_t i, ph_str reply, int64_t held,
                  struct report **report)
{
    int64_t now = work_now(w);
    struct ph_spool_rcpt *r = &l->rcpts[i];
    r->attempts++;
    int64_t when = held > now ? held : now + ph_sched_backoff(w->sched, r->attempts);
    w->count.deferred++;
    if (now - l->l.received >= work_lifetime(w)) {
        if (!*report)
            *report = report_new(w, l);
        report_add(w, *report, i, &(struct ph_dsn_rcpt){.action = PH_DSN_EXPIRED, .reply = reply});
        return;
    }
    char note[64];
    job_event(w, l, i,
              (struct ph_spool_event){.kind = EV_DEFERRED,
                                      .reply = reply,
                                      .note = ph_str_c(wait_text(when - now, note, sizeof note))});
    work_wait(w, l, i, when, reply);
}

static void reply_text(struct ph_buf *b, uint32_t code, ph_str esc, ph_str text)
{
    ph_buf_clear(b);
    if (code)
        ph_buf_addf(b, "%u ", code);
    if (esc.n)
        ph_buf_addf(b, "%.*s ", PH_FMT(esc));
    ph_buf_add(b, text);
}

/* ---- the store's answers ------------------------------------------------------------------- */

static const struct {
    uint8_t verdict;
    bool final;
    uint16_t code;
    const char *esc, *text;
} failures[] = {
    {IPC_NOUSER, true, 550, "5.1.1", "there is no such mailbox here any more"},
    {IPC_DENIED, true, 550, "5.2.1", "the mailbox is switched off"},
    {IPC_LIMIT, true, 552, "5.2.3", "the letter is too large for the mailbox"},
    {IPC_QUOTA, false, 452, "4.2.2", "the mailbox is full"},
    {IPC_QUOTA, true, 552, "5.2.2", "the mailbox is full"}, /* quota_full = bounce */
    {IPC_FULL, false, 452, "4.3.1", "the disk of the mailboxes is full"},
    {IPC_TEMP, false, 451, "4.3.0", "the mailbox cannot be reached now"},
};

static void undelivered(struct work *w, struct job *job, int verdict, ph_str text)
{
    enum { KINDS = sizeof failures / sizeof *failures };
    size_t k = 0;
    while (k < KINDS - 1 && failures[k].verdict != verdict)
        k++;
    if (verdict == IPC_QUOTA && ph_str_eq(w->p->conf->quota_full, PH_STR("bounce")))
        k++;
    struct letter *l = job->letter;
    uint32_t i = job->which[0];
    struct ph_buf reply;
    ph_buf_init(&reply, NULL, TEXT_MAX);
    reply_text(&reply, failures[k].code, ph_str_c(failures[k].esc),
               text.n ? text : ph_str_c(failures[k].text));
    struct report *report = NULL;
    letter_hold(w, l);
    finish(w, job, SCHED_WELL, work_now(w));
    if (failures[k].final) {
        report = report_new(w, l);
        report_add(w, report, i,
                   &(struct ph_dsn_rcpt){.action = PH_DSN_FAILED, .reply = ph_buf_str(&reply)});
    } else {
        defer(w, l, i, ph_buf_str(&reply), 0, &report);
    }
    report_send(w, report);
    letter_drop(w, l);
    ph_buf_done(&reply);
}

void work_delivered(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct work *w = p->state;
    const struct ipc_DELIVERED *m = &msg->DELIVERED;
    struct job *job = numbered(w, m->req);
    (void)from;
    if (!job || job->state != JOB_FLYING || job->s.dest->name.n)
        return;
    if (m->verdict != IPC_OK && m->verdict != IPC_EXISTS) {
        undelivered(w, job, m->verdict, m->text);
        return;
    }
    job->state = JOB_LANDED;
    job->existed = m->verdict == IPC_EXISTS;
    w->count.delivered += !job->existed;
    work_soon(w);
}

/* Its end is its report's, where success is to be reported. Letters of many recipients come in a
 * row: they share a report. */
static void landed(struct work *w, struct letter *l, uint32_t i, struct report **report)
{
    if (!report_is_wanted(l, i, PH_DSN_DELIVERED)) {
        work_done(w, l, i);
        return;
    }
    if (*report && report_of(*report) != l) {
        report_send(w, *report);
        *report = NULL;
    }
    if (!*report)
        *report = report_new(w, l);
    report_add(w, *report, i, &(struct ph_dsn_rcpt){.action = PH_DSN_DELIVERED});
}

void work_synced(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct work *w = p->state;
    struct ipc_number req;
    struct report *report = NULL;
    (void)from;
    while (ipc_each(number, &msg->SYNCED.reqs, &req)) {
        struct job *job = numbered(w, req.value);
        if (!job || job->state != JOB_LANDED)
            continue;
        struct letter *l = job->letter;
        uint32_t i = job->which[0];
        int64_t now = work_now(w);
        job_event(w, l, i,
                  (struct ph_spool_event){
                      .kind = EV_DELIVERED,
                      .took = (uint64_t)(now - job->started),
                      .note = job->existed ? PH_STR("was there already, found after a restart")
                                           : (ph_str){0}});
        letter_hold(w, l);
        finish(w, job, SCHED_WELL, now);
        landed(w, l, i, &report);
        letter_drop(w, l);
    }
    report_send(w, report);
}

/* ---- the relay's answers ------------------------------------------------------------------- */

/* Nobody answered at all: the site is at fault, not the letter. 421, or "4.4.5 system congestion":
 * there was too much for it at a time (RFC 5321 3.8, RFC 3463 3.5). */
static enum ph_sched_end end_of(ph_str rows)
{
    struct ipc_outcome o;
    size_t n = 0, silent = 0, crowded = 0;
    while (ipc_each(outcome, &rows, &o)) {
        n++;
        silent += o.fate == IPC_DEFERRED && !o.code;
        crowded += o.fate == IPC_DEFERRED && (o.code == 421 || ph_str_eq(o.esc, PH_STR("4.4.5")));
    }
    return n && silent == n ? SCHED_SILENT : n && crowded == n ? SCHED_CROWDED : SCHED_WELL;
}

/* The host part of "name [address]:port". */
static ph_str peer_host(ph_str peer)
{
    size_t sp = ph_str_chr(peer, ' ');
    return sp == PH_NPOS ? peer : ph_str_sub(peer, 0, sp);
}

static ph_str last_peer(ph_str events)
{
    struct ipc_event e;
    ph_str peer = {0};
    while (ipc_each(event, &events, &e))
        if (e.peer.n)
            peer = e.peer;
    return peer_host(peer);
}

/* Where the next server reports itself, it was told so; else success ends here (RFC 3461 5.2.2). */
static void relayed(struct work *w, struct letter *l, uint32_t i, const struct ph_dsn_rcpt *of,
                    bool told_it, struct report **report)
{
    if (told_it || !report_is_wanted(l, i, PH_DSN_RELAYED)) {
        work_done(w, l, i);
        return;
    }
    if (!*report)
        *report = report_new(w, l);
    report_add(w, *report, i, of);
}

/* Outcomes that are missing count as deferred: what the relay forgot is tried again. */
static void outcomes(struct work *w, struct letter *l, const uint32_t *which, uint32_t n,
                     const struct ipc_RELAY_TRIED *m, int64_t held)
{
    struct report *bad = NULL, *good = NULL;
    struct ipc_outcome o;
    ph_str rows = m->outcomes, mta = last_peer(m->events);
    struct ph_buf reply;
    bool told[RCPTS_PER_TRY] = {0};
    ph_buf_init(&reply, NULL, TEXT_MAX + 64);
    while (ipc_each(outcome, &rows, &o)) {
        if (o.index >= n || told[o.index])
            continue;
        told[o.index] = true;
        uint32_t i = which[o.index];
        reply_text(&reply, o.code, o.esc, o.text);
        const struct ph_dsn_rcpt of = {.action =
                                           o.fate == IPC_SENT ? PH_DSN_RELAYED : PH_DSN_FAILED,
                                       .reply = ph_buf_str(&reply),
                                       .mta = mta};
        if (o.fate == IPC_SENT) {
            w->count.relayed++;
            relayed(w, l, i, &of, o.dsn, &good);
        } else if (o.fate == IPC_REFUSED) {
            if (!bad)
                bad = report_new(w, l);
            report_add(w, bad, i, &of);
        } else {
            defer(w, l, i, ph_buf_str(&reply), held, &bad);
        }
    }
    for (uint32_t k = 0; k < n; k++)
        if (!told[k])
            defer(w, l, which[k], PH_STR("the attempt ended without a result"), 0, &bad);
    report_send(w, bad);
    report_send(w, good);
    ph_buf_done(&reply);
}

void work_relayed(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct work *w = p->state;
    const struct ipc_RELAY_TRIED *m = &msg->RELAY_TRIED;
    struct job *job = numbered(w, m->req);
    (void)from;
    if (!job || job->state != JOB_FLYING || !job->s.dest->name.n)
        return;
    struct letter *l = job->letter;
    struct ph_dest *d = job->s.dest;
    uint32_t which[RCPTS_PER_TRY], n = job->n;
    int64_t now = work_now(w);
    ph_sched_learn(w->sched, d, m->site, m->most ? m->most : 1);
    if (m->rest) {
        ph_sched_rest(w->sched, d, now + m->rest * INT64_C(1000));
        again(w, job);
        work_soon(w);
        return;
    }
    memcpy(which, job->which, n * sizeof *which);
    letter_hold(w, l);
    trace_rows(w, l->l.qid, (ph_str){0}, m->events);
    d->pins++;
    finish(w, job, end_of(m->outcomes), now);
    outcomes(w, l, which, n, m, d->site->held_until);
    d->pins--;
    ph_sched_tidy(w->sched, d);
    letter_drop(w, l);
}
