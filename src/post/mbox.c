/*
 * Delivery into an mbox, where letters can only be appended, by whoever has the lock.
 *
 *   put    in memory
 *   sync   journal: beside, fsync, rename           from here on the batch will be there
 *          append to the mbox, fsync
 *          state
 *          journal removed                          the batch is there, and known
 *
 * The journal holds where the batch begins, the lines for the state and the batch itself. When the
 * next open finds one, it compares it with the mbox at that place: what is missing of it is written
 * there; and when another program has appended behind a piece of it, the file is written anew with
 * the whole batch in its place.
 *
 *   "post-journal 1 BEGIN LINES-SIZE BATCH-SIZE STATE-PATH\n" lines batch
 */
#include "file.h"
#include "sink.h"
#include <errno.h>
#include <fcntl.h>
#include <posthouse/mime.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { JOURNAL_MAX = 1536 * 1024 * 1024, ARENA_MAX = 16 * 1024 * 1024 };

struct mbox {
    int fd;
    char journal[4400];
    struct ph_buf batch;
};

#define JOURNAL_NAME "post-journal 1 "

/* ---- the format -------------------------------------------------------------------------- */

static bool is_from_line(ph_str line)
{
    while (line.n && line.p[0] == '>')
        line = ph_str_skip(line, 1);
    return ph_str_has_prefix(line, PH_STR("From "));
}

/* "From sender Sun Nov 22 19:53:48 2026": who by Return-Path or From, when by Date, else now. */
static void from_line(ph_str letter, struct ph_buf *out)
{
    struct ph_arena *arena = ph_arena_new(NULL, ARENA_MAX);
    ph_str head = ph_message_head(letter);
    struct ph_address *a = NULL;
    struct ph_field f;
    struct ph_date d;
    char when[40];
    struct tm tm;
    time_t t = time(NULL);
    if (arena && (ph_field_find(head, PH_STR("Return-Path"), 0, &f) ||
                  ph_field_find(head, PH_STR("From"), 0, &f)))
        (void)!ph_address_parse(arena, f.value, &a);
    ph_str who = a && a->host.n
                     ? ph_arena_printf(arena, "%.*s@%.*s", PH_FMT(a->local), PH_FMT(a->host))
                     : PH_STR("MAILER-DAEMON");
    ph_buf_add(out, PH_STR("From "));
    for (size_t i = 0; i < who.n; i++) /* one word */
        ph_buf_addc(out, (unsigned char)who.p[i] <= ' ' ? '-' : who.p[i]);
    if (ph_field_find(head, PH_STR("Date"), 0, &f) && ph_date_parse(f.value, &d) == 0)
        t = (time_t)d.time;
    gmtime_r(&t, &tm);
    strftime(when, sizeof when, " %a %b %e %H:%M:%S %Y\n", &tm);
    ph_buf_add(out, ph_str_c(when));
    ph_arena_free(arena);
}

void post_mbox_write(ph_str letter, struct ph_buf *out)
{
    from_line(letter, out);
    while (letter.n) {
        size_t end = ph_str_chr(letter, '\n');
        ph_str line = ph_str_sub(letter, 0, end);
        letter = end == PH_NPOS ? (ph_str){0} : ph_str_skip(letter, end + 1);
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (is_from_line(line))
            ph_buf_addc(out, '>');
        ph_buf_add(out, line);
        ph_buf_addc(out, '\n');
    }
    ph_buf_addc(out, '\n');
}

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

/* ---- the journal ------------------------------------------------------------------------- */

struct journal {
    uint64_t begin;
    char state[4096];
    ph_str lines, batch; /* borrowed from the file's bytes */
};

/* The next word of the first line is a number. */
static bool number(ph_str *line, uint64_t *ret)
{
    ph_str word;
    return ph_str_token(line, ' ', &word) && ph_str_u64(word, JOURNAL_MAX * UINT64_C(1000), ret);
}

static bool read_journal(ph_str bytes, struct journal *ret)
{
    uint64_t lines_n, batch_n;
    size_t end = ph_str_chr(bytes, '\n');
    ph_str line = ph_str_sub(bytes, 0, end);
    if (end == PH_NPOS || !ph_str_has_prefix(line, PH_STR(JOURNAL_NAME)))
        return false;
    line = ph_str_skip(line, sizeof JOURNAL_NAME - 1);
    if (!number(&line, &ret->begin) || !number(&line, &lines_n) || !number(&line, &batch_n) ||
        line.n >= sizeof ret->state)
        return false;
    bytes = ph_str_skip(bytes, end + 1);
    if (bytes.n != lines_n + batch_n || lines_n > bytes.n)
        return false;
    snprintf(ret->state, sizeof ret->state, "%.*s", PH_FMT(line));
    ret->lines = ph_str_sub(bytes, 0, lines_n);
    ret->batch = ph_str_skip(bytes, lines_n);
    return true;
}

/* How much of the batch stands in the mbox at its place. */
static int64_t written(int fd, const struct journal *j)
{
    static char buf[64 * 1024];
    size_t at = 0;
    while (at < j->batch.n) {
        size_t want = j->batch.n - at < sizeof buf ? j->batch.n - at : sizeof buf;
        ssize_t n = pread(fd, buf, want, (off_t)(j->begin + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        for (ssize_t i = 0; i < n; i++)
            if (buf[i] != j->batch.p[at + (size_t)i])
                return (int64_t)(at + (size_t)i);
        if (n == 0)
            break;
        at += (size_t)n;
    }
    return (int64_t)at;
}

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
static int rewrite(struct post_sink *k, const struct journal *j, size_t piece, mode_t mode)
{
    struct mbox *m = k->own;
    struct ph_buf b, whole;
    struct ph_error e;
    ph_buf_init(&b, NULL, SIZE_MAX / 2);
    ph_buf_init(&whole, NULL, SIZE_MAX / 2);
    int rc = post_read_file(k->path, &b);
    ph_str old = ph_buf_str(&b);
    ph_buf_add(&whole, ph_str_sub(old, 0, j->begin));
    ph_buf_add(&whole, j->batch);
    ph_buf_add(&whole, ph_str_skip(old, j->begin + piece));
    if (rc == 0 && (ph_buf_err(&whole) || ph_file_write(k->path, ph_buf_str(&whole), mode, &e) < 0))
        rc = post_fail(EX_IOERR, "%s", ph_buf_err(&whole) ? "out of memory" : e.text);
    ph_buf_done(&b);
    ph_buf_done(&whole);
    if (rc)
        return rc;
    int fd = open(k->path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || lock(fd, F_WRLCK) < 0) {
        rc = failed(k);
        if (fd >= 0)
            close(fd);
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
    if ((uint64_t)st.st_size < j->begin) /* somebody made it shorter meanwhile */
        here.begin = (uint64_t)st.st_size;
    int64_t piece = written(m->fd, &here);
    if (piece < 0)
        return failed(k);
    uint64_t end = here.begin + (uint64_t)piece;
    int rc = 0;
    if ((size_t)piece < here.batch.n && (uint64_t)st.st_size > end)
        piece = end_of_piece(m->fd, &here, piece);
    if ((size_t)piece < here.batch.n) {
        if ((uint64_t)st.st_size > end)
            rc = rewrite(k, &here, (size_t)piece, st.st_mode & 0777);
        else if (write_all(m->fd, ph_str_skip(here.batch, (size_t)piece), end) < 0)
            rc = failed(k);
    }
    if (rc == 0 && fsync(m->fd) < 0)
        rc = failed(k);
    if (rc == 0)
        rc = post_state_append(here.state, here.lines);
    if (rc == 0 && unlink(m->journal) < 0)
        rc = post_fail(EX_IOERR, "cannot remove %s: %s", m->journal, strerror(errno));
    return rc;
}

/* What a crash left: before the state is read. */
static int mend(struct post_sink *k)
{
    struct mbox *m = k->own;
    struct journal j;
    struct ph_buf b;
    if (!ph_file_exists(m->journal))
        return 0;
    ph_buf_init(&b, NULL, JOURNAL_MAX);
    int rc = post_read_file(m->journal, &b);
    if (rc == 0 && !read_journal(ph_buf_str(&b), &j))
        rc = post_fail(EX_DATAERR, "%s is no journal of post; move it away", m->journal);
    if (rc == 0)
        rc = carry_out(k, &j);
    ph_buf_done(&b);
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
    m->fd = -1;
    ph_buf_init(&m->batch, NULL, JOURNAL_MAX / 2);
    int rc = where(k->path, dir, name);
    if (rc)
        return rc;
    snprintf(m->journal, sizeof m->journal, "%s/.%s.post-journal", dir, name);
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

static int mbox_put(struct post_sink *k, const struct post_item *item, ph_str bytes)
{
    struct mbox *m = k->own;
    (void)item;
    post_mbox_write(bytes, &m->batch);
    return ph_buf_err(&m->batch) ? post_fail(EX_OSERR, "out of memory") : 0;
}

/* The journal of this batch, to begin at the mbox's end. */
static int begin(struct post_sink *k, ph_str lines, struct journal *ret)
{
    struct mbox *m = k->own;
    struct ph_buf b;
    struct ph_error e;
    struct stat st;
    if (fstat(m->fd, &st) < 0)
        return failed(k);
    *ret = (struct journal){
        .begin = (uint64_t)st.st_size, .lines = lines, .batch = ph_buf_str(&m->batch)};
    snprintf(ret->state, sizeof ret->state, "%s", k->state->path);
    ph_buf_init(&b, NULL, JOURNAL_MAX);
    ph_buf_addf(&b, JOURNAL_NAME "%llu %zu %zu %s\n", (unsigned long long)ret->begin, lines.n,
                ret->batch.n, ret->state);
    ph_buf_add(&b, lines);
    ph_buf_add(&b, ret->batch);
    int rc = 0;
    if (ph_buf_err(&b) || ph_file_write(m->journal, ph_buf_str(&b), 0600, &e) < 0)
        rc = post_fail(EX_IOERR, "%s", ph_buf_err(&b) ? "out of memory" : e.text);
    ph_buf_done(&b);
    return rc;
}

static int mbox_sync(struct post_sink *k, ph_str lines, void (*shown)(void *, const char *),
                     void *ctx)
{
    struct mbox *m = k->own;
    struct journal j;
    (void)shown; /* one place for all */
    (void)ctx;
    if (m->batch.n == 0)
        return 0;
    if (lock(m->fd, F_WRLCK) < 0)
        return failed(k);
    int rc = begin(k, lines, &j);
    if (rc == 0)
        rc = carry_out(k, &j);
    lock(m->fd, F_UNLCK);
    ph_buf_clear(&m->batch);
    return rc;
}

static void mbox_close(struct post_sink *k)
{
    struct mbox *m = k->own;
    if (!m)
        return;
    if (m->fd >= 0)
        close(m->fd);
    ph_buf_done(&m->batch);
    free(m);
    k->own = NULL;
}

const struct post_sink_ops post_sink_mbox = {where, mbox_open, mbox_put, mbox_sync, mbox_close};
