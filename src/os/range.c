/* Networks: an address and how many of its bits count. */
#include "sock.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { BITS = 128, V4 = 96 }; /* where IPv4 begins in ::ffff:192.0.2.1 */

static bool take(const struct ph_addr *a, unsigned char ret_ip[16])
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (a->sa.ss_family == AF_INET6) {
        memcpy(ret_ip, ((const struct sockaddr_in6 *)&a->sa)->sin6_addr.s6_addr, 16);
        return true;
    }
    if (a->sa.ss_family != AF_INET)
        return false;
    memcpy(ret_ip, mapped, sizeof mapped);
    memcpy(ret_ip + 12, &((const struct sockaddr_in *)&a->sa)->sin_addr, 4);
    return true;
}

static bool is_v4(const unsigned char ip[16])
{
    struct in6_addr v6;
    memcpy(v6.s6_addr, ip, 16);
    return IN6_IS_ADDR_V4MAPPED(&v6);
}

int ph_ip_range_parse(ph_str text, struct ph_ip_range *ret_range)
{
    struct ph_ip_range r = {.bits = BITS};
    struct ph_addr a;
    uint64_t bits;
    size_t slash = ph_str_chr(text, '/');
    if (ph_addr_make(ph_str_sub(text, 0, slash), 1, &a) < 0 || !take(&a, r.ip))
        return -PH_EINVAL;
    if (slash != PH_NPOS) {
        unsigned before = a.sa.ss_family == AF_INET ? V4 : 0;
        if (!ph_str_u64(ph_str_skip(text, slash + 1), BITS - before, &bits))
            return -PH_EINVAL;
        r.bits = before + (unsigned)bits;
    }
    *ret_range = r;
    return 0;
}

bool ph_ip_range_has(const struct ph_ip_range *r, const struct ph_addr *a)
{
    unsigned char ip[16];
    if (!take(a, ip))
        return false;
    for (unsigned i = 0; i < r->bits; i++)
        if ((ip[i / 8] ^ r->ip[i / 8]) >> (7 - i % 8) & 1)
            return false;
    return true;
}

const char *ph_ip_range_around(const struct ph_addr *a, unsigned v4, unsigned v6, char *buf,
                               size_t n)
{
    unsigned char ip[16];
    char text[INET6_ADDRSTRLEN];
    if (!take(a, ip)) {
        snprintf(buf, n, "local");
        return buf;
    }
    bool four = is_v4(ip);
    for (unsigned i = four ? V4 + v4 : v6; i < BITS; i++)
        ip[i / 8] &= (unsigned char)~(0x80u >> i % 8);
    inet_ntop(four ? AF_INET : AF_INET6, four ? ip + 12 : ip, text, sizeof text);
    snprintf(buf, n, "%s/%u", text, four ? v4 : v6);
    return buf;
}
