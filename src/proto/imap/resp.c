/* One response of the server into one event (RFC 9051 7). Untagged responses that cannot be read
 * are given as OTHER. */
#include "ascii.h"
#include "b64.h"
#include "client_int.h"

static bool condition_word(ph_str word, enum ph_imap_cond *ret_cond)
{
    static const ph_str names[] = {PH_STR_INIT("OK"), PH_STR_INIT("NO"), PH_STR_INIT("BAD"),
                                   PH_STR_INIT("BYE"), PH_STR_INIT("PREAUTH")};
    for (int i = 0; i < 5; i++) {
        if (ph_str_ieq(word, names[i])) {
            *ret_cond = (enum ph_imap_cond)i;
            return true;
        }
    }
    return false;
}

/* The arguments of a code we know; `args` stands behind its name and ends before "]". */
static bool code_arguments(struct ph__imap_cur *a, struct ph_imap_code *code)
{
    ph_str word;
    switch (code->kind) {
    case PH_IMAP_CODE_UIDNEXT:
    case PH_IMAP_CODE_UIDVALIDITY:
    case PH_IMAP_CODE_UNSEEN:
    case PH_IMAP_CODE_HIGHESTMODSEQ:
        return ph__imap_sp(a) && ph__imap_number(a, UINT64_MAX, &code->n);
    case PH_IMAP_CODE_PERMANENTFLAGS:
        return ph__imap_sp(a) && ph__imap_flags_list(a, &code->flags);
    case PH_IMAP_CODE_APPENDUID:
    case PH_IMAP_CODE_COPYUID:
        if (!ph__imap_sp(a) || !ph__imap_number(a, UINT32_MAX, &code->n) || !ph__imap_sp(a) ||
            !ph__imap_word(a, &word))
            return false;
        code->to = word;
        if (code->kind == PH_IMAP_CODE_APPENDUID)
            return true;
        code->from = word;
        return ph__imap_sp(a) && ph__imap_word(a, &code->to);
    default:
        return true;
    }
}

/* "[CODE arguments] text"; what is not well-formed is text. */
static void code_and_text(struct ph__imap_cur *c, struct ph_imap_client_event *ev)
{
    ph_str rest = {c->at, (size_t)(c->end - c->at)}, word;
    size_t close = ph_str_chr(rest, ']');
    ev->text = rest;
    if (rest.n == 0 || rest.p[0] != '[' || close == PH_NPOS)
        return;
    struct ph__imap_cur a = *c;
    a.at++;
    a.end = rest.p + close;
    ph_str inside = {a.at, (size_t)(a.end - a.at)};
    if (!ph__imap_word(&a, &word))
        return;
    ev->code.kind = PH_IMAP_CODE_OTHER;
    for (int i = 1; i < PH_IMAP_CODE_OTHER; i++)
        if (ph_str_ieq(word, ph__imap_code_names[i]))
            ev->code.kind = (enum ph_imap_code_kind)i;
    ev->code.text = ev->code.kind == PH_IMAP_CODE_OTHER
                        ? inside
                        : ph_str_trim((ph_str){a.at, (size_t)(a.end - a.at)});
    if (!code_arguments(&a, &ev->code))
        ev->code = (struct ph_imap_code){.kind = PH_IMAP_CODE_OTHER, .text = inside};
    ev->text = ph_str_trim(ph_str_skip(rest, close + 1));
}

static void note_caps(struct ph_imap_client *c, ph_str names)
{
    c->caps = ph__imap_caps_read(names);
    ph_buf_clear(&c->names);
    ph_buf_add(&c->names, names);
    if (ph_buf_err(&c->names)) /* a list without end: the bits have what we know */
        ph_buf_clear(&c->names);
}

static void learn(struct ph_imap_client *c, const struct ph_imap_client_event *ev)
{
    if (ev->code.kind == PH_IMAP_CODE_CAPABILITY)
        note_caps(c, ev->code.text);
}

/* ---- tagged --------------------------------------------------------------------------------- */

/* What the command still holds back behind a stop will never be asked for. */
static void drop_unsent(struct ph_imap_client *c, const struct ph__imap_slot *slot)
{
    if (c->stop_count == 0 || c->stops[0] >= slot->end)
        return;
    if (slot->end == UINT64_MAX) { /* an APPEND whose message was not begun: it stands last */
        c->out.n = (size_t)(c->stops[0] - c->out_base);
        c->stop_count = 0;
        c->append_id = 0;
        return;
    }
    uint64_t gone = slot->end - c->stops[0];
    size_t at = (size_t)(c->stops[0] - c->out_base), keep = 0;
    ph_str rest = ph_str_skip(ph_buf_str(&c->out), at + (size_t)gone);
    for (size_t i = 0; i < rest.n; i++)
        c->out.p[at + i] = rest.p[i];
    c->out.n = at + rest.n;
    for (size_t i = 0; i < c->stop_count; i++)
        if (c->stops[i] >= slot->end)
            c->stops[keep++] = c->stops[i] - gone;
    c->stop_count = keep;
    for (size_t i = 0; i < c->slot_count; i++)
        if (c->slots[i].end != UINT64_MAX && c->slots[i].end > slot->end)
            c->slots[i].end -= gone;
}

static void apply_result(struct ph_imap_client *c, const struct ph_imap_client_event *ev)
{
    unsigned after = ph__imap_rows[ev->verb].after;
    bool select = ev->verb == PH_IMAP_SELECT || ev->verb == PH_IMAP_EXAMINE;
    if (ev->cond == PH_IMAP_OK && after && ev->verb != PH_IMAP_LOGOUT)
        c->state = (enum ph_imap_state)after;
    else if (ev->cond == PH_IMAP_NO && select && c->state == PH_IMAP_SELECTED)
        c->state = PH_IMAP_AUTH;
    if (ev->verb == PH_IMAP_STARTTLS && ev->cond == PH_IMAP_OK)
        c->securing = true;
    if (ev->verb == PH_IMAP_IDLE)
        c->idling = false;
    if (ev->verb == PH_IMAP_AUTHENTICATE)
        c->challenged = false;
    learn(c, ev);
}

static bool tagged(struct ph_imap_client *c, struct ph__imap_cur *cur,
                   struct ph_imap_client_event *ev)
{
    uint64_t id;
    ph_str word;
    if (!ph__imap_take(cur, 'A') || !ph__imap_number(cur, INT32_MAX, &id) ||
        !ph__imap_take(cur, ' ') || !ph__imap_word(cur, &word) ||
        !condition_word(word, &ev->cond) || ev->cond > PH_IMAP_BAD)
        return ph__imap_client_break(c, PH_ESYNTAX, "the server sent a line that is no response") ==
               0;
    ph__imap_take(cur, ' ');
    size_t i = 0;
    while (i < c->slot_count && (uint64_t)c->slots[i].id != id)
        i++;
    if (i == c->slot_count)
        return ph__imap_client_break(c, PH_ESYNTAX,
                                     "the server answered a command that was not given") == 0;
    struct ph__imap_slot slot = c->slots[i];
    c->slot_count--;
    for (; i < c->slot_count; i++)
        c->slots[i] = c->slots[i + 1];
    ev->kind = PH_IMAP_RESULT;
    ev->id = slot.id;
    ev->verb = slot.verb;
    code_and_text(cur, ev);
    drop_unsent(c, &slot);
    apply_result(c, ev);
    return true;
}

/* ---- "+" ------------------------------------------------------------------------------------ */

static bool challenge(struct ph_imap_client *c, struct ph__imap_cur *cur,
                      struct ph_imap_client_event *ev)
{
    ph_str rest = ph_str_trim((ph_str){cur->at, (size_t)(cur->end - cur->at)});
    ph_buf_clear(&c->decoded);
    if (ph_b64_decode(&c->decoded, rest) < 0 || ph_buf_err(&c->decoded))
        return ph__imap_client_break(c, PH_ESYNTAX, "a challenge of the server is not base64") == 0;
    c->challenged = true;
    ev->kind = PH_IMAP_CHALLENGE;
    ev->id = c->slots[c->slot_count - 1].id;
    ev->verb = PH_IMAP_AUTHENTICATE;
    ev->text = ph_buf_str(&c->decoded);
    return true;
}

static bool go_on(struct ph_imap_client *c, struct ph__imap_cur *cur,
                  struct ph_imap_client_event *ev)
{
    if (c->stop_count && c->stops[0] == ph__imap_client_sent(c)) {
        uint64_t here = c->stops[0];
        c->stop_count--;
        for (size_t i = 0; i < c->stop_count; i++)
            c->stops[i] = c->stops[i + 1];
        if (c->append_id && c->append_wait && here == c->out_base + c->out.n) {
            c->append_wait = false;
            ev->kind = PH_IMAP_CONTINUE;
            ev->id = c->append_id;
            ev->verb = PH_IMAP_APPEND;
            if (c->append_left == 0)
                (void)ph_imap_client_append_data(c, PH_STR(""));
        }
        return true;
    }
    if (c->slot_count && c->slots[c->slot_count - 1].verb == PH_IMAP_AUTHENTICATE && !c->challenged)
        return challenge(c, cur, ev);
    for (size_t i = 0; i < c->slot_count; i++) {
        if (c->slots[i].verb != PH_IMAP_IDLE || c->idling)
            continue;
        c->idling = true;
        ev->kind = PH_IMAP_CONTINUE;
        ev->id = c->slots[i].id;
        ev->verb = PH_IMAP_IDLE;
        return true;
    }
    return ph__imap_client_break(c, PH_ESYNTAX,
                                 "the server said \"+\" although nothing waits for it") == 0;
}

/* ---- untagged ------------------------------------------------------------------------------- */

static bool list(struct ph__imap_cur *c, struct ph_imap_client_event *ev, bool lsub)
{
    ph_str separator, word;
    if (!ph__imap_char(c, '('))
        return false;
    while (!ph__imap_take(c, ')')) {
        const char *from = c->at;
        ph__imap_take(c, '\\');
        if (!ph__imap_word(c, &word))
            return false;
        ev->list.bits |= ph_imap_mailbox_bit((ph_str){from, (size_t)(c->at - from)});
        ph__imap_take(c, ' ');
    }
    if (!ph__imap_sp(c) || !ph__imap_nstring(c, &separator) || !ph__imap_sp(c) ||
        !ph__imap_mailbox(c, &ev->list.name))
        return false;
    ev->list.separator = separator.n ? separator.p[0] : '\0';
    ev->list.lsub = lsub;
    ev->kind = PH_IMAP_LIST_EV;
    return true;
}

static bool status(struct ph__imap_cur *c, struct ph_imap_client_event *ev)
{
    if (!ph__imap_mailbox(c, &ev->status.name) || !ph__imap_sp(c) || !ph__imap_char(c, '('))
        return false;
    while (!ph__imap_take(c, ')')) {
        ph_str word;
        uint64_t n;
        if (!ph__imap_word(c, &word) || !ph__imap_sp(c))
            return false;
        if (ph_str_ieq(word,
                       PH_STR("MAILBOXID"))) { /* RFC 8474 4.3: an identifier in parentheses */
            if (!ph__imap_char(c, '(') || !ph__imap_word(c, &ev->status.mailboxid) ||
                !ph__imap_char(c, ')'))
                return false;
            ev->status.mask |= PH_IMAP_ST_MAILBOXID;
            ph__imap_take(c, ' ');
            continue;
        }
        if (!ph__imap_number(c, UINT64_MAX, &n))
            return false;
        for (int i = 0; i < IMAP_STATUS_ITEMS; i++) {
            if (!ph_str_ieq(word, ph__imap_status_items[i].name))
                continue;
            *(uint64_t *)(void *)((char *)&ev->status + ph__imap_status_items[i].offset) = n;
            ev->status.mask |= ph__imap_status_items[i].bit;
        }
        ph__imap_take(c, ' ');
    }
    ev->kind = PH_IMAP_STATUS_EV;
    return true;
}

static bool found(struct ph__imap_cur *c, struct ph_imap_client_event *ev)
{
    size_t most = (size_t)(c->end - c->at) / 2 + 1;
    uint32_t *numbers = ph_arena_array(c->arena, most, sizeof *numbers);
    if (!numbers)
        return false;
    while (ev->count < most && ph__imap_take(c, ' ')) {
        uint64_t n;
        if (ph__imap_at_end(c) || ph__imap_peek(c, '('))
            break;
        if (!ph__imap_number(c, UINT32_MAX, &n))
            return false;
        numbers[ev->count++] = (uint32_t)n;
    }
    ev->numbers = numbers;
    ev->kind = PH_IMAP_FOUND;
    return true;
}

/* RFC 4731 2: (TAG "A1") UID MIN 1 MAX 9 COUNT 3 ALL 1:3,9 MODSEQ 5 */
static bool esearch(struct ph__imap_cur *c, struct ph_imap_client_event *ev)
{
    const struct {
        ph_str name;
        uint64_t *to;
    } numbers[] = {{PH_STR_INIT("MIN"), &ev->esearch.min},
                   {PH_STR_INIT("MAX"), &ev->esearch.max},
                   {PH_STR_INIT("COUNT"), &ev->esearch.count},
                   {PH_STR_INIT("MODSEQ"), &ev->esearch.modseq}};
    ev->kind = PH_IMAP_ESEARCH_EV;
    while (ph__imap_take(c, ' ')) {
        ph_str word;
        size_t i = 0;
        if (ph__imap_peek(c, '(')) {
            if (!ph__imap_skip_value(c))
                return false;
            continue;
        }
        if (!ph__imap_word(c, &word))
            return false;
        if (ph_str_ieq(word, PH_STR("UID"))) {
            ev->esearch.uid = true;
            continue;
        }
        while (i < 4 && !ph_str_ieq(word, numbers[i].name))
            i++;
        if (!ph__imap_sp(c))
            return false;
        if (i < 4                             ? !ph__imap_number(c, UINT64_MAX, numbers[i].to)
            : ph_str_ieq(word, PH_STR("ALL")) ? !ph__imap_word(c, &ev->esearch.all)
                                              : !ph__imap_skip_value(c))
            return false;
    }
    return true;
}

static bool numbered(struct ph__imap_cur *c, struct ph_imap_client_event *ev)
{
    static const struct {
        ph_str name;
        enum ph_imap_client_ev kind;
    } counts[] = {{PH_STR_INIT("EXISTS"), PH_IMAP_EXISTS},
                  {PH_STR_INIT("RECENT"), PH_IMAP_RECENT_EV},
                  {PH_STR_INIT("EXPUNGE"), PH_IMAP_EXPUNGED}};
    uint64_t n;
    ph_str word;
    if (!ph__imap_number(c, UINT32_MAX, &n) || !ph__imap_sp(c) || !ph__imap_word(c, &word))
        return false;
    ev->n = (uint32_t)n;
    for (int i = 0; i < 3; i++) {
        if (ph_str_ieq(word, counts[i].name)) {
            ev->kind = counts[i].kind;
            return true;
        }
    }
    if (!ph_str_ieq(word, PH_STR("FETCH")) || !ph__imap_sp(c) ||
        !ph__imap_resp_fetch(c, &ev->fetch, NULL))
        return false;
    ev->fetch.seq = ev->n;
    ev->kind = PH_IMAP_FETCHED;
    return true;
}

static bool condition(struct ph_imap_client *c, struct ph__imap_cur *cur,
                      struct ph_imap_client_event *ev)
{
    ph__imap_take(cur, ' ');
    code_and_text(cur, ev);
    learn(c, ev);
    c->bye |= ev->cond == PH_IMAP_BYE;
    ev->kind = PH_IMAP_CONDITION;
    if (!c->greeted) {
        c->greeted = true;
        ev->kind = PH_IMAP_GREETING;
        if (ev->cond == PH_IMAP_PREAUTH)
            c->state = PH_IMAP_AUTH;
    }
    return true;
}

static bool untagged(struct ph_imap_client *c, struct ph__imap_cur *cur,
                     struct ph_imap_client_event *ev)
{
    ph_str word;
    if (cur->at < cur->end && ph_is_digit(*cur->at))
        return numbered(cur, ev);
    if (!ph__imap_word(cur, &word))
        return false;
    if (condition_word(word, &ev->cond))
        return condition(c, cur, ev);
    if (ph_str_ieq(word, PH_STR("SEARCH")) || ph_str_ieq(word, PH_STR("SORT")))
        return found(cur, ev);
    if (ph_str_ieq(word, PH_STR("THREAD")))
        return ph__imap_resp_threads(cur, ev);
    if (ph_str_ieq(word, PH_STR("NAMESPACE")))
        return ph__imap_resp_namespaces(cur, ev);
    if (ph_str_ieq(word, PH_STR("ESEARCH")))
        return esearch(cur, ev);
    if (!ph__imap_sp(cur))
        return false;
    if (ph_str_ieq(word, PH_STR("CAPABILITY"))) {
        ev->text = (ph_str){cur->at, (size_t)(cur->end - cur->at)};
        note_caps(c, ev->text);
        ev->caps = c->caps;
        ev->kind = PH_IMAP_CAPS_EV;
        return true;
    }
    if (ph_str_ieq(word, PH_STR("ENABLED"))) {
        ph_str names = {cur->at, (size_t)(cur->end - cur->at)};
        c->utf8 |= ph__imap_caps_read(ph_str_trim(names)) & PH_IMAP_CAP(UTF8_ACCEPT);
        return false; /* given as OTHER */
    }
    if (ph_str_ieq(word, PH_STR("VANISHED"))) {
        ph_str rest = {cur->at, (size_t)(cur->end - cur->at)};
        ev->earlier = ph_str_has_iprefix(rest, PH_STR("(EARLIER) "));
        ev->text = ph_str_trim(ph_str_skip(rest, ev->earlier ? 10 : 0));
        ev->kind = PH_IMAP_VANISHED;
        return true;
    }
    if (ph_str_ieq(word, PH_STR("FLAGS"))) {
        ev->kind = PH_IMAP_FLAGS_EV;
        return ph__imap_flags_list(cur, &ev->flags);
    }
    if (ph_str_ieq(word, PH_STR("LIST")) || ph_str_ieq(word, PH_STR("LSUB")))
        return list(cur, ev, ph_str_ieq(word, PH_STR("LSUB")));
    return ph_str_ieq(word, PH_STR("STATUS")) && status(cur, ev);
}

bool ph__imap_client_response(struct ph_imap_client *c, struct ph_imap_client_event *ret_ev)
{
    ph_str t = ph_buf_str(&c->text);
    const char *p = t.n ? t.p : "";
    struct ph__imap_cur cur = {
        .at = p, .begin = p, .end = p + t.n, .arena = c->arena, .lenient = true, .utf8 = c->utf8};
    *ret_ev = (struct ph_imap_client_event){.kind = PH_IMAP_NEED};
    if (ph__imap_take(&cur, '+'))
        return go_on(c, &cur, ret_ev);
    if (!ph__imap_take(&cur, '*') || !ph__imap_take(&cur, ' ')) {
        cur.at = p;
        return tagged(c, &cur, ret_ev);
    }
    if (untagged(c, &cur, ret_ev)) {
        if (c->greeted)
            return true;
        return ph__imap_client_break(c, PH_ESYNTAX, "the server's first line is no greeting") == 0;
    }
    if (cur.nomem)
        return ph__imap_client_break(c, PH_ELIMIT,
                                     "a response of the server is longer than the limit") == 0;
    *ret_ev = (struct ph_imap_client_event){.kind = PH_IMAP_OTHER, .text = ph_str_skip(t, 2)};
    return true;
}
