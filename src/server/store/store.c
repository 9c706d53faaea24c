/* store.c - the process that keeps the mail: its privileges, its messages, its answers. Main
 * thread. */
#include "cores.h"
#include "store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Its privileges: its own folder, threads, memory files; no network. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    *ret = (struct ph_sandbox){
        .may = PH_MAY_FILES | PH_MAY_THREADS | PH_MAY_MEMFD, .dir = p->data, .chroot = true};
}

static unsigned *epoch_of(struct house_store *h, int role, unsigned instance)
{
    return &h->epochs[role][instance % 256];
}

static void reload(struct proc *p)
{
    struct house_store *h = p->state;
    limits_default(h->limits, (uint64_t)p->conf->quota_bytes, (uint64_t)p->conf->quota_messages);
}

static int setup(struct proc *p, struct ph_error *reterr)
{
    struct house_store *h = calloc(1, sizeof *h);
    if (h) {
        h->sessions = sessions_new();
        h->limits = limits_new();
    }
    if (!h || !h->sessions || !h->limits) {
        if (h) {
            sessions_free(h->sessions);
            limits_free(h->limits);
        }
        free(h);
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    }
    h->p = p;
    p->state = h;
    h->worker_n = ph_cores_share(1, 2, WORKERS_MAX);
    h->max_message = p->conf ? (uint64_t)p->conf->max_message_size : 0;
    if (p->conf) {
        reload(p);
        h->no_index = !p->conf->search_index;
        h->trash_us = p->conf->trash_keep * 1000;
        h->junk_us = p->conf->junk_keep * 1000;
    }
    h->hand_over = (struct ph_later){.fn = worker_hand_over, .ctx = h};
    pthread_mutex_init(&h->done_lock, NULL);
    pthread_mutex_init(&h->sync_lock, NULL);
    pthread_cond_init(&h->sync_cond, NULL);
    return 0;
}

/* ---- answers ------------------------------------------------------------------------------ */

void main_post(struct house_store *h, struct job *jobs)
{
    if (!jobs)
        return;
    struct job *last = jobs;
    while (last->next)
        last = last->next;
    pthread_mutex_lock(&h->done_lock);
    *(h->done ? &h->done_tail->next : &h->done) = jobs;
    h->done_tail = last;
    bool wake = !h->main_takes;
    pthread_mutex_unlock(&h->done_lock);
    if (wake)
        ph_loop_wake(h->p->loop);
}

void main_synced(struct house_store *h, const struct requests *r)
{
    if (r->n == 0)
        return;
    pthread_mutex_lock(&h->done_lock);
    for (size_t i = 0; i < r->n; i++)
        if (requests_add(&h->synced, r->v[i].req, r->v[i].epoch) < 0)
            break; /* the queue keeps them, and delivers again after a restart */
    pthread_mutex_unlock(&h->done_lock);
    ph_loop_wake(h->p->loop);
}

/* What the main thread remembers of an answer. */
static void note(struct house_store *h, struct job *j)
{
    if (j->ask.type == IPC_GRANT && !j->failed) {
        const struct ipc_GRANT *g = &j->ask.GRANT;
        int r = session_add(h->sessions, g->session, g->instance, g->account, g->folder);
        if (r < 0)
            job_refuse(j, IPC_TEMP, "the session could not be kept");
        return;
    }
    struct session *s = j->session ? session_of(h->sessions, j->session, j->instance) : NULL;
    if (j->ask.type == IPC_MB_OPEN && s) {
        bool pop3 = j->ask.MB_OPEN.mode == IPC_OPEN_POP3;
        if (!j->failed && session_opened(s, j->touched[0].mailbox, pop3) < 0)
            job_refuse(j, IPC_TEMP, "out of memory");
        if (j->failed && pop3)
            session_pop3_off(s);
        return;
    }
    for (unsigned i = 0; !j->failed && j->ask.type != IPC_MB_OPEN && i < j->touched_n; i++)
        sessions_event(h->sessions, h->p, j->account, &j->touched[i], j->session);
}

static void answer(struct house_store *h, struct job *j)
{
    if (j->answer.type == IPC_INDEX) {
        index_ask(h, j);
        job_free(j);
        return;
    }
    bool there = j->epoch == *epoch_of(h, j->role, j->instance);
    struct ipc_chan *c = there ? proc_peer_at(h->p, j->role, j->instance) : NULL;
    if (j->ask.type != IPC_GRANT || c)
        note(h, j);
    if (c && store_ops_table[j->ask.type].answer) {
        int r = ipc_chan_send(c, j->answer.type, &j->answer.STORE_DONE, j->answer.fd);
        if (r < 0)
            ph_log(PH_LOG_WARN, PH_STR(""), "answer", "to=%s error=%s", ipc_role_name(j->role),
                   ph_error_info(r)->text);
    }
    job_free(j);
}

static void send_synced(struct house_store *h, const struct requests *r)
{
    enum { ROWS = 50000 };
    struct ipc_chan *c = proc_peer(h->p, ROLE_QUEUE);
    struct ph_buf rows;
    ph_buf_init(&rows, NULL, 524288);
    for (size_t i = 0; c && i < r->n;) {
        ph_buf_clear(&rows);
        for (size_t n = 0; i < r->n && n < ROWS; i++, n++) {
            struct ipc_number row = {r->v[i].req};
            if (r->v[i].epoch == *epoch_of(h, ROLE_QUEUE, 0))
                ipc_add(number, &rows, &row);
        }
        if (rows.n > 0 && !ph_buf_err(&rows))
            ipc_send(c, SYNCED, -1, .reqs = ph_buf_str(&rows));
    }
    ph_buf_done(&rows);
}

void main_take(void *ctx)
{
    struct house_store *h = ctx;
    pthread_mutex_lock(&h->done_lock);
    h->main_takes = false;
    struct job *jobs = h->done;
    struct requests synced = h->synced;
    bool ended = h->running > 0 && h->ended == h->running;
    h->done = h->done_tail = NULL;
    h->synced = (struct requests){0};
    pthread_mutex_unlock(&h->done_lock);
    for (struct job *j = jobs, *next; j; j = next) {
        next = j->next;
        answer(h, j);
    }
    send_synced(h, &synced);
    free(synced.v);
    if (ended && h->p->draining) {
        threads_join(h);
        main_take(h); /* what the syncers had left */
        proc_done(h->p);
    }
}

static int opened(struct proc *p, struct ph_error *reterr, int *ret_exit_code)
{
    struct house_store *h = p->state;
    *ret_exit_code = 74; /* EX_IOERR */
    snprintf(h->root, sizeof h->root, "%s", p->data);
    int r = ph_loop_on_wake(p->loop, main_take, h);
    return r < 0 ? ph_fail(reterr, -r, 0, "no wake-up descriptor") : threads_start(h, reterr);
}

static void drain(struct proc *p)
{
    struct house_store *h = p->state;
    threads_stop(h);
    ph_loop_wake(p->loop);
}

/* ---- requests ----------------------------------------------------------------------------- */

static void give_group(struct house_store *h, struct ipc_chan *from, struct ipc_msg *msg,
                       uint64_t session, uint64_t account, ph_str folder, int refuse,
                       const char *why, struct job *group)
{
    struct job *j = job_new(msg, ipc_chan_ends(from), folder);
    if (!j) {
        job_free(group);
        ph_log(PH_LOG_ERROR, PH_STR(""), "request", "error=out_of_memory type=%s",
               ipc_type_name(msg->type));
        return;
    }
    j->group = group;
    j->session = session;
    j->account = account;
    j->epoch = *epoch_of(h, j->role, j->instance);
    if (refuse == IPC_OK && !store_folder_ok(folder)) {
        refuse = IPC_INVALID;
        why = "not a folder name";
    }
    if (refuse == IPC_OK && h->p->draining) {
        refuse = IPC_TEMP;
        why = "shutting down";
    }
    if (msg->type == IPC_QUOTA_GET)
        limits_get(h->limits, account, &j->limits);
    if (j->failed || refuse != IPC_OK) {
        if (!j->failed) {
            job_reset(j);
            job_refuse(j, refuse, why);
        }
        answer(h, j);
        return;
    }
    worker_give(h, j);
}

static void give(struct house_store *h, struct ipc_chan *from, struct ipc_msg *msg,
                 uint64_t session, uint64_t account, ph_str folder, int refuse, const char *why)
{
    give_group(h, from, msg, session, account, folder, refuse, why, NULL);
}

static void on_deliver(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    give(p->state, from, msg, 0, msg->DELIVER.account, msg->DELIVER.folder, IPC_OK, "");
}

static void on_grant(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    give(p->state, from, msg, 0, msg->GRANT.account, msg->GRANT.folder, IPC_OK, "");
}

static void on_limits(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct house_store *h = p->state;
    struct ipc_limit row;
    (void)from;
    for (ph_str rows = msg->LIMITS.limits; ipc_each(limit, &rows, &row);)
        if (limits_set(h->limits, row.account, row.bytes, row.messages) < 0)
            ph_log(PH_LOG_ERROR, PH_STR(""), "limits", "error=out_of_memory");
}

static void on_revoke(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct house_store *h = p->state;
    const struct ipc_REVOKE *r = &msg->REVOKE;
    sessions_end_account(h->sessions, p, r->account, "the account was removed or disabled");
    if (r->erase && store_folder_ok(r->folder))
        give(h, from, msg, 0, r->account, r->folder, IPC_OK, "");
}

static void on_session_end(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct house_store *h = p->state;
    struct session *s =
        session_of(h->sessions, msg->SESSION_END.session, ipc_chan_ends(from)->peer_instance);
    if (s)
        session_end(h->sessions, s);
}

static void on_close(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct house_store *h = p->state;
    struct session *s =
        session_of(h->sessions, msg->MB_CLOSE.session, ipc_chan_ends(from)->peer_instance);
    if (s)
        session_closed(s, msg->MB_CLOSE.mailbox);
}

/* All requests of a session start with req and session. */
static void on_request(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct house_store *h = p->state;
    uint64_t id = msg->SYNC.session, account = 0;
    ph_str folder = PH_STR("");
    struct session *s = session_of(h->sessions, id, ipc_chan_ends(from)->peer_instance);
    int refuse = s ? IPC_OK : IPC_DENIED;
    const char *why = "not a session of yours";
    if (s)
        session_account(s, &account, &folder);
    if (s && msg->type == IPC_MB_OPEN && msg->MB_OPEN.mode == IPC_OPEN_POP3 &&
        !session_pop3(h->sessions, s)) {
        refuse = IPC_INUSE;
        why = "another POP3 session has the mailbox";
    }
    if (s && msg->type == IPC_MB_CHANGES)
        session_asked(s, msg->MB_CHANGES.mailbox);
    struct job *group = NULL;
    if (s && msg->type == IPC_MSG_APPEND) {
        bool over;
        if (msg->MSG_APPEND.more && msg->MSG_APPEND.size == 0) {
            job_free(session_staged(s, NULL));
            return;
        }
        if (msg->MSG_APPEND.more) {
            struct job *j = job_new(msg, ipc_chan_ends(from), folder);
            if (j)
                session_stage(s, j);
            return;
        }
        group = session_staged(s, &over);
        if (over) {
            refuse = IPC_LIMIT;
            why = "too many messages at once";
        }
    }
    give_group(h, from, msg, id, account, folder, refuse, why, group);
}

static void peer_down(struct proc *p, int role, unsigned instance)
{
    struct house_store *h = p->state;
    ++*epoch_of(h, role, instance);
    if (role == ROLE_INDEXER)
        index_lost(h);
    if (role == ROLE_ACCESS)
        sessions_end_instance(h->sessions, instance);
}

static void add_counter(struct ph_buf *rows, const char *name, uint64_t value)
{
    struct ipc_counter c = {ph_str_c(name), value};
    ipc_add(counter, rows, &c);
}

static void stats(struct proc *p, struct ph_buf *rows)
{
    struct house_store *h = p->state;
    struct counters *c = &h->count;
    add_counter(rows, "sessions", sessions_count(h->sessions));
    add_counter(rows, "delivered", atomic_load(&c->delivered));
    add_counter(rows, "delivered_again", atomic_load(&c->again));
    add_counter(rows, "appended", atomic_load(&c->appended));
    add_counter(rows, "bodies_read", atomic_load(&c->bodies));
    add_counter(rows, "refused", atomic_load(&c->refused));
    add_counter(rows, "transactions", atomic_load(&c->batches));
    add_counter(rows, "syncs", atomic_load(&c->syncs));
    add_counter(rows, "sync_errors", atomic_load(&c->sync_errors));
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {
    [IPC_DELIVER] = on_deliver,    [IPC_GRANT] = on_grant,
    [IPC_REVOKE] = on_revoke,      [IPC_SESSION_END] = on_session_end,
    [IPC_MB_CLOSE] = on_close,     [IPC_MB_LIST] = on_request,
    [IPC_MB_CHANGE] = on_request,  [IPC_MB_OPEN] = on_request,
    [IPC_MSG_LIST] = on_request,   [IPC_MSG_BODY] = on_request,
    [IPC_MSG_FLAGS] = on_request,  [IPC_MSG_APPEND] = on_request,
    [IPC_MSG_COPY] = on_request,   [IPC_MSG_EXPUNGE] = on_request,
    [IPC_MB_CHANGES] = on_request, [IPC_SYNC] = on_request,
    [IPC_QUOTA_GET] = on_request,  [IPC_LIMITS] = on_limits,
    [IPC_MSG_SEARCH] = on_request, [IPC_INDEXED] = index_answered,
};

const struct proc_def proc_store = {
    .role = ROLE_STORE,
    .handlers = handlers,
    .setup = setup,
    .sandbox = sandbox,
    .opened = opened,
    .peer_down = peer_down,
    .reload = reload,
    .drain = drain,
    .stats = stats,
};
