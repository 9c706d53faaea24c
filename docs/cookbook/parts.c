/* parts: shows the letter on standard input part by part. */
#include <posthouse/mime.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_error err = {0};
    struct ph_message *m;
    ph_str content;
    if (ph_mime_read(arena, 0, &m, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (const struct ph_part *p = m->root; p; p = ph_part_next(p)) {
        printf("%*s%.*s/%.*s\n", (int)p->depth * 2, "", PH_FMT(p->type), PH_FMT(p->subtype));
        if (ph_part_is(p, "text", NULL) && ph_part_content(arena, m, p, &content) == 0)
            printf("%.*s\n", PH_FMT(content));
    }
    return ph_arena_free(arena) != NULL;
}
