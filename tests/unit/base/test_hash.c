/* Hashes: vectors that others published, and OpenSSL's SipHash for every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "hash.h"

static void fnv_vectors(void **state)
{
    (void)state;
    assert_true(ph_hash_fixed((ph_str){0}) == UINT64_C(0xcbf29ce484222325));
    assert_true(ph_hash_fixed(PH_STR("a")) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(ph_hash_fixed(PH_STR("foobar")) == UINT64_C(0x85944171f73967e8));
    assert_true(ph_hash_fixed_nocase(PH_STR("FooBar")) == UINT64_C(0x85944171f73967e8));
    assert_true(ph_hash_fixed_nocase(PH_STR("@[`{")) == ph_hash_fixed(PH_STR("@[`{")));
}

static uint64_t theirs(EVP_MAC_CTX *c, const unsigned char key[16], const char *text, size_t n)
{
    size_t size = 8, got = 0;
    unsigned char out[8];
    OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                           OSSL_PARAM_construct_end()};
    assert_int_equal(EVP_MAC_init(c, key, 16, params), 1);
    assert_int_equal(EVP_MAC_update(c, (const unsigned char *)text, n), 1);
    assert_int_equal(EVP_MAC_final(c, out, &got, sizeof out), 1);
    assert_int_equal(got, 8);
    uint64_t v = 0;
    for (size_t i = 8; i-- > 0;)
        v = v << 8 | out[i];
    return v;
}

static void siphash_of_every_length(void **state)
{
    (void)state;
    unsigned char key[16];
    char text[300];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    const struct ph_hash_key ours = {{UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};
    assert_true(ph_hash(&ours, (ph_str){text, 15}) == UINT64_C(0xa129ca6149be45e5));
    assert_true(ph_hash(&ours, (ph_str){0}) == ph_hash(&ours, PH_STR("")));
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *c = mac ? EVP_MAC_CTX_new(mac) : NULL;
    assert_non_null(c);
    for (size_t n = 0; n <= sizeof text; n++)
        assert_true(ph_hash(&ours, (ph_str){text, n}) == theirs(c, key, text, n));
    EVP_MAC_CTX_free(c);
    EVP_MAC_free(mac);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fnv_vectors),
                                       cmocka_unit_test(siphash_of_every_length)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
