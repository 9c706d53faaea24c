/* The POP3 server engine: life, input, events and time. */
#include "server_int.h"

#include <string.h>

/* ---- life -------------------------------------------------------------------------------- */

static void fill_in(struct ph_pop3_server_options *o)
{
    if (!o->timeout_ms)
        o->timeout_ms = POP3_TIMEOUT_MS;
    if (!o->max_failures)
        o->max_failures = POP3_FAILURES;
    if (!o->max_errors)
        o->max_errors = POP3_ERRORS;
    if (!o->max_messages)
        o->max_messages = POP3_MESSAGES;
}

static void greet(struct ph_pop3_server *s)
{
    ph_str host = ph_str_sub(s->opt.host, 0, POP3_HOST_MAX);
    if (s->opt.refusal.n) {
        ph__pop3_say(s, "-ERR [SYS/TEMP] %.*s",
                     PH_FMT(ph_str_sub(s->opt.refusal, 0, POP3_TEXT_MAX)));
        ph__pop3_end(s, PH_ELIMIT, "turned away");
    } else {
        ph_str stamp = s->opt.apop_stamp;
        s->apop = stamp.n > 0;
        ph__pop3_say(s, "+OK %.*s%sPOP3 server ready%s%.*s", PH_FMT(host), host.n ? " " : "",
                     stamp.n ? " " : "", PH_FMT(ph_str_sub(stamp, 0, POP3_HOST_MAX)));
    }
    s->opt.host = s->opt.refusal = s->opt.apop_stamp = (ph_str){0};
}

struct ph_pop3_server *ph_pop3_server_new(const struct ph_alloc *al,
                                          const struct ph_pop3_server_options *options)
{
    struct ph_pop3_server *s = ph_new0(al, sizeof *s);
    if (!s)
        return NULL;
    size_t n = options->struct_size < sizeof s->opt ? options->struct_size : sizeof s->opt;
    memcpy(&s->opt, options, n);
    fill_in(&s->opt);
    s->al = al;
    s->state = POP3_AUTHORIZATION;
    s->tls = s->opt.tls_now;
    s->active = -1;
    ph_inbuf_init(&s->in, al, POP3_IN_MAX);
    ph_buf_init(&s->out, al, POP3_OUT_MAX);
    ph_buf_init(&s->names, al, POP3_NAMES_MAX);
    ph_buf_init(&s->user, al, POP3_LINE_MAX);
    ph_buf_init(&s->secret, al, POP3_ANSWER_MAX);
    ph_buf_init(&s->mechanisms, al, 256);
    ph_buf_add(&s->mechanisms, PH_STR("PLAIN"));
    greet(s);
    return ph_buf_err(&s->out) || ph_buf_err(&s->mechanisms) ? ph_pop3_server_free(s) : s;
}

struct ph_pop3_server *ph_pop3_server_free(struct ph_pop3_server *s)
{
    if (s) {
        ph__pop3_forget(s);
        ph_inbuf_done(&s->in);
        ph_buf_done(&s->out);
        ph_buf_done(&s->names);
        ph_buf_done(&s->user);
        ph_buf_done(&s->secret);
        ph_buf_done(&s->mechanisms);
        ph_free(s->al, s->messages, s->room * sizeof *s->messages);
        ph_free(s->al, s, sizeof *s);
    }
    return NULL;
}

void ph__pop3_forget(struct ph_pop3_server *s)
{
    if (s->secret.p)
        ph_wipe(s->secret.p, s->secret.cap);
    ph_buf_clear(&s->secret);
    ph_buf_shrink(&s->secret);
    s->event = (struct ph_pop3_server_event){0};
}

void ph__pop3_say(struct ph_pop3_server *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ph_buf_addv(&s->out, fmt, ap);
    va_end(ap);
    ph_buf_add(&s->out, PH_STR("\r\n"));
}

void ph__pop3_end(struct ph_pop3_server *s, int code, const char *why)
{
    if (s->state == POP3_OVER)
        return;
    s->state = POP3_OVER;
    s->busy = IDLE;
    s->pending = PH_POP3_S_NEED;
    ph_inbuf_clear(&s->in);
    if (code)
        ph_fail(&s->error, code, 0, "%s", why);
}

void ph__pop3_mistake(struct ph_pop3_server *s, const char *text)
{
    ph__pop3_say(s, "-ERR %s", text);
    if (++s->errors >= s->opt.max_errors)
        ph__pop3_end(s, PH_ELIMIT, "too many commands that were not understood");
}

/* ---- events ------------------------------------------------------------------------------ */

/* Takes a line and acts on it; false when there is none. */
static bool take_line(struct ph_pop3_server *s)
{
    ph_str line;
    if (s->skipping) {
        s->skipping = !ph_line_skip(&s->in);
        if (s->skipping)
            return false;
    }
    switch (ph_line_next(&s->in, s->busy == RESPONSE ? POP3_ANSWER_MAX : POP3_LINE_MAX, &line)) {
    case PH_LINE_NONE:
        return false;
    case PH_LINE_LONG:
        s->skipping = true;
        if (s->busy == RESPONSE)
            s->busy = IDLE;
        ph__pop3_mistake(s, "the line is too long");
        return true;
    case PH_LINE_BARE: /* typed by hand: LF alone will do, but nothing else */
        if (memchr(line.p, '\r', line.n) || memchr(line.p, '\0', line.n)) {
            ph__pop3_mistake(s, "a CR or NUL can not be in a line");
            return true;
        }
        break;
    case PH_LINE_CRLF:
        break;
    }
    s->active = s->now; /* a trickle of bytes is nothing, a line is */
    if (s->busy == RESPONSE)
        ph__pop3_response(s, line);
    else
        ph__pop3_command(s, line);
    ph_wipe((char *)(uintptr_t)line.p,
            line.n); /* may hold a password; the bytes are our own copy */
    return true;
}

static enum ph_pop3_server_ev give(struct ph_pop3_server *s, struct ph_pop3_server_event *ret_ev)
{
    enum ph_pop3_server_ev ev = s->pending;
    s->pending = PH_POP3_S_NEED;
    *ret_ev = s->event;
    return ev;
}

static enum ph_pop3_server_ev broken(struct ph_pop3_server *s, struct ph_pop3_server_event *ret_ev)
{
    if (s->told)
        return PH_POP3_S_NEED;
    s->told = true;
    ret_ev->error = s->error;
    return PH_POP3_S_BROKEN;
}

static bool is_full(const struct ph_pop3_server *s)
{
    return s->out.n > (s->state == POP3_AUTHORIZATION ? POP3_OUT_EARLY : POP3_OUT_HIGH);
}

enum ph_pop3_server_ev ph_pop3_server_next(struct ph_pop3_server *s,
                                           struct ph_pop3_server_event *ret_ev)
{
    *ret_ev = (struct ph_pop3_server_event){0};
    for (;;) {
        ph__pop3_refill(s);
        if (ph_buf_err(&s->out))
            ph__pop3_end(s, -ph_buf_err(&s->out), "out of memory");
        if (s->more) {
            s->more = false;
            return PH_POP3_S_MORE;
        }
        if (s->pending != PH_POP3_S_NEED)
            return give(s, ret_ev);
        if (s->closing && (s->busy == IDLE || s->busy == RESPONSE))
            ph__pop3_end(s, PH_ECLOSED, "closed by the server");
        if (s->state == POP3_OVER)
            return broken(s, ret_ev);
        if ((s->busy != IDLE && s->busy != RESPONSE) || is_full(s))
            return PH_POP3_S_NEED;
        if (take_line(s))
            continue;
        if (!s->eof) {
            ph_inbuf_shrink(&s->in);
            return PH_POP3_S_NEED;
        }
        ph__pop3_end(s, PH_ECLOSED, "the client closed the connection");
    }
}

void ph_pop3_server_close(struct ph_pop3_server *s)
{
    s->closing = true;
    if (s->busy == TLS)
        ph__pop3_end(s, PH_ECLOSED, "closed by the server");
}

void ph_pop3_server_tls_started(struct ph_pop3_server *s)
{
    s->tls = true;
    if (s->busy != TLS)
        return;
    s->busy = IDLE;
    ph_buf_clear(&s->user);
}

/* ---- proto_ops --------------------------------------------------------------------------- */

static int64_t feed(void *engine, ph_str in)
{
    struct ph_pop3_server *s = engine;
    if (s->state == POP3_OVER)
        return (int64_t)in.n;
    if (s->busy == TLS) { /* RFC 2595 4: what is sent before the handshake is nobody's */
        ph__pop3_end(s, PH_ESYNTAX, "there was input between STLS and the handshake");
        return (int64_t)in.n;
    }
    int64_t n = ph_inbuf_add(&s->in, in);
    if (n < 0)
        ph__pop3_end(s, PH_ENOMEM, "out of memory");
    return n;
}

static void feed_eof(void *engine)
{
    struct ph_pop3_server *s = engine;
    s->eof = true;
}

static ph_str out(const void *engine)
{
    const struct ph_pop3_server *s = engine;
    return ph_buf_str(&s->out);
}

static void sent(void *engine, size_t n)
{
    struct ph_pop3_server *s = engine;
    s->active = s->now;
    ph_buf_drop(&s->out, n);
    ph__pop3_refill(s);
    ph_buf_shrink(&s->out);
}

static unsigned want(const void *engine)
{
    const struct ph_pop3_server *s = engine;
    unsigned w = s->out.n ? PH_WANT_WRITE : 0;
    if (s->state == POP3_OVER)
        return w | PH_WANT_CLOSE;
    if (s->busy == TLS)
        return w | PH_WANT_TLS;
    return w | (ph_inbuf_room(&s->in) && !s->eof ? PH_WANT_READ : 0);
}

/* The owner's work is not the client's silence. Before the first tick the time is not known: at
 * once. */
static int64_t deadline(const void *engine)
{
    const struct ph_pop3_server *s = engine;
    if (s->active < 0)
        return 0;
    bool ours = s->busy == OWNER || (s->busy == MAILING && s->out.n == 0);
    return s->state == POP3_OVER && s->out.n == 0 ? PH_NEVER
           : ours                                 ? PH_NEVER
                                                  : s->active + s->opt.timeout_ms;
}

static void tick(void *engine, int64_t now_ms)
{
    struct ph_pop3_server *s = engine;
    s->now = now_ms;
    if (s->active < 0)
        s->active = now_ms;
    if (now_ms < deadline(s))
        return;
    ph_buf_clear(&s->out); /* RFC 1939 3: closed without a response, and without UPDATE */
    ph__pop3_end(s, PH_ETIMEOUT, "the client was silent for too long");
}

const struct ph_proto_ops ph_pop3_server_ops = {
    .feed = feed,
    .feed_eof = feed_eof,
    .out = out,
    .sent = sent,
    .want = want,
    .deadline = deadline,
    .tick = tick,
};
