/* spool_read.c - what is due, letters and bodies. Readers settle first: pending changes are visible
 * to them. */
#include "grow.h"
#include "pack.h"
#include "spool.h"

/* The end of a read: resets, and tells what the last step meant. n when it was a row or the end. */
static int ended(struct ph_spool *s, sqlite3_stmt *st, int rc, int n)
{
    int err = rc == SQLITE_ROW || rc == SQLITE_DONE ? n : ph__spool_error(s, rc);
    sqlite3_reset(st);
    return err;
}

static int begin_read(struct ph_spool *s, enum spool_sql which, sqlite3_stmt **ret_st)
{
    int err = ph__spool_settle(s);
    if (err)
        return err;
    *ret_st = ph__spool_stmt(s, which);
    return *ret_st ? 0 : -PH_EIO;
}

/* As it is given to the caller. */
static int64_t time_of(const struct ph_spool *s, int64_t time)
{
    return s->read_only && time > 0 && time < PH_SPOOL_HELD ? time - s->skew : time;
}

int64_t ph_spool_recover(struct ph_spool *s, int64_t now)
{
    sqlite3_stmt *st;
    int err = ph_spool_begin(s);
    if (!err)
        err = begin_read(s, SQL_RECOVER, &st);
    if (err)
        return err;
    sqlite3_bind_int64(st, 1, now);
    err = ph__spool_run(s, st);
    if (err)
        return ph__spool_failed(s, err);
    int64_t count = sqlite3_changes64(s->db);
    err = ph_spool_commit(s);
    return err ? err : count;
}

int ph_spool_due(struct ph_spool *s, ph_str dest, unsigned lane, const struct ph_spool_due *after,
                 struct ph_spool_due *ret, size_t n)
{
    sqlite3_stmt *st;
    int err = begin_read(s, SQL_DUE, &st);
    if (err)
        return err;
    ph__bind_str(st, 1, dest);
    sqlite3_bind_int64(st, 2, after->next_try);
    sqlite3_bind_int64(st, 3, (int64_t)after->qid);
    sqlite3_bind_int64(st, 4, after->idx);
    sqlite3_bind_int64(st, 5, (int64_t)n);
    sqlite3_bind_int(st, 6, (int)lane);
    size_t got = 0;
    int rc = SQLITE_DONE;
    while (got < n && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        ret[got].qid = (uint64_t)sqlite3_column_int64(st, 0);
        ret[got].idx = (uint32_t)sqlite3_column_int64(st, 1);
        ret[got++].next_try = sqlite3_column_int64(st, 2);
    }
    return ended(s, st, rc, (int)got);
}

int ph_spool_lane_next(struct ph_spool *s, ph_str dest, unsigned from, unsigned *ret_lane,
                       int64_t *ret_when)
{
    sqlite3_stmt *st;
    int err = begin_read(s, SQL_LANE, &st);
    if (err)
        return err;
    ph__bind_str(st, 1, dest);
    sqlite3_bind_int(st, 2, (int)from);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *ret_lane = (unsigned)sqlite3_column_int(st, 0);
        *ret_when = sqlite3_column_int64(st, 1);
    }
    return ended(s, st, rc, rc == SQLITE_ROW);
}

static int earliest(struct ph_spool *s, ph_str dest, int64_t *ret_when)
{
    int64_t when, first = INT64_MAX;
    int got;
    for (unsigned lane = 0; (got = ph_spool_lane_next(s, dest, lane, &lane, &when)) > 0; lane++)
        first = when < first ? when : first;
    *ret_when = first;
    return got;
}

int ph_spool_dest_next(struct ph_spool *s, ph_str after, bool first, struct ph_buf *ret_dest,
                       int64_t *ret_when)
{
    sqlite3_stmt *st;
    int err = begin_read(s, first ? SQL_DEST_FIRST : SQL_DEST_NEXT, &st);
    if (err)
        return err;
    if (!first)
        ph__bind_str(st, 1, after);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        ph_buf_add(ret_dest, ph__column(st, 0));
    err = ended(s, st, rc, rc == SQLITE_ROW);
    if (err <= 0)
        return err;
    err = ph_buf_err(ret_dest);
    err = err ? err : earliest(s, ph_buf_str(ret_dest), ret_when);
    return err < 0 ? err : 1;
}

static bool read_rcpt(const struct ph_spool *s, sqlite3_stmt *st, struct ph_arena *a,
                      struct ph_spool_rcpt *r)
{
    r->idx = (uint32_t)sqlite3_column_int64(st, 0);
    r->target = (uint8_t)sqlite3_column_int(st, 1);
    r->address = ph_arena_copy(a, ph__column(st, 2));
    r->original = ph_arena_copy(a, ph__column(st, 3));
    r->account = (uint64_t)sqlite3_column_int64(st, 4);
    r->folder = ph_arena_copy(a, ph__column(st, 5));
    r->dest = ph_arena_copy(a, ph__column(st, 6));
    r->notify = (uint8_t)sqlite3_column_int(st, 7);
    r->attempts = (uint32_t)sqlite3_column_int64(st, 8);
    r->next_try = sqlite3_column_type(st, 9) == SQLITE_NULL
                      ? PH_SPOOL_FRESH
                      : time_of(s, sqlite3_column_int64(st, 9));
    r->reply = ph_arena_copy(a, ph__column(st, 10));
    r->mailbox = ph_arena_copy(a, ph__column(st, 11));
    return r->address.p && r->original.p && r->folder.p && r->dest.p && r->reply.p && r->mailbox.p;
}

static int load_rcpts(struct ph_spool *s, uint64_t qid, struct ph_arena *a,
                      struct ph_spool_rcpt **ret_rcpts, size_t *ret_n)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_RCPTS);
    if (!st)
        return -PH_EIO;
    sqlite3_bind_int64(st, 1, (int64_t)qid);
    struct ph_spool_rcpt *rcpts = NULL;
    size_t n = 0, cap = 0;
    int rc, err = 0;
    while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        rcpts = ph_grow_in(a, rcpts, n, &cap, sizeof *rcpts);
        if (!rcpts || !read_rcpt(s, st, a, &rcpts[n++]))
            err = -PH_ENOMEM;
    }
    err = err ? err : ended(s, st, rc, 0);
    sqlite3_reset(st);
    if (err)
        return err;
    *ret_rcpts = rcpts;
    *ret_n = n;
    return 1;
}

int ph_spool_load(struct ph_spool *s, uint64_t qid, struct ph_arena *a,
                  struct ph_spool_letter *ret_letter, struct ph_spool_rcpt **ret_rcpts,
                  size_t *ret_n)
{
    sqlite3_stmt *st;
    int err = begin_read(s, SQL_LOAD, &st);
    if (err)
        return err;
    sqlite3_bind_int64(st, 1, (int64_t)qid);
    int rc = sqlite3_step(st);
    struct ph_spool_letter l = {.qid = qid};
    if (rc == SQLITE_ROW) {
        l.received = time_of(s, sqlite3_column_int64(st, 0));
        l.sender = ph_arena_copy(a, ph__column(st, 1));
        l.skip = (uint32_t)sqlite3_column_int64(st, 2);
        l.flags = (uint32_t)sqlite3_column_int64(st, 3);
        l.envid = ph_arena_copy(a, ph__column(st, 4));
        l.message_id = ph_arena_copy(a, ph__column(st, 5));
        l.owner = ph_arena_copy(a, ph__column(st, 6));
        l.size = (uint64_t)sqlite3_column_int64(st, 7);
    }
    err = ended(s, st, rc, rc == SQLITE_ROW);
    if (err <= 0)
        return err;
    if (!l.sender.p || !l.envid.p || !l.message_id.p || !l.owner.p)
        return -PH_ENOMEM;
    err = load_rcpts(s, qid, a, ret_rcpts, ret_n);
    if (err > 0)
        *ret_letter = l;
    return err;
}

static int read_body(struct ph_spool *s, uint64_t qid, uint64_t from, size_t most,
                     struct ph_buf *ret_body)
{
    sqlite3_blob *b = NULL;
    int rc = sqlite3_blob_open(s->db, "main", "body", "body", (int64_t)qid, 0, &b);
    if (rc != SQLITE_OK) {
        int err = ph__spool_error(s, rc);
        sqlite3_blob_close(b);
        return rc == SQLITE_ERROR ? -PH_ENOENT : err;
    }
    uint64_t size = (uint64_t)sqlite3_blob_bytes(b);
    size_t n = from >= size ? 0 : size - from < most ? (size_t)(size - from) : most;
    char *p = ph_buf_reserve(ret_body, n);
    int err = n && !p ? ph_buf_err(ret_body) : 0;
    if (!err && n) {
        rc = sqlite3_blob_read(b, p, (int)n, (int)from);
        err = rc == SQLITE_OK ? 0 : ph__spool_error(s, rc);
    }
    if (!err)
        ph_buf_commit(ret_body, n);
    sqlite3_blob_close(b);
    return err;
}

int ph_spool_body(struct ph_spool *s, uint64_t qid, uint64_t from, size_t most,
                  struct ph_buf *ret_summary, struct ph_buf *ret_body)
{
    sqlite3_stmt *st;
    int err = begin_read(s, SQL_SUMMARY, &st);
    if (!err && ret_summary) {
        sqlite3_bind_int64(st, 1, (int64_t)qid);
        int rc = sqlite3_step(st);
        if (rc == SQLITE_ROW)
            ph_buf_add(ret_summary, ph__column(st, 0));
        err = ended(s, st, rc, rc == SQLITE_ROW ? ph_buf_err(ret_summary) : -PH_ENOENT);
    }
    return err ? err : read_body(s, qid, from, most, ret_body);
}

/* How long the message is when it is packed; 0 when it is not, or gone. */
static int packed_size(struct ph_spool *s, uint64_t qid, uint64_t *ret_size)
{
    sqlite3_stmt *st;
    int err = begin_read(s, SQL_LOAD, &st);
    if (err)
        return err;
    sqlite3_bind_int64(st, 1, (int64_t)qid);
    int rc = sqlite3_step(st);
    bool packed = rc == SQLITE_ROW && sqlite3_column_int64(st, 3) & PH_SPOOL_PACKED;
    *ret_size = packed ? (uint64_t)sqlite3_column_int64(st, 7) : 0;
    return ended(s, st, rc, 0);
}

int ph_spool_text(struct ph_spool *s, uint64_t qid, size_t most, struct ph_buf *out)
{
    uint64_t size;
    int err = packed_size(s, qid, &size);
    if (err || !size)
        return err ? err : ph_spool_body(s, qid, 0, most, NULL, out);
    struct ph_buf packed;
    struct ph_packer *packer = ph_packer_new();
    ph_buf_init(&packed, NULL, PH_PACK_MOST);
    err = packer ? ph_spool_body(s, qid, 0, PH_PACK_MOST, NULL, &packed) : -PH_ENOMEM;
    if (!err)
        err = ph_unpack(packer, ph_buf_str(&packed), size, out);
    ph_buf_done(&packed);
    ph_packer_free(packer);
    return err;
}

int ph_spool_ages(struct ph_spool *s, uint64_t after, struct ph_spool_age *ret, size_t n)
{
    sqlite3_stmt *st;
    int err = begin_read(s, SQL_AGES, &st);
    if (err)
        return err;
    sqlite3_bind_int64(st, 1, (int64_t)after);
    sqlite3_bind_int64(st, 2, (int64_t)n);
    size_t got = 0;
    int rc = SQLITE_DONE;
    while (got < n && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        ret[got++] = (struct ph_spool_age){.qid = (uint64_t)sqlite3_column_int64(st, 0),
                                           .received = sqlite3_column_int64(st, 1),
                                           .flags = (uint32_t)sqlite3_column_int64(st, 2)};
    }
    return ended(s, st, rc, (int)got);
}

int ph_spool_sites(struct ph_spool *s, size_t n,
                   int (*each)(void *ctx, const struct ph_spool_site *site), void *ctx)
{
    sqlite3_stmt *st;
    int err = begin_read(s, SQL_SITES, &st);
    if (err)
        return err;
    sqlite3_bind_int64(st, 1, (int64_t)n);
    int rc = SQLITE_DONE, stop = 0;
    while (!stop && (rc = sqlite3_step(st)) == SQLITE_ROW)
        stop =
            each(ctx, &(struct ph_spool_site){.dest = ph__column(st, 0),
                                              .rcpts = (uint64_t)sqlite3_column_int64(st, 1),
                                              .held = (uint64_t)sqlite3_column_int64(st, 2),
                                              /* ids begin with the time */
                                              .oldest = time_of(s, sqlite3_column_int64(st, 3)),
                                              .next_try = time_of(s, sqlite3_column_int64(st, 4)),
                                              .reply = ph__column(st, 5)});
    return ended(s, st, rc, stop);
}

int ph_spool_count(struct ph_spool *s, uint64_t *ret_letters, uint64_t *ret_rcpts)
{
    sqlite3_stmt *st;
    int err = begin_read(s, SQL_TOTALS, &st);
    if (err)
        return err;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *ret_letters = (uint64_t)sqlite3_column_int64(st, 0);
        *ret_rcpts = (uint64_t)sqlite3_column_int64(st, 1);
    }
    return ended(s, st, rc, 0);
}
