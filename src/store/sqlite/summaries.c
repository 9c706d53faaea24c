/*
 * summaries.c - the summaries of the mailbox whose flags are in memory (cache.c).
 *
 * Letters that came one after the other lie one after the other in the table `email`: a run of them
 * is one walk there, without a look at the table of messages and without a search for each. What
 * lies between them is of other mailboxes.
 */
#include "sqlite_int.h"

enum {
    GAP = 4, /* ids that may lie between two of a run: read, and passed over */
    RUN_MAX = 1024
};

static size_t run_from(const struct cache *c, size_t at, uint32_t last_uid)
{
    size_t n = 1;
    while (n < RUN_MAX && at + n < c->n && c->v[at + n].uid <= last_uid &&
           c->v[at + n].emailid > c->v[at + n - 1].emailid &&
           c->v[at + n].emailid - c->v[at + n - 1].emailid <= GAP)
        n++;
    return n;
}

static int give_run(struct store_account *a, size_t at, size_t n, store_message_fn *row, void *ctx)
{
    const struct cache *c = &a->cache;
    sqlite3_stmt *st = sq_start(a, ST_SUMMARIES, "ii", (int64_t)c->v[at].emailid,
                                (int64_t)c->v[at + n - 1].emailid);
    int r = st ? sq_step(a, st) : -a->err.code;
    for (size_t end = at + n; r > 0; r = sq_step(a, st)) {
        uint64_t id = (uint64_t)sqlite3_column_int64(st, 0);
        while (at < end && c->v[at].emailid < id)
            at++;
        if (at == end || c->v[at].emailid != id)
            continue;
        struct store_message m = cache_message(c, at);
        m.summary = sq_blob(st, 1);
        m.thread = (uint64_t)sqlite3_column_int64(st, 2);
        r = row(ctx, &m);
        if (r != 0) {
            sqlite3_reset(st);
            return r;
        }
    }
    return r;
}

int cache_give_summaries(struct store_account *a, const struct uidset *uids, store_message_fn *row,
                         void *ctx)
{
    const struct cache *c = &a->cache;
    for (size_t i = 0; i < uids->n; i++)
        for (size_t at = cache_place(c, uids->v[i].from), n;
             at < c->n && c->v[at].uid <= uids->v[i].to; at += n) {
            n = run_from(c, at, uids->v[i].to);
            int r = give_run(a, at, n, row, ctx);
            if (r != 0)
                return r;
        }
    return 0;
}
