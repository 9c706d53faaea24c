/* posthouse alias add|remove|list */
#include "house_verbs.h"

#include <stdio.h>
#include <sysexits.h>

/* All targets or none. */
static int add(struct ph_house *h, const struct admin_args *a, void *options)
{
    (void)options;
    struct ph_error e = {0};
    if (ph_house_begin(h, &e) < 0)
        return house_fail(&e);
    for (int i = 1; i < a->count; i++)
        if (ph_house_alias_add(h, ph_str_c(a->args[0]), ph_str_c(a->args[i]), &e) < 0) {
            ph_house_abort(h);
            return house_fail(&e);
        }
    return ph_house_commit(h, &e) < 0 ? house_fail(&e) : EX_OK;
}

static int drop(struct ph_house *h, const struct admin_args *a, void *options)
{
    (void)options;
    struct ph_error e = {0};
    ph_str target = a->count > 1 ? ph_str_c(a->args[1]) : (ph_str){0};
    return ph_house_alias_remove(h, ph_str_c(a->args[0]), target, &e) < 0 ? house_fail(&e) : EX_OK;
}

static int collect(void *ctx, const struct ph_house_alias *row)
{
    return json_array_append_new(ctx, json_pack("{s:o, s:o}", "address", house_json(row->address),
                                                "target", house_json(row->target)));
}

static int print(void *ctx, const struct ph_house_alias *row)
{
    (void)ctx;
    printf("%.*s\t%.*s\n", PH_FMT(row->address), PH_FMT(row->target));
    return 0;
}

static int list(struct ph_house *h, const struct admin_args *a, void *options)
{
    (void)options;
    struct ph_error e = {0};
    json_t *rows = a->json ? json_array() : NULL;
    if (ph_house_aliases(h, a->json ? collect : print, rows, &e) < 0) {
        json_decref(rows);
        return house_fail(&e);
    }
    return a->json ? house_print_json(rows) : EX_OK;
}

static const struct house_action actions[] = {{"add", 2, PH_HOUSE_TARGETS + 1, false, add},
                                              {"remove", 1, 2, false, drop},
                                              {"list", 0, 0, false, list}};

int admin_alias(int argc, char **argv)
{
    struct admin_args a;
    int left = admin_options(
        argc, argv, NULL,
        "Mail for ADDRESS goes to every TARGET: accounts, other aliases, or addresses elsewhere.\n"
        "The address \"@domain\" catches what has no account and no alias in that domain; with the "
        "target\n"
        "\"@other\" each of its addresses leads to the same name in that domain. An alias that has "
        "its\n"
        "own name among its targets keeps a copy there.\n",
        1, PH_HOUSE_TARGETS + 2, &a);
    if (left >= 0)
        return left;
    return house_run("alias", actions, sizeof actions / sizeof *actions, &a, NULL);
}
