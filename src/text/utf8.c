/* UTF-8: runs of ASCII go eight bytes at a time, the rest one character at a time. */
#include "utf8.h"

#include <string.h>

static size_t ascii_run(ph_str s)
{
    size_t i = 0;
    for (uint64_t eight; i + 8 <= s.n; i += 8) {
        memcpy(&eight, s.p + i, 8);
        if (eight & 0x8080808080808080u)
            break;
    }
    while (i < s.n && !(s.p[i] & 0x80))
        i++;
    return i;
}

bool ph_ascii_only(ph_str s)
{
    return ascii_run(s) == s.n;
}

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t ph_utf8_step(ph_str s)
{
    if (s.n == 0)
        return 0;
    unsigned char a = (unsigned char)s.p[0];
    if (a < 0x80)
        return 1;
    if (a < 0xc2 || a > 0xf4 || s.n < 2 || !is_tail(s.p[1]))
        return 0;
    if (a < 0xe0)
        return 2;
    unsigned char b = (unsigned char)s.p[1];
    if (s.n < 3 || !is_tail(s.p[2]))
        return 0;
    if (a < 0xf0)
        return (a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f) ? 0 : 3;
    if (s.n < 4 || !is_tail(s.p[3]))
        return 0;
    return (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f) ? 0 : 4;
}

size_t ph_utf8_valid(ph_str s)
{
    size_t at = 0;
    while (at < s.n) {
        at += ascii_run(ph_str_skip(s, at));
        while (at < s.n && (s.p[at] & 0x80)) {
            size_t len = ph_utf8_step((ph_str){s.p + at, s.n - at});
            if (len == 0)
                return at;
            at += len;
        }
    }
    return at;
}

uint32_t ph_utf8_point(const char *p, size_t len)
{
    const unsigned char *u = (const unsigned char *)p;
    switch (len) {
    case 2:
        return (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu);
    case 3:
        return (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
    case 4:
        return (u[0] & 0x07u) << 18 | (u[1] & 0x3fu) << 12 | (u[2] & 0x3fu) << 6 | (u[3] & 0x3fu);
    default:
        return u[0];
    }
}

void ph_utf8_add(struct ph_buf *out, uint32_t c)
{
    char b[4];
    size_t n = 0;
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        c = 0xfffd;
    if (c < 0x80) {
        b[n++] = (char)c;
    } else if (c < 0x800) {
        b[n++] = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        b[n++] = (char)(0xe0 | c >> 12);
        b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        b[n++] = (char)(0xf0 | c >> 18);
        b[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        b[n++] = (char)(0x80 | (c & 0x3f));
    ph_buf_add(out, (ph_str){b, n});
}

size_t ph_utf8_add_repaired(struct ph_buf *out, ph_str s)
{
    size_t bad = 0;
    while (s.n) {
        size_t good = ph_utf8_valid(s);
        ph_buf_add(out, (ph_str){s.p, good});
        s = ph_str_skip(s, good);
        if (s.n) {
            ph_utf8_add(out, 0xfffd);
            bad++;
            s = ph_str_skip(s, 1);
        }
    }
    return bad;
}
