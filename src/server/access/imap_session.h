/*
 * imap_session.h - an IMAP session of the access process, shared by imap*.c. The engine
 * (posthouse/imap_server.h) gives one command at a time; a command asks the store as often as it
 * needs, one request at a time, and ends in imap_finish.
 *
 *   COMMAND -> row of the table in imap.c -> (imap_ask(..., then) -> answer -> then())*
 *           -> imap_finish -> [MB_CHANGES -> EXPUNGE, EXISTS...] -> done
 */
#ifndef ACCESS_IMAP_SESSION_H
#define ACCESS_IMAP_SESSION_H
#include "session.h"
#include <posthouse/imap_server.h>

enum {
    IMAP_HIGH = 512 * 1024, /* unsent output above which a job waits ... */
    IMAP_LOW = 64 * 1024,   /* ... until it is down to this */
    IMAP_OWN_RANGES = 32,   /* own changes remembered between two MB_CHANGES */
    IMAP_TEXT = 240
};

/* ---- view: the selected mailbox as this client knows it ------------------------------------- */

struct imap_range {
    uint32_t lo, hi; /* places of messages, both included */
};
struct imap_ranges {
    struct imap_range *r; /* sorted, not touching; in the arena of the command */
    size_t n;
};
/* Sorts and merges n ranges (lo <= hi) in place; returns how many are left. */
size_t imap_ranges_merge(struct imap_range *r, size_t n);
/* A set of uids as ranges of uids, "*" being `star`. */
PH_MUST_CHECK int imap_ranges_of_set(struct ph_arena *a, const struct ph_imap_set *set,
                                     uint32_t star, struct imap_ranges *ret);
bool imap_ranges_have(const struct imap_ranges *r, uint32_t n);
/* Appends "lo:hi" to a set's text. */
void imap_put_range(struct ph_buf *out, uint32_t lo, uint32_t hi);
/* Cuts one range off "1:5,7"; false at the end or at anything that is no range. */
bool imap_next_range(ph_str *rest, uint32_t *ret_lo, uint32_t *ret_hi);

/* Consecutive uids at consecutive places, up to the next run's: a mailbox is one of them, and one
 * more for each gap, so that a view costs nothing by the message. */
struct imap_run {
    uint32_t uid, place;
};

struct imap_view {
    bool open, read_only;
    struct ph_buf fresh; /* new uids of news whose rest is still to come, in the order they came */
    bool dirty;          /* the store has news: MB_CHANGES is to be asked */
    uint64_t mailbox, modseq;
    uint32_t uidvalidity, recent_from;
    struct imap_run *runs; /* ascending; the place of a uid + 1 is its sequence number */
    uint32_t run_n, run_cap;
    uint32_t n;     /* messages */
    uint32_t told;  /* how many of them the client knows of (EXISTS) */
    uint32_t *gone; /* ascending: expunged, and not yet told */
    uint32_t gone_n, gone_cap;
    struct {
        uint64_t lo, hi;
    } own[IMAP_OWN_RANGES]; /* modseqs of changes the client knows from their answers */
    unsigned own_n;
    struct ph_buf keywords; /* those the client was told in FLAGS */
    struct ph_buf name;
};

void imap_view_close(struct imap_view *v);
/* Adds the uids of a set's text ("1:5,7"), which must lie above those there. -PH_ENOMEM,
 * -PH_ESYNTAX. */
PH_MUST_CHECK int imap_view_add_set(struct imap_view *v, ph_str uids);
PH_MUST_CHECK int imap_view_add(struct imap_view *v, uint32_t uid);
/* The place of the uid, or UINT32_MAX. */
uint32_t imap_view_find(const struct imap_view *v, uint32_t uid);
uint32_t imap_view_uid(const struct imap_view *v, uint32_t place); /* place < n */
/* The places of those of the uids lo..hi that the client knows of; false: none. */
bool imap_view_places(const struct imap_view *v, uint32_t lo, uint32_t hi, struct imap_range *ret);
uint32_t imap_view_recent(const struct imap_view *v); /* how many are \Recent */
/* Takes away a set of uids; told places are reported to `e` as EXPUNGE or VANISHED unless NULL. */
PH_MUST_CHECK int imap_view_remove(struct imap_view *v, ph_str uids, struct ph_imap_server *e);
PH_MUST_CHECK int imap_view_remove_later(struct imap_view *v, ph_str uids);
void imap_view_flush_gone(struct imap_view *v, struct ph_imap_server *e);
void imap_view_own(struct imap_view *v, uint64_t modseq);
bool imap_view_is_own(const struct imap_view *v, uint64_t modseq);
/* Words of `keywords` that the client was not told of yet are remembered; true when there were
 * any. */
bool imap_view_learn(struct imap_view *v, ph_str keywords);
/* The places that a set means. 0; -PH_EINVAL: it names a sequence number that is not there;
 * -PH_ENOMEM. */
PH_MUST_CHECK int imap_view_resolve(const struct imap_view *v, const struct ph_imap_set *set,
                                    bool uid, struct ph_arena *a, struct imap_ranges *ret);
/* The uids at these places from `from_uid` on, as text for the store: one range for each range. */
void imap_view_uids(const struct imap_view *v, const struct imap_ranges *r, uint32_t from_uid,
                    struct ph_buf *out);

/* News come in the order of the changes: what was flagged after it came is behind what came later.
 * So new uids wait until all news are there; those that went meanwhile are left out. -PH_ENOMEM. */
PH_MUST_CHECK int imap_view_fresh(struct imap_view *v, uint32_t uid);
void imap_view_fresh_gone(struct imap_view *v, ph_str uids);
PH_MUST_CHECK int imap_view_add_fresh(struct imap_view *v);

/* Uids as text to sequence numbers as text; those not there are left out. */
void imap_view_seqs(const struct imap_view *v, ph_str uids, struct ph_buf *out);

/* ---- the session ---------------------------------------------------------------------------- */

struct imap;
/* msg NULL: the store went away. */
typedef void imap_then(struct imap *im, struct ipc_msg *msg);

struct imap {
    struct session *s;
    struct ph_imap_server *e;
    struct imap_view view;
    const struct ph_imap_command *cmd; /* under way, or NULL */
    uint64_t waiting;                  /* the request asked; 0: none */
    imap_then *then;
    uint64_t ahead; /* a second request under way, whose answer is not waited for yet; 0: none */
    imap_then *ahead_then;
    void (*resume)(struct imap *im); /* at DRAINED */
    void *job;                       /* of the command; freed by job_free when the command ends */
    void (*job_free)(void *job);
    struct imap_resync *resync; /* under way: see imap_resync.c */
    uint32_t *saved;            /* "$": uids, ascending (RFC 5182) */
    uint32_t saved_n;
    uint64_t early_mailbox, early_modseq; /* of an MB_EVENT that came while no view was open */
    uint64_t deleted_storage;             /* of STATUS */
    bool staged;   /* the store keeps messages of an APPEND aside that is not complete */
    bool counts;   /* CONDSTORE is enabled, and the selected mailbox's modseq was told */
    bool expunged; /* by the command under way: its answer has HIGHESTMODSEQ (RFC 7162 3.2.7) */
    bool deferred; /* a command came while an answer of the last IDLE was awaited */
    bool idling, idle_over;
    unsigned failures; /* of log-in */
    /* The tagged answer, kept while news are fetched before it. */
    enum ph_imap_cond cond;
    struct ph_imap_code code;
    char text[IMAP_TEXT];
};

/* Remembers who goes on with the answer. 0: there is no store; the command was answered. Use:
 *     uint64_t req = imap_ask(im, IPC_MB_LISTED, then);
 *     if (req)
 *         imap_sent(im, ipc_send(imap_store(im), MB_LIST, -1, .req = req, ...));
 */
uint64_t imap_ask(struct imap *im, enum ipc_type answer, imap_then *then);
/* The same for a second request beside that one; 0: there is no store, and then() is not called. */
uint64_t imap_ask_ahead(struct imap *im, enum ipc_type answer, imap_then *then);
struct ipc_chan *imap_store(struct imap *im);
void imap_sent(struct imap *im, int result);

bool imap_enabled(const struct imap *im, uint64_t caps); /* any of these */

/* Ends the command: news first where they are due, then the tagged answer. code: its slices must
 * live until the command ends; may be NULL. */
void imap_finish(struct imap *im, enum ph_imap_cond cond, const struct ph_imap_code *code,
                 const char *text);
void imap_finish_kind(struct imap *im, enum ph_imap_cond cond, enum ph_imap_code_kind kind,
                      const char *text);
void imap_fail(struct imap *im, int verdict,
               ph_str text); /* NO with the code that fits a verdict of the store */
void imap_unavailable(struct imap *im);
void imap_no_memory(struct imap *im);
/* Resolves a set or answers the command; false then. */
bool imap_resolve(struct imap *im, const struct ph_imap_set *set, struct imap_ranges *ret);

/* News of the selected mailbox: asks for them; tells an answer to the client, false: there are
 * more, ask again; tells those that were known but could not be told. */
void imap_ask_news(struct imap *im, imap_then *then);
/* Asks behind the request of a command for what its answer would ask for anyway, so that both are
 * answered together. Nothing where there are none. */
void imap_ask_news_behind(struct imap *im);
bool imap_news_wait(const struct imap *im); /* there are some that the client does not know */
bool imap_take_news(struct imap *im, struct ipc_msg *msg, bool expunge);
void imap_tell_pending(struct imap *im);
void imap_end_command(struct imap *im);

/* What a client that was away missed (RFC 7162 3.2.5, 3.2.6): VANISHED (EARLIER) for what went
 * since `since`, of the uids `known` from `from` on; then, with `flags`, a FETCH of each message
 * that changed; then `done`. Part of a job; gone is freed by imap_resync_done. */
struct imap_resync {
    uint64_t since, at;
    struct imap_ranges known;
    uint32_t from;
    bool flags, second;
    struct ph_buf gone;
    void (*done)(struct imap *im);
};
void imap_resync(struct imap *im, struct imap_resync *r);
void imap_resync_done(struct imap_resync *r);

void imap_forget_saved(struct imap *im);
/* Places of those of "$" that are still there. -PH_ENOMEM. */
PH_MUST_CHECK int imap_resolve_saved(struct imap *im, struct ph_arena *a, struct imap_ranges *ret);

/* One message's flags with what the session adds to them. */
struct ph_imap_flags imap_flags(const struct imap *im, const struct ipc_message *m);
void imap_fetch_begin(struct imap *im, uint32_t place, uint32_t uid);
void imap_tell_flags(struct imap *im, uint32_t place,
                     const struct ipc_message *m);         /* an untagged FETCH */
void imap_tell_keywords(struct imap *im, ph_str keywords); /* FLAGS again when there are new ones */
void imap_tell_all_flags(struct imap *im);

/* A mailbox name as the store has it: INBOX in capitals, also as the first component; one "/" at
 * the end dropped. */
ph_str imap_name(struct imap *im, ph_str name);

/* ---- commands ------------------------------------------------------------------------------- */

typedef void imap_run(struct imap *im);
imap_run imap_run_select, imap_run_create, imap_run_change, imap_run_list, imap_run_status,
    imap_run_append, imap_run_close, imap_run_unselect, imap_run_expunge, imap_run_search,
    imap_run_fetch, imap_run_store, imap_run_copy, imap_run_login, imap_run_authenticate,
    imap_run_replace, imap_run_quota, imap_run_unauthenticate;
void imap_on_login(struct session *s, int verdict);
void imap_run_response(struct imap *im, ph_str data);
void imap_offer_mechanisms(struct imap *im);
void imap_on_challenge(struct session *s, ph_str raw);
void imap_append_more(struct imap *im);
/* How many bytes the \\Deleted messages of a mailbox have, to `done`; makes a job. */
void imap_add_deleted(struct imap *im, uint64_t mailbox,
                      void (*done)(struct imap *im, uint64_t sum));
unsigned imap_list_bits(const struct ipc_mailbox *m); /* PH_IMAP_MB_ */
struct ph_imap_status imap_status(const struct imap *im, const struct ipc_mailbox *m,
                                  unsigned items, char id[24]);
void imap_append_data(struct imap *im, ph_str data);
void imap_append_end(struct imap *im);
void imap_close_view(struct imap *im); /* MB_CLOSE, and forgets it */

/* ---- messages ------------------------------------------------------------------------------- */

/* A whole message from MSG_BODIED: inline (borrowed from msg) or mapped (ph_unmap by
 * imap_body_done). 0 or negative. */
struct imap_body {
    ph_str bytes;
    bool mapped;
};
PH_MUST_CHECK int imap_body_take(struct ipc_msg *msg, struct imap_body *ret);
void imap_body_done(struct imap_body *b);

struct ph_part;
struct ph_envelope;
/* A tree of mime.h as IMAP tells it; lives in the arena given. NULL: out of memory. */
const struct ph_imap_envelope *imap_envelope(struct ph_arena *a, const struct ph_envelope *e);
const struct ph_imap_body *imap_structure(struct ph_arena *a, const struct ph_part *root);
/* The bytes of BODY[section]<partial>: borrowed from `bytes`, or from `built` (appended). p ==
 * NULL: there is no such part. */
/* Those of the places that a partial range names (RFC 9394). */
void imap_ranges_cut(struct imap_ranges *r, const struct ph_imap_partial *p);
/* BINARY[section]<partial> (RFC 3516): decoded into `built`. -PH_ENOTIMPL: the encoding is
 * unknown. */
PH_MUST_CHECK int imap_section_binary(const struct ph_part *root, ph_str bytes,
                                      const struct ph_imap_section *sec, struct ph_buf *built,
                                      ph_str *ret);
/* root may be NULL for the whole message. */
PH_MUST_CHECK int imap_section(const struct ph_part *root, ph_str bytes,
                               const struct ph_imap_section *sec, struct ph_buf *built,
                               ph_str *ret);

#endif
