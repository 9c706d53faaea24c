/*
 * line.h - what SMTP, POP3 and LMTP share below their grammars: bytes into CRLF lines, and the
 * dot-stuffed text of RFC 5321 4.5.2 and RFC 1939 3, read and written. Pure.
 */
#ifndef PH_LINE_H
#define PH_LINE_H
#include <posthouse/base.h>

/* ---- input ------------------------------------------------------------------------------- */

/* Bytes that arrived and are not consumed yet. Bounded by `max`; a consumed front costs nothing
 * until it is half. */
struct ph_inbuf {
    struct ph_buf buf;
    size_t from;    /* consumed */
    size_t scanned; /* behind `from`: known to have no line end */
};

void ph_inbuf_init(struct ph_inbuf *in, const struct ph_alloc *al, size_t max);
void ph_inbuf_done(struct ph_inbuf *in);
/* How many bytes were taken: 0 when full. -PH_ENOMEM. */
int64_t ph_inbuf_add(struct ph_inbuf *in, ph_str more);
ph_str ph_inbuf_rest(const struct ph_inbuf *in); /* borrowed until the next add or done */
size_t ph_inbuf_room(const struct ph_inbuf *in);
/* The bytes stay readable until the next add. */
void ph_inbuf_eat(struct ph_inbuf *in, size_t n);
void ph_inbuf_clear(struct ph_inbuf *in);
/* Gives memory back when everything was eaten: between commands of a quiet session. */
void ph_inbuf_shrink(struct ph_inbuf *in);

enum ph_line_end {
    PH_LINE_NONE, /* no line end yet */
    PH_LINE_CRLF, /* *ret_line is the line without CRLF; it is eaten */
    PH_LINE_BARE, /* ended by LF alone, or holds a CR or NUL: eaten up to and including the LF,
                     *ret_line without it */
    PH_LINE_LONG  /* longer than max octets (CRLF included): nothing is eaten; see ph_line_skip */
};
/* Cuts the next line. Linear over the life of a buffer however the bytes were split. */
enum ph_line_end ph_line_next(struct ph_inbuf *in, size_t max, ph_str *ret_line);
/* Eats up to and including the next LF; true when it was found. Call again after more input when
 * not. */
bool ph_line_skip(struct ph_inbuf *in);

/* ---- dot-stuffed text -------------------------------------------------------------------- */

/*
 * Reader. Feeds on the rest of an input and gives slices of it: no copy.
 *
 *   START --"."--> DOT --CRLF--> end
 *     ^             \--other--> TEXT (the dot was stuffing)
 *     \---CRLF--- TEXT
 *
 * Only CRLF "." CRLF ends (or "." CRLF at the very start). A bare CR or LF is noted and never ends
 * a line.
 */
struct ph_undot {
    int state;
    bool bare; /* a bare CR or LF, or NUL... was seen (NUL is not counted) */
};
void ph_undot_init(struct ph_undot *u);
/* Looks at `in` and says how many of its first bytes are done with (*ret_eaten) and which slice of
 * them is text (may be empty). 1: the end was reached, 0: more may follow or is needed. Call until
 * it eats nothing or ends. A CR or a dot whose meaning the next byte decides is not eaten at the
 * end of `in`. */
int ph_undot_next(struct ph_undot *u, ph_str in, size_t *ret_eaten, ph_str *ret_text);

/* Writer: the same backwards. Bare CR and LF become CRLF unless `strict`. */
struct ph_dot {
    int at;       /* where in a line */
    bool strict;  /* a bare CR or LF fails */
    bool no_dots; /* line ends alone are seen to: no stuffing, no final dot (BDAT) */
};
void ph_dot_init(struct ph_dot *d, bool strict);
/* Appends `text` stuffed. 0, or -PH_ESYNTAX (strict). Errors of out are sticky in it. */
PH_MUST_CHECK int ph_dot_add(struct ph_dot *d, struct ph_buf *out, ph_str text);
/* Appends the missing CRLF if any and the final "." CRLF. */
PH_MUST_CHECK int ph_dot_end(struct ph_dot *d, struct ph_buf *out);

#endif
