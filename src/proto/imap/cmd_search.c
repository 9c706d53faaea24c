/* SEARCH (RFC 9051 6.4.4), SORT and THREAD (RFC 5256): the whole grammar of keys, into a tree of
 * bounded depth. */
#include "ascii.h"
#include "imap_int.h"

enum arg {
    ARG_NONE,
    ARG_TEXT,
    ARG_DATE,
    ARG_NUMBER,
    ARG_SECONDS, /* above zero */
    ARG_FIELD,
    ARG_ATOM,
    ARG_SET,
    ARG_MODSEQ,
    ARG_KEY,
    ARG_KEYS
};

static const struct {
    ph_str name;
    enum arg arg;
    uint64_t cap;
} keys[] = {
#define X(sym, wire, kind, cap) {PH_STR_INIT(wire), ARG_##kind, PH_IMAP_CAP(cap)},
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

/* MODSEQ ["/flags/\\seen" all] n (RFC 7162 3.1.5): we count per message, so the entry is of no
 * consequence. */
static bool modseq(struct ph__imap_cur *c, struct ph_imap_search *s)
{
    ph_str entry, type;
    if (!ph__imap_sp(c))
        return false;
    if (ph__imap_peek(c, '"')) {
        if (!ph__imap_string(c, &entry) || !ph__imap_sp(c) || !ph__imap_word(c, &type) ||
            !ph__imap_sp(c))
            return false;
        if (!ph_str_ieq(type, PH_STR("all")) && !ph_str_ieq(type, PH_STR("priv")) &&
            !ph_str_ieq(type, PH_STR("shared")))
            return ph__imap_bad(c, "expected all, priv or shared");
    }
    return ph__imap_number(c, INT64_MAX, &s->number);
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
    case ARG_SECONDS:
        return ph__imap_sp(c) && ph__imap_number(c, INT64_MAX, &s->number) &&
               (s->number || ph__imap_bad(c, "expected a number above zero"));
    case ARG_FIELD:
        return ph__imap_sp(c) && ph__imap_astring(c, &s->field) && ph__imap_sp(c) &&
               ph__imap_astring(c, &s->value);
    case ARG_ATOM:
        return ph__imap_sp(c) && ph__imap_word(c, &s->value);
    case ARG_SET:
        return ph__imap_sp(c) && ph__imap_set(c, &s->set);
    case ARG_MODSEQ:
        return modseq(c, s);
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
    if (c->at < c->end && (*c->at == '*' || *c->at == '$' || ph_is_digit(*c->at))) {
        *ret_key = node(c, PH_IMAP_KEY_SEQ);
        return *ret_key && ph__imap_set(c, &(*ret_key)->set);
    }
    ph_str word;
    if (!ph__imap_word(c, &word))
        return ph__imap_bad(c, "expected a search key");
    for (int i = 0; i < KEYS; i++) {
        if (!ph_str_ieq(word, keys[i].name))
            continue;
        c->needs |= keys[i].cap;
        *ret_key = node(c, (enum ph_imap_key)i);
        return *ret_key && argument(c, depth + 1, keys[i].arg, *ret_key);
    }
    return ph__imap_bad(c, "unknown search key");
}

/* ---- RETURN (RFC 4731, RFC 5182, RFC 9394) --------------------------------------------------- */

bool ph__imap_partial(struct ph__imap_cur *c, struct ph_imap_partial *ret)
{
    uint64_t a, b;
    ret->from_end = ph__imap_take(c, '-');
    if (!ph__imap_number(c, UINT32_MAX, &a) || !ph__imap_char(c, ':') ||
        ph__imap_take(c, '-') != ret->from_end || !ph__imap_number(c, UINT32_MAX, &b) || !a || !b)
        return ph__imap_bad(c, "expected a range such as 1:100 or -1:-100");
    ret->lo = (uint32_t)(a < b ? a : b);
    ret->hi = (uint32_t)(a < b ? b : a);
    return true;
}

static const struct {
    ph_str name;
    unsigned bit;
    uint64_t cap;
} returns[] = {
    {PH_STR_INIT("MIN"), PH_IMAP_RETURN_MIN, 0},
    {PH_STR_INIT("MAX"), PH_IMAP_RETURN_MAX, 0},
    {PH_STR_INIT("ALL"), PH_IMAP_RETURN_ALL, 0},
    {PH_STR_INIT("COUNT"), PH_IMAP_RETURN_COUNT, 0},
    {PH_STR_INIT("SAVE"), PH_IMAP_RETURN_SAVE, PH_IMAP_CAP(SEARCHRES)},
    {PH_STR_INIT("PARTIAL"), PH_IMAP_RETURN_PARTIAL, PH_IMAP_CAP(PARTIAL)},
};

static bool one_return(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    for (size_t i = 0; i < sizeof returns / sizeof returns[0]; i++) {
        if (!ph__imap_keyword(c, returns[i].name))
            continue;
        if (returns[i].bit & cmd->search.ret & PH_IMAP_RETURN_PARTIAL)
            return ph__imap_bad(c, "PARTIAL is given once"); /* RFC 9394 3.1 */
        c->needs |= returns[i].cap;
        cmd->search.ret |= returns[i].bit;
        return returns[i].bit != PH_IMAP_RETURN_PARTIAL ||
               (ph__imap_sp(c) && ph__imap_partial(c, &cmd->search.partial));
    }
    return ph__imap_bad(c, "unknown RETURN option");
}

/* " RETURN (...)" where it stands; () means ALL. */
static bool return_options(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    struct ph__imap_cur probe = *c;
    if (!ph__imap_take(&probe, ' ') || !ph__imap_keyword(&probe, PH_STR("RETURN")))
        return true;
    c->at = probe.at;
    bool sort = cmd->verb == PH_IMAP_SORT;
    c->needs |= sort ? PH_IMAP_CAP(ESORT) : PH_IMAP_CAP(ESEARCH);
    cmd->search.ret = PH_IMAP_RETURN_ESEARCH;
    if (!ph__imap_sp(c) || !ph__imap_char(c, '('))
        return false;
    for (bool first = true; !ph__imap_take(c, ')'); first = false)
        if ((!first && !ph__imap_sp(c)) || !one_return(c, cmd))
            return false;
    unsigned all_and_partial = PH_IMAP_RETURN_ALL | PH_IMAP_RETURN_PARTIAL;
    if ((cmd->search.ret & all_and_partial) == all_and_partial)
        return ph__imap_bad(c, "PARTIAL and ALL exclude each other");
    if (cmd->search.ret == PH_IMAP_RETURN_ESEARCH)
        cmd->search.ret |= PH_IMAP_RETURN_ALL;
    return true;
}

/* ---- the commands ---------------------------------------------------------------------------- */

static bool whole_tree(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    struct ph_imap_search *root = node(c, PH_IMAP_KEY_AND);
    cmd->search.root = root;
    return root && ph__imap_sp(c) && sequence(c, 0, root) && ph__imap_end(c);
}

bool ph__imap_cmd_search(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    if (!return_options(c, cmd))
        return false;
    struct ph__imap_cur probe = *c;
    if (ph__imap_take(&probe, ' ') && ph__imap_keyword(&probe, PH_STR("CHARSET"))) {
        c->at = probe.at;
        if (!ph__imap_sp(c) || !ph__imap_astring(c, &cmd->search.charset))
            return false;
    }
    return whole_tree(c, cmd);
}

static const struct {
    ph_str name;
    uint64_t cap;
} sorts[] = {
#define X(sym, wire, cap) {PH_STR_INIT(wire), PH_IMAP_CAP(cap)},
    PH_IMAP_SORTS(X)
#undef X
};

static bool one_sort(struct ph__imap_cur *c, struct ph_imap_sort *ret)
{
    ret->reverse = ph__imap_keyword(c, PH_STR("REVERSE"));
    if (ret->reverse && !ph__imap_sp(c))
        return false;
    for (int i = 0; i < PH_IMAP_SORT_KINDS; i++) {
        if (!ph__imap_keyword(c, sorts[i].name))
            continue;
        c->needs |= sorts[i].cap;
        ret->kind = (enum ph_imap_sort_kind)i;
        return true;
    }
    return ph__imap_bad(c, "unknown sort key");
}

bool ph__imap_cmd_sort(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    enum { SORTS_MAX = 20 };
    struct ph_imap_sort *list = ph_arena_array(c->arena, SORTS_MAX, sizeof *list);
    if (!list)
        return ph__imap_too_large(c);
    cmd->search.sorts = list;
    if (!return_options(c, cmd) || !ph__imap_sp(c) || !ph__imap_char(c, '('))
        return false;
    do {
        if (cmd->search.sort_count == SORTS_MAX)
            return ph__imap_bad(c, "too many sort keys");
        if (!one_sort(c, &list[cmd->search.sort_count++]))
            return false;
    } while (ph__imap_take(c, ' '));
    return ph__imap_char(c, ')') && ph__imap_sp(c) && ph__imap_astring(c, &cmd->search.charset) &&
           whole_tree(c, cmd);
}

static const struct {
    ph_str name;
    uint64_t cap;
} threads[] = {
#define X(sym, wire, cap) {PH_STR_INIT(wire), PH_IMAP_CAP(cap)},
    PH_IMAP_THREADS(X)
#undef X
};

bool ph__imap_cmd_thread(struct ph__imap_cur *c, struct ph_imap_command *cmd)
{
    if (!ph__imap_sp(c))
        return false;
    for (int i = 0; i < PH_IMAP_THREAD_KINDS; i++) {
        if (!ph__imap_keyword(c, threads[i].name))
            continue;
        c->needs |= threads[i].cap;
        cmd->search.thread = (enum ph_imap_thread_kind)i;
        return ph__imap_sp(c) && ph__imap_astring(c, &cmd->search.charset) && whole_tree(c, cmd);
    }
    return ph__imap_bad(c, "unknown threading algorithm");
}
