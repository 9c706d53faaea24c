/*
 * mime_dump [-s] FILE... - what we see in a message, as JSON, one line a file: for comparing with
 * other programs. -s reads the tree from an encoded summary instead of the parse.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "summary.h"

enum { MEMORY = 512 * 1024 * 1024 };

/* Latin-1 to JSON, so that any bytes can be compared. */
static json_t *bytes_json(ph_str s)
{
    char *u = malloc(s.n * 2 + 1), *to = u;
    for (size_t i = 0; u && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x80) {
            *to++ = (char)(0xc0 | c >> 6);
            *to++ = (char)(0x80 | (c & 0x3f));
        } else {
            *to++ = (char)c;
        }
    }
    json_t *j = u ? json_stringn(u, (size_t)(to - u)) : NULL;
    free(u);
    return j;
}

static json_t *utf8_json(ph_str s)
{
    json_t *j = json_stringn(s.n ? s.p : "", s.n);
    return j ? j : json_string("(not UTF-8)");
}

static json_t *decoded(struct ph_arena *arena, const struct ph_param *list, ph_str name)
{
    ph_str value;
    if (ph_param_get(arena, list, name, &value) || !value.p)
        return json_null();
    return utf8_json(value);
}

static json_t *addresses_json(const struct ph_address *a)
{
    json_t *list = json_array();
    for (; a; a = a->next)
        json_array_append_new(list, json_pack("[i,o,o,o]", a->kind, bytes_json(a->name),
                                              bytes_json(a->local), bytes_json(a->host)));
    return list;
}

static json_t *envelope_json(struct ph_arena *arena, struct ph_part *p)
{
    struct ph_envelope *e = p->envelope;
    if (!e && ph_mime_envelope(arena, p, &e))
        return json_null();
    ph_str subject;
    if (ph_field_text(arena, e->subject, &subject))
        return json_null();
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "subject", utf8_json(subject), "from",
                     addresses_json(e->from), "to", addresses_json(e->to), "cc",
                     addresses_json(e->cc), "id", bytes_json(e->message_id), "date",
                     e->has_sent ? json_integer((json_int_t)e->sent.time) : json_null(), "zone",
                     json_integer(e->sent.zone));
}

static json_t *part_json(struct ph_arena *arena, struct ph_part *p)
{
    json_t *j =
        json_pack("{s:o,s:o,s:o,s:[I,I,I,I],s:I}", "type", bytes_json(p->type), "subtype",
                  bytes_json(p->subtype), "encoding", bytes_json(p->encoding_name), "ranges",
                  (json_int_t)p->header.at, (json_int_t)p->header.n, (json_int_t)p->body.at,
                  (json_int_t)p->body.n, "lines", (json_int_t)p->lines);
    json_object_set_new(j, "disposition", bytes_json(p->disposition));
    json_object_set_new(j, "filename", decoded(arena, p->disposition_params, PH_STR("filename")));
    json_object_set_new(j, "charset", decoded(arena, p->params, PH_STR("charset")));
    if (!p->parent || p->parent->kind == PH_PART_MESSAGE)
        json_object_set_new(j, "envelope", envelope_json(arena, p));
    if (p->child) {
        json_t *list = json_array();
        for (struct ph_part *c = p->child; c; c = c->next)
            json_array_append_new(list, part_json(arena, c));
        json_object_set_new(j, "parts", list);
    }
    return j;
}

static json_t *message_json(struct ph_arena *arena, ph_str bytes, bool from_summary)
{
    struct ph_buf encoded, text;
    struct ph_message *m;
    struct ph_summary *s;
    struct ph_attachment *files = NULL;
    json_t *j = NULL;
    ph_buf_init(&encoded, NULL, 1 << 30);
    ph_buf_init(&text, NULL, 1 << 30);
    if (from_summary) {
        if (ph_summary_make(bytes, &encoded) == 0 &&
            ph_summary_read(arena, ph_buf_str(&encoded), &s) == 0)
            j = json_pack("{s:o,s:o,s:b}", "root", part_json(arena, s->root), "preview",
                          utf8_json(s->preview), "partial", s->partial);
    } else if (ph_mime_parse(arena, bytes, NULL, &m) == 0) {
        json_t *defects = json_array(), *names = json_array();
        ph_mime_check(arena, m);
        for (const struct ph_defect *d = m->defects; d; d = d->next)
            json_array_append_new(defects,
                                  json_pack("[s,I,s]", ph_defect_name(d->kind), (json_int_t)d->at,
                                            d->level == PH_DEFECT_IS_RISK ? "RISK" : "NOTE"));
        if (ph_message_attachments(arena, m, &files) < 0 || ph_message_text(m, &text) < 0)
            fprintf(stderr, "mime_dump: out of memory\n");
        for (; files; files = files->next)
            json_array_append_new(names, utf8_json(files->name));
        j = json_pack("{s:o,s:o,s:o,s:o}", "root", part_json(arena, m->root), "defects", defects,
                      "attachments", names, "text", utf8_json(ph_buf_str(&text)));
    }
    ph_buf_done(&encoded);
    ph_buf_done(&text);
    return j;
}

static int dump(const char *path, bool from_summary)
{
    struct ph_buf bytes;
    FILE *f = fopen(path, "rb");
    char *room;
    if (!f) {
        perror(path);
        return 1;
    }
    ph_buf_init(&bytes, NULL, 1 << 30);
    while ((room = ph_buf_reserve(&bytes, 65536))) {
        size_t n = fread(room, 1, 65536, f);
        ph_buf_commit(&bytes, n);
        if (n == 0)
            break;
    }
    fclose(f);
    /* an exact copy, so that the sanitizer sees every read behind its end */
    char *exact = malloc(bytes.n ? bytes.n : 1);
    if (exact && bytes.n)
        memcpy(exact, bytes.p, bytes.n);
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    json_t *j = exact ? message_json(arena, (ph_str){exact, bytes.n}, from_summary) : NULL;
    int rc = j ? json_dumpf(j, stdout, JSON_COMPACT | JSON_SORT_KEYS) : 1;
    puts("");
    json_decref(j);
    ph_arena_free(arena);
    ph_buf_done(&bytes);
    free(exact);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = 0;
    bool from_summary = argc > 1 && strcmp(argv[1], "-s") == 0;
    for (int i = 1 + from_summary; i < argc; i++)
        rc |= dump(argv[i], from_summary) != 0;
    return rc;
}
