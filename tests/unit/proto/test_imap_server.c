/*
 * The IMAP server engine, by dialogues that are data: imap/ *.trace. One line is one of
 *
 *   C: text      the client sends text and CRLF        C~ text   without CRLF; \r \n \0 \\ are escapes in both
 *   C* n text    the client sends text n times
 *   S: text      the server sends exactly this line and CRLF (in order; "S: ..." skips one line)
 *   E: text      the handler is told this, as tell() writes it
 *   H: word ...  the handler answers: see handler()
 *   = silence    nothing is unread: no output and no event
 *   = closed     the engine wants to close
 *   = secure     TLS came up
 *   % option     before all else: plain, starttls, trusted, small
 *
 * Every dialogue runs with the input cut into pieces of 1, 2, 3, 7 and all bytes.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/imap_server.h>

struct play {
    struct ph_imap_server *s;
    struct ph_buf out, told;
    size_t step;
    const char *file;
    int line;
    bool data_open;
};

static void fail_at(struct play *p, const char *want, ph_str got)
{
    print_error("%s:%d (pieces of %zu)\n  want: %s\n  got:  %.*s\n", p->file, p->line, p->step,
                want, PH_FMT(got));
    fail();
}

static const char *const verbs[] = {
#define C(sym, wire, states, cap, grammar, after, rfc) wire,
#include <posthouse/imap_commands.def>
#undef C
};

static const char *const keys[] = {
#define X(sym, wire, arg, cap) wire,
    PH_IMAP_KEYS(X)
#undef X
        "SEQ",
    "AND"};

static void tell_set(struct ph_buf *b, const struct ph_imap_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        ph_buf_addf(b, "%s%u:%u", i ? "," : " ", s->r[i].lo, s->r[i].hi);
}

static void tell_search(struct ph_buf *b, const struct ph_imap_search *k)
{
    ph_buf_addf(b, " (%s", keys[k->key]);
    if (k->field.p)
        ph_buf_addf(b, " %.*s", PH_FMT(k->field));
    if (k->value.p)
        ph_buf_addf(b, " \"%.*s\"", PH_FMT(k->value));
    if (k->number)
        ph_buf_addf(b, " %llu", (unsigned long long)k->number);
    if (k->day)
        ph_buf_addf(b, " day%d", (int)k->day);
    tell_set(b, &k->set);
    for (const struct ph_imap_search *c = k->child; c; c = c->next)
        tell_search(b, c);
    ph_buf_addc(b, ')');
}

static void tell_section(struct ph_buf *b, const struct ph_imap_section *s)
{
    ph_buf_addf(b, " sec%d.%d%s", (int)s->kind, (int)s->as, s->peek ? "p" : "");
    for (size_t i = 0; i < s->depth; i++)
        ph_buf_addf(b, "/%u", s->part[i]);
    for (size_t i = 0; i < s->field_count; i++)
        ph_buf_addf(b, "+%.*s", PH_FMT(s->fields[i]));
    if (s->partial)
        ph_buf_addf(b, "<%u.%u>", s->from, s->count);
}

static void tell_flags(struct ph_buf *b, const struct ph_imap_flags *f)
{
    ph_buf_addf(b, " flags%u[%.*s]", f->bits, PH_FMT(f->keywords));
}

static void tell_command(struct ph_buf *b, const struct ph_imap_command *k)
{
    ph_buf_addf(b, "%s%s", k->uid ? "UID " : "", verbs[k->verb]);
    switch (k->verb) {
    case PH_IMAP_LOGIN:
        ph_buf_addf(b, " [%.*s] [%.*s]", PH_FMT(k->login.user), PH_FMT(k->login.password));
        break;
    case PH_IMAP_AUTHENTICATE:
        ph_buf_addf(b, " %.*s %d %zu", PH_FMT(k->auth.mechanism), k->auth.has_initial,
                    k->auth.initial.n);
        break;
    case PH_IMAP_LIST:
    case PH_IMAP_LSUB:
        ph_buf_addf(b, " [%.*s]", PH_FMT(k->list.reference));
        for (size_t i = 0; i < k->list.pattern_count; i++)
            ph_buf_addf(b, " [%.*s]", PH_FMT(k->list.patterns[i]));
        ph_buf_addf(b, " %u %u %u", k->list.select, k->list.ret, k->list.status);
        break;
    case PH_IMAP_STATUS:
        ph_buf_addf(b, " [%.*s] %u", PH_FMT(k->status.name), k->status.items);
        break;
    case PH_IMAP_APPEND:
        ph_buf_addf(b, " [%.*s]", PH_FMT(k->append.name));
        tell_flags(b, &k->append.flags);
        ph_buf_addf(b, " %lld %llu", (long long)(k->append.has_date ? k->append.date : -1),
                    (unsigned long long)k->append.size);
        break;
    case PH_IMAP_FETCH:
        tell_set(b, &k->fetch.set);
        ph_buf_addf(b, " mask%u", k->fetch.items.mask);
        for (size_t i = 0; i < k->fetch.items.section_count; i++)
            tell_section(b, &k->fetch.items.sections[i]);
        break;
    case PH_IMAP_STORE:
        tell_set(b, &k->store.set);
        ph_buf_addf(b, " %c%s", k->store.op, k->store.silent ? " silent" : "");
        tell_flags(b, &k->store.flags);
        break;
    case PH_IMAP_COPY:
    case PH_IMAP_MOVE:
        tell_set(b, &k->copy.set);
        ph_buf_addf(b, " [%.*s]", PH_FMT(k->copy.name));
        break;
    case PH_IMAP_EXPUNGE:
        tell_set(b, &k->expunge.set);
        break;
    case PH_IMAP_SEARCH:
        ph_buf_addf(b, " [%.*s]", PH_FMT(k->search.charset));
        tell_search(b, k->search.root);
        break;
    case PH_IMAP_CREATE:
    case PH_IMAP_RENAME:
        ph_buf_addf(b, " [%.*s] [%.*s] %u", PH_FMT(k->mailbox.name), PH_FMT(k->mailbox.to),
                    k->mailbox.special);
        break;
    case PH_IMAP_SELECT:
    case PH_IMAP_EXAMINE:
        ph_buf_addf(b, " [%.*s]", PH_FMT(k->select.name));
        break;
    case PH_IMAP_DELETE:
    case PH_IMAP_SUBSCRIBE:
    case PH_IMAP_UNSUBSCRIBE:
        ph_buf_addf(b, " [%.*s]", PH_FMT(k->mailbox.name));
        break;
    default:
        break;
    }
}

/* Appends the event as one line; pieces of data are joined. */
static void tell(struct play *p, const struct ph_imap_server_event *ev)
{
    struct ph_buf *b = &p->told;
    if (p->data_open && ev->kind != PH_IMAP_SRV_DATA)
        ph_buf_addc(b, '\n');
    if (!p->data_open && ev->kind == PH_IMAP_SRV_DATA)
        ph_buf_add(b, PH_STR("data "));
    p->data_open = ev->kind == PH_IMAP_SRV_DATA;
    switch (ev->kind) {
    case PH_IMAP_SRV_COMMAND:
        tell_command(b, ev->command);
        break;
    case PH_IMAP_SRV_DATA:
        for (size_t i = 0; i < ev->data.n; i++)
            ph_buf_addc(b, ev->data.p[i] == '\n'   ? '|'
                           : ev->data.p[i] == '\r' ? '^'
                                                   : ev->data.p[i]);
        return;
    case PH_IMAP_SRV_MORE:
        ph_buf_add(b, PH_STR("more "));
        tell_command(b, ev->command);
        break;
    case PH_IMAP_SRV_DATA_END:
        ph_buf_add(b, PH_STR("data-end"));
        break;
    case PH_IMAP_SRV_RESPONSE:
        ph_buf_addf(b, "response %zu", ev->data.n);
        break;
    case PH_IMAP_SRV_IDLE_END:
        ph_buf_add(b, PH_STR("idle-end"));
        break;
    case PH_IMAP_SRV_ABORT:
        ph_buf_add(b, PH_STR("abort"));
        break;
    case PH_IMAP_SRV_DRAINED:
        ph_buf_add(b, PH_STR("drained"));
        break;
    case PH_IMAP_SRV_CLOSED:
        ph_buf_add(b, PH_STR("closed"));
        break;
    case PH_IMAP_SRV_NEED:
        break;
    }
    ph_buf_addc(b, '\n');
}

static void collect(struct play *p)
{
    struct ph_imap_server_event ev;
    while (ph_imap_server_next(p->s, &ev) != PH_IMAP_SRV_NEED)
        tell(p, &ev);
    for (;;) {
        ph_str out = ph_imap_server_ops.out(p->s);
        if (!out.n)
            break;
        size_t n = out.n > 5 ? 5 : out.n;
        ph_buf_add(&p->out, ph_str_sub(out, 0, n));
        ph_imap_server_ops.sent(p->s, n);
    }
}

static void feed(struct play *p, ph_str in)
{
    while (in.n) {
        size_t n = p->step < in.n ? p->step : in.n;
        ph_imap_server_ops.tick(p->s, 1000);
        int64_t took = ph_imap_server_ops.feed(p->s, ph_str_sub(in, 0, n));
        if (took < 0)
            break;
        in = ph_str_skip(in, (size_t)took);
        collect(p);
        if (!took)
            fail_at(p, "the engine takes input", in);
    }
}

static ph_str next_line(struct ph_buf *b, ph_str end)
{
    static char line[4096];
    ph_str all = ph_buf_str(b);
    size_t at = ph_str_find(all, end);
    if (at == PH_NPOS)
        return (ph_str){0};
    size_t n = at < sizeof line ? at : sizeof line;
    memcpy(line, all.p, n);
    ph_buf_drop(b, at + end.n);
    return (ph_str){line, n};
}

static ph_str unescape(char *s)
{
    size_t n = 0;
    for (char *f = s; *f; f++) {
        if (*f == '\\' && f[1] && strchr("rn0\\", f[1])) {
            f++;
            s[n++] = *f == 'r' ? '\r' : *f == 'n' ? '\n' : *f == '0' ? '\0' : '\\';
        } else {
            s[n++] = *f;
        }
    }
    return (ph_str){s, n};
}

static void handler_fetch(struct play *p)
{
    static const struct ph_imap_address who = {
        PH_STR_INIT("Al \"ice\""), {0}, PH_STR_INIT("alice"), PH_STR_INIT("a.test")};
    static const struct ph_imap_envelope env = {.date = PH_STR_INIT("Mon, 7 Feb 1994"),
                                                .subject = PH_STR_INIT("caf\xc3\xa9"),
                                                .from = {&who, 1},
                                                .message_id = PH_STR_INIT("<1@a>")};
    static const struct ph_imap_param cs = {PH_STR_INIT("charset"), PH_STR_INIT("utf-8")};
    struct ph_imap_body leaf = {.type = PH_STR("text"),
                                .subtype = PH_STR("plain"),
                                .params = {&cs, 1},
                                .encoding = PH_STR("8bit"),
                                .size = 12,
                                .lines = 1,
                                .disposition = PH_STR("inline")};
    struct ph_imap_body msg = {
        .message = true,
        .type = PH_STR("message"),
        .subtype = PH_STR("rfc822"),
        .size = 90,
        .lines = 4,
        .envelope = &env,
        .child = &(struct ph_imap_body){.multipart = true, .subtype = PH_STR("mixed")}};
    struct ph_imap_body root = {.multipart = true, .subtype = PH_STR("mixed"), .child = &leaf};
    leaf.next = &msg;
    ph_imap_server_fetch_begin(p->s, 3);
    ph_imap_server_fetch_uid(p->s, 9);
    ph_imap_server_fetch_flags(
        p->s, &(struct ph_imap_flags){PH_IMAP_SEEN | PH_IMAP_RECENT, PH_STR("$Junk x")});
    ph_imap_server_fetch_date(p->s, 837571465);
    ph_imap_server_fetch_size(p->s, 4294967296);
    ph_imap_server_fetch_envelope(p->s, &env);
    ph_imap_server_fetch_body(p->s, &root, true);
    ph_imap_server_fetch_section(
        p->s, &(struct ph_imap_section){.kind = PH_IMAP_SEC_TEXT, .partial = true, .from = 2}, 4);
    ph_imap_server_section_data(p->s, PH_STR("ab"));
    ph_imap_server_section_data(p->s, PH_STR("cd"));
    ph_imap_server_fetch_nil(p->s, &(struct ph_imap_section){.kind = PH_IMAP_SEC_MIME,
                                                             .part = (uint32_t[]){1, 2},
                                                             .depth = 2});
    ph_imap_server_fetch_end(p->s);
}

static void handler(struct play *p, ph_str what)
{
    ph_str word, arg;
    char text[256];
    if (p->data_open)
        ph_buf_addc(&p->told, '\n');
    p->data_open = false;
    ph_str_token(&what, ' ', &word);
    if (ph_str_eq(word, PH_STR("ok")) || ph_str_eq(word, PH_STR("no"))) {
        snprintf(text, sizeof text, "%.*s", PH_FMT(what));
        ph_imap_server_done(p->s, ph_str_eq(word, PH_STR("ok")) ? PH_IMAP_OK : PH_IMAP_NO, NULL,
                            text);
    } else if (ph_str_eq(word, PH_STR("accept"))) {
        ph_imap_server_accept(p->s);
    } else if (ph_str_eq(word, PH_STR("challenge"))) {
        ph_imap_server_challenge(p->s, what);
    } else if (ph_str_eq(word, PH_STR("exists"))) {
        ph_imap_server_exists(p->s, (uint32_t)atoi(what.p));
    } else if (ph_str_eq(word, PH_STR("fetch"))) {
        handler_fetch(p);
    } else if (ph_str_eq(word, PH_STR("list"))) {
        ph_imap_server_list(
            p->s, &(struct ph_imap_list){.name = what,
                                         .bits = PH_IMAP_MB_SENT | PH_IMAP_MB_HASNOCHILDREN,
                                         .separator = '/'});
    } else if (ph_str_eq(word, PH_STR("status"))) {
        ph_imap_server_status(
            p->s, &(struct ph_imap_status){.name = what,
                                           .mask = PH_IMAP_ST_MESSAGES | PH_IMAP_ST_UNSEEN,
                                           .messages = 7});
    } else if (ph_str_eq(word, PH_STR("found"))) {
        ph_imap_server_search_begin(p->s);
        while (ph_str_token(&what, ' ', &arg))
            ph_imap_server_found(p->s, (uint32_t)strtoul(arg.p, NULL, 10));
        ph_imap_server_search_end(p->s, 0);
    } else if (ph_str_eq(word, PH_STR("copyuid"))) {
        ph_imap_server_done(p->s, PH_IMAP_OK,
                            &(struct ph_imap_code){.kind = PH_IMAP_CODE_COPYUID,
                                                   .n = 38505,
                                                   .from = PH_STR("304,319:320"),
                                                   .to = PH_STR("3956:3958")},
                            "Done");
    } else if (ph_str_eq(word, PH_STR("bye"))) {
        ph_imap_server_bye(p->s, PH_IMAP_CODE_UNAVAILABLE, "Going down.");
    } else {
        fail_at(p, "a handler's word", word);
    }
}

static void state_is(struct play *p, ph_str what)
{
    if (ph_str_eq(what, PH_STR("silence"))) {
        if (p->out.n)
            fail_at(p, "silence", ph_buf_str(&p->out));
        if (p->told.n)
            fail_at(p, "silence", ph_buf_str(&p->told));
    } else if (ph_str_eq(what, PH_STR("closed"))) {
        assert_true(ph_imap_server_ops.want(p->s) & PH_WANT_CLOSE);
    } else if (ph_str_eq(what, PH_STR("secure"))) {
        assert_true(ph_imap_server_ops.want(p->s) & PH_WANT_TLS);
        ph_imap_server_tls_started(p->s);
    } else {
        fail_at(p, "a state", what);
    }
}

static void one_line(struct play *p, char *line)
{
    char *arg = line + (line[1] ? 2 : 1);
    arg += *arg == ' ';
    if (line[0] == 'C' && line[1] == '*') {
        long count = strtol(arg, &arg, 10);
        ph_str text = unescape(arg + 1);
        while (count-- > 0)
            feed(p, text);
    } else if (line[0] == 'C') {
        feed(p, unescape(arg));
        if (line[1] == ':')
            feed(p, PH_STR("\r\n"));
    } else if (line[0] == 'S') {
        collect(p);
        ph_str got = next_line(&p->out, PH_STR("\r\n"));
        if (strcmp(arg, "...") != 0 && !ph_str_eq(got, ph_str_c(arg)))
            fail_at(p, arg, got);
    } else if (line[0] == 'E') {
        ph_str got = next_line(&p->told, PH_STR("\n"));
        if (!ph_str_eq(got, ph_str_c(arg)))
            fail_at(p, arg, got);
    } else if (line[0] == 'H') {
        handler(p, ph_str_c(arg));
        collect(p);
    } else if (line[0] == '=') {
        collect(p);
        state_is(p, ph_str_c(arg));
    } else {
        fail_at(p, "a line of a dialogue", ph_str_c(line));
    }
}

static struct ph_imap_server_options options_of(const char *text)
{
    struct ph_imap_server_options o = {
        .struct_size = sizeof o,
        .secure = true,
        .greeting = PH_STR("hello"),
        .product = PH_STR("Posthouse"),
        .caps = PH_IMAP_CAP(IDLE) | PH_IMAP_CAP(UIDPLUS) | PH_IMAP_CAP(MOVE) |
                PH_IMAP_CAP(NAMESPACE) | PH_IMAP_CAP(UNSELECT) | PH_IMAP_CAP(SPECIAL_USE) |
                PH_IMAP_CAP(CREATE_SPECIAL_USE) | PH_IMAP_CAP(LIST_EXTENDED) |
                PH_IMAP_CAP(LIST_STATUS)};
    if (strstr(text, "% plain\n"))
        o.secure = false;
    if (strstr(text, "% starttls\n"))
        o.secure = false, o.starttls = true;
    if (strstr(text, "% trusted\n"))
        o.secure = false, o.starttls = o.plaintext = true;
    if (strstr(text, "% bare\n"))
        o.caps = 0;
    if (strstr(text, "% small\n"))
        o.preauth_max = 100, o.command_max = 200, o.append_max = 50, o.max_bad = 3;
    return o;
}

static void play(const char *file, const char *text, size_t step)
{
    struct ph_imap_server_options o = options_of(text);
    struct play p = {.file = file, .step = step};
    char line[4096];
    p.s = ph_imap_server_new(NULL, &o);
    assert_non_null(p.s);
    ph_buf_init(&p.out, NULL, 1 << 20);
    ph_buf_init(&p.told, NULL, 1 << 20);
    for (const char *at = text; *at;) {
        const char *end = strchr(at, '\n');
        size_t n = (size_t)(end - at);
        assert_true(n < sizeof line);
        memcpy(line, at, n);
        line[n] = '\0';
        p.line++;
        if (n && line[0] != '#' && line[0] != '%')
            one_line(&p, line);
        at = end + 1;
    }
    collect(&p);
    state_is(&p, PH_STR("silence"));
    ph_imap_server_free(p.s);
    ph_buf_done(&p.out);
    ph_buf_done(&p.told);
}

static void all_dialogues(void **state)
{
    static const size_t steps[] = {1, 2, 3, 7, SIZE_MAX};
    static char text[1 << 18];
    char path[512];
    int files = 0;
    (void)state;
    DIR *d = opendir(TRACES);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (!strstr(e->d_name, ".trace"))
            continue;
        snprintf(path, sizeof path, "%s/%.200s", TRACES, e->d_name);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = '\0';
        fclose(f);
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
            play(e->d_name, text, steps[i]);
        files++;
    }
    closedir(d);
    assert_true(files > 0);
}

static void time_outs(void **state)
{
    struct ph_imap_server_options o = {.struct_size = sizeof o, .secure = true};
    (void)state;
    struct ph_imap_server *s = ph_imap_server_new(NULL, &o);
    assert_true(ph_imap_server_ops.deadline(s) == PH_NEVER);
    ph_imap_server_ops.tick(s, 5000);
    assert_true(ph_imap_server_ops.deadline(s) == 65000);
    ph_imap_server_ops.tick(s, 64999);
    assert_false(ph_imap_server_ops.want(s) & PH_WANT_CLOSE);
    ph_imap_server_ops.tick(s, 65000);
    assert_true(ph_imap_server_ops.want(s) & PH_WANT_CLOSE);
    ph_imap_server_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_dialogues),
                                       cmocka_unit_test(time_outs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
