/* Domains and aliases. */
#include "house_int.h"

#include <string.h>

int ph_house_domain_add(struct ph_house *h, ph_str domain, struct ph_error *reterr)
{
    struct ph_house_name name;
    int r = ph_house_domain_name(domain, &name, reterr);
    if (r < 0)
        return r;
    sqlite3_stmt *st = ph__house_use(h, ST_DOMAIN_ADD, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, ph_house_name_domain(&name));
    sqlite3_bind_int64(st, 2, ph__house_now());
    r = ph__house_run(h, st, reterr);
    if (r == -PH_EEXIST)
        return ph_fail(reterr, PH_EEXIST, 0, "the domain %s exists already", name.text + 1);
    return r < 0 ? r : 0;
}

static int ask(struct ph_house *h, enum statement which, ph_str name, struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, which, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, name);
    int r = ph__house_step(h, st, reterr);
    if (r > 0)
        r = sqlite3_column_int(st, 0) != 0;
    sqlite3_reset(st);
    return r;
}

int ph_house_domain_has(struct ph_house *h, ph_str domain, struct ph_error *reterr)
{
    return ask(h, ST_DOMAIN_HAS, domain, reterr);
}

int ph_house_domain_remove(struct ph_house *h, ph_str domain, struct ph_error *reterr)
{
    struct ph_house_name name;
    int r = ph_house_domain_name(domain, &name, reterr);
    if (r >= 0)
        r = ask(h, ST_DOMAIN_USED, ph_house_name_domain(&name), reterr);
    if (r < 0)
        return r;
    if (r > 0)
        return ph_fail(reterr, PH_EINUSE, 0,
                       "the domain %s has accounts or aliases; remove those first", name.text + 1);
    sqlite3_stmt *st = ph__house_use(h, ST_DOMAIN_REMOVE, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, ph_house_name_domain(&name));
    r = ph__house_run(h, st, reterr);
    if (r == 0)
        return ph_fail(reterr, PH_ENOENT, 0, "there is no domain %s", name.text + 1);
    return r < 0 ? r : 0;
}

int ph_house_domains(struct ph_house *h, int (*fn)(void *ctx, const struct ph_house_domain *row),
                     void *ctx, struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, ST_DOMAINS, reterr);
    if (!st)
        return -PH_EIO;
    int r = 0, stop = 0;
    while (stop == 0 && (r = ph__house_step(h, st, reterr)) > 0) {
        struct ph_house_domain d = {.name = ph__house_text(st, 0),
                                    .created = sqlite3_column_int64(st, 1),
                                    .accounts = (uint64_t)sqlite3_column_int64(st, 2),
                                    .aliases = (uint64_t)sqlite3_column_int64(st, 3)};
        stop = fn(ctx, &d);
    }
    sqlite3_reset(st);
    return r < 0 ? r : stop;
}

/* ---- aliases ----------------------------------------------------------------------------- */

/* A target keeps the case of its local part, which belongs to a server that may mind (RFC
 * 5321 2.4). */
static int target_name(ph_str target, struct ph_house_name *ret_name, struct ph_error *reterr)
{
    struct ph_house_name name;
    int r = ph_house_name(target, &name, reterr);
    if (r < 0)
        return r;
    if (target.p[0] != '"')
        memcpy(name.text, target.p, name.at);
    *ret_name = name;
    return 0;
}

static int alias_name(ph_str address, struct ph_house_name *ret_name, struct ph_error *reterr)
{
    if (address.n && address.p[0] == '@')
        return ph_house_domain_name(ph_str_skip(address, 1), ret_name, reterr);
    return ph_house_name(address, ret_name, reterr);
}

int ph_house_alias_add(struct ph_house *h, ph_str address, ph_str target, struct ph_error *reterr)
{
    struct ph_house_name from, to;
    int r = alias_name(address, &from, reterr);
    bool whole = r >= 0 && from.at == 0;
    if (r >= 0)
        r = whole && target.n && target.p[0] == '@' ? alias_name(target, &to, reterr)
                                                    : target_name(target, &to, reterr);
    if (r >= 0)
        r = ph_house_domain_has(h, ph_house_name_domain(&from), reterr);
    if (r < 0)
        return r;
    if (r == 0)
        return ph_fail(reterr, PH_ENOENT, 0, "the domain %.*s is not one of this house",
                       PH_FMT(ph_house_name_domain(&from)));
    sqlite3_stmt *st = ph__house_use(h, ST_ALIAS_ADD, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, ph_house_name_str(&from));
    ph__house_bind(st, 2, ph_house_name_domain(&from));
    ph__house_bind(st, 3, ph_house_name_str(&to));
    r = ph__house_run(h, st, reterr);
    if (r == -PH_EEXIST)
        return ph_fail(reterr, PH_EEXIST, 0, "%.*s leads to %.*s already",
                       PH_FMT(ph_house_name_str(&from)), PH_FMT(ph_house_name_str(&to)));
    return r < 0 ? r : 0;
}

int ph_house_alias_remove(struct ph_house *h, ph_str address, ph_str target,
                          struct ph_error *reterr)
{
    struct ph_house_name from, to = {.n = 0};
    int r = alias_name(address, &from, reterr);
    if (r >= 0 && target.n)
        r = target.p[0] == '@' ? alias_name(target, &to, reterr) : target_name(target, &to, reterr);
    if (r < 0)
        return r;
    sqlite3_stmt *st = ph__house_use(h, ST_ALIAS_REMOVE, reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, ph_house_name_str(&from));
    ph__house_bind(st, 2, ph_house_name_str(&to));
    r = ph__house_run(h, st, reterr);
    if (r == 0)
        return ph_fail(reterr, PH_ENOENT, 0, "there is no such alias: %.*s",
                       PH_FMT(ph_house_name_str(&from)));
    return r < 0 ? r : 0;
}

int ph_house_aliases(struct ph_house *h, int (*fn)(void *ctx, const struct ph_house_alias *row),
                     void *ctx, struct ph_error *reterr)
{
    sqlite3_stmt *st = ph__house_use(h, ST_ALIASES, reterr);
    if (!st)
        return -PH_EIO;
    int r = 0, stop = 0;
    while (stop == 0 && (r = ph__house_step(h, st, reterr)) > 0) {
        struct ph_house_alias a = {.address = ph__house_text(st, 0),
                                   .target = ph__house_text(st, 1)};
        stop = fn(ctx, &a);
    }
    sqlite3_reset(st);
    return r < 0 ? r : stop;
}
