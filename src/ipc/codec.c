/* Fields to bytes and back, by table; and the frame around them. No state, no system call. */
#include "ipc_int.h"

#include <string.h>

static void put_uint(struct ph_buf *out, uint64_t v, size_t bytes)
{
    char b[8];
    for (size_t i = 0; i < bytes; i++, v >>= 8)
        b[i] = (char)(v & 0xff);
    ph_buf_add(out, (ph_str){b, bytes});
}

static uint64_t uint_at(const char *p, size_t bytes)
{
    uint64_t v = 0;
    while (bytes--)
        v = v << 8 | (unsigned char)p[bytes];
    return v;
}

static bool cut_uint(ph_str *in, size_t bytes, uint64_t *ret_v)
{
    if (in->n < bytes)
        return false;
    *ret_v = uint_at(in->p, bytes);
    *in = ph_str_skip(*in, bytes);
    return true;
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

static uint64_t number_of(const struct ipc__field *f, const char *at)
{
    uint8_t u8;
    uint32_t u32;
    uint64_t u64;
    switch (f->kind) {
    case IPC__u8:
        memcpy(&u8, at, sizeof u8);
        return u8;
    case IPC__u32:
        memcpy(&u32, at, sizeof u32);
        return u32;
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

int ipc__encode(struct ph_buf *out, struct ipc__fields fields, const void *values)
{
    size_t before = out->n;
    int r = ph_buf_err(out);
    if (r)
        return r;
    for (size_t i = 0; i < fields.n && !r; i++) {
        const struct ipc__field *f = &fields.v[i];
        const char *at = (const char *)values + f->offset;
        ph_str s = {0};
        if (is_bytes(f->kind))
            memcpy(&s, at, sizeof s);
        uint64_t v = is_bytes(f->kind) ? s.n : number_of(f, at);
        if (!fits(f, v))
            r = -PH_ELIMIT;
        else {
            put_uint(out, v, width(f->kind));
            ph_buf_add(out, s);
        }
    }
    if (!r)
        r = ph_buf_err(out);
    if (r) {
        out->n = before;
        out->err = 0;
    }
    return r;
}

int ipc__decode(ph_str *in, struct ipc__fields fields, void *ret_values)
{
    for (size_t i = 0; i < fields.n; i++) {
        const struct ipc__field *f = &fields.v[i];
        char *at = (char *)ret_values + f->offset;
        uint64_t v;
        if (!cut_uint(in, width(f->kind), &v) || !fits(f, v))
            return -PH_ESYNTAX;
        if (is_bytes(f->kind)) {
            if (v > in->n)
                return -PH_ESYNTAX;
            ph_str s = ph_str_sub(*in, 0, v);
            memcpy(at, &s, sizeof s);
            *in = ph_str_skip(*in, v);
        } else {
            set_number(f, at, v);
        }
    }
    return 0;
}

/* ---- frames ------------------------------------------------------------------------------ */

int ipc__frame_put(struct ph_buf *out, enum ipc_type type, const void *values, bool has_fd)
{
    size_t before = out->n;
    int r = ph_buf_err(out);
    if (r)
        return r;
    put_uint(out, 0, IPC__HEAD - 8);
    put_uint(out, 0, 8);
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
    for (size_t i = 0; i < 8; i++, head >>= 8)
        out->p[before + i] = (char)(head & 0xff);
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
    uint64_t rest = uint_at(in.p, 4);
    unsigned type = (unsigned)uint_at(in.p + 4, 2), flags = (unsigned)uint_at(in.p + 6, 2);
    int r = check_head(rest, type, flags, uint_at(in.p + 8, 8), ends, ret_why);
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
