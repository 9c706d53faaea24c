/* Parameters of MAIL and RCPT, read and written: one reader and one writer for each row of
 * ext.def. */
#include "smtp_int.h"

enum { ENVID_MAX = 100, ORCPT_MAX = 500 }; /* octets on the wire: RFC 3461 5.4, 4.2 */

struct reading {
    ph_str value;
    unsigned announced;
    struct ph_buf *scratch;
    struct ph_smtp_params *to;
};

/* ---- xtext -------------------------------------------------------------------------------- */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool ph__smtp_xtext_read(ph_str x, struct ph_buf *scratch, ph_str *ret_text)
{
    size_t from = scratch->n;
    for (size_t i = 0; i < x.n; i++) {
        unsigned char c = (unsigned char)x.p[i];
        if (c == '+') {
            int high = i + 2 < x.n ? hex(x.p[i + 1]) : -1, low = i + 2 < x.n ? hex(x.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (unsigned char)(high << 4 | low);
            i += 2;
            if (c < 32 || c > 126)
                return false;
        } else if (c < 33 || c > 126 || c == '=') {
            return false;
        }
        ph_buf_addc(scratch, (char)c);
    }
    *ret_text = ph_str_skip(ph_buf_str(scratch), from);
    return !ph_buf_err(scratch);
}

void ph__smtp_xtext_write(struct ph_buf *out, ph_str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c < 33 || c > 126 || c == '+' || c == '=')
            ph_buf_addf(out, "+%02X", c);
        else
            ph_buf_addc(out, (char)c);
    }
}

bool ph_smtp_attribute_next(ph_str *rest, struct ph_buf *scratch, ph_str *ret_name,
                            ph_str *ret_value)
{
    ph_str one;
    do {
        if (!ph_str_token(rest, ' ', &one))
            return false;
    } while (!one.n);
    size_t eq = ph_str_chr(one, '=');
    *ret_name = ph_str_sub(one, 0, eq);
    ph_buf_clear(scratch);
    if (eq == PH_NPOS || !ph__smtp_xtext_read(ph_str_skip(one, eq + 1), scratch, ret_value))
        *ret_name = (ph_str){0};
    return true;
}

/* ---- reader ------------------------------------------------------------------------------- */

static bool read_size(const struct reading *r)
{
    return r->value.n <= 20 && ph_str_u64(r->value, UINT64_MAX, &r->to->size);
}

static bool read_body(const struct reading *r)
{
    if (ph_str_ieq(r->value, PH_STR("8BITMIME")))
        r->to->body = PH_SMTP_8BITMIME;
    else if ((r->announced & EXT_BIT(BINARYMIME)) && ph_str_ieq(r->value, PH_STR("BINARYMIME")))
        r->to->body = PH_SMTP_BINARYMIME;
    else
        return ph_str_ieq(r->value, PH_STR("7BIT"));
    return true;
}

static bool read_utf8(const struct reading *r)
{
    r->to->smtputf8 = true;
    return r->value.n == 0;
}

static bool read_requiretls(const struct reading *r)
{
    r->to->requiretls = true;
    return r->value.n == 0;
}

/* RFC 4954 5: whoever relays does not have to believe it, and we do not. */
static bool read_auth(const struct reading *r)
{
    return r->value.n > 0;
}

static bool read_ret(const struct reading *r)
{
    bool full = ph_str_ieq(r->value, PH_STR("FULL"));
    r->to->ret = full ? PH_SMTP_RET_FULL : PH_SMTP_RET_HDRS;
    return full || ph_str_ieq(r->value, PH_STR("HDRS"));
}

static bool read_envid(const struct reading *r)
{
    return r->value.n && r->value.n <= ENVID_MAX &&
           ph__smtp_xtext_read(r->value, r->scratch, &r->to->envid);
}

static const struct {
    ph_str word;
    unsigned bit;
} notices[] = {{PH_STR_INIT("NEVER"), PH_SMTP_NOTIFY_NEVER},
               {PH_STR_INIT("SUCCESS"), PH_SMTP_NOTIFY_SUCCESS},
               {PH_STR_INIT("FAILURE"), PH_SMTP_NOTIFY_FAILURE},
               {PH_STR_INIT("DELAY"), PH_SMTP_NOTIFY_DELAY}};
enum { NOTICES = sizeof notices / sizeof notices[0] };

static bool read_notify(const struct reading *r)
{
    ph_str rest = r->value, word;
    unsigned bits = 0;
    while (ph_str_token(&rest, ',', &word)) {
        size_t i = 0;
        while (i < NOTICES && !ph_str_ieq(word, notices[i].word))
            i++;
        if (i == NOTICES)
            return false;
        bits |= notices[i].bit;
    }
    r->to->notify = bits;
    return bits && (!(bits & PH_SMTP_NOTIFY_NEVER) || bits == PH_SMTP_NOTIFY_NEVER);
}

/* "type;address"; the encoding of type utf-8 is another one (RFC 6533 3) and is left alone. */
static bool read_orcpt(const struct reading *r)
{
    size_t at = ph_str_chr(r->value, ';'), from = r->scratch->n;
    ph_str type = ph_str_sub(r->value, 0, at), address = ph_str_skip(r->value, type.n + 1), text;
    if (at == PH_NPOS || !type.n || !address.n || r->value.n > ORCPT_MAX)
        return false;
    for (size_t i = 0; i < type.n; i++)
        if (type.p[i] != '-' && hex(type.p[i]) < 0 &&
            ((type.p[i] | 32) < 'a' || (type.p[i] | 32) > 'z'))
            return false;
    ph_buf_add(r->scratch, ph_str_sub(r->value, 0, type.n + 1));
    if (ph_str_ieq(type, PH_STR("utf-8")))
        ph_buf_add(r->scratch, address);
    else if (!ph__smtp_xtext_read(address, r->scratch, &text))
        return false;
    r->to->orcpt = ph_str_skip(ph_buf_str(r->scratch), from);
    return !ph_buf_err(r->scratch);
}

/* ---- writer: appends the value, where there is something to say; true: the keyword alone ---- */

static void write_size(struct ph_buf *out, const struct ph_smtp_params *p)
{
    if (p->size)
        ph_buf_addf(out, "=%llu", (unsigned long long)p->size);
}

static void write_body(struct ph_buf *out, const struct ph_smtp_params *p)
{
    if (p->body)
        ph_buf_addf(out, p->body == PH_SMTP_8BITMIME ? "=8BITMIME" : "=BINARYMIME");
}

static void write_ret(struct ph_buf *out, const struct ph_smtp_params *p)
{
    if (p->ret)
        ph_buf_addf(out, p->ret == PH_SMTP_RET_FULL ? "=FULL" : "=HDRS");
}

static void write_envid(struct ph_buf *out, const struct ph_smtp_params *p)
{
    if (p->envid.n) {
        ph_buf_addc(out, '=');
        ph__smtp_xtext_write(out, p->envid);
    }
}

static void write_notify(struct ph_buf *out, const struct ph_smtp_params *p)
{
    char before = '=';
    for (size_t i = 0; i < NOTICES; i++)
        if (p->notify & notices[i].bit) {
            ph_buf_addc(out, before);
            ph_buf_add(out, notices[i].word);
            before = ',';
        }
}

static void write_orcpt(struct ph_buf *out, const struct ph_smtp_params *p)
{
    size_t type = ph_str_chr(p->orcpt, ';');
    if (type == PH_NPOS)
        return;
    ph_buf_addc(out, '=');
    ph_buf_add(out, ph_str_sub(p->orcpt, 0, type + 1));
    if (ph_str_has_iprefix(p->orcpt, PH_STR("utf-8;")))
        ph_buf_add(out, ph_str_skip(p->orcpt, type + 1));
    else
        ph__smtp_xtext_write(out, ph_str_skip(p->orcpt, type + 1));
}

static const struct {
    bool (*read)(const struct reading *r);
    void (*write)(struct ph_buf *out,
                  const struct ph_smtp_params *p); /* NULL: never said, or a flag */
    size_t flag; /* offset of a bool that says whether the bare keyword is written; 0: none */
} kinds[PARAM_COUNT] = {
    [PARAM_MAIL_SIZE] = {read_size, write_size, 0},
    [PARAM_MAIL_BODY] = {read_body, write_body, 0},
    [PARAM_MAIL_SMTPUTF8] = {read_utf8, NULL, offsetof(struct ph_smtp_params, smtputf8)},
    [PARAM_MAIL_AUTH] = {read_auth, NULL, 0},
    [PARAM_MAIL_RET] = {read_ret, write_ret, 0},
    [PARAM_MAIL_ENVID] = {read_envid, write_envid, 0},
    [PARAM_RCPT_NOTIFY] = {read_notify, write_notify, 0},
    [PARAM_RCPT_ORCPT] = {read_orcpt, write_orcpt, 0},
    [PARAM_MAIL_REQUIRETLS] = {read_requiretls, NULL, offsetof(struct ph_smtp_params, requiretls)},
};

/* ---- the list ------------------------------------------------------------------------------- */

static int find(int verb, ph_str keyword, unsigned announced)
{
    for (int i = 0; i < PARAM_COUNT; i++)
        if (ph__smtp_params[i].verb == verb && ph_str_ieq(ph__smtp_params[i].keyword, keyword) &&
            (announced & 1u << ph__smtp_params[i].ext))
            return i;
    return -1;
}

int ph__smtp_params_read(int verb, ph_str rest, unsigned announced, struct ph_buf *scratch,
                         struct ph_smtp_params *params, struct ph_error *reterr)
{
    unsigned seen = 0;
    ph_str one;
    if (rest.n && rest.p[0] != ' ')
        return ph_fail(reterr, PH_ESYNTAX, 0, "there is more behind the address");
    while (ph_str_token(&rest, ' ', &one)) {
        size_t eq = ph_str_chr(one, '=');
        struct reading r = {eq == PH_NPOS ? (ph_str){0} : ph_str_skip(one, eq + 1), announced,
                            scratch, params};
        if (!one.n)
            continue;
        int i = find(verb, ph_str_sub(one, 0, eq), announced);
        if (i < 0)
            return ph_fail(reterr, PH_EINVAL, 0, "unknown parameter %.*s",
                           PH_FMT(ph_str_sub(one, 0, eq < 100 ? eq : 100)));
        if ((seen & 1u << i) || (eq != PH_NPOS && !r.value.n) || !ph__smtp_graphic(r.value) ||
            !kinds[i].read(&r))
            return ph_fail(reterr, PH_ESYNTAX, 0,
                           "parameter %.*s has no legal value or comes twice",
                           PH_FMT(ph__smtp_params[i].keyword));
        seen |= 1u << i;
    }
    return 0;
}

void ph__smtp_params_write(struct ph_buf *out, int verb, const struct ph_smtp_params *params,
                           unsigned announced)
{
    for (int i = 0; i < PARAM_COUNT; i++) {
        const struct ph__smtp_param_row *row = &ph__smtp_params[i];
        if (row->verb != verb || !(announced & 1u << row->ext))
            continue;
        size_t before = out->n;
        ph_buf_addc(out, ' ');
        ph_buf_add(out, row->keyword);
        size_t keyword = out->n;
        bool said = kinds[i].flag && *(const bool *)((const char *)params + kinds[i].flag);
        if (kinds[i].write)
            kinds[i].write(out, params);
        if (!said && out->n == keyword)
            out->n = before;
    }
    if (params->more.n) {
        ph_buf_addc(out, ' ');
        ph_buf_add(out, params->more);
    }
}
