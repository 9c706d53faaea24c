/*
 * mime_cuts [-r SEED] FILE... - parses each message whole, byte by byte, and in random pieces of
 * several sizes, and tells every one whose trees or defects differ. The last line counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "same_tree.h"

enum { MEMORY = 1024 * 1024 * 1024 };

static const size_t sizes[] = {1, 2, 7, 80, 700, 5000, 65536};

/* An exact copy, so that the sanitizer sees every read behind its end. */
static char *contents(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    char *p = NULL;
    long n = -1;
    if (f && fseek(f, 0, SEEK_END) == 0 && (n = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0)
        p = malloc(n ? (size_t)n : 1);
    if (p && fread(p, 1, (size_t)n, f) != (size_t)n) {
        free(p);
        p = NULL;
    }
    if (f)
        fclose(f);
    *ret_n = n > 0 ? (size_t)n : 0;
    return p;
}

static bool holds(ph_str bytes, uint32_t seed)
{
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_message *whole;
    bool ok = arena && ph_mime_parse(arena, bytes, NULL, &whole) == 0;
    for (size_t i = 0; ok && i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ph_arena *other = ph_arena_new(NULL, MEMORY);
        struct ph_message *m = parse_pieces(other, bytes, NULL, sizes[i], sizes[i] == 1 ? 0 : seed);
        ok = m && same_message(whole, m);
        ph_arena_free(other);
    }
    ph_arena_free(arena);
    return ok;
}

int main(int argc, char **argv)
{
    int first = 1, same = 0, different = 0;
    uint32_t seed = 1;
    if (argc > 2 && strcmp(argv[1], "-r") == 0) {
        seed = (uint32_t)strtoul(argv[2], NULL, 10) | 1;
        first = 3;
    }
    for (int i = first; i < argc; i++) {
        size_t n;
        char *p = contents(argv[i], &n);
        bool ok = p && holds((ph_str){p, n}, seed + (uint32_t)i * 2);
        if (!ok)
            printf("different: %s\n", argv[i]);
        *(ok ? &same : &different) += 1;
        free(p);
    }
    printf("%d the same, %d different\n", same, different);
    return different != 0;
}
