/*
 * open.c - the beginning of a connection to another server.
 *
 *   session_open -> GREETING -> HELLO -> [STARTTLS -> SECURING -> HELLO] -> [LOGIN]
 *          |            |         |          |           |                     |
 *          |            |         |          |           |                     +--> session_letter
 *          +------------+---------+----------+-----------+---------------------+--> session_fail
 */
#include "session.h"

#include <stdio.h>
#include <string.h>

/* This server has not the TLS that the setting or the letter asks for. */
static void unsafe(struct session *s, const char *detail, const char *text)
{
    bool letter = s->t->flags & IPC_REQUIRETLS;
    char esc[16];
    snprintf(esc, sizeof esc, "%c.7.%s", letter ? '5' : '4', detail);
    session_fail(s, letter ? RELAY_UNSAFE : 0, ph_str_c(esc), ph_str_c(text), false);
}

/* ---- logging in ---------------------------------------------------------------------------- */

static void log_in_failed(struct session *s, uint32_t code, ph_str esc, ph_str said)
{
    char text[600];
    snprintf(text, sizeof text, "the login of \"%.*s\" failed: %.*s",
             (int)(s->way->t.user.n < 100 ? s->way->t.user.n : 100), s->way->t.user.p,
             (int)(said.n < 400 ? said.n : 400), said.p);
    /* Our own affair: with a better password the letter goes. */
    session_fail(s, code ? 454 : 0, esc.n ? PH_STR("4.7.8") : esc, ph_str_c(text), false);
}

static void log_in(struct session *s)
{
    const struct way *w = s->way;
    ph_str offered = {0}, answer = {0};
    struct ph_error e = {0};
    const struct ph_sasl_login login = {.user = w->t.user,
                                        .password = {w->password, w->password_n},
                                        .secure = s->tls[0] || s->nearby,
                                        .host = w->t.host,
                                        .port = w->t.port,
                                        .channel = s->channel};
    s->phase = LOGIN;
    ph_smtp_client_has(s->c, PH_STR("AUTH"), &offered);
    int err = w->password_n ? ph_sasl_client_new(&login, offered, &s->sasl, &e)
                            : ph_fail(&e, PH_EAUTH, 0, "its password is read at the next start");
    bool first = err >= 0 && ph_sasl_client_is_first(s->sasl);
    if (first)
        err = ph_sasl_client_step(s->sasl, (ph_str){0}, &answer, &e);
    if (err >= 0)
        err = ph_smtp_client_auth(s->c, ph_sasl_client_mechanism(s->sasl), answer, first);
    if (err < 0)
        log_in_failed(s, 0, (ph_str){0}, ph_str_c(e.text[0] ? e.text : ph_error_info(err)->text));
}

static void on_challenge(struct session *s, ph_str data)
{
    ph_str answer = {0};
    struct ph_error e = {0};
    bool cancel = ph_sasl_client_step(s->sasl, data, &answer, &e) < 0;
    if (ph_smtp_client_auth_data(s->c, answer, cancel) < 0)
        log_in_failed(s, 0, (ph_str){0}, PH_STR("out of memory"));
}

static void proceed(struct session *s);

static void on_auth(struct session *s, const struct ph_smtp_reply *reply)
{
    struct ph_error e = {0};
    if (reply->code >= 300)
        log_in_failed(s, (uint32_t)reply->code, PH_STR("4.7.8"), reply->text);
    else if (ph_sasl_client_end(s->sasl, &e) < 0)
        log_in_failed(s, 0, (ph_str){0}, ph_str_c(e.text));
    else {
        s->sasl = ph_sasl_client_free(s->sasl);
        proceed(s);
    }
}

/* ---- greeting and TLS ---------------------------------------------------------------------- */

static void proceed(struct session *s)
{
    if (session_keeps_promise(s, s->t))
        session_letter(s, s->t);
    else
        unsafe(s, "30", "the letter asks for REQUIRETLS, which the server does not offer");
}

static void ready(struct session *s)
{
    if (s->way->t.user.n)
        log_in(s);
    else
        proceed(s);
}

static void refused(struct session *s, const struct ph_smtp_reply *reply)
{
    session_fail(s, (uint32_t)reply->code, reply->esc, reply->text, false);
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
    if (!s->tls[0] && session_policy(s) != RELAY_MAY) {
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
    else if (session_policy(s) == RELAY_MAY)
        ready(s);
    else
        refused(s, reply);
}

static void hello(struct session *s)
{
    s->phase = HELLO;
    if (ph_smtp_client_hello(s->c, s->relay->p->conf->hostname) < 0)
        session_fail(s, 0, PH_STR("4.3.0"), PH_STR("out of memory"), false);
}

static void secured(void *ctx, const struct ph_tls_info *info)
{
    struct session *s = ctx;
    snprintf(s->tls, sizeof s->tls, "%s %s", info->version, info->cipher);
    s->verified = info->verified;
    memcpy(s->binding, info->binding, info->binding_n);
    s->channel =
        (struct ph_sasl_channel){info->binding_unique ? PH_SASL_TLS_UNIQUE : PH_SASL_TLS_EXPORTER,
                                 {s->binding, info->binding_n}};
    if (!s->verified && session_policy(s) == RELAY_VERIFY) {
        unsafe(s, "5", info->why);
        return;
    }
    if (s->way->t.way == PH_TRANSPORT_SMTPS)
        return; /* the greeting comes now */
    ph_smtp_client_tls_started(s->c);
    hello(s);
}

static void on_greeting(struct session *s, const struct ph_smtp_reply *reply)
{
    if (reply->code != 220) {
        refused(s, reply);
        return;
    }
    ph_timer_off(s->timer);
    hello(s);
}

/* false: the session is no more. */
static bool on_event(struct session *s, enum ph_smtp_client_ev ev,
                     const struct ph_smtp_client_event *e)
{
    bool gone = false;
    if (ev == PH_SMTP_C_BROKEN) {
        session_over(s, &e->error, e->reply.code ? &e->reply : NULL);
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
    case PH_SMTP_C_CHALLENGE:
        on_challenge(s, e->data);
        break;
    case PH_SMTP_C_AUTH:
        on_auth(s, &e->reply);
        break;
    default:
        session_answer(s, ev, e);
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
    session_over(ctx, why, NULL);
}

static void timed_out(void *ctx)
{
    struct session *s = ctx;
    if (s->phase == IDLE) {
        session_quit(s);
        return;
    }
    if (s->phase < IDLE && ph_pump_is_connected(s->pump))
        return; /* from here on the engine has the time */
    struct ph_error why = {.code = PH_ETIMEOUT};
    snprintf(why.text, sizeof why.text, "%s",
             s->phase == LETTER ? "the server took too long for the letter"
                                : "the connection was not made in time");
    session_over(s, &why, NULL);
}

static bool copy(ph_str from, ph_str *ret)
{
    char *p = ph_resize(NULL, NULL, 0, from.n ? from.n : 1);
    if (p && from.n)
        memcpy(p, from.p, from.n);
    *ret = (ph_str){p, p && from.n ? from.n : 1};
    return p;
}

static struct session *session_new(struct attempt *t)
{
    struct relay *r = t->relay;
    struct session *s = ph_new0(NULL, sizeof *s);
    struct ph_smtp_client_options o;
    if (!s)
        return NULL;
    ph_smtp_client_defaults(&o);
    o.timeout_ms = r->p->conf->relay_timeout;
    o.lmtp = t->way->t.way == PH_TRANSPORT_LMTP;
    *s = (struct session){.relay = r,
                          .ways = ways_hold(t->ways),
                          .way = t->way,
                          .c = ph_smtp_client_new(NULL, &o),
                          .timer = ph_timer_new(r->p->loop, timed_out, s),
                          .next = r->sessions,
                          .at = &r->sessions};
    if (s->next)
        s->next->at = &s->next;
    r->sessions = s;
    r->open++;
    if (!copy(t->domain, &s->domain) || !copy(t->hosts[t->host_at].name, &s->host) || !s->c ||
        !s->timer) {
        session_free(s);
        return NULL;
    }
    s->site = t->site;
    t->site = NULL;
    r->connections++;
    return s;
}

static int connect_it(struct session *s, struct attempt *t, struct ph_error *why)
{
    struct relay *r = s->relay;
    const struct ph_addr *to = &t->addrs[t->addr_at];
    bool v6 = to->sa.ss_family == AF_INET6;
    int fd = ph_connect(to, s->way->has_source[v6] ? &s->way->source[v6] : NULL, why);
    if (fd < 0)
        return fd;
    struct ph_pump_options o = {
        .ops = &ph_smtp_client_ops,
        .engine = s->c,
        .tls = r->tls,
        .host = t->hosts[t->host_at].name,
        .tls_now = s->way->t.way == PH_TRANSPORT_SMTPS,
        .connecting = true,
        .handler = {.events = events, .closed = closed, .secured = secured, .ctx = s}};
    s->pump = ph_pump_new(r->p->loop, fd, &o);
    return s->pump ? 0 : ph_fail(why, PH_ENOMEM, 0, "out of memory");
}

void session_open(struct attempt *t)
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
    s->nearby = ph_addr_is_loopback(a);
    char ip[64];
    snprintf(s->peer, sizeof s->peer, "%.*s [%s]:%u", (int)(host.n < 200 ? host.n : 200), host.p,
             ph_addr_ip(a, ip, sizeof ip), ph_addr_port(a));
    int err = connect_it(s, t, &why);
    if (err < 0) {
        session_fail(s, 0, PH_STR("4.4.1"), ph_str_c(why.text), false);
        return;
    }
    int64_t most = s->relay->p->conf->relay_timeout;
    ph_timer_set(s->timer, most < RELAY_CONNECT_MS ? most : RELAY_CONNECT_MS);
}
