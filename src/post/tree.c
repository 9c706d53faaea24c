/* post tree: how a letter is built, and what is wrong with it. */
#include "letter.h"
#include <posthouse/mime.h>
#include <string.h>
#include <sysexits.h>

enum { ARENA_MAX = 256 * 1024 * 1024 };

static void show_part(struct ph_arena *a, const struct ph_part *p)
{
    ph_str name = {0};
    if (ph_param_get(a, p->disposition_params, PH_STR("filename"), &name) < 0 || name.n == 0)
        (void)!ph_param_get(a, p->params, PH_STR("name"), &name);
    printf("%*s", (int)p->depth * 2, "");
    post_print(stdout, p->type);
    putchar('/');
    post_print(stdout, p->subtype);
    printf("  header %llu+%llu  body %llu+%llu  ", (unsigned long long)p->header.at,
           (unsigned long long)p->header.n, (unsigned long long)p->body.at,
           (unsigned long long)p->body.n);
    post_print(stdout, p->encoding_name);
    if (p->disposition.n) {
        printf("  ");
        post_print(stdout, p->disposition);
    }
    if (name.n) {
        printf("  \"");
        post_print(stdout, name);
        printf("\"");
    }
    putchar('\n');
}

static void json_part(const struct ph_part *p)
{
    printf("{\"depth\":%u,\"index\":%u,\"type\":", p->depth, p->index);
    post_json_string(stdout, p->type);
    printf(",\"subtype\":");
    post_json_string(stdout, p->subtype);
    printf(",\"encoding\":");
    post_json_string(stdout, p->encoding_name);
    printf(",\"header\":[%llu,%llu],\"body\":[%llu,%llu],\"lines\":%llu}",
           (unsigned long long)p->header.at, (unsigned long long)p->header.n,
           (unsigned long long)p->body.at, (unsigned long long)p->body.n,
           (unsigned long long)p->lines);
}

/* The next file that uuencode has put into a text: it is in no tree. */
static const struct ph_attachment *uuencoded(const struct ph_message *m,
                                             const struct ph_attachment *list)
{
    while (list && (list->part->parent || list->part == m->root))
        list = list->next;
    return list;
}

static void show(struct ph_arena *a, const struct ph_message *m, const struct ph_attachment *files)
{
    for (const struct ph_part *p = m->root; p; p = ph_part_next(p))
        show_part(a, p);
    for (; (files = uuencoded(m, files)); files = files->next)
        show_part(a, files->part);
    for (const struct ph_defect *d = m->defects; d; d = d->next)
        printf("%s at %llu: %s (%s)\n", d->level == PH_DEFECT_IS_RISK ? "RISK" : "note",
               (unsigned long long)d->at, ph_defect_text(d->kind), ph_defect_name(d->kind));
}

static void show_json(const struct ph_message *m, const struct ph_attachment *files)
{
    printf("{\"parts\":[");
    for (const struct ph_part *p = m->root; p; p = ph_part_next(p)) {
        if (p != m->root)
            putchar(',');
        json_part(p);
    }
    printf("],\"uuencoded\":[");
    for (const char *comma = ""; (files = uuencoded(m, files)); files = files->next, comma = ",") {
        printf("%s{\"name\":", comma);
        post_json_string(stdout, files->name);
        printf(",\"at\":[%llu,%llu]}", (unsigned long long)files->part->body.at,
               (unsigned long long)files->part->body.n);
    }
    printf("],\"defects\":[");
    for (const struct ph_defect *d = m->defects; d; d = d->next)
        printf("%s{\"name\":\"%s\",\"risk\":%s,\"at\":%llu}", d == m->defects ? "" : ",",
               ph_defect_name(d->kind), d->level == PH_DEFECT_IS_RISK ? "true" : "false",
               (unsigned long long)d->at);
    printf("]}\n");
}

int post_show_tree(ph_str bytes, bool json)
{
    struct ph_arena *a = ph_arena_new(NULL, ARENA_MAX);
    struct ph_message *m;
    struct ph_attachment *files = NULL;
    int rc = 0;
    if (!a || ph_mime_parse(a, bytes, NULL, &m) || ph_message_attachments(a, m, &files) < 0)
        rc = post_fail(EX_OSERR, "out of memory");
    else
        ph_mime_check(a, m);
    if (rc == 0 && json)
        show_json(m, files);
    else if (rc == 0)
        show(a, m, files);
    ph_arena_free(a);
    return rc;
}

int post_tree(int argc, char **argv)
{
    struct ph_buf b;
    bool json = false;
    const struct post_option own[] = {{"--json", NULL, .flag = &json, .help = "as JSON"}, {0}};
    const struct post_option *const tables[] = {own, NULL};
    int rc = post_options(argc, argv, tables,
                          "FILE is a letter as it travels (.eml); - is standard input.\n", 1, 1);
    if (rc < 0)
        return -1 - rc;
    ph_buf_init(&b, NULL, POST_LETTER_MAX);
    rc = post_read_file(argv[1], &b);
    if (rc == 0)
        rc = post_show_tree(ph_buf_str(&b), json);
    ph_buf_done(&b);
    return rc;
}
