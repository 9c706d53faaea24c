/*
 * summary.h - what IMAP and search need to know of a message without its bytes: envelope, structure, part offsets,
 * sizes, preview. Made where the message is parsed (mx, access), kept by the store as opaque data.
 */
#ifndef PH_SUMMARY_H
#define PH_SUMMARY_H
#include <posthouse/base.h>

enum { PH_SUMMARY_MAX = 256 * 1024 };

/* Parses `message` (whole, as it will be stored) and appends its summary, at most PH_SUMMARY_MAX bytes: a message whose
 * structure is larger gets a summary that says so and IMAP parses the body. -PH_ENOMEM is the only error. */
PH_MUST_CHECK int ph_summary_make(ph_str message, struct ph_buf *out);

/* Borrowed from the message given: its Message-ID with brackets (empty when there is none), and how many Received fields
 * it has. Looks at the header only. */
void ph_summary_trace(ph_str message, ph_str *ret_message_id, unsigned *ret_received);
#endif
