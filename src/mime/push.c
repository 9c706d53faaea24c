/*
 * The parser fed piece by piece. The engine runs over each piece where it lies; only the line
 * that it could not judge yet, and PH__CONTEXT bytes before it, are carried over to the next.
 */
#include "parse_int.h"

#include <string.h>

struct ph_mime_parser *ph_mime_parser_new(struct ph_arena *arena,
                                          const struct ph_mime_limits *limits)
{
    struct ph_mime_parser *ps = PH_ARENA_NEW(arena, struct ph_mime_parser);
    if (!ps)
        return NULL;
    ps->is_pushed = true;
    ps->carry = ph_arena_get(arena, PH__CARRY);
    ps->begin = ps->at = ps->end = ps->carry;
    if (!ps->carry || ph__parser_init(ps, arena, limits) || ph__parser_begin(ps))
        return NULL;
    return ps;
}

/* Runs over a window whose first `context` bytes were dealt with. What is left of it begins at
 * ps->begin then. */
static void run(struct ph_mime_parser *ps, ph_str window)
{
    ps->begin = window.p;
    ps->at = window.p + ps->context;
    ps->end = window.p + window.n;
    ps->err = ph__parser_run(ps);
    size_t dealt = (size_t)(ps->at - ps->begin);
    ps->context = dealt < PH__CONTEXT ? dealt : PH__CONTEXT;
    ps->base += dealt - ps->context;
    ps->begin += dealt - ps->context;
}

static void carry(struct ph_mime_parser *ps)
{
    ps->kept = (size_t)(ps->end - ps->begin);
    if (ps->begin != ps->carry && ps->kept)
        memmove(ps->carry, ps->begin, ps->kept);
}

int ph_mime_parser_feed(struct ph_mime_parser *ps, ph_str bytes)
{
    ph__odd_feed(&ps->odd, bytes);
    while (!ps->err && bytes.n && ps->kept) {
        ph_str add = ph_str_sub(bytes, 0, PH__CARRY - ps->kept);
        memcpy(ps->carry + ps->kept, bytes.p, add.n);
        run(ps, (ph_str){ps->carry, ps->kept + add.n});
        size_t left = (size_t)(ps->end - ps->begin);
        if (left <= add.n && add.n < bytes.n) { /* it lies in the piece: on from there */
            bytes = ph_str_skip(bytes, add.n - left);
            ps->kept = 0;
        } else {
            bytes = ph_str_skip(bytes, add.n);
            carry(ps);
        }
    }
    if (!ps->err && bytes.n) {
        run(ps, bytes);
        carry(ps);
    }
    return ps->err;
}

int ph_mime_parser_end(struct ph_mime_parser *ps, struct ph_message **ret)
{
    if (ps->err)
        return ps->err;
    ps->is_last = true;
    run(ps, (ph_str){ps->carry, ps->kept});
    return ps->err ? ps->err : ph__parser_end(ps, ret);
}
