/* Any bytes in any charset: valid UTF-8 comes out. The label is the first line, or one by
 * number. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/text.h>

#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    ph_str label;
} sets[] = {
#define PH_CHARSET(kind, name, key) {PH_STR_INIT(key)},
#include "charsets.def"
};

static void read_as(ph_str label, ph_str in)
{
    struct ph_buf out;
    ph_buf_init(&out, NULL, 64 * 1024 * 1024);
    ph_buf_add(&out, PH_STR("before"));
    int bad = ph_charset_decode(label, in, &out);
    if (bad < 0 || (size_t)bad > in.n || !ph_utf8_is_valid(ph_buf_str(&out)) ||
        !ph_str_has_prefix(ph_buf_str(&out), PH_STR("before")))
        abort();
    ph_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ph_str in = {(const char *)data, size}, label;
    if (size == 0)
        return 0;
    read_as(sets[data[0] % (sizeof sets / sizeof sets[0])].label, ph_str_skip(in, 1));
    read_as(sets[data[0] / 2 + 180].label, ph_str_skip(in, 1));
    if (ph_str_token(&in, '\n', &label))
        read_as(label, in);
    return 0;
}
