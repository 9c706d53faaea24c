/* Walking the tree, and envelopes. */
#include <string.h>

#include "mime_int.h"

struct ph_part *ph_part_next(const struct ph_part *p)
{
    if (p->child)
        return p->child;
    while (p && !p->next)
        p = p->parent;
    return p ? p->next : NULL;
}

bool ph_part_is(const struct ph_part *p, const char *type, const char *subtype)
{
    return ph_str_ieq(p->type, ph_str_c(type)) &&
           (!subtype || ph_str_ieq(p->subtype, ph_str_c(subtype)));
}

/* Inside a MESSAGE the numbers count within the child, which is part 1 itself if it is no
 * multipart (RFC 9051 6.4.5.1). */
const struct ph_part *ph_part_section(const struct ph_part *root, const uint32_t *path, size_t n)
{
    const struct ph_part *p = root;
    bool is_message = true; /* p stands for a message whose parts are counted */
    for (size_t i = 0; i < n; i++) {
        if (!is_message && p->kind == PH_PART_MESSAGE) {
            p = p->child;
            is_message = true;
        }
        if (p->kind == PH_PART_MULTIPART) {
            const struct ph_part *c = p->child;
            while (c && c->index < path[i])
                c = c->next;
            if (!c || c->index != path[i])
                return NULL;
            p = c;
        } else if (!is_message || path[i] != 1) {
            return NULL;
        }
        is_message = false;
    }
    return p;
}

ph_str ph_part_body(const struct ph_message *m, const struct ph_part *p)
{
    if (p->body.at > m->bytes.n || p->body.n > m->bytes.n - p->body.at)
        return (ph_str){0};
    return (ph_str){m->bytes.p + p->body.at, (size_t)p->body.n};
}

/* ---- envelope ---- */

enum slot {
    DATE,
    SUBJECT,
    FROM,
    SENDER,
    REPLY_TO,
    TO,
    CC,
    BCC,
    IN_REPLY_TO,
    MESSAGE_ID,
    REFERENCES,
    SLOTS
};

static const ph_str slot_names[SLOTS] = {
    [DATE] = PH_STR_INIT("Date"),
    [SUBJECT] = PH_STR_INIT("Subject"),
    [FROM] = PH_STR_INIT("From"),
    [SENDER] = PH_STR_INIT("Sender"),
    [REPLY_TO] = PH_STR_INIT("Reply-To"),
    [TO] = PH_STR_INIT("To"),
    [CC] = PH_STR_INIT("Cc"),
    [BCC] = PH_STR_INIT("Bcc"),
    [IN_REPLY_TO] = PH_STR_INIT("In-Reply-To"),
    [MESSAGE_ID] = PH_STR_INIT("Message-ID"),
    [REFERENCES] = PH_STR_INIT("References"),
};

static int slot_of(ph_str name)
{
    for (int i = 0; i < SLOTS; i++)
        if (name.n == slot_names[i].n && (name.p[0] | 0x20) == (slot_names[i].p[0] | 0x20) &&
            ph_str_ieq(name, slot_names[i]))
            return i;
    return -1;
}

/* What is being read: where the next address of a list goes, and how many it has. */
struct reading {
    struct ph_envelope *e;
    struct ph_address **end[SLOTS];
    int count[SLOTS];
};

static int put_addresses(struct ph_arena *arena, struct reading *r, enum slot slot, ph_str raw)
{
    int n = r->count[slot] < PH_ADDRESS_MOST ? ph_address_parse(arena, raw, r->end[slot]) : 0;
    if (n < 0)
        return n;
    r->count[slot] += n;
    while (*r->end[slot])
        r->end[slot] = &(*r->end[slot])->next;
    return 0;
}

static int put(struct ph_arena *arena, struct reading *r, enum slot slot, ph_str raw)
{
    struct ph_envelope *e = r->e;
    if (r->end[slot])
        return put_addresses(arena, r, slot, raw);
    ph_str *texts[SLOTS] = {[DATE] = &e->date,
                            [SUBJECT] = &e->subject,
                            [IN_REPLY_TO] = &e->in_reply_to,
                            [MESSAGE_ID] = &e->message_id,
                            [REFERENCES] = &e->references};
    int rc = ph_field_unfold(arena, raw, texts[slot]);
    if (rc == 0 && !texts[slot]->p)
        *texts[slot] = PH_STR("");
    return rc;
}

int ph_mime_envelope(struct ph_arena *arena, struct ph_part *part, struct ph_envelope **ret)
{
    if (part->envelope) {
        *ret = part->envelope;
        return 0;
    }
    /* Those of one kind are one list (RFC 5322 4.5.3); of all others the first one counts. */
    static const unsigned several = 1u << TO | 1u << CC | 1u << BCC;
    struct ph_envelope *e = PH_ARENA_NEW(arena, struct ph_envelope);
    unsigned seen = 0;
    struct ph_field f;
    if (!e)
        return -PH_ENOMEM;
    struct reading r = {.e = e,
                        .end = {[FROM] = &e->from,
                                [SENDER] = &e->sender,
                                [REPLY_TO] = &e->reply_to,
                                [TO] = &e->to,
                                [CC] = &e->cc,
                                [BCC] = &e->bcc}};
    for (ph_str rest = part->head; ph_field_next(&rest, &f);) {
        int slot = slot_of(f.name);
        if (slot < 0 || seen & ~several & 1u << slot)
            continue;
        seen |= 1u << slot;
        if (put(arena, &r, (enum slot)slot, f.value))
            return -PH_ENOMEM;
    }
    if (!e->sender)
        e->sender = e->from;
    if (!e->reply_to)
        e->reply_to = e->from;
    e->has_sent = e->date.n && ph_date_parse(e->date, &e->sent) == 0;
    part->envelope = e;
    *ret = e;
    return 0;
}
