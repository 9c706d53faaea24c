/* IMAP as a source: SELECT, FETCH in one command, deletion by flag and EXPUNGE of what we flagged.
 */
#include "source_imap.h"
#include <stdlib.h>
#include <string.h>

struct imap {
    struct ph_buf letter;
    uint32_t exists;
    bool selected;
    struct ph_buf gone; /* UIDs that we flagged, "1,2,3" */
    post_take *take;
    void *take_ctx;
    int taken;
};

static void secured(void *engine)
{
    ph_imap_client_tls_started(engine);
}

static void on_fetched(struct post_source *s, const struct ph_imap_fetched *f)
{
    struct imap *m = s->state;
    if (f->seq == 0 || (!m->take && f->seq > m->exists))
        return;
    if (m->take) {
        if (f->seq > s->item_n || f->part_count == 0)
            return;
        ph_str bytes = f->parts[0].streamed ? ph_buf_str(&m->letter) : f->parts[0].value;
        if (m->taken == 0)
            m->taken = m->take(m->take_ctx, &s->items[f->seq - 1], bytes);
        ph_buf_clear(&m->letter);
        return;
    }
    /* Scanning: answers come in any order, and flags may come twice. */
    while (s->item_n < f->seq)
        if (!post_source_add(s))
            return;
    struct post_item *i = &s->items[f->seq - 1];
    if (f->mask & PH_IMAP_F_SIZE)
        i->size = f->size;
    if (f->mask & PH_IMAP_F_FLAGS)
        i->flags = (f->flags.bits & PH_IMAP_SEEN ? POST_SEEN : 0u) |
                   (f->flags.bits & PH_IMAP_FLAGGED ? POST_FLAGGED : 0u) |
                   (f->flags.bits & PH_IMAP_ANSWERED ? POST_ANSWERED : 0u) |
                   (f->flags.bits & PH_IMAP_DELETED ? POST_DELETED : 0u) |
                   (f->flags.bits & PH_IMAP_DRAFT ? POST_DRAFT : 0u);
    if (f->uid)
        snprintf(i->uid, sizeof i->uid, "%u", f->uid);
}

static int broken(struct post_source *s)
{
    const struct ph_error *e = ph_imap_client_error(s->engine);
    return ph_fail(&s->error, e->code ? e->code : PH_ECLOSED, e->sys, "%s: %s",
                   ph_conn_info(s->conn)->peer, e->code ? e->text : "the connection was closed");
}

static int refused(struct post_source *s, const struct ph_imap_client_event *ev, const char *what)
{
    bool auth = ev->verb == PH_IMAP_LOGIN || ev->verb == PH_IMAP_AUTHENTICATE;
    bool later = ev->code.kind == PH_IMAP_CODE_UNAVAILABLE || ev->code.kind == PH_IMAP_CODE_INUSE;
    return ph_fail(&s->error,
                   later  ? PH_EAGAIN
                   : auth ? PH_EAUTH
                          : PH_EREFUSED,
                   0, "%s refused %s: %.*s", ph_conn_info(s->conn)->peer, what, PH_FMT(ev->text));
}

int post_imap_await(struct post_source *s, int id, const char *what, post_imap_other *other,
                    void *ctx)
{
    struct imap *m = s->state;
    struct ph_imap_client_event ev;
    if (id < 0)
        return ph_fail(&s->error, -id, 0, "%s: %s", what,
                       ph_imap_client_error(s->engine)->text[0]
                           ? ph_imap_client_error(s->engine)->text
                           : ph_error_info(id)->text);
    for (;;) {
        int rc = 0;
        switch (ph_imap_client_next(s->engine, &ev)) {
        case PH_IMAP_NEED:
            rc = post_source_step(s, secured);
            break;
        case PH_IMAP_GREETING:
            if (ev.cond == PH_IMAP_BYE)
                return refused(s, &ev, "us");
            if (id == 0)
                return 0;
            break;
        case PH_IMAP_RESULT:
            if (ev.id == id)
                return ev.cond == PH_IMAP_OK ? 0 : refused(s, &ev, what);
            break;
        case PH_IMAP_EXISTS:
            m->exists = ev.n;
            break;
        case PH_IMAP_CHUNK:
            ph_buf_add(&m->letter, ev.chunk.data);
            if (ph_buf_err(&m->letter))
                return ph_fail(&s->error, PH_ELIMIT, 0, "letter %u is too large", ev.chunk.seq);
            break;
        case PH_IMAP_FETCHED:
            on_fetched(s, &ev.fetch);
            break;
        case PH_IMAP_CLOSED:
            if (id > 0 && ph_imap_client_state(s->engine) == PH_IMAP_LOGOUT_STATE)
                return 0;
            return broken(s);
        case PH_IMAP_BROKEN:
            return broken(s);
        default:
            if (other)
                other(ctx, &ev);
            break;
        }
        if (rc < 0)
            return rc;
    }
}

static int await(struct post_source *s, int id, const char *what)
{
    return post_imap_await(s, id, what, NULL, NULL);
}

/* From the greeting to the login. */
static int enter(struct post_source *s, const struct ph_account *a)
{
    int rc = await(s, 0, "us");
    if (rc == 0 && !ph_imap_client_caps(s->engine))
        rc = await(s, ph_imap_client_capability(s->engine), "CAPABILITY");
    if (rc == 0 && a->tls == PH_TLS_STARTTLS) {
        if (!(ph_imap_client_caps(s->engine) & PH_IMAP_CAP(STARTTLS)))
            return ph_fail(&s->error, PH_ETLS, 0,
                           "%s does not offer STARTTLS; try --tls tls with its other port",
                           ph_conn_info(s->conn)->peer);
        rc = await(s, ph_imap_client_starttls(s->engine), "STARTTLS");
        while (rc == 0 && ph_conn_info(s->conn)->tls[0] == '\0')
            rc = post_source_step(s, secured);
    }
    if (rc == 0 && !ph_imap_client_caps(s->engine)) /* they are new under TLS */
        rc = await(s, ph_imap_client_capability(s->engine), "CAPABILITY");
    if (rc == 0 && ph_imap_client_state(s->engine) == PH_IMAP_NOT_AUTH) {
        rc = ph_conn_may_login(s->conn, &s->error);
        if (rc == 0)
            rc = await(s, ph_imap_client_login(s->engine, a->user, a->password), "the login");
    }
    return rc;
}

static int imap_open(struct post_source *s)
{
    const struct ph_account *a = &s->login->account;
    struct ph_imap_client_options o = {.struct_size = sizeof o,
                                       .secure = a->tls == PH_TLS_ON,
                                       .timeout_ms = a->timeout_ms,
                                       .trace = post_dialogue,
                                       .trace_ctx = s->login};
    struct imap *m = s->state = calloc(1, sizeof *m);
    if (!m)
        return ph_fail(&s->error, PH_ENOMEM, 0, "out of memory");
    ph_buf_init(&m->letter, NULL, POST_LETTER_MAX);
    ph_buf_init(&m->gone, NULL, 1024 * 1024);
    o.allow_plaintext = a->tls == PH_TLS_OFF; /* ph_conn_may_login decides */
    s->engine = ph_imap_client_new(NULL, &o);
    if (!s->engine)
        return ph_fail(&s->error, PH_ENOMEM, 0, "out of memory");
    struct ph_trouble t;
    int rc = ph_conn_open(a, &ph_imap_client_ops, s->engine, &s->conn, &t);
    if (rc < 0) {
        s->error = t.error;
        return rc;
    }
    if (a->tls == PH_TLS_ON)
        post_dialogue_tls(s->login, ph_conn_info(s->conn));
    return enter(s, a);
}

static int imap_scan(struct post_source *s)
{
    struct imap *m = s->state;
    int rc = await(s, ph_imap_client_select(s->engine, ph_str_c(s->mailbox), false), "the mailbox");
    m->selected = rc == 0;
    if (rc == 0 && m->exists > 0)
        rc = await(s,
                   ph_imap_client_fetch(s->engine, false, PH_STR("1:*"),
                                        PH_STR("(UID FLAGS RFC822.SIZE)")),
                   "FETCH");
    return rc;
}

static int imap_get(struct post_source *s, size_t first, size_t last, bool head_only,
                    post_take *take, void *ctx)
{
    struct imap *m = s->state;
    char set[32];
    snprintf(set, sizeof set, "%u:%u", s->items[first].number, s->items[last].number);
    m->take = take;
    m->take_ctx = ctx;
    m->taken = 0;
    int rc = await(
        s,
        ph_imap_client_fetch(s->engine, false, ph_str_c(set),
                             head_only ? PH_STR("(BODY.PEEK[HEADER])") : PH_STR("(BODY.PEEK[])")),
        "FETCH");
    m->take = NULL;
    ph_buf_clear(&m->letter);
    return rc < 0 ? rc : m->taken;
}

static int imap_remove(struct post_source *s, size_t at)
{
    struct imap *m = s->state;
    const struct ph_imap_flags deleted = {.bits = PH_IMAP_DELETED};
    ph_buf_addf(&m->gone, "%s%s", m->gone.n ? "," : "", s->items[at].uid);
    return await(
        s, ph_imap_client_store(s->engine, true, ph_str_c(s->items[at].uid), '+', true, &deleted),
        "the deletion");
}

static int imap_close(struct post_source *s)
{
    struct imap *m = s->state;
    int rc = 0;
    /* Without UIDPLUS, EXPUNGE would also take what another program flagged: then the flag is left
     * to do its work. */
    if (m->gone.n && (ph_imap_client_caps(s->engine) & PH_IMAP_CAP(UIDPLUS)))
        rc = await(s, ph_imap_client_uid_expunge(s->engine, ph_buf_str(&m->gone)), "EXPUNGE");
    if (rc == 0)
        rc = await(s, ph_imap_client_simple(s->engine, PH_IMAP_LOGOUT), "LOGOUT");
    return rc;
}

static void imap_free(struct post_source *s)
{
    struct imap *m = s->state;
    ph_imap_client_free(s->engine);
    if (m) {
        ph_buf_done(&m->letter);
        ph_buf_done(&m->gone);
    }
    free(m);
}

const struct post_source_ops post_source_imap = {imap_open,   imap_scan,  imap_get,
                                                 imap_remove, imap_close, imap_free};
