/*
 * Where an address leads. A list of addresses to look at grows as aliases are met; each is looked
 * at once, which is what ends a loop of aliases.
 *
 *   step = next address -> foreign domain?  a remote target
 *                       -> alias?           its targets go on the list
 *                       -> account?         a local target
 *                       -> again without +tag, as postmaster, as the catch-all of its domain,
 *                          whose target may be a domain: the same local part there
 */
#include "house_int.h"

#include <string.h>

struct step {
    ph_str given;  /* as the caller or the alias wrote it */
    ph_str name;   /* normalised */
    ph_str domain; /* its end */
    ph_str tag;    /* that was dropped on the way here */
};

struct walk {
    struct ph_house *h;
    struct ph_arena *arena;
    struct ph_error *reterr;
    ph_str postmaster;
    struct step *steps;
    size_t count;
    struct ph_house_route route;
    bool tangled;
    ph_str local, tag; /* of the address being looked at */
};

static int out_of_memory(struct walk *w)
{
    return ph_fail(w->reterr, PH_ENOMEM, 0, "out of memory");
}

static int add_step(struct walk *w, ph_str given)
{
    struct ph_house_name name;
    int r = ph_house_name(given, &name, w->reterr);
    if (r < 0)
        return r;
    for (size_t i = 0; i < w->count; i++)
        if (ph_str_eq(w->steps[i].name, ph_house_name_str(&name)))
            return 0;
    if (w->count == PH_HOUSE_ALIAS_STEPS) {
        w->tangled = true;
        return 0;
    }
    ph_str copy = ph_arena_copy(w->arena, given),
           text = ph_arena_copy(w->arena, ph_house_name_str(&name));
    if (!copy.p || !text.p)
        return out_of_memory(w);
    w->steps[w->count++] = (struct step){copy, text, ph_str_skip(text, name.at + 1), w->tag};
    return 0;
}

static int add_target(struct walk *w, const struct ph_house_target *t)
{
    for (size_t i = 0; i < w->route.count; i++)
        if (ph_str_eq(w->route.targets[i].address, t->address))
            return 0;
    if (w->route.count == PH_HOUSE_TARGETS) {
        w->tangled = true;
        return 0;
    }
    w->route.targets[w->route.count++] = *t;
    return 0;
}

/* The local part as given (its case is the other server's business), the domain as A-labels. */
static int add_remote(struct walk *w, const struct step *s)
{
    ph_str local = ph_str_sub(s->given, 0, ph_str_rchr(s->given, '@'));
    struct ph_house_target t = {
        .domain = s->domain,
        .address = ph_arena_printf(w->arena, "%.*s@%.*s", PH_FMT(local), PH_FMT(s->domain))};
    return t.address.p ? add_target(w, &t) : out_of_memory(w);
}

/* 1 when `st`, bound, finds an account, which becomes a target. */
static int try_account(struct walk *w, sqlite3_stmt *st)
{
    struct ph_house_account a;
    int r = ph__house_account_take(w->h, st, w->arena, &a, w->reterr);
    if (r <= 0)
        return r;
    r = add_target(
        w, &(struct ph_house_target){
               .address = a.address, .folder = a.folder, .account = a.id, .mailbox = w->tag});
    return r < 0 ? r : 1;
}

static int try_account_named(struct walk *w, ph_str name)
{
    sqlite3_stmt *st = ph__house_use(w->h, ST_ACCOUNT_GET, w->reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, name);
    return try_account(w, st);
}

/* domain: "@other". */
static int add_same_in(struct walk *w, ph_str domain)
{
    ph_str given = ph_arena_printf(w->arena, "%.*s%.*s", PH_FMT(w->local), PH_FMT(domain));
    return given.p ? add_step(w, given) : out_of_memory(w);
}

/* 1 when the name is an alias: its targets are on the list. */
static int try_alias(struct walk *w, ph_str name)
{
    sqlite3_stmt *st = ph__house_use(w->h, ST_ALIAS_TARGETS, w->reterr);
    if (!st)
        return -PH_EIO;
    ph__house_bind(st, 1, name);
    int r, found = 0;
    while ((r = ph__house_step(w->h, st, w->reterr)) > 0 && !w->tangled) {
        ph_str target = ph__house_text(st, 0);
        found = 1;
        if (ph_str_ieq(target, name))
            r = try_account_named(w, name);
        else
            r = target.n && target.p[0] == '@' ? add_same_in(w, target) : add_step(w, target);
        if (r < 0)
            break;
    }
    sqlite3_reset(st);
    return r < 0 ? r : found;
}

static int try_name(struct walk *w, ph_str name)
{
    int r = try_alias(w, name);
    return r ? r : try_account_named(w, name);
}

static int try_postmaster(struct walk *w)
{
    if (w->postmaster.n) {
        struct ph_house_name name;
        if (ph_house_name(w->postmaster, &name, NULL) >= 0)
            return try_account_named(w, ph_house_name_str(&name));
    }
    sqlite3_stmt *st = ph__house_use(w->h, ST_ACCOUNT_FIRST, w->reterr);
    return st ? try_account(w, st) : -PH_EIO;
}

/* What is behind the first `+` of the local part, as it was written. */
static ph_str tag_of(ph_str given)
{
    ph_str local = ph_str_sub(given, 0, ph_str_rchr(given, '@'));
    size_t plus = ph_str_chr(local, '+');
    return local.p[0] == '"' || plus == PH_NPOS ? (ph_str){0} : ph_str_skip(local, plus + 1);
}

static int try_local(struct walk *w, const struct step *s)
{
    ph_str local = ph_str_sub(s->name, 0, s->name.n - s->domain.n - 1);
    int r = try_name(w, s->name);
    size_t tag = ph_str_chr(local, '+');
    if (r == 0 && tag != PH_NPOS && tag > 0) {
        w->tag = tag_of(s->given);
        ph_str plain = ph_arena_printf(w->arena, "%.*s@%.*s", PH_FMT(ph_str_sub(local, 0, tag)),
                                       PH_FMT(s->domain));
        r = plain.p ? try_name(w, plain) : out_of_memory(w);
    }
    if (r == 0)
        w->tag = s->tag; /* it was none, or it is the next one's to find */
    if (r == 0 && ph_str_eq(local, PH_STR("postmaster")))
        r = try_postmaster(w);
    if (r == 0)
        r = try_alias(w, ph_str_skip(s->name, local.n)); /* "@domain" */
    return r;
}

static int walk(struct walk *w)
{
    for (size_t i = 0; i < w->count && !w->tangled; i++) {
        struct step s = w->steps[i];
        w->tag = s.tag;
        w->local = ph_str_sub(s.given, 0, ph_str_rchr(s.given, '@'));
        int r = ph_house_domain_has(w->h, s.domain, w->reterr);
        if (r >= 0)
            r = r ? try_local(w, &s) : add_remote(w, &s);
        if (r < 0)
            return r;
    }
    return 0;
}

static enum ph_house_route_kind kind_of(const struct walk *w, bool foreign)
{
    if (w->tangled)
        return PH_HOUSE_TANGLED;
    return w->route.count == 0 ? PH_HOUSE_NOUSER : foreign ? PH_HOUSE_FOREIGN : PH_HOUSE_LEADS;
}

int ph_house_route(struct ph_house *h, ph_str address, ph_str postmaster, struct ph_arena *arena,
                   struct ph_house_route *ret_route, struct ph_error *reterr)
{
    struct walk w = {.h = h,
                     .arena = arena,
                     .reterr = reterr,
                     .postmaster = postmaster,
                     .steps = ph_arena_array(arena, PH_HOUSE_ALIAS_STEPS, sizeof(struct step)),
                     .route.targets =
                         ph_arena_array(arena, PH_HOUSE_TARGETS, sizeof(struct ph_house_target))};
    if (!w.steps || !w.route.targets)
        return out_of_memory(&w);
    int r;
    bool foreign = false;
    if (ph_str_ieq(address, PH_STR("postmaster"))) {
        r = try_postmaster(&w);
    } else {
        r = add_step(&w, address);
        if (r >= 0)
            r = ph_house_domain_has(h, w.steps[0].domain, reterr);
        foreign = r == 0;
        if (r >= 0)
            r = walk(&w);
    }
    if (r < 0)
        return r;
    w.route.kind = kind_of(&w, foreign);
    *ret_route = w.route;
    return 0;
}

int ph_house_may_send_as(struct ph_house *h, uint64_t account, ph_str address, ph_str postmaster,
                         struct ph_arena *arena, struct ph_error *reterr)
{
    struct ph_house_route route;
    int r = ph_house_route(h, address, postmaster, arena, &route, reterr);
    if (r < 0)
        return r == -PH_EINVAL ? 0 : r;
    for (size_t i = 0; route.kind == PH_HOUSE_LEADS && i < route.count; i++)
        if (route.targets[i].folder.n && route.targets[i].account == account)
            return 1;
    return 0;
}
