/*
 * relay.h - inside the relay: an attempt is one RELAY_TRY (a letter for recipients of one domain),
 * a session is one connection. An attempt takes an idle session to its domain, or finds the way and
 * makes one.
 *
 *   RELAY_TRY --> way.c: which row of `transports`
 *                   |
 *                   +-- an idle session? yes ----------------------------------+
 *                   | no                                                       v
 *                 route.c: hosts -> site.c: a place? -> open.c: connect -> session.c: MAIL, DATA
 *                   ^                      | no         EHLO STARTTLS AUTH     |
 *                   |                      |                | failed           |
 *                   +---- next address ----|----------------+                  |
 *                                          |                | none left        |
 *                                          v                v                  v
 *                                      result.c: RELAY_TRIED, back to the queue
 */
#ifndef PH_RELAY_H
#define PH_RELAY_H
#include "hash.h"
#include "proc.h"
#include "sock.h"
#include "transport.h"

#include <posthouse/smtp.h>

enum {
    RELAY_SESSIONS = 1000,        /* connections at the same time; other tries wait */
    RELAY_HOSTS = 20,             /* of the MX answer, the best */
    RELAY_ADDRESSES = 10,         /* tried for one letter, RFC 5321 5.1: two at least */
    RELAY_PER_HOST = 16,          /* addresses of one host */
    RELAY_IDLE_MS = 5000,         /* an idle session is kept for the next letter */
    RELAY_CONNECT_MS = 30 * 1000, /* until the connection stands; then relay_timeout */
    RELAY_LETTERS = 100,          /* of one session */
    RELAY_LOOK = 1000, /* waiting tries looked through for one that an idle session can take */
    /* how long one letter may take, however alive the server seems: so many relay_timeouts, and */
    RELAY_PATIENCE = 12,
    RELAY_PACE = 64, /* a millisecond more for so many octets of it */
    RELAY_TRY_BYTES = 4 * 1024 * 1024,
    RELAY_EVENT_BYTES = 240 * 1024,
    RELAY_RCPTS = 1000,
    RELAY_UNSAFE = 550, /* our code for a server without the TLS that a letter asks for */
    RELAY_PATH = 4097,
    RELAY_PASSWORD = 1024,
    RELAY_SITE_NAME = 320,
    RELAY_SITE_BUCKETS = 1024
};

enum relay_policy { RELAY_MAY, RELAY_ENCRYPT, RELAY_VERIFY };

struct attempt;
struct session;

/* A row of `transports`, with what the other settings add. */
struct way {
    struct ph_transport t;
    enum relay_policy tls;
    struct ph_addr source[2]; /* IPv4, IPv6 */
    bool has_source[2];
    char password[RELAY_PASSWORD];
    size_t password_n;
};

struct ways {
    unsigned refs;
    struct ph_arena *arena;
    struct way *v; /* the last one fits every letter */
    size_t n;
};

struct site {
    struct site *chain;
    ph_str name;
    unsigned open;    /* places taken, */
    unsigned leaving; /* by sessions that say QUIT; */
    unsigned waiting; /* and tries that wait for those */
    int64_t next;     /* wall: when its rate gives the next letter */
};

struct outcome {
    bool known;
    uint8_t fate;
    uint32_t code;
    ph_str esc, text; /* in the attempt's arena */
    bool dsn;         /* the server takes over the reports that are wanted */
};

struct rcpt {
    ph_str address, original; /* original: ORCPT, "rfc822;..." */
    unsigned notify;          /* enum ipc_notify */
};

struct host {
    ph_str name; /* or an address literal's address */
    uint32_t preference;
};

struct lookup {
    struct attempt *t;
    bool pending;
};

struct attempt {
    struct attempt *next, **at; /* all of them */
    struct attempt *queued;     /* waiting for a session to be free */
    bool routing;               /* it has no session, and is to have one: it counts like one */
    struct relay *relay;
    struct ways *ways; /* held, for `way` */
    const struct way *way;
    struct site *site;      /* whose place it holds, while no session has it */
    struct site *waits_for; /* while it is queued for a place there */
    ph_str site_name;       /* told to the queue */
    uint32_t rest;          /* the same: milliseconds; nothing was tried */
    struct ph_arena *arena;
    uint64_t req, qid;
    ph_str sender, domain, envid;
    struct rcpt *rcpts;
    struct outcome *outcomes;
    size_t n;
    uint32_t flags;
    ph_str body;        /* from the skip on */
    ph_str mapped;      /* the whole, to be unmapped; or */
    struct ph_buf copy; /* the bytes of an inline one */
    struct ph_buf events;
    /* the way */
    struct lookup mx, a, aaaa;
    struct host hosts[RELAY_HOSTS];
    size_t hosts_n, host_at;
    unsigned port;
    struct ph_addr addrs[2 * RELAY_PER_HOST];
    size_t addrs_n, addr_at, v6_n;
    unsigned tried; /* addresses so far */
    bool unsure;    /* some lookup failed: that there is no address is not known */
    bool plain;     /* this address once more, without TLS */
    struct session *session;
    /* what the last host that failed said; code 0: nobody spoke */
    uint32_t last_code;
    ph_str last_esc, last_text;
};

struct relay {
    struct proc *p;
    struct proc_waits *waits;
    struct attempt *tries;
    struct attempt *queue_first, **queue_last;
    struct session *sessions;
    size_t open, routing;  /* sessions, and tries that will have one */
    struct ph_later later; /* tries that wait are looked at */
    struct ph_tls_ctx *tls;
    struct ways *ways;
    struct ph_packer *packer;
    struct site *sites[RELAY_SITE_BUCKETS];
    struct ph_hash_key site_key;
    size_t sites_n, sites_most;
    uint64_t sent, deferred, refused, connections, reused;
};

/* ---- relay.c ----------------------------------------------------------------------------- */
/* A session ended or is idle: tries that wait are looked at, at the end of the turn. */
void relay_next_queued(struct relay *r);
/* One that this session may take, taken off. NULL: none. */
struct attempt *relay_queued_for(struct relay *r, const struct session *s);
bool relay_is_full(const struct relay *r);
/* Goes on when a session can take it, or its site has a place. */
void relay_queue(struct attempt *t);
void relay_routing(struct attempt *t, bool routing);

/* ---- route.c ----------------------------------------------------------------------------- */
void route_start(struct attempt *t);
/* The next address, or the next host, or the end of the attempt. why: what went wrong with the last
 * (its event is written). */
void route_next(struct attempt *t);
void route_resolved(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg);
void route_lost(struct relay *r); /* the resolver died */

/* ---- way.c ------------------------------------------------------------------------------- */
/* The table of these settings. old: passwords are taken from it, for files cannot be read any more;
 * NULL: they are read. -PH_EINVAL, -PH_ENOENT, -PH_EDENIED, -PH_ENOMEM. */
PH_MUST_CHECK int ways_new(const struct ph_conf *c, const struct ways *old, struct ways **ret_ways,
                           struct ph_error *reterr);
struct ways *ways_hold(struct ways *ws);
struct ways *ways_drop(struct ways *ws);
const struct way *way_for(const struct ways *ws, ph_str sender, ph_str domain);

/* ---- site.c ------------------------------------------------------------------------------ */
enum site_entry {
    SITE_IN,    /* it has a place, and a letter of the rate */
    SITE_WAITS, /* for a session that is leaving: relay_queue */
    SITE_RESTS  /* t->rest says when to ask again */
};
/* At the site of t->hosts. */
enum site_entry site_enter(struct attempt *t);
/* Whether one that waits can go on. */
bool site_has_place(const struct attempt *t);
void site_wait_no_more(struct attempt *t);
/* The same for a session that has its place: the rate alone. */
bool site_paced(struct attempt *t, struct site *s);
struct site *site_leave(struct site *s); /* NULL allowed; returns NULL */

/* ---- session.c --------------------------------------------------------------------------- */
/* An idle session takes the letter (or the letter goes back to the queue, for the rate of its site
 * is reached). Known before the route: the same way, and a server of its own or the same domain;
 * with t->hosts: the same way and one of the best hosts. */
bool session_reuse(struct attempt *t);
bool session_may_take(const struct session *s, const struct attempt *t);
/* The same from the other side: idle sessions take what waits for their domain, or end when others
 * need their place. */
void session_serve_queued(struct relay *r);
/* Connects to t->addrs[t->addr_at]; on failure route_next was or will be called. */
void session_open(struct attempt *t);  /* open.c */
void session_abort(struct session *s); /* closes at once, without a word to its try */
void session_close_idle(struct relay *r);

/* ---- result.c ---------------------------------------------------------------------------- */
/* The verdict on one recipient, once; and on all that have none. */
void result_rcpt(struct attempt *t, size_t i, int fate, uint32_t code, ph_str esc, ph_str text);
void result_rest(struct attempt *t, int fate, uint32_t code, ph_str esc, ph_str text);
void result_event(struct attempt *t, struct ipc_event e);
void result_failed(struct attempt *t, uint32_t code, ph_str esc,
                   ph_str text);     /* kept as the last word */
void result_send(struct attempt *t); /* answers and frees it */
void attempt_free(struct attempt *t);

#endif
