/* What programs want of an IMAP mailbox, made of commands that the server may or may not have. */
#include "imap_session.h"
#include <poll.h>
#include <stdio.h>

enum { IDLE_MS = 28 * 60 * 1000, POLL_MS = 60 * 1000, ENABLE_MAX = 128, RESYNC_MAX = 60 * 1024 };

static bool offers(const struct ph_imap_session *s, uint64_t caps)
{
    return ph_imap_client_caps(s->client) & caps;
}

int ph_imap_select(struct ph_imap_session *s, ph_str mailbox, bool read_only,
                   struct ph_trouble *rett)
{
    s->box = (struct ph_imap_box){.read_only = read_only};
    return ph__imap_ask(s, ph_imap_client_select(s->client, mailbox, read_only), PH_STAGE_MAILBOX,
                        "the mailbox", NULL, NULL, rett);
}

int ph_imap_enable(struct ph_imap_session *s, struct ph_trouble *rett)
{
    static const struct {
        uint64_t cap;
        const char *name;
    } rows[] = {{PH_IMAP_CAP(CONDSTORE), " CONDSTORE"},
                {PH_IMAP_CAP(QRESYNC), " QRESYNC"},
                {PH_IMAP_CAP(UTF8_ACCEPT), " UTF8=ACCEPT"}};
    char names[ENABLE_MAX] = "";
    size_t n = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (offers(s, rows[i].cap))
            n += (size_t)snprintf(names + n, sizeof names - n, "%s", rows[i].name);
    if (n == 0 || !offers(s, PH_IMAP_CAP(ENABLE) | PH_IMAP_CAP(IMAP4REV2)))
        return 0;
    int rc = ph__imap_ask(s, ph_imap_client_enable(s->client, ph_str_c(names + 1)),
                          PH_STAGE_COMMAND, "ENABLE", NULL, NULL, rett);
    s->qresync |= rc == 0 && offers(s, PH_IMAP_CAP(QRESYNC));
    return rc;
}

int ph_imap_resync(struct ph_imap_session *s, ph_str mailbox, bool read_only,
                   const struct ph_imap_known *known, ph_imap_each *each, void *ctx,
                   struct ph_trouble *rett)
{
    struct ph_buf b;
    bool asked = known->modseq && known->uidvalidity && offers(s, PH_IMAP_CAP(QRESYNC));
    if (asked && !s->qresync) {
        int rc = ph_imap_enable(s, rett);
        if (rc < 0)
            return rc;
    }
    if (!asked || !s->qresync)
        return ph_imap_select(s, mailbox, read_only, rett);
    ph_buf_init(&b, NULL, RESYNC_MAX);
    ph_buf_addf(&b, "(QRESYNC (%u %llu%s", known->uidvalidity, (unsigned long long)known->modseq,
                known->uids.n ? " " : "");
    ph_buf_add(&b, known->uids);
    ph_buf_add(&b, PH_STR("))"));
    int rc = ph_buf_err(&b);
    s->what = "the mailbox";
    s->box = (struct ph_imap_box){.read_only = read_only};
    rc = rc < 0 ? ph__imap_misuse(s, rc, rett)
                : ph__imap_ask(
                      s, ph_imap_client_select_with(s->client, mailbox, read_only, ph_buf_str(&b)),
                      PH_STAGE_MAILBOX, "the mailbox", each, ctx, rett);
    ph_buf_done(&b);
    return rc ? rc : s->box.uidvalidity == known->uidvalidity;
}

int ph_imap_compress(struct ph_imap_session *s, struct ph_trouble *rett)
{
    if (!offers(s, PH_IMAP_CAP(COMPRESS)) || ph_conn_info(s->conn)->compressed)
        return 0;
    int rc = ph__imap_ask(s, ph_imap_client_raw(s->client, PH_STR("COMPRESS DEFLATE")),
                          PH_STAGE_COMMAND, "COMPRESS", NULL, NULL, rett);
    if (rc == 0)
        rc = ph_conn_compress(s->conn, ph_imap_client_unread(s->client));
    return rc;
}

/* ---- the mailbox for a purpose ------------------------------------------------------------- */

/* Names in use where there is no SPECIAL-USE, "/" standing for any separator. */
static const struct {
    unsigned bit;
    const char *names;
} known_names[] = {
    {PH_IMAP_MB_TRASH,
     "Trash|INBOX/Trash|Deleted Messages|Deleted Items|Deleted|Bin|Papierkorb|Corbeille|Papelera|"
     "[Gmail]/Trash|[Gmail]/"
     "Bin|\xe5\xb7\xb2\xe5\x88\xa0\xe9\x99\xa4|\xe5\x9e\x83\xe5\x9c\xbe\xe7\xae\xb1|"
     "\xe5\xb7\xb2\xe5\x88\xa0\xe9\x99\xa4\xe9\x82\xae\xe4\xbb\xb6"},
    {PH_IMAP_MB_SENT, "Sent|INBOX/Sent|Sent Messages|Sent Items|Sent Mail|[Gmail]/Sent "
                      "Mail|Gesendet|Gesendete Objekte|"
                      "Envoy\xc3\xa9s|\xe5\xb7\xb2\xe5\x8f\x91\xe9\x80\x81|"
                      "\xe5\xb7\xb2\xe5\x8f\x91\xe9\x82\xae\xe4\xbb\xb6"},
    {PH_IMAP_MB_DRAFTS, "Drafts|INBOX/Drafts|Draft|[Gmail]/"
                        "Drafts|Entw\xc3\xbcrfe|Brouillons|\xe8\x8d\x89\xe7\xa8\xbf\xe7\xae\xb1|"
                        "\xe8\x8d\x89\xe7\xa8\xbf"},
    {PH_IMAP_MB_JUNK,
     "Junk|INBOX/Junk|Spam|INBOX/Spam|Junk E-mail|Junk Email|Bulk Mail|[Gmail]/Spam|"
     "\xe5\x9e\x83\xe5\x9c\xbe\xe9\x82\xae\xe4\xbb\xb6"},
    {PH_IMAP_MB_ARCHIVE, "Archive|INBOX/Archive|Archives|Archiv|[Gmail]/All Mail"},
    {PH_IMAP_MB_ALL, "[Gmail]/All Mail|All Mail"},
    {PH_IMAP_MB_FLAGGED, "[Gmail]/Starred|Starred|Flagged"},
};

struct search {
    unsigned bit;
    ph_str names;
    struct ph_buf *name;
    size_t best; /* place in names of what is in `name` */
    bool special;
};

/* Equal, "/" of the pattern being the separator of this server. */
static bool is_name(ph_str name, ph_str pattern, char separator)
{
    if (name.n != pattern.n)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char want = pattern.p[i] == '/' && separator ? separator : pattern.p[i];
        if (!ph_str_ieq((ph_str){&name.p[i], 1}, (ph_str){&want, 1}))
            return false;
    }
    return true;
}

static int on_list(void *ctx, const struct ph_imap_client_event *ev)
{
    struct search *s = ctx;
    if (ev->kind != PH_IMAP_LIST_EV || (ev->list.bits & PH_IMAP_MB_NOSELECT) || s->special)
        return 0;
    if (ev->list.bits & s->bit) {
        s->special = true;
        ph_buf_clear(s->name);
        ph_buf_add(s->name, ev->list.name);
        return 0;
    }
    ph_str rest = s->names, one;
    for (size_t at = 1; ph_str_token(&rest, '|', &one); at++)
        if ((s->best == 0 || at < s->best) && is_name(ev->list.name, one, ev->list.separator)) {
            s->best = at;
            ph_buf_clear(s->name);
            ph_buf_add(s->name, ev->list.name);
        }
    return 0;
}

int ph_imap_find_special(struct ph_imap_session *s, unsigned bit, struct ph_buf *name,
                         struct ph_trouble *rett)
{
    struct ph_buf found;
    ph_buf_init(&found, NULL, 4096);
    struct search look = {.bit = bit, .name = &found};
    for (size_t i = 0; i < sizeof known_names / sizeof known_names[0]; i++)
        if (known_names[i].bit == bit)
            look.names = ph_str_c(known_names[i].names);
    int rc = ph__imap_ask(s, ph_imap_client_list(s->client, PH_STR(""), PH_STR("*"), false),
                          PH_STAGE_COMMAND, "LIST", on_list, &look, rett);
    if (rc == 0 && (look.special || look.best)) {
        ph_buf_add(name, ph_buf_str(&found));
        rc = ph_buf_err(name) ? ph__imap_misuse(s, ph_buf_err(name), rett) : 1;
    }
    ph_buf_done(&found);
    return rc;
}

/* ---- messages ------------------------------------------------------------------------------ */

int ph_imap_fetch(struct ph_imap_session *s, ph_str uids, ph_str items, ph_imap_each *each,
                  void *ctx, struct ph_trouble *rett)
{
    return ph__imap_ask(s, ph_imap_client_fetch(s->client, true, uids, items), PH_STAGE_FETCH,
                        "FETCH", each, ctx, rett);
}

int ph_imap_remove(struct ph_imap_session *s, ph_str uids, struct ph_trouble *rett)
{
    const struct ph_imap_flags deleted = {.bits = PH_IMAP_DELETED};
    int rc = ph__imap_ask(s, ph_imap_client_store(s->client, true, uids, '+', true, &deleted),
                          PH_STAGE_COMMAND, "the deletion", NULL, NULL, rett);
    if (rc != 0)
        return rc;
    if (!offers(s, PH_IMAP_CAP(UIDPLUS) | PH_IMAP_CAP(IMAP4REV2)))
        return 1;
    return ph__imap_ask(s, ph_imap_client_uid_expunge(s->client, uids), PH_STAGE_COMMAND, "EXPUNGE",
                        NULL, NULL, rett);
}

int ph_imap_move(struct ph_imap_session *s, ph_str uids, ph_str mailbox, struct ph_trouble *rett)
{
    if (offers(s, PH_IMAP_CAP(MOVE) | PH_IMAP_CAP(IMAP4REV2)))
        return ph__imap_ask(s, ph_imap_client_copy(s->client, true, uids, mailbox, true),
                            PH_STAGE_COMMAND, "MOVE", NULL, NULL, rett);
    int rc = ph__imap_ask(s, ph_imap_client_copy(s->client, true, uids, mailbox, false),
                          PH_STAGE_COMMAND, "COPY", NULL, NULL, rett);
    return rc == 0 ? ph_imap_remove(s, uids, rett) : rc;
}

static int on_appended(void *ctx, const struct ph_imap_client_event *ev)
{
    uint64_t uid = 0;
    if (ev->kind == PH_IMAP_RESULT && ev->code.kind == PH_IMAP_CODE_APPENDUID &&
        ph_str_u64(ev->code.to, UINT32_MAX, &uid))
        *(uint32_t *)ctx = (uint32_t)uid;
    return 0;
}

int ph_imap_append(struct ph_imap_session *s, ph_str mailbox, const struct ph_imap_flags *flags,
                   ph_str message, uint32_t *ret_uid, struct ph_trouble *rett)
{
    struct ph_imap_client_event ev;
    uint32_t uid = 0;
    s->stage = PH_STAGE_COMMAND;
    s->what = "APPEND";
    int id = ph_imap_client_append(s->client, mailbox, flags, INT64_MIN, 0, message.n);
    if (id < 0)
        return ph__imap_misuse(s, id, rett);
    while (message.n) {
        int64_t n = ph_imap_client_append_data(s->client, message);
        if (n < 0) /* the server has answered already, or is gone: that is told below */
            break;
        message = ph_str_skip(message, (size_t)n);
        if (n > 0)
            continue;
        s->until = ph_conn_now() + POLL_MS; /* until there is room, or "+" */
        int kind = ph__imap_next(s, &ev, rett);
        s->until = PH_NEVER;
        if (kind < 0)
            return kind;
        (void)ph__imap_tell(s, &ev, on_appended, &uid);
        if (kind != PH_IMAP_RESULT || ev.id != id)
            continue;
        if (ev.cond == PH_IMAP_OK && ret_uid)
            *ret_uid = uid;
        return ev.cond == PH_IMAP_OK ? 0 : ph__imap_refused(s, &ev, rett);
    }
    int rc = ph_imap_await(s, id, on_appended, &uid, rett);
    if (rc == 0 && ret_uid)
        *ret_uid = uid;
    return rc;
}

/* ---- waiting for news ---------------------------------------------------------------------- */

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* Hears events until one stops it, the time has come, or fd can be read. >= 0: what `each` said. */
static int listen_until(struct ph_imap_session *s, int64_t until, int fd, ph_imap_each *each,
                        void *ctx, bool *ret_ended, struct ph_trouble *rett)
{
    struct ph_imap_client_event ev;
    int rc = 0;
    s->until = until;
    s->fd = fd;
    while (rc == 0) {
        int kind = ph__imap_next(s, &ev, rett);
        if (kind == PH_IMAP_NEED && (ph_conn_now() >= until || is_readable(fd)))
            break;
        if (kind == PH_IMAP_RESULT) /* IDLE ended by the server */
            *ret_ended = true;
        rc = kind < 0 ? kind : kind == PH_IMAP_NEED ? 0 : ph__imap_tell(s, &ev, each, ctx);
        if (*ret_ended)
            break;
    }
    s->until = PH_NEVER;
    s->fd = -1;
    return rc;
}

/* One IDLE, or one NOOP and a minute of silence. */
static int watch_once(struct ph_imap_session *s, int64_t until, int fd, ph_imap_each *each,
                      void *ctx, struct ph_trouble *rett)
{
    int64_t now = ph_conn_now();
    bool idle = offers(s, PH_IMAP_CAP(IDLE) | PH_IMAP_CAP(IMAP4REV2)), ended = false;
    int64_t turn = now + (!idle ? POLL_MS : s->renew ? s->renew : IDLE_MS);
    s->stage = PH_STAGE_MAILBOX;
    s->what = idle ? "IDLE" : "NOOP";
    if (!idle) {
        int rc = ph_imap_await(s, ph_imap_client_noop(s->client), each, ctx, rett);
        return rc ? rc : listen_until(s, until < turn ? until : turn, fd, each, ctx, &ended, rett);
    }
    int id = ph_imap_client_simple(s->client, PH_IMAP_IDLE);
    if (id < 0)
        return ph__imap_misuse(s, id, rett);
    int rc = listen_until(s, until < turn ? until : turn, fd, each, ctx, &ended, rett);
    if (ended || s->over)
        return rc;
    struct ph_imap_client_event ev; /* DONE is possible only after "+" */
    int done;
    while ((done = ph_imap_client_idle_done(s->client)) == -PH_EORDER) {
        int kind = ph__imap_next(s, &ev, rett);
        if (kind < 0)
            return kind;
        int told = ph__imap_tell(s, &ev, rc ? NULL : each, ctx);
        rc = rc ? rc : told;
        if (kind == PH_IMAP_RESULT && ev.id == id)
            return rc;
    }
    int last = ph_imap_await(s, done < 0 ? done : id, rc ? NULL : each, ctx, rett);
    return rc ? rc : last;
}

void ph_imap_renew_after(struct ph_imap_session *s, int64_t ms)
{
    s->renew = ms;
}

int ph_imap_watch(struct ph_imap_session *s, int64_t for_ms, int fd, ph_imap_each *each, void *ctx,
                  struct ph_trouble *rett)
{
    int64_t until = for_ms == PH_NEVER ? PH_NEVER : ph_conn_now() + for_ms;
    int rc = 0;
    do
        rc = watch_once(s, until, fd, each, ctx, rett);
    while (rc == 0 && ph_conn_now() < until && !is_readable(fd));
    return rc;
}
