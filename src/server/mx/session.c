/* One connection of mx: its engine and pump; transactions are intake's. */
#include "log.h"
#include "mx_int.h"
#include "stage.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG(s, level, event, fmt, ...)                                                             \
    ph_log((level), (ph_str){0}, (event), "session=%s peer=%s " fmt, (s)->peer.id, (s)->peer.text, \
           ##__VA_ARGS__)

static uint64_t ask(void *owner, int role, enum ipc_type answer)
{
    struct mx_session *s = owner;
    uint64_t req = proc_wait(s->mx->waits, role, answer, s);
    s->asked += req != 0;
    return req;
}

static void unask(void *owner, uint64_t req)
{
    struct mx_session *s = owner;
    proc_unwait(s->mx->waits, req);
    s->asked -= req != 0;
}

static const struct intake_host host = {
    .process = "mx", .step = EV_RECEIVED, .ask = ask, .unask = unask};

static void session_free(struct mx_session *s)
{
    struct mx *mx = s->mx;
    if (s->asked)
        proc_wait_cancel(mx->waits, s);
    ph_pump_free(s->pump);
    ph_smtp_server_free(s->engine);
    mx->letters += s->intake.letters;
    mx->refused_commands += s->intake.refused;
    intake_done(&s->intake);
    front_left(mx->front, s->peer.ticket);
    *(s->prev ? &s->prev->next : &mx->sessions) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    free(s);
    if (mx->draining && !mx->sessions)
        proc_done(mx->proc);
}

/* ---- trusted programs --------------------------------------------------------------------- */

enum { ATTRIBUTES_MAX = 4096 };

/* "[UNAVAILABLE]" and "[TEMPUNAVAIL]" say that it does not know either. */
static bool is_known(ph_str value)
{
    return value.n && value.p[0] != '[';
}

/* XCLIENT: from now on the session is that client's. */
static void on_xclient(struct mx_session *s, ph_str argument)
{
    struct ph_buf scratch;
    struct ph_addr addr;
    ph_str name, value;
    uint64_t port = 0;
    char ip[64] = "";
    bool good = true;
    ph_buf_init(&scratch, NULL, ATTRIBUTES_MAX);
    while (ph_smtp_attribute_next(&argument, &scratch, &name, &value)) {
        if (ph_str_ieq(name, PH_STR("ADDR")) && is_known(value))
            snprintf(
                ip, sizeof ip, "%.*s",
                PH_FMT(ph_str_has_iprefix(value, PH_STR("IPV6:")) ? ph_str_skip(value, 5) : value));
        else if (ph_str_ieq(name, PH_STR("PORT")) && is_known(value))
            good = good && ph_str_u64(value, 65535, &port);
        good = good && name.n;
    }
    ph_buf_done(&scratch);
    good = good && (!*ip || ph_addr_make(ph_str_c(ip), (unsigned)port, &addr) == 0);
    if (!good) {
        ph_smtp_server_reply(s->engine, 501, "5.5.4", "These are no attributes of a client");
        return;
    }
    if (*ip)
        front_move(s->mx->front, &s->peer, &addr);
    LOG(s, PH_LOG_INFO, "xclient", "room=%d", (int)s->peer.room);
    struct stage_verdict v = stage_run(&s->intake, STAGE_CONNECT, NULL);
    if (v.act >= STAGE_DEFER)
        ph_smtp_server_reply(s->engine, v.code, v.esc, "%s", v.reply);
    else
        ph_smtp_server_reply(s->engine, 220, "", "%.*s %s Posthouse",
                             PH_FMT(intake_hostname(s->mx->proc)),
                             s->peer.service == IPC_LMTP ? "LMTP" : "ESMTP");
}

/* XFORWARD: where the letter came from before, for the journey. */
static void on_xforward(struct mx_session *s, ph_str argument)
{
    struct ph_buf scratch;
    ph_str name, value;
    ph_buf_init(&scratch, NULL, ATTRIBUTES_MAX);
    while (ph_smtp_attribute_next(&argument, &scratch, &name, &value))
        if (name.n && is_known(value))
            ph_buf_addf(&s->intake.forwarded, "%s%.*s=%.*s", s->intake.forwarded.n ? " " : "",
                        PH_FMT(name), PH_FMT(value));
    ph_buf_done(&scratch);
    s->intake.forwarded.err = 0; /* what has no room is left out */
    ph_smtp_server_reply(s->engine, 250, "2.0.0", "Ok");
}

/* ---- what the pump says ------------------------------------------------------------------- */

static void on_events(void *ctx)
{
    struct mx_session *s = ctx;
    struct ph_smtp_server_event ev;
    enum ph_smtp_server_ev kind;
    while ((kind = ph_smtp_server_next(s->engine, &ev)) != PH_SMTP_S_NEED) {
        if (kind == PH_SMTP_S_COMMAND)
            (ph_str_eq(ev.name, PH_STR("XCLIENT")) ? on_xclient : on_xforward)(s, ev.data);
        else if (!intake_event(&s->intake, kind, &ev) && kind == PH_SMTP_S_BROKEN)
            LOG(s, ev.error.code == PH_ECLOSED ? PH_LOG_DEBUG : PH_LOG_INFO, "session-broken",
                "why=%s", ev.error.text);
    }
}

static void on_closed(void *ctx, const struct ph_error *why)
{
    struct mx_session *s = ctx;
    LOG(s, PH_LOG_DEBUG, "disconnected", "letters=%llu why=%s",
        (unsigned long long)s->intake.letters, why ? why->text : "");
    session_free(s);
}

static void on_secured(void *ctx, const struct ph_tls_info *info)
{
    struct mx_session *s = ctx;
    snprintf(s->tls_text, sizeof s->tls_text, "%s %s", info->version, info->cipher);
    ph_smtp_server_tls_started(s->engine);
}

/* Of a letter by LMTP: as many replies must have room. */
enum { LMTP_RECIPIENTS = 1000 };

/* ---- life --------------------------------------------------------------------------------- */

static struct ph_smtp_server *engine_for(struct mx_session *s)
{
    struct ph_smtp_server_options o;
    struct stage_verdict v = stage_run(&s->intake, STAGE_CONNECT, NULL);
    if (v.act >= STAGE_DEFER)
        return ph_smtp_server_new_refusing(NULL, v.code, ph_str_c(v.esc), ph_str_c(v.reply));
    intake_options(s->mx->proc, &o);
    o.trusted = front_in(&s->mx->proc->conf->xclient_from, &s->peer.addr);
    o.greeting_delay_ms = s->peer.exempt ? 0 : s->mx->proc->conf->greeting_delay;
    o.lmtp = o.lmtp_alike = s->peer.service == IPC_LMTP;
    if (o.lmtp && o.limits.recipients > LMTP_RECIPIENTS)
        o.limits.recipients = LMTP_RECIPIENTS;
    return ph_smtp_server_new(NULL, &o);
}

void mx_session_new(struct mx *mx, const struct front_guest *g)
{
    struct mx_session *s = calloc(1, sizeof *s);
    if (!s) {
        front_left(mx->front, g->ticket);
        close(g->fd);
        return;
    }
    s->mx = mx;
    s->peer = *g;
    s->next = mx->sessions;
    if (s->next)
        s->next->prev = s;
    mx->sessions = s;
    s->intake = (struct intake){.host = &host,
                                .owner = s,
                                .proc = mx->proc,
                                .guard = front_guard(mx->front),
                                .peer = &s->peer,
                                .room = &mx->room,
                                .tls_text = s->tls_text,
                                .auth = "",
                                .user = ""};
    intake_init(&s->intake);
    s->intake.engine = s->engine = engine_for(s);
    if (!s->engine)
        close(g->fd);
    else
        s->pump = ph_pump_new(
            mx->proc->loop, g->fd,
            &(struct ph_pump_options){.ops = &ph_smtp_server_ops,
                                      .engine = s->engine,
                                      .tls = mx->proc->tls_server,
                                      .handler = {on_events, on_closed, on_secured, s}});
    LOG(s, PH_LOG_DEBUG, "connected", "room=%d", (int)g->room);
    if (!s->pump)
        session_free(s);
    else
        ph_pump_kick(s->pump);
}

void mx_session_answer(struct mx_session *s, struct ipc_msg *msg)
{
    s->asked--;
    intake_answer(&s->intake, msg);
    on_events(s);
    ph_pump_kick(s->pump);
}

void mx_session_drain(struct mx_session *s)
{
    ph_smtp_server_drain(s->engine);
    on_events(s);
    ph_pump_kick(s->pump);
}
