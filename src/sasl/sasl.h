/*
 * sasl.h - SASL for both sides of SMTP, POP3 and IMAP. Values are raw here: base64 is the engines'
 * work.
 *
 * Now: PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login), whose server side ends in a user
 * name and a password for the keeper to check.
 */
#ifndef PH_SASL_H
#define PH_SASL_H
#include <posthouse/base.h>

enum { PH_SASL_USER_MAX = 512, PH_SASL_PASSWORD_MAX = 1024 };

/* authzid NUL authcid NUL password. Slices are borrowed from `in`. -PH_ESYNTAX: wrong number of
 * NULs, an empty user or password, a part above its maximum, or not UTF-8. */
PH_MUST_CHECK int ph_sasl_plain_decode(ph_str in, ph_str *ret_authzid, ph_str *ret_user,
                                       ph_str *ret_password);
void ph_sasl_plain_encode(struct ph_buf *out, ph_str authzid, ph_str user, ph_str password);

/*
 * The server's side of one exchange, in the caller's storage.
 *
 *   init -> step(initial response, or none) -> SASL_MORE: send `challenge`, step(answer) ... ->
 * SASL_DONE: user, password
 */
enum ph_sasl_step { PH_SASL_DONE, PH_SASL_MORE };
struct ph_sasl_server {
    int mechanism; /* row of the table in sasl.c */
    int state;
    ph_str challenge; /* static; with SASL_MORE */
    ph_str user;      /* with SASL_DONE: point into secret below */
    ph_str password;
    size_t used;
    char secret[PH_SASL_USER_MAX + PH_SASL_PASSWORD_MAX + PH_SASL_USER_MAX + 2];
};

/* The mechanisms of ph_sasl_server, space-separated, as in a capability. */
#define PH_SASL_MECHANISMS "PLAIN LOGIN"

/* -PH_ENOTIMPL: no such mechanism (any case). */
PH_MUST_CHECK int ph_sasl_server_init(struct ph_sasl_server *s, ph_str mechanism);
/* enum ph_sasl_step, or -PH_ESYNTAX. `given`: the client's answer; has: false for the first step
 * without an initial response. PLAIN with an authzid other than the user: -PH_EDENIED. */
PH_MUST_CHECK int ph_sasl_server_step(struct ph_sasl_server *s, ph_str given, bool has);
void ph_sasl_server_done(struct ph_sasl_server *s); /* wipes the secrets */

#endif
