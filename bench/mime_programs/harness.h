/*
 * harness.h - what the measuring programs of bench/mime share: reading a pack of messages,
 * running for a while, printing one line. A program gives three functions.
 *
 *   PROGRAM headers|bodies PACK SECONDS    parses the messages of the pack, round and round
 *   PROGRAM build SECONDS                  builds one letter, round and round
 *
 * A pack is messages one behind the other, each preceded by its length in 8 bytes. Printed are
 * messages, bytes and seconds of CPU.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXT_BYTES = 2600, HTML_BYTES = 5200, FILE_BYTES = 30 * 1024 };

/* What a letter of the build bench is made of. */
struct content {
    const char *subject, *from, *from_name, *to;
    char text[TEXT_BYTES + 1], html[HTML_BYTES + 1];
    unsigned char file[FILE_BYTES];
};

/* Parse to the tree, decode subject, addresses, date and file names; with `bodies` every leaf
 * too. What is returned depends on all that was done. */
uint64_t parse_one(const char *p, size_t n, bool bodies);
/* Builds a letter in memory, returns its length. */
size_t build_one(const struct content *c);
void begin(void);

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static void words(char *to, size_t n, const char *line_end)
{
    static const char *const list[] = {"letter", "the",   "post",  "house", "of",     "a",
                                       "rider",  "from",  "Köln",  "to",    "Xi'an",  "and",
                                       "back",   "again", "with",  "news",  "naïve",  "parcels",
                                       "which",  "are",   "heavy", "but",   "welcome"};
    size_t at = 0, line = 0;
    while (at + 24 < n) {
        const char *w = list[next_random() % (sizeof list / sizeof list[0])];
        bool ends = line > 60;
        int len = snprintf(to + at, n - at, "%s%s", w, ends ? line_end : " ");
        at += (size_t)len;
        line = ends ? 0 : line + (size_t)len;
    }
    to[at] = 0;
}

static void fill(struct content *c, uint64_t seed)
{
    random_state = 88172645463325252u + seed * 7919;
    c->subject = "Grüße aus dem Posthaus: a parcel has arrived";
    c->from = "sender@example.org";
    c->from_name = "Jürgen Müller";
    c->to = "reader@example.net";
    words(c->text, sizeof c->text, "\r\n");
    words(c->html, sizeof c->html, "<br>\r\n<p class=\"x\">");
    for (size_t i = 0; i + 8 <= sizeof c->file; i += 8) {
        uint64_t r = next_random();
        memcpy(c->file + i, &r, 8);
    }
}

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static char *load(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rb");
    char *p = NULL;
    if (f && fseek(f, 0, SEEK_END) == 0) {
        *ret_n = (size_t)ftell(f);
        rewind(f);
        p = malloc(*ret_n + 1);
        if (p && fread(p, 1, *ret_n, f) != *ret_n)
            p = NULL;
    }
    if (f)
        fclose(f);
    if (!p)
        perror(path);
    return p;
}

static volatile uint64_t sink; /* so that no work can be left out */

static int run_parse(const char *path, bool bodies, double seconds)
{
    size_t n, at = 0;
    uint64_t messages = 0, bytes = 0;
    char *pack = load(path, &n);
    if (!pack || n < 8)
        return 1;
    double start = cpu(), now = start;
    while (now - start < seconds) {
        for (int i = 0; i < 16; i++) {
            uint64_t len;
            memcpy(&len, pack + at, 8);
            sink += parse_one(pack + at + 8, len, bodies);
            at += 8 + len;
            at = at + 8 > n ? 0 : at;
            messages++;
            bytes += len;
        }
        now = cpu();
    }
    printf("%llu %llu %.6f\n", (unsigned long long)messages, (unsigned long long)bytes,
           now - start);
    free(pack);
    return 0;
}

static int run_build(double seconds)
{
    static struct content c;
    uint64_t messages = 0, bytes = 0;
    fill(&c, 1);
    double start = cpu(), now = start;
    while (now - start < seconds) {
        for (int i = 0; i < 8; i++, messages++)
            bytes += build_one(&c);
        now = cpu();
    }
    printf("%llu %llu %.6f\n", (unsigned long long)messages, (unsigned long long)bytes,
           now - start);
    return 0;
}

static int harness(int argc, char **argv)
{
    begin();
    if (argc == 4 && (strcmp(argv[1], "headers") == 0 || strcmp(argv[1], "bodies") == 0))
        return run_parse(argv[2], strcmp(argv[1], "bodies") == 0, atof(argv[3]));
    if (argc == 3 && strcmp(argv[1], "build") == 0)
        return run_build(atof(argv[2]));
    fprintf(stderr, "usage: %s headers|bodies PACK SECONDS | build SECONDS\n", argv[0]);
    return 64;
}
#endif
