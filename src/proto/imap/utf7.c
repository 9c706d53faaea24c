/* Modified UTF-7 for mailbox names (RFC 3501 5.1.3): "&" begins base64 of UTF-16 with "," for "/",
 * "-" ends it. */
#include "imap_int.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int digit(char ch)
{
    if (ch >= 'A' && ch <= 'Z')
        return ch - 'A';
    if (ch >= 'a' && ch <= 'z')
        return ch - 'a' + 26;
    if (ch >= '0' && ch <= '9')
        return ch - '0' + 52;
    return ch == '+' ? 62 : ch == ',' ? 63 : -1;
}

static void put_utf8(struct ph_buf *out, uint32_t u)
{
    if (u < 0x80) {
        ph_buf_addc(out, (char)u);
        return;
    }
    if (u < 0x800) {
        ph_buf_addc(out, (char)(0xc0 | u >> 6));
    } else {
        if (u < 0x10000) {
            ph_buf_addc(out, (char)(0xe0 | u >> 12));
        } else {
            ph_buf_addc(out, (char)(0xf0 | u >> 18));
            ph_buf_addc(out, (char)(0x80 | (u >> 12 & 0x3f)));
        }
        ph_buf_addc(out, (char)(0x80 | (u >> 6 & 0x3f)));
    }
    ph_buf_addc(out, (char)(0x80 | (u & 0x3f)));
}

/* One UTF-16 unit; *high holds a first surrogate. Printable ASCII in base64 is not canonical. */
static bool unit(struct ph_buf *out, uint32_t u, uint32_t *high)
{
    if (*high) {
        if (u < 0xdc00 || u > 0xdfff)
            return false;
        put_utf8(out, 0x10000 + ((*high - 0xd800) << 10) + (u - 0xdc00));
        *high = 0;
        return true;
    }
    if (u >= 0xd800 && u <= 0xdbff) {
        *high = u;
        return true;
    }
    if ((u >= 0xdc00 && u <= 0xdfff) || (u >= 0x20 && u < 0x7f) || u == 0)
        return false;
    put_utf8(out, u);
    return true;
}

/* The base64 run that begins at *i, up to its "-". */
static bool shifted(ph_str wire, size_t *i, struct ph_buf *out)
{
    uint32_t bits = 0, high = 0;
    unsigned have = 0;
    for (; *i < wire.n && wire.p[*i] != '-'; ++*i) {
        int d = digit(wire.p[*i]);
        if (d < 0)
            return false;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 16) {
            have -= 16;
            if (!unit(out, bits >> have & 0xffff, &high))
                return false;
            bits &= (1u << have) - 1;
        }
    }
    return *i < wire.n && !high && have < 6 && bits == 0;
}

int ph_imap_utf7_decode(ph_str wire, struct ph_buf *out)
{
    size_t was = out->n;
    for (size_t i = 0; i < wire.n; i++) {
        unsigned char ch = (unsigned char)wire.p[i];
        bool ok = ch >= 0x20 && ch < 0x7f;
        if (ok && ch == '&') {
            i++;
            if (i < wire.n && wire.p[i] == '-')
                ph_buf_addc(out, '&');
            else /* a run right behind another could have been one run: not canonical, but harmless
                  */
                ok = shifted(wire, &i, out);
        } else if (ok) {
            ph_buf_addc(out, (char)ch);
        }
        if (!ok) {
            out->n = was;
            return -PH_ESYNTAX;
        }
    }
    return ph_buf_err(out);
}

/* One character of UTF-8; what is not UTF-8 gives U+FFFD and is one byte long. */
static uint32_t get_utf8(ph_str s, size_t *i)
{
    unsigned char ch = (unsigned char)s.p[(*i)++];
    if (ch < 0x80)
        return ch;
    unsigned more = ch >= 0xf0 && ch < 0xf5   ? 3
                    : ch >= 0xe0 && ch < 0xf0 ? 2
                    : ch >= 0xc2 && ch < 0xe0 ? 1
                                              : 0;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint32_t u = more ? ch & (0x3fu >> more) : 0xfffd;
    if (s.n - *i < more)
        return 0xfffd;
    for (unsigned k = 0; k < more; k++) {
        unsigned char next = (unsigned char)s.p[*i + k];
        if ((next & 0xc0) != 0x80)
            return 0xfffd;
        u = u << 6 | (next & 0x3f);
    }
    if (u < least[more] || u > 0x10ffff || (u >= 0xd800 && u <= 0xdfff))
        return 0xfffd;
    *i += more;
    return u;
}

struct encoder {
    struct ph_buf *out;
    uint32_t bits;
    unsigned have;
    bool open;
};

static void put_unit(struct encoder *e, uint32_t u)
{
    if (!e->open)
        ph_buf_addc(e->out, '&');
    e->open = true;
    e->bits = e->bits << 16 | u;
    for (e->have += 16; e->have >= 6; e->bits &= (1u << e->have) - 1) {
        e->have -= 6;
        ph_buf_addc(e->out, alphabet[e->bits >> e->have & 63]);
    }
}

static void close_run(struct encoder *e)
{
    if (!e->open)
        return;
    if (e->have)
        ph_buf_addc(e->out, alphabet[e->bits << (6 - e->have) & 63]);
    ph_buf_addc(e->out, '-');
    *e = (struct encoder){.out = e->out};
}

void ph_imap_utf7_encode(ph_str utf8, struct ph_buf *out)
{
    struct encoder e = {.out = out};
    for (size_t i = 0; i < utf8.n;) {
        uint32_t u = get_utf8(utf8, &i);
        if (u >= 0x20 && u < 0x7f) {
            close_run(&e);
            ph_buf_addc(out, (char)u);
            if (u == '&')
                ph_buf_addc(out, '-');
        } else if (u >= 0x10000) {
            put_unit(&e, 0xd800 + ((u - 0x10000) >> 10));
            put_unit(&e, 0xdc00 + ((u - 0x10000) & 0x3ff));
        } else {
            put_unit(&e, u);
        }
    }
    close_run(&e);
}
