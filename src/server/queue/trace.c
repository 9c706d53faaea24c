/* trace.c - the journal of journeys: writing events, and answering whose they are. */
#include "work.h"

#include <string.h>

enum {
    TRACE_BYTES = 500 * 1024,
    TRACE_LETTERS = 64,
    TRACE_HEARD = 200, /* steps of one journey that are only heard; reports beyond are forgotten */
    PRUNE_PAGE = 500
};

/* ---- writing ----------------------------------------------------------------------------- */

static void keep(struct work *w, ph_str message_id, ph_str owner, struct ph_spool_event *e)
{
    if (!e->host.n)
        e->host = w->p->conf->hostname;
    if (ph_spool_event(w->spool, message_id, owner, e) < 0)
        ph_log(PH_LOG_WARN, message_id, "event-lost", "");
    work_soon(w);
}

static struct ph_spool_event ours(const struct letter *l, struct ph_spool_event e)
{
    e.qid = l->l.qid;
    e.time = ph_wall_us();
    e.process = PH_STR("queue");
    return e;
}

void trace_event(struct work *w, const struct letter *l, struct ph_spool_event e)
{
    e = ours(l, e);
    keep(w, (ph_str){0}, (ph_str){0}, &e);
}

static struct ph_spool_event from_row(const struct ipc_event *r)
{
    return (struct ph_spool_event){.qid = r->qid,
                                   .time = r->time,
                                   .kind = r->kind,
                                   .code = r->code,
                                   .took = r->took,
                                   .process = r->process,
                                   .rcpt = r->rcpt,
                                   .peer = r->peer,
                                   .tls = r->tls,
                                   .auth = r->auth,
                                   .reply = r->reply,
                                   .note = r->note,
                                   .host = r->host};
}

static void begin_with(struct work *w, struct ph_spool_event e)
{
    if (!e.host.n)
        e.host = w->p->conf->hostname;
    ph_buf_add(&w->begin, (ph_str){(const char *)&e, sizeof e});
}

int trace_begin(struct work *w, struct letter *l, ph_str rows, ph_str note)
{
    struct ipc_event r;
    ph_buf_clear(&w->begin);
    while (ipc_each(event, &rows, &r))
        begin_with(w, from_row(&r));
    begin_with(w, ours(l, (struct ph_spool_event){.kind = EV_QUEUED, .note = note}));
    l->l.events = (const void *)w->begin.p;
    l->l.events_n = w->begin.n / sizeof *l->l.events;
    return ph_buf_err(&w->begin);
}

void trace_discarded(struct work *w, const struct letter *l)
{
    for (size_t i = 0; i < l->l.events_n; i++) {
        struct ph_spool_event e = l->l.events[i];
        e.qid = l->l.qid;
        keep(w, l->l.message_id, l->l.owner, &e);
    }
}

void trace_rows(struct work *w, uint64_t qid, ph_str message_id, ph_str rows)
{
    struct ipc_event r;
    while (ipc_each(event, &rows, &r)) {
        struct ph_spool_event e = from_row(&r);
        if (qid)
            e.qid = qid;
        keep(w, message_id, (ph_str){0}, &e);
    }
}

void trace_journal(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    (void)from;
    trace_rows(p->state, 0, msg->JOURNAL.message_id, msg->JOURNAL.events);
}

static bool is_heard(const struct ph_spool_event *e)
{
    return ph_str_eq(e->process, PH_STR(IPC_HEARD));
}

/* A step that was heard, looked for in its journey. */
struct hearing {
    const struct ph_spool_event *step;
    size_t n; /* those heard before */
    bool known;
};

/* The same report may come twice. A delay is told again and again; all else happens once. */
static bool is_same(const struct ph_spool_event *a, const struct ph_spool_event *b)
{
    return a->kind == b->kind && (a->kind != EV_DEFERRED || a->time == b->time) &&
           ph_str_eq(a->rcpt, b->rcpt) && ph_str_eq(a->host, b->host) &&
           ph_str_eq(a->reply, b->reply);
}

static int look_for(void *ctx, const struct ph_spool_event *e)
{
    struct hearing *h = ctx;
    if (!is_heard(e))
        return 0;
    h->known = is_same(e, h->step);
    return ++h->n >= TRACE_HEARD || h->known;
}

/* Whether the letter was sent with this reverse-path. 1, 0, or an error. */
static int may_report(struct work *w, uint64_t qid, ph_str sender)
{
    struct ph_buf id, owner, is;
    ph_buf_init(&id, NULL, PH_SPOOL_REPLY);
    ph_buf_init(&owner, NULL, PH_SPOOL_REPLY);
    ph_buf_init(&is, NULL, PH_SPOOL_REPLY);
    int got = ph_spool_trip(w->spool, qid, &id, &owner, &is);
    if (got > 0)
        got = sender.n && ph_str_ieq(ph_buf_str(&is), sender);
    ph_buf_done(&id);
    ph_buf_done(&owner);
    ph_buf_done(&is);
    return got;
}

/* Steps that are new, as long as there is room for what is only heard. */
static void hear(struct work *w, uint64_t qid, ph_str rows)
{
    struct ipc_event r;
    while (ipc_each(event, &rows, &r)) {
        struct ph_spool_event e = from_row(&r);
        struct hearing h = {.step = &e};
        e.qid = qid;
        if (ph_spool_journey_of(w->spool, qid, look_for, &h) == 0)
            keep(w, (ph_str){0}, (ph_str){0}, &e);
    }
}

void trace_reported(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct work *w = p->state;
    const struct ipc_REPORTED *m = &msg->REPORTED;
    uint64_t qids[TRACE_LETTERS];
    (void)from;
    int n = ph_spool_trips(w->spool, m->message_id, qids, TRACE_LETTERS);
    for (int i = 0; i < n; i++)
        if (may_report(w, qids[i], m->sender) > 0) {
            hear(w, qids[i], m->events);
            return;
        }
}

void trace_prune(struct work *w, int64_t now)
{
    int n = ph_spool_prune(w->spool, now - w->p->conf->journey_keep * 1000, PRUNE_PAGE);
    if (n >= PRUNE_PAGE)
        w->prune_at = now; /* there is more */
    work_soon(w);
}

/* ---- answering --------------------------------------------------------------------------- */

/* The sender of a letter sees all of its journey; a recipient sees what is about nobody else, when
 * the letter did reach that mailbox. */
struct view {
    ph_str owner;
    bool sender, received;
    struct ph_buf *rows;
};

static int look(void *ctx, const struct ph_spool_event *e)
{
    struct view *v = ctx;
    if ((e->kind == EV_DELIVERED || e->kind == EV_FETCHED) && ph_str_ieq(e->rcpt, v->owner) &&
        !is_heard(e))
        v->received = true;
    return 0;
}

static int show(void *ctx, const struct ph_spool_event *e)
{
    struct view *v = ctx;
    if (!v->sender && e->rcpt.n && !ph_str_ieq(e->rcpt, v->owner))
        return 0;
    if (v->rows->n > TRACE_BYTES)
        return 1;
    ipc_add(event, v->rows,
            &((struct ipc_event){.time = e->time,
                                 .kind = e->kind,
                                 .process = e->process,
                                 .rcpt = e->rcpt,
                                 .peer = e->peer,
                                 .tls = e->tls,
                                 .auth = e->auth,
                                 .code = e->code,
                                 .reply = e->reply,
                                 .took = e->took,
                                 .note = e->note,
                                 .host = e->host,
                                 .qid = e->qid}));
    return 0;
}

static int trip(struct work *w, uint64_t qid, struct view *v)
{
    struct ph_buf id, owner;
    ph_buf_init(&id, NULL, PH_SPOOL_REPLY);
    ph_buf_init(&owner, NULL, PH_SPOOL_REPLY);
    v->received = false;
    int got = ph_spool_trip(w->spool, qid, &id, &owner, NULL);
    v->sender = got > 0 && owner.n && ph_str_ieq(ph_buf_str(&owner), v->owner);
    if (got > 0 && !v->sender)
        got = ph_spool_journey_of(w->spool, qid, look, v);
    if (got >= 0 && (v->sender || v->received))
        got = ph_spool_journey_of(w->spool, qid, show, v);
    ph_buf_done(&id);
    ph_buf_done(&owner);
    return got;
}

void trace_get(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct work *w = p->state;
    const struct ipc_TRACE_GET *m = &msg->TRACE_GET;
    uint64_t qids[TRACE_LETTERS];
    struct ph_buf rows;
    ph_buf_init(&rows, NULL, TRACE_BYTES + 16384);
    struct view v = {.owner = m->owner, .rows = &rows};
    int n = m->owner.n && m->message_id.n
                ? ph_spool_trips(w->spool, m->message_id, qids, TRACE_LETTERS)
                : 0,
        err = n;
    for (int i = 0; i < n && err >= 0 && rows.n < TRACE_BYTES; i++)
        err = trip(w, qids[i], &v);
    if (err >= 0)
        err = ph_buf_err(&rows);
    int verdict = err < 0 ? IPC_TEMP : rows.n ? IPC_OK : IPC_NOENT;
    ipc_send(from, TRACE, -1, .req = m->req, .verdict = (uint8_t)verdict,
             .events = err < 0 ? (ph_str){0} : ph_buf_str(&rows));
    ph_buf_done(&rows);
}
