/* attach FILE: a letter with a file, written piece by piece; the file may be larger than memory. */
#include <posthouse/build.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const struct ph_content file = {.struct_size = sizeof file, .path = ph_str_c(argv[argc - 1])};
    struct ph_arena *arena = ph_arena_new(NULL, 1 << 20);
    struct ph_error err = {0};
    struct ph_email *letter;
    int rc =
        ph_letter_build(arena,
                        PH_LETTER(.from = PH_STR("a@example.org"), .to = PH_STR("b@example.org"),
                                  .subject = PH_STR("A file"), .text = PH_STR("Here it is.\n"),
                                  .files = &file, .file_count = 1),
                        &letter, &err);
    if (rc == 0)
        rc = ph_email_write(letter, 0, 1, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    ph_arena_free(arena);
    return rc < 0;
}
