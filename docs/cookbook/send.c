/* send HOST PORT FROM TO TEXT: writes a letter and hands it to a server on this machine. */
#include <posthouse/build.h>
#include <posthouse/send.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if (argc != 6)
        return 64;
    const struct ph_account account = {.struct_size = sizeof account,
                                       .host = ph_str_c(argv[1]),
                                       .port = (unsigned)atoi(argv[2]),
                                       .tls = PH_TLS_OFF};
    struct ph_arena *arena = ph_arena_new(NULL, 1 << 20);
    struct ph_trouble trouble = {0};
    struct ph_email *letter;
    ph_str from, to;
    struct ph_buf out;
    ph_buf_init(&out, NULL, 1 << 20);
    int rc = ph_letter_build(arena,
                             PH_LETTER(.from = ph_str_c(argv[3]), .to = ph_str_c(argv[4]),
                                       .subject = PH_STR("A note"), .text = ph_str_c(argv[5])),
                             &letter, &trouble.error);
    if (rc == 0)
        rc = ph_email_as_bytes(letter, 0, &out, &trouble.error);
    if (rc == 0 && ph_email_sender(letter, &from) && ph_email_recipient(letter, 0, &to))
        rc = ph_send_letter(&account, from, &to, 1, ph_buf_str(&out), &trouble);
    if (rc < 0)
        fprintf(stderr, "%s\n", trouble.error.text);
    else
        printf("sent %.*s\n", PH_FMT(ph_email_message_id(letter)));
    ph_buf_done(&out);
    ph_arena_free(arena);
    return rc < 0;
}
