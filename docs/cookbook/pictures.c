/* Two pictures inside the HTML: one by its number, one by its name. The plain text is made from it.
 */
#include <posthouse/build.h>
#include <stdio.h>

static const char html[] =
    "<h1>Holiday</h1><img src=\"cid:1\"><p>and</p><img src=\"cid:sea.png\">\n";

int main(void)
{
    const struct ph_content pictures[] = {
        {.filename = PH_STR("beach.jpeg"), .bytes = PH_STR("(bytes of a picture)")},
        {.filename = PH_STR("sea.png"), .bytes = PH_STR("(bytes of another)")},
    };
    struct ph_arena *arena = ph_arena_new(NULL, 1 << 20);
    struct ph_error err = {0};
    struct ph_email *letter;
    struct ph_buf out;
    ph_buf_init(&out, NULL, 1 << 20);
    int rc =
        ph_letter_build(arena,
                        PH_LETTER(.from = PH_STR("a@example.org"), .to = PH_STR("b@example.org"),
                                  .subject = PH_STR("Pictures"), .html = ph_str_c(html),
                                  .pictures = pictures, .picture_count = 2),
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
