/* The table of verbs. */
#include "pop3_int.h"

const struct pop3_row ph__pop3_rows[PH_POP3_VERB_COUNT] = {
#define ROW(verb, states, arguments, reply, capability)                                            \
    [PH_POP3_##verb] = {#verb, POP3_##states, POP3_##arguments, POP3_##reply, capability},
    PH_POP3_VERBS(ROW)
#undef ROW
};

const char *ph_pop3_verb_name(enum ph_pop3_verb verb)
{
    return (unsigned)verb < PH_POP3_VERB_COUNT ? ph__pop3_rows[verb].name : "?";
}

enum ph_pop3_verb ph__pop3_verb(ph_str word)
{
    unsigned v = 0;
    while (v < PH_POP3_VERB_COUNT && !ph_str_ieq(word, ph_str_c(ph__pop3_rows[v].name)))
        v++;
    return (enum ph_pop3_verb)v;
}

bool ph__pop3_number(ph_str s, uint32_t *ret_number)
{
    uint64_t v;
    if (!ph_str_u64(s, UINT32_MAX - 1, &v) || v == 0)
        return false;
    *ret_number = (uint32_t)v;
    return true;
}
