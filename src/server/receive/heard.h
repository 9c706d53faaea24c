/* heard.h - the way of a letter before it came here, as its Received fields tell it. */
#ifndef PH_HEARD_H
#define PH_HEARD_H
#include <posthouse/base.h>

enum { HEARD_MOST = 20 }; /* fields from the top that are read */

/* Appends an event row (messages.def, IPC_HEARD) for each Received field of `head`, the oldest
 * first: host is who wrote it, peer who gave it the letter. now: wall us; what a clock says that is
 * ahead of ours is told in the note, and the time is then ours. Errors stay in `rows`. */
void heard_write(ph_str head, int64_t now, struct ph_buf *rows);
#endif
