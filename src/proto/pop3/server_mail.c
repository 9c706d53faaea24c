/* The POP3 server engine: lists and messages, written as the peer reads. */
#include "server_int.h"

#include <string.h>

void ph__pop3_say_uid(struct ph_pop3_server *s, const char *before, uint32_t number,
                      const struct pop3_message *m)
{
    if (m->name)
        ph__pop3_say(s, "%s%u %s", before, (unsigned)number, s->names.p + m->name - 1);
    else
        ph__pop3_say(s, "%s%u %llu.%llu", before, (unsigned)number, (unsigned long long)s->prefix,
                     (unsigned long long)m->uid);
}

static void refill_list(struct ph_pop3_server *s)
{
    while (s->listed < s->count && s->out.n < POP3_OUT_HIGH) {
        const struct pop3_message *m = &s->messages[s->listed++];
        if (m->size & POP3_DELETED)
            continue;
        if (s->listing == PH_POP3_LIST)
            ph__pop3_say(s, "%u %llu", (unsigned)s->listed, (unsigned long long)m->size);
        else
            ph__pop3_say_uid(s, "", s->listed, m);
    }
    if (s->listed == s->count && s->out.n < POP3_OUT_HIGH) {
        ph__pop3_say(s, ".");
        s->busy = IDLE;
    }
}

/* One line of TOP's account, its LF included: whether it is the last that was asked for. */
static bool is_last_line(struct ph_pop3_server *s)
{
    bool empty = !s->line_begun;
    s->line_begun = false;
    if (s->in_header) {
        s->in_header = !empty;
        return empty && s->lines == 0;
    }
    return --s->lines == 0;
}

/* How much of `piece` TOP asks for; *ret_done when no more is. */
static size_t cut_for_top(struct ph_pop3_server *s, ph_str piece, bool *ret_done)
{
    size_t i = 0;
    while (i < piece.n) {
        const char *lf = memchr(piece.p + i, '\n', piece.n - i);
        size_t to = lf ? (size_t)(lf - piece.p) : piece.n;
        for (; i < to && !s->line_begun; i++)
            s->line_begun = piece.p[i] != '\r';
        if (!lf)
            return piece.n;
        i = to + 1;
        if (is_last_line(s)) {
            *ret_done = true;
            return i;
        }
    }
    return i;
}

static void end_mail(struct ph_pop3_server *s)
{
    if (ph_dot_end(&s->dot, &s->out) < 0)
        ph__pop3_end(s, PH_ESYNTAX, "the message can not be written");
    s->part = (ph_str){0};
    s->more = true;
    if (s->state != POP3_OVER)
        s->busy = IDLE;
}

static void refill_mail(struct ph_pop3_server *s)
{
    bool done = false;
    while (s->part.n && s->out.n < POP3_OUT_HIGH && !done) {
        ph_str piece = ph_str_sub(s->part, 0, POP3_PIECE);
        size_t n = s->lines == PH_POP3_WHOLE ? piece.n : cut_for_top(s, piece, &done);
        if (ph_dot_add(&s->dot, &s->out, ph_str_sub(piece, 0, n)) < 0)
            done = true; /* can not happen: the writer is not strict */
        s->part = ph_str_skip(s->part, n);
    }
    if (done || (s->part.n == 0 && s->part_last)) {
        end_mail(s);
    } else if (s->part.n == 0) {
        s->more = true;
        s->busy = OWNER; /* for the next part */
    }
}

void ph__pop3_refill(struct ph_pop3_server *s)
{
    if (s->out.n >= POP3_OUT_HIGH)
        return;
    if (s->busy == LISTING)
        refill_list(s);
    else if (s->busy == MAILING)
        refill_mail(s);
}

void ph_pop3_server_body(struct ph_pop3_server *s, ph_str part, bool last)
{
    if (s->busy != OWNER || s->state != POP3_TRANSACTION)
        return;
    if (!s->began) {
        uint64_t size = s->messages[s->event.number].size & ~POP3_DELETED;
        s->began = true;
        s->in_header = true;
        s->line_begun = false;
        ph_dot_init(&s->dot, false);
        if (s->lines == PH_POP3_WHOLE)
            ph__pop3_say(s, "+OK %llu octets", (unsigned long long)size);
        else
            ph__pop3_say(s, "+OK");
    }
    s->part = part;
    s->part_last = last;
    s->busy = MAILING;
    ph__pop3_refill(s);
}

void ph_pop3_server_abort(struct ph_pop3_server *s)
{
    ph__pop3_end(s, PH_EIO, "the message could not be read to its end");
}
