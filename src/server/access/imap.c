/*
 * IMAP for the access process: the session, its commands' table, log-in, IDLE, and the news before
 * every tagged answer.
 *
 *   IDLE    COMMAND -> accept -> (MB_EVENT -> MB_CHANGES -> EXPUNGE, EXISTS, FETCH)*
 *                   -> IDLE_END -> done
 *   others  COMMAND -> run -> ... -> imap_finish -> (dirty? MB_CHANGES -> news) -> done
 */
#include "imap_session.h"
#include "log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the files here implement. Commands and arguments of any other capability are refused by the
 * engine. */
static const uint64_t caps =
    PH_IMAP_CAP(IDLE) | PH_IMAP_CAP(NAMESPACE) | PH_IMAP_CAP(UNSELECT) | /* imap.c */
    PH_IMAP_CAP(CHILDREN) | PH_IMAP_CAP(SPECIAL_USE) |
    PH_IMAP_CAP(LIST_EXTENDED) |                                           /* imap_list.c */
    PH_IMAP_CAP(LIST_STATUS) | PH_IMAP_CAP(CREATE_SPECIAL_USE) |           /* imap_mailbox.c */
    PH_IMAP_CAP(STATUS_SIZE) | PH_IMAP_CAP(UIDPLUS) | PH_IMAP_CAP(MOVE) |  /* imap_change.c */
    PH_IMAP_CAP(CONDSTORE) | PH_IMAP_CAP(QRESYNC) |                        /* imap_resync.c */
    PH_IMAP_CAP(WITHIN) | PH_IMAP_CAP(SAVEDATE) | PH_IMAP_CAP(OBJECTID) |  /* imap_match.c */
    PH_IMAP_CAP(I18NLEVEL_1) | PH_IMAP_CAP(INPROGRESS) |                   /* imap_search.c */
    PH_IMAP_CAP(ESEARCH) | PH_IMAP_CAP(SEARCHRES) | PH_IMAP_CAP(PARTIAL) | /* imap_result.c */
    PH_IMAP_CAP(SORT) | PH_IMAP_CAP(SORT_DISPLAY) | PH_IMAP_CAP(ESORT) |   /* imap_sort.c */
    PH_IMAP_CAP(THREAD_ORDEREDSUBJECT) | PH_IMAP_CAP(THREAD_REFERENCES) |  /* imap_thread.c */
    PH_IMAP_CAP(THREAD_REFS) |                                             /* imap_thread.c */
    PH_IMAP_CAP(BINARY) | PH_IMAP_CAP(PREVIEW) | PH_IMAP_CAP(UIDONLY) |    /* imap_fetch_tell.c */
    PH_IMAP_CAP(APPENDLIMIT) | PH_IMAP_CAP(UTF8_ACCEPT) |
    PH_IMAP_CAP(IMAP4REV2) |                          /* imap_append.c */
    PH_IMAP_CAP(MULTIAPPEND) | PH_IMAP_CAP(REPLACE) | /* imap_append.c */
    PH_IMAP_CAP(UNAUTHENTICATE) |                     /* imap_login.c */
    PH_IMAP_CAP(QUOTA) | PH_IMAP_CAP(QUOTA_STORAGE) | PH_IMAP_CAP(QUOTA_MESSAGE); /* imap_quota.c */

/* ---- requests ------------------------------------------------------------------------------- */

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

uint64_t imap_ask_ahead(struct imap *im, enum ipc_type answer, imap_then *then)
{
    im->ahead = imap_store(im) ? session_ask(im->s, ROLE_STORE, answer) : 0;
    im->ahead_then = then;
    return im->ahead;
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
    bool ahead = req == im->ahead;
    imap_then *then = ahead ? im->ahead_then : im->then;
    if ((!ahead && req != im->waiting) || !then)
        return;
    if (ahead)
        im->ahead = 0;
    else
        im->waiting = 0;
    then(im, msg);
}

/* ---- commands
 */

void imap_end_command(struct imap *im)
{
    if (im->job_free && im->job)
        im->job_free(im->job);
    im->job = NULL;
    im->job_free = NULL;
    if (im->staged && imap_store(im))
        ipc_send(imap_store(im), MSG_APPEND, -1, .session = im->s->grant, .more = 1);
    im->staged = false;
    session_unask(im->s, im->ahead);
    im->ahead = 0;
    im->ahead_then = NULL;
    im->resume = NULL;
    im->cmd = NULL;
    im->resync = NULL;
    im->expunged = false;
    im->idling = im->idle_over = false;
    session_auth_cancel(im->s);
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

/* ---- NOOP, CHECK, NAMESPACE, IDLE ----------------------------------------------------------- */

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
    bool all = imap_take_news(im, msg, true);
    if (im->idle_over) {
        im->idling = false;
        imap_finish(im, PH_IMAP_OK, NULL, "Idled.");
    } else if (msg && (!all || im->view.dirty)) {
        imap_ask_news(im, idle_news);
    }
}

static void run_idle(struct imap *im)
{
    im->idling = true;
    ph_imap_server_accept(im->e);
    if (im->view.open && im->view.gone_n)
        imap_tell_pending(im);
    if (im->view.open && im->view.dirty)
        imap_ask_news(im, idle_news);
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
    if (!im->view.open) { /* it may have overtaken the answer to MB_OPEN */
        im->early_mailbox = msg->MB_EVENT.mailbox;
        im->early_modseq = msg->MB_EVENT.modseq;
    }
    if (!im->view.open || msg->MB_EVENT.mailbox != im->view.mailbox)
        return;
    im->view.dirty = true;
    if (im->idling && !im->idle_over && !im->waiting)
        imap_ask_news(im, idle_news);
}

/* ---- events --------------------------------------------------------------------------------- */

static imap_run *const runs[PH_IMAP_VERB_COUNT] = {
    [PH_IMAP_NOOP] = run_noop,
    [PH_IMAP_ENABLE] = run_noop,
    [PH_IMAP_LOGIN] = imap_run_login,
    [PH_IMAP_AUTHENTICATE] = imap_run_authenticate,
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
    [PH_IMAP_REPLACE] = imap_run_replace,
    [PH_IMAP_UNAUTHENTICATE] = imap_run_unauthenticate,
    [PH_IMAP_GETQUOTA] = imap_run_quota,
    [PH_IMAP_GETQUOTAROOT] = imap_run_quota,
    [PH_IMAP_IDLE] = run_idle,
    [PH_IMAP_CHECK] = run_check,
    [PH_IMAP_CLOSE] = imap_run_close,
    [PH_IMAP_UNSELECT] = imap_run_unselect,
    [PH_IMAP_EXPUNGE] = imap_run_expunge,
    [PH_IMAP_SEARCH] = imap_run_search,
    [PH_IMAP_SORT] = imap_run_search,
    [PH_IMAP_THREAD] = imap_run_search,
    [PH_IMAP_FETCH] = imap_run_fetch,
    [PH_IMAP_STORE] = imap_run_store,
    [PH_IMAP_COPY] = imap_run_copy,
    [PH_IMAP_MOVE] = imap_run_copy,
};

/* The first command that enables CONDSTORE tells where the selected mailbox is (RFC 7162 3.1). */
static void tell_modseq(struct imap *im)
{
    bool counts = imap_enabled(im, PH_IMAP_CAP(CONDSTORE));
    bool selects = im->cmd->verb == PH_IMAP_SELECT || im->cmd->verb == PH_IMAP_EXAMINE;
    if (counts && !im->counts && im->view.open && !selects)
        ph_imap_server_condition(im->e, PH_IMAP_OK,
                                 &(struct ph_imap_code){.kind = PH_IMAP_CODE_HIGHESTMODSEQ,
                                                        .n = im->view.modseq ? im->view.modseq : 1},
                                 "Changes are counted.");
    im->counts = counts;
}

static void begin_command(struct imap *im)
{
    im->deferred = false;
    tell_modseq(im);
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
    case PH_IMAP_SRV_MORE:
        imap_append_more(im);
        break;
    case PH_IMAP_SRV_DATA:
        imap_append_data(im, ev->data);
        break;
    case PH_IMAP_SRV_DATA_END:
        imap_append_end(im);
        break;
    case PH_IMAP_SRV_RESPONSE:
        imap_run_response(im, ev->data);
        break;
    case PH_IMAP_SRV_IDLE_END:
        idle_end(im);
        break;
    case PH_IMAP_SRV_ABORT:
        imap_end_command(im);
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

/* ---- life ----------------------------------------------------------------------------------- */

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
        .compress = true,
        .plaintext = session_may_plaintext(s),
        .greeting = ph_str_c(greeting),
        .product = PH_STR("Posthouse"),
        .append_max = (uint64_t)s->proc->conf->max_message_size,
        .idle_timeout_ms = s->proc->conf->idle_timeout,
    };
    im->e = ph_imap_server_new(NULL, &opt);
    s->engine = im->e;
    if (!im->e)
        return -PH_ENOMEM;
    imap_offer_mechanisms(im);
    return 0;
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
    imap_offer_mechanisms(s->state);
}

static void on_compressed(struct session *s)
{
    ph_imap_server_compressed(s->engine);
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
        imap_end_command(im);
        imap_view_close(&im->view);
        imap_forget_saved(im);
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
    .compressed = on_compressed,
    .challenge = imap_on_challenge,
    .login = imap_on_login,
    .answer = on_answer,
    .pushed = on_pushed,
    .gone = on_gone,
    .drain = on_drain,
    .end = on_end,
};
