/*
 * Editing of any message: no change gives the original, any changes give something whose slices
 * add up and that reads. Input: a byte for each of
 * eight changes, then the message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/edit.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 * 1024 * 1024, CHANGES = 8 };

static const struct ph_part *part_at(const struct ph_message *m, unsigned n)
{
    const struct ph_part *p = m->root;
    for (n %= (unsigned)m->part_count; n && ph_part_next(p); n--)
        p = ph_part_next(p);
    return p;
}

static void change(struct ph_edit *e, const struct ph_message *m, uint8_t how)
{
    const struct ph_part *p = part_at(m, how >> 3);
    ph_str names[] = {PH_STR("Subject"), PH_STR("To"), PH_STR("X-New"), PH_STR("Received")};
    ph_str name = names[how & 3];
    int rc = how & 4   ? ph_edit_remove_part(e, p, NULL)
             : how & 2 ? ph_edit_set_header(e, p, name, PH_STR("a@b.test"), NULL)
             : how & 1 ? ph_edit_del(e, p, name)
                       : ph_edit_add_header(e, p, name, PH_STR("a@b.test"), NULL);
    if (rc == -PH_ENOMEM)
        abort();
}

static void check(struct ph_arena *arena, struct ph_edit *e, const struct ph_message *m, bool same)
{
    struct ph_message *again;
    struct ph_buf out;
    ph_str *slices;
    size_t n, all = 0;
    ph_buf_init(&out, NULL, MEMORY);
    if (ph_edit_slices(e, &slices, &n) || ph_edit_as_bytes(e, &out))
        abort();
    for (size_t i = 0; i < n; i++)
        all += slices[i].n;
    if (all != out.n || (same && !ph_str_eq(ph_buf_str(&out), m->bytes)))
        abort();
    if (ph_mime_parse(arena, ph_buf_str(&out), NULL, &again))
        abort();
    ph_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_message *m;
    if (size >= CHANGES) {
        ph_str text = {(const char *)data + CHANGES, size - CHANGES};
        if (ph_mime_parse(arena, text, NULL, &m))
            abort();
        struct ph_edit *e = ph_edit_new(arena, m);
        check(arena, e, m, true);
        for (int i = 0; i < CHANGES; i++)
            change(e, m, data[i]);
        check(arena, e, m, false);
    }
    ph_arena_free(arena);
    return 0;
}
