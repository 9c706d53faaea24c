/*
 * Exchanges: the steps of SASL (RFC 4422) until there is a proof. Mechanisms are src/sasl's; who
 * may come in is auth.c's.
 *
 *   AUTH -> step -> MORE: AUTHED with the challenge, waits for the client's answer -AUTH-> step ...
 *                -> KEYS_NEEDED: the account's SCRAM keys, or keys that nobody has -> step
 *                -> DONE: by what it proves -> auth.c
 *
 * Only the keeper sees keys: the processes that talk to the network carry messages. What waits is
 * bounded: the oldest makes room (an honest client answers in milliseconds), and none is waited for
 * longer than KEEPER_EXCHANGE_MS.
 */
#include "auth_int.h"
#include "random.h"

#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

/* ---- those that wait for their client ------------------------------------------------------ */

void auth_unhold(struct keeper_auth *a, struct attempt *t)
{
    *(t->prev ? &t->prev->next : &a->waiting) = t->next;
    *(t->next ? &t->next->prev : &a->waiting_last) = t->prev;
    t->next = t->prev = NULL;
    t->exchange = 0;
    a->waiting_n--;
}

static void give_up(struct keeper_auth *a, struct attempt *t)
{
    auth_unhold(a, t);
    auth_end(a, t); /* its next AUTH finds nothing, and hears TEMP */
}

void auth_exchange_late(void *ctx)
{
    struct keeper_auth *a = ctx;
    int64_t now = ph_loop_now(a->k->p->loop);
    while (a->waiting && a->waiting->due <= now)
        give_up(a, a->waiting);
    if (a->waiting)
        ph_timer_set(a->exchange_timer, a->waiting->due - now);
}

void auth_forget_exchanges(struct keeper_auth *a, int instance)
{
    for (struct attempt *t = a->waiting, *next; t; t = next) {
        next = t->next;
        if (instance < 0 || t->instance == (unsigned)instance)
            give_up(a, t);
    }
}

static void hold(struct keeper_auth *a, struct attempt *t)
{
    if (a->waiting_n >= KEEPER_EXCHANGES)
        give_up(a, a->waiting);
    while (!t->exchange)
        t->exchange = ph_random_u64();
    t->due = ph_loop_now(a->k->p->loop) + KEEPER_EXCHANGE_MS;
    t->next = NULL;
    t->prev = a->waiting_last;
    *(t->prev ? &t->prev->next : &a->waiting) = t;
    a->waiting_last = t;
    if (a->waiting_n++ == 0)
        ph_timer_set(a->exchange_timer, KEEPER_EXCHANGE_MS);
    auth_answer(a, t,
                &(struct ipc_AUTHED){
                    .verdict = IPC_MORE, .exchange = t->exchange, .data = t->sasl->challenge});
}

static struct attempt *held(struct keeper_auth *a, uint64_t exchange, unsigned instance)
{
    for (struct attempt *t = a->waiting_last; t; t = t->prev)
        if (t->exchange == exchange && t->instance == instance)
            return t;
    return NULL;
}

/* ---- SCRAM ---------------------------------------------------------------------------------- */

/* What everyone else's look like, always the same for a name (RFC 5802 9). */
static int fake_keys(struct keeper *k, const struct attempt *t, struct ph_sasl_keys *ret_keys)
{
    struct ph_sasl_keys like = {.iterations = PH_SASL_ITERATIONS};
    ph_str sample, seed;
    int r = ph_house_sample(k->house, k->arena, &sample, &seed, NULL);
    if (r == 0 && sample.n)
        r = ph_sasl_keys_read(sample, &like);
    return r < 0 ? r
                 : ph_sasl_keys_fake(t->sasl->hash, ph_str_c(t->user), seed, like.iterations,
                                     ret_keys);
}

static int give_keys(struct keeper_auth *a, struct attempt *t)
{
    struct ph_house_account account;
    struct ph_sasl_keys keys;
    int known = auth_identify(a, t, t->sasl->user, &account);
    int r = known < 0 ? known : -PH_ESYNTAX;
    if (known > 0)
        r = ph_sasl_keys_read(t->sasl->hash == PH_SASL_SHA1 ? account.scram1 : account.scram256,
                              &keys);
    if (r == -PH_ESYNTAX) { /* nobody, or one whose password came before SCRAM */
        t->account = 0;
        r = fake_keys(a->k, t, &keys);
    }
    if (r >= 0)
        r = ph_sasl_server_keys(t->sasl, &keys);
    ph_wipe(&keys, sizeof keys);
    keeper_forget(a->k);
    return r;
}

/* ---- proofs --------------------------------------------------------------------------------- */

static void by_password(struct keeper_auth *a, struct attempt *t)
{
    struct ph_house_account account;
    ph_str password = t->sasl->password;
    t->job.password_n = password.n <= sizeof t->job.password ? password.n : 0;
    memcpy(t->job.password, password.p, t->job.password_n);
    int r = auth_identify(a, t, t->sasl->user, &account);
    keeper_forget(a->k);
    if (r < 0)
        auth_fail_now(a, t, IPC_TEMP, "the address book can not be read now");
    else
        auth_password(a, t);
}

static void by_scram(struct keeper_auth *a, struct attempt *t)
{
    if (!t->account || !auth_is_current(a->k, t))
        auth_fail_later(a, t, "wrong user name or password");
    else if (t->barred)
        auth_fail_later(a, t, "barred after too many wrong passwords");
    else
        auth_grant(a, t);
}

/* The account that a name outside of our address book stands for: as auth_identify, and -PH_EDENIED
 * when the client asked for another. */
static int stand_for(struct keeper_auth *a, struct attempt *t, ph_str name)
{
    struct ph_house_account account;
    uint64_t asked = 0;
    int r = 1;
    if (t->sasl->user.n) {
        r = auth_identify(a, t, t->sasl->user, &account);
        asked = t->account;
    }
    if (r >= 0)
        r = auth_identify(a, t, name, &account);
    keeper_forget(a->k);
    return r > 0 && t->sasl->user.n && asked != t->account ? -PH_EDENIED : r;
}

/* Neither can be guessed: an account that is barred to strangers lets them in, as it does app
 * passwords. */
static void stood_for(struct keeper_auth *a, struct attempt *t, int r)
{
    if (r > 0)
        auth_grant(a, t);
    else if (r == -PH_EDENIED)
        auth_fail_now(a, t, IPC_NOUSER, "acting for another user is not possible");
    else if (r == 0)
        auth_fail_later(a, t, "there is no such account");
    else
        auth_fail_now(a, t, IPC_TEMP, "the address book can not be read now");
}

static void by_certificate(struct keeper_auth *a, struct attempt *t)
{
    stood_for(a, t, stand_for(a, t, ph_str_c(t->certificate)));
}

/* The client is told what is wrong in a challenge, and the login ends with its answer (RFC 7628
 * 3.2.3). */
static void by_token(struct keeper_auth *a, struct attempt *t)
{
    ph_str name;
    struct ph_house_account account;
    struct ph_error e = {0};
    if (keeper_token_name(a->k, t->sasl->password, &name, &e) >= 0) {
        stood_for(a, t, stand_for(a, t, name));
        return;
    }
    int r = auth_identify(a, t, t->sasl->user, &account); /* whom the failure counts against */
    keeper_forget(a->k);
    ph_log(PH_LOG_WARN, (ph_str){0}, "token-refused", "user=%s peer=%s why=%s", t->user, t->peer,
           e.text);
    if (r < 0)
        auth_fail_now(a, t, IPC_TEMP, "the address book can not be read now");
    else if (ph_sasl_server_refuse(t->sasl) == PH_SASL_MORE)
        hold(a, t);
    else
        auth_fail_later(a, t, "the token is not good");
}

static const struct {
    unsigned proof;
    void (*check)(struct keeper_auth *a, struct attempt *t);
} proofs[] = {{PH_SASL_PASSWORD, by_password},
              {PH_SASL_PROVEN, by_scram},
              {PH_SASL_TOKEN, by_token},
              {PH_SASL_CERTIFICATE, by_certificate}};

static void proven(struct keeper_auth *a, struct attempt *t)
{
    for (size_t i = 0; i < sizeof proofs / sizeof proofs[0]; i++)
        if (proofs[i].proof == t->sasl->proof) {
            proofs[i].check(a, t);
            return;
        }
    auth_fail_later(a, t, "this proof is not taken here");
}

static void step(struct keeper_auth *a, struct attempt *t, int r)
{
    if (r == PH_SASL_KEYS_NEEDED)
        r = give_keys(a, t);
    if (r == PH_SASL_MORE)
        hold(a, t);
    else if (r == PH_SASL_DONE)
        proven(a, t);
    else if (r == -PH_EAUTH)
        auth_fail_later(a, t,
                        t->sasl->proof == PH_SASL_TOKEN ? "the token is not good"
                                                        : "wrong user name or password");
    else if (r == -PH_EDENIED)
        auth_fail_now(a, t, IPC_NOUSER, "acting for another user is not possible");
    else if (r == -PH_ESYNTAX || r == -PH_EINVAL)
        auth_fail_now(a, t, IPC_INVALID, "the answer is not what the mechanism needs");
    else
        auth_fail_now(a, t, IPC_TEMP, "the login can not be checked now");
}

/* ---- AUTH ----------------------------------------------------------------------------------- */

/* Keyed, so that nobody can choose an address that has another's digest. */
static uint64_t address_digest(const struct keeper_auth *a, ph_str address)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    uint64_t v = 0;
    if (address.n && HMAC(EVP_sha256(), a->secret, sizeof a->secret,
                          (const unsigned char *)address.p, address.n, digest, &n))
        memcpy(&v, digest, sizeof v);
    return address.n ? v | 1 : 0;
}

static struct attempt *begin(struct keeper_auth *a, struct ipc_chan *from, const struct ipc_AUTH *q)
{
    struct attempt *t = a->attempts < KEEPER_ATTEMPTS ? calloc(1, sizeof *t) : NULL;
    if (!t)
        return NULL;
    t->sasl = calloc(1, sizeof *t->sasl);
    t->certificate = q->certificate.n ? strndup(q->certificate.p, q->certificate.n) : NULL;
    if (!t->sasl || (q->certificate.n && !t->certificate)) {
        free(t->sasl);
        free(t->certificate);
        free(t);
        return NULL;
    }
    a->attempts++;
    t->service = q->service;
    t->instance = ipc_chan_ends(from)->peer_instance % KEEPER_INSTANCES;
    t->epoch = a->epochs[t->instance];
    t->address = address_digest(a, q->address);
    auth_copy(t->from, sizeof t->from, q->address);
    auth_copy(t->peer, sizeof t->peer, q->peer);
    return t;
}

/* Access announces the same: see proofs() there. */
static unsigned proofs_of(const struct keeper *k, const struct attempt *t)
{
    return PH_SASL_PASSWORD | PH_SASL_KEYS | (k->tokens ? PH_SASL_TOKEN : 0) |
           (t->certificate && k->p->conf->tls_client_ca.n ? PH_SASL_CERTIFICATE : 0);
}

void keeper_auth_ask(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct keeper *k = p->state;
    struct keeper_auth *a = k->auth;
    const struct ipc_AUTH *q = &msg->AUTH;
    unsigned instance = ipc_chan_ends(from)->peer_instance % KEEPER_INSTANCES;
    struct attempt *t = q->exchange ? held(a, q->exchange, instance) : begin(a, from, q);
    if (!t) {
        ipc_send(from, AUTHED, -1, .req = q->req, .verdict = IPC_TEMP,
                 .text = q->exchange ? PH_STR("the login took too long")
                                     : PH_STR("too many logins at the same time"));
        return;
    }
    t->req = q->req;
    if (q->exchange)
        auth_unhold(a, t);
    keeper_look(k);
    struct ph_sasl_channel channel = {q->unique ? PH_SASL_TLS_UNIQUE : PH_SASL_TLS_EXPORTER,
                                      q->channel};
    if (!q->exchange && ph_str_eq(q->mechanism, PH_STR("APOP"))) {
        auth_apop(a, t, q->data);
        return;
    }
    unsigned proofs_taken = proofs_of(k, t);
    if (!q->exchange && ph_sasl_server_init(t->sasl, q->mechanism, proofs_taken, &channel) < 0) {
        auth_fail_later(a, t, "a mechanism that is not offered");
        return;
    }
    t->sasl->channel = channel; /* borrowed from this message */
    step(a, t, ph_sasl_server_step(t->sasl, q->data, q->has));
}

void keeper_auth_end(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct keeper *k = p->state;
    struct attempt *t = held(k->auth, msg->AUTH_END.exchange,
                             ipc_chan_ends(from)->peer_instance % KEEPER_INSTANCES);
    if (t)
        give_up(k->auth, t);
}

void keeper_auth_drain(struct keeper_auth *a)
{
    auth_forget_exchanges(a, -1);
}
