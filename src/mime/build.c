/* The letter while it is put together: fields, texts, files, recipients. */
#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "build_int.h"
#include "utf8.h"
#include "words.h"

enum { NAME_MOST = 76, RUN_MOST = 900, LOCAL_MOST = 256, HOST_MOST = 255 };

struct ph_build *ph_build_new(struct ph_arena *arena, ph_str host, unsigned flags)
{
    struct ph_build *b = PH_ARENA_NEW(arena, struct ph_build);
    if (!b)
        return NULL;
    b->arena = arena;
    b->host = host.n ? ph_arena_copy(arena, host) : PH_STR("localhost");
    b->flags = flags;
    b->last_field = &b->fields;
    b->last_file = &b->files;
    b->last_picture = &b->pictures;
    struct tm local;
    time_t now = time(NULL);
    b->time = now;
    b->zone = localtime_r(&now, &local) ? (int16_t)(local.tm_gmtoff / 60) : 0;
    if (getrandom(b->seed, sizeof b->seed, 0) != sizeof b->seed)
        b->seed[0] = (uint64_t)now ^ (uint64_t)(uintptr_t)b;
    return b->host.p ? b : NULL;
}

void ph_build_fixed(struct ph_build *b, int64_t unix_time, int16_t zone, uint64_t seed)
{
    b->time = unix_time;
    b->zone = zone;
    b->seed[0] = b->seed[1] = seed;
    b->used = 0;
}

/* A mixing function over seed and counter (splitmix64). */
static uint64_t mixed(uint64_t v)
{
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
    v = (v ^ v >> 27) * 0x94d049bb133111ebu;
    return v ^ v >> 31;
}

void ph__build_random(struct ph_build *b, char *to)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t word[2];
    for (unsigned i = 0; i < 2; i++)
        word[i] = mixed(b->seed[i] + 0x9e3779b97f4a7c15u * ++b->used);
    for (unsigned i = 0; i < 24; i++)
        to[i] = digits[word[i / 16] >> (i % 16 * 4) & 15];
}

/* ---- fields ---- */

enum { ADDRESSES = 1, ASCII = 2, ONCE = 4, REFUSED = 8, HIDDEN = 16, PREFIX = 32 };

static const struct {
    ph_str name;
    unsigned is;
} kinds[] = {
    {PH_STR_INIT("From"), ADDRESSES},
    {PH_STR_INIT("Sender"), ADDRESSES},
    {PH_STR_INIT("Reply-To"), ADDRESSES},
    {PH_STR_INIT("To"), ADDRESSES},
    {PH_STR_INIT("Cc"), ADDRESSES},
    {PH_STR_INIT("Bcc"), ADDRESSES | HIDDEN},
    {PH_STR_INIT("Resent-From"), ADDRESSES},
    {PH_STR_INIT("Resent-Sender"), ADDRESSES},
    {PH_STR_INIT("Resent-To"), ADDRESSES},
    {PH_STR_INIT("Resent-Cc"), ADDRESSES},
    {PH_STR_INIT("Resent-Bcc"), ADDRESSES | HIDDEN},
    {PH_STR_INIT("Subject"), ONCE},
    {PH_STR_INIT("Message-ID"), ASCII | ONCE},
    {PH_STR_INIT("In-Reply-To"), ASCII | ONCE},
    {PH_STR_INIT("References"), ASCII | ONCE},
    {PH_STR_INIT("Date"), ASCII | ONCE},
    {PH_STR_INIT("List-"), ASCII | PREFIX},
    {PH_STR_INIT("MIME-Version"), REFUSED},
    {PH_STR_INIT("Content-"), REFUSED | PREFIX},
};

static unsigned kind_of(ph_str name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].is & PREFIX ? ph_str_has_iprefix(name, kinds[i].name)
                                 : ph_str_ieq(name, kinds[i].name))
            return kinds[i].is;
    return 0;
}

static bool is_field_name(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 33 || s.p[i] > 126 || s.p[i] == ':')
            return false;
    return s.n > 0 && s.n <= NAME_MOST;
}

static bool has_break(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == 0)
            return true;
    return false;
}

static bool is_plain_ascii(ph_str s)
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

static int refuse(struct ph_error *reterr, ph_str name, const char *why)
{
    return ph_fail(reterr, PH_EINVAL, 0, "%.*s: %s", PH_FMT(ph_str_sub(name, 0, NAME_MOST)), why);
}

struct ph__field *ph__build_find(struct ph_build *b, ph_str name)
{
    struct ph__field *f = b->fields;
    while (f && !ph_str_ieq(f->name, name))
        f = f->next;
    return f;
}

static int check_value(struct ph_build *b, ph_str name, unsigned is, ph_str value,
                       struct ph_error *reterr)
{
    if (!is_field_name(name))
        return ph_fail(reterr, PH_EINVAL, 0, "not a field name: letters, digits and - only");
    if (is & REFUSED)
        return refuse(reterr, name, "follows from the content and cannot be set");
    if (has_break(value))
        return refuse(reterr, name, "a line break or NUL in the value");
    if (!ph_utf8_is_valid(value))
        return refuse(reterr, name, "the value is not UTF-8");
    if ((is & ASCII) && !is_plain_ascii(value))
        return refuse(reterr, name, "only ASCII is allowed here");
    if (value.n > PH_BUILD_VALUE || b->field_count >= PH_BUILD_FIELDS)
        return ph_fail(reterr, PH_ELIMIT, 0, "too many fields, or a value that is too long");
    if ((is & ONCE) && ph__build_find(b, name))
        return refuse(reterr, name, "is set twice");
    return 0;
}

static struct ph__field *add_field(struct ph_build *b, ph_str name, unsigned is, ph_str value)
{
    struct ph__field *f = PH_ARENA_NEW(b->arena, struct ph__field);
    if (!f)
        return NULL;
    f->name = ph_arena_copy(b->arena, name);
    f->value = ph_arena_copy(b->arena, value);
    if (!f->name.p || !f->value.p)
        return NULL;
    f->is_address = is & ADDRESSES;
    f->is_ascii = is & ASCII;
    f->is_hidden = is & HIDDEN;
    f->last = &f->list;
    *b->last_field = f;
    b->last_field = &f->next;
    b->field_count++;
    return f;
}

/* A domain in the form the output needs: A-labels unless UTF-8 is spoken (RFC 5890). */
static int fit_host(struct ph_build *b, ph_str *host)
{
    char *ascii = NULL;
    if (ph_ascii_only(*host) || (b->flags & PH_BUILD_UTF8))
        return 0;
    char *name = ph_arena_cstr(b->arena, *host);
    if (!name)
        return -PH_ENOMEM;
    if (idn2_to_ascii_8z(name, &ascii, IDN2_NONTRANSITIONAL) != IDN2_OK)
        return -PH_EINVAL;
    *host = ph_arena_copy(b->arena, ph_str_c(ascii));
    idn2_free(ascii);
    return host->p ? 0 : -PH_ENOMEM;
}

/* Addresses are read leniently elsewhere; what is written must be right. */
static int check_address(struct ph_build *b, ph_str field, struct ph_address *a,
                         struct ph_error *reterr)
{
    if (a->kind != PH_ADDRESS_MAILBOX)
        return 0;
    if (a->local.n == 0 || a->host.n == 0)
        return ph_fail(reterr, PH_EINVAL, 0, "%.*s: \"%.*s\" is not an address (name@domain)",
                       PH_FMT(field), PH_FMT(ph_str_sub(a->local, 0, 80)));
    if (a->local.n > LOCAL_MOST || a->host.n > HOST_MOST)
        return refuse(reterr, field, "an address is too long");
    if (!ph_ascii_only(a->local) && !(b->flags & PH_BUILD_UTF8))
        return ph_fail(reterr, PH_EINVAL, 0, "%.*s: \"%.*s\" needs SMTPUTF8", PH_FMT(field),
                       PH_FMT(ph_str_sub(a->local, 0, 80)));
    for (size_t i = 0; i < a->host.n; i++)
        if ((unsigned char)a->host.p[i] <= ' ' ||
            (a->host.p[i] && strchr("<>()\",;\\", a->host.p[i])))
            return refuse(reterr, field, "not a domain name");
    for (size_t i = 0; i < a->local.n; i++)
        if ((unsigned char)a->local.p[i] < ' ' || a->local.p[i] == 127)
            return refuse(reterr, field, "a control character in an address");
    int rc = fit_host(b, &a->host);
    return rc == -PH_EINVAL ? refuse(reterr, field, "not a domain name") : rc;
}

static int add_addresses(struct ph_build *b, ph_str name, unsigned is, ph_str value,
                         struct ph_error *reterr)
{
    struct ph_address *list;
    ph_str kept = ph_arena_copy(b->arena, value);
    int rc = kept.p ? ph_address_parse(b->arena, kept, &list) : -PH_ENOMEM;
    if (rc < 0)
        return rc;
    for (struct ph_address *a = list; a; a = a->next)
        if ((rc = check_address(b, name, a, reterr)))
            return rc;
    if (!list)
        return refuse(reterr, name, "no address");
    struct ph__field *f = ph__build_find(b, name);
    if (!f && !(f = add_field(b, name, is, PH_STR(""))))
        return -PH_ENOMEM;
    *f->last = list;
    while (*f->last)
        f->last = &(*f->last)->next;
    b->recipients_known = false;
    return 0;
}

int ph_build_field(struct ph_build *b, ph_str name, ph_str value, struct ph_error *reterr)
{
    unsigned is = kind_of(name);
    int rc = check_value(b, name, is, value, reterr);
    if (rc)
        return rc;
    if (is & ADDRESSES)
        return add_addresses(b, name, is, value, reterr);
    if (is & ASCII)
        value = ph_str_trim(value);
    struct ph__field *f = add_field(b, name, is, value);
    if (f && ph_str_ieq(name, PH_STR("Message-ID")))
        b->message_id = f->value;
    return f ? 0 : -PH_ENOMEM;
}

/* ---- content ---- */

static int set_text(struct ph_build *b, struct ph__leaf **slot, const char *type, ph_str text,
                    struct ph_error *reterr)
{
    if (*slot)
        return ph_fail(reterr, PH_EINVAL, 0, "%s is set twice", type);
    if (!ph_utf8_is_valid(text))
        return ph_fail(reterr, PH_EINVAL, 0, "%s is not UTF-8", type);
    struct ph__leaf *l = PH_ARENA_NEW(b->arena, struct ph__leaf);
    if (!l)
        return -PH_ENOMEM;
    *l = (struct ph__leaf){.type = ph_str_c(type), .bytes = text, .is_text = true};
    *slot = l;
    return 0;
}

int ph_build_text(struct ph_build *b, ph_str text, struct ph_error *reterr)
{
    return set_text(b, &b->text, "text/plain", text, reterr);
}

int ph_build_html(struct ph_build *b, ph_str html, struct ph_error *reterr)
{
    return set_text(b, &b->html, "text/html", html, reterr);
}

static const char *const types[][2] = {
    {".txt", "text/plain"},
    {".html", "text/html"},
    {".htm", "text/html"},
    {".css", "text/css"},
    {".csv", "text/csv"},
    {".ics", "text/calendar"},
    {".vcf", "text/vcard"},
    {".md", "text/markdown"},
    {".xml", "application/xml"},
    {".json", "application/json"},
    {".pdf", "application/pdf"},
    {".zip", "application/zip"},
    {".gz", "application/gzip"},
    {".tar", "application/x-tar"},
    {".7z", "application/x-7z-compressed"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".svg", "image/svg+xml"},
    {".bmp", "image/bmp"},
    {".tif", "image/tiff"},
    {".tiff", "image/tiff"},
    {".mp3", "audio/mpeg"},
    {".wav", "audio/wav"},
    {".ogg", "audio/ogg"},
    {".mp4", "video/mp4"},
    {".webm", "video/webm"},
    {".mov", "video/quicktime"},
    {".eml", "message/rfc822"},
    {".doc", "application/msword"},
    {".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {".xls", "application/vnd.ms-excel"},
    {".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {".ppt", "application/vnd.ms-powerpoint"},
    {".pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {".odt", "application/vnd.oasis.opendocument.text"},
    {".ods", "application/vnd.oasis.opendocument.spreadsheet"},
};

static ph_str type_by_name(ph_str name)
{
    size_t dot = ph_str_rchr(name, '.');
    for (size_t i = 0; dot != PH_NPOS && i < sizeof types / sizeof types[0]; i++)
        if (ph_str_ieq(ph_str_skip(name, dot), ph_str_c(types[i][0])))
            return ph_str_c(types[i][1]);
    return PH_STR("application/octet-stream");
}

static bool is_token_char(char c)
{
    return c > 32 && c < 127 && !strchr("()<>@,;:\\\"/[]?=", c);
}

static bool is_type(ph_str s)
{
    size_t n = 0, m;
    while (n < s.n && is_token_char(s.p[n]))
        n++;
    if (n == 0 || n == s.n || s.p[n] != '/')
        return false;
    for (m = n + 1; m < s.n && is_token_char(s.p[m]);)
        m++;
    return m > n + 1 && (m == s.n || s.p[m] == ';' || s.p[m] == ' ') && is_plain_ascii(s) &&
           !ph_str_has_iprefix(s, PH_STR("multipart/"));
}

static int check_file(struct ph_build *b, const struct ph_build_file *f, struct ph_error *reterr)
{
    if (has_break(f->name) || has_break(f->cid))
        return ph_fail(reterr, PH_EINVAL, 0, "a line break or NUL in a file name or content id");
    if (!ph_utf8_is_valid(f->name))
        return ph_fail(reterr, PH_EINVAL, 0, "a file name is not UTF-8");
    for (size_t i = 0; i < f->cid.n; i++)
        if (f->cid.p[i] <= ' ' || f->cid.p[i] > 126 || f->cid.p[i] == '<' || f->cid.p[i] == '>')
            return ph_fail(reterr, PH_EINVAL, 0, "not a content id");
    if (f->type.n && !is_type(f->type))
        return ph_fail(reterr, PH_EINVAL, 0, "not a media type: \"%.*s\"",
                       PH_FMT(ph_str_sub(f->type, 0, 80)));
    if (f->cid.n > RUN_MOST || f->name.n > PH_BUILD_VALUE || b->part_count >= PH_BUILD_PARTS)
        return ph_fail(reterr, PH_ELIMIT, 0, "too many files, or a name that is too long");
    return 0;
}

static struct ph__leaf *add_file(struct ph_build *b, const struct ph_build_file *f,
                                 const char *disposition)
{
    struct ph__leaf *l = PH_ARENA_NEW(b->arena, struct ph__leaf);
    if (!l)
        return NULL;
    *l = (struct ph__leaf){.name = ph_arena_copy(b->arena, f->name),
                           .type =
                               f->type.n ? ph_arena_copy(b->arena, f->type) : type_by_name(f->name),
                           .cid = ph_arena_copy(b->arena, f->cid),
                           .bytes = f->bytes,
                           .source = f->source,
                           .disposition = disposition};
    b->part_count++;
    return l->name.p && l->type.p && l->cid.p ? l : NULL;
}

int ph_build_attach(struct ph_build *b, const struct ph_build_file *file, struct ph_error *reterr)
{
    int rc = check_file(b, file, reterr);
    if (rc)
        return rc;
    struct ph__leaf *l = add_file(b, file, "attachment");
    if (!l)
        return -PH_ENOMEM;
    *b->last_file = l;
    b->last_file = &l->next;
    return 0;
}

int ph_build_picture(struct ph_build *b, const struct ph_build_file *file, ph_str *ret_cid,
                     struct ph_error *reterr)
{
    char random[24];
    int rc = check_file(b, file, reterr);
    if (rc)
        return rc;
    struct ph__leaf *l = add_file(b, file, "inline");
    if (!l)
        return -PH_ENOMEM;
    if (l->cid.n == 0) {
        ph__build_random(b, random);
        l->cid = ph_arena_printf(b->arena, "%.*s@%.*s", 24, random, PH_FMT(b->host));
        if (!l->cid.p)
            return -PH_ENOMEM;
    }
    *b->last_picture = l;
    b->last_picture = &l->next;
    if (ret_cid)
        *ret_cid = l->cid;
    return 0;
}

/* ---- picture references ---- */

static bool ends_cid(char c)
{
    return c == '"' || c == '\'' || c == ')' || c == '>' || c == '<' || (unsigned char)c <= ' ';
}

static bool has_picture(const struct ph_build *b, ph_str cid)
{
    const struct ph__leaf *l = b->pictures;
    while (l && !ph_str_eq(l->cid, cid))
        l = l->next;
    return l != NULL;
}

int ph_build_check_cids(struct ph_build *b, struct ph_error *reterr)
{
    ph_str html = b->html ? b->html->bytes : (ph_str){0};
    for (ph_str rest = html; rest.n;) {
        size_t at = ph_str_find(rest, PH_STR("cid:")), n = 0;
        if (at == PH_NPOS)
            break;
        rest = ph_str_skip(rest, at + 4);
        while (n < rest.n && !ends_cid(rest.p[n]))
            n++;
        if (n && !has_picture(b, (ph_str){rest.p, n}))
            return ph_fail(reterr, PH_ENOENT, 0, "the HTML shows cid:%.*s, which is not attached",
                           PH_FMT(ph_str_sub(rest, 0, n < 100 ? n : 100)));
    }
    for (const struct ph__leaf *l = b->pictures; l; l = l->next)
        if (ph_str_find(html, l->cid) == PH_NPOS)
            return ph_fail(reterr, PH_ENOENT, 0, "the picture cid:%.*s is not shown in the HTML",
                           PH_FMT(ph_str_sub(l->cid, 0, 100)));
    return 0;
}
