/* mime/surrogate: ASCII comes out, that a reader of ASCII understands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "surrogate.h"
#include "utf8.h"

enum { ROOM = 1024 * 1024 };

static const struct {
    const char *in, *out;
} rows[] = {
    {"A: b\r\n\r\n", "A: b\r\n\r\n"},
    {"Subject: caf\xc3\xa9 x\r\nA:  b\r\n\tc\r\n\r\n",
     "Subject: =?utf-8?B?Y2Fmw6k=?= x\r\nA:  b\r\n\tc\r\n\r\n"},
    {"From: J\xc3\xbcrgen <j@a.test>\r\n\r\n", "From: =?utf-8?Q?J=C3=BCrgen?= <j@a.test>\r\n\r\n"},
    {"To: x@b\xc3\xbc"
     "cher.test\r\n\r\n",
     "To: x@xn--bcher-kva.test\r\n\r\n"},
    {"To: \xe4\xb8\xad@a.test, b@b.test\r\n\r\n",
     "To: =?utf-8?B?5LitQGEudGVzdA==?=:;, b@b.test\r\n\r\n"},
    {"Cc: g: \xc3\xa9@a.test, b@b.test;\r\n\r\n",
     "Cc: =?utf-8?B?w6lAYS50ZXN0?=:;, b@b.test\r\n\r\n"},
    {"Message-ID: <\xc3\xa9@a.test>\r\nX: y\r\n\r\n", "X: y\r\n\r\n"},
    {"Content-Type: text/plain;\r\n charset=utf-8; name=\"\xc3\xa9.txt\"\r\n\r\n",
     "Content-Type: text/plain; charset=\"utf-8\"; name*=utf-8''%C3%A9.txt\r\n\r\n"},
    {"Content-Type: \xc3\xa9\r\n\r\n", "Content-Type: application/octet-stream\r\n\r\n"},
    {"\xc3\xa9: x\r\n\r\n", "\r\n"},
};

static void headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ph_buf out;
        ph_buf_init(&out, NULL, ROOM);
        assert_int_equal(ph_surrogate_head(ph_str_c(rows[i].in), &out), 0);
        assert_string_equal(ph_buf_cstr(&out), rows[i].out);
        assert_true(ph_ascii_only(ph_buf_str(&out)));
        ph_buf_done(&out);
    }
}

static void is_needed(void **state)
{
    (void)state;
    assert_true(ph_surrogate_needed(PH_STR("A: \xc3\xa9\r\n\r\n")));
    assert_false(ph_surrogate_needed(PH_STR("A: e\r\n\r\n")));
    assert_false(ph_surrogate_needed(PH_STR("A: \xe9\r\n\r\n"))); /* of another charset */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),
        cmocka_unit_test(is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
