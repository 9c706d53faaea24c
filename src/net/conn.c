/*
 * One blocking connection that drives a client engine with poll(2). The engine keeps the time-outs
 * of its protocol; those of connecting (dial.c) and of the TLS handshake are kept here.
 *
 *   engine <-> [deflate] <-> [TLS] <-> socket
 */
#include "file.h"
#include "loop.h"
#include "net_int.h"
#include "sock.h"
#include "tls.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT_MS = 30000, READ_SIZE = 64 * 1024, PACKED_MAX = 1024 * 1024 };

struct ph_conn {
    const struct ph_proto_ops *ops;
    void *engine;
    struct ph_tls_ctx *ctx;
    struct ph_tls *tls;
    struct ph_conn_info info;
    struct ph_transcript transcript;
    struct ph_buf stash; /* what the engine did not take yet */
    struct ph__deflate *deflate;
    struct ph_buf packed;   /* deflated, not yet sent */
    struct ph_buf unpacked; /* received, not yet inflated */
    int64_t connect_ms, begun;
    int fd;
    bool eof, heard, plaintext, certificate;
    char host[256];
    char buf[READ_SIZE];
};

/* ---- the transcript ------------------------------------------------------------------------ */

void ph__conn_tell(struct ph_conn *c, char who, ph_str line)
{
    const struct ph_transcript *t = &c->transcript;
    if (t->line && t->level >= (who == '*' ? 2 : 1))
        t->line(t->ctx, ph_conn_now() - c->begun, who, line);
}

static void note(void *ctx, const char *fmt, ...) PH_PRINTF(2, 3);
static void note(void *ctx, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ph__conn_tell(ctx, '*', ph_str_c(text));
}

ph_str ph__conn_host(const struct ph_conn *c)
{
    return ph_str_c(c->host);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void describe_tls(struct ph_conn *c)
{
    struct ph_tls_info i;
    ph_tls_describe(c->tls, &i);
    snprintf(c->info.tls, sizeof c->info.tls, "%s %s", i.version, i.cipher);
    memcpy(c->info.why, i.why, sizeof c->info.why);
    memcpy(c->info.subject, i.peer, sizeof c->info.subject);
    memcpy(c->info.binding, i.binding, sizeof c->info.binding);
    c->info.binding_n = i.binding_n;
    c->info.binding_type = i.binding_unique ? PH_SASL_TLS_UNIQUE : PH_SASL_TLS_EXPORTER;
    c->info.verified = i.verified;
    note(c, "%s, %s%s", c->info.tls,
         i.verified ? "certificate verified: " : "not verified: ", i.verified ? i.peer : i.why);
}

static int handshake(struct ph_conn *c, struct ph_error *reterr)
{
    int64_t until = ph_conn_now() + c->connect_ms;
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
        if (!ph__wait_fd(c->fd, want, until))
            return ph_fail(reterr, PH_ETIMEOUT, 0,
                           "%s did not finish the TLS handshake within %lld ms", c->info.peer,
                           (long long)c->connect_ms);
    }
    describe_tls(c);
    return 0;
}

static int prepare_tls(struct ph_conn *c, const struct ph_account *a, struct ph_error *reterr)
{
    c->ctx = ph_tls_client_ctx(a->insecure ? PH_TLS_VERIFY_NONE : PH_TLS_VERIFY_FULL, a->ca_file,
                               reterr);
    if (!c->ctx)
        return -PH_ETLS;
    c->certificate = a->cert_pem.n > 0;
    return c->certificate ? ph_tls_client_cert(c->ctx, a->cert_pem, a->key_pem, reterr) : 0;
}

static int dial(struct ph_conn *c, const struct ph_account *a, enum ph_stage *ret_stage,
                struct ph_error *reterr)
{
    struct ph_addr local = {.len = sizeof local.sa};
    const struct ph__dial d = {.host = c->host,
                               .port = a->port,
                               .proxy = a->proxy,
                               .timeout_ms = c->connect_ms,
                               .note = note,
                               .ctx = c,
                               .peer = c->info.peer,
                               .loopback = &c->info.loopback};
    c->fd = ph__dial(&d, ret_stage, reterr);
    if (c->fd < 0)
        return c->fd;
    if (getsockname(c->fd, (struct sockaddr *)&local.sa, &local.len) == 0)
        ph_addr_ip(&local, c->info.local, sizeof c->info.local);
    note(c, "connected to %s", c->info.peer);
    return 0;
}

static int open_stages(struct ph_conn *c, const struct ph_account *a, enum ph_stage *ret_stage,
                       struct ph_error *reterr)
{
    *ret_stage = PH_STAGE_FIND;
    if (a->host.n == 0 || a->host.n >= sizeof c->host || ph_str_chr(a->host, '\0') != PH_NPOS)
        return ph_fail(reterr, PH_EINVAL, 0, "no server was named");
    memcpy(c->host, a->host.p, a->host.n);
    *ret_stage = PH_STAGE_TLS;
    int rc = a->tls != PH_TLS_OFF ? prepare_tls(c, a, reterr) : 0;
    if (rc == 0)
        rc = dial(c, a, ret_stage, reterr);
    if (rc < 0 || a->tls != PH_TLS_ON)
        return rc;
    *ret_stage = PH_STAGE_TLS;
    return handshake(c, reterr);
}

int ph_conn_open(const struct ph_account *account, const struct ph_proto_ops *ops, void *engine,
                 struct ph_conn **ret_conn, struct ph_trouble *rett)
{
    struct ph_conn *c = calloc(1, sizeof *c);
    struct ph_error e = {0};
    enum ph_stage stage = PH_STAGE_NONE;
    if (!c) {
        ph_fail(&e, PH_ENOMEM, 0, "out of memory");
        return ph__trouble(rett, account->host, stage, &e);
    }
    *c = (struct ph_conn){.ops = ops,
                          .engine = engine,
                          .fd = -1,
                          .transcript = account->transcript,
                          .plaintext = account->plaintext,
                          .begun = ph_conn_now(),
                          .connect_ms = account->connect_ms ? account->connect_ms : CONNECT_MS};
    ph_buf_init(&c->stash, NULL, READ_SIZE);
    ph_buf_init(&c->packed, NULL, PACKED_MAX);
    ph_buf_init(&c->unpacked, NULL, 8 * READ_SIZE);
    if (open_stages(c, account, &stage, &e) < 0) {
        ph_conn_close(c);
        return ph__trouble(rett, account->host, stage, &e);
    }
    ops->tick(engine, ph_conn_now());
    *ret_conn = c;
    return 0;
}

int ph_conn_compress(struct ph_conn *c, ph_str unread)
{
    if (c->deflate)
        return -PH_EORDER;
    c->deflate = ph__deflate_new(false);
    c->info.compressed = c->deflate != NULL;
    ph_buf_add(&c->unpacked, unread);
    ph_buf_add(&c->unpacked, ph_buf_str(&c->stash));
    ph_buf_clear(&c->stash);
    return c->deflate && !ph_buf_err(&c->unpacked) ? 0 : -PH_ENOMEM;
}

/* ---- bytes --------------------------------------------------------------------------------- */

static int broke(struct ph_conn *c, struct ph_error *reterr)
{
    return ph_fail(reterr, PH_ECLOSED, errno, "the connection to %s broke: %s", c->info.peer,
                   strerror(errno));
}

static int64_t write_raw(struct ph_conn *c, ph_str out, unsigned *ret_want, struct ph_error *reterr)
{
    if (c->tls)
        return ph_tls_write(c->tls, out.p, out.n, ret_want, reterr);
    ssize_t n = send(c->fd, out.p, out.n, MSG_NOSIGNAL);
    *ret_want = PH_WRITE;
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? -PH_EAGAIN : broke(c, reterr);
}

static int64_t read_raw(struct ph_conn *c, char *to, size_t max, unsigned *ret_want,
                        struct ph_error *reterr)
{
    if (c->tls)
        return ph_tls_read(c->tls, to, max, ret_want, reterr);
    ssize_t n = recv(c->fd, to, max, 0);
    *ret_want = PH_READ;
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? -PH_EAGAIN : broke(c, reterr);
}

static int64_t write_some(struct ph_conn *c, ph_str out, unsigned *ret_want,
                          struct ph_error *reterr)
{
    if (!c->deflate)
        return write_raw(c, out, ret_want, reterr);
    int64_t n = 0;
    if (!c->packed.n) {
        n = (int64_t)ph_str_sub(out, 0, READ_SIZE).n;
        if (ph__deflate_put(c->deflate, ph_str_sub(out, 0, READ_SIZE), &c->packed) < 0)
            return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    }
    int64_t sent = write_raw(c, ph_buf_str(&c->packed), ret_want, reterr);
    if (sent > 0)
        ph_buf_drop(&c->packed, (size_t)sent);
    return sent < 0 && (sent != -PH_EAGAIN || n == 0) ? sent : n;
}

/* Inflates what is there; reads only when that gave nothing. */
static int64_t read_some(struct ph_conn *c, unsigned *ret_want, struct ph_error *reterr)
{
    if (!c->deflate)
        return read_raw(c, c->buf, sizeof c->buf, ret_want, reterr);
    for (;;) {
        ph_str in = ph_buf_str(&c->unpacked);
        int64_t n = ph__deflate_take(c->deflate, &in, c->buf, sizeof c->buf);
        ph_buf_drop(&c->unpacked, c->unpacked.n - in.n);
        if (n < 0)
            return ph_fail(reterr, (int)-n, 0, "%s sent what cannot be inflated", c->info.peer);
        char *to = n ? NULL : ph_buf_reserve(&c->unpacked, READ_SIZE / 2);
        if (!to)
            return n ? n : ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
        n = read_raw(c, to, READ_SIZE / 2, ret_want, reterr);
        if (n <= 0)
            return n;
        ph_buf_commit(&c->unpacked, (size_t)n);
    }
}

/* 1: something was sent; 0: there was nothing; -PH_EAGAIN: the socket is full. */
static int flush(struct ph_conn *c, unsigned *ret_want, struct ph_error *reterr)
{
    int moved = 0;
    for (;;) {
        ph_str out = c->ops->out(c->engine);
        if (out.n == 0 && c->packed.n == 0)
            return moved;
        int64_t n = write_some(c, out, ret_want, reterr);
        if (n < 0)
            return moved && n == -PH_EAGAIN ? moved : (int)n;
        if (n > 0)
            c->ops->sent(c->engine, (size_t)n);
        moved = 1;
    }
}

static int feed(struct ph_conn *c, ph_str in, struct ph_error *reterr)
{
    bool stashed = c->stash.n > 0;
    if (!c->heard && !c->tls && in.n > 1 && (in.p[0] == 0x15 || in.p[0] == 0x16) && in.p[1] == 3)
        return ph_fail(reterr, PH_ESYNTAX, 0, "%s answers in TLS where plain text was expected",
                       c->info.peer);
    c->heard = true;
    c->ops->tick(c->engine, ph_conn_now());
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
    c->ops->tick(c->engine, ph_conn_now());
    c->ops->feed_eof(c->engine);
    return PH_CONN_MOVED;
}

/* ---- driving ------------------------------------------------------------------------------- */

static int start_tls(struct ph_conn *c, struct ph_error *reterr)
{
    if (!c->ctx || c->stash.n)
        return ph_fail(reterr, PH_ETLS, 0,
                       c->ctx ? "plain text behind STARTTLS: somebody interferes"
                              : "TLS is switched off here");
    int rc = handshake(c, reterr);
    return rc < 0 ? rc : PH_CONN_SECURED;
}

/* Waits for the socket, for `extra` to be readable, or for a time. False: neither came. */
static bool wait_both(const struct ph_conn *c, unsigned want, int extra, int64_t until)
{
    if (extra < 0)
        return ph__wait_fd(c->fd, want, until);
    struct pollfd p[2] = {{.fd = c->fd}, {.fd = extra, .events = POLLIN}};
    p[0].events = (short)((want & PH_READ ? POLLIN : 0) | (want & PH_WRITE ? POLLOUT : 0));
    int64_t left = until == PH_NEVER ? -1 : until - ph_conn_now();
    if (until != PH_NEVER && left < 0)
        left = 0;
    (void)poll(p, 2, left > INT32_MAX ? INT32_MAX : (int)left);
    return p[0].revents != 0; /* when `extra` is readable: as if the time had come */
}

int ph_conn_step_until(struct ph_conn *c, int64_t until, int fd, struct ph_error *reterr)
{
    for (;;) {
        unsigned wait_write = 0, wait_read = 0;
        c->ops->tick(c->engine, ph_conn_now());
        int rc = flush(c, &wait_write, reterr);
        if (rc < 0 && rc != -PH_EAGAIN)
            return rc;
        if (rc == 1)
            return PH_CONN_MOVED;
        unsigned want = c->ops->want(c->engine);
        if (rc == 0 && (want & PH_WANT_TLS) && !c->tls)
            return start_tls(c, reterr);
        if ((rc == 0 && (want & PH_WANT_CLOSE)) || c->eof)
            return PH_CONN_DONE;
        if (want & PH_WANT_READ) {
            int got = take(c, &wait_read, reterr);
            if (got != -PH_EAGAIN)
                return got;
        }
        int64_t at = c->ops->deadline(c->engine);
        if (wait_both(c, wait_write | wait_read, fd, at < until ? at : until))
            continue;
        c->ops->tick(c->engine, ph_conn_now());
        return PH_CONN_MOVED;
    }
}

int ph_conn_step(struct ph_conn *c, struct ph_error *reterr)
{
    return ph_conn_step_until(c, PH_NEVER, -1, reterr);
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
    ph__deflate_free(c->deflate);
    ph_buf_done(&c->stash);
    ph_buf_done(&c->packed);
    ph_buf_done(&c->unpacked);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
    return NULL;
}

const struct ph_conn_info *ph_conn_info(const struct ph_conn *c)
{
    return &c->info;
}

/* ---- logging in ---------------------------------------------------------------------------- */

int ph_conn_may_login(const struct ph_conn *c, struct ph_error *reterr)
{
    if (c->tls || c->info.loopback || c->plaintext)
        return 0;
    return ph_fail(reterr, PH_EDENIED, 0,
                   "a password is not sent to %s without TLS; use STARTTLS or TLS", c->host);
}

void ph_conn_sasl(const struct ph_conn *c, const struct ph_account *a,
                  struct ph_sasl_login *ret_login)
{
    *ret_login = (struct ph_sasl_login){
        .user = a->user,
        .password = a->password,
        .token = a->token,
        .authzid = a->authzid,
        .allowed = a->mechanisms,
        .certificate = c->certificate && c->tls,
        .secure = ph_conn_may_login(c, NULL) == 0,
        .host = ph_str_c(c->host),
        .port = a->port,
        .channel = {c->info.binding_type, {(const char *)c->info.binding, c->info.binding_n}}};
}
