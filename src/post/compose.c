/* From options to a letter. One that is given with --raw goes as it is; any other is built. */
#include "compose.h"
#include "editor.h"
#include "file.h"
#include <cmark.h>
#include <posthouse/build.h>
#include <posthouse/mime.h>
#include <posthouse/reply.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { ARENA_MAX = 256 * 1024 * 1024 };

static const char *const recipient_fields[] = {"To", "Cc", "Bcc"};

static int no_memory(void)
{
    return post_fail(EX_OSERR, "out of memory");
}

/* The bytes of a file, in the arena. */
static int file_bytes(struct post_letter *l, const char *path, ph_str *ret)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, POST_LETTER_MAX);
    int rc = post_read_file(path, &b);
    if (rc == 0) {
        *ret = ph_arena_copy(l->arena, ph_buf_str(&b));
        if (!ret->p)
            rc = post_fail(EX_DATAERR, "%s is too large for a letter", path);
    }
    ph_buf_done(&b);
    return rc;
}

static bool is_recipient_field(ph_str name)
{
    for (size_t i = 0; i < 3; i++)
        if (ph_str_ieq(name, ph_str_c(recipient_fields[i])))
            return true;
    return false;
}

/* ---- envelope ---------------------------------------------------------------------------- */

static int add_recipient(struct post_letter *l, ph_str address)
{
    for (size_t i = 0; i < l->to_n; i++)
        if (ph_str_eq(l->to[i], address))
            return 0;
    if (l->to_n == POST_RECIPIENTS)
        return post_fail(EX_DATAERR, "more than %d recipients", POST_RECIPIENTS);
    l->to[l->to_n++] = address;
    return 0;
}

/* local@host of one mailbox, in the arena. */
static ph_str written(struct post_letter *l, const struct ph_address *a)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, 4096);
    ph_address_write(&b, a->local, a->host);
    ph_str s = ph_buf_err(&b) ? (ph_str){0} : ph_arena_copy(l->arena, ph_buf_str(&b));
    ph_buf_done(&b);
    return s;
}

static int add_recipients(struct post_letter *l, ph_str list)
{
    struct ph_address *a;
    if (ph_address_parse(l->arena, list, &a) < 0)
        return no_memory();
    int rc = 0;
    for (; rc == 0 && a; a = a->next)
        if (a->kind == PH_ADDRESS_MAILBOX && a->host.n)
            rc = add_recipient(l, written(l, a));
    return rc;
}

static int find_sender(struct post_letter *l, ph_str from)
{
    struct ph_address *a;
    if (ph_address_parse(l->arena, from, &a) < 0)
        return no_memory();
    while (a && a->kind != PH_ADDRESS_MAILBOX)
        a = a->next;
    if (!a || a->host.n == 0)
        return post_fail(EX_USAGE, "who sends this? \"%.*s\" holds no address; give --from ADDRESS",
                         PH_FMT(ph_str_sub(from, 0, 200)));
    l->sender = written(l, a);
    return l->sender.p ? 0 : no_memory();
}

/* ---- a letter as it is ------------------------------------------------------------------- */

/* Without recipients in the options they come from the header, and Bcc goes out of it. */
static int envelope_from_header(struct post_letter *l)
{
    struct ph_buf without;
    struct ph_field f;
    ph_str head = ph_buf_str(&l->body.head);
    bool had_bcc = false;
    int rc = 0;
    ph_buf_init(&without, NULL, PH_MIME_HEADER + 2);
    while (rc == 0 && ph_field_next(&head, &f)) {
        if (is_recipient_field(f.name))
            rc = add_recipients(l, f.value);
        if (ph_str_ieq(f.name, PH_STR("Bcc")))
            had_bcc = true;
        else
            ph_buf_add(&without, f.all);
    }
    ph_buf_add(&without, PH_STR("\r\n"));
    if (rc == 0 && had_bcc) {
        l->body.size = l->body.size - l->body.head.n + without.n;
        ph_buf_done(&l->body.head);
        l->body.head = without;
        return ph_buf_err(&without) ? no_memory() : 0;
    }
    ph_buf_done(&without);
    return rc;
}

static int take_raw(struct post_letter *l)
{
    struct ph_field f;
    int rc = post_body_file(&l->body, l->raw);
    if (rc)
        return rc;
    ph_str head = ph_buf_str(&l->body.head);
    if (ph_field_find(head, PH_STR("Message-ID"), 0, &f)) {
        ph_str rest = f.value, id;
        if (ph_id_next(&rest, &id))
            l->id = ph_arena_copy(l->arena, id);
    }
    if (l->from)
        rc = find_sender(l, ph_str_c(l->from));
    else if (ph_field_find(head, PH_STR("From"), 0, &f))
        rc = find_sender(l, f.value);
    else
        rc = post_fail(EX_USAGE, "the letter has no From; give --from ADDRESS");
    for (size_t i = 0; rc == 0 && i < l->field_n; i++) {
        if (!l->fields[i].name || !is_recipient_field(ph_str_c(l->fields[i].name)))
            return post_fail(EX_USAGE,
                             "--raw sends the letter as it is: no --header or --subject with it");
        rc = add_recipients(l, ph_str_c(l->fields[i].value));
    }
    return rc == 0 && l->to_n == 0 ? envelope_from_header(l) : rc;
}

/* ---- a letter to be built ---------------------------------------------------------------- */

/* The header fields of the options, in the arena of the letter. */
static int take_fields(struct post_letter *l, struct ph_header *to)
{
    for (size_t i = 0; i < l->field_n; i++) {
        ph_str name = ph_str_c(l->fields[i].name), value = ph_str_c(l->fields[i].value);
        if (!l->fields[i].name) {
            size_t colon = ph_str_chr(value, ':');
            if (colon == PH_NPOS)
                return post_fail(EX_USAGE, "--header is \"Name: value\", not \"%.*s\"",
                                 PH_FMT(value));
            name = ph_str_trim(ph_str_sub(value, 0, colon));
            value = ph_str_trim(ph_str_skip(value, colon + 1));
        }
        to[i] = (struct ph_header){name, value};
    }
    return 0;
}

/* Markdown is text as it is, and HTML beside it. */
static int take_markdown(struct post_letter *l, struct ph_letter *to)
{
    ph_str text = ph_str_c(l->markdown);
    int rc = l->markdown_file ? file_bytes(l, l->markdown_file, &text) : 0;
    if (rc)
        return rc;
    char *html = cmark_markdown_to_html(text.p, text.n, CMARK_OPT_VALIDATE_UTF8);
    if (!html)
        return no_memory();
    to->text = text;
    to->html = ph_arena_copy(l->arena, ph_str_c(html));
    free(html);
    return to->html.p ? 0 : no_memory();
}

/* What a person writes now. */
static int take_editor(struct post_letter *l, struct ph_letter *to)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, POST_LETTER_MAX);
    int rc = post_edit((ph_str){0}, &b);
    if (rc == 0)
        to->text = ph_arena_copy(l->arena, ph_buf_str(&b));
    ph_buf_done(&b);
    return rc ? rc : to->text.p ? 0 : no_memory();
}

static int take_texts(struct post_letter *l, struct ph_letter *to)
{
    bool nothing = !l->text && !l->text_file && !l->html && !l->html_file;
    int rc = 0;
    if (l->markdown || l->markdown_file)
        return nothing ? take_markdown(l, to)
                       : post_fail(EX_USAGE, "--markdown makes both text and HTML: give no other");
    to->text = ph_str_c(l->text);
    to->html = ph_str_c(l->html);
    if (nothing && isatty(STDIN_FILENO))
        return take_editor(l, to);
    if (l->text_file || (nothing && l->file_n == 0))
        rc = file_bytes(l, l->text_file ? l->text_file : "-", &to->text);
    if (rc == 0 && l->html_file)
        rc = file_bytes(l, l->html_file, &to->html);
    return rc;
}

/* --date: as RFC 5322 or ISO 8601 write it. */
static int take_date(struct post_letter *l, struct ph_email *m)
{
    struct ph_date d;
    struct ph_error e;
    struct ph_buf b;
    if (!l->date)
        return 0;
    if (ph_date_parse(ph_str_c(l->date), &d) < 0)
        return post_fail(EX_USAGE,
                         "--date is like \"22 Nov 2026 19:53:48 +0100\" or "
                         "\"2026-11-22T19:53:48+01:00\", not \"%s\"",
                         l->date);
    ph_buf_init(&b, NULL, 100);
    ph_date_write(&b, &d);
    int rc = ph_email_set_header(m, PH_STR("Date"), ph_buf_str(&b), &e);
    ph_buf_done(&b);
    return rc < 0 ? post_fail(EX_DATAERR, "--date: %s", e.text) : 0;
}

/* Pictures from the front of `all`, files behind them. */
static int take_files(struct post_letter *l, struct ph_content *all, struct ph_letter *to)
{
    int rc = 0;
    for (size_t i = 0; i < l->file_n; i++)
        to->picture_count += l->files[i].kind == POST_PICTURE;
    to->pictures = all;
    to->files = all + to->picture_count;
    struct ph_content *picture = all, *file = all + to->picture_count;
    for (size_t i = 0; i < l->file_n && rc == 0; i++) {
        const char *path = l->files[i].path, *slash = strrchr(path, '/');
        struct ph_content *c = l->files[i].kind == POST_PICTURE ? picture++ : file++;
        c->filename = ph_str_c(slash ? slash + 1 : path);
        if (l->files[i].kind == POST_ENCLOSED)
            c->type = PH_STR("message/rfc822");
        if (strcmp(path, "-") == 0)
            rc = file_bytes(l, path, &c->bytes);
        else
            c->path = ph_str_c(path);
    }
    to->file_count = l->file_n - to->picture_count;
    return rc;
}

/* "id@host" and "<id@host>" are the same to whoever types it. */
static int add_message_id(struct post_letter *l, struct ph_email *m)
{
    struct ph_error e;
    if (!l->message_id)
        return 0;
    ph_str id = ph_str_trim(ph_str_c(l->message_id));
    if (id.n && id.p[0] != '<')
        id = ph_arena_printf(l->arena, "<%.*s>", PH_FMT(id));
    return ph_email_set_header(m, PH_STR("Message-ID"), id, &e) < 0
               ? post_fail(EX_DATAERR, "--message-id: %s", e.text)
               : 0;
}

/* What the message says of itself: the envelope, the id. */
static int take_message(struct post_letter *l, struct ph_email *m)
{
    ph_str address;
    int rc = add_message_id(l, m);
    for (size_t n = 0; rc == 0 && ph_email_recipient(m, n, &address); n++)
        rc = add_recipient(l, address);
    if (rc)
        return rc;
    if (ph_email_sender(m, &address))
        l->sender = address;
    l->id = ph_email_message_id(m);
    return post_body_email(&l->body, m);
}

static int build(struct post_letter *l)
{
    struct ph_error e;
    struct ph_email *m;
    struct ph_header *headers = ph_arena_array(l->arena, l->field_n + 1, sizeof *headers);
    struct ph_content *files = ph_arena_array(l->arena, l->file_n + 1, sizeof *files);
    if (!headers || !files)
        return no_memory();
    if (!l->from)
        return post_fail(EX_USAGE, "who sends this? Give --from ADDRESS, or set POST_FROM");
    struct ph_letter letter = {.struct_size = sizeof letter,
                               .from = ph_str_c(l->from),
                               .subject = ph_str_c(l->subject),
                               .headers = headers,
                               .header_count = l->field_n};
    int rc = find_sender(l, letter.from);
    if (rc || (rc = take_fields(l, headers)) || (rc = take_texts(l, &letter)) ||
        (rc = take_files(l, files, &letter)))
        return rc;
    if (ph_letter_build(l->arena, &letter, &m, &e) < 0)
        return post_fail(e.code == PH_EIO ? EX_NOINPUT : EX_DATAERR, "%s", e.text);
    rc = take_date(l, m);
    return rc ? rc : take_message(l, m);
}

static int begin(struct post_letter *l)
{
    l->to_n = 0;
    l->sender = l->id = (ph_str){0};
    l->arena = ph_arena_new(NULL, ARENA_MAX);
    post_body_init(&l->body);
    if (!l->arena)
        return no_memory();
    if (l->too_many)
        return post_fail(EX_USAGE, "more than %d header fields or %d files", POST_FIELDS,
                         POST_FILES);
    return 0;
}

int post_compose_reply(struct post_letter *l, ph_str original, const struct ph_reply *how)
{
    struct ph_message *m;
    struct ph_email *answer;
    struct ph_error e;
    int rc = begin(l);
    if (rc)
        return rc;
    if (ph_mime_parse(l->arena, original, NULL, &m) < 0)
        return no_memory();
    if (ph_reply_build(l->arena, m, how, &answer, &e) < 0)
        return post_fail(EX_DATAERR, "%s", e.text);
    for (size_t i = 0; rc == 0 && i < l->file_n; i++)
        if (ph_email_add_attachment(answer, PH_CONTENT(.path = ph_str_c(l->files[i].path)), NULL,
                                    &e) < 0)
            rc = post_fail(EX_DATAERR, "%s: %s", l->files[i].path, e.text);
    return rc ? rc : take_message(l, answer);
}

int post_compose(struct post_letter *l)
{
    int rc = begin(l);
    if (rc)
        return rc;
    rc = l->raw ? take_raw(l) : build(l);
    if (rc == 0 && l->to_n == 0)
        rc = post_fail(EX_USAGE, "to whom? Give --to ADDRESS");
    return rc;
}

void post_compose_done(struct post_letter *l)
{
    post_body_done(&l->body);
    ph_arena_free(l->arena);
    l->arena = NULL;
}
