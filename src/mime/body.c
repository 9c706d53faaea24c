/* The bodies of a message: decoded, as text, as HTML. */
#include <stdlib.h>
#include <string.h>

#include "mime_int.h"
#include "view.h"

enum { VIEW_MEMORY = 64 * 1024 * 1024 };

ph_str ph__charset_of(const struct ph_part *p)
{
    return ph__param_raw(p->params, PH_STR("charset"));
}

int ph_part_decode(const struct ph_message *m, const struct ph_part *p, struct ph_buf *out)
{
    struct ph_decoder d;
    ph_decoder_init(&d, p->encoding);
    ph_decoder_feed(&d, ph_part_body(m, p), out);
    ph_decoder_end(&d, out);
    return ph_buf_err(out);
}

/* CRLF and CR become LF, NUL a space, in place, from `at` on. */
static void plain_line_ends(struct ph_buf *b, size_t at)
{
    char *to = b->p + at;
    for (size_t i = at; i < b->n; i++) {
        char c = b->p[i];
        if (c == '\r' && i + 1 < b->n && b->p[i + 1] == '\n')
            continue;
        *to++ = c == '\r' ? '\n' : c == 0 ? ' ' : c;
    }
    b->n = (size_t)(to - b->p);
}

int ph_part_text(const struct ph_message *m, const struct ph_part *p, struct ph_buf *out)
{
    struct ph_buf raw;
    size_t at = out->n;
    ph_buf_init(&raw, out->al, SIZE_MAX / 2);
    int rc = ph_part_decode(m, p, &raw);
    if (rc == 0)
        rc = ph_charset_decode(ph__charset_of(p), ph_buf_str(&raw), out);
    ph_buf_done(&raw);
    if (rc < 0)
        return rc;
    if (out->n > at)
        plain_line_ends(out, at);
    if (ph_str_has_prefix(ph_str_skip(ph_buf_str(out), at), PH_STR("\xef\xbb\xbf"))) {
        memmove(out->p + at, out->p + at + 3, out->n - at - 3); /* a byte order mark */
        out->n -= 3;
    }
    return 0;
}

/* ---- the text to read ---- */

ph_str ph_message_charset(const struct ph_message *m)
{
    const struct ph_part *p = ph_message_text_part(m);
    return p ? ph__charset_of(p) : (ph_str){0};
}

static bool param_is(const struct ph_part *p, const char *name, const char *value)
{
    return ph_str_ieq(ph__param_raw(p->params, ph_str_c(name)), ph_str_c(value));
}

static int add_text(const struct ph_message *m, const struct ph_part *p, struct ph_buf *out)
{
    bool html = ph_part_is(p, "text", "html"), flowed = param_is(p, "format", "flowed");
    struct ph_buf raw;
    if (!html && !flowed)
        return ph_part_text(m, p, out);
    ph_buf_init(&raw, out->al, SIZE_MAX / 2);
    int rc = ph_part_text(m, p, &raw);
    if (rc == 0)
        rc = html ? ph_html_text(ph_buf_str(&raw), out)
                  : ph_flowed_decode(ph_buf_str(&raw), param_is(p, "delsp", "yes"), out);
    ph_buf_done(&raw);
    return rc;
}

static int open_view(const struct ph_message *m, struct ph_arena **ret_arena, struct ph_view *view)
{
    *ret_arena = ph_arena_new(NULL, VIEW_MEMORY);
    return *ret_arena ? ph_message_view(*ret_arena, m, view) : -PH_ENOMEM;
}

int ph_message_text(const struct ph_message *m, struct ph_buf *out)
{
    struct ph_arena *arena;
    struct ph_view view = {0};
    size_t from = out->n;
    int rc = open_view(m, &arena, &view);
    for (const struct ph_body *b = rc ? NULL : view.text; b && rc == 0; b = b->next) {
        if (out->n > from && out->p[out->n - 1] != '\n')
            ph_buf_addc(out, '\n');
        rc = add_text(m, b->part, out);
    }
    ph_arena_free(arena);
    return rc;
}

/* ---- the HTML to show ---- */

static void add_escaped(struct ph_buf *out, ph_str text)
{
    static const ph_str names[] = {['&'] = PH_STR_INIT("&amp;"),
                                   ['<'] = PH_STR_INIT("&lt;"),
                                   ['>'] = PH_STR_INIT("&gt;"),
                                   ['"'] = PH_STR_INIT("&quot;")};
    while (text.n) {
        size_t n = 0;
        while (n < text.n && ((uint8_t)text.p[n] > '>' || !names[(uint8_t)text.p[n]].p))
            n++;
        ph_buf_add(out, (ph_str){text.p, n});
        if (n < text.n)
            ph_buf_add(out, names[(uint8_t)text.p[n++]]);
        text = ph_str_skip(text, n);
    }
}

static bool ends_url(char c)
{
    return (uint8_t)c <= ' ' || c == '"' || c == '\'' || c == ')' || c == '<' || c == '>';
}

/* The parts that have an id, ordered by it: a letter may have as many pictures as references. */
struct id {
    ph_str id; /* without brackets */
    const struct ph_part *part;
};

struct links {
    struct ph_arena *arena;
    struct id *ids;
    size_t count;
    ph_html_link *link;
    void *ctx;
};

static bool is_enclosed(const struct ph_part *p)
{
    for (p = p->parent; p && p->parent; p = p->parent)
        if (p->kind == PH_PART_MESSAGE)
            return true;
    return false;
}

/* Of parts with the same id the first outside enclosed messages is meant. */
static int by_id(const void *one, const void *two)
{
    const struct id *a = one, *b = two;
    int order = ph_str_cmp(a->id, b->id);
    if (order == 0)
        order = is_enclosed(a->part) - is_enclosed(b->part);
    return order ? order : a->part->header.at < b->part->header.at ? -1 : 1;
}

static int collect_ids(const struct ph_message *m, struct links *l)
{
    l->ids = ph_arena_array(l->arena, m->part_count, sizeof *l->ids);
    if (!l->ids)
        return -PH_ENOMEM;
    for (const struct ph_part *p = m->root; p; p = ph_part_next(p))
        if (p->id.n)
            l->ids[l->count++] = (struct id){ph__without_brackets(p->id), p};
    qsort(l->ids, l->count, sizeof *l->ids, by_id);
    return 0;
}

static const struct ph_part *find_id(const struct links *l, ph_str id)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ph_str_cmp(l->ids[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->count && ph_str_eq(l->ids[low].id, id) ? l->ids[low].part : NULL;
}

/* The part that the URL at the front of s names; the URL's length in *ret_n. */
static const struct ph_part *part_of_url(const struct links *l, ph_str s, size_t *ret_n)
{
    enum { LONGEST = 1000 };
    struct ph_mark mark = ph_arena_mark(l->arena);
    struct ph_mid mid;
    size_t n = 0;
    while (n < s.n && n < LONGEST && !ends_url(s.p[n]))
        n++;
    *ret_n = n;
    bool may = n < LONGEST && ph_mid_parse(l->arena, (ph_str){s.p, n}, &mid) == 0;
    const struct ph_part *p = may ? find_id(l, mid.content_id) : NULL;
    ph_arena_back(l->arena, mark);
    return p;
}

static void add_linked(const struct links *l, ph_str html, struct ph_buf *out)
{
    enum { SCHEME = 4 };
    while (html.n && !ph_buf_err(out)) {
        size_t at = ph_str_ifind(html, PH_STR("cid:")), n = SCHEME;
        if (at == PH_NPOS)
            break;
        bool begins =
            at == 0 || ends_url(html.p[at - 1]) || html.p[at - 1] == '=' || html.p[at - 1] == '(';
        const struct ph_part *p = begins ? part_of_url(l, ph_str_skip(html, at), &n) : NULL;
        ph_buf_add(out, (ph_str){html.p, at});
        if (p)
            l->link(l->ctx, p, out);
        else
            ph_buf_add(out, ph_str_sub(html, at, n));
        html = ph_str_skip(html, at + n);
    }
    ph_buf_add(out, html);
}

static int add_html(const struct ph_message *m, const struct links *l, const struct ph_part *p,
                    struct ph_buf *out)
{
    bool html = ph_part_is(p, "text", "html");
    struct ph_buf text;
    ph_buf_init(&text, out->al, SIZE_MAX / 2);
    int rc = html ? ph_part_text(m, p, &text) : add_text(m, p, &text);
    if (rc == 0 && html && l->link) {
        add_linked(l, ph_buf_str(&text), out);
    } else if (rc == 0 && html) {
        ph_buf_add(out, ph_buf_str(&text));
    } else if (rc == 0) {
        ph_buf_add(out, PH_STR("<pre>"));
        add_escaped(out, ph_buf_str(&text));
        ph_buf_add(out, PH_STR("</pre>\n"));
    }
    ph_buf_done(&text);
    return rc ? rc : ph_buf_err(out);
}

int ph_message_html(const struct ph_message *m, ph_html_link *link, void *ctx, struct ph_buf *out)
{
    struct links l = {.link = link, .ctx = ctx};
    struct ph_view view = {0};
    int rc = open_view(m, &l.arena, &view);
    if (rc == 0)
        rc = collect_ids(m, &l);
    for (const struct ph_body *b = rc ? NULL : view.html; b && rc == 0; b = b->next)
        rc = add_html(m, &l, b->part, out);
    ph_arena_free(l.arena);
    return rc;
}
