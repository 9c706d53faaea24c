/*
 * Addresses in one form, so that equal addresses are equal bytes (RFC 5321 4.1.2, 6531 3.3, 5890).
 */
#include "ascii.h"
#include "house.h"

#include <idn2.h>
#include <stdlib.h>
#include <string.h>

enum { LOCAL_MAX = 255, DOMAIN_MAX = 253, LABEL_MAX = 63 };

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Length of the UTF-8 character at p, 0 when it is none (RFC 3629 4, short of surrogates and
 * overlong three- and four-byte forms, which idn2 and the readers of JSON refuse by themselves). */
static size_t utf8_length(const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;
    size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

static bool is_text(ph_str s)
{
    for (size_t i = 0; i < s.n;) {
        size_t len = is_control(s.p[i]) ? 0 : utf8_length(s.p + i, s.n - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

static bool needs_quotes(ph_str local)
{
    for (size_t i = 0; i < local.n; i++)
        if (strchr(" ()<>[]:;@\\,\"", local.p[i]))
            return true;
    return false;
}

static void put(struct ph_house_name *name, char c)
{
    if (name->n < PH_HOUSE_ADDRESS)
        name->text[name->n] = c;
    name->n++; /* past the maximum: told by finish() */
}

static int finish(struct ph_house_name *name, struct ph_error *reterr)
{
    if (name->n > PH_HOUSE_ADDRESS)
        return ph_fail(reterr, PH_EINVAL, 0, "the address is longer than %d octets",
                       PH_HOUSE_ADDRESS);
    name->text[name->n] = '\0';
    return 0;
}

/* "john doe" in quotes without the quotes and backslashes; text of at most LOCAL_MAX. */
static int unquote(ph_str quoted, char text[LOCAL_MAX], size_t *ret_n, struct ph_error *reterr)
{
    size_t n = 0, end = quoted.n - 1;
    if (quoted.n < 2 || quoted.p[end] != '"')
        return ph_fail(reterr, PH_EINVAL, 0, "the quotes of the local part are not closed");
    for (size_t i = 1; i < end; i++) {
        if (quoted.p[i] == '\\' && ++i == end)
            return ph_fail(reterr, PH_EINVAL, 0, "the quotes of the local part are not closed");
        if (n == LOCAL_MAX)
            return ph_fail(reterr, PH_EINVAL, 0, "the local part is longer than %d octets",
                           LOCAL_MAX);
        text[n++] = quoted.p[i];
    }
    *ret_n = n;
    return 0;
}

static int put_local(struct ph_house_name *name, ph_str local, struct ph_error *reterr)
{
    char text[LOCAL_MAX];
    bool quoted = local.n && local.p[0] == '"';
    if (quoted) {
        size_t n = 0;
        int r = unquote(local, text, &n, reterr);
        if (r < 0)
            return r;
        local = (ph_str){text, n};
    }
    if (local.n == 0)
        return ph_fail(reterr, PH_EINVAL, 0, "the part before @ is empty");
    if (local.n > LOCAL_MAX)
        return ph_fail(reterr, PH_EINVAL, 0, "the local part is longer than %d octets", LOCAL_MAX);
    bool quote = needs_quotes(local);
    if (!is_text(local) || (quote && !quoted))
        return ph_fail(reterr, PH_EINVAL, 0,
                       "the part before @ has a character that can not be there");
    if (quote)
        put(name, '"');
    for (size_t i = 0; i < local.n; i++) {
        if (local.p[i] == '"' || local.p[i] == '\\')
            put(name, '\\');
        put(name, ph_lower(local.p[i]));
    }
    if (quote)
        put(name, '"');
    return 0;
}

/* Labels of letters, digits, hyphens; `_` as well, which other people's domains have. */
static bool is_ldh(ph_str domain)
{
    ph_str rest = domain, label;
    if (domain.n == 0 || domain.n > DOMAIN_MAX || domain.p[domain.n - 1] == '.')
        return false;
    while (ph_str_token(&rest, '.', &label)) {
        if (label.n == 0 || label.n > LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++) {
            char c = ph_lower(label.p[i]);
            if (!(ph_is_alnum(c) || c == '-' || c == '_'))
                return false;
        }
    }
    return true;
}

static bool is_ascii(ph_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

static bool is_literal(ph_str domain)
{
    if (domain.n < 3 || domain.p[0] != '[' || domain.p[domain.n - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < domain.n; i++)
        if (domain.p[i] <= 0x20 || domain.p[i] == 0x7f || strchr("[\\]", domain.p[i]))
            return false;
    return is_ascii(domain);
}

static int put_idn(struct ph_house_name *name, ph_str domain, struct ph_error *reterr)
{
    char utf8[4 * DOMAIN_MAX + 1];
    if (domain.n >= sizeof utf8 || memchr(domain.p, 0, domain.n))
        return ph_fail(reterr, PH_EINVAL, 0, "the domain is longer than %d octets", DOMAIN_MAX);
    memcpy(utf8, domain.p, domain.n);
    utf8[domain.n] = '\0';
    uint8_t *labels = NULL;
    int rc = idn2_lookup_u8((const uint8_t *)utf8, &labels,
                            IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES);
    if (rc != IDN2_OK)
        return ph_fail(reterr, PH_EINVAL, 0, "the domain is not valid: %s", idn2_strerror(rc));
    ph_str a = ph_str_c((const char *)labels);
    bool ok = is_ldh(a);
    for (size_t i = 0; ok && i < a.n; i++)
        put(name, ph_lower(a.p[i]));
    idn2_free(labels);
    return ok ? 0 : ph_fail(reterr, PH_EINVAL, 0, "the domain is not valid");
}

static int put_domain(struct ph_house_name *name, ph_str domain, struct ph_error *reterr)
{
    if (domain.n > 1 && domain.p[domain.n - 1] == '.')
        domain.n--; /* the root */
    if (!is_ascii(domain))
        return put_idn(name, domain, reterr);
    if (!is_ldh(domain) && !is_literal(domain))
        return ph_fail(reterr, PH_EINVAL, 0,
                       domain.n ? "\"%.*s\" is not a valid domain" : "the domain is empty",
                       (int)(domain.n < 100 ? domain.n : 100), domain.n ? domain.p : "");
    for (size_t i = 0; i < domain.n; i++)
        put(name, ph_lower(domain.p[i]));
    return 0;
}

int ph_house_name(ph_str address, struct ph_house_name *ret_name, struct ph_error *reterr)
{
    struct ph_house_name name = {.n = 0};
    size_t at = ph_str_rchr(address, '@');
    if (at == PH_NPOS)
        return ph_fail(reterr, PH_EINVAL, 0, "an address has the form name@domain");
    int r = put_local(&name, ph_str_sub(address, 0, at), reterr);
    if (r < 0)
        return r;
    name.at = name.n;
    put(&name, '@');
    r = put_domain(&name, ph_str_skip(address, at + 1), reterr);
    if (r >= 0)
        r = finish(&name, reterr);
    if (r >= 0)
        *ret_name = name;
    return r;
}

int ph_house_domain_name(ph_str domain, struct ph_house_name *ret_name, struct ph_error *reterr)
{
    struct ph_house_name name = {.n = 0};
    put(&name, '@');
    int r = put_domain(&name, domain, reterr);
    if (r >= 0)
        r = finish(&name, reterr);
    if (r >= 0)
        *ret_name = name;
    return r;
}

ph_str ph_house_name_str(const struct ph_house_name *name)
{
    return (ph_str){name->text, name->n};
}

ph_str ph_house_name_local(const struct ph_house_name *name)
{
    return (ph_str){name->text, name->at};
}

ph_str ph_house_name_domain(const struct ph_house_name *name)
{
    return (ph_str){name->text + name->at + 1, name->n - name->at - 1};
}
