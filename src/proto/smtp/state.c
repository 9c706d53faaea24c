/*
 * The transition table of SMTP, for both roles: a server asks it whether a command is legal, a
 * client whether a command can still succeed; both ask it what a reply did.
 *
 *            EHLO/HELO/LHLO 2xx            MAIL 2xx          RCPT 2xx          DATA 354
 *   START ----------------------> READY ------------> MAIL ------------> RCPT ------------> DATA
 *     ^                           |  ^ ^               |                 |  ^ \RCPT           |
 *     \------- STARTTLS 220 ------/  | \----- RSET, EHLO ----------------/  \-/               |
 *                                    |                                 | BDAT 250            |
 *                                    |<-- reply to BDAT LAST -- BDAT <-/                     |
 *                                    \------------------- reply to CRLF.CRLF ----------------/
 *   QUIT: END from everywhere but DATA.
 */
#include "smtp_int.h"

const struct ph__smtp_row ph__smtp_rows[VERB_COUNT] = {
#define C(name, args, states, next, flags) {PH_STR_INIT(#name), args, states, next, flags},
#include "commands.def"
#undef C
};

bool ph__smtp_allowed(enum ph__smtp_state now, int verb)
{
    return ph__smtp_rows[verb].states & 1u << now;
}

enum ph__smtp_state ph__smtp_after(enum ph__smtp_state now, int verb, int code)
{
    bool good = verb == VERB_DATA ? code / 100 == 3 : code / 100 == 2;
    if (!good || verb >= VERB_COUNT)
        return now;
    if (verb == VERB_RSET)
        return now == STATE_START ? STATE_START : STATE_READY;
    enum ph__smtp_state next = ph__smtp_rows[verb].next;
    return next == STATE_SAME ? now : next;
}
