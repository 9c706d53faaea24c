/*
 * session.c - one connection to another server, and the letters on it.
 *
 *   GREETING -> HELLO -> [STARTTLS -> SECURING -> HELLO] -> LETTER <-> IDLE -> QUIT -> gone
 *       |         |           |           |                    |         |
 *       +---------+-----------+-----------+--> fail_host       |         +-- RELAY_IDLE_MS, enough
 *                                                              |             letters, or its place
 *                                                              |             is needed
 *                                                              +-- broke: deferred
 *
 * fail_host: the next address; after TLS that failed with `may` the same once more in plain. One
 * that had been idle and says nothing any more: once more from the start.
 */
#include "pump.h"
#include "relay.h"

#include <stdio.h>
#include <string.h>

enum phase { GREETING, HELLO, STARTTLS, SECURING, IDLE, LETTER, QUIT };
enum { QUIT_MS = 2000, PEER_TEXT = 320 };

struct session {
    struct session *next, **at;
    struct relay *relay;
    struct ph_smtp_client *c;
    struct ph_pump *pump;
    struct ph_timer *timer;
    enum phase phase;
    struct try *t;
    ph_str domain; /* whose mail it takes; yours: freed with the session */
    bool smart;    /* to the smarthost: it takes everyone's */
    char peer[PEER_TEXT];
    char tls[80];
    bool verified; /* its certificate is good, and of the name that was meant */
    unsigned letters;
    bool spoke; /* the server answered something about this letter */
    bool accepted[RELAY_RCPTS];
    uint16_t index[RELAY_RCPTS]; /* of the recipients said in RCPT TO */
    int64_t started;             /* wall, of the attempt or the letter */
    bool *gone;                  /* set when it is freed inside one of its own events */
};

static void next_letter(struct session *s, struct try *t);

/* ---- ends -------------------------------------------------------------------------------- */

static void session_free(struct session *s)
{
    struct relay *r = s->relay;
    if (s->gone)
        *s->gone = true;
    *s->at = s->next;
    if (s->next)
        s->next->at = s->at;
    ph_pump_free(s->pump);
    ph_timer_free(s->timer);
    ph_smtp_client_free(s->c);
    ph_free(NULL, (char *)s->domain.p, s->domain.n);
    ph_free(NULL, s, sizeof *s);
    r->open--;
    relay_next_queued(r);
}

void session_abort(struct session *s)
{
    if (s->t)
        s->t->session = NULL;
    s->t = NULL;
    session_free(s);
}

static void quit(struct session *s)
{
    s->phase = QUIT;
    if (ph_smtp_client_quit(s->c) < 0) {
        session_free(s);
        return;
    }
    ph_timer_set(s->timer, QUIT_MS);
    ph_pump_kick(s->pump);
}

void session_close_idle(struct relay *r)
{
    for (struct session *s = r->sessions, *next; s; s = next) {
        next = s->next;
        if (s->phase == IDLE)
            session_abort(s);
    }
}

static struct ipc_event event_of(const struct session *s, int kind, uint32_t code, ph_str reply,
                                 ph_str note)
{
    return (struct ipc_event){.kind = (uint8_t)kind,
                              .peer = ph_str_c(s->peer),
                              .tls = ph_str_c(s->tls),
                              .code = code,
                              .reply = reply,
                              .took = (uint64_t)(ph_wall_us() - s->started),
                              .note = note};
}

/* What this letter needs: the setting, unless its sender wants more or less (RFC 8689). */
static enum relay_policy policy_of(const struct session *s)
{
    return s->t->flags & IPC_REQUIRETLS     ? RELAY_VERIFY
           : s->t->flags & IPC_TLS_OPTIONAL ? RELAY_MAY
                                            : s->relay->policy;
}

/* This server is not the one: the try goes on with the next address. */
static void fail_host(struct session *s, uint32_t code, ph_str esc, ph_str text, bool tls_failed)
{
    struct try *t = s->t;
    bool plain = tls_failed && policy_of(s) == RELAY_MAY && !t->plain;
    result_event(t, event_of(s, EV_TRIED, code, text,
                             plain ? PH_STR("TLS failed: once more without") : (ph_str){0}));
    result_failed(t, code, esc, text);
    session_abort(s);
    if (plain) {
        t->plain = true;
        session_open(t);
        return;
    }
    t->plain = false;
    route_next(t);
}

static int fate_of(int code)
{
    return code >= 500 ? IPC_REFUSED : IPC_DEFERRED;
}

/* It had ended while idle, before this letter came: from the start. */
static void once_more(struct session *s)
{
    struct try *t = s->t;
    session_abort(s);
    route_start(t);
}

/* The connection is gone. */
static void over(struct session *s, const struct ph_error *why,
                 const struct ph_smtp_reply *farewell)
{
    struct try *t = s->t;
    ph_str text = why && why->text[0] ? ph_str_c(why->text) : PH_STR("the connection was closed");
    if (!t) {
        session_free(s);
        return;
    }
    if (s->phase < IDLE) {
        uint32_t code = farewell ? (uint32_t)farewell->code : 0;
        fail_host(s, code, farewell ? farewell->esc : PH_STR("4.4.1"),
                  farewell ? farewell->text : text, s->phase == STARTTLS || s->phase == SECURING);
        return;
    }
    if (s->letters && !s->spoke) {
        once_more(s);
        return;
    }
    uint32_t code = farewell && farewell->code ? (uint32_t)farewell->code : 421;
    ph_str said = farewell && farewell->code ? farewell->text : text;
    result_event(t, event_of(s, EV_TRIED, farewell ? code : 0, said,
                             PH_STR("the connection broke in the middle of the letter")));
    /* What it said unasked, in the middle of the letter, is its answer to it. */
    result_rest(t, farewell ? fate_of((int)code) : IPC_DEFERRED, code,
                farewell ? farewell->esc : PH_STR("4.4.2"), said);
    session_abort(s);
    result_send(t);
}

/* ---- a letter ---------------------------------------------------------------------------- */

static void letter_done(struct session *s)
{
    struct try *t = s->t;
    struct relay *r = s->relay;
    s->t = NULL;
    t->session = NULL;
    s->letters++;
    s->phase = IDLE;
    if (r->p->draining || s->letters >= RELAY_LETTERS)
        quit(s);
    else
        ph_timer_set(s->timer, RELAY_IDLE_MS);
    result_send(t);
    relay_next_queued(r);
}

/* Everyone who is not yet decided gets this reply. */
static void whole_letter(struct session *s, const struct ph_smtp_reply *reply)
{
    result_event(s->t, event_of(s, EV_TRIED, (uint32_t)reply->code, reply->text, (ph_str){0}));
    result_rest(s->t, fate_of(reply->code), (uint32_t)reply->code, reply->esc, reply->text);
}

static void on_mail(struct session *s, const struct ph_smtp_reply *reply)
{
    if (reply->code == 421 && s->letters) /* it takes no more of them on this connection */
        once_more(s);
    else if (reply->code >= 300)
        whole_letter(s, reply);
}

/* RFC 5321 4.5.3.1.10: 552 for a recipient can be an old way to say that there are enough of them.
 * Where an enhanced code says what is meant, that counts. */
static int fate_of_rcpt(const struct ph_smtp_reply *r)
{
    bool enough = r->code == 552 && (!r->esc.n || ph_str_eq(r->esc, PH_STR("5.5.3")));
    return enough ? IPC_DEFERRED : fate_of(r->code);
}

static void on_rcpt(struct session *s, const struct ph_smtp_client_event *e)
{
    struct try *t = s->t;
    if (e->local || e->index >= t->n)
        return;
    size_t i = s->index[e->index];
    if (e->reply.code < 300) {
        s->accepted[i] = true;
        return;
    }
    struct ipc_event ev =
        event_of(s, EV_TRIED, (uint32_t)e->reply.code, e->reply.text, (ph_str){0});
    ev.rcpt = t->rcpts[i].address;
    result_event(t, ev);
    result_rcpt(t, i, fate_of_rcpt(&e->reply), (uint32_t)e->reply.code, e->reply.esc,
                e->reply.text);
}

static void on_data(struct session *s, const struct ph_smtp_client_event *e)
{
    if (e->reply.code == 354 && ph_smtp_client_body(s->c, s->t->body, true) == 0)
        return;
    if (!e->local)
        whole_letter(s, &e->reply);
    else /* all refused before */
        result_rest(s->t, fate_of(e->reply.code), (uint32_t)e->reply.code, e->reply.esc,
                    e->reply.text);
    if (ph_smtp_client_command(s->c, PH_STR("RSET")) < 0)
        s->letters = RELAY_LETTERS;
    letter_done(s);
}

static void on_sent(struct session *s, const struct ph_smtp_client_event *e)
{
    struct try *t = s->t;
    if (e->reply.code >= 300) {
        whole_letter(s, &e->reply);
        letter_done(s);
        return;
    }
    for (size_t i = 0; i < t->n; i++) {
        if (!s->accepted[i])
            continue;
        struct ipc_event ev =
            event_of(s, EV_RELAYED, (uint32_t)e->reply.code, e->reply.text, (ph_str){0});
        ev.rcpt = t->rcpts[i].address;
        result_event(t, ev);
        result_rcpt(t, i, IPC_SENT, (uint32_t)e->reply.code, e->reply.esc, e->reply.text);
        t->outcomes[i].dsn = ph_smtp_client_has(s->c, PH_STR("DSN"), NULL);
    }
    letter_done(s);
}

/* The envelope cannot be said to this server at all. */
static void cannot_say(struct session *s, int err)
{
    struct ph_smtp_reply r =
        err == -PH_ENOTIMPL
            ? (struct ph_smtp_reply){550, PH_STR("5.6.7"),
                                     PH_STR("the server does not take internationalised addresses "
                                            "(SMTPUTF8)")}
        : err == -PH_ELIMIT
            ? (struct ph_smtp_reply){552, PH_STR("5.3.4"),
                                     PH_STR("the letter is larger than the server takes")}
        : err == -PH_EINVAL
            ? (struct ph_smtp_reply){553, PH_STR("5.1.7"),
                                     PH_STR("the sender's address cannot be said in SMTP")}
            : (struct ph_smtp_reply){451, PH_STR("4.3.0"), PH_STR("out of memory")};
    whole_letter(s, &r);
    letter_done(s);
}

static void cannot_say_rcpt(struct try *t, size_t i, int err)
{
    if (err == -PH_ENOTIMPL)
        result_rcpt(t, i, IPC_REFUSED, 550, PH_STR("5.6.7"),
                    PH_STR("the server does not take internationalised addresses (SMTPUTF8)"));
    else if (err == -PH_EINVAL)
        result_rcpt(t, i, IPC_REFUSED, 553, PH_STR("5.1.3"),
                    PH_STR("the address cannot be said in SMTP"));
    else
        result_rcpt(t, i, IPC_DEFERRED, 451, PH_STR("4.3.0"), PH_STR("out of memory"));
}

/* The letter itself cannot do without SMTPUTF8, or one of its recipients here could use it. */
static bool wants_utf8(const struct session *s, const struct try *t)
{
    bool wants = t->flags & IPC_SMTPUTF8, has = ph_smtp_client_has(s->c, PH_STR("SMTPUTF8"), NULL);
    for (size_t i = 0; has && i < t->n; i++)
        for (size_t k = 0; k < t->rcpts[i].address.n; k++)
            wants |= (t->rcpts[i].address.p[k] & 0x80) != 0;
    return wants;
}

/* A letter with octets above 127 goes as it is to a server without 8BITMIME too: RFC 6152 3 would
 * have it converted, which breaks its signatures, or returned; every server of the last decades
 * passes all eight bits. */
static void next_letter(struct session *s, struct try *t)
{
    struct ph_smtp_params params = {.body =
                                        t->flags & IPC_8BITMIME ? PH_SMTP_8BITMIME : PH_SMTP_7BIT,
                                    .smtputf8 = wants_utf8(s, t),
                                    .requiretls = (t->flags & IPC_REQUIRETLS) != 0,
                                    .ret = t->flags & IPC_RET_FULL   ? PH_SMTP_RET_FULL
                                           : t->flags & IPC_RET_HDRS ? PH_SMTP_RET_HDRS
                                                                     : PH_SMTP_RET_UNSAID,
                                    .envid = t->envid,
                                    .size = t->body.n};
    s->t = t;
    t->session = s;
    s->phase = LETTER;
    s->spoke = false;
    s->started = ph_wall_us();
    memset(s->accepted, 0, t->n * sizeof *s->accepted);
    /* A server that is never quite silent must not hold letter and place for ever. */
    ph_timer_set(s->timer, s->relay->p->conf->relay_timeout * RELAY_PATIENCE +
                               (int64_t)(t->body.n / RELAY_PACE));
    int err = ph_smtp_client_mail(s->c, t->sender, &params);
    if (err < 0) {
        cannot_say(s, err);
        return;
    }
    size_t said = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct ph_smtp_params wanted = {.notify = t->rcpts[i].notify,
                                              .orcpt = t->rcpts[i].original};
        err = ph_smtp_client_rcpt(s->c, t->rcpts[i].address, &wanted);
        if (err == 0)
            s->index[said++] = (uint16_t)i;
        else
            cannot_say_rcpt(t, i, err);
    }
    if (ph_smtp_client_data(s->c) < 0) {
        session_abort(s);
        result_send(t);
        return;
    }
    ph_pump_kick(s->pump);
}

/* RFC 8689 4.2.1: only to who is proven to be meant, and keeps the promise. */
static bool may_take(const struct session *s, const struct try *t)
{
    return !(t->flags & IPC_REQUIRETLS) ||
           (s->verified && ph_smtp_client_has(s->c, PH_STR("REQUIRETLS"), NULL));
}

static bool is_idle_for(const struct session *s, const struct try *t)
{
    return s->phase == IDLE && (s->smart || ph_str_ieq(s->domain, t->domain)) && may_take(s, t);
}

bool session_reuse(struct try *t)
{
    struct relay *r = t->relay;
    for (struct session *s = r->sessions; s; s = s->next) {
        if (!is_idle_for(s, t))
            continue;
        r->reused++;
        next_letter(s, t);
        return true;
    }
    return false;
}

void session_serve_queued(struct relay *r)
{
    for (struct session *s = r->sessions, *next; s && r->queue_first; s = next) {
        next = s->next;
        struct try *t =
            s->phase == IDLE ? relay_queued_for(r, s->smart ? (ph_str){0} : s->domain) : NULL;
        if (t && !may_take(s, t)) {
            route_start(t);
        } else if (t) {
            r->reused++;
            next_letter(s, t);
        } else if (s->phase == IDLE && relay_is_full(r)) {
            quit(s);
        }
    }
}

/* ---- the beginning of a connection ---------------------------------------------------------- */

/* This server has not the TLS that the setting or the letter asks for. */
static void unsafe(struct session *s, const char *detail, const char *text)
{
    bool letter = s->t->flags & IPC_REQUIRETLS;
    char esc[16];
    snprintf(esc, sizeof esc, "%c.7.%s", letter ? '5' : '4', detail);
    fail_host(s, letter ? RELAY_UNSAFE : 0, ph_str_c(esc), ph_str_c(text), false);
}

static void ready(struct session *s)
{
    if (may_take(s, s->t))
        next_letter(s, s->t);
    else
        unsafe(s, "30", "the letter asks for REQUIRETLS, which the server does not offer");
}

static void refused(struct session *s, const struct ph_smtp_reply *reply)
{
    fail_host(s, (uint32_t)reply->code, reply->esc, reply->text, false);
}

static void on_hello(struct session *s, const struct ph_smtp_reply *reply)
{
    if (reply->code >= 300) {
        refused(s, reply);
        return;
    }
    bool offered = ph_smtp_client_has(s->c, PH_STR("STARTTLS"), NULL);
    if (!s->tls[0] && !s->t->plain && offered && ph_smtp_client_starttls(s->c) == 0) {
        s->phase = STARTTLS;
        return;
    }
    if (!s->tls[0] && policy_of(s) != RELAY_MAY) {
        unsafe(s, "10",
               "TLS is asked for, by relay_tls or the letter; the server does not offer it");
        return;
    }
    ready(s);
}

static void on_starttls(struct session *s, const struct ph_smtp_reply *reply)
{
    if (reply->code == 220)
        s->phase = SECURING;
    else if (policy_of(s) == RELAY_MAY)
        ready(s);
    else
        refused(s, reply);
}

static void secured(void *ctx, const struct ph_tls_info *info)
{
    struct session *s = ctx;
    snprintf(s->tls, sizeof s->tls, "%s %s", info->version, info->cipher);
    s->verified = info->verified;
    if (!s->verified && policy_of(s) == RELAY_VERIFY) {
        unsafe(s, "5", info->why);
        return;
    }
    ph_smtp_client_tls_started(s->c);
    s->phase = HELLO;
    if (ph_smtp_client_hello(s->c, s->relay->p->conf->hostname) < 0)
        fail_host(s, 0, PH_STR("4.3.0"), PH_STR("out of memory"), false);
}

static void on_greeting(struct session *s, const struct ph_smtp_reply *reply)
{
    if (reply->code != 220) {
        refused(s, reply);
        return;
    }
    ph_timer_off(s->timer);
    s->phase = HELLO;
    if (ph_smtp_client_hello(s->c, s->relay->p->conf->hostname) < 0)
        fail_host(s, 0, PH_STR("4.3.0"), PH_STR("out of memory"), false);
}

/* false: the session is no more. */
static bool on_event(struct session *s, enum ph_smtp_client_ev ev,
                     const struct ph_smtp_client_event *e)
{
    bool gone = false;
    if (ev == PH_SMTP_C_BROKEN) {
        over(s, &e->error, e->reply.code ? &e->reply : NULL);
        return false;
    }
    if (!s->t)
        return true;
    s->spoke = s->spoke || ev != PH_SMTP_C_COMMAND;
    s->gone = &gone;
    switch (ev) {
    case PH_SMTP_C_GREETING:
        on_greeting(s, &e->reply);
        break;
    case PH_SMTP_C_HELLO:
        on_hello(s, &e->reply);
        break;
    case PH_SMTP_C_STARTTLS:
        on_starttls(s, &e->reply);
        break;
    case PH_SMTP_C_MAIL:
        on_mail(s, &e->reply);
        break;
    case PH_SMTP_C_RCPT:
        on_rcpt(s, e);
        break;
    case PH_SMTP_C_DATA:
        on_data(s, e);
        break;
    case PH_SMTP_C_SENT:
        on_sent(s, e);
        break;
    default:
        break;
    }
    if (!gone)
        s->gone = NULL;
    return !gone;
}

static void events(void *ctx)
{
    struct session *s = ctx;
    struct ph_smtp_client_event e;
    enum ph_smtp_client_ev ev;
    while ((ev = ph_smtp_client_next(s->c, &e)) != PH_SMTP_C_NEED)
        if (!on_event(s, ev, &e))
            return;
}

static void closed(void *ctx, const struct ph_error *why)
{
    over(ctx, why, NULL);
}

static void timed_out(void *ctx)
{
    struct session *s = ctx;
    if (s->phase == IDLE) {
        quit(s);
        return;
    }
    if (s->phase < IDLE && ph_pump_is_connected(s->pump))
        return; /* from here on the engine has the time */
    struct ph_error why = {.code = PH_ETIMEOUT};
    snprintf(why.text, sizeof why.text, "%s",
             s->phase == LETTER ? "the server took too long for the letter"
                                : "the connection was not made in time");
    over(s, &why, NULL);
}

static struct session *session_new(struct try *t)
{
    struct relay *r = t->relay;
    struct session *s = ph_new0(NULL, sizeof *s);
    char *domain = ph_resize(NULL, NULL, 0, t->domain.n ? t->domain.n : 1);
    struct ph_smtp_client_options o;
    ph_smtp_client_defaults(&o);
    o.timeout_ms = r->p->conf->relay_timeout;
    struct ph_smtp_client *c = s && domain ? ph_smtp_client_new(NULL, &o) : NULL;
    if (!c) {
        ph_free(NULL, domain, t->domain.n);
        ph_free(NULL, s, sizeof *s);
        return NULL;
    }
    memcpy(domain, t->domain.p, t->domain.n);
    *s = (struct session){.relay = r,
                          .c = c,
                          .domain = {domain, t->domain.n},
                          .smart = r->p->conf->smarthost.n > 0,
                          .next = r->sessions,
                          .at = &r->sessions};
    if (s->next)
        s->next->at = &s->next;
    r->sessions = s;
    r->open++;
    r->connections++;
    s->timer = ph_timer_new(r->p->loop, timed_out, s);
    return s;
}

static int connect_it(struct session *s, struct try *t, struct ph_error *why)
{
    struct relay *r = s->relay;
    const struct ph_addr *to = &t->addrs[t->addr_at];
    bool same = r->has_source && r->source.sa.ss_family == to->sa.ss_family;
    int fd = ph_connect(to, same ? &r->source : NULL, why);
    if (fd < 0)
        return fd;
    struct ph_pump_options o = {
        .ops = &ph_smtp_client_ops,
        .engine = s->c,
        .tls = r->tls,
        .host = t->hosts[t->host_at].name,
        .connecting = true,
        .handler = {.events = events, .closed = closed, .secured = secured, .ctx = s}};
    s->pump = ph_pump_new(r->p->loop, fd, &o);
    return s->pump && s->timer ? 0 : ph_fail(why, PH_ENOMEM, 0, "out of memory");
}

void session_open(struct try *t)
{
    struct session *s = session_new(t);
    struct ph_error why = {0};
    if (!t->plain)
        t->tried++;
    if (!s) {
        result_failed(t, 0, PH_STR("4.3.0"), PH_STR("out of memory"));
        result_rest(t, IPC_DEFERRED, 0, t->last_esc, t->last_text);
        result_send(t);
        return;
    }
    s->t = t;
    t->session = s;
    relay_routing(t, false);
    s->started = ph_wall_us();
    ph_str host = t->hosts[t->host_at].name;
    struct ph_addr *a = &t->addrs[t->addr_at];
    char ip[64];
    snprintf(s->peer, sizeof s->peer, "%.*s [%s]:%u", (int)(host.n < 200 ? host.n : 200), host.p,
             ph_addr_ip(a, ip, sizeof ip), ph_addr_port(a));
    int err = connect_it(s, t, &why);
    if (err < 0) {
        fail_host(s, 0, PH_STR("4.4.1"), ph_str_c(why.text), false);
        return;
    }
    int64_t most = s->relay->p->conf->relay_timeout;
    ph_timer_set(s->timer, most < RELAY_CONNECT_MS ? most : RELAY_CONNECT_MS);
}
