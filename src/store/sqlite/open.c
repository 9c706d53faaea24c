/* open.c - an account's file: opened, made, read into memory; its -wal for syncing. */
#include "grow.h"
#include "schema.sql.h"
#include "sqlite_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_ROOM = 4096 };

static const char settings[] =
    "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
    "PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-1024;"
    "PRAGMA mmap_size=268435456; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF";

int64_t sq_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int ids_add(struct ids *l, uint64_t id)
{
    uint64_t *v = ph_grow(l->v, l->n, &l->cap, sizeof *v);
    if (!v)
        return -PH_ENOMEM;
    l->v = v;
    l->v[l->n++] = id;
    return 0;
}

static int exec(struct store_account *a, const char *sql)
{
    int rc = sqlite3_exec(a->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : sq_error(a, rc);
}

static int sync_folder(struct store_account *a, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r =
        fd < 0 || fsync(fd) < 0 ? sq_fail(a, PH_EIO, errno, "%s: %s", path, strerror(errno)) : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

static int make_folder(struct store_account *a, const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return sq_fail(a, errno == ENOSPC || errno == EDQUOT ? PH_EFULL : PH_EIO, errno, "%s: %s", path,
                   strerror(errno));
}

/* The schema and the default mailboxes, durable as a whole before anyone hears of the account. */
static int make(struct store_account *a)
{
    int64_t now = sq_now();
    int r = exec(a, "PRAGMA synchronous=FULL; BEGIN IMMEDIATE");
    if (r >= 0)
        r = exec(a, SCHEMA_SQL);
    a->uidvalidity = (uint64_t)(now / 1000000) & 0x7fffffff;
    a->mailbox_next = a->email_next = a->email_limit = 1;
    mbox_clear(a);
    for (const struct store_default *d = store_defaults; r >= 0 && d->name; d++) {
        struct mbox *m;
        r = mbox_make(a, ph_str_c(d->name), ph_str_c(d->special), true, &m);
    }
    if (r >= 0)
        r = sq_run(a, ST_ACCOUNT_ADD, "iiiiii", (int64_t)SCHEMA_VERSION, now,
                   (int64_t)a->uidvalidity, (int64_t)a->mailbox_next, (int64_t)a->email_limit, now);
    if (r >= 0)
        r = exec(a, "COMMIT; PRAGMA synchronous=NORMAL");
    if (r < 0) {
        if (!sqlite3_get_autocommit(a->db))
            sqlite3_exec(a->db, "ROLLBACK", NULL, NULL, NULL);
        return r;
    }
    a->meta_dirty = false;
    r = sync_folder(a, a->dir);
    return r < 0 ? r : sync_folder(a, a->s->root);
}

static int one_number(struct store_account *a, const char *sql, int64_t *ret)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(a->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    int r = rc == SQLITE_ROW ? 0 : sq_error(a, rc);
    if (r == 0)
        *ret = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return r;
}

static int on_commit(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct store_account *a = ctx;
    (void)db, (void)name;
    if (a->wal)
        atomic_store(&a->wal->pages, pages);
    return SQLITE_OK;
}

/* Bodies that were being written when the process ended. */
static void remove_unfinished(struct store_account *a)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/blobs", a->dir);
    DIR *d = opendir(path);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        char *end;
        uint64_t id = strtoull(e->d_name, &end, 16);
        if (end != e->d_name && (!strcmp(end, ".new") || (!*end && id >= a->email_next)))
            unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
}

static int open_file(struct store_account *a, bool create)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/mail.sqlite", a->dir);
    if (!create && access(path, F_OK) < 0 && errno == ENOENT)
        return sq_fail(a, PH_ENOENT, 0, "%s: no such account", a->dir);
    if (create) {
        char blobs[PATH_ROOM];
        snprintf(blobs, sizeof blobs, "%s/blobs", a->dir);
        int r = make_folder(a, a->dir);
        if (r >= 0)
            r = make_folder(a, blobs);
        if (r < 0)
            return r;
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    int rc = sqlite3_open_v2(path, &a->db, create ? flags | SQLITE_OPEN_CREATE : flags, a->s->vfs);
    if (rc != SQLITE_OK)
        return sq_error(a, rc);
    sqlite3_extended_result_codes(a->db, 1);
    sqlite3_busy_timeout(a->db, BUSY_MS);
    sqlite3_db_config(a->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    int r = exec(a, settings);
    sqlite3_wal_hook(a->db, on_commit, a); /* behind wal_autocheckpoint, which unsets it */
    return r;
}

static int unknown_version(struct store_account *a, int64_t version)
{
    return sq_fail(a, PH_ECORRUPT, 0,
                   "%s/mail.sqlite: schema version %lld, this program knows 1 to %d; it needs the "
                   "Posthouse that made it, or a newer one",
                   a->dir, (long long)version, SCHEMA_VERSION);
}

/* From an older schema to ours, in one transaction that is on disk before the account is used. */
static int upgrade(struct store_account *a)
{
    static const char *const upgrades[SCHEMA_VERSION] = {SCHEMA_UPGRADES};
    int64_t version = 0;
    char set[64];
    int r = one_number(a, "SELECT version FROM account", &version);
    if (r < 0 || version == SCHEMA_VERSION)
        return r;
    r = exec(a, "PRAGMA synchronous=FULL; BEGIN IMMEDIATE");
    if (r >= 0) /* another program may have been faster */
        r = one_number(a, "SELECT version FROM account", &version);
    if (r >= 0 && (version < 1 || version > SCHEMA_VERSION))
        r = unknown_version(a, version);
    for (int64_t v = version; r >= 0 && v < SCHEMA_VERSION; v++)
        r = exec(a, upgrades[v]);
    snprintf(set, sizeof set, "UPDATE account SET version=%d", SCHEMA_VERSION);
    if (r >= 0)
        r = exec(a, set);
    if (r >= 0)
        return exec(a, "COMMIT; PRAGMA synchronous=NORMAL");
    if (!sqlite3_get_autocommit(a->db))
        sqlite3_exec(a->db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

int sq_open_db(struct store_account *a, bool create)
{
    int64_t tables = 0, rows = 0;
    int r = open_file(a, create);
    if (r >= 0)
        r = one_number(a, "SELECT count(*) FROM sqlite_schema WHERE name='account'", &tables);
    if (r >= 0 && tables)
        r = one_number(a, "SELECT count(*) FROM account", &rows);
    if (r >= 0 && !rows && !create)
        r = sq_fail(a, PH_ENOENT, 0, "%s: no such account", a->dir);
    if (r >= 0 && tables && !rows)
        r = sq_fail(a, PH_ECORRUPT, 0, "%s/mail.sqlite: the account row is missing", a->dir);
    if (r >= 0 && !tables)
        r = a->id ? make(a) : sq_fail(a, PH_EINVAL, 0, "an account needs an id");
    if (r >= 0 && a->id == 0) {
        int64_t id = 0;
        r = one_number(a, "SELECT account FROM account", &id);
        a->id = (uint64_t)id;
    }
    if (r >= 0)
        r = upgrade(a);
    a->stale = true;
    if (r >= 0)
        r = sq_enter(a, false);
    if (r >= 0 && tables && create)
        remove_unfinished(a);
    if (r >= 0)
        r = sq_leave(a, 0, NULL);
    return r;
}

static int load_account(struct store_account *a)
{
    sqlite3_stmt *st = sq_start(a, ST_ACCOUNT_GET, "");
    int r = st ? sq_step(a, st) : -a->err.code;
    if (r < 0)
        return r;
    if (r == 0)
        return sq_fail(a, PH_EDENIED, 0, "%s: belongs to another account than %llu", a->dir,
                       (unsigned long long)a->id);
    int64_t version = sqlite3_column_int64(st, 0);
    a->uidvalidity = (uint64_t)sqlite3_column_int64(st, 1);
    a->mailbox_next = (uint64_t)sqlite3_column_int64(st, 2);
    a->email_next = a->email_limit = (uint64_t)sqlite3_column_int64(st, 3);
    a->pruned = sqlite3_column_int64(st, 4);
    a->indexed = sqlite3_column_int64(st, 5);
    a->uidls = sqlite3_column_int(st, 6) != 0;
    sqlite3_reset(st);
    a->meta_dirty = false;
    return version == SCHEMA_VERSION ? 0 : unknown_version(a, version);
}

static int load_mailbox(struct store_account *a, sqlite3_stmt *st)
{
    struct mbox m = {
        .id = (uint64_t)sqlite3_column_int64(st, 0),
        .name = (char *)(uintptr_t)sqlite3_column_text(st, 1),
        .name_n = (size_t)sqlite3_column_bytes(st, 1),
        .state = sqlite3_column_int(st, 2),
        .special = (char *)(uintptr_t)sqlite3_column_text(st, 3),
        .subscribed = sqlite3_column_int(st, 4) != 0,
        .uidvalidity = (uint32_t)sqlite3_column_int64(st, 5),
        .uidnext = (uint32_t)sqlite3_column_int64(st, 6),
        .recent_uid = (uint32_t)sqlite3_column_int64(st, 7),
        .modseq = (uint64_t)sqlite3_column_int64(st, 8),
        .seen_below = (uint32_t)sqlite3_column_int64(st, 9),
        .keywords = (char *)(uintptr_t)sqlite3_column_text(st, 10),
        .messages = (uint32_t)sqlite3_column_int64(st, 11),
        .unseen = (uint32_t)sqlite3_column_int64(st, 12),
        .deleted = (uint32_t)sqlite3_column_int64(st, 13),
        .size = (uint64_t)sqlite3_column_int64(st, 14),
        .seen_exact = sqlite3_column_int(st, 15) != 0,
    };
    if (!m.name || !m.special || !m.keywords)
        return sq_fail(a, PH_ENOMEM, 0, "out of memory");
    struct mbox *in;
    return mbox_insert(a, &m, &in);
}

int sq_load(struct store_account *a)
{
    mbox_clear(a);
    int r = load_account(a);
    if (r < 0)
        return r;
    sqlite3_stmt *st = sq_start(a, ST_MAILBOX_ALL, "");
    r = st ? sq_step(a, st) : -a->err.code;
    while (r > 0) {
        r = load_mailbox(a, st);
        if (r < 0)
            sqlite3_reset(st);
        else
            r = sq_step(a, st);
    }
    return r;
}

static int flush_data(int fd)
{
    return fdatasync(fd);
}

int sq_wal(struct store_account *a)
{
    if (a->wal)
        return 0;
    char path[PATH_ROOM];
    size_t n = strlen(a->dir) + 1;
    snprintf(path, sizeof path, "%s/mail.sqlite-wal", a->dir);
    struct wal *w = calloc(1, sizeof *w + n);
    if (!w)
        return -PH_ENOMEM;
    w->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (w->fd < 0) {
        free(w);
        return -PH_EIO;
    }
    atomic_init(&w->refs, 1);
    w->flush = a->s->flush ? a->s->flush : flush_data;
    w->vfs = a->s->vfs;
    memcpy(w->dir, a->dir, n);
    a->wal = w;
    return 0;
}

/* Closes the -wal only: the locks of POSIX live on mail.sqlite and -shm, which this never opens. */
struct wal *wal_unref(struct wal *w)
{
    if (w && atomic_fetch_sub(&w->refs, 1) == 1) {
        close(w->fd);
        free(w);
    }
    return NULL;
}
