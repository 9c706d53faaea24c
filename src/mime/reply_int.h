/* reply_int.h - what replies and forwarding share: reply.c says to whom, reply_text.c says what. */
#ifndef PH_REPLY_INT_H
#define PH_REPLY_INT_H
#include <posthouse/reply.h>

/* "Name <local@host>" of an address that was read, so that it can be written again; appended. */
int ph__reply_address(struct ph_arena *arena, const struct ph_address *a, struct ph_buf *out);

/* The subject of the original with its prefix, set. */
int ph__reply_subject(struct ph_email *to, ph_str subject, enum ph_subject kind, ph_str prefix,
                      struct ph_error *reterr);

/* The text of a reply, set as content. */
int ph__reply_text(struct ph_email *to, const struct ph_message *m, const struct ph_envelope *of,
                   const struct ph_reply *reply, struct ph_error *reterr);
#endif
