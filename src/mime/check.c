/* Bodies looked at for what is wrong in them: a pass that the parse does not make. */
#include <string.h>

#include "ascii.h"
#include "codec.h"
#include "parse_int.h"

enum { LINE_MOST = 998 }; /* RFC 5322 2.1.1, without the line end */

struct check {
    struct ph_mime_parser list; /* only for its list of defects */
    uint64_t base;              /* of the body that is looked at */
    bool seen[PH_DEFECT_COUNT]; /* each kind is told once a part */
};

static void tell(struct check *c, enum ph_defect_kind kind, size_t at)
{
    if (!c->seen[kind])
        ph__defect(&c->list, kind, c->base + at);
    c->seen[kind] = true;
}

static bool is_base64(char c)
{
    return ph_is_alnum(c) || c == '+' || c == '/';
}

static void check_base64(struct check *c, ph_str s)
{
    unsigned held = 0, due = 0; /* characters of a group, pads that must still come */
    bool padded = false;
    for (size_t i = 0; i < s.n; i++) {
        char b = s.p[i];
        if (is_base64(b)) {
            if (padded)
                tell(c, PH_DEFECT_BASE64_PAD, i);
            padded = false;
            due = 0;
            held = (held + 1) % 4;
        } else if (b == '=') {
            if (due == 0 && held < 2)
                tell(c, PH_DEFECT_BASE64_PAD, i);
            due = due == 0 && held == 2;
            held = 0;
            padded = true;
        } else if (b != '\r' && b != '\n' && b != ' ' && b != '\t') {
            tell(c, PH_DEFECT_BASE64_RUBBISH, i);
        }
    }
    if (held || due)
        tell(c, PH_DEFECT_BASE64_CUT, s.n);
}

static void check_qp(struct check *c, ph_str s)
{
    for (size_t i = ph_str_chr(s, '='); i < s.n; i++) {
        if (s.p[i] != '=')
            continue;
        if (i + 2 < s.n && ph__hex(s.p[i + 1]) >= 0 && ph__hex(s.p[i + 2]) >= 0) {
            i += 2;
            continue;
        }
        size_t end = i + 1;
        while (end < s.n && (s.p[end] == ' ' || s.p[end] == '\t' || s.p[end] == '\r'))
            end++;
        if (end < s.n && s.p[end] != '\n')
            tell(c, PH_DEFECT_QP_ESCAPE, i);
        else if (end + 1 >= s.n)
            tell(c, PH_DEFECT_QP_SOFT_END, i);
        i = end - 1;
    }
}

static void check_lines(struct check *c, ph_str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = ph__line(ph_str_skip(s, i)).n;
        if (n > LINE_MOST + 2)
            tell(c, PH_DEFECT_LINE_LONG, i);
        i += n;
    }
}

static void check_8bit(struct check *c, ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] > 127) {
            tell(c, PH_DEFECT_BODY_8BIT, i);
            return;
        }
}

static void check_part(struct check *c, const struct ph_part *p, ph_str body)
{
    memset(c->seen, 0, sizeof c->seen);
    c->base = p->body.at;
    if (p->encoding == PH_ENC_BASE64)
        check_base64(c, body);
    if (p->encoding == PH_ENC_QP)
        check_qp(c, body);
    if (p->encoding != PH_ENC_8BIT && p->encoding != PH_ENC_BINARY)
        check_8bit(c, body);
    if (p->encoding != PH_ENC_BINARY)
        check_lines(c, body);
}

int ph_mime_check(struct ph_arena *arena, struct ph_message *m)
{
    struct check c = {.list = {.arena = arena, .m = m, .last_defect = &m->defects}};
    c.list.lim.defects = PH_MIME_DEFECTS;
    size_t before = m->defect_count;
    while (*c.list.last_defect)
        c.list.last_defect = &(*c.list.last_defect)->next;
    for (const struct ph_part *p = m->root; p; p = ph_part_next(p))
        if (p->kind == PH_PART_LEAF)
            check_part(&c, p, ph_part_body(m, p));
    size_t found = m->defect_count - before;
    return found > INT32_MAX ? INT32_MAX : (int)found;
}
