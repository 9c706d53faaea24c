/* Input that waits to be consumed, and its cutting into lines. */
#include "line.h"
#include <string.h>

void ph_inbuf_init(struct ph_inbuf *in, const struct ph_alloc *al, size_t max)
{
    ph_buf_init(&in->buf, al, max);
    in->from = in->scanned = 0;
}

void ph_inbuf_done(struct ph_inbuf *in)
{
    ph_buf_done(&in->buf);
    in->from = in->scanned = 0;
}

size_t ph_inbuf_room(const struct ph_inbuf *in)
{
    return in->buf.max - (in->buf.n - in->from);
}

/* Moves the rest to the front when at least as much was consumed: each byte moves once at most. */
static void compact(struct ph_inbuf *in, size_t coming)
{
    bool needed = in->buf.n + coming > in->buf.max;
    if (in->from == 0 || (!needed && in->from < in->buf.n - in->from))
        return;
    ph_buf_drop(&in->buf, in->from);
    in->from = 0;
}

int64_t ph_inbuf_add(struct ph_inbuf *in, ph_str more)
{
    more = ph_str_sub(more, 0, ph_inbuf_room(in));
    compact(in, more.n);
    ph_buf_add(&in->buf, more);
    int err = ph_buf_err(&in->buf);
    return err ? err : (int64_t)more.n;
}

ph_str ph_inbuf_rest(const struct ph_inbuf *in)
{
    return ph_str_skip(ph_buf_str(&in->buf), in->from);
}

void ph_inbuf_eat(struct ph_inbuf *in, size_t n)
{
    in->from += n;
    in->scanned = n < in->scanned ? in->scanned - n : 0;
}

void ph_inbuf_clear(struct ph_inbuf *in)
{
    in->from = in->buf.n;
    in->scanned = 0;
}

void ph_inbuf_shrink(struct ph_inbuf *in)
{
    if (in->from == in->buf.n) {
        ph_buf_done(&in->buf);
        in->from = 0;
    }
}

enum ph_line_end ph_line_next(struct ph_inbuf *in, size_t max, ph_str *ret_line)
{
    ph_str rest = ph_inbuf_rest(in);
    size_t look = rest.n < max ? rest.n : max;
    const char *lf =
        look > in->scanned ? memchr(rest.p + in->scanned, '\n', look - in->scanned) : NULL;
    if (!lf) {
        in->scanned = look;
        return rest.n >= max ? PH_LINE_LONG : PH_LINE_NONE;
    }
    size_t n = (size_t)(lf - rest.p);
    ph_inbuf_eat(in, n + 1);
    bool crlf = n > 0 && rest.p[n - 1] == '\r';
    *ret_line = ph_str_sub(rest, 0, crlf ? n - 1 : n);
    bool clean = !memchr(rest.p, '\r', ret_line->n) && !memchr(rest.p, '\0', ret_line->n);
    return crlf && clean ? PH_LINE_CRLF : PH_LINE_BARE;
}

bool ph_line_skip(struct ph_inbuf *in)
{
    ph_str rest = ph_inbuf_rest(in);
    size_t lf = ph_str_chr(rest, '\n');
    ph_inbuf_eat(in, lf == PH_NPOS ? rest.n : lf + 1);
    return lf != PH_NPOS;
}
