/*
 * work.h - the queue process inside: letters and jobs in memory, the batch that waits for the disk,
 * reports.
 *
 *   QUEUE_PUT -> put.c: into the open transaction -> batch -> (end of the turn) commit
 *             -> QUEUE_PUT_DONE, and jobs
 *   disk      -> fill.c: due recipients, by destination, in pages -> jobs
 *   jobs      -> work.c: DELIVER, RELAY_TRY -> answers
 *             -> done or wait, which ride in the next commit; or report.c
 *
 * A job is one attempt at one next hop: one recipient here, or up to RCPTS_PER_TRY of a foreign
 * domain.
 *
 *   READY --sent--> FLYING --DELIVERED--> LANDED --SYNCED--> gone       (this house)
 *     ^               |  \---------------RELAY_TRIED-------> gone       (another)
 *     +---peer died---+-------------- failed for good -----> REPORTING -- report committed --> gone
 */
#ifndef PH_WORK_H
#define PH_WORK_H
#include "dsn.h"
#include "proc.h"
#include "queue.h"
#include "sched.h"

enum {
    RCPTS_PER_TRY = 100,             /* RFC 5321 4.5.3.1.8: what every server takes */
    LETTER_RCPTS = 100000,           /* recipients of one letter */
    BEGIN_BYTES = 64 * 1024,         /* of the events that come with a letter */
    LETTER_ARENA = 64 * 1024 * 1024, /* bytes of its envelope in memory */
    /* bodies of fresh letters kept in memory until they are sent on */
    KEEP_BYTES = 64 * 1024 * 1024,
    FLYING_BYTES = 256 * 1024 * 1024, /* bodies handed to the relay and not yet answered */
    BATCH_LETTERS = 1024,             /* of one transaction */
    BATCH_BYTES = 32 * 1024 * 1024,
    GATHER_LETTERS = 16,  /* a commit waits for at most so many, */
    GATHER_US = 2000,     /* and no longer than this */
    LOCAL_FLYING = 20000, /* deliveries not yet synced */
    FILL_PAGE = 256,      /* rows read from disk at a time */
    FILL_PROBE = 4,       /* the same for a site that did not answer */
    FILL_DESTS = 200,     /* destinations looked at in one turn */
    /* in `flags` on disk, above those of messages.def: */
    LETTER_FLAG_POSTMASTER = 1 << 16, /* our report to the postmaster; never reported on */
    LETTER_FLAG_DELAYED = 1 << 17     /* the sender was told that it waits */
};

enum job_state { JOB_READY, JOB_FLYING, JOB_LANDED, JOB_REPORTING };

struct job;

/* A letter in memory, as long as it has jobs or a report. Its strings live in its arena. */
struct letter {
    struct ph_arena *arena;
    struct ph_spool_letter l;
    struct ph_spool_rcpt *rcpts; /* those that were left when it came into memory */
    struct job **jobs;           /* of each recipient, NULL when it has none */
    size_t n;
    unsigned refs;
    unsigned ready; /* jobs that will still need the body */
    char *bytes;    /* summary, and behind it the body when that is inline; NULL: on disk only */
    size_t bytes_n, summary_n;
    int fd; /* sealed memory file of a large body, or -1 */
    struct letter *chain;
};

struct job {
    struct ph_sched_job s; /* first */
    struct letter *letter;
    enum job_state state;
    uint64_t req; /* slot and serial, while FLYING or LANDED */
    int64_t started;
    bool existed;     /* LANDED: it was in the mailbox already */
    uint32_t n;       /* recipients */
    uint32_t which[]; /* their places in letter->rcpts */
};

/* Who waits for the commit: a sender's process, or a report. */
struct put {
    struct put *next;
    int role; /* -1: its process is gone */
    unsigned instance;
    uint64_t req;
    struct letter *letter;
    struct report *report; /* NULL: a sender */
    uint64_t rollbacks;    /* ph_spool_rollbacks when it was put */
};

struct report;
struct acts;

#define LETTER_RCPT_GONE INT64_MAX /* next_try in memory: it is done */

struct counters {
    uint64_t queued, refused, delivered, relayed, deferred, bounced, expired, commits;
};

enum { LETTER_BUCKETS = 1 << 14 };

struct work {
    struct proc *p;
    struct ph_spool *spool;
    struct ph_sched *sched;
    struct letter *letters[LETTER_BUCKETS];
    size_t letter_count, kept, flying_bytes;
    struct job **slots; /* by the low bits of req */
    size_t slots_n, slots_cap, free_slot_hint;
    uint64_t serial;
    struct put *batch, **batch_last;
    size_t batch_n, batch_bytes;
    int64_t batch_at;      /* monotonic us: when its first letter came */
    size_t gather;         /* so many shared the last commit */
    struct ph_later later; /* end of the turn: commit, fill, dispatch */
    struct ph_timer *timer;
    int64_t flush_at; /* monotonic ms: changes are committed by then; 0: none */
    int64_t sweep_at; /* wall: the next page of the sweep */
    uint64_t sweep_qid;
    int64_t expire_from; /* before it nothing is too old that was not tried since the start */
    int64_t prune_at;
    int64_t clock_off;  /* of the wall clock from the one that never jumps, when last read */
    struct ph_buf scan; /* discovery of destinations: the last one seen */
    bool scanning, scan_first;
    int64_t scan_at;
    int64_t drain_at;            /* monotonic ms */
    bool store_full, relay_full; /* their channel is full: try a little later */
    struct report *reports;
    struct acts *acts;   /* NULL before the first */
    struct ph_buf begin; /* how the journey of the letter being put begins: ph_spool_event[] */
    struct counters count;
};

/* ---- clock.c ----------------------------------------------------------------------------- */
/* Reads the queue's clock: every time in memory and on disk is of it, also in the ids of letters.
 * What is said to others is of the wall clock. */
void work_clock(struct work *w); /* before the first reading */
int64_t work_now(struct work *w);
int64_t work_wall(const struct work *w, int64_t time);

/* ---- letter.c ---------------------------------------------------------------------------- */
struct letter *letter_new(void);
void letter_hold(struct work *w, struct letter *l); /* puts it into the table, refs + 1 */
void letter_drop(struct work *w, struct letter *l); /* refs - 1, freed at 0 */
struct letter *letter_find(struct work *w, uint64_t qid);
/* From disk, into the table (refs 1). NULL: gone, or an error, which is logged. */
struct letter *letter_load(struct work *w, uint64_t qid);
/* Makes summary and body be there. false: not now. */
bool letter_body(struct work *w, struct letter *l);
void letter_body_drop(struct work *w, struct letter *l);

/* ---- put.c ------------------------------------------------------------------------------- */
void put_letter(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg);
/* Appends to the batch; false: out of memory. */
bool put_wait(struct work *w, struct letter *l, struct report *r, const struct ipc_ends *ends,
              uint64_t req);
void put_forget(struct work *w, int role, unsigned instance); /* that process is gone */
/* Commits what is open and answers all. */
void work_commit(struct work *w);

/* ---- work.c ------------------------------------------------------------------------------ */
void work_soon(struct work *w); /* commit, fill and dispatch at the end of this turn */
/* Makes jobs for those recipients that have none and whose next_try is not after `due`; of one
 * destination, or (NULL) of all. */
void work_jobs(struct work *w, struct letter *l, const struct ph_dest *only, int64_t due);
void work_job_free(struct work *w, struct job *job);
/* This recipient waits on disk until `when`. */
void work_wait(struct work *w, struct letter *l, uint32_t i, int64_t when, ph_str reply);
void work_dispatch(struct work *w);
void work_delivered(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg);
void work_synced(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg);
void work_relayed(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg);
void work_peer_down(struct work *w, int role);
/* The end of a recipient that is in no job any more. */
void work_done(struct work *w, struct letter *l, uint32_t i);
int64_t work_lifetime(const struct work *w);

/* ---- fill.c ------------------------------------------------------------------------------ */
void fill_start(struct work *w);              /* look through the destinations on disk */
void fill_run(struct work *w, int64_t now);   /* what is due */
void fill_sweep(struct work *w, int64_t now); /* expired letters, old journeys */
int64_t fill_when(const struct work *w,
                  int64_t now); /* the next wall time at which one of these has work */
/* Writes the ready jobs of a held site back to disk. */
void fill_shed(struct work *w, struct ph_site *site, int64_t now);

/* ---- acts.c ------------------------------------------------------------------------------ */
void act_begin(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg);
/* A page of the first wish; false: there is none. */
bool act_run(struct work *w);

/* ---- report.c ---------------------------------------------------------------------------- */
/* What is told to the sender: failures, delays, and where it was asked for, success. All recipients
 * of one letter in one call chain that came to the same share a report: new, add..., send. Those
 * that nobody wants to hear of end at once. Of `of` only action, reply and mta are read. */
struct report *report_new(struct work *w, struct letter *l);
struct letter *report_of(const struct report *r);
void report_add(struct work *w, struct report *r, uint32_t i, const struct ph_dsn_rcpt *of);
bool report_is_wanted(const struct letter *l, uint32_t i, enum ph_dsn_action action);
/* The letter waits for long: its sender is told, once. */
void report_delay(struct work *w, struct letter *l);
void report_send(struct work *w, struct report *r); /* NULL allowed */
void report_checked(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg);
void report_committed(struct work *w, struct report *r, bool ok);
void report_peer(struct work *w, bool up);
void report_again(struct work *w);
bool report_waits(const struct work *w);

/* ---- trace.c ----------------------------------------------------------------------------- */
void trace_get(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg);
void trace_journal(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg);
void trace_reported(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg);
/* An event of ours about a letter; host, process and time are filled in. */
void trace_event(struct work *w, const struct letter *l, struct ph_spool_event e);
/* How a letter's journey begins: the steps that came with it, then that it is queued. For its put:
 * the events are good until the next call, their texts borrowed from `rows` and `note`. */
PH_MUST_CHECK int trace_begin(struct work *w, struct letter *l, ph_str rows, ph_str note);
void trace_discarded(struct work *w, const struct letter *l); /* the same, of one that is not put */
/* Events as rows from another process; qid: of the letter they are about, 0: each tells its own. */
void trace_rows(struct work *w, uint64_t qid, ph_str message_id, ph_str rows);
void trace_prune(struct work *w, int64_t now);

#endif
