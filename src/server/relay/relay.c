/* relay: mail to other servers. Its parts are drawn in relay.h. */
#include "relay.h"
#include "file.h"
#include "pack.h"
#include "random.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Its privileges: outgoing streams; no file. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    (void)p;
    *ret = (struct ph_sandbox){.may = PH_MAY_CONNECT, .chroot = true};
}

/* ---- a new try --------------------------------------------------------------------------- */

static int take_rcpts(struct attempt *t, ph_str rows)
{
    struct ipc_rcpt row;
    ph_str count = rows;
    while (t->n < RELAY_RCPTS && ipc_each(rcpt, &count, &row))
        t->n++;
    t->rcpts = ph_arena_array(t->arena, t->n + 1, sizeof *t->rcpts);
    t->outcomes = ph_arena_array(t->arena, t->n + 1, sizeof *t->outcomes);
    if (count.n || !t->n)
        return -PH_ESYNTAX;
    if (!t->rcpts || !t->outcomes)
        return -PH_ENOMEM;
    for (size_t i = 0; ipc_each(rcpt, &rows, &row); i++) {
        t->rcpts[i] = (struct rcpt){.address = ph_arena_copy(t->arena, row.address),
                                    .original = ph_arena_copy(t->arena, row.original),
                                    .notify = row.notify};
        if (!t->rcpts[i].address.p || !t->rcpts[i].original.p)
            return -PH_ENOMEM;
    }
    return 0;
}

static int take_body(struct attempt *t, const struct ipc_RELAY_TRY *m, int *fd)
{
    if (*fd >= 0) {
        int err = ph_memfile_map(*fd, m->size, &t->mapped);
        if (err < 0)
            return err;
        t->body = ph_str_skip(t->mapped, m->skip);
        return 0;
    }
    int err = 0;
    if (m->flags & IPC_PACKED)
        err = ph_unpack(t->relay->packer, m->body, m->size, &t->copy);
    else
        ph_buf_add(&t->copy, m->body);
    t->body = ph_str_skip(ph_buf_str(&t->copy), m->skip);
    return err ? err : ph_buf_err(&t->copy);
}

static struct attempt *new_attempt(struct relay *r, const struct ipc_RELAY_TRY *m)
{
    struct attempt *t = ph_new0(NULL, sizeof *t);
    struct ph_arena *arena = t ? ph_arena_new(NULL, RELAY_TRY_BYTES) : NULL;
    if (!arena) {
        ph_free(NULL, t, sizeof *t);
        return NULL;
    }
    t->arena = arena;
    t->relay = r;
    t->req = m->req;
    t->qid = m->qid;
    t->flags = m->flags;
    t->sender = ph_arena_copy(arena, m->sender);
    t->domain = ph_arena_copy(arena, m->domain);
    t->envid = ph_arena_copy(arena, m->envid);
    t->ways = ways_hold(r->ways);
    t->way = way_for(t->ways, m->sender, m->domain);
    ph_buf_init(&t->events, NULL, 262144);
    ph_buf_init(&t->copy, NULL, IPC_INLINE);
    t->next = r->tries;
    t->at = &r->tries;
    if (t->next)
        t->next->at = &t->next;
    r->tries = t;
    return t;
}

static void begin(struct attempt *t)
{
    struct relay *r = t->relay;
    if (session_reuse(t))
        return;
    if (!relay_is_full(r)) {
        route_start(t);
        return;
    }
    relay_queue(t);
    relay_next_queued(r);
}

void relay_queue(struct attempt *t)
{
    struct relay *r = t->relay;
    *r->queue_last = t;
    r->queue_last = &t->queued;
}

bool relay_is_full(const struct relay *r)
{
    return r->open + r->routing >= RELAY_SESSIONS;
}

void relay_routing(struct attempt *t, bool routing)
{
    t->relay->routing += routing;
    t->relay->routing -= t->routing;
    t->routing = routing;
}

static struct attempt *unqueue(struct relay *r, struct attempt **at)
{
    struct attempt *t = *at;
    *at = t->queued;
    if (!t->queued)
        r->queue_last = at;
    t->queued = NULL;
    site_wait_no_more(t);
    return t;
}

struct attempt *relay_queued_for(struct relay *r, const struct session *s)
{
    struct attempt **at = &r->queue_first;
    for (int i = 0; *at && i < RELAY_LOOK; i++, at = &(*at)->queued)
        if (session_may_take(s, *at))
            return unqueue(r, at);
    return NULL;
}

/* Not from inside what ended: a long row of tries that fail at once would be as deep a row of
 * calls. */
static void look(void *ctx)
{
    struct relay *r = ctx;
    if (r->queue_first)
        session_serve_queued(r);
    for (struct attempt **at = &r->queue_first; *at && !relay_is_full(r);)
        if (site_has_place(*at))
            route_start(unqueue(r, at));
        else
            at = &(*at)->queued;
}

void relay_next_queued(struct relay *r)
{
    if (r->queue_first)
        ph_loop_later(r->p->loop, &r->later);
}

static void relay_try(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct relay *r = p->state;
    const struct ipc_RELAY_TRY *m = &msg->RELAY_TRY;
    struct attempt *t = new_attempt(r, m);
    int err = t && t->sender.p && t->domain.p && t->envid.p ? take_rcpts(t, m->rcpts) : -PH_ENOMEM;
    if (!err)
        err = take_body(t, m, &msg->fd);
    if (!err) {
        begin(t);
        return;
    }
    if (t)
        attempt_free(t);
    if (err == -PH_ESYNTAX)
        proc_broken(p, from, "a RELAY_TRY that makes no sense");
    else
        ipc_send(from, RELAY_TRIED, -1, .req = m->req); /* no outcome: deferred */
}

/* ---- life -------------------------------------------------------------------------------- */

static int setup(struct proc *p, struct ph_error *reterr)
{
    static struct relay r;
    r = (struct relay){.p = p};
    r.queue_last = &r.queue_first;
    r.later = (struct ph_later){.fn = look, .ctx = &r};
    p->state = &r;
    r.waits = proc_waits_new();
    r.packer = ph_packer_new();
    ph_random(&r.site_key, sizeof r.site_key);
    if (!r.waits || !r.packer)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    int err = ways_new(p->conf, NULL, &r.ways, reterr);
    if (err < 0)
        return err;
    char ca[RELAY_PATH];
    snprintf(ca, sizeof ca, "%.*s", PH_FMT(p->conf->relay_ca));
    /* Whether a certificate must be good is decided by letter, after the handshake. */
    r.tls = ph_tls_client_ctx(PH_TLS_VERIFY_NONE, ca[0] ? ca : NULL, reterr);
    if (r.tls && !ca[0])
        ph_tls_load_authorities(r.tls);
    return r.tls ? 0 : -PH_ETLS;
}

/* Connections made under other rules end. */
static void reload(struct proc *p)
{
    struct relay *r = p->state;
    struct ph_error err = {0};
    struct ways *now;
    session_close_idle(r);
    if (ways_new(p->conf, r->ways, &now, &err) < 0) {
        ph_log(PH_LOG_ERROR, (ph_str){0}, "settings", "error=%s", err.text);
        return;
    }
    ways_drop(r->ways);
    r->ways = now;
}

static void peer_down(struct proc *p, int role, unsigned instance)
{
    struct relay *r = p->state;
    (void)instance;
    if (role == ROLE_RESOLVER)
        route_lost(r);
    if (role != ROLE_QUEUE)
        return;
    /* The new queue asks again for all of them. */
    r->queue_first = NULL;
    r->queue_last = &r->queue_first;
    while (r->tries) {
        if (r->tries->session)
            session_abort(r->tries->session);
        attempt_free(r->tries);
    }
}

static void drain(struct proc *p)
{
    struct relay *r = p->state;
    session_close_idle(r);
    if (!r->tries)
        proc_done(p);
}

static void stats(struct proc *p, struct ph_buf *rows)
{
    const struct relay *r = p->state;
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {{"sent", r->sent},       {"deferred", r->deferred},
               {"refused", r->refused}, {"connections", r->connections},
               {"reused", r->reused},   {"open", r->open}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ipc_add(counter, rows,
                &((struct ipc_counter){.name = ph_str_c(all[i].name), .value = all[i].value}));
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {
    [IPC_RELAY_TRY] = relay_try, [IPC_RESOLVED] = route_resolved};

const struct proc_def proc_relay = {
    .role = ROLE_RELAY,
    .handlers = handlers,
    .setup = setup,
    .sandbox = sandbox,
    .peer_down = peer_down,
    .reload = reload,
    .drain = drain,
    .stats = stats,
};
