/*
 * The IMAP client engine against the server engine, in memory, the bytes between them cut into
 * pieces of every size; and the client against lines that other servers send.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/imap.h>
#include <posthouse/imap_server.h>

struct pair {
    struct ph_imap_client *c;
    struct ph_imap_server *s;
    struct ph_buf told;  /* what the client was told, a line an event */
    struct ph_buf trace; /* its transcript */
    struct ph_buf mail;  /* what APPEND brought */
    struct ph_buf read;  /* what chunks brought */
    size_t step;
    bool idling;
};

static void on_trace(void *ctx, char dir, ph_str line)
{
    struct pair *p = ctx;
    ph_buf_addf(&p->trace, "%c: %.*s\n", dir, PH_FMT(line));
}

/* The server's handler: answers every command with something of its kind. */
static void handle(struct pair *p, const struct ph_imap_command *k)
{
    struct ph_imap_flags seen = {PH_IMAP_SEEN, PH_STR("$x")};
    struct ph_imap_section whole = {.kind = PH_IMAP_SEC_BODY};
    static char body[5000];
    switch (k->verb) {
    case PH_IMAP_LOGIN:
        assert_true(ph_str_eq(k->login.password, PH_STR("p\"w\\ \xc3\xa9")));
        break;
    case PH_IMAP_AUTHENTICATE:
        if (!k->auth.has_initial) {
            ph_imap_server_challenge(p->s, PH_STR(""));
            return;
        }
        assert_true(ph_str_eq(k->auth.initial, PH_STR("\0u\0p")));
        break;
    case PH_IMAP_LIST:
        ph_imap_server_list(p->s, &(struct ph_imap_list){.name = PH_STR("Entw\xc3\xbcrfe"),
                                                         .bits = PH_IMAP_MB_DRAFTS,
                                                         .separator = '/'});
        break;
    case PH_IMAP_SELECT:
        ph_imap_server_exists(p->s, 172);
        ph_imap_server_flags(p->s, &seen);
        break;
    case PH_IMAP_STATUS:
        ph_imap_server_status(p->s, &(struct ph_imap_status){.name = k->status.name,
                                                             .mask = k->status.items,
                                                             .messages = 3,
                                                             .uidnext = 4});
        break;
    case PH_IMAP_FETCH:
        memset(body, 'b', sizeof body);
        ph_imap_server_fetch_begin(p->s, 7);
        ph_imap_server_fetch_uid(p->s, 70);
        ph_imap_server_fetch_flags(p->s, &seen);
        ph_imap_server_fetch_section(p->s, &whole, sizeof body);
        ph_imap_server_section_data(p->s, (ph_str){body, sizeof body});
        ph_imap_server_fetch_envelope(p->s,
                                      &(struct ph_imap_envelope){.subject = PH_STR("a\r\nb")});
        ph_imap_server_fetch_body(
            p->s, &(struct ph_imap_body){.multipart = true, .subtype = PH_STR("mixed")}, true);
        ph_imap_server_fetch_end(p->s);
        break;
    case PH_IMAP_SEARCH:
        ph_imap_server_search_begin(p->s);
        ph_imap_server_found(p->s, 5);
        ph_imap_server_found(p->s, 6);
        ph_imap_server_search_end(p->s, 0);
        break;
    case PH_IMAP_APPEND:
    case PH_IMAP_IDLE:
        if (ph_str_eq(k->append.name, PH_STR("nowhere")) && k->verb == PH_IMAP_APPEND)
            break;
        ph_imap_server_accept(p->s);
        return;
    default:
        break;
    }
    bool no = k->verb == PH_IMAP_APPEND ||
              (k->verb == PH_IMAP_COPY && ph_str_eq(k->copy.name, PH_STR("nowhere")));
    ph_imap_server_done(p->s, no ? PH_IMAP_NO : PH_IMAP_OK,
                        no ? &(struct ph_imap_code){.kind = PH_IMAP_CODE_TRYCREATE} : NULL,
                        "Answered");
}

static void serve(struct pair *p)
{
    struct ph_imap_server_event ev;
    while (ph_imap_server_next(p->s, &ev) != PH_IMAP_SRV_NEED) {
        if (ev.kind == PH_IMAP_SRV_COMMAND)
            handle(p, ev.command);
        else if (ev.kind == PH_IMAP_SRV_DATA)
            ph_buf_add(&p->mail, ev.data);
        else if (ev.kind == PH_IMAP_SRV_DATA_END || ev.kind == PH_IMAP_SRV_IDLE_END ||
                 ev.kind == PH_IMAP_SRV_RESPONSE)
            ph_imap_server_done(p->s, PH_IMAP_OK, NULL, "Answered");
    }
}

static void tell(struct pair *p, const struct ph_imap_client_event *ev)
{
    static const char *const conds[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
    struct ph_buf *b = &p->told;
    switch (ev->kind) {
    case PH_IMAP_GREETING:
        ph_buf_addf(b, "greeting %s\n", conds[ev->cond]);
        break;
    case PH_IMAP_RESULT:
        ph_buf_addf(b, "result %d %s code%d\n", ev->id, conds[ev->cond], (int)ev->code.kind);
        break;
    case PH_IMAP_CONTINUE:
        ph_buf_addf(b, "continue %d\n", ev->id);
        p->idling = ev->verb == PH_IMAP_IDLE;
        break;
    case PH_IMAP_CONDITION:
        ph_buf_addf(b, "condition %s code%d\n", conds[ev->cond], (int)ev->code.kind);
        break;
    case PH_IMAP_CAPS_EV:
        ph_buf_addf(b, "caps\n");
        break;
    case PH_IMAP_LIST_EV:
        ph_buf_addf(b, "list %.*s %u %c\n", PH_FMT(ev->list.name), ev->list.bits,
                    ev->list.separator);
        break;
    case PH_IMAP_STATUS_EV:
        ph_buf_addf(b, "status %.*s %llu %llu\n", PH_FMT(ev->status.name),
                    (unsigned long long)ev->status.messages,
                    (unsigned long long)ev->status.uidnext);
        break;
    case PH_IMAP_FLAGS_EV:
        ph_buf_addf(b, "flags %u %.*s\n", ev->flags.bits, PH_FMT(ev->flags.keywords));
        break;
    case PH_IMAP_EXISTS:
    case PH_IMAP_RECENT_EV:
    case PH_IMAP_EXPUNGED:
        ph_buf_addf(b, "%s %u\n",
                    ev->kind == PH_IMAP_EXISTS     ? "exists"
                    : ev->kind == PH_IMAP_EXPUNGED ? "expunged"
                                                   : "recent",
                    ev->n);
        break;
    case PH_IMAP_FOUND:
        ph_buf_addf(b, "found %zu\n", ev->count);
        break;
    case PH_IMAP_CHALLENGE:
        ph_buf_addf(b, "challenge %.*s\n", PH_FMT(ev->text));
        break;
    case PH_IMAP_ESEARCH_EV:
        ph_buf_addf(b, "esearch count%llu all %.*s\n", (unsigned long long)ev->esearch.count,
                    PH_FMT(ev->esearch.all));
        break;
    case PH_IMAP_VANISHED:
        ph_buf_addf(b, "vanished%s %.*s\n", ev->earlier ? " earlier" : "", PH_FMT(ev->text));
        break;
    case PH_IMAP_CHUNK:
        assert_true(ev->chunk.at == p->read.n);
        ph_buf_add(&p->read, ev->chunk.data);
        break;
    case PH_IMAP_FETCHED:
        ph_buf_addf(b, "fetched %u uid%u mask%u parts%zu%s", ev->fetch.seq, ev->fetch.uid,
                    ev->fetch.mask, ev->fetch.part_count,
                    ev->fetch.part_count && ev->fetch.parts[0].streamed ? " streamed" : "");
        if (ev->fetch.envelope)
            ph_buf_addf(b, " subject%zu", ev->fetch.envelope->subject.n);
        if (ev->fetch.body)
            ph_buf_addf(b, " %.*s/%.*s", PH_FMT(ev->fetch.body->type),
                        PH_FMT(ev->fetch.body->subtype));
        ph_buf_addc(b, '\n');
        break;
    case PH_IMAP_THREADED:
        ph_buf_addf(b, "threads");
        for (size_t i = 0; i < ev->count; i++)
            ph_buf_addf(b, " %u@%u", ev->threads[i].number, ev->threads[i].depth);
        ph_buf_addc(b, '\n');
        break;
    case PH_IMAP_NAMESPACES:
        for (size_t i = 0; i < ev->count; i++)
            ph_buf_addf(b, "namespace %d \"%.*s\" %c\n", (int)ev->namespaces[i].kind,
                        PH_FMT(ev->namespaces[i].prefix),
                        ev->namespaces[i].separator ? ev->namespaces[i].separator : '-');
        break;
    case PH_IMAP_OTHER:
        ph_buf_addf(b, "other %.*s\n", PH_FMT(ev->text));
        break;
    case PH_IMAP_CLOSED:
        ph_buf_addf(b, "closed\n");
        break;
    case PH_IMAP_BROKEN:
        ph_buf_addf(b, "broken %s\n", ph_imap_client_error(p->c)->text);
        break;
    case PH_IMAP_NEED:
        break;
    }
}

static void listen(struct pair *p)
{
    struct ph_imap_client_event ev;
    while (ph_imap_client_next(p->c, &ev) != PH_IMAP_NEED)
        tell(p, &ev);
}

static bool carry(const struct ph_proto_ops *from, void *a, const struct ph_proto_ops *to, void *b,
                  size_t step)
{
    ph_str out = ph_str_sub(from->out(a), 0, step);
    if (!out.n)
        return false;
    to->tick(b, 1);
    int64_t n = to->feed(b, out);
    if (n > 0)
        from->sent(a, (size_t)n);
    return n > 0;
}

/* Until both are silent. */
static void run(struct pair *p)
{
    bool moved = true;
    while (moved) {
        moved = carry(&ph_imap_server_ops, p->s, &ph_imap_client_ops, p->c, p->step);
        listen(p);
        moved |= carry(&ph_imap_client_ops, p->c, &ph_imap_server_ops, p->s, p->step);
        serve(p);
        if ((ph_imap_client_ops.want(p->c) & PH_WANT_TLS) &&
            (ph_imap_server_ops.want(p->s) & PH_WANT_TLS)) {
            ph_imap_client_tls_started(p->c);
            ph_imap_server_tls_started(p->s);
            moved = true;
        }
    }
}

static void expect(struct pair *p, const char *told)
{
    run(p);
    if (strcmp(ph_buf_cstr(&p->told), told) != 0) {
        print_error("pieces of %zu\nwant:\n%sgot:\n%s", p->step, told, ph_buf_cstr(&p->told));
        fail();
    }
    ph_buf_clear(&p->told);
}

static void begin(struct pair *p, size_t step, bool secure)
{
    struct ph_imap_server_options so = {.struct_size = sizeof so,
                                        .secure = secure,
                                        .starttls = true,
                                        .caps = PH_IMAP_CAP(IDLE) | PH_IMAP_CAP(UIDPLUS) |
                                                PH_IMAP_CAP(MOVE) | PH_IMAP_CAP(NAMESPACE)};
    struct ph_imap_client_options co = {
        .struct_size = sizeof co, .secure = secure, .trace = on_trace, .trace_ctx = p};
    *p = (struct pair){.step = step};
    struct ph_buf *bufs[] = {&p->told, &p->trace, &p->mail, &p->read};
    for (int i = 0; i < 4; i++)
        ph_buf_init(bufs[i], NULL, 1 << 20);
    p->s = ph_imap_server_new(NULL, &so);
    p->c = ph_imap_client_new(NULL, &co);
    assert_non_null(p->s);
    assert_non_null(p->c);
}

static void end(struct pair *p)
{
    struct ph_buf *bufs[] = {&p->told, &p->trace, &p->mail, &p->read};
    for (int i = 0; i < 4; i++)
        ph_buf_done(bufs[i]);
    ph_imap_client_free(p->c);
    ph_imap_server_free(p->s);
}

static void one_session(size_t step)
{
    struct pair p;
    begin(&p, step, false);
    expect(&p, "greeting OK\n");
    assert_int_equal(ph_imap_client_login(p.c, PH_STR("u"), PH_STR("p")), -PH_EDENIED);
    assert_int_equal(ph_imap_client_starttls(p.c), 1);
    expect(&p, "result 1 OK code0\n");
    assert_int_equal(ph_imap_client_capability(p.c), 2);
    expect(&p, "caps\nresult 2 OK code0\n");
    assert_int_equal(ph_imap_client_select(p.c, PH_STR("INBOX"), false), -PH_EORDER);
    assert_int_equal(ph_imap_client_login(p.c, PH_STR("u"), PH_STR("p\"w\\ \xc3\xa9")), 3);
    expect(&p, "result 3 OK code3\n");
    /* Pipelined. */
    assert_int_equal(ph_imap_client_list(p.c, PH_STR(""), PH_STR("*"), false), 4);
    assert_int_equal(ph_imap_client_select(p.c, PH_STR("INBOX"), false), 5);
    assert_int_equal(
        ph_imap_client_status(p.c, PH_STR("a b"), PH_IMAP_ST_MESSAGES | PH_IMAP_ST_UIDNEXT), 6);
    expect(&p, "list Entw\xc3\xbcrfe 1024 /\nresult 4 OK code0\nexists 172\nflags 1 $x\nresult 5 "
               "OK code0\nstatus a b 3 4\nresult 6 OK code0\n");
    assert_int_equal(ph_imap_client_fetch(p.c, true, PH_STR("70"), PH_STR("(FLAGS BODY[])")), 7);
    expect(&p,
           "fetched 7 uid70 mask83 parts1 streamed subject4 MULTIPART/mixed\nresult 7 OK code0\n");
    assert_int_equal(p.read.n, 5000);
    assert_int_equal(ph_imap_client_copy(p.c, true, PH_STR("70"), PH_STR("nowhere"), false), 8);
    assert_int_equal(ph_imap_client_search(p.c, true, PH_STR(""), PH_STR("ALL")), 9);
    expect(&p, "result 8 NO code8\nfound 2\nresult 9 OK code0\n");
    assert_int_equal(ph_imap_client_append(p.c, PH_STR("x y"),
                                           &(struct ph_imap_flags){PH_IMAP_SEEN, PH_STR("k")}, 0, 0,
                                           11),
                     10);
    assert_int_equal(ph_imap_client_append_data(p.c, PH_STR("hello\r\n")), 7);
    assert_int_equal(ph_imap_client_noop(p.c), -PH_EORDER);
    assert_int_equal(ph_imap_client_append_data(p.c, PH_STR("abcdefg")), 4);
    expect(&p, "result 10 OK code0\n");
    assert_string_equal(ph_buf_cstr(&p.mail), "hello\r\nabcd");
    assert_int_equal(ph_imap_client_simple(p.c, PH_IMAP_IDLE), 11);
    expect(&p, "continue 11\n");
    ph_imap_server_exists(p.s, 173);
    expect(&p, "exists 173\n");
    assert_int_equal(ph_imap_client_idle_done(p.c), 0);
    expect(&p, "result 11 OK code0\n");
    assert_int_equal(ph_imap_client_simple(p.c, PH_IMAP_LOGOUT), 12);
    expect(&p, "condition BYE code0\nresult 12 OK code0\n");
    ph_imap_client_ops.feed_eof(p.c);
    expect(&p, "closed\n");
    assert_null(strstr(ph_buf_cstr(&p.trace), "p\\\"w"));
    assert_non_null(strstr(ph_buf_cstr(&p.trace), "C: A3 LOGIN u "));
    end(&p);
}

static void whole_sessions(void **state)
{
    (void)state;
    for (size_t step = 1; step < 20; step++)
        one_session(step);
    one_session(100000);
}

/* Lines as another server says them, one string; what the client must make of them. `do`: c
 * capability, l login, s select, a append of 3 bytes, p AUTHENTICATE PLAIN, i idle. */
static const struct {
    const char *doing, *server, *told;
} foreign[] = {
    {"", "* OK hi\r\n", "greeting OK\n"},
    {"", "* BYE busy\r\n", "greeting BYE\n"},
    {"", "* PREAUTH [CAPABILITY IMAP4rev1 LITERAL+] hi\r\n", "greeting PREAUTH\n"},
    {"", "220 smtp.example ESMTP\r\n", "broken the server sent a line that is no response\n"},
    {"", "+ OK POP3\r\n", "broken the server said \"+\" although nothing waits for it\n"},
    {"",
     "* OK hi\r\n* 3 EXISTS\r\n* SEARCH\r\n* SEARCH 1 2 \r\n* VANISHED 3\r\n* 2 XFOO "
     "(\"\\\"\")\r\n* 4 EXPUNGE\r\n",
     "greeting OK\nexists 3\nfound 0\nfound 2\nvanished 3\nother 2 XFOO (\"\\\"\")\nexpunged "
     "4\n"},
    {"",
     "* OK hi\r\n* LIST (\\Marked \\HasNoChildren) NIL inbox\r\n* LSUB () \"\\\\\" {3}\r\na\\b\r\n",
     "greeting OK\nlist INBOX 36 \0\n"},
    {"",
     "* OK hi\r\n* 1 FETCH (UID 3 RFC822.SIZE 12 X-GM-LABELS (\"\\\\Sent\" a) MODSEQ (99) "
     "INTERNALDATE \" 7-Feb-1994 21:52:25 -0800\" BODY[TEXT] NIL "
     "RFC822.HEADER \"x\")\r\n",
     "greeting OK\nfetched 1 uid3 mask141 parts2\n"},
    {"", "* OK hi\r\n* 1 FETCH (BODY[HEADER.FIELDS (\"A\" B)] {2}\r\nxy UID 9)\r\n",
     "greeting OK\nfetched 1 uid9 mask1 parts1 streamed\n"},
    {"", "* OK hi\r\n* 1 FETCH (BODY[] {0}\r\n)\r\n",
     "greeting OK\nfetched 1 uid0 mask0 parts1 streamed\n"},
    {"",
     "* OK hi\r\n* 1 FETCH (ENVELOPE (NIL NIL ((NIL NIL \"a\" \"b\") (NIL NIL \"c\" \"d\")) NIL "
     "NIL NIL NIL NIL NIL NIL) BODYSTRUCTURE "
     "((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 1 1 NIL NIL (\"en\" \"de\") NIL (1 2)) \"X\" "
     "(\"boundary\" \"b\") NIL NIL))\r\n",
     "greeting OK\nfetched 1 uid0 mask80 parts0 subject0 MULTIPART/X\n"},
    /* RFC 5256 5; a list without a parent; nothing; what is none */
    {"",
     "* OK hi\r\n* THREAD (2)(3 6 (4 23)(44 7 96))\r\n* THREAD ((3)(5))\r\n* THREAD\r\n* THREAD "
     "(1\r\n",
     "greeting OK\nthreads 2@0 3@0 6@1 4@2 23@3 44@2 7@3 96@4\nthreads 0@0 3@1 5@1\nthreads\nother "
     "THREAD (1\n"},
    {"",
     "* OK hi\r\n* NAMESPACE ((\"\" \"/\")(\"inbox\" NIL)) NIL ((\"#shared/\" \"/\" \"X-PARAM\" "
     "(\"FLAG1\" \"FLAG2\")))\r\n",
     "greeting OK\nnamespace 0 \"\" /\nnamespace 0 \"INBOX\" -\nnamespace 2 \"#shared/\" /\n"},
    {"", "* OK hi\r\n* STATUS x (MAILBOXID (F22) MESSAGES 3 UIDNEXT 4)\r\n",
     "greeting OK\nstatus x 3 4\n"},
    {"", "* OK hi\r\n* 1 FETCH (BODY[] {5}\r\nab",
     "greeting OK\nbroken the server closed the connection\n"},
    {"c", "* OK hi\r\nA1 OK done\r\nA1 OK again\r\n",
     "greeting OK\nresult 1 OK code0\nbroken the server answered a command that was not given\n"},
    {"c", "* OK hi\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nA1 NO [ALERT] x\r\n",
     "greeting OK\ncaps\nresult 1 NO code1\n"},
    {"p", "* OK hi\r\n+ \r\nA1 OK [CAPABILITY IMAP4rev1] in\r\n",
     "greeting OK\nresult 1 OK code3\n"},
    {"p", "* OK hi\r\nA1 NO not now\r\n", "greeting OK\nresult 1 NO code0\n"},
    {"s",
     "* PREAUTH hi\r\n* OK [PERMANENTFLAGS (\\Seen \\*)] x\r\n* OK [UIDVALIDITY 5] y\r\n* OK [X-Y "
     "z] w\r\nA1 OK [READ-ONLY] s\r\n",
     "greeting PREAUTH\ncondition OK code5\ncondition OK code10\ncondition OK code45\nresult 1 OK "
     "code6\n"},
    {"a", "* PREAUTH hi\r\n+ go\r\nA1 OK [APPENDUID 1 2] s\r\n",
     "greeting PREAUTH\ncontinue 1\nresult 1 OK code12\n"},
    {"a", "* PREAUTH hi\r\nA1 NO [TRYCREATE] s\r\n", "greeting PREAUTH\nresult 1 NO code8\n"},
    {"i", "* PREAUTH hi\r\n+ idling\r\n* 5 EXISTS\r\n", "greeting PREAUTH\ncontinue 1\nexists 5\n"},
};

static void feed_client(struct pair *p, ph_str in)
{
    while (in.n) {
        ph_str now = ph_str_sub(in, 0, p->step);
        if (ph_imap_client_ops.feed(p->c, now) < 0)
            break;
        in = ph_str_skip(in, now.n);
        for (ph_str out; (out = ph_imap_client_ops.out(p->c)).n;)
            ph_imap_client_ops.sent(p->c, out.n);
        listen(p);
    }
}

static void other_servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        for (size_t step = 1; step<9; step += step> 3 ? 4 : 1) {
            struct pair p;
            begin(&p, step, true);
            const char *lf = strchr(foreign[i].server, '\n') + 1;
            feed_client(&p, (ph_str){foreign[i].server, (size_t)(lf - foreign[i].server)});
            switch (foreign[i].doing[0]) {
            case 'c':
                assert_int_equal(ph_imap_client_capability(p.c), 1);
                break;
            case 'p':
                assert_int_equal(ph_imap_client_auth(p.c, PH_STR("PLAIN"), PH_STR("\0u\0p"), true),
                                 1);
                break;
            case 's':
                assert_int_equal(ph_imap_client_select(p.c, PH_STR("x"), true), 1);
                break;
            case 'a':
                assert_int_equal(ph_imap_client_append(p.c, PH_STR("x"), NULL, INT64_MIN, 0, 3), 1);
                assert_int_equal(ph_imap_client_append_data(p.c, PH_STR("abc")), 0);
                break;
            case 'i':
                assert_int_equal(ph_imap_client_simple(p.c, PH_IMAP_IDLE), 1);
                break;
            }
            for (ph_str out; (out = ph_imap_client_ops.out(p.c)).n;)
                ph_imap_client_ops.sent(p.c, out.n);
            feed_client(&p, ph_str_c(lf));
            if (strstr(foreign[i].told, "closed the"))
                ph_imap_client_ops.feed_eof(p.c);
            listen(&p);
            size_t want = strlen(foreign[i].told);
            if (p.told.n < want || memcmp(ph_buf_cstr(&p.told), foreign[i].told, want) != 0) {
                print_error("row %zu, pieces of %zu\nwant:\n%sgot:\n%s", i, step, foreign[i].told,
                            ph_buf_cstr(&p.told));
                fail();
            }
            end(&p);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_sessions),
                                       cmocka_unit_test(other_servers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
