/*
 * store_int.h - what the files of the store process share.
 *
 *   main thread (IPC, sessions)  --job-->  worker (one per core; an account is always the same one's)
 *          ^                                  |  one transaction for all jobs of an account that wait
 *          |<-----------answered job----------|
 *          |                                  +--what must be on disk--> syncers (block in fdatasync)
 *          |<-----------answered job, SYNCED------------------------------'
 *
 * A job belongs to one thread at a time; no other data is shared but the queues between them.
 */
#ifndef PH_SERVER_STORE_INT_H
#define PH_SERVER_STORE_INT_H
#include "proc.h"
#include "store.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    WORKERS_MAX = 16,
    SYNCERS = 4,
    BATCH_JOBS = 256,                /* jobs of one transaction */
    BATCH_ANSWERS = 8,               /* ... those that are answered without a flush */
    BATCH_BYTES = 8 * 1024 * 1024,   /* ... and bytes of their bodies, about */
    SYNC_SOON_US = 30 * 1000,        /* from a commit to the sync round that makes it durable */
    SYNC_LATE_US = 1000 * 1000,      /* ... at most, when the disk is slow */
    SYNC_SHARE = 8,                  /* a round may take one of so many parts of the time */
    TEND_EVERY_US = 2 * 1000 * 1000, /* idle work */
    IDLE_US = 120 * 1000 * 1000,     /* accounts unused for so long are closed */
    TOUCHED_MAX = 2,
    STAGED_MAX = 1000,              /* messages of one MULTIAPPEND */
    STAGED_BYTES = 64 * 1024 * 1024 /* ... and bytes of them */
};

struct house_store;

/* A mailbox that a job changed. own: the asking session is told, too. */
struct touched {
    uint64_t mailbox, modseq;
    bool own;
};

struct job {
    struct job *next;
    struct job *more, *last; /* further jobs of the same account in this round */
    struct job *group;       /* MSG_APPENDs that come before this one, all or none */
    struct ipc_msg ask;      /* its strings are in this allocation; ask.fd is -1 */
    ph_str body;             /* of DELIVER, MSG_APPEND: inside, or mapped */
    bool mapped;
    int role; /* who asked */
    unsigned instance, epoch;
    uint64_t session, account;
    ph_str folder;
    struct store_limits limits; /* of QUOTA_GET */
    struct ipc_msg answer;      /* answer.fd is ours */
    struct ph_buf rows, text, text2;
    char why[256];
    struct touched touched[TOUCHED_MAX];
    unsigned touched_n;
    bool failed; /* refused: the answer says why */
    bool undo;   /* ... after it had written: the transaction must not be kept */
};

/* What the main thread does with a kind of request, and how to answer it. Indexed by enum
 * ipc_type. */
struct op {
    int answer; /* enum ipc_type; 0: not an operation */
    int (*run)(struct job *j, struct store_account *a, struct ph_error *reterr);
    size_t verdict_at, text_at;         /* in the answer's struct; text_at 0: it has none */
    bool (*quick)(const struct job *j); /* surely short; NULL: never */
    bool durable;                       /* answered after a sync */
    bool create;                        /* makes the account when it is not there */
};
extern const struct op store_ops_table[IPC_TYPE_COUNT];

/* ---- job.c */
/* A copy of the message; takes over its descriptor. NULL: out of memory. */
struct job *job_new(struct ipc_msg *msg, const struct ipc_ends *from, ph_str folder);
struct job *job_free(struct job *j); /* NULL allowed; returns NULL */
void job_reset(struct job *j);       /* no answer yet */
void job_refuse(struct job *j, int verdict, const char *text);
void job_fail(struct job *j, int code,
              const struct ph_error *e); /* refuses with the verdict of an error code */
int job_verdict(int code);

/* ---- worker.c, sync.c: threads */
struct request { /* a DELIVER that waits to be durable */
    uint64_t req;
    unsigned epoch;
};
struct requests {
    struct request *v;
    size_t n, cap;
};
struct dirty {
    struct dirty *next;
    uint64_t account;
    struct requests reqs;
    int64_t due;
    char folder[STORE_FOLDER_MAX + 1];
};
/* One flush that a syncer is to do; jobs wait for it, and reqs. */
struct sync_task {
    struct sync_task *next;
    struct store_sync *sync;
    struct worker *worker;
    struct job *jobs;
    struct dirty *dirty; /* NULL: nobody waits for SYNCED */
};

struct queue { /* of jobs, between two threads */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct job *head, *tail;
};

/* Accounts whose letters are to be read for the index, and how far the first of them is. */
enum { INDEX_ACCOUNTS = 64 };
struct index_account {
    uint64_t id;
    char folder[STORE_FOLDER_MAX + 1];
};
struct indexing {
    struct index_account accounts[INDEX_ACCOUNTS]; /* a ring */
    unsigned first, n, under_way;
    uint64_t sent; /* the last email asked for */
};

struct worker {
    struct house_store *h;
    pthread_t thread;
    struct queue in;
    struct dirty *back; /* from syncers: must be synced again; under in.lock */
    bool stop;          /* under in.lock */
    bool asleep;        /* ... all of the worker is the lock holder's */
    int64_t until;      /* ... when it wakes by itself */
    uint64_t warm;      /* the account that was worked last */
    struct store *store;
    struct dirty *dirty; /* accounts with commits that are not on disk */
    int64_t round_us;    /* how long the last sync took */
    struct indexing index;
    struct job *fresh, *fresh_tail; /* main thread: not yet handed over */
};

struct counters {
    atomic_ullong delivered, again, appended, batches, syncs, sync_errors, refused, bodies;
};

struct house_store {
    struct proc *p;
    struct worker workers[WORKERS_MAX];
    unsigned worker_n, running;
    pthread_t syncers[SYNCERS];
    pthread_mutex_t sync_lock;
    pthread_cond_t sync_cond;
    struct sync_task *sync_head, *sync_tail;
    bool sync_stop;
    atomic_llong sync_us; /* moving average of one flush */

    pthread_mutex_t done_lock; /* answered, for the main thread */
    struct job *done, *done_tail;
    bool main_takes; /* it will, without being woken */
    struct requests synced;
    unsigned ended; /* workers that have stopped */

    struct ph_later hand_over;
    unsigned epochs[ROLE_COUNT][256];
    struct sessions *sessions;
    struct limits *limits;
    struct waiting *reading, *reading_tail; /* by the indexer */
    bool no_index;
    int64_t trash_us, junk_us;
    struct counters count;
    uint64_t max_message;
    char root[4096];
};

int threads_start(struct house_store *h, struct ph_error *reterr);
void threads_stop(struct house_store *h); /* asks workers to finish; `ended` counts */
void threads_join(struct house_store *h);
void worker_give(struct house_store *h, struct job *j); /* main thread: at the end of this turn */
void worker_hand_over(void *h);
void worker_resync(struct worker *w, struct dirty *d);   /* from a syncer: that flush failed */
void main_post(struct house_store *h, struct job *jobs); /* any thread: answered jobs */
void main_take(void *h);                                 /* main thread: answers them */
void main_synced(struct house_store *h, const struct requests *r);
int requests_add(struct requests *l, uint64_t req, unsigned epoch);
void sync_give(struct house_store *h, struct sync_task *t);
void *syncer_main(void *h);
struct dirty *dirty_free(struct dirty *d);

/* ---- index.c: worker */
void index_want(struct worker *w, uint64_t account, ph_str folder);
void index_feed(struct worker *w);
int index_run(struct job *j, struct store_account *a, struct ph_error *reterr);
void index_returned(struct worker *w, const struct job *jobs); /* after their run */
/* ... main thread */
void index_ask(struct house_store *h, struct job *j);
proc_handler index_answered;
void index_lost(struct house_store *h); /* the indexer is down */

/* ---- limits.c: what accounts may hold; any thread */
struct limits *limits_new(void);
struct limits *limits_free(struct limits *l);
void limits_default(struct limits *l, uint64_t bytes, uint64_t messages);
/* -1: the default, 0: no limit. -PH_ENOMEM */
int limits_set(struct limits *l, uint64_t account, int64_t bytes, int64_t messages);
void limits_get(void *limits, uint64_t account, struct store_limits *ret);

/* ---- session.c: main thread only */
struct session;
struct sessions *sessions_new(void);
struct sessions *sessions_free(struct sessions *t);
/* -PH_EEXIST, -PH_ENOMEM */
int session_add(struct sessions *t, uint64_t id, unsigned instance, uint64_t account,
                ph_str folder);
/* NULL when it does not exist or is another instance's. */
struct session *session_of(struct sessions *t, uint64_t id, unsigned instance);
void session_end(struct sessions *t, struct session *s);
void session_account(const struct session *s, uint64_t *ret_account, ph_str *ret_folder);
/* Claims the account for one POP3 session; false: another has it. */
bool session_pop3(struct sessions *t, struct session *s);
void session_pop3_off(struct session *s);
/* Takes over a MSG_APPEND that is to wait for the last of its group. */
void session_stage(struct session *s, struct job *j);
/* Those, as a chain by `group`, the caller's now; NULL: none. over: there were too many for
 * STAGED_MAX or STAGED_BYTES. */
struct job *session_staged(struct session *s, bool *ret_over);
int session_opened(struct session *s, uint64_t mailbox, bool pop3);
void session_closed(struct session *s, uint64_t mailbox);
void session_asked(struct session *s, uint64_t mailbox); /* MB_CHANGES came */
/* Tells everyone who has the mailbox open and was not told yet, except `not`. */
void sessions_event(struct sessions *t, struct proc *p, uint64_t account, const struct touched *m,
                    uint64_t origin);
/* Ends those of one account (telling access), or of one access process. */
void sessions_end_account(struct sessions *t, struct proc *p, uint64_t account, const char *why);
void sessions_end_instance(struct sessions *t, unsigned instance);
size_t sessions_count(const struct sessions *t);

#endif
