/* The client's side: which mechanism, and one exchange of it. */
#include "sasl_int.h"
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 2 * PH_SASL_TOKEN_MAX };

/* What a mechanism needs and does; strongest first. */
enum {
    NEEDS_PASSWORD = 1,
    NEEDS_TOKEN = 2,
    NEEDS_CERTIFICATE = 4,
    NEEDS_CHANNEL = 8,
    SHOWS_SECRET = 16, /* what it sends is worth stealing */
    FIRST = 32,        /* the client speaks first */
    MUTUAL = 64,       /* the server proves itself, too */
    OWN = 128          /* not libgsasl's */
};
static const struct mechanism {
    ph_str name;
    unsigned flags;
} mechanisms[] = {
    {PH_STR_INIT("EXTERNAL"), NEEDS_CERTIFICATE | FIRST},
    {PH_STR_INIT("SCRAM-SHA-256-PLUS"), NEEDS_PASSWORD | NEEDS_CHANNEL | FIRST | MUTUAL},
    {PH_STR_INIT("SCRAM-SHA-1-PLUS"), NEEDS_PASSWORD | NEEDS_CHANNEL | FIRST | MUTUAL},
    {PH_STR_INIT("SCRAM-SHA-256"), NEEDS_PASSWORD | FIRST | MUTUAL},
    {PH_STR_INIT("SCRAM-SHA-1"), NEEDS_PASSWORD | FIRST | MUTUAL},
    {PH_STR_INIT("OAUTHBEARER"), NEEDS_TOKEN | SHOWS_SECRET | FIRST | OWN},
    {PH_STR_INIT("XOAUTH2"), NEEDS_TOKEN | SHOWS_SECRET | FIRST | OWN},
    {PH_STR_INIT("CRAM-MD5"), NEEDS_PASSWORD},
    {PH_STR_INIT("PLAIN"), NEEDS_PASSWORD | SHOWS_SECRET | FIRST},
    {PH_STR_INIT("LOGIN"), NEEDS_PASSWORD | SHOWS_SECRET},
};
enum { MECHANISMS = sizeof mechanisms / sizeof mechanisms[0] };

struct ph_sasl_client {
    const struct mechanism *m;
    Gsasl *context;
    Gsasl_session *session;
    char *spoken; /* the library's last output; no zero ends it */
    size_t spoken_n;
    struct ph_buf answer; /* of an own mechanism; then said: what the server replied */
    struct ph_buf said;
    bool begun, proven;
};

/* ---- choosing ------------------------------------------------------------------------------ */

static bool has_word(ph_str words, ph_str word)
{
    ph_str w;
    while (ph_str_token(&words, ' ', &w))
        if (ph_str_ieq(w, word))
            return true;
    return false;
}

static bool can(const struct mechanism *m, const struct ph_sasl_login *l)
{
    unsigned have = (l->token.n      ? (unsigned)NEEDS_TOKEN
                     : l->password.n ? NEEDS_PASSWORD
                                     : 0) |
                    (l->certificate ? NEEDS_CERTIFICATE : 0) |
                    (l->channel.data.n ? NEEDS_CHANNEL : 0);
    unsigned needs = m->flags & (NEEDS_PASSWORD | NEEDS_TOKEN | NEEDS_CERTIFICATE | NEEDS_CHANNEL);
    return (needs & ~have) == 0 && (!l->allowed.n || has_word(l->allowed, m->name));
}

static int choose(const struct ph_sasl_login *l, ph_str offered, const struct mechanism **ret,
                  struct ph_error *reterr)
{
    bool unsafe = false;
    for (size_t i = 0; i < MECHANISMS; i++) {
        if (!has_word(offered, mechanisms[i].name) || !can(&mechanisms[i], l))
            continue;
        if ((mechanisms[i].flags & SHOWS_SECRET) && !l->secure) {
            unsafe = true;
            continue;
        }
        *ret = &mechanisms[i];
        return 0;
    }
    if (unsafe)
        return ph_fail(reterr, PH_EDENIED, 0,
                       "the server takes the %s only in the open, and there is no TLS to hide it",
                       l->token.n ? "token" : "password");
    if (!l->token.n && !l->password.n && !l->certificate)
        return ph_fail(reterr, PH_EINVAL, 0, "there is neither a password nor a token");
    return ph_fail(reterr, PH_ENOTIMPL, 0,
                   "the server offers %.*s, and none of it can be used with a %s%s",
                   PH_FMT(offered.n ? ph_str_sub(offered, 0, 120) : PH_STR("no login")),
                   l->token.n ? "token" : "password",
                   l->allowed.n ? " and the mechanisms that were allowed" : "");
}

/* ---- life ---------------------------------------------------------------------------------- */

static bool is_usable(ph_str s, size_t max)
{
    return s.n <= max && ph_str_chr(s, '\0') == PH_NPOS;
}

static int start(struct ph_sasl_client *c, const struct ph_sasl_login *l)
{
    if (c->m->flags & OWN) {
        ph__sasl_bearer_write(&c->answer, l, ph_str_eq(c->m->name, PH_STR("XOAUTH2")));
        return ph_buf_err(&c->answer);
    }
    if (gsasl_init(&c->context) != GSASL_OK ||
        gsasl_client_start(c->context, c->m->name.p, &c->session) != GSASL_OK)
        return -PH_ENOMEM;
    int r = ph__sasl_set(c->session, GSASL_AUTHID, l->user);
    if (r == 0)
        r = ph__sasl_set(c->session, GSASL_PASSWORD, l->password);
    if (r == 0 && l->authzid.n)
        r = ph__sasl_set(c->session, GSASL_AUTHZID, l->authzid);
    /* Without -PLUS the library cannot be told of a channel that there is (the "y" of RFC 5802
     * 6). */
    if (r == 0 && (c->m->flags & NEEDS_CHANNEL))
        r = ph__sasl_bind(c->session, &l->channel);
    return r;
}

int ph_sasl_client_new(const struct ph_sasl_login *login, ph_str offered,
                       struct ph_sasl_client **ret_client, struct ph_error *reterr)
{
    const struct mechanism *m = NULL;
    int r = choose(login, offered, &m, reterr);
    if (r < 0)
        return r;
    if (!is_usable(login->user, PH_SASL_USER_MAX) || !is_usable(login->authzid, PH_SASL_USER_MAX) ||
        !is_usable(login->password, PH_SASL_PASSWORD_MAX) ||
        !is_usable(login->token, PH_SASL_TOKEN_MAX) ||
        (!login->user.n && !(m->flags & NEEDS_CERTIFICATE)))
        return ph_fail(reterr, PH_EINVAL, 0, "the user name or the password is empty or too long");
    struct ph_sasl_client *c = calloc(1, sizeof *c);
    if (c) {
        c->m = m;
        ph_buf_init(&c->answer, NULL, ANSWER_MAX);
        ph_buf_init(&c->said, NULL, ANSWER_MAX);
        r = start(c, login);
    }
    if (!c || r < 0) {
        ph_sasl_client_free(c);
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    }
    *ret_client = c;
    return 0;
}

static void forget(struct ph_sasl_client *c)
{
    if (c->spoken)
        ph_wipe(c->spoken, c->spoken_n);
    gsasl_free(c->spoken);
    c->spoken = NULL;
    c->spoken_n = 0;
}

struct ph_sasl_client *ph_sasl_client_free(struct ph_sasl_client *c)
{
    if (!c)
        return NULL;
    forget(c);
    if (c->answer.p)
        ph_wipe(c->answer.p, c->answer.cap);
    ph_buf_done(&c->answer);
    ph_buf_done(&c->said);
    if (c->session)
        gsasl_finish(c->session);
    if (c->context)
        gsasl_done(c->context);
    free(c);
    return NULL;
}

/* ---- the exchange -------------------------------------------------------------------------- */

ph_str ph_sasl_client_mechanism(const struct ph_sasl_client *c)
{
    return c->m->name;
}

bool ph_sasl_client_is_first(const struct ph_sasl_client *c)
{
    return c->m->flags & FIRST;
}

/* The token goes out; a challenge after it is a refusal in JSON, which wants a dummy answer (RFC
 * 7628 3.2.3). */
static int step_bearer(struct ph_sasl_client *c, ph_str challenge, ph_str *ret_answer)
{
    if (!c->begun) {
        c->begun = c->proven = true;
        *ret_answer = ph_buf_str(&c->answer);
        return PH_SASL_DONE;
    }
    ph_str status = ph__sasl_json_value(challenge, PH_STR("status"));
    ph_buf_clear(&c->said);
    ph_buf_add(&c->said, status.n ? status : challenge);
    *ret_answer = ph_str_eq(c->m->name, PH_STR("XOAUTH2")) ? PH_STR("") : PH_STR("\001");
    return PH_SASL_DONE;
}

int ph_sasl_client_step(struct ph_sasl_client *c, ph_str challenge, ph_str *ret_answer,
                        struct ph_error *reterr)
{
    if (c->m->flags & OWN)
        return step_bearer(c, challenge, ret_answer);
    if ((c->m->flags & MUTUAL) && !ph__sasl_scram_bearable(challenge))
        return ph_fail(reterr, PH_ELIMIT, 0,
                       "the server wants more than %d rounds of hashing for a login",
                       PH_SASL_ITERATIONS_MAX);
    if (c->proven) { /* some servers send an empty challenge behind their last word */
        *ret_answer = PH_STR("");
        return PH_SASL_DONE;
    }
    forget(c);
    int r = gsasl_step(c->session, challenge.n ? challenge.p : "", challenge.n, &c->spoken,
                       &c->spoken_n);
    c->begun = true;
    *ret_answer = (ph_str){c->spoken ? c->spoken : "", c->spoken_n};
    if (r == GSASL_OK) {
        c->proven = true;
        return PH_SASL_DONE;
    }
    if (r == GSASL_NEEDS_MORE)
        return PH_SASL_MORE;
    if (r == GSASL_MALLOC_ERROR)
        return ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    if (r == GSASL_SASLPREP_ERROR)
        return ph_fail(reterr, PH_EINVAL, 0,
                       "the user name or password has characters that %s does not allow",
                       c->m->name.p);
    return ph_fail(reterr, r == GSASL_AUTHENTICATION_ERROR ? PH_EAUTH : PH_ESYNTAX, 0,
                   "the server's part of the %s login is wrong: %s", c->m->name.p,
                   gsasl_strerror(r));
}

int ph_sasl_client_end(const struct ph_sasl_client *c, struct ph_error *reterr)
{
    if (!(c->m->flags & MUTUAL) || c->proven)
        return 0;
    return ph_fail(reterr, PH_EAUTH, 0,
                   "the server let us in without proving that it knows the password: it may be "
                   "somebody else's");
}

ph_str ph_sasl_client_said(const struct ph_sasl_client *c)
{
    return ph_buf_str(&c->said);
}
