/* Who gets the message, its id, and the random numbers it needs. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "build_int.h"
#include "hash.h"

/* ---- ids ---- */

void ph_email_fixed(struct ph_email *e, int64_t unix_time, int16_t zone, uint64_t seed)
{
    e->time = unix_time;
    e->zone = zone;
    e->seed[0] = e->seed[1] = seed;
    e->used = 0;
    e->is_seeded = true;
}

void ph__email_seed(struct ph_email *root)
{
    struct tm local;
    time_t now = time(NULL);
    if (root->is_seeded)
        return;
    root->is_seeded = true;
    root->time = now;
    root->zone = localtime_r(&now, &local) ? (int16_t)(local.tm_gmtoff / 60) : 0;
    if (getrandom(root->seed, sizeof root->seed, 0) != sizeof root->seed)
        root->seed[0] = (uint64_t)now ^ (uint64_t)(uintptr_t)root;
}

/* A mixing function over seed and counter (splitmix64). */
static uint64_t mixed(uint64_t v)
{
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
    v = (v ^ v >> 27) * 0x94d049bb133111ebu;
    return v ^ v >> 31;
}

void ph__email_random(struct ph_email *root, char *to)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t word[2];
    ph__email_seed(root);
    for (unsigned i = 0; i < 2; i++)
        word[i] = mixed(root->seed[i] + 0x9e3779b97f4a7c15u * ++root->used);
    for (unsigned i = 0; i < 24; i++)
        to[i] = digits[word[i / 16] >> (i % 16 * 4) & 15];
}

/* Right of the @ in ids: the domain of the sender. */
static ph_str host_of(struct ph_email *root)
{
    ph_str address;
    if (!ph_email_sender(root, &address))
        return PH_STR("localhost");
    return ph_str_skip(address, ph_str_rchr(address, '@') + 1);
}

ph_str ph__email_new_id(struct ph_email *e)
{
    char random[24];
    struct ph_email *root = ph__email_root(e);
    ph__email_random(root, random);
    return ph_arena_printf(e->arena, "%.*s@%.*s", 24, random, PH_FMT(host_of(root)));
}

ph_str ph_email_message_id(struct ph_email *e)
{
    const struct ph__field *f = ph__email_find(e, PH_STR("Message-ID"));
    if (f)
        return f->value;
    if (e->message_id.n == 0) {
        ph_str id = ph__email_new_id(e);
        if (id.p)
            e->message_id = ph_arena_printf(e->arena, "<%.*s>", PH_FMT(id));
    }
    return e->message_id;
}

ph_str ph_email_content_id(struct ph_email *e)
{
    if (e->cid.n == 0)
        e->cid = ph__email_new_id(e);
    return e->cid;
}

/* ---- envelope ---- */

/* local@host; {NULL, 0}: no memory. */
static ph_str written(struct ph_email *e, const struct ph_address *a)
{
    struct ph_buf text, host;
    ph_buf_init(&text, NULL, 4096);
    ph_buf_init(&host, NULL, 4096);
    int rc = ph_host_ascii(a->host, &host);
    ph_address_write(&text, a->local, rc ? a->host : ph_buf_str(&host));
    ph_str kept = ph_buf_err(&text) ? (ph_str){0} : ph_arena_copy(e->arena, ph_buf_str(&text));
    ph_buf_done(&text);
    ph_buf_done(&host);
    return kept;
}

/* Hosts compare ignoring case (RFC 5321 2.4). */
static bool is_same(ph_str a, ph_str b)
{
    size_t at = ph_str_rchr(a, '@');
    return a.n == b.n && at != PH_NPOS && ph_str_eq(ph_str_sub(a, 0, at), ph_str_sub(b, 0, at)) &&
           ph_str_ieq(ph_str_skip(a, at), ph_str_skip(b, at));
}

/* A table of indexes + 1 into the recipients, open, at most half full. */
struct seen {
    uint32_t *slots;
    size_t mask;
};

static bool is_new(const struct ph_email *e, struct seen *t, ph_str address)
{
    size_t i = ph_hash_fixed_nocase(address) & t->mask;
    for (; t->slots[i]; i = (i + 1) & t->mask)
        if (is_same(e->recipients[t->slots[i] - 1], address))
            return false;
    t->slots[i] = (uint32_t)e->recipient_count + 1;
    return true;
}

static const ph_str to_fields[] = {PH_STR_INIT("To"), PH_STR_INIT("Cc"), PH_STR_INIT("Bcc")};

static bool add_recipients(struct ph_email *e, struct seen *t, const struct ph__field *f)
{
    for (const struct ph_address *a = f ? f->list : NULL; a; a = a->next) {
        ph_str address = a->kind == PH_ADDRESS_MAILBOX ? written(e, a) : (ph_str){0};
        if (a->kind == PH_ADDRESS_MAILBOX && !address.p)
            return false;
        if (address.p && is_new(e, t, address))
            e->recipients[e->recipient_count++] = address;
    }
    return true;
}

static bool find_recipients(struct ph_email *e)
{
    size_t count = 0, slots = 16;
    for (size_t i = 0; i < 3; i++) {
        const struct ph__field *f = ph__email_find(e, to_fields[i]);
        for (const struct ph_address *a = f ? f->list : NULL; a; a = a->next)
            count++;
    }
    while (slots < count * 2)
        slots *= 2;
    struct seen t = {ph_arena_array(e->arena, slots, sizeof *t.slots), slots - 1};
    e->recipients = ph_arena_array(e->arena, count + 1, sizeof *e->recipients);
    e->recipient_count = 0;
    if (!t.slots || !e->recipients)
        return false;
    for (size_t i = 0; i < 3; i++)
        if (!add_recipients(e, &t, ph__email_find(e, to_fields[i])))
            return false;
    e->recipients_known = true;
    return true;
}

bool ph_email_recipient(struct ph_email *e, size_t n, ph_str *ret_address)
{
    if (!e->recipients_known && !find_recipients(e))
        return false;
    if (n >= e->recipient_count)
        return false;
    *ret_address = e->recipients[n];
    return true;
}

bool ph_email_sender(struct ph_email *e, ph_str *ret_address)
{
    const struct ph__field *f = ph__email_find(e, PH_STR("Sender"));
    if (!f)
        f = ph__email_find(e, PH_STR("From"));
    for (const struct ph_address *a = f ? f->list : NULL; a; a = a->next)
        if (a->kind == PH_ADDRESS_MAILBOX) {
            ph_str address = written(e, a);
            if (address.p)
                *ret_address = address;
            return address.p != NULL;
        }
    return false;
}
