/* unbinary.c - see unbinary.h. The tree is walked from the front; what is between two changes is
 * copied. */
#include "unbinary.h"
#include "codec.h"
#include "mime_int.h"

#include <string.h>

enum { MEMORY = 64 * 1024 * 1024, PARTS_MOST = 10000, PIECE = 57 * 512, PIECE_ROOM = 2 * PIECE };

struct rewriter {
    ph_str message;
    size_t done; /* bytes of it that were given, or left out */
    bool ended;  /* what was given ends with CRLF */
    ph_mime_sink *add;
    void *ctx;
};

/* Every CR before an LF, every LF behind a CR, no NUL, no line longer than `most`. */
static bool is_text(ph_str s, size_t most)
{
    if (s.n && memchr(s.p, 0, s.n))
        return false;
    while (s.n) {
        const char *lf = memchr(s.p, '\n', s.n);
        size_t line = lf ? (size_t)(lf - s.p) : s.n;
        if (lf && (line == 0 || lf[-1] != '\r'))
            return false;
        size_t text = lf ? line - 1 : line;
        if (text > most || (text && memchr(s.p, '\r', text)))
            return false;
        s = ph_str_skip(s, line + (lf != NULL));
    }
    return true;
}

static int give(struct rewriter *r, ph_str piece)
{
    if (!piece.n)
        return 0;
    r->ended = piece.n >= 2 && !memcmp(piece.p + piece.n - 2, "\r\n", 2);
    return r->add(r->ctx, piece);
}

/* What was not touched, up to `at`. */
static int copy_to(struct rewriter *r, uint64_t at)
{
    ph_str piece = ph_str_sub(r->message, r->done, (size_t)at - r->done);
    if (!is_text(piece, SIZE_MAX))
        return -PH_ENOTIMPL;
    r->done = (size_t)at;
    return give(r, piece);
}

static bool is_signed(const struct ph_part *p)
{
    while ((p = p->parent))
        if (ph_part_is(p, "multipart", "signed"))
            return true;
    return false;
}

/* In the place of the field that is there, or as the first one. */
static int declare(struct rewriter *r, const struct ph_part *p, ph_str encoding)
{
    struct ph_field f;
    bool there = ph_field_find(p->head, PH_STR("Content-Transfer-Encoding"), 0, &f);
    int err = copy_to(r, there ? (uint64_t)(f.all.p - r->message.p) : p->header.at);
    if (there)
        r->done += f.all.n;
    if (!err)
        err = give(r, PH_STR("Content-Transfer-Encoding: "));
    if (!err)
        err = give(r, encoding);
    if (!err)
        err = give(r, p->header.n ? PH_STR("\r\n") : PH_STR("\r\n\r\n"));
    return err;
}

static int encode(struct rewriter *r, const struct ph_part *p)
{
    struct ph_b64_encoder e = {0};
    struct ph_buf out;
    ph_str body = ph_str_sub(r->message, (size_t)p->body.at, (size_t)p->body.n);
    int err = copy_to(r, p->body.at);
    ph_buf_init(&out, NULL, PIECE_ROOM);
    while (!err && body.n) {
        ph_str piece = ph_str_sub(body, 0, PIECE);
        ph_buf_clear(&out);
        ph_b64_encoder_feed(&e, piece, &out);
        body = ph_str_skip(body, piece.n);
        r->done += piece.n;
        if (!body.n)
            ph_b64_encoder_end(&e, &out);
        err = ph_buf_err(&out);
        /* The line end in front of a boundary is there already. */
        ph_str text = ph_buf_str(&out);
        bool twice = !body.n && r->done < r->message.n && text.n >= 2;
        if (!err)
            err = give(r, ph_str_sub(text, 0, text.n - (twice ? 2 : 0)));
    }
    ph_buf_done(&out);
    return err;
}

static int rewrite_part(struct rewriter *r, const struct ph_part *p)
{
    ph_str body = ph_str_sub(r->message, (size_t)p->body.at, (size_t)p->body.n);
    bool leaf = p->kind == PH_PART_LEAF, hard = leaf && !is_text(body, PH_TEXT_LINE);
    if (hard && (is_signed(p) || p->encoding > PH_ENC_BINARY || ph_part_is(p, "message", NULL)))
        return -PH_ENOTIMPL;
    if (!hard && (p->encoding != PH_ENC_BINARY || is_signed(p)))
        return 0;
    int err = declare(r, p, hard ? PH_STR("base64") : PH_STR("8bit"));
    return !err && hard ? encode(r, p) : err;
}

int ph_mime_unbinary(ph_str message, ph_mime_sink *add, void *ctx)
{
    const struct ph_mime_limits limits = {.parts = PARTS_MOST};
    struct rewriter r = {.message = message, .add = add, .ctx = ctx};
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph_message *m;
    int err = arena ? ph__mime_parse(arena, message, &limits, PH__NO_DEFECTS, &m) : -PH_ENOMEM;
    for (const struct ph_part *p = err ? NULL : m->root; p && !err; p = ph_part_next(p))
        err = rewrite_part(&r, p);
    if (!err)
        err = copy_to(&r, message.n);
    if (!err && !r.ended)
        err = give(&r, PH_STR("\r\n"));
    ph_arena_free(arena);
    return err == -PH_ELIMIT ? -PH_ENOTIMPL : err;
}
