/* Attachments and their names. */
#include <string.h>

#include "ascii.h"
#include "hash.h"
#include "mime_int.h"
#include "utf8.h"
#include "view.h"

enum { NAME_MOST = 200, STEM_MOST = 180 };

/* Controls, path and shell separators, what turns the direction of writing, what is invisible. */
static bool is_unsafe(uint32_t c)
{
    static const struct {
        uint32_t from, to;
    } ranges[] = {
        {0x00, 0x1f},     {0x7f, 0xa0},       {0xad, 0xad},     {0x34f, 0x34f},   {0x61c, 0x61c},
        {0x115f, 0x1160}, {0x17b4, 0x17b5},   {0x180b, 0x180f}, {0x200b, 0x200f}, {0x2028, 0x202f},
        {0x2060, 0x206f}, {0x3164, 0x3164},   {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0},
        {0xfff0, 0xffff}, {0xe0000, 0xe0fff},
    };
    if (c < 0x80 && c >= 0x20 && c != 0x7f)
        return strchr("/\\:*?\"<>|", (int)c) != NULL;
    size_t low = 0, high = sizeof ranges / sizeof ranges[0];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > ranges[middle].to)
            low = middle + 1;
        else
            high = middle;
    }
    return low < sizeof ranges / sizeof ranges[0] && c >= ranges[low].from;
}

/* CON, NUL, COM1 and so on open a device on Windows, with whatever extension. */
static bool is_reserved(ph_str name)
{
    static const ph_str devices[] = {PH_STR_INIT("con"), PH_STR_INIT("prn"), PH_STR_INIT("aux"),
                                     PH_STR_INIT("nul"), PH_STR_INIT("com"), PH_STR_INIT("lpt")};
    enum { NUMBERED = 4 }; /* from here on a digit follows */
    size_t dot = ph_str_chr(name, '.');
    ph_str stem = ph_str_trim((ph_str){name.p, dot == PH_NPOS ? name.n : dot});
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        size_t digits = i >= NUMBERED;
        if (stem.n == 3 + digits && ph_str_has_iprefix(stem, devices[i]) &&
            (!digits || ph_is_digit(stem.p[3])))
            return true;
    }
    return false;
}

/* Appends `s` made harmless, whole characters and at most `most` bytes. */
static void add_harmless(struct ph_buf *out, ph_str s, size_t most)
{
    size_t from = out->n;
    for (size_t len; s.n && out->n - from < most; s = ph_str_skip(s, len)) {
        len = ph_utf8_step(s);
        if (len == 0 || is_unsafe(ph_utf8_point(s.p, len))) {
            len = len ? len : 1;
            ph_buf_addc(out, '_');
        } else if (out->n - from + len <= most) {
            ph_buf_add(out, (ph_str){s.p, len});
        } else {
            break;
        }
    }
}

static size_t stem_length(ph_str name)
{
    enum { EXTENSION_MOST = 16 };
    size_t dot = ph_str_rchr(name, '.');
    return dot == PH_NPOS || dot == 0 || name.n - dot > EXTENSION_MOST ? name.n : dot;
}

/* The last component of what claims to be a file name, made harmless; its extension is kept. */
static void add_safe(struct ph_buf *out, ph_str name)
{
    size_t slash = ph_str_rchr(name, '/'), back = ph_str_rchr(name, '\\');
    if (slash != PH_NPOS)
        name = ph_str_skip(name, slash + 1);
    else if (back != PH_NPOS)
        name = ph_str_skip(name, back + 1);
    while (name.n && (name.p[0] == '.' || (uint8_t)name.p[0] <= ' '))
        name = ph_str_skip(name, 1);
    while (name.n && (name.p[name.n - 1] == '.' || (uint8_t)name.p[name.n - 1] <= ' '))
        name.n--;
    size_t stem = stem_length(name);
    if (is_reserved(name))
        ph_buf_addc(out, '_');
    add_harmless(out, (ph_str){name.p, stem}, STEM_MOST - (name.n - stem));
    while (stem < name.n && out->n && (out->p[out->n - 1] == ' ' || out->p[out->n - 1] == '.'))
        out->n--;
    add_harmless(out, ph_str_skip(name, stem), NAME_MOST);
}

/* A name for what has none, by its type. */
static void add_default(struct ph_buf *out, const struct ph_part *p)
{
    static const char *const rows[][3] = {
        {"text", "plain", ".txt"}, {"text", "html", ".html"},    {"image", "jpeg", ".jpg"},
        {"image", "png", ".png"},  {"image", "gif", ".gif"},     {"application", "pdf", ".pdf"},
        {"message", NULL, ".eml"}, {"text", "calendar", ".ics"},
    };
    ph_buf_add(out, p->kind == PH_PART_MESSAGE ? PH_STR("message") : PH_STR("part"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (ph_part_is(p, rows[i][0], rows[i][1])) {
            ph_buf_add(out, ph_str_c(rows[i][2]));
            return;
        }
    ph_buf_add(out, PH_STR(".bin"));
}

/* The names given out, as hashes in an open table of a power of two. Two names of one hash only
 * cost one of them a number it did not need. */
struct names {
    uint64_t *slots;
    size_t mask;
};

static bool is_new(struct names *t, ph_str name)
{
    uint64_t h = ph_hash_fixed_nocase(name);
    h += h == 0;
    for (size_t i = h & t->mask;; i = (i + 1) & t->mask) {
        if (t->slots[i] == h)
            return false;
        if (t->slots[i] == 0) {
            t->slots[i] = h;
            return true;
        }
    }
}

/* "name.txt", then with the position among the attachments: "name-7.txt". */
static int unique(struct ph_arena *arena, struct names *t, ph_str name, size_t position,
                  ph_str *ret)
{
    size_t dot = stem_length(name);
    ph_str made = ph_arena_copy(arena, name);
    for (size_t n = position; made.p && !is_new(t, made); n += 100003)
        made = ph_arena_printf(arena, "%.*s-%zu%.*s", (int)dot, name.p, n,
                               PH_FMT(ph_str_skip(name, dot)));
    *ret = made;
    return made.p ? 0 : -PH_ENOMEM;
}

static int name_one(struct ph_arena *arena, struct names *t, struct ph_attachment *a, size_t nth)
{
    ph_str given;
    struct ph_buf safe;
    ph_buf_init(&safe, NULL, NAME_MOST);
    int rc = ph_param_get(arena, a->part->disposition_params, PH_STR("filename"), &given);
    if (rc == 0 && given.n == 0)
        rc = ph_param_get(arena, a->part->params, PH_STR("name"), &given);
    if (rc == 0) {
        add_safe(&safe, given);
        if (safe.n == 0)
            add_default(&safe, a->part);
        rc = ph_buf_err(&safe);
    }
    if (rc == 0)
        rc = unique(arena, t, ph_buf_str(&safe), nth, &a->name);
    ph_buf_done(&safe);
    return rc;
}

static bool is_inline(const struct ph_part *p)
{
    bool related = p->parent && ph_part_is(p->parent, "multipart", "related");
    return ph_str_ieq(p->disposition, PH_STR("inline")) ||
           (related && !ph_str_ieq(p->disposition, PH_STR("attachment")));
}

/* ---- the list ---- */

struct list {
    struct ph_arena *arena;
    struct ph_attachment *first, **last;
    size_t count;
};

static int add(struct list *l, const struct ph_part *p)
{
    struct ph_attachment *a = PH_ARENA_NEW(l->arena, struct ph_attachment);
    if (!a)
        return -PH_ENOMEM;
    *a = (struct ph_attachment){.part = p, .is_inline = is_inline(p)};
    *l->last = a;
    l->last = &a->next;
    l->count++;
    return 0;
}

/* Files inside the text of `p`: each becomes a part that is in no tree. */
static int add_uuencoded(struct list *l, const struct ph_message *m, const struct ph_part *p)
{
    struct ph__uu uu;
    ph_str body = ph_part_body(m, p);
    for (size_t at = 0; ph__uu_next(body, &at, &uu);) {
        struct ph_part *file = PH_ARENA_NEW(l->arena, struct ph_part);
        struct ph_param *name = PH_ARENA_NEW(l->arena, struct ph_param);
        if (!file || !name)
            return -PH_ENOMEM;
        *name = (struct ph_param){.name = PH_STR("filename"), .value = uu.name};
        *file = (struct ph_part){.kind = PH_PART_LEAF,
                                 .encoding = PH_ENC_UUENCODE,
                                 .encoding_name = PH_STR("x-uuencode"),
                                 .header = {p->body.at + uu.at, 0},
                                 .body = {p->body.at + uu.at, uu.n},
                                 .head = PH_STR(""),
                                 .type = PH_STR("application"),
                                 .subtype = PH_STR("octet-stream"),
                                 .disposition = PH_STR("attachment"),
                                 .disposition_params = name};
        file->lines = ph__count_lines(body.p + uu.at, body.p + uu.at + uu.n);
        if (add(l, file))
            return -PH_ENOMEM;
    }
    return 0;
}

static int name_all(struct list *l)
{
    size_t slots = 16, nth = 0;
    while (slots < l->count * 2)
        slots *= 2;
    struct names t = {ph_arena_array(l->arena, slots, sizeof *t.slots), slots - 1};
    int rc = t.slots ? 0 : -PH_ENOMEM;
    for (struct ph_attachment *a = l->first; a && rc == 0; a = a->next)
        rc = name_one(l->arena, &t, a, ++nth);
    return rc;
}

int ph_message_attachments(struct ph_arena *arena, const struct ph_message *m,
                           struct ph_attachment **ret_list)
{
    struct list l = {.arena = arena, .last = &l.first};
    int rc = 0;
    for (const struct ph_part *p = m->root; p && rc == 0; p = ph__next_outside(p)) {
        bool plain = p->encoding == PH_ENC_7BIT || p->encoding == PH_ENC_8BIT ||
                     p->encoding == PH_ENC_BINARY;
        if (ph__is_attachment(p))
            rc = add(&l, p);
        else if (plain && p->kind == PH_PART_LEAF && ph_part_is(p, "text", NULL))
            rc = add_uuencoded(&l, m, p);
    }
    if (rc == 0)
        rc = name_all(&l);
    if (rc)
        return rc;
    *ret_list = l.first;
    return l.count > INT32_MAX ? INT32_MAX : (int)l.count;
}
