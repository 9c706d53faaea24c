/*
 * Random operations against a small model in memory: after each step both must show the same, to
 * each of eight sessions, which learn of changes at different times and from `changes` alone.
 * `test_model STEPS` takes so many steps, of one long run.
 */
#include "store_test.h"

enum { BOXES = 9, MESSAGES = 4000, SESSIONS = 8, STEPS = 2500, CROWDED = 700 };

static unsigned long steps;

static const char *const pool[BOXES] = {"INBOX", "a",     "a/b",  "a/c", "d",
                                        "d/e/f", "Trash", "Sent", "z"};
static const char *const words[4] = {"", "one", "two", "one two"};

struct msg {
    uint32_t uid, text;
    uint8_t flags, kw;
};
struct box {
    bool live, special; /* special: no delivery is put there by name */
    uint32_t uidnext, uidvalidity, n;
    struct msg v[MESSAGES];
};
struct model {
    struct box box[BOXES];
    uint32_t keys, text;
    uint32_t validity[BOXES]; /* the last one this name had */
};

/* A session's copy of one mailbox, kept up to date by `changes` alone. */
struct replica {
    uint64_t mailbox, modseq;
    uint32_t n;
    struct msg v[MESSAGES];
};

static struct model now, before;
static struct replica seen[SESSIONS][BOXES];
static uint64_t rng;

static uint32_t dice(uint32_t n)
{
    rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
    return (uint32_t)((rng >> 20) % n);
}

static ph_str text_of(uint32_t n)
{
    static char buf[9000];
    size_t len = n % 97 == 0 ? 8000 : n % 700;
    for (size_t i = 0; i < len; i++)
        buf[i] = (char)('a' + (n * 31 + i * (n % 13)) % 26);
    return (ph_str){buf, len};
}

static uint8_t kw_index(ph_str kw)
{
    bool one = store_keyword_in(kw, PH_STR("one")), two = store_keyword_in(kw, PH_STR("two"));
    return (uint8_t)(one + 2 * two);
}

static struct msg *model_find(struct box *b, uint32_t uid)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->v[i].uid == uid)
            return &b->v[i];
    return NULL;
}

static void model_add(struct box *b, struct msg m)
{
    assert_true(b->n < MESSAGES);
    m.uid = b->uidnext++;
    b->v[b->n++] = m;
}

static void model_del(struct box *b, uint32_t uid)
{
    struct msg *m = model_find(b, uid);
    memmove(m, m + 1, (size_t)(b->v + b->n - m - 1) * sizeof *m);
    b->n--;
}

/* ---- comparing ---------------------------------------------------------------------------- */

struct compare {
    struct box *b;
    uint32_t i;
    bool body;
};

static int same_message(void *ctx, const struct store_message *m)
{
    struct compare *c = ctx;
    assert_true(c->i < c->b->n);
    const struct msg *x = &c->b->v[c->i++];
    assert_int_equal(m->uid, x->uid);
    assert_int_equal(m->flags, x->flags);
    assert_int_equal(kw_index(m->keywords), x->kw);
    if (c->body)
        assert_true(ph_str_eq(m->body, text_of(x->text)));
    return 0;
}

static int replica_row(void *ctx, const struct store_message *m)
{
    struct replica *r = ctx;
    if (dice(40) == 0)
        return 1; /* the answer was full */
    struct msg *at = r->v;
    while (at < r->v + r->n && at->uid != m->uid)
        at++;
    if (at == r->v + r->n)
        r->n++;
    *at = (struct msg){m->uid, 0, (uint8_t)m->flags, kw_index(m->keywords)};
    return 0;
}

static int by_uid(const void *a, const void *b)
{
    const struct msg *x = a, *y = b;
    return (x->uid > y->uid) - (x->uid < y->uid);
}

static void catch_up(struct store_account *a, struct replica *r, const struct box *b)
{
    for (int more = 1; more > 0;) {
        struct uidset gone = {0};
        struct ph_error err = {0};
        more = ops->changes(a, r->mailbox, r->modseq, replica_row, r, &gone, &r->modseq, &err);
        if (more < 0)
            fail_msg("changes: %s", err.text);
        uint32_t n = 0;
        for (uint32_t i = 0; i < r->n; i++)
            if (!uidset_has(&gone, r->v[i].uid))
                r->v[n++] = r->v[i];
        r->n = n;
        uidset_done(&gone);
    }
    qsort(r->v, r->n, sizeof *r->v, by_uid);
    assert_int_equal(r->n, b->n);
    for (uint32_t i = 0; i < r->n; i++) {
        assert_int_equal(r->v[i].uid, b->v[i].uid);
        assert_int_equal(r->v[i].flags, b->v[i].flags);
        assert_int_equal(r->v[i].kw, b->v[i].kw);
    }
}

static void compare_box(struct store_account *a, int k, bool body)
{
    struct box *b = &now.box[k];
    struct store_selected s;
    struct uidset uids = {0};
    struct ph_error e;
    int r = ops->select(a, ph_str_c(pool[k]), dice(2), &s, &uids, &e);
    if (!b->live) {
        assert_int_equal(r, -PH_ENOENT);
        return;
    }
    assert_int_equal(r, 0);
    uint32_t unseen = 0, deleted = 0, first = 0;
    uint64_t size = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        assert_true(uidset_has(&uids, b->v[i].uid));
        unseen += !(b->v[i].flags & STORE_SEEN);
        deleted += (b->v[i].flags & STORE_DELETED) != 0;
        size += text_of(b->v[i].text).n;
        if (!first && !(b->v[i].flags & STORE_SEEN))
            first = b->v[i].uid;
    }
    assert_int_equal(uidset_count(&uids), b->n);
    assert_int_equal(s.mailbox.messages, b->n);
    assert_int_equal(s.mailbox.uidnext, b->uidnext);
    assert_int_equal(s.mailbox.unseen, unseen);
    assert_int_equal(s.mailbox.deleted, deleted);
    assert_int_equal(s.mailbox.size, size);
    assert_int_equal(s.first_unseen, first);
    if (b->uidvalidity == 0) {
        assert_true(s.mailbox.uidvalidity > now.validity[k]);
        now.validity[k] = b->uidvalidity = s.mailbox.uidvalidity;
    }
    assert_int_equal(s.mailbox.uidvalidity, b->uidvalidity);
    struct compare c = {b, 0, body};
    OK(ops->list(a, s.mailbox.id, &uids, body ? STORE_F_BODY : STORE_F_FLAGS, 0, same_message, &c,
                 &err));
    assert_int_equal(c.i, b->n);
    struct replica *session = &seen[dice(SESSIONS)][k];
    if (session->mailbox != s.mailbox.id) {
        session->n = 0;
        session->modseq = 0;
        session->mailbox = s.mailbox.id;
    }
    catch_up(a, session, b);
    uidset_done(&uids);
}

/* ---- steps -------------------------------------------------------------------------------- */

static int nothing(void *ctx, const struct store_message *m)
{
    (void)ctx, (void)m;
    return 0;
}

static uint64_t id_of(struct store_account *a, int k)
{
    struct store_selected s;
    struct uidset u = {0};
    int r = ops->select(a, ph_str_c(pool[k]), false, &s, &u, NULL);
    uidset_done(&u);
    return r < 0 ? 0 : s.mailbox.id;
}

static void step_put(struct store_account *a, int k)
{
    uint32_t key = dice(4) == 0 && now.keys ? 1 + dice(now.keys) : now.keys + 1;
    bool append = dice(3) == 0, again = !append && key <= now.keys;
    int target = now.box[k].live && (append || !now.box[k].special) ? k : append ? -1 : 0;
    uint8_t kw = (uint8_t)(append ? dice(4) : 0), flags = (uint8_t)(append ? dice(32) : 0);
    uint32_t text = ++now.text;
    struct store_letter l = {.qid = append ? 0 : key,
                             .address = PH_STR("x@y"),
                             .mailbox = ph_str_c(pool[k]),
                             .flags = flags,
                             .keywords = ph_str_c(words[kw]),
                             .body = text_of(text),
                             .summary = PH_STR("summary")};
    struct store_put p = {0};
    struct ph_error e = {0};
    int r = ops->put(a, &l, &p, &e);
    assert_int_equal(r, target < 0 ? -PH_ENOENT : 0);
    if (r < 0)
        return;
    assert_int_equal(p.again, again);
    if (!append && !again)
        now.keys = key;
    if (again)
        return;
    assert_int_equal(p.uid, now.box[target].uidnext);
    model_add(&now.box[target], (struct msg){0, text, flags, kw});
}

static void random_set(struct box *b, struct uidset *u)
{
    for (uint32_t i = 0, n = 1 + dice(4); i < n; i++) {
        uint32_t from = 1 + dice(b->uidnext + 2), to = from + dice(dice(3) ? 4 : 400);
        assert_int_equal(uidset_add(u, from, to), 0);
    }
}

static void step_flags(struct store_account *a, int k)
{
    struct box *b = &now.box[k];
    struct uidset u = {0}, mod = {0};
    uint64_t modseq, id = id_of(a, k);
    if (!id)
        return;
    random_set(b, &u);
    uint8_t kw = (uint8_t)dice(4), flags = (uint8_t)(dice(3) ? 1u << dice(5) : dice(32));
    struct store_flagging f = {(enum store_flag_op)dice(3), flags, ph_str_c(words[kw]), UINT64_MAX};
    OK(ops->flags(a, id, &u, &f, nothing, NULL, &mod, &modseq, &err));
    for (uint32_t i = 0; i < b->n; i++) {
        struct msg *m = &b->v[i];
        if (!uidset_has(&u, m->uid))
            continue;
        m->flags = f.op == STORE_FLAGS_SET   ? flags
                   : f.op == STORE_FLAGS_ADD ? m->flags | flags
                                             : m->flags & (uint8_t)~flags;
        m->kw = f.op == STORE_FLAGS_SET   ? kw
                : f.op == STORE_FLAGS_ADD ? m->kw | kw
                                          : m->kw & (uint8_t)~kw;
    }
    uidset_done(&u);
}

static void step_copy(struct store_account *a, int k, int to)
{
    struct box *b = &now.box[k], *t = &now.box[to];
    struct uidset u = {0};
    struct store_copied c = {0};
    uint64_t id = id_of(a, k);
    bool is_move = dice(2);
    struct ph_error e;
    if (!id || t->n > 300)
        return;
    random_set(b, &u);
    int r = ops->copy(a, id, &u, ph_str_c(pool[to]), is_move, &c, &e);
    assert_int_equal(r, t->live ? 0 : -PH_EINVAL);
    uint32_t n = 0;
    for (uint32_t uid = 1, end = b->uidnext; r == 0 && uid < end; uid++) {
        struct msg *m = uidset_has(&u, uid) ? model_find(b, uid) : NULL;
        if (!m)
            continue;
        struct msg copy = *m;
        assert_true(uidset_has(&c.from, uid));
        assert_true(uidset_has(&c.to, t->uidnext));
        if (is_move)
            model_del(b, uid);
        model_add(t, copy);
        n++;
    }
    assert_int_equal(uidset_count(&c.from), n);
    assert_int_equal(uidset_count(&c.to), n);
    uidset_done(&u), uidset_done(&c.from), uidset_done(&c.to);
}

static void step_expunge(struct store_account *a, int k)
{
    struct box *b = &now.box[k];
    struct uidset u = {0}, gone = {0};
    uint64_t modseq, id = id_of(a, k), n = 0;
    bool all = dice(2);
    if (!id)
        return;
    random_set(b, &u);
    OK(ops->expunge(a, id, all ? NULL : &u, &gone, &modseq, &err));
    for (uint32_t i = b->n; i-- > 0;) {
        struct msg m = b->v[i];
        if (!(m.flags & STORE_DELETED) || !(all || uidset_has(&u, m.uid)))
            continue;
        assert_true(uidset_has(&gone, m.uid));
        model_del(b, m.uid);
        n++;
    }
    assert_int_equal(uidset_count(&gone), n);
    uidset_done(&u), uidset_done(&gone);
}

/* A crowded mailbox loses half of what it has, so that a long run does not end in one. */
static void step_thin(struct store_account *a, int k)
{
    struct box *b = &now.box[k];
    struct uidset u = {0}, mod = {0}, gone = {0};
    uint64_t modseq, id = id_of(a, k);
    if (!id || b->n < CROWDED)
        return;
    struct store_flagging f = {STORE_FLAGS_ADD, STORE_DELETED, {0}, UINT64_MAX};
    for (uint32_t i = 0; i < b->n; i++)
        if (i % 5)
            assert_int_equal(uidset_add(&u, b->v[i].uid, b->v[i].uid), 0);
    OK(ops->flags(a, id, &u, &f, nothing, NULL, &mod, &modseq, &err));
    OK(ops->expunge(a, id, &u, &gone, &modseq, &err));
    assert_int_equal(uidset_count(&gone), uidset_count(&u));
    for (uint32_t i = b->n; i-- > 0;)
        if (uidset_has(&u, b->v[i].uid))
            model_del(b, b->v[i].uid);
    uidset_done(&u), uidset_done(&mod), uidset_done(&gone);
}

/* RENAME of a mailbox that has no inferiors, to a name that is free: ids and messages stay. */
static void step_rename(struct store_account *a, int k, int to)
{
    struct ph_error e;
    uint64_t id = id_of(a, k);
    if (k == 0 || to == 0 || k == to || !now.box[k].live || now.box[to].live ||
        strchr(pool[to], '/') || !strcmp(pool[k], "a") || !strcmp(pool[k], "d"))
        return;
    if (ops->change(a, STORE_RENAME, ph_str_c(pool[k]), ph_str_c(pool[to]), PH_STR(""), NULL, &e) <
        0)
        return; /* a name that was left for its inferiors */
    now.box[to] = now.box[k];
    now.box[k] = (struct box){.live = false};
    assert_int_equal(id_of(a, to), id);
    now.validity[to] =
        now.validity[to] > now.box[to].uidvalidity ? now.validity[to] : now.box[to].uidvalidity;
}

static void fresh_box(struct box *b)
{
    *b = (struct box){.live = true, .uidnext = 1};
}

/* CREATE and DELETE; superiors appear, names with inferiors stay as names, which only the store
 * knows of. */
static void step_names(struct store_account *a, int k)
{
    bool make = dice(2);
    struct ph_error e;
    int r = ops->change(a, make ? STORE_CREATE : STORE_DELETE, ph_str_c(pool[k]), PH_STR(""),
                        PH_STR(""), NULL, &e);
    if (make) {
        assert_int_equal(r, now.box[k].live ? -PH_EEXIST : 0);
        for (int i = 0; r == 0 && i < BOXES; i++) {
            size_t n = strlen(pool[i]);
            bool superior = !strncmp(pool[i], pool[k], n) && pool[k][n] == '/';
            struct store_selected s;
            struct uidset u = {0};
            if (i == k || (superior && !now.box[i].live &&
                           ops->select(a, ph_str_c(pool[i]), false, &s, &u, NULL) == 0))
                fresh_box(&now.box[i]);
            uidset_done(&u);
        }
    } else if (k == 0) {
        assert_int_equal(r, -PH_EDENIED);
    } else if (now.box[k].live) {
        assert_int_equal(r, 0);
        now.box[k].live = false;
        now.box[k].n = 0;
    }
}

static void step_rename_inbox(struct store_account *a, int to)
{
    struct ph_error e;
    struct box *t = &now.box[to], *inbox = &now.box[0];
    if (to == 0 || t->live || strchr(pool[to], '/'))
        return;
    int r = ops->change(a, STORE_RENAME, PH_STR("INBOX"), ph_str_c(pool[to]), PH_STR(""), NULL, &e);
    if (r == -PH_EEXIST)
        return; /* a name that was left for its inferiors */
    assert_int_equal(r, 0);
    fresh_box(t);
    for (uint32_t i = 0; i < inbox->n; i++)
        model_add(t, inbox->v[i]);
    inbox->n = 0;
}

static void step(struct store_account *a)
{
    int k = (int)dice(BOXES), kind = (int)dice(100);
    if (kind < 45)
        step_put(a, dice(2) ? 0 : k);
    else if (kind < 65)
        step_flags(a, k);
    else if (kind < 80)
        step_copy(a, k, (int)dice(BOXES));
    else if (kind < 90)
        step_expunge(a, k);
    else if (kind < 97)
        step_names(a, k);
    else if (kind < 98)
        step_rename_inbox(a, k);
    else
        step_rename(a, k, (int)dice(BOXES));
    step_thin(a, k);
}

static void start_model(struct store_account *a)
{
    memset(&now, 0, sizeof now);
    memset(seen, 0, sizeof seen);
    for (int k = 0; k < BOXES; k++)
        if (id_of(a, k))
            fresh_box(&now.box[k]);
    for (int k = 0; k < BOXES; k++)
        now.box[k].special = !strcmp(pool[k], "Trash") || !strcmp(pool[k], "Sent");
}

static struct store *reopen(struct store *s, char *dir)
{
    ops->free(s);
    OK(ops->new (&(struct store_options){.root = dir}, &s, &err));
    return s;
}

static void run(uint64_t seed, unsigned long most)
{
    char *dir = test_dir();
    struct store *s = NULL;
    OK(ops->new (&(struct store_options){.root = dir}, &s, &err));
    struct store_account *a = test_account(s, 1);
    printf("seed %llu\n", (unsigned long long)seed);
    rng = seed;
    start_model(a);
    for (unsigned long i = 0; i < most; i++) {
        bool txn = dice(4) == 0, keep = dice(4) != 0;
        before = now;
        if (txn) {
            OK(ops->txn(a, STORE_BEGIN, &err));
            for (uint32_t n = dice(8); n > 0; n--)
                step(a);
            OK(ops->txn(a, keep ? STORE_COMMIT : STORE_ABORT, &err));
            if (!keep)
                now = before;
        } else {
            step(a);
        }
        compare_box(a, (int)dice(BOXES), dice(steps ? 200 : 8) == 0);
        if (dice(steps ? 2000 : 200) == 0) {
            s = reopen(s, dir);
            a = test_account(s, 1);
        }
    }
    for (int k = 0; k < BOXES; k++)
        compare_box(a, k, true);
    struct ph_error e = {0};
    assert_int_equal(ops->check(a, false, finding, NULL, &e), 0);
    ops->free(s);
    test_dir_remove(dir);
}

static void model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; !steps && seed <= 3; seed++)
        run(seed * 0x9e3779b97f4a7c15u, STEPS);
    if (steps)
        run(0x9e3779b97f4a7c15u, steps);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(model)};
    if (argc > 1)
        steps = strtoul(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
