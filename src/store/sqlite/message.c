/* message.c - storing, listing, reading. */
#include "sqlite_int.h"

#include <string.h>
#include <strings.h>

/* ---- shared ------------------------------------------------------------------------------- */

void sq_row(sqlite3_stmt *st, struct store_message *ret)
{
    *ret = (struct store_message){
        .uid = (uint32_t)sqlite3_column_int64(st, 0),
        .modseq = (uint64_t)sqlite3_column_int64(st, 1),
        .flags = (unsigned)sqlite3_column_int64(st, 2),
        .keywords = sq_text(st, 3),
        .date = sqlite3_column_int64(st, 4),
        .saved = sqlite3_column_int64(st, 5),
        .size = (uint64_t)sqlite3_column_int64(st, 6),
        .emailid = (uint64_t)sqlite3_column_int64(st, 7),
    };
}

static void flags_row(sqlite3_stmt *st, struct store_message *ret)
{
    *ret = (struct store_message){
        .uid = (uint32_t)sqlite3_column_int64(st, 0),
        .modseq = (uint64_t)sqlite3_column_int64(st, 1),
        .flags = (unsigned)sqlite3_column_int64(st, 2),
        .keywords = sq_text(st, 3),
        .emailid = (uint64_t)sqlite3_column_int64(st, 4),
    };
}

void mbox_count_add(struct mbox *m, uint32_t uid, unsigned flags, uint64_t size)
{
    if (!(flags & STORE_SEEN) && m->unseen++ == 0) {
        m->seen_below = uid;
        m->seen_exact = true;
    }
    m->messages++;
    m->deleted += (flags & STORE_DELETED) != 0;
    m->size += size;
    m->dirty = true;
}

void mbox_count_del(struct mbox *m, uint32_t uid, unsigned flags, uint64_t size)
{
    m->seen_exact &= uid != m->seen_below;
    m->messages--;
    m->unseen -= !(flags & STORE_SEEN);
    m->deleted -= (flags & STORE_DELETED) != 0;
    m->size -= size;
    m->dirty = true;
}

ph_str chunk_keywords(const struct chunk *c, const struct chunk_row *r)
{
    return (ph_str){c->kw.p ? c->kw.p + r->kw_at : NULL, r->kw_n};
}

int chunk_read(struct store_account *a, uint64_t mailbox, uint32_t from, uint32_t to,
               unsigned flags, struct chunk *c)
{
    c->n = 0;
    ph_buf_clear(&c->kw);
    sqlite3_stmt *st = sq_start(a, ST_LIST_CHUNK, "iiiii", (int64_t)mailbox, (int64_t)from,
                                (int64_t)to, (int64_t)flags, (int64_t)CHUNK);
    int r = st ? sq_step(a, st) : -a->err.code;
    for (; r > 0 && c->n < CHUNK; r = sq_step(a, st)) {
        struct store_message m;
        sq_row(st, &m);
        c->v[c->n++] = (struct chunk_row){m.uid,  m.flags, m.modseq, m.emailid,   m.size,
                                          m.date, m.saved, c->kw.n,  m.keywords.n};
        ph_buf_add(&c->kw, m.keywords);
    }
    if (r > 0)
        sqlite3_reset(st);
    if (r >= 0 && ph_buf_err(&c->kw))
        r = sq_fail(a, PH_ENOMEM, 0, "out of memory");
    return r < 0 ? r : 0;
}

/* ---- put ---------------------------------------------------------------------------------- */

/* The next id; the mark on disk is moved ahead in the same transaction. */
static uint64_t next_email(struct store_account *a)
{
    if (a->email_next >= a->email_limit) {
        a->email_limit = a->email_next + EMAIL_RESERVE;
        a->meta_dirty = true;
    }
    return a->email_next++;
}

/* A mailbox that a sender may name ("user+name"): not those in which nobody looks for new mail. */
static struct mbox *delivery_target(struct store_account *a, ph_str name)
{
    for (size_t i = 0; i < a->mb_n; i++) {
        struct mbox *m = &a->mb[i];
        bool open = !m->special || !*m->special || !strcasecmp(m->special, "\\Junk");
        if (m->state == MBOX_LIVE && open && ph_str_ieq((ph_str){m->name, m->name_n}, name))
            return m;
    }
    return NULL;
}

static struct mbox *put_target(struct store_account *a, const struct store_letter *l)
{
    char norm[STORE_NAME_MAX];
    int n = l->mailbox.n ? store_name_norm(l->mailbox, norm, &a->err) : -PH_EINVAL;
    ph_str name = {norm, n < 0 ? 0 : (size_t)n};
    struct mbox *m = n < 0 ? NULL : l->qid ? delivery_target(a, name) : mbox_find(a, name);
    if ((!m || m->state != MBOX_LIVE) && l->qid)
        m = mbox_find(a, PH_STR("INBOX"));
    if (m && m->state == MBOX_LIVE)
        return m;
    if (n >= 0 || l->mailbox.n == 0)
        sq_fail(a, PH_ENOENT, 0, "no such mailbox");
    return NULL;
}

/* 1: (qid, address) was delivered before, and ret tells where. */
static int delivered_before(struct store_account *a, const struct store_letter *l,
                            struct store_put *ret)
{
    sqlite3_stmt *st = sq_start(a, ST_DELIVERED_GET, "it", (int64_t)l->qid, l->address);
    int r = st ? sq_step(a, st) : -a->err.code;
    if (r <= 0)
        return r;
    ret->mailbox = (uint64_t)sqlite3_column_int64(st, 0);
    ret->uid = (uint32_t)sqlite3_column_int64(st, 1);
    ret->again = true;
    sqlite3_reset(st);
    return 1;
}

/* Claims (qid, address). 1: it had been delivered before, and ret tells where. */
static int claim_key(struct store_account *a, const struct store_letter *l, const struct mbox *m,
                     int64_t now, struct store_put *ret)
{
    int r = sq_run(a, ST_DELIVERED_ADD, "itiii", (int64_t)l->qid, l->address, (int64_t)m->id,
                   (int64_t)m->uidnext, now);
    return r < 0 || sqlite3_changes(a->db) > 0 ? r : delivered_before(a, l, ret);
}

static int add_email(struct store_account *a, const struct store_letter *l, uint64_t emailid)
{
    struct packed p;
    uint64_t thread;
    int r = sq_thread(a, l, emailid, &thread);
    if (r >= 0)
        r = body_pack(a, emailid, l, &p);
    if (r >= 0)
        r = sq_run(a, ST_EMAIL_ADD, "iiiitbi", (int64_t)emailid, (int64_t)p.form,
                   (int64_t)body_size(l), (int64_t)l->qid, l->message_id, l->summary,
                   (int64_t)thread);
    if (r >= 0 && p.form <= FORM_ZSTD)
        r = sq_run(a, ST_CONTENT_ADD, "ib", (int64_t)emailid, p.data);
    return r;
}

static int put_new(struct store_account *a, const struct store_letter *l, struct mbox *m,
                   int64_t now, struct store_put *ret)
{
    uint64_t emailid = next_email(a);
    unsigned flags = l->flags & STORE_FLAGS;
    int r = add_email(a, l, emailid);
    if (r >= 0)
        r = sq_run(a, ST_MESSAGE_ADD, "iiiitiiii", (int64_t)m->id, (int64_t)m->uidnext,
                   (int64_t)emailid, (int64_t)flags, l->keywords, (int64_t)(m->modseq + 1),
                   l->date ? l->date : now, now, (int64_t)body_size(l));
    if (r >= 0 && l->uidl.n > 0) {
        r = sq_run(a, ST_UIDL_ADD, "iit", (int64_t)m->id, (int64_t)m->uidnext, l->uidl);
        a->uidls = true;
    }
    if (r < 0)
        return r;
    m->modseq++;
    ret->mailbox = m->id;
    ret->uid = m->uidnext++;
    mbox_count_add(m, ret->uid, flags, body_size(l));
    return 0;
}

static int put_in(struct store_account *a, const struct store_letter *l, struct store_put *ret)
{
    struct store_put out = {0};
    int64_t now = sq_now();
    struct mbox *m = put_target(a, l);
    if (!m)
        return -a->err.code;
    if (body_check(a, l) < 0)
        return -a->err.code;
    if (body_size(l) > a->s->max_message)
        return sq_fail(a, PH_ELIMIT, 0, "the message is larger than %llu bytes",
                       (unsigned long long)a->s->max_message);
    if (m->uidnext == UINT32_MAX)
        return sq_fail(a, PH_ELIMIT, 0, "the mailbox has used all its uids");
    if (l->uidl.n > STORE_UIDL_MAX)
        return sq_fail(a, PH_EINVAL, 0, "a UIDL has at most %d bytes", STORE_UIDL_MAX);
    ph_buf_clear(&a->keywords);
    int r = sq_quota(a, 1, body_size(l));
    if (r == -PH_EQUOTA && l->qid && delivered_before(a, l, &out) > 0)
        r = 0; /* it is in already */
    if (r >= 0)
        r = l->keywords.n ? mbox_keywords_add(a, m, l->keywords) : 0;
    if (r >= 0 && l->qid && !out.again)
        r = claim_key(a, l, m, now, &out);
    if (r == 0 && !out.again)
        r = put_new(a, l, m, now, &out);
    if (r < 0)
        return r;
    out.uidvalidity = m->uidvalidity;
    out.modseq = m->modseq;
    *ret = out;
    return 0;
}

int sq_put(struct store_account *a, const struct store_letter *l, struct store_put *ret,
           struct ph_error *reterr)
{
    int r = sq_enter(a, true);
    if (r >= 0)
        r = put_in(a, l, ret);
    return sq_leave(a, r, reterr);
}

/* ---- list, body --------------------------------------------------------------------------- */

/* Was it read by its owner, as far as the file and memory know? */
static bool was_read(const struct store_account *a, uint64_t mailbox, uint32_t uid, unsigned flags)
{
    for (size_t i = 0; !(flags & FLAG_READ) && i < a->reads_n; i++)
        if (a->reads[i].uid == uid && a->reads[i].mailbox == mailbox)
            return true;
    return flags & FLAG_READ;
}

/* Is this the first reading? If so it is remembered, in the file with the next transaction. */
static int first_read(struct store_account *a, uint64_t mailbox, uint32_t uid, unsigned flags)
{
    if (was_read(a, mailbox, uid, flags))
        return 0;
    if (a->reads_n == READS_MAX) {
        int r = sq_write_back(a);
        if (r < 0)
            return r;
    }
    a->reads[a->reads_n].mailbox = mailbox;
    a->reads[a->reads_n++].uid = uid;
    return 1;
}

int sq_were_read(struct store_account *a, uint64_t mailbox, const struct uidset *uids)
{
    const struct mbox *m = mbox_live(a, mailbox);
    int r = m ? 0 : -a->err.code;
    for (size_t i = 0; r >= 0 && i < uids->n; i++)
        for (uint32_t uid = uids->v[i].from; r >= 0 && uid <= uids->v[i].to && uid < m->uidnext;
             uid++)
            r = first_read(a, mailbox, uid, 0);
    return r < 0 ? r : 0;
}

/* What `list` is asked for. */
struct listing {
    enum statement q;
    uint64_t mailbox, since;
    bool uidl, fresh, packed;
    store_message_fn *row;
    void *ctx;
};

static int give_body(struct store_account *a, sqlite3_stmt *st, const struct listing *l,
                     struct store_message *m)
{
    enum form form = (enum form)sqlite3_column_int(st, 10);
    m->packed = l->packed && form == FORM_ZSTD && m->size <= STORE_PACKED_MAX;
    if (!m->packed)
        return body_unpack(a, form, m->emailid, sq_blob(st, 11), m->size, &m->body);
    m->body = sq_blob(st, 11);
    return 0;
}

static int give(struct store_account *a, sqlite3_stmt *st, const struct listing *l)
{
    struct store_message m;
    sqlite3_stmt *uidl = NULL;
    if (l->q == ST_LIST_FLAGS)
        flags_row(st, &m);
    else
        sq_row(st, &m);
    if (m.modseq <= l->since)
        return 0;
    bool fresh =
        l->fresh && sqlite3_column_int64(st, 12) && !was_read(a, l->mailbox, m.uid, m.flags);
    m.flags = (m.flags & STORE_FLAGS) | (fresh ? (unsigned)STORE_FRESH : 0);
    if (fresh) {
        m.qid = (uint64_t)sqlite3_column_int64(st, 12);
        m.journey = sq_text(st, 13);
    }
    if (l->q == ST_LIST_SUMMARY || l->q == ST_LIST_BODY) {
        m.summary = sq_blob(st, 8);
        m.thread = (uint64_t)sqlite3_column_int64(st, 9);
    }
    if (l->q == ST_LIST_BODY && m.size <= STORE_INLINE_MAX) {
        int r = give_body(a, st, l, &m);
        if (r < 0)
            return r;
    }
    if (l->uidl) {
        uidl = sq_start(a, ST_UIDL_GET, "ii", (int64_t)l->mailbox, (int64_t)m.uid);
        int r = uidl ? sq_step(a, uidl) : -a->err.code;
        if (r < 0)
            return r;
        if (r > 0)
            m.uidl = sq_text(uidl, 0);
    }
    int r = l->row(l->ctx, &m);
    sqlite3_reset(uidl);
    return r;
}

static int list_range(struct store_account *a, const struct listing *l, const struct uidrange *u)
{
    sqlite3_stmt *st =
        sq_start(a, l->q, "iii", (int64_t)l->mailbox, (int64_t)u->from, (int64_t)u->to);
    int r = st ? sq_step(a, st) : -a->err.code;
    while (r > 0) {
        r = give(a, st, l);
        if (r != 0) {
            sqlite3_reset(st);
            return r;
        }
        r = sq_step(a, st);
    }
    return r;
}

int sq_list_flags(struct store_account *a, uint64_t mailbox, store_message_fn *row, void *ctx)
{
    struct listing l = {.q = ST_LIST_FLAGS, .mailbox = mailbox, .row = row, .ctx = ctx};
    return list_range(a, &l, &(struct uidrange){1, UINT32_MAX});
}

int sq_list(struct store_account *a, uint64_t mailbox, const struct uidset *uids, unsigned mask,
            uint64_t since, store_message_fn *row, void *ctx, struct ph_error *reterr)
{
    struct listing l = {.q = mask & STORE_F_BODY                         ? ST_LIST_BODY
                             : mask & (STORE_F_SUMMARY | STORE_F_THREAD) ? ST_LIST_SUMMARY
                             : mask & (STORE_F_DATES | STORE_F_SIZE)     ? ST_LIST
                                                                         : ST_LIST_FLAGS,
                        .mailbox = mailbox,
                        .since = since,
                        .row = row,
                        .ctx = ctx};
    l.fresh = l.q == ST_LIST_BODY && mask & STORE_F_FRESH;
    l.packed = mask & STORE_F_PACKED;
    int r = sq_enter(a, false);
    l.uidl = mask & STORE_F_UIDL && a->uidls;
    struct mbox *m = r < 0 ? NULL : mbox_live(a, mailbox);
    if (!m)
        r = -a->err.code;
    bool cached = false, light = !(mask & (STORE_F_DATES | STORE_F_SIZE)) && !l.uidl;
    bool summaries = l.q == ST_LIST_SUMMARY && light && !since;
    if (m && r == 0 && (summaries || (l.q == ST_LIST_FLAGS && light))) {
        r = cache_ready(a, m, 2 * uidset_count(uids) > m->messages);
        cached = r > 0;
        if (cached)
            r = summaries ? cache_give_summaries(a, uids, row, ctx)
                          : cache_give(a, uids, since, row, ctx);
    }
    for (size_t i = 0; m && !cached && r == 0 && i < uids->n && uids->v[i].from < m->uidnext; i++)
        r = list_range(a, &l, &uids->v[i]);
    return sq_leave(a, r, reterr);
}

static int read_body(struct store_account *a, sqlite3_stmt *st, uint64_t mailbox, uint32_t uid,
                     bool peek, struct store_body *ret)
{
    struct store_body out = {.fd = -1, .size = (uint64_t)sqlite3_column_int64(st, 3)};
    unsigned flags = (unsigned)sqlite3_column_int64(st, 0);
    uint64_t emailid = (uint64_t)sqlite3_column_int64(st, 1);
    enum form form = (enum form)sqlite3_column_int(st, 2);
    out.qid = (uint64_t)sqlite3_column_int64(st, 4);
    int r = out.qid && !peek ? first_read(a, mailbox, uid, flags) : 0;
    if (r > 0) {
        ph_buf_clear(&a->keywords); /* outlives the statement */
        ph_buf_add(&a->keywords, sq_text(st, 5));
        out.journey = ph_buf_str(&a->keywords);
    }
    if (r >= 0)
        r = out.size > STORE_INLINE_MAX
                ? body_unpack_fd(a, form, emailid, sq_blob(st, 6), out.size, &out.fd)
                : body_unpack(a, form, emailid, sq_blob(st, 6), out.size, &out.bytes);
    if (r >= 0)
        *ret = out;
    return r;
}

static int body_in(struct store_account *a, uint64_t mailbox, uint32_t uid, bool peek,
                   struct store_body *ret)
{
    if (!mbox_live(a, mailbox))
        return -a->err.code;
    sqlite3_stmt *st = sq_start(a, ST_MESSAGE_GET, "ii", (int64_t)mailbox, (int64_t)uid);
    int r = st ? sq_step(a, st) : -a->err.code;
    if (r == 0)
        return sq_fail(a, PH_ENOENT, 0, "the message does not exist any more");
    if (r < 0)
        return r;
    r = read_body(a, st, mailbox, uid, peek, ret);
    sqlite3_reset(st);
    return r;
}

int sq_body(struct store_account *a, uint64_t mailbox, uint32_t uid, bool peek,
            struct store_body *ret, struct ph_error *reterr)
{
    int r = sq_enter(a, false);
    if (r >= 0)
        r = body_in(a, mailbox, uid, peek, ret);
    return sq_leave(a, r, reterr);
}
