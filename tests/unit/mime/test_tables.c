/* mime: tables of addresses, dates, header texts, parameters and charsets, each row from a file.
 * Every row is read from memory of its exact size, so that the sanitizer sees a step too far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mime_int.h"
#include "tables.h"
#include "utf8.h"

enum { COLUMNS = 4, LINE = 4096 };

struct row {
    struct ph_arena *arena;
    ph_str col[COLUMNS];
    struct ph_buf seen; /* what came out, in the form of the table */
};

/* "\r", "\n", "\t", "\\", "\xNN" in a column. */
static ph_str unescaped(struct ph_arena *arena, const char *from, const char *end)
{
    char *p = ph_arena_get(arena, (size_t)(end - from) + 1), *to = p;
    while (from < end) {
        if (*from == '\\' && from[1] == 'x') {
            char hex[3] = {from[2], from[3], 0};
            *to++ = (char)strtoul(hex, NULL, 16);
            from += 4;
        } else if (*from == '\\') {
            *to++ = from[1] == 'r' ? '\r' : from[1] == 'n' ? '\n' : from[1] == 't' ? '\t' : from[1];
            from += 2;
        } else {
            *to++ = *from++;
        }
    }
    return (ph_str){p, (size_t)(to - p)};
}

static void show(struct ph_buf *out, ph_str s)
{
    ph_buf_add(out, s.n ? s : PH_STR("~"));
}

static void see_addresses(struct row *r, ph_str in)
{
    struct ph_address *a;
    assert_true(ph_address_parse(r->arena, in, &a) >= 0);
    for (; a; a = a->next) {
        if (r->seen.n)
            ph_buf_addc(&r->seen, ' ');
        if (a->kind == PH_ADDRESS_GROUP_END) {
            ph_buf_addc(&r->seen, 'E');
            continue;
        }
        ph_buf_add(&r->seen, a->kind == PH_ADDRESS_GROUP ? PH_STR("G(") : PH_STR("M("));
        show(&r->seen, a->name);
        const ph_str rest[] = {a->route, a->local, a->host};
        for (int i = 0; i < 3 && a->kind == PH_ADDRESS_MAILBOX; i++) {
            ph_buf_addc(&r->seen, '|');
            show(&r->seen, rest[i]);
        }
        ph_buf_addc(&r->seen, ')');
    }
    assert_string_equal(ph_buf_cstr(&r->seen), ph_arena_cstr(r->arena, r->col[1]));
}

static void see_date(struct row *r, ph_str in)
{
    struct ph_date d;
    if (ph_str_eq(r->col[1], PH_STR("-"))) {
        assert_int_equal(ph_date_parse(in, &d), -PH_ESYNTAX);
        return;
    }
    assert_int_equal(ph_date_parse(in, &d), 0);
    assert_int_equal(d.time, strtoll(ph_arena_cstr(r->arena, r->col[1]), NULL, 10));
    assert_int_equal(d.zone, strtol(ph_arena_cstr(r->arena, r->col[2]), NULL, 10));
    for (unsigned i = 0; i < 4; i++)
        if (d.flags & 1u << i)
            ph_buf_addc(&r->seen, "TSZW"[i]);
    assert_string_equal(ph_buf_cstr(&r->seen), ph_arena_cstr(r->arena, r->col[3]));
}

static void see_words(struct row *r, ph_str in)
{
    ph_str text;
    assert_int_equal(ph_field_text(r->arena, in, &text), 0);
    assert_true(ph_utf8_is_valid(text));
    assert_string_equal(ph_arena_cstr(r->arena, text), ph_arena_cstr(r->arena, r->col[1]));
}

static void see_params(struct row *r, ph_str in)
{
    struct ph_message *m;
    ph_str value;
    ph_str letter = ph_arena_printf(r->arena, "Content-Type: %.*s\r\n\r\n", PH_FMT(in));
    assert_int_equal(ph_mime_parse(r->arena, letter, NULL, &m), 0);
    ph_buf_addf(&r->seen, "%.*s/%.*s", PH_FMT(m->root->type), PH_FMT(m->root->subtype));
    assert_string_equal(ph_buf_cstr(&r->seen), ph_arena_cstr(r->arena, r->col[1]));
    assert_int_equal(ph_param_get(r->arena, m->root->params, r->col[2], &value), 0);
    assert_string_equal(value.p ? ph_arena_cstr(r->arena, value) : "~",
                        ph_arena_cstr(r->arena, r->col[3]));
}

static void see_charset(struct row *r, ph_str label)
{
    char *exact = malloc(r->col[1].n + 1);
    assert_non_null(exact);
    memcpy(exact + 1, r->col[1].p, r->col[1].n);
    int bad = ph_charset_decode(label, (ph_str){exact + 1, r->col[1].n}, &r->seen);
    free(exact);
    assert_true(bad >= 0 && ph_utf8_is_valid(ph_buf_str(&r->seen)));
    assert_true((bad > 0) == (ph_str_find(r->col[2], PH_STR("\xef\xbf\xbd")) != PH_NPOS));
    assert_string_equal(ph_buf_cstr(&r->seen), ph_arena_cstr(r->arena, r->col[2]));
}

static void see_received(struct row *r, ph_str in)
{
    struct ph_received v;
    ph_received_parse(in, &v);
    const ph_str all[] = {v.from, v.by, v.via, v.with, v.id, v.for_};
    for (int i = 0; i < 6; i++) {
        show(&r->seen, all[i]);
        ph_buf_addc(&r->seen, '|');
    }
    if (v.has_date)
        ph_buf_addf(&r->seen, "%lld", (long long)v.date.time);
    else
        ph_buf_addc(&r->seen, '~');
    assert_string_equal(ph_buf_cstr(&r->seen), ph_arena_cstr(r->arena, r->col[1]));
}

static void one_row(char *line, void (*see)(struct row *, ph_str))
{
    struct row r = {.arena = ph_arena_new(NULL, 1 << 20)};
    ph_buf_init(&r.seen, NULL, 1 << 16);
    char *p = line;
    for (int i = 0; i < COLUMNS; i++) {
        char *tab = p + strcspn(p, "\t");
        r.col[i] = unescaped(r.arena, p, tab);
        p = *tab ? tab + 1 : tab;
    }
    char *exact = malloc(r.col[0].n + 1);
    assert_non_null(exact);
    memcpy(exact + 1, r.col[0].p, r.col[0].n);
    see(&r, (ph_str){exact + 1, r.col[0].n});
    free(exact);
    ph_buf_done(&r.seen);
    ph_arena_free(r.arena);
}

static void table(const char *name, void (*see)(struct row *, ph_str))
{
    char path[512], line[LINE];
    snprintf(path, sizeof path, "%s/%s.tsv", TABLES, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (int n = 1; fgets(line, sizeof line, f); n++) {
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#' && line[1] == ' ')
            continue;
        print_message("%s.tsv:%d %s\n", name, n, line);
        one_row(line, see);
    }
    fclose(f);
}

static void addresses(void **state)
{
    (void)state;
    table("addresses", see_addresses);
    table("addresses_made", see_addresses);
}

static void dates(void **state)
{
    (void)state;
    table("dates", see_date);
    table("dates_made", see_date);
}

static void words(void **state)
{
    (void)state;
    table("words", see_words);
    table("words_made", see_words);
}

static void params(void **state)
{
    (void)state;
    table("params", see_params);
    table("params_made", see_params);
}

static void received(void **state)
{
    (void)state;
    table("received", see_received);
}

static void charsets(void **state)
{
    (void)state;
    table("charsets", see_charset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses), cmocka_unit_test(dates),
                                       cmocka_unit_test(words),     cmocka_unit_test(params),
                                       cmocka_unit_test(received),  cmocka_unit_test(charsets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
