/* starttls HOST PORT USER PASSWORD < LETTER: sends it over STARTTLS, and shows the dialogue. */
#include <posthouse/mime.h>
#include <posthouse/send.h>
#include <stdio.h>
#include <stdlib.h>

static void show(void *ctx, int64_t at_ms, char who, ph_str line)
{
    fprintf(ctx, "%6lld %c %.*s\n", (long long)at_ms, who, PH_FMT(line));
}

int main(int argc, char **argv)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_trouble t = {0};
    struct ph_message *m;
    struct ph_account to = {.struct_size = sizeof to, .transcript = {1, show, stdout}};
    if (argc != 5 || ph_mime_read(arena, 0, &m, &t.error) < 0)
        return 64;
    to.host = ph_str_c(argv[1]), to.port = (unsigned)atoi(argv[2]);
    to.user = ph_str_c(argv[3]), to.password = ph_str_c(argv[4]);
    if (ph_send_message(&to, m->bytes, &t) < 0)
        return fprintf(stderr, "%s\n  %s\n", t.error.text, t.remedy) != 0;
    return ph_arena_free(arena) != NULL;
}
