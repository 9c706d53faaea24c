/*
 * The server engine: bytes in and out, time, limits, replies. What the bytes mean: server_next.c.
 *
 *             command that asks            reply
 *   LINE ----------------------> WAIT ---------------> LINE
 *    | ^ \ AUTH, 334 -> AUTH ----^                354 \
 *    | |                          ^--- CRLF.CRLF ------ BODY
 *    | \-- TLS <- STARTTLS
 *    \--> END (QUIT, limits, time-out, end of input)
 *
 *   GREET --time--> LINE: the greeting may be made to wait; input before it ends the session
 */
#include "b64.h"
#include "server_int.h"
#include <stdio.h>
#include <string.h>

void ph_smtp_server_defaults(struct ph_smtp_server_options *o)
{
    *o = (struct ph_smtp_server_options){
        .struct_size = sizeof *o,
        .limits = {.message = 50u << 20,
                   .recipients = 1000,
                   .errors = 20,
                   .junk = 100,
                   .auth_tries = 5,
                   .timeout_ms = PH_SMTP_TIMEOUT},
    };
}

int ph_smtp_server_mechanisms(struct ph_smtp_server *s, ph_str mechanisms)
{
    ph_buf_clear(&s->mechanisms);
    ph_buf_add(&s->mechanisms, mechanisms);
    s->o.auth = ph_buf_str(&s->mechanisms);
    return ph_buf_err(&s->mechanisms);
}

static struct ph_smtp_server *alloc_server(const struct ph_alloc *al,
                                           const struct ph_smtp_server_options *o)
{
    struct ph_smtp_server *s = ph_new0(al, sizeof *s);
    if (!s)
        return NULL;
    s->al = al;
    s->o = *o;
    ph_buf_init(&s->names, al, o->hostname.n);
    ph_buf_init(&s->mechanisms, al, SERVER_MECHANISMS_MAX);
    ph_inbuf_init(&s->in, al, SERVER_IN_MAX);
    ph_buf_init(&s->out, al, SERVER_OUT_MAX);
    ph_buf_init(&s->scratch, al, SERVER_SCRATCH_MAX);
    ph_buf_init(&s->helo, al, 256);
    ph_buf_add(&s->names, o->hostname);
    s->o.hostname = ph_buf_str(&s->names);
    if (ph_buf_err(&s->names) || ph_smtp_server_mechanisms(s, o->auth) < 0)
        return ph_smtp_server_free(s);
    s->tls = o->tls_active;
    return s;
}

static void greet(struct ph_smtp_server *s)
{
    char text[300];
    int n = snprintf(text, sizeof text, "%.*s %s Posthouse",
                     PH_FMT(ph_str_sub(s->o.hostname, 0, 255)), s->o.lmtp ? "LMTP" : "ESMTP");
    s->phase = PHASE_LINE;
    ph__smtp_server_say(s, 220, (ph_str){0}, (ph_str){text, (size_t)n});
}

struct ph_smtp_server *ph_smtp_server_new(const struct ph_alloc *al,
                                          const struct ph_smtp_server_options *o)
{
    struct ph_smtp_server *s = alloc_server(al, o);
    if (!s)
        return NULL;
    if (o->greeting_delay_ms && !o->tls_active)
        s->phase = PHASE_GREET;
    else
        greet(s);
    return ph_buf_err(&s->out) ? ph_smtp_server_free(s) : s;
}

struct ph_smtp_server *ph_smtp_server_new_refusing(const struct ph_alloc *al, int code, ph_str esc,
                                                   ph_str text)
{
    struct ph_smtp_server_options o;
    ph_smtp_server_defaults(&o);
    struct ph_smtp_server *s = alloc_server(al, &o);
    if (!s)
        return NULL;
    s->esmtp = true;
    ph__smtp_server_say(s, code, esc, text);
    ph__smtp_server_break(s, PH_EREFUSED, "refused at the greeting");
    return ph_buf_err(&s->out) ? ph_smtp_server_free(s) : s;
}

struct ph_smtp_server *ph_smtp_server_free(struct ph_smtp_server *s)
{
    if (!s)
        return NULL;
    ph_buf_done(&s->names);
    ph_buf_done(&s->mechanisms);
    ph_inbuf_done(&s->in);
    ph_buf_done(&s->out);
    ph_buf_done(&s->scratch);
    ph_buf_done(&s->helo);
    ph_free(s->al, s, sizeof *s);
    return NULL;
}

/* ---- bytes and time ---------------------------------------------------------------------- */

int64_t ph_smtp_server_feed(struct ph_smtp_server *s, ph_str in)
{
    if (s->phase == PHASE_END)
        return -PH_ECLOSED;
    if (s->phase == PHASE_TLS)
        return 0;
    if (s->phase == PHASE_GREET) {
        ph__smtp_server_say(s, 554, (ph_str){0}, PH_STR("You spoke before the greeting"));
        ph__smtp_server_break(s, PH_EORDER, "the client spoke before the greeting");
        return (int64_t)in.n;
    }
    ph_inbuf_eat(&s->in, s->eat_later);
    s->eat_later = 0;
    int64_t n = ph_inbuf_add(&s->in, in);
    if (n < 0)
        ph__smtp_server_break(s, PH_ENOMEM, "out of memory");
    return n;
}

void ph_smtp_server_feed_eof(struct ph_smtp_server *s)
{
    s->eof = true;
}

ph_str ph_smtp_server_out(const struct ph_smtp_server *s)
{
    return ph_str_skip(ph_buf_str(&s->out), s->out_from);
}

void ph_smtp_server_sent(struct ph_smtp_server *s, size_t n)
{
    s->out_from += n;
    s->last = n ? s->now : s->last;
    if (s->out_from == s->out.n) {
        s->out_from = 0;
        ph_buf_clear(&s->out);
        ph_buf_shrink(&s->out);
    } else if (s->out_from >= SERVER_OUT_HIGH) { /* what is sent makes room for more */
        ph_buf_drop(&s->out, s->out_from);
        s->out_from = 0;
    }
}

unsigned ph_smtp_server_want(const struct ph_smtp_server *s)
{
    unsigned want = ph_smtp_server_out(s).n ? PH_WANT_WRITE : 0;
    if (s->phase == PHASE_END)
        return want | PH_WANT_CLOSE;
    if (s->phase == PHASE_TLS)
        return want | PH_WANT_TLS;
    return s->eof || ph_inbuf_room(&s->in) == 0 ? want : want | PH_WANT_READ;
}

/* While the caller works on an answer the client is not late, unless it does not take what was said
 * before. */
int64_t ph_smtp_server_deadline(const struct ph_smtp_server *s)
{
    if (s->phase == PHASE_WAIT && ph_smtp_server_out(s).n == 0)
        return PH_NEVER;
    if (s->phase == PHASE_GREET)
        return s->last + s->o.greeting_delay_ms;
    return s->last + s->o.limits.timeout_ms;
}

void ph_smtp_server_tick(struct ph_smtp_server *s, int64_t now_ms)
{
    if (s->now == 0 && s->last == 0)
        s->last = now_ms;
    s->now = now_ms;
    if (s->phase == PHASE_END || ph_smtp_server_deadline(s) > now_ms)
        return;
    if (s->phase == PHASE_GREET) {
        s->last = now_ms;
        greet(s);
        return;
    }
    ph__smtp_server_say(s, 421, PH_STR("4.4.2"), PH_STR("You were silent for too long"));
    ph__smtp_server_break(s, PH_ETIMEOUT, "the client was silent for too long");
}

/* ---- replies ----------------------------------------------------------------------------- */

void ph__smtp_server_say(struct ph_smtp_server *s, int code, ph_str esc, ph_str text)
{
    ph__smtp_server_say_long(s, code, esc, text, REPLY_LINE);
}

void ph__smtp_server_say_long(struct ph_smtp_server *s, int code, ph_str esc, ph_str text,
                              size_t max)
{
    size_t from = s->out.n;
    ph__smtp_reply_write(&s->out, code, s->esmtp ? esc : (ph_str){0}, text, max);
    s->errors += code >= 500;
    if (ph_buf_err(&s->out))
        ph__smtp_server_break(s, -ph_buf_err(&s->out), "the replies do not fit in memory");
    else
        ph__smtp_note_lines(&s->o.transcript, 'S', ph_str_skip(ph_buf_str(&s->out), from));
}

void ph__smtp_server_break(struct ph_smtp_server *s, int code, const char *why)
{
    if (s->phase == PHASE_END)
        return;
    ph__smtp_server_drop(s);
    s->phase = PHASE_END;
    s->state = STATE_END;
    s->due |= DUE_BROKEN;
    ph_fail(&s->error, code, 0, "%s", why);
}

void ph__smtp_server_drop(struct ph_smtp_server *s)
{
    if (s->state >= STATE_MAIL && s->state <= STATE_DATA) {
        s->due |= DUE_RESET;
        s->state = STATE_READY;
    }
    s->recipients = s->owed = 0;
    s->eom = false;
    s->params = (struct ph_smtp_params){0};
}

void ph__smtp_server_settle(struct ph_smtp_server *s)
{
    const struct ph_smtp_limits *l = &s->o.limits;
    if (s->phase == PHASE_END)
        return;
    if (s->errors > l->errors || s->junk > l->junk) {
        ph__smtp_server_say(s, 421, PH_STR("4.7.0"),
                            s->errors > l->errors ? PH_STR("Too many errors")
                                                  : PH_STR("Too many commands without a letter"));
        ph__smtp_server_break(s, PH_ELIMIT,
                              s->errors > l->errors ? "too many errors"
                                                    : "too many commands without a letter");
    } else if (s->auth_failures >= l->auth_tries) {
        ph__smtp_server_say(s, 421, PH_STR("4.7.0"), PH_STR("Too many failed logins"));
        ph__smtp_server_break(s, PH_ELIMIT, "too many failed logins");
    } else if (s->draining && s->state <= STATE_READY && s->phase == PHASE_LINE) {
        ph__smtp_server_say(s, 421, PH_STR("4.3.2"),
                            PH_STR("The server is shutting down, try again later"));
        ph__smtp_server_break(s, PH_ECLOSED, "the server is shutting down");
    }
}

/* What the client said and was told holds no more: RFC 3207 4.2, and XCLIENT. */
static void start_anew(struct ph_smtp_server *s)
{
    s->esmtp = s->authenticated = false;
    s->state = STATE_START;
    ph_buf_clear(&s->helo);
}

/* What the caller's answer does, by who waited for it. */
static void answered(struct ph_smtp_server *s, int code)
{
    bool good = code / 100 == 2;
    s->phase = PHASE_LINE;
    if (s->eom) {
        s->phase = --s->owed ? PHASE_WAIT : PHASE_LINE;
        s->junk = good ? 0 : s->junk;
        if (!s->owed)
            ph__smtp_server_finish_data(s);
        return;
    }
    if (s->verb == VERB_AUTH) {
        s->authenticated = code == 235;
        s->auth_failures += code >= 500;
    } else if (s->verb == VERB_DATA || s->verb == VERB_BDAT) {
        if (s->verb == VERB_BDAT)
            s->phase = PHASE_CHUNK;
        else if (code == 354)
            s->phase = PHASE_BODY;
        if (code == 354)
            ph__smtp_server_message_begin(s);
        else
            ph__smtp_server_drop(s);
        s->chunk.quiet = code != 354;
    } else if (s->verb == VERB_XCLIENT && good) {
        start_anew(s);
    } else if (s->verb == VERB_RCPT) {
        s->recipients += good;
    }
    s->state = ph__smtp_after(s->state, s->verb, code);
}

static void reply_text(struct ph_smtp_server *s, int code, ph_str esc, ph_str text, size_t max)
{
    if (s->phase != PHASE_WAIT)
        return;
    s->last = s->now;
    for (unsigned times = s->eom && s->o.lmtp_alike ? s->owed : 1; times; times--) {
        if (code != 354 || s->verb != VERB_BDAT) /* whoever says BDAT does not wait for it */
            ph__smtp_server_say_long(s, code, esc, text, max);
        if (s->phase == PHASE_END)
            return;
        answered(s, code);
    }
    if (code == 421)
        ph__smtp_server_break(s, PH_EREFUSED, "the session was ended with 421");
    ph__smtp_server_settle(s);
}

void ph_smtp_server_reply(struct ph_smtp_server *s, int code, const char *esc, const char *fmt, ...)
{
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    reply_text(s, code, ph_str_c(esc), (ph_str){text, len}, REPLY_LINE);
}

void ph_smtp_server_reply_long(struct ph_smtp_server *s, int code, ph_str esc, ph_str text)
{
    reply_text(s, code, esc, text, PH_SMTP_REPLY_LINE);
}

void ph_smtp_server_challenge(struct ph_smtp_server *s, ph_str raw)
{
    struct ph_buf b64;
    if (s->phase != PHASE_WAIT || s->verb != VERB_AUTH)
        return;
    ph_buf_init(&b64, s->al, PH_SMTP_AUTH_LINE);
    ph_b64_encode(&b64, raw);
    s->phase = PHASE_AUTH;
    s->last = s->now;
    if (ph_buf_err(&b64)) {
        ph__smtp_server_break(s, -ph_buf_err(&b64), "the challenge does not fit");
    } else {
        /* Not through reply_write: a challenge may be longer than a reply line. */
        ph_buf_addf(&s->out, "334 %.*s\r\n", PH_FMT(ph_buf_str(&b64)));
        ph__smtp_note_secret(&s->o.transcript, 'S', ph_buf_str(&b64));
    }
    ph_buf_done(&b64);
}

void ph_smtp_server_drain(struct ph_smtp_server *s)
{
    s->draining = true;
    ph__smtp_server_settle(s);
}

void ph_smtp_server_tls_started(struct ph_smtp_server *s)
{
    if (s->phase == PHASE_TLS)
        s->phase = PHASE_LINE;
    s->tls = true;
    s->last = s->now;
    start_anew(s);
}

/* ---- what the session is ----------------------------------------------------------------- */

unsigned ph__smtp_server_announced(const struct ph_smtp_server *s)
{
    struct ph__smtp_situation now = {
        .tls_available = s->o.tls_available,
        .tls = s->tls,
        .plaintext = s->o.plaintext,
        .auth_offered = s->o.auth.n > 0,
        .authenticated = s->authenticated,
        .utf8 = s->o.smtputf8,
        .binary = s->o.binary,
        .requiretls = s->o.requiretls,
        .xtrace = s->o.xtrace,
        .trusted = s->o.trusted,
    };
    return s->esmtp ? ph__smtp_announced(&now) : 0;
}

void ph_smtp_server_info(const struct ph_smtp_server *s, struct ph_smtp_server_info *ret_info)
{
    /* RFC 3848, RFC 6531 4.3; by utf8, authenticated, tls. */
    static const char *const esmtp[2][2][2] = {
        {{"ESMTP", "ESMTPS"}, {"ESMTPA", "ESMTPSA"}},
        {{"UTF8SMTP", "UTF8SMTPS"}, {"UTF8SMTPA", "UTF8SMTPSA"}}};
    static const char *const lmtp[2][2][2] = {
        {{"LMTP", "LMTPS"}, {"LMTPA", "LMTPSA"}},
        {{"UTF8LMTP", "UTF8LMTPS"}, {"UTF8LMTPA", "UTF8LMTPSA"}}};
    const char *const(*with)[2][2] = s->o.lmtp ? lmtp : esmtp;
    *ret_info = (struct ph_smtp_server_info){
        .helo = ph_buf_str(&s->helo),
        .esmtp = s->esmtp,
        .tls = s->tls,
        .authenticated = s->authenticated,
        .transaction = s->state >= STATE_MAIL && s->state <= STATE_DATA,
        .recipients = s->recipients,
        .errors = s->errors,
        .with = s->esmtp ? with[s->params.smtputf8][s->authenticated][s->tls] : "SMTP",
    };
}

/* ---- the table for the pump -------------------------------------------------------------- */

static int64_t op_feed(void *s, ph_str in)
{
    return ph_smtp_server_feed(s, in);
}
static void op_feed_eof(void *s)
{
    ph_smtp_server_feed_eof(s);
}
static ph_str op_out(const void *s)
{
    return ph_smtp_server_out(s);
}
static void op_sent(void *s, size_t n)
{
    ph_smtp_server_sent(s, n);
}
static unsigned op_want(const void *s)
{
    return ph_smtp_server_want(s);
}
static int64_t op_deadline(const void *s)
{
    return ph_smtp_server_deadline(s);
}
static void op_tick(void *s, int64_t now_ms)
{
    ph_smtp_server_tick(s, now_ms);
}

const struct ph_proto_ops ph_smtp_server_ops = {op_feed, op_feed_eof, op_out, op_sent,
                                                op_want, op_deadline, op_tick};
