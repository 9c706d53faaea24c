/* Command lines, read and written. */
#include "smtp_int.h"
#include <string.h>

enum { NAME_MAX_OCTETS = 255 };

static int fail(struct ph_error *reterr, int code, const char *what)
{
    return ph_fail(reterr, code, 0, "%s", what);
}

bool ph__smtp_graphic(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 32 || s.p[i] == 127)
            return false;
    return true;
}

static ph_str skip_spaces(ph_str s)
{
    while (s.n && s.p[0] == ' ')
        s = ph_str_skip(s, 1);
    return s;
}

static ph_str word(ph_str *rest)
{
    size_t n = ph_str_chr(*rest, ' ');
    ph_str w = ph_str_sub(*rest, 0, n);
    *rest = skip_spaces(ph_str_skip(*rest, w.n));
    return w;
}

/* ---- arguments --------------------------------------------------------------------------- */

static int read_path(ph_str rest, const char *word_before, struct ph__smtp_command *c,
                     unsigned announced, struct ph_buf *scratch, struct ph_error *reterr)
{
    ph_str prefix = ph_str_c(word_before);
    if (!ph_str_has_iprefix(rest, prefix))
        return ph_fail(reterr, PH_ESYNTAX, 0, "%.*s %s<address> is expected",
                       PH_FMT(ph__smtp_rows[c->verb].verb), word_before);
    rest = skip_spaces(ph_str_skip(rest, prefix.n));
    /* Slices into scratch must not move: quoting at most doubles a local part. */
    if (!ph_buf_reserve(scratch, 2 * rest.n + 2))
        return fail(reterr, PH_ENOMEM, "out of memory");
    unsigned allow = announced & EXT_BIT(SMTPUTF8) ? PH_SMTP_ALLOW_UTF8 : 0;
    allow |= c->verb == VERB_MAIL ? PH_SMTP_ALLOW_NULL : PH_SMTP_ALLOW_POSTMASTER;
    int r = ph__smtp_path_read(&rest, allow, scratch, &c->mailbox, reterr);
    if (r < 0)
        return r == -PH_ESYNTAX ? -PH_ENOENT : r;
    r = ph__smtp_params_read(c->verb, rest, announced, scratch, &c->params, reterr);
    if (r < 0)
        return r;
    if (c->verb == VERB_MAIL && c->mailbox.utf8 && !c->params.smtputf8)
        return fail(reterr, PH_EDENIED, "an address with UTF-8 needs the parameter SMTPUTF8");
    return 0;
}

static int read_auth(ph_str rest, struct ph__smtp_command *c, struct ph_error *reterr)
{
    c->text = word(&rest);
    c->has_data = rest.n > 0;
    c->data = word(&rest);
    if (!c->text.n || c->text.n > 20 || rest.n)
        return fail(reterr, PH_ESYNTAX, "AUTH <mechanism> [<initial response>] is expected");
    return 0;
}

/* RFC 3030 2 */
static int read_chunk(ph_str rest, struct ph__smtp_command *c, struct ph_error *reterr)
{
    ph_str size = word(&rest), last = ph_str_trim(rest);
    c->last = last.n > 0;
    if (size.n > 20 || !ph_str_u64(size, INT64_MAX, &c->octets) ||
        (c->last && !ph_str_ieq(last, PH_STR("LAST"))))
        return fail(reterr, PH_ESYNTAX, "BDAT <octets> [LAST] is expected");
    return 0;
}

static int read_args(ph_str rest, struct ph__smtp_command *c, unsigned announced,
                     struct ph_buf *scratch, struct ph_error *reterr)
{
    switch (ph__smtp_rows[c->verb].args) {
    case ARGS_NONE:
        return rest.n ? fail(reterr, PH_ESYNTAX, "this command has no argument") : 0;
    case ARGS_NAME:
        c->text = ph_str_trim(rest);
        if (!c->text.n || c->text.n > NAME_MAX_OCTETS || !ph__smtp_graphic(c->text))
            return fail(reterr, PH_ESYNTAX, "a host name is expected");
        return 0;
    case ARGS_TEXT:
        c->text = ph_str_trim(rest);
        return 0;
    case ARGS_FROM:
        return read_path(rest, "FROM:", c, announced, scratch, reterr);
    case ARGS_TO:
        return read_path(rest, "TO:", c, announced, scratch, reterr);
    case ARGS_AUTH:
        return read_auth(rest, c, reterr);
    case ARGS_CHUNK:
        return read_chunk(rest, c, reterr);
    }
    return fail(reterr, PH_ESYNTAX, "not a command");
}

int ph__smtp_command_read(ph_str line, unsigned announced, struct ph_buf *scratch,
                          struct ph__smtp_command *ret_command, struct ph_error *reterr)
{
    while (line.n && line.p[line.n - 1] == ' ')
        line.n--;
    ph_str rest = line, verb = word(&rest);
    for (int i = 0; i < VERB_COUNT; i++) {
        if (!ph_str_ieq(verb, ph__smtp_rows[i].verb))
            continue;
        struct ph__smtp_command c = {.verb = i};
        int r = read_args(rest, &c, announced, scratch, reterr);
        *ret_command = c;
        return r;
    }
    return fail(reterr, PH_ENOTIMPL, "not a command of this server");
}

/* ---- writer ------------------------------------------------------------------------------ */

static void write_path(struct ph_buf *out, const char *before, const struct ph__smtp_command *c)
{
    ph_buf_addf(out, " %s:<", before);
    ph_buf_add(out, c->mailbox.address);
    ph_buf_addc(out, '>');
}

void ph__smtp_command_write(struct ph_buf *out, const struct ph__smtp_command *c,
                            unsigned announced)
{
    const struct ph__smtp_row *row = &ph__smtp_rows[c->verb];
    ph_buf_add(out, row->verb);
    if (row->args == ARGS_FROM)
        write_path(out, "FROM", c);
    else if (row->args == ARGS_TO)
        write_path(out, "TO", c);
    else if (row->args == ARGS_CHUNK)
        ph_buf_addf(out, " %llu%s", (unsigned long long)c->octets, c->last ? " LAST" : "");
    else if (c->text.n) {
        ph_buf_addc(out, ' ');
        ph_buf_add(out, c->text);
    }
    if (row->args == ARGS_FROM || row->args == ARGS_TO)
        ph__smtp_params_write(out, c->verb, &c->params, announced);
    if (c->has_data) {
        ph_buf_addc(out, ' ');
        ph_buf_add(out, c->data.n ? c->data : PH_STR("="));
    }
    ph_buf_add(out, PH_STR("\r\n"));
}
