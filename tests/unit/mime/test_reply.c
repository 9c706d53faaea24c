/* mime: replies and forwarding. To whom, in which thread, under which subject, with which quote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <posthouse/reply.h>

static struct ph_arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = ph_arena_new(NULL, 64 * 1024 * 1024);
    return arena ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    arena = ph_arena_free(arena);
    return 0;
}

static void subjects(void **state)
{
    (void)state;
    static const struct {
        const char *in, *reply, *forward;
    } rows[] = {
        {"Hello", "Re: Hello", "Fwd: Hello"},
        {"", "Re: ", "Fwd: "},
        {"Re: Hello", "Re: Hello", "Fwd: Re: Hello"},
        {"RE: re:Re : Hello", "Re: Hello", "Fwd: RE: re:Re : Hello"},
        {"AW: Hallo", "Re: Hallo", "Fwd: AW: Hallo"},
        {"SV: AW: Antw: Odp: x", "Re: x", "Fwd: SV: AW: Antw: Odp: x"},
        {"Re[3]: x", "Re: x", "Fwd: Re[3]: x"},
        {"Re^2: Re(4): x", "Re: x", "Fwd: Re^2: Re(4): x"},
        {"回复：你好", "Re: 你好", "Fwd: 回复：你好"},
        {"答复: 回覆: 你好", "Re: 你好", "Fwd: 答复: 回覆: 你好"},
        {"转发: 你好", "Re: 转发: 你好", "Fwd: 你好"},
        {"WG: FW: Fwd: x", "Re: WG: FW: Fwd: x", "Fwd: x"},
        {"TR : x", "Re: TR : x", "Fwd: x"},
        {"[list] Re: x", "Re: [list] x", "Fwd: [list] Re: x"},
        {"Re: [list] AW: x", "Re: [list] x", "Fwd: Re: [list] AW: x"},
        {"[list] x", "Re: [list] x", "Fwd: [list] x"},
        {"Regarding: x", "Re: Regarding: x", "Fwd: Regarding: x"},
        {"Re x", "Re: Re x", "Fwd: Re x"},
        {"R: a language", "Re: R: a language", "Fwd: R: a language"},
        {"Re:", "Re: ", "Fwd: Re:"},
        {"Re[", "Re: Re[", "Fwd: Re["},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *const wanted[] = {rows[i].reply, rows[i].forward};
        for (int kind = 0; kind < 2; kind++) {
            struct ph_buf out;
            ph_buf_init(&out, NULL, 1000);
            assert_int_equal(
                ph_subject_write(ph_str_c(rows[i].in), (enum ph_subject)kind, PH_STR(""), &out), 0);
            assert_string_equal(ph_buf_cstr(&out), wanted[kind]);
            ph_buf_done(&out);
        }
    }
}

static struct ph_message *parsed(const char *text)
{
    struct ph_message *m;
    assert_int_equal(ph_mime_parse(arena, ph_str_c(text), NULL, &m), 0);
    return m;
}

static const char *value(const struct ph_email *e, const char *name)
{
    ph_str v = ph_email_get(e, ph_str_c(name));
    return v.p ? ph_arena_cstr(arena, v) : "(none)";
}

/* All recipients, "to | cc". */
static const char *recipients(struct ph_email *e)
{
    struct ph_buf out;
    ph_str address;
    ph_buf_init(&out, NULL, 10000);
    for (size_t i = 0; ph_email_recipient(e, i, &address); i++)
        ph_buf_addf(&out, "%s%.*s", i ? " " : "", PH_FMT(address));
    const char *s = ph_arena_cstr(arena, ph_buf_str(&out));
    ph_buf_done(&out);
    return s;
}

static void to_whom(void **state)
{
    (void)state;
    static const char plain[] = "From: A <a@x.test>\nTo: me@x.test, B <b@x.test>\nCc: c@x.test, "
                                "ME@X.test, alias@x.test\n\n",
                      own[] = "From: me@x.test\nTo: b@x.test\nCc: c@x.test\n\n",
                      alone[] = "From: me@x.test\nTo: alias@x.test\n\n",
                      set[] = "From: a@x.test\nReply-To: r@x.test\nTo: me@x.test\n\n",
                      list[] = "From: a@x.test\nTo: l@x.test\nReply-To: The List "
                               "<l@x.test>\nList-Post: <mailto:l@x.test?a=b>\n\n",
                      closed[] = "From: a@x.test\nTo: l@x.test\nList-Post: NO (read only)\n\n",
                      follow[] = "From: a@x.test\nTo: b@x.test\nMail-Followup-To: f@x.test, "
                                 "me@x.test\nMail-Reply-To: m@x.test\n\n",
                      group[] =
                          "From: a@x.test\nTo: G: b@x.test, \"q r\"@x.test;, undisclosed:;\n\n",
                      odd[] =
                          "From: <>\nTo: nobody, @, b@x.test, b@x.test, \"x\r\n y\" <e@f.test>\n\n",
                      nobody[] = "Subject: x\n\n";
    static const struct {
        const char *in;
        enum ph_reply_to to;
        const char *out; /* NULL: -PH_ENOENT */
    } rows[] = {
        {plain, PH_REPLY_SENDER, "a@x.test"},
        {plain, PH_REPLY_ALL, "a@x.test b@x.test c@x.test"},
        {plain, PH_REPLY_LIST, NULL},
        {own, PH_REPLY_SENDER, "b@x.test"},
        {own, PH_REPLY_ALL, "b@x.test c@x.test"},
        {alone, PH_REPLY_ALL, "me@x.test"},
        {set, PH_REPLY_SENDER, "r@x.test"},
        {set, PH_REPLY_ALL, "r@x.test"},
        {list, PH_REPLY_SENDER, "a@x.test"},
        {list, PH_REPLY_ALL, "l@x.test"},
        {list, PH_REPLY_LIST, "l@x.test"},
        {closed, PH_REPLY_LIST, NULL},
        {follow, PH_REPLY_SENDER, "m@x.test"},
        {follow, PH_REPLY_ALL, "f@x.test"},
        {group, PH_REPLY_ALL, "a@x.test b@x.test \"q r\"@x.test"},
        {odd, PH_REPLY_ALL, "b@x.test e@f.test"},
        {nobody, PH_REPLY_ALL, NULL},
    };
    const ph_str mine[] = {PH_STR("Alias <alias@x.test>")};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_email *e;
        int rc = ph_reply_build(arena, parsed(rows[i].in),
                                PH_REPLY(.from = PH_STR("Me <me@x.test>"), .own = mine,
                                         .own_count = 1, .to = rows[i].to),
                                &e, NULL);
        assert_int_equal(rc, rows[i].out ? 0 : -PH_ENOENT);
        if (rc == 0)
            assert_string_equal(recipients(e), rows[i].out);
    }
}

static void thread(void **state)
{
    (void)state;
    static const struct {
        const char *in, *reply_to, *references;
    } rows[] = {
        {"Message-ID: <3@x>\nReferences: <1@x>\n <2@x>\n", "<3@x>", "<1@x> <2@x> <3@x>"},
        {"Message-ID: <3@x>\nIn-Reply-To: <2@x>\n", "<3@x>", "<2@x> <3@x>"},
        {"Message-ID: <3@x>\nIn-Reply-To: <1@x> <2@x>\n", "<3@x>", "<3@x>"},
        {"Message-ID: (no) <3@x>\nReferences: <a b@x> junk <1@x>\n", "<3@x>", "<1@x> <3@x>"},
        {"References: <1@x>\n", "(none)", "(none)"},
    };
    struct ph_email *e;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ph_str in = ph_arena_printf(arena, "From: a@x.test\n%s\n", rows[i].in);
        assert_int_equal(
            ph_reply_build(arena, parsed(in.p), PH_REPLY(.from = PH_STR("b@x.test")), &e, NULL), 0);
        assert_string_equal(value(e, "In-Reply-To"), rows[i].reply_to);
        assert_string_equal(value(e, "References"), rows[i].references);
    }
    struct ph_buf many; /* the first and the last stay, in order */
    ph_buf_init(&many, NULL, 100000);
    ph_buf_addf(&many, "From: a@x.test\nMessage-ID: <new@x>\nReferences:");
    for (int i = 0; i < 500; i++)
        ph_buf_addf(&many, " <%d@x>", i);
    ph_buf_addf(&many, "\n\n");
    assert_int_equal(ph_reply_build(arena, parsed(ph_buf_cstr(&many)),
                                    PH_REPLY(.from = PH_STR("b@x.test")), &e, NULL),
                     0);
    const char *got = value(e, "References");
    assert_ptr_equal(strstr(got, "<0@x> <451@x> <452@x>"), got);
    assert_non_null(strstr(got, " <498@x> <499@x> <new@x>"));
    ph_buf_done(&many);
}

static const char *text_of(struct ph_email *e)
{
    struct ph_message *m;
    struct ph_buf out, text;
    ph_buf_init(&out, NULL, 1000000);
    ph_buf_init(&text, NULL, 1000000);
    assert_int_equal(ph_email_as_bytes(e, 0, &out, NULL), 0);
    ph_str kept = ph_arena_copy(arena, ph_buf_str(&out));
    assert_int_equal(ph_mime_parse(arena, kept, NULL, &m), 0);
    assert_int_equal(ph_message_text(m, &text), 0);
    const char *s = ph_arena_cstr(arena, ph_buf_str(&text));
    ph_buf_done(&out);
    ph_buf_done(&text);
    return s;
}

static void quotes(void **state)
{
    (void)state;
    struct ph_email *e;
    struct ph_message *m =
        parsed("From: =?utf-8?Q?J=C3=BCrgen?= <j@x.test>\nDate: Sun, 22 Nov 2026 10:00:00 +0100\n"
               "Content-Type: text/plain; format=flowed\n\n"
               "A paragraph that was \nwrapped.\n> it quotes\n\nFrom here on\n-- \nsignature\n");
    assert_int_equal(ph_reply_build(arena, m,
                                    PH_REPLY(.from = PH_STR("b@x.test"), .text = PH_STR("Yes.")),
                                    &e, NULL),
                     0);
    assert_string_equal(text_of(e), "Yes.\n\nOn Sun, 22 Nov 2026 10:00:00 +0100, Jürgen wrote:\n> "
                                    "A paragraph that was wrapped.\n"
                                    ">> it quotes\n>\n> From here on\n");
    assert_int_equal(
        ph_reply_build(arena, m,
                       PH_REPLY(.from = PH_STR("b@x.test"), .text = PH_STR("Yes."),
                                .text_below = true, .attribution = PH_STR("Er schrieb:")),
                       &e, NULL),
        0);
    assert_string_equal(
        text_of(e),
        "Er schrieb:\n> A paragraph that was wrapped.\n>> it quotes\n>\n> From here on\n\nYes.\n");
    assert_int_equal(ph_reply_build(arena, m,
                                    PH_REPLY(.from = PH_STR("b@x.test"), .text = PH_STR("Yes."),
                                             .no_quote = true),
                                    &e, NULL),
                     0);
    assert_string_equal(text_of(e), "Yes.\n");
    assert_int_equal(
        ph_reply_build(arena,
                       parsed("From: a@x.test\nContent-Type: text/html\n\n<p>Hello <b>you</b></p>"),
                       PH_REPLY(.from = PH_STR("b@x.test")), &e, NULL),
        0);
    assert_non_null(strstr(text_of(e), "> Hello"));
    struct ph_error err;
    assert_int_equal(ph_reply_build(arena, m, PH_REPLY(.from = PH_STR("nobody")), &e, &err),
                     -PH_EINVAL);
}

static void forwarded(void **state)
{
    (void)state;
    static const char letter[] =
        "From: A <a@x.test>\r\nTo: b@x.test\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nDate: Sun, "
        "22 Nov 2026 10:00:00 +0100\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nthe "
        "text\r\n--b\r\nContent-Type: image/png; name=x.png\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b\r\nContent-Type: "
        "message/rfc822\r\n\r\nSubject: inner\r\n\r\nx\r\n--b--\r\n";
    struct ph_email *e;
    struct ph_message *m = parsed(letter), *again;
    struct ph_buf out;
    assert_int_equal(ph_forward_build(arena, m,
                                      PH_FORWARD(.from = PH_STR("b@x.test"),
                                                 .to = PH_STR("c@x.test"), .text = PH_STR("see")),
                                      &e, NULL),
                     0);
    assert_string_equal(value(e, "Subject"), "Fwd: Grüße");
    assert_string_equal(text_of(e), "see\n\n---------- Forwarded message ----------\nFrom: A "
                                    "<a@x.test>\nDate: Sun, 22 Nov 2026 10:00:00 +0100\n"
                                    "Subject: Grüße\nTo: b@x.test\n\nthe text\n");
    struct ph_email *file = ph_email_iter_attachments(e, NULL);
    assert_true(ph_str_eq(ph_email_get_content(file), PH_STR("hello")));
    assert_true(ph_str_eq(ph_email_get_filename(file), PH_STR("x.png")));
    file = ph_email_iter_attachments(e, file);
    assert_true(ph_str_eq(ph_email_get_content_type(file), PH_STR("message/rfc822")));
    assert_null(ph_email_iter_attachments(e, file));
    assert_int_equal(ph_forward_build(arena, m,
                                      PH_FORWARD(.from = PH_STR("b@x.test"), .is_attached = true),
                                      &e, NULL),
                     0);
    ph_buf_init(&out, NULL, 1000000);
    assert_int_equal(ph_email_as_bytes(e, 0, &out, NULL), 0);
    assert_int_equal(ph_mime_parse(arena, ph_buf_str(&out), NULL, &again), 0);
    const struct ph_part *p = again->root->child->next;
    assert_int_equal(p->kind, PH_PART_MESSAGE);
    assert_true(ph_str_eq(ph_part_body(again, p), ph_str_c(letter)));
    ph_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(subjects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(to_whom, set_up, tear_down),
        cmocka_unit_test_setup_teardown(thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quotes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forwarded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
