/* PROXY headers: see proxy.h. */
#include "proxy.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum { V1_MOST = 107, V2_HEAD = 16, V2_TCP4 = 0x11, V2_TCP6 = 0x21 };

static const char v2_mark[12] = "\r\n\r\n\0\r\nQUIT\n";

/* "PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n" */
static int parse_v1(ph_str in, struct ph_addr *ret_addr, size_t *ret_n)
{
    size_t end = ph_str_find(ph_str_sub(in, 0, V1_MOST), PH_STR("\r\n"));
    ph_str line = ph_str_sub(in, 0, end), word[6];
    unsigned n = 0;
    uint64_t port;
    if (end == PH_NPOS)
        return in.n >= V1_MOST ? -PH_ESYNTAX : 0;
    *ret_n = end + 2;
    ret_addr->len = 0;
    while (n < 6 && ph_str_token(&line, ' ', &word[n]))
        n++;
    if (n >= 2 && ph_str_eq(word[1], PH_STR("UNKNOWN")))
        return 1;
    bool four = n >= 2 && ph_str_eq(word[1], PH_STR("TCP4"));
    if (n != 6 || line.n || (!four && !ph_str_eq(word[1], PH_STR("TCP6"))) ||
        four != (ph_str_chr(word[2], ':') == PH_NPOS) || !ph_str_u64(word[4], 65535, &port) ||
        ph_addr_make(word[2], (unsigned)port, ret_addr) < 0)
        return -PH_ESYNTAX;
    return 1;
}

static unsigned two(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static int parse_v2(ph_str in, struct ph_addr *ret_addr, size_t *ret_n)
{
    if (in.n < V2_HEAD)
        return 0;
    unsigned command = (unsigned char)in.p[12], family = (unsigned char)in.p[13];
    size_t length = two(in.p + 14), ip = family == V2_TCP6 ? 16 : 4;
    if ((command != 0x20 && command != 0x21) || V2_HEAD + length > PROXY_MOST)
        return -PH_ESYNTAX;
    if (in.n < V2_HEAD + length)
        return 0;
    *ret_n = V2_HEAD + length;
    *ret_addr = (struct ph_addr){.len = 0};
    if (command == 0x20 || (family != V2_TCP4 && family != V2_TCP6))
        return 1; /* its own, or from somewhere that has no address we know */
    if (length < 2 * ip + 4)
        return -PH_ESYNTAX;
    const char *p = in.p + V2_HEAD;
    char text[INET6_ADDRSTRLEN];
    inet_ntop(family == V2_TCP4 ? AF_INET : AF_INET6, p, text, sizeof text);
    return ph_addr_make(ph_str_c(text), two(p + 2 * ip), ret_addr) < 0 ? -PH_ESYNTAX : 1;
}

int proxy_parse(ph_str in, struct ph_addr *ret_addr, size_t *ret_n)
{
    static const char v1_mark[] = "PROXY ";
    size_t one = in.n < sizeof v1_mark - 1 ? in.n : sizeof v1_mark - 1,
           two_n = in.n < sizeof v2_mark ? in.n : sizeof v2_mark;
    if (memcmp(in.p, v1_mark, one) == 0)
        return one < sizeof v1_mark - 1 ? 0 : parse_v1(in, ret_addr, ret_n);
    if (memcmp(in.p, v2_mark, two_n) == 0)
        return two_n < sizeof v2_mark ? 0 : parse_v2(in, ret_addr, ret_n);
    return -PH_ESYNTAX;
}
