/* imap_search.h - SEARCH: matching one message (imap_match.c), and running over a mailbox
 * (imap_search.c). */
#ifndef ACCESS_IMAP_SEARCH_H
#define ACCESS_IMAP_SEARCH_H
#include "imap_session.h"
#include "search.h"
#include "summary.h"

/* A message while it is looked at. row has what imap_search_needs asked for; bytes: the whole
 * message where the body is needed. */
struct imap_candidate {
    const struct ipc_message *row;
    uint32_t seq, last_seq, last_uid;
    bool recent;
    const struct ph_summary *summary; /* NULL: none */
    ph_str bytes;
    struct ph_arena *arena;            /* of this message */
    struct ph_buf head, text, scratch; /* of search.h; what is compared */
    bool has_text;
    int err; /* out of memory: the answer is not to be trusted */
};

/* Texts in the keys must be folded (ph_search_fold). */
bool imap_search_matches(const struct ph_imap_search *k, struct imap_candidate *m);
unsigned imap_search_needs(const struct ph_imap_search *k); /* IPC_F_ mask */

#endif
