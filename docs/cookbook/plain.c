/* A letter of plain text, written to standard output. */
#include <posthouse/build.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 1 << 20);
    struct ph_error err = {0};
    struct ph_email *letter;
    int rc = ph_letter_build(arena,
                             PH_LETTER(.from = PH_STR("Jürgen <juergen@example.org>"),
                                       .to = PH_STR("漢字 <kanji@example.org>, b@example.org"),
                                       .subject = PH_STR("Grüße aus Köln"),
                                       .text = PH_STR("Hello!\nHow are you?\n")),
                             &letter, &err);
    if (rc == 0)
        rc = ph_email_write(letter, 0, 1, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    ph_arena_free(arena);
    return rc < 0;
}
