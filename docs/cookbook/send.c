/* send HOST PORT FROM TO TEXT: writes a letter and hands it to a server of this machine. */
#include <posthouse/send.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct ph_arena *arena = ph_arena_new(NULL, 1 << 20);
    struct ph_trouble t = {0};
    struct ph_email *letter;
    int rc =
        argc != 6
            ? -PH_EINVAL
            : ph_letter_build(arena,
                              PH_LETTER(.from = ph_str_c(argv[3]), .to = ph_str_c(argv[4]),
                                        .subject = PH_STR("A note"), .text = ph_str_c(argv[5])),
                              &letter, &t.error);
    if (rc == 0)
        rc = ph_send_email(PH_ACCOUNT(.host = ph_str_c(argv[1]), .port = (unsigned)atoi(argv[2]),
                                      .tls = PH_TLS_OFF),
                           letter, &t);
    puts(rc < 0 ? t.error.text : "sent");
    return ph_arena_free(arena) || rc < 0;
}
