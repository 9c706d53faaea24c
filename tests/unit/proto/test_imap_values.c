/* Values of IMAP: modified UTF-7, LIST patterns, sets, and every allocation of both engines failing
 * once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "failing.h"
#include "imap_int.h"

static void utf7(void **state)
{
    static const struct {
        const char *wire, *utf8;
    } rows[] = {
        {"INBOX", "INBOX"},
        {"a&-b", "a&b"},
        {"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
         "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"&Jjo-!", "\xe2\x98\xba!"},
        {"&2D3eAA-", "\xf0\x9f\x98\x80"},
        {"", ""},
        {"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
        {"&Jjo", NULL},
        {"&", NULL},
        {"&AGE-", NULL},
        {"&2D0-", NULL},
        {"&3gA-", NULL},
        {"&Jjp-", NULL},
        {"a\x80", NULL},
        {"&J-", NULL},
        {"&Jj*-", NULL},
        {"&AAA-", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_buf b;
        ph_buf_init(&b, NULL, 1000);
        int r = ph_imap_utf7_decode(ph_str_c(rows[i].wire), &b);
        assert_int_equal(r, rows[i].utf8 ? 0 : -PH_ESYNTAX);
        if (rows[i].utf8) {
            assert_string_equal(ph_buf_cstr(&b), rows[i].utf8);
            ph_buf_clear(&b);
            ph_imap_utf7_encode(ph_str_c(rows[i].utf8), &b);
            assert_string_equal(ph_buf_cstr(&b), rows[i].wire);
        }
        ph_buf_done(&b);
    }
}

static void patterns(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool match;
    } rows[] = {
        {"*", "a/b/c", true},
        {"%", "a", true},
        {"%", "a/b", false},
        {"a/%", "a/b", true},
        {"a/%", "a/b/c", false},
        {"%/%", "a/b", true},
        {"*/c", "a/b/c", true},
        {"%/c", "a/b/c", false},
        {"inbox", "INBOX", true},
        {"InB%", "INBOX", true},
        {"inbox", "INBOXx", false},
        {"a", "A", false},
        {"", "", true},
        {"", "a", false},
        {"a*b%c", "axxbyyc", true},
        {"a*b%c", "axxby/c", false},
        {"*%", "a/b", true},
        {"%*", "a/b", true},
        {"*a*b*c", "xaybzcbc", true},
        {"%b*d", "ab/cd", true},
        {"*/%x", "a/b/cx", true},
        {"%%%", "ab", true},
        {"*x%y", "x/xay", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (ph_imap_list_match(ph_str_c(rows[i].pattern), ph_str_c(rows[i].name), '/') !=
            rows[i].match)
            fail_msg("%s against %s", rows[i].pattern, rows[i].name);
}

static void dates(void **state)
{
    static const char *const good[] = {
        "\"17-Jul-1996 02:44:25 -0700\"", "\"29-Feb-2000 23:59:59 +0530\"",
        "\"01-Jan-1970 00:00:00 +0000\"", "\"31-Dec-1969 23:59:59 +0000\"",
        "\"01-Mar-1900 00:00:00 -1200\""};
    static const char *const bad[] = {"\"17-Jul-1996 02:44:25\"",
                                      "\"32-Jul-1996 02:44:25 +0000\"",
                                      "17-Jul-1996",
                                      "\"17-Jux-1996 02:44:25 +0000\"",
                                      "\"17-Jul-1996 24:44:25 +0000\"",
                                      "\"\"",
                                      "\""};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct ph__imap_cur c = {.at = good[i], .begin = good[i], .end = good[i] + strlen(good[i])};
        struct ph_buf b;
        int64_t t;
        int zone;
        ph_buf_init(&b, NULL, 100);
        assert_true(ph__imap_date_time(&c, &t, &zone));
        ph__imap_date_time_write(&b, t, zone);
        assert_string_equal(ph_buf_cstr(&b), good[i]);
        ph_buf_done(&b);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ph__imap_cur c = {.at = bad[i], .begin = bad[i], .end = bad[i] + strlen(bad[i])};
        int64_t t;
        int zone;
        assert_false(ph__imap_date_time(&c, &t, &zone) && ph__imap_at_end(&c));
    }
}

static void sets(void **state)
{
    struct ph_arena *a = ph_arena_new(NULL, 100000);
    struct ph_imap_set s;
    (void)state;
    assert_int_equal(ph_imap_set_parse(a, PH_STR("2,4:7,9,12:*"), &s), 0);
    assert_int_equal(s.n, 4);
    assert_true(ph_imap_set_has(&s, 13, 15));
    assert_false(ph_imap_set_has(&s, 8, 15));
    assert_true(ph_imap_set_has(&s, 11, 10)); /* 12:* is 10:12 when "*" is 10 */
    const char *const bad[] = {"", "0", "1,", ",1", "1:", ":1", "a", "1:2:3", "4294967296", "1 2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ph_imap_set_parse(a, ph_str_c(bad[i]), &s), -PH_ESYNTAX);
    ph_arena_free(a);
}

/* ---- allocations that fail ------------------------------------------------------------------ */

static void serve_once(const struct ph_alloc *al)
{
    struct ph_imap_server_options o = {.struct_size = sizeof o, .secure = true};
    struct ph_imap_server *s = ph_imap_server_new(al, &o);
    struct ph_imap_server_event ev;
    if (!s)
        return;
    (void)ph_imap_server_ops.feed(
        s, PH_STR("a LOGIN \"x\\\"\" {1+}\r\ny\r\nb SELECT &Jjo-\r\nc FETCH 1:3,5 (FLAGS "
                  "BODY[HEADER.FIELDS (A B)])\r\n"
                  "d SEARCH OR FROM x NOT (TO y)\r\ne APPEND z (k) {3+}\r\nabc\r\n"));
    while (ph_imap_server_next(s, &ev) != PH_IMAP_SRV_NEED) {
        if (ev.kind == PH_IMAP_SRV_COMMAND && ev.command->verb == PH_IMAP_APPEND)
            ph_imap_server_accept(s);
        else if (ev.kind == PH_IMAP_SRV_COMMAND || ev.kind == PH_IMAP_SRV_DATA_END)
            ph_imap_server_done(s, PH_IMAP_OK, NULL, "x");
    }
    ph_imap_server_free(s);
}

static void ask_once(const struct ph_alloc *al)
{
    struct ph_imap_client_options o = {.struct_size = sizeof o, .secure = true};
    struct ph_imap_client *c = ph_imap_client_new(al, &o);
    struct ph_imap_client_event ev;
    if (!c)
        return;
    (void)ph_imap_client_login(c, PH_STR("u"), PH_STR("p\xc3\xa9"));
    (void)ph_imap_client_ops.feed(c,
                                  PH_STR("* OK hi\r\n* SEARCH 1 2\r\n* 1 FETCH (FLAGS (\\Seen k) "
                                         "ENVELOPE (NIL NIL ((NIL NIL \"a\" \"b\")) NIL NIL NIL "
                                         "NIL NIL NIL NIL) BODY[] {2}\r\nab BODY ((\"a\" \"b\" "
                                         "(\"c\" \"d\") NIL NIL \"7BIT\" 1) \"mixed\"))\r\n"));
    while (ph_imap_client_next(c, &ev) != PH_IMAP_NEED) {
    }
    ph_imap_client_free(c);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    for (long n = 0; n < 200; n++) {
        struct failing f = {.left = n};
        struct ph_alloc al = {.ctx = &f, .resize = failing_resize};
        serve_once(&al);
        assert_int_equal(f.live, 0);
        f.left = n;
        ask_once(&al);
        assert_int_equal(f.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(utf7), cmocka_unit_test(patterns),
                                       cmocka_unit_test(dates), cmocka_unit_test(sets),
                                       cmocka_unit_test(every_allocation_fails_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
