/* A letter of plain text, written to standard output. */
#include <posthouse/build.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 1 << 20);
    struct ph_error err = {0};
    struct ph_email *letter;
    struct ph_buf out;
    ph_buf_init(&out, NULL, 1 << 20);
    int rc = ph_letter_build(arena,
                             PH_LETTER(.from = PH_STR("Jürgen <juergen@example.org>"),
                                       .to = PH_STR("漢字 <kanji@example.org>, b@example.org"),
                                       .subject = PH_STR("Grüße aus Köln"),
                                       .text = PH_STR("Hello!\nHow are you?\n")),
                             &letter, &err);
    if (rc == 0)
        rc = ph_email_as_bytes(letter, 0, &out, &err);
    if (rc == 0)
        fwrite(out.p, 1, out.n, stdout);
    else
        fprintf(stderr, "%s\n", err.text);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return rc != 0;
}
