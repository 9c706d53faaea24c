/* Quota (RFC 9208): one root, "", for the whole account; and the STATUS item that goes with it,
 * DELETED-STORAGE. */
#include "imap_session.h"
#include <stdlib.h>

static void told(struct imap *im, struct ipc_msg *msg)
{
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    const struct ipc_QUOTA_TOLD *m = &msg->QUOTA_TOLD;
    if (m->verdict != IPC_OK) {
        imap_fail(im, m->verdict, (ph_str){0});
        return;
    }
    if (im->cmd->verb == PH_IMAP_GETQUOTAROOT)
        ph_imap_server_quotaroot(im->e, im->cmd->mailbox.name, PH_STR(""));
    ph_imap_server_quota(im->e,
                         &(struct ph_imap_quota){
                             .root = PH_STR(""),
                             .storage = (m->bytes + 1023) / 1024,
                             .storage_limit = m->most_bytes ? m->most_bytes / 1024 : UINT64_MAX,
                             .messages = m->messages,
                             .messages_limit = m->most_messages ? m->most_messages : UINT64_MAX});
    imap_finish(im, PH_IMAP_OK, NULL, "Done.");
}

static void ask(struct imap *im)
{
    uint64_t req = imap_ask(im, IPC_QUOTA_TOLD, told);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), QUOTA_GET, -1, .req = req, .session = im->s->grant));
}

static void root_known(struct imap *im, struct ipc_msg *msg)
{
    struct ipc_mailbox m;
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    ph_str rows = msg->MB_LISTED.mailboxes;
    if (msg->MB_LISTED.verdict != IPC_OK || !ipc_each(mailbox, &rows, &m))
        imap_fail(im, IPC_NOENT, (ph_str){0});
    else
        ask(im);
}

void imap_run_quota(struct imap *im)
{
    const struct ph_imap_command *c = im->cmd;
    if (c->verb == PH_IMAP_GETQUOTA) {
        if (c->mailbox.name.n)
            imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_NONEXISTENT,
                             "There is no such quota root.");
        else
            ask(im);
        return;
    }
    uint64_t req = imap_ask(im, IPC_MB_LISTED, root_known);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MB_LIST, -1, .req = req, .session = im->s->grant,
                               .name = imap_name(im, c->mailbox.name)));
}

/* ---- DELETED-STORAGE (RFC 9208 4.1.4): the sizes of what is \Deleted, added up -------------- */

struct adding {
    uint64_t mailbox, sum;
    void (*done)(struct imap *im, uint64_t sum);
};

static void ask_sizes(struct imap *im, uint32_t from);

static void sizes(struct imap *im, struct ipc_msg *msg)
{
    struct adding *a = im->job;
    struct ipc_message m;
    if (!msg || msg->MSG_LISTED.verdict != IPC_OK) {
        imap_unavailable(im);
        return;
    }
    for (ph_str rows = msg->MSG_LISTED.messages; ipc_each(message, &rows, &m);)
        a->sum += m.flags & IPC_DELETED ? m.size : 0;
    if (msg->MSG_LISTED.next)
        ask_sizes(im, msg->MSG_LISTED.next);
    else
        a->done(im, a->sum);
}

static void ask_sizes(struct imap *im, uint32_t from)
{
    const struct adding *a = im->job;
    struct ph_buf set;
    ph_buf_init(&set, NULL, 64);
    imap_put_range(&set, from, UINT32_MAX);
    uint64_t req = imap_ask(im, IPC_MSG_LISTED, sizes);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_LIST, -1, .req = req, .session = im->s->grant,
                               .mailbox = a->mailbox, .uids = ph_buf_str(&set),
                               .mask = IPC_F_FLAGS | IPC_F_SIZE));
    ph_buf_done(&set);
}

void imap_add_deleted(struct imap *im, uint64_t mailbox,
                      void (*done)(struct imap *im, uint64_t sum))
{
    struct adding *a = calloc(1, sizeof *a);
    if (!a) {
        imap_no_memory(im);
        return;
    }
    *a = (struct adding){mailbox, 0, done};
    im->job = a;
    im->job_free = free;
    ask_sizes(im, 1);
}
