/*
 * The server engine: messages, as DATA and as BDAT bring them.
 *
 *   RCPT --BDAT--> (the caller is asked as for DATA) --354--> CHUNK --the last octet of LAST--> EOM
 *                                                             ^   \--its last octet--+
 *                                                             |                      v
 *                                                             +------ BDAT -- LINE, state BDAT
 *
 * The octets of a chunk are read also where BDAT is refused: they are never commands (RFC 3030 2).
 */
#include "server_int.h"
#include <stdio.h>
#include <string.h>

/* A message that is refused is read to its end, so that the client hears why, but not without
 * end. */
static void refuse_message(struct ph_smtp_server *s, enum refusal why)
{
    if (s->refusal == REFUSE_NOT) {
        s->refusal = why;
        s->due |= DUE_RESET;
        s->state = STATE_READY;
    }
    if (s->octets / 2 > s->o.limits.message) {
        SAY(s, 552, "5.3.4", "The message is far larger than SIZE allows");
        ph__smtp_server_break(s, PH_ELIMIT, "a message of more than twice the allowed size");
    }
}

void ph__smtp_server_finish_data(struct ph_smtp_server *s)
{
    s->state = STATE_READY; /* not by drop: there is no RESET after EOM */
    ph__smtp_server_drop(s);
    s->phase = PHASE_LINE;
}

static int end_of_message(struct ph_smtp_server *s)
{
    ph__smtp_note_octets(&s->o.transcript, 'C', s->octets);
    /* A chunk that is not the last has one reply, whatever it says. */
    s->owed = s->o.lmtp && (s->phase == PHASE_BODY || s->chunk.last) ? s->recipients : 1;
    if (s->undot.bare && !s->o.keep_bare && s->params.body != PH_SMTP_BINARYMIME)
        refuse_message(s, REFUSE_BARE);
    if (s->refusal == REFUSE_NOT) {
        s->eom = true;
        return ph__smtp_server_ask(s, VERB_DATA, PH_SMTP_S_EOM);
    }
    for (unsigned i = 0; i < s->owed; i++)
        s->refusal == REFUSE_SIZE
            ? SAY(s, 552, "5.3.4", "The message is larger than SIZE allows")
            : SAY(s, 550, "5.6.0", "The message has a CR or LF that is not part of CRLF");
    if (s->phase != PHASE_END)
        ph__smtp_server_finish_data(s);
    return ph__smtp_server_after(s);
}

/* Input that is part of a message: `eaten` octets, `text` of them its own. */
static void came(struct ph_smtp_server *s, size_t eaten, size_t text)
{
    s->octets += text;
    s->progress += eaten;
    s->eat_later = eaten;
    if (s->progress >= SERVER_PROGRESS) {
        s->progress = 0;
        s->last = s->now;
    }
    if (s->octets > s->o.limits.message)
        refuse_message(s, REFUSE_SIZE);
}

int ph__smtp_server_step_body(struct ph_smtp_server *s, struct ph_smtp_server_event *ev)
{
    size_t eaten;
    ph_str text;
    int end = ph_undot_next(&s->undot, ph_inbuf_rest(&s->in), &eaten, &text);
    if (!eaten)
        return ph__smtp_server_end_of_input(s);
    came(s, eaten, text.n);
    if (end)
        return end_of_message(s);
    if (!text.n || s->refusal != REFUSE_NOT)
        return AGAIN;
    ev->data = text;
    return PH_SMTP_S_BODY;
}

/* ---- BDAT ---------------------------------------------------------------------------------- */

static bool may_chunk(const struct ph_smtp_server *s)
{
    return ph__smtp_allowed(s->state, VERB_BDAT) &&
           (ph__smtp_server_announced(s) & EXT_BIT(CHUNKING)) &&
           (!s->o.auth_required || s->authenticated);
}

int ph__smtp_server_bdat(struct ph_smtp_server *s, const struct ph__smtp_command *c)
{
    s->chunk = (struct chunk){.size = c->octets,
                              .left = c->octets,
                              .last = c->last,
                              .refused = !may_chunk(s),
                              .cr = s->chunk.cr};
    if (c->octets / 2 > s->o.limits.message) {
        SAY(s, 552, "5.3.4", "The message is far larger than SIZE allows");
        ph__smtp_server_break(s, PH_ELIMIT, "a chunk of more than twice the allowed size");
        return AGAIN;
    }
    if (!s->chunk.refused && s->state == STATE_RCPT)
        return ph__smtp_server_ask(s, VERB_BDAT, PH_SMTP_S_DATA);
    s->phase = PHASE_CHUNK;
    return AGAIN;
}

void ph__smtp_server_message_begin(struct ph_smtp_server *s)
{
    s->octets = 0;
    s->refusal = REFUSE_NOT;
    s->chunk.cr = false;
    ph_undot_init(&s->undot);
}

/* Whether a CR or LF stands alone, across pieces. */
static void look_for_bare(struct ph_smtp_server *s, ph_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        bool lf = text.p[i] == '\n';
        s->undot.bare |= lf != s->chunk.cr;
        s->chunk.cr = text.p[i] == '\r';
    }
}

static int end_of_chunk(struct ph_smtp_server *s)
{
    char text[64];
    s->last = s->now;
    bool whole =
        !s->chunk.refused && !s->chunk.quiet && (s->chunk.last || s->refusal != REFUSE_NOT);
    if (whole) {
        s->undot.bare |= s->chunk.cr;
        return end_of_message(s);
    }
    s->phase = PHASE_LINE;
    if (s->chunk.quiet)
        return ph__smtp_server_after(s);
    if (s->chunk.refused) {
        if (ph__smtp_allowed(s->state, VERB_BDAT) && s->o.auth_required && !s->authenticated)
            SAY(s, 530, "5.7.0", "Log in first");
        else if (ph__smtp_allowed(s->state, VERB_BDAT))
            SAY(s, 503, "5.5.1", "Say EHLO first");
        else
            ph__smtp_server_refuse_order(s, VERB_BDAT);
        return ph__smtp_server_after(s);
    }
    s->state = STATE_BDAT;
    int n = snprintf(text, sizeof text, "%llu octets received", (unsigned long long)s->chunk.size);
    ph__smtp_server_say(s, 250, PH_STR("2.0.0"), (ph_str){text, (size_t)n});
    return ph__smtp_server_after(s);
}

int ph__smtp_server_step_chunk(struct ph_smtp_server *s, struct ph_smtp_server_event *ev)
{
    ph_str text = ph_inbuf_rest(&s->in);
    if (s->chunk.left == 0)
        return end_of_chunk(s);
    if (text.n > s->chunk.left)
        text.n = (size_t)s->chunk.left;
    if (!text.n)
        return ph__smtp_server_end_of_input(s);
    /* Known before it comes, so that nothing of it is given. */
    if (!s->chunk.refused && !s->chunk.quiet && s->octets + s->chunk.left > s->o.limits.message)
        refuse_message(s, REFUSE_SIZE);
    s->chunk.left -= text.n;
    if (s->chunk.refused || s->chunk.quiet) {
        s->eat_later = text.n;
        return AGAIN;
    }
    came(s, text.n, text.n);
    if (s->refusal != REFUSE_NOT)
        return AGAIN;
    look_for_bare(s, text);
    ev->data = text;
    return PH_SMTP_S_BODY;
}
