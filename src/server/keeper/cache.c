/*
 * Answers by question, in slots: a question has one place, and the newest one has it. No list can
 * be made long by asking, and an answer of an older address book is not found.
 */
#include "hash.h"
#include "keeper_int.h"
#include "random.h"

#include <stdlib.h>
#include <string.h>

struct slot {
    uint64_t generation; /* 0: empty */
    uint32_t key_n, value_n;
    char *bytes; /* key, then value */
};

struct keeper_cache {
    struct ph_hash_key key; /* so that nobody can aim at a slot */
    struct slot slots[KEEPER_CACHE_SLOTS];
};

struct keeper_cache *keeper_cache_new(void)
{
    struct keeper_cache *c = calloc(1, sizeof *c);
    if (c)
        ph_random(&c->key, sizeof c->key);
    return c;
}

struct keeper_cache *keeper_cache_free(struct keeper_cache *c)
{
    if (c) {
        for (size_t i = 0; i < KEEPER_CACHE_SLOTS; i++)
            free(c->slots[i].bytes);
        free(c);
    }
    return NULL;
}

static size_t place(const struct keeper_cache *c, ph_str key)
{
    return (size_t)(ph_hash(&c->key, key) % KEEPER_CACHE_SLOTS);
}

bool keeper_cache_get(const struct keeper_cache *c, uint64_t generation, ph_str key,
                      ph_str *ret_value)
{
    const struct slot *s = &c->slots[place(c, key)];
    if (s->generation != generation || !ph_str_eq((ph_str){s->bytes, s->key_n}, key))
        return false;
    *ret_value = (ph_str){s->bytes + s->key_n, s->value_n};
    return true;
}

void keeper_cache_put(struct keeper_cache *c, uint64_t generation, ph_str key, ph_str value)
{
    struct slot *s = &c->slots[place(c, key)];
    if (key.n + value.n > KEEPER_CACHE_ENTRY)
        return;
    char *bytes = realloc(s->bytes, key.n + value.n + 1);
    if (!bytes)
        return; /* the slot keeps what it has */
    memcpy(bytes, key.p, key.n);
    if (value.n)
        memcpy(bytes + key.n, value.p, value.n);
    *s = (struct slot){generation, (uint32_t)key.n, (uint32_t)value.n, bytes};
}
