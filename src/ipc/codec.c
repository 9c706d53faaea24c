/* Fields to bytes and back, by table; and the frame around them. No state, no system call. */
#include "ipc_int.h"

#include <string.h>

/* Numbers are little-endian, octet by octet: what a compiler makes one load or store of. */
static char *put_u32(char *p, uint32_t v)
{
    p[0] = (char)v;
    p[1] = (char)(v >> 8);
    p[2] = (char)(v >> 16);
    p[3] = (char)(v >> 24);
    return p + 4;
}

static char *put_u64(char *p, uint64_t v)
{
    return put_u32(put_u32(p, (uint32_t)v), (uint32_t)(v >> 32));
}

static uint32_t u32_at(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static uint64_t u64_at(const char *p)
{
    return u32_at(p) | (uint64_t)u32_at(p + 4) << 32;
}

static bool is_bytes(int kind)
{
    return kind == IPC__str || kind == IPC__rows;
}

static size_t width(int kind)
{
    static const uint8_t widths[] = {[IPC__u8] = 1,  [IPC__u32] = 4, [IPC__u64] = 8,
                                     [IPC__i64] = 8, [IPC__str] = 4, [IPC__rows] = 4};
    return widths[kind];
}

/* Maxima hold for what is narrower than 64 bits. */
static bool fits(const struct ipc__field *f, uint64_t v)
{
    return f->kind == IPC__u64 || f->kind == IPC__i64 || v <= f->max;
}

/* A number, or the length of a string. */
static uint64_t number_of(const struct ipc__field *f, const char *at)
{
    uint8_t u8;
    uint32_t u32;
    uint64_t u64;
    ph_str s;
    switch (f->kind) {
    case IPC__u8:
        memcpy(&u8, at, sizeof u8);
        return u8;
    case IPC__u32:
        memcpy(&u32, at, sizeof u32);
        return u32;
    case IPC__str:
    case IPC__rows:
        memcpy(&s, at, sizeof s);
        return s.n;
    default:
        memcpy(&u64, at, sizeof u64);
        return u64;
    }
}

static void set_number(const struct ipc__field *f, char *at, uint64_t v)
{
    uint8_t u8 = (uint8_t)v;
    uint32_t u32 = (uint32_t)v;
    if (f->kind == IPC__u8)
        memcpy(at, &u8, sizeof u8);
    else if (f->kind == IPC__u32)
        memcpy(at, &u32, sizeof u32);
    else
        memcpy(at, &v, sizeof v);
}

/* The octets that the values take; -PH_ELIMIT: one is above its maximum. */
static int measure(struct ipc__fields fields, const char *values, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < fields.n; i++) {
        const struct ipc__field *f = &fields.v[i];
        uint64_t v = number_of(f, values + f->offset);
        if (!fits(f, v))
            return -PH_ELIMIT;
        n += width(f->kind) + (is_bytes(f->kind) ? (size_t)v : 0);
    }
    *ret_n = n;
    return 0;
}

static char *put_field(char *p, const struct ipc__field *f, const char *at)
{
    uint64_t v = number_of(f, at);
    ph_str s;
    switch (width(f->kind)) {
    case 1:
        *p++ = (char)v;
        break;
    case 4:
        p = put_u32(p, (uint32_t)v);
        break;
    default:
        p = put_u64(p, v);
    }
    if (!is_bytes(f->kind) || !v)
        return p;
    memcpy(&s, at, sizeof s);
    memcpy(p, s.p, s.n);
    return p + s.n;
}

int ipc__encode(struct ph_buf *out, struct ipc__fields fields, const void *values)
{
    size_t n;
    int r = ph_buf_err(out);
    if (!r)
        r = measure(fields, values, &n);
    if (r)
        return r;
    char *p = ph_buf_reserve(out, n);
    if (!p) {
        r = ph_buf_err(out);
        out->err = 0;
        return r;
    }
    for (size_t i = 0; i < fields.n; i++)
        p = put_field(p, &fields.v[i], (const char *)values + fields.v[i].offset);
    ph_buf_commit(out, n);
    return 0;
}

static uint64_t number_at(const char *p, size_t bytes)
{
    return bytes == 1 ? (unsigned char)*p : bytes == 4 ? u32_at(p) : u64_at(p);
}

int ipc__decode(ph_str *in, struct ipc__fields fields, void *ret_values)
{
    const char *p = in->p, *end = in->p + in->n;
    for (size_t i = 0; i < fields.n; i++) {
        const struct ipc__field *f = &fields.v[i];
        char *at = (char *)ret_values + f->offset;
        size_t bytes = width(f->kind);
        if ((size_t)(end - p) < bytes)
            return -PH_ESYNTAX;
        uint64_t v = number_at(p, bytes);
        p += bytes;
        if (!fits(f, v))
            return -PH_ESYNTAX;
        if (is_bytes(f->kind)) {
            if (v > (size_t)(end - p))
                return -PH_ESYNTAX;
            ph_str s = {p, (size_t)v};
            memcpy(at, &s, sizeof s);
            p += v;
        } else {
            set_number(f, at, v);
        }
    }
    *in = (ph_str){p, (size_t)(end - p)};
    return 0;
}

/* ---- frames ------------------------------------------------------------------------------ */

int ipc__frame_put(struct ph_buf *out, enum ipc_type type, const void *values, bool has_fd)
{
    static const char no_head[IPC__HEAD];
    size_t before = out->n;
    int r = ph_buf_err(out);
    if (r)
        return r;
    ph_buf_add(out, (ph_str){no_head, sizeof no_head});
    r = ipc__encode(out, ipc__types[type].fields(), values);
    if (!r && out->n - before > IPC_FRAME_MAX)
        r = -PH_ELIMIT;
    if (r) {
        out->n = before;
        out->err = 0;
        return r;
    }
    uint64_t rest = out->n - before - IPC__HEAD;
    uint64_t head = rest | (uint64_t)type << 32 | (uint64_t)(has_fd ? IPC__HAS_FD : 0) << 48;
    put_u64(out->p + before, head);
    return 0;
}

static int broken(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -PH_ESYNTAX;
}

/* What can be said by the head alone, before the rest is waited for. */
static int check_head(uint64_t rest, unsigned type, unsigned flags, uint64_t zero,
                      const struct ipc_ends *ends, const char **ret_why)
{
    if (rest > IPC_FRAME_MAX - IPC__HEAD)
        return broken(ret_why, "a frame is too large");
    if (type >= IPC_TYPE_COUNT)
        return broken(ret_why, "a message has an unknown type");
    if (!ipc_may_send((int)type, ends->peer_role, ends->self_role))
        return broken(ret_why, "a message is not one that this process may send here");
    if (zero || (flags & ~(unsigned)IPC__HAS_FD))
        return broken(ret_why, "the head of a frame has unknown bits");
    bool fd = flags & IPC__HAS_FD;
    if (fd ? ipc__types[type].fd == 0 : ipc__types[type].fd == 2)
        return broken(ret_why, fd ? "a descriptor came with a message that has none"
                                  : "a message lacks its descriptor");
    return 0;
}

int64_t ipc__frame_get(ph_str in, const struct ipc_ends *ends, struct ipc_msg *ret_msg,
                       bool *ret_fd, size_t *ret_whole, const char **ret_why)
{
    if (in.n < IPC__HEAD) {
        *ret_whole = IPC__HEAD;
        return 0;
    }
    uint64_t rest = u32_at(in.p);
    unsigned type = u32_at(in.p + 4) & 0xffff, flags = u32_at(in.p + 4) >> 16;
    int r = check_head(rest, type, flags, u64_at(in.p + 8), ends, ret_why);
    if (r < 0)
        return r;
    size_t whole = IPC__HEAD + (size_t)rest;
    if (in.n < whole) {
        *ret_whole = whole;
        return 0;
    }
    ph_str body = {in.p + IPC__HEAD, (size_t)rest};
    ret_msg->type = (enum ipc_type)type;
    ret_msg->fd = -1;
    r = ipc__decode(&body, ipc__types[type].fields(), &ret_msg->HELLO);
    if (r < 0)
        return broken(ret_why, "a field is cut short or above its maximum");
    if (body.n)
        return broken(ret_why, "bytes are left behind the last field");
    *ret_fd = flags & IPC__HAS_FD;
    return (int64_t)whole;
}

const char *ipc__hello_wrong(const struct ipc_HELLO *h, const struct ipc_ends *ends)
{
    if (h->hash != ipc_table_hash())
        return "it was built from another table of messages";
    if (h->role != ends->peer_role || h->instance != ends->peer_instance)
        return "it is not the process that it should be";
    return NULL;
}

/* ---- rows -------------------------------------------------------------------------------- */

void ipc_row_add(struct ph_buf *rows, enum ipc_row kind, const void *row)
{
    if (rows->err)
        return;
    int r = ipc__encode(rows, ipc__rows[kind].fields(), row);
    if (r)
        rows->err = r;
}

int ipc_row_next(ph_str *rows, enum ipc_row kind, void *ret_row)
{
    if (!rows->n)
        return 0;
    int r = ipc__decode(rows, ipc__rows[kind].fields(), ret_row);
    return r < 0 ? r : 1;
}
