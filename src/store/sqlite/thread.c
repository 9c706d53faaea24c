/*
 * thread.c - which letters belong together: each Message-ID that a letter has or answers is
 * remembered with the thread it was first seen in, so that an answer that comes before its question
 * finds it all the same. A thread's id is the email id of its first letter.
 */
#include "hash.h"
#include "sqlite_int.h"

/* Who wants his letter in a certain thread has only to write References, so two ids of one hash
 * gain nobody anything. */
static int64_t hash(ph_str id)
{
    return (int64_t)ph_hash_fixed(id);
}

static int known(struct store_account *a, ph_str id, uint64_t *ret_thread)
{
    sqlite3_stmt *st = id.n ? sq_start(a, ST_THREAD_GET, "i", hash(id)) : NULL;
    int r = id.n && !st ? -a->err.code : st ? sq_step(a, st) : 0;
    if (r > 0) {
        *ret_thread = (uint64_t)sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
    }
    return r;
}

static int remember(struct store_account *a, ph_str id, uint64_t thread)
{
    return id.n ? sq_run(a, ST_THREAD_ADD, "ii", hash(id), (int64_t)thread) : 0;
}

int sq_thread(struct store_account *a, const struct store_letter *l, uint64_t emailid,
              uint64_t *ret_thread)
{
    uint64_t thread = emailid;
    int r = 0;
    for (size_t i = 0; r == 0 && i < l->thread_n; i++)
        r = known(a, l->thread[i], &thread);
    bool first = r == 0; /* then also its nearest parent and the root are of this thread */
    if (r >= 0 && l->thread_n)
        r = remember(a, l->thread[0], thread);
    if (r >= 0 && first && l->thread_n > 1)
        r = remember(a, l->thread[1], thread);
    if (r >= 0 && first && l->thread_n > 2)
        r = remember(a, l->thread[l->thread_n - 1], thread);
    *ret_thread = thread;
    return r;
}
