/* save: prints the parts of the letter on standard input, and writes its attachments here. */
#include <posthouse/mime.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_buf in, out;
    ph_buf_init(&in, NULL, 64 << 20);
    ph_buf_init(&out, NULL, 64 << 20);
    for (char *to; (to = ph_buf_reserve(&in, 4096)) && !feof(stdin);)
        ph_buf_commit(&in, fread(to, 1, 4096, stdin));
    struct ph_message *m;
    struct ph_attachment *files;
    if (ph_mime_parse(arena, ph_buf_str(&in), NULL, &m) ||
        ph_message_attachments(arena, m, &files) < 0)
        return 1;
    for (const struct ph_part *p = m->root; p; p = ph_part_next(p))
        printf("%*s%.*s/%.*s\n", (int)p->depth * 2, "", PH_FMT(p->type), PH_FMT(p->subtype));
    for (const struct ph_attachment *a = files; a; a = a->next) {
        ph_buf_clear(&out);
        FILE *to = ph_part_decode(m, a->part, &out) ? NULL : fopen(a->name.p, "wbx");
        if (!to || fwrite(out.p, 1, out.n, to) != out.n || fclose(to))
            return 1;
        printf("saved %s, %zu bytes\n", a->name.p, out.n);
    }
    ph_buf_done(&in);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return 0;
}
