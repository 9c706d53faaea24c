/*
 * sqlite_int.h - what the files of the SQLite backend share.
 *
 * An operation is enter() ... leave(): enter starts the SQL transaction when there is none and
 * reads the mailbox rows anew when another program changed the file; leave ends it when the caller
 * began none. Inner functions return a negative code with the text in a->err.
 */
#ifndef PH_STORE_SQLITE_INT_H
#define PH_STORE_SQLITE_INT_H
#include "../store.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <zstd.h>

enum {
    CHUNK = 256,             /* messages worked on between two looks at the table */
    READS_MAX = 256,         /* "was read" marks kept in memory */
    EMAIL_RESERVE = 256,     /* email ids reserved at a time */
    OPEN_DEFAULT = 128,      /* accounts kept open; each holds up to 1 MiB of page cache (open.c) */
    CHECKPOINT_PAGES = 1000, /* -wal worth moving when idle */
    CHECKPOINT_SYNC = 4000,  /* ... and by the syncing thread under load */
    CHECKPOINT_MOST = 16000, /* ... and at the next commit, whatever the load */
    BUSY_MS = 5000,
    FLAG_READ = 256 /* internal flag: its owner has read it */
};
enum form { FORM_PLAIN, FORM_ZSTD, FORM_FILE_ZSTD, FORM_FILE };
enum mbox_state { MBOX_LIVE, MBOX_NAME, MBOX_SUBSCRIPTION };

enum statement {
#define Q(name, sql) ST_##name,
#include "statements.def"
#undef Q
    ST_COUNT
};

/* One mailbox row in memory. `dirty`: counters must be written with this transaction; `lazy`: with
 * any next one. */
struct mbox {
    uint64_t id;
    char *name, *special, *keywords;
    size_t name_n;
    int state;
    bool subscribed, dirty, lazy;
    bool seen_exact; /* the message at seen_below is not seen: it need not be looked for */
    uint32_t uidvalidity, uidnext, recent_uid, seen_below, messages, unseen, deleted;
    uint64_t modseq, size;
};

/* The -wal of an account, held open for fdatasync in other threads. Shared by the account and its
 * syncs. */
struct wal {
    int fd;
    atomic_int refs, failed, running, pages;
    int (*flush)(int fd);
    const char *vfs;
    char dir[]; /* the account's folder */
};

struct store_sync {
    struct wal *wal;
    uint64_t *dead; /* emails whose files go once this is on disk */
    size_t dead_n;
};

struct ids {
    uint64_t *v;
    size_t n, cap;
};

/* cache.c: flags of one mailbox. */
struct cache_row {
    uint32_t uid;
    uint16_t flags, word; /* word: of words, 0: no keywords */
    uint64_t modseq, emailid;
};
struct cache_word { /* in pool */
    uint32_t at, n;
};
struct cache {
    uint64_t mailbox, modseq; /* mailbox 0: none */
    struct cache_row *v;      /* in uid order */
    size_t n, cap;
    struct cache_word *words;
    size_t word_n;
    struct ph_buf pool;
};

/* recent.c: changes of one mailbox, of which all above `from` up to `upto` are there. */
struct recent_row;
struct recent {
    uint64_t mailbox, from, upto; /* mailbox 0: none */
    struct recent_row *v;         /* in modseq order; NULL: nothing is kept, one session asks */
    size_t n;
    struct ph_buf words;
};

enum { COMMON_GRAMS = 512, COMMON_LEVELS = 3 };

struct store_account {
    struct store *s;
    uint64_t id;
    char *dir;
    sqlite3 *db;
    sqlite3_stmt *st[ST_COUNT];
    struct ph_error err, lost;
    bool txn;      /* begin was called */
    bool in_sql;   /* a SQL transaction is open */
    bool spoiled;  /* ... and failed: lost says why */
    bool partial;  /* an operation has written: its failure is the transaction's */
    bool stale;    /* memory does not show what is in the file */
    bool unsynced; /* committed since the last mark */
    bool meta_dirty;
    bool uidls;       /* some message has one */
    bool wants_index; /* it was searched */
    int64_t data_version, pruned, used, indexed;
    uint64_t uidvalidity, mailbox_next, email_next, email_limit;
    struct mbox *mb; /* in name order */
    size_t mb_n, mb_cap;
    struct wal *wal;
    struct ids dead_now, dead; /* files to unlink: of this transaction, of committed ones */
    struct {
        uint64_t mailbox;
        uint32_t uid;
    } reads[READS_MAX];
    size_t reads_n;
    struct cache cache;
    struct recent recent;
    /* grams that many letters had, by their value; 0: none */
    uint32_t common[COMMON_LEVELS][COMMON_GRAMS];
    struct ph_buf keywords;
    struct store_account *hash_next, *newer, *older;
};

enum { HASH = 256 };
struct store {
    char *root, *vfs;
    unsigned max_open, open_n;
    uint64_t max_message;
    int (*flush)(int fd);
    void (*limits)(void *ctx, uint64_t account, struct store_limits *ret);
    void *ctx;
    bool no_index;
    int64_t trash_us, junk_us;
    struct store_account *hash[HASH], *newest, *oldest;
    ZSTD_CCtx *zc;
    ZSTD_DCtx *zd;
    struct ph_buf packed, plain;
};

/* ---- db.c: statements, errors, transactions */
int sq_error(struct store_account *a, int rc); /* fills a->err; the negative code */
int sq_fail(struct store_account *a, int code, int sys, const char *fmt, ...) PH_PRINTF(4, 5);
/* Parameters from ?2 on: i int64_t, t ph_str text, b ph_str blob. Bytes are borrowed until the
 * statement is reset. */
sqlite3_stmt *sq_start(struct store_account *a, enum statement q, const char *types, ...);
int sq_step(struct store_account *a,
            sqlite3_stmt *st); /* 1 a row, 0 done (reset), negative (reset) */
int sq_run(struct store_account *a, enum statement q, const char *types, ...);
ph_str sq_text(sqlite3_stmt *st, int col);
ph_str sq_blob(sqlite3_stmt *st, int col);
int sq_enter(struct store_account *a, bool write);
int sq_leave(struct store_account *a, int r, struct ph_error *reterr);
int sq_txn(struct store_account *a, enum store_txn what, struct ph_error *reterr);
int sq_write_back(struct store_account *a); /* dirty rows of memory into the open transaction */

/* ---- account.c, open.c */
int sq_open_db(struct store_account *a, bool create);
int sq_load(struct store_account *a); /* the account row and the mailboxes */
int64_t sq_now(void);
struct wal *wal_unref(struct wal *w);
int sq_wal(struct store_account *a); /* a->wal is open */
int ids_add(struct ids *l, uint64_t id);

/* ---- cache.c */
/* 1: cache_give may be asked. wants_all: it is worth being filled. Negative: an error of the
 * database. */
int cache_ready(struct store_account *a, struct mbox *m, bool wants_all);
int cache_give(struct store_account *a, const struct uidset *uids, uint64_t since,
               store_message_fn *row, void *ctx);
void cache_drop(struct store_account *a);
size_t cache_place(const struct cache *c, uint32_t uid); /* of the first uid not below */
struct store_message cache_message(const struct cache *c, size_t at); /* without dates and size */

/* ---- summaries.c: as cache_give, with summary and thread. */
int cache_give_summaries(struct store_account *a, const struct uidset *uids, store_message_fn *row,
                         void *ctx);

/* ---- recent.c */
/* As sq_changes_in. */
int recent_changes(struct store_account *a, struct mbox *m, uint64_t since, store_message_fn *row,
                   void *ctx, struct uidset *gone, uint64_t *last);
void recent_drop(struct store_account *a);

/* ---- message.c */
/* These were read by their owner: in memory, and in the file with the next transaction. */
int sq_were_read(struct store_account *a, uint64_t mailbox, const struct uidset *uids);
/* The flags of a whole mailbox from the table. */
int sq_list_flags(struct store_account *a, uint64_t mailbox, store_message_fn *row, void *ctx);

/* ---- thread.c */
/* The thread of a letter that is being stored, and what later ones find it by. */
int sq_thread(struct store_account *a, const struct store_letter *l, uint64_t emailid,
              uint64_t *ret_thread);

/* ---- quota.c */
/* -PH_EQUOTA when the account may not hold so much more. */
int sq_quota(struct store_account *a, uint64_t messages, uint64_t bytes);

/* ---- mailbox.c */
struct mbox *mbox_find(struct store_account *a, ph_str name);  /* any state; NULL */
struct mbox *mbox_live(struct store_account *a, uint64_t id);  /* NULL: sets a->err to ENOENT */
size_t mbox_lower(const struct store_account *a, ph_str name); /* first not below name */
int mbox_insert(struct store_account *a, const struct mbox *like,
                struct mbox **ret);                      /* memory only; strings are copied */
void mbox_drop(struct store_account *a, struct mbox *m); /* memory only; pointers to others move */
bool mbox_has_children(struct store_account *a, const struct mbox *m);
void mbox_clear(struct store_account *a);
int mbox_keywords_add(struct store_account *a, struct mbox *m, ph_str keywords);
int mbox_make(struct store_account *a, ph_str name, ph_str special, bool subscribed,
              struct mbox **ret);
int sq_mailboxes(struct store_account *a, ph_str name, store_mailbox_fn *row, void *ctx,
                 struct ph_error *reterr);
int sq_select(struct store_account *a, ph_str name, bool claim, struct store_selected *ret,
              struct uidset *uids, struct ph_error *reterr);
int sq_change(struct store_account *a, enum store_change op, ph_str name, ph_str to, ph_str special,
              uint64_t *ret_id, struct ph_error *reterr);

/* ---- message.c, move.c */
struct chunk_row {
    uint32_t uid;
    unsigned flags;
    uint64_t modseq, emailid, size;
    int64_t date, saved;
    size_t kw_at, kw_n;
};
struct chunk {
    struct chunk_row v[CHUNK];
    size_t n;
    struct ph_buf kw; /* keywords of all rows */
};
/* The next up to CHUNK messages of [from, to] that have all of `flags`. 0 or negative. */
int chunk_read(struct store_account *a, uint64_t mailbox, uint32_t from, uint32_t to,
               unsigned flags, struct chunk *c);
ph_str chunk_keywords(const struct chunk *c, const struct chunk_row *r);
void sq_row(sqlite3_stmt *st, struct store_message *ret); /* the shape of LIST */
void mbox_count_add(struct mbox *m, uint32_t uid, unsigned flags, uint64_t size);
void mbox_count_del(struct mbox *m, uint32_t uid, unsigned flags, uint64_t size);
int sq_remove_gone(struct store_account *a, struct mbox *m, const struct uidset *gone);
int sq_move_all(struct store_account *a, struct mbox *from, struct mbox *to); /* RENAME INBOX */
int sq_expire(struct store_account *a, struct mbox *m,
              int64_t saved_before);                        /* removes what is older */
int sq_remove_all(struct store_account *a, struct mbox *m); /* DELETE; leaves counters at 0 */
int sq_put(struct store_account *a, const struct store_letter *l, struct store_put *ret,
           struct ph_error *reterr);
int sq_list(struct store_account *a, uint64_t mailbox, const struct uidset *uids, unsigned mask,
            uint64_t since, store_message_fn *row, void *ctx, struct ph_error *reterr);
int sq_body(struct store_account *a, uint64_t mailbox, uint32_t uid, bool peek,
            struct store_body *ret, struct ph_error *reterr);
int sq_flags(struct store_account *a, uint64_t mailbox, const struct uidset *uids,
             const struct store_flagging *f, store_message_fn *row, void *ctx,
             struct uidset *modified, uint64_t *ret_modseq, struct ph_error *reterr);
int sq_copy(struct store_account *a, uint64_t mailbox, const struct uidset *uids, ph_str to,
            bool move, struct store_copied *ret, struct ph_error *reterr);
int sq_expunge(struct store_account *a, uint64_t mailbox, const struct uidset *uids,
               struct uidset *gone, uint64_t *ret_modseq, struct ph_error *reterr);
int sq_changes_in(struct store_account *a, struct mbox *m, uint64_t since, store_message_fn *row,
                  void *ctx, struct uidset *gone, uint64_t *last);
int sq_changes(struct store_account *a, uint64_t mailbox, uint64_t since, store_message_fn *row,
               void *ctx, struct uidset *gone, uint64_t *ret_modseq, struct ph_error *reterr);

/* ---- body.c: stored forms */
struct packed {
    enum form form;
    ph_str data; /* inside forms: borrowed from the store until the next pack */
};
uint64_t body_size(const struct store_letter *l); /* of the message */
/* Does a body that comes packed say what it is said to be? 0 or -PH_EINVAL. Nothing is unpacked. */
int body_check(struct store_account *a, const struct store_letter *l);
int body_pack(struct store_account *a, uint64_t emailid, const struct store_letter *l,
              struct packed *ret);
/* data: the content column. size at most STORE_INLINE_MAX; bytes are borrowed until the next
 * call. */
int body_unpack(struct store_account *a, enum form form, uint64_t emailid, ph_str data,
                uint64_t size, ph_str *ret_bytes);
/* A larger one, into a sealed memory file. */
int body_unpack_fd(struct store_account *a, enum form form, uint64_t emailid, ph_str data,
                   uint64_t size, int *ret_fd);
void body_path(const char *dir, uint64_t emailid, const char *suffix, char *out, size_t n);

/* ---- grams.c: what the index knows of a text */
struct grams {
    uint32_t *v; /* sorted, each once */
    size_t n, cap;
};
/* Of folded UTF-8: 0 or -PH_ENOMEM. Every gram of a substring is one of the whole. */
int grams_add(struct grams *g, ph_str text);
void grams_sort(struct grams *g);
void grams_done(struct grams *g);
/* As words of a text, or as a query for all of them. */
void grams_print(const struct grams *g, const char *between, struct ph_buf *out);

/* ---- index.c, search.c */
int sq_index(struct store_account *a, const struct store_text *in, uint64_t after,
             struct store_todo *todo, struct ph_error *reterr);
int sq_search(struct store_account *a, uint64_t mailbox, const struct uidset *uids,
              struct store_needle *needles, size_t n, uint32_t *ret_next, struct ph_error *reterr);
/* The text of a letter: 1; 0: there is none. Borrowed until the next pack or unpack. */
int index_text(struct store_account *a, uint64_t emailid, ph_str *ret_head, ph_str *ret_body);
int index_dropped(struct store_account *a, uint64_t emailid); /* its last message is gone */
int index_clean(struct store_account *a);                     /* some of them; 1: there are more */
int index_forget(struct store_account *a);                    /* the whole index; it is made anew */

/* ---- check.c */
int sq_check(struct store_account *a, bool repair, store_finding_fn *found, void *ctx,
             struct ph_error *reterr);

#endif
