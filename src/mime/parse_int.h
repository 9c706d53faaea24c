/*
 * parse_int.h - the parser's own state. One engine runs over a window of the message; the whole
 * message at once (ph_mime_parse), or piece after piece (ph_mime_parser_feed).
 */
#ifndef PH_PARSE_INT_H
#define PH_PARSE_INT_H
#include "content.h"
#include "mime_int.h"

enum {
    PH__CONTEXT = 3,                /* bytes before `at` that stay in the window: "x\r\n" */
    PH__CARRY = PH_MIME_LINE + 1024 /* what a piecewise parse keeps of undecided lines */
};

/* A multipart that is open. */
struct ph__open {
    struct ph_part *part;
    struct ph_part **last; /* where its next child goes */
    ph_str boundary;
    uint32_t children;
    bool is_digest;
};

/* The header that is being read. */
struct ph__head {
    struct ph__content content;
    const char *p;               /* its bytes: in the message, or copied into the arena */
    size_t n, cap;               /* n: at most the limit `header` */
    size_t field, name_n, value; /* the field that is open: where it begins, its name, its value */
    bool in_field;
};

/* Bytes that should not be there: what was found, and where first. */
struct ph__odd {
    unsigned known; /* PH__ODD_... */
    uint64_t first[3];
    uint64_t n; /* bytes seen */
    bool after_cr;
};

enum ph__state {
    PH__HEAD,      /* at the beginning of a line of a header */
    PH__HEAD_LINE, /* inside one */
    PH__BODY,      /* at the beginning of a line of a body */
    PH__BODY_LINE  /* inside one */
};

/* A line as far as it was looked at: not whole when it is longer than PH_MIME_LINE. */
struct ph__look {
    ph_str s;
    bool is_whole;
};

struct ph_mime_parser {
    struct ph_arena *arena;
    struct ph_message *m;
    struct ph_mime_limits lim;
    bool no_defects, is_pushed;
    int err;

    const char *begin, *at, *end; /* the window; what is before `at` has been dealt with */
    uint64_t base;                /* where `begin` is in the message */
    size_t looked;                /* bytes behind `at` that are known to hold no line end */
    bool is_last;                 /* nothing comes behind `end` */

    enum ph__state state;
    uint64_t lines;      /* line feeds before `at` */
    struct ph_part *cur; /* deepest open part */
    struct ph__open *stack;
    size_t open_count;
    struct ph__head head;
    struct ph_defect **last_defect;
    struct ph__odd odd;

    size_t kept, context; /* of a piecewise parse: bytes in `carry`, how many were dealt with */
    char *carry;
};

static inline uint64_t ph__offset(const struct ph_mime_parser *ps, const char *p)
{
    return ps->base + (uint64_t)(p - ps->begin);
}

/* Steps of the engine give one of these, or a negative error. */
enum { PH__GO_ON, PH__NEED_MORE };

/* ---- parse.c ---- */

/* Both 0 or -PH_ENOMEM; `ps` is zeroed before, and has its window between the two. */
int ph__parser_init(struct ph_mime_parser *ps, struct ph_arena *arena,
                    const struct ph_mime_limits *limits);
int ph__parser_begin(struct ph_mime_parser *ps);
/* Deals with the window as far as it can be decided. 0 or -PH_ENOMEM. */
int ph__parser_run(struct ph_mime_parser *ps);
/* After the last window was run. 0. */
int ph__parser_end(struct ph_mime_parser *ps, struct ph_message **ret_message);

/* The line at `at`; false when more must arrive before it can be judged. Empty at the end. */
bool ph__look_at_line(struct ph_mime_parser *ps, struct ph__look *ret_line);
void ph__pass_line(struct ph_mime_parser *ps, ph_str line);

/* Which open boundary a line that begins with "--" is; -1: none. */
int ph__match_boundary(const struct ph_mime_parser *ps, const struct ph__look *line,
                       bool *ret_closing, bool *ret_near_miss);
static inline bool ph__is_dashes(ph_str s)
{
    return s.n > 2 && s.p[0] == '-' && s.p[1] == '-';
}

/* What a header that has been read makes of its part, the deepest open one. */
int ph__part_read(struct ph_mime_parser *ps);

/* ---- parse_head.c ---- */

/* The header of ps->cur begins at `at`. */
void ph__head_begin(struct ph_mime_parser *ps);
int ph__head_step(struct ph_mime_parser *ps);
int ph__head_line_step(struct ph_mime_parser *ps);

/* ---- defect.c ---- */

void ph__defect(struct ph_mime_parser *ps, enum ph_defect_kind kind, uint64_t at);
void ph__odd_feed(struct ph__odd *odd, ph_str piece);
/* Defects of the bytes themselves, once everything has been seen. */
void ph__odd_end(struct ph_mime_parser *ps);

#endif
