/* FETCH responses: attributes in any order, sections with their value or streamed away. */
#include "client_int.h"

bool ph__imap_skip_value(struct ph__imap_cur *c)
{
    size_t depth = 0;
    do {
        ph_str s;
        uint64_t size;
        if (ph__imap_take(c, '(')) {
            if (++depth > IMAP_NEST_MAX)
                return ph__imap_bad(c, "nested too deeply");
        } else if (ph__imap_take(c, ')')) {
            if (depth-- == 0)
                return ph__imap_bad(c, "expected a value");
        } else if (ph__imap_peek(c, '"') || ph__imap_peek(c, '{') || ph__imap_peek(c, '~')) {
            if (!ph__imap_streamed(c, &size) && !ph__imap_string(c, &s))
                return false;
        } else if (ph__imap_peek(c, '\\') || ph__imap_peek(c, '*') || ph__imap_peek(c, ']')) {
            c->at++;
        } else if (!ph__imap_word(c, &s)) {
            return false;
        }
        while (depth && ph__imap_take(c, ' ')) {
        }
    } while (depth);
    return true;
}

/* At the head of a literal that ends the text: the one whose bytes come next. */
static bool at_last_literal(const struct ph__imap_cur *c, uint64_t *ret_size)
{
    struct ph__imap_cur probe = *c;
    ph__imap_take(&probe, '~');
    if (!ph__imap_take(&probe, '{') || !ph__imap_number(&probe, UINT64_MAX, ret_size))
        return false;
    ph__imap_take(&probe, '+');
    return ph__imap_take(&probe, '}') && ph__imap_take(&probe, '\r') &&
           ph__imap_take(&probe, '\n') && ph__imap_at_end(&probe);
}

static bool add_part(struct ph__imap_cur *c, struct ph_imap_fetched *f,
                     const struct ph_imap_part *part)
{
    size_t n = f->part_count;
    struct ph_imap_part *parts = (struct ph_imap_part *)(uintptr_t)f->parts;
    if ((n & (n - 1)) == 0) { /* grown at powers of two */
        struct ph_imap_part *more = ph_arena_array(c->arena, n ? 2 * n : 1, sizeof *more);
        if (!more) {
            c->nomem = true;
            return ph__imap_bad(c, "too many sections");
        }
        for (size_t i = 0; i < n; i++)
            more[i] = parts[i];
        f->parts = parts = more;
    }
    parts[f->part_count++] = *part;
    return true;
}

static bool section_value(struct ph__imap_cur *c, struct ph_imap_fetched *f,
                          struct ph_imap_part *part, struct ph__imap_probe *probe)
{
    uint64_t size;
    if (!ph__imap_sp(c))
        return false;
    if (probe && at_last_literal(c, &size)) {
        probe->hit = true;
        probe->section = part->section;
        probe->size = size;
        return false;
    }
    part->streamed = ph__imap_streamed(c, &size);
    if (part->streamed)
        part->value = (ph_str){NULL, (size_t)size};
    else if (!ph__imap_nstring(c, &part->value))
        return false;
    return add_part(c, f, part);
}

static bool number_attribute(struct ph__imap_cur *c, struct ph_imap_fetched *f, unsigned bit)
{
    uint64_t n;
    if (!ph__imap_sp(c))
        return false;
    bool paren = bit == PH_IMAP_F_MODSEQ && ph__imap_take(c, '(');
    if (!ph__imap_number(c, bit == PH_IMAP_F_UID ? UINT32_MAX : UINT64_MAX, &n) ||
        (paren && !ph__imap_take(c, ')')))
        return false;
    if (bit == PH_IMAP_F_UID)
        f->uid = (uint32_t)n;
    else if (bit == PH_IMAP_F_SIZE)
        f->size = n;
    else
        f->modseq = n;
    return true;
}

static bool plain_attribute(struct ph__imap_cur *c, struct ph_imap_fetched *f, unsigned bit)
{
    struct ph_imap_envelope *e;
    struct ph_imap_body *b;
    f->mask |= bit;
    if (bit & (PH_IMAP_F_UID | PH_IMAP_F_SIZE | PH_IMAP_F_MODSEQ))
        return number_attribute(c, f, bit);
    if (!ph__imap_sp(c))
        return false;
    if (bit == PH_IMAP_F_FLAGS)
        return ph__imap_flags_list(c, &f->flags);
    if (bit == PH_IMAP_F_INTERNALDATE)
        return ph__imap_date_time(c, &f->date, &f->zone);
    if (bit == PH_IMAP_F_ENVELOPE) {
        if (!ph__imap_resp_envelope(c, &e))
            return false;
        f->envelope = e;
        return true;
    }
    if (!ph__imap_resp_body(c, 0, &b))
        return false;
    f->body = b;
    return true;
}

static bool attribute(struct ph__imap_cur *c, struct ph_imap_fetched *f,
                      struct ph__imap_probe *probe)
{
    static const struct {
        ph_str name;
        unsigned bit;
        int as;
        enum ph_imap_section_kind kind;
    } table[] = {
        {PH_STR_INIT("UID"), PH_IMAP_F_UID, 0, 0},
        {PH_STR_INIT("FLAGS"), PH_IMAP_F_FLAGS, 0, 0},
        {PH_STR_INIT("INTERNALDATE"), PH_IMAP_F_INTERNALDATE, 0, 0},
        {PH_STR_INIT("RFC822.SIZE"), PH_IMAP_F_SIZE, 0, 0},
        {PH_STR_INIT("ENVELOPE"), PH_IMAP_F_ENVELOPE, 0, 0},
        {PH_STR_INIT("BODY"), PH_IMAP_F_BODY, 0, 0},
        {PH_STR_INIT("BODYSTRUCTURE"), PH_IMAP_F_BODYSTRUCTURE, 0, 0},
        {PH_STR_INIT("MODSEQ"), PH_IMAP_F_MODSEQ, 0, 0},
        {PH_STR_INIT("RFC822"), 0, PH_IMAP_AS_RFC822, PH_IMAP_SEC_BODY},
        {PH_STR_INIT("RFC822.HEADER"), 0, PH_IMAP_AS_RFC822_HEADER, PH_IMAP_SEC_HEADER},
        {PH_STR_INIT("RFC822.TEXT"), 0, PH_IMAP_AS_RFC822_TEXT, PH_IMAP_SEC_TEXT},
    };
    struct ph_imap_part part = {0};
    const char *from = c->at;
    while (c->at < c->end && *c->at != ' ' && *c->at != '[' && *c->at != ')' && *c->at != '(')
        c->at++;
    ph_str name = {from, (size_t)(c->at - from)};
    if (ph__imap_peek(c, '[') && ph_str_ieq(name, PH_STR("BINARY.SIZE"))) /* RFC 3516 4.3 */
        return ph__imap_section(c, &part.section) && ph__imap_sp(c) && ph__imap_skip_value(c);
    if (ph__imap_peek(c, '['))
        return ph_str_ieq(name, PH_STR("BODY")) || ph_str_ieq(name, PH_STR("BINARY"))
                   ? ph__imap_section(c, &part.section) && section_value(c, f, &part, probe)
                   : ph__imap_bad(c, "unknown section");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!ph_str_ieq(name, table[i].name))
            continue;
        if (table[i].bit)
            return plain_attribute(c, f, table[i].bit);
        part.section.kind = table[i].kind;
        part.section.as = table[i].as == PH_IMAP_AS_RFC822          ? PH_IMAP_AS_RFC822
                          : table[i].as == PH_IMAP_AS_RFC822_HEADER ? PH_IMAP_AS_RFC822_HEADER
                                                                    : PH_IMAP_AS_RFC822_TEXT;
        return section_value(c, f, &part, probe);
    }
    return name.n > 0 && ph__imap_sp(c) && ph__imap_skip_value(c);
}

bool ph__imap_resp_fetch(struct ph__imap_cur *c, struct ph_imap_fetched *ret_f,
                         struct ph__imap_probe *probe)
{
    if (!ph__imap_char(c, '('))
        return false;
    while (!ph__imap_take(c, ')')) {
        if (!attribute(c, ret_f, probe))
            return ph__imap_bad(c, "a FETCH response is not well-formed");
        if (!ph__imap_peek(c, ')') && !ph__imap_sp(c))
            return false;
    }
    return true;
}
