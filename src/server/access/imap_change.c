/* Changes of messages: STORE, COPY, MOVE, EXPUNGE. */
#include "imap_session.h"
#include <stdlib.h>

enum { UIDS_MAX = 524288, KEYWORDS_MAX = 4096 };

/* The uids of a command as text, and how far its answers have come. */
struct change {
    struct imap_ranges places;
    struct ph_buf uids, from, to;
    bool missing;
};

static void change_free(void *job)
{
    struct change *c = job;
    ph_buf_done(&c->uids);
    ph_buf_done(&c->from);
    ph_buf_done(&c->to);
    free(c);
}

/* Makes the job of a set; false: answered (also when the set holds no message). */
static bool begin(struct imap *im, const struct ph_imap_set *set, bool writes)
{
    struct change *c = calloc(1, sizeof *c);
    if (!c) {
        imap_no_memory(im);
        return false;
    }
    im->job = c;
    im->job_free = change_free;
    ph_buf_init(&c->uids, NULL, UIDS_MAX);
    ph_buf_init(&c->from, NULL, UIDS_MAX);
    ph_buf_init(&c->to, NULL, UIDS_MAX);
    if (writes && im->view.read_only) {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_READ_ONLY,
                         "The mailbox was examined and cannot be changed.");
        return false;
    }
    if (!imap_resolve(im, set, &c->places))
        return false;
    imap_view_uids(&im->view, &c->places, 0, &c->uids);
    if (ph_buf_err(&c->uids)) {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_LIMIT, "Too many ranges; use smaller sets.");
        return false;
    }
    if (c->uids.n == 0) {
        imap_finish(im, PH_IMAP_OK, NULL, "No messages.");
        return false;
    }
    return true;
}

/* ---- STORE ---------------------------------------------------------------------------------- */

static void ask_store(struct imap *im);

/* .SILENT is not for what others did (RFC 9051 6.4.6): where news are waiting, they may be of these
 * messages, and would pass for our own later. */
static void tell_changed(struct imap *im, ph_str rows)
{
    bool condstore = imap_enabled(im, PH_IMAP_CAP(CONDSTORE));
    bool silent = im->cmd->store.silent && !imap_news_wait(im);
    struct ipc_message m;
    while (ipc_each(message, &rows, &m)) {
        uint32_t at = imap_view_find(&im->view, m.uid);
        if (at == UINT32_MAX || at >= im->view.told)
            continue;
        imap_view_own(&im->view, m.modseq);
        imap_tell_keywords(im, m.keywords);
        if (silent && !condstore)
            continue;
        struct ph_imap_flags f = imap_flags(im, &m);
        imap_fetch_begin(im, at, m.uid);
        if (im->cmd->uid || condstore) /* RFC 7162 3.2.4 */
            ph_imap_server_fetch_uid(im->e, m.uid);
        if (!silent)
            ph_imap_server_fetch_flags(im->e, &f);
        if (condstore) /* RFC 7162 3.1.3: also with .SILENT */
            ph_imap_server_fetch_modseq(im->e, m.modseq);
        ph_imap_server_fetch_end(im->e);
    }
}

/* Those that someone else had changed are named in the answer (RFC 7162 3.1.3), and what they are
 * now is told. */
static void store_done(struct imap *im)
{
    struct change *c = im->job;
    struct ph_imap_code code = {.kind = PH_IMAP_CODE_MODIFIED, .text = ph_buf_str(&c->to)};
    if (c->to.n)
        im->view.dirty = true;
    imap_finish(im, PH_IMAP_OK, c->to.n ? &code : NULL,
                c->to.n ? "Not all were stored." : "Stored.");
}

static void rest_listed(struct imap *im, struct ipc_msg *msg);

/* More was changed than the answer holds: all of it is done, only the flags are still to be
 * told. */
static void ask_rest(struct imap *im, uint32_t from)
{
    struct change *c = im->job;
    ph_buf_clear(&c->uids);
    imap_view_uids(&im->view, &c->places, from, &c->uids);
    uint64_t req = imap_ask(im, IPC_MSG_LISTED, rest_listed);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_LIST, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .uids = ph_buf_str(&c->uids),
                               .mask = IPC_F_FLAGS));
}

static void rest_listed(struct imap *im, struct ipc_msg *msg)
{
    if (!msg || msg->MSG_LISTED.verdict != IPC_OK) {
        imap_unavailable(im);
        return;
    }
    tell_changed(im, msg->MSG_LISTED.messages);
    if (msg->MSG_LISTED.next)
        ask_rest(im, msg->MSG_LISTED.next);
    else
        store_done(im);
}

static void stored(struct imap *im, struct ipc_msg *msg)
{
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    if (msg->MSG_FLAGGED.verdict != IPC_OK) {
        imap_fail(im, msg->MSG_FLAGGED.verdict, msg->MSG_FLAGGED.text);
        return;
    }
    struct change *c = im->job;
    if (im->cmd->uid)
        ph_buf_add(&c->to, msg->MSG_FLAGGED.modified);
    else
        imap_view_seqs(&im->view, msg->MSG_FLAGGED.modified, &c->to);
    tell_changed(im, msg->MSG_FLAGGED.messages);
    if (msg->MSG_FLAGGED.next)
        ask_rest(im, msg->MSG_FLAGGED.next);
    else
        store_done(im);
}

static void ask_store(struct imap *im)
{
    struct change *c = im->job;
    const struct ph_imap_flags *f = &im->cmd->store.flags;
    char op = im->cmd->store.op;
    uint64_t req = imap_ask(im, IPC_MSG_FLAGGED, stored);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_FLAGS, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .uids = ph_buf_str(&c->uids),
                               .op = op == '+'   ? IPC_FLAGS_ADD
                                     : op == '-' ? IPC_FLAGS_DEL
                                                 : IPC_FLAGS_SET,
                               .flags = (ipc_u8)(f->bits & 31u), .keywords = f->keywords,
                               .unchanged_since = im->cmd->store.has_unchangedsince
                                                      ? im->cmd->store.unchangedsince
                                                      : UINT64_MAX));
    if (im->job) /* not ended by that */
        imap_ask_news_behind(im);
}

void imap_run_store(struct imap *im)
{
    if (!begin(im, &im->cmd->store.set, true))
        return;
    if (im->cmd->store.flags.keywords.n > KEYWORDS_MAX)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_LIMIT, "Too many keywords.");
    else
        ask_store(im);
}

/* Tells what is gone now. The answer names a modseq where QRESYNC is enabled, so all news come
 * first. */
static void removed(struct imap *im, ph_str uids)
{
    im->expunged = uids.n > 0;
    if (imap_view_remove(&im->view, uids, im->e) < 0 || im->expunged)
        im->view.dirty = true;
}

/* ---- COPY, MOVE ----------------------------------------------------------------------------- */

static void copied(struct imap *im, struct ipc_msg *msg)
{
    struct change *c = im->job;
    bool move = im->cmd->verb == PH_IMAP_MOVE;
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    const struct ipc_MSG_COPIED *m = &msg->MSG_COPIED;
    if (m->verdict == IPC_NOENT) {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_TRYCREATE, "There is no such mailbox.");
        return;
    }
    if (m->verdict != IPC_OK) {
        imap_fail(im, m->verdict, m->text);
        return;
    }
    if (im->view.uidvalidity == m->uidvalidity)
        im->view.dirty = true; /* copied into the selected mailbox, perhaps */
    ph_buf_add(&c->from, m->from_uids);
    ph_buf_add(&c->to, m->to_uids);
    struct ph_imap_code code = {.kind = PH_IMAP_CODE_COPYUID,
                                .n = m->uidvalidity,
                                .from = ph_buf_str(&c->from),
                                .to = ph_buf_str(&c->to)};
    bool told = c->to.n && !ph_buf_err(&c->from) && !ph_buf_err(&c->to);
    if (move && told) /* RFC 6851 4.3: before the EXPUNGEs */
        ph_imap_server_condition(im->e, PH_IMAP_OK, &code, "Moved.");
    if (move)
        removed(im, ph_buf_str(&c->from));
    imap_finish(im, PH_IMAP_OK, told && !move ? &code : NULL, "Done.");
}

void imap_run_copy(struct imap *im)
{
    bool move = im->cmd->verb == PH_IMAP_MOVE;
    struct change *c;
    if (!begin(im, &im->cmd->copy.set, move))
        return;
    c = im->job;
    uint64_t req = imap_ask(im, IPC_MSG_COPIED, copied);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_COPY, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .uids = ph_buf_str(&c->uids),
                               .name = imap_name(im, im->cmd->copy.name), .move = move));
}

/* ---- EXPUNGE -------------------------------------------------------------------------------- */

static void expunged(struct imap *im, struct ipc_msg *msg)
{
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    if (msg->MSG_EXPUNGED.verdict != IPC_OK) {
        imap_fail(im, msg->MSG_EXPUNGED.verdict, msg->MSG_EXPUNGED.text);
        return;
    }
    removed(im, msg->MSG_EXPUNGED.uids);
    imap_finish(im, PH_IMAP_OK, NULL, "Expunged.");
}

void imap_run_expunge(struct imap *im)
{
    static const struct ph_imap_range all = {1, UINT32_MAX};
    static const struct ph_imap_set everything = {&all, 1, false};
    bool some = im->cmd->expunge.has_set;
    if (!begin(im, some ? &im->cmd->expunge.set : &everything, true))
        return;
    struct change *c = im->job;
    uint64_t req = imap_ask(im, IPC_MSG_EXPUNGED, expunged);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_EXPUNGE, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox,
                               .uids = some ? ph_buf_str(&c->uids) : (ph_str){0}));
}
