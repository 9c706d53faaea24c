/*
 * source.h - a mailbox to read from, by POP3 or IMAP, with one face for the verbs that fetch, list
 * and show.
 *
 * A letter's number is its UID with IMAP, so that it names the same letter tomorrow, and its place
 * in the session with POP3, which knows no other.
 */
#ifndef PH_POST_SOURCE_H
#define PH_POST_SOURCE_H
#include "post.h"

enum { POST_SEEN = 1, POST_FLAGGED = 2, POST_ANSWERED = 4, POST_DELETED = 8, POST_DRAFT = 16 };

struct post_item {
    uint32_t number;
    uint64_t size;
    unsigned flags; /* POST_SEEN...; POP3 knows none */
    char uid[80];   /* IMAP: the number; POP3: the unique-id, empty when the server has none */
    bool picked;    /* for get and remove */
    bool fresh;     /* fetch: put since the last flush */
    bool here;      /* fetch: in its place */
};

struct post_source {
    const struct post_source_ops *ops;
    struct post_login *login;
    const char *mailbox;     /* IMAP */
    uint64_t validity;       /* IMAP: UIDVALIDITY */
    void *engine;            /* of IMAP */
    struct post_item *items; /* in the order of their numbers */
    size_t item_n, item_cap;
    struct ph_trouble trouble; /* of the call that failed */
    void *state;
};

/* A letter or its header, whole or as its next piece (the last one may be empty); bytes are
 * borrowed until it returns. A result other than 0 ends the fetching and is returned. Letters come
 * one after the other; one whose last piece did not come broke off. */
typedef int post_take(void *ctx, struct post_item *item, ph_str bytes);
typedef int post_take_piece(void *ctx, struct post_item *item, ph_str piece, bool last);

/* All: 0, a positive result of `take`, or negative with source->trouble. */
struct post_source_ops {
    int (*open)(struct post_source *s, bool select); /* logs in; opens the mailbox */
    int (*scan)(struct post_source *s, ph_str set);  /* fills items; set: of UIDs, for IMAP alone */
    /* The items picked, in their order as a rule. head_only: the header alone. */
    int (*get)(struct post_source *s, bool head_only, post_take_piece *take, void *ctx);
    int (*remove)(struct post_source *s); /* the items picked */
    int (*close)(struct post_source *s,
                 bool commit); /* removals take effect with commit; frees in any case */
};

extern const struct post_source_ops post_source_pop3, post_source_imap;

/* --pop3, --imap, --mailbox. Without one of the first two: what the account says, else IMAP. */
struct post_source_args {
    bool pop3, imap;
    const char *mailbox;
    bool no_mailbox; /* log in only; not an option */
};
enum { POST_SOURCE_ROWS = 4 };
void post_source_options(struct post_source_args *a, struct post_option *rows);

/* Connects, logs in, opens the mailbox. 0, or an exit code with the mistake told. */
int post_source_open(struct post_source *s, const struct post_source_args *a,
                     struct post_login *login);
/* Fills items with all letters, or with those that the arguments name ("7", "7:9", "all"), which
 * are then picked; none: all are picked. It is a mistake when one is not there. 0, or an exit code
 * with the mistake told. */
int post_source_pick(struct post_source *s, int argc, char **argv);
/* ops->get and ops->remove with the mistake told. 0, or an exit code. get: each letter whole, of
 * POST_LETTER_MAX bytes at most; stream: as it comes, in constant memory. */
int post_source_stream(struct post_source *s, post_take_piece *take, void *ctx);
int post_source_get(struct post_source *s, bool head_only, post_take *take, void *ctx);
int post_source_remove(struct post_source *s);
/* commit: end the session in order, so that removals count. 0, or an exit code. */
int post_source_close(struct post_source *s, bool commit);
int post_source_fail(const struct post_source *s); /* tells s->trouble */

/* For the sources. */
struct post_item *post_source_add(
    struct post_source *s); /* a zeroed item; NULL: out of memory or more than the limit */
void post_source_sort(struct post_source *s); /* by number; of doubles the last stays */
/* The place of a number in items; NULL: not there. */
struct post_item *post_source_find(const struct post_source *s, uint32_t number);
#endif
