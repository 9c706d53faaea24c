/* forward: passes the letter on standard input on, whole, as an attachment. */
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
        rc = ph_forward_build(arena, original,
                              PH_FORWARD(.from = PH_STR("me@example.org"),
                                         .to = PH_STR("you@example.org"),
                                         .text = PH_STR("See below.\n"), .is_attached = true),
                              &letter, &err);
    if (rc == 0)
        rc = ph_email_write(letter, PH_EMAIL_8BIT, 1, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    ph_arena_free(arena);
    return rc < 0;
}
