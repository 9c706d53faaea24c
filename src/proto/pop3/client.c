/* The POP3 client engine: life, input, time, and which command may be written when. */
#include "client_int.h"

#include <string.h>

struct ph_pop3_client *ph_pop3_client_new(const struct ph_alloc *al,
                                          const struct ph_pop3_client_options *options)
{
    struct ph_pop3_client *c = ph_new0(al, sizeof *c);
    if (!c)
        return NULL;
    size_t n = options->struct_size < sizeof c->opt ? options->struct_size : sizeof c->opt;
    memcpy(&c->opt, options, n);
    if (!c->opt.timeout_ms)
        c->opt.timeout_ms = POP3_CLIENT_TIMEOUT_MS;
    if (!c->opt.max_line || c->opt.max_line > POP3_CLIENT_IN_MAX)
        c->opt.max_line = POP3_CLIENT_LINE_MAX;
    if (!c->opt.max_items)
        c->opt.max_items = 10000000;
    if (!c->opt.max_message)
        c->opt.max_message = UINT64_MAX;
    c->al = al;
    c->end = &c->first;
    c->tls = c->opt.tls_now;
    c->active = -1;
    ph_buf_init(&c->mechanisms, al, POP3_CLIENT_LINE_MAX);
    ph_buf_init(&c->stamp, al, POP3_CLIENT_LINE_MAX);
    ph_buf_init(&c->decoded, al, POP3_CLIENT_IN_MAX);
    ph_inbuf_init(&c->in, al, POP3_CLIENT_IN_MAX);
    ph_buf_init(&c->out, al, POP3_CLIENT_FLIGHT * POP3_LINE_MAX);
    return c;
}

static void free_command(struct ph_pop3_client *c, struct pop3_command *cmd)
{
    size_t size = sizeof *cmd + cmd->n;
    ph_wipe(cmd, size); /* may hold a password */
    ph_free(c->al, cmd, size);
}

struct ph_pop3_client *ph_pop3_client_free(struct ph_pop3_client *c)
{
    if (!c)
        return NULL;
    while (c->first) {
        struct pop3_command *next = c->first->next;
        free_command(c, c->first);
        c->first = next;
    }
    if (c->out.p)
        ph_wipe(c->out.p, c->out.cap);
    ph_buf_done(&c->out);
    ph_buf_done(&c->mechanisms);
    ph_buf_done(&c->stamp);
    ph_buf_done(&c->decoded);
    ph_inbuf_done(&c->in);
    ph_free(c->al, c, sizeof *c);
    return NULL;
}

const struct ph_pop3_caps *ph_pop3_client_caps(const struct ph_pop3_client *c)
{
    return &c->caps;
}

ph_str ph_pop3_client_mechanisms(const struct ph_pop3_client *c)
{
    return ph_buf_str(&c->mechanisms);
}

ph_str ph_pop3_client_stamp(const struct ph_pop3_client *c)
{
    return ph_buf_str(&c->stamp);
}

void ph__pop3_client_end(struct ph_pop3_client *c, int code, const char *why)
{
    if (c->over)
        return;
    c->over = true;
    if (code)
        ph_fail(&c->error, code, 0, "%s", why);
}

/* ---- writing ----------------------------------------------------------------------------- */

/* Commands that change what the next one means are never sent ahead (RFC 2449 6.6). */
static bool may_go_ahead(enum ph_pop3_verb verb)
{
    return ph__pop3_rows[verb].states == POP3_TRANSACTION;
}

static bool may_write(const struct ph_pop3_client *c)
{
    if (!c->unsent || c->reading == GREETING || c->tls_due || c->over)
        return false;
    if (c->flight == 0)
        return true;
    return c->caps.pipelining && c->flight < POP3_CLIENT_FLIGHT && may_go_ahead(c->first->verb) &&
           (may_go_ahead(c->unsent->verb) || c->unsent->verb == PH_POP3_QUIT);
}

void ph__pop3_client_tell(const struct ph_pop3_client *c, char who, ph_str line)
{
    if (c->opt.transcript.line)
        c->opt.transcript.line(c->opt.transcript.ctx, who, ph_str_trim(line));
}

/* What is written, for the dialogue: the password and the answer of AUTH are not in it. */
static void tell_command(const struct ph_pop3_client *c, const struct pop3_command *cmd)
{
    ph_str line =
        ph_str_sub((ph_str){cmd->text, cmd->n}, 0, cmd->answer_at ? cmd->answer_at : cmd->n);
    char shown[80];
    size_t n = ph_str_chr(line, ' '), second = ph_str_chr(ph_str_skip(line, n + 1), ' ');
    if (cmd->secret && cmd->verb == PH_POP3_AUTH && n != PH_NPOS)
        n = second == PH_NPOS ? PH_NPOS : n + 1 + second;
    if (!cmd->secret || n == PH_NPOS || n + 6 > sizeof shown) {
        ph__pop3_client_tell(c, 'C', cmd->secret && n != PH_NPOS ? PH_STR("****") : line);
        return;
    }
    memcpy(shown, line.p, n);
    memcpy(shown + n, " ****", 5);
    ph__pop3_client_tell(c, 'C', (ph_str){shown, n + 5});
}

void ph__pop3_client_write(struct ph_pop3_client *c)
{
    while (may_write(c)) {
        struct pop3_command *cmd = c->unsent;
        if (cmd->verb == PH_POP3_PASS && c->user_refused)
            return; /* it fails without being sent: client_reply.c */
        ph_buf_add(&c->out, (ph_str){cmd->text, cmd->answer_at ? cmd->answer_at : cmd->n});
        tell_command(c, cmd);
        if (c->flight++ == 0)
            c->active = c->now;
        c->unsent = cmd->next;
    }
}

void ph__pop3_client_drop(struct ph_pop3_client *c)
{
    struct pop3_command *cmd = c->first;
    c->first = cmd->next;
    if (!c->first)
        c->end = &c->first;
    if (c->unsent == cmd)
        c->unsent = cmd->next;
    else
        c->flight--;
    c->waiting--;
    free_command(c, cmd);
}

void ph_pop3_client_tls_started(struct ph_pop3_client *c)
{
    c->tls = true;
    if (c->tls_due) { /* RFC 2595 4: what was said before is forgotten */
        c->caps = (struct ph_pop3_caps){0};
        ph_buf_clear(&c->mechanisms);
    }
    c->tls_due = false;
    ph__pop3_client_write(c);
}

/* ---- events ------------------------------------------------------------------------------ */

enum ph_pop3_client_ev ph_pop3_client_next(struct ph_pop3_client *c,
                                           struct ph_pop3_client_event *ret_ev)
{
    *ret_ev = (struct ph_pop3_client_event){0};
    enum ph_pop3_client_ev ev = PH_POP3_C_NEED;
    if (!c->over)
        ev = ph__pop3_client_read(c, ret_ev);
    if (ev == PH_POP3_C_NEED && c->eof)
        ph__pop3_client_end(c, PH_ECLOSED, "the server closed the connection");
    if (!c->over)
        ph__pop3_client_write(c);
    if (ph_buf_err(&c->out))
        ph__pop3_client_end(c, -ph_buf_err(&c->out), "out of memory");
    if (ev != PH_POP3_C_NEED || !c->over || c->told)
        return ev;
    c->told = true;
    ret_ev->error = c->error;
    return PH_POP3_C_BROKEN;
}

/* ---- proto_ops --------------------------------------------------------------------------- */

static int64_t feed(void *engine, ph_str in)
{
    struct ph_pop3_client *c = engine;
    c->active = c->now;
    if (c->over)
        return (int64_t)in.n;
    if (c->tls_due) {
        ph__pop3_client_end(c, PH_ESYNTAX,
                            "the server sent something between STLS and the handshake");
        return (int64_t)in.n;
    }
    int64_t n = ph_inbuf_add(&c->in, in);
    if (n < 0)
        ph__pop3_client_end(c, PH_ENOMEM, "out of memory");
    return n;
}

static void feed_eof(void *engine)
{
    struct ph_pop3_client *c = engine;
    c->eof = true;
}

static ph_str out(const void *engine)
{
    const struct ph_pop3_client *c = engine;
    return ph_buf_str(&c->out);
}

static void sent(void *engine, size_t n)
{
    struct ph_pop3_client *c = engine;
    c->active = c->now;
    ph_wipe(c->out.p, n < c->out.n ? n : c->out.n); /* passwords were in it */
    ph_buf_drop(&c->out, n);
    ph_buf_shrink(&c->out);
}

static unsigned want(const void *engine)
{
    const struct ph_pop3_client *c = engine;
    unsigned w = c->out.n ? PH_WANT_WRITE : 0;
    if (c->over)
        return w | PH_WANT_CLOSE;
    if (c->tls_due)
        return w | PH_WANT_TLS;
    return w | (ph_inbuf_room(&c->in) && !c->eof ? PH_WANT_READ : 0);
}

static int64_t deadline(const void *engine)
{
    const struct ph_pop3_client *c = engine;
    if (c->active < 0)
        return 0;
    bool asked = c->first && c->first->asked; /* the caller's turn */
    bool due = c->reading == GREETING || (c->flight && !asked) || c->out.n;
    return due && !(c->over && c->out.n == 0) ? c->active + c->opt.timeout_ms : PH_NEVER;
}

static void tick(void *engine, int64_t now_ms)
{
    struct ph_pop3_client *c = engine;
    c->now = now_ms;
    if (c->active < 0)
        c->active = now_ms;
    if (now_ms < deadline(c))
        return;
    ph_buf_clear(&c->out);
    ph__pop3_client_end(c, PH_ETIMEOUT, "the server was silent for too long");
}

const struct ph_proto_ops ph_pop3_client_ops = {
    .feed = feed,
    .feed_eof = feed_eof,
    .out = out,
    .sent = sent,
    .want = want,
    .deadline = deadline,
    .tick = tick,
};
