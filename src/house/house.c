/*
 * Opening house.sqlite, its schema and versions, transactions, statements, and how failures of
 * SQLite are told.
 */
#include "house_int.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    HOUSE_APPLICATION = 0x50486873
}; /* "PhHs", told apart from other databases by PRAGMA application_id */

/* One step a version: schema[0] leads from an empty file to version 1. */
static const char *const schema[PH_HOUSE_VERSION] = {
    "CREATE TABLE domain("
    "  name TEXT PRIMARY KEY,"
    "  created INTEGER NOT NULL) WITHOUT ROWID;"
    /* AUTOINCREMENT: the id of a removed account must not come back, mail folders carry it. */
    "CREATE TABLE account("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  address TEXT NOT NULL UNIQUE,"
    "  domain TEXT NOT NULL REFERENCES domain(name),"
    "  folder TEXT NOT NULL UNIQUE,"
    "  hash TEXT NOT NULL,"
    "  disabled INTEGER NOT NULL DEFAULT 0,"
    "  created INTEGER NOT NULL);"
    "CREATE INDEX account_domain ON account(domain);"
    "CREATE TABLE alias("
    "  address TEXT NOT NULL,"
    "  domain TEXT NOT NULL REFERENCES domain(name),"
    "  target TEXT NOT NULL,"
    "  PRIMARY KEY(address, target)) WITHOUT ROWID;"
    "CREATE INDEX alias_domain ON alias(domain);"
    /* seq: in the order of removal, so that keeper sees what is new. */
    "CREATE TABLE removed("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id INTEGER NOT NULL UNIQUE,"
    "  folder TEXT NOT NULL UNIQUE,"
    "  erase INTEGER NOT NULL,"
    "  time INTEGER NOT NULL);",
    /* seq: so that keeper sees what is new. */
    "CREATE TABLE quota("
    "  account INTEGER PRIMARY KEY,"
    "  bytes INTEGER NOT NULL,"
    "  messages INTEGER NOT NULL,"
    "  seq INTEGER NOT NULL UNIQUE);",
    "ALTER TABLE account ADD COLUMN scram1 TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE account ADD COLUMN scram256 TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE app_password("
    "  account INTEGER NOT NULL REFERENCES account(id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL,"
    "  digest BLOB NOT NULL,"
    "  scope INTEGER NOT NULL,"
    "  created INTEGER NOT NULL,"
    "  expires INTEGER NOT NULL,"
    "  used INTEGER NOT NULL,"
    "  PRIMARY KEY(account, name)) WITHOUT ROWID;"
    /* What the salts of those who do not exist are made from. */
    "CREATE TABLE seed(value BLOB NOT NULL);"
    "INSERT INTO seed VALUES(randomblob(32));"
    "CREATE UNIQUE INDEX app_password_digest ON app_password(account, digest);",
    "ALTER TABLE app_password ADD COLUMN secret TEXT NOT NULL DEFAULT '';",
};

static const char *const statements[ST_COUNT] = {
#define SQL(name, sql) sql,
    PH_HOUSE_STATEMENTS(SQL)
#undef SQL
};

/* What SQLite's primary result codes mean here, and what a person can do. */
static const struct {
    int rc, code;
    const char *what;
} failures[] = {
    {SQLITE_NOTADB, PH_ECORRUPT, "is not a database; move it away, or put a backup in its place"},
    {SQLITE_CORRUPT, PH_ECORRUPT,
     "is damaged; save what can be read with `sqlite3 FILE .recover`, or put a backup in its "
     "place"},
    {SQLITE_FULL, PH_EFULL, "can not be written: the disk is full"},
    {SQLITE_READONLY, PH_EDENIED,
     "can not be written; check the owner and the mode of the file and its folder"},
    {SQLITE_PERM, PH_EDENIED,
     "may not be opened; check the owner and the mode of the file and its folder"},
    {SQLITE_AUTH, PH_EDENIED,
     "may not be opened; check the owner and the mode of the file and its folder"},
    {SQLITE_CANTOPEN, PH_EIO, "can not be opened; check that its folder exists and may be written"},
    {SQLITE_BUSY, PH_EAGAIN, "is locked by another program; try again"},
    {SQLITE_LOCKED, PH_EAGAIN, "is locked by another program; try again"},
    {SQLITE_NOMEM, PH_ENOMEM, "can not be read: out of memory"},
    {SQLITE_CONSTRAINT, PH_EEXIST, "has such an entry already"},
    {SQLITE_SCHEMA, PH_ECORRUPT, "does not have the tables that it should have"},
    {SQLITE_ERROR, PH_ECORRUPT, "does not have the tables that it should have"},
};

int ph__house_fail(struct ph_house *h, int rc, struct ph_error *reterr)
{
    int sys = h->db ? sqlite3_system_errno(h->db) : 0;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (failures[i].rc == (rc & 0xff))
            return ph_fail(reterr, failures[i].code, sys, "%s %s", h->path, failures[i].what);
    return ph_fail(reterr, PH_EIO, sys, "%s: %s", h->path, sqlite3_errstr(rc));
}

int ph_house_exit_code(const struct ph_error *e)
{
    static const struct {
        int code, exit;
    } exits[] = {{PH_ECORRUPT, 65}, {PH_ENOENT, 66}, {PH_EFULL, 73},   {PH_EIO, 74},
                 {PH_EAGAIN, 75},   {PH_ENOMEM, 75}, {PH_EDENIED, 77}, {PH_EINVAL, 78},
                 {PH_EEXIST, 65},   {PH_EINUSE, 65}};
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        if (exits[i].code == e->code)
            return exits[i].exit;
    return 70;
}

int64_t ph__house_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

/* ---- statements -------------------------------------------------------------------------- */

sqlite3_stmt *ph__house_use(struct ph_house *h, enum statement which, struct ph_error *reterr)
{
    sqlite3_stmt **st = &h->st[which];
    if (*st) {
        sqlite3_reset(*st);
        return *st;
    }
    int rc = sqlite3_prepare_v3(h->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
    if (rc != SQLITE_OK)
        ph__house_fail(h, rc, reterr);
    return *st;
}

void ph__house_bind(sqlite3_stmt *st, int column, ph_str text)
{
    sqlite3_bind_text64(st, column, text.n ? text.p : "", text.n, SQLITE_STATIC, SQLITE_UTF8);
}

ph_str ph__house_text(sqlite3_stmt *st, int column)
{
    const char *p = (const char *)sqlite3_column_text(st, column);
    return (ph_str){p, p ? (size_t)sqlite3_column_bytes(st, column) : 0};
}

int ph__house_step(struct ph_house *h, sqlite3_stmt *st, struct ph_error *reterr)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : ph__house_fail(h, rc, reterr);
}

int ph__house_run(struct ph_house *h, sqlite3_stmt *st, struct ph_error *reterr)
{
    int r = ph__house_step(h, st, reterr);
    return r < 0 ? r : sqlite3_changes(h->db);
}

static int run_named(struct ph_house *h, enum statement which, struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, which, reterr);
    if (!st)
        return -PH_EIO;
    int r = ph__house_step(h, st, reterr);
    return r < 0 ? r : 0;
}

int ph_house_begin(struct ph_house *h, struct ph_error *reterr)
{
    return run_named(h, ST_BEGIN, reterr);
}

int ph_house_commit(struct ph_house *h, struct ph_error *reterr)
{
    int r = run_named(h, ST_COMMIT, reterr);
    if (r < 0)
        ph_house_abort(h);
    return r;
}

void ph_house_abort(struct ph_house *h)
{
    if (!sqlite3_get_autocommit(h->db))
        (void)run_named(h, ST_ROLLBACK, NULL);
}

int ph_house_changed(struct ph_house *h, struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, ST_DATA_VERSION, reterr);
    if (!st)
        return -PH_EIO;
    int r = ph__house_step(h, st, reterr);
    if (r < 0)
        return r;
    int64_t now = r > 0 ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    bool changed = now != h->data_version;
    h->data_version = now;
    return changed;
}

/* ---- opening ----------------------------------------------------------------------------- */

static int exec(struct ph_house *h, const char *sql, struct ph_error *reterr)
{
    int rc = sqlite3_exec(h->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : ph__house_fail(h, rc, reterr);
}

static int pragma_int(struct ph_house *h, const char *sql, int64_t *ret_value,
                      struct ph_error *reterr)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(h->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
        if (rc == SQLITE_ROW)
            *ret_value = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : ph__house_fail(h, rc, reterr);
}

/* From the version found to ours, in the transaction that is open. */
static int bring_up_to_date(struct ph_house *h, struct ph_error *reterr)
{
    int64_t version = 0, application = 0, tables = 0;
    int r = pragma_int(h, "PRAGMA user_version", &version, reterr);
    if (r >= 0)
        r = pragma_int(h, "PRAGMA application_id", &application, reterr);
    if (r >= 0)
        r = pragma_int(h, "SELECT count(*) FROM sqlite_schema", &tables, reterr);
    if (r < 0)
        return r;
    if (application != HOUSE_APPLICATION && (application || version || tables))
        return ph_fail(reterr, PH_ECORRUPT, 0,
                       "%s is the database of another program; move it away", h->path);
    if (version > PH_HOUSE_VERSION || version < 0)
        return ph_fail(reterr, PH_EINVAL, 0,
                       "%s was written by a newer Posthouse (version %d of its tables, this "
                       "program knows %d); "
                       "start that one",
                       h->path, (int)version, PH_HOUSE_VERSION);
    for (int64_t v = version; v < PH_HOUSE_VERSION; v++)
        if ((r = exec(h, schema[v], reterr)) < 0)
            return r;
    if (version == PH_HOUSE_VERSION)
        return 0;
    char stamp[96];
    snprintf(stamp, sizeof stamp, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             HOUSE_APPLICATION, PH_HOUSE_VERSION);
    return exec(h, stamp, reterr);
}

static int check_schema(struct ph_house *h, struct ph_error *reterr)
{
    int64_t version = 0, application = 0;
    int r = pragma_int(h, "PRAGMA user_version", &version, reterr);
    if (r >= 0)
        r = pragma_int(h, "PRAGMA application_id", &application, reterr);
    if (r < 0)
        return r;
    if (version == PH_HOUSE_VERSION && application == HOUSE_APPLICATION)
        return 0;
    if ((r = ph_house_begin(h, reterr)) < 0)
        return r;
    r = bring_up_to_date(h, reterr);
    if (r >= 0)
        return ph_house_commit(h, reterr);
    ph_house_abort(h);
    return r;
}

/* An administrator who is root must not leave a file that the server's user can not open. SQLite
 * gives the -wal and -shm files the owner of the database by itself. */
static void give_to_folder_owner(const char *path)
{
    struct stat folder, file;
    if (geteuid() != 0 || lstat(path, &file) < 0 || !S_ISREG(file.st_mode) || file.st_nlink != 1)
        return; /* not the file that was just made: the folder's owner has put another there */
    char *copy = strdup(path);
    if (copy && stat(dirname(copy), &folder) == 0 &&
        (folder.st_uid != file.st_uid || folder.st_gid != file.st_gid)) {
        if (lchown(path, folder.st_uid, folder.st_gid) < 0)
            (void)errno; /* then opening as that user says what is wrong */
    }
    free(copy);
}

/* Hashes are nobody else's business, whatever the umask. */
static int open_database(struct ph_house *h, bool create, struct ph_error *reterr)
{
    bool exists = access(h->path, F_OK) == 0;
    if (!exists && !create)
        return ph_fail(reterr, PH_ENOENT, errno,
                       "%s does not exist; `posthouse account add` makes it", h->path);
    struct stat st;
    if (lstat(h->path, &st) == 0 &&
        !S_ISREG(st.st_mode)) /* root would follow where its owner leads */
        return ph_fail(reterr, PH_EDENIED, 0, "%s is not a plain file; move it away", h->path);
    mode_t mask = umask(077);
    int rc = sqlite3_open_v2(
        h->path, &h->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0), NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(h->db, PH_HOUSE_BUSY_MS);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(h->db, "PRAGMA schema_version", NULL, NULL,
                          NULL); /* creates and reads the file */
    if (rc == SQLITE_OK && !exists)
        give_to_folder_owner(h->path);
    umask(mask);
    if (rc != SQLITE_OK)
        return ph__house_fail(h, rc, reterr);
    return exec(
        h,
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
        "PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY",
        reterr);
}

int ph_house_open(const char *path, bool create, struct ph_house **ret_house,
                  struct ph_error *reterr)
{
    struct ph_house *h = calloc(1, sizeof *h);
    if (h)
        h->path = strdup(path);
    if (!h || !h->path) {
        free(h);
        return ph_fail(reterr, PH_ENOMEM, 0, "%s: out of memory", path);
    }
    int r = open_database(h, create, reterr);
    if (r >= 0)
        r = check_schema(h, reterr);
    if (r < 0) {
        ph_house_close(h);
        return r;
    }
    *ret_house = h;
    return 0;
}

struct ph_house *ph_house_close(struct ph_house *h)
{
    if (h) {
        for (size_t i = 0; i < ST_COUNT; i++)
            sqlite3_finalize(h->st[i]);
        sqlite3_close(h->db);
        free(h->path);
        free(h);
    }
    return NULL;
}
