/*
 * A letter on its way in: see letter.h.
 *
 *   buf:  [ room ......... prologue][message]          small: all of it
 *              at ---------^
 *   buf:  [next bytes]  fd: [prologue][message so far]  large: written LETTER_WRITE at a time
 */
#include "letter.h"
#include "file.h"
#include "loop.h"
#include "random.h"
#include "summary.h"
#include "unbinary.h"
#include <posthouse/mime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RCPTS_MAX = 524288, REPORTED_ROWS = 65536 }; /* as in QUEUE_PUT and REPORTED */

void letter_init(struct letter *l, struct letter_room *room)
{
    memset(l, 0, sizeof *l);
    l->room = room;
    l->fd = -1;
    ph_buf_init(&l->rcpts, NULL, RCPTS_MAX);
    ph_buf_init(&l->buf, NULL, LETTER_ROOM + IPC_INLINE + LETTER_WRITE);
    ph_buf_init(&l->packed, NULL, 2 * IPC_INLINE);
    ph_buf_init(&l->summary, NULL, PH_SUMMARY_MAX);
    ph_buf_init(&l->reported, NULL, REPORTED_ROWS);
}

void letter_clear(struct letter *l)
{
    ph_buf_done(&l->rcpts);
    free(l->seen);
    ph_buf_done(&l->buf);
    ph_buf_done(&l->packed);
    ph_buf_done(&l->summary);
    ph_buf_done(&l->reported);
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

void letter_from(struct letter *l, ph_str sender, uint32_t flags, ph_str envid)
{
    keep(l->sender, LETTER_ADDRESS, sender);
    keep(l->envid, LETTER_ENVID, envid);
    l->flags = flags;
}

/* A thousand recipients that lead to the same thousand targets must cost no million comparisons.
 * The key is a secret: nobody can make an address that is taken for somebody else's. */
static uint64_t hash(const struct letter *l, const struct ipc_rcpt *r)
{
    struct ph_hash_key key = {{l->seen_key.half[0] ^ r->target, l->seen_key.half[1] ^ r->account}};
    uint64_t h = ph_hash(&key, r->address);
    return h ? h : 1;
}

/* 1: it is new; 0: it was there. There is a free place. */
static int see(struct letter *l, const struct ipc_rcpt *r)
{
    uint64_t h = hash(l, r);
    size_t at = h & (l->seen_cap - 1);
    for (; l->seen[at]; at = (at + 1) & (l->seen_cap - 1))
        if (l->seen[at] == h)
            return 0;
    l->seen[at] = h;
    l->seen_n++;
    return 1;
}

/* A table of what is in rcpts, with room for more. */
static bool make_seen(struct letter *l)
{
    enum { LEAST = 16 };
    struct ipc_rcpt r;
    size_t n = 1, cap = LEAST;
    for (ph_str rows = ph_buf_str(&l->rcpts); ipc_each(rcpt, &rows, &r);)
        n++;
    while (cap < 4 * n)
        cap *= 2;
    uint64_t *seen = calloc(cap, sizeof *seen);
    if (!seen)
        return false;
    free(l->seen);
    l->seen = seen;
    l->seen_cap = cap;
    l->seen_n = 0;
    ph_random(&l->seen_key, sizeof l->seen_key);
    for (ph_str rows = ph_buf_str(&l->rcpts); ipc_each(rcpt, &rows, &r);)
        see(l, &r);
    return true;
}

/* 1: it is none of rcpts; 0: it is; -PH_ENOMEM. The first one, often the only one, needs no
 * table. */
static int is_new(struct letter *l, const struct ipc_rcpt *r)
{
    if (l->rcpts.n == 0 && !l->seen)
        return 1;
    if (2 * (l->seen_n + 1) > l->seen_cap && !make_seen(l))
        return -PH_ENOMEM;
    return see(l, r);
}

/* As if those behind `n` had not been added. */
static void forget_targets(struct letter *l, size_t n)
{
    l->rcpts.n = n;
    l->rcpts.err = 0;
    free(l->seen); /* made anew by the next one */
    l->seen = NULL;
    l->seen_n = l->seen_cap = 0;
}

/* What reports will call it: messages.def, `original`. */
static ph_str original_of(const struct letter_given *g, const struct ipc_rcpt *r,
                          char ret[LETTER_ADDRESS])
{
    if (g->orcpt.n || !r->original.n)
        return g->orcpt;
    bool ascii = true;
    for (size_t i = 0; i < r->original.n; i++)
        ascii = ascii && !(r->original.p[i] & 0x80);
    int n =
        snprintf(ret, LETTER_ADDRESS, "%s;%.*s", ascii ? "rfc822" : "utf-8", PH_FMT(r->original));
    return (ph_str){ret, n < LETTER_ADDRESS ? (size_t)n : LETTER_ADDRESS - 1};
}

/* RFC 3461 5.2.7.3 (c): success is told of the alias, once, and not of those who stand behind
 * it. */
static bool is_expanded(const struct letter_given *g)
{
    struct ipc_rcpt r;
    unsigned count = 0;
    for (ph_str targets = g->targets; ipc_each(rcpt, &targets, &r);)
        count += r.target != IPC_DISCARD;
    return count > 1 && g->notify & IPC_SUCCESS;
}

static int add_alias(struct letter *l, const struct letter_given *g)
{
    struct ipc_rcpt alias = {
        .target = IPC_EXPANDED, .address = g->address, .original = g->orcpt, .notify = IPC_SUCCESS};
    int fresh = is_new(l, &alias);
    if (fresh <= 0)
        return fresh;
    ipc_add(rcpt, &l->rcpts, &alias);
    return ph_buf_err(&l->rcpts);
}

int letter_to(struct letter *l, const struct letter_given *given)
{
    ph_str targets = given->targets;
    char original[LETTER_ADDRESS];
    size_t before = l->rcpts.n;
    unsigned count = 0;
    struct ipc_rcpt r;
    bool expanded = is_expanded(given);
    uint8_t rest = given->notify & (IPC_FAILURE | IPC_DELAY);
    uint8_t notify = !expanded ? given->notify : rest ? rest : IPC_NEVER;
    int err = 0;
    while (!err && ipc_each(rcpt, &targets, &r)) {
        if (r.target == IPC_DISCARD)
            continue;
        int fresh = is_new(l, &r);
        if (fresh < 0) {
            err = fresh;
        } else if (fresh) {
            r.original = original_of(given, &r, original);
            r.notify = notify;
            ipc_add(rcpt, &l->rcpts, &r);
            err = ph_buf_err(&l->rcpts);
            count++;
        }
    }
    if (!err && expanded)
        err = add_alias(l, given);
    if (!err)
        err = charge(l, l->rcpts.n - before);
    if (err) {
        forget_targets(l, before);
        return err;
    }
    if (l->given++ == 0)
        keep(l->first, LETTER_ADDRESS, given->address);
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

void letter_cut(struct letter *l, ph_str part)
{
    size_t at = (size_t)(part.p - l->buf.p);
    memmove(l->buf.p + at, l->buf.p + at + part.n, l->buf.n - at - part.n);
    l->buf.n -= part.n;
}

int letter_prologue(struct letter *l, ph_str prologue, size_t skip, size_t id_at)
{
    if (prologue.n > LETTER_ROOM)
        return -PH_ELIMIT;
    l->at = LETTER_ROOM - prologue.n;
    l->prologue = prologue.n;
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
    /* What does not fit in the first room is copied once, not at every doubling. */
    if (l->fd < 0 && l->buf.n + more.n >= l->buf.cap && l->buf.n < LETTER_ROOM + IPC_INLINE)
        (void)ph_buf_reserve(&l->buf, LETTER_ROOM + IPC_INLINE - l->buf.n);
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
    struct ph_field field;
    ph_str head = ph_message_head(whole);
    for (l->froms = 0; ph_field_next(&head, &field);)
        l->froms += ph_str_ieq(field.name, PH_STR("From"));
    if (!l->sender[0] && !reported_read(whole, ph_wall_us(), l->reported_id, &l->reported))
        ph_buf_clear(&l->reported);
    return ph_summary_make(whole, &l->summary);
}

_Static_assert((int)PH_PACK_MOST <= (int)IPC_INLINE && (int)LETTER_ROOM <= (int)PH_PACK_PLAIN,
               "what is packed is inline");

/* The prologue stays as it is: the queue writes its id into it. */
static int pack(struct letter *l, ph_str whole)
{
    struct ph_packer *packer = l->room ? l->room->packer : NULL;
    int r = packer ? ph_pack(packer, whole, l->prologue, &l->packed) : 0;
    if (r <= 0)
        return r;
    ph_buf_done(&l->buf);
    l->flags |= IPC_PACKED;
    if (l->id_at)
        l->id_at += PH_PACK_LEAD;
    return 0;
}

/* All bytes, in memory or mapped, until open_bytes; no more can be added. */
static int close_bytes(struct letter *l, ph_str *ret_whole)
{
    int r = ph_buf_err(&l->buf) ? -PH_ENOMEM : begin_bytes(l);
    if (r == 0 && l->fd < 0 && l->buf.n - l->at <= IPC_INLINE) {
        *ret_whole = ph_str_skip(ph_buf_str(&l->buf), l->at);
        l->size = ret_whole->n;
        return 0;
    }
    if (r == 0)
        r = spill(l);
    if (r == 0)
        r = ph_memfile_seal(l->fd);
    return r < 0 ? r : ph_memfile_map(l->fd, l->size, ret_whole);
}

static void open_bytes(const struct letter *l, ph_str whole)
{
    if (l->fd >= 0)
        ph_unmap(whole);
}

static int add_piece(void *text, ph_str piece)
{
    return letter_add(text, piece);
}

/* RFC 3030 3: the next server may take text alone, and so does every mailbox. The text is gathered
 * in a letter of its own, whose bytes then take the place of these. */
static int make_text(struct letter *l)
{
    struct letter text;
    ph_str whole;
    int r = close_bytes(l, &whole);
    if (r < 0)
        return r;
    letter_init(&text, l->room);
    letter_begin(&text, NULL, NULL);
    text.started = true;
    r = ph_buf_err(&text.buf) ? -PH_ENOMEM
                              : letter_prologue(&text, ph_str_sub(whole, 0, l->prologue), 0, 0);
    if (r == 0)
        r = ph_mime_unbinary(ph_str_skip(whole, l->prologue), add_piece, &text);
    open_bytes(l, whole);
    if (r == 0) {
        struct letter was = *l;
        l->buf = text.buf;
        l->at = text.at;
        l->fd = text.fd;
        l->size = text.size;
        l->held += text.held;
        text.buf = was.buf;
        text.fd = was.fd;
        text.held = 0;
    }
    letter_clear(&text);
    return r;
}

int letter_finish(struct letter *l)
{
    ph_str whole;
    int r = l->binary ? make_text(l) : 0;
    if (r == 0)
        r = close_bytes(l, &whole);
    if (r < 0)
        return r;
    r = describe(l, whole);
    if (r == 0 && l->fd < 0)
        return pack(l, whole);
    open_bytes(l, whole);
    return r;
}

int letter_quarantine(struct letter *l)
{
    struct ph_buf rows, was = l->rcpts;
    struct ipc_rcpt r;
    ph_str old = ph_buf_str(&was);
    ph_buf_init(&rows, NULL, RCPTS_MAX);
    while (ipc_each(rcpt, &old, &r)) {
        if (r.target == IPC_LOCAL)
            r.mailbox = PH_STR("Junk");
        ipc_add(rcpt, &rows, &r);
    }
    int err = ph_buf_err(&rows);
    l->rcpts = err ? was : rows;
    ph_buf_done(err ? &rows : &was);
    return err;
}

int letter_put(struct letter *l, struct ipc_chan *queue, const struct letter_put *put)
{
    ph_str body = l->fd >= 0              ? (ph_str){0}
                  : l->flags & IPC_PACKED ? ph_buf_str(&l->packed)
                                          : ph_str_skip(ph_buf_str(&l->buf), l->at);
    return ipc_send(queue, QUEUE_PUT, l->fd, .req = put->req, .sender = ph_str_c(l->sender),
                    .rcpts = ph_buf_str(&l->rcpts), .events = put->events, .skip = l->skip,
                    .id_at = l->id_at, .message_id = ph_str_c(l->message_id), .flags = l->flags,
                    .envid = ph_str_c(l->envid), .session = put->session, .owner = put->owner,
                    .size = l->size, .summary = ph_buf_str(&l->summary), .body = body);
}
