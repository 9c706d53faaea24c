/*
 * ipc.h - typed, bounded messages between our processes, with one file descriptor at most.
 *
 * A frame is a 16-byte head {u32 length behind the head, u16 type, u16 flags, u64 zero} and the
 * fields in the order of messages.def, little-endian, strings and rows with a u32 length before
 * them. The receiver treats its peer as hostile: a wrong type, a type that this peer may not send
 * to us, a field above its maximum, bytes left over, a missing or unasked-for descriptor: the
 * channel is BROKEN, and the parent is told to end the sender.
 *
 * One encoder and one decoder, driven by the tables that messages.def expands to. A descriptor
 * leaves in the same call as the head of its frame, so that it can be neither lost nor mistaken.
 * Frames that hold a password or a private key (AUTH, KEY, TICKET_KEY) are wiped from the buffers
 * of both ends when they have left and when their handler has returned.
 */
#ifndef PH_IPC_H
#define PH_IPC_H
#include <posthouse/base.h>

enum {
    IPC_FRAME_MAX = 1024 * 1024, /* one frame, head included */
    IPC_INLINE = 64 * 1024,      /* a body up to this travels inside a frame */
    IPC_REPLY = 256 * 1024,      /* where a list answer is cut */
    /* unsent bytes a channel may hold before ipc_send says PH_EAGAIN */
    IPC_BACKLOG = 64 * 1024 * 1024
};

/* Roles, as bits for the masks of messages.def. */
enum ipc_role_index {
    ROLE_PARENT,
    ROLE_MX,
    ROLE_ACCESS,
    ROLE_RELAY,
    ROLE_RESOLVER,
    ROLE_QUEUE,
    ROLE_STORE,
    ROLE_KEEPER,
    ROLE_INDEXER,
    ROLE_CONTROL,
    ROLE_COUNT
};
#define IPC_BIT(role) (1u << (role))
const char *ipc_role_name(int role); /* "mx"; "?" when out of range */
/* The process of a step that nobody here saw: others told it, who may be wrong or lie. */
#define IPC_HEARD "heard"
const char *ipc_step_name(int step); /* enum ipc_step: "submitted"; "?" when out of range */

enum ipc_verdict {
    IPC_OK,
    IPC_TEMP,
    IPC_DENIED,
    IPC_NOUSER,
    IPC_NOENT,
    IPC_NODATA,
    IPC_EXISTS,
    IPC_QUOTA,
    IPC_INUSE,
    IPC_LIMIT,
    IPC_FULL,
    IPC_INVALID,
    IPC_MORE
};
enum ipc_target { IPC_LOCAL, IPC_REMOTE, IPC_DISCARD, IPC_EXPANDED };
enum ipc_fate { IPC_SENT, IPC_DEFERRED, IPC_REFUSED };
enum ipc_service {
    IPC_SMTP,
    IPC_SUBMISSION,
    IPC_SUBMISSIONS,
    IPC_POP3,
    IPC_POP3S,
    IPC_IMAP,
    IPC_IMAPS,
    IPC_LMTP
};
enum ipc_dns { IPC_DNS_MX, IPC_DNS_A, IPC_DNS_AAAA, IPC_DNS_TXT, IPC_DNS_PTR, IPC_DNS_TLSA };
/* REQUIRETLS, TLS_OPTIONAL (the field "TLS-Required: No"): RFC 8689 2, 5; never both. RET_: RFC
 * 3461 4.3. */
enum ipc_flag {
    IPC_8BITMIME = 1,
    IPC_SMTPUTF8 = 2,
    IPC_REQUIRETLS = 8,
    IPC_RET_FULL = 16,
    IPC_RET_HDRS = 32,
    IPC_TLS_OPTIONAL = 64,
    IPC_PACKED = 128 /* the body is packed: pack.h */
};
enum ipc_notify {
    IPC_NEVER = 1,
    IPC_SUCCESS = 2,
    IPC_FAILURE = 4,
    IPC_DELAY = 8
};              /* RFC 3461 4.1; 0: not given */
enum ipc_step { /* the steps of a journey */
                EV_SUBMITTED,
                EV_RECEIVED,
                EV_AUTHENTICATED,
                EV_QUEUED,
                EV_TRIED,
                EV_DEFERRED,
                EV_RELAYED,
                EV_DELIVERED,
                EV_BOUNCED,
                EV_FETCHED,
                EV_EXPIRED,
                EV_REFUSED,
                EV_REPORTED,
                EV_COUNT
};
enum ipc_act { IPC_ACT_RETRY, IPC_ACT_HOLD, IPC_ACT_RELEASE, IPC_ACT_REMOVE, IPC_ACT_BOUNCE };
enum ipc_mailbox_op { IPC_CREATE, IPC_DELETE, IPC_RENAME, IPC_SUBSCRIBE, IPC_UNSUBSCRIBE };
enum ipc_mailbox_bit {
    IPC_MB_SUBSCRIBED = 1,
    IPC_MB_NOSELECT = 2,
    IPC_MB_CHILDREN = 4,
    IPC_MB_NONEXISTENT = 8
}; /* NONEXISTENT: only its subscription is left */
enum ipc_open_mode {
    IPC_OPEN_RW,
    IPC_OPEN_RO,
    IPC_OPEN_POP3
}; /* POP3: exclusive among POP3 sessions */
/* FRESH: in pages with bodies, when asked (IPC_F_FRESH): its owner never read it; reading it goes
 * by MSG_BODY, which notes that. */
enum ipc_msg_flag {
    IPC_SEEN = 1,
    IPC_ANSWERED = 2,
    IPC_FLAGGED = 4,
    IPC_DELETED = 8,
    IPC_DRAFT = 16,
    IPC_FRESH = 128
};
enum ipc_flag_op { IPC_FLAGS_SET, IPC_FLAGS_ADD, IPC_FLAGS_DEL };
enum ipc_fetch {
    IPC_F_FLAGS = 1,
    IPC_F_DATES = 2,
    IPC_F_SIZE = 4,
    IPC_F_SUMMARY = 8,
    IPC_F_BODY = 16,
    IPC_F_UIDL = 32,
    IPC_F_FRESH = 64,
    IPC_F_THREAD = 128
}; /* uid, modseq: always */

enum ipc_find_in { IPC_IN_HEAD, IPC_IN_BODY, IPC_IN_TEXT };

/* ---- the tables, expanded ---------------------------------------------------------------- */

enum ipc_type {
#define F(kind, name, max)
#define R(name, fields)
#define M(name, from, to, fields) IPC_##name,
#include "messages.def"
#undef M
#undef R
#undef F
    IPC_TYPE_COUNT
};

enum ipc_row {
#define F(kind, name, max)
#define R(name, fields) IPC_ROW_##name,
#define M(name, from, to, fields)
#include "messages.def"
#undef M
#undef R
#undef F
    IPC_ROW_COUNT
};

typedef uint8_t ipc_u8;
typedef uint32_t ipc_u32;
typedef uint64_t ipc_u64;
typedef int64_t ipc_i64;
typedef ph_str ipc_str;
typedef ph_str ipc_rows;

/* struct ipc_QUEUE_PUT {...}; struct ipc_rcpt {...}; ... */
#define F(kind, name, max) ipc_##kind name;
#define R(name, fields)                                                                            \
    struct ipc_##name {                                                                            \
        fields                                                                                     \
    };
#define M(name, from, to, fields)                                                                  \
    struct ipc_##name {                                                                            \
        fields                                                                                     \
    };
#include "messages.def"
#undef M
#undef R
#undef F

struct ipc_msg {
    enum ipc_type type;
    /* -1, or a descriptor that the handler must take (set to -1) or that is closed behind it */
    int fd;
    union {
#define F(kind, name, max)
#define R(name, fields)
#define M(name, from, to, fields) struct ipc_##name name;
#include "messages.def"
#undef M
#undef R
#undef F
    };
};

const char *ipc_type_name(int type);
uint64_t ipc_table_hash(void);
bool ipc_may_send(int type, int from_role, int to_role);
/* Whether a message of that type has a descriptor with it: 0 never, 1 it may, 2 always. */
int ipc_type_fd(int type);
/* Whether these two ever exchange anything but HELLO: whether the parent gives them a channel. */
bool ipc_may_talk(int role, int other);

/* ---- rows -------------------------------------------------------------------------------- */

/* Appends one record; `row` points to a struct ipc_<name> of that row. */
void ipc_row_add(struct ph_buf *rows, enum ipc_row kind, const void *row);
/* Cuts the next record off *rows into *ret_row; 1, 0 at the end, -PH_ESYNTAX. Strings are borrowed
 * from *rows. */
PH_MUST_CHECK int ipc_row_next(ph_str *rows, enum ipc_row kind, void *ret_row);
/* The typed form: ipc_each(rcpt, rows, &r) */
#define ipc_add(kind, rows, row)                                                                   \
    ipc_row_add((rows), IPC_ROW_##kind, (1 ? (row) : (const struct ipc_##kind *)0))
#define ipc_each(kind, rows, row)                                                                  \
    (ipc_row_next((rows), IPC_ROW_##kind, (1 ? (row) : (struct ipc_##kind *)0)) > 0)

/* ---- channels ---------------------------------------------------------------------------- */

struct ph_loop;
struct ipc_chan;

struct ipc_ends {
    int self_role;
    int peer_role;
    unsigned self_instance, peer_instance;
};

struct ipc_callbacks {
    /* One message. Its bytes are borrowed until this returns. */
    void (*message)(void *ctx, struct ipc_chan *from, struct ipc_msg *msg);
    /* All frames that had arrived were given: a good moment to commit a batch. May be NULL. */
    void (*drained)(void *ctx, struct ipc_chan *from);
    /* The peer is gone (why == NULL) or broke the protocol (why says how). The channel is dead and
     * is freed by the callee with ipc_chan_free, now or later. */
    void (*gone)(void *ctx, struct ipc_chan *chan, const char *why);
    void *ctx;
};

/* Takes over fd (a SOCK_STREAM unix socket, made non-blocking) and says HELLO. NULL: out of memory,
 * and fd is closed. */
struct ipc_chan *ipc_chan_new(struct ph_loop *loop, int fd, const struct ipc_ends *ends,
                              const struct ipc_callbacks *cb);
struct ipc_chan *ipc_chan_free(struct ipc_chan *c); /* closes; NULL allowed */
const struct ipc_ends *ipc_chan_ends(const struct ipc_chan *c);
/* What is queued leaves now, instead of at the end of the turn: before long work, when others wait
 * for it. */
void ipc_chan_flush(struct ipc_chan *c);
size_t ipc_chan_backlog(const struct ipc_chan *c); /* bytes not yet taken by the kernel */

/* Messages since the channel was made, without HELLO. */
void ipc_chan_counts(const struct ipc_chan *c, uint64_t *ret_in, uint64_t *ret_out);

/* Queues a frame; it leaves with everything else queued in this turn of the loop, in one call.
 * `fields` is a struct ipc_<NAME>; fd is -1 or is duplicated. Asserts that the matrix allows it.
 * -PH_EAGAIN: backlog full; -PH_ELIMIT: a field is above its maximum; -PH_ECLOSED: the peer is
 * gone. */
int ipc_chan_send(struct ipc_chan *c, enum ipc_type type, const void *fields, int fd);
#define ipc_send(chan, NAME, fd, ...)                                                              \
    ipc_chan_send((chan), IPC_##NAME, &(struct ipc_##NAME){__VA_ARGS__}, (fd))

/* For the signer channel and the control socket only: blocking, no loop. Sends one frame and waits
 * for one back, whose bytes live in *buf. -PH_ETIMEOUT, -PH_ECLOSED, -PH_ESYNTAX (the peer broke
 * the protocol), -PH_ELIMIT, -PH_ENOMEM: after any of them the descriptor is of no more use, close
 * it. */
PH_MUST_CHECK int ipc_call(int fd, const struct ipc_ends *ends, enum ipc_type type,
                           const void *fields, struct ph_buf *buf, struct ipc_msg *ret_msg,
                           int timeout_ms);

#endif
