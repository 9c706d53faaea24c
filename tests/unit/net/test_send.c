/* net/conn, net/send: the blocking calls against a real server engine behind a pump, in a child
 * process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <posthouse/send.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "loop.h"
#include "pump.h"
#include "sock.h"
#include "tls.h"

static char dir[64], ca[80];
static pid_t server;
static unsigned ports[3]; /* plain and STARTTLS, TLS, mute */

/* ---- the server -------------------------------------------------------------------------- */

struct house {
    struct ph_loop *loop;
    struct ph_tls_ctx *tls;
    int fds[3];
};

struct session {
    struct ph_smtp_server *engine;
    struct ph_pump *pump;
    size_t body;
};

static void on_events(void *ctx)
{
    struct session *s = ctx;
    struct ph_smtp_server_event ev;
    enum ph_smtp_server_ev kind;
    while ((kind = ph_smtp_server_next(s->engine, &ev)) != PH_SMTP_S_NEED) {
        bool good = true;
        switch (kind) {
        case PH_SMTP_S_AUTH:
            good = ev.has_data && ph_str_eq(ev.data, (ph_str){"\0alice\0secret", 13});
            ph_smtp_server_reply(s->engine, good ? 235 : 535, good ? "2.7.0" : "5.7.8",
                                 good ? "welcome" : "wrong password");
            break;
        case PH_SMTP_S_RCPT:
            good = !ph_str_has_prefix(ev.mailbox.address, PH_STR("nobody"));
            ph_smtp_server_reply(s->engine, good ? 250 : 550, good ? "2.1.5" : "5.1.1",
                                 good ? "ok" : "no such mailbox");
            break;
        case PH_SMTP_S_DATA:
            ph_smtp_server_reply(s->engine, 354, "", "go");
            break;
        case PH_SMTP_S_BODY:
            s->body += ev.data.n;
            break;
        case PH_SMTP_S_EOM:
            ph_smtp_server_reply(s->engine, 250, "2.0.0", "%zu octets", s->body);
            s->body = 0;
            break;
        case PH_SMTP_S_MAIL:
            ph_smtp_server_reply(s->engine, 250, "2.1.0", "ok");
            break;
        case PH_SMTP_S_COMMAND:
            ph_smtp_server_reply(s->engine, 250, "", "one\ntwo %.*s", PH_FMT(ev.data));
            break;
        default:
            break;
        }
    }
}

static void on_closed(void *ctx, const struct ph_error *why)
{
    struct session *s = ctx;
    (void)why;
    ph_pump_free(s->pump);
    ph_smtp_server_free(s->engine);
    free(s);
}

static void on_secured(void *ctx, const struct ph_tls_info *info)
{
    (void)info;
    ph_smtp_server_tls_started(((struct session *)ctx)->engine);
}

static void open_session(struct house *h, int fd, bool tls)
{
    struct session *s = calloc(1, sizeof *s);
    struct ph_smtp_server_options o;
    ph_smtp_server_defaults(&o);
    o.hostname = PH_STR("mx.a.test");
    o.auth = PH_STR("PLAIN LOGIN");
    o.tls_available = !tls;
    o.tls_active = tls;
    o.xtrace = true;
    o.binary = true;
    o.limits.message = 1000000;
    s->engine = ph_smtp_server_new(NULL, &o);
    struct ph_pump_options p = {.ops = &ph_smtp_server_ops,
                                .engine = s->engine,
                                .tls = h->tls,
                                .tls_now = tls,
                                .handler = {on_events, on_closed, on_secured, s}};
    s->pump = ph_pump_new(h->loop, fd, &p);
}

static void accept_plain(void *ctx, unsigned ready)
{
    struct house *h = ctx;
    int fd = ph_accept(h->fds[0], NULL);
    (void)ready;
    if (fd >= 0)
        open_session(h, fd, false);
}

static void accept_tls(void *ctx, unsigned ready)
{
    struct house *h = ctx;
    int fd = ph_accept(h->fds[1], NULL);
    (void)ready;
    if (fd >= 0)
        open_session(h, fd, true);
}

static _Noreturn void serve(struct house *h)
{
    h->loop = ph_loop_new();
    ph_io_new(h->loop, h->fds[0], PH_READ, accept_plain, h);
    ph_io_new(h->loop, h->fds[1], PH_READ, accept_tls,
              h); /* the third one takes connections and says nothing */
    ph_loop_run(h->loop);
    _exit(0);
}

static int make(void **state)
{
    const ph_str names[] = {PH_STR_INIT("localhost"), PH_STR_INIT("127.0.0.1")};
    struct house h = {0};
    struct ph_buf cert, key;
    struct ph_error e;
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/ph-send-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    ph_buf_init(&cert, NULL, 65536);
    ph_buf_init(&key, NULL, 65536);
    h.tls = ph_tls_server_ctx(&e);
    if (ph_tls_self_signed(names, 2, &cert, &key, &e) < 0 ||
        ph_file_write(ca, ph_buf_str(&cert), 0600, &e) < 0 ||
        ph_tls_add_cert(h.tls, PH_STR(""), ph_buf_str(&cert), ph_buf_str(&key), NULL, &e) < 0)
        return -1;
    for (int i = 0; i < 3; i++) {
        struct ph_addr a;
        if (ph_addr_make(PH_STR("127.0.0.1"), 0, &a) < 0 || (h.fds[i] = ph_listen(&a, 16, &e)) < 0)
            return -1;
        a.len = sizeof a.sa;
        getsockname(h.fds[i], (struct sockaddr *)&a.sa, &a.len);
        ports[i] = ph_addr_port(&a);
    }
    ph_buf_done(&cert);
    ph_buf_done(&key);
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(&h);
    }
    for (int i = 0; i < 3; i++)
        if (i != 2)
            close(h.fds[i]);
    ph_tls_ctx_free(h.tls);
    return server < 0;
}

static int drop(void **state)
{
    char cmd[80];
    (void)state;
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    return system(cmd);
}

/* ---- tests ------------------------------------------------------------------------------- */

static struct ph_account account(enum ph_tls_mode tls)
{
    return (struct ph_account){.struct_size = sizeof(struct ph_account),
                               .host = PH_STR_INIT("127.0.0.1"),
                               .port = ports[tls == PH_TLS_ON],
                               .tls = tls,
                               .ca_file = ca,
                               .user = PH_STR_INIT("alice"),
                               .password = PH_STR_INIT("secret"),
                               .connect_ms = 1000};
}

static const ph_str letter = PH_STR_INIT("From: a@a.test\r\n\r\n.dot\nline\r\n");

static struct ph_buf said;

static void keep(void *ctx, int64_t at_ms, char who, ph_str line)
{
    (void)ctx;
    assert_true(at_ms >= 0);
    ph_buf_addf(&said, "%c: %.*s\n", who, PH_FMT(line));
}

static int hand(struct ph_smtp_session *s, const char *from, const ph_str *to, size_t count,
                struct ph_smtp_outcome *each, struct ph_smtp_outcome *all, struct ph_trouble *t)
{
    const struct ph_smtp_letter l = {.struct_size = sizeof l,
                                     .sender = ph_str_c(from),
                                     .recipients = to,
                                     .count = count,
                                     .message = letter,
                                     .ret_each = each,
                                     .ret_all = all};
    return ph_smtp_sendmail(s, &l, t);
}

static void letters(void **state)
{
    (void)state;
    const ph_str good[] = {PH_STR_INIT("b@a.test"), PH_STR_INIT("c@a.test")};
    const ph_str some[] = {PH_STR_INIT("b@a.test"), PH_STR_INIT("nobody@a.test")};
    for (int mode = PH_TLS_STARTTLS; mode <= PH_TLS_OFF; mode++) {
        struct ph_account a = account((enum ph_tls_mode)mode);
        struct ph_smtp_outcome each[2] = {{0}}, all = {0};
        struct ph_smtp_session *s;
        struct ph_trouble t = {0};
        struct ph_buf reply;
        a.transcript = (struct ph_transcript){2, keep, NULL};
        if (mode == PH_TLS_OFF)
            a.user.n = 0; /* the server has no AUTH in plain text */
        ph_buf_init(&said, NULL, 100000);
        assert_int_equal(ph_smtp_open(&a, &s, &t), 0);
        assert_int_equal(ph_smtp_session_info(s)->tls[0] != 0, mode != PH_TLS_OFF);
        assert_int_equal(ph_smtp_session_info(s)->verified, mode != PH_TLS_OFF);
        assert_int_equal(hand(s, "a@a.test", good, 2, each, &all, &t), 0);
        assert_string_equal(all.text, "2.0.0 30 octets"); /* the bare LF became CRLF */
        assert_int_equal(hand(s, "", some, 2, each, &all, &t), 1);
        assert_int_equal(each[0].code, 250);
        assert_int_equal(each[1].code, 550);
        assert_int_equal(hand(s, "a@a.test", some + 1, 1, each, &all, &t), -PH_EREFUSED);
        assert_non_null(strstr(t.error.text, "nobody@a.test: 550 5.1.1 no such mailbox"));
        assert_int_equal(hand(s, "a@a.test", good, 1, each, &all, &t), 0);
        if (mode != PH_TLS_OFF) {
            ph_buf_init(&reply, NULL, 1000);
            assert_int_equal(ph_smtp_docmd(s, PH_STR("XTRACE <1@a>"), &reply, &t), 250);
            assert_string_equal(ph_buf_cstr(&reply), "one\ntwo <1@a>");
            ph_buf_done(&reply);
            assert_non_null(strstr(ph_buf_cstr(&said), "C: AUTH PLAIN"));
        }
        ph_smtp_close(s);
        assert_null(strstr(ph_buf_cstr(&said), "AGFsaWNl")); /* the password in base64 */
        assert_non_null(strstr(ph_buf_cstr(&said), "C: QUIT"));
        ph_buf_done(&said);
    }
}

struct tally {
    size_t taken, refused, next;
};

static void count(void *ctx, size_t index, int result, const struct ph_trouble *t)
{
    struct tally *n = ctx;
    assert_int_equal(index, n->next++); /* told in order */
    assert_true((result < 0) == (t != NULL));
    n->taken += result == 0;
    n->refused += result < 0;
}

/* More letters than requests fit into the engine at once, some of which go nowhere. */
static void very_many(void **state)
{
    (void)state;
    enum { MANY = 1500, BAD = 300 }; /* below the errors that a server bears */
    static const ph_str good = PH_STR_INIT("b@a.test"), bad = PH_STR_INIT("nobody@a.test"),
                        no = PH_STR_INIT("x");
    struct ph_smtp_letter *all = calloc(MANY, sizeof *all);
    struct ph_account a = account(PH_TLS_OFF);
    struct ph_smtp_session *s;
    struct ph_trouble t = {0};
    struct tally n = {0};
    a.user.n = 0;
    for (size_t i = 0; i < MANY; i++)
        all[i] = (struct ph_smtp_letter){.struct_size = sizeof *all,
                                         .sender = good,
                                         .recipients = i % BAD == 7   ? &bad
                                                       : i % BAD == 9 ? &no
                                                                      : &good,
                                         .count = 1,
                                         .message = letter};
    assert_int_equal(ph_smtp_open(&a, &s, &t), 0);
    assert_int_equal(ph_smtp_sendmany(s, all, MANY, count, &n, &t), MANY - 2 * (MANY / BAD));
    assert_int_equal(n.refused, 2 * (MANY / BAD));
    assert_int_equal(ph_smtp_noop(s, &t), 250);
    ph_smtp_close(s);
    free(all);
}

/* Who gets it stands in the letter; Bcc goes with nobody. */
static void by_the_header(void **state)
{
    (void)state;
    static const struct {
        const char *letter;
        int result;
        const char *refused, *sender, *recipient, *octets;
    } row[] = {
        {"From: A <a@a.test>\r\nTo: b@a.test, \"C, D\" <c@a.test>\r\nBcc: d@a.test,\r\n "
         "nobody@a.test\r\nSubject: x\r\n\r\nText\r\n",
         1, "nobody@a.test: 550 5.1.1 no such mailbox\n", "C: MAIL FROM:<a@a.test>",
         "C: RCPT TO:<d@a.test>", "C: (73 octets)"},
        {"Resent-From: r@a.test\r\nResent-To: s@a.test\r\nSender: x@a.test\r\nFrom: "
         "a@a.test\r\nTo: nobody@a.test\r\n\r\n",
         0, "", "C: MAIL FROM:<r@a.test>", "C: RCPT TO:<s@a.test>", "octets"},
        {"Sender: x@a.test\r\nFrom: a@a.test, b@a.test\r\nTo: Friends: b@a.test, c@a.test;\r\n\r\n",
         0, "", "C: MAIL FROM:<x@a.test>", "C: RCPT TO:<c@a.test>", "octets"},
        {"From: a@a.test\r\nTo: undisclosed-recipients:;\r\n\r\n", -PH_EINVAL, "", "", "", ""},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct ph_account a = account(PH_TLS_OFF);
        struct ph_smtp_session *s;
        struct ph_trouble t = {0};
        struct ph_buf refused;
        a.user.n = 0;
        a.transcript = (struct ph_transcript){1, keep, NULL};
        ph_buf_init(&said, NULL, 100000);
        ph_buf_init(&refused, NULL, 1000);
        assert_int_equal(ph_smtp_open(&a, &s, &t), 0);
        assert_int_equal(ph_smtp_send_message(s, ph_str_c(row[i].letter), &refused, &t),
                         row[i].result);
        ph_smtp_close(s);
        assert_string_equal(ph_buf_cstr(&refused), row[i].refused);
        assert_non_null(strstr(ph_buf_cstr(&said), row[i].sender));
        assert_non_null(strstr(ph_buf_cstr(&said), row[i].recipient));
        if (!strstr(ph_buf_cstr(&said), row[i].octets))
            fail_msg("%s", ph_buf_cstr(&said));
        ph_buf_done(&refused);
        ph_buf_done(&said);
    }
}

static void options(void **state)
{
    (void)state;
    const ph_str to = PH_STR("b@a.test");
    struct ph_account a = account(PH_TLS_OFF);
    struct ph_smtp_session *s;
    struct ph_trouble t = {0};
    struct ph_smtp_letter l = {.struct_size = sizeof l,
                               .sender = to,
                               .recipients = &to,
                               .count = 1,
                               .message = letter,
                               .dsn_ret = PH_SMTP_RET_HDRS,
                               .dsn_envid = PH_STR("a+b"),
                               .dsn_orcpt = true,
                               .dsn_notify = PH_SMTP_NOTIFY_SUCCESS | PH_SMTP_NOTIFY_FAILURE};
    a.user.n = 0;
    a.transcript = (struct ph_transcript){1, keep, NULL};
    ph_buf_init(&said, NULL, 100000);
    assert_int_equal(ph_smtp_open(&a, &s, &t), 0);
    assert_int_equal(ph_smtp_sendmail(s, &l, &t), 0);
    l.requiretls = true;
    assert_int_equal(ph_smtp_sendmail(s, &l, &t), -PH_ENOTIMPL);
    assert_int_equal(t.kind, PH_TROUBLE_NOT_OFFERED);
    ph_smtp_close(s);
    assert_non_null(strstr(ph_buf_cstr(&said), "RET=HDRS ENVID=a+2Bb"));
    assert_non_null(strstr(ph_buf_cstr(&said), "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@a.test"));
    ph_buf_done(&said);
}

struct source {
    ph_str left;
    uint64_t done;
};

static int64_t read_some(void *ctx, char *to, size_t max)
{
    struct source *s = ctx;
    size_t n = s->left.n < max ? s->left.n : max;
    n = n > 40000 ? 40000 : n;
    memcpy(to, s->left.p, n);
    s->left = ph_str_skip(s->left, n);
    return (int64_t)n;
}

static void progressed(void *ctx, uint64_t done, uint64_t size)
{
    struct source *s = ctx;
    assert_true(done >= s->done && done <= size);
    s->done = done;
}

/* BDAT of what is read and of what is there, text and not, and the caller's own parameters. */
static void by_chunks(void **state)
{
    (void)state;
    static char raw[200000];
    const ph_str to = PH_STR("b@a.test"), bytes = {raw, sizeof raw};
    static const char *const sent[] = {"2.0.0 200002 octets", "2.0.0 200000 octets",
                                       "2.0.0 200000 octets", "2.0.0 30 octets"};
    struct ph_account a = account(PH_TLS_OFF);
    struct ph_smtp_session *s;
    struct ph_trouble t = {0};
    struct source from[2] = {{.left = bytes}, {.left = bytes}};
    struct ph_smtp_outcome all[4] = {{0}};
    memset(raw, 'x', sizeof raw);
    struct ph_smtp_letter l[4];
    for (size_t i = 0; i < 4; i++)
        l[i] = (struct ph_smtp_letter){.struct_size = sizeof l[i],
                                       .sender = to,
                                       .recipients = &to,
                                       .count = 1,
                                       .chunks = i == 0,
                                       .body = i == 1 || i == 2 ? PH_SMTP_BINARYMIME : PH_SMTP_7BIT,
                                       .message = i == 2 ? bytes : letter,
                                       .ret_all = &all[i]};
    for (size_t i = 0; i < 2; i++) {
        l[i].read = read_some;
        l[i].progress = progressed;
        l[i].ctx = &from[i];
        l[i].size = sizeof raw;
    }
    l[3].mail_options = PH_STR("BODY=8BITMIME ENVID=mine");
    l[3].rcpt_options = PH_STR("NOTIFY=NEVER");
    a.user.n = 0;
    a.transcript = (struct ph_transcript){1, keep, NULL};
    ph_buf_init(&said, NULL, 100000);
    assert_int_equal(ph_smtp_open(&a, &s, &t), 0);
    assert_int_equal(ph_smtp_sendmany(s, l, 4, NULL, NULL, &t), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(all[i].text, sent[i]);
    assert_int_equal(from[0].done, sizeof raw);
    l[3].rcpt_options = PH_STR("NOTIFY=NEVER\r\nRSET");
    assert_int_equal(ph_smtp_sendmail(s, &l[3], &t), -PH_EINVAL);
    ph_smtp_close(s);
    assert_non_null(strstr(ph_buf_cstr(&said), "C: BDAT 2 LAST"));
    assert_non_null(strstr(ph_buf_cstr(&said), "BODY=BINARYMIME"));
    assert_non_null(strstr(ph_buf_cstr(&said), " BODY=8BITMIME ENVID=mine"));
    assert_non_null(strstr(ph_buf_cstr(&said), "RCPT TO:<b@a.test> NOTIFY=NEVER\n"));
    ph_buf_done(&said);
}

/* One call, envelope from the header. */
static void one_call(void **state)
{
    (void)state;
    struct ph_account a = account(PH_TLS_STARTTLS);
    struct ph_trouble t = {0};
    assert_int_equal(
        ph_send_message(&a, PH_STR("From: a@a.test\nTo: b@a.test, nobody@a.test\n\nHi\n"), &t), 1);
    assert_non_null(strstr(t.error.text, "nobody@a.test: 550"));
    assert_int_equal(ph_send_message(&a, PH_STR("Subject: to nobody\n\nHi\n"), &t), -PH_EINVAL);
}

static void a_large_one(void **state)
{
    (void)state;
    const ph_str to = PH_STR("b@a.test");
    struct ph_account a = account(PH_TLS_STARTTLS);
    struct ph_trouble t = {0};
    char *big = malloc(2000000);
    for (size_t i = 0; i < 2000000; i++)
        big[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : 'x';
    assert_int_equal(ph_send_letter(&a, PH_STR("a@a.test"), &to, 1, (ph_str){big, 800000}, &t), 0);
    assert_int_equal(ph_send_letter(&a, PH_STR("a@a.test"), &to, 1, (ph_str){big, 2000000}, &t),
                     -PH_ELIMIT);
    assert_non_null(strstr(t.error.text, "2000000 bytes"));
    free(big);
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        int port; /* index, or -1: nobody listens */
        enum ph_tls_mode tls;
        const char *password;
        bool no_ca;
        int code;
        const char *text;
    } row[] = {
        {"127.0.0.1", -1, PH_TLS_OFF, "secret", false, PH_EREFUSED,
         "refused: nothing listens there; is the server running?"},
        {"no-such-host.invalid", 0, PH_TLS_OFF, "secret", false, 0,
         "cannot find the host \"no-such-host.invalid\""},
        {"127.0.0.1", 0, PH_TLS_STARTTLS, "wrong", false, PH_EAUTH,
         "refused the login: 535 5.7.8 wrong password"},
        {"127.0.0.1", 0, PH_TLS_STARTTLS, "secret", true, PH_ETLS,
         "self-signed and not trusted here"},
        {"127.0.0.1", 0, PH_TLS_ON, "secret", false, PH_ETLS, "does not speak TLS here"},
        {"127.0.0.1", 2, PH_TLS_ON, "secret", false, PH_ETIMEOUT,
         "did not finish the TLS handshake"},
        {"127.0.0.1", 1, PH_TLS_STARTTLS, "secret", false, 0, ""},
        {"127.0.0.1", 2, PH_TLS_OFF, "secret", false, PH_ETIMEOUT, "127.0.0.1:"},
        {"127.0.0.1", 0, PH_TLS_OFF, "secret", false, PH_ENOTIMPL, "cannot log in to"},
        {"", 0, PH_TLS_OFF, "secret", false, PH_EINVAL, "no server was named"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct ph_account a = account(row[i].tls);
        struct ph_smtp_session *s = NULL;
        struct ph_trouble t = {0};
        a.host = ph_str_c(row[i].host);
        a.port = row[i].port < 0 ? 9 : ports[row[i].port];
        a.password = ph_str_c(row[i].password);
        a.ca_file = row[i].no_ca ? NULL : ca;
        a.timeout_ms = 1000;
        int rc = ph_smtp_open(&a, &s, &t);
        assert_true(rc < 0);
        assert_null(s);
        if ((row[i].code && rc != -row[i].code) || !strstr(t.error.text, row[i].text))
            fail_msg("row %zu: %d \"%s\"", i, rc, t.error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(letters),       cmocka_unit_test(very_many),
                                       cmocka_unit_test(by_the_header), cmocka_unit_test(options),
                                       cmocka_unit_test(by_chunks),     cmocka_unit_test(one_call),
                                       cmocka_unit_test(a_large_one),   cmocka_unit_test(mistakes)};
    return cmocka_run_group_tests(tests, make, drop);
}
