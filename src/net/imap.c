/*
 * An IMAP session (RFC 9051, 3501): waiting, and the way in.
 *
 *   greeting -> [CAPABILITY] -> STARTTLS -> (TLS) -> CAPABILITY
 *            -> AUTHENTICATE | LOGIN -> CAPABILITY
 */
#include "imap_session.h"
#include <stdlib.h>

/* ---- failing and waiting ------------------------------------------------------------------- */

static const char *peer_of(const struct ph_imap_session *s)
{
    return ph_conn_info(s->conn)->peer;
}

int ph__imap_fail(struct ph_imap_session *s, struct ph_trouble *rett, const struct ph_error *e)
{
    return ph__trouble(rett, ph__conn_host(s->conn), s->stage, e);
}

int ph__imap_misuse(struct ph_imap_session *s, int rc, struct ph_trouble *rett)
{
    struct ph_error e = {0};
    const struct ph_error *why = ph_imap_client_error(s->client);
    ph_fail(&e, -rc, 0, "%s: %s", s->what, why->text[0] ? why->text : ph_error_info(rc)->text);
    return ph__imap_fail(s, rett, &e);
}

static ph_str code_name(const struct ph_imap_code *code)
{
    static const char *const names[] = {"",
#define PH_IMAP_CODE_NAME(sym, wire) wire,
                                        PH_IMAP_CODES(PH_IMAP_CODE_NAME)
#undef PH_IMAP_CODE_NAME
    };
    return (size_t)code->kind < sizeof names / sizeof names[0] ? ph_str_c(names[code->kind])
                                                               : code->text;
}

int ph__imap_refused(struct ph_imap_session *s, const struct ph_imap_client_event *ev,
                     struct ph_trouble *rett)
{
    bool later = ev->code.kind == PH_IMAP_CODE_UNAVAILABLE || ev->code.kind == PH_IMAP_CODE_INUSE;
    const struct ph__refusal r = {.conn = s->conn,
                                  .what = s->what,
                                  .stage = s->stage,
                                  .code = later                        ? PH_EAGAIN
                                          : s->stage == PH_STAGE_LOGIN ? PH_EAUTH
                                                                       : PH_EREFUSED,
                                  .esc = code_name(&ev->code),
                                  .said = ev->text};
    return ph__trouble_refused(rett, &r);
}

static int lost(struct ph_imap_session *s, const struct ph_error *why, struct ph_trouble *rett)
{
    s->over = true;
    return ph__trouble_lost(rett, s->conn, s->stage, why);
}

/* Drives the connection once. */
static int step(struct ph_imap_session *s, struct ph_trouble *rett)
{
    struct ph_error e = {0};
    if (ph_imap_client_ops.want(s->client) & PH_WANT_TLS)
        s->stage = PH_STAGE_TLS;
    int rc = ph_conn_step_until(s->conn, s->until, s->fd, &e);
    if (rc == PH_CONN_SECURED)
        ph_imap_client_tls_started(s->client);
    if (rc == PH_CONN_DONE)
        rc = ph_fail(&e, PH_ECLOSED, 0, "%s closed the connection", peer_of(s));
    if (rc < 0) {
        s->over = true;
        return ph__imap_fail(s, rett, &e);
    }
    return 0;
}

int ph__imap_next(struct ph_imap_session *s, struct ph_imap_client_event *ret_ev,
                  struct ph_trouble *rett)
{
    for (;;) {
        enum ph_imap_client_ev kind = ph_imap_client_next(s->client, ret_ev);
        if (kind == PH_IMAP_BROKEN || kind == PH_IMAP_CLOSED)
            return lost(s, ph_imap_client_error(s->client), rett);
        if (kind != PH_IMAP_NEED)
            return (int)kind;
        bool watching = s->until != PH_NEVER || s->fd >= 0;
        int rc = step(s, rett);
        if (rc < 0)
            return rc;
        if (watching && (kind = ph_imap_client_next(s->client, ret_ev)) == PH_IMAP_NEED)
            return PH_IMAP_NEED;
        if (watching && kind != PH_IMAP_BROKEN && kind != PH_IMAP_CLOSED)
            return (int)kind;
        if (watching)
            return lost(s, ph_imap_client_error(s->client), rett);
    }
}

/* How many numbers are in a set without "*": "2:3,7" has three. */
static uint64_t count_of(ph_str set)
{
    ph_str part, low;
    uint64_t n = 0, from, to;
    while (ph_str_token(&set, ',', &part)) {
        ph_str_token(&part, ':', &low);
        if (!ph_str_u64(low, UINT32_MAX, &from))
            continue;
        if (!ph_str_u64(part, UINT32_MAX, &to))
            to = from;
        n += (to > from ? to - from : from - to) + 1;
    }
    return n;
}

static void keep_box(struct ph_imap_box *b, const struct ph_imap_client_event *ev)
{
    if (ev->kind == PH_IMAP_EXISTS)
        b->exists = ev->n;
    if (ev->kind == PH_IMAP_EXPUNGED && b->exists)
        b->exists--;
    if (ev->kind == PH_IMAP_VANISHED && !ev->earlier) {
        uint64_t gone = count_of(ev->text);
        b->exists = gone < b->exists ? b->exists - (uint32_t)gone : 0;
    }
    switch (ev->code.kind) {
    case PH_IMAP_CODE_UIDVALIDITY:
        b->uidvalidity = (uint32_t)ev->code.n;
        break;
    case PH_IMAP_CODE_UIDNEXT:
        b->uidnext = (uint32_t)ev->code.n;
        break;
    case PH_IMAP_CODE_UNSEEN:
        b->unseen = (uint32_t)ev->code.n;
        break;
    case PH_IMAP_CODE_HIGHESTMODSEQ:
        b->highestmodseq = ev->code.n;
        break;
    case PH_IMAP_CODE_READ_ONLY:
        b->read_only = true;
        break;
    case PH_IMAP_CODE_READ_WRITE:
        b->read_only = false;
        break;
    default:
        break;
    }
}

int ph__imap_tell(struct ph_imap_session *s, const struct ph_imap_client_event *ev,
                  ph_imap_each *each, void *ctx)
{
    keep_box(&s->box, ev);
    int rc = each ? each(ctx, ev) : 0;
    int heard = s->listener ? s->listener(s->listener_ctx, ev) : 0;
    return rc ? rc : heard;
}

int ph_imap_await(struct ph_imap_session *s, int id, ph_imap_each *each, void *ctx,
                  struct ph_trouble *rett)
{
    struct ph_imap_client_event ev;
    int stopped = 0;
    if (!s->what)
        s->what = "the command";
    if (id < 0)
        return ph__imap_misuse(s, id, rett);
    for (;;) {
        int kind = ph__imap_next(s, &ev, rett);
        if (kind < 0)
            return kind;
        int told = ph__imap_tell(s, &ev, stopped ? NULL : each, ctx);
        stopped = stopped ? stopped : told;
        if (kind != PH_IMAP_RESULT || ev.id != id)
            continue;
        int rc = ev.cond == PH_IMAP_OK ? stopped : ph__imap_refused(s, &ev, rett);
        s->what = NULL;
        return rc;
    }
}

int ph__imap_ask(struct ph_imap_session *s, int id, enum ph_stage stage, const char *what,
                 ph_imap_each *each, void *ctx, struct ph_trouble *rett)
{
    s->stage = stage;
    s->what = what;
    return ph_imap_await(s, id, each, ctx, rett);
}

/* ---- logging in ---------------------------------------------------------------------------- */

static void mechanisms_of(ph_str offers, struct ph_buf *out)
{
    ph_str word;
    while (ph_str_token(&offers, ' ', &word))
        if (ph_str_has_iprefix(word, PH_STR("AUTH="))) {
            if (out->n)
                ph_buf_addc(out, ' ');
            ph_buf_add(out, ph_str_skip(word, 5));
        }
}

static int sasl_answers(struct ph_imap_session *s, struct ph_sasl_client *sasl,
                        struct ph_trouble *rett)
{
    struct ph_imap_client_event ev;
    struct ph_error e = {0};
    ph_str answer = {0};
    bool first = ph_sasl_client_is_first(sasl);
    int rc = first ? ph_sasl_client_step(sasl, (ph_str){0}, &answer, &e) : 0;
    if (rc < 0)
        return ph__imap_fail(s, rett, &e);
    int id = ph_imap_client_auth(s->client, ph_sasl_client_mechanism(sasl), answer, first);
    if (id < 0)
        return ph__imap_misuse(s, id, rett);
    for (;;) {
        rc = ph__imap_next(s, &ev, rett);
        if (rc < 0)
            return rc;
        (void)ph__imap_tell(s, &ev, NULL, NULL);
        if (rc == PH_IMAP_RESULT && ev.id == id)
            break;
        if (rc != PH_IMAP_CHALLENGE)
            continue;
        bool cancel = e.code || ph_sasl_client_step(sasl, ev.text, &answer, &e) < 0;
        rc = ph_imap_client_auth_data(s->client, answer, cancel);
        if (rc < 0)
            return ph__imap_misuse(s, rc, rett);
    }
    bool in = ev.cond == PH_IMAP_OK;
    if (e.code || (in && ph_sasl_client_end(sasl, &e) < 0)) {
        s->over |= in;
        return ph__imap_fail(s, rett, &e);
    }
    char said[300];
    ev.text = ph__said(sasl, ev.text, said, sizeof said);
    return in ? 0 : ph__imap_refused(s, &ev, rett);
}

static int login(struct ph_imap_session *s, const struct ph_account *a, struct ph_trouble *rett)
{
    struct ph_sasl_login login;
    struct ph_sasl_client *sasl = NULL;
    struct ph_error why = {0};
    struct ph_buf offered;
    s->stage = PH_STAGE_LOGIN;
    s->what = "the login";
    ph_conn_sasl(s->conn, a, &login);
    ph_buf_init(&offered, NULL, 4096);
    mechanisms_of(ph_imap_client_offers(s->client), &offered);
    int rc = ph_sasl_client_new(&login, ph_buf_str(&offered), &sasl, &why);
    ph_buf_done(&offered);
    if (rc == 0)
        rc = sasl_answers(s, sasl, rett);
    else if (a->token.n || a->mechanisms.n || !a->password.n)
        rc = ph__imap_fail(s, rett, &why);
    else if (ph_conn_may_login(s->conn, &why) < 0) /* for LOGIN, which shows the password */
        rc = ph__imap_fail(s, rett, &why);
    else
        rc = ph_imap_await(s, ph_imap_client_login(s->client, a->user, a->password), NULL, NULL,
                           rett);
    ph_sasl_client_free(sasl);
    return rc;
}

/* ---- opening and closing ------------------------------------------------------------------- */

static void on_line(void *ctx, char who, ph_str line)
{
    struct ph_imap_session *s = ctx;
    if (s->conn)
        ph__conn_tell(s->conn, who, line);
}

/* CAPABILITY, unless the server has said it by itself. */
static int capabilities(struct ph_imap_session *s, struct ph_trouble *rett)
{
    if (ph_imap_client_offers(s->client).n)
        return 0;
    return ph__imap_ask(s, ph_imap_client_capability(s->client), s->stage, "CAPABILITY", NULL, NULL,
                        rett);
}

static int secure(struct ph_imap_session *s, struct ph_trouble *rett)
{
    s->stage = PH_STAGE_STARTTLS;
    if (!(ph_imap_client_caps(s->client) & PH_IMAP_CAP(STARTTLS))) {
        struct ph_error e = {0};
        ph_fail(&e, PH_ETLS, 0, "%s does not offer STARTTLS", peer_of(s));
        return ph__imap_fail(s, rett, &e);
    }
    int rc = ph__imap_ask(s, ph_imap_client_starttls(s->client), PH_STAGE_STARTTLS, "STARTTLS",
                          NULL, NULL, rett);
    while (rc == 0 && !ph_conn_info(s->conn)->tls[0])
        rc = step(s, rett);
    return rc;
}

static int enter(struct ph_imap_session *s, const struct ph_account *a, struct ph_trouble *rett)
{
    struct ph_imap_client_event ev;
    s->stage = PH_STAGE_GREETING;
    s->what = "us";
    int rc = ph__imap_next(s, &ev, rett);
    if (rc < 0)
        return rc;
    (void)ph__imap_tell(s, &ev, NULL, NULL);
    if (ev.cond == PH_IMAP_BYE) {
        s->over = true;
        return ph__imap_refused(s, &ev, rett);
    }
    rc = capabilities(s, rett);
    if (rc == 0 && a->tls == PH_TLS_STARTTLS)
        rc = secure(s, rett);
    s->stage = PH_STAGE_LOGIN;
    if (rc == 0)
        rc = capabilities(s, rett);
    bool out = ph_imap_client_state(s->client) == PH_IMAP_NOT_AUTH; /* PREAUTH is in already */
    if (rc == 0 && out && (a->user.n || a->cert_pem.n))
        rc = login(s, a, rett);
    /* They are others after a login; a server that did not tell them with its OK is asked. */
    if (rc == 0)
        rc = ph__imap_ask(s, ph_imap_client_capability(s->client), s->stage, "CAPABILITY", NULL,
                          NULL, rett);
    return rc;
}

int ph_imap_open(const struct ph_account *account, struct ph_imap_session **ret_session,
                 struct ph_trouble *rett)
{
    struct ph_imap_session *s = calloc(1, sizeof *s);
    struct ph_imap_client_options o = {.struct_size = sizeof o,
                                       .secure = account->tls == PH_TLS_ON,
                                       .allow_plaintext = true, /* ph_conn_may_login decides */
                                       .timeout_ms = account->timeout_ms};
    if (s && account->transcript.level) {
        o.trace = on_line;
        o.trace_ctx = s;
    }
    if (s)
        s->client = ph_imap_client_new(NULL, &o);
    if (!s || !s->client) {
        struct ph_error e = {0};
        free(s);
        ph_fail(&e, PH_ENOMEM, 0, "out of memory");
        return ph__trouble(rett, account->host, PH_STAGE_NONE, &e);
    }
    s->over = true;
    s->until = PH_NEVER;
    s->fd = -1;
    int rc = ph_conn_open(account, &ph_imap_client_ops, s->client, &s->conn, rett);
    if (rc == 0) {
        s->over = false;
        rc = enter(s, account, rett);
    }
    if (rc < 0) {
        s->over = true; /* no LOGOUT: what went wrong is known */
        ph_imap_close(s);
        return rc;
    }
    *ret_session = s;
    return 0;
}

struct ph_imap_session *ph_imap_close(struct ph_imap_session *s)
{
    if (!s)
        return NULL;
    s->listener = NULL;
    if (!s->over)
        (void)ph__imap_ask(s, ph_imap_client_simple(s->client, PH_IMAP_LOGOUT), PH_STAGE_COMMAND,
                           "LOGOUT", NULL, NULL, NULL);
    ph_conn_close(s->conn);
    ph_imap_client_free(s->client);
    free(s);
    return NULL;
}

struct ph_imap_client *ph_imap_engine(struct ph_imap_session *s)
{
    return s->client;
}

const struct ph_conn_info *ph_imap_session_info(const struct ph_imap_session *s)
{
    return ph_conn_info(s->conn);
}

void ph_imap_listen(struct ph_imap_session *s, ph_imap_each *each, void *ctx)
{
    s->listener = each;
    s->listener_ctx = ctx;
}

const struct ph_imap_box *ph_imap_box(const struct ph_imap_session *s)
{
    return &s->box;
}
