/* compose.h - what `post send` was asked to send: options -> the letter, sender, recipients. */
#ifndef PH_POST_COMPOSE_H
#define PH_POST_COMPOSE_H
#include "body.h"

enum { POST_FIELDS = 1000, POST_FILES = 1000, POST_RECIPIENTS = 10000 };

struct post_letter {
    /* from the options */
    const char *from, *subject, *text, *text_file, *html, *html_file, *raw, *message_id;
    const char *markdown, *markdown_file, *date;
    struct {
        const char *name, *value; /* name NULL: value is a whole "Name: value" */
    } fields[POST_FIELDS];
    size_t field_n;
    struct {
        const char *path;
        enum {
            POST_FILE,
            POST_PICTURE,
            POST_ENCLOSED
        } kind; /* ENCLOSED: a letter, as message/rfc822 */
    } files[POST_FILES];
    size_t file_n;
    bool too_many;
    /* made */
    struct ph_arena *arena;
    struct post_body body;
    ph_str sender, id;
    ph_str to[POST_RECIPIENTS];
    size_t to_n;
};

/* Builds or takes over the message, finds sender and recipients. 0, or an exit code with the
 * mistake told. */
int post_compose(struct post_letter *l);
/* The same for an answer to `original`, which is borrowed until post_compose_done; files of `l` go
 * with it. */
struct ph_reply;
int post_compose_reply(struct post_letter *l, ph_str original, const struct ph_reply *how);
void post_compose_done(struct post_letter *l);
#endif
