/* Flags and body sections: values with a small grammar of their own, read in both roles. */
#include "imap_int.h"
#include <string.h>

/* One flag into the bits, or behind the keywords collected so far. */
static bool one_flag(struct ph__imap_cur *c, struct ph_imap_flags *f, struct ph_buf *keywords)
{
    const char *from = c->at;
    ph_str word;
    bool system = ph__imap_take(c, '\\');
    if (system && ph__imap_take(c, '*')) {
        f->bits |= PH_IMAP_ANY_KEYWORD;
        return c->lenient || ph__imap_bad(c, "\\* is not a flag");
    }
    if (!ph__imap_word(c, &word))
        return ph__imap_bad(c, "expected a flag");
    ph_str whole = {from, (size_t)(c->at - from)};
    for (unsigned i = 0; system && i < 6; i++) {
        if (!ph_str_ieq(whole, ph__imap_flag_names[i]))
            continue;
        f->bits |= 1u << i;
        return c->lenient || i != 5 || ph__imap_bad(c, "\\Recent is not the client's to set");
    }
    if (system && !c->lenient)
        return ph__imap_bad(c, "there is no such system flag");
    if (keywords->n)
        ph_buf_addc(keywords, ' ');
    ph_buf_add(keywords, whole);
    return true;
}

static bool flags_until(struct ph__imap_cur *c, bool paren, struct ph_imap_flags *ret_flags)
{
    struct ph_imap_flags f = {0};
    struct ph_buf keywords;
    ph_buf_init(&keywords, NULL, 16384);
    bool ok = true;
    while (ok && !(paren && ph__imap_take(c, ')'))) {
        ok = one_flag(c, &f, &keywords);
        if (ok && !paren && ph__imap_at_end(c))
            break;
        if (ok && !ph__imap_peek(c, ')'))
            ok = ph__imap_sp(c);
        else if (ok && !paren)
            ok = ph__imap_bad(c, "expected a flag");
    }
    if (ok && keywords.n) {
        f.keywords =
            ph_buf_err(&keywords) ? (ph_str){0} : ph_arena_copy(c->arena, ph_buf_str(&keywords));
        ok = f.keywords.p || ph__imap_bad(c, "too many keywords");
    }
    ph_buf_done(&keywords);
    if (ok)
        *ret_flags = f;
    return ok;
}

bool ph__imap_flags_list(struct ph__imap_cur *c, struct ph_imap_flags *ret_flags)
{
    return ph__imap_char(c, '(') && flags_until(c, true, ret_flags);
}

bool ph__imap_flags_bare(struct ph__imap_cur *c, struct ph_imap_flags *ret_flags)
{
    return ph__imap_peek(c, '(') ? ph__imap_flags_list(c, ret_flags)
                                 : flags_until(c, false, ret_flags);
}

/* ---- sections (RFC 9051 6.4.5.1) ------------------------------------------------------------ */

static const struct {
    ph_str name;
    enum ph_imap_section_kind kind;
} kinds[] = {
    {PH_STR_INIT("HEADER.FIELDS.NOT"), PH_IMAP_SEC_FIELDS_NOT},
    {PH_STR_INIT("HEADER.FIELDS"), PH_IMAP_SEC_FIELDS},
    {PH_STR_INIT("HEADER"), PH_IMAP_SEC_HEADER},
    {PH_STR_INIT("TEXT"), PH_IMAP_SEC_TEXT},
    {PH_STR_INIT("MIME"), PH_IMAP_SEC_MIME},
};

static bool field_names(struct ph__imap_cur *c, struct ph_imap_section *sec)
{
    struct ph__imap_cur count = *c;
    size_t n = 0;
    ph_str name;
    if (!ph__imap_sp(c) || !ph__imap_char(c, '('))
        return false;
    count.at = c->at;
    while (ph__imap_astring(&count, &name) && ph__imap_take(&count, ' '))
        n++;
    n++;
    ph_str *fields = ph_arena_array(c->arena, n, sizeof *fields);
    if (!fields) {
        return ph__imap_too_large(c);
    }
    for (size_t i = 0; i < n; i++)
        if ((i && !ph__imap_sp(c)) || !ph__imap_astring(c, &fields[i]))
            return ph__imap_bad(c, "expected header field names");
    sec->fields = fields;
    sec->field_count = n;
    return ph__imap_char(c, ')');
}

static bool part_numbers(struct ph__imap_cur *c, struct ph_imap_section *sec)
{
    uint32_t part[PH_IMAP_PART_DEPTH];
    size_t depth = 0;
    while (c->at < c->end && *c->at >= '1' && *c->at <= '9') {
        uint64_t n;
        if (depth == PH_IMAP_PART_DEPTH)
            return ph__imap_bad(c, "a part number is too deep");
        if (!ph__imap_number(c, UINT32_MAX, &n))
            return false;
        part[depth++] = (uint32_t)n;
        if (!ph__imap_take(c, '.'))
            break;
        if (c->at == c->end || *c->at == ']')
            return ph__imap_bad(c, "a part number ends in a dot");
    }
    if (depth) {
        uint32_t *copy = ph_arena_array(c->arena, depth, sizeof *copy);
        if (!copy) {
            return ph__imap_too_large(c);
        }
        memcpy(copy, part, depth * sizeof *copy);
        sec->part = copy;
        sec->depth = depth;
    }
    return true;
}

static bool section_text(struct ph__imap_cur *c, struct ph_imap_section *sec)
{
    ph_str rest = {c->at, (size_t)(c->end - c->at)};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!ph_str_has_iprefix(rest, kinds[i].name))
            continue;
        c->at += kinds[i].name.n;
        sec->kind = kinds[i].kind;
        if (sec->kind == PH_IMAP_SEC_MIME && sec->depth == 0)
            return ph__imap_bad(c, "MIME needs a part number");
        if (sec->kind == PH_IMAP_SEC_FIELDS || sec->kind == PH_IMAP_SEC_FIELDS_NOT)
            return field_names(c, sec);
        return true;
    }
    return ph__imap_bad(c, "unknown body section");
}

bool ph__imap_section(struct ph__imap_cur *c, struct ph_imap_section *ret_sec)
{
    struct ph_imap_section sec = {.as = PH_IMAP_AS_BODY};
    if (!ph__imap_char(c, '[') || !part_numbers(c, &sec))
        return false;
    if (!ph__imap_peek(c, ']') && !section_text(c, &sec))
        return false;
    if (!ph__imap_char(c, ']'))
        return false;
    if (ph__imap_take(c, '<')) {
        uint64_t from, count = 1;
        if (!ph__imap_number(c, UINT32_MAX, &from))
            return false;
        bool has_count = ph__imap_take(c, '.');
        if (has_count ? !ph__imap_number(c, UINT32_MAX, &count) : !c->lenient)
            return ph__imap_bad(c, "a partial needs <offset.count>");
        if (!ph__imap_take(c, '>') || count == 0)
            return ph__imap_bad(c, "a partial needs <offset.count>");
        sec.partial = true;
        sec.from = (uint32_t)from;
        sec.count = has_count ? (uint32_t)count : 0;
    }
    *ret_sec = sec;
    return true;
}
