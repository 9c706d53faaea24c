/* Who waits for which answer: a hash table by request id; ids are counted, so that they spread by
 * themselves. */
#include "proc.h"

#include <string.h>

enum { FIRST_SLOTS = 64 };

struct wait {
    uint64_t req; /* 0: free */
    int role;
    enum ipc_type answer;
    void *who;
};

struct proc_waits {
    struct wait *slots; /* a power of two, linear probing, at most half full */
    size_t cap, used;
    uint64_t last;
};

static size_t home(const struct proc_waits *w, uint64_t req)
{
    return (size_t)req & (w->cap - 1);
}

struct proc_waits *proc_waits_new(void)
{
    struct proc_waits *w = ph_new0(NULL, sizeof *w);
    if (!w)
        return NULL;
    w->cap = FIRST_SLOTS;
    w->slots = ph_new0(NULL, w->cap * sizeof *w->slots);
    if (!w->slots) {
        ph_free(NULL, w, sizeof *w);
        return NULL;
    }
    return w;
}

struct proc_waits *proc_waits_free(struct proc_waits *w)
{
    if (w) {
        ph_free(NULL, w->slots, w->cap * sizeof *w->slots);
        ph_free(NULL, w, sizeof *w);
    }
    return NULL;
}

static void put(struct proc_waits *w, const struct wait *one)
{
    size_t at = home(w, one->req);
    while (w->slots[at].req)
        at = (at + 1) & (w->cap - 1);
    w->slots[at] = *one;
}

static bool grow(struct proc_waits *w)
{
    struct wait *old = w->slots;
    size_t cap = w->cap;
    struct wait *slots = ph_new0(NULL, 2 * cap * sizeof *slots);
    if (!slots)
        return false;
    w->slots = slots;
    w->cap = 2 * cap;
    for (size_t i = 0; i < cap; i++)
        if (old[i].req)
            put(w, &old[i]);
    ph_free(NULL, old, cap * sizeof *old);
    return true;
}

/* Closes the gap: whoever was pushed past it by probing moves back. */
static void drop(struct proc_waits *w, size_t at)
{
    size_t gap = at;
    w->used--;
    for (;;) {
        at = (at + 1) & (w->cap - 1);
        if (!w->slots[at].req)
            break;
        size_t pushed = (at - home(w, w->slots[at].req)) & (w->cap - 1);
        if (pushed >= ((at - gap) & (w->cap - 1))) {
            w->slots[gap] = w->slots[at];
            gap = at;
        }
    }
    w->slots[gap] = (struct wait){0};
}

uint64_t proc_wait(struct proc_waits *w, int role, enum ipc_type answer, void *who)
{
    if (w->used >= w->cap / 2 && !grow(w))
        return 0;
    struct wait one = {++w->last, role, answer, who};
    put(w, &one);
    w->used++;
    return one.req;
}

void *proc_waited(struct proc_waits *w, const struct ipc_chan *from, enum ipc_type answer,
                  uint64_t req)
{
    if (!req)
        return NULL;
    for (size_t at = home(w, req); w->slots[at].req; at = (at + 1) & (w->cap - 1)) {
        const struct wait *one = &w->slots[at];
        if (one->req != req)
            continue;
        if (one->role != ipc_chan_ends(from)->peer_role || one->answer != answer)
            return NULL;
        void *who = one->who;
        drop(w, at);
        return who;
    }
    return NULL;
}

void proc_unwait(struct proc_waits *w, uint64_t req)
{
    if (!req)
        return;
    for (size_t at = home(w, req); w->slots[at].req; at = (at + 1) & (w->cap - 1))
        if (w->slots[at].req == req) {
            drop(w, at);
            return;
        }
}

void proc_wait_cancel(struct proc_waits *w, const void *who)
{
    for (size_t i = 0; i < w->cap; i++)
        while (w->slots[i].req && w->slots[i].who == who)
            drop(w, i);
}

void proc_waits_fail(struct proc_waits *w, int role, void (*fn)(void *who, uint64_t req, void *ctx),
                     void *ctx)
{
    uint64_t until = w->last; /* fn may wait anew: those are not told */
    for (size_t i = 0; i < w->cap; i++) {
        struct wait one = w->slots[i];
        if (!one.req || one.role != role || one.req > until)
            continue;
        drop(w, i);
        fn(one.who, one.req, ctx);
        i = SIZE_MAX; /* the table may have changed: from the start, what is left gets less each
                         time */
    }
}

size_t proc_waits_count(const struct proc_waits *w)
{
    return w->used;
}
