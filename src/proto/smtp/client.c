/* The client engine: bytes, time, and what goes out when. Replies: client_next.c; requests:
 * client_ask.c. */
#include "client_int.h"
#include <string.h>

void ph_smtp_client_defaults(struct ph_smtp_client_options *o)
{
    *o = (struct ph_smtp_client_options){.struct_size = sizeof *o, .timeout_ms = PH_SMTP_TIMEOUT};
}

struct ph_smtp_client *ph_smtp_client_new(const struct ph_alloc *al,
                                          const struct ph_smtp_client_options *o)
{
    struct ph_smtp_client *c = ph_new0(al, sizeof *c);
    if (!c)
        return NULL;
    c->al = al;
    c->o = *o;
    ph_inbuf_init(&c->in, al, CLIENT_IN_MAX);
    ph_buf_init(&c->out, al, CLIENT_OUT_MAX);
    ph_buf_init(&c->queue, al, PH_SMTP_CLIENT_QUEUE * sizeof(struct request));
    ph_buf_init(&c->text, al, CLIENT_TEXT_MAX);
    ph_buf_init(&c->accepted, al, PH_SMTP_CLIENT_QUEUE * sizeof(unsigned) * 16);
    ph_buf_init(&c->ehlo, al, PH_SMTP_REPLY);
    ph_buf_init(&c->name, al, 256);
    ph_buf_init(&c->reply, al, PH_SMTP_REPLY);
    ph_buf_init(&c->decoded, al, PH_SMTP_AUTH_LINE);
    ph_buf_init(&c->chunk, al, 2 * CLIENT_BODY_STEP + 8);
    ph_buf_init(&c->refusal, al, PH_SMTP_REPLY);
    /* The greeting is the answer to a request that was never made. */
    struct request greeting = {.verb = VERB_GREETING, .ev = PH_SMTP_C_GREETING, .flags = LAST};
    ph_buf_add(&c->queue, (ph_str){(const char *)&greeting, sizeof greeting});
    c->sent = 1;
    c->blocked = true;
    return ph_buf_err(&c->queue) ? ph_smtp_client_free(c) : c;
}

struct ph_smtp_client *ph_smtp_client_free(struct ph_smtp_client *c)
{
    if (!c)
        return NULL;
    ph_wipe(c->text.p, c->text.cap);
    struct ph_buf *all[] = {&c->out,  &c->queue, &c->text,    &c->accepted, &c->ehlo,
                            &c->name, &c->reply, &c->decoded, &c->chunk,    &c->refusal};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ph_buf_done(all[i]);
    ph_inbuf_done(&c->in);
    ph_free(c->al, c, sizeof *c);
    return NULL;
}

struct request *ph__smtp_client_request(struct ph_smtp_client *c, size_t i)
{
    return i < c->queue.n / sizeof(struct request) ? (struct request *)(void *)c->queue.p + i
                                                   : NULL;
}

void ph__smtp_client_break(struct ph_smtp_client *c, int code, const char *why)
{
    if (c->broken)
        return;
    c->broken = true;
    c->piece = (ph_str){0};
    ph_fail(&c->error, code, 0, "%s", why);
}

/* ---- bytes and time ---------------------------------------------------------------------- */

int64_t ph_smtp_client_feed(struct ph_smtp_client *c, ph_str in)
{
    if (c->broken)
        return -PH_ECLOSED;
    if (c->tls_wanted)
        return 0;
    int64_t n = ph_inbuf_add(&c->in, in);
    if (n < 0)
        ph__smtp_client_break(c, PH_ENOMEM, "out of memory");
    return n;
}

void ph_smtp_client_feed_eof(struct ph_smtp_client *c)
{
    c->eof = true;
}

ph_str ph_smtp_client_out(const struct ph_smtp_client *c)
{
    return ph_str_skip(ph_buf_str(&c->out), c->out_from);
}

void ph_smtp_client_sent(struct ph_smtp_client *c, size_t n)
{
    c->out_from += n;
    c->since = n ? c->now : c->since;
    if (c->out_from == c->out.n) {
        c->out_from = 0;
        ph_buf_clear(&c->out);
    } else if (c->out_from >= CLIENT_OUT_HIGH) {
        /* a peer that never takes all of it: what is sent makes room */
        ph_buf_drop(&c->out, c->out_from);
        c->out_from = 0;
    }
    ph__smtp_client_push(c);
}

static bool waiting(const struct ph_smtp_client *c)
{
    bool callers_turn = c->wait == WAIT_GIVE || c->wait == WAIT_CHALLENGED;
    return ph_smtp_client_out(c).n || c->tls_wanted || (c->head < c->sent && !callers_turn);
}

unsigned ph_smtp_client_want(const struct ph_smtp_client *c)
{
    if (c->broken)
        return PH_WANT_CLOSE;
    unsigned want = ph_smtp_client_out(c).n ? PH_WANT_WRITE : 0;
    if (c->done)
        return want | PH_WANT_CLOSE;
    if (c->tls_wanted)
        return want | PH_WANT_TLS;
    return c->eof || !ph_inbuf_room(&c->in) ? want : want | PH_WANT_READ;
}

int64_t ph_smtp_client_deadline(const struct ph_smtp_client *c)
{
    if (c->broken || !waiting(c))
        return PH_NEVER;
    return c->since + c->o.timeout_ms * (c->wait == WAIT_FINAL ? 2 : 1);
}

void ph_smtp_client_tick(struct ph_smtp_client *c, int64_t now_ms)
{
    if (c->now == 0 && c->since == 0)
        c->since = now_ms;
    c->now = now_ms;
    if (ph_smtp_client_deadline(c) <= now_ms)
        ph__smtp_client_break(c, PH_ETIMEOUT, "the server did not answer in time");
}

/* ---- what goes out ----------------------------------------------------------------------- */

void ph__smtp_client_write(struct ph_smtp_client *c, ph_str wire, bool secret)
{
    ph_buf_add(&c->out, wire);
    c->since = c->now;
    if (ph_buf_err(&c->out))
        ph__smtp_client_break(c, -ph_buf_err(&c->out), "out of memory");
    else if (secret)
        ph__smtp_note_secret(&c->o.transcript, 'C', ph_str_trim(wire));
    else
        ph__smtp_note_lines(&c->o.transcript, 'C', wire);
}

/* Encodes as much of the body as out may hold. */
static void push_body(struct ph_smtp_client *c)
{
    while (c->piece.n && ph_smtp_client_out(c).n < CLIENT_OUT_HIGH) {
        ph_str part = ph_str_sub(c->piece, 0, CLIENT_BODY_STEP);
        if (ph_dot_add(&c->dot, &c->out, part) < 0) {
            ph__smtp_client_break(c, PH_ESYNTAX,
                                  "the message has a CR or LF that is not part of CRLF");
            return;
        }
        c->octets += part.n;
        c->piece = ph_str_skip(c->piece, part.n);
    }
    if (c->piece.n)
        return;
    if (!c->last) {
        c->more_due = true;
        c->wait = WAIT_GIVE;
        return;
    }
    if (ph_dot_end(&c->dot, &c->out) < 0)
        ph__smtp_client_break(c, PH_ESYNTAX, "the message ends in a bare CR");
    ph__smtp_note_octets(&c->o.transcript, 'C', c->octets);
    ph__smtp_note(&c->o.transcript, 'C', PH_STR("."));
    c->wait = WAIT_FINAL;
    c->blocked = false; /* RFC 2920 3.1: a message may be the start of a group */
}

bool ph__smtp_client_pipelines(const struct ph_smtp_client *c)
{
    return (c->announced & EXT_BIT(PIPELINING)) && !c->o.no_pipelining;
}

static bool may_send(const struct ph_smtp_client *c, const struct request *r)
{
    if (c->blocked || r->verb == VERB_BDAT || ph_smtp_client_out(c).n >= CLIENT_OUT_HIGH)
        return false;
    if (c->head < c->sent)
        return ph__smtp_client_pipelines(c);
    /* Everything before is answered: what can no longer succeed is not sent, and the head answers
     * itself. */
    bool part_of_letter = r->verb == VERB_RCPT || r->verb == VERB_DATA;
    return !part_of_letter || ph__smtp_allowed(c->state, r->verb);
}

void ph__smtp_client_push(struct ph_smtp_client *c)
{
    if (c->broken)
        return;
    if (c->wait == WAIT_ENDING && c->chunked)
        ph__smtp_client_chunks_push(c);
    else if (c->wait == WAIT_ENDING)
        push_body(c);
    const struct request *r;
    while (!c->broken && (r = ph__smtp_client_request(c, c->sent)) && may_send(c, r)) {
        ph__smtp_client_write(c, ph_str_sub(ph_buf_str(&c->text), r->off, r->n), r->secret);
        c->sent++;
        c->blocked = (r->flags & LAST) != 0;
    }
    if (ph_buf_err(&c->out))
        ph__smtp_client_break(c, -ph_buf_err(&c->out), "out of memory");
}

/* Forgets what is answered, so that a queue that never runs empty does not grow for ever. */
static void compact(struct ph_smtp_client *c)
{
    const struct request *first = ph__smtp_client_request(c, c->head);
    size_t gone = first->off;
    ph_wipe(c->text.p, gone);
    ph_buf_drop(&c->text, gone);
    ph_buf_drop(&c->queue, c->head * sizeof(struct request));
    c->sent -= c->head;
    c->head = 0;
    struct request *r;
    for (size_t i = 0; (r = ph__smtp_client_request(c, i)); i++)
        r->off -= gone;
}

void ph__smtp_client_answered(struct ph_smtp_client *c)
{
    c->head++;
    if (c->sent < c->head)
        c->sent = c->head;
    /* The last command of a group is answered when all before it are. */
    if (c->head == c->sent)
        c->blocked = c->tls_wanted;
    c->wait = WAIT_REPLY;
    if (!ph__smtp_client_request(c, c->head)) {
        ph_wipe(c->text.p, c->text.n);
        ph_buf_clear(&c->text);
        ph_buf_clear(&c->queue);
        c->head = c->sent = 0;
    } else if (c->head >= CLIENT_COMPACT) {
        compact(c);
    }
    ph__smtp_client_push(c);
}

/* ---- the table for the pump -------------------------------------------------------------- */

static int64_t op_feed(void *c, ph_str in)
{
    return ph_smtp_client_feed(c, in);
}
static void op_feed_eof(void *c)
{
    ph_smtp_client_feed_eof(c);
}
static ph_str op_out(const void *c)
{
    return ph_smtp_client_out(c);
}
static void op_sent(void *c, size_t n)
{
    ph_smtp_client_sent(c, n);
}
static unsigned op_want(const void *c)
{
    return ph_smtp_client_want(c);
}
static int64_t op_deadline(const void *c)
{
    return ph_smtp_client_deadline(c);
}
static void op_tick(void *c, int64_t now_ms)
{
    ph_smtp_client_tick(c, now_ms);
}

const struct ph_proto_ops ph_smtp_client_ops = {op_feed, op_feed_eof, op_out, op_sent,
                                                op_want, op_deadline, op_tick};
