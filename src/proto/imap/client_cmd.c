/* The client's commands, written with the same tables that the server reads them by. */
#include "b64.h"
#include "client_int.h"
#include <stdio.h>
#include <string.h>

enum { CLIENT_ANSWER_MAX = 16 * 1024 };

/* A command being written. After the first failure the rest is a no-op. */
struct draft {
    struct ph_imap_client *c;
    int err;
    size_t begin, show_begin, stops;
};

static int refuse(struct ph_imap_client *c, int code, const char *why)
{
    return ph_fail(&c->error, code, 0, "%s", why);
}

static bool offers(const struct ph_imap_client *c, uint64_t caps)
{
    return c->caps & caps;
}

/* What lets a command be used, any of it: its own capability, or IMAP4rev2 where that includes it
 * (RFC 9051 E). */
static uint64_t caps_for(const struct ph__imap_row *row)
{
    const uint64_t in_rev2 = PH_IMAP_CAP(IMAP4REV1) | PH_IMAP_CAP(NAMESPACE) |
                             PH_IMAP_CAP(UNSELECT) | PH_IMAP_CAP(ENABLE) | PH_IMAP_CAP(IDLE) |
                             PH_IMAP_CAP(MOVE);
    const uint64_t threads = PH_IMAP_CAP(THREAD_REFERENCES) | PH_IMAP_CAP(THREAD_ORDEREDSUBJECT) |
                             PH_IMAP_CAP(THREAD_REFS);
    if (row->cap & threads)
        return threads;
    return row->cap | (row->cap & in_rev2 ? PH_IMAP_CAP(IMAP4REV2) : 0);
}

static struct draft draft_new(struct ph_imap_client *c, enum ph_imap_verb verb, bool uid)
{
    const struct ph__imap_row *row = &ph__imap_rows[verb];
    struct draft d = {.c = c, .begin = c->out.n, .stops = c->stop_count};
    if (c->broken || c->bye || c->securing)
        d.err = refuse(c, PH_EORDER, "the connection is not usable any more");
    else if (!(row->states & c->state))
        d.err = refuse(c, PH_EORDER,
                       c->state == PH_IMAP_NOT_AUTH ? "log in first" : "select a mailbox first");
    else if (c->append_id || c->idling)
        d.err = refuse(c, PH_EORDER, "another command must be finished first");
    else if (c->slot_count == CLIENT_COMMANDS_MAX)
        d.err = refuse(c, PH_ELIMIT, "too many commands are under way");
    else if (c->caps && !offers(c, caps_for(row)))
        d.err = refuse(c, PH_ENOTIMPL, "the server does not offer this command");
    if (d.err)
        return d;
    ph_buf_clear(&c->show);
    char head[32];
    int n = snprintf(head, sizeof head, "A%d %s", c->last_id + 1, uid ? "UID " : "");
    ph_buf_add(&c->out, (ph_str){head, (size_t)n});
    ph_buf_add(&c->out, row->name);
    ph_buf_add(&c->show, (ph_str){head, (size_t)n});
    ph_buf_add(&c->show, row->name);
    return d;
}

static void raw(struct draft *d, ph_str s)
{
    if (d->err)
        return;
    ph_buf_add(&d->c->out, s);
    ph_buf_add(&d->c->show, s);
}

/* Text that goes as it is must not end the command early. */
static void part(struct draft *d, ph_str s)
{
    for (size_t i = 0; !d->err && i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            d->err = refuse(d->c, PH_EINVAL, "an argument holds CR, LF or NUL");
    if (!d->err && s.n == 0)
        d->err = refuse(d->c, PH_EINVAL, "an argument is empty");
    raw(d, s);
}

static void wire(struct draft *d, ph_str s)
{
    raw(d, PH_STR(" "));
    part(d, s);
}

static void stop_here(struct draft *d)
{
    struct ph_imap_client *c = d->c;
    if (c->stop_count == CLIENT_STOPS_MAX)
        d->err = refuse(c, PH_ELIMIT, "too many literals are under way");
    else
        c->stops[c->stop_count++] = c->out_base + c->out.n;
}

static bool needs_literal(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || (unsigned char)s.p[i] >= 0x80)
            return true;
    return s.n > IMAP_QUOTED_MAX;
}

/* The head of a literal: true when the server must say "+" first. */
static bool literal_head(struct draft *d, uint64_t size)
{
    bool plus = offers(d->c, PH_IMAP_CAP(LITERAL_PLUS)) ||
                (offers(d->c, PH_IMAP_CAP(LITERAL_MINUS)) && size <= 4096);
    char head[32];
    int n = snprintf(head, sizeof head, "{%llu%s}\r\n", (unsigned long long)size, plus ? "+" : "");
    if (d->err)
        return false;
    ph_buf_add(&d->c->out, (ph_str){head, (size_t)n});
    ph_buf_add(&d->c->show, (ph_str){head, (size_t)n - 2});
    if (!plus)
        stop_here(d);
    return !plus;
}

static void argument(struct draft *d, ph_str s, bool secret)
{
    struct ph_imap_client *c = d->c;
    if (!d->err && s.n && memchr(s.p, 0, s.n))
        d->err = refuse(c, PH_EINVAL, "an argument holds NUL");
    raw(d, PH_STR(" "));
    if (d->err)
        return;
    if (needs_literal(s)) {
        literal_head(d, s.n);
        ph_buf_add(&c->out, s);
    } else {
        ph__imap_put_astring(&c->out, s, false);
    }
    if (secret)
        ph_buf_add(&c->show, PH_STR("****"));
    else
        ph__imap_put_astring(&c->show, needs_literal(s) ? PH_STR("...") : s, false);
}

static void mailbox(struct draft *d, ph_str name)
{
    struct ph_buf b;
    ph_buf_init(&b, d->c->al, 8 * IMAP_MAILBOX_MAX);
    if (d->c->utf8)
        ph_buf_add(&b, name);
    else
        ph_imap_utf7_encode(name, &b);
    if (!d->err && (ph_buf_err(&b) || name.n > IMAP_MAILBOX_MAX))
        d->err = refuse(d->c, PH_EINVAL, "a mailbox name is too long");
    argument(d, ph_buf_str(&b), false);
    ph_buf_done(&b);
}

static int draft_end(struct draft *d, enum ph_imap_verb verb, bool open)
{
    struct ph_imap_client *c = d->c;
    if (!d->err && !open)
        ph_buf_add(&c->out, PH_STR("\r\n"));
    if (!d->err && ph_buf_err(&c->out))
        d->err = refuse(c, ph_buf_err(&c->out) == -PH_ELIMIT ? PH_ELIMIT : PH_ENOMEM,
                        "no room for another command");
    if (d->err) {
        if (c->out.n > d->begin)
            c->out.n = d->begin;
        c->out.err = 0;
        c->stop_count = d->stops;
        return d->err;
    }
    if (c->opt.trace)
        c->opt.trace(c->opt.trace_ctx, 'C', ph_buf_str(&c->show));
    c->slots[c->slot_count++] =
        (struct ph__imap_slot){++c->last_id, verb, open ? UINT64_MAX : c->out_base + c->out.n};
    if (c->slot_count == 1)
        c->active = c->now;
    return c->last_id;
}

static int simple(struct ph_imap_client *c, enum ph_imap_verb verb)
{
    struct draft d = draft_new(c, verb, false);
    return draft_end(&d, verb, false);
}

int ph_imap_client_simple(struct ph_imap_client *c, enum ph_imap_verb verb)
{
    static const bool bare[PH_IMAP_VERB_COUNT] = {
        [PH_IMAP_CHECK] = true,   [PH_IMAP_CLOSE] = true, [PH_IMAP_UNSELECT] = true,
        [PH_IMAP_EXPUNGE] = true, [PH_IMAP_IDLE] = true,  [PH_IMAP_LOGOUT] = true,
        [PH_IMAP_NOOP] = true,
    };
    if (!bare[verb])
        return refuse(c, PH_EINVAL, "this command takes arguments");
    return simple(c, verb);
}

int ph_imap_client_capability(struct ph_imap_client *c)
{
    return simple(c, PH_IMAP_CAPABILITY);
}

int ph_imap_client_noop(struct ph_imap_client *c)
{
    return simple(c, PH_IMAP_NOOP);
}

int ph_imap_client_namespace(struct ph_imap_client *c)
{
    return simple(c, PH_IMAP_NAMESPACE);
}

int ph_imap_client_starttls(struct ph_imap_client *c)
{
    if (c->secure)
        return refuse(c, PH_EORDER, "TLS is active already");
    if (c->caps && !offers(c, PH_IMAP_CAP(STARTTLS)))
        return refuse(c, PH_ENOTIMPL, "the server does not offer STARTTLS");
    if (c->slot_count)
        return refuse(c, PH_EORDER, "another command must be finished first");
    return simple(c, PH_IMAP_STARTTLS);
}

int ph_imap_client_id(struct ph_imap_client *c, ph_str name, ph_str version)
{
    struct draft d = draft_new(c, PH_IMAP_ID, false);
    const ph_str pairs[] = {PH_STR("name"), name, PH_STR("version"), version};
    raw(&d, PH_STR(" ("));
    for (int i = 0; !d.err && i < 4; i++) {
        if (needs_literal(pairs[i]) || (pairs[i].n && memchr(pairs[i].p, 0, pairs[i].n)))
            d.err = refuse(c, PH_EINVAL, "an argument is not plain ASCII");
        if (i)
            raw(&d, PH_STR(" "));
        if (d.err)
            break;
        ph__imap_put_string(&c->out, pairs[i].p ? pairs[i] : PH_STR(""), false);
        ph__imap_put_string(&c->show, pairs[i].p ? pairs[i] : PH_STR(""), false);
    }
    raw(&d, PH_STR(")"));
    return draft_end(&d, PH_IMAP_ID, false);
}

/* ---- login ---------------------------------------------------------------------------------- */

static int may_log_in(struct ph_imap_client *c)
{
    if (!c->secure && !c->opt.allow_plaintext)
        return refuse(c, PH_EDENIED, "refused to send a password without TLS");
    return 0;
}

int ph_imap_client_login(struct ph_imap_client *c, ph_str user, ph_str password)
{
    if (may_log_in(c) < 0)
        return -PH_EDENIED;
    if (offers(c, PH_IMAP_CAP(LOGINDISABLED)))
        return refuse(c, PH_ENOTIMPL, "the server does not allow LOGIN here");
    struct draft d = draft_new(c, PH_IMAP_LOGIN, false);
    argument(&d, user, false);
    argument(&d, password, true);
    return draft_end(&d, PH_IMAP_LOGIN, false);
}

int ph_imap_client_auth(struct ph_imap_client *c, ph_str mechanism, ph_str initial,
                        bool has_initial)
{
    struct ph_buf b64;
    struct draft d = draft_new(c, PH_IMAP_AUTHENTICATE, false);
    wire(&d, mechanism);
    ph_buf_init(&b64, c->al, CLIENT_ANSWER_MAX);
    ph_b64_encode(&b64, initial);
    if (!d.err && ph_buf_err(&b64))
        d.err = refuse(c, PH_EINVAL, "the answer is too long");
    if (!d.err && has_initial) {
        if (offers(c, PH_IMAP_CAP(SASL_IR))) {
            ph_buf_addc(&c->out, ' ');
        } else {
            ph_buf_add(&c->out, PH_STR("\r\n"));
            stop_here(&d);
        }
        ph_buf_add(&c->out, initial.n ? ph_buf_str(&b64) : PH_STR("="));
        ph_buf_add(&c->show, PH_STR(" ****"));
    }
    if (b64.p)
        ph_wipe(b64.p, b64.cap);
    ph_buf_done(&b64);
    return draft_end(&d, PH_IMAP_AUTHENTICATE, false);
}

int ph_imap_client_auth_data(struct ph_imap_client *c, ph_str answer, bool cancel)
{
    if (!c->challenged)
        return refuse(c, PH_EORDER, "there is no challenge to answer");
    size_t begin = c->out.n;
    if (cancel)
        ph_buf_addc(&c->out, '*');
    else
        ph_b64_encode(&c->out, answer);
    ph_buf_add(&c->out, PH_STR("\r\n"));
    if (ph_buf_err(&c->out)) {
        c->out.n = begin;
        c->out.err = 0;
        return refuse(c, PH_ENOMEM, "out of memory");
    }
    c->challenged = false;
    c->active = c->now;
    if (c->opt.trace)
        c->opt.trace(c->opt.trace_ctx, 'C', cancel ? PH_STR("*") : PH_STR("****"));
    return 0;
}

int ph_imap_client_raw(struct ph_imap_client *c, ph_str command)
{
    struct draft d = draft_new(c, PH_IMAP_NOOP, false);
    if (!d.err) { /* the tag alone stays */
        c->out.n -= ph__imap_rows[PH_IMAP_NOOP].name.n + 1;
        c->show.n -= ph__imap_rows[PH_IMAP_NOOP].name.n + 1;
    }
    wire(&d, command);
    return draft_end(&d, PH_IMAP_NOOP, false);
}

int ph_imap_client_enable(struct ph_imap_client *c, ph_str names)
{
    struct draft d = draft_new(c, PH_IMAP_ENABLE, false);
    wire(&d, names);
    return draft_end(&d, PH_IMAP_ENABLE, false);
}

/* ---- mailboxes ------------------------------------------------------------------------------ */

int ph_imap_client_list(struct ph_imap_client *c, ph_str reference, ph_str pattern, bool subscribed)
{
    enum ph_imap_verb verb = subscribed ? PH_IMAP_LSUB : PH_IMAP_LIST;
    struct draft d = draft_new(c, verb, false);
    mailbox(&d, reference);
    mailbox(&d, pattern);
    return draft_end(&d, verb, false);
}

int ph_imap_client_select(struct ph_imap_client *c, ph_str name, bool read_only)
{
    return ph_imap_client_select_with(c, name, read_only, (ph_str){0});
}

int ph_imap_client_select_with(struct ph_imap_client *c, ph_str name, bool read_only,
                               ph_str parameters)
{
    enum ph_imap_verb verb = read_only ? PH_IMAP_EXAMINE : PH_IMAP_SELECT;
    struct draft d = draft_new(c, verb, false);
    mailbox(&d, name);
    if (parameters.n)
        wire(&d, parameters);
    return draft_end(&d, verb, false);
}

int ph_imap_client_status(struct ph_imap_client *c, ph_str name, unsigned items)
{
    struct draft d = draft_new(c, PH_IMAP_STATUS, false);
    bool first = true;
    mailbox(&d, name);
    raw(&d, PH_STR(" ("));
    for (int i = 0; i < IMAP_STATUS_ITEMS; i++) {
        if (!(items & ph__imap_status_items[i].bit))
            continue;
        raw(&d, first ? PH_STR("") : PH_STR(" "));
        raw(&d, ph__imap_status_items[i].name);
        first = false;
    }
    raw(&d, PH_STR(")"));
    if (!d.err && first)
        d.err = refuse(c, PH_EINVAL, "no status items were asked for");
    return draft_end(&d, PH_IMAP_STATUS, false);
}

int ph_imap_client_mailbox(struct ph_imap_client *c, enum ph_imap_verb verb, ph_str name, ph_str to)
{
    struct draft d = draft_new(c, verb, false);
    if (verb != PH_IMAP_CREATE && verb != PH_IMAP_DELETE && verb != PH_IMAP_SUBSCRIBE &&
        verb != PH_IMAP_UNSUBSCRIBE && verb != PH_IMAP_RENAME && !d.err)
        d.err = refuse(c, PH_EINVAL, "not a command on mailboxes");
    mailbox(&d, name);
    if (verb == PH_IMAP_RENAME)
        mailbox(&d, to);
    return draft_end(&d, verb, false);
}

/* ---- messages ------------------------------------------------------------------------------- */

int ph_imap_client_fetch(struct ph_imap_client *c, bool uid, ph_str set, ph_str items)
{
    struct draft d = draft_new(c, PH_IMAP_FETCH, uid);
    wire(&d, set);
    wire(&d, items);
    return draft_end(&d, PH_IMAP_FETCH, false);
}

static void flags(struct draft *d, const struct ph_imap_flags *f)
{
    struct ph_buf b;
    ph_buf_init(&b, d->c->al, 16384);
    ph__imap_put_flags(&b, f);
    if (ph_buf_err(&b) && !d->err)
        d->err = refuse(d->c, PH_EINVAL, "too many keywords");
    wire(d, ph_buf_str(&b));
    ph_buf_done(&b);
}

int ph_imap_client_store(struct ph_imap_client *c, bool uid, ph_str set, char op, bool silent,
                         const struct ph_imap_flags *f)
{
    struct draft d = draft_new(c, PH_IMAP_STORE, uid);
    wire(&d, set);
    raw(&d, op == '+' ? PH_STR(" +FLAGS") : op == '-' ? PH_STR(" -FLAGS") : PH_STR(" FLAGS"));
    raw(&d, silent ? PH_STR(".SILENT") : PH_STR(""));
    flags(&d, f);
    return draft_end(&d, PH_IMAP_STORE, false);
}

int ph_imap_client_copy(struct ph_imap_client *c, bool uid, ph_str set, ph_str name, bool move)
{
    enum ph_imap_verb verb = move ? PH_IMAP_MOVE : PH_IMAP_COPY;
    struct draft d = draft_new(c, verb, uid);
    wire(&d, set);
    mailbox(&d, name);
    return draft_end(&d, verb, false);
}

int ph_imap_client_uid_expunge(struct ph_imap_client *c, ph_str set)
{
    if (c->caps && !offers(c, PH_IMAP_CAP(UIDPLUS) | PH_IMAP_CAP(IMAP4REV2)))
        return refuse(c, PH_ENOTIMPL, "the server does not offer UID EXPUNGE");
    struct draft d = draft_new(c, PH_IMAP_EXPUNGE, true);
    wire(&d, set);
    return draft_end(&d, PH_IMAP_EXPUNGE, false);
}

int ph_imap_client_search(struct ph_imap_client *c, bool uid, ph_str charset, ph_str criteria)
{
    struct draft d = draft_new(c, PH_IMAP_SEARCH, uid);
    if (charset.n) {
        raw(&d, PH_STR(" CHARSET"));
        wire(&d, charset);
    }
    wire(&d, criteria);
    return draft_end(&d, PH_IMAP_SEARCH, false);
}

static void in_charset(struct draft *d, ph_str charset, ph_str criteria)
{
    wire(d, charset.n ? charset : PH_STR("UTF-8"));
    wire(d, criteria);
}

int ph_imap_client_sort(struct ph_imap_client *c, bool uid, ph_str keys, ph_str charset,
                        ph_str criteria)
{
    struct draft d = draft_new(c, PH_IMAP_SORT, uid);
    raw(&d, PH_STR(" ("));
    part(&d, keys);
    raw(&d, PH_STR(")"));
    in_charset(&d, charset, criteria);
    return draft_end(&d, PH_IMAP_SORT, false);
}

int ph_imap_client_thread(struct ph_imap_client *c, bool uid, ph_str algorithm, ph_str charset,
                          ph_str criteria)
{
    struct draft d = draft_new(c, PH_IMAP_THREAD, uid);
    ph_str rest = ph_buf_str(&c->names), word;
    bool offered = c->caps == 0; /* not asked yet: the server will say */
    while (!offered && ph_str_token(&rest, ' ', &word))
        offered = ph_str_has_iprefix(word, PH_STR("THREAD=")) &&
                  ph_str_ieq(ph_str_skip(word, 7), algorithm);
    if (!d.err && !offered)
        d.err = refuse(c, PH_ENOTIMPL, "the server does not offer this algorithm of THREAD");
    wire(&d, algorithm);
    in_charset(&d, charset, criteria);
    return draft_end(&d, PH_IMAP_THREAD, false);
}

int ph_imap_client_append(struct ph_imap_client *c, ph_str name, const struct ph_imap_flags *f,
                          int64_t date, int zone, uint64_t size)
{
    struct draft d = draft_new(c, PH_IMAP_APPEND, false);
    mailbox(&d, name);
    if (f && (f->bits || f->keywords.n))
        flags(&d, f);
    if (!d.err && date != INT64_MIN) {
        raw(&d, PH_STR(" "));
        ph__imap_date_time_write(&c->out, date, zone);
        ph__imap_date_time_write(&c->show, date, zone);
    }
    raw(&d, PH_STR(" "));
    bool sync = literal_head(&d, size);
    int id = draft_end(&d, PH_IMAP_APPEND, true);
    if (id < 0)
        return id;
    c->append_id = id;
    c->append_left = size;
    c->append_sync = c->append_wait = sync;
    if (size == 0 && !sync)
        (void)ph_imap_client_append_data(c, PH_STR(""));
    return id;
}

int ph_imap_client_idle_done(struct ph_imap_client *c)
{
    if (!c->idling)
        return refuse(c, PH_EORDER, "there is no IDLE to end");
    c->idling = false;
    c->active = c->now;
    ph_buf_add(&c->out, PH_STR("DONE\r\n"));
    if (c->opt.trace)
        c->opt.trace(c->opt.trace_ctx, 'C', PH_STR("DONE"));
    return ph_buf_err(&c->out);
}
