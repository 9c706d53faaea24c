/*
 * client_int.h - the client engine's parts.
 *
 *   client.c        life, input, time, which command may be written when
 *   client_cmd.c    one function a verb: what it writes
 *   client_reply.c  replies into events
 *
 * What the next bytes of the server are:
 *
 *   GREETING -> STATUS -> (LINES | MAIL) -> STATUS ...
 */
#ifndef PH_POP3_CLIENT_INT_H
#define PH_POP3_CLIENT_INT_H
#include "pop3_int.h"

enum reading { GREETING, STATUS, LINES, MAIL };

struct pop3_command {
    struct pop3_command *next;
    enum ph_pop3_verb verb;
    uint32_t id;
    bool all;         /* LIST, UIDL without a number: a reply of many lines */
    bool secret;      /* what stands behind the first word is not for the dialogue */
    bool asked;       /* AUTH: the server waits for ph_pop3_client_auth_data */
    size_t answer_at; /* AUTH: where in `text` the answer to the challenge begins; 0: none */
    size_t n;
    char text[]; /* lines as they are sent */
};

struct ph_pop3_client {
    const struct ph_alloc *al;
    struct ph_pop3_client_options opt;
    struct ph_inbuf in;
    struct ph_buf out;
    struct pop3_command *first, **end; /* answered ones are gone */
    struct pop3_command *unsent;       /* the first that was not written */
    uint32_t waiting, flight, ids;
    enum reading reading;
    bool tls, tls_due, quit, over, told, eof, user_refused;
    struct ph_error error;
    struct ph_pop3_caps caps;
    struct ph_buf mechanisms, stamp,
        decoded; /* of CAPA; of the greeting (RFC 1939 7); a challenge */
    struct ph_undot undot;
    uint64_t items, octets;
    int64_t now, active; /* active < 0: the time is not known yet */
};

void ph__pop3_client_end(struct ph_pop3_client *c, int code, const char *why);
void ph__pop3_client_write(struct ph_pop3_client *c); /* what may be written now */
/* A line of the dialogue, without its CRLF. */
void ph__pop3_client_tell(const struct ph_pop3_client *c, char who, ph_str line);
/* The first command is answered. */
void ph__pop3_client_drop(struct ph_pop3_client *c);

/* One event, or NEED when bytes are missing. */
enum ph_pop3_client_ev ph__pop3_client_read(struct ph_pop3_client *c,
                                            struct ph_pop3_client_event *ret_ev);

#endif
