/* Domains between A-labels and U-labels (RFC 5890), and addresses for the eye. */
#include <idn2.h>
#include <stdlib.h>
#include <string.h>

#include "mime_int.h"
#include "utf8.h"
#include "words.h"

enum { HOST_MOST = 1000 }; /* bytes; a domain has at most 253 in A-labels */

static bool is_literal(ph_str host)
{
    return host.n && host.p[0] == '[';
}

int ph_host_ascii(ph_str host, struct ph_buf *out)
{
    char name[HOST_MOST + 1], *ascii = NULL;
    if (host.n == 0 || host.n > HOST_MOST || ph_str_chr(host, 0) != PH_NPOS)
        return -PH_EINVAL;
    if (ph_ascii_only(host)) {
        ph_buf_add(out, host);
        return ph_buf_err(out);
    }
    memcpy(name, host.p, host.n);
    name[host.n] = 0;
    int rc = is_literal(host)
                 ? IDN2_DISALLOWED
                 : idn2_to_ascii_8z(name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc == IDN2_OK)
        ph_buf_add(out, ph_str_c(ascii));
    idn2_free(ascii);
    if (rc != IDN2_OK)
        return rc == IDN2_MALLOC ? -PH_ENOMEM : -PH_EINVAL;
    return ph_buf_err(out);
}

int ph_host_unicode(ph_str host, struct ph_buf *out)
{
    char name[HOST_MOST + 1], *utf8 = NULL;
    bool may = host.n <= HOST_MOST && ph_ascii_only(host) && ph_str_chr(host, 0) == PH_NPOS &&
               ph_str_ifind(host, PH_STR("xn--")) != PH_NPOS && !is_literal(host);
    if (may) {
        memcpy(name, host.p, host.n);
        name[host.n] = 0;
        may = idn2_to_unicode_8z8z(name, &utf8, IDN2_NONTRANSITIONAL) == IDN2_OK &&
              ph_utf8_is_valid(ph_str_c(utf8));
    }
    if (may)
        ph_buf_add(out, ph_str_c(utf8));
    else
        ph_utf8_add_repaired(out, host);
    idn2_free(utf8);
    return ph_buf_err(out);
}

int ph_address_text(const struct ph_address *a, struct ph_buf *out)
{
    if (a->name.n)
        ph_words_decode(out, a->name);
    if (a->kind != PH_ADDRESS_MAILBOX)
        return ph_buf_err(out);
    bool brackets = a->name.n > 0;
    struct ph_buf local;
    ph_buf_init(&local, out->al, SIZE_MAX / 2);
    ph_utf8_add_repaired(&local, a->local);
    if (brackets)
        ph_buf_add(out, PH_STR(" <"));
    ph_address_write(out, ph_buf_str(&local), (ph_str){0});
    int rc = ph_buf_err(&local);
    ph_buf_done(&local);
    if (a->host.n) {
        ph_buf_addc(out, '@');
        if (rc == 0)
            rc = ph_host_unicode(a->host, out);
    }
    if (brackets)
        ph_buf_addc(out, '>');
    return rc ? rc : ph_buf_err(out);
}
