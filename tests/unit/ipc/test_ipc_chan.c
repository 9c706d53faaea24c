/* ipc: channels over a socket pair: order, batches, descriptors, back-pressure, and peers that
 * break the protocol. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc_int.h"
#include "loop.h"

/* One end and what it saw. */
struct end {
    struct ph_loop *loop;
    struct ipc_chan *chan;
    unsigned messages, drains, gone;
    uint64_t next_req;
    int stop_after;
    bool free_in_handler;
    char why[200];
    int fd; /* the last one taken */
};

static void on_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct end *e = ctx;
    e->messages++;
    if (msg->type == IPC_DELIVER) {
        assert_int_equal(msg->DELIVER.req, e->next_req++);
        for (size_t i = 0; i < msg->DELIVER.body.n; i += 997)
            assert_int_equal(msg->DELIVER.body.p[i], (char)('a' + msg->DELIVER.req % 26));
    }
    if (msg->fd >= 0 && e->fd == -2) {
        e->fd = msg->fd;
        msg->fd = -1;
    }
    if (e->free_in_handler)
        e->chan = ipc_chan_free(from);
    if (e->stop_after && (int)e->messages == e->stop_after)
        ph_loop_stop(e->loop);
}

static void on_drained(void *ctx, struct ipc_chan *from)
{
    (void)from;
    ((struct end *)ctx)->drains++;
}

static void on_gone(void *ctx, struct ipc_chan *chan, const char *why)
{
    struct end *e = ctx;
    e->gone++;
    snprintf(e->why, sizeof e->why, "%s", why ? why : "");
    e->chan = ipc_chan_free(chan);
    ph_loop_stop(e->loop);
}

static void open_end(struct end *e, struct ph_loop *loop, int fd, int self, int peer)
{
    struct ipc_callbacks cb = {on_message, on_drained, on_gone, e};
    struct ipc_ends ends = {self, peer, 0, 0};
    *e = (struct end){.loop = loop, .fd = -1};
    e->chan = ipc_chan_new(loop, fd, &ends, &cb);
    assert_non_null(e->chan);
}

static void stop(void *ctx)
{
    ph_loop_stop(ctx);
}

/* Runs until a callback stops the loop; 5 s at most. */
static void run(struct ph_loop *loop)
{
    struct ph_timer *t = ph_timer_new(loop, stop, loop);
    ph_timer_set(t, 5000);
    assert_int_equal(ph_loop_run(loop), 0);
    ph_timer_free(t);
}

static int open_count(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

/* 300 letters of all sizes, some with a descriptor, in one turn: all arrive in order. */
static void letters_arrive_in_order(void **state)
{
    (void)state;
    int before = open_count(), fds[2];
    struct ph_loop *loop = ph_loop_new();
    struct end a, b;
    pair(fds);
    open_end(&a, loop, fds[0], ROLE_QUEUE, ROLE_STORE);
    open_end(&b, loop, fds[1], ROLE_STORE, ROLE_QUEUE);
    char *body = malloc(IPC_INLINE);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (uint64_t i = 0; i < 300; i++) {
        size_t n = i % 7 == 0 ? IPC_INLINE : (i * 331) % 5000;
        memset(body, (int)('a' + i % 26), n);
        assert_int_equal(
            ipc_send(a.chan, DELIVER, i % 5 == 0 ? null : -1, .req = i, .body = {body, n}), 0);
    }
    assert_true(ipc_chan_backlog(a.chan) > 2000000);
    b.stop_after = 300;
    run(loop);
    assert_int_equal(b.messages, 300);
    assert_true(b.drains >= 1 && b.drains < 300);
    assert_int_equal(ipc_chan_backlog(a.chan), 0);
    a.chan = ipc_chan_free(a.chan);
    run(loop);
    assert_int_equal(b.gone, 1);
    assert_string_equal(b.why, "");
    free(body);
    close(null);
    ph_loop_free(loop);
    assert_int_equal(open_count(), before);
}

static void a_descriptor_is_the_one_that_was_sent(void **state)
{
    (void)state;
    int fds[2];
    struct ph_loop *loop = ph_loop_new();
    struct end a, b;
    struct stat want, got;
    pair(fds);
    open_end(&a, loop, fds[0], ROLE_PARENT, ROLE_QUEUE);
    open_end(&b, loop, fds[1], ROLE_QUEUE, ROLE_PARENT);
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    b.fd = -2;
    b.stop_after = 2;
    assert_int_equal(ipc_send(a.chan, START, -1, 0), 0);
    assert_int_equal(ipc_send(a.chan, PEER, zero, .role = ROLE_MX), 0);
    run(loop);
    assert_true(b.fd >= 0);
    assert_int_equal(fstat(zero, &want), 0);
    assert_int_equal(fstat(b.fd, &got), 0);
    assert_int_equal(want.st_rdev, got.st_rdev);
    close(b.fd);
    close(zero);
    ipc_chan_free(a.chan);
    ipc_chan_free(b.chan);
    ph_loop_free(loop);
}

static void a_handler_may_free_its_channel(void **state)
{
    (void)state;
    int fds[2];
    struct ph_loop *loop = ph_loop_new();
    struct end a, b;
    pair(fds);
    open_end(&a, loop, fds[0], ROLE_PARENT, ROLE_QUEUE);
    open_end(&b, loop, fds[1], ROLE_QUEUE, ROLE_PARENT);
    b.free_in_handler = true;
    for (int i = 0; i < 3; i++)
        assert_int_equal(ipc_send(a.chan, START, -1, 0), 0);
    run(loop); /* ends by a's gone */
    assert_int_equal(b.messages, 1);
    assert_int_equal(b.gone, 0);
    assert_int_equal(a.gone, 1);
    ph_loop_free(loop);
}

static void a_full_backlog_says_try_later(void **state)
{
    (void)state;
    int fds[2], r = 0;
    struct ph_loop *loop = ph_loop_new();
    struct end a;
    char *body = calloc(1, IPC_INLINE);
    pair(fds);
    open_end(&a, loop, fds[0], ROLE_QUEUE, ROLE_STORE);
    unsigned sent = 0;
    while ((r = ipc_send(a.chan, DELIVER, -1, .body = {body, IPC_INLINE})) == 0)
        sent++;
    assert_int_equal(r, -PH_EAGAIN);
    assert_true(sent > IPC_BACKLOG / (IPC_INLINE + 1024) && sent < IPC_BACKLOG / IPC_INLINE + 2);
    ipc_chan_free(a.chan);
    close(fds[1]);
    free(body);
    ph_loop_free(loop);
}

static const char *seen;

static void see_password(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    (void)from;
    seen = msg->AUTH.data.p;
    assert_memory_equal(seen, "opensesame", 10);
    ph_loop_stop(ctx);
}

/* The buffer of the channel is kept, what was in it is not. */
static void passwords_do_not_stay_in_buffers(void **state)
{
    (void)state;
    int fds[2];
    struct ph_loop *loop = ph_loop_new();
    struct ipc_callbacks cb = {see_password, NULL, on_gone, loop};
    struct ipc_ends ends = {ROLE_KEEPER, ROLE_ACCESS, 0, 0};
    struct end a;
    pair(fds);
    open_end(&a, loop, fds[0], ROLE_ACCESS, ROLE_KEEPER);
    struct ipc_chan *b = ipc_chan_new(loop, fds[1], &ends, &cb);
    assert_int_equal(ipc_send(a.chan, AUTH, -1, .req = 1, .data = PH_STR("opensesame")), 0);
    run(loop);
    static const char gone[10];
    assert_memory_equal(seen, gone, 10);
    ipc_chan_free(a.chan);
    ipc_chan_free(b);
    ph_loop_free(loop);
}

/* ---- peers that break the protocol ----------------------------------------------------------- */

static void send_raw(int fd, ph_str bytes, const int *passengers, size_t count)
{
    char control[CMSG_SPACE(8 * sizeof(int))] = {0};
    struct iovec v = {(void *)(uintptr_t)bytes.p, bytes.n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    if (count) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(h), passengers, count * sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &m, MSG_NOSIGNAL), bytes.n);
}

static void hello(struct ph_buf *out, uint64_t hash, int role, unsigned instance)
{
    struct ipc_HELLO h = {hash, (uint8_t)role, instance};
    assert_int_equal(ipc__frame_put(out, IPC_HELLO, &h, false), 0);
}

static void frame(struct ph_buf *out, enum ipc_type type, bool fd)
{
    struct ipc_msg m = {0};
    assert_int_equal(ipc__frame_put(out, type, &m.HELLO, fd), 0);
}

enum {
    NO_HELLO,
    WRONG_HASH,
    WRONG_ROLE,
    WRONG_INSTANCE,
    NOT_ITS_ROW,
    FD_MISSING,
    FD_UNASKED,
    FD_MANY,
    FD_LOOSE,
    GARBAGE,
    CASES
};

static void attack(int which, struct ph_buf *out, size_t *ret_fds)
{
    if (which == NO_HELLO) {
        frame(out, IPC_START, false);
        return;
    }
    hello(out, ipc_table_hash() ^ (which == WRONG_HASH),
          which == WRONG_ROLE ? ROLE_MX : ROLE_PARENT, which == WRONG_INSTANCE);
    if (which == NOT_ITS_ROW)
        frame(out, IPC_GRANT, false);
    if (which == FD_MISSING)
        frame(out, IPC_PEER, true);
    if (which == FD_UNASKED)
        frame(out, IPC_START, true);
    if (which == FD_MANY)
        frame(out, IPC_PEER, true);
    if (which == FD_LOOSE)
        frame(out, IPC_START, false);
    if (which == GARBAGE)
        ph_buf_add(out, PH_STR("GET / HTTP/1.1\r\nHost: house\r\n\r\n"));
    *ret_fds = which == FD_MANY ? 3 : which == FD_LOOSE || which == FD_UNASKED;
}

static void hostile_peers_lose_their_channel(void **state)
{
    (void)state;
    static const char *const reasons[CASES] = {"first message is not HELLO",
                                               "another table",
                                               "not the process",
                                               "not the process",
                                               "may send here",
                                               "descriptor is missing",
                                               "that has none",
                                               "descriptors came unasked",
                                               "came unasked",
                                               "too large"};
    int before = open_count();
    for (int i = 0; i < CASES; i++) {
        int fds[2], passengers[3] = {0, 1, 2};
        struct ph_loop *loop = ph_loop_new();
        struct end b;
        struct ph_buf out;
        size_t count = 0;
        ph_buf_init(&out, NULL, 65536);
        pair(fds);
        open_end(&b, loop, fds[1], ROLE_QUEUE, ROLE_PARENT);
        attack(i, &out, &count);
        send_raw(fds[0], ph_buf_str(&out), passengers, count);
        run(loop);
        assert_int_equal(b.gone, 1);
        if (!strstr(b.why, reasons[i]))
            fail_msg("case %d: \"%s\"", i, b.why);
        ph_buf_done(&out);
        close(fds[0]);
        ph_loop_free(loop);
    }
    assert_int_equal(open_count(), before);
}

enum { UID = 61999, FDS = 24 };

/* In a process of its own, since it becomes somebody else: the kernel lets a user have as many
 * descriptors under way as it may have open. */
static int send_when_too_many_are_under_way(void)
{
    int fds[2], full[2], one = 0;
    char byte;
    struct ph_loop *loop = ph_loop_new();
    struct end a, b;
    pair(fds);
    pair(full);
    open_end(&a, loop, fds[0], ROLE_PARENT, ROLE_QUEUE);
    open_end(&b, loop, fds[1], ROLE_QUEUE, ROLE_PARENT);
    if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){FDS, FDS}) || setresuid(UID, UID, UID))
        return 1;
    for (int i = 0; i <= FDS; i++)
        send_raw(full[0], PH_STR("x"), &one, 1);
    b.stop_after = 2;
    if (ipc_send(a.chan, PEER, 0, .role = ROLE_MX) || ipc_send(a.chan, START, -1, 0))
        return 2;
    struct ph_timer *t = ph_timer_new(loop, stop, loop);
    ph_timer_set(t, 100);
    if (ph_loop_run(loop) || b.messages || a.gone)
        return 3;
    ph_timer_free(t);
    for (int i = 0; i <= FDS; i++)
        if (recv(full[1], &byte, 1, 0) != 1)
            return 4;
    run(loop);
    return b.messages == 2 ? 0 : 5;
}

static void a_kernel_that_is_short_is_asked_again(void **state)
{
    (void)state;
    int status = -1;
    if (geteuid() != 0)
        skip(); /* an ordinary user's count is shared with all that it runs */
    pid_t pid = fork();
    if (pid == 0)
        _exit(send_when_too_many_are_under_way());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* A frame that comes byte by byte, its descriptor with the first byte. */
static void slow_peers_are_waited_for(void **state)
{
    (void)state;
    int fds[2], zero = 0;
    struct ph_loop *loop = ph_loop_new();
    struct end b;
    struct ph_buf out;
    ph_buf_init(&out, NULL, 65536);
    pair(fds);
    open_end(&b, loop, fds[1], ROLE_QUEUE, ROLE_PARENT);
    hello(&out, ipc_table_hash(), ROLE_PARENT, 0);
    size_t second = out.n;
    frame(&out, IPC_PEER, true);
    b.stop_after = 1;
    for (size_t i = 0; i < out.n; i++) {
        send_raw(fds[0], ph_str_sub(ph_buf_str(&out), i, 1), &zero, i == second);
        struct ph_timer *t = ph_timer_new(loop, stop, loop);
        ph_timer_set(t, 1);
        assert_int_equal(ph_loop_run(loop), 0);
        ph_timer_free(t);
        assert_int_equal(b.gone, 0);
        assert_int_equal(b.messages, i + 1 == out.n);
    }
    ipc_chan_free(b.chan);
    close(fds[0]);
    ph_buf_done(&out);
    ph_loop_free(loop);
}

static void senders_are_held_to_their_row(void **state)
{
    (void)state;
    int fds[2];
    struct ph_loop *loop = ph_loop_new();
    struct end a;
    char *big = calloc(1, 5000);
    pair(fds);
    open_end(&a, loop, fds[0], ROLE_QUEUE, ROLE_PARENT);
    assert_int_equal(ipc_send(a.chan, FAILED, -1, .text = {big, 4097}), -PH_ELIMIT);
    assert_int_equal(ipc_send(a.chan, FAILED, -1, .text = {big, 4096}), 0);
    ipc_chan_free(a.chan);
    close(fds[1]);
    free(big);
    ph_loop_free(loop);
}

/* ---- blocking calls -------------------------------------------------------------------------- */

static void answer(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct end *e = ctx;
    assert_int_equal(msg->type, IPC_SIGN);
    e->messages++;
    assert_int_equal(
        ipc_send(from, SIGNED, -1, .req = msg->SIGN.req, .signature = msg->SIGN.digest), 0);
}

static void *ask(void *arg)
{
    int fd = *(int *)arg;
    struct ipc_ends ends = {ROLE_MX, ROLE_KEEPER, 1, 0};
    struct ph_buf buf;
    ph_buf_init(&buf, NULL, 65536);
    for (uint64_t i = 1; i <= 50; i++) {
        struct ipc_SIGN q = {i, PH_STR("key"), 1, {"0123456789", i % 11}};
        struct ipc_msg msg;
        if (ipc_call(fd, &ends, IPC_SIGN, &q, &buf, &msg, 5000) || msg.type != IPC_SIGNED ||
            msg.SIGNED.req != i || !ph_str_eq(msg.SIGNED.signature, q.digest))
            return (void *)(uintptr_t)i;
    }
    ph_buf_done(&buf);
    close(fd);
    return NULL;
}

static void a_call_waits_for_its_answer(void **state)
{
    (void)state;
    int fds[2];
    struct ph_loop *loop = ph_loop_new();
    struct end b = {.loop = loop};
    struct ipc_callbacks cb = {answer, NULL, on_gone, &b};
    struct ipc_ends ends = {ROLE_KEEPER, ROLE_MX, 0, 1};
    pthread_t thread;
    void *failed;
    pair(fds);
    b.chan = ipc_chan_new(loop, fds[1], &ends, &cb);
    assert_int_equal(pthread_create(&thread, NULL, ask, &fds[0]), 0);
    run(loop);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    assert_int_equal(b.messages, 50);
    ph_loop_free(loop);
}

static void a_call_gives_up(void **state)
{
    (void)state;
    int fds[2];
    struct ipc_ends ends = {ROLE_MX, ROLE_KEEPER, 1, 0};
    struct ipc_SIGN q = {0};
    struct ipc_msg msg;
    struct ph_buf buf;
    ph_buf_init(&buf, NULL, 65536);
    pair(fds);
    assert_int_equal(ipc_call(fds[0], &ends, IPC_SIGN, &q, &buf, &msg, 20), -PH_ETIMEOUT);
    send_raw(fds[1], PH_STR("0123456789abcdef0123456789abcdef"), NULL, 0);
    assert_int_equal(ipc_call(fds[0], &ends, IPC_SIGN, &q, &buf, &msg, 20), -PH_ESYNTAX);
    close(fds[1]);
    assert_int_equal(ipc_call(fds[0], &ends, IPC_SIGN, &q, &buf, &msg, 20), -PH_ECLOSED);
    close(fds[0]);
    ph_buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_arrive_in_order),
        cmocka_unit_test(a_descriptor_is_the_one_that_was_sent),
        cmocka_unit_test(a_handler_may_free_its_channel),
        cmocka_unit_test(a_full_backlog_says_try_later),
        cmocka_unit_test(passwords_do_not_stay_in_buffers),
        cmocka_unit_test(a_kernel_that_is_short_is_asked_again),
        cmocka_unit_test(hostile_peers_lose_their_channel),
        cmocka_unit_test(slow_peers_are_waited_for),
        cmocka_unit_test(senders_are_held_to_their_row),
        cmocka_unit_test(a_call_waits_for_its_answer),
        cmocka_unit_test(a_call_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
