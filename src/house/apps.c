/* App passwords, and what strangers are shown in place of an account's SCRAM keys. */
#include "house_int.h"

#include <openssl/evp.h>

static sqlite3_stmt *use(struct ph_house *h, enum statement which, uint64_t account,
                         struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, which, reterr);
    if (st)
        sqlite3_bind_int64(st, 1, (sqlite3_int64)account);
    return st;
}

static struct ph_house_app row_of(sqlite3_stmt *st)
{
    return (struct ph_house_app){.name = ph__house_text(st, 0),
                                 .scope = (unsigned)sqlite3_column_int(st, 1),
                                 .created = sqlite3_column_int64(st, 2),
                                 .expires = sqlite3_column_int64(st, 3),
                                 .used = sqlite3_column_int64(st, 4),
                                 .secret = ph__house_text(st, 5)};
}

int ph_house_app_add(struct ph_house *h, uint64_t account, const struct ph_house_app *app,
                     const unsigned char digest[PH_APP_DIGEST], struct ph_error *reterr)
{
    bool named = app->name.n && app->name.n <= PH_APP_NAME_MAX;
    for (size_t i = 0; i < app->name.n; i++)
        named = named && (unsigned char)app->name.p[i] >= ' ' && app->name.p[i] != 0x7f;
    if (!named)
        return ph_fail(reterr, PH_EINVAL, 0,
                       "the name of an app password has 1 to %d characters of a line",
                       PH_APP_NAME_MAX);
    sqlite3_stmt *st = use(h, ST_APP_ADD, account, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 2, app->name);
    sqlite3_bind_blob(st, 3, digest, PH_APP_DIGEST, SQLITE_STATIC);
    sqlite3_bind_int64(st, 4, app->scope);
    sqlite3_bind_int64(st, 5, ph__house_now());
    sqlite3_bind_int64(st, 6, app->expires);
    ph__house_bind(st, 7, app->secret);
    int r = ph__house_run(h, st, reterr);
    if (r == -PH_EEXIST)
        return ph_fail(reterr, PH_EEXIST, 0, "there is an app password named %.*s already",
                       PH_FMT(app->name));
    return r < 0 ? r : 0;
}

int ph_house_app_remove(struct ph_house *h, uint64_t account, ph_str name, struct ph_error *reterr)
{
    sqlite3_stmt *st = use(h, ST_APP_REMOVE, account, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 2, name);
    int r = ph__house_run(h, st, reterr);
    return r == 0
               ? ph_fail(reterr, PH_ENOENT, 0, "there is no app password named %.*s", PH_FMT(name))
           : r < 0 ? r
                   : 0;
}

int ph_house_apps(struct ph_house *h, uint64_t account,
                  int (*fn)(void *ctx, const struct ph_house_app *row), void *ctx,
                  struct ph_error *reterr)
{
    sqlite3_stmt *st = use(h, ST_APPS, account, reterr);
    if (!st)
        return -PH_EIO;
    int r = 0, stop = 0;
    while (stop == 0 && (r = ph__house_step(h, st, reterr)) > 0) {
        struct ph_house_app row = row_of(st);
        stop = fn(ctx, &row);
    }
    sqlite3_reset(st);
    return r < 0 ? r : stop;
}

int ph_house_app_find(struct ph_house *h, uint64_t account,
                      const unsigned char digest[PH_APP_DIGEST], struct ph_arena *arena,
                      struct ph_house_app *ret_app, struct ph_error *reterr)
{
    sqlite3_stmt *st = use(h, ST_APP_FIND, account, reterr);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_blob(st, 2, digest, PH_APP_DIGEST, SQLITE_STATIC);
    int r = ph__house_step(h, st, reterr);
    if (r <= 0)
        return r;
    struct ph_house_app app = row_of(st);
    app.name = ph_arena_copy(arena, app.name);
    app.secret = (ph_str){0};
    sqlite3_reset(st);
    if (!app.name.p)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    *ret_app = app;
    return 1;
}

int ph_house_app_used(struct ph_house *h, uint64_t account, ph_str name, int64_t when,
                      struct ph_error *reterr)
{
    sqlite3_stmt *st = use(h, ST_APP_USED, account, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 2, name);
    sqlite3_bind_int64(st, 3, when);
    int r = ph__house_run(h, st, reterr);
    return r < 0 ? r : 0;
}

int ph_app_digest(uint64_t account, ph_str password, unsigned char ret_digest[PH_APP_DIGEST])
{
    static const char purpose[] = "posthouse app password";
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(md, purpose, sizeof purpose) == 1 &&
              EVP_DigestUpdate(md, &account, sizeof account) == 1;
    for (size_t i = 0; i < password.n && ok; i++)
        if (password.p[i] != '-' && password.p[i] != ' ')
            ok = EVP_DigestUpdate(md, password.p + i, 1) == 1;
    ok = ok && EVP_DigestFinal_ex(md, ret_digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    return ok ? 0 : -PH_ENOMEM;
}

int ph_house_sample(struct ph_house *h, struct ph_arena *arena, ph_str *ret_scram256,
                    ph_str *ret_seed, struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, ST_SAMPLE, reterr);
    if (!st)
        return -PH_EIO;
    int r = ph__house_step(h, st, reterr);
    if (r <= 0)
        return r < 0 ? r : ph_fail(reterr, PH_ECORRUPT, 0, "%s has lost its seed", h->path);
    ph_str seed = ph_arena_copy(arena, ph__house_text(st, 0)),
           keys = ph_arena_copy(arena, ph__house_text(st, 1));
    sqlite3_reset(st);
    if (!seed.p || !keys.p)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    *ret_seed = seed;
    *ret_scram256 = keys;
    return 0;
}
