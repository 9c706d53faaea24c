/* Mailboxes: SELECT, EXAMINE, CLOSE, UNSELECT, CREATE, DELETE, RENAME, SUBSCRIBE, LIST, LSUB,
 * STATUS. */
#include "imap_session.h"
#include <stdlib.h>
#include <string.h>

enum { SEPARATOR = '/' };

/* ---- SELECT, EXAMINE
 * ------------------------------------------------------------------------------- */

void imap_close_view(struct imap *im)
{
    if (im->view.open && imap_store(im))
        ipc_send(imap_store(im), MB_CLOSE, -1, .session = im->s->grant,
                 .mailbox = im->view.mailbox);
    imap_view_close(&im->view);
}

static void code_number(struct imap *im, enum ph_imap_code_kind kind, uint64_t n, const char *text)
{
    ph_imap_server_condition(im->e, PH_IMAP_OK, &(struct ph_imap_code){.kind = kind, .n = n}, text);
}

struct selecting {
    uint32_t first_unseen, uidnext;
};

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
    if (unseen != UINT32_MAX)
        code_number(im, PH_IMAP_CODE_UNSEEN, unseen + 1, "The first message not seen.");
    ph_imap_server_condition(im->e, PH_IMAP_OK, &permanent,
                             v->read_only ? "No flags can be changed." : "Flags that last.");
    code_number(im, PH_IMAP_CODE_UIDVALIDITY, v->uidvalidity, "UIDs are valid.");
    code_number(im, PH_IMAP_CODE_UIDNEXT, job->uidnext, "The next UID.");
    imap_finish_kind(im, PH_IMAP_OK,
                     v->read_only ? PH_IMAP_CODE_READ_ONLY : PH_IMAP_CODE_READ_WRITE, "Selected.");
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
    ph_buf_add(&v->name, box.name);
    imap_view_learn(v, o->keywords);
    job->first_unseen = o->first_unseen;
    job->uidnext = box.uidnext;
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
    imap_close_view(im); /* also when this one cannot be selected: RFC 9051 6.3.2 */
    im->job = calloc(1, sizeof(struct selecting));
    im->job_free = free;
    if (!im->job) {
        imap_no_memory(im);
        return;
    }
    uint64_t req = imap_ask(im, IPC_MB_OPENED, selected);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MB_OPEN, -1, .req = req, .session = im->s->grant,
                               .name = imap_name(im, im->cmd->mailbox.name),
                               .mode = examine ? IPC_OPEN_RO : IPC_OPEN_RW));
}

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

/* ---- CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE
 * ------------------------------------------------------ */

static void changed(struct imap *im, struct ipc_msg *msg)
{
    if (!msg)
        imap_unavailable(im);
    else if (msg->STORE_DONE.verdict != IPC_OK)
        imap_fail(im, msg->STORE_DONE.verdict, msg->STORE_DONE.text);
    else
        imap_finish(im, PH_IMAP_OK, NULL, "Done.");
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
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_CANNOT,
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

/* ---- LIST, LSUB
 * ------------------------------------------------------------------------------------------------
 */

static unsigned list_bits(const struct ipc_mailbox *m)
{
    unsigned bits = ph_imap_mailbox_bit(m->special) & PH_IMAP_MB_SPECIAL;
    if (m->bits & IPC_MB_NOSELECT)
        bits |= PH_IMAP_MB_NOSELECT;
    return bits | (m->bits & IPC_MB_CHILDREN ? PH_IMAP_MB_HASCHILDREN : PH_IMAP_MB_HASNOCHILDREN);
}

/* The pattern behind its reference, as one. */
static ph_str whole_pattern(struct imap *im, ph_str pattern)
{
    struct ph_arena *a = ph_imap_server_arena(im->e);
    ph_str whole =
        a ? ph_arena_printf(a, "%.*s%.*s", PH_FMT(im->cmd->list.reference), PH_FMT(pattern))
          : pattern;
    return whole.p ? whole : pattern;
}

static bool matches(ph_str pattern, ph_str name)
{
    return ph_imap_list_match(pattern, name, SEPARATOR);
}

/* LSUB "%": a subscribed name further down shows its ancestor here as \Noselect (RFC 3501 6.3.9).
 * The ancestor is told once: `last` is the one told before, and names come sorted. */
static void tell_ancestor(struct imap *im, ph_str pattern, ph_str name, struct ph_buf *last)
{
    for (size_t at = 0; at < name.n; at++) {
        ph_str up = ph_str_sub(name, 0, at);
        if (name.p[at] != SEPARATOR || !matches(pattern, up))
            continue;
        if (!ph_str_eq(ph_buf_str(last), up))
            ph_imap_server_list(im->e, &(struct ph_imap_list){.name = up,
                                                              .bits = PH_IMAP_MB_NOSELECT,
                                                              .separator = SEPARATOR,
                                                              .lsub = true});
        ph_buf_clear(last);
        ph_buf_add(last, up);
        return;
    }
}

static void tell_mailbox(struct imap *im, ph_str pattern, const struct ipc_mailbox *m,
                         struct ph_buf *last)
{
    bool lsub = im->cmd->verb == PH_IMAP_LSUB;
    if (!(lsub ? m->bits & IPC_MB_SUBSCRIBED : !(m->bits & IPC_MB_NONEXISTENT)))
        return;
    if (!matches(pattern, m->name)) {
        if (lsub && pattern.n && pattern.p[pattern.n - 1] == '%')
            tell_ancestor(im, pattern, m->name, last);
        return;
    }
    ph_imap_server_list(
        im->e, &(struct ph_imap_list){
                   .name = m->name, .bits = list_bits(m), .separator = SEPARATOR, .lsub = lsub});
}

static void listed(struct imap *im, struct ipc_msg *msg)
{
    struct ph_buf last;
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    if (msg->MB_LISTED.verdict != IPC_OK) {
        imap_fail(im, msg->MB_LISTED.verdict, (ph_str){0});
        return;
    }
    ph_buf_init(&last, NULL, 4096);
    for (size_t i = 0; i < im->cmd->list.pattern_count; i++) {
        ph_str pattern = whole_pattern(im, im->cmd->list.patterns[i]),
               rows = msg->MB_LISTED.mailboxes;
        struct ipc_mailbox m;
        while (ipc_each(mailbox, &rows, &m))
            tell_mailbox(im, pattern, &m, &last);
    }
    ph_buf_done(&last);
    imap_finish(im, PH_IMAP_OK, NULL, "Done.");
}

void imap_run_list(struct imap *im)
{
    const struct ph_imap_command *c = im->cmd;
    if (c->verb == PH_IMAP_LIST && c->list.pattern_count == 1 && c->list.patterns[0].n == 0) {
        ph_imap_server_list(im->e, &(struct ph_imap_list){.name = PH_STR(""),
                                                          .bits = PH_IMAP_MB_NOSELECT,
                                                          .separator = SEPARATOR});
        imap_finish(im, PH_IMAP_OK, NULL, "Done.");
        return;
    }
    uint64_t req = imap_ask(im, IPC_MB_LISTED, listed);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MB_LIST, -1, .req = req, .session = im->s->grant));
}

/* ---- STATUS
 * -------------------------------------------------------------------------------------------------------
 */

static void status_known(struct imap *im, struct ipc_msg *msg)
{
    struct ipc_mailbox m;
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
    bool own = im->view.open && im->view.mailbox == m.id;
    struct ph_imap_status st = {.name = m.name,
                                .mask = im->cmd->status.items,
                                .messages = m.messages,
                                .recent = own ? imap_view_recent(&im->view) : 0,
                                .uidnext = m.uidnext,
                                .uidvalidity = m.uidvalidity,
                                .unseen = m.unseen,
                                .deleted = m.deleted,
                                .size = m.size,
                                .highestmodseq = m.modseq};
    ph_imap_server_status(im->e, &st);
    imap_finish(im, PH_IMAP_OK, NULL, "Done.");
}

void imap_run_status(struct imap *im)
{
    ph_str name = imap_name(im, im->cmd->status.name);
    if (name.n == 0 || im->cmd->status.items & PH_IMAP_ST_HIGHESTMODSEQ) {
        imap_finish(im, PH_IMAP_BAD, NULL,
                    name.n ? "HIGHESTMODSEQ is not implemented here." : "A mailbox has a name.");
        return;
    }
    uint64_t req = imap_ask(im, IPC_MB_LISTED, status_known);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MB_LIST, -1, .req = req, .session = im->s->grant,
                               .name = name));
}
