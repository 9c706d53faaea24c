/* The client engine: what the server's replies mean for the request at the head of the queue. */
#include "b64.h"
#include "client_int.h"
#include <string.h>

/* ---- capabilities ------------------------------------------------------------------------ */

bool ph_smtp_client_has(const struct ph_smtp_client *c, ph_str keyword, ph_str *ret_params)
{
    ph_str params;
    if (!ph__smtp_ehlo_find(ph_buf_str(&c->ehlo), keyword, &params))
        return false;
    if (ret_params)
        *ret_params = params;
    return true;
}

bool ph_smtp_client_has_auth(const struct ph_smtp_client *c, ph_str mechanism)
{
    ph_str words;
    return ph_smtp_client_has(c, PH_STR("AUTH"), &words) && ph__smtp_word_in(words, mechanism);
}

static void learn(struct ph_smtp_client *c, int verb)
{
    static const ph_str keywords[EXT_COUNT] = {
#define E(name, condition) PH_STR_INIT(#name),
#define P(command, keyword, name)
#include "ext.def"
#undef E
#undef P
    };
    ph_str lines = ph_buf_str(&c->reply), greeting;
    ph_buf_clear(&c->ehlo);
    c->announced = 0;
    if (verb == VERB_HELO || !ph_str_token(&lines, '\n', &greeting))
        return;
    ph_buf_add(&c->ehlo, lines);
    if (ph_buf_err(&c->ehlo))
        ph__smtp_client_break(c, -ph_buf_err(&c->ehlo), "out of memory");
    for (int i = 0; i < EXT_COUNT; i++)
        if (ph_smtp_client_has(c, keywords[i], NULL))
            c->announced |= 1u << i;
}

/* ---- replies ----------------------------------------------------------------------------- */

void ph__smtp_client_fill(struct ph_smtp_client *c, struct ph_smtp_client_event *ev)
{
    ev->reply.code = c->code;
    ev->reply.text = ph_buf_str(&c->reply);
    ev->reply.esc = ph__smtp_reply_esc(c->code, &ev->reply.text);
}

/* Enhanced codes stand on every line (RFC 2034 4): those equal to the first's are taken out of the
 * others. */
static void add_line(struct ph_smtp_client *c, ph_str text, bool first)
{
    ph_str whole = ph_buf_str(&c->reply), esc = ph__smtp_reply_esc(c->code, &whole), copy = text;
    if (!first) {
        if (esc.n && ph_str_eq(ph__smtp_reply_esc(c->code, &copy), esc))
            text = copy;
        ph_buf_addc(&c->reply, '\n');
    }
    ph_buf_add(&c->reply, text);
}

/* 1: c->code and c->reply hold a whole reply; 0: more is needed. */
static int read_reply(struct ph_smtp_client *c)
{
    ph_str line, text;
    bool last;
    int code;
    for (;;) {
        enum ph_line_end end = ph_line_next(&c->in, PH_SMTP_REPLY_LINE, &line);
        if (end == PH_LINE_NONE)
            return 0;
        ph__smtp_note(&c->o.transcript, 'S', line);
        /* A lone LF is tolerated here: it ends one line of a reply, and a reply decides nothing
         * about others' mail. */
        if (end == PH_LINE_LONG || ph__smtp_reply_line(line, &code, &last, &text) < 0 ||
            (c->code && code != c->code)) {
            ph__smtp_client_break(c, PH_ESYNTAX, "the server does not speak SMTP");
            return 0;
        }
        bool first = c->code == 0;
        c->code = code;
        add_line(c, text, first);
        if (ph_buf_err(&c->reply)) {
            ph__smtp_client_break(c, -ph_buf_err(&c->reply), "the reply is too long");
            return 0;
        }
        if (last)
            return 1;
    }
}

static int give(struct ph_smtp_client *c, const struct request *r, struct ph_smtp_client_event *ev)
{
    enum ph_smtp_client_ev kind = r->ev;
    ev->index = r->verb == VERB_RCPT ? r->index : 0;
    ph__smtp_client_fill(c, ev);
    ph__smtp_client_answered(c);
    return (int)kind;
}

/* The engine's own verdict on a request that makes no sense any more. */
static int verdict(struct ph_smtp_client *c, const struct request *r,
                   struct ph_smtp_client_event *ev)
{
    bool data = r->verb != VERB_RCPT;
    ev->local = true;
    ev->index = r->verb == VERB_RCPT ? r->index : 0;
    ev->reply = (struct ph_smtp_reply){data ? 554 : 503, PH_STR("5.5.1"),
                                       data ? PH_STR("No recipient was accepted")
                                            : PH_STR("The sender was not accepted")};
    enum ph_smtp_client_ev kind = r->ev;
    ph__smtp_client_answered(c);
    return (int)kind;
}

static int on_hello(struct ph_smtp_client *c, const struct request *r,
                    struct ph_smtp_client_event *ev)
{
    if (r->verb == VERB_EHLO && c->code / 100 == 5 && !c->helo_tried) {
        c->helo_tried = true;
        struct ph__smtp_command helo = {.verb = VERB_HELO, .text = ph_buf_str(&c->name)};
        struct ph_buf line;
        ph_buf_init(&line, c->al, 512);
        ph__smtp_command_write(&line, &helo, 0);
        if (ph_buf_err(&line))
            ph__smtp_client_break(c, -ph_buf_err(&line), "out of memory");
        else
            ph__smtp_client_write(c, ph_buf_str(&line), false);
        ph_buf_done(&line);
        return CLIENT_AGAIN;
    }
    if (c->code / 100 == 2)
        learn(c, c->helo_tried ? VERB_HELO : r->verb);
    return give(c, r, ev);
}

static int on_starttls(struct ph_smtp_client *c, const struct request *r,
                       struct ph_smtp_client_event *ev)
{
    if (c->code == 220 && ph_inbuf_rest(&c->in).n) {
        ph__smtp_client_break(c, PH_EORDER,
                              "the server sent something behind its answer to STARTTLS");
        return CLIENT_AGAIN;
    }
    c->tls_wanted = c->code == 220;
    return give(c, r, ev);
}

static int on_auth(struct ph_smtp_client *c, const struct request *r,
                   struct ph_smtp_client_event *ev)
{
    if (c->code != 334)
        return give(c, r, ev);
    c->wait = WAIT_CHALLENGED;
    ph_buf_clear(&c->decoded);
    if (ph_b64_decode(&c->decoded, ph_buf_str(&c->reply)) < 0 || ph_buf_err(&c->decoded)) {
        ph__smtp_client_break(c, PH_ESYNTAX, "a challenge is not base64");
        return CLIENT_AGAIN;
    }
    ph__smtp_client_fill(c, ev);
    ev->data = ph_buf_str(&c->decoded);
    return PH_SMTP_C_CHALLENGE;
}

static int on_data(struct ph_smtp_client *c, const struct request *r,
                   struct ph_smtp_client_event *ev)
{
    bool nobody = c->accepted.n == 0;
    if (c->wait == WAIT_VOID) {
        c->wait = WAIT_REPLY;
        return c->code / 100 == 2 ? verdict(c, r, ev) : give(c, r, ev);
    }
    if (c->code != 354) {
        c->state = STATE_READY;
        return give(c, r, ev);
    }
    if (nobody) {
        ph__smtp_client_write(c, PH_STR(".\r\n"), false);
        c->wait = WAIT_VOID;
        c->state = STATE_READY;
        return CLIENT_AGAIN;
    }
    c->wait = WAIT_GIVE;
    c->chunked = false;
    c->octets = 0;
    c->answered = 0;
    ph_dot_init(&c->dot, c->o.refuse_bare);
    ph__smtp_client_fill(c, ev);
    return PH_SMTP_C_DATA;
}

int ph__smtp_client_final(struct ph_smtp_client *c, struct ph_smtp_client_event *ev)
{
    size_t owed = c->o.lmtp ? c->accepted.n / sizeof(unsigned) : 1;
    ph__smtp_client_fill(c, ev);
    if (c->o.lmtp)
        memcpy(&ev->index, c->accepted.p + c->answered * sizeof(unsigned), sizeof(unsigned));
    if (++c->answered == owed) {
        c->state = STATE_READY;
        ph__smtp_client_answered(c);
    }
    return PH_SMTP_C_SENT;
}

static int on_reply(struct ph_smtp_client *c, struct ph_smtp_client_event *ev)
{
    const struct request *r = ph__smtp_client_request(c, c->head);
    if (c->owed)
        return ph__smtp_client_chunk_reply(c, ev);
    if (c->wait == WAIT_FINAL)
        return ph__smtp_client_final(c, ev);
    if (c->head == c->sent || c->wait == WAIT_CHALLENGED || c->wait == WAIT_GIVE ||
        c->wait == WAIT_ENDING) {
        c->unasked = true;
        ph__smtp_client_break(c, c->code == 421 ? PH_ECLOSED : PH_EORDER,
                              c->code == 421 ? "the server ended the session"
                                             : "the server answered before it was asked");
        return CLIENT_AGAIN;
    }
    if (r->verb == VERB_MAIL || r->verb == VERB_RSET)
        ph_buf_clear(&c->accepted);
    if (r->verb == VERB_RCPT && c->code / 100 == 2 && c->state >= STATE_MAIL)
        ph_buf_add(&c->accepted, (ph_str){(const char *)&r->index, sizeof r->index});
    if (ph_buf_err(&c->accepted))
        ph__smtp_client_break(c, -ph_buf_err(&c->accepted), "out of memory");
    c->done |= r->verb == VERB_QUIT;
    if (r->verb != VERB_STARTTLS)
        c->state = ph__smtp_after(c->state, r->verb, c->code);
    switch (r->ev) {
    case PH_SMTP_C_HELLO:
        return on_hello(c, r, ev);
    case PH_SMTP_C_STARTTLS:
        return on_starttls(c, r, ev);
    case PH_SMTP_C_AUTH:
        return on_auth(c, r, ev);
    case PH_SMTP_C_DATA:
        return on_data(c, r, ev);
    default:
        return give(c, r, ev);
    }
}

/* ---- events ------------------------------------------------------------------------------ */

static int give_broken(struct ph_smtp_client *c, struct ph_smtp_client_event *ev)
{
    if (c->broken_given)
        return PH_SMTP_C_NEED;
    c->broken_given = true;
    ev->error = c->error;
    if (c->unasked)
        ph__smtp_client_fill(c, ev);
    return PH_SMTP_C_BROKEN;
}

static bool of_letter(int verb)
{
    return verb == VERB_RCPT || verb == VERB_DATA || verb == VERB_BDAT;
}

static int step(struct ph_smtp_client *c, struct ph_smtp_client_event *ev)
{
    if (c->broken)
        return give_broken(c, ev);
    if (c->done || c->tls_wanted)
        return PH_SMTP_C_NEED;
    if (c->more_due) {
        c->more_due = false;
        return PH_SMTP_C_MORE;
    }
    /* A request that was not sent although everything before it is answered can no longer
     * succeed. */
    const struct request *r = ph__smtp_client_request(c, c->head);
    bool turn = r && c->head == c->sent && !c->blocked;
    if (turn && of_letter(r->verb) && !ph__smtp_allowed(c->state, r->verb))
        return verdict(c, r, ev);
    if (turn && r->verb == VERB_BDAT)
        return ph__smtp_client_chunks_begin(c, ev);
    if (!c->code || c->reply_given) {
        c->reply_given = false;
        c->code = 0;
        ph_buf_clear(&c->reply);
    }
    if (!read_reply(c)) {
        if (c->eof && !c->broken)
            ph__smtp_client_break(c, PH_ECLOSED, "the server closed the connection");
        return c->broken ? CLIENT_AGAIN : PH_SMTP_C_NEED;
    }
    c->reply_given = true;
    c->since = c->now;
    return on_reply(c, ev);
}

enum ph_smtp_client_ev ph_smtp_client_next(struct ph_smtp_client *c,
                                           struct ph_smtp_client_event *ret_event)
{
    int r;
    do {
        *ret_event = (struct ph_smtp_client_event){0};
        r = step(c, ret_event);
    } while (r == CLIENT_AGAIN);
    return (enum ph_smtp_client_ev)r;
}
