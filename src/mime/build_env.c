/* Who gets the letter, and its id. */
#include <stdlib.h>
#include <string.h>

#include "build_int.h"

/* local@host; hosts compare ignoring case (RFC 5321 2.4). */
static ph_str written(struct ph_build *b, const struct ph_address *a)
{
    struct ph_buf text;
    ph_buf_init(&text, NULL, 4096);
    ph_address_write(&text, a->local, a->host);
    ph_str kept = ph_buf_err(&text) ? (ph_str){0} : ph_arena_copy(b->arena, ph_buf_str(&text));
    ph_buf_done(&text);
    return kept;
}

static bool is_same(ph_str a, ph_str b)
{
    size_t at = ph_str_rchr(a, '@');
    return a.n == b.n && at != PH_NPOS && ph_str_eq(ph_str_sub(a, 0, at), ph_str_sub(b, 0, at)) &&
           ph_str_ieq(ph_str_skip(a, at), ph_str_skip(b, at));
}

static uint64_t hash_of(ph_str s)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)(s.p[i] | 0x20)) * 1099511628211u;
    return h;
}

/* A table of indexes + 1 into the recipients, open, at most half full. */
struct seen {
    uint32_t *slots;
    size_t mask;
};

static bool is_new(const struct ph_build *b, struct seen *t, ph_str address)
{
    size_t i = hash_of(address) & t->mask;
    for (; t->slots[i]; i = (i + 1) & t->mask)
        if (is_same(b->recipients[t->slots[i] - 1], address))
            return false;
    t->slots[i] = (uint32_t)b->recipient_count + 1;
    return true;
}

static const ph_str to_fields[] = {PH_STR_INIT("To"), PH_STR_INIT("Cc"), PH_STR_INIT("Bcc")};

static bool find_recipients(struct ph_build *b)
{
    size_t count = 0, slots = 16;
    for (size_t i = 0; i < 3; i++) {
        const struct ph__field *f = ph__build_find(b, to_fields[i]);
        for (const struct ph_address *a = f ? f->list : NULL; a; a = a->next)
            count++;
    }
    while (slots < count * 2)
        slots *= 2;
    struct seen t = {ph_arena_array(b->arena, slots, sizeof *t.slots), slots - 1};
    b->recipients = ph_arena_array(b->arena, count, sizeof *b->recipients);
    b->recipient_count = 0;
    if (!t.slots || !b->recipients)
        return false;
    for (size_t i = 0; i < 3; i++) {
        const struct ph__field *f = ph__build_find(b, to_fields[i]);
        for (const struct ph_address *a = f ? f->list : NULL; a; a = a->next) {
            ph_str address = a->kind == PH_ADDRESS_MAILBOX ? written(b, a) : (ph_str){0};
            if (a->kind == PH_ADDRESS_MAILBOX && !address.p)
                return false;
            if (address.p && is_new(b, &t, address))
                b->recipients[b->recipient_count++] = address;
        }
    }
    b->recipients_known = true;
    return true;
}

bool ph_build_recipient(struct ph_build *b, size_t n, ph_str *ret_address)
{
    if (!b->recipients_known && !find_recipients(b))
        return false;
    if (n >= b->recipient_count)
        return false;
    *ret_address = b->recipients[n];
    return true;
}

bool ph_build_sender(struct ph_build *b, ph_str *ret_address)
{
    const struct ph__field *f = ph__build_find(b, PH_STR("From"));
    for (const struct ph_address *a = f ? f->list : NULL; a; a = a->next)
        if (a->kind == PH_ADDRESS_MAILBOX) {
            ph_str address = written(b, a);
            if (address.p)
                *ret_address = address;
            return address.p != NULL;
        }
    return false;
}

ph_str ph_build_message_id(struct ph_build *b)
{
    char random[24];
    if (b->message_id.n == 0) {
        ph__build_random(b, random);
        b->message_id = ph_arena_printf(b->arena, "<%.*s@%.*s>", 24, random, PH_FMT(b->host));
    }
    return b->message_id;
}
