/* Any bytes as format=flowed: reading and writing end, and what was written reads back as
 * itself. */
#include <stdint.h>
#include <stdlib.h>

#include <posthouse/text.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 * 1024 * 1024 };

static void into(struct ph_buf *out, int rc)
{
    if (rc || ph_buf_err(out))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ph_str in = {(const char *)data, size};
    struct ph_buf text, written, again, twice;
    ph_buf_init(&text, NULL, MEMORY);
    ph_buf_init(&written, NULL, MEMORY);
    ph_buf_init(&again, NULL, MEMORY);
    ph_buf_init(&twice, NULL, MEMORY);
    into(&text, ph_flowed_decode(in, size % 2, &text));
    into(&written, ph_flowed_encode(in, (unsigned)size % 120, &written));
    into(&again, ph_flowed_decode(ph_buf_str(&written), false, &again));
    /* one pass drops white space at line ends; from then on nothing changes */
    into(&twice, (ph_buf_clear(&written), ph_flowed_encode(ph_buf_str(&again), 40, &written)));
    ph_buf_clear(&text);
    into(&text, ph_flowed_decode(ph_buf_str(&written), false, &text));
    if (!ph_str_eq(ph_buf_str(&again), ph_buf_str(&text)))
        abort();
    ph_buf_done(&text);
    ph_buf_done(&written);
    ph_buf_done(&again);
    ph_buf_done(&twice);
    return 0;
}
