/*
 * report.c - reports to senders (RFC 3461). Where a sender's mail goes is asked of the keeper; only
 * then the report is written, and it is queued in the transaction that ends the recipients it tells
 * of (or, for a delay, notes that it was told) [Q4].
 *
 *   NEW --end--> ASK --RCPT_CHECK--> ASKED --OK--> WRITTEN --committed--> gone
 *                ^ ^                 |   |            |
 *                | +-- keeper gone, -+   |            +-- commit failed: ASK, a little later
 *                |     TEMP              |
 *                +---- the postmaster ---+-- not known, and the postmaster is not either:
 *                      instead               dropped, with an event
 *
 * A failure is told to the postmaster when the sender is not known; everything else is then not
 * told. A crash forgets reports under way; their recipients are still on disk, and it happens
 * again.
 */
#include "dsn.h"
#include "grow.h"
#include "id.h"
#include "summary.h"
#include "work.h"

enum {
    AGAIN_US = 5 * 1000 * 1000,
    REPORT_BYTES = 1024 * 1024,
    REPORT_ARENA = 64 * 1024 * 1024,
    TARGETS = 100
};

struct report {
    struct report *next;
    struct letter *letter;
    enum { REPORT_ASK, REPORT_ASKED, REPORT_WRITTEN } state;
    bool postmaster;
    uint64_t req;
    int64_t again_at;
    struct ph_arena *arena;
    struct ph_dsn_rcpt *rcpts;
    uint32_t *which;
    size_t n, cap;
};

static struct job reporting = {
    .state = JOB_REPORTING}; /* stands in letter->jobs for recipients in a report */

/* ---- collecting -------------------------------------------------------------------------- */

struct report *report_new(struct work *w, struct letter *l)
{
    struct report *r = ph_new0(NULL, sizeof *r);
    struct ph_arena *a = r ? ph_arena_new(NULL, REPORT_ARENA) : NULL;
    if (!a) {
        ph_free(NULL, r, sizeof *r);
        return NULL;
    }
    r->arena = a;
    r->letter = l;
    letter_hold(w, l);
    return r;
}

struct letter *report_of(const struct report *r)
{
    return r->letter;
}

static bool is_failure(const struct report *r)
{
    return r->rcpts[0].action <= PH_DSN_EXPIRED;
}

/* A delay ends nobody: the recipients go on waiting meanwhile. */
static bool is_delay(const struct report *r)
{
    return r->rcpts[0].action == PH_DSN_DELAYED;
}

static void release(struct work *w, struct report *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->letter->jobs[r->which[i]] == &reporting)
            r->letter->jobs[r->which[i]] = NULL;
    letter_drop(w, r->letter);
    ph_arena_free(r->arena);
    ph_free(NULL, r, sizeof *r);
}

static bool grow(struct report *r)
{
    size_t cap = r->cap;
    struct ph_dsn_rcpt *rcpts = ph_grow_in(r->arena, r->rcpts, r->n, &cap, sizeof *rcpts);
    if (!rcpts)
        return false;
    r->rcpts = rcpts;
    uint32_t *which = ph_grow_in(r->arena, r->which, r->n, &r->cap, sizeof *which);
    if (!which)
        return false;
    r->which = which;
    return true;
}

static uint32_t code_of(ph_str reply)
{
    uint64_t code = 0;
    return ph_str_u64(ph_str_sub(reply, 0, 3), 999, &code) ? (uint32_t)code : 0;
}

/* RFC 3461 4.1: what was asked for; failures and delays also when nothing was said. */
bool report_is_wanted(const struct letter *l, uint32_t i, enum ph_dsn_action action)
{
    uint8_t notify = l->rcpts[i].notify;
    static const uint8_t bits[PH_DSN_ACTIONS] = {
        [PH_DSN_FAILED] = IPC_FAILURE,  [PH_DSN_EXPIRED] = IPC_FAILURE,
        [PH_DSN_DELAYED] = IPC_DELAY,   [PH_DSN_DELIVERED] = IPC_SUCCESS,
        [PH_DSN_RELAYED] = IPC_SUCCESS, [PH_DSN_EXPANDED] = IPC_SUCCESS,
    };
    if (action > PH_DSN_EXPIRED && !l->l.sender.n)
        return false;
    return notify & bits[action] || (!notify && action <= PH_DSN_DELAYED);
}

/* The end of a recipient that the report is about; for a failure it is a step of the journey, what
 * became of the others has been one already. */
static void ended(struct work *w, struct letter *l, uint32_t i, const struct ph_dsn_rcpt *r,
                  ph_str note)
{
    bool failure = r->action <= PH_DSN_EXPIRED;
    trace_event(w, l,
                (struct ph_spool_event){.kind = !failure                     ? EV_REPORTED
                                                : r->action == PH_DSN_FAILED ? EV_BOUNCED
                                                                             : EV_EXPIRED,
                                        .rcpt = l->rcpts[i].address,
                                        .code = failure ? code_of(r->reply) : 0,
                                        .reply = failure ? r->reply : (ph_str){0},
                                        .note = note});
    if (r->action != PH_DSN_DELAYED)
        work_done(w, l, i);
}

/* Nobody is to hear of it. */
static void unreported(struct work *w, struct letter *l, uint32_t i, const struct ph_dsn_rcpt *r)
{
    if (r->action <= PH_DSN_EXPIRED)
        ended(w, l, i, r, PH_STR("the sender wanted no report"));
    else
        work_done(w, l, i);
}

static void count(struct work *w, const struct report *r, uint32_t i, const struct ph_dsn_rcpt *of)
{
    if (of->action > PH_DSN_EXPIRED)
        return;
    w->count.bounced++;
    w->count.expired += of->action == PH_DSN_EXPIRED;
    if (r)
        ph_log(PH_LOG_INFO, r->letter->l.message_id,
               of->action == PH_DSN_EXPIRED ? "expired" : "bounced",
               "rcpt=%.*s class=%s reply=%.*s", PH_FMT(r->letter->rcpts[i].address),
               ph_dsn_class(of->reply, of->action, NULL), PH_FMT(of->reply));
}

void report_add(struct work *w, struct report *r, uint32_t i, const struct ph_dsn_rcpt *of)
{
    count(w, r, i, of);
    if (r && !report_is_wanted(r->letter, i, of->action)) {
        if (of->action != PH_DSN_DELAYED)
            unreported(w, r->letter, i, of);
        return;
    }
    if (!r || !grow(r)) { /* out of memory: as it is on disk, it happens again, later */
        ph_log(PH_LOG_ERROR, (ph_str){0}, "report-postponed", "");
        return;
    }
    const struct ph_spool_rcpt *rcpt = &r->letter->rcpts[i];
    struct ph_dsn_rcpt *to = &r->rcpts[r->n];
    *to = (struct ph_dsn_rcpt){
        .action = of->action,
        .address = rcpt->address,
        .original = rcpt->original,
        .reply = ph_arena_copy(r->arena, of->reply),
        .mta = ph_arena_copy(r->arena, of->mta),
        .last_try = of->action == PH_DSN_DELAYED && !rcpt->attempts ? 0 : ph_wall_us()};
    r->which[r->n++] = i;
    if (of->action != PH_DSN_DELAYED)
        r->letter->jobs[i] = &reporting;
}

/* ---- asking where it goes ------------------------------------------------------------------ */

static void ask(struct work *w, struct report *r)
{
    struct ipc_chan *keeper = proc_peer(w->p, ROLE_KEEPER);
    r->state = REPORT_ASK;
    r->again_at = work_now(w) + AGAIN_US;
    if (!keeper)
        return;
    r->req = ++w->serial;
    ph_str who = r->postmaster ? PH_STR("postmaster") : r->letter->l.sender;
    if (ipc_send(keeper, RCPT_CHECK, -1, .req = r->req, .address = who, .local_user = 1) >= 0)
        r->state = REPORT_ASKED;
}

static void unlink_report(struct work *w, struct report *r)
{
    struct report **at = &w->reports;
    while (*at && *at != r)
        at = &(*at)->next;
    if (*at)
        *at = r->next;
}

/* Once is enough. */
static void delay_told(struct work *w, struct letter *l)
{
    l->l.flags |= LETTER_FLAG_DELAYED;
    if (ph_spool_flag(w->spool, l->l.qid, LETTER_FLAG_DELAYED) < 0)
        ph_log(PH_LOG_ERROR, l->l.message_id, "change-lost", "");
}

static void give_up(struct work *w, struct report *r)
{
    for (size_t i = 0; i < r->n && !is_delay(r); i++)
        ended(w, r->letter, r->which[i], &r->rcpts[i], PH_STR("there is nobody to tell: dropped"));
    if (is_delay(r))
        delay_told(w, r->letter);
    unlink_report(w, r);
    release(w, r);
}

void report_send(struct work *w, struct report *r)
{
    if (!r)
        return;
    if (!r->n) {
        release(w, r);
        return;
    }
    r->next = w->reports;
    w->reports = r;
    if (r->letter->l.flags & LETTER_FLAG_POSTMASTER) {
        give_up(w, r);
        return;
    }
    r->postmaster = r->letter->l.sender.n == 0;
    ask(w, r);
}

void report_peer(struct work *w, bool up)
{
    for (struct report *r = w->reports; r; r = r->next)
        if (r->state == REPORT_ASKED && !up)
            r->state = REPORT_ASK;
        else if (r->state == REPORT_ASK && up)
            ask(w, r);
}

void report_again(struct work *w)
{
    int64_t now = work_now(w);
    for (struct report *r = w->reports; r; r = r->next)
        if (r->state == REPORT_ASK && (r->again_at <= now || r->again_at > now + 2 * AGAIN_US))
            ask(w, r);
}

bool report_waits(const struct work *w)
{
    return w->reports != NULL;
}

void report_delay(struct work *w, struct letter *l)
{
    struct report *r = report_new(w, l);
    for (size_t i = 0; r && i < l->n; i++)
        if (l->jobs[i] != &reporting && l->rcpts[i].next_try < PH_SPOOL_HELD)
            report_add(w, r, (uint32_t)i,
                       &(struct ph_dsn_rcpt){.action = PH_DSN_DELAYED, .reply = l->rcpts[i].reply});
    if (!r)
        return;
    if (r->n)
        l->l.flags |= LETTER_FLAG_DELAYED; /* it is being told */
    else
        delay_told(w, l);
    report_send(w, r);
}

/* ---- writing it -------------------------------------------------------------------------- */

static int targets(struct letter *bounce, ph_str rows)
{
    struct ipc_rcpt t;
    bounce->rcpts = ph_arena_array(bounce->arena, TARGETS, sizeof *bounce->rcpts);
    bounce->jobs = ph_arena_array(bounce->arena, TARGETS, sizeof *bounce->jobs);
    if (!bounce->rcpts || !bounce->jobs)
        return -PH_ENOMEM;
    while (bounce->n < TARGETS && ipc_each(rcpt, &rows, &t)) {
        struct ph_spool_rcpt *r = &bounce->rcpts[bounce->n];
        if (t.target == IPC_DISCARD || (t.target == IPC_REMOTE && !t.domain.n))
            continue;
        r->idx = (uint32_t)bounce->n++;
        r->target = t.target == IPC_LOCAL ? PH_SPOOL_LOCAL : PH_SPOOL_REMOTE;
        r->address = ph_arena_copy(bounce->arena, t.address);
        r->account = t.account;
        r->folder = ph_arena_copy(bounce->arena, t.folder);
        r->dest = ph_arena_copy(bounce->arena, t.target == IPC_LOCAL ? (ph_str){0} : t.domain);
        r->notify = IPC_NEVER;
        r->next_try = PH_SPOOL_FRESH;
        if (!r->address.p || !r->folder.p || !r->dest.p)
            return -PH_ENOMEM;
    }
    return bounce->n ? 0 : -PH_ENOENT;
}

/* RET=FULL is about failures alone (RFC 3461 4.3). */
static bool return_whole(const struct report *r)
{
    const struct ph_spool_letter *l = &r->letter->l;
    return is_failure(r) && l->flags & IPC_RET_FULL && l->size - l->skip <= PH_DSN_WHOLE;
}

static int compose(struct work *w, const struct report *r, struct letter *bounce,
                   struct ph_buf *out)
{
    const struct letter *l = r->letter;
    bool whole = return_whole(r);
    size_t most = whole ? PH_DSN_WHOLE : PH_DSN_HEADER + 4;
    char id[PH_ID_TEXT + 1], letter_id[PH_ID_TEXT + 1];
    struct ph_buf text;
    ph_buf_init(&text, NULL, l->l.skip + most);
    int err = ph_spool_text(w->spool, l->l.qid, l->l.skip + most, &text);
    struct ph_dsn d = {.hostname = w->p->conf->hostname,
                       .id = ph_str_c(ph_id_text(bounce->l.qid, id)),
                       .now = work_wall(w, bounce->l.received),
                       .to = r->postmaster ? bounce->rcpts[0].address : l->l.sender,
                       .for_postmaster = r->postmaster,
                       .envid = l->l.envid,
                       .letter_id = ph_str_c(ph_id_text(l->l.qid, letter_id)),
                       .received = work_wall(w, l->l.received),
                       .until = work_wall(w, l->l.received) + work_lifetime(w),
                       .letter = ph_str_sub(ph_buf_str(&text), l->l.skip, most),
                       .whole = whole,
                       .utf8 = (l->l.flags & IPC_SMTPUTF8) || ph_dsn_is_utf8(r->rcpts, r->n),
                       .rcpts = r->rcpts,
                       .n = r->n};
    uint32_t skip = 0;
    ph_str mid = {0};
    if (!err)
        err = ph_dsn_write(&d, out, &skip, &mid);
    bounce->l.skip = skip;
    bounce->l.size = out->n;
    bounce->l.message_id = ph_arena_copy(bounce->arena, mid);
    bounce->l.flags =
        IPC_8BITMIME | (d.utf8 ? IPC_SMTPUTF8 : 0u) | (r->postmaster ? LETTER_FLAG_POSTMASTER : 0);
    ph_buf_done(&text);
    return err || bounce->l.message_id.p ? err : -PH_ENOMEM;
}

/* The report and the ends of its recipients: all of it or nothing. */
static int queue(struct work *w, struct report *r, struct letter *bounce, ph_str body)
{
    char id[PH_ID_TEXT + 1];
    struct ph_buf text;
    ph_buf_init(&text, NULL, 1200);
    ph_buf_addf(&text, "report about %s", ph_id_text(r->letter->l.qid, id));
    int err = trace_begin(w, bounce, (ph_str){0}, ph_buf_str(&text));
    if (!err)
        err = ph_spool_put(w->spool, &bounce->l, bounce->rcpts, bounce->n, body);
    ph_buf_done(&text);
    if (err)
        return err;
    if (!put_wait(w, bounce, r, NULL, 0)) {
        ph_spool_rollback(w->spool);
        return -PH_ENOMEM;
    }
    ph_buf_init(&text, NULL, 1200);
    ph_buf_addf(&text, "reported to <%.*s> as %s", PH_FMT(bounce->rcpts[0].address),
                ph_id_text(bounce->l.qid, id));
    ph_spool_tie(w->spool, true);
    for (size_t i = 0; i < r->n; i++)
        ended(w, r->letter, r->which[i], &r->rcpts[i], ph_buf_str(&text));
    if (is_delay(r))
        delay_told(w, r->letter);
    ph_spool_tie(w->spool, false);
    ph_buf_done(&text);
    r->state = REPORT_WRITTEN;
    return 0;
}

static int write_report(struct work *w, struct report *r, ph_str rows)
{
    struct letter *bounce = letter_new();
    struct ph_buf body;
    if (!bounce)
        return -PH_ENOMEM;
    bounce->l.qid = ph_spool_id(w->spool, work_now(w));
    bounce->l.received = work_now(w);
    ph_buf_init(&body, NULL, REPORT_BYTES);
    struct ph_buf summary;
    ph_buf_init(&summary, NULL, PH_SUMMARY_MAX);
    int err = targets(bounce, rows);
    if (!err)
        err = compose(w, r, bounce, &body);
    if (!err)
        err = ph_summary_make(ph_buf_str(&body), &summary);
    bounce->l.summary = ph_buf_str(&summary);
    if (!err)
        err = queue(w, r, bounce, ph_buf_str(&body));
    ph_buf_done(&body);
    ph_buf_done(&summary);
    if (err)
        letter_drop(w, bounce);
    return err;
}

void report_checked(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct work *w = p->state;
    const struct ipc_RCPT_CHECKED *m = &msg->RCPT_CHECKED;
    struct report *r = w->reports;
    (void)from;
    while (r && (r->state != REPORT_ASKED || r->req != m->req))
        r = r->next;
    if (!r)
        return;
    r->state = REPORT_ASK;
    r->again_at = work_now(w) + AGAIN_US;
    if (m->verdict == IPC_TEMP)
        return;
    int err = m->verdict == IPC_OK ? write_report(w, r, m->targets) : -PH_ENOENT;
    if (err == -PH_ENOENT && (r->postmaster || !is_failure(r))) {
        give_up(w, r);
    } else if (err == -PH_ENOENT) {
        r->postmaster = true;
        ask(w, r);
    }
    work_soon(w);
}

void report_committed(struct work *w, struct report *r, bool ok)
{
    if (!ok) {
        r->state = REPORT_ASK;
        r->again_at = work_now(w) + AGAIN_US;
        return;
    }
    unlink_report(w, r);
    release(w, r);
}
