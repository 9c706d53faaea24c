/*
 * Addresses (RFC 5322 3.4 and 4.4), read forgivingly in one pass.
 *
 * All text of the result is written into one pool as large as the input, since unquoting never
 * makes it longer. Between two separators words gather in the pool as a phrase; what comes next
 * says what it was:
 *
 *   WORDS --'<'--> name of a mailbox; the address follows in brackets
 *   WORDS --'@'--> the last word is a local part
 *   WORDS --':'--> name of a group
 *   WORDS --',' ';' end--> a local part without a domain
 */
#include <string.h>

#include "mime_int.h"

struct reader {
    struct ph_arena *arena;
    const char *p, *end;
    char *to;                /* where the next byte of the pool goes */
    ph_str comment;          /* the last one that was passed over */
    bool no_quote, no_paren; /* no quote or comment that begins further on is ever closed */
    bool failed, in_group;
    struct ph_address *first, **last;
    int count, nodes;
};

/* What has been read since the last separator. */
struct element {
    char *words, *last_word; /* in the pool */
    ph_str comment, route, local, host;
    bool addressed, gap; /* white space stands before the next word */
    bool has_words;
};

static void add(struct reader *r, enum ph_address_kind kind, const struct ph_address *from)
{
    if (r->nodes >= PH_ADDRESS_MOST && kind != PH_ADDRESS_GROUP_END)
        return;
    struct ph_address *a = PH_ARENA_NEW(r->arena, struct ph_address);
    if (!a) {
        r->failed = true;
        return;
    }
    if (from)
        *a = *from;
    a->kind = kind;
    a->next = NULL;
    *r->last = a;
    r->last = &a->next;
    r->nodes++;
    r->count += kind == PH_ADDRESS_MAILBOX;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0;
}

static bool is_special(char c)
{
    return c == '<' || c == '>' || c == '(' || c == ')' || c == '"' || c == ',' || c == ';' ||
           c == ':' || c == '@' || c == '.' || c == '[' || c == ']';
}

static void put(struct reader *r, char c)
{
    if (c != '\r' && c != '\n' && c != 0)
        *r->to++ = c;
}

/* At '"': the inside goes to the pool. false when it is not closed. */
static bool quoted(struct reader *r)
{
    ph_str s = {r->p, (size_t)(r->end - r->p)};
    size_t n = r->no_quote ? 0 : ph__quoted(s);
    if (n == 0) {
        r->no_quote = true;
        return false;
    }
    for (size_t i = 1; i + 1 < n; i++) {
        if (s.p[i] == '\\' && i + 2 < n)
            i++;
        put(r, s.p[i]);
    }
    r->p += n;
    return true;
}

/* At '(': passes over it; false when it is not closed. */
static bool comment(struct reader *r, ph_str *ret_text)
{
    ph_str s = {r->p, (size_t)(r->end - r->p)};
    size_t n = r->no_paren ? s.n : ph__comment(s);
    if (r->no_paren || s.p[n - 1] != ')' || n < 2) {
        r->no_paren = true;
        return false;
    }
    *ret_text = ph_str_trim(ph_str_sub(s, 1, n - 2));
    r->p += n;
    return true;
}

/* An encoded word may hold characters that end an atom elsewhere: "=?utf-8?Q?a,b?=". */
static size_t encoded_word(const struct reader *r)
{
    enum { LONGEST = 200 };
    ph_str s = {r->p, (size_t)(r->end - r->p)};
    unsigned marks = 0;
    if (!ph_str_has_prefix(s, PH_STR("=?")))
        return 0;
    for (size_t i = 2; i + 1 < s.n && i < LONGEST && !is_space(s.p[i]); i++)
        if (s.p[i] == '?' && marks++ >= 2 && s.p[i + 1] == '=')
            return i + 2;
    return 0;
}

static void atom(struct reader *r)
{
    size_t n = encoded_word(r);
    if (n) {
        memcpy(r->to, r->p, n);
        r->to += n;
        r->p += n;
        return;
    }
    do
        put(r, *r->p++);
    while (r->p < r->end && !is_space(*r->p) && !is_special(*r->p));
}

static void skip_space(struct reader *r)
{
    while (r->p < r->end) {
        if (is_space(*r->p))
            r->p++;
        else if (*r->p != '(' || !comment(r, &r->comment))
            break;
    }
}

/* Behind '@': atoms, dots and a literal, until something else comes. */
static ph_str domain(struct reader *r)
{
    char *from = r->to;
    bool need_dot = false;
    for (skip_space(r); r->p < r->end; skip_space(r)) {
        char c = *r->p;
        bool dot = c == '.';
        if (c == '[' && !need_dot) {
            const char *close = memchr(r->p, ']', (size_t)(r->end - r->p));
            const char *stop = close ? close + 1 : r->p + 1;
            while (r->p < stop)
                put(r, *r->p++);
        } else if (dot || (!is_special(c) && !need_dot)) {
            if (dot)
                put(r, *r->p++);
            else
                atom(r);
        } else {
            break;
        }
        need_dot = !dot;
    }
    return (ph_str){from, (size_t)(r->to - from)};
}

/* In brackets, before '@' or '>': the local part. White space beside dots goes (RFC 5322 4.4);
 * between two words, where it must not stand, it is kept, for the words are what somebody wrote. */
static ph_str local_part(struct reader *r)
{
    char *from = r->to;
    const char *after = NULL; /* the end of the last word */
    for (skip_space(r); r->p < r->end; skip_space(r)) {
        char c = *r->p;
        if (c == '@' || c == '>' || c == ',' || c == '<')
            break;
        if (after && after < r->p && is_space(*after) && c != '.' && r->to[-1] != '.')
            put(r, ' ');
        if (c == '"' && quoted(r)) {
            after = r->to > from ? r->p : NULL;
            continue;
        }
        if (is_special(c))
            put(r, *r->p++);
        else
            atom(r);
        after = r->to > from ? r->p : NULL;
    }
    return (ph_str){from, (size_t)(r->to - from)};
}

/* "@a,@b:" in front of an address in brackets. */
static ph_str route(struct reader *r)
{
    const char *p = r->p;
    while (p < r->end && *p != ':' && *p != '>')
        p++;
    if (p == r->end || *p != ':')
        return (ph_str){0};
    char *from = r->to;
    for (; r->p < p; r->p++)
        if (!is_space(*r->p))
            put(r, *r->p);
    r->p++;
    return (ph_str){from, (size_t)(r->to - from)};
}

static void in_brackets(struct reader *r, struct element *e)
{
    r->p++;
    skip_space(r);
    if (r->p < r->end && *r->p == '@')
        e->route = route(r);
    e->local = local_part(r);
    if (r->p < r->end && *r->p == '@') {
        r->p++;
        e->host = domain(r);
    }
    while (r->p < r->end && *r->p != '>' && *r->p != ',' && *r->p != '<')
        r->p++;
    if (r->p < r->end && *r->p == '>')
        r->p++;
    e->addressed = true;
}

/* At '@' behind words: the last of them is the local part, unless dots tie more together
 * ("john . smith", RFC 5322 4.4). Words before it are a name without brackets. */
static void at_sign(struct reader *r, struct element *e)
{
    enum { JOINED = 64 };
    char *from = e->last_word, *to = r->to;
    for (int i = 0; i < JOINED && from - e->words >= 2 && from[-1] == ' ' && from[-2] == '.'; i++) {
        from--;
        memmove(from, from + 1, (size_t)(to - from - 1));
        to--;
        while (from > e->words && from[-1] != ' ')
            from--;
    }
    e->local = (ph_str){from, (size_t)(to - from)};
    r->to = to;
    e->last_word = from;
    r->p++;
    r->comment = e->comment;
    e->host = domain(r);
    e->comment = r->comment;
    e->addressed = true;
}

static void word(struct reader *r, struct element *e)
{
    char c = *r->p;
    if (c != '.' && e->gap && r->to > e->words) {
        put(r, ' ');
        e->last_word = r->to;
    }
    e->gap = false;
    e->has_words = true;
    if (c == '"' && quoted(r))
        return;
    if (is_special(c) || c == '"')
        put(r, *r->p++);
    else
        atom(r);
}

static void finish(struct reader *r, struct element *e, ph_str words)
{
    struct ph_address a = {.route = e->route, .local = e->local, .host = e->host};
    bool bare = !e->addressed && words.n;
    if (bare) {
        a.local = words;
    } else if (e->addressed) {
        a.name = ph_str_trim(words);
        if (a.name.n == 0) {
            char *from = r->to;
            for (size_t i = 0; i < e->comment.n; i++) {
                if (e->comment.p[i] == '\\' && i + 1 < e->comment.n)
                    i++;
                put(r, e->comment.p[i]);
            }
            a.name = (ph_str){from, (size_t)(r->to - from)};
        }
        if (a.name.n == 0)
            a.name = (ph_str){0};
    }
    if (bare || (e->addressed && (a.local.n || a.host.n || a.name.n)))
        add(r, PH_ADDRESS_MAILBOX, &a);
}

/* Reads up to a separator and leaves it to be looked at: what the words were is decided there. */
static void element(struct reader *r)
{
    struct element e = {.words = r->to, .last_word = r->to};
    ph_str words = {r->to, 0};
    while (r->p < r->end && !r->failed) {
        char c = *r->p;
        ph_str text;
        if (is_space(c)) {
            r->p++;
            e.gap = true;
        } else if (c == '(' && comment(r, &text)) {
            e.comment = text;
            e.gap = true;
        } else if (c == ',' || c == ';') {
            break;
        } else if (e.addressed) { /* text behind an address says nothing */
            if (c == '<' && !e.host.n) {
                e.route = (ph_str){0};
                in_brackets(r, &e);
            } else {
                r->p++;
            }
        } else if (c == '<') {
            words.n = (size_t)(r->to - e.words);
            in_brackets(r, &e);
        } else if (c == '@' && e.has_words) {
            at_sign(r, &e);
            words.n = (size_t)(e.last_word - e.words);
        } else if (c == ':' && !r->in_group) {
            r->p++;
            add(r, PH_ADDRESS_GROUP,
                &(struct ph_address){.name = {e.words, (size_t)(r->to - e.words)}});
            r->in_group = true;
            return;
        } else {
            word(r, &e);
        }
    }
    if (!e.addressed)
        words.n = (size_t)(r->to - e.words);
    finish(r, &e, words);
}

int ph_address_parse(struct ph_arena *arena, ph_str raw, struct ph_address **ret_list)
{
    struct reader r = {.arena = arena, .p = raw.p, .end = raw.p + raw.n};
    r.last = &r.first;
    if (raw.n && !(r.to = ph_arena_get(arena, raw.n * 2 + 1)))
        return -PH_ENOMEM;
    while (r.p < r.end && !r.failed) {
        element(&r);
        if (r.p < r.end && *r.p == ';' && r.in_group) {
            add(&r, PH_ADDRESS_GROUP_END, NULL);
            r.in_group = false;
        }
        if (r.p < r.end && (*r.p == ',' || *r.p == ';'))
            r.p++;
    }
    if (r.in_group)
        add(&r, PH_ADDRESS_GROUP_END, NULL);
    if (r.failed)
        return -PH_ENOMEM;
    *ret_list = r.first;
    return r.count;
}

static bool is_dot_atom(ph_str s)
{
    bool dot = true;
    for (size_t i = 0; i < s.n; i++) {
        if (!ph__is_atext(s.p[i]) && (s.p[i] != '.' || dot))
            return false;
        dot = s.p[i] == '.';
    }
    return !dot;
}

void ph_address_write(struct ph_buf *out, ph_str local, ph_str host)
{
    if (is_dot_atom(local)) {
        ph_buf_add(out, local);
    } else {
        ph_buf_addc(out, '"');
        for (size_t i = 0; i < local.n; i++) {
            if (local.p[i] == '"' || local.p[i] == '\\')
                ph_buf_addc(out, '\\');
            ph_buf_addc(out, local.p[i]);
        }
        ph_buf_addc(out, '"');
    }
    if (host.n) {
        ph_buf_addc(out, '@');
        ph_buf_add(out, host);
    }
}
