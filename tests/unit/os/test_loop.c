/* os/loop: readiness, timers, put-off work, signals and wake-ups from threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"
#include "sock.h"

struct trace {
    struct ph_loop *l;
    char p[64];
    size_t n;
    struct ph_later a, b, c;
    struct ph_io *io[2];
    int fds[2];
};

static void mark(struct trace *t, char c)
{
    t->p[t->n++] = c;
    t->p[t->n] = '\0';
}

static void stop(void *ctx)
{
    ph_loop_stop(((struct trace *)ctx)->l);
}

static void mark_a(void *ctx)
{
    struct trace *t = ctx;
    mark(t, 'a');
    if (t->n < 4)
        ph_loop_later(t->l, &t->a); /* the next turn's */
    ph_later_off(t->l, &t->c);
}

static void mark_b(void *ctx)
{
    mark(ctx, 'b');
}

static void mark_c(void *ctx)
{
    mark(ctx, 'c');
}

static void put_off(void **state)
{
    (void)state;
    struct trace t = {.l = ph_loop_new()};
    t.a = (struct ph_later){.fn = mark_a, .ctx = &t};
    t.b = (struct ph_later){.fn = mark_b, .ctx = &t};
    t.c = (struct ph_later){.fn = mark_c, .ctx = &t};
    ph_loop_later(t.l, &t.a);
    ph_loop_later(t.l, &t.b);
    ph_loop_later(t.l, &t.a); /* pending: no effect */
    ph_loop_later(t.l, &t.c); /* the last one, taken out by the first */
    struct ph_timer *end = ph_timer_new(t.l, stop, &t);
    ph_timer_set(end, 5);
    assert_int_equal(ph_loop_run(t.l), 0);
    assert_string_equal(t.p, "abaa");
    assert_false(t.a.pending || t.b.pending || t.c.pending);
    ph_loop_later(t.l, &t.b);
    ph_loop_later(t.l, &t.c);
    ph_later_off(t.l, &t.b);
    ph_later_off(t.l, &t.c);
    ph_timer_set(end, 1);
    ph_loop_run(t.l);
    assert_string_equal(t.p, "abaa");
    ph_timer_free(end);
    ph_loop_free(t.l);
}

static void timers(void **state)
{
    (void)state;
    struct trace t = {.l = ph_loop_new()};
    struct ph_timer *b = ph_timer_new(t.l, mark_b, &t), *c = ph_timer_new(t.l, mark_c, &t);
    struct ph_timer *end = ph_timer_new(t.l, stop, &t);
    int64_t begun = ph_mono_us();
    ph_timer_set(b, 1);
    ph_timer_set(b, 20); /* set again: the later time counts */
    ph_timer_set(c, 5);
    ph_timer_off(c);
    ph_timer_set(end, 40);
    ph_loop_run(t.l);
    assert_string_equal(t.p, "b");
    assert_true(ph_mono_us() - begun >= 35000);
    assert_in_range((uint64_t)(ph_mono_us() / 1000 - ph_loop_now(t.l)), 0, 1000);
    ph_timer_free(b);
    ph_timer_free(c);
    ph_timer_free(end);
    ph_loop_free(t.l);
}

/* Both ends of a pair are ready in the same turn; whoever is first frees both, itself included. */
static void free_both(void *ctx, unsigned ready)
{
    struct trace *t = ctx;
    assert_int_equal(ready, PH_READ);
    mark(t, 'r');
    t->io[0] = ph_io_free(t->io[0]);
    t->io[1] = ph_io_free(t->io[1]);
    ph_loop_stop(t->l);
}

static void writable(void *ctx, unsigned ready)
{
    struct trace *t = ctx;
    assert_int_equal(ready, PH_WRITE);
    mark(t, 'w');
    ph_io_want(t->io[0], 0);
    ph_loop_stop(t->l);
}

static void descriptors(void **state)
{
    (void)state;
    struct trace t = {.l = ph_loop_new()};
    assert_int_equal(ph_socketpair(t.fds), 0);
    t.io[0] = ph_io_new(t.l, t.fds[0], PH_READ | PH_WRITE, writable, &t);
    ph_loop_run(t.l);
    ph_io_free(t.io[0]);
    assert_int_equal(write(t.fds[0], "x", 1), 1);
    assert_int_equal(write(t.fds[1], "x", 1), 1);
    t.io[0] = ph_io_new(t.l, t.fds[0], PH_READ, free_both, &t);
    t.io[1] = ph_io_new(t.l, t.fds[1], 0, free_both, &t);
    ph_io_want(t.io[1], PH_READ);
    ph_loop_run(t.l);
    assert_string_equal(t.p, "wr");
    close(t.fds[0]);
    close(t.fds[1]);
    ph_loop_free(t.l);
}

static void *other_thread(void *ctx)
{
    for (int i = 0; i < 100; i++)
        ph_loop_wake(((struct trace *)ctx)->l);
    return NULL;
}

static void on_signal(void *ctx)
{
    struct trace *t = ctx;
    pthread_t id;
    mark(t, 's');
    assert_int_equal(pthread_create(&id, NULL, other_thread, t), 0);
    pthread_join(id, NULL);
}

static void on_wake(void *ctx)
{
    mark(ctx, 'w');
    stop(ctx);
}

static void signals_and_threads(void **state)
{
    (void)state;
    struct trace t = {.l = ph_loop_new()};
    assert_int_equal(ph_loop_signal(t.l, SIGUSR1, on_signal, &t), 0);
    assert_int_equal(ph_loop_on_wake(t.l, on_wake, &t), 0);
    raise(SIGUSR1);
    ph_loop_run(t.l);
    assert_string_equal(t.p, "sw"); /* a hundred wakes are one call */
    ph_loop_free(t.l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_off),
        cmocka_unit_test(timers),
        cmocka_unit_test(descriptors),
        cmocka_unit_test(signals_and_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
