/* imap_session.h - what the files of an IMAP session share. */
#ifndef PH_IMAP_SESSION_H
#define PH_IMAP_SESSION_H
#include "net_int.h"
#include <posthouse/fetch.h>

struct ph_imap_session {
    struct ph_imap_client *client;
    struct ph_conn *conn;
    enum ph_stage stage;
    const char *what; /* what is waited for, in errors */
    bool over;
    struct ph_imap_box box;
    ph_imap_each *listener;
    void *listener_ctx;
    int64_t until; /* PH_NEVER, or when to stop waiting (ph_imap_watch) */
    int64_t renew; /* of IDLE; 0: the usual */
    bool qresync;  /* enabled */
    int fd;        /* -1, or what else ends the waiting */
};

/* The next event: its kind; NEED only when `until` has come or fd can be read; negative when the
 * session is over. */
int ph__imap_next(struct ph_imap_session *s, struct ph_imap_client_event *ret_ev,
                  struct ph_trouble *rett);
/* Tells box, each and the listener of an event. The first result other than 0. */
int ph__imap_tell(struct ph_imap_session *s, const struct ph_imap_client_event *ev,
                  ph_imap_each *each, void *ctx);
int ph__imap_refused(struct ph_imap_session *s, const struct ph_imap_client_event *ev,
                     struct ph_trouble *rett);
int ph__imap_misuse(struct ph_imap_session *s, int rc, struct ph_trouble *rett);
int ph__imap_fail(struct ph_imap_session *s, struct ph_trouble *rett, const struct ph_error *e);
/* Await with a stage and a name for errors. */
int ph__imap_ask(struct ph_imap_session *s, int id, enum ph_stage stage, const char *what,
                 ph_imap_each *each, void *ctx, struct ph_trouble *rett);

#endif
