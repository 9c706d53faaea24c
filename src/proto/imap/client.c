/*
 * The client engine: what may be sent now, which answer belongs to which command, and the stream of
 * responses.
 *
 *                LOGIN, AUTHENTICATE: OK                 SELECT, EXAMINE: OK
 *   NOT_AUTH ---------------------------> AUTH -------------------------------> SELECTED
 *    | ^        (or PREAUTH)               ^                                     |
 *    | |                                   +-- CLOSE, UNSELECT, failed SELECT ---+
 *    | +--- tls_started ---+
 *    +--- STARTTLS: OK ----+
 *
 *   any --BYE, then the end of the stream--> CLOSED
 *   any --against the grammar, or an end without BYE--> BROKEN
 *
 * Output is one stream with stops in it: behind a stop nothing is sent until the server says "+".
 */
#include "client_int.h"
#include <string.h>

enum {
    IN_MAX = 256 * 1024,
    IN_SOFT = 64 * 1024,
    OUT_MAX = 8 * 1024 * 1024,
    OUT_SOFT = 256 * 1024,
    PROBE_MAX = 64 * 1024,
    NAMES_MAX = 16 * 1024,
    CHALLENGE_MAX = 16 * 1024
};

struct ph_imap_client *ph_imap_client_new(const struct ph_alloc *al,
                                          const struct ph_imap_client_options *opt)
{
    struct ph_imap_client *c = ph_new0(al, sizeof *c);
    if (!c)
        return NULL;
    c->al = al;
    c->opt = *opt;
    c->opt.line_max = opt->line_max ? opt->line_max : 1024 * 1024;
    c->opt.timeout_ms = opt->timeout_ms ? opt->timeout_ms : 60 * 1000;
    c->secure = opt->secure;
    c->state = PH_IMAP_NOT_AUTH;
    ph_buf_init(&c->in, al, IN_MAX);
    ph_buf_init(&c->text, al, c->opt.line_max);
    ph_buf_init(&c->out, al, OUT_MAX);
    ph_buf_init(&c->show, al, OUT_MAX);
    ph_buf_init(&c->names, al, NAMES_MAX);
    ph_buf_init(&c->decoded, al, CHALLENGE_MAX);
    c->arena = ph_arena_new(al, c->opt.line_max * 16);
    return c->arena ? c : ph_imap_client_free(c);
}

struct ph_imap_client *ph_imap_client_free(struct ph_imap_client *c)
{
    if (!c)
        return NULL;
    if (c->out.p)
        ph_wipe(c->out.p, c->out.n);
    ph_buf_done(&c->in);
    ph_buf_done(&c->text);
    ph_buf_done(&c->out);
    ph_buf_done(&c->show);
    ph_buf_done(&c->names);
    ph_buf_done(&c->decoded);
    ph_arena_free(c->arena);
    ph_free(c->al, c, sizeof *c);
    return NULL;
}

enum ph_imap_state ph_imap_client_state(const struct ph_imap_client *c)
{
    return c->state;
}

uint64_t ph_imap_client_caps(const struct ph_imap_client *c)
{
    return c->caps;
}

ph_str ph_imap_client_offers(const struct ph_imap_client *c)
{
    return ph_buf_str(&c->names);
}

ph_str ph_imap_client_unread(struct ph_imap_client *c)
{
    ph_str rest = ph_str_skip(ph_buf_str(&c->in), c->in_at);
    c->in_at = c->in.n;
    return rest;
}

const struct ph_error *ph_imap_client_error(const struct ph_imap_client *c)
{
    return &c->error;
}

void ph_imap_client_tls_started(struct ph_imap_client *c)
{
    c->secure = true;
    if (c->securing) {
        c->securing = false;
        c->caps = 0; /* what was said before TLS may have been anyone's (RFC 9051 6.2.1) */
        ph_buf_clear(&c->names);
    }
}

int ph__imap_client_break(struct ph_imap_client *c, int code, const char *why)
{
    c->broken = true;
    c->state = PH_IMAP_LOGOUT_STATE;
    return ph_fail(&c->error, code, 0, "%s", why);
}

uint64_t ph__imap_client_sent(const struct ph_imap_client *c)
{
    return c->out_base + c->out_at;
}

/* ---- the pump's side ------------------------------------------------------------------------ */

static int64_t client_feed(void *engine, ph_str in)
{
    struct ph_imap_client *c = engine;
    if (c->broken)
        return -PH_EORDER;
    ph_buf_drop(&c->in, c->in_at);
    c->in_at = 0;
    c->active = c->now;
    ph_str take = ph_str_sub(in, 0, IN_MAX - c->in.n);
    ph_buf_add(&c->in, take);
    if (ph_buf_err(&c->in))
        return ph__imap_client_break(c, PH_ENOMEM, "out of memory");
    return (int64_t)take.n;
}

static void client_feed_eof(void *engine)
{
    ((struct ph_imap_client *)engine)->eof = true;
}

static ph_str client_out(const void *engine)
{
    const struct ph_imap_client *c = engine;
    ph_str all = ph_str_skip(ph_buf_str(&c->out), c->out_at);
    if (c->stop_count && c->stops[0] - ph__imap_client_sent(c) < all.n)
        all.n = (size_t)(c->stops[0] - ph__imap_client_sent(c));
    return all;
}

static void client_sent(void *engine, size_t n)
{
    struct ph_imap_client *c = engine;
    ph_wipe(c->out.p + c->out_at, n); /* passwords go by here */
    c->out_at += n;
    c->active = c->now;
    if (c->out_at == c->out.n || c->out_at > c->out.n / 2) {
        c->out_base += c->out_at;
        ph_buf_drop(&c->out, c->out_at);
        c->out_at = 0;
    }
}

static unsigned client_want(const void *engine)
{
    const struct ph_imap_client *c = engine;
    unsigned want = client_out(c).n ? PH_WANT_WRITE : 0;
    if (c->broken || (c->eof && c->in_at == c->in.n))
        return PH_WANT_CLOSE;
    if (c->securing)
        return want | PH_WANT_TLS;
    return c->in.n - c->in_at < IN_SOFT ? want | PH_WANT_READ : want;
}

static int64_t client_deadline(const void *engine)
{
    const struct ph_imap_client *c = engine;
    bool waiting = !c->greeted || c->slot_count > 0;
    return waiting && !c->idling && !c->challenged && !c->broken ? c->active + c->opt.timeout_ms
                                                                 : PH_NEVER;
}

static void client_tick(void *engine, int64_t now_ms)
{
    struct ph_imap_client *c = engine;
    if (c->now == 0)
        c->active = now_ms;
    c->now = now_ms;
    if (now_ms >= client_deadline(c))
        ph__imap_client_break(c, PH_ETIMEOUT, "the server did not answer in time");
}

const struct ph_proto_ops ph_imap_client_ops = {
    client_feed, client_feed_eof, client_out,  client_sent,
    client_want, client_deadline, client_tick,
};

/* ---- APPEND's message ----------------------------------------------------------------------- */

int64_t ph_imap_client_append_data(struct ph_imap_client *c, ph_str more)
{
    if (c->broken || !c->append_id)
        return c->broken ? -PH_ECLOSED : -PH_EREFUSED;
    if (c->append_wait || c->out.n - c->out_at >= OUT_SOFT)
        return 0;
    size_t n = OUT_SOFT - (c->out.n - c->out_at);
    ph_str take = ph_str_sub(more, 0, n < c->append_left ? n : (size_t)c->append_left);
    ph_buf_add(&c->out, take);
    c->append_left -= take.n;
    if (c->append_left == 0) {
        ph_buf_add(&c->out, PH_STR("\r\n"));
        for (size_t i = 0; i < c->slot_count; i++)
            if (c->slots[i].id == c->append_id)
                c->slots[i].end = c->out_base + c->out.n;
        c->append_id = 0;
    }
    if (ph_buf_err(&c->out))
        return ph__imap_client_break(c, PH_ENOMEM, "out of memory");
    return (int64_t)take.n;
}

/* ---- input ---------------------------------------------------------------------------------- */

static void trace_text(struct ph_imap_client *c)
{
    if (c->opt.trace && c->text.n >= c->shown) {
        ph_str line = ph_str_skip(ph_buf_str(&c->text), c->shown);
        c->opt.trace(c->opt.trace_ctx, 'S',
                     ph_str_has_suffix(line, PH_STR("\r\n")) ? ph_str_sub(line, 0, line.n - 2)
                                                             : line);
    }
    c->shown = c->text.n;
}

/* A literal is announced: stream it when it is a section of a FETCH, else keep it. */
static void on_literal(struct ph_imap_client *c)
{
    struct ph_imap_fetched f = {0};
    struct ph__imap_probe probe = {0};
    ph_str t = ph_buf_str(&c->text);
    struct ph__imap_cur cur = {.at = t.p,
                               .begin = t.p,
                               .end = t.p + t.n,
                               .arena = c->arena,
                               .lenient = true,
                               .utf8 = c->utf8};
    uint64_t seq;
    ph_str word;
    trace_text(c);
    if (c->frame.overflow || ph_buf_err(&c->text)) {
        ph__imap_client_break(c, PH_ELIMIT, "a response of the server is longer than the limit");
        return;
    }
    bool fetch = t.n <= PROBE_MAX && ph__imap_take(&cur, '*') && ph__imap_take(&cur, ' ') &&
                 ph__imap_number(&cur, UINT32_MAX, &seq) && ph__imap_take(&cur, ' ') &&
                 ph__imap_word(&cur, &word) && ph_str_ieq(word, PH_STR("FETCH")) &&
                 ph__imap_take(&cur, ' ');
    if (fetch && !ph__imap_resp_fetch(&cur, &f, &probe) && probe.hit) {
        c->chunk.chunk.seq = (uint32_t)seq;
        c->chunk.chunk.uid = f.uid;
        c->chunk.chunk.section = probe.section;
        c->chunk.chunk.size = c->frame.size;
        c->chunk_at = 0;
        c->text.n -= 3; /* "}\r\n" gives way to "\0}\r\n": see ph__imap_streamed */
        if (ph_str_has_suffix(ph_buf_str(&c->text), PH_STR("+")))
            c->text.n--;
        ph_buf_add(&c->text, (ph_str){"\0}\r\n", 4});
        ph__imap_frame_literal(&c->frame, IMAP_LITERAL_STREAM);
    } else if (c->frame.size > c->opt.line_max - c->text.n) {
        ph__imap_client_break(c, PH_ELIMIT, "a response of the server is longer than the limit");
    } else {
        ph__imap_frame_literal(&c->frame, IMAP_LITERAL_KEEP);
        c->shown = c->text.n + (size_t)c->frame.size;
    }
}

static void clear_response(struct ph_imap_client *c)
{
    ph_buf_clear(&c->text);
    ph__imap_frame_reset(&c->frame);
    ph_arena_back(c->arena, (struct ph_mark){0});
    c->text_done = false;
    c->shown = 0;
}

static void advance(struct ph_imap_client *c, struct ph_imap_client_event *ev)
{
    size_t used = 0;
    ph_str in = ph_str_skip(ph_buf_str(&c->in), c->in_at), piece = {0};
    enum ph__imap_step step =
        ph__imap_frame_step(&c->frame, in, &used, &c->text, c->opt.line_max, &piece);
    c->in_at += used;
    switch (step) {
    case IMAP_STEP_LITERAL:
        on_literal(c);
        break;
    case IMAP_STEP_STREAMED:
        c->shown = c->text.n;
        break;
    case IMAP_STEP_CHUNK:
        *ev = c->chunk;
        ev->kind = PH_IMAP_CHUNK;
        ev->chunk.at = c->chunk_at;
        ev->chunk.data = piece;
        c->chunk_at += piece.n;
        break;
    case IMAP_STEP_LINE:
        trace_text(c);
        c->text_done = true;
        if (c->frame.overflow || ph_buf_err(&c->text))
            ph__imap_client_break(c, PH_ELIMIT,
                                  "a response of the server is longer than the limit");
        else if (c->frame.nul)
            ph__imap_client_break(c, PH_ESYNTAX, "the server sent a NUL");
        else
            ph__imap_client_response(c, ev);
        break;
    default:
        break;
    }
}

static enum ph_imap_client_ev at_end(struct ph_imap_client *c, struct ph_imap_client_event *ev)
{
    if (c->told_end || (!c->broken && !c->eof))
        return PH_IMAP_NEED;
    c->told_end = true;
    if (c->eof && c->bye && !c->broken)
        return ev->kind = PH_IMAP_CLOSED;
    if (!c->broken)
        ph__imap_client_break(c, PH_ECLOSED, "the server closed the connection");
    return ev->kind = PH_IMAP_BROKEN;
}

enum ph_imap_client_ev ph_imap_client_next(struct ph_imap_client *c,
                                           struct ph_imap_client_event *ret_ev)
{
    *ret_ev = (struct ph_imap_client_event){.kind = PH_IMAP_NEED};
    while (!c->broken && !c->securing) {
        if (c->text_done)
            clear_response(c);
        if (c->in_at == c->in.n && (c->frame.mode == IMAP_IN_LINE || c->frame.left > 0))
            break;
        advance(c, ret_ev);
        if (c->securing && c->in_at < c->in.n)
            ph__imap_client_break(c, PH_ESYNTAX,
                                  "the server sent more behind its answer to STARTTLS");
        if (!c->broken && ret_ev->kind != PH_IMAP_NEED)
            return ret_ev->kind;
    }
    return at_end(c, ret_ev);
}
