/*
 * The server engine: framing, permission for literals, states, order of commands.
 *
 *                    command()                                    done()
 *   READING --LINE--> (answered here) --> READING      HANDLER -----------> READING
 *      |                  \--> COMMAND --> HANDLER
 *      |                       COMMAND --> HANDLER --challenge()--> AUTH --auth_line()--> HANDLER
 *      |                       COMMAND --> HANDLER --accept()-----> IDLING --idle_line()--> HANDLER
 *      +--LITERAL of an APPEND--> COMMAND, ASKING --accept()--> APPENDING --append_end()--> HANDLER
 *                                     ^   \--done(NO)--> READING  | MORE
 *                                     +---------------------------+
 *   COMPRESS --> PACKING --compressed()--> READING
 *   STARTTLS --> SECURING --tls_started()--> READING
 *   any --bye(), LOGOUT, time-out, no memory--> CLOSING
 *
 * While `discard` is set the rest of a command that was answered already is followed to its end and
 * dropped.
 */
#include "b64.h"
#include "server_int.h"
#include <assert.h>
#include <string.h>

static ph_str pending_out(const struct ph_imap_server *s)
{
    return ph_str_skip(ph_buf_str(&s->out), s->out_at);
}

static void put(struct ph_imap_server *s, ph_str t)
{
    ph_buf_add(&s->out, t);
}

/* The capabilities of imap_caps.def by who decides on them, and in which state they are named. */
enum { BY_ENGINE, BY_HANDLER, BY_SPECIAL };
#define N 1u
#define A 2u
static const struct {
    unsigned states, by;
} cap_rows[PH_IMAP_CAP_COUNT] = {
#define P(sym, wire, states, by, enable, rfc) {states, BY_##by},
#include <posthouse/imap_caps.def>
#undef P
};

/* What depends on the connection. */
static uint64_t special_caps(const struct ph_imap_server *s)
{
    uint64_t caps = 0;
    if (s->state != PH_IMAP_NOT_AUTH)
        return s->opt.compress ? PH_IMAP_CAP(COMPRESS) : 0;
    caps |= !s->secure && s->opt.starttls ? PH_IMAP_CAP(STARTTLS) : 0;
    return caps |
           (s->secure || s->opt.plaintext ? PH_IMAP_CAP(AUTH_PLAIN) : PH_IMAP_CAP(LOGINDISABLED));
}

uint64_t ph__imap_server_caps(const struct ph_imap_server *s)
{
    unsigned now = s->state == PH_IMAP_NOT_AUTH ? N : A;
    uint64_t caps = special_caps(s);
    for (int i = 0; i < PH_IMAP_CAP_COUNT; i++) {
        bool have =
            cap_rows[i].by == BY_ENGINE || (cap_rows[i].by == BY_HANDLER && s->opt.caps >> i & 1);
        if (have && cap_rows[i].states & now)
            caps |= UINT64_C(1) << i;
    }
    return caps;
}
#undef N
#undef A

/* The names, with what some of them carry behind "=". */
static void put_caps(struct ph_imap_server *s)
{
    uint64_t caps = ph__imap_server_caps(s), limit = PH_IMAP_CAP(APPENDLIMIT),
             auth = PH_IMAP_CAP(AUTH_PLAIN);
    ph_str mechanism, rest = ph_buf_str(&s->mechanisms);
    if (s->compressed)
        caps &= ~PH_IMAP_CAP(COMPRESS); /* not twice (RFC 4978 3) */
    ph__imap_caps_write(&s->out, caps & ~limit & ~auth);
    while (caps & auth && ph_str_token(&rest, ' ', &mechanism))
        ph_buf_addf(&s->out, " AUTH=%.*s", PH_FMT(mechanism));
    if (caps & limit)
        ph_buf_addf(&s->out, " APPENDLIMIT=%llu", (unsigned long long)s->opt.append_max);
}

void ph__imap_server_put_caps(struct ph_imap_server *s)
{
    put(s, PH_STR("* CAPABILITY "));
    put_caps(s);
    put(s, PH_STR("\r\n"));
}

static void put_caps_code(struct ph_imap_server *s)
{
    put(s, PH_STR("[CAPABILITY "));
    put_caps(s);
    put(s, PH_STR("] "));
}

static const ph_str conds[] = {PH_STR_INIT("OK "), PH_STR_INIT("NO "), PH_STR_INIT("BAD "),
                               PH_STR_INIT("BYE "), PH_STR_INIT("PREAUTH ")};

/* ---- life ----------------------------------------------------------------------------------- */

static void defaults(struct ph_imap_server_options *o)
{
    o->preauth_max = o->preauth_max ? o->preauth_max : 12 * 1024;
    o->command_max = o->command_max ? o->command_max : 128 * 1024;
    o->append_max = o->append_max ? o->append_max : 50 * 1024 * 1024;
    o->out_max = o->out_max ? o->out_max : 64 * 1024 * 1024;
    o->max_bad = o->max_bad ? o->max_bad : 20;
    o->login_timeout_ms = o->login_timeout_ms ? o->login_timeout_ms : 60 * 1000;
    o->idle_timeout_ms = o->idle_timeout_ms ? o->idle_timeout_ms : 30 * 60 * 1000;
}

static void greet(struct ph_imap_server *s, ph_str text)
{
    put(s, PH_STR("* OK "));
    put_caps_code(s);
    ph__imap_put_text(&s->out, text);
    put(s, PH_STR("\r\n"));
}

struct ph_imap_server *ph_imap_server_new(const struct ph_alloc *al,
                                          const struct ph_imap_server_options *opt)
{
    struct ph_imap_server *s = ph_new0(al, sizeof *s);
    if (!s)
        return NULL;
    s->al = al;
    s->opt = *opt;
    defaults(&s->opt);
    s->secure = opt->secure;
    s->state = PH_IMAP_NOT_AUTH;
    ph_buf_init(&s->in, al, IN_MAX);
    ph_buf_init(&s->text, al, s->opt.command_max);
    ph_buf_init(&s->out, al, s->opt.out_max);
    ph_buf_init(&s->mechanisms, al, 256);
    ph_buf_add(&s->mechanisms, PH_STR("PLAIN"));
    ph_buf_init(&s->greeting_id, al, 1024);
    ph__imap_put_string(&s->greeting_id, opt->product.n ? opt->product : PH_STR("Posthouse"),
                        false);
    greet(s, opt->greeting.n ? opt->greeting : PH_STR("IMAP ready."));
    s->fresh = true;
    if (opt->version.n) {
        ph_buf_add(&s->greeting_id, PH_STR(" \"version\" "));
        ph__imap_put_string(&s->greeting_id, opt->version, false);
    }
    s->opt.greeting = s->opt.product = s->opt.version = (ph_str){0}; /* were borrowed */
    if (ph_buf_err(&s->out) || ph_buf_err(&s->greeting_id) || ph_buf_err(&s->mechanisms))
        return ph_imap_server_free(s);
    return s;
}

void ph__imap_forget(struct ph_buf *b)
{
    if (b->p)
        ph_wipe(b->p, b->n);
    ph_buf_clear(b);
}

struct ph_imap_server *ph_imap_server_free(struct ph_imap_server *s)
{
    if (!s)
        return NULL;
    ph__imap_forget(&s->in);
    ph__imap_forget(&s->text);
    ph_buf_done(&s->in);
    ph_buf_done(&s->text);
    ph_buf_done(&s->out);
    ph_buf_done(&s->greeting_id);
    ph_buf_done(&s->mechanisms);
    ph_arena_free(s->arena);
    ph_free(s->al, s, sizeof *s);
    return NULL;
}

enum ph_imap_state ph_imap_server_state(const struct ph_imap_server *s)
{
    return s->state;
}

struct ph_buf *ph__imap_server_out(struct ph_imap_server *s)
{
    if (s->phase == CLOSING)
        return &s->sink; /* a job that has not noticed yet writes into nothing */
    assert(s->section_left == 0);
    return &s->out;
}

bool ph__imap_server_utf8(const struct ph_imap_server *s)
{
    return (s->enabled & (PH_IMAP_CAP(UTF8_ACCEPT) | PH_IMAP_CAP(IMAP4REV2))) != 0;
}

uint64_t ph_imap_server_enabled(const struct ph_imap_server *s)
{
    return s->enabled;
}

ph_str ph_imap_server_tag(const struct ph_imap_server *s)
{
    return ph_str_c(s->tag);
}

enum ph_imap_verb ph__imap_server_verb(const struct ph_imap_server *s)
{
    return s->command.verb;
}

bool *ph__imap_server_first(struct ph_imap_server *s)
{
    return &s->first;
}

struct ph_arena *ph_imap_server_arena(struct ph_imap_server *s)
{
    if (!s->arena)
        s->arena = ph_arena_new(s->al, s->opt.command_max * 8);
    return s->arena;
}

/* ---- ending commands ------------------------------------------------------------------------ */

void ph__imap_server_close(struct ph_imap_server *s)
{
    s->phase = CLOSING;
    s->state = PH_IMAP_LOGOUT_STATE;
}

void ph_imap_server_bye(struct ph_imap_server *s, enum ph_imap_code_kind code, const char *text)
{
    if (s->phase == CLOSING)
        return;
    if (s->section_left == 0) { /* inside a literal a farewell would be read as mail */
        put(s, PH_STR("* BYE "));
        ph__imap_put_code(&s->out, &(struct ph_imap_code){.kind = code});
        ph__imap_put_text(&s->out, ph_str_c(text));
        put(s, PH_STR("\r\n"));
    }
    ph__imap_server_close(s);
}

/* Everything of the command under way is given back. */
void ph__imap_server_next_command(struct ph_imap_server *s)
{
    ph__imap_forget(&s->text);
    s->arena = ph_arena_free(s->arena);
    ph__imap_frame_reset(&s->frame);
    s->command = (struct ph_imap_command){0};
    s->discard = false;
    s->appended = 0;
    s->phase = READING;
}

/* The command was answered before its end was reached: what the frame still holds of it is
 * dropped. */
void ph__imap_server_drop_rest(struct ph_imap_server *s, bool at_literal)
{
    if (at_literal && s->frame.sync) {
        ph__imap_server_next_command(s);
        return;
    }
    if (at_literal)
        ph__imap_frame_literal(&s->frame, IMAP_LITERAL_SKIP);
    else if (s->frame.mode == IMAP_IN_STREAM || s->frame.mode == IMAP_IN_KEPT)
        s->frame.mode = IMAP_IN_SKIP;
    s->discard = true;
    s->phase = READING;
    if (s->state == PH_IMAP_NOT_AUTH)
        ph_imap_server_bye(s, PH_IMAP_CODE_NONE, "Too much was sent before login.");
}

void ph__imap_server_tagged(struct ph_imap_server *s, enum ph_imap_cond cond,
                            const struct ph_imap_code *code, const char *text)
{
    put(s, s->tag[0] ? ph_str_c(s->tag) : PH_STR("*"));
    put(s, PH_STR(" "));
    put(s, conds[cond]);
    ph__imap_put_code(&s->out, code);
    ph__imap_put_text(&s->out, ph_str_c(text));
    put(s, PH_STR("\r\n"));
}

/* A tagged BAD by the engine; counts towards the end of patience. */
void ph__imap_server_bad(struct ph_imap_server *s, enum ph_imap_code_kind code, const char *why)
{
    ph__imap_server_tagged(s, PH_IMAP_BAD, &(struct ph_imap_code){.kind = code}, why);
    if (++s->bad >= s->opt.max_bad)
        ph_imap_server_bye(s, PH_IMAP_CODE_NONE, "Too many bad commands.");
}

void ph_imap_server_deselect(struct ph_imap_server *s)
{
    if (s->state == PH_IMAP_SELECTED)
        s->state = PH_IMAP_AUTH;
}

static void after_done(struct ph_imap_server *s, enum ph_imap_cond cond)
{
    enum ph_imap_verb verb = s->command.verb;
    unsigned after = ph__imap_rows[verb].after;
    if (cond == PH_IMAP_OK && after && s->state != PH_IMAP_LOGOUT_STATE) {
        s->state = (enum ph_imap_state)after;
        /* RFC 8437 3: as a new connection, TLS and compression apart */
        if (after == PH_IMAP_NOT_AUTH) {
            s->enabled = 0;
            s->began = s->now;
        }
    }
    if (cond == PH_IMAP_NO && (verb == PH_IMAP_SELECT || verb == PH_IMAP_EXAMINE) &&
        s->state == PH_IMAP_SELECTED)
        s->state = PH_IMAP_AUTH; /* RFC 9051 6.3.2: a failed SELECT leaves no mailbox selected */
}

void ph_imap_server_done(struct ph_imap_server *s, enum ph_imap_cond cond,
                         const struct ph_imap_code *code, const char *text)
{
    if (s->phase == CLOSING)
        return;
    assert(s->phase == HANDLER || s->phase == ASKING || s->phase == APPENDING);
    after_done(s, cond);
    bool login = s->command.verb == PH_IMAP_LOGIN || s->command.verb == PH_IMAP_AUTHENTICATE;
    if (login && cond == PH_IMAP_OK && !code) {
        put(s, ph_str_c(s->tag));
        put(s, PH_STR(" OK "));
        put_caps_code(s);
        ph__imap_put_text(&s->out, ph_str_c(text));
        put(s, PH_STR("\r\n"));
    } else {
        ph__imap_server_tagged(s, cond, code, text);
    }
    if (s->phase == HANDLER)
        ph__imap_server_next_command(s);
    else
        ph__imap_server_drop_rest(s, s->phase == ASKING);
}

void ph_imap_server_accept(struct ph_imap_server *s)
{
    if (s->phase == CLOSING)
        return;
    if (s->phase == ASKING) {
        if (s->frame.sync)
            put(s, PH_STR("+ Ready for the message.\r\n"));
        ph__imap_frame_literal(&s->frame, IMAP_LITERAL_STREAM);
        s->phase = APPENDING;
        ph_buf_clear(&s->text); /* the command's values were copied: see append_begin */
        return;
    }
    assert(s->phase == HANDLER && s->command.verb == PH_IMAP_IDLE);
    put(s, PH_STR("+ idling\r\n"));
    s->phase = IDLING;
    ph_buf_clear(&s->text);
    ph__imap_frame_reset(&s->frame);
}

/* The greeting has not left yet: under TLS from the first byte there is more to offer than was
 * known. */
static void greet_anew(struct ph_imap_server *s)
{
    struct ph_buf was;
    ph_buf_init(&was, s->al, 4096);
    ph_buf_add(&was, ph_buf_str(&s->out));
    size_t end = ph_str_chr(ph_buf_str(&was), ']');
    bool alone = ph_str_chr(ph_buf_str(&was), '\n') + 1 == was.n; /* no BYE behind it */
    if (ph_buf_err(&was) == 0 && end != PH_NPOS && alone) {
        ph_str text = ph_str_skip(ph_buf_str(&was), end + 2);
        ph_buf_clear(&s->out);
        greet(s, ph_str_sub(text, 0, text.n - 2));
    }
    ph_buf_done(&was);
}

int ph_imap_server_mechanisms(struct ph_imap_server *s, ph_str mechanisms)
{
    ph_buf_clear(&s->mechanisms);
    ph_buf_add(&s->mechanisms, mechanisms);
    if (s->fresh)
        greet_anew(s);
    return ph_buf_err(&s->mechanisms);
}

void ph_imap_server_challenge(struct ph_imap_server *s, ph_str data)
{
    if (s->phase == CLOSING)
        return;
    assert(s->phase == HANDLER && s->command.verb == PH_IMAP_AUTHENTICATE);
    put(s, PH_STR("+ "));
    ph_b64_encode(&s->out, data);
    put(s, PH_STR("\r\n"));
    s->phase = AUTH;
    ph__imap_forget(&s->text);
    s->command.auth.mechanism = s->command.auth.initial = (ph_str){0}; /* were slices of text */
    ph__imap_frame_reset(&s->frame);
}

/* ---- next ----------------------------------------------------------------------------------- */

static size_t text_max(const struct ph_imap_server *s)
{
    return s->state == PH_IMAP_NOT_AUTH || s->phase == IDLING ? s->opt.preauth_max
                                                              : s->opt.command_max;
}

/* Idle connections are many: give back what they do not need. */
static enum ph_imap_server_ev need(struct ph_imap_server *s)
{
    if (s->in_at == s->in.n) {
        ph__imap_forget(&s->in);
        s->in_at = 0;
        ph_buf_shrink(&s->in);
    }
    if (s->text.n == 0)
        ph_buf_shrink(&s->text);
    return PH_IMAP_SRV_NEED;
}

static enum ph_imap_server_ev advance(struct ph_imap_server *s, struct ph_imap_server_event *ev)
{
    size_t used = 0;
    ph_str in = ph_str_skip(ph_buf_str(&s->in), s->in_at);
    enum ph__imap_step step =
        ph__imap_frame_step(&s->frame, in, &used, &s->text, text_max(s), &ev->data);
    s->in_at += used;
    if (s->frame.skipped > (s->state == PH_IMAP_NOT_AUTH ? s->opt.preauth_max : SKIP_MAX)) {
        ph_imap_server_bye(s, PH_IMAP_CODE_LIMIT, "The command is too long.");
        return PH_IMAP_SRV_NEED;
    }
    switch (step) {
    case IMAP_STEP_LINE:
        return ph__imap_server_line(s, ev);
    case IMAP_STEP_LITERAL:
        return ph__imap_server_literal(s);
    case IMAP_STEP_CHUNK:
        return PH_IMAP_SRV_DATA;
    default:
        return PH_IMAP_SRV_NEED;
    }
}

enum ph_imap_server_ev ph_imap_server_next(struct ph_imap_server *s,
                                           struct ph_imap_server_event *ret_ev)
{
    *ret_ev = (struct ph_imap_server_event){.command = &s->command};
    if (ph_buf_err(&s->out))
        ph__imap_server_close(s);
    if (s->drain_asked && pending_out(s).n <= s->drain_low && s->phase != CLOSING) {
        s->drain_asked = false;
        return ret_ev->kind = PH_IMAP_SRV_DRAINED;
    }
    while (s->phase != CLOSING) {
        bool stuck = s->in_at == s->in.n && (s->frame.mode == IMAP_IN_LINE || s->frame.left > 0);
        if (stuck || s->phase == HANDLER || s->phase == ASKING || s->phase == SECURING ||
            s->phase == PACKING)
            return ret_ev->kind = need(s);
        enum ph_imap_server_ev ev = advance(s, ret_ev);
        if (ev != PH_IMAP_SRV_NEED)
            return ret_ev->kind = ev;
    }
    if (!s->told_closed) {
        s->told_closed = true;
        return ret_ev->kind = PH_IMAP_SRV_CLOSED;
    }
    return ret_ev->kind = PH_IMAP_SRV_NEED;
}

/* ---- the pump's side ------------------------------------------------------------------------ */

static int64_t server_feed(void *engine, ph_str in)
{
    struct ph_imap_server *s = engine;
    if (s->phase == CLOSING)
        return (int64_t)in.n;
    ph_buf_drop(&s->in, s->in_at);
    s->in_at = 0;
    s->active = s->now;
    ph_str take = ph_str_sub(in, 0, IN_MAX - s->in.n);
    ph_buf_add(&s->in, take);
    if (ph_buf_err(&s->in)) {
        ph_imap_server_bye(s, PH_IMAP_CODE_UNAVAILABLE, "Out of memory.");
        return -PH_ENOMEM;
    }
    return (int64_t)take.n;
}

static void server_feed_eof(void *engine)
{
    ph__imap_server_close(engine);
}

static ph_str server_out(const void *engine)
{
    return pending_out(engine);
}

static void server_sent(void *engine, size_t n)
{
    struct ph_imap_server *s = engine;
    s->fresh = false;
    s->out_at += n;
    s->active = s->now;
    if (s->out_at == s->out.n) {
        ph_buf_drop(&s->out, s->out.n);
        ph_buf_shrink(&s->out);
        s->out_at = 0;
    } else if (s->out_at > s->out.n / 2) {
        ph_buf_drop(&s->out, s->out_at);
        s->out_at = 0;
    }
}

static unsigned server_want(const void *engine)
{
    const struct ph_imap_server *s = engine;
    unsigned want = pending_out(s).n ? PH_WANT_WRITE : 0;
    if (s->phase == CLOSING || ph_buf_err(&s->out))
        return want | PH_WANT_CLOSE;
    if (s->phase == SECURING)
        return want | PH_WANT_TLS;
    if (s->phase == PACKING)
        return want | PH_WANT_DEFLATE;
    return s->in.n - s->in_at < IN_SOFT ? want | PH_WANT_READ : want;
}

static int64_t server_deadline(const void *engine)
{
    const struct ph_imap_server *s = engine;
    if (!s->timed || s->phase == CLOSING)
        return PH_NEVER;
    return s->state == PH_IMAP_NOT_AUTH ? s->began + s->opt.login_timeout_ms
                                        : s->active + s->opt.idle_timeout_ms;
}

static void server_tick(void *engine, int64_t now_ms)
{
    struct ph_imap_server *s = engine;
    s->now = now_ms;
    if (!s->timed) {
        s->timed = true;
        s->began = s->active = now_ms;
    }
    if (now_ms >= server_deadline(s))
        ph_imap_server_bye(s, PH_IMAP_CODE_NONE,
                           s->state == PH_IMAP_NOT_AUTH ? "No login in time."
                                                        : "Silent for too long.");
}

const struct ph_proto_ops ph_imap_server_ops = {
    server_feed, server_feed_eof, server_out,  server_sent,
    server_want, server_deadline, server_tick,
};

size_t ph_imap_server_backlog(const struct ph_imap_server *s)
{
    return pending_out(s).n;
}

void ph_imap_server_when_drained(struct ph_imap_server *s, size_t low)
{
    s->drain_asked = true;
    s->drain_low = low;
}

/* ---- responses that need the engine's own state --------------------------------------------- */

void ph_imap_server_condition(struct ph_imap_server *s, enum ph_imap_cond cond,
                              const struct ph_imap_code *code, const char *text)
{
    struct ph_buf *out = ph__imap_server_out(s);
    ph_buf_add(out, PH_STR("* "));
    ph_buf_add(out, conds[cond]);
    ph__imap_put_code(out, code);
    ph__imap_put_text(out, ph_str_c(text));
    ph_buf_add(out, PH_STR("\r\n"));
}

void ph_imap_server_fetch_section(struct ph_imap_server *s, const struct ph_imap_section *sec,
                                  uint64_t size)
{
    struct ph_buf *out = ph__imap_server_out(s);
    if (!s->first)
        ph_buf_addc(out, ' ');
    s->first = false;
    ph__imap_put_section(out, sec);
    ph_buf_add(out, sec->as == PH_IMAP_AS_BINARY ? PH_STR(" ~{") : PH_STR(" {"));
    ph_buf_addu(out, size);
    ph_buf_add(out, PH_STR("}\r\n"));
    s->section_left = size;
}

void ph_imap_server_section_data(struct ph_imap_server *s, ph_str piece)
{
    if (s->phase == CLOSING)
        return;
    assert(piece.n <= s->section_left);
    s->section_left -= piece.n;
    ph_buf_add(&s->out, piece);
}
