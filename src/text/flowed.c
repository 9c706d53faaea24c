/*
 * format=flowed (RFC 3676). A line is quote marks, perhaps a stuffed space, and text; a text that
 * ends with a space flows into the next line of the same quote depth. "-- " alone never flows.
 */
#include <posthouse/text.h>

#include "utf8.h"

enum { DEPTH_MOST = 200, WIDTH_LEAST = 20, WIDTH_MOST = 900 };

static const ph_str signature = PH_STR_INIT("-- ");

static ph_str cut_line(ph_str *rest)
{
    ph_str line;
    ph_str_token(rest, '\n', &line);
    while (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

static size_t cut_quotes(ph_str *line)
{
    size_t n = 0;
    while (n < line->n && line->p[n] == '>')
        n++;
    *line = ph_str_skip(*line, n);
    return n;
}

static void add_quotes(struct ph_buf *out, size_t depth)
{
    for (size_t i = 0; i < depth && i < DEPTH_MOST; i++)
        ph_buf_addc(out, '>');
}

int ph_flowed_decode(ph_str text, bool del_sp, struct ph_buf *out)
{
    bool open = false; /* the last line flows on */
    size_t depth = 0;
    while (text.n && !ph_buf_err(out)) {
        ph_str line = cut_line(&text);
        size_t quotes = cut_quotes(&line);
        if (line.n && line.p[0] == ' ')
            line = ph_str_skip(line, 1);
        bool is_signature = ph_str_eq(line, signature);
        if (open && (quotes != depth || is_signature)) { /* RFC 3676 4.5: the depth ends it */
            ph_buf_addc(out, '\n');
            open = false;
        }
        if (!open) {
            add_quotes(out, quotes);
            if (quotes && line.n)
                ph_buf_addc(out, ' ');
        }
        depth = quotes;
        open = line.n && line.p[line.n - 1] == ' ' && !is_signature;
        line.n -= open && del_sp;
        ph_buf_add(out, line);
        if (!open)
            ph_buf_addc(out, '\n');
    }
    if (open)
        ph_buf_addc(out, '\n');
    return ph_buf_err(out);
}

/* How much of a paragraph goes on a line of `width` characters: up to behind a space, or all of
 * it, or, when the first word is longer than that, the first word. */
static size_t fitting(ph_str s, size_t width)
{
    size_t at = 0, chars = 0, fits = 0;
    while (at < s.n) {
        size_t len = ph_utf8_step(ph_str_skip(s, at));
        bool space = s.p[at] == ' ';
        at += len ? len : 1;
        chars++;
        if (space && at < s.n && (chars <= width || fits == 0) && at != signature.n)
            fits = at;
        if (chars > width && fits)
            return fits;
    }
    return chars > width && fits ? fits : s.n;
}

static void add_stuffed(struct ph_buf *out, ph_str s, size_t depth)
{
    add_quotes(out, depth);
    if (s.n && (depth || s.p[0] == ' ' || s.p[0] == '>' || ph_str_has_prefix(s, PH_STR("From "))))
        ph_buf_addc(out, ' ');
    ph_buf_add(out, s);
    ph_buf_addc(out, '\n');
}

int ph_flowed_encode(ph_str text, unsigned width, struct ph_buf *out)
{
    size_t most = width == 0 ? PH_FLOWED_WIDTH : width;
    most = most < WIDTH_LEAST ? WIDTH_LEAST : most > WIDTH_MOST ? WIDTH_MOST : most;
    while (text.n && !ph_buf_err(out)) {
        ph_str line = cut_line(&text);
        size_t depth = cut_quotes(&line), used = depth < most / 2 ? depth : most / 2;
        if (depth && line.n && line.p[0] == ' ')
            line = ph_str_skip(line, 1);
        while (!ph_str_eq(line, signature) && line.n &&
               (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\r'))
            line.n--;
        do {
            size_t n = fitting(line, most - used - 1);
            add_stuffed(out, (ph_str){line.p, n}, depth);
            line = ph_str_skip(line, n);
        } while (line.n);
    }
    return ph_buf_err(out);
}
