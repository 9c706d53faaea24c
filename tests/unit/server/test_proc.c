/* proc: the life of a child, led by a parent that this test plays. The child is a real process in a
 * real sandbox. */
#include "loop.h"
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a process to lead: it answers RESOLVE with what it may see ------------------------------------ */

static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    (void)p;
    *ret = (struct ph_sandbox){.may = 0, .chroot = true};
}

static void on_resolve(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    (void)p;
    if (ipc_send(from, RESOLVED, -1, .req = msg->RESOLVE.req,
                 .verdict = fd < 0 ? IPC_DENIED : IPC_OK, .text = msg->RESOLVE.name))
        _exit(99);
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {[IPC_RESOLVE] = on_resolve};
static proc_handler *const no_handlers[IPC_TYPE_COUNT] = {0};

static int setup_fails(struct proc *p, struct ph_error *reterr)
{
    (void)p;
    return ph_fail(reterr, PH_EINVAL, 0, "resolv.conf is empty");
}

static int opened_fails(struct proc *p, struct ph_error *reterr, int *ret_exit_code)
{
    (void)p;
    *ret_exit_code = EX_DATAERR;
    return ph_fail(reterr, PH_ECORRUPT, 0, "queue.sqlite is damaged");
}

static void drains(struct proc *p)
{
    proc_done(p);
}

static const struct proc_def good = {
    .role = ROLE_RESOLVER, .handlers = handlers, .sandbox = sandbox, .drain = drains};
static const struct proc_def deaf = {
    .role = ROLE_RESOLVER, .handlers = no_handlers, .sandbox = sandbox};
static const struct proc_def broken_setup = {
    .role = ROLE_RESOLVER, .handlers = handlers, .sandbox = sandbox, .setup = setup_fails};
static const struct proc_def broken_opened = {
    .role = ROLE_RESOLVER, .handlers = handlers, .sandbox = sandbox, .opened = opened_fails};

/* ---- its parent, and one peer --------------------------------------------------------------------------- */

static struct ph_loop *loop;
static struct ipc_chan *child, *peer;
static pid_t pid;
/* What came, by type: two channels have no order between them. */
enum { TEXT = 512 };
static struct ipc_msg got[IPC_TYPE_COUNT];
static char texts[IPC_TYPE_COUNT][TEXT];
static unsigned seen[IPC_TYPE_COUNT], gone;
static bool late;

static void on_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    ph_str s = {0};
    (void)ctx, (void)from;
    char *text = texts[msg->type];
    seen[msg->type]++;
    got[msg->type] = *msg;
    if (msg->type == IPC_FAILED)
        s = msg->FAILED.text;
    if (msg->type == IPC_BROKEN)
        s = msg->BROKEN.why;
    if (msg->type == IPC_RESOLVED)
        s = msg->RESOLVED.text;
    if (msg->type == IPC_STATS)
        s = ph_str_sub(msg->STATS.counters, 0, TEXT - 1);
    memset(text, 0, TEXT);
    if (s.n)
        memcpy(text, s.p, s.n < TEXT ? s.n : TEXT - 1);
    ph_loop_stop(loop);
}

static void on_gone(void *ctx, struct ipc_chan *chan, const char *why)
{
    (void)ctx, (void)why;
    gone++;
    if (chan == child)
        child = NULL;
    if (chan == peer)
        peer = NULL;
    ipc_chan_free(chan);
    ph_loop_stop(loop);
}

static void stop(void *ctx)
{
    late = true;
    ph_loop_stop(ctx);
}

/* Until the next message or end of a channel. */
static void wait_event(void)
{
    struct ph_timer *t = ph_timer_new(loop, stop, loop);
    ph_timer_set(t, 60000);
    assert_int_equal(ph_loop_run(loop), 0);
    ph_timer_free(t);
    assert_false(late);
}

static void expect(enum ipc_type type)
{
    while (!seen[type])
        wait_event();
    seen[type]--;
}

static int exit_status(void)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void start(const struct proc_def *def)
{
    int fds[2];
    struct ipc_ends ends = {ROLE_PARENT, def->role, 0, 0};
    struct ipc_callbacks cb = {on_message, NULL, on_gone, NULL};
    struct ph_conf *conf = ph_conf_new();
    struct ph_buf rows;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        _exit(proc_main(def, 0, fds[1]));
    }
    close(fds[1]);
    child = ipc_chan_new(loop, fds[0], &ends, &cb);
    ph_buf_init(&rows, NULL, 1 << 20);
    assert_int_equal(ph_conf_set(conf, PH_STR("log_level"), PH_STR("error"), NULL), 0);
    ph_conf_pack(conf, def->role, &rows);
    assert_int_equal(ipc_send(child, CONF, -1, ph_buf_str(&rows)), 0);
    ph_buf_done(&rows);
    ph_conf_free(conf);
}

/* A channel between the child and a peer of the role mx, which this test plays too. */
static void give_peer(void)
{
    int fds[2];
    struct ipc_ends ends = {ROLE_MX, ROLE_RESOLVER, 3, 0};
    struct ipc_callbacks cb = {on_message, NULL, on_gone, NULL};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    peer = ipc_chan_new(loop, fds[0], &ends, &cb);
    assert_int_equal(ipc_send(child, PEER, fds[1], ROLE_MX, 3), 0);
    close(fds[1]);
}

static void begin_serving(void)
{
    assert_int_equal(ipc_send(child, START, -1, (ph_str){0}), 0);
    expect(IPC_READY);
}

static int set(void **state)
{
    (void)state;
    loop = ph_loop_new();
    gone = 0;
    memset(seen, 0, sizeof seen);
    return loop ? 0 : -1;
}

static int unset(void **state)
{
    (void)state;
    if (pid > 0) {
        kill(pid, SIGKILL);
        exit_status();
    }
    child = ipc_chan_free(child);
    peer = ipc_chan_free(peer);
    ph_loop_free(loop);
    return 0;
}

/* ---- tests ------------------------------------------------------------------------------------------------- */

static void a_child_serves_and_drains(void **state)
{
    (void)state;
    start(&good);
    give_peer();
    assert_int_equal(ipc_send(peer, RESOLVE, -1, 7, IPC_DNS_A, PH_STR("early.test")),
                     0); /* kept until it serves */
    begin_serving();
    expect(IPC_RESOLVED);
    assert_int_equal(got[IPC_RESOLVED].RESOLVED.req, 7);
    assert_int_equal(got[IPC_RESOLVED].RESOLVED.verdict,
                     IPC_DENIED); /* the sandbox was there first */
    assert_string_equal(texts[IPC_RESOLVED], "early.test");
    assert_int_equal(ipc_send(child, STATS_GET, -1, 42), 0);
    expect(IPC_STATS);
    assert_int_equal(got[IPC_STATS].STATS.req, 42);
    assert_int_equal(ipc_send(child, DRAIN, -1, 0), 0);
    while (!gone)
        wait_event();
    assert_int_equal(exit_status(), 0);
}

static void a_failed_start_says_why(void **state)
{
    (void)state;
    start(&broken_setup);
    assert_int_equal(ipc_send(child, START, -1, (ph_str){0}), 0);
    expect(IPC_FAILED);
    assert_int_equal(got[IPC_FAILED].FAILED.exit, EX_CONFIG);
    assert_string_equal(texts[IPC_FAILED], "resolv.conf is empty");
    child = ipc_chan_free(child);
    assert_int_equal(exit_status(), EX_CONFIG);
    start(&broken_opened);
    assert_int_equal(ipc_send(child, START, -1, (ph_str){0}), 0);
    expect(IPC_FAILED);
    assert_int_equal(got[IPC_FAILED].FAILED.exit, EX_DATAERR);
    assert_string_equal(texts[IPC_FAILED], "queue.sqlite is damaged");
    child = ipc_chan_free(child);
    assert_int_equal(exit_status(), EX_DATAERR);
}

static void an_orphan_ends(void **state)
{
    (void)state;
    start(&good);
    begin_serving();
    child = ipc_chan_free(child);
    assert_int_equal(exit_status(), EX_TEMPFAIL);
}

static void a_message_without_handler_ends_the_channel(void **state)
{
    (void)state;
    start(&deaf);
    give_peer();
    begin_serving();
    assert_int_equal(ipc_send(peer, RESOLVE, -1, 7, IPC_DNS_A, PH_STR("x.test")), 0);
    while (!seen[IPC_BROKEN] || peer)
        wait_event();
    assert_non_null(child);
    assert_int_equal(got[IPC_BROKEN].BROKEN.role, ROLE_MX);
    assert_int_equal(got[IPC_BROKEN].BROKEN.instance, 3);
    assert_string_equal(texts[IPC_BROKEN], "RESOLVE");
}

static void a_new_peer_replaces_the_old_one(void **state)
{
    (void)state;
    start(&good);
    give_peer();
    begin_serving();
    struct ipc_chan *old = peer;
    give_peer();
    assert_int_equal(ipc_send(peer, RESOLVE, -1, 8, IPC_DNS_A, PH_STR("x.test")), 0);
    expect(IPC_RESOLVED);
    assert_int_equal(got[IPC_RESOLVED].RESOLVED.req, 8);
    if (!gone)
        ipc_chan_free(old);
}

static void wrong_settings_are_refused(void **state)
{
    (void)state;
    start(&good);
    assert_int_equal(ipc_send(child, CONF, -1, PH_STR("nonsense")), 0);
    expect(IPC_FAILED);
    child = ipc_chan_free(child);
    assert_int_equal(exit_status(), EX_SOFTWARE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_child_serves_and_drains, set, unset),
        cmocka_unit_test_setup_teardown(a_failed_start_says_why, set, unset),
        cmocka_unit_test_setup_teardown(an_orphan_ends, set, unset),
        cmocka_unit_test_setup_teardown(a_message_without_handler_ends_the_channel, set, unset),
        cmocka_unit_test_setup_teardown(a_new_peer_replaces_the_old_one, set, unset),
        cmocka_unit_test_setup_teardown(wrong_settings_are_refused, set, unset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
