/* letter.c - letters in memory, by queue id. */
#include "file.h"
#include "work.h"

#include <string.h>
#include <unistd.h>

enum { PIECE = 1024 * 1024, SUMMARY_MAX = 256 * 1024 };

struct letter *letter_new(void)
{
    struct letter *l = ph_new0(NULL, sizeof *l);
    if (!l)
        return NULL;
    l->fd = -1;
    l->arena = ph_arena_new(NULL, LETTER_ARENA);
    if (!l->arena) {
        ph_free(NULL, l, sizeof *l);
        return NULL;
    }
    return l;
}

static struct letter **bucket(struct work *w, uint64_t qid)
{
    return &w->letters[(qid * 0x9e3779b97f4a7c15u >> 40) % LETTER_BUCKETS];
}

struct letter *letter_find(struct work *w, uint64_t qid)
{
    struct letter *l = *bucket(w, qid);
    while (l && l->l.qid != qid)
        l = l->chain;
    return l;
}

void letter_hold(struct work *w, struct letter *l)
{
    if (l->refs++)
        return;
    struct letter **at = bucket(w, l->l.qid);
    l->chain = *at;
    *at = l;
    w->letter_count++;
}

void letter_body_drop(struct work *w, struct letter *l)
{
    if (l->bytes)
        w->kept -= l->bytes_n;
    ph_free(NULL, l->bytes, l->bytes_n);
    l->bytes = NULL;
    l->bytes_n = 0;
    if (l->fd >= 0) {
        close(l->fd);
        w->kept -= l->l.size;
    }
    l->fd = -1;
}

void letter_drop(struct work *w, struct letter *l)
{
    if (l->refs && --l->refs)
        return;
    struct letter **at = bucket(w, l->l.qid);
    while (*at && *at != l)
        at = &(*at)->chain;
    if (*at) {
        *at = l->chain;
        w->letter_count--;
    }
    letter_body_drop(w, l);
    ph_arena_free(l->arena);
    ph_free(NULL, l, sizeof *l);
}

static void complain(struct work *w, uint64_t qid, const char *what, int err)
{
    ph_log(PH_LOG_ERROR, (ph_str){0}, "spool-read", "what=%s qid=%llu error=%s why=%s", what,
           (unsigned long long)qid, ph_error_info(err)->text, ph_spool_why(w->spool));
}

struct letter *letter_load(struct work *w, uint64_t qid)
{
    struct letter *l = letter_new();
    if (!l)
        return NULL;
    int got = ph_spool_load(w->spool, qid, l->arena, &l->l, &l->rcpts, &l->n);
    if (got > 0 && l->n) {
        l->jobs = ph_arena_array(l->arena, l->n, sizeof *l->jobs);
        if (l->jobs) {
            letter_hold(w, l);
            return l;
        }
        got = -PH_ENOMEM;
    }
    if (got < 0)
        complain(w, qid, "letter", got);
    letter_drop(w, l);
    return NULL;
}

/* A large body, from the spool into a sealed memory file. */
static int large_body(struct work *w, struct letter *l)
{
    int fd = ph_memfile("letter");
    struct ph_buf piece;
    ph_buf_init(&piece, NULL, PIECE);
    int err = fd < 0 ? -PH_EIO : 0;
    for (uint64_t at = 0; !err && at < l->l.size; at += PIECE) {
        ph_buf_clear(&piece);
        err = ph_spool_body(w->spool, l->l.qid, at, PIECE, NULL, &piece);
        if (!err)
            err = ph_memfile_add(fd, ph_buf_str(&piece));
    }
    if (!err)
        err = ph_memfile_seal(fd);
    ph_buf_done(&piece);
    if (err < 0) {
        if (fd >= 0)
            close(fd);
        return err;
    }
    l->fd = fd;
    w->kept += l->l.size;
    return 0;
}

bool letter_body(struct work *w, struct letter *l)
{
    if (l->bytes)
        return true;
    bool large = l->l.size > IPC_INLINE; /* none of those is packed */
    struct ph_buf b;
    ph_buf_init(&b, NULL, SUMMARY_MAX + IPC_INLINE);
    struct ph_buf body;
    ph_buf_init(&body, NULL, IPC_INLINE);
    int err = ph_spool_body(w->spool, l->l.qid, 0, large ? 0 : IPC_INLINE, &b, &body);
    size_t summary_n = b.n;
    ph_buf_add(&b, ph_buf_str(&body));
    ph_buf_done(&body);
    if (!err)
        err = ph_buf_err(&b);
    char *p = err ? NULL : ph_resize(NULL, NULL, 0, b.n + 1);
    if (!err && !p)
        err = -PH_ENOMEM;
    if (!err && large)
        err = large_body(w, l);
    if (!err) {
        if (b.n)
            memcpy(p, b.p, b.n);
        l->bytes = p;
        l->bytes_n = b.n + 1;
        l->summary_n = summary_n;
        w->kept += l->bytes_n;
    } else {
        ph_free(NULL, p, b.n + 1);
        complain(w, l->l.qid, "body", err);
    }
    ph_buf_done(&b);
    return !err;
}
