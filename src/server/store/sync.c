/* sync.c - threads that wait for the disk, so that workers need not. */
#include "store_int.h"

#include <stdlib.h>

void sync_give(struct house_store *h, struct sync_task *t)
{
    pthread_mutex_lock(&h->sync_lock);
    *(h->sync_head ? &h->sync_tail->next : &h->sync_head) = t;
    h->sync_tail = t;
    pthread_mutex_unlock(&h->sync_lock);
    pthread_cond_signal(&h->sync_cond); /* whoever wakes finds the lock free */
}

static struct sync_task *take(struct house_store *h)
{
    pthread_mutex_lock(&h->sync_lock);
    while (!h->sync_head && !h->sync_stop)
        pthread_cond_wait(&h->sync_cond, &h->sync_lock);
    struct sync_task *t = h->sync_head;
    if (t)
        h->sync_head = t->next;
    pthread_mutex_unlock(&h->sync_lock);
    return t;
}

static void failed(struct house_store *h, struct sync_task *t)
{
    struct job *jobs = t->jobs;
    atomic_fetch_add(&h->count.sync_errors, 1);
    ph_log(PH_LOG_ERROR, PH_STR(""), "sync", "account=%s error=flushing_failed",
           t->dirty ? t->dirty->folder : "?");
    for (struct job *j = jobs; j; j = j->next)
        job_refuse(j, IPC_TEMP, "the disk did not take it");
    main_post(h, jobs);
    if (t->dirty)
        worker_resync(t->worker, t->dirty);
}

void *syncer_main(void *ctx)
{
    struct house_store *h = ctx;
    for (struct sync_task *t; (t = take(h)); free(t)) {
        int64_t start = ph_mono_us();
        int r = store_sqlite.sync(t->sync, true);
        int64_t took = ph_mono_us() - start;
        atomic_store(&h->sync_us, (atomic_load(&h->sync_us) * 7 + took) / 8);
        atomic_fetch_add(&h->count.syncs, 1);
        if (r < 0) {
            failed(h, t);
            continue;
        }
        main_post(h, t->jobs);
        if (t->dirty)
            main_synced(h, &t->dirty->reqs);
        dirty_free(t->dirty);
    }
    return NULL;
}
