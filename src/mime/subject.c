/* Prefixes of subjects. */
#include "ascii.h"
#include <posthouse/reply.h>

/* What mail programs of many languages put before a subject, compared without regard to the case of
 * ASCII letters. */
static const struct {
    ph_str word;
    enum ph_subject kind;
} prefixes[] = {
    {PH_STR_INIT("Re"), PH_SUBJECT_REPLY},
    {PH_STR_INIT("AW"), PH_SUBJECT_REPLY},               /* German */
    {PH_STR_INIT("SV"), PH_SUBJECT_REPLY},               /* Danish, Norwegian, Swedish */
    {PH_STR_INIT("Antw"), PH_SUBJECT_REPLY},             /* Dutch */
    {PH_STR_INIT("Antwort"), PH_SUBJECT_REPLY},          /* German */
    {PH_STR_INIT("Odp"), PH_SUBJECT_REPLY},              /* Polish */
    {PH_STR_INIT("Res"), PH_SUBJECT_REPLY},              /* Portuguese */
    {PH_STR_INIT("Rif"), PH_SUBJECT_REPLY},              /* Italian */
    {PH_STR_INIT("YNT"), PH_SUBJECT_REPLY},              /* Turkish */
    {PH_STR_INIT("ATB"), PH_SUBJECT_REPLY},              /* Welsh */
    {PH_STR_INIT("\xce\x91\xce\xa0"), PH_SUBJECT_REPLY}, /* Greek */
    {PH_STR_INIT("\xce\xa3\xce\xa7\xce\x95\xce\xa4"), PH_SUBJECT_REPLY}, /* Greek */
    {PH_STR_INIT("\xd7\x94\xd7\xa9\xd7\x91"), PH_SUBJECT_REPLY},         /* Hebrew */
    {PH_STR_INIT("\xd8\xb1\xd8\xaf"), PH_SUBJECT_REPLY},                 /* Arabic */
    {PH_STR_INIT("\xe5\x9b\x9e\xe5\xa4\x8d"), PH_SUBJECT_REPLY},         /* Chinese: reply */
    {PH_STR_INIT("\xe5\x9b\x9e\xe8\xa6\x86"), PH_SUBJECT_REPLY},
    {PH_STR_INIT("\xe5\x9b\x9e\xe5\xbe\xa9"), PH_SUBJECT_REPLY},
    {PH_STR_INIT("\xe7\xad\x94\xe5\xa4\x8d"), PH_SUBJECT_REPLY}, /* Chinese: answer */
    {PH_STR_INIT("\xe7\xad\x94\xe8\xa6\x86"), PH_SUBJECT_REPLY},
    {PH_STR_INIT("\xeb\x8b\xb5\xec\x9e\xa5"), PH_SUBJECT_REPLY}, /* Korean */
    {PH_STR_INIT("\xed\x9a\x8c\xec\x8b\xa0"), PH_SUBJECT_REPLY},
    {PH_STR_INIT("Fwd"), PH_SUBJECT_FORWARD},
    {PH_STR_INIT("FW"), PH_SUBJECT_FORWARD},
    {PH_STR_INIT("WG"), PH_SUBJECT_FORWARD},                       /* German */
    {PH_STR_INIT("VB"), PH_SUBJECT_FORWARD},                       /* Swedish */
    {PH_STR_INIT("VS"), PH_SUBJECT_FORWARD},                       /* Norwegian, Danish */
    {PH_STR_INIT("VL"), PH_SUBJECT_FORWARD},                       /* Finnish */
    {PH_STR_INIT("TR"), PH_SUBJECT_FORWARD},                       /* French */
    {PH_STR_INIT("RV"), PH_SUBJECT_FORWARD},                       /* Spanish */
    {PH_STR_INIT("ENC"), PH_SUBJECT_FORWARD},                      /* Portuguese */
    {PH_STR_INIT("Doorst"), PH_SUBJECT_FORWARD},                   /* Dutch */
    {PH_STR_INIT("PD"), PH_SUBJECT_FORWARD},                       /* Polish */
    {PH_STR_INIT("YML"), PH_SUBJECT_FORWARD},                      /* Welsh */
    {PH_STR_INIT("\xc4\xb0LT"), PH_SUBJECT_FORWARD},               /* Turkish */
    {PH_STR_INIT("\xce\xa0\xce\xa1\xce\x98"), PH_SUBJECT_FORWARD}, /* Greek */
    {PH_STR_INIT("\xe8\xbd\xac\xe5\x8f\x91"), PH_SUBJECT_FORWARD}, /* Chinese */
    {PH_STR_INIT("\xe8\xbd\x89\xe5\xaf\x84"), PH_SUBJECT_FORWARD},
    {PH_STR_INIT("\xe8\xbd\x89\xe7\x99\xbc"), PH_SUBJECT_FORWARD},
    {PH_STR_INIT("\xe8\xbb\xa2\xe9\x80\x81"), PH_SUBJECT_FORWARD}, /* Japanese */
    {PH_STR_INIT("\xec\xa0\x84\xeb\x8b\xac"), PH_SUBJECT_FORWARD}, /* Korean */
};

/* "[2]", "(2)", "^2" or nothing. */
static ph_str skip_number(ph_str s)
{
    size_t n = 0;
    if (s.n < 2 || (s.p[0] != '[' && s.p[0] != '(' && s.p[0] != '^'))
        return s;
    for (n = 1; n < s.n && ph_is_digit(s.p[n]);)
        n++;
    if (n == 1)
        return s;
    if (s.p[0] == '^')
        return ph_str_skip(s, n);
    bool closed = n < s.n && s.p[n] == (s.p[0] == '[' ? ']' : ')');
    return closed ? ph_str_skip(s, n + 1) : s;
}

static ph_str skip_colon(ph_str s)
{
    s = ph_str_trim(s);
    return ph_str_has_prefix(s, PH_STR(":"))              ? ph_str_skip(s, 1)
           : ph_str_has_prefix(s, PH_STR("\xef\xbc\x9a")) ? ph_str_skip(s, 3) /* wide */
                                                          : (ph_str){0};
}

/* Cuts one prefix of that kind off the front of *s. */
static bool cut_prefix(ph_str *s, enum ph_subject kind)
{
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (prefixes[i].kind != kind || !ph_str_has_iprefix(*s, prefixes[i].word))
            continue;
        ph_str rest = skip_colon(skip_number(ph_str_skip(*s, prefixes[i].word.n)));
        if (rest.p) {
            *s = ph_str_trim(rest);
            return true;
        }
    }
    return false;
}

/* The length of a "[list] " at the front; 0. */
static size_t list_tag(ph_str s)
{
    size_t close = s.n && s.p[0] == '[' ? ph_str_chr(s, ']') : PH_NPOS;
    return close == PH_NPOS ? 0 : close + 1;
}

int ph_subject_write(ph_str subject, enum ph_subject kind, ph_str prefix, struct ph_buf *out)
{
    ph_str rest = ph_str_trim(subject);
    while (cut_prefix(&rest, kind))
        continue;
    size_t n = list_tag(rest);
    ph_str tag = {rest.p, n}, behind = ph_str_trim(ph_str_skip(rest, n));
    bool was_cut = false;
    while (n && cut_prefix(&behind, kind))
        was_cut = true;
    ph_buf_add(out, prefix.n                     ? prefix
                    : kind == PH_SUBJECT_FORWARD ? PH_STR("Fwd: ")
                                                 : PH_STR("Re: "));
    if (was_cut) {
        ph_buf_add(out, tag);
        ph_buf_addc(out, ' ');
        rest = behind;
    }
    ph_buf_add(out, rest);
    return ph_buf_err(out);
}
