/* keeper: its answers to mx, access and store over real channels; the process around it is played
 * here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "house.h"
#include "keeper_int.h"
#include "sock.h"

enum { MX, ACCESS, STORE, PEERS };
static const int roles[PEERS] = {ROLE_MX, ROLE_ACCESS, ROLE_STORE};

static struct {
    struct proc p;
    char dir[64];
    struct ipc_chan *near[PEERS], *far[PEERS]; /* keeper's ends, the peers' ends */
    bool store_up, done, keep_grants;
    struct ph_house *house; /* the administrator's */
    struct ph_buf log;      /* what the peers received, a line each */
    int64_t answered;       /* when, for the price of failure */
    uint64_t session;       /* of the last GRANT */
    int wanted;
    struct ph_timer *guard;
} t;

/* ---- the skeleton of a process, as far as keeper uses it ----------------------------------- */

struct ipc_chan *proc_peer(struct proc *p, int role)
{
    (void)p;
    for (int i = 0; i < PEERS; i++)
        if (roles[i] == role && (i != STORE || t.store_up))
            return t.near[i];
    return NULL;
}

struct ipc_chan *proc_peer_at(struct proc *p, int role, unsigned instance)
{
    return instance == 3 ? proc_peer(p, role) : NULL;
}

void proc_done(struct proc *p)
{
    (void)p;
    t.done = true;
}

static void near_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    (void)ctx;
    assert_non_null(proc_keeper.handlers[msg->type]);
    proc_keeper.handlers[msg->type](&t.p, from, msg);
}

static void gone(void *ctx, struct ipc_chan *chan, const char *why)
{
    (void)ctx;
    (void)chan;
    print_message("channel gone: %s\n", why ? why : "");
    fail();
}

/* ---- the peers --------------------------------------------------------------------------- */

static void note_targets(ph_str rows)
{
    struct ipc_rcpt r;
    while (ipc_each(rcpt, &rows, &r))
        ph_buf_addf(&t.log, " %s:%.*s%s%.*s", r.target == IPC_LOCAL ? "local" : "remote",
                    PH_FMT(r.address), r.domain.n ? " via " : "", PH_FMT(r.domain));
}

static void far_message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    (void)ctx;
    ph_buf_addf(&t.log, "%s", ipc_type_name(msg->type));
    switch ((int)msg->type) {
    case IPC_RCPT_CHECKED:
        ph_buf_addf(&t.log, " %u %u", (unsigned)msg->RCPT_CHECKED.req, msg->RCPT_CHECKED.verdict);
        note_targets(msg->RCPT_CHECKED.targets);
        break;
    case IPC_SENDER_CHECKED:
        ph_buf_addf(&t.log, " %u %u", (unsigned)msg->SENDER_CHECKED.req,
                    msg->SENDER_CHECKED.verdict);
        break;
    case IPC_AUTHED:
        ph_buf_addf(&t.log, " %u %u %.*s", (unsigned)msg->AUTHED.req, msg->AUTHED.verdict,
                    PH_FMT(msg->AUTHED.user));
        assert_int_equal(msg->AUTHED.session != 0, msg->AUTHED.verdict == IPC_OK);
        t.answered = ph_mono_us();
        break;
    case IPC_GRANT:
        ph_buf_addf(&t.log, " %u %u %.*s", msg->GRANT.instance, (unsigned)msg->GRANT.account,
                    PH_FMT(msg->GRANT.folder));
        t.session = msg->GRANT.session;
        if (!t.keep_grants)
            ipc_send(from, GRANTED, -1, .session = msg->GRANT.session, .verdict = IPC_OK);
        break;
    case IPC_REVOKE:
        ph_buf_addf(&t.log, " %u %u", (unsigned)msg->REVOKE.account, msg->REVOKE.erase);
        break;
    }
    ph_buf_addc(&t.log, '\n');
    if (--t.wanted == 0)
        ph_loop_stop(t.p.loop);
}

static void too_long(void *ctx)
{
    (void)ctx;
    print_message("no answer; until now:\n%s", ph_buf_cstr(&t.log));
    fail();
}

static void wait_for(int messages)
{
    t.wanted = messages;
    ph_timer_set(t.guard, 60000);
    ph_loop_run(t.p.loop);
    ph_timer_off(t.guard);
}

static void expect(int messages, const char *log)
{
    wait_for(messages);
    assert_string_equal(ph_buf_cstr(&t.log), log);
    ph_buf_clear(&t.log);
}

/* ---- up and down ------------------------------------------------------------------------- */

static void add_account(const char *address, const char *password)
{
    char hash[PH_HASH_MAX];
    uint64_t id;
    assert_int_equal(ph_password_hash(ph_str_c(password), hash, NULL), 0);
    assert_int_equal(ph_house_account_add(t.house, ph_str_c(address), ph_str_c(hash), &id, NULL),
                     0);
}

static void connect_peer(int i)
{
    static const struct ipc_callbacks near_cb = {.message = near_message, .gone = gone},
                                      far_cb = {.message = far_message, .gone = gone};
    int fds[2];
    assert_int_equal(ph_socketpair(fds), 0);
    unsigned instance = i == STORE ? 0 : 3;
    struct ipc_ends near_ends = {
        .self_role = ROLE_KEEPER, .peer_role = roles[i], .peer_instance = instance};
    struct ipc_ends far_ends = {
        .self_role = roles[i], .peer_role = ROLE_KEEPER, .self_instance = instance};
    t.near[i] = ipc_chan_new(t.p.loop, fds[0], &near_ends, &near_cb);
    t.far[i] = ipc_chan_new(t.p.loop, fds[1], &far_ends, &far_cb);
    assert_true(t.near[i] && t.far[i]);
}

static int up(void **state)
{
    char path[96];
    int code;
    struct ph_error e = {0};
    (void)state;
    memset(&t, 0, sizeof t);
    snprintf(t.dir, sizeof t.dir, "/tmp/keeper-test-XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    snprintf(path, sizeof path, "%s/house.sqlite", t.dir);
    assert_int_equal(ph_house_open(path, true, &t.house, NULL), 0);
    assert_int_equal(ph_house_domain_add(t.house, PH_STR("x.test"), NULL), 0);
    add_account("alice@x.test", "secret");
    add_account("bob@x.test", "other");
    assert_int_equal(
        ph_house_alias_add(t.house, PH_STR("all@x.test"), PH_STR("alice@x.test"), NULL), 0);
    assert_int_equal(
        ph_house_alias_add(t.house, PH_STR("all@x.test"), PH_STR("carol@y.test"), NULL), 0);
    ph_buf_init(&t.log, NULL, 65536);
    ph_log_init("keeper", 0, 2, PH_LOG_HUMAN, PH_LOG_ERROR);
    t.p = (struct proc){
        .def = &proc_keeper, .loop = ph_loop_new(), .conf = ph_conf_new(), .data = t.dir};
    t.guard = ph_timer_new(t.p.loop, too_long, NULL);
    for (int i = 0; i < PEERS; i++)
        connect_peer(i);
    t.store_up = true;
    assert_int_equal(proc_keeper.setup(&t.p, &e), 0);
    assert_int_equal(proc_keeper.opened(&t.p, &e, &code), 0);
    proc_keeper.peer_up(&t.p, ROLE_STORE, 0);
    return 0;
}

static int down(void **state)
{
    struct keeper *k = t.p.state;
    static const char *const files[] = {"house.sqlite", "house.sqlite-wal", "house.sqlite-shm"};
    (void)state;
    keeper_auth_free(k->auth);
    keeper_signs_free(k->signs);
    keeper_cache_free(k->cache);
    ph_house_close(k->house);
    ph_arena_free(k->arena);
    ph_timer_free(k->poll);
    free(k);
    for (int i = 0; i < PEERS; i++) {
        ipc_chan_free(t.near[i]);
        ipc_chan_free(t.far[i]);
    }
    ph_timer_free(t.guard);
    ph_loop_free(t.p.loop);
    ph_conf_free(t.p.conf);
    ph_house_close(t.house);
    ph_buf_done(&t.log);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[96];
        snprintf(path, sizeof path, "%s/%s", t.dir, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(t.dir), 0);
    return 0;
}

static void ask_rcpt(uint64_t req, const char *address, bool local_user)
{
    ipc_send(t.far[local_user ? ACCESS : MX], RCPT_CHECK, -1, .req = req,
             .address = ph_str_c(address), .local_user = local_user);
}

static void ask_auth(uint64_t req, const char *user, const char *password)
{
    ipc_send(t.far[ACCESS], AUTH, -1, .req = req, .service = IPC_POP3, .mechanism = PH_STR("PLAIN"),
             .peer = PH_STR("192.0.2.1"), .user = ph_str_c(user), .password = ph_str_c(password));
}

/* ---- tests ------------------------------------------------------------------------------- */

static void recipients(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) { /* the second is answered from memory */
        ask_rcpt(1, "Alice+tag@x.test", false);
        ask_rcpt(2, "nobody@x.test", false);
        ask_rcpt(3, "dave@z.test", false);
        ask_rcpt(4, "all@x.test", false);
        ask_rcpt(5, "postmaster", false);
        ask_rcpt(6, "no address", false);
        expect(6, "RCPT_CHECKED 1 0 local:alice@x.test\nRCPT_CHECKED 2 3\nRCPT_CHECKED 3 2\n"
                  "RCPT_CHECKED 4 0 local:alice@x.test remote:carol@y.test via y.test\n"
                  "RCPT_CHECKED 5 0 local:alice@x.test\nRCPT_CHECKED 6 11\n");
        ask_rcpt(7, "Dave@Z.test", true);
        expect(1, "RCPT_CHECKED 7 0 remote:Dave@z.test via z.test\n");
    }
    assert_int_equal(((struct keeper *)t.p.state)->cache_hits, 7);
    /* A change counts at once. */
    add_account("nobody@x.test", "x");
    ask_rcpt(8, "nobody@x.test", false);
    expect(1, "RCPT_CHECKED 8 0 local:nobody@x.test\n");
}

static void recipients_are_cheap(void **state)
{
    enum { MANY = 2000 };
    (void)state;
    ask_rcpt(1, "alice@x.test", false);
    wait_for(1);
    int64_t start = ph_mono_us();
    for (int i = 0; i < MANY; i++)
        ask_rcpt(1, "alice@x.test", false);
    wait_for(MANY);
    double each = (double)(ph_mono_us() - start) / MANY;
    print_message("RCPT_CHECK, both ways: %.1f us\n", each);
    assert_true(each < 1000); /* no promise, but a scan of the book would be seen */
}

static void logins(void **state)
{
    (void)state;
    ask_auth(1, "ALICE@x.test", "secret");
    expect(2, "GRANT 3 1 alice@x.test\nAUTHED 1 0 alice@x.test\n");
    int64_t start = ph_mono_us();
    ask_auth(2, "alice@x.test", "secret"); /* known again: no hashing */
    expect(2, "GRANT 3 1 alice@x.test\nAUTHED 2 0 alice@x.test\n");
    assert_true(t.answered - start < 15000);
    start = ph_mono_us();
    ask_auth(3, "alice@x.test", "wrong");
    ask_auth(4, "nobody@x.test", "secret");
    ask_auth(5, "", "");
    wait_for(3);
    assert_true(t.answered - start >= KEEPER_FAIL_MS * 1000);
    assert_non_null(strstr(ph_buf_cstr(&t.log), "AUTHED 3 2 "));
    assert_non_null(strstr(ph_buf_cstr(&t.log), "AUTHED 4 2 "));
    assert_non_null(strstr(ph_buf_cstr(&t.log), "AUTHED 5 2 "));
    ph_buf_clear(&t.log);
    /* Another password: the old one is void at once. */
    char hash[PH_HASH_MAX];
    assert_int_equal(ph_password_hash(PH_STR("new"), hash, NULL), 0);
    assert_int_equal(ph_house_account_passwd(t.house, PH_STR("alice@x.test"), ph_str_c(hash), NULL),
                     0);
    ask_auth(6, "alice@x.test", "secret");
    expect(1, "AUTHED 6 2 alice@x.test\n");
    ask_auth(7, "alice@x.test", "new");
    expect(2, "GRANT 3 1 alice@x.test\nAUTHED 7 0 alice@x.test\n");
}

static void senders_and_sessions(void **state)
{
    (void)state;
    ask_auth(1, "alice@x.test", "secret");
    wait_for(2);
    ph_buf_clear(&t.log);
    uint64_t session = t.session;
    static const char *const addresses[] = {"alice@x.test", "Alice+x@x.test", "all@x.test",
                                            "bob@x.test", "a@y.test"};
    for (size_t i = 0; i < 5; i++)
        ipc_send(t.far[ACCESS], SENDER_CHECK, -1, .req = i, .session = session,
                 .address = ph_str_c(addresses[i]));
    ipc_send(t.far[ACCESS], SENDER_CHECK, -1, .req = 5, .session = session + 1,
             .address = PH_STR("alice@x.test"));
    expect(6, "SENDER_CHECKED 0 0\nSENDER_CHECKED 1 0\nSENDER_CHECKED 2 0\nSENDER_CHECKED 3 "
              "2\nSENDER_CHECKED 4 2\n"
              "SENDER_CHECKED 5 2\n");
    assert_int_equal(keeper_auth_sessions(((struct keeper *)t.p.state)->auth), 1);
    ipc_send(t.far[ACCESS], SESSION_END, -1, .session = session);
    ipc_send(t.far[ACCESS], SENDER_CHECK, -1, .req = 6, .session = session,
             .address = PH_STR("alice@x.test"));
    expect(1, "SENDER_CHECKED 6 2\n");
    assert_int_equal(keeper_auth_sessions(((struct keeper *)t.p.state)->auth), 0);
}

static void removal_is_told(void **state)
{
    (void)state;
    ask_auth(1, "alice@x.test", "secret");
    wait_for(2);
    ph_buf_clear(&t.log);
    assert_int_equal(ph_house_account_remove(t.house, PH_STR("alice@x.test"), true, NULL), 0);
    expect(1, "REVOKE 1 1\n"); /* by polling alone */
    assert_int_equal(keeper_auth_sessions(((struct keeper *)t.p.state)->auth), 0);
    ask_auth(2, "alice@x.test", "secret");
    expect(1, "AUTHED 2 2 alice@x.test\n");
    proc_keeper.peer_up(&t.p, ROLE_STORE, 0); /* a new store hears of it again */
    expect(1, "REVOKE 1 1\n");
}

static void peers_that_die(void **state)
{
    (void)state;
    t.store_up = false;
    ask_auth(1, "alice@x.test", "secret");
    expect(1, "AUTHED 1 1 alice@x.test\n");
    t.store_up = t.keep_grants = true;
    ask_auth(2, "alice@x.test", "secret");
    expect(1, "GRANT 3 1 alice@x.test\n");
    proc_keeper.peer_down(&t.p, ROLE_STORE, 0);
    expect(1, "AUTHED 2 1 alice@x.test\n");
    /* An answer for a process that has died does not reach the next one. */
    ask_auth(3, "bob@x.test", "other");
    ask_auth(4, "alice@x.test", "secret");
    expect(1, "GRANT 3 1 alice@x.test\n");
    proc_keeper.peer_down(&t.p, ROLE_ACCESS, 3);
    t.keep_grants = false;
    ask_auth(5, "bob@x.test", "other");
    wait_for(2);
    assert_non_null(strstr(ph_buf_cstr(&t.log), "AUTHED 5 0 bob@x.test\n"));
    assert_null(strstr(ph_buf_cstr(&t.log), "AUTHED 3"));
    ph_buf_clear(&t.log);
    /* Draining waits for what is under way. */
    ask_auth(6, "bob@x.test", "wrong");
    while (((struct keeper *)t.p.state)->failures == 0) {
        ask_rcpt(9, "bob@x.test", false);
        wait_for(1);
    }
    ph_buf_clear(&t.log);
    t.p.draining = true;
    proc_keeper.drain(&t.p);
    assert_false(t.done);
    expect(1, "AUTHED 6 2 bob@x.test\n");
    assert_true(t.done);
}

/* An access process that was taken over asks faster than refusals are answered. */
static void logins_have_a_limit(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < KEEPER_ATTEMPTS + 3; i++)
        assert_int_equal(ipc_send(t.far[ACCESS], AUTH, -1, .req = i, .mechanism = PH_STR("NONE")),
                         0);
    char want[128];
    snprintf(want, sizeof want, "AUTHED %d 1 \nAUTHED %d 1 \nAUTHED %d 1 \n", KEEPER_ATTEMPTS,
             KEEPER_ATTEMPTS + 1, KEEPER_ATTEMPTS + 2);
    int64_t start = ph_mono_us();
    wait_for(3);
    if (ph_mono_us() - start >= KEEPER_FAIL_MS * 1000)
        skip(); /* so slow a machine (or sanitizer) that the first have been answered meanwhile */
    assert_string_equal(ph_buf_cstr(&t.log), want);
    wait_for(KEEPER_ATTEMPTS);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(recipients, up, down),
        cmocka_unit_test_setup_teardown(recipients_are_cheap, up, down),
        cmocka_unit_test_setup_teardown(logins, up, down),
        cmocka_unit_test_setup_teardown(senders_and_sessions, up, down),
        cmocka_unit_test_setup_teardown(removal_is_told, up, down),
        cmocka_unit_test_setup_teardown(peers_that_die, up, down),
        cmocka_unit_test_setup_teardown(logins_have_a_limit, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
