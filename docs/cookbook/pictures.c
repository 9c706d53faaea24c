/* pictures ONE TWO: two pictures inside the HTML, one by its number, one by its name. */
#include <posthouse/build.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    const struct ph_content pictures[] = {{.path = ph_str_c(argv[argc - 2])},
                                          {.path = ph_str_c(argv[argc - 1]), .cid = PH_STR("sea")}};
    struct ph_arena *arena = ph_arena_new(NULL, 1 << 20);
    struct ph_error err = {0};
    struct ph_email *letter;
    int rc = ph_letter_build(
        arena,
        PH_LETTER(.from = PH_STR("a@example.org"), .to = PH_STR("b@example.org"),
                  .subject = PH_STR("Pictures"), .pictures = pictures, .picture_count = 2,
                  .html = PH_STR("<h1>Holiday</h1><img src=cid:1> and <img src='cid:sea'>\n")),
        &letter, &err);
    if (rc == 0)
        rc = ph_email_write(letter, 0, 1, &err);
    if (rc < 0)
        fprintf(stderr, "%s\n", err.text);
    ph_arena_free(arena);
    return rc < 0;
}
