/*
 * recent.c - the last changes of one mailbox in memory, because all its sessions ask for the same
 * ones.
 *
 *   changes since S:   S ... from ------- log ------- upto ... modseq
 *                      a long way back:   |           |
 *                      from the table     from memory, then from the table what came since, which becomes a part of the log
 *
 * Whoever asks first reads the table for the others. It begins with the second session: one alone
 * asks for each change once. Nothing is kept across what vanished, and all is dropped when memory
 * was found stale.
 */
#include "sqlite_int.h"

#include <stdlib.h>
#include <string.h>

enum { LOG = 512, WORDS = 32 * 1024, FAR_BACK = 256 };

struct recent_row {
    uint64_t modseq, emailid;
    uint32_t uid, word, word_n; /* keywords, in `words` */
    uint16_t flags;
    bool past; /* it was changed again */
};

void recent_drop(struct store_account *a)
{
    free(a->recent.v);
    ph_buf_done(&a->recent.words);
    a->recent = (struct recent){0};
}

static void restart(struct recent *l, uint64_t mailbox, uint64_t from)
{
    l->mailbox = mailbox;
    l->from = l->upto = from;
    l->n = 0;
    ph_buf_clear(&l->words);
}

/* Without memory there is no log, and the table is read. */
static void begin_log(struct recent *l)
{
    if (!l->v)
        l->v = calloc(LOG, sizeof *l->v);
    if (!l->words.max)
        ph_buf_init(&l->words, NULL, WORDS);
}

static void forget_half(struct recent *l)
{
    enum { HALF = LOG / 2 };
    l->from = l->v[HALF - 1].modseq;
    memmove(l->v, l->v + HALF, (l->n - HALF) * sizeof *l->v);
    l->n -= HALF;
}

/* store_message_fn */
static int keep(void *ctx, const struct store_message *m)
{
    struct recent *l = ctx;
    size_t word = l->words.n;
    ph_buf_add(&l->words, m->keywords);
    if (ph_buf_err(&l->words)) {
        ph_buf_done(&l->words);
        ph_buf_init(&l->words, NULL, WORDS);
        restart(l, l->mailbox, m->modseq);
        return 0;
    }
    if (l->n == LOG)
        forget_half(l);
    for (size_t i = l->n; i > 0; i--)
        if (l->v[i - 1].uid == m->uid) {
            l->v[i - 1].past = true;
            break;
        }
    l->v[l->n++] = (struct recent_row){.modseq = m->modseq,
                                       .emailid = m->emailid,
                                       .uid = m->uid,
                                       .word = (uint32_t)word,
                                       .word_n = (uint32_t)m->keywords.n,
                                       .flags = (uint16_t)m->flags};
    return 0;
}

/* The log from `since` on. */
static int give(const struct recent *l, uint64_t since, store_message_fn *row, void *ctx,
                uint64_t *last)
{
    size_t at = l->n;
    while (at > 0 && l->v[at - 1].modseq > since)
        at--;
    for (; at < l->n; at++) {
        const struct recent_row *x = &l->v[at];
        struct store_message m = {
            .uid = x->uid, .flags = x->flags, .modseq = x->modseq, .emailid = x->emailid};
        if (x->word_n)
            m.keywords = ph_str_sub(ph_buf_str(&l->words), x->word, x->word_n);
        int r = x->past ? 0 : row(ctx, &m);
        if (r != 0)
            return r;
        *last = x->modseq;
    }
    *last = l->upto;
    return 0;
}

static void forget_gone(struct recent *l, const struct uidset *gone)
{
    for (size_t i = 0; gone->n && i < l->n; i++)
        l->v[i].past |= uidset_has(gone, l->v[i].uid);
}

/* The table's news into the log, then from there. What vanished since is told with all the rest, so
 * no row of it may be. */
static int from_log(struct store_account *a, struct mbox *m, uint64_t since, store_message_fn *row,
                    void *ctx, struct uidset *gone, uint64_t *last)
{
    struct recent *l = &a->recent;
    uint64_t upto = l->upto;
    int more = sq_changes_in(a, m, l->upto, keep, l, gone, &upto);
    l->upto = upto;
    if (more < 0 || since < l->from) { /* it has overflowed */
        restart(l, m->id, upto);
        return more < 0 ? more : sq_changes_in(a, m, since, row, ctx, gone, last);
    }
    forget_gone(l, gone);
    *last = since;
    int r = give(l, since, row, ctx, last);
    if (gone->n)
        restart(l, m->id, upto);
    return r ? r : more;
}

int recent_changes(struct store_account *a, struct mbox *m, uint64_t since, store_message_fn *row,
                   void *ctx, struct uidset *gone, uint64_t *last)
{
    struct recent *l = &a->recent;
    bool same = l->mailbox == m->id, near = m->modseq - since <= FAR_BACK;
    if (same && l->v && since >= l->from && m->modseq - l->upto <= FAR_BACK)
        return from_log(a, m, since, row, ctx, gone, last);
    if (same && since < l->upto && near) { /* somebody else has asked for these */
        begin_log(l);
        restart(l, m->id, since);
        if (l->v)
            return from_log(a, m, since, row, ctx, gone, last);
    }
    int r = sq_changes_in(a, m, since, row, ctx, gone, last);
    if (r >= 0 && (!same || !l->n))
        restart(l, m->id, *last);
    return r;
}
