#include "rdata.h"
#include "ascii.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_TEXT = 255, LABEL_MAX = 63 };

static bool host_octet(unsigned char c)
{
    return ph_is_alnum(c) || c == '-' || c == '_';
}

bool rdata_name(ph_str wire, struct ph_buf *out)
{
    size_t start = out->n;
    while (wire.n && wire.p[0]) {
        size_t n = (unsigned char)wire.p[0];
        if (n > LABEL_MAX || n + 1 >= wire.n || out->n - start + n > NAME_MAX_TEXT)
            return false;
        if (out->n > start)
            ph_buf_addc(out, '.');
        for (size_t i = 1; i <= n; i++) {
            char c = wire.p[i];
            if (!host_octet((unsigned char)c))
                return false;
            ph_buf_addc(out, ph_lower(c));
        }
        wire = ph_str_skip(wire, n + 1);
    }
    if (out->n == start)
        ph_buf_addc(out, '.');
    return wire.n > 0;
}

static bool address(int family, ph_str wire, struct ph_buf *out)
{
    char text[INET6_ADDRSTRLEN];
    if (wire.n != (family == AF_INET ? 4 : 16) || !inet_ntop(family, wire.p, text, sizeof text))
        return false;
    ph_buf_add(out, ph_str_c(text));
    return true;
}

static bool strings(ph_str wire, struct ph_buf *out)
{
    while (wire.n) {
        size_t n = (unsigned char)wire.p[0];
        if (n >= wire.n)
            return false;
        ph_buf_add(out, ph_str_sub(wire, 1, n));
        wire = ph_str_skip(wire, n + 1);
    }
    return true;
}

static bool hex(ph_str wire, struct ph_buf *out)
{
    for (size_t i = 0; i < wire.n; i++)
        ph_buf_addf(out, "%02x", (unsigned char)wire.p[i]);
    return wire.n > 3;
}

bool rdata_text(int kind, ph_str wire, struct ph_buf *out, uint32_t *ret_preference)
{
    switch (kind) {
    case IPC_DNS_MX:
        if (wire.n < 3)
            return false;
        *ret_preference = (uint32_t)(unsigned char)wire.p[0] << 8 | (unsigned char)wire.p[1];
        return rdata_name(ph_str_skip(wire, 2), out);
    case IPC_DNS_A:
        return address(AF_INET, wire, out);
    case IPC_DNS_AAAA:
        return address(AF_INET6, wire, out);
    case IPC_DNS_TXT:
        return strings(wire, out);
    case IPC_DNS_PTR:
        return rdata_name(wire, out);
    case IPC_DNS_TLSA:
        return hex(wire, out);
    default:
        return false;
    }
}

struct answer {
    uint32_t preference;
    size_t at, n, order;
};

static int by_preference(const void *a, const void *b)
{
    const struct answer *x = a, *y = b;
    if (x->preference != y->preference)
        return x->preference < y->preference ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

void rdata_rows(int kind, char *const *data, const int *len, struct ph_buf *rows)
{
    struct answer answers[RDATA_ANSWERS];
    size_t n = 0;
    struct ph_buf text;
    ph_buf_init(&text, NULL, RDATA_ANSWERS * RDATA_TEXT);
    for (size_t i = 0; data && data[i] && n < RDATA_ANSWERS; i++) {
        struct answer a = {.at = text.n, .order = n};
        bool good = len[i] >= 0 &&
                    rdata_text(kind, (ph_str){data[i], (size_t)len[i]}, &text, &a.preference);
        a.n = text.n - a.at;
        if (good && a.n <= RDATA_TEXT && !ph_buf_err(&text))
            answers[n++] = a;
    }
    qsort(answers, n, sizeof *answers, by_preference);
    for (size_t i = 0; i < n; i++)
        ipc_add(answer, rows,
                &((struct ipc_answer){.preference = answers[i].preference,
                                      .data = {text.p + answers[i].at, answers[i].n}}));
    ph_buf_done(&text);
}

bool rdata_reverse(ph_str address_text, struct ph_buf *out)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char raw[16];
    if (address_text.n >= sizeof text)
        return false;
    memcpy(text, address_text.n ? address_text.p : "", address_text.n);
    text[address_text.n] = '\0';
    if (inet_pton(AF_INET, text, raw) == 1) {
        ph_buf_addf(out, "%u.%u.%u.%u.in-addr.arpa", raw[3], raw[2], raw[1], raw[0]);
        return true;
    }
    if (inet_pton(AF_INET6, text, raw) != 1)
        return false;
    for (int i = 15; i >= 0; i--)
        ph_buf_addf(out, "%x.%x.", raw[i] & 15, raw[i] >> 4);
    ph_buf_add(out, PH_STR("ip6.arpa"));
    return true;
}
