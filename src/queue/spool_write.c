/* spool_write.c - transactions, puts and changes. The states are drawn in queue.h. */
#include "hash.h"
#include "spool.h"

#include <string.h>

/* A body from here on is written in pieces instead of being copied into a row whole. */
enum { PIECE = 1024 * 1024, WHOLE = 256 * 1024, BODY_MAX = 950 * 1000 * 1000 };

enum change_kind { CHANGE_DONE, CHANGE_WAIT, CHANGE_FLAG, CHANGE_EVENT };

struct spool_change {
    struct spool_change *next;
    enum change_kind kind;
    bool tied; /* dropped when the transaction is rolled back */
    uint64_t qid;
    union {
        struct {
            uint32_t idx, attempts;
            int64_t next_try;
            ph_str reply;
        } rcpt;
        uint32_t flags;
        struct {
            ph_str message_id, owner; /* both empty: the trip is there already */
            ph_str packed;
            uint64_t seq;
        } event;
    };
};

/* ---- transactions ------------------------------------------------------------------------ */

/* Makes sure of everything committed before, after a failure that may have left the log unsure
 * (docs/queue.md, "When the disk fails"). The connection is kept: it alone knows which frames of
 * the log count; a new one would read the failed transaction from the page cache and take it for
 * committed. */
static int repair(struct ph_spool *s)
{
    int err = ph_spool_checkpoint(s, 0);
    if (!err)
        s->state = SPOOL_IDLE;
    return err;
}

int ph_spool_begin(struct ph_spool *s)
{
    if (s->state == SPOOL_OPEN)
        return 0;
    if (s->state == SPOOL_DOUBT) {
        int err = repair(s);
        if (err)
            return err;
    }
    int err = ph__spool_step(s, SQL_BEGIN);
    if (err)
        return ph__spool_failed(s, err);
    s->state = SPOOL_OPEN;
    s->unapplied = &s->first;
    return 0;
}

void ph_spool_rollback(struct ph_spool *s)
{
    if (s->state == SPOOL_OPEN)
        ph__spool_failed(s, -PH_ENOMEM); /* nothing was wrong with the disk */
}

bool ph_spool_is_open(const struct ph_spool *s)
{
    return s->state == SPOOL_OPEN;
}

int ph__spool_meta(struct ph_spool *s, const char *key, uint64_t value)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_META_SET);
    if (st) {
        ph__bind_str(st, 1, ph_str_c(key));
        sqlite3_bind_int64(st, 2, (int64_t)value);
    }
    return ph__spool_run(s, st);
}

int ph_spool_commit(struct ph_spool *s)
{
    if (s->state != SPOOL_OPEN && !s->first && !s->skew_pending)
        return 0;
    int err = ph_spool_begin(s);
    if (!err)
        err = ph__spool_apply(s);
    if (err)
        return err;
    if (s->reserve_pending)
        err = ph__spool_meta(s, "next", s->reserved);
    if (!err && s->skew_pending)
        err = ph__spool_meta(s, "skew", (uint64_t)s->skew);
    if (!err)
        err = ph__spool_index(s);
    if (!err)
        err = ph__spool_step(s, SQL_COMMIT);
    if (err)
        return ph__spool_failed(s, err);
    s->state = SPOOL_IDLE;
    s->reserve_pending = s->skew_pending = false;
    s->indexed_safe = s->indexed;
    s->first = NULL;
    s->last = s->unapplied = &s->first;
    s->changes = 0;
    ph_arena_back(s->arena, s->empty);
    return 0;
}

/* ---- puts -------------------------------------------------------------------------------- */

static int pack_first(struct ph_spool *s, const struct ph_spool_letter *l)
{
    ph_buf_clear(&s->packed);
    for (size_t i = 0; i < l->events_n && s->packed.n < SPOOL_ROW_EVENTS / 2; i++)
        ph__spool_pack(&s->packed, &l->events[i]);
    return ph_buf_err(&s->packed);
}

static int put_letter(struct ph_spool *s, const struct ph_spool_letter *l)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_PUT_LETTER);
    if (!st)
        return ph__spool_run(s, st);
    int64_t hash = 0;
    int err = 0;
    sqlite3_bind_int64(st, 1, (int64_t)l->qid);
    sqlite3_bind_null(st, 2);
    sqlite3_bind_null(st, 11);
    if (s->journey) {
        err = pack_first(s, l);
        sqlite3_bind_int64(st, 2, hash = ph__spool_hash(l->message_id));
        ph__bind_blob(st, 11, ph_buf_str(&s->packed));
    }
    sqlite3_bind_int64(st, 3, l->received);
    sqlite3_bind_int64(st, 4, l->skip);
    sqlite3_bind_int64(st, 5, l->flags);
    sqlite3_bind_int64(st, 6, (int64_t)l->size);
    ph__bind_str(st, 7, l->message_id);
    ph__bind_str(st, 8, l->owner);
    ph__bind_str(st, 9, l->sender);
    ph__bind_str(st, 10, l->envid);
    if (!err)
        err = ph__spool_run(s, st);
    return err || !s->journey ? err : ph__spool_count_trip(s, l->qid, hash);
}

/* The body of the row just inserted, in pieces. */
static int write_pieces(struct ph_spool *s, uint64_t qid, ph_str body)
{
    sqlite3_blob *b = NULL;
    int rc = sqlite3_blob_open(s->db, "main", "body", "body", (int64_t)qid, 1, &b);
    for (size_t at = 0; rc == SQLITE_OK && at < body.n;) {
        size_t n = body.n - at < PIECE ? body.n - at : PIECE;
        rc = sqlite3_blob_write(b, body.p + at, (int)n, (int)at);
        at += n;
    }
    int err = rc == SQLITE_OK ? 0 : ph__spool_error(s, rc);
    rc = sqlite3_blob_close(b);
    return err || rc == SQLITE_OK ? err : ph__spool_error(s, rc);
}

static int put_body(struct ph_spool *s, uint64_t qid, ph_str summary, ph_str body)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_PUT_BODY);
    if (!st)
        return ph__spool_run(s, st);
    sqlite3_bind_int64(st, 1, (int64_t)qid);
    ph__bind_blob(st, 2, summary);
    if (body.n > WHOLE)
        sqlite3_bind_zeroblob64(st, 3, body.n);
    else
        ph__bind_blob(st, 3, body);
    int err = ph__spool_run(s, st);
    return !err && body.n > WHOLE ? write_pieces(s, qid, body) : err;
}

static unsigned lane_of(ph_str sender)
{
    uint64_t h = ph_hash_fixed(sender);
    return (unsigned)((h ^ h >> 32) % PH_SPOOL_LANES);
}

static int put_rcpt(struct ph_spool *s, uint64_t qid, const struct ph_spool_rcpt *r, unsigned lane)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_PUT_RCPT);
    if (!st)
        return ph__spool_run(s, st);
    sqlite3_bind_int64(st, 1, (int64_t)qid);
    sqlite3_bind_int64(st, 2, r->idx);
    sqlite3_bind_int(st, 3, r->target);
    ph__bind_str(st, 4, r->address);
    ph__bind_str(st, 5, r->original);
    sqlite3_bind_int64(st, 6, (int64_t)r->account);
    ph__bind_str(st, 7, r->folder);
    ph__bind_str(st, 8, r->dest);
    sqlite3_bind_int(st, 9, r->notify);
    sqlite3_bind_int64(st, 10, r->attempts);
    if (r->next_try == PH_SPOOL_FRESH)
        sqlite3_bind_null(st, 11);
    else
        sqlite3_bind_int64(st, 11, r->next_try);
    ph__bind_str(st, 12, r->reply);
    ph__bind_str(st, 13, r->mailbox);
    sqlite3_bind_int(st, 14, (int)lane);
    return ph__spool_run(s, st);
}

int ph_spool_put(struct ph_spool *s, const struct ph_spool_letter *l,
                 const struct ph_spool_rcpt *rcpts, size_t n, ph_str body)
{
    if (body.n > BODY_MAX)
        return -PH_ELIMIT;
    int err = ph_spool_begin(s);
    if (err)
        return err;
    err = put_letter(s, l);
    if (!err)
        err = put_body(s, l->qid, l->summary, body);
    for (size_t i = 0; !err && i < n; i++)
        err = put_rcpt(s, l->qid, &rcpts[i], lane_of(l->sender));
    return err ? ph__spool_failed(s, err) : 0;
}

/* ---- changes ----------------------------------------------------------------------------- */

static struct spool_change *change(struct ph_spool *s, enum change_kind kind, uint64_t qid)
{
    struct spool_change *c = PH_ARENA_NEW(s->arena, struct spool_change);
    if (c) {
        c->kind = kind;
        c->tied = s->tie;
        c->qid = qid;
    }
    return c;
}

static void append(struct ph_spool *s, struct spool_change *c)
{
    *s->last = c;
    s->last = &c->next;
    s->changes++;
}

static int no_room(struct ph_spool *s)
{
    return ph_arena_used(s->arena) > PH_SPOOL_CHANGES / 2 ? -PH_ELIMIT : -PH_ENOMEM;
}

/* An invalid slice (p NULL, n 1) on failure, so that one check at the end is enough. */
static ph_str keep(struct ph_spool *s, ph_str v, size_t most, bool *ret_failed)
{
    if (!v.n)
        return (ph_str){0};
    ph_str copy = ph_arena_copy(s->arena, ph_str_sub(v, 0, most));
    if (!copy.p)
        *ret_failed = true;
    return copy;
}

int ph_spool_done(struct ph_spool *s, uint64_t qid, uint32_t idx)
{
    struct spool_change *c = change(s, CHANGE_DONE, qid);
    if (!c)
        return no_room(s);
    c->rcpt.idx = idx;
    append(s, c);
    return 0;
}

int ph_spool_wait(struct ph_spool *s, uint64_t qid, uint32_t idx, uint32_t attempts,
                  int64_t next_try, ph_str reply)
{
    bool failed = false;
    struct spool_change *c = change(s, CHANGE_WAIT, qid);
    if (!c)
        return no_room(s);
    c->rcpt.idx = idx;
    c->rcpt.attempts = attempts;
    c->rcpt.next_try = next_try;
    c->rcpt.reply = keep(s, reply, PH_SPOOL_REPLY, &failed);
    if (failed)
        return no_room(s);
    append(s, c);
    return 0;
}

int ph_spool_flag(struct ph_spool *s, uint64_t qid, uint32_t flags)
{
    struct spool_change *c = change(s, CHANGE_FLAG, qid);
    if (!c)
        return no_room(s);
    c->flags = flags;
    append(s, c);
    return 0;
}

int ph_spool_event(struct ph_spool *s, ph_str message_id, ph_str owner,
                   const struct ph_spool_event *e)
{
    if (!s->journey)
        return 0;
    bool failed = false;
    struct spool_change *c =
        change(s, CHANGE_EVENT, e->qid ? e->qid : ph_spool_id(s, e->time + s->skew));
    if (!c)
        return no_room(s);
    ph_buf_clear(&s->packed);
    ph__spool_pack(&s->packed, e);
    c->event.message_id = keep(s, message_id, PH_SPOOL_REPLY, &failed);
    c->event.owner = keep(s, owner, PH_SPOOL_REPLY, &failed);
    c->event.packed = keep(s, ph_buf_str(&s->packed), SPOOL_ROW_EVENTS, &failed);
    c->event.seq = ph_spool_id(s, e->time + s->skew);
    if (failed || ph_buf_err(&s->packed))
        return no_room(s);
    append(s, c);
    return 0;
}

void ph_spool_tie(struct ph_spool *s, bool tie)
{
    s->tie = tie;
}

void ph__spool_untie(struct ph_spool *s)
{
    struct spool_change **at = &s->first;
    while (*at) {
        if ((*at)->tied) {
            *at = (*at)->next;
            s->changes--;
        } else {
            at = &(*at)->next;
        }
    }
    s->last = at;
    s->unapplied = &s->first;
}

uint64_t ph_spool_rollbacks(const struct ph_spool *s)
{
    return s->rollbacks;
}

size_t ph_spool_changes(const struct ph_spool *s)
{
    return s->changes + s->skew_pending;
}

/* ---- applying them ----------------------------------------------------------------------- */

static int done_rcpt(struct ph_spool *s, const struct spool_change *c)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_DONE_RCPT);
    if (st) {
        sqlite3_bind_int64(st, 1, (int64_t)c->qid);
        sqlite3_bind_int64(st, 2, c->rcpt.idx);
    }
    return ph__spool_run(s, st);
}

static int drop(struct ph_spool *s, enum spool_sql which, uint64_t qid)
{
    sqlite3_stmt *st = ph__spool_stmt(s, which);
    if (st)
        sqlite3_bind_int64(st, 1, (int64_t)qid);
    return ph__spool_run(s, st);
}

/* Does nothing while it has other recipients. */
static int done_letter(struct ph_spool *s, uint64_t qid)
{
    int err = drop(s, SQL_DONE_BODY, qid);
    if (err || !sqlite3_changes(s->db))
        return err;
    return s->journey ? 0 : drop(s, SQL_DONE_LETTER, qid);
}

static int apply_wait(struct ph_spool *s, const struct spool_change *c)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_WAIT);
    if (st) {
        sqlite3_bind_int64(st, 1, (int64_t)c->qid);
        sqlite3_bind_int64(st, 2, c->rcpt.idx);
        sqlite3_bind_int64(st, 3, c->rcpt.attempts);
        sqlite3_bind_int64(st, 4, c->rcpt.next_try);
        ph__bind_str(st, 5, c->rcpt.reply);
    }
    return ph__spool_run(s, st);
}

static int apply_flag(struct ph_spool *s, const struct spool_change *c)
{
    sqlite3_stmt *st = ph__spool_stmt(s, SQL_FLAG);
    if (st) {
        sqlite3_bind_int64(st, 1, (int64_t)c->qid);
        sqlite3_bind_int64(st, 2, c->flags);
    }
    return ph__spool_run(s, st);
}

/* Events and ends of one letter that come one after the other are applied together: the events are
 * one row. *c is then the last one applied. */
static int apply_run(struct ph_spool *s, struct spool_change **c)
{
    const struct spool_change *event = NULL;
    uint64_t qid = (*c)->qid;
    bool ended = false;
    int err = 0, begun = 0;
    ph_buf_clear(&s->packed);
    for (struct spool_change *at = *c;
         at && at->qid == qid && (at->kind == CHANGE_EVENT || at->kind == CHANGE_DONE) && !err &&
         s->packed.n < SPOOL_ROW_EVENTS / 2;
         at = at->next) {
        *c = at;
        if (at->kind == CHANGE_DONE) {
            ended = true;
            err = done_rcpt(s, at);
        } else {
            event = event ? event : at;
            ph_buf_add(&s->packed, at->event.packed);
        }
    }
    if (!err && ended)
        err = done_letter(s, qid);
    if (!err)
        err = ph_buf_err(&s->packed);
    if (err || !event)
        return err;
    ph_str packed = ph_buf_str(&s->packed);
    if (event->event.message_id.n || event->event.owner.n)
        begun = ph__spool_begin_trip(s, qid, event->event.message_id, event->event.owner, packed);
    if (begun)
        return begun < 0 ? begun : 0;
    return ph__spool_add_events(s, qid, event->event.seq, packed);
}

int ph__spool_apply(struct ph_spool *s)
{
    for (struct spool_change *c; (c = *s->unapplied); s->unapplied = &c->next) {
        int err = c->kind == CHANGE_WAIT   ? apply_wait(s, c)
                  : c->kind == CHANGE_FLAG ? apply_flag(s, c)
                                           : apply_run(s, &c);
        if (err)
            return ph__spool_failed(s, err);
    }
    return 0;
}

int ph__spool_settle(struct ph_spool *s)
{
    if (s->state == SPOOL_DOUBT || (s->first && s->state == SPOOL_IDLE)) {
        int err = s->read_only ? 0 : ph_spool_begin(s);
        if (err)
            return err;
    }
    return s->state == SPOOL_OPEN ? ph__spool_apply(s) : 0;
}
