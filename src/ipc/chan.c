/*
 * A channel: frames over a SOCK_STREAM unix socket in an event loop.
 *
 *   new -> WAITING --their HELLO--> OPEN --EOF--> GONE       gone(why) once; then only
 *             |                      |             ^         ipc_chan_free
 *             +---- anything wrong --+-------------+
 *                   (see ipc_int.h)
 *
 * What is sent waits in `out` until the end of the turn (flush). A frame with a descriptor starts a
 * sendmsg of its own, so the kernel delivers the descriptor with the first byte of its frame and
 * the reader can demand just that.
 */
#include "ipc_int.h"
#include "loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_CHUNK = 128 * 1024, /* room for one recvmsg */
    READ_TURN = 16,          /* recvmsg calls before others get their turn */
    KEEP_IN = 512 * 1024,    /* a larger read buffer is given back when empty */
    KEEP_OUT = 1024 * 1024,
    FDS_AT_ONCE = 4, /* more from one sendmsg is a protocol error: we send one */
    AGAIN_MS = 20
};

/* A descriptor that leaves with the byte `at` of the stream. */
struct passenger {
    uint64_t at;
    int fd;
};

struct ipc_chan {
    struct ph_loop *loop;
    struct ph_io *io;
    struct ph_later flush;
    struct ph_timer *again; /* made when the kernel is first short of memory */
    int fd;
    struct ipc_ends ends;
    struct ipc_callbacks cb;
    uint64_t count_in, count_out;
    struct ph_buf in;
    struct ph_buf out; /* the first out_sent bytes are gone already */
    size_t out_sent;
    uint64_t stream;          /* bytes given to the kernel in all */
    struct ph_buf passengers; /* struct passenger, in order */
    int arrived[2];   /* descriptors not yet claimed, or -1: that of a frame half read, and the next
                         one's */
    bool hello;       /* theirs has come */
    bool mute;        /* the peer takes nothing any more */
    bool secret;      /* `out` holds a secret, to be wiped when it has left */
    bool gone;        /* gone() was called */
    bool busy, freed; /* inside a callback; ipc_chan_free was called there */
    char why[160];
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Fields that hold a password or a private key. */
static bool is_secret(enum ipc_type type)
{
    return type == IPC_AUTH || type == IPC_KEY || type == IPC_TICKET_KEY;
}

/* ---- sending ------------------------------------------------------------------------------- */

static size_t waiting(const struct ipc_chan *c)
{
    return c->out.n - c->out_sent;
}

static void drop_out(struct ipc_chan *c)
{
    struct passenger *p = (struct passenger *)(void *)c->passengers.p;
    for (size_t i = 0; i < c->passengers.n / sizeof *p; i++)
        close_fd(&p[i].fd);
    if (c->secret && c->out.p)
        ph_wipe(c->out.p, c->out.n);
    c->secret = false;
    ph_buf_done(&c->passengers);
    ph_buf_done(&c->out);
    c->out_sent = 0;
}

/* One sendmsg: from where we are up to the next descriptor's frame. Bytes sent, or -errno. */
static int64_t send_some(struct ipc_chan *c)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct passenger *p = (struct passenger *)(void *)c->passengers.p;
    size_t count = c->passengers.n / sizeof *p;
    struct iovec bytes = {c->out.p + c->out_sent, waiting(c)};
    struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1};
    bool boards = count && p[0].at == c->stream;
    size_t next = boards ? 1 : 0;
    if (count > next && p[next].at - c->stream < bytes.iov_len)
        bytes.iov_len = (size_t)(p[next].at - c->stream);
    if (boards) {
        m.msg_control = control.room;
        m.msg_controllen = sizeof control.room;
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &p[0].fd, sizeof(int));
    }
    ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return -errno;
    if (boards && n > 0) {
        close_fd(&p[0].fd);
        ph_buf_drop(&c->passengers, sizeof *p);
    }
    return n;
}

static void compact_out(struct ipc_chan *c)
{
    if (c->out_sent == c->out.n) {
        if (c->secret)
            ph_wipe(c->out.p, c->out.n);
        c->secret = false;
        ph_buf_clear(&c->out);
        c->out_sent = 0;
        if (c->out.cap > KEEP_OUT)
            ph_buf_shrink(&c->out);
    } else if (c->out_sent > KEEP_OUT && c->out_sent > c->out.n / 2) {
        ph_buf_drop(&c->out, c->out_sent);
        c->out_sent = 0;
    }
}

static void flush(void *ctx);

/* The kernel lacks memory, or this user has too many descriptors under way: the socket looks
 * writable and is not, so its readiness is not waited for. */
static void flush_later(struct ipc_chan *c)
{
    if (!c->again)
        c->again = ph_timer_new(c->loop, flush, c);
    if (c->again)
        ph_timer_set(c->again, AGAIN_MS); /* else the next message tries */
    ph_io_want(c->io, PH_READ);
}

static void flush(void *ctx)
{
    struct ipc_chan *c = ctx;
    if (c->gone)
        return;
    while (waiting(c)) {
        int64_t n = send_some(c);
        if (n == -EINTR)
            continue;
        if (n == -EAGAIN)
            break;
        if (n == -ENOBUFS || n == -ENOMEM || n == -ETOOMANYREFS) {
            flush_later(c);
            return;
        }
        if (n < 0) { /* what it said before it went is still read; its EOF ends the channel */
            c->mute = true;
            drop_out(c);
            break;
        }
        c->out_sent += (size_t)n;
        c->stream += (uint64_t)n;
    }
    compact_out(c);
    ph_io_want(c->io, PH_READ | (waiting(c) ? PH_WRITE : 0));
}

static int board(struct ipc_chan *c, int fd)
{
    struct passenger p = {c->stream + waiting(c), fcntl(fd, F_DUPFD_CLOEXEC, 3)};
    if (p.fd < 0)
        return -PH_EAGAIN;
    ph_buf_add(&c->passengers, (ph_str){(const char *)&p, sizeof p});
    if (!ph_buf_err(&c->passengers))
        return 0;
    close(p.fd);
    c->passengers.err = 0;
    return -PH_ENOMEM;
}

int ipc_chan_send(struct ipc_chan *c, enum ipc_type type, const void *fields, int fd)
{
    assert(ipc_may_send(type, c->ends.self_role, c->ends.peer_role));
    assert(fd >= 0 ? ipc_type_fd(type) > 0 : ipc_type_fd(type) < 2);
    if (c->gone || c->mute)
        return -PH_ECLOSED;
    if (waiting(c) > IPC_BACKLOG)
        return -PH_EAGAIN;
    size_t before = c->passengers.n;
    int r = fd >= 0 ? board(c, fd) : 0;
    if (r)
        return r;
    r = ipc__frame_put(&c->out, type, fields, fd >= 0);
    if (r && c->passengers.n > before) {
        c->passengers.n = before;
        close(((struct passenger *)(void *)(c->passengers.p + before))->fd);
    }
    if (!r) {
        c->count_out += type != IPC_HELLO;
        c->secret |= is_secret(type);
        ph_loop_later(c->loop, &c->flush);
    }
    return r;
}

void ipc_chan_flush(struct ipc_chan *c)
{
    if (waiting(c))
        flush(c);
}

size_t ipc_chan_backlog(const struct ipc_chan *c)
{
    return waiting(c);
}

/* ---- receiving ----------------------------------------------------------------------------- */

static int broken(struct ipc_chan *c, const char *why, int type)
{
    snprintf(c->why, sizeof c->why, "%s %u broke the protocol: %s%s%s",
             ipc_role_name(c->ends.peer_role), c->ends.peer_instance, why, type >= 0 ? ": " : "",
             type >= 0 ? ipc_type_name(type) : "");
    return -PH_ESYNTAX;
}

/* Keeps the descriptors that may arrive; more are a protocol error (and closed). */
static int take_fds(struct ipc_chan *c, struct msghdr *m)
{
    int excess = 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            size_t at = c->arrived[0] >= 0;
            if (c->arrived[at] >= 0) {
                close(fd);
                excess++;
            } else {
                c->arrived[at] = fd;
            }
        }
    }
    if (excess || (m->msg_flags & MSG_CTRUNC))
        return broken(c, "descriptors came unasked", -1);
    return 0;
}

/* Bytes read, 0 at EOF, -PH_EAGAIN, or -PH_E... with c->why. */
static int64_t receive(struct ipc_chan *c, size_t room)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(FDS_AT_ONCE * sizeof(int))];
    } control;
    char *to = ph_buf_reserve(&c->in, room);
    if (!to) {
        snprintf(c->why, sizeof c->why, "out of memory");
        return -PH_ENOMEM;
    }
    struct iovec bytes = {to, room};
    struct msghdr m = {.msg_iov = &bytes,
                       .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = sizeof control.room};
    ssize_t n;
    do
        n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? -PH_EAGAIN : 0;
    int r = take_fds(c, &m);
    ph_buf_commit(&c->in, (size_t)n);
    return r < 0 ? r : n;
}

static int greet(struct ipc_chan *c, const struct ipc_msg *msg)
{
    if (msg->type != IPC_HELLO)
        return c->hello ? 0 : broken(c, "its first message is not HELLO", msg->type);
    const char *wrong = ipc__hello_wrong(&msg->HELLO, &c->ends);
    if (wrong)
        return broken(c, wrong, -1);
    c->hello = true;
    return 1;
}

/* Gives one message to the handler; the descriptor it does not take is closed. Its frame is n bytes
 * of `in` from `at` on. */
static int give(struct ipc_chan *c, struct ipc_msg *msg, bool has_fd, size_t at, size_t n)
{
    int r = greet(c, msg);
    if (r)
        return r < 0 ? r : 0;
    if (has_fd) {
        if (c->arrived[0] < 0)
            return broken(c, "a descriptor is missing", msg->type);
        msg->fd = c->arrived[0];
        c->arrived[0] = c->arrived[1];
        c->arrived[1] = -1;
    }
    c->count_in++;
    enum ipc_type type = msg->type;
    c->cb.message(c->cb.ctx, c, msg);
    close_fd(&msg->fd);
    if (is_secret(type))
        ph_wipe(c->in.p + at, n);
    return 0;
}

/* Gives every whole frame of the buffer. Returns the count, or a negative error with c->why;
 * *ret_whole: how long the frame is that is not complete yet. */
static int give_all(struct ipc_chan *c, size_t *ret_whole)
{
    ph_str in = ph_buf_str(&c->in);
    int given = 0;
    *ret_whole = 0;
    while (in.n) {
        struct ipc_msg msg;
        bool has_fd = false;
        const char *why = NULL;
        int64_t n = ipc__frame_get(in, &c->ends, &msg, &has_fd, ret_whole, &why);
        if (n < 0)
            return broken(c, why,
                          in.n >= IPC__HEAD ? (unsigned char)in.p[4] | (unsigned char)in.p[5] << 8
                                            : -1);
        if (n == 0)
            break;
        int r = give(c, &msg, has_fd, (size_t)(in.p - c->in.p), (size_t)n);
        if (r < 0)
            return r;
        given++;
        if (c->freed)
            return given;
        in = ph_str_skip(in, (size_t)n);
    }
    if (!in.n && c->arrived[0] >= 0)
        return broken(c, "a descriptor came unasked", -1);
    ph_buf_drop(&c->in, c->in.n - in.n);
    if (!c->in.n && c->in.cap > KEEP_IN)
        ph_buf_shrink(&c->in);
    return given;
}

/* Reads what is there. 0 to go on, 1 at EOF, negative when broken; *ret_given counts messages. */
static int read_all(struct ipc_chan *c, int *ret_given)
{
    size_t whole = 0;
    for (int turn = 0; turn < READ_TURN && !c->freed; turn++) {
        size_t room = whole > c->in.n + READ_CHUNK ? whole - c->in.n : READ_CHUNK;
        int64_t n = receive(c, room);
        if (n == -PH_EAGAIN)
            return 0;
        if (n <= 0)
            return n < 0 ? (int)n : 1;
        int r = give_all(c, &whole);
        if (r < 0)
            return r;
        *ret_given += r;
        if ((size_t)n < room)
            return 0;
    }
    return 0;
}

static void destroy(struct ipc_chan *c)
{
    ph_later_off(c->loop, &c->flush);
    c->io = ph_io_free(c->io);
    c->again = ph_timer_free(c->again);
    drop_out(c);
    close_fd(&c->arrived[0]);
    close_fd(&c->arrived[1]);
    close_fd(&c->fd);
    ph_buf_done(&c->in);
    ph_free(NULL, c, sizeof *c);
}

static void ready(void *ctx, unsigned what)
{
    struct ipc_chan *c = ctx;
    if (what & PH_WRITE)
        flush(c);
    if (!(what & PH_READ))
        return;
    int given = 0;
    c->busy = true;
    int r = read_all(c, &given);
    if (given && !c->freed && c->cb.drained)
        c->cb.drained(c->cb.ctx, c);
    if (r && !c->freed) {
        c->gone = true;
        ph_io_want(c->io, 0);
        drop_out(c);
        c->cb.gone(c->cb.ctx, c, r < 0 ? c->why : NULL);
    }
    c->busy = false;
    if (c->freed)
        destroy(c);
}

/* ---- life ---------------------------------------------------------------------------------- */

struct ipc_chan *ipc_chan_new(struct ph_loop *loop, int fd, const struct ipc_ends *ends,
                              const struct ipc_callbacks *cb)
{
    struct ipc_chan *c = ph_new0(NULL, sizeof *c);
    if (!c) {
        close(fd);
        return NULL;
    }
    c->loop = loop;
    c->fd = fd;
    c->arrived[0] = c->arrived[1] = -1;
    c->ends = *ends;
    c->cb = *cb;
    c->flush = (struct ph_later){.fn = flush, .ctx = c};
    ph_buf_init(&c->in, NULL, IPC_FRAME_MAX + READ_CHUNK);
    ph_buf_init(&c->out, NULL, 2 * (size_t)IPC_BACKLOG);
    ph_buf_init(&c->passengers, NULL, 1024 * 1024);
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        flags = fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    c->io = flags >= 0 ? ph_io_new(loop, fd, PH_READ, ready, c) : NULL;
    if (!c->io ||
        ipc_send(c, HELLO, -1, ipc_table_hash(), (uint8_t)ends->self_role, ends->self_instance)) {
        destroy(c);
        return NULL;
    }
    return c;
}

struct ipc_chan *ipc_chan_free(struct ipc_chan *c)
{
    if (!c)
        return NULL;
    if (c->busy)
        c->freed = true;
    else
        destroy(c);
    return NULL;
}

void ipc_chan_counts(const struct ipc_chan *c, uint64_t *ret_in, uint64_t *ret_out)
{
    *ret_in = c->count_in;
    *ret_out = c->count_out;
}

const struct ipc_ends *ipc_chan_ends(const struct ipc_chan *c)
{
    return &c->ends;
}
