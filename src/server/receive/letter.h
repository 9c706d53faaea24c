/*
 * letter.h - a letter on its way in: its envelope, and its bytes until the queue has them.
 *
 *   letter_from -> letter_to... -> letter_begin -> letter_add... -> letter_finish
 *               -> letter_put -> letter_clear
 *
 * The bytes are [our prologue][the message as it came]. The prologue is Return-Path and Received,
 * and what submission adds; it is put in front when the header has been seen, without moving the
 * message: room for it is kept. A small letter stays in memory, a large one goes to a memory file
 * as it comes. One that is `binary` (RFC 3030) becomes text when it is whole: what is behind us
 * knows lines only.
 */
#ifndef PH_LETTER_H
#define PH_LETTER_H
#include "hash.h"
#include "ipc.h"
#include "pack.h"
#include "reported.h"

enum {
    LETTER_ROOM = 8192,                       /* longest prologue */
    LETTER_HEADER = IPC_INLINE - LETTER_ROOM, /* longest header that submission completes */
    LETTER_WRITE = 256 * 1024,                /* how much is written to a memory file at once */
    LETTER_ADDRESS = 1024,
    LETTER_ENVID = 128
};

/* What the letters of one process share. They may take so much together, in octets: messages and
 * lists of recipients, in memory and in memory files. */
struct letter_room {
    uint64_t used, most;
    struct ph_packer *packer; /* NULL: they stay as they are */
};

struct letter;
/* Called once, when the message's header is in memory (or IPC_INLINE bytes of it, or all of the
 * message): calls letter_prologue. 0, or an error that letter_add or letter_finish hands on. */
typedef int letter_start(void *ctx, struct letter *l);

struct letter {
    char sender[LETTER_ADDRESS + 1];
    char first[LETTER_ADDRESS + 1]; /* the first recipient as it was given */
    unsigned given;                 /* recipients as given */
    unsigned targets;               /* records in rcpts */
    struct ph_buf rcpts;
    uint64_t *seen; /* hashes of what is in rcpts, by seen_key; open addressing, 0: free */
    struct ph_hash_key seen_key;
    size_t seen_n, seen_cap;
    uint32_t flags;
    char envid[LETTER_ENVID + 1];
    bool binary; /* it may hold any octets */
    letter_start *start;
    void *ctx;
    struct ph_buf packed; /* what the queue gets instead of buf; empty: buf as it is */
    struct ph_buf buf;    /* LETTER_ROOM, then the message, or what of it is not yet in the file */
    size_t at;            /* where in buf the bytes begin */
    size_t prologue;      /* its length */
    uint32_t skip, id_at;
    int fd;        /* memory file, or -1 */
    uint64_t size; /* of all, prologue included */
    bool started;
    struct ph_buf summary;
    char message_id[999];
    char reported_id[REPORTED_ID + 1]; /* it is a delivery report about this Message-ID, */
    struct ph_buf reported;            /* and says this: rows; empty: it is none */
    unsigned received;                 /* Received fields, ours included */
    unsigned froms;                    /* From fields */
    struct letter_room *room;          /* the owner's; NULL: no bound */
    uint64_t held;                     /* of it */
};

void letter_init(struct letter *l, struct letter_room *room);
void letter_clear(struct letter *l); /* frees all and inits */

/* flags: enum ipc_flag. sender: at most LETTER_ADDRESS; envid: at most LETTER_ENVID. */
void letter_from(struct letter *l, ph_str sender, uint32_t flags, ph_str envid);

struct letter_given {
    ph_str address; /* as RCPT had it */
    ph_str targets; /* keeper's answer: rows of rcpt */
    ph_str orcpt;   /* "rfc822;Bob@b.test", or empty */
    uint8_t notify; /* enum ipc_notify */
};
/* A recipient; targets that are there already are left out. -PH_ELIMIT: no room for more,
 * -PH_EFULL: its letter_room is used up, -PH_ENOMEM; then nothing was added. */
PH_MUST_CHECK int letter_to(struct letter *l, const struct letter_given *given);

void letter_begin(struct letter *l, letter_start *start, void *ctx);
/* -PH_ENOMEM, -PH_EFULL (its letter_room, or memory files), -PH_EIO, or what start said. */
PH_MUST_CHECK int letter_add(struct letter *l, ph_str more);
/* No more comes: makes it text and the summary, finds Message-ID and trace, packs. Errors as
 * letter_add; -PH_ENOTIMPL: it is binary in a way that cannot be written as text. */
PH_MUST_CHECK int letter_finish(struct letter *l);

/* For `start`: the message so far. */
ph_str letter_head(const struct letter *l);
/* For `start`: takes `part`, a slice of letter_head, out of the message. Other slices of it are
 * void. */
void letter_cut(struct letter *l, ph_str part);
/* skip: length of its Return-Path line; id_at: see QUEUE_PUT. -PH_ELIMIT: longer than
 * LETTER_ROOM. */
PH_MUST_CHECK int letter_prologue(struct letter *l, ph_str prologue, size_t skip, size_t id_at);

/* Recipients of this house get it in their Junk mailbox. -PH_ELIMIT, -PH_ENOMEM: nothing
 * changed. */
PH_MUST_CHECK int letter_quarantine(struct letter *l);

/* What is told to the queue beside the letter. */
struct letter_put {
    uint64_t req;
    ph_str events; /* rows */
    ph_str owner;
    uint64_t session;
};
/* Sends QUEUE_PUT. As ipc_chan_send. */
PH_MUST_CHECK int letter_put(struct letter *l, struct ipc_chan *queue,
                             const struct letter_put *put);

/* ---- trace fields ------------------------------------------------------------------------- */

struct letter_trace {
    ph_str helo;      /* what the client said it is */
    ph_str ip;        /* where it is */
    ph_str hostname;  /* us */
    const char *with; /* "ESMTPS" */
    ph_str tls;       /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or empty */
    int64_t now_us;
};
/* Appends Return-Path and Received (RFC 5321 4.4) for this letter; the recipient is named only when
 * there is one. *ret_skip: octets of the Return-Path line; *ret_id_at: where the queue id
 * belongs. */
void letter_trace_write(const struct letter *l, const struct letter_trace *t, struct ph_buf *out,
                        size_t *ret_skip, size_t *ret_id_at);

#endif
