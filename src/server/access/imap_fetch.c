/*
 * FETCH. Messages come from the store in pages, with their bodies where sections are asked for; a
 * page is worked through row by row. While one page is told the next one is on its way, and no
 * further: so two pages are the memory of a FETCH, whatever the mailbox holds, and nothing is asked
 * for while more than IMAP_HIGH bytes wait to be sent.
 *
 *   [resync] -> ask_page -> take_page (asks for the next) -> [\Seen for the page] -> rows -> done
 *                               ^                                                   |
 *                               +-------------------- more pages -------------------+
 *
 *   rows wait: for DRAINED where the client is slow, for MSG_BODY of a large body
 *
 * \Seen is set before a message is told, so that one response has both (RFC 3501 6.4.5); a disk
 * that is full keeps nobody from reading.
 *
 * A body that does not fit a page is asked for by MSG_BODY. The first reading of a delivery is the
 * last step of its journey. Header sections alone are not "reading", and do not enter the journey.
 */
#include "imap_fetch.h"
#include <stdlib.h>

static void fetch_free(void *job)
{
    struct fetching *f = job;
    imap_body_done(&f->body);
    imap_resync_done(&f->resync);
    ph_buf_done(&f->page);
    ph_buf_done(&f->ahead);
    ph_buf_done(&f->uids);
    ph_buf_done(&f->marked);
    ph_buf_done(&f->read);
    ph_buf_done(&f->built);
    ph_buf_done(&f->unpacked);
    ph_buf_done(&f->kept);
    ph_arena_free(f->arena);
    free(f);
}

static void ask_page(struct imap *im);
static void take_page(struct imap *im);

void fetch_break_off(struct imap *im, bool in_answer)
{
    if (in_answer)
        ph_imap_server_bye(im->e, PH_IMAP_CODE_UNAVAILABLE, "The message cannot be read.");
    imap_unavailable(im);
}

/* ---- bodies that are not in the page -------------------------------------------------------- */

static void bodied(struct imap *im, struct ipc_msg *msg)
{
    struct fetching *f = im->job;
    if (!msg || (msg->MSG_BODIED.verdict != IPC_OK && msg->MSG_BODIED.verdict != IPC_NOENT)) {
        fetch_break_off(im, false);
        return;
    }
    if (msg->MSG_BODIED.verdict == IPC_NOENT) {
        /* expunged meanwhile: as if it had not been asked for */
        im->view.dirty = true;
        fetch_rows_on(im);
        return;
    }
    if (imap_body_take(msg, &f->body) < 0) {
        fetch_break_off(im, false);
        return;
    }
    if (f->whole)
        session_tell_read(im->s, msg->MSG_BODIED.journey, msg->MSG_BODIED.qid, "by IMAP");
    if (fetch_tell(im))
        fetch_rows_on(im);
}

static void ask_body(struct imap *im)
{
    struct fetching *f = im->job;
    uint64_t req = imap_ask(im, IPC_MSG_BODIED, bodied);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MSG_BODY, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .uid = f->row.uid, .peek = !f->whole));
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* What setting \Seen made of the row. false: it was set before, or could not be. */
static bool take_seen(struct fetching *f)
{
    struct ipc_message m = {0};
    ph_str rest = f->now_seen;
    while (ipc_each(message, &rest, &m) && m.uid < f->row.uid)
        f->now_seen = rest;
    if (!f->now_seen.n || m.uid != f->row.uid)
        return false;
    f->row.flags = m.flags | (f->row.flags & IPC_FRESH);
    f->row.modseq = m.modseq;
    f->row.keywords = m.keywords;
    return true;
}

/* The next row, with its summary read. false: the page is done. */
static bool next_row(struct imap *im)
{
    struct fetching *f = im->job;
    for (;;) {
        if (!ipc_each(message, &f->rows, &f->row))
            return false;
        f->place = imap_view_find(&im->view, f->row.uid);
        if (f->place < im->view.told)
            break;
    }
    f->tells_seen = take_seen(f);
    imap_body_done(&f->body);
    f->row.body = session_body(im->s, &f->row, &f->unpacked);
    ph_arena_back(f->arena, f->empty);
    f->sum = NULL;
    if (f->mask & IPC_F_SUMMARY && ph_summary_read(f->arena, f->row.summary, &f->sum) < 0)
        f->sum = NULL;
    return true;
}

static bool needs_bytes(const struct fetching *f)
{
    if (f->sections)
        return f->row.body.n == 0;
    return f->items->mask & FETCH_FROM_SUMMARY && (!f->sum || f->sum->partial);
}

/* A delivery that its owner did not have before. */
static void note_reading(struct imap *im)
{
    struct fetching *f = im->job;
    session_tell_read(im->s, f->row.journey, f->row.qid, "by IMAP");
    ph_buf_addf(&f->read, "%s%u", f->read.n ? "," : "", (unsigned)f->row.uid);
}

static void page_done(struct imap *im)
{
    struct fetching *f = im->job;
    if (f->asked || f->have_ahead)
        take_page(im);
    else if (f->unknown_cte)
        imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNKNOWN_CTE,
                         "The transfer encoding of a part is not known.");
    else
        imap_finish(im, PH_IMAP_OK, NULL, "Fetched.");
}

/* Goes on with the rows of the page until one needs the store or the client is slow. */
void fetch_rows_on(struct imap *im)
{
    struct fetching *f = im->job;
    for (;;) {
        if (ph_imap_server_backlog(im->e) > IMAP_HIGH) {
            im->resume = fetch_rows_on;
            ph_imap_server_when_drained(im->e, IMAP_LOW);
            return;
        }
        if (!next_row(im))
            break;
        if (f->mask & IPC_F_FLAGS)
            imap_tell_keywords(im, f->row.keywords);
        if (needs_bytes(f)) {
            ask_body(im);
            return;
        }
        if (f->sections)
            f->body.bytes = f->row.body;
        if (f->whole && f->row.flags & IPC_FRESH)
            note_reading(im);
        if (!fetch_tell(im))
            return;
    }
    session_were_read(im->s, im->view.mailbox, &f->read);
    page_done(im);
}

/* ---- \Seen ---------------------------------------------------------------------------------- */

static void seen_set(struct imap *im, struct ipc_msg *msg)
{
    struct fetching *f = im->job;
    struct ipc_message m;
    if (msg && msg->MSG_FLAGGED.verdict == IPC_OK) {
        ph_buf_add(&f->marked, msg->MSG_FLAGGED.messages); /* rows outlive this answer */
        f->now_seen = ph_buf_str(&f->marked);
    }
    for (ph_str rows = f->now_seen; ipc_each(message, &rows, &m);)
        imap_view_own(&im->view, m.modseq);
    fetch_rows_on(im);
}

/* Those of the page that the client will see now for the first time. */
static void unseen_of_page(struct imap *im)
{
    struct fetching *f = im->job;
    struct ipc_message m;
    ph_buf_clear(&f->uids);
    ph_buf_clear(&f->marked);
    f->now_seen = (ph_str){0};
    for (ph_str rows = f->rows; f->sets_seen && ipc_each(message, &rows, &m);) {
        if (m.flags & IPC_SEEN || imap_view_find(&im->view, m.uid) >= im->view.told)
            continue;
        if (f->uids.n)
            ph_buf_addc(&f->uids, ',');
        ph_buf_addu(&f->uids, m.uid);
    }
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

/* ---- pages ----------------------------------------------------------------------------------- */

/* The page that was asked for becomes the one that is told. */
static void take_page(struct imap *im)
{
    struct fetching *f = im->job;
    if (f->failed) {
        imap_unavailable(im);
        return;
    }
    if (!f->have_ahead) {
        f->wanted = true;
        return;
    }
    struct ph_buf old = f->page;
    f->page = f->ahead;
    f->ahead = old;
    f->have_ahead = false;
    f->rows = ph_buf_str(&f->page);
    ph_buf_clear(&f->ahead);
    unseen_of_page(im);
    if (f->uids.n)
        set_seen(im);
    if (im->job && f->next)
        ask_page(im);
    if (im->job && !f->uids.n) /* not ended by that */
        fetch_rows_on(im);
}

static void paged(struct imap *im, struct ipc_msg *msg)
{
    struct fetching *f = im->job;
    bool wanted = f->wanted;
    f->asked = f->wanted = false;
    if (!msg || msg->MSG_LISTED.verdict != IPC_OK) {
        f->failed = true;
    } else {
        f->next = msg->MSG_LISTED.next;
        ph_buf_add(&f->ahead, msg->MSG_LISTED.messages); /* rows outlive this answer */
        f->failed = ph_buf_err(&f->ahead) < 0;
    }
    f->have_ahead = !f->failed;
    if (!wanted)
        f->asked = f->failed; /* told when it is wanted */
    else if (f->failed)
        imap_unavailable(im);
    else
        take_page(im);
}

static void ask_page(struct imap *im)
{
    struct fetching *f = im->job;
    struct ph_buf set;
    ph_buf_init(&set, NULL, FETCH_UIDS_MAX);
    imap_view_uids(&im->view, &f->places, f->next, &set);
    f->next = 0;
    f->asked = true;
    uint64_t req = ph_buf_err(&set) ? 0 : imap_ask_ahead(im, IPC_MSG_LISTED, paged);
    if (!req || ipc_send(imap_store(im), MSG_LIST, -1, .req = req, .session = im->s->grant,
                         .mailbox = im->view.mailbox, .uids = ph_buf_str(&set), .mask = f->mask,
                         .since = im->cmd->fetch.changedsince) < 0) {
        im->ahead_then = NULL;
        paged(im, NULL);
    } else {
        ipc_chan_flush(imap_store(im)); /* the store reads it while this page is told */
    }
    ph_buf_done(&set);
}

/* ---- the command ----------------------------------------------------------------------------- */

static void plan(struct imap *im, struct fetching *f)
{
    static const struct {
        unsigned item, mask;
    } needs[] = {{PH_IMAP_F_FLAGS, IPC_F_FLAGS},
                 {PH_IMAP_F_INTERNALDATE | PH_IMAP_F_SAVEDATE, IPC_F_DATES},
                 {PH_IMAP_F_SIZE, IPC_F_SIZE},
                 {PH_IMAP_F_THREADID, IPC_F_THREAD},
                 {FETCH_FROM_SUMMARY, IPC_F_SUMMARY}};
    f->items = &im->cmd->fetch.items;
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++)
        if (f->items->mask & needs[i].item)
            f->mask |= needs[i].mask;
    for (size_t i = 0; i < f->items->section_count; i++) {
        const struct ph_imap_section *s = &f->items->sections[i];
        f->sections = true;
        f->whole |= s->kind == PH_IMAP_SEC_BODY || s->kind == PH_IMAP_SEC_TEXT;
        f->tree |= s->kind != PH_IMAP_SEC_BODY || s->depth;
        f->sets_seen |= !s->peek && !im->view.read_only;
    }
    if (f->sections)
        f->mask |= IPC_F_BODY | IPC_F_FRESH;
    if (f->tree)
        f->mask |= IPC_F_SUMMARY;
    if (f->sets_seen)
        f->mask |= IPC_F_FLAGS;
}

static void first_page(struct imap *im)
{
    struct fetching *f = im->job;
    if (!f->places.n) {
        imap_finish(im, PH_IMAP_OK, NULL, "No messages.");
        return;
    }
    f->wanted = true;
    ask_page(im);
}

/* VANISHED (RFC 7162 3.2.6): of the uids asked for, those gone since. */
static void start_resync(struct imap *im)
{
    struct fetching *f = im->job;
    struct imap_view *v = &im->view;
    f->resync.since = im->cmd->fetch.changedsince;
    f->resync.done = first_page;
    f->resync.from = 1;
    if (imap_ranges_of_set(ph_imap_server_arena(im->e), &im->cmd->fetch.set,
                           v->told ? imap_view_uid(v, v->told - 1) : 1, &f->resync.known) < 0)
        imap_no_memory(im);
    else
        imap_resync(im, &f->resync);
}

static void begin(struct imap *im)
{
    struct fetching *f = im->job;
    if (!imap_resolve(im, &im->cmd->fetch.set, &f->places))
        return;
    if (im->cmd->fetch.has_partial)
        imap_ranges_cut(&f->places, &im->cmd->fetch.partial);
    if (im->cmd->fetch.vanished)
        start_resync(im);
    else
        first_page(im);
}

/* What the client has not heard yet would be told as gone "earlier", and once more as gone now:
 * news first. */
static void fresh(struct imap *im, struct ipc_msg *msg)
{
    if (imap_take_news(im, msg, true))
        begin(im);
    else
        imap_ask_news(im, fresh);
}

void imap_run_fetch(struct imap *im)
{
    struct fetching *f = calloc(1, sizeof *f);
    if (!f || !(f->arena = ph_arena_new(NULL, FETCH_ARENA))) {
        free(f);
        imap_no_memory(im);
        return;
    }
    im->job = f;
    im->job_free = fetch_free;
    f->empty = ph_arena_mark(f->arena);
    ph_buf_init(&f->page, NULL, FETCH_PAGE_MAX);
    ph_buf_init(&f->ahead, NULL, FETCH_PAGE_MAX);
    ph_buf_init(&f->uids, NULL, FETCH_UIDS_MAX);
    ph_buf_init(&f->marked, NULL, FETCH_PAGE_MAX);
    ph_buf_init(&f->read, NULL, FETCH_UIDS_MAX);
    ph_buf_init(&f->built, NULL, FETCH_ARENA);
    ph_buf_init(&f->unpacked, NULL, FETCH_PAGE_MAX);
    ph_buf_init(&f->kept, NULL, FETCH_PAGE_MAX);
    plan(im, f);
    if (im->cmd->fetch.vanished && (im->view.dirty || im->view.gone_n))
        imap_ask_news(im, fresh);
    else
        begin(im);
}
