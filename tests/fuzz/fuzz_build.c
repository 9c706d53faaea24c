/* Letters from any fields: what is accepted has no foreign header line, ends its lines with CRLF,
 * and reads back. Input: lines "Name:value", an empty line, the text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/build.h>
#include <posthouse/mime.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY = 64 * 1024 * 1024 };

static void check(struct ph_arena *arena, ph_str letter, size_t fields)
{
    struct ph_field f;
    struct ph_message *m;
    size_t count = 0;
    for (size_t i = 0; i < letter.n; i++)
        if (letter.p[i] == '\n' && (i == 0 || letter.p[i - 1] != '\r'))
            abort();
    for (ph_str rest = ph_message_head(letter); ph_field_next(&rest, &f);)
        count++;
    /* Date, Message-ID, MIME-Version, and three of Content-* come with it */
    if (count > fields + 6 || ph_mime_parse(arena, letter, NULL, &m))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ph_str rest = {(const char *)data, size}, line;
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_build *b = ph_build_new(arena, PH_STR("fuzz.test"), size & 3);
    struct ph_buf out;
    size_t fields = 1;
    ph_buf_init(&out, NULL, MEMORY);
    ph_build_fixed(b, 1000000000, 0, 1);
    if (ph_build_field(b, PH_STR("From"), PH_STR("a@b.test"), NULL))
        abort();
    while (ph_str_token(&rest, '\n', &line) && line.n) {
        size_t colon = ph_str_chr(line, ':');
        ph_str name = ph_str_sub(line, 0, colon), value = {0};
        if (colon != PH_NPOS)
            value = ph_str_skip(line, colon + 1);
        struct ph_build_file file = {.struct_size = sizeof file, .name = name, .bytes = value};
        fields += ph_build_field(b, name, value, NULL) == 0;
        if (fields % 3 == 2 && ph_build_attach(b, &file, NULL) == -PH_ENOMEM)
            abort();
    }
    if (ph_build_text(b, rest, NULL) == 0 && size % 5 == 0 && ph_build_html(b, rest, NULL))
        abort();
    if (ph_build_bytes(b, &out, NULL) == 0)
        check(arena, ph_buf_str(&out), fields);
    ph_buf_done(&out);
    ph_arena_free(arena);
    return 0;
}
