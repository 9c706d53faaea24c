/* Any bytes as HTML: text in UTF-8 comes out. */
#include <stdint.h>
#include <stdlib.h>

#include <posthouse/mime.h>

#include "html_strip.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_buf html, text;
    ph_buf_init(&html, NULL, 64 * 1024 * 1024);
    ph_buf_init(&text, NULL, 64 * 1024 * 1024);
    ph_utf8_add_repaired(&html, (ph_str){(const char *)data, size});
    if (ph_html_text(ph_buf_str(&html), &text) < 0 || !ph_utf8_is_valid(ph_buf_str(&text)))
        abort();
    ph_buf_clear(&text);
    ph_html_strip(&text, ph_buf_str(&html), 1600);
    if (!ph_utf8_is_valid(ph_buf_str(&text)))
        abort();
    ph_buf_done(&html);
    ph_buf_done(&text);
    return 0;
}
