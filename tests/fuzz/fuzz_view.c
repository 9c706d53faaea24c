/* Any bytes as a message, and what a reader shows of it: text, HTML, preview, attachments, report,
 * list fields, and every reference in it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/mime.h>

#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 * 1024 * 1024 };

static void fine(int rc)
{
    if (rc < 0)
        abort();
}

static void link_part(void *ctx, const struct ph_part *p, struct ph_buf *out)
{
    (void)ctx;
    ph_buf_addf(out, "#%u", p->index);
}

static void names(struct ph_arena *arena, const struct ph_message *m)
{
    struct ph_attachment *first;
    fine(ph_message_attachments(arena, m, &first));
    for (const struct ph_attachment *a = first; a; a = a->next)
        if (a->name.n == 0 || a->name.n > 200 || a->name.p[0] == '.' ||
            !ph_utf8_is_valid(a->name) || memchr(a->name.p, '/', a->name.n) ||
            memchr(a->name.p, '\\', a->name.n) || memchr(a->name.p, 0, a->name.n))
            abort();
}

static void shown(const struct ph_message *m)
{
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    fine(ph_message_text(m, &out));
    fine(ph_message_html(m, link_part, NULL, &out));
    fine(ph_message_html(m, NULL, NULL, &out));
    if (!ph_utf8_is_valid(ph_buf_str(&out)))
        abort();
    ph_buf_clear(&out);
    fine(ph_message_preview(m, 200, &out));
    if (out.n > 800 || !ph_utf8_is_valid(ph_buf_str(&out)) || (out.n && memchr(out.p, '\n', out.n)))
        abort();
    ph_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ph_str bytes = {(const char *)data, size};
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_message *m;
    struct ph_view view;
    struct ph_report report;
    struct ph_list list;
    struct ph_mid mid;
    fine(ph_mime_parse(arena, bytes, NULL, &m));
    fine(ph_message_view(arena, m, &view));
    if (!view.text != !ph_message_text_part(m) || !view.text != !view.html)
        abort();
    for (const struct ph_part *p = m->root; p; p = ph_part_next(p))
        if (ph_report_parse(arena, m, p, &report) == -PH_ENOMEM)
            abort();
    fine(ph_list_parse(arena, m->root->head, &list));
    if (ph_mid_parse(arena, bytes, &mid) == 0)
        ph_part_by_id(m->root, mid.content_id);
    names(arena, m);
    shown(m);
    ph_arena_free(arena);
    return 0;
}
