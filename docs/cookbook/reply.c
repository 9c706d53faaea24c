/* reply: answers all who got the letter on standard input, quoting it. */
#include <posthouse/reply.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_error err = {0};
    struct ph_message *original;
    struct ph_email *letter;
    int rc = ph_mime_read(arena, 0, &original, &err);
    if (rc == 0)
        rc = ph_reply_build(arena, original,
                            PH_REPLY(.from = PH_STR("Me <me@example.org>"), .to = PH_REPLY_ALL,
                                     .text = PH_STR("Yes, gladly.\n")),
                            &letter, &err);
    if (rc == 0)
        rc = ph_email_write(letter, 0, 1, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    ph_arena_free(arena);
    return rc < 0;
}
