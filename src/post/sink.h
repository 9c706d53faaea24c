/*
 * sink.h - where `post fetch` puts letters. Letters are put one by one and made safe together by
 * sync, because one flush of the disk for many letters is what makes fetching fast.
 *
 * Killed at any moment, a place is as it was after some earlier letter, plus leftovers that no
 * reader sees; the next open mends them.
 */
#ifndef PH_POST_SINK_H
#define PH_POST_SINK_H
#include "fetch_state.h"

struct post_sink {
    const struct post_sink_ops *ops;
    const char *path;
    struct post_state *state;
    void *own;
};

/* All: 0, or an exit code with the mistake told. */
struct post_sink_ops {
    /* The folder and the file name beside which the state lies. */
    int (*where)(const char *path, char dir[4096], char name[256]);
    /* Locks, mends what a crash left, and adds to the state the ids of letters that are here. */
    int (*open)(struct post_sink *k);
    /* The next piece of a letter, the last one may be empty. One that broke off leaves nothing;
     * after it only sync and close. */
    int (*put)(struct post_sink *k, const struct post_item *item, ph_str piece, bool last);
    /* What was put whole is visible to readers and safe on disk, then `lines` are in the state.
     * shown: told of each letter's place. */
    int (*sync)(struct post_sink *k, ph_str lines, void (*shown)(void *ctx, const char *path),
                void *ctx);
    void (*close)(struct post_sink *k);
};

extern const struct post_sink_ops post_sink_maildir, post_sink_mbox;

/* A letter, piece by piece, as a part of an mbox (mboxrd): From line, LF line ends, ">" before
 * every line "From ", ">From "..., an empty line behind. */
struct post_mbox_writer {
    struct ph_buf head;     /* until it is whole: the From line is made of it */
    bool begun, within, cr; /* within a line that is no From line; a CR was held back */
    size_t quotes, matched; /* of a line that may still be one: ">>", "Fro" */
};
enum { POST_MBOX_HEAD = 256 * 1024 }; /* of a header longer than that the rest is not looked at */
void post_mbox_writer_init(struct post_mbox_writer *w);
void post_mbox_writer_done(struct post_mbox_writer *w);
/* Appended to `out`; after the last piece the writer is ready for another letter. 0 or
 * -PH_ENOMEM. */
int post_mbox_write(struct post_mbox_writer *w, ph_str piece, bool last, struct ph_buf *out);
#endif
