/* Any bytes as a message: the tree is sound, and everything that can be asked of it answers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/mime.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 * 1024 * 1024 };

static void look_at(struct ph_arena *arena, struct ph_message *m, struct ph_part *p)
{
    ph_str value;
    struct ph_envelope *e;
    uint64_t end = p->body.at + p->body.n;
    if (p->header.at + p->header.n != p->body.at || end > m->bytes.n)
        abort();
    if (p->parent && (p->header.at < p->parent->body.at ||
                      (p->body.n && end > p->parent->body.at + p->parent->body.n)))
        abort();
    if ((p->kind == PH_PART_LEAF) != (p->child == NULL))
        abort();
    if (p->kind == PH_PART_MESSAGE && (!p->child || p->child->next))
        abort();
    if (ph_param_get(arena, p->disposition_params, PH_STR("filename"), &value) ||
        ph_param_get(arena, p->params, PH_STR("name"), &value) || ph_mime_envelope(arena, p, &e) ||
        ph_field_text(arena, e->subject, &value))
        return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ph_mime_limits limits = {.depth = 20, .parts = 500};
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_message *m;
    struct ph_attachment *files;
    struct ph_buf text;
    ph_buf_init(&text, NULL, MEMORY);
    if (ph_mime_parse(arena, (ph_str){(const char *)data, size}, &limits, &m) == 0) {
        for (struct ph_part *p = m->root; p; p = ph_part_next(p)) {
            look_at(arena, m, p);
            ph_buf_clear(&text);
            if (p->kind == PH_PART_LEAF && ph_part_decode(m, p, &text) < 0)
                abort();
        }
        ph_buf_clear(&text);
        if (ph_message_text(m, &text) < 0 || ph_message_attachments(arena, m, &files) < 0)
            abort();
    }
    ph_buf_done(&text);
    ph_arena_free(arena);
    return 0;
}
