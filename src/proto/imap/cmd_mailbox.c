/* Arguments of the commands on mailboxes: CREATE ... STATUS, LIST. */
#include "imap_int.h"

enum { PATTERNS_MAX = 100 };

bool ph__imap_cmd_mailbox(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    return ph__imap_sp(c) && ph__imap_mailbox(c, &cmd->mailbox.name) && ph__imap_end(c);
}

bool ph__imap_cmd_rename(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    return ph__imap_sp(c) && ph__imap_mailbox(c, &cmd->mailbox.name) && ph__imap_sp(c) &&
           ph__imap_mailbox(c, &cmd->mailbox.to) && ph__imap_end(c);
}

/* "(USE (\Sent))" of RFC 6154 3. */
bool ph__imap_cmd_create(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    if (!ph__imap_sp(c) || !ph__imap_mailbox(c, &cmd->mailbox.name))
        return false;
    if (ph__imap_at_end(c))
        return true;
    if (!ph__imap_sp(c) || !ph__imap_char(c, '(') || !ph__imap_keyword(c, PH_STR("USE")) ||
        !ph__imap_sp(c) || !ph__imap_char(c, '('))
        return ph__imap_bad(c, "expected (USE (\\Attribute))");
    do {
        const char *from = c->at;
        ph_str word;
        if (!ph__imap_take(c, '\\') || !ph__imap_word(c, &word))
            return ph__imap_bad(c, "expected a special use such as \\Sent");
        unsigned bit =
            ph_imap_mailbox_bit((ph_str){from, (size_t)(c->at - from)}) & PH_IMAP_MB_SPECIAL;
        if (!bit)
            return ph__imap_bad(c, "there is no such special use");
        cmd->mailbox.special |= bit;
        c->needs |= PH_IMAP_CAP(CREATE_SPECIAL_USE);
    } while (ph__imap_take(c, ' '));
    return ph__imap_char(c, ')') && ph__imap_char(c, ')') && ph__imap_end(c);
}

bool ph__imap_cmd_status(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    return ph__imap_sp(c) && ph__imap_mailbox(c, &cmd->status.name) && ph__imap_sp(c) &&
           ph__imap_status_list(c, &cmd->status.items) && ph__imap_end(c);
}

/* ---- LIST (RFC 9051 6.3.9) ------------------------------------------------------------------- */

static const struct {
    ph_str name;
    unsigned bit;
    uint64_t cap;
} list_options[] = {
    {PH_STR_INIT("SUBSCRIBED"), PH_IMAP_LIST_SUBSCRIBED, PH_IMAP_CAP(LIST_EXTENDED)},
    {PH_STR_INIT("REMOTE"), PH_IMAP_LIST_REMOTE, PH_IMAP_CAP(LIST_EXTENDED)},
    {PH_STR_INIT("RECURSIVEMATCH"), PH_IMAP_LIST_RECURSIVE, PH_IMAP_CAP(LIST_EXTENDED)},
    {PH_STR_INIT("SPECIAL-USE"), PH_IMAP_LIST_SPECIAL, PH_IMAP_CAP(SPECIAL_USE)},
    {PH_STR_INIT("CHILDREN"), PH_IMAP_LIST_CHILDREN, PH_IMAP_CAP(LIST_EXTENDED)},
    {PH_STR_INIT("STATUS"), PH_IMAP_LIST_STATUS, PH_IMAP_CAP(LIST_STATUS)},
};

/* Behind "(": options up to ")". */
static bool options(struct ph__imap_cur *c, unsigned allowed, unsigned *ret_bits,
                    unsigned *ret_status)
{
    unsigned bits = 0;
    while (!ph__imap_take(c, ')')) {
        ph_str word;
        unsigned bit = 0;
        if ((bits && !ph__imap_sp(c)) || !ph__imap_word(c, &word))
            return ph__imap_bad(c, "expected a LIST option");
        for (size_t i = 0; i < sizeof list_options / sizeof list_options[0]; i++) {
            if (!ph_str_ieq(word, list_options[i].name))
                continue;
            bit = list_options[i].bit & allowed;
            c->needs |= list_options[i].cap;
        }
        if (!bit)
            return ph__imap_bad(c, "unknown LIST option");
        bits |= bit;
        if (bit == PH_IMAP_LIST_STATUS && (!ph__imap_sp(c) || !ph__imap_status_list(c, ret_status)))
            return false;
    }
    *ret_bits = bits;
    return true;
}

static bool patterns(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    bool many = ph__imap_take(c, '(');
    ph_str *p = ph_arena_array(c->arena, many ? PATTERNS_MAX : 1, sizeof *p);
    size_t n = 0;
    if (!p) {
        return ph__imap_too_large(c);
    }
    do {
        if (n == PATTERNS_MAX)
            return ph__imap_bad(c, "too many patterns");
        if (!ph__imap_pattern(c, &p[n++]))
            return ph__imap_bad(c, "expected a mailbox pattern");
    } while (many && ph__imap_take(c, ' '));
    cmd->list.patterns = p;
    cmd->list.pattern_count = n;
    cmd->list.extended |= many;
    c->needs |= many ? PH_IMAP_CAP(LIST_EXTENDED) : 0;
    return !many || ph__imap_char(c, ')');
}

bool ph__imap_cmd_list(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    bool list = cmd->verb == PH_IMAP_LIST;
    if (!ph__imap_sp(c))
        return false;
    if (list && ph__imap_take(c, '(')) {
        cmd->list.extended = true;
        if (!options(c, 15, &cmd->list.select, NULL) || !ph__imap_sp(c))
            return false;
        if ((cmd->list.select & ~(unsigned)PH_IMAP_LIST_REMOTE) == PH_IMAP_LIST_RECURSIVE)
            return ph__imap_bad(c, "RECURSIVEMATCH goes with SUBSCRIBED or SPECIAL-USE");
    }
    if (!ph__imap_mailbox(c, &cmd->list.reference) || !ph__imap_sp(c))
        return false;
    if (!list && ph__imap_peek(c, '('))
        return ph__imap_bad(c, "LSUB takes one pattern");
    if (!patterns(c, cmd))
        return false;
    if (list && ph__imap_take(c, ' ')) {
        cmd->list.extended = true;
        if (!ph__imap_keyword(c, PH_STR("RETURN")) || !ph__imap_sp(c) || !ph__imap_char(c, '('))
            return ph__imap_bad(c, "expected RETURN (...)");
        if (!options(c,
                     PH_IMAP_LIST_SUBSCRIBED | PH_IMAP_LIST_SPECIAL | PH_IMAP_LIST_CHILDREN |
                         PH_IMAP_LIST_STATUS,
                     &cmd->list.ret, &cmd->list.status))
            return false;
    }
    return ph__imap_end(c);
}
