/* proc: who waits for which answer; against a plain model. */
#include "loop.h"
#include "proc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct ph_loop *loop;
static struct ipc_chan *from_keeper, *from_store;

static void ignore(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    (void)ctx, (void)from, (void)msg;
}

static void ignore_gone(void *ctx, struct ipc_chan *c, const char *why)
{
    (void)ctx, (void)c, (void)why;
}

static struct ipc_chan *chan(int peer)
{
    int fds[2];
    struct ipc_ends ends = {ROLE_ACCESS, peer, 0, 0};
    struct ipc_callbacks cb = {ignore, NULL, ignore_gone, NULL};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    close(fds[1]);
    struct ipc_chan *c = ipc_chan_new(loop, fds[0], &ends, &cb);
    assert_non_null(c);
    return c;
}

static void an_answer_finds_its_asker_once(void **state)
{
    (void)state;
    struct proc_waits *w = proc_waits_new();
    int a, b;
    uint64_t x = proc_wait(w, ROLE_KEEPER, IPC_AUTHED, &a),
             y = proc_wait(w, ROLE_STORE, IPC_MB_OPENED, &b);
    assert_true(x && y && x != y);
    assert_null(proc_waited(w, from_store, IPC_AUTHED, x));             /* not who was asked */
    assert_null(proc_waited(w, from_keeper, IPC_RCPT_CHECKED, x));      /* not what was asked for */
    assert_null(proc_waited(w, from_keeper, IPC_AUTHED, x + y + 1000)); /* never given */
    assert_null(proc_waited(w, from_keeper, IPC_AUTHED, 0));
    assert_ptr_equal(proc_waited(w, from_keeper, IPC_AUTHED, x), &a);
    assert_null(proc_waited(w, from_keeper, IPC_AUTHED, x));
    assert_ptr_equal(proc_waited(w, from_store, IPC_MB_OPENED, y), &b);
    assert_int_equal(proc_waits_count(w), 0);
    proc_waits_free(w);
}

enum { MANY = 5000 };

/* Random waits, answers and cancels; the table must say what a plain array says. */
static void a_table_is_like_an_array(void **state)
{
    (void)state;
    static struct {
        uint64_t req;
        int who;
    } model[MANY];
    static int askers[64];
    struct proc_waits *w = proc_waits_new();
    size_t live = 0;
    uint32_t seed = 12345;
    for (int step = 0; step < 60000; step++) {
        seed = seed * 1664525 + 1013904223;
        size_t at = (seed >> 8) % MANY;
        int who = (int)(seed >> 24) % 64;
        if (step % 7000 == 6999) {
            proc_wait_cancel(w, &askers[who]);
            for (size_t i = 0; i < MANY; i++)
                if (model[i].req && model[i].who == who) {
                    model[i].req = 0;
                    live--;
                }
        } else if (!model[at].req) {
            model[at].req = proc_wait(w, ROLE_KEEPER, IPC_AUTHED, &askers[who]);
            model[at].who = who;
            assert_true(model[at].req);
            live++;
        } else {
            assert_ptr_equal(proc_waited(w, from_keeper, IPC_AUTHED, model[at].req),
                             &askers[model[at].who]);
            model[at].req = 0;
            live--;
        }
        assert_int_equal(proc_waits_count(w), live);
    }
    for (size_t i = 0; i < MANY; i++)
        if (model[i].req)
            assert_ptr_equal(proc_waited(w, from_keeper, IPC_AUTHED, model[i].req),
                             &askers[model[i].who]);
    assert_int_equal(proc_waits_count(w), 0);
    proc_waits_free(w);
}

static void ask_again(void *who, uint64_t req, void *ctx)
{
    assert_true(req);
    ++*(int *)who;
    assert_true(proc_wait(ctx, ROLE_KEEPER, IPC_AUTHED, who));
}

static void those_who_wait_for_the_dead_are_told_once(void **state)
{
    (void)state;
    struct proc_waits *w = proc_waits_new();
    int told[300] = {0};
    for (int i = 0; i < 300; i++)
        assert_true(proc_wait(w, i % 3 ? ROLE_KEEPER : ROLE_STORE, IPC_AUTHED, &told[i]));
    proc_waits_fail(w, ROLE_KEEPER, ask_again, w);
    for (int i = 0; i < 300; i++)
        assert_int_equal(told[i], i % 3 != 0);
    assert_int_equal(proc_waits_count(w), 300);
    proc_waits_free(w);
}

static int begin(void **state)
{
    (void)state;
    loop = ph_loop_new();
    from_keeper = chan(ROLE_KEEPER);
    from_store = chan(ROLE_STORE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    ipc_chan_free(from_keeper);
    ipc_chan_free(from_store);
    ph_loop_free(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_finds_its_asker_once),
        cmocka_unit_test(a_table_is_like_an_array),
        cmocka_unit_test(those_who_wait_for_the_dead_are_told_once),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
