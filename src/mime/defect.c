/* Defects: their names, the list, and the bytes that should not be in a message. */
#include "parse_int.h"
#include "utf8.h"

static const struct {
    const char *name, *text;
    enum ph_defect_level level;
} defects[PH_DEFECT_COUNT] = {
#define ROW(sym, level, text) {#sym, text, PH_DEFECT_IS_##level},
    PH_DEFECTS(ROW)
#undef ROW
};

const char *ph_defect_name(enum ph_defect_kind kind)
{
    return kind < PH_DEFECT_COUNT ? defects[kind].name : "";
}

const char *ph_defect_text(enum ph_defect_kind kind)
{
    return kind < PH_DEFECT_COUNT ? defects[kind].text : "";
}

/* A defect that finds no memory is counted all the same. */
void ph__defect(struct ph_mime_parser *ps, enum ph_defect_kind kind, uint64_t at)
{
    if (ps->no_defects || ps->m->defect_count++ >= ps->lim.defects)
        return;
    struct ph_defect *d = PH_ARENA_NEW(ps->arena, struct ph_defect);
    if (!d)
        return;
    *d = (struct ph_defect){.kind = kind, .level = defects[kind].level, .at = at};
    *ps->last_defect = d;
    ps->last_defect = &d->next;
}

/* ---- odd bytes ---- */

enum { CR, LF, NUL, KINDS, BLOCK = 16 * 1024 };

static void note(struct ph__odd *odd, int which, uint64_t at)
{
    if (odd->known & 1u << which)
        return;
    odd->known |= 1u << which;
    odd->first[which] = at;
}

/* A block that holds what is `wanted`: one byte of it is the neighbour of the last. */
static void look_closely(struct ph__odd *odd, unsigned wanted, ph_str s, uint64_t at)
{
    for (size_t i = 0; i < s.n && wanted & ~odd->known; i++) {
        if (s.p[i] == 0)
            note(odd, NUL, at + i);
        if (i + 1 == s.n)
            break;
        if (s.p[i] == '\r' && s.p[i + 1] != '\n')
            note(odd, CR, at + i);
        if (s.p[i] != '\r' && s.p[i + 1] == '\n')
            note(odd, LF, at + i + 1);
    }
}

void ph__odd_feed(struct ph__odd *odd, ph_str s)
{
    if (s.n == 0)
        return;
    if (odd->after_cr && s.p[0] != '\n')
        note(odd, CR, odd->n - 1);
    if (!odd->after_cr && s.p[0] == '\n')
        note(odd, LF, odd->n);
    for (size_t i = 0; i < s.n && odd->known != PH__ODD_ALL; i += BLOCK) {
        ph_str block = ph_str_sub(s, i, BLOCK + 1);
        unsigned wanted = ph__odd_bytes(block) & ~odd->known;
        look_closely(odd, wanted, block, odd->n + i);
    }
    odd->after_cr = s.p[s.n - 1] == '\r';
    odd->n += s.n;
}

void ph__odd_end(struct ph_mime_parser *ps)
{
    static const enum ph_defect_kind kinds[KINDS] = {PH_DEFECT_BARE_CR, PH_DEFECT_BARE_LF,
                                                     PH_DEFECT_NUL};
    struct ph__odd *odd = &ps->odd;
    ph_str head = ps->m->root->head;
    if (odd->after_cr)
        note(odd, CR, odd->n - 1);
    while (odd->known) { /* in the order of their offsets */
        int next = -1;
        for (int i = 0; i < KINDS; i++)
            if (odd->known & 1u << i && (next < 0 || odd->first[i] < odd->first[next]))
                next = i;
        ph__defect(ps, kinds[next], odd->first[next]);
        odd->known &= ~(1u << next);
    }
    if (!ph_ascii_only(head)) {
        size_t valid = ph_utf8_valid(head), first = 0;
        while ((uint8_t)head.p[first] < 128)
            first++;
        ph__defect(ps, valid == head.n ? PH_DEFECT_HEADER_8BIT : PH_DEFECT_HEADER_8BIT_CHARSET,
                   valid == head.n ? first : valid);
    }
}
