/*
 * site.c - the servers that share limits: a site is the best MX host of a domain, or the server of
 * a transport, whatever domains it serves. It has so many connections at the same time, and so many
 * letters a minute. An attempt that finds no place waits where a session is about to leave; else it
 * goes back to the queue, which learns by it whose limits count for that domain and asks no more
 * than they allow.
 *
 *   a place: attempt (site_enter) -> its session -> gone: given back
 *               ^                        |
 *               +------- failed: for the next address
 */
#include "ascii.h"
#include "relay.h"

#include <stdio.h>
#include <string.h>

enum {
    SITES_SWEEP = 1000,    /* more of them: those without use are forgotten */
    REST_MS = 200,         /* until a place may be free */
    BURST_US = 5 * 1000000 /* what a rate gives at once after a pause */
};

static void sweep(struct relay *r, int64_t now)
{
    for (size_t i = 0; i < RELAY_SITE_BUCKETS; i++)
        for (struct site **at = &r->sites[i], *s; (s = *at);) {
            if (s->open || s->waiting || s->next > now) {
                at = &s->chain;
                continue;
            }
            *at = s->chain;
            r->sites_n--;
            ph_free(NULL, s, sizeof *s + s->name.n);
        }
}

static struct site *find(struct relay *r, ph_str name, int64_t now)
{
    struct site **bucket = &r->sites[ph_hash(&r->site_key, name) % RELAY_SITE_BUCKETS], *s;
    for (s = *bucket; s; s = s->chain)
        if (ph_str_eq(s->name, name))
            return s;
    if (r->sites_n >= r->sites_most) {
        sweep(r, now);
        r->sites_most = 2 * r->sites_n + SITES_SWEEP;
    }
    s = ph_new0(NULL, sizeof *s + name.n);
    if (!s)
        return NULL;
    memcpy(s + 1, name.p, name.n);
    s->name = (ph_str){(const char *)(s + 1), name.n};
    s->chain = *bucket;
    *bucket = s;
    r->sites_n++;
    return s;
}

/* ---- the name ---------------------------------------------------------------------------- */

static ph_str lower(struct ph_arena *a, ph_str text)
{
    ph_str copy = ph_arena_copy(a, text);
    for (size_t i = 0; copy.p && i < copy.n; i++)
        ((char *)copy.p)[i] = ph_lower(copy.p[i]);
    return copy;
}

/* Of several best MX hosts the first in the alphabet, so that it is always the same one. */
static ph_str best_host(const struct attempt *t)
{
    ph_str best = t->hosts[0].name;
    for (size_t i = 1; i < t->hosts_n && t->hosts[i].preference == t->hosts[0].preference; i++)
        if (ph_str_cmp(t->hosts[i].name, best) < 0)
            best = t->hosts[i].name;
    return best;
}

static ph_str site_name(struct attempt *t)
{
    const struct ph_transport *w = &t->way->t;
    char text[RELAY_SITE_NAME];
    if (!w->host.n)
        return lower(t->arena, best_host(t));
    snprintf(text, sizeof text, "%.*s:%u%s%.*s", (int)(w->host.n < 255 ? w->host.n : 255),
             w->host.p, w->port, w->user.n ? " " : "", (int)(w->user.n < 40 ? w->user.n : 40),
             w->user.p);
    return lower(t->arena, ph_str_c(text));
}

/* ---- limits ------------------------------------------------------------------------------ */

/* Milliseconds until this letter may go; 0: now, and it is counted. */
static uint32_t rate_wait(struct site *s, unsigned rate, int64_t now)
{
    int64_t each = rate ? 60 * INT64_C(1000000) / rate : 0,
            burst = BURST_US > each ? BURST_US : each;
    if (!each)
        return 0;
    if (s->next < now - burst || s->next > now + 60 * INT64_C(1000000)) /* or the clock jumped */
        s->next = now - burst;
    if (s->next > now)
        return (uint32_t)((s->next - now) / 1000 + 1);
    s->next += each;
    return 0;
}

bool site_paced(struct attempt *t, struct site *s)
{
    t->site_name = ph_arena_copy(t->arena, s->name);
    t->rest = rate_wait(s, t->way->t.rate, ph_wall_us());
    return !t->rest;
}

enum site_entry site_enter(struct attempt *t)
{
    int64_t now = ph_wall_us();
    t->site_name = site_name(t);
    struct site *s = t->site_name.p ? find(t->relay, t->site_name, now) : NULL;
    if (!s)
        return SITE_IN; /* no memory to count in: this one goes uncounted */
    bool full = s->open >= t->way->t.connections;
    if (full && s->waiting < s->leaving) {
        s->waiting++;
        t->waits_for = s;
        return SITE_WAITS;
    }
    t->rest = full ? REST_MS : rate_wait(s, t->way->t.rate, now);
    if (t->rest)
        return SITE_RESTS;
    s->open++;
    t->site = s;
    return SITE_IN;
}

bool site_has_place(const struct attempt *t)
{
    return !t->waits_for || t->waits_for->open < t->way->t.connections;
}

void site_wait_no_more(struct attempt *t)
{
    if (t->waits_for)
        t->waits_for->waiting--;
    t->waits_for = NULL;
}

struct site *site_leave(struct site *s)
{
    if (s)
        s->open--;
    return NULL;
}
