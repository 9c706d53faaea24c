/* What both kinds of source have in common: the arguments, the list of letters, the connection. */
#include "source.h"
#include "account.h"
#include "grow.h"
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { ITEMS_MAX = 10000000, SET_MAX = 4096 };

void post_source_options(struct post_source_args *a, struct post_option *rows)
{
    const struct post_option all[POST_SOURCE_ROWS] = {
        {"--imap", NULL, .flag = &a->imap, .help = "read by IMAP"},
        {"--pop3", NULL, .flag = &a->pop3, .help = "read by POP3"},
        {"--mailbox", "NAME", .value = &a->mailbox,
         .help = "the mailbox, with IMAP (INBOX); or trash, sent, drafts, archive, junk"},
        {0}};
    memcpy(rows, all, sizeof all);
}

/* POP3 or not: options weigh more than the account. */
static int choose(const struct post_source_args *a, struct post_login *login, bool *ret_pop3)
{
    if (a->pop3 && a->imap)
        return post_fail(EX_USAGE, "say --pop3 or --imap");
    int rc = a->pop3 || a->imap ? 0 : post_account_open(login);
    const char *said = post_account_get(login, "", "protocol");
    *ret_pop3 = a->pop3 || (!a->imap && said && strcmp(said, "pop3") == 0);
    if (rc == 0 && *ret_pop3 && a->no_mailbox)
        rc = post_fail(EX_USAGE, "this goes by IMAP only; POP3 has one mailbox and no flags");
    if (rc == 0 && *ret_pop3 && a->mailbox)
        rc = post_fail(EX_USAGE, "POP3 has one mailbox only: --mailbox goes with --imap");
    return rc;
}

int post_source_open(struct post_source *s, const struct post_source_args *a,
                     struct post_login *login)
{
    bool pop3 = false;
    *s = (struct post_source){0};
    int rc = choose(a, login, &pop3);
    if (rc == 0)
        rc = post_login_complete(login, pop3 ? POST_POP3 : POST_IMAP);
    if (rc)
        return rc;
    *s = (struct post_source){.ops = pop3 ? &post_source_pop3 : &post_source_imap,
                              .login = login,
                              .mailbox = a->mailbox ? a->mailbox : "INBOX"};
    login->account.transcript = post_transcript(login);
    if (s->ops->open(s, !a->no_mailbox) == 0)
        return 0;
    rc = post_source_fail(s);
    post_source_close(s, false);
    return rc;
}

int post_source_fail(const struct post_source *s)
{
    return post_fail_trouble(&s->trouble);
}

int post_source_close(struct post_source *s, bool commit)
{
    int rc = 0;
    if (!s->ops)
        return 0;
    if (s->ops->close(s, commit) < 0 && commit)
        rc = post_source_fail(s);
    free(s->items);
    *s = (struct post_source){0};
    return rc;
}

struct whole {
    struct ph_buf letter;
    post_take *take;
    void *ctx;
};

static int keep_piece(void *ctx, struct post_item *item, ph_str piece, bool last)
{
    struct whole *w = ctx;
    bool alone = last && w->letter.n == 0;
    if (!alone)
        ph_buf_add(&w->letter, piece);
    if (ph_buf_err(&w->letter))
        return post_fail(EX_DATAERR, "letter %u is too large to be looked at; post fetch takes it",
                         item->number);
    int rc = last ? w->take(w->ctx, item, alone ? piece : ph_buf_str(&w->letter)) : 0;
    if (last)
        ph_buf_clear(&w->letter);
    return rc;
}

static int told(const struct post_source *s, int rc)
{
    return rc < 0 ? post_source_fail(s) : rc;
}

int post_source_get(struct post_source *s, bool head_only, post_take *take, void *ctx)
{
    struct whole w = {.take = take, .ctx = ctx};
    ph_buf_init(&w.letter, NULL, POST_LETTER_MAX);
    int rc = s->ops->get(s, head_only, keep_piece, &w);
    ph_buf_done(&w.letter);
    return told(s, rc);
}

int post_source_stream(struct post_source *s, post_take_piece *take, void *ctx)
{
    return told(s, s->ops->get(s, false, take, ctx));
}

int post_source_remove(struct post_source *s)
{
    return told(s, s->ops->remove(s));
}

/* ---- the letters that are meant ---------------------------------------------------------- */

/* "7", "7:9", "7:*": 0, or an exit code with the mistake told. */
static int read_range(const char *arg, uint64_t *lo, uint64_t *hi)
{
    ph_str rest = ph_str_c(arg), first = rest;
    size_t colon = ph_str_chr(rest, ':');
    *hi = UINT32_MAX;
    if (colon != PH_NPOS)
        first = ph_str_sub(rest, 0, colon);
    ph_str last = colon == PH_NPOS ? first : ph_str_skip(rest, colon + 1);
    if (!ph_str_u64(first, UINT32_MAX, lo) ||
        (!ph_str_eq(last, PH_STR("*")) && !ph_str_u64(last, UINT32_MAX, hi)) || *lo == 0 ||
        *hi < *lo)
        return post_fail(EX_USAGE, "\"%s\" is not the number of a letter; post list shows them",
                         arg);
    return 0;
}

static int pick_range(struct post_source *s, const char *arg, uint64_t lo, uint64_t hi)
{
    bool found = false;
    for (size_t i = 0; i < s->item_n; i++)
        if (s->items[i].number >= lo && s->items[i].number <= hi)
            s->items[i].picked = found = true;
    return found ? 0 : post_fail(EX_DATAERR, "there is no letter %s", arg);
}

int post_source_pick(struct post_source *s, int argc, char **argv)
{
    struct ph_buf set;
    uint64_t lo, hi;
    int rc = 0;
    bool all = argc == 0;
    ph_buf_init(&set, NULL, SET_MAX);
    for (int i = 0; rc == 0 && i < argc; i++) {
        all = all || strcmp(argv[i], "all") == 0;
        rc = all ? 0 : read_range(argv[i], &lo, &hi);
        ph_buf_addf(&set, "%s%s", i ? "," : "", argv[i]);
    }
    if (rc == 0 && s->ops->scan(s, all || ph_buf_err(&set) ? PH_STR("1:*") : ph_buf_str(&set)) < 0)
        rc = post_source_fail(s);
    for (size_t i = 0; all && i < s->item_n; i++)
        s->items[i].picked = true;
    for (int i = 0; rc == 0 && !all && i < argc; i++) {
        rc = read_range(argv[i], &lo, &hi);
        rc = rc ? rc : pick_range(s, argv[i], lo, hi);
    }
    ph_buf_done(&set);
    return rc;
}

/* ---- for the sources --------------------------------------------------------------------- */

struct post_item *post_source_add(struct post_source *s)
{
    struct post_item *more =
        s->item_n < ITEMS_MAX ? ph_grow(s->items, s->item_n, &s->item_cap, sizeof *more) : NULL;
    if (!more) {
        ph_fail(&s->trouble.error, PH_ENOMEM, 0, "out of memory for a mailbox of this size");
        return NULL;
    }
    s->items = more;
    struct post_item *i = &s->items[s->item_n++];
    *i = (struct post_item){0};
    return i;
}

static int by_number(const void *a, const void *b)
{
    const struct post_item *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

void post_source_sort(struct post_source *s)
{
    size_t n = 0;
    bool sorted = true;
    for (size_t i = 1; i < s->item_n; i++)
        sorted = sorted && s->items[i - 1].number < s->items[i].number;
    if (sorted)
        return;
    qsort(s->items, s->item_n, sizeof *s->items, by_number);
    for (size_t i = 0; i < s->item_n; i++) {
        if (n && s->items[n - 1].number == s->items[i].number)
            n--;
        s->items[n++] = s->items[i];
    }
    s->item_n = n;
}

struct post_item *post_source_find(const struct post_source *s, uint32_t number)
{
    const struct post_item key = {.number = number};
    return s->item_n ? bsearch(&key, s->items, s->item_n, sizeof key, by_number) : NULL;
}
