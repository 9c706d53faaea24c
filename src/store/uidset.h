/*
 * uidset.h - sets of uids as sorted, merged ranges, and their text ("1:5,7"; RFC 9051 9,
 * sequence-set without "*").
 *
 * Everything is linear in ranges, except that text in no order costs one sort.
 */
#ifndef PH_UIDSET_H
#define PH_UIDSET_H
#include <posthouse/base.h>

enum { UIDSET_MAX = 1 << 20 }; /* ranges of one set */

struct uidrange {
    uint32_t from, to; /* inclusive, from <= to, from >= 1 */
};
/* Zero-initialise, or uidset_init. Sorted, and no two ranges touch. */
struct uidset {
    struct uidrange *v;
    size_t n, cap;
};

void uidset_init(struct uidset *s);
void uidset_done(struct uidset *s); /* frees; s is empty again */
/* Adds what the text names. -PH_ESYNTAX (also for 0, "*", numbers above 32 bits, empty text),
 * -PH_ELIMIT, -PH_ENOMEM; s may then hold a part. */
PH_MUST_CHECK int uidset_parse(struct uidset *s, ph_str text);
/* Adds a range; in constant time when it is not below the last one. -PH_ELIMIT, -PH_ENOMEM. */
PH_MUST_CHECK int uidset_add(struct uidset *s, uint32_t from, uint32_t to);
/* Appends the text; the buffer's own error tells whether it fitted. */
void uidset_print(const struct uidset *s, struct ph_buf *out);
bool uidset_has(const struct uidset *s, uint32_t uid);
uint64_t uidset_count(const struct uidset *s);

#endif
