/* What accounts may hold. */
#include "house_int.h"

int ph_house_quota_set(struct ph_house *h, ph_str address, int64_t bytes, int64_t messages,
                       struct ph_error *reterr)
{
    struct ph_house_name name;
    int r = ph_house_name(address, &name, reterr);
    if (r < 0)
        return r;
    sqlite3_stmt *st = ph__house_use(h, ST_QUOTA_SET, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, ph_house_name_str(&name));
    sqlite3_bind_int64(st, 2, bytes);
    sqlite3_bind_int64(st, 3, messages);
    r = ph__house_run(h, st, reterr);
    if (r == 0)
        return ph_fail(reterr, PH_ENOENT, 0, "there is no account %s", name.text);
    return r < 0 ? r : 0;
}

static struct ph_house_quota row_of(sqlite3_stmt *st)
{
    return (struct ph_house_quota){.seq = (uint64_t)sqlite3_column_int64(st, 0),
                                   .account = (uint64_t)sqlite3_column_int64(st, 1),
                                   .bytes = sqlite3_column_int64(st, 2),
                                   .messages = sqlite3_column_int64(st, 3)};
}

int ph_house_quota_get(struct ph_house *h, uint64_t account, struct ph_house_quota *ret_quota,
                       struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, ST_QUOTA_GET, reterr);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, (int64_t)account);
    int r = ph__house_step(h, st, reterr);
    if (r < 0)
        return r;
    *ret_quota = r > 0 ? row_of(st)
                       : (struct ph_house_quota){.account = account,
                                                 .bytes = PH_HOUSE_QUOTA_DEFAULT,
                                                 .messages = PH_HOUSE_QUOTA_DEFAULT};
    sqlite3_reset(st);
    return 0;
}

int ph_house_quotas(struct ph_house *h, uint64_t after,
                    int (*fn)(void *ctx, const struct ph_house_quota *row), void *ctx,
                    struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, ST_QUOTAS, reterr);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, (int64_t)after);
    int r;
    while ((r = ph__house_step(h, st, reterr)) > 0) {
        struct ph_house_quota row = row_of(st);
        r = fn(ctx, &row);
        if (r != 0) {
            sqlite3_reset(st);
            return r;
        }
    }
    return r;
}
