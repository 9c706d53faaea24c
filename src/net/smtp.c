/*
 * An SMTP session: the dialogue of a client (RFC 5321, 6409, 2033), one blocking call a step.
 *
 *   GREETING -> EHLO -> STARTTLS -> (TLS) -> EHLO -> AUTH -> letters (smtp_letter.c) -> QUIT
 */
#include "random.h"
#include "smtp_session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- waiting and failing ------------------------------------------------------------------- */

static const char *peer_of(const struct ph_smtp_session *s)
{
    return ph_conn_info(s->conn)->peer;
}

int ph__smtp_fail(struct ph_smtp_session *s, struct ph_trouble *rett, const struct ph_error *e)
{
    return ph__trouble(rett, ph__conn_host(s->conn), s->stage, e);
}

int ph__smtp_misuse(struct ph_smtp_session *s, int rc, const char *what, struct ph_trouble *rett)
{
    struct ph_error e = {0};
    ph_fail(&e, -rc, 0, "%s: %s", what, ph_error_info(rc)->text);
    return ph__smtp_fail(s, rett, &e);
}

int ph__smtp_refused(struct ph_smtp_session *s, const struct ph_smtp_reply *reply, const char *what,
                     struct ph_trouble *rett)
{
    bool login = s->stage == PH_STAGE_LOGIN;
    const struct ph__refusal r = {.conn = s->conn,
                                  .what = what,
                                  .stage = s->stage,
                                  .code = login && (reply->code == 535 || reply->code == 534)
                                              ? PH_EAUTH
                                          : reply->code / 100 == 4 ? PH_EAGAIN
                                                                   : PH_EREFUSED,
                                  .reply = reply->code,
                                  .esc = reply->esc,
                                  .said = reply->text};
    return ph__trouble_refused(rett, &r);
}

/* BROKEN: with words of the server (421...), or without. */
static int broken(struct ph_smtp_session *s, const struct ph_smtp_client_event *ev,
                  struct ph_trouble *rett)
{
    s->over = true;
    if (ev->reply.code)
        return ph__smtp_refused(s, &ev->reply, "to go on", rett);
    return ph__trouble_lost(rett, s->conn, s->stage, &ev->error);
}

int ph__smtp_await(struct ph_smtp_session *s, struct ph_smtp_client_event *ret_ev,
                   struct ph_trouble *rett)
{
    for (;;) {
        struct ph_error e = {0};
        enum ph_smtp_client_ev ev = ph_smtp_client_next(s->client, ret_ev);
        if (ev == PH_SMTP_C_BROKEN)
            return broken(s, ret_ev, rett);
        if (ev != PH_SMTP_C_NEED)
            return (int)ev;
        if (s->want_tls)
            s->stage = PH_STAGE_TLS;
        int rc = ph_conn_step(s->conn, &e);
        if (rc == PH_CONN_SECURED) {
            s->want_tls = false;
            ph_smtp_client_tls_started(s->client);
            return PH_SMTP_C_NEED;
        }
        if (rc == PH_CONN_DONE)
            rc = ph_fail(&e, PH_ECLOSED, 0, "%s closed the connection", peer_of(s));
        if (rc < 0) {
            s->over = true;
            return ph__smtp_fail(s, rett, &e);
        }
    }
}

/* Waits for the answer to one request that must be `want` with a code of 2xx. */
static int expect(struct ph_smtp_session *s, enum ph_smtp_client_ev want, const char *what,
                  struct ph_trouble *rett)
{
    struct ph_smtp_client_event ev;
    int rc = ph__smtp_await(s, &ev, rett);
    if (rc < 0)
        return rc;
    if (rc != (int)want)
        return ph__smtp_misuse(s, -PH_EORDER, what, rett);
    return ev.reply.code / 100 == 2 ? 0 : ph__smtp_refused(s, &ev.reply, what, rett);
}

/* ---- connecting ---------------------------------------------------------------------------- */

static void on_line(void *ctx, char who, ph_str line)
{
    struct ph_smtp_session *s = ctx;
    if (s->conn)
        ph__conn_tell(s->conn, who, line);
}

static struct ph_smtp_session *session_new(const struct ph_account *a)
{
    struct ph_smtp_client_options o;
    struct ph_smtp_session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    ph_smtp_client_defaults(&o);
    o.lmtp = a->lmtp;
    if (a->timeout_ms)
        o.timeout_ms = a->timeout_ms;
    if (a->transcript.level)
        o.transcript = (struct ph_smtp_transcript){on_line, s};
    snprintf(s->name, sizeof s->name, "%.*s", PH_FMT(a->hello));
    s->over = true;
    s->client = ph_smtp_client_new(NULL, &o);
    return s->client ? s : ph_smtp_close(s);
}

int ph_smtp_connect(const struct ph_account *account, struct ph_smtp_session **ret_session,
                    struct ph_trouble *rett)
{
    struct ph_smtp_session *s = session_new(account);
    if (!s) {
        struct ph_error e = {0};
        ph_fail(&e, PH_ENOMEM, 0, "out of memory");
        return ph__trouble(rett, account->host, PH_STAGE_NONE, &e);
    }
    int rc = ph_conn_open(account, &ph_smtp_client_ops, s->client, &s->conn, rett);
    if (rc == 0) {
        s->over = false;
        s->stage = PH_STAGE_GREETING;
        rc = expect(s, PH_SMTP_C_GREETING, "us", rett);
    }
    if (rc < 0) {
        ph_smtp_close(s);
        return rc;
    }
    *ret_session = s;
    return 0;
}

/* A name of ours that is a name (RFC 5321 4.1.4), else our address as a literal. */
static void choose_name(struct ph_smtp_session *s, ph_str given)
{
    char host[256];
    const char *ip = ph_conn_info(s->conn)->local;
    if (given.n)
        snprintf(s->name, sizeof s->name, "%.*s", PH_FMT(given));
    if (s->name[0])
        return;
    ph_hostname(host, sizeof host);
    if (strchr(host, '.'))
        snprintf(s->name, sizeof s->name, "%s", host);
    else
        snprintf(s->name, sizeof s->name, strchr(ip, ':') ? "[IPv6:%s]" : "[%s]", ip);
}

static int hello(struct ph_smtp_session *s, ph_str name, bool old, struct ph_trouble *rett)
{
    s->stage = PH_STAGE_HELLO;
    choose_name(s, name);
    int rc = old ? ph_smtp_client_helo(s->client, ph_str_c(s->name))
                 : ph_smtp_client_hello(s->client, ph_str_c(s->name));
    return rc < 0 ? ph__smtp_misuse(s, rc, "our name", rett)
                  : expect(s, PH_SMTP_C_HELLO, "our greeting", rett);
}

int ph_smtp_ehlo(struct ph_smtp_session *s, ph_str name, struct ph_trouble *rett)
{
    return hello(s, name, false, rett);
}

int ph_smtp_helo(struct ph_smtp_session *s, ph_str name, struct ph_trouble *rett)
{
    return hello(s, name, true, rett);
}

bool ph_smtp_has_extn(const struct ph_smtp_session *s, ph_str keyword, ph_str *ret_params)
{
    return ph_smtp_client_has(s->client, keyword, ret_params);
}

int ph_smtp_starttls(struct ph_smtp_session *s, struct ph_trouble *rett)
{
    struct ph_smtp_client_event ev;
    struct ph_error e = {0};
    s->stage = PH_STAGE_STARTTLS;
    int rc = ph_smtp_client_starttls(s->client);
    if (rc == -PH_ENOTIMPL) {
        ph_fail(&e, PH_ETLS, 0, "%s does not offer STARTTLS", peer_of(s));
        return ph__smtp_fail(s, rett, &e);
    }
    if (rc < 0)
        return ph__smtp_misuse(s, rc, "STARTTLS", rett);
    rc = expect(s, PH_SMTP_C_STARTTLS, "STARTTLS", rett);
    if (rc == 0) {
        s->want_tls = true;
        rc = ph__smtp_await(s, &ev, rett); /* NEED: the handshake is done */
    }
    return rc < 0 ? rc : hello(s, (ph_str){0}, false, rett);
}

/* ---- logging in ---------------------------------------------------------------------------- */

/* One exchange; the reply that ends it is left in ev. */
static int exchange(struct ph_smtp_session *s, struct ph_sasl_client *sasl, struct ph_error *e,
                    struct ph_smtp_client_event *ev, struct ph_trouble *rett)
{
    ph_str answer = {0};
    bool first = ph_sasl_client_is_first(sasl);
    int rc = first ? ph_sasl_client_step(sasl, (ph_str){0}, &answer, e) : 0;
    if (rc < 0)
        return ph__smtp_fail(s, rett, e);
    rc = ph_smtp_client_auth(s->client, s->mechanism, answer, first);
    if (rc < 0)
        return ph__smtp_misuse(s, rc, "AUTH", rett);
    while ((rc = ph__smtp_await(s, ev, rett)) == PH_SMTP_C_CHALLENGE) {
        bool cancel = e->code == 0 && ph_sasl_client_step(sasl, ev->data, &answer, e) < 0;
        rc = ph_smtp_client_auth_data(s->client, answer, cancel || e->code != 0);
        if (rc < 0)
            return ph__smtp_misuse(s, rc, "AUTH", rett);
    }
    return rc;
}

static int authenticate(struct ph_smtp_session *s, struct ph_sasl_client *sasl,
                        struct ph_trouble *rett)
{
    struct ph_smtp_client_event ev;
    struct ph_error e = {0};
    int rc = exchange(s, sasl, &e, &ev, rett);
    if (rc < 0)
        return rc;
    bool in = ev.reply.code / 100 == 2;
    if (e.code || (in && ph_sasl_client_end(sasl, &e) < 0)) {
        s->over |= in; /* our side found fault: what the server makes of that does not matter */
        return ph__smtp_fail(s, rett, &e);
    }
    if (in)
        return 0;
    char said[300];
    ev.reply.text = ph__said(sasl, ev.reply.text, said, sizeof said);
    return ph__smtp_refused(s, &ev.reply, "the login", rett);
}

int ph_smtp_login(struct ph_smtp_session *s, const struct ph_account *account,
                  struct ph_trouble *rett)
{
    struct ph_sasl_login login;
    struct ph_sasl_client *sasl = NULL;
    struct ph_error e = {0}, why = {0};
    ph_str offered = {0};
    s->stage = PH_STAGE_LOGIN;
    ph_conn_sasl(s->conn, account, &login);
    (void)ph_smtp_client_has(s->client, PH_STR("AUTH"), &offered);
    int rc = ph_sasl_client_new(&login, offered, &sasl, &why);
    if (rc < 0) {
        ph_fail(&e, -rc, 0, "cannot log in to %s: %s", peer_of(s), why.text);
        return ph__smtp_fail(s, rett, &e);
    }
    s->mechanism = ph_sasl_client_mechanism(sasl);
    rc = authenticate(s, sasl, rett);
    if (rc < 0)
        s->mechanism = (ph_str){0};
    ph_sasl_client_free(sasl);
    return rc;
}

ph_str ph_smtp_mechanism(const struct ph_smtp_session *s)
{
    return s->mechanism;
}

/* ---- the whole ----------------------------------------------------------------------------- */

int ph_smtp_open(const struct ph_account *account, struct ph_smtp_session **ret_session,
                 struct ph_trouble *rett)
{
    struct ph_smtp_session *s = NULL;
    int rc = ph_smtp_connect(account, &s, rett);
    if (rc == 0)
        rc = ph_smtp_ehlo(s, (ph_str){0}, rett);
    if (rc == 0 && account->tls == PH_TLS_STARTTLS)
        rc = ph_smtp_starttls(s, rett);
    if (rc == 0 && (account->user.n || account->cert_pem.n))
        rc = ph_smtp_login(s, account, rett);
    if (rc < 0) {
        ph_smtp_close(s);
        return rc;
    }
    *ret_session = s;
    return 0;
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
        (void)ph__smtp_await(s, &ev, NULL);
    ph_conn_close(s->conn);
    ph_smtp_client_free(s->client);
    free(s);
    return NULL;
}

/* ---- single commands ----------------------------------------------------------------------- */

/* The answer to what was just asked. */
static int answer(struct ph_smtp_session *s, int rc, struct ph_buf *text, struct ph_trouble *rett)
{
    struct ph_smtp_client_event ev;
    if (rc < 0)
        return ph__smtp_misuse(s, rc, "the command", rett);
    rc = ph__smtp_await(s, &ev, rett);
    if (rc < 0)
        return rc;
    if (text && ev.reply.esc.n)
        ph_buf_addf(text, "%.*s ", PH_FMT(ev.reply.esc));
    if (text)
        ph_buf_add(text, ev.reply.text);
    if (text && ph_buf_err(text) < 0)
        return ph__smtp_misuse(s, ph_buf_err(text), "the reply", rett);
    return ev.reply.code;
}

int ph_smtp_docmd(struct ph_smtp_session *s, ph_str line, struct ph_buf *text,
                  struct ph_trouble *rett)
{
    s->stage = PH_STAGE_COMMAND;
    return answer(s, ph_smtp_client_command(s->client, line), text, rett);
}

static int verb_with(struct ph_smtp_session *s, const char *verb, ph_str argument,
                     struct ph_buf *text, struct ph_trouble *rett)
{
    char line[PH_SMTP_PATH + 16];
    if (argument.n > PH_SMTP_PATH)
        return ph__smtp_misuse(s, -PH_EINVAL, verb, rett);
    snprintf(line, sizeof line, "%s %.*s", verb, PH_FMT(argument));
    return ph_smtp_docmd(s, ph_str_c(line), text, rett);
}

int ph_smtp_verify(struct ph_smtp_session *s, ph_str address, struct ph_buf *text,
                   struct ph_trouble *rett)
{
    return verb_with(s, "VRFY", address, text, rett);
}

int ph_smtp_expn(struct ph_smtp_session *s, ph_str list, struct ph_buf *text,
                 struct ph_trouble *rett)
{
    return verb_with(s, "EXPN", list, text, rett);
}

int ph_smtp_rset(struct ph_smtp_session *s, struct ph_trouble *rett)
{
    return ph_smtp_docmd(s, PH_STR("RSET"), NULL, rett);
}

int ph_smtp_noop(struct ph_smtp_session *s, struct ph_trouble *rett)
{
    return ph_smtp_docmd(s, PH_STR("NOOP"), NULL, rett);
}

int ph_smtp_mail(struct ph_smtp_session *s, ph_str sender, struct ph_buf *text,
                 struct ph_trouble *rett)
{
    s->stage = PH_STAGE_SENDER;
    return answer(s, ph_smtp_client_mail(s->client, sender, NULL), text, rett);
}

int ph_smtp_rcpt(struct ph_smtp_session *s, ph_str address, struct ph_buf *text,
                 struct ph_trouble *rett)
{
    s->stage = PH_STAGE_RECIPIENT;
    return answer(s, ph_smtp_client_rcpt(s->client, address, NULL), text, rett);
}
