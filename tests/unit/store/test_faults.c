/* Every write, read and flush of a delivery, an append, a move and an expunge fails once, and for
 * ever. */
#include "fault_vfs.h"
#include "store_test.h"

#include <errno.h>
#include <fcntl.h>

enum { MOST_CALLS = 400 };

static ph_str big(void)
{
    static char text[600000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 2654435761u >> 11);
    return (ph_str){text, sizeof text};
}

static int nothing(void *ctx, const struct store_message *m)
{
    (void)ctx, (void)m;
    return 0;
}

static uint32_t count(struct store_account *a, const char *name, uint64_t *ret_id)
{
    struct store_selected s;
    struct uidset u = {0};
    OK(ops->select(a, ph_str_c(name), false, &s, &u, &err));
    assert_int_equal(uidset_count(&u), s.mailbox.messages);
    uidset_done(&u);
    if (ret_id)
        *ret_id = s.mailbox.id;
    return s.mailbox.messages;
}

/* ---- the operations: each returns its result; `delta` is what it adds to INBOX and to Trash ----- */

static uint64_t qid;

static int do_deliver(struct store_account *a, struct ph_error *e)
{
    struct store_put p;
    int r = ops->txn(a, STORE_BEGIN, e);
    for (int i = 0; r >= 0 && i < 3; i++)
        r = ops->put(a,
                     &(struct store_letter){.qid = ++qid,
                                            .address = PH_STR("a@b"),
                                            .mailbox = PH_STR("INBOX"),
                                            .body = PH_STR("hello")},
                     &p, e);
    int end = ops->txn(a, STORE_COMMIT, e);
    return end < 0 ? end : r;
}

static int do_append(struct store_account *a, struct ph_error *e)
{
    struct store_put p;
    return ops->put(a, &(struct store_letter){.mailbox = PH_STR("Trash"), .body = big()}, &p, e);
}

static int do_move(struct store_account *a, struct ph_error *e)
{
    struct store_copied c = {0};
    struct uidset u = {0}, all = {0};
    struct store_selected s;
    int r = ops->select(a, PH_STR("INBOX"), true, &s, &all, e);
    if (r >= 0)
        r = uidset_add(&u, all.v[0].from, all.v[0].from);
    if (r >= 0)
        r = ops->copy(a, s.mailbox.id, &u, PH_STR("Trash"), true, &c, e);
    uidset_done(&u), uidset_done(&all), uidset_done(&c.from), uidset_done(&c.to);
    return r;
}

static int do_expunge(struct store_account *a, struct ph_error *e)
{
    struct uidset u = {0}, gone = {0}, mod = {0}, all = {0};
    struct store_selected s;
    uint64_t modseq;
    int r = ops->select(a, PH_STR("Trash"), true, &s, &all, e);
    uint32_t last = all.n ? all.v[all.n - 1].to : 1;
    ops->txn(a, STORE_BEGIN, e);
    if (r >= 0)
        r = uidset_add(&u, last, last);
    if (r >= 0)
        r = ops->flags(a, s.mailbox.id, &u,
                       &(struct store_flagging){STORE_FLAGS_ADD, STORE_DELETED, {0}, UINT64_MAX},
                       nothing, NULL, &mod, &modseq, e);
    if (r >= 0)
        r = ops->expunge(a, s.mailbox.id, &u, &gone, &modseq, e);
    int end = ops->txn(a, r >= 0 ? STORE_COMMIT : STORE_ABORT, e);
    uidset_done(&u), uidset_done(&gone), uidset_done(&mod), uidset_done(&all);
    return r < 0 ? r : end;
}

struct operation {
    const char *name;
    int (*run)(struct store_account *a, struct ph_error *e);
    int inbox, trash;
};
static const struct operation operations[] = {{"deliver", do_deliver, 3, 0},
                                              {"append", do_append, 0, 1},
                                              {"move", do_move, -1, 1},
                                              {"expunge", do_expunge, 0, -1}};

static struct store_account *fresh(struct store **s, const char *dir, const char *vfs)
{
    if (*s)
        ops->free(*s);
    OK(ops->new (&(struct store_options){.root = dir, .vfs = vfs}, s, &err));
    return test_account(*s, 1);
}

static void must_be_clean(struct store_account *a)
{
    struct ph_error e = {0};
    assert_int_equal(ops->check(a, false, finding, NULL, &e), 0);
}

/* All calls of one kind, one after the other, until the operation needs no more. */
static void fail_each(const struct operation *op, enum fault_kind kind, int forever)
{
    char *dir = test_dir();
    struct store *s = NULL;
    struct store_account *a = fresh(&s, dir, "faulty");
    struct ph_error e = {0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(do_deliver(a, &e) | do_append(a, &e), 0);
    int k = 1, failed = 0;
    for (;; k++) {
        a = fresh(&s, dir, "faulty"); /* nothing cached: every page is read */
        assert_int_equal(do_deliver(a, &e) | do_append(a, &e) | do_append(a, &e), 0);
        a = fresh(&s, dir, "faulty");
        uint32_t inbox = count(a, "INBOX", NULL), trash = count(a, "Trash", NULL);
        fault_vfs_arm(kind, k, forever);
        int r = op->run(a, &e);
        int hit = fault_vfs_hit();
        fault_vfs_arm(kind, 0, 0);
        failed += r < 0;
        if (r < 0)
            assert_true(e.code == PH_EIO || e.code == PH_EFULL || e.code == PH_ECORRUPT ||
                        e.code == PH_ENOMEM);
        if (r < 0 && kind == FAULT_WRITE_FULL)
            assert_int_equal(e.code, PH_EFULL);
        for (int twice = 0; twice < 2; twice++) { /* at once, and after opening anew */
            assert_int_equal(count(a, "INBOX", NULL), inbox + (uint32_t)(r < 0 ? 0 : op->inbox));
            assert_int_equal(count(a, "Trash", NULL), trash + (uint32_t)(r < 0 ? 0 : op->trash));
            if (!twice)
                a = fresh(&s, dir, "faulty");
        }
        if (k % 8 == 1)
            must_be_clean(a);
        if (!hit)
            break;
        assert_true(k < MOST_CALLS);
    }
    must_be_clean(a);
    printf("%-8s kind %d %s: %d calls, %d failures\n", op->name, (int)kind,
           forever ? "for ever" : "once", k - 1, failed);
    ops->free(s);
    test_dir_remove(dir);
}

static void io_faults(void **state)
{
    (void)state;
    fault_vfs_register();
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        for (int kind = 0; kind < FAULT_KINDS; kind++)
            for (int forever = 0; forever < 2; forever++)
                fail_each(&operations[i], (enum fault_kind)kind, forever);
}

/* ---- flushing ----------------------------------------------------------------------------- */

static int flush_result;
static int flush(int fd)
{
    (void)fd;
    errno = EIO;
    return flush_result;
}

static void flush_fails(void **state)
{
    (void)state;
    char *dir = test_dir();
    struct store *s;
    OK(ops->new (&(struct store_options){.root = dir, .flush = flush}, &s, &err));
    struct store_account *a = test_account(s, 1);
    struct ph_error e = {0};
    assert_int_equal(do_deliver(a, &e), 0);
    struct store_sync *y;
    assert_int_equal(ops->mark(a, &y), 1);
    flush_result = -1;
    assert_int_equal(ops->sync(y, true), -PH_EIO);
    a = test_account(s, 1); /* reopened and written anew */
    assert_int_equal(ops->mark(a, &y), 0);
    assert_int_equal(count(a, "INBOX", NULL), 3);
    flush_result = 0;
    assert_int_equal(do_deliver(a, &e), 0);
    assert_int_equal(ops->mark(a, &y), 1);
    assert_int_equal(ops->sync(y, true), 0);
    ops->free(s);
    test_dir_remove(dir);
}

/* ---- damage ------------------------------------------------------------------------------- */

static void damaged_file(void **state)
{
    (void)state;
    char *dir = test_dir(), path[256];
    struct store *s = NULL;
    struct ph_error e = {0};
    struct store_account *a = fresh(&s, dir, NULL);
    for (int i = 0; i < 30; i++)
        assert_int_equal(do_deliver(a, &e), 0);
    s = ops->free(s);
    snprintf(path, sizeof path, "%s/account1/mail.sqlite", dir);
    int fd = open(path, O_RDWR);
    char junk[4096];
    memset(junk, 0x5a, sizeof junk);
    assert_int_equal(pwrite(fd, junk, sizeof junk, 0), sizeof junk);
    close(fd);
    OK(ops->new (&(struct store_options){.root = dir}, &s, &err));
    assert_int_equal(ops->account(s, 1, PH_STR("account1"), STORE_OPEN_CREATE, &a, &e),
                     -PH_ECORRUPT);
    assert_non_null(strstr(e.text, "account1/mail.sqlite"));
    a = test_account(s, 2); /* others go on */
    assert_int_equal(do_deliver(a, &e), 0);
    ops->free(s);
    test_dir_remove(dir);
}

static void repairs(void **state)
{
    (void)state;
    char *dir = test_dir(), cmd[512];
    struct store *s = NULL;
    struct ph_error e = {0};
    struct store_account *a = fresh(&s, dir, NULL);
    for (int i = 0; i < 5; i++)
        assert_int_equal(do_deliver(a, &e), 0);
    s = ops->free(s);
    snprintf(cmd, sizeof cmd,
             "sqlite3 %s/account1/mail.sqlite \"UPDATE mailbox SET messages=99, modseq=1; UPDATE "
             "email SET refs=7 WHERE emailid=3;"
             " DELETE FROM message WHERE uid=4; UPDATE account SET email_next=1\" && touch -d "
             "yesterday %s/account1/blobs/0000000000000abc",
             dir, dir);
    if (system(cmd) != 0)
        skip();
    OK(ops->new (&(struct store_options){.root = dir}, &s, &err));
    OK(ops->account(s, 1, PH_STR("account1"), STORE_OPEN, &a, &err));
    assert_true(ops->check(a, false, finding, NULL, &e) >= 5);
    assert_true(ops->check(a, true, finding, NULL, &e) >= 5);
    must_be_clean(a);
    assert_int_equal(count(a, "INBOX", NULL), 14);
    ops->free(s);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(io_faults), cmocka_unit_test(flush_fails),
                                       cmocka_unit_test(damaged_file), cmocka_unit_test(repairs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
