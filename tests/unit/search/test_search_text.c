/* What SEARCH looks at: tables of spellings that are one, and letters with the words that must be
 * found in them. */
#include "search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *a, *b;
    bool same;
} spellings[] = {
    {"Mail", "mAIL", true},
    {"ПОЧТА", "почта", true},
    {"ΣΊΣΥΦΟΣ", "σίσυφος", true}, /* final sigma */
    {"É", "e\xcc\x81", true},     /* composed or not */
    {"Ǆ", "ǆ", true},             /* title case is a third one */
    {"ﬁn", "fin", true},          /* ligature */
    {"ＡＢＣ", "abc", true},      /* full width */
    {"ｶﾞ", "ガ", true},           /* half width with its mark */
    {"Ա", "ա", true},
    {"Ⴀ", "ⴀ", true},
    {"𐐀", "𐐨", true},
    {"Ĳ", "ij", true},
    {"①", "1", true},
    {"İ", "i\xcc\x87", true},
    {"中", "中", true},
    {"한", "한", true},
    {"a", "b", false},
    {"中", "国", false},
    {"가", "각", false},
    {"ß", "s", false},
};

static struct ph_buf folded(const char *s)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, 4096);
    ph_search_fold(ph_str_c(s), &b);
    assert_int_equal(ph_buf_err(&b), 0);
    return b;
}

static void folding(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        struct ph_buf a = folded(spellings[i].a), b = folded(spellings[i].b);
        if (ph_str_eq(ph_buf_str(&a), ph_buf_str(&b)) != spellings[i].same)
            fail_msg("%s and %s", spellings[i].a, spellings[i].b);
        ph_buf_done(&a), ph_buf_done(&b);
    }
}

/* Any bytes; and folding what is folded changes nothing. */
static void any_bytes(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 3000; seed++) {
        char in[24];
        uint32_t r = seed * 2654435761u;
        for (size_t i = 0; i < sizeof in; i++, r = r * 1664525u + 1013904223u)
            in[i] = (char)(r >> 24);
        struct ph_buf a, b;
        ph_buf_init(&a, NULL, 4096), ph_buf_init(&b, NULL, 65536);
        ph_search_fold((ph_str){in, sizeof in}, &a);
        ph_search_fold(ph_buf_str(&a), &b);
        assert_true(a.n <= 54 * sizeof in && ph_str_eq(ph_buf_str(&a), ph_buf_str(&b)));
        ph_buf_done(&a), ph_buf_done(&b);
    }
}

static const char letter[] =
    "From: =?gb18030?B?1dTB+g==?= <zhao@a.test>\r\nTo: \"Bob B.\" <Bob@B.test>\r\n"
    "Subject: =?utf-8?Q?=E9=82=AE=E4=BB=B6?= about\r\n Caf=?iso-8859-1?Q?=E9?=\r\nX-Tag: one\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n"
    "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B%a!<%k\x1b(B\r\n--b\r\n"
    "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    "PHA+w4Twn5iAPGI+ZmV0dDwvYj4gZmlzaDwvcD4=\r\n--b\r\n"
    "Content-Type: application/pdf\r\nContent-Disposition: attachment;\r\n "
    "filename*=utf-8''%EA%B3%84%ED%9A%8D.pdf\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\nc2VjcmV0\r\n--b--\r\n";

static const struct {
    const char *what;
    bool head, body;
} wanted[] = {
    {"赵龙", true, false},
    {"赵", true, false},
    {"ZHAO@a.TEST", true, false},
    {"赵龙 <zhao@a.test>", true, false},
    {"bob b. <bob@", true, false},
    {"邮件 about", true, false},
    {"件", true, false},
    {"café", true, false},
    {"x-tag: ONE", true, false},
    {"メール", false, true},
    {"ール", false, true},
    {"äpp", false, false},
    {"fett fish", false, true},
    {"😀fett", false, true},
    {"<b>", false, false},
    {"계획.PDF", false, true},
    {"계", false, true},
    {"secret", false, false},
    {"application/pdf", false, true},
    {"preamble", false, false},
};

static void texts(void **state)
{
    (void)state;
    struct ph_arena *arena = ph_arena_new(NULL, 1 << 24);
    struct ph_buf head, body;
    ph_buf_init(&head, NULL, 65536), ph_buf_init(&body, NULL, 65536);
    assert_int_equal(ph_search_text(arena, ph_str_c(letter), &head, &body), 0);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        struct ph_buf w = folded(wanted[i].what);
        bool in_head = ph_search_holds(ph_buf_str(&head), ph_buf_str(&w)),
             in_body = ph_search_holds(ph_buf_str(&body), ph_buf_str(&w));
        if (in_head != wanted[i].head || in_body != wanted[i].body)
            fail_msg("\"%s\": head %d, body %d in \"%.*s\" \"%.*s\"", wanted[i].what, in_head,
                     in_body, PH_FMT(ph_buf_str(&head)), PH_FMT(ph_buf_str(&body)));
        ph_buf_done(&w);
    }
    ph_buf_done(&head), ph_buf_done(&body);
    ph_buf_init(&head, NULL, 65536), ph_buf_init(&body, NULL, 20);
    assert_int_equal(ph_search_text(arena, ph_str_c(letter), &head, &body), -PH_ELIMIT);
    ph_buf_done(&head), ph_buf_done(&body);
    ph_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(folding), cmocka_unit_test(any_bytes),
                                       cmocka_unit_test(texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
