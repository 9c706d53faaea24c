/* Whole messages from and to file descriptors, whole parts in memory. */
#include <errno.h>
#include <posthouse/build.h>
#include <posthouse/edit.h>
#include <posthouse/mime.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };

static int read_all(int fd, struct ph_buf *to, struct ph_error *reterr)
{
    for (;;) {
        char *room = ph_buf_reserve(to, PIECE);
        ssize_t n = room ? read(fd, room, PIECE) : 0;
        if (!room)
            return ph_fail(reterr, -ph_buf_err(to), 0, "the message is too large");
        if (n < 0 && errno != EINTR)
            return ph_fail(reterr, PH_EIO, errno, "the message cannot be read: %s",
                           strerror(errno));
        if (n == 0)
            return 0;
        ph_buf_commit(to, n > 0 ? (size_t)n : 0);
    }
}

int ph_mime_read(struct ph_arena *arena, int fd, struct ph_message **ret_message,
                 struct ph_error *reterr)
{
    struct ph_buf bytes;
    ph_buf_init(&bytes, NULL, ph_arena_room(arena));
    int rc = read_all(fd, &bytes, reterr);
    ph_str kept = rc < 0 ? (ph_str){0} : ph_arena_copy(arena, ph_buf_str(&bytes));
    ph_buf_done(&bytes);
    if (rc == 0)
        rc = kept.p ? ph_mime_parse(arena, kept, NULL, ret_message) : -PH_ENOMEM;
    return rc == -PH_ENOMEM ? ph_fail(reterr, PH_ENOMEM, 0, "no memory for the message") : rc;
}

static int write_all(int fd, ph_str bytes, struct ph_error *reterr)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR)
            return ph_fail(reterr,
                           errno == ENOSPC || errno == EDQUOT ? PH_EFULL
                           : errno == EPIPE                   ? PH_ECLOSED
                                                              : PH_EIO,
                           errno, "the message cannot be written: %s", strerror(errno));
        bytes = ph_str_skip(bytes, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

int ph_email_write(struct ph_email *e, unsigned flags, int fd, struct ph_error *reterr)
{
    struct ph_stream *stream;
    ph_str piece;
    int rc = ph_email_stream(e, flags, &stream, reterr);
    if (rc)
        return rc;
    while ((rc = ph_stream_next(stream, &piece, reterr)) > 0)
        if ((rc = write_all(fd, piece, reterr)) < 0)
            break;
    ph_stream_free(stream);
    return rc;
}

int ph_edit_write(struct ph_edit *e, int fd, struct ph_error *reterr)
{
    ph_str *slices;
    size_t n;
    int rc = ph_edit_slices(e, &slices, &n);
    if (rc < 0)
        return ph_fail(reterr, -rc, 0, "no memory for the message");
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = write_all(fd, slices[i], reterr);
    return rc;
}

int ph_part_content(struct ph_arena *arena, const struct ph_message *m, const struct ph_part *p,
                    ph_str *ret_content)
{
    struct ph_buf out;
    *ret_content = (ph_str){0};
    if (p->kind != PH_PART_LEAF)
        return 0;
    ph_buf_init(&out, NULL, ph_arena_room(arena));
    int rc = ph_part_is(p, "text", NULL) ? ph_part_text(m, p, &out) : ph_part_decode(m, p, &out);
    *ret_content = rc < 0 ? (ph_str){0} : ph_arena_copy(arena, ph_buf_str(&out));
    ph_buf_done(&out);
    return ret_content->p ? 0 : -PH_ENOMEM;
}
