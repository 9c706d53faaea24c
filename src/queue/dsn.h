/*
 * dsn.h - delivery status notifications: what a sender is told about a letter. A multipart/report
 * of RFC 3464 (6533 for internationalised mail): a text that says what happened and what to do, the
 * machine's part, and the letter or its header.
 */
#ifndef PH_DSN_H
#define PH_DSN_H
#include <posthouse/base.h>

enum {
    PH_DSN_RCPTS = 500,       /* recipients told of one by one; of others only the number is said */
    PH_DSN_TOLD = 512 * 1024, /* bytes that telling of them may take */
    PH_DSN_HEADER = 64 * 1024, /* bytes of header returned */
    PH_DSN_WHOLE = 256 * 1024  /* a longer letter is returned as its header, even with RET=FULL */
};

/* What became of a recipient. One report tells of one kind; FAILED and EXPIRED are one kind. */
enum ph_dsn_action {
    PH_DSN_FAILED,    /* refused for good */
    PH_DSN_EXPIRED,   /* given up after waiting */
    PH_DSN_DELAYED,   /* waits, and is tried again */
    PH_DSN_DELIVERED, /* in its mailbox */
    PH_DSN_RELAYED,   /* with a server that reports no further (RFC 3461 5.2.2 (c)) */
    PH_DSN_EXPANDED,  /* an alias of several: passed on to them without further reports */
    PH_DSN_ACTIONS
};

struct ph_dsn_rcpt {
    enum ph_dsn_action action;
    ph_str address, original; /* original: ORCPT "rfc822;..." or empty */
    /* "550 5.1.1 No such user", or a sentence of ours; may be several lines; or empty */
    ph_str reply;
    ph_str mta;       /* who said so, a host name; empty: we did */
    int64_t last_try; /* 0: never */
};

struct ph_dsn {
    ph_str hostname; /* of this house */
    ph_str id;       /* text of the report's own queue id: its Message-ID and Received id */
    int64_t now;
    ph_str to;               /* who is told: the letter's sender, or the postmaster */
    bool for_postmaster;     /* told because the sender cannot be (null or unknown) */
    ph_str envid, letter_id; /* of the letter: ENVID, queue id */
    int64_t received;        /* when the letter came */
    int64_t until;           /* DELAYED: tried again until then */
    ph_str letter;           /* its beginning, from its `skip` on: the header at least */
    bool whole;              /* that is all of it, and it is to be returned whole (RET=FULL) */
    bool utf8; /* the letter is of RFC 6531: the report is message/global-... (RFC 6533) */
    const struct ph_dsn_rcpt *rcpts;
    size_t n; /* at least 1 */
};

/* Appends the whole message as it goes into the queue: our Return-Path line in front (*ret_skip
 * bytes). *ret_id: its Message-ID, borrowed from out. -PH_ENOMEM, -PH_ELIMIT. */
PH_MUST_CHECK int ph_dsn_write(const struct ph_dsn *d, struct ph_buf *out, uint32_t *ret_skip,
                               ph_str *ret_id);

/* Whether one of these addresses can only be told in a report of RFC 6533. */
bool ph_dsn_is_utf8(const struct ph_dsn_rcpt *rcpts, size_t n);

/* The enhanced status code (RFC 3463) in a reply "550 5.1.1 text"; what its code and the action
 * amount to when it has none. */
ph_str ph_dsn_status(ph_str reply, enum ph_dsn_action action);

/*
 * What kind of refusal a reply is, as a word for lists, filters and counters: "no-such-user",
 * "mailbox-full", "too-large", "greylisted", "rate", "reputation", "policy", "tls", "dns",
 * "unreachable", "loop", "address", "other". By the enhanced code where it says enough, else by
 * words that servers use. `advice` (may be NULL): what the sender can do, a sentence or two.
 */
const char *ph_dsn_class(ph_str reply, enum ph_dsn_action action, const char **ret_advice);

#endif
