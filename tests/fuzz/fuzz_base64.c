/* Any bytes as a base64 body. */
#include "decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return compare(PH_ENC_BASE64, ph__b64_feed_plain, data, size);
}
