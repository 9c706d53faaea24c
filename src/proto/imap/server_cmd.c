/* The server engine: what is done with a whole line or an announced literal, phase by phase (drawn
 * in server.c). */
#include "b64.h"
#include "server_int.h"
#include <string.h>

static void put(struct ph_imap_server *s, ph_str t)
{
    ph_buf_add(&s->out, t);
}

/* ---- commands that need no mail ------------------------------------------------------------- */

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

/* RFC 4978 3. What came before the answer was read would be compressed or not: nobody knows. */
static void do_compress(struct ph_imap_server *s)
{
    if (s->compressed) {
        ph__imap_server_tagged(s, PH_IMAP_NO,
                               &(struct ph_imap_code){.kind = PH_IMAP_CODE_COMPRESSIONACTIVE},
                               "Compression is active already.");
    } else if (s->in_at < s->in.n) {
        ph_imap_server_bye(s, PH_IMAP_CODE_CLIENTBUG,
                           "Nothing may follow COMPRESS before its answer.");
    } else {
        ph__imap_server_tagged(s, PH_IMAP_OK, NULL, "From here on compressed.");
        ph__imap_server_next_command(s);
        s->phase = PACKING;
    }
}

void ph_imap_server_compressed(struct ph_imap_server *s)
{
    s->compressed = true;
    if (s->phase == PACKING)
        s->phase = READING;
}

/* RFC 5161 3.1: what is offered and was asked for. IMAP4rev2 includes what makes names UTF-8,
 * QRESYNC includes CONDSTORE. false: the handler answers, for of a selected mailbox it has to tell
 * the modseq then (RFC 7162 3.1). */
static bool do_enable(struct ph_imap_server *s)
{
    uint64_t now = s->command.enable & ph__imap_server_caps(s);
    put(s, PH_STR("* ENABLED"));
    if (now) {
        put(s, PH_STR(" "));
        ph__imap_caps_write(&s->out, now);
    }
    put(s, PH_STR("\r\n"));
    if (now & PH_IMAP_CAP(QRESYNC))
        now |= PH_IMAP_CAP(CONDSTORE);
    now &= ~s->enabled;
    s->enabled |= now;
    return s->state != PH_IMAP_SELECTED || !(now & PH_IMAP_CAP(CONDSTORE));
}

/* true: answered here. */
static bool own_command(struct ph_imap_server *s)
{
    switch (s->command.verb) {
    case PH_IMAP_CAPABILITY:
        ph__imap_server_put_caps(s);
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
        if (!do_enable(s))
            return false;
        break;
    case PH_IMAP_STARTTLS:
        do_starttls(s);
        return true;
    case PH_IMAP_COMPRESS:
        do_compress(s);
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
    return (struct ph__imap_cur){.at = p,
                                 .begin = p,
                                 .end = p + t.n,
                                 .arena = ph_imap_server_arena(s),
                                 .utf8 = ph__imap_server_utf8(s)};
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

/* Does the search name messages by sequence number? */
static bool has_seqs(const struct ph_imap_search *k)
{
    bool has = k->key == PH_IMAP_KEY_SEQ && !k->set.saved;
    for (const struct ph_imap_search *c = k->child; c && !has; c = c->next)
        has = has_seqs(c);
    return has;
}

/* RFC 9586 3: with UIDONLY nothing is named by sequence number. */
static bool uses_seqs(const struct ph_imap_command *k)
{
    switch (k->verb) {
    case PH_IMAP_FETCH:
    case PH_IMAP_STORE:
    case PH_IMAP_COPY:
    case PH_IMAP_MOVE:
    case PH_IMAP_REPLACE:
        return !k->uid;
    case PH_IMAP_SEARCH:
    case PH_IMAP_SORT:
    case PH_IMAP_THREAD:
        return !k->uid || has_seqs(k->search.root);
    case PH_IMAP_SELECT:
    case PH_IMAP_EXAMINE:
        return k->select.seqs.n > 0;
    default:
        return false;
    }
}

static bool is_search(enum ph_imap_verb v)
{
    return v == PH_IMAP_SEARCH || v == PH_IMAP_SORT || v == PH_IMAP_THREAD;
}

/* What the arguments need is offered, and enabled where it must be. False: answered. */
static bool may_run(struct ph_imap_server *s)
{
    struct ph_imap_command *k = &s->command;
    bool search = is_search(k->verb);
    bool qresync = (k->verb == PH_IMAP_FETCH && k->fetch.vanished) ||
                   ((k->verb == PH_IMAP_SELECT || k->verb == PH_IMAP_EXAMINE) && k->select.qresync);
    const char *why = NULL;
    if (k->needs & ~ph__imap_server_caps(s))
        why = "An option of this command is not implemented here.";
    else if (qresync && !(s->enabled & PH_IMAP_CAP(QRESYNC)))
        why = "Enable QRESYNC first.";
    else if (search && k->verb == PH_IMAP_SEARCH && k->search.charset.n &&
             s->enabled & PH_IMAP_CAP(UTF8_ACCEPT))
        why = "With UTF8=ACCEPT there is no CHARSET."; /* RFC 6855 3 */
    if (why) {
        ph__imap_server_bad(s, PH_IMAP_CODE_NONE, why);
        return false;
    }
    if (s->enabled & PH_IMAP_CAP(UIDONLY) && uses_seqs(k)) {
        ph__imap_server_bad(s, PH_IMAP_CODE_UIDREQUIRED, "With UIDONLY messages are named by UID.");
        return false;
    }
    if (k->needs & PH_IMAP_CAP(CONDSTORE))
        s->enabled |= PH_IMAP_CAP(CONDSTORE);
    if (search && !k->search.charset.n && ph__imap_server_utf8(s))
        k->search.charset = PH_STR("UTF-8");
    if (k->verb == PH_IMAP_SEARCH && !k->search.ret && s->enabled & PH_IMAP_CAP(IMAP4REV2))
        k->search.ret = PH_IMAP_RETURN_ESEARCH | PH_IMAP_RETURN_ALL; /* RFC 9051 6.4.4 */
    return true;
}

static bool takes_message(int verb)
{
    return verb == PH_IMAP_APPEND || verb == PH_IMAP_REPLACE;
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
        } else if (takes_message(verb)) {
            ph__imap_server_bad(s, PH_IMAP_CODE_NONE, "Expected the message as a literal.");
        } else {
            s->command.needs = c.needs;
            if (may_run(s)) {
                s->bad = 0;
                if (!own_command(s)) {
                    s->phase = HANDLER;
                    return PH_IMAP_SRV_COMMAND;
                }
            }
        }
    }
    if (s->phase == READING)
        ph__imap_server_next_command(s);
    return PH_IMAP_SRV_NEED;
}

/* ---- literals ------------------------------------------------------------------------------- */

/* An APPEND whose message is announced: its values are copied out of text, which the message's end
 * needs. */
static enum ph_imap_server_ev append_begin(struct ph_imap_server *s, enum ph_imap_server_ev event)
{
    struct ph_imap_command *k = &s->command;
    k->append.name = ph_arena_copy(s->arena, k->append.name);
    if (k->append.flags.keywords.n)
        k->append.flags.keywords = ph_arena_copy(s->arena, k->append.flags.keywords);
    s->phase = ASKING;
    if (!k->append.name.p || (k->append.flags.keywords.n && !k->append.flags.keywords.p)) {
        ph_imap_server_done(s, PH_IMAP_NO, &(struct ph_imap_code){.kind = PH_IMAP_CODE_UNAVAILABLE},
                            "Out of memory.");
        return event == PH_IMAP_SRV_MORE ? PH_IMAP_SRV_ABORT : PH_IMAP_SRV_NEED;
    }
    if (k->append.size > s->opt.append_max || s->appended == APPENDS_MAX) {
        ph_imap_server_done(s, PH_IMAP_NO, &(struct ph_imap_code){.kind = PH_IMAP_CODE_TOOBIG},
                            "The message is too large.");
        return event == PH_IMAP_SRV_MORE ? PH_IMAP_SRV_ABORT : PH_IMAP_SRV_NEED;
    }
    s->bad = 0;
    return event;
}

static void literal_refused(struct ph_imap_server *s, enum ph_imap_code_kind code, const char *why)
{
    ph__imap_server_bad(s, code, why);
    if (s->phase != CLOSING)
        ph__imap_server_drop_rest(s, true);
}

static enum ph_imap_server_ev literal_bad(struct ph_imap_server *s, const struct ph__imap_cur *c,
                                          int verb)
{
    complain(s, c, verb);
    if (s->phase != CLOSING)
        ph__imap_server_drop_rest(s, true);
    return PH_IMAP_SRV_NEED;
}

/* The head of a message's literal, or a literal among the values before it (*ret_cut). */
static enum ph_imap_server_ev message_begin(struct ph_imap_server *s, struct ph__imap_cur *c,
                                            int verb, bool *ret_cut)
{
    *ret_cut = false;
    if (ph__imap_rows[verb].parse(c, &s->command)) {
        s->command.needs = c->needs;
        if (c->needs & ~ph__imap_server_caps(s) ||
            !(ph__imap_server_caps(s) & ph__imap_rows[verb].cap)) {
            literal_refused(s, PH_IMAP_CODE_NONE, "This is not implemented here.");
            return PH_IMAP_SRV_NEED;
        }
        if (s->enabled & PH_IMAP_CAP(UIDONLY) && uses_seqs(&s->command)) {
            literal_refused(s, PH_IMAP_CODE_UIDREQUIRED, "With UIDONLY messages are named by UID.");
            return PH_IMAP_SRV_NEED;
        }
        return append_begin(s, PH_IMAP_SRV_COMMAND);
    }
    *ret_cut = c->cut;
    return *ret_cut ? PH_IMAP_SRV_NEED : literal_bad(s, c, verb);
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
    if (verb >= 0 && !(s->state & ph__imap_rows[verb].states)) {
        literal_refused(s, PH_IMAP_CODE_CLIENTBUG, wrong_state(s, &ph__imap_rows[verb]));
        return PH_IMAP_SRV_NEED;
    }
    if (takes_message(verb) && !s->frame.overflow) {
        bool cut;
        s->command = (struct ph_imap_command){.verb = (enum ph_imap_verb)verb, .uid = uid};
        enum ph_imap_server_ev ev = message_begin(s, &c, verb, &cut);
        if (!cut)
            return ev;
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

/* Behind a message: ")" of UTF8 (...). */
static bool close_utf8(struct ph_imap_server *s, struct ph__imap_cur *c)
{
    return !s->command.append.utf8 || ph__imap_char(c, ')');
}

/* The literal of another message of an APPEND. */
static enum ph_imap_server_ev append_more(struct ph_imap_server *s)
{
    struct ph__imap_cur c = cursor(s);
    bool may =
        s->command.verb == PH_IMAP_APPEND && ph__imap_server_caps(s) & PH_IMAP_CAP(MULTIAPPEND);
    if (!may) {
        literal_refused(s, PH_IMAP_CODE_NONE, "One message at a time.");
        return PH_IMAP_SRV_ABORT;
    }
    if (s->frame.overflow || !close_utf8(s, &c) || !ph__imap_append_more(&c, &s->command) ||
        c.needs & ~ph__imap_server_caps(s)) {
        literal_bad(s, &c, PH_IMAP_APPEND);
        return PH_IMAP_SRV_ABORT;
    }
    s->appended++;
    return append_begin(s, PH_IMAP_SRV_MORE);
}

enum ph_imap_server_ev ph__imap_server_literal(struct ph_imap_server *s)
{
    if (s->discard) {
        ph__imap_server_drop_rest(s, true);
        return PH_IMAP_SRV_NEED;
    }
    if (s->phase == READING)
        return literal_in_command(s);
    if (s->phase == APPENDING)
        return append_more(s);
    literal_refused(s, PH_IMAP_CODE_NONE, "A literal is not expected here.");
    return PH_IMAP_SRV_ABORT;
}

/* ---- lines by phase ------------------------------------------------------------------------- */

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
    struct ph__imap_cur c = cursor(s);
    if (s->frame.overflow || !close_utf8(s, &c) || !ph__imap_at_end(&c))
        return abort_command(s, "Expected nothing behind the message.");
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
