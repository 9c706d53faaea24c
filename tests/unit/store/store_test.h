/* What the store's tests share: a store in a folder of its own, and short calls that must
 * succeed. */
#ifndef PH_STORE_TEST_H
#define PH_STORE_TEST_H
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct store_ops *const ops = &store_sqlite;

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct ph_error err = {0};                                                                 \
        int ok_ = (call);                                                                          \
        if (ok_ < 0)                                                                               \
            fail_msg("%s: %d %s", #call, ok_, err.text);                                           \
    } while (0)
#define FAILS(code, call)                                                                          \
    do {                                                                                           \
        struct ph_error err = {0};                                                                 \
        assert_int_equal(-(code), (call));                                                         \
    } while (0)

static inline char *test_dir(void)
{
    char *dir = strdup("/tmp/store-test-XXXXXX");
    assert_non_null(dir && mkdtemp(dir) ? dir : NULL);
    return dir;
}

static inline void test_dir_remove(char *dir)
{
    char cmd[256];
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    assert_int_equal(system(cmd), 0);
    free(dir);
}

static inline void finding(void *ctx, const char *text, bool fixed)
{
    (void)ctx;
    printf("check: %s%s\n", text, fixed ? " (repaired)" : "");
}

static inline struct store_account *test_account(struct store *s, uint64_t id)
{
    char folder[32];
    struct store_account *a = NULL;
    snprintf(folder, sizeof folder, "account%llu", (unsigned long long)id);
    OK(ops->account(s, id, ph_str_c(folder), STORE_OPEN_CREATE, &a, &err));
    return a;
}

#endif
