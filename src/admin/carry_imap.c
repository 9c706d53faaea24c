/* carry_imap.c - any IMAP server as a source: every mailbox that can be opened, read only, letter
 * by letter. */
#include "carry.h"

#include <posthouse/fetch.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = STORE_MAILBOXES_MAX, LETTER_MAX = 1 << 30 };

struct name {
    char *text;
    char separator;
};

struct source {
    struct name names[NAMES_MAX];
    size_t n;
    char mailbox[STORE_NAME_MAX + 1]; /* of the one under way, with "/" */
    uint32_t uidvalidity;
    struct ph_buf letter;
    struct ph_error *reterr;
    carry_take *take;
    void *ctx;
};

static int add_name(void *ctx, const struct ph_imap_client_event *ev)
{
    struct source *s = ctx;
    if (ev->kind != PH_IMAP_LIST_EV ||
        ev->list.bits & (PH_IMAP_MB_NOSELECT | PH_IMAP_MB_NONEXISTENT) || s->n == NAMES_MAX)
        return 0;
    char *text = strndup(ev->list.name.n ? ev->list.name.p : "", ev->list.name.n);
    if (!text)
        return ph_fail(s->reterr, PH_ENOMEM, 0, "out of memory");
    s->names[s->n++] = (struct name){text, ev->list.separator};
    return 0;
}

static unsigned flags_of(unsigned bits)
{
    return (bits & PH_IMAP_SEEN ? STORE_SEEN : 0u) |
           (bits & PH_IMAP_ANSWERED ? STORE_ANSWERED : 0u) |
           (bits & PH_IMAP_FLAGGED ? STORE_FLAGGED : 0u) |
           (bits & PH_IMAP_DELETED ? STORE_DELETED : 0u) |
           (bits & PH_IMAP_DRAFT ? STORE_DRAFT : 0u);
}

/* A letter comes as pieces, then its flags and date. */
static int on_fetch(void *ctx, const struct ph_imap_client_event *ev)
{
    struct source *s = ctx;
    if (ev->kind == PH_IMAP_CHUNK)
        ph_buf_add(&s->letter, ev->chunk.data);
    if (ev->kind != PH_IMAP_FETCHED || ev->fetch.part_count == 0)
        return 0;
    const struct ph_imap_fetched *f = &ev->fetch;
    struct carry_letter l = {.mailbox = ph_str_c(s->mailbox),
                             .flags = flags_of(f->flags.bits),
                             .keywords = f->flags.keywords,
                             .date = f->date * 1000000,
                             .uid = f->uid,
                             .uidvalidity = s->uidvalidity,
                             .bytes =
                                 f->parts[0].streamed ? ph_buf_str(&s->letter) : f->parts[0].value};
    int r = ph_buf_err(&s->letter) ? ph_fail(s->reterr, PH_ELIMIT, 0,
                                             "letter %u of %s is too large", f->uid, s->mailbox)
                                   : s->take(s->ctx, &l);
    ph_buf_clear(&s->letter);
    return r;
}

/* The server's separator becomes "/", a "/" in a name "_". */
static void name_mailbox(struct source *s, const struct name *name)
{
    snprintf(s->mailbox, sizeof s->mailbox, "%s", name->text);
    for (char *p = s->mailbox; *p; p++)
        *p = name->separator && *p == name->separator ? '/'
             : *p == '/' || *p == '%' || *p == '*'    ? '_'
                                                      : *p;
}

static int read_mailbox(struct ph_imap_session *session, struct source *s, const struct name *name,
                        struct ph_trouble *t)
{
    int r = ph_imap_select(session, ph_str_c(name->text), true, t);
    if (r < 0)
        return r;
    name_mailbox(s, name);
    s->uidvalidity = ph_imap_box(session)->uidvalidity;
    if (ph_imap_box(session)->exists == 0)
        return 0;
    return ph_imap_fetch(session, PH_STR("1:*"), PH_STR("(UID FLAGS INTERNALDATE BODY.PEEK[])"),
                         on_fetch, s, t);
}

int carry_from_imap(const struct ph_account *account, carry_take *take, void *ctx,
                    struct ph_error *reterr)
{
    struct ph_imap_session *session = NULL;
    struct ph_trouble t = {0};
    struct source *s = calloc(1, sizeof *s);
    if (!s)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    s->take = take;
    s->ctx = ctx;
    s->reterr = reterr;
    ph_buf_init(&s->letter, NULL, LETTER_MAX);
    int r = ph_imap_open(account, &session, &t);
    if (r >= 0)
        r = ph_imap_await(
            session, ph_imap_client_list(ph_imap_engine(session), PH_STR(""), PH_STR("*"), false),
            add_name, s, &t);
    for (size_t i = 0; i < s->n; i++) {
        if (r >= 0)
            r = read_mailbox(session, s, &s->names[i], &t);
        free(s->names[i].text);
    }
    if (r < 0 && t.error.code && reterr && !reterr->code)
        *reterr = t.error;
    ph_imap_close(session);
    ph_buf_done(&s->letter);
    free(s);
    return r < 0 ? r : 0;
}
