/* Header values, written: folding, encoded words, addresses, parameters. */
#include <string.h>

#include "build_int.h"
#include "mime_int.h"
#include "utf8.h"
#include "words.h"

enum {
    LINE = 78,          /* RFC 5322 2.1.1 */
    ENCODED_LEAST = 26, /* an encoded word with one character of any kind */
    QUOTED_MOST = 66,   /* a longer display name or parameter is written in pieces */
    PIECE_MOST = 50     /* characters of one RFC 2231 piece */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void put(struct ph__fold *f, ph_str s)
{
    ph_buf_add(f->out, s);
    f->col += (unsigned)s.n;
}

void ph__fold_begin(struct ph__fold *f, ph_str name)
{
    f->col = 0;
    put(f, name);
    put(f, PH_STR(":"));
}

void ph__fold_end(struct ph__fold *f)
{
    ph_buf_add(f->out, PH_STR("\r\n"));
    f->col = 0;
}

/* White space as it is, on a new line when what follows would not fit. */
static void put_space(struct ph__fold *f, ph_str space, size_t next)
{
    if (space.n && f->col + space.n + next > LINE && f->col > 1) {
        ph_buf_add(f->out, PH_STR("\r\n"));
        f->col = 0;
    }
    put(f, space);
}

void ph__fold_piece(struct ph__fold *f, ph_str piece)
{
    put_space(f, PH_STR(" "), piece.n);
    put(f, piece);
}

/* The white space and the word behind it, from the front of s. */
static ph_str cut_word(ph_str *s, ph_str *ret_space)
{
    size_t n = 0, from;
    while (n < s->n && is_space(s->p[n]))
        n++;
    *ret_space = (ph_str){s->p, n};
    for (from = n; n < s->n && !is_space(s->p[n]);)
        n++;
    ph_str word = {s->p + from, n - from};
    *s = ph_str_skip(*s, n);
    return word;
}

static bool needs_encoding(const struct ph__fold *f, ph_str word)
{
    if (!f->utf8 || ph_ascii_only(word))
        return ph_words_needed(word);
    for (size_t i = 0; i < word.n; i++)
        if ((unsigned char)word.p[i] < 32 || word.p[i] == 127)
            return true;
    return word.n > 900;
}

static void put_plain(struct ph__fold *f, ph_str s)
{
    while (s.n) {
        ph_str space, word = cut_word(&s, &space);
        put_space(f, space, word.n);
        put(f, word);
    }
}

/* s begins with white space or at the begin of the value: words up to the first that must be
 * encoded are plain, then everything up to the last of those is encoded, the rest is plain. */
static void put_words(struct ph__fold *f, ph_str s)
{
    ph_str first = {0}, end = {0};
    for (ph_str rest = s; rest.n;) {
        ph_str space, word = cut_word(&rest, &space);
        if (needs_encoding(f, word)) {
            if (!first.p)
                first = word;
            end = rest;
            end.p = word.p + word.n;
        }
    }
    if (!first.p) {
        put_plain(f, s);
        return;
    }
    size_t before = (size_t)(first.p - s.p), middle = (size_t)(end.p - first.p);
    ph_str lead = {s.p, before};
    size_t gap = 0;
    while (gap < lead.n && is_space(lead.p[lead.n - gap - 1]))
        gap++;
    put_plain(f, (ph_str){lead.p, lead.n - gap});
    put_space(f, (ph_str){lead.p + lead.n - gap, gap}, ENCODED_LEAST);
    ph_words_encode(f->out, (ph_str){first.p, middle}, &f->col);
    put_plain(f, ph_str_skip(s, before + middle));
}

void ph__fold_text(struct ph__fold *f, ph_str s)
{
    put(f, PH_STR(" "));
    if (s.n && (is_space(s.p[0]) || is_space(s.p[s.n - 1])))
        ph_words_encode(f->out, s, &f->col);
    else
        put_words(f, s);
}

/* ---- addresses ---- */

static bool is_atoms(ph_str s)
{
    bool space = true;
    for (size_t i = 0; i < s.n; i++) {
        if (!ph__is_atext(s.p[i]) && (s.p[i] != ' ' || space))
            return false;
        space = s.p[i] == ' ';
    }
    return !space;
}

static void put_quoted(struct ph__fold *f, ph_str s)
{
    size_t start = f->out->n;
    ph_buf_addc(f->out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            ph_buf_addc(f->out, '\\');
        ph_buf_addc(f->out, s.p[i]);
    }
    ph_buf_addc(f->out, '"');
    f->col += (unsigned)(f->out->n - start);
}

static void put_phrase(struct ph__fold *f, ph_str name)
{
    if (needs_encoding(f, name) || name.n > QUOTED_MOST) {
        put_space(f, PH_STR(" "), ENCODED_LEAST);
        ph_words_encode(f->out, name, &f->col);
    } else {
        put_space(f, PH_STR(" "), name.n + 2);
        if (is_atoms(name))
            put(f, name);
        else
            put_quoted(f, name);
    }
}

static void put_mailbox(struct ph__fold *f, const struct ph_address *a, bool comma)
{
    struct ph_buf addr, host;
    ph_buf_init(&addr, f->out->al, 2048);
    ph_buf_init(&host, f->out->al, 2048);
    bool fits = f->utf8 || ph_ascii_only(a->host) || ph_host_ascii(a->host, &host) < 0;
    if (a->name.n)
        ph_buf_addc(&addr, '<');
    ph_address_write(&addr, a->local, fits ? a->host : ph_buf_str(&host));
    if (a->name.n)
        ph_buf_addc(&addr, '>');
    if (comma)
        ph_buf_addc(&addr, ',');
    if (a->name.n)
        put_phrase(f, a->name);
    ph__fold_piece(f, ph_buf_str(&addr));
    if (ph_buf_err(&addr))
        f->out->err = ph_buf_err(&addr);
    ph_buf_done(&addr);
    ph_buf_done(&host);
}

void ph__fold_addresses(struct ph__fold *f, const struct ph_address *list)
{
    for (const struct ph_address *a = list; a; a = a->next) {
        bool group_ends = a->next && a->next->kind == PH_ADDRESS_GROUP_END;
        if (a->kind == PH_ADDRESS_MAILBOX) {
            put_mailbox(f, a, a->next && !group_ends);
        } else if (a->kind == PH_ADDRESS_GROUP) {
            put_phrase(f, a->name.n ? a->name : PH_STR("group"));
            put(f, PH_STR(":"));
        } else {
            put(f, a->next ? PH_STR(";,") : PH_STR(";"));
        }
    }
}

/* ---- parameters (RFC 2231) ---- */

static bool is_attribute_char(unsigned char c)
{
    return c > 32 && c < 127 && !strchr("*'%()<>@,;:\\\"/[]?=", c);
}

/* At most `most` characters of the percent form of s, whole characters; returns what was used. */
static size_t put_percent(struct ph_buf *out, ph_str s, size_t most)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0, written = 0;
    while (at < s.n) {
        size_t len = ph_utf8_step(ph_str_skip(s, at)), need = 0;
        len = len ? len : 1;
        for (size_t i = 0; i < len; i++)
            need += is_attribute_char((unsigned char)s.p[at + i]) ? 1 : 3;
        if (written + need > most)
            break;
        for (size_t i = 0; i < len; i++) {
            unsigned char c = (unsigned char)s.p[at + i];
            const char three[3] = {'%', digits[c >> 4], digits[c & 15]};
            ph_buf_add(out, is_attribute_char(c) ? (ph_str){(char *)&c, 1} : (ph_str){three, 3});
        }
        written += need;
        at += len;
    }
    return at;
}

static void put_pieces(struct ph__fold *f, ph_str name, ph_str value)
{
    struct ph_buf piece;
    ph_buf_init(&piece, f->out->al, 1024);
    for (unsigned n = 0; value.n && !ph_buf_err(f->out); n++) {
        ph_buf_clear(&piece);
        ph_buf_addf(&piece, "%.*s*%u*=%s", PH_FMT(name), n, n ? "" : "utf-8''");
        size_t used = put_percent(&piece, value, PIECE_MOST);
        bool last = used == value.n;
        if (n == 0 && last) { /* it all fits: the short form */
            ph_buf_clear(&piece);
            ph_buf_addf(&piece, "%.*s*=utf-8''", PH_FMT(name));
            put_percent(&piece, value, PIECE_MOST);
        }
        put(f, PH_STR(";"));
        ph__fold_piece(f, ph_buf_str(&piece));
        if (ph_buf_err(&piece))
            f->out->err = ph_buf_err(&piece);
        value = ph_str_skip(value, used);
    }
    ph_buf_done(&piece);
}

void ph__fold_quoted(struct ph__fold *f, ph_str name, ph_str value)
{
    put(f, PH_STR(";"));
    put_space(f, PH_STR(" "), name.n + value.n + 3);
    put(f, name);
    put(f, PH_STR("="));
    put_quoted(f, value);
}

void ph__fold_param(struct ph__fold *f, ph_str name, ph_str value)
{
    bool plain = ph_ascii_only(value) || f->utf8;
    for (size_t i = 0; i < value.n && plain; i++)
        plain = (unsigned char)value.p[i] >= 32 && value.p[i] != 127;
    if (!plain || value.n > QUOTED_MOST || ph_str_find(value, PH_STR("=?")) != PH_NPOS)
        put_pieces(f, name, value);
    else
        ph__fold_quoted(f, name, value);
}

void ph__fold_field(struct ph__fold *f, const struct ph__field *h)
{
    ph__fold_begin(f, h->name);
    if (h->is & PH__IS_ADDRESSES) {
        ph__fold_addresses(f, h->list);
    } else if (h->is & PH__IS_ASCII) {
        for (ph_str rest = h->value, word; ph_str_token(&rest, ' ', &word);)
            if (word.n)
                ph__fold_piece(f, word);
    } else {
        ph__fold_text(f, h->value);
    }
    ph__fold_end(f);
}
