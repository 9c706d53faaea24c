/* What concerns a whole account: its limits, what an import keeps, and files that an older
 * Posthouse made. */
#include "store_test.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <time.h>

static struct store_limits most;

static void limits(void *ctx, uint64_t account, struct store_limits *ret)
{
    (void)ctx;
    *ret = account == 1 ? most : (struct store_limits){0};
}

struct fixture {
    char *dir;
    struct store *s;
    struct store_account *a;
};

static struct fixture open_store(void)
{
    struct fixture f = {.dir = test_dir()};
    most = (struct store_limits){0};
    OK(ops->new (&(struct store_options){.root = f.dir, .limits = limits}, &f.s, &err));
    f.a = test_account(f.s, 1);
    return f;
}

static void close_store(struct fixture *f)
{
    OK(ops->check(test_account(f->s, 1), false, finding, NULL, &err) ? -PH_ECORRUPT : 0);
    ops->free(f->s);
    test_dir_remove(f->dir);
}

static int put(struct store_account *a, const char *mailbox, uint64_t qid, size_t size,
               const char *uidl, struct store_put *ret)
{
    static char text[5000];
    struct store_put p = {0};
    struct ph_error e = {0};
    memset(text, 'x', sizeof text);
    struct store_letter l = {.qid = qid,
                             .address = PH_STR("a@b"),
                             .mailbox = ph_str_c(mailbox),
                             .body = {text, size},
                             .uidl = ph_str_c(uidl)};
    int r = ops->put(a, &l, &p, &e);
    if (ret)
        *ret = p;
    return r;
}

static uint64_t box(struct store_account *a, const char *name, uint32_t *ret_messages)
{
    struct store_selected s;
    struct uidset u = {0};
    OK(ops->select(a, ph_str_c(name), false, &s, &u, &err));
    uidset_done(&u);
    if (ret_messages)
        *ret_messages = s.mailbox.messages;
    return s.mailbox.id;
}

static int copy(struct store_account *a, const char *from, const char *to, bool move)
{
    struct uidset all = {0};
    struct store_copied c = {0};
    struct ph_error e = {0};
    assert_int_equal(uidset_add(&all, 1, UINT32_MAX), 0);
    int r = ops->copy(a, box(a, from, NULL), &all, ph_str_c(to), move, &c, &e);
    uidset_done(&all), uidset_done(&c.from), uidset_done(&c.to);
    return r;
}

static void quota(void **state)
{
    (void)state;
    struct fixture f = open_store();
    struct store_put p;
    uint32_t n;
    most = (struct store_limits){.bytes = 3000};
    assert_int_equal(put(f.a, "INBOX", 1, 1000, "", NULL), 0);
    assert_int_equal(put(f.a, "Sent", 0, 1000, "", NULL), 0);
    assert_int_equal(put(f.a, "INBOX", 2, 1001, "", NULL), -PH_EQUOTA);
    assert_int_equal(put(f.a, "INBOX", 2, 1000, "", NULL), 0);
    assert_int_equal(put(f.a, "INBOX", 0, 1, "", NULL), -PH_EQUOTA);
    assert_int_equal(put(f.a, "INBOX", 2, 1000, "", &p), 0); /* that one is in */
    assert_true(p.again);
    assert_int_equal(copy(f.a, "INBOX", "Trash", false), -PH_EQUOTA);
    assert_int_equal(copy(f.a, "INBOX", "Trash", true), 0); /* nothing is added */
    most = (struct store_limits){.bytes = 4500};
    assert_int_equal(copy(f.a, "Trash", "INBOX", false), -PH_EQUOTA); /* all or nothing */
    box(f.a, "INBOX", &n);
    assert_int_equal(n, 0);
    most = (struct store_limits){.messages = 5};
    assert_int_equal(copy(f.a, "Trash", "INBOX", false), 0);
    assert_int_equal(put(f.a, "INBOX", 3, 1, "", NULL), -PH_EQUOTA);
    /* One that does not fit spoils nothing of a transaction with others. */
    most = (struct store_limits){.messages = 6};
    OK(ops->txn(f.a, STORE_BEGIN, &err));
    assert_int_equal(put(f.a, "INBOX", 4, 1, "", NULL), 0);
    assert_int_equal(put(f.a, "INBOX", 5, 1, "", NULL), -PH_EQUOTA);
    OK(ops->txn(f.a, STORE_COMMIT, &err));
    box(f.a, "INBOX", &n);
    assert_int_equal(n, 3);
    assert_int_equal(put(test_account(f.s, 2), "INBOX", 5, 5000, "", NULL),
                     0); /* another account has no limit */
    close_store(&f);
}

static int take_uidl(void *ctx, const struct store_message *m)
{
    snprintf(ctx, STORE_UIDL_MAX + 1, "%.*s", PH_FMT(m->uidl));
    return 0;
}

static void uidl(void **state)
{
    (void)state;
    struct fixture f = open_store();
    char text[STORE_UIDL_MAX + 1] = "?";
    struct uidset one = {0}, gone = {0};
    assert_int_equal(uidset_add(&one, 1, 1), 0);
    assert_int_equal(put(f.a, "INBOX", 0, 10, "00c5-old", NULL), 0);
    assert_int_equal(put(f.a, "INBOX", 0, 10, "", NULL), 0);
    uint64_t id = box(f.a, "INBOX", NULL);
    OK(ops->list(f.a, id, &one, STORE_F_UIDL, 0, take_uidl, text, &err));
    assert_string_equal(text, "00c5-old");
    OK(ops->list(f.a, id, &one, STORE_F_FLAGS, 0, take_uidl, text, &err));
    assert_string_equal(text, "");
    ops->free(f.s);
    OK(ops->new (&(struct store_options){.root = f.dir}, &f.s, &err));
    f.a = test_account(f.s, 1);
    OK(ops->list(f.a, id, &one, STORE_F_UIDL | STORE_F_BODY, 0, take_uidl, text, &err));
    assert_string_equal(text, "00c5-old");
    assert_int_equal(copy(f.a, "INBOX", "Trash", true), 0);
    assert_int_equal(put(f.a, "INBOX", 0, 10, "00c5-old", NULL), 0); /* the name is free again */
    char longer[STORE_UIDL_MAX + 2];
    memset(longer, 'u', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(put(f.a, "INBOX", 0, 10, longer, NULL), -PH_EINVAL);
    uidset_done(&one), uidset_done(&gone);
    close_store(&f);
}

static void peek(void **state)
{
    (void)state;
    struct fixture f = open_store();
    struct store_body b;
    struct store_put p;
    struct store_letter l = {.qid = 9,
                             .address = PH_STR("a@b"),
                             .mailbox = PH_STR("INBOX"),
                             .body = PH_STR("x"),
                             .message_id = PH_STR("<i@d>")};
    OK(ops->put(f.a, &l, &p, &err));
    for (int i = 0; i < 3; i++) {
        OK(ops->body(f.a, p.mailbox, 1, true, &b, &err));
        assert_int_equal(b.journey.n, 0);
    }
    OK(ops->body(f.a, p.mailbox, 1, false, &b, &err));
    assert_true(ph_str_eq(b.journey, PH_STR("<i@d>")));
    OK(ops->body(f.a, p.mailbox, 1, false, &b, &err));
    assert_int_equal(b.journey.n, 0);
    close_store(&f);
}

/* Letters leave Trash and Junk when their time is over, and nothing else does. */
static void expiry(void **state)
{
    (void)state;
    struct fixture f = {.dir = test_dir()};
    enum { HOUR = 3600 };
    static const int64_t us = 1000000;
    OK(ops->new (&(struct store_options){.root = f.dir, .trash_us = 48 * HOUR * us}, &f.s, &err));
    f.a = test_account(f.s, 1);
    assert_int_equal(put(f.a, "Trash", 0, 10, "", NULL) | put(f.a, "Trash", 0, 10, "", NULL) |
                         put(f.a, "Junk", 0, 10, "", NULL),
                     0);
    assert_int_equal(put(f.a, "INBOX", 0, 10, "", NULL), 0);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t now = (int64_t)t.tv_sec * us;
    uint32_t n;
    ops->tend(f.s, now + 36 * HOUR * us, INT64_MAX);
    box(test_account(f.s, 1), "Trash", &n);
    assert_int_equal(n, 2);
    for (int turn = 0; turn < 2; turn++) /* the second time there is nothing left to do */
        ops->tend(f.s, now + (72 + turn * 36) * HOUR * us, INT64_MAX);
    f.a = test_account(f.s, 1);
    box(f.a, "Trash", &n);
    assert_int_equal(n, 0);
    box(f.a, "Junk", &n);
    assert_int_equal(n, 1);
    box(f.a, "INBOX", &n);
    assert_int_equal(n, 1);
    close_store(&f);
}

/* ---- an account as version 1 made it -------------------------------------------------------- */

static const char version_1[] =
    "PRAGMA journal_mode=WAL; BEGIN;"
    "CREATE TABLE mailbox(account INTEGER NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL, state "
    "INTEGER NOT NULL,"
    " special TEXT NOT NULL, subscribed INTEGER NOT NULL, uidvalidity INTEGER NOT NULL, uidnext "
    "INTEGER NOT NULL,"
    " recent_uid INTEGER NOT NULL, modseq INTEGER NOT NULL, seen_below INTEGER NOT NULL, keywords "
    "TEXT NOT NULL,"
    " messages INTEGER NOT NULL, unseen INTEGER NOT NULL, deleted INTEGER NOT NULL, size INTEGER "
    "NOT NULL,"
    " PRIMARY KEY(account, id)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX mailbox_name ON mailbox(account, name);"
    "CREATE TABLE message(account INTEGER NOT NULL, mailbox INTEGER NOT NULL, uid INTEGER NOT "
    "NULL, emailid INTEGER NOT NULL,"
    " flags INTEGER NOT NULL, keywords TEXT NOT NULL, born INTEGER NOT NULL, modseq INTEGER NOT "
    "NULL, date INTEGER NOT NULL,"
    " saved INTEGER NOT NULL, size INTEGER NOT NULL, PRIMARY KEY(account, mailbox, uid)) WITHOUT "
    "ROWID;"
    "CREATE INDEX message_changed ON message(account, mailbox, modseq) WHERE modseq > born;"
    "CREATE TABLE email(account INTEGER NOT NULL, emailid INTEGER PRIMARY KEY, refs INTEGER NOT "
    "NULL, form INTEGER NOT NULL,"
    " size INTEGER NOT NULL, qid INTEGER NOT NULL, message_id TEXT NOT NULL, summary BLOB NOT "
    "NULL);"
    "CREATE TABLE content(account INTEGER NOT NULL, emailid INTEGER PRIMARY KEY, data BLOB NOT "
    "NULL);"
    "CREATE TABLE gone(account INTEGER NOT NULL, mailbox INTEGER NOT NULL, first INTEGER NOT NULL, "
    "last INTEGER NOT NULL,"
    " modseq INTEGER NOT NULL, PRIMARY KEY(account, mailbox, first)) WITHOUT ROWID;"
    "CREATE INDEX gone_modseq ON gone(account, mailbox, modseq);"
    "CREATE TABLE delivered(account INTEGER NOT NULL, qid INTEGER NOT NULL, address TEXT NOT NULL, "
    "mailbox INTEGER NOT NULL,"
    " uid INTEGER NOT NULL, time INTEGER NOT NULL, PRIMARY KEY(account, qid, address)) WITHOUT "
    "ROWID;"
    "CREATE TABLE account(account INTEGER PRIMARY KEY, version INTEGER NOT NULL, created INTEGER "
    "NOT NULL,"
    " uidvalidity INTEGER NOT NULL, mailbox_next INTEGER NOT NULL, email_next INTEGER NOT NULL, "
    "pruned INTEGER NOT NULL);"
    "INSERT INTO account VALUES(1, 1, 0, 100, 2, 257, 0);"
    "INSERT INTO mailbox VALUES(1, 1, 'INBOX', 0, '', 1, 77, 3, 1, 4, 1, '', 1, 1, 0, 5);"
    "INSERT INTO message VALUES(1, 1, 2, 1, 0, '', 2, 4, 1000, 1000, 5);"
    "INSERT INTO email VALUES(1, 1, 1, 0, 5, 3, '<old@d>', x'');"
    "INSERT INTO content VALUES(1, 1, CAST('hello' AS BLOB));"
    "INSERT INTO gone VALUES(1, 1, 1, 1, 3);"
    "COMMIT;";

static void upgrade(void **state)
{
    (void)state;
    char *dir = test_dir(), path[256];
    struct fixture f = {.dir = dir};
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/account1", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/account1/blobs", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/account1/mail.sqlite", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, version_1, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    for (int turn = 0; turn < 2; turn++) { /* the second one finds nothing to do */
        OK(ops->new (&(struct store_options){.root = dir}, &f.s, &err));
        OK(ops->account(f.s, 1, PH_STR("account1"), STORE_OPEN, &f.a, &err));
        struct store_selected s;
        struct store_body b;
        struct uidset u = {0};
        OK(ops->select(f.a, PH_STR("INBOX"), false, &s, &u, &err));
        assert_int_equal(s.mailbox.uidvalidity, 77);
        assert_int_equal(s.mailbox.modseq, (uint64_t)(turn ? 5 : 4));
        OK(ops->body(f.a, s.mailbox.id, 2, true, &b, &err));
        assert_true(ph_str_eq(b.bytes, PH_STR("hello")));
        uidset_done(&u);
        if (turn == 0) {
            assert_int_equal(put(f.a, "INBOX", 0, 10, "kept", NULL), 0);
            ops->free(f.s);
        }
    }
    close_store(&f);
}

static void newer(void **state)
{
    (void)state;
    struct fixture f = open_store();
    char cmd[256];
    struct ph_error e = {0};
    ops->free(f.s);
    snprintf(cmd, sizeof cmd, "sqlite3 %s/account1/mail.sqlite 'UPDATE account SET version=99'",
             f.dir);
    if (system(cmd) != 0)
        skip();
    OK(ops->new (&(struct store_options){.root = f.dir}, &f.s, &err));
    assert_int_equal(ops->account(f.s, 1, PH_STR("account1"), STORE_OPEN, &f.a, &e), -PH_ECORRUPT);
    assert_non_null(strstr(e.text, "version 99"));
    ops->free(f.s);
    test_dir_remove(f.dir);
}

/* The -wal is moved into mail.sqlite by what waits for the disk, and begins anew. */
static void log_moves(void **state)
{
    enum { LETTERS = 200, SIZE = 200 * 1024 };
    (void)state;
    struct fixture f = open_store();
    struct stat file, log;
    char path[256], *text = malloc(SIZE);
    uint32_t x = 1;
    for (size_t i = 0; i < SIZE; i++) /* nothing that can be made smaller */
        text[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
    for (int i = 0; i < LETTERS; i++) {
        struct store_letter l = {.mailbox = PH_STR("INBOX"), .body = {text, SIZE}};
        struct store_put p;
        struct store_sync *y;
        OK(ops->put(f.a, &l, &p, &err));
        if (ops->mark(f.a, &y) > 0)
            assert_int_equal(ops->sync(y, true), 0);
    }
    free(text);
    snprintf(path, sizeof path, "%s/account1/mail.sqlite", f.dir);
    assert_int_equal(stat(path, &file), 0);
    snprintf(path, sizeof path, "%s/account1/mail.sqlite-wal", f.dir);
    assert_int_equal(stat(path, &log), 0);
    assert_true(file.st_size > LETTERS * SIZE / 2);
    assert_true(log.st_size < LETTERS * SIZE * 3 / 4);
    close_store(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(log_moves), cmocka_unit_test(quota),
                                       cmocka_unit_test(uidl),      cmocka_unit_test(peek),
                                       cmocka_unit_test(expiry),    cmocka_unit_test(upgrade),
                                       cmocka_unit_test(newer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
