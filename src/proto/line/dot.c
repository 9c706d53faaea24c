/*
 * Dot-stuffed text, read and written.
 *
 * Both scan for CR and for LF with memchr, so that the usual line costs two calls and no look at
 * its bytes, and both hand out or copy runs that are as long as possible: a run is broken only by a
 * dot to be removed or added, or by a bare CR or LF.
 */
#include "line.h"
#include <string.h>

/* ---- reader ------------------------------------------------------------------------------ */

enum { START, TEXT };

void ph_undot_init(struct ph_undot *u)
{
    *u = (struct ph_undot){.state = START};
}

/* At the start of a line that begins with a dot. 1: the end, *ret_eaten counts it; 0: the dot alone
 * is eaten; -1: the bytes that decide are not here. */
static int at_dot(ph_str in, size_t *ret_eaten)
{
    if (in.n == 1 || (in.n == 2 && in.p[1] == '\r'))
        return -1;
    bool end = in.p[1] == '\r' && in.p[2] == '\n';
    *ret_eaten = end ? 3 : 1;
    return end;
}

/* The end of the run of text that starts at `in`: behind the CRLF before the next line that begins
 * with a dot, or the end of input without a trailing CR. */
static size_t run(struct ph_undot *u, ph_str in)
{
    size_t i = 0;
    while (i < in.n) {
        const char *cr = memchr(in.p + i, '\r', in.n - i);
        size_t to = cr ? (size_t)(cr - in.p) : in.n;
        if (!u->bare && memchr(in.p + i, '\n', to - i))
            u->bare = true;
        if (!cr || to + 1 == in.n)
            return to;
        i = to + 1;
        if (in.p[i] != '\n') {
            u->bare = true;
            continue;
        }
        i++;
        if (i < in.n && in.p[i] == '.')
            return i;
    }
    return i;
}

int ph_undot_next(struct ph_undot *u, ph_str in, size_t *ret_eaten, ph_str *ret_text)
{
    *ret_eaten = 0;
    *ret_text = (ph_str){0};
    if (in.n == 0)
        return 0;
    if (u->state == START && in.p[0] == '.') {
        int r = at_dot(in, ret_eaten);
        if (r != 0)
            return r > 0;
        u->state = TEXT;
        in = ph_str_skip(in, 1);
    }
    *ret_text = ph_str_sub(in, 0, run(u, in));
    *ret_eaten += ret_text->n;
    if (ret_text->n)
        u->state = ph_str_has_suffix(*ret_text, PH_STR("\r\n")) ? START : TEXT;
    return 0;
}

/* ---- writer ------------------------------------------------------------------------------ */

enum { AT_START, AT_TEXT, AT_CR }; /* AT_CR: a CR was seen and not yet written */

void ph_dot_init(struct ph_dot *d, bool strict)
{
    *d = (struct ph_dot){.at = AT_START, .strict = strict};
}

static int bare(struct ph_dot *d, struct ph_buf *out)
{
    if (d->strict)
        return -PH_ESYNTAX;
    ph_buf_add(out, PH_STR("\r\n"));
    d->at = AT_START;
    return 0;
}

/* How much of `text`, whose first dot is taken care of, can be copied as it is: up to the next line
 * that starts with a dot, a bare CR or LF, or a CR at the end. Every LF in it is a CRLF's. */
static size_t plain(ph_str text)
{
    size_t i = 0;
    while (i < text.n) {
        const char *cr = memchr(text.p + i, '\r', text.n - i);
        size_t to = cr ? (size_t)(cr - text.p) : text.n;
        const char *lf = memchr(text.p + i, '\n', to - i);
        if (lf)
            return (size_t)(lf - text.p);
        if (!cr || to + 1 == text.n || text.p[to + 1] != '\n')
            return to;
        i = to + 2;
        if (i < text.n && text.p[i] == '.')
            return i;
    }
    return i;
}

int ph_dot_add(struct ph_dot *d, struct ph_buf *out, ph_str text)
{
    while (text.n) {
        char c = text.p[0];
        if (d->at == AT_CR) {
            if (c == '\n') {
                ph_buf_add(out, PH_STR("\r\n"));
                d->at = AT_START;
                text = ph_str_skip(text, 1);
            } else if (bare(d, out) < 0) {
                return -PH_ESYNTAX;
            }
            continue;
        }
        if (c == '\n') {
            if (bare(d, out) < 0)
                return -PH_ESYNTAX;
            text = ph_str_skip(text, 1);
            continue;
        }
        if (d->at == AT_START && c == '.' && !d->no_dots)
            ph_buf_addc(out, '.');
        size_t n = plain(text);
        ph_buf_add(out, ph_str_sub(text, 0, n));
        if (n)
            d->at = text.p[n - 1] == '\n' ? AT_START : AT_TEXT;
        text = ph_str_skip(text, n);
        if (text.n && text.p[0] == '\r') {
            d->at = AT_CR;
            text = ph_str_skip(text, 1);
        }
    }
    return 0;
}

int ph_dot_end(struct ph_dot *d, struct ph_buf *out)
{
    if (d->at == AT_CR && d->strict)
        return -PH_ESYNTAX;
    if (d->at != AT_START)
        ph_buf_add(out, PH_STR("\r\n"));
    if (!d->no_dots)
        ph_buf_add(out, PH_STR(".\r\n"));
    d->at = AT_START;
    return 0;
}
