/*
 * pick.h - which recipients of the queue are meant: what an administrator types behind `posthouse
 * queue`, read the same way by the verb and by the running queue.
 *
 *   words, each one more condition, lines of the text:
 *     ID              the letter with this queue id
 *     bob@b.test      this recipient         from:a@a.test   this sender; from: alone: the null one
 *     @b.test         next hop of it         from:@a.test    senders of this domain
 *     older:2h newer:90s                     in the queue for longer, for less (s min h d)
 *     state:held      held, waiting, or under-way
 *     reason:quota    the last reply has these words, or is of this class (dsn.h)
 *     all             no condition
 */
#ifndef PH_PICK_H
#define PH_PICK_H
#include "queue.h"

enum { PH_PICK_TEXT = 1024 }; /* longest text */

struct ph_pick {
    bool all; /* said so */
    uint64_t qid;
    ph_str rcpt, domain, sender, sender_domain, reason, state; /* borrowed from the text */
    bool any_sender;                                           /* no condition on it */
    int64_t older, newer;                                      /* microseconds; 0: no condition */
};

/* -PH_EINVAL: a word that is none of these; reterr says which. An empty text has no condition. */
PH_MUST_CHECK int ph_pick_read(ph_str text, struct ph_pick *ret_pick, struct ph_error *reterr);
/* Nothing was said at all: for verbs that want a word, "all" at least. */
bool ph_pick_is_empty(const struct ph_pick *p);
/* Could a recipient of this letter be meant? By id, sender and age. */
bool ph_pick_letter(const struct ph_pick *p, const struct ph_spool_letter *l, int64_t now);
bool ph_pick_rcpt(const struct ph_pick *p, const struct ph_spool_rcpt *r);

#endif
