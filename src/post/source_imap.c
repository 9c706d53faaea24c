/* IMAP as a source: SELECT, FETCH in one command, deletion by flag and EXPUNGE of what we
 * flagged. */
#include "source_imap.h"
#include <stdlib.h>
#include <string.h>

enum {
    SET_MAX = 4000,
    GONE_MAX = 256 * 1024 * 1024,
    NAME_MAX_BYTES = 4096
}; /* a command's set; all of them; a mailbox's name */

struct imap {
    struct ph_imap_session *session;
    struct post_item *coming; /* whose pieces come */
    struct ph_buf held;       /* pieces of one that has not told its UID yet */
    uint32_t scanned;         /* letters in the mailbox when it was scanned last */
    bool whole; /* between two items there is no other letter: they were scanned without a gap */
    struct ph_buf gone; /* sets of UIDs that we flagged, one a line */
    struct ph_buf name; /* of the mailbox that is open */
    post_take_piece *take;
    void *take_ctx;
    int taken;
    struct post_source *source;
    post_imap_other *other;
    void *other_ctx;
};

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

static void give(struct imap *m, struct post_item *i, ph_str piece, bool last)
{
    if (m->taken == 0 && i && i->picked)
        m->taken = m->take(m->take_ctx, i, piece, last);
}

/* A server that tells the UID behind the letter makes us keep it until then. */
static void on_chunk(struct imap *m, uint32_t uid, ph_str piece)
{
    if (!m->take)
        return;
    if (uid == 0) {
        ph_buf_add(&m->held, piece);
        return;
    }
    if (!m->coming || m->coming->number != uid)
        m->coming = post_source_find(m->source, uid);
    give(m, m->coming, piece, false);
}

static void on_fetched(struct imap *m, const struct ph_imap_fetched *f)
{
    struct post_source *s = m->source;
    if (!m->take) {
        on_scanned(s, f);
        return;
    }
    if (ph_buf_err(&m->held) && m->taken == 0) {
        ph_fail(&s->trouble.error, PH_ELIMIT, 0, "a letter is too large");
        m->taken = -PH_ELIMIT;
    }
    struct post_item *i = f->uid ? post_source_find(s, f->uid) : NULL;
    if (i && f->part_count)
        give(m, i, f->parts[0].streamed ? ph_buf_str(&m->held) : f->parts[0].value, true);
    m->coming = NULL;
    ph_buf_clear(&m->held);
}

static int on_event(void *ctx, const struct ph_imap_client_event *ev)
{
    struct imap *m = ctx;
    switch (ev->kind) {
    case PH_IMAP_CHUNK:
        on_chunk(m, ev->chunk.uid, ev->chunk.data);
        break;
    case PH_IMAP_FETCHED:
        on_fetched(m, &ev->fetch);
        break;
    case PH_IMAP_EXPUNGED:
        m->scanned -= m->scanned > 0;
        break;
    default:
        break;
    }
    if (m->other)
        m->other(m->other_ctx, ev);
    return 0;
}

int post_imap_await(struct post_source *s, int id, post_imap_other *other, void *ctx)
{
    struct imap *m = s->state;
    m->other = other;
    m->other_ctx = ctx;
    int rc = ph_imap_await(m->session, id, on_event, m, &s->trouble);
    m->other = NULL;
    return rc;
}

static int await(struct post_source *s, int id)
{
    return post_imap_await(s, id, NULL, NULL);
}

/* ---- which mailbox ----------------------------------------------------------------------- */

static const struct {
    const char *word;
    unsigned bit;
} purposes[] = {{"trash", PH_IMAP_MB_TRASH},   {"sent", PH_IMAP_MB_SENT},
                {"drafts", PH_IMAP_MB_DRAFTS}, {"archive", PH_IMAP_MB_ARCHIVE},
                {"junk", PH_IMAP_MB_JUNK},     {"spam", PH_IMAP_MB_JUNK}};

struct looking {
    ph_str asked;
    unsigned bit;
    bool exact;
    struct ph_buf *special; /* the name of the mailbox for that purpose */
};

static void on_list(void *ctx, const struct ph_imap_client_event *ev)
{
    struct looking *k = ctx;
    if (ev->kind != PH_IMAP_LIST_EV || (ev->list.bits & PH_IMAP_MB_NONEXISTENT))
        return;
    k->exact = k->exact || ph_str_eq(ev->list.name, k->asked);
    if ((ev->list.bits & k->bit) && k->special->n == 0)
        ph_buf_add(k->special, ev->list.name);
}

int post_imap_mailbox(struct post_source *s, const char *asked, bool make, struct ph_buf *name)
{
    struct ph_buf special;
    struct looking k = {.asked = ph_str_c(asked), .special = &special};
    int rc = 0;
    ph_buf_init(&special, NULL, NAME_MAX_BYTES);
    for (size_t i = 0; i < sizeof purposes / sizeof purposes[0]; i++)
        if (ph_str_ieq(k.asked, ph_str_c(purposes[i].word)))
            k.bit = purposes[i].bit;
    if (k.bit)
        rc = post_imap_await(s, ph_imap_client_list(s->engine, PH_STR(""), PH_STR("*"), false),
                             on_list, &k);
    bool inbox = ph_str_ieq(k.asked, PH_STR("INBOX"));
    ph_buf_add(name, inbox                   ? PH_STR("INBOX")
                     : !k.exact && special.n ? ph_buf_str(&special)
                                             : k.asked);
    if (rc == 0 && make && k.bit && !k.exact && special.n == 0)
        rc = post_imap_await(
            s, ph_imap_client_mailbox(s->engine, PH_IMAP_CREATE, k.asked, (ph_str){0}), NULL, NULL);
    if (rc == 0 && ph_buf_err(name))
        rc = ph_fail(&s->trouble.error, PH_ELIMIT, 0, "the mailbox's name is too long");
    ph_buf_done(&special);
    return rc;
}

/* ---- the face ---------------------------------------------------------------------------- */

static int imap_open(struct post_source *s, bool select)
{
    struct imap *m = s->state = calloc(1, sizeof *m);
    if (!m)
        return ph_fail(&s->trouble.error, PH_ENOMEM, 0, "out of memory");
    ph_buf_init(&m->held, NULL, POST_LETTER_MAX);
    ph_buf_init(&m->gone, NULL, GONE_MAX);
    ph_buf_init(&m->name, NULL, NAME_MAX_BYTES);
    m->source = s;
    int rc = ph_imap_open(&s->login->account, &m->session, &s->trouble);
    if (rc < 0)
        return rc;
    s->engine = ph_imap_engine(m->session);
    if (select) {
        rc = post_imap_mailbox(s, s->mailbox, false, &m->name);
        s->mailbox = ph_buf_cstr(&m->name);
    }
    if (select && rc == 0)
        rc = ph_imap_select(m->session, ph_buf_str(&m->name), false, &s->trouble);
    s->validity = ph_imap_box(m->session)->uidvalidity;
    return rc;
}

static int imap_scan(struct post_source *s, ph_str set)
{
    struct imap *m = s->state;
    uint32_t exists = ph_imap_box(m->session)->exists;
    m->scanned = exists;
    m->whole = ph_str_has_suffix(set, PH_STR(":*")) && ph_str_chr(set, ',') == PH_NPOS;
    if (exists == 0)
        return 0;
    int rc =
        await(s, ph_imap_client_fetch(s->engine, true, set, PH_STR("(UID FLAGS RFC822.SIZE)")));
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

static int imap_get(struct post_source *s, bool head_only, post_take_piece *take, void *ctx)
{
    struct imap *m = s->state;
    char set[SET_MAX];
    int rc = 0;
    m->take = take;
    m->take_ctx = ctx;
    m->taken = 0;
    m->coming = NULL;
    for (size_t at = 0; rc == 0 && m->taken == 0 && at < s->item_n;) {
        picked_set(s, &at, set);
        if (set[0])
            rc = await(s, ph_imap_client_fetch(s->engine, true, ph_str_c(set),
                                               head_only ? PH_STR("(UID BODY.PEEK[HEADER])")
                                                         : PH_STR("(UID BODY.PEEK[])")));
    }
    m->take = NULL;
    ph_buf_clear(&m->held);
    return rc < 0 ? rc : m->taken;
}

int post_imap_each_set(struct post_source *s, int (*command)(void *ctx, ph_str set),
                       post_imap_other *other, void *ctx)
{
    char set[SET_MAX];
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < s->item_n;) {
        picked_set(s, &at, set);
        if (set[0])
            rc = post_imap_await(s, command(ctx, ph_str_c(set)), other, ctx);
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
    return post_imap_each_set(s, flag_deleted, NULL, s);
}

/* Ends the waiting as soon as there is more than was scanned. */
static int on_news(void *ctx, const struct ph_imap_client_event *ev)
{
    struct imap *m = ctx;
    (void)on_event(m, ev);
    return ev->kind == PH_IMAP_EXISTS && ev->n > m->scanned;
}

int post_imap_idle(struct post_source *s, int64_t for_ms)
{
    struct imap *m = s->state;
    int64_t until = ph_conn_now() + for_ms;
    int rc = 0;
    while (rc == 0 && ph_imap_box(m->session)->exists <= m->scanned && ph_conn_now() < until)
        rc = ph_imap_watch(m->session, until - ph_conn_now(), -1, on_news, m, &s->trouble);
    return rc < 0 ? rc : 0;
}

static int imap_close(struct post_source *s, bool commit)
{
    struct imap *m = s->state;
    int rc = 0;
    if (!m)
        return 0;
    /* Without UIDPLUS, EXPUNGE would also take what another program flagged: then the flag is left
     * to do its work. */
    ph_str rest = ph_buf_str(&m->gone), set;
    if (m->session && (ph_imap_client_caps(s->engine) & PH_IMAP_CAP(UIDPLUS)))
        while (commit && rc == 0 && ph_str_token(&rest, '\n', &set))
            if (set.n)
                rc = await(s, ph_imap_client_uid_expunge(s->engine, set));
    ph_imap_close(m->session);
    ph_buf_done(&m->held);
    ph_buf_done(&m->gone);
    ph_buf_done(&m->name);
    free(m);
    return rc;
}

const struct post_source_ops post_source_imap = {imap_open, imap_scan, imap_get, imap_remove,
                                                 imap_close};
