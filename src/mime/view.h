/* view.h - which part is what to a reader. */
#ifndef PH_MIME_VIEW_H
#define PH_MIME_VIEW_H
#include <posthouse/mime.h>

/* The part to read first inside `p`, not looking into enclosed messages; NULL. */
const struct ph_part *ph__text_part(const struct ph_part *p);

/* Is this leaf (or enclosed message) an attachment? It depends on its own place only, so that
 * this agrees with ph_message_view without building the lists. */
bool ph__is_attachment(const struct ph_part *p);

/* Like ph_part_next, but does not go into enclosed messages. */
const struct ph_part *ph__next_outside(const struct ph_part *p);

/* The charset parameter, or "". */
ph_str ph__charset_of(const struct ph_part *p);

#endif
