/*
 * Delivery into an mbox, where letters can only be appended, by whoever has the lock.
 *
 *   put    at the end of the batch, a file beside
 *   sync   batch: lines for the state and a last line behind it, fsync
 *          renamed: it is the journal               from here on the batch will be there
 *          append to the mbox, fsync
 *          state
 *          journal removed                          the batch is there, and known
 *
 * The last line of the journal tells where in the mbox the batch begins. When the next open finds a
 * journal, it compares it with the mbox at that place: what is missing of it is written there; and
 * when another program has appended behind a piece of it, the file is written anew with the whole
 * batch in its place.
 *
 *   batch lines "post-journal 2 BEGIN LINES-SIZE BATCH-SIZE STATE-PATH\n"
 */
#include "file.h"
#include "sink.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { LINES_MAX = 64 * 1024 * 1024, HELD = 256 * 1024, LAST_LINE_MAX = 4096 + 200 };

struct mbox {
    int fd, batch; /* batch: -1 until there is a letter */
    char journal[4400], batch_path[4410];
    struct post_mbox_writer writer;
    struct ph_buf held; /* end of the batch, not yet in its file */
    uint64_t written;   /* in the file */
    uint64_t whole;     /* of the batch, up to the end of its last whole letter */
};

#define JOURNAL_NAME "post-journal 2 "

/* ---- locks ------------------------------------------------------------------------------- */

/* The lock that mail programs take for reading and appending (fcntl); waits for it. */
static int lock(int fd, short type)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET};
    int rc;
    while ((rc = fcntl(fd, F_OFD_SETLKW, &l)) < 0 && errno == EINTR)
        ;
    return rc;
}

static int failed(const struct post_sink *k)
{
    return post_fail(EX_IOERR, "cannot write %s: %s", k->path, strerror(errno));
}

/* ---- bytes ------------------------------------------------------------------------------- */

static int write_all(int fd, ph_str bytes, uint64_t at)
{
    while (bytes.n) {
        ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)at);
        if (n < 0 && errno != EINTR)
            return -1;
        bytes = ph_str_skip(bytes, n > 0 ? (size_t)n : 0);
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* As many of `n` bytes as there are, 0 at the end; negative: errno. */
static ssize_t read_some(int fd, char *to, uint64_t n, size_t max, uint64_t at)
{
    ssize_t got;
    while ((got = pread(fd, to, n < max ? (size_t)n : max, (off_t)at)) < 0 && errno == EINTR)
        ;
    return got;
}

/* n bytes from one file to another. */
static int copy(int from, uint64_t at, uint64_t n, int to, uint64_t to_at)
{
    char buf[64 * 1024];
    while (n) {
        ssize_t got = read_some(from, buf, n, sizeof buf, at);
        if (got == 0)
            errno = EIO; /* it became shorter meanwhile */
        if (got <= 0 || write_all(to, (ph_str){buf, (size_t)got}, to_at) < 0)
            return -1;
        at += (uint64_t)got;
        to_at += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return 0;
}

/* ---- the journal ------------------------------------------------------------------------- */

struct journal {
    int fd; /* of the batch, which begins at 0 */
    uint64_t begin, batch_n;
    char state[4096];
    struct ph_buf lines;
};

/* The next word of the last line is a number. */
static bool number(ph_str *line, uint64_t *ret)
{
    ph_str word;
    return ph_str_token(line, ' ', &word) && ph_str_u64(word, INT64_MAX, ret);
}

/* Lines and batch have the sizes that the last line tells; their bytes are read later. */
static bool read_last_line(uint64_t size, ph_str end, struct journal *ret, uint64_t *ret_lines)
{
    if (!ph_str_has_suffix(end, PH_STR("\n")))
        return false;
    end.n--;
    size_t before = ph_str_rchr(end, '\n');
    ph_str line = before == PH_NPOS ? end : ph_str_skip(end, before + 1);
    uint64_t last = line.n + 1;
    if (!ph_str_has_prefix(line, PH_STR(JOURNAL_NAME)))
        return false;
    line = ph_str_skip(line, sizeof JOURNAL_NAME - 1);
    if (!number(&line, &ret->begin) || !number(&line, ret_lines) || !number(&line, &ret->batch_n) ||
        line.n >= sizeof ret->state || *ret_lines > LINES_MAX || size - last < *ret_lines ||
        size - last - *ret_lines != ret->batch_n)
        return false;
    snprintf(ret->state, sizeof ret->state, "%.*s", PH_FMT(line));
    return true;
}

static int read_journal(const struct post_sink *k, struct journal *ret)
{
    const struct mbox *m = k->own;
    char end[LAST_LINE_MAX];
    struct stat st;
    uint64_t lines_n = 0;
    ret->fd = open(m->journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (ret->fd < 0 || fstat(ret->fd, &st) < 0)
        return post_fail(EX_IOERR, "cannot read %s: %s", m->journal, strerror(errno));
    uint64_t size = (uint64_t)st.st_size, from = size > sizeof end ? size - sizeof end : 0;
    ssize_t got = read_some(ret->fd, end, size - from, sizeof end, from);
    if (got < 0 || !read_last_line(size, (ph_str){end, (size_t)got}, ret, &lines_n))
        return post_fail(EX_DATAERR, "%s is no journal of post; move it away", m->journal);
    for (uint64_t at = 0; at < lines_n; at += (uint64_t)got) {
        got = read_some(ret->fd, end, lines_n - at, sizeof end, ret->batch_n + at);
        if (got <= 0)
            return post_fail(EX_IOERR, "cannot read %s: %s", m->journal, strerror(errno));
        ph_buf_add(&ret->lines, (ph_str){end, (size_t)got});
    }
    return ph_buf_err(&ret->lines) ? post_fail(EX_OSERR, "out of memory") : 0;
}

/* How much of the batch stands in the mbox at its place. */
static int64_t written(int fd, const struct journal *j)
{
    char here[32 * 1024], there[32 * 1024];
    uint64_t at = 0;
    while (at < j->batch_n) {
        ssize_t n = read_some(fd, here, j->batch_n - at, sizeof here, j->begin + at);
        ssize_t want = n > 0 ? read_some(j->fd, there, (uint64_t)n, sizeof there, at) : n;
        if (n < 0 || want < 0)
            return -1;
        for (ssize_t i = 0; i < want; i++)
            if (here[i] != there[i])
                return (int64_t)at + i;
        if (want <= 0)
            break;
        at += (uint64_t)want;
    }
    return (int64_t)at;
}

/* A letter of another program behind our piece may begin as the batch goes on, so that `same` bytes
 * are alike: the piece ends where that letter begins. */
static int64_t end_of_piece(int fd, const struct journal *j, int64_t same)
{
    char text[5];
    for (int64_t at = same; at >= 0; at--)
        if (pread(fd, text, sizeof text, (off_t)j->begin + at) == sizeof text &&
            memcmp(text, "From ", sizeof text) == 0)
            return at;
    return same;
}

/* Another program wrote behind a piece of ours: before the place, batch, and what follows the
 * piece, in a new file. */
static int rewrite(struct post_sink *k, const struct journal *j, uint64_t piece,
                   const struct stat *st)
{
    struct mbox *m = k->own;
    char beside[PATH_MAX];
    uint64_t size = (uint64_t)st->st_size, behind = j->begin + piece;
    snprintf(beside, sizeof beside, "%s.%ld.new", k->path,
             (long)getpid()); /* as ph_file_sweep knows it */
    int fd = open(beside, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fchmod(fd, st->st_mode & 0777) < 0 || copy(m->fd, 0, j->begin, fd, 0) < 0 ||
        copy(j->fd, 0, j->batch_n, fd, j->begin) < 0 ||
        copy(m->fd, behind, size - behind, fd, j->begin + j->batch_n) < 0 || fsync(fd) < 0 ||
        flock(fd, LOCK_EX | LOCK_NB) < 0 || lock(fd, F_WRLCK) < 0 || rename(beside, k->path) < 0 ||
        ph_folder_sync(k->path) < 0) {
        int rc = failed(k);
        if (fd >= 0)
            close(fd);
        unlink(beside);
        return rc;
    }
    close(m->fd);
    m->fd = fd;
    return 0;
}

/* The batch is in the mbox, its lines in the state, and the journal gone. The mbox is locked. */
static int carry_out(struct post_sink *k, const struct journal *j)
{
    struct mbox *m = k->own;
    struct stat st;
    if (fstat(m->fd, &st) < 0)
        return failed(k);
    struct journal here = *j;
    uint64_t size = (uint64_t)st.st_size;
    if (size < j->begin) /* somebody made it shorter meanwhile */
        here.begin = size;
    int64_t same = written(m->fd, &here);
    if (same < 0)
        return failed(k);
    uint64_t end = here.begin + (uint64_t)same;
    int rc = 0;
    if ((uint64_t)same < here.batch_n && size > end)
        rc = rewrite(k, &here, (uint64_t)end_of_piece(m->fd, &here, same), &st);
    else if (copy(here.fd, (uint64_t)same, here.batch_n - (uint64_t)same, m->fd, end) < 0)
        rc = failed(k);
    if (rc == 0 && fsync(m->fd) < 0)
        rc = failed(k);
    if (rc == 0)
        rc = post_state_append(here.state, ph_buf_str(&here.lines));
    if (rc == 0 && unlink(m->journal) < 0)
        rc = post_fail(EX_IOERR, "cannot remove %s: %s", m->journal, strerror(errno));
    return rc;
}

/* What a crash left: before the state is read. */
static int mend(struct post_sink *k)
{
    const struct mbox *m = k->own;
    struct journal j = {.fd = -1};
    unlink(m->batch_path);
    if (!ph_file_exists(m->journal))
        return 0;
    ph_buf_init(&j.lines, NULL, LINES_MAX);
    int rc = read_journal(k, &j);
    if (rc == 0)
        rc = carry_out(k, &j);
    ph_buf_done(&j.lines);
    if (j.fd >= 0)
        close(j.fd);
    return rc;
}

/* ---- the sink ---------------------------------------------------------------------------- */

static int where(const char *path, char dir[4096], char name[256])
{
    const char *slash = strrchr(path, '/');
    if (strlen(slash ? slash + 1 : path) > 200 || !*(slash ? slash + 1 : path))
        return post_fail(EX_USAGE, "%s is no name for an mbox file", path);
    snprintf(dir, 4096, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    snprintf(name, 256, "%s", slash ? slash + 1 : path);
    return 0;
}

static int mbox_open(struct post_sink *k)
{
    char dir[4096], name[256];
    struct mbox *m = k->own = calloc(1, sizeof *m);
    if (!m)
        return post_fail(EX_OSERR, "out of memory");
    m->fd = m->batch = -1;
    ph_buf_init(&m->held, NULL, SIZE_MAX / 2); /* as large as a piece, and HELD */
    post_mbox_writer_init(&m->writer);
    int rc = where(k->path, dir, name);
    if (rc)
        return rc;
    snprintf(m->journal, sizeof m->journal, "%s/.%s.post-journal", dir, name);
    snprintf(m->batch_path, sizeof m->batch_path, "%s.new", m->journal);
    m->fd = open(k->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (m->fd < 0)
        return post_fail(EX_CANTCREAT, "cannot open %s: %s", k->path, strerror(errno));
    if (flock(m->fd, LOCK_EX | LOCK_NB) < 0)
        return post_fail(EX_TEMPFAIL, "another post fetch is at work on %s", k->path);
    const char *const written_by_us[] = {k->path, m->journal, k->state->path};
    for (size_t i = 0; i < 3; i++)
        ph_file_sweep(written_by_us[i]);
    if (lock(m->fd, F_WRLCK) < 0)
        return failed(k);
    rc = mend(k);
    lock(m->fd, F_UNLCK);
    return rc;
}

static int batch_failed(const struct mbox *m)
{
    return post_fail(EX_IOERR, "cannot write %s: %s", m->batch_path, strerror(errno));
}

static int write_held(struct mbox *m)
{
    if (m->batch < 0)
        m->batch = open(m->batch_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (m->batch < 0 || write_all(m->batch, ph_buf_str(&m->held), m->written) < 0)
        return batch_failed(m);
    m->written += m->held.n;
    ph_buf_clear(&m->held);
    return 0;
}

static int mbox_put(struct post_sink *k, const struct post_item *item, ph_str piece, bool last)
{
    struct mbox *m = k->own;
    (void)item;
    if (post_mbox_write(&m->writer, piece, last, &m->held) < 0)
        return post_fail(EX_OSERR, "out of memory");
    if (last)
        m->whole = m->written + m->held.n;
    return m->held.n >= HELD ? write_held(m) : 0;
}

/* The batch becomes the journal, to begin at the mbox's end. */
static int begin(struct post_sink *k, ph_str lines, struct journal *ret)
{
    struct mbox *m = k->own;
    struct stat st;
    if (fstat(m->fd, &st) < 0)
        return failed(k);
    *ret = (struct journal){.fd = m->batch, .begin = (uint64_t)st.st_size, .batch_n = m->whole};
    snprintf(ret->state, sizeof ret->state, "%s", k->state->path);
    ph_buf_init(&ret->lines, NULL, LINES_MAX);
    ph_buf_add(&ret->lines, lines);
    ph_buf_addf(&m->held, "%.*s" JOURNAL_NAME "%llu %zu %llu %s\n", PH_FMT(lines),
                (unsigned long long)ret->begin, lines.n, (unsigned long long)ret->batch_n,
                ret->state);
    if (ph_buf_err(&ret->lines) || ph_buf_err(&m->held))
        return post_fail(EX_OSERR, "out of memory");
    int rc = write_held(m);
    if (rc == 0 && (fsync(m->batch) < 0 || rename(m->batch_path, m->journal) < 0 ||
                    ph_folder_sync(m->journal) < 0))
        rc = batch_failed(m);
    return rc;
}

static void forget_batch(struct mbox *m)
{
    if (m->batch >= 0)
        close(m->batch);
    m->batch = -1;
    m->written = m->whole = 0;
    ph_buf_clear(&m->held);
}

static int mbox_sync(struct post_sink *k, ph_str lines, void (*shown)(void *, const char *),
                     void *ctx)
{
    struct mbox *m = k->own;
    struct journal j = {0};
    (void)shown; /* one place for all */
    (void)ctx;
    int rc = m->whole ? write_held(m) : 0;
    /* What is behind the last whole letter broke off. */
    if (rc == 0 && m->whole && ftruncate(m->batch, (off_t)m->whole) < 0)
        rc = batch_failed(m);
    m->written = m->whole;
    if (rc == 0 && m->whole) {
        rc = lock(m->fd, F_WRLCK) < 0 ? failed(k) : begin(k, lines, &j);
        if (rc == 0)
            rc = carry_out(k, &j);
        lock(m->fd, F_UNLCK);
        ph_buf_done(&j.lines);
    }
    forget_batch(m);
    return rc;
}

static void mbox_close(struct post_sink *k)
{
    struct mbox *m = k->own;
    if (!m)
        return;
    forget_batch(m);
    if (m->fd >= 0) {
        unlink(m->batch_path); /* only with the lock: m->fd has it */
        close(m->fd);
    }
    ph_buf_done(&m->held);
    post_mbox_writer_done(&m->writer);
    free(m);
    k->own = NULL;
}

const struct post_sink_ops post_sink_mbox = {where, mbox_open, mbox_put, mbox_sync, mbox_close};
