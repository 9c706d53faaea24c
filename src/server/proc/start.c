/* From START to READY: setup, sandbox, opened, and then what the parent had handed over until
 * then. */
#include "proc_int.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { PENDING_TEXT = 70000, FAIL_WAIT_MS = 2000 };

static const struct {
    int role;
    const char *name; /* below the data folder */
} folders[] = {{ROLE_QUEUE, "queue"}, {ROLE_STORE, "mail"}, {ROLE_KEEPER, "house"}};

/* The parent prints the text, ends the others and us; the timer is for a parent that does not. */
void proc__fail(struct proc *p, int exit_code, const char *text)
{
    p->priv->exit_code = exit_code;
    p->priv->started = false;
    ph_log(PH_LOG_ERROR, (ph_str){0}, "start-failed", "why=%s", text);
    if (ipc_send(p->priv->parent, FAILED, -1, (uint32_t)exit_code,
                 ph_str_sub(ph_str_c(text), 0, 4096))) {
        ph_loop_stop(p->loop);
        return;
    }
    p->priv->end_left = 1;
    ph_timer_set(p->priv->end, FAIL_WAIT_MS);
}

static void free_pending(struct proc_pending *q)
{
    if (q->fd >= 0)
        close(q->fd);
    if (q->text.n)
        ph_wipe(q->text.p, q->text.n);
    ph_buf_done(&q->name);
    ph_buf_done(&q->text);
    ph_free(NULL, q, sizeof *q);
}

static void listen_on(struct proc *p, int service, ph_str address, int fd)
{
    char why[200];
    int r = -PH_ENOTIMPL;
    if (p->def->listen)
        r = p->def->listen(p, service, address, fd);
    else
        close(fd);
    if (r >= 0)
        return;
    snprintf(why, sizeof why, "cannot serve on %.*s (service %d): %s", PH_FMT(address), service,
             ph_error_info(r)->text);
    proc__fail(p, EX_UNAVAILABLE, why);
}

static void act(struct proc *p, struct proc_pending *q)
{
    int fd = q->fd;
    q->fd = -1;
    switch (q->type) {
    case IPC_PEER:
        proc__peer_new(p, q->role_or_service, q->instance, fd);
        return;
    case IPC_SIGNER:
        if (p->def->role != ROLE_KEEPER)
            proc__signer_set(p, fd);
        else if (p->def->signer)
            p->def->signer(p, q->role_or_service, q->instance, fd);
        else
            close(fd);
        return;
    case IPC_LISTEN:
        listen_on(p, q->role_or_service, ph_buf_str(&q->name), fd);
        return;
    default: /* KEY */
        if (p->def->key)
            p->def->key(p, ph_buf_str(&q->name), ph_buf_str(&q->text));
    }
}

static struct proc_pending *copy_of(struct ipc_msg *msg)
{
    struct proc_pending *q = ph_new0(NULL, sizeof *q);
    if (!q)
        return NULL;
    ph_buf_init(&q->name, NULL, PENDING_TEXT);
    ph_buf_init(&q->text, NULL, PENDING_TEXT);
    q->type = msg->type;
    q->fd = msg->fd;
    msg->fd = -1;
    if (msg->type == IPC_PEER) {
        q->role_or_service = msg->PEER.role;
        q->instance = msg->PEER.instance;
    } else if (msg->type == IPC_SIGNER) {
        q->role_or_service = msg->SIGNER.role;
        q->instance = msg->SIGNER.instance;
    } else if (msg->type == IPC_LISTEN) {
        q->role_or_service = msg->LISTEN.service;
        ph_buf_add(&q->name, msg->LISTEN.address);
    } else {
        ph_buf_add(&q->name, msg->KEY.name);
        ph_buf_add(&q->text, msg->KEY.key_pem);
    }
    if (!ph_buf_err(&q->name) && !ph_buf_err(&q->text))
        return q;
    free_pending(q);
    return NULL;
}

void proc__later(struct proc *p, struct ipc_msg *msg)
{
    if (msg->type == IPC_PEER &&
        (msg->PEER.role >= ROLE_COUNT || msg->PEER.instance >= PROC_INSTANCES))
        return;
    struct proc_pending *q = copy_of(msg);
    if (!q) {
        proc__fail(p, EX_OSERR, "out of memory");
        return;
    }
    if (p->priv->started) {
        act(p, q);
        free_pending(q);
        return;
    }
    *p->priv->pending_end = q;
    p->priv->pending_end = &q->next;
}

/* Keys first, listening sockets last: who serves must know everyone. */
static void act_on_pending(struct proc *p)
{
    static const enum ipc_type order[] = {IPC_KEY, IPC_SIGNER, IPC_PEER, IPC_LISTEN};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        for (struct proc_pending *q = p->priv->pending; q; q = q->next)
            if (q->type == order[i])
                act(p, q);
    for (struct proc_pending *q = p->priv->pending, *next; q; q = next) {
        next = q->next;
        free_pending(q);
    }
    p->priv->pending = NULL;
    p->priv->pending_end = &p->priv->pending;
}

static void find_folder(struct proc *p)
{
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (folders[i].role == p->def->role) {
            snprintf(p->priv->folder, sizeof p->priv->folder, "%.*s/%s", PH_FMT(p->conf->data),
                     folders[i].name);
            p->data = p->priv->folder;
        }
}

static int enter_sandbox(struct proc *p, ph_str user, struct ph_error *reterr)
{
    struct ph_sandbox policy = {0};
    char name[65];
    bool missing = false, root = geteuid() == 0;
    snprintf(name, sizeof name, "%.*s", PH_FMT(user));
    p->def->sandbox(p, &policy);
    policy.user = root && *name ? name : NULL;
    int r = ph_sandbox_enter(&policy, &missing, reterr);
    if (r < 0)
        return r;
    if (missing)
        ph_log(PH_LOG_INFO, (ph_str){0}, "no-landlock", "");
    if (root && policy.chroot && p->data)
        p->data = "/";
    return 0;
}

static int exit_code_of(int r)
{
    return r == -PH_ENOENT || r == -PH_EINVAL || r == -PH_ESYNTAX || r == -PH_ETLS ? EX_CONFIG
                                                                                   : EX_OSERR;
}

void proc__start(struct proc *p, ph_str user)
{
    struct ph_error e = {0};
    int code = 0;
    find_folder(p);
    int r = p->def->setup ? p->def->setup(p, &e) : 0;
    if (r >= 0)
        r = enter_sandbox(p, user, &e);
    if (r >= 0 && p->def->opened)
        r = p->def->opened(p, &e, &code);
    if (r < 0) {
        proc__fail(p, code ? code : exit_code_of(r), *e.text ? e.text : ph_error_info(r)->text);
        return;
    }
    p->priv->started = true;
    act_on_pending(p);
    if (p->priv->started && ipc_send(p->priv->parent, READY, -1, 0))
        ph_loop_stop(p->loop);
}
