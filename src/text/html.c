/*
 * HTML as text to read, by libxml2's forgiving parser in event form: no tree is built.
 *
 * Text is collapsed as a browser would; what separates it is remembered (`gap`: nothing, a
 * space, a new line, an empty line) and written before the next visible character, so that
 * nested blocks never pile up empty lines.
 */
#include <posthouse/text.h>

#include <libxml/HTMLparser.h>
#include <string.h>

#include "html_strip.h"
#include "utf8.h"

enum {
    DEPTH_MOST = 500, /* deeper nesting is not followed; the rest goes through ph_html_strip */
    LISTS_MOST = 16,
    LINK_MOST = 2000,
    CHUNK = 16 * 1024
};

enum gap { GAP_NONE, GAP_SPACE, GAP_LINE, GAP_EMPTY_LINE };

struct list {
    bool numbered;
    unsigned item;
};

struct view {
    struct ph_buf *out;
    xmlParserCtxtPtr parser;
    size_t begin; /* of our text in out */
    enum gap gap;
    unsigned depth, silent, pre, quote, nlists;
    unsigned hidden;     /* the depth at which an element begins that is not displayed; 0: none */
    unsigned last_quote; /* how deep the line before was quoted */
    unsigned cells;      /* of the table row, before this one */
    uint64_t ruled;      /* a bit for each open table, innermost lowest: its cells are divided */
    bool pre_begins;     /* a line end right behind <pre> says nothing */
    struct list lists[LISTS_MOST];
    char href[LINK_MOST];
    size_t href_n, href_at; /* the link open now, and where its text began in out */
    bool stopped;
};

enum { BLOCK = 1, PARA = 2, SILENT = 4, PRE = 8, QUOTE = 16, LIST = 32, NUMBERED = 64 };

static const struct {
    const char *name;
    unsigned is;
} elements[] = {
    {"address", BLOCK},
    {"article", BLOCK},
    {"aside", BLOCK},
    {"blockquote", PARA | QUOTE},
    {"center", BLOCK},
    {"dd", BLOCK},
    {"div", BLOCK},
    {"dl", PARA},
    {"dt", BLOCK},
    {"fieldset", BLOCK},
    {"footer", BLOCK},
    {"form", BLOCK},
    {"h1", PARA},
    {"h2", PARA},
    {"h3", PARA},
    {"h4", PARA},
    {"h5", PARA},
    {"h6", PARA},
    {"head", SILENT},
    {"header", BLOCK},
    {"li", BLOCK},
    {"noscript", SILENT},
    {"ol", PARA | LIST | NUMBERED},
    {"p", PARA},
    {"pre", PARA | PRE},
    {"script", SILENT},
    {"section", BLOCK},
    {"style", SILENT},
    {"table", PARA},
    {"template", SILENT},
    {"title", SILENT},
    {"tr", BLOCK},
    {"ul", PARA | LIST},
};

static unsigned element(const char *name)
{
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++)
        if (strcmp(name, elements[i].name) == 0)
            return elements[i].is;
    return 0;
}

static void want(struct view *v, enum gap g)
{
    if (v->gap < g)
        v->gap = g;
}

static void quote_marks(struct view *v)
{
    for (unsigned i = 0; i < v->quote && i < LISTS_MOST; i++)
        ph_buf_add(v->out, PH_STR("> "));
    v->last_quote = v->quote;
}

/* An empty line between two quoted lines is quoted too, so that the quote stays one. */
static void empty_line(struct view *v)
{
    unsigned deep = v->quote < v->last_quote ? v->quote : v->last_quote;
    ph_buf_addc(v->out, '\n');
    for (unsigned i = 0; i < deep && i < LISTS_MOST; i++)
        ph_buf_add(v->out, i ? PH_STR(" >") : PH_STR(">"));
}

static void new_line(struct view *v)
{
    ph_buf_addc(v->out, '\n');
    quote_marks(v);
    for (unsigned i = 1; i < v->nlists; i++)
        ph_buf_add(v->out, PH_STR("  "));
}

/* Writes what separates the next visible character from the last. */
static void close_gap(struct view *v)
{
    if (v->out->n == v->begin) {
        quote_marks(v);
    } else if (v->gap == GAP_SPACE) {
        ph_buf_addc(v->out, ' ');
    } else if (v->gap != GAP_NONE) {
        if (v->gap == GAP_EMPTY_LINE)
            empty_line(v);
        new_line(v);
    }
    v->gap = GAP_NONE;
}

static void visible(struct view *v, ph_str s)
{
    if (s.n) {
        close_gap(v);
        ph_buf_add(v->out, s);
    }
}

/* The length of white space at the front that collapses, no-break spaces included: mail uses them
 * for layout. 0: none. */
static size_t space(ph_str s)
{
    char c = s.p[0];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f')
        return 1;
    return ph_str_has_prefix(s, PH_STR("\xc2\xa0")) ? 2 : 0;
}

/* Soft hyphens, zero-width spaces and joiners of graphemes, which newsletters put by the hundred
 * behind their first line to keep the rest out of previews. */
static size_t ghost(ph_str s)
{
    static const ph_str ghosts[] = {PH_STR_INIT("\xc2\xad"), PH_STR_INIT("\xcd\x8f"),
                                    PH_STR_INIT("\xe2\x80\x8b"), PH_STR_INIT("\xef\xbb\xbf")};
    for (size_t i = 0; i < sizeof ghosts / sizeof ghosts[0]; i++)
        if (ph_str_has_prefix(s, ghosts[i]))
            return ghosts[i].n;
    return 0;
}

static void add_collapsed(struct view *v, ph_str s)
{
    while (s.n && !ph_buf_err(v->out)) {
        size_t n = 0, len;
        while (n < s.n && !space(ph_str_skip(s, n)) && !ghost(ph_str_skip(s, n)))
            n++;
        visible(v, (ph_str){s.p, n});
        for (s = ph_str_skip(s, n); s.n && ((len = space(s)) || (n = ghost(s)));
             s = ph_str_skip(s, len ? len : n))
            if (len)
                want(v, GAP_SPACE);
    }
}

static void add_preformatted(struct view *v, ph_str s)
{
    if (v->pre_begins && s.n && s.p[0] == '\n')
        s = ph_str_skip(s, 1);
    v->pre_begins = false;
    while (s.n && !ph_buf_err(v->out)) {
        size_t n = 0;
        while (n < s.n && s.p[n] != '\n')
            n++;
        visible(v, (ph_str){s.p, n});
        s = ph_str_skip(s, n);
        if (s.n) {
            close_gap(v);
            new_line(v);
            s = ph_str_skip(s, 1);
        }
    }
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    struct view *v = ctx;
    ph_str s = {(const char *)text, len > 0 ? (size_t)len : 0};
    if (v->silent || v->hidden || v->stopped)
        return;
    if (v->pre)
        add_preformatted(v, s);
    else
        add_collapsed(v, s);
}

static const char *attribute(const xmlChar **atts, const char *name)
{
    for (; atts && atts[0]; atts += 2)
        if (strcmp((const char *)atts[0], name) == 0)
            return (const char *)atts[1];
    return NULL;
}

static void begin_item(struct view *v)
{
    struct list *l = v->nlists ? &v->lists[v->nlists - 1] : NULL;
    close_gap(v);
    if (l && l->numbered)
        ph_buf_addf(v->out, "%u. ", ++l->item);
    else
        ph_buf_add(v->out, PH_STR("* "));
}

static void begin_link(struct view *v, const xmlChar **atts)
{
    ph_str href = ph_str_trim(ph_str_c(attribute(atts, "href")));
    v->href_n = 0;
    if (href.n && href.n <= LINK_MOST && href.p[0] != '#' && ph_str_chr(href, '\n') == PH_NPOS &&
        !ph_str_has_iprefix(href, PH_STR("javascript:")))
        memcpy(v->href, href.p, v->href_n = href.n);
    v->href_at = v->out->n;
}

static void end_link(struct view *v)
{
    ph_str href = {v->href, v->href_n};
    ph_str shown = ph_str_trim(ph_str_skip(ph_buf_str(v->out), v->href_at));
    ph_str bare = ph_str_has_iprefix(href, PH_STR("mailto:")) ? ph_str_skip(href, 7) : href;
    v->href_n = 0;
    if (href.n == 0 || shown.n == 0 || ph_str_eq(shown, href) || ph_str_eq(shown, bare))
        return;
    ph_buf_add(v->out, PH_STR(" <"));
    ph_buf_add(v->out, bare);
    ph_buf_addc(v->out, '>');
}

/* style="... display : none ..." */
static bool is_hidden(const xmlChar **atts)
{
    ph_str style = ph_str_c(attribute(atts, "style"));
    size_t at = ph_str_ifind(style, PH_STR("display"));
    ph_str rest = at == PH_NPOS ? (ph_str){0} : ph_str_trim(ph_str_skip(style, at + 7));
    return rest.n && rest.p[0] == ':' &&
           ph_str_has_iprefix(ph_str_trim(ph_str_skip(rest, 1)), PH_STR("none"));
}

static void begin_block(struct view *v, unsigned is)
{
    bool inner_list = (is & LIST) && v->nlists;
    want(v, (is & PARA) && !inner_list ? GAP_EMPTY_LINE : GAP_LINE);
    v->pre += (is & PRE) != 0;
    v->pre_begins = (is & PRE) != 0;
    v->quote += (is & QUOTE) != 0;
    if ((is & LIST) && v->nlists < LISTS_MOST)
        v->lists[v->nlists++] = (struct list){.numbered = (is & NUMBERED) != 0};
}

/* Cells of a table with a border or with headings are divided by "|": it is one of data. The others
 * are there for the layout. */
static void begin_cell(struct view *v, bool heading)
{
    v->ruled |= heading;
    want(v, GAP_SPACE);
    if (v->cells++ && (v->ruled & 1)) {
        visible(v, PH_STR("|"));
        want(v, GAP_SPACE);
    }
}

static void begin_table(struct view *v, const xmlChar **atts)
{
    ph_str border = ph_str_trim(ph_str_c(attribute(atts, "border")));
    v->ruled = v->ruled << 1 | (border.n && !ph_str_eq(border, PH_STR("0")));
}

static void begin_inline(struct view *v, const char *name, const xmlChar **atts)
{
    if (strcmp(name, "li") == 0) {
        begin_item(v);
    } else if (strcmp(name, "br") == 0) {
        want(v, v->gap == GAP_LINE ? GAP_EMPTY_LINE : GAP_LINE);
    } else if (strcmp(name, "hr") == 0) {
        want(v, GAP_LINE);
        visible(v, PH_STR("---"));
        want(v, GAP_LINE);
    } else if (strcmp(name, "table") == 0) {
        begin_table(v, atts);
    } else if (strcmp(name, "tr") == 0) {
        v->cells = 0;
    } else if (strcmp(name, "td") == 0 || strcmp(name, "th") == 0) {
        begin_cell(v, name[1] == 'h');
    } else if (strcmp(name, "a") == 0) {
        begin_link(v, atts);
    } else if (strcmp(name, "img") == 0) {
        visible(v, ph_str_trim(ph_str_c(attribute(atts, "alt"))));
    }
}

static void on_begin(void *ctx, const xmlChar *tag, const xmlChar **atts)
{
    struct view *v = ctx;
    const char *name = (const char *)tag;
    unsigned is = element(name);
    if (++v->depth > DEPTH_MOST && !v->stopped) {
        v->stopped = true;
        xmlStopParser(v->parser);
    }
    if (v->stopped || v->hidden)
        return;
    v->silent += (is & SILENT) != 0;
    if (v->silent)
        return;
    if (is_hidden(atts)) {
        v->hidden = v->depth;
        return;
    }
    if (is & (BLOCK | PARA))
        begin_block(v, is);
    begin_inline(v, name, atts);
}

static void end_block(struct view *v, unsigned is)
{
    bool inner_list = (is & LIST) && v->nlists > 1;
    if (is & (BLOCK | PARA))
        want(v, (is & PARA) && !inner_list ? GAP_EMPTY_LINE : GAP_LINE);
    v->pre -= (is & PRE) && v->pre;
    v->quote -= (is & QUOTE) && v->quote;
    v->nlists -= (is & LIST) && v->nlists;
}

static void on_end(void *ctx, const xmlChar *tag)
{
    struct view *v = ctx;
    const char *name = (const char *)tag;
    unsigned is = element(name), depth = v->depth;
    v->depth -= v->depth > 0;
    if (v->stopped)
        return;
    if (v->hidden) {
        v->hidden = depth > v->hidden ? v->hidden : 0;
        return;
    }
    if ((is & SILENT) && v->silent) {
        v->silent--;
        return;
    }
    if (v->silent)
        return;
    if (strcmp(name, "a") == 0)
        end_link(v);
    else if (strcmp(name, "table") == 0)
        v->ruled >>= 1;
    end_block(v, is);
}

/* Feeds the parser piece by piece; returns how much of the text it has seen. */
static size_t feed(struct view *v, ph_str html)
{
    size_t at = 0;
    while (at < html.n && !v->stopped && !ph_buf_err(v->out)) {
        ph_str piece = ph_str_sub(html, at, CHUNK);
        htmlParseChunk(v->parser, piece.p, (int)piece.n, 0);
        at += piece.n;
    }
    if (!v->stopped)
        htmlParseChunk(v->parser, NULL, 0, 1);
    return at;
}

static int without_nul(ph_str html, struct ph_buf *clean)
{
    for (ph_str rest = html, piece; ph_str_token(&rest, 0, &piece);)
        ph_buf_add(clean, piece);
    return ph_buf_err(clean);
}

static int parse(ph_str html, struct ph_buf *out)
{
    htmlSAXHandler sax = {.startElement = on_begin,
                          .endElement = on_end,
                          .characters = on_text,
                          .cdataBlock = on_text,
                          .ignorableWhitespace = on_text};
    struct view v = {.out = out, .begin = out->n};
    v.parser = htmlCreatePushParserCtxt(&sax, &v, NULL, 0, NULL, XML_CHAR_ENCODING_UTF8);
    if (!v.parser)
        return -PH_ENOMEM;
    htmlCtxtUseOptions(v.parser, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                     HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC);
    size_t seen = feed(&v, html);
    bool no_memory = v.parser->errNo == XML_ERR_NO_MEMORY;
    htmlFreeParserCtxt(v.parser);
    if (no_memory)
        return -PH_ENOMEM;
    if (v.stopped) /* what the piece held beyond the stop is lost with it */
        ph_html_strip(out, ph_str_skip(html, seen), html.n - seen);
    if (out->n > v.begin)
        ph_buf_addc(out, '\n');
    return ph_buf_err(out);
}

int ph_html_text(ph_str html, struct ph_buf *out)
{
    if (ph_str_chr(html, 0) == PH_NPOS)
        return parse(html, out);
    struct ph_buf clean;
    ph_buf_init(&clean, out->al, SIZE_MAX / 2);
    int rc = without_nul(html, &clean);
    if (rc == 0)
        rc = parse(ph_buf_str(&clean), out);
    ph_buf_done(&clean);
    return rc;
}
