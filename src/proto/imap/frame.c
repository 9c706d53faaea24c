/*
 * Where a command or a response ends, found before anything is parsed.
 *
 *            text of a line                    bytes of a literal
 *   +--> IN_LINE --"{n}" CRLF--> LITERAL? --KEEP----> IN_KEPT ----+
 *   |      | CRLF                   |-------STREAM--> IN_STREAM --+ n bytes
 *   |      v                        |-------SKIP----> IN_SKIP ----+
 *   |    LINE: whole                +-------REFUSED-> the message is over: the peer waits for "+"
 *   |                                                 in vain
 *   +-------------------------------------------------------------+
 *
 * A message that outgrows its maximum is followed to its end all the same (overflow), literals
 * included, so that the stream stays in step. LF alone ends a line too; text always gets CRLF
 * behind a literal's head.
 */
#include "ascii.h"
#include "imap_int.h"
#include <string.h>

void ph__imap_frame_reset(struct ph__imap_frame *f)
{
    *f = (struct ph__imap_frame){0};
}

static void keep(struct ph__imap_frame *f, struct ph_buf *text, size_t max, ph_str s)
{
    if (f->overflow || s.n > max || text->n > max - s.n) {
        f->overflow = true;
        f->skipped += s.n;
        return;
    }
    ph_buf_add(text, s);
}

static void remember_tail(struct ph__imap_frame *f, ph_str s)
{
    if (s.n >= sizeof f->tail) {
        memcpy(f->tail, s.p + s.n - sizeof f->tail, sizeof f->tail);
        f->tail_n = sizeof f->tail;
        return;
    }
    size_t old = f->tail_n + s.n > sizeof f->tail ? sizeof f->tail - s.n : f->tail_n;
    memmove(f->tail, f->tail + f->tail_n - old, old);
    if (s.n)
        memcpy(f->tail + old, s.p, s.n);
    f->tail_n = old + s.n;
}

static void track_quotes(struct ph__imap_frame *f, ph_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (f->escaped)
            f->escaped = false;
        else if (f->quoted && s.p[i] == '\\')
            f->escaped = true;
        else if (s.p[i] == '"')
            f->quoted = !f->quoted;
        f->nul |= s.p[i] == '\0';
    }
}

/* Does the line end in a literal's head? Sets size and sync. */
static bool announces_literal(struct ph__imap_frame *f)
{
    ph_str t = {f->tail, f->tail_n};
    if (f->quoted || t.n < 3 || t.p[t.n - 1] != '}')
        return false;
    t.n--;
    bool plus = t.p[t.n - 1] == '+';
    t.n -= plus;
    size_t from = t.n;
    while (from && ph_is_digit(t.p[from - 1]))
        from--;
    if (from == t.n)
        return false;
    bool cut = from == 0 && f->tail_n == sizeof f->tail; /* more digits than any size has */
    if (!cut && (from == 0 || t.p[from - 1] != '{'))
        return false;
    if (!ph_str_u64(ph_str_skip(t, from), UINT64_MAX, &f->size))
        f->size = UINT64_MAX;
    f->sync = !plus;
    return true;
}

static enum ph__imap_step line_done(struct ph__imap_frame *f, struct ph_buf *text, size_t max)
{
    if (f->tail_n && f->tail[f->tail_n - 1] == '\r') {
        f->tail_n--;
        if (!f->overflow && text->n && text->p[text->n - 1] == '\r')
            text->n--;
    }
    bool literal = announces_literal(f);
    f->tail_n = 0;
    f->quoted = f->escaped = false;
    if (!literal)
        return IMAP_STEP_LINE;
    keep(f, text, max, PH_STR("\r\n"));
    return IMAP_STEP_LITERAL;
}

static enum ph__imap_step in_line(struct ph__imap_frame *f, ph_str in, size_t *ret_used,
                                  struct ph_buf *text, size_t max)
{
    const char *lf = in.n ? memchr(in.p, '\n', in.n) : NULL;
    ph_str s = {in.p, lf ? (size_t)(lf - in.p) : in.n};
    track_quotes(f, s);
    remember_tail(f, s);
    keep(f, text, max, s);
    *ret_used = s.n + (lf != NULL);
    return lf ? line_done(f, text, max) : IMAP_STEP_MORE;
}

void ph__imap_frame_literal(struct ph__imap_frame *f, enum ph__imap_literal what)
{
    static const int modes[] = {IMAP_IN_KEPT, IMAP_IN_STREAM, IMAP_IN_SKIP, IMAP_IN_LINE};
    f->mode = (int)modes[what];
    f->left = what == IMAP_LITERAL_REFUSED ? 0 : f->size;
}

enum ph__imap_step ph__imap_frame_step(struct ph__imap_frame *f, ph_str in, size_t *ret_used,
                                       struct ph_buf *text, size_t max, ph_str *ret_chunk)
{
    if (f->mode == IMAP_IN_LINE)
        return in_line(f, in, ret_used, text, max);
    ph_str s = ph_str_sub(in, 0, f->left > in.n ? in.n : (size_t)f->left);
    int mode = f->mode;
    f->left -= s.n;
    *ret_used = s.n;
    if (mode == IMAP_IN_KEPT)
        keep(f, text, max, s);
    if (mode == IMAP_IN_SKIP)
        f->skipped += s.n;
    if (mode == IMAP_IN_STREAM && s.n) {
        *ret_chunk = s;
        return IMAP_STEP_CHUNK;
    }
    if (f->left)
        return IMAP_STEP_MORE;
    f->mode = IMAP_IN_LINE;
    if (mode == IMAP_IN_STREAM)
        return IMAP_STEP_STREAMED;
    return IMAP_STEP_MORE;
}
