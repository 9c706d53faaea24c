/* Does one message match a search? Text is compared decoded, without regard to case (RFC
 * 9051 6.4.4). */
#include "imap_search.h"
#include <string.h>

enum { TEXT_MAX = 64 * 1024 * 1024, US_A_DAY = 86400 };

/* ---- case
 * ------------------------------------------------------------------------------------------------
 */

/* Simple case folding of the alphabets that have case and are common in mail: Latin, Greek,
 * Cyrillic, Armenian. */
static uint32_t fold(uint32_t u)
{
    if (u < 0x80)
        return u >= 'A' && u <= 'Z' ? u + 32 : u;
    if (u >= 0xc0 && u <= 0xde && u != 0xd7)
        return u + 32;
    if ((u >= 0x100 && u <= 0x137) || (u >= 0x14a && u <= 0x177) || (u >= 0x1e00 && u <= 0x1e95) ||
        (u >= 0x1ea0 && u <= 0x1eff) || (u >= 0x460 && u <= 0x481) || (u >= 0x48a && u <= 0x4bf) ||
        (u >= 0x4d0 && u <= 0x52f))
        return u | 1;
    if ((u >= 0x139 && u <= 0x148) || (u >= 0x179 && u <= 0x17e))
        return u + (u & 1);
    if (u >= 0x391 && u <= 0x3a9)
        return u + 32;
    if (u >= 0x410 && u <= 0x42f)
        return u + 32;
    if (u >= 0x400 && u <= 0x40f)
        return u + 80;
    if (u >= 0x531 && u <= 0x556)
        return u + 48;
    return u == 0x3c2 ? 0x3c3 : u;
}

/* Appends valid UTF-8 folded. Sequences that are not UTF-8 are copied as they are. */
void imap_fold(ph_str in, struct ph_buf *out)
{
    for (size_t i = 0; i < in.n;) {
        unsigned char ch = (unsigned char)in.p[i];
        if (ch < 0x80) {
            ph_buf_addc(out, (char)fold(ch));
            i++;
            continue;
        }
        size_t len = ch >= 0xf0 ? 4 : ch >= 0xe0 ? 3 : 2;
        if (len > 3 || in.n - i < len) {
            len = in.n - i < len ? in.n - i : len;
            ph_buf_add(out, ph_str_sub(in, i, len));
        } else {
            uint32_t u = len == 2 ? (ch & 0x1fu) << 6 | ((unsigned char)in.p[i + 1] & 0x3fu)
                                  : (ch & 0x0fu) << 12 | ((unsigned char)in.p[i + 1] & 0x3fu) << 6 |
                                        ((unsigned char)in.p[i + 2] & 0x3fu);
            u = fold(u);
            if (u < 0x800) {
                ph_buf_addc(out, (char)(0xc0 | u >> 6));
            } else {
                ph_buf_addc(out, (char)(0xe0 | u >> 12));
                ph_buf_addc(out, (char)(0x80 | (u >> 6 & 0x3f)));
            }
            ph_buf_addc(out, (char)(0x80 | (u & 0x3f)));
        }
        i += len;
    }
}

/* The key's value is folded already. */
static bool holds(struct imap_candidate *m, ph_str text, ph_str folded)
{
    ph_buf_clear(&m->scratch);
    imap_fold(text, &m->scratch);
    if (ph_buf_err(&m->scratch)) {
        m->err = -PH_ENOMEM;
        return false;
    }
    ph_str t = ph_buf_str(&m->scratch);
    return folded.n == 0 || (folded.n <= t.n && memmem(t.p, t.n, folded.p, folded.n) != NULL);
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
    struct ph_buf b;
    ph_buf_init(&b, NULL, TEXT_MAX);
    for (const struct ph_address *a = list; a; a = a->next) {
        ph_buf_add(&b, a->name);
        ph_buf_add(&b, PH_STR(" <"));
        ph_buf_add(&b, a->local);
        ph_buf_addc(&b, '@');
        ph_buf_add(&b, a->host);
        ph_buf_add(&b, PH_STR(">, "));
    }
    bool yes = list && raw_holds(m, ph_buf_str(&b), folded);
    ph_buf_done(&b);
    return yes;
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

/* The decoded text of every text part and of every header inside, as one, made when first asked
 * for. */
static bool body_text(struct imap_candidate *m)
{
    struct ph_message *msg;
    if (m->has_text)
        return true;
    m->has_text = true;
    if (ph_mime_parse(m->arena, m->bytes, NULL, &msg) < 0) {
        m->err = -PH_ENOMEM;
        return false;
    }
    for (struct ph_part *p = msg->root; p; p = ph_part_next(p)) {
        ph_str text;
        if (p != msg->root && ph_field_text(m->arena, p->head, &text) == 0)
            ph_buf_add(&m->text, text);
        ph_buf_addc(&m->text, '\n');
        if (p->kind == PH_PART_LEAF && ph_part_is(p, "text", NULL) &&
            ph_part_text(msg, p, &m->text) == -PH_ENOMEM)
            m->err = -PH_ENOMEM;
    }
    return true;
}

static bool body_holds(struct imap_candidate *m, ph_str folded)
{
    return body_text(m) && holds(m, ph_buf_str(&m->text), folded);
}

static bool text_holds(struct imap_candidate *m, ph_str folded)
{
    struct ph_field f;
    ph_str text;
    for (ph_str head = ph_message_head(m->bytes); ph_field_next(&head, &f);)
        if (holds(m, f.all, folded) ||
            (ph_field_text(m->arena, f.value, &text) == 0 && holds(m, text, folded)))
            return true;
    return body_holds(m, folded);
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
