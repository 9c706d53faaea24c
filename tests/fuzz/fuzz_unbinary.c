/* What comes out is text, and is text for a second time. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "unbinary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 64 * 1024 * 1024 };

static int collect(void *ctx, ph_str piece)
{
    ph_buf_add(ctx, piece);
    return ph_buf_err(ctx);
}

static void is_text(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!s.p[i] || (s.p[i] == '\n' && (!i || s.p[i - 1] != '\r')) ||
            (s.p[i] == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n')))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_buf once, twice;
    ph_buf_init(&once, NULL, ROOM);
    ph_buf_init(&twice, NULL, ROOM);
    if (ph_mime_unbinary((ph_str){(const char *)data, size}, collect, &once) == 0) {
        is_text(ph_buf_str(&once));
        if (ph_mime_unbinary(ph_buf_str(&once), collect, &twice) != 0)
            abort();
        is_text(ph_buf_str(&twice));
    }
    ph_buf_done(&once);
    ph_buf_done(&twice);
    return 0;
}
