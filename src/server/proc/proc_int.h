/* proc_int.h - what the files of the skeleton share. */
#ifndef PH_PROC_INT_H
#define PH_PROC_INT_H
#include "proc.h"

enum { PROC_INSTANCES = 32 /* most processes of one role */ };

struct proc_peer_slot {
    struct ipc_chan *chan; /* NULL: down */
    uint64_t in, out;      /* messages of the channels before this one */
};

/* What came before START and is acted upon when the process is in its sandbox. */
struct proc_pending {
    struct proc_pending *next;
    enum ipc_type type;
    int role_or_service;
    unsigned instance;
    struct ph_buf name, text;
    int fd;
};

struct proc_private {
    struct ipc_chan *parent;
    struct proc_peer_slot peers[ROLE_COUNT][PROC_INSTANCES];
    unsigned turn[ROLE_COUNT]; /* where proc_peer goes on */
    struct proc_pending *pending, **pending_end;
    struct ph_tls_signer signer;
    int signer_fd; /* -1: keeper is away */
    struct ph_buf signer_buf;
    int memory_fd; /* /proc/self/smaps_rollup, opened before the sandbox, or -1 */
    int64_t started_us;
    bool started, done;
    /* after proc_done or a failure: how long what is queued may take to leave */
    struct ph_timer *end;
    int end_left; /* turns of it */
    int exit_code;
    char folder[4096];
};

/* peers.c: the callbacks of peer channels; a new channel to a peer (takes fd); every channel's
 * backlog. */
void proc__peer_new(struct proc *p, int role, unsigned instance, int fd);
size_t proc__backlog(const struct proc *p);

/* stats.c */
void proc__stats_open(struct proc *p);
void proc__stats_answer(struct proc *p, uint64_t req);

/* sign.c */
void proc__signer_set(struct proc *p, int fd);
void proc__cert_add(struct proc *p, ph_str name, ph_str chain, struct ph_error *reterr,
                    int *ret_result);

/* start.c: from START to READY, and what may also come later. */
void proc__start(struct proc *p, ph_str user);
void proc__later(struct proc *p,
                 struct ipc_msg *msg); /* PEER, SIGNER, LISTEN, KEY: now, or after START */
void proc__fail(struct proc *p, int exit_code, const char *text);

#endif
