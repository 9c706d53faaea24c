/*
 * route.c - where a domain's mail goes (RFC 5321 5.1): MX hosts by preference, equal ones in random
 * order; a domain without MX is its own host; a null MX (RFC 7505) takes nothing. Addresses IPv6
 * first.
 *
 *   start --the way is an error--> refused
 *     |---literal, or the way names a server--> hosts
 *     +---RESOLVE MX--> OK: hosts, without us and what is worse than us
 *                       NODATA: the domain itself
 *                       NOENT, null MX: refused
 *
 *   hosts --an idle session--> its next letter
 *     |
 *     +--site_enter--> AAAA and A --> addresses --session_open--> failed: route_next
 *                          ^              ^                           |   |   |
 *                          |              +------ next address -------+   |   |
 *                          +-------------------- next host ---------------+   |
 *                                         deferred <-- none left -------------+
 */
#include "random.h"
#include "relay.h"

#include <stdio.h>
#include <string.h>

static void refuse(struct attempt *t, uint32_t code, ph_str esc, ph_str text, const char *by)
{
    result_event(
        t, (struct ipc_event){.kind = EV_TRIED, .code = code, .reply = text, .note = ph_str_c(by)});
    result_rest(t, IPC_REFUSED, code, esc, text);
    result_send(t);
}

static void refuse_dns(struct attempt *t, uint32_t code, const char *esc, const char *text)
{
    refuse(t, code, ph_str_c(esc), ph_str_c(text), "decided by the DNS");
}

/* None of the servers took it. Waiting helps, unless the letter asks for what they do not have (RFC
 * 8689 4.2.1). */
static void defer_all(struct attempt *t)
{
    bool never = t->flags & IPC_REQUIRETLS && t->last_code == RELAY_UNSAFE;
    result_rest(t, never ? IPC_REFUSED : IPC_DEFERRED, t->last_code, t->last_esc,
                t->last_text.n ? t->last_text : PH_STR("no server could be reached"));
    result_send(t);
}

static bool ask(struct attempt *t, struct lookup *l, int kind, ph_str name)
{
    struct relay *r = t->relay;
    struct ipc_chan *chan = proc_peer(r->p, ROLE_RESOLVER);
    uint64_t req = chan ? proc_wait(r->waits, ROLE_RESOLVER, IPC_RESOLVED, l) : 0;
    l->t = t;
    if (req && ipc_send(chan, RESOLVE, -1, .req = req, .kind = (uint8_t)kind, .name = name) >= 0) {
        l->pending = true;
        return true;
    }
    proc_unwait(r->waits, req);
    return false;
}

static void dns_failed(struct attempt *t, ph_str name, ph_str why)
{
    char text[512];
    snprintf(text, sizeof text, "the DNS cannot answer for %.*s now: %.*s",
             (int)(name.n < 255 ? name.n : 255), name.p, (int)(why.n < 200 ? why.n : 200),
             why.n ? why.p : "");
    result_failed(t, 0, PH_STR("4.4.3"), ph_str_c(text));
    result_event(t, (struct ipc_event){.kind = EV_TRIED, .note = ph_str_c(text)});
}

/* ---- hosts ------------------------------------------------------------------------------- */

static void add_host(struct attempt *t, ph_str name, uint32_t preference)
{
    if (t->hosts_n < RELAY_HOSTS)
        t->hosts[t->hosts_n++] =
            (struct host){.name = ph_arena_copy(t->arena, name), .preference = preference};
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). */
static bool literal(struct attempt *t)
{
    ph_str d = t->domain;
    if (d.n < 3 || d.p[0] != '[' || d.p[d.n - 1] != ']')
        return false;
    d = ph_str_sub(d, 1, d.n - 2);
    add_host(t, ph_str_has_iprefix(d, PH_STR("IPv6:")) ? ph_str_skip(d, 5) : d, 0);
    return true;
}

/* Neighbours of equal preference change places at random. */
static void shuffle(struct attempt *t)
{
    for (size_t i = 0; i + 1 < t->hosts_n; i++) {
        size_t same = i;
        while (same + 1 < t->hosts_n && t->hosts[same + 1].preference == t->hosts[i].preference)
            same++;
        size_t other = i + (size_t)(ph_random_u64() % (same - i + 1));
        struct host h = t->hosts[i];
        t->hosts[i] = t->hosts[other];
        t->hosts[other] = h;
    }
}

/* RFC 5321 5.1: when we are one of them, those of our preference and worse are of no use. */
static bool cut_loop(struct attempt *t)
{
    ph_str us = t->relay->p->conf->hostname;
    for (size_t i = 0; i < t->hosts_n; i++) {
        if (!ph_str_ieq(t->hosts[i].name, us))
            continue;
        uint32_t preference = t->hosts[i].preference;
        while (t->hosts_n && t->hosts[t->hosts_n - 1].preference >= preference)
            t->hosts_n--;
        return t->hosts_n > 0;
    }
    return true;
}

static void next_host(struct attempt *t);

/* The hosts are known: a session to one of them, a place for a new one, or back to the queue. */
static void enter(struct attempt *t)
{
    if (!t->hosts_n || t->site) {
        next_host(t);
        return;
    }
    relay_routing(t, false);
    if (session_reuse(t))
        return;
    relay_routing(t, true);
    switch (site_enter(t)) {
    case SITE_IN:
        next_host(t);
        break;
    case SITE_WAITS:
        relay_routing(t, false);
        relay_queue(t);
        break;
    case SITE_RESTS:
        result_send(t);
    }
}

static void mx_answer(struct attempt *t, const struct ipc_RESOLVED *m)
{
    ph_str rows = m->answers;
    struct ipc_answer a;
    switch (m->verdict) {
    case IPC_OK:
        while (ipc_each(answer, &rows, &a))
            add_host(t, a.data, a.preference);
        break;
    case IPC_NODATA:
        add_host(t, t->domain, 0);
        break;
    case IPC_NOENT:
    case IPC_INVALID: /* not a name that the DNS can have */
        refuse_dns(t, 550, "5.1.2", "the domain of this address does not exist");
        return;
    default:
        dns_failed(t, t->domain, m->text);
        defer_all(t);
        return;
    }
    if (t->hosts_n == 1 && ph_str_eq(t->hosts[0].name, PH_STR("."))) {
        refuse_dns(t, 556, "5.1.10", "the domain says that it takes no mail (null MX)");
        return;
    }
    if (!cut_loop(t)) {
        refuse_dns(
            t, 554, "5.4.6",
            "the DNS sends this domain's mail to this server, which does not take it: a loop");
        return;
    }
    shuffle(t);
    enter(t);
}

void route_start(struct attempt *t)
{
    const struct ph_transport *w = &t->way->t;
    t->hosts_n = t->host_at = t->tried = 0;
    t->unsure = false;
    t->port = w->port;
    relay_routing(t, true);
    if (w->way == PH_TRANSPORT_ERROR) {
        refuse(t, w->code, w->esc, w->text, "decided by transports");
    } else if (w->host.n) {
        add_host(t, w->host, 0);
        enter(t);
    } else if (literal(t)) {
        enter(t);
    } else if (!ask(t, &t->mx, IPC_DNS_MX, t->domain)) {
        dns_failed(t, t->domain, PH_STR("the resolver is not running"));
        defer_all(t);
    }
}

/* ---- addresses --------------------------------------------------------------------------- */

static void add_address(struct attempt *t, ph_str ip, bool v6)
{
    struct ph_addr a;
    if (t->addrs_n >= 2 * RELAY_PER_HOST || ph_addr_make(ip, t->port, &a) < 0)
        return;
    size_t at = t->addrs_n;
    if (v6) { /* before all of IPv4 */
        at = t->v6_n++;
        memmove(&t->addrs[at + 1], &t->addrs[at], (t->addrs_n - at) * sizeof a);
    }
    t->addrs[at] = a;
    t->addrs_n++;
}

static void addresses_known(struct attempt *t)
{
    if (t->addrs_n) {
        session_open(t);
        return;
    }
    if (!t->last_text.n) {
        char text[400];
        ph_str name = t->hosts[t->host_at].name;
        snprintf(text, sizeof text, "the mail server %.*s has no address",
                 (int)(name.n < 255 ? name.n : 255), name.p);
        result_failed(t, 0, PH_STR("4.4.3"), ph_str_c(text));
    }
    route_next(t);
}

/* That none of them has an address is an error of the domain (RFC 5321 5.1), where the DNS is sure
 * of it; for a smarthost it is ours. */
static void end_of_hosts(struct attempt *t)
{
    if (t->tried || t->unsure || t->way->t.host.n)
        defer_all(t);
    else
        refuse_dns(t, 550, "5.4.4", "no mail server of this domain has an address");
}

static void next_host(struct attempt *t)
{
    if (t->host_at >= t->hosts_n) {
        end_of_hosts(t);
        return;
    }
    ph_str name = t->hosts[t->host_at].name;
    t->addrs_n = t->addr_at = t->v6_n = 0;
    relay_routing(t, true);
    struct ph_addr a;
    if (ph_addr_make(name, t->port, &a) >= 0) {
        t->addrs[t->addrs_n++] = a;
        session_open(t);
        return;
    }
    bool asked = ask(t, &t->aaaa, IPC_DNS_AAAA, name), too = ask(t, &t->a, IPC_DNS_A, name);
    t->unsure |= !asked || !too;
    asked |= too;
    if (!asked) {
        dns_failed(t, name, PH_STR("the resolver is not running"));
        defer_all(t);
    }
}

void route_next(struct attempt *t)
{
    if (++t->addr_at < t->addrs_n && t->tried < RELAY_ADDRESSES) {
        session_open(t);
        return;
    }
    t->host_at++;
    if (t->tried >= RELAY_ADDRESSES)
        t->host_at = t->hosts_n;
    next_host(t);
}

static void address_answer(struct attempt *t, const struct lookup *l, const struct ipc_RESOLVED *m)
{
    ph_str rows = m->answers;
    struct ipc_answer a;
    if (m->verdict == IPC_OK)
        for (unsigned n = 0; n < RELAY_PER_HOST && ipc_each(answer, &rows, &a); n++)
            add_address(t, a.data, l == &t->aaaa);
    else if (m->verdict == IPC_TEMP) {
        t->unsure = true;
        dns_failed(t, t->hosts[t->host_at].name, m->text);
    }
    if (!t->a.pending && !t->aaaa.pending)
        addresses_known(t);
}

static void answered(struct lookup *l, const struct ipc_RESOLVED *m)
{
    struct attempt *t = l->t;
    l->pending = false;
    if (l == &t->mx)
        mx_answer(t, m);
    else
        address_answer(t, l, m);
}

void route_resolved(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct relay *r = p->state;
    struct lookup *l = proc_waited(r->waits, from, IPC_RESOLVED, msg->RESOLVED.req);
    if (l)
        answered(l, &msg->RESOLVED);
}

static void lost(void *who, uint64_t req, void *ctx)
{
    struct ipc_RESOLVED m = {
        .req = req, .verdict = IPC_TEMP, .text = PH_STR("the resolver was restarted")};
    (void)ctx;
    answered(who, &m);
}

void route_lost(struct relay *r)
{
    proc_waits_fail(r->waits, ROLE_RESOLVER, lost, NULL);
}
