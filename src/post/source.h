/*
 * source.h - a mailbox to read from, by POP3 or IMAP, with one face for the verbs that fetch, list and show.
 *
 * Letters are numbered from 1 as the server numbers them in this session.
 */
#ifndef PH_POST_SOURCE_H
#define PH_POST_SOURCE_H
#include "post.h"

enum { POST_SEEN = 1, POST_FLAGGED = 2, POST_ANSWERED = 4, POST_DELETED = 8, POST_DRAFT = 16 };

struct post_item {
    uint32_t number;
    uint64_t size;
    unsigned flags; /* POST_SEEN...; POP3 knows none */
    char uid[80];
};

struct post_source {
    const struct post_source_ops *ops;
    struct post_login *login;
    const char *mailbox; /* IMAP */
    struct ph_conn *conn;
    void *engine; /* of the protocol */
    struct post_item *items;
    size_t item_n, item_cap;
    struct ph_error error; /* of the call that failed */
    void *state;
};

/* A letter or its header; bytes are borrowed until it returns. A result other than 0 ends the fetching and is returned. */
typedef int post_take(void *ctx, const struct post_item *item, ph_str bytes);

/* All: 0, a positive result of `take`, or negative with source->error. */
struct post_source_ops {
    int (*open)(struct post_source *s);
    int (*scan)(struct post_source *s); /* fills items */
    /* first..last are places in items. head_only: the header alone. */
    int (*get)(struct post_source *s, size_t first, size_t last, bool head_only, post_take *take, void *ctx);
    int (*remove)(struct post_source *s, size_t at);
    int (*close)(struct post_source *s); /* removals take effect */
    void (*free)(struct post_source *s);
};

extern const struct post_source_ops post_source_pop3, post_source_imap;

/* --pop3, --imap, --mailbox. */
struct post_source_args {
    bool pop3, imap;
    const char *mailbox;
    bool no_mailbox; /* log in only; not an option */
};
enum { POST_SOURCE_ROWS = 4 };
void post_source_options(struct post_source_args *a, struct post_option *rows);

/* Connects, logs in, scans. 0, or an exit code with the mistake told. */
int post_source_open(struct post_source *s, const struct post_source_args *a, struct post_login *login);
/* commit: end the session in order, so that removals count. 0, or an exit code. */
int post_source_close(struct post_source *s, bool commit);
int post_source_fail(const struct post_source *s); /* tells s->error */
struct post_item *post_source_add(struct post_source *s); /* a zeroed item; NULL: out of memory or more than the limit */

/* Drives the connection once. secured: told when TLS is up. 0, or negative with s->error. */
int post_source_step(struct post_source *s, void (*secured)(void *engine));
#endif
