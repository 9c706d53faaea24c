/* The reports to senders: what a reply means, and that nothing it holds can break the report. */
#include "dsn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void statuses(void **state)
{
    static const struct {
        const char *reply;
        enum ph_dsn_action action;
        const char *status;
    } rows[] = {{"550 5.1.1 no", PH_DSN_FAILED, "5.1.1"},
                {"550 no such user", PH_DSN_FAILED, "5.0.0"},
                {"450 later", PH_DSN_FAILED, "4.0.0"},
                {"450 4.2.0 grey", PH_DSN_EXPIRED, "4.2.0"},
                {"nobody answered", PH_DSN_EXPIRED, "4.4.7"},
                {"", PH_DSN_FAILED, "5.0.0"},
                {"550 5.1.1.1 odd", PH_DSN_FAILED, "5.0.0"},
                {"552 5.3.4", PH_DSN_FAILED, "5.3.4"},
                {"55", PH_DSN_FAILED, "5.0.0"},
                {"550 5.1234567890 x", PH_DSN_FAILED, "5.0.0"},
                {"450 4.2.0 grey", PH_DSN_DELAYED, "4.2.0"},
                {"", PH_DSN_DELAYED, "4.0.0"},
                {"", PH_DSN_DELIVERED, "2.1.5"},
                {"250 2.0.0 queued", PH_DSN_RELAYED, "2.0.0"},
                {"250 ok", PH_DSN_RELAYED, "2.1.9"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(ph_str_eq(ph_dsn_status(ph_str_c(rows[i].reply), rows[i].action),
                              ph_str_c(rows[i].status)));
}

static void reports_cannot_be_broken_by_what_they_hold(void **state)
{
    static const char *const letters[] = {"Subject: x\r\n\r\nbody", "", "no end",
                                          "Subject: \xff\xfe\r\n\r\n", "\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        struct ph_dsn_rcpt r[2] = {{.address = PH_STR("b@b.test\r\nX: y"),
                                    .reply = PH_STR("550 5.1.1 a\r\n--=_\r\nb\nc"),
                                    .mta = PH_STR("mx\r\n.b")},
                                   {.address = PH_STR("c@b.test"),
                                    .reply = PH_STR("451 \x01\x02"),
                                    .action = PH_DSN_EXPIRED}};
        struct ph_dsn b = {.hostname = PH_STR("mx.a.test"),
                           .id = PH_STR("1k0wefw9are"),
                           .to = PH_STR("a@a.test"),
                           .letter_id = PH_STR("1k0wefw9arf"),
                           .letter = ph_str_c(letters[i]),
                           .rcpts = r,
                           .n = 2,
                           .for_postmaster = i % 2};
        struct ph_buf out;
        uint32_t skip;
        ph_str id;
        ph_buf_init(&out, NULL, 1 << 20);
        assert_int_equal(ph_dsn_write(&b, &out, &skip, &id), 0);
        ph_str m = ph_buf_str(&out);
        assert_true(ph_str_eq(ph_str_sub(m, 0, skip), PH_STR("Return-Path: <>\r\n")));
        assert_true(ph_str_eq(id, PH_STR("<1k0wefw9are@mx.a.test>")));
        assert_int_equal(ph_str_find(m, PH_STR("\r\nX: y")), PH_NPOS);
        for (size_t k = 0; k < m.n; k++)
            assert_true((m.p[k] == '\n') == (k > 0 && m.p[k - 1] == '\r'));
        ph_buf_done(&out);
        ph_buf_init(&out, NULL, 500); /* no room */
        assert_true(ph_dsn_write(&b, &out, &skip, &id) < 0);
        ph_buf_done(&out);
    }
}

/* Five hundred of the longest addresses with the longest replies: what the queue can hold, and
 * everyone counted. */
static void reports_have_an_end(void **state)
{
    static struct ph_dsn_rcpt r[500];
    static char address[1000], reply[2048], more[64];
    (void)state;
    memset(address, 'a', sizeof address);
    memset(reply, '5', sizeof reply);
    for (size_t i = 0; i < sizeof reply; i += 100)
        reply[i] = '\n';
    for (size_t i = 0; i < 500; i++)
        r[i] = (struct ph_dsn_rcpt){.address = {address, sizeof address},
                                    .original = {address, sizeof address},
                                    .reply = {reply, sizeof reply},
                                    .mta = PH_STR("mx.b.test"),
                                    .last_try = 1};
    struct ph_dsn b = {.hostname = PH_STR("mx.a.test"),
                       .id = PH_STR("1k0wefw9are"),
                       .to = PH_STR("a@a.test"),
                       .letter_id = PH_STR("1k0wefw9arf"),
                       .rcpts = r,
                       .n = 500};
    struct ph_buf out;
    uint32_t skip;
    ph_str id;
    ph_buf_init(&out, NULL, 1 << 20);
    assert_int_equal(ph_dsn_write(&b, &out, &skip, &id), 0);
    ph_str rest = ph_buf_str(&out);
    size_t told = 0;
    for (size_t at; (at = ph_str_find(rest, PH_STR("Final-Recipient:"))) != PH_NPOS; told++)
        rest = ph_str_skip(rest, at + 1);
    snprintf(more, sizeof more, "and to %zu more.", 500 - told);
    assert_int_not_equal(told, 0);
    assert_int_not_equal(ph_str_find(ph_buf_str(&out), ph_str_c(more)), PH_NPOS);
    ph_buf_done(&out);
}

static void classes(void **state)
{
    static const struct {
        const char *reply, *class;
    } rows[] = {
        {"550 5.1.1 <x@y>: Recipient address rejected: User unknown in virtual mailbox table",
         "no-such-user"},
        {"550 No Such User Here", "no-such-user"},
        {"552 5.2.2 Over quota", "mailbox-full"},
        {"452 4.2.2 The email account that you tried to reach is over quota", "mailbox-full"},
        {"550 Mailbox full", "mailbox-full"},
        {"450 4.2.0 <x@y>: Recipient address rejected: Greylisted, see http://postgrey",
         "greylisted"},
        {"451 4.7.1 Greylisting in action, please come back later", "greylisted"},
        {"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
         "reputation"},
        {"550 5.7.1 Our system has detected an unusual rate; poor domain reputation", "reputation"},
        {"550 5.7.26 This mail has been blocked because the sender is unauthenticated", "policy"},
        {"552 5.3.4 Message size exceeds fixed limit", "too-large"},
        {"552 message too large", "too-large"},
        {"421 4.7.0 Too many connections from your host", "rate"},
        {"550 5.7.1 Access denied", "policy"},
        {"550 5.1.2 no such domain", "dns"},
        {"556 5.1.10 takes no mail", "no-mail"},
        {"554 5.4.6 Too many hops", "loop"},
        {"no server could be reached", "other"},
        {"4.4.1 connection refused", "unreachable"},
        {"530 5.7.0 Must issue a STARTTLS command first", "tls"},
        {"550 no", "other"},
        {"", "other"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *advice = NULL;
        assert_string_equal(ph_dsn_class(ph_str_c(rows[i].reply), PH_DSN_FAILED, &advice),
                            rows[i].class);
        assert_true(advice && advice[0]);
    }
}

/* Each kind has its own word in both parts, and returns what it should. */
static void kinds(void **state)
{
    static const struct {
        enum ph_dsn_action action;
        const char *field, *sentence;
    } rows[] = {
        {PH_DSN_FAILED, "Action: failed", "could not be delivered to"},
        {PH_DSN_DELAYED, "Action: delayed", "It is tried again until Thu, 1 Jan 1970 00:00:09"},
        {PH_DSN_DELIVERED, "Action: delivered", "was delivered to"},
        {PH_DSN_RELAYED, "Action: relayed", "sends no such reports"},
        {PH_DSN_EXPANDED, "Action: expanded", "those who stand behind"}};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        bool whole = i % 2;
        struct ph_dsn_rcpt r = {.action = rows[i / 2].action,
                                .address = PH_STR("b@b.test"),
                                .original = PH_STR("rfc822;B@b.test")};
        struct ph_dsn d = {.hostname = PH_STR("mx.a.test"),
                           .id = PH_STR("1k0wefw9are"),
                           .to = PH_STR("a@a.test"),
                           .envid = PH_STR("QQ314159"),
                           .letter_id = PH_STR("1k0wefw9arf"),
                           .letter = PH_STR("Subject: x\r\n\r\nthe body\r\n"),
                           .whole = whole,
                           .until = 9000000,
                           .rcpts = &r,
                           .n = 1};
        struct ph_buf out;
        uint32_t skip;
        ph_str id;
        ph_buf_init(&out, NULL, 1 << 20);
        assert_int_equal(ph_dsn_write(&d, &out, &skip, &id), 0);
        ph_str m = ph_buf_str(&out);
        assert_int_not_equal(ph_str_find(m, ph_str_c(rows[i / 2].field)), PH_NPOS);
        assert_int_not_equal(ph_str_find(m, ph_str_c(rows[i / 2].sentence)), PH_NPOS);
        assert_int_not_equal(ph_str_find(m, PH_STR("Original-Envelope-Id: QQ314159\r\n")), PH_NPOS);
        assert_int_not_equal(ph_str_find(m, PH_STR("Original-Recipient: rfc822;B@b.test\r\n")),
                             PH_NPOS);
        assert_int_equal(ph_str_find(m, PH_STR("the body")) != PH_NPOS, whole);
        assert_int_equal(ph_str_find(m, PH_STR("message/rfc822\r\n")) != PH_NPOS, whole);
        assert_int_equal(ph_str_find(m, PH_STR("Will-Retry-Until:")) != PH_NPOS,
                         r.action == PH_DSN_DELAYED);
        ph_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(classes),
        cmocka_unit_test(kinds),
        cmocka_unit_test(reports_cannot_be_broken_by_what_they_hold),
        cmocka_unit_test(reports_have_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
