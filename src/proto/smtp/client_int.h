/* client_int.h - the client engine's state, shared by client.c (bytes, time, requests) and
 * client_next.c (replies). */
#ifndef PH_SMTP_CLIENT_INT_H
#define PH_SMTP_CLIENT_INT_H
#include "smtp_int.h"

enum { CLIENT_AGAIN = -1 }; /* of what makes events of replies: none yet, look again */

enum {
    CLIENT_IN_MAX = 64 * 1024,
    CLIENT_OUT_MAX = 512 * 1024,
    CLIENT_OUT_HIGH = 64 * 1024,       /* above this neither commands nor body are put into out */
    CLIENT_BODY_STEP = 32 * 1024,      /* body encoded at once: twice this fits above HIGH */
    CLIENT_TEXT_MAX = 8 * 1024 * 1024, /* lines of the requests that wait */
    CLIENT_COMPACT = 256 /* answered requests that are kept before they are forgotten */
};

/* One request. Its line, CRLF included, is text[off, off + n). */
struct request {
    int verb; /* enum ph__smtp_verb; VERB_COUNT for a raw command and the greeting */
    enum ph_smtp_client_ev ev;
    unsigned flags; /* LAST */
    bool secret;    /* AUTH */
    bool binary;    /* BDAT */
    unsigned index; /* RCPT */
    size_t off, n;
};

/*
 * What the request at the head waits for, beyond its reply.
 *
 *   REPLY --reply--> (next request)
 *     |--DATA 354, someone accepted--> GIVE --body(last)--> ENDING --all written--> FINAL
 *     |                                                                  --reply--> (next request)
 *     |--DATA 354, no one accepted---> VOID --reply--> (next request)
 *     \--AUTH 334-------------------> CHALLENGED --auth_data--> REPLY
 *
 * BDAT has no 354: it comes to GIVE once everything before it is answered, and each chunk has a
 * reply of its own; one that is refused before the last leads from GIVE, ENDING or FINAL to
 * RESETTING, until RSET is answered.
 */
enum wait {
    WAIT_REPLY,
    WAIT_GIVE,
    WAIT_ENDING,
    WAIT_FINAL,
    WAIT_VOID,
    WAIT_CHALLENGED,
    WAIT_RESETTING
};

struct ph_smtp_client {
    const struct ph_alloc *al;
    struct ph_smtp_client_options o;
    struct ph_inbuf in;
    struct ph_buf out;
    size_t out_from;
    struct ph_buf queue; /* struct request[] */
    size_t head, sent;   /* first unanswered, first unsent */
    struct ph_buf text;
    enum wait wait;
    bool blocked; /* nothing may be sent before the head is answered */
    enum ph__smtp_state state;
    unsigned next_index;    /* of the next rcpt request */
    struct ph_buf accepted; /* unsigned[]: indexes of recipients accepted in this transaction */
    size_t answered;        /* LMTP: of them, final replies had */
    struct ph_buf ehlo;     /* lines of the EHLO reply */
    unsigned announced;     /* EXT_BITs of it */
    struct ph_buf name;     /* said in EHLO, for HELO */
    bool helo_tried, tls_wanted, eof, broken, broken_given, done, more_due;
    int code;                  /* of the reply being read, or just given */
    bool reply_given, unasked; /* unasked: it answers nothing and is told with BROKEN */
    struct ph_buf reply;       /* its text */
    struct ph_buf decoded;
    ph_str piece; /* body not yet encoded */
    bool last;
    uint64_t octets;
    bool chunked, binary; /* this letter goes by BDAT; as it is */
    size_t owed;          /* chunks that are not answered, and RSET behind them */
    struct ph_buf chunk;  /* the one that is made */
    int refused;          /* code of the chunk that was; its text is in refusal */
    struct ph_buf refusal;
    struct ph_dot dot;
    int64_t now, since;
    struct ph_error error;
};

struct request *ph__smtp_client_request(struct ph_smtp_client *c, size_t i);
void ph__smtp_client_break(struct ph_smtp_client *c, int code, const char *why);
/* The head has had its answer. */
void ph__smtp_client_answered(struct ph_smtp_client *c);
/* Puts what may be sent now into out: body first, then commands. */
void ph__smtp_client_push(struct ph_smtp_client *c);
/* Writes wire to out with its transcript. */
void ph__smtp_client_write(struct ph_smtp_client *c, ph_str wire, bool secret);
/* BDAT: the head's turn has come; a reply while chunks are owed one; as much of the body as out may
 * hold. */
int ph__smtp_client_chunks_begin(struct ph_smtp_client *c, struct ph_smtp_client_event *ev);
int ph__smtp_client_chunk_reply(struct ph_smtp_client *c, struct ph_smtp_client_event *ev);
void ph__smtp_client_chunks_push(struct ph_smtp_client *c);
/* Does what was announced allow to send ahead of replies? */
bool ph__smtp_client_pipelines(const struct ph_smtp_client *c);
/* The reply just read, as that of an event. */
void ph__smtp_client_fill(struct ph_smtp_client *c, struct ph_smtp_client_event *ev);
/* The letter's last reply: what it means for the transaction. */
int ph__smtp_client_final(struct ph_smtp_client *c, struct ph_smtp_client_event *ev);
#endif
