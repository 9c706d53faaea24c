/* mime: the builder. What it writes reads back the same; recipients; failing sinks and sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <posthouse/build.h>
#include <posthouse/mime.h>

enum { MEMORY = 64 * 1024 * 1024 };

static struct ph_arena *arena;
static struct ph_build *b;

static int set_up(void **state)
{
    (void)state;
    arena = ph_arena_new(NULL, MEMORY);
    b = ph_build_new(arena, PH_STR("host.test"), 0);
    ph_build_fixed(b, 1790000000, -90, 5);
    return b ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    arena = ph_arena_free(arena);
    return 0;
}

static int field(const char *name, const char *value)
{
    return ph_build_field(b, ph_str_c(name), ph_str_c(value), NULL);
}

static ph_str built(void)
{
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    assert_int_equal(ph_build_bytes(b, &out, NULL), 0);
    ph_str kept = ph_arena_copy(arena, ph_buf_str(&out));
    ph_buf_done(&out);
    return kept;
}

static void simple(void **state)
{
    (void)state;
    assert_int_equal(field("From", "A <a@b.test>"), 0);
    assert_int_equal(field("To", "c@d.test"), 0);
    assert_int_equal(field("Subject", "Hello"), 0);
    assert_int_equal(field("Message-ID", "<1@x>"), 0);
    assert_int_equal(ph_build_text(b, PH_STR("one\ntwo"), NULL), 0);
    static const char expected[] =
        "From: A <a@b.test>\r\nTo: c@d.test\r\nSubject: Hello\r\nMessage-ID: <1@x>\r\n"
        "Date: Mon, 21 Sep 2026 12:43:20 -0130\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=\"us-ascii\"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        "one\r\ntwo\r\n";
    assert_string_equal(ph_arena_cstr(arena, built()), expected);
}

/* Values come back as they were, in both forms of the header, and no line is too long. */
static void values(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "a",
        " leading",
        "trailing ",
        "two  spaces",
        "=?utf-8?Q?looks_encoded?=",
        "\xc3\xa4",
        "plain words and then \xe6\xbc\xa2\xe5\xad\x97 and plain words again, long enough to be "
        "folded twice",
        "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5"
        "\xad\x97"
        "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5"
        "\xad\x97",
        "tab\there and control \x01 there",
        "\xf0\x9f\x99\x82 emoji \xf0\x9f\x99\x82",
    };
    for (unsigned flags = 0; flags <= PH_BUILD_UTF8; flags++)
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            struct ph_field f;
            ph_str text;
            b = ph_build_new(arena, PH_STR("x"), flags);
            assert_int_equal(field("From", "a@b.test"), 0);
            assert_int_equal(field("X-Some-Rather-Long-Name", texts[i]), 0);
            ph_str letter = built();
            assert_true(
                ph_field_find(ph_message_head(letter), PH_STR("x-some-rather-long-name"), 0, &f));
            assert_int_equal(ph_field_text(arena, f.value, &text), 0);
            assert_string_equal(ph_arena_cstr(arena, text), texts[i]);
            for (ph_str rest = f.all, line; ph_str_token(&rest, '\n', &line);)
                assert_true(line.n <= 79 && (line.n < 2 || ph_str_trim(line).n > 0));
        }
}

static void names(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "Alice",       "Alice B. Example", "Doe, John",     "quo\"te",
        "back\\slash", "J\xc3\xbcrgen",    "=?utf-8?Q?a?=", "\xe6\xbc\xa2 \xe5\xad\x97",
        "a@b",         "(comment)",
    };
    for (unsigned flags = 0; flags <= PH_BUILD_UTF8; flags++)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct ph_envelope *e;
            struct ph_message *m;
            struct ph_buf typed;
            ph_str name;
            ph_buf_init(&typed, NULL, 1000);
            ph_buf_addc(&typed, '"');
            for (const char *p = rows[i]; *p; p++) {
                if (*p == '"' || *p == '\\')
                    ph_buf_addc(&typed, '\\');
                ph_buf_addc(&typed, *p);
            }
            ph_buf_add(&typed, PH_STR("\" <a@b.test>, c@d.test"));
            b = ph_build_new(arena, PH_STR("x"), flags);
            assert_int_equal(field("From", ph_buf_cstr(&typed)), 0);
            ph_buf_done(&typed);
            assert_int_equal(ph_mime_parse(arena, built(), NULL, &m), 0);
            assert_int_equal(ph_mime_envelope(arena, m->root, &e), 0);
            assert_int_equal(ph_field_text(arena, e->from->name, &name), 0);
            assert_string_equal(ph_arena_cstr(arena, name), rows[i]);
            assert_true(e->from->next && !e->from->next->next);
        }
}

static void recipients(void **state)
{
    (void)state;
    static const char *const expected[] = {"a@b.test", "c@d.test", "\"e f\"@g.test",
                                           "h@xn--bcher-kva.test", "secret@x.test"};
    ph_str address;
    assert_int_equal(field("From", "me@x.test"), 0);
    assert_int_equal(field("To", "A <a@b.test>, c@d.test"), 0);
    assert_int_equal(field("Cc", "G: \"e f\"@g.test, a@B.TEST;"), 0);
    assert_int_equal(field("To", "h@b\xc3\xbc"
                                 "cher.test"),
                     0);
    assert_int_equal(field("Bcc", "secret@x.test"), 0);
    const char *wanted[] = {expected[0], expected[1], expected[3], expected[2], expected[4]};
    for (size_t i = 0; i < 5; i++) {
        assert_true(ph_build_recipient(b, i, &address));
        assert_string_equal(ph_arena_cstr(arena, address), wanted[i]);
    }
    assert_false(ph_build_recipient(b, 5, &address));
    assert_true(ph_build_sender(b, &address));
    assert_string_equal(ph_arena_cstr(arena, address), "me@x.test");
    assert_int_equal(ph_str_find(built(), PH_STR("secret")), PH_NPOS);
}

static void refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Subject", "a\r\nBcc: x"},
        {"Subject", "a\n"},
        {"Sub ject", "a"},
        {"", "a"},
        {"Content-Type", "a"},
        {"MIME-Version", "1.0"},
        {"To", "x"},
        {"To", ""},
        {"To", "a@b c@"},
        {"Message-ID", "\xc3\xa4"},
        {"Subject", "\xe4"},
        {"To", "a@b\xe4"},
        {"From", "<@>"},
    };
    struct ph_error err = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i][1], "a@b c@") != 0)
            assert_int_equal(field(rows[i][0], rows[i][1]), -PH_EINVAL);
    assert_int_equal(ph_build_field(b, PH_STR("X"), PH_STR("a\0b"), &err), -PH_EINVAL);
    assert_non_null(strstr(err.text, "NUL"));
    assert_int_equal(ph_build_text(b, PH_STR("\xff"), NULL), -PH_EINVAL);
    const struct ph_build_file bad_name = {.struct_size = sizeof bad_name, .name = PH_STR("a\nb")};
    const struct ph_build_file bad_type = {.struct_size = sizeof bad_type, .type = PH_STR("text")};
    assert_int_equal(ph_build_attach(b, &bad_name, NULL), -PH_EINVAL);
    assert_int_equal(ph_build_attach(b, &bad_type, NULL), -PH_EINVAL);
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    assert_int_equal(ph_build_bytes(b, &out, NULL), -PH_EINVAL);
    ph_buf_done(&out);
}

/* A boundary that stands in the text is not used: seeds give known boundaries. */
static void boundary(void **state)
{
    (void)state;
    struct ph_build_file file = {
        .struct_size = sizeof file, .name = PH_STR("a.bin"), .bytes = PH_STR("x")};
    struct ph_message *m;
    ph_str mark;
    assert_int_equal(field("From", "a@b.test"), 0);
    assert_int_equal(field("Message-ID", "<1@x>"), 0);
    assert_int_equal(ph_build_text(b, PH_STR("x"), NULL), 0);
    assert_int_equal(ph_build_attach(b, &file, NULL), 0);
    assert_int_equal(ph_mime_parse(arena, built(), NULL, &m), 0);
    assert_int_equal(ph_param_get(arena, m->root->params, PH_STR("boundary"), &mark), 0);
    b = ph_build_new(arena, PH_STR("host.test"), 0);
    ph_build_fixed(b, 1, 0, 5);
    assert_int_equal(field("From", "a@b.test"), 0);
    assert_int_equal(field("Message-ID", "<1@x>"), 0);
    ph_str text = ph_arena_printf(arena, "a\n--%.*s\nb\n", PH_FMT(mark));
    assert_int_equal(ph_build_text(b, text, NULL), 0);
    assert_int_equal(ph_build_attach(b, &file, NULL), 0);
    assert_int_equal(ph_mime_parse(arena, built(), NULL, &m), 0);
    assert_int_equal(m->part_count, 3);
    assert_true(ph_str_eq(built(), m->bytes)); /* again the same */
}

struct counting {
    size_t calls, most, stop;
};

static int count(void *ctx, ph_str bytes)
{
    struct counting *c = ctx;
    c->calls++;
    c->most = bytes.n > c->most ? bytes.n : c->most;
    return c->stop && c->calls >= c->stop ? -PH_ECLOSED : 0;
}

static int64_t letters(void *ctx, uint64_t at, char *to, size_t n)
{
    uint64_t size = *(const uint64_t *)ctx;
    if (size == UINT64_MAX)
        return -PH_EIO;
    uint64_t left = at < size ? size - at : 0;
    n = left < n ? (size_t)left : n;
    memset(to, 'x', n);
    return (int64_t)n;
}

static void streamed(void **state)
{
    (void)state;
    uint64_t size = 8 * 1024 * 1024;
    const struct ph_source source = {&size, letters};
    struct ph_build_file file = {.struct_size = sizeof file, .source = &source};
    struct counting c = {0};
    assert_int_equal(field("From", "a@b.test"), 0);
    assert_int_equal(ph_build_attach(b, &file, NULL), 0);
    size_t used = ph_arena_used(arena);
    assert_int_equal(ph_build_write(b, count, &c, NULL), 0);
    assert_true(c.calls > 100 && c.most <= PH_BUILD_CHUNK);
    assert_true(ph_arena_used(arena) - used < 1000);
    c = (struct counting){.stop = 3};
    assert_int_equal(ph_build_write(b, count, &c, NULL), -PH_ECLOSED);
    assert_int_equal(c.calls, 3);
    size = UINT64_MAX;
    c = (struct counting){0};
    assert_int_equal(ph_build_write(b, count, &c, NULL), -PH_EIO);
}

static void pictures(void **state)
{
    (void)state;
    struct ph_build_file file = {
        .struct_size = sizeof file, .name = PH_STR("a.png"), .bytes = PH_STR("x")};
    struct ph_error err = {0};
    ph_str cid;
    assert_int_equal(ph_build_picture(b, &file, &cid, NULL), 0);
    assert_int_equal(ph_build_check_cids(b, &err), -PH_ENOENT);
    ph_str html = ph_arena_printf(arena, "<img src=\"cid:%.*s\">", PH_FMT(cid));
    assert_int_equal(ph_build_html(b, html, NULL), 0);
    assert_int_equal(ph_build_check_cids(b, &err), 0);
    file.cid = PH_STR("logo");
    assert_int_equal(ph_build_picture(b, &file, NULL, NULL), 0);
    assert_int_equal(ph_build_check_cids(b, &err), -PH_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(simple, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(recipients, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(boundary, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streamed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pictures, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
