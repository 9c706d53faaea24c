/* dsn_class.c - reading the replies of other servers: status code, kind of refusal, advice. */
#include "dsn.h"

static bool digits(ph_str s, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++)
        if (i >= s.n || s.p[i] < '0' || s.p[i] > '9')
            return false;
    return n > 0;
}

/* "5.1.1" of RFC 3463 2, or empty. */
static ph_str enhanced(ph_str word)
{
    size_t dot = ph_str_rchr(word, '.');
    bool ok = word.n >= 5 && word.n <= 9 && digits(word, 0, 1) && word.p[1] == '.' &&
              dot != PH_NPOS && dot > 2 && digits(word, 2, dot - 2) &&
              digits(word, dot + 1, word.n - dot - 1);
    return ok ? word : (ph_str){0};
}

ph_str ph_dsn_status(ph_str reply, enum ph_dsn_action action)
{
    static const char *const plain[] = {"5.0.0", "4.4.7", "4.0.0", "2.1.5", "2.1.9", "2.1.5"};
    bool coded = digits(reply, 0, 3) && (reply.n == 3 || reply.p[3] == ' ' || reply.p[3] == '-');
    ph_str rest = coded ? ph_str_skip(reply, 4) : reply, word = {0};
    ph_str_token(&rest, ' ', &word);
    ph_str esc = enhanced(word);
    bool said = esc.n && (action < PH_DSN_DELIVERED || esc.p[0] == '2');
    if (said)
        return esc;
    if (coded && action == PH_DSN_FAILED && reply.p[0] == '4')
        return PH_STR("4.0.0");
    return ph_str_c(plain[action]);
}

static const struct {
    const char *name, *advice;
} classes[] = {
#define CLASS(id, name, advice) {name, advice},
#define RULE(what, id)
#include "dsn_class.def"
#undef CLASS
#undef RULE
};

enum {
#define CLASS(id, name, advice) CLASS_##id,
#define RULE(what, id)
#include "dsn_class.def"
#undef CLASS
#undef RULE
};

/* The first that fits counts. ".2.2" is subject and detail of the enhanced code; anything else is
 * found in the text, whatever its case. */
static const struct {
    const char *what;
    int class;
} rules[] = {
#define CLASS(id, name, advice)
#define RULE(what, id) {what, CLASS_##id},
#include "dsn_class.def"
#undef CLASS
#undef RULE
};

static bool contains(ph_str text, ph_str what)
{
    for (size_t i = 0; i + what.n <= text.n; i++)
        if (ph_str_ieq(ph_str_sub(text, i, what.n), what))
            return true;
    return false;
}

static bool fits(ph_str what, ph_str esc, ph_str text)
{
    if (what.p[0] != '.')
        return contains(text, what);
    return what.p[what.n - 1] == '.' ? ph_str_has_prefix(esc, what) : ph_str_eq(esc, what);
}

const char *ph_dsn_class(ph_str reply, enum ph_dsn_action action, const char **ret_advice)
{
    enum { RULES = sizeof rules / sizeof *rules, LOOK = 1000 };
    ph_str text = ph_str_sub(reply, 0, LOOK), esc = ph_str_skip(ph_dsn_status(reply, action), 1);
    size_t i = 0;
    while (i < RULES && !fits(ph_str_c(rules[i].what), esc, text))
        i++;
    int class = i < RULES ? rules[i].class : CLASS_OTHER;
    if (ret_advice)
        *ret_advice = classes[class].advice;
    return classes[class].name;
}
