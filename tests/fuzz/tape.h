/*
 * tape.h - what an engine made of its input: events and output. However the input is cut, both must
 * be the same; so a target plays it twice, and compares.
 */
#ifndef PH_FUZZ_TAPE_H
#define PH_FUZZ_TAPE_H
#include <posthouse/proto.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tape {
    struct ph_buf events, out;
    uint8_t how;   /* the target's own: options, */
    unsigned turn; /* and a count */
    size_t cut;    /* octets fed at once */
    size_t piece_at;
    int piece;  /* the kind of the event whose data is still being told; 0: none */
    bool timed; /* it counts when something came: TLS began, or an answer overtook its question */
};

static void tape_begin(struct tape *t, uint8_t how, size_t cut)
{
    *t = (struct tape){.how = how, .cut = cut};
    ph_buf_init(&t->events, NULL, 64 * 1024 * 1024);
    ph_buf_init(&t->out, NULL, 64 * 1024 * 1024);
}

static void tape_event(struct tape *t, int kind, uint64_t a, uint64_t b, ph_str text)
{
    t->piece = 0;
    ph_buf_addf(&t->events, "\n%d %llu %llu ", kind, (unsigned long long)a, (unsigned long long)b);
    ph_buf_add(&t->events, text);
}

/* Data that comes in pieces: only all of it together is compared. */
static inline void tape_piece(struct tape *t, int kind, uint64_t of, ph_str data)
{
    if (t->piece != kind) {
        t->piece_at = t->events.n;
        tape_event(t, kind, of, 0, (ph_str){0});
    }
    t->piece = kind;
    ph_buf_add(&t->events, data);
}

typedef void tape_play(ph_str in, struct tape *t);

static void same(const char *what, ph_str whole, ph_str pieces)
{
    if (ph_str_eq(whole, pieces))
        return;
    fprintf(stderr, "%s, fed whole:\n%.*s\n\nand in pieces:\n%.*s\n", what, PH_FMT(whole),
            PH_FMT(pieces));
    abort();
}

static void tape_compare(tape_play *play, ph_str in, size_t cut, uint8_t how)
{
    struct tape whole, pieces;
    tape_begin(&whole, how, SIZE_MAX);
    tape_begin(&pieces, how, cut);
    play(in, &whole);
    play(in, &pieces);
    if (!whole.timed && !pieces.timed) {
        same("events", ph_buf_str(&whole.events), ph_buf_str(&pieces.events));
        same("output", ph_buf_str(&whole.out), ph_buf_str(&pieces.out));
    }
    for (struct tape *t = &whole; t; t = t == &whole ? &pieces : NULL) {
        ph_buf_done(&t->events);
        ph_buf_done(&t->out);
    }
}

/* It breaks off: how much of it was told depends on the pieces. */
static inline void tape_break_off(struct tape *t)
{
    if (t->piece)
        t->events.n = t->piece_at;
    t->piece = 0;
}

/* Feeds all of the input, with a turn behind each piece: events are taken and output leaves. Ends
 * where the engine is broken, or has taken nothing twice. */
typedef void tape_turn(void *engine, struct tape *t);
static void tape_feed(const struct ph_proto_ops *ops, void *engine, ph_str in, tape_turn *turn,
                      struct tape *t)
{
    int64_t n = 0;
    for (int refused = 0; in.n && n >= 0 && refused < 2;) {
        ops->tick(engine, 1);
        n = ops->feed(engine, ph_str_sub(in, 0, t->cut));
        in = ph_str_skip(in, n > 0 ? (size_t)n : 0);
        refused = n ? 0 : refused + 1;
        turn(engine, t);
    }
    ops->feed_eof(engine);
    turn(engine, t);
}

/* What the engine has to send leaves, not always all at once; true: there was something. */
static bool tape_send(struct tape *t, const struct ph_proto_ops *ops, void *engine)
{
    enum { WIDER = 50 }; /* than what comes in */
    size_t most = t->cut < SIZE_MAX / WIDER ? WIDER * t->cut : t->cut;
    ph_str out = ph_str_sub(ops->out(engine), 0, most);
    ph_buf_add(&t->out, out);
    if (out.n)
        ops->sent(engine, out.n);
    return out.n > 0;
}
#endif
