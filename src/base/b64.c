/* Strict base64 for protocol values (RFC 4648 4). */
#include "b64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

void ph_b64_encode(struct ph_buf *out, ph_str in)
{
    for (size_t i = 0; i < in.n; i += 3) {
        size_t have = in.n - i < 3 ? in.n - i : 3;
        uint32_t v = (uint32_t)(uint8_t)in.p[i] << 16;
        if (have > 1)
            v |= (uint32_t)(uint8_t)in.p[i + 1] << 8;
        if (have > 2)
            v |= (uint8_t)in.p[i + 2];
        const char four[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63],
                              have > 1 ? alphabet[v >> 6 & 63] : '=',
                              have > 2 ? alphabet[v & 63] : '='};
        ph_buf_add(out, (ph_str){four, 4});
    }
}

/* Decodes one group of four with `pad` characters of padding; -1 when it is not canonical. */
static int decode_group(const char *in, int pad, char out[3])
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int d = i < 4 - pad ? value_of(in[i]) : 0;
        if (d < 0)
            return -1;
        v = v << 6 | (uint32_t)d;
    }
    if ((pad == 1 && (v & 0xff)) || (pad == 2 && (v & 0xffff)))
        return -1;
    out[0] = (char)(v >> 16);
    out[1] = (char)(v >> 8);
    out[2] = (char)v;
    return 3 - pad;
}

int ph_b64_decode(struct ph_buf *out, ph_str in)
{
    size_t start = out->n;
    if (in.n % 4)
        return -PH_ESYNTAX;
    for (size_t i = 0; i < in.n; i += 4) {
        bool last = i + 4 == in.n;
        int pad = last ? (in.p[i + 3] == '=') + (in.p[i + 3] == '=' && in.p[i + 2] == '=') : 0;
        char three[3];
        int n = decode_group(in.p + i, pad, three);
        if (n < 0) {
            out->n = start;
            return -PH_ESYNTAX;
        }
        ph_buf_add(out, (ph_str){three, (size_t)n});
    }
    return ph_buf_err(out);
}
