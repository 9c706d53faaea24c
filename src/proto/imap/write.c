/* Small values to bytes: the one place that chooses between atom, quoted string and literal. */
#include "imap_int.h"
#include <string.h>

static bool fits_quotes(ph_str s, bool utf8)
{
    if (s.n > IMAP_QUOTED_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch == '\r' || ch == '\n' || ch == '\0' || (ch >= 0x80 && !utf8))
            return false;
    }
    return true;
}

void ph__imap_put_string(struct ph_buf *out, ph_str s, bool utf8)
{
    if (!s.p) {
        ph_buf_add(out, PH_STR("NIL"));
        return;
    }
    if (!fits_quotes(s, utf8)) {
        ph_buf_addf(out, "{%zu}\r\n", s.n);
        ph_buf_add(out, s);
        return;
    }
    ph_buf_addc(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '"' && s.p[i] != '\\')
            continue;
        ph_buf_add(out, ph_str_sub(s, from, i - from));
        ph_buf_addc(out, '\\');
        from = i;
    }
    ph_buf_add(out, ph_str_skip(s, from));
    ph_buf_addc(out, '"');
}

void ph__imap_put_astring(struct ph_buf *out, ph_str s, bool utf8)
{
    bool atom = s.n > 0 && s.n <= IMAP_QUOTED_MAX && !ph_str_ieq(s, PH_STR("NIL"));
    for (size_t i = 0; atom && i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        atom = ch > 0x20 && ch < 0x7f && !strchr("(){%*\"\\]", ch);
    }
    if (atom)
        ph_buf_add(out, s);
    else
        ph__imap_put_string(out, s.p ? s : PH_STR(""), utf8);
}

void ph__imap_put_mailbox(struct ph_buf *out, ph_str name, bool utf8)
{
    if (utf8) {
        ph__imap_put_astring(out, name, true);
        return;
    }
    struct ph_buf wire;
    ph_buf_init(&wire, NULL, 8 * name.n + 8);
    ph_imap_utf7_encode(name, &wire);
    if (ph_buf_err(&wire))
        out->err = -PH_ENOMEM;
    ph__imap_put_astring(out, ph_buf_str(&wire), false);
    ph_buf_done(&wire);
}

void ph__imap_put_flags(struct ph_buf *out, const struct ph_imap_flags *f)
{
    bool first = true;
    ph_str rest = f->keywords, word;
    ph_buf_addc(out, '(');
    for (unsigned i = 0; i < 6; i++) {
        if (!(f->bits >> i & 1))
            continue;
        if (!first)
            ph_buf_addc(out, ' ');
        ph_buf_add(out, ph__imap_flag_names[i]);
        first = false;
    }
    while (ph_str_token(&rest, ' ', &word)) {
        if (word.n == 0)
            continue;
        if (!first)
            ph_buf_addc(out, ' ');
        ph_buf_add(out, word);
        first = false;
    }
    if (f->bits & PH_IMAP_ANY_KEYWORD)
        ph_buf_add(out, first ? PH_STR("\\*") : PH_STR(" \\*"));
    ph_buf_addc(out, ')');
}

void ph__imap_put_text(struct ph_buf *out, ph_str text)
{
    if (text.n == 0)
        text = PH_STR("Done.");
    for (size_t i = 0; i < text.n; i++) {
        char ch = text.p[i];
        ph_buf_addc(out, ch == '\r' || ch == '\n' || ch == '\0' ? ' ' : ch);
    }
}

void ph__imap_put_code(struct ph_buf *out, const struct ph_imap_code *code)
{
    if (!code || code->kind == PH_IMAP_CODE_NONE)
        return;
    ph_buf_addc(out, '[');
    if (code->kind == PH_IMAP_CODE_OTHER) {
        ph__imap_put_text(out, code->text);
        ph_buf_add(out, PH_STR("] "));
        return;
    }
    ph_buf_add(out, ph__imap_code_names[code->kind]);
    switch (code->kind) {
    case PH_IMAP_CODE_UIDNEXT:
    case PH_IMAP_CODE_UIDVALIDITY:
    case PH_IMAP_CODE_UNSEEN:
    case PH_IMAP_CODE_HIGHESTMODSEQ:
        ph_buf_addc(out, ' ');
        ph_buf_addu(out, code->n);
        break;
    case PH_IMAP_CODE_APPENDUID:
    case PH_IMAP_CODE_COPYUID:
        ph_buf_addf(out, " %llu ", (unsigned long long)code->n);
        if (code->kind == PH_IMAP_CODE_COPYUID) {
            ph_buf_add(out, code->from);
            ph_buf_addc(out, ' ');
        }
        ph_buf_add(out, code->to);
        break;
    case PH_IMAP_CODE_PERMANENTFLAGS:
        ph_buf_addc(out, ' ');
        ph__imap_put_flags(out, &code->flags);
        break;
    case PH_IMAP_CODE_MAILBOXID:
    case PH_IMAP_CODE_INPROGRESS:
        ph_buf_add(out, PH_STR(" ("));
        ph_buf_add(out, code->text);
        ph_buf_addc(out, ')');
        break;
    case PH_IMAP_CODE_BADCHARSET:
    case PH_IMAP_CODE_CAPABILITY:
    case PH_IMAP_CODE_MODIFIED:
        ph_buf_addc(out, ' ');
        ph_buf_add(out, code->text);
        break;
    default:
        break;
    }
    ph_buf_add(out, PH_STR("] "));
}

void ph__imap_put_section(struct ph_buf *out, const struct ph_imap_section *sec)
{
    static const ph_str kinds[] = {{"", 0},
                                   PH_STR_INIT("HEADER"),
                                   PH_STR_INIT("HEADER.FIELDS"),
                                   PH_STR_INIT("HEADER.FIELDS.NOT"),
                                   PH_STR_INIT("TEXT"),
                                   PH_STR_INIT("MIME")};
    static const ph_str names[] = {PH_STR_INIT("BODY["),         PH_STR_INIT("RFC822"),
                                   PH_STR_INIT("RFC822.HEADER"), PH_STR_INIT("RFC822.TEXT"),
                                   PH_STR_INIT("BINARY["),       PH_STR_INIT("BINARY.SIZE[")};
    ph_buf_add(out, names[sec->as]);
    if (names[sec->as].p[names[sec->as].n - 1] != '[')
        return;
    for (size_t i = 0; i < sec->depth; i++) {
        if (i)
            ph_buf_addc(out, '.');
        ph_buf_addu(out, sec->part[i]);
    }
    if (sec->depth && sec->kind != PH_IMAP_SEC_BODY)
        ph_buf_addc(out, '.');
    ph_buf_add(out, kinds[sec->kind]);
    if (sec->kind == PH_IMAP_SEC_FIELDS || sec->kind == PH_IMAP_SEC_FIELDS_NOT) {
        ph_buf_add(out, PH_STR(" ("));
        for (size_t i = 0; i < sec->field_count; i++) {
            if (i)
                ph_buf_addc(out, ' ');
            ph__imap_put_astring(out, sec->fields[i], false);
        }
        ph_buf_addc(out, ')');
    }
    ph_buf_addc(out, ']');
    if (sec->partial) {
        ph_buf_addc(out, '<');
        ph_buf_addu(out, sec->from);
        ph_buf_addc(out, '>');
    }
}
