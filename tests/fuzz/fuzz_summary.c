/* Any bytes as a message give a summary that reads back; any bytes as a summary are safe. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "summary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 * 1024 * 1024 };

static void is_clean(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == 0)
            abort();
}

static void check(const struct ph_summary *s)
{
    for (const struct ph_part *p = s->root; p; p = ph_part_next(p)) {
        bool message = ph_part_is(p, "message", "rfc822") || ph_part_is(p, "message", "global");
        if (message != (p->kind == PH_PART_MESSAGE))
            abort();
        if (ph_part_is(p, "multipart", NULL) != (p->kind == PH_PART_MULTIPART))
            abort();
        is_clean(p->type);
        is_clean(p->subtype);
        is_clean(p->id);
        is_clean(p->description);
        is_clean(p->language);
        for (const struct ph_param *q = p->params; q; q = q->next) {
            is_clean(q->name);
            is_clean(q->value);
        }
        for (const struct ph_address *a = p->envelope ? p->envelope->from : NULL; a; a = a->next) {
            is_clean(a->name);
            is_clean(a->local);
            is_clean(a->host);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ph_str bytes = {(const char *)data, size}, id;
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_summary *s;
    struct ph_buf out;
    ph_str ids[PH_THREAD_IDS];
    unsigned received;
    ph_buf_init(&out, NULL, 2 * PH_SUMMARY_MAX);
    if (ph_summary_read(arena, bytes, &s) == 0)
        for (const struct ph_part *p = s->root; p; p = ph_part_next(p))
            if (p->body.at + p->body.n > s->size)
                abort();
    if (ph_summary_make(bytes, &out) == 0) {
        if (ph_summary_read(arena, ph_buf_str(&out), &s))
            abort();
        if (!s->partial)
            check(s);
    }
    if (ph_summary_thread(bytes, ids) - 1 >= PH_THREAD_IDS ||
        ph_summary_thread(ph_buf_str(&out), ids) - 1 >= PH_THREAD_IDS)
        abort();
    ph_summary_trace(bytes, &id, &received);
    is_clean(id);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return 0;
}
