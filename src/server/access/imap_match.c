/* Does one message match a search? Text is compared decoded, without regard to case (RFC
 * 9051 6.4.4). */
#include "imap_search.h"
#include <string.h>

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

/* ---- header
 * -------------------------------------------------------------------------------------------------
 */

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

static bool envelope_holds(struct imap_candidate *m, const struct ph_imap_search *k)
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

/* ---- body
 * ------------------------------------------------------------------------------------------------------
 */

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

/* ---- keys
 * ---------------------------------------------------------------------------------------------------------
 */

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

unsigned imap_search_needs(const struct ph_imap_search *k)
{
    unsigned mask = 0;
    for (const struct ph_imap_search *c = k->child; c; c = c->next)
        mask |= imap_search_needs(c);
    if (flag_keys[k->key].flag)
        return mask | IPC_F_FLAGS;
    switch (k->key) {
    case PH_IMAP_KEY_KEYWORD:
    case PH_IMAP_KEY_UNKEYWORD:
    case PH_IMAP_KEY_NEW:
    case PH_IMAP_KEY_MODSEQ:
        return mask | IPC_F_FLAGS;
    case PH_IMAP_KEY_BEFORE:
    case PH_IMAP_KEY_ON:
    case PH_IMAP_KEY_SINCE:
        return mask | IPC_F_DATES;
    case PH_IMAP_KEY_SENTBEFORE:
    case PH_IMAP_KEY_SENTON:
    case PH_IMAP_KEY_SENTSINCE:
        return mask | IPC_F_DATES | IPC_F_SUMMARY;
    case PH_IMAP_KEY_LARGER:
    case PH_IMAP_KEY_SMALLER:
        return mask | IPC_F_SIZE;
    case PH_IMAP_KEY_SUBJECT:
    case PH_IMAP_KEY_FROM:
    case PH_IMAP_KEY_TO:
    case PH_IMAP_KEY_CC:
    case PH_IMAP_KEY_BCC:
        return mask | IPC_F_SUMMARY;
    case PH_IMAP_KEY_HEADER:
    case PH_IMAP_KEY_BODY:
    case PH_IMAP_KEY_TEXT:
        return mask | IPC_F_BODY;
    default:
        return mask;
    }
}

static bool date_key(const struct ph_imap_search *k, struct imap_candidate *m)
{
    int64_t received = m->row->date / 1000000 / US_A_DAY;
    switch (k->key) {
    case PH_IMAP_KEY_BEFORE:
        return received < k->day;
    case PH_IMAP_KEY_ON:
        return received == k->day;
    case PH_IMAP_KEY_SINCE:
        return received >= k->day;
    case PH_IMAP_KEY_SENTBEFORE:
        return sent_day(m) < k->day;
    case PH_IMAP_KEY_SENTON:
        return sent_day(m) == k->day;
    default:
        return sent_day(m) >= k->day;
    }
}

static bool all_children(const struct ph_imap_search *k, struct imap_candidate *m)
{
    for (const struct ph_imap_search *c = k->child; c; c = c->next)
        if (!imap_search_matches(c, m))
            return false;
    return true;
}

bool imap_search_matches(const struct ph_imap_search *k, struct imap_candidate *m)
{
    if (flag_keys[k->key].flag)
        return ((m->row->flags & flag_keys[k->key].flag) == 0) == flag_keys[k->key].unset;
    switch (k->key) {
    case PH_IMAP_KEY_ALL:
        return true;
    case PH_IMAP_KEY_AND:
        return all_children(k, m);
    case PH_IMAP_KEY_NOT:
        return !imap_search_matches(k->child, m);
    case PH_IMAP_KEY_OR:
        return imap_search_matches(k->child, m) || imap_search_matches(k->child->next, m);
    case PH_IMAP_KEY_SEQ:
        return ph_imap_set_has(&k->set, m->seq, m->last_seq);
    case PH_IMAP_KEY_UID:
        return ph_imap_set_has(&k->set, m->row->uid, m->last_uid);
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
    case PH_IMAP_KEY_HEADER:
        return field_holds(m, k->field, k->value);
    case PH_IMAP_KEY_BODY:
        return body_holds(m, k->value);
    case PH_IMAP_KEY_TEXT:
        return text_holds(m, k->value);
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
