/*
 * One child:
 *
 *   DOWN --child_start--> STARTING --READY--> READY --child_drain--> DRAINING
 *     ^                                                                  |
 *     '---- house_ended: waited for (SIGCHLD) and its channel at EOF ----'    from every state
 *
 * Both are awaited, since what a dying child said last (FAILED) is still in the channel when
 * SIGCHLD comes.
 */
#include "parent_int.h"

#include "sock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_FD = 3, ENV_MAX = 16, CONF_MAX = 524288 };

void parent_title(int role, unsigned instance, char *ret_title, size_t n)
{
    if (instance)
        snprintf(ret_title, n, "posthouse: %s %u", ipc_role_name(role), instance + 1);
    else
        snprintf(ret_title, n, "posthouse: %s", ipc_role_name(role));
}

bool parent_title_parse(const char *title, int *ret_role, unsigned *ret_instance)
{
    char one[64];
    for (int role = ROLE_MX; role <= ROLE_INDEXER; role++) {
        for (unsigned i = 0; i < 32; i++) {
            parent_title(role, i, one, sizeof one);
            if (strcmp(one, title))
                continue;
            *ret_role = role;
            *ret_instance = i;
            return true;
        }
    }
    return false;
}

/* Of the environment a child gets what it needs: the time zone and what sanitizers are told. What
 * else the administrator's shell holds (tokens, passwords) is not for processes that strangers talk
 * to. */
static void keep_environment(char *ret_env[ENV_MAX])
{
    static const char *const names[] = {
        "TZ=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS=", "TSAN_OPTIONS="};
    size_t n = 0;
    for (char **one = environ; *one; one++)
        for (size_t i = 0; i < sizeof names / sizeof *names && n + 1 < ENV_MAX; i++)
            if (!strncmp(*one, names[i], strlen(names[i])))
                ret_env[n++] = *one;
    ret_env[n] = NULL;
}

/* In the new process: nothing but 0, 1, 2 and the channel stays open. */
static void become_child(const struct child *c, int fd)
{
    char title[64];
    parent_title(c->role, c->instance, title, sizeof title);
    char *argv[] = {title, NULL}, *env[ENV_MAX];
    keep_environment(env);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (null < 0 || dup3(null, STDIN_FILENO, 0) < 0)
        _exit(71);
    if (fd == CHILD_FD ? fcntl(fd, F_SETFD, 0) < 0 : dup3(fd, CHILD_FD, 0) < 0)
        _exit(71);
    close_range(CHILD_FD + 1, ~0u, 0);
    execve("/proc/self/exe", argv, env);
    _exit(71);
}

/* ---- what it is told ------------------------------------------------------------------------ */

/* A child that cannot be told what it must know is of no use: it is ended, and started anew. */
static void must(struct child *c, int r)
{
    if (r) {
        ph_log(PH_LOG_ERROR, (ph_str){0}, "child-unreachable", "child=%s why=%s",
               ipc_role_name(c->role), ph_error_info(r)->text);
        child_kill(c);
    }
}

void child_send_conf(struct child *c)
{
    struct ph_buf rows;
    ph_buf_init(&rows, NULL, CONF_MAX);
    ph_conf_pack(c->p->conf, c->role, &rows);
    int r = ph_buf_err(&rows);
    must(c, r ? r : ipc_send(c->chan, CONF, -1, ph_buf_str(&rows)));
    ph_buf_done(&rows);
}

void child_send_certs(struct child *c)
{
    ph_str name = PH_STR(""); /* the one for every name */
    if (ipc_may_send(IPC_CERT, ROLE_PARENT, c->role))
        must(c, ipc_send(c->chan, CERT, -1, name, ph_buf_str(&c->p->cert)));
    if (ipc_may_send(IPC_KEY, ROLE_PARENT, c->role))
        must(c, ipc_send(c->chan, KEY, -1, name, ph_buf_str(&c->p->key)));
}

void child_send_trust(struct child *c)
{
    const struct ph_buf *text = c->role == ROLE_KEEPER ? &c->p->oauth_keys : &c->p->client_ca;
    if (ipc_may_send(IPC_TRUST, ROLE_PARENT, c->role))
        must(c, ipc_send(c->chan, TRUST, -1, ph_buf_str(text)));
}

void child_send_tickets(struct child *c)
{
    ph_str secret = {c->p->tickets[c->role], PH_TLS_TICKET_KEY};
    if (ipc_may_send(IPC_TICKET_KEY, ROLE_PARENT, c->role))
        must(c, ipc_send(c->chan, TICKET_KEY, -1, secret));
}

static bool is_up(const struct child *c)
{
    return c->chan && (c->state == CHILD_STARTING || c->state == CHILD_READY);
}

bool child_is_ready(const struct child *c)
{
    return c->chan && c->state == CHILD_READY;
}

static void send_peer(struct child *to, const struct child *about, int fd)
{
    must(to, ipc_send(to->chan, PEER, fd, (uint8_t)about->role, about->instance));
}

static void send_signer(struct child *to, const struct child *about, int fd)
{
    must(to, ipc_send(to->chan, SIGNER, fd, (uint8_t)about->role, about->instance));
}

static void join_with(struct child *a, struct child *b,
                      void (*send)(struct child *to, const struct child *about, int fd))
{
    int fds[2];
    if (ph_socketpair(fds)) {
        ph_log(PH_LOG_ERROR, (ph_str){0}, "no-channel", "why=%s", strerror(errno));
        child_kill(a);
        return;
    }
    send(a, b, fds[0]);
    send(b, a, fds[1]);
    close(fds[0]);
    close(fds[1]);
}

void child_join(struct child *a, struct child *b)
{
    if (a == b || !is_up(a) || !is_up(b) || !ipc_may_talk(a->role, b->role))
        return;
    join_with(a, b, send_peer);
    if (b->role == ROLE_KEEPER && ipc_may_send(IPC_SIGN, a->role, b->role))
        join_with(a, b, send_signer);
    if (a->role == ROLE_KEEPER && ipc_may_send(IPC_SIGN, b->role, a->role))
        join_with(b, a, send_signer);
}

static void send_listeners(struct child *c)
{
    for (size_t i = 0; i < c->p->listener_count; i++) {
        struct listener *l = &c->p->listeners[i];
        if (service_role(l->service) == c->role)
            must(c, ipc_send(c->chan, LISTEN, l->fd, (uint8_t)l->service, ph_str_c(l->address)));
    }
}

/* Everything that comes before START, and START. */
static void tell_all(struct child *c)
{
    char user[64];
    child_send_conf(c);
    child_send_certs(c);
    child_send_trust(c);
    child_send_tickets(c);
    for (size_t i = 0; i < c->p->child_count; i++)
        child_join(&c->p->children[i], c);
    send_listeners(c);
    user_of_role(c->p, c->role, user, sizeof user);
    must(c, ipc_send(c->chan, START, -1, ph_str_c(user)));
}

/* ---- what it says --------------------------------------------------------------------------- */

static void keep_counters(struct child *c, const struct ipc_STATS *m)
{
    ph_buf_clear(&c->counters);
    ph_buf_add(&c->counters, m->counters);
    c->asked = false;
    for (size_t i = 0; i < c->p->child_count; i++)
        if (c->p->children[i].asked)
            return;
    control_counted(c->p);
}

static void on_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct child *c = ctx;
    (void)from;
    switch (msg->type) {
    case IPC_READY:
        if (c->state != CHILD_STARTING)
            return;
        c->state = CHILD_READY;
        house_ready(c->p);
        return;
    case IPC_FAILED:
        house_failed(c->p, c, (int)msg->FAILED.exit, msg->FAILED.text);
        return;
    case IPC_BROKEN:
        house_broken(c->p, c, msg->BROKEN.role, msg->BROKEN.instance, msg->BROKEN.why);
        return;
    case IPC_STATS:
        if (msg->STATS.req == c->p->stats_req && c->asked)
            keep_counters(c, &msg->STATS);
        return;
    case IPC_QUEUE_ACTED:
        control_acted(c->p, &msg->QUEUE_ACTED);
        return;
    default:
        child_kill(c);
    }
}

static void ended_when_both(struct child *c)
{
    if (!c->pid && !c->chan)
        house_ended(c);
}

static void on_gone(void *ctx, struct ipc_chan *chan, const char *why)
{
    struct child *c = ctx;
    if (why)
        ph_log(PH_LOG_ERROR, (ph_str){0}, "child-broken", "why=%s", why);
    c->chan = NULL;
    ipc_chan_free(chan);
    child_kill(c); /* one that lives on without a channel cannot be led any more */
    ended_when_both(c);
}

void child_waited(struct child *c, int status)
{
    char how[64];
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof how, "status %d", WEXITSTATUS(status));
    bool wanted = c->state == CHILD_DRAINING || c->p->phase == STOPPING;
    ph_log(wanted ? PH_LOG_DEBUG : PH_LOG_ERROR, (ph_str){0}, "child-ended",
           "child=%s instance=%u pid=%ld how=%s", ipc_role_name(c->role), c->instance, (long)c->pid,
           how);
    c->pid = 0;
    ended_when_both(c);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void again(void *ctx)
{
    child_start(ctx);
}

void child_kill(struct child *c)
{
    if (c->pid)
        kill(c->pid, SIGKILL);
}

void child_drain(struct child *c)
{
    if (c->state == CHILD_DOWN || c->state == CHILD_DRAINING)
        return;
    bool ready = c->state == CHILD_READY;
    c->state = CHILD_DRAINING;
    if (!ready || !c->chan || ipc_send(c->chan, DRAIN, -1, 0))
        child_kill(c);
}

void child_start(struct child *c)
{
    int fds[2] = {-1, -1};
    struct ipc_ends ends = {ROLE_PARENT, c->role, 0, c->instance};
    struct ipc_callbacks cb = {on_message, NULL, on_gone, c};
    if (!c->again)
        c->again = ph_timer_new(c->p->loop, again, c);
    c->pid = ph_socketpair(fds) ? -1 : fork();
    if (c->pid == 0)
        become_child(c, fds[1]);
    if (fds[1] >= 0)
        close(fds[1]);
    if (c->pid < 0) {
        ph_log(PH_LOG_ERROR, (ph_str){0}, "no-child", "child=%s why=%s", ipc_role_name(c->role),
               strerror(errno));
        if (fds[0] >= 0)
            close(fds[0]);
        c->pid = 0;
        house_ended(c);
        return;
    }
    c->since = ph_mono_us() / 1000;
    c->state = CHILD_STARTING;
    c->lost = 0; /* tell_all makes every channel */
    c->chan = ipc_chan_new(c->p->loop, fds[0], &ends, &cb);
    if (c->chan)
        tell_all(c);
    else
        child_kill(c);
}
