/* Signatures are libcjose's work, JSON is jansson's; which of them count is decided here. */
#include "token.h"
#include "ascii.h"

#include <cjose/cjose.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct ph_token_keys {
    size_t count;
    struct key {
        cjose_jwk_t *jwk;
        char alg[8]; /* what it is for alone; empty: what its kind can do */
    } keys[PH_TOKEN_KEYS];
};

/* The algorithms that are taken (RFC 7518 3.1), and the kind of key each needs: a public key must
 * never be used as the secret of another algorithm (RFC 8725 2.1). */
static const struct {
    const char *name;
    cjose_jwk_kty_t kind;
} algorithms[] = {
    {"RS256", CJOSE_JWK_KTY_RSA}, {"RS384", CJOSE_JWK_KTY_RSA}, {"RS512", CJOSE_JWK_KTY_RSA},
    {"PS256", CJOSE_JWK_KTY_RSA}, {"PS384", CJOSE_JWK_KTY_RSA}, {"PS512", CJOSE_JWK_KTY_RSA},
    {"ES256", CJOSE_JWK_KTY_EC},  {"ES384", CJOSE_JWK_KTY_EC},  {"ES512", CJOSE_JWK_KTY_EC},
};

static cjose_jwk_kty_t kind_of(const char *alg)
{
    for (size_t i = 0; alg && i < sizeof algorithms / sizeof *algorithms; i++)
        if (strcmp(alg, algorithms[i].name) == 0)
            return algorithms[i].kind;
    return 0;
}

/* The library ends the process over some texts that are not base64url without padding (RFC 7515 2):
 * it sees none of them. */
static bool is_base64url(ph_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(ph_is_alnum(c) || c == '-' || c == '_'))
            return false;
    }
    return s.n && s.n % 4 != 1;
}

/* ---- keys -------------------------------------------------------------------------------- */

static bool is_string(const json_t *object, const char *name, const char *value)
{
    const char *has = json_string_value(json_object_get(object, name));
    return has && strcmp(has, value) == 0;
}

/* A key for signatures, of a kind that we know. */
static bool is_ours(const json_t *key)
{
    const char *alg = json_string_value(json_object_get(key, "alg"));
    bool kind = is_string(key, "kty", "RSA") || is_string(key, "kty", "EC");
    return kind && !is_string(key, "use", "enc") && (!alg || kind_of(alg));
}

/* The public half alone; NULL: a number of it is not one, or there is no memory. */
static json_t *public_half(const json_t *key)
{
    static const char *const texts[] = {"kty", "crv", "kid"}, *const numbers[] = {"n", "e", "x",
                                                                                  "y"};
    json_t *half = json_object(), *at;
    bool ok = half != NULL;
    for (size_t i = 0; ok && i < 3; i++)
        if (json_is_string(at = json_object_get(key, texts[i])))
            ok = json_object_set(half, texts[i], at) == 0;
    for (size_t i = 0; ok && i < 4; i++)
        if (json_is_string(at = json_object_get(key, numbers[i])))
            ok = is_base64url((ph_str){json_string_value(at), json_string_length(at)}) &&
                 json_object_set(half, numbers[i], at) == 0;
    if (!ok)
        json_decref(half);
    return ok ? half : NULL;
}

static int add_key(struct ph_token_keys *k, const json_t *key, struct ph_error *reterr)
{
    json_t *half = public_half(key);
    char *text = half ? json_dumps(half, JSON_COMPACT) : NULL;
    json_decref(half);
    struct key *at = &k->keys[k->count];
    const char *alg = json_string_value(json_object_get(key, "alg"));
    cjose_err why;
    at->jwk = text ? cjose_jwk_import(text, strlen(text), &why) : NULL;
    free(text);
    if (!at->jwk)
        return ph_fail(reterr, PH_EINVAL, 0, "key %zu of the set is broken", k->count + 1);
    if (alg)
        memcpy(at->alg, alg, strlen(alg) + 1);
    k->count++;
    return 0;
}

static int add_keys(struct ph_token_keys *k, const json_t *set, struct ph_error *reterr)
{
    size_t i;
    json_t *key;
    int r = 0;
    json_array_foreach(set, i, key)
    {
        if (!is_ours(key))
            continue;
        if (k->count == PH_TOKEN_KEYS)
            return ph_fail(reterr, PH_EINVAL, 0, "there are more than %d keys", PH_TOKEN_KEYS);
        r = add_key(k, key, reterr);
        if (r < 0)
            return r;
    }
    return k->count ? 0 : ph_fail(reterr, PH_EINVAL, 0, "there is no RSA or EC key for signatures");
}

int ph_token_keys_read(ph_str jwks, struct ph_token_keys **ret_keys, struct ph_error *reterr)
{
    json_error_t at;
    json_t *root = json_loadb(jwks.n ? jwks.p : "", jwks.n, JSON_REJECT_DUPLICATES, &at);
    const json_t *set = json_object_get(root, "keys");
    struct ph_token_keys *k = calloc(1, sizeof *k);
    int r = -PH_ENOMEM;
    if (!root)
        r = ph_fail(reterr, PH_EINVAL, 0, "not JSON, line %d: %s", at.line, at.text);
    else if (!json_is_array(set))
        r = ph_fail(reterr, PH_EINVAL, 0, "not a set of keys: {\"keys\": [...]} (RFC 7517 5)");
    else if (k)
        r = add_keys(k, set, reterr);
    json_decref(root);
    if (r < 0)
        k = ph_token_keys_free(k);
    *ret_keys = k;
    return r;
}

struct ph_token_keys *ph_token_keys_free(struct ph_token_keys *k)
{
    for (size_t i = 0; k && i < k->count; i++)
        cjose_jwk_release(k->keys[i].jwk);
    free(k);
    return NULL;
}

/* ---- claims ------------------------------------------------------------------------------ */

static bool is(const json_t *value, ph_str wanted)
{
    return json_is_string(value) &&
           ph_str_eq((ph_str){json_string_value(value), json_string_length(value)}, wanted);
}

static bool is_for(const json_t *aud, ph_str audience)
{
    size_t i;
    json_t *one;
    json_array_foreach(aud, i, one) if (is(one, audience)) return true;
    return is(aud, audience);
}

/* Why these claims are not good; NULL: they are. */
static const char *fault(const struct ph_token_rules *rules, const json_t *claims, int64_t now)
{
    const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
    const json_t *verified = json_object_get(claims, "email_verified");
    bool email = ph_str_eq(rules->claim, PH_STR("email"));
    if (!json_is_object(claims))
        return "its claims are not a JSON object";
    if (!is(json_object_get(claims, "iss"), rules->issuer))
        return "it is of another issuer (iss)";
    if (!is_for(json_object_get(claims, "aud"), rules->audience))
        return "it is for another audience (aud)";
    if (!json_is_number(exp) || !(json_number_value(exp) > (double)(now - PH_TOKEN_LEEWAY)))
        return json_is_number(exp) ? "it has expired (exp)" : "it does not say when it expires";
    if (nbf && !(json_number_value(nbf) <= (double)(now + PH_TOKEN_LEEWAY)))
        return "it is not valid yet (nbf)";
    if (email && verified && !json_is_true(verified) && !is(verified, PH_STR("true")))
        return "its email is not verified";
    return NULL;
}

int ph__token_claims(const struct ph_token_rules *rules, ph_str json, int64_t now,
                     struct ph_arena *arena, ph_str *ret_name, struct ph_error *reterr)
{
    json_t *claims = json_loadb(json.n ? json.p : "", json.n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *name = NULL;
    const char *why = fault(rules, claims, now);
    int r = why ? ph_fail(reterr, PH_EAUTH, 0, "%s", why) : 0;
    if (r == 0) {
        name = json_object_getn(claims, rules->claim.p, rules->claim.n);
        if (!json_string_length(name))
            r = ph_fail(reterr, PH_EAUTH, 0, "it has no claim \"%.*s\"", PH_FMT(rules->claim));
    }
    if (r == 0) {
        *ret_name =
            ph_arena_copy(arena, (ph_str){json_string_value(name), json_string_length(name)});
        r = ret_name->p ? 0 : ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    }
    json_decref(claims);
    return r;
}

/* ---- signatures -------------------------------------------------------------------------- */

static const char *header(cjose_header_t *h, const char *name)
{
    cjose_err why;
    return cjose_header_get(h, name, &why);
}

/* "JWT" or "at+jwt" (RFC 9068 2.1), where it is said; other things that a provider signs are no
 * access tokens (RFC 8725 3.11). */
static bool is_access(const char *typ)
{
    ph_str t = ph_str_c(typ);
    if (ph_str_has_iprefix(t, PH_STR("application/")))
        t = ph_str_skip(t, 12);
    return !typ || ph_str_ieq(t, PH_STR("JWT")) || ph_str_ieq(t, PH_STR("at+jwt"));
}

/* With a name (kid) only the keys of that name, or without any. */
static bool fits(const struct key *k, const char *kid, const char *alg)
{
    cjose_err why;
    const char *own = cjose_jwk_get_kid(k->jwk, &why);
    return cjose_jwk_get_kty(k->jwk, &why) == kind_of(alg) &&
           (!*k->alg || strcmp(k->alg, alg) == 0) && (!kid || !own || strcmp(kid, own) == 0);
}

static const char *unsigned_why(const struct ph_token_keys *k, cjose_jws_t *jws)
{
    cjose_header_t *h = cjose_jws_get_protected(jws);
    cjose_err why;
    const char *alg = header(h, CJOSE_HDR_ALG), *kid = header(h, CJOSE_HDR_KID);
    char *crit = cjose_header_get_raw(h, "crit", &why);
    bool extended = crit != NULL;
    free(crit);
    if (!kind_of(alg))
        return "it is signed by an algorithm that is not taken";
    if (extended || !is_access(header(h, "typ"))) /* we understand no extension (RFC 7515 4.1.11) */
        return "it is not an access token";
    bool known = false;
    for (size_t i = 0; i < k->count; i++)
        if (fits(&k->keys[i], kid, alg)) {
            known = true;
            if (cjose_jws_verify(jws, k->keys[i].jwk, &why))
                return NULL;
        }
    return known ? "its signature is wrong"
                 : "its key is not in oauth_keys (did the provider change them?)";
}

/* Header, claims, signature (RFC 7515 7.1). */
static bool is_compact(ph_str token)
{
    size_t first = ph_str_chr(token, '.'), last = ph_str_rchr(token, '.');
    if (first == PH_NPOS || first == last)
        return false;
    return is_base64url(ph_str_sub(token, 0, first)) &&
           is_base64url(ph_str_sub(token, first + 1, last - first - 1)) &&
           is_base64url(ph_str_skip(token, last + 1));
}

int ph_token_check(const struct ph_token_keys *k, const struct ph_token_rules *rules, ph_str token,
                   int64_t now, struct ph_arena *arena, ph_str *ret_name, struct ph_error *reterr)
{
    cjose_err why;
    uint8_t *claims;
    size_t n;
    if (!token.n || token.n > PH_TOKEN_MAX)
        return ph_fail(reterr, PH_EAUTH, 0, "it is empty or too long");
    cjose_jws_t *jws = is_compact(token) ? cjose_jws_import(token.p, token.n, &why) : NULL;
    if (!jws)
        return ph_fail(reterr, PH_EAUTH, 0, "it is not a signed JWT");
    const char *fault_text = unsigned_why(k, jws);
    int r = fault_text ? ph_fail(reterr, PH_EAUTH, 0, "%s", fault_text) : 0;
    if (r == 0)
        r = cjose_jws_get_plaintext(jws, &claims, &n, &why)
                ? ph__token_claims(rules, (ph_str){(const char *)claims, n}, now, arena, ret_name,
                                   reterr)
                : ph_fail(reterr, PH_EAUTH, 0, "it has no claims");
    cjose_jws_release(jws);
    return r;
}
