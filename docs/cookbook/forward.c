/* forward: passes the letter on standard input on, whole, as an attachment. */
#include <posthouse/reply.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_buf in, out;
    ph_buf_init(&in, NULL, 64 << 20);
    ph_buf_init(&out, NULL, 64 << 20);
    for (char *to; (to = ph_buf_reserve(&in, 4096)) && !feof(stdin);)
        ph_buf_commit(&in, fread(to, 1, 4096, stdin));
    struct ph_message *original;
    struct ph_email *letter;
    struct ph_error err = {0};
    int rc = ph_mime_parse(arena, ph_buf_str(&in), NULL, &original);
    if (rc == 0)
        rc = ph_forward_build(arena, original,
                              PH_FORWARD(.from = PH_STR("me@example.org"),
                                         .to = PH_STR("you@example.org"),
                                         .text = PH_STR("See below.\n"), .is_attached = true),
                              &letter, &err);
    if (rc == 0)
        rc = ph_email_as_bytes(letter, PH_EMAIL_8BIT, &out, &err);
    if (rc == 0)
        fwrite(out.p, 1, out.n, stdout);
    else
        fprintf(stderr, "%s\n", err.text);
    ph_buf_done(&in);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return rc != 0;
}
