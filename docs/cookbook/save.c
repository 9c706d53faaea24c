/* save: writes the attachments of the letter on standard input here, under safe names. */
#include <posthouse/mime.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_message *m;
    struct ph_attachment *files;
    ph_str content;
    if (ph_mime_read(arena, 0, &m, NULL) || ph_message_attachments(arena, m, &files) < 0)
        return 1;
    for (const struct ph_attachment *a = files; a; a = a->next) {
        FILE *to = ph_part_content(arena, m, a->part, &content) ? NULL : fopen(a->name.p, "wbx");
        if (!to || fwrite(content.p, 1, content.n, to) != content.n || fclose(to))
            return 1;
        printf("saved %s, %zu bytes\n", a->name.p, content.n);
    }
    return ph_arena_free(arena) != NULL;
}
