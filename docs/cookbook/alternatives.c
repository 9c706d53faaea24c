/* The same letter as text and as HTML; step by step, as with Python's EmailMessage. */
#include <posthouse/build.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 1 << 20);
    struct ph_email *m = ph_email_new(arena);
    struct ph_error err = {0};
    bool ok = m && ph_email_add_header(m, PH_STR("From"), PH_STR("a@example.org"), &err) == 0 &&
              ph_email_add_header(m, PH_STR("To"), PH_STR("b@example.org"), &err) == 0 &&
              ph_email_add_header(m, PH_STR("Subject"), PH_STR("Two forms"), &err) == 0 &&
              ph_email_set_content(m, PH_CONTENT(.text = PH_STR("Hello, *you*!\n")), &err) == 0 &&
              ph_email_add_alternative(m,
                                       PH_CONTENT(.text = PH_STR("<p>Hello, <b>you</b>!</p>\n"),
                                                  .type = PH_STR("text/html")),
                                       NULL, &err) == 0 &&
              ph_email_write(m, 0, 1, &err) == 0;
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    ph_arena_free(arena);
    return !ok;
}
