/* Any bytes are safe to unpack, and give the size that was asked for or nothing. What is packed
 * comes back. */
#include <stdint.h>
#include <stdlib.h>

#include "pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 4 * PH_PACK_MOST };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ph_packer *packer;
    struct ph_buf packed, out;
    if (size < 2)
        return 0;
    uint64_t said = (uint64_t)data[0] << 8 | data[1];
    ph_str bytes = {(const char *)data + 2, size - 2};
    ph_buf_init(&packed, NULL, ROOM);
    ph_buf_init(&out, NULL, ROOM);
    packer = packer ? packer : ph_packer_new();
    if (!packer)
        return 0;
    if (ph_unpack(packer, bytes, said, &out) == 0 ? out.n != said : out.n != 0)
        abort();
    ph_buf_clear(&out);
    if (ph_pack(packer, bytes, said % (bytes.n + 1), &packed) > 0 &&
        (ph_unpack(packer, ph_buf_str(&packed), bytes.n, &out) != 0 ||
         !ph_str_eq(ph_buf_str(&out), bytes)))
        abort();
    ph_buf_done(&packed);
    ph_buf_done(&out);
    return 0;
}
