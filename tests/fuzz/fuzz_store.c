/* What other processes send the store as text: sets of uids, names, keywords. print(parse(x)) is a
 * fixed point. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void sets(ph_str in)
{
    struct uidset a = {0}, b = {0};
    struct ph_buf x, y;
    ph_buf_init(&x, NULL, 1 << 22);
    ph_buf_init(&y, NULL, 1 << 22);
    if (uidset_parse(&a, in) == 0) {
        for (size_t i = 0; i < a.n; i++)
            must(a.v[i].from && a.v[i].from <= a.v[i].to &&
                 (!i || (uint64_t)a.v[i - 1].to + 1 < a.v[i].from));
        uidset_print(&a, &x);
        must(uidset_parse(&b, ph_buf_str(&x)) == 0);
        uidset_print(&b, &y);
        must(ph_str_eq(ph_buf_str(&x), ph_buf_str(&y)));
    }
    ph_buf_done(&x);
    ph_buf_done(&y);
    uidset_done(&a);
    uidset_done(&b);
}

static void names(ph_str in)
{
    char out[STORE_NAME_MAX], again[STORE_NAME_MAX];
    int n = store_name_norm(in, out, NULL);
    if (n >= 0)
        must(store_name_norm((ph_str){out, (size_t)n}, again, NULL) == n &&
             !memcmp(out, again, (size_t)n));
    (void)store_folder_ok(in);
}

static void keywords(ph_str in)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, 1 << 16);
    for (int op = STORE_FLAGS_SET; op <= STORE_FLAGS_DEL; op++)
        if (store_keywords_apply(ph_str_sub(in, 0, in.n / 2), (enum store_flag_op)op,
                                 ph_str_skip(in, in.n / 2), &b) == 0)
            must(b.n <= STORE_KEYWORDS_MAX);
    ph_buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ph_str in = {(const char *)data, size};
    sets(in);
    names(in);
    keywords(in);
    return 0;
}
