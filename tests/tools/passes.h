/* passes.h - do the passes with vectors give what the plain loops give, at every alignment? */
#ifndef PH_PASSES_H
#define PH_PASSES_H
#include <stdlib.h>
#include <string.h>

#include "mime_int.h"

static bool passes_agree_on(const char *text, size_t n)
{
    char *exact = malloc(n + 1); /* the sanitizer sees a step behind it */
    uint64_t one = 0, two = 0, lines = 0;
    if (!exact)
        return false;
    memcpy(exact, text, n);
    const char *a = ph__find_dashes(exact, exact + n, &one);
    const char *b = ph__find_dashes_plain(exact, exact + n, &two);
    for (size_t i = 0; i < n; i++)
        lines += exact[i] == '\n';
    bool same = a == b && one == two && ph__count_lines(exact, exact + n) == lines &&
                ph__odd_bytes((ph_str){exact, n}) == ph__odd_plain((ph_str){exact, n});
    free(exact);
    return same;
}

static bool passes_agree(void)
{
    static const char some[] = "\n\n-\r\r\n--\0--\nabc-\n-x\n--";
    static char text[20000]; /* longer than what is counted before the lanes are emptied */
    bool same = true;
    srand(1);
    for (int round = 0; round < 4000; round++) {
        size_t n = (size_t)rand() % (round % 40 ? 1000 : sizeof text),
               dense = (size_t)rand() % 400 + 1;
        for (size_t i = 0; i < n; i++)
            text[i] = (size_t)rand() % dense ? 'a' : some[(size_t)rand() % (sizeof some - 1)];
        same = same && passes_agree_on(text, n);
    }
    return same;
}
#endif
