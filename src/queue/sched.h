/*
 * sched.h - which job is next: destinations, what is ready for them in memory, and when to look on
 * disk again.
 *
 * Destinations (next-hop domains; "" is this house's mailboxes) take turns; each has a number of
 * jobs at a time that grows with success and falls to one with silence. A destination where nobody
 * answers is held. No I/O, no clock: times are microseconds since 1970, and may jump.
 *
 *             due on disk            refilled, or fresh              take()
 *   WAITING ----------------> (heap) ----------------> READY ring ----------> FLYING --- back()
 *      ^                                                   |                     |
 *      +---------- shed() when held, or no room -----------+                     +--> result
 */
#ifndef PH_SCHED_H
#define PH_SCHED_H
#include <posthouse/base.h>

enum {
    SCHED_DESTS = 50000, /* destinations in memory (about 250 bytes each) */
    SCHED_JOBS = 50000,  /* jobs in memory, ready or flying */
    SCHED_READY = 256,   /* ready jobs of one destination; others wait on disk */
    SCHED_REFILL = 64    /* fewer ready ones: look on disk */
};

struct ph_sched;

struct ph_dest {
    ph_str name;
    unsigned ready, flying;
    unsigned limit;     /* flying at most */
    unsigned pins;      /* the caller's: it is not freed while there are any */
    unsigned fails;     /* in a row, of the destination as a whole */
    int64_t held_until; /* 0: not held */
    bool on_disk;       /* recipients wait on disk; disk_when: the earliest */
    int64_t disk_when;
    int64_t
        seen_when; /* the caller's cursor: on disk, what is up to here was seen; 0, 0, 0: nothing */
    uint64_t seen_qid;
    uint32_t seen_idx;
    /* the schedule's own */
    struct ph_sched_job *first, **last;
    struct ph_dest *chain, *ring_next, *ring_prev;
    size_t heap_at; /* 0: not in the heap */
    uint64_t hash;
};

/* First member of the caller's job. */
struct ph_sched_job {
    struct ph_sched_job *next;
    struct ph_dest *dest;
};

struct ph_sched_options {
    int64_t first, most;  /* waits, microseconds */
    unsigned connections; /* jobs at a time to a foreign destination */
    unsigned local;       /* and to the mailboxes of this house */
};

struct ph_sched *ph_sched_new(const struct ph_sched_options *opt,
                              uint64_t seed);       /* NULL: out of memory */
struct ph_sched *ph_sched_free(struct ph_sched *s); /* not the jobs */
void ph_sched_options(struct ph_sched *s, const struct ph_sched_options *opt);

/* How long to wait after the n-th failure in a row (from 1): first * 2^(n-1), at most `most`, give
 * or take a tenth. */
int64_t ph_sched_backoff(struct ph_sched *s, unsigned n);

/* Finds or makes. NULL: SCHED_DESTS are in memory, or out of memory. Lives while it has jobs, is
 * held or is on_disk. */
struct ph_dest *ph_sched_dest(struct ph_sched *s, ph_str name);
size_t ph_sched_dests(const struct ph_sched *s);
size_t ph_sched_jobs(const struct ph_sched *s);
/* May a fresh job be kept in memory, or must it wait on disk? */
bool ph_sched_room(const struct ph_sched *s, const struct ph_dest *d, int64_t now);
void ph_sched_ready(struct ph_sched *s, struct ph_dest *d, struct ph_sched_job *job);
/* The next job to start, in turn, for this house's mailboxes or for others; NULL: none may. It
 * counts as flying until `back` or `drop`. */
struct ph_sched_job *ph_sched_take(struct ph_sched *s, bool local);
/* A ready job taken off, for it is to wait on disk; NULL: none left. */
struct ph_sched_job *ph_sched_shed(struct ph_sched *s, struct ph_dest *d);

enum ph_sched_end {
    SCHED_WELL,   /* the destination answered, whatever it said */
    SCHED_SILENT, /* nobody answered: it is held */
    SCHED_UNDONE  /* not tried after all: says nothing of the destination */
};
/* A flying job ended. */
void ph_sched_back(struct ph_sched *s, struct ph_sched_job *job, enum ph_sched_end end,
                   int64_t now);

/* Recipients of it wait on disk, the earliest at `when`. */
void ph_sched_on_disk(struct ph_sched *s, struct ph_dest *d, int64_t when);
/* A destination with something due on disk and room for it; it is not named again until
 * ph_sched_on_disk is called for it. */
struct ph_dest *ph_sched_refill(struct ph_sched *s, int64_t now);
/* When refill or take may have something again; INT64_MAX: not by the clock. */
int64_t ph_sched_when(const struct ph_sched *s);
/* Ends all holds (name NULL: everywhere). */
void ph_sched_release(struct ph_sched *s, const ph_str *name);
void ph_sched_each(struct ph_sched *s, void (*each)(void *ctx, struct ph_dest *d), void *ctx);
/* Frees the destination when nothing is known of it any more. Call when done with it. */
void ph_sched_tidy(struct ph_sched *s, struct ph_dest *d);

#endif
