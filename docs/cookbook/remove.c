/* remove: the letter on standard input without its attachments; every other byte stays. */
#include <posthouse/edit.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_error err = {0};
    struct ph_message *m;
    struct ph_attachment *files;
    if (ph_mime_read(arena, 0, &m, &err) || ph_message_attachments(arena, m, &files) < 0)
        return 1;
    struct ph_edit *edit = ph_edit_new(arena, m);
    int rc = edit ? 0 : -PH_ENOMEM;
    for (const struct ph_attachment *a = files; a && rc == 0; a = a->next)
        if (!a->is_inline)
            rc = ph_edit_remove_part(edit, a->part, &err);
    if (rc == 0)
        rc = ph_edit_write(edit, 1, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    ph_arena_free(arena);
    return rc < 0;
}
