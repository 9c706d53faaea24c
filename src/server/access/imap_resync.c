/*
 * What a client that was away missed: uids that are gone, then messages that changed. The store
 * tells both in pages, but the client must hear of all that is gone first (RFC 7162 3.2.6): when
 * one page is not all, the pages are walked twice.
 *
 *   page, the only one -> VANISHED, FETCH...                    -> done
 *   page -> page -> ... -> VANISHED -> (second) page, FETCH... -> done
 */
#include "imap_session.h"

enum { GONE_MAX = 16 * 1024 * 1024 };

/* The first of the ranges that does not end below uid. */
static size_t first_reaching(const struct imap_ranges *k, uint32_t uid)
{
    size_t lo = 0, hi = k->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (k->r[mid].hi < uid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void add_gone(struct imap_resync *r, uint32_t lo, uint32_t hi)
{
    lo = lo < r->from ? r->from : lo;
    for (size_t i = first_reaching(&r->known, lo); i < r->known.n && r->known.r[i].lo <= hi; i++) {
        uint32_t a = r->known.r[i].lo < lo ? lo : r->known.r[i].lo;
        uint32_t b = r->known.r[i].hi > hi ? hi : r->known.r[i].hi;
        if (a <= b)
            imap_put_range(&r->gone, a, b);
    }
}

static void tell_rows(struct imap *im, struct imap_resync *r, ph_str rows)
{
    struct ipc_message m;
    while (ipc_each(message, &rows, &m)) {
        uint32_t at = imap_view_find(&im->view, m.uid);
        size_t i = first_reaching(&r->known, m.uid);
        if (at < im->view.told && i < r->known.n && r->known.r[i].lo <= m.uid)
            imap_tell_flags(im, at, &m);
    }
}

static void ask(struct imap *im);

static void told(struct imap *im, struct ipc_msg *msg)
{
    struct imap_resync *r = im->resync;
    uint32_t lo, hi;
    if (!msg || msg->MB_CHANGED.verdict != IPC_OK) {
        imap_unavailable(im);
        return;
    }
    bool more = msg->MB_CHANGED.more, only = !more && r->at == r->since;
    ph_str gone = msg->MB_CHANGED.gone;
    r->at = msg->MB_CHANGED.modseq;
    while (!r->second && imap_next_range(&gone, &lo, &hi))
        add_gone(r, lo, hi);
    if (ph_buf_err(&r->gone)) {
        imap_no_memory(im);
        return;
    }
    if (!r->second && !more && r->gone.n)
        ph_imap_server_vanished(im->e, true, ph_buf_str(&r->gone));
    if (r->flags && (r->second || only))
        tell_rows(im, r, msg->MB_CHANGED.messages);
    if (!more && r->flags && !r->second && !only) {
        r->second = more = true;
        r->at = r->since;
    }
    if (more)
        ask(im);
    else
        r->done(im);
}

static void ask(struct imap *im)
{
    uint64_t req = imap_ask(im, IPC_MB_CHANGED, told);
    if (req)
        imap_sent(im, ipc_send(imap_store(im), MB_CHANGES, -1, .req = req, .session = im->s->grant,
                               .mailbox = im->view.mailbox, .since = im->resync->at));
}

void imap_resync(struct imap *im, struct imap_resync *r)
{
    ph_buf_init(&r->gone, NULL, GONE_MAX);
    r->at = r->since;
    im->resync = r;
    ask(im);
}

void imap_resync_done(struct imap_resync *r)
{
    ph_buf_done(&r->gone);
}
