/*
 * Letters over an SMTP session. Of each letter all requests are made before the first answer, and
 * those of the next letter together with the body of the one before, so that a server with
 * PIPELINING (RFC 2920) costs one round trip a letter:
 *
 *   MAIL RCPT... DATA | 250 250... 354 | body MAIL RCPT... DATA | 250 250 250... 354 | body ...
 *
 * The next letter waits for the 354: a transaction that went nowhere needs RSET before another
 * MAIL.
 */
#include "smtp_session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 64 * 1024, ORCPT_MAX = 500 /* RFC 3461 4.2 */ };

struct sending {
    struct ph_smtp_session *s;
    const struct ph_smtp_letter *letters;
    size_t count, at,
        queued; /* the one that answers come for; the first that was not asked for yet */
    void (*each)(void *ctx, size_t index, int result, const struct ph_trouble *trouble);
    void *ctx;
    struct ph_trouble first; /* the first refusal in this letter */
    int refused, lmtp_taken;
    size_t accepted;
    uint64_t given; /* octets of the body */
    int taken;
    char *piece; /* for letters that are read */
    bool lmtp;
};

/* ---- asking -------------------------------------------------------------------------------- */

static bool has_high(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] & 0x80)
            return true;
    return false;
}

static bool one_line(ph_str s)
{
    return ph_str_chr(s, '\r') == PH_NPOS && ph_str_chr(s, '\n') == PH_NPOS &&
           ph_str_chr(s, '\0') == PH_NPOS;
}

static int cannot(struct sending *w, const struct ph_smtp_letter *l, int rc,
                  struct ph_trouble *rett)
{
    struct ph_error e = {0};
    const char *peer = ph_conn_info(w->s->conn)->peer;
    if (rc == -PH_ENOTIMPL)
        ph_fail(&e, PH_ENOTIMPL, 0,
                l->requiretls ? "%s does not promise TLS all the way (no REQUIRETLS)"
                : l->body == PH_SMTP_BINARYMIME
                    ? "%s does not take letters that are not text (no BINARYMIME)"
                    : "%s does not take addresses outside ASCII (no SMTPUTF8)",
                peer);
    else if (rc == -PH_ELIMIT)
        ph_fail(&e, PH_ELIMIT, 0, "the letter has %llu bytes, more than %s takes",
                (unsigned long long)(l->read ? l->size : l->message.n), peer);
    else
        ph_fail(&e, -rc, 0, "not a sender: \"%.*s\"", PH_FMT(l->sender));
    return ph__smtp_fail(w->s, rett, &e);
}

static int not_a_recipient(struct sending *w, int rc, ph_str address, struct ph_trouble *rett)
{
    struct ph_error e = {0};
    w->s->stage = PH_STAGE_RECIPIENT;
    ph_fail(&e, -rc, 0, "not a recipient: \"%.*s\"", PH_FMT(ph_str_sub(address, 0, 150)));
    return ph__smtp_fail(w->s, rett, &e);
}

/* Nothing may stay queued of a letter that cannot be asked for: its recipients are looked at
 * before. */
static int check(struct sending *w, const struct ph_smtp_letter *l, struct ph_smtp_params *p,
                 struct ph_trouble *rett)
{
    struct ph_smtp_mailbox m;
    struct ph_buf scratch;
    int rc = l->count ? 0 : not_a_recipient(w, -PH_EINVAL, (ph_str){0}, rett);
    if (rc == 0 && (!one_line(l->mail_options) || !one_line(l->rcpt_options)))
        rc = ph__smtp_misuse(w->s, -PH_EINVAL, "the options of MAIL and RCPT", rett);
    ph_buf_init(&scratch, NULL, 2 * PH_SMTP_PATH + 16);
    for (size_t i = 0; i < l->count && rc == 0; i++) {
        ph_buf_clear(&scratch);
        rc = ph_smtp_mailbox_parse(l->recipients[i], PH_SMTP_ALLOW_UTF8 | PH_SMTP_ALLOW_POSTMASTER,
                                   &scratch, &m, NULL);
        if (rc < 0)
            rc = not_a_recipient(w, rc == -PH_ENOMEM ? rc : -PH_EINVAL, l->recipients[i], rett);
        else
            p->smtputf8 |= m.utf8;
    }
    ph_buf_done(&scratch);
    return rc;
}

static int ask_recipient(struct ph_smtp_client *c, const struct ph_smtp_letter *l, ph_str to)
{
    char orcpt[PH_SMTP_PATH];
    struct ph_smtp_params p = {.notify = l->dsn_notify, .more = l->rcpt_options};
    int n = l->dsn_orcpt && !has_high(to) ? snprintf(orcpt, sizeof orcpt, "rfc822;%.*s", PH_FMT(to))
                                          : 0;
    if (n > 0 && n <= ORCPT_MAX)
        p.orcpt = ph_str_c(orcpt);
    return ph_smtp_client_rcpt(c, to, &p);
}

static bool by_chunks(const struct ph_smtp_client *c, const struct ph_smtp_letter *l)
{
    bool offered = ph_smtp_client_has(c, PH_STR("CHUNKING"), NULL) && !ph_smtp_client_is_lmtp(c);
    return l->body == PH_SMTP_BINARYMIME || (l->chunks && offered);
}

/* MAIL, RCPT..., DATA or nothing where it goes by BDAT. */
static int request(struct sending *w, const struct ph_smtp_letter *l, struct ph_trouble *rett)
{
    struct ph_smtp_client *c = w->s->client;
    struct ph_smtp_params p = {.size = l->read ? l->size : l->message.n,
                               .smtputf8 = l->smtputf8 || has_high(l->sender),
                               .requiretls = l->requiretls,
                               .ret = l->dsn_ret,
                               .body = l->body,
                               .more = l->mail_options,
                               .envid = l->dsn_envid};
    int rc = check(w, l, &p, rett);
    if (rc < 0)
        return rc;
    if (l->requiretls && !ph_smtp_client_has(c, PH_STR("REQUIRETLS"), NULL))
        return cannot(w, l, -PH_ENOTIMPL, rett);
    if (!l->body && (l->read || has_high(l->message)) &&
        ph_smtp_client_has(c, PH_STR("8BITMIME"), NULL))
        p.body = PH_SMTP_8BITMIME;
    w->s->stage = PH_STAGE_SENDER;
    rc = ph_smtp_client_mail(c, l->sender, &p);
    if (rc < 0)
        return cannot(w, l, rc, rett);
    for (size_t i = 0; i < l->count && rc == 0; i++)
        rc = ask_recipient(c, l, l->recipients[i]);
    if (rc == 0)
        rc = by_chunks(c, l) ? ph_smtp_client_chunks(c, l->body == PH_SMTP_BINARYMIME)
                             : ph_smtp_client_data(c);
    if (rc < 0)
        w->s->over = true; /* half a transaction is queued: the session ends here */
    return rc < 0 ? ph__smtp_misuse(w->s, rc, "the letter's recipients", rett) : 0;
}

/* ---- the body ------------------------------------------------------------------------------ */

static int give(struct sending *w, struct ph_trouble *rett)
{
    const struct ph_smtp_letter *l = &w->letters[w->at];
    ph_str piece = ph_str_skip(l->message, (size_t)w->given);
    bool last = true;
    w->s->stage = PH_STAGE_LETTER;
    if (l->read) {
        if (!w->piece && !(w->piece = malloc(PIECE)))
            return ph__smtp_misuse(w->s, -PH_ENOMEM, "the letter", rett);
        int64_t n = l->read(l->ctx, w->piece, PIECE);
        if (n < 0) {
            struct ph_error e = {0};
            w->s->over = true;
            ph_fail(&e, PH_EIO, 0, "the letter could not be read to its end; it was not sent");
            return ph__smtp_fail(w->s, rett, &e);
        }
        piece = (ph_str){w->piece, (size_t)n};
        last = n == 0;
    } else if (l->progress) {
        last = piece.n <= PIECE;
        piece = ph_str_sub(piece, 0, PIECE);
    }
    w->given += piece.n;
    if (l->progress)
        l->progress(l->ctx, w->given, l->read ? l->size : l->message.n);
    int rc = ph_smtp_client_body(w->s->client, piece, last);
    return rc < 0 ? ph__smtp_misuse(w->s, rc, "the letter", rett) : 0;
}

/* ---- answers ------------------------------------------------------------------------------- */

static void note(struct ph_smtp_outcome *to, const struct ph_smtp_client_event *ev)
{
    to->code = ev->reply.code;
    snprintf(to->text, sizeof to->text, "%.*s%s%.*s", PH_FMT(ev->reply.esc),
             ev->reply.esc.n ? " " : "", PH_FMT(ev->reply.text));
}

static void keep_first(struct sending *w, enum ph_stage stage,
                       const struct ph_smtp_client_event *ev, const char *what)
{
    w->s->stage = stage;
    if (w->first.error.code == 0)
        ph__smtp_refused(w->s, &ev->reply, what, &w->first);
}

static void on_recipient(struct sending *w, const struct ph_smtp_client_event *ev)
{
    const struct ph_smtp_letter *l = &w->letters[w->at];
    if (ev->index >= l->count)
        return;
    if (l->ret_each)
        note(&l->ret_each[ev->index], ev);
    if (ev->reply.code / 100 == 2) {
        w->accepted++;
        return;
    }
    char what[200];
    w->refused++;
    snprintf(what, sizeof what, "the recipient %.*s",
             PH_FMT(ph_str_sub(l->recipients[ev->index], 0, 150)));
    if (!ev->local)
        keep_first(w, PH_STAGE_RECIPIENT, ev, what);
}

static void finish(struct sending *w, int result)
{
    if (result >= 0)
        w->taken++;
    if (w->each)
        w->each(w->ctx, w->at, result, result < 0 || w->first.error.code ? &w->first : NULL);
    w->at++;
    w->first = (struct ph_trouble){0};
    w->refused = w->lmtp_taken = 0;
    w->accepted = 0;
    w->given = 0;
}

/* The next letter that can be asked for is. Those that cannot be are told of at once. */
static int queue_next(struct sending *w, struct ph_trouble *rett)
{
    while (w->queued < w->count) {
        struct ph_trouble t = {0};
        int rc = request(w, &w->letters[w->queued], &t);
        if (rc == 0) {
            w->queued++;
            return 0;
        }
        if (w->queued != w->at || w->s->over) { /* its turn to be told of has not come */
            if (rett)
                *rett = t;
            return rc;
        }
        w->queued++;
        w->first = t;
        finish(w, rc);
    }
    return 0;
}

static int on_data(struct sending *w, const struct ph_smtp_client_event *ev,
                   struct ph_trouble *rett)
{
    struct ph_smtp_client_event ignored;
    if (ev->reply.code == 354) {
        if (w->count > 1)
            (void)queue_next(w, NULL);
        return give(w, rett);
    }
    keep_first(w, PH_STAGE_LETTER, ev, "the letter");
    /* The sender may have been taken. */
    int rc = ph_smtp_client_command(w->s->client, PH_STR("RSET"));
    if (rc == 0)
        rc = ph__smtp_await(w->s, &ignored, rett);
    finish(w, -w->first.error.code);
    return rc < 0 ? rc : 0;
}

/* LMTP: one answer a recipient that was accepted (RFC 2033 4.2). */
static void on_sent(struct sending *w, const struct ph_smtp_client_event *ev)
{
    const struct ph_smtp_letter *l = &w->letters[w->at];
    bool ok = ev->reply.code / 100 == 2;
    if (l->ret_all)
        note(l->ret_all, ev);
    if (!ok)
        keep_first(w, PH_STAGE_LETTER, ev, "the letter");
    if (!w->lmtp) {
        finish(w, ok ? w->refused : -w->first.error.code);
        return;
    }
    if (l->ret_each && ev->index < l->count)
        note(&l->ret_each[ev->index], ev);
    w->lmtp_taken += ok;
    w->refused += !ok;
    if (--w->accepted == 0)
        finish(w, w->lmtp_taken ? w->refused : -w->first.error.code);
}

static int on_event(struct sending *w, int kind, const struct ph_smtp_client_event *ev,
                    struct ph_trouble *rett)
{
    switch (kind) {
    case PH_SMTP_C_MAIL:
        if (ev->reply.code / 100 != 2)
            keep_first(w, PH_STAGE_SENDER, ev, "the sender");
        w->s->stage = PH_STAGE_RECIPIENT;
        return 0;
    case PH_SMTP_C_RCPT:
        on_recipient(w, ev);
        return 0;
    case PH_SMTP_C_DATA:
        return on_data(w, ev, rett);
    case PH_SMTP_C_MORE:
        return give(w, rett);
    case PH_SMTP_C_SENT:
        on_sent(w, ev);
        return 0;
    default:
        return 0;
    }
}

/* Until all letters are answered. */
static int drive(struct sending *w, struct ph_trouble *rett)
{
    struct ph_smtp_client_event ev;
    while (w->at < w->count) {
        int rc = w->queued == w->at ? queue_next(w, rett) : 0;
        if (rc < 0)
            return rc;
        if (w->at == w->count)
            break;
        rc = ph__smtp_await(w->s, &ev, rett);
        if (rc >= 0)
            rc = on_event(w, rc, &ev, rett);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- the calls ----------------------------------------------------------------------------- */

int ph_smtp_sendmany(struct ph_smtp_session *s, const struct ph_smtp_letter *letters, size_t count,
                     void (*each)(void *ctx, size_t index, int result,
                                  const struct ph_trouble *trouble),
                     void *ctx, struct ph_trouble *rett)
{
    struct sending w = {.s = s,
                        .letters = letters,
                        .count = count,
                        .each = each,
                        .ctx = ctx,
                        .lmtp = ph_smtp_client_is_lmtp(s->client)};
    int rc = drive(&w, rett);
    free(w.piece);
    return rc < 0 ? rc : w.taken;
}

struct one {
    int result;
    struct ph_trouble trouble;
};

static void on_one(void *ctx, size_t index, int result, const struct ph_trouble *trouble)
{
    struct one *o = ctx;
    (void)index;
    o->result = result;
    if (trouble)
        o->trouble = *trouble;
}

int ph_smtp_sendmail(struct ph_smtp_session *s, const struct ph_smtp_letter *letter,
                     struct ph_trouble *rett)
{
    struct one o = {0};
    int rc = ph_smtp_sendmany(s, letter, 1, on_one, &o, rett);
    if (rc < 0)
        return rc;
    if (o.trouble.error.code && rett)
        *rett = o.trouble;
    return o.result;
}

int ph_send_letter(const struct ph_account *account, ph_str sender, const ph_str *recipients,
                   size_t count, ph_str message, struct ph_trouble *rett)
{
    struct ph_smtp_session *s;
    const struct ph_smtp_letter l = {.struct_size = sizeof l,
                                     .sender = sender,
                                     .recipients = recipients,
                                     .count = count,
                                     .message = message};
    int rc = ph_smtp_open(account, &s, rett);
    if (rc < 0)
        return rc;
    rc = ph_smtp_sendmail(s, &l, rett);
    ph_smtp_close(s);
    return rc;
}
