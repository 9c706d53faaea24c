/* The picture of a journey. All lengths are pixels of the drawing.
 *
 *   title, Message-ID, whose it is
 *   times | bands: a host each, with a lane for each of its processes | what happened, in words
 *
 * A step is joined to the one before it of the same recipient, so that the line forks where the
 * recipients part; the beginning at another house is joined to what had happened until then by a
 * dashed line. */
#include "trace.h"

#include "ipc.h"
#include "utf8.h"

#include <inttypes.h>
#include <string.h>

enum {
    MARGIN = 28,
    HEAD = 132,       /* above the first step */
    TIMES = 104,      /* the column of times */
    LANE = 72,        /* between two lanes */
    BAND_LEAST = 104, /* a band with a single lane still shows the host's name */
    BAND_GAP = 14,
    WORDS = 660, /* the column of words */
    COLUMNS = 92,
    LINES = 4, /* of a step; the whole of it stands in the element's title */
    LINE = 17,
    STEP = 30,  /* a step of one line */
    BREAK = 46, /* the mark of a long wait */
    FOOT = 58,
    LANES = 24,     /* later ones share the last */
    LOOK_BACK = 256 /* steps that are looked at for the one before */
};
#define LONG_WAIT_US ((int64_t)30 * 1000 * 1000)

struct lane {
    ph_str host, process;
    int x, band_x, band_width; /* band_width: on the first lane of its band only */
};

struct picture {
    const struct trace_journey *j;
    struct ph_buf *out;
    struct lane lanes[LANES];
    size_t lanes_n;
    int words_x, width, height;
    int *y;        /* of each step */
    uint8_t *lane; /* of each step */
    struct ph_arena *arena;
};

/* What became of the letter with a step: the class of its colour, and the sign in its dot. */
static const struct {
    const char *colour, *sign;
} looks[EV_COUNT] = {
    [EV_SUBMITTED] = {"go", ""},
    [EV_RECEIVED] = {"go", ""},
    [EV_AUTHENTICATED] = {"go", ""},
    [EV_QUEUED] = {"go", ""},
    [EV_TRIED] = {"wait", ""},
    [EV_DEFERRED] = {"wait", "M0-3.4V.4L2.4 2"},
    [EV_RELAYED] = {"good", "M-3 0H3M.4-2.8L3 0 .4 2.8"},
    [EV_DELIVERED] = {"good", "M-3 .2L-.8 2.6 3.2-2.6"},
    [EV_BOUNCED] = {"bad", "M-2.5-2.5L2.5 2.5M2.5-2.5L-2.5 2.5"},
    [EV_FETCHED] = {"good", "M-3 .2L-.8 2.6 3.2-2.6"},
    [EV_EXPIRED] = {"bad", "M-2.5-2.5L2.5 2.5M2.5-2.5L-2.5 2.5"},
    [EV_REFUSED] = {"bad", "M-2.5-2.5L2.5 2.5M2.5-2.5L-2.5 2.5"},
    [EV_REPORTED] = {"told", ""},
};

static const struct {
    const char *colour, *text, *light, *dark;
} colours[] = {{"go", "on its way", "#2563eb", "#6ea8fe"},
               {"good", "arrived or handed on", "#15803d", "#4cc38a"},
               {"wait", "has to wait", "#b45309", "#f0b429"},
               {"bad", "refused or given up", "#c81e1e", "#ff7b72"},
               {"told", "told to the sender", "#7c3aed", "#b794f6"}};
enum { COLOURS = sizeof colours / sizeof *colours };

static const char *colour_of(const struct ph_spool_event *e)
{
    return e->kind < EV_COUNT ? looks[e->kind].colour : "go";
}

/* ---- text -------------------------------------------------------------------------------- */

/* Not for a picture: controls, what turns the direction of writing around, and what XML 1.0 2.2
 * excludes. */
static bool is_drawable(uint32_t c)
{
    return c >= 32 && (c < 0x7f || c > 0x9f) && (c < 0x200e || c > 0x200f) &&
           (c < 0x2028 || c > 0x202e) && (c < 0x2066 || c > 0x2069) && c != 0xfffe && c != 0xffff &&
           c != 0xfeff;
}

static int columns_of(uint32_t c)
{
    return c >= 0x1100 &&
                   (c <= 0x115f || (c >= 0x2e80 && c <= 0xd7ff) || (c >= 0xf900 && c <= 0xfaff) ||
                    (c >= 0xff00 && c <= 0xff60) || c >= 0x1f300)
               ? 2
               : 1;
}

/* One character off *s; an octet that is not UTF-8 is U+FFFD. */
static uint32_t take(ph_str *s)
{
    size_t n = ph_utf8_step(*s);
    uint32_t c = n ? ph_utf8_point(s->p, n) : 0xfffd;
    *s = ph_str_sub(*s, n ? n : 1, SIZE_MAX);
    return is_drawable(c) ? c : ' ';
}

static void add_char(struct ph_buf *out, uint32_t c)
{
    if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
        ph_buf_addf(out, "&#%" PRIu32 ";", c);
    else
        ph_utf8_add(out, c);
}

/* Escaped, and cut to so many columns. */
static void add_text(struct ph_buf *out, ph_str s, int most)
{
    int used = 0;
    while (s.n) {
        uint32_t c = take(&s);
        used += columns_of(c);
        if (used > most - (s.n > 0)) {
            ph_utf8_add(out, 0x2026);
            return;
        }
        add_char(out, c);
    }
}

/* The next line of *s, broken at a space where there is one in its second half. */
static ph_str cut_line(ph_str *s, int most)
{
    ph_str left = *s, good = {0};
    int used = 0;
    while (left.n) {
        ph_str before = left;
        uint32_t c = take(&left);
        used += columns_of(c);
        if (used > most) {
            size_t n = good.n ? good.n : (size_t)(before.p - s->p);
            ph_str line = ph_str_sub(*s, 0, n);
            *s = ph_str_sub(*s, n, SIZE_MAX);
            return line;
        }
        if (c == ' ' && used > most / 2)
            good = (ph_str){s->p, (size_t)(left.p - s->p)};
    }
    ph_str line = *s;
    *s = (ph_str){0};
    return line;
}

static void put(struct ph_buf *b, const char *before, ph_str s)
{
    if (s.n) {
        ph_buf_add(b, ph_str_c(before));
        ph_buf_add(b, s);
    }
}

/* The words below a step's name, in one line, not yet escaped. */
static void words_of(const struct ph_spool_event *e, struct ph_buf *b)
{
    bool out = e->kind == EV_RELAYED || e->kind == EV_TRIED || e->kind == EV_DEFERRED;
    put(b, out ? "at " : "from ", e->peer);
    put(b, b->n ? ", " : "", e->tls);
    put(b, b->n ? ", as " : "as ", e->auth);
    if (e->code || e->reply.n) {
        ph_buf_add(b, ph_str_c(b->n ? ": " : ""));
        if (trace_adds_code(e))
            ph_buf_addf(b, "%" PRIu32 "%s", e->code, e->reply.n ? " " : "");
        ph_buf_add(b, e->reply);
    }
    put(b, b->n ? ", " : "", e->note);
    if (e->took >= 1000)
        ph_buf_addf(b, "%s%" PRIu64 " ms", b->n ? ", took " : "took ", e->took / 1000);
}

/* ---- laying it out ------------------------------------------------------------------------- */

static bool same_lane(const struct lane *l, const struct ph_spool_event *e)
{
    return ph_str_eq(l->host, e->host) && ph_str_eq(l->process, e->process);
}

/* A new lane stands at the end of its host's band. */
static void add_lane(struct picture *p, const struct ph_spool_event *e)
{
    size_t at = p->lanes_n;
    for (size_t i = 0; i < p->lanes_n; i++)
        if (same_lane(&p->lanes[i], e))
            return;
    if (p->lanes_n == LANES)
        return;
    for (size_t i = 0; i < p->lanes_n; i++)
        if (ph_str_eq(p->lanes[i].host, e->host))
            at = i + 1;
    memmove(&p->lanes[at + 1], &p->lanes[at], (p->lanes_n - at) * sizeof *p->lanes);
    p->lanes[at] = (struct lane){.host = e->host, .process = e->process};
    p->lanes_n++;
}

static size_t band_end(const struct picture *p, size_t first)
{
    size_t i = first;
    while (i < p->lanes_n && ph_str_eq(p->lanes[i].host, p->lanes[first].host))
        i++;
    return i;
}

static void place_lanes(struct picture *p)
{
    int x = MARGIN + TIMES;
    for (size_t i = 0; i < p->lanes_n; i = band_end(p, i)) {
        int n = (int)(band_end(p, i) - i);
        int width = n * LANE > BAND_LEAST ? n * LANE : BAND_LEAST;
        p->lanes[i].band_width = width;
        for (int k = 0; k < n; k++) {
            p->lanes[i + (size_t)k].band_x = x;
            p->lanes[i + (size_t)k].x = x + width * (2 * k + 1) / (2 * n);
        }
        x += width + BAND_GAP;
    }
    p->words_x = x + 12;
    p->width = p->words_x + WORDS + MARGIN;
}

static uint8_t lane_of(const struct picture *p, const struct ph_spool_event *e)
{
    for (size_t i = 0; i < p->lanes_n; i++)
        if (same_lane(&p->lanes[i], e))
            return (uint8_t)i;
    return (uint8_t)(p->lanes_n - 1);
}

static int lines_of(const struct ph_spool_event *e)
{
    struct ph_buf b;
    int n = 0;
    ph_buf_init(&b, NULL, 8 * PH_SPOOL_REPLY);
    words_of(e, &b);
    for (ph_str left = ph_buf_str(&b); left.n && n < LINES; n++)
        (void)cut_line(&left, COLUMNS);
    ph_buf_done(&b);
    return n;
}

static int64_t wait_before(const struct picture *p, size_t i)
{
    const struct ph_spool_event *e = p->j->events;
    return i && e[i].time > e[i - 1].time ? e[i].time - e[i - 1].time : 0;
}

/* A wait is seen as a distance until it is too long, and then as a mark. */
static int gap(int64_t us)
{
    return us > LONG_WAIT_US ? BREAK : us > 1000000 ? 16 : us > 100000 ? 8 : 0;
}

static bool lay_out(struct picture *p)
{
    const struct trace_journey *j = p->j;
    p->y = ph_arena_array(p->arena, j->n, sizeof *p->y);
    p->lane = ph_arena_array(p->arena, j->n, 1);
    if (!p->y || !p->lane)
        return false;
    for (size_t i = 0; i < j->n; i++)
        add_lane(p, &j->events[i]);
    place_lanes(p);
    int y = HEAD;
    for (size_t i = 0; i < j->n; i++) {
        y += gap(wait_before(p, i));
        p->y[i] = y + 10;
        p->lane[i] = lane_of(p, &j->events[i]);
        y += STEP + LINE * lines_of(&j->events[i]);
    }
    p->height = y + FOOT;
    return true;
}

/* ---- drawing ----------------------------------------------------------------------------- */

static const char style[] =
    "text{font:13px ui-sans-serif,system-ui,'Segoe UI','Noto Sans','DejaVu "
    "Sans',sans-serif;fill:#1f2933}"
    ".h{font-size:19px;font-weight:600}.b{font-weight:600}.d{fill:#5b6775}.t{font-size:12px;fill:#"
    "5b6775;text-anchor:end}"
    ".m{text-anchor:middle}.p{font-size:11.5px;fill:#5b6775;text-anchor:middle}"
    ".bg{fill:#fff}.band{fill:#eef2f7}.rail{stroke:#cdd6e1;stroke-width:2}.lead{stroke:#dde3ea;"
    "stroke-dasharray:1 4;stroke-linecap:round}"
    ".way{fill:none;stroke-width:3;stroke-linecap:round}.far{stroke-dasharray:2 7}"
    ".cut{fill:none;stroke:#9aa5b1;stroke-width:1.5}.sign{fill:none;stroke:#fff;stroke-width:1.8;"
    "stroke-linecap:round;stroke-linejoin:round}"
    ".dot{stroke:#fff;stroke-width:2}";
static const char dark[] =
    "text{fill:#e4e9ef}.d,.t,.p{fill:#9aa7b5}.bg{fill:#11161d}.band{fill:#1b222c}.rail{stroke:#"
    "343f4c}"
    ".lead{stroke:#2a333e}.cut{stroke:#66727f}.sign{stroke:#11161d}.dot{stroke:#11161d}";

static void draw_style(struct ph_buf *o)
{
    ph_buf_addf(o, "<style>%s", style);
    for (size_t i = 0; i < COLOURS; i++)
        ph_buf_addf(o, ".%s{fill:%s}.way.%s{fill:none;stroke:%s}", colours[i].colour,
                    colours[i].light, colours[i].colour, colours[i].light);
    ph_buf_addf(o, "@media(prefers-color-scheme:dark){%s", dark);
    for (size_t i = 0; i < COLOURS; i++)
        ph_buf_addf(o, ".%s{fill:%s}.way.%s{fill:none;stroke:%s}", colours[i].colour,
                    colours[i].dark, colours[i].colour, colours[i].dark);
    ph_buf_add(o, PH_STR("}</style>\n"));
}

static void draw_head(struct picture *p)
{
    const struct trace_journey *j = p->j;
    char at[64], span[32];
    ph_str id = j->message_id.n ? j->message_id : PH_STR("(no Message-ID)");
    struct ph_buf *o = p->out;
    trace_clock(j->events[0].time, at, sizeof at);
    trace_span(j->events[j->n - 1].time - j->events[0].time, span, sizeof span);
    ph_buf_addf(o,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 "
                "0 %d %d\" role=\"img\">\n<title>",
                p->width, p->height, p->width, p->height);
    add_text(o, id, 1000);
    ph_buf_add(o, PH_STR("</title>\n"));
    draw_style(o);
    ph_buf_addf(
        o, "<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n<text class=\"h\" x=\"%d\" y=\"42\">",
        p->width, p->height, MARGIN);
    add_text(o, id, (p->width - 2 * MARGIN) / 11);
    ph_buf_addf(o, "</text>\n<text class=\"d\" x=\"%d\" y=\"64\">", MARGIN);
    if (j->owner.n) {
        ph_buf_add(o, PH_STR("of "));
        add_text(o, j->owner, 60);
        ph_buf_add(o, PH_STR(", "));
    }
    ph_buf_addf(o, "%.19s, %zu step%s in %s</text>\n", at, j->n, j->n == 1 ? "" : "s", span);
}

static void draw_lanes(struct picture *p)
{
    int bottom = p->height - FOOT + 4;
    for (size_t i = 0; i < p->lanes_n; i++) {
        const struct lane *l = &p->lanes[i];
        if (l->band_width) {
            ph_buf_addf(p->out, "<g><title>");
            add_text(p->out, l->host, 255);
            ph_buf_addf(p->out,
                        "</title><rect class=\"band\" x=\"%d\" y=\"80\" width=\"%d\" height=\"%d\" "
                        "rx=\"10\"/>"
                        "<text class=\"b m\" x=\"%d\" y=\"99\">",
                        l->band_x, l->band_width, bottom - 80, l->band_x + l->band_width / 2);
            add_text(p->out, l->host, l->band_width * 2 / 15);
            ph_buf_add(p->out, PH_STR("</text></g>\n"));
        }
        ph_buf_addf(p->out, "<text class=\"p\" x=\"%d\" y=\"117\">", l->x);
        add_text(p->out, l->process, 12);
        ph_buf_addf(p->out, "</text><path class=\"rail\" d=\"M%d 124V%d\"/>\n", l->x, bottom - 8);
    }
}

/* The step that led to this one; i when there is none. */
static size_t before(const struct picture *p, size_t i)
{
    const struct ph_spool_event *e = p->j->events;
    size_t found = i;
    for (size_t k = i; k-- > 0 && i - k < LOOK_BACK;) {
        if (e[k].qid != e[i].qid)
            continue;
        if (!e[i].rcpt.n || !e[k].rcpt.n || ph_str_ieq(e[k].rcpt, e[i].rcpt))
            return k;
    }
    return found;
}

static void draw_way(struct picture *p, size_t i)
{
    size_t k = before(p, i);
    bool far = k == i;
    if (far && !i)
        return;
    k = far ? i - 1 : k;
    int x = p->lanes[p->lane[k]].x, y = p->y[k], to = p->lanes[p->lane[i]].x, end = p->y[i];
    int bend = end - y > 60 ? 60 : end - y;
    ph_buf_addf(p->out, "<path class=\"way%s %s\" d=\"M%d %d", far ? " far" : "",
                colour_of(&p->j->events[i]), x, y);
    if (x == to)
        ph_buf_addf(p->out, "V%d\"/>\n", end);
    else /* down its lane, then over in one bend */
        ph_buf_addf(p->out, "V%dC%d %d %d %d %d %d\"/>\n", end - bend, x, end - bend / 3, to,
                    end - bend * 2 / 3, to, end);
}

static void draw_wait(struct picture *p, size_t i)
{
    int64_t us = wait_before(p, i);
    char span[32];
    if (us <= LONG_WAIT_US)
        return;
    int y = p->y[i] - 10 - BREAK / 2 - 2, right = p->words_x - 12;
    trace_span(us, span, sizeof span);
    ph_buf_addf(p->out, "<path class=\"cut\" d=\"M%d %d", MARGIN, y);
    for (int x = MARGIN; x + 16 <= right; x += 16)
        ph_buf_add(p->out, PH_STR("q4-6 8 0t8 0"));
    ph_buf_addf(p->out, "\"/><text class=\"d\" x=\"%d\" y=\"%d\">%s later</text>\n", p->words_x,
                y + 4, span);
}

static void draw_words(struct picture *p, const struct ph_spool_event *e, int y)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, 8 * PH_SPOOL_REPLY);
    words_of(e, &b);
    ph_str left = ph_buf_str(&b);
    ph_buf_add(p->out, PH_STR("<title>"));
    add_text(p->out, left, 4000);
    ph_buf_addf(p->out, "</title><text x=\"%d\" y=\"%d\"><tspan class=\"b %s\">%s</tspan> ",
                p->words_x, y + 5, colour_of(e), ipc_step_name(e->kind));
    add_text(p->out, e->rcpt, COLUMNS - 14);
    ph_buf_add(p->out, PH_STR("</text>"));
    for (int n = 1; left.n && n <= LINES; n++) {
        ph_str line = cut_line(&left, COLUMNS);
        ph_buf_addf(p->out, "<text class=\"d\" x=\"%d\" y=\"%d\">", p->words_x, y + 5 + n * LINE);
        add_text(p->out, line, COLUMNS);
        ph_buf_add(p->out,
                   n == LINES && left.n ? PH_STR(" \xe2\x80\xa6</text>") : PH_STR("</text>"));
    }
    ph_buf_done(&b);
}

static void draw_step(struct picture *p, size_t i)
{
    const struct ph_spool_event *e = &p->j->events[i];
    int x = p->lanes[p->lane[i]].x, y = p->y[i];
    char at[64], span[32];
    trace_clock(e->time, at, sizeof at);
    trace_span(e->time - p->j->events[0].time, span, sizeof span);
    ph_buf_addf(p->out,
                "<g class=\"step\"><path class=\"lead\" d=\"M%d %dH%d\"/><text class=\"t\" "
                "x=\"%d\" y=\"%d\">%s%s</text>",
                x + 14, y, p->words_x - 8, MARGIN + TIMES - 14, y + 4, i ? "+" : "",
                i ? span : at + 11);
    ph_buf_addf(p->out, "<circle class=\"dot %s\" cx=\"%d\" cy=\"%d\" r=\"8\"/>", colour_of(e), x,
                y);
    if (e->kind < EV_COUNT && *looks[e->kind].sign)
        ph_buf_addf(p->out, "<path class=\"sign\" transform=\"translate(%d %d)\" d=\"%s\"/>", x, y,
                    looks[e->kind].sign);
    draw_words(p, e, y);
    ph_buf_add(p->out, PH_STR("</g>\n"));
}

static void draw_foot(struct picture *p)
{
    int x = MARGIN + 8, y = p->height - MARGIN;
    for (size_t i = 0; i < COLOURS; i++) {
        ph_buf_addf(p->out,
                    "<circle class=\"%s\" cx=\"%d\" cy=\"%d\" r=\"5\"/><text class=\"d\" x=\"%d\" "
                    "y=\"%d\">%s</text>\n",
                    colours[i].colour, x, y - 4, x + 12, y, colours[i].text);
        x += 40 + 8 * (int)strlen(colours[i].text);
    }
    ph_buf_add(p->out, PH_STR("</svg>\n"));
}

void trace_svg(const struct trace_journey *j, struct ph_buf *out)
{
    struct picture p = {.j = j, .out = out, .arena = ph_arena_new(NULL, 1024 * 1024)};
    if (!p.arena || !lay_out(&p)) {
        out->err = -PH_ENOMEM;
        ph_arena_free(p.arena);
        return;
    }
    draw_head(&p);
    draw_lanes(&p);
    for (size_t i = 0; i < j->n; i++)
        draw_way(&p, i);
    for (size_t i = 0; i < j->n; i++) {
        draw_wait(&p, i);
        draw_step(&p, i);
    }
    draw_foot(&p);
    ph_arena_free(p.arena);
}
