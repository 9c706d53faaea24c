/*
 * posthouse/base.h - slices, bounded buffers, arenas, allocators, errors.
 *
 * The vocabulary of every other header. ISO C only; knows nothing of mail.
 *
 * Lifetimes are told in one of three phrases, everywhere in Posthouse:
 *   "borrowed from X until Y"   the bytes are X's; do not keep them past Y
 *   "lives in the arena given"  freed with that arena, never by itself
 *   "yours; free with F"        the caller owns it
 */
#ifndef POSTHOUSE_BASE_H
#define POSTHOUSE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PH_MUST_CHECK __attribute__((warn_unused_result))
#define PH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define PH_EXPORT __attribute__((visibility("default")))
#else
#define PH_MUST_CHECK
#define PH_PRINTF(fmt, args)
#define PH_EXPORT
#endif

/* ---- errors ------------------------------------------------------------------------------ */

/*
 * The one table of errors. Class decides the fate:
 *   SELF    we failed: temporary for the peer, retry later
 *   PEER    the other side broke the protocol; the code is a hint for the reply
 *   LIMIT   a named limit was reached; the text says which
 *   ANSWER  a normal negative answer
 * Columns: symbol, class, SMTP reply code, enhanced code (RFC 3463), IMAP response code
 * (RFC 5530), text.
 */
#define PH_ERRORS(X)                                                                               \
    X(PH_ENOMEM, SELF, 451, "4.3.0", "UNAVAILABLE", "out of memory")                               \
    X(PH_EIO, SELF, 451, "4.3.0", "UNAVAILABLE", "input or output failed")                         \
    X(PH_EFULL, SELF, 452, "4.3.1", "UNAVAILABLE", "the disk is full")                             \
    X(PH_EAGAIN, SELF, 451, "4.3.2", "UNAVAILABLE", "not ready, try again later")                  \
    X(PH_ECORRUPT, SELF, 451, "4.3.0", "SERVERBUG", "stored data is damaged")                      \
    X(PH_ETLS, SELF, 454, "4.7.0", "PRIVACYREQUIRED", "TLS failed")                                \
    X(PH_ETIMEOUT, PEER, 421, "4.4.2", "UNAVAILABLE", "timed out")                                 \
    X(PH_ECLOSED, PEER, 421, "4.4.2", "UNAVAILABLE", "the connection was closed")                  \
    X(PH_ELIMIT, LIMIT, 552, "5.3.4", "LIMIT", "a limit was reached")                              \
    X(PH_ESYNTAX, PEER, 501, "5.5.4", "CLIENTBUG", "not allowed by the grammar")                   \
    X(PH_EORDER, PEER, 503, "5.5.1", "CLIENTBUG", "not allowed in this state")                     \
    X(PH_EINVAL, ANSWER, 501, "5.5.4", "CLIENTBUG", "a value is not acceptable")                   \
    X(PH_ENOENT, ANSWER, 550, "5.1.1", "NONEXISTENT", "no such object")                            \
    X(PH_EEXIST, ANSWER, 550, "5.1.1", "ALREADYEXISTS", "exists already")                          \
    X(PH_EDENIED, ANSWER, 550, "5.7.1", "NOPERM", "not permitted")                                 \
    X(PH_EAUTH, ANSWER, 535, "5.7.8", "AUTHENTICATIONFAILED", "authentication failed")             \
    X(PH_EQUOTA, ANSWER, 452, "4.2.2", "OVERQUOTA", "the mailbox is full")                         \
    X(PH_EINUSE, ANSWER, 450, "4.2.0", "INUSE", "in use by another session")                       \
    X(PH_EREFUSED, ANSWER, 554, "5.0.0", "CANNOT", "refused by the other side")                    \
    X(PH_ENOTIMPL, ANSWER, 502, "5.5.1", "CANNOT", "not implemented")

enum ph_errno {
    PH_OK = 0,
#define PH_ERR_ENUM(sym, cls, smtp, esc, imap, text) sym,
    PH_ERRORS(PH_ERR_ENUM)
#undef PH_ERR_ENUM
        PH_ERR_COUNT
};

enum ph_error_class { PH_CLASS_SELF, PH_CLASS_PEER, PH_CLASS_LIMIT, PH_CLASS_ANSWER };

/* What failed, copyable by value. `code` is positive (PH_E...), `sys` an errno or 0, `off` the
 * byte offset in the input the error is about, or 0. */
struct ph_error {
    int code;
    int sys;
    uint64_t off;
    char text[232];
};

struct ph_error_info {
    const char *name; /* "PH_ENOMEM" */
    enum ph_error_class cls;
    int smtp;
    const char *esc;
    const char *imap;
    const char *text;
};

/* The row of an error code, given as PH_E... or as the negative result of a function. Never
 * NULL: an unknown code gives the row of PH_EIO. */
PH_EXPORT const struct ph_error_info *ph_error_info(int code);

/* Fills *reterr (may be NULL) and returns -code, so that `return ph_fail(reterr, PH_ESYNTAX, 0,
 * "...")` reports and leaves at once. The text is cut at the size of the field. */
PH_EXPORT int ph_fail(struct ph_error *reterr, int code, int sys, const char *fmt, ...)
    PH_PRINTF(4, 5);

/* ---- slices ------------------------------------------------------------------------------ */

/* Borrowed bytes with their length. May hold NUL; p may be NULL when n == 0. */
typedef struct ph_str {
    const char *p;
    size_t n;
} ph_str;

#define PH_STR(lit) ((ph_str){"" lit, sizeof(lit) - 1})
#define PH_STR_INIT(lit)                                                                           \
    {                                                                                              \
        "" lit, sizeof(lit) - 1                                                                    \
    }
#define PH_FMT(s) (int)(s).n, (s).n ? (s).p : "" /* printf("%.*s", PH_FMT(s)) */
#define PH_NPOS SIZE_MAX

PH_EXPORT ph_str ph_str_c(const char *cstr); /* NULL gives the empty slice */
PH_EXPORT bool ph_str_eq(ph_str a, ph_str b);
PH_EXPORT bool ph_str_ieq(ph_str a, ph_str b); /* ASCII letters only */
PH_EXPORT int ph_str_cmp(ph_str a, ph_str b);  /* bytewise, as memcmp then length */
PH_EXPORT bool ph_str_has_prefix(ph_str s, ph_str prefix);
PH_EXPORT bool ph_str_has_iprefix(ph_str s, ph_str prefix);
PH_EXPORT bool ph_str_has_suffix(ph_str s, ph_str suffix);
PH_EXPORT ph_str ph_str_sub(ph_str s, size_t from, size_t n); /* clamped to s */
PH_EXPORT ph_str ph_str_skip(ph_str s, size_t n);             /* clamped to s */
PH_EXPORT ph_str ph_str_trim(ph_str s);                       /* space, tab, CR, LF at both ends */
PH_EXPORT size_t ph_str_find(ph_str s, ph_str what);          /* offset or PH_NPOS */
PH_EXPORT size_t ph_str_ifind(ph_str s, ph_str what);         /* ASCII case-insensitive */
PH_EXPORT size_t ph_str_chr(ph_str s, char c);                /* offset or PH_NPOS */
PH_EXPORT size_t ph_str_rchr(ph_str s, char c);               /* offset or PH_NPOS */

/* Cuts the part before the first `sep` off *rest; false when *rest was empty at the call. */
PH_EXPORT bool ph_str_token(ph_str *rest, char sep, ph_str *ret_token);

/* Equal in constant time for equal lengths: for secrets. */
PH_EXPORT bool ph_str_secret_eq(ph_str a, ph_str b);

/* Decimal digits only, whole slice; false on anything else or above max. */
PH_EXPORT bool ph_str_u64(ph_str s, uint64_t max, uint64_t *ret_value);

/* Overwrites memory so that the compiler may not drop it. */
PH_EXPORT void ph_wipe(void *p, size_t n);

/* ---- allocators -------------------------------------------------------------------------- */

/* resize(): p == NULL allocates, now == 0 frees and returns NULL; NULL otherwise is failure and
 * leaves p as it was. New memory need not be zero. */
struct ph_alloc {
    void *ctx;
    void *(*resize)(void *ctx, void *p, size_t old, size_t now);
};

/* The C library's allocator; what a NULL `const struct ph_alloc *` means everywhere. */
PH_EXPORT const struct ph_alloc *ph_alloc_std(void);
PH_EXPORT void *ph_resize(const struct ph_alloc *al, void *p, size_t old, size_t now);
PH_EXPORT void *ph_new0(const struct ph_alloc *al, size_t n); /* zeroed; NULL when out of memory */
PH_EXPORT void ph_free(const struct ph_alloc *al, void *p, size_t n); /* NULL is allowed */

/* ---- buffers ----------------------------------------------------------------------------- */

/*
 * A growing byte buffer that is born with its maximum. After the first failure every add is a
 * no-op, and ph_buf_err() asked once before use tells -PH_ENOMEM or -PH_ELIMIT. There is always
 * room for a NUL behind the content once something was added, but it is not part of n.
 */
struct ph_buf {
    char *p;
    size_t n, cap, max;
    int err;
    const struct ph_alloc *al;
};

PH_EXPORT void ph_buf_init(struct ph_buf *b, const struct ph_alloc *al, size_t max);
PH_EXPORT void ph_buf_done(struct ph_buf *b);   /* frees; b may be used again */
PH_EXPORT void ph_buf_clear(struct ph_buf *b);  /* n = 0, err = 0, memory kept */
PH_EXPORT void ph_buf_shrink(struct ph_buf *b); /* gives memory back when empty */
PH_EXPORT void ph_buf_add(struct ph_buf *b, ph_str s);
PH_EXPORT void ph_buf_addc(struct ph_buf *b, char c);
PH_EXPORT void ph_buf_addf(struct ph_buf *b, const char *fmt, ...) PH_PRINTF(2, 3);
PH_EXPORT void ph_buf_addv(struct ph_buf *b, const char *fmt, va_list ap) PH_PRINTF(2, 0);
PH_EXPORT void ph_buf_addu(struct ph_buf *b, uint64_t decimal);
/* Room for n bytes at the end, to be filled and then counted with ph_buf_commit; NULL on
 * failure. */
PH_EXPORT char *ph_buf_reserve(struct ph_buf *b, size_t n);
PH_EXPORT void ph_buf_commit(struct ph_buf *b, size_t n);
PH_EXPORT void ph_buf_drop(struct ph_buf *b, size_t n); /* removes n bytes from the front */
PH_EXPORT int ph_buf_err(const struct ph_buf *b);
PH_EXPORT ph_str ph_buf_str(const struct ph_buf *b); /* borrowed from b until it changes */
PH_EXPORT const char *ph_buf_cstr(struct ph_buf *b); /* NUL-terminated; "" on failure */

/* ---- arenas ------------------------------------------------------------------------------ */

/*
 * A bump allocator for one unit of work (connection, command, message). Memory is zeroed and
 * aligned for any object; `max` bounds the sum of what is handed out and is the memory limit of
 * that unit. mark/back frees everything handed out since the mark.
 */
struct ph_arena;
struct ph_mark {
    void *chunk;
    size_t used, total;
};

PH_EXPORT struct ph_arena *ph_arena_new(const struct ph_alloc *al, size_t max);
PH_EXPORT struct ph_arena *ph_arena_free(struct ph_arena *a); /* returns NULL; NULL is allowed */
PH_EXPORT void *ph_arena_get(struct ph_arena *a, size_t n);   /* NULL: out of memory or limit */
PH_EXPORT void *ph_arena_array(struct ph_arena *a, size_t count, size_t size);
PH_EXPORT ph_str ph_arena_copy(struct ph_arena *a, ph_str s); /* NUL behind; p NULL on failure */
PH_EXPORT char *ph_arena_cstr(struct ph_arena *a, ph_str s);  /* NULL on failure */
PH_EXPORT ph_str ph_arena_printf(struct ph_arena *a, const char *fmt, ...) PH_PRINTF(2, 3);
PH_EXPORT struct ph_mark ph_arena_mark(struct ph_arena *a);
PH_EXPORT void ph_arena_back(struct ph_arena *a, struct ph_mark m);
PH_EXPORT size_t ph_arena_used(const struct ph_arena *a);
PH_EXPORT size_t ph_arena_room(const struct ph_arena *a); /* what is left of its maximum */

#define PH_ARENA_NEW(a, type) ((type *)ph_arena_get((a), sizeof(type)))

#ifdef __cplusplus
}
#endif
#endif
