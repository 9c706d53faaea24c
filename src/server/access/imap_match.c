/* Does one message match a search? Text is compared decoded, without regard to case (RFC
 * 9051 6.4.4). */
#include "imap_search.h"
#include <stdio.h>

enum { US_A_DAY = 86400 };

/* The key's value is folded already. */
static bool holds(struct imap_candidate *m, ph_str text, ph_str folded)
{
    ph_buf_clear(&m->scratch);
    ph_search_fold(text, &m->scratch);
    if (ph_buf_err(&m->scratch)) {
        m->err = -PH_ENOMEM;
        return false;
    }
    return ph_search_holds(ph_buf_str(&m->scratch), folded);
}

static bool raw_holds(struct imap_candidate *m, ph_str raw, ph_str folded)
{
    ph_str text;
    if (ph_field_text(m->arena, raw, &text) < 0) {
        m->err = -PH_ENOMEM;
        return false;
    }
    return holds(m, text, folded);
}

/* ---- header --------------------------------------------------------------------------------- */

static bool address_holds(struct imap_candidate *m, const struct ph_address *list, ph_str folded)
{
    ph_buf_clear(&m->scratch);
    if (ph_search_addresses(m->arena, list, &m->scratch) < 0 || ph_buf_err(&m->scratch))
        m->err = -PH_ENOMEM;
    return list && ph_search_holds(ph_buf_str(&m->scratch), folded);
}

static bool field_holds(struct imap_candidate *m, ph_str name, ph_str folded)
{
    struct ph_field f;
    for (ph_str head = ph_message_head(m->bytes); ph_field_next(&head, &f);)
        if (ph_str_ieq(f.name, name) && (folded.n == 0 || raw_holds(m, f.value, folded)))
            return true;
    return false;
}

static bool envelope_holds(struct imap_candidate *m, const struct imap_key *k)
{
    const struct ph_envelope *e = m->summary ? m->summary->root->envelope : NULL;
    if (!e)
        return false;
    switch (k->key) {
    case PH_IMAP_KEY_SUBJECT:
        return e->subject.p && raw_holds(m, e->subject, k->value);
    case PH_IMAP_KEY_FROM:
        return address_holds(m, e->from, k->value);
    case PH_IMAP_KEY_TO:
        return address_holds(m, e->to, k->value);
    case PH_IMAP_KEY_CC:
        return address_holds(m, e->cc, k->value);
    default:
        return address_holds(m, e->bcc, k->value);
    }
}

/* ---- body ----------------------------------------------------------------------------------- */

/* Made when first asked for. */
static bool has_text(struct imap_candidate *m)
{
    if (m->has_text)
        return true;
    m->has_text = true;
    ph_buf_clear(&m->head);
    ph_buf_clear(&m->text);
    if (ph_search_text(m->arena, m->bytes, &m->head, &m->text) < 0) {
        m->err = -PH_ENOMEM;
        return false;
    }
    return true;
}

static bool body_holds(struct imap_candidate *m, ph_str folded)
{
    return has_text(m) && ph_search_holds(ph_buf_str(&m->text), folded);
}

static bool text_holds(struct imap_candidate *m, ph_str folded)
{
    return has_text(m) && (ph_search_holds(ph_buf_str(&m->head), folded) ||
                           ph_search_holds(ph_buf_str(&m->text), folded));
}

/* ---- keys ----------------------------------------------------------------------------------- */

static bool keyword(ph_str list, ph_str word)
{
    ph_str w;
    while (ph_str_token(&list, ' ', &w))
        if (ph_str_ieq(w, word))
            return true;
    return false;
}

/* Days are compared without time and zone (RFC 9051 6.4.4). */
static int64_t sent_day(const struct imap_candidate *m)
{
    const struct ph_summary *s = m->summary;
    int64_t t = s && s->has_date ? s->date.time + s->date.zone * 60 : m->row->date / 1000000;
    return t >= 0 ? t / US_A_DAY : -((US_A_DAY - 1 - t) / US_A_DAY);
}

static const struct {
    unsigned flag;
    bool unset;
} flag_keys[PH_IMAP_KEY_AND + 1] = {
    [PH_IMAP_KEY_ANSWERED] = {IPC_ANSWERED, false}, [PH_IMAP_KEY_UNANSWERED] = {IPC_ANSWERED, true},
    [PH_IMAP_KEY_DELETED] = {IPC_DELETED, false},   [PH_IMAP_KEY_UNDELETED] = {IPC_DELETED, true},
    [PH_IMAP_KEY_DRAFT] = {IPC_DRAFT, false},       [PH_IMAP_KEY_UNDRAFT] = {IPC_DRAFT, true},
    [PH_IMAP_KEY_FLAGGED] = {IPC_FLAGGED, false},   [PH_IMAP_KEY_UNFLAGGED] = {IPC_FLAGGED, true},
    [PH_IMAP_KEY_SEEN] = {IPC_SEEN, false},         [PH_IMAP_KEY_UNSEEN] = {IPC_SEEN, true},
};

bool imap_key_is_text(enum ph_imap_key key)
{
    return key == PH_IMAP_KEY_BODY || key == PH_IMAP_KEY_TEXT || key == PH_IMAP_KEY_HEADER;
}

bool imap_key_is_indexed(enum ph_imap_key key)
{
    return imap_key_is_text(key) || key == PH_IMAP_KEY_SUBJECT || key == PH_IMAP_KEY_FROM ||
           key == PH_IMAP_KEY_TO || key == PH_IMAP_KEY_CC || key == PH_IMAP_KEY_BCC;
}

/* What each kind of key looks at in a row. */
static unsigned key_needs(const struct imap_key *k)
{
    if (flag_keys[k->key].flag)
        return IPC_F_FLAGS;
    switch (k->key) {
    case PH_IMAP_KEY_KEYWORD:
    case PH_IMAP_KEY_UNKEYWORD:
    case PH_IMAP_KEY_NEW:
    case PH_IMAP_KEY_MODSEQ: /* always in a row, but a row is needed */
    case PH_IMAP_KEY_EMAILID:
        return IPC_F_FLAGS;
    case PH_IMAP_KEY_THREADID:
        return IPC_F_THREAD;
    case PH_IMAP_KEY_BEFORE:
    case PH_IMAP_KEY_ON:
    case PH_IMAP_KEY_SINCE:
    case PH_IMAP_KEY_OLDER:
    case PH_IMAP_KEY_YOUNGER:
    case PH_IMAP_KEY_SAVEDBEFORE:
    case PH_IMAP_KEY_SAVEDON:
    case PH_IMAP_KEY_SAVEDSINCE:
        return IPC_F_DATES;
    case PH_IMAP_KEY_SENTBEFORE:
    case PH_IMAP_KEY_SENTON:
    case PH_IMAP_KEY_SENTSINCE:
        return IPC_F_DATES | IPC_F_SUMMARY;
    case PH_IMAP_KEY_LARGER:
    case PH_IMAP_KEY_SMALLER:
        return IPC_F_SIZE;
    case PH_IMAP_KEY_SUBJECT:
    case PH_IMAP_KEY_FROM:
    case PH_IMAP_KEY_TO:
    case PH_IMAP_KEY_CC:
    case PH_IMAP_KEY_BCC:
        return IPC_F_SUMMARY;
    default:
        return 0;
    }
}

unsigned imap_search_needs(const struct imap_key *k)
{
    unsigned mask = key_needs(k);
    for (const struct imap_key *c = k->child; c; c = c->next)
        mask |= imap_search_needs(c);
    return mask;
}

static int64_t day_of(int64_t micros)
{
    int64_t t = micros / 1000000;
    return t >= 0 ? t / US_A_DAY : -((US_A_DAY - 1 - t) / US_A_DAY);
}

static bool date_key(const struct imap_key *k, struct imap_candidate *m)
{
    switch (k->key) {
    case PH_IMAP_KEY_BEFORE:
        return day_of(m->row->date) < k->day;
    case PH_IMAP_KEY_ON:
        return day_of(m->row->date) == k->day;
    case PH_IMAP_KEY_SINCE:
        return day_of(m->row->date) >= k->day;
    case PH_IMAP_KEY_SAVEDBEFORE:
        return day_of(m->row->saved) < k->day;
    case PH_IMAP_KEY_SAVEDON:
        return day_of(m->row->saved) == k->day;
    case PH_IMAP_KEY_SAVEDSINCE:
        return day_of(m->row->saved) >= k->day;
    case PH_IMAP_KEY_OLDER: /* RFC 5032 3 */
        return m->row->date / 1000000 <= m->now - (int64_t)k->number;
    case PH_IMAP_KEY_YOUNGER:
        return m->row->date / 1000000 >= m->now - (int64_t)k->number;
    case PH_IMAP_KEY_SENTBEFORE:
        return sent_day(m) < k->day;
    case PH_IMAP_KEY_SENTON:
        return sent_day(m) == k->day;
    default:
        return sent_day(m) >= k->day;
    }
}

static bool row_key(const struct imap_key *k, struct imap_candidate *m)
{
    char id[24];
    if (flag_keys[k->key].flag)
        return ((m->row->flags & flag_keys[k->key].flag) == 0) == flag_keys[k->key].unset;
    switch (k->key) {
    case PH_IMAP_KEY_ALL:
    case PH_IMAP_KEY_SAVEDATESUPPORTED:
        return true;
    case PH_IMAP_KEY_SEQ:
        return imap_ranges_have(&k->set, m->seq);
    case PH_IMAP_KEY_RECENT:
        return m->recent;
    case PH_IMAP_KEY_OLD:
        return !m->recent;
    case PH_IMAP_KEY_NEW:
        return m->recent && !(m->row->flags & IPC_SEEN);
    case PH_IMAP_KEY_KEYWORD:
        return keyword(m->row->keywords, k->value);
    case PH_IMAP_KEY_UNKEYWORD:
        return !keyword(m->row->keywords, k->value);
    case PH_IMAP_KEY_LARGER:
        return m->row->size > k->number;
    case PH_IMAP_KEY_SMALLER:
        return m->row->size < k->number;
    case PH_IMAP_KEY_MODSEQ:
        return m->row->modseq >= k->number;
    case PH_IMAP_KEY_EMAILID:
        snprintf(id, sizeof id, "M%llx", (unsigned long long)m->row->emailid);
        return ph_str_eq(k->value, ph_str_c(id));
    case PH_IMAP_KEY_THREADID:
        snprintf(id, sizeof id, "T%llx", (unsigned long long)m->row->thread);
        return ph_str_eq(k->value, ph_str_c(id));
    case PH_IMAP_KEY_SUBJECT:
    case PH_IMAP_KEY_FROM:
    case PH_IMAP_KEY_TO:
    case PH_IMAP_KEY_CC:
    case PH_IMAP_KEY_BCC:
        return envelope_holds(m, k);
    default:
        return date_key(k, m);
    }
}

static enum imap_match text_key(const struct imap_key *k, struct imap_candidate *m)
{
    if (k->asked && imap_ranges_have(&k->yes, m->row->uid))
        return IMAP_MATCH;
    if (k->asked && !imap_ranges_have(&k->maybe, m->row->uid))
        return IMAP_NO_MATCH;
    if (!m->bytes.n)
        return IMAP_UNSURE;
    bool holds_it = k->key == PH_IMAP_KEY_HEADER ? field_holds(m, k->field, k->value)
                    : k->key == PH_IMAP_KEY_BODY ? body_holds(m, k->value)
                                                 : text_holds(m, k->value);
    return holds_it ? IMAP_MATCH : IMAP_NO_MATCH;
}

/* AND: a NO decides; OR: a MATCH does. What is unsure is so only when nothing decides. */
static enum imap_match of_children(const struct imap_key *k, struct imap_candidate *m,
                                   enum imap_match decides)
{
    enum imap_match result = decides == IMAP_MATCH ? IMAP_NO_MATCH : IMAP_MATCH;
    for (const struct imap_key *c = k->child; c; c = c->next) {
        enum imap_match r = imap_search_match(c, m);
        if (r == decides)
            return r;
        if (r == IMAP_UNSURE)
            result = r;
    }
    return result;
}

enum imap_match imap_search_match(const struct imap_key *k, struct imap_candidate *m)
{
    switch (k->key) {
    case PH_IMAP_KEY_AND:
        return of_children(k, m, IMAP_NO_MATCH);
    case PH_IMAP_KEY_OR:
        return of_children(k, m, IMAP_MATCH);
    case PH_IMAP_KEY_NOT: {
        enum imap_match r = imap_search_match(k->child, m);
        return r == IMAP_UNSURE ? r : r == IMAP_MATCH ? IMAP_NO_MATCH : IMAP_MATCH;
    }
    case PH_IMAP_KEY_BODY:
    case PH_IMAP_KEY_TEXT:
    case PH_IMAP_KEY_HEADER:
        return text_key(k, m);
    default:
        return row_key(k, m) ? IMAP_MATCH : IMAP_NO_MATCH;
    }
}
