/* os/pack: what comes out is what went in, and what is not packed is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pack.h"

enum { ROOM = 4 * PH_PACK_MOST };

/* Compressible, and nowhere the same. */
static char *text(size_t n)
{
    char *p = malloc(n + 1);
    assert_non_null(p);
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        p[i] = (char)('a' + (x >> 28));
    }
    return p;
}

static void there_and_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {PH_PACK_LEAST, PH_PACK_LEAST + 1, 20000, PH_PACK_MOST};
    static const size_t plain[] = {0, 1, 300, PH_PACK_LEAST / 2};
    struct ph_packer *packer = ph_packer_new();
    assert_non_null(packer);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof plain / sizeof *plain; k++) {
            struct ph_buf packed, out;
            ph_buf_init(&packed, NULL, ROOM);
            ph_buf_init(&out, NULL, ROOM);
            char *letter = text(sizes[i]);
            ph_str whole = {letter, sizes[i]};
            ph_buf_add(&packed, PH_STR("in front"));
            assert_int_equal(ph_pack(packer, whole, plain[k], &packed), 1);
            ph_str body = ph_str_skip(ph_buf_str(&packed), 8);
            assert_true(body.n < whole.n - whole.n / 16);
            assert_memory_equal(body.p + PH_PACK_LEAD, letter, plain[k]);
            assert_int_equal(ph_unpack(packer, body, whole.n, &out), 0);
            assert_true(ph_str_eq(ph_buf_str(&out), whole));
            free(letter);
            ph_buf_done(&packed);
            ph_buf_done(&out);
        }
    ph_packer_free(packer);
}

static void left_as_it_is(void **state)
{
    (void)state;
    struct ph_packer *packer = ph_packer_new();
    struct ph_buf packed;
    char *letter = text(PH_PACK_MOST + 1);
    uint32_t x = 1;
    ph_buf_init(&packed, NULL, ROOM);
    assert_int_equal(ph_pack(packer, (ph_str){letter, PH_PACK_LEAST - 1}, 0, &packed), 0);
    assert_int_equal(ph_pack(packer, (ph_str){letter, PH_PACK_MOST + 1}, 0, &packed), 0);
    assert_int_equal(ph_pack(packer, (ph_str){letter, PH_PACK_MOST}, PH_PACK_PLAIN + 1, &packed),
                     0);
    for (size_t i = 0; i < PH_PACK_MOST; i++) {
        x = x * 1664525 + 1013904223;
        letter[i] = (char)(x >> 24); /* noise */
    }
    assert_int_equal(ph_pack(packer, (ph_str){letter, PH_PACK_MOST}, 100, &packed), 0);
    assert_int_equal(packed.n, 0);
    free(letter);
    ph_buf_done(&packed);
    ph_packer_free(packer);
    assert_null(ph_packer_free(NULL));
}

/* Cut anywhere, with a byte changed anywhere, with another size: refused, or of the size given. */
static void damaged(void **state)
{
    (void)state;
    struct ph_packer *packer = ph_packer_new();
    struct ph_buf packed, out;
    char *letter = text(PH_PACK_LEAST);
    ph_str whole = {letter, PH_PACK_LEAST};
    ph_buf_init(&packed, NULL, ROOM);
    ph_buf_init(&out, NULL, ROOM);
    assert_int_equal(ph_pack(packer, whole, 200, &packed), 1);
    for (size_t n = 0; n < packed.n; n++)
        assert_int_equal(ph_unpack(packer, (ph_str){packed.p, n}, whole.n, &out), -PH_ECORRUPT);
    static const uint64_t sizes[] = {
        0, 1, PH_PACK_LEAST - 1, PH_PACK_LEAST + 1, PH_PACK_MOST, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(ph_unpack(packer, ph_buf_str(&packed), sizes[i], &out), -PH_ECORRUPT);
    assert_int_equal(out.n, 0);
    for (size_t i = 0; i < packed.n; i++) {
        packed.p[i] ^= 0x55;
        int err = ph_unpack(packer, ph_buf_str(&packed), whole.n, &out);
        assert_true(err == -PH_ECORRUPT ? out.n == 0 : err == 0 && out.n == whole.n);
        ph_buf_clear(&out);
        packed.p[i] ^= 0x55;
    }
    free(letter);
    ph_buf_done(&packed);
    ph_buf_done(&out);
    ph_packer_free(packer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(left_as_it_is), cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
