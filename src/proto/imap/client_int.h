/* client_int.h - the client engine's state, shared by its files. */
#ifndef PH_IMAP_CLIENT_INT_H
#define PH_IMAP_CLIENT_INT_H
#include "imap_int.h"

enum { CLIENT_COMMANDS_MAX = 32, CLIENT_STOPS_MAX = 64 };

struct ph__imap_slot {
    int id;
    enum ph_imap_verb verb;
    uint64_t end; /* where the bytes of the command end, counted from the first byte ever sent */
};

struct ph_imap_client {
    const struct ph_alloc *al;
    struct ph_imap_client_options opt;
    enum ph_imap_state state;
    uint64_t caps;
    struct ph_error error;
    struct ph_arena *arena; /* of one response */

    struct ph_buf in, text;
    size_t in_at, shown; /* text before `shown` was traced */
    struct ph__imap_frame frame;
    bool text_done; /* text was given as an event: cleared at the next `next` */
    /* what is the same in every piece of the literal being streamed */
    struct ph_imap_client_event chunk;
    uint64_t chunk_at;

    struct ph_buf out, show; /* show: the line as it is traced, secrets masked */
    size_t out_at;
    uint64_t out_base;                /* place of out.p[0] in the stream */
    uint64_t stops[CLIENT_STOPS_MAX]; /* places at which the server's "+" is waited for */
    size_t stop_count;
    struct ph__imap_slot slots[CLIENT_COMMANDS_MAX];
    size_t slot_count;
    int last_id;
    int append_id; /* 0: none under way */
    bool append_sync, append_wait;
    uint64_t append_left;

    struct ph_buf names, decoded; /* capabilities as they were said; a challenge */
    bool greeted, secure, securing, bye, eof, told_end, broken, idling, challenged, utf8;
    bool pending_examine;
    int64_t now, active;
};

/* client.c */
int ph__imap_client_break(struct ph_imap_client *c, int code, const char *why);
uint64_t ph__imap_client_sent(const struct ph_imap_client *c); /* place of the next byte to send */

/* resp.c: a whole response in text; false: the line breaks the protocol, with c->error set. *ret_ev
 * is NEED when the line needs no event. */
bool ph__imap_client_response(struct ph_imap_client *c, struct ph_imap_client_event *ret_ev);

/* resp_fetch.c */
struct ph__imap_probe {
    bool hit; /* the literal at the end belongs to `section` */
    struct ph_imap_section section;
    uint64_t size;
};
bool ph__imap_resp_fetch(struct ph__imap_cur *c, struct ph_imap_fetched *ret_f,
                         struct ph__imap_probe *probe);
bool ph__imap_skip_value(struct ph__imap_cur *c);

/* resp_thread.c: behind the name of the response */
bool ph__imap_resp_threads(struct ph__imap_cur *c, struct ph_imap_client_event *ev);
bool ph__imap_resp_namespaces(struct ph__imap_cur *c, struct ph_imap_client_event *ev);

/* resp_body.c */
bool ph__imap_resp_envelope(struct ph__imap_cur *c, struct ph_imap_envelope **ret_e);
bool ph__imap_resp_body(struct ph__imap_cur *c, unsigned depth, struct ph_imap_body **ret_b);

#endif
