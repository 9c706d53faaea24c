/*
 * body.h - the letter that goes out, in constant memory: built while it is read, or a file as it
 * is. It can be read as often as one likes, so that its size is known before it is sent, and what
 * could not be sent can be kept.
 */
#ifndef PH_POST_BODY_H
#define PH_POST_BODY_H
#include "post.h"
#include <posthouse/build.h>

struct post_body {
    struct ph_email *email; /* built; NULL: a file, */
    unsigned flags;
    int fd;             /* -1: none */
    struct ph_buf head; /* with this header, */
    uint64_t from;      /* instead of so many of its first bytes */
    uint64_t size;
    struct ph_stream *stream; /* where the reading is */
    uint64_t at;
    struct ph_error why;
};

void post_body_init(struct post_body *b);
/* The letter is this one, borrowed until post_body_done. 0, or an exit code with the mistake
 * told. */
int post_body_email(struct post_body *b, struct ph_email *email);
/* The letter is this file ("-": standard input, which is copied), and its header is in `head`. The
 * same results. */
int post_body_file(struct post_body *b, const char *path);
void post_body_done(struct post_body *b);

/* To the beginning. */
void post_body_rewind(struct post_body *b);
/* ctx is a struct post_body: the next bytes, for ph_smtp_letter.read. Negative: it cannot be read
 * to its end, see why. */
int64_t post_body_read(void *ctx, char *to, size_t max);
/* The whole into a new file of mode 0600, or an old one; "-" is standard output. 0, or an exit code
 * with the mistake told. */
int post_body_write(struct post_body *b, const char *path);
/* The whole in memory, appended. The same results. */
int post_body_all(struct post_body *b, struct ph_buf *out);
#endif
