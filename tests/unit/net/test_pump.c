/* net/pump: a toy engine on both ends, over socket pairs with little room, plain and TLS; ends of
 * all kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "pump.h"
#include "sock.h"
#include "tls.h"

/*
 * The toy. As a server it sends back what it is fed and keeps at most ROOM bytes; '!' makes it say
 * goodbye, '^' asks for TLS. As a client it sends `total` bytes (asking for TLS first if told so)
 * and checks what comes back.
 */
enum { ROOM = 1000 };

struct toy {
    struct ph_loop *loop;
    struct ph_pump *pump;
    bool client, want_tls, want_close, eof, broken;
    char buf[ROOM];
    size_t n;
    size_t total, put, got;
    int64_t now, deadline;
    int secured, closed, events, free_at;
    struct ph_error why;
    bool had_why;
    char greeting[8];
    size_t greeted;
};

static char pattern(size_t i)
{
    return (char)('a' + i * 31 / 7 % 26);
}

static int64_t client_feed(struct toy *t, ph_str in)
{
    for (size_t i = 0; i < in.n; i++) {
        if (t->want_tls || t->greeted) {
            t->greeting[t->greeted++ % 8] = in.p[i];
            continue;
        }
        assert_int_equal(in.p[i], pattern(t->got));
        t->got++;
    }
    t->want_close = t->total && t->got == t->total;
    return (int64_t)in.n;
}

static int64_t toy_feed(void *engine, ph_str in)
{
    struct toy *t = engine;
    assert_true(in.n > 0);
    if (t->client)
        return client_feed(t, in);
    size_t room = ROOM - t->n, n = in.n < room ? in.n : room;
    for (size_t i = 0; i < n; i++) {
        if (in.p[i] == '!') {
            memcpy(t->buf + t->n, "bye", 3);
            t->n += 3;
            return -PH_ELIMIT;
        }
        t->want_tls = t->want_tls || in.p[i] == '^';
        t->buf[t->n++] = in.p[i];
    }
    return (int64_t)n;
}

static void toy_eof(void *engine)
{
    struct toy *t = engine;
    t->eof = true;
    t->want_close = true;
}

static ph_str toy_out(const void *engine)
{
    const struct toy *t = engine;
    static char piece[777];
    if (!t->client)
        return (ph_str){t->buf, t->n};
    if (t->want_tls)
        return (ph_str){"^", t->put == 0};
    size_t n = t->total - t->put < sizeof piece ? t->total - t->put : sizeof piece;
    for (size_t i = 0; i < n; i++)
        piece[i] = pattern(t->put + i);
    return (ph_str){piece, n};
}

static void toy_sent(void *engine, size_t n)
{
    struct toy *t = engine;
    if (t->client) {
        t->put += n;
        return;
    }
    memmove(t->buf, t->buf + n, t->n - n);
    t->n -= n;
}

static unsigned toy_want(const void *engine)
{
    const struct toy *t = engine;
    unsigned want = t->n ? PH_WANT_WRITE : 0;
    if (t->want_close)
        return want | PH_WANT_CLOSE;
    if (t->want_tls && !t->secured && (!t->client || t->greeted))
        return want | PH_WANT_TLS;
    return t->n < ROOM ? want | PH_WANT_READ : want;
}

static int64_t toy_deadline(const void *engine)
{
    return ((const struct toy *)engine)->deadline;
}

static void toy_tick(void *engine, int64_t now)
{
    struct toy *t = engine;
    t->now = now;
    if (now < t->deadline || t->broken)
        return;
    t->broken = t->want_close = true;
    t->deadline = PH_NEVER;
    memcpy(t->buf, "late", 4);
    t->n = 4;
}

static const struct ph_proto_ops toy_ops = {toy_feed, toy_eof,      toy_out, toy_sent,
                                            toy_want, toy_deadline, toy_tick};

/* ---- the owner --------------------------------------------------------------------------- */

static int living;

static void on_events(void *ctx)
{
    struct toy *t = ctx;
    t->events++;
    if (t->free_at && t->events == t->free_at) {
        ph_pump_kick(t->pump);
        t->pump = ph_pump_free(t->pump);
        if (--living == 0)
            ph_loop_stop(t->loop);
    }
}

static void on_closed(void *ctx, const struct ph_error *why)
{
    struct toy *t = ctx;
    t->closed++;
    if (why) {
        t->had_why = true;
        t->why = *why;
    }
    t->pump = ph_pump_free(t->pump);
    if (--living == 0)
        ph_loop_stop(t->loop);
}

static void on_secured(void *ctx, const struct ph_tls_info *info)
{
    struct toy *t = ctx;
    assert_true(info->version[0] == 'T');
    t->secured++;
    t->want_tls = false;
    t->put = t->n = t->greeted = 0;
}

static void small(int fd)
{
    int n = 4096;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n, sizeof n);
}

static void start(struct toy *t, struct ph_loop *l, int fd, struct ph_tls_ctx *tls, bool tls_now,
                  bool connecting)
{
    struct ph_pump_options o = {.ops = &toy_ops,
                                .engine = t,
                                .tls = tls,
                                .tls_now = tls_now,
                                .connecting = connecting,
                                .host = t->client ? PH_STR("a.test") : PH_STR(""),
                                .handler = {on_events, on_closed, on_secured, t}};
    t->loop = l;
    if (t->deadline == 0)
        t->deadline = PH_NEVER;
    t->pump = ph_pump_new(l, fd, &o);
    assert_non_null(t->pump);
    living++;
}

static void contexts(struct ph_tls_ctx **server, struct ph_tls_ctx **client)
{
    const ph_str name = PH_STR("a.test");
    struct ph_buf cert, key;
    struct ph_error e;
    ph_buf_init(&cert, NULL, 65536);
    ph_buf_init(&key, NULL, 65536);
    *server = ph_tls_server_ctx(&e);
    *client = ph_tls_client_ctx(PH_TLS_VERIFY_NONE, NULL, &e);
    assert_int_equal(ph_tls_self_signed(&name, 1, &cert, &key, &e), 0);
    assert_int_equal(
        ph_tls_add_cert(*server, PH_STR(""), ph_buf_str(&cert), ph_buf_str(&key), NULL, &e), 0);
    ph_buf_done(&cert);
    ph_buf_done(&key);
}

/* ---- tests ------------------------------------------------------------------------------- */

enum mode { PLAIN, TLS_NOW, STARTTLS };

static void echo(enum mode mode)
{
    struct ph_tls_ctx *server, *client;
    struct ph_loop *l = ph_loop_new();
    struct toy s = {0}, c = {.client = true, .total = 300000, .want_tls = mode == STARTTLS};
    int fds[2];
    contexts(&server, &client);
    assert_int_equal(ph_socketpair(fds), 0);
    small(fds[0]);
    small(fds[1]);
    start(&s, l, fds[0], server, mode == TLS_NOW, false);
    start(&c, l, fds[1], client, mode == TLS_NOW, false);
    assert_int_equal(ph_loop_run(l), 0);
    assert_int_equal(c.got, c.total);
    assert_int_equal(s.closed, 1);
    assert_int_equal(c.closed, 1);
    assert_false(s.had_why || c.had_why);
    assert_true(s.eof);
    assert_int_equal(s.secured, mode != PLAIN);
    assert_int_equal(c.secured, mode != PLAIN);
    ph_loop_free(l);
    ph_tls_ctx_free(server);
    ph_tls_ctx_free(client);
}

static void echo_plain(void **state)
{
    (void)state;
    echo(PLAIN);
}

static void echo_tls(void **state)
{
    (void)state;
    echo(TLS_NOW);
}

static void echo_starttls(void **state)
{
    (void)state;
    echo(STARTTLS);
}

/* A raw peer: says this, then perhaps shuts its side; what it reads until the end. */
static void raw(struct toy *s, const char *say, bool shut, const char *expect)
{
    struct ph_loop *l = ph_loop_new();
    char in[5000];
    int fds[2];
    size_t n = 0;
    ssize_t got;
    assert_int_equal(ph_socketpair(fds), 0);
    start(s, l, fds[0], NULL, false, false);
    assert_int_equal(write(fds[1], say, strlen(say)), strlen(say));
    if (shut)
        shutdown(fds[1], SHUT_WR);
    assert_int_equal(ph_loop_run(l), 0);
    while (n < sizeof in && (got = read(fds[1], in + n, sizeof in - n)) > 0)
        n += (size_t)got;
    assert_int_equal(n, strlen(expect));
    assert_memory_equal(in, expect, n);
    close(fds[1]);
    ph_loop_free(l);
}

static void half_close(void **state)
{
    (void)state;
    char big[3001] = {0};
    struct toy s = {0};
    memset(big, 'x', 3000); /* more than the engine takes at once */
    raw(&s, big, true, big);
    assert_true(s.eof && s.closed && !s.had_why);
}

static void deadline(void **state)
{
    (void)state;
    struct toy s = {.deadline = ph_mono_us() / 1000 + 30};
    raw(&s, "hello", false, "hellolate");
    assert_true(s.broken && s.closed && !s.eof);
}

static void broken_engine(void **state)
{
    (void)state;
    struct toy s = {0};
    raw(&s, "one!two", false, "onebye");
    assert_true(s.closed && !s.had_why);
}

static void no_tls_here(void **state)
{
    (void)state;
    struct toy s = {0};
    raw(&s, "^", false, "^");
    assert_int_equal(s.why.code, PH_ETLS);
}

static void injected_before_tls(void **state)
{
    (void)state;
    struct ph_tls_ctx *server, *client;
    struct ph_loop *l = ph_loop_new();
    struct toy s = {0};
    char big[2001] = {0};
    int fds[2];
    contexts(&server, &client);
    assert_int_equal(ph_socketpair(fds), 0);
    memset(big, 'x', 2000);
    big[0] = '^';
    start(&s, l, fds[0], server, false, false);
    assert_int_equal(write(fds[1], big, 2000), 2000);
    ph_loop_run(l);
    assert_int_equal(s.why.code, PH_ESYNTAX);
    close(fds[1]);
    ph_loop_free(l);
    ph_tls_ctx_free(server);
    ph_tls_ctx_free(client);
}

static void freed_in_events(void **state)
{
    (void)state;
    struct toy s = {.free_at = 1};
    raw(&s, "hello", false, "");
    assert_int_equal(s.closed, 0);
}

static void late_close(void *ctx)
{
    struct toy *t = ctx;
    memcpy(t->buf, "end", 3);
    t->n = 3;
    ph_pump_close(t->pump);
}

static void closed_by_owner(void **state)
{
    (void)state;
    struct ph_loop *l = ph_loop_new();
    struct toy s = {0};
    char in[10];
    int fds[2];
    assert_int_equal(ph_socketpair(fds), 0);
    start(&s, l, fds[0], NULL, false, false);
    struct ph_timer *t = ph_timer_new(l, late_close, &s);
    ph_timer_set(t, 10);
    ph_loop_run(l);
    assert_int_equal(s.closed, 1);
    assert_int_equal(read(fds[1], in, sizeof in), 3);
    assert_int_equal(read(fds[1], in, sizeof in), 0);
    close(fds[1]);
    ph_timer_free(t);
    ph_loop_free(l);
}

static int listening(struct ph_addr *ret)
{
    struct ph_error e;
    assert_int_equal(ph_addr_make(PH_STR("127.0.0.1"), 0, ret), 0);
    int fd = ph_listen(ret, 4, &e);
    assert_true(fd >= 0);
    ret->len = sizeof ret->sa;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ret->sa, &ret->len), 0);
    return fd;
}

struct flood {
    struct ph_loop *loop;
    struct ph_io *io;
    int fd;
    char in[100];
    size_t n, put;
};

static void flooding(void *ctx, unsigned ready)
{
    static const char junk[4096] = "!";
    struct flood *f = ctx;
    if ((ready & PH_WRITE) && f->put < 200000) {
        ssize_t n = send(f->fd, junk, sizeof junk, MSG_NOSIGNAL);
        f->put += n > 0 ? (size_t)n : 0;
        return;
    }
    ssize_t n = read(f->fd, f->in + f->n, sizeof f->in - f->n);
    f->n += n > 0 ? (size_t)n : 0;
    if (n > 0 || (n < 0 && errno == EAGAIN))
        return;
    shutdown(f->fd, SHUT_WR);
    ph_io_want(f->io, 0);
}

/* The last words arrive although the peer was still sending. */
static void lingering(void **state)
{
    (void)state;
    struct ph_addr a;
    struct ph_error e;
    struct ph_loop *l = ph_loop_new();
    struct toy s = {0};
    struct flood f = {.loop = l};
    int listener = listening(&a);
    f.fd = ph_connect(&a, NULL, &e);
    struct pollfd p = {.fd = listener, .events = POLLIN};
    poll(&p, 1, 1000);
    int fd = ph_accept(listener, &a);
    assert_true(fd >= 0);
    start(&s, l, fd, NULL, false, false);
    f.io = ph_io_new(l, f.fd, PH_READ | PH_WRITE, flooding, &f);
    ph_loop_run(l);
    ssize_t n = read(f.fd, f.in + f.n, sizeof f.in - f.n);
    f.n += n > 0 ? (size_t)n : 0;
    assert_int_equal(f.n, 3);
    assert_memory_equal(f.in, "bye", 3);
    assert_false(s.had_why);
    ph_io_free(f.io);
    close(f.fd);
    close(listener);
    ph_loop_free(l);
}

static void connecting(void **state)
{
    (void)state;
    struct ph_addr a;
    struct ph_error e;
    struct ph_loop *l = ph_loop_new();
    struct toy c = {.client = true, .total = 5000}, s = {0}, d = {.client = true};
    int listener = listening(&a);
    start(&c, l, ph_connect(&a, NULL, &e), NULL, false, true);
    struct pollfd p = {.fd = listener, .events = POLLIN};
    poll(&p, 1, 1000);
    start(&s, l, ph_accept(listener, NULL), NULL, false, false);
    ph_loop_run(l);
    assert_int_equal(c.got, 5000);
    close(listener);
    int fd = ph_connect(&a, NULL, &e);
    if (fd >= 0) { /* else refused at once */
        start(&d, l, fd, NULL, false, true);
        ph_loop_run(l);
        assert_int_equal(d.why.code, PH_EREFUSED);
        assert_int_equal(d.why.sys, ECONNREFUSED);
    }
    ph_loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_plain),      cmocka_unit_test(echo_tls),
        cmocka_unit_test(echo_starttls),   cmocka_unit_test(half_close),
        cmocka_unit_test(deadline),        cmocka_unit_test(broken_engine),
        cmocka_unit_test(no_tls_here),     cmocka_unit_test(injected_before_tls),
        cmocka_unit_test(freed_in_events), cmocka_unit_test(closed_by_owner),
        cmocka_unit_test(lingering),       cmocka_unit_test(connecting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
