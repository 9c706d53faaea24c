/*
 * ops.c - each request of messages.def's "store" section, answered with the backend's operations.
 * Runs in a worker.
 *
 * A function fills j->answer and returns 0, or a negative code. What it hands out as text lives in
 * j's buffers.
 */
#include "store_int.h"
#include "summary.h"

#include <assert.h>
#include <string.h>

static const struct store_ops *const be = &store_sqlite;

static_assert(IPC_SEEN == (int)STORE_SEEN && IPC_DRAFT == (int)STORE_DRAFT &&
                  IPC_FRESH == (int)STORE_FRESH,
              "flags");
static_assert(IPC_FLAGS_DEL == (int)STORE_FLAGS_DEL && IPC_FLAGS_ADD == (int)STORE_FLAGS_ADD,
              "flag ops");
static_assert(IPC_F_THREAD == (int)STORE_F_THREAD, "fetch masks");
static_assert(IPC_F_UIDL == (int)STORE_F_UIDL, "fetch masks");
static_assert(IPC_F_BODY == (int)STORE_F_BODY && IPC_F_DATES == (int)STORE_F_DATES, "fetch masks");
static_assert(IPC_UNSUBSCRIBE == (int)STORE_UNSUBSCRIBE && IPC_RENAME == (int)STORE_RENAME,
              "changes");
static_assert(IPC_MB_CHILDREN == (int)STORE_MB_CHILDREN &&
                  IPC_MB_NOSELECT == (int)STORE_MB_NOSELECT,
              "mailbox bits");

static void touch(struct job *j, uint64_t mailbox, uint64_t modseq, bool own)
{
    if (j->touched_n < TOUCHED_MAX)
        j->touched[j->touched_n++] = (struct touched){mailbox, modseq, own};
}

static int parse_uids(ph_str text, struct uidset *ret, struct ph_error *reterr)
{
    *ret = (struct uidset){0};
    int r = uidset_parse(ret, text);
    if (r < 0) {
        uidset_done(ret);
        return ph_fail(reterr, -r, 0, "not a set of uids");
    }
    return 0;
}

/* ---- mailboxes ---------------------------------------------------------------------------- */

static struct ipc_mailbox mailbox_row(const struct store_mailbox *m)
{
    return (struct ipc_mailbox){.id = m->id,
                                .name = m->name,
                                .special = m->special,
                                .bits = (ipc_u8)m->bits,
                                .uidvalidity = m->uidvalidity,
                                .uidnext = m->uidnext,
                                .messages = m->messages,
                                .unseen = m->unseen,
                                .deleted = m->deleted,
                                .recent = m->recent,
                                .size = m->size,
                                .modseq = m->modseq};
}

static int add_mailbox(void *ctx, const struct store_mailbox *m)
{
    struct job *j = ctx;
    struct ipc_mailbox row = mailbox_row(m);
    ipc_add(mailbox, &j->rows, &row);
    return 0;
}

static int run_mb_list(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    int r = be->mailboxes(a, j->ask.MB_LIST.name, add_mailbox, j, reterr);
    if (r == 0 && ph_buf_err(&j->rows))
        r = ph_fail(reterr, PH_ELIMIT, 0, "too many mailboxes for one answer");
    j->answer.MB_LISTED.mailboxes = ph_buf_str(&j->rows);
    return r;
}

struct one_mailbox {
    uint64_t id, modseq;
};

static int take_id(void *ctx, const struct store_mailbox *m)
{
    struct one_mailbox *one = ctx;
    one->id = m->id;
    one->modseq = m->modseq;
    return 0;
}

static int run_mb_change(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_MB_CHANGE *m = &j->ask.MB_CHANGE;
    uint64_t id = 0;
    if (m->op > IPC_UNSUBSCRIBE)
        return ph_fail(reterr, PH_EINVAL, 0, "no such change");
    int r = be->change(a, (enum store_change)m->op, m->name, m->to, m->special, &id, reterr);
    if (r < 0)
        return r;
    j->answer.STORE_DONE.id = id;
    if (m->op == IPC_DELETE)
        touch(j, id, UINT64_MAX, true);
    struct one_mailbox inbox = {0};
    if (m->op == IPC_RENAME && ph_str_ieq(m->name, PH_STR("INBOX")) &&
        be->mailboxes(a, PH_STR("INBOX"), take_id, &inbox, NULL) == 0)
        touch(j, inbox.id, inbox.modseq, true);
    return 0;
}

/* The uids as far as the field reaches, in whole ranges. */
static uint32_t print_uids(const struct uidset *uids, size_t most, struct ph_buf *out)
{
    enum { RANGE_MAX = 22 };
    uint32_t last = 0;
    for (size_t i = 0; i < uids->n; i++) {
        if (out->n + RANGE_MAX > most)
            return last;
        struct uidset one = {&uids->v[i], 1, 1};
        if (out->n > 0)
            ph_buf_addc(out, ',');
        uidset_print(&one, out);
        last = uids->v[i].to;
    }
    return 0;
}

static int run_mb_open(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_MB_OPEN *m = &j->ask.MB_OPEN;
    struct store_selected s;
    struct uidset uids = {0};
    int r = be->select(a, m->name, m->mode == IPC_OPEN_RW, &s, &uids, reterr);
    if (r == 0) {
        struct ipc_mailbox row = mailbox_row(&s.mailbox);
        struct ipc_MB_OPENED *out = &j->answer.MB_OPENED;
        ipc_add(mailbox, &j->rows, &row);
        ph_buf_add(&j->text2, s.keywords);
        out->uids_to = print_uids(&uids, 524288, &j->text);
        out->mailbox = ph_buf_str(&j->rows);
        out->recent_from = s.recent_from;
        out->first_unseen = s.first_unseen;
        out->keywords = ph_buf_str(&j->text2);
        out->uids = ph_buf_str(&j->text);
        touch(j, s.mailbox.id, 0, false); /* for the main thread: what was opened */
        if (ph_buf_err(&j->rows) || ph_buf_err(&j->text) || ph_buf_err(&j->text2))
            r = ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    }
    uidset_done(&uids);
    return r;
}

/* ---- messages ----------------------------------------------------------------------------- */

struct listing {
    struct job *j;
    uint32_t mask, next;
};

static int add_message(void *ctx, const struct store_message *m)
{
    struct listing *l = ctx;
    struct ph_buf *rows = &l->j->rows;
    struct ipc_message row = {.uid = m->uid, .modseq = m->modseq, .emailid = m->emailid};
    if (l->mask & IPC_F_FLAGS) {
        row.flags = (ipc_u8)m->flags;
        row.keywords = m->keywords;
    }
    if (l->mask & IPC_F_DATES) {
        row.date = m->date;
        row.saved = m->saved;
    }
    if (l->mask & (IPC_F_SIZE | IPC_F_BODY))
        row.size = m->size;
    if (l->mask & IPC_F_THREAD)
        row.thread = m->thread;
    if (l->mask & IPC_F_SUMMARY)
        row.summary = m->summary;
    if (l->mask & IPC_F_UIDL)
        row.uidl = m->uidl;
    if (l->mask & IPC_F_BODY) {
        row.body = m->body;
        row.packed = m->packed;
        row.flags |= (ipc_u8)(m->flags & STORE_FRESH);
        row.qid = m->qid;
        row.journey = m->journey;
    }
    size_t need = row.summary.n + row.body.n + row.keywords.n + row.journey.n + 128;
    if (rows->n > 0 && rows->n + need > IPC_REPLY) {
        l->next = m->uid;
        return 1;
    }
    ipc_add(message, rows, &row);
    return 0;
}

static int run_msg_list(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_MSG_LIST *m = &j->ask.MSG_LIST;
    struct listing l = {j, m->mask, 0};
    struct uidset uids;
    int r = parse_uids(m->uids, &uids, reterr);
    if (r < 0)
        return r;
    r = be->list(a, m->mailbox, &uids, m->mask | STORE_F_PACKED, m->since, add_message, &l, reterr);
    uidset_done(&uids);
    if (r >= 0 && ph_buf_err(&j->rows))
        r = ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    j->answer.MSG_LISTED.messages = ph_buf_str(&j->rows);
    j->answer.MSG_LISTED.next = l.next;
    return r < 0 ? r : 0;
}

static int run_msg_body(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_MSG_BODY *m = &j->ask.MSG_BODY;
    struct ipc_MSG_BODIED *out = &j->answer.MSG_BODIED;
    struct store_body b;
    int r = be->body(a, m->mailbox, m->uid, m->peek, &b, reterr);
    if (r < 0)
        return r;
    j->answer.fd = b.fd;
    ph_buf_add(&j->text, b.bytes);
    ph_buf_add(&j->text2, b.journey);
    out->size = b.size;
    out->body = ph_buf_str(&j->text);
    out->journey = ph_buf_str(&j->text2);
    out->qid = b.qid;
    return ph_buf_err(&j->text) || ph_buf_err(&j->text2)
               ? ph_fail(reterr, PH_ENOMEM, 0, "out of memory")
               : 0;
}

static int run_msg_flags(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_MSG_FLAGS *m = &j->ask.MSG_FLAGS;
    struct ipc_MSG_FLAGGED *out = &j->answer.MSG_FLAGGED;
    struct listing l = {j, IPC_F_FLAGS, 0};
    struct store_flagging f = {(enum store_flag_op)m->op, m->flags, m->keywords,
                               m->unchanged_since};
    struct uidset uids, modified = {0};
    uint64_t modseq = 0;
    if (m->op > IPC_FLAGS_DEL)
        return ph_fail(reterr, PH_EINVAL, 0, "no such change of flags");
    int r = parse_uids(m->uids, &uids, reterr);
    if (r < 0)
        return r;
    r = be->flags(a, m->mailbox, &uids, &f, add_message, &l, &modified, &modseq, reterr);
    if (r >= 0 && print_uids(&modified, 65536, &j->text)) {
        j->undo = true;
        r = ph_fail(reterr, PH_ELIMIT, 0, "too many changed messages; store in smaller sets");
    }
    if (r >= 0) {
        if (modseq)
            touch(j, m->mailbox, modseq, false);
        out->messages = ph_buf_str(&j->rows);
        out->next = l.next;
        out->modified = ph_buf_str(&j->text);
    }
    uidset_done(&uids);
    uidset_done(&modified);
    return r < 0 ? r : 0;
}

static int put_one(const struct job *j, ph_str mailbox, struct store_account *a,
                   struct store_put *ret, struct ph_error *reterr)
{
    const struct ipc_MSG_APPEND *m = &j->ask.MSG_APPEND;
    ph_str thread[PH_THREAD_IDS];
    struct store_letter l = {.mailbox = mailbox,
                             .thread = thread,
                             .thread_n = ph_summary_thread(m->summary, thread),
                             .flags = m->flags,
                             .keywords = m->keywords,
                             .date = m->date,
                             .message_id = m->message_id,
                             .summary = m->summary,
                             .body = j->body};
    return j->failed ? ph_fail(reterr, PH_EINVAL, 0, "a message did not arrive whole")
                     : be->put(a, &l, ret, reterr);
}

static int no_row(void *ctx, const struct store_message *m)
{
    (void)ctx, (void)m;
    return 0;
}

/* RFC 8508 3: the message that is replaced goes in the same transaction. */
static int take_away(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_MSG_APPEND *m = &j->ask.MSG_APPEND;
    struct store_flagging f = {STORE_FLAGS_ADD, STORE_DELETED, {0}, UINT64_MAX};
    struct uidset uids = {0}, gone = {0}, modified = {0};
    uint64_t modseq = 0;
    int r = uidset_add(&uids, m->replaces, m->replaces);
    if (r >= 0)
        r = be->flags(a, m->mailbox, &uids, &f, no_row, NULL, &modified, &modseq, reterr);
    if (r >= 0)
        r = be->expunge(a, m->mailbox, &uids, &gone, &modseq, reterr);
    if (r >= 0 && gone.n == 0)
        r = ph_fail(reterr, PH_EINVAL, 0, "the message to be replaced is not there any more");
    if (r >= 0)
        touch(j, m->mailbox, modseq, true);
    uidset_done(&uids);
    uidset_done(&gone);
    uidset_done(&modified);
    return r < 0 ? r : 0;
}

static int run_append(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    struct ipc_MSG_APPENDED *out = &j->answer.MSG_APPENDED;
    struct store_put p = {0};
    int r = 0;
    for (struct job *one = j->group; one && r >= 0; one = one->group) {
        r = put_one(one, j->ask.MSG_APPEND.name, a, &p, reterr);
        out->first = out->first ? out->first : p.uid;
    }
    if (r >= 0)
        r = put_one(j, j->ask.MSG_APPEND.name, a, &p, reterr);
    if (r >= 0) {
        out->uidvalidity = p.uidvalidity;
        out->uid = p.uid;
        out->first = out->first ? out->first : p.uid;
        touch(j, p.mailbox, p.modseq, true);
    }
    if (r >= 0 && j->ask.MSG_APPEND.replaces)
        r = take_away(j, a, reterr);
    if (r < 0 && (j->group || j->ask.MSG_APPEND.replaces))
        j->undo = true;
    return r;
}

static int run_deliver(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_DELIVER *m = &j->ask.DELIVER;
    struct store_put p;
    ph_str thread[PH_THREAD_IDS];
    struct store_letter l = {.qid = m->qid,
                             .thread = thread,
                             .thread_n = ph_summary_thread(m->summary, thread),
                             .address = m->address,
                             .mailbox = m->mailbox.n ? m->mailbox : PH_STR("INBOX"),
                             .date = m->received,
                             .message_id = m->message_id,
                             .summary = m->summary,
                             .body = j->body,
                             .packed = m->packed ? m->size : 0};
    if (m->qid == 0)
        return ph_fail(reterr, PH_EINVAL, 0, "a delivery without queue id");
    int r = be->put(a, &l, &p, reterr);
    if (r < 0)
        return r;
    j->answer.DELIVERED.verdict = p.again ? IPC_EXISTS : IPC_OK;
    j->answer.DELIVERED.uid = p.uid;
    if (!p.again)
        touch(j, p.mailbox, p.modseq, true);
    return 0;
}

static int run_copy(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_MSG_COPY *m = &j->ask.MSG_COPY;
    struct ipc_MSG_COPIED *out = &j->answer.MSG_COPIED;
    struct store_copied c;
    struct uidset uids;
    int r = parse_uids(m->uids, &uids, reterr);
    if (r < 0)
        return r;
    r = be->copy(a, m->mailbox, &uids, m->name, m->move, &c, reterr);
    uidset_done(&uids);
    if (r < 0) /* NOENT is the target here, which IMAP answers with TRYCREATE */
        return r == -PH_EINVAL ? -PH_ENOENT : r == -PH_ENOENT ? -PH_EINVAL : r;
    if (print_uids(&c.from, 262144, &j->text) || print_uids(&c.to, 262144, &j->text2)) {
        j->undo = true;
        r = ph_fail(reterr, PH_ELIMIT, 0, "too many messages; copy in smaller sets");
    }
    if (c.to.n > 0)
        touch(j, c.to_mailbox, c.to_modseq, true);
    if (m->move && c.to.n > 0)
        touch(j, m->mailbox, c.from_modseq, false);
    out->uidvalidity = c.uidvalidity;
    out->from_uids = ph_buf_str(&j->text);
    out->to_uids = ph_buf_str(&j->text2);
    out->modseq = c.from_modseq;
    uidset_done(&c.from);
    uidset_done(&c.to);
    return r < 0 ? r : 0;
}

static int run_expunge(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_MSG_EXPUNGE *m = &j->ask.MSG_EXPUNGE;
    struct uidset uids = {0}, gone = {0};
    uint64_t modseq = 0;
    int r = m->uids.n ? parse_uids(m->uids, &uids, reterr) : 0;
    if (r < 0)
        return r;
    r = be->expunge(a, m->mailbox, m->uids.n ? &uids : NULL, &gone, &modseq, reterr);
    if (r >= 0 && print_uids(&gone, 524288, &j->text)) {
        j->undo = true;
        r = ph_fail(reterr, PH_ELIMIT, 0, "too many messages; expunge in smaller sets");
    }
    if (r >= 0) {
        j->answer.MSG_EXPUNGED.uids = ph_buf_str(&j->text);
        j->answer.MSG_EXPUNGED.modseq = modseq;
        if (gone.n > 0)
            touch(j, m->mailbox, modseq, false);
    }
    uidset_done(&uids);
    uidset_done(&gone);
    return r < 0 ? r : 0;
}

static int run_changes(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_MB_CHANGES *m = &j->ask.MB_CHANGES;
    struct ipc_MB_CHANGED *out = &j->answer.MB_CHANGED;
    struct listing l = {j, IPC_F_FLAGS, 0};
    struct uidset gone = {0};
    int r = be->changes(a, m->mailbox, m->since, add_message, &l, &gone, &out->modseq, reterr);
    uidset_print(&gone, &j->text);
    uidset_done(&gone);
    if (r >= 0 && (ph_buf_err(&j->rows) || ph_buf_err(&j->text)))
        r = ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    out->messages = ph_buf_str(&j->rows);
    out->gone = ph_buf_str(&j->text);
    out->more = r > 0;
    return r < 0 ? r : 0;
}

enum { NEEDLES_MAX = 16 };

static int add_hit(struct job *j, const struct store_needle *x)
{
    struct ph_buf yes, maybe;
    ph_buf_init(&yes, NULL, 458752);
    ph_buf_init(&maybe, NULL, 458752);
    uidset_print(&x->yes, &yes);
    uidset_print(&x->maybe, &maybe);
    struct ipc_hit row = {ph_buf_str(&yes), ph_buf_str(&maybe)};
    ipc_add(hit, &j->rows, &row);
    bool failed = ph_buf_err(&yes) || ph_buf_err(&maybe) || ph_buf_err(&j->rows);
    ph_buf_done(&yes);
    ph_buf_done(&maybe);
    return failed ? -PH_ENOMEM : 0;
}

static int run_search(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    const struct ipc_MSG_SEARCH *m = &j->ask.MSG_SEARCH;
    struct store_needle needles[NEEDLES_MAX] = {0};
    struct ipc_needle row;
    struct uidset uids;
    uint32_t next = 0;
    size_t n = 0;
    ph_str rows = m->needles;
    for (; n < NEEDLES_MAX && ipc_each(needle, &rows, &row); n++)
        needles[n] = (struct store_needle){.in = (enum store_find_in)row.kind, .text = row.text};
    if (rows.n > 0)
        return ph_fail(reterr, PH_ELIMIT, 0, "at most %d texts at a time", NEEDLES_MAX);
    int r = parse_uids(m->uids, &uids, reterr);
    if (r < 0)
        return r;
    r = be->search(a, m->mailbox, &uids, needles, n, &next, reterr);
    for (size_t i = 0; i < n; i++) {
        if (r >= 0 && add_hit(j, &needles[i]) < 0)
            r = ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
        uidset_done(&needles[i].yes);
        uidset_done(&needles[i].maybe);
    }
    uidset_done(&uids);
    j->answer.MSG_SEARCHED.hits = ph_buf_str(&j->rows);
    j->answer.MSG_SEARCHED.next = next;
    return r < 0 ? r : 0;
}

static int add_usage(void *ctx, const struct store_mailbox *m)
{
    struct ipc_QUOTA_TOLD *q = ctx;
    q->messages += m->messages;
    q->bytes += m->size;
    return 0;
}

static int run_quota(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    struct ipc_QUOTA_TOLD *q = &j->answer.QUOTA_TOLD;
    q->most_bytes = j->limits.bytes;
    q->most_messages = j->limits.messages;
    return be->mailboxes(a, PH_STR(""), add_usage, q, reterr);
}

static int run_nothing(struct job *j, struct store_account *a, struct ph_error *reterr)
{
    (void)j, (void)a, (void)reterr;
    return 0;
}

static bool is_one_message(const struct job *j)
{
    ph_str uids = j->ask.MSG_FLAGS.uids;
    return ph_str_chr(uids, ':') == PH_NPOS && ph_str_chr(uids, ',') == PH_NPOS;
}

/* A small one, too: large bodies are mapped. */
static bool is_one_letter(const struct job *j)
{
    return !j->group && !j->mapped;
}

#define OP(ask, reply, ...)                                                                        \
    [IPC_##ask] = {                                                                                \
        .answer = IPC_##reply, .verdict_at = offsetof(struct ipc_##reply, verdict), __VA_ARGS__}
#define TEXT(reply) .text_at = offsetof(struct ipc_##reply, text)

const struct op store_ops_table[IPC_TYPE_COUNT] = {
    OP(GRANT, GRANTED, TEXT(GRANTED), .run = run_nothing, .create = true),
    OP(DELIVER, DELIVERED, TEXT(DELIVERED), .run = run_deliver, .create = true),
    OP(MB_LIST, MB_LISTED, .run = run_mb_list),
    OP(MB_CHANGE, STORE_DONE, TEXT(STORE_DONE), .run = run_mb_change),
    OP(MB_OPEN, MB_OPENED, TEXT(MB_OPENED), .run = run_mb_open),
    OP(MSG_LIST, MSG_LISTED, .run = run_msg_list),
    OP(MSG_BODY, MSG_BODIED, .run = run_msg_body),
    OP(MSG_FLAGS, MSG_FLAGGED, TEXT(MSG_FLAGGED), .run = run_msg_flags, .quick = is_one_message),
    OP(MSG_APPEND, MSG_APPENDED, TEXT(MSG_APPENDED), .run = run_append, .quick = is_one_letter,
       .durable = true),
    OP(MSG_COPY, MSG_COPIED, TEXT(MSG_COPIED), .run = run_copy, .durable = true),
    OP(MSG_EXPUNGE, MSG_EXPUNGED, TEXT(MSG_EXPUNGED), .run = run_expunge),
    OP(MB_CHANGES, MB_CHANGED, .run = run_changes),
    OP(MSG_SEARCH, MSG_SEARCHED, TEXT(MSG_SEARCHED), .run = run_search),
    [IPC_INDEXED] = {.run = index_run}, /* nobody is answered */
    OP(QUOTA_GET, QUOTA_TOLD, .run = run_quota),
    OP(SYNC, STORE_DONE, TEXT(STORE_DONE), .run = run_nothing, .durable = true),
    [IPC_REVOKE] = {.run = run_nothing}, /* the worker erases; nobody is answered */
};
