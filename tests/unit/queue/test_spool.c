/* The spool: states on disk, kills at random moments, a disk that fails at its k-th call. */
#include "id.h"
#include "pack.h"
#include "queue.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#define NOW INT64_C(1700000000000000)

static char folder[64], path[96];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test-spool-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/queue.sqlite", folder);
    return 0;
}

static int teardown(void **state)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", path, tails[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static struct ph_spool *open_with(const char *vfs)
{
    struct ph_spool *s = NULL;
    struct ph_error err = {0};
    const struct ph_spool_options opt = {.journey = true, .vfs = vfs};
    return ph_spool_open(path, &opt, &s, &err) < 0 ? NULL : s;
}

static struct ph_spool *open_spool(void)
{
    struct ph_spool *s = open_with(NULL);
    assert_non_null(s);
    return s;
}

/* The body tells the id, so that a mixed-up one is seen. */
static size_t make_body(uint64_t qid, char *buf, size_t n)
{
    memset(buf, 'a' + (int)(qid % 26), n);
    char id[PH_ID_TEXT + 1];
    memcpy(buf, ph_id_text(qid, id), PH_ID_TEXT);
    return n;
}

static const char *from = "a@a.test";

static int put(struct ph_spool *s, uint64_t *ret_qid, size_t size, int64_t next_try,
               const char *dest)
{
    char *body = malloc(size);
    uint64_t qid = *ret_qid = ph_spool_id(s, NOW);
    make_body(qid, body, size);
    struct ph_spool_event queued = {.time = NOW, .kind = 3, .process = PH_STR("queue")};
    struct ph_spool_letter l = {.qid = qid,
                                .received = NOW,
                                .sender = ph_str_c(from),
                                .message_id = PH_STR("<m@a.test>"),
                                .owner = PH_STR("a@a.test"),
                                .size = size,
                                .summary = PH_STR("sum"),
                                .events = &queued,
                                .events_n = 1};
    struct ph_spool_rcpt r[2] = {{.idx = 0,
                                  .target = *dest ? PH_SPOOL_REMOTE : PH_SPOOL_LOCAL,
                                  .address = PH_STR("b@b.test"),
                                  .dest = ph_str_c(dest),
                                  .next_try = next_try},
                                 {.idx = 1,
                                  .address = PH_STR("c@b.test"),
                                  .account = 7,
                                  .folder = PH_STR("c"),
                                  .next_try = next_try}};
    int err = ph_spool_put(s, &l, r, 2, (ph_str){body, size});
    free(body);
    return err;
}

static bool is_there(struct ph_spool *s, uint64_t qid, size_t size)
{
    struct ph_arena *a = ph_arena_new(NULL, 1 << 20);
    struct ph_spool_letter l;
    struct ph_spool_rcpt *r;
    size_t n = 0;
    bool good = ph_spool_load(s, qid, a, &l, &r, &n) == 1 && n && l.size == size;
    struct ph_buf body;
    ph_buf_init(&body, NULL, 8 << 20);
    char *want = malloc(size);
    make_body(qid, want, size);
    good = good && ph_spool_body(s, qid, 0, 8 << 20, NULL, &body) == 0 && body.n == size &&
           !memcmp(body.p, want, size);
    free(want);
    ph_buf_done(&body);
    ph_arena_free(a);
    return good;
}

static void counts(struct ph_spool *s, uint64_t letters, uint64_t rcpts)
{
    uint64_t l, r;
    assert_int_equal(ph_spool_count(s, &l, &r), 0);
    assert_int_equal(l, letters);
    assert_int_equal(r, rcpts);
}

/* ---- states ------------------------------------------------------------------------------ */

static void states(void **state)
{
    static const size_t sizes[] = {64, 2048, 65536, 300000, 3 << 20};
    (void)state;
    struct ph_spool *s = open_spool();
    uint64_t last = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t qid;
        assert_int_equal(put(s, &qid, sizes[i], PH_SPOOL_FRESH, "b.test"), 0);
        assert_true(qid > last);
        assert_int_equal(ph_spool_commit(s), 0);
        s = ph_spool_close(s);
        s = open_spool();
        assert_true(is_there(s, qid, sizes[i]));
        counts(s, 1, 2);
        assert_int_equal(ph_spool_recover(s, NOW), 2);
        assert_int_equal(ph_spool_done(s, qid, 0), 0);
        assert_int_equal(ph_spool_commit(s), 0);
        assert_true(is_there(s, qid, sizes[i]));
        assert_int_equal(ph_spool_done(s, qid, 1), 0);
        counts(s, 0, 0); /* seen before it is committed */
        assert_int_equal(ph_spool_commit(s), 0);
        assert_int_equal(ph_spool_checkpoint(s, 0), 0);
        last = qid;
    }
    ph_spool_close(s);
}

static off_t size_of(const char *tail)
{
    char name[128];
    struct stat st;
    snprintf(name, sizeof name, "%s%s", path, tail);
    assert_int_equal(stat(name, &st), 0);
    return st.st_size;
}

/* What passes through the spool must not stay in its log for ever. */
static void log_begins_anew(void **state)
{
    enum { LETTERS = 60, SIZE = 100000, PAGES = 32, PAGE = 16384 };
    (void)state;
    struct ph_spool *s = open_spool();
    for (int i = 0; i < LETTERS; i++) {
        uint64_t qid;
        assert_int_equal(put(s, &qid, SIZE, PH_SPOOL_FRESH, ""), 0);
        assert_int_equal(ph_spool_commit(s), 0);
        assert_int_equal(ph_spool_checkpoint(s, PAGES), 0);
    }
    assert_in_range(size_of(""), (LETTERS - 10) * SIZE, 2 * LETTERS * SIZE);
    assert_in_range(size_of("-wal"), 1, 2 * PAGES * PAGE);
    ph_spool_close(s);
}

static void ids_never_repeat(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (int i = 0; i < 10; i++) {
        struct ph_spool *s = open_spool();
        int64_t clock =
            i % 2 ? NOW : NOW + INT64_C(31536000000000) * (i - 5); /* years to and fro */
        for (int k = 0; k < 100; k++) {
            uint64_t qid = ph_spool_id(s, clock);
            assert_true(qid > last);
            last = qid;
        }
        uint64_t qid;
        assert_int_equal(put(s, &qid, 100, NOW, "x.test"), 0);
        last = qid;
        assert_int_equal(ph_spool_commit(s), 0);
        ph_spool_close(s);
    }
}

/* What a journey tells, as "kind:reply kind:reply ...". */
static int tell(void *ctx, const struct ph_spool_event *e)
{
    ph_buf_addf(ctx, "%s%u:%.*s", ((struct ph_buf *)ctx)->n ? " " : "", e->kind, PH_FMT(e->reply));
    return 0;
}

static void journey_is(struct ph_spool *s, uint64_t qid, const char *want)
{
    struct ph_buf told;
    ph_buf_init(&told, NULL, 4096);
    assert_int_equal(ph_spool_journey_of(s, qid, tell, &told), 0);
    assert_string_equal(ph_buf_cstr(&told), want);
    ph_buf_done(&told);
}

static void event(struct ph_spool *s, uint64_t qid, uint8_t kind, const char *reply)
{
    struct ph_spool_event e = {.qid = qid, .time = NOW, .kind = kind, .reply = ph_str_c(reply)};
    assert_int_equal(ph_spool_event(s, (ph_str){0}, (ph_str){0}, &e), 0);
}

static void rollback_keeps_changes(void **state)
{
    (void)state;
    struct ph_spool *s = open_spool();
    uint64_t one, two;
    assert_int_equal(put(s, &one, 100, PH_SPOOL_FRESH, "x.test"), 0);
    assert_int_equal(ph_spool_commit(s), 0);
    assert_int_equal(ph_spool_done(s, one, 0), 0);
    assert_int_equal(put(s, &two, 100, PH_SPOOL_FRESH, "x.test"), 0);
    ph_spool_tie(s, true);
    event(s, one, 7, "tied to what is not there");
    ph_spool_tie(s, false);
    assert_int_equal(ph_spool_changes(s), 2);
    ph_spool_rollback(s);
    assert_int_equal(ph_spool_changes(s), 1); /* the tied one is gone, the end is not */
    assert_int_equal(ph_spool_commit(s), 0);
    counts(s, 1, 1);
    assert_false(is_there(s, two, 100));
    journey_is(s, one, "3:");
    journey_is(s, two, "");
    ph_spool_close(s);
}

struct site_list {
    struct ph_spool_site *sites;
    size_t n;
};

static int add_site(void *ctx, const struct ph_spool_site *site)
{
    struct site_list *l = ctx;
    l->sites[l->n++] = *site;
    return 0;
}

/* Each sender's letters lie in one lane, and the lanes of a destination are found one after the
 * other. */
static void lanes(void **state)
{
    (void)state;
    static const char *const senders[] = {"a@a.test", "b@a.test", "", "mailing@c.test"};
    struct ph_spool *s = open_spool();
    struct ph_spool_due row[64];
    uint64_t qid;
    unsigned lane = 0, found = 0, rows = 0;
    int64_t when;
    for (int i = 0; i < 40; i++) {
        from = senders[i % 4];
        assert_int_equal(put(s, &qid, 20, NOW + i % 4, "x.test"), 0);
    }
    from = senders[0];
    assert_int_equal(ph_spool_commit(s), 0);
    for (; ph_spool_lane_next(s, PH_STR("x.test"), lane, &lane, &when) == 1; lane++) {
        struct ph_spool_due start = {.next_try = INT64_MIN};
        assert_true(lane < PH_SPOOL_LANES);
        int n = ph_spool_due(s, PH_STR("x.test"), lane, &start, row, 64);
        assert_int_equal(n, 10); /* these four share none */
        for (int i = 0; i < n; i++)
            assert_int_equal(row[i].next_try, when);
        found++;
        rows += (unsigned)n;
    }
    assert_int_equal(found, 4);
    assert_int_equal(rows, 40);
    ph_spool_close(s);
}

/* A queue that the program before the lanes wrote. */
static void upgrade(void **state)
{
    (void)state;
    struct ph_spool *s = open_spool();
    uint64_t qid;
    assert_int_equal(put(s, &qid, 100, NOW, "x.test"), 0);
    assert_int_equal(ph_spool_commit(s), 0);
    ph_spool_close(s);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "DROP INDEX rcpt_due; ALTER TABLE rcpt DROP COLUMN lane; CREATE "
                                  "INDEX rcpt_due ON rcpt(dest, next_try) WHERE next_try IS NOT "
                                  "NULL; PRAGMA user_version=6",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    for (int turn = 0; turn < 2; turn++) { /* the second one finds nothing to do */
        s = open_spool();
        unsigned lane = 1;
        int64_t when = 0;
        assert_true(is_there(s, qid, 100));
        assert_int_equal(ph_spool_lane_next(s, PH_STR("x.test"), 0, &lane, &when), 1);
        assert_int_equal(lane, 0);
        assert_int_equal(when, NOW);
        ph_spool_close(s);
    }
}

static void due_in_pages(void **state)
{
    (void)state;
    struct ph_spool *s = open_spool();
    uint64_t qid;
    for (int i = 0; i < 100; i++)
        assert_int_equal(put(s, &qid, 20, NOW + i % 10, i % 3 ? "x.test" : "y.test"), 0);
    assert_int_equal(ph_spool_commit(s), 0);
    struct ph_spool_due row[7], after = {.next_try = INT64_MIN};
    int n, seen = 0;
    unsigned lane;
    int64_t when;
    assert_int_equal(ph_spool_lane_next(s, PH_STR("x.test"), 0, &lane, &when), 1);
    assert_int_equal(when, NOW);
    while ((n = ph_spool_due(s, PH_STR("x.test"), lane, &after, row, 7)) > 0) {
        for (int i = 0; i < n; i++) {
            assert_true(row[i].next_try > after.next_try ||
                        (row[i].next_try == after.next_try && row[i].qid > after.qid));
            after = row[i];
            seen++;
        }
    }
    assert_int_equal(seen, 66);
    struct ph_buf name;
    ph_buf_init(&name, NULL, 300);
    assert_int_equal(ph_spool_lane_next(s, PH_STR("x.test"), lane + 1, &lane, &when), 0);
    assert_int_equal(ph_spool_dest_next(s, (ph_str){0}, true, &name, &when), 1);
    assert_int_equal(name.n, 0);
    assert_int_equal(ph_spool_dest_next(s, (ph_str){0}, false, &name, &when), 1);
    assert_string_equal(ph_buf_cstr(&name), "x.test");
    ph_buf_done(&name);
    struct ph_spool_site sites[3] = {0};
    struct site_list list = {sites, 0};
    assert_int_equal(ph_spool_wait(s, qid, 0, 1, PH_SPOOL_HELD, PH_STR("450 later")), 0);
    assert_int_equal(ph_spool_sites(s, 3, add_site, &list), 0);
    assert_int_equal(list.n, 3); /* both, and the mailboxes here */
    assert_int_equal(sites[0].rcpts + sites[1].rcpts + sites[2].rcpts, 200);
    assert_true(sites[0].rcpts >= sites[1].rcpts && sites[1].rcpts >= sites[2].rcpts);
    assert_int_equal(sites[0].held + sites[1].held + sites[2].held, 1);
    ph_spool_close(s);
}

static void journeys(void **state)
{
    (void)state;
    struct ph_spool *s = open_spool();
    uint64_t qids[5], found[10];
    for (int i = 0; i < 5; i++) {
        assert_int_equal(put(s, &qids[i], 100, PH_SPOOL_FRESH, ""), 0);
        event(s, qids[i], 7, "ok");
    }
    assert_int_equal(ph_spool_trips(s, PH_STR("<m@a.test>"), found, 10), 5);
    assert_int_equal(ph_spool_trips(s, PH_STR("<other@a.test>"), found, 10), 0);
    assert_int_equal(ph_spool_done(s, qids[0], 0), 0);
    assert_int_equal(ph_spool_done(s, qids[0], 1), 0);
    assert_int_equal(ph_spool_commit(s), 0);
    journey_is(s, qids[0], "3: 7:ok");
    assert_int_equal(ph_spool_prune(s, NOW + 1000000, 100), 1); /* the others are still under way */
    assert_int_equal(ph_spool_commit(s), 0);
    journey_is(s, qids[0], "");
    assert_int_equal(ph_spool_trips(s, PH_STR("<m@a.test>"), found, 10), 4);
    ph_spool_close(s);
}

/* Before the end, with it and after it: told in this order, wherever each of them is kept. */
static void events_stay_in_order(void **state)
{
    (void)state;
    uint64_t qid, plain, none, found[4];
    struct ph_spool *s = open_spool();
    assert_int_equal(put(s, &qid, 100, PH_SPOOL_FRESH, "b.test"), 0);
    for (int commits = 0; commits < 2; commits++) {
        event(s, qid, 4, "first try");
        assert_int_equal(ph_spool_wait(s, qid, 0, 1, NOW, PH_STR("450")), 0);
        event(s, qid, 5, "other");
        assert_int_equal(ph_spool_commit(s), 0);
    }
    event(s, qid, 6, "c gone");
    assert_int_equal(ph_spool_done(s, qid, 1), 0);
    assert_int_equal(ph_spool_commit(s), 0);
    counts(s, 1, 1);
    event(s, qid, 7, "b gone");
    assert_int_equal(ph_spool_done(s, qid, 0), 0);
    event(s, qid, 8, "said so");
    assert_int_equal(ph_spool_commit(s), 0);
    counts(s, 0, 0);
    event(s, qid, 9, "read");
    const char *all =
        "3: 4:first try 5:other 4:first try 5:other 6:c gone 7:b gone 8:said so 9:read";
    journey_is(s, qid, all);
    assert_int_equal(ph_spool_commit(s), 0);
    ph_spool_close(s);
    s = open_spool();
    journey_is(s, qid, all);
    ph_spool_journey(s, false); /* a letter that came without a journey never gets one */
    assert_int_equal(put(s, &plain, 100, PH_SPOOL_FRESH, "b.test"), 0);
    ph_spool_journey(s, true);
    event(s, plain, 7, "ok");
    event(s, none = qid + 1000000, 7, "nobody's");
    assert_int_equal(ph_spool_done(s, plain, 0), 0);
    assert_int_equal(ph_spool_done(s, plain, 1), 0);
    assert_int_equal(ph_spool_commit(s), 0);
    counts(s, 0, 0);
    journey_is(s, plain, "");
    journey_is(s, none, "");
    assert_int_equal(ph_spool_trips(s, PH_STR("<m@a.test>"), found, 4), 1);
    assert_int_equal(ph_spool_prune(s, NOW + INT64_C(600000000), 10), 2); /* its row, too */
    assert_int_equal(ph_spool_trips(s, PH_STR("<m@a.test>"), found, 4), 0);
    event(s, none, 7, "nobody's"); /* the first is gone */
    journey_is(s, qid, "");
    ph_spool_close(s);
}

static void many_journeys_are_found(void **state)
{
    enum { MANY = 9000 };
    (void)state;
    struct ph_spool *s = open_spool();
    uint64_t *qids = calloc(MANY, sizeof *qids), found[4];
    char mid[40];
    for (int i = 0; i < MANY; i++) {
        snprintf(mid, sizeof mid, "<%u@a.test>", (unsigned)i * 2654435761u);
        struct ph_spool_event e = {.qid = qids[i] = ph_spool_id(s, NOW), .time = NOW, .kind = 1};
        assert_int_equal(ph_spool_event(s, ph_str_c(mid), PH_STR("a@a.test"), &e), 0);
        if (i % 500 == 0)
            assert_int_equal(ph_spool_commit(s), 0);
        if (i == 5000)
            ph_spool_close(s), s = open_spool();
    }
    struct ph_spool_event late = {.qid = qids[0] - 1, .time = NOW, .kind = 1};
    assert_int_equal(ph_spool_event(s, PH_STR("<late@a.test>"), (ph_str){0}, &late), 0);
    assert_int_equal(ph_spool_commit(s), 0);
    for (int round = 0; round < 2; round++, ph_spool_close(s), s = open_spool()) {
        for (int i = 0; i < MANY; i += 97) {
            snprintf(mid, sizeof mid, "<%u@a.test>", (unsigned)i * 2654435761u);
            assert_int_equal(ph_spool_trips(s, ph_str_c(mid), found, 4), 1);
            assert_int_equal(found[0], qids[i]);
        }
        assert_int_equal(ph_spool_trips(s, PH_STR("<late@a.test>"), found, 4), 1);
    }
    int gone = 0, n;
    while ((n = ph_spool_prune(s, NOW + INT64_C(600000000), 1000)) > 0)
        gone += n;
    assert_int_equal(n, 0);
    assert_int_equal(gone, MANY + 1);
    assert_int_equal(ph_spool_commit(s), 0);
    assert_int_equal(ph_spool_trips(s, PH_STR("<0@a.test>"), found, 4), 0);
    free(qids);
    ph_spool_close(s);
}

/* ---- kills ------------------------------------------------------------------------------- */

struct told {
    uint64_t qid;
    uint32_t gone; /* 1: its end was committed */
};

static void writer(int fd, unsigned seed)
{
    struct ph_spool *s = open_spool();
    uint64_t before = 0;
    for (;;) {
        struct told batch[16];
        int n = 1 + rand_r(&seed) % 15;
        for (int i = 0; i < n; i++) {
            batch[i] = (struct told){0};
            if (put(s, &batch[i].qid, 500 + (size_t)rand_r(&seed) % 5000, PH_SPOOL_FRESH, "x.test"))
                _exit(1);
        }
        if (before && (ph_spool_done(s, before, 0) || ph_spool_done(s, before, 1)))
            _exit(1);
        if (ph_spool_commit(s))
            _exit(1);
        if (before) {
            batch[n].qid = before;
            batch[n++].gone = 1;
        }
        before = rand_r(&seed) % 2 ? batch[0].qid : 0;
        if (write(fd, batch, (size_t)n * sizeof *batch) < 0)
            _exit(1);
        if (rand_r(&seed) % 20 == 0)
            (void)ph_spool_checkpoint(s, 1);
    }
}

static void killed_at_any_moment(void **state)
{
    enum { ROUNDS = 15, MOST = 100000 };
    (void)state;
    static struct told told[MOST];
    size_t n = 0;
    srand(4711);
    for (unsigned round = 0; round < ROUNDS; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        if (!child) {
            close(fds[0]);
            writer(fds[1], round + 1);
        }
        close(fds[1]);
        usleep((useconds_t)(5000 + rand() % 60000));
        kill(child, SIGKILL);
        ssize_t got;
        while (n + 64 < MOST && (got = read(fds[0], &told[n], 64 * sizeof *told)) > 0)
            n += (size_t)got / sizeof *told;
        close(fds[0]);
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        struct ph_spool *s = open_spool();
        struct ph_arena *a = ph_arena_new(NULL, 1 << 24);
        for (size_t i = 0; i < n; i++) {
            struct ph_mark m = ph_arena_mark(a);
            struct ph_spool_letter l = {0};
            struct ph_spool_rcpt *r;
            size_t rcpts = 0;
            bool gone = told[i].gone;
            for (size_t k = i; !gone && k < n; k++)
                gone = told[k].gone && told[k].qid == told[i].qid;
            int there = ph_spool_load(s, told[i].qid, a, &l, &r, &rcpts);
            if (gone)
                assert_int_equal(there, 0);
            else if (there == 1) /* its end may be committed and not yet told */
                assert_true(is_there(s, told[i].qid, l.size));
            ph_arena_back(a, m);
        }
        ph_arena_free(a);
        ph_spool_close(s);
    }
    assert_true(n > ROUNDS);
}

/* ---- a disk that fails --------------------------------------------------------------------- */

static struct {
    int calls, fail_at,
        error; /* fail_at: the call that fails; 0: none; from there on all when `all` */
    bool all;
} disk;

static bool fails(void)
{
    disk.calls++;
    return disk.fail_at && (disk.all ? disk.calls >= disk.fail_at : disk.calls == disk.fail_at);
}

struct shim_file {
    sqlite3_file base;
    sqlite3_file *real;
};

#define REAL(f) (((struct shim_file *)(f))->real)

static int shim_close(sqlite3_file *f)
{
    int rc = REAL(f)->pMethods->xClose(REAL(f));
    free(REAL(f));
    return rc;
}
static int shim_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return REAL(f)->pMethods->xRead(REAL(f), p, n, at);
}
static int shim_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    return fails() ? disk.error : REAL(f)->pMethods->xWrite(REAL(f), p, n, at);
}
static int shim_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    return fails() ? SQLITE_IOERR_TRUNCATE : REAL(f)->pMethods->xTruncate(REAL(f), n);
}
static int shim_sync(sqlite3_file *f, int flags)
{
    return fails() ? SQLITE_IOERR_FSYNC : REAL(f)->pMethods->xSync(REAL(f), flags);
}
static int shim_size(sqlite3_file *f, sqlite3_int64 *n)
{
    return REAL(f)->pMethods->xFileSize(REAL(f), n);
}
static int shim_lock(sqlite3_file *f, int l)
{
    return REAL(f)->pMethods->xLock(REAL(f), l);
}
static int shim_unlock(sqlite3_file *f, int l)
{
    return REAL(f)->pMethods->xUnlock(REAL(f), l);
}
static int shim_reserved(sqlite3_file *f, int *out)
{
    return REAL(f)->pMethods->xCheckReservedLock(REAL(f), out);
}
static int shim_control(sqlite3_file *f, int op, void *arg)
{
    return REAL(f)->pMethods->xFileControl(REAL(f), op, arg);
}
static int shim_sector(sqlite3_file *f)
{
    return REAL(f)->pMethods->xSectorSize(REAL(f));
}
static int shim_traits(sqlite3_file *f)
{
    return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}
static int shim_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return REAL(f)->pMethods->xShmMap(REAL(f), page, size, extend, out);
}
static int shim_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return REAL(f)->pMethods->xShmLock(REAL(f), at, n, flags);
}
static void shim_barrier(sqlite3_file *f)
{
    REAL(f)->pMethods->xShmBarrier(REAL(f));
}
static int shim_unmap(sqlite3_file *f, int del)
{
    return REAL(f)->pMethods->xShmUnmap(REAL(f), del);
}

static const sqlite3_io_methods shim_methods = {
    2,           shim_close, shim_read,     shim_write,    shim_truncate, shim_sync,
    shim_size,   shim_lock,  shim_unlock,   shim_reserved, shim_control,  shim_sector,
    shim_traits, shim_map,   shim_shm_lock, shim_barrier,  shim_unmap,    NULL,
    NULL};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    sqlite3_vfs *real = vfs->pAppData;
    struct shim_file *s = (struct shim_file *)f;
    s->base.pMethods = NULL;
    s->real = calloc(1, (size_t)real->szOsFile);
    int rc = real->xOpen(real, name, s->real, flags, out);
    if (rc != SQLITE_OK)
        free(s->real);
    else
        s->base.pMethods = &shim_methods;
    return rc;
}

static void make_shim(void)
{
    static sqlite3_vfs shim;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    if (shim.zName)
        return;
    shim = *real;
    shim.zName = "failing";
    shim.pAppData = real;
    shim.szOsFile = sizeof(struct shim_file);
    shim.xOpen = shim_open;
    sqlite3_vfs_register(&shim, 0);
}

static void wipe(void)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", path, tails[i]);
        unlink(name);
    }
}

/* Groups of letters; what was acknowledged must be there, what was refused must not, and afterwards
 * all goes on. */
static bool run_failing(int k, bool all, int error)
{
    enum { GROUPS = 6, EACH = 3 };
    uint64_t ok[GROUPS * EACH + 1], bad[GROUPS * EACH];
    size_t ok_n = 0, bad_n = 0;
    wipe();
    disk.fail_at = 0;
    disk.error = error;
    disk.all = all;
    struct ph_spool *s = open_with("failing");
    assert_non_null(s);
    disk.calls = 0;
    disk.fail_at = k;
    for (int g = 0; g < GROUPS; g++) {
        uint64_t qid[EACH];
        int err = 0;
        for (int i = 0; i < EACH; i++)
            err = put(s, &qid[i], 3000, PH_SPOOL_FRESH, "x.test") || err;
        if (!err)
            err = ph_spool_commit(s);
        else
            ph_spool_rollback(s);
        for (int i = 0; i < EACH; i++)
            *(err ? &bad[bad_n++] : &ok[ok_n++]) = qid[i];
        if (g == 3)
            (void)ph_spool_checkpoint(s, 1);
    }
    bool reached = disk.calls >= k;
    disk.fail_at = 0;
    for (int tries = 0; tries < 2; tries++) /* the disk works again: so does the spool */
        if (!put(s, &ok[ok_n], 3000, PH_SPOOL_FRESH, "x.test") && !ph_spool_commit(s)) {
            ok_n++;
            break;
        }
    if (!all)
        assert_true(ok_n > 1);
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < ok_n; i++)
            assert_true(is_there(s, ok[i], 3000));
        for (size_t i = 0; i < bad_n; i++)
            assert_false(is_there(s, bad[i], 3000));
        ph_spool_close(s);
        s = open_spool();
    }
    ph_spool_close(s);
    return reached;
}

static void disk_fails_once(void **state)
{
    (void)state;
    make_shim();
    for (int k = 1; run_failing(k, false, SQLITE_FULL); k++)
        ;
    for (int k = 1; run_failing(k, false, SQLITE_IOERR_WRITE); k++)
        ;
}

static void disk_fails_for_good(void **state)
{
    (void)state;
    make_shim();
    for (int k = 1; run_failing(k, true, SQLITE_FULL); k += 3)
        ;
    for (int k = 1; run_failing(k, true, SQLITE_IOERR_WRITE); k += 3)
        ;
}

/* ---- what is no spool ------------------------------------------------------------------------ */

static void damaged_files_are_told(void **state)
{
    (void)state;
    struct ph_spool *s = NULL;
    struct ph_error err = {0};
    const struct ph_spool_options ro = {.read_only = true}, rw = {.journey = true};
    assert_true(ph_spool_open(path, &ro, &s, &err) < 0);
    FILE *f = fopen(path, "we");
    for (int i = 0; i < 500; i++)
        fputs("this is not a database ", f);
    fclose(f);
    assert_int_equal(ph_spool_open(path, &rw, &s, &err), -PH_ECORRUPT);
    assert_non_null(strstr(err.text, path));
}

static void id_texts(void **state)
{
    (void)state;
    char id[PH_ID_TEXT + 1];
    uint64_t back = 0;
    static const uint64_t ids[] = {0, 1, 31, 32, 1700000000000000, ((uint64_t)1 << 55) - 1};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        assert_true(ph_id_parse(ph_str_c(ph_id_text(ids[i], id)), &back));
        assert_int_equal(back, ids[i]);
    }
    assert_false(ph_id_parse(PH_STR("0000000000"), &back));
    assert_false(ph_id_parse(PH_STR("0000000000u"), &back));
}

/* What is quoted in reports and lists is the message, however it is kept. */
static void texts(void **state)
{
    (void)state;
    enum { SIZE = 20000, SKIP = 300 };
    struct ph_spool *s = open_spool();
    struct ph_packer *packer = ph_packer_new();
    struct ph_buf packed, out;
    ph_buf_init(&packed, NULL, 2 * PH_PACK_MOST);
    ph_buf_init(&out, NULL, SIZE);
    char *body = malloc(SIZE);
    make_body(7, body, SIZE);
    ph_str whole = {body, SIZE};
    assert_int_equal(ph_pack(packer, whole, SKIP, &packed), 1);
    struct ph_spool_rcpt r = {.address = PH_STR("b@b.test"), .dest = PH_STR("b.test")};
    for (int is_packed = 0; is_packed < 2; is_packed++) {
        struct ph_spool_letter l = {.qid = ph_spool_id(s, NOW),
                                    .received = NOW,
                                    .flags = is_packed ? PH_SPOOL_PACKED : 0,
                                    .size = SIZE};
        assert_int_equal(ph_spool_put(s, &l, &r, 1, is_packed ? ph_buf_str(&packed) : whole), 0);
        ph_buf_clear(&out);
        assert_int_equal(ph_spool_text(s, l.qid, 1000, &out), 0);
        assert_in_range(out.n, 1000, SIZE);
        assert_memory_equal(out.p, body, out.n);
    }
    assert_int_equal(ph_spool_text(s, 1, 1000, &out), -PH_ENOENT);
    assert_int_equal(ph_spool_commit(s), 0);
    ph_buf_done(&packed);
    ph_buf_done(&out);
    ph_packer_free(packer);
    free(body);
    ph_spool_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(id_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(states, setup, teardown),
        cmocka_unit_test_setup_teardown(texts, setup, teardown),
        cmocka_unit_test_setup_teardown(log_begins_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_never_repeat, setup, teardown),
        cmocka_unit_test_setup_teardown(rollback_keeps_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(lanes, setup, teardown),
        cmocka_unit_test_setup_teardown(upgrade, setup, teardown),
        cmocka_unit_test_setup_teardown(due_in_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(journeys, setup, teardown),
        cmocka_unit_test_setup_teardown(events_stay_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(many_journeys_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_at_any_moment, setup, teardown),
        cmocka_unit_test_setup_teardown(disk_fails_once, setup, teardown),
        cmocka_unit_test_setup_teardown(disk_fails_for_good, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_files_are_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
