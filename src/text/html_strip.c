/* HTML to words by one pass over the bytes, no tree. */
#include "html_strip.h"
#include "ascii.h"

#include <string.h>

#include "codec.h"
#include "utf8.h"

static ph_str tag_name(ph_str tag)
{
    size_t n = 0;
    while (n < tag.n && ph_is_alnum(tag.p[n]))
        n++;
    return (ph_str){tag.p, n};
}

/* Elements whose content is nothing to read. */
static bool is_silent(ph_str name)
{
    static const ph_str silent[] = {PH_STR_INIT("style"), PH_STR_INIT("script"),
                                    PH_STR_INIT("title"), PH_STR_INIT("noscript"),
                                    PH_STR_INIT("template")};
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++)
        if (ph_str_ieq(name, silent[i]))
            return true;
    return false;
}

/* Elements that stand inside a word. */
static bool is_within_word(ph_str name)
{
    static const ph_str within[] = {
        PH_STR_INIT("b"),    PH_STR_INIT("i"),  PH_STR_INIT("u"),      PH_STR_INIT("em"),
        PH_STR_INIT("font"), PH_STR_INIT("a"),  PH_STR_INIT("strong"), PH_STR_INIT("span"),
        PH_STR_INIT("wbr"),  PH_STR_INIT("tt"), PH_STR_INIT("code"),
    };
    for (size_t i = 0; i < sizeof within / sizeof within[0]; i++)
        if (ph_str_ieq(name, within[i]))
            return true;
    return false;
}

/* Behind the end tag of `name`, or the end of the text. */
static ph_str skip_silent(ph_str s, ph_str name)
{
    for (size_t lt; (lt = ph_str_chr(s, '<')) != PH_NPOS;) {
        s = ph_str_skip(s, lt + 1);
        if (s.n && s.p[0] == '/' && ph_str_ieq(tag_name(ph_str_skip(s, 1)), name)) {
            size_t gt = ph_str_chr(s, '>');
            return ph_str_skip(s, gt == PH_NPOS ? s.n : gt + 1);
        }
    }
    return (ph_str){s.p, 0};
}

/* s begins behind '<' of something that is a tag; gives what follows it. */
static ph_str skip_tag(ph_str s, struct ph_buf *out)
{
    if (ph_str_has_prefix(s, PH_STR("!--"))) {
        size_t end = ph_str_find(s, PH_STR("-->"));
        return ph_str_skip(s, end == PH_NPOS ? s.n : end + 3);
    }
    bool closing = s.n && s.p[0] == '/';
    ph_str name = tag_name(ph_str_skip(s, closing));
    size_t gt = ph_str_chr(s, '>');
    s = ph_str_skip(s, gt == PH_NPOS ? s.n : gt + 1);
    if (!is_within_word(name))
        ph_buf_addc(out, ' ');
    return !closing && is_silent(name) ? skip_silent(s, name) : s;
}

static uint32_t numbered(ph_str digits)
{
    bool hex = digits.n && (digits.p[0] | 0x20) == 'x';
    uint32_t v = 0;
    if (digits.n == (size_t)hex)
        return 0;
    for (size_t i = hex; i < digits.n; i++) {
        int d = ph__hex(digits.p[i]);
        if (d < 0 || (!hex && d > 9) || v > 0x10ffff)
            return 0;
        v = v * (hex ? 16 : 10) + (uint32_t)d;
    }
    return v;
}

static uint32_t entity(ph_str name)
{
    static const struct {
        ph_str name;
        uint32_t c;
    } common[] = {
        {PH_STR_INIT("amp"), '&'},      {PH_STR_INIT("lt"), '<'},
        {PH_STR_INIT("gt"), '>'},       {PH_STR_INIT("quot"), '"'},
        {PH_STR_INIT("apos"), '\''},    {PH_STR_INIT("nbsp"), ' '},
        {PH_STR_INIT("copy"), 0xa9},    {PH_STR_INIT("reg"), 0xae},
        {PH_STR_INIT("euro"), 0x20ac},  {PH_STR_INIT("hellip"), 0x2026},
        {PH_STR_INIT("ndash"), 0x2013}, {PH_STR_INIT("mdash"), 0x2014},
        {PH_STR_INIT("lsquo"), 0x2018}, {PH_STR_INIT("rsquo"), 0x2019},
        {PH_STR_INIT("ldquo"), 0x201c}, {PH_STR_INIT("rdquo"), 0x201d},
        {PH_STR_INIT("auml"), 0xe4},    {PH_STR_INIT("ouml"), 0xf6},
        {PH_STR_INIT("uuml"), 0xfc},    {PH_STR_INIT("szlig"), 0xdf},
        {PH_STR_INIT("eacute"), 0xe9},  {PH_STR_INIT("zwnj"), ' '},
    };
    if (name.n && name.p[0] == '#')
        return numbered(ph_str_skip(name, 1));
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        if (ph_str_eq(name, common[i].name))
            return common[i].c;
    return 0;
}

/* s begins with '&'. */
static ph_str add_entity(ph_str s, struct ph_buf *out)
{
    enum { NAME_MOST = 12 };
    size_t semi = ph_str_chr(ph_str_sub(s, 0, NAME_MOST), ';');
    uint32_t c = semi == PH_NPOS ? 0 : entity(ph_str_sub(s, 1, semi - 1));
    ph_utf8_add(out, c ? c : '&');
    return ph_str_skip(s, c ? semi + 1 : 1);
}

void ph_html_strip(struct ph_buf *out, ph_str s, size_t most)
{
    size_t stop = out->n + most;
    while (s.n && out->n < stop && !ph_buf_err(out)) {
        size_t n = 0;
        while (n < s.n && s.p[n] != '<' && s.p[n] != '&' && n < most)
            n++;
        bool full = n == most;
        while (full && n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
            n--; /* not within a character */
        ph_buf_add(out, (ph_str){s.p, n});
        s = ph_str_skip(s, n);
        if (full)
            return;
        if (s.n == 0)
            continue;
        bool tag =
            s.n > 1 && (ph_is_alpha(s.p[1]) || s.p[1] == '/' || s.p[1] == '!' || s.p[1] == '?');
        if (s.p[0] == '&') {
            s = add_entity(s, out);
        } else if (tag) {
            s = skip_tag(ph_str_skip(s, 1), out);
        } else {
            ph_buf_addc(out, '<');
            s = ph_str_skip(s, 1);
        }
    }
}
