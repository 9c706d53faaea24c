/* limits.c - what accounts may hold: few have limits of their own, the others share the default. */
#include "store_int.h"

#include <stdlib.h>

struct limit {
    uint64_t account; /* 0: empty */
    int64_t bytes, messages;
};

struct limits {
    pthread_mutex_t lock;
    struct limit *v; /* hashed, open addressing; at most half full */
    size_t n, cap;   /* cap: a power of two */
    struct store_limits common;
};

enum { CAP_FIRST = 64 };

struct limits *limits_new(void)
{
    struct limits *l = calloc(1, sizeof *l);
    if (l)
        pthread_mutex_init(&l->lock, NULL);
    return l;
}

struct limits *limits_free(struct limits *l)
{
    if (!l)
        return NULL;
    pthread_mutex_destroy(&l->lock);
    free(l->v);
    free(l);
    return NULL;
}

static struct limit *place(struct limit *v, size_t cap, uint64_t account)
{
    size_t i = (size_t)(account * 0x9e3779b97f4a7c15u >> 20) & (cap - 1);
    while (v[i].account && v[i].account != account)
        i = (i + 1) & (cap - 1);
    return &v[i];
}

static int grow(struct limits *l)
{
    size_t cap = l->cap ? 2 * l->cap : CAP_FIRST;
    struct limit *v = calloc(cap, sizeof *v);
    if (!v)
        return -PH_ENOMEM;
    for (size_t i = 0; i < l->cap; i++)
        if (l->v[i].account)
            *place(v, cap, l->v[i].account) = l->v[i];
    free(l->v);
    l->v = v;
    l->cap = cap;
    return 0;
}

void limits_default(struct limits *l, uint64_t bytes, uint64_t messages)
{
    pthread_mutex_lock(&l->lock);
    l->common = (struct store_limits){bytes, messages};
    pthread_mutex_unlock(&l->lock);
}

int limits_set(struct limits *l, uint64_t account, int64_t bytes, int64_t messages)
{
    pthread_mutex_lock(&l->lock);
    int r = 2 * (l->n + 1) > l->cap ? grow(l) : 0;
    if (r == 0 && account) {
        struct limit *at = place(l->v, l->cap, account);
        l->n += !at->account;
        *at = (struct limit){account, bytes, messages};
    }
    pthread_mutex_unlock(&l->lock);
    return r;
}

void limits_get(void *limits, uint64_t account, struct store_limits *ret)
{
    struct limits *l = limits;
    pthread_mutex_lock(&l->lock);
    *ret = l->common;
    struct limit *at = l->cap ? place(l->v, l->cap, account) : NULL;
    if (at && at->account && at->bytes >= 0)
        ret->bytes = (uint64_t)at->bytes;
    if (at && at->account && at->messages >= 0)
        ret->messages = (uint64_t)at->messages;
    pthread_mutex_unlock(&l->lock);
}
