/* rdata.h - answers of the DNS (RFC 1035 3.3, RFC 3596, RFC 6698) as text. Pure. */
#ifndef PH_RDATA_H
#define PH_RDATA_H
#include "ipc.h"

enum { RDATA_ANSWERS = 100, RDATA_TEXT = 4096 }; /* more answers, or a longer one, are left out */

struct rdata {
    uint32_t preference;
    ph_str text; /* borrowed from the buffer given to rdata_text */
};

/* A domain name of the wire as text without the last dot, lower case; the root is ".". false: not a
 * host name that mail can use (octets other than letters, digits, '-', '_'), or damaged. */
bool rdata_name(ph_str wire, struct ph_buf *out);
/* One record as the text that messages.def promises for `kind` (enum ipc_dns); appended. false:
 * damaged or of no use. */
bool rdata_text(int kind, ph_str wire, struct ph_buf *out, uint32_t *ret_preference);
/* All of them as rows `answer`, MX by preference. records: data and length as libunbound gives
 * them, ended by NULL. */
void rdata_rows(int kind, char *const *data, const int *len, struct ph_buf *rows);
/* "192.0.2.1" becomes "1.2.0.192.in-addr.arpa", IPv6 likewise; false: not an address. */
bool rdata_reverse(ph_str address, struct ph_buf *out);

#endif
