#include "id.h"
#include "ascii.h"

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

const char *ph_id_text(uint64_t id, char buf[PH_ID_TEXT + 1])
{
    for (int i = PH_ID_TEXT - 1; i >= 0; i--, id >>= 5)
        buf[i] = alphabet[id & 31];
    buf[PH_ID_TEXT] = '\0';
    return buf;
}

static int digit(char c)
{
    for (int i = 0; i < 32; i++)
        if (alphabet[i] == ph_lower(c))
            return i;
    return -1;
}

bool ph_id_parse(ph_str text, uint64_t *ret_id)
{
    uint64_t id = 0;

    if (text.n != PH_ID_TEXT)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        int d = digit(text.p[i]);
        if (d < 0)
            return false;
        id = id << 5 | (uint64_t)d;
    }
    *ret_id = id;
    return true;
}
