/* mx_int.h - the mx process and its connections. */
#ifndef MX_INT_H
#define MX_INT_H
#include "intake.h"
#include "pump.h"

struct mx_session;

struct mx {
    struct proc *proc;
    struct front *front;
    struct proc_waits *waits;
    struct mx_session *sessions;
    struct letter_room room;
    uint64_t letters, refused_commands; /* of sessions that ended */
    bool draining;
};

struct mx_session {
    struct mx *mx;
    struct front_guest peer;
    struct ph_smtp_server *engine;
    struct ph_pump *pump;
    struct intake intake;
    char tls_text[80];
    unsigned asked; /* requests under way */
    struct mx_session *next, *prev;
};

void mx_session_new(struct mx *mx, const struct front_guest *g);
void mx_session_answer(struct mx_session *s, struct ipc_msg *msg); /* NULL: there will be none */
void mx_session_drain(struct mx_session *s);

#endif
