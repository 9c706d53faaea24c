/*
 * mime_build - a letter from JSON lines on standard input, one letter a line; writes for each the
 * length of the letter in decimal, a line end, and the letter. For tests that let other programs
 * read what we build.
 *
 * {"fields": [["From", "a@b.test"], ...], "text": "...", "html": "...", "flags": 0,
 *  "files": [{"name", "type", "data" (latin-1), "cid", "picture": true}], "split": 100}
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

static int add_file(struct ph_arena *arena, struct ph_build *b, const json_t *j,
                    struct ph_error *err)
{
    struct ph_build_file f = {.struct_size = sizeof f,
                              .name = string_of(json_object_get(j, "name")),
                              .type = string_of(json_object_get(j, "type")),
                              .cid = string_of(json_object_get(j, "cid"))};
    ph_str *data = PH_ARENA_NEW(arena, ph_str);
    struct ph_source *source = PH_ARENA_NEW(arena, struct ph_source);
    if (!data || !source)
        return -PH_ENOMEM;
    *data = from_latin1(arena, string_of(json_object_get(j, "data")));
    *source = (struct ph_source){data, read_some};
    if (data->n % 2)
        f.source = source;
    else
        f.bytes = *data;
    return json_is_true(json_object_get(j, "picture")) ? ph_build_picture(b, &f, NULL, err)
                                                       : ph_build_attach(b, &f, err);
}

static int build(struct ph_arena *arena, const json_t *j, struct ph_buf *out, struct ph_error *err)
{
    unsigned flags = (unsigned)json_integer_value(json_object_get(j, "flags"));
    struct ph_build *b = ph_build_new(arena, PH_STR("build.test"), flags);
    size_t i;
    json_t *one;
    int rc = b ? 0 : -PH_ENOMEM;
    if (!rc)
        ph_build_fixed(b, 1790000000, 120,
                       (uint64_t)json_integer_value(json_object_get(j, "seed")));
    json_array_foreach(json_object_get(j, "fields"), i, one) if (!rc) rc = ph_build_field(
        b, string_of(json_array_get(one, 0)), string_of(json_array_get(one, 1)), err);
    if (!rc && json_object_get(j, "text"))
        rc = ph_build_text(b, string_of(json_object_get(j, "text")), err);
    if (!rc && json_object_get(j, "html"))
        rc = ph_build_html(b, string_of(json_object_get(j, "html")), err);
    json_array_foreach(json_object_get(j, "files"), i, one) if (!rc) rc =
        add_file(arena, b, one, err);
    return rc ? rc : ph_build_bytes(b, out, err);
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
