/* The letter that goes out. */
#include "body.h"
#include <errno.h>
#include <fcntl.h>
#include <posthouse/mime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };

void post_body_init(struct post_body *b)
{
    *b = (struct post_body){.fd = -1};
    ph_buf_init(&b->head, NULL, PH_MIME_HEADER);
}

void post_body_done(struct post_body *b)
{
    b->stream = ph_stream_free(b->stream);
    ph_buf_done(&b->head);
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
}

void post_body_rewind(struct post_body *b)
{
    b->stream = ph_stream_free(b->stream);
    b->at = 0;
    b->why = (struct ph_error){0};
}

/* ---- what was built ---------------------------------------------------------------------- */

static int64_t read_email(struct post_body *b, char *to, size_t max)
{
    if (!b->stream && ph_email_stream(b->email, b->flags, &b->stream, &b->why) < 0)
        return -PH_EIO;
    return ph_stream_read(b->stream, to, max, &b->why);
}

int post_body_email(struct post_body *b, struct ph_email *email)
{
    char piece[PIECE];
    int64_t n;
    b->email = email;
    b->flags = ph_email_needs_utf8(email) ? PH_EMAIL_UTF8 : 0;
    while ((n = read_email(b, piece, sizeof piece)) > 0)
        b->size += (uint64_t)n;
    int rc =
        n < 0 ? post_fail(b->why.code == PH_EIO ? EX_NOINPUT : EX_DATAERR, "%s", b->why.text) : 0;
    post_body_rewind(b);
    return rc;
}

/* ---- a file as it is --------------------------------------------------------------------- */

static int64_t read_at(struct post_body *b, uint64_t at, char *to, size_t max)
{
    ssize_t n;
    while ((n = pread(b->fd, to, max, (off_t)at)) < 0 && errno == EINTR)
        ;
    return n < 0 ? ph_fail(&b->why, PH_EIO, errno, "it cannot be read: %s", strerror(errno)) : n;
}

/* A letter that has become shorter meanwhile must not arrive cut off; what was added is not
 * sent. */
static int64_t read_file(struct post_body *b, char *to, size_t max)
{
    ph_str head = ph_str_skip(ph_buf_str(&b->head), (size_t)b->at);
    size_t n = max < b->size - b->at ? max : (size_t)(b->size - b->at);
    if (n == 0)
        return 0;
    if (b->at < b->head.n) {
        n = head.n < n ? head.n : n;
        memcpy(to, head.p, n);
        b->at += n;
        return (int64_t)n;
    }
    int64_t got = read_at(b, b->from + (b->at - b->head.n), to, n);
    if (got == 0)
        return ph_fail(&b->why, PH_EIO, 0, "the file has become shorter");
    b->at += got > 0 ? (uint64_t)got : 0;
    return got;
}

/* What cannot be read twice is copied to where it can. */
static int copy_input(int from)
{
    char piece[PIECE];
    const char *dir = getenv("TMPDIR");
    int fd = open(dir && *dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    ssize_t n = 0, put = 0;
    while (fd >= 0 && (n = read(from, piece, sizeof piece)) != 0) {
        for (ssize_t done = 0; done < n && put >= 0; done += put)
            put = write(fd, piece + done, (size_t)(n - done));
        if (put < 0 || (n < 0 && errno != EINTR))
            break;
    }
    if (fd >= 0 && n == 0 && put >= 0)
        return fd;
    int e = errno;
    if (fd >= 0)
        close(fd);
    errno = e;
    return -1;
}

static int open_input(const char *path)
{
    struct stat st;
    int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                    : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (strcmp(path, "-") != 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    int copy = copy_input(fd);
    close(fd);
    return copy;
}

static int read_head(struct post_body *b)
{
    for (;;) {
        ph_str head = ph_message_head(ph_buf_str(&b->head));
        char *to = head.n < b->head.n ? NULL : ph_buf_reserve(&b->head, PIECE);
        int64_t n = to ? read_at(b, b->head.n, to, PIECE) : 0;
        if (n < 0)
            return (int)n;
        if (n == 0) {
            b->from = head.n;
            b->head.n = head.n;
            return ph_buf_err(&b->head);
        }
        ph_buf_commit(&b->head, (size_t)n);
    }
}

int post_body_file(struct post_body *b, const char *path)
{
    struct stat st;
    b->fd = open_input(path);
    if (b->fd < 0 || fstat(b->fd, &st) < 0)
        return post_fail(EX_NOINPUT, "cannot read %s: %s",
                         strcmp(path, "-") == 0 ? "standard input" : path, strerror(errno));
    int rc = read_head(b);
    if (rc < 0)
        return post_fail(EX_DATAERR, "%s: %s", path,
                         rc == -PH_EIO ? b->why.text : "its header is too long");
    b->size = (uint64_t)st.st_size;
    return 0;
}

/* ---- all of it --------------------------------------------------------------------------- */

int64_t post_body_read(void *ctx, char *to, size_t max)
{
    struct post_body *b = ctx;
    return b->email ? read_email(b, to, max) : read_file(b, to, max);
}

int post_body_write(struct post_body *b, const char *path)
{
    char piece[PIECE];
    bool out = strcmp(path, "-") == 0;
    int fd = out ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *to = out ? stdout : fd < 0 ? NULL : fdopen(fd, "wb");
    int64_t n = 0;
    if (!to)
        return post_fail(EX_CANTCREAT, "cannot write %s: %s", path, strerror(errno));
    post_body_rewind(b);
    while ((n = post_body_read(b, piece, sizeof piece)) > 0)
        if (fwrite(piece, 1, (size_t)n, to) != (size_t)n)
            break;
    bool bad = fflush(to) != 0 || (!out && fsync(fd) != 0);
    int e = errno;
    if (!out)
        bad |= fclose(to) != 0;
    if (n < 0)
        return post_fail(EX_NOINPUT, "%s", b->why.text);
    return bad && !(out && e == EPIPE)
               ? post_fail(EX_IOERR, "cannot write %s: %s", path, strerror(e))
               : 0;
}

int post_body_all(struct post_body *b, struct ph_buf *out)
{
    int64_t n = 0;
    char *to;
    post_body_rewind(b);
    while ((to = ph_buf_reserve(out, PIECE)) && (n = post_body_read(b, to, PIECE)) > 0)
        ph_buf_commit(out, (size_t)n);
    if (n < 0)
        return post_fail(EX_NOINPUT, "%s", b->why.text);
    return to ? 0 : post_fail(EX_DATAERR, "the letter is too large to be shown");
}
