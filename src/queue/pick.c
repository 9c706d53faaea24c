/* pick.c - reading and applying conditions on recipients: a row for each word. */
#include "pick.h"

#include "dsn.h"
#include "id.h"

static const char *state_of(const struct ph_spool_rcpt *r)
{
    return r->next_try == PH_SPOOL_HELD    ? "held"
           : r->next_try == PH_SPOOL_FRESH ? "under-way"
                                           : "waiting";
}

/* ---- words ------------------------------------------------------------------------------- */

/* "90s", "5min", "2h", "3d", or bare seconds. */
static bool read_span(ph_str text, int64_t *ret_us)
{
    static const struct {
        const char *unit;
        int64_t seconds;
    } units[] = {{"s", 1}, {"min", 60}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    int64_t seconds = 1;
    uint64_t n;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        ph_str unit = ph_str_c(units[i].unit);
        if (text.n > unit.n && ph_str_has_suffix(text, unit)) {
            text = ph_str_sub(text, 0, text.n - unit.n);
            seconds = units[i].seconds;
            break;
        }
    }
    if (!ph_str_u64(text, 100 * 365 * 86400LL, &n))
        return false;
    *ret_us = (int64_t)n * seconds * 1000000;
    return *ret_us > 0;
}

static bool read_older(ph_str v, struct ph_pick *p)
{
    return read_span(v, &p->older);
}

static bool read_newer(ph_str v, struct ph_pick *p)
{
    return read_span(v, &p->newer);
}

static ph_str bare(ph_str address)
{
    bool bracketed = address.n >= 2 && address.p[0] == '<' && address.p[address.n - 1] == '>';
    return bracketed ? ph_str_sub(address, 1, address.n - 2) : address;
}

static bool read_from(ph_str v, struct ph_pick *p)
{
    v = bare(v);
    p->any_sender = false;
    if (v.n && v.p[0] == '@')
        p->sender_domain = ph_str_skip(v, 1);
    else
        p->sender = v;
    return !v.n || v.n > 1;
}

static bool read_reason(ph_str v, struct ph_pick *p)
{
    p->reason = v;
    return v.n > 0;
}

static bool read_state(ph_str v, struct ph_pick *p)
{
    p->state = v;
    return ph_str_eq(v, PH_STR("held")) || ph_str_eq(v, PH_STR("waiting")) ||
           ph_str_eq(v, PH_STR("under-way"));
}

static const struct {
    const char *prefix;
    bool (*read)(ph_str value, struct ph_pick *p);
} words[] = {{"from:", read_from},
             {"older:", read_older},
             {"newer:", read_newer},
             {"reason:", read_reason},
             {"state:", read_state}};

static bool read_word(ph_str word, struct ph_pick *p)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ph_str_has_prefix(word, ph_str_c(words[i].prefix)))
            return words[i].read(ph_str_skip(word, ph_str_c(words[i].prefix).n), p);
    if (ph_str_eq(word, PH_STR("all")))
        return p->all = true;
    if (word.n > 1 && word.p[0] == '@') {
        p->domain = ph_str_skip(word, 1);
        return true;
    }
    if (ph_str_chr(word, '@') != PH_NPOS && word.p[0] != '@') {
        p->rcpt = bare(word);
        return true;
    }
    return ph_id_parse(word, &p->qid);
}

int ph_pick_read(ph_str text, struct ph_pick *ret_pick, struct ph_error *reterr)
{
    struct ph_pick p = {.any_sender = true};
    ph_str word;
    while (ph_str_token(&text, '\n', &word))
        if (word.n && !read_word(word, &p))
            return ph_fail(reterr, PH_EINVAL, 0,
                           "%.*s is not a queue id, an address, @domain, from:address, older:2h, "
                           "newer:2h, state:held, reason:words, or all",
                           PH_FMT(ph_str_sub(word, 0, 100)));
    *ret_pick = p;
    return 0;
}

bool ph_pick_is_empty(const struct ph_pick *p)
{
    return !p->all && !p->qid && !p->rcpt.n && !p->domain.n && p->any_sender && !p->older &&
           !p->newer && !p->state.n && !p->reason.n;
}

/* ---- applying ---------------------------------------------------------------------------- */

static bool same_address(ph_str a, ph_str b)
{
    size_t at = ph_str_rchr(a, '@'), there = ph_str_rchr(b, '@');
    return at == there && ph_str_eq(ph_str_sub(a, 0, at), ph_str_sub(b, 0, at)) &&
           ph_str_ieq(ph_str_skip(a, at), ph_str_skip(b, at));
}

static bool sender_fits(const struct ph_pick *p, ph_str sender)
{
    if (p->any_sender)
        return true;
    if (!p->sender_domain.n)
        return same_address(p->sender, sender);
    return sender.n &&
           ph_str_ieq(ph_str_skip(sender, ph_str_rchr(sender, '@') + 1), p->sender_domain);
}

bool ph_pick_letter(const struct ph_pick *p, const struct ph_spool_letter *l, int64_t now)
{
    int64_t age = now - l->received;
    return (!p->qid || p->qid == l->qid) && (!p->older || age >= p->older) &&
           (!p->newer || age < p->newer) && sender_fits(p, l->sender);
}

static bool has_words(ph_str reply, ph_str words_in_it)
{
    for (size_t i = 0; i + words_in_it.n <= reply.n; i++)
        if (ph_str_ieq(ph_str_sub(reply, i, words_in_it.n), words_in_it))
            return true;
    return false;
}

bool ph_pick_rcpt(const struct ph_pick *p, const struct ph_spool_rcpt *r)
{
    bool reason = !p->reason.n || has_words(r->reply, p->reason) ||
                  (r->reply.n &&
                   ph_str_eq(p->reason, ph_str_c(ph_dsn_class(r->reply, PH_DSN_DELAYED, NULL))));
    return reason && (!p->rcpt.n || same_address(p->rcpt, r->address)) &&
           (!p->domain.n || ph_str_ieq(p->domain, r->dest)) &&
           (!p->state.n || ph_str_eq(p->state, ph_str_c(state_of(r))));
}
