/* text: the text of the letter on standard input, whichever way it was written. */
#include <posthouse/mime.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_message *m;
    struct ph_buf out;
    ph_buf_init(&out, NULL, 64 << 20);
    int rc = ph_mime_read(arena, 0, &m, NULL);
    if (rc == 0)
        rc = ph_message_text(m, &out);
    if (rc == 0)
        fwrite(out.p, 1, out.n, stdout);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return rc != 0;
}
