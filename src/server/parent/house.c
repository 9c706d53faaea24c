/*
 * All children together: starting, starting anew, reloading, stopping.
 *
 *   STARTING --every child READY--> SERVING --SIGTERM, SIGINT, stop--> STOPPING
 *      |                                                                ^    |
 *      +---- a child FAILED: its text, its exit code -------------------+    +--all stages--> exit
 *                                                                               ended
 *
 * Stopping goes in stages, so that whoever finishes work still finds those that it needs.
 */
#include "parent_int.h"

#include "cores.h"
#include "random.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
    AGAIN_FIRST_MS = 250, /* the wait before the second start in a row; the first is at once */
    AGAIN_MOST_MS = 30000,
    AGAIN_SERVED_MS = 1000, /* the longest wait of a process that had been ready */
    STABLE_MS = 60000,      /* after this a death counts as the first one again */
    STARTS_MOST = 5,        /* deaths of one child before all were ready once */
    DRAIN_MS = 10000,
    MX_MOST = 4, /* of those that nobody asked for by number; also in settings.def */
    ACCESS_MOST = 8,
    TICKETS_MS = 24 * 3600 * 1000 /* the life of a secret of session tickets */
};

static const unsigned stages[] = {
    IPC_BIT(ROLE_MX) | IPC_BIT(ROLE_ACCESS),      IPC_BIT(ROLE_RELAY),
    IPC_BIT(ROLE_QUEUE) | IPC_BIT(ROLE_RESOLVER), IPC_BIT(ROLE_STORE),
    IPC_BIT(ROLE_KEEPER) | IPC_BIT(ROLE_INDEXER),
};

enum { STAGES = sizeof stages / sizeof *stages };

struct child *house_find(struct parent *p, int role, unsigned instance)
{
    for (size_t i = 0; i < p->child_count; i++)
        if (p->children[i].role == role && p->children[i].instance == instance)
            return &p->children[i];
    return NULL;
}

static void add(struct parent *p, int role, int64_t count)
{
    for (unsigned i = 0; i < (unsigned)count && p->child_count < CHILDREN_MAX; i++) {
        struct child *c = &p->children[p->child_count++];
        *c = (struct child){.p = p, .role = role, .instance = i};
        ph_buf_init(&c->counters, NULL, COUNTERS_MAX);
    }
}

/* ---- session tickets ------------------------------------------------------------------------ */

/* A role's own: whoever breaks into what talks to strangers opens no user's session with it. */
static void new_tickets(struct parent *p)
{
    ph_random(p->tickets, sizeof p->tickets);
    if (p->ticket_timer)
        ph_timer_set(p->ticket_timer, TICKETS_MS);
}

static void on_tickets(void *ctx)
{
    struct parent *p = ctx;
    new_tickets(p);
    for (size_t i = 0; i < p->child_count; i++)
        if (p->children[i].chan && p->children[i].state != CHILD_DRAINING)
            child_send_tickets(&p->children[i]);
}

/* The inner ones first: by the time the network side listens, they are opening their databases
 * already. */
void house_start(struct parent *p)
{
    static const int single[] = {ROLE_KEEPER,   ROLE_STORE, ROLE_QUEUE,
                                 ROLE_RESOLVER, ROLE_RELAY, ROLE_INDEXER};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
        add(p, single[i], 1);
    add(p, ROLE_MX, p->conf->mx_processes ? p->conf->mx_processes : ph_cores_share(4, 1, MX_MOST));
    add(p, ROLE_ACCESS,
        p->conf->access_processes ? p->conf->access_processes : ph_cores_share(2, 1, ACCESS_MOST));
    p->ticket_timer = ph_timer_new(p->loop, on_tickets, p);
    new_tickets(p);
    for (size_t i = 0; i < p->child_count; i++)
        child_start(&p->children[i]);
}

void house_ready(struct parent *p)
{
    if (p->phase != STARTING)
        return;
    for (size_t i = 0; i < p->child_count; i++)
        if (p->children[i].state != CHILD_READY)
            return;
    p->phase = SERVING;
    ph_log(PH_LOG_INFO, (ph_str){0}, "ready", "data=%s processes=%zu took_ms=%lld", p->data,
           p->child_count, (long long)(ph_mono_us() / 1000 - p->started));
    data_ready(p);
}

static void kill_all(struct parent *p)
{
    for (size_t i = 0; i < p->child_count; i++)
        child_kill(&p->children[i]);
}

void house_failed(struct parent *p, struct child *c, int exit_code, ph_str text)
{
    if (p->phase != STARTING) {
        ph_log(PH_LOG_ERROR, (ph_str){0}, "child-failed", "child=%s why=%.*s",
               ipc_role_name(c->role), PH_FMT(text));
        child_kill(c);
        return;
    }
    fprintf(stderr, "posthouse: %s: %.*s (in %s)\n", ipc_role_name(c->role), PH_FMT(text), p->data);
    house_stop(p, exit_code ? exit_code : EX_SOFTWARE);
    kill_all(p);
}

/* ---- starting and joining anew -------------------------------------------------------------- */

/* lived: ms from the last attempt to its failure; most: the longest wait. */
static int64_t wait_before(unsigned *failures, int64_t lived, int64_t most)
{
    if (lived > STABLE_MS)
        *failures = 0;
    int64_t wait = *failures ? AGAIN_FIRST_MS : 0;
    for (unsigned i = 1; i < *failures && wait < most; i++)
        wait *= 2;
    ++*failures;
    return wait < most ? wait : most;
}

static void on_rejoin(void *ctx)
{
    struct child *c = ctx;
    unsigned lost = c->lost;
    c->lost = 0;
    c->joined = ph_mono_us() / 1000;
    for (int role = 0; role < ROLE_COUNT; role++) {
        struct child *other = lost & IPC_BIT(role) ? house_find(c->p, role, 0) : NULL;
        if (other)
            child_join(c, other);
    }
}

static void join_later(struct child *c, int role)
{
    bool waiting = c->lost;
    c->lost |= IPC_BIT(role);
    if (!c->rejoin)
        c->rejoin = ph_timer_new(c->p->loop, on_rejoin, c);
    if (!c->rejoin)
        child_kill(c); /* started anew it gets them all */
    else if (!waiting)
        ph_timer_set(c->rejoin,
                     wait_before(&c->rejoins, ph_mono_us() / 1000 - c->joined, AGAIN_MOST_MS));
}

/* A process that strangers talk to may be the liar: on its word nobody inside is ended, it only
 * gets a new channel; again and again, ever later. */
void house_broken(struct parent *p, struct child *by, int role, unsigned instance, ph_str why)
{
    static const unsigned outside =
        IPC_BIT(ROLE_MX) | IPC_BIT(ROLE_ACCESS) | IPC_BIT(ROLE_RELAY) | IPC_BIT(ROLE_RESOLVER);
    struct child *accused = house_find(p, role, instance);
    ph_log(PH_LOG_ERROR, (ph_str){0}, "peer-broken", "child=%s instance=%u by=%s why=%.*s",
           ipc_role_name(role), instance, ipc_role_name(by->role), PH_FMT(why));
    if (!accused || accused == by || !ipc_may_talk(by->role, role))
        return;
    if ((outside & IPC_BIT(by->role)) && !(outside & IPC_BIT(role)))
        join_later(by, role);
    else
        child_kill(accused);
}

static void next_stage(struct parent *p)
{
    for (; p->stage < STAGES; p->stage++) {
        bool some = false;
        for (size_t i = 0; i < p->child_count; i++) {
            struct child *c = &p->children[i];
            if (!(stages[p->stage] & IPC_BIT(c->role)) || c->state == CHILD_DOWN)
                continue;
            some = true;
            child_drain(c);
        }
        if (some)
            return;
    }
    ph_loop_stop(p->loop);
}

void house_ended(struct child *c)
{
    struct parent *p = c->p;
    /* One that could not even start will hardly do so at once; one that had served is missed by
     * everybody. */
    int64_t most = c->state == CHILD_STARTING ? AGAIN_MOST_MS : AGAIN_SERVED_MS;
    c->state = CHILD_DOWN;
    c->asked = false;
    if (c->role == ROLE_QUEUE)
        control_acted(p,
                      &(struct ipc_QUEUE_ACTED){.verdict = IPC_TEMP,
                                                .text = PH_STR("the queue process was restarted")});
    if (p->phase == STOPPING) {
        next_stage(p);
        return;
    }
    int64_t wait = wait_before(&c->failures, ph_mono_us() / 1000 - c->since, most);
    c->restarts++;
    if (p->phase == STARTING && c->failures >= STARTS_MOST) {
        fprintf(
            stderr,
            "posthouse: the %s process ends again and again before it is ready; the log says why\n",
            ipc_role_name(c->role));
        house_stop(p, EX_SOFTWARE);
        return;
    }
    ph_log(PH_LOG_WARN, (ph_str){0}, "child-restarts", "child=%s instance=%u after_ms=%lld",
           ipc_role_name(c->role), c->instance, (long long)wait);
    if (c->again)
        ph_timer_set(c->again, wait);
}

/* ---- stopping, reloading -------------------------------------------------------------------- */

static void on_limit(void *ctx)
{
    struct parent *p = ctx;
    ph_log(PH_LOG_WARN, (ph_str){0}, "drain-limit", "");
    kill_all(p);
}

void house_stop(struct parent *p, int exit_code)
{
    if (p->phase == STOPPING) { /* asked twice: at once */
        kill_all(p);
        return;
    }
    ph_log(PH_LOG_INFO, (ph_str){0}, "stopping", "");
    p->phase = STOPPING;
    p->exit_code = exit_code;
    for (size_t i = 0; i < p->child_count; i++)
        if (p->children[i].again)
            ph_timer_off(p->children[i].again);
    p->limit = ph_timer_new(p->loop, on_limit, p);
    if (p->limit)
        ph_timer_set(p->limit, DRAIN_MS);
    next_stage(p);
}

static bool same_list(const ph_conf_list *a, const ph_conf_list *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = ph_str_eq(a->v[i], b->v[i]);
    return same;
}

/* What only a start can change is said, not silently left. */
static void warn_of_restart(const struct ph_conf *old, const struct ph_conf *fresh)
{
    bool same = old->mx_processes == fresh->mx_processes &&
                old->access_processes == fresh->access_processes &&
                ph_str_eq(old->user, fresh->user) && ph_str_eq(old->data, fresh->data);
    for (int s = IPC_SMTP; s <= IPC_LMTP; s++)
        same = same && same_list(service_addresses(old, s), service_addresses(fresh, s));
    if (!same)
        ph_log(PH_LOG_WARN, (ph_str){0}, "restart-needed", "settings=%s",
               "listen_*, *_processes, user, data");
}

/* Folder and user stay as they are also for a process that is started anew: it would not find its
 * files, or not be allowed them. */
static int keep(struct ph_conf *fresh, ph_str name, ph_str value)
{
    struct ph_error e = {0};
    int r = ph_conf_set(fresh, name, value, &e);
    if (r < 0)
        ph_log(PH_LOG_ERROR, (ph_str){0}, "reload-refused", "why=%s", e.text);
    return r;
}

int house_reload(struct parent *p)
{
    struct ph_conf *fresh = NULL;
    struct ph_error e = {0};
    if (parent_conf(p->opt, &fresh) || data_certificate(p, fresh, &e) || data_trust(p, fresh, &e)) {
        ph_log(PH_LOG_ERROR, (ph_str){0}, "reload-refused", "why=%s",
               *e.text ? e.text : "the configuration has mistakes, told above");
        ph_conf_free(fresh);
        return -PH_EINVAL;
    }
    warn_of_restart(p->conf, fresh);
    if (keep(fresh, PH_STR("data"), p->conf->data) < 0 ||
        keep(fresh, PH_STR("user"), p->conf->user) < 0) {
        ph_conf_free(fresh);
        return -PH_ENOMEM;
    }
    ph_conf_free(p->conf);
    p->conf = fresh;
    ph_conf_log(p->conf, "parent", 0);
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];
        if (c->chan && c->state != CHILD_DRAINING) {
            child_send_conf(c);
            child_send_certs(c);
            child_send_trust(c);
        }
    }
    on_tickets(p);
    ph_log(PH_LOG_INFO, (ph_str){0}, "reloaded", "");
    return 0;
}
