/* PLAIN and LOGIN, both sides of the bytes and the server's side of the exchange. */
#include "sasl.h"
#include <string.h>

static bool fits(ph_str s, size_t max)
{
    return s.n > 0 && s.n <= max;
}

/* UTF-8 as RFC 3629 has it: shortest form, no surrogates, up to U+10FFFF. */
static bool is_utf8(ph_str s)
{
    static const struct {
        unsigned char lead_from, lead_to, more, second_from, second_to;
    } rows[] = {
        {0x01, 0x7f, 0, 0, 0},       {0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf},
        {0xe1, 0xec, 2, 0x80, 0xbf}, {0xed, 0xed, 2, 0x80, 0x9f}, {0xee, 0xef, 2, 0x80, 0xbf},
        {0xf0, 0xf0, 3, 0x90, 0xbf}, {0xf1, 0xf3, 3, 0x80, 0xbf}, {0xf4, 0xf4, 3, 0x80, 0x8f},
    };
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n;) {
        size_t r = 0;
        while (r < sizeof rows / sizeof rows[0] &&
               (p[i] < rows[r].lead_from || p[i] > rows[r].lead_to))
            r++;
        if (r == sizeof rows / sizeof rows[0] || s.n - i <= rows[r].more)
            return false;
        for (size_t k = 1; k <= rows[r].more; k++)
            if (k == 1 ? p[i + 1] < rows[r].second_from || p[i + 1] > rows[r].second_to
                       : (p[i + k] & 0xc0) != 0x80)
                return false;
        i += 1u + rows[r].more;
    }
    return true;
}

int ph_sasl_plain_decode(ph_str in, ph_str *ret_authzid, ph_str *ret_user, ph_str *ret_password)
{
    size_t first = ph_str_chr(in, '\0');
    if (first == PH_NPOS)
        return -PH_ESYNTAX;
    ph_str rest = ph_str_skip(in, first + 1);
    size_t second = ph_str_chr(rest, '\0');
    if (second == PH_NPOS)
        return -PH_ESYNTAX;
    ph_str authzid = ph_str_sub(in, 0, first), user = ph_str_sub(rest, 0, second);
    ph_str password = ph_str_skip(rest, second + 1);
    if (authzid.n > PH_SASL_USER_MAX || !fits(user, PH_SASL_USER_MAX) ||
        !fits(password, PH_SASL_PASSWORD_MAX) || !is_utf8(authzid) || !is_utf8(user) ||
        !is_utf8(password))
        return -PH_ESYNTAX;
    *ret_authzid = authzid;
    *ret_user = user;
    *ret_password = password;
    return 0;
}

void ph_sasl_plain_encode(struct ph_buf *out, ph_str authzid, ph_str user, ph_str password)
{
    ph_buf_add(out, authzid);
    ph_buf_addc(out, '\0');
    ph_buf_add(out, user);
    ph_buf_addc(out, '\0');
    ph_buf_add(out, password);
}

/* ---- server ------------------------------------------------------------------------------ */

static ph_str keep(struct ph_sasl_server *s, ph_str value)
{
    char *p = s->secret + s->used;
    if (value.n)
        memcpy(p, value.p, value.n);
    s->used += value.n;
    return (ph_str){p, value.n};
}

static int more(struct ph_sasl_server *s, ph_str challenge)
{
    s->challenge = challenge;
    return PH_SASL_MORE;
}

static int step_plain(struct ph_sasl_server *s, ph_str given, bool has)
{
    if (!has)
        return s->state++ == 0 ? more(s, (ph_str){0}) : -PH_ESYNTAX;
    ph_str authzid, user, password;
    if (ph_sasl_plain_decode(given, &authzid, &user, &password) < 0)
        return -PH_ESYNTAX;
    if (authzid.n && !ph_str_ieq(authzid, user))
        return -PH_EDENIED;
    s->user = keep(s, user);
    s->password = keep(s, password);
    return PH_SASL_DONE;
}

/* LOGIN: the initial response, where one is given, is the user name. */
static int step_login(struct ph_sasl_server *s, ph_str given, bool has)
{
    enum { WANT_USER, ASKED_USER, ASKED_PASSWORD };
    if (s->state == WANT_USER && !has) {
        s->state = ASKED_USER;
        return more(s, PH_STR("Username:"));
    }
    bool second = s->state == ASKED_PASSWORD;
    if (!has || !fits(given, second ? PH_SASL_PASSWORD_MAX : PH_SASL_USER_MAX) || !is_utf8(given))
        return -PH_ESYNTAX;
    if (second) {
        s->password = keep(s, given);
        return PH_SASL_DONE;
    }
    s->user = keep(s, given);
    s->state = ASKED_PASSWORD;
    return more(s, PH_STR("Password:"));
}

static const struct {
    ph_str name;
    int (*step)(struct ph_sasl_server *s, ph_str given, bool has);
} mechanisms[] = {
    {PH_STR_INIT("PLAIN"), step_plain},
    {PH_STR_INIT("LOGIN"), step_login},
};

int ph_sasl_server_init(struct ph_sasl_server *s, ph_str mechanism)
{
    for (size_t i = 0; i < sizeof mechanisms / sizeof mechanisms[0]; i++)
        if (ph_str_ieq(mechanism, mechanisms[i].name)) {
            memset(s, 0, sizeof *s);
            s->mechanism = (int)i;
            return 0;
        }
    return -PH_ENOTIMPL;
}

int ph_sasl_server_step(struct ph_sasl_server *s, ph_str given, bool has)
{
    return mechanisms[s->mechanism].step(s, given, has);
}

void ph_sasl_server_done(struct ph_sasl_server *s)
{
    ph_wipe(s, sizeof *s);
}
