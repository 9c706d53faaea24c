/* The POP3 client engine: replies into events. */
#include "b64.h"
#include "client_int.h"

#include <string.h>

typedef struct ph_pop3_client_event event;

static enum ph_pop3_client_ev bad(struct ph_pop3_client *c, const char *why)
{
    ph__pop3_client_end(c, PH_ESYNTAX, why);
    return PH_POP3_C_NEED;
}

/* A line, when it is here. Servers that end lines with LF alone are understood. */
static bool take_line(struct ph_pop3_client *c, ph_str *ret_line)
{
    switch (ph_line_next(&c->in, c->opt.max_line, ret_line)) {
    case PH_LINE_NONE:
        return false;
    case PH_LINE_LONG:
        bad(c, "a line of the server is too long");
        return false;
    case PH_LINE_CRLF:
    case PH_LINE_BARE:
        break;
    }
    ph__pop3_client_tell(c, 'S', *ret_line);
    return true;
}

/* "+OK text" or "-ERR [CODE] text" (RFC 1939 3, 2449 8). false: neither. */
static bool parse_status(ph_str line, event *ev)
{
    ph_str word = {0};
    ph_str_token(&line, ' ', &word);
    ev->ok = ph_str_ieq(word, PH_STR("+OK"));
    if (!ev->ok && !ph_str_ieq(word, PH_STR("-ERR")))
        return false;
    size_t end = ph_str_chr(line, ']');
    if (line.n && line.p[0] == '[' && end != PH_NPOS) {
        ev->code = ph_str_sub(line, 1, end - 1);
        line = ph_str_skip(line, end + 1);
    }
    ev->text = ph_str_trim(line);
    return true;
}

static enum ph_pop3_client_ev read_greeting(struct ph_pop3_client *c, event *ev)
{
    ph_str line;
    if (!take_line(c, &line))
        return PH_POP3_C_NEED;
    if (!parse_status(line, ev))
        return bad(c, "the server's greeting is not one of POP3");
    c->reading = STATUS;
    size_t open = ph_str_chr(ev->text, '<'), close = ph_str_chr(ev->text, '>');
    if (open != PH_NPOS && close != PH_NPOS && open < close) /* RFC 1939 7: a msg-id */
        ph_buf_add(&c->stamp, ph_str_sub(ev->text, open, close + 1 - open));
    if (!ev->ok)
        ph__pop3_client_end(c, PH_EREFUSED, "the server turned us away");
    return PH_POP3_C_GREETING;
}

/* ---- what is in a line ------------------------------------------------------------------- */

static bool parse_size(ph_str text, event *ev)
{
    ph_str number = {0}, size = {0};
    uint64_t n;
    ph_str_token(&text, ' ', &number);
    ph_str_token(&text, ' ', &size);
    if (!ph_str_u64(number, UINT32_MAX - 1, &n) || !ph_str_u64(size, UINT64_MAX, &ev->size))
        return false;
    ev->number = (uint32_t)n;
    return true;
}

static bool parse_uid(ph_str text, event *ev)
{
    ph_str number = {0};
    ph_str_token(&text, ' ', &number);
    ev->text = ph_str_trim(text);
    return ph__pop3_number(number, &ev->number) && ev->text.n;
}

static bool has_word(ph_str words, ph_str word)
{
    ph_str w;
    while (ph_str_token(&words, ' ', &w))
        if (ph_str_ieq(w, word))
            return true;
    return false;
}

static void note_capability(struct ph_pop3_client *c, ph_str line)
{
    struct ph_pop3_caps *caps = &c->caps;
    const struct {
        ph_str name;
        bool *flag;
    } rows[] = {{PH_STR_INIT("STLS"), &caps->stls},
                {PH_STR_INIT("TOP"), &caps->top},
                {PH_STR_INIT("UIDL"), &caps->uidl},
                {PH_STR_INIT("USER"), &caps->user},
                {PH_STR_INIT("PIPELINING"), &caps->pipelining},
                {PH_STR_INIT("RESP-CODES"), &caps->resp_codes},
                {PH_STR_INIT("AUTH-RESP-CODE"), &caps->auth_resp_code},
                {PH_STR_INIT("UTF8"), &caps->utf8}};
    ph_str word = {0};
    ph_str_token(&line, ' ', &word);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ph_str_ieq(word, rows[i].name))
            *rows[i].flag = true;
    if (!ph_str_ieq(word, PH_STR("SASL")))
        return;
    caps->sasl_plain = has_word(line, PH_STR("PLAIN"));
    ph_buf_clear(&c->mechanisms);
    ph_buf_add(&c->mechanisms, line);
}

/* ---- replies ----------------------------------------------------------------------------- */

static enum ph_pop3_client_ev done(struct ph_pop3_client *c, event *ev)
{
    const struct pop3_command *cmd = c->first;
    ev->verb = cmd->verb;
    ev->id = cmd->id;
    if (cmd->verb == PH_POP3_STLS && ev->ok) {
        if (ph_inbuf_rest(&c->in).n)
            return bad(c, "the server sent something between STLS and the handshake");
        c->tls_due = true;
    }
    if (cmd->verb == PH_POP3_USER)
        c->user_refused = !ev->ok;
    if (cmd->verb == PH_POP3_QUIT)
        ph__pop3_client_end(c, 0, "");
    c->reading = STATUS;
    ph__pop3_client_drop(c);
    return PH_POP3_C_DONE;
}

static void begin_many(struct ph_pop3_client *c, enum reading reading)
{
    c->reading = reading;
    c->items = c->octets = 0;
    if (c->first->verb == PH_POP3_CAPA)
        c->caps = (struct ph_pop3_caps){.known = true};
    ph_undot_init(&c->undot);
}

/* RFC 5034 4. */
static enum ph_pop3_client_ev challenge(struct ph_pop3_client *c, ph_str text, event *ev)
{
    ph_buf_clear(&c->decoded);
    if (ph_b64_decode(&c->decoded, text) < 0 || ph_buf_err(&c->decoded))
        return bad(c, "a challenge of the server is not base64");
    c->first->asked = true;
    ev->verb = PH_POP3_AUTH;
    ev->id = c->first->id;
    ev->text = ph_buf_str(&c->decoded);
    return PH_POP3_C_CHALLENGE;
}

static enum ph_pop3_client_ev read_status(struct ph_pop3_client *c, event *ev)
{
    struct pop3_command *cmd = c->first;
    ph_str line;
    if (cmd && cmd == c->unsent && cmd->verb == PH_POP3_PASS && c->user_refused) {
        c->user_refused = false;
        ev->text = PH_STR("the user name was refused");
        return done(c, ev);
    }
    if (!cmd || cmd == c->unsent)
        return ph_inbuf_rest(&c->in).n ? bad(c, "the server sent a reply to nothing")
                                       : PH_POP3_C_NEED;
    if (!take_line(c, &line))
        return PH_POP3_C_NEED;
    if (cmd->answer_at && line.n && line.p[0] == '+' && (line.n == 1 || line.p[1] == ' ')) {
        ph_buf_add(&c->out, (ph_str){cmd->text + cmd->answer_at, cmd->n - cmd->answer_at});
        cmd->answer_at = 0;
        ph__pop3_client_tell(c, 'C', PH_STR("****"));
        return PH_POP3_C_NEED;
    }
    if (cmd->verb == PH_POP3_AUTH && line.n && line.p[0] == '+' &&
        (line.n == 1 || line.p[1] == ' '))
        return challenge(c, ph_str_trim(ph_str_skip(line, 1)), ev);
    if (!parse_status(line, ev))
        return bad(c, "a reply of the server is neither +OK nor -ERR");
    enum pop3_reply reply = ph__pop3_rows[cmd->verb].reply;
    if (!ev->ok)
        return done(c, ev);
    if (reply == POP3_MAIL || cmd->all) {
        begin_many(c, reply == POP3_MAIL ? MAIL : LINES);
        *ev = (event){0};
        return ph__pop3_client_read(c, ev);
    }
    if (((cmd->verb == PH_POP3_STAT || cmd->verb == PH_POP3_LIST) && !parse_size(ev->text, ev)) ||
        (cmd->verb == PH_POP3_UIDL && !parse_uid(ev->text, ev)))
        return bad(c, "a reply of the server has no numbers where they belong");
    return done(c, ev);
}

static enum ph_pop3_client_ev read_lines(struct ph_pop3_client *c, event *ev)
{
    ph_str line;
    if (!take_line(c, &line))
        return PH_POP3_C_NEED;
    if (ph_str_eq(line, PH_STR("."))) {
        ev->ok = true;
        return done(c, ev);
    }
    if (++c->items > c->opt.max_items) {
        ph__pop3_client_end(c, PH_ELIMIT, "the server's list is too long");
        return PH_POP3_C_NEED;
    }
    if (line.n && line.p[0] == '.')
        line = ph_str_skip(line, 1);
    ev->verb = c->first->verb;
    ev->id = c->first->id;
    ev->text = line;
    if (ev->verb == PH_POP3_CAPA)
        note_capability(c, line);
    else if (ev->verb == PH_POP3_LIST ? !parse_size(line, ev) : !parse_uid(line, ev))
        return bad(c, "a line of the server's list is not understood");
    return PH_POP3_C_ITEM;
}

/* "(1234 octets)", written by hand: a pure room has no stdio. */
static void tell_octets(const struct ph_pop3_client *c)
{
    static const ph_str unit = PH_STR_INIT(" octets)");
    char text[40];
    size_t at = sizeof text - unit.n;
    uint64_t n = c->octets;
    memcpy(text + at, unit.p, unit.n);
    do
        text[--at] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    text[--at] = '(';
    ph__pop3_client_tell(c, 'S', (ph_str){text + at, sizeof text - at});
    ph__pop3_client_tell(c, 'S', PH_STR("."));
}

static enum ph_pop3_client_ev read_mail(struct ph_pop3_client *c, event *ev)
{
    for (;;) {
        size_t eaten;
        int end = ph_undot_next(&c->undot, ph_inbuf_rest(&c->in), &eaten, &ev->text);
        ph_inbuf_eat(&c->in, eaten);
        c->octets += ev->text.n;
        if (c->octets > c->opt.max_message) {
            ph__pop3_client_end(c, PH_ELIMIT, "the message is larger than allowed");
            return PH_POP3_C_NEED;
        }
        if (end) {
            tell_octets(c);
            *ev = (event){.ok = true};
            return done(c, ev);
        }
        if (ev->text.n) {
            ev->verb = c->first->verb;
            ev->id = c->first->id;
            return PH_POP3_C_CHUNK;
        }
        if (eaten == 0)
            return PH_POP3_C_NEED;
    }
}

enum ph_pop3_client_ev ph__pop3_client_read(struct ph_pop3_client *c, event *ret_ev)
{
    static enum ph_pop3_client_ev (*const readers[])(struct ph_pop3_client *,
                                                     event *) = {[GREETING] = read_greeting,
                                                                 [STATUS] = read_status,
                                                                 [LINES] = read_lines,
                                                                 [MAIL] = read_mail};
    return readers[c->reading](c, ret_ev);
}
