/* control.h - asking the running server, over DATA/control.sock. */
#ifndef PH_ADMIN_CONTROL_H
#define PH_ADMIN_CONTROL_H
#include <posthouse/base.h>

struct admin_control {
    int fd;
    struct ph_buf buf;
    ph_str text; /* of the answer: JSON or a sentence; borrowed from buf */
};

enum { ADMIN_ANSWER_MS = 10000 }; /* for verbs that are answered at once */
/* One verb (messages.def: CTL), waiting `ms` for its answer. 0, or a sysexits code with the reason
 * told on stderr. Close in both cases. */
PH_MUST_CHECK int admin_control_ask(struct admin_control *c, const char *data, const char *verb,
                                    const char *argument, int ms);
void admin_control_close(struct admin_control *c);
/* Waits until the server has ended; false when it still runs after `ms`. */
PH_MUST_CHECK bool admin_control_wait_end(struct admin_control *c, int ms);

#endif
