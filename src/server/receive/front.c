/* The front door: see front.h. Addresses are counted in a hash table whose rows live as long as
 * someone is inside. */
#include "front.h"
#include "conf.h"
#include "id.h"
#include "loop.h"
#include "random.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUCKETS = 1024 };

struct front_ticket {
    struct front_ticket *next;
    uint64_t key;
    unsigned count; /* inside from here, refused ones too */
    char ip[64];
};

struct door {
    struct door *next;
    struct front *front;
    struct ph_io *io;
    int service, fd;
};

struct front {
    struct ph_loop *loop;
    void (*arrived)(void *ctx, const struct front_guest *g);
    void *ctx;
    struct door *doors;
    struct ph_timer *pause;
    struct front_ticket *buckets[BUCKETS];
    uint64_t seed, last_id;
    unsigned instance;
    int64_t most, most_per_address;
    const struct ph_conf *conf;
    struct guard *guard;
    size_t inside;
    uint64_t total, refused;
};

static void open_doors(struct front *f, unsigned want)
{
    for (struct door *d = f->doors; d; d = d->next)
        ph_io_want(d->io, want);
}

static void on_pause(void *ctx)
{
    open_doors(ctx, PH_READ);
}

struct front *front_new(struct ph_loop *loop, unsigned instance,
                        void (*arrived)(void *ctx, const struct front_guest *g), void *ctx)
{
    struct front *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    *f = (struct front){.loop = loop,
                        .instance = instance,
                        .arrived = arrived,
                        .ctx = ctx,
                        .most = 1,
                        .most_per_address = 1};
    f->seed = ph_random_u64();
    f->pause = ph_timer_new(loop, on_pause, f);
    f->guard = guard_new();
    return f->pause && f->guard ? f : front_free(f);
}

void front_close(struct front *f)
{
    while (f->doors) {
        struct door *d = f->doors;
        f->doors = d->next;
        ph_io_free(d->io);
        close(d->fd);
        free(d);
    }
    ph_timer_off(f->pause);
}

struct front *front_free(struct front *f)
{
    if (!f)
        return NULL;
    front_close(f);
    ph_timer_free(f->pause);
    guard_free(f->guard);
    for (size_t i = 0; i < BUCKETS; i++)
        while (f->buckets[i]) {
            struct front_ticket *t = f->buckets[i];
            f->buckets[i] = t->next;
            free(t);
        }
    free(f);
    return NULL;
}

void front_settings(struct front *f, const struct ph_conf *conf)
{
    f->most = conf->max_connections;
    f->most_per_address = conf->max_connections_per_address;
    f->conf = conf;
    guard_settings(f->guard, conf);
}

struct guard *front_guard(struct front *f)
{
    return f->guard;
}

struct guard_who front_who(const struct front_guest *g)
{
    struct guard_who who = {0};
    if (!g->exempt) {
        who.name[GUARD_ADDRESS] = ph_str_c(g->address);
        who.name[GUARD_NETWORK] = ph_str_c(g->network);
    }
    return who;
}

/* ---- who is inside ------------------------------------------------------------------------ */

/* FNV-1a with a secret start: strangers can not choose addresses that collide. */
static uint64_t hash(const struct front *f, const char *ip)
{
    uint64_t h = f->seed;
    for (; *ip; ip++)
        h = (h ^ (unsigned char)*ip) * 0x100000001b3u;
    return h ^ h >> 29;
}

/* Who holds one IPv6 address holds the /64 around it. */
static void describe(const struct front *f, struct front_guest *g)
{
    struct ph_ip_range r;
    ph_ip_range_around(&g->addr, 32, 64, g->address, sizeof g->address);
    ph_ip_range_around(&g->addr, 24, 48, g->network, sizeof g->network);
    for (size_t i = 0; f->conf && i < f->conf->limits_exempt.n; i++)
        g->exempt |=
            ph_ip_range_parse(f->conf->limits_exempt.v[i], &r) == 0 && ph_ip_range_has(&r, &g->addr);
}

static struct front_ticket *ticket_for(struct front *f, const char *ip)
{
    uint64_t key = hash(f, ip);
    struct front_ticket **at = &f->buckets[key % BUCKETS], *t;
    for (t = *at; t; t = t->next)
        if (t->key == key && !strcmp(t->ip, ip))
            return t;
    t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->key = key;
    snprintf(t->ip, sizeof t->ip, "%s", ip);
    t->next = *at;
    return *at = t;
}

void front_left(struct front *f, struct front_ticket *t)
{
    if (!t)
        return;
    f->inside--;
    if (--t->count)
        return;
    struct front_ticket **at = &f->buckets[t->key % BUCKETS];
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    free(t);
}

size_t front_count(const struct front *f)
{
    return f->inside;
}

uint64_t front_total(const struct front *f)
{
    return f->total;
}

uint64_t front_refused(const struct front *f)
{
    return f->refused;
}

/* Microseconds since 1970, sixteen ids in each: they rise, and fit in the 55 bits of an id. */
static void name_session(struct front *f, char *ret_id)
{
    uint64_t id = (uint64_t)ph_wall_us() << 4 | (f->instance & 15);
    if (id <= f->last_id)
        id = f->last_id + 16;
    f->last_id = id;
    ph_id_text(id, ret_id);
}

/* ---- coming in ---------------------------------------------------------------------------- */

static enum front_room refuse(struct front_guest *g, enum front_room why, const char *text)
{
    snprintf(g->why, sizeof g->why, "%s", text);
    return why;
}

static enum front_room room(struct front *f, const struct front_ticket *t, struct front_guest *g)
{
    struct guard_who who = front_who(g);
    int64_t now = ph_loop_now(f->loop), left = guard_banned(f->guard, now, &who);
    if ((int64_t)f->inside >= f->most)
        return refuse(g, FRONT_FULL, "Too many connections, try again later");
    if ((int64_t)t->count >= f->most_per_address)
        return refuse(g, FRONT_FULL_FOR_ADDRESS, "Too many connections from your address");
    if (left) {
        snprintf(g->why, sizeof g->why, "Too many errors from your address, come again in %lld s",
                 (long long)(left + 999) / 1000);
        return FRONT_BANNED;
    }
    const char *why = guard_take(f->guard, now, GUARD_CONNECTION, &who, 1);
    return why ? refuse(g, FRONT_TOO_FAST, why) : FRONT_OK;
}

static void come_in(struct front *f, int service, int fd, const struct ph_addr *addr)
{
    struct front_guest g = {.service = service, .fd = fd, .addr = *addr};
    ph_addr_ip(addr, g.ip, sizeof g.ip);
    ph_addr_text(addr, g.text, sizeof g.text);
    describe(f, &g);
    struct front_ticket *t = ticket_for(f, g.address);
    f->total++;
    if (!t) {
        close(fd);
        return;
    }
    g.room = room(f, t, &g);
    g.ticket = t;
    f->refused += g.room != FRONT_OK;
    t->count++;
    f->inside++;
    if ((int64_t)f->inside > f->most + FRONT_REFUSED ||
        (int64_t)t->count > f->most_per_address + FRONT_REFUSED) {
        front_left(f, t);
        close(fd);
        return;
    }
    name_session(f, g.id);
    f->arrived(f->ctx, &g);
}

static void on_door(void *ctx, unsigned ready)
{
    struct door *d = ctx;
    struct front *f = d->front;
    (void)ready;
    for (int i = 0; i < FRONT_BATCH; i++) {
        struct ph_addr addr;
        int fd = ph_accept(d->fd, &addr);
        if (fd == -PH_ELIMIT) {
            open_doors(f, 0);
            ph_timer_set(f->pause, FRONT_PAUSE_MS);
        }
        if (fd < 0)
            return;
        come_in(f, d->service, fd, &addr);
    }
}

int front_listen(struct front *f, int service, int fd)
{
    struct door *d = calloc(1, sizeof *d);
    if (!d) {
        close(fd);
        return -PH_ENOMEM;
    }
    *d = (struct door){.next = f->doors, .front = f, .service = service, .fd = fd};
    d->io = ph_io_new(f->loop, fd, PH_READ, on_door, d);
    if (!d->io) {
        close(fd);
        free(d);
        return -PH_ENOMEM;
    }
    f->doors = d;
    return 0;
}
