/*
 * posthouse backup, posthouse restore.
 *
 * A backup is a data folder: databases copied by SQLite while they are in use, each as it was at
 * one instant, and the files beside them. The queue is copied before the mail: a letter on its way
 * between the two is then in both, and is delivered once, because an account remembers what was
 * delivered to it.
 */
#include "carry.h"
#include "file.h"
#include "house_verbs.h"
#include "mail.h"

#include <posthouse/mime.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { PATH_MOST = 4096, ROUNDS = 20, PIECE = 1 << 20 };

struct job {
    struct ph_error e;
    uint64_t accounts, files, bytes;
};

static int io(struct job *j, const char *path)
{
    return ph_fail(&j->e, ph_sys_code(errno), errno, "%s: %s", path, strerror(errno));
}

static int join(struct job *j, char out[PATH_MOST], const char *a, const char *b)
{
    if (snprintf(out, PATH_MOST, "%s/%s", a, b) < PATH_MOST)
        return 0;
    return ph_fail(&j->e, PH_EINVAL, 0, "%s: the name is too long", a);
}

static int copy_file(struct job *j, const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r = 0;
    if (in < 0)
        return io(j, from);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ssize_t n = out < 0 ? -1 : 1;
    while (n > 0) {
        n = copy_file_range(in, NULL, out, NULL, PIECE, 0);
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS)) {
            char piece[65536];
            n = read(in, piece, sizeof piece);
            if (n > 0 && write(out, piece, (size_t)n) != n)
                n = -1;
        }
        j->bytes += n > 0 ? (uint64_t)n : 0;
    }
    if (n < 0)
        r = io(j, to);
    close(in);
    if (out >= 0 && close(out) < 0 && r == 0)
        r = io(j, to);
    j->files++;
    return r;
}

/* One database, as it is at one instant. */
static int copy_database(struct job *j, const char *from, const char *to)
{
    sqlite3 *in = NULL, *out = NULL;
    int rc = sqlite3_open_v2(from, &in, SQLITE_OPEN_READWRITE, NULL);
    sqlite3_busy_timeout(in, 60000);
    if (rc == SQLITE_OK)
        sqlite3_db_config(in, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_open_v2(to, &out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    sqlite3_backup *b = rc == SQLITE_OK ? sqlite3_backup_init(out, "main", in, "main") : NULL;
    if (b) {
        sqlite3_backup_step(b, -1);
        rc = sqlite3_backup_finish(b);
    } else if (rc == SQLITE_OK) {
        rc = sqlite3_errcode(out);
    }
    sqlite3_close(in);
    sqlite3_close(out);
    j->files++;
    if (rc == SQLITE_OK)
        return 0;
    return ph_fail(&j->e, (rc & 0xff) == SQLITE_FULL ? PH_EFULL : PH_EIO, 0,
                   "%s could not be copied: %s", from, sqlite3_errstr(rc));
}

static bool ends(const char *name, const char *with)
{
    size_t n = strlen(name), k = strlen(with);
    return n >= k && !strcmp(name + n - k, with);
}

/* Files and databases of a folder, not what is below it; which have gone meanwhile is no matter. */
static int copy_folder(struct job *j, const char *from, const char *to)
{
    struct dirent **list;
    int n = scandir(from, &list, NULL, alphasort), r = n < 0 ? 0 : ph_mkdirs(to, 0700, &j->e);
    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;
        char a[PATH_MOST], b[PATH_MOST];
        struct stat sb;
        if (r >= 0 && name[0] != '.' && !ends(name, "-wal") && !ends(name, "-shm"))
            r = join(j, a, from, name) < 0 || join(j, b, to, name) < 0 ? -j->e.code
                : lstat(a, &sb) < 0 || !S_ISREG(sb.st_mode)            ? 0
                : ends(name, ".sqlite")                                ? copy_database(j, a, b)
                                                                       : copy_file(j, a, b);
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    return r;
}

/* The large bodies that the copied database names. 1: one had gone already, with its letter: copy
 * the database again. */
static int copy_bodies(struct job *j, const char *from, const char *to)
{
    char path[PATH_MOST], a[PATH_MOST], b[PATH_MOST], name[32];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int r = join(j, path, to, "mail.sqlite");
    int rc = r < 0 ? SQLITE_NOMEM : sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, "SELECT emailid FROM email WHERE form >= 2", -1, &st, NULL);
    while (r == 0 && rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        snprintf(name, sizeof name, "blobs/%016" PRIx64, (uint64_t)sqlite3_column_int64(st, 0));
        r = join(j, a, from, name) < 0 || join(j, b, to, name) < 0 ? -j->e.code : 0;
        if (r == 0 && !ph_file_exists(b))
            r = copy_file(j, a, b);
        if (r == -PH_ENOENT)
            r = 1;
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return r < 0 || rc == SQLITE_OK ? r
                                    : ph_fail(&j->e, PH_EIO, 0, "%s: %s", path, sqlite3_errstr(rc));
}

static int copy_account(struct job *j, const char *from, const char *to)
{
    char a[PATH_MOST], b[PATH_MOST];
    int r = join(j, b, to, "blobs") < 0 ? -j->e.code : ph_mkdirs(b, 0700, &j->e);
    if (r >= 0 && (join(j, a, from, "mail.sqlite") < 0 || join(j, b, to, "mail.sqlite") < 0))
        r = -j->e.code;
    if (r >= 0 && !ph_file_exists(a))
        return 0;
    for (int round = 0; r >= 0 && round < ROUNDS; round++) {
        unlink(b);
        r = copy_database(j, a, b);
        if (r >= 0)
            r = copy_bodies(j, from, to);
        if (r == 0) {
            j->accounts++;
            return 0;
        }
    }
    return r < 0 ? r
                 : ph_fail(&j->e, PH_ECORRUPT, 0,
                           "%s: large bodies are missing; posthouse fsck tells which", from);
}

static int copy_accounts(struct job *j, const char *from, const char *to)
{
    struct dirent **list;
    int n = scandir(from, &list, NULL, alphasort), r = ph_mkdirs(to, 0700, &j->e);
    for (int i = 0; i < n; i++) {
        char a[PATH_MOST], b[PATH_MOST];
        struct stat sb;
        if (r >= 0 && list[i]->d_name[0] != '.' && join(j, a, from, list[i]->d_name) == 0 &&
            join(j, b, to, list[i]->d_name) == 0 && lstat(a, &sb) == 0 && S_ISDIR(sb.st_mode))
            r = copy_account(j, a, b);
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    return r;
}

/* In this order: see the top. */
static int copy_all(struct job *j, const char *from, const char *to)
{
    static const char *const plain[] = {"queue", "house", "tls"};
    char a[PATH_MOST], b[PATH_MOST];
    int r = 0;
    for (size_t i = 0; r >= 0 && i < sizeof plain / sizeof *plain; i++)
        r = join(j, a, from, plain[i]) < 0 || join(j, b, to, plain[i]) < 0 ? -j->e.code
                                                                           : copy_folder(j, a, b);
    if (r >= 0 && join(j, a, from, "mail") == 0 && join(j, b, to, "mail") == 0)
        r = copy_accounts(j, a, b);
    int fd = r < 0 ? -1 : open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r >= 0 && (fd < 0 || syncfs(fd) < 0))
        r = io(j, to);
    if (fd >= 0)
        close(fd);
    return r < 0 ? r : 0;
}

static int fresh_folder(struct job *j, const char *path)
{
    if (mkdir(path, 0700) == 0)
        return 0;
    return errno == EEXIST ? ph_fail(&j->e, PH_EEXIST, errno,
                                     "%s exists already; name a folder that does not", path)
                           : io(j, path);
}

static int tell(const struct admin_args *a, const struct job *j, const char *did)
{
    if (a->json)
        return house_print_json(json_pack("{s:I, s:I}", "accounts", (json_int_t)j->accounts,
                                          "files", (json_int_t)j->files));
    printf("%s %" PRIu64 " accounts, %" PRIu64 " files\n", did, j->accounts, j->files);
    return EX_OK;
}

int admin_backup(int argc, char **argv)
{
    struct admin_args a;
    struct job j = {0};
    char part[PATH_MOST];
    int left = admin_options(argc, argv, NULL,
                             "Copies the whole data folder into the new folder FOLDER while the "
                             "server runs, each account as\n"
                             "it is at one instant. FOLDER is there only when all of it is.\n",
                             1, 1, &a);
    if (left >= 0)
        return left;
    int r = snprintf(part, sizeof part, "%s.part", a.args[0]) < PATH_MOST ? 0 : -PH_EINVAL;
    if (r == 0 && ph_file_exists(a.args[0]))
        r = ph_fail(&j.e, PH_EEXIST, 0, "%s exists already; name a folder that does not",
                    a.args[0]);
    if (r == 0)
        r = fresh_folder(&j, part);
    if (r == 0)
        r = copy_all(&j, a.data, part);
    if (r == 0 && rename(part, a.args[0]) < 0)
        r = io(&j, a.args[0]);
    return r < 0 ? admin_fail(admin_exit_code(r), "%s", j.e.text) : tell(&a, &j, "backed up");
}

/* ---- restore ------------------------------------------------------------------------------ */

/* What of a backup's account is wanted: one letter, or all that are missing. */
struct wanted {
    struct carry_account *to;
    const char *message_id; /* NULL: all */
    uint64_t seen;
};

static int take_wanted(void *ctx, const struct carry_letter *l)
{
    struct wanted *w = ctx;
    if (w->message_id) {
        struct ph_field f;
        if (!ph_field_find(ph_message_head(l->bytes), PH_STR("Message-ID"), 0, &f) ||
            !ph_str_eq(ph_str_trim(f.value), ph_str_c(w->message_id)))
            return 0;
    }
    w->seen++;
    return carry_account_take(w->to, l);
}

static int from_backup(struct job *j, const char *backup, const struct mail *m, struct wanted *w)
{
    char root[PATH_MOST];
    struct store *s = NULL;
    struct store_account *a;
    int r = join(j, root, backup, "mail");
    if (r >= 0)
        r = store_sqlite.new(&(struct store_options){.root = root}, &s, &j->e);
    if (r >= 0)
        r = store_sqlite.account(s, 0, ph_str_c(m->folder), STORE_OPEN, &a, &j->e);
    if (r >= 0)
        r = carry_from_account(&store_sqlite, a, take_wanted, w, &j->e);
    store_sqlite.free(s);
    return r;
}

static int restore_account(const struct admin_args *a, const char *address, const char *message_id)
{
    struct job j = {0};
    struct mail m;
    struct ph_house *h = NULL;
    char path[PATH_MOST];
    struct wanted w = {.message_id = message_id};
    uint64_t put = 0, known = 0;
    struct ph_error end = {0};
    int r = join(&j, path, a->data, "house/house.sqlite");
    if (r >= 0)
        r = ph_house_open(path, false, &h, &j.e);
    if (r >= 0)
        r = mail_open(&m, a->data, h, address, &j.e);
    ph_house_close(h);
    if (r < 0)
        return admin_fail(admin_exit_code(r), "%s", j.e.text);
    w.to = carry_account_new(m.account, true);
    r = w.to ? from_backup(&j, a->args[0], &m, &w) : ph_fail(&j.e, PH_ENOMEM, 0, "out of memory");
    if (r < 0 && w.to && !j.e.code)
        j.e = *carry_account_error(w.to);
    int closed = carry_account_end(w.to, r >= 0, &put, &known, &end);
    mail_close(&m);
    if (r < 0 || closed < 0)
        return admin_fail(admin_exit_code(r < 0 ? r : closed), "%s", r < 0 ? j.e.text : end.text);
    if (message_id && w.seen == 0)
        return admin_fail(EX_NOINPUT, "the backup has no letter %s in this account", message_id);
    if (a->json)
        return house_print_json(json_pack("{s:I, s:I}", "restored", (json_int_t)put,
                                          "already_there", (json_int_t)known));
    printf("restored %" PRIu64 " letters, %" PRIu64 " were there already\n", put, known);
    return EX_OK;
}

/* Nothing of a house may be there, and no server. */
static int restore_all(const struct admin_args *a)
{
    struct job j = {0};
    char path[PATH_MOST];
    int r = join(&j, path, a->args[0], "house/house.sqlite");
    if (r >= 0 && !ph_file_exists(path))
        r = ph_fail(&j.e, PH_ENOENT, 0, "%s is not a backup: it has no house/house.sqlite",
                    a->args[0]);
    if (r >= 0)
        r = join(&j, path, a->data, "house/house.sqlite");
    if (r >= 0 && ph_file_exists(path))
        r = ph_fail(&j.e, PH_EEXIST, 0,
                    "%s holds a house already; --data names a new folder, --account restores "
                    "letters into this one",
                    a->data);
    if (r >= 0)
        r = ph_mkdirs(a->data, 0700, &j.e);
    if (r >= 0)
        r = copy_all(&j, a->args[0], a->data);
    return r < 0 ? admin_fail(admin_exit_code(r), "%s", j.e.text) : tell(a, &j, "restored");
}

int admin_restore(int argc, char **argv)
{
    struct admin_args a;
    const char *account = NULL, *message = NULL;
    const struct admin_option opts[] = {
        {.name = "--account",
         .value = &account,
         .help = "--account ADDRESS  only what this account lost, into the house that is there"},
        {.name = "--message",
         .value = &message,
         .help = "--message ID  with --account: this letter alone, by its Message-ID"},
        {0}};
    int left = admin_options(argc, argv, opts,
                             "FOLDER is what posthouse backup made. Without --account a whole "
                             "house is made of it in a data\n"
                             "folder that has none. With it, letters that the account does not "
                             "have (any more) are put back into\n"
                             "their mailboxes, with flags and dates; the server may be running.\n",
                             1, 1, &a);
    if (left >= 0)
        return left;
    if (message && !account)
        return admin_fail(EX_USAGE, "--message needs --account");
    return account ? restore_account(&a, account, message) : restore_all(&a);
}
