/*
 * A submission session: the dialogue of an SMTP client (RFC 5321, 6409), one blocking call a step.
 *
 *   GREETING -> EHLO -> STARTTLS -> (TLS) -> EHLO -> AUTH -> { MAIL, RCPT..., DATA, body }* -> QUIT
 */
#include <posthouse/net.h>

#include "random.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ph_smtp_session {
    struct ph_smtp_client *client;
    struct ph_conn *conn;
    bool over; /* no QUIT any more */
};

static const char *peer_of(const struct ph_smtp_session *s)
{
    return ph_conn_info(s->conn)->peer;
}

/* The next event that is not NEED. */
static int await(struct ph_smtp_session *s, struct ph_smtp_client_event *ret_ev,
                 struct ph_error *reterr)
{
    for (;;) {
        enum ph_smtp_client_ev ev = ph_smtp_client_next(s->client, ret_ev);
        if (ev == PH_SMTP_C_BROKEN) {
            s->over = true;
            if (ret_ev->reply.code)
                return ph_fail(reterr, PH_EREFUSED, 0, "%s ended the session: %d %.*s", peer_of(s),
                               ret_ev->reply.code, PH_FMT(ret_ev->reply.text));
            return ph_fail(reterr, ret_ev->error.code, ret_ev->error.sys, "%s: %s", peer_of(s),
                           ret_ev->error.text);
        }
        if (ev != PH_SMTP_C_NEED)
            return (int)ev;
        int rc = ph_conn_step(s->conn, reterr);
        if (rc == PH_CONN_SECURED)
            ph_smtp_client_tls_started(s->client);
        if (rc == PH_CONN_DONE)
            rc = ph_fail(reterr, PH_ECLOSED, 0, "%s closed the connection", peer_of(s));
        if (rc < 0) {
            s->over = true;
            return rc;
        }
        if (rc == PH_CONN_SECURED)
            return PH_SMTP_C_NEED;
    }
}

static int refused(struct ph_smtp_session *s, const struct ph_smtp_client_event *ev,
                   const char *what, struct ph_error *reterr)
{
    int code = ev->reply.code == 535 || ev->reply.code == 534  ? PH_EAUTH
               : ev->reply.code >= 400 && ev->reply.code < 500 ? PH_EAGAIN
                                                               : PH_EREFUSED;
    return ph_fail(reterr, code, 0, "%s refused %s: %d %.*s%s%.*s", peer_of(s), what,
                   ev->reply.code, PH_FMT(ev->reply.esc), ev->reply.esc.n ? " " : "",
                   PH_FMT(ev->reply.text));
}

/* Waits for the answer to one request that must be `expect` with a code of 2xx. */
static int expect(struct ph_smtp_session *s, enum ph_smtp_client_ev want, const char *what,
                  struct ph_error *reterr)
{
    struct ph_smtp_client_event ev;
    int rc = await(s, &ev, reterr);
    if (rc < 0)
        return rc;
    if (rc != (int)want)
        return ph_fail(reterr, PH_EORDER, 0, "%s: an answer to something else while waiting for %s",
                       peer_of(s), what);
    return ev.reply.code / 100 == 2 ? 0 : refused(s, &ev, what, reterr);
}

static int misuse(int rc, const char *what, struct ph_error *reterr)
{
    return ph_fail(reterr, -rc, 0, "%s: %s", what, ph_error_info(rc)->text);
}

/* A name of ours that is a name (RFC 5321 4.1.4), else our address as a literal. */
static int hello(struct ph_smtp_session *s, struct ph_error *reterr)
{
    char name[256], literal[80];
    const char *ip = ph_conn_info(s->conn)->local;
    snprintf(literal, sizeof literal, strchr(ip, ':') ? "[IPv6:%s]" : "[%s]", ip);
    ph_hostname(name, sizeof name);
    int rc = ph_smtp_client_hello(s->client, ph_str_c(strchr(name, '.') ? name : literal));
    return rc < 0 ? misuse(rc, "EHLO", reterr) : expect(s, PH_SMTP_C_HELLO, "EHLO", reterr);
}

static int secure(struct ph_smtp_session *s, struct ph_error *reterr)
{
    struct ph_smtp_client_event ev;
    if (!ph_smtp_client_has(s->client, PH_STR("STARTTLS"), NULL))
        return ph_fail(reterr, PH_ETLS, 0,
                       "%s does not offer STARTTLS; is it a port for TLS from the first byte, or "
                       "for plain text?",
                       peer_of(s));
    int rc = ph_smtp_client_starttls(s->client);
    if (rc < 0)
        return misuse(rc, "STARTTLS", reterr);
    rc = expect(s, PH_SMTP_C_STARTTLS, "STARTTLS", reterr);
    if (rc == 0)
        rc = await(s, &ev, reterr); /* NEED: the handshake is done */
    return rc < 0 ? rc : hello(s, reterr);
}

static int login(struct ph_smtp_session *s, const struct ph_account *a, struct ph_error *reterr)
{
    int rc = ph_conn_may_login(s->conn, reterr);
    if (rc < 0)
        return rc;
    rc = ph_smtp_client_login(s->client, a->user, a->password);
    if (rc == -PH_ENOTIMPL)
        return ph_fail(reterr, PH_ENOTIMPL, 0, "%s offers no login that we speak%s", peer_of(s),
                       ph_conn_info(s->conn)->tls[0] ? ""
                                                     : "; most servers offer one under TLS only");
    return rc < 0 ? misuse(rc, "AUTH", reterr) : expect(s, PH_SMTP_C_AUTH, "the login", reterr);
}

int ph_smtp_open(const struct ph_account *account, const struct ph_smtp_transcript *transcript,
                 struct ph_smtp_session **ret_session, struct ph_error *reterr)
{
    struct ph_smtp_client_options o;
    struct ph_smtp_session *s = calloc(1, sizeof *s);
    ph_smtp_client_defaults(&o);
    if (account->timeout_ms)
        o.timeout_ms = account->timeout_ms;
    if (transcript)
        o.transcript = *transcript;
    if (s)
        s->client = ph_smtp_client_new(NULL, &o);
    if (!s || !s->client) {
        free(s);
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    }
    s->over = true;
    int rc = ph_conn_open(account, &ph_smtp_client_ops, s->client, &s->conn, reterr);
    if (rc == 0) {
        s->over = false;
        rc = expect(s, PH_SMTP_C_GREETING, "us", reterr);
    }
    if (rc == 0)
        rc = hello(s, reterr);
    if (rc == 0 && account->tls == PH_TLS_STARTTLS)
        rc = secure(s, reterr);
    if (rc == 0 && account->user.n)
        rc = login(s, account, reterr);
    if (rc < 0) {
        ph_smtp_close(s);
        return rc;
    }
    *ret_session = s;
    return 0;
}

/* ---- letters ----------------------------------------------------------------------------- */

static void note(struct ph_smtp_outcome *to, const struct ph_smtp_client_event *ev)
{
    if (!to)
        return;
    to->code = ev->reply.code;
    snprintf(to->text, sizeof to->text, "%.*s%s%.*s", PH_FMT(ev->reply.esc),
             ev->reply.esc.n ? " " : "", PH_FMT(ev->reply.text));
}

static bool has_high(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] & 0x80)
            return true;
    return false;
}

static int request(struct ph_smtp_session *s, ph_str sender, const ph_str *to, size_t count,
                   ph_str message, struct ph_error *reterr)
{
    struct ph_smtp_params p = {.size = message.n};
    p.smtputf8 = has_high(sender);
    for (size_t i = 0; i < count && !p.smtputf8; i++)
        p.smtputf8 = has_high(to[i]);
    if (has_high(message) && ph_smtp_client_has(s->client, PH_STR("8BITMIME"), NULL))
        p.body = PH_SMTP_8BITMIME;
    int rc = ph_smtp_client_mail(s->client, sender, &p);
    if (rc == -PH_ENOTIMPL)
        return ph_fail(reterr, PH_ENOTIMPL, 0,
                       "%s does not take addresses outside ASCII (no SMTPUTF8)", peer_of(s));
    if (rc == -PH_ELIMIT)
        return ph_fail(reterr, PH_ELIMIT, 0, "the letter has %zu bytes, more than %s takes",
                       message.n, peer_of(s));
    if (rc < 0)
        return ph_fail(reterr, -rc, 0, "not a sender: \"%.*s\"", PH_FMT(sender));
    for (size_t i = 0; i < count; i++) {
        rc = ph_smtp_client_rcpt(s->client, to[i]);
        if (rc < 0)
            return ph_fail(reterr, -rc, 0, "not a recipient: \"%.*s\"", PH_FMT(to[i]));
    }
    rc = ph_smtp_client_data(s->client);
    return rc < 0 ? misuse(rc, "DATA", reterr) : 0;
}

/* Ends a transaction that went nowhere, so that another can begin. */
static void reset(struct ph_smtp_session *s)
{
    struct ph_smtp_client_event ev;
    if (ph_smtp_client_command(s->client, PH_STR("RSET")) == 0)
        (void)await(s, &ev, NULL);
}

/* All requests are made before the first answer, so that a server with PIPELINING costs one round
 * trip: count what was asked. */
int ph_smtp_letter(struct ph_smtp_session *s, ph_str sender, const ph_str *recipients, size_t count,
                   ph_str message, struct ph_smtp_outcome *ret_each,
                   struct ph_smtp_outcome *ret_all, struct ph_error *reterr)
{
    struct ph_smtp_client_event ev;
    struct ph_error first = {0};
    int wrong = 0, rc = request(s, sender, recipients, count, message, reterr);
    if (rc < 0) {
        s->over = true; /* half a transaction may be queued: the session ends here */
        return rc;
    }
    for (;;) {
        rc = await(s, &ev, reterr);
        if (rc < 0)
            return rc;
        bool ok = ev.reply.code / 100 == 2;
        switch (rc) {
        case PH_SMTP_C_MAIL:
            if (!ok)
                refused(s, &ev, "the sender", &first);
            break;
        case PH_SMTP_C_RCPT:
            if (ev.index < count && ret_each)
                note(&ret_each[ev.index], &ev);
            wrong += !ok;
            if (!ok && first.code == 0 && ev.index < count) {
                char what[300];
                snprintf(what, sizeof what, "the recipient %.*s",
                         PH_FMT(ph_str_sub(recipients[ev.index], 0, 200)));
                refused(s, &ev, what, &first);
            }
            break;
        case PH_SMTP_C_DATA:
            if (ev.reply.code == 354) {
                rc = ph_smtp_client_body(s->client, message, true);
                if (rc < 0)
                    return misuse(rc, "the letter", reterr);
                break;
            }
            if (first.code == 0)
                refused(s, &ev, "the letter", &first);
            reset(s); /* the sender may have been taken */
            if (reterr)
                *reterr = first;
            return -first.code;
        case PH_SMTP_C_SENT:
            note(ret_all, &ev);
            return ok ? wrong : refused(s, &ev, "the letter", reterr);
        default:
            break; /* MORE, and the end of a handshake */
        }
    }
}

int ph_smtp_ask(struct ph_smtp_session *s, ph_str line, struct ph_buf *text,
                struct ph_error *reterr)
{
    struct ph_smtp_client_event ev;
    int rc = ph_smtp_client_command(s->client, line);
    if (rc < 0)
        return misuse(rc, "the command", reterr);
    rc = await(s, &ev, reterr);
    if (rc < 0)
        return rc;
    ph_buf_add(text, ev.reply.text);
    return ph_buf_err(text) < 0 ? ph_fail(reterr, -ph_buf_err(text), 0, "the reply is too long")
                                : ev.reply.code;
}

const struct ph_conn_info *ph_smtp_session_info(const struct ph_smtp_session *s)
{
    return ph_conn_info(s->conn);
}

struct ph_smtp_session *ph_smtp_close(struct ph_smtp_session *s)
{
    struct ph_smtp_client_event ev;
    if (!s)
        return NULL;
    if (!s->over && ph_smtp_client_quit(s->client) == 0)
        (void)await(s, &ev, NULL);
    ph_conn_close(s->conn);
    ph_smtp_client_free(s->client);
    free(s);
    return NULL;
}

int ph_send_letter(const struct ph_account *account, ph_str sender, const ph_str *recipients,
                   size_t count, ph_str message, struct ph_error *reterr)
{
    struct ph_smtp_session *s;
    int rc = ph_smtp_open(account, NULL, &s, reterr);
    if (rc < 0)
        return rc;
    rc = ph_smtp_letter(s, sender, recipients, count, message, NULL, NULL, reterr);
    ph_smtp_close(s);
    return rc;
}
