/* post flag, move, copy, delete: what is changed in a mailbox, by IMAP. The letters are picked by
 * number first, so that one that is not there is told and nothing is done. */
#include "source_imap.h"
#include <string.h>
#include <sysexits.h>

enum { NAME_MAX_BYTES = 4096, UIDS_MAX = 1024 * 1024, WORDS = 64 };

struct change {
    struct post_source source;
    struct ph_buf mailbox; /* where to */
    bool move, json;
    struct ph_buf uids; /* COPYUID: their numbers there */
    struct ph_imap_flags flags;
    char op;
};

/* ---- move and copy ----------------------------------------------------------------------- */

static void on_copied(void *ctx, const struct ph_imap_client_event *ev)
{
    struct change *c = ctx;
    if ((ev->kind == PH_IMAP_RESULT || ev->kind == PH_IMAP_CONDITION) &&
        ev->code.kind == PH_IMAP_CODE_COPYUID)
        ph_buf_addf(&c->uids, "%s%.*s", c->uids.n ? "," : "", PH_FMT(ev->code.to));
}

static int copy(void *ctx, ph_str set)
{
    struct change *c = ctx;
    bool move = c->move && (ph_imap_client_caps(c->source.engine) & PH_IMAP_CAP(MOVE));
    return ph_imap_client_copy(c->source.engine, true, set, ph_buf_str(&c->mailbox), move);
}

static size_t picked(const struct post_source *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->item_n; i++)
        n += s->items[i].picked;
    return n;
}

static void tell(struct change *c, const char *done)
{
    size_t n = picked(&c->source);
    if (c->json) {
        printf("{\"%s\":%zu,\"mailbox\":", done, n);
        post_json_string(stdout, ph_buf_str(&c->mailbox));
        printf(",\"numbers\":");
        post_json_string(stdout, ph_buf_str(&c->uids));
        puts("}");
        return;
    }
    printf("%s %zu letter%s%s", done, n, n == 1 ? "" : "s", c->mailbox.n ? " to " : "");
    post_print(stdout, ph_buf_str(&c->mailbox));
    if (c->uids.n) /* their numbers there, to fetch them back */
        printf(" as %.*s", PH_FMT(ph_buf_str(&c->uids)));
    putchar('\n');
}

/* Without MOVE (RFC 6851): copy, flag as deleted, expunge exactly these. */
static int transfer(struct change *c, const char *to, const char *done)
{
    struct post_source *s = &c->source;
    int rc = post_imap_mailbox(s, to, true, &c->mailbox) < 0 ? post_source_fail(s) : 0;
    if (rc == 0 && post_imap_each_set(s, copy, on_copied, c) < 0)
        rc = post_source_fail(s);
    if (rc == 0 && c->move && !(ph_imap_client_caps(s->engine) & PH_IMAP_CAP(MOVE)))
        rc = post_source_remove(s);
    if (rc == 0)
        tell(c, done);
    return rc;
}

/* ---- flags ------------------------------------------------------------------------------- */

struct words {
    const char *v[WORDS];
    size_t n;
};

static void on_word(void *ctx, const char *v)
{
    struct words *w = ctx;
    if (w->n < WORDS)
        w->v[w->n++] = v;
}

static void read_flags(const struct words *w, struct ph_imap_flags *ret, struct ph_buf *keywords)
{
    static const struct {
        const char *word;
        unsigned bit;
    } rows[] = {{"seen", PH_IMAP_SEEN},
                {"answered", PH_IMAP_ANSWERED},
                {"flagged", PH_IMAP_FLAGGED},
                {"deleted", PH_IMAP_DELETED},
                {"draft", PH_IMAP_DRAFT}};
    ret->bits = 0;
    for (size_t i = 0; i < w->n; i++) {
        unsigned bit = 0;
        ph_str word = ph_str_c(w->v[i]);
        if (word.n && word.p[0] == '\\')
            word = ph_str_skip(word, 1);
        for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++)
            bit |= ph_str_ieq(word, ph_str_c(rows[k].word)) ? rows[k].bit : 0u;
        ret->bits |= bit;
        if (!bit)
            ph_buf_addf(keywords, "%s%s", keywords->n ? " " : "", w->v[i]);
    }
    ret->keywords = ph_buf_str(keywords);
}

static int store(void *ctx, ph_str set)
{
    const struct change *c = ctx;
    return ph_imap_client_store(c->source.engine, true, set, c->op, true, &c->flags);
}

static int set_flags(struct change *c, const struct words *w, char op)
{
    struct ph_buf keywords;
    int rc = 0;
    if (w->n == 0)
        return 0;
    ph_buf_init(&keywords, NULL, 64 * 1024);
    c->op = op;
    read_flags(w, &c->flags, &keywords);
    if (post_imap_each_set(&c->source, store, NULL, c) < 0)
        rc = post_source_fail(&c->source);
    ph_buf_done(&keywords);
    return rc;
}

/* ---- the verbs --------------------------------------------------------------------------- */

static void init(struct change *c)
{
    *c = (struct change){0};
    ph_buf_init(&c->mailbox, NULL, NAME_MAX_BYTES);
    ph_buf_init(&c->uids, NULL, UIDS_MAX);
}

static void done(struct change *c)
{
    ph_buf_done(&c->mailbox);
    ph_buf_done(&c->uids);
}

/* Opens the mailbox and picks; then `act`. */
static int with_letters(struct change *c, const struct post_source_args *a,
                        struct post_login *login, int argc, char **argv,
                        int (*act)(struct change *c, void *ctx), void *ctx)
{
    struct post_source_args by_imap = *a;
    if (a->pop3)
        return post_fail(EX_USAGE, "POP3 has neither flags nor mailboxes; this goes by IMAP");
    by_imap.imap = true;
    int rc = post_source_open(&c->source, &by_imap, login);
    if (rc)
        return rc;
    rc = post_source_pick(&c->source, argc, argv);
    if (rc == 0)
        rc = act(c, ctx);
    int end = post_source_close(&c->source, rc == 0);
    return rc ? rc : end;
}

static int act_transfer(struct change *c, void *to)
{
    return transfer(c, to, c->move ? "moved" : "copied");
}

static int move_or_copy(int argc, char **argv, bool move)
{
    static const char details[] =
        "The last word is the mailbox. \"trash\", \"sent\", \"drafts\", \"archive\" and \"junk\" "
        "are the mailboxes for these purposes, "
        "whatever their names are, unless there is one of just this name.\n\n"
        "  post move 17 trash\n"
        "  post move --mailbox Trash 4 INBOX       back again, with its number there\n";
    struct post_login login = {0};
    struct post_source_args a = {0};
    struct change c;
    struct post_option account[POST_LOGIN_ROWS], source[POST_SOURCE_ROWS];
    const struct post_option own[] = {
        {"--json", NULL, .flag = &c.json, .help = "print what was done as JSON"}, {0}};
    const struct post_option *const tables[] = {source, own, account, NULL};
    init(&c);
    c.move = move;
    post_source_options(&a, source);
    post_login_options(&login, account);
    int rc = post_options(argc, argv, tables, details, 2, -1);
    rc = rc < 0 ? -1 - rc : with_letters(&c, &a, &login, rc - 1, argv + 1, act_transfer, argv[rc]);
    done(&c);
    post_login_done(&login);
    return rc;
}

int post_move(int argc, char **argv)
{
    return move_or_copy(argc, argv, true);
}

int post_copy(int argc, char **argv)
{
    return move_or_copy(argc, argv, false);
}

static int act_delete(struct change *c, void *ctx)
{
    const bool *forever = ctx;
    if (!*forever)
        return transfer(c, "trash", "moved");
    int rc = post_source_remove(&c->source);
    if (rc == 0)
        tell(c, "removed");
    return rc;
}

int post_delete(int argc, char **argv)
{
    struct post_login login = {0};
    struct post_source_args a = {0};
    struct change c;
    bool forever = false;
    struct post_option account[POST_LOGIN_ROWS], source[POST_SOURCE_ROWS];
    const struct post_option own[] = {
        {"--forever", NULL, .flag = &forever,
         .help = "remove them instead of moving them to the trash"},
        {"--json", NULL, .flag = &c.json, .help = "print what was done as JSON"},
        {0}};
    const struct post_option *const tables[] = {source, own, account, NULL};
    init(&c);
    c.move = true;
    post_source_options(&a, source);
    post_login_options(&login, account);
    int rc = post_options(argc, argv, tables,
                          "Letters go to the trash, and post move brings them back.\n", 1, -1);
    rc = rc < 0 ? -1 - rc : with_letters(&c, &a, &login, rc, argv + 1, act_delete, &forever);
    done(&c);
    post_login_done(&login);
    return rc;
}

struct flag_words {
    struct words add, remove;
};

static int act_flag(struct change *c, void *ctx)
{
    const struct flag_words *w = ctx;
    int rc = set_flags(c, &w->add, '+');
    if (rc == 0)
        rc = set_flags(c, &w->remove, '-');
    if (rc == 0)
        tell(c, "flagged");
    return rc;
}

int post_flag(int argc, char **argv)
{
    struct post_login login = {0};
    struct post_source_args a = {0};
    struct change c;
    struct flag_words w = {0};
    struct post_option account[POST_LOGIN_ROWS], source[POST_SOURCE_ROWS];
    const struct post_option own[] = {
        {"--add", "FLAG", .each = on_word, .ctx = &w.add,
         .help = "seen, answered, flagged, deleted, draft, or a word of yours; may be repeated"},
        {"--remove", "FLAG", .each = on_word, .ctx = &w.remove, .help = "take the flag away"},
        {"--json", NULL, .flag = &c.json, .help = "print what was done as JSON"},
        {0}};
    const struct post_option *const tables[] = {source, own, account, NULL};
    init(&c);
    post_source_options(&a, source);
    post_login_options(&login, account);
    int rc =
        post_options(argc, argv, tables, "  post flag 3 5:9 --add seen --remove flagged\n", 1, -1);
    if (rc >= 0 && w.add.n + w.remove.n == 0)
        rc = -1 - post_fail(EX_USAGE, "which flag? Give --add FLAG or --remove FLAG");
    rc = rc < 0 ? -1 - rc : with_letters(&c, &a, &login, rc, argv + 1, act_flag, &w);
    done(&c);
    post_login_done(&login);
    return rc;
}
