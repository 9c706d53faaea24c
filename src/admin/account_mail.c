/* posthouse account export|import */
#include "account_mail.h"
#include "carry.h"
#include "mail.h"

#include <posthouse/net.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

static int tell(const struct admin_args *a, const char *did, uint64_t letters, uint64_t known)
{
    if (a->json)
        return house_print_json(
            json_pack("{s:I, s:I}", did, (json_int_t)letters, "already_there", (json_int_t)known));
    printf("%s %llu letters", did, (unsigned long long)letters);
    if (known)
        printf(", %llu were there already", (unsigned long long)known);
    putchar('\n');
    return EX_OK;
}

static int told(const struct ph_error *e, int r)
{
    return admin_fail(admin_exit_code(r), "%s", e->text);
}

int account_export(struct ph_house *h, const struct admin_args *a, bool mbox)
{
    struct mail m;
    struct ph_error e = {0};
    uint64_t count = 0;
    int r = mail_open(&m, a->data, h, a->args[0], &e);
    if (r < 0)
        return told(&e, r);
    struct carry_folder *to = carry_folder_new(a->args[1], mbox, &e);
    r = to ? carry_from_account(&store_sqlite, m.account, carry_folder_take, to, &e) : -e.code;
    if (r < 0 && to && !e.code)
        e = *carry_folder_error(to);
    struct ph_error end = {0};
    int closed = carry_folder_end(to, &count, &end);
    mail_close(&m);
    if (r < 0 || closed < 0)
        return told(r < 0 ? &e : &end, r < 0 ? r : closed);
    return tell(a, "exported", count, 0);
}

static int from_files(const char *path, carry_take *take, void *ctx, struct ph_error *reterr)
{
    char cur[4096];
    struct stat sb;
    snprintf(cur, sizeof cur, "%s/cur", path);
    if (stat(path, &sb) == 0 && S_ISDIR(sb.st_mode) && stat(cur, &sb) == 0)
        return carry_from_maildir(path, take, ctx, reterr);
    return carry_from_mbox(path, take, ctx, reterr);
}

/* "imaps://host[:port]" or "imap://host[:port]", which is STARTTLS. */
static int from_server(const struct import_options *o, const char *url, const char *password,
                       carry_take *take, void *ctx, struct ph_error *reterr)
{
    bool tls = !strncmp(url, "imaps://", 8);
    ph_str rest = ph_str_c(url + (tls ? 8 : 7)), host;
    if (ph_str_chr(rest, '/') != PH_NPOS)
        rest = ph_str_sub(rest, 0, ph_str_chr(rest, '/'));
    size_t colon = ph_str_rchr(rest, ':');
    host = ph_str_sub(rest, 0, colon == PH_NPOS ? rest.n : colon);
    unsigned long port =
        colon == PH_NPOS ? (tls ? 993 : 143) : strtoul(rest.p + colon + 1, NULL, 10);
    if (host.n == 0 || port == 0 || port > 65535)
        return ph_fail(
            reterr, PH_EINVAL, 0,
            "%s: an address of a server is imaps://host, imaps://host:port or imap://host:port",
            url);
    struct ph_account account = {.struct_size = sizeof account,
                                 .host = host,
                                 .port = (unsigned)port,
                                 .tls = tls ? PH_TLS_ON : PH_TLS_STARTTLS,
                                 .ca_file = o->ca_file,
                                 .insecure = o->insecure,
                                 .user = ph_str_c(o->user),
                                 .password = ph_str_c(password)};
    return carry_from_imap(&account, take, ctx, reterr);
}

static bool is_server(const char *path)
{
    return !strncmp(path, "imap://", 7) || !strncmp(path, "imaps://", 8);
}

int account_import(struct ph_house *h, const struct admin_args *a, const struct import_options *o)
{
    char password[PH_PASSWORD_MAX + 1] = "";
    bool server = is_server(a->args[1]);
    if (server && !o->user)
        return admin_fail(EX_USAGE, "--user says who logs in to %s", a->args[1]);
    int code = server ? house_password(&o->password, o->user, password) : EX_OK;
    if (code != EX_OK)
        return code;
    struct mail m;
    struct ph_error e = {0}, end = {0};
    uint64_t put = 0, known = 0;
    int r = mail_open(&m, a->data, h, a->args[0], &e);
    if (r < 0)
        return told(&e, r);
    struct carry_account *to = carry_account_new(m.account, false);
    r = !to      ? ph_fail(&e, PH_ENOMEM, 0, "out of memory")
        : server ? from_server(o, a->args[1], password, carry_account_take, to, &e)
                 : from_files(a->args[1], carry_account_take, to, &e);
    ph_wipe(password, sizeof password);
    if (r < 0 && to && !e.code)
        e = *carry_account_error(to);
    /* What came before a failure is kept: again begins there. */
    int closed = carry_account_end(to, true, &put, &known, &end);
    mail_close(&m);
    if (r < 0 || closed < 0)
        return told(r < 0 ? &e : &end, r < 0 ? r : closed);
    return tell(a, "imported", put, known);
}
