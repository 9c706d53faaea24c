/* One blocking connection that drives a client engine with poll(2). The engine keeps the time-outs
 * of its protocol; those of connecting and of the TLS handshake are kept here. */
#include <posthouse/net.h>

#include "file.h"
#include "loop.h"
#include "sock.h"
#include "tls.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_MS = 30000, READ_SIZE = 64 * 1024, ADDRESSES = 32 };

struct ph_conn {
    const struct ph_proto_ops *ops;
    void *engine;
    struct ph_tls_ctx *ctx;
    struct ph_tls *tls;
    struct ph_conn_info info;
    struct ph_buf stash; /* what the engine did not take yet */
    int64_t connect_ms;
    int fd;
    bool eof;
    char host[256];
    char buf[READ_SIZE];
};

static int64_t now_ms(void)
{
    return ph_mono_us() / 1000;
}

/* Waits for PH_READ | PH_WRITE until a time. 1, or 0 when the time is over. */
static int wait_fd(int fd, unsigned want, int64_t until)
{
    struct pollfd p = {.fd = fd};
    p.events = (short)((want & PH_READ ? POLLIN : 0) | (want & PH_WRITE ? POLLOUT : 0));
    for (;;) {
        int64_t left = until == PH_NEVER ? -1 : until - now_ms();
        if (until != PH_NEVER && left <= 0)
            return 0;
        int rc = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (rc > 0 || (rc < 0 && errno != EINTR))
            return 1;
    }
}

/* ---- connecting -------------------------------------------------------------------------- */

static bool is_loopback(const struct ph_addr *a)
{
    char ip[64];
    ph_addr_ip(a, ip, sizeof ip);
    return strncmp(ip, "127.", 4) == 0 || strcmp(ip, "::1") == 0;
}

static void describe_ends(struct ph_conn *c, const struct ph_addr *to)
{
    struct ph_addr local = {.len = sizeof local.sa};
    char ip[64];
    ph_addr_ip(to, ip, sizeof ip);
    if (strcmp(ip, c->host) == 0)
        ph_addr_text(to, c->info.peer, sizeof c->info.peer);
    else
        snprintf(c->info.peer, sizeof c->info.peer, "%s [%s]:%u", c->host, ip, ph_addr_port(to));
    c->info.loopback = is_loopback(to);
    if (getsockname(c->fd, (struct sockaddr *)&local.sa, &local.len) == 0)
        ph_addr_ip(&local, c->info.local, sizeof c->info.local);
}

static int try_address(struct ph_conn *c, const struct addrinfo *ai, struct ph_error *reterr)
{
    struct ph_addr to = {.len = ai->ai_addrlen};
    char text[64];
    memcpy(&to.sa, ai->ai_addr, ai->ai_addrlen);
    int fd = ph_connect(&to, NULL, reterr);
    if (fd < 0)
        return fd;
    int rc;
    if (!wait_fd(fd, PH_WRITE, now_ms() + c->connect_ms))
        rc = ph_fail(reterr, PH_ETIMEOUT, ETIMEDOUT,
                     "%s did not answer within %d s: wrong address, or a firewall?",
                     ph_addr_text(&to, text, sizeof text), (int)(c->connect_ms / 1000));
    else
        rc = ph_connect_result(fd, &to, reterr);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    c->fd = fd;
    describe_ends(c, &to);
    return 0;
}

static int find_and_connect(struct ph_conn *c, unsigned port, struct ph_error *reterr)
{
    struct addrinfo *all = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char service[16];
    int tried = 0, rc = -PH_ENOENT;
    struct ph_error why = {0};
    snprintf(service, sizeof service, "%u", port);
    int gai = getaddrinfo(c->host, service, &hints, &all);
    if (gai != 0)
        return ph_fail(reterr, gai == EAI_AGAIN ? PH_EAGAIN : PH_ENOENT, 0,
                       "cannot find the host \"%s\": %s", c->host, gai_strerror(gai));
    for (const struct addrinfo *ai = all; ai && rc < 0 && tried < ADDRESSES;
         ai = ai->ai_next, tried++)
        rc = try_address(c, ai, &why);
    freeaddrinfo(all);
    if (rc == 0 || tried == 1) {
        if (rc < 0 && reterr)
            *reterr = why;
        return rc;
    }
    return ph_fail(reterr, -rc, why.sys,
                   "none of the %d addresses of %s took the connection; the last: %s", tried,
                   c->host, why.text);
}

static int handshake(struct ph_conn *c, struct ph_error *reterr)
{
    int64_t until = now_ms() + c->connect_ms;
    struct ph_tls_info i;
    unsigned want;
    c->tls = ph_tls_new(c->ctx, c->fd, ph_str_c(c->host));
    if (!c->tls)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    for (;;) {
        int rc = ph_tls_handshake(c->tls, &want, reterr);
        if (rc == 0)
            break;
        if (rc != -PH_EAGAIN)
            return rc;
        if (!wait_fd(c->fd, want, until))
            return ph_fail(
                reterr, PH_ETIMEOUT, 0,
                "%s did not finish the TLS handshake: is this a port for plain text or STARTTLS?",
                c->info.peer);
    }
    ph_tls_describe(c->tls, &i);
    snprintf(c->info.tls, sizeof c->info.tls, "%s %s", i.version, i.cipher);
    memcpy(c->info.why, i.why, sizeof c->info.why);
    c->info.verified = i.verified;
    return 0;
}

int ph_conn_open(const struct ph_account *account, const struct ph_proto_ops *ops, void *engine,
                 struct ph_conn **ret_conn, struct ph_error *reterr)
{
    struct ph_conn *c = calloc(1, sizeof *c);
    if (!c)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    *c = (struct ph_conn){.ops = ops,
                          .engine = engine,
                          .fd = -1,
                          .connect_ms = account->connect_ms ? account->connect_ms : CONNECT_MS};
    ph_buf_init(&c->stash, NULL, READ_SIZE);
    int rc = 0;
    if (account->host.n == 0 || account->host.n >= sizeof c->host)
        rc = ph_fail(reterr, PH_EINVAL, 0, "no server was named");
    else
        memcpy(c->host, account->host.p, account->host.n);
    if (rc == 0 && account->tls != PH_TLS_OFF) {
        c->ctx = ph_tls_client_ctx(account->insecure ? PH_TLS_VERIFY_NONE : PH_TLS_VERIFY_FULL,
                                   account->ca_file, reterr);
        rc = c->ctx ? 0 : -PH_ETLS;
    }
    if (rc == 0)
        rc = find_and_connect(c, account->port, reterr);
    if (rc == 0 && account->tls == PH_TLS_ON)
        rc = handshake(c, reterr);
    if (rc < 0) {
        ph_conn_close(c);
        return rc;
    }
    ops->tick(engine, now_ms());
    *ret_conn = c;
    return 0;
}

/* ---- driving ----------------------------------------------------------------------------- */

static int64_t write_some(struct ph_conn *c, ph_str out, unsigned *ret_want,
                          struct ph_error *reterr)
{
    if (c->tls)
        return ph_tls_write(c->tls, out.p, out.n, ret_want, reterr);
    ssize_t n = send(c->fd, out.p, out.n, MSG_NOSIGNAL);
    *ret_want = PH_WRITE;
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR)
        return -PH_EAGAIN;
    return ph_fail(reterr, PH_ECLOSED, errno, "the connection to %s broke: %s", c->info.peer,
                   strerror(errno));
}

static int64_t read_some(struct ph_conn *c, unsigned *ret_want, struct ph_error *reterr)
{
    if (c->tls)
        return ph_tls_read(c->tls, c->buf, sizeof c->buf, ret_want, reterr);
    ssize_t n = recv(c->fd, c->buf, sizeof c->buf, 0);
    *ret_want = PH_READ;
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR)
        return -PH_EAGAIN;
    return ph_fail(reterr, PH_ECLOSED, errno, "the connection to %s broke: %s", c->info.peer,
                   strerror(errno));
}

/* 1: all that was there is sent; 0: there was nothing; -PH_EAGAIN: the socket is full. */
static int flush(struct ph_conn *c, unsigned *ret_want, struct ph_error *reterr)
{
    int moved = 0;
    for (;;) {
        ph_str out = c->ops->out(c->engine);
        if (out.n == 0)
            return moved;
        int64_t n = write_some(c, out, ret_want, reterr);
        if (n < 0)
            return (int)n;
        c->ops->sent(c->engine, (size_t)n);
        moved = 1;
    }
}

static int feed(struct ph_conn *c, ph_str in, struct ph_error *reterr)
{
    bool stashed = c->stash.n > 0;
    c->ops->tick(c->engine, now_ms());
    int64_t taken = c->ops->feed(c->engine, in);
    if (taken < 0) {
        ph_buf_done(&c->stash);
        c->eof = true; /* BROKEN is in its events, and nothing more is heard */
        return PH_CONN_MOVED;
    }
    if (stashed)
        ph_buf_drop(&c->stash, (size_t)taken);
    else
        ph_buf_add(&c->stash, ph_str_skip(in, (size_t)taken));
    return ph_buf_err(&c->stash) < 0 ? ph_fail(reterr, PH_ENOMEM, 0, "out of memory")
                                     : PH_CONN_MOVED;
}

/* Reads and feeds once: MOVED, or -PH_EAGAIN. */
static int take(struct ph_conn *c, unsigned *ret_want, struct ph_error *reterr)
{
    if (c->stash.n)
        return feed(c, ph_buf_str(&c->stash), reterr);
    int64_t n = read_some(c, ret_want, reterr);
    if (n < 0)
        return (int)n;
    if (n > 0)
        return feed(c, (ph_str){c->buf, (size_t)n}, reterr);
    c->eof = true;
    c->ops->tick(c->engine, now_ms());
    c->ops->feed_eof(c->engine);
    return PH_CONN_MOVED;
}

int ph_conn_step(struct ph_conn *c, struct ph_error *reterr)
{
    for (;;) {
        unsigned wait_write = 0, wait_read = 0;
        c->ops->tick(c->engine, now_ms());
        int rc = flush(c, &wait_write, reterr);
        if (rc < 0 && rc != -PH_EAGAIN)
            return rc;
        if (rc == 1)
            return PH_CONN_MOVED;
        unsigned want = c->ops->want(c->engine);
        if (rc == 0 && (want & PH_WANT_TLS) && !c->tls) {
            if (!c->ctx || c->stash.n)
                return ph_fail(reterr, PH_ETLS, 0,
                               c->ctx ? "plain text behind STARTTLS: somebody interferes"
                                      : "TLS is switched off here");
            rc = handshake(c, reterr);
            return rc < 0 ? rc : PH_CONN_SECURED;
        }
        if ((rc == 0 && (want & PH_WANT_CLOSE)) || c->eof)
            return PH_CONN_DONE;
        if (want & PH_WANT_READ) {
            int got = take(c, &wait_read, reterr);
            if (got != -PH_EAGAIN)
                return got;
        }
        int64_t until = c->ops->deadline(c->engine);
        if (wait_fd(c->fd, wait_write | wait_read, until))
            continue;
        c->ops->tick(c->engine, now_ms());
        return PH_CONN_MOVED;
    }
}

struct ph_conn *ph_conn_close(struct ph_conn *c)
{
    unsigned want;
    if (!c)
        return NULL;
    if (c->tls)
        (void)ph_tls_shutdown(c->tls, &want);
    ph_tls_free(c->tls);
    ph_tls_ctx_free(c->ctx);
    ph_buf_done(&c->stash);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
    return NULL;
}

const struct ph_conn_info *ph_conn_info(const struct ph_conn *c)
{
    return &c->info;
}

int ph_conn_may_login(const struct ph_conn *c, struct ph_error *reterr)
{
    if (c->tls || c->info.loopback)
        return 0;
    return ph_fail(reterr, PH_EDENIED, 0,
                   "a password is not sent to %s without TLS; use STARTTLS or TLS", c->host);
}
