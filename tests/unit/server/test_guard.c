/* Rates and bans: a clock that the test turns, tables of what is taken when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf.h"
#include "guard.h"
#include "proxy.h"
#include "sock.h"
#include <stdio.h>
#include <string.h>

static const int64_t minute = 60 * 1000;

static struct guard *guard(struct ph_conf *conf)
{
    struct guard *g = guard_new();
    assert_non_null(g);
    guard_settings(g, conf);
    return g;
}

static struct guard_who who(const char *address)
{
    return (struct guard_who){{[GUARD_ADDRESS] = ph_str_c(address)}};
}

static void rates(void **state)
{
    (void)state;
    struct ph_conf *conf = ph_conf_new();
    conf->rate_letters = 10;
    conf->rate_sender_letters = 3;
    struct guard *g = guard(conf);
    struct guard_who a = who("192.0.2.1"), b = who("192.0.2.2");
    for (int i = 0; i < 10; i++)
        assert_null(guard_take(g, 1000, GUARD_LETTER, &a, 1));
    assert_non_null(guard_take(g, 1000, GUARD_LETTER, &a, 1));
    assert_null(guard_take(g, 1000, GUARD_LETTER, &b, 1));
    /* It leaks evenly: a tenth of the window gives room for one. */
    assert_non_null(guard_take(g, 1000 + minute / 10 - 100, GUARD_LETTER, &a, 1));
    assert_null(guard_take(g, 1000 + minute / 10 + 1, GUARD_LETTER, &a, 1));
    assert_non_null(guard_take(g, 1000 + minute / 10 + 1, GUARD_LETTER, &a, 1));
    assert_null(guard_take(g, 1000 + 2 * minute, GUARD_LETTER, &a, 10));
    /* The scopes that are given count, and all or none of them. */
    a.name[GUARD_SENDER] = PH_STR("x@y");
    assert_non_null(guard_take(g, 1000 + 10 * minute, GUARD_LETTER, &a, 4));
    assert_null(guard_take(g, 1000 + 10 * minute, GUARD_LETTER, &a, 3));
    assert_non_null(guard_take(g, 1000 + 10 * minute, GUARD_LETTER, &a, 1));
    assert_null(guard_take(g, 1000 + 10 * minute, GUARD_LETTER, &(struct guard_who){0}, 1000));
    assert_null(guard_take(g, 1000, GUARD_RECIPIENT, &a, 1000));
    /* 0: no limit. */
    conf->rate_letters = conf->rate_sender_letters = 0;
    guard_settings(g, conf);
    assert_null(guard_take(g, 1000, GUARD_LETTER, &a, 1000000));
    guard_free(g);
    ph_conf_free(conf);
}

static void bans(void **state)
{
    (void)state;
    struct ph_conf *conf = ph_conf_new();
    conf->rate_errors = 5;
    conf->ban_time = 10 * minute;
    conf->ban_most = 30 * minute;
    struct guard *g = guard(conf);
    struct guard_who a = who("192.0.2.1"), b = who("192.0.2.2");
    int64_t now = 1000;
    static const int64_t lengths[] = {10, 20, 30, 30}; /* minutes */
    for (size_t i = 0; i < 4; i++) {
        assert_false(guard_note(g, now, GUARD_ERROR, &a, 5));
        assert_int_equal(guard_banned(g, now, &a), 0);
        assert_true(guard_note(g, now, GUARD_ERROR, &a, 1));
        assert_int_equal(guard_banned(g, now, &a), lengths[i] * minute);
        assert_int_equal(guard_banned(g, now, &b), 0);
        assert_int_equal(guard_banned(g, now, &(struct guard_who){0}), 0);
        now += lengths[i] * minute;
        assert_int_equal(guard_banned(g, now, &a), 0);
    }
    /* Good behaviour makes the next one short again. */
    now += 10 * 24 * 60 * minute;
    assert_true(guard_note(g, now, GUARD_ERROR, &a, 6));
    assert_int_equal(guard_banned(g, now, &a), 10 * minute);
    /* Another process's ban: it never shortens one, and the next is twice as long. */
    guard_ban(g, now, ph_str_c("192.0.2.1"), 5 * minute);
    assert_int_equal(guard_banned(g, now, &a), 10 * minute);
    guard_ban(g, now, ph_str_c("192.0.2.2"), 12 * minute);
    assert_int_equal(guard_banned(g, now, &b), 12 * minute);
    assert_true(guard_note(g, now + 12 * minute, GUARD_ERROR, &b, 6));
    assert_int_equal(guard_banned(g, now + 12 * minute, &b), 24 * minute);
    guard_free(g);
    ph_conf_free(conf);
}

/* A million strangers take no memory, and do not make a ban forgotten. */
static void crowds(void **state)
{
    (void)state;
    struct ph_conf *conf = ph_conf_new();
    struct guard *g = guard(conf);
    struct guard_who bad = who("203.0.113.7");
    char name[32];
    assert_true(guard_note(g, 1000, GUARD_ERROR, &bad, 1000));
    for (int i = 0; i < 1000000; i++) {
        snprintf(name, sizeof name, "10.%d.%d.%d", i >> 16 & 255, i >> 8 & 255, i & 255);
        struct guard_who one = who(name);
        assert_null(guard_take(g, 1000 + i / 1000, GUARD_CONNECTION, &one, 1));
    }
    assert_true(guard_banned(g, 2000, &bad) > 0);
    guard_free(g);
    ph_conf_free(conf);
}

static void networks(void **state)
{
    (void)state;
    static const struct {
        const char *range, *address;
        bool has;
    } rows[] = {
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"0.0.0.0/0", "1.2.3.4", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"2001:db8::/32", "2001:db8:ff::", true},
        {"2001:db8::/32", "2001:db9::", false},
        {"::1", "::1", true},
        {"192.0.2.0/24", "::ffff:192.0.2.7", true},
        {"::/0", "192.0.2.1", true},
        {"10.0.0.0/9", "10.127.0.1", true},
        {"10.0.0.0/9", "10.128.0.1", false},
    };
    struct ph_ip_range r;
    struct ph_addr a;
    char text[64];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(ph_ip_range_parse(ph_str_c(rows[i].range), &r), 0);
        assert_int_equal(ph_addr_make(ph_str_c(rows[i].address), 1, &a), 0);
        assert_int_equal(ph_ip_range_has(&r, &a), rows[i].has);
    }
    static const char *const bad[] = {"",           "x",  "192.0.2.0/33", "::/129",
                                      "192.0.2.0/", "/8", "::1/x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ph_ip_range_parse(ph_str_c(bad[i]), &r), -PH_EINVAL);
    assert_int_equal(ph_addr_make(PH_STR("192.0.2.77"), 1, &a), 0);
    assert_string_equal(ph_ip_range_around(&a, 24, 64, text, sizeof text), "192.0.2.0/24");
    assert_int_equal(ph_addr_make(PH_STR("::ffff:192.0.2.77"), 1, &a), 0);
    assert_string_equal(ph_ip_range_around(&a, 32, 64, text, sizeof text), "192.0.2.77/32");
    assert_int_equal(ph_addr_make(PH_STR("2001:db8:1:2:3::4"), 1, &a), 0);
    assert_string_equal(ph_ip_range_around(&a, 24, 64, text, sizeof text), "2001:db8:1:2::/64");
}

/* Every beginning of a header asks for more; the whole one says who it is. */
static void proxies(void **state)
{
    (void)state;
#define V2 "\r\n\r\n\0\r\nQUIT\n"
    static const struct {
        ph_str head;
        const char *client; /* NULL: not a header; "": the balancer itself */
    } rows[] = {
        {PH_STR_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n"), "192.0.2.1:56324"},
        {PH_STR_INIT("PROXY TCP6 2001:db8::1 ::1 1 25\r\n"), "[2001:db8::1]:1"},
        {PH_STR_INIT("PROXY UNKNOWN\r\n"), ""},
        {PH_STR_INIT("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), ""},
        {PH_STR_INIT("PROXY TCP4 2001:db8::1 ::1 1 25\r\n"), NULL},
        {PH_STR_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n"), NULL},
        {PH_STR_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 66000 25\r\n"), NULL},
        {PH_STR_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 56324 25 26\r\n"), NULL},
        {PH_STR_INIT("EHLO x\r\n"), NULL},
        {PH_STR_INIT(V2 "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xdc\4\0\x19"), "192.0.2.1:56324"},
        {PH_STR_INIT(V2 "\x21\x11\0\x0f\xc0\0\2\1\xc0\0\2\2\xdc\4\0\x19TLV"), "192.0.2.1:56324"},
        {PH_STR_INIT(V2 "\x20\0\0\0"), ""},
        {PH_STR_INIT(V2 "\x21\x31\0\2xx"), ""},
        {PH_STR_INIT(V2 "\x21\x11\0\4\xc0\0\2\1"), NULL},
        {PH_STR_INIT(V2 "\x31\x11\0\4\xc0\0\2\1"), NULL},
        {PH_STR_INIT(V2 "\x21\x11\xff\xff\xc0\0\2\1"), NULL},
    };
    struct ph_addr a;
    size_t n;
    char text[80];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char bytes[200];
        memcpy(bytes, rows[i].head.p, rows[i].head.n);
        memcpy(bytes + rows[i].head.n, "EHLO", 4); /* what follows is not looked at */
        int r = proxy_parse((ph_str){bytes, rows[i].head.n + 4}, &a, &n);
        assert_int_equal(r, rows[i].client ? 1 : -PH_ESYNTAX);
        if (!rows[i].client)
            continue;
        assert_int_equal(n, rows[i].head.n);
        assert_string_equal(a.len ? ph_addr_text(&a, text, sizeof text) : "", rows[i].client);
        for (size_t part = 1; part < rows[i].head.n; part++)
            assert_int_equal(proxy_parse(ph_str_sub(rows[i].head, 0, part), &a, &n), 0);
    }
    memset(text, 'x', sizeof text);
    assert_int_equal(proxy_parse((ph_str){text, sizeof text}, &a, &n), -PH_ESYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rates), cmocka_unit_test(bans),
                                       cmocka_unit_test(crowds), cmocka_unit_test(networks),
                                       cmocka_unit_test(proxies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
