/*
 * What the client is told: news of the selected mailbox before every tagged answer, verdicts of the
 * store as codes, flags.
 */
#include "imap_session.h"
#include <stdio.h>
#include <stdlib.h>

bool imap_enabled(const struct imap *im, uint64_t caps)
{
    return (ph_imap_server_enabled(im->e) & caps) != 0;
}

/* What was asked for may be gone, which this command must not tell (RFC 2180 4.1, RFC 5530 3). */
static bool misses_some(const struct imap *im)
{
    bool named = im->cmd->verb == PH_IMAP_FETCH || im->cmd->verb == PH_IMAP_STORE;
    return named && im->cond == PH_IMAP_OK && !im->code.kind && im->view.open && im->view.gone_n;
}

static void answer_now(struct imap *im)
{
    if (misses_some(im))
        im->code = (struct ph_imap_code){.kind = PH_IMAP_CODE_EXPUNGEISSUED};
    if (im->expunged && im->view.open && !im->code.kind && im->cond == PH_IMAP_OK &&
        imap_enabled(im, PH_IMAP_CAP(QRESYNC)))
        im->code = (struct ph_imap_code){.kind = PH_IMAP_CODE_HIGHESTMODSEQ, .n = im->view.modseq};
    ph_imap_server_done(im->e, im->cond, im->code.kind ? &im->code : NULL, im->text);
    imap_end_command(im);
}

/* FETCH, STORE and SEARCH by sequence numbers must not shift them (RFC 9051 7.5.1); SORT and THREAD
 * are SEARCHes. */
static bool may_expunge(const struct imap *im)
{
    enum ph_imap_verb v = im->cmd->verb;
    return im->cmd->uid || (v != PH_IMAP_FETCH && v != PH_IMAP_STORE && v != PH_IMAP_SEARCH &&
                            v != PH_IMAP_SORT && v != PH_IMAP_THREAD);
}

/* all: nothing is still to come behind these rows. */
static void tell_news(struct imap *im, ph_str rows, bool expunge, bool all)
{
    struct imap_view *v = &im->view;
    struct ipc_message m;
    while (ipc_each(message, &rows, &m)) {
        uint32_t at = imap_view_find(v, m.uid);
        if (at == UINT32_MAX) {
            if (imap_view_fresh(v, m.uid) < 0)
                v->dirty = true;
        } else if (at < v->told && !imap_view_is_own(v, m.modseq)) {
            imap_tell_flags(im, at, &m);
        }
    }
    if (all && imap_view_add_fresh(v) < 0)
        v->dirty = true;
    if (expunge)
        imap_view_flush_gone(v, im->e);
    if (v->n > v->told && (expunge || v->gone_n == 0)) {
        v->told = v->n;
        ph_imap_server_exists(im->e, v->n);
        ph_imap_server_recent(im->e, imap_view_recent(v));
    }
}

void imap_tell_pending(struct imap *im)
{
    tell_news(im, (ph_str){0}, true, false);
}

/* MB_CHANGED into the view and to the client. false: ask again. */
bool imap_take_news(struct imap *im, struct ipc_msg *msg, bool expunge)
{
    struct imap_view *v = &im->view;
    if (!msg || msg->MB_CHANGED.verdict == IPC_TEMP) {
        v->dirty = true; /* next time */
        return true;
    }
    if (msg->MB_CHANGED.verdict != IPC_OK && im->cmd && im->cmd->verb == PH_IMAP_DELETE) {
        imap_close_view(im); /* this session did it */
        ph_imap_server_deselect(im->e);
        return true;
    }
    if (msg->MB_CHANGED.verdict != IPC_OK) {
        ph_imap_server_bye(im->e, PH_IMAP_CODE_NONE, "The selected mailbox is gone.");
        return true;
    }
    bool all = !msg->MB_CHANGED.more;
    /* an event that came meanwhile stays: the store sends none before it is asked */
    v->dirty |= !all;
    imap_view_fresh_gone(v, msg->MB_CHANGED.gone);
    if (imap_view_remove_later(v, msg->MB_CHANGED.gone) < 0)
        v->dirty = true;
    else
        v->modseq = msg->MB_CHANGED.modseq;
    tell_news(im, msg->MB_CHANGED.messages, expunge, all);
    if (all)
        v->own_n = 0;
    return all;
}

static int send_changes(struct imap *im, uint64_t req)
{
    return ipc_send(imap_store(im), MB_CHANGES, -1, .req = req, .session = im->s->grant,
                    .mailbox = im->view.mailbox, .since = im->view.modseq);
}

void imap_ask_news(struct imap *im, imap_then *then)
{
    im->view.dirty = false; /* before the store hears of it: events after that are new ones */
    uint64_t req = imap_ask(im, IPC_MB_CHANGED, then);
    if (req)
        imap_sent(im, send_changes(im, req));
}

/* The command goes on: its places must stay what they are. */
static void news_meanwhile(struct imap *im, struct ipc_msg *msg)
{
    (void)imap_take_news(im, msg, false); /* what is missing makes the view dirty */
}

void imap_ask_news_behind(struct imap *im)
{
    if (!im->view.dirty || im->ahead || !imap_ask_ahead(im, IPC_MB_CHANGED, news_meanwhile))
        return;
    im->view.dirty = send_changes(im, im->ahead) < 0;
    if (im->view.dirty) {
        session_unask(im->s, im->ahead);
        im->ahead = 0;
    }
}

bool imap_news_wait(const struct imap *im)
{
    return im->view.dirty || (im->ahead && im->ahead_then == news_meanwhile);
}

static void news_before_done(struct imap *im, struct ipc_msg *msg)
{
    if (imap_take_news(im, msg, may_expunge(im)))
        answer_now(im);
    else
        imap_ask_news(im, news_before_done);
}

void imap_finish(struct imap *im, enum ph_imap_cond cond, const struct ph_imap_code *code,
                 const char *text)
{
    im->cond = cond;
    im->code = code ? *code : (struct ph_imap_code){0};
    snprintf(im->text, sizeof im->text, "%s", text);
    if (im->view.open && may_expunge(im) && im->view.gone_n)
        tell_news(im, (ph_str){0}, true, false);
    if (im->ahead && im->ahead_then == news_meanwhile)
        im->ahead_then = news_before_done;
    else if (im->view.open && im->view.dirty)
        imap_ask_news(im, news_before_done);
    else
        answer_now(im);
}

void imap_finish_kind(struct imap *im, enum ph_imap_cond cond, enum ph_imap_code_kind kind,
                      const char *text)
{
    imap_finish(im, cond, &(struct ph_imap_code){.kind = kind}, text);
}

void imap_unavailable(struct imap *im)
{
    imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNAVAILABLE,
                     "The mail store is not available for the moment; try again.");
}

void imap_no_memory(struct imap *im)
{
    imap_finish_kind(im, PH_IMAP_NO, PH_IMAP_CODE_UNAVAILABLE, "Out of memory; try again.");
}

void imap_fail(struct imap *im, int verdict, ph_str text)
{
    static const struct {
        enum ph_imap_code_kind code;
        const char *text;
    } table[] = {
        [IPC_TEMP] = {PH_IMAP_CODE_UNAVAILABLE, "Not possible for the moment; try again."},
        [IPC_DENIED] = {PH_IMAP_CODE_NOPERM, "Not permitted."},
        [IPC_NOUSER] = {PH_IMAP_CODE_NONEXISTENT, "There is no such account."},
        [IPC_NOENT] = {PH_IMAP_CODE_NONEXISTENT, "There is no such mailbox."},
        [IPC_NODATA] = {PH_IMAP_CODE_NONEXISTENT, "There is nothing."},
        [IPC_EXISTS] = {PH_IMAP_CODE_ALREADYEXISTS, "It exists already."},
        [IPC_QUOTA] = {PH_IMAP_CODE_OVERQUOTA, "The quota is used up."},
        [IPC_INUSE] = {PH_IMAP_CODE_INUSE, "In use by another session."},
        [IPC_LIMIT] = {PH_IMAP_CODE_LIMIT, "A limit was reached."},
        [IPC_FULL] = {PH_IMAP_CODE_UNAVAILABLE, "The disk is full."},
        [IPC_INVALID] = {PH_IMAP_CODE_CANNOT, "Not acceptable."},
    };
    char sentence[IMAP_TEXT];
    bool known = verdict > 0 && verdict <= IPC_INVALID;
    snprintf(sentence, sizeof sentence, "%.*s",
             PH_FMT(text.n ? text : ph_str_c(known ? table[verdict].text : "It failed.")));
    imap_finish_kind(im, PH_IMAP_NO, known ? table[verdict].code : PH_IMAP_CODE_SERVERBUG,
                     sentence);
}

void imap_forget_saved(struct imap *im)
{
    free(im->saved);
    im->saved = NULL;
    im->saved_n = 0;
}

/* Those of "$" that are still there. */
int imap_resolve_saved(struct imap *im, struct ph_arena *a, struct imap_ranges *ret)
{
    struct imap_range *r = ph_arena_array(a, im->saved_n ? im->saved_n : 1, sizeof *r);
    size_t n = 0;
    if (!r)
        return -PH_ENOMEM;
    for (uint32_t i = 0; i < im->saved_n; i++) {
        uint32_t at = imap_view_find(&im->view, im->saved[i]);
        if (at < im->view.told)
            r[n++] = (struct imap_range){at, at};
    }
    *ret = (struct imap_ranges){r, imap_ranges_merge(r, n)};
    return 0;
}

bool imap_resolve(struct imap *im, const struct ph_imap_set *set, struct imap_ranges *ret)
{
    struct ph_arena *a = ph_imap_server_arena(im->e);
    int r = !a           ? -PH_ENOMEM
            : set->saved ? imap_resolve_saved(im, a, ret)
                         : imap_view_resolve(&im->view, set, im->cmd->uid, a, ret);
    if (r == -PH_ENOMEM)
        imap_no_memory(im);
    else if (r < 0)
        imap_finish(im, PH_IMAP_BAD, NULL, "There is no message with such a number.");
    return r == 0;
}

/* ---- telling -------------------------------------------------------------------------------- */

struct ph_imap_flags imap_flags(const struct imap *im, const struct ipc_message *m)
{
    /* The bits of IPC and of the engine are the same five. */
    bool recent = im->view.recent_from && m->uid >= im->view.recent_from &&
                  !imap_enabled(im, PH_IMAP_CAP(IMAP4REV2));
    return (struct ph_imap_flags){(m->flags & 31u) | (recent ? (unsigned)PH_IMAP_RECENT : 0),
                                  m->keywords};
}

void imap_tell_all_flags(struct imap *im)
{
    ph_imap_server_flags(im->e, &(struct ph_imap_flags){31, ph_buf_str(&im->view.keywords)});
}

void imap_tell_keywords(struct imap *im, ph_str keywords)
{
    if (imap_view_learn(&im->view, keywords))
        imap_tell_all_flags(im);
}

void imap_fetch_begin(struct imap *im, uint32_t place, uint32_t uid)
{
    ph_imap_server_fetch_begin(im->e, imap_enabled(im, PH_IMAP_CAP(UIDONLY)) ? uid : place + 1);
}

void imap_tell_flags(struct imap *im, uint32_t place, const struct ipc_message *m)
{
    struct ph_imap_flags f = imap_flags(im, m);
    imap_tell_keywords(im, m->keywords);
    imap_fetch_begin(im, place, m->uid);
    ph_imap_server_fetch_uid(im->e, m->uid);
    ph_imap_server_fetch_flags(im->e, &f);
    if (imap_enabled(im, PH_IMAP_CAP(CONDSTORE)))
        ph_imap_server_fetch_modseq(im->e, m->modseq);
    ph_imap_server_fetch_end(im->e);
}
