/*
 * cache.c - the flags of one large mailbox in memory, because clients ask for those of all messages
 * at every opening.
 *
 * It is a replica, kept up like any client's: `cache.modseq` says how far it knows; what happened
 * since is asked of sq_changes_in, and every change has a modseq. It is filled and brought up to
 * date in read transactions alone, so that nothing is in it that a rollback takes back; and it is
 * dropped when memory was found stale.
 */
#include "grow.h"
#include "sqlite_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    WORTH = 64,
    ROWS_MAX = 4 * 1024 * 1024,
    POOL_MAX = 1024 * 1024,
    CHANGES_MAX = 20000,
    WORDS_MAX = 4096
};

void cache_drop(struct store_account *a)
{
    struct cache *c = &a->cache;
    free(c->v);
    free(c->words);
    ph_buf_done(&c->pool);
    *c = (struct cache){0};
}

/* The number of a combination of keywords; there are few. -1: too many. */
static int word_of(struct cache *c, ph_str keywords)
{
    if (keywords.n == 0)
        return 0;
    for (size_t i = 1; i < c->word_n; i++) {
        ph_str w = ph_str_sub(ph_buf_str(&c->pool), c->words[i].at, c->words[i].n);
        if (ph_str_eq(w, keywords))
            return (int)i;
    }
    if (c->word_n == WORDS_MAX)
        return -1;
    struct cache_word *v = realloc(c->words, (c->word_n + 2) * sizeof *v);
    if (!v)
        return -1;
    c->words = v;
    if (c->word_n == 0)
        v[c->word_n++] = (struct cache_word){0, 0};
    v[c->word_n] = (struct cache_word){(uint32_t)c->pool.n, (uint32_t)keywords.n};
    ph_buf_add(&c->pool, keywords);
    return ph_buf_err(&c->pool) ? -1 : (int)c->word_n++;
}

size_t cache_place(const struct cache *c, uint32_t uid)
{
    size_t lo = 0, hi = c->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (c->v[mid].uid < uid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* 1: it does not fit, and the cache is of no use. */
static int take(void *ctx, const struct store_message *m)
{
    struct store_account *a = ctx;
    struct cache *c = &a->cache;
    int word = word_of(c, m->keywords);
    size_t at = c->n && m->uid <= c->v[c->n - 1].uid ? cache_place(c, m->uid) : c->n;
    if (word < 0 || (at < c->n && c->v[at].uid != m->uid))
        return 1;
    struct cache_row *v = at < ROWS_MAX ? ph_grow(c->v, at, &c->cap, sizeof *v) : NULL;
    if (!v)
        return 1;
    c->v = v;
    c->v[at] = (struct cache_row){.uid = m->uid,
                                  .flags = (uint16_t)(m->flags & STORE_FLAGS),
                                  .word = (uint16_t)word,
                                  .modseq = m->modseq,
                                  .emailid = m->emailid};
    c->n += at == c->n;
    return 0;
}

static void remove_gone(struct cache *c, const struct uidset *gone)
{
    if (gone->n == 0)
        return;
    size_t first = cache_place(c, gone->v[0].from), kept = first, g = 0;
    for (size_t i = first; i < c->n; i++) {
        while (g < gone->n && gone->v[g].to < c->v[i].uid)
            g++;
        if (g == gone->n || c->v[i].uid < gone->v[g].from)
            c->v[kept++] = c->v[i];
    }
    c->n = kept;
}

static int fill(struct store_account *a, const struct mbox *m)
{
    struct cache *c = &a->cache;
    cache_drop(a);
    ph_buf_init(&c->pool, NULL, POOL_MAX);
    int r = sq_list_flags(a, m->id, take, a);
    c->mailbox = m->id;
    c->modseq = m->modseq;
    return r;
}

static int catch_up(struct store_account *a, struct mbox *m)
{
    struct cache *c = &a->cache;
    struct uidset gone = {0};
    uint64_t last = c->modseq;
    int r = sq_changes_in(a, m, c->modseq, take, a, &gone, &last);
    if (r == 0) {
        remove_gone(c, &gone);
        c->modseq = last;
    }
    uidset_done(&gone);
    return r;
}

int cache_ready(struct store_account *a, struct mbox *m, bool wants_all)
{
    struct cache *c = &a->cache;
    if (m->messages < WORTH || sqlite3_txn_state(a->db, NULL) == SQLITE_TXN_WRITE)
        return 0;
    if (c->mailbox == m->id && c->modseq == m->modseq)
        return 1;
    bool known = c->mailbox == m->id && m->modseq - c->modseq < CHANGES_MAX;
    if (!known && !wants_all)
        return 0;
    int r = known ? catch_up(a, m) : fill(a, m);
    if (r != 0 || c->n != m->messages)
        cache_drop(a);
    return r < 0 ? r : c->mailbox == m->id;
}

struct store_message cache_message(const struct cache *c, size_t at)
{
    const struct cache_row *x = &c->v[at];
    struct store_message m = {
        .uid = x->uid, .flags = x->flags, .modseq = x->modseq, .emailid = x->emailid};
    if (x->word)
        m.keywords = ph_str_sub(ph_buf_str(&c->pool), c->words[x->word].at, c->words[x->word].n);
    return m;
}

int cache_give(struct store_account *a, const struct uidset *uids, uint64_t since,
               store_message_fn *row, void *ctx)
{
    const struct cache *c = &a->cache;
    for (size_t i = 0; i < uids->n; i++)
        for (size_t at = cache_place(c, uids->v[i].from);
             at < c->n && c->v[at].uid <= uids->v[i].to; at++) {
            if (c->v[at].modseq <= since)
                continue;
            struct store_message m = cache_message(c, at);
            int r = row(ctx, &m);
            if (r != 0)
                return r;
        }
    return 0;
}
