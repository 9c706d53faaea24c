/* editor.h - text that a person writes now, and letters that could not be sent. */
#ifndef PH_POST_EDITOR_H
#define PH_POST_EDITOR_H
#include "compose.h"

/* Opens $VISUAL, $EDITOR or vi on a file that holds `start`; what is saved is appended to `out`. 0,
 * or an exit code with the mistake told: also when nothing was written, as nobody means to send
 * that. */
int post_edit(ph_str start, struct ph_buf *out);

/* Keeps a letter that could not be sent in $XDG_STATE_HOME/post/drafts and prints on stderr the
 * command that sends it again. */
void post_keep_draft(struct post_letter *l, const struct post_login *login);
/* Removes the letter that was sent again, if it is one that post_keep_draft kept. */
void post_drop_draft(const char *path);
#endif
