/* reported.h - what a delivery report that came in says of the letter that it is about (RFC
 * 3464). */
#ifndef PH_REPORTED_H
#define PH_REPORTED_H
#include <posthouse/base.h>

enum { REPORTED_MOST = 20, REPORTED_ID = 998 }; /* recipients that are read */

/* Reads a letter whose reverse-path is empty. When it is a delivery report that returns the header
 * of the letter it is about, or a receipt that names it (RFC 8098): appends an event row
 * (messages.def, IPC_HEARD) for each recipient and writes that letter's Message-ID; true. now: wall
 * us, for what tells no time or one ahead of ours. Errors stay in `rows`. */
bool reported_read(ph_str letter, int64_t now, char ret_id[REPORTED_ID + 1], struct ph_buf *rows);
#endif
