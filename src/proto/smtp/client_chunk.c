/*
 * The client engine: a letter by BDAT (RFC 3030 2). Chunks go out one behind the other where the
 * server has PIPELINING, else each waits for the reply to the one before. What follows the letter
 * is sent once the last chunk's reply alone is owed: until then a refusal still has to be followed
 * by RSET.
 */
#include "client_int.h"

int ph__smtp_client_chunks_begin(struct ph_smtp_client *c, struct ph_smtp_client_event *ev)
{
    const struct request *r = ph__smtp_client_request(c, c->head);
    c->sent++;
    c->blocked = c->chunked = true;
    c->binary = r->binary;
    c->wait = WAIT_GIVE;
    c->octets = 0;
    c->answered = 0;
    ph_dot_init(&c->dot, c->o.refuse_bare);
    c->dot.no_dots = true;
    ev->local = true;
    ev->reply = (struct ph_smtp_reply){354, {0}, PH_STR("Chunks may follow")};
    return PH_SMTP_C_DATA;
}

/* `part` as it goes over the wire. False: it cannot. */
static bool make(struct ph_smtp_client *c, ph_str part, bool last)
{
    bool good = true;
    ph_buf_clear(&c->chunk);
    if (c->binary)
        ph_buf_add(&c->chunk, part);
    else
        good = ph_dot_add(&c->dot, &c->chunk, part) == 0 &&
               (!last || ph_dot_end(&c->dot, &c->chunk) == 0);
    if (!good)
        ph__smtp_client_break(c, PH_ESYNTAX, "the message has a CR or LF that is not part of CRLF");
    else if (ph_buf_err(&c->chunk))
        ph__smtp_client_break(c, -ph_buf_err(&c->chunk), "out of memory");
    return !c->broken;
}

static void send_chunk(struct ph_smtp_client *c, ph_str part, bool last)
{
    if (!make(c, part, last) || (c->chunk.n == 0 && !last)) /* a CR that waits for its LF */
        return;
    struct ph__smtp_command bdat = {.verb = VERB_BDAT, .octets = c->chunk.n, .last = last};
    size_t at = c->out.n;
    ph__smtp_command_write(&c->out, &bdat, c->announced);
    ph__smtp_note_lines(&c->o.transcript, 'C', ph_str_skip(ph_buf_str(&c->out), at));
    ph_buf_add(&c->out, ph_buf_str(&c->chunk));
    ph__smtp_note_octets(&c->o.transcript, 'C', c->chunk.n);
    c->since = c->now;
    c->owed++;
}

void ph__smtp_client_chunks_push(struct ph_smtp_client *c)
{
    bool ahead = ph__smtp_client_pipelines(c);
    while (!c->broken && (c->piece.n || c->last) && (ahead || c->owed == 0) &&
           ph_smtp_client_out(c).n < CLIENT_OUT_HIGH) {
        ph_str part = ph_str_sub(c->piece, 0, CLIENT_BODY_STEP);
        bool last = c->last && part.n == c->piece.n;
        c->piece = ph_str_skip(c->piece, part.n);
        send_chunk(c, part, last);
        if (!last)
            continue;
        c->wait = WAIT_FINAL;
        c->blocked = c->owed > 1;
        return;
    }
    if (!c->broken && c->piece.n == 0 && !c->last) {
        c->more_due = true;
        c->wait = WAIT_GIVE;
    }
}

/* What is still under way of the letter is answered, too, then RSET. */
static int give_up(struct ph_smtp_client *c)
{
    c->refused = c->code;
    ph_buf_clear(&c->refusal);
    ph_buf_add(&c->refusal, ph_buf_str(&c->reply));
    c->piece = (ph_str){0};
    c->more_due = false;
    c->blocked = true;
    c->wait = WAIT_RESETTING;
    c->owed++;
    ph__smtp_client_write(c, PH_STR("RSET\r\n"), false);
    if (ph_buf_err(&c->refusal))
        ph__smtp_client_break(c, -ph_buf_err(&c->refusal), "out of memory");
    return CLIENT_AGAIN;
}

int ph__smtp_client_chunk_reply(struct ph_smtp_client *c, struct ph_smtp_client_event *ev)
{
    if (--c->owed == 0 && c->wait == WAIT_FINAL)
        return ph__smtp_client_final(c, ev);
    if (c->wait == WAIT_RESETTING && c->owed)
        return CLIENT_AGAIN;
    if (c->wait == WAIT_RESETTING) {
        ev->reply.code = c->refused;
        ev->reply.text = ph_buf_str(&c->refusal);
        ev->reply.esc = ph__smtp_reply_esc(c->refused, &ev->reply.text);
        c->state = STATE_READY;
        ph__smtp_client_answered(c);
        return PH_SMTP_C_SENT;
    }
    if (c->code / 100 != 2)
        return give_up(c);
    if (c->wait == WAIT_FINAL)
        c->blocked = c->owed > 1;
    ph__smtp_client_push(c);
    return CLIENT_AGAIN;
}
