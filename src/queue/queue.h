/*
 * queue.h - the spool: letters under way, their recipients and their journeys, in one SQLite file.
 *
 * States, the instant of acceptance, and what start-up does in each state: docs/queue.md; the
 * numbers [Q1]... in comments are its invariants. No socket, no clock, no other room's state: times
 * are given by the caller, microseconds since 1970. Not thread-safe.
 *
 * Writing has two ways in:
 *   puts      go into the open transaction at once; ph_spool_commit makes them safe
 *   changes   (done, wait, event) are kept in memory and ride in the next transaction. They survive
 *             a failed commit and are tried again with the next; a crash loses them, and then the
 *             work is done once more [Q4]
 *
 *          put, begin                  commit: ok
 *   IDLE ---------------> OPEN ------------------------> IDLE
 *                           | rollback, or anything failed
 *                           v                 repair (the next begin)
 *                         DOUBT -------------------------------------> IDLE
 *                           |  ^
 *                           +--+ still failing
 */
#ifndef PH_QUEUE_H
#define PH_QUEUE_H
#include <posthouse/base.h>

struct ph_spool;

enum {
    PH_SPOOL_SCHEMA = 7, /* PRAGMA user_version */
    PH_SPOOL_LANES = 64, /* of a destination: senders fall into them by their hash */
    PH_SPOOL_CHANGES =
        32 * 1024 *
        1024, /* bytes of changes kept in memory; more: -PH_ELIMIT, begin and commit first */
    PH_SPOOL_REPLY = 2048 /* bytes kept of a reply or a note */
};

/* ---- what is kept ------------------------------------------------------------------------- */

/* EXPANDED: an alias of several recipients, there until its sender is told (RFC 3461 5.2.7.3
 * (c)). */
enum ph_spool_target { PH_SPOOL_LOCAL, PH_SPOOL_REMOTE, PH_SPOOL_EXPANDED };

/* One recipient. Strings are borrowed for the call, or live in the arena given. */
struct ph_spool_rcpt {
    uint32_t idx;      /* its place in the letter, from 0 */
    uint8_t target;    /* enum ph_spool_target */
    ph_str address;    /* what to deliver to, or to say in RCPT TO */
    ph_str original;   /* as in messages.def: "rfc822;Bob@b.test", empty when the same */
    uint64_t account;  /* LOCAL */
    ph_str folder;     /* LOCAL */
    ph_str mailbox;    /* LOCAL: of that folder; empty: INBOX */
    ph_str dest;       /* where it goes: the next-hop domain; empty for LOCAL */
    uint8_t notify;    /* RFC 3461 4.1 bits, as in messages.def */
    uint32_t attempts; /* made and failed so far */
    /* PH_SPOOL_FRESH: in the hands of the running process; else not before then */
    int64_t next_try;
    ph_str reply; /* the last one, as "450 4.2.0 text", or a sentence of ours */
};
#define PH_SPOOL_FRESH INT64_MIN
#define PH_SPOOL_HELD (INT64_MAX - 1) /* until an administrator says otherwise */

/* One step of a journey: the columns of the record `event` of messages.def. */
struct ph_spool_event {
    uint64_t qid; /* 0: none (refused before it was queued) */
    int64_t time;
    uint8_t kind;
    uint32_t code;
    uint64_t took;
    ph_str process, rcpt, peer, tls, auth, reply, note, host;
};

enum { PH_SPOOL_PACKED = 128 }; /* in flags: the body is packed (pack.h), as in messages.def */

struct ph_spool_letter {
    uint64_t qid;
    int64_t received;
    ph_str sender; /* reverse-path, empty for <> */
    uint32_t skip; /* bytes of our Return-Path line in front */
    uint32_t flags;
    ph_str envid, message_id, owner;
    uint64_t size; /* of the message, whole; PH_SPOOL_PACKED: the body is shorter */
    /* put only; load leaves them out */
    ph_str summary;
    const struct ph_spool_event *events; /* how its journey begins; their qid is not looked at */
    size_t events_n;
};

/* ---- life -------------------------------------------------------------------------------- */

struct ph_spool_options {
    bool read_only;  /* for the admin verbs: needs no writer, never writes */
    bool journey;    /* keep events */
    const char *vfs; /* SQLite VFS to use, NULL the default: tests inject faults here */
};

/* Opens or makes the file. On success every earlier commit is surely on disk, whatever happened
 * before [Q5]. Errors name the file and the remedy: -PH_ENOENT (read_only), -PH_EDENIED, -PH_EIO,
 * -PH_EFULL, -PH_ECORRUPT (damaged, not a database, or of a newer schema), -PH_ENOMEM. */
PH_MUST_CHECK int ph_spool_open(const char *path, const struct ph_spool_options *opt,
                                struct ph_spool **ret_spool, struct ph_error *reterr);
/* Changes not yet committed are lost, as in a crash. */
struct ph_spool *ph_spool_close(struct ph_spool *s);
const char *
ph_spool_why(const struct ph_spool *s); /* what SQLite said last; borrowed until the next call */
void ph_spool_journey(struct ph_spool *s, bool keep); /* changes the option */

/* Times are of the caller's clock, which may differ from the wall clock by a skew (queue's clock =
 * wall clock + skew) that is kept as long as a recipient waits. A new one is on disk with the next
 * commit. Read-only, all times are given by the wall clock. */
int64_t ph_spool_skew(const struct ph_spool *s);
void ph_spool_set_skew(struct ph_spool *s, int64_t skew);
/* When the newest letter under way was received; 0: there is none. 0, or an error. */
PH_MUST_CHECK int ph_spool_newest(struct ph_spool *s, int64_t *ret_time);

/* A new queue id: above every earlier one of this file, and above `now`, so that even a new file
 * does not repeat what an older one gave out [Q1]. It is free to use once a commit succeeded after
 * it. */
uint64_t ph_spool_id(struct ph_spool *s, int64_t now);

/* ---- writing ----------------------------------------------------------------------------- */

/* Begins when not begun. After a failure: -PH_EFULL, -PH_EIO, -PH_ENOMEM, -PH_ECORRUPT; the
 * transaction is rolled back, nothing put since its beginning is kept, and the changes are kept. */
PH_MUST_CHECK int ph_spool_begin(struct ph_spool *s);
/* A letter with its recipients (n >= 1) and its body. Borrowed for the call. Errors as begin;
 * -PH_ELIMIT: too large for one row (about 950 MB), the transaction goes on. */
PH_MUST_CHECK int ph_spool_put(struct ph_spool *s, const struct ph_spool_letter *l,
                               const struct ph_spool_rcpt *rcpts, size_t n, ph_str body);
/* Writes the changes too. 0: all of it is on disk for good: the instant of acceptance [Q2]. Else as
 * begin: nothing of it is, and the letters put will not come back after a crash-free repair
 * [Q3]. */
PH_MUST_CHECK int ph_spool_commit(struct ph_spool *s);
void ph_spool_rollback(struct ph_spool *s);
bool ph_spool_is_open(const struct ph_spool *s); /* between begin and commit */
/* How many transactions came to nothing until now. Every operation may roll back when it fails: a
 * letter that was put is in the open transaction only as long as this number has not changed
 * since. */
uint64_t ph_spool_rollbacks(const struct ph_spool *s);

/* Changes. -PH_ELIMIT or -PH_ENOMEM: not taken. */
PH_MUST_CHECK int ph_spool_done(struct ph_spool *s, uint64_t qid,
                                uint32_t idx); /* forgets it; the letter with its last */
PH_MUST_CHECK int ph_spool_wait(struct ph_spool *s, uint64_t qid, uint32_t idx, uint32_t attempts,
                                int64_t next_try, ph_str reply);
PH_MUST_CHECK int ph_spool_flag(struct ph_spool *s, uint64_t qid,
                                uint32_t flags); /* sets them in the letter's */
/* message_id: of the letter, empty when not known or said before. owner: account address of the
 * submitter, or empty; those of the put or of the first event of a qid are the journey's. Strings
 * are copied, cut at PH_SPOOL_REPLY. */
PH_MUST_CHECK int ph_spool_event(struct ph_spool *s, ph_str message_id, ph_str owner,
                                 const struct ph_spool_event *e);
/* Between tie(true) and tie(false), changes belong to the puts of the open transaction: with a
 * failure they are forgotten like them. A report and the end of the recipient it is about are
 * one. */
void ph_spool_tie(struct ph_spool *s, bool tie);
size_t ph_spool_changes(const struct ph_spool *s); /* how many wait for a commit */

/* Moves what is committed from the log to the file. Call when nobody waits; returns at once when
 * the log is shorter than `pages` (about 4 KiB each). An error is not fatal: it is tried again
 * later. */
int ph_spool_checkpoint(struct ph_spool *s, int pages);

/* ---- reading: sees puts and changes, committed or not --------------------------------------- */

/* What start-up does: every FRESH recipient becomes waiting, due now. The count, or an error. One
 * transaction. */
PH_MUST_CHECK int64_t ph_spool_recover(struct ph_spool *s, int64_t now);

struct ph_spool_due {
    uint64_t qid;
    uint32_t idx;
    int64_t next_try;
};
/* Waiting recipients of a lane of a destination behind `after` in the order of (next_try, qid,
 * idx), earliest first, at most n. The count, or an error. */
PH_MUST_CHECK int ph_spool_due(struct ph_spool *s, ph_str dest, unsigned lane,
                               const struct ph_spool_due *after, struct ph_spool_due *ret,
                               size_t n);
/* The first lane from `from` on that has waiting recipients, and the earliest time of one. 1, 0 at
 * the end, or an error. */
PH_MUST_CHECK int ph_spool_lane_next(struct ph_spool *s, ph_str dest, unsigned from,
                                     unsigned *ret_lane, int64_t *ret_when);
/* The first destination after `after` (bytewise) that has waiting recipients, and the earliest time
 * of one. first: start with the empty (local) one. 1, 0 at the end, or an error. */
PH_MUST_CHECK int ph_spool_dest_next(struct ph_spool *s, ph_str after, bool first,
                                     struct ph_buf *ret_dest, int64_t *ret_when);

/* A letter and all its recipients that are left; lives in the arena given. 1, 0 when it is gone, or
 * an error. */
PH_MUST_CHECK int ph_spool_load(struct ph_spool *s, uint64_t qid, struct ph_arena *a,
                                struct ph_spool_letter *ret_letter,
                                struct ph_spool_rcpt **ret_rcpts, size_t *ret_n);
/* Appends summary (NULL: not wanted) and the body from `from` on, at most `most` bytes of it.
 * -PH_ENOENT when it is gone. */
PH_MUST_CHECK int ph_spool_body(struct ph_spool *s, uint64_t qid, uint64_t from, size_t most,
                                struct ph_buf *ret_summary, struct ph_buf *ret_body);
/* Appends the first `most` bytes of the message, or all when it is shorter or packed. Errors as
 * ph_spool_body, and -PH_ECORRUPT. */
PH_MUST_CHECK int ph_spool_text(struct ph_spool *s, uint64_t qid, size_t most, struct ph_buf *out);
/* Ids and times of letters above `after`, ascending: for the sweep that finds expired ones, and for
 * lists. */
struct ph_spool_age {
    uint64_t qid;
    int64_t received;
    uint32_t flags;
};
PH_MUST_CHECK int ph_spool_ages(struct ph_spool *s, uint64_t after, struct ph_spool_age *ret,
                                size_t n);
/* Where recipients wait, the fullest destination first, at most n; linear in the recipients. */
struct ph_spool_site {
    ph_str dest; /* empty: the mailboxes of this house */
    uint64_t rcpts, held;
    int64_t oldest;   /* when the oldest of its letters came */
    int64_t next_try; /* the earliest */
    ph_str reply;     /* one of the last replies, or empty */
};
PH_MUST_CHECK int ph_spool_sites(struct ph_spool *s, size_t n,
                                 int (*each)(void *ctx, const struct ph_spool_site *site),
                                 void *ctx);
/* Letters and recipients in the file, counted (linear). */
PH_MUST_CHECK int ph_spool_count(struct ph_spool *s, uint64_t *ret_letters, uint64_t *ret_rcpts);

/* ---- journeys ---------------------------------------------------------------------------- */

/* The ids known by a Message-ID (with its brackets), at most n; n is small. The count, or an
 * error. */
PH_MUST_CHECK int ph_spool_trips(struct ph_spool *s, ph_str message_id, uint64_t *ret_qids,
                                 size_t n);
/* Its Message-ID, who began it, and the reverse-path (NULL: not wanted); appended. 1, 0 when not
 * known, or an error. */
PH_MUST_CHECK int ph_spool_trip(struct ph_spool *s, uint64_t qid, struct ph_buf *ret_message_id,
                                struct ph_buf *ret_owner, struct ph_buf *ret_sender);
/* The events of one id in order; each is borrowed until `each` returns; non-zero stops. 0 or what
 * `each` returned or an error. */
PH_MUST_CHECK int ph_spool_journey_of(struct ph_spool *s, uint64_t qid,
                                      int (*each)(void *ctx, const struct ph_spool_event *e),
                                      void *ctx);
/* Forgets journeys that began before `before` and whose letter is done; at most `most` of them. The
 * count, or an error. Begins a transaction when none is open. */
PH_MUST_CHECK int ph_spool_prune(struct ph_spool *s, int64_t before, int most);

#endif
