/* IMAP as a source: SELECT, FETCH in one command, deletion by flag and EXPUNGE of what we flagged.
 */
#include "source_imap.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SET_MAX = 4000,
    GONE_MAX = 256 * 1024 * 1024,
    NOOP_S = 30
}; /* a command's set; all of them */

struct imap {
    struct ph_buf letter;
    uint32_t exists, scanned; /* letters in the mailbox: now, and when it was scanned last */
    bool idling;
    bool whole; /* between two items there is no other letter: they were scanned without a gap */
    struct ph_buf gone; /* sets of UIDs that we flagged, one a line */
    post_take *take;
    void *take_ctx;
    int taken;
};

static void secured(void *engine)
{
    ph_imap_client_tls_started(engine);
}

static void note_flags(struct post_item *i, unsigned bits)
{
    i->flags =
        (bits & PH_IMAP_SEEN ? POST_SEEN : 0u) | (bits & PH_IMAP_FLAGGED ? POST_FLAGGED : 0u) |
        (bits & PH_IMAP_ANSWERED ? POST_ANSWERED : 0u) |
        (bits & PH_IMAP_DELETED ? POST_DELETED : 0u) | (bits & PH_IMAP_DRAFT ? POST_DRAFT : 0u);
}

/* Scanning: one answer a letter, in any order; flags that changed meanwhile come as another, which
 * may have no UID. */
static void on_scanned(struct post_source *s, const struct ph_imap_fetched *f)
{
    if (f->uid == 0 || !(f->mask & PH_IMAP_F_SIZE))
        return;
    struct post_item *i = post_source_add(s);
    if (!i)
        return;
    i->number = f->uid;
    i->size = f->size;
    snprintf(i->uid, sizeof i->uid, "%u", f->uid);
    if (f->mask & PH_IMAP_F_FLAGS)
        note_flags(i, f->flags.bits);
}

static void on_fetched(struct post_source *s, const struct ph_imap_fetched *f)
{
    struct imap *m = s->state;
    if (!m->take) {
        on_scanned(s, f);
        return;
    }
    struct post_item *i = f->uid ? post_source_find(s, f->uid) : NULL;
    if (!i || f->part_count == 0)
        return;
    ph_str bytes = f->parts[0].streamed ? ph_buf_str(&m->letter) : f->parts[0].value;
    if (m->taken == 0 && i->picked)
        m->taken = m->take(m->take_ctx, i, bytes);
    ph_buf_clear(&m->letter);
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

/* DONE, once there is news or the time is over. */
static void end_idle(struct post_source *s)
{
    struct imap *m = s->state;
    if (!m->idling || (m->exists <= m->scanned && ph_conn_now() < s->until))
        return;
    (void)!ph_imap_client_idle_done(s->engine);
    m->idling = false;
    s->until = 0;
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
            end_idle(s);
            rc = post_source_step(s, secured);
            break;
        case PH_IMAP_GREETING:
            if (ev.cond == PH_IMAP_BYE)
                return refused(s, &ev, "us");
            if (id == 0)
                return 0;
            break;
        case PH_IMAP_RESULT:
            if (ev.id != id)
                break;
            if (other)
                other(ctx, &ev);
            return ev.cond == PH_IMAP_OK ? 0 : refused(s, &ev, what);
        case PH_IMAP_EXISTS:
            m->exists = ev.n;
            break;
        case PH_IMAP_EXPUNGED:
            m->exists -= m->exists > 0;
            m->scanned -= m->scanned > 0;
            break;
        case PH_IMAP_CONTINUE:
            m->idling = ev.verb == PH_IMAP_IDLE;
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

static void on_condition(void *ctx, const struct ph_imap_client_event *ev)
{
    struct post_source *s = ctx;
    if (ev->kind == PH_IMAP_CONDITION && ev->code.kind == PH_IMAP_CODE_UIDVALIDITY)
        s->validity = ev->code.n;
}

static int imap_open(struct post_source *s, bool select)
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
    ph_buf_init(&m->gone, NULL, GONE_MAX);
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
    rc = enter(s, a);
    if (rc == 0 && select)
        rc = post_imap_await(s, ph_imap_client_select(s->engine, ph_str_c(s->mailbox), false),
                             "the mailbox", on_condition, s);
    return rc;
}

static int imap_scan(struct post_source *s, ph_str set)
{
    struct imap *m = s->state;
    m->scanned = m->exists;
    m->whole = ph_str_has_suffix(set, PH_STR(":*")) && ph_str_chr(set, ',') == PH_NPOS;
    if (m->exists == 0)
        return 0;
    int rc = await(s, ph_imap_client_fetch(s->engine, true, set, PH_STR("(UID FLAGS RFC822.SIZE)")),
                   "FETCH");
    post_source_sort(s);
    return rc;
}

/* The numbers of the letters picked from *at on as a set of UIDs, as long as a command may be; *at
 * is where to go on. */
static void picked_set(const struct post_source *s, size_t *at, char set[SET_MAX])
{
    const struct imap *m = s->state;
    size_t n = 0;
    set[0] = '\0';
    while (*at < s->item_n && n < SET_MAX - 32) {
        size_t i = *at, last = i;
        if (!s->items[i].picked) {
            ++*at;
            continue;
        }
        while (last + 1 < s->item_n && s->items[last + 1].picked &&
               (m->whole || s->items[last + 1].number == s->items[last].number + 1))
            last++;
        n += (size_t)snprintf(set + n, SET_MAX - n, n ? ",%u" : "%u", s->items[i].number);
        if (last > i)
            n += (size_t)snprintf(set + n, SET_MAX - n, ":%u", s->items[last].number);
        *at = last + 1;
    }
}

static int imap_get(struct post_source *s, bool head_only, post_take *take, void *ctx)
{
    struct imap *m = s->state;
    char set[SET_MAX];
    int rc = 0;
    m->take = take;
    m->take_ctx = ctx;
    m->taken = 0;
    for (size_t at = 0; rc == 0 && m->taken == 0 && at < s->item_n;) {
        picked_set(s, &at, set);
        if (set[0])
            rc = await(s,
                       ph_imap_client_fetch(s->engine, true, ph_str_c(set),
                                            head_only ? PH_STR("(UID BODY.PEEK[HEADER])")
                                                      : PH_STR("(UID BODY.PEEK[])")),
                       "FETCH");
    }
    m->take = NULL;
    ph_buf_clear(&m->letter);
    return rc < 0 ? rc : m->taken;
}

int post_imap_each_set(struct post_source *s, int (*command)(void *ctx, ph_str set),
                       const char *what, post_imap_other *other, void *ctx)
{
    char set[SET_MAX];
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < s->item_n;) {
        picked_set(s, &at, set);
        if (set[0])
            rc = post_imap_await(s, command(ctx, ph_str_c(set)), what, other, ctx);
    }
    return rc;
}

static int flag_deleted(void *ctx, ph_str set)
{
    const struct ph_imap_flags deleted = {.bits = PH_IMAP_DELETED};
    struct post_source *s = ctx;
    struct imap *m = s->state;
    ph_buf_addf(&m->gone, "%.*s\n", PH_FMT(set));
    return ph_imap_client_store(s->engine, true, set, '+', true, &deleted);
}

static int imap_remove(struct post_source *s)
{
    return post_imap_each_set(s, flag_deleted, "the deletion", NULL, s);
}

static int imap_close(struct post_source *s)
{
    struct imap *m = s->state;
    ph_str rest = ph_buf_str(&m->gone), set;
    int rc = 0;
    /* Without UIDPLUS, EXPUNGE would also take what another program flagged: then the flag is left
     * to do its work. */
    if (ph_imap_client_caps(s->engine) & PH_IMAP_CAP(UIDPLUS))
        while (rc == 0 && ph_str_token(&rest, '\n', &set))
            if (set.n)
                rc = await(s, ph_imap_client_uid_expunge(s->engine, set), "EXPUNGE");
    if (rc == 0)
        rc = await(s, ph_imap_client_simple(s->engine, PH_IMAP_LOGOUT), "LOGOUT");
    return rc;
}

int post_imap_idle(struct post_source *s, int64_t for_ms)
{
    struct imap *m = s->state;
    if (m->exists > m->scanned)
        return 0;
    if (!(ph_imap_client_caps(s->engine) & PH_IMAP_CAP(IDLE))) {
        sleep(NOOP_S);
        return await(s, ph_imap_client_noop(s->engine), "NOOP");
    }
    s->until = ph_conn_now() + for_ms;
    int rc = await(s, ph_imap_client_simple(s->engine, PH_IMAP_IDLE), "IDLE");
    s->until = 0;
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
