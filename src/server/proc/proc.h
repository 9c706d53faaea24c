/*
 * proc.h - what every process of the server has in common: channels to its peers, settings, the
 * sandbox, statistics, draining. A process is one struct proc_def and its handlers.
 *
 *   exec by parent -> HELLO -> CONF, CERT, KEY, PEER, LISTEN... -> START -> setup() -> sandbox -> opened()
 *   -> key(), signer(), peer_up(), listen() -> READY -> loop -> DRAIN -> drain() -> exit 0
 *
 * All callbacks may be NULL but `sandbox`, and all are made from the loop. Messages that arrive
 * from peers before READY are handled after it: a handler never runs before `opened`.
 */
#ifndef PH_PROC_H
#define PH_PROC_H
#include "conf.h"
#include "ipc.h"
#include "log.h"
#include "loop.h"
#include "sandbox.h"
#include "tls.h"

struct proc;
typedef void proc_handler(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg);

struct proc_def {
    int role;
    /* Messages from the parent that the skeleton answers itself (CONF, PEER, START...) need no row.
     * Indexed by enum ipc_type; NULL rows that arrive are a protocol error of the peer. */
    proc_handler *const *handlers;
    /* Before the sandbox: what the sandbox will forbid (start threads, read system files). */
    int (*setup)(struct proc *p, struct ph_error *reterr);
    /* Fills the policy; dir etc. may point into p. */
    void (*sandbox)(struct proc *p, struct ph_sandbox *ret);
    /* In the sandbox: open databases. On failure the parent prints the text and exits with
     * exit_code. */
    int (*opened)(struct proc *p, struct ph_error *reterr, int *ret_exit_code);
    /* Takes over fd. Negative: this service cannot be served, and the process fails: its clients
     * would wait for ever. */
    int (*listen)(struct proc *p, int service, ph_str address, int fd);
    void (*peer_up)(struct proc *p, int role, unsigned instance);
    void (*peer_down)(struct proc *p, int role,
                      unsigned instance); /* its unanswered requests never will be */
    void (*drained)(struct proc *p, struct ipc_chan *from); /* as in ipc.h; may be NULL */
    void (*reload)(struct proc *p); /* p->conf is new, the old one ends on return */
    void (*certs)(struct proc *p);  /* p->tls_server has new certificates */
    void (*drain)(struct proc *p);  /* call proc_done when ready to exit; NULL: at once */
    void (*ended)(struct proc *p);  /* drained, loop left: close what is on disk */
    void (*stats)(struct proc *p, struct ph_buf *rows);       /* ipc_add(counter, rows, ...) */
    void (*key)(struct proc *p, ph_str name, ph_str key_pem); /* keeper only */
    /* keeper only: TRUST, copied from by then; maybe before setup(). Refused: reterr says why, and
     * what there was stays. */
    int (*trust)(struct proc *p, ph_str text, struct ph_error *reterr);
    void (*signer)(struct proc *p, int role, unsigned instance,
                   int fd); /* keeper only; takes over fd */
};

struct proc {
    const struct proc_def *def;
    unsigned instance;
    struct ph_loop *loop;
    struct ph_conf *conf;
    struct ph_tls_ctx *tls_server; /* mx, access: certificates in, key by signer */
    /* This process's own folder as it reaches it: DATA/queue, DATA/mail, DATA/house; "/" after
     * chroot (from `opened` on); NULL for the roles without one. */
    const char *data;
    struct ph_charsets *charsets; /* what `setup` loads of them (text.h), for as long as it lives */
    bool draining;
    void *state; /* the process's own */
    struct proc_private *priv;
};

/* The channel to a peer, or NULL while it is down. For roles with many instances: any one that is
 * up, in turn; or one. */
struct ipc_chan *proc_peer(struct proc *p, int role);
struct ipc_chan *proc_peer_at(struct proc *p, int role, unsigned instance);
struct ipc_chan *proc_parent(struct proc *p);
/* What is queued for the peers leaves now (ipc_chan_flush). */
void proc_flush(struct proc *p);
/* Drained: what is queued on the channels still leaves, then the process ends. */
void proc_done(struct proc *p);
/* The peer sent what makes no sense: closes its channel (peer_down is called), logs, and tells the
 * parent. */
void proc_broken(struct proc *p, struct ipc_chan *peer, const char *why);
/* The whole life of a child: parent_fd is the channel to its parent. Returns the exit code of the
 * process. */
int proc_main(const struct proc_def *def, unsigned instance, int parent_fd);

/* One private-key operation by keeper on a digest, waited for (5 s at most): bytes written to sig,
 * or -PH_EAGAIN while keeper is away or slow (the parent is then asked for a new channel to it),
 * -PH_EDENIED when it refuses. For roles that have a signer channel. */
int proc_sign(struct proc *p, ph_str key, uint32_t scheme, ph_str digest, unsigned char *sig,
              size_t max);

/*
 * Request ids and who waits for them: a table that every asking process uses. An entry names the
 * role that was asked and the type of the answer, so that no other peer and no other message can
 * claim it.
 */
struct proc_waits;
struct proc_waits *proc_waits_new(void);
struct proc_waits *proc_waits_free(struct proc_waits *w);
/* A new request id, never 0; 0: out of memory. */
uint64_t proc_wait(struct proc_waits *w, int role, enum ipc_type answer, void *who);
/* Who waits for this answer (type of the message, sender of the channel); forgets it. NULL when
 * nobody does. */
void *proc_waited(struct proc_waits *w, const struct ipc_chan *from, enum ipc_type answer,
                  uint64_t req);
void proc_unwait(struct proc_waits *w, uint64_t req); /* it could not be sent; 0 is allowed */
void proc_wait_cancel(struct proc_waits *w, const void *who); /* the asker is gone */
/* Everyone who waits for that role, when it goes down; forgets them. fn may wait anew. */
void proc_waits_fail(struct proc_waits *w, int role, void (*fn)(void *who, uint64_t req, void *ctx),
                     void *ctx);
size_t proc_waits_count(const struct proc_waits *w);

extern const struct proc_def proc_mx, proc_access, proc_relay, proc_resolver, proc_queue,
    proc_store, proc_keeper, proc_indexer;
#endif
