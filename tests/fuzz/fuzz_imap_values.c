/* Values of IMAP: what is written is read back as it was. */
#include <posthouse/imap.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ph_str in = {(const char *)data, size};
    struct ph_buf utf8, wire;
    struct ph_imap_set set;
    struct ph_arena *a = ph_arena_new(NULL, 1 << 20);
    ph_buf_init(&utf8, NULL, 1 << 20);
    ph_buf_init(&wire, NULL, 1 << 20);
    if (ph_imap_utf7_decode(in, &utf8) == 0) {
        struct ph_buf again;
        ph_buf_init(&again, NULL, 1 << 20);
        ph_imap_utf7_encode(ph_buf_str(&utf8), &wire);
        if (ph_imap_utf7_decode(ph_buf_str(&wire), &again) != 0 ||
            !ph_str_eq(ph_buf_str(&again), ph_buf_str(&utf8)))
            abort();
        ph_buf_done(&again);
    }
    if (ph_imap_set_parse(a, in, &set) == 0)
        (void)ph_imap_set_has(&set, 7, 9);
    (void)ph_imap_list_match(ph_str_sub(in, 0, size / 2), ph_str_skip(in, size / 2), '/');
    ph_buf_done(&utf8);
    ph_buf_done(&wire);
    ph_arena_free(a);
    return 0;
}
