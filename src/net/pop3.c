/*
 * A POP3 session (RFC 1939): one blocking call a step.
 *
 *   greeting -> CAPA -> STLS -> (TLS) -> CAPA -> AUTH | APOP | USER, PASS -> letters -> QUIT
 */
#include "grow.h"
#include "net_int.h"
#include <openssl/evp.h>
#include <posthouse/fetch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS_MAX = 10000000 };

struct ph_pop3_session {
    struct ph_pop3_client *client;
    struct ph_conn *conn;
    enum ph_stage stage;
    bool over;
    const char *what; /* what is waited for, in errors */
    char said[200];   /* why the command before the one waited for failed: USER before PASS */
    /* Who takes the events of the call under way. */
    int (*on_event)(void *ctx, enum ph_pop3_client_ev kind, const struct ph_pop3_client_event *ev);
    void *ctx;
    int stopped; /* its first result other than 0 */
};

/* ---- failing and waiting ------------------------------------------------------------------- */

static const char *peer_of(const struct ph_pop3_session *s)
{
    return ph_conn_info(s->conn)->peer;
}

static int failed(struct ph_pop3_session *s, struct ph_trouble *rett, const struct ph_error *e)
{
    return ph__trouble(rett, ph__conn_host(s->conn), s->stage, e);
}

static int misuse(struct ph_pop3_session *s, int rc, struct ph_trouble *rett)
{
    struct ph_error e = {0};
    ph_fail(&e, -rc, 0, "%s: %s", s->what, ph_error_info(rc)->text);
    return failed(s, rett, &e);
}

static int refused(struct ph_pop3_session *s, const struct ph_pop3_client_event *ev,
                   struct ph_trouble *rett)
{
    bool later =
        ph_str_ieq(ev->code, PH_STR("IN-USE")) || ph_str_has_iprefix(ev->code, PH_STR("SYS/TEMP"));
    const struct ph__refusal r = {.conn = s->conn,
                                  .what = s->what,
                                  .stage = s->stage,
                                  .code = later                        ? PH_EAGAIN
                                          : s->stage == PH_STAGE_LOGIN ? PH_EAUTH
                                                                       : PH_EREFUSED,
                                  .esc = ev->code,
                                  .said = s->said[0] ? ph_str_c(s->said) : ev->text};
    return ph__trouble_refused(rett, &r);
}

static int lost(struct ph_pop3_session *s, const struct ph_error *why, struct ph_trouble *rett)
{
    s->over = true;
    return ph__trouble_lost(rett, s->conn, s->stage, why);
}

/* Drives the connection once. */
static int step(struct ph_pop3_session *s, struct ph_trouble *rett)
{
    struct ph_error e = {0};
    enum ph_stage before = s->stage;
    if (before == PH_STAGE_STARTTLS && (ph_pop3_client_ops.want(s->client) & PH_WANT_TLS))
        s->stage = PH_STAGE_TLS;
    int rc = ph_conn_step(s->conn, &e);
    if (rc == PH_CONN_SECURED)
        ph_pop3_client_tls_started(s->client);
    if (rc == PH_CONN_DONE)
        rc = ph_fail(&e, PH_ECLOSED, 0, "%s closed the connection", peer_of(s));
    if (rc < 0) {
        s->over = true;
        return failed(s, rett, &e);
    }
    s->stage = before;
    return 0;
}

/* The next event: its kind; negative when the session is over. */
static int next(struct ph_pop3_session *s, struct ph_pop3_client_event *ret_ev,
                struct ph_trouble *rett)
{
    for (;;) {
        enum ph_pop3_client_ev kind = ph_pop3_client_next(s->client, ret_ev);
        if (kind == PH_POP3_C_BROKEN)
            return lost(s, &ret_ev->error, rett);
        if (kind == PH_POP3_C_GREETING && !ret_ev->ok) {
            s->over = true;
            return refused(s, ret_ev, rett);
        }
        if (kind != PH_POP3_C_NEED)
            return (int)kind;
        int rc = step(s, rett);
        if (rc < 0)
            return rc;
    }
}

int ph_pop3_await(struct ph_pop3_session *s, int64_t id, struct ph_trouble *rett)
{
    struct ph_pop3_client_event ev;
    s->said[0] = '\0';
    if (id < 0)
        return misuse(s, (int)id, rett);
    for (;;) {
        int kind = next(s, &ev, rett);
        if (kind < 0)
            return kind;
        if (s->on_event && s->stopped == 0)
            s->stopped = s->on_event(s->ctx, (enum ph_pop3_client_ev)kind, &ev);
        if (kind != PH_POP3_C_DONE)
            continue;
        if (ev.id == id)
            return ev.ok ? 0 : refused(s, &ev, rett);
        if (!ev.ok)
            snprintf(s->said, sizeof s->said, "%.*s", PH_FMT(ph_str_sub(ev.text, 0, 199)));
    }
}

static int ask(struct ph_pop3_session *s, int64_t id, enum ph_stage stage, const char *what,
               struct ph_trouble *rett)
{
    s->stage = stage;
    s->what = what;
    return ph_pop3_await(s, id, rett);
}

/* ---- logging in ---------------------------------------------------------------------------- */

static int sasl_answers(struct ph_pop3_session *s, struct ph_sasl_client *sasl,
                        struct ph_trouble *rett)
{
    struct ph_pop3_client_event ev;
    struct ph_error e = {0};
    ph_str answer = {0};
    bool first = ph_sasl_client_is_first(sasl);
    int rc = first ? ph_sasl_client_step(sasl, (ph_str){0}, &answer, &e) : 0;
    if (rc < 0)
        return failed(s, rett, &e);
    int64_t id = ph_pop3_client_auth(s->client, ph_sasl_client_mechanism(sasl), answer, first);
    if (id < 0)
        return misuse(s, (int)id, rett);
    while ((rc = next(s, &ev, rett)) == PH_POP3_C_CHALLENGE) {
        bool cancel = e.code || ph_sasl_client_step(sasl, ev.text, &answer, &e) < 0;
        if (ph_pop3_client_auth_data(s->client, answer, cancel) < 0)
            return misuse(s, -PH_ENOMEM, rett);
    }
    if (rc < 0)
        return rc;
    if (e.code || (ev.ok && ph_sasl_client_end(sasl, &e) < 0)) {
        s->over |= ev.ok;
        return failed(s, rett, &e);
    }
    char said[300];
    ev.text = ph__said(sasl, ev.text, said, sizeof said);
    return ev.ok ? 0 : refused(s, &ev, rett);
}

static int login_sasl(struct ph_pop3_session *s, const struct ph_account *a, bool *ret_possible,
                      struct ph_trouble *rett)
{
    struct ph_sasl_login login;
    struct ph_sasl_client *sasl = NULL;
    struct ph_error why = {0};
    ph_conn_sasl(s->conn, a, &login);
    int rc = ph_sasl_client_new(&login, ph_pop3_client_mechanisms(s->client), &sasl, &why);
    *ret_possible = rc == 0;
    if (rc < 0)
        return failed(s, rett, &why);
    rc = sasl_answers(s, sasl, rett);
    ph_sasl_client_free(sasl);
    return rc;
}

/* RFC 1939 7: the password itself is not shown. */
static int login_apop(struct ph_pop3_session *s, const struct ph_account *a,
                      struct ph_trouble *rett)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned n = 0;
    ph_str stamp = ph_pop3_client_stamp(s->client);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1 &&
              EVP_DigestUpdate(ctx, stamp.p, stamp.n) == 1 &&
              EVP_DigestUpdate(ctx, a->password.p, a->password.n) == 1 &&
              EVP_DigestFinal_ex(ctx, md, &n) == 1;
    EVP_MD_CTX_free(ctx);
    for (unsigned i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", md[i]);
    return ph_pop3_await(
        s, ok ? ph_pop3_client_apop(s->client, a->user, ph_str_c(hex)) : -PH_ENOMEM, rett);
}

static int login(struct ph_pop3_session *s, const struct ph_account *a, struct ph_trouble *rett)
{
    struct ph_error e = {0};
    bool possible = false;
    s->stage = PH_STAGE_LOGIN;
    s->what = "the login";
    int rc = login_sasl(s, a, &possible, rett);
    if (possible || a->token.n || a->mechanisms.n || !a->password.n)
        return rc;
    if (ph_conn_may_login(s->conn, &e) < 0)
        return ph_pop3_client_stamp(s->client).n ? login_apop(s, a, rett) : failed(s, rett, &e);
    int64_t id = ph_pop3_client_user(s->client, a->user);
    if (id > 0)
        id = ph_pop3_client_pass(s->client, a->password);
    return ph_pop3_await(s, id, rett);
}

/* ---- opening and closing ------------------------------------------------------------------- */

static void on_line(void *ctx, char who, ph_str line)
{
    struct ph_pop3_session *s = ctx;
    if (s->conn)
        ph__conn_tell(s->conn, who, line);
}

/* A server without CAPA (RFC 2449 came after RFC 1939) says -ERR, which tells nothing against
 * it. */
static int capabilities(struct ph_pop3_session *s, enum ph_stage stage, struct ph_trouble *rett)
{
    int rc = ask(s, ph_pop3_client_capa(s->client), stage, "CAPA", rett);
    return rc == -PH_EREFUSED || rc == -PH_EAUTH || rc == -PH_EAGAIN ? 0 : rc;
}

static int enter(struct ph_pop3_session *s, const struct ph_account *a, struct ph_trouble *rett)
{
    struct ph_pop3_client_event ev;
    s->stage = PH_STAGE_GREETING;
    s->what = "us";
    int rc = next(s, &ev, rett);
    if (rc >= 0 && a->tls == PH_TLS_STARTTLS) {
        rc = capabilities(s, PH_STAGE_STARTTLS, rett);
        const struct ph_pop3_caps *caps = ph_pop3_client_caps(s->client);
        if (rc >= 0 && caps->known && !caps->stls) {
            struct ph_error e = {0};
            ph_fail(&e, PH_ETLS, 0, "%s does not offer STLS", peer_of(s));
            return failed(s, rett, &e);
        }
        if (rc >= 0)
            rc = ask(s, ph_pop3_client_stls(s->client), PH_STAGE_STARTTLS, "STLS", rett);
        while (rc >= 0 && !ph_conn_info(s->conn)->tls[0])
            rc = step(s, rett);
    }
    if (rc >= 0)
        rc = capabilities(s, PH_STAGE_LOGIN, rett);
    return rc < 0 || !(a->user.n || a->cert_pem.n) ? rc : login(s, a, rett);
}

int ph_pop3_open(const struct ph_account *account, struct ph_pop3_session **ret_session,
                 struct ph_trouble *rett)
{
    struct ph_pop3_session *s = calloc(1, sizeof *s);
    struct ph_pop3_client_options o = {.struct_size = sizeof o,
                                       .tls_now = account->tls == PH_TLS_ON,
                                       .plaintext = true, /* ph_conn_may_login decides */
                                       .timeout_ms = account->timeout_ms};
    if (s && account->transcript.level)
        o.transcript = (struct ph_pop3_transcript){on_line, s};
    if (s)
        s->client = ph_pop3_client_new(NULL, &o);
    if (!s || !s->client) {
        struct ph_error e = {0};
        free(s);
        ph_fail(&e, PH_ENOMEM, 0, "out of memory");
        return ph__trouble(rett, account->host, PH_STAGE_NONE, &e);
    }
    s->over = true;
    int rc = ph_conn_open(account, &ph_pop3_client_ops, s->client, &s->conn, rett);
    if (rc == 0) {
        s->over = false;
        rc = enter(s, account, rett);
    }
    if (rc < 0) {
        ph_pop3_close(s, false, NULL);
        return rc;
    }
    *ret_session = s;
    return 0;
}

int ph_pop3_close(struct ph_pop3_session *s, bool commit, struct ph_trouble *rett)
{
    int rc = 0;
    if (!s)
        return 0;
    s->on_event = NULL;
    if (commit && s->over) {
        struct ph_error e = {0};
        ph_fail(&e, PH_ECLOSED, 0, "the session was lost before QUIT: nothing is deleted");
        rc = ph__trouble(rett, (ph_str){0}, PH_STAGE_COMMAND, &e);
    } else if (commit) {
        rc = ask(s, ph_pop3_client_quit(s->client), PH_STAGE_COMMAND, "QUIT", rett);
    }
    ph_conn_close(s->conn);
    ph_pop3_client_free(s->client);
    free(s);
    return rc;
}

struct ph_pop3_client *ph_pop3_engine(struct ph_pop3_session *s)
{
    return s->client;
}

const struct ph_conn_info *ph_pop3_session_info(const struct ph_pop3_session *s)
{
    return ph_conn_info(s->conn);
}

/* ---- lists --------------------------------------------------------------------------------- */

/* Waits with somebody who takes the events; the result of that one counts when it is not 0. */
static int ask_for(struct ph_pop3_session *s, int64_t id, enum ph_stage stage, const char *what,
                   int (*on_event)(void *, enum ph_pop3_client_ev,
                                   const struct ph_pop3_client_event *),
                   void *ctx, struct ph_trouble *rett)
{
    s->on_event = on_event;
    s->ctx = ctx;
    s->stopped = 0;
    int rc = ask(s, id, stage, what, rett);
    s->on_event = NULL;
    return rc < 0 ? rc : s->stopped;
}

struct counted {
    uint32_t count;
    uint64_t size;
};

static int on_stat(void *ctx, enum ph_pop3_client_ev kind, const struct ph_pop3_client_event *ev)
{
    if (kind == PH_POP3_C_DONE && ev->verb == PH_POP3_STAT)
        *(struct counted *)ctx = (struct counted){ev->number, ev->size};
    return 0;
}

int ph_pop3_stat(struct ph_pop3_session *s, uint32_t *ret_count, uint64_t *ret_size,
                 struct ph_trouble *rett)
{
    struct counted n = {0};
    int rc =
        ask_for(s, ph_pop3_client_stat(s->client), PH_STAGE_MAILBOX, "STAT", on_stat, &n, rett);
    if (rc < 0)
        return rc;
    *ret_count = n.count;
    *ret_size = n.size;
    return 0;
}

struct list {
    struct ph_pop3_item *items;
    size_t n, cap;
};

static int on_item(void *ctx, enum ph_pop3_client_ev kind, const struct ph_pop3_client_event *ev)
{
    struct list *l = ctx;
    if (kind != PH_POP3_C_ITEM)
        return 0;
    if (ev->verb == PH_POP3_LIST) {
        struct ph_pop3_item *more =
            l->n < ITEMS_MAX ? ph_grow(l->items, l->n, &l->cap, sizeof *more) : NULL;
        if (!more)
            return -PH_ENOMEM;
        l->items = more;
        l->items[l->n++] = (struct ph_pop3_item){.number = ev->number, .size = ev->size};
    } else if (ev->verb == PH_POP3_UIDL && l->n) {
        /* Both lists are in the same order; numbers have gaps only where another session
         * deletes. */
        size_t at = ev->number <= l->n ? ev->number - 1 : l->n - 1;
        while (at > 0 && l->items[at].number > ev->number)
            at--;
        if (l->items[at].number == ev->number && ev->text.n < sizeof l->items[at].uid)
            snprintf(l->items[at].uid, sizeof l->items[at].uid, "%.*s", PH_FMT(ev->text));
    }
    return 0;
}

int ph_pop3_items(struct ph_pop3_session *s, struct ph_pop3_item **ret_items, size_t *ret_count,
                  struct ph_trouble *rett)
{
    struct list l = {0};
    int64_t first = ph_pop3_client_list(s->client, 0);
    int64_t second = first < 0 ? first : ph_pop3_client_uidl(s->client, 0);
    int rc = ask_for(s, first, PH_STAGE_MAILBOX, "LIST", on_item, &l, rett);
    int uidl = rc < 0 && s->over ? rc
                                 : ask_for(s, second, PH_STAGE_MAILBOX, "UIDL", on_item, &l,
                                           rc == 0 ? rett : NULL);
    if (rc == 0 && uidl < 0 && uidl != -PH_EREFUSED) /* UIDL is optional */
        rc = uidl;
    if (rc < 0) {
        free(l.items);
        return rc == -PH_ENOMEM ? misuse(s, rc, rett) : rc;
    }
    *ret_items = l.items;
    *ret_count = l.n;
    return 0;
}

void ph_pop3_items_free(struct ph_pop3_item *items)
{
    free(items);
}

/* ---- letters ------------------------------------------------------------------------------- */

struct retrieval {
    const struct ph_pop3_item *items;
    const struct ph_letter_sink *sink;
    size_t at;
    bool begun;
    struct ph_pop3_session *s;
    struct ph_trouble *rett;
};

static int begin(struct retrieval *r)
{
    if (r->begun)
        return 0;
    r->begun = true;
    return r->sink->begin ? r->sink->begin(r->sink->ctx, &r->items[r->at]) : 0;
}

static int on_letter(void *ctx, enum ph_pop3_client_ev kind, const struct ph_pop3_client_event *ev)
{
    struct retrieval *r = ctx;
    int rc = 0;
    if (kind == PH_POP3_C_CHUNK) {
        rc = begin(r);
        return rc ? rc : r->sink->piece(r->sink->ctx, ev->text);
    }
    if (kind != PH_POP3_C_DONE || (ev->verb != PH_POP3_RETR && ev->verb != PH_POP3_TOP))
        return 0;
    if (!ev->ok)
        return refused(r->s, ev, r->rett);
    rc = begin(r);
    if (rc == 0 && r->sink->end)
        rc = r->sink->end(r->sink->ctx);
    r->begun = false;
    r->at++;
    return rc;
}

int ph_pop3_retrieve(struct ph_pop3_session *s, const struct ph_pop3_item *items, size_t count,
                     uint32_t lines, const struct ph_letter_sink *sink, struct ph_trouble *rett)
{
    enum { AHEAD = 64 }; /* as many as the engine sends ahead: a sink that stops loses no more */
    struct retrieval r = {.items = items, .sink = sink, .s = s, .rett = rett};
    int64_t ids[AHEAD] = {0};
    size_t queued = 0, heard = 0;
    int rc = 0;
    while (heard < count && rc == 0) {
        for (; queued < count && queued < heard + AHEAD; queued++)
            ids[queued % AHEAD] = lines == UINT32_MAX
                                      ? ph_pop3_client_retr(s->client, items[queued].number)
                                      : ph_pop3_client_top(s->client, items[queued].number, lines);
        rc = ask_for(s, ids[heard++ % AHEAD], PH_STAGE_FETCH, "a letter", on_letter, &r, rett);
    }
    if (rc != 0 && !s->over && heard < queued) /* what was asked for ahead is heard and dropped */
        (void)ask(s, ids[(queued - 1) % AHEAD], PH_STAGE_FETCH, "a letter", NULL);
    return rc;
}

static int on_deleted(void *ctx, enum ph_pop3_client_ev kind, const struct ph_pop3_client_event *ev)
{
    struct retrieval *r = ctx;
    bool wrong = kind == PH_POP3_C_DONE && ev->verb == PH_POP3_DELE && !ev->ok;
    return wrong ? refused(r->s, ev, r->rett) : 0;
}

int ph_pop3_delete(struct ph_pop3_session *s, const struct ph_pop3_item *items, size_t count,
                   struct ph_trouble *rett)
{
    struct retrieval r = {.s = s, .rett = rett};
    int64_t last = 0;
    for (size_t i = 0; i < count && last >= 0; i++)
        last = ph_pop3_client_dele(s->client, items[i].number);
    return count ? ask_for(s, last, PH_STAGE_COMMAND, "the deletion", on_deleted, &r, rett) : 0;
}

int64_t ph_pop3_fetch_new(struct ph_pop3_session *s, bool (*is_known)(void *ctx, ph_str uid),
                          void *known_ctx, const struct ph_letter_sink *sink,
                          struct ph_trouble *rett)
{
    struct ph_pop3_item *items = NULL;
    size_t n = 0, fresh = 0;
    int rc = ph_pop3_items(s, &items, &n, rett);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        if (!items[i].uid[0] || !is_known(known_ctx, ph_str_c(items[i].uid)))
            items[fresh++] = items[i];
    rc = ph_pop3_retrieve(s, items, fresh, UINT32_MAX, sink, rett);
    ph_pop3_items_free(items);
    return rc ? rc : (int64_t)fresh;
}

int ph_pop3_rset(struct ph_pop3_session *s, struct ph_trouble *rett)
{
    return ask(s, ph_pop3_client_rset(s->client), PH_STAGE_COMMAND, "RSET", rett);
}

int ph_pop3_noop(struct ph_pop3_session *s, struct ph_trouble *rett)
{
    return ask(s, ph_pop3_client_noop(s->client), PH_STAGE_COMMAND, "NOOP", rett);
}
