/* Any bytes as Content-Type and Content-Disposition with their parameters, and as MIME-Version:
 * values are valid UTF-8, lists are bounded. */
#include <stdint.h>
#include <stdlib.h>

#include <posthouse/mime.h>

#include "mime_int.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ph_str names[] = {PH_STR_INIT("name"), PH_STR_INIT("filename"),
                                   PH_STR_INIT("charset"), PH_STR_INIT("x"), PH_STR_INIT("")};
    struct ph_arena *arena = ph_arena_new(NULL, 64 * 1024 * 1024);
    struct ph__params list = {0};
    unsigned major, minor;
    ph_str raw = {(const char *)data, size}, value;
    if (ph__params_parse(arena, raw, &list))
        abort();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (ph_param_get(arena, list.first, names[i], &value) || !ph_utf8_is_valid(value))
            abort();
    for (const struct ph_param *p = list.first; p; p = p->next)
        if (!ph__is_clean(p->value))
            abort();
    if (ph_mime_version(raw, &major, &minor) == 0 && (major > 99999 || minor > 99999))
        abort();
    ph_arena_free(arena);
    return 0;
}
