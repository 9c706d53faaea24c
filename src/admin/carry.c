/* carry.c - an account as a source of letters, and as their taker. */
#include "carry.h"
#include "file.h"
#include "hash.h"
#include "random.h"
#include "summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- from an account ---------------------------------------------------------------------- */

enum { PAGE = 256, BATCH = 64, BATCH_BYTES = 8 * 1024 * 1024, KEYS_MAX = 1 << 24 };

struct row {
    uint32_t uid;
    unsigned flags;
    int64_t date;
    char *keywords, *uidl;
};

struct page {
    struct row v[PAGE];
    size_t n;
};

static int add_row(void *ctx, const struct store_message *m)
{
    struct page *p = ctx;
    if (p->n == PAGE)
        return 1;
    struct row *r = &p->v[p->n];
    *r = (struct row){m->uid, m->flags, m->date,
                      strndup(m->keywords.n ? m->keywords.p : "", m->keywords.n),
                      strndup(m->uidl.n ? m->uidl.p : "", m->uidl.n)};
    p->n++;
    return r->keywords && r->uidl ? 0 : -PH_ENOMEM;
}

static void clear_page(struct page *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->v[i].keywords);
        free(p->v[i].uidl);
    }
    p->n = 0;
}

static int map_body(struct store_body *b, ph_str *ret)
{
    *ret = b->bytes;
    if (b->fd < 0)
        return 0;
    int r = ph_memfile_map(b->fd, b->size, ret);
    close(b->fd);
    return r;
}

struct giving {
    const struct store_ops *ops;
    struct store_account *a;
    const struct store_selected *box;
    ph_str name;
    carry_take *take;
    void *ctx;
};

static int give_one(const struct giving *g, const struct row *row, struct ph_error *reterr)
{
    struct store_body b;
    struct carry_letter l = {.mailbox = g->name,
                             .flags = row->flags,
                             .keywords = ph_str_c(row->keywords),
                             .date = row->date,
                             .uidl = ph_str_c(row->uidl),
                             .uid = row->uid,
                             .uidvalidity = g->box->mailbox.uidvalidity};
    int r = g->ops->body(g->a, g->box->mailbox.id, row->uid, true, &b, reterr);
    if (r == -PH_ENOENT) /* expunged meanwhile */
        return 0;
    if (r >= 0)
        r = map_body(&b, &l.bytes);
    if (r < 0)
        return r;
    r = g->take(g->ctx, &l);
    if (b.fd >= 0)
        ph_unmap(l.bytes);
    return r;
}

static int give_mailbox(const struct giving *g, const struct uidset *uids, struct ph_error *reterr)
{
    struct page page = {.n = 0};
    struct uidset rest = {0};
    int r = 0;
    for (uint32_t next = 1; r >= 0 && next;) {
        uidset_done(&rest);
        for (size_t i = 0; r >= 0 && i < uids->n; i++)
            if (uids->v[i].to >= next)
                r = uidset_add(&rest, uids->v[i].from > next ? uids->v[i].from : next,
                               uids->v[i].to);
        if (r >= 0)
            r = g->ops->list(g->a, g->box->mailbox.id, &rest,
                             STORE_F_FLAGS | STORE_F_DATES | STORE_F_UIDL, 0, add_row, &page,
                             reterr);
        next = r > 0 ? page.v[page.n - 1].uid + 1 : 0;
        for (size_t i = 0; r >= 0 && i < page.n; i++)
            r = give_one(g, &page.v[i], reterr);
        clear_page(&page);
    }
    uidset_done(&rest);
    return r;
}

struct names {
    char **v;
    size_t n;
};

static int add_name(void *ctx, const struct store_mailbox *m)
{
    struct names *l = ctx;
    if (m->bits & (STORE_MB_NOSELECT | STORE_MB_NONEXISTENT))
        return 0;
    char **v = realloc(l->v, (l->n + 1) * sizeof *v);
    if (!v)
        return -PH_ENOMEM;
    l->v = v;
    l->v[l->n] = strndup(m->name.p, m->name.n);
    return l->v[l->n++] ? 0 : -PH_ENOMEM;
}

int carry_from_account(const struct store_ops *ops, struct store_account *a, carry_take *take,
                       void *ctx, struct ph_error *reterr)
{
    struct names names = {0};
    int r = ops->mailboxes(a, PH_STR(""), add_name, &names, reterr);
    for (size_t i = 0; r >= 0 && i < names.n; i++) {
        struct store_selected box;
        struct uidset uids = {0};
        struct giving g = {ops, a, &box, ph_str_c(names.v[i]), take, ctx};
        r = ops->select(a, g.name, false, &box, &uids, reterr);
        if (r >= 0)
            r = give_mailbox(&g, &uids, reterr);
        else if (r == -PH_ENOENT)
            r = 0;
        uidset_done(&uids);
    }
    for (size_t i = 0; i < names.n; i++)
        free(names.v[i]);
    free(names.v);
    return r < 0 ? r : 0;
}

/* ---- into an account ---------------------------------------------------------------------- */

struct carry_account {
    struct store_account *a;
    struct ph_error error;
    char mailbox[STORE_NAME_MAX + 1]; /* the last one, which exists and whose letters are known */
    struct ph_hash_key key;
    uint64_t *keys; /* of the letters there: hashed, open addressing; 0: empty */
    size_t key_n, key_cap;
    uint64_t put, known, batch_bytes;
    unsigned batch;
    bool in_txn, anywhere, all_known;
};

static const struct store_ops *const be = &store_sqlite;

static uint64_t key_of(const struct carry_account *c, ph_str message_id, uint64_t size,
                       int64_t date)
{
    struct ph_hash_key key = {{c->key.half[0] ^ size, c->key.half[1] ^ (uint64_t)(date / 1000000)}};
    uint64_t h = ph_hash(&key, message_id);
    return h ? h : 1;
}

/* 1: it is new; 0: it was there. */
static int key_add(struct carry_account *c, uint64_t key)
{
    if (2 * (c->key_n + 1) > c->key_cap) {
        size_t cap = c->key_cap ? 2 * c->key_cap : 1024;
        uint64_t *v = cap > KEYS_MAX ? NULL : calloc(cap, sizeof *v);
        if (!v)
            return -PH_ENOMEM;
        for (size_t i = 0; i < c->key_cap; i++)
            if (c->keys[i]) {
                size_t at = c->keys[i] & (cap - 1);
                while (v[at])
                    at = (at + 1) & (cap - 1);
                v[at] = c->keys[i];
            }
        free(c->keys);
        c->keys = v;
        c->key_cap = cap;
    }
    size_t at = key & (c->key_cap - 1);
    while (c->keys[at] && c->keys[at] != key)
        at = (at + 1) & (c->key_cap - 1);
    if (c->keys[at])
        return 0;
    c->keys[at] = key;
    c->key_n++;
    return 1;
}

static int learn(void *ctx, const struct store_message *m)
{
    struct carry_account *c = ctx;
    struct ph_summary *s;
    struct ph_arena *arena = ph_arena_new(NULL, 16 << 20);
    int r = arena ? ph_summary_read(arena, m->summary, &s) : -PH_ENOMEM;
    if (r >= 0)
        r = key_add(c, key_of(c, s->message_id, m->size, m->date));
    ph_arena_free(arena);
    return r == -PH_ENOMEM ? r : 0;
}

struct carry_account *carry_account_new(struct store_account *a, bool anywhere)
{
    struct carry_account *c = calloc(1, sizeof *c);
    if (c) {
        c->a = a;
        c->anywhere = anywhere;
        ph_random(&c->key, sizeof c->key);
    }
    return c;
}

const struct ph_error *carry_account_error(const struct carry_account *c)
{
    return &c->error;
}

static int end_batch(struct carry_account *c)
{
    struct store_sync *y = NULL;
    if (!c->in_txn)
        return 0;
    c->in_txn = false;
    c->batch = 0;
    c->batch_bytes = 0;
    int r = be->txn(c->a, STORE_COMMIT, &c->error);
    if (r >= 0)
        r = be->mark(c->a, &y);
    if (r > 0)
        r = be->sync(y, true);
    return r < 0 && !c->error.code ? ph_fail(&c->error, -r, 0, "the disk did not take it") : r;
}

static int exists(void *ctx, const struct store_mailbox *m)
{
    *(bool *)ctx |= !(m->bits & (STORE_MB_NOSELECT | STORE_MB_NONEXISTENT));
    return 0;
}

static int learn_mailbox(struct carry_account *c, ph_str name)
{
    struct store_selected box;
    struct uidset uids = {0};
    int r = be->select(c->a, name, false, &box, &uids, &c->error);
    if (r >= 0)
        r = be->list(c->a, box.mailbox.id, &uids, STORE_F_SUMMARY | STORE_F_DATES | STORE_F_SIZE, 0,
                     learn, c, &c->error);
    uidset_done(&uids);
    return r;
}

static int learn_all(struct carry_account *c)
{
    struct names names = {0};
    int r = be->mailboxes(c->a, PH_STR(""), add_name, &names, &c->error);
    for (size_t i = 0; i < names.n; i++) {
        if (r >= 0)
            r = learn_mailbox(c, ph_str_c(names.v[i]));
        free(names.v[i]);
    }
    free(names.v);
    c->all_known = true;
    return r;
}

static int make_mailbox(struct carry_account *c, ph_str name)
{
    int r = be->change(c->a, STORE_CREATE, name, PH_STR(""), PH_STR(""), NULL, &c->error);
    return r < 0 ? r
                 : be->change(c->a, STORE_SUBSCRIBE, name, PH_STR(""), PH_STR(""), NULL, &c->error);
}

/* The mailbox is there, and what is in it is known. */
static int enter_mailbox(struct carry_account *c, ph_str name)
{
    char norm[STORE_NAME_MAX + 1];
    if (name.n == strlen(c->mailbox) && !memcmp(name.p, c->mailbox, name.n))
        return 0;
    int n = store_name_norm(name, norm, &c->error);
    int r = n < 0 ? n : end_batch(c);
    if (r < 0)
        return r;
    if (!c->anywhere && c->keys) {
        memset(c->keys, 0, c->key_cap * sizeof *c->keys);
        c->key_n = 0;
    }
    ph_str stored = {norm, (size_t)n};
    bool there = false;
    r = c->anywhere && !c->all_known ? learn_all(c) : 0;
    if (r >= 0)
        r = be->mailboxes(c->a, stored, exists, &there, &c->error);
    if (r >= 0 || r == -PH_ENOENT)
        r = !there ? make_mailbox(c, stored) : c->anywhere ? 0 : learn_mailbox(c, stored);
    if (r >= 0)
        snprintf(c->mailbox, sizeof c->mailbox, "%.*s", PH_FMT(name));
    return r;
}

static int put(struct carry_account *c, const struct carry_letter *l, ph_str message_id)
{
    struct ph_buf summary;
    struct store_put out;
    ph_buf_init(&summary, NULL, PH_SUMMARY_MAX);
    int r = ph_summary_make(l->bytes, &summary);
    if (r < 0)
        ph_fail(&c->error, -r, 0, "out of memory");
    if (r >= 0 && !c->in_txn) {
        r = be->txn(c->a, STORE_BEGIN, &c->error);
        c->in_txn = r >= 0;
    }
    ph_str thread[PH_THREAD_IDS];
    struct store_letter letter = {.mailbox = l->mailbox,
                                  .thread = thread,
                                  .thread_n = ph_summary_thread(ph_buf_str(&summary), thread),
                                  .flags = l->flags,
                                  .keywords = l->keywords,
                                  .date = l->date,
                                  .message_id = message_id,
                                  .summary = ph_buf_str(&summary),
                                  .body = l->bytes,
                                  .uidl = l->uidl};
    if (r >= 0)
        r = be->put(c->a, &letter, &out, &c->error);
    ph_buf_done(&summary);
    return r;
}

int carry_account_take(void *ctx, const struct carry_letter *l)
{
    struct carry_account *c = ctx;
    ph_str message_id;
    unsigned received;
    int r = enter_mailbox(c, l->mailbox);
    if (r < 0)
        return r;
    ph_summary_trace(l->bytes, &message_id, &received);
    if (message_id.n > 998)
        message_id = (ph_str){0};
    r = key_add(c, key_of(c, message_id, l->bytes.n, l->date));
    if (r < 0)
        return ph_fail(&c->error, -r, 0, "out of memory");
    if (r == 0) {
        c->known++;
        return 0;
    }
    r = put(c, l, message_id);
    if (r < 0)
        return r;
    c->put++;
    c->batch++;
    c->batch_bytes += l->bytes.n;
    return c->batch >= BATCH || c->batch_bytes >= BATCH_BYTES ? end_batch(c) : 0;
}

int carry_account_end(struct carry_account *c, bool commit, uint64_t *ret_put, uint64_t *ret_known,
                      struct ph_error *reterr)
{
    int r = 0;
    if (!c)
        return 0;
    if (commit)
        r = end_batch(c);
    else if (c->in_txn)
        be->txn(c->a, STORE_ABORT, NULL);
    if (r < 0 && reterr)
        *reterr = c->error;
    if (ret_put)
        *ret_put = c->put;
    if (ret_known)
        *ret_known = c->known;
    free(c->keys);
    free(c);
    return r < 0 ? r : 0;
}
