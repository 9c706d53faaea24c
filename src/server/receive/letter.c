/*
 * A letter on its way in: see letter.h.
 *
 *   buf:  [ room ......... prologue][message]          small: all of it
 *              at ---------^
 *   buf:  [next bytes]  fd: [prologue][message so far]  large: written LETTER_WRITE at a time
 */
#include "letter.h"
#include "file.h"
#include "summary.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RCPTS_MAX = 524288 }; /* as in QUEUE_PUT */

void letter_init(struct letter *l, struct letter_room *room)
{
    memset(l, 0, sizeof *l);
    l->room = room;
    l->fd = -1;
    ph_buf_init(&l->rcpts, NULL, RCPTS_MAX);
    ph_buf_init(&l->buf, NULL, LETTER_ROOM + IPC_INLINE + LETTER_WRITE);
    ph_buf_init(&l->summary, NULL, PH_SUMMARY_MAX);
}

void letter_clear(struct letter *l)
{
    ph_buf_done(&l->rcpts);
    ph_buf_done(&l->buf);
    ph_buf_done(&l->summary);
    if (l->fd >= 0)
        close(l->fd);
    if (l->room)
        l->room->used -= l->held;
    letter_init(l, l->room);
}

static int charge(struct letter *l, uint64_t octets)
{
    if (!l->room)
        return 0;
    if (octets > l->room->most || l->room->used > l->room->most - octets)
        return -PH_EFULL;
    l->room->used += octets;
    l->held += octets;
    return 0;
}

/* ---- envelope ----------------------------------------------------------------------------- */

static void keep(char *to, size_t max, ph_str from)
{
    from = ph_str_sub(from, 0, max);
    if (from.n)
        memcpy(to, from.p, from.n);
    to[from.n] = '\0';
}

void letter_from(struct letter *l, ph_str sender, uint32_t flags)
{
    keep(l->sender, LETTER_ADDRESS, sender);
    l->flags = flags;
}

static bool has_target(ph_str rows, const struct ipc_rcpt *r)
{
    struct ipc_rcpt one;
    while (ipc_each(rcpt, &rows, &one))
        if (one.target == r->target && one.account == r->account &&
            ph_str_eq(one.address, r->address))
            return true;
    return false;
}

int letter_to(struct letter *l, ph_str given, ph_str targets)
{
    size_t before = l->rcpts.n;
    unsigned count = 0;
    struct ipc_rcpt r;
    while (ipc_each(rcpt, &targets, &r)) {
        if (r.target == IPC_DISCARD || has_target(ph_str_sub(ph_buf_str(&l->rcpts), 0, before), &r))
            continue;
        ipc_add(rcpt, &l->rcpts, &r);
        count++;
    }
    int err = ph_buf_err(&l->rcpts);
    if (!err)
        err = charge(l, l->rcpts.n - before);
    if (err) {
        l->rcpts.n = before;
        l->rcpts.err = 0;
        return err;
    }
    if (l->given++ == 0)
        keep(l->first, LETTER_ADDRESS, given);
    l->targets += count;
    return 0;
}

/* ---- bytes -------------------------------------------------------------------------------- */

void letter_begin(struct letter *l, letter_start *start, void *ctx)
{
    l->start = start;
    l->ctx = ctx;
    l->at = LETTER_ROOM;
    l->started = false;
    l->size = 0;
    ph_buf_clear(&l->buf);
    /* Room for the prologue and, for most letters, for the message: one allocation. */
    if (ph_buf_reserve(&l->buf, 2 * LETTER_ROOM - 1))
        ph_buf_commit(&l->buf, LETTER_ROOM);
}

ph_str letter_head(const struct letter *l)
{
    return ph_str_skip(ph_buf_str(&l->buf), LETTER_ROOM);
}

int letter_prologue(struct letter *l, ph_str prologue, size_t skip, size_t id_at)
{
    if (prologue.n > LETTER_ROOM)
        return -PH_ELIMIT;
    l->at = LETTER_ROOM - prologue.n;
    if (prologue.n)
        memcpy(l->buf.p + l->at, prologue.p, prologue.n);
    l->skip = (uint32_t)skip;
    l->id_at = (uint32_t)id_at;
    return 0;
}

static int begin_bytes(struct letter *l)
{
    if (l->started)
        return 0;
    l->started = true;
    return l->start(l->ctx, l);
}

/* Moves what is in memory to the file. */
static int spill(struct letter *l)
{
    if (l->fd < 0) {
        l->fd = ph_memfile("letter");
        if (l->fd < 0)
            return l->fd;
    }
    ph_str rest = ph_str_skip(ph_buf_str(&l->buf), l->at);
    int r = ph_memfile_add(l->fd, rest);
    l->size += rest.n;
    l->at = 0;
    ph_buf_clear(&l->buf);
    return r;
}

int letter_add(struct letter *l, ph_str more)
{
    int err = charge(l, more.n);
    if (err)
        return err;
    while (more.n) {
        ph_str part = ph_str_sub(more, 0, LETTER_WRITE / 4);
        ph_buf_add(&l->buf, part);
        more = ph_str_skip(more, part.n);
        if (ph_buf_err(&l->buf))
            return -PH_ENOMEM;
        bool large = l->fd < 0 && l->buf.n - LETTER_ROOM > IPC_INLINE;
        int r = large ? begin_bytes(l) : 0;
        if (r == 0 && (large || (l->fd >= 0 && l->buf.n >= LETTER_WRITE)))
            r = spill(l);
        if (r < 0)
            return r;
    }
    return 0;
}

static int describe(struct letter *l, ph_str whole)
{
    ph_str id;
    ph_summary_trace(whole, &id, &l->received);
    keep(l->message_id, sizeof l->message_id - 1, id);
    return ph_summary_make(whole, &l->summary);
}

int letter_finish(struct letter *l)
{
    ph_str whole;
    if (ph_buf_err(&l->buf))
        return -PH_ENOMEM;
    int r = begin_bytes(l);
    if (r < 0)
        return r;
    if (l->fd < 0 && l->buf.n - l->at <= IPC_INLINE) {
        whole = ph_str_skip(ph_buf_str(&l->buf), l->at);
        l->size = whole.n;
        return describe(l, whole);
    }
    r = spill(l);
    if (r == 0)
        r = ph_memfile_seal(l->fd);
    if (r < 0)
        return r;
    r = ph_memfile_map(l->fd, l->size, &whole);
    if (r < 0)
        return r;
    r = describe(l, whole);
    ph_unmap(whole);
    return r;
}

int letter_put(struct letter *l, struct ipc_chan *queue, const struct letter_put *put)
{
    ph_str body = l->fd < 0 ? ph_str_skip(ph_buf_str(&l->buf), l->at) : (ph_str){0};
    return ipc_send(queue, QUEUE_PUT, l->fd, .req = put->req, .sender = ph_str_c(l->sender),
                    .rcpts = ph_buf_str(&l->rcpts), .events = put->events, .skip = l->skip,
                    .id_at = l->id_at, .message_id = ph_str_c(l->message_id), .flags = l->flags,
                    .session = put->session, .owner = put->owner, .size = l->size,
                    .summary = ph_buf_str(&l->summary), .body = body);
}
