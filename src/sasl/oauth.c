/*
 * OAUTHBEARER (RFC 7628 3.1) and XOAUTH2, which libgsasl does not have.
 *
 *   OAUTHBEARER  n,a=user,^Ahost=...^Aport=...^Aauth=Bearer token^A^A
 *   XOAUTH2      user=user^Aauth=Bearer token^A^A
 */
#include "sasl_int.h"

static const ph_str bearer = PH_STR_INIT("auth=Bearer ");

static void add_saslname(struct ph_buf *out, ph_str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == ',')
            ph_buf_add(out, PH_STR("=2C"));
        else if (name.p[i] == '=')
            ph_buf_add(out, PH_STR("=3D"));
        else
            ph_buf_addc(out, name.p[i]);
}

void ph__sasl_bearer_write(struct ph_buf *out, const struct ph_sasl_login *l, bool xoauth2)
{
    if (xoauth2) {
        ph_buf_add(out, PH_STR("user="));
        ph_buf_add(out, l->user);
    } else {
        ph_buf_add(out, PH_STR("n,a="));
        add_saslname(out, l->user);
        ph_buf_addc(out, ',');
        if (l->host.n) {
            ph_buf_add(out, PH_STR("\001host="));
            ph_buf_add(out, l->host);
        }
        if (l->port)
            ph_buf_addf(out, "\001port=%u", l->port);
    }
    ph_buf_addc(out, '\001');
    ph_buf_add(out, bearer);
    ph_buf_add(out, l->token);
    ph_buf_add(out, PH_STR("\001\001"));
}

int ph__sasl_bearer_read(ph_str in, bool xoauth2, ph_str *ret_user, ph_str *ret_token)
{
    ph_str pair, user = {0}, token = {0};
    if (!ph_str_has_suffix(in, PH_STR("\001\001")) || !ph_str_token(&in, '\001', &pair))
        return -PH_ESYNTAX;
    if (xoauth2) {
        if (!ph_str_has_iprefix(pair, PH_STR("user=")))
            return -PH_ESYNTAX;
        user = ph_str_skip(pair, 5);
    } else { /* gs2-header: n or y, no channel binding; then an authzid or nothing */
        ph_str flag, name = {0};
        if (!ph_str_token(&pair, ',', &flag) || flag.n != 1 ||
            (flag.p[0] != 'n' && flag.p[0] != 'y'))
            return -PH_ESYNTAX;
        ph_str_token(&pair, ',', &name);
        if (name.n && !ph_str_has_prefix(name, PH_STR("a=")))
            return -PH_ESYNTAX;
        user = ph_str_skip(name, 2);
        if (ph_str_chr(user, '=') != PH_NPOS) /* names with "," and "=" in them are not ours */
            return -PH_ESYNTAX;
    }
    while (ph_str_token(&in, '\001', &pair))
        if (ph_str_has_iprefix(pair, bearer))
            token = ph_str_trim(ph_str_skip(pair, bearer.n));
    if (!token.n || token.n > PH_SASL_TOKEN_MAX || user.n > PH_SASL_USER_MAX)
        return -PH_ESYNTAX;
    *ret_user = user;
    *ret_token = token;
    return 0;
}

ph_str ph__sasl_json_value(ph_str json, ph_str key)
{
    for (size_t at; (at = ph_str_find(json, key)) != PH_NPOS;) {
        ph_str rest = ph_str_skip(json, at + key.n);
        bool quoted = at > 0 && json.p[at - 1] == '"' && rest.n && rest.p[0] == '"';
        rest = ph_str_trim(ph_str_skip(rest, 1));
        if (quoted && rest.n && rest.p[0] == ':') {
            rest = ph_str_trim(ph_str_skip(rest, 1));
            if (rest.n && rest.p[0] == '"') {
                rest = ph_str_skip(rest, 1);
                return ph_str_sub(rest, 0, ph_str_chr(rest, '"'));
            }
        }
        json = ph_str_skip(json, at + key.n);
    }
    return (ph_str){0};
}
