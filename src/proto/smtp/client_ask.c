/* The client engine: requests. */
#include "b64.h"
#include "client_int.h"
#include <string.h>

static bool one_line(ph_str s)
{
    return ph_str_chr(s, '\r') == PH_NPOS && ph_str_chr(s, '\n') == PH_NPOS &&
           ph_str_chr(s, '\0') == PH_NPOS;
}

/* Queues a request whose line was just written at text[off...]. */
static int enqueue(struct ph_smtp_client *c, struct request r, size_t off)
{
    int err = ph_buf_err(&c->text);
    if (!err) {
        r.off = off;
        r.n = c->text.n - off;
        ph_buf_add(&c->queue, (ph_str){(const char *)&r, sizeof r});
        err = ph_buf_err(&c->queue);
    }
    if (err) {
        /* As if it had not been asked for: errors of these two are not for ever. */
        c->text.err = c->queue.err = 0;
        c->text.n = off;
        return err;
    }
    ph__smtp_client_push(c);
    return 0;
}

static int ask(struct ph_smtp_client *c, const struct ph__smtp_command *cmd,
               enum ph_smtp_client_ev ev)
{
    if (c->broken || c->done)
        return -PH_ECLOSED;
    if (!one_line(cmd->text) || !one_line(cmd->mailbox.address) || !one_line(cmd->params.more))
        return -PH_EINVAL;
    size_t off = c->text.n;
    ph__smtp_command_write(&c->text, cmd, c->announced);
    return enqueue(c,
                   (struct request){.verb = cmd->verb,
                                    .ev = ev,
                                    .flags = ph__smtp_rows[cmd->verb].flags,
                                    .secret = cmd->verb == VERB_AUTH,
                                    .index = c->next_index},
                   off);
}

static int hello(struct ph_smtp_client *c, int verb, ph_str name)
{
    if (!one_line(name) || !name.n || name.n > 255 || ph_str_chr(name, ' ') != PH_NPOS)
        return -PH_EINVAL;
    ph_buf_clear(&c->name);
    ph_buf_add(&c->name, name);
    if (ph_buf_err(&c->name))
        return ph_buf_err(&c->name);
    c->helo_tried = verb == VERB_HELO;
    return ask(c, &(struct ph__smtp_command){.verb = verb, .text = name}, PH_SMTP_C_HELLO);
}

int ph_smtp_client_hello(struct ph_smtp_client *c, ph_str name)
{
    return hello(c, c->o.lmtp ? VERB_LHLO : VERB_EHLO, name);
}

int ph_smtp_client_helo(struct ph_smtp_client *c, ph_str name)
{
    return hello(c, VERB_HELO, name);
}

bool ph_smtp_client_is_lmtp(const struct ph_smtp_client *c)
{
    return c->o.lmtp;
}

int ph_smtp_client_starttls(struct ph_smtp_client *c)
{
    if (!(c->announced & EXT_BIT(STARTTLS)))
        return c->broken ? -PH_ECLOSED : -PH_ENOTIMPL;
    return ask(c, &(struct ph__smtp_command){.verb = VERB_STARTTLS}, PH_SMTP_C_STARTTLS);
}

void ph_smtp_client_tls_started(struct ph_smtp_client *c)
{
    c->tls_wanted = c->blocked = false;
    c->announced = 0;
    ph_buf_clear(&c->ehlo);
    c->state = STATE_START;
    c->since = c->now;
    ph__smtp_client_push(c);
}

/* ---- login ------------------------------------------------------------------------------- */

int ph_smtp_client_auth(struct ph_smtp_client *c, ph_str mechanism, ph_str initial,
                        bool has_initial)
{
    struct ph_buf b64;
    if (c->broken || c->done)
        return -PH_ECLOSED;
    if (!ph_smtp_client_has_auth(c, mechanism))
        return -PH_ENOTIMPL;
    ph_buf_init(&b64, c->al, PH_SMTP_AUTH_LINE);
    ph_b64_encode(&b64, initial);
    int r = ph_buf_err(&b64);
    if (!r)
        r = ask(c,
                &(struct ph__smtp_command){.verb = VERB_AUTH,
                                           .text = mechanism,
                                           .data = ph_buf_str(&b64),
                                           .has_data = has_initial},
                PH_SMTP_C_AUTH);
    ph_wipe(b64.p, b64.cap);
    ph_buf_done(&b64);
    return r;
}

int ph_smtp_client_auth_data(struct ph_smtp_client *c, ph_str raw, bool cancel)
{
    struct ph_buf line;
    if (c->broken)
        return -PH_ECLOSED;
    if (c->wait != WAIT_CHALLENGED)
        return -PH_EORDER;
    ph_buf_init(&line, c->al, PH_SMTP_AUTH_LINE);
    if (cancel)
        ph_buf_addc(&line, '*');
    else
        ph_b64_encode(&line, raw);
    ph_buf_add(&line, PH_STR("\r\n"));
    int r = ph_buf_err(&line);
    if (!r) {
        c->wait = WAIT_REPLY;
        ph__smtp_client_write(c, ph_buf_str(&line), !cancel);
    }
    ph_wipe(line.p, line.cap);
    ph_buf_done(&line);
    return r;
}

/* ---- a letter ---------------------------------------------------------------------------- */

/* An address as the engine writes it; refuses what is none. */
static int check_address(struct ph_smtp_client *c, ph_str address, unsigned allow,
                         struct ph_buf *scratch, struct ph_smtp_mailbox *ret)
{
    struct ph_error e;
    ph_buf_init(scratch, c->al, 2 * PH_SMTP_PATH + 16);
    int r = ph_smtp_mailbox_parse(address, allow | PH_SMTP_ALLOW_UTF8, scratch, ret, &e);
    return r == -PH_ESYNTAX || r == -PH_ELIMIT ? -PH_EINVAL : r;
}

/* RFC 1870 5: a server that says SIZE n takes no message above n; 0 is no limit. */
static bool too_large(const struct ph_smtp_client *c, uint64_t size)
{
    ph_str params;
    uint64_t most;
    return ph_smtp_client_has(c, PH_STR("SIZE"), &params) &&
           ph_str_u64(params, UINT64_MAX, &most) && most && size > most;
}

/* RFC 3030 3: such a body goes by BDAT alone. */
static bool takes_binary(const struct ph_smtp_client *c)
{
    unsigned both = EXT_BIT(BINARYMIME) | EXT_BIT(CHUNKING);
    return (c->announced & both) == both && !c->o.lmtp;
}

int ph_smtp_client_mail(struct ph_smtp_client *c, ph_str sender,
                        const struct ph_smtp_params *params)
{
    struct ph__smtp_command cmd = {.verb = VERB_MAIL};
    struct ph_buf scratch;
    int r = check_address(c, sender, PH_SMTP_ALLOW_NULL, &scratch, &cmd.mailbox);
    if (params)
        cmd.params = *params;
    cmd.params.smtputf8 |= cmd.mailbox.utf8;
    if (r == 0 && cmd.params.smtputf8 && !(c->announced & EXT_BIT(SMTPUTF8)))
        r = -PH_ENOTIMPL;
    if (r == 0 && cmd.params.body == PH_SMTP_BINARYMIME && !takes_binary(c))
        r = -PH_ENOTIMPL;
    if (r == 0 && too_large(c, cmd.params.size))
        r = -PH_ELIMIT;
    if (r == 0)
        r = ask(c, &cmd, PH_SMTP_C_MAIL);
    if (r == 0)
        c->next_index = 0;
    ph_buf_done(&scratch);
    return r;
}

int ph_smtp_client_rcpt(struct ph_smtp_client *c, ph_str address,
                        const struct ph_smtp_params *params)
{
    struct ph__smtp_command cmd = {.verb = VERB_RCPT};
    if (params)
        cmd.params = *params;
    struct ph_buf scratch;
    int r = check_address(c, address, PH_SMTP_ALLOW_POSTMASTER, &scratch, &cmd.mailbox);
    if (r == 0 && cmd.mailbox.utf8 && !(c->announced & EXT_BIT(SMTPUTF8)))
        r = -PH_ENOTIMPL;
    if (r == 0)
        r = ask(c, &cmd, PH_SMTP_C_RCPT);
    if (r == 0)
        c->next_index++;
    ph_buf_done(&scratch);
    return r;
}

int ph_smtp_client_data(struct ph_smtp_client *c)
{
    return ask(c, &(struct ph__smtp_command){.verb = VERB_DATA}, PH_SMTP_C_DATA);
}

int ph_smtp_client_chunks(struct ph_smtp_client *c, bool binary)
{
    if (c->broken || c->done)
        return -PH_ECLOSED;
    if (!(c->announced & EXT_BIT(CHUNKING)) || c->o.lmtp)
        return -PH_ENOTIMPL;
    return enqueue(
        c,
        (struct request){.verb = VERB_BDAT, .ev = PH_SMTP_C_DATA, .flags = LAST, .binary = binary},
        c->text.n);
}

int ph_smtp_client_body(struct ph_smtp_client *c, ph_str piece, bool last)
{
    if (c->broken)
        return -PH_ECLOSED;
    if (c->wait != WAIT_GIVE)
        return -PH_EORDER;
    c->piece = piece;
    c->last = last;
    c->more_due = false;
    c->wait = WAIT_ENDING;
    ph__smtp_client_push(c);
    return 0;
}

int ph_smtp_client_command(struct ph_smtp_client *c, ph_str line)
{
    if (c->broken || c->done)
        return -PH_ECLOSED;
    if (!one_line(line) || !line.n || line.n > PH_SMTP_LINE - 2)
        return -PH_EINVAL;
    bool rset = ph_str_ieq(line, PH_STR("RSET"));
    size_t off = c->text.n;
    ph_buf_add(&c->text, line);
    ph_buf_add(&c->text, PH_STR("\r\n"));
    return enqueue(c,
                   (struct request){.verb = rset ? VERB_RSET : VERB_GREETING,
                                    .ev = PH_SMTP_C_COMMAND,
                                    .flags = rset ? 0 : LAST},
                   off);
}

int ph_smtp_client_quit(struct ph_smtp_client *c)
{
    return ask(c, &(struct ph__smtp_command){.verb = VERB_QUIT}, PH_SMTP_C_QUIT);
}
