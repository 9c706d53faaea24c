/*
 * FETCH. Messages come from the store in pages of metadata; a page is worked through row by row,
 * and where bytes of a message are needed they are asked for, one message at a time. Nothing is
 * asked for while more than IMAP_HIGH bytes wait to be sent.
 *
 *   ask_page -> PAGE -> rows: [MSG_BODY ->] attributes, sections in pieces (DRAINED between) -> ...
 * -> \Seen for the page
 *      ^------------------------------------- next
 * ------------------------------------------------------'
 *
 * Header sections alone are read along with the page (IPC_F_BODY) where they fit; this is not
 * "reading" a message, and does not enter its journey.
 */
#include "imap_session.h"
#include "summary.h"
#include <stdlib.h>
#include <string.h>

enum {
    UIDS_MAX = 524288,
    PAGE_MAX = 1024 * 1024,
    MESSAGE_ARENA = 64 * 1024 * 1024,
    PIECE = 128 * 1024,
    AT_ONCE = 1024 * 1024
};

struct fetching {
    const struct ph_imap_items *items;
    struct imap_ranges places;
    unsigned mask;        /* IPC_F_ of a page */
    bool sections, whole; /* any section; one that is more than headers */
    bool sets_seen;
    uint32_t next;            /* uid at which the next page begins; 0: none */
    struct ph_buf page, uids; /* uids: of the set, then of those to become \Seen */
    ph_str rows;              /* of page, still to do */
    struct ipc_message row;
    uint32_t place;
    struct ph_arena *arena; /* of one message */
    struct ph_buf built;    /* header fields of one section */
    struct ph_buf kept;     /* an inline body that could not be sent at once */
    struct imap_body body;
    const struct ph_part *root;
    size_t section; /* the next one to send */
    ph_str piece;   /* what is left of the one being sent */
};

static void fetch_free(void *job)
{
    struct fetching *f = job;
    imap_body_done(&f->body);
    ph_buf_done(&f->page);
    ph_buf_done(&f->uids);
    ph_buf_done(&f->built);
    ph_buf_done(&f->kept);
    ph_arena_free(f->arena);
    free(f);
}

static void rows_on(struct imap *im);
static void ask_page(struct imap *im);

/* The answer has begun and cannot be ended well: inside a literal only the end of the session is
 * left. */
static void break_off(struct imap *im, bool in_answer)
{
    if (in_answer)
        ph_imap_server_bye(im->e, PH_IMAP_CODE_UNAVAILABLE, "The message cannot be read.");
    imap_unavailable(im);
}

/* ---- one message
 * ---------------------------------------------------------------------------------------- */

static void fetched_by(struct imap *im, const struct ipc_MSG_BODIED *m)
{
    struct ipc_chan *queue = session_chan(im->s, ROLE_QUEUE);
    struct ph_buf rows;
    if (!queue || m->journey.n == 0)
        return;
    struct ipc_event ev = {.time = ph_wall_us(),
                           .kind = EV_FETCHED,
                           .process = PH_STR("access"),
                           .rcpt = ph_str_c(im->s->user),
                           .peer = ph_str_c(im->s->peer.text),
                           .tls = ph_str_c(im->s->tls_text),
                           .auth = ph_str_c(im->s->auth),
                           .note = PH_STR("by IMAP"),
                           .host = im->s->proc->conf->hostname,
                           .qid = m->qid};
    ph_buf_init(&rows, NULL, 65536);
    ipc_add(event, &rows, &ev);
    if (!ph_buf_err(&rows))
        ipc_send(queue, JOURNAL, -1, .message_id = m->journey, .events = ph_buf_str(&rows));
    ph_buf_done(&rows);
}

static void attributes(struct imap *im, const struct ph_summary *sum)
{
    struct fetching *f = im->job;
    unsigned mask = f->items->mask;
    if (mask & PH_IMAP_F_UID)
        ph_imap_server_fetch_uid(im->e, f->row.uid);
    if (mask & PH_IMAP_F_FLAGS) {
        struct ph_imap_flags flags = imap_flags(im, &f->row);
        ph_imap_server_fetch_flags(im->e, &flags);
    }
    if (mask & PH_IMAP_F_INTERNALDATE)
        ph_imap_server_fetch_date(im->e, f->row.date / 1000000);
    if (mask & PH_IMAP_F_SIZE)
        ph_imap_server_fetch_size(im->e, f->row.size);
    if (!sum)
        return;
    if (mask & PH_IMAP_F_ENVELOPE) {
        static const struct ph_imap_envelope none;
        const struct ph_imap_envelope *e = imap_envelope(f->arena, sum->root->envelope);
        ph_imap_server_fetch_envelope(im->e, e ? e : &none);
    }
    if (mask & (PH_IMAP_F_BODY | PH_IMAP_F_BODYSTRUCTURE)) {
        static const struct ph_imap_body none;
        const struct ph_imap_body *b = imap_structure(f->arena, sum->root);
        if (mask & PH_IMAP_F_BODY)
            ph_imap_server_fetch_body(im->e, b ? b : &none, false);
        if (mask & PH_IMAP_F_BODYSTRUCTURE)
            ph_imap_server_fetch_body(im->e, b ? b : &none, true);
    }
}

/* Sends pieces of sections while there is room. false: wait for DRAINED. */
static bool send_sections(struct imap *im, bool at_once)
{
    struct fetching *f = im->job;
    while (f->piece.n || f->section < f->items->section_count) {
        if (!at_once && ph_imap_server_backlog(im->e) > IMAP_HIGH)
            return false;
        if (f->piece.n) {
            ph_str now = ph_str_sub(f->piece, 0, PIECE);
            ph_imap_server_section_data(im->e, now);
            f->piece = ph_str_skip(f->piece, now.n);
            continue;
        }
        const struct ph_imap_section *sec = &f->items->sections[f->section++];
        ph_buf_clear(&f->built);
        ph_str bytes = {0};
        if (f->root && imap_section(f->root, f->body.bytes, sec, &f->built, &bytes) < 0)
            bytes = (ph_str){0};
        if (!bytes.p) {
            ph_imap_server_fetch_nil(im->e, sec);
            continue;
        }
        ph_imap_server_fetch_section(im->e, sec, bytes.n);
        f->piece = bytes;
    }
    return true;
}

static void message_done(struct imap *im)
{
    struct fetching *f = im->job;
    ph_imap_server_fetch_end(im->e);
    imap_body_done(&f->body);
    ph_buf_clear(&f->kept);
    ph_buf_shrink(&f->kept);
    if (f->sets_seen && !(f->row.flags & IPC_SEEN)) {
        if (f->uids.n)
            ph_buf_addc(&f->uids, ',');
        ph_buf_addu(&f->uids, f->row.uid);
    }
}

static void sections_on(struct imap *im)
{
    if (!send_sections(im, false)) {
        im->resume = sections_on;
        ph_imap_server_when_drained(im->e, IMAP_LOW);
        return;
    }
    message_done(im);
    rows_on(im);
}

/* The tree that sections are cut by: from the summary, or from the bytes where the summary is
 * partial or damaged. */
static bool tree_of(struct fetching *f, const struct ph_summary *sum)
{
    struct ph_message *m;
    f->root = sum && !sum->partial && sum->size == f->body.bytes.n ? sum->root : NULL;
    if (!f->root && ph_mime_parse(f->arena, f->body.bytes, NULL, &m) == 0)
        f->root = m->root;
    return f->root != NULL;
}

/* BODYSTRUCTURE of a message whose structure did not fit its summary: made anew from the bytes. */
static struct ph_summary *full_summary(struct fetching *f)
{
    struct ph_summary *sum = NULL;
    ph_buf_done(&f->kept);
    ph_buf_init(&f->kept, NULL, MESSAGE_ARENA);
    if (ph_summary_full(f->body.bytes, &f->kept) < 0 ||
        ph_summary_read(f->arena, ph_buf_str(&f->kept), &sum) < 0)
        return NULL;
    return sum;
}

/* All that is told of one message, its bytes (if any are needed) being in f->body. true: go on with
 * the next one. */
static bool tell_message(struct imap *im)
{
    struct fetching *f = im->job;
    struct ph_summary *sum = NULL;
    bool bytes = f->body.bytes.n > 0;
    f->arena = ph_arena_free(f->arena);
    f->arena = ph_arena_new(NULL, MESSAGE_ARENA);
    f->section = 0;
    f->piece = (ph_str){0};
    f->root = NULL;
    if (!f->arena) {
        break_off(im, false);
        return false;
    }
    if (f->mask & IPC_F_SUMMARY && ph_summary_read(f->arena, f->row.summary, &sum) < 0)
        sum = NULL;
    if (f->sections && (!bytes || !tree_of(f, sum)))
        f->root = NULL;
    unsigned wants =
        f->items->mask & (PH_IMAP_F_ENVELOPE | PH_IMAP_F_BODY | PH_IMAP_F_BODYSTRUCTURE);
    if (wants && (!sum || sum->partial) && bytes)
        sum = full_summary(f);
    ph_imap_server_fetch_begin(im->e, f->place + 1);
    attributes(im, sum);
    if (!f->sections) {
        message_done(im);
        return true;
    }
    if (!f->body.mapped && f->body.bytes.n * f->items->section_count > AT_ONCE) {
        /* Borrowed bytes that will not all go out now: a copy. */
        struct ph_buf copy;
        ph_buf_init(&copy, NULL, PAGE_MAX);
        ph_buf_add(&copy, f->body.bytes);
        ph_buf_done(&f->kept);
        f->kept = copy;
        if (ph_buf_err(&copy)) {
            break_off(im, true);
            return false;
        }
        f->body.bytes = ph_buf_str(&f->kept);
    } else if (!f->body.mapped) {
        send_sections(im, true);
        message_done(im);
        return true;
    }
    sections_on(im);
    return false;
}

static void bodied(struct imap *im, struct ipc_msg *msg)
{
    struct fetching *f = im->job;
    if (!msg || (msg->MSG_BODIED.verdict != IPC_OK && msg->MSG_BODIED.verdict != IPC_NOENT)) {
        break_off(im, false);
        return;
    }
    if (msg->MSG_BODIED.verdict ==
        IPC_NOENT) { /* expunged meanwhile: as if it had not been asked for */
        im->view.dirty = true;
        rows_on(im);
        return;
    }
    if (imap_body_take(msg, &f->body) < 0) {
        break_off(im, false);
        return;
    }
    if (f->whole)
        fetched_by(im, &msg->MSG_BODIED);
    if (tell_message(im))
        rows_on(im);
}

static void ask_body(struct imap *im)
{
    struct fetching *f = im->job;
    uint64_t req = imap_ask(im, IPC_MSG_BODIED, bodied);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_BODY, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .uid = f->row.uid));
}

/* ---- \Seen
 * -------------------------------------------------------------------------------------------------
 */

static void page_done(struct imap *im)
{
    struct fetching *f = im->job;
    if (f->next)
        ask_page(im);
    else
        imap_finish(im, PH_IMAP_OK, NULL, "Fetched.");
}

static void seen_set(struct imap *im, struct ipc_msg *msg)
{
    struct ipc_message m;
    if (!msg || msg->MSG_FLAGGED.verdict != IPC_OK) {
        imap_unavailable(im);
        return;
    }
    for (ph_str rows = msg->MSG_FLAGGED.messages; ipc_each(message, &rows, &m);) {
        uint32_t at = imap_view_find(&im->view, m.uid);
        if (at == UINT32_MAX)
            continue;
        imap_view_own(&im->view, m.modseq);
        imap_tell_flags(im, at, &m);
    }
    page_done(im);
}

static void set_seen(struct imap *im)
{
    struct fetching *f = im->job;
    uint64_t req = imap_ask(im, IPC_MSG_FLAGGED, seen_set);
    if (req)
        imap_sent(im,
                  ipc_send(imap_store(im), MSG_FLAGS, -1, .req = req, .session = im->s->grant,
                           .mailbox = im->view.mailbox, .uids = ph_buf_str(&f->uids),
                           .op = IPC_FLAGS_ADD, .flags = IPC_SEEN, .unchanged_since = UINT64_MAX));
}

/* ---- pages
 * ---------------------------------------------------------------------------------------------------
 */

static bool needs_bytes(const struct fetching *f)
{
    unsigned wants =
        f->items->mask & (PH_IMAP_F_ENVELOPE | PH_IMAP_F_BODY | PH_IMAP_F_BODYSTRUCTURE);
    if (f->sections)
        return f->whole || f->row.body.n == 0;
    if (!wants)
        return false;
    struct ph_arena *a = ph_arena_new(NULL, MESSAGE_ARENA);
    struct ph_summary *sum;
    bool needs = !a || ph_summary_read(a, f->row.summary, &sum) < 0 || sum->partial;
    ph_arena_free(a);
    return needs;
}

/* Goes on with the rows of the page until one needs the store or the client is slow. */
static void rows_on(struct imap *im)
{
    struct fetching *f = im->job;
    for (;;) {
        if (ph_imap_server_backlog(im->e) > IMAP_HIGH) {
            im->resume = rows_on;
            ph_imap_server_when_drained(im->e, IMAP_LOW);
            return;
        }
        if (!ipc_each(message, &f->rows, &f->row))
            break;
        f->place = imap_view_find(&im->view, f->row.uid);
        if (f->place >= im->view.told)
            continue;
        imap_body_done(&f->body);
        imap_tell_keywords(im, f->row.keywords);
        if (needs_bytes(f)) {
            ask_body(im);
            return;
        }
        if (f->sections)
            f->body.bytes = f->row.body;
        if (!tell_message(im))
            return;
    }
    if (f->uids.n)
        set_seen(im);
    else
        page_done(im);
}

static void paged(struct imap *im, struct ipc_msg *msg)
{
    struct fetching *f = im->job;
    if (!msg) {
        imap_unavailable(im);
        return;
    }
    if (msg->MSG_LISTED.verdict != IPC_OK) {
        imap_fail(im, msg->MSG_LISTED.verdict, (ph_str){0});
        return;
    }
    f->next = msg->MSG_LISTED.next;
    ph_buf_clear(&f->uids);
    ph_buf_clear(&f->page);
    ph_buf_add(&f->page, msg->MSG_LISTED.messages); /* rows outlive this answer: bodies and slow
                                                       clients are waited for */
    f->rows = ph_buf_str(&f->page);
    if (ph_buf_err(&f->page))
        imap_no_memory(im);
    else
        rows_on(im);
}

static void ask_page(struct imap *im)
{
    struct fetching *f = im->job;
    ph_buf_clear(&f->uids);
    imap_view_uids(&im->view, &f->places, f->next, &f->uids);
    if (ph_buf_err(&f->uids)) {
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_LIMIT, "Too many ranges; use smaller sets.");
        return;
    }
    uint64_t req = imap_ask(im, IPC_MSG_LISTED, paged);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_LIST, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .uids = ph_buf_str(&f->uids),
                               .mask = f->mask));
}

static void plan(struct imap *im, struct fetching *f)
{
    static const struct {
        unsigned item, mask;
    } needs[] = {{PH_IMAP_F_FLAGS, IPC_F_FLAGS},  {PH_IMAP_F_INTERNALDATE, IPC_F_DATES},
                 {PH_IMAP_F_SIZE, IPC_F_SIZE},    {PH_IMAP_F_ENVELOPE, IPC_F_SUMMARY},
                 {PH_IMAP_F_BODY, IPC_F_SUMMARY}, {PH_IMAP_F_BODYSTRUCTURE, IPC_F_SUMMARY}};
    f->items = &im->cmd->fetch.items;
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++)
        if (f->items->mask & needs[i].item)
            f->mask |= needs[i].mask;
    for (size_t i = 0; i < f->items->section_count; i++) {
        const struct ph_imap_section *s = &f->items->sections[i];
        f->sections = true;
        f->whole |= s->kind == PH_IMAP_SEC_BODY || s->kind == PH_IMAP_SEC_TEXT;
        f->sets_seen |= !s->peek && !im->view.read_only;
    }
    if (f->sections)
        f->mask |= IPC_F_SUMMARY | (f->whole ? 0u : (unsigned)IPC_F_BODY);
    if (f->sets_seen)
        f->mask |= IPC_F_FLAGS;
}

void imap_run_fetch(struct imap *im)
{
    struct fetching *f = calloc(1, sizeof *f);
    if (!f) {
        imap_no_memory(im);
        return;
    }
    im->job = f;
    im->job_free = fetch_free;
    ph_buf_init(&f->page, NULL, PAGE_MAX);
    ph_buf_init(&f->uids, NULL, UIDS_MAX);
    ph_buf_init(&f->built, NULL, PAGE_MAX);
    ph_buf_init(&f->kept, NULL, PAGE_MAX);
    plan(im, f);
    if (!imap_resolve(im, &im->cmd->fetch.set, &f->places))
        return;
    if (f->places.n)
        ask_page(im);
    else
        imap_finish(im, PH_IMAP_OK, NULL, "No messages.");
}
