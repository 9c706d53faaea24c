/*
 * kill -9 in the middle of random operations, again and again. What is there afterwards must be
 * exactly what a twin has after so many of the same operations: at least as many as were
 * acknowledged, and none of them half. `test_crash N` kills N times.
 */
#include "store_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

enum { AHEAD = 4000, BIG = 600000 };

static unsigned rounds = 20;
static uint64_t rng;

static uint32_t dice(uint32_t n)
{
    rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
    return (uint32_t)((rng >> 20) % n);
}

static const char *const boxes[] = {"INBOX", "Trash", "a", "a/b", "c"};
enum { BOXES = sizeof boxes / sizeof *boxes };

static ph_str text_of(uint32_t n)
{
    static char buf[BIG];
    size_t len = n % 23 == 0 ? BIG - n % 1000 : 20 + n % 900; /* large ones are files */
    uint32_t x = n * 2654435761u + 1;
    for (size_t i = 0; i < len; i++, x = x * 1664525u + 1013904223u)
        buf[i] = (char)(x >> 24);
    return (ph_str){buf, len};
}

/* ---- the operations, the same for the same number ------------------------------------------ */

static int nothing(void *ctx, const struct store_message *m)
{
    (void)ctx, (void)m;
    return 0;
}

static int deliver(struct store_account *a, uint64_t number, bool *ret_again)
{
    struct store_put p = {0};
    struct ph_error e = {0};
    int r = 0;
    for (uint64_t i = 0; r >= 0 && i < 3; i++) {
        r = ops->put(a,
                     &(struct store_letter){.qid = number * 4 + i + 1,
                                            .address = PH_STR("a@b"),
                                            .mailbox = PH_STR("INBOX"),
                                            .date = 1,
                                            .body = text_of((uint32_t)number)},
                     &p, &e);
        *ret_again = p.again;
    }
    return r;
}

static int some_uids(struct store_account *a, const char *box, struct store_selected *s,
                     struct uidset *ret)
{
    struct uidset all = {0};
    int r = ops->select(a, ph_str_c(box), false, s, &all, NULL);
    for (uint32_t i = 0, n = 1 + dice(3); r >= 0 && i < n; i++) {
        uint32_t from = 1 + dice(s->mailbox.uidnext);
        r = uidset_add(ret, from, from + dice(12));
    }
    uidset_done(&all);
    return r;
}

static void change_messages(struct store_account *a, uint32_t kind, const char *box, const char *to)
{
    struct store_selected s;
    struct uidset u = {0}, out = {0};
    struct store_copied c = {0};
    struct ph_error e;
    uint64_t modseq;
    struct store_flagging f = {(enum store_flag_op)dice(3), dice(32),
                               dice(2) ? PH_STR("one") : PH_STR(""), UINT64_MAX};
    if (some_uids(a, box, &s, &u) >= 0 && kind == 0)
        (void)ops->flags(a, s.mailbox.id, &u, &f, nothing, NULL, &out, &modseq, &e);
    else if (u.n && kind == 1)
        (void)ops->copy(a, s.mailbox.id, &u, ph_str_c(to), s.mailbox.messages > 60 || dice(2), &c,
                        &e);
    else if (u.n)
        (void)ops->expunge(a, s.mailbox.id, s.mailbox.messages > 60 ? NULL : &u, &out, &modseq, &e);
    uidset_done(&u), uidset_done(&out), uidset_done(&c.from), uidset_done(&c.to);
}

/* Whatever it answers, it answers the same with the same state before it. */
static void operation(struct store_account *a, uint64_t number)
{
    struct ph_error e;
    struct store_put p;
    bool again;
    rng = number * 0x9e3779b97f4a7c15u + 1;
    const char *box = boxes[dice(BOXES)], *to = boxes[dice(BOXES)];
    uint32_t kind = dice(20);
    if (kind < 4)
        (void)deliver(a, number, &again);
    else if (kind < 7)
        (void)ops->put(a,
                       &(struct store_letter){.mailbox = ph_str_c(box),
                                              .date = 1,
                                              .flags = dice(32),
                                              .body = text_of((uint32_t)number)},
                       &p, &e);
    else if (kind < 17)
        change_messages(a, kind < 10 ? 0 : kind < 13 ? 1 : 2, box, to);
    else
        (void)ops->change(a,
                          kind == 17   ? STORE_CREATE
                          : kind == 18 ? STORE_DELETE
                                       : STORE_RENAME,
                          ph_str_c(box), ph_str_c(to), PH_STR(""), NULL, &e);
}

/* One transaction each. */
static int run(struct store_account *a, uint64_t number)
{
    struct ph_error e = {0};
    int r = ops->txn(a, STORE_BEGIN, &e);
    operation(a, number);
    int end =
        ops->txn(a, STORE_COMMIT, &e); /* one that failed after it had written is taken back */
    (void)end;
    return r;
}

/* ---- what is there -------------------------------------------------------------------------- */

struct state {
    uint64_t hash;
    uint32_t messages;
    struct store_account *a;
    uint64_t mailbox;
};

static void mix(struct state *s, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->hash = (s->hash ^ ((const unsigned char *)p)[i]) * 1099511628211u;
}

static int add_message(void *ctx, const struct store_message *m)
{
    struct state *s = ctx;
    mix(s, &m->uid, sizeof m->uid);
    mix(s, &m->flags, sizeof m->flags);
    mix(s, &m->modseq, sizeof m->modseq);
    mix(s, &m->size, sizeof m->size);
    mix(s, m->keywords.p, m->keywords.n);
    mix(s, m->body.p, m->body.n);
    s->messages++;
    return 0;
}

static int add_mailbox(void *ctx, const struct store_mailbox *m)
{
    struct state *s = ctx;
    mix(s, m->name.p, m->name.n);
    mix(s, &m->bits, sizeof m->bits);
    mix(s, &m->uidnext, sizeof m->uidnext);
    mix(s, &m->messages, sizeof m->messages);
    mix(s, &m->unseen, sizeof m->unseen);
    mix(s, &m->modseq, sizeof m->modseq);
    mix(s, &m->size, sizeof m->size);
    return 0;
}

static struct state look(struct store_account *a, bool bodies)
{
    struct state s = {.hash = 14695981039346656037u, .a = a};
    OK(ops->mailboxes(a, PH_STR(""), add_mailbox, &s, &err));
    for (int i = 0; i < BOXES; i++) {
        struct store_selected box;
        struct uidset all = {0};
        if (ops->select(a, ph_str_c(boxes[i]), false, &box, &all, NULL) >= 0)
            OK(ops->list(a, box.mailbox.id, &all,
                         STORE_F_SIZE | (bodies ? (unsigned)STORE_F_BODY : 0), 0, add_message, &s,
                         &err));
        uidset_done(&all);
    }
    return s;
}

/* ---- victim and twin ------------------------------------------------------------------------ */

static struct store *open_in(const char *dir, struct store_account **ret)
{
    struct store *s = NULL;
    OK(ops->new (&(struct store_options){.root = dir}, &s, &err));
    *ret = test_account(s, 1);
    return s;
}

/* Goes on from `from` until it is killed; says how far it is durable. */
static void victim(const char *dir, int out, uint64_t from)
{
    struct store_account *a;
    open_in(dir, &a);
    for (uint64_t i = from;; i++) {
        struct store_sync *y;
        if (run(a, i) < 0)
            _exit(3);
        if (i % 3)
            continue;
        if (ops->mark(a, &y) > 0 && ops->sync(y, true) < 0)
            _exit(4);
        if (write(out, &i, sizeof i) < 0)
            _exit(0);
    }
}

/* wait: microseconds until the kill. */
static uint64_t kill_one(const char *dir, uint64_t from, unsigned wait)
{
    int fds[2], status;
    uint64_t acknowledged = from, i;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        victim(dir, fds[1], from + 1);
    close(fds[1]);
    usleep(wait);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status));
    while (read(fds[0], &i, sizeof i) == sizeof i)
        acknowledged = i;
    close(fds[0]);
    return acknowledged;
}

static void only_files(void *ctx, const char *text, bool fixed)
{
    (void)ctx;
    if (!strstr(text, "belongs to no email") || !fixed)
        fail_msg("after a kill: %s", text);
}

/* The number of operations that the victim's state shows. */
static uint64_t meet(struct store_account *a, struct store_account *twin, uint64_t at,
                     uint64_t acknowledged)
{
    struct state is = look(a, false);
    for (; at < acknowledged; at++)
        run(twin, at + 1);
    for (unsigned ahead = 0; look(twin, false).hash != is.hash; ahead++, at++) {
        if (ahead == AHEAD)
            fail_msg("after %llu acknowledged operations: a state that no number of them makes",
                     (unsigned long long)acknowledged);
        run(twin, at + 1);
    }
    assert_true(look(a, true).hash == look(twin, true).hash);
    return at;
}

static void killed(void **state)
{
    (void)state;
    char *dir = test_dir(), *twin_dir = test_dir();
    struct store_account *a, *twin;
    struct store *t = open_in(twin_dir, &twin);
    uint64_t at = 0, letters = 0;
    unsigned patience =
        1; /* a slow disk may need longer for one operation than we wait: then longer */
    for (unsigned turn = 0; turn < rounds; turn++) {
        uint64_t was = at,
                 acknowledged = kill_one(dir, at, patience * (3000 + turn * 1700 % 30000));
        struct store *s = open_in(dir, &a);
        OK(ops->check(a, true, only_files, NULL, &err));
        at = meet(a, twin, at, acknowledged);
        patience = at > was ? 1 : patience < 256 ? 2 * patience : patience;
        struct state before = look(a, false);
        for (uint64_t i = at > 40 ? at - 40 : 1; i <= at; i++) { /* nothing twice */
            bool again = false;
            rng = i * 0x9e3779b97f4a7c15u + 1;
            dice(BOXES), dice(BOXES);
            if (dice(20) < 4) {
                OK(deliver(a, i, &again));
                assert_true(again);
                letters++;
            }
        }
        assert_true(look(a, false).hash == before.hash);
        ops->free(s);
    }
    printf("killed %u times, %llu operations, %llu deliveries tried again\n", rounds,
           (unsigned long long)at, (unsigned long long)letters);
    ops->free(t);
    assert_true(at > 0);
    test_dir_remove(dir);
    test_dir_remove(twin_dir);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed)};
    if (argc > 1)
        rounds = (unsigned)strtoul(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
