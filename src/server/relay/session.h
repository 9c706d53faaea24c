/* session.h - one connection to another server, shared by the file that opens it and the file that
 * sends letters on it. */
#ifndef PH_RELAY_SESSION_H
#define PH_RELAY_SESSION_H
#include "pump.h"
#include "relay.h"

#include <posthouse/sasl.h>

enum session_phase { GREETING, HELLO, STARTTLS, SECURING, LOGIN, IDLE, LETTER, QUIT };
enum { PEER_TEXT = 320 };

struct session {
    struct session *next, **at;
    struct relay *relay;
    struct ph_smtp_client *c;
    struct ph_pump *pump;
    struct ph_timer *timer;
    enum session_phase phase;
    struct attempt *t;
    struct ways *ways; /* held, for `way` */
    const struct way *way;
    struct site *site;   /* its place there; NULL: not counted */
    ph_str domain, host; /* whose mail it takes, and who it is; yours: freed with the session */
    char peer[PEER_TEXT];
    char tls[80];
    bool verified;               /* its certificate is good, and of the name that was meant */
    bool nearby;                 /* a loopback address */
    struct ph_sasl_client *sasl; /* while it logs in */
    struct ph_sasl_channel channel;
    char binding[64];
    unsigned letters;
    bool spoke; /* the server answered something about this letter */
    bool accepted[RELAY_RCPTS];
    uint16_t index[RELAY_RCPTS]; /* of the recipients said in RCPT TO */
    unsigned owed;               /* LMTP: answers to come */
    int64_t started;             /* wall, of the attempt or the letter */
    bool *gone;                  /* set when it is freed inside one of its own events */
};

/* ---- session.c --------------------------------------------------------------------------- */
struct ipc_event session_event(const struct session *s, int kind, uint32_t code, ph_str reply,
                               ph_str note);
/* What the letter under way needs: the way's, unless its sender wants more or less (RFC 8689). */
enum relay_policy session_policy(const struct session *s);
/* This server is not the one: the attempt goes on with the next address. The session is freed. */
void session_fail(struct session *s, uint32_t code, ph_str esc, ph_str text, bool tls_failed);
void session_letter(struct session *s, struct attempt *t);
/* RFC 8689 4.2.1: REQUIRETLS only to who is proven to be meant, and keeps the promise. */
bool session_keeps_promise(const struct session *s, const struct attempt *t);
/* An event of the engine once the session is ready. */
void session_answer(struct session *s, enum ph_smtp_client_ev ev,
                    const struct ph_smtp_client_event *e);
/* The connection is gone. farewell: what the server said unasked, or NULL. */
void session_over(struct session *s, const struct ph_error *why,
                  const struct ph_smtp_reply *farewell);
void session_quit(struct session *s);
void session_free(struct session *s);

#endif
