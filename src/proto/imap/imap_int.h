/*
 * imap_int.h - what the files of this room share: the cursor over one complete command or response,
 * the frame finder, and the writer.
 */
#ifndef PH_IMAP_INT_H
#define PH_IMAP_INT_H
#include <posthouse/imap.h>
#include <posthouse/imap_server.h>

enum {
    IMAP_TAG_MAX = 64,
    IMAP_MAILBOX_MAX = 1000, /* bytes of a name in UTF-8 */
    IMAP_NEST_MAX = 50,      /* parentheses, NOT, OR; body structures */
    IMAP_SECTIONS_MAX = 256, /* in one FETCH */
    IMAP_QUOTED_MAX = 1000   /* longer strings are written as literals */
};

/* ---- lex.c: reading ------------------------------------------------------------------------ */

/* Over the bytes of one message with its literals in place ("{3}\r\nabc"). Values are slices of
 * these bytes, or live in the arena where they had to be decoded. Every reader gives true, or false
 * with `why` told once. */
struct ph__imap_cur {
    const char *at, *end, *begin;
    struct ph_arena *arena;
    const char *why; /* the first complaint, a sentence's tail: "expected a number" */
    bool nomem;
    bool utf8;      /* mailbox names are UTF-8 */
    bool lenient;   /* client: take what servers really send */
    bool cut;       /* a literal reached past the end: its bytes are still to come */
    uint64_t needs; /* capabilities that what was read makes use of */
};

bool ph__imap_bad(struct ph__imap_cur *c, const char *why);
bool ph__imap_too_large(struct ph__imap_cur *c); /* the arena is used up: bad, with nomem */
bool ph__imap_keyword(struct ph__imap_cur *c,
                      ph_str word); /* takes this word if it is next; no complaint */
bool ph__imap_at_end(const struct ph__imap_cur *c);
bool ph__imap_end(struct ph__imap_cur *c);           /* nothing may follow */
bool ph__imap_take(struct ph__imap_cur *c, char ch); /* takes it if it is next; no complaint */
bool ph__imap_char(struct ph__imap_cur *c, char ch); /* must be next */
bool ph__imap_sp(struct ph__imap_cur *c);
bool ph__imap_peek(const struct ph__imap_cur *c, char ch);
bool ph__imap_word(struct ph__imap_cur *c, ph_str *ret_atom); /* atom */
bool ph__imap_astring(struct ph__imap_cur *c, ph_str *ret_s);
bool ph__imap_string(struct ph__imap_cur *c, ph_str *ret_s);
bool ph__imap_nstring(struct ph__imap_cur *c, ph_str *ret_s); /* NIL: p == NULL */
bool ph__imap_number(struct ph__imap_cur *c, uint64_t max, uint64_t *ret_n);
bool ph__imap_set(struct ph__imap_cur *c, struct ph_imap_set *ret_set);
bool ph__imap_mailbox(struct ph__imap_cur *c, ph_str *ret_name);
bool ph__imap_pattern(struct ph__imap_cur *c, ph_str *ret_pattern);
bool ph__imap_mailbox_name(struct ph__imap_cur *c, ph_str wire, ph_str *ret_name);
bool ph__imap_flags_list(struct ph__imap_cur *c,
                         struct ph_imap_flags *ret_flags); /* in parentheses */
bool ph__imap_flags_bare(struct ph__imap_cur *c, struct ph_imap_flags *ret_flags); /* or without */
bool ph__imap_section(struct ph__imap_cur *c,
                      struct ph_imap_section *ret_sec); /* "[...]" and "<...>" */
/* In a client's buffer a literal that was streamed away stands as "{n\0}\r\n" without its bytes. */
bool ph__imap_streamed(struct ph__imap_cur *c, uint64_t *ret_size);

/* ---- date.c -------------------------------------------------------------------------------- */

bool ph__imap_date(struct ph__imap_cur *c, int32_t *ret_day); /* 1-Feb-1994, quoted or not */
bool ph__imap_date_time(struct ph__imap_cur *c, int64_t *ret_seconds,
                        int *ret_zone); /* "17-Jul-1996 02:44:25 -0700" */
void ph__imap_date_time_write(struct ph_buf *out, int64_t seconds, int zone);

/* ---- names.c ------------------------------------------------------------------------------- */

extern const ph_str ph__imap_cap_names[PH_IMAP_CAP_COUNT];
extern const ph_str ph__imap_code_names[PH_IMAP_CODE_COUNT];
extern const ph_str ph__imap_flag_names[7]; /* by bit */
struct ph__imap_status_item {
    unsigned bit;
    ph_str name;
    size_t offset; /* of its uint64_t in struct ph_imap_status; of a ph_str for MAILBOXID */
    uint64_t cap;
};
enum { IMAP_STATUS_ITEMS = 11 };
extern const struct ph__imap_status_item ph__imap_status_items[IMAP_STATUS_ITEMS];
uint64_t ph__imap_caps_read(ph_str names);
void ph__imap_caps_write(struct ph_buf *out, uint64_t caps);
bool ph__imap_status_list(struct ph__imap_cur *c, unsigned *ret_items); /* "(MESSAGES UNSEEN)" */

/* ---- frame.c: where a message ends ---------------------------------------------------------- */

enum ph__imap_step {
    IMAP_STEP_MORE,    /* nothing complete in what was used; go on while there is input */
    IMAP_STEP_LINE,    /* a whole command or response is in `text` */
    IMAP_STEP_LITERAL, /* a literal is announced: `size`, `sync`; answer with ph__imap_frame_literal
                        */
    IMAP_STEP_CHUNK,   /* bytes of a literal that is streamed */
    IMAP_STEP_STREAMED /* that literal is over */
};
enum ph__imap_literal {
    IMAP_LITERAL_KEEP,
    IMAP_LITERAL_STREAM,
    IMAP_LITERAL_SKIP,
    IMAP_LITERAL_REFUSED
};

struct ph__imap_frame {
    enum { IMAP_IN_LINE, IMAP_IN_KEPT, IMAP_IN_STREAM, IMAP_IN_SKIP } mode;
    uint64_t left; /* bytes of the literal still to come */
    uint64_t size;
    uint64_t skipped; /* bytes thrown away of this message */
    bool sync;
    bool quoted, escaped;
    bool overflow; /* the message was longer than text->max: only its beginning is in text */
    bool nul;      /* a NUL outside literals was seen */
    size_t tail_n;
    char tail[26]; /* the end of the line so far: enough for "{18446744073709551615+}" */
};

void ph__imap_frame_reset(struct ph__imap_frame *f);
/* Uses up some of `in` (*ret_used); at LINE text has no CRLF at its end, and frame_reset with a
 * cleared text begins the next message. Linear in the input. */
enum ph__imap_step ph__imap_frame_step(struct ph__imap_frame *f, ph_str in, size_t *ret_used,
                                       struct ph_buf *text, size_t max, ph_str *ret_chunk);
void ph__imap_frame_literal(struct ph__imap_frame *f, enum ph__imap_literal what);

/* ---- cmd_*.c: arguments of commands ---------------------------------------------------------- */

struct ph__imap_row {
    ph_str name;
    unsigned states;
    uint64_t cap;
    bool (*parse)(struct ph__imap_cur *c, struct ph_imap_command *cmd);
    unsigned after; /* 0: stay */
};
extern const struct ph__imap_row ph__imap_rows[PH_IMAP_VERB_COUNT];
#define IMAP_GRAMMARS(X)                                                                           \
    X(none)                                                                                        \
    X(id)                                                                                          \
    X(authenticate)                                                                                \
    X(login)                                                                                       \
    X(enable)                                                                                      \
    X(mailbox)                                                                                     \
    X(select)                                                                                      \
    X(create)                                                                                      \
    X(rename)                                                                                      \
    X(list)                                                                                        \
    X(status)                                                                                      \
    X(append)                                                                                      \
    X(expunge)                                                                                     \
    X(search)                                                                                      \
    X(fetch)                                                                                       \
    X(store)                                                                                       \
    X(copy)                                                                                        \
    X(sort)                                                                                        \
    X(thread)                                                                                      \
    X(replace)                                                                                     \
    X(compress)                                                                                    \
    X(getquota)
#define IMAP_GRAMMAR_DECL(name)                                                                    \
    bool ph__imap_cmd_##name(struct ph__imap_cur *c, struct ph_imap_command *cmd);
IMAP_GRAMMARS(IMAP_GRAMMAR_DECL)
#undef IMAP_GRAMMAR_DECL

/* Behind the first message of an APPEND: SP and the values of another one, up to the head of its
 * literal (RFC 3502). */
bool ph__imap_append_more(struct ph__imap_cur *c, struct ph_imap_command *cmd);
/* "1:100" or "-1:-100" (RFC 9394). */
bool ph__imap_partial(struct ph__imap_cur *c, struct ph_imap_partial *ret);

/* Reads "tag SP [UID SP] name"; the row's number or -1 with c->why. *ret_tag is set as soon as it
 * was read. */
int ph__imap_verb_read(struct ph__imap_cur *c, ph_str *ret_tag, bool *ret_uid);

/* ---- write.c, write_fetch.c: values to bytes ------------------------------------------------ */

void ph__imap_put_string(struct ph_buf *out, ph_str s,
                         bool utf8); /* quoted or literal; NIL when p == NULL */
void ph__imap_put_astring(struct ph_buf *out, ph_str s, bool utf8); /* atom where it can be one */
void ph__imap_put_mailbox(struct ph_buf *out, ph_str name, bool utf8);
void ph__imap_put_flags(struct ph_buf *out, const struct ph_imap_flags *f); /* "(\Seen x)" */
void ph__imap_put_code(struct ph_buf *out,
                       const struct ph_imap_code *code); /* "[CODE ...] " or nothing */
void ph__imap_put_text(struct ph_buf *out,
                       ph_str text); /* a sentence: CR, LF and NUL become spaces; never empty */
void ph__imap_put_section(struct ph_buf *out, const struct ph_imap_section *sec);
void ph__imap_put_envelope(struct ph_buf *out, const struct ph_imap_envelope *e);
void ph__imap_put_body(struct ph_buf *out, const struct ph_imap_body *b, bool extended);

struct ph_buf *ph__imap_server_out(struct ph_imap_server *s);
bool ph__imap_server_utf8(const struct ph_imap_server *s);
enum ph_imap_verb
ph__imap_server_verb(const struct ph_imap_server *s); /* of the command under way */
bool *
ph__imap_server_first(struct ph_imap_server *s); /* next FETCH attribute is the first of its list */

#endif
