/* remove: the letter on standard input without its attachments; every other byte stays. */
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
    struct ph_attachment *files;
    struct ph_error err = {0};
    if (ph_mime_parse(arena, ph_buf_str(&in), NULL, &m) ||
        ph_message_attachments(arena, m, &files) < 0)
        return 1;
    struct ph_edit *edit = ph_edit_new(arena, m);
    int rc = edit ? 0 : -PH_ENOMEM;
    for (const struct ph_attachment *a = files; a && rc == 0; a = a->next)
        if (!a->is_inline)
            rc = ph_edit_remove_part(edit, a->part, &err);
    if (rc == 0)
        rc = ph_edit_as_bytes(edit, &out);
    if (rc == 0)
        fwrite(out.p, 1, out.n, stdout);
    else
        fprintf(stderr, "%s\n", err.text);
    ph_buf_done(&in);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return rc != 0;
}
