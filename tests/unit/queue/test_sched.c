/* The schedule: properties that hold for any order of events, told by random ones. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff_grows_within_bounds),
        cmocka_unit_test(turns_are_taken),
        cmocka_unit_test(silence_holds),
        cmocka_unit_test(clocks_jump),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
