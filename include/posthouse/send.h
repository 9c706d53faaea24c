/*
 * posthouse/send.h - sending letters by SMTP (RFC 5321, 6409) and LMTP (RFC 2033), one blocking
 * call a step.
 *
 *   struct ph_trouble t;
 *   if (ph_send_email(&account, email, &t) < 0)
 *       ...t.error.text, t.remedy...
 *
 * or, for many letters and full control:
 *
 *   if (ph_smtp_open(&account, &s, &t) == 0) {
 *       struct ph_smtp_letter l = {.struct_size = sizeof l, .sender = from, .recipients = to, .count = 2, .message = text};
 *       n = ph_smtp_sendmail(s, &l, &t);
 *       s = ph_smtp_close(s);
 *   }
 *
 * All functions: negative is an error, told in *rett (which may be NULL).
 */
#ifndef POSTHOUSE_SEND_H
#define POSTHOUSE_SEND_H
#include <posthouse/build.h>
#include <posthouse/net.h>
#include <posthouse/smtp.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_smtp_session;

/* ---- the session, as a whole and step by step ------------------------------------------------ */

/* Connects, says EHLO, brings up TLS and logs in as the account says. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_open(const struct ph_account *account,
                                         struct ph_smtp_session **ret_session,
                                         struct ph_trouble *rett);
PH_EXPORT struct ph_smtp_session *
ph_smtp_close(struct ph_smtp_session *s); /* QUIT, when there still is somebody; returns NULL */

/* The steps of ph_smtp_open. connect: to the greeting, with TLS when it is on from the first
 * byte. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_connect(const struct ph_account *account,
                                            struct ph_smtp_session **ret_session,
                                            struct ph_trouble *rett);
/* name: empty is the account's or the machine's. EHLO falls back to HELO when it is refused; LMTP
 * says LHLO. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_ehlo(struct ph_smtp_session *s, ph_str name,
                                         struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_smtp_helo(struct ph_smtp_session *s, ph_str name,
                                         struct ph_trouble *rett);
/* Did EHLO announce it (any case)? ret_params (may be NULL) is borrowed until the next EHLO. */
PH_EXPORT bool ph_smtp_has_extn(const struct ph_smtp_session *s, ph_str keyword,
                                ph_str *ret_params);
/* STARTTLS, the handshake, and EHLO again. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_starttls(struct ph_smtp_session *s, struct ph_trouble *rett);
/* account: whose user, password, token, mechanisms count; it may be another than the one that was
 * connected with. */
PH_EXPORT PH_MUST_CHECK int
ph_smtp_login(struct ph_smtp_session *s, const struct ph_account *account, struct ph_trouble *rett);
PH_EXPORT ph_str
ph_smtp_mechanism(const struct ph_smtp_session *s); /* that it logged in with; empty: none */

/* One command and its reply: the code; the text's lines joined by '\n' are added to `text` (may be
 * NULL). A refusal by the server is not an error here. docmd: any line that is answered by one
 * reply. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_docmd(struct ph_smtp_session *s, ph_str line,
                                          struct ph_buf *text, struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_smtp_verify(struct ph_smtp_session *s, ph_str address,
                                           struct ph_buf *text, struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_smtp_expn(struct ph_smtp_session *s, ph_str list,
                                         struct ph_buf *text, struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_smtp_rset(struct ph_smtp_session *s, struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_smtp_noop(struct ph_smtp_session *s, struct ph_trouble *rett);
/* The steps of a transaction, for who looks at a server one command at a time (`post send
 * --stop-after`). */
PH_EXPORT PH_MUST_CHECK int ph_smtp_mail(struct ph_smtp_session *s, ph_str sender,
                                         struct ph_buf *text, struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_smtp_rcpt(struct ph_smtp_session *s, ph_str address,
                                         struct ph_buf *text, struct ph_trouble *rett);

PH_EXPORT const struct ph_conn_info *ph_smtp_session_info(const struct ph_smtp_session *s);

/* ---- letters --------------------------------------------------------------------------------- */

/* What the server said about one recipient, or about the whole. */
struct ph_smtp_outcome {
    int code; /* 0: it was not asked */
    char text[232];
};

struct ph_smtp_letter {
    size_t struct_size;
    ph_str sender; /* "" is the null reverse-path */
    const ph_str *recipients;
    size_t count;
    ph_str message; /* as built, any line ends; borrowed until the call returns */
    /* Instead of `message`: the next bytes, at most max; 0 is the end, negative gives up (the
     * connection is then lost, as the letter must not arrive cut off). */
    int64_t (*read)(void *ctx, char *to, size_t max);
    uint64_t size; /* of what `read` will give, as far as it is known; 0: unknown */
    void (*progress)(void *ctx, uint64_t done,
                     uint64_t size); /* octets taken into sending; may be NULL */
    void *ctx;
    /* What it is made of. Without a word it is looked at (what is read: 8BITMIME where that is
     * offered). PH_SMTP_BINARYMIME: any octets and line ends, sent as they are in chunks;
     * PH_ENOTIMPL when the server does not offer it (RFC 3030). */
    enum ph_smtp_body body;
    /* by BDAT instead of DATA, where CHUNKING is offered: a refusal does not have to wait for the
     * end */
    bool chunks;
    /* Said behind our own parameters as they stand here: "BODY=8BITMIME X-A=1", "NOTIFY=NEVER" (of
     * every recipient). */
    ph_str mail_options, rcpt_options;
    bool smtputf8;   /* also set by itself when an address needs it (RFC 6531) */
    bool requiretls; /* RFC 8689: PH_ENOTIMPL when the server cannot promise it */
    /* Delivery status notifications (RFC 3461); left out where the server does not offer DSN. */
    enum ph_smtp_ret dsn_ret;
    ph_str dsn_envid;    /* as it is, not yet xtext */
    unsigned dsn_notify; /* PH_SMTP_NOTIFY_ bits, for every recipient; 0: not said */
    bool dsn_orcpt;      /* say each recipient as ORCPT, too */
    /* Answers: one for each recipient, and the one to the letter ("250 queued as..."; LMTP: of the
     * last). May be NULL. */
    struct ph_smtp_outcome *ret_each, *ret_all;
};

/* Hands one letter over. The number of recipients that were refused while others have it (0: all
 * have it; above: rett holds the first refusal); negative: nobody has it, and the session can go on
 * unless the error is one of the connection (PH_ECLOSED, PH_ETIMEOUT, PH_EIO, PH_ESYNTAX). */
PH_EXPORT PH_MUST_CHECK int ph_smtp_sendmail(struct ph_smtp_session *s,
                                             const struct ph_smtp_letter *letter,
                                             struct ph_trouble *rett);
/* Many letters, the commands of the next behind the body of the one before where the server offers
 * PIPELINING: one round trip a letter. each (may be NULL) is told in order; result: as of sendmail;
 * trouble: NULL when the letter was taken. The number of letters taken; negative: the connection
 * was lost (each was told of those that were answered before). */
PH_EXPORT PH_MUST_CHECK int ph_smtp_sendmany(struct ph_smtp_session *s,
                                             const struct ph_smtp_letter *letters, size_t count,
                                             void (*each)(void *ctx, size_t index, int result,
                                                          const struct ph_trouble *trouble),
                                             void *ctx, struct ph_trouble *rett);
/* Envelope from the header (RFC 5322): sender from Sender or From, recipients from To, Cc and Bcc;
 * those of Resent- fields when there are any. Bcc is taken out of what is sent. ret_refused (may be
 * NULL): "address: reply" lines. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_send_message(struct ph_smtp_session *s, ph_str message,
                                                 struct ph_buf *ret_refused,
                                                 struct ph_trouble *rett);

/* A message as it was built (build.h): its sender, its recipients, in constant memory however large
 * its files are; with raw UTF-8 in its header, and SMTPUTF8, where an address needs it. The same
 * results; also PH_EIO when a file cannot be read to its end, which ends the session. */
PH_EXPORT PH_MUST_CHECK int ph_smtp_send_email(struct ph_smtp_session *s, struct ph_email *email,
                                               struct ph_buf *ret_refused, struct ph_trouble *rett);

/* All of it at once: connect, log in, send, quit. */
PH_EXPORT PH_MUST_CHECK int ph_send_letter(const struct ph_account *account, ph_str sender,
                                           const ph_str *recipients, size_t count, ph_str message,
                                           struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_send_message(const struct ph_account *account, ph_str message,
                                            struct ph_trouble *rett);
PH_EXPORT PH_MUST_CHECK int ph_send_email(const struct ph_account *account, struct ph_email *email,
                                          struct ph_trouble *rett);

#ifdef __cplusplus
}
#endif
#endif
