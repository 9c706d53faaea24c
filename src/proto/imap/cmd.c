/* The rows of commands, and the head of every command: tag, UID, name. */
#include "imap_int.h"

#define N PH_IMAP_NOT_AUTH
#define A PH_IMAP_AUTH
#define S PH_IMAP_SELECTED
#define AFTER_STAY 0
#define AFTER_AUTH PH_IMAP_AUTH
#define AFTER_SELECTED PH_IMAP_SELECTED
#define AFTER_NOT_AUTH PH_IMAP_NOT_AUTH
#define AFTER_LOGOUT PH_IMAP_LOGOUT_STATE
const struct ph__imap_row ph__imap_rows[PH_IMAP_VERB_COUNT] = {
#define C(sym, wire, states, cap, grammar, after, rfc)                                             \
    {PH_STR_INIT(wire), states, PH_IMAP_CAP(cap), ph__imap_cmd_##grammar, AFTER_##after},
#include <posthouse/imap_commands.def>
#undef C
};
#undef N
#undef A
#undef S

/* tag = 1*<any ASTRING-CHAR except "+"> */
static bool read_tag(struct ph__imap_cur *c, ph_str *ret_tag)
{
    ph_str tag;
    if (ph__imap_peek(c, '"') || ph__imap_peek(c, '{') || !ph__imap_astring(c, &tag) ||
        tag.n > IMAP_TAG_MAX || ph_str_chr(tag, '+') != PH_NPOS) {
        c->why = NULL;
        return ph__imap_bad(c, "a command begins with a tag");
    }
    *ret_tag = tag;
    return true;
}

static const bool may_uid[PH_IMAP_VERB_COUNT] = {
    [PH_IMAP_FETCH] = true, [PH_IMAP_STORE] = true,  [PH_IMAP_COPY] = true,
    [PH_IMAP_MOVE] = true,  [PH_IMAP_SEARCH] = true, [PH_IMAP_EXPUNGE] = true,
    [PH_IMAP_SORT] = true,  [PH_IMAP_THREAD] = true, [PH_IMAP_REPLACE] = true,
};

int ph__imap_verb_read(struct ph__imap_cur *c, ph_str *ret_tag, bool *ret_uid)
{
    ph_str word;
    *ret_uid = false;
    if (!read_tag(c, ret_tag))
        return -1;
    if (!ph__imap_take(c, ' ') || !ph__imap_word(c, &word)) {
        c->why = NULL;
        ph__imap_bad(c, "a tag is followed by a space and a command");
        return -1;
    }
    if (ph_str_ieq(word, PH_STR("UID"))) {
        *ret_uid = true;
        if (!ph__imap_sp(c) || !ph__imap_word(c, &word))
            return -1;
    }
    for (int i = 0; i < PH_IMAP_VERB_COUNT; i++) {
        if (!ph_str_ieq(word, ph__imap_rows[i].name))
            continue;
        if (*ret_uid && !may_uid[i])
            break;
        return i;
    }
    ph__imap_bad(c, "unknown command");
    return -1;
}
