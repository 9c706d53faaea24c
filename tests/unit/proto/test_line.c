/* Lines and dot-stuffed text: every split gives what the whole gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "line.h"
#include <stdlib.h>
#include <string.h>

static void lines(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *out; /* C: CRLF, B: bare, L: long */
    } rows[] = {
        {"abc\r\ndef\r\n", "C(abc)C(def)"},
        {"abc\ndef\r\n", "B(abc)C(def)"},
        {"a\rb\r\n", "B(a\rb)"},
        {"\r\n\n", "C()B()"},
        {"12345678\r\nx\r\n", "C(12345678)C(x)"},
        {"123456789\r\nx\r\n", "LC(x)"},
        {"abc", ""},
        {"a\r\r\n", "B(a\r)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = 1; step < 14; step++) {
            struct ph_inbuf in;
            struct ph_buf out;
            ph_inbuf_init(&in, NULL, 64);
            ph_buf_init(&out, NULL, 1000);
            ph_str rest = ph_str_c(rows[i].in), line;
            bool skipping = false;
            while (rest.n) {
                int64_t n = ph_inbuf_add(&in, ph_str_sub(rest, 0, step));
                assert_true(n > 0);
                rest = ph_str_skip(rest, (size_t)n);
                enum ph_line_end end;
                if (skipping && !(skipping = !ph_line_skip(&in)))
                    skipping = false;
                while (!skipping && (end = ph_line_next(&in, 10, &line)) != PH_LINE_NONE) {
                    if (end == PH_LINE_LONG) {
                        ph_buf_addc(&out, 'L');
                        skipping = !ph_line_skip(&in);
                    } else {
                        ph_buf_addf(&out, "%c(%.*s)", end == PH_LINE_CRLF ? 'C' : 'B',
                                    PH_FMT(line));
                    }
                }
            }
            assert_string_equal(ph_buf_cstr(&out), rows[i].out);
            ph_inbuf_done(&in);
            ph_buf_done(&out);
        }
}

static void bounded(void **state)
{
    (void)state;
    struct ph_inbuf in;
    ph_inbuf_init(&in, NULL, 8);
    assert_int_equal(ph_inbuf_add(&in, PH_STR("123456")), 6);
    assert_int_equal(ph_inbuf_add(&in, PH_STR("789")), 2);
    assert_int_equal(ph_inbuf_room(&in), 0);
    assert_int_equal(ph_inbuf_add(&in, PH_STR("9")), 0);
    ph_inbuf_eat(&in, 3);
    assert_int_equal(ph_inbuf_add(&in, PH_STR("9ab")), 3);
    assert_true(ph_str_eq(ph_inbuf_rest(&in), PH_STR("456789ab")) ||
                ph_str_eq(ph_inbuf_rest(&in), PH_STR("456789ab")));
    ph_inbuf_done(&in);
}

/* Reads dot-stuffed `wire` at splits of `step` (0: random); appends the text; the offset behind the
 * end, or 0. */
static size_t undot(ph_str wire, size_t step, struct ph_buf *text, bool *ret_bare)
{
    struct ph_undot u;
    struct ph_inbuf in;
    ph_undot_init(&u);
    ph_inbuf_init(&in, NULL, 1 << 20);
    ph_str rest = wire;
    size_t total = 0;
    int end = 0;
    while (rest.n && !end) {
        ph_str part = ph_str_sub(rest, 0, step ? step : 1 + (size_t)rand() % 9);
        assert_int_equal(ph_inbuf_add(&in, part), part.n);
        rest = ph_str_skip(rest, part.n);
        size_t eaten;
        ph_str piece;
        do {
            end = ph_undot_next(&u, ph_inbuf_rest(&in), &eaten, &piece);
            ph_buf_add(text, piece);
            ph_inbuf_eat(&in, eaten);
            total += eaten;
        } while (eaten && !end);
    }
    *ret_bare = u.bare;
    ph_inbuf_done(&in);
    return end ? total : 0;
}

static void undots(void **state)
{
    (void)state;
    static const struct {
        const char *wire, *text;
        bool bare;
        size_t end;
    } rows[] = {
        {".\r\nX", "", false, 3},
        {"a\r\n.\r\n", "a\r\n", false, 6},
        {"..a\r\n...\r\n.\r\n", ".a\r\n..\r\n", false, 13},
        {".a\r\n.\r\n", "a\r\n", false, 7},
        {"a\n.\r\n\r\n.\r\n", "a\n.\r\n\r\n", true, 10},
        {"a\r.\r\n\r\n.\r\n", "a\r.\r\n\r\n", true, 10},
        {"a\r\n.\r.\r\n.\r\n", "a\r\n\r.\r\n", true, 11},
        {"a\r\n.\n.\r\n.\r\n", "a\r\n\n.\r\n", true, 11},
        {"a\r\r\n.\r\n", "a\r\r\n", true, 7},
        {"a\r\n\r\n\r\n.\r\n", "a\r\n\r\n\r\n", false, 10},
        {"a.\r\n", "a.\r\n", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = 1; step < 16; step++) {
            struct ph_buf text;
            bool bare;
            ph_buf_init(&text, NULL, 1000);
            assert_int_equal(undot(ph_str_c(rows[i].wire), step, &text, &bare), rows[i].end);
            assert_string_equal(ph_buf_cstr(&text), rows[i].text);
            assert_int_equal(bare, rows[i].bare);
            ph_buf_done(&text);
        }
}

/* What the writer makes of text: CRLF line ends and one at the end. */
static void normal(ph_str in, struct ph_buf *out)
{
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '\r' && i + 1 < in.n && in.p[i + 1] == '\n')
            continue;
        if (c == '\r' || c == '\n')
            ph_buf_add(out, PH_STR("\r\n"));
        else
            ph_buf_addc(out, c);
    }
    if (out->n && !ph_str_has_suffix(ph_buf_str(out), PH_STR("\r\n")))
        ph_buf_add(out, PH_STR("\r\n"));
}

static void round_trip(void **state)
{
    (void)state;
    static const char alphabet[] = "a.\r\n.\rx\n";
    srand(7);
    for (int k = 0; k < 20000; k++) {
        char raw[64];
        size_t n = (size_t)rand() % sizeof raw;
        for (size_t i = 0; i < n; i++)
            raw[i] = alphabet[rand() % 8];
        struct ph_buf wire, back, want;
        struct ph_dot d;
        bool bare;
        ph_buf_init(&wire, NULL, 1000);
        ph_buf_init(&back, NULL, 1000);
        ph_buf_init(&want, NULL, 1000);
        ph_dot_init(&d, false);
        ph_str rest = {raw, n};
        while (rest.n) {
            ph_str part = ph_str_sub(rest, 0, 1 + (size_t)rand() % 9);
            assert_int_equal(ph_dot_add(&d, &wire, part), 0);
            rest = ph_str_skip(rest, part.n);
        }
        assert_int_equal(ph_dot_end(&d, &wire), 0);
        normal((ph_str){raw, n}, &want);
        assert_int_equal(undot(ph_buf_str(&wire), 0, &back, &bare), wire.n);
        assert_false(bare);
        assert_true(ph_str_eq(ph_buf_str(&back), ph_buf_str(&want)));
        ph_buf_done(&wire);
        ph_buf_done(&back);
        ph_buf_done(&want);
    }
}

static void strict(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } rows[] = {{"a\r\n.b\r\n", true}, {"a\n", false}, {"a\rb", false},
                {"a\r", false},        {"", true},     {"a", true},
                {"\r\r\n", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_buf out;
        struct ph_dot d;
        ph_buf_init(&out, NULL, 100);
        ph_dot_init(&d, true);
        bool good = ph_dot_add(&d, &out, ph_str_c(rows[i].text)) == 0 && ph_dot_end(&d, &out) == 0;
        assert_int_equal(good, rows[i].good);
        ph_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),      cmocka_unit_test(bounded), cmocka_unit_test(undots),
        cmocka_unit_test(round_trip), cmocka_unit_test(strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
