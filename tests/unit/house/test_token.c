/* token: which claims let in, which sets of keys are taken. Signatures: tests/e2e/test_identity.py,
 * with openssl's. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "token.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define GOOD "\"iss\":\"https://i\",\"aud\":\"us\",\"exp\":1060"

static const struct ph_token_rules by_email = {PH_STR_INIT("https://i"), PH_STR_INIT("us"),
                                               PH_STR_INIT("email")};
enum { NOW = 1000 };

static void claims(void **state)
{
    (void)state;
    static const struct {
        const char *json, *why; /* why NULL: a@a.test is in */
    } row[] = {
        {"{" GOOD ",\"email\":\"a@a.test\"}", NULL},
        {"{" GOOD ",\"email\":\"a@a.test\",\"email_verified\":true,\"nbf\":1059}", NULL},
        {"{" GOOD ",\"email\":\"a@a.test\",\"email_verified\":\"true\"}", NULL},
        {"{\"iss\":\"https://i\",\"aud\":[1,\"x\",\"us\"],\"exp\":941.5,\"email\":\"a@a.test\"}",
         NULL},
        {"{\"iss\":\"https://i\",\"aud\":[\"x\"],\"exp\":1060,\"email\":\"a@a.test\"}", "aud"},
        {"{\"iss\":\"https://i\",\"aud\":{\"us\":\"us\"},\"exp\":1060,\"email\":\"a@a.test\"}",
         "aud"},
        {"{\"iss\":[\"https://i\"],\"aud\":\"us\",\"exp\":1060,\"email\":\"a@a.test\"}", "iss"},
        {"{\"iss\":\"https://i\\u0000\",\"aud\":\"us\",\"exp\":1060,\"email\":\"a@a.test\"}",
         "not a JSON object"},
        {"{\"iss\":\"https://i\",\"aud\":\"us\",\"exp\":940,\"email\":\"a@a.test\"}", "expired"},
        {"{\"iss\":\"https://i\",\"aud\":\"us\",\"exp\":\"1060\",\"email\":\"a@a.test\"}", "when"},
        {"{" GOOD ",\"exp\":9999,\"email\":\"a@a.test\"}", "not a JSON object"},
        {"{" GOOD ",\"email\":\"a@a.test\",\"nbf\":1061}", "nbf"},
        {"{" GOOD ",\"email\":\"a@a.test\",\"email_verified\":false}", "verified"},
        {"{" GOOD ",\"email\":\"a@a.test\",\"email_verified\":1}", "verified"},
        {"{" GOOD ",\"mail\":\"a@a.test\"}", "no claim"},
        {"{" GOOD ",\"email\":[\"a@a.test\"]}", "no claim"},
        {"{" GOOD ",\"email\":\"\"}", "no claim"},
        {"[]", "not a JSON object"},
        {"{", "not a JSON object"},
        {"", "not a JSON object"},
    };
    struct ph_arena *arena = ph_arena_new(NULL, 65536);
    for (size_t i = 0; i < COUNT(row); i++) {
        ph_str name = {0};
        struct ph_error e = {0};
        int r = ph__token_claims(&by_email, ph_str_c(row[i].json), NOW, arena, &name, &e);
        if (r != (row[i].why ? -PH_EAUTH : 0) || (row[i].why && !strstr(e.text, row[i].why)))
            fail_msg("%s: %d %s", row[i].json, r, e.text);
        if (!row[i].why)
            assert_true(ph_str_eq(name, PH_STR("a@a.test")));
    }
    ph_arena_free(arena);
}

/* Only an email is said to be verified or not. */
static void another_claim(void **state)
{
    (void)state;
    struct ph_token_rules rules = by_email;
    struct ph_arena *arena = ph_arena_new(NULL, 65536);
    ph_str name = {0};
    rules.claim = PH_STR("upn");
    assert_int_equal(
        ph__token_claims(&rules, PH_STR("{" GOOD ",\"upn\":\"b@a.test\",\"email_verified\":false}"),
                         NOW, arena, &name, NULL),
        0);
    assert_true(ph_str_eq(name, PH_STR("b@a.test")));
    ph_arena_free(arena);
}

#define RSA "{\"kty\":\"RSA\",\"n\":\"1Wd\",\"e\":\"AQAB\"}"

static void keys(void **state)
{
    (void)state;
    static const struct {
        const char *json, *why;
    } row[] = {
        {"{\"keys\":[" RSA "]}", NULL},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"},{\"kty\":\"OKP\"},7," RSA "]}", NULL},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}", "no RSA or EC key"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"alg\":\"HS256\",\"n\":\"1Wd\",\"e\":\"AQAB\"}]}",
         "no RSA or EC key"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"1Wd\",\"e\":\"AQAB\"}]}",
         "no RSA or EC key"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}", "key 1 of the set is broken"},
        {"{\"keys\":[" RSA ",{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
         "key 2 of the set is broken"},
        {"{\"keys\":{}}", "not a set"},
        {RSA, "not a set"},
        {"keys", "not JSON"},
        {"", "not JSON"},
    };
    for (size_t i = 0; i < COUNT(row); i++) {
        struct ph_token_keys *k;
        struct ph_error e = {0};
        int r = ph_token_keys_read(ph_str_c(row[i].json), &k, &e);
        if (r != (row[i].why ? -PH_EINVAL : 0) || (row[i].why && !strstr(e.text, row[i].why)))
            fail_msg("%s: %d %s", row[i].json, r, e.text);
        assert_true(!k == (r < 0));
        ph_token_keys_free(k);
    }
}

static void too_many_keys(void **state)
{
    (void)state;
    struct ph_buf set;
    struct ph_token_keys *k;
    struct ph_error e = {0};
    ph_buf_init(&set, NULL, 65536);
    ph_buf_add(&set, PH_STR("{\"keys\":["));
    for (int i = 0; i < PH_TOKEN_KEYS; i++)
        ph_buf_add(&set, PH_STR(RSA ","));
    ph_buf_add(&set, PH_STR(RSA "]}"));
    assert_int_equal(ph_token_keys_read(ph_buf_str(&set), &k, &e), -PH_EINVAL);
    assert_non_null(strstr(e.text, "more than 64"));
    ph_buf_done(&set);
}

static void no_tokens(void **state)
{
    (void)state;
    struct ph_token_keys *k;
    struct ph_arena *arena = ph_arena_new(NULL, 65536);
    char longest[PH_TOKEN_MAX + 1];
    ph_str name;
    memset(longest, 'A', sizeof longest);
    assert_int_equal(ph_token_keys_read(PH_STR("{\"keys\":[" RSA "]}"), &k, NULL), 0);
    const ph_str bad[] = {
        PH_STR(""),
        PH_STR("."),
        PH_STR(".."),
        PH_STR("..."),
        PH_STR("a.b.c"),
        PH_STR("e30.e30.e30"),
        {longest, sizeof longest},
        PH_STR("eyJhbGciOiJub25lIn0.e30."),
        PH_STR("eyJhbGciOiJSUzI1NiJ9.e30.AAAA"),
        PH_STR("eyJhbGciOiJSUzI1NiJ9.e30.AAAA."),
        PH_STR("eyJhbGciOiJSUzI1NiJ9.e30.AAAAA"),
        /* libcjose ends the process over this one */
        PH_STR("eyJhbGciOiJSUzI1NiIsnR5cCI6ImF0uZSIsInR5cCI6ImRS2563d=aCJ9.e30.AAAA")};
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(ph_token_check(k, &by_email, bad[i], NOW, arena, &name, NULL), -PH_EAUTH);
    ph_token_keys_free(k);
    ph_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(claims), cmocka_unit_test(another_claim),
                                       cmocka_unit_test(keys), cmocka_unit_test(too_many_keys),
                                       cmocka_unit_test(no_tokens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
