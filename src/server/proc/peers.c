/* Channels to the other processes: made by the parent's PEER, lost when the peer dies, made anew by
 * the next PEER. */
#include "proc_int.h"

static struct proc_peer_slot *slot_of(struct proc *p, const struct ipc_chan *c)
{
    const struct ipc_ends *e = ipc_chan_ends(c);
    return &p->priv->peers[e->peer_role][e->peer_instance];
}

/* Ends a channel that is up; 'peer_down' is called when the process knows of it. */
static void take_down(struct proc *p, struct ipc_chan *c)
{
    struct ipc_ends e = *ipc_chan_ends(c);
    struct proc_peer_slot *s = slot_of(p, c);
    uint64_t in, out;
    ipc_chan_counts(c, &in, &out);
    s->in += in;
    s->out += out;
    s->chan = NULL;
    ipc_chan_free(c);
    if (p->def->peer_down)
        p->def->peer_down(p, e.peer_role, e.peer_instance);
}

static void on_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct proc *p = ctx;
    proc_handler *fn = p->def->handlers ? p->def->handlers[msg->type] : NULL;
    if (slot_of(p, from)->chan != from)
        return; /* taken down in this turn */
    if (fn)
        fn(p, from, msg);
    else
        proc_broken(p, from, ipc_type_name(msg->type));
}

static void on_drained(void *ctx, struct ipc_chan *from)
{
    struct proc *p = ctx;
    if (p->def->drained && slot_of(p, from)->chan == from)
        p->def->drained(p, from);
}

static void on_gone(void *ctx, struct ipc_chan *chan, const char *why)
{
    struct proc *p = ctx;
    if (slot_of(p, chan)->chan != chan)
        ipc_chan_free(chan);
    else if (why)
        proc_broken(p, chan, why);
    else
        take_down(p, chan);
}

void proc_broken(struct proc *p, struct ipc_chan *peer, const char *why)
{
    struct ipc_ends e = *ipc_chan_ends(peer);
    ph_log(PH_LOG_ERROR, (ph_str){0}, "peer-broken", "peer=%s instance=%u why=%s",
           ipc_role_name(e.peer_role), e.peer_instance, why);
    if (ipc_send(p->priv->parent, BROKEN, -1, (uint8_t)e.peer_role, e.peer_instance,
                 ph_str_sub(ph_str_c(why), 0, 256)))
        ph_log(PH_LOG_ERROR, (ph_str){0}, "parent-deaf", "");
    take_down(p, peer);
}

void proc__peer_new(struct proc *p, int role, unsigned instance, int fd)
{
    struct ipc_ends ends = {p->def->role, role, p->instance, instance};
    struct ipc_callbacks cb = {on_message, on_drained, on_gone, p};
    struct proc_peer_slot *s = &p->priv->peers[role][instance];
    if (s->chan)
        take_down(p, s->chan);
    s->chan = ipc_chan_new(p->loop, fd, &ends, &cb);
    if (!s->chan)
        ph_log(PH_LOG_ERROR, (ph_str){0}, "out-of-memory", "peer=%s", ipc_role_name(role));
    else if (p->def->peer_up)
        p->def->peer_up(p, role, instance);
}

struct ipc_chan *proc_peer_at(struct proc *p, int role, unsigned instance)
{
    return role > 0 && role < ROLE_COUNT && instance < PROC_INSTANCES
               ? p->priv->peers[role][instance].chan
               : NULL;
}

struct ipc_chan *proc_peer(struct proc *p, int role)
{
    for (unsigned i = 0; i < PROC_INSTANCES; i++) {
        unsigned at = (p->priv->turn[role] + i) % PROC_INSTANCES;
        if (p->priv->peers[role][at].chan) {
            p->priv->turn[role] = at + 1;
            return p->priv->peers[role][at].chan;
        }
    }
    return NULL;
}

struct ipc_chan *proc_parent(struct proc *p)
{
    return p->priv->parent;
}

static void each_peer(const struct proc *p, void (*fn)(struct ipc_chan *c, void *ctx), void *ctx)
{
    for (int r = 0; r < ROLE_COUNT; r++)
        for (unsigned i = 0; i < PROC_INSTANCES; i++)
            if (p->priv->peers[r][i].chan)
                fn(p->priv->peers[r][i].chan, ctx);
}

static void flush_one(struct ipc_chan *c, void *ctx)
{
    (void)ctx;
    ipc_chan_flush(c);
}

void proc_flush(struct proc *p)
{
    each_peer(p, flush_one, NULL);
}

static void add_backlog(struct ipc_chan *c, void *ctx)
{
    *(size_t *)ctx += ipc_chan_backlog(c);
}

size_t proc__backlog(const struct proc *p)
{
    size_t sum = ipc_chan_backlog(p->priv->parent);
    each_peer(p, add_backlog, &sum);
    return sum;
}
