/* flags.c - changing flags, and what changed since. */
#include "sqlite_int.h"

#include <string.h>

enum { GONE_RANGES = 10000 }; /* of one `changes` answer */

struct flagging {
    struct store_account *a;
    struct mbox *m;
    const struct store_flagging *f;
    store_message_fn *row;
    void *ctx;
    struct uidset *modified;
    bool stopped;
    struct ph_buf kw;
};

static unsigned flags_after(unsigned now, const struct store_flagging *f)
{
    unsigned arg = f->flags & STORE_FLAGS;
    switch (f->op) {
    case STORE_FLAGS_ADD:
        return now | arg;
    case STORE_FLAGS_DEL:
        return now & ~arg;
    default:
        return (now & ~(unsigned)STORE_FLAGS) | arg;
    }
}

static void recount(struct mbox *m, uint32_t uid, unsigned was, unsigned is)
{
    m->unseen += (uint32_t) !(is & STORE_SEEN) - (uint32_t) !(was & STORE_SEEN);
    m->deleted += (uint32_t)((is & STORE_DELETED) != 0) - (uint32_t)((was & STORE_DELETED) != 0);
    if (uid <= m->seen_below) {
        m->seen_exact = !(is & STORE_SEEN) || (m->seen_exact && uid < m->seen_below);
        m->seen_below = is & STORE_SEEN ? m->seen_below : uid;
    }
    m->dirty = true;
}

static int flag_row(struct flagging *g, struct chunk_row *r, ph_str keywords)
{
    const struct store_flagging *f = g->f;
    ph_str kw = keywords;
    unsigned flags = flags_after(r->flags, f);
    if (f->keywords.n > 0 || f->op == STORE_FLAGS_SET) {
        int e = store_keywords_apply(keywords, f->op, f->keywords, &g->kw);
        if (e < 0)
            return sq_fail(g->a, -e, 0, "a message has at most %d keywords of %d bytes together",
                           STORE_KEYWORDS_EACH, STORE_KEYWORDS_MAX);
        kw = ph_buf_str(&g->kw);
    }
    if (flags != r->flags || !ph_str_eq(kw, keywords)) {
        g->a->partial = true;
        int e = sq_run(g->a, ST_MESSAGE_FLAGS, "iiiti", (int64_t)g->m->id, (int64_t)r->uid,
                       (int64_t)flags, kw, (int64_t)(g->m->modseq + 1));
        if (e < 0)
            return e;
        r->modseq = ++g->m->modseq;
        recount(g->m, r->uid, r->flags, flags);
    }
    struct store_message out = {.uid = r->uid,
                                .flags = flags & STORE_FLAGS,
                                .keywords = kw,
                                .modseq = r->modseq,
                                .date = r->date,
                                .saved = r->saved,
                                .size = r->size,
                                .emailid = r->emailid};
    int e = g->stopped ? 0 : g->row(g->ctx, &out);
    g->stopped |= e > 0;
    return e < 0 ? e : 0;
}

static int flag_range(struct flagging *g, struct chunk *c, struct uidrange u)
{
    do {
        int r = chunk_read(g->a, g->m->id, u.from, u.to, 0, c);
        for (size_t i = 0; r >= 0 && i < c->n; i++) {
            struct chunk_row *x = &c->v[i];
            r = x->modseq > g->f->unchanged_since ? uidset_add(g->modified, x->uid, x->uid)
                                                  : flag_row(g, x, chunk_keywords(c, x));
            u.from = x->uid + 1;
        }
        if (r < 0)
            return r;
    } while (c->n == CHUNK && u.from != 0 && u.from <= u.to);
    return 0;
}

static int flags_in(struct flagging *g, uint64_t mailbox, const struct uidset *uids)
{
    g->m = mbox_live(g->a, mailbox);
    if (!g->m)
        return -g->a->err.code;
    struct chunk c;
    ph_buf_init(&c.kw, NULL, CHUNK * STORE_KEYWORDS_MAX);
    int r = g->f->op == STORE_FLAGS_DEL ? 0 : mbox_keywords_add(g->a, g->m, g->f->keywords);
    for (size_t i = 0; r >= 0 && i < uids->n && uids->v[i].from < g->m->uidnext; i++)
        r = flag_range(g, &c, uids->v[i]);
    ph_buf_done(&c.kw);
    return r < 0 ? r : g->stopped;
}

int sq_flags(struct store_account *a, uint64_t mailbox, const struct uidset *uids,
             const struct store_flagging *f, store_message_fn *row, void *ctx,
             struct uidset *modified, uint64_t *ret_modseq, struct ph_error *reterr)
{
    struct flagging g = {.a = a, .f = f, .row = row, .ctx = ctx, .modified = modified};
    if (f->op == STORE_FLAGS_DEL && f->flags == STORE_FRESH) {
        int r = sq_enter(a, false);
        return sq_leave(a, r < 0 ? r : sq_were_read(a, mailbox, uids), reterr);
    }
    ph_buf_init(&g.kw, NULL, 2 * STORE_KEYWORDS_MAX + 2);
    int r = sq_enter(a, true);
    if (r >= 0)
        r = flags_in(&g, mailbox, uids);
    if (r >= 0)
        *ret_modseq = g.m->modseq;
    ph_buf_done(&g.kw);
    return sq_leave(a, r, reterr);
}

/* ---- changes ------------------------------------------------------------------------------ */

/* Three streams in modseq order: messages changed after they came, messages that only came, uids
 * gone. */
struct stream {
    sqlite3_stmt *st;
    int column; /* of the modseq */
    uint64_t modseq;
    bool live;
};
enum { S_CHANGED, S_BORN, S_GONE, STREAMS };

static int advance(struct store_account *a, struct stream *s)
{
    int r = sq_step(a, s->st);
    s->live = r > 0;
    if (r > 0)
        s->modseq = (uint64_t)sqlite3_column_int64(s->st, s->column);
    return r < 0 ? r : 0;
}

/* The first uid born after `since`: born rises with uid, and the walk from the end passes only
 * these. */
static int first_born(struct store_account *a, const struct mbox *m, uint64_t since, uint32_t *ret)
{
    *ret = m->uidnext;
    sqlite3_stmt *st = sq_start(a, ST_BORN_BACK, "i", (int64_t)m->id);
    int r = st ? sq_step(a, st) : -a->err.code;
    while (r > 0 && (uint64_t)sqlite3_column_int64(st, 1) > since) {
        *ret = (uint32_t)sqlite3_column_int64(st, 0);
        r = sq_step(a, st);
    }
    if (r > 0)
        sqlite3_reset(st);
    return r < 0 ? r : 0;
}

static int open_streams(struct store_account *a, const struct mbox *m, uint64_t since,
                        struct stream *s)
{
    uint32_t born = 1;
    int r = since ? first_born(a, m, since, &born) : 0;
    if (r < 0)
        return r;
    s[S_CHANGED] = (struct stream){
        .st = sq_start(a, ST_CHANGED, "ii", (int64_t)m->id, (int64_t)since), .column = 1};
    s[S_BORN] = (struct stream){.st = sq_start(a, ST_BORN, "ii", (int64_t)m->id, (int64_t)born),
                                .column = 1};
    s[S_GONE] = (struct stream){
        .st = sq_start(a, ST_GONE_SINCE, "ii", (int64_t)m->id, (int64_t)since), .column = 2};
    for (int i = 0; r >= 0 && i < STREAMS; i++)
        r = s[i].st ? advance(a, &s[i]) : -a->err.code;
    return r;
}

static int merge(struct store_account *a, struct stream *s, store_message_fn *row, void *ctx,
                 struct uidset *gone, uint64_t *last)
{
    size_t ranges = 0;
    for (;;) {
        struct stream *low = NULL;
        for (int i = 0; i < STREAMS; i++)
            if (s[i].live && (!low || s[i].modseq < low->modseq))
                low = &s[i];
        if (!low)
            return 0;
        if (low == &s[S_GONE] && ranges++ == GONE_RANGES)
            return 1;
        int r;
        if (low == &s[S_GONE]) {
            r = uidset_add(gone, (uint32_t)sqlite3_column_int64(low->st, 0),
                           (uint32_t)sqlite3_column_int64(low->st, 1));
        } else {
            struct store_message m;
            sq_row(low->st, &m);
            m.flags &= STORE_FLAGS;
            r = row(ctx, &m);
        }
        if (r != 0)
            return r;
        *last = low->modseq;
        r = advance(a, low);
        if (r < 0)
            return r;
    }
}

int sq_changes_in(struct store_account *a, struct mbox *m, uint64_t since, store_message_fn *row,
                  void *ctx, struct uidset *gone, uint64_t *last)
{
    struct stream s[STREAMS] = {0};
    *last = since;
    if (since >= m->modseq) {
        *last = m->modseq;
        return 0;
    }
    int r = open_streams(a, m, since, s);
    if (r >= 0)
        r = merge(a, s, row, ctx, gone, last);
    for (int i = 0; i < STREAMS; i++)
        sqlite3_reset(s[i].st);
    if (r == 0)
        *last = m->modseq;
    return r;
}

int sq_changes(struct store_account *a, uint64_t mailbox, uint64_t since, store_message_fn *row,
               void *ctx, struct uidset *gone, uint64_t *ret_modseq, struct ph_error *reterr)
{
    int r = sq_enter(a, false);
    struct mbox *m = r < 0 ? NULL : mbox_live(a, mailbox);
    uint64_t last = 0;
    r = m ? recent_changes(a, m, since, row, ctx, gone, &last) : -a->err.code;
    if (r >= 0)
        *ret_modseq = last;
    return sq_leave(a, r, reterr);
}
