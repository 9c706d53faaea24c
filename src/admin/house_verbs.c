/* What the verbs domain, account and alias share: finding the action, opening house.sqlite. */
#include "house_verbs.h"
#include "file.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { PATH_MOST = 4096 };

int house_fail(const struct ph_error *e)
{
    return admin_fail(ph_house_exit_code(e), "%s", e->text);
}

json_t *house_json(ph_str s)
{
    return json_stringn(s.n ? s.p : "", s.n);
}

int house_print_json(json_t *value)
{
    int r = value ? json_dumpf(value, stdout, JSON_INDENT(2)) : -1;
    json_decref(value);
    if (r < 0 || putchar('\n') == EOF || fflush(stdout) == EOF)
        return admin_fail(EX_IOERR, "the output can not be written");
    return EX_OK;
}

static int open_house(const struct admin_args *a, bool create, struct ph_house **ret_house,
                      struct ph_error *reterr)
{
    char folder[PATH_MOST], path[PATH_MOST + 16];
    if (snprintf(folder, sizeof folder, "%s/house", a->data) >= PATH_MOST)
        return ph_fail(reterr, PH_EINVAL, 0, "the name of the data folder is too long");
    int r = create ? ph_mkdirs(folder, 0700, reterr) : 0;
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "%s/house.sqlite", folder);
    return ph_house_open(path, create, ret_house, reterr);
}

static int unknown(const char *verb, const struct house_action *actions, size_t count,
                   const char *got)
{
    char names[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < count && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", actions[i].name);
    return admin_fail(EX_USAGE, "%s: there is no action \"%s\"; there are: %s", verb, got, names);
}

int house_run(const char *verb, const struct house_action *actions, size_t count,
              const struct admin_args *a, void *options)
{
    const struct house_action *act = NULL;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(actions[i].name, a->args[0]))
            act = &actions[i];
    if (!act)
        return unknown(verb, actions, count, a->args[0]);
    struct admin_args rest = *a;
    rest.args++;
    rest.count--;
    if (rest.count < act->least || rest.count > act->most)
        return admin_fail(EX_USAGE, "%s %s: wrong number of arguments; try posthouse %s --help",
                          verb, act->name, verb);
    struct ph_house *h = NULL;
    struct ph_error e = {0};
    if (open_house(a, act->create, &h, &e) < 0)
        return house_fail(&e);
    int code = act->run(h, &rest, options);
    ph_house_close(h);
    return code;
}
