/* posthouse fsck: every invariant of docs/store.md, in each account's folder. */
#include "admin.h"
#include "store.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char details[] = "FOLDER is the name of an account's folder below DATA/mail; without "
                              "one all are checked. The server may be\n"
                              "running; with --repair an account that is being repaired answers "
                              "\"try again later\" meanwhile.\n"
                              "Ends with 0 when everything is in order or was repaired, 65 "
                              "(EX_DATAERR) when something is left.\n";

struct fsck {
    struct store *store;
    const char *folder;
    json_t *findings; /* NULL: print for a person */
    bool repair;
    unsigned accounts, found, left;
    int code;
};

static void finding(void *ctx, const char *text, bool fixed)
{
    struct fsck *f = ctx;
    f->found++;
    f->left += !fixed;
    if (f->findings)
        json_array_append_new(f->findings, json_pack("{s:s, s:s, s:b}", "account", f->folder,
                                                     "finding", text, "repaired", fixed));
    else
        printf("%s: %s%s\n", f->folder, text, fixed ? " (repaired)" : "");
}

static void check(struct fsck *f, const char *folder)
{
    struct store_account *a;
    struct ph_error e = {0};
    f->folder = folder;
    f->accounts++;
    int r = store_sqlite.account(f->store, 0, ph_str_c(folder), STORE_OPEN, &a, &e);
    if (r >= 0)
        r = store_sqlite.check(a, f->repair, finding, f, &e);
    if (r == -PH_ECORRUPT)
        finding(f, e.text, false);
    else if (r < 0)
        f->code = admin_fail(admin_exit_code(r), "%s: %s", folder, e.text);
    store_sqlite.tend(f->store, INT64_MAX, 0); /* one account open at a time */
}

static int check_all(struct fsck *f, const char *root)
{
    struct dirent **list;
    int n = scandir(root, &list, NULL, alphasort);
    if (n < 0)
        return admin_fail(EX_NOINPUT, "%s cannot be read; --data names the data folder", root);
    for (int i = 0; i < n; i++) {
        if (list[i]->d_name[0] != '.')
            check(f, list[i]->d_name);
        free(list[i]);
    }
    free(list);
    return EX_OK;
}

static int finish(struct fsck *f)
{
    if (f->findings) {
        json_t *all =
            json_pack("{s:i, s:o}", "accounts", (int)f->accounts, "findings", f->findings);
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
    } else {
        printf("%u accounts, %u findings, %u not repaired\n", f->accounts, f->found, f->left);
    }
    return f->code ? f->code : f->left ? EX_DATAERR : EX_OK;
}

int admin_fsck(int argc, char **argv)
{
    struct admin_args args;
    struct fsck f = {0};
    const struct admin_option opts[] = {
        {.name = "--repair", .flag = &f.repair, .help = "--repair      repair what is certain"},
        {0}};
    int left = admin_options(argc, argv, opts, details, 0, -1, &args);
    if (left >= 0)
        return left;
    char root[4096];
    struct ph_error e = {0};
    snprintf(root, sizeof root, "%s/mail", args.data);
    if (store_sqlite.new(&(struct store_options){.root = root}, &f.store, &e) < 0)
        return admin_fail(EX_NOINPUT, "%s; --data names the data folder", e.text);
    f.findings = args.json ? json_array() : NULL;
    int code = args.count ? EX_OK : check_all(&f, root);
    for (int i = 0; i < args.count; i++)
        check(&f, args.args[i]);
    store_sqlite.free(f.store);
    return code ? code : finish(&f);
}
