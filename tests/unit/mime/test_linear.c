/*
 * mime: the work stays linear, and stops at the named limits. Steps are counted, not timed: the
 * library is compiled with a call in every basic block.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "mime_int.h"
#include "passes.h"

static const size_t MEMORY = (size_t)2 * 1024 * 1024 * 1024;
enum { PIECE = 1000 };

extern unsigned long counted_steps;
void __sanitizer_cov_trace_pc(void);

unsigned long counted_steps;

void __sanitizer_cov_trace_pc(void)
{
    counted_steps++;
}

#define M(b) "Content-Type: multipart/mixed; boundary=\"" b "\"\r\n\r\n"

/* ---- letters of any size ---- */

typedef void maker(struct ph_buf *out, size_t n);

static void repeat(struct ph_buf *out, const char *what, size_t n)
{
    size_t len = strlen(what);
    char *to = ph_buf_reserve(out, len * n);
    for (size_t i = 0; to && i < n; i++)
        memcpy(to + i * len, what, len);
    ph_buf_commit(out, len * n);
}

static void many_headers(struct ph_buf *out, size_t n)
{
    repeat(out, "X-Field: value\r\n", n);
}

static void many_folds(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("Subject: a\r\n"));
    repeat(out, " =?utf-8?q?a?=\r\n", n);
}

static void many_content_fields(struct ph_buf *out, size_t n)
{
    repeat(out, "Content-Type: text/plain; charset=utf-8\r\n", n);
}

static void many_parts(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR(M("b")));
    repeat(out, "--b\r\n\r\n", n);
}

static void deep(struct ph_buf *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ph_buf_addf(out, "Content-Type: multipart/mixed; boundary=%zu\r\n\r\n--%zu\r\n", i, i);
}

static void deep_alike(struct ph_buf *out, size_t n)
{
    repeat(out, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", n);
}

static void deep_messages(struct ph_buf *out, size_t n)
{
    repeat(out, "Content-Type: message/rfc822\r\n\r\n", n);
}

static void many_params(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("Content-Type: a/b"));
    repeat(out, "; x=\"y", n);
}

static void many_pieces(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("Content-Type: a/b"));
    for (size_t i = n; i > 0; i--)
        ph_buf_addf(out, "; x*%zu*=%%41", i - 1);
}

static void many_dashes(struct ph_buf *out, size_t n)
{
    for (int i = 0; i < 50; i++)
        ph_buf_addf(out, "Content-Type: multipart/mixed; boundary=%050d%d\r\n\r\n--%050d%d\r\n", i,
                    i, i, i);
    repeat(out, "--00000000000000000000000000000000000000000000000000000x\r\n", n);
}

static void many_comments(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("To: "));
    repeat(out, "(a \"b ", n);
    ph_buf_add(out, PH_STR("\r\nContent-Type: a/b "));
    repeat(out, ";( \"", n);
}

static void many_words(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("Subject: "));
    repeat(out, "=?a?q?", n);
    ph_buf_add(out, PH_STR("\r\nFrom: "));
    repeat(out, "a . ", n);
    ph_buf_add(out, PH_STR("@b\r\nTo: "));
    repeat(out, "<a@b:,", n);
}

static void line_of_dashes(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR(M("b") "--b\r\n\r\n"));
    repeat(out, "----------", n / 10);
}

static void header_line(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("Subject: "));
    repeat(out, "abcdefghi ", n / 10);
}

static void name_line(struct ph_buf *out, size_t n)
{
    repeat(out, "abcdefghij", n / 10);
}

static void long_boundary(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("Content-Type: multipart/mixed; boundary="));
    repeat(out, "b", PH_MIME_LINE);
    ph_buf_add(out, PH_STR("\r\n\r\n"));
    for (size_t i = 0; i < n; i++) {
        ph_buf_add(out, PH_STR("--bb"));
        repeat(out, "bbbbbbbb", 8);
        ph_buf_add(out, PH_STR("\r\n"));
    }
}

static void qp_line(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("Content-Transfer-Encoding: quoted-printable\r\n\r\n"));
    repeat(out, "=41= b=C \t ", n / 11);
}

static void base64_line(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("Content-Transfer-Encoding: base64\r\n\r\n"));
    repeat(out, "QUJDQUJDQ*", n / 10);
}

static void blanks(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("Content-Transfer-Encoding: quoted-printable\r\n\r\n"));
    repeat(out, " \t \r ", n / 5);
    ph_buf_add(out, PH_STR("\n="));
    repeat(out, "          ", n / 10);
}

static void uu_begins(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("\r\nbegin 644 a\r\n"));
    repeat(out, "begin 644 a\r\n#0V%T\r\n", n);
}

static void uu_lines(struct ph_buf *out, size_t n)
{
    ph_buf_add(out, PH_STR("\r\nbegin 644 a\r\n"));
    repeat(out, "#0V%T\r\n", n);
    ph_buf_add(out, PH_STR("bad line\r\n"));
}

/* ---- everything that is asked of a letter, counted ---- */

static void pieces(struct ph_arena *a, ph_str rest)
{
    struct ph_mime_parser *ps = ph_mime_parser_new(a, NULL);
    struct ph_message *m;
    assert_non_null(ps);
    for (; rest.n; rest = ph_str_skip(rest, PIECE))
        assert_int_equal(ph_mime_parser_feed(ps, ph_str_sub(rest, 0, PIECE)), 0);
    assert_int_equal(ph_mime_parser_end(ps, &m), 0);
}

static unsigned long work(maker *make, size_t n)
{
    struct ph_buf letter, body;
    struct ph_message *m;
    struct ph_envelope *e;
    struct ph_attachment *files;
    ph_str subject, value;
    ph_buf_init(&letter, NULL, MEMORY);
    ph_buf_init(&body, NULL, MEMORY);
    make(&letter, n);
    assert_int_equal(ph_buf_err(&letter), 0);
    struct ph_arena *a = ph_arena_new(NULL, MEMORY);
    counted_steps = 0;
    assert_int_equal(ph_mime_parse(a, ph_buf_str(&letter), NULL, &m), 0);
    assert_int_equal(ph_mime_envelope(a, m->root, &e), 0);
    assert_int_equal(ph_field_text(a, e->subject, &subject), 0);
    assert_int_equal(ph_param_get(a, m->root->params, PH_STR("x"), &value), 0);
    assert_true(ph_message_attachments(a, m, &files) >= 0);
    assert_true(ph_part_decode(m, m->root, &body) == 0);
    assert_true(ph_mime_check(a, m) >= 0);
    pieces(a, ph_buf_str(&letter));
    unsigned long steps = counted_steps;
    ph_arena_free(a);
    ph_buf_done(&letter);
    ph_buf_done(&body);
    return steps;
}

/* `n` is the size of the larger of two letters, of which the smaller is half. Steps may double,
 * and grow by what lies in the first of them. */
static void linear(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        maker *make;
        size_t n;
    } rows[] = {
        {"headers", many_headers, 20000},
        {"headers, a million", many_headers, 1000000},
        {"folded lines", many_folds, 100000},
        {"content fields", many_content_fields, 100000},
        {"parts", many_parts, 20000},
        {"parts, a million", many_parts, 1000000},
        {"depth, 100000", deep, 100000},
        {"depth, boundaries alike", deep_alike, 100000},
        {"depth, messages", deep_messages, 100000},
        {"parameters, 100000", many_params, 100000},
        {"pieces of a parameter", many_pieces, 100000},
        {"dashes", many_dashes, 50000},
        {"comments", many_comments, 100000},
        {"words", many_words, 100000},
        {"boundary of 16 KB", long_boundary, 20000},
        {"a line of 100 MB in a body", line_of_dashes, 100000000},
        {"a line of 100 MB in a header", header_line, 100000000},
        {"a name of 100 MB", name_line, 100000000},
        {"quoted-printable without line end", qp_line, 2000000},
        {"base64 without line end", base64_line, 2000000},
        {"blanks", blanks, 2000000},
        {"uuencoded files", uu_begins, 20000},
        {"a uuencoded file that is none", uu_lines, 200000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned long half = work(rows[i].make, rows[i].n / 2);
        unsigned long whole = work(rows[i].make, rows[i].n);
        print_message("%s: %lu steps, for half of it %lu\n", rows[i].name, whole, half);
        assert_true(half > 100);
        assert_true(whole <= 2 * half + half / 10);
    }
}

/* Where a limit stops the parse there is a defect, and the rest is not taken apart. */
static void limits(void **state)
{
    (void)state;
    static const struct {
        maker *make;
        size_t n;
        struct ph_mime_limits lim;
        enum ph_defect_kind defect;
        size_t parts;
    } rows[] = {
        {deep, 100, {.depth = 5}, PH_DEFECT_DEPTH_LIMIT, 6},
        {deep, 100, {0}, PH_DEFECT_DEPTH_LIMIT, PH_MIME_DEPTH + 1},
        {deep, 1000, {.depth = 9999}, PH_DEFECT_DEPTH_LIMIT, PH_MIME_DEPTH_MOST + 1},
        {deep_messages, 100, {.depth = 5}, PH_DEFECT_DEPTH_LIMIT, 6},
        {deep_messages, 100, {.parts = 5}, PH_DEFECT_PARTS_LIMIT, 5},
        {many_parts, 100, {.parts = 10}, PH_DEFECT_PARTS_LIMIT, 10},
        {many_headers, 20, {.header = 100}, PH_DEFECT_HEADER_LIMIT, 1},
        {many_folds, 20, {.header = 100}, PH_DEFECT_HEADER_LIMIT, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_buf b;
        struct ph_message *m;
        bool found = false;
        struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
        ph_buf_init(&b, NULL, MEMORY);
        rows[i].make(&b, rows[i].n);
        ph_buf_add(&b, PH_STR("Content-Type: text/html\r\n\r\n"));
        assert_int_equal(ph_mime_parse(arena, ph_buf_str(&b), &rows[i].lim, &m), 0);
        assert_int_equal(m->part_count, rows[i].parts);
        for (const struct ph_defect *d = m->defects; d; d = d->next)
            found |= d->kind == rows[i].defect;
        assert_true(found);
        if (rows[i].lim.header)
            assert_true(m->root->head.n == rows[i].lim.header && m->root->header.n > 200 &&
                        ph_part_is(m->root, "text", "plain"));
        ph_arena_free(arena);
        ph_buf_done(&b);
    }
}

static void defects_kept(void **state)
{
    (void)state;
    struct ph_buf b;
    struct ph_message *m;
    size_t kept = 0;
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    const struct ph_mime_limits lim = {.defects = 3};
    ph_buf_init(&b, NULL, MEMORY);
    many_parts(&b, 100);
    assert_int_equal(ph_mime_parse(arena, ph_buf_str(&b), &lim, &m), 0);
    for (const struct ph_defect *d = m->defects; d; d = d->next)
        kept++;
    assert_int_equal(kept, 3);
    assert_true(m->defect_count >= 100);
    ph_arena_free(arena);
    ph_buf_done(&b);
}

/* This library is the one without AVX2; test_mime has the one with it, where it is there. */
static void narrow_passes(void **state)
{
    (void)state;
    assert_true(passes_agree());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear),
        cmocka_unit_test(limits),
        cmocka_unit_test(defects_kept),
        cmocka_unit_test(narrow_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
