/* stop.h - post send --stop-after. */
#ifndef PH_POST_STOP_H
#define PH_POST_STOP_H
#include "compose.h"

bool post_stop_known(const char *step); /* connect, ehlo, auth, mail, rcpt, data */
/* Goes up to that step and tells what the server says; sends nothing. 0, or an exit code. */
int post_stop_after(const char *step, const struct post_letter *l, struct post_login *login);
#endif
