/* The server engine: what is done with a whole line or an announced literal, phase by phase (drawn
 * in server.c). */
#include "b64.h"
#include "server_int.h"
#include <string.h>

static void put(struct ph_imap_server *s, ph_str t)
{
    ph_buf_add(&s->out, t);
}

/* ---- commands that need no mail
 * -------------------------------------------------------------------------- */

static void do_starttls(struct ph_imap_server *s)
{
    if (s->secure) {
        ph__imap_server_bad(s, PH_IMAP_CODE_NONE, "TLS is active already.");
    } else if (!s->opt.starttls) {
        ph__imap_server_bad(s, PH_IMAP_CODE_NONE, "TLS is not available.");
    } else if (s->in_at < s->in.n) {
        /* Plaintext behind STARTTLS would be taken for commands given under TLS. */
        ph_imap_server_bye(s, PH_IMAP_CODE_CLIENTBUG,
                           "Nothing may follow STARTTLS before the handshake.");
    } else {
        ph__imap_server_tagged(s, PH_IMAP_OK, NULL, "Begin TLS negotiation now.");
        ph__imap_server_next_command(s);
        s->phase = SECURING;
    }
}

void ph_imap_server_tls_started(struct ph_imap_server *s)
{
    s->secure = true;
    if (s->phase == SECURING) {
        s->phase = READING;
        ph_buf_clear(&s->in);
        s->in_at = 0;
    }
}

/* true: answered here. */
static bool own_command(struct ph_imap_server *s)
{
    switch (s->command.verb) {
    case PH_IMAP_CAPABILITY:
        put(s, PH_STR("* CAPABILITY "));
        ph__imap_caps_write(&s->out, ph__imap_server_caps(s));
        put(s, PH_STR("\r\n"));
        break;
    case PH_IMAP_NOOP:
        if (s->state != PH_IMAP_NOT_AUTH)
            return false;
        break;
    case PH_IMAP_ID:
        put(s, PH_STR("* ID (\"name\" "));
        put(s, ph_buf_str(&s->greeting_id));
        put(s, PH_STR(")\r\n"));
        break;
    case PH_IMAP_ENABLE:
        put(s, PH_STR("* ENABLED\r\n"));
        break;
    case PH_IMAP_STARTTLS:
        do_starttls(s);
        return true;
    case PH_IMAP_LOGOUT:
        put(s, PH_STR("* BYE Logging out.\r\n"));
        ph__imap_server_tagged(s, PH_IMAP_OK, NULL, "Good bye.");
        ph__imap_server_close(s);
        return true;
    case PH_IMAP_LOGIN:
    case PH_IMAP_AUTHENTICATE:
        if (s->secure || s->opt.plaintext)
            return false;
        ph__imap_server_tagged(s, PH_IMAP_NO,
                               &(struct ph_imap_code){.kind = PH_IMAP_CODE_PRIVACYREQUIRED},
                               "Log in under TLS only.");
        return true;
    default:
        return false;
    }
    ph__imap_server_tagged(s, PH_IMAP_OK, NULL, "Done.");
    return true;
}

static const char *wrong_state(const struct ph_imap_server *s, const struct ph__imap_row *row)
{
    if (s->state == PH_IMAP_NOT_AUTH)
        return "Log in first.";
    if (row->states == PH_IMAP_NOT_AUTH)
        return "You are logged in already.";
    return "Select a mailbox first.";
}

static struct ph__imap_cur cursor(struct ph_imap_server *s)
{
    ph_str t = ph_buf_str(&s->text);
    const char *p = t.n ? t.p : "";
    return (struct ph__imap_cur){
        .at = p, .begin = p, .end = p + t.n, .arena = ph_imap_server_arena(s), .utf8 = s->utf8};
}

static void complain(struct ph_imap_server *s, const struct ph__imap_cur *c, int verb)
{
    char text[200];
    struct ph_buf b;
    ph_buf_init(&b, NULL, sizeof text);
    if (c->nomem) {
        ph__imap_server_tagged(s, PH_IMAP_NO, &(struct ph_imap_code){.kind = PH_IMAP_CODE_LIMIT},
                               "The command is too large.");
        return;
    }
    if (verb >= 0)
        ph_buf_addf(&b, "%.*s: ", PH_FMT(ph__imap_rows[verb].name));
    ph_buf_addf(&b, "%s, at character %zu.", c->why ? c->why : "not well-formed",
                (size_t)(c->at - c->begin) + 1);
    ph__imap_server_bad(s, PH_IMAP_CODE_NONE, ph_buf_cstr(&b));
    ph_buf_done(&b);
}

static void set_tag(struct ph_imap_server *s, ph_str tag)
{
    memcpy(s->tag, tag.n ? tag.p : "", tag.n);
    s->tag[tag.n] = '\0';
}

/* Tag, name, capability, state. The verb, or -1 when it was answered. */
static int command_head(struct ph_imap_server *s, struct ph__imap_cur *c)
{
    ph_str tag = {0};
    int verb = ph__imap_verb_read(c, &tag, &s->command.uid);
    set_tag(s, tag);
    if (verb < 0) {
        complain(s, c, -1);
        return -1;
    }
    const struct ph__imap_row *row = &ph__imap_rows[verb];
    uint64_t offered = ph__imap_server_caps(s);
    bool uidplus = verb != PH_IMAP_EXPUNGE || !s->command.uid || offered & PH_IMAP_CAP(UIDPLUS);
    if (!(offered & row->cap) || !uidplus) {
        ph__imap_server_bad(s, PH_IMAP_CODE_NONE, "This command is not implemented here.");
        return -1;
    }
    if (!(row->states & s->state)) {
        ph__imap_server_bad(s, PH_IMAP_CODE_CLIENTBUG, wrong_state(s, row));
        return -1;
    }
    s->command.verb = (enum ph_imap_verb)verb;
    return verb;
}

static bool options_offered(struct ph_imap_server *s)
{
    const struct ph_imap_command *k = &s->command;
    uint64_t caps = ph__imap_server_caps(s);
    if (k->verb == PH_IMAP_CREATE && k->mailbox.special)
        return caps & PH_IMAP_CAP(CREATE_SPECIAL_USE);
    if (k->verb != PH_IMAP_LIST || !k->list.extended)
        return true;
    unsigned all = k->list.select | k->list.ret;
    if (!(caps & PH_IMAP_CAP(LIST_EXTENDED)) &&
        (all & ~(unsigned)(PH_IMAP_LIST_SPECIAL | PH_IMAP_LIST_STATUS)))
        return false;
    return (!(all & PH_IMAP_LIST_STATUS) || caps & PH_IMAP_CAP(LIST_STATUS)) &&
           (!(all & PH_IMAP_LIST_SPECIAL) || caps & PH_IMAP_CAP(SPECIAL_USE));
}

/* A whole command is in text. */
static enum ph_imap_server_ev command(struct ph_imap_server *s)
{
    struct ph__imap_cur c = cursor(s);
    int verb = -1;
    if (!c.arena) {
        ph_imap_server_bye(s, PH_IMAP_CODE_UNAVAILABLE, "Out of memory.");
        return PH_IMAP_SRV_NEED;
    }
    if (s->frame.overflow) {
        ph_str tag = {0};
        ph__imap_verb_read(&c, &tag, &s->command.uid);
        set_tag(s, tag);
        ph__imap_server_bad(s, PH_IMAP_CODE_LIMIT, "The command is too long.");
        if (s->state == PH_IMAP_NOT_AUTH)
            ph_imap_server_bye(s, PH_IMAP_CODE_NONE, "Too much was sent before login.");
    } else if ((verb = command_head(s, &c)) >= 0) {
        if (s->frame.nul)
            ph__imap_bad(&c, "a command may not hold NUL");
        if (c.why || !ph__imap_rows[verb].parse(&c, &s->command)) {
            complain(s, &c, verb);
        } else if (verb == PH_IMAP_APPEND) {
            ph__imap_server_bad(s, PH_IMAP_CODE_NONE, "APPEND: expected the message as a literal.");
        } else if (!options_offered(s)) {
            ph__imap_server_bad(s, PH_IMAP_CODE_NONE,
                                "An option of this command is not implemented here.");
        } else {
            s->bad = 0;
            if (!own_command(s)) {
                s->phase = HANDLER;
                return PH_IMAP_SRV_COMMAND;
            }
        }
    }
    if (s->phase == READING)
        ph__imap_server_next_command(s);
    return PH_IMAP_SRV_NEED;
}

/* ---- literals
 * ------------------------------------------------------------------------------------------------
 */

/* An APPEND whose message is announced: its values are copied out of text, which the message's end
 * needs. */
static enum ph_imap_server_ev append_begin(struct ph_imap_server *s)
{
    struct ph_imap_command *k = &s->command;
    k->append.name = ph_arena_copy(s->arena, k->append.name);
    if (k->append.flags.keywords.n)
        k->append.flags.keywords = ph_arena_copy(s->arena, k->append.flags.keywords);
    s->phase = ASKING;
    if (!k->append.name.p || (k->append.flags.keywords.n && !k->append.flags.keywords.p)) {
        ph_imap_server_done(s, PH_IMAP_NO, &(struct ph_imap_code){.kind = PH_IMAP_CODE_UNAVAILABLE},
                            "Out of memory.");
        return PH_IMAP_SRV_NEED;
    }
    if (k->append.size > s->opt.append_max) {
        ph_imap_server_done(s, PH_IMAP_NO, &(struct ph_imap_code){.kind = PH_IMAP_CODE_TOOBIG},
                            "The message is too large.");
        return PH_IMAP_SRV_NEED;
    }
    s->bad = 0;
    return PH_IMAP_SRV_COMMAND;
}

static void literal_refused(struct ph_imap_server *s, enum ph_imap_code_kind code, const char *why)
{
    ph__imap_server_bad(s, code, why);
    if (s->phase != CLOSING)
        ph__imap_server_drop_rest(s, true);
}

static enum ph_imap_server_ev literal_in_command(struct ph_imap_server *s)
{
    struct ph__imap_cur c = cursor(s);
    ph_str tag = {0};
    bool uid;
    size_t max = s->state == PH_IMAP_NOT_AUTH ? s->opt.preauth_max : s->opt.command_max;
    if (!c.arena) {
        ph_imap_server_bye(s, PH_IMAP_CODE_UNAVAILABLE, "Out of memory.");
        return PH_IMAP_SRV_NEED;
    }
    int verb = ph__imap_verb_read(&c, &tag, &uid);
    set_tag(s, tag);
    if (verb == PH_IMAP_APPEND && !uid && !s->frame.overflow &&
        s->state & ph__imap_rows[verb].states) {
        s->command = (struct ph_imap_command){.verb = PH_IMAP_APPEND};
        if (ph__imap_cmd_append(&c, &s->command))
            return append_begin(s);
        if (!c.cut) {
            complain(s, &c, verb);
            if (s->phase != CLOSING)
                ph__imap_server_drop_rest(s, true);
            return PH_IMAP_SRV_NEED;
        }
    }
    if (s->frame.overflow || s->frame.size > max || s->text.n > max - s->frame.size) {
        literal_refused(s, PH_IMAP_CODE_TOOBIG, "The literal is too large here.");
        return PH_IMAP_SRV_NEED;
    }
    if (s->frame.sync)
        put(s, PH_STR("+ Go on.\r\n"));
    ph__imap_frame_literal(&s->frame, IMAP_LITERAL_KEEP);
    return PH_IMAP_SRV_NEED;
}

enum ph_imap_server_ev ph__imap_server_literal(struct ph_imap_server *s)
{
    if (s->discard) {
        ph__imap_server_drop_rest(s, true);
        return PH_IMAP_SRV_NEED;
    }
    if (s->phase == READING)
        return literal_in_command(s);
    literal_refused(s, PH_IMAP_CODE_NONE,
                    s->phase == APPENDING ? "APPEND: one message at a time."
                                          : "A literal is not expected here.");
    return PH_IMAP_SRV_ABORT;
}

/* ---- lines by phase
 * ------------------------------------------------------------------------------------------ */

static enum ph_imap_server_ev abort_command(struct ph_imap_server *s, const char *why)
{
    ph__imap_server_bad(s, PH_IMAP_CODE_NONE, why);
    if (s->phase != CLOSING)
        ph__imap_server_next_command(s);
    return PH_IMAP_SRV_ABORT;
}

static enum ph_imap_server_ev auth_line(struct ph_imap_server *s, struct ph_imap_server_event *ev)
{
    struct ph_buf b;
    if (ph_str_eq(ph_buf_str(&s->text), PH_STR("*")))
        return abort_command(s, "AUTHENTICATE was cancelled.");
    ph_buf_init(&b, s->al, s->opt.preauth_max);
    int r = s->frame.overflow ? -PH_ELIMIT : ph_b64_decode(&b, ph_buf_str(&s->text));
    if (r == 0 && b.n)
        ev->data = ph_arena_copy(s->arena, ph_buf_str(&b));
    bool ok = r == 0 && (b.n == 0 || ev->data.p);
    ph__imap_forget(&b);
    ph_buf_done(&b);
    if (!ok)
        return abort_command(s, "AUTHENTICATE: the response is not base64.");
    ph__imap_forget(&s->text);
    ph__imap_frame_reset(&s->frame);
    s->phase = HANDLER;
    return PH_IMAP_SRV_RESPONSE;
}

static enum ph_imap_server_ev idle_line(struct ph_imap_server *s)
{
    if (!ph_str_ieq(ph_buf_str(&s->text), PH_STR("DONE")))
        return abort_command(s, "IDLE: expected DONE.");
    s->phase = HANDLER;
    return PH_IMAP_SRV_IDLE_END;
}

static enum ph_imap_server_ev append_end(struct ph_imap_server *s)
{
    if (s->text.n || s->frame.overflow)
        return abort_command(s, "APPEND: expected nothing behind the message.");
    s->phase = HANDLER;
    return PH_IMAP_SRV_DATA_END;
}

enum ph_imap_server_ev ph__imap_server_line(struct ph_imap_server *s,
                                            struct ph_imap_server_event *ev)
{
    if (ph_buf_err(&s->text)) {
        ph_imap_server_bye(s, PH_IMAP_CODE_UNAVAILABLE, "Out of memory.");
        return PH_IMAP_SRV_NEED;
    }
    if (s->discard) {
        ph__imap_server_next_command(s);
        return PH_IMAP_SRV_NEED;
    }
    switch (s->phase) {
    case AUTH:
        return auth_line(s, ev);
    case IDLING:
        return idle_line(s);
    case APPENDING:
        return append_end(s);
    default:
        return command(s);
    }
}
