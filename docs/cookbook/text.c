/* text: the text of the letter on standard input, whichever way it was written. */
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
    int rc = ph_mime_parse(arena, ph_buf_str(&in), NULL, &m);
    if (rc == 0)
        rc = ph_message_text(m, &out);
    if (rc == 0)
        fwrite(out.p, 1, out.n, stdout);
    ph_buf_done(&in);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return rc != 0;
}
