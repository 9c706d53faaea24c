/*
 * fetch_state.h - what `post fetch` has taken from one source into one place, kept beside that
 * place so that it moves with it.
 *
 *   DIR/.post-<tag>           of a Maildir         one line an entry, appended after the letters are safe:
 *   .FILE.post-<tag>          of an mbox               upto UIDVALIDITY UID     all letters up to this UID
 *                                                      uid UIDVALIDITY UID      this letter
 *                                                      uidl ID                  this letter, by POP3
 *
 * The tag names the source: protocol, user, server, mailbox. A last line without its end was cut
 * off by a crash and does not count. When a run ends in order the file is written anew with what
 * still matters.
 */
#ifndef PH_POST_FETCH_STATE_H
#define PH_POST_FETCH_STATE_H
#include "source.h"

enum { POST_STATE_MAX = 1024 * 1024 * 1024, POST_TAG = 17 };

struct post_state {
    char path[4096];
    char tag[POST_TAG];
    bool imap;
    uint64_t validity; /* of the mailbox as it is now */
    uint32_t last;     /* IMAP: all UIDs up to it are here */
    bool renumbered;   /* the file spoke of another UIDVALIDITY: everything is new */
    /* POP3: the ids that are here; both: ids that the place itself shows, though the file does not
     * know yet. Sorted. */
    char **ids;
    size_t id_n, id_cap;
    bool sorted;
};

/* Tag, path, and the mailbox's UIDVALIDITY; dir: the folder; name: of the mbox, NULL for a Maildir.
 * 0, or an exit code. */
int post_state_name(struct post_state *st, const struct post_source *s, const char *dir,
                    const char *name);
/* Reads the file, if it is there. */
int post_state_load(struct post_state *st);
/* One more id that is here, for post_state_has. */
int post_state_add(struct post_state *st, ph_str id);
bool post_state_has(struct post_state *st, const struct post_item *item);
/* The line that tells of one letter, or of all up to a UID, appended to `lines`. */
void post_state_line(const struct post_state *st, const struct post_item *item,
                     struct ph_buf *lines);
void post_state_upto(const struct post_state *st, uint32_t uid, struct ph_buf *lines);
/* Appends lines to the file and makes them durable. */
int post_state_append(const char *path, ph_str lines);
/* Writes it anew: only what the source still has. */
int post_state_finish(struct post_state *st, const struct post_source *s);
void post_state_done(struct post_state *st);

/* An id as a part of a file name, and back: %XX for all that is no letter, digit, '-', '_', '.',
 * '+', '@' or '='. */
void post_state_escape(ph_str id, struct ph_buf *out);
#endif
