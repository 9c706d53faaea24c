/* spool.h - inside the spool: its state and the small helpers around SQLite. Not for other
 * rooms. */
#ifndef PH_SPOOL_H
#define PH_SPOOL_H
#include "queue.h"

#include <sqlite3.h>

enum spool_sql {
#define T(text)
#define Q(name, text) SQL_##name,
#include "sql.def"
#undef T
#undef Q
    SQL_COUNT
};

enum spool_state { SPOOL_IDLE, SPOOL_OPEN, SPOOL_DOUBT };

struct spool_change;

struct ph_spool {
    sqlite3 *db;
    sqlite3_stmt *stmt[SQL_COUNT]; /* prepared at first use */
    enum spool_state state;
    uint64_t rollbacks; /* transactions that came to nothing */
    bool read_only, journey;
    char *path, *vfs;
    char why[160];
    int log_pages; /* in the log and not yet in the file */

    uint64_t last_id;     /* given out */
    uint64_t reserved;    /* ids below it may be used once meta.next is committed */
    int64_t skew;         /* of the queue's clock from the wall clock */
    bool skew_pending;    /* meta.skew is to be written with the next commit */
    bool reserve_pending; /* meta.next is to be written with the next commit */

    struct ph_arena *arena; /* holds the changes */
    struct ph_mark empty;
    struct spool_change *first, **last; /* changes not yet committed */
    struct spool_change **unapplied;    /* the first not in the open transaction */
    size_t changes;
    struct ph_buf packed; /* the events of the row being written */
    bool tie;             /* changes made now belong to the open transaction alone */
    uint64_t indexed; /* trips up to here are in trip_index; with an open transaction: will be */
    uint64_t indexed_safe; /* as committed */
    size_t unindexed;      /* trips above it, about */
};

/* The statement, reset and ready for binding; NULL when it cannot be prepared (why is filled). */
sqlite3_stmt *ph__spool_stmt(struct ph_spool *s, enum spool_sql which);
/* Our error for SQLite's; notes the text in s->why. Never 0 for a failure. */
int ph__spool_error(struct ph_spool *s, int rc);
/* Runs a statement that gives no rows, and resets it. */
int ph__spool_run(struct ph_spool *s, sqlite3_stmt *st);
int ph__spool_step(struct ph_spool *s, enum spool_sql which); /* one without parameters */
/* A failure inside a transaction: rolls back and decides whether the past is in doubt. Returns
 * err. */
int ph__spool_failed(struct ph_spool *s, int err);
/* Puts pending changes into the open transaction. */
int ph__spool_apply(struct ph_spool *s);
void ph__spool_untie(
    struct ph_spool *s); /* forgets tied changes; the rest is to be applied again */
/* Readers call it: what is pending becomes visible. */
int ph__spool_settle(struct ph_spool *s);

/* The Message-IDs of many new trips go into the index together. Before a commit. */
int ph__spool_index(struct ph_spool *s);
int ph__spool_index_open(struct ph_spool *s);
int ph__spool_meta(struct ph_spool *s, const char *key, uint64_t value);
/* A row of packed events behind those that are there. */
int ph__spool_add_events(struct ph_spool *s, uint64_t qid, uint64_t seq, ph_str packed);
/* The row of a journey that has no letter here, with its first events packed. 1 when it is new, 0
 * when there was one (then `first` is not in it). */
int ph__spool_begin_trip(struct ph_spool *s, uint64_t qid, ph_str message_id, ph_str owner,
                         ph_str first);
/* A letter with a journey was put. */
int ph__spool_count_trip(struct ph_spool *s, uint64_t qid, int64_t hash);
int64_t ph__spool_hash(ph_str message_id);
enum { SPOOL_ROW_EVENTS = 64 * 1024 }; /* bytes of events packed into one row */
void ph__spool_pack(struct ph_buf *out, const struct ph_spool_event *e);

void ph__bind_str(sqlite3_stmt *st, int at, ph_str v);
void ph__bind_blob(sqlite3_stmt *st, int at, ph_str v);
ph_str ph__column(sqlite3_stmt *st, int at); /* borrowed until the next step */

#endif
