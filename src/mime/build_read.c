/* The bytes of a leaf, from memory, a source or a file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "build_int.h"

static int cannot_read(struct ph_error *reterr, const struct ph_email *e)
{
    return ph_fail(reterr, PH_EIO, errno, "the file %.*s cannot be read: %s", PH_FMT(e->path),
                   strerror(errno));
}

void ph__reader_open(struct ph__reader *r, const struct ph_email *of, struct ph_error *reterr)
{
    *r = (struct ph__reader){.of = of, .fd = -1};
    if (of->path.n) {
        r->fd = open(of->path.p, O_RDONLY | O_CLOEXEC);
        if (r->fd < 0)
            r->err = cannot_read(reterr, of);
    }
}

void ph__reader_close(struct ph__reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

static int64_t read_some(struct ph__reader *r, char *to, size_t n, struct ph_error *reterr)
{
    const struct ph_source *s = r->of->source;
    if (s) {
        int64_t got = s->read(s->ctx, r->at, to, n);
        return got > (int64_t)n ? ph_fail(reterr, PH_EIO, 0, "a source gave too much") : got;
    }
    for (;;) {
        ssize_t got = read(r->fd, to, n);
        if (got >= 0)
            return got;
        if (errno != EINTR)
            return cannot_read(reterr, r->of);
    }
}

ph_str ph__reader_next(struct ph__reader *r, char *room, struct ph_error *reterr)
{
    if (r->err)
        return (ph_str){0};
    if (!r->of->source && !r->of->path.n) {
        ph_str piece = r->at < r->of->bytes.n ? ph_str_sub(r->of->bytes, (size_t)r->at, PH__PIECE)
                                              : (ph_str){0};
        r->at += piece.n;
        return piece;
    }
    size_t have = 0;
    while (have < PH__PIECE) {
        int64_t n = read_some(r, room + have, PH__PIECE - have, reterr);
        if (n < 0)
            r->err = (int)n;
        if (n <= 0)
            break;
        have += (size_t)n;
        r->at += (uint64_t)n;
    }
    return r->err ? (ph_str){0} : (ph_str){room, have};
}
