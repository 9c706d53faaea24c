/* Sets of uids and keywords, as data. */
#include "store_test.h"

static const struct {
    const char *text, *out; /* NULL: refused */
} sets[] = {
    {"1", "1"},
    {"1:5,7", "1:5,7"},
    {"5:1", "1:5"},
    {"7,1:5,6", "1:7"},
    {"3,3,3", "3"},
    {"9,8,7,1", "1,7:9"},
    {"1:3,2:9,20", "1:9,20"},
    {"4294967295,4294967294", "4294967294:4294967295"},
    {"4294967290:4294967295,4294967295", "4294967290:4294967295"},
    {"2:4,10:20,3:12,1", "1:20"},
    {"", NULL},
    {"0", NULL},
    {"*", NULL},
    {"1:*", NULL},
    {"1,", NULL},
    {",1", NULL},
    {"1:", NULL},
    {"1:2:3", NULL},
    {"4294967296", NULL},
    {"99999999999999999999", NULL},
    {" 1", NULL},
};

static void uid_sets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct uidset u = {0};
        struct ph_buf b;
        char *exact = malloc(strlen(sets[i].text) + 1); /* no byte to spare, for ASan */
        memcpy(exact, sets[i].text, strlen(sets[i].text));
        int r = uidset_parse(&u, (ph_str){exact, strlen(sets[i].text)});
        assert_int_equal(r, sets[i].out ? 0 : -PH_ESYNTAX);
        ph_buf_init(&b, NULL, 1000);
        uidset_print(&u, &b);
        if (r == 0)
            assert_string_equal(ph_buf_cstr(&b), sets[i].out);
        ph_buf_done(&b);
        uidset_done(&u);
        free(exact);
    }
}

/* Random ranges against a bitmap. */
static void uid_set_adds(void **state)
{
    (void)state;
    uint32_t rng = 12345;
    for (int turn = 0; turn < 200; turn++) {
        struct uidset u = {0};
        bool bit[300] = {false};
        uint64_t n = 0;
        for (int i = 0; i < turn % 40; i++) {
            rng = rng * 1664525u + 1013904223u;
            uint32_t from = 1 + (rng >> 16) % 250, to = from + (rng >> 8) % 9;
            assert_int_equal(uidset_add(&u, from, to), 0);
            for (uint32_t k = from; k <= to; k++)
                bit[k] = true;
        }
        for (uint32_t k = 0; k < 300; k++) {
            assert_int_equal(uidset_has(&u, k), bit[k]);
            n += bit[k];
        }
        assert_int_equal(uidset_count(&u), n);
        for (size_t i = 1; i < u.n; i++)
            assert_true(u.v[i].from > u.v[i - 1].to + 1);
        uidset_done(&u);
    }
}

static void long_set(void **state)
{
    (void)state;
    enum { N = 70000 };
    struct ph_buf b;
    struct uidset u = {0};
    ph_buf_init(&b, NULL, 1 << 20);
    for (uint32_t i = N; i > 0; i--)
        ph_buf_addf(&b, "%u%s", 2 * i, i > 1 ? "," : "");
    assert_int_equal(uidset_parse(&u, ph_buf_str(&b)), 0);
    assert_int_equal(u.n, N);
    assert_true(uidset_has(&u, 2 * N));
    assert_false(uidset_has(&u, 2 * N - 1));
    uidset_done(&u);
    ph_buf_done(&b);
}

static const struct {
    const char *now;
    enum store_flag_op op;
    const char *arg, *after;
} changes[] = {
    {"", STORE_FLAGS_ADD, "a b", "a b"},       {"a b", STORE_FLAGS_ADD, "B c", "a b c"},
    {"a b c", STORE_FLAGS_DEL, "B", "a c"},    {"a", STORE_FLAGS_DEL, "a", ""},
    {"a b", STORE_FLAGS_SET, "c c  d", "c d"}, {"a b", STORE_FLAGS_SET, "", ""},
};

static void keywords(void **state)
{
    (void)state;
    struct ph_buf b;
    ph_buf_init(&b, NULL, 2 * STORE_KEYWORDS_MAX + 2);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        assert_int_equal(store_keywords_apply(ph_str_c(changes[i].now), changes[i].op,
                                              ph_str_c(changes[i].arg), &b),
                         0);
        assert_true(ph_str_eq(ph_buf_str(&b), ph_str_c(changes[i].after)));
    }
    char many[4000];
    size_t n = 0;
    for (int i = 0; i < 200; i++)
        n += (size_t)snprintf(many + n, sizeof many - n, "%sk%d", i ? " " : "", i);
    assert_int_equal(store_keywords_apply(PH_STR(""), STORE_FLAGS_ADD, (ph_str){many, n}, &b),
                     -PH_ELIMIT);
    ph_buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(uid_sets), cmocka_unit_test(uid_set_adds),
                                       cmocka_unit_test(long_set), cmocka_unit_test(keywords)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
