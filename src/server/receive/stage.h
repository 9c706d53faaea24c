/*
 * stage.h - the stages of a letter's way in, and what hangs on them: named hooks, one row each in
 * stage.c, called in that order.
 *
 *   CONNECT -> HELO -> (MAIL -> RCPT... -> DATA)...      DATA: the whole message has come
 *
 * Each hook lets pass, or says otherwise with a reason. The first that defers or rejects ends it:
 * the client hears the reply, the log (and at DATA the journey) keeps hook and reason. Tags and
 * quarantine are kept in the journey; quarantined letters go to the Junk mailbox of those who live
 * here. A verdict at HELO is told at the next MAIL (RFC 5321 4.1.4: HELO itself is not refused).
 */
#ifndef PH_STAGE_H
#define PH_STAGE_H
#include "intake.h"

enum stage { STAGE_CONNECT, STAGE_HELO, STAGE_MAIL, STAGE_RCPT, STAGE_DATA };
enum stage_act { STAGE_ACCEPT, STAGE_TAG, STAGE_QUARANTINE, STAGE_DEFER, STAGE_REJECT };

struct stage_verdict {
    enum stage_act act;
    const char *hook; /* who says so */
    int code;         /* DEFER, REJECT: the reply */
    const char *esc;
    char reply[256];
    char reason[160]; /* for log and journey */
};

/* Runs the hooks of that stage. ev: of MAIL and RCPT, else NULL. The verdict that stands: the first
 * DEFER or REJECT, else the last QUARANTINE or TAG, which intake has noted already. */
struct stage_verdict stage_run(struct intake *in, enum stage at,
                               const struct ph_smtp_server_event *ev);

#endif
