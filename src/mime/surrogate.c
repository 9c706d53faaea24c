/* surrogate.c - see surrogate.h. Field by field, with the writer of build_fold.c. */
#include "surrogate.h"
#include "build_int.h"
#include "mime_int.h"
#include "utf8.h"

enum { MEMORY = 16 * 1024 * 1024, HOST_MOST = 4096 };

bool ph_surrogate_needed(ph_str head)
{
    return !ph_ascii_only(head) && ph_utf8_is_valid(head);
}

/* ---- kinds of fields --------------------------------------------------------------------- */

enum kind { TEXT, ADDRESSES, PARAMS, DROPPED };

static enum kind kind_of(ph_str name)
{
    static const struct {
        const char *name;
        enum kind kind;
    } rows[] = {
        {"From", ADDRESSES},
        {"Sender", ADDRESSES},
        {"Reply-To", ADDRESSES},
        {"To", ADDRESSES},
        {"Cc", ADDRESSES},
        {"Bcc", ADDRESSES},
        {"Resent-From", ADDRESSES},
        {"Resent-Sender", ADDRESSES},
        {"Resent-To", ADDRESSES},
        {"Resent-Cc", ADDRESSES},
        {"Resent-Bcc", ADDRESSES},
        {"Disposition-Notification-To", ADDRESSES},
        {"Content-Type", PARAMS},
        {"Content-Disposition", PARAMS},
        {"Return-Path", DROPPED},
        {"Received", DROPPED},
        {"Date", DROPPED},
        {"Message-ID", DROPPED},
        {"In-Reply-To", DROPPED},
        {"References", DROPPED},
        {"Resent-Date", DROPPED},
        {"Resent-Message-ID", DROPPED},
        {"MIME-Version", DROPPED},
        {"Content-ID", DROPPED},
        {"Content-Transfer-Encoding", DROPPED},
        {"DKIM-Signature", DROPPED},
        {"Authentication-Results", DROPPED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (ph_str_ieq(name, ph_str_c(rows[i].name)))
            return rows[i].kind;
    return TEXT;
}

/* ---- addresses --------------------------------------------------------------------------- */

/* A mailbox that ASCII can say, or a group with its name and nobody in it (RFC 6854). */
static int add_mailbox(struct ph_arena *arena, const struct ph_address *a, struct ph_address ***end)
{
    struct ph_buf name, host;
    ph_buf_init(&name, NULL, MEMORY);
    ph_buf_init(&host, NULL, HOST_MOST);
    bool fits =
        ph_ascii_only(a->local) && (ph_ascii_only(a->host) || ph_host_ascii(a->host, &host) == 0);
    struct ph_address *out = ph_arena_array(arena, 2, sizeof *out);
    int r = !out ? -PH_ENOMEM : 0;
    if (r == 0 && !fits)
        r = ph_address_text(a, &name) < 0 ? -PH_ENOMEM : 0;
    if (r == 0) {
        out[0] = *a;
        out[0].kind = fits ? PH_ADDRESS_MAILBOX : PH_ADDRESS_GROUP;
        out[0].next = fits ? NULL : &out[1];
        out[1] = (struct ph_address){.kind = PH_ADDRESS_GROUP_END};
        r = fits ? ph_field_text(arena, a->name, &out[0].name) : 0;
        if (!fits)
            out[0].name = ph_arena_copy(arena, ph_buf_str(&name));
        **end = out;
        *end = fits ? &out[0].next : &out[1].next;
    }
    ph_buf_done(&name);
    ph_buf_done(&host);
    return r == 0 && !fits && !out[0].name.p ? -PH_ENOMEM : r;
}

static int put_addresses(struct ph_arena *arena, struct ph__fold *f, ph_str value)
{
    struct ph_address *list, *first = NULL, **end = &first;
    int r = ph_address_parse(arena, value, &list);
    for (; r >= 0 && list; list = list->next) /* groups are opened: they cannot hold groups */
        r = list->kind == PH_ADDRESS_MAILBOX ? add_mailbox(arena, list, &end) : 0;
    if (r >= 0)
        ph__fold_addresses(f, first);
    return r < 0 ? r : 0;
}

/* ---- parameters -------------------------------------------------------------------------- */

/* "text/plain; name=...": what is before the first semicolon, and each parameter decoded. */
static int put_params(struct ph_arena *arena, struct ph__fold *f, ph_str value)
{
    struct ph__params list = {0};
    int r = ph_field_unfold(arena, value, &value);
    if (r < 0)
        return r;
    size_t semicolon = ph_str_chr(value, ';');
    ph_str first = ph_str_trim(ph_str_sub(value, 0, semicolon == PH_NPOS ? value.n : semicolon));
    ph_str text, last = {0};
    if (!ph_ascii_only(first))
        first = PH_STR("application/octet-stream");
    ph__fold_piece(f, first);
    if (semicolon != PH_NPOS)
        r = ph__params_parse(arena, ph_str_skip(value, semicolon), &list);
    for (const struct ph_param *p = list.first; r >= 0 && p; p = p->next) {
        size_t star = ph_str_chr(p->name, '*');
        ph_str name = ph_str_sub(p->name, 0, star == PH_NPOS ? p->name.n : star);
        if (ph_str_ieq(name, last) || !ph_ascii_only(name)) /* a further piece of the same */
            continue;
        last = name;
        r = ph_param_get(arena, list.first, name, &text);
        if (r >= 0)
            ph__fold_param(f, name, text);
    }
    return r < 0 ? r : 0;
}

/* ---- the header -------------------------------------------------------------------------- */

static int put_field(struct ph_arena *arena, struct ph__fold *f, const struct ph_field *field)
{
    enum kind kind = kind_of(field->name);
    ph_str text;
    int r = 0;
    if (ph_ascii_only(field->all)) {
        ph_buf_add(f->out, field->all);
        return 0;
    }
    if (kind == DROPPED || !ph_ascii_only(field->name))
        return 0;
    ph__fold_begin(f, field->name);
    if (kind == ADDRESSES)
        r = put_addresses(arena, f, field->value);
    else if (kind == PARAMS)
        r = put_params(arena, f, field->value);
    else if ((r = ph_field_text(arena, field->value, &text)) >= 0)
        ph__fold_text(f, text);
    ph__fold_end(f);
    return r;
}

int ph_surrogate_head(ph_str head, struct ph_buf *out)
{
    struct ph_arena *arena = ph_arena_new(NULL, MEMORY);
    struct ph__fold f = {.out = out};
    struct ph_field field;
    int r = arena ? 0 : -PH_ENOMEM;
    while (r >= 0 && ph_field_next(&head, &field))
        r = put_field(arena, &f, &field);
    ph_buf_add(out, PH_STR("\r\n"));
    ph_arena_free(arena);
    return r < 0 ? r : ph_buf_err(out);
}
