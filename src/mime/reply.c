/* To whom an answer goes, and where it belongs in the thread. */
#include <string.h>

#include "build_int.h"
#include "codec.h"
#include "reply_int.h"
#include "utf8.h"

struct maker {
    struct ph_arena *arena;
    struct ph_message *m;
    const struct ph_reply *reply;
    struct ph_envelope *of;
    struct ph_email *to;
    struct ph_address *own;
    struct ph_error *reterr;
    const struct ph_address *done[PH_REPLY_RECIPIENTS]; /* who gets it */
    size_t count;
    bool to_own; /* nobody else is left */
};

/* ---- addresses ---- */

/* UTF-8 without controls. */
static void add_clean(struct ph_buf *out, ph_str s, bool quoted)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (quoted && (c == '"' || c == '\\'))
            ph_buf_addc(out, '\\');
        ph_buf_addc(out, c < 32 || c == 127 ? ' ' : (char)c);
    }
}

int ph__reply_address(struct ph_arena *arena, const struct ph_address *a, struct ph_buf *out)
{
    ph_str name = {0};
    int rc = a->name.n ? ph_field_text(arena, a->name, &name) : 0;
    if (rc)
        return rc;
    if (name.n) {
        ph_buf_addc(out, '"');
        add_clean(out, name, true);
        ph_buf_add(out, PH_STR("\" "));
    }
    ph_buf_addc(out, '<');
    ph_address_write(out, a->local, a->host);
    ph_buf_addc(out, '>');
    return ph_buf_err(out);
}

static bool is_same(const struct ph_address *a, const struct ph_address *b)
{
    return ph_str_ieq(a->local, b->local) && ph_str_ieq(a->host, b->host);
}

static bool is_in(const struct ph_address *list, const struct ph_address *a)
{
    for (; list; list = list->next)
        if (list->kind == PH_ADDRESS_MAILBOX && is_same(list, a))
            return true;
    return false;
}

static bool is_done(const struct maker *m, const struct ph_address *a)
{
    for (size_t i = 0; i < m->count; i++)
        if (is_same(m->done[i], a))
            return true;
    return false;
}

/* Whether the address can be written at all; it is tried, and the memory given back. */
static int try(struct maker *m, ph_str field, ph_str address)
{
    struct ph_mark mark = ph_arena_mark(m->arena);
    struct ph_email *scratch = ph_email_new(m->arena);
    int rc = scratch ? ph_email_add_header(scratch, field, address, NULL) : -PH_ENOMEM;
    ph_arena_back(m->arena, mark);
    return rc;
}

/* Adds those of a list that can be written, are not there yet and not one's own. */
static int add_all(struct maker *m, ph_str field, const struct ph_address *list)
{
    struct ph_buf all, one;
    int rc = 0;
    ph_buf_init(&all, NULL, PH_EMAIL_VALUE);
    ph_buf_init(&one, NULL, PH_EMAIL_VALUE);
    for (; list && rc == 0 && m->count < PH_REPLY_RECIPIENTS; list = list->next) {
        if (list->kind != PH_ADDRESS_MAILBOX || list->host.n == 0 || is_done(m, list) ||
            (!m->to_own && is_in(m->own, list)))
            continue;
        ph_buf_clear(&one);
        rc = ph__reply_address(m->arena, list, &one);
        if (rc == 0)
            rc = try(m, field, ph_buf_str(&one));
        if (rc == 0) {
            m->done[m->count++] = list;
            ph_buf_add(&all, all.n ? PH_STR(", ") : PH_STR(""));
            ph_buf_add(&all, ph_buf_str(&one));
        }
        if (rc == -PH_EINVAL || rc == -PH_ELIMIT) /* left out */
            rc = 0;
    }
    if (rc == 0 && all.n)
        rc = ph_buf_err(&all) ? ph_buf_err(&all)
                              : ph_email_add_header(m->to, field, ph_buf_str(&all), m->reterr);
    ph_buf_done(&all);
    ph_buf_done(&one);
    return rc;
}

static int read_field(struct maker *m, ph_str name, struct ph_address **ret)
{
    struct ph_field f;
    *ret = NULL;
    if (!ph_field_find(m->m->root->head, name, 0, &f))
        return 0;
    int rc = ph_address_parse(m->arena, f.value, ret);
    return rc < 0 ? rc : 0;
}

/* The address of "List-Post: <mailto:...>"; *ret NULL when there is none. */
static int list_post(struct maker *m, struct ph_address **ret)
{
    struct ph_list list;
    int rc = ph_list_parse(m->arena, m->m->root->head, &list);
    *ret = NULL;
    for (const struct ph_url *u = rc || list.no_post ? NULL : list.post; u && rc == 0;
         u = u->next) {
        if (!ph_str_has_iprefix(u->url, PH_STR("mailto:")))
            continue;
        ph_str url = ph_str_skip(u->url, 7);
        url = ph_str_sub(url, 0, ph_str_chr(url, '?'));
        char *p = ph_arena_cstr(m->arena, url);
        size_t n = 0;
        for (size_t i = 0; p && i < url.n; i++) {
            bool escape =
                p[i] == '%' && i + 2 < url.n && ph__hex(p[i + 1]) >= 0 && ph__hex(p[i + 2]) >= 0;
            p[n++] = escape ? (char)(ph__hex(p[i + 1]) << 4 | ph__hex(p[i + 2])) : p[i];
            i += escape ? 2 : 0;
        }
        rc = p ? ph_address_parse(m->arena, (ph_str){p, n}, ret) : -PH_ENOMEM;
        return rc < 0 ? rc : 0;
    }
    return rc;
}

/* Where an answer to the sender goes. */
static int find_sender(struct maker *m, struct ph_address **ret)
{
    struct ph_address *list, *wanted;
    int rc = read_field(m, PH_STR("Mail-Reply-To"), ret);
    if (rc || *ret)
        return rc;
    if ((rc = list_post(m, &list)) || (rc = read_field(m, PH_STR("Reply-To"), &wanted)))
        return rc;
    bool by_list = list && wanted && !wanted->next && is_same(list, wanted);
    *ret = wanted && !(by_list && m->reply->to == PH_REPLY_SENDER) ? wanted : m->of->from;
    return 0;
}

static int add_recipients(struct maker *m)
{
    struct ph_address *sender, *followup = NULL;
    bool all = m->reply->to == PH_REPLY_ALL;
    int rc = 0;
    if (m->reply->to == PH_REPLY_LIST)
        return (rc = list_post(m, &sender)) ? rc : add_all(m, PH_STR("To"), sender);
    if (all && (rc = read_field(m, PH_STR("Mail-Followup-To"), &followup)))
        return rc;
    if (followup && (rc = add_all(m, PH_STR("To"), followup)))
        return rc;
    if (m->count)
        return 0;
    if ((rc = find_sender(m, &sender)))
        return rc;
    bool is_own = sender && is_in(m->own, sender); /* going on with an own letter */
    rc = add_all(m, PH_STR("To"), is_own ? m->of->to : sender);
    if (rc == 0 && all && !is_own)
        rc = add_all(m, PH_STR("Cc"), m->of->to);
    if (rc == 0 && all)
        rc = add_all(m, PH_STR("Cc"), m->of->cc);
    if (rc == 0 && m->count == 0) {
        m->to_own = true;
        rc = add_all(m, PH_STR("To"), sender);
    }
    return rc;
}

static int read_own(struct maker *m)
{
    struct ph_buf all;
    ph_buf_init(&all, NULL, PH_EMAIL_VALUE);
    ph_buf_add(&all, m->reply->from);
    for (size_t i = 0; i < m->reply->own_count; i++) {
        ph_buf_add(&all, PH_STR(", "));
        ph_buf_add(&all, m->reply->own[i]);
    }
    ph_str kept = ph_buf_err(&all) ? (ph_str){0} : ph_arena_copy(m->arena, ph_buf_str(&all));
    int rc = ph_buf_err(&all) ? ph_buf_err(&all) : -PH_ENOMEM;
    ph_buf_done(&all);
    if (kept.p)
        rc = ph_address_parse(m->arena, kept, &m->own);
    return rc < 0 ? rc : 0;
}

/* ---- the thread (RFC 5322 3.6.4) ---- */

static bool is_id(ph_str id)
{
    return id.n > 2 && id.n < 900 && ph__is_printable(id) && ph_str_chr(id, ' ') == PH_NPOS &&
           ph_str_chr(id, '\t') == PH_NPOS;
}

static bool next_id(ph_str *rest, ph_str *ret)
{
    while (ph_id_next(rest, ret))
        if (is_id(*ret))
            return true;
    return false;
}

/* The first id and the last ones. */
static void add_references(struct ph_buf *out, ph_str raw)
{
    ph_str last[PH_REPLY_REFERENCES], id;
    size_t n = 0;
    for (ph_str rest = raw; next_id(&rest, &id); n++)
        last[n < PH_REPLY_REFERENCES ? n : 1 + (n - 1) % (PH_REPLY_REFERENCES - 1)] = id;
    size_t kept = n < PH_REPLY_REFERENCES ? n : PH_REPLY_REFERENCES;
    for (size_t i = 0; i < kept; i++) {
        size_t from = n <= PH_REPLY_REFERENCES || i == 0
                          ? i
                          : 1 + (n - 1 + i - 1) % (PH_REPLY_REFERENCES - 1);
        if (out->n)
            ph_buf_addc(out, ' ');
        ph_buf_add(out, last[from]);
    }
}

static size_t count_ids(ph_str raw)
{
    size_t n = 0;
    for (ph_str id; next_id(&raw, &id);)
        n++;
    return n;
}

static int add_thread(struct maker *m)
{
    ph_str rest = m->of->message_id, id, before = m->of->references;
    struct ph_buf text;
    int rc = 0;
    if (!next_id(&rest, &id))
        return 0;
    if (count_ids(before) == 0)
        before = count_ids(m->of->in_reply_to) == 1 ? m->of->in_reply_to : (ph_str){0};
    ph_buf_init(&text, NULL, PH_EMAIL_VALUE);
    add_references(&text, before);
    if (text.n)
        ph_buf_addc(&text, ' ');
    ph_buf_add(&text, id);
    rc = ph_buf_err(&text);
    if (rc == 0)
        rc = ph_email_add_header(m->to, PH_STR("In-Reply-To"), id, m->reterr);
    if (rc == 0)
        rc = ph_email_add_header(m->to, PH_STR("References"), ph_buf_str(&text), m->reterr);
    ph_buf_done(&text);
    return rc;
}

int ph_reply_build(struct ph_arena *arena, struct ph_message *message, const struct ph_reply *reply,
                   struct ph_email **ret_email, struct ph_error *reterr)
{
    struct maker m = {
        .arena = arena, .m = message, .reply = reply, .to = ph_email_new(arena), .reterr = reterr};
    int rc = m.to ? ph_mime_envelope(arena, message->root, &m.of) : -PH_ENOMEM;
    if (rc == 0)
        rc = ph_email_add_header(m.to, PH_STR("From"), reply->from, reterr);
    if (rc == 0)
        rc = read_own(&m);
    if (rc == 0)
        rc = add_recipients(&m);
    if (rc == 0 && m.count == 0)
        rc = ph_fail(reterr, PH_ENOENT, 0, "the letter names nobody to write to");
    if (rc == 0)
        rc = ph__reply_subject(m.to, m.of->subject, PH_SUBJECT_REPLY, reply->prefix, reterr);
    if (rc == 0)
        rc = add_thread(&m);
    if (rc == 0)
        rc = ph__reply_text(m.to, message, m.of, reply, reterr);
    if (rc == 0)
        *ret_email = m.to;
    return rc;
}
