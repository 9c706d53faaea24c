/*
 * mime_values FILE... - every structured header field of a message and its parts as we read it,
 * as JSON, one line a file: for comparing with other programs. Parts come in document order.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include <posthouse/mime.h>

enum { MEMORY = 512 * 1024 * 1024 };

static struct ph_arena *arena;
static ph_str charset; /* of the message at hand */

static json_t *str_json(ph_str s)
{
    if (!s.p)
        return json_null();
    json_t *j = json_stringn(s.p, s.n);
    return j ? j : json_string("(not UTF-8)");
}

static json_t *text_json(ph_str raw)
{
    ph_str text = raw;
    return raw.p && ph_field_text_in(arena, raw, charset, &text) ? json_null() : str_json(text);
}

/* As it stands, encoded words left alone. */
static json_t *plain_json(ph_str raw)
{
    struct ph_buf b;
    ph_buf_init(&b, NULL, MEMORY);
    json_t *j = raw.p && ph_charset_decode(PH_STR("us-ascii"), raw, &b) >= 0
                    ? str_json(b.n ? ph_buf_str(&b) : PH_STR(""))
                    : json_null();
    ph_buf_done(&b);
    return j;
}

/* [group, name, local part, host] for each mailbox; [group] for a group without any. */
static json_t *on_addresses(ph_str raw)
{
    json_t *all = json_array(), *group = json_null();
    struct ph_address *a = NULL;
    bool empty = false;
    if (ph_address_parse(arena, raw, &a) < 0)
        return all;
    for (; a; a = a->next) {
        if (a->kind == PH_ADDRESS_GROUP) {
            group = text_json(a->name);
        } else if (a->kind == PH_ADDRESS_GROUP_END) {
            if (empty)
                json_array_append_new(all, json_pack("[O]", group));
            json_decref(group);
            group = json_null();
        } else {
            json_array_append_new(all, json_pack("[O,o,o,o]", group, text_json(a->name),
                                                 plain_json(a->local), plain_json(a->host)));
        }
        empty = a->kind == PH_ADDRESS_GROUP;
    }
    json_decref(group);
    return all;
}

static json_t *on_date(ph_str raw)
{
    struct ph_date d;
    if (ph_date_parse(raw, &d))
        return json_null();
    return json_pack("[I,i,i]", (json_int_t)d.time, d.zone, d.flags);
}

static json_t *on_ids(ph_str raw)
{
    json_t *all = json_array();
    ph_str value, id;
    if (ph_field_unfold(arena, raw, &value))
        return all;
    while (ph_id_next(&value, &id))
        json_array_append_new(all, plain_json(id));
    return all;
}

static json_t *on_text(ph_str raw)
{
    return text_json(raw.p ? raw : PH_STR(""));
}

static json_t *on_version(ph_str raw)
{
    unsigned major, minor;
    return ph_mime_version(raw, &major, &minor) ? json_null() : json_pack("[i,i]", major, minor);
}

static json_t *fields_json(ph_str head)
{
    static const struct {
        ph_str name;
        json_t *(*read)(ph_str raw);
    } rows[] = {
        {PH_STR_INIT("From"), on_addresses},        {PH_STR_INIT("To"), on_addresses},
        {PH_STR_INIT("Cc"), on_addresses},          {PH_STR_INIT("Bcc"), on_addresses},
        {PH_STR_INIT("Sender"), on_addresses},      {PH_STR_INIT("Reply-To"), on_addresses},
        {PH_STR_INIT("Resent-From"), on_addresses}, {PH_STR_INIT("Resent-To"), on_addresses},
        {PH_STR_INIT("Resent-Date"), on_date},      {PH_STR_INIT("Date"), on_date},
        {PH_STR_INIT("Message-ID"), on_ids},        {PH_STR_INIT("In-Reply-To"), on_ids},
        {PH_STR_INIT("References"), on_ids},        {PH_STR_INIT("Subject"), on_text},
        {PH_STR_INIT("MIME-Version"), on_version},
    };
    json_t *all = json_array();
    struct ph_field f;
    while (ph_field_next(&head, &f))
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            if (ph_str_ieq(f.name, rows[i].name))
                json_array_append_new(all,
                                      json_pack("[s,o,o]", rows[i].name.p, rows[i].read(f.value),
                                                plain_json(f.value.n ? f.value : PH_STR(""))));
    return all;
}

/* Every parameter by its name without the marks of RFC 2231, decoded. */
static json_t *params_json(const struct ph_param *list)
{
    json_t *all = json_object();
    for (const struct ph_param *p = list; p; p = p->next) {
        size_t star = ph_str_chr(p->name, '*');
        ph_str name = ph_str_sub(p->name, 0, star), value;
        struct ph_buf key;
        ph_buf_init(&key, NULL, MEMORY);
        for (size_t i = 0; i < name.n; i++)
            ph_buf_addc(&key,
                        (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + 32 : name.p[i]));
        if (ph_param_get(arena, list, name, &value) == 0)
            json_object_set_new(all, ph_buf_cstr(&key), str_json(value.p ? value : PH_STR("")));
        ph_buf_done(&key);
    }
    return all;
}

static json_t *part_json(const struct ph_part *p)
{
    static const char *const kinds[] = {"leaf", "multipart", "message"};
    struct ph_field type = {0}, disposition = {0};
    bool typed = ph_field_find(p->head, PH_STR("Content-Type"), 0, &type);
    bool disposed = ph_field_find(p->head, PH_STR("Content-Disposition"), 0, &disposition);
    return json_pack("{s:s,s:i,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "kind", kinds[p->kind], "depth",
                     (int)p->depth, "type", plain_json(p->type), "subtype", plain_json(p->subtype),
                     "params", params_json(p->params), "disposition", plain_json(p->disposition),
                     "disposition_params", params_json(p->disposition_params), "fields",
                     fields_json(p->head), "raw_type", typed ? plain_json(type.value) : json_null(),
                     "raw_disposition", disposed ? plain_json(disposition.value) : json_null());
}

static int dump(const char *path)
{
    struct ph_buf bytes;
    struct ph_message *m;
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
    arena = ph_arena_new(NULL, MEMORY);
    json_t *parts = json_array();
    int rc = ph_mime_parse(arena, ph_buf_str(&bytes), NULL, &m);
    charset = rc ? (ph_str){0} : ph_message_charset(m);
    for (const struct ph_part *p = rc ? NULL : m->root; p; p = ph_part_next(p))
        json_array_append_new(parts, part_json(p));
    rc |= json_dumpf(parts, stdout, JSON_COMPACT);
    puts("");
    json_decref(parts);
    arena = ph_arena_free(arena);
    ph_buf_done(&bytes);
    return rc;
}

int main(int argc, char **argv)
{
    int rc = 0;
    for (int i = 1; i < argc; i++)
        rc |= dump(argv[i]) != 0;
    return rc;
}
