/* sasl_int.h - what the files of the mechanisms share. libgsasl does PLAIN, LOGIN, CRAM-MD5,
 * EXTERNAL and SCRAM; the OAuth ones, which it does not have, are ours. */
#ifndef PH_SASL_INT_H
#define PH_SASL_INT_H
#include <gsasl.h>
#include <posthouse/sasl.h>

/* scram.c: both sides. Bindings and keys are given to the library in base64. 0 or -PH_ENOMEM. */
int ph__sasl_bind(Gsasl_session *s, const struct ph_sasl_channel *channel);
int ph__sasl_set(Gsasl_session *s, Gsasl_property property, ph_str value);
/* User and authzid of a client-first-message (RFC 5802 5.1), decoded; borrowed from scratch.
 * -PH_ESYNTAX. */
int ph__sasl_scram_names(ph_str first, struct ph_buf *scratch, ph_str *ret_user,
                         ph_str *ret_authzid);
/* The iteration count of a server-first-message is one that we compute. */
bool ph__sasl_scram_bearable(ph_str server_first);

/* oauth.c */
void ph__sasl_bearer_write(struct ph_buf *out, const struct ph_sasl_login *l, bool xoauth2);
/* -PH_ESYNTAX. Borrowed from `in`. */
int ph__sasl_bearer_read(ph_str in, bool xoauth2, ph_str *ret_user, ph_str *ret_token);
/* The value of "key" in one flat JSON object of strings; empty when it is not there. Borrowed. */
ph_str ph__sasl_json_value(ph_str json, ph_str key);

#endif
