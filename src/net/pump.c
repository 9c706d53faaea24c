/*
 * The pump. Everything happens in turn(): a readiness, the deadline or a kick starts it, and it
 * steps until nothing moves.
 *
 *   CONNECTING --connected--> OPEN --engine wants TLS, or TLS from the first octet--> HANDSHAKE
 *                              |  ^                                                      |
 *                              |  +------------------------ done ------------------------+
 *                              |
 *                              +--engine or owner closes, all sent--> LINGER --peer is done--> GONE
 *   any --an error--> GONE
 *
 * Handlers may free the pump or kick it while it is in turn(): `busy` puts both off to the end of
 * the turn.
 */
#include "pump.h"
#include "deflate.h"
#include "file.h"
#include "loop.h"
#include "tls.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum phase { CONNECTING, OPEN, HANDSHAKE, LINGER, GONE };

struct ph_pump {
    struct ph_loop *loop;
    const struct ph_proto_ops *ops;
    void *engine;
    struct ph_pump_handler handler;
    struct ph_tls_ctx *tls_ctx;
    struct ph_tls *tls;
    struct ph_io *io;
    struct ph_timer *timer;
    struct ph_later later;
    struct ph_buf stash;         /* what the engine did not take yet; empty but for moments */
    struct ph__deflate *deflate; /* NULL: nothing is compressed */
    struct ph_buf packed_in, packed_out; /* compressed: not yet unpacked; not yet sent */
    bool unpack;                         /* there may be more inside, without more input */
    int64_t armed;                       /* when the timer fires; it may fire early, never late */
    int64_t close_by;                    /* PH_NEVER until closing begins */
    size_t thrown;                       /* bytes dropped while lingering */
    int fd;
    enum phase phase;
    unsigned read_needs, write_needs; /* readiness that the last blocked call waits for */
    bool tls_now, closing, eof, readable, busy, dead;
    size_t host_n;
    char host[];
};

/* One for all connections of a thread, which has one loop. */
static _Thread_local char shared[PH_PUMP_READ];
static _Thread_local char
    unpacked[PH_PUMP_READ]; /* what one piece of compressed input unpacks to */

/* ---- ends -------------------------------------------------------------------------------- */

static void gone(struct ph_pump *p, const struct ph_error *why)
{
    if (p->phase == GONE)
        return;
    p->phase = GONE;
    p->io = ph_io_free(p->io);
    p->timer = ph_timer_free(p->timer);
    p->handler.closed(p->handler.ctx, why);
}

static void gone_sys(struct ph_pump *p, int sys, const char *did)
{
    struct ph_error why = {0};
    int code = sys == ECONNREFUSED ? PH_EREFUSED : ph_sys_code(sys);
    ph_fail(&why, code == PH_EIO ? PH_ECLOSED : code, sys, "%s: %s", did, strerror(sys));
    gone(p, &why);
}

static void events(struct ph_pump *p)
{
    if (!p->dead)
        p->handler.events(p->handler.ctx);
}

static bool is_over(const struct ph_pump *p)
{
    return p->dead || p->phase == GONE;
}

/* ---- bytes ------------------------------------------------------------------------------- */

/* Both: > 0 bytes; 0 end (read alone); -PH_EAGAIN; any other error has made the pump GONE. */
static int64_t read_some(struct ph_pump *p)
{
    struct ph_error why = {0};
    if (p->tls) {
        size_t n = 0;
        int64_t got;
        do { /* a record is 16 KiB at most: the engine gets as many as there are */
            got = ph_tls_read(p->tls, shared + n, sizeof shared - n, &p->read_needs, &why);
            n += got > 0 ? (size_t)got : 0;
        } while (got > 0 && n < sizeof shared && ph_tls_pending(p->tls));
        if (n > 0)
            return (int64_t)n;
        if (got < 0 && got != -PH_EAGAIN)
            gone(p, &why);
        return got;
    }
    ssize_t n;
    do
        n = recv(p->fd, shared, sizeof shared, 0);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    p->read_needs = PH_READ;
    if (errno == EAGAIN)
        return -PH_EAGAIN;
    gone_sys(p, errno, "connection lost");
    return -PH_ECLOSED;
}

static int64_t write_some(struct ph_pump *p, ph_str out)
{
    struct ph_error why = {0};
    if (p->tls) {
        int64_t n = ph_tls_write(p->tls, out.p, out.n, &p->write_needs, &why);
        if (n < 0 && n != -PH_EAGAIN)
            gone(p, &why);
        return n;
    }
    ssize_t n;
    do
        n = send(p->fd, out.p, out.n, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    p->write_needs = PH_WRITE;
    if (errno == EAGAIN)
        return -PH_EAGAIN;
    gone_sys(p, errno, "connection lost");
    return -PH_ECLOSED;
}

static void gone_memory(struct ph_pump *p)
{
    struct ph_error why = {0};
    ph_fail(&why, PH_ENOMEM, 0, "out of memory");
    gone(p, &why);
}

static bool all_sent(const struct ph_pump *p)
{
    return p->ops->out(p->engine).n == 0 && p->packed_out.n == 0;
}

/* What goes to the socket next: the engine's own bytes, or a piece of them compressed. */
static ph_str next_out(struct ph_pump *p)
{
    ph_str out = p->ops->out(p->engine);
    if (!p->deflate || is_over(p))
        return out;
    if (p->packed_out.n == 0 && out.n) {
        out = ph_str_sub(out, 0, PH_PUMP_READ);
        if (ph__deflate_put(p->deflate, out, &p->packed_out) < 0) {
            gone_memory(p);
            return (ph_str){0};
        }
        p->ops->sent(p->engine, out.n);
    }
    return ph_buf_str(&p->packed_out);
}

/* Sends what the engine has. True when something was sent. */
static bool flush(struct ph_pump *p)
{
    bool moved = false;
    p->write_needs = 0;
    for (;;) {
        ph_str out = next_out(p);
        if (out.n == 0)
            break;
        int64_t n = write_some(p, out);
        if (n <= 0)
            return moved;
        if (p->deflate)
            ph_buf_drop(&p->packed_out, (size_t)n);
        else
            p->ops->sent(p->engine, (size_t)n);
        moved = true;
    }
    ph_buf_shrink(&p->packed_out);
    if (moved)
        events(p); /* a body may have been waiting for this */
    return moved;
}

static void feed(struct ph_pump *p, ph_str in)
{
    p->ops->tick(p->engine, ph_loop_now(p->loop));
    int64_t taken = p->ops->feed(p->engine, in);
    ph_str rest = ph_str_skip(in, taken > 0 ? (size_t)taken : 0);
    if (taken < 0) {
        p->closing = true; /* BROKEN: the farewell is sent, nothing more is heard */
    } else if (p->stash.n) {
        ph_buf_drop(&p->stash, (size_t)taken);
        ph_buf_shrink(&p->stash);
    } else if (rest.n) {
        ph_buf_add(&p->stash, rest);
        if (ph_buf_err(&p->stash) < 0) {
            gone_memory(p);
            return;
        }
    }
    events(p);
}

/* Unpacks and feeds one piece: as much as one buffer holds, however small it came in. */
static bool take_packed(struct ph_pump *p)
{
    ph_str in = ph_buf_str(&p->packed_in);
    size_t had = in.n;
    int64_t n = ph__deflate_take(p->deflate, &in, unpacked, sizeof unpacked);
    if (n < 0) {
        struct ph_error why = {0};
        ph_fail(&why, (int)-n, 0, "the compressed stream is damaged");
        gone(p, &why);
        return false;
    }
    ph_buf_drop(&p->packed_in, had - in.n);
    ph_buf_shrink(&p->packed_in);
    p->unpack = (size_t)n == sizeof unpacked || p->packed_in.n > 0;
    if (n > 0)
        feed(p, (ph_str){unpacked, (size_t)n});
    return n > 0 || had > in.n;
}

/* Reads and feeds once. True when something moved. */
static bool take(struct ph_pump *p)
{
    if (p->stash.n) {
        size_t before = p->stash.n;
        feed(p, ph_buf_str(&p->stash));
        return is_over(p) || p->stash.n != before;
    }
    if (p->deflate && p->unpack)
        return take_packed(p);
    if (p->eof || !(p->readable || (p->tls && ph_tls_pending(p->tls))))
        return false;
    int64_t n = read_some(p);
    if (n < 0) {
        p->readable = false;
        return false;
    }
    if (n == 0) {
        p->eof = true;
        p->ops->tick(p->engine, ph_loop_now(p->loop));
        p->ops->feed_eof(p->engine);
        events(p);
        return true;
    }
    /* A short read emptied the socket; if more has come since, the loop will say so. */
    if (!p->tls && (size_t)n < sizeof shared)
        p->readable = false;
    if (!p->deflate) {
        feed(p, (ph_str){shared, (size_t)n});
        return true;
    }
    ph_buf_add(&p->packed_in, (ph_str){shared, (size_t)n});
    p->unpack = true;
    if (ph_buf_err(&p->packed_in) < 0)
        gone_memory(p);
    return !is_over(p);
}

/* ---- phases: each step is true when something moved ----------------------------------------- */

static bool step_connecting(struct ph_pump *p)
{
    int sys = 0;
    socklen_t n = sizeof sys;
    struct sockaddr_storage peer;
    socklen_t peer_n = sizeof peer;
    if (p->closing || (p->ops->want(p->engine) & PH_WANT_CLOSE)) {
        gone_sys(p, ETIMEDOUT, "cannot connect");
        return false;
    }
    if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &sys, &n) < 0)
        sys = errno;
    if (sys) {
        gone_sys(p, sys, "cannot connect");
        return false;
    }
    p->write_needs = PH_WRITE;
    if (getpeername(p->fd, (struct sockaddr *)&peer, &peer_n) < 0)
        return false; /* not yet */
    p->phase = OPEN;
    p->write_needs = 0;
    return true;
}

static void start_tls(struct ph_pump *p)
{
    struct ph_error why = {0};
    p->tls_now = false;
    if (p->stash
            .n) /* plain text after STARTTLS is an injection (RFC 3207 4.2 as later understood) */
        ph_fail(&why, PH_ESYNTAX, 0, "plain text behind the request for TLS");
    else if (!p->tls_ctx)
        ph_fail(&why, PH_ETLS, 0, "TLS is not set up here");
    else if (!(p->tls = ph_tls_new(p->tls_ctx, p->fd, (ph_str){p->host, p->host_n})))
        ph_fail(&why, PH_ENOMEM, 0, "out of memory");
    if (why.code)
        gone(p, &why);
    else
        p->phase = HANDSHAKE;
}

static bool start_deflate(struct ph_pump *p)
{
    p->deflate = p->stash.n ? NULL : ph__deflate_new(true);
    if (!p->deflate) {
        gone_memory(p);
        return false;
    }
    ph_buf_init(&p->packed_in, NULL, 2 * PH_PUMP_READ);
    ph_buf_init(&p->packed_out, NULL, 4 * PH_PUMP_READ);
    p->handler.compressed(p->handler.ctx);
    events(p);
    return true;
}

static bool step_handshake(struct ph_pump *p)
{
    struct ph_error why = {0};
    struct ph_tls_info info;
    if (p->closing || (p->ops->want(p->engine) & PH_WANT_CLOSE)) {
        ph_fail(&why, PH_ETIMEOUT, 0, "TLS did not come up in time");
        gone(p, &why);
        return false;
    }
    int rc = ph_tls_handshake(p->tls, &p->read_needs, &why);
    if (rc == -PH_EAGAIN)
        return false;
    if (rc < 0) {
        gone(p, &why);
        return false;
    }
    p->phase = OPEN;
    p->read_needs = 0;
    p->readable = true; /* the first request may have come with the end of the handshake */
    ph_tls_describe(p->tls, &info);
    p->handler.secured(p->handler.ctx, &info);
    events(p);
    return true;
}

/* All is sent. Closing with unread input resets the connection, and the peer may never see our last
 * reply: while it still sends, its bytes are thrown away for a moment (RFC 9112 9.6 tells the same
 * of HTTP). */
static bool begin_end(struct ph_pump *p)
{
    unsigned needs;
    if (p->tls)
        (void)ph_tls_shutdown(p->tls, &needs);
    if (p->eof || recv(p->fd, shared, sizeof shared, 0) <= 0) {
        gone(p, NULL);
        return false;
    }
    p->phase = LINGER;
    p->close_by = ph_loop_now(p->loop) + PH_PUMP_LINGER_MS;
    p->write_needs = 0;
    shutdown(p->fd, SHUT_WR);
    return true;
}

static bool step_linger(struct ph_pump *p)
{
    ssize_t n = recv(p->fd, shared, sizeof shared, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    p->thrown += n > 0 ? (size_t)n : 0;
    if (n > 0 && p->thrown < PH_PUMP_LINGER)
        return true;
    gone(p, NULL);
    return false;
}

static bool step_open(struct ph_pump *p)
{
    if (p->tls_now) {
        start_tls(p);
        return true;
    }
    bool moved = flush(p);
    if (is_over(p))
        return false;
    unsigned want = p->ops->want(p->engine);
    bool closing = p->closing || (want & PH_WANT_CLOSE);
    if (all_sent(p)) {
        if (closing)
            return begin_end(p);
        if (want & PH_WANT_DEFLATE && !p->deflate)
            return start_deflate(p);
        if (want & PH_WANT_TLS) {
            start_tls(p);
            return true;
        }
    }
    if (closing) {
        if (p->close_by == PH_NEVER)
            p->close_by = ph_loop_now(p->loop) + PH_PUMP_CLOSE_MS;
        return moved;
    }
    if (want & PH_WANT_READ)
        moved |= take(p);
    return moved;
}

static bool step(struct ph_pump *p)
{
    static bool (*const steps[])(struct ph_pump *) = {[CONNECTING] = step_connecting,
                                                      [OPEN] = step_open,
                                                      [HANDSHAKE] = step_handshake,
                                                      [LINGER] = step_linger};
    return steps[p->phase](p);
}

/* ---- a turn ------------------------------------------------------------------------------ */

static void check_time(struct ph_pump *p)
{
    int64_t now = ph_loop_now(p->loop);
    if (now >= p->close_by) {
        struct ph_error why = {0};
        ph_fail(&why, PH_ETIMEOUT, 0, "the other side did not take the last bytes in time");
        gone(p, p->phase == LINGER ? NULL : &why);
    } else if (p->close_by == PH_NEVER && now >= p->ops->deadline(p->engine)) {
        p->ops->tick(p->engine, now);
        events(p);
    }
}

static unsigned interest(const struct ph_pump *p)
{
    unsigned want;
    switch (p->phase) {
    case CONNECTING:
        return PH_WRITE;
    case HANDSHAKE:
        return p->read_needs;
    case LINGER:
        return PH_READ;
    default:
        want = p->write_needs;
        if ((p->ops->want(p->engine) & PH_WANT_READ) && !p->eof && !p->stash.n && !p->unpack &&
            !p->closing)
            want |= p->read_needs ? p->read_needs : PH_READ;
        return want;
    }
}

static void arm(struct ph_pump *p)
{
    /* Once it closes, the engine's own time is over. */
    int64_t now = ph_loop_now(p->loop),
            at = p->close_by != PH_NEVER ? p->close_by : p->ops->deadline(p->engine);
    ph_io_want(p->io, interest(p));
    /* A deadline that moved away is noticed when the timer fires early: no timer is touched per
     * command. */
    if (at >= p->armed)
        return;
    p->armed = at;
    ph_timer_set(p->timer, at > now ? at - now : 1);
}

static void really_free(struct ph_pump *p)
{
    ph_buf_done(&p->stash);
    ph_buf_done(&p->packed_in);
    ph_buf_done(&p->packed_out);
    ph__deflate_free(p->deflate);
    free(p);
}

static void turn(struct ph_pump *p)
{
    int rounds = 0;
    p->busy = true;
    check_time(p);
    while (!is_over(p) && rounds < PH_PUMP_ROUNDS && step(p))
        rounds++;
    p->busy = false;
    if (p->dead) {
        really_free(p);
    } else if (p->phase != GONE) {
        arm(p);
        if (rounds == PH_PUMP_ROUNDS)
            ph_loop_later(p->loop, &p->later);
    }
}

static void on_ready(void *ctx, unsigned ready)
{
    struct ph_pump *p = ctx;
    if (ready & PH_READ)
        p->readable = true;
    turn(p);
}

static void on_timer(void *ctx)
{
    struct ph_pump *p = ctx;
    p->armed = PH_NEVER;
    turn(p);
}

static void on_kick(void *ctx)
{
    struct ph_pump *p = ctx;
    if (p->phase != GONE)
        turn(p);
}

/* ---- public ------------------------------------------------------------------------------ */

struct ph_pump *ph_pump_new(struct ph_loop *l, int fd, const struct ph_pump_options *opt)
{
    struct ph_pump *p = calloc(1, sizeof *p + opt->host.n + 1);
    if (!p) {
        close(fd);
        return NULL;
    }
    *p = (struct ph_pump){.loop = l,
                          .ops = opt->ops,
                          .engine = opt->engine,
                          .handler = opt->handler,
                          .tls_ctx = opt->tls,
                          .tls_now = opt->tls_now,
                          .later = {.fn = on_kick, .ctx = p},
                          .armed = PH_NEVER,
                          .close_by = PH_NEVER,
                          .fd = fd,
                          .phase = opt->connecting ? CONNECTING : OPEN,
                          .host_n = opt->host.n};
    if (opt->host.n)
        memcpy(p->host, opt->host.p, opt->host.n);
    ph_buf_init(&p->stash, NULL, PH_PUMP_READ);
    p->io = ph_io_new(l, fd, 0, on_ready, p);
    p->timer = ph_timer_new(l, on_timer, p);
    if (!p->io || !p->timer)
        return ph_pump_free(p);
    p->ops->tick(p->engine, ph_loop_now(l));
    ph_loop_later(l, &p->later);
    return p;
}

void ph_pump_kick(struct ph_pump *p)
{
    /* While stepping, the next step sees everything that changed. */
    if (p->phase != GONE && !p->busy)
        ph_loop_later(p->loop, &p->later);
}

bool ph_pump_is_connected(const struct ph_pump *p)
{
    return p->phase != CONNECTING;
}

void ph_pump_close(struct ph_pump *p)
{
    p->closing = true;
    ph_pump_kick(p);
}

struct ph_pump *ph_pump_free(struct ph_pump *p)
{
    if (!p || p->dead)
        return NULL;
    p->dead = true;
    p->phase = GONE;
    ph_later_off(p->loop, &p->later);
    ph_io_free(p->io);
    ph_timer_free(p->timer);
    p->tls = ph_tls_free(p->tls);
    close(p->fd);
    if (!p->busy)
        really_free(p);
    return NULL;
}
