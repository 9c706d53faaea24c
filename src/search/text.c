/* text.c - the text of a message that SEARCH looks at. */
#include "html_strip.h"
#include "search.h"

enum { SCRATCH_MAX = 64 * 1024 * 1024 };

static int fields(struct ph_arena *arena, ph_str head, struct ph_buf *out)
{
    struct ph_field f;
    while (ph_field_next(&head, &f)) {
        ph_str text;
        if (ph_field_text(arena, f.value, &text) < 0)
            return -PH_ENOMEM;
        ph_search_fold(f.name, out);
        ph_buf_add(out, PH_STR(": "));
        ph_search_fold(text, out);
        ph_buf_addc(out, '\n');
    }
    return 0;
}

int ph_search_addresses(struct ph_arena *arena, const struct ph_address *list, struct ph_buf *out)
{
    struct ph_buf b;
    ph_str text;
    if (!list)
        return 0;
    ph_buf_init(&b, NULL, SCRATCH_MAX);
    for (const struct ph_address *a = list; a; a = a->next) {
        ph_buf_add(&b, a->name);
        if (a->kind != PH_ADDRESS_MAILBOX) {
            ph_buf_add(&b, a->kind == PH_ADDRESS_GROUP ? PH_STR(":") : PH_STR("; "));
            continue;
        }
        ph_buf_add(&b, PH_STR(" <"));
        ph_buf_add(&b, a->local);
        ph_buf_addc(&b, '@');
        ph_buf_add(&b, a->host);
        ph_buf_add(&b, PH_STR(">, "));
    }
    int r = ph_buf_err(&b) ? -PH_ENOMEM : ph_field_text(arena, ph_buf_str(&b), &text);
    if (r == 0)
        ph_search_fold(text, out);
    ph_buf_done(&b);
    return r;
}

static int envelope(struct ph_arena *arena, struct ph_part *root, struct ph_buf *out)
{
    struct ph_envelope *e;
    int r = ph_mime_envelope(arena, root, &e);
    const struct ph_address *const lists[] = {r < 0 ? NULL : e->from, r < 0 ? NULL : e->to,
                                              r < 0 ? NULL : e->cc, r < 0 ? NULL : e->bcc};
    for (size_t i = 0; r >= 0 && i < sizeof lists / sizeof *lists; i++) {
        r = ph_search_addresses(arena, lists[i], out);
        ph_buf_addc(out, '\n');
    }
    return r;
}

static int name_of(struct ph_arena *arena, const struct ph_part *p, struct ph_buf *out)
{
    ph_str name = {0};
    int r = ph_param_get(arena, p->disposition_params, PH_STR("filename"), &name);
    if (r >= 0 && !name.p)
        r = ph_param_get(arena, p->params, PH_STR("name"), &name);
    if (r >= 0 && name.n > 0) {
        ph_search_fold(name, out);
        ph_buf_addc(out, '\n');
    }
    return r;
}

static int text_part(const struct ph_message *m, const struct ph_part *p, struct ph_buf *scratch,
                     struct ph_buf *out)
{
    ph_buf_clear(scratch);
    int r = ph_part_text(m, p, scratch);
    if (r >= 0 && ph_part_is(p, "text", "html")) {
        struct ph_buf words;
        ph_buf_init(&words, NULL, SCRATCH_MAX);
        ph_html_strip(&words, ph_buf_str(scratch), SCRATCH_MAX);
        r = ph_buf_err(&words) ? -PH_ENOMEM : 0;
        ph_search_fold(ph_buf_str(&words), out);
        ph_buf_done(&words);
    } else if (r >= 0) {
        ph_search_fold(ph_buf_str(scratch), out);
    }
    ph_buf_addc(out, '\n');
    return r;
}

int ph_search_text(struct ph_arena *arena, ph_str message, struct ph_buf *head, struct ph_buf *body)
{
    struct ph_message *m;
    struct ph_buf scratch;
    int r = ph_mime_parse(arena, message, NULL, &m);
    if (r < 0)
        return r;
    ph_buf_init(&scratch, NULL, SCRATCH_MAX);
    r = fields(arena, ph_message_head(message), head);
    if (r >= 0)
        r = envelope(arena, m->root, head);
    for (struct ph_part *p = m->root; r >= 0 && p; p = ph_part_next(p)) {
        if (p != m->root)
            r = fields(arena, p->head, body);
        if (r >= 0)
            r = name_of(arena, p, body);
        if (r >= 0 && p->kind == PH_PART_LEAF && ph_part_is(p, "text", NULL))
            r = text_part(m, p, &scratch, body);
    }
    ph_buf_done(&scratch);
    if (r >= 0 && (ph_buf_err(head) || ph_buf_err(body)))
        r = ph_buf_err(head) ? ph_buf_err(head) : ph_buf_err(body);
    return r < 0 ? r : 0;
}
