/* The Content-* fields: one row each. */
#include "content.h"
#include "ascii.h"

static ph_str type_token(ph_str s)
{
    size_t n = 0;
    while (n < s.n && (uint8_t)s.p[n] > ' ' && s.p[n] != '/' && s.p[n] != ';' && s.p[n] != '(' &&
           s.p[n] != '"')
        n++;
    return (ph_str){s.p, n};
}

static int params(struct ph_arena *arena, ph_str s, struct ph_param **ret_list,
                  struct ph__content *c)
{
    struct ph__params list = {0};
    if (ph__params_parse(arena, s, &list))
        return -PH_ENOMEM;
    *ret_list = list.first;
    c->defects |= (list.malformed ? PH__PARAM_SYNTAX : 0) | (list.doubled ? PH__PARAM_TWICE : 0);
    return 0;
}

static int on_type(struct ph_arena *arena, struct ph_part *p, struct ph__content *c, ph_str raw)
{
    ph_str s = ph__skip_cfws(raw);
    ph_str type = type_token(s);
    ph_str rest = ph__skip_cfws(ph_str_skip(s, type.n));
    ph_str subtype = {0};
    if (rest.n && rest.p[0] == '/') {
        rest = ph__skip_cfws(ph_str_skip(rest, 1));
        subtype = type_token(rest);
        rest = ph_str_skip(rest, subtype.n);
    }
    if (type.n == 0 || subtype.n == 0) {
        c->defects |= PH__TYPE_SYNTAX;
    } else {
        p->type = type;
        p->subtype = subtype;
    }
    c->typed = true;
    return params(arena, rest, &p->params, c);
}

static int on_disposition(struct ph_arena *arena, struct ph_part *p, struct ph__content *c,
                          ph_str raw)
{
    ph_str s = ph__skip_cfws(raw);
    ph_str token = type_token(s);
    if (token.n)
        p->disposition = token;
    return params(arena, ph_str_skip(s, token.n), &p->disposition_params, c);
}

static int on_encoding(struct ph_arena *arena, struct ph_part *p, struct ph__content *c, ph_str raw)
{
    static const struct {
        ph_str name;
        enum ph_encoding encoding;
    } names[] = {
        {PH_STR_INIT("7bit"), PH_ENC_7BIT},           {PH_STR_INIT("8bit"), PH_ENC_8BIT},
        {PH_STR_INIT("quoted-printable"), PH_ENC_QP}, {PH_STR_INIT("base64"), PH_ENC_BASE64},
        {PH_STR_INIT("binary"), PH_ENC_BINARY},       {PH_STR_INIT("x-uuencode"), PH_ENC_UUENCODE},
        {PH_STR_INIT("uuencode"), PH_ENC_UUENCODE},   {PH_STR_INIT("x-uue"), PH_ENC_UUENCODE},
        {PH_STR_INIT("7-bit"), PH_ENC_7BIT},          {PH_STR_INIT("8-bit"), PH_ENC_8BIT},
    };
    (void)arena;
    ph_str token = type_token(ph__skip_cfws(raw));
    if (token.n == 0) {
        c->defects |= PH__ENCODING_UNKNOWN;
        return 0;
    }
    p->encoding_name = token;
    p->encoding = PH_ENC_OTHER;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && p->encoding == PH_ENC_OTHER; i++)
        if (ph_str_ieq(token, names[i].name))
            p->encoding = names[i].encoding;
    c->defects |= p->encoding == PH_ENC_OTHER ? PH__ENCODING_UNKNOWN : 0;
    return 0;
}

static int on_id(struct ph_arena *arena, struct ph_part *p, struct ph__content *c, ph_str raw)
{
    (void)c;
    return ph_field_unfold(arena, raw, &p->id);
}

static int on_description(struct ph_arena *arena, struct ph_part *p, struct ph__content *c,
                          ph_str raw)
{
    (void)c;
    return ph_field_unfold(arena, raw, &p->description);
}

static int on_md5(struct ph_arena *arena, struct ph_part *p, struct ph__content *c, ph_str raw)
{
    (void)c;
    return ph_field_unfold(arena, raw, &p->md5);
}

static int on_location(struct ph_arena *arena, struct ph_part *p, struct ph__content *c, ph_str raw)
{
    (void)c;
    return ph_field_unfold(arena, raw, &p->location);
}

/* Tags and commas only: comments and white space are left out. */
static int on_language(struct ph_arena *arena, struct ph_part *p, struct ph__content *c, ph_str raw)
{
    (void)c;
    char *to = ph_arena_get(arena, raw.n), *from = to;
    if (!to)
        return -PH_ENOMEM;
    for (ph_str s = ph__skip_cfws(raw); s.n; s = ph__skip_cfws(ph_str_skip(s, 1)))
        if ((uint8_t)s.p[0] > ' ')
            *to++ = s.p[0];
    if (to > from)
        p->language = (ph_str){from, (size_t)(to - from)};
    return 0;
}

static const struct {
    ph_str name; /* behind "Content-" */
    int (*read)(struct ph_arena *, struct ph_part *, struct ph__content *, ph_str);
} fields[] = {
    {PH_STR_INIT("Type"), on_type},
    {PH_STR_INIT("Transfer-Encoding"), on_encoding},
    {PH_STR_INIT("Disposition"), on_disposition},
    {PH_STR_INIT("ID"), on_id},
    {PH_STR_INIT("Description"), on_description},
    {PH_STR_INIT("MD5"), on_md5},
    {PH_STR_INIT("Location"), on_location},
    {PH_STR_INIT("Language"), on_language},
};

int ph__content_field(struct ph_arena *arena, struct ph_part *p, struct ph__content *c, ph_str name,
                      ph_str raw)
{
    enum { PREFIX = sizeof "Content-" - 1 };
    if (name.n <= PREFIX || !ph_str_has_iprefix(name, PH_STR("Content-")))
        return 0;
    name = ph_str_skip(name, PREFIX);
    for (unsigned i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (name.n != fields[i].name.n || !ph_str_ieq(name, fields[i].name))
            continue;
        if (c->seen & 1u << i) {
            c->defects |= PH__FIELD_TWICE;
            return 0;
        }
        c->seen |= 1u << i;
        return fields[i].read(arena, p, c, raw);
    }
    return 0;
}

static bool cut_number(ph_str *s, unsigned *ret)
{
    enum { MOST = 99999 };
    uint64_t v;
    size_t n = 0;
    *s = ph__skip_cfws(*s);
    while (n < s->n && ph_is_digit(s->p[n]))
        n++;
    if (n == 0 || !ph_str_u64((ph_str){s->p, n}, MOST, &v))
        return false;
    *ret = (unsigned)v;
    *s = ph__skip_cfws(ph_str_skip(*s, n));
    return true;
}

int ph_mime_version(ph_str raw, unsigned *ret_major, unsigned *ret_minor)
{
    unsigned major, minor;
    if (!cut_number(&raw, &major) || raw.n == 0 || raw.p[0] != '.')
        return -PH_ESYNTAX;
    raw = ph_str_skip(raw, 1);
    if (!cut_number(&raw, &minor) || raw.n)
        return -PH_ESYNTAX;
    *ret_major = major;
    *ret_minor = minor;
    return 0;
}
