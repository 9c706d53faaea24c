/* quota.c - what an account holds, and what it may. */
#include "sqlite_int.h"

int sq_quota(struct store_account *a, uint64_t messages, uint64_t bytes)
{
    struct store_limits most = {0};
    if (a->s->limits)
        a->s->limits(a->s->ctx, a->id, &most);
    if (!most.bytes && !most.messages)
        return 0;
    for (size_t i = 0; i < a->mb_n; i++) {
        messages += a->mb[i].messages;
        bytes += a->mb[i].size;
    }
    if (most.bytes && bytes > most.bytes)
        return sq_fail(a, PH_EQUOTA, 0, "the mailbox is full: it may hold %llu bytes",
                       (unsigned long long)most.bytes);
    if (most.messages && messages > most.messages)
        return sq_fail(a, PH_EQUOTA, 0, "the mailbox is full: it may hold %llu messages",
                       (unsigned long long)most.messages);
    return 0;
}
