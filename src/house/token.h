/*
 * token.h - access tokens that an identity provider has signed: JWT (RFC 7519) in JWS compact form
 * (RFC 7515), as OAuth 2.0 providers give them (RFC 9068, and the many who did so before it).
 *
 *   keys of the provider (a JWK set) --read--> ph_token_keys --check(token)--> the name in its claim
 *
 * What a token must be is ours, by RFC 8725: signed by one of these keys with an algorithm of its
 * kind (RS, PS, ES; never "none", never one with a shared secret), made by this issuer, for this
 * audience, not expired. No I/O, no clock of its own.
 */
#ifndef PH_TOKEN_H
#define PH_TOKEN_H
#include <posthouse/base.h>

enum {
    PH_TOKEN_MAX = 8192, /* octets of a token */
    PH_TOKEN_KEYS = 64,  /* of a provider */
    PH_TOKEN_LEEWAY = 60 /* seconds by which its clock and ours may differ */
};

struct ph_token_rules {
    ph_str issuer, audience; /* iss; one of aud */
    ph_str claim; /* which one names the account; "email" must not be called unverified */
};

struct ph_token_keys;
/* jwks: {"keys": [...]} (RFC 7517 5). Keys of other kinds and purposes are passed over. -PH_EINVAL:
 * it is not that, or none is left, or too many are; -PH_ENOMEM. */
PH_MUST_CHECK int ph_token_keys_read(ph_str jwks, struct ph_token_keys **ret_keys,
                                     struct ph_error *reterr);
struct ph_token_keys *ph_token_keys_free(struct ph_token_keys *k); /* NULL allowed; returns NULL */

/* now: seconds since 1970. 0: *ret_name, in `arena`, is what the claim says. -PH_EAUTH: it is not
 * good, reterr says why, without a word of the token; -PH_ENOMEM. */
PH_MUST_CHECK int ph_token_check(const struct ph_token_keys *k, const struct ph_token_rules *rules,
                                 ph_str token, int64_t now, struct ph_arena *arena,
                                 ph_str *ret_name, struct ph_error *reterr);
/* The second half of it: the claims alone, a JSON object. */
PH_MUST_CHECK int ph__token_claims(const struct ph_token_rules *rules, ph_str json, int64_t now,
                                   struct ph_arena *arena, ph_str *ret_name,
                                   struct ph_error *reterr);
#endif
