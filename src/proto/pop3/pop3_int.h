/* pop3_int.h - what the files of the POP3 room share. */
#ifndef PH_POP3_INT_H
#define PH_POP3_INT_H
#include "line.h"
#include <posthouse/pop3.h>

enum {
    POP3_LINE_MAX = 4096,       /* a command; an initial response is the longest (RFC 5034 4) */
    POP3_ANSWER_MAX = 12288,    /* to a challenge */
    POP3_IN_MAX = 16384,        /* what the server holds of pipelined commands */
    POP3_OUT_MAX = 256 * 1024,  /* hard bound of a server's output */
    POP3_OUT_HIGH = 128 * 1024, /* no further command is answered above this */
    POP3_OUT_EARLY = 16 * 1024, /* ... before the login */
    POP3_PIECE = 32 * 1024,     /* of a message is stuffed at a time */
    POP3_HOST_MAX = 255,
    POP3_TEXT_MAX = 400,      /* of a refusal: the line stays below 512 octets (RFC 2449 4) */
    POP3_TIMEOUT_MS = 600000, /* RFC 1939 3: at least ten minutes */
    POP3_FAILURES = 3,
    POP3_ERRORS = 20,
    POP3_MESSAGES = 1000000,
    POP3_UIDL_MAX = 70, /* RFC 1939 7 */
    POP3_NAMES_MAX = 71 * POP3_MESSAGES,

    POP3_CLIENT_IN_MAX = 64 * 1024,
    POP3_CLIENT_LINE_MAX = 4096,
    POP3_CLIENT_WAITING = 1000000, /* commands queued */
    POP3_CLIENT_FLIGHT = 64,       /* commands sent and not answered, with PIPELINING */
    POP3_CLIENT_INITIAL = 255, /* a longer AUTH line asks for the challenge first (RFC 5034 4) */
    POP3_CLIENT_ANSWER_MAX = 16 * 1024, /* of a SASL exchange, in base64 */
    POP3_CLIENT_TIMEOUT_MS = 60000
};

enum pop3_states { POP3_AUTHORIZATION = 1, POP3_TRANSACTION = 2, POP3_ANYTIME = 3, POP3_OVER = 4 };
enum pop3_arguments {
    POP3_NOTHING,
    POP3_NUMBER,
    POP3_MAYBE_NUMBER,
    POP3_NUMBER_LINES,
    POP3_TEXT,
    POP3_MAYBE_TEXT,
    POP3_MECHANISM
};
enum pop3_reply { POP3_LINE, POP3_LINES, POP3_LINES_UNLESS_NUMBER, POP3_MAIL };

struct pop3_row {
    const char *name;
    enum pop3_states states;
    enum pop3_arguments arguments;
    enum pop3_reply reply;
    const char *capability;
};
extern const struct pop3_row ph__pop3_rows[PH_POP3_VERB_COUNT];

/* The verb named `word` in any case; PH_POP3_VERB_COUNT when there is none. */
enum ph_pop3_verb ph__pop3_verb(ph_str word);

/* A decimal number of at least 1 and at most 2^32 - 2. */
bool ph__pop3_number(ph_str s, uint32_t *ret_number);

#endif
