/*
 * search.h - what SEARCH compares: the text of a message, decoded and folded, and the text that is
 * looked for, folded the same way. A message holds a text when the one is a substring of the other;
 * nothing else decides, whether an index was asked first or not.
 */
#ifndef PH_SEARCH_H
#define PH_SEARCH_H
#include <posthouse/mime.h>

/* Appends UTF-8 folded by i;unicode-casemap (RFC 5051): title case, then compatibility
 * decomposition, the pieces (of a ligature) in title case, too; so that case, accents' spelling and
 * the width of letters are not told apart. Hangul syllables stay whole. What is not UTF-8 is
 * copied. The result is at most 54 times as long; only the buffer's own error can happen.
 * Linear. */
void ph_search_fold(ph_str utf8, struct ph_buf *out);

/* Addresses as people write them, decoded and folded: "NAME <LOCAL@HOST>, ", a group "NAME: ...; ".
 * 0 or -PH_ENOMEM. */
PH_MUST_CHECK int ph_search_addresses(struct ph_arena *arena, const struct ph_address *list,
                                      struct ph_buf *out);

/*
 * The text of a message, folded: `head` gets every field of its header as "NAME: VALUE" with
 * encoded words decoded, and the addresses of From, To, Cc and Bcc as ph_search_addresses writes
 * them; `body` gets the headers of its parts, the names of attachments, and every text part (of
 * HTML its words). The keys of RFC 9051 6.4.4: BODY looks in `body`, TEXT in both; whatever
 * SUBJECT, FROM, TO, CC, BCC and HEADER find is a part of `head`.
 *
 * 0; -PH_ENOMEM; -PH_ELIMIT when a buffer was full.
 */
PH_MUST_CHECK int ph_search_text(struct ph_arena *arena, ph_str message, struct ph_buf *head,
                                 struct ph_buf *body);

/* Is the folded `what` in the folded `text`? The empty one is in every text. */
bool ph_search_holds(ph_str text, ph_str what);

#endif
