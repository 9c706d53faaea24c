/*
 * surrogate.h - a header with UTF-8 in it (RFC 6532), for clients that take ASCII alone (RFC 6855
 * 7, RFC 6856 2.1).
 */
#ifndef PH_SURROGATE_H
#define PH_SURROGATE_H
#include <posthouse/mime.h>

/* Is it UTF-8, and not ASCII? head: ph_message_head of the message. */
bool ph_surrogate_needed(ph_str head);

/*
 * Appends the header in ASCII, its empty line included, for reading: text and names become encoded
 * words, domains A-labels, parameters what RFC 2231 has. A mailbox that has no name in ASCII
 * becomes an empty group that says it, so that nobody answers to another. Fields that are for
 * programs and cannot be written (Message-ID, References) are left out. Fields in ASCII stay as
 * they are. -PH_ENOMEM, -PH_ELIMIT: `out` has no room.
 */
PH_MUST_CHECK int ph_surrogate_head(ph_str head, struct ph_buf *out);

#endif
