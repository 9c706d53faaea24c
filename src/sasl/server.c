/*
 * The server's side of one exchange.
 *
 *   PLAIN, XOAUTH2,         [-> ""] <- all of it                             DONE
 *   OAUTHBEARER, EXTERNAL
 *   LOGIN                   -> "Username:" <- user -> "Password:" <- password  DONE
 *   SCRAM                   [-> ""] <- client-first                          KEYS_NEEDED, keys
 *                           -> server-first <- client-final
 *                           -> server-final <- ""                            DONE
 */
#include "b64.h"
#include "sasl_int.h"
#include "utf8.h"
#include <stdio.h>
#include <string.h>

enum { FIRST_MAX = 2048 };

typedef int step_fn(struct ph_sasl_server *s, ph_str given, bool has);
static step_fn step_plain, step_login, step_bearer, step_external, step_scram;

static const struct {
    ph_str name;
    unsigned proof;
    step_fn *step;
    bool plus;
    enum ph_sasl_hash hash;
    int strength;
} mechanisms[] = {
    {PH_STR_INIT("PLAIN"), PH_SASL_PASSWORD, step_plain, false, 0, 2},
    {PH_STR_INIT("LOGIN"), PH_SASL_PASSWORD, step_login, false, 0, 1},
    {PH_STR_INIT("SCRAM-SHA-256-PLUS"), PH_SASL_KEYS, step_scram, true, PH_SASL_SHA256, 9},
    {PH_STR_INIT("SCRAM-SHA-1-PLUS"), PH_SASL_KEYS, step_scram, true, PH_SASL_SHA1, 8},
    {PH_STR_INIT("SCRAM-SHA-256"), PH_SASL_KEYS, step_scram, false, PH_SASL_SHA256, 7},
    {PH_STR_INIT("SCRAM-SHA-1"), PH_SASL_KEYS, step_scram, false, PH_SASL_SHA1, 6},
    {PH_STR_INIT("EXTERNAL"), PH_SASL_CERTIFICATE, step_external, false, 0, 5},
    {PH_STR_INIT("OAUTHBEARER"), PH_SASL_TOKEN, step_bearer, false, 0, 4},
    {PH_STR_INIT("XOAUTH2"), PH_SASL_TOKEN, step_bearer, false, 0, 3},
};
enum { MECHANISMS = sizeof mechanisms / sizeof mechanisms[0], STRONGEST = 9 };

static bool is_possible(size_t i, unsigned proofs, const struct ph_sasl_channel *channel)
{
    return (mechanisms[i].proof & proofs) && (!mechanisms[i].plus || (channel && channel->data.n));
}

void ph_sasl_mechanisms(unsigned proofs, const struct ph_sasl_channel *channel, struct ph_buf *out)
{
    bool any = false;
    for (int strength = STRONGEST; strength > 0; strength--)
        for (size_t i = 0; i < MECHANISMS; i++)
            if (mechanisms[i].strength == strength && is_possible(i, proofs, channel)) {
                if (any)
                    ph_buf_addc(out, ' ');
                ph_buf_add(out, mechanisms[i].name);
                any = true;
            }
}

/* ---- what shows its secret ----------------------------------------------------------------- */

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

/* The client speaks first, and has not: one empty challenge. */
static int ask_once(struct ph_sasl_server *s)
{
    return s->state++ == 0 ? more(s, (ph_str){0}) : -PH_ESYNTAX;
}

static int done(struct ph_sasl_server *s, unsigned proof)
{
    s->proof = proof;
    return PH_SASL_DONE;
}

static int step_plain(struct ph_sasl_server *s, ph_str given, bool has)
{
    ph_str authzid, user, password;
    if (!has)
        return ask_once(s);
    if (ph_sasl_plain_decode(given, &authzid, &user, &password) < 0)
        return -PH_ESYNTAX;
    if (authzid.n && !ph_str_ieq(authzid, user))
        return -PH_EDENIED;
    s->user = keep(s, user);
    s->password = keep(s, password);
    return done(s, PH_SASL_PASSWORD);
}

static bool fits(ph_str s, size_t max)
{
    return s.n > 0 && s.n <= max && ph_utf8_is_valid(s) && ph_str_chr(s, '\0') == PH_NPOS;
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
    if (!has || !fits(given, second ? PH_SASL_PASSWORD_MAX : PH_SASL_USER_MAX))
        return -PH_ESYNTAX;
    if (second) {
        s->password = keep(s, given);
        return done(s, PH_SASL_PASSWORD);
    }
    s->user = keep(s, given);
    s->state = ASKED_PASSWORD;
    return more(s, PH_STR("Password:"));
}

/* ---- tokens and certificates --------------------------------------------------------------- */

static int step_bearer(struct ph_sasl_server *s, ph_str given, bool has)
{
    ph_str user, token;
    bool xoauth2 = ph_str_eq(mechanisms[s->mechanism].name, PH_STR("XOAUTH2"));
    if (s->proof) /* the dummy answer to what was refused */
        return -PH_EAUTH;
    if (!has)
        return ask_once(s);
    if (given.n > sizeof s->secret || ph__sasl_bearer_read(given, xoauth2, &user, &token) < 0 ||
        !ph_utf8_is_valid(user))
        return -PH_ESYNTAX;
    s->user = keep(s, user);
    s->password = keep(s, token);
    return done(s, PH_SASL_TOKEN);
}

int ph_sasl_server_refuse(struct ph_sasl_server *s)
{
    if (s->proof != PH_SASL_TOKEN)
        return -PH_EAUTH;
    return more(s, PH_STR("{\"status\":\"invalid_token\",\"schemes\":\"bearer\"}"));
}

static int step_external(struct ph_sasl_server *s, ph_str given, bool has)
{
    if (!has)
        return ask_once(s);
    if (given.n && !fits(given, PH_SASL_USER_MAX))
        return -PH_ESYNTAX;
    s->user = s->authzid = keep(s, given);
    return done(s, PH_SASL_CERTIFICATE);
}

/* ---- SCRAM --------------------------------------------------------------------------------- */

enum { SCRAM_START, SCRAM_ASKED, SCRAM_KEYS, SCRAM_ANSWERED, SCRAM_PROVEN };

/* One step of the library: MORE with its output, or an error. */
static int library(struct ph_sasl_server *s, ph_str given)
{
    size_t n = 0;
    gsasl_free(s->spoken);
    s->spoken = NULL;
    int r = gsasl_step(s->scram, given.n ? given.p : "", given.n, &s->spoken, &n);
    if (r == GSASL_OK || r == GSASL_NEEDS_MORE)
        return more(s, (ph_str){s->spoken, n});
    if (r == GSASL_MALLOC_ERROR)
        return -PH_ENOMEM;
    return r == GSASL_AUTHENTICATION_ERROR || r == GSASL_NO_CB_TLS_EXPORTER ? -PH_EAUTH
                                                                            : -PH_ESYNTAX;
}

static int scram_first(struct ph_sasl_server *s, ph_str given)
{
    struct ph_buf scratch;
    ph_str user, authzid;
    ph_buf_init(&scratch, NULL, 2 * PH_SASL_USER_MAX);
    int r = given.n > FIRST_MAX || !ph_utf8_is_valid(given)
                ? -PH_ESYNTAX
                : ph__sasl_scram_names(given, &scratch, &user, &authzid);
    if (r == 0 && (user.n > PH_SASL_USER_MAX || authzid.n > PH_SASL_USER_MAX))
        r = -PH_ESYNTAX;
    if (r == 0) {
        s->user = keep(s, user);
        s->authzid = keep(s, authzid);
        s->password = keep(s, given); /* not a password: the message, until the keys are here */
    }
    ph_buf_done(&scratch);
    if (r < 0)
        return r;
    if (s->authzid.n && !ph_str_ieq(s->authzid, s->user))
        return -PH_EDENIED;
    s->state = SCRAM_KEYS;
    return PH_SASL_KEYS_NEEDED;
}

static int step_scram(struct ph_sasl_server *s, ph_str given, bool has)
{
    int r;
    switch (s->state) {
    case SCRAM_START:
        if (!has)
            return ask_once(s);
        return scram_first(s, given);
    case SCRAM_ASKED:
        return has ? scram_first(s, given) : -PH_ESYNTAX;
    case SCRAM_ANSWERED:
        r = has && given.n <= FIRST_MAX ? library(s, given) : -PH_ESYNTAX;
        if (r == PH_SASL_MORE)
            s->state = SCRAM_PROVEN;
        return r;
    case SCRAM_PROVEN: /* the answer to our proof is empty */
        return given.n ? -PH_ESYNTAX : done(s, PH_SASL_PROVEN);
    default:
        return -PH_ESYNTAX;
    }
}

static int give_key(struct ph_sasl_server *s, Gsasl_property property, const unsigned char *p,
                    size_t n)
{
    struct ph_buf b64;
    ph_buf_init(&b64, NULL, 256);
    ph_b64_encode(&b64, (ph_str){(const char *)p, n});
    int r = ph_buf_err(&b64) ? -PH_ENOMEM : ph__sasl_set(s->scram, property, ph_buf_str(&b64));
    ph_buf_done(&b64);
    return r;
}

int ph_sasl_server_keys(struct ph_sasl_server *s, const struct ph_sasl_keys *k)
{
    char count[16];
    if (s->state != SCRAM_KEYS || k->n != (s->hash == PH_SASL_SHA1 ? 20u : 32u))
        return -PH_ESYNTAX;
    if (gsasl_init((Gsasl **)&s->context) != GSASL_OK ||
        gsasl_server_start(s->context, mechanisms[s->mechanism].name.p,
                           (Gsasl_session **)&s->scram) != GSASL_OK)
        return -PH_ENOMEM;
    snprintf(count, sizeof count, "%u", (unsigned)k->iterations);
    int r = ph__sasl_set(s->scram, GSASL_SCRAM_ITER, ph_str_c(count));
    if (r == 0)
        r = give_key(s, GSASL_SCRAM_SALT, k->salt, k->salt_n);
    if (r == 0)
        r = give_key(s, GSASL_SCRAM_STOREDKEY, k->stored, k->n);
    if (r == 0)
        r = give_key(s, GSASL_SCRAM_SERVERKEY, k->server, k->n);
    if (r == 0)
        r = ph__sasl_bind(s->scram, &s->channel);
    if (r == 0)
        r = library(s, s->password);
    s->password = (ph_str){0};
    if (r == PH_SASL_MORE)
        s->state = SCRAM_ANSWERED;
    return r;
}

/* ---- all ----------------------------------------------------------------------------------- */

/* MECHANISMS: there is none. */
static size_t find(ph_str name, unsigned proofs, const struct ph_sasl_channel *channel)
{
    size_t i = 0;
    while (i < MECHANISMS &&
           !(ph_str_ieq(name, mechanisms[i].name) && is_possible(i, proofs, channel)))
        i++;
    return i;
}

const char *ph_sasl_mechanism(ph_str name, unsigned proofs, const struct ph_sasl_channel *channel)
{
    size_t i = find(name, proofs, channel);
    return i < MECHANISMS ? mechanisms[i].name.p : NULL;
}

int ph_sasl_server_init(struct ph_sasl_server *s, ph_str mechanism, unsigned proofs,
                        const struct ph_sasl_channel *channel)
{
    size_t i = find(mechanism, proofs, channel);
    if (i == MECHANISMS)
        return -PH_ENOTIMPL;
    memset(s, 0, sizeof *s);
    s->mechanism = (int)i;
    s->hash = mechanisms[i].hash;
    if (channel)
        s->channel = *channel;
    return 0;
}

int ph_sasl_server_step(struct ph_sasl_server *s, ph_str given, bool has)
{
    return mechanisms[s->mechanism].step(s, given, has);
}

void ph_sasl_server_done(struct ph_sasl_server *s)
{
    gsasl_free(s->spoken);
    if (s->scram)
        gsasl_finish(s->scram);
    if (s->context)
        gsasl_done(s->context);
    ph_wipe(s, sizeof *s);
}
