/* mime: trees, sections, defects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failing.h"
#include "mime_int.h"
#include "passes.h"
#include "same_tree.h"

enum { MEMORY = 256 * 1024 * 1024 };

static struct ph_arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = ph_arena_new(NULL, MEMORY);
    return arena ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    arena = ph_arena_free(arena);
    return 0;
}

static struct ph_message *parse(ph_str bytes)
{
    struct ph_message *m = NULL;
    assert_int_equal(ph_mime_parse(arena, bytes, NULL, &m), 0);
    return m;
}

/* "mixed(plain html(...))" by subtypes. */
static void draw(struct ph_buf *out, const struct ph_part *p)
{
    ph_buf_add(out, p->subtype);
    if (p->child) {
        ph_buf_addc(out, '(');
        for (const struct ph_part *c = p->child; c; c = c->next) {
            draw(out, c);
            if (c->next)
                ph_buf_addc(out, ' ');
        }
        ph_buf_addc(out, ')');
    }
}

static bool has_defect(const struct ph_message *m, enum ph_defect_kind kind)
{
    for (const struct ph_defect *d = m->defects; d; d = d->next)
        if (d->kind == kind)
            return true;
    return false;
}

#define M(b) "Content-Type: multipart/mixed; boundary=\"" b "\"\r\n\r\n"
#define NONE PH_DEFECT_COUNT

static const struct {
    const char *letter, *tree;
    enum ph_defect_kind defect;
} shapes[] = {
    {"", "plain", PH_DEFECT_HEADER_NO_END},
    {"\r\n", "plain", NONE},
    {"\r\nbody", "plain", NONE},
    {"body only", "plain", PH_DEFECT_HEADER_BAD_LINE},
    {"A: b\r\nno field\r\n", "plain", PH_DEFECT_HEADER_BAD_LINE},
    {"From x y\r\nA: b\r\n\r\n", "plain", PH_DEFECT_HEADER_MBOX_FROM},
    {" folded\r\nA: b\r\n\r\n", "plain", PH_DEFECT_HEADER_FIRST_FOLDED},
    {"A : b\r\n\r\n", "plain", PH_DEFECT_HEADER_SPACE_COLON},
    {M("b") "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n", "mixed(plain plain)", NONE},
    {M("b") "pre\r\n--b\r\n\r\none\r\n--b--\r\nepilogue", "mixed(plain)", NONE},
    {M("b") "--b\r\n\r\none", "mixed(plain)", PH_DEFECT_BOUNDARY_NO_END},
    {M("b") "none at all", "mixed", PH_DEFECT_BOUNDARY_NONE_FOUND},
    {M("b") "--b--\r\n", "mixed", PH_DEFECT_BOUNDARY_NONE_FOUND},
    {"Content-Type: multipart/mixed\r\n\r\n--b\r\n", "mixed", PH_DEFECT_BOUNDARY_MISSING},
    {M("b") "--b\r\n--b\r\n--b--", "mixed(plain plain)", PH_DEFECT_PART_EMPTY},
    {M("b") "--b  \t\r\n\r\none\r\n--b-- \r\n", "mixed(plain)", NONE},
    {M("b") "--b\n\none\n--b--\n", "mixed(plain)", PH_DEFECT_BARE_LF},
    {M("b") "--b\r\n\r\none\r\n--bb\r\n--b--", "mixed(plain)", PH_DEFECT_BOUNDARY_PREFIX},
    {M("b") "--b\r\n\r\none\r\n --b\r\n--b--", "mixed(plain)", NONE},
    {M("b") "--b\r\n" M("bb") "--bb\r\n\r\n1\r\n--bb--\r\n--b\r\n\r\n2\r\n--b--",
     "mixed(mixed(plain) plain)", NONE},
    {M("bb") "--bb\r\n" M("b") "--b\r\n\r\n1\r\n--b--\r\n--bb\r\n\r\n2\r\n--bb--",
     "mixed(mixed(plain) plain)", NONE},
    {M("b") "--b\r\n" M("c") "--c\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--", "mixed(mixed(plain) plain)",
     PH_DEFECT_BOUNDARY_NO_END},
    {M("b") "--b\r\n" M("b") "--b\r\n\r\n1\r\n--b--\r\n--b\r\n\r\n2\r\n--b--",
     "mixed(mixed(plain) plain)", PH_DEFECT_BOUNDARY_REUSED},
    {"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nA: b\r\n\r\nx\r\n--b--",
     "digest(rfc822(plain))", NONE},
    {"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nx", "rfc822(plain)", NONE},
    {"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ==", "rfc822",
     PH_DEFECT_ENCODING_COMPOSITE},
    {"Content-Type: message/rfc822\r\n\r\n" M("b") "--b\r\n\r\n1\r\n--b--", "rfc822(mixed(plain))",
     NONE},
    {M("b") "--b\r\nContent-Type: message/rfc822\r\n\r\n" M("c") "--c\r\n\r\n1\r\n--b--",
     "mixed(rfc822(mixed(plain)))", PH_DEFECT_BOUNDARY_NO_END},
    {"Content-Type: text/html\r\nContent-Type: text/css\r\n\r\n", "html", PH_DEFECT_FIELD_TWICE},
    {"Content-Transfer-Encoding: x-odd\r\n\r\n", "plain", PH_DEFECT_ENCODING_UNKNOWN},
    {"Content-Type: text\r\n\r\n", "plain", PH_DEFECT_TYPE_SYNTAX},
    {"A: b\r\n\r\na\rb", "plain", PH_DEFECT_BARE_CR},
    {"A: \xc3\xa4\r\n\r\n", "plain", PH_DEFECT_HEADER_8BIT},
    {"A: \xe4\r\n\r\n", "plain", PH_DEFECT_HEADER_8BIT_CHARSET},
};

static void trees(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct ph_buf out;
        size_t n = strlen(shapes[i].letter);
        char *exact = malloc(n + 1); /* the sanitizer sees a step behind it */
        memcpy(exact + 1, shapes[i].letter, n);
        ph_buf_init(&out, NULL, 4096);
        struct ph_message *m = parse((ph_str){exact + 1, n});
        draw(&out, m->root);
        assert_string_equal(ph_buf_cstr(&out), shapes[i].tree);
        if (shapes[i].defect != NONE)
            assert_true(has_defect(m, shapes[i].defect));
        else
            assert_null(m->defects);
        ph_buf_done(&out);
        free(exact);
    }
}

/* The nesting of RFC 9051 6.4.5.1, with what each section must be. */
static const char nested[] = "Subject: outer\r\n" M("o")
"--o\r\nContent-Type: text/plain\r\n\r\none\r\n"
    "--o\r\nContent-Type: message/rfc822\r\nContent-ID: <m>\r\n\r\nSubject: inner\r\n" M("i")
"--i\r\nContent-Type: text/html\r\n\r\n<b>\r\ntwo\r\n--i--\r\nend\r\n"
    "--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: flat\r\n\r\nthree\r\n--o--\r\n";

static void sections(void **state)
{
    (void)state;
    static const struct {
        uint32_t path[4];
        size_t n;
        const char *body; /* NULL: no such part */
    } rows[] = {
        {{1}, 1, "one"},      {{2, 1}, 2, "<b>\r\ntwo"},
        {{3, 1}, 2, "three"}, {{3}, 1, "Subject: flat\r\n\r\nthree"},
        {{4}, 1, NULL},       {{1, 1}, 2, NULL},
        {{2, 2}, 2, NULL},    {{3, 2}, 2, NULL},
        {{3, 1, 1}, 3, NULL}, {{2, 1, 1}, 3, NULL},
        {{0}, 1, NULL},
    };
    struct ph_message *m = parse((ph_str){nested, sizeof nested - 1});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct ph_part *p = ph_part_section(m->root, rows[i].path, rows[i].n);
        assert_int_equal(p != NULL, rows[i].body != NULL);
        if (p)
            assert_true(ph_str_eq(ph_part_body(m, p), ph_str_c(rows[i].body)));
    }
    const uint32_t two[] = {2}, one[] = {1};
    const struct ph_part *inner = ph_part_section(m->root, two, 1);
    assert_true(ph_str_eq(inner->id, PH_STR("<m>")));
    assert_true(ph_str_has_prefix(inner->child->head, PH_STR("Subject: inner\r\n")));
    assert_int_equal(inner->child->child->lines, 1);
    m = parse(PH_STR("A: b\r\n\r\nonly"));
    assert_ptr_equal(ph_part_section(m->root, one, 1), m->root);
    assert_null(ph_part_section(m->root, two, 1));
}

static void headers(void **state)
{
    (void)state;
    struct ph_message *m =
        parse(PH_STR("To: a\r\nX: 1\r\n 2\r\nto: b\r\nCc : c\r\nEmpty:\r\n\r\nTo: no"));
    struct ph_field f;
    ph_str text;
    assert_true(ph_field_find(m->root->head, PH_STR("TO"), 1, &f));
    assert_true(ph_str_eq(f.value, PH_STR(" b")));
    assert_false(ph_field_find(m->root->head, PH_STR("To"), 2, &f));
    assert_true(ph_field_find(m->root->head, PH_STR("x"), 0, &f));
    assert_true(ph_str_eq(f.all, PH_STR("X: 1\r\n 2\r\n")));
    assert_int_equal(ph_field_unfold(arena, f.value, &text), 0);
    assert_true(ph_str_eq(text, PH_STR("1 2")));
    assert_true(ph_field_find(m->root->head, PH_STR("cc"), 0, &f));
    assert_true(ph_field_find(m->root->head, PH_STR("empty"), 0, &f));
    assert_int_equal(f.value.n, 0);
    assert_true(ph_str_eq(ph_message_head(m->bytes), m->root->head));
}

static void bodies(void **state)
{
    (void)state;
    static const char letter[] =
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
        "--c\r\nContent-Type: text/html\r\n\r\n<p>hello\r\n"
        "--c\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\nh=E4llo=\r\n you  \r\n\r\n--c--\r\n"
        "--b\r\nContent-Type: application/pdf; name=\"../../etc/pass:wd.pdf\"\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\nRA==\r\n"
        "--b\r\nContent-Disposition: attachment; filename*=utf-8''%E2%80%AEgpj.exe\r\n\r\nx\r\n"
        "--b\r\nContent-Disposition: attachment; filename=\"a.txt\"\r\n\r\nx\r\n"
        "--b\r\nContent-Disposition: attachment; filename=\"A.TXT\"\r\n\r\nx\r\n"
        "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny\r\n--b--\r\n";
    static const char *const names[] = {"pass_wd.pdf", "_gpj.exe", "a.txt", "A-4.TXT",
                                        "message.eml"};
    struct ph_message *m = parse((ph_str){letter, sizeof letter - 1});
    struct ph_attachment *a;
    struct ph_buf out;
    ph_buf_init(&out, NULL, 4096);
    assert_int_equal(ph_message_text(m, &out), 0);
    assert_string_equal(ph_buf_cstr(&out), "h\xc3\xa4llo you\n");
    assert_int_equal(ph_message_attachments(arena, m, &a), 5);
    ph_buf_clear(&out);
    assert_int_equal(ph_part_decode(m, a->part, &out), 0);
    assert_string_equal(ph_buf_cstr(&out), "ABCD");
    for (int i = 0; a; a = a->next, i++)
        assert_string_equal(ph_arena_cstr(arena, a->name), names[i]);
    ph_buf_done(&out);
}

static void envelope(void **state)
{
    (void)state;
    struct ph_envelope *e;
    struct ph_message *m = parse(PH_STR(
        "Subject: =?utf-8?Q?a?=\r\n b\r\nFrom: A <a@b>\r\nSender:\r\nTo: c@d\r\nsubject: second\r\n"
        "Date: 1 Jan 1970 00:00:01 +0000\r\nMessage-Id: <1@x>\r\nCc:\r\n\r\n"));
    assert_int_equal(ph_mime_envelope(arena, m->root, &e), 0);
    assert_true(ph_str_eq(e->subject, PH_STR("=?utf-8?Q?a?= b")));
    assert_ptr_equal(e->sender, e->from);
    assert_ptr_equal(e->reply_to, e->from);
    assert_null(e->cc);
    assert_true(ph_str_eq(e->to->local, PH_STR("c")));
    assert_true(e->has_sent && e->sent.time == 1);
    assert_true(ph_str_eq(e->message_id, PH_STR("<1@x>")));
    assert_null(e->in_reply_to.p);
}

static void received(void **state)
{
    (void)state;
    struct ph_received r;
    ph_received_parse(
        PH_STR(" from mail.example.org (mail [192.0.2.1])\r\n by mx.test (Posthouse) with"
               " ESMTPS id 4abc\r\n for <a@b.test>; Thu, 1 Jan 1970 00:00:02 +0000 (x)"),
        &r);
    assert_true(ph_str_eq(r.from, PH_STR("mail.example.org")));
    assert_true(ph_str_eq(r.from_info, PH_STR("mail [192.0.2.1]")));
    assert_true(ph_str_eq(r.by, PH_STR("mx.test")));
    assert_true(ph_str_eq(r.by_info, PH_STR("Posthouse")));
    assert_true(ph_str_eq(r.with, PH_STR("ESMTPS")));
    assert_true(ph_str_eq(r.id, PH_STR("4abc")));
    assert_true(ph_str_eq(r.for_, PH_STR("a@b.test")));
    assert_true(r.has_date && r.date.time == 2);
    assert_null(r.via.p);
}

static void passes(void **state)
{
    (void)state;
    assert_true(passes_agree());
}

/* ---- in pieces ---- */

/* Lines that mean something, in any order: what comes of them is the same for every cutting. */
static void random_letter(struct ph_buf *out)
{
    static const char *const lines[] = {
        "Content-Type: multipart/mixed; boundary=b",
        "Content-Type: multipart/digest; boundary=bb",
        "Content-Type: message/rfc822",
        "Content-Type: text/html; charset=\"utf-8",
        "Content-Disposition: attachment; filename=\"a b\"",
        "Content-ID: <a@b>",
        "Content-Language: en,\r\n de",
        "Subject: one",
        " folded",
        "From x",
        "no field",
        "",
        "",
        "--b",
        "--bb",
        "--b--",
        "--bb--",
        "--b \t",
        "--bc",
        "-",
        "--",
        "text\rwith\0odd",
    };
    static const char *const ends[] = {"\r\n", "\r\n", "\r\n", "\n", "\r", ""};
    for (int n = rand() % 40; n > 0; n--) {
        size_t i = (size_t)rand() % (sizeof lines / sizeof lines[0]);
        if (rand() % 200 == 0) {
            ph_buf_add(out, PH_STR("--b"));
            for (int k = rand() % (2 * PH_MIME_LINE); k > 0; k--)
                ph_buf_addc(out, ' ');
        }
        ph_buf_add(out, i + 1 == sizeof lines / sizeof lines[0] ? (ph_str){lines[i], 13}
                                                                : ph_str_c(lines[i]));
        ph_buf_add(out, ph_str_c(ends[(size_t)rand() % (sizeof ends / sizeof ends[0])]));
    }
}

static void assert_cut(ph_str bytes, size_t most, uint32_t seed)
{
    const struct ph_mime_limits lim = {.depth = 6, .parts = 12, .header = 150, .defects = 8};
    for (int limited = 0; limited < 2; limited++) {
        struct ph_arena *one = ph_arena_new(NULL, MEMORY), *two = ph_arena_new(NULL, MEMORY);
        struct ph_message *whole;
        assert_int_equal(ph_mime_parse(one, bytes, limited ? &lim : NULL, &whole), 0);
        struct ph_message *m = parse_pieces(two, bytes, limited ? &lim : NULL, most, seed);
        assert_non_null(m);
        assert_true(same_message(whole, m));
        ph_arena_free(one);
        ph_arena_free(two);
    }
}

static void pieces(void **state)
{
    (void)state;
    struct ph_buf letter;
    ph_buf_init(&letter, NULL, MEMORY);
    srand(11);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (size_t most = 1; most < 20; most++)
            assert_cut(ph_str_c(shapes[i].letter), most, 0);
    for (uint32_t round = 1; round < 1500; round++) {
        ph_buf_clear(&letter);
        random_letter(&letter);
        assert_cut(ph_buf_str(&letter), 1, 0);
        assert_cut(ph_buf_str(&letter), 1 + (size_t)rand() % 100, round);
        assert_cut(ph_buf_str(&letter), 20000, round);
    }
    ph_buf_done(&letter);
}

/* The n-th allocation fails, then the next one, until none does: an error or a tree. */
static void pieces_no_memory(void **state)
{
    (void)state;
    struct ph_buf letter;
    bool done = false;
    ph_buf_init(&letter, NULL, MEMORY);
    for (int i = 0; i < 200; i++)
        ph_buf_add(&letter, (ph_str){nested, sizeof nested - 1});
    for (size_t n = 0; !done; n++) {
        struct failing f = {n};
        const struct ph_alloc al = {&f, failing_resize};
        struct ph_arena *a = ph_arena_new(&al, MEMORY);
        struct ph_mime_parser *ps = a ? ph_mime_parser_new(a, NULL) : NULL;
        struct ph_message *m;
        int rc = ps ? 0 : -PH_ENOMEM;
        for (ph_str rest = ph_buf_str(&letter); rc == 0 && rest.n; rest = ph_str_skip(rest, 100))
            rc = ph_mime_parser_feed(ps, ph_str_sub(rest, 0, 100));
        if (ps && rc) /* it lasts */
            assert_int_equal(ph_mime_parser_end(ps, &m), -PH_ENOMEM);
        else if (ps)
            rc = ph_mime_parser_end(ps, &m);
        done = rc == 0;
        assert_true(done || rc == -PH_ENOMEM);
        ph_arena_free(a);
        assert_true(n < 10000);
    }
    ph_buf_done(&letter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trees, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bodies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(envelope, set_up, tear_down),
        cmocka_unit_test(received),
        cmocka_unit_test(passes),
        cmocka_unit_test(pieces),
        cmocka_unit_test(pieces_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
