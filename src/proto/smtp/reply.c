/* Replies on the wire, written and read; and the transcript of a dialogue. */
#include "ascii.h"
#include "smtp_int.h"
#include <stdio.h>

static void add_clean(struct ph_buf *out, ph_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        ph_buf_addc(out, c < 32 || c == 127 ? '?' : (char)c);
    }
}

void ph__smtp_reply_write(struct ph_buf *out, int code, ph_str esc, ph_str text, size_t max)
{
    max -= 16; /* code, enhanced code, CRLF */
    do {
        size_t end = ph_str_chr(text, '\n');
        bool last = end == PH_NPOS;
        ph_str line = ph_str_sub(text, 0, last ? text.n : end);
        text = ph_str_skip(text, last ? text.n : end + 1);
        ph_buf_addf(out, "%03d%c", code, last ? ' ' : '-');
        if (esc.n) {
            ph_buf_add(out, esc);
            ph_buf_addc(out, ' ');
        }
        add_clean(out, ph_str_sub(line, 0, max));
        ph_buf_add(out, PH_STR("\r\n"));
        if (last)
            return;
    } while (true);
}

int ph__smtp_reply_line(ph_str line, int *ret_code, bool *ret_last, ph_str *ret_text)
{
    if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !ph_is_digit(line.p[1]) ||
        !ph_is_digit(line.p[2]))
        return -PH_ESYNTAX;
    if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
        return -PH_ESYNTAX;
    *ret_code = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
    *ret_last = line.n == 3 || line.p[3] == ' ';
    *ret_text = ph_str_skip(line, 4);
    return 0;
}

/* One to three digits at i; how many. */
static size_t number(ph_str s, size_t i)
{
    size_t n = 0;
    while (n < 3 && i + n < s.n && ph_is_digit(s.p[i + n]))
        n++;
    return n;
}

ph_str ph__smtp_reply_esc(int code, ph_str *text)
{
    ph_str s = *text;
    if (s.n < 5 || s.p[0] != '0' + code / 100 || s.p[1] != '.' ||
        (s.p[0] != '2' && s.p[0] != '4' && s.p[0] != '5'))
        return (ph_str){0};
    size_t subject = number(s, 2);
    if (!subject || 2 + subject >= s.n || s.p[2 + subject] != '.')
        return (ph_str){0};
    size_t detail = number(s, 3 + subject), n = 3 + subject + detail;
    if (!detail || (n < s.n && s.p[n] != ' '))
        return (ph_str){0};
    *text = ph_str_skip(s, n + 1);
    return ph_str_sub(s, 0, n);
}

/* ---- transcript -------------------------------------------------------------------------- */

void ph__smtp_note(const struct ph_smtp_transcript *t, char who, ph_str line)
{
    if (t->line)
        t->line(t->ctx, who, line);
}

void ph__smtp_note_lines(const struct ph_smtp_transcript *t, char who, ph_str wire)
{
    if (!t->line)
        return;
    while (wire.n) {
        size_t end = ph_str_find(wire, PH_STR("\r\n"));
        ph__smtp_note(t, who, ph_str_sub(wire, 0, end));
        wire = ph_str_skip(wire, end == PH_NPOS ? wire.n : end + 2);
    }
}

void ph__smtp_note_secret(const struct ph_smtp_transcript *t, char who, ph_str line)
{
    char shown[64];
    if (!t->line)
        return;
    if (ph_str_has_iprefix(line, PH_STR("AUTH "))) {
        size_t space = ph_str_chr(ph_str_skip(line, 5), ' ');
        ph_str head = ph_str_sub(line, 0, space == PH_NPOS ? line.n : 5 + space);
        head = ph_str_sub(head, 0, sizeof shown - 8);
        int n =
            snprintf(shown, sizeof shown, "%.*s%s", PH_FMT(head), space == PH_NPOS ? "" : " ****");
        ph__smtp_note(t, who, (ph_str){shown, (size_t)n});
    } else {
        ph__smtp_note(t, who, PH_STR("****"));
    }
}

void ph__smtp_note_octets(const struct ph_smtp_transcript *t, char who, uint64_t octets)
{
    char shown[40];
    int n = snprintf(shown, sizeof shown, "(%llu octets)", (unsigned long long)octets);
    ph__smtp_note(t, who, (ph_str){shown, (size_t)n});
}
