/* The EHLO reply, written and read, from ext.def. */
#include "smtp_int.h"

const struct ph__smtp_param_row ph__smtp_params[PARAM_COUNT] = {
#define E(name, condition)
#define P(command, keyword, name) {VERB_##command, PH_STR_INIT(#keyword), EXT_##name},
#include "ext.def"
#undef E
#undef P
};

enum condition {
    ALWAYS,
    IF_UTF8,
    IF_BINARY,
    IF_TLS_POSSIBLE,
    IF_REQUIRETLS_POSSIBLE,
    IF_AUTH_POSSIBLE,
    IF_TRACE_POSSIBLE,
    IF_TRUSTED
};

static const struct {
    ph_str keyword;
    enum condition condition;
} exts[EXT_COUNT] = {
#define E(name, condition) {PH_STR_INIT(#name), condition},
#define P(command, keyword, name)
#include "ext.def"
#undef E
#undef P
};

static bool holds(enum condition c, const struct ph__smtp_situation *now)
{
    switch (c) {
    case ALWAYS:
        return true;
    case IF_UTF8:
        return now->utf8;
    case IF_BINARY:
        return now->binary;
    case IF_TLS_POSSIBLE:
        return now->tls_available && !now->tls;
    case IF_REQUIRETLS_POSSIBLE: /* RFC 8689 2: never before TLS is up */
        return now->requiretls && now->tls;
    case IF_AUTH_POSSIBLE:
        return now->auth_offered && (now->tls || now->plaintext) && !now->authenticated;
    case IF_TRUSTED:
        return now->trusted;
    case IF_TRACE_POSSIBLE:
        return now->xtrace && now->authenticated;
    }
    return false;
}

unsigned ph__smtp_announced(const struct ph__smtp_situation *now)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < EXT_COUNT; i++)
        if (holds(exts[i].condition, now))
            bits |= 1u << i;
    return bits;
}

/*
 * " A-PLUS A B", and once more without what needs a channel binding: mutt of Debian 12 takes the
 * strongest mechanism of the last AUTH line, has no channel binding to give, and tries no other.
 * Programs that add the lines up, or take the first, see all.
 */
static void add_mechanisms(ph_str mechanisms, struct ph_buf *out)
{
    bool plus = false;
    ph_str one, words = mechanisms;
    while (ph_str_token(&words, ' ', &one))
        plus |= ph_str_has_suffix(one, PH_STR("-PLUS"));
    ph_buf_addc(out, ' ');
    ph_buf_add(out, mechanisms);
    if (!plus)
        return;
    ph_buf_add(out, PH_STR("\nAUTH"));
    words = mechanisms;
    while (ph_str_token(&words, ' ', &one))
        if (!ph_str_has_suffix(one, PH_STR("-PLUS"))) {
            ph_buf_addc(out, ' ');
            ph_buf_add(out, one);
        }
}

void ph__smtp_ehlo_lines(unsigned announced, const struct ph__smtp_figures *figures,
                         struct ph_buf *out)
{
    for (unsigned i = 0; i < EXT_COUNT; i++) {
        if (!(announced & 1u << i))
            continue;
        ph_buf_addc(out, '\n');
        ph_buf_add(out, exts[i].keyword);
        if (i == EXT_SIZE && figures->size) {
            ph_buf_addc(out, ' ');
            ph_buf_addu(out, figures->size);
        }
        if (i == EXT_LIMITS) { /* RFC 9422 4 */
            ph_buf_add(out, PH_STR(" RCPTMAX="));
            ph_buf_addu(out, figures->recipients);
        }
        if (i == EXT_XCLIENT || i == EXT_XFORWARD)
            ph_buf_add(out, PH_STR(" NAME ADDR PORT PROTO HELO"));
        if (i == EXT_AUTH)
            add_mechanisms(figures->mechanisms, out);
    }
}

bool ph__smtp_ehlo_find(ph_str lines, ph_str keyword, ph_str *ret_params)
{
    ph_str line;
    while (ph_str_token(&lines, '\n', &line)) {
        if (!ph_str_has_iprefix(line, keyword))
            continue;
        ph_str rest = ph_str_skip(line, keyword.n);
        /* "AUTH=PLAIN" is how servers older than RFC 2554 said it. */
        if (rest.n && rest.p[0] != ' ' && rest.p[0] != '=')
            continue;
        *ret_params = ph_str_trim(ph_str_skip(rest, 1));
        return true;
    }
    return false;
}

bool ph__smtp_word_in(ph_str words, ph_str word)
{
    ph_str one;
    while (ph_str_token(&words, ' ', &one))
        if (one.n && ph_str_ieq(one, word))
            return true;
    return false;
}
