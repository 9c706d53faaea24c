/* PLAIN's bytes (RFC 4616), which the engines need without the rest of SASL. */
#include "utf8.h"
#include <posthouse/sasl.h>

static bool is_part(ph_str s, size_t max)
{
    return s.n <= max && ph_utf8_is_valid(s) && ph_str_chr(s, '\0') == PH_NPOS;
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
    if (!is_part(authzid, PH_SASL_USER_MAX) || !is_part(user, PH_SASL_USER_MAX) || !user.n ||
        !is_part(password, PH_SASL_PASSWORD_MAX) || !password.n)
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
