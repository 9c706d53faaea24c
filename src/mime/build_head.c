/* Header fields of a message that is being built. */
#include <string.h>

#include "build_int.h"
#include "utf8.h"

enum { NAME_MOST = 76, RUN_MOST = 900, LOCAL_MOST = 256, HOST_MOST = 255 };

static const struct {
    ph_str name;
    unsigned is;
} kinds[] = {
    {PH_STR_INIT("From"), PH__IS_ADDRESSES},
    {PH_STR_INIT("Sender"), PH__IS_ADDRESSES},
    {PH_STR_INIT("Reply-To"), PH__IS_ADDRESSES},
    {PH_STR_INIT("To"), PH__IS_ADDRESSES | PH__IS_DESTINATION},
    {PH_STR_INIT("Cc"), PH__IS_ADDRESSES | PH__IS_DESTINATION},
    {PH_STR_INIT("Bcc"), PH__IS_ADDRESSES | PH__IS_DESTINATION | PH__IS_HIDDEN},
    {PH_STR_INIT("Resent-From"), PH__IS_ADDRESSES},
    {PH_STR_INIT("Resent-Sender"), PH__IS_ADDRESSES},
    {PH_STR_INIT("Resent-To"), PH__IS_ADDRESSES},
    {PH_STR_INIT("Resent-Cc"), PH__IS_ADDRESSES},
    {PH_STR_INIT("Resent-Bcc"), PH__IS_ADDRESSES | PH__IS_HIDDEN},
    {PH_STR_INIT("Mail-Followup-To"), PH__IS_ADDRESSES},
    {PH_STR_INIT("Mail-Reply-To"), PH__IS_ADDRESSES},
    {PH_STR_INIT("Disposition-Notification-To"), PH__IS_ADDRESSES},
    {PH_STR_INIT("Subject"), PH__IS_ONCE},
    {PH_STR_INIT("Message-ID"), PH__IS_ASCII | PH__IS_ONCE},
    {PH_STR_INIT("In-Reply-To"), PH__IS_ASCII | PH__IS_ONCE},
    {PH_STR_INIT("References"), PH__IS_ASCII | PH__IS_ONCE},
    {PH_STR_INIT("Date"), PH__IS_ASCII | PH__IS_ONCE},
    {PH_STR_INIT("Resent-Date"), PH__IS_ASCII},
    {PH_STR_INIT("Resent-Message-ID"), PH__IS_ASCII},
    {PH_STR_INIT("List-"), PH__IS_ASCII | PH__IS_PREFIX},
    {PH_STR_INIT("MIME-Version"), PH__IS_REFUSED},
    {PH_STR_INIT("Content-Transfer-Encoding"), PH__IS_REFUSED},
    {PH_STR_INIT("Content-Type"), PH__IS_CONTENT},
    {PH_STR_INIT("Content-Disposition"), PH__IS_CONTENT},
    {PH_STR_INIT("Content-ID"), PH__IS_CONTENT},
};

static unsigned kind_of(ph_str name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].is & PH__IS_PREFIX ? ph_str_has_iprefix(name, kinds[i].name)
                                        : ph_str_ieq(name, kinds[i].name))
            return kinds[i].is;
    return 0;
}

bool ph__is_mime_field(ph_str name)
{
    return kind_of(name) & (PH__IS_REFUSED | PH__IS_CONTENT);
}

static bool is_field_name(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 33 || s.p[i] > 126 || s.p[i] == ':')
            return false;
    return s.n > 0 && s.n <= NAME_MOST;
}

bool ph__is_one_line(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == 0)
            return false;
    return true;
}

bool ph__is_printable(ph_str s)
{
    size_t run = 0;
    for (size_t i = 0; i < s.n; i++) {
        if ((s.p[i] < 32 && s.p[i] != '\t') || s.p[i] > 126)
            return false;
        run = s.p[i] == ' ' || s.p[i] == '\t' ? 0 : run + 1;
        if (run > RUN_MOST)
            return false;
    }
    return true;
}

int ph__refuse(struct ph_error *reterr, ph_str name, const char *why)
{
    return ph_fail(reterr, PH_EINVAL, 0, "%.*s: %s", PH_FMT(ph_str_sub(name, 0, NAME_MOST)), why);
}

struct ph__field *ph__email_find(const struct ph_email *e, ph_str name)
{
    struct ph__field *f = e->fields;
    while (f && !ph_str_ieq(f->name, name))
        f = f->next;
    return f;
}

static int check_value(const struct ph_email *e, ph_str name, unsigned is, ph_str value,
                       struct ph_error *reterr)
{
    if (!is_field_name(name))
        return ph_fail(reterr, PH_EINVAL, 0, "not a field name: letters, digits and - only");
    if (is & PH__IS_REFUSED)
        return ph__refuse(reterr, name, "follows from the content and cannot be set");
    if (!ph__is_one_line(value))
        return ph__refuse(reterr, name, "a line break or NUL in the value");
    if (!ph_utf8_is_valid(value))
        return ph__refuse(reterr, name, "the value is not UTF-8");
    if ((is & PH__IS_ASCII) && !ph__is_printable(value))
        return ph__refuse(reterr, name, "only ASCII is allowed here");
    if (value.n > PH_EMAIL_VALUE || e->field_count >= PH_EMAIL_FIELDS)
        return ph_fail(reterr, PH_ELIMIT, 0, "too many fields, or a value that is too long");
    return 0;
}

/* Addresses are read leniently elsewhere; what is written must be right. */
static int check_host(ph_str field, ph_str host, struct ph_error *reterr)
{
    for (size_t i = 0; i < host.n; i++)
        if ((unsigned char)host.p[i] <= ' ' || (host.p[i] && strchr("<>()\",;\\", host.p[i])))
            return ph__refuse(reterr, field, "not a domain name");
    if (ph_ascii_only(host))
        return 0;
    struct ph_buf ascii;
    ph_buf_init(&ascii, NULL, 4096);
    int rc = ph_host_ascii(host, &ascii);
    ph_buf_done(&ascii);
    return rc == -PH_EINVAL ? ph__refuse(reterr, field, "not a domain name") : rc;
}

static int check_address(ph_str field, const struct ph_address *a, struct ph_error *reterr)
{
    if (a->kind != PH_ADDRESS_MAILBOX)
        return 0;
    if (a->local.n == 0 || a->host.n == 0)
        return ph_fail(reterr, PH_EINVAL, 0, "%.*s: \"%.*s\" is not an address (name@domain)",
                       PH_FMT(field), PH_FMT(ph_str_sub(a->local, 0, 80)));
    if (a->local.n > LOCAL_MOST || a->host.n > HOST_MOST)
        return ph__refuse(reterr, field, "an address is too long");
    for (size_t i = 0; i < a->local.n; i++)
        if ((unsigned char)a->local.p[i] < ' ' || a->local.p[i] == 127)
            return ph__refuse(reterr, field, "a control character in an address");
    return check_host(field, a->host, reterr);
}

static int read_addresses(struct ph_arena *arena, ph_str name, ph_str value,
                          struct ph_address **ret, struct ph_error *reterr)
{
    struct ph_address *list;
    int rc = ph_address_parse(arena, value, &list);
    if (rc < 0)
        return rc;
    if (!list)
        return ph__refuse(reterr, name, "no address");
    for (struct ph_address *a = list; a; a = a->next)
        if ((rc = check_address(name, a, reterr)))
            return rc;
    *ret = list;
    return 0;
}

/* A field that is ready, not yet among those of the message. */
static int make_field(struct ph_email *e, ph_str name, ph_str value, struct ph__field **ret,
                      struct ph_error *reterr)
{
    unsigned is = kind_of(name);
    int rc = check_value(e, name, is, value, reterr);
    if (rc)
        return rc;
    struct ph__field *f = PH_ARENA_NEW(e->arena, struct ph__field);
    if (!f)
        return -PH_ENOMEM;
    f->is = is;
    f->name = ph_arena_copy(e->arena, name);
    f->value = ph_arena_copy(e->arena, is & PH__IS_ASCII ? ph_str_trim(value) : value);
    if (!f->name.p || !f->value.p)
        return -PH_ENOMEM;
    if ((is & PH__IS_ADDRESSES) &&
        (rc = read_addresses(e->arena, name, f->value, &f->list, reterr)))
        return rc;
    *ret = f;
    return 0;
}

static void append(struct ph_email *e, struct ph__field *f)
{
    struct ph__field **last = &e->fields;
    while (*last)
        last = &(*last)->next;
    *last = f;
    e->field_count++;
    e->recipients_known = false;
}

/* Address fields may be there once (RFC 5322 3.6): more addresses join the first field. */
static int join(struct ph_email *e, struct ph__field *first, const struct ph__field *more)
{
    struct ph_address **last = &first->list;
    ph_str both =
        ph_arena_printf(e->arena, "%.*s, %.*s", PH_FMT(first->value), PH_FMT(more->value));
    if (!both.p)
        return -PH_ENOMEM;
    while (*last)
        last = &(*last)->next;
    *last = more->list;
    first->value = both;
    e->recipients_known = false;
    return 0;
}

int ph_email_add_header(struct ph_email *e, ph_str name, ph_str value, struct ph_error *reterr)
{
    struct ph__field *f, *first = ph__email_find(e, name);
    if (kind_of(name) & PH__IS_CONTENT)
        return ph__set_own(e, name, value, reterr);
    int rc = make_field(e, name, value, &f, reterr);
    if (rc)
        return rc;
    if (first && (f->is & PH__IS_ONCE))
        return ph__refuse(reterr, name, "is set twice");
    if (first && (f->is & PH__IS_ADDRESSES))
        return join(e, first, f);
    append(e, f);
    return 0;
}

int ph_email_replace_header(struct ph_email *e, ph_str name, ph_str value, struct ph_error *reterr)
{
    struct ph__field *f, *first = ph__email_find(e, name);
    if (kind_of(name) & PH__IS_CONTENT)
        return ph__set_own(e, name, value, reterr);
    if (!first)
        return ph_fail(reterr, PH_ENOENT, 0, "there is no %.*s to replace",
                       PH_FMT(ph_str_sub(name, 0, NAME_MOST)));
    int rc = make_field(e, name, value, &f, reterr);
    if (rc)
        return rc;
    f->next = first->next;
    *first = *f;
    e->recipients_known = false;
    return 0;
}

/* Drops the fields of that name but the one that is kept. */
static int drop(struct ph_email *e, ph_str name, const struct ph__field *kept)
{
    int count = 0;
    for (struct ph__field **at = &e->fields; *at;) {
        if (*at != kept && ph_str_ieq((*at)->name, name)) {
            *at = (*at)->next;
            e->field_count--;
            count++;
        } else {
            at = &(*at)->next;
        }
    }
    e->recipients_known = false;
    return count;
}

int ph_email_set_header(struct ph_email *e, ph_str name, ph_str value, struct ph_error *reterr)
{
    if (!ph__email_find(e, name))
        return ph_email_add_header(e, name, value, reterr);
    int rc = ph_email_replace_header(e, name, value, reterr);
    if (rc == 0)
        drop(e, name, ph__email_find(e, name));
    return rc;
}

int ph_email_del(struct ph_email *e, ph_str name)
{
    bool was = false;
    if (ph_str_ieq(name, PH_STR("Content-Disposition"))) {
        was = e->disposition.n > 0;
        e->disposition = (ph_str){0};
        e->disposition_params = NULL;
    } else if (ph_str_ieq(name, PH_STR("Content-ID"))) {
        was = e->cid.n > 0;
        e->cid = (ph_str){0};
    }
    return was + drop(e, name, NULL);
}

ph_str ph_email_get(const struct ph_email *e, ph_str name)
{
    const struct ph__field *f = ph__email_find(e, name);
    return f ? f->value : (ph_str){0};
}

bool ph_email_header(const struct ph_email *e, size_t n, ph_str *ret_name, ph_str *ret_value)
{
    const struct ph__field *f = e->fields;
    while (f && n--)
        f = f->next;
    if (!f)
        return false;
    *ret_name = f->name;
    *ret_value = f->value;
    return true;
}

bool ph_email_needs_utf8(const struct ph_email *e)
{
    for (const struct ph__field *f = e->fields; f; f = f->next)
        for (const struct ph_address *a = f->list; a; a = a->next)
            if (!ph_ascii_only(a->local))
                return true;
    return false;
}
