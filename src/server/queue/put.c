/* put.c - taking letters in: QUEUE_PUT, the batch, the commit. Nobody hears OK before the commit
 * [Q2]. */
#include "file.h"
#include "id.h"
#include "work.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACE "00000000000" /* what stands for the queue id in the body */

static void answer(struct work *w, const struct ipc_ends *to, uint64_t req, int verdict,
                   uint64_t qid, const char *text)
{
    struct ipc_chan *chan = proc_peer_at(w->p, to->peer_role, to->peer_instance);
    if (verdict != IPC_OK)
        w->count.refused++;
    if (chan)
        ipc_send(chan, QUEUE_PUT_DONE, -1, .req = req, .verdict = (uint8_t)verdict, .qid = qid,
                 .text = ph_str_c(text));
}

/* ---- from the message to a letter --------------------------------------------------------- */

static bool copy_rcpt(struct ph_arena *a, const struct ipc_rcpt *from, struct ph_spool_rcpt *to)
{
    static const uint8_t targets[] = {[IPC_LOCAL] = PH_SPOOL_LOCAL,
                                      [IPC_REMOTE] = PH_SPOOL_REMOTE,
                                      [IPC_EXPANDED] = PH_SPOOL_EXPANDED};
    to->target = targets[from->target];
    to->address = ph_arena_copy(a, from->address);
    to->original = ph_arena_copy(a, from->original);
    to->account = from->account;
    to->folder = ph_arena_copy(a, from->folder);
    to->mailbox = ph_arena_copy(a, from->mailbox);
    to->dest = ph_arena_copy(a, from->target == IPC_REMOTE ? from->domain : (ph_str){0});
    to->notify = from->notify;
    return to->address.p && to->original.p && to->folder.p && to->mailbox.p && to->dest.p;
}

static int by_dest(const void *a, const void *b)
{
    const struct ph_spool_rcpt *x = a, *y = b;
    int c = ph_str_cmp(x->dest, y->dest);
    return c ? c : x->idx < y->idx ? -1 : x->idx > y->idx;
}

/* Sorted by destination: a job is a run of neighbours. */
static int copy_rcpts(struct letter *l, ph_str rows)
{
    struct ipc_rcpt r;
    size_t n = 0;
    ph_str count = rows;
    while (ipc_each(rcpt, &count, &r))
        n += r.target != IPC_DISCARD;
    if (count.n || n > LETTER_RCPTS)
        return -PH_ESYNTAX;
    l->rcpts = ph_arena_array(l->arena, n + 1, sizeof *l->rcpts);
    l->jobs = ph_arena_array(l->arena, n + 1, sizeof *l->jobs);
    if (!l->rcpts || !l->jobs)
        return -PH_ENOMEM;
    while (ipc_each(rcpt, &rows, &r)) {
        if (r.target == IPC_DISCARD)
            continue;
        if (r.target == IPC_REMOTE && !r.domain.n)
            return -PH_ESYNTAX;
        l->rcpts[l->n].idx = (uint32_t)l->n;
        if (!copy_rcpt(l->arena, &r, &l->rcpts[l->n++]))
            return -PH_ENOMEM;
    }
    if (l->n > 1)
        qsort(l->rcpts, l->n, sizeof *l->rcpts, by_dest);
    for (size_t i = 0; i < l->n; i++)
        l->rcpts[i].idx = (uint32_t)i;
    return 0;
}

/* Tried at once when there is room for it in memory, else found again on disk [Q7]. */
static void place(struct work *w, struct letter *l, int64_t now)
{
    uint64_t sender = ph_sched_sender(w->sched, l->l.sender);
    for (size_t i = 0; i < l->n; i++) {
        struct ph_dest *d = ph_sched_dest(w->sched, l->rcpts[i].dest);
        bool room = d && ph_sched_room(w->sched, d, sender, now);
        l->rcpts[i].next_try = room ? PH_SPOOL_FRESH : now;
        if (d)
            ph_sched_tidy(w->sched, d);
    }
}

_Static_assert((int)PH_SPOOL_PACKED == (int)IPC_PACKED, "the spool keeps the flags as they come");

static bool has_place(ph_str body, uint32_t at)
{
    return at && ph_str_eq(ph_str_sub(body, at, PH_ID_TEXT), PH_STR(PLACE));
}

/* An inline body is copied behind the summary, with the queue id in its place. */
static int take_inline(struct work *w, struct letter *l, const struct ipc_QUEUE_PUT *m,
                       ph_str *ret_body)
{
    bool packed = m->flags & IPC_PACKED;
    if (packed ? m->size > IPC_INLINE || !m->body.n : m->size != m->body.n)
        return -PH_ESYNTAX;
    l->bytes_n = m->summary.n + m->body.n + 1;
    l->bytes = ph_resize(NULL, NULL, 0, l->bytes_n);
    if (!l->bytes) {
        l->bytes_n = 0;
        return -PH_ENOMEM;
    }
    w->kept += l->bytes_n;
    l->summary_n = m->summary.n;
    if (m->summary.n)
        memcpy(l->bytes, m->summary.p, m->summary.n);
    char *body = l->bytes + m->summary.n;
    if (m->body.n)
        memcpy(body, m->body.p, m->body.n);
    *ret_body = (ph_str){body, m->body.n};
    char id[PH_ID_TEXT + 1];
    if (has_place(*ret_body, m->id_at))
        memcpy(body + m->id_at, ph_id_text(l->l.qid, id), PH_ID_TEXT);
    return 0;
}

/* A large one stays where it is, unless the id has to be written into it: then it is copied
 * once. */
static int take_file(struct work *w, struct letter *l, const struct ipc_QUEUE_PUT *m, int from,
                     ph_str *ret_body)
{
    char id[PH_ID_TEXT + 1];
    ph_str body;
    int err = ph_memfile_map(from, m->size, &body);
    if (err < 0) {
        close(from);
        return err;
    }
    int fd = from;
    if (has_place(body, m->id_at)) {
        fd = ph_memfile("letter");
        err = fd < 0 ? -PH_EIO : ph_memfile_add(fd, ph_str_sub(body, 0, m->id_at));
        if (err >= 0)
            err = ph_memfile_add(fd, ph_str_c(ph_id_text(l->l.qid, id)));
        if (err >= 0)
            err = ph_memfile_add(fd, ph_str_skip(body, m->id_at + PH_ID_TEXT));
        if (err >= 0)
            err = ph_memfile_seal(fd);
        ph_unmap(body);
        close(from);
        if (err >= 0)
            err = ph_memfile_map(fd, m->size, &body);
        if (err < 0) {
            if (fd >= 0)
                close(fd);
            return err;
        }
    }
    struct ipc_QUEUE_PUT head = *m;
    head.body = (ph_str){0};
    head.size = 0;
    head.id_at = 0;
    ph_str nothing;
    l->fd = fd;
    w->kept += m->size;
    err = take_inline(w, l, &head, &nothing); /* the summary */
    *ret_body = body;
    if (err < 0)
        ph_unmap(body);
    return err;
}

/* ---- the batch --------------------------------------------------------------------------- */

bool put_wait(struct work *w, struct letter *l, struct report *r, const struct ipc_ends *ends,
              uint64_t req)
{
    struct put *b = ph_new0(NULL, sizeof *b);
    if (!b)
        return false;
    *b = (struct put){.role = ends ? ends->peer_role : -1,
                      .instance = ends ? ends->peer_instance : 0,
                      .req = req,
                      .letter = l,
                      .report = r,
                      .rollbacks = ph_spool_rollbacks(w->spool)};
    if (!w->batch)
        w->batch_at = ph_mono_us();
    *w->batch_last = b;
    w->batch_last = &b->next;
    w->batch_n++;
    w->batch_bytes += (size_t)l->l.size;
    return true;
}

void put_forget(struct work *w, int role, unsigned instance)
{
    for (struct put *b = w->batch; b; b = b->next)
        if (b->role == role && b->instance == instance)
            b->role = -1;
}

static const char *reason(int err)
{
    return err == -PH_EFULL ? "the disk of the queue is full"
                            : "the queue cannot write to its disk";
}

/* Those for whom there was no room in memory are looked for on disk. */
static void find_later(struct work *w, const struct letter *l)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->rcpts[i].next_try == PH_SPOOL_FRESH)
            continue;
        struct ph_dest *d = ph_sched_dest(w->sched, l->rcpts[i].dest);
        if (d)
            ph_sched_on_disk(w->sched, d, l->rcpts[i].next_try);
        else if (!w->scanning)
            w->scan_at = l->rcpts[i].next_try;
    }
}

static void settle(struct work *w, struct put *b, int err)
{
    bool ok = !err;
    if (b->role >= 0) {
        struct ipc_ends to = {.peer_role = b->role, .peer_instance = b->instance};
        answer(w, &to, b->req,
               ok                 ? IPC_OK
               : err == -PH_EFULL ? IPC_FULL
                                  : IPC_TEMP,
               b->letter->l.qid, ok ? "" : reason(err));
    }
    if (ok) {
        w->count.queued++;
        letter_hold(w, b->letter);
        work_jobs(w, b->letter, NULL, PH_SPOOL_FRESH);
        find_later(w, b->letter);
    }
    if (b->report)
        report_committed(w, b->report, ok);
    letter_drop(w, b->letter);
    ph_free(NULL, b, sizeof *b);
}

static void settle_all(struct work *w, int err)
{
    struct put *b = w->batch;
    w->batch = NULL;
    w->batch_last = &w->batch;
    w->batch_n = w->batch_bytes = 0;
    if (err && b)
        ph_log(PH_LOG_ERROR, (ph_str){0}, "commit-failed", "error=%s why=%s",
               ph_error_info(err)->text, ph_spool_why(w->spool));
    uint64_t rollbacks = ph_spool_rollbacks(w->spool);
    for (struct put *next; b; b = next) {
        next = b->next;
        /* Something else failed after it was put, and took the transaction with it [Q3]. */
        bool lost = !err && b->rollbacks != rollbacks;
        settle(w, b, lost ? -PH_EIO : err);
    }
}

void work_commit(struct work *w)
{
    int err = 0;
    if (w->batch_n)
        w->gather = w->batch_n;
    if (ph_spool_is_open(w->spool) || w->batch || ph_spool_changes(w->spool)) {
        err = ph_spool_commit(w->spool);
        w->count.commits++;
    }
    /* When the disk fails, what could not be written is tried again in a second. */
    w->flush_at = err ? ph_loop_now(w->p->loop) + 1000 : 0;
    settle_all(w, err);
}

/* ---- QUEUE_PUT --------------------------------------------------------------------------- */

static int store(struct work *w, struct letter *l, const struct ipc_QUEUE_PUT *m, ph_str body)
{
    ph_str note = l->n ? (ph_str){0} : PH_STR("nobody wants it: discarded");
    place(w, l, l->l.received);
    int err = trace_begin(w, l, m->events, note);
    if (err < 0)
        return err;
    if (l->n)
        return ph_spool_put(w->spool, &l->l, l->rcpts, l->n, body);
    err = ph_spool_begin(w->spool);
    ph_spool_tie(w->spool, true);
    trace_discarded(w, l);
    ph_spool_tie(w->spool, false);
    return err;
}

static int take(struct work *w, struct letter *l, struct ipc_msg *msg)
{
    const struct ipc_QUEUE_PUT *m = &msg->QUEUE_PUT;
    l->l = (struct ph_spool_letter){.qid = ph_spool_id(w->spool, work_now(w)),
                                    .received = work_now(w),
                                    .sender = ph_arena_copy(l->arena, m->sender),
                                    .skip = m->skip,
                                    .flags = m->flags & ~(uint32_t)LETTER_FLAG_POSTMASTER,
                                    .envid = ph_arena_copy(l->arena, m->envid),
                                    .message_id = ph_arena_copy(l->arena, m->message_id),
                                    .owner = ph_arena_copy(l->arena, m->owner),
                                    .size = m->size,
                                    .summary = m->summary};
    if (!l->l.sender.p || !l->l.envid.p || !l->l.message_id.p || !l->l.owner.p)
        return -PH_ENOMEM;
    int err = copy_rcpts(l, m->rcpts);
    if (err < 0)
        return err;
    if (m->skip > m->size || (msg->fd >= 0 && m->flags & IPC_PACKED))
        return -PH_ESYNTAX;
    ph_str body = {0};
    int fd = msg->fd;
    msg->fd = -1;
    err = fd >= 0 ? take_file(w, l, m, fd, &body) : take_inline(w, l, m, &body);
    if (err < 0)
        return err;
    err = store(w, l, m, body);
    if (fd >= 0)
        ph_unmap(body);
    return err;
}

static int verdict_of(int err)
{
    static const uint8_t verdicts[PH_ERR_COUNT] = {[PH_EFULL] = IPC_FULL,
                                                   [PH_ELIMIT] = IPC_LIMIT,
                                                   [PH_ESYNTAX] = IPC_INVALID,
                                                   [PH_EINVAL] = IPC_INVALID};
    int v = verdicts[-err];
    return v ? v : IPC_TEMP;
}

void put_letter(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct work *w = p->state;
    struct letter *l = letter_new();
    uint64_t req = msg->QUEUE_PUT.req;
    int err = l ? take(w, l, msg) : -PH_ENOMEM;
    if (!err && !put_wait(w, l, NULL, ipc_chan_ends(from), req)) {
        ph_spool_rollback(w->spool); /* it must not be kept without an answer */
        err = -PH_ENOMEM;
    }
    if (err) {
        answer(w, ipc_chan_ends(from), req, verdict_of(err), 0,
               err == -PH_EFULL ? reason(err) : ph_error_info(err)->text);
        if (l)
            letter_drop(w, l);
        if (w->batch && !ph_spool_is_open(w->spool))
            settle_all(w, err); /* their transaction is gone with it */
    }
    if (w->batch_n >= BATCH_LETTERS || w->batch_bytes >= BATCH_BYTES)
        work_commit(w);
    work_soon(w);
}
