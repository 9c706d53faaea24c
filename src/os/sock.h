/* sock.h - sockets and addresses; all non-blocking and O_CLOEXEC, TCP_NODELAY on streams. */
#ifndef PH_SOCK_H
#define PH_SOCK_H
#include <netinet/in.h>
#include <posthouse/base.h>
#include <sys/socket.h>

struct ph_addr {
    struct sockaddr_storage sa;
    socklen_t len;
};

/* "127.0.0.1:2525", "[::1]:25", "*:25" (both families are two addresses: any IPv6 with v4
 * mapped). */
PH_MUST_CHECK int ph_addr_parse(ph_str text, struct ph_addr *ret_addr, struct ph_error *reterr);
/* A literal address without port, and a port. */
PH_MUST_CHECK int ph_addr_make(ph_str ip, unsigned port, struct ph_addr *ret_addr);
/* "127.0.0.1:2525" / "[::1]:25"; _ip without port and brackets. buf of at least 64. Returns buf. */
const char *ph_addr_text(const struct ph_addr *a, char *buf, size_t n);
const char *ph_addr_ip(const struct ph_addr *a, char *buf, size_t n);
unsigned ph_addr_port(const struct ph_addr *a);
/* 127.0.0.0/8, ::1, and the former mapped into IPv6: it never leaves the machine. */
/* A network: "192.0.2.0/24", "2001:db8::/32", or one address. An IPv4 address seen through IPv6
 * (::ffff:192.0.2.1) is the IPv4 address. */
struct ph_ip_range {
    unsigned char ip[16]; /* IPv4 as ::ffff:... */
    unsigned bits;        /* that count, of 128 */
};
PH_MUST_CHECK int ph_ip_range_parse(ph_str text,
                                    struct ph_ip_range *ret_range); /* 0 or -PH_EINVAL */
bool ph_ip_range_has(const struct ph_ip_range *r, const struct ph_addr *a);
/* The range of that many bits (v4 of IPv4, v6 of IPv6) around an address, as text. */
const char *ph_ip_range_around(const struct ph_addr *a, unsigned v4, unsigned v6, char *buf,
                               size_t n);
bool ph_addr_is_loopback(const struct ph_addr *a);
/* Both ends of a connected socket are loopback addresses; false when that cannot be told. */
bool ph_sock_is_loopback(int fd);

/* Listening socket, SO_REUSEADDR. The error says "port 25 on 127.0.0.1 is in use by another
 * program; ..." and the like. */
PH_MUST_CHECK int ph_listen(const struct ph_addr *a, int backlog, struct ph_error *reterr);
/* >= 0 a connected socket; -PH_EAGAIN nothing to accept; -PH_ELIMIT out of descriptors. */
int ph_accept(int fd, struct ph_addr *ret_peer);
/* Starts connecting (from: source address or NULL); the fd becomes writable when done, then
 * ph_connect_result. */
PH_MUST_CHECK int ph_connect(const struct ph_addr *to, const struct ph_addr *from,
                             struct ph_error *reterr);
PH_MUST_CHECK int ph_connect_result(int fd, const struct ph_addr *to, struct ph_error *reterr);
int ph_socketpair(int ret_fds[2]);

#endif
