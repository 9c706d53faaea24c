/* Message ids and Received fields. */
#include <string.h>

#include "mime_int.h"

bool ph_id_next(ph_str *rest, ph_str *ret_id)
{
    size_t open = ph_str_chr(*rest, '<');
    if (open == PH_NPOS)
        return false;
    size_t close = ph_str_chr(ph_str_skip(*rest, open), '>');
    if (close == PH_NPOS)
        return false;
    ph_str id = {rest->p + open, close + 1};
    *rest = ph_str_skip(*rest, open + close + 1);
    size_t last = ph_str_rchr(id, '<');
    *ret_id = ph_str_skip(id, last);
    return true;
}

struct clause {
    ph_str word;
    ph_str *value, *info;
};

/* The next word outside comments; a comment right behind goes to *ret_info. */
static ph_str next_word(ph_str *s, ph_str *ret_info)
{
    size_t n = 0;
    *s = ph_str_trim(*s);
    while (s->n && s->p[0] == '(') {
        size_t c = ph__comment(*s);
        if (!ret_info->n) /* the first is the standard's (RFC 5321 4.4), others tell of TLS */
            *ret_info = ph_str_trim(ph_str_sub(*s, 1, c < 2 ? 0 : c - 2));
        *s = ph_str_trim(ph_str_skip(*s, c));
    }
    while (n < s->n && !strchr(" \t\r\n(", s->p[n] ? s->p[n] : ' '))
        n++;
    if (n == 0 && s->n)
        n = 1;
    ph_str word = {s->p, n};
    *s = ph_str_skip(*s, n);
    return word;
}

/* The last semicolon outside comments; the last of all when a comment is never closed. */
static size_t last_semicolon(ph_str s)
{
    size_t last = PH_NPOS;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ';')
            last = i;
        if (s.p[i] != '(')
            continue;
        size_t n = ph__comment(ph_str_skip(s, i));
        if (s.p[i + n - 1] != ')')
            return ph_str_rchr(s, ';');
        i += n - 1;
    }
    return last;
}

static void cut_date(ph_str *s, struct ph_received *r)
{
    size_t semi = last_semicolon(*s);
    if (semi == PH_NPOS)
        return;
    r->date_text = ph_str_trim(ph_str_skip(*s, semi + 1));
    r->has_date = ph_date_parse(r->date_text, &r->date) == 0;
    s->n = semi;
}

void ph_received_parse(ph_str raw, struct ph_received *ret)
{
    ph_str nowhere = {0}, nobody = {0};
    struct ph_received r = {0};
    struct clause clauses[] = {
        {PH_STR("from"), &r.from, &r.from_info}, {PH_STR("by"), &r.by, &r.by_info},
        {PH_STR("via"), &r.via, &nowhere},       {PH_STR("with"), &r.with, &r.with_info},
        {PH_STR("id"), &r.id, &nowhere},         {PH_STR("for"), &r.for_, &nowhere},
    };
    struct clause *open = NULL;
    cut_date(&raw, &r);
    while (raw.n) {
        ph_str info = {0}, word = next_word(&raw, &info);
        if (info.n && open && open->info->n == 0)
            *open->info = info;
        bool filled = !open || open->value->n || open->info->n; /* "from (host) by" */
        for (size_t i = 0; i < sizeof clauses / sizeof clauses[0] && filled; i++)
            if (ph_str_ieq(word, clauses[i].word) && clauses[i].value->n == 0) {
                open = &clauses[i];
                word = nobody;
                break;
            }
        if (word.n && open && open->value->n == 0)
            *open->value = word;
    }
    r.for_ = ph__without_brackets(r.for_);
    *ret = r;
}
