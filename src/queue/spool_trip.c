/* spool_trip.c - journeys: events, and finding and forgetting them. */
#include "spool.h"

#define DAY INT64_C(86400000000) /* microseconds: the piece of time whose Message-IDs are indexed together */

/* FNV-1a; only spreads Message-IDs over the index, the text is compared too. */
static int64_t hash(ph_str v)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < v.n; i++)
        h = (h ^ (unsigned char)v.p[i]) * 1099511628211u;
    return (int64_t)(h >> 1);
}

static int put_trip(struct ph_spool *s, uint64_t qid, ph_str message_id, ph_str owner)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_TRIP);
    if (st) {
        sqlite3_bind_int64(st, 1, (int64_t)qid);
        sqlite3_bind_int64(st, 2, (int64_t)qid / DAY);
        sqlite3_bind_int64(st, 3, hash(message_id));
        ph__bind_str(st, 4, message_id);
        ph__bind_str(st, 5, owner);
    }
    return ph__spool_run(s, st);
}

int ph__spool_apply_event(struct ph_spool *s, ph_str message_id, ph_str owner, const struct ph_spool_event *e, uint64_t seq)
{
    int err = 0;
    if (s->last_trip != e->qid && (message_id.n || owner.n)) {
        err = put_trip(s, e->qid, message_id, owner);
        s->last_trip = e->qid;
    }
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_EVENT);
    if (err || !st)
        return err ? err : ph__spool_run(s, st);
    sqlite3_bind_int64(st, 1, (int64_t)e->qid);
    sqlite3_bind_int64(st, 2, (int64_t)seq);
    sqlite3_bind_int64(st, 3, e->time);
    sqlite3_bind_int(st, 4, e->kind);
    ph__bind_str(st, 5, e->process);
    ph__bind_str(st, 6, e->rcpt);
    ph__bind_str(st, 7, e->peer);
    ph__bind_str(st, 8, e->tls);
    ph__bind_str(st, 9, e->auth);
    sqlite3_bind_int64(st, 10, e->code);
    ph__bind_str(st, 11, e->reply);
    sqlite3_bind_int64(st, 12, (int64_t)e->took);
    ph__bind_str(st, 13, e->note);
    ph__bind_str(st, 14, e->host);
    return ph__spool_run(s, st);
}

/* ---- reading ----------------------------------------------------------------------------- */

static int next_day(struct ph_spool *s, int64_t after, int64_t *ret_day)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_DAY_NEXT);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, after);
    int rc = sqlite3_step(st);
    int err = rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : ph__spool_error(s, rc);
    if (err > 0)
        *ret_day = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return err;
}

int ph_spool_trips(struct ph_spool *s, ph_str message_id, uint64_t *ret_qids, size_t n)
{
    size_t got = 0;
    int64_t day = -1;
    int err = ph__spool_settle(s);
    if (err)
        return err;
    while (got < n && (err = next_day(s, day, &day)) > 0) {
        sqlite3_stmt *st = ph__spool_stmt(s, SQL_TRIPS);
        if (!st)
            return -PH_EIO;
        sqlite3_bind_int64(st, 1, day);
        sqlite3_bind_int64(st, 2, hash(message_id));
        ph__bind_str(st, 3, message_id);
        sqlite3_bind_int64(st, 4, (int64_t)(n - got));
        int rc;
        while ((rc = sqlite3_step(st)) == SQLITE_ROW && got < n)
            ret_qids[got++] = (uint64_t)sqlite3_column_int64(st, 0);
        if (rc != SQLITE_DONE && rc != SQLITE_ROW)
            err = ph__spool_error(s, rc);
        sqlite3_reset(st);
        if (err < 0)
            return err;
    }
    return err < 0 ? err : (int)got;
}

int ph_spool_trip(struct ph_spool *s, uint64_t qid, struct ph_buf *ret_message_id, struct ph_buf *ret_owner)
{
    int err = ph__spool_settle(s);
    if (err)
        return err;
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_TRIP_OF);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, (int64_t)qid);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        ph_buf_add(ret_message_id, ph__column(st, 0));
        ph_buf_add(ret_owner, ph__column(st, 1));
    }
    err = rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : ph__spool_error(s, rc);
    sqlite3_reset(st);
    return err;
}

int ph_spool_journey_of(struct ph_spool *s, uint64_t qid, int (*each)(void *ctx, const struct ph_spool_event *e), void *ctx)
{
    int err = ph__spool_settle(s);
    if (err)
        return err;
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_EVENTS);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, (int64_t)qid);
    int rc;
    while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct ph_spool_event e = {.qid = qid,
                                   .time = sqlite3_column_int64(st, 0),
                                   .kind = (uint8_t)sqlite3_column_int(st, 1),
                                   .process = ph__column(st, 2),
                                   .rcpt = ph__column(st, 3),
                                   .peer = ph__column(st, 4),
                                   .tls = ph__column(st, 5),
                                   .auth = ph__column(st, 6),
                                   .code = (uint32_t)sqlite3_column_int64(st, 7),
                                   .reply = ph__column(st, 8),
                                   .took = (uint64_t)sqlite3_column_int64(st, 9),
                                   .note = ph__column(st, 10),
                                   .host = ph__column(st, 11)};
        err = each(ctx, &e);
    }
    if (!err && rc != SQLITE_DONE)
        err = ph__spool_error(s, rc);
    sqlite3_reset(st);
    return err;
}

/* ---- forgetting -------------------------------------------------------------------------- */

static int forget(struct ph_spool *s, enum spool_sql which, int64_t qid)
{
    sqlite3_stmt *st = ph__spool_stmt(s, which);
    if (st)
        sqlite3_bind_int64(st, 1, qid);
    return ph__spool_run(s, st);
}

int ph_spool_prune(struct ph_spool *s, int64_t before, int most)
{
    int err = ph_spool_begin(s);
    for (int n = 0; !err && n < most; n++) {
        sqlite3_stmt *st = ph__spool_stmt(s, SQL_OLD);
        if (!st)
            return ph__spool_failed(s, -PH_EIO);
        sqlite3_bind_int64(st, 1, before);
        int rc = sqlite3_step(st);
        int64_t qid = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
        sqlite3_reset(st);
        if (rc == SQLITE_DONE)
            return n;
        err = rc == SQLITE_ROW ? forget(s, SQL_PRUNE_EVENTS, qid) : ph__spool_error(s, rc);
        if (!err)
            err = forget(s, SQL_PRUNE_TRIP, qid);
    }
    return err ? ph__spool_failed(s, err) : most;
}
