/*
 * IMAP for the access process: the session, its commands' table, log-in, IDLE, and the news before
 * every tagged answer.
 *
 *   IDLE:   COMMAND -> accept -> (MB_EVENT -> MB_CHANGES -> EXPUNGE, EXISTS, FETCH)* -> IDLE_END ->
 * done others: COMMAND -> run -> ... -> imap_finish -> (dirty? MB_CHANGES -> news) -> done
 */
#include "imap_session.h"
#include "log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAILURES_MAX = 3 };

static const uint64_t caps = PH_IMAP_CAP(IDLE) | PH_IMAP_CAP(NAMESPACE) | PH_IMAP_CAP(CHILDREN) |
                             PH_IMAP_CAP(UIDPLUS) | PH_IMAP_CAP(UNSELECT) | PH_IMAP_CAP(MOVE) |
                             PH_IMAP_CAP(SPECIAL_USE) | PH_IMAP_CAP(CREATE_SPECIAL_USE) |
                             PH_IMAP_CAP(STATUS_SIZE);

/* ---- requests
 * ------------------------------------------------------------------------------------------ */

struct ipc_chan *imap_store(struct imap *im)
{
    return session_chan(im->s, ROLE_STORE);
}

uint64_t imap_ask(struct imap *im, enum ipc_type answer, imap_then *then)
{
    uint64_t req = imap_store(im) ? session_ask(im->s, ROLE_STORE, answer) : 0;
    if (!req) {
        then(im, NULL);
        return 0;
    }
    im->waiting = req;
    im->then = then;
    return req;
}

/* A request that could not be sent is as one whose answer will never come. */
void imap_sent(struct imap *im, int result)
{
    imap_then *then = im->then;
    if (result >= 0)
        return;
    im->waiting = 0;
    then(im, NULL);
}

static void on_answer(struct session *s, uint64_t req, struct ipc_msg *msg)
{
    struct imap *im = s->state;
    imap_then *then = im->then;
    if (req != im->waiting || !then)
        return;
    im->waiting = 0;
    then(im, msg);
}

/* ---- ends of commands
 * -------------------------------------------------------------------------------------- */

static void end_command(struct imap *im)
{
    if (im->job_free && im->job)
        im->job_free(im->job);
    im->job = NULL;
    im->job_free = NULL;
    im->resume = NULL;
    im->cmd = NULL;
    im->idling = im->idle_over = false;
    if (im->sasl) {
        ph_sasl_server_done(im->sasl);
        free(im->sasl);
        im->sasl = NULL;
    }
}

static void answer_now(struct imap *im)
{
    ph_imap_server_done(im->e, im->cond, im->code.kind ? &im->code : NULL, im->text);
    end_command(im);
}

/* FETCH, STORE and SEARCH by sequence numbers must not shift them (RFC 9051 7.5.1). */
static bool may_expunge(const struct imap *im)
{
    enum ph_imap_verb v = im->cmd->verb;
    return im->cmd->uid || (v != PH_IMAP_FETCH && v != PH_IMAP_STORE && v != PH_IMAP_SEARCH);
}

static void tell_news(struct imap *im, ph_str rows, bool expunge)
{
    struct imap_view *v = &im->view;
    struct ipc_message m;
    while (ipc_each(message, &rows, &m)) {
        uint32_t at = imap_view_find(v, m.uid);
        if (at == UINT32_MAX) {
            if (imap_view_add(v, m.uid) < 0)
                v->dirty = true;
        } else if (at < v->told && !imap_view_is_own(v, m.modseq)) {
            imap_tell_flags(im, at, &m);
        }
    }
    if (expunge)
        imap_view_flush_gone(v, im->e);
    if (v->n > v->told && (expunge || v->gone_n == 0)) {
        v->told = v->n;
        ph_imap_server_exists(im->e, v->n);
        ph_imap_server_recent(im->e, imap_view_recent(v));
    }
}

/* MB_CHANGED into the view and to the client. false: ask again. */
static bool take_news(struct imap *im, struct ipc_msg *msg, bool expunge)
{
    struct imap_view *v = &im->view;
    if (!msg || msg->MB_CHANGED.verdict == IPC_TEMP)
        return true; /* still dirty: next time */
    if (msg->MB_CHANGED.verdict != IPC_OK) {
        ph_imap_server_bye(im->e, PH_IMAP_CODE_NONE, "The selected mailbox is gone.");
        return true;
    }
    v->dirty = msg->MB_CHANGED.more;
    if (imap_view_remove_later(v, msg->MB_CHANGED.gone) < 0)
        v->dirty = true;
    else
        v->modseq = msg->MB_CHANGED.modseq;
    tell_news(im, msg->MB_CHANGED.messages, expunge);
    if (!v->dirty)
        v->own_n = 0;
    return !msg->MB_CHANGED.more;
}

static void ask_news(struct imap *im, imap_then *then)
{
    uint64_t req = imap_ask(im, IPC_MB_CHANGED, then);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MB_CHANGES, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .since = im->view.modseq));
}

static void news_before_done(struct imap *im, struct ipc_msg *msg)
{
    if (take_news(im, msg, may_expunge(im)))
        answer_now(im);
    else
        ask_news(im, news_before_done);
}

void imap_finish(struct imap *im, enum ph_imap_cond cond, const struct ph_imap_code *code,
                 const char *text)
{
    im->cond = cond;
    im->code = code ? *code : (struct ph_imap_code){0};
    snprintf(im->text, sizeof im->text, "%s", text);
    if (im->view.open && may_expunge(im) && im->view.gone_n)
        tell_news(im, (ph_str){0}, true);
    if (im->view.open && im->view.dirty)
        ask_news(im, news_before_done);
    else
        answer_now(im);
}

void imap_finish_kind(struct imap *im, enum ph_imap_cond cond, enum ph_imap_code_kind kind,
                      const char *text)
{
    imap_finish(im, cond, &(struct ph_imap_code){.kind = kind}, text);
}

void imap_unavailable(struct imap *im)
{
    imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNAVAILABLE,
                     "The mail store is not available for the moment; try again.");
}

void imap_no_memory(struct imap *im)
{
    imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNAVAILABLE, "Out of memory; try again.");
}

void imap_fail(struct imap *im, int verdict, ph_str text)
{
    static const struct {
        enum ph_imap_code_kind code;
        const char *text;
    } table[] = {
        [IPC_TEMP] = {PH_IMAP_CODE_UNAVAILABLE, "Not possible for the moment; try again."},
        [IPC_DENIED] = {PH_IMAP_CODE_NOPERM, "Not permitted."},
        [IPC_NOUSER] = {PH_IMAP_CODE_NONEXISTENT, "There is no such account."},
        [IPC_NOENT] = {PH_IMAP_CODE_NONEXISTENT, "There is no such mailbox."},
        [IPC_NODATA] = {PH_IMAP_CODE_NONEXISTENT, "There is nothing."},
        [IPC_EXISTS] = {PH_IMAP_CODE_ALREADYEXISTS, "It exists already."},
        [IPC_QUOTA] = {PH_IMAP_CODE_OVERQUOTA, "The quota is used up."},
        [IPC_INUSE] = {PH_IMAP_CODE_INUSE, "In use by another session."},
        [IPC_LIMIT] = {PH_IMAP_CODE_LIMIT, "A limit was reached."},
        [IPC_FULL] = {PH_IMAP_CODE_UNAVAILABLE, "The disk is full."},
        [IPC_INVALID] = {PH_IMAP_CODE_CANNOT, "Not acceptable."},
    };
    char sentence[IMAP_TEXT];
    bool known = verdict > 0 && verdict <= IPC_INVALID;
    snprintf(sentence, sizeof sentence, "%.*s",
             PH_FMT(text.n ? text : ph_str_c(known ? table[verdict].text : "It failed.")));
    imap_finish_kind(im, PH_IMAP_NO, known ? table[verdict].code : PH_IMAP_CODE_SERVERBUG,
                     sentence);
}

bool imap_resolve(struct imap *im, const struct ph_imap_set *set, struct imap_ranges *ret)
{
    struct ph_arena *a = ph_imap_server_arena(im->e);
    int r = a ? imap_view_resolve(&im->view, set, im->cmd->uid, a, ret) : -PH_ENOMEM;
    if (r == -PH_ENOMEM)
        imap_no_memory(im);
    else if (r < 0)
        imap_finish(im, PH_IMAP_BAD, NULL, "There is no message with such a number.");
    return r == 0;
}

/* ---- telling
 * ---------------------------------------------------------------------------------------------------
 */

struct ph_imap_flags imap_flags(const struct imap *im, const struct ipc_message *m)
{
    /* The bits of IPC and of the engine are the same five. */
    bool recent = im->view.recent_from && m->uid >= im->view.recent_from;
    return (struct ph_imap_flags){(m->flags & 31u) | (recent ? (unsigned)PH_IMAP_RECENT : 0),
                                  m->keywords};
}

void imap_tell_all_flags(struct imap *im)
{
    ph_imap_server_flags(im->e, &(struct ph_imap_flags){31, ph_buf_str(&im->view.keywords)});
}

void imap_tell_keywords(struct imap *im, ph_str keywords)
{
    if (imap_view_learn(&im->view, keywords))
        imap_tell_all_flags(im);
}

void imap_tell_flags(struct imap *im, uint32_t place, const struct ipc_message *m)
{
    struct ph_imap_flags f = imap_flags(im, m);
    imap_tell_keywords(im, m->keywords);
    ph_imap_server_fetch_begin(im->e, place + 1);
    ph_imap_server_fetch_uid(im->e, m->uid);
    ph_imap_server_fetch_flags(im->e, &f);
    ph_imap_server_fetch_end(im->e);
}

ph_str imap_name(struct imap *im, ph_str name)
{
    if (name.n > 1 && name.p[name.n - 1] == '/')
        name.n--;
    bool inbox = name.n >= 5 && ph_str_ieq(ph_str_sub(name, 0, 5), PH_STR("INBOX")) &&
                 (name.n == 5 || name.p[5] == '/');
    if (!inbox || memcmp(name.p, "INBOX", 5) == 0)
        return name;
    struct ph_arena *a = ph_imap_server_arena(im->e);
    return a ? ph_arena_printf(a, "INBOX%.*s", PH_FMT(ph_str_skip(name, 5))) : name;
}

/* ---- log-in
 * ----------------------------------------------------------------------------------------------------
 */

static void start_login(struct imap *im, const char *mechanism, ph_str user, ph_str password)
{
    int r = session_login(im->s, mechanism, user, password);
    if (r == -PH_EINVAL)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_AUTHENTICATIONFAILED,
                         "Wrong user name or password.");
    else if (r < 0)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNAVAILABLE,
                         "Logging in is not possible for the moment; try again.");
}

static void on_login(struct session *s, int verdict)
{
    struct imap *im = s->state;
    if (!im->cmd)
        return;
    if (verdict == IPC_OK) {
        imap_finish(im, PH_IMAP_OK, NULL, "Logged in.");
    } else if (verdict == IPC_DENIED) {
        bool last = ++im->failures >= FAILURES_MAX;
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_AUTHENTICATIONFAILED,
                         "Wrong user name or password.");
        if (last)
            ph_imap_server_bye(im->e, PH_IMAP_CODE_NONE, "Too many wrong passwords.");
    } else {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNAVAILABLE,
                         "Logging in is not possible for the moment; try again.");
    }
}

static void run_login(struct imap *im)
{
    start_login(im, "PLAIN", im->cmd->login.user, im->cmd->login.password);
}

static void sasl_step(struct imap *im, ph_str given, bool has)
{
    int r = ph_sasl_server_step(im->sasl, given, has);
    if (r == PH_SASL_MORE)
        ph_imap_server_challenge(im->e, im->sasl->challenge);
    else if (r == PH_SASL_DONE)
        start_login(im, "PLAIN", im->sasl->user, im->sasl->password);
    else if (r == -PH_EDENIED)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_AUTHORIZATIONFAILED,
                         "You cannot act for another user.");
    else
        imap_finish(im, PH_IMAP_BAD, NULL, "The response does not fit the mechanism.");
}

static void run_authenticate(struct imap *im)
{
    const struct ph_imap_command *c = im->cmd;
    bool plain = ph_str_ieq(c->auth.mechanism, PH_STR("PLAIN")); /* the one that is offered */
    im->sasl = plain ? calloc(1, sizeof *im->sasl) : NULL;
    if (!plain || (im->sasl && ph_sasl_server_init(im->sasl, c->auth.mechanism, PH_SASL_PASSWORD, NULL) < 0))
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_CANNOT, "This mechanism is not offered.");
    else if (!im->sasl)
        imap_no_memory(im);
    else
        sasl_step(im, c->auth.initial, c->auth.has_initial);
}

/* ---- NOOP, CHECK, NAMESPACE, IDLE
 * ----------------------------------------------------------------------------------- */

static void run_noop(struct imap *im)
{
    imap_finish(im, PH_IMAP_OK, NULL, "Done.");
}

static void checked(struct imap *im, struct ipc_msg *msg)
{
    if (!msg)
        imap_unavailable(im);
    else if (msg->STORE_DONE.verdict != IPC_OK)
        imap_fail(im, msg->STORE_DONE.verdict, msg->STORE_DONE.text);
    else
        imap_finish(im, PH_IMAP_OK, NULL, "All is on disk.");
}

static void run_check(struct imap *im)
{
    uint64_t req = imap_ask(im, IPC_STORE_DONE, checked);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), SYNC, -1, .req = req, .session = im->s->grant));
}

static void run_namespace(struct imap *im)
{
    ph_imap_server_namespace(im->e, '/');
    imap_finish(im, PH_IMAP_OK, NULL, "Done.");
}

static void idle_news(struct imap *im, struct ipc_msg *msg)
{
    if (!im->idling) { /* IDLE was cut short: nothing may be told between commands */
        im->view.dirty = true;
        return;
    }
    bool all = take_news(im, msg, true);
    if (im->idle_over) {
        im->idling = false;
        imap_finish(im, PH_IMAP_OK, NULL, "Idled.");
    } else if (msg && (!all || im->view.dirty)) {
        ask_news(im, idle_news);
    }
}

static void run_idle(struct imap *im)
{
    im->idling = true;
    ph_imap_server_accept(im->e);
    if (im->view.open && im->view.gone_n)
        tell_news(im, (ph_str){0}, true);
    if (im->view.open && im->view.dirty)
        ask_news(im, idle_news);
}

static void idle_end(struct imap *im)
{
    im->idle_over = true;
    if (im->waiting)
        return;
    im->idling = false;
    imap_finish(im, PH_IMAP_OK, NULL, "Idled.");
}

static void on_pushed(struct session *s, struct ipc_msg *msg)
{
    struct imap *im = s->state;
    if (!im->view.open || msg->MB_EVENT.mailbox != im->view.mailbox)
        return;
    im->view.dirty = true;
    if (im->idling && !im->idle_over && !im->waiting)
        ask_news(im, idle_news);
}

/* ---- events
 * ---------------------------------------------------------------------------------------------------------
 */

static imap_run *const runs[PH_IMAP_VERB_COUNT] = {
    [PH_IMAP_NOOP] = run_noop,
    [PH_IMAP_LOGIN] = run_login,
    [PH_IMAP_AUTHENTICATE] = run_authenticate,
    [PH_IMAP_SELECT] = imap_run_select,
    [PH_IMAP_EXAMINE] = imap_run_select,
    [PH_IMAP_CREATE] = imap_run_create,
    [PH_IMAP_DELETE] = imap_run_change,
    [PH_IMAP_RENAME] = imap_run_change,
    [PH_IMAP_SUBSCRIBE] = imap_run_change,
    [PH_IMAP_UNSUBSCRIBE] = imap_run_change,
    [PH_IMAP_LIST] = imap_run_list,
    [PH_IMAP_LSUB] = imap_run_list,
    [PH_IMAP_NAMESPACE] = run_namespace,
    [PH_IMAP_STATUS] = imap_run_status,
    [PH_IMAP_APPEND] = imap_run_append,
    [PH_IMAP_IDLE] = run_idle,
    [PH_IMAP_CHECK] = run_check,
    [PH_IMAP_CLOSE] = imap_run_close,
    [PH_IMAP_UNSELECT] = imap_run_unselect,
    [PH_IMAP_EXPUNGE] = imap_run_expunge,
    [PH_IMAP_SEARCH] = imap_run_search,
    [PH_IMAP_FETCH] = imap_run_fetch,
    [PH_IMAP_STORE] = imap_run_store,
    [PH_IMAP_COPY] = imap_run_copy,
    [PH_IMAP_MOVE] = imap_run_copy,
};

static void begin_command(struct imap *im)
{
    im->deferred = false;
    if (runs[im->cmd->verb])
        runs[im->cmd->verb](im);
    else
        imap_finish(im, PH_IMAP_BAD, NULL, "This command is not implemented here.");
}

static void one_event(struct imap *im, const struct ph_imap_server_event *ev)
{
    switch (ev->kind) {
    case PH_IMAP_SRV_COMMAND:
        im->cmd = ev->command;
        im->deferred = im->waiting != 0;
        if (!im->deferred)
            begin_command(im);
        break;
    case PH_IMAP_SRV_DATA:
        imap_append_data(im, ev->data);
        break;
    case PH_IMAP_SRV_DATA_END:
        imap_append_end(im);
        break;
    case PH_IMAP_SRV_RESPONSE:
        sasl_step(im, ev->data, true);
        break;
    case PH_IMAP_SRV_IDLE_END:
        idle_end(im);
        break;
    case PH_IMAP_SRV_ABORT:
        end_command(im);
        break;
    case PH_IMAP_SRV_DRAINED:
        if (im->resume) {
            void (*resume)(struct imap *) = im->resume;
            im->resume = NULL;
            resume(im);
        }
        break;
    case PH_IMAP_SRV_CLOSED:
    case PH_IMAP_SRV_NEED:
        break;
    }
}

static void on_events(struct session *s)
{
    struct imap *im = s->state;
    struct ph_imap_server_event ev;
    if (im->deferred && !im->waiting)
        begin_command(im);
    while (ph_imap_server_next(im->e, &ev) != PH_IMAP_SRV_NEED)
        one_event(im, &ev);
}

/* ---- life
 * -------------------------------------------------------------------------------------------------------------
 */

static int on_begin(struct session *s)
{
    char greeting[300];
    struct imap *im = calloc(1, sizeof *im);
    if (!im)
        return -PH_ENOMEM;
    imap_view_close(&im->view);
    im->s = s;
    s->state = im;
    snprintf(greeting, sizeof greeting, "%.*s ready.", PH_FMT(s->proc->conf->hostname));
    struct ph_imap_server_options opt = {
        .struct_size = sizeof opt,
        .caps = caps,
        .secure = s->service == IPC_IMAPS,
        .starttls = s->service == IPC_IMAP,
        .plaintext = session_may_plaintext(s),
        .greeting = ph_str_c(greeting),
        .product = PH_STR("Posthouse"),
        .append_max = (uint64_t)s->proc->conf->max_message_size,
        .idle_timeout_ms = s->proc->conf->idle_timeout,
    };
    im->e = ph_imap_server_new(NULL, &opt);
    s->engine = im->e;
    return im->e ? 0 : -PH_ENOMEM;
}

static int on_refuse(struct session *s, const char *why)
{
    int r = on_begin(s);
    if (r == 0)
        ph_imap_server_bye(s->engine, PH_IMAP_CODE_UNAVAILABLE, why);
    return r;
}

static void on_secured(struct session *s, const struct ph_tls_info *info)
{
    (void)info;
    ph_imap_server_tls_started(s->engine);
}

static void on_gone(struct session *s, const char *why)
{
    ph_imap_server_bye(s->engine, PH_IMAP_CODE_UNAVAILABLE, why);
}

static void on_drain(struct session *s)
{
    ph_imap_server_bye(s->engine, PH_IMAP_CODE_UNAVAILABLE, "The server is going down.");
}

static void on_end(struct session *s)
{
    struct imap *im = s->state;
    if (im) {
        end_command(im);
        imap_view_close(&im->view);
        ph_imap_server_free(im->e);
        free(im);
    }
    s->state = s->engine = NULL;
}

const struct session_kind imap_session = {
    .name = "imap",
    .ops = &ph_imap_server_ops,
    .uses_store = true,
    .begin = on_begin,
    .refuse = on_refuse,
    .events = on_events,
    .secured = on_secured,
    .login = on_login,
    .answer = on_answer,
    .pushed = on_pushed,
    .gone = on_gone,
    .drain = on_drain,
    .end = on_end,
};
