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

#include <posthouse/sasl.h>

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
    uint64_t exchange;      /* of the last AUTHED, and its challenge */
    struct ph_buf challenge;
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
        t.exchange = msg->AUTHED.exchange;
        ph_buf_clear(&t.challenge);
        ph_buf_add(&t.challenge, msg->AUTHED.data);
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

static void write_keys(struct ph_buf *out, enum ph_sasl_hash hash, const char *password)
{
    struct ph_sasl_keys keys;
    assert_int_equal(
        ph_sasl_keys_make(hash, ph_str_c(password), PH_STR("0123456789abcdef"), 4096, &keys), 0);
    ph_buf_clear(out);
    ph_sasl_keys_write(&keys, out);
}

static void add_account(const char *address, const char *password)
{
    char hash[PH_HASH_MAX];
    uint64_t id;
    struct ph_buf one, two;
    ph_buf_init(&one, NULL, 256);
    ph_buf_init(&two, NULL, 256);
    write_keys(&one, PH_SASL_SHA1, password);
    write_keys(&two, PH_SASL_SHA256, password);
    assert_int_equal(ph_password_hash(ph_str_c(password), hash, NULL), 0);
    assert_int_equal(ph_house_account_add(t.house, ph_str_c(address),
                                          &(struct ph_house_secret){
                                              ph_str_c(hash), ph_buf_str(&one), ph_buf_str(&two)},
                                          &id, NULL),
                     0);
    ph_buf_done(&one);
    ph_buf_done(&two);
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
    ph_buf_init(&t.challenge, NULL, 16384);
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
    ph_buf_done(&t.challenge);
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

static void ask_auth_from(uint64_t req, const char *address, int service, const char *user,
                          const char *password)
{
    struct ph_buf plain;
    ph_buf_init(&plain, NULL, 4096);
    ph_sasl_plain_encode(&plain, (ph_str){0}, ph_str_c(user), ph_str_c(password));
    ipc_send(t.far[ACCESS], AUTH, -1, .req = req, .service = (uint8_t)service,
             .mechanism = PH_STR("PLAIN"), .peer = PH_STR("192.0.2.1"),
             .address = ph_str_c(address), .has = 1, .data = ph_buf_str(&plain));
    ph_buf_done(&plain);
}

static void ask_auth(uint64_t req, const char *user, const char *password)
{
    ask_auth_from(req, "", IPC_POP3, user, password);
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
    ask_auth(5, "no address", "x");
    wait_for(3);
    assert_true(t.answered - start >= KEEPER_FAIL_MS * 1000);
    assert_non_null(strstr(ph_buf_cstr(&t.log), "AUTHED 3 2 "));
    assert_non_null(strstr(ph_buf_cstr(&t.log), "AUTHED 4 2 "));
    assert_non_null(strstr(ph_buf_cstr(&t.log), "AUTHED 5 2 "));
    ph_buf_clear(&t.log);
    /* Another password: the old one is void at once. */
    char hash[PH_HASH_MAX];
    assert_int_equal(ph_password_hash(PH_STR("new"), hash, NULL), 0);
    assert_int_equal(ph_house_account_passwd(t.house, PH_STR("alice@x.test"),
                                             &(struct ph_house_secret){.hash = ph_str_c(hash)},
                                             NULL),
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

/* ---- SASL ---------------------------------------------------------------------------------- */

/* A whole exchange with our own client. The verdict. */
static int exchange(const char *mechanism, const char *user, const char *password,
                    const char *channel)
{
    struct ph_sasl_login login = {.user = ph_str_c(user),
                                  .password = ph_str_c(password),
                                  .secure = true,
                                  .channel = {PH_SASL_TLS_EXPORTER, ph_str_c(channel)}};
    struct ph_sasl_client *c;
    ph_str answer = {0};
    assert_int_equal(ph_sasl_client_new(&login, ph_str_c(mechanism), &c, NULL), 0);
    bool has = ph_sasl_client_is_first(c);
    if (has)
        assert_true(ph_sasl_client_step(c, (ph_str){0}, &answer, NULL) >= 0);
    uint64_t id = 0;
    for (;;) {
        ipc_send(t.far[ACCESS], AUTH, -1, .req = 77, .exchange = id, .service = IPC_IMAP,
                 .mechanism = id ? (ph_str){0} : ph_str_c(mechanism), .peer = PH_STR("192.0.2.1"),
                 .channel = ph_str_c(channel), .has = has, .data = answer);
        wait_for(1);
        if (!strncmp(ph_buf_cstr(&t.log), "GRANT", 5))
            wait_for(1);
        const char *authed = strstr(ph_buf_cstr(&t.log), "AUTHED 77 ");
        assert_non_null(authed);
        int verdict = atoi(authed + strlen("AUTHED 77 "));
        ph_buf_clear(&t.log);
        id = t.exchange;
        if (verdict == IPC_MORE &&
            ph_sasl_client_step(c, ph_buf_str(&t.challenge), &answer, NULL) < 0)
            verdict = -1;
        has = true;
        if (verdict != IPC_MORE) {
            ph_sasl_client_free(c);
            return verdict;
        }
    }
}

static void every_mechanism(void **state)
{
    static const char *const names[] = {
        "PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *channel = strstr(names[i], "-PLUS") ? "the exporter's value" : "";
        assert_int_equal(exchange(names[i], "alice@x.test", "secret", channel), IPC_OK);
        assert_int_equal(exchange(names[i], "alice@x.test", "wrong", channel), IPC_DENIED);
        assert_int_equal(exchange(names[i], "nobody@x.test", "secret", channel), IPC_DENIED);
    }
    ipc_send(t.far[ACCESS], AUTH, -1, .req = 5, .mechanism = PH_STR("SCRAM-SHA-256-PLUS"), .has = 1,
             .data = PH_STR("p=tls-exporter,,n=alice@x.test,r=abc"));
    expect(1, "AUTHED 5 2 \n"); /* no channel, no binding to it */
    ipc_send(t.far[ACCESS], AUTH, -1, .req = 6, .mechanism = PH_STR("PLAIN"), .has = 1,
             .data = PH_STR("bob@x.test\0alice@x.test\0secret"));
    ipc_send(t.far[ACCESS], AUTH, -1, .req = 7, .mechanism = PH_STR("PLAIN"), .has = 1,
             .data = PH_STR("nothing"));
    expect(2, "AUTHED 6 3 \nAUTHED 7 11 \n");
}

/* What a stranger sees of someone and of nobody is the same, and stays the same (RFC 5802 9). */
static void nobody_has_a_salt(void **state)
{
    char first[3][200];
    static const char *const users[] = {"alice@x.test", "nobody@x.test", "Nobody@X.TEST"};
    (void)state;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < 3; i++) {
            char hello[64];
            snprintf(hello, sizeof hello, "n,,n=%s,r=nonce", users[i]);
            ipc_send(t.far[ACCESS], AUTH, -1, .req = 1, .mechanism = PH_STR("SCRAM-SHA-256"),
                     .has = 1, .data = ph_str_c(hello));
            wait_for(1);
            assert_non_null(strstr(ph_buf_cstr(&t.log), "AUTHED 1 12 "));
            ph_buf_clear(&t.log);
            const char *salt = strstr(ph_buf_cstr(&t.challenge), ",s=");
            assert_non_null(salt);
            if (round == 0)
                snprintf(first[i], sizeof first[i], "%s", salt);
            else
                assert_string_equal(first[i], salt);
        }
    assert_int_equal(strlen(first[0]),
                     strlen(first[1])); /* the salt, and the count of iterations */
    assert_string_equal(strstr(first[0], ",i="), strstr(first[1], ",i="));
    assert_string_not_equal(first[0], first[1]);
    assert_string_equal(first[1], first[2]);
}

/* Clients that never answer take a bounded room, and those that do are let in meanwhile. */
static void exchanges_are_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * KEEPER_EXCHANGES; i++)
        ipc_send(t.far[ACCESS], AUTH, -1, .req = 9, .mechanism = PH_STR("SCRAM-SHA-1"), .has = 1,
                 .data = PH_STR("n,,n=alice@x.test,r=abc"));
    wait_for(2 * KEEPER_EXCHANGES);
    ph_buf_clear(&t.log);
    assert_true(keeper_auth_is_busy(((struct keeper *)t.p.state)->auth));
    assert_int_equal(exchange("SCRAM-SHA-256", "alice@x.test", "secret", ""), IPC_OK);
    uint64_t last = t.exchange;
    ipc_send(t.far[ACCESS], AUTH, -1, .req = 1, .exchange = last + 1, .has = 1);
    expect(1, "AUTHED 1 1 \n");
    t.p.draining = true;
    proc_keeper.drain(&t.p);
    assert_true(t.done); /* none of them is waited for */
}

/* ---- app passwords, bans, limits ------------------------------------------------------------ */

static void add_app(const char *name, const char *password, unsigned scope, int64_t expires)
{
    unsigned char digest[PH_APP_DIGEST];
    assert_int_equal(ph_app_digest(1, ph_str_c(password), digest), 0);
    assert_int_equal(
        ph_house_app_add(
            t.house, 1,
            &(struct ph_house_app){.name = ph_str_c(name), .scope = scope, .expires = expires},
            digest, NULL),
        0);
}

static int has_been_used(void *ctx, const struct ph_house_app *row)
{
    *(int *)ctx += row->used > 0;
    return 0;
}

static void app_passwords(void **state)
{
    (void)state;
    int used = 0;
    add_app("phone", "abcde-fghjk", PH_SCOPE_POP3, 0);
    add_app("tablet", "aaaaa-bbbbb", PH_SCOPE_ALL, 1);
    ask_auth(1, "alice@x.test", "abcdefghjk");
    expect(2, "GRANT 3 1 alice@x.test\nAUTHED 1 0 alice@x.test\n");
    assert_int_equal(ph_house_apps(t.house, 1, has_been_used, &used, NULL), 0);
    assert_int_equal(used, 1);
    ask_auth_from(2, "", IPC_IMAPS, "alice@x.test", "abcde-fghjk"); /* another protocol */
    expect(1, "AUTHED 2 2 alice@x.test\n");
    ask_auth(3, "alice@x.test", "aaaaa-bbbbb"); /* expired */
    expect(1, "AUTHED 3 2 alice@x.test\n");
    ask_auth(4, "bob@x.test", "abcde-fghjk"); /* of another account */
    expect(1, "AUTHED 4 2 bob@x.test\n");
    assert_int_equal(ph_house_app_remove(t.house, 1, PH_STR("phone"), NULL), 0);
    ask_auth(5, "alice@x.test", "abcde-fghjk");
    expect(1, "AUTHED 5 2 alice@x.test\n");
}

static void too_many_wrong_passwords(void **state)
{
    (void)state;
    assert_int_equal(ph_conf_set(t.p.conf, PH_STR("rate_account_login_errors"), PH_STR("3"), NULL),
                     0);
    proc_keeper.reload(&t.p);
    add_app("phone", "abcde-fghjk", PH_SCOPE_ALL, 0);
    ask_auth_from(1, "198.51.100.1", IPC_IMAP, "alice@x.test", "secret"); /* her own telephone */
    wait_for(2);
    for (int i = 0; i < 5; i++) {
        char from[32];
        snprintf(from, sizeof from, "203.0.113.%d", i);
        ask_auth_from(2, from, IPC_IMAP, "alice@x.test", "guess");
    }
    wait_for(5);
    ph_buf_clear(&t.log);
    ask_auth_from(3, "203.0.113.77", IPC_IMAP, "alice@x.test", "secret"); /* right, and too late */
    expect(1, "AUTHED 3 2 alice@x.test\n");
    ask_auth_from(4, "198.51.100.1", IPC_IMAP, "alice@x.test", "secret");
    expect(2, "GRANT 3 1 alice@x.test\nAUTHED 4 0 alice@x.test\n");
    ask_auth_from(5, "203.0.113.77", IPC_IMAP, "alice@x.test", "abcde-fghjk");
    expect(2, "GRANT 3 1 alice@x.test\nAUTHED 5 0 alice@x.test\n");
    ask_auth_from(6, "203.0.113.77", IPC_IMAP, "bob@x.test", "other"); /* nobody else is barred */
    expect(2, "GRANT 3 2 bob@x.test\nAUTHED 6 0 bob@x.test\n");
}

static void sessions_of_an_account(void **state)
{
    (void)state;
    assert_int_equal(
        ph_conf_set(t.p.conf, PH_STR("max_connections_per_account"), PH_STR("2"), NULL), 0);
    for (uint64_t i = 1; i <= 2; i++) {
        ask_auth(i, "alice@x.test", "secret");
        wait_for(2);
    }
    ph_buf_clear(&t.log);
    uint64_t one = t.session;
    ask_auth(3, "alice@x.test", "secret");
    expect(1, "AUTHED 3 9 alice@x.test\n");
    ask_auth(4, "bob@x.test", "other");
    expect(2, "GRANT 3 2 bob@x.test\nAUTHED 4 0 bob@x.test\n");
    ipc_send(t.far[ACCESS], SESSION_END, -1, .session = one);
    ask_auth(5, "alice@x.test", "secret");
    expect(2, "GRANT 3 1 alice@x.test\nAUTHED 5 0 alice@x.test\n");
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
        cmocka_unit_test_setup_teardown(every_mechanism, up, down),
        cmocka_unit_test_setup_teardown(nobody_has_a_salt, up, down),
        cmocka_unit_test_setup_teardown(exchanges_are_bounded, up, down),
        cmocka_unit_test_setup_teardown(app_passwords, up, down),
        cmocka_unit_test_setup_teardown(too_many_wrong_passwords, up, down),
        cmocka_unit_test_setup_teardown(sessions_of_an_account, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
