/* posthouse account app-password add|list|remove: a password for one program. */
#include "house_verbs.h"

#include <posthouse/base.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

static const struct {
    ph_str name;
    unsigned bit;
} scopes[] = {{PH_STR_INIT("smtp"), PH_SCOPE_SMTP},
              {PH_STR_INIT("imap"), PH_SCOPE_IMAP},
              {PH_STR_INIT("pop3"), PH_SCOPE_POP3},
              {PH_STR_INIT("apop"), PH_SCOPE_APOP}};
enum { SCOPES = sizeof scopes / sizeof scopes[0] };

/* "smtp,imap"; NULL: all that need no secret. 0: not one of these, or apop among others. */
static unsigned scope_of(const char *text)
{
    ph_str word, rest = ph_str_c(text ? text : "smtp,imap,pop3");
    unsigned all = 0;
    while (ph_str_token(&rest, ',', &word)) {
        unsigned bit = 0;
        for (size_t i = 0; i < SCOPES; i++)
            bit |= ph_str_ieq(word, scopes[i].name) ? scopes[i].bit : 0;
        if (!bit)
            return 0;
        all |= bit;
    }
    return all & PH_SCOPE_APOP && all != PH_SCOPE_APOP ? 0 : all;
}

/* Days from now, "90d", or a day, "2027-01-31" (its first second, UTC). -1: neither. */
static int64_t day_of(const char *text)
{
    enum { DAY = 86400, MOST_DAYS = 36500 };
    struct tm tm = {0};
    char *end;
    if (!text)
        return 0;
    long days = strtol(text, &end, 10);
    if (end != text && !strcmp(end, "d") && days > 0 && days <= MOST_DAYS)
        return time(NULL) + (int64_t)days * DAY;
    end = strptime(text, "%Y-%m-%d", &tm);
    return end && !*end ? timegm(&tm) : -1;
}

static int find(struct ph_house *h, const char *address, uint64_t *ret_account)
{
    struct ph_house_account account;
    struct ph_error e = {0};
    struct ph_arena *arena = ph_arena_new(NULL, 65536);
    int r = arena ? ph_house_account_get(h, ph_str_c(address), arena, &account, &e)
                  : ph_fail(&e, PH_ENOMEM, 0, "out of memory");
    if (r >= 0)
        *ret_account = account.id;
    ph_arena_free(arena);
    return r < 0 ? house_fail(&e) : EX_OK;
}

static int add(struct ph_house *h, const struct admin_args *a, uint64_t account,
               const struct app_options *o)
{
    struct ph_error e = {0};
    char password[24];
    unsigned char digest[PH_APP_DIGEST];
    struct ph_house_app app = {
        .name = ph_str_c(a->args[2]), .scope = scope_of(o->scope), .expires = day_of(o->expires)};
    if (!app.scope)
        return admin_fail(EX_USAGE, "--scope is a list of smtp, imap and pop3, or apop alone");
    if (app.expires < 0)
        return admin_fail(EX_USAGE, "--expires is a number of days (90d) or a day (2027-01-31)");
    if (ph_password_generate(password) < 0 ||
        ph_app_digest(account, ph_str_c(password), digest) < 0)
        return admin_fail(EX_OSERR, "the system gives no random numbers, or no memory");
    if (app.scope == PH_SCOPE_APOP)
        app.secret = ph_str_c(password);
    int code = EX_OK;
    if (ph_house_app_add(h, account, &app, digest, &e) < 0)
        code = house_fail(&e);
    else if (a->json)
        code = house_print_json(json_pack("{s:s, s:s, s:s}", "address", a->args[1], "name",
                                          a->args[2], "password", password));
    else
        puts(password);
    ph_wipe(password, sizeof password);
    return code;
}

/* ---- list --------------------------------------------------------------------------------- */

static const char *scope_text(unsigned scope, char text[32])
{
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < SCOPES; i++)
        if (scope & scopes[i].bit)
            n += (size_t)snprintf(text + n, 32 - n, "%s%s", n ? "," : "", scopes[i].name.p);
    return text;
}

static const char *day_text(int64_t when, const char *never, char text[16])
{
    time_t t = when;
    struct tm tm;
    if (!when || !gmtime_r(&t, &tm) || !strftime(text, 16, "%Y-%m-%d", &tm))
        return never;
    return text;
}

static int print(void *ctx, const struct ph_house_app *row)
{
    char scope[32], created[16], expires[16], used[16];
    (void)ctx;
    printf("%.*s\t%s\tmade %s\texpires %s\tused %s\n", PH_FMT(row->name),
           scope_text(row->scope, scope), day_text(row->created, "?", created),
           day_text(row->expires, "never", expires), day_text(row->used, "never", used));
    return 0;
}

static int collect(void *ctx, const struct ph_house_app *row)
{
    char scope[32];
    return json_array_append_new(
        ctx, json_pack("{s:o, s:s, s:I, s:I, s:I}", "name", house_json(row->name), "scope",
                       scope_text(row->scope, scope), "created", (json_int_t)row->created,
                       "expires", (json_int_t)row->expires, "used", (json_int_t)row->used));
}

static int list(struct ph_house *h, const struct admin_args *a, uint64_t account)
{
    struct ph_error e = {0};
    json_t *rows = a->json ? json_array() : NULL;
    if (ph_house_apps(h, account, a->json ? collect : print, rows, &e) < 0) {
        json_decref(rows);
        return house_fail(&e);
    }
    return a->json ? house_print_json(rows) : EX_OK;
}

int account_app_password(struct ph_house *h, const struct admin_args *a,
                         const struct app_options *o)
{
    struct ph_error e = {0};
    uint64_t account = 0;
    const char *what = a->args[0];
    bool named = a->count == 3, listing = !strcmp(what, "list");
    if ((!listing && strcmp(what, "add") != 0 && strcmp(what, "remove") != 0) || named == listing)
        return admin_fail(EX_USAGE, "account app-password add ADDRESS NAME | list ADDRESS | "
                                    "remove ADDRESS NAME");
    int code = find(h, a->args[1], &account);
    if (code != EX_OK)
        return code;
    if (listing)
        return list(h, a, account);
    if (!strcmp(what, "add"))
        return add(h, a, account, o);
    return ph_house_app_remove(h, account, ph_str_c(a->args[2]), &e) < 0 ? house_fail(&e) : EX_OK;
}
