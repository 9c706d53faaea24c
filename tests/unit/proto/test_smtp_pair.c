/*
 * The SMTP client engine: against our server engine in memory at random splits, and against
 * scripted servers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing.h"
#include <posthouse/sasl.h>
#include <posthouse/smtp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- pair -------------------------------------------------------------------------------- */

struct pair {
    struct ph_smtp_client *c;
    struct ph_smtp_server *s;
    struct ph_sasl_server sasl;
    bool pipelining, lmtp, tls, login, chunks, binary;
    ph_str body;           /* what the client sends */
    size_t given;          /* of it */
    struct ph_buf arrived; /* what the server had */
    struct ph_buf log;     /* the client's events */
    unsigned letters, told;
    bool wait_hello;
};

static void letter(struct pair *p)
{
    struct ph_smtp_params params = {.body = p->binary ? PH_SMTP_BINARYMIME : PH_SMTP_8BITMIME,
                                    .size = p->body.n};
    assert_int_equal(ph_smtp_client_mail(p->c, PH_STR("a@b.test"), &params), 0);
    assert_int_equal(ph_smtp_client_rcpt(p->c, PH_STR("\"one\"@b.test"), NULL), 0);
    assert_int_equal(ph_smtp_client_rcpt(p->c, PH_STR("nobody@b.test"), NULL), 0);
    assert_int_equal(ph_smtp_client_rcpt(p->c, PH_STR("two@b.test"), NULL), 0);
    assert_int_equal(p->chunks ? ph_smtp_client_chunks(p->c, p->binary) : ph_smtp_client_data(p->c),
                     0);
    p->letters++;
    p->told = 0;
}

static void on_hello(struct pair *p)
{
    if (p->tls && ph_smtp_client_has(p->c, PH_STR("starttls"), NULL)) {
        assert_int_equal(ph_smtp_client_starttls(p->c), 0);
    } else if (p->login) {
        p->login = false;
        bool plain = ph_smtp_client_has_auth(p->c, PH_STR("PLAIN"));
        assert_int_equal(
            plain ? ph_smtp_client_auth(p->c, PH_STR("PLAIN"), PH_STR("\0user\0pass"), true)
                  : ph_smtp_client_auth(p->c, PH_STR("LOGIN"), PH_STR(""), false),
            0);
    } else {
        letter(p);
    }
}

static void body(struct pair *p)
{
    size_t n = 1 + (size_t)rand() % (p->body.n + 1);
    ph_str piece = ph_str_sub(p->body, p->given, n);
    p->given += piece.n;
    assert_int_equal(ph_smtp_client_body(p->c, piece, p->given == p->body.n), 0);
}

static void client_events(struct pair *p)
{
    static const char *const names[] = {"need", "greeting", "hello", "starttls", "challenge",
                                        "auth", "mail",     "rcpt",  "data",     "more",
                                        "sent", "command",  "quit",  "broken"};
    struct ph_smtp_client_event ev;
    enum ph_smtp_client_ev kind;
    while ((kind = ph_smtp_client_next(p->c, &ev)) != PH_SMTP_C_NEED) {
        if (kind != PH_SMTP_C_MORE && kind != PH_SMTP_C_CHALLENGE)
            ph_buf_addf(&p->log, "%s%d:%d ", names[kind], (int)ev.index, ev.reply.code);
        switch (kind) {
        case PH_SMTP_C_GREETING:
            assert_int_equal(ph_smtp_client_hello(p->c, PH_STR("c.test")), 0);
            break;
        case PH_SMTP_C_HELLO:
            on_hello(p);
            break;
        case PH_SMTP_C_CHALLENGE: /* of LOGIN */
            assert_int_equal(
                ph_smtp_client_auth_data(
                    p->c, ph_str_eq(ev.data, PH_STR("Password:")) ? PH_STR("pass") : PH_STR("user"),
                    false),
                0);
            break;
        case PH_SMTP_C_AUTH:
            assert_int_equal(ph_smtp_client_hello(p->c, PH_STR("c.test")), 0);
            break;
        case PH_SMTP_C_RCPT:
            if (ev.reply.code == 550) {
                assert_true(ph_str_eq(ev.reply.esc, PH_STR("5.1.1")));
                assert_true(ph_str_eq(ev.reply.text, PH_STR("No such user\nhere")));
            }
            break;
        case PH_SMTP_C_DATA:
            p->given = 0;
            body(p);
            break;
        case PH_SMTP_C_MORE:
            body(p);
            break;
        case PH_SMTP_C_SENT:
            if (++p->told == (p->lmtp ? 2u : 1u)) {
                if (p->letters < 2)
                    letter(p);
                else
                    assert_int_equal(ph_smtp_client_quit(p->c), 0);
            }
            break;
        default:
            break;
        }
    }
}

static void auth(struct pair *p, const struct ph_smtp_server_event *ev, bool first)
{
    if (first)
        assert_int_equal(ph_sasl_server_init(&p->sasl, ev->name, PH_SASL_PASSWORD, NULL), 0);
    int r = ph_sasl_server_step(&p->sasl, ev->data, ev->has_data);
    if (r == PH_SASL_MORE) {
        ph_smtp_server_challenge(p->s, p->sasl.challenge);
        return;
    }
    assert_int_equal(r, PH_SASL_DONE);
    assert_true(ph_str_eq(p->sasl.user, PH_STR("user")) &&
                ph_str_eq(p->sasl.password, PH_STR("pass")));
    ph_smtp_server_reply(p->s, 235, "2.7.0", "Welcome");
}

static void server_events(struct pair *p)
{
    struct ph_smtp_server_event ev;
    enum ph_smtp_server_ev kind;
    while ((kind = ph_smtp_server_next(p->s, &ev)) != PH_SMTP_S_NEED) {
        if (kind == PH_SMTP_S_AUTH || kind == PH_SMTP_S_AUTHDATA)
            auth(p, &ev, kind == PH_SMTP_S_AUTH);
        if (kind == PH_SMTP_S_MAIL)
            ph_smtp_server_reply(p->s, 250, "2.1.0", "Ok");
        if (kind == PH_SMTP_S_RCPT && ph_str_eq(ev.mailbox.local, PH_STR("nobody")))
            ph_smtp_server_reply(p->s, 550, "5.1.1", "No such user\nhere");
        else if (kind == PH_SMTP_S_RCPT)
            ph_smtp_server_reply(p->s, 250, "2.1.5", "Ok");
        if (kind == PH_SMTP_S_DATA) {
            ph_buf_clear(&p->arrived);
            ph_smtp_server_reply(p->s, 354, "", "Go");
        }
        if (kind == PH_SMTP_S_BODY)
            ph_buf_add(&p->arrived, ev.data);
        if (kind == PH_SMTP_S_EOM)
            for (int i = p->lmtp ? 2 : 1; i; i--)
                ph_smtp_server_reply(p->s, 250, "2.0.0", "Queued");
    }
}

static bool move(const struct ph_proto_ops *from, void *f, const struct ph_proto_ops *to, void *t)
{
    ph_str out = from->out(f);
    ph_str part = ph_str_sub(out, 0, 1 + (size_t)rand() % 300);
    if (!part.n || !(to->want(t) & PH_WANT_READ))
        return false;
    int64_t n = to->feed(t, part);
    assert_true(n >= 0);
    from->sent(f, (size_t)n);
    return n > 0;
}

static void run_pair(struct pair *p)
{
    for (int quiet = 0; quiet < 3; quiet++) {
        client_events(p);
        server_events(p);
        if (move(&ph_smtp_client_ops, p->c, &ph_smtp_server_ops, p->s))
            quiet = 0;
        server_events(p);
        if (move(&ph_smtp_server_ops, p->s, &ph_smtp_client_ops, p->c))
            quiet = 0;
        if (ph_smtp_client_want(p->c) == PH_WANT_TLS && ph_smtp_server_want(p->s) == PH_WANT_TLS) {
            ph_smtp_client_tls_started(p->c);
            ph_smtp_server_tls_started(p->s);
            assert_false(ph_smtp_client_has(p->c, PH_STR("PIPELINING"), NULL));
            assert_int_equal(ph_smtp_client_hello(p->c, PH_STR("c.test")), 0);
            quiet = 0;
        }
    }
}

static size_t random_body(char *p, size_t n)
{
    size_t k = 0;
    while (k + 3 < n) {
        int r = rand() % 40;
        if (r == 0) {
            memcpy(p + k, "\r\n.", 3);
            k += 3;
        } else if (r == 1) {
            memcpy(p + k, "\r\n", 2);
            k += 2;
        } else {
            p[k++] = (char)(1 + rand() % 255);
            if (p[k - 1] == '\r' || p[k - 1] == '\n')
                p[k - 1] = '.';
        }
    }
    memcpy(p + k, "\r\n", 2);
    return k + 2;
}

static void pairs(void **state)
{
    (void)state;
    srand(11);
    static char raw[200000];
    for (int k = 0; k < 100; k++) {
        struct pair p = {.pipelining = k & 1,
                         .lmtp = (k & 2) && k < 60,
                         .tls = k & 4,
                         .login = (k & 4) && (k & 8),
                         .chunks = k >= 60,
                         .binary = k >= 80};
        struct ph_smtp_client_options co;
        struct ph_smtp_server_options so;
        ph_smtp_client_defaults(&co);
        ph_smtp_server_defaults(&so);
        co.lmtp = so.lmtp = p.lmtp;
        co.no_pipelining = !p.pipelining;
        so.hostname = PH_STR("mx.test");
        so.tls_available = p.tls;
        so.auth = k & 16 ? PH_STR("LOGIN") : PH_STR("PLAIN LOGIN");
        so.auth_required = p.login;
        so.binary = p.binary;
        p.body = (ph_str){raw, random_body(raw, k % 5 ? 300 : sizeof raw)};
        if (p.binary) /* any octets and any end */
            memcpy(raw + p.body.n / 2, "\0\r\r\n\n.\r", 7);
        p.body.n -= p.binary;
        ph_buf_init(&p.arrived, NULL, 1 << 20);
        ph_buf_init(&p.log, NULL, 1 << 16);
        p.c = ph_smtp_client_new(NULL, &co);
        p.s = ph_smtp_server_new(NULL, &so);
        const char *tls = p.tls ? "starttls0:220 hello0:250 " : "",
                   *login = p.login ? "auth0:235 hello0:250 " : "";
        const char *sent = p.lmtp ? "sent0:250 sent2:250 " : "sent0:250 ";
        char want[600], one[200];
        snprintf(one, sizeof one, "mail0:250 rcpt0:250 rcpt1:550 rcpt2:250 data0:354 %s", sent);
        snprintf(want, sizeof want, "greeting0:220 hello0:250 %s%s%s%squit0:221 ", tls, login, one,
                 one);
        run_pair(&p);
        assert_string_equal(ph_buf_cstr(&p.log), want);
        assert_true(ph_str_eq(ph_buf_str(&p.arrived), p.body));
        ph_smtp_client_free(p.c);
        ph_smtp_server_free(p.s);
        ph_buf_done(&p.arrived);
        ph_buf_done(&p.log);
    }
}

/* ---- scripted servers -------------------------------------------------------------------- */

/* The client asks at HELLO for a letter to `rcpts` recipients, then QUIT. `wire`: all that it said;
 * `events`: kind:code. */
struct script {
    const char *name;
    const char *server; /* everything the server will say, one reply a line; given when the client
                           has nothing to send */
    const char *wire;
    const char *events;
    bool all_at_once;
};

static const struct script scripts[] = {
    {"no pipelining: nobody accepted, no DATA", "220 x\n250 x\n250 ok\n550 no\n221 bye\n",
     "EHLO c.test|MAIL FROM:<a@b.test>|RCPT TO:<c@d.test>|QUIT|",
     "1:220 2:250 6:250 7:550 8:554! 12:221 ", false},
    {"no pipelining: sender refused", "220 x\n250 x\n550 no\n221 bye\n",
     "EHLO c.test|MAIL FROM:<a@b.test>|QUIT|", "1:220 2:250 6:550 7:503! 8:554! 12:221 ", false},
    {"pipelining: nobody accepted but 354",
     "220 x\n250-x\n250 PIPELINING\n250 ok\n550 no\n354 go\n554 none\n221 bye\n",
     "EHLO c.test|MAIL FROM:<a@b.test>|RCPT TO:<c@d.test>|DATA|.|QUIT|",
     "1:220 2:250 6:250 7:550 8:554 12:221 ", false},
    {"pipelining: nobody accepted, 354, and accepted",
     "220 x\n250-x\n250 PIPELINING\n250 ok\n550 no\n354 go\n250 queued\n221 bye\n",
     "EHLO c.test|MAIL FROM:<a@b.test>|RCPT TO:<c@d.test>|DATA|.|QUIT|",
     "1:220 2:250 6:250 7:550 8:554! 12:221 ", false},
    {"old server", "220 x\n502 what\n250 x\n250 ok\n250 ok\n354 go\n250 sent\n221 bye\n",
     "EHLO c.test|HELO c.test|MAIL FROM:<a@b.test>|RCPT TO:<c@d.test>|DATA|..x|.|QUIT|",
     "1:220 2:250 6:250 7:250 8:354 10:250 12:221 ", false},
    {"lone LF from the server",
     "220 x\n250-x\n250 SIZE\n250 ok\n250 ok\n354 go\n250 sent\n221 bye\n",
     "EHLO c.test|MAIL FROM:<a@b.test> SIZE=2|RCPT TO:<c@d.test>|DATA|..x|.|QUIT|",
     "1:220 2:250 6:250 7:250 8:354 10:250 12:221 ", false},
    {"not SMTP", "SSH-2.0\n", "", "13:0 ", false},
    {"refused at the greeting", "554 no\n", "", "1:554 ", false},
    {"421 out of the blue", "220 x\n250 x\n421 out\n", "EHLO c.test|MAIL FROM:<a@b.test>|QUIT|",
     "1:220 2:250 6:421 7:503! 8:554! ", false},
    {"answers without questions", "220 x\n250 x\n", "", "1:220 13:250 ", true},
    {"a reply of two codes", "220-x\n250 x\n", "", "13:0 ", false},
};

static void ask_letter(struct ph_smtp_client *c)
{
    struct ph_smtp_params params = {.size = 2};
    assert_int_equal(ph_smtp_client_mail(c, PH_STR("a@b.test"), &params), 0);
    assert_int_equal(ph_smtp_client_rcpt(c, PH_STR("c@d.test"), NULL), 0);
    assert_int_equal(ph_smtp_client_data(c), 0);
    assert_int_equal(ph_smtp_client_quit(c), 0);
}

static void take(struct ph_smtp_client *c, struct ph_buf *events, bool hold)
{
    struct ph_smtp_client_event ev;
    enum ph_smtp_client_ev kind;
    while ((kind = ph_smtp_client_next(c, &ev)) != PH_SMTP_C_NEED) {
        ph_buf_addf(events, "%d:%d%s ", (int)kind, ev.reply.code, ev.local ? "!" : "");
        if (kind == PH_SMTP_C_GREETING && ev.reply.code == 220 && !hold)
            assert_int_equal(ph_smtp_client_hello(c, PH_STR("c.test")), 0);
        if (kind == PH_SMTP_C_HELLO)
            ask_letter(c);
        if (kind == PH_SMTP_C_DATA && ev.reply.code == 354)
            assert_int_equal(ph_smtp_client_body(c, PH_STR(".x"), true), 0);
    }
}

static void collect(struct ph_smtp_client *c, struct ph_buf *wire)
{
    ph_str out = ph_smtp_client_out(c);
    for (size_t i = 0; i < out.n; i++)
        if (out.p[i] != '\r')
            ph_buf_addc(wire, out.p[i] == '\n' ? '|' : out.p[i]);
    ph_smtp_client_sent(c, out.n);
}

static void scripted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        const struct script *sc = &scripts[i];
        struct ph_smtp_client_options o;
        struct ph_buf wire, events;
        ph_smtp_client_defaults(&o);
        struct ph_smtp_client *c = ph_smtp_client_new(NULL, &o);
        ph_buf_init(&wire, NULL, 10000);
        ph_buf_init(&events, NULL, 10000);
        ph_str rest = ph_str_c(sc->server), line;
        while (!sc->all_at_once && ph_str_token(&rest, '\n', &line)) {
            char crlf[100];
            snprintf(crlf, sizeof crlf, "%.*s%s\n", PH_FMT(line),
                     strstr(sc->name, "LF") ? "" : "\r");
            if (ph_smtp_client_feed(c, ph_str_c(crlf)) < 0)
                break;
            take(c, &events, false);
            collect(c, &wire);
        }
        if (sc->all_at_once) {
            assert_true(ph_smtp_client_feed(c, rest) > 0);
            take(c, &events, true);
        }
        if (strcmp(ph_buf_cstr(&wire), sc->wire) || strcmp(ph_buf_cstr(&events), sc->events))
            fail_msg("%s\nwire:     %s\nexpected: %s\nevents:   %s\nexpected: %s", sc->name,
                     ph_buf_cstr(&wire), sc->wire, ph_buf_cstr(&events), sc->events);
        ph_smtp_client_free(c);
        ph_buf_done(&wire);
        ph_buf_done(&events);
    }
}

/* ---- chunks (RFC 3030) ------------------------------------------------------------------- */

struct chunk_script {
    const char *name, *server, *pieces; /* server: see script; pieces: split at '/' */
    const char *wire, *events;
};

#define CHUNKING "220 x\n250-x\n250 CHUNKING\n"
#define CHUNKING_AHEAD "220 x\n250-x\n250-PIPELINING\n250 CHUNKING\n"
#define ENVELOPE_OUT "EHLO c.test|MAIL FROM:<a@b.test>|RCPT TO:<c@d.test>|"

static const struct chunk_script chunk_scripts[] = {
    {"one chunk, dots stay", CHUNKING "250 a\n250 b\n250 queued\n221 bye\n", ".x\n",
     ENVELOPE_OUT "BDAT 4 LAST|.x|QUIT|", "1:220 2:250 6:250 7:250 8:354! 10:250 12:221 "},
    {"without pipelining a chunk waits", CHUNKING "250 a\n250 b\n250 c\n250 d\n250 e\n221 bye\n",
     "one/two/three", ENVELOPE_OUT "BDAT 3|oneBDAT 3|twoBDAT 7 LAST|three|QUIT|",
     "1:220 2:250 6:250 7:250 8:354! 9:0 9:0 10:250 12:221 "},
    {"with it, all at once", CHUNKING_AHEAD "250 a\n250 b\n250 c\n250 d\n250 e\n221 bye\n",
     "one/two/three", ENVELOPE_OUT "BDAT 3|oneBDAT 3|twoBDAT 7 LAST|three|QUIT|",
     "1:220 2:250 6:250 7:250 8:354! 9:0 9:0 10:250 12:221 "},
    {"refused amid", CHUNKING "250 a\n250 b\n552 5.3.4 full\n250 forgotten\n221 bye\n", "one/two/",
     ENVELOPE_OUT "BDAT 3|oneRSET|QUIT|", "1:220 2:250 6:250 7:250 8:354! 9:0 10:552 12:221 "},
    {"refused amid what is under way",
     CHUNKING_AHEAD "250 a\n250 b\n552 full\n503 what\n503 what\n250 forgotten\n221 bye\n",
     "one/two/", ENVELOPE_OUT "BDAT 3|oneBDAT 3|twoBDAT 2 LAST||RSET|QUIT|",
     "1:220 2:250 6:250 7:250 8:354! 9:0 9:0 10:552 12:221 "},
    {"refused at the end", CHUNKING "250 a\n250 b\n250 c\n550 spam\n221 bye\n", "one\n/",
     ENVELOPE_OUT "BDAT 5|one|BDAT 0 LAST|QUIT|",
     "1:220 2:250 6:250 7:250 8:354! 9:0 10:550 12:221 "},
    {"nobody accepted: nothing is sent", CHUNKING "250 a\n550 b\n221 bye\n", "one",
     ENVELOPE_OUT "QUIT|", "1:220 2:250 6:250 7:550 8:554! 12:221 "},
};

static bool chunk_events(struct ph_smtp_client *c, struct ph_buf *events, ph_str *pieces)
{
    struct ph_smtp_client_event ev;
    enum ph_smtp_client_ev kind;
    bool any = false;
    while ((kind = ph_smtp_client_next(c, &ev)) != PH_SMTP_C_NEED) {
        any = true;
        ph_buf_addf(events, "%d:%d%s ", (int)kind, ev.reply.code, ev.local ? "!" : "");
        if (kind == PH_SMTP_C_GREETING)
            assert_int_equal(ph_smtp_client_hello(c, PH_STR("c.test")), 0);
        if (kind == PH_SMTP_C_HELLO) {
            assert_int_equal(ph_smtp_client_mail(c, PH_STR("a@b.test"), NULL), 0);
            assert_int_equal(ph_smtp_client_rcpt(c, PH_STR("c@d.test"), NULL), 0);
            assert_int_equal(ph_smtp_client_chunks(c, false), 0);
            assert_int_equal(ph_smtp_client_quit(c), 0);
        }
        if (kind == PH_SMTP_C_MORE || (kind == PH_SMTP_C_DATA && ev.reply.code == 354)) {
            ph_str piece = {0};
            bool more = ph_str_chr(*pieces, '/') != PH_NPOS;
            ph_str_token(pieces, '/', &piece);
            assert_int_equal(ph_smtp_client_body(c, piece, !more), 0);
        }
    }
    return any;
}

static void chunks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof chunk_scripts / sizeof chunk_scripts[0]; i++) {
        const struct chunk_script *sc = &chunk_scripts[i];
        struct ph_smtp_client_options o;
        struct ph_buf wire, events;
        ph_smtp_client_defaults(&o);
        struct ph_smtp_client *c = ph_smtp_client_new(NULL, &o);
        ph_buf_init(&wire, NULL, 10000);
        ph_buf_init(&events, NULL, 10000);
        ph_str rest = ph_str_c(sc->server), line, pieces = ph_str_c(sc->pieces);
        while (ph_str_token(&rest, '\n', &line)) {
            char crlf[100];
            snprintf(crlf, sizeof crlf, "%.*s\r\n", PH_FMT(line));
            assert_true(ph_smtp_client_feed(c, ph_str_c(crlf)) > 0);
            do
                collect(c, &wire);
            while (chunk_events(c, &events, &pieces));
        }
        if (strcmp(ph_buf_cstr(&wire), sc->wire) || strcmp(ph_buf_cstr(&events), sc->events))
            fail_msg("%s\nwire:     %s\nexpected: %s\nevents:   %s\nexpected: %s", sc->name,
                     ph_buf_cstr(&wire), sc->wire, ph_buf_cstr(&events), sc->events);
        ph_smtp_client_free(c);
        ph_buf_done(&wire);
        ph_buf_done(&events);
    }
}

/* ---- what the client refuses -------------------------------------------------------------- */

static void refusals(void **state)
{
    (void)state;
    struct ph_smtp_client_options o;
    struct ph_buf events;
    ph_smtp_client_defaults(&o);
    o.refuse_bare = true;
    struct ph_smtp_client *c = ph_smtp_client_new(NULL, &o);
    ph_buf_init(&events, NULL, 10000);
    assert_int_equal(ph_smtp_client_mail(c, PH_STR("a@b.test>\r\nRCPT TO:<x@y.test"), NULL),
                     -PH_EINVAL);
    assert_int_equal(ph_smtp_client_rcpt(c, PH_STR(""), NULL), -PH_EINVAL);
    assert_int_equal(ph_smtp_client_hello(c, PH_STR("a\nb")), -PH_EINVAL);
    assert_int_equal(ph_smtp_client_command(c, PH_STR("NOOP\r\nQUIT")), -PH_EINVAL);
    assert_int_equal(ph_smtp_client_mail(c, PH_STR("\xc3\xa4@b.test"), NULL), -PH_ENOTIMPL);
    assert_int_equal(ph_smtp_client_starttls(c), -PH_ENOTIMPL);
    assert_int_equal(ph_smtp_client_auth(c, PH_STR("PLAIN"), PH_STR("\0a\0b"), true), -PH_ENOTIMPL);
    assert_int_equal(ph_smtp_client_body(c, PH_STR("x"), true), -PH_EORDER);
    assert_int_equal(ph_smtp_client_chunks(c, false), -PH_ENOTIMPL);
    struct ph_smtp_params params = {.body = PH_SMTP_BINARYMIME};
    assert_int_equal(ph_smtp_client_mail(c, PH_STR("a@b.test"), &params), -PH_ENOTIMPL);
    params = (struct ph_smtp_params){.more = PH_STR("X\r\nRSET")};
    assert_int_equal(ph_smtp_client_rcpt(c, PH_STR("a@b.test"), &params), -PH_EINVAL);
    assert_int_equal(ph_smtp_client_out(c).n, 0);
    struct ph_smtp_client_event ev;
    assert_int_equal(ph_smtp_client_hello(c, PH_STR("x")), 0);
    assert_true(ph_smtp_client_feed(c, PH_STR("220 x\r\n")) > 0);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_GREETING);
    assert_true(ph_smtp_client_feed(c, PH_STR("250-x\r\n250-SIZE 10\r\n250 AUTH=LOGIN\r\n")) > 0);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_HELLO);
    assert_true(ph_smtp_client_has_auth(c, PH_STR("login")));
    assert_int_equal(
        ph_smtp_client_mail(c, PH_STR("a@b.test"), &(struct ph_smtp_params){.size = 11}),
        -PH_ELIMIT);
    ask_letter(c);
    assert_true(ph_smtp_client_feed(c, PH_STR("250 ok\r\n")) > 0);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_MAIL);
    assert_true(ph_smtp_client_feed(c, PH_STR("250 ok\r\n")) > 0);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_RCPT);
    assert_true(ph_smtp_client_feed(c, PH_STR("354 ok\r\n")) > 0);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_DATA);
    assert_int_equal(ph_smtp_client_body(c, PH_STR("a\n.\nb"), true), 0);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_BROKEN);
    assert_int_equal(ev.error.code, PH_ESYNTAX);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_NEED);
    ph_smtp_client_free(c);
    ph_buf_done(&events);
}

static void client_time(void **state)
{
    (void)state;
    struct ph_smtp_client_options o;
    struct ph_smtp_client_event ev;
    ph_smtp_client_defaults(&o);
    struct ph_smtp_client *c = ph_smtp_client_new(NULL, &o);
    ph_smtp_client_tick(c, 5000);
    assert_int_equal(ph_smtp_client_deadline(c), 5000 + PH_SMTP_TIMEOUT);
    assert_true(ph_smtp_client_feed(c, PH_STR("220 x\r\n")) > 0);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_GREETING);
    assert_true(ph_smtp_client_deadline(c) == PH_NEVER);
    assert_int_equal(ph_smtp_client_hello(c, PH_STR("x")), 0);
    ph_smtp_client_tick(c, 5000 + PH_SMTP_TIMEOUT);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_BROKEN);
    assert_int_equal(ev.error.code, PH_ETIMEOUT);
    ph_smtp_client_free(c);
}

/* ---- every allocation fails once ----------------------------------------------------------- */

/* One session with everything in it; requests that fail are not made again. */
static void whole_session(struct ph_smtp_client *c, bool chunks)
{
    static const char *const replies[] = {
        "220 x\r\n",  "502 no\r\n",
        "250 x\r\n",  "250-x\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 AUTH LOGIN\r\n",
        "334 \r\n",   "334 \r\n",
        "235 ok\r\n", "250 ok\r\n",
        "250 ok\r\n", "354 go\r\n",
        "250 ok\r\n", "221 bye\r\n"};
    static const char *const chunk_replies[] = {"552 full\r\n", "250 ok\r\n", "221 bye\r\n"};
    struct ph_smtp_client_event ev;
    enum ph_smtp_client_ev kind;
    int failed = 0;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        bool chunk = chunks && i >= 9;
        if (ph_smtp_client_feed(c, ph_str_c(chunk ? chunk_replies[i - 9] : replies[i])) < 0)
            break;
        while ((kind = ph_smtp_client_next(c, &ev)) != PH_SMTP_C_NEED) {
            if (kind == PH_SMTP_C_GREETING)
                failed += ph_smtp_client_hello(c, PH_STR("x"));
            if (kind == PH_SMTP_C_HELLO && !ph_smtp_client_has_auth(c, PH_STR("LOGIN")))
                failed += ph_smtp_client_hello(c, PH_STR("x"));
            else if (kind == PH_SMTP_C_HELLO)
                failed += ph_smtp_client_auth(c, PH_STR("LOGIN"), PH_STR(""), false);
            if (kind == PH_SMTP_C_CHALLENGE)
                failed += ph_smtp_client_auth_data(c, PH_STR("u"), false);
            if (kind == PH_SMTP_C_AUTH) {
                failed += ph_smtp_client_mail(c, PH_STR("a@b.test"), NULL);
                failed += ph_smtp_client_rcpt(c, PH_STR("a@b.test"), NULL);
                failed += chunks ? ph_smtp_client_chunks(c, false) : ph_smtp_client_data(c);
                failed += ph_smtp_client_quit(c);
            }
            if (kind == PH_SMTP_C_DATA)
                failed += ph_smtp_client_body(c, PH_STR("x\n.y"), !chunks);
        }
        ph_smtp_client_sent(c, ph_smtp_client_out(c).n);
    }
    (void)failed;
}

static void out_of_memory(void **state)
{
    (void)state;
    for (long k = 0; k < 160; k++) {
        struct failing f = {.left = k / 2};
        struct ph_alloc al = {&f, failing_resize};
        struct ph_smtp_client_options o;
        ph_smtp_client_defaults(&o);
        struct ph_smtp_client *c = ph_smtp_client_new(&al, &o);
        if (c)
            whole_session(c, k % 2);
        ph_smtp_client_free(c);
        assert_int_equal(f.live, 0);
    }
}

/* Secrets do not show. */
static void note(void *ctx, char who, ph_str line)
{
    ph_buf_addf(ctx, "%c:%.*s|", who, PH_FMT(line));
}

static void transcript(void **state)
{
    (void)state;
    struct ph_smtp_client_options o;
    struct ph_smtp_client_event ev;
    struct ph_buf log;
    ph_smtp_client_defaults(&o);
    ph_buf_init(&log, NULL, 10000);
    o.transcript = (struct ph_smtp_transcript){note, &log};
    struct ph_smtp_client *c = ph_smtp_client_new(NULL, &o);
    assert_int_equal(ph_smtp_client_hello(c, PH_STR("x")), 0);
    assert_true(ph_smtp_client_feed(c, PH_STR("220 x\r\n250-x\r\n")) > 0);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_GREETING);
    assert_true(ph_smtp_client_feed(c, PH_STR("250 AUTH PLAIN LOGIN\r\n")) > 0);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_HELLO);
    assert_int_equal(ph_smtp_client_auth(c, PH_STR("PLAIN"), PH_STR("\0u\0secret"), true), 0);
    assert_int_equal(ph_smtp_client_next(c, &ev), PH_SMTP_C_NEED);
    assert_string_equal(ph_buf_cstr(&log),
                        "S:220 x|C:EHLO x|S:250-x|S:250 AUTH PLAIN LOGIN|C:AUTH PLAIN ****|");
    ph_smtp_client_free(c);
    ph_buf_done(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),         cmocka_unit_test(scripted),   cmocka_unit_test(refusals),
        cmocka_unit_test(client_time),   cmocka_unit_test(transcript), cmocka_unit_test(chunks),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
