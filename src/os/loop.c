/*
 * One turn: wait for events, call all that are ready, then call what was put off to the end of the
 * turn. libevent waits and keeps the timers; turns, the clock and the put-off calls are ours.
 */
#include "loop.h"
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct sig {
    struct sig *next;
    struct event *ev;
    struct ph_loop *loop;
    void (*fn)(void *ctx);
    void *ctx;
};

struct queue {
    struct ph_later *first, **last;
};

struct ph_loop {
    struct event_base *base;
    int64_t now;
    bool fresh; /* `now` was read in this turn */
    bool stop;
    struct queue later, running;
    struct sig *sigs;
    int wake_fd;
    struct ph_io *wake_io;
    void (*wake)(void *ctx);
    void *wake_ctx;
};

struct ph_io {
    struct ph_loop *loop;
    struct event *ev;
    int fd;
    unsigned want;
    void (*fn)(void *ctx, unsigned ready);
    void *ctx;
};

struct ph_timer {
    struct ph_loop *loop;
    struct event *ev;
    void (*fn)(void *ctx);
    void *ctx;
};

/* ---- clock ------------------------------------------------------------------------------- */

/* The first callback of a turn reads the clock for all of them. */
static void touch(struct ph_loop *l)
{
    if (l->fresh)
        return;
    l->now = ph_mono_us() / 1000;
    l->fresh = true;
}

int64_t ph_loop_now(const struct ph_loop *l)
{
    return l->now;
}

/* ---- the loop ---------------------------------------------------------------------------- */

static void queue_init(struct queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

struct ph_loop *ph_loop_new(void)
{
    struct ph_loop *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    queue_init(&l->later);
    queue_init(&l->running);
    l->wake_fd = -1;
    struct event_config *cfg = event_config_new();
    if (cfg) {
        event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
        l->base = event_base_new_with_config(cfg);
        event_config_free(cfg);
    }
    if (!l->base)
        return ph_loop_free(l);
    touch(l);
    return l;
}

struct ph_loop *ph_loop_free(struct ph_loop *l)
{
    if (!l)
        return NULL;
    for (struct sig *s = l->sigs, *next; s; s = next) {
        next = s->next;
        event_free(s->ev);
        free(s);
    }
    ph_io_free(l->wake_io);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    if (l->base)
        event_base_free(l->base);
    free(l);
    return NULL;
}

static void queue_put(struct queue *q, struct ph_later *later)
{
    later->next = NULL;
    later->at = q->last;
    *q->last = later;
    q->last = &later->next;
}

/* `q` is the queue that may end with it; with two queues, the one whose `last` points into it. */
static void queue_cut(struct ph_loop *l, struct ph_later *later)
{
    *later->at = later->next;
    if (later->next)
        later->next->at = later->at;
    else if (l->later.last == &later->next)
        l->later.last = later->at;
    else
        l->running.last = later->at;
    later->pending = false;
}

static void run_later(struct ph_loop *l)
{
    if (!l->later.first)
        return;
    l->running = l->later;
    l->running.first->at = &l->running.first;
    queue_init(&l->later);
    while (l->running.first) {
        struct ph_later *later = l->running.first;
        queue_cut(l, later);
        later->fn(later->ctx);
    }
    queue_init(&l->running);
}

int ph_loop_run(struct ph_loop *l)
{
    l->stop = false;
    while (!l->stop) {
        int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;
        if (l->later.first)
            flags |= EVLOOP_NONBLOCK;
        l->fresh = false;
        if (event_base_loop(l->base, flags) < 0)
            return -PH_EIO;
        touch(l);
        run_later(l);
    }
    return 0;
}

void ph_loop_stop(struct ph_loop *l)
{
    l->stop = true;
    event_base_loopbreak(l->base);
}

void ph_loop_later(struct ph_loop *l, struct ph_later *later)
{
    if (later->pending)
        return;
    later->pending = true;
    queue_put(&l->later, later);
}

void ph_later_off(struct ph_loop *l, struct ph_later *later)
{
    if (later->pending)
        queue_cut(l, later);
}

/* ---- descriptors ------------------------------------------------------------------------- */

static void io_ready(evutil_socket_t fd, short what, void *ctx)
{
    struct ph_io *io = ctx;
    (void)fd;
    touch(io->loop);
    io->fn(io->ctx, (what & EV_READ ? PH_READ : 0u) | (what & EV_WRITE ? PH_WRITE : 0u));
}

struct ph_io *ph_io_new(struct ph_loop *l, int fd, unsigned want,
                        void (*fn)(void *ctx, unsigned ready), void *ctx)
{
    struct ph_io *io = calloc(1, sizeof *io + event_get_struct_event_size());
    if (!io)
        return NULL;
    io->loop = l;
    io->fd = fd;
    io->fn = fn;
    io->ctx = ctx;
    io->ev = (struct event *)(io + 1); /* one allocation a descriptor */
    if (event_assign(io->ev, l->base, fd, EV_PERSIST, io_ready, io) < 0) {
        free(io);
        return NULL;
    }
    ph_io_want(io, want);
    if (io->want == want)
        return io;
    free(io);
    return NULL;
}

void ph_io_want(struct ph_io *io, unsigned want)
{
    if (want == io->want)
        return;
    if (io->want)
        event_del(io->ev);
    io->want = 0;
    if (want == 0)
        return;
    short what = EV_PERSIST;
    if (want & PH_READ)
        what |= EV_READ;
    if (want & PH_WRITE)
        what |= EV_WRITE;
    if (event_assign(io->ev, io->loop->base, io->fd, what, io_ready, io) == 0 &&
        event_add(io->ev, NULL) == 0)
        io->want = want;
}

struct ph_io *ph_io_free(struct ph_io *io)
{
    if (!io)
        return NULL;
    if (io->want)
        event_del(io->ev);
    free(io);
    return NULL;
}

/* ---- timers ------------------------------------------------------------------------------ */

static void timer_due(evutil_socket_t fd, short what, void *ctx)
{
    struct ph_timer *t = ctx;
    (void)fd;
    (void)what;
    touch(t->loop);
    t->fn(t->ctx);
}

struct ph_timer *ph_timer_new(struct ph_loop *l, void (*fn)(void *ctx), void *ctx)
{
    struct ph_timer *t = calloc(1, sizeof *t + event_get_struct_event_size());
    if (!t)
        return NULL;
    t->loop = l;
    t->fn = fn;
    t->ctx = ctx;
    t->ev = (struct event *)(t + 1);
    if (event_assign(t->ev, l->base, -1, 0, timer_due, t) == 0)
        return t;
    free(t);
    return NULL;
}

void ph_timer_set(struct ph_timer *t, int64_t after_ms)
{
    if (after_ms < 0)
        after_ms = 0;
    if (after_ms > INT32_MAX)
        after_ms = INT32_MAX; /* 24 days: whoever waits longer asks again */
    struct timeval tv = {.tv_sec = after_ms / 1000, .tv_usec = after_ms % 1000 * 1000};
    event_add(t->ev, &tv);
}

void ph_timer_off(struct ph_timer *t)
{
    event_del(t->ev);
}

struct ph_timer *ph_timer_free(struct ph_timer *t)
{
    if (!t)
        return NULL;
    event_del(t->ev);
    free(t);
    return NULL;
}

/* ---- signals and wake-ups ---------------------------------------------------------------- */

static void sig_came(evutil_socket_t signo, short what, void *ctx)
{
    struct sig *s = ctx;
    (void)signo;
    (void)what;
    touch(s->loop);
    s->fn(s->ctx);
}

int ph_loop_signal(struct ph_loop *l, int signo, void (*fn)(void *ctx), void *ctx)
{
    struct sig *s = calloc(1, sizeof *s);
    if (!s)
        return -PH_ENOMEM;
    *s = (struct sig){.loop = l, .fn = fn, .ctx = ctx, .next = l->sigs};
    s->ev = event_new(l->base, signo, EV_SIGNAL | EV_PERSIST, sig_came, s);
    if (!s->ev || event_add(s->ev, NULL) < 0) {
        if (s->ev)
            event_free(s->ev);
        free(s);
        return -PH_ENOMEM;
    }
    l->sigs = s;
    return 0;
}

static void woken(void *ctx, unsigned ready)
{
    struct ph_loop *l = ctx;
    uint64_t count;
    (void)ready;
    /* Reading sets the counter to 0 in one go; EAGAIN means an earlier turn took it. */
    if (read(l->wake_fd, &count, sizeof count) == (ssize_t)sizeof count)
        l->wake(l->wake_ctx);
}

int ph_loop_on_wake(struct ph_loop *l, void (*fn)(void *ctx), void *ctx)
{
    l->wake = fn;
    l->wake_ctx = ctx;
    if (l->wake_io)
        return 0;
    if (l->wake_fd < 0)
        l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake_fd < 0)
        return -PH_EIO;
    l->wake_io = ph_io_new(l, l->wake_fd, PH_READ, woken, l);
    return l->wake_io ? 0 : -PH_ENOMEM;
}

void ph_loop_wake(struct ph_loop *l)
{
    uint64_t one = 1;
    /* EAGAIN: the counter is full, so the loop is woken already. */
    while (write(l->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}
