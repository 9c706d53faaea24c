/*
 * Logins, from the proof on (what comes before it: exchange.c).
 *
 *   by SCRAM, token, certificate: checked already ----------------+
 *                                                                 v
 *   by password: an app password? --yes-----------------------> GRANT to the store
 *                    | no                                         ^  |
 *                    v                                            |  +-> GRANTED -> AUTHED, OK
 *                known again? --yes-------------------------------+
 *                    | no                                         |
 *                    v                                            |
 *                a thread hashes --right, the account's still-----+
 *                    | wrong
 *                    v
 *                wait KEEPER_FAIL_MS -> AUTHED, DENIED
 *
 * An unknown user costs the hashing of a hash that fits nothing, so that time does not tell who
 * exists. An account with too many refused logins is barred to strangers, see guard.h; addresses
 * from which its owner has come of late are no strangers. An address with too many is shut out of
 * every process, and of the sessions that it has open already.
 */
#include "auth_int.h"
#include "random.h"

#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static size_t sessions_of(const struct keeper_auth *a, uint64_t account)
{
    size_t n = 0;
    for (const struct session *s = a->by_account[account % BUCKETS]; s; s = s->next_of_account)
        n += s->account == account;
    return n;
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
    struct session **first = &a->by_account[s->account % BUCKETS];
    s->next_of_account = *first;
    s->at_of_account = first;
    if (*first)
        (*first)->at_of_account = &s->next_of_account;
    *first = s;
    a->session_count++;
    return s;
}

static void remove_session(struct keeper_auth *a, struct session **at)
{
    struct session *s = *at;
    *at = s->next;
    *s->at_of_account = s->next_of_account;
    if (s->next_of_account)
        s->next_of_account->at_of_account = s->at_of_account;
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
    if (t) {
        auth_wipe(t);
        free(t->certificate);
    }
    free(t);
}

void auth_wipe(struct attempt *t)
{
    ph_wipe(t->job.password, sizeof t->job.password);
    if (t->sasl)
        ph_sasl_server_done(t->sasl);
    free(t->sasl);
    t->sasl = NULL;
}

void auth_end(struct keeper_auth *a, struct attempt *t)
{
    drop_attempt(t);
    a->attempts--;
    if (a->k->p->draining && a->attempts == 0)
        proc_done(a->k->p);
}

void auth_answer(struct keeper_auth *a, const struct attempt *t, const struct ipc_AUTHED *with)
{
    struct ipc_chan *to = proc_peer_at(a->k->p, ROLE_ACCESS, t->instance);
    struct ipc_AUTHED m = *with;
    m.req = t->req;
    m.user = ph_str_c(t->user);
    if (to &&
        t->epoch == a->epochs[t->instance]) /* not to a younger process with the same numbers */
        ipc_chan_send(to, IPC_AUTHED, &m, -1);
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
        auth_answer(a, t, &(struct ipc_AUTHED){.verdict = IPC_DENIED, .text = ph_str_c(t->why)});
        auth_end(a, t);
    }
    if (a->failed)
        ph_timer_set(a->failed_timer, a->failed->due - now);
}

static struct guard_who address_of(const struct attempt *t)
{
    return (struct guard_who){.name[GUARD_ADDRESS] = ph_str_c(t->from)};
}

/* The owner's own mistakes are not counted against the account. */
static struct guard_who account_of(const struct attempt *t)
{
    bool strange = t->address && !t->friend;
    return (struct guard_who){.name[GUARD_ACCOUNT] = strange ? ph_str_c(t->user) : (ph_str){0}};
}

/* While it is banned nothing more is counted. Milliseconds that it is still banned for. */
static int64_t count(struct keeper_auth *a, const struct guard_who *who, const char *event)
{
    int64_t now = ph_loop_now(a->k->p->loop), banned = guard_banned(a->guard, now, who);
    if (banned || !guard_note(a->guard, now, GUARD_LOGIN, who, 1))
        return banned;
    banned = guard_banned(a->guard, now, who);
    ph_log(PH_LOG_WARN, (ph_str){0}, event, "user=%.*s address=%.*s for_ms=%lld",
           PH_FMT(who->name[GUARD_ACCOUNT]), PH_FMT(who->name[GUARD_ADDRESS]), (long long)banned);
    return banned;
}

/* Whoever asks again may be a process that was started anew and has never heard of it. */
static void tell_ban(struct keeper_auth *a, const struct attempt *t, int64_t ms)
{
    static const int roles[] = {ROLE_MX, ROLE_ACCESS};
    for (size_t r = 0; r < sizeof roles / sizeof *roles; r++)
        for (unsigned i = 0; i < KEEPER_INSTANCES; i++) {
            struct ipc_chan *to = proc_peer_at(a->k->p, roles[r], i);
            if (to)
                ipc_send(to, BAN, -1, .address = ph_str_c(t->from),
                         .duration = (uint64_t)ms * 1000);
        }
}

static void count_failure(struct keeper_auth *a, const struct attempt *t)
{
    struct guard_who account = account_of(t), address = address_of(t);
    (void)count(a, &account, "account-barred");
    int64_t ms = count(a, &address, "address-banned");
    if (ms)
        tell_ban(a, t, ms);
}

void auth_fail_later(struct keeper_auth *a, struct attempt *t, const char *why)
{
    a->k->failures++;
    ph_log(PH_LOG_WARN, (ph_str){0}, "login-refused", "user=%s peer=%s service=%s why=%s", t->user,
           t->peer, service_name(t->service), why);
    auth_wipe(t);
    count_failure(a, t);
    t->why = why;
    t->due = ph_loop_now(a->k->p->loop) + KEEPER_FAIL_MS;
    t->next = NULL;
    if (!a->failed)
        ph_timer_set(a->failed_timer, KEEPER_FAIL_MS);
    *a->failed_end = t;
    a->failed_end = &t->next;
}

void auth_fail_now(struct keeper_auth *a, struct attempt *t, int verdict, const char *why)
{
    ph_log(PH_LOG_WARN, (ph_str){0}, "login-deferred", "user=%s peer=%s service=%s why=%s", t->user,
           t->peer, service_name(t->service), why);
    auth_answer(a, t, &(struct ipc_AUTHED){.verdict = (uint8_t)verdict, .text = ph_str_c(why)});
    auth_end(a, t);
}

/* ---- success ----------------------------------------------------------------------------- */

void auth_grant(struct keeper_auth *a, struct attempt *t)
{
    struct ipc_chan *store = proc_peer(a->k->p, ROLE_STORE);
    if (sessions_of(a, t->account) >= (size_t)a->k->p->conf->max_connections_per_account) {
        auth_fail_now(a, t, IPC_LIMIT, "too many sessions of this account");
        return;
    }
    auth_wipe(t);
    struct session *s = store && t->epoch == a->epochs[t->instance] ? add_session(a, t) : NULL;
    if (!s) {
        auth_fail_now(a, t, IPC_TEMP, store ? "too many sessions" : "the store is not running");
        return;
    }
    if (ipc_send(store, GRANT, -1, .session = s->id, .instance = t->instance, .account = t->account,
                 .folder = ph_str_c(t->folder)) < 0) {
        remove_session(a, bucket_place(a, s->id));
        auth_fail_now(a, t, IPC_TEMP, "the store is busy");
    }
}

static void befriend(struct keeper_auth *a, const struct attempt *t)
{
    struct friends *f = &a->friends[t->account % KEEPER_RECENTS];
    if (f->account != t->account)
        *f = (struct friends){.account = t->account};
    if (t->address && !t->friend)
        f->addresses[f->next++ % KEEPER_FRIENDS] = t->address;
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
        auth_fail_now(a, t, IPC_TEMP, "the mailbox can not be opened");
        return;
    }
    k->logins++;
    befriend(a, t);
    ph_log(PH_LOG_DEBUG, (ph_str){0}, "login", "user=%s peer=%s service=%s", t->user, t->peer,
           service_name(t->service));
    auth_answer(a, t, &(struct ipc_AUTHED){.verdict = IPC_OK, .session = g->session});
    auth_end(a, t);
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

/* ---- app passwords ------------------------------------------------------------------------ */

unsigned auth_scope(unsigned service)
{
    return service == IPC_IMAP || service == IPC_IMAPS   ? PH_SCOPE_IMAP
           : service == IPC_POP3 || service == IPC_POP3S ? PH_SCOPE_POP3
                                                         : PH_SCOPE_SMTP;
}

/* When it was used last is for a person to read: not worth a write each time. */
void auth_note_use(struct keeper *k, const struct attempt *t, const struct ph_house_app *app)
{
    int64_t now = ph_wall_us() / 1000000;
    struct ph_error e = {0};
    if (now - app->used >= KEEPER_USED_S &&
        ph_house_app_used(k->house, t->account, app->name, now, &e) < 0)
        ph_log(PH_LOG_ERROR, (ph_str){0}, "app-password-not-noted", "error=%s", e.text);
}

/* NULL: it is not one; empty: it is, and good; else why it is not. */
static const char *app_password(struct keeper *k, const struct attempt *t)
{
    unsigned char digest[PH_APP_DIGEST];
    struct ph_house_app app;
    const char *why = NULL;
    if (!t->account ||
        ph_app_digest(t->account, (ph_str){t->job.password, t->job.password_n}, digest) < 0)
        return NULL;
    if (ph_house_app_find(k->house, t->account, digest, k->arena, &app, NULL) > 0) {
        if (!(app.scope & auth_scope(t->service)))
            why = "this app password is for another protocol";
        else if (app.expires && app.expires <= ph_wall_us() / 1000000)
            why = "this app password has expired";
        else
            why = "";
        if (!*why)
            auth_note_use(k, t, &app);
        ph_log(PH_LOG_INFO, (ph_str){0}, "app-password", "user=%s name=%.*s why=%s", t->user,
               PH_FMT(app.name), why);
    }
    keeper_forget(k);
    return why;
}

/* ---- passwords ---------------------------------------------------------------------------- */

bool auth_is_current(struct keeper *k, const struct attempt *t)
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
        auth_fail_now(a, t, IPC_TEMP, "out of memory");
    } else if (job->result == 0 || t->account == 0 || !auth_is_current(a->k, t)) {
        auth_fail_later(a, t, "wrong user name or password");
    } else {
        remember(a, t);
        auth_grant(a, t);
    }
}

void auth_password(struct keeper_auth *a, struct attempt *t)
{
    const char *app = app_password(a->k, t);
    if (app && !*app)
        auth_grant(a, t);
    else if (app || t->barred)
        auth_fail_later(a, t, app ? app : "barred after too many wrong passwords");
    else if (is_recent(a, t))
        auth_grant(a, t);
    else if (keeper_hasher_add(a->hasher, &t->job) < 0)
        auth_fail_now(a, t, IPC_TEMP, "too many logins at the same time");
    else
        a->k->hashes++;
}

/* ---- who it may be ------------------------------------------------------------------------ */

void auth_copy(char *to, size_t size, ph_str from)
{
    size_t n = from.n < size - 1 ? from.n : size - 1;
    if (n)
        memcpy(to, from.p, n);
    to[n] = '\0';
}

static void look_for_friend(struct keeper_auth *a, struct attempt *t)
{
    const struct friends *f = &a->friends[t->account % KEEPER_RECENTS];
    int64_t now = ph_loop_now(a->k->p->loop);
    t->friend = false;
    for (size_t i = 0; t->account && f->account == t->account && i < KEEPER_FRIENDS; i++)
        t->friend |= t->address && f->addresses[i] == t->address;
    struct guard_who account = account_of(t), address = address_of(t);
    t->barred = guard_banned(a->guard, now, &account) || guard_banned(a->guard, now, &address);
}

/* An address that nobody has is written as if somebody had it: so it can be counted, too. */
static void name_stranger(struct attempt *t, ph_str user)
{
    struct ph_house_name name;
    bool good = ph_house_name(user, &name, NULL) >= 0;
    auth_copy(t->user, sizeof t->user, good ? ph_house_name_str(&name) : user);
}

int auth_identify(struct keeper_auth *a, struct attempt *t, ph_str user,
                  struct ph_house_account *ret_account)
{
    struct keeper *k = a->k;
    struct ph_error e = {0};
    int r = ph_house_account_get(k->house, user, k->arena, ret_account, &e);
    bool known = r >= 0 && !ret_account->disabled && ret_account->hash.n < PH_HASH_MAX;
    auth_copy(t->job.hash, sizeof t->job.hash, known ? ret_account->hash : ph_str_c(a->nobody));
    t->account = known ? ret_account->id : 0;
    if (known) {
        auth_copy(t->user, sizeof t->user, ret_account->address);
        auth_copy(t->folder, sizeof t->folder, ret_account->folder);
    } else {
        name_stranger(t, user);
    }
    look_for_friend(a, t);
    if (r >= 0 || r == -PH_ENOENT || r == -PH_EINVAL)
        return known;
    ph_log(PH_LOG_ERROR, (ph_str){0}, "lookup-failed", "error=%s", e.text);
    return r;
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
                auth_fail_now(a, t, IPC_TEMP, why);
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
    auth_forget_exchanges(a, (int)(instance % KEEPER_INSTANCES));
    sweep(a, is_of_instance, instance % KEEPER_INSTANCES, "the access process has gone");
}

void keeper_auth_account_gone(struct keeper_auth *a, uint64_t account)
{
    sweep(a, is_of_account, account, "the account was removed");
}

void keeper_auth_settings(struct keeper_auth *a)
{
    guard_settings(a->guard, a->k->p->conf);
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
    a->exchange_timer = ph_timer_new(k->p->loop, auth_exchange_late, a);
    a->guard = guard_new();
    if (a->guard)
        guard_settings(a->guard, k->p->conf);
    if (!a->failed_timer || !a->exchange_timer || !a->guard || ph_password_generate(unknown) < 0 ||
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
    while (a->waiting) {
        struct attempt *t = a->waiting;
        auth_unhold(a, t);
        drop_attempt(t);
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
    ph_timer_free(a->exchange_timer);
    guard_free(a->guard);
    ph_wipe(a, sizeof *a);
    free(a);
    return NULL;
}
