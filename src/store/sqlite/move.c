/* move.c - COPY, MOVE, EXPUNGE, and the emptying of a whole mailbox. */
#include "sqlite_int.h"

#include <string.h>

/* One message row less for this email; with its last one its body goes, too. */
static int unref(struct store_account *a, uint64_t emailid)
{
    sqlite3_stmt *st = sq_start(a, ST_EMAIL_DEL, "i", (int64_t)emailid);
    int r = st ? sq_step(a, st) : -a->err.code;
    if (r < 0)
        return r;
    if (r == 0)
        return sq_run(a, ST_EMAIL_UNREF, "i", (int64_t)emailid);
    enum form form = (enum form)sqlite3_column_int(st, 0);
    sqlite3_reset(st);
    r = index_dropped(a, emailid);
    if (r < 0)
        return r;
    if (form <= FORM_ZSTD)
        return sq_run(a, ST_CONTENT_DEL, "i", (int64_t)emailid);
    return ids_add(&a->dead_now, emailid) < 0 ? sq_fail(a, PH_ENOMEM, 0, "out of memory") : 0;
}

/* The row of one message, and what was kept with it. */
static int remove_row(struct store_account *a, const struct mbox *m, uint32_t uid)
{
    int r = sq_run(a, ST_MESSAGE_DEL, "ii", (int64_t)m->id, (int64_t)uid);
    return r < 0 || !a->uidls ? r : sq_run(a, ST_UIDL_DEL, "ii", (int64_t)m->id, (int64_t)uid);
}

int sq_remove_gone(struct store_account *a, struct mbox *m, const struct uidset *gone)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < gone->n; i++)
        r = sq_run(a, ST_GONE_ADD, "iiii", (int64_t)m->id, (int64_t)gone->v[i].from,
                   (int64_t)gone->v[i].to, (int64_t)++m->modseq);
    m->dirty |= gone->n > 0;
    return r;
}

/* ---- transfer: COPY and MOVE -------------------------------------------------------------- */

struct transfer {
    struct store_account *a;
    struct mbox *from, *to;
    bool move;
    int64_t now;
    struct uidset from_uids, to_uids;
};

static int transfer_row(struct transfer *t, const struct chunk_row *x, ph_str keywords)
{
    struct store_account *a = t->a;
    if (t->to->uidnext == UINT32_MAX)
        return sq_fail(a, PH_ELIMIT, 0, "the mailbox has used all its uids");
    uint32_t uid = t->to->uidnext;
    int q = t->move ? 0 : sq_quota(a, 1, x->size);
    if (q < 0)
        return q;
    a->partial = true;
    int r = keywords.n ? mbox_keywords_add(a, t->to, keywords) : 0;
    if (r >= 0)
        r = sq_run(a, ST_MESSAGE_ADD, "iiiitiiii", (int64_t)t->to->id, (int64_t)uid,
                   (int64_t)x->emailid, (int64_t)x->flags, keywords, (int64_t)++t->to->modseq,
                   x->date, t->now, (int64_t)x->size);
    if (r >= 0)
        r = t->move ? remove_row(a, t->from, x->uid)
                    : sq_run(a, ST_EMAIL_REF, "i", (int64_t)x->emailid);
    if (r < 0)
        return r;
    t->to->uidnext++;
    mbox_count_add(t->to, uid, x->flags, x->size);
    if (t->move)
        mbox_count_del(t->from, x->uid, x->flags, x->size);
    if (uidset_add(&t->from_uids, x->uid, x->uid) < 0 || uidset_add(&t->to_uids, uid, uid) < 0)
        return sq_fail(a, PH_ENOMEM, 0, "out of memory");
    return 0;
}

static int transfer_range(struct transfer *t, struct chunk *c, uint32_t from, uint32_t to)
{
    while (from <= to) {
        int r = chunk_read(t->a, t->from->id, from, to, 0, c);
        for (size_t i = 0; r >= 0 && i < c->n; i++)
            r = transfer_row(t, &c->v[i], chunk_keywords(c, &c->v[i]));
        if (r < 0)
            return r;
        if (c->n < CHUNK)
            break;
        from = c->v[c->n - 1].uid + 1;
    }
    return 0;
}

/* Uids above the ones there were at the start are our own copies, when both mailboxes are one. */
static int transfer(struct transfer *t, const struct uidset *uids)
{
    struct chunk c;
    uint32_t most = t->from->uidnext - 1;
    ph_buf_init(&c.kw, NULL, CHUNK * STORE_KEYWORDS_MAX);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < uids->n && uids->v[i].from <= most; i++)
        r = transfer_range(t, &c, uids->v[i].from, uids->v[i].to < most ? uids->v[i].to : most);
    ph_buf_done(&c.kw);
    if (r >= 0 && t->move)
        r = sq_remove_gone(t->a, t->from, &t->from_uids);
    return r;
}

static int copy_in(struct transfer *t, uint64_t mailbox, const struct uidset *uids, ph_str to)
{
    struct store_account *a = t->a;
    char norm[STORE_NAME_MAX];
    int n = store_name_norm(to, norm, &a->err);
    if (n < 0)
        return n;
    t->from = mbox_live(a, mailbox);
    if (!t->from)
        return -a->err.code;
    t->to = mbox_find(a, (ph_str){norm, (size_t)n});
    if (!t->to || t->to->state != MBOX_LIVE)
        return sq_fail(a, PH_EINVAL, 0, "no such mailbox to copy to");
    return transfer(t, uids);
}

int sq_copy(struct store_account *a, uint64_t mailbox, const struct uidset *uids, ph_str to,
            bool move, struct store_copied *ret, struct ph_error *reterr)
{
    struct transfer t = {.a = a, .move = move, .now = sq_now()};
    int r = sq_enter(a, true);
    if (r >= 0)
        r = copy_in(&t, mailbox, uids, to);
    if (r >= 0)
        *ret = (struct store_copied){.to_mailbox = t.to->id,
                                     .uidvalidity = t.to->uidvalidity,
                                     .from_modseq = t.from->modseq,
                                     .to_modseq = t.to->modseq};
    r = sq_leave(a, r, reterr);
    if (r >= 0) {
        ret->from = t.from_uids;
        ret->to = t.to_uids;
    } else {
        uidset_done(&t.from_uids);
        uidset_done(&t.to_uids);
    }
    return r;
}

int sq_move_all(struct store_account *a, struct mbox *from, struct mbox *to)
{
    struct transfer t = {.a = a, .from = from, .to = to, .move = true, .now = sq_now()};
    struct uidrange all = {1, UINT32_MAX};
    struct uidset uids = {&all, 1, 1};
    int r = transfer(&t, &uids);
    uidset_done(&t.from_uids);
    uidset_done(&t.to_uids);
    return r;
}

/* ---- expunge ------------------------------------------------------------------------------ */

static int remove_range(struct store_account *a, struct mbox *m, struct uidrange u, unsigned flags,
                        struct chunk *c, struct uidset *gone)
{
    do {
        int r = chunk_read(a, m->id, u.from, u.to, flags, c);
        for (size_t i = 0; r >= 0 && i < c->n; i++) {
            const struct chunk_row *x = &c->v[i];
            a->partial = true;
            r = remove_row(a, m, x->uid);
            if (r >= 0)
                r = unref(a, x->emailid);
            if (r >= 0 && gone && uidset_add(gone, x->uid, x->uid) < 0)
                r = sq_fail(a, PH_ENOMEM, 0, "out of memory");
            if (r >= 0)
                mbox_count_del(m, x->uid, x->flags, x->size);
            u.from = x->uid + 1;
        }
        if (r < 0)
            return r;
    } while (c->n == CHUNK && u.from != 0 && u.from <= u.to);
    return 0;
}

static int remove_set(struct store_account *a, struct mbox *m, const struct uidset *uids,
                      unsigned flags, struct uidset *gone)
{
    struct uidrange all = {1, UINT32_MAX};
    struct chunk c;
    ph_buf_init(&c.kw, NULL, CHUNK * STORE_KEYWORDS_MAX);
    int r = uids ? 0 : remove_range(a, m, all, flags, &c, gone);
    for (size_t i = 0; uids && r >= 0 && i < uids->n && uids->v[i].from < m->uidnext; i++)
        r = remove_range(a, m, uids->v[i], flags, &c, gone);
    ph_buf_done(&c.kw);
    return r;
}

int sq_remove_all(struct store_account *a, struct mbox *m)
{
    int r = remove_set(a, m, NULL, 0, NULL);
    return r < 0 ? r : sq_run(a, ST_GONE_FORGET, "i", (int64_t)m->id);
}

int sq_expire(struct store_account *a, struct mbox *m, int64_t saved_before)
{
    struct uidset old = {0}, gone = {0};
    sqlite3_stmt *st = sq_start(a, ST_SAVED_BEFORE, "ii", (int64_t)m->id, saved_before);
    int r = st ? 0 : -a->err.code;
    while (r >= 0 && (r = sq_step(a, st)) > 0) {
        uint32_t uid = (uint32_t)sqlite3_column_int64(st, 0);
        if (uidset_add(&old, uid, uid) < 0)
            r = sq_fail(a, PH_ENOMEM, 0, "out of memory");
    }
    sqlite3_reset(st);
    if (r >= 0 && old.n > 0)
        r = remove_set(a, m, &old, 0, &gone);
    if (r >= 0)
        r = sq_remove_gone(a, m, &gone);
    uidset_done(&old);
    uidset_done(&gone);
    return r;
}

int sq_expunge(struct store_account *a, uint64_t mailbox, const struct uidset *uids,
               struct uidset *gone, uint64_t *ret_modseq, struct ph_error *reterr)
{
    int r = sq_enter(a, true);
    struct mbox *m = r < 0 ? NULL : mbox_live(a, mailbox);
    r = !m ? -a->err.code : m->deleted == 0 ? 0 : remove_set(a, m, uids, STORE_DELETED, gone);
    if (r >= 0)
        r = sq_remove_gone(a, m, gone);
    if (r >= 0)
        *ret_modseq = m->modseq;
    return sq_leave(a, r, reterr);
}
