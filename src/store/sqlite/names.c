/*
 * names.c - CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE.
 *
 * A row's states:
 *   (none) --create--> LIVE --delete, has inferiors--> NAME --create--> LIVE (new id)
 *   LIVE, NAME --delete, subscribed--> SUBSCRIPTION --unsubscribe--> (none)
 *
 * Everything that can be refused is found out before the first write.
 */
#include "sqlite_int.h"

#include <string.h>

static int write_state(struct store_account *a, const struct mbox *m)
{
    return sq_run(a, ST_MAILBOX_STATE, "iiti", (int64_t)m->id, (int64_t)m->state,
                  ph_str_c(m->special), (int64_t)m->subscribed);
}

int mbox_make(struct store_account *a, ph_str name, ph_str special, bool subscribed,
              struct mbox **ret)
{
    char use[64] = "";
    if (special.n > 0 && special.n < sizeof use)
        memcpy(use, special.p, special.n);
    uint64_t now = (uint64_t)(sq_now() / 1000000) & 0xffffffff;
    a->uidvalidity = a->uidvalidity + 1 > now ? a->uidvalidity + 1 : now;
    struct mbox m = {.id = a->mailbox_next++,
                     .name = (char *)(uintptr_t)name.p,
                     .name_n = name.n,
                     .special = use,
                     .keywords = (char *)(uintptr_t) "",
                     .subscribed = subscribed,
                     .uidvalidity = (uint32_t)a->uidvalidity,
                     .uidnext = 1,
                     .recent_uid = 1,
                     .seen_below = 1,
                     .modseq = 1};
    a->meta_dirty = true;
    int r =
        sq_run(a, ST_MAILBOX_ADD, "ititiiiiiitiiii", (int64_t)m.id, name, (int64_t)m.state,
               ph_str_c(use), (int64_t)m.subscribed, (int64_t)m.uidvalidity, (int64_t)1, (int64_t)1,
               (int64_t)1, (int64_t)1, PH_STR(""), (int64_t)0, (int64_t)0, (int64_t)0, (int64_t)0);
    return r < 0 ? r : mbox_insert(a, &m, ret);
}

static bool is_there(struct store_account *a, ph_str name)
{
    struct mbox *m = mbox_find(a, name);
    return m && m->state != MBOX_SUBSCRIPTION;
}

/* Is there room for `more` names of `bytes` together? */
static int room_for(struct store_account *a, size_t more, size_t bytes)
{
    for (size_t i = 0; i < a->mb_n; i++)
        bytes += a->mb[i].name_n;
    if (a->mb_n + more > STORE_MAILBOXES_MAX)
        return sq_fail(a, PH_ELIMIT, 0, "an account has at most %d mailboxes", STORE_MAILBOXES_MAX);
    if (bytes > STORE_NAMES_MAX)
        return sq_fail(a, PH_ELIMIT, 0, "mailbox names of an account have at most %d bytes",
                       STORE_NAMES_MAX);
    return 0;
}

/* The superiors of `name` that are missing: counted, or made. */
static int superiors(struct store_account *a, ph_str name, bool really, size_t *ret_n,
                     size_t *ret_bytes)
{
    for (size_t i = 1; i < name.n; i++) {
        ph_str up = ph_str_sub(name, 0, i);
        if (name.p[i] != '/' || is_there(a, up))
            continue;
        ++*ret_n;
        *ret_bytes += i;
        struct mbox *m = mbox_find(a, up), *made;
        bool subscribed = m && m->subscribed;
        int r = 0;
        if (really && m) {
            r = sq_run(a, ST_MAILBOX_DEL, "i", (int64_t)m->id);
            mbox_drop(a, m);
        }
        if (really && r >= 0)
            r = mbox_make(a, up, PH_STR(""), subscribed, &made);
        if (r < 0)
            return r;
    }
    return 0;
}

static int with_superiors(struct store_account *a, ph_str name, size_t more, size_t bytes)
{
    size_t n = more, sum = bytes;
    int r = superiors(a, name, false, &n, &sum);
    if (r >= 0)
        r = room_for(a, n, sum);
    return r < 0 ? r : superiors(a, name, true, &n, &sum);
}

static int create(struct store_account *a, ph_str name, ph_str special, uint64_t *ret_id)
{
    struct mbox *m = mbox_find(a, name);
    if (m && m->state == MBOX_LIVE)
        return sq_fail(a, PH_EEXIST, 0, "the mailbox exists already");
    if (special.n >= 64)
        return sq_fail(a, PH_EINVAL, 0, "not a special use");
    for (size_t i = 0; special.n > 0 && i < a->mb_n; i++)
        if (ph_str_ieq(ph_str_c(a->mb[i].special), special))
            return sq_fail(a, PH_EINVAL, 0, "%s is %s already", a->mb[i].name, a->mb[i].special);
    int r = with_superiors(a, name, 1, name.n);
    m = mbox_find(a, name);
    bool subscribed = m && m->subscribed;
    if (r >= 0 && m) {
        r = sq_run(a, ST_MAILBOX_DEL, "i", (int64_t)m->id);
        mbox_drop(a, m);
    }
    if (r >= 0)
        r = mbox_make(a, name, special, subscribed, &m);
    if (r >= 0)
        *ret_id = m->id;
    return r;
}

static int delete_row(struct store_account *a, struct mbox *m)
{
    if (m->subscribed) {
        m->state = MBOX_SUBSCRIPTION;
        return write_state(a, m);
    }
    int r = sq_run(a, ST_MAILBOX_DEL, "i", (int64_t)m->id);
    if (r >= 0)
        mbox_drop(a, m);
    return r;
}

static int delete (struct store_account *a, ph_str name, uint64_t *ret_id)
{
    struct mbox *m = mbox_find(a, name);
    if (ph_str_eq(name, PH_STR("INBOX")))
        return sq_fail(a, PH_EDENIED, 0, "INBOX cannot be deleted");
    if (!m || m->state == MBOX_SUBSCRIPTION)
        return sq_fail(a, PH_ENOENT, 0, "no such mailbox");
    *ret_id = m->id;
    bool children = mbox_has_children(a, m);
    if (m->state == MBOX_NAME)
        return children ? sq_fail(a, PH_EDENIED, 0, "the name has inferiors") : delete_row(a, m);
    int r = sq_remove_all(a, m);
    if (r < 0)
        return r;
    m->special[0] = 0;
    m->dirty = true;
    m->state = MBOX_NAME;
    return children ? write_state(a, m) : delete_row(a, m);
}

static int rename_row(struct store_account *a, struct mbox *m, ph_str name)
{
    struct mbox *old = mbox_find(a, name);
    uint64_t id = m->id;
    int r = 0;
    if (old) { /* a subscription only: it goes over to the new holder of the name */
        r = sq_run(a, ST_MAILBOX_DEL, "i", (int64_t)old->id);
        mbox_drop(a, old);
        for (m = a->mb; m->id != id; m++)
            ;
    }
    if (r >= 0)
        r = sq_run(a, ST_MAILBOX_NAME, "it", (int64_t)m->id, name);
    if (r < 0)
        return r;
    struct mbox copy = *m, *in;
    copy.name = (char *)(uintptr_t)name.p;
    copy.name_n = name.n;
    r = mbox_insert(a, &copy, &in);
    if (r < 0)
        return r;
    for (m = a->mb; m->id != id || ph_str_eq((ph_str){m->name, m->name_n}, name); m++)
        ;
    mbox_drop(a, m);
    return 0;
}

static bool inferior(const struct mbox *m, ph_str of)
{
    return m->name_n > of.n && !memcmp(m->name, of.p, of.n) && m->name[of.n] == '/';
}

/* Would every inferior have a good and free name? */
static int check_inferiors(struct store_account *a, ph_str name, ph_str to)
{
    size_t bytes = 0;
    for (size_t i = 0; i < a->mb_n; i++) {
        struct mbox *m = &a->mb[i];
        char full[STORE_NAME_MAX];
        size_t n = m->name_n - name.n + to.n;
        if (!inferior(m, name))
            continue;
        if (n > STORE_NAME_MAX)
            return sq_fail(a, PH_ELIMIT, 0, "the name of %.200s would become too long", m->name);
        memcpy(full, to.p, to.n);
        memcpy(full + to.n, m->name + name.n, m->name_n - name.n);
        if (is_there(a, (ph_str){full, n}))
            return sq_fail(a, PH_EEXIST, 0, "%.*s exists already", (int)(n > 200 ? 200 : n), full);
        bytes += to.n > name.n ? to.n - name.n : 0;
    }
    return room_for(a, 0, bytes);
}

static int rename_inferiors(struct store_account *a, ph_str name, ph_str to)
{
    char key[STORE_NAME_MAX + 1], full[STORE_NAME_MAX];
    memcpy(key, name.p, name.n);
    key[name.n] = '/';
    for (;;) { /* each turn takes one away from below `name` */
        size_t i = mbox_lower(a, (ph_str){key, name.n + 1});
        if (i == a->mb_n || !inferior(&a->mb[i], name))
            return 0;
        struct mbox *m = &a->mb[i];
        size_t n = m->name_n - name.n + to.n;
        memcpy(full, to.p, to.n);
        memcpy(full + to.n, m->name + name.n, m->name_n - name.n);
        int r = rename_row(a, m, (ph_str){full, n});
        if (r < 0)
            return r;
    }
}

/* RFC 9051 6.3.6: the messages of INBOX move to a new mailbox; INBOX and its inferiors stay. */
static int rename_inbox(struct store_account *a, ph_str to, uint64_t *ret_id)
{
    int r = create(a, to, PH_STR(""), ret_id);
    if (r < 0)
        return r;
    struct mbox *from = mbox_find(a, PH_STR("INBOX")), *m = mbox_find(a, to);
    return from ? sq_move_all(a, from, m) : sq_fail(a, PH_ECORRUPT, 0, "%s: no INBOX", a->dir);
}

static int rename_to(struct store_account *a, ph_str name, ph_str to, uint64_t *ret_id)
{
    struct mbox *m = mbox_find(a, name);
    if (!m || m->state == MBOX_SUBSCRIPTION)
        return sq_fail(a, PH_ENOENT, 0, "no such mailbox");
    if (is_there(a, to))
        return sq_fail(a, PH_EEXIST, 0, "the new name exists already");
    if (to.n > name.n && ph_str_has_prefix(to, name) && to.p[name.n] == '/')
        return sq_fail(a, PH_EINVAL, 0, "a mailbox cannot become its own inferior");
    if (ph_str_eq(name, PH_STR("INBOX")))
        return rename_inbox(a, to, ret_id);
    uint64_t id = m->id;
    int r = check_inferiors(a, name, to);
    if (r >= 0)
        r = with_superiors(a, to, 1, to.n);
    if (r >= 0)
        r = rename_row(a, mbox_find(a, name), to);
    if (r >= 0)
        r = rename_inferiors(a, name, to);
    if (r >= 0)
        *ret_id = id;
    return r;
}

static int subscribe(struct store_account *a, ph_str name, bool on, uint64_t *ret_id)
{
    struct mbox *m = mbox_find(a, name);
    if (!m || (on && m->state == MBOX_SUBSCRIPTION))
        return sq_fail(a, PH_ENOENT, 0, "no such mailbox");
    *ret_id = m->id;
    if (m->subscribed == on)
        return 0;
    m->subscribed = on;
    return m->state == MBOX_SUBSCRIPTION ? delete_row(a, m) : write_state(a, m);
}

int sq_change(struct store_account *a, enum store_change op, ph_str name, ph_str to, ph_str special,
              uint64_t *ret_id, struct ph_error *reterr)
{
    char norm[STORE_NAME_MAX], norm_to[STORE_NAME_MAX];
    uint64_t id = 0;
    int r = sq_enter(a, true);
    int n = r < 0 ? r : store_name_norm(name, norm, &a->err);
    int n_to = n < 0 || op != STORE_RENAME ? 0 : store_name_norm(to, norm_to, &a->err);
    r = n < 0 ? n : n_to < 0 ? n_to : 0;
    if (r >= 0) {
        name = (ph_str){norm, (size_t)n};
        to = (ph_str){norm_to, (size_t)n_to};
        r = op == STORE_CREATE   ? create(a, name, special, &id)
            : op == STORE_DELETE ? delete (a, name, &id)
            : op == STORE_RENAME ? rename_to(a, name, to, &id)
                                 : subscribe(a, name, op == STORE_SUBSCRIBE, &id);
    }
    if (r >= 0 && ret_id)
        *ret_id = id;
    return sq_leave(a, r, reterr);
}
