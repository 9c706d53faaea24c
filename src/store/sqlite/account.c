/* account.c - the store: which accounts are open, syncing, idle work, the operations table. */
#include "sqlite_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 4096, PLAIN_MAX = 4 * 1024 * 1024 };
static const int64_t KEY_AGE = (int64_t)45 * 86400 * 1000000,
                     PRUNE_EVERY = (int64_t)86400 * 1000000;

static struct store *store_free(struct store *s);

static int store_new(const struct store_options *opt, struct store **ret_store,
                     struct ph_error *reterr)
{
    struct stat sb;
    if (stat(opt->root, &sb) < 0)
        return ph_fail(reterr, PH_ENOENT, errno, "%s: %s", opt->root, strerror(errno));
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* else a lock for each allocation */
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    s->root = strdup(opt->root);
    s->vfs = opt->vfs ? strdup(opt->vfs) : NULL;
    s->max_open = opt->max_open ? opt->max_open : OPEN_DEFAULT;
    s->max_message = opt->max_message ? opt->max_message : (uint64_t)1 << 30;
    s->flush = opt->flush;
    s->limits = opt->limits;
    s->ctx = opt->ctx;
    s->no_index = opt->no_index;
    s->trash_us = opt->trash_us;
    s->junk_us = opt->junk_us;
    s->zc = ZSTD_createCCtx();
    s->zd = ZSTD_createDCtx();
    ph_buf_init(&s->packed, NULL, ZSTD_COMPRESSBOUND(4 * STORE_INLINE_MAX));
    ph_buf_init(&s->plain, NULL, PLAIN_MAX);
    if (!s->root || (opt->vfs && !s->vfs) || !s->zc || !s->zd) {
        store_free(s);
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    }
    ZSTD_CCtx_setParameter(s->zc, ZSTD_c_compressionLevel, 1);
    *ret_store = s;
    return 0;
}

static void unlink_lru(struct store_account *a)
{
    struct store *s = a->s;
    *(a->newer ? &a->newer->older : &s->newest) = a->older;
    *(a->older ? &a->older->newer : &s->oldest) = a->newer;
    a->newer = a->older = NULL;
}

static void link_newest(struct store_account *a)
{
    struct store *s = a->s;
    a->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = a;
    s->newest = a;
}

static void close_db(struct store_account *a)
{
    for (int i = 0; i < ST_COUNT; i++)
        sqlite3_finalize(a->st[i]);
    memset(a->st, 0, sizeof a->st);
    sqlite3_close(a->db);
    a->db = NULL;
}

static void free_account(struct store_account *a)
{
    close_db(a);
    wal_unref(a->wal);
    mbox_clear(a);
    cache_drop(a);
    recent_drop(a);
    free(a->mb);
    free(a->dead.v);
    free(a->dead_now.v);
    ph_buf_done(&a->keywords);
    free(a->dir);
    free(a);
}

/* Writes what is lazy, so that it survives. */
static void settle(struct store_account *a)
{
    bool lazy = a->reads_n > 0;
    for (size_t i = 0; i < a->mb_n && !lazy; i++)
        lazy = a->mb[i].lazy;
    if (!lazy || !a->db || a->in_sql || a->stale || sq_enter(a, true) < 0)
        return;
    int r = a->stale ? 0 : sq_write_back(a);
    sq_leave(a, r, NULL);
}

static void forget(struct store_account *a)
{
    struct store_account **p = &a->s->hash[a->id % HASH];
    while (*p != a)
        p = &(*p)->hash_next;
    *p = a->hash_next;
    unlink_lru(a);
    a->s->open_n--;
    if (a->in_sql)
        sq_txn(a, STORE_ABORT, NULL);
    free_account(a);
}

/* keep_wal: the last connection leaves the -wal where it is instead of moving it (which flushes).
 * What was unlinked lazily without a sync stays for fsck. */
static void shut(struct store_account *a, bool keep_wal)
{
    if (!a->in_sql)
        settle(a);
    sqlite3_db_config(a->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep_wal, NULL);
    forget(a);
}

static struct store *store_free(struct store *s)
{
    while (s && s->oldest)
        shut(s->oldest, false);
    if (!s)
        return NULL;
    ZSTD_freeCCtx(s->zc);
    ZSTD_freeDCtx(s->zd);
    ph_buf_done(&s->packed);
    ph_buf_done(&s->plain);
    free(s->root);
    free(s->vfs);
    free(s);
    return NULL;
}

static struct store_account *lookup(struct store *s, uint64_t id)
{
    struct store_account *a = s->hash[id % HASH];
    while (a && a->id != id)
        a = a->hash_next;
    return a;
}

static struct store_account *new_account(struct store *s, uint64_t id, ph_str folder)
{
    struct store_account *a = calloc(1, sizeof *a);
    size_t n = strlen(s->root) + folder.n + 2;
    if (!a || !(a->dir = malloc(n))) {
        free(a);
        return NULL;
    }
    snprintf(a->dir, n, "%s/%.*s", s->root, PH_FMT(folder));
    a->s = s;
    a->id = id;
    ph_buf_init(&a->keywords, NULL, 2 * STORE_MAILBOX_KEYWORDS_MAX);
    return a;
}

static int open_new(struct store *s, uint64_t id, ph_str folder, bool create,
                    struct store_account **ret, struct ph_error *reterr)
{
    if (!store_folder_ok(folder))
        return ph_fail(reterr, PH_EINVAL, 0, "not a folder name: %.*s", PH_FMT(folder));
    struct store_account *a = new_account(s, id, folder);
    if (!a)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    int r = sq_open_db(a, create);
    if (r < 0) {
        if (reterr)
            *reterr = a->err;
        free_account(a);
        return r;
    }
    a->hash_next = s->hash[a->id % HASH];
    s->hash[a->id % HASH] = a;
    link_newest(a);
    s->open_n++;
    *ret = a;
    return 0;
}

/* After a flush failed: everything committed is written to mail.sqlite and flushed there, or the
 * account stays failed (perhaps without a connection) and the next call tries again. */
static int recover(struct store_account *a)
{
    close_db(a);
    a->in_sql = a->txn = a->spoiled = false;
    int r = sq_open_db(a, false), log = 0, done = 0;
    if (r < 0)
        return r;
    int rc = sqlite3_exec(a->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_wal_checkpoint_v2(a->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &log, &done);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(a->db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return sq_error(a, rc);
    a->wal = wal_unref(a->wal);
    return 0;
}

/* Nothing hangs on its being open: no transaction, no commit that is not on disk. */
static bool may_close(const struct store_account *a)
{
    return !a->txn && !a->unsynced &&
           !(a->wal && (atomic_load(&a->wal->running) || atomic_load(&a->wal->failed)));
}

/* Accounts that wait for the disk may go above max_open, until the next sync round. */
static void make_room(struct store *s)
{
    struct store_account *a = s->open_n >= s->max_open ? s->oldest : NULL;
    while (a && !may_close(a))
        a = a->newer;
    if (a)
        shut(a, true);
}

static int erase(struct store *s, uint64_t id, ph_str folder, struct ph_error *reterr);

static int store_account(struct store *s, uint64_t id, ph_str folder, enum store_open how,
                         struct store_account **ret, struct ph_error *reterr)
{
    if (how == STORE_ERASE)
        return erase(s, id, folder, reterr);
    struct store_account *a = id ? lookup(s, id) : NULL;
    int r = 0;
    if (!a) {
        make_room(s);
        r = open_new(s, id, folder, how == STORE_OPEN_CREATE, &a, reterr);
        if (r < 0)
            return r;
    } else {
        unlink_lru(a);
        link_newest(a);
    }
    if (a->wal && atomic_load(&a->wal->failed) && !a->txn)
        r = recover(a);
    if (r < 0) {
        if (reterr)
            *reterr = a->err;
        return r;
    }
    a->used = sq_now();
    *ret = a;
    return 0;
}

static void remove_files(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

static int erase(struct store *s, uint64_t id, ph_str folder, struct ph_error *reterr)
{
    struct store_account *a = lookup(s, id);
    if (a)
        shut(a, true);
    if (!store_folder_ok(folder))
        return ph_fail(reterr, PH_EINVAL, 0, "not a folder name: %.*s", PH_FMT(folder));
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%.*s/blobs", s->root, PH_FMT(folder));
    remove_files(path);
    rmdir(path);
    *strrchr(path, '/') = 0;
    remove_files(path);
    if (rmdir(path) < 0 && errno != ENOENT)
        return ph_fail(reterr, PH_EIO, errno, "%s: %s", path, strerror(errno));
    return 0;
}

static int store_mark(struct store_account *a, struct store_sync **ret)
{
    bool under_way = a->wal && atomic_load(&a->wal->running) > 0;
    if (!a->unsynced && !under_way)
        return 0;
    int r = sq_wal(a);
    if (r < 0)
        return r;
    struct store_sync *y = calloc(1, sizeof *y);
    if (!y)
        return -PH_ENOMEM;
    y->wal = a->wal;
    atomic_fetch_add(&a->wal->refs, 1);
    atomic_fetch_add(&a->wal->running, 1);
    y->dead = a->dead.v;
    y->dead_n = a->dead.n;
    a->dead = (struct ids){0};
    a->unsynced = false;
    *ret = y;
    return 1;
}

/* Moves the -wal into mail.sqlite on a connection of its own, so that the account's thread need not
 * wait. */
static void checkpoint_beside(struct wal *w)
{
    char path[PATH_ROOM];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/mail.sqlite", w->dir);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    if (sqlite3_open_v2(path, &db, flags, w->vfs) == SQLITE_OK) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_exec(db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
        sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
    sqlite3_close(db);
}

static int store_sync(struct store_sync *y, bool flush)
{
    struct wal *w = y->wal;
    int r = 0;
    if (flush && (atomic_load(&w->failed) || w->flush(w->fd) < 0)) {
        r = errno == ENOSPC ? -PH_EFULL : -PH_EIO;
        atomic_store(&w->failed, 1);
    }
    for (size_t i = 0; flush && r == 0 && i < y->dead_n; i++) {
        char path[PATH_ROOM];
        body_path(w->dir, y->dead[i], "", path, sizeof path);
        unlink(path);
    }
    if (flush && r == 0 && atomic_load(&w->pages) >= CHECKPOINT_SYNC &&
        atomic_load(&w->running) == 1) {
        atomic_store(&w->pages, 0);
        checkpoint_beside(w);
    }
    atomic_fetch_sub(&w->running, 1);
    wal_unref(w);
    free(y->dead);
    free(y);
    return r;
}

/* What has been in Trash and Junk for too long. */
static int expire(struct store_account *a, int64_t now)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < a->mb_n; i++) {
        struct mbox *m = &a->mb[i];
        int64_t keep = ph_str_ieq(ph_str_c(m->special), PH_STR("\\Trash"))  ? a->s->trash_us
                       : ph_str_ieq(ph_str_c(m->special), PH_STR("\\Junk")) ? a->s->junk_us
                                                                            : 0;
        if (keep > 0 && m->state == MBOX_LIVE && m->messages > 0)
            r = sq_expire(a, m, now - keep);
    }
    return r;
}

/* Once a day: delivery keys and threads that nobody needs any more, and letters that have
 * expired. */
static void prune(struct store_account *a, int64_t now)
{
    if (now - a->pruned < PRUNE_EVERY || sq_enter(a, true) < 0)
        return;
    int r = sq_run(a, ST_DELIVERED_PRUNE, "i", now - KEY_AGE);
    if (r >= 0)
        r = sq_run(a, ST_THREAD_PRUNE, "");
    if (r >= 0)
        r = expire(a, now);
    a->pruned = now;
    a->meta_dirty = true;
    sq_leave(a, r, NULL);
}

static int store_tend(struct store *s, int64_t now_us, int64_t idle_us)
{
    struct store_account *a = s->oldest;
    if (a && now_us - a->used >= idle_us && may_close(a)) {
        prune(a, now_us);
        shut(a, false);
        return s->oldest != NULL;
    }
    for (; a; a = a->newer) {
        if (a->txn || !a->db)
            continue;
        settle(a);
        prune(a, now_us);
        if (index_clean(a) > 0)
            return 1;
        if (a->wal && atomic_load(&a->wal->pages) >= CHECKPOINT_PAGES) {
            atomic_store(&a->wal->pages, 0);
            sqlite3_wal_checkpoint_v2(a->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
            return 1;
        }
    }
    return 0;
}

const struct store_ops store_sqlite = {
    .name = "sqlite",
    .new = store_new,
    .free = store_free,
    .account = store_account,
    .tend = store_tend,
    .txn = sq_txn,
    .mark = store_mark,
    .sync = store_sync,
    .mailboxes = sq_mailboxes,
    .change = sq_change,
    .select = sq_select,
    .put = sq_put,
    .list = sq_list,
    .body = sq_body,
    .flags = sq_flags,
    .copy = sq_copy,
    .expunge = sq_expunge,
    .changes = sq_changes,
    .search = sq_search,
    .index = sq_index,
    .check = sq_check,
};
