/*
 * POP3 sessions of the access process: the engine's three questions (LOGIN, MAIL, UPDATE) asked of
 * keeper and store.
 *
 *   LOGIN   -> keeper -> MB_OPEN (the only POP3 session of this account)
 *           -> MSG_LIST, page by page -> welcome
 *   MAIL    -> MSG_BODY -> the body, in the frame or a memory file; or, when one follows the other,
 *           from a page of letters: the store reads the next page while this one is given
 *   UPDATE  -> (MSG_FLAGS +\Deleted -> MSG_EXPUNGE of exactly these), in sets of bounded length
 *           -> MB_CLOSE -> +OK
 *
 * The first time that a letter is given is the last step of its journey.
 */
#include "file.h"
#include "random.h"
#include "session.h"
#include "surrogate.h"
#include <posthouse/pop3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    UIDS_MAX = 500000, /* octets of one set of uids; messages.def allows 524288 */
    BODY_MAX = 262144, /* octets of a body that came in a frame */
    PAGE_FIRST = 8,    /* letters asked for at a time when they are fetched one after the other */
    PAGE_LAST = 256,   /* ... as they go on */
    PAGE_MAX = 1024 * 1024,
    READ_MAX = 1024,
    HEAD_MAX = 16 * 1024 * 1024
};

static const char busy_text[] = "the mailbox can not be reached now, try again later";

/* Letters that follow one another. */
struct page {
    struct ph_buf bytes;
    ph_str rows; /* those that are not given yet */
};

enum { STAMP_MAX = 250 };

struct pop3 {
    char stamp[STAMP_MAX + 1]; /* of the greeting, where APOP is possible */
    void (*answer)(struct session *s,
                   struct ipc_msg *msg); /* to the request under way; msg may be NULL */
    uint64_t req, mailbox;
    uint32_t uidvalidity;
    struct ph_buf body; /* of the message being written, where it is not in the page, or: */
    ph_str mapped;
    struct ph_buf head; /* in ASCII, for a client without UTF8; `rest` is what follows */
    ph_str rest;
    struct page page, ahead;
    uint64_t ahead_req; /* under way: the answer is for `ahead` */
    uint32_t next;      /* number of the message behind both; 0: not known */
    uint32_t letters;   /* how many to ask for */
    uint32_t wanted;    /* number of the message asked for last */
    bool waits;         /* ... for `ahead` */
    struct ph_buf read; /* uids given for the first time: the store is yet to be told */
    struct ph_buf uids; /* being removed */
    uint32_t at;        /* the first message not yet looked at by UPDATE */
    bool all;           /* that was to be removed, was */
};

static void forget_page(struct page *g)
{
    g->rows = (ph_str){0};
    ph_buf_clear(&g->bytes);
    ph_buf_shrink(&g->bytes);
}

/* The engine has written it. */
static void forget_body(struct pop3 *p)
{
    p->rest = (ph_str){0};
    ph_buf_clear(&p->head);
    ph_buf_shrink(&p->head);
    if (p->mapped.n)
        ph_unmap(p->mapped);
    p->mapped = (ph_str){0};
    ph_buf_clear(&p->body);
    ph_buf_shrink(&p->body);
    if (!p->page.rows.n)
        forget_page(&p->page);
}

/* Sends a request of the store; false when that can not be done. */
#define ASK(s, NAME, ANSWER, handler, ...)                                                         \
    (ask_begin((s), IPC_##ANSWER, (handler)) &&                                                    \
     ask_sent((s), ipc_send(session_chan((s), ROLE_STORE), NAME, -1,                               \
                            .req = ((struct pop3 *)(s)->state)->req, .session = (s)->grant,        \
                            __VA_ARGS__)))

static bool ask_begin(struct session *s, enum ipc_type answer,
                      void (*handler)(struct session *, struct ipc_msg *))
{
    struct pop3 *p = s->state;
    p->req = session_chan(s, ROLE_STORE) ? session_ask(s, ROLE_STORE, answer) : 0;
    p->answer = handler;
    return p->req;
}

static bool ask_sent(struct session *s, int r)
{
    struct pop3 *p = s->state;
    if (r < 0) {
        session_unask(s, p->req);
        p->req = 0;
    }
    return r >= 0;
}

static void refuse_now(struct session *s)
{
    ph_pop3_server_refuse(s->engine, PH_POP3_CODE_SYS_TEMP, ph_str_c(busy_text));
}

/* ---- LOGIN ------------------------------------------------------------------------------- */

static void on_listed(struct session *s, struct ipc_msg *msg);

static bool list_from(struct session *s, uint32_t uid)
{
    struct pop3 *p = s->state;
    char uids[32];
    snprintf(uids, sizeof uids, "%u:4294967295", (unsigned)uid);
    return ASK(s, MSG_LIST, MSG_LISTED, on_listed, .mailbox = p->mailbox, .uids = ph_str_c(uids),
               .mask = IPC_F_SIZE | IPC_F_UIDL);
}

static void on_listed(struct session *s, struct ipc_msg *msg)
{
    struct pop3 *p = s->state;
    struct ipc_message m;
    int r = msg && msg->MSG_LISTED.verdict == IPC_OK ? 0 : -PH_EAGAIN;
    ph_str rows = msg ? msg->MSG_LISTED.messages : (ph_str){0};
    while (r == 0 && ipc_each(message, &rows, &m)) {
        r = ph_pop3_server_message(s->engine, m.size, m.uid);
        if (r == 0 && m.uidl.n && ph_pop3_server_uidl(s->engine, m.uidl) == -PH_ENOMEM)
            r = -PH_ENOMEM;
    }
    if (r == -PH_ELIMIT)
        ph_pop3_server_refuse(s->engine, PH_POP3_CODE_SYS_PERM,
                              PH_STR("there are too many messages for POP3; use IMAP"));
    else if (r < 0)
        refuse_now(s);
    else if (msg->MSG_LISTED.next == 0)
        ph_pop3_server_welcome(s->engine, p->uidvalidity);
    else if (!list_from(s, msg->MSG_LISTED.next))
        refuse_now(s);
}

static void on_opened(struct session *s, struct ipc_msg *msg)
{
    struct pop3 *p = s->state;
    struct ipc_mailbox inbox;
    ph_str rows = msg ? msg->MB_OPENED.mailbox : (ph_str){0};
    if (msg && msg->MB_OPENED.verdict == IPC_INUSE) {
        ph_pop3_server_refuse(s->engine, PH_POP3_CODE_IN_USE,
                              PH_STR("another POP3 session has this mailbox"));
        return;
    }
    if (!msg || msg->MB_OPENED.verdict != IPC_OK || !ipc_each(mailbox, &rows, &inbox)) {
        refuse_now(s);
        return;
    }
    p->mailbox = inbox.id;
    p->uidvalidity = inbox.uidvalidity;
    if (inbox.messages == 0)
        ph_pop3_server_welcome(s->engine, p->uidvalidity);
    else if (!list_from(s, 1))
        refuse_now(s);
}

static void on_login(struct session *s, int verdict)
{
    if (verdict == IPC_DENIED)
        ph_pop3_server_refuse(s->engine, PH_POP3_CODE_AUTH, PH_STR("wrong user name or password"));
    else if (verdict == IPC_NOUSER)
        ph_pop3_server_refuse(s->engine, PH_POP3_CODE_AUTH,
                              PH_STR("you can log in as yourself only"));
    else if (verdict == IPC_INVALID)
        ph_pop3_server_refuse(s->engine, PH_POP3_PLAIN_ERR,
                              PH_STR("that is not a response of this mechanism"));
    else if (verdict == IPC_LIMIT)
        ph_pop3_server_refuse(s->engine, PH_POP3_CODE_SYS_TEMP,
                              PH_STR("too many sessions of this account, end one of them first"));
    else if (verdict != IPC_OK ||
             !ASK(s, MB_OPEN, MB_OPENED, on_opened, .name = PH_STR("INBOX"), .mode = IPC_OPEN_POP3))
        refuse_now(s);
}

static void challenge(struct session *s, ph_str raw)
{
    ph_pop3_server_challenge(s->engine, raw);
}

static void offer(struct session *s)
{
    struct ph_buf mechanisms;
    ph_buf_init(&mechanisms, NULL, 256);
    session_mechanisms(s, &mechanisms);
    (void)ph_pop3_server_mechanisms(s->engine, ph_buf_str(&mechanisms));
    ph_buf_done(&mechanisms);
}

static void do_login(struct session *s, enum ph_pop3_server_ev what,
                     const struct ph_pop3_server_event *ev)
{
    int r;
    if (s->grant) { /* a login that the store could not open: the grant is still good, the password
                       is not asked for twice */
        ph_pop3_server_refuse(s->engine, PH_POP3_CODE_SYS_TEMP,
                              PH_STR("connect again to try again"));
        return;
    }
    if (what == PH_POP3_S_LOGIN)
        r = session_login(s, "USER", ev->user, ev->password);
    else if (what == PH_POP3_S_APOP)
        r = session_apop(s, ph_str_c(((struct pop3 *)s->state)->stamp), ev->user, ev->data);
    else if (what == PH_POP3_S_AUTH)
        r = session_auth(s, ev->mechanism, ev->data, ev->has_data);
    else
        r = session_auth_more(s, ev->data);
    if (r == -PH_EINVAL)
        ph_pop3_server_refuse(s->engine, PH_POP3_CODE_AUTH, PH_STR("wrong user name or password"));
    else if (r < 0)
        refuse_now(s);
}

/* ---- MAIL -------------------------------------------------------------------------------- */

/* Gives a message to the engine; borrowed until MORE. A header in UTF-8 goes to those alone who
 * asked for it (RFC 6856 2.1). */
static void give(struct session *s, ph_str body)
{
    struct pop3 *p = s->state;
    ph_str head = ph_pop3_server_utf8(s->engine) ? (ph_str){0} : ph_message_head(body);
    ph_buf_clear(&p->head);
    if (!ph_surrogate_needed(head)) {
        ph_pop3_server_body(s->engine, body, true);
    } else if (ph_surrogate_head(head, &p->head) < 0) {
        refuse_now(s);
    } else {
        p->rest = ph_str_skip(body, head.n);
        ph_pop3_server_body(s->engine, ph_buf_str(&p->head), false);
    }
}

/* MORE: the rest of it, or nothing. */
static void give_rest(struct session *s)
{
    struct pop3 *p = s->state;
    ph_str rest = p->rest;
    p->rest = (ph_str){0};
    if (p->head.n && rest.p)
        ph_pop3_server_body(s->engine, rest, true);
    else
        forget_body(p);
}

static void on_bodied(struct session *s, struct ipc_msg *msg)
{
    struct pop3 *p = s->state;
    if (!msg || msg->MSG_BODIED.verdict != IPC_OK) {
        bool gone = msg && msg->MSG_BODIED.verdict == IPC_NOENT;
        ph_pop3_server_refuse(s->engine, gone ? PH_POP3_PLAIN_ERR : PH_POP3_CODE_SYS_TEMP,
                              gone ? PH_STR("this message was removed in another session")
                                   : ph_str_c(busy_text));
        return;
    }
    const struct ipc_MSG_BODIED *m = &msg->MSG_BODIED;
    ph_str body = {0};
    int r = 0;
    forget_body(p);
    if (msg->fd >= 0) {
        r = ph_memfile_map(msg->fd, m->size, &p->mapped);
        body = p->mapped;
    } else {
        ph_buf_add(&p->body, m->body);
        r = ph_buf_err(&p->body);
        body = ph_buf_str(&p->body);
    }
    if (r < 0) {
        refuse_now(s);
        return;
    }
    session_tell_read(s, m->journey, m->qid, "POP3");
    give(s, body);
}

static void ask_body(struct session *s)
{
    struct pop3 *p = s->state;
    uint32_t uid = (uint32_t)ph_pop3_server_uid(s->engine, p->wanted);
    if (!ASK(s, MSG_BODY, MSG_BODIED, on_bodied, .mailbox = p->mailbox, .uid = uid))
        refuse_now(s);
}

/* A delivery that its owner did not have before. */
static void note_reading(struct session *s, const struct ipc_message *m)
{
    struct pop3 *p = s->state;
    session_tell_read(s, m->journey, m->qid, "POP3");
    ph_buf_addf(&p->read, "%s%u", p->read.n ? "," : "", (unsigned)m->uid);
    if (p->read.n > READ_MAX / 2)
        session_were_read(s, p->mailbox, &p->read);
}

/* Gives the message from the page; false: it is not there. The page stays until the engine has
 * written it. */
static bool give_from_page(struct session *s)
{
    struct pop3 *p = s->state;
    struct ipc_message m = {0};
    ph_str rest = p->page.rows;
    uint64_t uid = ph_pop3_server_uid(s->engine, p->wanted);
    while (ipc_each(message, &rest, &m) && m.uid < uid)
        p->page.rows = rest;
    ph_str body = m.uid == uid ? session_body(s, &m, &p->body) : (ph_str){0};
    if (body.n == 0)
        return false;
    p->page.rows = rest;
    if (m.flags & IPC_FRESH)
        note_reading(s, &m);
    give(s, body);
    return true;
}

/* The letters from p->next on, into `ahead`. */
static bool ask_ahead(struct session *s)
{
    struct pop3 *p = s->state;
    struct ipc_chan *store = session_chan(s, ROLE_STORE);
    char uids[32];
    uint32_t count = ph_pop3_server_count(s->engine), first = p->next;
    if (!store || first == 0 || first >= count)
        return false;
    p->letters = !p->letters ? PAGE_FIRST : p->letters < PAGE_LAST ? 2 * p->letters : PAGE_LAST;
    p->next = count - first < p->letters ? count : first + p->letters;
    snprintf(uids, sizeof uids, "%u:%u", (unsigned)ph_pop3_server_uid(s->engine, first),
             (unsigned)ph_pop3_server_uid(s->engine, p->next - 1));
    p->ahead_req = session_ask(s, ROLE_STORE, IPC_MSG_LISTED);
    if (p->ahead_req && ipc_send(store, MSG_LIST, -1, .req = p->ahead_req, .session = s->grant,
                                 .mailbox = p->mailbox, .uids = ph_str_c(uids),
                                 .mask = IPC_F_BODY | IPC_F_FRESH) < 0) {
        session_unask(s, p->ahead_req);
        p->ahead_req = 0;
    }
    if (p->ahead_req)
        ipc_chan_flush(store);
    return p->ahead_req;
}

/* `ahead` becomes the page, of which the wanted message is given. */
static bool turn_page(struct session *s)
{
    struct pop3 *p = s->state;
    struct page old = p->page;
    p->page = p->ahead;
    p->ahead = old;
    forget_page(&p->ahead);
    bool given = give_from_page(s);
    if (given)
        ask_ahead(s);
    return given;
}

static void on_ahead(struct session *s, struct ipc_msg *msg)
{
    struct pop3 *p = s->state;
    bool have = msg && msg->MSG_LISTED.verdict == IPC_OK;
    ph_buf_clear(&p->ahead.bytes);
    ph_buf_add(&p->ahead.bytes, have ? msg->MSG_LISTED.messages : (ph_str){0});
    p->ahead.rows = ph_buf_err(&p->ahead.bytes) ? (ph_str){0} : ph_buf_str(&p->ahead.bytes);
    if (have && msg->MSG_LISTED.next) /* not all of them had room */
        while (p->next > 1 && ph_pop3_server_uid(s->engine, p->next - 1) >= msg->MSG_LISTED.next)
            p->next--;
    if (!p->waits)
        return;
    p->waits = false;
    if (!turn_page(s))
        ask_body(s);
}

/* Not one after the other: what was read ahead is of no use. */
static void stop_reading_ahead(struct pop3 *p)
{
    p->ahead_req = p->next = p->letters = 0;
    forget_page(&p->page);
    forget_page(&p->ahead);
}

/* The wanted message from what is read ahead. false: it must be asked for by itself. */
static bool give_from_ahead(struct session *s)
{
    struct pop3 *p = s->state;
    if (p->ahead.rows.n)
        return turn_page(s);
    if (!p->ahead_req) {
        p->next = p->wanted;
        ask_ahead(s);
    }
    p->waits = p->ahead_req;
    return p->waits;
}

static void do_mail(struct session *s, uint32_t number)
{
    struct pop3 *p = s->state;
    bool next = number == p->wanted + 1;
    p->wanted = number;
    if (!next)
        stop_reading_ahead(p);
    if (!next || (!give_from_page(s) && !give_from_ahead(s)))
        ask_body(s);
}

/* ---- UPDATE ------------------------------------------------------------------------------ */

static void remove_more(struct session *s);

/* The lock is given back before +OK: who hears that may come again at once. */
static void finish_update(struct session *s)
{
    struct pop3 *p = s->state;
    struct ipc_chan *store = session_chan(s, ROLE_STORE);
    ph_buf_done(&p->uids);
    if (store)
        ipc_send(store, MB_CLOSE, -1, .session = s->grant, .mailbox = p->mailbox);
    ph_pop3_server_updated(s->engine, p->all);
}

static void on_expunged(struct session *s, struct ipc_msg *msg)
{
    struct pop3 *p = s->state;
    if (!msg || msg->MSG_EXPUNGED.verdict != IPC_OK)
        p->all = false;
    remove_more(s);
}

static void on_flagged(struct session *s, struct ipc_msg *msg)
{
    struct pop3 *p = s->state;
    if (msg && msg->MSG_FLAGGED.verdict == IPC_OK &&
        ASK(s, MSG_EXPUNGE, MSG_EXPUNGED, on_expunged, .mailbox = p->mailbox,
            .uids = ph_buf_str(&p->uids)))
        return;
    p->all = false;
    finish_update(s);
}

/* The next set of marked uids, runs of them as ranges. */
static void collect(struct session *s)
{
    struct pop3 *p = s->state;
    uint32_t count = ph_pop3_server_count(s->engine);
    ph_buf_clear(&p->uids);
    while (p->at < count && p->uids.n < UIDS_MAX - 32) {
        if (!ph_pop3_server_is_deleted(s->engine, p->at)) {
            p->at++;
            continue;
        }
        uint64_t from = ph_pop3_server_uid(s->engine, p->at), to = from;
        while (++p->at < count && ph_pop3_server_is_deleted(s->engine, p->at) &&
               ph_pop3_server_uid(s->engine, p->at) == to + 1)
            to++;
        if (from == to)
            ph_buf_addf(&p->uids, "%s%llu", p->uids.n ? "," : "", (unsigned long long)from);
        else
            ph_buf_addf(&p->uids, "%s%llu:%llu", p->uids.n ? "," : "", (unsigned long long)from,
                        (unsigned long long)to);
    }
}

static void remove_more(struct session *s)
{
    struct pop3 *p = s->state;
    collect(s);
    if (p->uids.n == 0 && ph_buf_err(&p->uids) == 0) {
        finish_update(s);
    } else if (ph_buf_err(&p->uids) ||
               !ASK(s, MSG_FLAGS, MSG_FLAGGED, on_flagged, .mailbox = p->mailbox,
                    .uids = ph_buf_str(&p->uids), .op = IPC_FLAGS_ADD, .flags = IPC_DELETED,
                    .unchanged_since = UINT64_MAX)) {
        p->all = false;
        finish_update(s);
    }
}

static void do_update(struct session *s)
{
    struct pop3 *p = s->state;
    p->at = 0;
    p->all = true;
    remove_more(s);
}

/* ---- session_kind ------------------------------------------------------------------------ */

static void events(struct session *s)
{
    struct ph_pop3_server_event ev;
    for (;;) {
        enum ph_pop3_server_ev what = ph_pop3_server_next(s->engine, &ev);
        switch (what) {
        case PH_POP3_S_NEED:
            return;
        case PH_POP3_S_LOGIN:
        case PH_POP3_S_APOP:
        case PH_POP3_S_AUTH:
        case PH_POP3_S_AUTHDATA:
            do_login(s, what, &ev);
            break;
        case PH_POP3_S_MAIL:
            do_mail(s, ev.number);
            break;
        case PH_POP3_S_MORE:
            give_rest(s);
            break;
        case PH_POP3_S_UPDATE:
            do_update(s);
            break;
        case PH_POP3_S_BROKEN:
            session_log(s, PH_LOG_DEBUG, "ended", "user=%s why=%s", s->user, ev.error.text);
            break;
        }
    }
}

/* Never the same twice (RFC 1939 7), and told to no other client: else a digest could be used
 * again. */
static void make_stamp(const struct ph_conf *conf, char stamp[STAMP_MAX + 1])
{
    ph_str host = conf->hostname;
    snprintf(stamp, STAMP_MAX + 1, "<%016llx.%lld@%.*s>", (unsigned long long)ph_random_u64(),
             (long long)ph_wall_us(), PH_FMT(ph_str_sub(host, 0, STAMP_MAX - 50)));
}

static int make(struct session *s, const char *refusal)
{
    const struct ph_conf *conf = s->proc->conf;
    struct pop3 *p = calloc(1, sizeof *p);
    s->state = p;
    if (!p)
        return -PH_ENOMEM;
    if (conf->pop3_apop)
        make_stamp(conf, p->stamp);
    struct ph_pop3_server_options o = {.struct_size = sizeof o,
                                       .host = conf->hostname,
                                       .tls_now = s->service == IPC_POP3S,
                                       .tls_possible = s->proc->tls_server,
                                       .plaintext = session_may_plaintext(s),
                                       .timeout_ms = conf->pop3_timeout,
                                       .refusal = ph_str_c(refusal),
                                       .apop_stamp = ph_str_c(p->stamp)};
    s->engine = ph_pop3_server_new(NULL, &o);
    if (!s->engine)
        return -PH_ENOMEM;
    ph_buf_init(&p->body, NULL, BODY_MAX);
    ph_buf_init(&p->head, NULL, HEAD_MAX);
    ph_buf_init(&p->page.bytes, NULL, PAGE_MAX);
    ph_buf_init(&p->ahead.bytes, NULL, PAGE_MAX);
    ph_buf_init(&p->uids, NULL, UIDS_MAX);
    ph_buf_init(&p->read, NULL, READ_MAX);
    offer(s);
    return 0;
}

static int begin(struct session *s)
{
    return make(s, "");
}

static void secured(struct session *s, const struct ph_tls_info *info)
{
    (void)info;
    ph_pop3_server_tls_started(s->engine);
    offer(s);
}

static void answer(struct session *s, uint64_t req, struct ipc_msg *msg)
{
    struct pop3 *p = s->state;
    if (req == p->ahead_req) {
        p->ahead_req = 0;
        on_ahead(s, msg);
    } else if (req == p->req) {
        p->req = 0;
        p->answer(s, msg);
    }
}

/* Marked messages stay, as when the connection breaks (RFC 1939 6). */
static void leave(struct session *s)
{
    ph_pop3_server_close(s->engine);
}

static void gone(struct session *s, const char *why)
{
    (void)why; /* nothing can be said that is not the answer to a command */
    leave(s);
}

static void end(struct session *s)
{
    struct pop3 *p = s->state;
    s->engine = ph_pop3_server_free(s->engine);
    if (p) {
        session_were_read(s, p->mailbox, &p->read);
        forget_body(p);
        ph_buf_done(&p->page.bytes);
        ph_buf_done(&p->ahead.bytes);
        ph_buf_done(&p->uids);
        free(p);
    }
    s->state = NULL;
}

const struct session_kind pop3_session = {
    .name = "pop3",
    .ops = &ph_pop3_server_ops,
    .uses_store = true,
    .begin = begin,
    .refuse = make,
    .events = events,
    .secured = secured,
    .challenge = challenge,
    .login = on_login,
    .answer = answer,
    .gone = gone,
    .drain = leave,
    .end = end,
};
