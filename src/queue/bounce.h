/*
 * bounce.h - the report that goes back to a sender: a multipart/report of RFC 3464 (and 3462): a
 * text that says what happened and what to do, the machine's part, and the header of the letter.
 */
#ifndef PH_BOUNCE_H
#define PH_BOUNCE_H
#include <posthouse/base.h>

enum {
    PH_BOUNCE_RCPTS = 500,
    PH_BOUNCE_TOLD =
        512 * 1024, /* bytes that telling of them may take; of others only the number is said */
    PH_BOUNCE_HEADER = 64 * 1024
}; /* told of one by one; bytes of header returned */

struct ph_bounce_rcpt {
    ph_str address, original; /* original: ORCPT "rfc822;..." or empty */
    ph_str reply;     /* "550 5.1.1 No such user", or a sentence of ours; may be several lines */
    ph_str mta;       /* who said so, a host name; empty: we did */
    int64_t last_try; /* 0: never */
    bool expired;     /* given up after waiting, not refused */
};

struct ph_bounce {
    ph_str hostname; /* of this house */
    ph_str id;       /* text of the bounce's own queue id: its Message-ID and Received id */
    int64_t now;
    ph_str to;               /* who is told: the letter's sender, or the postmaster */
    bool for_postmaster;     /* told because the sender cannot be (null or unknown) */
    ph_str envid, letter_id; /* of the letter: ENVID, queue id */
    int64_t received;        /* when the letter came */
    ph_str letter; /* the beginning of the letter, from its `skip` on; its header is returned */
    bool utf8;     /* the letter is of RFC 6531: the report is message/global-... (RFC 6533) */
    const struct ph_bounce_rcpt *rcpts;
    size_t n; /* at least 1 */
};

/* Appends the whole message as it goes into the queue: our Return-Path line in front (*ret_skip
 * bytes). *ret_id: its Message-ID, borrowed from out. -PH_ENOMEM, -PH_ELIMIT. */
PH_MUST_CHECK int ph_bounce_write(const struct ph_bounce *b, struct ph_buf *out, uint32_t *ret_skip,
                                  ph_str *ret_id);

/* Whether one of these addresses can only be told in a report of RFC 6533. */
bool ph_bounce_is_utf8(const struct ph_bounce_rcpt *rcpts, size_t n);

/* The enhanced status code (RFC 3463) in a reply "550 5.1.1 text", made up from the code when it
 * has none. */
ph_str ph_bounce_status(ph_str reply, bool expired);

#endif
