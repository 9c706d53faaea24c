/* Arguments of APPEND and REPLACE, up to the head of a message's literal (RFC 9051 6.3.12, RFC
 * 3502, RFC 3516 4.4, RFC 6855 4, RFC 8508 3). */
#include "imap_int.h"

/* "UTF8 (~{n}"; the parenthesis is closed behind the message. */
static bool utf8_data(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    cmd->append.utf8 = ph__imap_keyword(c, PH_STR("UTF8"));
    if (!cmd->append.utf8)
        return true;
    c->needs |= PH_IMAP_CAP(UTF8_ACCEPT);
    return ph__imap_sp(c) && ph__imap_char(c, '(') &&
           (ph__imap_peek(c, '~') || ph__imap_bad(c, "expected a literal8"));
}

static bool literal_head(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    cmd->append.binary = ph__imap_take(c, '~');
    if (cmd->append.binary && !cmd->append.utf8)
        c->needs |= PH_IMAP_CAP(BINARY);
    if (!ph__imap_take(c, '{') || !ph__imap_number(c, UINT64_MAX, &cmd->append.size))
        return ph__imap_bad(c, "expected the message as a literal");
    ph__imap_take(c, '+');
    return (ph__imap_take(c, '}') && ph__imap_take(c, '\r') && ph__imap_take(c, '\n') &&
            ph__imap_at_end(c)) ||
           ph__imap_bad(c, "expected the message as a literal");
}

bool ph__imap_append_more(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    int zone;
    cmd->append.flags = (struct ph_imap_flags){0};
    cmd->append.has_date = false;
    if (!ph__imap_sp(c))
        return false;
    if (ph__imap_peek(c, '(') && (!ph__imap_flags_list(c, &cmd->append.flags) || !ph__imap_sp(c)))
        return false;
    if (ph__imap_peek(c, '"')) {
        cmd->append.has_date = true;
        if (!ph__imap_date_time(c, &cmd->append.date, &zone) || !ph__imap_sp(c))
            return false;
    }
    return utf8_data(c, cmd) && literal_head(c, cmd);
}

bool ph__imap_cmd_append(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    return ph__imap_sp(c) && ph__imap_mailbox(c, &cmd->append.name) && ph__imap_append_more(c, cmd);
}

bool ph__imap_cmd_replace(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    uint64_t n = UINT32_MAX;
    if (!ph__imap_sp(c) || (!ph__imap_take(c, '*') && !ph__imap_number(c, UINT32_MAX - 1, &n)))
        return false;
    if (n == 0)
        return ph__imap_bad(c, "0 is not a message number");
    cmd->append.replaces = (uint32_t)n;
    return ph__imap_cmd_append(c, cmd);
}
