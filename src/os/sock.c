#include "sock.h"
#include "file.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- addresses --------------------------------------------------------------------------- */

int ph_addr_make(ph_str ip, unsigned port, struct ph_addr *ret_addr)
{
    char text[INET6_ADDRSTRLEN];
    struct ph_addr a = {0};
    if (port > 65535 || ip.n == 0 || ip.n >= sizeof text || ph_str_chr(ip, '\0') != PH_NPOS)
        return -PH_EINVAL;
    memcpy(text, ip.p, ip.n);
    text[ip.n] = '\0';
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a.sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.sa;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        a.len = sizeof *v4;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        a.len = sizeof *v6;
    } else {
        return -PH_EINVAL;
    }
    *ret_addr = a;
    return 0;
}

int ph_addr_parse(ph_str text, struct ph_addr *ret_addr, struct ph_error *reterr)
{
    size_t colon = ph_str_rchr(text, ':');
    uint64_t port;
    if (colon == PH_NPOS || !ph_str_u64(ph_str_skip(text, colon + 1), 65535, &port))
        return ph_fail(reterr, PH_ESYNTAX, 0,
                       "\"%.*s\" has no port: write 127.0.0.1:2525, [::1]:2525 or *:2525",
                       PH_FMT(text));
    ph_str ip = ph_str_sub(text, 0, colon);
    if (ph_str_eq(ip, PH_STR("*")))
        ip = PH_STR("::");
    else if (ip.n > 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']')
        ip = ph_str_sub(ip, 1, ip.n - 2);
    else if (ph_str_chr(ip, ':') != PH_NPOS)
        return ph_fail(reterr, PH_ESYNTAX, 0,
                       "\"%.*s\": put an IPv6 address in brackets, [%.*s]:%u", PH_FMT(text),
                       PH_FMT(ip), (unsigned)port);
    if (ph_addr_make(ip, (unsigned)port, ret_addr) < 0)
        return ph_fail(reterr, PH_ESYNTAX, 0,
                       "\"%.*s\" is not an address: write 127.0.0.1:2525, [::1]:2525 or *:2525",
                       PH_FMT(text));
    return 0;
}

const char *ph_addr_ip(const struct ph_addr *a, char *buf, size_t n)
{
    const void *ip = NULL;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->sa;
    int family = a->sa.ss_family;
    if (family == AF_INET) {
        ip = &((const struct sockaddr_in *)&a->sa)->sin_addr;
    } else if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        /* A peer on a dual-stack socket is shown as what it is. */
        family = AF_INET;
        ip = &v6->sin6_addr.s6_addr[12];
    } else if (family == AF_INET6) {
        ip = &v6->sin6_addr;
    }
    if (!ip || !inet_ntop(family, ip, buf, (socklen_t)n))
        snprintf(buf, n, "%s", family == AF_UNIX ? "local" : "?");
    return buf;
}

unsigned ph_addr_port(const struct ph_addr *a)
{
    if (a->sa.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&a->sa)->sin_port);
    if (a->sa.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&a->sa)->sin6_port);
    return 0;
}

bool ph_addr_is_loopback(const struct ph_addr *a)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->sa;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->sa;
    if (a->sa.ss_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    if (a->sa.ss_family != AF_INET6)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return v6->sin6_addr.s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

bool ph_sock_is_loopback(int fd)
{
    struct ph_addr here = {.len = sizeof here.sa}, there = {.len = sizeof there.sa};
    return getsockname(fd, (struct sockaddr *)&here.sa, &here.len) == 0 &&
           getpeername(fd, (struct sockaddr *)&there.sa, &there.len) == 0 &&
           ph_addr_is_loopback(&here) && ph_addr_is_loopback(&there);
}

const char *ph_addr_text(const struct ph_addr *a, char *buf, size_t n)
{
    char ip[INET6_ADDRSTRLEN];
    ph_addr_ip(a, ip, sizeof ip);
    snprintf(buf, n, strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, ph_addr_port(a));
    return buf;
}

/* ---- sockets ----------------------------------------------------------------------------- */

static int fail_addr(struct ph_error *reterr, int sys, const char *did, const struct ph_addr *a,
                     const char *hint)
{
    char text[64];
    return ph_fail(reterr, ph_sys_code(sys), sys, "cannot %s %s: %s%s", did,
                   ph_addr_text(a, text, sizeof text), strerror(sys), hint);
}

static int stream(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void no_delay(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* unix sockets have none */
}

static bool is_any6(const struct ph_addr *a)
{
    return a->sa.ss_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&a->sa)->sin6_addr);
}

static int fail_listen(struct ph_error *reterr, int sys, const struct ph_addr *a)
{
    char ip[64];
    unsigned port = ph_addr_port(a);
    ph_addr_ip(a, ip, sizeof ip);
    if (sys == EADDRINUSE)
        return ph_fail(reterr, PH_EINUSE, sys,
                       "port %u on %s is in use by another program; stop it (ss -ltnp shows "
                       "which), or listen on another port",
                       port, ip);
    if (sys == EACCES)
        return ph_fail(reterr, PH_EDENIED, sys,
                       "port %u needs root or CAP_NET_BIND_SERVICE; use a port above 1023", port);
    if (sys == EADDRNOTAVAIL)
        return ph_fail(reterr, PH_EINVAL, sys, "%s is not an address of this machine", ip);
    return fail_addr(reterr, sys, "listen on", a, "");
}

int ph_listen(const struct ph_addr *a, int backlog, struct ph_error *reterr)
{
    struct ph_addr any4;
    int fd = stream(a->sa.ss_family);
    if (fd < 0 && errno == EAFNOSUPPORT && is_any6(a) &&
        ph_addr_make(PH_STR("0.0.0.0"), ph_addr_port(a), &any4) == 0)
        return ph_listen(&any4, backlog, reterr); /* a machine without IPv6 */
    if (fd < 0)
        return fail_listen(reterr, errno, a);
    int on = 1, only = !is_any6(a);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    no_delay(fd); /* what it accepts inherits it (tcp(7)) */
    if (a->sa.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    if (bind(fd, (const struct sockaddr *)&a->sa, a->len) < 0 || listen(fd, backlog) < 0) {
        int sys = errno;
        close(fd);
        return fail_listen(reterr, sys, a);
    }
    return fd;
}

int ph_accept(int fd, struct ph_addr *ret_peer)
{
    struct ph_addr a = {.len = sizeof a.sa};
    int got;
    do
        got = accept4(fd, (struct sockaddr *)&a.sa, &a.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            return -PH_ELIMIT;
        /* accept(2): errors of a connection that died while it waited are to be treated like
         * EAGAIN. */
        return -PH_EAGAIN;
    }
    if (ret_peer)
        *ret_peer = a;
    return got;
}

int ph_connect(const struct ph_addr *to, const struct ph_addr *from, struct ph_error *reterr)
{
    int fd = stream(to->sa.ss_family);
    if (fd < 0)
        return fail_addr(reterr, errno, "make a socket for", to, "");
    no_delay(fd);
    if (from && bind(fd, (const struct sockaddr *)&from->sa, from->len) < 0) {
        int sys = errno;
        close(fd);
        return fail_addr(reterr, sys, "connect from", from, "");
    }
    /* EINTR: connecting goes on, as with EINPROGRESS. */
    if (connect(fd, (const struct sockaddr *)&to->sa, to->len) == 0 || errno == EINPROGRESS ||
        errno == EINTR)
        return fd;
    int sys = errno;
    close(fd);
    return fail_addr(reterr, sys, "connect to", to, "");
}

int ph_connect_result(int fd, const struct ph_addr *to, struct ph_error *reterr)
{
    char text[64];
    int sys = 0;
    socklen_t n = sizeof sys;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &n) < 0)
        sys = errno;
    if (sys == 0)
        return 0;
    if (sys == ECONNREFUSED)
        return ph_fail(reterr, PH_EREFUSED, sys,
                       "connection to %s refused: nothing listens there; is the server running?",
                       ph_addr_text(to, text, sizeof text));
    return fail_addr(reterr, sys, "connect to", to,
                     sys == ETIMEDOUT ? " (no answer: a firewall?)" : "");
}

int ph_socketpair(int ret_fds[2])
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -ph_sys_code(errno);
    ret_fds[0] = fds[0];
    ret_fds[1] = fds[1];
    return 0;
}
