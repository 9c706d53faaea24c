/* Both directions of one compressed connection (RFC 4978 3): raw deflate, each write ended so that
 * the peer has all of it. */
#include "deflate.h"
#include <stdlib.h>
#include <zlib.h>

enum { PIECE = 16 * 1024 };

struct ph__deflate {
    z_stream in, out;
};

struct ph__deflate *ph__deflate_new(bool small)
{
    struct ph__deflate *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    if (inflateInit2(&d->in, -MAX_WBITS) != Z_OK ||
        deflateInit2(&d->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED, small ? -13 : -MAX_WBITS,
                     small ? 6 : 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return ph__deflate_free(d);
    return d;
}

struct ph__deflate *ph__deflate_free(struct ph__deflate *d)
{
    if (!d)
        return NULL;
    inflateEnd(&d->in);
    deflateEnd(&d->out);
    free(d);
    return NULL;
}

int ph__deflate_put(struct ph__deflate *d, ph_str in, struct ph_buf *out)
{
    d->out.next_in = (unsigned char *)in.p;
    d->out.avail_in = (unsigned)in.n;
    do {
        char *at = ph_buf_reserve(out, PIECE);
        if (!at)
            return ph_buf_err(out);
        d->out.next_out = (unsigned char *)at;
        d->out.avail_out = PIECE;
        if (deflate(&d->out, Z_SYNC_FLUSH) == Z_STREAM_ERROR)
            return -PH_EIO;
        ph_buf_commit(out, PIECE - d->out.avail_out);
    } while (d->out.avail_out == 0);
    return 0;
}

int64_t ph__deflate_take(struct ph__deflate *d, ph_str *in, char *to, size_t max)
{
    d->in.next_in = (unsigned char *)in->p;
    d->in.avail_in = (unsigned)in->n;
    d->in.next_out = (unsigned char *)to;
    d->in.avail_out = (unsigned)max;
    int r = inflate(&d->in, Z_SYNC_FLUSH);
    *in = ph_str_skip(*in, in->n - d->in.avail_in);
    if (r != Z_OK && r != Z_BUF_ERROR)
        return r == Z_MEM_ERROR ? -PH_ENOMEM : -PH_ESYNTAX; /* a stream has no end here */
    return (int64_t)(max - d->in.avail_out);
}
