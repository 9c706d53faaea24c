/* Proxies: SOCKS5 (RFC 1928, 1929) and HTTP CONNECT (RFC 9110 9.3.6). The name of the mail server
 * is resolved there. */
#include "b64.h"
#include "loop.h"
#include "net_int.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { HEAD_MAX = 8192 };

/* ---- the address --------------------------------------------------------------------------- */

static bool copy(char *to, size_t max, ph_str from)
{
    if (from.n >= max || ph_str_chr(from, '\0') != PH_NPOS)
        return false;
    if (from.n)
        memcpy(to, from.p, from.n);
    to[from.n] = '\0';
    return true;
}

static int not_a_proxy(ph_str url, struct ph_error *reterr)
{
    size_t at = ph_str_rchr(url, '@'); /* no password in an error */
    ph_str shown = at == PH_NPOS ? url : ph_str_skip(url, at + 1);
    return ph_fail(reterr, PH_EINVAL, 0,
                   "\"%.*s\" is no proxy: write socks5://host:port or http://host:port",
                   PH_FMT(ph_str_sub(shown, 0, 80)));
}

int ph__proxy_parse(ph_str url, struct ph__proxy *ret_proxy, struct ph_error *reterr)
{
    struct ph__proxy p = {0};
    uint64_t port = 1080;
    ph_str rest;
    if (ph_str_has_iprefix(url, PH_STR("socks5://")))
        rest = ph_str_skip(url, 9), p.socks = true;
    else if (ph_str_has_iprefix(url, PH_STR("socks5h://")))
        rest = ph_str_skip(url, 10), p.socks = true;
    else if (ph_str_has_iprefix(url, PH_STR("http://")))
        rest = ph_str_skip(url, 7), port = 8080;
    else
        return not_a_proxy(url, reterr);
    if (ph_str_has_suffix(rest, PH_STR("/")))
        rest.n--;
    size_t at = ph_str_rchr(rest, '@');
    if (at != PH_NPOS) {
        ph_str both = ph_str_sub(rest, 0, at), user = {0};
        ph_str_token(&both, ':', &user);
        if (!copy(p.user, sizeof p.user, user) || !copy(p.password, sizeof p.password, both))
            return not_a_proxy(url, reterr);
        rest = ph_str_skip(rest, at + 1);
    }
    size_t colon = ph_str_rchr(rest, ':'), bracket = ph_str_rchr(rest, ']');
    if (colon != PH_NPOS && (bracket == PH_NPOS || colon > bracket)) {
        if (!ph_str_u64(ph_str_skip(rest, colon + 1), 65535, &port) || port == 0)
            return not_a_proxy(url, reterr);
        rest = ph_str_sub(rest, 0, colon);
    }
    if (rest.n > 2 && rest.p[0] == '[' && rest.p[rest.n - 1] == ']')
        rest = ph_str_sub(rest, 1, rest.n - 2);
    if (!rest.n || !copy(p.host, sizeof p.host, rest))
        return not_a_proxy(url, reterr);
    p.port = (unsigned)port;
    *ret_proxy = p;
    return 0;
}

/* ---- bytes --------------------------------------------------------------------------------- */

static int broke(struct ph_error *reterr)
{
    return ph_fail(reterr, PH_ECLOSED, errno, "the proxy hung up");
}

static int silent(struct ph_error *reterr)
{
    return ph_fail(reterr, PH_ETIMEOUT, ETIMEDOUT, "the proxy did not answer in time");
}

static int put(int fd, const void *p, size_t n, int64_t until, struct ph_error *reterr)
{
    const char *at = p;
    while (n) {
        ssize_t got = send(fd, at, n, MSG_NOSIGNAL);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return broke(reterr);
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        } else if (!ph__wait_fd(fd, PH_WRITE, until)) {
            return silent(reterr);
        }
    }
    return 0;
}

static int take(int fd, void *p, size_t n, int64_t until, struct ph_error *reterr)
{
    char *at = p;
    while (n) {
        ssize_t got = recv(fd, at, n, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return broke(reterr);
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        } else if (!ph__wait_fd(fd, PH_READ, until)) {
            return silent(reterr);
        }
    }
    return 0;
}

/* ---- SOCKS5 -------------------------------------------------------------------------------- */

/* RFC 1929. */
static int socks_login(const struct ph__proxy *p, int fd, int64_t until, struct ph_error *reterr)
{
    unsigned char line[3 + 255 + 255], answer[2];
    size_t u = strlen(p->user), w = strlen(p->password), n = 0;
    line[n++] = 1;
    line[n++] = (unsigned char)u;
    memcpy(line + n, p->user, u);
    n += u;
    line[n++] = (unsigned char)w;
    memcpy(line + n, p->password, w);
    n += w;
    int rc = put(fd, line, n, until, reterr);
    ph_wipe(line, sizeof line);
    if (rc == 0)
        rc = take(fd, answer, 2, until, reterr);
    if (rc == 0 && answer[1] != 0)
        rc = ph_fail(reterr, PH_EAUTH, 0, "the proxy refused the user \"%s\"", p->user);
    return rc;
}

static const char *socks_words(unsigned code)
{
    static const char *const words[] = {"",
                                        "it failed",
                                        "its rules do not allow it",
                                        "the network cannot be reached",
                                        "the host cannot be reached",
                                        "the connection was refused",
                                        "the way is too long",
                                        "it cannot connect",
                                        "it knows no such address"};
    return code < sizeof words / sizeof words[0] ? words[code] : "for a reason of its own";
}

static int socks_connect(const struct ph__proxy *p, int fd, const char *host, unsigned port,
                         int64_t until, struct ph_error *reterr)
{
    unsigned char hello[4] = {5, 1, 0}, answer[4], line[7 + 255], rest[256 + 2];
    size_t host_n = strlen(host), rest_n;
    if (p->user[0]) {
        hello[1] = 2;
        hello[3] = 2;
    }
    int rc = put(fd, hello, p->user[0] ? 4 : 3, until, reterr);
    if (rc == 0)
        rc = take(fd, answer, 2, until, reterr);
    if (rc < 0)
        return rc;
    if (answer[0] != 5)
        return ph_fail(reterr, PH_ESYNTAX, 0, "%s:%u is no SOCKS5 proxy", p->host, p->port);
    if (answer[1] == 2 && p->user[0])
        rc = socks_login(p, fd, until, reterr);
    else if (answer[1] != 0)
        return ph_fail(reterr, PH_EAUTH, 0, "the proxy wants a login");
    if (rc < 0)
        return rc;
    memcpy(line, (unsigned char[]){5, 1, 0, 3, (unsigned char)host_n}, 5);
    memcpy(line + 5, host, host_n);
    line[5 + host_n] = (unsigned char)(port >> 8);
    line[6 + host_n] = (unsigned char)port;
    rc = put(fd, line, 7 + host_n, until, reterr);
    if (rc == 0)
        rc = take(fd, answer, 4, until, reterr);
    if (rc == 0 && answer[1] != 0)
        return ph_fail(reterr, PH_EREFUSED, 0, "the proxy did not connect to %s:%u: %s", host, port,
                       socks_words(answer[1]));
    if (rc == 0 && answer[3] == 3)
        rc = take(fd, rest, 1, until, reterr);
    rest_n = answer[3] == 1 ? 4 : answer[3] == 4 ? 16 : rest[0];
    return rc < 0 ? rc : take(fd, rest, rest_n + 2, until, reterr);
}

/* ---- HTTP ---------------------------------------------------------------------------------- */

/* The head of the answer, octet by octet: what follows it is the mail server's. */
static int http_answer(int fd, struct ph_buf *head, int64_t until, struct ph_error *reterr)
{
    do {
        char *at = ph_buf_reserve(head, 1);
        if (!at)
            return ph_fail(reterr, PH_ESYNTAX, 0, "the proxy's answer is too long");
        int rc = take(fd, at, 1, until, reterr);
        if (rc < 0)
            return rc;
        ph_buf_commit(head, 1);
    } while (!ph_str_has_suffix(ph_buf_str(head), PH_STR("\r\n\r\n")));
    return 0;
}

static int http_connect(const struct ph__proxy *p, int fd, const char *host, unsigned port,
                        int64_t until, struct ph_error *reterr)
{
    struct ph_buf b, login;
    ph_buf_init(&b, NULL, HEAD_MAX);
    ph_buf_init(&login, NULL, 1024);
    char target[300];
    snprintf(target, sizeof target, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    ph_buf_addf(&b, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", target, target);
    if (p->user[0]) {
        ph_buf_addf(&login, "%s:%s", p->user, p->password);
        ph_buf_add(&b, PH_STR("Proxy-Authorization: Basic "));
        ph_b64_encode(&b, ph_buf_str(&login));
        ph_buf_add(&b, PH_STR("\r\n"));
        ph_wipe(login.p, login.cap);
    }
    ph_buf_add(&b, PH_STR("\r\n"));
    int rc = ph_buf_err(&b) ? ph_fail(reterr, PH_ENOMEM, 0, "out of memory")
                            : put(fd, b.p, b.n, until, reterr);
    if (b.p)
        ph_wipe(b.p, b.cap);
    ph_buf_clear(&b);
    if (rc == 0)
        rc = http_answer(fd, &b, until, reterr);
    ph_str line = ph_buf_str(&b);
    uint64_t code = 0;
    line = ph_str_trim(ph_str_sub(line, 0, ph_str_chr(line, '\r')));
    if (rc == 0 && (!ph_str_has_prefix(line, PH_STR("HTTP/1.")) ||
                    !ph_str_u64(ph_str_sub(line, 9, 3), 999, &code)))
        rc = ph_fail(reterr, PH_ESYNTAX, 0, "%s:%u is no HTTP proxy", p->host, p->port);
    else if (rc == 0 && code / 100 != 2)
        rc = ph_fail(reterr, code == 407 ? PH_EAUTH : PH_EREFUSED, 0,
                     "the proxy did not connect to %s: %.*s", target,
                     PH_FMT(ph_str_sub(ph_str_skip(line, 9), 0, 80)));
    ph_buf_done(&b);
    ph_buf_done(&login);
    return rc;
}

int ph__proxy_connect(const struct ph__proxy *p, int fd, const char *host, unsigned port,
                      int64_t until, struct ph_error *reterr)
{
    return p->socks ? socks_connect(p, fd, host, port, until, reterr)
                    : http_connect(p, fd, host, port, until, reterr);
}
