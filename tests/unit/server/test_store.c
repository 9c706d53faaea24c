/* The store process behind real channels, in one loop: keeper, queue and two access processes talk
 * to it. */
#include "conf.h"
#include "file.h"
#include "proc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- what proc gives, for one process in a test -------------------------------------------- */

enum { KEEPER, QUEUE, ACCESS0, ACCESS1, INDEXER, PEERS, INBOX_MAX = 512 };

static struct ipc_chan *to_peer[PEERS], *at_peer[PEERS]; /* the store's ends, and ours */
static const int roles[PEERS] = {ROLE_KEEPER, ROLE_QUEUE, ROLE_ACCESS, ROLE_ACCESS, ROLE_INDEXER};
static struct proc proc;
static bool finished;

struct ipc_chan *proc_peer_at(struct proc *p, int role, unsigned instance)
{
    (void)p;
    for (int i = 0; i < PEERS; i++)
        if (roles[i] == role && (i == ACCESS1) == (instance == 1))
            return to_peer[i];
    return NULL;
}

struct ipc_chan *proc_peer(struct proc *p, int role)
{
    return proc_peer_at(p, role, 0);
}

void proc_done(struct proc *p)
{
    finished = true;
    ph_loop_stop(p->loop);
}

void proc_broken(struct proc *p, struct ipc_chan *peer, const char *why)
{
    (void)p, (void)peer;
    fail_msg("broken: %s", why);
}

/* What a peer received: kept until the next wait, strings copied. */
struct letter {
    int peer;
    struct ipc_msg msg;
    char *bytes;
};
static struct letter inbox[INBOX_MAX];
static unsigned inbox_n;
static unsigned waited;

static void keep(ph_str *s, char **p)
{
    memcpy(*p, s->p, s->n);
    s->p = *p;
    *p += s->n;
}

static void at_peer_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    int peer = -1;
    (void)ctx;
    for (int i = 0; i < PEERS; i++)
        if (at_peer[i] == from)
            peer = i;
    assert_true(inbox_n < INBOX_MAX);
    struct letter *l = &inbox[inbox_n++];
    *l = (struct letter){peer, *msg, malloc(2 << 20)};
    char *p = l->bytes;
    msg->fd = -1;
    switch (msg->type) {
    case IPC_MSG_LISTED:
        keep(&l->msg.MSG_LISTED.messages, &p);
        break;
    case IPC_MB_LISTED:
        keep(&l->msg.MB_LISTED.mailboxes, &p);
        break;
    case IPC_MB_OPENED:
        keep(&l->msg.MB_OPENED.mailbox, &p), keep(&l->msg.MB_OPENED.uids, &p),
            keep(&l->msg.MB_OPENED.keywords, &p);
        break;
    case IPC_MSG_BODIED:
        keep(&l->msg.MSG_BODIED.body, &p), keep(&l->msg.MSG_BODIED.journey, &p);
        break;
    case IPC_MSG_FLAGGED:
        keep(&l->msg.MSG_FLAGGED.messages, &p), keep(&l->msg.MSG_FLAGGED.modified, &p);
        break;
    case IPC_MSG_COPIED:
        keep(&l->msg.MSG_COPIED.from_uids, &p), keep(&l->msg.MSG_COPIED.to_uids, &p);
        break;
    case IPC_MSG_EXPUNGED:
        keep(&l->msg.MSG_EXPUNGED.uids, &p);
        break;
    case IPC_MB_CHANGED:
        keep(&l->msg.MB_CHANGED.messages, &p), keep(&l->msg.MB_CHANGED.gone, &p);
        break;
    case IPC_MSG_SEARCHED:
        keep(&l->msg.MSG_SEARCHED.hits, &p);
        break;
    case IPC_SYNCED:
        keep(&l->msg.SYNCED.reqs, &p);
        break;
    default:
        break;
    }
    if (waited && inbox_n >= waited)
        ph_loop_stop(proc.loop);
}

static void at_store_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    (void)ctx;
    assert_non_null(proc_store.handlers[msg->type]);
    proc_store.handlers[msg->type](&proc, from, msg);
}

static void gone(void *ctx, struct ipc_chan *c, const char *why)
{
    (void)ctx, (void)c;
    if (why)
        fail_msg("channel broken: %s", why);
}

static void connect_peer(int i)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    struct ipc_ends mine = {ROLE_STORE, roles[i], 0, i == ACCESS1},
                    theirs = {roles[i], ROLE_STORE, i == ACCESS1, 0};
    to_peer[i] = ipc_chan_new(proc.loop, fds[0], &mine,
                              &(struct ipc_callbacks){.message = at_store_message, .gone = gone});
    at_peer[i] = ipc_chan_new(proc.loop, fds[1], &theirs,
                              &(struct ipc_callbacks){.message = at_peer_message, .gone = gone});
    assert_non_null(to_peer[i]);
    assert_non_null(at_peer[i]);
}

static void forget(void)
{
    for (unsigned i = 0; i < inbox_n; i++) {
        if (inbox[i].msg.fd >= 0)
            close(inbox[i].msg.fd);
        free(inbox[i].bytes);
    }
    inbox_n = 0;
}

static void too_late(void *ctx)
{
    (void)ctx;
    waited = 0;
    ph_loop_stop(proc.loop);
}

/* Runs the loop until n messages are there (in a minute at most), or for 150 ms (n 0). */
static void wait_until(unsigned n)
{
    struct ph_timer *t = ph_timer_new(proc.loop, too_late, NULL);
    waited = n;
    ph_timer_set(t, n ? 60000 : 150);
    ph_loop_run(proc.loop);
    ph_timer_free(t);
    if (n)
        assert_true(inbox_n >= n);
}

/* What must not come is given a moment to come. */
static void pause_for_nothing(void)
{
    forget();
    wait_until(0);
}

/* Runs the loop until it is so. How answers are grouped into messages is the store's affair: no
 * test counts them. */
#define UNTIL(it_is_so)                                                                            \
    for (; !(it_is_so);)                                                                           \
    wait_until(inbox_n + 1)

static struct ipc_msg *got(int type, uint64_t req)
{
    for (unsigned i = 0; i < inbox_n; i++)
        if ((int)inbox[i].msg.type == type && (!req || inbox[i].msg.SYNC.req == req))
            return &inbox[i].msg;
    return NULL;
}

#define ASK(peer, ANSWER, NAME, ...)                                                               \
    ({                                                                                             \
        static uint64_t next_req = 1000;                                                           \
        assert_int_equal(ipc_send(at_peer[peer], NAME, -1, .req = ++next_req, __VA_ARGS__), 0);    \
        struct ipc_msg *m_ = NULL;                                                                 \
        forget();                                                                                  \
        for (int n_ = 0; !m_ && n_ < 20; n_++) {                                                   \
            wait_until(inbox_n + 1);                                                               \
            m_ = got(IPC_##ANSWER, next_req);                                                      \
        }                                                                                          \
        assert_non_null(m_);                                                                       \
        &m_->ANSWER;                                                                               \
    })

/* ---- start and end ------------------------------------------------------------------------ */

static char dir[64];
static void *states[32]; /* a process keeps its state to its end: so do we, for the leak checker */
static unsigned states_n;

static void start(void)
{
    struct ph_error e = {0};
    int code = 0;
    proc = (struct proc){
        .def = &proc_store, .loop = ph_loop_new(), .conf = ph_conf_new(), .data = dir};
    if (proc_store.setup(&proc, &e) < 0 || proc_store.opened(&proc, &e, &code) < 0)
        fail_msg("%s", e.text);
    states[states_n++ % 32] = proc.state;
    for (int i = 0; i < PEERS; i++)
        connect_peer(i);
}

static void end(void)
{
    finished = false;
    proc.draining = true;
    waited = 0;
    proc_store.drain(&proc);
    ph_loop_run(proc.loop);
    assert_true(finished);
    forget();
    for (int i = 0; i < PEERS; i++) {
        to_peer[i] = ipc_chan_free(to_peer[i]);
        at_peer[i] = ipc_chan_free(at_peer[i]);
    }
    ph_conf_free(proc.conf);
    ph_loop_free(proc.loop);
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/store-proc-XXXXXX");
    assert_non_null(mkdtemp(dir));
    start();
    return 0;
}

static int teardown(void **state)
{
    char cmd[128];
    (void)state;
    end();
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

static void grant(uint64_t session, unsigned instance, uint64_t account)
{
    char folder[32];
    snprintf(folder, sizeof folder, "user%u", (unsigned)account);
    assert_int_equal(ipc_send(at_peer[KEEPER], GRANT, -1, .session = session, .instance = instance,
                              .account = account, .folder = ph_str_c(folder)),
                     0);
    UNTIL(got(IPC_GRANTED, session));
    struct ipc_msg *m = got(IPC_GRANTED, session);
    assert_int_equal(m->GRANTED.verdict, IPC_OK);
}

static void deliver(uint64_t req, uint64_t qid, uint64_t account, ph_str body)
{
    char folder[32];
    snprintf(folder, sizeof folder, "user%u", (unsigned)account);
    assert_int_equal(ipc_send(at_peer[QUEUE], DELIVER, -1, .req = req, .qid = qid,
                              .address = PH_STR("u@h"), .account = account,
                              .folder = ph_str_c(folder), .mailbox = PH_STR("INBOX"),
                              .message_id = PH_STR("<m@h>"), .size = body.n, .summary = PH_STR("s"),
                              .body = body),
                     0);
}

static uint64_t mailbox_id;

static bool synced(uint64_t req)
{
    for (unsigned i = 0; i < inbox_n; i++) {
        ph_str rows = inbox[i].msg.SYNCED.reqs;
        struct ipc_number n;
        if (inbox[i].msg.type == IPC_SYNCED)
            while (ipc_each(number, &rows, &n))
                if (n.value == req)
                    return true;
    }
    return false;
}

/* ---- tests -------------------------------------------------------------------------------- */

static void delivery(void **state)
{
    (void)state;
    enum { N = 100 };
    for (uint64_t i = 1; i <= N; i++)
        deliver(i, i, 1 + i % 3, PH_STR("Subject: hi\r\n\r\nhello\r\n"));
    deliver(N + 1, 1, 2, PH_STR("Subject: hi\r\n\r\nhello\r\n"));
    for (uint64_t i = 1; i <= N + 1; i++) {
        UNTIL(got(IPC_DELIVERED, i) && synced(i));
        assert_int_equal(got(IPC_DELIVERED, i)->DELIVERED.verdict, i <= N ? IPC_OK : IPC_EXISTS);
    }
    grant(77, 0, 2);
    const struct ipc_MB_OPENED *o =
        ASK(ACCESS0, MB_OPENED, MB_OPEN, .session = 77, .name = PH_STR("INBOX"));
    assert_int_equal(o->verdict, IPC_OK);
    assert_true(ph_str_eq(o->uids, PH_STR("1:34")));
    end(); /* and all is there after a restart */
    start();
    deliver(5, 4, 2, PH_STR("x"));
    UNTIL(got(IPC_DELIVERED, 5));
    assert_int_equal(got(IPC_DELIVERED, 5)->DELIVERED.verdict, IPC_EXISTS);
}

static void bad_requests(void **state)
{
    (void)state;
    grant(1, 0, 1);
    assert_int_equal(ASK(ACCESS0, MB_LISTED, MB_LIST, .session = 2)->verdict, IPC_DENIED);
    assert_int_equal(ASK(ACCESS1, MB_LISTED, MB_LIST, .session = 1)->verdict,
                     IPC_DENIED); /* another instance's */
    assert_int_equal(
        ASK(ACCESS0, MB_OPENED, MB_OPEN, .session = 1, .name = PH_STR("none"))->verdict, IPC_NOENT);
    assert_int_equal(
        ASK(ACCESS0, MSG_LISTED, MSG_LIST, .session = 1, .mailbox = 99, .uids = PH_STR("1:9"))
            ->verdict,
        IPC_NOENT);
    assert_int_equal(
        ASK(ACCESS0, MSG_LISTED, MSG_LIST, .session = 1, .mailbox = 1, .uids = PH_STR("1:x"))
            ->verdict,
        IPC_INVALID);
    assert_int_equal(ASK(ACCESS0, MSG_APPENDED, MSG_APPEND, .session = 1, .name = PH_STR("none"),
                         .size = 1, .body = PH_STR("x"))
                         ->verdict,
                     IPC_NOENT);
    assert_int_equal(ASK(ACCESS0, MSG_APPENDED, MSG_APPEND, .session = 1, .name = PH_STR("Sent"),
                         .size = 2, .body = PH_STR("x"))
                         ->verdict,
                     IPC_INVALID);
    assert_int_equal(
        ASK(ACCESS0, STORE_DONE, MB_CHANGE, .session = 1, .op = IPC_CREATE, .name = PH_STR("a*"))
            ->verdict,
        IPC_INVALID);
    ipc_send(at_peer[KEEPER], GRANT, -1, .session = 3, .account = 3, .folder = PH_STR("../../etc"));
    UNTIL(got(IPC_GRANTED, 3));
    assert_int_equal(got(IPC_GRANTED, 3)->GRANTED.verdict, IPC_INVALID);
    ipc_send(at_peer[ACCESS0], SESSION_END, -1, .session = 1);
    assert_int_equal(ASK(ACCESS0, MB_LISTED, MB_LIST, .session = 1)->verdict, IPC_DENIED);
}

static uint64_t box_of(const struct ipc_MB_OPENED *o)
{
    struct ipc_mailbox m = {0};
    ph_str rows = o->mailbox;
    assert_true(ipc_each(mailbox, &rows, &m));
    return m.id;
}

static unsigned told(uint64_t session)
{
    unsigned n = 0;
    for (unsigned i = 0; i < inbox_n; i++)
        n += inbox[i].msg.type == IPC_MB_EVENT && inbox[i].msg.MB_EVENT.session == session;
    return n;
}

static void events(void **state)
{
    (void)state;
    grant(1, 0, 1);
    grant(2, 1, 1);
    grant(3, 1, 2); /* another account */
    uint64_t box = box_of(ASK(ACCESS0, MB_OPENED, MB_OPEN, .session = 1, .name = PH_STR("INBOX")));
    ASK(ACCESS1, MB_OPENED, MB_OPEN, .session = 2, .name = PH_STR("INBOX"));
    ASK(ACCESS1, MB_OPENED, MB_OPEN, .session = 3, .name = PH_STR("INBOX"));
    forget();
    deliver(1, 1, 1, PH_STR("a"));
    deliver(2, 2, 1, PH_STR("b"));
    UNTIL(got(IPC_DELIVERED, 1) && got(IPC_DELIVERED, 2) && told(1) && told(2));
    wait_until(0);
    assert_int_equal(told(1), 1); /* once each */
    assert_int_equal(told(2), 1);
    assert_int_equal(told(3), 0);
    const struct ipc_MB_CHANGED *c =
        ASK(ACCESS0, MB_CHANGED, MB_CHANGES, .session = 1, .mailbox = box);
    struct ipc_message m;
    ph_str rows = c->messages;
    assert_true(ipc_each(message, &rows, &m) && ipc_each(message, &rows, &m));
    assert_int_equal(m.uid, 2);
    /* my own change is not told to me; the other has not asked since, so is not told again */
    ASK(ACCESS0, MSG_FLAGGED, MSG_FLAGS, .session = 1, .mailbox = box, .uids = PH_STR("1"),
        .op = IPC_FLAGS_ADD, .flags = IPC_DELETED, .unchanged_since = UINT64_MAX);
    pause_for_nothing();
    assert_null(got(IPC_MB_EVENT, 0));
    ASK(ACCESS1, MB_CHANGED, MB_CHANGES, .session = 2, .mailbox = box);
    const struct ipc_MSG_EXPUNGED *x =
        ASK(ACCESS0, MSG_EXPUNGED, MSG_EXPUNGE, .session = 1, .mailbox = box);
    assert_true(ph_str_eq(x->uids, PH_STR("1")));
    UNTIL(got(IPC_MB_EVENT, 0));
    assert_int_equal(got(IPC_MB_EVENT, 0)->MB_EVENT.session, 2);
    /* closed: no more */
    ipc_send(at_peer[ACCESS1], MB_CLOSE, -1, .session = 2, .mailbox = box);
    forget();
    deliver(3, 3, 1, PH_STR("c"));
    UNTIL(got(IPC_DELIVERED, 3));
    wait_until(0);
    assert_int_equal(told(2), 0);
}

static void messages(void **state)
{
    (void)state;
    grant(1, 0, 1);
    enum { BIG = 700000 };
    char *text = malloc(BIG); /* what nobody can compress */
    uint32_t dice = 1;
    for (size_t i = 0; i < BIG; i++, dice = dice * 1664525 + 1013904223)
        text[i] = (char)(dice >> 24);
    for (int i = 0; i < 20; i++)
        assert_int_equal(ASK(ACCESS0, MSG_APPENDED, MSG_APPEND, .session = 1,
                             .name = PH_STR("Sent"), .flags = IPC_SEEN, .keywords = PH_STR("$Work"),
                             .date = 5000000, .message_id = PH_STR("<i>"), .size = 60000,
                             .body = {text, 60000})
                             ->uid,
                         i + 1);
    int fd = ph_memfile("body");
    assert_int_equal(ph_memfile_add(fd, (ph_str){text, BIG}) | ph_memfile_seal(fd), 0);
    ipc_send(at_peer[ACCESS0], MSG_APPEND, fd, .req = 5, .session = 1, .name = PH_STR("Sent"),
             .size = BIG);
    close(fd);
    UNTIL(got(IPC_MSG_APPENDED, 5));
    assert_int_equal(got(IPC_MSG_APPENDED, 5)->MSG_APPENDED.uid, 21);
    uint64_t box = box_of(ASK(ACCESS0, MB_OPENED, MB_OPEN, .session = 1, .name = PH_STR("Sent")));
    /* lists are cut, and go on where they were cut */
    uint32_t next = 1, n = 0, turns = 0;
    while (next) {
        char from[32];
        snprintf(from, sizeof from, "%u:4000000000", next);
        const struct ipc_MSG_LISTED *l =
            ASK(ACCESS0, MSG_LISTED, MSG_LIST, .session = 1, .mailbox = box, .uids = ph_str_c(from),
                .mask = IPC_F_BODY | IPC_F_FLAGS | IPC_F_DATES | IPC_F_SIZE);
        struct ipc_message m;
        ph_str rows = l->messages;
        while (ipc_each(message, &rows, &m)) {
            assert_int_equal(m.uid, ++n);
            assert_int_equal(m.size, n == 21 ? BIG : 60000);
            assert_int_equal(m.body.n, n == 21 ? 0 : 60000);
            assert_true(n == 21 || (m.flags == IPC_SEEN && ph_str_eq(m.keywords, PH_STR("$Work")) &&
                                    m.date == 5000000));
        }
        next = l->next;
        turns++;
    }
    assert_int_equal(n, 21);
    assert_true(turns > 3);
    ipc_send(at_peer[ACCESS0], MSG_BODY, -1, .req = 6, .session = 1, .mailbox = box, .uid = 21);
    UNTIL(got(IPC_MSG_BODIED, 6));
    ph_str whole;
    assert_int_equal(ph_memfile_map(got(IPC_MSG_BODIED, 6)->fd, BIG, &whole), 0);
    assert_memory_equal(whole.p, text, BIG);
    ph_unmap(whole);
    const struct ipc_MSG_COPIED *c =
        ASK(ACCESS0, MSG_COPIED, MSG_COPY, .session = 1, .mailbox = box, .uids = PH_STR("2:3"),
            .name = PH_STR("Trash"), .move = 1);
    assert_true(ph_str_eq(c->from_uids, PH_STR("2:3")) && ph_str_eq(c->to_uids, PH_STR("1:2")));
    assert_int_equal(ASK(ACCESS0, MSG_COPIED, MSG_COPY, .session = 1, .mailbox = box,
                         .uids = PH_STR("4"), .name = PH_STR("none"))
                         ->verdict,
                     IPC_NOENT);
    assert_int_equal(ASK(ACCESS0, STORE_DONE, SYNC, .session = 1)->verdict, IPC_OK);
    free(text);
}

static void first_reading(void **state)
{
    (void)state;
    deliver(1, 99, 1, PH_STR("a"));
    UNTIL(got(IPC_DELIVERED, 1));
    grant(1, 0, 1);
    uint64_t box = box_of(ASK(ACCESS0, MB_OPENED, MB_OPEN, .session = 1, .name = PH_STR("INBOX")));
    const struct ipc_MSG_BODIED *b =
        ASK(ACCESS0, MSG_BODIED, MSG_BODY, .session = 1, .mailbox = box, .uid = 1);
    assert_true(ph_str_eq(b->journey, PH_STR("<m@h>")));
    assert_int_equal(b->qid, 99);
    b = ASK(ACCESS0, MSG_BODIED, MSG_BODY, .session = 1, .mailbox = box, .uid = 1);
    assert_int_equal(b->journey.n, 0);
    assert_true(ph_str_eq(b->body, PH_STR("a")));
}

static void pop3_lock(void **state)
{
    (void)state;
    grant(1, 0, 1);
    grant(2, 1, 1);
    ASK(ACCESS0, MB_OPENED, MB_OPEN, .session = 1, .name = PH_STR("INBOX"), .mode = IPC_OPEN_POP3);
    assert_int_equal(ASK(ACCESS1, MB_OPENED, MB_OPEN, .session = 2, .name = PH_STR("INBOX"),
                         .mode = IPC_OPEN_POP3)
                         ->verdict,
                     IPC_INUSE);
    assert_int_equal(
        ASK(ACCESS1, MB_OPENED, MB_OPEN, .session = 2, .name = PH_STR("INBOX"), .mode = IPC_OPEN_RW)
            ->verdict,
        IPC_OK);
    ipc_send(at_peer[ACCESS0], SESSION_END, -1, .session = 1);
    for (uint32_t verdict = IPC_INUSE; verdict != IPC_OK;) {
        verdict = ASK(ACCESS1, MB_OPENED, MB_OPEN, .session = 2, .name = PH_STR("INBOX"),
                      .mode = IPC_OPEN_POP3)
                      ->verdict;
        assert_true(verdict == IPC_OK || verdict == IPC_INUSE);
    }
}

static void revoked(void **state)
{
    (void)state;
    grant(1, 0, 1);
    deliver(1, 1, 1, PH_STR("a"));
    UNTIL(got(IPC_DELIVERED, 1));
    ipc_send(at_peer[KEEPER], REVOKE, -1, .account = 1, .folder = PH_STR("user1"), .erase = 1);
    UNTIL(got(IPC_SESSION_GONE, 1));
    assert_int_equal(got(IPC_SESSION_GONE, 1)->SESSION_GONE.session, 1);
    assert_int_equal(ASK(ACCESS0, MB_LISTED, MB_LIST, .session = 1)->verdict, IPC_DENIED);
    char path[128];
    snprintf(path, sizeof path, "%s/user1", dir);
    for (int i = 0; i < 400 && ph_file_exists(path); i++)
        pause_for_nothing();
    assert_false(ph_file_exists(path));
}

/* An access process dies: its sessions are gone; the queue dies: its old requests are not answered
 * to the new one. */
static void peers_die(void **state)
{
    (void)state;
    grant(1, 1, 1);
    to_peer[ACCESS1] = ipc_chan_free(to_peer[ACCESS1]);
    at_peer[ACCESS1] = ipc_chan_free(at_peer[ACCESS1]);
    proc_store.peer_down(&proc, ROLE_ACCESS, 1);
    connect_peer(ACCESS1);
    assert_int_equal(ASK(ACCESS1, MB_LISTED, MB_LIST, .session = 1)->verdict, IPC_DENIED);
    deliver(41, 1, 1, PH_STR("a"));
    UNTIL(got(IPC_DELIVERED, 41)); /* most often not yet SYNCED */
    to_peer[QUEUE] = ipc_chan_free(to_peer[QUEUE]);
    at_peer[QUEUE] = ipc_chan_free(at_peer[QUEUE]);
    proc_store.peer_down(&proc, ROLE_QUEUE, 0);
    connect_peer(QUEUE);
    pause_for_nothing();
    assert_null(got(IPC_SYNCED, 0));
    deliver(1, 1, 1, PH_STR("a"));
    UNTIL(got(IPC_DELIVERED, 1) && synced(1));
    assert_int_equal(got(IPC_DELIVERED, 1)->DELIVERED.verdict, IPC_EXISTS);
    assert_true(synced(1));
}

/* ---- the index ---------------------------------------------------------------------------- */

static void search(const char *text, char yes[64], char maybe[64])
{
    struct ph_buf rows;
    struct ipc_hit hit = {0};
    ph_buf_init(&rows, NULL, 4096);
    struct ipc_needle needle = {.kind = IPC_IN_TEXT, .text = ph_str_c(text)};
    ipc_add(needle, &rows, &needle);
    const struct ipc_MSG_SEARCHED *m =
        ASK(ACCESS0, MSG_SEARCHED, MSG_SEARCH, .session = 1, .mailbox = mailbox_id,
            .uids = PH_STR("1:9"), .needles = ph_buf_str(&rows));
    ph_buf_done(&rows);
    assert_int_equal(m->verdict, IPC_OK);
    assert_int_equal(m->next, 0);
    ph_str hits = m->hits;
    assert_true(ipc_each(hit, &hits, &hit));
    snprintf(yes, 64, "%.*s", PH_FMT(hit.yes));
    snprintf(maybe, 64, "%.*s", PH_FMT(hit.maybe));
}

static void read_letter(uint64_t emailid)
{
    assert_int_equal(ipc_send(at_peer[INDEXER], INDEXED, -1, .req = emailid,
                              .head = PH_STR("SUBJECT: HI\n"), .body = PH_STR("HELLO")),
                     0);
}

/* Nothing is known, then something; an indexer that dies over a letter gets the others, not that
 * one. */
static void indexing(void **state)
{
    (void)state;
    char yes[64], maybe[64];
    for (uint64_t i = 1; i <= 3; i++) {
        deliver(i, i, 1, PH_STR("Subject: hi\r\n\r\nhello\r\n"));
        UNTIL(got(IPC_DELIVERED, i));
    }
    grant(1, 0, 1);
    const struct ipc_MB_OPENED *o =
        ASK(ACCESS0, MB_OPENED, MB_OPEN, .session = 1, .name = PH_STR("INBOX"));
    struct ipc_mailbox box;
    ph_str row = o->mailbox;
    assert_true(ipc_each(mailbox, &row, &box));
    mailbox_id = box.id;
    search("HELLO", yes, maybe);
    assert_string_equal(yes, "");
    assert_string_equal(maybe, "1:3");
    UNTIL(got(IPC_INDEX, 1) && got(IPC_INDEX, 2) && got(IPC_INDEX, 3));
    read_letter(1);
    do
        search("HELLO", yes, maybe);
    while (strcmp(yes, "1"));
    assert_string_equal(maybe, "2:3");
    search("NOTHING", yes, maybe);
    assert_string_equal(yes, "");
    to_peer[INDEXER] = ipc_chan_free(to_peer[INDEXER]);
    at_peer[INDEXER] = ipc_chan_free(at_peer[INDEXER]);
    connect_peer(INDEXER);
    forget();
    proc_store.peer_down(&proc, ROLE_INDEXER, 0);
    UNTIL(got(IPC_INDEX, 3));
    assert_null(got(IPC_INDEX, 2));
    read_letter(3);
    do
        search("HELLO", yes, maybe);
    while (strcmp(yes, "1,3"));
    assert_string_equal(maybe, "2"); /* always looked at */
    deliver(4, 4, 1, PH_STR("more"));
    UNTIL(got(IPC_INDEX, 4)); /* what comes later follows by itself */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(delivery), T(bad_requests),  T(events),
                                       T(messages), T(first_reading), T(pop3_lock),
                                       T(revoked),  T(peers_die),     T(indexing)};
    ph_log_init("store", 0, 2, PH_LOG_HUMAN, PH_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
