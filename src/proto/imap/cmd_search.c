/* SEARCH (RFC 9051 6.4.4): the whole grammar of keys, into a tree of bounded depth. */
#include "imap_int.h"

enum arg {
    ARG_NONE,
    ARG_TEXT,
    ARG_DATE,
    ARG_NUMBER,
    ARG_FIELD,
    ARG_ATOM,
    ARG_SET,
    ARG_KEY,
    ARG_KEYS
};

static const struct {
    ph_str name;
    enum arg arg;
} keys[] = {
#define X(sym, wire, kind) {PH_STR_INIT(wire), ARG_##kind},
    PH_IMAP_KEYS(X)
#undef X
};
enum { KEYS = sizeof keys / sizeof keys[0] };

static bool key(struct ph__imap_cur *c, unsigned depth, struct ph_imap_search **ret_key);

static struct ph_imap_search *node(struct ph__imap_cur *c, enum ph_imap_key k)
{
    struct ph_imap_search *s = PH_ARENA_NEW(c->arena, struct ph_imap_search);
    if (!s) {
        c->nomem = true;
        ph__imap_bad(c, "the command is too large");
        return NULL;
    }
    s->key = k;
    return s;
}

/* key *(SP key), up to the end or to ")". */
static bool sequence(struct ph__imap_cur *c, unsigned depth, struct ph_imap_search *and)
{
    struct ph_imap_search **tail = &and->child;
    do {
        if (!key(c, depth, tail))
            return false;
        tail = &(*tail)->next;
    } while (ph__imap_take(c, ' '));
    return true;
}

static bool operands(struct ph__imap_cur *c, unsigned depth, struct ph_imap_search *s, int count)
{
    struct ph_imap_search **tail = &s->child;
    for (int i = 0; i < count; i++, tail = &(*tail)->next)
        if (!ph__imap_sp(c) || !key(c, depth, tail))
            return false;
    return true;
}

static bool argument(struct ph__imap_cur *c, unsigned depth, enum arg arg, struct ph_imap_search *s)
{
    switch (arg) {
    case ARG_NONE:
        return true;
    case ARG_TEXT:
        return ph__imap_sp(c) && ph__imap_astring(c, &s->value);
    case ARG_DATE:
        return ph__imap_sp(c) && ph__imap_date(c, &s->day);
    case ARG_NUMBER:
        return ph__imap_sp(c) && ph__imap_number(c, INT64_MAX, &s->number);
    case ARG_FIELD:
        return ph__imap_sp(c) && ph__imap_astring(c, &s->field) && ph__imap_sp(c) &&
               ph__imap_astring(c, &s->value);
    case ARG_ATOM:
        return ph__imap_sp(c) && ph__imap_word(c, &s->value);
    case ARG_SET:
        return ph__imap_sp(c) && ph__imap_set(c, &s->set);
    case ARG_KEY:
        return operands(c, depth, s, 1);
    case ARG_KEYS:
        return operands(c, depth, s, 2);
    }
    return false;
}

static bool key(struct ph__imap_cur *c, unsigned depth, struct ph_imap_search **ret_key)
{
    if (depth == IMAP_NEST_MAX)
        return ph__imap_bad(c, "the search is nested too deeply");
    if (ph__imap_take(c, '(')) {
        *ret_key = node(c, PH_IMAP_KEY_AND);
        return *ret_key && sequence(c, depth + 1, *ret_key) && ph__imap_char(c, ')');
    }
    if (c->at < c->end && (*c->at == '*' || (*c->at >= '0' && *c->at <= '9'))) {
        *ret_key = node(c, PH_IMAP_KEY_SEQ);
        return *ret_key && ph__imap_set(c, &(*ret_key)->set);
    }
    ph_str word;
    if (!ph__imap_word(c, &word))
        return ph__imap_bad(c, "expected a search key");
    for (int i = 0; i < KEYS; i++) {
        if (!ph_str_ieq(word, keys[i].name))
            continue;
        *ret_key = node(c, (enum ph_imap_key)i);
        return *ret_key && argument(c, depth + 1, keys[i].arg, *ret_key);
    }
    return ph__imap_bad(c, "unknown search key");
}

bool ph__imap_cmd_search(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    struct ph__imap_cur probe;
    ph_str word;
    if (!ph__imap_sp(c))
        return false;
    probe = *c;
    if (ph__imap_word(&probe, &word) && ph_str_ieq(word, PH_STR("CHARSET"))) {
        c->at = probe.at;
        if (!ph__imap_sp(c) || !ph__imap_astring(c, &cmd->search.charset) || !ph__imap_sp(c))
            return false;
    }
    struct ph_imap_search *root = node(c, PH_IMAP_KEY_AND);
    cmd->search.root = root;
    return root && sequence(c, 0, root) && ph__imap_end(c);
}
