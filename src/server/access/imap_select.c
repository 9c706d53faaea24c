/*
 * SELECT and EXAMINE: the view is made of what MB_OPEN tells, page by page where it is large; then
 * what is told of it.
 *
 *   MB_OPEN -> uids -> (more uids)* -> FLAGS, EXISTS... -> (resync) -> done
 */
#include "imap_session.h"
#include <stdio.h>
#include <stdlib.h>

void imap_close_view(struct imap *im)
{
    if (im->view.open && imap_store(im))
        ipc_send(imap_store(im), MB_CLOSE, -1, .session = im->s->grant,
                 .mailbox = im->view.mailbox);
    imap_view_close(&im->view);
    imap_forget_saved(im);
}

static void code_number(struct imap *im, enum ph_imap_code_kind kind, uint64_t n, const char *text)
{
    ph_imap_server_condition(im->e, PH_IMAP_OK, &(struct ph_imap_code){.kind = kind, .n = n}, text);
}

struct selecting {
    uint32_t first_unseen, uidnext;
    unsigned bits; /* PH_IMAP_MB_ of the mailbox */
    struct imap_resync resync;
};

static void selecting_free(void *job)
{
    struct selecting *s = job;
    imap_resync_done(&s->resync);
    free(s);
}

static void select_done(struct imap *im)
{
    imap_finish_kind(im, PH_IMAP_OK,
                     im->view.read_only ? PH_IMAP_CODE_READ_ONLY : PH_IMAP_CODE_READ_WRITE,
                     "Selected.");
}

/* Match data (RFC 7162 3.2.5.2): up to the last pair that still fits, the client knows all that
 * went. Both sets ascend. */
static uint32_t first_unknown(const struct imap_view *v, const struct ph_imap_set *seqs,
                              const struct ph_imap_set *uids)
{
    uint32_t from = 1;
    size_t s = 0, u = 0;
    for (uint64_t sd = 0, ud = 0; s < seqs->n && u < uids->n; sd++, ud++) {
        if (seqs->r[s].lo + sd > seqs->r[s].hi) {
            s++;
            sd = 0;
        }
        if (uids->r[u].lo + ud > uids->r[u].hi) {
            u++;
            ud = 0;
        }
        if (s == seqs->n || u == uids->n || seqs->r[s].lo + sd > v->n)
            break;
        uint64_t uid = uids->r[u].lo + ud;
        if (imap_view_uid(v, (uint32_t)(seqs->r[s].lo + sd - 1)) == uid)
            from = (uint32_t)uid + 1;
    }
    return from;
}

/* RFC 7162 3.2.5: what happened since the client was here last. */
static void start_resync(struct imap *im)
{
    const struct ph_imap_command *c = im->cmd;
    struct selecting *job = im->job;
    static const struct ph_imap_range all = {1, UINT32_MAX - 1};
    struct ph_imap_set known =
        c->select.has_known ? c->select.known : (struct ph_imap_set){&all, 1, false};
    struct ph_arena *a = ph_imap_server_arena(im->e);
    job->resync.since = c->select.modseq;
    job->resync.flags = true;
    job->resync.done = select_done;
    job->resync.from = first_unknown(&im->view, &c->select.seqs, &c->select.uids);
    if (!a || imap_ranges_of_set(a, &known, 0, &job->resync.known) < 0)
        imap_no_memory(im);
    else
        imap_resync(im, &job->resync);
}

/* LIST of the selected mailbox (RFC 9051 6.3.2), and its id (RFC 8474 4.2). */
static void tell_identity(struct imap *im)
{
    const struct selecting *job = im->job;
    char id[24];
    snprintf(id, sizeof id, "F%llx", (unsigned long long)im->view.mailbox);
    ph_imap_server_condition(
        im->e, PH_IMAP_OK,
        &(struct ph_imap_code){.kind = PH_IMAP_CODE_MAILBOXID, .text = ph_str_c(id)},
        "The mailbox whatever it is called.");
    if (imap_enabled(im, PH_IMAP_CAP(IMAP4REV2)))
        ph_imap_server_list(im->e, &(struct ph_imap_list){.name = ph_buf_str(&im->view.name),
                                                          .bits = job->bits,
                                                          .separator = '/'});
}

static void tell_selected(struct imap *im)
{
    struct imap_view *v = &im->view;
    struct selecting *job = im->job;
    struct ph_imap_code permanent = {.kind = PH_IMAP_CODE_PERMANENTFLAGS};
    if (!v->read_only)
        permanent.flags =
            (struct ph_imap_flags){31 | PH_IMAP_ANY_KEYWORD, ph_buf_str(&v->keywords)};
    v->told = v->n;
    imap_tell_all_flags(im);
    ph_imap_server_exists(im->e, v->n);
    ph_imap_server_recent(im->e, imap_view_recent(v));
    uint32_t unseen = job->first_unseen ? imap_view_find(v, job->first_unseen) : UINT32_MAX;
    if (unseen != UINT32_MAX && !imap_enabled(im, PH_IMAP_CAP(UIDONLY) | PH_IMAP_CAP(IMAP4REV2)))
        code_number(im, PH_IMAP_CODE_UNSEEN, unseen + 1, "The first message not seen.");
    ph_imap_server_condition(im->e, PH_IMAP_OK, &permanent,
                             v->read_only ? "No flags can be changed." : "Flags that last.");
    code_number(im, PH_IMAP_CODE_UIDVALIDITY, v->uidvalidity, "UIDs are valid.");
    code_number(im, PH_IMAP_CODE_UIDNEXT, job->uidnext, "The next UID.");
    code_number(im, PH_IMAP_CODE_HIGHESTMODSEQ, v->modseq ? v->modseq : 1, "Changes are counted.");
    tell_identity(im);
    const struct ph_imap_command *c = im->cmd;
    if (c->select.qresync && c->select.uidvalidity == v->uidvalidity)
        start_resync(im);
    else
        select_done(im);
}

/* The uids that did not fit into MB_OPENED, page by page. */
static void more_uids(struct imap *im, struct ipc_msg *msg);

static void ask_uids(struct imap *im, uint32_t from)
{
    char set[32];
    struct ph_buf b;
    ph_buf_init(&b, NULL, sizeof set);
    ph_buf_addf(&b, "%u:4294967295", (unsigned)from);
    uint64_t req = imap_ask(im, IPC_MSG_LISTED, more_uids);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_LIST, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .uids = ph_buf_str(&b)));
    ph_buf_done(&b);
}

static void more_uids(struct imap *im, struct ipc_msg *msg)
{
    struct ipc_message m;
    int r = msg ? 0 : -PH_EAGAIN;
    if (msg && msg->MSG_LISTED.verdict != IPC_OK) {
        imap_close_view(im);
        imap_fail(im, msg->MSG_LISTED.verdict, (ph_str){0});
        return;
    }
    for (ph_str rows = msg ? msg->MSG_LISTED.messages : (ph_str){0};
         r == 0 && ipc_each(message, &rows, &m);)
        r = imap_view_add(&im->view, m.uid);
    if (r < 0) {
        imap_close_view(im);
        imap_unavailable(im);
    } else if (msg->MSG_LISTED.next) {
        ask_uids(im, msg->MSG_LISTED.next);
    } else {
        tell_selected(im);
    }
}

static void selected(struct imap *im, struct ipc_msg *msg)
{
    struct imap_view *v = &im->view;
    struct ipc_mailbox box;
    struct selecting *job = im->job;
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    const struct ipc_MB_OPENED *o = &msg->MB_OPENED;
    ph_str rows = o->mailbox;
    if (o->verdict != IPC_OK) {
        imap_fail(im, o->verdict, o->text);
        return;
    }
    if (!ipc_each(mailbox, &rows, &box)) {
        imap_unavailable(im);
        return;
    }
    v->open = true;
    v->read_only = im->cmd->verb == PH_IMAP_EXAMINE;
    v->mailbox = box.id;
    v->modseq = box.modseq;
    v->uidvalidity = box.uidvalidity;
    v->recent_from = o->recent_from;
    v->dirty = im->early_mailbox == box.id && im->early_modseq > v->modseq;
    ph_buf_add(&v->name, box.name);
    imap_view_learn(v, o->keywords);
    job->first_unseen = o->first_unseen;
    job->uidnext = box.uidnext;
    job->bits = imap_list_bits(&box);
    if (imap_view_add_set(v, o->uids) < 0) {
        imap_close_view(im);
        imap_unavailable(im);
    } else if (o->uids_to) {
        ask_uids(im, o->uids_to + 1);
    } else {
        tell_selected(im);
    }
}

void imap_run_select(struct imap *im)
{
    bool examine = im->cmd->verb == PH_IMAP_EXAMINE;
    if (im->view.open && imap_enabled(im, PH_IMAP_CAP(QRESYNC) | PH_IMAP_CAP(IMAP4REV2)))
        ph_imap_server_condition(im->e, PH_IMAP_OK,
                                 &(struct ph_imap_code){.kind = PH_IMAP_CODE_CLOSED},
                                 "It is closed.");
    imap_close_view(im); /* also when this one cannot be selected: RFC 9051 6.3.2 */
    im->job = calloc(1, sizeof(struct selecting));
    im->job_free = selecting_free;
    if (!im->job) {
        imap_no_memory(im);
        return;
    }
    uint64_t req = imap_ask(im, IPC_MB_OPENED, selected);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MB_OPEN, -1, .req = req, .session = im->s->grant,
                               .name = imap_name(im, im->cmd->select.name),
                               .mode = examine ? IPC_OPEN_RO : IPC_OPEN_RW));
}
