/* Where a recipient's address leads, and who may write as whom. */
#include "keeper_int.h"

#include <stdio.h>
#include <string.h>

/* What is kept: the verdict, then the targets (OK) or the text. */
struct answer {
    uint8_t verdict;
    ph_str rest;
};

enum { ADDRESS_MAX = 1024, ROWS_MAX = 262144, TEXT_MAX = 512, MAILBOX_MAX = 255 };

static ph_str cache_key(char buf[ADDRESS_MAX + 16], char kind, uint64_t account, ph_str address)
{
    buf[0] = kind;
    memcpy(buf + 1, &account, sizeof account);
    if (address.n)
        memcpy(buf + 1 + sizeof account, address.p, address.n);
    return (ph_str){buf, 1 + sizeof account + address.n};
}

static bool recall(struct keeper *k, ph_str key, struct answer *ret_answer)
{
    ph_str value;
    if (!keeper_cache_get(k->cache, k->generation, key, &value) || value.n == 0)
        return false;
    k->cache_hits++;
    *ret_answer = (struct answer){(uint8_t)value.p[0], ph_str_skip(value, 1)};
    return true;
}

static void remember(struct keeper *k, ph_str key, const struct answer *a)
{
    char value[KEEPER_CACHE_ENTRY];
    if (a->rest.n + 1 > sizeof value)
        return;
    value[0] = (char)a->verdict;
    if (a->rest.n)
        memcpy(value + 1, a->rest.p, a->rest.n);
    keeper_cache_put(k->cache, k->generation, key, (ph_str){value, a->rest.n + 1});
}

/* ---- RCPT_CHECK -------------------------------------------------------------------------- */

static void put_targets(struct ph_buf *rows, const struct ph_house_route *route, ph_str given)
{
    for (size_t i = 0; i < route->count; i++) {
        const struct ph_house_target *t = &route->targets[i];
        struct ipc_rcpt row = {.target = t->folder.n ? IPC_LOCAL : IPC_REMOTE,
                               .address = t->address,
                               .original = ph_str_eq(given, t->address) ? (ph_str){0} : given,
                               .account = t->account,
                               .folder = t->folder,
                               .mailbox = ph_str_sub(t->mailbox, 0, MAILBOX_MAX),
                               .domain = t->domain};
        ipc_add(rcpt, rows, &row);
    }
}

static struct answer refuse(struct keeper *k, uint8_t verdict, const char *text, ph_str what)
{
    return (struct answer){verdict, ph_arena_printf(k->arena, "%s%.*s", text,
                                                    (int)(what.n < 300 ? what.n : 300),
                                                    what.n ? what.p : "")};
}

static struct answer look_up(struct keeper *k, ph_str address, bool local_user, struct ph_buf *rows)
{
    struct ph_house_route route;
    struct ph_error e = {0};
    int r = ph_house_route(k->house, address, k->p->conf->postmaster, k->arena, &route, &e);
    if (r == -PH_EINVAL)
        return refuse(k, IPC_INVALID, "", ph_str_c(e.text));
    if (r < 0) {
        ph_log(PH_LOG_ERROR, (ph_str){0}, "lookup-failed", "error=%s", e.text);
        return refuse(k, IPC_TEMP, "the address book can not be read now", (ph_str){0});
    }
    switch (route.kind) {
    case PH_HOUSE_NOUSER:
        return refuse(k, IPC_NOUSER, "there is no such address here: ", address);
    case PH_HOUSE_TANGLED:
        return refuse(k, IPC_TEMP, "this address leads to too many others", (ph_str){0});
    case PH_HOUSE_FOREIGN:
        if (!local_user)
            return refuse(k, IPC_DENIED,
                          "that domain is not one of this house, and relaying needs a login",
                          (ph_str){0});
        break;
    case PH_HOUSE_LEADS:
        break;
    }
    put_targets(rows, &route, address);
    if (ph_buf_err(rows))
        return refuse(k, IPC_TEMP, "this address leads to too many others", (ph_str){0});
    return (struct answer){IPC_OK, ph_buf_str(rows)};
}

void keeper_rcpt_check(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct keeper *k = p->state;
    const struct ipc_RCPT_CHECK *q = &msg->RCPT_CHECK;
    char buf[ADDRESS_MAX + 16];
    struct ph_buf rows;
    struct answer a;
    keeper_look(k);
    k->rcpt_checks++;
    ph_buf_init(&rows, NULL, ROWS_MAX);
    ph_str key = cache_key(buf, q->local_user ? 'u' : 's', 0, q->address);
    if (!recall(k, key, &a)) {
        a = look_up(k, q->address, q->local_user, &rows);
        if (a.verdict != IPC_TEMP)
            remember(k, key, &a);
    }
    ipc_send(from, RCPT_CHECKED, -1, .req = q->req, .verdict = a.verdict,
             .targets = a.verdict == IPC_OK ? a.rest : (ph_str){0},
             .text = a.verdict == IPC_OK ? (ph_str){0} : ph_str_sub(a.rest, 0, TEXT_MAX));
    ph_buf_done(&rows);
    keeper_forget(k);
}

/* ---- SENDER_CHECK ------------------------------------------------------------------------ */

void keeper_sender_check(struct proc *p, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct keeper *k = p->state;
    const struct ipc_SENDER_CHECK *q = &msg->SENDER_CHECK;
    char buf[ADDRESS_MAX + 16];
    struct answer a = {.verdict = IPC_DENIED};
    keeper_look(k);
    uint64_t account = keeper_auth_account(k->auth, q->session, ipc_chan_ends(from)->peer_instance);
    ph_str key = cache_key(buf, 'f', account, q->address);
    if (account && !recall(k, key, &a)) {
        struct ph_error e = {0};
        int r = ph_house_may_send_as(k->house, account, q->address, k->p->conf->postmaster,
                                     k->arena, &e);
        a.verdict = r > 0 ? IPC_OK : r == 0 ? IPC_DENIED : IPC_TEMP;
        if (r >= 0)
            remember(k, key, &a);
        else
            ph_log(PH_LOG_ERROR, (ph_str){0}, "lookup-failed", "error=%s", e.text);
    }
    ipc_send(from, SENDER_CHECKED, -1, .req = q->req, .verdict = a.verdict);
    keeper_forget(k);
}
