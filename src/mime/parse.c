/*
 * The tree of a message. One pass over the bytes, as far as they are there; the state says where
 * in which part we are:
 *
 *   HEAD       a line of a header   --empty line, no field, boundary, end--> what the part is:
 *                                     a multipart: push its boundary, BODY
 *                                     a message:   its child begins at once, HEAD
 *                                     else         BODY
 *              longer than what was looked at --> HEAD_LINE --line end--> HEAD
 *   BODY       a line of a body     --boundary--> HEAD of the next child; what was open inside is
 *                                     closed
 *                                   --closing---> BODY_LINE: the epilogue, which ends with the
 *                                     multipart itself
 *                                   --else------> BODY_LINE
 *   BODY_LINE  up to the next line that begins with "--", in one leap --> BODY
 *
 * Each part is opened once and closed once, and of each line that begins with "--" PH_MIME_LINE
 * bytes at most are compared with the open boundaries, whose number is limited; so the work is
 * linear, and nothing but an undecided line need be kept of a message that comes in pieces.
 */
#include "parse_int.h"

#include <string.h>

/* ---- lines ---- */

bool ph__look_at_line(struct ph_mime_parser *ps, struct ph__look *ret)
{
    size_t there = (size_t)(ps->end - ps->at);
    size_t most = there < PH_MIME_LINE ? there : PH_MIME_LINE;
    const char *nl =
        most > ps->looked ? memchr(ps->at + ps->looked, '\n', most - ps->looked) : NULL;
    if (!nl && !ps->is_last && most < PH_MIME_LINE) {
        ps->looked = most;
        return false;
    }
    ps->looked = 0;
    *ret = (struct ph__look){{ps->at, nl ? (size_t)(nl - ps->at) + 1 : most},
                             nl || most < PH_MIME_LINE};
    return true;
}

void ph__pass_line(struct ph_mime_parser *ps, ph_str line)
{
    ps->lines += line.n && line.p[line.n - 1] == '\n';
    ps->at += line.n;
}

/* A line from "--" on is a boundary if what follows is the boundary, perhaps "--", and nothing
 * but white space. The innermost that fits counts. */
int ph__match_boundary(const struct ph_mime_parser *ps, const struct ph__look *line,
                       bool *ret_closing, bool *ret_near_miss)
{
    ph_str text = ph_str_skip(line->s, 2);
    *ret_near_miss = false;
    while (text.n && ((uint8_t)text.p[text.n - 1] <= ' ' && text.p[text.n - 1]))
        text.n--;
    for (size_t i = ps->open_count; i > 0; i--) {
        ph_str b = ps->stack[i - 1].boundary;
        if (text.n < b.n || text.p[0] != b.p[0] || memcmp(text.p, b.p, b.n) != 0)
            continue;
        bool closing = text.n == b.n + 2 && text.p[b.n] == '-' && text.p[b.n + 1] == '-';
        if (line->is_whole && (closing || text.n == b.n)) {
            *ret_closing = closing;
            return (int)i - 1;
        }
        *ret_near_miss = true;
    }
    return -1;
}

/* The multipart that ended last at this depth still stands above the open ones. */
static ph_str ended_boundary(const struct ph_mime_parser *ps)
{
    return ps->stack[ps->open_count].boundary;
}

static bool is_ended_boundary(const struct ph_mime_parser *ps, ph_str line)
{
    ph_str b = ended_boundary(ps), text = ph_str_trim(ph_str_skip(line, 2));
    return b.n && ph_str_has_prefix(text, b) &&
           (text.n == b.n || ph_str_eq(ph_str_skip(text, b.n), PH_STR("--")));
}

/* ---- opening and closing parts ---- */

/* A new part begins at ps->at, with its header. */
static int open_part(struct ph_mime_parser *ps, struct ph_part *parent, uint32_t index)
{
    struct ph_part *p = PH_ARENA_NEW(ps->arena, struct ph_part);
    if (!p)
        return -PH_ENOMEM;
    p->parent = parent;
    p->index = index;
    p->depth = parent ? parent->depth + 1 : 0;
    p->type = PH_STR("text");
    p->subtype = PH_STR("plain");
    p->encoding_name = PH_STR("7bit");
    p->header.at = ph__offset(ps, ps->at);
    ps->m->part_count++;
    ps->cur = p;
    ph__head_begin(ps);
    return 0;
}

/* Ends every open part below `stop` at `end`, where `lines` line feeds have gone by. */
static void close_parts(struct ph_mime_parser *ps, const struct ph_part *stop, const char *end,
                        uint64_t lines)
{
    uint64_t at = ph__offset(ps, end);
    for (; ps->cur && ps->cur != stop; ps->cur = ps->cur->parent) {
        struct ph_part *p = ps->cur;
        p->body.n = at > p->body.at ? at - p->body.at : 0;
        /* `lines` of an open part holds the line feeds before its body */
        p->lines = lines > p->lines ? lines - p->lines : 0;
        if (p->body.n == 0 && p->header.n <= 2 && p->parent)
            ph__defect(ps, PH_DEFECT_PART_EMPTY, p->header.at);
    }
}

/* At a boundary line: the line break before it belongs to it (RFC 2046 5.1.1). */
static void close_at_boundary(struct ph_mime_parser *ps, const struct ph_part *stop)
{
    const char *end = ps->at;
    uint64_t lines = ps->lines;
    if (end > ps->begin && end[-1] == '\n') {
        end--;
        lines--;
        if (end > ps->begin && end[-1] == '\r')
            end--;
    }
    close_parts(ps, stop, end, lines);
}

/* ---- what a header makes of its part ---- */

static bool is_reused(const struct ph_mime_parser *ps, ph_str boundary)
{
    for (size_t i = 0; i < ps->open_count; i++)
        if (ph_str_eq(ps->stack[i].boundary, boundary))
            return true;
    return false;
}

/* A multipart that can be taken apart is pushed. */
static void open_multipart(struct ph_mime_parser *ps, struct ph_part *p)
{
    ph_str boundary = ph__param_raw(p->params, PH_STR("boundary"));
    uint64_t at = p->header.at;
    while (boundary.n && (uint8_t)boundary.p[boundary.n - 1] <= ' ')
        boundary.n--;
    if (boundary.n == 0) {
        ph__defect(ps, PH_DEFECT_BOUNDARY_MISSING, at);
        return;
    }
    if (p->depth >= ps->lim.depth) {
        ph__defect(ps, PH_DEFECT_DEPTH_LIMIT, at);
        return;
    }
    if (p->encoding == PH_ENC_BASE64 || p->encoding == PH_ENC_QP)
        ph__defect(ps, PH_DEFECT_ENCODING_COMPOSITE, at);
    if (is_reused(ps, boundary))
        ph__defect(ps, PH_DEFECT_BOUNDARY_REUSED, at);
    ps->stack[ps->open_count++] =
        (struct ph__open){.part = p,
                          .last = &p->child,
                          .boundary = boundary,
                          .is_digest = ph_str_ieq(p->subtype, PH_STR("digest"))};
}

/* A message inside: its child's header begins where this one's body does. */
static bool opens_message(struct ph_mime_parser *ps, const struct ph_part *p)
{
    uint64_t at = p->header.at;
    if (!ph_part_is(p, "message", "rfc822") && !ph_part_is(p, "message", "global"))
        return false;
    if (p->encoding == PH_ENC_BASE64 || p->encoding == PH_ENC_QP ||
        p->encoding == PH_ENC_UUENCODE) {
        ph__defect(ps, PH_DEFECT_ENCODING_COMPOSITE, at);
        return false;
    }
    if (p->depth >= ps->lim.depth) {
        ph__defect(ps, PH_DEFECT_DEPTH_LIMIT, at);
        return false;
    }
    if (ps->m->part_count >= ps->lim.parts) {
        ph__defect(ps, PH_DEFECT_PARTS_LIMIT, at);
        return false;
    }
    return true;
}

int ph__part_read(struct ph_mime_parser *ps)
{
    struct ph_part *p = ps->cur;
    if (ph_part_is(p, "multipart", NULL))
        open_multipart(ps, p);
    if (!opens_message(ps, p))
        return 0;
    p->kind = PH_PART_MESSAGE;
    int rc = open_part(ps, p, 1);
    p->child = rc ? NULL : ps->cur;
    return rc;
}

/* ---- bodies ---- */

static void pop_to(struct ph_mime_parser *ps, size_t count)
{
    while (ps->open_count > count) {
        const struct ph__open *o = &ps->stack[--ps->open_count];
        if (o->part->child)
            o->part->kind = PH_PART_MULTIPART;
        else
            ph__defect(ps, PH_DEFECT_BOUNDARY_NONE_FOUND, o->part->header.at);
    }
}

/* A boundary of the multipart at `level`: closes what is open inside and begins the next part. */
static int at_boundary(struct ph_mime_parser *ps, size_t level, ph_str line, bool closing)
{
    struct ph__open *o = &ps->stack[level];
    uint64_t at = ph__offset(ps, ps->at);
    if (!closing && ps->m->part_count >= ps->lim.parts && o->part->child) {
        ph__defect(ps, PH_DEFECT_PARTS_LIMIT, at);
        ph__pass_line(ps, line);
        return PH__GO_ON;
    }
    if (ps->open_count > level + 1)
        ph__defect(ps, PH_DEFECT_BOUNDARY_NO_END, at);
    close_at_boundary(ps, o->part);
    pop_to(ps, level + 1);
    ph__pass_line(ps, line);
    if (closing) {
        pop_to(ps, level);
        return PH__GO_ON;
    }
    if (open_part(ps, o->part, ++o->children))
        return -PH_ENOMEM;
    *o->last = ps->cur;
    o->last = &ps->cur->next;
    if (o->is_digest) { /* RFC 2046 5.1.5 */
        ps->cur->type = PH_STR("message");
        ps->cur->subtype = PH_STR("rfc822");
    }
    return PH__GO_ON;
}

static int body_step(struct ph_mime_parser *ps)
{
    ph_str there = {ps->at, (size_t)(ps->end - ps->at)};
    struct ph__look line;
    bool closing = false, near_miss = false;
    bool wanted = ps->open_count || ended_boundary(ps).n;
    bool may_be = there.n == 0 || (there.p[0] == '-' && (there.n == 1 || there.p[1] == '-'));
    if (wanted && may_be && !ps->is_last && there.n < 3)
        return PH__NEED_MORE;
    if (wanted && ph__is_dashes(there)) {
        if (!ph__look_at_line(ps, &line))
            return PH__NEED_MORE;
        int level = ph__match_boundary(ps, &line, &closing, &near_miss);
        if (level >= 0)
            return at_boundary(ps, (size_t)level, line.s, closing);
        if (is_ended_boundary(ps, line.s))
            ph__defect(ps, PH_DEFECT_BOUNDARY_AFTER_END, ph__offset(ps, ps->at));
        else if (near_miss)
            ph__defect(ps, PH_DEFECT_BOUNDARY_PREFIX, ph__offset(ps, ps->at));
    }
    ps->state = PH__BODY_LINE;
    return PH__GO_ON;
}

static int body_line_step(struct ph_mime_parser *ps)
{
    const char *p = ps->at, *end = ps->end;
    const char *hit = NULL;
    if (ps->open_count || ended_boundary(ps).n)
        hit = ph__find_dashes(p, end, &ps->lines);
    else
        ps->lines += ph__count_lines(p, end);
    if (hit) {
        ps->at = hit + 1;
        ps->state = PH__BODY;
        return PH__GO_ON;
    }
    ps->at = end; /* but "\n" and "\n-" may yet become a boundary */
    for (int back = 1; back <= 2 && end - p >= back; back++)
        if (end[-back] == '\n') {
            ps->at = end - back + 1;
            ps->state = PH__BODY;
            break;
        }
    return PH__NEED_MORE;
}

/* ---- the engine ---- */

int ph__parser_run(struct ph_mime_parser *ps)
{
    static int (*const steps[])(struct ph_mime_parser *) = {
        [PH__HEAD] = ph__head_step,
        [PH__HEAD_LINE] = ph__head_line_step,
        [PH__BODY] = body_step,
        [PH__BODY_LINE] = body_line_step,
    };
    int rc = PH__GO_ON;
    while (rc == PH__GO_ON)
        rc = steps[ps->state](ps);
    return rc < 0 ? rc : 0;
}

static void set_limits(struct ph_mime_limits *to, const struct ph_mime_limits *from)
{
    const struct ph_mime_limits given = from ? *from : (struct ph_mime_limits){0};
    to->depth = given.depth ? given.depth : PH_MIME_DEPTH;
    if (to->depth > PH_MIME_DEPTH_MOST)
        to->depth = PH_MIME_DEPTH_MOST;
    to->parts = given.parts ? given.parts : PH_MIME_PARTS;
    to->header = given.header ? given.header : PH_MIME_HEADER;
    to->defects = given.defects ? given.defects : PH_MIME_DEFECTS;
}

int ph__parser_init(struct ph_mime_parser *ps, struct ph_arena *arena,
                    const struct ph_mime_limits *limits)
{
    ps->arena = arena;
    ps->m = PH_ARENA_NEW(arena, struct ph_message);
    set_limits(&ps->lim, limits);
    ps->stack = ph_arena_array(arena, ps->lim.depth + 1, sizeof *ps->stack);
    if (!ps->m || !ps->stack)
        return -PH_ENOMEM;
    ps->last_defect = &ps->m->defects;
    return 0;
}

int ph__parser_begin(struct ph_mime_parser *ps)
{
    int rc = open_part(ps, NULL, 1);
    ps->m->root = ps->cur;
    return rc;
}

int ph__parser_end(struct ph_mime_parser *ps, struct ph_message **ret)
{
    if (ps->open_count)
        ph__defect(ps, PH_DEFECT_BOUNDARY_NO_END, ph__offset(ps, ps->end));
    close_parts(ps, NULL, ps->end, ps->lines);
    pop_to(ps, 0);
    if (!ps->no_defects)
        ph__odd_end(ps);
    *ret = ps->m;
    return 0;
}

/* ---- the whole message at once ---- */

int ph__mime_parse(struct ph_arena *arena, ph_str bytes, const struct ph_mime_limits *limits,
                   unsigned flags, struct ph_message **ret)
{
    if (!bytes.p)
        bytes.p = "";
    struct ph_mime_parser ps = {.begin = bytes.p,
                                .at = bytes.p,
                                .end = bytes.p + bytes.n,
                                .is_last = true,
                                .no_defects = flags & PH__NO_DEFECTS};
    if (ph__parser_init(&ps, arena, limits) || ph__parser_begin(&ps) || ph__parser_run(&ps))
        return -PH_ENOMEM;
    ps.m->bytes = bytes;
    if (!ps.no_defects)
        ph__odd_feed(&ps.odd, bytes);
    return ph__parser_end(&ps, ret);
}

int ph_mime_parse(struct ph_arena *arena, ph_str bytes, const struct ph_mime_limits *limits,
                  struct ph_message **ret_message)
{
    return ph__mime_parse(arena, bytes, limits, 0, ret_message);
}
