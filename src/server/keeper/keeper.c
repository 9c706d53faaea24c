/* keeper: accounts, passwords and private keys. */
#include "keeper_int.h"
#include "token.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

/* Its privileges: its own folder and threads; no network. */
static void sandbox(struct proc *p, struct ph_sandbox *ret)
{
    *ret =
        (struct ph_sandbox){.may = PH_MAY_FILES | PH_MAY_THREADS, .dir = p->data, .chroot = true};
}

/* ---- changes ----------------------------------------------------------------------------- */

static int tell_store(void *ctx, const struct ph_house_gone *row)
{
    struct keeper *k = ctx;
    struct ipc_chan *store = proc_peer(k->p, ROLE_STORE);
    keeper_auth_account_gone(k->auth, row->account);
    if (!store || ipc_send(store, REVOKE, -1, .account = row->account, .folder = row->folder,
                           .erase = row->erase) < 0)
        return 1; /* the next look begins here again */
    k->told = row->seq;
    return 0;
}

static void tell_removed(struct keeper *k)
{
    struct ph_error e = {0};
    if (ph_house_removed(k->house, k->told, tell_store, k, &e) < 0)
        ph_log(PH_LOG_ERROR, (ph_str){0}, "lookup-failed", "error=%s", e.text);
}

struct telling {
    struct ph_buf rows;
    uint64_t to; /* seq of the last row */
};

static int add_limit(void *ctx, const struct ph_house_quota *row)
{
    enum { ROWS_MOST = 500000 };
    struct telling *t = ctx;
    struct ipc_limit limit = {
        .account = row->account, .bytes = row->bytes, .messages = row->messages};
    ipc_add(limit, &t->rows, &limit);
    t->to = row->seq;
    return t->rows.n > ROWS_MOST;
}

/* As many frames as it takes; what could not be told is told at the next look. */
static void tell_limits(struct keeper *k)
{
    struct ipc_chan *store = proc_peer(k->p, ROLE_STORE);
    struct ph_error e = {0};
    struct telling t = {.to = k->told_quota};
    int r = store != NULL;
    ph_buf_init(&t.rows, NULL, 524288);
    while (r > 0) {
        ph_buf_clear(&t.rows);
        r = ph_house_quotas(k->house, k->told_quota, add_limit, &t, &e);
        if (r < 0)
            ph_log(PH_LOG_ERROR, (ph_str){0}, "lookup-failed", "error=%s", e.text);
        else if (t.rows.n && ipc_send(store, LIMITS, -1, ph_buf_str(&t.rows)) < 0)
            break;
        else
            k->told_quota = t.to;
    }
    ph_buf_done(&t.rows);
}

static void turn_over(void *ctx)
{
    struct keeper *k = ctx;
    k->looked = false;
}

void keeper_look(struct keeper *k)
{
    struct ph_error e = {0};
    if (k->looked)
        return;
    k->looked = true;
    ph_loop_later(k->p->loop, &k->turn_over);
    int r = ph_house_changed(k->house, &e);
    if (r < 0)
        ph_log(PH_LOG_ERROR, (ph_str){0}, "lookup-failed", "error=%s", e.text);
    if (r != 0)
        k->generation++; /* also when we can not know */
    if (r > 0) {
        tell_removed(k);
        tell_limits(k);
    }
}

static void poll_changes(void *ctx)
{
    struct keeper *k = ctx;
    keeper_look(k);
    ph_timer_set(k->poll, KEEPER_POLL_MS);
}

void keeper_forget(struct keeper *k)
{
    ph_arena_back(k->arena, (struct ph_mark){0});
}

/* ---- life -------------------------------------------------------------------------------- */

/* Keys and channels may come before setup(): whoever is first makes it. NULL: out of memory. */
static struct keeper *keeper_of(struct proc *p)
{
    struct keeper *k = p->state;
    if (k)
        return k;
    k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->p = p;
    k->generation = 1;
    k->turn_over = (struct ph_later){.fn = turn_over, .ctx = k};
    k->arena = ph_arena_new(NULL, KEEPER_ARENA);
    k->cache = keeper_cache_new();
    k->signs = keeper_signs_new(k);
    k->poll = ph_timer_new(p->loop, poll_changes, k);
    if (k->arena && k->cache && k->signs && k->poll)
        return p->state = k;
    ph_timer_free(k->poll);
    keeper_signs_free(k->signs);
    keeper_cache_free(k->cache);
    ph_arena_free(k->arena);
    free(k);
    return NULL;
}

static int setup(struct proc *p, struct ph_error *reterr)
{
    return keeper_of(p) ? 0 : ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
}

static int opened(struct proc *p, struct ph_error *reterr, int *ret_exit_code)
{
    struct keeper *k = p->state;
    char path[4096];
    struct ph_error e = {0};
    if (snprintf(path, sizeof path, "%s/house.sqlite", p->data) >= (int)sizeof path)
        return ph_fail(reterr, PH_EINVAL, 0, "the name of the data folder is too long");
    int r = ph_house_open(path, true, &k->house, &e);
    if (r < 0) {
        *ret_exit_code = ph_house_exit_code(&e);
        if (reterr)
            *reterr = e;
        return r;
    }
    k->auth = keeper_auth_new(k, reterr);
    if (!k->auth) {
        *ret_exit_code = EX_OSERR;
        return -PH_ENOMEM;
    }
    poll_changes(k);
    return 0;
}

static void peer_up(struct proc *p, int role, unsigned instance)
{
    struct keeper *k = p->state;
    (void)instance;
    if (role != ROLE_STORE || !k)
        return;
    k->told = k->told_quota = 0; /* a new store knows nothing */
    if (k->auth) {
        tell_removed(k);
        tell_limits(k);
    }
}

static void peer_down(struct proc *p, int role, unsigned instance)
{
    struct keeper *k = p->state;
    if (!k || !k->auth)
        return;
    if (role == ROLE_STORE)
        keeper_auth_store_down(k->auth);
    if (role == ROLE_ACCESS)
        keeper_auth_access_down(k->auth, instance);
}

static void reload(struct proc *p)
{
    struct keeper *k = p->state;
    k->generation++; /* postmaster may be another */
    if (k->auth)
        keeper_auth_settings(k->auth);
}

/* Logins under way end first; the last one calls proc_done. */
static void drain(struct proc *p)
{
    struct keeper *k = p->state;
    if (keeper_auth_is_busy(k->auth))
        keeper_auth_drain(k->auth);
    else
        proc_done(p);
}

static void ended(struct proc *p)
{
    struct keeper *k = p->state;
    k->house = ph_house_close(k->house);
}

static void stats(struct proc *p, struct ph_buf *rows)
{
    struct keeper *k = p->state;
    const struct ipc_counter counters[] = {
        {.name = PH_STR("recipients_checked"), .value = k->rcpt_checks},
        {.name = PH_STR("answers_from_memory"), .value = k->cache_hits},
        {.name = PH_STR("logins"), .value = k->logins},
        {.name = PH_STR("logins_refused"), .value = k->failures},
        {.name = PH_STR("passwords_hashed"), .value = k->hashes},
        {.name = PH_STR("sessions"), .value = keeper_auth_sessions(k->auth)},
        {.name = PH_STR("signatures"), .value = k->signatures},
    };
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        ipc_add(counter, rows, &counters[i]);
}

static void key(struct proc *p, ph_str name, ph_str key_pem)
{
    struct keeper *k = keeper_of(p);
    if (k)
        keeper_signs_key(k->signs, name, key_pem);
}

static void signer(struct proc *p, int role, unsigned instance, int fd)
{
    struct keeper *k = keeper_of(p);
    if (k)
        keeper_signs_channel(k->signs, role, instance, fd);
    else
        close(fd);
}

static int trust(struct proc *p, ph_str text, struct ph_error *reterr)
{
    struct keeper *k = keeper_of(p);
    struct ph_token_keys *fresh = NULL;
    int r = k ? 0 : ph_fail(reterr, PH_ENOMEM, 0, "out of memory");
    if (r == 0 && text.n)
        r = ph_token_keys_read(text, &fresh, reterr);
    if (r < 0)
        return r;
    ph_token_keys_free(k->tokens);
    k->tokens = fresh;
    return 0;
}

int keeper_token_name(struct keeper *k, ph_str token, ph_str *ret_name, struct ph_error *reterr)
{
    const struct ph_conf *c = k->p->conf;
    const struct ph_token_rules rules = {c->oauth_issuer, c->oauth_audience, c->oauth_claim};
    if (!k->tokens) /* they were taken away while the client was waited for */
        return ph_fail(reterr, PH_EAUTH, 0, "no tokens are taken");
    return ph_token_check(k->tokens, &rules, token, ph_wall_us() / 1000000, k->arena, ret_name,
                          reterr);
}

static proc_handler *const handlers[IPC_TYPE_COUNT] = {
    [IPC_RCPT_CHECK] = keeper_rcpt_check,   [IPC_SENDER_CHECK] = keeper_sender_check,
    [IPC_AUTH] = keeper_auth_ask,           [IPC_GRANTED] = keeper_granted,
    [IPC_SESSION_END] = keeper_session_end, [IPC_AUTH_END] = keeper_auth_end,
};

const struct proc_def proc_keeper = {
    .role = ROLE_KEEPER,
    .handlers = handlers,
    .setup = setup,
    .sandbox = sandbox,
    .opened = opened,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .reload = reload,
    .drain = drain,
    .ended = ended,
    .stats = stats,
    .key = key,
    .trust = trust,
    .signer = signer,
};
