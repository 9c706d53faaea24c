/* posthouse account add|passwd|list|remove|quota|app-password|export|import */
#include "account_mail.h"
#include "house_verbs.h"
#include "random.h"
#include <posthouse/sasl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

struct options {
    struct password_source password;
    bool erase;
    const char *iterations;       /* of SCRAM keys */
    const char *bytes, *messages; /* of quota */
    bool mbox;                    /* of export */
    struct import_options from;
    struct app_options app;
};

enum { KEYS_MAX = 192 };

/* A password, and what is kept of it. */
struct fresh {
    char password[PH_PASSWORD_MAX + 1], hash[PH_HASH_MAX];
    struct ph_buf keys; /* of SCRAM-SHA-1, then of SCRAM-SHA-256 */
    struct ph_house_secret secret;
};

static void wipe(struct fresh *f)
{
    ph_buf_done(&f->keys);
    ph_wipe(f, sizeof *f);
}

/* A password that SASLprep does not like (RFC 4013) has no keys: it is for PLAIN alone. */
static int add_keys(struct fresh *f, enum ph_sasl_hash hash, uint32_t iterations)
{
    unsigned char salt[16];
    struct ph_sasl_keys keys;
    ph_random(salt, sizeof salt);
    int r = ph_sasl_keys_make(hash, ph_str_c(f->password),
                              (ph_str){(const char *)salt, sizeof salt}, iterations, &keys);
    if (r == 0)
        ph_sasl_keys_write(&keys, &f->keys);
    ph_wipe(&keys, sizeof keys);
    return r == -PH_EINVAL ? 0 : r;
}

static int make_keys(struct fresh *f, const struct options *o)
{
    uint64_t iterations = PH_SASL_ITERATIONS;
    if (o->iterations &&
        (!ph_str_u64(ph_str_c(o->iterations), PH_SASL_ITERATIONS_MAX, &iterations) ||
         (iterations && iterations < 4096)))
        return admin_fail(EX_USAGE, "--scram-iterations is 0, or a number from 4096 to %d",
                          PH_SASL_ITERATIONS_MAX);
    if (iterations == 0)
        return EX_OK;
    int r = add_keys(f, PH_SASL_SHA1, (uint32_t)iterations);
    size_t split = f->keys.n;
    if (r == 0)
        r = add_keys(f, PH_SASL_SHA256, (uint32_t)iterations);
    if (r < 0 || ph_buf_err(&f->keys))
        return admin_fail(EX_OSERR, "out of memory");
    f->secret.scram1 = ph_str_sub(ph_buf_str(&f->keys), 0, split);
    f->secret.scram256 = ph_str_skip(ph_buf_str(&f->keys), split);
    return EX_OK;
}

static int make_secret(const struct options *o, const char *address, struct fresh *f)
{
    struct ph_error e = {0};
    memset(f, 0, sizeof *f);
    ph_buf_init(&f->keys, NULL, 2 * KEYS_MAX);
    int code = house_password(&o->password, address, f->password);
    if (code == EX_OK && ph_password_hash(ph_str_c(f->password), f->hash, &e) < 0)
        code = house_fail(&e);
    f->secret.hash = ph_str_c(f->hash);
    return code == EX_OK ? make_keys(f, o) : code;
}

/* What was made, for a person or a program; a password only when we made it. */
static int report(const struct admin_args *a, const struct options *o, const char *address,
                  const char *password)
{
    if (a->json) {
        json_t *made = json_pack("{s:s}", "address", address);
        if (o->password.generate)
            json_object_set_new(made, "password", json_string(password));
        return house_print_json(made);
    }
    if (o->password.generate)
        puts(password);
    return EX_OK;
}

/* The account, and its domain when that is new: both or none. */
static int insert(struct ph_house *h, const struct ph_house_name *name,
                  const struct ph_house_secret *secret, bool *ret_new_domain,
                  struct ph_error *reterr)
{
    uint64_t id;
    ph_str domain = ph_house_name_domain(name);
    int r = ph_house_begin(h, reterr);
    if (r < 0)
        return r;
    r = ph_house_domain_has(h, domain, reterr);
    *ret_new_domain = r == 0;
    if (r == 0)
        r = ph_house_domain_add(h, domain, reterr);
    if (r >= 0)
        r = ph_house_account_add(h, ph_house_name_str(name), secret, &id, reterr);
    if (r >= 0)
        return ph_house_commit(h, reterr);
    ph_house_abort(h);
    return r;
}

static int add(struct ph_house *h, const struct admin_args *a, void *options)
{
    const struct options *o = options;
    struct ph_house_name name;
    struct ph_error e = {0};
    struct fresh fresh;
    bool new_domain = false;
    if (ph_house_name(ph_str_c(a->args[0]), &name, &e) < 0)
        return admin_fail(EX_DATAERR, "%s: %s", a->args[0], e.text);
    int code = make_secret(o, name.text, &fresh);
    if (code == EX_OK && insert(h, &name, &fresh.secret, &new_domain, &e) < 0)
        code = house_fail(&e);
    if (code == EX_OK && new_domain)
        fprintf(stderr, "posthouse: the domain %.*s is new and was added\n",
                PH_FMT(ph_house_name_domain(&name)));
    if (code == EX_OK)
        code = report(a, o, name.text, fresh.password);
    wipe(&fresh);
    return code;
}

static int passwd(struct ph_house *h, const struct admin_args *a, void *options)
{
    const struct options *o = options;
    struct ph_error e = {0};
    struct fresh fresh;
    int code = make_secret(o, a->args[0], &fresh);
    if (code == EX_OK && ph_house_account_passwd(h, ph_str_c(a->args[0]), &fresh.secret, &e) < 0)
        code = house_fail(&e);
    if (code == EX_OK)
        code = report(a, o, a->args[0], fresh.password);
    wipe(&fresh);
    return code;
}

static int drop(struct ph_house *h, const struct admin_args *a, void *options)
{
    const struct options *o = options;
    struct ph_error e = {0};
    if (ph_house_account_remove(h, ph_str_c(a->args[0]), o->erase, &e) < 0)
        return house_fail(&e);
    return EX_OK;
}

/* ---- quota ------------------------------------------------------------------------------- */

/* "500M", "none", "default". -2: not one of these. */
static int64_t limit_of(const char *text, bool is_size)
{
    char *end;
    if (!strcmp(text, "default"))
        return PH_HOUSE_QUOTA_DEFAULT;
    if (!strcmp(text, "none"))
        return 0;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    const char *unit = is_size && *end ? strchr("KMGT", *end) : NULL;
    int shift = unit ? 10 * (int)(unit - "KMGT" + 1) : 0;
    if (end == text || n <= 0 || errno || (unit ? end[1] : *end) || n > INT64_MAX >> (shift + 1))
        return -2;
    return n << shift;
}

static const char *limit_text(int64_t n, char *buf, size_t room)
{
    if (n > 0)
        snprintf(buf, room, "%lld", (long long)n);
    return n > 0 ? buf : n == 0 ? "none" : "default";
}

static int tell_quota(const struct admin_args *a, const struct ph_house_quota *q)
{
    char bytes[32], messages[32];
    if (a->json)
        return house_print_json(json_pack("{s:I, s:I}", "bytes", (json_int_t)q->bytes, "messages",
                                          (json_int_t)q->messages));
    printf("bytes %s, messages %s\n", limit_text(q->bytes, bytes, sizeof bytes),
           limit_text(q->messages, messages, sizeof messages));
    return EX_OK;
}

static int quota(struct ph_house *h, const struct admin_args *a, void *options)
{
    const struct options *o = options;
    struct ph_error e = {0};
    struct ph_house_account account;
    struct ph_house_quota q;
    struct ph_arena *arena = ph_arena_new(NULL, 65536);
    int r = arena ? ph_house_account_get(h, ph_str_c(a->args[0]), arena, &account, &e)
                  : ph_fail(&e, PH_ENOMEM, 0, "out of memory");
    if (r >= 0)
        r = ph_house_quota_get(h, account.id, &q, &e);
    ph_arena_free(arena);
    if (r < 0)
        return house_fail(&e);
    if (o->bytes)
        q.bytes = limit_of(o->bytes, true);
    if (o->messages)
        q.messages = limit_of(o->messages, false);
    if (q.bytes < PH_HOUSE_QUOTA_DEFAULT || q.messages < PH_HOUSE_QUOTA_DEFAULT)
        return admin_fail(EX_USAGE, "a limit is a number (bytes also 500M, 2G), none, or default");
    if ((o->bytes || o->messages) &&
        ph_house_quota_set(h, ph_str_c(a->args[0]), q.bytes, q.messages, &e) < 0)
        return house_fail(&e);
    return tell_quota(a, &q);
}

static int export(struct ph_house *h, const struct admin_args *a, void *options)
{
    return account_export(h, a, ((const struct options *)options)->mbox);
}

static int import(struct ph_house *h, const struct admin_args *a, void *options)
{
    return account_import(h, a, &((const struct options *)options)->from);
}

static int app_password(struct ph_house *h, const struct admin_args *a, void *options)
{
    return account_app_password(h, a, &((const struct options *)options)->app);
}

/* ---- list -------------------------------------------------------------------------------- */

static int collect(void *ctx, const struct ph_house_account *row)
{
    return json_array_append_new(
        ctx, json_pack("{s:I, s:o, s:o, s:b, s:I}", "id", (json_int_t)row->id, "address",
                       house_json(row->address), "folder", house_json(row->folder), "disabled",
                       row->disabled, "created", (json_int_t)row->created));
}

static int print(void *ctx, const struct ph_house_account *row)
{
    char when[32] = "";
    time_t t = row->created;
    struct tm tm;
    (void)ctx;
    if (gmtime_r(&t, &tm))
        strftime(when, sizeof when, "%Y-%m-%d", &tm);
    printf("%.*s\t%s\tmail/%.*s%s\n", PH_FMT(row->address), when, PH_FMT(row->folder),
           row->disabled ? "\tdisabled" : "");
    return 0;
}

static int list(struct ph_house *h, const struct admin_args *a, void *options)
{
    (void)options;
    struct ph_error e = {0};
    json_t *rows = a->json ? json_array() : NULL;
    if (ph_house_accounts(h, a->json ? collect : print, rows, &e) < 0) {
        json_decref(rows);
        return house_fail(&e);
    }
    return a->json ? house_print_json(rows) : EX_OK;
}

static const struct house_action actions[] = {
    {"add", 1, 1, true, add},        {"passwd", 1, 1, false, passwd},
    {"list", 0, 0, false, list},     {"remove", 1, 1, false, drop},
    {"quota", 1, 1, false, quota},   {"export", 2, 2, false, export},
    {"import", 2, 2, false, import}, {"app-password", 2, 3, false, app_password}};

int admin_account(int argc, char **argv)
{
    struct admin_args a;
    struct options o = {0};
    const struct admin_option opts[] = {
        {.name = "--password-file",
         .value = &o.password.file,
         .help = "--password-file FILE  the first line of FILE is the password"},
        {.name = "--generate",
         .flag = &o.password.generate,
         .help = "--generate    make a password and print it"},
        {.name = "--scram-iterations",
         .value = &o.iterations,
         .help =
             "--scram-iterations N  how dear a guess at the SCRAM keys is (10000); 0: keep none"},
        {.name = "--erase",
         .flag = &o.erase,
         .help = "--erase       with remove: delete its mail, too"},
        {.name = "--user",
         .value = &o.from.user,
         .help = "--user NAME   with import from a server: who logs in there"},
        {.name = "--ca",
         .value = &o.from.ca_file,
         .help = "--ca FILE     ... certificates to trust instead of the system's"},
        {.name = "--insecure",
         .flag = &o.from.insecure,
         .help = "--insecure    ... do not check its certificate"},
        {.name = "--scope",
         .value = &o.app.scope,
         .help =
             "--scope LIST  with app-password add: of smtp, imap, pop3 (else all three), or apop"},
        {.name = "--expires",
         .value = &o.app.expires,
         .help = "--expires DAY  ... 90d, or 2027-01-31; never"},
        {.name = "--mbox", .flag = &o.mbox, .help = "--mbox        with export: NAME.mbox files"},
        {.name = "--bytes",
         .value = &o.bytes,
         .help = "--bytes N     with quota: the most it may hold: 500M, 2G, none, default"},
        {.name = "--messages",
         .value = &o.messages,
         .help = "--messages N  with quota: the most messages: a number, none, default"},
        {0}};
    int left = admin_options(
        argc, argv, opts,
        "Without an option the password is asked for on a terminal, or is the first line\n"
        "of standard input. A running server knows of every change at once.\n"
        "quota without an option prints what the account may hold; default is what the settings\n"
        "quota_bytes and quota_messages say.\n"
        "app-password add makes a password for one program and prints it, once: for clients that\n"
        "send a password (not by SCRAM). It is good for the protocols of --scope, until "
        "--expires. One for apop is kept readable, and good for nothing else (see pop3_apop).\n"
        "export writes all letters into the new folder PATH, as Maildir or mbox; import reads a\n"
        "Maildir, an mbox file, a folder of them, or a server (imaps://host), with flags, dates\n"
        "and POP3 names; letters "
        "that\n"
        "are there already are passed over. The server may be running.\n",
        1, 4, &a);
    if (left >= 0)
        return left;
    o.from.password = o.password;
    return house_run("account", actions, sizeof actions / sizeof *actions, &a, &o);
}
