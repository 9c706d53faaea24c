/*
 * access: the users' protocols: submission, POP3, IMAP. This file is the process: its privileges,
 * its handlers, and what every session has in common. The protocols: session.h and the files it
 * names.
 *
 *   arrived -> begin -> CLEAR --TLS--> SECURED --session_login, AUTHED OK--> GRANTED
 *                         |               |                                    |
 *                         +---------------+----------- closed -----------------+
 *                                                         |
 *                             SESSION_END to keeper and store, end, freed
 */
#include "intake.h"
#include "log.h"
#include "loop.h"
#include "pack.h"
#include "session.h"
#include <posthouse/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GRANT_BUCKETS = 4096, SERVICES = IPC_IMAPS + 1 };

struct access {
    struct proc *proc;
    struct front *front;
    struct proc_waits *waits;
    struct session *sessions;
    struct letter_room room;
    struct session *by_grant[GRANT_BUCKETS]; /* grants are random: no hash is needed */
    uint64_t logins, failures;
    bool draining;
};

/* Who serves what. A service without a row is not listened on. */
static const struct session_kind *const kinds[SERVICES] = {
    [IPC_SUBMISSION] = &session_submission,
    [IPC_SUBMISSIONS] = &session_submission,
    [IPC_POP3] = &pop3_session,
    [IPC_POP3S] = &pop3_session,
    [IPC_IMAP] = &imap_session,
    [IPC_IMAPS] = &imap_session,
};

static bool is_implicit_tls(int service)
{
    return service == IPC_SUBMISSIONS || service == IPC_POP3S || service == IPC_IMAPS;
}

/* ---- end of a session --------------------------------------------------------------------- */

static void end_grant(struct access *a, uint64_t grant)
{
    const int roles[] = {ROLE_KEEPER, ROLE_STORE};
    for (size_t i = 0; i < 2; i++) {
        struct ipc_chan *c = proc_peer(a->proc, roles[i]);
        if (c)
            ipc_send(c, SESSION_END, -1, .session = grant);
    }
}

static struct session **grant_place(struct access *a, uint64_t grant)
{
    struct session **at = &a->by_grant[grant % GRANT_BUCKETS];
    while (*at && (*at)->grant != grant)
        at = &(*at)->by_grant;
    return at;
}

static void forget_grant(struct session *s)
{
    if (!s->grant)
        return;
    struct session **at = grant_place(s->access, s->grant);
    if (*at == s)
        *at = s->by_grant;
    s->grant = 0;
}

void session_logout(struct session *s)
{
    if (s->grant)
        end_grant(s->access, s->grant);
    forget_grant(s);
    s->user[0] = s->auth[0] = '\0';
}

static void session_free(struct session *s)
{
    struct access *a = s->access;
    session_auth_cancel(s);
    if (s->asked)
        proc_wait_cancel(a->waits, s);
    s->pump = ph_pump_free(s->pump);
    s->kind->end(s);
    if (s->grant)
        end_grant(a, s->grant);
    forget_grant(s);
    front_left(a->front, s->peer.ticket);
    *(s->prev ? &s->prev->next : &a->sessions) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    free(s->tls_info);
    ph_wipe(s, sizeof *s);
    free(s);
    if (a->draining && !a->sessions)
        proc_done(a->proc);
}

static void on_closed(void *ctx, const struct ph_error *why)
{
    struct session *s = ctx;
    session_log(s, PH_LOG_DEBUG, "disconnected", "why=%s", why ? why->text : "");
    session_free(s);
}

/* ---- a session ---------------------------------------------------------------------------- */

static void on_events(void *ctx)
{
    struct session *s = ctx;
    s->kind->events(s);
}

static void on_secured(void *ctx, const struct ph_tls_info *info)
{
    struct session *s = ctx;
    s->tls = true;
    s->tls_info = malloc(sizeof *s->tls_info);
    if (s->tls_info) /* else the mechanisms that are bound to TLS are not offered */
        *s->tls_info = *info;
    snprintf(s->tls_text, sizeof s->tls_text, "%s %s", info->version, info->cipher);
    s->kind->secured(s, info);
}

static void on_compressed(void *ctx)
{
    struct session *s = ctx;
    s->kind->compressed(s);
}

/* After something was told to the engine from outside of its pump. */
static void go_on(struct session *s)
{
    s->kind->events(s);
    ph_pump_kick(s->pump);
}

static int begin(struct session *s)
{
    return s->peer.room == FRONT_OK ? s->kind->begin(s) : s->kind->refuse(s, s->peer.why);
}

static void arrived(void *ctx, const struct front_guest *g)
{
    struct access *a = ctx;
    struct session *s = calloc(1, sizeof *s);
    if (!s) {
        front_left(a->front, g->ticket);
        close(g->fd);
        return;
    }
    *s = (struct session){.kind = kinds[g->service],
                          .access = a,
                          .proc = a->proc,
                          .service = g->service,
                          .peer = *g,
                          .next = a->sessions};
    if (s->next)
        s->next->prev = s;
    a->sessions = s;
    if (begin(s) < 0) {
        close(g->fd);
        session_free(s);
        return;
    }
    s->pump = ph_pump_new(
        a->proc->loop, g->fd,
        &(struct ph_pump_options){.ops = s->kind->ops,
                                  .engine = s->engine,
                                  .tls = a->proc->tls_server,
                                  .tls_now = is_implicit_tls(g->service),
                                  .handler = {on_events, on_closed, on_secured, s, on_compressed}});
    session_log(s, PH_LOG_DEBUG, "connected", "room=%d", (int)g->room);
    if (!s->pump)
        session_free(s);
    else
        ph_pump_kick(s->pump);
}

uint64_t session_ask(struct session *s, int role, enum ipc_type answer)
{
    uint64_t req = proc_wait(s->access->waits, role, answer, s);
    s->asked += req != 0;
    return req;
}

void session_unask(struct session *s, uint64_t req)
{
    proc_unwait(s->access->waits, req);
    s->asked -= req != 0;
}

struct ipc_chan *session_chan(struct session *s, int role)
{
    return proc_peer(s->proc, role);
}

struct guard *session_guard(struct session *s)
{
    return front_guard(s->access->front);
}

struct letter_room *session_room(struct session *s)
{
    return &s->access->room;
}

void session_close(struct session *s)
{
    ph_pump_close(s->pump);
}

/* ---- first readings ------------------------------------------------------------------------ */

ph_str session_body(struct session *s, const struct ipc_message *m, struct ph_buf *room)
{
    if (!m->packed)
        return m->body;
    struct ph_packer *packer = s->access->room.packer;
    ph_buf_clear(room);
    if (!packer || ph_unpack(packer, m->body, m->size, room) < 0)
        return (ph_str){0};
    return ph_buf_str(room);
}

void session_tell_read(struct session *s, ph_str journey, uint64_t qid, const char *how)
{
    struct ipc_chan *queue = session_chan(s, ROLE_QUEUE);
    struct ph_buf rows;
    if (!queue || !journey.n || !s->proc->conf->journey)
        return;
    struct ipc_event event = {.time = ph_wall_us(),
                              .kind = EV_FETCHED,
                              .process = PH_STR("access"),
                              .rcpt = ph_str_c(s->user),
                              .peer = ph_str_c(s->peer.text),
                              .tls = ph_str_c(s->tls_text),
                              .auth = ph_str_c(s->auth),
                              .note = ph_str_c(how),
                              .host = s->proc->conf->hostname,
                              .qid = qid};
    ph_buf_init(&rows, NULL, 65536);
    ipc_add(event, &rows, &event);
    if (!ph_buf_err(&rows))
        ipc_send(queue, JOURNAL, -1, .message_id = journey, .events = ph_buf_str(&rows));
    ph_buf_done(&rows);
}

void session_were_read(struct session *s, uint64_t mailbox, struct ph_buf *uids)
{
    struct ipc_chan *store = session_chan(s, ROLE_STORE);
    if (store && s->grant && uids->n && !ph_buf_err(uids))
        ipc_send(store, MSG_FLAGS, -1, .session = s->grant, .mailbox = mailbox,
                 .uids = ph_buf_str(uids), .op = IPC_FLAGS_DEL, .flags = IPC_FRESH,
                 .unchanged_since = UINT64_MAX);
    ph_buf_done(uids);
}

/* ---- logging in --------------------------------------------------------------------------- */

bool session_may_plaintext(const struct session *s)
{
    return ph_str_eq(s->proc->conf->plaintext_login, PH_STR("loopback")) &&
           ph_sock_is_loopback(s->peer.fd);
}

/* Whom the client's certificate names; empty: it showed none that is good here. */
static ph_str certificate_of(const struct session *s)
{
    return s->tls_info ? ph_str_c(s->tls_info->mail) : (ph_str){0};
}

/* What the keeper takes as a proof: proofs_of in exchange.c. */
static unsigned proofs(const struct session *s)
{
    return PH_SASL_PASSWORD | PH_SASL_KEYS | (s->proc->conf->oauth_keys.n ? PH_SASL_TOKEN : 0) |
           (certificate_of(s).n ? PH_SASL_CERTIFICATE : 0);
}

static struct ph_sasl_channel channel_of(const struct session *s)
{
    struct ph_sasl_channel c = {0};
    if (s->tls_info) {
        c.type = s->tls_info->binding_unique ? PH_SASL_TLS_UNIQUE : PH_SASL_TLS_EXPORTER;
        c.data = (ph_str){(const char *)s->tls_info->binding, s->tls_info->binding_n};
    }
    return c;
}

void session_mechanisms(const struct session *s, struct ph_buf *out)
{
    struct ph_sasl_channel channel = channel_of(s);
    ph_sasl_mechanisms(proofs(s), &channel, out);
}

static int ask_keeper(struct session *s, ph_str mechanism, ph_str data, bool has)
{
    struct ipc_chan *keeper = session_chan(s, ROLE_KEEPER);
    struct ph_sasl_channel channel = channel_of(s);
    uint64_t req = keeper ? session_ask(s, ROLE_KEEPER, IPC_AUTHED) : 0;
    if (!req)
        return keeper ? -PH_ENOMEM : -PH_EAGAIN;
    int r = ipc_send(keeper, AUTH, -1, .req = req, .exchange = s->exchange,
                     .service = (uint8_t)s->service, .mechanism = mechanism,
                     .peer = ph_str_c(s->peer.ip),
                     .address = s->peer.exempt ? (ph_str){0} : ph_str_c(s->peer.address),
                     .unique = channel.type == PH_SASL_TLS_UNIQUE, .channel = channel.data,
                     .certificate = certificate_of(s), .has = has, .data = data);
    if (r < 0) {
        session_unask(s, req);
        return r == -PH_ELIMIT ? -PH_EINVAL : r == -PH_ENOMEM ? r : -PH_EAGAIN;
    }
    s->login_req = req;
    s->exchange = 0;
    return 0;
}

static void end_exchange(struct session *s, uint64_t exchange)
{
    struct ipc_chan *keeper = session_chan(s, ROLE_KEEPER);
    if (keeper)
        ipc_send(keeper, AUTH_END, -1, .exchange = exchange);
}

void session_auth_cancel(struct session *s)
{
    if (s->exchange)
        end_exchange(s, s->exchange);
    s->exchange = 0;
}

static int begin_login(struct session *s, const char *name, ph_str mechanism, ph_str data, bool has)
{
    if (s->grant || s->login_req)
        return -PH_EORDER;
    session_auth_cancel(s);
    s->login_mechanism = name;
    return ask_keeper(s, mechanism, data, has);
}

int session_auth(struct session *s, ph_str mechanism, ph_str initial, bool has_initial)
{
    struct ph_sasl_channel channel = channel_of(s);
    const char *name = ph_sasl_mechanism(mechanism, proofs(s), &channel);
    return name ? begin_login(s, name, ph_str_c(name), initial, has_initial) : -PH_ENOTIMPL;
}

int session_auth_more(struct session *s, ph_str data)
{
    return s->exchange && !s->login_req ? ask_keeper(s, (ph_str){0}, data, true) : -PH_EORDER;
}

int session_login(struct session *s, const char *name, ph_str user, ph_str password)
{
    struct ph_buf plain;
    ph_str z, u, p;
    ph_buf_init(&plain, NULL, PH_SASL_USER_MAX + PH_SASL_PASSWORD_MAX + 2);
    ph_sasl_plain_encode(&plain, (ph_str){0}, user, password);
    int r = ph_buf_err(&plain);
    if (r == 0)
        r = ph_sasl_plain_decode(ph_buf_str(&plain), &z, &u, &p);
    r = r < 0 ? (r == -PH_ENOMEM ? r : -PH_EINVAL)
              : begin_login(s, name, PH_STR("PLAIN"), ph_buf_str(&plain), true);
    if (plain.p)
        ph_wipe(plain.p, plain.n);
    ph_buf_done(&plain);
    return r;
}

int session_apop(struct session *s, ph_str stamp, ph_str user, ph_str digest)
{
    struct ph_buf data;
    ph_buf_init(&data, NULL, 1024);
    ph_buf_add(&data, stamp);
    ph_buf_addc(&data, '\0');
    ph_buf_add(&data, user);
    ph_buf_addc(&data, '\0');
    ph_buf_add(&data, digest);
    int r = ph_buf_err(&data) ? -PH_EINVAL
                              : begin_login(s, "APOP", PH_STR("APOP"), ph_buf_str(&data), true);
    ph_buf_done(&data);
    return r;
}

static void login_failed(struct session *s, const struct ipc_AUTHED *m)
{
    s->access->failures++;
    session_log(s, PH_LOG_WARN, "login-failed", "user=%.*s mechanism=%s reason=%.*s",
                PH_FMT(m->user), s->login_mechanism, PH_FMT(m->text));
    s->kind->login(s, m->verdict == IPC_OK ? IPC_TEMP : m->verdict);
}

static void logged_in(struct session *s, const struct ipc_AUTHED *m)
{
    struct access *a = s->access;
    s->login_req = 0;
    if (m->verdict == IPC_MORE) {
        s->exchange = m->exchange;
        s->kind->challenge(s, m->data);
        return;
    }
    if (m->verdict != IPC_OK || !m->session) {
        login_failed(s, m);
        return;
    }
    a->logins++;
    s->grant = m->session;
    struct session **at = grant_place(a, s->grant);
    s->by_grant = *at;
    *at = s;
    snprintf(s->user, sizeof s->user, "%.*s", PH_FMT(m->user));
    snprintf(s->auth, sizeof s->auth, "%.*s %s", PH_FMT(ph_str_sub(m->user, 0, 360)),
             s->login_mechanism);
    session_log(s, PH_LOG_INFO, "login", "user=%s mechanism=%s tls=%s", s->user, s->login_mechanism,
                s->tls_text);
    s->kind->login(s, IPC_OK);
}

static void on_authed(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct access *a = p->state;
    struct session *s = proc_waited(a->waits, from, msg->type, msg->AUTHED.req);
    if (s) {
        s->asked--;
        logged_in(s, &msg->AUTHED);
        go_on(s);
    } else if (msg->AUTHED.verdict == IPC_OK) {
        end_grant(a, msg->AUTHED.session); /* who asked has left */
    } else if (msg->AUTHED.verdict == IPC_MORE) {
        ipc_send(from, AUTH_END, -1, .exchange = msg->AUTHED.exchange);
    }
}

/* ---- answers and pushes -------------------------------------------------------------------- */

/* Every answer begins with the request's id: one handler serves all. */
#define ANSWERS(X)                                                                                 \
    X(RCPT_CHECKED)                                                                                \
    X(SENDER_CHECKED)                                                                              \
    X(QUEUE_PUT_DONE)                                                                              \
    X(TRACE)                                                                                       \
    X(MB_LISTED)                                                                                   \
    X(STORE_DONE)                                                                                  \
    X(MB_OPENED)                                                                                   \
    X(MSG_LISTED)                                                                                  \
    X(MSG_BODIED)                                                                                  \
    X(MSG_SEARCHED)                                                                                \
    X(QUOTA_TOLD)                                                                                  \
    X(MSG_FLAGGED)                                                                                 \
    X(MSG_APPENDED)                                                                                \
    X(MSG_COPIED)                                                                                  \
    X(MSG_EXPUNGED)                                                                                \
    X(MB_CHANGED)
#define X(name) _Static_assert(offsetof(struct ipc_##name, req) == 0, "an answer begins with req");
ANSWERS(X)
#undef X

static void on_answer(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct access *a = p->state;
    uint64_t req = msg->STORE_DONE.req;
    struct session *s = proc_waited(a->waits, from, msg->type, req);
    if (!s)
        return; /* it has left */
    s->asked--;
    s->kind->answer(s, req, msg);
    go_on(s);
}

static void on_mailbox_event(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct access *a = p->state;
    struct session *s = *grant_place(a, msg->MB_EVENT.session);
    (void)from;
    if (!s || !s->kind->pushed)
        return;
    s->kind->pushed(s, msg);
    go_on(s);
}

static void lose(struct session *s, const char *why)
{
    end_grant(s->access,
              s->grant); /* who is still there must not hold it, nor its POP3 lock, for ever */
    forget_grant(s);
    s->kind->gone(s, why);
    go_on(s);
}

static void on_session_gone(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct access *a = p->state;
    struct session *s = *grant_place(a, msg->SESSION_GONE.session);
    (void)from;
    if (s) {
        session_log(s, PH_LOG_INFO, "session-revoked", "user=%s reason=%.*s", s->user,
                    PH_FMT(msg->SESSION_GONE.text));
        lose(s, "This account was closed or changed");
    }
}

/* ---- peers that come and go ---------------------------------------------------------------- */

static void unanswered(void *who, uint64_t req, void *ctx)
{
    struct session *s = who;
    (void)ctx;
    s->asked--;
    if (req == s->login_req) {
        s->login_req = 0;
        s->kind->login(s, IPC_TEMP);
    } else {
        s->kind->answer(s, req, NULL);
    }
    go_on(s);
}

static void peer_down(struct proc *p, int role, unsigned instance)
{
    struct access *a = p->state;
    (void)instance;
    proc_waits_fail(a->waits, role, unanswered, NULL);
    if (role != ROLE_STORE && role != ROLE_KEEPER)
        return;
    for (struct session *s = a->sessions; s; s = s->next)
        if (s->grant && (role == ROLE_KEEPER || s->kind->uses_store))
            lose(s, "The server had to restart a part of itself; please connect again");
}

/* ---- the process --------------------------------------------------------------------------- */

static void reload(struct proc *p)
{
    struct access *a = p->state;
    front_settings(a->front, p->conf);
    intake_room(p, &a->room);
}

static int opened(struct proc *p, struct ph_error *reterr, int *ret_exit_code)
{
    struct access *a = calloc(1, sizeof *a);
    (void)ret_exit_code;
    if (a) {
        a->proc = p;
        a->waits = proc_waits_new();
        a->front = front_new(p->loop, p->instance, arrived, a);
    }
    if (!a || !a->waits || !a->front)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    p->state = a;
    reload(p);
    return 0;
}

static int listen_on(struct proc *p, int service, ph_str address, int fd)
{
    struct access *a = p->state;
    (void)address;
    if (service >= 0 && service < SERVICES && kinds[service])
        return front_listen(a->front, service, fd);
    close(fd);
    return -PH_ENOTIMPL;
}

static void drain(struct proc *p)
{
    struct access *a = p->state;
    a->draining = true;
    front_close(a->front);
    if (!a->sessions)
        proc_done(p);
    for (struct session *s = a->sessions; s; s = s->next) {
        s->kind->drain(s);
        go_on(s);
    }
}

static void stats(struct proc *p, struct ph_buf *rows)
{
    const struct access *a = p->state;
    const struct ipc_counter counters[] = {
        {PH_STR("sessions"), front_count(a->front)},
        {PH_STR("connections"), front_total(a->front)},
        {PH_STR("refused"), front_refused(a->front)},
        {PH_STR("logins"), a->logins},
        {PH_STR("failed_logins"), a->failures},
    };
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        ipc_add(counter, rows, &counters[i]);
}

/* Its privileges: sockets it is handed, memory files for large letters; no file, no outgoing
 * connection. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    (void)p;
    *ret = (struct ph_sandbox){.may = PH_MAY_ACCEPT | PH_MAY_MEMFD, .chroot = true};
}

static void on_ban(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct access *a = p->state;
    (void)from;
    guard_ban(front_guard(a->front), ph_loop_now(p->loop), msg->BAN.address,
              (int64_t)(msg->BAN.duration / 1000));
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {
#define X(name) [IPC_##name] = on_answer,
    ANSWERS(X)
#undef X
        [IPC_AUTHED] = on_authed,
    [IPC_MB_EVENT] = on_mailbox_event,
    [IPC_SESSION_GONE] = on_session_gone,
    [IPC_BAN] = on_ban,
};

const struct proc_def proc_access = {
    .role = ROLE_ACCESS,
    .handlers = handlers,
    .sandbox = sandbox,
    .setup = intake_setup,
    .opened = opened,
    .listen = listen_on,
    .peer_down = peer_down,
    .reload = reload,
    .drain = drain,
    .stats = stats,
};
