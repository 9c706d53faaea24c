/* The queue id in a server's "250". */
#include "reply_id.h"
#include "ascii.h"

enum { ID_LEAST = 3, ID_MOST = 128 };

/* The id stands behind or in front of words that do not change. `end` ends it, besides a space. */
static const struct form {
    bool behind;
    const char *words, *end;
} forms[] = {
    {true, "queued as ", ".,;)"},                  /* Postfix, this one, many others */
    {true, "InternalId=", ",]"},                   /* Exchange; before "id=": it ends so, too */
    {true, "OK id=", ",;"},                        /* Exim */
    {true, "Message Queued (", ")"},               /* Haraka */
    {false, " Message accepted for delivery", ""}, /* Sendmail, OpenSMTPD */
    {false, " - gsmtp", ""},                       /* Gmail */
    {true, " qp ", ""},                            /* qmail: the number of its process */
    {true, "Ok ", ""},                             /* Amazon SES: nothing else follows */
};
enum { FORMS = sizeof forms / sizeof *forms };

static bool is_of_id(char c)
{
    return ph_is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '+' || c == '=' || c == '/' ||
           c == '@' || c == '<' || c == '>' || c == ':';
}

static size_t find(ph_str text, ph_str words)
{
    for (size_t i = 0; i + words.n <= text.n; i++)
        if (ph_str_ieq(ph_str_sub(text, i, words.n), words))
            return i;
    return PH_NPOS;
}

static ph_str word_behind(ph_str rest, ph_str end)
{
    size_t n = 0;
    while (n < rest.n && is_of_id(rest.p[n]))
        n++;
    while (n && ph_str_chr(end, rest.p[n - 1]) != PH_NPOS)
        n--;
    return ph_str_sub(rest, 0, n);
}

static ph_str word_before(ph_str front)
{
    size_t at = front.n;
    while (at && is_of_id(front.p[at - 1]))
        at--;
    return ph_str_skip(front, at);
}

/* A word of the language is no id. */
static bool has_digit(ph_str id)
{
    bool digit = false;
    for (size_t i = 0; i < id.n; i++)
        digit = digit || ph_is_digit(id.p[i]);
    return digit;
}

ph_str reply_id(ph_str text)
{
    for (size_t i = 0; i < FORMS; i++) {
        ph_str words = ph_str_c(forms[i].words);
        size_t at = find(text, words);
        if (at == PH_NPOS)
            continue;
        ph_str id = forms[i].behind
                        ? word_behind(ph_str_skip(text, at + words.n), ph_str_c(forms[i].end))
                        : word_before(ph_str_sub(text, 0, at));
        if (id.n >= ID_LEAST && id.n <= ID_MOST && has_digit(id))
            return id;
    }
    return (ph_str){0};
}
