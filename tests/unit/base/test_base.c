/* base: slices, buffers, arenas, base64, and every allocation failing once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "b64.h"
#include "failing.h"
#include "grow.h"

static void slices(void **state)
{
    (void)state;
    assert_true(ph_str_ieq(PH_STR("HeLO"), PH_STR("hElo")));
    assert_false(ph_str_eq(PH_STR("a"), PH_STR("ab")));
    assert_int_equal(ph_str_find(PH_STR("aaab"), PH_STR("aab")), 1);
    assert_int_equal(ph_str_find(PH_STR("ab"), PH_STR("abc")), PH_NPOS);
    assert_int_equal(ph_str_find(PH_STR("abab"), PH_STR("bb")), PH_NPOS);
    assert_int_equal(ph_str_ifind(PH_STR("xxFoO"), PH_STR("foo")), 2);
    assert_int_equal(ph_str_rchr(PH_STR("a.b.c"), '.'), 3);
    ph_str rest = PH_STR("a,,b"), t;
    assert_true(ph_str_token(&rest, ',', &t) && t.n == 1);
    assert_true(ph_str_token(&rest, ',', &t) && t.n == 0);
    assert_true(ph_str_token(&rest, ',', &t) && t.p[0] == 'b');
    assert_false(ph_str_token(&rest, ',', &t));
    uint64_t v;
    assert_true(ph_str_u64(PH_STR("18446744073709551615"), UINT64_MAX, &v) && v == UINT64_MAX);
    assert_false(ph_str_u64(PH_STR("18446744073709551616"), UINT64_MAX, &v));
    assert_false(ph_str_u64(PH_STR(""), UINT64_MAX, &v));
    assert_false(ph_str_u64(PH_STR("+1"), UINT64_MAX, &v));
    assert_true(ph_str_trim(PH_STR(" \r\n\t")).n == 0);
    assert_true(ph_str_cmp(PH_STR("a"), PH_STR("ab")) < 0);
}

static void buffers_keep_their_maximum(void **state)
{
    (void)state;
    for (size_t max = 0; max < 300; max++) {
        struct ph_buf b;
        ph_buf_init(&b, NULL, max);
        for (int i = 0; i < 400; i++)
            ph_buf_addc(&b, 'x');
        assert_int_equal(b.n, max);
        assert_int_equal(ph_buf_err(&b), -PH_ELIMIT);
        ph_buf_clear(&b);
        ph_buf_addf(&b, "%0*d", (int)(max ? max : 1), 7);
        assert_int_equal(ph_buf_err(&b), max ? 0 : -PH_ELIMIT);
        ph_buf_clear(&b);
        ph_buf_addf(&b, "%0*d", (int)max + 1, 7);
        assert_int_equal(ph_buf_err(&b), -PH_ELIMIT);
        ph_buf_done(&b);
    }
}

static void base64_both_ways(void **state)
{
    (void)state;
    char bytes[64];
    for (size_t n = 0; n < sizeof bytes; n++) {
        bytes[n] = (char)(n * 37 + 250);
        struct ph_buf e, d;
        ph_buf_init(&e, NULL, 200);
        ph_buf_init(&d, NULL, 200);
        ph_b64_encode(&e, (ph_str){bytes, n});
        assert_int_equal(ph_b64_decode(&d, ph_buf_str(&e)), 0);
        assert_true(ph_str_eq(ph_buf_str(&d), (ph_str){bytes, n}));
        ph_buf_done(&e);
        ph_buf_done(&d);
    }
    static const char *const bad[] = {"A",    "AA=A", "A===",     "AAA",
                                      "AB==", "AAB=", "AA==AAAA", "A A="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ph_buf d;
        ph_buf_init(&d, NULL, 200);
        assert_int_equal(ph_b64_decode(&d, ph_str_c(bad[i])), -PH_ESYNTAX);
        assert_int_equal(d.n, 0);
        ph_buf_done(&d);
    }
}

/* A unit of work that uses everything; returns whether all of it succeeded. */
static bool work(const struct ph_alloc *al)
{
    struct ph_arena *a = ph_arena_new(al, 100000);
    if (!a)
        return false;
    struct ph_buf b;
    ph_buf_init(&b, al, 5000);
    struct ph_mark m = ph_arena_mark(a);
    bool ok = true;
    for (int i = 0; i < 20; i++) {
        ok &= ph_arena_printf(a, "%0*d", i * 100, i).p != NULL;
        ok &= ph_arena_copy(a, PH_STR("twice")).p != NULL;
        ph_buf_addf(&b, "%d,", i * 1000);
    }
    ok &= ph_buf_err(&b) == 0;
    ph_arena_back(a, m);
    ok &= ph_arena_used(a) == 0;
    ph_buf_done(&b);
    ph_arena_free(a);
    return ok;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct failing f = {.left = n};
        struct ph_alloc al = {&f, failing_resize};
        bool ok = work(&al);
        assert_int_equal(f.live, 0);
        if (ok) {
            assert_true(n > 3);
            return;
        }
    }
}

static void arenas_keep_their_maximum(void **state)
{
    (void)state;
    struct ph_arena *a = ph_arena_new(NULL, 4096);
    int got = 0;
    while (ph_arena_get(a, 100))
        got++;
    assert_in_range(got, 30, 40);
    assert_null(ph_arena_get(a, SIZE_MAX));
    assert_null(ph_arena_array(a, SIZE_MAX, 2));
    ph_arena_free(a);
}

static void arrays_grow(void **state)
{
    (void)state;
    struct ph_arena *a = ph_arena_new(NULL, 1 << 20);
    uint32_t *v = NULL, *w = NULL;
    size_t n = 0, cap = 0, w_cap = 0;
    for (; n < 1000; n++) {
        v = ph_grow(v, n, &cap, sizeof *v);
        w = ph_grow_in(a, w, n, &w_cap, sizeof *w);
        assert_non_null(v);
        assert_non_null(w);
        assert_true(cap > n && w_cap > n && cap <= 2 * n + 4);
        v[n] = w[n] = (uint32_t)n;
    }
    for (uint32_t i = 0; i < n; i++)
        assert_true(v[i] == i && w[i] == i);
    size_t full = SIZE_MAX / 2; /* what cannot be had leaves all as it was */
    assert_null(ph_grow(v, full, &full, sizeof *v));
    assert_int_equal(full, SIZE_MAX / 2);
    size_t room = 200000;
    assert_null(ph_grow_in(a, w, room, &room, sizeof *w));
    assert_int_equal(room, 200000);
    free(v);
    ph_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices),
        cmocka_unit_test(buffers_keep_their_maximum),
        cmocka_unit_test(base64_both_ways),
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(arenas_keep_their_maximum),
        cmocka_unit_test(arrays_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
