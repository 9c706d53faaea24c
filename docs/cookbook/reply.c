/* reply: answers all who got the letter on standard input, quoting it. */
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
        rc = ph_reply_build(arena, original,
                            PH_REPLY(.from = PH_STR("Me <me@example.org>"), .to = PH_REPLY_ALL,
                                     .text = PH_STR("Yes, gladly.\n")),
                            &letter, &err);
    if (rc == 0)
        rc = ph_email_as_bytes(letter, 0, &out, &err);
    if (rc == 0)
        fwrite(out.p, 1, out.n, stdout);
    else
        fprintf(stderr, "%s\n", err.text);
    ph_buf_done(&in);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return rc != 0;
}
