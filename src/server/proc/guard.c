/* Rates and bans: see guard.h. */
#include "guard.h"
#include "conf.h"
#include "hash.h"
#include "random.h"
#include <stdlib.h>

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };
enum limit {
#define L(what, scope, setting, window, reply) LIMIT_##setting,
#include "limits.def"
#undef L
    LIMIT_COUNT,
    BAN = LIMIT_COUNT /* and one for each scope: rows of the table that are no count */
};

static const struct {
    enum guard_what what;
    enum guard_scope scope;
    int64_t window;
    const char *reply;
} limits[LIMIT_COUNT] = {
#define L(what, scope, setting, window, reply) {GUARD_##what, GUARD_##scope, window, reply},
#include "limits.def"
#undef L
};

/* What leads to a ban when it is above its limit; the rest is just refused. */
static const bool bans[] = {[GUARD_ERROR] = true, [GUARD_LOGIN] = true};

struct row {
    uint64_t key;  /* 0: never used */
    int64_t until; /* a count: when it is empty; a ban: its end. Microseconds of the loop's clock */
    int64_t length; /* a ban: how long it was */
};

struct guard {
    struct ph_hash_key key; /* strangers can not choose names that share a set */
    int64_t most[LIMIT_COUNT];
    int64_t ban_time, ban_most;
    struct row rows[GUARD_ROWS];
};

struct guard *guard_new(void)
{
    struct guard *g = calloc(1, sizeof *g);
    if (g)
        ph_random(&g->key, sizeof g->key);
    return g;
}

struct guard *guard_free(struct guard *g)
{
    free(g);
    return NULL;
}

void guard_settings(struct guard *g, const struct ph_conf *conf)
{
#define L(what, scope, setting, window, reply) g->most[LIMIT_##setting] = conf->setting;
#include "limits.def"
#undef L
    g->ban_time = conf->ban_time * 1000;
    g->ban_most = conf->ban_most * 1000;
}

/* ---- the table ---------------------------------------------------------------------------- */

static uint64_t key_of(const struct guard *g, unsigned limit, ph_str name)
{
    struct ph_hash_key key = {{g->key.half[0] ^ limit, g->key.half[1]}};
    uint64_t h = ph_hash(&key, name);
    return h ? h : 1;
}

static struct row *find(struct guard *g, uint64_t key)
{
    struct row *set = &g->rows[key % (GUARD_ROWS / GUARD_WAYS) * GUARD_WAYS];
    for (size_t i = 0; i < GUARD_WAYS; i++)
        if (set[i].key == key)
            return &set[i];
    return NULL;
}

static struct row *find_or_make(struct guard *g, uint64_t key)
{
    struct row *row = find(g, key), *set = &g->rows[key % (GUARD_ROWS / GUARD_WAYS) * GUARD_WAYS];
    if (row)
        return row;
    row = set;
    for (size_t i = 1; i < GUARD_WAYS; i++)
        if (set[i].until < row->until)
            row = &set[i];
    *row = (struct row){.key = key};
    return row;
}

/* ---- counts ------------------------------------------------------------------------------- */

static bool counts(const struct guard *g, unsigned i, enum guard_what what,
                   const struct guard_who *who)
{
    return limits[i].what == what && g->most[i] > 0 && who->name[limits[i].scope].n > 0;
}

/* When the count would be empty with `amount` more. */
static int64_t filled(const struct guard *g, unsigned i, const struct row *row, int64_t now,
                      uint64_t amount)
{
    int64_t from = row && row->until > now ? row->until : now;
    double more = (double)amount * (double)limits[i].window * 1000 / (double)g->most[i];
    double most = 1000.0 * (double)limits[i].window * 1000;
    return from + (int64_t)(more < most ? more : most);
}

const char *guard_take(struct guard *g, int64_t now_ms, enum guard_what what,
                       const struct guard_who *who, uint64_t amount)
{
    int64_t now = now_ms * 1000;
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if (!counts(g, i, what, who))
            continue;
        struct row *row = find(g, key_of(g, i, who->name[limits[i].scope]));
        if (filled(g, i, row, now, amount) - now > limits[i].window * 1000)
            return limits[i].reply;
    }
    (void)guard_note(g, now_ms, what, who, amount);
    return NULL;
}

/* ---- bans --------------------------------------------------------------------------------- */

static void ban(struct guard *g, int64_t now, enum guard_scope scope, ph_str name)
{
    struct row *row = find_or_make(g, key_of(g, BAN + scope, name));
    int64_t length = row->length > g->ban_most / 2 ? g->ban_most : 2 * row->length;
    if (row->length > 0) /* half for each length that they were good */
        for (int64_t idle = now - row->until; idle > row->length && length > 1; idle -= row->length)
            length /= 2;
    row->length = length < g->ban_time ? g->ban_time : length;
    row->until = now + row->length;
}

bool guard_note(struct guard *g, int64_t now_ms, enum guard_what what, const struct guard_who *who,
                uint64_t amount)
{
    int64_t now = now_ms * 1000;
    bool banned = false;
    for (unsigned i = 0; i < LIMIT_COUNT && amount; i++) {
        if (!counts(g, i, what, who))
            continue;
        struct row *row = find_or_make(g, key_of(g, i, who->name[limits[i].scope]));
        row->until = filled(g, i, row, now, amount);
        if (!bans[what] || row->until - now <= limits[i].window * 1000)
            continue;
        row->until = now; /* the next ban needs as many errors again */
        ban(g, now, limits[i].scope, who->name[limits[i].scope]);
        banned = g->ban_time > 0;
    }
    return banned;
}

void guard_ban(struct guard *g, int64_t now_ms, ph_str address, int64_t duration_ms)
{
    struct row *row = find_or_make(g, key_of(g, BAN + GUARD_ADDRESS, address));
    int64_t until = (now_ms + duration_ms) * 1000;
    if (until <= row->until)
        return;
    row->until = until;
    row->length = duration_ms * 1000 > row->length ? duration_ms * 1000 : row->length;
}

int64_t guard_banned(struct guard *g, int64_t now_ms, const struct guard_who *who)
{
    static const enum guard_scope scopes[] = {GUARD_ADDRESS, GUARD_ACCOUNT};
    int64_t longest = 0;
    for (size_t i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        ph_str name = who->name[scopes[i]];
        const struct row *row = name.n ? find(g, key_of(g, BAN + scopes[i], name)) : NULL;
        int64_t left = row ? row->until - now_ms * 1000 : 0;
        longest = left > longest ? left : longest;
    }
    return (longest + 999) / 1000;
}
