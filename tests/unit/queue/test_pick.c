/* Conditions on recipients: what is read, and who is meant. */
#include "pick.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOUR (INT64_C(3600) * 1000000)
static const int64_t now = 1000000 * HOUR;

static const struct ph_spool_letter letter = {
    .qid = 12345, .received = 1000000 * HOUR - 3 * HOUR, .sender = {"alice@A.test", 12}};
static const struct ph_spool_rcpt rcpt = {.address = {"Bob@b.TEST", 10},
                                          .dest = {"b.test", 6},
                                          .next_try = 1000000 * HOUR + HOUR,
                                          .reply = {"450 4.2.2 Mailbox Full, sorry", 29}};

static void who_is_meant(void **state)
{
    static const struct {
        const char *text;
        bool meant;
    } rows[] = {
        {"all", true},
        {"", true},
        {"Bob@B.test", true},
        {"<Bob@b.test>", true},
        {"bob@b.test", false}, /* local parts have case (RFC 5321 2.4) */
        {"@b.test", true},
        {"@B.TEST", true},
        {"@a.test", false},
        {"from:alice@a.test", true},
        {"from:<alice@a.test>", true},
        {"from:@a.test", true},
        {"from:@b.test", false},
        {"from:", false}, /* the null sender */
        {"older:2h", true},
        {"older:180min", true},
        {"older:4h", false},
        {"newer:4h", true},
        {"newer:2h", false},
        {"older:2h\nnewer:4h", true},
        {"older:2h\n@a.test", false},
        {"reason:mailbox full", true},
        {"reason:sorry", true},
        {"reason:mailbox-full", true},
        {"reason:greylisted", false},
        {"state:waiting", true},
        {"state:held", false},
        {"state:under-way", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ph_pick p;
        assert_int_equal(ph_pick_read(ph_str_c(rows[i].text), &p, NULL), 0);
        assert_int_equal(ph_pick_is_empty(&p), !rows[i].text[0]);
        if ((ph_pick_letter(&p, &letter, now) && ph_pick_rcpt(&p, &rcpt)) != rows[i].meant)
            fail_msg("%s", rows[i].text);
    }
}

static void what_is_no_condition(void **state)
{
    static const char *const rows[] = {
        "nonsense", "@",        "older:", "older:x",
        "older:0s", "newer:-1", "state:", "state:asleep",
        "reason:",  "from:@",   "all\nx", "older:99999999999999999999h"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ph_pick p;
        struct ph_error err = {0};
        if (ph_pick_read(ph_str_c(rows[i]), &p, &err) != -PH_EINVAL)
            fail_msg("%s", rows[i]);
        assert_true(err.text[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(who_is_meant),
                                       cmocka_unit_test(what_is_no_condition)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
