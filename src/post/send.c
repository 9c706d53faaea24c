/* post send: compose, hand over, tell what became of it. */
#include "compose.h"
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char details[] =
    "The text comes from --text, --text-file, or standard input. With HTML and text the reader's "
    "program chooses; pictures given\n"
    "with --inline are named in the HTML by \"cid:FILENAME\". Bcc recipients get the letter and "
    "stand in no header.\n\n"
    "  post send --server mail.here.test --user me@here.test --from me@here.test --to "
    "you@there.test \\\n"
    "      --subject 'The plan' --attach plan.pdf --text 'Here it is.'\n\n"
    "Exit codes: 0 all recipients have it, 67 some were refused, 64 wrong usage, 65 the letter "
    "cannot be sent as it is,\n"
    "68 no such host, 69 refused, 75 try again later, 76 TLS or protocol, 77 the login failed "
    "(sysexits.h).\n";

static void field(struct post_letter *l, const char *name, const char *value)
{
    if (l->field_n == POST_FIELDS) {
        l->too_many = true;
        return;
    }
    l->fields[l->field_n].name = name;
    l->fields[l->field_n++].value = value;
}

static void file(struct post_letter *l, const char *path, bool picture)
{
    if (l->file_n == POST_FILES) {
        l->too_many = true;
        return;
    }
    l->files[l->file_n].path = path;
    l->files[l->file_n++].picture = picture;
}

static void on_to(void *ctx, const char *v)
{
    field(ctx, "To", v);
}

static void on_cc(void *ctx, const char *v)
{
    field(ctx, "Cc", v);
}

static void on_bcc(void *ctx, const char *v)
{
    field(ctx, "Bcc", v);
}

static void on_header(void *ctx, const char *v)
{
    field(ctx, NULL, v);
}

static void on_attach(void *ctx, const char *v)
{
    file(ctx, v, false);
}

static void on_inline(void *ctx, const char *v)
{
    file(ctx, v, true);
}

/* ---- telling ----------------------------------------------------------------------------- */

static void tell_json(const struct post_letter *l, const struct ph_smtp_outcome *each,
                      const struct ph_smtp_outcome *all, const struct ph_conn_info *info)
{
    printf("{\"message_id\":");
    post_json_string(stdout, l->id);
    printf(",\"from\":");
    post_json_string(stdout, l->sender);
    printf(",\"size\":%zu,\"server\":", l->message.n);
    post_json_string(stdout, ph_str_c(info->peer));
    printf(",\"tls\":");
    post_json_string(stdout, ph_str_c(info->tls));
    printf(",\"verified\":%s,\"code\":%d,\"reply\":", info->verified ? "true" : "false", all->code);
    post_json_string(stdout, ph_str_c(all->text));
    printf(",\"recipients\":[");
    for (size_t i = 0; i < l->to_n; i++) {
        printf("%s{\"address\":", i ? "," : "");
        post_json_string(stdout, l->to[i]);
        printf(",\"code\":%d,\"reply\":", each[i].code);
        post_json_string(stdout, ph_str_c(each[i].text));
        printf("}");
    }
    printf("]}\n");
}

static void tell(const struct post_letter *l, int refused, const struct ph_smtp_outcome *each,
                 const struct ph_smtp_outcome *all, const struct ph_conn_info *info)
{
    printf("sent ");
    post_print(stdout, l->id);
    printf(" to %zu recipient%s by %s%s%s: %d ", l->to_n - (size_t)refused,
           l->to_n - (size_t)refused == 1 ? "" : "s", info->peer, info->tls[0] ? ", " : "",
           info->tls, all->code);
    post_print(stdout, ph_str_c(all->text));
    putchar('\n');
    for (size_t i = 0; i < l->to_n; i++)
        if (each[i].code / 100 != 2)
            post_fail(EX_NOUSER, "%.*s was refused: %d %s", PH_FMT(l->to[i]), each[i].code,
                      each[i].text);
}

static int hand_over(const struct post_letter *l, struct post_login *login, bool json)
{
    const struct ph_smtp_transcript t = {post_dialogue, login};
    struct ph_smtp_outcome all = {0}, *each = calloc(l->to_n, sizeof *each);
    struct ph_smtp_session *s = NULL;
    struct ph_error e = {0};
    if (!each)
        return post_fail(EX_OSERR, "out of memory");
    int rc = ph_smtp_open(&login->account, &t, &s, &e);
    if (rc == 0) {
        post_dialogue_tls(login, ph_smtp_session_info(s));
        rc = ph_smtp_letter(s, l->sender, l->to, l->to_n, ph_buf_str(&l->message), each, &all, &e);
    }
    if (rc < 0)
        rc = post_fail_error(&e);
    else if (json)
        tell_json(l, each, &all, ph_smtp_session_info(s));
    else
        tell(l, rc, each, &all, ph_smtp_session_info(s));
    if (s && rc > 0 && all.code / 100 == 2)
        rc = EX_NOUSER;
    ph_smtp_close(s);
    free(each);
    return rc;
}

static int run(struct post_letter *l, struct post_login *login, bool dry, bool json)
{
    l->from = login->from;
    if (!dry) {
        int rc = post_login_complete(login, POST_SMTP);
        if (rc)
            return rc;
        l->from = login->from;
    } else if (!l->from) {
        l->from = getenv("POST_FROM");
    }
    int rc = post_compose(l);
    if (rc == 0 && dry)
        fwrite(l->message.p, 1, l->message.n, stdout);
    else if (rc == 0)
        rc = hand_over(l, login, json);
    return rc;
}

int post_send(int argc, char **argv)
{
    struct post_login login = {0};
    struct post_letter *l = calloc(1, sizeof *l);
    bool dry = false, json = false;
    struct post_option account[POST_LOGIN_ROWS];
    if (!l)
        return post_fail(EX_OSERR, "out of memory");
    const struct post_option own[] = {
        {"--from", "ADDRESS", .value = &login.from, .help = "the sender, \"Alice <alice@a.test>\""},
        {"--to", "ADDRESS", .each = on_to, .ctx = l,
         .help = "a recipient, or several with commas; may be repeated"},
        {"--cc", "ADDRESS", .each = on_cc, .ctx = l, .help = "recipients of a copy"},
        {"--bcc", "ADDRESS", .each = on_bcc, .ctx = l, .help = "recipients whom nobody sees"},
        {"--subject", "TEXT", .value = &l->subject, .help = "what it is about"},
        {"--text", "TEXT", .value = &l->text, .help = "the text"},
        {"--text-file", "FILE", .value = &l->text_file,
         .help = "the text from a file; - is standard input"},
        {"--html", "HTML", .value = &l->html, .help = "the text as HTML"},
        {"--html-file", "FILE", .value = &l->html_file, .help = "the HTML from a file"},
        {"--attach", "FILE", .each = on_attach, .ctx = l,
         .help = "a file to go with it; may be repeated"},
        {"--inline", "FILE", .each = on_inline, .ctx = l,
         .help = "a picture that the HTML shows; may be repeated"},
        {"--header", "NAME: VALUE", .each = on_header, .ctx = l,
         .help = "a header field; may be repeated"},
        {"--message-id", "ID", .value = &l->message_id,
         .help = "its Message-ID instead of a new one"},
        {"--raw", "FILE", .value = &l->raw,
         .help = "send this letter as it is; - is standard input"},
        {"--dry-run", NULL, .flag = &dry, .help = "print the letter instead of sending it"},
        {"--json", NULL, .flag = &json, .help = "print what happened as JSON"},
        {0}};
    const struct post_option *const tables[] = {own, account, NULL};
    post_login_options(&login, account);
    int rc = post_options(argc, argv, tables, details, 0, 0);
    rc = rc < 0 ? -1 - rc : run(l, &login, dry, json);
    post_login_done(&login);
    post_compose_done(l);
    free(l);
    return rc;
}
