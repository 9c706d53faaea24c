/*
 * Any bytes as a message: the tree is sound, the same tree comes of every way of cutting, and
 * everything that can be asked of it answers.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/mime.h>

#include "same_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 * 1024 * 1024 };

static const struct ph_mime_limits limits = {.depth = 20, .parts = 500, .header = 3000};

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

/* In pieces of one byte, and of lengths that follow from the bytes themselves. */
static void cut(const struct ph_message *whole)
{
    ph_str bytes = whole->bytes;
    const struct {
        size_t most;
        uint32_t seed;
    } ways[] = {{1, 0}, {50, 1 + (uint32_t)bytes.n}, {2000, 1 + (uint8_t)(bytes.n ? *bytes.p : 0)}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
        struct ph_message *m = parse_pieces(arena, bytes, &limits, ways[i].most, ways[i].seed);
        if (m && !same_message(whole, m))
            abort();
        ph_arena_free(arena);
    }
}

static void read_all(struct ph_arena *arena, struct ph_message *m)
{
    struct ph_attachment *files;
    struct ph_buf text;
    ph_buf_init(&text, NULL, MEMORY);
    for (struct ph_part *p = m->root; p; p = ph_part_next(p)) {
        look_at(arena, m, p);
        ph_buf_clear(&text);
        if (p->kind == PH_PART_LEAF && ph_part_decode(m, p, &text) < 0)
            abort();
    }
    ph_buf_clear(&text);
    if (ph_message_text(m, &text) < 0 || ph_message_attachments(arena, m, &files) < 0 ||
        ph_mime_check(arena, m) < 0)
        abort();
    for (; files; files = files->next)
        if (files->part->body.at + files->part->body.n > m->bytes.n)
            abort();
    ph_buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_message *m;
    if (ph_mime_parse(arena, (ph_str){(const char *)data, size}, &limits, &m) == 0) {
        cut(m);
        read_all(arena, m);
    }
    ph_arena_free(arena);
    return 0;
}
