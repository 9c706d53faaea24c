/* server_int.h - the server engine's state, shared by its files. */
#ifndef PH_IMAP_SERVER_INT_H
#define PH_IMAP_SERVER_INT_H
#include "imap_int.h"

enum {
    IN_SOFT = 32 * 1024,          /* above it no more is asked for */
    IN_MAX = 256 * 1024,          /* and above this nothing more is taken */
    SKIP_MAX = 256 * 1024 * 1024, /* of one command that is thrown away, after login */
    APPENDS_MAX = 1000            /* messages of one APPEND */
};
enum phase { READING, HANDLER, ASKING, APPENDING, AUTH, IDLING, SECURING, PACKING, CLOSING };

struct ph_imap_server {
    const struct ph_alloc *al;
    struct ph_imap_server_options opt;
    struct ph_buf greeting_id; /* product, then version */
    struct ph_buf mechanisms;  /* of SASL, offered */
    bool fresh;                /* of the greeting nothing has left */
    enum ph_imap_state state;
    enum phase phase;
    struct ph_buf in, text, out, sink; /* sink: holds nothing */
    size_t in_at, out_at;
    struct ph__imap_frame frame;
    struct ph_arena *arena;
    struct ph_imap_command command;
    char tag[IMAP_TAG_MAX + 1];
    unsigned bad;
    uint64_t enabled;  /* RFC 5161 */
    unsigned appended; /* messages of the APPEND under way that are complete */
    bool compressed;
    bool secure, discard, first, told_closed, timed;
    bool drain_asked;
    size_t drain_low;
    uint64_t section_left; /* of a literal begun by fetch_section: nothing else may be written */
    int64_t now, began, active;
};

/* server.c */
uint64_t ph__imap_server_caps(const struct ph_imap_server *s); /* what is offered in this state */
void ph__imap_server_put_caps(struct ph_imap_server *s);       /* the untagged response */
void ph__imap_server_close(struct ph_imap_server *s);
void ph__imap_server_next_command(
    struct ph_imap_server *s); /* everything of the command under way is given back */
/* The command was answered before its end was reached: what is still to come of it is dropped. */
void ph__imap_server_drop_rest(struct ph_imap_server *s, bool at_literal);
void ph__imap_server_tagged(struct ph_imap_server *s, enum ph_imap_cond cond,
                            const struct ph_imap_code *code, const char *text);
/* A tagged BAD by the engine; counts towards the end of patience. */
void ph__imap_server_bad(struct ph_imap_server *s, enum ph_imap_code_kind code, const char *why);
void ph__imap_forget(struct ph_buf *b); /* wipes and empties */

/* server_cmd.c: the frame found the end of a line, or a literal. */
enum ph_imap_server_ev ph__imap_server_line(struct ph_imap_server *s,
                                            struct ph_imap_server_event *ev);
enum ph_imap_server_ev ph__imap_server_literal(struct ph_imap_server *s);

#endif
