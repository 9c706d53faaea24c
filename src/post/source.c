#include "source.h"
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { ITEMS_MAX = 10000000 };

void post_source_options(struct post_source_args *a, struct post_option *rows)
{
    const struct post_option all[POST_SOURCE_ROWS] = {
        {"--imap", NULL, .flag = &a->imap, .help = "read by IMAP"},
        {"--pop3", NULL, .flag = &a->pop3, .help = "read by POP3"},
        {"--mailbox", "NAME", .value = &a->mailbox, .help = "the mailbox, with IMAP (INBOX)"},
        {0}};
    memcpy(rows, all, sizeof all);
}

int post_source_open(struct post_source *s, const struct post_source_args *a,
                     struct post_login *login)
{
    if (a->pop3 == a->imap)
        return post_fail(EX_USAGE, "say --pop3 or --imap");
    if (a->pop3 && a->mailbox)
        return post_fail(EX_USAGE, "POP3 has one mailbox only: --mailbox goes with --imap");
    int rc = post_login_complete(login, a->pop3 ? POST_POP3 : POST_IMAP);
    if (rc)
        return rc;
    *s = (struct post_source){.ops = a->pop3 ? &post_source_pop3 : &post_source_imap,
                              .login = login,
                              .mailbox = a->mailbox ? a->mailbox : "INBOX"};
    rc = s->ops->open(s);
    if (rc == 0 && !a->no_mailbox)
        rc = s->ops->scan(s);
    if (rc == 0)
        return 0;
    rc = post_source_fail(s);
    post_source_close(s, false);
    return rc;
}

int post_source_fail(const struct post_source *s)
{
    return post_fail_error(&s->error);
}

int post_source_close(struct post_source *s, bool commit)
{
    int rc = 0;
    if (!s->ops)
        return 0;
    if (commit && s->ops->close(s) < 0)
        rc = post_source_fail(s);
    ph_conn_close(s->conn);
    s->ops->free(s);
    free(s->items);
    *s = (struct post_source){0};
    return rc;
}

struct post_item *post_source_add(struct post_source *s)
{
    if (s->item_n == s->item_cap) {
        size_t cap = s->item_cap ? s->item_cap * 2 : 64;
        struct post_item *more = cap <= ITEMS_MAX ? realloc(s->items, cap * sizeof *more) : NULL;
        if (!more) {
            ph_fail(&s->error, PH_ENOMEM, 0, "out of memory for a mailbox of this size");
            return NULL;
        }
        s->items = more;
        s->item_cap = cap;
    }
    struct post_item *i = &s->items[s->item_n++];
    *i = (struct post_item){.number = (uint32_t)s->item_n};
    return i;
}

int post_source_step(struct post_source *s, void (*secured)(void *engine))
{
    int rc = ph_conn_step(s->conn, &s->error);
    if (rc == PH_CONN_SECURED) {
        secured(s->engine);
        post_dialogue_tls(s->login, ph_conn_info(s->conn));
    }
    if (rc == PH_CONN_DONE)
        return ph_fail(&s->error, PH_ECLOSED, 0, "%s closed the connection",
                       ph_conn_info(s->conn)->peer);
    return rc < 0 ? rc : 0;
}
