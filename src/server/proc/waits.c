/* Who waits for which answer: a hash table by request id; ids are counted, so that they spread by
 * themselves. */
#include "proc.h"

#include <string.h>

enum { FIRST_SLOTS = 64, FAIL_AT_ONCE = 1024 };

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

/* Its place, or `cap` when nobody waits for it. */
static size_t find(const struct proc_waits *w, uint64_t req)
{
    if (!req)
        return w->cap;
    size_t at = home(w, req);
    while (w->slots[at].req && w->slots[at].req != req)
        at = (at + 1) & (w->cap - 1);
    return w->slots[at].req ? at : w->cap;
}

void *proc_waited(struct proc_waits *w, const struct ipc_chan *from, enum ipc_type answer,
                  uint64_t req)
{
    size_t at = find(w, req);
    if (at == w->cap || w->slots[at].role != ipc_chan_ends(from)->peer_role ||
        w->slots[at].answer != answer)
        return NULL;
    void *who = w->slots[at].who;
    drop(w, at);
    return who;
}

void proc_unwait(struct proc_waits *w, uint64_t req)
{
    size_t at = find(w, req);
    if (at < w->cap)
        drop(w, at);
}

void proc_wait_cancel(struct proc_waits *w, const void *who)
{
    for (size_t i = 0; i < w->cap; i++)
        while (w->slots[i].req && w->slots[i].who == who)
            drop(w, i);
}

/* Up to `most` requests to that role, of those made until `until`. */
static size_t collect(const struct proc_waits *w, int role, uint64_t until, uint64_t *ret_reqs,
                      size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < w->cap && n < most; i++) {
        const struct wait *one = &w->slots[i];
        if (one->req && one->role == role && one->req <= until)
            ret_reqs[n++] = one->req;
    }
    return n;
}

void proc_waits_fail(struct proc_waits *w, int role, void (*fn)(void *who, uint64_t req, void *ctx),
                     void *ctx)
{
    uint64_t until = w->last; /* fn may wait anew: those are not told */
    uint64_t reqs[FAIL_AT_ONCE];
    size_t n;
    /* By number, since fn may change the table. */
    while ((n = collect(w, role, until, reqs, FAIL_AT_ONCE)) > 0)
        for (size_t i = 0; i < n; i++) {
            size_t at = find(w, reqs[i]);
            if (at == w->cap)
                continue;
            void *who = w->slots[at].who;
            drop(w, at);
            fn(who, reqs[i], ctx);
        }
}

size_t proc_waits_count(const struct proc_waits *w)
{
    return w->used;
}
