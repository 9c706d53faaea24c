/* os/sock: addresses and sockets on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "sock.h"

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; /* out NULL: refused */
    } row[] = {
        {"127.0.0.1:2525", "127.0.0.1:2525"},
        {"[::1]:25", "[::1]:25"},
        {"*:25", "[::]:25"},
        {"[::ffff:1.2.3.4]:9", "1.2.3.4:9"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"127.0.0.1", NULL},
        {"127.0.0.1:65536", NULL},
        {"::1:25", NULL},
        {"localhost:25", NULL},
        {":25", NULL},
        {"[]:25", NULL},
        {"127.0.0.1:", NULL},
        {"127.0.0.1:x", NULL},
        {"", NULL},
        {"[::1]25", NULL},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct ph_addr a;
        struct ph_error e = {0};
        char text[64];
        int rc = ph_addr_parse(ph_str_c(row[i].in), &a, &e);
        assert_int_equal(rc, row[i].out ? 0 : -PH_ESYNTAX);
        if (row[i].out)
            assert_string_equal(ph_addr_text(&a, text, sizeof text), row[i].out);
        else
            assert_non_null(strstr(e.text, row[i].in));
    }
    struct ph_addr a;
    char ip[64];
    assert_int_equal(ph_addr_make(PH_STR("127.0.0.1\0"), 1, &a), -PH_EINVAL);
    assert_int_equal(ph_addr_make(PH_STR("::1"), 70000, &a), -PH_EINVAL);
    assert_int_equal(ph_addr_make(PH_STR("::1"), 7, &a), 0);
    assert_string_equal(ph_addr_ip(&a, ip, sizeof ip), "::1");
}

static void loopback(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        bool is;
    } row[] = {
        {"127.0.0.1", true},
        {"127.255.255.254", true},
        {"::1", true},
        {"::ffff:127.9.8.7", true},
        {"128.0.0.1", false},
        {"126.255.255.255", false},
        {"0.0.0.0", false},
        {"10.127.0.1", false},
        {"::", false},
        {"::2", false},
        {"::ffff:10.0.0.1", false},
        {"::127.0.0.1", false},
        {"fe80::1", false},
        {"2001:db8::127.0.0.1", false},
    };
    struct ph_addr a;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        assert_int_equal(ph_addr_make(ph_str_c(row[i].ip), 1, &a), 0);
        assert_int_equal(ph_addr_is_loopback(&a), row[i].is);
    }
    assert_false(ph_addr_is_loopback(&(struct ph_addr){.sa.ss_family = AF_UNIX}));
    int pair[2];
    assert_int_equal(ph_socketpair(pair), 0);
    assert_false(ph_sock_is_loopback(pair[0]));
    close(pair[0]);
    close(pair[1]);
    assert_false(ph_sock_is_loopback(-1));
}

static void wait_for(int fd, short what)
{
    struct pollfd p = {.fd = fd, .events = what};
    assert_int_equal(poll(&p, 1, 5000), 1);
}

static void bound(int fd, struct ph_addr *ret)
{
    ret->len = sizeof ret->sa;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&ret->sa, &ret->len), 0);
}

static void connecting(void **state)
{
    (void)state;
    struct ph_addr a, peer, from;
    struct ph_error e;
    char ip[64];
    assert_int_equal(ph_addr_parse(PH_STR("127.0.0.1:0"), &a, &e), 0);
    int l = ph_listen(&a, 16, &e);
    assert_true(l >= 0);
    bound(l, &a);
    assert_int_equal(ph_accept(l, &peer), -PH_EAGAIN);
    assert_int_equal(ph_listen(&a, 16, &e), -PH_EINUSE);
    assert_non_null(strstr(e.text, "in use by another program"));
    assert_int_equal(ph_addr_make(PH_STR("127.0.0.9"), 0, &from), 0);
    int c = ph_connect(&a, &from, &e);
    assert_true(c >= 0);
    wait_for(c, POLLOUT);
    assert_int_equal(ph_connect_result(c, &a, &e), 0);
    wait_for(l, POLLIN);
    int s = ph_accept(l, &peer);
    assert_true(s >= 0);
    assert_string_equal(ph_addr_ip(&peer, ip, sizeof ip), "127.0.0.9");
    assert_true(ph_sock_is_loopback(s) && ph_sock_is_loopback(c));
    assert_false(ph_sock_is_loopback(l)); /* not connected */
    close(s);
    close(c);
    close(l);
    c = ph_connect(&a, NULL, &e); /* nobody listens now */
    if (c >= 0) {
        wait_for(c, POLLOUT);
        assert_int_equal(ph_connect_result(c, &a, &e), -PH_EREFUSED);
        assert_non_null(strstr(e.text, "is the server running?"));
        close(c);
    }
    assert_int_equal(ph_addr_parse(PH_STR("192.0.2.1:2525"), &a, &e), 0);
    assert_int_equal(ph_listen(&a, 16, &e), -PH_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(loopback),
        cmocka_unit_test(connecting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
