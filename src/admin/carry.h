/*
 * carry.h - letters carried from one keeping to another: an account of this house, Maildir, mbox,
 * an IMAP server.
 *
 * A source gives its letters one after the other to whoever takes them; what is taken is told
 * whole, with everything that must survive the way. So each keeping is written once as a source and
 * once as a taker, and any two go together.
 */
#ifndef PH_CARRY_H
#define PH_CARRY_H
#include "admin.h"
#include "store.h"

/* One letter. Borrowed until the taker returns. */
struct carry_letter {
    ph_str mailbox; /* UTF-8, "/" between the levels, INBOX in capitals */
    unsigned flags; /* enum store_flag */
    ph_str keywords;
    int64_t date;              /* internal date, microseconds since 1970 */
    ph_str uidl;               /* what POP3 clients know it by; empty: nothing */
    uint32_t uid, uidvalidity; /* where it was; 0: unknown */
    ph_str bytes;
};
/* Negative ends the way; the text is in the taker's own error. */
typedef int carry_take(void *ctx, const struct carry_letter *letter);

/* Read a whole keeping. 0, or the negative result of `take`, or of the source itself (text in
 * *reterr). */
PH_MUST_CHECK int carry_from_maildir(const char *path, carry_take *take, void *ctx,
                                     struct ph_error *reterr);
/* path: a file (INBOX), or a folder of NAME.mbox files. */
PH_MUST_CHECK int carry_from_mbox(const char *path, carry_take *take, void *ctx,
                                  struct ph_error *reterr);
struct ph_account;
PH_MUST_CHECK int carry_from_imap(const struct ph_account *account, carry_take *take, void *ctx,
                                  struct ph_error *reterr);
PH_MUST_CHECK int carry_from_account(const struct store_ops *ops, struct store_account *a,
                                     carry_take *take, void *ctx, struct ph_error *reterr);

/* Letters as files of Unix have them end lines with LF: with CRLF, in *out; one that has any CRLF
 * is left as it is. */
ph_str carry_crlf(ph_str in, struct ph_buf *out);

/* ---- into an account ---------------------------------------------------------------------- */

/* Letters that are there already (the same mailbox, Message-ID, size and internal date) are passed
 * over, so that an import may be repeated. anywhere: also those that are in another mailbox now. */
struct carry_account;
struct carry_account *carry_account_new(struct store_account *a,
                                        bool anywhere); /* NULL: out of memory */
int carry_account_take(void *c, const struct carry_letter *letter);
/* Commits what is left. Counts may be NULL. Frees c. */
int carry_account_end(struct carry_account *c, bool commit, uint64_t *ret_put, uint64_t *ret_known,
                      struct ph_error *reterr);
const struct ph_error *carry_account_error(const struct carry_account *c);

/* ---- into files --------------------------------------------------------------------------- */

struct carry_folder; /* a Maildir++ tree, or a folder of mbox files, which must not exist yet */
struct carry_folder *carry_folder_new(const char *path, bool mbox, struct ph_error *reterr);
int carry_folder_take(void *c, const struct carry_letter *letter);
int carry_folder_end(struct carry_folder *c, uint64_t *ret_count,
                     struct ph_error *reterr); /* frees c */
const struct ph_error *carry_folder_error(const struct carry_folder *c);

#endif
