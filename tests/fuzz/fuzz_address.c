/* Any bytes as an address list, a Received field, message ids. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/mime.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ph_str raw = {(const char *)data, size}, id;
    struct ph_arena *arena = ph_arena_new(NULL, 64 * 1024 * 1024);
    struct ph_address *list;
    struct ph_received received;
    struct ph_buf out;
    int count = ph_address_parse(arena, raw, &list), groups = 0;
    ph_buf_init(&out, NULL, 64 * 1024 * 1024);
    for (const struct ph_address *a = count < 0 ? NULL : list; a; a = a->next) {
        count -= a->kind == PH_ADDRESS_MAILBOX;
        groups += a->kind == PH_ADDRESS_GROUP ? 1 : a->kind == PH_ADDRESS_GROUP_END ? -1 : 0;
        if (groups < 0 || groups > 1)
            abort();
        ph_address_write(&out, a->local, a->host);
        if (ph_address_text(a, &out) == -PH_ENOMEM || ph_host_ascii(a->host, &out) == -PH_ENOMEM)
            abort();
    }
    if (count > 0 || groups)
        abort();
    ph_received_parse(raw, &received);
    for (ph_str rest = raw; ph_id_next(&rest, &id);)
        if (id.n < 2 || id.p[0] != '<' || id.p[id.n - 1] != '>')
            abort();
    ph_buf_done(&out);
    ph_arena_free(arena);
    return 0;
}
