/* Looking at a message that is being built. */
#include <string.h>

#include "build_int.h"

struct ph_email *ph_email_walk(struct ph_email *root, struct ph_email *at)
{
    if (!at)
        return root;
    if (at->child)
        return at->child;
    while (at != root && !at->next)
        at = at->parent;
    return at == root ? NULL : at->next;
}

struct ph_email *ph_email_iter_parts(struct ph_email *e, struct ph_email *at)
{
    if (at)
        return at->next;
    return ph_email_is_multipart(e) ? e->child : NULL;
}

ph_str ph_email_get_content(const struct ph_email *e)
{
    return e->bytes;
}

static bool is_type(const struct ph_email *e, const char *type)
{
    return ph_str_eq(ph_email_get_content_type(e), ph_str_c(type));
}

/* The part of a related that the others belong to: the one that `start` names, else the first. */
static struct ph_email *root_of_related(struct ph_email *e)
{
    ph_str start = ph__pair_get(e->params, PH_STR("start"));
    for (struct ph_email *c = e->child; c && start.n > 2; c = c->next)
        if (ph_str_eq(c->cid, ph_str_sub(start, 1, start.n - 2)))
            return c;
    return e->child;
}

/* The next of e's parts that may be the body, in the order in which they are looked at. */
static struct ph_email *next_candidate(struct ph_email *e, struct ph_email *at)
{
    if (is_type(e, "multipart/related"))
        return at ? NULL : root_of_related(e);
    return at ? at->next : e->child;
}

/* The first body of one kind, in document order; nesting is limited by the plan, and depth here. */
static struct ph_email *find_body(struct ph_email *e, ph_str wanted, int depth)
{
    ph_str type = ph_email_get_content_type(e), word = ph_email_get_content_subtype(e);
    if (ph_email_is_attachment(e) || depth > PH_EMAIL_DEPTH)
        return NULL;
    if (ph_str_eq(word, wanted) &&
        (ph_str_has_prefix(type, PH_STR("text/")) || is_type(e, "multipart/related")))
        return e;
    if (!ph_email_is_multipart(e))
        return NULL;
    for (struct ph_email *c = next_candidate(e, NULL); c; c = next_candidate(e, c)) {
        struct ph_email *found = find_body(c, wanted, depth + 1);
        if (found)
            return found;
    }
    return NULL;
}

struct ph_email *ph_email_get_body(struct ph_email *e, const char *preference)
{
    ph_str rest = preference ? ph_str_c(preference) : PH_STR("related html plain"), word;
    while (ph_str_token(&rest, ' ', &word)) {
        ph_str wanted = ph_str_eq(word, PH_STR("plain")) || ph_str_eq(word, PH_STR("html")) ||
                                ph_str_eq(word, PH_STR("related"))
                            ? word
                            : (ph_str){0};
        struct ph_email *found = wanted.n ? find_body(e, wanted, 0) : NULL;
        if (found)
            return found;
    }
    return NULL;
}

static bool is_body_text(const struct ph_email *e)
{
    return !ph_email_is_attachment(e) && (is_type(e, "text/plain") || is_type(e, "text/html"));
}

/* In mixed the first related, alternative, plain text and HTML are the body, one of each. */
static bool was_seen_before(const struct ph_email *e, const struct ph_email *part)
{
    for (const struct ph_email *c = e->child; c != part; c = c->next)
        if (!ph_email_is_attachment(c) &&
            ph_str_eq(ph_email_get_content_type(c), ph_email_get_content_type(part)))
            return true;
    return false;
}

static bool is_body_of(struct ph_email *e, const struct ph_email *part)
{
    if (is_type(e, "multipart/related"))
        return part == root_of_related(e);
    if (is_type(e, "multipart/alternative"))
        return true;
    bool may = is_body_text(part) || is_type(part, "multipart/related") ||
               is_type(part, "multipart/alternative");
    return may && !ph_email_is_attachment(part) && !was_seen_before(e, part);
}

struct ph_email *ph_email_iter_attachments(struct ph_email *e, struct ph_email *at)
{
    do
        at = ph_email_iter_parts(e, at);
    while (at && is_body_of(e, at));
    return at;
}
