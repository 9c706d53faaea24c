/* rules.c - what names and keywords may be, the same for every backend. */
#include "store.h"

#include <string.h>

const struct store_default store_defaults[] = {
    {"INBOX", ""},      {"Archive", "\\Archive"}, {"Drafts", "\\Drafts"}, {"Junk", "\\Junk"},
    {"Sent", "\\Sent"}, {"Trash", "\\Trash"},     {NULL, NULL},
};

/* Length of the UTF-8 character at p (RFC 3629 4), 0 when it is not one. */
static size_t utf8_char(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] > 0x9f;
    bool above = p[0] == 0xf4 && p[1] > 0x8f;
    return overlong || surrogate || above ? 0 : len;
}

/* C0, DEL and C1 controls, and the wildcards of LIST. */
static bool forbidden(const unsigned char *p, size_t len)
{
    if (len == 1)
        return p[0] < 0x20 || p[0] == 0x7f || p[0] == '%' || p[0] == '*';
    return len == 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

int store_name_norm(ph_str name, char *out, struct ph_error *reterr)
{
    if (name.n > 1 && name.p[name.n - 1] == '/')
        name.n--;
    if (name.n == 0 || name.n > STORE_NAME_MAX)
        return ph_fail(reterr, PH_EINVAL, 0, "a mailbox name has 1 to %d bytes", STORE_NAME_MAX);
    const unsigned char *p = (const unsigned char *)name.p;
    for (size_t i = 0, len; i < name.n; i += len) {
        len = utf8_char(p + i, name.n - i);
        if (len == 0)
            return ph_fail(reterr, PH_EINVAL, 0, "the mailbox name is not UTF-8");
        if (forbidden(p + i, len))
            return ph_fail(reterr, PH_EINVAL, 0,
                           "a mailbox name has no control characters, %% or *");
        if (p[i] == '/' && (i == 0 || i + 1 == name.n || p[i + 1] == '/'))
            return ph_fail(reterr, PH_EINVAL, 0, "the mailbox name has an empty part");
    }
    memcpy(out, name.p, name.n);
    if (ph_str_has_iprefix(name, PH_STR("INBOX")) && (name.n == 5 || name.p[5] == '/'))
        memcpy(out, "INBOX", 5);
    return (int)name.n;
}

bool store_folder_ok(ph_str folder)
{
    if (folder.n == 0 || folder.n > STORE_FOLDER_MAX || folder.p[0] == '.')
        return false;
    for (size_t i = 0; i < folder.n; i++) {
        unsigned char c = (unsigned char)folder.p[i];
        if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
            return false;
    }
    return true;
}

bool store_keyword_in(ph_str list, ph_str word)
{
    ph_str k;
    while (ph_str_token(&list, ' ', &k))
        if (ph_str_ieq(k, word))
            return true;
    return false;
}

/* Quadratic in words, of which there are STORE_KEYWORDS_EACH at most. */
static void add_words(struct ph_buf *out, ph_str words, ph_str except)
{
    ph_str k;
    while (ph_str_token(&words, ' ', &k)) {
        if (k.n == 0 || store_keyword_in(except, k) || store_keyword_in(ph_buf_str(out), k))
            continue;
        if (out->n > 0)
            ph_buf_addc(out, ' ');
        ph_buf_add(out, k);
    }
}

static size_t words_in(ph_str list)
{
    size_t n = list.n > 0;
    for (size_t i = 0; i < list.n; i++)
        n += list.p[i] == ' ';
    return n;
}

int store_keywords_apply(ph_str now, enum store_flag_op op, ph_str arg, struct ph_buf *out)
{
    ph_buf_clear(out);
    if (words_in(arg) > STORE_KEYWORDS_EACH)
        return -PH_ELIMIT;
    if (op != STORE_FLAGS_SET)
        add_words(out, now, op == STORE_FLAGS_DEL ? arg : PH_STR(""));
    if (op != STORE_FLAGS_DEL)
        add_words(out, arg, PH_STR(""));
    if (ph_buf_err(out))
        return ph_buf_err(out);
    bool many = out->n > STORE_KEYWORDS_MAX || words_in(ph_buf_str(out)) > STORE_KEYWORDS_EACH;
    return many ? -PH_ELIMIT : 0;
}
