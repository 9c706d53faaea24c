/* POP3 as a source: LIST and UIDL, RETR or TOP, DELE; QUIT makes deletions real (RFC 1939 6). */
#include "source.h"
#include <posthouse/pop3.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 64 }; /* commands under way */

struct pop3 {
    struct ph_buf letter;
    post_take *take;
    void *take_ctx;
    char said[200]; /* why a command before the one waited for failed: USER before PASS */
};

static void secured(void *engine)
{
    ph_pop3_client_tls_started(engine);
}

static const char *peer_of(const struct post_source *s)
{
    return ph_conn_info(s->conn)->peer;
}

static int on_item(struct post_source *s, const struct ph_pop3_client_event *ev)
{
    if (ev->verb == PH_POP3_LIST) {
        struct post_item *i = post_source_add(s);
        if (!i)
            return -PH_ENOMEM;
        i->number = ev->number;
        i->size = ev->size;
    } else if (ev->verb == PH_POP3_UIDL) {
        struct post_item *i = post_source_find(s, ev->number);
        if (i && ev->text.n < sizeof i->uid)
            snprintf(i->uid, sizeof i->uid, "%.*s", PH_FMT(ev->text));
    }
    return 0;
}

static int refused(struct post_source *s, const struct ph_pop3_client_event *ev, const char *what)
{
    struct pop3 *m = s->state;
    int code = ph_str_eq(ev->code, PH_STR("IN-USE")) || ph_str_eq(ev->code, PH_STR("SYS/TEMP"))
                   ? PH_EAGAIN
               : ev->verb == PH_POP3_PASS || ev->verb == PH_POP3_AUTH ? PH_EAUTH
                                                                      : PH_EREFUSED;
    return ph_fail(&s->error, code, 0, "%s refused %s: %.*s", peer_of(s), what,
                   PH_FMT(m->said[0] ? ph_str_c(m->said) : ev->text));
}

/* The next GREETING or DONE; what comes before it is taken in. 0, or negative with s->error. */
static int next(struct post_source *s, struct ph_pop3_client_event *ev, bool *ret_greeting)
{
    struct pop3 *m = s->state;
    for (;;) {
        int rc = 0;
        switch (ph_pop3_client_next(s->engine, ev)) {
        case PH_POP3_C_NEED:
            rc = post_source_step(s, secured);
            break;
        case PH_POP3_C_GREETING:
            if (!ev->ok)
                return refused(s, ev, "us");
            *ret_greeting = true;
            return 0;
        case PH_POP3_C_CHALLENGE: /* no such login is begun here */
            break;
        case PH_POP3_C_ITEM:
            rc = on_item(s, ev);
            break;
        case PH_POP3_C_CHUNK:
            ph_buf_add(&m->letter, ev->text);
            if (ph_buf_err(&m->letter))
                return ph_fail(&s->error, PH_ELIMIT, 0, "a letter is too large");
            break;
        case PH_POP3_C_DONE:
            *ret_greeting = false;
            return 0;
        case PH_POP3_C_BROKEN:
            return ph_fail(&s->error, ev->error.code ? ev->error.code : PH_ECLOSED, ev->error.sys,
                           "%s: %s", peer_of(s),
                           ev->error.code ? ev->error.text : "the connection was closed");
        }
        if (rc < 0)
            return rc;
    }
}

/* Until the command `id` has ended well (0: until the greeting). */
static int await(struct post_source *s, int64_t id, const char *what)
{
    struct pop3 *m = s->state;
    struct ph_pop3_client_event ev;
    bool greeting = false;
    if (id < 0)
        return ph_fail(&s->error, (int)-id, 0, "%s: %s", what, ph_error_info((int)id)->text);
    for (;;) {
        int rc = next(s, &ev, &greeting);
        if (rc < 0)
            return rc;
        if (greeting ? id == 0 : ev.id == id)
            return greeting || ev.ok ? 0 : refused(s, &ev, what);
        if (!greeting && !ev.ok)
            snprintf(m->said, sizeof m->said, "%.*s", PH_FMT(ph_str_sub(ev.text, 0, 199)));
    }
}

static int pop3_open(struct post_source *s, bool select)
{
    (void)select;
    const struct ph_account *a = &s->login->account;
    struct ph_pop3_client_options o = {.struct_size = sizeof o,
                                       .tls_now = a->tls == PH_TLS_ON,
                                       .plaintext =
                                           a->tls == PH_TLS_OFF, /* ph_conn_may_login decides */
                                       .timeout_ms = a->timeout_ms,
                                       .max_message = POST_LETTER_MAX,
                                       .transcript = {post_dialogue, s->login}};
    struct pop3 *m = s->state = calloc(1, sizeof *m);
    if (m)
        s->engine = ph_pop3_client_new(NULL, &o);
    if (!m || !s->engine)
        return ph_fail(&s->error, PH_ENOMEM, 0, "out of memory");
    ph_buf_init(&m->letter, NULL, POST_LETTER_MAX);
    struct ph_trouble t;
    int rc = ph_conn_open(a, &ph_pop3_client_ops, s->engine, &s->conn, &t);
    if (rc < 0) {
        s->error = t.error;
        return rc;
    }
    if (a->tls == PH_TLS_ON)
        post_dialogue_tls(s->login, ph_conn_info(s->conn));
    rc = await(s, 0, "us");
    if (rc == 0 && a->tls == PH_TLS_STARTTLS) {
        rc = await(s, ph_pop3_client_stls(s->engine), "STLS");
        while (rc == 0 && ph_conn_info(s->conn)->tls[0] == '\0')
            rc = post_source_step(s, secured);
    }
    if (rc == 0)
        rc = ph_conn_may_login(s->conn, &s->error);
    /* A server without CAPA (RFC 2449 came after RFC 1939) says -ERR, which tells nothing against
     * it. */
    if (rc == 0 && await(s, ph_pop3_client_capa(s->engine), "CAPA") < 0 &&
        s->error.code != PH_EREFUSED)
        rc = -s->error.code;
    if (rc == 0)
        rc = await(s, ph_pop3_client_login(s->engine, a->user, a->password), "the login");
    return rc;
}

static int pop3_scan(struct post_source *s, ph_str set)
{
    (void)set;
    int rc = await(s, ph_pop3_client_list(s->engine, 0), "LIST");
    post_source_sort(s);
    if (rc == 0 && await(s, ph_pop3_client_uidl(s->engine, 0), "UIDL") < 0 &&
        s->error.code != PH_EREFUSED)
        rc = -s->error.code; /* UIDL is optional */
    return rc;
}

/* Runs one command for each letter picked, WINDOW of them under way: with PIPELINING (RFC 2449 6.6)
 * no answer is waited for before the next is asked. Answers come in order. */
static int each_picked(struct post_source *s, int64_t (*command)(struct post_source *s, uint32_t n),
                       int (*done)(struct post_source *s, struct post_item *i), const char *what)
{
    struct pop3 *m = s->state;
    struct ph_pop3_client_event ev;
    size_t asked = 0, told = 0, flight = 0;
    bool greeting = false;
    for (;;) {
        for (; asked < s->item_n && flight < WINDOW; asked++) {
            if (!s->items[asked].picked)
                continue;
            int64_t id = command(s, s->items[asked].number);
            if (id < 0)
                return ph_fail(&s->error, (int)-id, 0, "%s: %s", what,
                               ph_error_info((int)id)->text);
            flight++;
        }
        if (flight == 0)
            return 0;
        while (!s->items[told].picked)
            told++;
        m->said[0] = '\0';
        int rc = next(s, &ev, &greeting);
        if (rc == 0 && !ev.ok)
            rc = refused(s, &ev, what);
        if (rc == 0)
            rc = done(s, &s->items[told]);
        if (rc)
            return rc;
        told++;
        flight--;
    }
}

static int64_t retr(struct post_source *s, uint32_t n)
{
    return ph_pop3_client_retr(s->engine, n);
}

static int64_t top(struct post_source *s, uint32_t n)
{
    return ph_pop3_client_top(s->engine, n, 0);
}

static int64_t dele(struct post_source *s, uint32_t n)
{
    return ph_pop3_client_dele(s->engine, n);
}

static int got(struct post_source *s, struct post_item *i)
{
    struct pop3 *m = s->state;
    int rc = m->take(m->take_ctx, i, ph_buf_str(&m->letter));
    ph_buf_clear(&m->letter);
    return rc;
}

static int marked(struct post_source *s, struct post_item *i)
{
    (void)s;
    (void)i;
    return 0;
}

static int pop3_get(struct post_source *s, bool head_only, post_take *take, void *ctx)
{
    struct pop3 *m = s->state;
    m->take = take;
    m->take_ctx = ctx;
    ph_buf_clear(&m->letter);
    return each_picked(s, head_only ? top : retr, got, head_only ? "TOP" : "RETR");
}

static int pop3_remove(struct post_source *s)
{
    return each_picked(s, dele, marked, "DELE");
}

static int pop3_close(struct post_source *s)
{
    return await(s, ph_pop3_client_quit(s->engine), "QUIT");
}

static void pop3_free(struct post_source *s)
{
    struct pop3 *m = s->state;
    ph_pop3_client_free(s->engine);
    if (m)
        ph_buf_done(&m->letter);
    free(m);
}

const struct post_source_ops post_source_pop3 = {pop3_open,   pop3_scan,  pop3_get,
                                                 pop3_remove, pop3_close, pop3_free};
