/* pop3: dialogues with the server engine, at every way of cutting the client's bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "pop3_owner.h"

#define LOGIN                                                                                      \
    "C: USER alice\nS: +OK now the password\nC: PASS sec ret\nS: +OK 3 messages, 92 octets\n"
#define GREETING "S: +OK mx.test POP3 server ready\n"

struct script {
    const char *name;
    const char *text; /* "C: ..." and "S: ..." lines; the end is the end of the connection */
    bool plaintext, tls, tls_possible, in_use, apop;
    int broken; /* error code; -1 an orderly end; 0 none */
    int expunged;
};

static const struct script scripts[] = {
    {"login and quit", GREETING LOGIN "C: QUIT\nS: +OK\n", .plaintext = true, .broken = -1},
    {"tls from the start", GREETING LOGIN "C: quit\nS: +OK\n", .tls = true, .broken = -1},
    {"lists",
     GREETING LOGIN
     "C: STAT\nS: +OK 3 92\nC: LIST\nS: +OK 3 messages, 92 octets\nS: 1 23\nS: 2 46\nS: 3 23\nS: "
     ".\n"
     "C: LIST 2\nS: +OK 2 46\nC: UIDL\nS: +OK 3 messages, 92 octets\nS: 1 7.100\nS: 2 7.101\nS: 3 "
     "7.102\nS: .\n"
     "C: UIDL 3\nS: +OK 3 7.102\nC: LIST 4\nS: -ERR there is no message 4; there are 3\n"
     "C: LIST 0\nS: -ERR the argument is a message number, from 1 on\n"
     "C: LIST 1 2\nS: -ERR the argument is a message number, from 1 on\n"
     "C: STAT 1\nS: -ERR this command takes no argument\nC: NOOP\nS: +OK\n",
     .plaintext = true},
    {"messages",
     GREETING LOGIN "C: RETR 1\nS: +OK 23 octets\nS: Subject: one\nS: \nS: first\nS: .\n"
                    "C: RETR 2\nS: +OK 46 octets\nS: Subject: dots\nS: X: y\nS: \nS: ..\nS: "
                    "...two\nS: ..three\nS: end\nS: .\n"
                    "C: RETR 3\nS: +OK 23 octets\nS: Subject: no end\nS: \nS: open\nS: .\n"
                    "C: TOP 2 0\nS: +OK\nS: Subject: dots\nS: X: y\nS: \nS: .\n"
                    "C: TOP 2 2\nS: +OK\nS: Subject: dots\nS: X: y\nS: \nS: ..\nS: ...two\nS: .\n"
                    "C: TOP 1 99\nS: +OK\nS: Subject: one\nS: \nS: first\nS: .\n"
                    "C: TOP\nS: -ERR the arguments are a message number and a count of lines\n"
                    "C: TOP 1\nS: -ERR the arguments are a message number and a count of lines\n"
                    "C: RETR\nS: -ERR the argument is a message number, from 1 on\nC: RETR 9\nS: "
                    "-ERR there is no message 9; there are 3\n",
     .plaintext = true},
    {"deleting",
     GREETING LOGIN "C: DELE 2\nS: +OK message 2 is marked as deleted\nC: DELE 2\nS: -ERR message "
                    "2 is marked as deleted\n"
                    "C: RETR 2\nS: -ERR message 2 is marked as deleted\nC: STAT\nS: +OK 2 46\n"
                    "C: LIST\nS: +OK 2 messages, 46 octets\nS: 1 23\nS: 3 23\nS: .\n"
                    "C: RSET\nS: +OK\nC: STAT\nS: +OK 3 92\nC: DELE 1\nS: +OK message 1 is marked "
                    "as deleted\nC: QUIT\nS: +OK\n",
     .plaintext = true, .broken = -1, .expunged = 1},
    {"not all removed",
     GREETING LOGIN "C: DELE 1\nS: +OK message 1 is marked as deleted\nC: DELE 2\nS: +OK message 2 "
                    "is marked as deleted\n"
                    "C: QUIT\nS: -ERR [SYS/TEMP] some messages were not removed\n",
     .plaintext = true, .broken = -1, .expunged = 2},
    {"no password without TLS",
     GREETING "C: CAPA\nS: +OK\nS: STLS\nS: UTF8\nS: LANG\nS: UIDL\nS: TOP\nS: PIPELINING\nS: "
              "RESP-CODES\nS: "
              "AUTH-RESP-CODE\nS: EXPIRE NEVER\n"
              "S: IMPLEMENTATION Posthouse\nS: .\n"
              "C: USER alice\nS: -ERR passwords travel under TLS only; send STLS first\n"
              "C: PASS sec ret\nS: -ERR passwords travel under TLS only; send STLS first\n"
              "C: AUTH PLAIN AGFsaWNlAHNlYyByZXQ=\nS: -ERR passwords travel under TLS only; send "
              "STLS first\n",
     .tls_possible = true},
    {"APOP, where a stamp was given, also without TLS (RFC 1939 7)",
     "S: +OK mx.test POP3 server ready " POP3_STAMP "\n"
     "C: APOP mrose\nS: -ERR the arguments are a name and 32 hexadecimal digits\n"
     "C: APOP c4c9334bac560ecc979e58001b3e22fb\nS: -ERR the arguments are a name and 32 "
     "hexadecimal digits\n"
     "C: APOP m C4C9334BAC560ECC979E58001B3E22FB\nS: -ERR the arguments are a name and 32 "
     "hexadecimal digits\n"
     "C: APOP m c4c9334bac560ecc979e58001b3e22fbb\nS: -ERR the arguments are a name and 32 "
     "hexadecimal digits\n"
     "C: APOP m c4c9334bac560ecc979e58001b3e22fa\nS: -ERR [AUTH] wrong??name\n"
     "C: apop mrose of mtview c4c9334bac560ecc979e58001b3e22fb\nS: +OK 3 messages, 92 octets\n"
     "C: APOP m c4c9334bac560ecc979e58001b3e22fa\nS: -ERR you are logged in already\nC: QUIT\nS: "
     "+OK\n",
     .apop = true, .broken = -1},
    {"APOP without a stamp",
     GREETING "C: APOP mrose c4c9334bac560ecc979e58001b3e22fb\nS: -ERR APOP is not offered here; "
              "CAPA tells what is\n",
     .plaintext = true},
    {"languages, and UTF-8 in headers (RFC 6856)",
     GREETING
     "C: LANG\nS: +OK the languages are\nS: en English\nS: .\nC: LANG En\nS: +OK en This is "
     "English\nC: LANG x\nS: -ERR this language is not there; LANG tells which are\n"
     "C: UTF8\nS: +OK headers may hold UTF-8 from now on\nC: STLS\nS: -ERR STLS comes "
     "before UTF8\n",
     .tls_possible = true},
    {"capabilities with TLS",
     GREETING
     "C: CAPA\nS: +OK\nS: USER\nS: SASL PLAIN\nS: UTF8\nS: LANG\nS: UIDL\nS: TOP\nS: "
     "PIPELINING\nS: RESP-CODES\nS: "
     "AUTH-RESP-CODE\n"
     "S: EXPIRE NEVER\nS: IMPLEMENTATION Posthouse\nS: .\nC: STLS\nS: -ERR TLS is there already\n",
     .tls = true, .tls_possible = true},
    {"AUTH PLAIN",
     GREETING "C: AUTH PLAIN\nS: + \nC: *\nS: -ERR cancelled\nC: AUTH CRAM-MD5\nS: -ERR this "
              "mechanism is not offered; CAPA tells which are\n"
              "C: AUTH PLAIN =\nS: -ERR that is not a response of PLAIN\nC: AUTH\nS: -ERR the name "
              "of a mechanism is missing\n"
              "C: AUTH PLAIN !!\nS: -ERR that is not base64\n"
              "C: auth plain\nS: + \nC: AGFsaWNlAHNlYyByZXQ=\nS: +OK 3 messages, 92 octets\n",
     .plaintext = true},
    {"AUTH PLAIN at once",
     GREETING "C: AUTH PLAIN AGFsaWNlAHNlYyByZXQ=\nS: +OK 3 messages, 92 octets\n",
     .plaintext = true},
    {"wrong passwords",
     GREETING
     "C: PASS x\nS: -ERR USER comes first\nC: USER bob\nS: +OK now the password\nC: PASS x\n"
     "S: -ERR [AUTH] wrong??name\nC: PASS y\nS: -ERR USER comes first\n"
     "C: USER bob\nS: +OK now the password\nC: PASS x\nS: -ERR [AUTH] wrong??name\n"
     "C: USER bob\nS: +OK now the password\nC: PASS x\nS: -ERR [AUTH] wrong??name\n",
     .plaintext = true, .broken = PH_EAUTH},
    {"in use",
     GREETING "C: USER alice\nS: +OK now the password\nC: PASS sec ret\nS: -ERR [IN-USE] in "
              "use\nC: QUIT\nS: +OK\n",
     .plaintext = true, .in_use = true, .broken = -1},
    {"order",
     GREETING "C: STAT\nS: -ERR log in first\nC: FOO\nS: -ERR there is no such command; CAPA tells "
              "what there is\n"
              "C: \nS: -ERR there is no such command; CAPA tells what there is\nC: STLS\nS: -ERR "
              "there is no TLS here\n" LOGIN "C: USER x\nS: -ERR you are logged in already\n",
     .plaintext = true},
};

static const struct ph_proto_ops *const ops = &ph_pop3_server_ops;

/* The lines of one side, with CRLF. */
static void side(const char *script, char who, struct ph_buf *out)
{
    ph_str rest = ph_str_c(script), line;
    ph_buf_init(out, NULL, 1 << 20);
    while (ph_str_token(&rest, '\n', &line))
        if (line.p[0] == who) {
            ph_buf_add(out, ph_str_skip(line, 3));
            ph_buf_add(out, PH_STR("\r\n"));
        }
}

static void drain(struct pop3_owner *o, struct ph_buf *got, size_t step)
{
    for (;;) {
        pop3_owner_work(o);
        ph_str out = ops->out(o->s);
        if (!out.n)
            return;
        out = ph_str_sub(out, 0, step);
        ph_buf_add(got, out);
        ops->sent(o->s, out.n);
    }
}

static void run(const struct script *t, size_t step, size_t part)
{
    struct ph_buf says, want, got;
    struct ph_pop3_server_options opt = {.struct_size = sizeof opt,
                                         .host = PH_STR("mx.test"),
                                         .tls_now = t->tls,
                                         .tls_possible = t->tls_possible,
                                         .plaintext = t->plaintext,
                                         .apop_stamp = ph_str_c(t->apop ? POP3_STAMP : "")};
    struct pop3_owner o = {.s = ph_pop3_server_new(NULL, &opt), .part = part, .in_use = t->in_use};
    side(t->text, 'C', &says);
    side(t->text, 'S', &want);
    ph_buf_init(&got, NULL, 1 << 20);
    ph_str in = ph_buf_str(&says);
    ops->tick(o.s, 1000);
    drain(&o, &got, step);
    while (in.n) {
        ph_str piece = ph_str_sub(in, 0, step);
        int64_t n = ops->feed(o.s, piece);
        assert_true(n > 0);
        in = ph_str_skip(in, (size_t)n);
        drain(&o, &got, step);
    }
    if (!ph_str_eq(ph_buf_str(&got), ph_buf_str(&want))) {
        print_message("%s, %zu at a time\n--- want\n%s\n--- got\n%s\n", t->name, step,
                      ph_buf_cstr(&want), ph_buf_cstr(&got));
        fail();
    }
    assert_int_equal(o.broken, t->broken);
    assert_int_equal(o.expunged, t->expunged);
    ph_pop3_server_free(o.s);
    free(o.copy);
    ph_buf_done(&says);
    ph_buf_done(&want);
    ph_buf_done(&got);
}

static void dialogues(void **state)
{
    static const size_t steps[] = {1, 2, 3, 7, 50, 100000};
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            run(&scripts[i], steps[k], 0);
            run(&scripts[i], steps[k], 1);
            run(&scripts[i], steps[k], 5);
        }
}

static struct pop3_owner start(bool plaintext)
{
    struct ph_pop3_server_options opt = {.struct_size = sizeof opt,
                                         .tls_possible = true,
                                         .plaintext = plaintext,
                                         .timeout_ms = 5000};
    struct pop3_owner o = {.s = ph_pop3_server_new(NULL, &opt)};
    ops->tick(o.s, 0);
    return o;
}

static void say(struct pop3_owner *o, const char *text, struct ph_buf *got)
{
    assert_int_equal(ops->feed(o->s, ph_str_c(text)), strlen(text));
    drain(o, got, 4096);
}

static void starttls(void **state)
{
    (void)state;
    struct ph_buf got;
    ph_buf_init(&got, NULL, 65536);
    struct pop3_owner o = start(false);
    drain(&o, &got, 4096);
    say(&o, "STLS\r\n", &got);
    assert_int_equal(ops->want(o.s), PH_WANT_TLS);
    ph_pop3_server_tls_started(o.s);
    assert_int_equal(ops->want(o.s), PH_WANT_READ);
    ph_buf_clear(&got);
    say(&o, "USER alice\r\nPASS sec ret\r\n", &got);
    assert_true(ph_str_has_suffix(ph_buf_str(&got), PH_STR("+OK 3 messages, 92 octets\r\n")));
    ph_pop3_server_free(o.s);
    /* Something behind STLS in the same bytes, and something before the handshake. */
    static const char *const rows[][2] = {{"STLS\r\nCAPA\r\n", NULL}, {"STLS\r\n", "CAPA\r\n"}};
    for (size_t i = 0; i < 2; i++) {
        o = start(false);
        drain(&o, &got, 4096);
        say(&o, rows[i][0], &got);
        if (rows[i][1])
            say(&o, rows[i][1], &got);
        assert_int_equal(o.broken, PH_ESYNTAX);
        assert_int_equal(ops->want(o.s), PH_WANT_CLOSE);
        ph_pop3_server_free(o.s);
    }
    ph_buf_done(&got);
}

static void silence(void **state)
{
    (void)state;
    struct ph_buf got;
    ph_buf_init(&got, NULL, 65536);
    struct pop3_owner o = start(true);
    drain(&o, &got, 4096);
    ops->tick(o.s, 4000);
    say(&o, "NO", &got); /* half a line is not life */
    assert_int_equal(ops->deadline(o.s), 5000);
    say(&o, "OP\r\n", &got);
    assert_int_equal(ops->deadline(o.s), 9000);
    say(&o, "USER alice\r\nPASS sec ret\r\nDELE 1\r\n", &got);
    assert_int_equal(ops->deadline(o.s), 9000);
    ops->tick(o.s, 8999);
    assert_int_equal(ops->want(o.s), PH_WANT_READ);
    ops->tick(o.s, 9000);
    drain(&o, &got, 4096);
    assert_int_equal(o.broken, PH_ETIMEOUT);
    assert_int_equal(o.expunged, 0);
    ph_pop3_server_free(o.s);
    ph_buf_done(&got);
}

static void limits(void **state)
{
    (void)state;
    struct ph_buf got;
    char longest[9000];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    ph_buf_init(&got, NULL, 1 << 20);
    struct pop3_owner o = start(true);
    drain(&o, &got, 4096);
    ph_buf_clear(&got);
    ph_str in = ph_str_c(longest);
    while (in.n) {
        int64_t n = ops->feed(o.s, in);
        assert_true(n > 0);
        in = ph_str_skip(in, (size_t)n);
        drain(&o, &got, 4096);
    }
    say(&o, "\r\nCAPA\n", &got);
    assert_true(
        ph_str_has_prefix(ph_buf_str(&got), PH_STR("-ERR the line is too long\r\n+OK\r\n")));
    for (int i = 0; i < 30 && !o.broken; i++)
        say(&o, "?\r\n", &got);
    assert_int_equal(o.broken, PH_ELIMIT);
    ph_pop3_server_free(o.s);
    ph_buf_done(&got);
}

/* A client that asks for much and reads nothing: the answers wait, and memory stays bounded. */
static void pressure(void **state)
{
    (void)state;
    struct ph_buf got;
    ph_buf_init(&got, NULL, 64 << 20);
    struct pop3_owner o = start(true);
    o.extra = 50000;
    drain(&o, &got, 4096);
    say(&o, "USER alice\r\nPASS sec ret\r\n", &got);
    ph_buf_clear(&got);
    static const char ask[] = "LIST\r\nUIDL\r\nLIST\r\n";
    size_t asked = 0;
    for (int i = 0; i < 2000; i++) {
        int64_t n = ops->feed(o.s, ph_str_c(ask));
        if (n < (int64_t)(sizeof ask - 1))
            break;
        asked++;
        pop3_owner_work(&o);
        assert_true(ops->out(o.s).n < 200000);
    }
    assert_true(asked < 1200);
    assert_false(ops->want(o.s) & PH_WANT_READ);
    ops->sent(o.s, ops->out(o.s).n);
    assert_true(ops->out(o.s).n > 0 && ops->out(o.s).n < 200000);
    ph_pop3_server_free(o.s);
    ph_buf_done(&got);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialogues), cmocka_unit_test(starttls), cmocka_unit_test(silence),
        cmocka_unit_test(limits),    cmocka_unit_test(pressure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
