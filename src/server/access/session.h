/*
 * session.h - a connection of the access process: what all its protocols have in common, and what
 * each has to bring.
 *
 *   front door -> begin -> (events, secured)* -> closed by engine or peer -> end
 *
 * access.c owns sessions: socket, pump, engine, log-in, requests to other processes. A protocol is
 * one struct session_kind in its own files (submission*.c, pop3*.c, imap*.c) and one row in
 * access.c.
 */
#ifndef ACCESS_SESSION_H
#define ACCESS_SESSION_H
#include "front.h"
#include "proc.h"
#include "pump.h"

struct access;
struct letter_room;
struct session_kind;

struct session {
    const struct session_kind *kind;
    struct access *access;
    struct proc *proc; /* settings: proc->conf */
    int service;       /* enum ipc_service */
    void *engine;      /* made by begin or refuse, freed by end */
    void *state;       /* the kind's own, freed by end */
    struct ph_pump *pump;
    struct front_guest peer; /* peer.id: the session in log lines; peer.ip, peer.text */
    bool tls;                /* secured was called */
    char tls_text[80];       /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
    uint64_t grant; /* the session the store and keeper know; 0 before the login. Every request to
                       the store names it */
    char user[513]; /* account address, after the login */
    char auth[400]; /* "alice@a.test PLAIN", after the login: for journeys */
    const char *login_mechanism;            /* of the login under way; NULL: none is */
    uint64_t login_req;                     /* while keeper is asked */
    uint64_t exchange;                      /* while the client is */
    struct ph_tls_info *tls_info;           /* NULL: no TLS */
    unsigned asked;                         /* requests under way */
    struct session *next, *prev, *by_grant; /* access.c's */
};

/*
 * Callbacks. All are made from the loop, never from inside another of the same session. After each
 * of them but `end` access.c calls `events` again where it may be needed, and kicks the pump: a
 * callback just tells its engine.
 */
struct session_kind {
    const char *name; /* "imap": in logs, journeys, counters */
    const struct ph_proto_ops *ops;
    bool uses_store; /* a login is void when the store restarts */
    /* Makes engine and state. 0, or -PH_ENOMEM: the connection is closed. */
    int (*begin)(struct session *s);
    /* The same where there is no room: the engine says so (`why` is a sentence) and wants CLOSE. */
    int (*refuse)(struct session *s, const char *why);
    /* Take the engine's events until it says NEED. Also called when output was sent (room for
     * more). */
    void (*events)(struct session *s);
    /* TLS is up: tell the engine. s->tls and s->tls_text are set. */
    void (*secured)(struct session *s, const struct ph_tls_info *info);
    /* Compression is on, as the engine asked: tell it. May be NULL. */
    void (*compressed)(struct session *s);
    /* The login goes on: send this challenge (raw), and hand on the answer with
     * session_auth_more. */
    void (*challenge)(struct session *s, ph_str raw);
    /* The end of a login: IPC_OK (grant, user, auth are set), IPC_DENIED (wrong name or password,
     * waited for already), IPC_NOUSER (acting for another), IPC_INVALID (not what the mechanism
     * needs), IPC_LIMIT (too many sessions of this account), IPC_TEMP. */
    void (*login)(struct session *s, int verdict);
    /* The answer to a request made with session_ask. msg NULL: there will be none (that process
     * went away). */
    void (*answer)(struct session *s, uint64_t req, struct ipc_msg *msg);
    /* MB_EVENT of the store. May be NULL. */
    void (*pushed)(struct session *s, struct ipc_msg *msg);
    /* The login is void (account removed, store or keeper restarted): say so and close. why: a
     * sentence. */
    void (*gone)(struct session *s, const char *why);
    /* The process is to end: say so as soon as nothing is half done, and close. */
    void (*drain)(struct session *s);
    /* Frees engine and state (either may be NULL). Requests under way are forgotten by access.c. */
    void (*end)(struct session *s);
};

/* A request id whose answer (of that type) comes to kind->answer; 0: out of memory. Ask, then send;
 * where sending fails take the request back (session_unask) and answer with a temporary failure:
 *     struct ipc_chan *store = session_chan(s, ROLE_STORE);
 *     uint64_t req = store ? session_ask(s, ROLE_STORE, IPC_MB_LISTED) : 0;
 *     if (!req || ipc_send(store, MB_LIST, -1, .req = req, .session = s->grant) < 0)
 *         session_unask(s, req) ... */
uint64_t session_ask(struct session *s, int role, enum ipc_type answer);
void session_unask(struct session *s, uint64_t req); /* 0 is allowed; later answers are ignored */
struct ipc_chan *session_chan(struct session *s,
                              int role); /* NULL while it is down: a temporary failure */

struct guard *session_guard(struct session *s);      /* the rates of this process */
struct letter_room *session_room(struct session *s); /* of all letters of this process */

/* The mechanisms of SASL that this connection permits now, space-separated: those of TLS come with
 * it (kind->secured). */
void session_mechanisms(const struct session *s, struct ph_buf *out);
/* Begins a login. The keeper's answer comes to kind->challenge or kind->login, neither of which is
 * called when this returns an error: -PH_ENOTIMPL (not among those mechanisms), -PH_EAGAIN (keeper
 * is down), -PH_EORDER (logged in, or one is being checked), -PH_EINVAL (too long, or what can be
 * in no password), -PH_ENOMEM. One whose client is waited for is forgotten. */
PH_MUST_CHECK int session_auth(struct session *s, ph_str mechanism, ph_str initial,
                               bool has_initial);
PH_MUST_CHECK int session_auth_more(struct session *s, ph_str data);
void session_auth_cancel(struct session *s);
/* A login by name and password alone; name: a literal, for logs and journeys. */
PH_MUST_CHECK int session_login(struct session *s, const char *name, ph_str user, ph_str password);

/* A login by APOP (RFC 1939 7): the digest of the stamp that this connection was greeted with. */
PH_MUST_CHECK int session_apop(struct session *s, ph_str stamp, ph_str user, ph_str digest);

/* The letter of a row that was asked for with IPC_F_BODY; borrowed from the row or, unpacked, from
 * room, which is cleared. Empty: it is not in the row, or damaged; MSG_BODY tells. */
ph_str session_body(struct session *s, const struct ipc_message *m, struct ph_buf *room);
/* A delivery is given to its owner for the first time: the last step of its journey. how: "by
 * POP3". */
void session_tell_read(struct session *s, ph_str journey, uint64_t qid, const char *how);
/* The store is told so of these uids, and clears them; nobody waits for it. */
void session_were_read(struct session *s, uint64_t mailbox, struct ph_buf *uids);

/* The log-in ends, the connection stays: store and keeper forget the session, and it may log in
 * anew. */
void session_logout(struct session *s);

/* The password may travel without TLS: the setting plaintext_login, and where this connection comes
 * from. Asked once, when the engine is made. */
bool session_may_plaintext(const struct session *s);

/* Closes after what the engine has in `out`. For ends that are not the engine's own (WANT_CLOSE is
 * enough for those). */
void session_close(struct session *s);

/* Log line of this session. */
#define session_log(s, level, event, fmt, ...)                                                     \
    ph_log((level), (ph_str){0}, (event), "session=%s protocol=%s peer=%s " fmt, (s)->peer.id,     \
           (s)->kind->name, (s)->peer.text, ##__VA_ARGS__)

extern const struct session_kind session_submission, pop3_session, imap_session;

#endif
