/* pop3 HOST PORT USER PASSWORD: fetches the last letter over TLS, shows it part by part. */
#include <posthouse/fetch.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_account at = {.struct_size = sizeof at, .tls = PH_TLS_ON};
    struct ph_message *m;
    struct ph_pop3_session *s;
    struct ph_trouble t;
    ph_str content;
    if (argc != 5)
        return 64;
    at.host = ph_str_c(argv[1]), at.port = (unsigned)atoi(argv[2]);
    at.user = ph_str_c(argv[3]), at.password = ph_str_c(argv[4]);
    if (ph_pop3_open(&at, &s, &t) < 0 || ph_pop3_letter(s, 0, arena, &m, &t) < 0)
        return fprintf(stderr, "%s\n  %s\n", t.error.text, t.remedy) != 0;
    for (const struct ph_part *p = m->root; p; p = ph_part_next(p))
        if (ph_part_content(arena, m, p, &content) == 0)
            printf("%.*s/%.*s\n%.*s\n", PH_FMT(p->type), PH_FMT(p->subtype), PH_FMT(content));
    return ph_pop3_close(s, true, NULL) < 0 || ph_arena_free(arena);
}
