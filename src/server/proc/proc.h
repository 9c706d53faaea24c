/*
 * proc.h - what every process of the server has in common: channels to its peers, settings, the
 * sandbox, statistics, draining. A process is one struct proc_def and its handlers.
 *
 *   exec by parent -> HELLO -> CONF, CERT, KEY, PEER, LISTEN... -> START -> setup() -> sandbox -> opened()
 *   -> READY -> loop -> DRAIN -> drain() -> exit 0
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
    /* Indexed by enum ipc_type; NULL rows that arrive are a protocol error of the peer. */
    proc_handler *const *handlers;
    /* Before the sandbox: what the sandbox will forbid (start threads, read system files). */
    int (*setup)(struct proc *p, struct ph_error *reterr);
    /* Fills the policy; dir etc. may point into p. */
    void (*sandbox)(struct proc *p, struct ph_sandbox *ret);
    /* In the sandbox: open databases. On failure the parent prints the text and exits with exit_code. */
    int (*opened)(struct proc *p, struct ph_error *reterr, int *ret_exit_code);
    void (*listen)(struct proc *p, int service, ph_str address, int fd);      /* takes over fd */
    void (*peer_up)(struct proc *p, int role, unsigned instance);
    void (*peer_down)(struct proc *p, int role, unsigned instance);           /* its unanswered requests never will be */
    void (*drained)(struct proc *p, struct ipc_chan *from);                   /* as in ipc.h; may be NULL */
    void (*reload)(struct proc *p);                                           /* p->conf is new */
    void (*certs)(struct proc *p);                                            /* p->tls_server has new certificates */
    void (*drain)(struct proc *p);                                            /* call proc_done when ready to exit */
    void (*stats)(struct proc *p, struct ph_buf *rows);                       /* ipc_add(counter, rows, ...) */
    void (*key)(struct proc *p, ph_str name, ph_str key_pem);                 /* keeper only */
    void (*signer)(struct proc *p, int role, unsigned instance, int fd);      /* keeper only; takes over fd */
};

struct proc {
    const struct proc_def *def;
    unsigned instance;
    struct ph_loop *loop;
    struct ph_conf *conf;
    struct ph_tls_ctx *tls_server;   /* mx, access: certificates in, key by signer */
    const char *data;                /* the folder as this process reaches it (after chroot, too) */
    bool draining;
    void *state;                     /* the process's own */
    struct proc_private *priv;
};

/* The channel to a peer, or NULL while it is down. For roles with many instances: any one that is up, in turn; or one. */
struct ipc_chan *proc_peer(struct proc *p, int role);
struct ipc_chan *proc_peer_at(struct proc *p, int role, unsigned instance);
void proc_done(struct proc *p);
/* Which probe a process is asked to do at start instead of serving (tests of the sandbox): each tries what it must
 * not do and prints what happened. */
int proc_main(const struct proc_def *def, unsigned instance, int parent_fd);

/* Request ids and who waits for them: a table that every asking process uses. */
struct proc_waits;
struct proc_waits *proc_waits_new(void);
struct proc_waits *proc_waits_free(struct proc_waits *w);
uint64_t proc_wait(struct proc_waits *w, int role, void *who);      /* 0: out of memory */
void *proc_waited(struct proc_waits *w, uint64_t req);              /* forgets it; NULL when unknown */
void proc_wait_cancel(struct proc_waits *w, void *who);             /* the asker is gone */
/* Everyone who waits for that role, when it goes down. */
void proc_waits_fail(struct proc_waits *w, int role, void (*fn)(void *who, uint64_t req, void *ctx), void *ctx);

extern const struct proc_def proc_mx, proc_access, proc_relay, proc_resolver, proc_queue, proc_store, proc_keeper;
#endif
