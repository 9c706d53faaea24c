/* Letters that are fetched whole, and parsed. */
#include "imap_session.h"
#include <stdio.h>
#include <string.h>

struct coming {
    struct ph_buf bytes;
    uint32_t seq; /* IMAP: of the message that the bytes are of */
    bool there;
};

static int keep(struct coming *c, ph_str piece)
{
    ph_buf_add(&c->bytes, piece);
    return ph_buf_err(&c->bytes);
}

/* What the fetching gave, then the letter or why there is none. */
static int finish(struct coming *c, int rc, struct ph_arena *arena, struct ph_message **ret_message,
                  const char *peer, struct ph_trouble *rett)
{
    struct ph_error e = {0};
    int full = ph_buf_err(&c->bytes);
    if (full) {
        rc = ph_fail(&e, -full, 0, "the letter from %s is larger than the memory given for it",
                     peer);
    } else if (rc == 0 && !c->there) {
        rc = ph_fail(&e, PH_ENOENT, 0, "%s has no such letter", peer);
    } else if (rc == 0) {
        ph_str bytes = ph_arena_copy(arena, ph_buf_str(&c->bytes));
        rc = bytes.p ? ph_mime_parse(arena, bytes, NULL, ret_message) : -PH_ENOMEM;
        if (rc < 0)
            ph_fail(&e, PH_ENOMEM, 0, "no memory for the letter from %s", peer);
    }
    ph_buf_done(&c->bytes);
    return e.code ? ph__trouble(rett, (ph_str){0}, PH_STAGE_FETCH, &e) : rc;
}

static int on_piece(void *ctx, ph_str bytes)
{
    return keep(ctx, bytes);
}

int ph_pop3_letter(struct ph_pop3_session *s, uint32_t number, struct ph_arena *arena,
                   struct ph_message **ret_message, struct ph_trouble *rett)
{
    struct coming c = {0};
    const struct ph_letter_sink sink = {.piece = on_piece, .ctx = &c};
    uint64_t size;
    int rc = number ? 0 : ph_pop3_stat(s, &number, &size, rett);
    ph_buf_init(&c.bytes, NULL, ph_arena_room(arena));
    c.there = number > 0;
    if (rc == 0 && c.there)
        rc = ph_pop3_retrieve(s, &(struct ph_pop3_item){.number = number}, 1, UINT32_MAX, &sink,
                              rett);
    return finish(&c, rc, arena, ret_message, ph_pop3_session_info(s)->peer, rett);
}

/* Small literals come with the rest, large ones in pieces before it. A server may tell of other
 * messages meanwhile. */
static int on_event(void *ctx, const struct ph_imap_client_event *ev)
{
    struct coming *c = ctx;
    if (ev->kind == PH_IMAP_CHUNK) {
        if (ev->chunk.seq != c->seq)
            ph_buf_clear(&c->bytes);
        c->seq = ev->chunk.seq;
        return keep(c, ev->chunk.data);
    }
    if (ev->kind != PH_IMAP_FETCHED || ev->fetch.part_count == 0)
        return 0;
    c->there = true;
    return ev->fetch.parts[0].streamed ? 0 : keep(c, ev->fetch.parts[0].value);
}

int ph_imap_letter(struct ph_imap_session *s, ph_str uid, struct ph_arena *arena,
                   struct ph_message **ret_message, struct ph_trouble *rett)
{
    struct coming c = {0};
    ph_buf_init(&c.bytes, NULL, ph_arena_room(arena));
    int rc = ph_imap_fetch(s, uid, PH_STR("(UID BODY.PEEK[])"), on_event, &c, rett);
    return finish(&c, rc, arena, ret_message, ph_imap_session_info(s)->peer, rett);
}
