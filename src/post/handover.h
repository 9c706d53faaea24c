/* handover.h - letters to a submission server, over one session for as many as there are. */
#ifndef PH_POST_HANDOVER_H
#define PH_POST_HANDOVER_H
#include "compose.h"
#include <posthouse/send.h>

struct post_handover {
    struct post_login *login; /* completed */
    bool json;
    const char *name; /* of the letter, told before each result; NULL: there is one only */
    struct ph_smtp_session *session;
    bool hopeless; /* no session can be had any more: the rest is not tried */
};

/* Connects when there is no session, sends, tells the result on stdout. 0, EX_NOUSER (some
 * recipients were refused), or another exit code with the mistake told. */
int post_handover_letter(struct post_handover *h, struct post_letter *l);
void post_handover_done(struct post_handover *h);
#endif
