/* Mailboxes: CLOSE, UNSELECT, CREATE, DELETE, RENAME, SUBSCRIBE, STATUS, GETQUOTA. */
#include "imap_session.h"
#include <stdio.h>

/* ---- CLOSE, UNSELECT
 */

static void closed(struct imap *im, struct ipc_msg *msg)
{
    imap_close_view(im);
    if (!msg)
        imap_unavailable(im);
    else
        imap_finish(im, PH_IMAP_OK, NULL, "Closed.");
}

/* Expunges silently, unless the mailbox was examined (RFC 9051 6.4.1). */
void imap_run_close(struct imap *im)
{
    if (im->view.read_only) {
        imap_run_unselect(im);
        return;
    }
    uint64_t req = imap_ask(im, IPC_MSG_EXPUNGED, closed);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_EXPUNGE, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox));
}

void imap_run_unselect(struct imap *im)
{
    imap_close_view(im);
    imap_finish(im, PH_IMAP_OK, NULL, "Closed.");
}

/* ---- CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE ----------------------------------------- */

static void changed(struct imap *im, struct ipc_msg *msg)
{
    char id[24];
    struct ph_imap_code code = {.kind = PH_IMAP_CODE_MAILBOXID};
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    if (msg->STORE_DONE.verdict == IPC_INVALID && im->cmd->verb == PH_IMAP_CREATE &&
        im->cmd->mailbox.special) {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_USEATTR, /* RFC 6154 3 */
                         "Another mailbox has this use already, or the name cannot be.");
        return;
    }
    if (msg->STORE_DONE.verdict != IPC_OK) {
        imap_fail(im, msg->STORE_DONE.verdict, msg->STORE_DONE.text);
        return;
    }
    im->view.dirty |= im->cmd->verb == PH_IMAP_DELETE; /* it may be the selected one */
    snprintf(id, sizeof id, "F%llx", (unsigned long long)msg->STORE_DONE.id);
    struct ph_arena *a = ph_imap_server_arena(im->e);
    code.text = a ? ph_arena_copy(a, ph_str_c(id)) : (ph_str){0};
    bool created = im->cmd->verb == PH_IMAP_CREATE && code.text.n; /* RFC 8474 4.1 */
    imap_finish(im, PH_IMAP_OK, created ? &code : NULL, "Done.");
}

static void change(struct imap *im, int op, ph_str special)
{
    const struct ph_imap_command *c = im->cmd;
    ph_str name = imap_name(im, c->mailbox.name),
           to = op == IPC_RENAME ? imap_name(im, c->mailbox.to) : (ph_str){0};
    uint64_t req = imap_ask(im, IPC_STORE_DONE, changed);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MB_CHANGE, -1, .req = req, .session = im->s->grant,
                               .op = (ipc_u8)op, .name = name, .to = to, .special = special));
}

void imap_run_create(struct imap *im)
{
    unsigned special = im->cmd->mailbox.special;
    if (special & (special - 1))
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_USEATTR,
                         "A mailbox has one special use at most.");
    else
        change(im, IPC_CREATE, special ? ph_imap_mailbox_bit_name(special) : (ph_str){0});
}

void imap_run_change(struct imap *im)
{
    static const int ops[PH_IMAP_VERB_COUNT] = {[PH_IMAP_DELETE] = IPC_DELETE,
                                                [PH_IMAP_RENAME] = IPC_RENAME,
                                                [PH_IMAP_SUBSCRIBE] = IPC_SUBSCRIBE,
                                                [PH_IMAP_UNSUBSCRIBE] = IPC_UNSUBSCRIBE};
    change(im, ops[im->cmd->verb], (ph_str){0});
}

/* ---- STATUS --------------------------------------------------------------------------------- */

struct ph_imap_status imap_status(const struct imap *im, const struct ipc_mailbox *m,
                                  unsigned items, char id[24])
{
    bool own = im->view.open && im->view.mailbox == m->id;
    snprintf(id, 24, "F%llx", (unsigned long long)m->id);
    return (struct ph_imap_status){.name = m->name,
                                   .mask = items,
                                   .messages = m->messages,
                                   .recent = own ? imap_view_recent(&im->view) : m->recent,
                                   .uidnext = m->uidnext,
                                   .uidvalidity = m->uidvalidity,
                                   .unseen = m->unseen,
                                   .deleted = m->deleted,
                                   .size = m->size,
                                   .highestmodseq = m->modseq ? m->modseq : 1,
                                   .appendlimit = (uint64_t)im->s->proc->conf->max_message_size,
                                   .mailboxid = ph_str_c(id)};
}

static void deleted_known(struct imap *im, uint64_t sum);

static void status_known(struct imap *im, struct ipc_msg *msg)
{
    struct ipc_mailbox m;
    char id[24];
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    ph_str rows = msg->MB_LISTED.mailboxes;
    if (msg->MB_LISTED.verdict != IPC_OK) {
        imap_fail(im, msg->MB_LISTED.verdict, (ph_str){0});
        return;
    }
    if (!ipc_each(mailbox, &rows, &m) || m.bits & (IPC_MB_NOSELECT | IPC_MB_NONEXISTENT)) {
        imap_fail(im, IPC_NOENT, (ph_str){0});
        return;
    }
    if (im->cmd->status.items & PH_IMAP_ST_DELETED_STORAGE && !im->job && m.deleted) {
        imap_add_deleted(im, m.id, deleted_known);
        return;
    }
    struct ph_imap_status st = imap_status(im, &m, im->cmd->status.items, id);
    st.deleted_storage = im->deleted_storage;
    im->deleted_storage = 0;
    ph_imap_server_status(im->e, &st);
    imap_finish(im, PH_IMAP_OK, NULL, "Done.");
}

static void ask_status(struct imap *im)
{
    uint64_t req = imap_ask(im, IPC_MB_LISTED, status_known);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MB_LIST, -1, .req = req, .session = im->s->grant,
                               .name = imap_name(im, im->cmd->status.name)));
}

/* The sum is known: the rest is asked anew. */
static void deleted_known(struct imap *im, uint64_t sum)
{
    im->deleted_storage = sum;
    ask_status(im);
}

void imap_run_status(struct imap *im)
{
    ph_str name = imap_name(im, im->cmd->status.name);
    if (name.n == 0) {
        imap_finish(im, PH_IMAP_BAD, NULL, "A mailbox has a name.");
        return;
    }
    ask_status(im);
}
