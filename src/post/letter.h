/* letter.h - how a letter is shown. */
#ifndef PH_POST_LETTER_H
#define PH_POST_LETTER_H
#include "post.h"
#include "source.h"

/* The decoded text of the first field of that name, in the arena; empty when there is none. */
ph_str post_field_text(struct ph_arena *a, ph_str head, const char *name);
/* The same when raw bytes outside ASCII are in this charset, which post_head_charset finds out.
 * Those that are UTF-8 are read as that in any case. */
ph_str post_field_text_in(struct ph_arena *a, ph_str head, ph_str charset, const char *name);
ph_str post_head_charset(struct ph_arena *a, ph_str head);
/* One line of a list; head: the header. */
void post_show_line(const struct post_item *item, ph_str head, bool json);
/* The whole letter: header fields that a person reads, the text, the attachments. 0, or an exit
 * code. */
int post_show_letter(ph_str bytes, bool json);
/* Writes every attachment below `dir`; tells each. 0, or an exit code. */
int post_save_attachments(ph_str bytes, const char *dir);
/* "7" is a letter of the mailbox; a file of this name is "./7". */
bool post_is_number(const char *arg);
/* The structure and the defects. 0, or an exit code. */
int post_show_tree(ph_str bytes, bool json);
#endif
