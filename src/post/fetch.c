/* post fetch, post list, post read: what is done with the letters of a source. */
#include "letter.h"
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Finds the letter that an argument names. 0, or an exit code. */
static int find(const struct post_source *s, const char *arg, size_t *ret_at)
{
    uint64_t n;
    if (!ph_str_u64(ph_str_c(arg), UINT32_MAX, &n))
        return post_fail(EX_USAGE, "\"%s\" is not the number of a letter; post list shows them",
                         arg);
    for (size_t i = 0; i < s->item_n; i++)
        if (s->items[i].number == n) {
            *ret_at = i;
            return 0;
        }
    return post_fail(EX_DATAERR, "there is no letter %s; the mailbox has %zu", arg, s->item_n);
}

/* The outcome of ops->get as an exit code. */
static int got(const struct post_source *s, int rc)
{
    return rc < 0 ? post_source_fail(s) : rc;
}

/* ---- fetch ------------------------------------------------------------------------------- */

struct fetching {
    const char *maildir;
    bool json;
    size_t count;
};

static int put_letter(void *ctx, const struct post_item *item, ph_str bytes)
{
    struct fetching *f = ctx;
    char path[4300];
    if (!f->maildir) {
        fwrite(bytes.p, 1, bytes.n, stdout);
        return 0;
    }
    int rc = post_maildir_put(f->maildir, item, bytes, path, sizeof path);
    if (rc)
        return rc;
    if (f->json)
        printf("%s{\"number\":%u,\"size\":%zu,\"path\":", f->count ? "," : "", item->number,
               bytes.n);
    if (f->json)
        post_json_string(stdout, ph_str_c(path));
    if (f->json)
        putchar('}');
    else
        puts(path);
    f->count++;
    return 0;
}

static int fetch_some(struct post_source *s, struct fetching *f, int argc, char **argv, bool delete)
{
    size_t first = 0, last = s->item_n ? s->item_n - 1 : 0;
    int rc = 0;
    if (argc == 0 && s->item_n)
        rc = got(s, s->ops->get(s, first, last, false, put_letter, f));
    for (int i = 0; rc == 0 && i < argc; i++) {
        rc = find(s, argv[i], &first);
        if (rc == 0)
            rc = got(s, s->ops->get(s, first, first, false, put_letter, f));
    }
    /* Only what is safely on disk is removed, and only when all of it is. */
    if (rc || !delete)
        return rc;
    for (size_t i = 0; rc == 0 && argc == 0 && i < s->item_n; i++)
        rc = got(s, s->ops->remove(s, i));
    for (int i = 0; rc == 0 && i < argc; i++)
        rc = find(s, argv[i], &first) ? EX_DATAERR : got(s, s->ops->remove(s, first));
    return rc;
}

static int fetch(const struct post_source_args *a, struct post_login *login, struct fetching *f,
                 int argc, char **argv, bool delete)
{
    struct post_source s;
    if (!f->maildir && argc == 0)
        return post_fail(
            EX_USAGE,
            "where to? Give --maildir DIR, or the number of a letter for standard output");
    if (!f->maildir && delete)
        return post_fail(
            EX_USAGE,
            "--delete goes with --maildir: standard output does not tell whether a letter is safe");
    int rc = post_source_open(&s, a, login);
    if (rc)
        return rc;
    if (f->json && f->maildir)
        putchar('[');
    rc = fetch_some(&s, f, argc, argv, delete);
    if (f->json && f->maildir)
        puts("]");
    int end = post_source_close(&s, rc == 0);
    return rc ? rc : end;
}

int post_fetch(int argc, char **argv)
{
    static const char details[] =
        "Without numbers all letters are fetched. They stay on the server unless --delete is "
        "given, which removes them once all are on\n"
        "disk. A Maildir is a folder with tmp, new and cur; it is made when it is not there.\n\n"
        "  post fetch --imap --server mail.here.test --user me@here.test --maildir ~/Mail\n";
    struct post_login login = {0};
    struct post_source_args a = {0};
    struct fetching f = {0};
    bool delete = false, raw = false;
    struct post_option account[POST_LOGIN_ROWS], source[POST_SOURCE_ROWS];
    const struct post_option own[] = {
        {"--maildir", "DIR", .value = &f.maildir, .help = "put the letters into this Maildir"},
        {"--raw", NULL, .flag = &raw,
         .help = "to standard output, as it is (so it is without --maildir anyway)"},
        {"--delete", NULL, .flag = &delete, .help = "remove from the server what was fetched"},
        {"--json", NULL, .flag = &f.json, .help = "print what was fetched as JSON"},
        {0}};
    const struct post_option *const tables[] = {source, own, account, NULL};
    post_source_options(&a, source);
    post_login_options(&login, account);
    int rc = post_options(argc, argv, tables, details, 0, -1);
    if (rc >= 0 && raw && f.maildir)
        rc = -1 - post_fail(EX_USAGE, "--raw and --maildir are two places");
    rc = rc < 0 ? -1 - rc : fetch(&a, &login, &f, rc, argv + 1, delete);
    post_login_done(&login);
    return rc;
}

/* ---- list -------------------------------------------------------------------------------- */

struct listing {
    bool json;
    size_t count;
};

static int show_head(void *ctx, const struct post_item *item, ph_str bytes)
{
    struct listing *l = ctx;
    if (l->json && l->count)
        printf(",\n");
    post_show_line(item, bytes, l->json);
    l->count++;
    return 0;
}

static int list(const struct post_source_args *a, struct post_login *login, bool json)
{
    struct post_source s;
    struct listing l = {.json = json};
    int rc = post_source_open(&s, a, login);
    if (rc)
        return rc;
    if (json)
        putchar('[');
    if (s.item_n)
        rc = got(&s, s.ops->get(&s, 0, s.item_n - 1, true, show_head, &l));
    if (json)
        puts("]");
    int end = post_source_close(&s, true);
    return rc ? rc : end;
}

int post_list(int argc, char **argv)
{
    struct post_login login = {0};
    struct post_source_args a = {0};
    bool json = false;
    struct post_option account[POST_LOGIN_ROWS], source[POST_SOURCE_ROWS];
    const struct post_option own[] = {{"--json", NULL, .flag = &json, .help = "as JSON"}, {0}};
    const struct post_option *const tables[] = {source, own, account, NULL};
    post_source_options(&a, source);
    post_login_options(&login, account);
    int rc = post_options(
        argc, argv, tables,
        "Columns: number, N for new and * for flagged, date, size, sender, subject.\n", 0, 0);
    rc = rc < 0 ? -1 - rc : list(&a, &login, json);
    post_login_done(&login);
    return rc;
}

/* ---- read -------------------------------------------------------------------------------- */

struct reading {
    bool json;
    const char *save;
};

static int show_letter(void *ctx, const struct post_item *item, ph_str bytes)
{
    const struct reading *r = ctx;
    (void)item;
    return r->save ? post_save_attachments(bytes, r->save) : post_show_letter(bytes, r->json);
}

static int read_file(const char *path, struct reading *r)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, POST_LETTER_MAX);
    int rc = post_read_file(path, &b);
    if (rc == 0)
        rc = show_letter(r, NULL, ph_buf_str(&b));
    ph_buf_done(&b);
    return rc;
}

static int read_from(const struct post_source_args *a, struct post_login *login, const char *arg,
                     struct reading *r)
{
    struct post_source s;
    size_t at = 0;
    int rc = post_source_open(&s, a, login);
    if (rc)
        return rc;
    rc = find(&s, arg, &at);
    if (rc == 0)
        rc = got(&s, s.ops->get(&s, at, at, false, show_letter, r));
    int end = post_source_close(&s, true);
    return rc ? rc : end;
}

int post_read(int argc, char **argv)
{
    static const char details[] = "With --pop3 or --imap N is a number of post list; without, FILE "
                                  "is a letter on disk, - standard input.\n";
    struct post_login login = {0};
    struct post_source_args a = {0};
    struct reading r = {0};
    struct post_option account[POST_LOGIN_ROWS], source[POST_SOURCE_ROWS];
    const struct post_option own[] = {{"--save", "DIR", .value = &r.save,
                                       .help = "write the attachments into this folder instead"},
                                      {"--json", NULL, .flag = &r.json, .help = "as JSON"},
                                      {0}};
    const struct post_option *const tables[] = {source, own, account, NULL};
    post_source_options(&a, source);
    post_login_options(&login, account);
    int rc = post_options(argc, argv, tables, details, 1, 1);
    if (rc >= 0)
        rc = a.pop3 || a.imap ? read_from(&a, &login, argv[1], &r) : read_file(argv[1], &r);
    else
        rc = -1 - rc;
    post_login_done(&login);
    return rc;
}
