/* Arguments of SELECT and EXAMINE: a mailbox, and the parameters CONDSTORE (RFC 7162 3.1.8) and
 * QRESYNC (3.2.5). */
#include "imap_int.h"

static bool plain_set(struct ph__imap_cur *c, struct ph_imap_set *set)
{
    if (ph__imap_peek(c, '$') || !ph__imap_set(c, set))
        return ph__imap_bad(c, "expected a set of numbers");
    for (size_t i = 0; i < set->n; i++)
        if (set->r[i].lo == UINT32_MAX || set->r[i].hi == UINT32_MAX)
            return ph__imap_bad(c, "* is not allowed here");
    return true;
}

static bool match_data(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    return plain_set(c, &cmd->select.seqs) && ph__imap_sp(c) && plain_set(c, &cmd->select.uids) &&
           ph__imap_char(c, ')');
}

/* "(uidvalidity modseq [known-uids] [(seqs uids)])" */
static bool qresync(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    uint64_t validity;
    if (!ph__imap_sp(c) || !ph__imap_char(c, '(') || !ph__imap_number(c, UINT32_MAX, &validity) ||
        !ph__imap_sp(c) || !ph__imap_number(c, INT64_MAX, &cmd->select.modseq))
        return false;
    cmd->select.qresync = true;
    cmd->select.uidvalidity = (uint32_t)validity;
    bool more = ph__imap_take(c, ' ');
    if (more && !ph__imap_peek(c, '(')) {
        cmd->select.has_known = true;
        if (!plain_set(c, &cmd->select.known))
            return false;
        more = ph__imap_take(c, ' ');
    }
    if (more && (!ph__imap_char(c, '(') || !match_data(c, cmd)))
        return false;
    return ph__imap_char(c, ')');
}

bool ph__imap_cmd_select(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    if (!ph__imap_sp(c) || !ph__imap_mailbox(c, &cmd->select.name))
        return false;
    if (ph__imap_at_end(c))
        return true;
    if (!ph__imap_sp(c) || !ph__imap_char(c, '('))
        return false;
    do {
        if (ph__imap_keyword(c, PH_STR("CONDSTORE"))) {
            cmd->select.condstore = true;
            c->needs |= PH_IMAP_CAP(CONDSTORE);
        } else if (ph__imap_keyword(c, PH_STR("QRESYNC")) && !cmd->select.qresync) {
            c->needs |= PH_IMAP_CAP(QRESYNC);
            if (!qresync(c, cmd))
                return false;
        } else {
            return ph__imap_bad(c, "expected CONDSTORE or QRESYNC");
        }
    } while (ph__imap_take(c, ' '));
    return ph__imap_char(c, ')') && ph__imap_end(c);
}
