/*
 * server_int.h - the server engine's parts.
 *
 *   server.c       life, input, events, time
 *   server_cmd.c   one function a verb
 *   server_mail.c  long answers, written as the peer reads: lists, and messages with their dots
 *
 * States of the session (RFC 1939 4 to 6), and what it waits for in them:
 *
 *   AUTHORIZATION --LOGIN, welcome--> TRANSACTION --QUIT--> OVER
 *        |  \--STLS--> (TLS) --> AUTHORIZATION                ^
 *        +-------------------QUIT, failures, time-------------+
 *
 *   IDLE      the next command may be read
 *   RESPONSE  the client's answer to a challenge is due
 *   OWNER     LOGIN, AUTH, AUTHDATA, MAIL or UPDATE was given and not answered
 *   LISTING   a list is being written
 *   MAILING   a message is being written: `part` is ours until `more`
 *   TLS       the handshake is due
 */
#ifndef PH_POP3_SERVER_INT_H
#define PH_POP3_SERVER_INT_H
#include "pop3_int.h"

enum busy { IDLE, RESPONSE, OWNER, LISTING, MAILING, TLS };

/* The highest bit of a message's size marks it as deleted: a mailbox of 100,000 messages is 2.4
 * MB. */
#define POP3_DELETED ((uint64_t)1 << 63)

struct pop3_message {
    uint64_t size, uid;
    uint32_t name; /* where its unique-id begins in `names`, plus one; 0: it has none of its own */
};

struct ph_pop3_server {
    const struct ph_alloc *al;
    struct ph_pop3_server_options opt;
    struct ph_inbuf in;
    struct ph_buf out;
    enum pop3_states state;
    enum busy busy;
    bool tls, utf8, apop, eof, skipping, closing, told;
    struct ph_error error;
    int64_t now, active; /* active: when the peer last read, or wrote a line; -1: the time is not
                            known yet */
    unsigned failures, errors;

    enum ph_pop3_server_ev pending; /* to be given by next; NEED: none */
    struct ph_pop3_server_event event;
    struct ph_buf mechanisms; /* of SASL, offered */
    struct ph_buf user;       /* of USER */
    struct ph_buf secret;     /* what event's slices point to; wiped behind the answer */

    struct pop3_message *messages;
    struct ph_buf names; /* unique-ids that came from elsewhere, NUL behind each */
    uint32_t count, room;
    uint64_t prefix;

    enum ph_pop3_verb listing;
    uint32_t listed;

    ph_str part; /* of the message being written */
    bool part_last, began, more, in_header;
    bool line_begun; /* TOP: the current line has content */
    uint32_t lines;  /* TOP: still to come; PH_POP3_WHOLE */
    struct ph_dot dot;
};

/* "number unique-id" behind `before`. */
void ph__pop3_say_uid(struct ph_pop3_server *s, const char *before, uint32_t number,
                      const struct pop3_message *m);
void ph__pop3_say(struct ph_pop3_server *s, const char *fmt, ...) PH_PRINTF(2, 3); /* adds CRLF */
void ph__pop3_end(struct ph_pop3_server *s, int code, const char *why); /* after what is in out */
void ph__pop3_forget(struct ph_pop3_server *s);                         /* the secrets */
void ph__pop3_mistake(struct ph_pop3_server *s, const char *text);      /* -ERR, counted */

/* server_cmd.c: one line, without its end. */
void ph__pop3_command(struct ph_pop3_server *s, ph_str line);
void ph__pop3_response(struct ph_pop3_server *s, ph_str line);
uint32_t ph__pop3_kept(const struct ph_pop3_server *s, uint64_t *ret_octets);

/* server_mail.c: adds to out while there is something to add and room. */
void ph__pop3_refill(struct ph_pop3_server *s);

#endif
