/* post reply: an answer to a letter of the mailbox or of a file, with everything that makes it one
 * (posthouse/reply.h), handed to the server that sends; the letter that it answers is then flagged
 * so. */
#include "editor.h"
#include "handover.h"
#include "letter.h"
#include "source_imap.h"
#include <posthouse/reply.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct reply {
    struct post_login reading, sending;
    struct post_source_args source;
    struct post_letter letter;
    struct ph_buf original, text;
    bool all, list, no_quote, dry, json;
};

/* ---- the letter that is answered --------------------------------------------------------- */

static int keep(void *ctx, struct post_item *item, ph_str bytes)
{
    struct reply *r = ctx;
    (void)item;
    ph_buf_add(&r->original, bytes);
    return ph_buf_err(&r->original) ? post_fail(EX_OSERR, "out of memory") : 0;
}

static int read_original(struct reply *r, char *arg)
{
    struct post_source s;
    if (!post_is_number(arg))
        return post_read_file(arg, &r->original);
    int rc = post_source_open(&s, &r->source, &r->reading);
    if (rc)
        return rc;
    rc = post_source_pick(&s, 1, &arg);
    if (rc == 0)
        rc = post_source_get(&s, false, keep, r);
    int end = post_source_close(&s, rc == 0);
    return rc ? rc : end;
}

static int answered(void *ctx, ph_str set)
{
    const struct ph_imap_flags flags = {.bits = PH_IMAP_ANSWERED};
    const struct post_source *s = ctx;
    return ph_imap_client_store(s->engine, true, set, '+', true, &flags);
}

/* The answer is on its way already: a failure here is told and changes nothing. */
static void flag_original(struct reply *r, char *arg)
{
    struct post_source s;
    if (!post_is_number(arg) || post_source_open(&s, &r->source, &r->reading))
        return;
    if (s.ops == &post_source_imap && post_source_pick(&s, 1, &arg) == 0 &&
        post_imap_each_set(&s, answered, NULL, &s) < 0)
        post_source_fail(&s);
    post_source_close(&s, true);
}

/* ---- the answer -------------------------------------------------------------------------- */

static int read_text(struct reply *r)
{
    const struct post_letter *l = &r->letter;
    if (l->text)
        ph_buf_add(&r->text, ph_str_c(l->text));
    else if (l->text_file || !isatty(STDIN_FILENO))
        return post_read_file(l->text_file ? l->text_file : "-", &r->text);
    else
        return post_edit((ph_str){0}, &r->text);
    return 0;
}

static int show_dry(struct reply *r)
{
    struct ph_buf bytes;
    ph_buf_init(&bytes, NULL, POST_LETTER_MAX);
    int rc = post_body_all(&r->letter.body, &bytes);
    if (rc == 0)
        post_print(stdout, ph_buf_str(&bytes));
    ph_buf_done(&bytes);
    return rc;
}

static int hand_over(struct reply *r, char *arg)
{
    struct post_handover h = {.login = &r->sending, .json = r->json};
    if (r->dry)
        return show_dry(r);
    int rc = post_handover_letter(&h, &r->letter);
    if (rc && rc != EX_NOUSER)
        post_keep_draft(&r->letter, &r->sending);
    post_handover_done(&h);
    if (rc == 0)
        flag_original(r, arg);
    return rc;
}

static int reply(struct reply *r, char *arg)
{
    int rc = r->dry ? post_login_sender(&r->sending) : post_login_complete(&r->sending, POST_SMTP);
    if (rc == 0)
        rc = read_original(r, arg);
    if (rc == 0)
        rc = read_text(r);
    if (rc)
        return rc;
    r->letter.from = r->sending.from;
    if (!r->letter.from)
        return post_fail(EX_USAGE, "who answers? Give --from ADDRESS, or set POST_FROM");
    const struct ph_reply how = {.struct_size = sizeof how,
                                 .from = ph_str_c(r->letter.from),
                                 .to = r->all    ? PH_REPLY_ALL
                                       : r->list ? PH_REPLY_LIST
                                                 : PH_REPLY_SENDER,
                                 .text = ph_buf_str(&r->text),
                                 .no_quote = r->no_quote};
    rc = post_compose_reply(&r->letter, ph_buf_str(&r->original), &how);
    if (rc == 0)
        rc = hand_over(r, arg);
    post_compose_done(&r->letter);
    return rc;
}

static void on_attach(void *ctx, const char *v)
{
    struct post_letter *l = ctx;
    if (l->file_n == POST_FILES)
        l->too_many = true;
    else
        l->files[l->file_n++].path = v;
}

int post_reply(int argc, char **argv)
{
    static const char details[] =
        "N is a letter of the mailbox, FILE one on disk. The text comes from --text, --text-file, "
        "standard input or $EDITOR; the "
        "letter is quoted below it. The account says where to read and where to send.\n\n"
        "  post reply 17 --text 'I will be there.'\n"
        "  post reply --all 17\n";
    struct reply *r = calloc(1, sizeof *r);
    struct post_option account[POST_LOGIN_ROWS], source[POST_SOURCE_ROWS];
    if (!r)
        return post_fail(EX_OSERR, "out of memory");
    const struct post_option own[] = {
        {"--from", "ADDRESS", .value = &r->sending.from, .help = "who answers"},
        {"--all", NULL, .flag = &r->all, .help = "to everybody that the letter went to"},
        {"--list", NULL, .flag = &r->list, .help = "to the mailing list it came from"},
        {"--text", "TEXT", .value = &r->letter.text, .help = "the answer"},
        {"--text-file", "FILE", .value = &r->letter.text_file, .help = "the answer from a file"},
        {"--no-quote", NULL, .flag = &r->no_quote, .help = "without the letter below it"},
        {"--attach", "FILE", .each = on_attach, .ctx = &r->letter, .help = "a file to go with it"},
        {"--dry-run", NULL, .flag = &r->dry, .help = "show the answer instead of sending it"},
        {"--json", NULL, .flag = &r->json, .help = "print what happened as JSON"},
        {0}};
    const struct post_option *const tables[] = {source, own, account, NULL};
    post_source_options(&r->source, source);
    post_login_options(&r->reading, account);
    ph_buf_init(&r->original, NULL, POST_LETTER_MAX);
    ph_buf_init(&r->text, NULL, POST_LETTER_MAX);
    int rc = post_options(argc, argv, tables, details, 1, 1);
    if (rc >= 0) {
        const char *from = r->sending.from;
        r->sending = r->reading;
        r->sending.from = from;
        rc = reply(r, argv[1]);
    } else {
        rc = -1 - rc;
    }
    post_login_done(&r->reading);
    post_login_done(&r->sending);
    ph_buf_done(&r->original);
    ph_buf_done(&r->text);
    free(r);
    return rc;
}
