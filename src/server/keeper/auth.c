/*
 * Logins.
 *
 *   AUTH -> known again? --yes------------------------> GRANT to the store -> GRANTED -> AUTHED, OK
 *             | no                                        ^
 *             +-> a thread hashes -> right, and the hash is still the account's
 *                        | wrong
 *                        +-> wait KEEPER_FAIL_MS -> AUTHED, DENIED
 *
 * An unknown user costs the hashing of a hash that fits nothing, so that time does not tell who
 * exists.
 */
#include "keeper_int.h"
#include "random.h"

#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGEST = 32, BUCKETS = 4096, USER_MAX = 512, PEER_MAX = 128 };

/* One AUTH from its arrival to its answer. */
struct attempt {
    struct keeper_job job; /* first: the hasher hands it back */
    struct attempt *next;  /* in the list of failures */
    int64_t due;
    uint64_t req, account;
    unsigned instance, epoch; /* of the access process that asked */
    uint8_t service;
    char user[PH_HOUSE_ADDRESS + 1]; /* normalised; as given when there is no such account */
    char folder[PH_HOUSE_FOLDER + 1];
    char peer[PEER_MAX + 1];
};

struct session {
    struct session *next; /* in its bucket */
    uint64_t id, account;
    unsigned instance;
    struct attempt *pending; /* until the store has answered */
};

struct recent {
    uint64_t account; /* 0: empty */
    int64_t until;
    unsigned char digest[DIGEST]; /* of password, account and hash, keyed in memory */
};

struct keeper_auth {
    struct keeper *k;
    struct keeper_hasher *hasher;
    struct session *buckets[BUCKETS];
    size_t session_count, attempts;
    struct recent recents[KEEPER_RECENTS];
    unsigned char secret[DIGEST];
    char nobody[PH_HASH_MAX]; /* a hash that fits nothing */
    unsigned epochs[KEEPER_INSTANCES];
    struct attempt *failed, **failed_end;
    struct ph_timer *failed_timer;
};

static const char *service_name(unsigned service)
{
    static const char *const names[] = {
        [IPC_SMTP] = "smtp",  [IPC_SUBMISSION] = "submission", [IPC_SUBMISSIONS] = "submissions",
        [IPC_POP3] = "pop3",  [IPC_POP3S] = "pop3s",           [IPC_IMAP] = "imap",
        [IPC_IMAPS] = "imaps"};
    return service < sizeof names / sizeof *names ? names[service] : "?";
}

/* ---- sessions ---------------------------------------------------------------------------- */

static struct session **bucket_place(struct keeper_auth *a, uint64_t id)
{
    struct session **at = &a->buckets[id % BUCKETS]; /* ids are random: buckets stay short */
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static struct session *add_session(struct keeper_auth *a, struct attempt *t)
{
    struct session *s = a->session_count < KEEPER_SESSIONS ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return NULL;
    do
        s->id = ph_random_u64();
    while (*bucket_place(a, s->id));
    s->account = t->account;
    s->instance = t->instance;
    s->pending = t;
    s->next = a->buckets[s->id % BUCKETS];
    a->buckets[s->id % BUCKETS] = s;
    a->session_count++;
    return s;
}

static void remove_session(struct keeper_auth *a, struct session **at)
{
    struct session *s = *at;
    *at = s->next;
    free(s);
    a->session_count--;
}

uint64_t keeper_auth_account(const struct keeper_auth *a, uint64_t session, unsigned instance)
{
    const struct session *s = a->buckets[session % BUCKETS];
    while (s && s->id != session)
        s = s->next;
    return s && !s->pending && s->instance == instance ? s->account : 0;
}

size_t keeper_auth_sessions(const struct keeper_auth *a)
{
    return a->session_count;
}

bool keeper_auth_is_busy(const struct keeper_auth *a)
{
    return a->attempts > 0;
}

/* ---- answers ----------------------------------------------------------------------------- */

static void drop_attempt(struct attempt *t)
{
    if (t)
        ph_wipe(t->job.password, sizeof t->job.password);
    free(t);
}

static void end_attempt(struct keeper_auth *a, struct attempt *t)
{
    drop_attempt(t);
    a->attempts--;
    if (a->k->p->draining && a->attempts == 0)
        proc_done(a->k->p);
}

static void answer(struct keeper_auth *a, const struct attempt *t, uint8_t verdict,
                   uint64_t session, const char *text)
{
    struct ipc_chan *to = proc_peer_at(a->k->p, ROLE_ACCESS, t->instance);
    if (to &&
        t->epoch == a->epochs[t->instance]) /* not to a younger process with the same numbers */
        ipc_send(to, AUTHED, -1, .req = t->req, .verdict = verdict, .session = session,
                 .user = ph_str_c(t->user), .text = ph_str_c(text));
}

static void answer_failed(void *ctx)
{
    struct keeper_auth *a = ctx;
    int64_t now = ph_loop_now(a->k->p->loop);
    while (a->failed && a->failed->due <= now) {
        struct attempt *t = a->failed;
        a->failed = t->next;
        if (!a->failed)
            a->failed_end = &a->failed;
        answer(a, t, IPC_DENIED, 0, "wrong user name or password");
        end_attempt(a, t);
    }
    if (a->failed)
        ph_timer_set(a->failed_timer, a->failed->due - now);
}

static void fail_later(struct keeper_auth *a, struct attempt *t)
{
    a->k->failures++;
    ph_log(PH_LOG_WARN, (ph_str){0}, "login-refused", "user=%s peer=%s service=%s", t->user,
           t->peer, service_name(t->service));
    ph_wipe(t->job.password, sizeof t->job.password);
    t->due = ph_loop_now(a->k->p->loop) + KEEPER_FAIL_MS;
    t->next = NULL;
    if (!a->failed)
        ph_timer_set(a->failed_timer, KEEPER_FAIL_MS);
    *a->failed_end = t;
    a->failed_end = &t->next;
}

static void fail_now(struct keeper_auth *a, struct attempt *t, const char *why)
{
    ph_log(PH_LOG_WARN, (ph_str){0}, "login-deferred", "user=%s peer=%s service=%s why=%s", t->user,
           t->peer, service_name(t->service), why);
    answer(a, t, IPC_TEMP, 0, why);
    end_attempt(a, t);
}

/* ---- success ----------------------------------------------------------------------------- */

static void grant(struct keeper_auth *a, struct attempt *t)
{
    struct ipc_chan *store = proc_peer(a->k->p, ROLE_STORE);
    struct session *s = store && t->epoch == a->epochs[t->instance] ? add_session(a, t) : NULL;
    if (!s) {
        fail_now(a, t, store ? "too many sessions" : "the store is not running");
        return;
    }
    if (ipc_send(store, GRANT, -1, .session = s->id, .instance = t->instance, .account = t->account,
                 .folder = ph_str_c(t->folder)) < 0) {
        remove_session(a, bucket_place(a, s->id));
        fail_now(a, t, "the store is busy");
    }
}

void keeper_granted(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct keeper *k = p->state;
    struct keeper_auth *a = k->auth;
    const struct ipc_GRANTED *g = &msg->GRANTED;
    struct session **at = bucket_place(a, g->session);
    (void)from;
    if (!*at || !(*at)->pending)
        return; /* its access process has gone in the meantime */
    struct attempt *t = (*at)->pending;
    (*at)->pending = NULL;
    if (g->verdict != IPC_OK) {
        remove_session(a, at);
        fail_now(a, t, "the mailbox can not be opened");
        return;
    }
    k->logins++;
    ph_log(PH_LOG_DEBUG, (ph_str){0}, "login", "user=%s peer=%s service=%s", t->user, t->peer,
           service_name(t->service));
    answer(a, t, IPC_OK, g->session, "");
    end_attempt(a, t);
}

/* ---- recent successes -------------------------------------------------------------------- */

/* The hash is in it: another password for the account, and what was known is void. */
static bool digest_of(const struct keeper_auth *a, const struct attempt *t,
                      unsigned char digest[DIGEST])
{
    unsigned char text[sizeof t->account + PH_HASH_MAX + sizeof t->job.password];
    size_t n = sizeof t->account;
    memcpy(text, &t->account, n);
    memcpy(text + n, t->job.hash, PH_HASH_MAX);
    n += PH_HASH_MAX;
    memcpy(text + n, t->job.password, t->job.password_n);
    n += t->job.password_n;
    unsigned got = 0;
    bool ok =
        HMAC(EVP_sha256(), a->secret, sizeof a->secret, text, n, digest, &got) && got == DIGEST;
    ph_wipe(text, sizeof text);
    return ok;
}

static bool is_recent(const struct keeper_auth *a, const struct attempt *t)
{
    const struct recent *r = &a->recents[t->account % KEEPER_RECENTS];
    unsigned char digest[DIGEST];
    return t->account && r->account == t->account && r->until > ph_loop_now(a->k->p->loop) &&
           digest_of(a, t, digest) &&
           ph_str_secret_eq((ph_str){(const char *)digest, DIGEST},
                            (ph_str){(const char *)r->digest, DIGEST});
}

static void remember(struct keeper_auth *a, const struct attempt *t)
{
    struct recent *r = &a->recents[t->account % KEEPER_RECENTS];
    r->account = digest_of(a, t, r->digest) ? t->account : 0;
    r->until = ph_loop_now(a->k->p->loop) + KEEPER_RECENT_MS;
}

/* ---- AUTH -------------------------------------------------------------------------------- */

/* Whether the account is still there with the hash that was compared: it may have changed
 * meanwhile. */
static bool is_current(struct keeper *k, const struct attempt *t)
{
    struct ph_house_account now;
    keeper_look(k);
    int r = ph_house_account_by_id(k->house, t->account, k->arena, &now, NULL);
    bool same = r >= 0 && !now.disabled && ph_str_eq(now.hash, ph_str_c(t->job.hash));
    keeper_forget(k);
    return same;
}

static void hashed(void *ctx, struct keeper_job *job)
{
    struct keeper_auth *a = ctx;
    struct attempt *t = (struct attempt *)job;
    if (job->result < 0) {
        fail_now(a, t, "out of memory");
    } else if (job->result == 0 || t->account == 0 || !is_current(a->k, t)) {
        fail_later(a, t);
    } else {
        remember(a, t);
        ph_wipe(t->job.password, sizeof t->job.password);
        grant(a, t);
    }
}

static void copy(char *to, size_t size, ph_str from)
{
    size_t n = from.n < size - 1 ? from.n : size - 1;
    if (n)
        memcpy(to, from.p, n);
    to[n] = '\0';
}

/* Fills in who it may be. false: the address book can not be read. */
static bool identify(struct keeper *k, struct attempt *t, ph_str user)
{
    struct keeper_auth *a = k->auth;
    struct ph_house_account account;
    struct ph_error e = {0};
    int r = ph_house_account_get(k->house, user, k->arena, &account, &e);
    bool known = r >= 0 && !account.disabled && account.hash.n < PH_HASH_MAX;
    copy(t->user, sizeof t->user, known ? account.address : user);
    copy(t->job.hash, sizeof t->job.hash, known ? account.hash : ph_str_c(a->nobody));
    if (known) {
        t->account = account.id;
        copy(t->folder, sizeof t->folder, account.folder);
    }
    keeper_forget(k);
    if (r >= 0 || r == -PH_ENOENT || r == -PH_EINVAL)
        return true;
    ph_log(PH_LOG_ERROR, (ph_str){0}, "lookup-failed", "error=%s", e.text);
    return false;
}

void keeper_auth_ask(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct keeper *k = p->state;
    struct keeper_auth *a = k->auth;
    const struct ipc_AUTH *q = &msg->AUTH;
    struct attempt *t = a->attempts < KEEPER_ATTEMPTS ? calloc(1, sizeof *t) : NULL;
    if (!t) {
        ipc_send(from, AUTHED, -1, .req = q->req, .verdict = IPC_TEMP,
                 .text = PH_STR("too many logins at the same time"));
        return;
    }
    a->attempts++;
    t->req = q->req;
    t->service = q->service;
    t->instance = ipc_chan_ends(from)->peer_instance % KEEPER_INSTANCES;
    t->epoch = a->epochs[t->instance];
    copy(t->peer, sizeof t->peer, q->peer);
    t->job.password_n = q->password.n <= sizeof t->job.password ? q->password.n : 0;
    if (t->job.password_n)
        memcpy(t->job.password, q->password.p, t->job.password_n);
    keeper_look(k);
    if (!ph_str_ieq(q->mechanism, PH_STR("PLAIN"))) {
        copy(t->user, sizeof t->user, q->user);
        fail_later(a, t);
    } else if (!identify(k, t, q->user)) {
        fail_now(a, t, "the address book can not be read now");
    } else if (is_recent(a, t)) {
        ph_wipe(t->job.password, sizeof t->job.password);
        grant(a, t);
    } else if (keeper_hasher_add(a->hasher, &t->job) < 0) {
        fail_now(a, t, "too many logins at the same time");
    }
}

/* ---- ends -------------------------------------------------------------------------------- */

void keeper_session_end(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct keeper *k = p->state;
    struct session **at = bucket_place(k->auth, msg->SESSION_END.session);
    if (*at && !(*at)->pending && (*at)->instance == ipc_chan_ends(from)->peer_instance)
        remove_session(k->auth, at);
}

/* Removes the sessions that fit; an attempt that waits for one is given to `ended`. */
static void sweep(struct keeper_auth *a, bool (*fits)(const struct session *s, uint64_t what),
                  uint64_t what, const char *why)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct session **at = &a->buckets[i]; *at;) {
            struct attempt *t = (*at)->pending;
            if (!fits(*at, what)) {
                at = &(*at)->next;
                continue;
            }
            remove_session(a, at);
            if (t)
                fail_now(a, t, why);
        }
}

static bool is_pending(const struct session *s, uint64_t what)
{
    (void)what;
    return s->pending;
}

static bool is_of_instance(const struct session *s, uint64_t instance)
{
    return s->instance == instance;
}

static bool is_of_account(const struct session *s, uint64_t account)
{
    return s->account == account;
}

void keeper_auth_store_down(struct keeper_auth *a)
{
    sweep(a, is_pending, 0, "the store is not running");
}

void keeper_auth_access_down(struct keeper_auth *a, unsigned instance)
{
    a->epochs[instance % KEEPER_INSTANCES]++;
    sweep(a, is_of_instance, instance % KEEPER_INSTANCES, "the access process has gone");
}

void keeper_auth_account_gone(struct keeper_auth *a, uint64_t account)
{
    sweep(a, is_of_account, account, "the account was removed");
}

/* ---- life -------------------------------------------------------------------------------- */

struct keeper_auth *keeper_auth_new(struct keeper *k, struct ph_error *reterr)
{
    struct keeper_auth *a = calloc(1, sizeof *a);
    char unknown[24];
    if (!a) {
        ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
        return NULL;
    }
    a->k = k;
    a->failed_end = &a->failed;
    ph_random(a->secret, sizeof a->secret);
    a->failed_timer = ph_timer_new(k->p->loop, answer_failed, a);
    if (!a->failed_timer || ph_password_generate(unknown) < 0 ||
        ph_password_hash(ph_str_c(unknown), a->nobody, reterr) < 0) {
        ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
        return keeper_auth_free(a);
    }
    ph_wipe(unknown, sizeof unknown);
    a->hasher = keeper_hasher_new(k->p->loop, hashed, a, reterr);
    return a->hasher ? a : keeper_auth_free(a);
}

struct keeper_auth *keeper_auth_free(struct keeper_auth *a)
{
    if (!a)
        return NULL;
    for (struct keeper_job *job = keeper_hasher_free(a->hasher), *next; job; job = next) {
        next = job->next;
        drop_attempt((struct attempt *)job);
    }
    for (struct attempt *t = a->failed, *next; t; t = next) {
        next = t->next;
        drop_attempt(t);
    }
    for (size_t i = 0; i < BUCKETS; i++)
        while (a->buckets[i]) {
            drop_attempt(a->buckets[i]->pending);
            remove_session(a, &a->buckets[i]);
        }
    ph_timer_free(a->failed_timer);
    ph_wipe(a, sizeof *a);
    free(a);
    return NULL;
}
