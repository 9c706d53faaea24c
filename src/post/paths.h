/* paths.h - the letters on disk that the arguments name: files, folders, Maildirs, lists of
 * them. */
#ifndef PH_POST_PATHS_H
#define PH_POST_PATHS_H
#include "post.h"

enum { POST_PATHS = 10000000 }; /* letters of one call */

struct post_paths {
    char **v; /* yours; free all with post_paths_done */
    size_t n, cap;
};

/* A file, "-" for standard input, or a folder: then every file in it whose name begins with no dot,
 * sorted by name; of a Maildir those in cur and new. 0, or an exit code with the mistake told. */
int post_paths_add(struct post_paths *p, const char *path);
/* One path a line of the file named, or of standard input for "-". */
int post_paths_add_list(struct post_paths *p, const char *file);
void post_paths_done(struct post_paths *p);
#endif
