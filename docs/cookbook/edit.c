/* edit: a new subject for the letter on standard input; every other byte stays. */
#include <posthouse/edit.h>
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
    struct ph_error err = {0};
    int rc = ph_mime_parse(arena, ph_buf_str(&in), NULL, &m);
    struct ph_edit *edit = rc ? NULL : ph_edit_new(arena, m);
    if (edit)
        rc = ph_edit_set_header(edit, m->root, PH_STR("Subject"), PH_STR("[checked] ✓"), &err);
    if (edit && rc == 0)
        rc = ph_edit_as_bytes(edit, &out);
    if (edit && rc == 0)
        fwrite(out.p, 1, out.n, stdout);
    else
        fprintf(stderr, "%s\n", err.text);
    ph_buf_done(&in);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return rc != 0 || !edit;
}
