/* The server engine: what the bytes mean. One step per phase, one function per command that the
 * engine answers itself. */
#include "b64.h"
#include "server_int.h"
#include <stdio.h>

#define ask ph__smtp_server_ask
#define after ph__smtp_server_after
#define end_of_input ph__smtp_server_end_of_input

int ask(struct ph_smtp_server *s, int verb, enum ph_smtp_server_ev ev)
{
    s->verb = verb;
    s->phase = PHASE_WAIT;
    return (int)ev;
}

int after(struct ph_smtp_server *s)
{
    ph__smtp_server_settle(s);
    return AGAIN;
}

/* ---- commands that the engine answers ----------------------------------------------------- */

static int do_hello(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    bool right = (c->verb == VERB_LHLO) == s->o.lmtp;
    if (!right) {
        s->o.lmtp ? SAY(s, 500, "5.5.1", "Say LHLO: this is LMTP")
                  : SAY(s, 500, "5.5.1", "Say EHLO: this is not LMTP");
        return after(s);
    }
    ph__smtp_server_drop(s);
    s->state = STATE_READY;
    s->esmtp = c->verb != VERB_HELO;
    ph_buf_clear(&s->helo);
    ph_buf_add(&s->helo, c->text);
    struct ph_buf text;
    ph_buf_init(&text, s->al, SERVER_MECHANISMS_MAX + 2048);
    ph_buf_add(&text, s->o.hostname);
    if (s->esmtp)
        ph__smtp_ehlo_lines(ph__smtp_server_announced(s),
                            &(struct ph__smtp_figures){.size = s->o.limits.message,
                                                       .recipients = s->o.limits.recipients,
                                                       .mechanisms = s->o.auth},
                            &text);
    if (ph_buf_err(&text))
        ph__smtp_server_break(s, -ph_buf_err(&text), "out of memory");
    else
        ph__smtp_server_say(s, 250, (ph_str){0}, ph_buf_str(&text));
    ph_buf_done(&text);
    s->due |= DUE_HELO;
    return after(s);
}

static int do_starttls(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    (void)c;
    if (!(ph__smtp_server_announced(s) & EXT_BIT(STARTTLS))) {
        s->tls ? SAY(s, 503, "5.5.1", "TLS is already active")
               : SAY(s, 502, "5.5.1", "STARTTLS is not offered here");
        return after(s);
    }
    /* Anything that came with the command came in clear and must not be taken for protected (RFC
     * 3207 6). */
    if (ph_inbuf_rest(&s->in).n) {
        SAY(s, 554, "5.5.1", "Nothing may be sent behind STARTTLS before the handshake");
        ph__smtp_server_break(s, PH_EORDER, "commands were sent behind STARTTLS");
        return AGAIN;
    }
    SAY(s, 220, "2.0.0", "Go ahead with TLS");
    if (s->phase == PHASE_LINE)
        s->phase = PHASE_TLS;
    return PH_SMTP_S_STARTTLS;
}

static int do_rset(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    (void)c;
    ph__smtp_server_drop(s);
    SAY(s, 250, "2.0.0", "Forgotten");
    return after(s);
}

static int do_noop(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    (void)c;
    SAY(s, 250, "2.0.0", "Ok");
    return after(s);
}

/* RFC 5321 3.5.3, 7.3: nobody is told who lives here. */
static int do_vrfy(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    c->text.n ? SAY(s, 252, "2.5.2", "Not verified here; send a letter and see")
              : SAY(s, 501, "5.5.4", "An address is expected");
    return after(s);
}

/* RFC 5321 3.5: not even the names of lists. */
static int do_expn(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    c->text.n ? SAY(s, 252, "2.5.2", "Not expanded here")
              : SAY(s, 501, "5.5.4", "The name of a list is expected");
    return after(s);
}

static int do_help(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    (void)c;
    static const char text[] = "Commands:"
#define C(name, args, states, next, flags) " " #name
#include "commands.def"
#undef C
        ;
    ph__smtp_server_say(s, 214, PH_STR("2.0.0"), ph_str_c(text));
    return after(s);
}

static int do_quit(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    (void)c;
    ph__smtp_server_drop(s);
    SAY(s, 221, "2.0.0", "Goodbye");
    if (s->phase == PHASE_END)
        return AGAIN;
    s->phase = PHASE_END;
    s->state = STATE_END;
    s->due |= DUE_QUIT;
    return AGAIN;
}

/* ---- commands that the caller answers ------------------------------------------------------ */

static int do_mail(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    if (c->params.size > s->o.limits.message) {
        SAY(s, 552, "5.3.4", "The message is larger than SIZE allows");
        return after(s);
    }
    s->params = c->params;
    s->params.envid = (ph_str){0}; /* the caller's; gone with scratch */
    return ask(s, VERB_MAIL, PH_SMTP_S_MAIL);
}

static int do_rcpt(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    if (s->recipients >= s->o.limits.recipients) {
        SAY(s, 452, "4.5.3", "Too many recipients; send to the others in another transaction");
        return after(s);
    }
    if (c->mailbox.utf8 && !s->params.smtputf8) {
        SAY(s, 553, "5.6.7", "An address with UTF-8 needs SMTPUTF8 at MAIL");
        return after(s);
    }
    return ask(s, VERB_RCPT, PH_SMTP_S_RCPT);
}

static int do_data(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    (void)c;
    if (s->params.body == PH_SMTP_BINARYMIME) { /* RFC 3030 3 */
        SAY(s, 503, "5.5.1", "A BINARYMIME message comes with BDAT");
        return after(s);
    }
    return ask(s, VERB_DATA, PH_SMTP_S_DATA);
}

static int do_xtrace(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    if (!(ph__smtp_server_announced(s) & EXT_BIT(XTRACE))) {
        SAY(s, 502, "5.5.1", "XTRACE is for logged-in users of submission");
        return after(s);
    }
    if (!c->text.n) {
        SAY(s, 501, "5.5.4", "A Message-ID is expected");
        return after(s);
    }
    return ask(s, VERB_XTRACE, PH_SMTP_S_COMMAND);
}

static int do_trusted(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    if (!s->o.trusted) {
        SAY(s, 550, "5.7.0", "This command is for trusted programs");
        return after(s);
    }
    return ask(s, c->verb, PH_SMTP_S_COMMAND);
}

/* Decodes base64 into scratch; false: not base64, and answered. */
static bool decode(struct ph_smtp_server *s, ph_str b64)
{
    ph_buf_clear(&s->scratch);
    if (ph_b64_decode(&s->scratch, b64) == 0 && !ph_buf_err(&s->scratch))
        return true;
    s->phase = PHASE_LINE;
    s->auth_failures++;
    SAY(s, 501, "5.5.2", "The answer is not base64");
    return false;
}

static int do_auth(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    if (!s->o.auth.n)
        SAY(s, 502, "5.5.1", "AUTH is not offered here");
    else if (!s->esmtp)
        SAY(s, 503, "5.5.1", "Say EHLO first");
    else if (s->authenticated)
        SAY(s, 503, "5.5.1", "You are logged in already");
    else if (!s->tls && !s->o.plaintext)
        SAY(s, 538, "5.7.11", "Use STARTTLS first: no password travels in clear here");
    else if (!ph__smtp_word_in(s->o.auth, c->text))
        SAY(s, 504, "5.5.4", "This mechanism is not offered");
    else if (!c->has_data || decode(s, ph_str_eq(c->data, PH_STR("=")) ? (ph_str){0} : c->data))
        return ask(s, VERB_AUTH, PH_SMTP_S_AUTH);
    return after(s);
}

typedef int command_fn(struct ph_smtp_server *s, const struct ph__smtp_command *c);
static command_fn *const commands[VERB_COUNT] = {
    [VERB_EHLO] = do_hello,        [VERB_HELO] = do_hello,       [VERB_LHLO] = do_hello,
    [VERB_STARTTLS] = do_starttls, [VERB_AUTH] = do_auth,        [VERB_MAIL] = do_mail,
    [VERB_RCPT] = do_rcpt,         [VERB_DATA] = do_data,        [VERB_RSET] = do_rset,
    [VERB_NOOP] = do_noop,         [VERB_VRFY] = do_vrfy,        [VERB_HELP] = do_help,
    [VERB_XTRACE] = do_xtrace,     [VERB_QUIT] = do_quit,        [VERB_EXPN] = do_expn,
    [VERB_XCLIENT] = do_trusted,   [VERB_XFORWARD] = do_trusted, [VERB_BDAT] = ph__smtp_server_bdat,
};

/* ---- refusals ---------------------------------------------------------------------------- */

void ph__smtp_server_refuse_order(struct ph_smtp_server *s, int verb)
{
    if (s->state == STATE_START)
        SAY(s, 503, "5.5.1", "Say EHLO first");
    else if ((verb == VERB_DATA || verb == VERB_BDAT) && s->state == STATE_MAIL)
        SAY(s, 554, "5.5.1", "No valid recipients");
    else if (verb == VERB_MAIL)
        SAY(s, 503, "5.5.1", "A transaction is under way; RSET ends it");
    else if (s->state == STATE_READY)
        SAY(s, 503, "5.5.1", "Say MAIL FROM first");
    else
        SAY(s, 503, "5.5.1", "Not allowed in a transaction");
}

/* Browsers can be made to speak to us: the first line ends it (RFC 5321 7.8 leaves it to the
 * site). */
static bool is_http(ph_str line)
{
    static const ph_str verbs[] = {PH_STR_INIT("GET "), PH_STR_INIT("POST "), PH_STR_INIT("PUT "),
                                   PH_STR_INIT("CONNECT ")};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (ph_str_has_prefix(line, verbs[i]))
            return true;
    return false;
}

static void refuse_line(struct ph_smtp_server *s, ph_str line, int verb, int why,
                        const struct ph_error *e)
{
    /* RFC 3463 3.2: of a recipient, of a sender. */
    const char *bad_address = ph_str_has_iprefix(line, PH_STR("RCPT")) ? "5.1.3" : "5.1.7";
    const struct {
        int why, code;
        const char *esc;
    } rows[] = {
        {-PH_ENOTIMPL, 500, "5.5.2"},   {-PH_EINVAL, 555, "5.5.4"},     {-PH_EDENIED, 553, "5.6.7"},
        {-PH_ENOENT, 501, bad_address}, {-PH_ELIMIT, 501, bad_address}, {-PH_ENOMEM, 451, "4.3.0"},
        {-PH_ESYNTAX, 501, "5.5.4"},
    };
    size_t i = 0;
    while (i < sizeof rows / sizeof rows[0] - 1 && rows[i].why != why)
        i++;
    ph__smtp_server_say(s, rows[i].code, ph_str_c(rows[i].esc), ph_str_c(e->text));
    if (verb == VERB_BDAT) /* the octets behind it must not be taken for commands */
        ph__smtp_server_break(s, PH_ESYNTAX, "a BDAT without a readable size");
    if (why == -PH_ENOTIMPL && is_http(line))
        ph__smtp_server_break(s, PH_ESYNTAX, "the client speaks HTTP");
}

/* ---- phases ------------------------------------------------------------------------------ */

int end_of_input(struct ph_smtp_server *s)
{
    ph_inbuf_shrink(&s->in);
    if (!s->eof)
        return PH_SMTP_S_NEED;
    ph__smtp_server_break(s, PH_ECLOSED, "the client closed the connection");
    return AGAIN;
}

/* A whole line, or what to do instead: *ret_ev is then NEED or AGAIN. */
static bool take_line(struct ph_smtp_server *s, size_t max, ph_str *ret_line, int *ret_ev)
{
    enum ph_line_end end = ph_line_next(&s->in, max, ret_line);
    if (end == PH_LINE_NONE) {
        *ret_ev = end_of_input(s);
        return false;
    }
    s->last = s->now;
    if (end == PH_LINE_CRLF)
        return true;
    bool was_auth = s->phase == PHASE_AUTH;
    s->auth_failures += was_auth;
    s->phase = end == PH_LINE_LONG ? PHASE_SKIP : PHASE_LINE;
    end == PH_LINE_LONG ? SAY(s, 500, "5.5.2", "The line is too long")
                        : SAY(s, 500, "5.5.2", "Lines end in CRLF and hold no other CR, LF or NUL");
    *ret_ev = after(s);
    return false;
}

static int run_command(struct ph_smtp_server *s, const struct ph__smtp_command *c,
                       struct ph_smtp_server_event *ev)
{
    const struct ph__smtp_row *row = &ph__smtp_rows[c->verb];
    s->junk += (row->flags & JUNK) != 0;
    bool needs_login = (row->flags & MAILS) && s->o.auth_required && !s->authenticated;
    /* What follows BDAT must be read before it can be refused. */
    if (c->verb != VERB_BDAT && !ph__smtp_allowed(s->state, c->verb)) {
        ph__smtp_server_refuse_order(s, c->verb);
        return after(s);
    }
    if (c->verb != VERB_BDAT && needs_login) {
        SAY(s, 530, "5.7.0", "Log in first");
        return after(s);
    }
    ev->mailbox = c->mailbox;
    ev->params = c->params;
    ev->name = row->verb;
    ev->data = c->text;
    int r = commands[c->verb](s, c);
    if (r == PH_SMTP_S_AUTH) {
        ev->name = c->text;
        ev->has_data = c->has_data;
        ev->data = c->has_data ? ph_buf_str(&s->scratch) : (ph_str){0};
    }
    return r;
}

static int step_line(struct ph_smtp_server *s, struct ph_smtp_server_event *ev)
{
    struct ph__smtp_command c = {.verb = VERB_COUNT};
    struct ph_error e = {0};
    ph_str line;
    int r;
    if (ph_smtp_server_out(s).n > SERVER_OUT_HIGH)
        return PH_SMTP_S_NEED;
    bool auth = ph_str_has_iprefix(ph_inbuf_rest(&s->in), PH_STR("AUTH "));
    if (!take_line(s, auth ? PH_SMTP_AUTH_LINE : PH_SMTP_LINE, &line, &r))
        return r;
    if (auth)
        ph__smtp_note_secret(&s->o.transcript, 'C', line);
    else
        ph__smtp_note(&s->o.transcript, 'C', line);
    ph_buf_clear(&s->scratch);
    unsigned announced = ph__smtp_server_announced(s);
    if (s->authenticated)
        announced |= EXT_BIT(AUTH); /* its parameter of MAIL stays legal after the login */
    r = ph__smtp_command_read(line, announced, &s->scratch, &c, &e);
    if (r < 0) {
        refuse_line(s, line, c.verb, r, &e);
        return after(s);
    }
    return run_command(s, &c, ev);
}

static int step_skip(struct ph_smtp_server *s, struct ph_smtp_server_event *ev)
{
    (void)ev;
    if (!ph_line_skip(&s->in))
        return end_of_input(s);
    s->phase = PHASE_LINE;
    return AGAIN;
}

static int step_auth(struct ph_smtp_server *s, struct ph_smtp_server_event *ev)
{
    ph_str line;
    int r;
    if (!take_line(s, PH_SMTP_AUTH_LINE, &line, &r))
        return r;
    ph__smtp_note_secret(&s->o.transcript, 'C', line);
    if (ph_str_eq(line, PH_STR("*"))) {
        s->phase = PHASE_LINE;
        s->auth_failures++;
        SAY(s, 501, "5.7.0", "Login cancelled");
        return after(s);
    }
    if (!decode(s, line))
        return after(s);
    ev->data = ph_buf_str(&s->scratch);
    ev->has_data = true;
    return ask(s, VERB_AUTH, PH_SMTP_S_AUTHDATA);
}

static int step_none(struct ph_smtp_server *s, struct ph_smtp_server_event *ev)
{
    (void)s, (void)ev;
    return PH_SMTP_S_NEED;
}

static int step_greet(struct ph_smtp_server *s, struct ph_smtp_server_event *ev)
{
    (void)ev;
    return s->eof ? end_of_input(s) : PH_SMTP_S_NEED;
}

typedef int step_fn(struct ph_smtp_server *s, struct ph_smtp_server_event *ev);
static step_fn *const steps[PHASE_COUNT] = {
    [PHASE_GREET] = step_greet,
    [PHASE_LINE] = step_line,
    [PHASE_SKIP] = step_skip,
    [PHASE_AUTH] = step_auth,
    [PHASE_WAIT] = step_none,
    [PHASE_TLS] = step_none,
    [PHASE_END] = step_none,
    [PHASE_BODY] = ph__smtp_server_step_body,
    [PHASE_CHUNK] = ph__smtp_server_step_chunk,
};

static int give_due(struct ph_smtp_server *s, struct ph_smtp_server_event *ev)
{
    static const struct {
        unsigned due;
        enum ph_smtp_server_ev ev;
    } order[] = {{DUE_RESET, PH_SMTP_S_RESET},
                 {DUE_HELO, PH_SMTP_S_HELO},
                 {DUE_QUIT, PH_SMTP_S_QUIT},
                 {DUE_BROKEN, PH_SMTP_S_BROKEN}};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (!(s->due & order[i].due))
            continue;
        s->due &= ~order[i].due;
        ev->name = ph_buf_str(&s->helo);
        ev->error = s->error;
        return (int)order[i].ev;
    }
    return AGAIN;
}

enum ph_smtp_server_ev ph_smtp_server_next(struct ph_smtp_server *s,
                                           struct ph_smtp_server_event *ret_event)
{
    int r;
    do {
        *ret_event = (struct ph_smtp_server_event){0};
        ph_inbuf_eat(&s->in, s->eat_later);
        s->eat_later = 0;
        r = s->due ? give_due(s, ret_event) : steps[s->phase](s, ret_event);
    } while (r == AGAIN);
    return (enum ph_smtp_server_ev)r;
}
