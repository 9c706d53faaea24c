/* Contents, and the tree they make. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "build_int.h"
#include "utf8.h"

struct ph_email *ph_email_new(struct ph_arena *arena)
{
    struct ph_email *e = PH_ARENA_NEW(arena, struct ph_email);
    if (e)
        e->arena = arena;
    return e;
}

struct ph_email *ph__email_root(struct ph_email *e)
{
    while (e->parent)
        e = e->parent;
    return e;
}

void ph__email_put_child(struct ph_email *parent, struct ph_email *child)
{
    child->parent = parent;
    child->next = NULL;
    if (parent->last_child)
        parent->last_child->next = child;
    else
        parent->child = child;
    parent->last_child = child;
}

void ph_email_clear_content(struct ph_email *e)
{
    for (struct ph_email *c = e->child; c; c = c->next)
        c->parent = NULL;
    e->child = e->last_child = NULL;
    e->type = e->disposition = e->cid = e->bytes = e->path = (ph_str){0};
    e->params = e->disposition_params = NULL;
    e->source = NULL;
    e->has_content = e->is_text = false;
    for (struct ph__field **at = &e->fields; *at;) {
        bool is_content = ph_str_has_iprefix((*at)->name, PH_STR("Content-"));
        e->field_count -= is_content;
        if (is_content)
            *at = (*at)->next;
        else
            at = &(*at)->next;
    }
}

void ph_email_clear(struct ph_email *e)
{
    ph_email_clear_content(e);
    e->fields = NULL;
    e->field_count = 0;
    e->recipients_known = false;
}

/* ---- one content ---- */

/* The last component of a path. */
static ph_str base_name(ph_str path)
{
    size_t slash = ph_str_rchr(path, '/');
    return slash == PH_NPOS ? path : ph_str_skip(path, slash + 1);
}

static int check_content(const struct ph_content *c, struct ph_error *reterr)
{
    int given = (c->text.p != NULL) + (c->bytes.n > 0) + (c->path.n > 0) + (c->source != NULL) +
                (c->message != NULL);
    if (given > 1)
        return ph_fail(reterr, PH_EINVAL, 0, "more than one of text, bytes, path, source, message");
    if (!ph_utf8_is_valid(c->text))
        return ph_fail(reterr, PH_EINVAL, 0, "the text is not UTF-8");
    if (!ph__is_one_line(c->filename) || !ph__is_one_line(c->path))
        return ph_fail(reterr, PH_EINVAL, 0, "a line break or NUL in a file name");
    if (!ph_utf8_is_valid(c->filename) || (!c->filename.n && !ph_utf8_is_valid(c->path)))
        return ph_fail(reterr, PH_EINVAL, 0, "a file name is not UTF-8");
    if (c->filename.n > PH_EMAIL_VALUE || c->path.n > PH_EMAIL_VALUE)
        return ph_fail(reterr, PH_ELIMIT, 0, "a file name is too long");
    if (c->encoding != PH_ENC_7BIT && c->encoding != PH_ENC_QP && c->encoding != PH_ENC_BASE64)
        return ph_fail(reterr, PH_EINVAL, 0, "only quoted-printable or base64 can be asked for");
    if (c->message && (c->message->parent || ph__email_root(c->message) != c->message))
        return ph_fail(reterr, PH_EINVAL, 0, "the message is part of another one already");
    return 0;
}

static ph_str default_type(const struct ph_content *c, ph_str filename)
{
    ph_str by_name = ph__type_by_name(filename);
    return c->message  ? PH_STR("message/rfc822")
           : c->text.p ? PH_STR("text/plain")
           : by_name.n ? by_name
                       : PH_STR("application/octet-stream");
}

/* An entity that has the content and nothing else; checked, in the arena. */
static int make_leaf(struct ph_arena *arena, const struct ph_content *c, ph_str disposition,
                     struct ph_email *leaf, struct ph_error *reterr)
{
    int rc = check_content(c, reterr);
    if (rc)
        return rc;
    ph_str name = c->filename.n ? c->filename : base_name(c->path);
    ph_str type = c->type.n ? c->type : default_type(c, name);
    *leaf = (struct ph_email){.arena = arena,
                              .bytes = c->text.p ? c->text : c->bytes,
                              .source = c->source,
                              .wanted = c->encoding,
                              .is_text = c->text.p != NULL};
    leaf->path = c->path.n ? ph_arena_copy(arena, c->path) : c->path;
    if (c->path.n && !leaf->path.p)
        return -PH_ENOMEM;
    if (c->path.n && access(leaf->path.p, R_OK) != 0)
        return ph_fail(reterr, PH_EIO, errno, "the file %.*s cannot be read: %s", PH_FMT(c->path),
                       strerror(errno));
    if ((rc = ph__set_own(leaf, PH_STR("Content-Type"), type, reterr)))
        return rc;
    if (ph_email_is_multipart(leaf))
        return ph_fail(reterr, PH_EINVAL, 0, "%.*s is made of parts: ph_mime_multipart",
                       PH_FMT(leaf->type));
    if (c->disposition.n)
        disposition = c->disposition;
    else if (!disposition.n && name.n)
        disposition = PH_STR("attachment");
    if (disposition.n)
        rc = ph__set_own(leaf, PH_STR("Content-Disposition"), disposition, reterr);
    if (rc == 0 && name.n)
        rc = ph__pair_set(arena, &leaf->disposition_params, PH_STR("filename"), name);
    if (rc == 0 && c->cid.n)
        rc = ph__set_own(leaf, PH_STR("Content-ID"), c->cid, reterr);
    leaf->has_content = true;
    return rc;
}

static void take_content(struct ph_email *e, const struct ph_email *from)
{
    e->type = from->type;
    e->params = from->params;
    e->disposition = from->disposition;
    e->disposition_params = from->disposition_params;
    e->cid = from->cid;
    e->bytes = from->bytes;
    e->path = from->path;
    e->source = from->source;
    e->wanted = from->wanted;
    e->is_text = from->is_text;
    e->has_content = from->has_content;
}

static bool is_below(const struct ph_email *e, const struct ph_email *top)
{
    while (e && e != top)
        e = e->parent;
    return e != NULL;
}

static int set_content(struct ph_email *e, const struct ph_content *c, ph_str disposition,
                       struct ph_error *reterr)
{
    struct ph_email leaf;
    if (c->message && is_below(e, c->message))
        return ph_fail(reterr, PH_EINVAL, 0, "a message cannot hold itself");
    int rc = make_leaf(e->arena, c, disposition, &leaf, reterr);
    if (rc)
        return rc;
    ph_email_clear_content(e);
    take_content(e, &leaf);
    if (c->message)
        ph__email_put_child(e, c->message);
    return 0;
}

int ph_email_set_content(struct ph_email *e, const struct ph_content *c, struct ph_error *reterr)
{
    return set_content(e, c, (ph_str){0}, reterr);
}

/* ---- multiparts ---- */

/* Related inside alternative inside mixed: the later may hold the earlier. */
static const ph_str kinds[] = {PH_STR_INIT("multipart/related"),
                               PH_STR_INIT("multipart/alternative"),
                               PH_STR_INIT("multipart/mixed")};

enum { RELATED, ALTERNATIVE, MIXED, KINDS };

/* What the entity says, with its Content-* fields, becomes a part of its own. */
static struct ph_email *move_content(struct ph_email *e)
{
    struct ph_email *part = ph_email_new(e->arena);
    if (!part)
        return NULL;
    take_content(part, e);
    for (struct ph_email *c = e->child; c; c = c->next)
        c->parent = part;
    part->child = e->child;
    part->last_child = e->last_child;
    struct ph__field **to = &part->fields;
    for (struct ph__field **at = &e->fields; *at;) {
        if (!ph_str_has_iprefix((*at)->name, PH_STR("Content-"))) {
            at = &(*at)->next;
            continue;
        }
        *to = *at;
        *at = (*at)->next;
        *(to = &(*to)->next) = NULL;
        e->field_count--;
        part->field_count++;
    }
    return part;
}

int ph__email_wrap(struct ph_email *e, ph_str type)
{
    bool is_empty = !e->has_content && !e->child && !e->type.n;
    struct ph_email *part = is_empty ? NULL : move_content(e);
    if (!is_empty && !part)
        return -PH_ENOMEM;
    e->child = e->last_child = NULL;
    take_content(e, &(struct ph_email){.type = type});
    if (part)
        ph__email_put_child(e, part);
    return 0;
}

static int make_multipart(struct ph_email *e, int kind, struct ph_error *reterr)
{
    for (int i = kind; i < KINDS; i++)
        if (ph_str_eq(e->type, kinds[i]))
            return ph_fail(reterr, PH_EINVAL, 0, "%.*s cannot become %.*s", PH_FMT(e->type),
                           PH_FMT(kinds[kind]));
    if (e->is_leaf)
        return ph_fail(reterr, PH_EINVAL, 0, "a part of one type takes no parts");
    return ph__email_wrap(e, kinds[kind]);
}

int ph_email_make_related(struct ph_email *e, struct ph_error *reterr)
{
    return make_multipart(e, RELATED, reterr);
}

int ph_email_make_alternative(struct ph_email *e, struct ph_error *reterr)
{
    return make_multipart(e, ALTERNATIVE, reterr);
}

int ph_email_make_mixed(struct ph_email *e, struct ph_error *reterr)
{
    return make_multipart(e, MIXED, reterr);
}

static int add_part(struct ph_email *e, int kind, const struct ph_content *c, ph_str disposition,
                    struct ph_email **ret_part, struct ph_error *reterr)
{
    struct ph_email *part = ph_email_new(e->arena);
    if (!part)
        return -PH_ENOMEM;
    if (c->message && is_below(e, c->message))
        return ph_fail(reterr, PH_EINVAL, 0, "a message cannot hold itself");
    int rc = set_content(part, c, disposition, reterr);
    if (rc == 0 && kind == RELATED && !ph_email_content_id(part).p)
        rc = -PH_ENOMEM;
    if (rc == 0 && !ph_str_eq(e->type, kinds[kind]))
        rc = make_multipart(e, kind, reterr);
    if (rc) {
        if (c->message && c->message->parent == part)
            c->message->parent = NULL;
        return rc;
    }
    ph__email_put_child(e, part);
    if (ret_part)
        *ret_part = part;
    return 0;
}

int ph_email_add_alternative(struct ph_email *e, const struct ph_content *c,
                             struct ph_email **ret_part, struct ph_error *reterr)
{
    return add_part(e, ALTERNATIVE, c, (ph_str){0}, ret_part, reterr);
}

int ph_email_add_related(struct ph_email *e, const struct ph_content *c, struct ph_email **ret_part,
                         struct ph_error *reterr)
{
    return add_part(e, RELATED, c, PH_STR("inline"), ret_part, reterr);
}

int ph_email_add_attachment(struct ph_email *e, const struct ph_content *c,
                            struct ph_email **ret_part, struct ph_error *reterr)
{
    return add_part(e, MIXED, c, PH_STR("attachment"), ret_part, reterr);
}

int ph_email_attach(struct ph_email *e, struct ph_email *part, struct ph_error *reterr)
{
    int rc = 0;
    if (part->parent || is_below(e, part))
        return ph_fail(reterr, PH_EINVAL, 0, "the part belongs to a message already");
    if (!e->type.n && !e->has_content)
        rc = make_multipart(e, MIXED, reterr);
    else if (!ph_email_is_multipart(e))
        rc = ph_fail(reterr, PH_EINVAL, 0, "not a multipart: ph_email_make_mixed first");
    if (rc == 0)
        ph__email_put_child(e, part);
    return rc;
}

/* ---- parts by their kind ---- */

static int make_part(struct ph_arena *arena, const struct ph_content *c, struct ph_email **ret,
                     struct ph_error *reterr)
{
    struct ph_email *e = ph_email_new(arena);
    int rc = e ? ph_email_set_content(e, c, reterr) : -PH_ENOMEM;
    if (rc)
        return rc;
    e->is_leaf = true;
    *ret = e;
    return 0;
}

int ph_mime_base(struct ph_arena *arena, ph_str type, const struct ph_content *c,
                 struct ph_email **ret_part, struct ph_error *reterr)
{
    struct ph_content content = c ? *c : (struct ph_content){0};
    content.type = type;
    return make_part(arena, &content, ret_part, reterr);
}

int ph_mime_text(struct ph_arena *arena, ph_str subtype, ph_str text, struct ph_email **ret_part,
                 struct ph_error *reterr)
{
    ph_str type = ph_arena_printf(arena, "text/%.*s", PH_FMT(subtype));
    return type.p ? make_part(arena, PH_CONTENT(.text = text.p ? text : PH_STR(""), .type = type),
                              ret_part, reterr)
                  : -PH_ENOMEM;
}

static int make_of(struct ph_arena *arena, ph_str maintype, const struct ph_content *c,
                   struct ph_email **ret_part, struct ph_error *reterr)
{
    struct ph_email *part;
    int rc = make_part(arena, c, &part, reterr);
    if (rc)
        return rc;
    if (!ph_str_eq(ph_email_get_content_maintype(part), maintype))
        return ph_fail(reterr, PH_EINVAL, 0, "%.*s is not %.*s: give its type", PH_FMT(part->type),
                       PH_FMT(maintype));
    *ret_part = part;
    return 0;
}

int ph_mime_image(struct ph_arena *arena, const struct ph_content *c, struct ph_email **ret_part,
                  struct ph_error *reterr)
{
    return make_of(arena, PH_STR("image"), c, ret_part, reterr);
}

int ph_mime_audio(struct ph_arena *arena, const struct ph_content *c, struct ph_email **ret_part,
                  struct ph_error *reterr)
{
    return make_of(arena, PH_STR("audio"), c, ret_part, reterr);
}

int ph_mime_application(struct ph_arena *arena, const struct ph_content *c,
                        struct ph_email **ret_part, struct ph_error *reterr)
{
    return make_of(arena, PH_STR("application"), c, ret_part, reterr);
}

int ph_mime_message(struct ph_arena *arena, struct ph_email *message, struct ph_email **ret_part,
                    struct ph_error *reterr)
{
    return make_part(arena, PH_CONTENT(.message = message), ret_part, reterr);
}

int ph_mime_multipart(struct ph_arena *arena, ph_str subtype, struct ph_email **ret_part,
                      struct ph_error *reterr)
{
    struct ph_email *e = ph_email_new(arena);
    ph_str type = ph_arena_printf(arena, "multipart/%.*s", PH_FMT(subtype));
    int rc = e && type.p ? ph__set_own(e, PH_STR("Content-Type"), type, reterr) : -PH_ENOMEM;
    if (rc == 0)
        *ret_part = e;
    return rc;
}
