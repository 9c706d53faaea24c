/* spool_trip.c - journeys: events, and finding and forgetting them. */
#include "hash.h"
#include "spool.h"

#include <string.h>

enum { BUCKET = 4096 }; /* trips whose Message-IDs are indexed together */

/* It only spreads Message-IDs over the index, the text is compared too. */
int64_t ph__spool_hash(ph_str message_id)
{
    return (int64_t)(ph_hash_fixed(message_id) >> 1);
}

/*
 * Message-IDs come in no order; an index over all of them would write a page for each. So new trips
 * are searched one by one, and when there are BUCKET of them, they go into the index together,
 * sorted, as a bucket of their own: a few pages at its end. A search looks into each bucket. Bucket
 * 0 is for trips that came behind their time.
 */
int ph__spool_count_trip(struct ph_spool *s, uint64_t qid, int64_t hash)
{
    s->unindexed++;
    if (qid > s->indexed)
        return 0;
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_TRIP_LATE);
    if (st) {
        sqlite3_bind_int64(st, 1, hash);
        sqlite3_bind_int64(st, 2, (int64_t)qid);
    }
    return ph__spool_run(s, st);
}

int ph__spool_begin_trip(struct ph_spool *s, uint64_t qid, ph_str message_id, ph_str owner,
                         ph_str first)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_TRIP);
    int64_t h = ph__spool_hash(message_id);
    if (st) {
        sqlite3_bind_int64(st, 1, (int64_t)qid);
        sqlite3_bind_int64(st, 2, h);
        ph__bind_str(st, 3, message_id);
        ph__bind_str(st, 4, owner);
        ph__bind_blob(st, 5, first);
    }
    int err = ph__spool_run(s, st);
    if (err || !sqlite3_changes(s->db))
        return err;
    err = ph__spool_count_trip(s, qid, h);
    return err ? err : 1;
}

/* How far the trips go, and how many are not in the index. */
static int count_new(struct ph_spool *s, uint64_t *ret_last)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_TRIP_LAST);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, (int64_t)s->indexed);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *ret_last = (uint64_t)sqlite3_column_int64(st, 0);
        s->unindexed = (size_t)sqlite3_column_int64(st, 1);
    }
    int err = rc == SQLITE_ROW ? 0 : ph__spool_error(s, rc);
    sqlite3_reset(st);
    return err;
}

int ph__spool_index(struct ph_spool *s)
{
    uint64_t last = 0;
    if (s->unindexed < BUCKET)
        return 0;
    int err = count_new(s, &last);
    if (err || s->unindexed < BUCKET)
        return err;
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_TRIP_BUCKET);
    if (st) {
        sqlite3_bind_int64(st, 1, (int64_t)s->indexed);
        sqlite3_bind_int64(st, 2, (int64_t)s->indexed + 1);
    }
    err = ph__spool_run(s, st);
    if (!err)
        err = ph__spool_meta(s, "indexed", last);
    if (err)
        return err;
    s->indexed = last;
    s->unindexed = 0;
    return 0;
}

int ph__spool_index_open(struct ph_spool *s)
{
    uint64_t last;
    return count_new(s, &last);
}

/* ---- events, packed ------------------------------------------------------------------------ */

/*
 * Events of a trip that are written together are one value, packed: one statement and one page
 * where a row and a column for each would be several. Per event: struct fixed, then the texts that
 * are not empty (a bit each) with a 16-bit length before each.
 */
struct fixed {
    int64_t time;
    uint64_t took;
    uint16_t code;
    uint8_t kind, texts;
};

enum { TEXTS = 8, FIXED = 20 };

static void texts_of(const struct ph_spool_event *e, ph_str ret_texts[TEXTS])
{
    const ph_str all[TEXTS] = {e->process, e->rcpt,  e->peer, e->tls,
                               e->auth,    e->reply, e->note, e->host};
    memcpy(ret_texts, all, sizeof all);
}

void ph__spool_pack(struct ph_buf *out, const struct ph_spool_event *e)
{
    struct fixed f = {e->time, e->took, (uint16_t)e->code, e->kind, 0};
    ph_str texts[TEXTS];
    size_t room = FIXED;
    texts_of(e, texts);
    for (int i = 0; i < TEXTS; i++) {
        texts[i] = ph_str_sub(texts[i], 0, PH_SPOOL_REPLY);
        f.texts |= (uint8_t)((texts[i].n > 0) << i);
        room += sizeof(uint16_t) + texts[i].n;
    }
    char *start = ph_buf_reserve(out, room), *p = start;
    if (!start)
        return;
    memcpy(p, &f, FIXED);
    p += FIXED;
    for (int i = 0; i < TEXTS; i++) {
        uint16_t n = (uint16_t)texts[i].n;
        if (!n)
            continue;
        memcpy(p, &n, sizeof n);
        memcpy(p + sizeof n, texts[i].p, n);
        p += sizeof n + n;
    }
    ph_buf_commit(out, (size_t)(p - start));
}

static bool cut(ph_str *rest, void *to, size_t n)
{
    if (rest->n < n)
        return false;
    memcpy(to, rest->p, n);
    *rest = ph_str_skip(*rest, n);
    return true;
}

/* 1, 0 at the end, -PH_ECORRUPT. Texts are borrowed from *rest. */
static int unpack(ph_str *rest, uint64_t qid, struct ph_spool_event *ret_event)
{
    struct fixed f = {0};
    ph_str texts[TEXTS] = {0};
    if (!rest->n)
        return 0;
    if (!cut(rest, &f, FIXED))
        return -PH_ECORRUPT;
    for (int i = 0; i < TEXTS; i++) {
        uint16_t n = 0;
        if (f.texts & 1 << i && (!cut(rest, &n, sizeof n) || rest->n < n))
            return -PH_ECORRUPT;
        texts[i] = ph_str_sub(*rest, 0, n);
        *rest = ph_str_skip(*rest, n);
    }
    *ret_event = (struct ph_spool_event){.qid = qid,
                                         .time = f.time,
                                         .took = f.took,
                                         .code = f.code,
                                         .kind = f.kind,
                                         .process = texts[0],
                                         .rcpt = texts[1],
                                         .peer = texts[2],
                                         .tls = texts[3],
                                         .auth = texts[4],
                                         .reply = texts[5],
                                         .note = texts[6],
                                         .host = texts[7]};
    return 1;
}

int ph__spool_add_events(struct ph_spool *s, uint64_t qid, uint64_t seq, ph_str packed)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_EVENT);
    if (st) {
        sqlite3_bind_int64(st, 1, (int64_t)qid);
        sqlite3_bind_int64(st, 2, (int64_t)seq);
        ph__bind_blob(st, 3, packed);
    }
    return ph__spool_run(s, st);
}

/* ---- reading ----------------------------------------------------------------------------- */

static int next_bucket(struct ph_spool *s, int64_t after, int64_t *ret_bucket)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_BUCKET_NEXT);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, after);
    int rc = sqlite3_step(st);
    int err = rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : ph__spool_error(s, rc);
    if (err > 0)
        *ret_bucket = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return err;
}

/* In one bucket, or (SQL_TRIPS_NEW) behind all of them. */
static int search(struct ph_spool *s, enum spool_sql which, int64_t where, ph_str message_id,
                  uint64_t *ret_qids, size_t n, size_t *got)
{
    sqlite3_stmt *st = ph__spool_stmt(s, which);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, where);
    sqlite3_bind_int64(st, 2, ph__spool_hash(message_id));
    ph__bind_str(st, 3, message_id);
    sqlite3_bind_int64(st, 4, (int64_t)(n - *got));
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW && *got < n) {
        uint64_t qid = (uint64_t)sqlite3_column_int64(st, 0);
        size_t i = 0;
        while (i < *got && ret_qids[i] != qid)
            i++;
        if (i == *got) /* a reader may see it in both, when it goes into the index just now */
            ret_qids[(*got)++] = qid;
    }
    int err = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : ph__spool_error(s, rc);
    sqlite3_reset(st);
    return err;
}

int ph_spool_trips(struct ph_spool *s, ph_str message_id, uint64_t *ret_qids, size_t n)
{
    size_t got = 0;
    int64_t bucket = -1;
    int err = ph__spool_settle(s);
    if (err)
        return err;
    while (got < n && (err = next_bucket(s, bucket, &bucket)) > 0) {
        err = search(s, SQL_TRIPS, bucket, message_id, ret_qids, n, &got);
        if (err)
            return err;
    }
    if (!err)
        err = search(s, SQL_TRIPS_NEW, (int64_t)s->indexed, message_id, ret_qids, n, &got);
    return err < 0 ? err : (int)got;
}

int ph_spool_trip(struct ph_spool *s, uint64_t qid, struct ph_buf *ret_message_id,
                  struct ph_buf *ret_owner, struct ph_buf *ret_sender)
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
        if (ret_sender)
            ph_buf_add(ret_sender, ph__column(st, 2));
    }
    err = rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : ph__spool_error(s, rc);
    sqlite3_reset(st);
    return err;
}

int ph_spool_journey_of(struct ph_spool *s, uint64_t qid,
                        int (*each)(void *ctx, const struct ph_spool_event *e), void *ctx)
{
    int err = ph__spool_settle(s);
    if (err)
        return err;
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_EVENTS);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, (int64_t)qid);
    int rc = SQLITE_DONE;
    while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct ph_spool_event e;
        ph_str rest = ph__column(st, 1);
        while (!err && (err = unpack(&rest, qid, &e)) > 0)
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

/* The next letter that is done and old enough: 1, 0, or an error. */
static int next_old(struct ph_spool *s, int64_t before, int64_t *qid)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_OLD);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, before);
    sqlite3_bind_int64(st, 2, *qid);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *qid = sqlite3_column_int64(st, 0);
    int err = rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : ph__spool_error(s, rc);
    sqlite3_reset(st);
    return err;
}

int ph_spool_prune(struct ph_spool *s, int64_t before, int most)
{
    int64_t qid = 0;
    int err = ph_spool_begin(s), more = 0, n = 0;
    for (; !err && n < most && (more = next_old(s, before, &qid)) > 0; n++) {
        err = forget(s, SQL_PRUNE_INDEX, qid);
        if (!err)
            err = forget(s, SQL_PRUNE_TRIP, qid);
    }
    if (!err)
        err = more < 0 ? more : forget(s, SQL_PRUNE_EVENTS, before);
    return err ? ph__spool_failed(s, err) : n;
}
