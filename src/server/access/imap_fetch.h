/*
 * imap_fetch.h - FETCH: pages of messages (imap_fetch.c), and what is told of one
 * (imap_fetch_tell.c).
 */
#ifndef ACCESS_IMAP_FETCH_H
#define ACCESS_IMAP_FETCH_H
#include "imap_session.h"
#include "summary.h"

enum {
    FETCH_UIDS_MAX = 524288,
    FETCH_PAGE_MAX = 1024 * 1024,
    FETCH_ARENA = 64 * 1024 * 1024, /* of one message */
    FETCH_FROM_SUMMARY =
        PH_IMAP_F_ENVELOPE | PH_IMAP_F_BODY | PH_IMAP_F_BODYSTRUCTURE | PH_IMAP_F_PREVIEW
};

struct fetching {
    const struct ph_imap_items *items;
    struct imap_ranges places;
    struct imap_resync resync;
    unsigned mask;        /* IPC_F_ of a page */
    bool sections, whole; /* any section; one that is more than headers */
    bool tree;            /* a section that is cut by the message's structure */
    bool unknown_cte;     /* a BINARY section could not be decoded (RFC 3516 4.3) */
    bool sets_seen;
    uint32_t next;              /* uid at which the page after those asked for begins; 0: none */
    struct ph_buf page, ahead;  /* ahead: the page behind `page` */
    struct ph_buf uids, marked; /* to become \Seen; as the store told what became of them */
    struct ph_buf read;         /* uids given for the first time */
    ph_str now_seen;            /* of marked, still to tell */
    bool tells_seen;            /* row became \Seen by this command */
    bool asked, have_ahead, wanted,
        failed;  /* a page is on its way; it has come; it is waited for; it will not come */
    ph_str rows; /* of page, still to do */
    struct ipc_message row;
    uint32_t place;
    struct ph_arena *arena; /* of one message ... */
    struct ph_mark empty;   /* ... before it */
    struct ph_buf built;    /* header fields of one section */
    struct ph_buf unpacked; /* row.body, where it came packed */
    struct ph_buf kept;     /* an inline body that could not be sent at once */
    struct imap_body body;
    struct ph_summary *sum; /* of row; NULL: none */
    const struct ph_part *root;
    size_t section; /* the next one to send */
    ph_str piece;   /* what is left of the one being sent */
};

/* Tells f->row; the bytes of the message, if any are needed, are in f->body. true: go on with the
 * next one; false: it goes on by itself, in fetch_rows_on. */
bool fetch_tell(struct imap *im);
void fetch_rows_on(struct imap *im);
/* The answer has begun and cannot be ended well: inside a literal only the end of the session is
 * left. */
void fetch_break_off(struct imap *im, bool in_answer);

#endif
