/*
 * The common letter, and the "cid:" references of HTML.
 *
 *   mixed( related( alternative(plain, html), pictures ), files )
 */
#include <string.h>

#include "build_int.h"

/* ---- references ---- */

static bool ends_cid(char c)
{
    return c == '"' || c == '\'' || c == ')' || c == '>' || c == '<' || c == '&' ||
           (unsigned char)c <= ' ';
}

/* The next "cid:NAME" in HTML that stands where a URL may: *ret_before is what comes before NAME.
 * The word alone ("placid: yes") is none. */
static bool next_reference(ph_str *rest, ph_str *ret_before, ph_str *ret_name)
{
    ph_str all = *rest;
    for (size_t at = 0, colon; (colon = ph_str_chr(ph_str_skip(all, at), ':')) != PH_NPOS;) {
        at += colon + 1;
        if (at < 5 || !ph_str_ieq(ph_str_sub(all, at - 4, 3), PH_STR("cid")) ||
            !strchr("\"'=(", all.p[at - 5] ? all.p[at - 5] : ' '))
            continue;
        size_t n = 0;
        while (at + n < all.n && !ends_cid(all.p[at + n]))
            n++;
        if (n == 0)
            continue;
        *ret_before = ph_str_sub(all, 0, at);
        *ret_name = ph_str_sub(all, at, n);
        *rest = ph_str_skip(all, at + n);
        return true;
    }
    return false;
}

static int not_attached(struct ph_error *reterr, ph_str name)
{
    return ph_fail(reterr, PH_ENOENT, 0, "the HTML shows cid:%.*s, which is not attached",
                   PH_FMT(ph_str_sub(name, 0, 100)));
}

static int not_shown(struct ph_error *reterr, ph_str name)
{
    return ph_fail(reterr, PH_ENOENT, 0, "the picture %.*s is not shown in the HTML",
                   PH_FMT(ph_str_sub(name, 0, 100)));
}

static bool is_html(const struct ph_email *e)
{
    return e->is_text && ph_str_eq(e->type, PH_STR("text/html"));
}

static bool has_part(struct ph_email *root, ph_str cid)
{
    struct ph_email *e = root;
    while (e && !(e->cid.n && ph_str_eq(e->cid, cid)))
        e = ph_email_walk(root, e);
    return e != NULL;
}

static bool is_shown(struct ph_email *root, ph_str cid)
{
    ph_str before, name;
    for (struct ph_email *e = root; e; e = ph_email_walk(root, e))
        for (ph_str rest = is_html(e) ? e->bytes : (ph_str){0};
             next_reference(&rest, &before, &name);)
            if (ph_str_eq(name, cid))
                return true;
    return false;
}

int ph_email_check_cids(struct ph_email *root, struct ph_error *reterr)
{
    ph_str before, name;
    for (struct ph_email *e = root; e; e = ph_email_walk(root, e)) {
        for (ph_str rest = is_html(e) ? e->bytes : (ph_str){0};
             next_reference(&rest, &before, &name);)
            if (!has_part(root, name))
                return not_attached(reterr, name);
        if (e->cid.n && ph_str_eq(e->disposition, PH_STR("inline")) && !is_shown(root, e->cid))
            return not_shown(reterr, e->cid);
    }
    return 0;
}

/* ---- the letter ---- */

struct maker {
    const struct ph_letter *letter;
    struct ph_email *root;
    ph_str *cids; /* of the pictures, as they are written */
    bool *shown;
    struct ph_error *reterr;
};

static ph_str name_of(const struct ph_content *c)
{
    size_t slash = ph_str_rchr(c->path, '/');
    return c->filename.n ? c->filename : ph_str_skip(c->path, slash == PH_NPOS ? 0 : slash + 1);
}

/* The picture that "cid:name" means: its number, its cid or its file name. */
static size_t find_picture(const struct ph_letter *l, ph_str name)
{
    uint64_t number;
    for (size_t i = 0; i < l->picture_count; i++)
        if (ph_str_eq(name, l->pictures[i].cid) || ph_str_eq(name, name_of(&l->pictures[i])))
            return i;
    if (ph_str_u64(name, l->picture_count, &number) && number > 0)
        return (size_t)number - 1;
    return PH_NPOS;
}

/* The HTML with the content ids in place of the names. */
static int resolve(struct maker *m, ph_str *ret_html)
{
    const struct ph_letter *l = m->letter;
    struct ph_buf out;
    ph_str rest = l->html, before, name;
    int rc = 0;
    ph_buf_init(&out, NULL, SIZE_MAX / 2);
    while (rc == 0 && next_reference(&rest, &before, &name)) {
        size_t i = find_picture(l, name);
        if (i == PH_NPOS) {
            rc = not_attached(m->reterr, name);
            break;
        }
        m->shown[i] = true;
        ph_buf_add(&out, before);
        ph_buf_add(&out, m->cids[i]);
    }
    for (size_t i = 0; i < l->picture_count && rc == 0; i++)
        if (!m->shown[i])
            rc = not_shown(m->reterr,
                           name_of(&l->pictures[i]).n ? name_of(&l->pictures[i]) : m->cids[i]);
    ph_buf_add(&out, rest);
    if (rc == 0)
        *ret_html = ph_arena_copy(m->root->arena, ph_buf_str(&out));
    if (rc == 0 && (ph_buf_err(&out) || !ret_html->p))
        rc = -PH_ENOMEM;
    ph_buf_done(&out);
    return rc;
}

static int make_cids(struct maker *m)
{
    const struct ph_letter *l = m->letter;
    struct ph_arena *arena = m->root->arena;
    m->cids = ph_arena_array(arena, l->picture_count + 1, sizeof *m->cids);
    m->shown = ph_arena_array(arena, l->picture_count + 1, sizeof *m->shown);
    if (!m->cids || !m->shown)
        return -PH_ENOMEM;
    for (size_t i = 0; i < l->picture_count; i++) {
        ph_str given = l->pictures[i].cid;
        m->cids[i] = ph_str_chr(given, '@') != PH_NPOS ? given : ph__email_new_id(m->root);
        if (!m->cids[i].p)
            return -PH_ENOMEM;
    }
    return 0;
}

static int add_fields(struct maker *m)
{
    const struct ph_letter *l = m->letter;
    const struct ph_header rows[] = {{PH_STR("From"), l->from},
                                     {PH_STR("To"), l->to},
                                     {PH_STR("Cc"), l->cc},
                                     {PH_STR("Bcc"), l->bcc},
                                     {PH_STR("Reply-To"), l->reply_to},
                                     {PH_STR("Subject"), l->subject}};
    int rc = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && rc == 0; i++)
        if (rows[i].value.n)
            rc = ph_email_add_header(m->root, rows[i].name, rows[i].value, m->reterr);
    for (size_t i = 0; i < l->header_count && rc == 0; i++)
        rc = ph_str_has_iprefix(l->headers[i].name, PH_STR("Content-"))
                 ? ph__refuse(m->reterr, l->headers[i].name, "follows from the content")
                 : ph_email_add_header(m->root, l->headers[i].name, l->headers[i].value, m->reterr);
    if (rc == 0 && !ph__email_find(m->root, PH_STR("From")))
        rc = ph_fail(m->reterr, PH_EINVAL, 0, "From is not set");
    return rc;
}

/* The plain text that goes with HTML alone. */
static int make_plain(struct maker *m, ph_str *ret)
{
    struct ph_buf plain;
    ph_buf_init(&plain, NULL, SIZE_MAX / 2);
    int rc = ph_html_text(m->letter->html, &plain);
    if (rc >= 0) {
        *ret = ph_arena_copy(m->root->arena, ph_buf_str(&plain));
        rc = ret->p ? 0 : -PH_ENOMEM;
    }
    ph_buf_done(&plain);
    return rc;
}

static int add_bodies(struct maker *m)
{
    const struct ph_letter *l = m->letter;
    ph_str plain = l->text, html;
    int rc = 0;
    if (l->html.n) {
        if (!plain.n)
            rc = make_plain(m, &plain);
        if (rc == 0)
            rc = resolve(m, &html);
    }
    bool nothing = !plain.n && !l->html.n && (l->file_count || l->picture_count);
    if (rc || nothing)
        return rc;
    rc = ph_email_set_content(m->root, PH_CONTENT(.text = plain.p ? plain : PH_STR("")), m->reterr);
    if (rc == 0 && l->html.n)
        rc = ph_email_add_alternative(
            m->root, PH_CONTENT(.text = html, .type = PH_STR("text/html")), NULL, m->reterr);
    return rc;
}

/* Pictures belong to the whole alternative, so that its plain text stays the plain one. */
static int add_pictures(struct maker *m)
{
    const struct ph_letter *l = m->letter;
    int rc = 0;
    if (l->html.n && l->picture_count)
        rc = ph__email_wrap(m->root, PH_STR("multipart/related"));
    for (size_t i = 0; i < l->picture_count && rc == 0; i++) {
        struct ph_content c = l->pictures[i];
        c.cid = m->cids[i];
        c.disposition = c.disposition.n ? c.disposition : PH_STR("inline");
        rc = l->html.n ? ph_email_add_related(m->root, &c, NULL, m->reterr)
                       : ph_email_add_attachment(m->root, &c, NULL, m->reterr);
    }
    return rc;
}

static int add_files(struct maker *m)
{
    const struct ph_letter *l = m->letter;
    bool is_alone = l->file_count == 1 && !l->picture_count && !l->text.n && !l->html.n;
    int rc = 0;
    for (size_t i = 0; i < l->file_count && rc == 0; i++) {
        struct ph_content c = l->files[i];
        c.disposition = c.disposition.n ? c.disposition : PH_STR("attachment");
        rc = is_alone ? ph_email_set_content(m->root, &c, m->reterr)
                      : ph_email_add_attachment(m->root, &c, NULL, m->reterr);
    }
    return rc;
}

int ph_letter_build(struct ph_arena *arena, const struct ph_letter *letter,
                    struct ph_email **ret_email, struct ph_error *reterr)
{
    struct maker m = {.letter = letter, .root = ph_email_new(arena), .reterr = reterr};
    if (!m.root)
        return -PH_ENOMEM;
    if (letter->picture_count + letter->file_count > PH_EMAIL_PARTS)
        return ph_fail(reterr, PH_ELIMIT, 0, "more than %d files", PH_EMAIL_PARTS);
    int rc = add_fields(&m);
    if (rc == 0)
        rc = make_cids(&m);
    if (rc == 0)
        rc = add_bodies(&m);
    if (rc == 0)
        rc = add_pictures(&m);
    if (rc == 0)
        rc = add_files(&m);
    if (rc == 0)
        *ret_email = m.root;
    return rc;
}
