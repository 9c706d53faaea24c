/* mailbox.c - mailbox rows in memory, in name order; listing, selecting, and what changes names. */
#include "grow.h"
#include "sqlite_int.h"

#include <stdlib.h>
#include <string.h>

static ph_str name_of(const struct mbox *m)
{
    return (ph_str){m->name, m->name_n};
}

size_t mbox_lower(const struct store_account *a, ph_str name)
{
    size_t lo = 0, hi = a->mb_n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (ph_str_cmp(name_of(&a->mb[mid]), name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct mbox *mbox_find(struct store_account *a, ph_str name)
{
    size_t i = mbox_lower(a, name);
    return i < a->mb_n && ph_str_eq(name_of(&a->mb[i]), name) ? &a->mb[i] : NULL;
}

struct mbox *mbox_live(struct store_account *a, uint64_t id)
{
    for (size_t i = 0; i < a->mb_n; i++)
        if (a->mb[i].id == id && a->mb[i].state == MBOX_LIVE)
            return &a->mb[i];
    sq_fail(a, PH_ENOENT, 0, "the mailbox does not exist any more");
    return NULL;
}

static void free_strings(struct mbox *m)
{
    free(m->name);
    free(m->special);
    free(m->keywords);
}

void mbox_clear(struct store_account *a)
{
    for (size_t i = 0; i < a->mb_n; i++)
        free_strings(&a->mb[i]);
    a->mb_n = 0;
}

int mbox_insert(struct store_account *a, const struct mbox *like, struct mbox **ret)
{
    struct mbox m = *like;
    struct mbox *v = ph_grow(a->mb, a->mb_n, &a->mb_cap, sizeof *v);
    if (!v)
        return sq_fail(a, PH_ENOMEM, 0, "out of memory");
    a->mb = v;
    m.name = strndup(like->name, like->name_n);
    m.special = strdup(like->special);
    m.keywords = strdup(like->keywords);
    if (!m.name || !m.special || !m.keywords) {
        free_strings(&m);
        return sq_fail(a, PH_ENOMEM, 0, "out of memory");
    }
    size_t i = mbox_lower(a, name_of(&m));
    memmove(a->mb + i + 1, a->mb + i, (a->mb_n - i) * sizeof *a->mb);
    a->mb[i] = m;
    a->mb_n++;
    *ret = &a->mb[i];
    return 0;
}

void mbox_drop(struct store_account *a, struct mbox *m)
{
    size_t i = (size_t)(m - a->mb);
    free_strings(m);
    memmove(a->mb + i, a->mb + i + 1, (a->mb_n - i - 1) * sizeof *a->mb);
    a->mb_n--;
}

bool mbox_has_children(struct store_account *a, const struct mbox *m)
{
    char key[STORE_NAME_MAX + 1];
    memcpy(key, m->name, m->name_n);
    key[m->name_n] = '/';
    ph_str prefix = {key, m->name_n + 1};
    for (size_t i = mbox_lower(a, prefix); i < a->mb_n; i++) {
        if (!ph_str_has_prefix(name_of(&a->mb[i]), prefix))
            return false;
        if (a->mb[i].state != MBOX_SUBSCRIPTION)
            return true;
    }
    return false;
}

static void show(struct store_account *a, const struct mbox *m, struct store_mailbox *ret)
{
    static const unsigned state_bits[] = {0, STORE_MB_NOSELECT,
                                          STORE_MB_NOSELECT | STORE_MB_NONEXISTENT};
    *ret = (struct store_mailbox){.id = m->id,
                                  .name = name_of(m),
                                  .special = ph_str_c(m->special),
                                  .uidvalidity = m->uidvalidity,
                                  .uidnext = m->uidnext,
                                  .messages = m->messages,
                                  .unseen = m->unseen,
                                  .deleted = m->deleted,
                                  .size = m->size,
                                  .modseq = m->modseq};
    ret->bits = state_bits[m->state] | (m->subscribed ? STORE_MB_SUBSCRIBED : 0u) |
                (mbox_has_children(a, m) ? STORE_MB_CHILDREN : 0u);
}

/* How many no session has claimed as \Recent (RFC 3501 2.3.2). */
static int count_recent(struct store_account *a, const struct mbox *m, uint32_t *ret)
{
    *ret = m->recent_uid == 1 ? m->messages : 0;
    if (m->recent_uid == 1 || m->recent_uid == m->uidnext || m->messages == 0)
        return 0;
    sqlite3_stmt *st = sq_start(a, ST_UIDS_ABOVE, "ii", (int64_t)m->id, (int64_t)m->recent_uid);
    int r = st ? sq_step(a, st) : -a->err.code;
    if (r <= 0)
        return r;
    *ret = (uint32_t)sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return 0;
}

static int list_mailbox(struct store_account *a, const struct mbox *m, store_mailbox_fn *row,
                        void *ctx)
{
    struct store_mailbox out;
    show(a, m, &out);
    int r = count_recent(a, m, &out.recent);
    return r < 0 ? r : row(ctx, &out);
}

static int list_one(struct store_account *a, ph_str name, store_mailbox_fn *row, void *ctx)
{
    char norm[STORE_NAME_MAX];
    int n = store_name_norm(name, norm, &a->err);
    if (n < 0)
        return n;
    struct mbox *m = mbox_find(a, (ph_str){norm, (size_t)n});
    if (!m)
        return sq_fail(a, PH_ENOENT, 0, "no such mailbox");
    return list_mailbox(a, m, row, ctx);
}

int sq_mailboxes(struct store_account *a, ph_str name, store_mailbox_fn *row, void *ctx,
                 struct ph_error *reterr)
{
    int r = sq_enter(a, false);
    if (r >= 0 && name.n > 0)
        r = list_one(a, name, row, ctx);
    for (size_t i = 0; r == 0 && name.n == 0 && i < a->mb_n; i++)
        r = list_mailbox(a, &a->mb[i], row, ctx);
    return sq_leave(a, r, reterr);
}

/* ---- SELECT ------------------------------------------------------------------------------- */

static int uids_by_message(struct store_account *a, const struct mbox *m, struct uidset *uids)
{
    sqlite3_stmt *st = sq_start(a, ST_UIDS, "i", (int64_t)m->id);
    int r = st ? 0 : -a->err.code;
    while (r >= 0 && (r = sq_step(a, st)) > 0) {
        uint32_t uid = (uint32_t)sqlite3_column_int64(st, 0);
        r = uidset_add(uids, uid, uid);
    }
    if (st)
        sqlite3_reset(st);
    return r;
}

/* What `gone` leaves; 1 when that has more ranges than there are messages. */
static int uids_by_gone(struct store_account *a, const struct mbox *m, struct uidset *uids)
{
    uint32_t next = 1, steps = 0;
    sqlite3_stmt *st = sq_start(a, ST_GONE, "i", (int64_t)m->id);
    int r = st ? 0 : -a->err.code;
    while (r >= 0 && (r = sq_step(a, st)) > 0) {
        uint32_t first = (uint32_t)sqlite3_column_int64(st, 0);
        r = first > next ? uidset_add(uids, next, first - 1) : 0;
        next = (uint32_t)sqlite3_column_int64(st, 1) + 1;
        if (r >= 0 && ++steps > m->messages) {
            sqlite3_reset(st);
            return 1;
        }
    }
    if (st)
        sqlite3_reset(st);
    return r < 0 || next >= m->uidnext ? r : uidset_add(uids, next, m->uidnext - 1);
}

/* Invariant 3: every uid below uidnext is a message or gone. */
static int all_uids(struct store_account *a, const struct mbox *m, struct uidset *uids)
{
    if (m->messages == 0)
        return 0;
    if (m->messages == m->uidnext - 1)
        return uidset_add(uids, 1, m->uidnext - 1);
    int r = uids_by_gone(a, m, uids);
    if (r == 1) {
        uidset_done(uids);
        r = uids_by_message(a, m, uids);
    }
    if (r == -PH_ENOMEM || r == -PH_ELIMIT)
        return sq_fail(a, -r, 0, "%s", ph_error_info(r)->text);
    return r;
}

static int first_unseen(struct store_account *a, struct mbox *m, uint32_t *ret)
{
    *ret = 0;
    if (m->unseen == 0)
        return 0;
    if (m->seen_exact) {
        *ret = m->seen_below;
        return 0;
    }
    sqlite3_stmt *st = sq_start(a, ST_FIRST_UNSEEN, "ii", (int64_t)m->id, (int64_t)m->seen_below);
    int r = st ? sq_step(a, st) : -a->err.code;
    if (r <= 0)
        return r;
    *ret = (uint32_t)sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    m->seen_below = *ret;
    m->seen_exact = m->lazy = true;
    return 0;
}

static int select_in(struct store_account *a, ph_str name, bool claim, struct store_selected *ret,
                     struct uidset *uids)
{
    char norm[STORE_NAME_MAX];
    int n = store_name_norm(name, norm, &a->err);
    if (n < 0)
        return n;
    struct mbox *m = mbox_find(a, (ph_str){norm, (size_t)n});
    if (!m || m->state != MBOX_LIVE)
        return sq_fail(a, PH_ENOENT, 0, "no such mailbox");
    int r = all_uids(a, m, uids);
    if (r >= 0)
        r = first_unseen(a, m, &ret->first_unseen);
    if (r < 0)
        return r;
    show(a, m, &ret->mailbox);
    ret->recent_from = m->recent_uid;
    ret->keywords = ph_str_c(m->keywords);
    if (claim && m->recent_uid != m->uidnext) {
        m->recent_uid = m->uidnext;
        m->lazy = true;
    }
    return 0;
}

int sq_select(struct store_account *a, ph_str name, bool claim, struct store_selected *ret,
              struct uidset *uids, struct ph_error *reterr)
{
    int r = sq_enter(a, false);
    if (r >= 0)
        r = select_in(a, name, claim, ret, uids);
    return sq_leave(a, r, reterr);
}

int mbox_keywords_add(struct store_account *a, struct mbox *m, ph_str keywords)
{
    ph_str rest = keywords, k;
    bool fresh = false;
    while (!fresh && ph_str_token(&rest, ' ', &k))
        fresh = k.n > 0 && !store_keyword_in(ph_str_c(m->keywords), k);
    if (!fresh)
        return 0;
    struct ph_buf *b = &a->keywords;
    ph_buf_clear(b);
    ph_buf_add(b, ph_str_c(m->keywords));
    rest = keywords;
    while (ph_str_token(&rest, ' ', &k)) {
        if (k.n == 0 || store_keyword_in(ph_buf_str(b), k))
            continue;
        if (b->n > 0)
            ph_buf_addc(b, ' ');
        ph_buf_add(b, k);
    }
    if (b->n > STORE_MAILBOX_KEYWORDS_MAX)
        return sq_fail(a, PH_ELIMIT, 0, "the keywords of a mailbox may have %d bytes in all",
                       STORE_MAILBOX_KEYWORDS_MAX);
    char *now = ph_buf_err(b) ? NULL : strndup(b->p, b->n);
    if (!now)
        return sq_fail(a, PH_ENOMEM, 0, "out of memory");
    free(m->keywords);
    m->keywords = now;
    m->dirty = true;
    return 0;
}
