/*
 * store.h - accounts, mailboxes, messages: the operations that every storage backend offers, and
 * the types they speak in. docs/store.md tells the schema, the invariants and what is on disk when.
 *
 * The seam for another backend is `struct store_ops`, at most 20 entries. A backend knows nothing
 * of protocols, of sequence numbers or of sessions.
 *
 * Threads: a `struct store` and its accounts belong to one thread. Several stores over the same
 * root may live in one process as long as no account is open in two of them. `sync` alone may run
 * in any thread.
 *
 * Transactions: between STORE_BEGIN and STORE_COMMIT everything is one transaction: visible to
 * others, and after a crash, either whole or not at all. A writing operation called outside is a
 * transaction of its own. When an operation in between fails with an error of class SELF (disk
 * full, I/O), or after it has begun to write, the transaction is lost: STORE_COMMIT rolls back and
 * repeats that error. Other errors leave no trace and the transaction lives on.
 *
 * Durability: STORE_COMMIT makes visible, not yet surely durable. `mark` names what is to be
 * flushed, `sync` flushes it; when it returns 0 everything committed before the `mark` is on disk.
 * After a failed `sync` nothing may be acknowledged; the next `account` call of that account
 * reopens it and writes everything anew, or fails.
 *
 * Errors (negative, text in *reterr): -PH_ENOMEM; -PH_EFULL (disk full); -PH_EIO; -PH_EAGAIN
 * (locked by another program for too long); -PH_ECORRUPT (text names the file; the other accounts
 * go on); -PH_ENOENT (no such account, mailbox, message); -PH_EQUOTA (the account would hold more
 * than its limits allow); -PH_EEXIST; -PH_EINVAL (a name or a value is not acceptable);
 * -PH_EDENIED; -PH_ELIMIT (text names it).
 *
 * Times are microseconds since 1970. Strings in results are borrowed until the callback returns, or
 * until the next call for the same account.
 */
#ifndef PH_STORE_H
#define PH_STORE_H
#include "uidset.h"
#include <posthouse/base.h>

enum {
    STORE_NAME_MAX = 1024,             /* bytes of a mailbox name, UTF-8 */
    STORE_FOLDER_MAX = 255,            /* bytes of an account's folder name */
    STORE_KEYWORDS_MAX = 4096,         /* bytes of one message's keywords, space-separated */
    STORE_KEYWORDS_EACH = 128,         /* keywords of one message */
    STORE_MAILBOX_KEYWORDS_MAX = 8192, /* bytes of all keywords used in a mailbox */
    STORE_MAILBOXES_MAX = 5000,        /* mailboxes of an account */
    STORE_NAMES_MAX = 512 * 1024,      /* bytes of all mailbox names of an account */
    STORE_INLINE_MAX = 256 * 1024,     /* a stored body above this is a file in blobs/ */
    STORE_PACKED_MAX = 64 * 1024,      /* a message that comes packed is not larger */
    STORE_UIDL_MAX = 70                /* RFC 1939 7 */
};

/* Bits of store_message.flags that everyone sees. A backend may keep further bits to itself. */
enum store_flag {
    STORE_SEEN = 1,
    STORE_ANSWERED = 2,
    STORE_FLAGGED = 4,
    STORE_DELETED = 8,
    STORE_DRAFT = 16,
    STORE_FLAGS = 31,
    /* told by `list` with STORE_F_FRESH: a delivery that its owner has not read; `body` and
     * `flags` take it away */
    STORE_FRESH = 128
};
enum store_flag_op { STORE_FLAGS_SET, STORE_FLAGS_ADD, STORE_FLAGS_DEL };
enum store_fetch {
    STORE_F_FLAGS = 1,
    STORE_F_DATES = 2,
    STORE_F_SIZE = 4,
    STORE_F_SUMMARY = 8,
    STORE_F_BODY = 16,
    STORE_F_UIDL = 32,
    STORE_F_FRESH = 64, /* with STORE_F_BODY: STORE_FRESH among the flags */
    STORE_F_THREAD = 128,
    STORE_F_PACKED = 256 /* with STORE_F_BODY: those of at most STORE_PACKED_MAX as they are kept */
};
/* How an account is opened: CREATE makes it with its default mailboxes when it is not there; ERASE
 * closes it and removes its folder. */
enum store_open { STORE_OPEN, STORE_OPEN_CREATE, STORE_ERASE };
enum store_txn { STORE_BEGIN, STORE_COMMIT, STORE_ABORT };
enum store_change { STORE_CREATE, STORE_DELETE, STORE_RENAME, STORE_SUBSCRIBE, STORE_UNSUBSCRIBE };
enum store_mailbox_bit {
    STORE_MB_SUBSCRIBED = 1,
    STORE_MB_NOSELECT = 2,
    STORE_MB_CHILDREN = 4,
    STORE_MB_NONEXISTENT = 8
};

struct store;
struct store_account;
struct store_sync;

/* What an account may hold; 0: no limit. Messages are counted and weighed once per mailbox that
 * shows them. */
struct store_limits {
    uint64_t bytes, messages;
};

struct store_options {
    const char *root;     /* the folder of the accounts' folders; borrowed for the store's life */
    const char *vfs;      /* SQLite VFS, NULL: the default (tests inject faults here) */
    unsigned max_open;    /* accounts kept open when idle; 0: 128 */
    uint64_t max_message; /* bytes; 0: 1 GiB. Above: -PH_ELIMIT */
    int (*flush)(int fd); /* NULL: fdatasync (tests inject faults here) */
    /* The limits of an account (NULL: none has any), asked for before something is added; in the
     * store's thread. */
    void (*limits)(void *ctx, uint64_t account, struct store_limits *ret);
    void *ctx;
    bool no_index;             /* searches begin none */
    int64_t trash_us, junk_us; /* how long letters stay in \Trash and \Junk after they were put
                                  there; 0: for ever */
};

/* One mailbox as `mailboxes` and `select` give it. NONEXISTENT: only its subscription is left. */
struct store_mailbox {
    uint64_t id;
    ph_str name;
    ph_str special; /* "\Sent" or empty */
    unsigned bits;
    uint32_t uidvalidity, uidnext, messages, unseen, deleted;
    uint32_t recent; /* only as `mailboxes` gives it */
    uint64_t size, modseq;
};

struct store_selected {
    struct store_mailbox mailbox;
    uint32_t recent_from;  /* lowest uid that no one had claimed as \Recent before */
    uint32_t first_unseen; /* 0: none */
    ph_str keywords;       /* every keyword seen in this mailbox, space-separated */
};

struct store_message {
    uint32_t uid;
    unsigned flags;
    ph_str keywords;
    uint64_t modseq;
    int64_t date, saved;
    uint64_t size, emailid;
    uint64_t thread;      /* the email id of the first letter of its thread; STORE_F_THREAD */
    ph_str summary, body; /* body: empty when it is larger than STORE_INLINE_MAX */
    bool packed;          /* body is a zstd frame of `size` bytes; STORE_F_PACKED */
    ph_str uidl;          /* what the server it was imported from called it, else empty */
    uint64_t qid;         /* of one that is STORE_FRESH: ... */
    ph_str journey;       /* ... and its Message-ID */
};

/* What `put` stores. A letter with qid != 0 is a delivery: (qid, address) was delivered before ->
 * nothing happens and `again` is set. mailbox: a name; a delivery to one that does not exist goes
 * to INBOX, an append fails with -PH_ENOENT. date 0: now. */
struct store_letter {
    uint64_t qid;
    ph_str address;
    ph_str mailbox;
    unsigned flags;
    ph_str keywords;
    int64_t date;
    ph_str message_id;
    ph_str summary;
    ph_str body;
    /* Not 0: body is packed, as zstd frames (RFC 8878), and this is how many bytes they hold; at
     * most STORE_PACKED_MAX. -PH_EINVAL when they do not say so themselves. */
    uint64_t packed;
    ph_str uidl; /* kept from another server, else empty; at most STORE_UIDL_MAX */
    /* Message-IDs, its own (or empty) first, then those it answers, the nearest first. It joins the
     * thread of the first of them that is known; which thread that is never changes afterwards. */
    const ph_str *thread;
    size_t thread_n;
};
struct store_put {
    uint64_t mailbox;
    uint32_t uidvalidity,
        uid;         /* of the first delivery when `again`; uid 0: it is not known any more */
    uint64_t modseq; /* the mailbox's, now */
    bool again;
};

/* A whole body. Either `bytes` (borrowed until the next call for this account), or when larger than
 * STORE_INLINE_MAX, fd: a sealed memory file of `size` bytes, yours to close. journey: its
 * Message-ID when nobody read it before, else empty. */
struct store_body {
    uint64_t size;
    ph_str bytes;
    int fd;
    ph_str journey;
    uint64_t qid;
};

/* Flags change. unchanged_since: messages with a higher modseq are left and put in `modified`;
 * UINT64_MAX: no condition. */
struct store_flagging {
    enum store_flag_op op;
    unsigned flags;
    ph_str keywords;
    uint64_t unchanged_since;
};

/* COPY and MOVE: from and to are parallel, in uid order (RFC 4315 3). */
struct store_copied {
    uint64_t to_mailbox;
    uint32_t uidvalidity;
    uint64_t from_modseq, to_modseq;
    struct uidset from, to; /* yours; free with uidset_done */
};

/* What an indexer read in a letter: opaque text, folded already. `unread`: it could not; such
 * letters are always looked at. */
struct store_text {
    uint64_t emailid;
    bool unread;
    ph_str head, body;
};
/* The next letter that has no text. Bytes as in store_body. */
struct store_todo {
    uint64_t emailid, size;
    ph_str bytes;
    int fd;
};
/* What is looked for, and what was found: letters whose text holds it as a substring, and letters
 * of which nothing is known, because they were not read yet or could not be. For STORE_IN_HEAD all
 * that hold it are in `maybe`. */
enum store_find_in { STORE_IN_HEAD, STORE_IN_BODY, STORE_IN_TEXT };
struct store_needle {
    enum store_find_in in;
    ph_str text;              /* folded as the texts were */
    struct uidset yes, maybe; /* zero-initialised by the caller, who frees them */
};

/* Called per row. > 0: this row was not taken and the operation stops here, returning 1; < 0 ends
 * it with that error. */
typedef int store_mailbox_fn(void *ctx, const struct store_mailbox *m);
typedef int store_message_fn(void *ctx, const struct store_message *m);
/* One finding of `check`: fixed tells whether it was repaired. */
typedef void store_finding_fn(void *ctx, const char *text, bool fixed);

struct store_ops {
    const char *name;
    /* -PH_ENOENT when root is not there. */
    int (*new)(const struct store_options *opt, struct store **ret_store, struct ph_error *reterr);
    struct store *(*free)(
        struct store *s); /* rolls back what is open; returns NULL; NULL allowed */

    /* The account, opened when it was not. Valid until the next `account` or `tend` call. folder:
     * one path component. An older schema is brought up to date. id 0: whatever the folder holds
     * (for tools, in a store that has it open only so; only with STORE_OPEN). -PH_EDENIED: the
     * folder belongs to another account id. STORE_ERASE: ret is not set; 0 also when there was
     * none. */
    int (*account)(struct store *s, uint64_t id, ph_str folder, enum store_open how,
                   struct store_account **ret, struct ph_error *reterr);
    /* Work for idle moments: checkpoints, pruning, closing of accounts unused since idle_us.
     * Returns 1 when there is more. */
    int (*tend)(struct store *s, int64_t now_us, int64_t idle_us);

    int (*txn)(struct store_account *a, enum store_txn what, struct ph_error *reterr);
    /* 1: *ret is to be synced; 0: nothing was committed since the last mark. Must be given to
     * `sync`. */
    int (*mark)(struct store_account *a, struct store_sync **ret);
    /* Any thread, may block on the disk; frees y. flush false: only frees. */
    int (*sync)(struct store_sync *y, bool flush);

    /* name: one, or empty for all, in name order. */
    int (*mailboxes)(struct store_account *a, ph_str name, store_mailbox_fn *row, void *ctx,
                     struct ph_error *reterr);
    /* ret_id (may be NULL): the mailbox made or changed. Names: "/" is the hierarchy; INBOX in any
     * case is INBOX. CREATE makes missing superiors. DELETE of one with inferiors leaves a NOSELECT
     * name; INBOX: -PH_EDENIED. RENAME takes the inferiors along and keeps ids; RENAME of INBOX
     * moves its messages to a new mailbox (RFC 9051 6.3.6). */
    int (*change)(struct store_account *a, enum store_change op, ph_str name, ph_str to,
                  ph_str special, uint64_t *ret_id, struct ph_error *reterr);
    /* claim: \Recent messages are claimed by the caller. uids (initialised by the caller) gets all
     * uids. */
    int (*select)(struct store_account *a, ph_str name, bool claim, struct store_selected *ret,
                  struct uidset *uids, struct ph_error *reterr);

    int (*put)(struct store_account *a, const struct store_letter *l, struct store_put *ret,
               struct ph_error *reterr);
    /* Rows in uid order of those of `uids` with modseq > since; mask: enum store_fetch; uid and
     * modseq always. */
    int (*list)(struct store_account *a, uint64_t mailbox, const struct uidset *uids, unsigned mask,
                uint64_t since, store_message_fn *row, void *ctx, struct ph_error *reterr);
    /* peek: this does not count as the first reading. */
    int (*body)(struct store_account *a, uint64_t mailbox, uint32_t uid, bool peek,
                struct store_body *ret, struct ph_error *reterr);
    /* row: every message of `uids` that is not in `modified`, as it is now (flags, keywords,
     * modseq); all of them are changed even when row stops. ret_modseq: the mailbox's, now. Taking
     * away STORE_FRESH alone changes no modseq and gives no rows. */
    int (*flags)(struct store_account *a, uint64_t mailbox, const struct uidset *uids,
                 const struct store_flagging *f, store_message_fn *row, void *ctx,
                 struct uidset *modified, uint64_t *ret_modseq, struct ph_error *reterr);
    /* to: a mailbox name; -PH_EINVAL when there is no such mailbox (so that -PH_ENOENT is the
     * source). */
    int (*copy)(struct store_account *a, uint64_t mailbox, const struct uidset *uids, ph_str to,
                bool move, struct store_copied *ret, struct ph_error *reterr);
    /* Removes those of `uids` (NULL: all) that are \Deleted; `gone` (initialised) gets them. */
    int (*expunge)(struct store_account *a, uint64_t mailbox, const struct uidset *uids,
                   struct uidset *gone, uint64_t *ret_modseq, struct ph_error *reterr);
    /* What happened after `since`, in modseq order: rows changed or new (flags, keywords, modseq),
     * and the uids gone. 0: that was all, and *ret_modseq is the mailbox's; 1: row stopped it, or a
     * very long `gone` did: ask again from *ret_modseq. Every change has a modseq of its own, so
     * nothing is lost between. */
    int (*changes)(struct store_account *a, uint64_t mailbox, uint64_t since, store_message_fn *row,
                   void *ctx, struct uidset *gone, uint64_t *ret_modseq, struct ph_error *reterr);

    /* Which of `uids` hold the needles. The index is begun by the first search of an account that
     * is not of header fields alone; without it all of them are `maybe`. Stops after a while:
     * *ret_next is the first uid not looked at, else 0. */
    int (*search)(struct store_account *a, uint64_t mailbox, const struct uidset *uids,
                  struct store_needle *needles, size_t n, uint32_t *ret_next,
                  struct ph_error *reterr);
    /* Keeps `in` (NULL: nothing), which must be the next after the one kept last; then gives the
     * first letter above `after` that waits for its text. 1: there is one; 0: none, or nobody has
     * searched this account yet. todo NULL: do not ask. */
    int (*index)(struct store_account *a, const struct store_text *in, uint64_t after,
                 struct store_todo *todo, struct ph_error *reterr);

    /* Checks every invariant of docs/store.md; repairs what is certain when `repair`. Returns the
     * number of findings. */
    int (*check)(struct store_account *a, bool repair, store_finding_fn *found, void *ctx,
                 struct ph_error *reterr);
};

extern const struct store_ops store_sqlite;

/* ---- rules that every backend and its users share ------------------------------------------- */

/* A mailbox name in its stored form, into out[STORE_NAME_MAX]: INBOX in capitals, one trailing "/"
 * dropped. -PH_EINVAL: empty, too long, not UTF-8, control characters, "%" or "*", or an empty
 * component. Returns its length. */
PH_MUST_CHECK int store_name_norm(ph_str name, char *out, struct ph_error *reterr);
/* May this be an account's folder: one path component of printable characters that does not start
 * with a dot. */
bool store_folder_ok(ph_str folder);
/* Keywords `now` changed by `op` with `arg`: into out (cleared first), without doubles (ASCII case
 * is not told apart). -PH_ELIMIT above STORE_KEYWORDS_MAX or STORE_KEYWORDS_EACH. */
PH_MUST_CHECK int store_keywords_apply(ph_str now, enum store_flag_op op, ph_str arg,
                                       struct ph_buf *out);
bool store_keyword_in(ph_str list, ph_str word);

/* The default mailboxes of a new account, all subscribed; name NULL ends. */
struct store_default {
    const char *name, *special;
};
extern const struct store_default store_defaults[];

#endif
