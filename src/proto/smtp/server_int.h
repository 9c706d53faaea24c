/* server_int.h - the server engine's state, shared by server.c (bytes, time, replies) and
 * server_next.c (events), server_body.c (messages). */
#ifndef PH_SMTP_SERVER_INT_H
#define PH_SMTP_SERVER_INT_H
#include "smtp_int.h"

enum {
    SERVER_IN_MAX = 64 * 1024,   /* bytes that wait for the caller's replies */
    SERVER_OUT_MAX = 128 * 1024, /* replies that the client does not take */
    SERVER_OUT_HIGH = 16 * 1024, /* above this no further command is read */
    /* octets of a message that count as life within a time-out; commands: a whole line */
    SERVER_PROGRESS = 1024,
    SERVER_MECHANISMS_MAX = 256,
    SERVER_SCRATCH_MAX = 16 * 1024
};

/* Where the next bytes of input belong. */
enum phase {
    PHASE_LINE,  /* a command */
    PHASE_SKIP,  /* the rest of a line that was too long */
    PHASE_AUTH,  /* an answer to a challenge */
    PHASE_WAIT,  /* nowhere: the caller owes a reply */
    PHASE_BODY,  /* the message */
    PHASE_CHUNK, /* a piece of it that BDAT announced */
    PHASE_TLS,   /* nowhere: a handshake is due */
    PHASE_GREET, /* nowhere: the greeting is not yet due */
    PHASE_END,
    PHASE_COUNT
};

/* Events that are due beside the one that a command gives, in the order they are given. */
enum { DUE_RESET = 1, DUE_HELO = 2, DUE_QUIT = 4, DUE_BROKEN = 8 };

/* Why a message that is still coming in will be refused. */
enum refusal { REFUSE_NOT, REFUSE_SIZE, REFUSE_BARE };

/* The octets behind a BDAT. */
struct chunk {
    uint64_t size, left;
    bool last;
    bool refused; /* are read, then refused */
    bool quiet;   /* are read; the refusal was said */
    bool cr;      /* the one before ended in CR */
};

struct ph_smtp_server {
    const struct ph_alloc *al;
    struct ph_smtp_server_options o; /* hostname points into names */
    struct ph_buf names;
    struct ph_buf mechanisms; /* what o.auth points into */
    struct ph_inbuf in;
    struct ph_buf out;
    size_t out_from;       /* sent */
    struct ph_buf scratch; /* of the command being read */
    struct ph_buf helo;
    enum ph__smtp_state state;
    enum phase phase;
    unsigned due;
    int verb; /* PHASE_WAIT: who waits; VERB_DATA with eom: the end of a message */
    bool eom;
    bool esmtp, tls, authenticated, eof, draining;
    unsigned recipients, errors, junk, auth_failures;
    unsigned owed; /* LMTP: replies still to come for a message */
    struct ph_smtp_params params;
    struct ph_undot undot;
    uint64_t octets; /* of the message so far */
    enum refusal refusal;
    struct chunk chunk;
    size_t eat_later;  /* input that the last event's slices point to */
    size_t progress;   /* octets of a message since `last` */
    int64_t now, last; /* last: when something last happened; a trickle of bytes is nothing */
    struct ph_error error;
};

/* Queues a reply, counts it if it is an error. */
void ph__smtp_server_say_long(struct ph_smtp_server *s, int code, ph_str esc, ph_str text,
                              size_t max);
void ph__smtp_server_say(struct ph_smtp_server *s, int code, ph_str esc, ph_str text);
/* The session is over: BROKEN is due, nothing more is read. */
void ph__smtp_server_break(struct ph_smtp_server *s, int code, const char *why);
/* Ends the transaction; RESET is due when there was one. */
void ph__smtp_server_drop(struct ph_smtp_server *s);
/* After a reply: has a limit been passed, is a drain due? */
void ph__smtp_server_settle(struct ph_smtp_server *s);
unsigned ph__smtp_server_announced(const struct ph_smtp_server *s);
/* The end of a message that the engine refuses, or of one that the caller answered. */
void ph__smtp_server_finish_data(struct ph_smtp_server *s);

/* ---- steps: an event, or AGAIN ---------------------------------------------------------- */

enum { AGAIN = -1 }; /* a step consumed input and has no event: take the next step */
#define SAY(s, code, esc, text) ph__smtp_server_say((s), (code), PH_STR(esc), PH_STR(text))

/* Asks the caller: nothing is read until the reply. */
int ph__smtp_server_ask(struct ph_smtp_server *s, int verb, enum ph_smtp_server_ev ev);
int ph__smtp_server_after(struct ph_smtp_server *s); /* a command is done: settle */
int ph__smtp_server_end_of_input(struct ph_smtp_server *s);
void ph__smtp_server_refuse_order(struct ph_smtp_server *s, int verb);
void ph__smtp_server_message_begin(struct ph_smtp_server *s);
int ph__smtp_server_bdat(struct ph_smtp_server *s, const struct ph__smtp_command *c);
int ph__smtp_server_step_body(struct ph_smtp_server *s, struct ph_smtp_server_event *ev);
int ph__smtp_server_step_chunk(struct ph_smtp_server *s, struct ph_smtp_server_event *ev);

#endif
