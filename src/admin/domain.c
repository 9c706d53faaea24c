/* posthouse domain add|remove|list */
#include "house_verbs.h"

#include <stdio.h>
#include <sysexits.h>

static int add(struct ph_house *h, const struct admin_args *a, void *options)
{
    (void)options;
    struct ph_error e = {0};
    return ph_house_domain_add(h, ph_str_c(a->args[0]), &e) < 0 ? house_fail(&e) : EX_OK;
}

static int drop(struct ph_house *h, const struct admin_args *a, void *options)
{
    (void)options;
    struct ph_error e = {0};
    return ph_house_domain_remove(h, ph_str_c(a->args[0]), &e) < 0 ? house_fail(&e) : EX_OK;
}

static int collect(void *ctx, const struct ph_house_domain *d)
{
    return json_array_append_new(ctx, json_pack("{s:o, s:I, s:I, s:I}", "name", house_json(d->name),
                                                "accounts", (json_int_t)d->accounts, "aliases",
                                                (json_int_t)d->aliases, "created",
                                                (json_int_t)d->created));
}

static int print(void *ctx, const struct ph_house_domain *d)
{
    (void)ctx;
    printf("%.*s\t%llu accounts\t%llu aliases\n", PH_FMT(d->name), (unsigned long long)d->accounts,
           (unsigned long long)d->aliases);
    return 0;
}

static int list(struct ph_house *h, const struct admin_args *a, void *options)
{
    (void)options;
    struct ph_error e = {0};
    json_t *rows = a->json ? json_array() : NULL;
    if (ph_house_domains(h, a->json ? collect : print, rows, &e) < 0) {
        json_decref(rows);
        return house_fail(&e);
    }
    return a->json ? house_print_json(rows) : EX_OK;
}

static const struct house_action actions[] = {
    {"add", 1, 1, true, add}, {"remove", 1, 1, false, drop}, {"list", 0, 0, false, list}};

int admin_domain(int argc, char **argv)
{
    struct admin_args a;
    int left = admin_options(
        argc, argv, NULL, "Domains whose mail this house takes. A running server knows at once.\n",
        1, 2, &a);
    if (left >= 0)
        return left;
    return house_run("domain", actions, sizeof actions / sizeof *actions, &a, NULL);
}
