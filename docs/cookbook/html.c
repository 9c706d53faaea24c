/* The same letter as plain text and as HTML; step by step, as with Python's EmailMessage. */
#include <posthouse/build.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 1 << 20);
    struct ph_email *m = ph_email_new(arena);
    struct ph_error err = {0};
    struct ph_buf out;
    ph_buf_init(&out, NULL, 1 << 20);
    bool ok = m && ph_email_add_header(m, PH_STR("From"), PH_STR("a@example.org"), &err) == 0 &&
              ph_email_add_header(m, PH_STR("To"), PH_STR("b@example.org"), &err) == 0 &&
              ph_email_add_header(m, PH_STR("Subject"), PH_STR("Two forms"), &err) == 0 &&
              ph_email_set_content(m, PH_CONTENT(.text = PH_STR("Hello, *you*!\n")), &err) == 0 &&
              ph_email_add_alternative(m,
                                       PH_CONTENT(.text = PH_STR("<p>Hello, <b>you</b>!</p>\n"),
                                                  .type = PH_STR("text/html")),
                                       NULL, &err) == 0 &&
              ph_email_as_bytes(m, 0, &out, &err) == 0;
    if (ok)
        fwrite(out.p, 1, out.n, stdout);
    else
        fprintf(stderr, "%s\n", err.text);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return !ok;
}
