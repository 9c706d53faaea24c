/* smtp_session.h - what the two files of an SMTP session share. */
#ifndef PH_SMTP_SESSION_H
#define PH_SMTP_SESSION_H
#include "net_int.h"
#include <posthouse/send.h>

struct ph_smtp_session {
    struct ph_smtp_client *client;
    struct ph_conn *conn;
    enum ph_stage stage;
    bool over;     /* no QUIT any more */
    bool want_tls; /* the next thing is the handshake */
    ph_str mechanism;
    char name[256];
};

/* The next event that is not NEED; NEED itself when TLS came up. Negative: the session is over,
 * rett is filled. */
int ph__smtp_await(struct ph_smtp_session *s, struct ph_smtp_client_event *ret_ev,
                   struct ph_trouble *rett);
int ph__smtp_fail(struct ph_smtp_session *s, struct ph_trouble *rett, const struct ph_error *e);
int ph__smtp_misuse(struct ph_smtp_session *s, int rc, const char *what, struct ph_trouble *rett);
int ph__smtp_refused(struct ph_smtp_session *s, const struct ph_smtp_reply *reply, const char *what,
                     struct ph_trouble *rett);

#endif
