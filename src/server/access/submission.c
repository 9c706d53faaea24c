/*
 * Message submission (RFC 6409): SMTP for users. Log-in, XTRACE and what a message may lack are
 * here; transactions are intake's.
 */
#include "submission.h"
#include "intake.h"
#include "log.h"
#include <stdlib.h>
#include <string.h>

struct submission {
    struct session *session;
    struct intake intake;
    uint64_t trace; /* XTRACE under way */
};

static uint64_t ask(void *owner, int role, enum ipc_type answer)
{
    return session_ask(owner, role, answer);
}

static void unask(void *owner, uint64_t req)
{
    session_unask(owner, req);
}

static const struct intake_host host = {.process = "access",
                                        .step = EV_SUBMITTED,
                                        .local_users = true,
                                        .ask = ask,
                                        .unask = unask,
                                        .complete = submission_complete};

/* ---- logging in --------------------------------------------------------------------------- */

static void offer(struct session *s)
{
    struct ph_buf mechanisms;
    ph_buf_init(&mechanisms, NULL, 256);
    session_mechanisms(s, &mechanisms);
    (void)ph_smtp_server_mechanisms(s->engine, ph_buf_str(&mechanisms));
    ph_buf_done(&mechanisms);
}

static void login_refused(struct session *s, int code, const char *esc, const char *text)
{
    ph_smtp_server_reply(s->engine, code, esc, "%s", text);
}

static void on_auth(struct session *s, const struct ph_smtp_server_event *ev, bool first)
{
    int r =
        first ? session_auth(s, ev->name, ev->data, ev->has_data) : session_auth_more(s, ev->data);
    if (r == -PH_ENOTIMPL)
        login_refused(s, 504, "5.5.4", "This mechanism is not offered");
    else if (r == -PH_EINVAL)
        login_refused(s, 535, "5.7.8", "Wrong name or password");
    else if (r < 0)
        login_refused(s, 454, "4.7.0", "Passwords can not be checked now, try again later");
}

static void challenge(struct session *s, ph_str raw)
{
    ph_smtp_server_challenge(s->engine, raw);
}

static void logged_in(struct session *s, int verdict)
{
    struct submission *m = s->state;
    m->intake.grant = s->grant;
    if (verdict == IPC_OK)
        ph_smtp_server_reply(s->engine, 235, "2.7.0", "Welcome");
    else if (verdict == IPC_DENIED)
        login_refused(s, 535, "5.7.8", "Wrong name or password");
    else if (verdict == IPC_NOUSER)
        login_refused(s, 535, "5.7.8", "Acting for another user is not possible here");
    else if (verdict == IPC_INVALID)
        login_refused(s, 501, "5.5.2", "The answer is not what this mechanism needs");
    else if (verdict == IPC_LIMIT)
        login_refused(s, 454, "4.7.0", "Too many sessions of this account, end one of them first");
    else
        login_refused(s, 454, "4.7.0", "Passwords can not be checked now, try again later");
}

/* ---- XTRACE ------------------------------------------------------------------------------- */

static void on_trace(struct session *s, ph_str message_id)
{
    struct submission *m = s->state;
    struct ipc_chan *queue = session_chan(s, ROLE_QUEUE);
    m->trace = queue ? session_ask(s, ROLE_QUEUE, IPC_TRACE) : 0;
    if (!m->trace || ipc_send(queue, TRACE_GET, -1, .req = m->trace, .owner = ph_str_c(s->user),
                              .message_id = ph_str_sub(message_id, 0, 998)) < 0) {
        session_unask(s, m->trace);
        m->trace = 0;
        ph_smtp_server_reply(s->engine, 451, "4.3.2",
                             "The journal is not available, try again later");
    }
}

static void traced(struct session *s, struct ipc_msg *msg)
{
    struct ph_buf text;
    if (!msg || msg->TRACE.verdict == IPC_TEMP) {
        ph_smtp_server_reply(s->engine, 451, "4.3.2",
                             "The journal is not available, try again later");
        return;
    }
    ph_buf_init(&text, NULL, PH_SMTP_REPLY);
    int r = msg->TRACE.verdict == IPC_OK ? submission_trace_write(msg->TRACE.events, &text)
                                         : -PH_ENOENT;
    if (r < 0)
        ph_smtp_server_reply(s->engine, 550, "5.1.1", "You have sent or received no such letter");
    else
        ph_smtp_server_reply_long(s->engine, 250, PH_STR("2.0.0"), ph_buf_str(&text));
    ph_buf_done(&text);
}

/* ---- the session -------------------------------------------------------------------------- */

static int begin(struct session *s)
{
    struct ph_smtp_server_options o;
    struct submission *m = calloc(1, sizeof *m);
    if (!m)
        return -PH_ENOMEM;
    s->state = m;
    intake_options(s->proc, &o);
    o.auth_required = true;
    o.plaintext = session_may_plaintext(s);
    o.xtrace = true;
    o.tls_active = s->service == IPC_SUBMISSIONS;
    s->engine = ph_smtp_server_new(NULL, &o);
    if (s->engine)
        offer(s);
    m->session = s;
    m->intake = (struct intake){.host = &host,
                                .owner = s,
                                .proc = s->proc,
                                .engine = s->engine,
                                .peer = &s->peer,
                                .room = session_room(s),
                                .guard = session_guard(s),
                                .tls_text = s->tls_text,
                                .auth = s->auth,
                                .user = s->user};
    intake_init(&m->intake);
    return s->engine ? 0 : -PH_ENOMEM;
}

static int refuse(struct session *s, const char *why)
{
    s->engine = ph_smtp_server_new_refusing(NULL, 421, PH_STR("4.7.0"), ph_str_c(why));
    return s->engine ? 0 : -PH_ENOMEM;
}

static void end(struct session *s)
{
    struct submission *m = s->state;
    s->engine = ph_smtp_server_free(s->engine);
    if (!m)
        return;
    intake_done(&m->intake);
    free(m);
}

static void events(struct session *s)
{
    struct submission *m = s->state;
    struct ph_smtp_server_event ev;
    enum ph_smtp_server_ev kind;
    while ((kind = ph_smtp_server_next(s->engine, &ev)) != PH_SMTP_S_NEED) {
        if (m)
            intake_count(&m->intake);
        if (kind == PH_SMTP_S_AUTH || kind == PH_SMTP_S_AUTHDATA)
            on_auth(s, &ev, kind == PH_SMTP_S_AUTH);
        else if (kind == PH_SMTP_S_COMMAND)
            on_trace(s, ev.data);
        else if (kind == PH_SMTP_S_BROKEN)
            session_log(s, ev.error.code == PH_ECLOSED ? PH_LOG_DEBUG : PH_LOG_INFO,
                        "session-broken", "why=%s", ev.error.text);
        else if (m)
            intake_event(&m->intake, kind, &ev);
    }
}

/* Implicit TLS was told to the engine when it was made. */
static void secured(struct session *s, const struct ph_tls_info *info)
{
    (void)info;
    if (s->service == IPC_SUBMISSION)
        ph_smtp_server_tls_started(s->engine);
    offer(s);
}

static void answer(struct session *s, uint64_t req, struct ipc_msg *msg)
{
    struct submission *m = s->state;
    if (req == m->trace) {
        m->trace = 0;
        traced(s, msg);
    } else {
        intake_answer(&m->intake, msg);
    }
}

static void drain(struct session *s)
{
    ph_smtp_server_drain(s->engine);
}

/* The login is void: what is under way may end, nothing new begins. */
static void gone(struct session *s, const char *why)
{
    (void)why;
    drain(s);
}

const struct session_kind session_submission = {
    .name = "submission",
    .ops = &ph_smtp_server_ops,
    .begin = begin,
    .refuse = refuse,
    .events = events,
    .secured = secured,
    .challenge = challenge,
    .login = logged_in,
    .answer = answer,
    .gone = gone,
    .drain = drain,
    .end = end,
};
