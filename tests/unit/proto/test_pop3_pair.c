/* pop3: the two engines against each other in memory, at random cuts and with every allocation
 * failing once; and the client against servers that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "failing.h"
#include "pop3_owner.h"

static const struct ph_proto_ops *const sops = &ph_pop3_server_ops, *const cops =
                                                                        &ph_pop3_client_ops;

static uint32_t seed = 1;

static size_t some(size_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return n ? 1 + (seed >> 8) % n : 0;
}

struct pair {
    struct pop3_owner o;
    struct ph_pop3_client *c;
    struct ph_buf log; /* the client's events */
    bool in_chunk;
    int broken;
};

static void note(struct pair *p, enum ph_pop3_client_ev what, const struct ph_pop3_client_event *ev)
{
    const char *verb = ph_pop3_verb_name(ev->verb);
    if (what != PH_POP3_C_CHUNK)
        p->in_chunk = false;
    switch (what) {
    case PH_POP3_C_GREETING:
        ph_buf_addf(&p->log, "GREETING %d\n", ev->ok);
        break;
    case PH_POP3_C_ITEM:
        ph_buf_addf(&p->log, "%s item %u %llu %.*s\n", verb, (unsigned)ev->number,
                    (unsigned long long)ev->size,
                    PH_FMT(ev->verb == PH_POP3_LIST ? (ph_str){0} : ev->text));
        break;
    case PH_POP3_C_CHUNK:
        ph_buf_addf(&p->log, "%s", p->in_chunk ? "" : "chunk ");
        ph_buf_add(&p->log, ev->text);
        p->in_chunk = true;
        break;
    case PH_POP3_C_CHALLENGE:
        ph_buf_addf(&p->log, "challenge %.*s\n", PH_FMT(ev->text));
        break;
    case PH_POP3_C_DONE:
        ph_buf_addf(&p->log, "%s %s%s%.*s%s %u %llu\n", verb, ev->ok ? "ok" : "failed",
                    ev->code.n ? " [" : "", PH_FMT(ev->code), ev->code.n ? "]" : "",
                    (unsigned)ev->number, (unsigned long long)ev->size);
        break;
    case PH_POP3_C_BROKEN:
        p->broken = ev->error.code ? ev->error.code : -1;
        break;
    case PH_POP3_C_NEED:
        break;
    }
}

static void take_events(struct pair *p)
{
    struct ph_pop3_client_event ev;
    enum ph_pop3_client_ev what;
    while ((what = ph_pop3_client_next(p->c, &ev)) != PH_POP3_C_NEED)
        note(p, what, &ev);
}

/* Moves some bytes from one to the other; false when there were none. */
static bool move(const struct ph_proto_ops *fo, void *from, const struct ph_proto_ops *to_ops,
                 void *to)
{
    ph_str out = fo->out(from);
    if (!out.n || !(to_ops->want(to) & (PH_WANT_READ | PH_WANT_CLOSE)))
        return false;
    int64_t n = to_ops->feed(to, ph_str_sub(out, 0, some(out.n < 300 ? out.n : 300)));
    if (n > 0)
        fo->sent(from, (size_t)n);
    return n != 0;
}

static void exchange(struct pair *p)
{
    for (int idle = 0; idle < 3;) {
        bool there = move(sops, p->o.s, cops, p->c), back = move(cops, p->c, sops, p->o.s);
        bool moved = there || back;
        take_events(p);
        pop3_owner_work(&p->o);
        if (cops->want(p->c) == PH_WANT_TLS && sops->want(p->o.s) == PH_WANT_TLS) {
            ph_pop3_server_tls_started(p->o.s);
            ph_pop3_client_tls_started(p->c);
            moved = true;
        }
        idle = moved ? 0 : idle + 1;
    }
}

static bool start(struct pair *p, const struct ph_alloc *al, bool tls_possible, bool plaintext)
{
    struct ph_pop3_server_options so = {
        .struct_size = sizeof so, .tls_possible = tls_possible, .plaintext = plaintext};
    struct ph_pop3_client_options co = {.struct_size = sizeof co, .plaintext = plaintext};
    *p = (struct pair){0};
    ph_buf_init(&p->log, NULL, 64 << 20);
    p->o.s = ph_pop3_server_new(al, &so);
    p->c = ph_pop3_client_new(al, &co);
    if (!p->o.s || !p->c)
        return false;
    p->o.part = some(40);
    sops->tick(p->o.s, 0);
    cops->tick(p->c, 0);
    return true;
}

static void stop(struct pair *p)
{
    ph_pop3_server_free(p->o.s);
    ph_pop3_client_free(p->c);
    free(p->o.copy);
    ph_buf_done(&p->log);
}

#define OK(call) assert_true((call) > 0)

static void whole_session(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        struct pair p;
        bool tls = i % 2;
        assert_true(start(&p, NULL, tls, !tls));
        OK(ph_pop3_client_capa(p.c));
        if (tls) {
            assert_int_equal(ph_pop3_client_pass(p.c, PH_STR("x")), -PH_EDENIED);
            OK(ph_pop3_client_stls(p.c));
            exchange(&p);
            assert_false(ph_pop3_client_caps(p.c)->known);
            OK(ph_pop3_client_capa(p.c));
        }
        exchange(&p);
        assert_true(ph_pop3_client_caps(p.c)->sasl_plain && ph_pop3_client_caps(p.c)->pipelining);
        if (i % 3)
            OK(ph_pop3_client_auth(p.c, PH_STR("PLAIN"), PH_STR("\0alice\0sec ret"), true));
        else {
            OK(ph_pop3_client_user(p.c, PH_STR("alice")));
            OK(ph_pop3_client_pass(p.c, PH_STR("sec ret")));
        }
        ph_buf_clear(&p.log);
        OK(ph_pop3_client_stat(p.c));
        OK(ph_pop3_client_list(p.c, 0));
        OK(ph_pop3_client_uidl(p.c, 2));
        OK(ph_pop3_client_retr(p.c, 2));
        OK(ph_pop3_client_top(p.c, 1, 0));
        OK(ph_pop3_client_retr(p.c, 9));
        OK(ph_pop3_client_dele(p.c, 1));
        OK(ph_pop3_client_noop(p.c));
        OK(ph_pop3_client_uidl(p.c, 0));
        OK(ph_pop3_client_quit(p.c));
        assert_int_equal(ph_pop3_client_noop(p.c), -PH_ECLOSED);
        exchange(&p);
        ph_str log = ph_buf_str(&p.log);
        log = ph_str_skip(log, ph_str_find(log, PH_STR("STAT")));
        static const char want[] =
            "STAT ok 3 92\nLIST item 1 23 \nLIST item 2 46 \nLIST item 3 23 \nLIST ok 0 0\n"
            "UIDL ok 2 0\nchunk Subject: dots\r\nX: y\r\n\r\n.\r\n..two\r\n.three\r\nend\r\nRETR "
            "ok 0 0\n"
            "chunk Subject: one\r\n\r\nTOP ok 0 0\nRETR failed 0 0\nDELE ok 0 0\nNOOP ok 0 0\n"
            "UIDL item 2 0 7.101\nUIDL item 3 0 7.102\nUIDL ok 0 0\nQUIT ok 0 0\n";
        if (!ph_str_eq(log, ph_str_c(want))) {
            print_message("%.*s", PH_FMT(log));
            fail();
        }
        assert_int_equal(p.broken, -1);
        assert_int_equal(p.o.broken, -1);
        assert_int_equal(p.o.expunged, 1);
        stop(&p);
    }
}

static void long_password(void **state)
{
    (void)state;
    struct pair p;
    char initial[400] = "\0alice";
    memset(initial + 7, 'p', sizeof initial - 7);
    assert_true(start(&p, NULL, false, true));
    OK(ph_pop3_client_auth(p.c, PH_STR("PLAIN"), (ph_str){initial, sizeof initial}, true));
    OK(ph_pop3_client_auth(p.c, PH_STR("PLAIN"), PH_STR("\0alice\0sec ret"), true));
    exchange(&p);
    assert_string_equal(ph_buf_cstr(&p.log), "GREETING 1\nAUTH failed [AUTH] 0 0\nAUTH ok 0 0\n");
    stop(&p);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    for (long n = 0; n < 400; n++) {
        struct failing f = {.left = n};
        struct ph_alloc al = {&f, failing_resize};
        struct pair p;
        if (start(&p, &al, false, true)) {
            (void)!ph_pop3_client_auth(p.c, PH_STR("PLAIN"), PH_STR("\0alice\0sec ret"), true);
            (void)!ph_pop3_client_retr(p.c, 2);
            (void)!ph_pop3_client_dele(p.c, 2);
            (void)!ph_pop3_client_quit(p.c);
            exchange(&p);
        }
        stop(&p);
        assert_int_equal(f.live, 0);
        if (f.left > 0)
            return;
    }
    fail();
}

static void arguments(void **state)
{
    (void)state;
    struct pair p;
    assert_true(start(&p, NULL, false, true));
    assert_int_equal(ph_pop3_client_user(p.c, PH_STR("a\r\nDELE 1")), -PH_EINVAL);
    assert_int_equal(ph_pop3_client_pass(p.c, PH_STR("a\nb")), -PH_EINVAL);
    assert_int_equal(ph_pop3_client_auth(p.c, PH_STR("A B"), PH_STR(""), true), -PH_EINVAL);
    assert_int_equal(ph_pop3_client_retr(p.c, 0), -PH_EINVAL);
    assert_int_equal(ph_pop3_client_top(p.c, 0, 1), -PH_EINVAL);
    stop(&p);
}

static void bad_servers(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        int broken;
        const char *log;
    } rows[] = {
        {"HELLO\r\n", PH_ESYNTAX, ""},
        {"-ERR [SYS/TEMP] no\r\n", PH_EREFUSED, "GREETING 0\n"},
        {"+OK\r\n+OK\r\n", PH_ECLOSED, "GREETING 1\nUSER ok 0 0\n"},
        {"+OK\r\n-ERR no\r\n", PH_ECLOSED, "GREETING 1\nUSER failed 0 0\nPASS failed 0 0\n"},
        {"+OK\r\n+OK\r\n+OK\r\n+OK x y\r\n", PH_ESYNTAX, "GREETING 1\nUSER ok 0 0\nPASS ok 0 0\n"},
        {"+OK\r\n+OK\r\n+OK\r\n+OK 1 2\r\n+OK\r\n1 x\r\n", PH_ESYNTAX,
         "GREETING 1\nUSER ok 0 0\nPASS ok 0 0\nSTAT ok 1 2\n"},
        {"+OK\n+OK\n+OK\n+OK 1 2\n+OK\n1 2\n.\n", PH_ECLOSED,
         "GREETING 1\nUSER ok 0 0\nPASS ok 0 0\nSTAT ok 1 2\nLIST item 1 2 \nLIST ok 0 0\n"},
        {"", PH_ECLOSED, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pair p;
        assert_true(start(&p, NULL, false, true));
        OK(ph_pop3_client_user(p.c, PH_STR("a")));
        OK(ph_pop3_client_pass(p.c, PH_STR("b")));
        OK(ph_pop3_client_stat(p.c));
        OK(ph_pop3_client_list(p.c, 0));
        for (const char *s = rows[i].says; *s; s++) {
            assert_int_equal(cops->feed(p.c, (ph_str){s, 1}), 1);
            take_events(&p);
            cops->sent(p.c, cops->out(p.c).n);
        }
        cops->feed_eof(p.c);
        take_events(&p);
        assert_string_equal(ph_buf_cstr(&p.log), rows[i].log);
        assert_int_equal(p.broken, rows[i].broken);
        stop(&p);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_session),
        cmocka_unit_test(long_password),
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(arguments),
        cmocka_unit_test(bad_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
