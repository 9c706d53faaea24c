/*
 * The tree of a message. One pass over the bytes; the state is where in which entity we are:
 *
 *   HEADER --end of header--> LEAF      scan for a boundary of any multipart that is open
 *                         --> PREAMBLE  the entity is a multipart: push its boundary, scan
 *                         --> HEADER    the entity is a message: its child begins at once
 *   scan   --boundary-----> HEADER      of the next child; what was open inside is closed
 *          --closing------> EPILOGUE    of that multipart: pop it, scan
 *          --end----------> everything that is open is closed
 *
 * Each part is opened once and closed once, and each line that begins with "--" is compared with
 * the open boundaries only, whose number is limited; so the work is linear.
 */
#include <string.h>

#include "content.h"
#include "mime_int.h"
#include "utf8.h"

struct open {
    struct ph_part *part;
    struct ph_part **last; /* where its next child goes */
    ph_str boundary;
    uint32_t children;
    bool is_digest;
};

struct parser {
    struct ph_arena *arena;
    struct ph_message *m;
    const char *begin, *at, *end;
    uint64_t lines;      /* line feeds before `at` */
    struct ph_part *cur; /* deepest open part */
    struct ph_defect **last_defect;
    struct ph_mime_limits lim;
    struct open *stack;
    size_t open_count;
    bool no_defects;
};

/* ---- defects ---- */

static const struct {
    const char *name, *text;
    enum ph_defect_level level;
} defects[PH_DEFECT_COUNT] = {
#define ROW(sym, level, text) {#sym, text, PH_DEFECT_IS_##level},
    PH_DEFECTS(ROW)
#undef ROW
};

const char *ph_defect_name(enum ph_defect_kind kind)
{
    return kind < PH_DEFECT_COUNT ? defects[kind].name : "";
}

const char *ph_defect_text(enum ph_defect_kind kind)
{
    return kind < PH_DEFECT_COUNT ? defects[kind].text : "";
}

/* A defect that finds no memory is counted all the same. */
static void defect(struct parser *ps, enum ph_defect_kind kind, const char *at)
{
    if (ps->no_defects || ps->m->defect_count++ >= ps->lim.defects)
        return;
    struct ph_defect *d = PH_ARENA_NEW(ps->arena, struct ph_defect);
    if (!d)
        return;
    *d = (struct ph_defect){
        .kind = kind, .level = defects[kind].level, .at = (uint64_t)(at - ps->begin)};
    *ps->last_defect = d;
    ps->last_defect = &d->next;
}

/* ---- boundaries ---- */

/* A line from "--" on is a boundary if what follows is the boundary, perhaps "--", and nothing
 * but white space. The innermost that fits counts. Returns its index or -1. */
static int match(struct parser *ps, ph_str line, bool *ret_closing)
{
    ph_str text = {line.p + 2, line.n - 2};
    bool near_miss = false;
    while (text.n && ((uint8_t)text.p[text.n - 1] <= ' ' && text.p[text.n - 1]))
        text.n--;
    for (size_t i = ps->open_count; i > 0; i--) {
        ph_str b = ps->stack[i - 1].boundary;
        if (text.n < b.n || text.p[0] != b.p[0])
            continue;
        bool closing = text.n == b.n + 2 && text.p[b.n] == '-' && text.p[b.n + 1] == '-';
        if (memcmp(text.p, b.p, b.n) != 0)
            continue;
        if (closing || text.n == b.n) {
            *ret_closing = closing;
            return (int)i - 1;
        }
        near_miss = true;
    }
    if (near_miss)
        defect(ps, PH_DEFECT_BOUNDARY_PREFIX, line.p);
    return -1;
}

static ph_str line_at(const struct parser *ps, const char *p)
{
    return ph__line((ph_str){p, (size_t)(ps->end - p)});
}

static bool is_dashes(const struct parser *ps, const char *p)
{
    return ps->end - p > 2 && p[0] == '-' && p[1] == '-';
}

/* ---- opening and closing parts ---- */

static struct ph_part *new_part(struct parser *ps, struct ph_part *parent, uint32_t index)
{
    struct ph_part *p = PH_ARENA_NEW(ps->arena, struct ph_part);
    if (!p)
        return NULL;
    p->parent = parent;
    p->index = index;
    p->depth = parent ? parent->depth + 1 : 0;
    p->type = PH_STR("text");
    p->subtype = PH_STR("plain");
    p->encoding_name = PH_STR("7bit");
    p->header.at = (uint64_t)(ps->at - ps->begin);
    ps->m->part_count++;
    ps->cur = p;
    return p;
}

/* Ends every open part below `stop` at `end`, where `lines` line feeds have gone by. */
static void close_parts(struct parser *ps, const struct ph_part *stop, const char *end,
                        uint64_t lines)
{
    uint64_t at = (uint64_t)(end - ps->begin);
    for (; ps->cur && ps->cur != stop; ps->cur = ps->cur->parent) {
        struct ph_part *p = ps->cur;
        p->body.n = at > p->body.at ? at - p->body.at : 0;
        /* `lines` of an open part holds the line feeds before its body */
        p->lines = lines > p->lines ? lines - p->lines : 0;
        if (p->body.n && end[-1] != '\n')
            p->lines++;
        if (p->body.n == 0 && p->header.n <= 2 && p->parent)
            defect(ps, PH_DEFECT_PART_EMPTY, ps->begin + p->header.at);
    }
}

/* At a boundary line: the line break before it belongs to it (RFC 2046 5.1.1). */
static void close_at_boundary(struct parser *ps, const struct ph_part *stop, const char *line)
{
    const char *end = line;
    uint64_t lines = ps->lines;
    if (end > ps->begin && end[-1] == '\n') {
        end--;
        lines--;
        if (end > ps->begin && end[-1] == '\r')
            end--;
    }
    close_parts(ps, stop, end, lines);
}

/* ---- headers ---- */

static void content_defects(struct parser *ps, const struct ph__content *c, const char *at)
{
    static const struct {
        unsigned bit;
        enum ph_defect_kind kind;
    } rows[] = {
        {PH__FIELD_TWICE, PH_DEFECT_FIELD_TWICE},
        {PH__TYPE_SYNTAX, PH_DEFECT_TYPE_SYNTAX},
        {PH__PARAM_SYNTAX, PH_DEFECT_PARAM_SYNTAX},
        {PH__PARAM_TWICE, PH_DEFECT_PARAM_TWICE},
        {PH__ENCODING_UNKNOWN, PH_DEFECT_ENCODING_UNKNOWN},
    };
    for (size_t i = 0; c->defects && i < sizeof rows / sizeof rows[0]; i++)
        if (c->defects & rows[i].bit)
            defect(ps, rows[i].kind, at);
}

/* The folded lines behind a field, counted. */
static const char *skip_folds(struct parser *ps, const char *p)
{
    while (p < ps->end && (*p == ' ' || *p == '\t')) {
        ph_str line = line_at(ps, p);
        ps->lines += line.p[line.n - 1] == '\n';
        p += line.n;
    }
    return p;
}

/* A line that is no field: true when the header goes on behind it. */
static bool odd_line(struct parser *ps, enum ph__line kind, const struct ph_part *p, const char *at)
{
    bool at_top = at == ps->begin + p->header.at;
    if (kind == PH__LINE_FOLDED && at_top) {
        defect(ps, PH_DEFECT_HEADER_FIRST_FOLDED, at);
        return true;
    }
    if (kind == PH__LINE_MBOX && at_top) {
        defect(ps, PH_DEFECT_HEADER_MBOX_FROM, at);
        return true;
    }
    defect(ps, PH_DEFECT_HEADER_BAD_LINE, at);
    return false;
}

static int take_field(struct parser *ps, struct ph_part *p, struct ph__content *c, ph_str name,
                      const char *value)
{
    bool too_far = (uint64_t)(value - ps->begin) > p->header.at + ps->lim.header;
    if (name.n == 0 || (name.p[0] | 0x20) != 'c')
        return 0;
    ph_str raw = {value, (size_t)(ps->at - value)};
    if (!too_far)
        return ph__content_field(ps->arena, p, c, name, raw);
    defect(ps, PH_DEFECT_HEADER_LIMIT, value);
    return 0;
}

/* Reads the header of p at ps->at, sets its ranges, and leaves ps->at at the body. */
static int read_header(struct parser *ps, struct ph_part *p, struct ph__content *c)
{
    bool ended = false, closing;
    while (ps->at < ps->end && !ended) {
        size_t name, value;
        ph_str line = line_at(ps, ps->at);
        if (ps->open_count && is_dashes(ps, line.p) && match(ps, line, &closing) >= 0)
            break;
        enum ph__line kind = ph__line_kind(line, &name, &value);
        if (kind > PH__LINE_END || kind == PH__LINE_FOLDED)
            if (!odd_line(ps, kind, p, line.p))
                break;
        ps->lines += line.p[line.n - 1] == '\n';
        ps->at += line.n;
        ended = kind == PH__LINE_END;
        if (kind != PH__LINE_FIELD)
            continue;
        ps->at = skip_folds(ps, ps->at);
        if (line.p[name] != ':')
            defect(ps, PH_DEFECT_HEADER_SPACE_COLON, line.p);
        if (take_field(ps, p, c, (ph_str){line.p, name}, line.p + value))
            return -PH_ENOMEM;
    }
    if (!ended)
        defect(ps, PH_DEFECT_HEADER_NO_END, ps->at);
    p->header.n = (uint64_t)(ps->at - ps->begin) - p->header.at;
    p->body.at = p->header.at + p->header.n;
    p->lines = ps->lines;
    p->head = (ph_str){ps->begin + p->header.at, (size_t)p->header.n};
    return 0;
}

/* ---- what a header makes of its part ---- */

static bool is_reused(const struct parser *ps, ph_str boundary)
{
    for (size_t i = 0; i < ps->open_count; i++)
        if (ph_str_eq(ps->stack[i].boundary, boundary))
            return true;
    return false;
}

/* A multipart that can be taken apart is pushed. */
static void open_multipart(struct parser *ps, struct ph_part *p)
{
    ph_str boundary = ph__param_raw(p->params, PH_STR("boundary"));
    const char *at = ps->begin + p->header.at;
    while (boundary.n && (uint8_t)boundary.p[boundary.n - 1] <= ' ')
        boundary.n--;
    if (boundary.n == 0) {
        defect(ps, PH_DEFECT_BOUNDARY_MISSING, at);
        return;
    }
    if (p->depth >= ps->lim.depth) {
        defect(ps, PH_DEFECT_DEPTH_LIMIT, at);
        return;
    }
    if (p->encoding == PH_ENC_BASE64 || p->encoding == PH_ENC_QP)
        defect(ps, PH_DEFECT_ENCODING_COMPOSITE, at);
    if (is_reused(ps, boundary))
        defect(ps, PH_DEFECT_BOUNDARY_REUSED, at);
    ps->stack[ps->open_count++] =
        (struct open){.part = p,
                      .last = &p->child,
                      .boundary = boundary,
                      .is_digest = ph_str_ieq(p->subtype, PH_STR("digest"))};
}

/* A message inside: its child's header begins where this one's body does. */
static bool opens_message(struct parser *ps, const struct ph_part *p)
{
    const char *at = ps->begin + p->header.at;
    if (!ph_part_is(p, "message", "rfc822") && !ph_part_is(p, "message", "global"))
        return false;
    if (p->encoding == PH_ENC_BASE64 || p->encoding == PH_ENC_QP ||
        p->encoding == PH_ENC_UUENCODE) {
        defect(ps, PH_DEFECT_ENCODING_COMPOSITE, at);
        return false;
    }
    if (p->depth >= ps->lim.depth) {
        defect(ps, PH_DEFECT_DEPTH_LIMIT, at);
        return false;
    }
    if (ps->m->part_count >= ps->lim.parts) {
        defect(ps, PH_DEFECT_PARTS_LIMIT, at);
        return false;
    }
    return true;
}

/* One entity at ps->at, and the messages inside it down to one that is none. */
static int entity(struct parser *ps, struct ph_part *p, bool in_digest)
{
    for (;;) {
        struct ph__content c = {0};
        if (in_digest) {
            p->type = PH_STR("message");
            p->subtype = PH_STR("rfc822");
        }
        if (read_header(ps, p, &c))
            return -PH_ENOMEM;
        content_defects(ps, &c, ps->begin + p->header.at);
        if (ph_part_is(p, "multipart", NULL))
            open_multipart(ps, p);
        if (!opens_message(ps, p))
            return 0;
        p->kind = PH_PART_MESSAGE;
        p->child = new_part(ps, p, 1);
        if (!p->child)
            return -PH_ENOMEM;
        p = p->child;
        in_digest = false;
    }
}

/* ---- the loop ---- */

/* Moves ps->at to the next line that is a boundary; -1 at the end of the message. */
static int next_boundary(struct parser *ps, bool *ret_closing)
{
    if (ps->at < ps->end && is_dashes(ps, ps->at) && ps->open_count) {
        int i = match(ps, line_at(ps, ps->at), ret_closing);
        if (i >= 0)
            return i;
    }
    for (const char *hit; ps->open_count;) {
        hit = ph__find_dashes(ps->at, ps->end, &ps->lines);
        if (!hit)
            break;
        ps->at = hit + 1;
        int i = match(ps, line_at(ps, ps->at), ret_closing);
        if (i >= 0)
            return i;
    }
    if (!ps->open_count)
        while (ps->at < ps->end && (ps->at = ph__find_dashes(ps->at, ps->end, &ps->lines)))
            ps->at++;
    ps->at = ps->end;
    return -1;
}

static void pop_to(struct parser *ps, size_t count)
{
    while (ps->open_count > count) {
        const struct open *o = &ps->stack[--ps->open_count];
        const char *at = ps->begin + o->part->header.at;
        if (o->part->child)
            o->part->kind = PH_PART_MULTIPART;
        else
            defect(ps, PH_DEFECT_BOUNDARY_NONE_FOUND, at);
    }
}

static void skip_line(struct parser *ps)
{
    ph_str line = line_at(ps, ps->at);
    ps->lines += line.n && line.p[line.n - 1] == '\n';
    ps->at += line.n;
}

/* A boundary of the multipart at `level`: closes what is open inside and begins the next part.
 * Behind the closing boundary comes the epilogue, which ends with the multipart itself. */
static int at_boundary(struct parser *ps, size_t level, bool closing)
{
    struct open *o = &ps->stack[level];
    if (!closing && ps->m->part_count >= ps->lim.parts && o->part->child) {
        defect(ps, PH_DEFECT_PARTS_LIMIT, ps->at);
        skip_line(ps);
        return 0;
    }
    if (ps->open_count > level + 1)
        defect(ps, PH_DEFECT_BOUNDARY_NO_END, ps->at);
    close_at_boundary(ps, o->part, ps->at);
    pop_to(ps, level + 1);
    skip_line(ps);
    if (closing) {
        pop_to(ps, level);
        return 0;
    }
    struct ph_part *p = new_part(ps, o->part, ++o->children);
    if (!p)
        return -PH_ENOMEM;
    *o->last = p;
    o->last = &p->next;
    return entity(ps, p, o->is_digest);
}

static int parse_all(struct parser *ps)
{
    bool closing = false;
    ps->m->root = new_part(ps, NULL, 1);
    if (!ps->m->root || entity(ps, ps->m->root, false))
        return -PH_ENOMEM;
    for (int level; (level = next_boundary(ps, &closing)) >= 0;)
        if (at_boundary(ps, (size_t)level, closing))
            return -PH_ENOMEM;
    if (ps->open_count)
        defect(ps, PH_DEFECT_BOUNDARY_NO_END, ps->end);
    close_parts(ps, NULL, ps->end, ps->lines);
    pop_to(ps, 0);
    return 0;
}

/* ---- what is wrong in the bytes themselves ---- */

static void find_odd_bytes(struct parser *ps)
{
    struct ph__survey found = ph__survey_bytes(ps->m->bytes);
    ph_str head = ps->m->root->head;
    for (const char *p = ps->begin; p < ps->end && (found.bare_cr || found.bare_lf || found.nul);
         p++) {
        bool *flag = NULL;
        enum ph_defect_kind kind = PH_DEFECT_NUL;
        if (*p == '\n' && (p == ps->begin || p[-1] != '\r'))
            flag = &found.bare_lf, kind = PH_DEFECT_BARE_LF;
        else if (*p == '\r' && (p + 1 == ps->end || p[1] != '\n'))
            flag = &found.bare_cr, kind = PH_DEFECT_BARE_CR;
        else if (*p == 0)
            flag = &found.nul;
        if (flag && *flag) {
            defect(ps, kind, p);
            *flag = false;
        }
    }
    if (!ph_ascii_only(head)) {
        size_t valid = ph_utf8_valid(head);
        defect(ps, valid == head.n ? PH_DEFECT_HEADER_8BIT : PH_DEFECT_HEADER_8BIT_CHARSET,
               ps->begin + (valid == head.n ? 0 : valid));
    }
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

int ph__mime_parse(struct ph_arena *arena, ph_str bytes, const struct ph_mime_limits *limits,
                   unsigned flags, struct ph_message **ret)
{
    struct ph_message *m = PH_ARENA_NEW(arena, struct ph_message);
    if (!bytes.p)
        bytes.p = "";
    struct parser ps = {.arena = arena,
                        .m = m,
                        .begin = bytes.p,
                        .at = bytes.p,
                        .end = bytes.p + bytes.n,
                        .no_defects = flags & PH__NO_DEFECTS};
    set_limits(&ps.lim, limits);
    ps.stack = ph_arena_array(arena, ps.lim.depth + 1, sizeof *ps.stack);
    if (!m || !ps.stack)
        return -PH_ENOMEM;
    m->bytes = bytes;
    ps.last_defect = &m->defects;
    if (parse_all(&ps))
        return -PH_ENOMEM;
    if (!ps.no_defects)
        find_odd_bytes(&ps);
    *ret = m;
    return 0;
}

int ph_mime_parse(struct ph_arena *arena, ph_str bytes, const struct ph_mime_limits *limits,
                  struct ph_message **ret_message)
{
    return ph__mime_parse(arena, bytes, limits, 0, ret_message);
}
