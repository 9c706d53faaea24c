/* Header texts: what is decoded is UTF-8; what is encoded decodes to itself; every decoder of
 * transfer encodings gives the same for every way of cutting. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "utf8.h"
#include "words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 * 1024 * 1024 };

static void words(ph_str in)
{
    struct ph_buf decoded, encoded, again;
    unsigned col = 10;
    ph_buf_init(&decoded, NULL, MEMORY);
    ph_buf_init(&encoded, NULL, MEMORY);
    ph_buf_init(&again, NULL, MEMORY);
    ph_words_decode(&decoded, in);
    if (!ph_utf8_is_valid(ph_buf_str(&decoded)))
        abort();
    ph_words_encode(&encoded, ph_buf_str(&decoded), &col);
    ph_words_decode(&again, ph_buf_str(&encoded));
    /* An escape sequence is read as ISO 2022, whatever the charset's label says. */
    if (ph_str_chr(ph_buf_str(&decoded), 0x1b) == PH_NPOS &&
        !ph_str_eq(ph_buf_str(&decoded), ph_buf_str(&again)))
        abort();
    ph_buf_done(&decoded);
    ph_buf_done(&encoded);
    ph_buf_done(&again);
}

static void decode(enum ph_encoding e, ph_str in, size_t step, struct ph_buf *out)
{
    struct ph_decoder d;
    ph_buf_clear(out);
    ph_decoder_init(&d, e);
    for (ph_str rest = in; rest.n; rest = ph_str_skip(rest, step))
        ph_decoder_feed(&d, ph_str_sub(rest, 0, step), out);
    ph_decoder_end(&d, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ph_str charsets[] = {
        PH_STR_INIT("utf-7"),  PH_STR_INIT("iso-2022-jp"), PH_STR_INIT("gb2312"),
        PH_STR_INIT("koi8-r"), PH_STR_INIT("big5"),        PH_STR_INIT("utf-16"),
        PH_STR_INIT("utf-8"),  PH_STR_INIT("x-nonsense"),
    };
    ph_str in = {(const char *)data, size};
    struct ph_buf whole, cut;
    ph_buf_init(&whole, NULL, MEMORY);
    ph_buf_init(&cut, NULL, MEMORY);
    words(in);
    for (enum ph_encoding e = PH_ENC_QP; e <= PH_ENC_UUENCODE; e++) {
        decode(e, in, size ? size : 1, &whole);
        decode(e, in, 1 + size % 7, &cut);
        if (!ph_str_eq(ph_buf_str(&whole), ph_buf_str(&cut)))
            abort();
    }
    ph_buf_clear(&whole);
    if (ph_charset_decode(charsets[size % 8], in, &whole) < 0 ||
        !ph_utf8_is_valid(ph_buf_str(&whole)))
        abort();
    ph_buf_done(&whole);
    ph_buf_done(&cut);
    return 0;
}
