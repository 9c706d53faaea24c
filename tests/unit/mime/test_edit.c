/* mime: editing. One change is made, every other byte stays; parts go with their boundary lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <posthouse/build.h>
#include <posthouse/edit.h>

static struct ph_arena *arena;
static struct ph_message *m;
static struct ph_edit *edit;

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

static void begin(const char *text)
{
    assert_int_equal(ph_mime_parse(arena, ph_str_c(text), NULL, &m), 0);
    edit = ph_edit_new(arena, m);
    assert_non_null(edit);
}

static const char *result(void)
{
    struct ph_buf out;
    ph_buf_init(&out, NULL, 1024 * 1024);
    assert_int_equal(ph_edit_as_bytes(edit, &out), 0);
    const char *s = ph_arena_cstr(arena, ph_buf_str(&out));
    ph_buf_done(&out);
    return s;
}

struct row {
    const char *in, *what, *name, *value, *out;
};

static void headers(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"A: 1\r\nSubject:  odd \r\n\tfold\r\nB: 2\r\n\r\nbody", "set", "subject", "new",
         "A: 1\r\nsubject: new\r\nB: 2\r\n\r\nbody"},
        {"A: 1\nB:2\n\nbody\r\n", "set", "A", "x", "A: x\nB:2\n\nbody\r\n"},
        {"A: 1\r\n\r\n", "set", "C", "gr\xc3\xbc\xc3\x9f",
         "A: 1\r\nC: =?utf-8?B?Z3LDvMOf?=\r\n\r\n"},
        {"A: 1\r\na: 2\r\nB: 3\r\nA: 4\r\n\r\n", "set", "A", "x", "A: x\r\nB: 3\r\n\r\n"},
        {"A: 1\r\na: 2\r\nB: 3\r\nA: 4\r\n\r\n", "del", "A", "", "B: 3\r\n\r\n"},
        {"A: 1\r\n\r\nbody", "add", "A", "2", "A: 1\r\nA: 2\r\n\r\nbody"},
        {"\r\nbody", "add", "A", "2", "A: 2\r\n\r\nbody"},
        {"A: 1", "add", "B", "2", "A: 1\r\nB: 2\r\n"},
        {"A: 1\r\n\r\nbody", "del", "B", "", "A: 1\r\n\r\nbody"},
        {"A: 1\r\n\r\n", "set", "To", "\"Doe, J\" <j@x.test>",
         "A: 1\r\nTo: \"Doe, J\" <j@x.test>\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        ph_str name = ph_str_c(r->name), value = ph_str_c(r->value);
        begin(r->in);
        if (r->what[0] == 's')
            assert_int_equal(ph_edit_set_header(edit, m->root, name, value, NULL), 0);
        else if (r->what[0] == 'a')
            assert_int_equal(ph_edit_add_header(edit, m->root, name, value, NULL), 0);
        else
            assert_true(ph_edit_del(edit, m->root, name) >= 0);
        assert_string_equal(result(), r->out);
    }
}

static void later_wins(void **state)
{
    (void)state;
    begin("A: 1\r\nB: 2\r\n\r\nbody");
    assert_string_equal(result(), "A: 1\r\nB: 2\r\n\r\nbody");
    assert_int_equal(ph_edit_set_header(edit, m->root, PH_STR("A"), PH_STR("x"), NULL), 0);
    assert_int_equal(ph_edit_set_header(edit, m->root, PH_STR("A"), PH_STR("y"), NULL), 0);
    assert_int_equal(ph_edit_set_header(edit, m->root, PH_STR("C"), PH_STR("x"), NULL), 0);
    assert_int_equal(ph_edit_set_header(edit, m->root, PH_STR("c"), PH_STR("z"), NULL), 0);
    assert_int_equal(ph_edit_set_header(edit, m->root, PH_STR("A"), PH_STR("b\nc"), NULL),
                     -PH_EINVAL);
    assert_int_equal(ph_edit_set_header(edit, m->root, PH_STR("Content-Type"), PH_STR("a/b"), NULL),
                     -PH_EINVAL);
    assert_int_equal(ph_edit_del(edit, m->root, PH_STR("MIME-Version")), -PH_EINVAL);
    assert_string_equal(result(), "A: y\r\nB: 2\r\nc: z\r\n\r\nbody");
    assert_int_equal(ph_edit_del(edit, m->root, PH_STR("A")), 1);
    assert_string_equal(result(), "B: 2\r\nc: z\r\n\r\nbody");
}

/* Each set of parts of a message with three, the middle one of which has two of its own. */
static void parts(void **state)
{
    (void)state;
    static const char letter[] =
        "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b  \r\n\r\none\r\n--b\r\n"
        "Content-Type: multipart/x; boundary=c\r\n\r\n--c\r\n\r\ntwo\r\n--c\r\nX: "
        "y\r\n\r\nthree\r\n--c--\r\n"
        "\r\n--b\r\n\r\nfour\r\n--b--\r\nepilogue";
    static const char *const kept[] = {"one", "two", "three", "four"};
    /* the root, and the parts by their numbers in document order */
    for (unsigned set = 0; set < 32; set++) {
        const struct ph_part *all[6];
        size_t n = 0, left = 0;
        struct ph_message *again;
        begin(letter);
        for (const struct ph_part *p = m->root; p; p = ph_part_next(p))
            all[n++] = p;
        assert_int_equal(n, 6);
        for (unsigned i = 5; i > 0; i--) /* in any order */
            if (set >> (i - 1) & 1)
                assert_int_equal(ph_edit_remove_part(edit, all[i], NULL), 0);
        ph_str out = ph_str_c(result());
        assert_int_equal(ph_mime_parse(arena, out, NULL, &again), 0);
        bool gone[4] = {set & 1, (set & 2) || (set & 4), (set & 2) || (set & 8), set & 16};
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(ph_str_find(out, ph_str_c(kept[i])) != PH_NPOS, !gone[i]);
            left += !gone[i];
        }
        assert_true(ph_str_has_suffix(out, PH_STR("--b--\r\nepilogue")));
        assert_true(ph_str_find(out, PH_STR("preamble\r\n--b  \r\n")) != PH_NPOS);
        assert_int_equal(again->defect_count > 0,
                         m->defect_count > 0 || (set & 19) == 19 || (set & 14) == 12);
        size_t leaves = 0;
        for (const struct ph_part *p = again->root; p; p = ph_part_next(p))
            leaves += p->kind == PH_PART_LEAF && p->body.n > 0;
        assert_int_equal(leaves, left);
    }
    assert_int_equal(ph_edit_remove_part(edit, m->root, NULL), -PH_EINVAL);
}

/* A part goes, and the header of another one changes. */
static void both(void **state)
{
    (void)state;
    begin("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: 1\r\n\r\none\r\n--b\r\nX: "
          "2\r\n\r\ntwo\r\n--b--\r\n");
    const struct ph_part *one = m->root->child, *two = one->next;
    assert_int_equal(ph_edit_set_header(edit, two, PH_STR("X"), PH_STR("3"), NULL), 0);
    assert_int_equal(ph_edit_set_header(edit, one, PH_STR("Y"), PH_STR("4"), NULL), 0);
    assert_int_equal(ph_edit_set_header(edit, m->root, PH_STR("Subject"), PH_STR("s"), NULL), 0);
    assert_int_equal(ph_edit_remove_part(edit, two, NULL), 0);
    assert_string_equal(result(), "Content-Type: multipart/mixed; boundary=b\r\nSubject: "
                                  "s\r\n\r\n--b\r\nX: 1\r\nY: 4\r\n\r\none\r\n--b--\r\n");
    ph_str *slices;
    size_t n;
    assert_int_equal(ph_edit_slices(edit, &slices, &n), 0);
    for (size_t i = 0; i < n; i++)
        assert_true(slices[i].n > 0);
    assert_ptr_equal(slices[0].p, m->bytes.p); /* not copied */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(later_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(both, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
