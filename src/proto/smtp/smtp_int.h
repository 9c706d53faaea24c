/* smtp_int.h - what the two SMTP engines share: types, reader, writer, transition table. */
#ifndef PH_SMTP_INT_H
#define PH_SMTP_INT_H
#include "line.h"
#include <posthouse/smtp.h>

/* ---- states and commands ----------------------------------------------------------------- */

enum ph__smtp_state {
    STATE_START,
    STATE_READY,
    STATE_MAIL,
    STATE_RCPT,
    STATE_BDAT, /* some chunks have come, not the last */
    STATE_DATA,
    STATE_END,
    STATE_SAME
};
enum {
    IN_START = 1 << STATE_START,
    IN_READY = 1 << STATE_READY,
    IN_MAIL = 1 << STATE_MAIL,
    IN_RCPT = 1 << STATE_RCPT,
    IN_BDAT = 1 << STATE_BDAT,
    IN_ANY = IN_START | IN_READY | IN_MAIL | IN_RCPT | IN_BDAT
};

enum ph__smtp_args { ARGS_NONE, ARGS_NAME, ARGS_TEXT, ARGS_FROM, ARGS_TO, ARGS_AUTH, ARGS_CHUNK };
enum { LAST = 1, JUNK = 2, MAILS = 4 };

enum ph__smtp_verb {
#define C(name, args, states, next, flags) VERB_##name,
#include "commands.def"
#undef C
    VERB_COUNT,
    VERB_GREETING = VERB_COUNT /* the client's first wait, no command */
};

struct ph__smtp_row {
    ph_str verb;
    enum ph__smtp_args args;
    unsigned states;
    enum ph__smtp_state next;
    unsigned flags;
};
extern const struct ph__smtp_row ph__smtp_rows[VERB_COUNT];

bool ph__smtp_allowed(enum ph__smtp_state now, int verb);
/* The state after a reply to `verb`. */
enum ph__smtp_state ph__smtp_after(enum ph__smtp_state now, int verb, int code);

/* ---- extensions -------------------------------------------------------------------------- */

enum ph__smtp_ext {
#define E(name, condition) EXT_##name,
#define P(command, keyword, name)
#include "ext.def"
#undef E
#undef P
    EXT_COUNT
};
#define EXT_BIT(name) (1u << EXT_##name)

struct ph__smtp_param_row {
    int verb;
    ph_str keyword;
    enum ph__smtp_ext ext;
};
enum ph__smtp_param {
#define E(name, condition)
#define P(command, keyword, name) PARAM_##command##_##keyword,
#include "ext.def"
#undef E
#undef P
    PARAM_COUNT
};
extern const struct ph__smtp_param_row ph__smtp_params[PARAM_COUNT];

/* What a server in this situation announces, as EXT_BITs, and the lines of its EHLO reply joined by
 * '\n' (without the greeting line). */
struct ph__smtp_situation {
    bool tls_available, tls, plaintext, auth_offered, authenticated, utf8, binary, requiretls,
        xtrace, trusted;
};
unsigned ph__smtp_announced(const struct ph__smtp_situation *now);
struct ph__smtp_figures {
    uint64_t size;       /* SIZE */
    unsigned recipients; /* LIMITS RCPTMAX */
    ph_str mechanisms;   /* AUTH */
};
void ph__smtp_ehlo_lines(unsigned announced, const struct ph__smtp_figures *figures,
                         struct ph_buf *out);
/* The parameters behind `keyword` among the lines of an EHLO reply; false when it is not there. */
bool ph__smtp_ehlo_find(ph_str lines, ph_str keyword, ph_str *ret_params);
bool ph__smtp_word_in(ph_str words, ph_str word); /* space-separated, case-insensitive */

/* No spaces and control characters. */
bool ph__smtp_graphic(ph_str s);

/* ---- commands on the wire ---------------------------------------------------------------- */

struct ph__smtp_command {
    int verb;
    ph_str text;     /* ARGS_NAME, ARGS_TEXT; ARGS_AUTH: mechanism */
    ph_str data;     /* ARGS_AUTH: initial response as base64 */
    bool has_data;   /* ARGS_AUTH */
    uint64_t octets; /* ARGS_CHUNK */
    bool last;       /* ARGS_CHUNK */
    struct ph_smtp_mailbox mailbox;
    struct ph_smtp_params params;
};

/* Reads a line without CRLF; *ret_command has the verb also where its arguments are wrong, unless
 * -PH_ENOTIMPL. announced: EXT_BITs that give parameters and UTF-8. Slices are
 * borrowed from the line, the mailbox and the strings of params from scratch. -PH_ENOTIMPL: no such
 * command; -PH_ESYNTAX: text says what; -PH_EINVAL: unknown parameter; -PH_EDENIED: needs SMTPUTF8;
 * -PH_ENOENT: not an address; -PH_ELIMIT: path too long; -PH_ENOMEM. */
PH_MUST_CHECK int ph__smtp_command_read(ph_str line, unsigned announced, struct ph_buf *scratch,
                                        struct ph__smtp_command *ret_command,
                                        struct ph_error *reterr);
/* Appends the line with CRLF. announced: which parameters may be said. */
void ph__smtp_command_write(struct ph_buf *out, const struct ph__smtp_command *command,
                            unsigned announced);

/* Reads the parameters behind the path of MAIL or RCPT into *params; strings go to scratch, in
 * which there is room for twice `rest`. -PH_EINVAL: unknown; -PH_ESYNTAX. */
PH_MUST_CHECK int ph__smtp_params_read(int verb, ph_str rest, unsigned announced,
                                       struct ph_buf *scratch, struct ph_smtp_params *params,
                                       struct ph_error *reterr);
/* Appends " KEYWORD=value" for those that are set and whose extension is announced. */
void ph__smtp_params_write(struct ph_buf *out, int verb, const struct ph_smtp_params *params,
                           unsigned announced);
/* xtext of RFC 3461 4: decoding fails where the result would hold a control character. */
PH_MUST_CHECK bool ph__smtp_xtext_read(ph_str xtext, struct ph_buf *scratch, ph_str *ret_text);
void ph__smtp_xtext_write(struct ph_buf *out, ph_str text);

/* Cuts "<path>" off *in (RFC 5321 4.1.2 Reverse-path, Forward-path; a source route is read and
 * dropped). */
PH_MUST_CHECK int ph__smtp_path_read(ph_str *in, unsigned allow, struct ph_buf *scratch,
                                     struct ph_smtp_mailbox *ret_mailbox, struct ph_error *reterr);

/* ---- replies on the wire ----------------------------------------------------------------- */

enum { REPLY_LINE = 512 }; /* RFC 5321 4.5.3.1.5 */
/* Appends "250-2.0.0 text" lines: '\n' in text starts a line, esc may be empty. Lines are cut at
 * `max` octets. */
void ph__smtp_reply_write(struct ph_buf *out, int code, ph_str esc, ph_str text, size_t max);
/* Reads one line of a reply. esc is left in the text. -PH_ESYNTAX. */
PH_MUST_CHECK int ph__smtp_reply_line(ph_str line, int *ret_code, bool *ret_last, ph_str *ret_text);
/* The enhanced code at the start of a text, when its class is that of the reply code; cuts it and
 * the space off. */
ph_str ph__smtp_reply_esc(int code, ph_str *text);

/* ---- transcript -------------------------------------------------------------------------- */

void ph__smtp_note(const struct ph_smtp_transcript *t, char who, ph_str line);
/* Each line of `wire` (lines with CRLF). */
void ph__smtp_note_lines(const struct ph_smtp_transcript *t, char who, ph_str wire);
/* An AUTH command or answer: everything behind the mechanism hidden. */
void ph__smtp_note_secret(const struct ph_smtp_transcript *t, char who, ph_str line);
void ph__smtp_note_octets(const struct ph_smtp_transcript *t, char who, uint64_t octets);

#endif
