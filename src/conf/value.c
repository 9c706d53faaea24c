/* Values of settings: text to value and back, ranges, units. */
#include "ascii.h"
#include "conf_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: a value is printed in the largest unit that divides it. */
static const struct unit sizes[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}};
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit plain[] = {{"", 1}};

struct units {
    const struct unit *v;
    size_t n;
    const char *example;
};

static const struct units units_of[] = {
    [KIND_int] = {plain, 1, "a whole number"},
    [KIND_size] = {sizes, 4, "a size like 64M or 512K"},
    [KIND_duration] = {durations, 5, "a duration like 30s, 5m, 4h or 2d"},
};

static void *slot(struct ph_conf *c, const struct ph__conf_row *row)
{
    return (char *)c + row->offset;
}

static const void *slot_of(const struct ph_conf *c, const struct ph__conf_row *row)
{
    return (const char *)c + row->offset;
}

static void add_number(struct ph_buf *out, const struct units *u, int64_t v)
{
    size_t i = 0;
    while (i + 1 < u->n && (v == 0 || v % u->v[i].factor))
        i++;
    ph_buf_addf(out, "%" PRId64 "%s", v / u->v[i].factor, u->v[i].name);
}

static int out_of_range(const struct ph__conf_row *row, const struct units *u, ph_str text,
                        struct ph_error *reterr)
{
    struct ph_buf least, most;
    ph_buf_init(&least, NULL, 64);
    ph_buf_init(&most, NULL, 64);
    add_number(&least, u, row->min);
    add_number(&most, u, row->max);
    int r = ph_fail(reterr, PH_EINVAL, 0, "%s: %.*s is out of range, %s to %s are allowed",
                    row->name, PH_FMT(text), ph_buf_cstr(&least), ph_buf_cstr(&most));
    ph_buf_done(&least);
    ph_buf_done(&most);
    return r;
}

static int put_number(const struct ph__conf_row *row, ph_str text, int64_t *ret_value,
                      struct ph_error *reterr)
{
    const struct units *u = &units_of[row->kind];
    size_t digits = 0;
    while (digits < text.n && ph_is_digit(text.p[digits]))
        digits++;
    ph_str unit = ph_str_trim(ph_str_skip(text, digits));
    const struct unit *found = NULL;
    for (size_t i = 0; i < u->n && !found; i++)
        if (ph_str_ieq(unit, ph_str_c(u->v[i].name)))
            found = &u->v[i];
    if (!digits || !found)
        return ph_fail(reterr, PH_EINVAL, 0, "%s: \"%.*s\" is not %s", row->name, PH_FMT(text),
                       u->example);
    uint64_t v;
    int64_t value;
    if (!ph_str_u64(ph_str_sub(text, 0, digits), INT64_MAX, &v) ||
        __builtin_mul_overflow((int64_t)v, found->factor, &value) || value < row->min ||
        value > row->max)
        return out_of_range(row, u, text, reterr);
    *ret_value = value;
    return 0;
}

static int put_bool(const struct ph__conf_row *row, ph_str text, bool *ret_value,
                    struct ph_error *reterr)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true},   {"yes", true}, {"on", true},   {"1", true},
                 {"false", false}, {"no", false}, {"off", false}, {"0", false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (ph_str_ieq(text, ph_str_c(words[i].word))) {
            *ret_value = words[i].value;
            return 0;
        }
    }
    return ph_fail(reterr, PH_EINVAL, 0, "%s: \"%.*s\" is neither true nor false", row->name,
                   PH_FMT(text));
}

static int check_text(const struct ph__conf_row *row, ph_str text, struct ph_error *reterr)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return ph_fail(reterr, PH_EINVAL, 0, "%s: a value may not have control characters",
                           row->name);
    return ph__conf_check(row, text, reterr);
}

static int put_str(struct ph_conf *c, const struct ph__conf_row *row, ph_str text,
                   struct ph_error *reterr)
{
    if (text.n > (size_t)row->max)
        return ph_fail(reterr, PH_EINVAL, 0, "%s: longer than %" PRId64 " bytes", row->name,
                       row->max);
    int r = check_text(row, text, reterr);
    if (r)
        return r;
    ph_str copy = ph_arena_copy(c->arena, text);
    if (!copy.p)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    memcpy(slot(c, row), &copy, sizeof copy);
    return 0;
}

static int append(struct ph_conf *c, const struct ph__conf_row *row, ph_str text,
                  struct ph_error *reterr)
{
    enum { ELEMENT_MAX = 8192 };
    struct ph_conf_list l;
    memcpy(&l, slot(c, row), sizeof l);
    if (l.n >= (size_t)row->max)
        return ph_fail(reterr, PH_EINVAL, 0, "%s: more than %" PRId64 " values", row->name,
                       row->max);
    if (text.n > ELEMENT_MAX)
        return ph_fail(reterr, PH_EINVAL, 0, "%s: a value is longer than %d bytes", row->name,
                       ELEMENT_MAX);
    int r = check_text(row, text, reterr);
    if (r)
        return r;
    if ((l.n & (l.n - 1)) == 0) { /* room for twice as many whenever n is a power of two */
        ph_str *v = ph_arena_array(c->arena, l.n ? 2 * l.n : 1, sizeof *v);
        if (!v)
            return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
        if (l.n)
            memcpy(v, l.v, l.n * sizeof *v);
        l.v = v;
    }
    l.v[l.n] = ph_arena_copy(c->arena, text);
    if (!l.v[l.n++].p)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    memcpy(slot(c, row), &l, sizeof l);
    return 0;
}

void ph__conf_clear(struct ph_conf *c, const struct ph__conf_row *row)
{
    memset(slot(c, row), 0, sizeof(struct ph_conf_list));
}

static int put_list(struct ph_conf *c, const struct ph__conf_row *row, ph_str text, char sep,
                    struct ph_error *reterr)
{
    ph_str one;
    int r = 0;
    if (!sep)
        return append(c, row, text, reterr);
    ph__conf_clear(c, row);
    while (!r && ph_str_token(&text, sep, &one)) {
        one = ph_str_trim(one);
        r = one.n ? append(c, row, one, reterr) : 0;
    }
    return r;
}

int ph__conf_put(struct ph_conf *c, const struct ph__conf_row *row, ph_str text, char sep,
                 struct ph_error *reterr)
{
    switch (row->kind) {
    case KIND_str:
        return put_str(c, row, text, reterr);
    case KIND_list:
        return put_list(c, row, text, sep, reterr);
    case KIND_bool:
        return put_bool(row, text, slot(c, row), reterr);
    default:
        return put_number(row, text, slot(c, row), reterr);
    }
}

void ph__conf_text(const struct ph_conf *c, const struct ph__conf_row *row, char sep,
                   struct ph_buf *out)
{
    struct ph_conf_list l;
    ph_str s;
    int64_t number;
    const void *at = slot_of(c, row);
    switch (row->kind) {
    case KIND_str:
        memcpy(&s, at, sizeof s);
        ph_buf_add(out, s);
        break;
    case KIND_list:
        memcpy(&l, at, sizeof l);
        for (size_t i = 0; i < l.n; i++) {
            if (i)
                ph_buf_addc(out, sep);
            ph_buf_add(out, l.v[i]);
        }
        break;
    case KIND_bool:
        ph_buf_add(out, ph_str_c(*(const bool *)at ? "true" : "false"));
        break;
    default:
        memcpy(&number, at, sizeof number);
        add_number(out, &units_of[row->kind], number);
    }
}
