/*
 * posthouse/fetch.h - reading mail by POP3 and IMAP, one blocking call a step.
 *
 * Both sessions drive the engine of pop3.h or imap.h, which stays reachable: any of its commands
 * can be queued by hand and waited for. Letters stream: none is held whole in memory, unless it is
 * asked for like that. All functions: negative is an error, told in *rett (may be NULL); a callback
 * that returns other than 0 ends the call with that result once the command under way is answered.
 */
#ifndef POSTHOUSE_FETCH_H
#define POSTHOUSE_FETCH_H
#include <posthouse/imap.h>
#include <posthouse/mime.h>
#include <posthouse/net.h>
#include <posthouse/pop3.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- POP3 (RFC 1939, 2449) ------------------------------------------------------------------ */

struct ph_pop3_session;
/* Connects, asks CAPA, brings up TLS and logs in: by SASL when the server offers a mechanism, by
 * APOP when its greeting has a timestamp and the connection is not secure, else by USER and
 * PASS. */
PH_EXPORT PH_MUST_CHECK int ph_pop3_open(const struct ph_account *account,
                                         struct ph_pop3_session **ret_session,
                                         struct ph_trouble *rett);
/* commit: QUIT, which makes deletions real; false: just close, and nothing is deleted. 0, or
 * negative when QUIT failed; the session is gone in any case. NULL allowed. */
PH_EXPORT int ph_pop3_close(struct ph_pop3_session *s, bool commit, struct ph_trouble *rett);
PH_EXPORT struct ph_pop3_client *ph_pop3_engine(struct ph_pop3_session *s);
PH_EXPORT const struct ph_conn_info *ph_pop3_session_info(const struct ph_pop3_session *s);

struct ph_pop3_item {
    uint32_t number; /* from 1, in this session only */
    uint64_t size;
    char uid[72]; /* RFC 1939 7; "" when the server has no UIDL */
};
PH_EXPORT PH_MUST_CHECK int ph_pop3_stat(struct ph_pop3_session *s, uint32_t *ret_count,
                                         uint64_t *ret_size, struct ph_trouble *rett);
/* All letters, LIST and UIDL in one round trip. Yours; free with ph_pop3_items_free. */
PH_EXPORT PH_MUST_CHECK int ph_pop3_items(struct ph_pop3_session *s,
                                          struct ph_pop3_item **ret_items, size_t *ret_count,
                                          struct ph_trouble *rett);
PH_EXPORT void ph_pop3_items_free(struct ph_pop3_item *items);

/* A letter as it comes. piece: CRLF line ends, dots removed; end: it is complete. begin and end may
 * be NULL. */
struct ph_letter_sink {
    int (*begin)(void *ctx, const struct ph_pop3_item *item);
    int (*piece)(void *ctx, ph_str bytes);
    int (*end)(void *ctx);
    void *ctx;
};
/* Letters in the order given, pipelined where the server can. lines: UINT32_MAX the whole letter,
 * else TOP with so many. */
PH_EXPORT PH_MUST_CHECK int ph_pop3_retrieve(struct ph_pop3_session *s,
                                             const struct ph_pop3_item *items, size_t count,
                                             uint32_t lines, const struct ph_letter_sink *sink,
                                             struct ph_trouble *rett);
/* One letter, whole and parsed, in the arena. number: from 1; 0 is the last one. PH_ENOENT: there
 * is none; PH_ELIMIT: it is larger than the arena may become. */
PH_EXPORT PH_MUST_CHECK int ph_pop3_letter(struct ph_pop3_session *s, uint32_t number,
                                           struct ph_arena *arena, struct ph_message **ret_message,
                                           struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_pop3_delete(struct ph_pop3_session *s,
                                           const struct ph_pop3_item *items, size_t count,
                                           struct ph_trouble *rett);
/* "Leave on the server, fetch what is new": every letter whose unique-id is not known goes to the
 * sink, in order. Letters without a unique-id, and equal ids (some servers give them to equal
 * letters), are taken as new: better twice than never. The number fetched. */
PH_EXPORT PH_MUST_CHECK int64_t ph_pop3_fetch_new(struct ph_pop3_session *s,
                                                  bool (*is_known)(void *ctx, ph_str uid),
                                                  void *known_ctx,
                                                  const struct ph_letter_sink *sink,
                                                  struct ph_trouble *rett);
/* Waits for the command that the engine gave this id: for any that has no function here. */
PH_EXPORT PH_MUST_CHECK int ph_pop3_await(struct ph_pop3_session *s, int64_t id,
                                          struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_pop3_rset(struct ph_pop3_session *s, struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_pop3_noop(struct ph_pop3_session *s, struct ph_trouble *rett);

/* ---- IMAP (RFC 9051, 3501) ------------------------------------------------------------------ */

struct ph_imap_session;
/* Every event of the engine, also those that the server sends unasked (EXISTS, EXPUNGED, FETCHED,
 * CONDITION...): everything it points to is borrowed until it returns. */
typedef int ph_imap_each(void *ctx, const struct ph_imap_client_event *ev);

/* Connects, brings up TLS, logs in (SASL; LOGIN where the server has none), asks for the
 * capabilities. */
PH_EXPORT PH_MUST_CHECK int ph_imap_open(const struct ph_account *account,
                                         struct ph_imap_session **ret_session,
                                         struct ph_trouble *rett);
PH_EXPORT struct ph_imap_session *
ph_imap_close(struct ph_imap_session *s); /* LOGOUT when somebody is there; returns NULL */
PH_EXPORT struct ph_imap_client *ph_imap_engine(struct ph_imap_session *s);
PH_EXPORT const struct ph_conn_info *ph_imap_session_info(const struct ph_imap_session *s);
/* Who hears all events of this session, in all calls. each NULL: nobody. */
PH_EXPORT void ph_imap_listen(struct ph_imap_session *s, ph_imap_each *each, void *ctx);

/*
 * Waits for the command that the engine gave this id, or reports the negative result that it gave
 * instead:
 *
 *   ph_imap_await(s, ph_imap_client_noop(ph_imap_engine(s)), NULL, NULL, &t)
 *
 * so that every command of imap.h can be used as it is. each (may be NULL) hears the events until
 * then, before the listener.
 */
PH_EXPORT PH_MUST_CHECK int ph_imap_await(struct ph_imap_session *s, int id, ph_imap_each *each,
                                          void *ctx, struct ph_trouble *rett);

/* What SELECT told; kept up to date by every call while the mailbox is open. */
struct ph_imap_box {
    bool read_only;
    uint32_t exists, uidvalidity, uidnext, unseen;
    uint64_t highestmodseq; /* 0: the server has none */
};
PH_EXPORT const struct ph_imap_box *ph_imap_box(const struct ph_imap_session *s);
PH_EXPORT PH_MUST_CHECK int ph_imap_select(struct ph_imap_session *s, ph_str mailbox,
                                           bool read_only, struct ph_trouble *rett);

/* What a caller keeps of a mailbox from one session to the next: two numbers of ph_imap_box and the
 * UIDs it has. Take the numbers when a call has returned: what came before them has been told
 * then. */
struct ph_imap_known {
    uint32_t uidvalidity;
    uint64_t modseq; /* highestmodseq; 0: none */
    ph_str uids; /* "1:40,44"; empty: not said, the server then tells of all that ever vanished */
};
/* Opens a mailbox and has told what changed since (QRESYNC, RFC 7162 3.2.5, enabled when it was not
 * yet): VANISHED for what is gone, FETCHED with flags and UID for what is new or has other flags.
 * 1: `each` heard all of it. 0: the mailbox is open, but what is known says nothing about it
 * (another uidvalidity, no modseq, or a server without QRESYNC): look at everything. */
PH_EXPORT PH_MUST_CHECK int ph_imap_resync(struct ph_imap_session *s, ph_str mailbox,
                                           bool read_only, const struct ph_imap_known *known,
                                           ph_imap_each *each, void *ctx, struct ph_trouble *rett);

/* ENABLE (RFC 5161) of what there is of CONDSTORE, QRESYNC, UTF8=ACCEPT; COMPRESS (RFC 4978). 0
 * also when the server has none. */
PH_EXPORT PH_MUST_CHECK int ph_imap_enable(struct ph_imap_session *s, struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_imap_compress(struct ph_imap_session *s, struct ph_trouble *rett);

/* The mailbox for a purpose (PH_IMAP_MB_TRASH...): by SPECIAL-USE (RFC 6154), else by the names
 * that are in use for it in the languages and providers we know. Appended to `name`. 1; 0 when
 * there is none. */
PH_EXPORT PH_MUST_CHECK int ph_imap_find_special(struct ph_imap_session *s, unsigned bit,
                                                 struct ph_buf *name, struct ph_trouble *rett);

/* Streams a section of messages (set of UIDs; items as on the wire, "(UID BODY.PEEK[])"): CHUNK
 * events bring the pieces, then FETCHED the rest. */
PH_EXPORT PH_MUST_CHECK int ph_imap_fetch(struct ph_imap_session *s, ph_str uids, ph_str items,
                                          ph_imap_each *each, void *ctx, struct ph_trouble *rett);
/* One letter, whole and parsed, in the arena; \Seen is not set. uid: "17"; "*" is the last of the
 * mailbox. PH_ENOENT: there is none; PH_ELIMIT: it is larger than the arena may become. */
PH_EXPORT PH_MUST_CHECK int ph_imap_letter(struct ph_imap_session *s, ph_str uid,
                                           struct ph_arena *arena, struct ph_message **ret_message,
                                           struct ph_trouble *rett);
/* By MOVE (RFC 6851), else COPY, +FLAGS \Deleted and UID EXPUNGE (RFC 4315); without UIDPLUS the
 * flag is left to do its work, as EXPUNGE would also take what others flagged: 1 then, else 0. */
PH_EXPORT PH_MUST_CHECK int ph_imap_move(struct ph_imap_session *s, ph_str uids, ph_str mailbox,
                                         struct ph_trouble *rett);
/* \Deleted and UID EXPUNGE, with the same result. */
PH_EXPORT PH_MUST_CHECK int ph_imap_remove(struct ph_imap_session *s, ph_str uids,
                                           struct ph_trouble *rett);
/* message, or read as in send.h with its exact size. ret_uid (may be NULL): its UID by UIDPLUS, 0
 * when not told. */
PH_EXPORT PH_MUST_CHECK int ph_imap_append(struct ph_imap_session *s, ph_str mailbox,
                                           const struct ph_imap_flags *flags, ph_str message,
                                           uint32_t *ret_uid, struct ph_trouble *rett);

/* How long one IDLE of ph_imap_watch may last: less where a router on the way forgets quiet
 * connections. 0: 28 minutes, as a server may end it after 30 (RFC 2177 3). */
PH_EXPORT void ph_imap_renew_after(struct ph_imap_session *s, int64_t ms);
/* Waits for news in the open mailbox by IDLE (RFC 2177), renewed in time, or by NOOP every minute
 * where there is none, until `each` returns other than 0 (given back), `for_ms` have passed (0;
 * PH_NEVER: for ever), or fd (-1: none) can be read (0). */
PH_EXPORT PH_MUST_CHECK int ph_imap_watch(struct ph_imap_session *s, int64_t for_ms, int fd,
                                          ph_imap_each *each, void *ctx, struct ph_trouble *rett);

#ifdef __cplusplus
}
#endif
#endif
