/*
 * Threads that hash passwords, so that the loop can go on answering. Two lists under one lock: what
 * waits and what is done; the loop is woken for the second.
 */
#include "cores.h"
#include "keeper_int.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct keeper_hasher {
    struct ph_loop *loop;
    void (*done)(void *ctx, struct keeper_job *job);
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct keeper_job *todo, **todo_end, *finished, **finished_end;
    size_t waiting;
    bool stop;
    pthread_t threads[KEEPER_HASHERS];
    size_t thread_count;
};

static void append(struct keeper_job ***end, struct keeper_job *job)
{
    job->next = NULL;
    **end = job;
    *end = &job->next;
}

static struct keeper_job *wait_for_job(struct keeper_hasher *h)
{
    while (!h->todo && !h->stop)
        pthread_cond_wait(&h->more, &h->lock);
    struct keeper_job *job = h->stop ? NULL : h->todo;
    if (job) {
        h->todo = job->next;
        if (!h->todo)
            h->todo_end = &h->todo;
        h->waiting--;
    }
    return job;
}

static void *work(void *arg)
{
    struct keeper_hasher *h = arg;
    struct keeper_job *job;
    pthread_mutex_lock(&h->lock);
    while ((job = wait_for_job(h))) {
        pthread_mutex_unlock(&h->lock);
        job->result =
            ph_password_check((ph_str){job->password, job->password_n}, ph_str_c(job->hash));
        pthread_mutex_lock(&h->lock);
        append(&h->finished_end, job);
        ph_loop_wake(h->loop);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static void collect(void *ctx)
{
    struct keeper_hasher *h = ctx;
    pthread_mutex_lock(&h->lock);
    struct keeper_job *job = h->finished;
    h->finished = NULL;
    h->finished_end = &h->finished;
    pthread_mutex_unlock(&h->lock);
    while (job) {
        struct keeper_job *next = job->next;
        h->done(h->ctx, job);
        job = next;
    }
}

/* Signals are the loop's. */
static int start_threads(struct keeper_hasher *h)
{
    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    for (size_t n = ph_cores_share(2, 2, KEEPER_HASHERS); h->thread_count < n; h->thread_count++)
        if (pthread_create(&h->threads[h->thread_count], NULL, work, h))
            break;
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    return h->thread_count ? 0 : -PH_EAGAIN;
}

struct keeper_hasher *keeper_hasher_new(struct ph_loop *loop,
                                        void (*done)(void *ctx, struct keeper_job *job), void *ctx,
                                        struct ph_error *reterr)
{
    struct keeper_hasher *h = calloc(1, sizeof *h);
    if (!h) {
        ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
        return NULL;
    }
    h->loop = loop;
    h->done = done;
    h->ctx = ctx;
    h->todo_end = &h->todo;
    h->finished_end = &h->finished;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->more, NULL);
    if (ph_loop_on_wake(loop, collect, h) < 0 || start_threads(h) < 0) {
        ph_fail(reterr, PH_EAGAIN, 0, "no thread can be started for hashing passwords");
        keeper_hasher_free(h);
        return NULL;
    }
    return h;
}

struct keeper_job *keeper_hasher_free(struct keeper_hasher *h)
{
    if (!h)
        return NULL;
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_broadcast(&h->more);
    pthread_mutex_unlock(&h->lock);
    for (size_t i = 0; i < h->thread_count; i++)
        pthread_join(h->threads[i], NULL);
    pthread_cond_destroy(&h->more);
    pthread_mutex_destroy(&h->lock);
    *h->finished_end = h->todo;
    struct keeper_job *left = h->finished;
    free(h);
    return left;
}

int keeper_hasher_add(struct keeper_hasher *h, struct keeper_job *job)
{
    pthread_mutex_lock(&h->lock);
    int r = h->waiting < KEEPER_HASHES ? 0 : -PH_ELIMIT;
    if (r == 0) {
        append(&h->todo_end, job);
        h->waiting++;
        pthread_cond_signal(&h->more);
    }
    pthread_mutex_unlock(&h->lock);
    return r;
}
