/* mime/unbinary: what is text stays, what is not becomes base64, and says the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "unbinary.h"

enum { ROOM = 4 * 1024 * 1024 };

static int collect(void *ctx, ph_str piece)
{
    ph_buf_add(ctx, piece);
    return ph_buf_err(ctx);
}

#define LIT(text)                                                                                  \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
#define CTE "Content-Transfer-Encoding: "
#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n"
#define NUL "\0\r\n\1\n\2\r" /* seven octets that are no text */
#define NUL64 "AA0KAQoCDQ==" /* the same */

static const struct {
    ph_str in, out; /* out.p NULL: it cannot be done */
} rows[] = {
    {LIT("Subject: x\r\n\r\ntext\r\n"), LIT("Subject: x\r\n\r\ntext\r\n")},
    {LIT("Subject: x\r\n\r\nno end"), LIT("Subject: x\r\n\r\nno end\r\n")},
    {LIT(CTE "binary\r\n\r\ntext\r\n"), LIT(CTE "8bit\r\n\r\ntext\r\n")},
    {LIT(CTE "binary\r\n\r\n" NUL), LIT(CTE "base64\r\n\r\n" NUL64 "\r\n")},
    {LIT("A: b\r\ncontent-transfer-encoding:\r\n BINARY (x)\r\nC: d\r\n\r\n" NUL),
     LIT("A: b\r\n" CTE "base64\r\nC: d\r\n\r\n" NUL64 "\r\n")},
    {LIT("A: b\r\n\r\n" NUL), LIT(CTE "base64\r\nA: b\r\n\r\n" NUL64 "\r\n")}, /* not declared */
    {LIT("\r\n" NUL), LIT(CTE "base64\r\n\r\n" NUL64 "\r\n")},
    /* the line end in front of the boundary is the boundary's: the octets before it are the
     * part's */
    {LIT(MIXED CTE "binary\r\n\r\npre\r\n--b\r\n" CTE "binary\r\n\r\n" NUL
                   "\r\n--b\r\n\r\nplain\r\n--b--\r\n"),
     LIT(MIXED CTE "8bit\r\n\r\npre\r\n--b\r\n" CTE "base64\r\n\r\n" NUL64
                   "\r\n--b\r\n\r\nplain\r\n--b--\r\n")},
    {LIT(MIXED "\r\n--b\r\n\r\n" NUL "\r\n--b--\r\n"),
     LIT(MIXED "\r\n--b\r\n" CTE "base64\r\n\r\n" NUL64 "\r\n--b--\r\n")},
    {LIT(MIXED "\r\n--b\r\nContent-Type: message/rfc822\r\n" CTE "binary\r\n\r\nA: b\r\n" CTE
               "binary\r\n\r\n" NUL "\r\n--b--\r\n"),
     LIT(MIXED "\r\n--b\r\nContent-Type: message/rfc822\r\n" CTE "8bit\r\n\r\nA: b\r\n" CTE
               "base64\r\n\r\n" NUL64 "\r\n--b--\r\n")},
    {LIT(MIXED "\r\n--b\r\n\r\nends with its boundary\r\n--b--"),
     LIT(MIXED "\r\n--b\r\n\r\nends with its boundary\r\n--b--\r\n")},
    {LIT("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n" CTE
         "binary\r\n\r\ntext\r\n--b--\r\n"),
     LIT("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n" CTE
         "binary\r\n\r\ntext\r\n--b--\r\n")},
    {LIT("Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" NUL "\r\n--b--\r\n"), {0}},
    {LIT(CTE "base64\r\n\r\n" NUL), {0}},
    {LIT("Subject: \0\r\n\r\nx\r\n"), {0}},
    {LIT("Subject: a\rb\r\n\r\nx\r\n"), {0}},
    {LIT(MIXED "\r\npre\0\r\n--b\r\n\r\nx\r\n--b--\r\n"), {0}},
    {LIT(MIXED "\r\n--b\r\n\r\nx\r\n--b--\r\nepilogue \r alone\r\n"), {0}},
};

static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ph_buf out;
        ph_buf_init(&out, NULL, ROOM);
        int err = ph_mime_unbinary(rows[i].in, collect, &out);
        assert_int_equal(err, rows[i].out.p ? 0 : -PH_ENOTIMPL);
        if (!err && !ph_str_eq(ph_buf_str(&out), rows[i].out))
            fail_msg("row %zu:\n%.*s", i, PH_FMT(ph_buf_str(&out)));
        ph_buf_done(&out);
    }
}

/* A line too long for RFC 5322 is no text, and one of 998 is. */
static void long_lines(void **state)
{
    (void)state;
    for (size_t n = PH_TEXT_LINE; n <= PH_TEXT_LINE + 1; n++) {
        struct ph_buf in, out;
        ph_buf_init(&in, NULL, ROOM);
        ph_buf_init(&out, NULL, ROOM);
        ph_buf_add(&in, PH_STR(CTE "binary\r\n\r\n"));
        for (size_t i = 0; i < n; i++)
            ph_buf_addc(&in, 'x');
        ph_buf_add(&in, PH_STR("\r\n"));
        assert_int_equal(ph_mime_unbinary(ph_buf_str(&in), collect, &out), 0);
        ph_str want = n == PH_TEXT_LINE ? PH_STR(CTE "8bit") : PH_STR(CTE "base64");
        assert_true(ph_str_eq(ph_str_sub(ph_buf_str(&out), 0, want.n), want));
        ph_buf_done(&in);
        ph_buf_done(&out);
    }
}

/* Every octet of a part of n octets comes back. The two words for its encoding are equally long. */
static void back_again(ph_str before, size_t n, ph_str after)
{
    struct ph_buf in, out, back;
    struct ph_decoder d;
    ph_buf_init(&in, NULL, ROOM);
    ph_buf_init(&out, NULL, ROOM);
    ph_buf_init(&back, NULL, ROOM);
    ph_buf_add(&in, before);
    ph_buf_add(&in, PH_STR(CTE "binary\r\n\r\n"));
    size_t head = in.n;
    for (size_t i = 0; i < n; i++)
        ph_buf_addc(&in, (char)(i * 7 + i / 256));
    ph_buf_add(&in, after);
    assert_int_equal(ph_mime_unbinary(ph_buf_str(&in), collect, &out), 0);
    ph_str text = ph_str_skip(ph_buf_str(&out), head);
    if (after.n) {
        assert_true(text.n > after.n);
        text.n -= after.n;
        assert_true(ph_str_eq((ph_str){text.p + text.n, after.n}, after));
    }
    ph_decoder_init(&d, PH_ENC_BASE64);
    ph_decoder_feed(&d, text, &back);
    ph_decoder_end(&d, &back);
    assert_true(ph_str_eq(ph_buf_str(&back), ph_str_sub(ph_buf_str(&in), head, n)));
    ph_buf_done(&in);
    ph_buf_done(&out);
    ph_buf_done(&back);
}

/* At every length around the pieces of the encoder, alone and inside a multipart. */
static void lengths(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 2 * 57 * 512 + 2; n += n < 300 ? 1 : 57 * 256 - 1) {
        back_again((ph_str){0}, n, (ph_str){0});
        back_again(PH_STR(MIXED "\r\n--b\r\n"), n, PH_STR("\r\n--b--\r\n"));
    }
}

static int refuse(void *ctx, ph_str piece)
{
    (void)piece;
    return --*(int *)ctx ? 0 : -PH_EFULL;
}

static void no_room(void **state)
{
    (void)state;
    for (int at = 1; at <= 4; at++) {
        int left = at;
        assert_int_equal(ph_mime_unbinary(rows[7].in, refuse, &left), -PH_EFULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table), cmocka_unit_test(long_lines),
                                       cmocka_unit_test(lengths), cmocka_unit_test(no_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
