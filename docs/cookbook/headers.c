/* headers: what a list of letters shows of the letter on standard input, and all its fields. */
#include <posthouse/mime.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_buf in, out;
    ph_buf_init(&in, NULL, 64 << 20);
    ph_buf_init(&out, NULL, 64 << 20);
    for (char *to; (to = ph_buf_reserve(&in, 4096)) && !feof(stdin);)
        ph_buf_commit(&in, fread(to, 1, 4096, stdin));
    struct ph_message *m;
    struct ph_envelope *e;
    struct ph_field f;
    ph_str text;
    if (ph_mime_parse(arena, ph_buf_str(&in), NULL, &m) || ph_mime_envelope(arena, m->root, &e))
        return 1;
    if (e->from && ph_address_text(e->from, &out) == 0)
        printf("by %.*s\n", PH_FMT(ph_buf_str(&out)));
    if (e->subject.n && ph_field_text(arena, e->subject, &text) == 0)
        printf("about %.*s\n", PH_FMT(text));
    if (e->has_sent)
        printf("at %lld\n", (long long)e->sent.time);
    for (ph_str rest = m->root->head; ph_field_next(&rest, &f);)
        if (ph_field_text(arena, f.value, &text) == 0)
            printf("%.*s = %.*s\n", PH_FMT(f.name), PH_FMT(text));
    ph_buf_done(&in);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return 0;
}
