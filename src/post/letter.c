/* Letters for the eye: a line of a list, the whole letter, its attachments. */
#include "letter.h"
#include "file.h"
#include <fcntl.h>
#include <posthouse/mime.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { ARENA_MAX = 64 * 1024 * 1024, TEXT_MAX = 64 * 1024 * 1024 };

/* What raw bytes in the header of `m` mean: as the text says, or as an encoded word in the header
 * does ("=?gb2312?B?...", RFC 2047 2). */
static ph_str charset_of(const struct ph_message *m)
{
    ph_str charset = ph_message_charset(m), head = m->root->head;
    size_t word = charset.n ? PH_NPOS : ph_str_find(head, PH_STR("=?"));
    if (word != PH_NPOS) {
        ph_str rest = ph_str_skip(head, word + 2);
        charset = ph_str_sub(rest, 0, ph_str_chr(rest, '?'));
    }
    return charset;
}

ph_str post_field_text(struct ph_arena *a, ph_str head, const char *name)
{
    return post_field_text_in(a, head, post_head_charset(a, head), name);
}

ph_str post_field_text_in(struct ph_arena *a, ph_str head, ph_str charset, const char *name)
{
    struct ph_field f;
    ph_str text = {0};
    if (!ph_field_find(head, ph_str_c(name), 0, &f) ||
        ph_field_text_in(a, f.value, charset, &text) < 0)
        return (ph_str){0};
    return text;
}

ph_str post_head_charset(struct ph_arena *a, ph_str head)
{
    struct ph_message *m;
    size_t i = 0;
    while (i < head.n && !(head.p[i] & 0x80))
        i++;
    if (i == head.n || ph_mime_parse(a, head, NULL, &m) < 0)
        return (ph_str){0};
    return charset_of(m);
}

/* "2026-11-22 19:53", in the reader's zone. */
static const char *date_text(ph_str head, char *buf, size_t n)
{
    struct ph_field f;
    struct ph_date d;
    struct tm tm;
    buf[0] = '\0';
    if (ph_field_find(head, PH_STR("Date"), 0, &f) && ph_date_parse(f.value, &d) == 0) {
        time_t t = (time_t)d.time;
        if (localtime_r(&t, &tm))
            strftime(buf, n, "%Y-%m-%d %H:%M", &tm);
    }
    return buf;
}

/* Who: the display name of the first address, else the address. */
static ph_str who(struct ph_arena *a, ph_str head, ph_str charset, const char *field)
{
    struct ph_field f;
    struct ph_address *list;
    ph_str name;
    if (!ph_field_find(head, ph_str_c(field), 0, &f) || ph_address_parse(a, f.value, &list) < 0 ||
        !list)
        return (ph_str){0};
    if (list->name.n && ph_field_text_in(a, list->name, charset, &name) == 0)
        return name;
    return ph_arena_printf(a, "%.*s@%.*s", PH_FMT(list->local), PH_FMT(list->host));
}

/* Cut or filled to `width` characters; a character of two columns counts as one, which is good
 * enough for a list. */
static void column(ph_str s, size_t width)
{
    size_t i = 0, shown = 0;
    while (i < s.n && shown < width) {
        i++;
        while (i < s.n && ((unsigned char)s.p[i] & 0xC0) == 0x80)
            i++;
        shown++;
    }
    post_print(stdout, ph_str_sub(s, 0, i));
    for (; shown < width; shown++)
        putchar(' ');
    putchar(' ');
}

static void size_text(uint64_t size, char *buf, size_t n)
{
    if (size < 10000)
        snprintf(buf, n, "%u", (unsigned)size);
    else if (size < 10000000)
        snprintf(buf, n, "%uK", (unsigned)(size / 1000));
    else
        snprintf(buf, n, "%lluM", (unsigned long long)(size / 1000000));
}

static void json_field(const char *name, ph_str value)
{
    printf(",\"%s\":", name);
    post_json_string(stdout, value);
}

void post_show_line(const struct post_item *item, ph_str head, bool json)
{
    struct ph_arena *a = ph_arena_new(NULL, ARENA_MAX);
    char date[32], size[16];
    if (!a)
        return;
    ph_str charset = post_head_charset(a, head);
    date_text(head, date, sizeof date);
    if (json) {
        printf("{\"number\":%u,\"size\":%llu,\"seen\":%s", item->number,
               (unsigned long long)item->size, item->flags & POST_SEEN ? "true" : "false");
        json_field("uid", ph_str_c(item->uid));
        json_field("date", post_field_text_in(a, head, charset, "Date"));
        json_field("from", post_field_text_in(a, head, charset, "From"));
        json_field("to", post_field_text_in(a, head, charset, "To"));
        json_field("subject", post_field_text_in(a, head, charset, "Subject"));
        json_field("message_id", post_field_text_in(a, head, charset, "Message-ID"));
        printf("}");
    } else {
        size_text(item->size, size, sizeof size);
        printf("%5u %c%c %16s %6s  ", item->number, item->flags & POST_SEEN ? ' ' : 'N',
               item->flags & POST_FLAGGED ? '*' : ' ', date, size);
        column(who(a, head, charset, "From"), 22);
        column(post_field_text_in(a, head, charset, "Subject"), 60);
        putchar('\n');
    }
    ph_arena_free(a);
}

/* ---- one letter -------------------------------------------------------------------------- */

static const char *const shown[] = {"Date",     "From",    "To",        "Cc",
                                    "Reply-To", "Subject", "Message-ID"};

/* Quotes in a colour by their depth; none when it is 0. */
static void show_lines(ph_str text, bool colour)
{
    static const char *const colours[] = {"", "\033[36m", "\033[32m", "\033[35m"};
    ph_str line;
    while (ph_str_token(&text, '\n', &line)) {
        size_t depth = 0;
        for (size_t i = 0; colour && i < line.n && (line.p[i] == '>' || line.p[i] == ' '); i++)
            depth += line.p[i] == '>';
        fputs(colours[depth ? 1 + (depth - 1) % 3 : 0], stdout);
        post_print(stdout, line);
        fputs(depth ? "\033[0m\n" : "\n", stdout);
    }
}

static void show_text(struct ph_arena *a, const struct ph_message *m, ph_str text)
{
    struct ph_attachment *att = NULL;
    bool colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    ph_str charset = charset_of(m);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        ph_str value = post_field_text_in(a, m->root->head, charset, shown[i]);
        if (!value.n)
            continue;
        printf(colour ? "\033[1m%s:\033[0m " : "%s: ", shown[i]);
        post_print(stdout, value);
        putchar('\n');
    }
    putchar('\n');
    show_lines(text, colour);
    if (ph_message_attachments(a, m, &att) <= 0)
        return;
    putchar('\n');
    for (; att; att = att->next) {
        char size[16];
        size_text(att->part->body.n, size, sizeof size);
        printf("[%s: ", att->is_inline ? "picture" : "attachment");
        post_print(stdout, att->name);
        printf(", %.*s/%.*s, %s]\n", PH_FMT(att->part->type), PH_FMT(att->part->subtype), size);
    }
}

static void show_json(struct ph_arena *a, const struct ph_message *m, ph_str text)
{
    struct ph_attachment *att = NULL;
    ph_str charset = charset_of(m);
    printf("{\"size\":%zu", m->bytes.n);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        json_field(shown[i], post_field_text_in(a, m->root->head, charset, shown[i]));
    json_field("text", text);
    printf(",\"attachments\":[");
    bool some = ph_message_attachments(a, m, &att) > 0;
    for (const char *comma = ""; some && att; att = att->next, comma = ",") {
        printf("%s{\"name\":", comma);
        post_json_string(stdout, att->name);
        printf(",\"inline\":%s", att->is_inline ? "true" : "false");
        json_field("type", ph_arena_printf(a, "%.*s/%.*s", PH_FMT(att->part->type),
                                           PH_FMT(att->part->subtype)));
        printf("}");
    }
    printf("]}\n");
}

int post_show_letter(ph_str bytes, bool json)
{
    struct ph_arena *a = ph_arena_new(NULL, ARENA_MAX);
    struct ph_message *m;
    struct ph_buf text;
    ph_buf_init(&text, NULL, TEXT_MAX);
    int rc = a && ph_mime_parse(a, bytes, NULL, &m) == 0 ? 0 : post_fail(EX_OSERR, "out of memory");
    if (rc == 0 && ph_message_text(m, &text) < 0)
        rc = post_fail(EX_DATAERR, "the text is too long to show");
    if (rc == 0 && json)
        show_json(a, m, ph_buf_str(&text));
    else if (rc == 0)
        show_text(a, m, ph_buf_str(&text));
    ph_buf_done(&text);
    ph_arena_free(a);
    return rc;
}

static int save(const struct ph_message *m, const struct ph_attachment *att, const char *dir)
{
    struct ph_buf b;
    char path[4096];
    int rc = 0;
    ph_buf_init(&b, NULL, POST_LETTER_MAX);
    snprintf(path, sizeof path, "%s/%.*s", dir, PH_FMT(att->name));
    /* What is there is not written over: a letter must not replace a file. */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        rc = post_fail(EX_CANTCREAT, "cannot create %s (is it there already?)", path);
    else if (ph_part_decode(m, att->part, &b) < 0 || ph_memfile_add(fd, ph_buf_str(&b)) < 0)
        rc = post_fail(EX_IOERR, "cannot write %s", path);
    if (fd >= 0)
        close(fd);
    if (rc == 0) {
        post_print(stdout, ph_str_c(path));
        putchar('\n');
    }
    ph_buf_done(&b);
    return rc;
}

int post_save_attachments(ph_str bytes, const char *dir)
{
    struct ph_arena *a = ph_arena_new(NULL, ARENA_MAX);
    struct ph_message *m;
    struct ph_attachment *att = NULL;
    struct ph_error e;
    int rc = 0;
    if (ph_mkdirs(dir, 0700, &e) < 0)
        rc = post_fail(EX_CANTCREAT, "%s", e.text);
    else if (!a || ph_mime_parse(a, bytes, NULL, &m) < 0 || ph_message_attachments(a, m, &att) < 0)
        rc = post_fail(EX_OSERR, "out of memory");
    for (; rc == 0 && att; att = att->next)
        rc = save(m, att, dir);
    ph_arena_free(a);
    return rc;
}
