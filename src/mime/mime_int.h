/* mime_int.h - what the files of mime share among themselves. */
#ifndef PH_MIME_INT_H
#define PH_MIME_INT_H
#include <posthouse/mime.h>
#include <string.h>

/* ---- scan.c: the passes over all bytes ---- */

/* The first "\n--" in [p, end): its address, or NULL. Adds the line feeds up to and with it (or
 * all of them) to *lines. */
const char *ph__find_dashes(const char *p, const char *end, uint64_t *lines);
uint64_t ph__count_lines(const char *p, const char *end);

/* What s holds that it should not, as bits. CR and LF are judged by the neighbour inside s. */
enum { PH__ODD_CR = 1, PH__ODD_LF = 2, PH__ODD_NUL = 4, PH__ODD_ALL = 7 };
unsigned ph__odd_bytes(ph_str s);

/* The same by plain loops; for tests, and for the ends of a text. */
const char *ph__find_dashes_plain(const char *p, const char *end, uint64_t *lines);
unsigned ph__odd_plain(ph_str s);

/* ---- field.c: lines of a header ---- */

enum ph__line { PH__LINE_FIELD, PH__LINE_FOLDED, PH__LINE_END, PH__LINE_MBOX, PH__LINE_OTHER };

/* What a line of a header (with its line end) is; of a field, the length of the name and where
 * the value begins. */
enum ph__line ph__line_kind(ph_str line, size_t *ret_name, size_t *ret_value);

/* A line with its end, from the front of s. */
static inline ph_str ph__line(ph_str s)
{
    const char *nl = s.n ? memchr(s.p, '\n', s.n) : NULL;
    return (ph_str){s.p, nl ? (size_t)(nl - s.p) + 1 : s.n};
}

/* The bytes of s without CR, LF and NUL, into `to`, which has room for s.n; returns the end. */
char *ph__clean(char *to, ph_str s);
bool ph__is_clean(ph_str s);

/* ph_field_text, but white space at the ends is kept: for what stood in quotes. */
int ph__text(struct ph_arena *arena, ph_str raw, ph_str *ret_text);

/* ---- token.c: pieces of structured values ---- */

/* RFC 5322 3.2.3, and all that is not ASCII (RFC 6532 3.2). */
bool ph__is_atext(char c);

/* Skips white space, line ends and comments. */
ph_str ph__skip_cfws(ph_str s);

/* The length of a comment at the front of s, parentheses included; all of s when it is not
 * closed, so that no later one is looked for and the work stays linear. */
size_t ph__comment(ph_str s);

/* The length of a quoted string at the front of s, quotes included; 0 when it is not closed:
 * then no later one is either, and the caller must not ask again. */
size_t ph__quoted(ph_str s);

/* "<id>" without its brackets; anything else as it is. */
ph_str ph__without_brackets(ph_str s);

/* ---- param.c ---- */

struct ph__params {
    struct ph_param *first, **last;
    bool malformed, doubled, no_quotes;
};

/* Reads "; name=value; ..." into *list, appended. 0 or -PH_ENOMEM. */
int ph__params_parse(struct ph_arena *arena, ph_str s, struct ph__params *list);

/* The raw value of the first parameter of that name, ignoring case; {NULL, 0}. */
ph_str ph__param_raw(const struct ph_param *list, ph_str name);

/* ---- uu.c ---- */

struct ph__uu {
    size_t at, n; /* from "begin" on, with the line "end" */
    ph_str name;  /* as written */
};

/* The next uuencoded file in `text` from *at on, which moves behind it; begin with 0. */
bool ph__uu_next(ph_str text, size_t *at, struct ph__uu *ret_file);

/* ---- parse.c ---- */

enum { PH__NO_DEFECTS = 1 };

int ph__mime_parse(struct ph_arena *arena, ph_str bytes, const struct ph_mime_limits *limits,
                   unsigned flags, struct ph_message **ret_message);

#endif
