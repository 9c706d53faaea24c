/* source_imap.h - the IMAP source, for verbs that want more of IMAP than letters. */
#ifndef PH_POST_SOURCE_IMAP_H
#define PH_POST_SOURCE_IMAP_H
#include "source.h"
#include <posthouse/fetch.h>

/* Events that are no letter: LIST_EV, STATUS_EV..., and the RESULT of the command. */
typedef void post_imap_other(void *ctx, const struct ph_imap_client_event *ev);

/* Waits until the command `id` of s->engine has ended well (negative: the error of the call that
 * should have given an id). 0, or negative with s->trouble. */
int post_imap_await(struct post_source *s, int id, post_imap_other *other, void *ctx);

/* Adds the mailbox that is meant: "INBOX" in any case; the name as it is, when there is such a
 * mailbox; "trash", "sent", "drafts", "archive", "junk": the one marked so (RFC 6154), else, with
 * `make`, one that is made. 0, or negative with s->trouble. */
int post_imap_mailbox(struct post_source *s, const char *asked, bool make, struct ph_buf *name);

/* Runs a command that takes a set of UIDs over all letters picked: `command` queues it and gives
 * its id, as the functions of imap.h do. 0, or negative with s->trouble. */
int post_imap_each_set(struct post_source *s, int (*command)(void *ctx, ph_str set),
                       post_imap_other *other, void *ctx);

/* Waits until there is more in the mailbox than at the last scan, or the time is over: by IDLE,
 * else by NOOP. 0, or negative with s->trouble. */
int post_imap_idle(struct post_source *s, int64_t for_ms);
#endif
