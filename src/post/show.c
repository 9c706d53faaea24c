/* post list, post read: letters for the eye. */
#include "letter.h"
#include <string.h>
#include <sysexits.h>

/* ---- list -------------------------------------------------------------------------------- */

struct listing {
    bool json;
    size_t count;
};

static int show_head(void *ctx, struct post_item *item, ph_str bytes)
{
    struct listing *l = ctx;
    if (l->json && l->count)
        printf(",\n");
    post_show_line(item, bytes, l->json);
    l->count++;
    return 0;
}

static int list(const struct post_source_args *a, struct post_login *login, bool json, int argc,
                char **argv)
{
    struct post_source s;
    struct listing l = {.json = json};
    int rc = post_source_open(&s, a, login);
    if (rc)
        return rc;
    if (json)
        putchar('[');
    rc = post_source_pick(&s, argc, argv);
    if (rc == 0)
        rc = post_source_get(&s, true, show_head, &l);
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
        "Columns: number, N for new and * for flagged, date, size, sender, subject.\n", 0, -1);
    rc = rc < 0 ? -1 - rc : list(&a, &login, json, rc, argv + 1);
    post_login_done(&login);
    return rc;
}

/* ---- read -------------------------------------------------------------------------------- */

struct reading {
    bool json;
    bool save;
    const char *dir;
};

static int show_letter(void *ctx, struct post_item *item, ph_str bytes)
{
    const struct reading *r = ctx;
    (void)item;
    return r->save ? post_save_attachments(bytes, r->dir) : post_show_letter(bytes, r->json);
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

/* "7" is a letter of the mailbox; a file of this name is "./7". */
bool post_is_number(const char *arg)
{
    return arg[0] && strspn(arg, "0123456789") == strlen(arg);
}

static int read_from(const struct post_source_args *a, struct post_login *login, char *arg,
                     struct reading *r)
{
    struct post_source s;
    int rc = post_source_open(&s, a, login);
    if (rc)
        return rc;
    rc = post_source_pick(&s, 1, &arg);
    if (rc == 0)
        rc = post_source_get(&s, false, show_letter, r);
    int end = post_source_close(&s, true);
    return rc ? rc : end;
}

static int read_or_save(int argc, char **argv, struct reading *r, const char *details)
{
    struct post_login login = {0};
    struct post_source_args a = {0};
    struct post_option account[POST_LOGIN_ROWS], source[POST_SOURCE_ROWS];
    const struct post_option own[] = {{"--json", NULL, .flag = &r->json, .help = "as JSON"}, {0}};
    const struct post_option none[] = {{0}};
    const struct post_option *const tables[] = {source, r->save ? none : own, account, NULL};
    post_source_options(&a, source);
    post_login_options(&login, account);
    int rc = post_options(argc, argv, tables, details, 1, r->save ? 2 : 1);
    if (rc == 2)
        r->dir = argv[2];
    if (rc >= 0)
        rc = post_is_number(argv[1]) ? read_from(&a, &login, argv[1], r) : read_file(argv[1], r);
    else
        rc = -1 - rc;
    post_login_done(&login);
    return rc;
}

int post_read(int argc, char **argv)
{
    struct reading r = {0};
    return read_or_save(argc, argv, &r,
                        "N is a number of post list; FILE a letter on disk, - standard input. On a "
                        "terminal quotes are coloured, unless NO_COLOR is set.\n");
}

int post_save(int argc, char **argv)
{
    struct reading r = {.save = true, .dir = "."};
    return read_or_save(
        argc, argv, &r,
        "The attachments go into DIR, or into this folder; what is there is not written over, and "
        "the path of each is printed.\n");
}
