/* Mailing list fields (RFC 2369, 2919, 8058), and cid: and mid: URLs (RFC 2392). */
#include "codec.h"
#include "mime_int.h"

/* The inside of the next pair of angle brackets outside comments, white space removed. */
static int next_url(struct ph_arena *arena, ph_str *rest, ph_str *ret)
{
    size_t n = 0;
    *ret = (ph_str){0};
    for (*rest = ph__skip_cfws(*rest); rest->n && rest->p[0] != '<'; *rest = ph__skip_cfws(*rest))
        *rest = ph_str_skip(*rest, 1);
    size_t close = ph_str_chr(*rest, '>');
    if (close == PH_NPOS) {
        rest->n = 0;
        return 0;
    }
    char *to = ph_arena_get(arena, close);
    if (!to)
        return -PH_ENOMEM;
    for (size_t i = 1; i < close; i++)
        if ((uint8_t)rest->p[i] > ' ')
            to[n++] = rest->p[i];
    *ret = (ph_str){to, n};
    *rest = ph_str_skip(*rest, close + 1);
    return 0;
}

static int read_urls(struct ph_arena *arena, ph_str value, struct ph_url **ret)
{
    struct ph_url **last = ret;
    for (int i = 0; i < PH_LIST_URLS && value.n; i++) {
        ph_str url;
        if (next_url(arena, &value, &url))
            return -PH_ENOMEM;
        if (url.n == 0)
            continue;
        if (!(*last = PH_ARENA_NEW(arena, struct ph_url)))
            return -PH_ENOMEM;
        (*last)->url = url;
        last = &(*last)->next;
    }
    return 0;
}

/* "phrase <id>", or the id alone as some write it. */
static int read_id(struct ph_arena *arena, ph_str value, struct ph_list *list)
{
    size_t open = ph_str_rchr(value, '<');
    ph_str rest = open == PH_NPOS ? value : ph_str_skip(value, open), id;
    if (open == PH_NPOS)
        return ph_field_unfold(arena, value, &list->id);
    if (next_url(arena, &rest, &id))
        return -PH_ENOMEM;
    list->id = id;
    ph_str phrase = ph_str_trim((ph_str){value.p, open});
    if (phrase.n >= 2 && phrase.p[0] == '"' && phrase.p[phrase.n - 1] == '"')
        phrase = ph_str_sub(phrase, 1, phrase.n - 2);
    return phrase.n ? ph_field_text(arena, phrase, &list->name) : 0;
}

static int read_field(struct ph_arena *arena, const struct ph_field *f, struct ph_list *list)
{
    const struct {
        ph_str name;
        struct ph_url **urls;
    } rows[] = {
        {PH_STR("List-Help"), &list->help},
        {PH_STR("List-Subscribe"), &list->subscribe},
        {PH_STR("List-Unsubscribe"), &list->unsubscribe},
        {PH_STR("List-Post"), &list->post},
        {PH_STR("List-Owner"), &list->owner},
        {PH_STR("List-Archive"), &list->archive},
    };
    if (ph_str_ieq(f->name, PH_STR("List-Id")))
        return list->id.p ? 0 : read_id(arena, f->value, list);
    ph_str word = ph_str_trim(ph__skip_cfws(f->value));
    if (ph_str_ieq(f->name, PH_STR("List-Unsubscribe-Post")))
        list->one_click |= ph_str_ieq(word, PH_STR("List-Unsubscribe=One-Click"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (ph_str_ieq(f->name, rows[i].name) && !*rows[i].urls) {
            list->no_post |= rows[i].urls == &list->post &&
                             ph_str_has_iprefix(word, PH_STR("NO")) &&
                             ph__skip_cfws(ph_str_skip(word, 2)).n == 0;
            return read_urls(arena, f->value, rows[i].urls);
        }
    return 0;
}

int ph_list_parse(struct ph_arena *arena, ph_str head, struct ph_list *ret)
{
    struct ph_list list = {0};
    struct ph_field f;
    while (ph_field_next(&head, &f))
        if (ph_str_has_iprefix(f.name, PH_STR("List-")) && read_field(arena, &f, &list))
            return -PH_ENOMEM;
    bool https = false;
    for (const struct ph_url *u = list.unsubscribe; u; u = u->next)
        https |= ph_str_has_iprefix(u->url, PH_STR("https:"));
    list.one_click &= https;
    *ret = list;
    return 0;
}

/* ---- cid: and mid: ---- */

/* Percent-decoded (RFC 3986 2.1), without angle brackets. */
static int read_url_id(struct ph_arena *arena, ph_str in, ph_str *ret)
{
    if (in.n == 0)
        return 0;
    char *to = ph_arena_get(arena, in.n), *p = to;
    if (!to)
        return -PH_ENOMEM;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '%' && i + 2 < in.n && ph__hex(in.p[i + 1]) >= 0 && ph__hex(in.p[i + 2]) >= 0) {
            c = (char)(ph__hex(in.p[i + 1]) << 4 | ph__hex(in.p[i + 2]));
            i += 2;
        }
        *p++ = c;
    }
    *ret = ph__without_brackets((ph_str){to, (size_t)(p - to)});
    return 0;
}

int ph_mid_parse(struct ph_arena *arena, ph_str url, struct ph_mid *ret)
{
    enum { SCHEME = 4 };
    struct ph_mid mid = {0};
    url = ph_str_trim(url);
    bool is_mid = ph_str_has_iprefix(url, PH_STR("mid:"));
    if (url.n <= SCHEME || (!is_mid && !ph_str_has_iprefix(url, PH_STR("cid:"))))
        return -PH_ESYNTAX;
    ph_str id = ph_str_skip(url, SCHEME);
    size_t slash = is_mid ? ph_str_chr(id, '/') : PH_NPOS;
    ph_str first = {id.p, slash == PH_NPOS ? id.n : slash};
    ph_str second = slash == PH_NPOS ? (ph_str){0} : ph_str_skip(id, slash + 1);
    int rc = read_url_id(arena, first, is_mid ? &mid.message_id : &mid.content_id);
    if (rc == 0)
        rc = read_url_id(arena, second, &mid.content_id);
    if (rc == 0 && mid.message_id.n == 0 && mid.content_id.n == 0)
        return -PH_ESYNTAX;
    if (rc == 0)
        *ret = mid;
    return rc;
}

static bool is_enclosed(const struct ph_part *p, const struct ph_part *top)
{
    while (p != top) {
        p = p->parent;
        if (p != top && p->kind == PH_PART_MESSAGE)
            return true;
    }
    return false;
}

const struct ph_part *ph_part_by_id(const struct ph_part *top, ph_str id)
{
    const struct ph_part *inner = NULL;
    id = ph__without_brackets(ph_str_trim(id));
    for (const struct ph_part *p = top; p && id.n; p = ph_part_next(p)) {
        if (p != top && p->depth <= top->depth)
            break;
        if (p->id.n == 0 || !ph_str_eq(ph__without_brackets(p->id), id))
            continue;
        if (!is_enclosed(p, top))
            return p;
        inner = inner ? inner : p;
    }
    return inner;
}
