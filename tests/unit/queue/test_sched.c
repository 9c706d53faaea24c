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

static void ready(struct ph_sched *s, int to, const char *sender, struct ph_sched_job *job)
{
    job->sender = ph_sched_sender(s, ph_str_c(sender));
    assert_true(ph_sched_ready(s, dest(s, to), job));
}

static bool room(struct ph_sched *s, int to, const char *sender, int64_t now)
{
    return ph_sched_room(s, dest(s, to), ph_sched_sender(s, ph_str_c(sender)), now);
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
        ready(s, 1, "mailing", &jobs[n++]);
    for (int d = 2; d < DESTS; d++)
        for (int i = 0; i < FEW; i++)
            ready(s, d, "mailing", &jobs[n++]);
    size_t total = n;
    struct ph_sched_job *flying[1000];
    size_t up = 0;
    while (done < total) {
        while (up < 1000 && (j = ph_sched_take(s, false)))
            flying[up++] = j;
        assert_true(up > 0);
        for (size_t i = 0; i < up; i++)
            assert_true(flying[i]->site->flying <= flying[i]->site->limit &&
                        flying[i]->site->limit <= options.connections);
        size_t pick = (size_t)rand() % up;
        struct ph_dest *d = flying[pick]->dest;
        if (!ph_str_eq(d->name, PH_STR("d1.test")) && ++few == (DESTS - 2) * FEW)
            few_done_at = done;
        ph_sched_back(s, flying[pick], SCHED_WELL, S);
        ph_sched_tidy(s, d);
        flying[pick] = flying[--up];
        done++;
    }
    assert_true(few_done_at < 1000); /* the large mailing did not delay the single letters */
    assert_int_equal(ph_sched_jobs(s), 0);
    assert_int_equal(ph_sched_dests(s), 0);
    free(jobs);
    ph_sched_free(s);
}

/* At one site: a letter of somebody else overtakes a mailing, in memory and at its door. */
static void senders_take_turns(void **state)
{
    enum { MANY = 1000 };
    (void)state;
    struct ph_sched *s = ph_sched_new(&options, 8);
    struct ph_sched_job jobs[MANY] = {0}, single = {0};
    int kept = 0;
    while (kept < MANY && room(s, 1, "mailing", S))
        ready(s, 1, "mailing", &jobs[kept++]);
    assert_int_equal(kept, SCHED_READY);
    assert_true(room(s, 1, "alice", S));
    ready(s, 1, "alice", &single);
    struct ph_sched_job *first = ph_sched_take(s, false), *second = ph_sched_take(s, false);
    assert_true(first == &single || second == &single);
    assert_null(ph_sched_take(s, false)); /* two at a time, at the beginning */
    ph_sched_free(s);
}

/* 100 domains with one MX: their tries say so, and together they get no more than one would. */
static void domains_share_a_site(void **state)
{
    enum { DOMAINS = 100, EACH = 3, MOST = 7 };
    (void)state;
    struct ph_sched *s = ph_sched_new(&options, 10);
    struct ph_sched_job jobs[DOMAINS * EACH] = {0}, *flying[DOMAINS * EACH], *j;
    size_t up = 0, done = 0;
    for (int i = 0; i < DOMAINS * EACH; i++)
        ready(s, 1 + i % DOMAINS, "alice", &jobs[i]);
    for (int d = 1; d <= DOMAINS; d++)
        ph_sched_learn(s, dest(s, d), PH_STR("mx.test"), MOST);
    const struct ph_site *site = dest(s, 1)->site;
    assert_true(ph_str_eq(site->name, PH_STR("mx.test")));
    for (unsigned most = 0; done < DOMAINS * EACH; most = 0) {
        while ((j = ph_sched_take(s, false)))
            flying[up++] = j;
        for (size_t i = 0; i < up; i++)
            most += flying[i]->site == site;
        assert_true(up > 0 && up == most && most <= MOST && site->flying == most);
        struct ph_dest *d = flying[--up]->dest;
        done++;
        if (done == DOMAINS * EACH)
            assert_int_equal(site->limit, MOST); /* it grew, and no further */
        ph_sched_back(s, flying[up], SCHED_WELL, S);
        ph_sched_tidy(s, d);
    }
    assert_int_equal(ph_sched_dests(s), 0);
    ph_sched_free(s);
}

static void crowded_sites_get_less(void **state)
{
    (void)state;
    struct ph_sched *s = ph_sched_new(&options, 12);
    struct ph_sched_job jobs[200] = {0}, *j;
    int64_t now = 1000 * S;
    for (int i = 0; i < 200; i++)
        ready(s, 1, "alice", &jobs[i]);
    struct ph_site *site = dest(s, 1)->site;
    for (int i = 0; i < 20; i++)
        ph_sched_back(s, ph_sched_take(s, false), SCHED_WELL, now);
    assert_int_equal(site->limit, options.connections);
    struct ph_sched_job *a = ph_sched_take(s, false), *b = ph_sched_take(s, false);
    ph_sched_back(s, a, SCHED_CROWDED, now);
    ph_sched_back(s, b, SCHED_CROWDED, now); /* the same moment: counts once */
    assert_int_equal(site->limit, options.connections / 2);
    assert_null(ph_sched_take(s, false)); /* it rests */
    int64_t then = ph_sched_when(s);
    assert_true(then > now && then <= now + 2 * S);
    assert_null(ph_sched_refill(s, then));
    for (int i = 0; i < 5; i++) {
        assert_non_null(j = ph_sched_take(s, false));
        ph_sched_back(s, j, SCHED_WELL, then);
    }
    assert_int_equal(site->limit, options.connections / 2); /* grows by one after so many */
    ph_sched_rest(s, dest(s, 1), then + S);
    assert_null(ph_sched_take(s, false));
    assert_null(ph_sched_refill(s, then + S));
    assert_non_null(ph_sched_take(s, false));
    ph_sched_free(s);
}

static void silence_holds(void **state)
{
    (void)state;
    struct ph_sched *s = ph_sched_new(&options, 9);
    struct ph_sched_job jobs[4] = {0};
    struct ph_dest *d = dest(s, 1);
    int64_t now = 1000 * S;
    d->pins++;
    for (int i = 0; i < 4; i++)
        ready(s, 1, "alice", &jobs[i]);
    struct ph_sched_job *j = ph_sched_take(s, false);
    ph_sched_back(s, j, SCHED_SILENT, now);
    assert_true(d->site->held_until > now);
    assert_false(room(s, 1, "alice", now));
    assert_null(ph_sched_take(s, false));
    int shed = 0;
    while (ph_sched_shed(s, d->site))
        shed++;
    assert_int_equal(shed, 3);
    ph_sched_on_disk(s, d, now);
    assert_null(ph_sched_refill(s, now));
    assert_int_equal(ph_sched_when(s), d->site->held_until);
    int64_t held = d->site->held_until;
    assert_ptr_equal(ph_sched_refill(s, held),
                     d); /* looked for when the hold ends, one at a time */
    ready(s, 1, "alice", &jobs[0]);
    ready(s, 1, "alice", &jobs[1]);
    assert_non_null(ph_sched_take(s, false));
    assert_null(ph_sched_take(s, false));
    ph_sched_back(s, &jobs[0], SCHED_SILENT, held);
    assert_true(d->site->held_until - held > held - now); /* and longer than before */
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
        cmocka_unit_test(senders_take_turns),
        cmocka_unit_test(domains_share_a_site),
        cmocka_unit_test(crowded_sites_get_less),
        cmocka_unit_test(silence_holds),
        cmocka_unit_test(clocks_jump),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
