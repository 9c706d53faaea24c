/*
 * intake.h - SMTP transactions of mx and of submission: from the engine's events to keeper and
 * queue and back to its replies.
 *
 *   MAIL --[SENDER_CHECK, submission]--> RCPT --RCPT_CHECK--> DATA --354--> BODY... --> EOM
 *                                                       --QUEUE_PUT--> QUEUE_PUT_DONE, 250
 *
 * One request is under way at most; the engine keeps what the client pipelines in order behind it.
 * The session around it owns engine and pump, and lends the functions of struct intake_host.
 */
#ifndef PH_INTAKE_H
#define PH_INTAKE_H
#include "front.h"
#include "letter.h"
#include "proc.h"
#include <posthouse/smtp.h>

enum { INTAKE_ORCPT = 500 }; /* octets: RFC 3461 4.2 */

struct intake;
struct intake_host {
    const char *process; /* "mx", "access": for journeys */
    int step;            /* the event a journey begins with: EV_RECEIVED, EV_SUBMITTED */
    bool local_users;    /* senders are logged in: they are checked, and may write to anyone */
    /* As session_ask and its kin in access; the owner hands answers to intake_answer. */
    uint64_t (*ask)(void *owner, int role, enum ipc_type answer);
    void (*unask)(void *owner, uint64_t req);
    /* Takes out what must not travel, and appends the fields that the message lacks, below our
     * trace; NULL: nothing. 0 or negative. */
    int (*complete)(struct letter *l, ph_str hostname, struct ph_buf *fields);
};

enum intake_pending { INTAKE_NOTHING, INTAKE_SENDER, INTAKE_RCPT, INTAKE_AUTHOR, INTAKE_PUT };

struct intake {
    const struct intake_host *host;
    void *owner;
    struct proc *proc;
    struct ph_smtp_server *engine;
    const struct front_guest *peer;
    const char *tls_text, *auth, *user; /* the owner's; empty strings where there is none */
    uint64_t grant;
    struct letter letter;
    struct letter_room *room; /* of all letters of this process */
    struct guard *guard;      /* the owner's */
    enum intake_pending pending;
    char given[LETTER_ADDRESS + 1]; /* the recipient being checked */
    char orcpt[INTAKE_ORCPT + 1];
    uint8_t notify;
    struct ph_buf notes;     /* what stages said of this letter, for its journey */
    struct ph_buf heard;     /* how it came before, as its header tells: rows of event */
    struct ph_buf forwarded; /* by XFORWARD: for the next letter's journey */
    bool quarantine;
    struct intake_standing { /* a verdict of HELO, told at MAIL; code 0: none */
        int code;
        char esc[8], text[256];
    } standing;
    uint64_t octets_said;  /* of this letter, counted at MAIL */
    unsigned errors;       /* of the engine, counted */
    struct ph_buf authors; /* addresses of From and Sender to be checked, '\n' behind each */
    size_t author;         /* where the one being checked begins */
    int failed;            /* why the body can not be kept: answered after its end */
    int64_t began_us;
    uint64_t letters, refused; /* for statistics; the owner reads them at the end */
};

void intake_init(struct intake *in);
void intake_done(struct intake *in);
/* False: not an event of a transaction. */
bool intake_event(struct intake *in, enum ph_smtp_server_ev kind,
                  const struct ph_smtp_server_event *ev);
/* msg NULL: there will be no answer. */
void intake_answer(struct intake *in, struct ipc_msg *msg);
/* Counts the engine's new errors for its peer; intake_event does it too. */
void intake_count(struct intake *in);
/* Whose counts its doings go to. */
struct guard_who intake_who(const struct intake *in);
ph_str intake_hostname(const struct proc *p);

/* Before the sandbox: the C library's charset modules are files. */
PH_MUST_CHECK int intake_setup(struct proc *p, struct ph_error *reterr);

/* What letters may take, from the settings: one of the largest at least. */
void intake_room(const struct proc *p, struct letter_room *room);

/* Both servers' options from the settings. */
void intake_options(const struct proc *p, struct ph_smtp_server_options *o);

#endif
