/* spool.c - opening the file, its schema, ids, and what a failure of SQLite means. States:
 * queue.h. */
#include "spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_LIMIT ((uint64_t)1 << 55) /* what ph_id_text can write */

enum {
    ID_BLOCK = 60 * 1000 * 1000, /* ids reserved at a time: a minute of clock */
    BUSY_MS = 5000,              /* how long a reader's lock is waited for */
    CACHE_KIB = 64 * 1024,
    ROW = 4608,  /* rows of so many bytes are put together in memory set aside, */
    ROWS = 64,   /* so many at a time */
    PAGE = 16384 /* of several sizes, the least work for letters of 2 and of 50 KiB:
                    docs/performance.md */
};

static const char *const schema[] = {
#define T(text) text,
#define Q(name, text)
#include "sql.def"
#undef T
#undef Q
};
static const char *const sql[SQL_COUNT] = {
#define T(text)
#define Q(name, text) text,
#include "sql.def"
#undef T
#undef Q
};

/* ---- errors ------------------------------------------------------------------------------ */

static int map(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return -PH_EFULL;
    case SQLITE_NOMEM:
        return -PH_ENOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -PH_ECORRUPT;
    case SQLITE_TOOBIG:
        return -PH_ELIMIT;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return -PH_EDENIED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -PH_EINUSE;
    default:
        return -PH_EIO;
    }
}

int ph__spool_error(struct ph_spool *s, int rc)
{
    const char *text = s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc);
    snprintf(s->why, sizeof s->why, "%s", text ? text : "unknown error");
    return map(rc);
}

int ph__spool_failed(struct ph_spool *s, int err)
{
    s->rollbacks += s->state == SPOOL_OPEN;
    if (s->db && !sqlite3_get_autocommit(s->db)) {
        sqlite3_stmt *st = ph__spool_stmt(s, SQL_ROLLBACK);
        if (!st || sqlite3_step(st) != SQLITE_DONE)
            s->state = SPOOL_DOUBT;
        if (st)
            sqlite3_reset(st);
    }
    /* A full disk or memory leaves nothing behind; after anything else the log may hold frames that
     * only the page cache has. */
    bool clean = err == -PH_EFULL || err == -PH_ENOMEM || err == -PH_EINUSE;
    if (s->state == SPOOL_OPEN)
        s->state = clean ? SPOOL_IDLE : SPOOL_DOUBT;
    else if (!clean)
        s->state = SPOOL_DOUBT;
    ph__spool_untie(s);
    s->indexed = s->indexed_safe;
    return err;
}

const char *ph_spool_why(const struct ph_spool *s)
{
    return s->why;
}

/* ---- statements -------------------------------------------------------------------------- */

sqlite3_stmt *ph__spool_stmt(struct ph_spool *s, enum spool_sql which)
{
    if (s->stmt[which])
        return s->stmt[which];
    if (!s->db)
        return NULL;
    int rc =
        sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &s->stmt[which], NULL);
    if (rc != SQLITE_OK)
        ph__spool_error(s, rc);
    return s->stmt[which];
}

int ph__spool_run(struct ph_spool *s, sqlite3_stmt *st)
{
    if (!st)
        return s->db ? map(sqlite3_errcode(s->db)) : -PH_EIO;
    int rc = sqlite3_step(st);
    int err = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : ph__spool_error(s, rc);
    sqlite3_reset(st);
    return err;
}

int ph__spool_step(struct ph_spool *s, enum spool_sql which)
{
    return ph__spool_run(s, ph__spool_stmt(s, which));
}

void ph__bind_str(sqlite3_stmt *st, int at, ph_str v)
{
    sqlite3_bind_text64(st, at, v.n ? v.p : "", v.n, SQLITE_STATIC, SQLITE_UTF8);
}

void ph__bind_blob(sqlite3_stmt *st, int at, ph_str v)
{
    sqlite3_bind_blob64(st, at, v.n ? v.p : "", v.n, SQLITE_STATIC);
}

ph_str ph__column(sqlite3_stmt *st, int at)
{
    const char *p = sqlite3_column_blob(st, at);
    return (ph_str){p, p ? (size_t)sqlite3_column_bytes(st, at) : 0};
}

/* ---- opening ----------------------------------------------------------------------------- */

static int pragma(struct ph_spool *s, const char *text)
{
    int rc = sqlite3_exec(s->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : ph__spool_error(s, rc);
}

static int number(struct ph_spool *s, const char *text, int64_t *ret_value)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, text, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    int err = rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : ph__spool_error(s, rc);
    if (err > 0)
        *ret_value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return err;
}

static int make_schema(struct ph_spool *s)
{
    int err = pragma(s, "BEGIN IMMEDIATE");
    for (size_t i = 0; !err && i < sizeof schema / sizeof *schema; i++)
        err = pragma(s, schema[i]);
    char version[48];
    snprintf(version, sizeof version, "PRAGMA user_version=%d", PH_SPOOL_SCHEMA);
    if (!err)
        err = pragma(s, version);
    return err ? err : pragma(s, "COMMIT");
}

/* From 6: recipients had no lane. The ones that wait share the first. */
static int upgrade(struct ph_spool *s)
{
    char version[48];
    snprintf(version, sizeof version, "PRAGMA user_version=%d; COMMIT", PH_SPOOL_SCHEMA);
    int err = pragma(s, "BEGIN IMMEDIATE; ALTER TABLE rcpt ADD COLUMN lane INTEGER NOT NULL "
                        "DEFAULT 0; DROP INDEX rcpt_due");
    for (size_t i = 0; !err && i < sizeof schema / sizeof *schema; i++)
        if (!strncmp(schema[i], "CREATE INDEX", 12))
            err = pragma(s, schema[i]);
    return err ? err : pragma(s, version);
}

static int check_schema(struct ph_spool *s, struct ph_error *reterr)
{
    int64_t version = 0;
    int err = number(s, "PRAGMA user_version", &version);
    if (err > 0 && version == 0 && !s->read_only)
        return make_schema(s);
    if (err > 0 && version == PH_SPOOL_SCHEMA - 1 && !s->read_only)
        return upgrade(s);
    if (err > 0 && version != PH_SPOOL_SCHEMA)
        return ph_fail(reterr, PH_ECORRUPT, 0,
                       "%s has schema %lld, this program knows %d: use the program that wrote it, "
                       "or move the file away",
                       s->path, (long long)version, PH_SPOOL_SCHEMA);
    return err < 0 ? err : 0;
}

static int set_up(struct ph_spool *s)
{
    char text[320];
    snprintf(text, sizeof text,
             "PRAGMA page_size=%d; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA "
             "wal_autocheckpoint=0;"
             "PRAGMA secure_delete=OFF; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-%d",
             PAGE, CACHE_KIB);
    return pragma(s, s->read_only ? "PRAGMA query_only=1" : text);
}

static int note_log(void *ctx, sqlite3 *db, const char *name, int pages)
{
    (void)db, (void)name;
    ((struct ph_spool *)ctx)->log_pages = pages;
    return SQLITE_OK;
}

static int open_file(struct ph_spool *s, struct ph_error *reterr)
{
    int flags = s->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* else a lock for each allocation */
    int rc = sqlite3_open_v2(s->path, &s->db, flags | SQLITE_OPEN_NOMUTEX, s->vfs);
    int err = rc == SQLITE_OK ? 0 : ph__spool_error(s, rc);
    if (!err) {
        sqlite3_extended_result_codes(s->db, 1);
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, ROW, ROWS);
        sqlite3_busy_timeout(s->db, BUSY_MS);
        err = set_up(s);
        sqlite3_wal_hook(s->db, note_log, s); /* behind wal_autocheckpoint, which unsets it */
    }
    struct ph_error why = {0};
    if (!err)
        err = check_schema(s, &why);
    if (!err && !s->read_only)
        err = ph_spool_checkpoint(s, 0); /* [Q5] */
    if (!err)
        return 0;
    if (why.code) {
        if (reterr)
            *reterr = why;
        return err;
    }
    const char *remedy = err == -PH_ECORRUPT ? "move it away, or repair it with sqlite3 .recover"
                         : err == -PH_EFULL  ? "make room on the disk"
                         : err == -PH_EINUSE
                             ? "another program has locked it"
                             : "check the disk, and who owns the folder and the file";
    return ph_fail(reterr, -err, 0, "%s: %s; %s", s->path, s->why, remedy);
}

static void close_file(struct ph_spool *s)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(s->stmt[i]);
        s->stmt[i] = NULL;
    }
    sqlite3_close_v2(s->db);
    s->db = NULL;
}

/* When nothing waits any more, the wall clock is as good as any. */
static int read_skew(struct ph_spool *s)
{
    int64_t waits;
    int err = number(s, "SELECT value FROM meta WHERE key = 'skew'", &s->skew);
    if (err <= 0 || !s->skew)
        return err;
    err = number(s, "SELECT 1 FROM rcpt LIMIT 1", &waits);
    if (!err)
        ph_spool_set_skew(s, 0);
    return err;
}

int ph_spool_open(const char *path, const struct ph_spool_options *opt, struct ph_spool **ret_spool,
                  struct ph_error *reterr)
{
    struct ph_spool *s = ph_new0(NULL, sizeof *s);
    if (!s)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    s->read_only = opt->read_only;
    s->journey = opt->journey;
    s->path = strdup(path);
    s->vfs = opt->vfs ? strdup(opt->vfs) : NULL;
    s->arena = ph_arena_new(NULL, PH_SPOOL_CHANGES);
    ph_buf_init(&s->packed, NULL, SPOOL_ROW_EVENTS);
    s->last = s->unapplied = &s->first;
    int err = 0;
    if (!s->path || !s->arena || (opt->vfs && !s->vfs))
        err = ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    if (!err) {
        s->empty = ph_arena_mark(s->arena);
        err = open_file(s, reterr);
    }
    int64_t next = 0, indexed = 0;
    if (!err &&
        (read_skew(s) < 0 || number(s, "SELECT value FROM meta WHERE key = 'next'", &next) < 0 ||
         number(s, "SELECT value FROM meta WHERE key = 'indexed'", &indexed) < 0))
        err = ph_fail(reterr, PH_ECORRUPT, 0,
                      "%s: %s; move it away, or repair it with sqlite3 .recover", path, s->why);
    if (err) {
        ph_spool_close(s);
        return err;
    }
    s->reserved = s->last_id = next > 0 ? (uint64_t)next : 0;
    s->indexed = s->indexed_safe = indexed > 0 ? (uint64_t)indexed : 0;
    (void)ph__spool_index_open(s); /* a wrong count costs a little time only */
    *ret_spool = s;
    return 0;
}

struct ph_spool *ph_spool_close(struct ph_spool *s)
{
    if (!s)
        return NULL;
    close_file(s);
    ph_arena_free(s->arena);
    ph_buf_done(&s->packed);
    free(s->path);
    free(s->vfs);
    ph_free(NULL, s, sizeof *s);
    return NULL;
}

void ph_spool_journey(struct ph_spool *s, bool keep)
{
    s->journey = keep;
}

/* ---- time -------------------------------------------------------------------------------- */

int64_t ph_spool_skew(const struct ph_spool *s)
{
    return s->skew;
}

void ph_spool_set_skew(struct ph_spool *s, int64_t skew)
{
    s->skew = skew;
    s->skew_pending = true;
}

int ph_spool_newest(struct ph_spool *s, int64_t *ret_time)
{
    int err = number(s,
                     "SELECT max(received) FROM letter WHERE qid IN"
                     " (SELECT DISTINCT qid FROM rcpt ORDER BY qid DESC LIMIT 100)",
                     ret_time);
    return err < 0 ? err : 0;
}

/* ---- ids [Q1] ---------------------------------------------------------------------------- */

uint64_t ph_spool_id(struct ph_spool *s, int64_t now)
{
    uint64_t id = s->last_id + 1;
    if (now > 0 && (uint64_t)now > id && (uint64_t)now < ID_LIMIT / 2)
        id = (uint64_t)now;
    s->last_id = id;
    if (id >= s->reserved) {
        s->reserved = id + ID_BLOCK;
        s->reserve_pending = true;
    }
    return id;
}

/* ---- the log ----------------------------------------------------------------------------- */

int ph_spool_checkpoint(struct ph_spool *s, int pages)
{
    int in_log = 0, moved = 0;
    if (!s->db || s->state == SPOOL_OPEN)
        return 0;
    if (pages > 0 && s->log_pages < pages)
        return 0;
    int rc = sqlite3_wal_checkpoint_v2(
        s->db, NULL, pages ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_FULL, &in_log, &moved);
    if (rc != SQLITE_OK)
        return ph__spool_error(s, rc);
    s->log_pages = in_log - moved;
    return 0;
}
