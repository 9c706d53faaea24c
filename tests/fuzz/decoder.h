/*
 * decoder.h - any bytes under a transfer encoding: with vectors and without, whole and in pieces
 * whose length is the first byte, the same comes out.
 */
#ifndef PH_FUZZ_DECODER_H
#define PH_FUZZ_DECODER_H
#include <stdint.h>
#include <stdlib.h>

#include "codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 * 1024 * 1024 };

typedef void feeder(struct ph_decoder *, ph_str, struct ph_buf *);

static uint32_t decode(enum ph_encoding encoding, feeder *feed, ph_str in, size_t step,
                       struct ph_buf *out)
{
    struct ph_decoder d;
    ph_buf_init(out, NULL, MEMORY);
    ph_decoder_init(&d, encoding);
    for (; in.n; in = ph_str_skip(in, step))
        feed(&d, ph_str_sub(in, 0, step), out);
    ph_decoder_end(&d, out);
    if (ph_buf_err(out))
        abort();
    return d.errors;
}

static int compare(enum ph_encoding encoding, feeder *plain, const uint8_t *data, size_t size)
{
    struct ph_buf wide, other, pieces;
    if (size == 0)
        return 0;
    ph_str in = {(const char *)data + 1, size - 1};
    uint32_t errors = decode(encoding, ph_decoder_feed, in, size, &wide);
    if (decode(encoding, plain, in, size, &other) != errors ||
        decode(encoding, ph_decoder_feed, in, 1 + data[0] % 100, &pieces) != errors ||
        !ph_str_eq(ph_buf_str(&wide), ph_buf_str(&other)) ||
        !ph_str_eq(ph_buf_str(&wide), ph_buf_str(&pieces)))
        abort();
    ph_buf_done(&wide);
    ph_buf_done(&other);
    ph_buf_done(&pieces);
    return 0;
}
#endif
