/* ENVELOPE and BODYSTRUCTURE as a server writes them. */
#include "client_int.h"
#include "grow.h"

static bool no_memory(struct ph__imap_cur *c)
{
    c->nomem = true;
    return ph__imap_bad(c, "a response is too large");
}

static bool take_nil(struct ph__imap_cur *c)
{
    if (c->end - c->at < 3 || !ph_str_ieq((ph_str){c->at, 3}, PH_STR("NIL")))
        return false;
    c->at += 3;
    return true;
}

static bool sp_nstring(struct ph__imap_cur *c, ph_str *ret_s)
{
    return ph__imap_sp(c) && ph__imap_nstring(c, ret_s);
}

static bool one_address(struct ph__imap_cur *c, struct ph_imap_address *a)
{
    return ph__imap_char(c, '(') && ph__imap_nstring(c, &a->name) && sp_nstring(c, &a->route) &&
           sp_nstring(c, &a->mailbox) && sp_nstring(c, &a->host) && ph__imap_char(c, ')');
}

static bool addresses(struct ph__imap_cur *c, struct ph_imap_addresses *ret_l)
{
    struct ph_imap_address *a = NULL;
    size_t n = 0, room = 0;
    if (!ph__imap_sp(c))
        return false;
    if (take_nil(c))
        return true;
    if (!ph__imap_char(c, '('))
        return false;
    while (!ph__imap_take(c, ')')) {
        a = ph_grow_in(c->arena, a, n, &room, sizeof *a);
        if (!a)
            return no_memory(c);
        if (!one_address(c, &a[n++]))
            return false;
        ph__imap_take(c, ' ');
    }
    *ret_l = (struct ph_imap_addresses){a, n};
    return true;
}

bool ph__imap_resp_envelope(struct ph__imap_cur *c, struct ph_imap_envelope **ret_e)
{
    struct ph_imap_envelope *e = PH_ARENA_NEW(c->arena, struct ph_imap_envelope);
    if (!e)
        return no_memory(c);
    *ret_e = e;
    return ph__imap_char(c, '(') && ph__imap_nstring(c, &e->date) && sp_nstring(c, &e->subject) &&
           addresses(c, &e->from) && addresses(c, &e->sender) && addresses(c, &e->reply_to) &&
           addresses(c, &e->to) && addresses(c, &e->cc) && addresses(c, &e->bcc) &&
           sp_nstring(c, &e->in_reply_to) && sp_nstring(c, &e->message_id) && ph__imap_char(c, ')');
}

static bool params(struct ph__imap_cur *c, struct ph_imap_params *ret_l)
{
    struct ph_imap_param *p = NULL;
    size_t n = 0, room = 0;
    if (take_nil(c))
        return true;
    if (!ph__imap_char(c, '('))
        return false;
    while (!ph__imap_take(c, ')')) {
        p = ph_grow_in(c->arena, p, n, &room, sizeof *p);
        if (!p)
            return no_memory(c);
        if (!ph__imap_string(c, &p[n].name) || !sp_nstring(c, &p[n].value))
            return false;
        n++;
        ph__imap_take(c, ' ');
    }
    *ret_l = (struct ph_imap_params){p, n};
    return true;
}

/* SP disposition SP language SP location, each of which may be missing at the end, then anything up
 * to ")". */
static bool extension(struct ph__imap_cur *c, struct ph_imap_body *b)
{
    if (ph__imap_take(c, ' ')) {
        if (!take_nil(c) &&
            (!ph__imap_char(c, '(') || !ph__imap_nstring(c, &b->disposition) || !ph__imap_sp(c) ||
             !params(c, &b->disposition_params) || !ph__imap_char(c, ')')))
            return false;
    }
    if (ph__imap_take(c, ' ')) {
        if (ph__imap_take(c, '(')) {
            bool first = true;
            while (!ph__imap_take(c, ')')) {
                ph_str tag;
                if (!ph__imap_nstring(c, &tag))
                    return false;
                if (first)
                    b->language = tag;
                first = false;
                ph__imap_take(c, ' ');
            }
        } else if (!ph__imap_nstring(c, &b->language)) {
            return false;
        }
    }
    if (ph__imap_peek(c, ' ') && !sp_nstring(c, &b->location))
        return false;
    while (ph__imap_take(c, ' '))
        if (!ph__imap_skip_value(c))
            return false;
    return true;
}

static bool multipart(struct ph__imap_cur *c, unsigned depth, struct ph_imap_body *b)
{
    struct ph_imap_body **tail = &b->child;
    b->multipart = true;
    b->type = PH_STR("MULTIPART");
    while (ph__imap_peek(c, '(')) {
        if (!ph__imap_resp_body(c, depth + 1, tail))
            return false;
        tail = &(*tail)->next;
        if (ph__imap_peek(c, ' ') && c->end - c->at > 1 && c->at[1] == '(')
            c->at++;
    }
    if (!ph__imap_sp(c) || !ph__imap_nstring(c, &b->subtype))
        return false;
    b->brief = !ph__imap_take(c, ' ');
    return b->brief || (params(c, &b->params) && extension(c, b));
}

static bool leaf(struct ph__imap_cur *c, unsigned depth, struct ph_imap_body *b)
{
    struct ph_imap_envelope *e;
    uint64_t n;
    if (!ph__imap_nstring(c, &b->type) || !sp_nstring(c, &b->subtype) || !ph__imap_sp(c) ||
        !params(c, &b->params) || !sp_nstring(c, &b->id) || !sp_nstring(c, &b->description) ||
        !sp_nstring(c, &b->encoding) || !ph__imap_sp(c) ||
        !ph__imap_number(c, UINT64_MAX, &b->size))
        return false;
    /* message/rfc822 has an envelope next; other servers leave it away for message parts they do
     * not look into. */
    b->message = ph_str_ieq(b->type, PH_STR("MESSAGE")) && c->end - c->at > 1 && c->at[0] == ' ' &&
                 c->at[1] == '(';
    if (b->message) {
        if (!ph__imap_sp(c) || !ph__imap_resp_envelope(c, &e) || !ph__imap_sp(c) ||
            !ph__imap_resp_body(c, depth + 1, &b->child))
            return false;
        b->envelope = e;
    }
    if (b->message || ph_str_ieq(b->type, PH_STR("TEXT"))) {
        if (!ph__imap_sp(c) || !ph__imap_number(c, UINT32_MAX, &n))
            return false;
        b->lines = (uint32_t)n;
    }
    b->brief = !ph__imap_take(c, ' ');
    return b->brief || (ph__imap_nstring(c, &b->md5) && extension(c, b));
}

bool ph__imap_resp_body(struct ph__imap_cur *c, unsigned depth, struct ph_imap_body **ret_b)
{
    struct ph_imap_body *b = PH_ARENA_NEW(c->arena, struct ph_imap_body);
    if (!b)
        return no_memory(c);
    *ret_b = b;
    if (depth > IMAP_NEST_MAX)
        return ph__imap_bad(c, "a body structure is nested too deeply");
    if (!ph__imap_char(c, '('))
        return false;
    return (ph__imap_peek(c, '(') ? multipart(c, depth, b) : leaf(c, depth, b)) &&
           ph__imap_char(c, ')');
}
