/*
 * db.c - statements, errors and transactions of one account.
 *
 *   (none) --enter--> BEGIN --write_back--> COMMIT --> (none)
 *                       +--spoiled--> ROLLBACK, memory is stale --> (none)
 */
#include "sqlite_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const sql[ST_COUNT] = {
#define Q(name, text) text,
#include "statements.def"
#undef Q
};

int sq_fail(struct store_account *a, int code, int sys, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    a->err = (struct ph_error){.code = code, .sys = sys};
    vsnprintf(a->err.text, sizeof a->err.text, fmt, ap);
    va_end(ap);
    return -code;
}

static int error_code(sqlite3 *db, int rc, int sys)
{
    (void)db;
    if (sys == ENOSPC || sys == EDQUOT)
        return PH_EFULL;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return PH_EFULL;
    case SQLITE_NOMEM:
        return PH_ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return PH_EAGAIN;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR:
        return PH_ECORRUPT;
    default:
        return PH_EIO;
    }
}

int sq_error(struct store_account *a, int rc)
{
    bool io = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
    int sys = a->db && io ? sqlite3_system_errno(a->db) : 0;
    const char *text = a->db ? sqlite3_errmsg(a->db) : sqlite3_errstr(rc);
    return sq_fail(a, error_code(a->db, rc, sys), sys, "%s/mail.sqlite: %s%s%s", a->dir, text,
                   sys ? ": " : "", sys ? strerror(sys) : "");
}

static sqlite3_stmt *prepared(struct store_account *a, enum statement q)
{
    if (a->st[q])
        return a->st[q];
    int rc = sqlite3_prepare_v3(a->db, sql[q], -1, SQLITE_PREPARE_PERSISTENT, &a->st[q], NULL);
    if (rc != SQLITE_OK) {
        sq_error(a, rc);
        return NULL;
    }
    if (sqlite3_bind_parameter_count(a->st[q]) > 0)
        sqlite3_bind_int64(a->st[q], 1, (int64_t)a->id);
    return a->st[q];
}

static int bind(sqlite3_stmt *st, const char *types, va_list ap)
{
    int rc = SQLITE_OK;
    for (int i = 0; types[i] && rc == SQLITE_OK; i++) {
        if (types[i] == 'i') {
            rc = sqlite3_bind_int64(st, i + 2, va_arg(ap, int64_t));
            continue;
        }
        ph_str s = va_arg(ap, ph_str);
        if (types[i] == 't')
            rc = sqlite3_bind_text(st, i + 2, s.n ? s.p : "", (int)s.n, SQLITE_STATIC);
        else
            rc = sqlite3_bind_blob64(st, i + 2, s.n ? s.p : "", s.n, SQLITE_STATIC);
    }
    return rc;
}

static sqlite3_stmt *start(struct store_account *a, enum statement q, const char *types, va_list ap)
{
    sqlite3_stmt *st = prepared(a, q);
    if (!st)
        return NULL;
    int rc = bind(st, types, ap);
    if (rc == SQLITE_OK)
        return st;
    sq_error(a, rc);
    return NULL;
}

sqlite3_stmt *sq_start(struct store_account *a, enum statement q, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    sqlite3_stmt *st = start(a, q, types, ap);
    va_end(ap);
    return st;
}

int sq_step(struct store_account *a, sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    int r = rc == SQLITE_DONE ? 0 : sq_error(a, rc);
    sqlite3_reset(st);
    return r;
}

int sq_run(struct store_account *a, enum statement q, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    sqlite3_stmt *st = start(a, q, types, ap);
    va_end(ap);
    if (!st)
        return -a->err.code;
    int r = sq_step(a, st);
    if (r > 0)
        sqlite3_reset(st);
    return r < 0 ? r : 0;
}

ph_str sq_text(sqlite3_stmt *st, int col)
{
    const char *p = (const char *)sqlite3_column_text(st, col);
    return (ph_str){p, p ? (size_t)sqlite3_column_bytes(st, col) : 0};
}

ph_str sq_blob(sqlite3_stmt *st, int col)
{
    const char *p = sqlite3_column_blob(st, col);
    return (ph_str){p, p ? (size_t)sqlite3_column_bytes(st, col) : 0};
}

/* Has another program written to the file since we looked? */
static int changed_outside(struct store_account *a)
{
    sqlite3_stmt *st = sq_start(a, ST_DATA_VERSION, "");
    int r = st ? sq_step(a, st) : -a->err.code;
    if (r <= 0)
        return r;
    int64_t v = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    if (v == a->data_version)
        return 0;
    a->data_version = v;
    return 1;
}

int sq_enter(struct store_account *a, bool write)
{
    if (a->spoiled) {
        a->err = a->lost;
        return -a->err.code;
    }
    if (a->in_sql)
        return 0;
    int r = sq_run(a, write ? ST_BEGIN_WRITE : ST_BEGIN_READ, "");
    if (r < 0)
        return r;
    a->in_sql = true;
    r = changed_outside(a);
    if (r < 0)
        return r;
    if (r > 0 || a->stale) {
        a->stale = true;
        cache_drop(a);
        recent_drop(a);
        r = sq_load(a);
        if (r < 0)
            return r;
        a->stale = false;
    }
    return 0;
}

static int write_mailbox(struct store_account *a, struct mbox *m)
{
    return sq_run(a, ST_MAILBOX_SET, "iiiiitiiiii", (int64_t)m->id, (int64_t)m->uidnext,
                  (int64_t)m->recent_uid, (int64_t)m->modseq, (int64_t)m->seen_below,
                  ph_str_c(m->keywords), (int64_t)m->messages, (int64_t)m->unseen,
                  (int64_t)m->deleted, (int64_t)m->size, (int64_t)m->seen_exact);
}

int sq_write_back(struct store_account *a)
{
    for (size_t i = 0; i < a->mb_n; i++) {
        struct mbox *m = &a->mb[i];
        int r = m->dirty || m->lazy ? write_mailbox(a, m) : 0;
        if (r < 0)
            return r;
        m->dirty = m->lazy = false;
    }
    for (; a->reads_n > 0; a->reads_n--) {
        int r = sq_run(a, ST_MESSAGE_READ, "ii", (int64_t)a->reads[a->reads_n - 1].mailbox,
                       (int64_t)a->reads[a->reads_n - 1].uid);
        if (r < 0)
            return r;
    }
    if (!a->meta_dirty)
        return 0;
    a->meta_dirty = false;
    return sq_run(a, ST_ACCOUNT_SET, "iiiii", (int64_t)a->uidvalidity, (int64_t)a->mailbox_next,
                  (int64_t)a->email_limit, a->pruned, a->indexed);
}

/* The transaction is in the file: what hung on it may happen. */
static void committed(struct store_account *a)
{
    a->unsynced = true;
    for (size_t i = 0; i < a->dead_now.n; i++)
        if (ids_add(&a->dead, a->dead_now.v[i]) < 0)
            break; /* the file stays until fsck */
    a->dead_now.n = 0;
    if (a->wal && atomic_load(&a->wal->pages) >= CHECKPOINT_MOST)
        sqlite3_wal_checkpoint_v2(a->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static int finish(struct store_account *a, bool commit)
{
    int r = 0;
    bool wrote = a->in_sql && sqlite3_txn_state(a->db, NULL) == SQLITE_TXN_WRITE;
    if (a->in_sql && commit && !a->spoiled) {
        if (wrote)
            r = sq_write_back(a);
        if (r >= 0)
            r = sq_run(a, ST_COMMIT, "");
        if (r >= 0 && wrote)
            committed(a);
    } else if (a->spoiled) {
        a->err = a->lost;
        r = -a->err.code;
    }
    if (r < 0 || (!commit && wrote) || a->spoiled) {
        struct ph_error why = a->err;
        a->stale = true;
        a->dead_now.n = 0;
        if (a->in_sql && !sqlite3_get_autocommit(a->db))
            sq_run(a, ST_ROLLBACK, "");
        a->err = why;
    } else if (!commit && a->in_sql) {
        sq_run(a, ST_ROLLBACK, "");
    }
    a->in_sql = a->txn = a->spoiled = false;
    return r < 0 ? r : 0;
}

int sq_leave(struct store_account *a, int r, struct ph_error *reterr)
{
    if (r < 0 && (ph_error_info(r)->cls == PH_CLASS_SELF || !a->txn || a->partial)) {
        a->spoiled = true;
        a->lost = a->err;
    }
    a->partial = false;
    if (!a->txn) {
        int done = finish(a, true);
        r = done < 0 ? done : r;
    }
    if (r < 0 && reterr)
        *reterr = a->err;
    return r;
}

int sq_txn(struct store_account *a, enum store_txn what, struct ph_error *reterr)
{
    if (what == STORE_BEGIN) {
        a->txn = true;
        return 0;
    }
    int r = finish(a, what == STORE_COMMIT);
    if (r < 0 && what == STORE_ABORT)
        r = 0;
    if (r < 0 && reterr)
        *reterr = a->err;
    return r;
}
