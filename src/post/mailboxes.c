/* post mailboxes: LIST, then STATUS of each. */
#include "grow.h"
#include "source_imap.h"
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { MAILBOXES_MAX = 100000, ARENA_MAX = 64 * 1024 * 1024 };

struct mailbox {
    ph_str name;
    unsigned bits;
    struct ph_imap_status status;
};

struct mailboxes {
    struct ph_arena *arena;
    struct mailbox *v;
    size_t n, cap;
    bool failed;
};

static void on_event(void *ctx, const struct ph_imap_client_event *ev)
{
    struct mailboxes *m = ctx;
    if (ev->kind == PH_IMAP_STATUS_EV) {
        for (size_t i = 0; i < m->n; i++)
            if (ph_str_eq(m->v[i].name, ev->status.name))
                m->v[i].status = ev->status;
        return;
    }
    if (ev->kind != PH_IMAP_LIST_EV)
        return;
    struct mailbox *more = m->n < MAILBOXES_MAX ? ph_grow(m->v, m->n, &m->cap, sizeof *more) : NULL;
    m->failed = m->failed || !more;
    if (!more)
        return;
    m->v = more;
    ph_str name = ph_arena_copy(m->arena, ev->list.name);
    m->failed = m->failed || !name.p;
    if (name.p)
        m->v[m->n++] = (struct mailbox){.name = name, .bits = ev->list.bits};
}

static ph_str special(const struct mailbox *b)
{
    unsigned bit = b->bits & PH_IMAP_MB_SPECIAL;
    return bit ? ph_imap_mailbox_bit_name(bit & -bit) : (ph_str){0};
}

static void show(const struct mailboxes *m, bool json)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct mailbox *b = &m->v[i];
        const struct ph_imap_status *st = &b->status;
        if (json) {
            printf("%s{\"name\":", i ? ",\n" : "[");
            post_json_string(stdout, b->name);
            printf(",\"special\":");
            post_json_string(stdout, special(b));
            printf(",\"messages\":%llu,\"unseen\":%llu,\"uidnext\":%llu,\"uidvalidity\":%llu}",
                   (unsigned long long)st->messages, (unsigned long long)st->unseen,
                   (unsigned long long)st->uidnext, (unsigned long long)st->uidvalidity);
            continue;
        }
        printf("%7llu %7llu  ", (unsigned long long)st->messages, (unsigned long long)st->unseen);
        post_print(stdout, b->name);
        if (special(b).n)
            printf("  %.*s", PH_FMT(special(b)));
        putchar('\n');
    }
    if (json)
        puts(m->n ? "]" : "[]");
}

static int ask(struct post_source *s, struct mailboxes *m)
{
    const unsigned items =
        PH_IMAP_ST_MESSAGES | PH_IMAP_ST_UNSEEN | PH_IMAP_ST_UIDNEXT | PH_IMAP_ST_UIDVALIDITY;
    int rc = post_imap_await(s, ph_imap_client_list(s->engine, PH_STR(""), PH_STR("*"), false),
                             on_event, m);
    for (size_t i = 0; rc == 0 && i < m->n; i++)
        if (!(m->v[i].bits & (PH_IMAP_MB_NOSELECT | PH_IMAP_MB_NONEXISTENT)))
            rc = post_imap_await(s, ph_imap_client_status(s->engine, m->v[i].name, items), on_event,
                                 m);
    return rc < 0 ? post_source_fail(s) : m->failed ? post_fail(EX_OSERR, "out of memory") : 0;
}

static int mailboxes(struct post_login *login, bool json)
{
    const struct post_source_args a = {.imap = true, .no_mailbox = true};
    struct mailboxes m = {.arena = ph_arena_new(NULL, ARENA_MAX)};
    struct post_source s;
    if (!m.arena)
        return post_fail(EX_OSERR, "out of memory");
    int rc = post_source_open(&s, &a, login);
    if (rc == 0) {
        rc = ask(&s, &m);
        if (rc == 0)
            show(&m, json);
        int end = post_source_close(&s, true);
        rc = rc ? rc : end;
    }
    free(m.v);
    ph_arena_free(m.arena);
    return rc;
}

int post_mailboxes(int argc, char **argv)
{
    struct post_login login = {0};
    bool json = false, imap = false;
    struct post_option account[POST_LOGIN_ROWS];
    const struct post_option own[] = {
        {"--imap", NULL, .flag = &imap,
         .help = "by IMAP; POP3 has no mailboxes, so this is always so"},
        {"--json", NULL, .flag = &json, .help = "as JSON"},
        {0}};
    const struct post_option *const tables[] = {own, account, NULL};
    post_login_options(&login, account);
    int rc = post_options(argc, argv, tables, "Columns: letters, unseen ones, name.\n", 0, 0);
    rc = rc < 0 ? -1 - rc : mailboxes(&login, json);
    post_login_done(&login);
    return rc;
}
