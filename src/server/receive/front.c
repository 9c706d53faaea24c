/* The front door: see front.h. Addresses are counted in a hash table whose rows live as long as
 * someone is inside. */
#include "front.h"
#include "conf.h"
#include "hash.h"
#include "id.h"
#include "loop.h"
#include "proxy.h"
#include "random.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

/* A connection of a balancer that has not yet said whom it is for. */
struct waiting {
    struct waiting *next, **at;
    struct front *front;
    struct ph_io *io;
    struct ph_timer *timer;
    struct ph_addr balancer;
    int service, fd;
    ssize_t seen; /* octets of the header, so far */
};

struct front {
    struct ph_loop *loop;
    void (*arrived)(void *ctx, const struct front_guest *g);
    void *ctx;
    struct door *doors;
    struct waiting *waiting;
    size_t waiting_n;
    struct ph_timer *pause;
    struct front_ticket *buckets[BUCKETS];
    struct ph_hash_key key; /* of the buckets */
    uint64_t last_id;
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
    ph_random(&f->key, sizeof f->key);
    f->pause = ph_timer_new(loop, on_pause, f);
    f->guard = guard_new();
    return f->pause && f->guard ? f : front_free(f);
}

/* Ends the wait; the descriptor stays open. */
static void stop_waiting(struct waiting *w)
{
    *w->at = w->next;
    if (w->next)
        w->next->at = w->at;
    w->front->waiting_n--;
    ph_io_free(w->io);
    ph_timer_free(w->timer);
    free(w);
}

static void give_up(void *ctx)
{
    struct waiting *w = ctx;
    close(w->fd);
    stop_waiting(w);
}

void front_close(struct front *f)
{
    while (f->waiting)
        give_up(f->waiting);
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

bool front_in(const struct ph_conf_list *ranges, const struct ph_addr *addr)
{
    struct ph_ip_range r;
    for (size_t i = 0; i < ranges->n; i++)
        if (ph_ip_range_parse(ranges->v[i], &r) == 0 && ph_ip_range_has(&r, addr))
            return true;
    return false;
}

/* Who holds one IPv6 address holds the /64 around it. */
static void describe(const struct front *f, struct front_guest *g)
{
    ph_ip_range_around(&g->addr, 32, 64, g->address, sizeof g->address);
    ph_ip_range_around(&g->addr, 24, 48, g->network, sizeof g->network);
    g->exempt = f->conf && front_in(&f->conf->limits_exempt, &g->addr);
}

static struct front_ticket *ticket_for(struct front *f, const char *ip)
{
    uint64_t key = ph_hash(&f->key, ph_str_c(ip));
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

/* A web mail or a balancer is one address for many users: who is exempt shares the room of all. */
static int64_t most_of(const struct front *f, const struct front_guest *g)
{
    return g->exempt ? f->most : f->most_per_address;
}

static enum front_room room(struct front *f, const struct front_ticket *t, struct front_guest *g)
{
    struct guard_who who = front_who(g);
    int64_t now = ph_loop_now(f->loop), left = guard_banned(f->guard, now, &who);
    if ((int64_t)f->inside >= f->most)
        return refuse(g, FRONT_FULL, "Too many connections, try again later");
    if ((int64_t)t->count >= most_of(f, g))
        return refuse(g, FRONT_FULL_FOR_ADDRESS, "Too many connections from your address");
    if (left) {
        snprintf(g->why, sizeof g->why, "Too many errors from your address, come again in %lld s",
                 (long long)(left + 999) / 1000);
        return FRONT_BANNED;
    }
    const char *why = guard_take(f->guard, now, GUARD_CONNECTION, &who, 1);
    return why ? refuse(g, FRONT_TOO_FAST, why) : FRONT_OK;
}

/* Fills in who it is and whether there is room for it; it is counted. False: not even the words why
 * can be said. */
static bool admit(struct front *f, struct front_guest *g, const struct ph_addr *addr)
{
    g->addr = *addr;
    ph_addr_ip(addr, g->ip, sizeof g->ip);
    ph_addr_text(addr, g->text, sizeof g->text);
    describe(f, g);
    g->ticket = ticket_for(f, g->address);
    if (!g->ticket)
        return false;
    g->room = room(f, g->ticket, g);
    f->refused += g->room != FRONT_OK;
    g->ticket->count++;
    f->inside++;
    return (int64_t)f->inside <= f->most + FRONT_REFUSED &&
           (int64_t)g->ticket->count <= most_of(f, g) + FRONT_REFUSED;
}

void front_move(struct front *f, struct front_guest *g, const struct ph_addr *addr)
{
    front_left(f, g->ticket);
    if (!admit(f, g, addr) && g->room == FRONT_OK)
        g->room = refuse(g, FRONT_FULL, "Too many connections, try again later");
}

static void come_in(struct front *f, int service, int fd, const struct ph_addr *addr)
{
    struct front_guest g = {.service = service, .fd = fd};
    f->total++;
    if (!admit(f, &g, addr)) {
        front_left(f, g.ticket);
        close(fd);
        return;
    }
    name_session(f, g.id);
    f->arrived(f->ctx, &g);
}

/* Looks without taking: what is behind the header belongs to the session, or to TLS. */
static void on_header(void *ctx, unsigned ready)
{
    struct waiting *w = ctx;
    struct front *f = w->front;
    struct ph_addr client;
    char head[PROXY_MOST];
    size_t n;
    (void)ready;
    ssize_t got = recv(w->fd, head, sizeof head, MSG_PEEK);
    if (got < 0)
        return;
    int r = got ? proxy_parse((ph_str){head, (size_t)got}, &client, &n) : -PH_ESYNTAX;
    /* Octets that have not been looked at: else we would spin. */
    int more = r == 0 ? (int)got + 1 : 1;
    (void)setsockopt(w->fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof more);
    bool grows = got > w->seen; /* else it was the end of the connection that woke us */
    w->seen = got;
    if (r == 0 && grows && (size_t)got < sizeof head)
        return;
    if (r <= 0 || recv(w->fd, head, n, 0) != (ssize_t)n) {
        give_up(w);
        return;
    }
    struct ph_addr from = client.len ? client : w->balancer;
    int service = w->service, fd = w->fd;
    stop_waiting(w);
    come_in(f, service, fd, &from);
}

static void await_header(struct front *f, int service, int fd, const struct ph_addr *balancer)
{
    struct waiting *w = f->waiting_n < PROXY_WAITING ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        close(fd);
        return;
    }
    *w = (struct waiting){.next = f->waiting,
                          .at = &f->waiting,
                          .front = f,
                          .balancer = *balancer,
                          .service = service,
                          .fd = fd};
    if (w->next)
        w->next->at = &w->next;
    f->waiting = w;
    f->waiting_n++;
    w->io = ph_io_new(f->loop, fd, PH_READ, on_header, w);
    w->timer = ph_timer_new(f->loop, give_up, w);
    if (w->io && w->timer)
        ph_timer_set(w->timer, PROXY_PATIENCE_MS);
    else
        give_up(w);
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
        if (f->conf && front_in(&f->conf->proxy_from, &addr))
            await_header(f, d->service, fd, &addr);
        else
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
