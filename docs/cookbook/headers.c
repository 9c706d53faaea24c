/* headers: who wrote the letter on standard input, when, about what; and all its fields. */
#include <posthouse/mime.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_message *m;
    struct ph_envelope *e;
    struct ph_field f;
    ph_str text;
    if (ph_mime_read(arena, 0, &m, NULL) || ph_mime_envelope(arena, m->root, &e))
        return 1;
    if (e->from)
        printf("by %.*s@%.*s\n", PH_FMT(e->from->local), PH_FMT(e->from->host));
    if (e->subject.n && ph_field_text(arena, e->subject, &text) == 0)
        printf("about %.*s\n", PH_FMT(text));
    if (e->has_sent)
        printf("at %lld\n", (long long)e->sent.time);
    for (ph_str rest = m->root->head; ph_field_next(&rest, &f);)
        if (ph_field_text(arena, f.value, &text) == 0)
            printf("%.*s = %.*s\n", PH_FMT(f.name), PH_FMT(text));
    return ph_arena_free(arena) != NULL;
}
