/* submission.h - the parts of submission beside its session. */
#ifndef ACCESS_SUBMISSION_H
#define ACCESS_SUBMISSION_H
#include "letter.h"
#include "session.h"

/* Takes out Bcc and Resent-Bcc (RFC 5322 3.6.3: no recipient may see them) and appends Date and
 * Message-ID where the message has none (RFC 6409 8.1, 8.2); nothing else of it is touched.
 * -PH_ELIMIT: the header does not end within LETTER_HEADER octets. */
int submission_complete(struct letter *l, ph_str hostname, struct ph_buf *fields);

/* Appends the events of a journey (rows of event) as JSON, one object a line, oldest first; cut,
 * with a last line
 * {"more":true}, at PH_SMTP_REPLY. -PH_ENOENT: no events; -PH_ENOMEM. */
PH_MUST_CHECK int submission_trace_write(ph_str events, struct ph_buf *out);

#endif
