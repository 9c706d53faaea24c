/* Content-Type, Content-Disposition and Content-ID of a part that is being built. */
#include <string.h>

#include "ascii.h"
#include "build_int.h"
#include "mime_int.h"
#include "utf8.h"

enum { WORD_MOST = 200, PARAM_MOST = 50, CID_MOST = 900, BOUNDARY_MOST = 70 };

static bool is_token_char(char c)
{
    return c > 32 && c < 127 && !strchr("()<>@,;:\\\"/[]?=", c);
}

bool ph__is_token(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char(s.p[i]))
            return false;
    return s.n > 0;
}

ph_str ph__pair_get(const struct ph__pair *list, ph_str name)
{
    while (list && !ph_str_ieq(list->name, name))
        list = list->next;
    return list ? list->value : (ph_str){0};
}

int ph__pair_set(struct ph_arena *arena, struct ph__pair **list, ph_str name, ph_str value)
{
    ph_str kept = ph_arena_copy(arena, value);
    if (!kept.p)
        return -PH_ENOMEM;
    while (*list && !ph_str_ieq((*list)->name, name))
        list = &(*list)->next;
    if (!*list) {
        struct ph__pair *p = PH_ARENA_NEW(arena, struct ph__pair);
        if (!p || !(p->name = ph_arena_copy(arena, name)).p)
            return -PH_ENOMEM;
        *list = p;
    }
    (*list)->value = kept;
    return 0;
}

static bool is_type(ph_str s)
{
    size_t slash = ph_str_chr(s, '/');
    return slash != PH_NPOS && ph__is_token((ph_str){s.p, slash}) &&
           ph__is_token(ph_str_skip(s, slash + 1));
}

static ph_str lower(struct ph_arena *arena, ph_str s)
{
    char *p = ph_arena_cstr(arena, s);
    for (size_t i = 0; p && i < s.n; i++)
        p[i] = ph_lower(p[i]);
    return (ph_str){p, p ? s.n : 0};
}

/* The parameters of a value as it is typed, none of them broken. */
static int read_params(struct ph_arena *arena, ph_str s, struct ph__pair **ret,
                       struct ph_error *reterr)
{
    struct ph__params read = {0};
    int rc = ph__params_parse(arena, s, &read);
    for (const struct ph_param *p = read.first; p && rc == 0; p = p->next) {
        if (!ph__is_token(p->name) || p->name.n > PARAM_MOST)
            read.malformed = true;
        else
            rc = ph__pair_set(arena, ret, p->name, p->value);
    }
    if (rc == 0 && read.malformed)
        rc =
            ph_fail(reterr, PH_EINVAL, 0, "not parameters: \"%.*s\"", PH_FMT(ph_str_sub(s, 0, 80)));
    return rc;
}

int ph__read_typed(struct ph_arena *arena, ph_str s, bool wants_type, ph_str *ret_word,
                   struct ph__pair **ret_list, struct ph_error *reterr)
{
    struct ph__pair *list = NULL;
    size_t semi = ph_str_chr(s, ';');
    ph_str word = ph_str_trim(ph_str_sub(s, 0, semi));
    if (s.n > PH_EMAIL_VALUE || word.n > WORD_MOST || !ph__is_one_line(s) || !ph_utf8_is_valid(s) ||
        !(wants_type ? is_type(word) : ph__is_token(word)))
        return ph_fail(reterr, PH_EINVAL, 0, "not a %s: \"%.*s\"",
                       wants_type ? "media type" : "disposition", PH_FMT(ph_str_sub(s, 0, 80)));
    int rc = semi == PH_NPOS ? 0 : read_params(arena, ph_str_skip(s, semi), &list, reterr);
    ph_str kept = rc ? (ph_str){0} : lower(arena, word);
    if (rc == 0 && !kept.p)
        rc = -PH_ENOMEM;
    if (rc == 0) {
        *ret_word = kept;
        *ret_list = list;
    }
    return rc;
}

static int set_cid(struct ph_email *e, ph_str value, struct ph_error *reterr)
{
    ph_str id = ph_str_trim(value);
    if (id.n >= 2 && id.p[0] == '<' && id.p[id.n - 1] == '>')
        id = ph_str_sub(id, 1, id.n - 2);
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] <= ' ' || id.p[i] > 126 || id.p[i] == '<' || id.p[i] == '>')
            return ph_fail(reterr, PH_EINVAL, 0, "not a content id: letters, digits, '.' and '@'");
    if (id.n == 0 || id.n > CID_MOST)
        return ph_fail(reterr, PH_EINVAL, 0, "a content id is empty or too long");
    ph_str kept = ph_arena_copy(e->arena, id);
    if (!kept.p)
        return -PH_ENOMEM;
    e->cid = kept;
    return 0;
}

static int set_type(struct ph_email *e, ph_str value, struct ph_error *reterr)
{
    ph_str type;
    struct ph__pair *params;
    int rc = ph__read_typed(e->arena, value, true, &type, &params, reterr);
    if (rc)
        return rc;
    if (e->child ? ph__is_multipart_type(type) != ph_email_is_multipart(e)
                 : ph__is_multipart_type(type) && e->has_content)
        return ph_fail(reterr, PH_EINVAL, 0, "%.*s does not fit what the part holds", PH_FMT(type));
    if (ph__pair_get(params, PH_STR("charset")).p && e->is_text)
        return ph_fail(reterr, PH_EINVAL, 0, "the charset of a text follows from the text");
    if (ph__pair_get(params, PH_STR("boundary")).p)
        return ph_fail(reterr, PH_EINVAL, 0, "boundaries are chosen: see ph_email_set_boundary");
    e->type = type;
    e->params = params;
    return 0;
}

int ph__set_own(struct ph_email *e, ph_str name, ph_str value, struct ph_error *reterr)
{
    if (ph_str_ieq(name, PH_STR("Content-Type")))
        return set_type(e, value, reterr);
    if (ph_str_ieq(name, PH_STR("Content-ID")))
        return set_cid(e, value, reterr);
    return ph__read_typed(e->arena, value, false, &e->disposition, &e->disposition_params, reterr);
}

/* ---- asking ---- */

static const ph_str type_field = PH_STR_INIT("Content-Type"),
                    disposition_field = PH_STR_INIT("Content-Disposition");

ph_str ph_email_get_content_type(const struct ph_email *e)
{
    return e->type.n ? e->type : PH_STR("text/plain");
}

ph_str ph_email_get_content_maintype(const struct ph_email *e)
{
    ph_str type = ph_email_get_content_type(e);
    return ph_str_sub(type, 0, ph_str_chr(type, '/'));
}

ph_str ph_email_get_content_subtype(const struct ph_email *e)
{
    ph_str type = ph_email_get_content_type(e);
    return ph_str_skip(type, ph_str_chr(type, '/') + 1);
}

ph_str ph_email_get_content_disposition(const struct ph_email *e)
{
    return e->disposition;
}

ph_str ph_email_get_filename(const struct ph_email *e)
{
    ph_str name = ph__pair_get(e->disposition_params, PH_STR("filename"));
    return name.p ? name : ph__pair_get(e->params, PH_STR("name"));
}

bool ph__is_multipart_type(ph_str type)
{
    return ph_str_has_prefix(type, PH_STR("multipart/"));
}

bool ph_email_is_multipart(const struct ph_email *e)
{
    return ph__is_multipart_type(e->type);
}

bool ph_email_is_attachment(const struct ph_email *e)
{
    return ph_str_eq(e->disposition, PH_STR("attachment"));
}

static struct ph__pair **params_of(struct ph_email *e, ph_str header)
{
    return ph_str_ieq(header, type_field)          ? &e->params
           : ph_str_ieq(header, disposition_field) ? &e->disposition_params
                                                   : NULL;
}

ph_str ph_email_get_param(const struct ph_email *e, ph_str header, ph_str name)
{
    const struct ph__pair *list = ph_str_ieq(header, type_field)          ? e->params
                                  : ph_str_ieq(header, disposition_field) ? e->disposition_params
                                                                          : NULL;
    return ph__pair_get(list, name);
}

int ph_email_set_param(struct ph_email *e, ph_str header, ph_str name, ph_str value,
                       struct ph_error *reterr)
{
    struct ph__pair **list = params_of(e, header);
    bool chosen = list == &e->params && ((e->is_text && ph_str_ieq(name, PH_STR("charset"))) ||
                                         ph_str_ieq(name, PH_STR("boundary")));
    if (!list)
        return ph__refuse(reterr, header, "has no parameters that can be set");
    if (!ph__is_token(name) || name.n > PARAM_MOST || chosen)
        return ph__refuse(reterr, name, "this parameter cannot be set");
    if (!ph__is_one_line(value) || !ph_utf8_is_valid(value) || value.n > PH_EMAIL_VALUE)
        return ph__refuse(reterr, name, "a line break, NUL, or not UTF-8 in the value");
    if (list == &e->disposition_params && !e->disposition.n)
        return ph__refuse(reterr, header, "is not set");
    return ph__pair_set(e->arena, list, name, value);
}

int ph_email_del_param(struct ph_email *e, ph_str header, ph_str name)
{
    struct ph__pair **list = params_of(e, header);
    while (list && *list && !ph_str_ieq((*list)->name, name))
        list = &(*list)->next;
    if (!list || !*list)
        return 0;
    *list = (*list)->next;
    return 1;
}

int ph_email_set_boundary(struct ph_email *e, ph_str boundary, struct ph_error *reterr)
{
    static const char allowed[] = "'()+_,-./:=? ";
    if (!ph_email_is_multipart(e))
        return ph_fail(reterr, PH_EINVAL, 0, "only a multipart has a boundary");
    for (size_t i = 0; i < boundary.n; i++) {
        char c = boundary.p[i];
        if (!ph_is_alnum(c) && (!c || !strchr(allowed, c)))
            return ph_fail(reterr, PH_EINVAL, 0, "not a boundary (RFC 2046 5.1.1)");
    }
    if (boundary.n == 0 || boundary.n > BOUNDARY_MOST || boundary.p[boundary.n - 1] == ' ')
        return ph_fail(reterr, PH_EINVAL, 0, "a boundary has 1 to 70 characters, no space last");
    return ph__pair_set(e->arena, &e->params, PH_STR("boundary"), boundary);
}
