/* The table of charset labels, and the converters that stay open. */
#include <posthouse/text.h>

#include <iconv.h>
#include <string.h>

#include "ascii.h"
#include "charset.h"

static const struct ph__charset charsets[] = {
#define PH_CHARSET(kind, name, key) {PH__CHARSET_##kind, name, PH_STR_INIT(key)},
#include "charsets.def"
#undef PH_CHARSET
};

enum { CHARSETS = sizeof charsets / sizeof charsets[0], KEY_MOST = 48 };

/* The label as the table has it (see charsets.def); its length, 0 when it is too long. */
static size_t make_key(ph_str label, char *key)
{
    size_t n = 0;
    bool marked = ph_str_has_iprefix(label, PH_STR("x-"));
    label = ph_str_skip(label, marked ? 2 : 0);
    for (size_t i = 0; i < label.n; i++) {
        char c = label.p[i];
        if (!ph_is_alnum(c))
            continue;
        if (n == KEY_MOST)
            return 0;
        key[n++] = ph_lower(c);
    }
    return n;
}

const struct ph__charset *ph__charset_find(ph_str label)
{
    char mem[KEY_MOST];
    while (label.n && (label.p[0] == '"' || label.p[0] == '\'' || (uint8_t)label.p[0] <= ' '))
        label = ph_str_skip(label, 1);
    ph_str key = {mem, make_key(label, mem)};
    if (ph_str_has_prefix(key, PH_STR("cs")))
        key = ph_str_skip(key, 2);
    for (size_t i = 0; i < CHARSETS && key.n; i++)
        if (key.n == charsets[i].key.n && memcmp(key.p, charsets[i].key.p, key.n) == 0)
            return &charsets[i];
    return NULL;
}

/* An open descriptor keeps its module loaded. */
struct ph_charsets {
    size_t n;
    iconv_t open[CHARSETS];
};

struct ph_charsets *ph_charset_preload(void)
{
    struct ph_charsets *c = ph_new0(NULL, sizeof *c);
    for (size_t i = 0; c && i < CHARSETS; i++) { /* rows of one set stand together */
        if (!charsets[i].name[0] || (i && strcmp(charsets[i].name, charsets[i - 1].name) == 0))
            continue;
        iconv_t set = iconv_open("UTF-8", charsets[i].name);
        if (set != (iconv_t)-1)
            c->open[c->n++] = set;
    }
    return c;
}

struct ph_charsets *ph_charset_unload(struct ph_charsets *c)
{
    while (c && c->n)
        iconv_close(c->open[--c->n]);
    ph_free(NULL, c, sizeof *c);
    return NULL;
}
