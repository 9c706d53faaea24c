/* Any bytes as a date: what is read can be written and read again, the same. */
#include <stdint.h>
#include <stdlib.h>

#include <posthouse/mime.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_date one, two;
    struct ph_buf text;
    if (ph_date_parse((ph_str){(const char *)data, size}, &one))
        return 0;
    ph_buf_init(&text, NULL, 100);
    ph_date_write(&text, &one);
    /* years 10000 and 0 can be reached by adding a zone or by the 31st of a short month */
    if (one.time > -62135596800 + 86400 * 32 && one.time < 253402300799 - 86400 * 32 &&
        (ph_date_parse(ph_buf_str(&text), &two) || one.time != two.time || one.zone != two.zone))
        abort();
    ph_buf_done(&text);
    return 0;
}
