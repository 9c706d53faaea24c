/*
 * mx: mail from other servers (SMTP, port 25 in the world). The process; one connection: session.c.
 */
#include "log.h"
#include "mx_int.h"
#include <stdlib.h>
#include <unistd.h>

static void arrived(void *ctx, const struct front_guest *g)
{
    mx_session_new(ctx, g);
}

/* ---- answers ------------------------------------------------------------------------------ */

_Static_assert(offsetof(struct ipc_RCPT_CHECKED, req) == offsetof(struct ipc_QUEUE_PUT_DONE, req),
               "an answer begins with req");

static void on_answer(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct mx *mx = p->state;
    struct mx_session *s = proc_waited(mx->waits, from, msg->type, msg->QUEUE_PUT_DONE.req);
    if (s)
        mx_session_answer(s, msg);
}

static void on_ban(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct mx *mx = p->state;
    (void)from;
    guard_ban(front_guard(mx->front), ph_loop_now(p->loop), msg->BAN.address,
              (int64_t)(msg->BAN.duration / 1000));
}

static void unanswered(void *who, uint64_t req, void *ctx)
{
    (void)req, (void)ctx;
    mx_session_answer(who, NULL);
}

static void peer_down(struct proc *p, int role, unsigned instance)
{
    struct mx *mx = p->state;
    (void)instance;
    proc_waits_fail(mx->waits, role, unanswered, NULL);
}

/* ---- the process --------------------------------------------------------------------------- */

static void reload(struct proc *p)
{
    struct mx *mx = p->state;
    front_settings(mx->front, p->conf);
    intake_room(p, &mx->room);
}

static int opened(struct proc *p, struct ph_error *reterr, int *ret_exit_code)
{
    struct mx *mx = calloc(1, sizeof *mx);
    (void)ret_exit_code;
    if (mx) {
        mx->proc = p;
        mx->waits = proc_waits_new();
        mx->front = front_new(p->loop, p->instance, arrived, mx);
    }
    if (!mx || !mx->waits || !mx->front)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    p->state = mx;
    reload(p);
    return 0;
}

static int listen_on(struct proc *p, int service, ph_str address, int fd)
{
    struct mx *mx = p->state;
    (void)address;
    return front_listen(mx->front, service, fd);
}

static void drain(struct proc *p)
{
    struct mx *mx = p->state;
    mx->draining = true;
    front_close(mx->front);
    if (!mx->sessions)
        proc_done(p);
    for (struct mx_session *s = mx->sessions; s; s = s->next)
        mx_session_drain(s);
}

static void stats(struct proc *p, struct ph_buf *rows)
{
    const struct mx *mx = p->state;
    const struct ipc_counter counters[] = {
        {PH_STR("sessions"), front_count(mx->front)},
        {PH_STR("connections"), front_total(mx->front)},
        {PH_STR("refused"), front_refused(mx->front)},
        {PH_STR("letters"), mx->letters},
        {PH_STR("refused_commands"), mx->refused_commands},
    };
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        ipc_add(counter, rows, &counters[i]);
}

/* Its privileges: sockets it is handed, memory files for large letters; no file, no outgoing
 * connection. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    (void)p;
    *ret = (struct ph_sandbox){.may = PH_MAY_ACCEPT | PH_MAY_MEMFD, .chroot = true};
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {
    [IPC_RCPT_CHECKED] = on_answer,
    [IPC_QUEUE_PUT_DONE] = on_answer,
    [IPC_BAN] = on_ban,
};

const struct proc_def proc_mx = {
    .role = ROLE_MX,
    .handlers = handlers,
    .sandbox = sandbox,
    .setup = intake_setup,
    .opened = opened,
    .listen = listen_on,
    .peer_down = peer_down,
    .reload = reload,
    .drain = drain,
    .stats = stats,
};
