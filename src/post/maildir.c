/*
 * Delivery into a Maildir.
 *
 *   put    tmp/NAME is written                      nobody sees it
 *   sync   syncfs: all of tmp is on disk
 *          rename to new/NAME or cur/NAME:2,FLAGS   readers see it
 *          fsync new, fsync cur                     it stays
 *          state                                    it is not fetched again though it is moved away
 *
 * NAME follows from the source and the letter's id there. So a letter whose rename was done and
 * whose state was not is known by its name at the next open; and what is left in tmp is ours to
 * remove.
 */
#include "file.h"
#include "grow.h"
#include "random.h"
#include "sink.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
    FEW = 8, /* so few files are flushed one by one: syncfs waits for what other programs wrote, too
              */
    HELD = 64 * 1024
};

struct waiting {
    char *name;
    unsigned flags;
};

struct maildir {
    int dir, tmp, new, cur;
    struct waiting *v; /* in tmp, to be moved */
    size_t n, cap;
    char *name;         /* of the letter that comes, once its file is there */
    int fd;             /* of that file */
    struct ph_buf held; /* its end, not yet written */
};

static int where(const char *path, char dir[4096], char name[256])
{
    snprintf(dir, 4096, "%s", path); /* cut off, it is no folder */
    name[0] = '\0';
    return 0;
}

static int open_folder(int at, const char *path, const char *name, int *ret_fd)
{
    if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
        return post_fail(EX_CANTCREAT, "cannot make %s/%s: %s", path, name, strerror(errno));
    *ret_fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0
               ? post_fail(EX_CANTCREAT, "cannot open %s/%s: %s", path, name, strerror(errno))
               : 0;
}

static int hex(char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* "1763850000.<tag>-<id>.post:2,S" -> <id>, undone in place; false: not ours. */
static bool id_of(const struct post_state *st, char *name, ph_str *ret_id)
{
    char mark[POST_TAG + 2];
    snprintf(mark, sizeof mark, ".%s-", st->tag);
    char *at = strstr(name, mark), *end = at ? strstr(at, ".post") : NULL, *to;
    if (!end)
        return false;
    at += strlen(mark);
    ret_id->p = to = at;
    for (; at < end; at++, to++) {
        int high = end - at > 2 ? hex(at[1]) : -1, low = high < 0 ? -1 : hex(at[2]);
        if (*at == '%' && low >= 0) {
            *to = (char)(high * 16 + low);
            at += 2;
        } else {
            *to = *at;
        }
    }
    ret_id->n = (size_t)(to - ret_id->p);
    return true;
}

/* What is in a folder of ours: remove it, or note its id. */
static int walk(struct post_sink *k, int fd, bool leftovers)
{
    char mark[64];
    ph_str id;
    int rc = 0;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d && copy >= 0)
        close(copy);
    if (!d)
        return post_fail(EX_IOERR, "cannot read %s: %s", k->path, strerror(errno));
    if (k->state->imap)
        snprintf(mark, sizeof mark, "%llu.", (unsigned long long)k->state->validity);
    for (struct dirent *e; rc == 0 && (e = readdir(d));) {
        char name[256 + 16];
        snprintf(name, sizeof name, "%s", e->d_name);
        /* After the server numbered anew, the names of before say nothing. */
        if (!id_of(k->state, name, &id) ||
            (k->state->imap && strncmp(name, mark, strlen(mark)) != 0))
            continue;
        if (leftovers)
            unlinkat(fd, e->d_name, 0);
        else
            rc = post_state_add(k->state, id);
    }
    closedir(d);
    return rc;
}

static int maildir_open(struct post_sink *k)
{
    struct ph_error e;
    struct maildir *m = k->own = calloc(1, sizeof *m);
    if (!m)
        return post_fail(EX_OSERR, "out of memory");
    *m = (struct maildir){.dir = -1, .tmp = -1, .new = -1, .cur = -1, .fd = -1};
    ph_buf_init(&m->held, NULL, SIZE_MAX / 2); /* as large as a piece, and HELD */
    if (ph_mkdirs(k->path, 0700, &e) < 0)
        return post_fail(EX_CANTCREAT, "%s", e.text);
    m->dir = open(k->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->dir < 0)
        return post_fail(EX_CANTCREAT, "cannot open %s: %s", k->path, strerror(errno));
    if (flock(m->dir, LOCK_EX | LOCK_NB) < 0)
        return post_fail(EX_TEMPFAIL, "another post fetch is at work in %s", k->path);
    ph_file_sweep(k->state->path);
    int rc = open_folder(m->dir, k->path, "tmp", &m->tmp);
    if (rc == 0)
        rc = open_folder(m->dir, k->path, "new", &m->new);
    if (rc == 0)
        rc = open_folder(m->dir, k->path, "cur", &m->cur);
    if (rc == 0)
        rc = walk(k, m->tmp, true);
    if (rc == 0)
        rc = walk(k, m->new, false);
    return rc ? rc : walk(k, m->cur, false);
}

/* Flags of a file name behind ":2,", in ASCII order. */
static void suffix(unsigned flags, char out[16])
{
    out[0] = '\0';
    if (flags)
        snprintf(out, 16, ":2,%s%s%s%s", flags & POST_DRAFT ? "D" : "",
                 flags & POST_FLAGGED ? "F" : "", flags & POST_ANSWERED ? "R" : "",
                 flags & POST_SEEN ? "S" : "");
}

static char *name_of(const struct post_state *st, const struct post_item *item)
{
    struct ph_buf b;
    char random[17];
    ph_buf_init(&b, NULL, 240);
    ph_buf_addf(&b, "%llu.%s-", (unsigned long long)st->validity, st->tag);
    post_state_escape(ph_str_c(item->uid), &b);
    if (!item->uid[0] || ph_buf_err(&b)) { /* a server without UIDL: every letter is new */
        ph_buf_clear(&b);
        ph_buf_addf(&b, "%lld.%s", (long long)time(NULL), ph_random_text(random, 16));
    }
    ph_buf_addf(&b, ".post");
    char *name = ph_buf_err(&b) ? NULL : strdup(ph_buf_cstr(&b));
    ph_buf_done(&b);
    return name;
}

static int tmp_failed(const struct post_sink *k)
{
    const struct maildir *m = k->own;
    return post_fail(EX_IOERR, "cannot write %s/tmp/%s: %s", k->path, m->name, strerror(errno));
}

static int begin_letter(struct post_sink *k, const struct post_item *item)
{
    struct maildir *m = k->own;
    struct waiting *more = ph_grow(m->v, m->n, &m->cap, sizeof *more);
    if (!more)
        return post_fail(EX_OSERR, "out of memory");
    m->v = more;
    m->name = name_of(k->state, item);
    if (!m->name)
        return post_fail(EX_OSERR, "out of memory");
    m->fd = openat(m->tmp, m->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return m->fd < 0 ? tmp_failed(k) : 0;
}

static int maildir_put(struct post_sink *k, const struct post_item *item, ph_str piece, bool last)
{
    struct maildir *m = k->own;
    int rc = m->name ? 0 : begin_letter(k, item);
    /* Small pieces are written together. */
    bool keep = !last || m->held.n;
    if (keep)
        ph_buf_add(&m->held, piece);
    if (rc == 0 && (last || m->held.n >= HELD)) {
        if (ph_buf_err(&m->held))
            rc = post_fail(EX_OSERR, "out of memory");
        else if (ph_memfile_add(m->fd, keep ? ph_buf_str(&m->held) : piece) < 0)
            rc = tmp_failed(k);
        ph_buf_clear(&m->held);
    }
    if (rc || !last)
        return rc;
    close(m->fd);
    m->v[m->n++] = (struct waiting){
        .name = m->name,
        .flags = item->flags & (POST_SEEN | POST_FLAGGED | POST_ANSWERED | POST_DRAFT)};
    m->name = NULL;
    m->fd = -1;
    return 0;
}

static int flush_all(struct post_sink *k)
{
    struct maildir *m = k->own;
    int rc = 0;
    if (m->n > FEW)
        rc = syncfs(m->dir);
    for (size_t i = 0; rc == 0 && m->n <= FEW && i < m->n; i++) {
        int fd = openat(m->tmp, m->v[i].name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        rc = fd < 0 || fsync(fd) < 0 ? -1 : 0;
        if (fd >= 0)
            close(fd);
    }
    return rc < 0 ? post_fail(EX_IOERR, "cannot write %s: %s", k->path, strerror(errno)) : 0;
}

static int maildir_sync(struct post_sink *k, ph_str lines, void (*shown)(void *, const char *),
                        void *ctx)
{
    struct maildir *m = k->own;
    char flags[16], place[320], path[4600];
    bool to_new = false, to_cur = false;
    int rc = flush_all(k);
    for (size_t i = 0; rc == 0 && i < m->n; i++) {
        const struct waiting *w = &m->v[i];
        suffix(w->flags, flags);
        snprintf(place, sizeof place, "%s%s", w->name, flags);
        if (renameat(m->tmp, w->name, w->flags ? m->cur : m->new, place) < 0)
            return post_fail(EX_IOERR, "cannot move %s/tmp/%s: %s", k->path, w->name,
                             strerror(errno));
        *(w->flags ? &to_cur : &to_new) = true;
        snprintf(path, sizeof path, "%s/%s/%s", k->path, w->flags ? "cur" : "new", place);
        shown(ctx, path);
    }
    if (rc == 0 && ((to_new && fsync(m->new) < 0) || (to_cur && fsync(m->cur) < 0)))
        rc = post_fail(EX_IOERR, "cannot write %s: %s", k->path, strerror(errno));
    while (m->n)
        free(m->v[--m->n].name);
    return rc ? rc : post_state_append(k->state->path, lines);
}

static void maildir_close(struct post_sink *k)
{
    struct maildir *m = k->own;
    if (!m)
        return;
    if (m->name) /* it broke off */
        unlinkat(m->tmp, m->name, 0);
    free(m->name);
    for (; m->n; m->n--) { /* what was not made safe */
        unlinkat(m->tmp, m->v[m->n - 1].name, 0);
        free(m->v[m->n - 1].name);
    }
    const int fds[] = {m->tmp, m->new, m->cur, m->dir, m->fd};
    for (size_t i = 0; i < 5; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    ph_buf_done(&m->held);
    free(m->v);
    free(m);
    k->own = NULL;
}

const struct post_sink_ops post_sink_maildir = {where, maildir_open, maildir_put, maildir_sync,
                                                maildir_close};
