/* describe.h - the tables of verbs and options in other forms: shell completion, manual pages. */
#ifndef PH_POST_DESCRIBE_H
#define PH_POST_DESCRIBE_H
#include "post.h"

struct post_verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *synopsis, *line;
};
extern const struct post_verb post_verbs[];
extern const size_t post_verb_count;

/* What a verb is asked by this word as its only argument, followed by a format: it prints itself so
 * and ends. */
#define POST_DESCRIBE "--describe="
/* Prints one verb in the format, "bash", "zsh", "fish" or "man". */
void post_describe(const char *format, const struct post_verb *v,
                   const struct post_option *const *tables, const char *details);
#endif
