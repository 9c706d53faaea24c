/* The control socket: DATA/control.sock, for those who may enter the folder. One question, one
 * answer (CTL, CTL_RESULT). */
#include "parent_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum { STATUS_MAX = 500000, STATS_WAIT_MS = 1000, PENDING_CALLS = 8 };

static void answer(struct control *c, enum ipc_verdict verdict, ph_str text)
{
    if (c->chan && ipc_send(c->chan, CTL_RESULT, -1, (uint8_t)verdict, text))
        ph_log(PH_LOG_DEBUG, (ph_str){0}, "control-gone", "");
}

/* ---- verbs ---------------------------------------------------------------------------------- */

/* Asks every child for its counters; status is answered when they have come, or after a second
 * without the rest. */
static void do_status(struct control *c, ph_str argument)
{
    struct parent *p = c->p;
    bool asked = false;
    (void)argument;
    c->status = true;
    p->stats_req++;
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *one = &p->children[i];
        one->asked = child_is_ready(one) && !ipc_send(one->chan, STATS_GET, -1, p->stats_req);
        asked = asked || one->asked;
    }
    if (asked)
        ph_timer_set(p->stats_limit, STATS_WAIT_MS);
    else
        control_counted(p);
}

void control_counted(struct parent *p)
{
    struct ph_buf text;
    ph_timer_off(p->stats_limit);
    ph_buf_init(&text, NULL, STATUS_MAX);
    status_json(p, &text);
    for (size_t i = 0; i < CONTROLS_MAX; i++) {
        if (p->controls[i].chan && p->controls[i].status)
            answer(&p->controls[i], ph_buf_err(&text) ? IPC_LIMIT : IPC_OK,
                   ph_buf_err(&text) ? (ph_str){0} : ph_buf_str(&text));
        p->controls[i].status = false;
    }
    ph_buf_done(&text);
}

static void on_stats_limit(void *ctx)
{
    control_counted(ctx);
}

static void do_reload(struct control *c, ph_str argument)
{
    (void)argument;
    if (house_reload(c->p))
        answer(c, IPC_INVALID,
               PH_STR("the configuration or a certificate has mistakes, told in the server's log "
                      "(posthouse check-config shows "
                      "them, too); the old one is kept"));
    else
        answer(c, IPC_OK, PH_STR("configuration and certificates were read again"));
}

static void do_stop(struct control *c, ph_str argument)
{
    (void)argument;
    answer(c, IPC_OK, PH_STR("stopping"));
    house_stop(c->p, EX_OK);
}

/* The queue answers when it is through with it: control_acted. */
static void act(struct control *c, int action, ph_str filter)
{
    struct child *queue = house_find(c->p, ROLE_QUEUE, 0);
    c->act = ++c->p->act_req;
    if (queue && child_is_ready(queue) &&
        !ipc_send(queue->chan, QUEUE_ACT, -1, c->act, (uint8_t)action, filter))
        return;
    c->act = 0;
    answer(c, IPC_TEMP, PH_STR("the queue process is not running"));
}

void control_acted(struct parent *p, const struct ipc_QUEUE_ACTED *m)
{
    char text[64];
    snprintf(text, sizeof text, "%llu", (unsigned long long)m->count);
    for (size_t i = 0; i < CONTROLS_MAX; i++) {
        struct control *c = &p->controls[i];
        if (!c->chan || !c->act || (m->req && c->act != m->req))
            continue;
        c->act = 0;
        answer(c, m->verdict, m->verdict == IPC_OK ? ph_str_c(text) : m->text);
    }
}

#define ACT(name, action)                                                                          \
    static void do_##name(struct control *c, ph_str argument)                                      \
    {                                                                                              \
        act(c, action, argument);                                                                  \
    }
ACT(retry, IPC_ACT_RETRY)
ACT(hold, IPC_ACT_HOLD)
ACT(release, IPC_ACT_RELEASE)
ACT(remove, IPC_ACT_REMOVE)
ACT(bounce, IPC_ACT_BOUNCE)

static const struct {
    const char *verb;
    void (*run)(struct control *c, ph_str argument);
} verbs[] = {{"status", do_status}, {"reload", do_reload}, {"stop", do_stop},
             {"retry", do_retry},   {"hold", do_hold},     {"release", do_release},
             {"remove", do_remove}, {"bounce", do_bounce}};

static void on_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct control *c = ctx;
    (void)from;
    for (size_t i = 0; msg->type == IPC_CTL && i < sizeof verbs / sizeof *verbs; i++) {
        if (!ph_str_eq(msg->CTL.verb, ph_str_c(verbs[i].verb)))
            continue;
        verbs[i].run(c, msg->CTL.argument);
        return;
    }
    answer(c, IPC_INVALID, PH_STR("the server does not know this verb"));
}

static void on_gone(void *ctx, struct ipc_chan *chan, const char *why)
{
    struct control *c = ctx;
    if (why)
        ph_log(PH_LOG_WARN, (ph_str){0}, "control-broken", "why=%s", why);
    c->chan = NULL;
    c->status = false;
    c->act = 0;
    ipc_chan_free(chan);
}

/* ---- the socket ----------------------------------------------------------------------------- */

static void on_accept(void *ctx, unsigned ready)
{
    struct parent *p = ctx;
    struct ipc_ends ends = {ROLE_PARENT, ROLE_CONTROL, 0, 0};
    int fd = accept4(p->control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    (void)ready;
    if (fd < 0)
        return;
    for (size_t i = 0; i < CONTROLS_MAX; i++) {
        struct control *c = &p->controls[i];
        if (c->chan)
            continue;
        struct ipc_callbacks cb = {on_message, NULL, on_gone, c};
        *c = (struct control){.p = p};
        c->chan = ipc_chan_new(p->loop, fd, &ends, &cb);
        return;
    }
    close(fd);
}

/* By way of /proc, since a socket's path may have 107 bytes only and a data folder's more. */
int control_open(struct parent *p)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    snprintf(sa.sun_path, sizeof sa.sun_path, "/proc/self/fd/%d/control.sock", p->data_fd);
    unlinkat(p->data_fd, "control.sock", 0);
    p->control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    p->stats_limit = ph_timer_new(p->loop, on_stats_limit, p);
    if (p->control_fd < 0 || !p->stats_limit ||
        bind(p->control_fd, (const struct sockaddr *)&sa, sizeof sa) ||
        fchmodat(p->data_fd, "control.sock", 0600, 0) || listen(p->control_fd, PENDING_CALLS)) {
        fprintf(stderr, "posthouse: %s/control.sock: %s\n", p->data, strerror(errno));
        return EX_CANTCREAT;
    }
    p->control_io = ph_io_new(p->loop, p->control_fd, PH_READ, on_accept, p);
    return p->control_io ? 0 : EX_OSERR;
}

void control_close(struct parent *p)
{
    for (size_t i = 0; i < CONTROLS_MAX; i++)
        p->controls[i].chan = ipc_chan_free(p->controls[i].chan);
    ph_io_free(p->control_io);
    ph_timer_free(p->stats_limit);
    if (p->control_fd >= 0) {
        unlinkat(p->data_fd, "control.sock", 0);
        close(p->control_fd);
    }
}
