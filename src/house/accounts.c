/* Accounts: adding, changing, removing, finding; the folder that each one's mail lives in. */
#include "house_int.h"

#include <stdio.h>
#include <string.h>

enum { FOLDER_TRIES = 1000 };

/* The address as a folder name that no shell, file system or reader of a path can misunderstand.
 * `try` tells apart what became equal by that, and accounts that follow a removed one of the same
 * name. */
static ph_str folder_name(ph_str address, int try, char name[PH_HOUSE_FOLDER + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < address.n && n < PH_HOUSE_FOLDER - 8; i++) {
        char c = address.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("@.-_+=", c);
        if (c == '.' && (n == 0 || name[n - 1] == '.'))
            plain = false;
        name[n++] = c && plain ? c : '_';
    }
    if (n && name[n - 1] == '.')
        name[n - 1] = '_';
    if (n && name[0] == '-')
        name[0] = '_'; /* not an option of anyone's `rm` */
    if (try)
        n += (size_t)snprintf(name + n, 8, "~%d", try);
    return (ph_str){name, n};
}

static int find_folder(struct ph_house *h, ph_str address, char name[PH_HOUSE_FOLDER + 1],
                       ph_str *ret_folder, struct ph_error *reterr)
{
    for (int try = 0; try < FOLDER_TRIES; try++) {
        ph_str folder = folder_name(address, try, name);
        sqlite3_stmt *st = ph__house_use(h, ST_FOLDER_TAKEN, reterr);
        if (!st)
            return -PH_EIO;
        ph__house_bind(st, 1, folder);
        int r = ph__house_step(h, st, reterr);
        if (r < 0)
            return r;
        bool taken = sqlite3_column_int(st, 0);
        sqlite3_reset(st);
        if (!taken) {
            *ret_folder = folder;
            return 0;
        }
    }
    return ph_fail(reterr, PH_ELIMIT, 0, "more than %d mail folders are named like %.*s",
                   FOLDER_TRIES, PH_FMT(address));
}

static int is_alias(struct ph_house *h, ph_str address, struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, ST_ALIAS_TARGETS, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, address);
    int r = ph__house_step(h, st, reterr);
    sqlite3_reset(st);
    return r;
}

static int insert(struct ph_house *h, const struct ph_house_name *name, ph_str folder,
                  const struct ph_house_secret *secret, struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, ST_ACCOUNT_ADD, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, ph_house_name_str(name));
    ph__house_bind(st, 2, ph_house_name_domain(name));
    ph__house_bind(st, 3, folder);
    ph__house_bind(st, 4, secret->hash);
    sqlite3_bind_int64(st, 5, ph__house_now());
    ph__house_bind(st, 6, secret->scram1);
    ph__house_bind(st, 7, secret->scram256);
    return ph__house_run(h, st, reterr);
}

int ph_house_account_add(struct ph_house *h, ph_str address, const struct ph_house_secret *secret,
                         uint64_t *ret_id, struct ph_error *reterr)
{
    struct ph_house_name name;
    char buf[PH_HOUSE_FOLDER + 1];
    ph_str folder;
    int r = ph_house_name(address, &name, reterr);
    if (r >= 0)
        r = ph_house_domain_has(h, ph_house_name_domain(&name), reterr);
    if (r == 0)
        return ph_fail(reterr, PH_ENOENT, 0, "the domain %.*s is not one of this house",
                       PH_FMT(ph_house_name_domain(&name)));
    if (r > 0 && (r = is_alias(h, ph_house_name_str(&name), reterr)) > 0)
        return ph_fail(reterr, PH_EEXIST, 0, "%s is an alias already", name.text);
    if (r >= 0)
        r = find_folder(h, ph_house_name_str(&name), buf, &folder, reterr);
    if (r >= 0)
        r = insert(h, &name, folder, secret, reterr);
    if (r == -PH_EEXIST)
        return ph_fail(reterr, PH_EEXIST, 0, "the account %s exists already", name.text);
    if (r < 0)
        return r;
    *ret_id = (uint64_t)sqlite3_last_insert_rowid(h->db);
    return 0;
}

static int no_account(const struct ph_house_name *name, struct ph_error *reterr)
{
    return ph_fail(reterr, PH_ENOENT, 0, "there is no account %s", name->text);
}

int ph_house_account_passwd(struct ph_house *h, ph_str address,
                            const struct ph_house_secret *secret, struct ph_error *reterr)
{
    struct ph_house_name name;
    int r = ph_house_name(address, &name, reterr);
    if (r < 0)
        return r;
    sqlite3_stmt *st = ph__house_use(h, ST_ACCOUNT_PASSWD, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, ph_house_name_str(&name));
    ph__house_bind(st, 2, secret->hash);
    ph__house_bind(st, 3, secret->scram1);
    ph__house_bind(st, 4, secret->scram256);
    r = ph__house_run(h, st, reterr);
    return r == 0 ? no_account(&name, reterr) : r < 0 ? r : 0;
}

int ph_house_account_remove(struct ph_house *h, ph_str address, bool erase, struct ph_error *reterr)
{
    struct ph_house_name name;
    int r = ph_house_name(address, &name, reterr);
    if (r < 0)
        return r;
    bool own = sqlite3_get_autocommit(h->db);
    if (own && (r = ph_house_begin(h, reterr)) < 0)
        return r;
    sqlite3_stmt *bury = ph__house_use(h, ST_ACCOUNT_BURY, reterr),
                 *st = ph__house_use(h, ST_ACCOUNT_REMOVE, reterr);
    r = bury && st ? 0 : -PH_EIO;
    if (r >= 0) {
        ph__house_bind(bury, 1, ph_house_name_str(&name));
        sqlite3_bind_int(bury, 2, erase);
        sqlite3_bind_int64(bury, 3, ph__house_now());
        r = ph__house_run(h, bury, reterr);
    }
    if (r == 0)
        r = no_account(&name, reterr);
    if (r > 0) {
        ph__house_bind(st, 1, ph_house_name_str(&name));
        r = ph__house_run(h, st, reterr);
    }
    if (!own)
        return r < 0 ? r : 0;
    if (r >= 0)
        return ph_house_commit(h, reterr);
    ph_house_abort(h);
    return r;
}

/* ---- finding ----------------------------------------------------------------------------- */

static struct ph_house_account row(sqlite3_stmt *st)
{
    return (struct ph_house_account){.id = (uint64_t)sqlite3_column_int64(st, 0),
                                     .address = ph__house_text(st, 1),
                                     .folder = ph__house_text(st, 2),
                                     .hash = ph__house_text(st, 3),
                                     .disabled = sqlite3_column_int(st, 4),
                                     .created = sqlite3_column_int64(st, 5),
                                     .scram1 = ph__house_text(st, 6),
                                     .scram256 = ph__house_text(st, 7)};
}

int ph__house_account_take(struct ph_house *h, sqlite3_stmt *st, struct ph_arena *arena,
                           struct ph_house_account *ret_account, struct ph_error *reterr)
{
    int r = ph__house_step(h, st, reterr);
    if (r <= 0)
        return r;
    struct ph_house_account a = row(st);
    a.address = ph_arena_copy(arena, a.address);
    a.folder = ph_arena_copy(arena, a.folder);
    a.hash = ph_arena_copy(arena, a.hash);
    a.scram1 = ph_arena_copy(arena, a.scram1);
    a.scram256 = ph_arena_copy(arena, a.scram256);
    sqlite3_reset(st);
    if (!a.address.p || !a.folder.p || !a.hash.p || !a.scram1.p || !a.scram256.p)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    *ret_account = a;
    return 1;
}

int ph_house_account_get(struct ph_house *h, ph_str address, struct ph_arena *arena,
                         struct ph_house_account *ret_account, struct ph_error *reterr)
{
    struct ph_house_name name;
    int r = ph_house_name(address, &name, reterr);
    if (r < 0)
        return r;
    sqlite3_stmt *st = ph__house_use(h, ST_ACCOUNT_GET, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, ph_house_name_str(&name));
    r = ph__house_account_take(h, st, arena, ret_account, reterr);
    return r == 0 ? no_account(&name, reterr) : r < 0 ? r : 0;
}

int ph_house_account_by_id(struct ph_house *h, uint64_t id, struct ph_arena *arena,
                           struct ph_house_account *ret_account, struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, ST_ACCOUNT_BY_ID, reterr);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
    int r = ph__house_account_take(h, st, arena, ret_account, reterr);
    return r == 0  ? ph_fail(reterr, PH_ENOENT, 0, "there is no account number %llu",
                             (unsigned long long)id)
           : r < 0 ? r
                   : 0;
}

int ph_house_accounts(struct ph_house *h, int (*fn)(void *ctx, const struct ph_house_account *row),
                      void *ctx, struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, ST_ACCOUNTS, reterr);
    if (!st)
        return -PH_EIO;
    int r = 0, stop = 0;
    while (stop == 0 && (r = ph__house_step(h, st, reterr)) > 0) {
        struct ph_house_account a = row(st);
        stop = fn(ctx, &a);
    }
    sqlite3_reset(st);
    return r < 0 ? r : stop;
}

int ph_house_removed(struct ph_house *h, uint64_t after,
                     int (*fn)(void *ctx, const struct ph_house_gone *row), void *ctx,
                     struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, ST_REMOVED, reterr);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, (sqlite3_int64)after);
    int r = 0, stop = 0;
    while (stop == 0 && (r = ph__house_step(h, st, reterr)) > 0) {
        struct ph_house_gone g = {.seq = (uint64_t)sqlite3_column_int64(st, 0),
                                  .account = (uint64_t)sqlite3_column_int64(st, 1),
                                  .folder = ph__house_text(st, 2),
                                  .erase = sqlite3_column_int(st, 3)};
        stop = fn(ctx, &g);
    }
    sqlite3_reset(st);
    return r < 0 ? r : stop;
}
