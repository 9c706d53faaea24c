/* The schedule: properties that hold for any order of events, told by random ones. And the text of
 * reports. */
#include "bounce.h"
#include "sched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000)
static const struct ph_sched_options options = {
    .first = 5 * 60 * S, .most = 4 * 3600 * S, .connections = 20, .local = 100};

static void backoff_grows_within_bounds(void **state)
{
    (void)state;
    struct ph_sched *s = ph_sched_new(&options, 1);
    for (unsigned n = 1; n < 80; n++) {
        int64_t full = n < 7 ? options.first << (n - 1) : options.most;
        full = full > options.most ? options.most : full;
        for (int i = 0; i < 50; i++) {
            int64_t wait = ph_sched_backoff(s, n);
            assert_true(wait >= full - full / 10 && wait <= full + full / 10);
        }
    }
    ph_sched_free(s);
}

static struct ph_dest *dest(struct ph_sched *s, int i)
{
    char name[32];
    snprintf(name, sizeof name, "d%d.test", i);
    return ph_sched_dest(s, i ? ph_str_c(name) : (ph_str){0});
}

/* 20 destinations, one with very many jobs: everyone gets a turn, no limit is passed, nothing is
 * lost. */
static void turns_are_taken(void **state)
{
    enum { DESTS = 20, FEW = 3, MANY = 5000 };
    (void)state;
    struct ph_sched *s = ph_sched_new(&options, 7);
    struct ph_sched_job *jobs = calloc(MANY + DESTS * FEW, sizeof *jobs), *j;
    size_t n = 0, done = 0, few_done_at = 0, few = 0;
    for (int i = 0; i < MANY; i++)
        ph_sched_ready(s, dest(s, 1), &jobs[n++]);
    for (int d = 2; d < DESTS; d++)
        for (int i = 0; i < FEW; i++)
            ph_sched_ready(s, dest(s, d), &jobs[n++]);
    size_t total = n;
    struct ph_sched_job *flying[1000];
    size_t up = 0;
    while (done < total) {
        while (up < 1000 && (j = ph_sched_take(s, false)))
            flying[up++] = j;
        assert_true(up > 0);
        for (size_t i = 0; i < up; i++)
            assert_true(flying[i]->dest->flying <= flying[i]->dest->limit &&
                        flying[i]->dest->limit <= options.connections);
        size_t pick = (size_t)rand() % up;
        if (!ph_str_eq(flying[pick]->dest->name, PH_STR("d1.test")) && ++few == (DESTS - 2) * FEW)
            few_done_at = done;
        ph_sched_back(s, flying[pick], SCHED_WELL, S);
        flying[pick] = flying[--up];
        done++;
    }
    assert_true(few_done_at < 1000); /* the large mailing did not delay the single letters */
    assert_int_equal(ph_sched_jobs(s), 0);
    free(jobs);
    ph_sched_free(s);
}

static void silence_holds(void **state)
{
    (void)state;
    struct ph_sched *s = ph_sched_new(&options, 9);
    struct ph_sched_job jobs[4];
    struct ph_dest *d = dest(s, 1);
    int64_t now = 1000 * S;
    for (int i = 0; i < 4; i++)
        ph_sched_ready(s, d, &jobs[i]);
    struct ph_sched_job *j = ph_sched_take(s, false);
    ph_sched_back(s, j, SCHED_SILENT, now);
    assert_true(d->held_until > now);
    assert_false(ph_sched_room(s, d, now));
    assert_null(ph_sched_take(s, false));
    int shed = 0;
    while (ph_sched_shed(s, d))
        shed++;
    assert_int_equal(shed, 3);
    ph_sched_on_disk(s, d, now);
    assert_null(ph_sched_refill(s, now));
    assert_int_equal(ph_sched_when(s), d->held_until);
    int64_t held = d->held_until;
    assert_ptr_equal(ph_sched_refill(s, held),
                     d); /* looked for when the hold ends, one at a time */
    ph_sched_ready(s, d, &jobs[0]);
    ph_sched_ready(s, d, &jobs[1]);
    assert_non_null(ph_sched_take(s, false));
    assert_null(ph_sched_take(s, false));
    ph_sched_back(s, &jobs[0], SCHED_SILENT, held);
    assert_true(d->held_until - held > held - now); /* and longer than before */
    ph_sched_free(s);
}

static void clocks_jump(void **state)
{
    (void)state;
    struct ph_sched *s = ph_sched_new(&options, 11);
    struct ph_dest *d = dest(s, 1);
    int64_t year = INT64_C(31536000) * S
    , now = 50 * year;
    ph_sched_on_disk(s, d, now + 60 * S);
    assert_null(ph_sched_refill(s, now));
    assert_ptr_equal(ph_sched_refill(s, now - year), d); /* back by a year: not waited for */
    ph_sched_on_disk(s, d, now + 60 * S);
    assert_ptr_equal(ph_sched_refill(s, now + year), d);
    ph_sched_free(s);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct ph_sched *s = ph_sched_new(&options, 13);
    for (int i = 1; i <= SCHED_DESTS; i++)
        ph_sched_on_disk(s, dest(s, i), (rand() % 1000) * S);
    assert_null(dest(s, SCHED_DESTS + 1));
    int64_t last = 0, now = 0;
    struct ph_dest *d;
    int found = 0;
    while (ph_sched_when(s) != INT64_MAX) {
        now = ph_sched_when(s);
        assert_true(now >= last);
        last = now;
        while ((d = ph_sched_refill(s, now))) {
            found++;
            ph_sched_tidy(s, d);
        }
    }
    assert_int_equal(found, SCHED_DESTS);
    assert_int_equal(ph_sched_dests(s), 0);
    ph_sched_free(s);
}

/* ---- reports ----------------------------------------------------------------------------- */

static void statuses(void **state)
{
    static const struct {
        const char *reply;
        bool expired;
        const char *status;
    } rows[] = {{"550 5.1.1 no", false, "5.1.1"},
                {"550 no such user", false, "5.0.0"},
                {"450 later", false, "4.0.0"},
                {"450 4.2.0 grey", true, "4.2.0"},
                {"nobody answered", true, "4.4.7"},
                {"", false, "5.0.0"},
                {"550 5.1.1.1 odd", false, "5.0.0"},
                {"552 5.3.4", false, "5.3.4"},
                {"55", false, "5.0.0"},
                {"550 5.1234567890 x", false, "5.0.0"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(ph_str_eq(ph_bounce_status(ph_str_c(rows[i].reply), rows[i].expired),
                              ph_str_c(rows[i].status)));
}

static void reports_cannot_be_broken_by_what_they_hold(void **state)
{
    static const char *const letters[] = {"Subject: x\r\n\r\nbody", "", "no end",
                                          "Subject: \xff\xfe\r\n\r\n", "\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        struct ph_bounce_rcpt r[2] = {
            {.address = PH_STR("b@b.test\r\nX: y"),
             .reply = PH_STR("550 5.1.1 a\r\n--=_\r\nb\nc"),
             .mta = PH_STR("mx\r\n.b")},
            {.address = PH_STR("c@b.test"), .reply = PH_STR("451 \x01\x02"), .expired = true}};
        struct ph_bounce b = {.hostname = PH_STR("mx.a.test"),
                              .id = PH_STR("1k0wefw9are"),
                              .to = PH_STR("a@a.test"),
                              .letter_id = PH_STR("1k0wefw9arf"),
                              .letter = ph_str_c(letters[i]),
                              .rcpts = r,
                              .n = 2,
                              .for_postmaster = i % 2};
        struct ph_buf out;
        uint32_t skip;
        ph_str id;
        ph_buf_init(&out, NULL, 1 << 20);
        assert_int_equal(ph_bounce_write(&b, &out, &skip, &id), 0);
        ph_str m = ph_buf_str(&out);
        assert_true(ph_str_eq(ph_str_sub(m, 0, skip), PH_STR("Return-Path: <>\r\n")));
        assert_true(ph_str_eq(id, PH_STR("<1k0wefw9are@mx.a.test>")));
        assert_int_equal(ph_str_find(m, PH_STR("\r\nX: y")), PH_NPOS);
        for (size_t k = 0; k < m.n; k++)
            assert_true((m.p[k] == '\n') == (k > 0 && m.p[k - 1] == '\r'));
        ph_buf_done(&out);
        ph_buf_init(&out, NULL, 500); /* no room */
        assert_true(ph_bounce_write(&b, &out, &skip, &id) < 0);
        ph_buf_done(&out);
    }
}

/* Five hundred of the longest addresses with the longest replies: what the queue can hold, and
 * everyone counted. */
static void reports_have_an_end(void **state)
{
    static struct ph_bounce_rcpt r[500];
    static char address[1000], reply[2048], more[64];
    (void)state;
    memset(address, 'a', sizeof address);
    memset(reply, '5', sizeof reply);
    for (size_t i = 0; i < sizeof reply; i += 100)
        reply[i] = '\n';
    for (size_t i = 0; i < 500; i++)
        r[i] = (struct ph_bounce_rcpt){.address = {address, sizeof address},
                                       .original = {address, sizeof address},
                                       .reply = {reply, sizeof reply},
                                       .mta = PH_STR("mx.b.test"),
                                       .last_try = 1};
    struct ph_bounce b = {.hostname = PH_STR("mx.a.test"),
                          .id = PH_STR("1k0wefw9are"),
                          .to = PH_STR("a@a.test"),
                          .letter_id = PH_STR("1k0wefw9arf"),
                          .rcpts = r,
                          .n = 500};
    struct ph_buf out;
    uint32_t skip;
    ph_str id;
    ph_buf_init(&out, NULL, 1 << 20);
    assert_int_equal(ph_bounce_write(&b, &out, &skip, &id), 0);
    ph_str rest = ph_buf_str(&out);
    size_t told = 0;
    for (size_t at; (at = ph_str_find(rest, PH_STR("Final-Recipient:"))) != PH_NPOS; told++)
        rest = ph_str_skip(rest, at + 1);
    snprintf(more, sizeof more, "and to %zu more.", 500 - told);
    assert_int_not_equal(told, 0);
    assert_int_not_equal(ph_str_find(ph_buf_str(&out), ph_str_c(more)), PH_NPOS);
    ph_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff_grows_within_bounds),
        cmocka_unit_test(reports_have_an_end),
        cmocka_unit_test(turns_are_taken),
        cmocka_unit_test(silence_holds),
        cmocka_unit_test(clocks_jump),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(statuses),
        cmocka_unit_test(reports_cannot_be_broken_by_what_they_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
