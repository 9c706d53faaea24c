/*
 * The life of a child, as its parent's messages drive it:
 *
 *             CONF, CERT, KEY, PEER...
 *               +---+
 *               |   v
 *   main --> GREETED --START: proc__start--> SERVING --DRAIN--> DRAINING --proc_done--> exit
 *                         |
 *                         +--> FAILED is told; it waits to be ended
 *
 * The parent's EOF ends it in any state.
 */
#include "proc_int.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

enum { END_TURN_MS = 10, END_TURNS = 200 };

static void on_conf(struct proc *p, ph_str rows)
{
    struct ph_error e = {0};
    struct ph_conf *fresh = ph_conf_new(), *old = p->conf;
    int r = fresh ? ph_conf_unpack(fresh, rows, &e) : -PH_ENOMEM;
    if (r) {
        ph_conf_free(fresh);
        if (p->priv->started)
            ph_log(PH_LOG_ERROR, (ph_str){0}, "reload-failed", "why=%s", e.text);
        else
            proc__fail(p, EX_SOFTWARE, *e.text ? e.text : "out of memory");
        return;
    }
    p->conf = fresh;
    ph_conf_log(p->conf, ipc_role_name(p->def->role), p->instance);
    if (p->priv->started && p->def->reload)
        p->def->reload(p);
    ph_conf_free(old);
}

static void on_cert(struct proc *p, const struct ipc_CERT *m)
{
    struct ph_error e = {0};
    int r;
    proc__cert_add(p, m->name, m->chain_pem, &e, &r);
    if (r < 0 && !p->priv->started)
        proc__fail(p, EX_CONFIG, e.text);
    else if (r)
        ph_log(r < 0 ? PH_LOG_ERROR : PH_LOG_WARN, (ph_str){0},
               r < 0 ? "certificate-refused" : "certificate-expired", "name=%.*s why=%s",
               PH_FMT(m->name), e.text);
    if (r >= 0 && p->priv->started && p->def->certs)
        p->def->certs(p);
}

static void on_trust(struct proc *p, ph_str text)
{
    struct ph_error e = {0};
    int r = p->def->trust   ? p->def->trust(p, text, &e)
            : p->tls_server ? ph_tls_client_authorities(p->tls_server, text, &e)
                            : 0;
    const char *setting = p->def->trust ? "oauth_keys" : "tls_client_ca";
    if (r >= 0)
        return;
    if (p->priv->started) {
        ph_log(PH_LOG_ERROR, (ph_str){0}, "trust-refused", "setting=%s why=%s", setting, e.text);
        return;
    }
    struct ph_error told;
    ph_fail(&told, -r, 0, "%s: %s", setting, e.text);
    proc__fail(p, EX_CONFIG, told.text);
}

static void on_end_timer(void *ctx)
{
    struct proc *p = ctx;
    if (--p->priv->end_left <= 0 || (p->priv->done && proc__backlog(p) == 0))
        ph_loop_stop(p->loop);
    else
        ph_timer_set(p->priv->end, END_TURN_MS);
}

void proc_done(struct proc *p)
{
    if (p->priv->done)
        return;
    p->priv->done = true;
    p->priv->end_left = END_TURNS;
    ph_timer_set(p->priv->end, 0);
}

static void on_drain(struct proc *p)
{
    if (p->draining)
        return;
    p->draining = true;
    if (p->priv->started && p->def->drain)
        p->def->drain(p);
    else
        proc_done(p);
}

static void on_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct proc *p = ctx;
    (void)from;
    switch (msg->type) {
    case IPC_CONF:
        on_conf(p, msg->CONF.settings);
        break;
    case IPC_TICKET_KEY:
        if (p->tls_server && ph_tls_ticket_key(p->tls_server, msg->TICKET_KEY.secret) < 0)
            ph_log(PH_LOG_WARN, (ph_str){0}, "ticket-key-refused", "");
        break;
    case IPC_CERT:
        on_cert(p, &msg->CERT);
        break;
    case IPC_TRUST:
        on_trust(p, msg->TRUST.text);
        break;
    case IPC_KEY:
    case IPC_PEER:
    case IPC_SIGNER:
    case IPC_LISTEN:
        proc__later(p, msg);
        break;
    case IPC_START:
        if (!p->priv->started && !p->priv->exit_code)
            proc__start(p, msg->START.user);
        break;
    case IPC_DRAIN:
        on_drain(p);
        break;
    case IPC_STATS_GET:
        proc__stats_answer(p, msg->STATS_GET.req);
        break;
    default:
        if (p->priv->started && p->def->handlers && p->def->handlers[msg->type])
            p->def->handlers[msg->type](p, from, msg);
        else
            ph_log(PH_LOG_WARN, (ph_str){0}, "message-ignored", "type=%s",
                   ipc_type_name(msg->type));
    }
}

/* Without a parent there is nobody to be restarted by and nobody to bind ports: end. */
static void on_gone(void *ctx, struct ipc_chan *chan, const char *why)
{
    struct proc *p = ctx;
    (void)chan;
    if (why)
        ph_log(PH_LOG_ERROR, (ph_str){0}, "parent-broken", "why=%s", why);
    if (!p->priv->exit_code && !p->draining)
        p->priv->exit_code = EX_TEMPFAIL;
    ph_loop_stop(p->loop);
}

/* A terminal's Ctrl-C and a service manager's SIGTERM reach the whole group: the parent alone acts
 * on them. */
static void settle(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#if !defined(__SANITIZE_ADDRESS__) /* its leak checker must attach */
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

int proc_main(const struct proc_def *def, unsigned instance, int parent_fd)
{
    /* Static: what is reached from here lives as long as the process, and is not freed at its
     * end. */
    static struct proc p;
    static struct proc_private priv;
    struct ipc_ends ends = {def->role, ROLE_PARENT, instance, 0};
    struct ipc_callbacks cb = {on_message, NULL, on_gone, &p};
    p = (struct proc){.def = def, .instance = instance, .priv = &priv};
    priv.signer_fd = -1;
    priv.pending_end = &priv.pending;
    ph_log_init(ipc_role_name(def->role), instance, STDERR_FILENO, PH_LOG_AUTO, PH_LOG_INFO);
    settle();
    proc__stats_open(&p);
    p.conf = ph_conf_new();
    p.loop = ph_loop_new();
    if (!p.conf || !p.loop)
        return EX_OSERR;
    priv.parent = ipc_chan_new(p.loop, parent_fd, &ends, &cb);
    priv.end = ph_timer_new(p.loop, on_end_timer, &p);
    if (!priv.parent || !priv.end || ph_loop_run(p.loop) < 0)
        return EX_OSERR;
    if (priv.done && priv.started && def->ended)
        def->ended(&p);
    return priv.exit_code;
}
