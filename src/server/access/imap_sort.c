/* SORT (RFC 5256 3, RFC 5957): what messages are ordered by. Texts are compared by
 * i;unicode-casemap, folded once. */
#include "imap_search.h"
#include <stdlib.h>
#include <string.h>

/* ---- base subject (RFC 5256 2.1) ------------------------------------------------------------ */

static ph_str trim_left(ph_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = ph_str_skip(s, 1);
    return s;
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP; 0 where none is next. */
static size_t blob(ph_str s)
{
    size_t at = 1;
    if (!s.n || s.p[0] != '[')
        return 0;
    while (at < s.n && s.p[at] != '[' && s.p[at] != ']')
        at++;
    if (at == s.n || s.p[at] != ']')
        return 0;
    at++;
    while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\t'))
        at++;
    return at;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static size_t refwd(ph_str s)
{
    static const ph_str words[] = {PH_STR_INIT("re"), PH_STR_INIT("fwd"), PH_STR_INIT("fw")};
    for (size_t i = 0; i < 3; i++) {
        if (!ph_str_has_iprefix(s, words[i]))
            continue;
        ph_str rest = trim_left(ph_str_skip(s, words[i].n));
        rest = ph_str_skip(rest, blob(rest));
        if (rest.n && rest.p[0] == ':')
            return s.n - rest.n + 1;
    }
    return 0;
}

/* subj-leader = (*subj-blob subj-refwd) / WSP */
static size_t leader(ph_str s)
{
    size_t at = 0, n;
    while ((n = blob(ph_str_skip(s, at))) > 0)
        at += n;
    n = refwd(ph_str_skip(s, at));
    return n ? at + n : 0;
}

ph_str imap_base_subject(ph_str s, bool *ret_reply)
{
    *ret_reply = false;
    for (;;) {
        size_t before = s.n, n;
        s = ph_str_trim(s);
        while (s.n >= 5 && ph_str_ieq(ph_str_skip(s, s.n - 5), PH_STR("(fwd)"))) {
            s = ph_str_trim(ph_str_sub(s, 0, s.n - 5));
            *ret_reply = true;
        }
        while ((n = leader(s)) > 0) {
            s = trim_left(ph_str_skip(s, n));
            *ret_reply = true;
        }
        n = blob(s);
        if (n && n < s.n)
            s = ph_str_skip(s, n);
        if (ph_str_has_iprefix(s, PH_STR("[fwd:")) && ph_str_has_suffix(s, PH_STR("]"))) {
            s = ph_str_sub(s, 5, s.n - 6);
            *ret_reply = true;
        }
        if (s.n == before)
            return s;
    }
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* A text into its folded copy. */
static int folded(struct ph_arena *a, ph_str text, ph_str *ret)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, 1024 * 1024);
    ph_search_fold(text, &b);
    ph_str copy = ph_arena_copy(a, ph_buf_str(&b));
    int r = ph_buf_err(&b) || !copy.p ? -PH_ENOMEM : 0;
    ph_buf_done(&b);
    *ret = r < 0 ? (ph_str){0} : copy;
    return r;
}

/* Step 1: each run of spaces, tabs and line ends is one space. */
static ph_str single_spaced(struct ph_arena *a, ph_str s)
{
    char *to = ph_arena_array(a, s.n + 1, 1);
    size_t n = 0;
    for (size_t i = 0; to && i < s.n; i++) {
        bool space = s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\r' || s.p[i] == '\n';
        if (!space || n == 0 || to[n - 1] != ' ')
            to[n++] = space ? ' ' : s.p[i];
    }
    return (ph_str){to, n};
}

/* The decoded subject's base, folded. Decoding works in an arena of its own: the other one keeps
 * what is kept. */
static int subject_key(struct ph_arena *a, const struct ph_envelope *e, ph_str *ret,
                       bool *ret_reply)
{
    ph_str text;
    *ret = PH_STR("");
    *ret_reply = false;
    if (!e || !e->subject.n)
        return 0;
    struct ph_arena *work = ph_arena_new(NULL, 1024 * 1024);
    int r = work ? ph_field_text(work, e->subject, &text) : -PH_ENOMEM;
    if (r == 0 && !(text = single_spaced(work, text)).p)
        r = -PH_ENOMEM;
    if (r == 0)
        r = folded(a, imap_base_subject(text, ret_reply), ret);
    ph_arena_free(work);
    return r;
}

/* A group stands first with its name, as in ENVELOPE. */
static ph_str addr_mailbox(const struct ph_address *a)
{
    return a->kind == PH_ADDRESS_GROUP ? a->name : a->local;
}

/* RFC 5957 3: the name as it is shown, or the address. */
static int display_key(struct ph_arena *a, const struct ph_address *x, ph_str *ret)
{
    ph_str text;
    *ret = PH_STR("");
    if (!x)
        return 0;
    struct ph_arena *work = ph_arena_new(NULL, 1024 * 1024);
    int r = !work ? -PH_ENOMEM : x->name.n ? ph_field_text(work, x->name, &text) : 0;
    if (r == 0 && !x->name.n)
        text = x->kind == PH_ADDRESS_GROUP
                   ? PH_STR("")
                   : ph_arena_printf(work, "%.*s@%.*s", PH_FMT(x->local), PH_FMT(x->host));
    if (r == 0)
        r = folded(a, text, ret);
    ph_arena_free(work);
    return r;
}

static int text_key(struct ph_arena *a, enum ph_imap_sort_kind kind, const struct ph_envelope *e,
                    ph_str *ret)
{
    bool reply;
    *ret = PH_STR("");
    if (!e)
        return 0;
    const struct ph_address *x = kind == PH_IMAP_SORT_BY_FROM || kind == PH_IMAP_SORT_BY_DISPLAYFROM
                                     ? e->from
                                 : kind == PH_IMAP_SORT_BY_CC ? e->cc
                                                              : e->to;
    switch (kind) {
    case PH_IMAP_SORT_BY_SUBJECT:
        return subject_key(a, e, ret, &reply);
    case PH_IMAP_SORT_BY_FROM:
    case PH_IMAP_SORT_BY_TO:
    case PH_IMAP_SORT_BY_CC:
        return x ? folded(a, addr_mailbox(x), ret) : 0;
    case PH_IMAP_SORT_BY_DISPLAYFROM:
    case PH_IMAP_SORT_BY_DISPLAYTO:
        return display_key(a, x, ret);
    default:
        return 0;
    }
}

static int thread_keys(struct ph_arena *a, const struct ph_summary *sum, struct imap_found *f)
{
    f->subject = PH_STR("");
    if (!sum)
        return 0;
    ph_str refs = sum->references.n ? sum->references : sum->in_reply_to;
    f->id = ph_arena_copy(a, sum->message_id);
    f->references = ph_arena_copy(a, refs);
    if (!f->id.p || !f->references.p)
        return -PH_ENOMEM;
    return subject_key(a, sum->root->envelope, &f->subject, &f->reply);
}

int imap_sort_keys(struct ph_arena *a, const struct ph_imap_command *c,
                   const struct ph_summary *sum, struct imap_found *f)
{
    if (c->verb == PH_IMAP_THREAD)
        return thread_keys(a, sum, f);
    f->keys = ph_arena_array(a, c->search.sort_count, sizeof *f->keys);
    int r = f->keys ? 0 : -PH_ENOMEM;
    for (size_t i = 0; r == 0 && i < c->search.sort_count; i++)
        r = text_key(a, c->search.sorts[i].kind, sum ? sum->root->envelope : NULL, &f->keys[i]);
    return r;
}

/* ---- order ----------------------------------------------------------------------------------- */

static int compare_numbers(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare(const void *a, const void *b, void *ctx)
{
    const struct imap_found *x = a, *y = b;
    const struct ph_imap_command *c = ctx;
    for (size_t i = 0; i < c->search.sort_count; i++) {
        const struct ph_imap_sort *by = &c->search.sorts[i];
        int r = by->kind == PH_IMAP_SORT_BY_ARRIVAL ? compare_numbers(x->arrival, y->arrival)
                : by->kind == PH_IMAP_SORT_BY_DATE  ? compare_numbers(x->sent, y->sent)
                : by->kind == PH_IMAP_SORT_BY_SIZE
                    ? compare_numbers((int64_t)x->size, (int64_t)y->size)
                    : ph_str_cmp(x->keys[i], y->keys[i]);
        if (r)
            return by->reverse ? -r : r;
    }
    return compare_numbers(x->place, y->place); /* never reversed: RFC 5256 3 */
}

void imap_sort(const struct ph_imap_command *c, struct imap_results *r)
{
    if (r->n)
        qsort_r(r->v, r->n, sizeof *r->v, compare, (void *)(uintptr_t)c);
}
