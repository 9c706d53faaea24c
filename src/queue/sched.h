/*
 * sched.h - which job is next: destinations, the sites that serve them, what is ready in memory,
 * and when to look on disk again.
 *
 * A destination is a next-hop domain ("" is this house's mailboxes): by it recipients are found on
 * disk. A site is who serves it: until somebody has learnt better, every destination has one of its
 * own; domains that share an MX share a site, and with it its limits. Sites take turns. At a site
 * senders take turns, so that a mailing delays nobody's letter but its own. A site has a number of
 * jobs at a time that grows with success, is halved when it says that it is crowded, and falls to
 * one with silence. A site where nobody answers is held. No I/O, no clock: times are microseconds
 * since 1970, and may jump.
 *
 *            due on disk           refilled, or fresh                    take()
 *   WAITING --------------> (heap) ------------------> READY site/sender -------> FLYING --> result
 *      ^                                                 |          ^               |
 *      +--------- shed() when held, or no room ----------+          +---- back() ---+
 */
#ifndef PH_SCHED_H
#define PH_SCHED_H
#include "alarm.h"

enum {
    SCHED_DESTS = 50000, /* destinations in memory (about 600 bytes each, with a site of its own) */
    SCHED_JOBS = 50000,  /* jobs in memory, ready or flying; */
    SCHED_DISK_JOBS = SCHED_JOBS / 4 * 3, /* from here on no more from disk and none of mailings */
    SCHED_LANES = 64,                     /* of a destination on disk, by sender: PH_SPOOL_LANES */
    SCHED_FEW = 16,    /* ready jobs of a sender at a site: up to here it is no mailing */
    SCHED_READY = 256, /* ready jobs of one sender at a foreign site; others wait on disk */
    SCHED_REFILL = 64  /* fewer ready ones of a destination: look on disk */
};

struct ph_sched;
struct ph_site;

/* Of each lane of a destination on disk, what is up to here was seen; qid 0: nothing. */
struct ph_seen {
    struct {
        int64_t when;
        uint64_t qid;
        uint32_t idx;
    } lane[SCHED_LANES];
};

struct ph_dest {
    ph_str name;
    struct ph_site *site;
    unsigned ready;
    unsigned pins; /* the caller's: it is not freed while there are any */
    bool on_disk;  /* recipients wait on disk; disk_when: the earliest */
    int64_t disk_when;
    /* the caller's, made by ph_new0(NULL): what of it was seen; NULL: nothing */
    struct ph_seen *seen;
    unsigned lane; /* the caller's: whose turn it is */
    /* the schedule's own */
    struct ph_alarm alarm;
    struct ph_dest *chain;
    uint64_t hash;
};

/* What is ready of one sender at one site. */
struct ph_flow {
    struct ph_sched_job *first, **last;
    unsigned ready;
    uint64_t sender;
    struct ph_flow *next, *prev, *chain;
};

struct ph_site {
    ph_str name; /* "@domain" as long as it is only a guess */
    unsigned ready, flying;
    unsigned limit;     /* flying at most, now; */
    unsigned most;      /* ever; */
    unsigned calm;      /* up to here it doubles, from here on it grows by one */
    unsigned good;      /* successes since it grew */
    unsigned fails;     /* in a row, of the site as a whole */
    int64_t held_until; /* 0: not held */
    int64_t rest_until; /* 0: not resting: its rate or its places are used up */
    /* the schedule's own */
    size_t dests;
    struct ph_flow *turn; /* ring */
    struct ph_alarm alarm;
    struct ph_site *chain, *next, *prev;
    uint64_t hash;
    bool local;
};

/* First member of the caller's job. sender: ph_sched_sender of whose it is, set before `ready`. */
struct ph_sched_job {
    struct ph_sched_job *next;
    struct ph_dest *dest;
    struct ph_site *site; /* while it is ready or flying */
    uint64_t sender;
};

struct ph_sched_options {
    int64_t first, most;  /* waits, microseconds */
    unsigned connections; /* jobs at a time to a foreign site */
    unsigned local;       /* and to the mailboxes of this house */
};

/* seed: a secret, of back-offs and of the tables. NULL: out of memory. */
struct ph_sched *ph_sched_new(const struct ph_sched_options *opt, uint64_t seed);
struct ph_sched *ph_sched_free(struct ph_sched *s); /* not the jobs */
void ph_sched_options(struct ph_sched *s, const struct ph_sched_options *opt);
uint64_t ph_sched_sender(const struct ph_sched *s, ph_str sender);

/* How long to wait after the n-th failure in a row (from 1): first * 2^(n-1), at most `most`, give
 * or take a tenth. */
int64_t ph_sched_backoff(struct ph_sched *s, unsigned n);

/* Finds or makes. NULL: SCHED_DESTS are in memory, or out of memory. Lives while it has ready jobs,
 * pins or is on_disk. */
struct ph_dest *ph_sched_dest(struct ph_sched *s, ph_str name);
size_t ph_sched_dests(const struct ph_sched *s);
size_t ph_sched_jobs(const struct ph_sched *s);
/* May a fresh job be kept in memory, or must it wait on disk? */
bool ph_sched_room(const struct ph_sched *s, const struct ph_dest *d, uint64_t sender, int64_t now);
/* false: out of memory, it is not taken. */
PH_MUST_CHECK bool ph_sched_ready(struct ph_sched *s, struct ph_dest *d, struct ph_sched_job *job);
/* The next job to start, in turn, for this house's mailboxes or for others; NULL: none may. It
 * counts as flying until `back`. */
struct ph_sched_job *ph_sched_take(struct ph_sched *s, bool local);
/* A ready job taken off, for it is to wait on disk; NULL: none left. */
struct ph_sched_job *ph_sched_shed(struct ph_sched *s, struct ph_site *site);

enum ph_sched_end {
    SCHED_WELL,    /* the site answered, whatever it said */
    SCHED_CROWDED, /* it said that it has too much to do: fewer at a time */
    SCHED_SILENT,  /* nobody answered: it is held */
    SCHED_UNDONE   /* not tried after all: says nothing of the site */
};
/* A flying job ended. */
void ph_sched_back(struct ph_sched *s, struct ph_sched_job *job, enum ph_sched_end end,
                   int64_t now);
/* Who serves this destination, and how many at a time it takes. What is ready for it goes along. */
void ph_sched_learn(struct ph_sched *s, struct ph_dest *d, ph_str site, unsigned most);
/* Nothing more for this destination's site until then. */
void ph_sched_rest(struct ph_sched *s, struct ph_dest *d, int64_t until);

/* Frees `seen`: the disk is read from the beginning again. */
void ph_sched_unsee(struct ph_dest *d);
/* Recipients of it wait on disk, the earliest at `when`. */
void ph_sched_on_disk(struct ph_sched *s, struct ph_dest *d, int64_t when);
/* A destination with something due on disk and room for it; it is not named again until
 * ph_sched_on_disk is called for it. Ends holds and rests whose time is over. */
struct ph_dest *ph_sched_refill(struct ph_sched *s, int64_t now);
/* When refill or take may have something again; INT64_MAX: not by the clock. */
int64_t ph_sched_when(const struct ph_sched *s);
/* Ends the hold of a destination's site. */
void ph_sched_release(struct ph_sched *s, ph_str name);
void ph_sched_each(struct ph_sched *s, void (*each)(void *ctx, struct ph_dest *d), void *ctx);
/* Frees the destination when nothing is known of it any more. Call when done with it. */
void ph_sched_tidy(struct ph_sched *s, struct ph_dest *d);

#endif
