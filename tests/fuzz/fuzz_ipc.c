/*
 * ipc: whatever a peer sends. First byte: who we are, second: who it is; the rest is its stream.
 * Every frame that is taken must encode back to the same bytes, and rows are walked as every kind
 * of record.
 */
#include <assert.h>
#include <string.h>

#include "ipc_int.h"

static void walk(ph_str rows, enum ipc_row kind)
{
    union {
        uint64_t align;
        char bytes[1024];
    } row;
    size_t before = rows.n;
    while (ipc_row_next(&rows, kind, &row) > 0) {
        assert(rows.n < before);
        before = rows.n;
    }
}

static void walk_rows(const struct ipc_msg *msg)
{
    struct ipc__fields f = ipc__types[msg->type].fields();
    for (size_t i = 0; i < f.n; i++) {
        ph_str s;
        if (f.v[i].kind != IPC__rows)
            continue;
        memcpy(&s, (const char *)&msg->HELLO + f.v[i].offset, sizeof s);
        for (int kind = 0; kind < IPC_ROW_COUNT; kind++)
            walk(s, (enum ipc_row)kind);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct ipc_ends ends = {data[0] % ROLE_COUNT, data[1] % ROLE_COUNT, 0, 0};
    ph_str in = {(const char *)data + 2, size - 2};
    for (;;) {
        struct ipc_msg msg;
        bool fd = false;
        size_t whole = 0;
        const char *why = NULL;
        int64_t n = ipc__frame_get(in, &ends, &msg, &fd, &whole, &why);
        if (n <= 0) {
            assert(n < 0 ? why != NULL : whole > in.n && whole <= IPC_FRAME_MAX);
            return 0;
        }
        struct ph_buf again;
        ph_buf_init(&again, NULL, IPC_FRAME_MAX);
        int r = ipc__frame_put(&again, msg.type, &msg.HELLO, fd);
        assert(r == 0 && again.n == (size_t)n && !memcmp(again.p, in.p, again.n));
        ph_buf_done(&again);
        walk_rows(&msg);
        in = ph_str_skip(in, (size_t)n);
    }
}
