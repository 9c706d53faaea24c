/*
 * session.c - the letters on a connection to another server, and its end.
 *
 *   (open.c) -> LETTER <-> IDLE -> QUIT -> gone
 *      |          |         |
 *      |          |         +-- RELAY_IDLE_MS, enough letters, or its place is needed
 *      |          +-- broke: deferred
 *      +-- session_fail: the next address; after TLS that failed, where the policy is `may`,
 *          the same one once more in plain
 *
 * One that had been idle and says nothing any more: once more from the start.
 */
#include "session.h"
#include "reply_id.h"

#include <stdio.h>
#include <string.h>

enum { QUIT_MS = 2000 };

/* ---- ends -------------------------------------------------------------------------------- */

void session_free(struct session *s)
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
    ph_sasl_client_free(s->sasl);
    if (s->site)
        s->site->leaving -= s->phase == QUIT;
    site_leave(s->site);
    ways_drop(s->ways);
    ph_free(NULL, (char *)s->domain.p, s->domain.n);
    ph_free(NULL, (char *)s->host.p, s->host.n);
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

void session_quit(struct session *s)
{
    s->phase = QUIT;
    if (s->site)
        s->site->leaving++;
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

struct ipc_event session_event(const struct session *s, int kind, uint32_t code, ph_str reply,
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

enum relay_policy session_policy(const struct session *s)
{
    return s->t->flags & IPC_REQUIRETLS     ? RELAY_VERIFY
           : s->t->flags & IPC_TLS_OPTIONAL ? RELAY_MAY
                                            : s->way->tls;
}

void session_fail(struct session *s, uint32_t code, ph_str esc, ph_str text, bool tls_failed)
{
    struct attempt *t = s->t;
    bool plain = tls_failed && session_policy(s) == RELAY_MAY && !t->plain;
    result_event(t, session_event(s, EV_TRIED, code, text,
                                  plain ? PH_STR("TLS failed: once more without") : (ph_str){0}));
    result_failed(t, code, esc, text);
    t->site = s->site; /* the place is for the next address */
    s->site = NULL;
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
    struct attempt *t = s->t;
    session_abort(s);
    route_start(t);
}

void session_over(struct session *s, const struct ph_error *why,
                  const struct ph_smtp_reply *farewell)
{
    struct attempt *t = s->t;
    ph_str text = why && why->text[0] ? ph_str_c(why->text) : PH_STR("the connection was closed");
    if (!t) {
        session_free(s);
        return;
    }
    if (s->phase < IDLE) {
        uint32_t code = farewell ? (uint32_t)farewell->code : 0;
        session_fail(s, code, farewell ? farewell->esc : PH_STR("4.4.1"),
                     farewell ? farewell->text : text,
                     s->phase == STARTTLS || s->phase == SECURING);
        return;
    }
    if (s->letters && !s->spoke) {
        once_more(s);
        return;
    }
    uint32_t code = farewell && farewell->code ? (uint32_t)farewell->code : 421;
    ph_str said = farewell && farewell->code ? farewell->text : text;
    result_event(t, session_event(s, EV_TRIED, farewell ? code : 0, said,
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
    struct attempt *t = s->t;
    struct relay *r = s->relay;
    s->t = NULL;
    t->session = NULL;
    s->letters++;
    s->phase = IDLE;
    if (r->p->draining || s->letters >= RELAY_LETTERS)
        session_quit(s);
    else
        ph_timer_set(s->timer, RELAY_IDLE_MS);
    result_send(t);
    relay_next_queued(r);
}

/* Everyone who is not yet decided gets this reply. */
static void whole_letter(struct session *s, const struct ph_smtp_reply *reply)
{
    result_event(s->t, session_event(s, EV_TRIED, (uint32_t)reply->code, reply->text, (ph_str){0}));
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

static void rcpt_refused(struct session *s, size_t i, const struct ph_smtp_reply *reply)
{
    struct attempt *t = s->t;
    struct ipc_event ev =
        session_event(s, EV_TRIED, (uint32_t)reply->code, reply->text, (ph_str){0});
    ev.rcpt = t->rcpts[i].address;
    result_event(t, ev);
    result_rcpt(t, i, fate_of_rcpt(reply), (uint32_t)reply->code, reply->esc, reply->text);
}

static void on_rcpt(struct session *s, const struct ph_smtp_client_event *e)
{
    if (e->local || e->index >= s->t->n)
        return;
    size_t i = s->index[e->index];
    if (e->reply.code >= 300) {
        rcpt_refused(s, i, &e->reply);
        return;
    }
    s->accepted[i] = true;
    s->owed += ph_smtp_client_is_lmtp(s->c);
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

static void taken(struct session *s, size_t i, const struct ph_smtp_reply *reply)
{
    struct attempt *t = s->t;
    struct ipc_event ev =
        session_event(s, EV_RELAYED, (uint32_t)reply->code, reply->text, (ph_str){0});
    ev.rcpt = t->rcpts[i].address;
    result_event(t, ev);
    result_rcpt(t, i, IPC_SENT, (uint32_t)reply->code, reply->esc, reply->text);
    t->outcomes[i].dsn = ph_smtp_client_has(s->c, PH_STR("DSN"), NULL);
}

/* The hop behind this one, as far as its reply tells of it. */
static void tell_hop(struct session *s, ph_str rcpt, const struct ph_smtp_reply *reply)
{
    char note[200];
    ph_str id = reply_id(reply->text);
    if (!id.n)
        return;
    snprintf(note, sizeof note, "id %.*s; not seen by us: its reply says so", PH_FMT(id));
    result_event(s->t, (struct ipc_event){.kind = EV_QUEUED,
                                          .process = PH_STR(IPC_HEARD),
                                          .host = s->host,
                                          .rcpt = rcpt,
                                          .note = ph_str_c(note)});
}

/* LMTP: an answer for each recipient that was accepted (RFC 2033 4.2). */
static void on_sent_one(struct session *s, const struct ph_smtp_client_event *e)
{
    struct attempt *t = s->t;
    size_t i = e->index < t->n ? s->index[e->index] : 0;
    if (e->reply.code < 300) {
        taken(s, i, &e->reply);
        tell_hop(s, t->rcpts[i].address, &e->reply);
    } else {
        rcpt_refused(s, i, &e->reply);
    }
    if (!--s->owed)
        letter_done(s);
}

static void on_sent(struct session *s, const struct ph_smtp_client_event *e)
{
    if (s->owed) {
        on_sent_one(s, e);
        return;
    }
    if (e->reply.code >= 300)
        whole_letter(s, &e->reply);
    else
        for (size_t i = 0; i < s->t->n; i++)
            if (s->accepted[i])
                taken(s, i, &e->reply);
    if (e->reply.code < 300)
        tell_hop(s, (ph_str){0}, &e->reply);
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

static void cannot_say_rcpt(struct attempt *t, size_t i, int err)
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
static bool wants_utf8(const struct session *s, const struct attempt *t)
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
void session_letter(struct session *s, struct attempt *t)
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
    s->owed = 0;
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

bool session_keeps_promise(const struct session *s, const struct attempt *t)
{
    return !(t->flags & IPC_REQUIRETLS) ||
           (s->verified && ph_smtp_client_has(s->c, PH_STR("REQUIRETLS"), NULL));
}

/* RFC 5321 5.1: not to a worse host while the best may answer. */
static bool is_best_host(const struct session *s, const struct attempt *t)
{
    for (size_t i = 0; i < t->hosts_n && t->hosts[i].preference == t->hosts[0].preference; i++)
        if (ph_str_ieq(t->hosts[i].name, s->host))
            return true;
    return false;
}

bool session_may_take(const struct session *s, const struct attempt *t)
{
    return s->phase == IDLE && s->way == t->way && session_keeps_promise(s, t) &&
           (s->way->t.host.n || ph_str_ieq(s->domain, t->domain) || is_best_host(s, t));
}

/* false: the rate of its site is reached, the letter is back in the queue. */
static bool give(struct session *s, struct attempt *t)
{
    if (s->site && !site_paced(t, s->site)) {
        result_send(t);
        return false;
    }
    s->relay->reused++;
    session_letter(s, t);
    return true;
}

bool session_reuse(struct attempt *t)
{
    struct session *s = t->relay->sessions;
    while (s && !session_may_take(s, t))
        s = s->next;
    if (s)
        (void)give(s, t);
    return s;
}

void session_serve_queued(struct relay *r)
{
    for (struct session *s = r->sessions, *next; s && r->queue_first; s = next) {
        next = s->next;
        struct attempt *t;
        while (s->phase == IDLE && (t = relay_queued_for(r, s)) && !give(s, t))
            ;
        if (s->phase == IDLE && relay_is_full(r))
            session_quit(s);
    }
}

void session_answer(struct session *s, enum ph_smtp_client_ev ev,
                    const struct ph_smtp_client_event *e)
{
    if (ev == PH_SMTP_C_MAIL)
        on_mail(s, &e->reply);
    else if (ev == PH_SMTP_C_RCPT)
        on_rcpt(s, e);
    else if (ev == PH_SMTP_C_DATA)
        on_data(s, e);
    else if (ev == PH_SMTP_C_SENT)
        on_sent(s, e);
}
