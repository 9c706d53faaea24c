/* A header in UTF-8 becomes one in ASCII, with a field for a field at most. */
#include <stdint.h>
#include <stdlib.h>

#include "surrogate.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 64 * 1024 * 1024 };

static size_t fields(ph_str head)
{
    struct ph_field f;
    size_t n = 0;
    while (ph_field_next(&head, &f))
        n++;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ph_str head = ph_message_head((ph_str){(const char *)data, size});
    struct ph_buf out;
    ph_buf_init(&out, NULL, ROOM);
    if (ph_surrogate_needed(head) && ph_surrogate_head(head, &out) == 0)
        if (!ph_ascii_only(ph_buf_str(&out)) || fields(ph_buf_str(&out)) > fields(head))
            abort();
    ph_buf_done(&out);
    return 0;
}
