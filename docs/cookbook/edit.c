/* edit: a new subject for the letter on standard input; every other byte stays. */
#include <posthouse/edit.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_error err = {0};
    struct ph_edit *edit = NULL;
    struct ph_message *m;
    int rc = ph_mime_read(arena, 0, &m, &err);
    if (rc == 0)
        rc = (edit = ph_edit_new(arena, m)) ? 0 : -PH_ENOMEM;
    if (rc == 0)
        rc = ph_edit_set_header(edit, m->root, PH_STR("Subject"), PH_STR("[checked] ✓"), &err);
    if (rc == 0)
        rc = ph_edit_write(edit, 1, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    ph_arena_free(arena);
    return rc < 0;
}
