/* Any bytes as a quoted-printable body. */
#include "decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return compare(PH_ENC_QP, ph__qp_feed_plain, data, size);
}
