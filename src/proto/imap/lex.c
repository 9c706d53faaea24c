/* Reads the small values of the grammar (RFC 9051 9) that commands and responses share. */
#include "ascii.h"
#include "imap_int.h"
#include <string.h>

bool ph__imap_bad(struct ph__imap_cur *c, const char *why)
{
    if (!c->why)
        c->why = why;
    return false;
}

bool ph__imap_too_large(struct ph__imap_cur *c)
{
    c->nomem = true;
    return ph__imap_bad(c, "the command is too large");
}

bool ph__imap_at_end(const struct ph__imap_cur *c)
{
    return c->at == c->end;
}

bool ph__imap_end(struct ph__imap_cur *c)
{
    return c->at == c->end || ph__imap_bad(c, "expected nothing more");
}

bool ph__imap_peek(const struct ph__imap_cur *c, char ch)
{
    return c->at < c->end && *c->at == ch;
}

bool ph__imap_take(struct ph__imap_cur *c, char ch)
{
    if (!ph__imap_peek(c, ch))
        return false;
    c->at++;
    return true;
}

bool ph__imap_char(struct ph__imap_cur *c, char ch)
{
    if (ph__imap_take(c, ch))
        return true;
    switch (ch) {
    case '(':
        return ph__imap_bad(c, "expected \"(\"");
    case ')':
        return ph__imap_bad(c, "expected \")\"");
    case ']':
        return ph__imap_bad(c, "expected \"]\"");
    default:
        return ph__imap_bad(c, "a character is missing");
    }
}

bool ph__imap_sp(struct ph__imap_cur *c)
{
    if (!ph__imap_take(c, ' '))
        return ph__imap_bad(c, c->at == c->end ? "an argument is missing" : "expected a space");
    while (c->lenient && ph__imap_take(c, ' ')) {
    }
    return true;
}

/* atom-specials of RFC 9051 9: ( ) { SP CTL % * " \ ] ; 8-bit bytes are not atom characters
 * either. */
static bool is_atom_char(unsigned char ch)
{
    return ch > 0x20 && ch < 0x7f && !strchr("(){%*\"\\]", ch);
}

static bool is_astring_char(unsigned char ch)
{
    return is_atom_char(ch) || ch == ']';
}

static bool is_pattern_char(unsigned char ch)
{
    return is_astring_char(ch) || ch == '%' || ch == '*';
}

static bool run(struct ph__imap_cur *c, bool (*is)(unsigned char), ph_str *ret_s)
{
    const char *from = c->at;
    while (c->at < c->end && (is((unsigned char)*c->at) || (c->lenient && *c->at & 0x80)))
        c->at++;
    if (c->at == from)
        return ph__imap_bad(c, "expected a word");
    *ret_s = (ph_str){from, (size_t)(c->at - from)};
    return true;
}

bool ph__imap_word(struct ph__imap_cur *c, ph_str *ret_atom)
{
    return run(c, is_atom_char, ret_atom);
}

bool ph__imap_keyword(struct ph__imap_cur *c, ph_str word)
{
    struct ph__imap_cur probe = *c;
    ph_str got;
    if (!ph__imap_word(&probe, &got) || !ph_str_ieq(got, word))
        return false;
    c->at = probe.at;
    return true;
}

/* Behind the opening quote; `escapes` counted by a first pass so that most strings are not
 * copied. */
static bool quoted(struct ph__imap_cur *c, ph_str *ret_s)
{
    const char *from = c->at;
    size_t escapes = 0;
    for (; c->at < c->end && *c->at != '"'; c->at++) {
        if (*c->at == '\r' || *c->at == '\n' || *c->at == '\0')
            return ph__imap_bad(c, "a quoted string may not hold CR, LF or NUL");
        if (*c->at == '\\') {
            c->at++;
            if (c->at == c->end || (*c->at != '"' && *c->at != '\\' && !c->lenient))
                return ph__imap_bad(c, "only \\\" and \\\\ may be escaped in a quoted string");
            escapes++;
        }
    }
    if (c->at == c->end)
        return ph__imap_bad(c, "a quoted string is not closed");
    ph_str s = {from, (size_t)(c->at - from)};
    c->at++;
    if (escapes) {
        char *p = ph_arena_get(c->arena, s.n - escapes + 1);
        if (!p)
            return ph__imap_too_large(c);
        size_t n = 0;
        for (size_t i = 0; i < s.n; i++) {
            i += s.p[i] == '\\';
            p[n++] = s.p[i];
        }
        s = (ph_str){p, n};
    }
    *ret_s = s;
    return true;
}

/* "{n}", "{n+}" or, streamed away, "{n\0}"; *ret_kind is '}', '+' or NUL. Stands behind CRLF
 * afterwards. */
static bool literal_head(struct ph__imap_cur *c, uint64_t *ret_size, char *ret_kind)
{
    if (!ph__imap_number(c, UINT64_MAX, ret_size))
        return false;
    *ret_kind = c->at < c->end ? *c->at : '}';
    if (*ret_kind == '+' || *ret_kind == '\0')
        c->at++;
    if (c->end - c->at < 3 || memcmp(c->at, "}\r\n", 3) != 0)
        return ph__imap_bad(c, "a literal is not well-formed");
    c->at += 3;
    return true;
}

static bool literal(struct ph__imap_cur *c, ph_str *ret_s)
{
    uint64_t size;
    char kind;
    if (!literal_head(c, &size, &kind))
        return false;
    if (kind == '\0' || size > (uint64_t)(c->end - c->at)) {
        c->cut = true;
        return ph__imap_bad(c, "a literal is not whole");
    }
    *ret_s = (ph_str){c->at, (size_t)size};
    c->at += size;
    return true;
}

bool ph__imap_streamed(struct ph__imap_cur *c, uint64_t *ret_size)
{
    struct ph__imap_cur probe = *c;
    char kind;
    uint64_t size;
    ph__imap_take(&probe, '~');
    if (!ph__imap_take(&probe, '{') || !literal_head(&probe, &size, &kind) || kind != '\0')
        return false;
    c->at = probe.at;
    *ret_size = size;
    return true;
}

bool ph__imap_string(struct ph__imap_cur *c, ph_str *ret_s)
{
    if (ph__imap_take(c, '"'))
        return quoted(c, ret_s);
    if (c->lenient)
        ph__imap_take(c, '~');
    if (ph__imap_take(c, '{'))
        return literal(c, ret_s);
    return ph__imap_bad(c, "expected a string");
}

bool ph__imap_astring(struct ph__imap_cur *c, ph_str *ret_s)
{
    if (ph__imap_peek(c, '"') || ph__imap_peek(c, '{'))
        return ph__imap_string(c, ret_s);
    return run(c, is_astring_char, ret_s);
}

bool ph__imap_nstring(struct ph__imap_cur *c, ph_str *ret_s)
{
    if (c->end - c->at >= 3 && ph_str_ieq((ph_str){c->at, 3}, PH_STR("NIL"))) {
        c->at += 3;
        *ret_s = (ph_str){NULL, 0};
        return true;
    }
    if (!ph__imap_string(c, ret_s))
        return false;
    if (!ret_s->p)
        ret_s->p = "";
    return true;
}

bool ph__imap_number(struct ph__imap_cur *c, uint64_t max, uint64_t *ret_n)
{
    const char *from = c->at;
    while (c->at < c->end && ph_is_digit(*c->at))
        c->at++;
    if (!ph_str_u64((ph_str){from, (size_t)(c->at - from)}, max, ret_n))
        return ph__imap_bad(c, from == c->at ? "expected a number" : "a number is too large");
    return true;
}

static bool set_number(struct ph__imap_cur *c, uint32_t *ret_n)
{
    if (ph__imap_take(c, '*')) {
        *ret_n = UINT32_MAX;
        return true;
    }
    uint64_t n;
    if (!ph__imap_number(c, UINT32_MAX, &n))
        return false;
    if (n == 0)
        return ph__imap_bad(c, "0 is not a message number");
    *ret_n = (uint32_t)n;
    return true;
}

bool ph__imap_set(struct ph__imap_cur *c, struct ph_imap_set *ret_set)
{
    size_t count = 1;
    if (ph__imap_take(c, '$')) {
        c->needs |= PH_IMAP_CAP(SEARCHRES);
        *ret_set = (struct ph_imap_set){.saved = true};
        return true;
    }
    for (const char *p = c->at;
         p < c->end && (*p == ',' || *p == ':' || *p == '*' || ph_is_digit(*p)); p++)
        count += *p == ',';
    struct ph_imap_range *r = ph_arena_array(c->arena, count, sizeof *r);
    if (!r)
        return ph__imap_too_large(c);
    size_t n = 0;
    do {
        if (!set_number(c, &r[n].lo))
            return ph__imap_bad(c, "expected a set of message numbers");
        r[n].hi = r[n].lo;
        if (ph__imap_take(c, ':') && !set_number(c, &r[n].hi))
            return false;
        n++;
    } while (n < count && ph__imap_take(c, ','));
    *ret_set = (struct ph_imap_set){r, n, false};
    return true;
}

bool ph__imap_mailbox_name(struct ph__imap_cur *c, ph_str wire, ph_str *ret_name)
{
    struct ph_buf b;
    if (ph_str_ieq(wire, PH_STR("INBOX"))) {
        *ret_name = PH_STR("INBOX");
        return true;
    }
    if (c->utf8 || ph_str_chr(wire, '&') == PH_NPOS) {
        for (size_t i = 0; i < wire.n && !c->utf8 && !c->lenient; i++)
            if ((unsigned char)wire.p[i] >= 0x7f || (unsigned char)wire.p[i] < 0x20)
                return ph__imap_bad(c, "a mailbox name must be in modified UTF-7");
        *ret_name = wire;
        return wire.n <= IMAP_MAILBOX_MAX || ph__imap_bad(c, "a mailbox name is too long");
    }
    ph_buf_init(&b, NULL, IMAP_MAILBOX_MAX);
    int r = ph_imap_utf7_decode(wire, &b);
    bool ok = true;
    if (r == 0) {
        *ret_name = ph_arena_copy(c->arena, ph_buf_str(&b));
        ok = ret_name->p || ph__imap_too_large(c);
    } else if (c->lenient) {
        *ret_name = wire;
    } else {
        ok = ph__imap_bad(c, r == -PH_ESYNTAX ? "a mailbox name must be in modified UTF-7"
                                              : "a mailbox name is too long");
    }
    ph_buf_done(&b);
    return ok;
}

bool ph__imap_mailbox(struct ph__imap_cur *c, ph_str *ret_name)
{
    ph_str wire;
    return ph__imap_astring(c, &wire) && ph__imap_mailbox_name(c, wire, ret_name);
}

bool ph__imap_pattern(struct ph__imap_cur *c, ph_str *ret_pattern)
{
    ph_str wire;
    bool ok = ph__imap_peek(c, '"') || ph__imap_peek(c, '{') ? ph__imap_string(c, &wire)
                                                             : run(c, is_pattern_char, &wire);
    return ok && ph__imap_mailbox_name(c, wire, ret_pattern);
}
