/*
 * From a name to a connected socket.
 *
 *   addresses of both families in turn:  a6 --250 ms--> a4 --250 ms--> b6 ...
 *
 * The first that answers wins (RFC 8305).
 */
#include "loop.h"
#include "net_int.h"
#include "sock.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ADDRESSES = 16, NEXT_MS = 250 };

int64_t ph_conn_now(void)
{
    return ph_mono_us() / 1000;
}

bool ph__wait_fd(int fd, unsigned want, int64_t until)
{
    struct pollfd p = {.fd = fd};
    p.events = (short)((want & PH_READ ? POLLIN : 0) | (want & PH_WRITE ? POLLOUT : 0));
    for (;;) {
        int64_t left = until == PH_NEVER ? -1 : until - ph_conn_now();
        if (until != PH_NEVER && left <= 0)
            return false;
        int rc = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (rc > 0 || (rc < 0 && errno != EINTR))
            return true;
    }
}

/* The families in turn, the resolver's first choice first. */
static size_t in_turn(const struct addrinfo *all, struct ph_addr *out)
{
    const struct addrinfo *same = all, *other = all;
    int family = all->ai_family;
    size_t n = 0;
    for (bool first = true; n < ADDRESSES && (same || other); first = !first) {
        const struct addrinfo **at = first ? &same : &other;
        while (*at && ((*at)->ai_family == family) != first)
            *at = (*at)->ai_next;
        if (!*at)
            continue;
        out[n].len = (*at)->ai_addrlen;
        memcpy(&out[n++].sa, (*at)->ai_addr, (*at)->ai_addrlen);
        *at = (*at)->ai_next;
    }
    return n;
}

static int find(const char *host, unsigned port, struct ph_addr *out, struct ph_error *reterr)
{
    struct addrinfo *all = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char service[16];
    snprintf(service, sizeof service, "%u", port);
    int gai = getaddrinfo(host, service, &hints, &all);
    if (gai != 0)
        return ph_fail(reterr, gai == EAI_AGAIN ? PH_EAGAIN : PH_ENOENT, 0,
                       "cannot find the host \"%s\": %s", host, gai_strerror(gai));
    size_t n = in_turn(all, out);
    freeaddrinfo(all);
    return (int)n;
}

/* ---- racing -------------------------------------------------------------------------------- */

struct race {
    struct ph_addr to[ADDRESSES];
    struct pollfd fds[ADDRESSES]; /* of those started; fd < 0: given up */
    size_t count, started, running;
    struct ph_error why; /* of the last that failed */
};

static void lose(struct race *r, size_t i)
{
    close(r->fds[i].fd);
    r->fds[i].fd = -1;
    r->running--;
}

static void start_next(struct race *r, const struct ph__dial *d)
{
    char text[64];
    size_t i = r->started++;
    r->fds[i] = (struct pollfd){.fd = ph_connect(&r->to[i], NULL, &r->why), .events = POLLOUT};
    if (r->fds[i].fd >= 0)
        r->running++;
    else
        r->fds[i].fd = -1;
    d->note(d->ctx, "connecting to %s", ph_addr_text(&r->to[i], text, sizeof text));
}

/* The index of the first that is connected, or -1 when none is yet. */
static int winner(struct race *r, const struct ph__dial *d)
{
    for (size_t i = 0; i < r->started; i++) {
        if (r->fds[i].fd < 0 || !r->fds[i].revents)
            continue;
        if (ph_connect_result(r->fds[i].fd, &r->to[i], &r->why) == 0)
            return (int)i;
        d->note(d->ctx, "%s", r->why.text);
        lose(r, i);
    }
    return -1;
}

/* A socket to the first address that answers; *ret_to is it. */
static int run_race(struct race *r, const struct ph__dial *d, int64_t until, struct ph_addr *ret_to,
                    struct ph_error *reterr)
{
    int64_t next = 0;
    int won = -1;
    while (won < 0) {
        int64_t now = ph_conn_now();
        if (r->started < r->count && (r->running == 0 || now >= next)) {
            start_next(r, d);
            next = now + NEXT_MS;
            continue;
        }
        if (r->running == 0 || now >= until)
            break;
        int64_t wait = r->started < r->count && next < until ? next - now : until - now;
        (void)poll(r->fds, r->started, (int)wait);
        won = winner(r, d);
    }
    int fd = won >= 0 ? r->fds[won].fd : -1;
    for (size_t i = 0; i < r->started; i++)
        if (r->fds[i].fd >= 0 && (int)i != won)
            lose(r, i);
    if (won >= 0) {
        *ret_to = r->to[won];
        return fd;
    }
    if (ph_conn_now() >= until)
        return ph_fail(reterr, PH_ETIMEOUT, ETIMEDOUT, "%s, port %u, did not answer within %lld ms",
                       d->host, d->port, (long long)d->timeout_ms);
    if (r->count == 1)
        return *reterr = r->why, -r->why.code;
    return ph_fail(reterr, r->why.code, r->why.sys,
                   "none of the %zu addresses of %s took the connection; the last: %s", r->count,
                   d->host, r->why.text);
}

static int reach(const struct ph__dial *d, int64_t until, enum ph_stage *ret_stage,
                 struct ph_addr *ret_to, struct ph_error *reterr)
{
    struct race r = {0};
    int n = find(d->host, d->port, r.to, reterr);
    *ret_stage = PH_STAGE_FIND;
    if (n < 0)
        return n;
    *ret_stage = PH_STAGE_REACH;
    r.count = (size_t)n;
    return run_race(&r, d, until, ret_to, reterr);
}

static int through_proxy(const struct ph__dial *d, int64_t until, enum ph_stage *ret_stage,
                         struct ph_error *reterr)
{
    struct ph__proxy p;
    struct ph_addr to;
    *ret_stage = PH_STAGE_PROXY;
    int rc = ph__proxy_parse(d->proxy, &p, reterr);
    if (rc < 0)
        return rc;
    struct ph__dial hop = *d;
    hop.host = p.host;
    hop.port = p.port;
    enum ph_stage ignored;
    int fd = reach(&hop, until, &ignored, &to, reterr);
    if (fd >= 0) {
        d->note(d->ctx, "asking the proxy %s:%u for %s:%u", p.host, p.port, d->host, d->port);
        rc = ph__proxy_connect(&p, fd, d->host, d->port, until, reterr);
        if (rc < 0) {
            close(fd);
            fd = rc;
        }
    }
    ph_wipe(p.password, sizeof p.password);
    snprintf(d->peer, sizeof((struct ph_conn_info *)0)->peer, "%s:%u", d->host, d->port);
    *d->loopback = false; /* where it ends is not seen from here */
    return fd;
}

int ph__dial(const struct ph__dial *d, enum ph_stage *ret_stage, struct ph_error *reterr)
{
    int64_t until = ph_conn_now() + d->timeout_ms;
    struct ph_addr to;
    char ip[64];
    if (d->proxy.n)
        return through_proxy(d, until, ret_stage, reterr);
    int fd = reach(d, until, ret_stage, &to, reterr);
    if (fd < 0)
        return fd;
    ph_addr_ip(&to, ip, sizeof ip);
    if (strcmp(ip, d->host) == 0)
        ph_addr_text(&to, d->peer, sizeof((struct ph_conn_info *)0)->peer);
    else
        snprintf(d->peer, sizeof((struct ph_conn_info *)0)->peer, "%s [%s]:%u", d->host, ip,
                 ph_addr_port(&to));
    *d->loopback = ph_addr_is_loopback(&to);
    return fd;
}
