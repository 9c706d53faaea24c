/* post send: compose, hand over, tell what became of it. */
#include "editor.h"
#include "handover.h"
#include "letter.h"
#include "paths.h"
#include "stop.h"
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char details[] =
    "The text comes from --text, --text-file, or standard input; on a terminal from $EDITOR. With "
    "HTML and text the reader's "
    "program chooses; pictures given\n"
    "with --inline are named in the HTML by \"cid:FILENAME\". Bcc recipients get the letter and "
    "stand in no header.\n\n"
    "  post send --server mail.here.test --user me@here.test --from me@here.test --to "
    "you@there.test \\\n"
    "      --subject 'The plan' --attach plan.pdf --text 'Here it is.'\n\n"
    "More letters may follow the one of --raw, and a folder stands for the letters in it: all go "
    "over one session, a line of "
    "result each; one that fails stops no other.\n\n"
    "A letter that could not be sent is kept, and the command that sends it again is printed; "
    "it is removed when all recipients have it.\n\n"
    "Exit codes: 0 all recipients have it, 67 some were refused, 64 wrong usage, 65 the letter "
    "cannot be sent as it is,\n"
    "68 no such host, 69 refused, 75 try again later, 76 TLS or protocol, 77 the login failed "
    "(sysexits.h).\n";

struct sending {
    struct post_login login;
    struct post_letter letter;
    const char *list, *stop_after, *output;
    bool dry, json;
};

static void field(struct post_letter *l, const char *name, const char *value)
{
    if (l->field_n == POST_FIELDS) {
        l->too_many = true;
        return;
    }
    l->fields[l->field_n].name = name;
    l->fields[l->field_n++].value = value;
}

static void file(struct post_letter *l, const char *path, int kind)
{
    if (l->file_n == POST_FILES) {
        l->too_many = true;
        return;
    }
    l->files[l->file_n].path = path;
    l->files[l->file_n++].kind = kind;
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
    file(ctx, v, POST_FILE);
}

static void on_inline(void *ctx, const char *v)
{
    file(ctx, v, POST_PICTURE);
}

static void on_forward(void *ctx, const char *v)
{
    file(ctx, v, POST_ENCLOSED);
}

static void on_reply_to(void *ctx, const char *v)
{
    field(ctx, "Reply-To", v);
}

/* ---- sending ----------------------------------------------------------------------------- */

/* The structure, then the letter as it would travel. */
static int show_dry(struct sending *s)
{
    struct ph_buf bytes;
    if (s->output)
        return post_body_write(&s->letter.body, s->output);
    printf("from ");
    post_print(stdout, s->letter.sender);
    for (size_t i = 0; i < s->letter.to_n; i++) {
        printf(i ? ", " : " to ");
        post_print(stdout, s->letter.to[i]);
    }
    putchar('\n');
    ph_buf_init(&bytes, NULL, POST_LETTER_MAX);
    int rc = post_body_all(&s->letter.body, &bytes);
    if (rc == 0)
        rc = post_show_tree(ph_buf_str(&bytes), s->json);
    if (rc == 0) {
        putchar('\n');
        post_print(stdout, ph_buf_str(&bytes));
    }
    ph_buf_done(&bytes);
    return rc;
}

static int one(struct sending *s, struct post_handover *h)
{
    struct post_letter *l = &s->letter;
    int rc = post_compose(l);
    if (rc == 0 && (s->dry || s->output))
        rc = show_dry(s);
    else if (rc == 0 && s->stop_after)
        rc = post_stop_after(s->stop_after, l, &s->login);
    else if (rc == 0) {
        rc = post_handover_letter(h, l);
        /* A letter that is a file already is there to be sent again. */
        if (rc && rc != EX_NOUSER && (!l->raw || strcmp(l->raw, "-") == 0))
            post_keep_draft(l, &s->login);
        else if (rc == 0 && l->raw)
            post_drop_draft(l->raw);
    }
    post_compose_done(l);
    return rc;
}

/* Letters as they are, all over one session. One that cannot be sent stops no other; the first
 * failure is the exit code. */
static int many(struct sending *s, struct post_handover *h, const struct post_paths *p)
{
    struct post_letter *l = &s->letter;
    int first = 0;
    size_t sent = 0, at = 0;
    for (; at < p->n && !h->hopeless; at++) {
        l->raw = p->v[at];
        h->name = p->n > 1 ? l->raw : NULL;
        int rc = one(s, h);
        sent += rc == 0;
        first = first ? first : rc;
    }
    if (p->n > 1 && sent < p->n)
        post_fail(first, "%zu of %zu letters were sent to all their recipients, %zu were not tried",
                  sent, p->n, p->n - at);
    return first;
}

static int run(struct sending *s, int argc, char **argv)
{
    struct post_handover h = {.login = &s->login, .json = s->json};
    struct post_paths paths = {0};
    int rc = s->dry || s->output ? post_login_sender(&s->login)
                                 : post_login_complete(&s->login, POST_SMTP);
    s->letter.from = s->login.from;
    if (s->letter.raw)
        rc = rc ? rc : post_paths_add(&paths, s->letter.raw);
    else if (argc)
        rc = rc ? rc : post_fail(EX_USAGE, "%s: files are sent with --raw or --attach", argv[0]);
    for (int i = 0; rc == 0 && i < argc; i++)
        rc = post_paths_add(&paths, argv[i]);
    if (rc == 0 && s->list)
        rc = post_paths_add_list(&paths, s->list);
    if (rc == 0 && (s->letter.raw || s->list))
        rc = paths.n ? many(s, &h, &paths) : post_fail(EX_NOINPUT, "there is no letter to send");
    else if (rc == 0)
        rc = one(s, &h);
    post_handover_done(&h);
    post_paths_done(&paths);
    return rc;
}

int post_send(int argc, char **argv)
{
    struct sending *s = calloc(1, sizeof *s);
    struct post_option account[POST_LOGIN_ROWS];
    if (!s)
        return post_fail(EX_OSERR, "out of memory");
    struct post_letter *l = &s->letter;
    const struct post_option own[] = {
        {"--from", "ADDRESS", .value = &s->login.from,
         .help = "the sender, \"Alice <alice@a.test>\""},
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
        {"--markdown", "TEXT", .value = &l->markdown,
         .help = "the text in Markdown: both as it is and as HTML"},
        {"--markdown-file", "FILE", .value = &l->markdown_file, .help = "Markdown from a file"},
        {"--attach", "FILE", .each = on_attach, .ctx = l,
         .help = "a file to go with it; may be repeated"},
        {"--inline", "FILE", .each = on_inline, .ctx = l,
         .help = "a picture that the HTML shows; may be repeated"},
        {"--forward", "FILE", .each = on_forward, .ctx = l,
         .help = "a letter to pass on, as it is; may be repeated"},
        {"--reply-to", "ADDRESS", .each = on_reply_to, .ctx = l, .help = "where answers go"},
        {"--date", "DATE", .value = &l->date, .help = "its Date instead of now"},
        {"--header", "NAME: VALUE", .each = on_header, .ctx = l,
         .help = "a header field; may be repeated"},
        {"--message-id", "ID", .value = &l->message_id,
         .help = "its Message-ID instead of a new one"},
        {"--raw", "FILE", .value = &l->raw,
         .help = "send this letter as it is; - is standard input"},
        {"--raw-list", "FILE", .value = &s->list,
         .help = "send the letters whose paths are the lines of FILE; - is standard input"},
        {"--dry-run", NULL, .flag = &s->dry, .help = "show structure and text instead of sending"},
        {"--output", "FILE", .value = &s->output,
         .help = "write the letter into this file instead; - is standard output"},
        {"--stop-after", "STEP", .value = &s->stop_after,
         .help = "go as far as connect, ehlo, auth, mail, rcpt or data, and tell"},
        {"--json", NULL, .flag = &s->json, .help = "print what happened as JSON, a line a letter"},
        {0}};
    const struct post_option *const tables[] = {own, account, NULL};
    post_login_options(&s->login, account);
    int rc = post_options(argc, argv, tables, details, 0, -1);
    if (rc >= 0 && s->stop_after && !post_stop_known(s->stop_after))
        rc = -1 - post_fail(EX_USAGE, "--stop-after is connect, ehlo, auth, mail, rcpt or data");
    rc = rc < 0 ? -1 - rc : run(s, rc, argv + 1);
    post_login_done(&s->login);
    free(s);
    return rc;
}
