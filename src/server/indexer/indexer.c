/*
 * indexer: the text of one letter at a time, for the index of the store. It parses what strangers
 * wrote, so it has nothing else: no file, no network, no other letter.
 *
 *   INDEX -> parse, decode, fold -> INDEXED
 */
#include "file.h"
#include "proc.h"
#include "search.h"

#include <stdlib.h>

enum { HEAD_MAX = 262144, BODY_MAX = 720896, ARENA_MAX = 256 * 1024 * 1024 };

struct indexer {
    struct ph_buf head, body;
    uint64_t read, too_large;
};

static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    (void)p;
    *ret = (struct ph_sandbox){.chroot = true};
}

static int setup(struct proc *p, struct ph_error *reterr)
{
    struct indexer *x = calloc(1, sizeof *x);
    p->charsets = ph_charset_preload(); /* their tables are files */
    p->state = x;
    if (!x || !p->charsets)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    ph_buf_init(&x->head, NULL, HEAD_MAX);
    ph_buf_init(&x->body, NULL, BODY_MAX);
    return 0;
}

static int read_text(struct indexer *x, ph_str message)
{
    struct ph_arena *arena = ph_arena_new(NULL, ARENA_MAX);
    int r = arena ? ph_search_text(arena, message, &x->head, &x->body) : -PH_ENOMEM;
    ph_arena_free(arena);
    return r;
}

static void on_index(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct indexer *x = p->state;
    const struct ipc_INDEX *m = &msg->INDEX;
    ph_str bytes = m->body;
    bool mapped = msg->fd >= 0;
    int r = mapped ? ph_memfile_map(msg->fd, m->size, &bytes) : 0;
    ph_buf_clear(&x->head);
    ph_buf_clear(&x->body);
    if (r == 0) {
        r = read_text(x, bytes);
        if (mapped)
            ph_unmap(bytes);
    }
    x->read += r == 0;
    x->too_large += r == -PH_ELIMIT;
    ph_str none = {0};
    ipc_send(from, INDEXED, -1, .req = m->req,
             .verdict = r == 0            ? IPC_OK
                        : r == -PH_ELIMIT ? IPC_LIMIT
                                          : IPC_INVALID,
             .head = r == 0 ? ph_buf_str(&x->head) : none,
             .body = r == 0 ? ph_buf_str(&x->body) : none);
}

static void stats(struct proc *p, struct ph_buf *rows)
{
    const struct indexer *x = p->state;
    const struct ipc_counter counters[] = {{PH_STR("letters_read"), x->read},
                                           {PH_STR("letters_too_large"), x->too_large}};
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        ipc_add(counter, rows, &counters[i]);
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {[IPC_INDEX] = on_index};

const struct proc_def proc_indexer = {
    .role = ROLE_INDEXER,
    .handlers = handlers,
    .setup = setup,
    .sandbox = sandbox,
    .stats = stats,
};
