/* PLAIN and LOGIN: values and exchanges, right and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <posthouse/sasl.h>

#include <stdlib.h>
#include <string.h>

#define S(lit)                                                                                     \
    {                                                                                              \
        lit, sizeof(lit) - 1                                                                       \
    }

static void plain(void **state)
{
    (void)state;
    static const struct {
        ph_str in;
        int result;
        const char *authzid, *user, *password;
    } rows[] = {
        {S("\0a\0b"), 0, "", "a", "b"},
        {S("z\0a\0b"), 0, "z", "a", "b"},
        {S("\0\xc3\xa4\0\xe2\x82\xac"), 0, "", "\xc3\xa4", "\xe2\x82\xac"},
        {S(""), -PH_ESYNTAX, "", "", ""},
        {S("a"), -PH_ESYNTAX, "", "", ""},
        {S("a\0b"), -PH_ESYNTAX, "", "", ""},
        {S("\0\0b"), -PH_ESYNTAX, "", "", ""},
        {S("\0a\0"), -PH_ESYNTAX, "", "", ""},
        {S("\0a\0b\0c"), -PH_ESYNTAX, "", "", ""},
        {S("\0a\0\xff"), -PH_ESYNTAX, "", "", ""},
        {S("\0a\0\xc0\x80"), -PH_ESYNTAX, "", "", ""},
        {S("\0a\0\xed\xa0\x80"), -PH_ESYNTAX, "", "", ""},
        {S("\0a\0\xf4\x90\x80\x80"), -PH_ESYNTAX, "", "", ""},
        {S("\0a\0\xe2\x82"), -PH_ESYNTAX, "", "", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ph_str z = {0}, u = {0}, p = {0};
        assert_int_equal(ph_sasl_plain_decode(rows[i].in, &z, &u, &p), rows[i].result);
        assert_true(ph_str_eq(z, ph_str_c(rows[i].authzid)) &&
                    ph_str_eq(u, ph_str_c(rows[i].user)) &&
                    ph_str_eq(p, ph_str_c(rows[i].password)));
        struct ph_buf out;
        ph_buf_init(&out, NULL, 100);
        ph_sasl_plain_encode(&out, z, u, p);
        assert_true(rows[i].result < 0 || ph_str_eq(ph_buf_str(&out), rows[i].in));
        ph_buf_done(&out);
    }
}

static void too_long(void **state)
{
    (void)state;
    char *big = calloc(1, 3000);
    ph_str z, u, p;
    memset(big + 1, 'x', PH_SASL_USER_MAX);
    memset(big + 2 + PH_SASL_USER_MAX, 'y', PH_SASL_PASSWORD_MAX);
    assert_int_equal(ph_sasl_plain_decode(
                         (ph_str){big, 2 + PH_SASL_USER_MAX + PH_SASL_PASSWORD_MAX}, &z, &u, &p),
                     0);
    struct ph_sasl_server s;
    assert_int_equal(ph_sasl_server_init(&s, PH_STR("plain"), PH_SASL_PASSWORD, NULL), 0);
    assert_int_equal(
        ph_sasl_server_step(&s, (ph_str){big, 2 + PH_SASL_USER_MAX + PH_SASL_PASSWORD_MAX}, true),
        PH_SASL_DONE);
    big[2 + PH_SASL_USER_MAX + PH_SASL_PASSWORD_MAX] = 'y';
    assert_int_equal(ph_sasl_plain_decode(
                         (ph_str){big, 3 + PH_SASL_USER_MAX + PH_SASL_PASSWORD_MAX}, &z, &u, &p),
                     -PH_ESYNTAX);
    free(big);
}

/* steps: answers separated by '|'; "-" is none. The last result counts. */
static void exchanges(void **state)
{
    (void)state;
    static const struct {
        const char *mechanism, *steps;
        int result;
    } rows[] = {
        {"LOGIN", "-|a|b", PH_SASL_DONE}, {"login", "a|b", PH_SASL_DONE},
        {"LOGIN", "-", PH_SASL_MORE},     {"LOGIN", "-|", -PH_ESYNTAX},
        {"LOGIN", "a|", -PH_ESYNTAX},     {"PLAIN", "-", PH_SASL_MORE},
        {"PLAIN", "-|x", -PH_ESYNTAX},    {"PLAIN", "-|-", -PH_ESYNTAX},
        {"LOGIN", "-|-", -PH_ESYNTAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ph_sasl_server s;
        int r = ph_sasl_server_init(&s, ph_str_c(rows[i].mechanism), PH_SASL_PASSWORD, NULL);
        ph_str rest = ph_str_c(rows[i].steps);
        for (bool more = r == 0; more;) {
            size_t bar = ph_str_chr(rest, '|');
            ph_str one = ph_str_sub(rest, 0, bar);
            bool has = !ph_str_eq(one, PH_STR("-"));
            r = ph_sasl_server_step(&s, has ? one : (ph_str){0}, has);
            more = bar != PH_NPOS;
            rest = ph_str_skip(rest, bar == PH_NPOS ? rest.n : bar + 1);
        }
        assert_int_equal(r, rows[i].result);
        if (r == PH_SASL_DONE)
            assert_true(ph_str_eq(s.user, PH_STR("a")) && ph_str_eq(s.password, PH_STR("b")));
        ph_sasl_server_done(&s);
        assert_int_equal(s.secret[0], 0);
    }
    struct ph_sasl_server s;
    assert_int_equal(ph_sasl_server_init(&s, PH_STR("CRAM-MD5"), PH_SASL_PASSWORD, NULL),
                     -PH_ENOTIMPL);
    assert_int_equal(ph_sasl_server_init(&s, PH_STR("PLAIN"), PH_SASL_PASSWORD, NULL), 0);
    assert_int_equal(ph_sasl_server_step(&s, (ph_str)S("z\0a\0b"), true), -PH_EDENIED);
    assert_int_equal(ph_sasl_server_init(&s, PH_STR("PLAIN"), PH_SASL_PASSWORD, NULL), 0);
    assert_int_equal(ph_sasl_server_step(&s, (ph_str)S("A\0a\0b"), true), PH_SASL_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plain), cmocka_unit_test(too_long),
                                       cmocka_unit_test(exchanges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
