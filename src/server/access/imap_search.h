/*
 * imap_search.h - SEARCH, SORT and THREAD: matching one message (imap_match.c), running over a
 * mailbox (imap_search.c), answering (imap_result.c), and the orders of SORT (imap_sort.c) and
 * THREAD (imap_thread.c).
 */
#ifndef ACCESS_IMAP_SEARCH_H
#define ACCESS_IMAP_SEARCH_H
#include "imap_session.h"
#include "search.h"
#include "summary.h"

/* A search key with its texts folded (ph_search_fold) and its sets as sequence numbers of the
 * view. */
struct imap_key {
    enum ph_imap_key key;
    ph_str field, value;
    uint64_t number;
    int32_t day;
    struct imap_ranges set;        /* SEQ: sequence numbers */
    bool asked;                    /* the store was asked for this text: */
    struct imap_ranges yes, maybe; /* uids that hold it, and those to be looked at */
    struct imap_key *child, *next;
};

/* A message while it is looked at. row has what imap_search_needs asked for; bytes: the whole
 * message, or empty as long as it is not known that it is needed. */
struct imap_candidate {
    const struct ipc_message *row;
    uint32_t seq;
    bool recent;
    int64_t now;                      /* seconds since 1970: for OLDER and YOUNGER */
    const struct ph_summary *summary; /* NULL: none */
    ph_str bytes;
    struct ph_arena *arena;            /* of this message */
    struct ph_buf head, text, scratch; /* of search.h; what is compared */
    bool has_text;
    int err; /* out of memory: the answer is not to be trusted */
};

/* UNSURE: its bytes are needed. */
enum imap_match { IMAP_NO_MATCH, IMAP_MATCH, IMAP_UNSURE };
enum imap_match imap_search_match(const struct imap_key *k, struct imap_candidate *m);
unsigned imap_search_needs(const struct imap_key *k); /* IPC_F_ mask, without bodies */
bool imap_key_is_text(enum ph_imap_key key);          /* looked for in bodies or any header */
bool imap_key_is_indexed(
    enum ph_imap_key key); /* the store's index can rule messages out (search.h) */

/* What is kept of a message that was found. Strings live in the arena of the search. */
struct imap_found {
    uint32_t place;
    uint32_t n; /* THREAD: its index */
    uint64_t modseq, size;
    int64_t arrival, sent; /* seconds */
    ph_str *keys;          /* SORT: one for each sort key that is a text, folded */
    ph_str subject;        /* THREAD: base subject, folded */
    ph_str id;             /* THREAD: its Message-ID */
    ph_str references;     /* THREAD: ids, the oldest first; In-Reply-To where there are none */
    bool reply;            /* THREAD: the subject was of a reply or a forward */
};

struct imap_results {
    struct imap_found *v;
    size_t n, cap;
    struct ph_arena *arena;
};
/* Adds what was found; -PH_ENOMEM. Which of its fields are filled depends on the command. */
PH_MUST_CHECK int imap_results_add(struct imap *im, struct imap_results *r, uint32_t place,
                                   const struct ipc_message *row, const struct ph_summary *sum);
/* Answers the command: SEARCH, ESEARCH, SORT or THREAD. Reorders r. */
void imap_results_tell(struct imap *im, struct imap_results *r);

/* imap_sort.c. Fills f->keys, f->subject...; sorts. */
PH_MUST_CHECK int imap_sort_keys(struct ph_arena *a, const struct ph_imap_command *c,
                                 const struct ph_summary *sum, struct imap_found *f);
void imap_sort(const struct ph_imap_command *c, struct imap_results *r);
/* The base subject of a decoded subject (RFC 5256 2.1): a slice of it; *ret_reply: something was
 * cut off that a reply or forward adds. Text in brackets at the begin, and "(fwd)" at the end, are
 * cut, too. */
ph_str imap_base_subject(ph_str subject, bool *ret_reply);
/* imap_thread.c. Tells THREAD's answer; -PH_ENOMEM. */
PH_MUST_CHECK int imap_thread(struct imap *im, struct imap_results *r);

#endif
