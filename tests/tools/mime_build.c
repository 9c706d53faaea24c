/*
 * mime_build - a letter from JSON lines on standard input, one letter a line; writes for each the
 * length of the letter in decimal, a line end, and the letter. For tests that let other programs
 * read what we build.
 *
 * {"fields": [["From", "a@b.test"], ...], "text": "...", "html": "...", "flags": 0, "seed": 1,
 *  "files": [{"name", "type", "data" (latin-1), "cid"}], "pictures": [the same]}
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/build.h>

enum { MEMORY = 256 * 1024 * 1024 };

static ph_str string_of(const json_t *j)
{
    return (ph_str){json_string_value(j), json_string_length(j)};
}

static ph_str from_latin1(struct ph_arena *arena, ph_str s)
{
    char *p = ph_arena_get(arena, s.n), *to = p;
    for (size_t i = 0; p && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        *to++ = (char)(c < 0x80 ? c : (c & 3) << 6 | ((unsigned char)s.p[++i] & 0x3f));
    }
    return (ph_str){p, p ? (size_t)(to - p) : 0};
}

/* A source that gives a few bytes at a time. */
static int64_t read_some(void *ctx, uint64_t at, char *to, size_t n)
{
    const ph_str *all = ctx;
    ph_str rest = at < all->n ? ph_str_skip(*all, (size_t)at) : (ph_str){0};
    size_t take = rest.n < n ? rest.n : n;
    if (at >= all->n)
        return 0;
    take = take > 1000 ? 1000 : take;
    memcpy(to, rest.p, take);
    return (int64_t)take;
}

/* Every other one through a source. */
static struct ph_content *contents(struct ph_arena *arena, const json_t *list, size_t *ret_count)
{
    size_t n = json_array_size(list), i;
    struct ph_content *all = ph_arena_array(arena, n + 1, sizeof *all);
    ph_str *data = ph_arena_array(arena, n + 1, sizeof *data);
    struct ph_source *sources = ph_arena_array(arena, n + 1, sizeof *sources);
    json_t *j;
    json_array_foreach(list, i, j)
    {
        data[i] = from_latin1(arena, string_of(json_object_get(j, "data")));
        sources[i] = (struct ph_source){&data[i], read_some};
        all[i] = (struct ph_content){.struct_size = sizeof all[i],
                                     .filename = string_of(json_object_get(j, "name")),
                                     .type = string_of(json_object_get(j, "type")),
                                     .cid = string_of(json_object_get(j, "cid"))};
        if (data[i].n % 2)
            all[i].source = &sources[i];
        else
            all[i].bytes = data[i];
    }
    *ret_count = n;
    return all;
}

static int build(struct ph_arena *arena, const json_t *j, struct ph_buf *out, struct ph_error *err)
{
    const json_t *fields = json_object_get(j, "fields");
    size_t n = json_array_size(fields);
    struct ph_header *headers = ph_arena_array(arena, n + 1, sizeof *headers);
    struct ph_email *m;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(fields, i);
        headers[i] = (struct ph_header){string_of(json_array_get(one, 0)),
                                        string_of(json_array_get(one, 1))};
    }
    struct ph_letter letter = {.struct_size = sizeof letter,
                               .headers = headers,
                               .header_count = n,
                               .text = string_of(json_object_get(j, "text")),
                               .html = string_of(json_object_get(j, "html"))};
    letter.files = contents(arena, json_object_get(j, "files"), &letter.file_count);
    letter.pictures = contents(arena, json_object_get(j, "pictures"), &letter.picture_count);
    int rc = ph_letter_build(arena, &letter, &m, err);
    if (rc)
        return rc;
    ph_email_fixed(m, 1790000000, 120, (uint64_t)json_integer_value(json_object_get(j, "seed")));
    return ph_email_as_bytes(m, (unsigned)json_integer_value(json_object_get(j, "flags")), out,
                             err);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t n; (n = getline(&line, &cap, stdin)) > 0;) {
        struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
        struct ph_error err = {0};
        struct ph_buf out;
        json_t *j = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL);
        ph_buf_init(&out, NULL, MEMORY);
        int rc = j ? build(arena, j, &out, &err) : -PH_ESYNTAX;
        if (rc < 0)
            printf("%d %s\n", rc, err.text);
        else
            printf("%zu\n", out.n);
        if (rc >= 0)
            fwrite(out.p, 1, out.n, stdout);
        ph_buf_done(&out);
        ph_arena_free(arena);
        json_decref(j);
    }
    free(line);
    return 0;
}
