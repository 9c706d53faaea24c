/* Hashes of text. */
#include "hash.h"
#include "ascii.h"

/* ---- SipHash-2-4 ---------------------------------------------------------------------------- */

struct sip {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

static void rounds(struct sip *s, unsigned n)
{
    while (n--) {
        s->a += s->b;
        s->b = rotate(s->b, 13) ^ s->a;
        s->a = rotate(s->a, 32);
        s->c += s->d;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a += s->d;
        s->d = rotate(s->d, 21) ^ s->a;
        s->c += s->b;
        s->b = rotate(s->b, 17) ^ s->c;
        s->c = rotate(s->c, 32);
    }
}

/* n <= 8 octets, the first one lowest. */
static uint64_t word(const char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)(unsigned char)p[i] << 8 * i;
    return v;
}

static void take(struct sip *s, uint64_t v)
{
    s->d ^= v;
    rounds(s, 2);
    s->a ^= v;
}

uint64_t ph_hash(const struct ph_hash_key *key, ph_str text)
{
    struct sip s = {
        key->half[0] ^ UINT64_C(0x736f6d6570736575), key->half[1] ^ UINT64_C(0x646f72616e646f6d),
        key->half[0] ^ UINT64_C(0x6c7967656e657261), key->half[1] ^ UINT64_C(0x7465646279746573)};
    ph_str rest = text;
    for (; rest.n >= 8; rest = ph_str_skip(rest, 8))
        take(&s, word(rest.p, 8));
    take(&s, word(rest.p, rest.n) | (uint64_t)text.n << 56);
    s.c ^= 0xff;
    rounds(&s, 4);
    return s.a ^ s.b ^ s.c ^ s.d;
}

/* ---- FNV-1a --------------------------------------------------------------------------------- */

static const uint64_t fnv_start = UINT64_C(0xcbf29ce484222325);
static const uint64_t fnv_prime = UINT64_C(0x100000001b3);

uint64_t ph_hash_fixed(ph_str text)
{
    uint64_t h = fnv_start;
    for (size_t i = 0; i < text.n; i++)
        h = (h ^ (unsigned char)text.p[i]) * fnv_prime;
    return h;
}

uint64_t ph_hash_fixed_nocase(ph_str text)
{
    uint64_t h = fnv_start;
    for (size_t i = 0; i < text.n; i++)
        h = (h ^ (unsigned char)ph_lower(text.p[i])) * fnv_prime;
    return h;
}
