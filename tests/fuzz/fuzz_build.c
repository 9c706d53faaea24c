/*
 * Messages from random calls: what is accepted has no foreign header line, ends its lines with
 * CRLF, reads back with as many parts as went in, and comes out of the stream as it is written at
 * once. Input: lines of one letter that says what to do, and a value.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/build.h>
#include <posthouse/mime.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 * 1024 * 1024, ENTITIES = 32 };

struct world {
    struct ph_arena *arena;
    struct ph_email *root, *all[ENTITIES];
    size_t n;
};

static struct ph_email *pick(const struct world *w, ph_str value)
{
    return value.n ? w->all[(uint8_t)value.p[0] % w->n] : w->root;
}

static void keep(struct world *w, struct ph_email *e)
{
    if (e && w->n < ENTITIES)
        w->all[w->n++] = e;
}

static int field(struct world *w, struct ph_email *e, char what, ph_str value)
{
    size_t colon = ph_str_chr(value, ':');
    ph_str name = ph_str_sub(value, 0, colon);
    ph_str rest = colon == PH_NPOS ? (ph_str){0} : ph_str_skip(value, colon + 1);
    (void)w;
    if (what == 'h')
        return ph_email_add_header(e, name, rest, NULL);
    if (what == 's')
        return ph_email_set_header(e, name, rest, NULL);
    if (what == 'd')
        return ph_email_del(e, name);
    return ph_email_set_param(e, PH_STR("Content-Disposition"), name, rest, NULL);
}

/* One call; what it returns does not matter, only that the message stays whole. */
static int act(struct world *w, char what, ph_str value)
{
    struct ph_email *e = pick(w, value), *part = NULL;
    ph_str rest = ph_str_skip(value, 1);
    int rc = 0;
    if (strchr("hsdp", what))
        return field(w, e, what, rest);
    if (what == 't')
        rc = ph_email_set_content(e, PH_CONTENT(.text = rest), NULL);
    else if (what == 'a')
        rc = ph_email_add_alternative(e, PH_CONTENT(.text = rest, .type = PH_STR("text/html")),
                                      &part, NULL);
    else if (what == 'r')
        rc = ph_email_add_related(e, PH_CONTENT(.bytes = rest, .filename = rest), &part, NULL);
    else if (what == 'f')
        rc = ph_email_add_attachment(e, PH_CONTENT(.bytes = rest, .type = rest), &part, NULL);
    else if (what == 'm')
        rc = ph_email_add_attachment(e, PH_CONTENT(.message = pick(w, rest)), &part, NULL);
    else if (what == 'n')
        part = ph_email_new(w->arena);
    else if (what == 'j')
        rc = ph_email_attach(e, pick(w, rest), NULL);
    else if (what == 'b')
        rc = ph_email_set_boundary(e, rest, NULL);
    else if (what == 'c')
        ph_email_clear_content(e);
    keep(w, part);
    return rc;
}

static void check(struct ph_arena *arena, struct ph_email *root, ph_str letter)
{
    struct ph_message *m;
    struct ph_field f;
    ph_str name, value;
    size_t given = 0, found = 0, parts = 0;
    for (size_t i = 0; i < letter.n; i++)
        if (letter.p[i] == '\n' && (i == 0 || letter.p[i - 1] != '\r'))
            abort();
    while (ph_email_header(root, given, &name, &value))
        given++;
    for (ph_str rest = ph_message_head(letter); ph_field_next(&rest, &f);)
        found++;
    /* Date, Message-ID, MIME-Version, and four of Content-* come with it; Bcc goes */
    if (found > given + 7 || ph_mime_parse(arena, letter, NULL, &m))
        abort();
    for (struct ph_email *e = NULL; (e = ph_email_walk(root, e));)
        parts++;
    if (m->part_count < parts && parts < PH_EMAIL_DEPTH) /* an enclosed text may hold more */
        abort();
}

static void check_stream(struct ph_email *root, unsigned flags, ph_str letter)
{
    struct ph_stream *s;
    ph_str piece;
    if (ph_email_stream(root, flags, &s, NULL))
        abort();
    while (ph_stream_next(s, &piece, NULL) > 0) {
        if (!ph_str_has_prefix(letter, piece))
            abort();
        letter = ph_str_skip(letter, piece.n);
    }
    if (letter.n)
        abort();
    ph_stream_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ph_str rest = {(const char *)data, size}, line;
    struct world w = {.arena = ph_arena_new(NULL, MEMORY)};
    unsigned flags = size & 7;
    struct ph_buf out;
    ph_buf_init(&out, NULL, MEMORY);
    w.root = ph_email_new(w.arena);
    ph_email_fixed(w.root, 1000000000, 0, 1);
    keep(&w, w.root);
    while (ph_str_token(&rest, '\n', &line))
        if (line.n && act(&w, line.p[0], ph_str_skip(line, 1)) == -PH_ENOMEM)
            abort();
    if (ph_email_as_bytes(w.root, flags, &out, NULL) == 0) {
        check(w.arena, w.root, ph_buf_str(&out));
        check_stream(w.root, flags, ph_buf_str(&out));
    }
    if (ph_email_check_cids(w.root, NULL) == -PH_ENOMEM)
        abort();
    ph_email_get_body(w.root, NULL);
    ph_buf_done(&out);
    ph_arena_free(w.arena);
    return 0;
}
