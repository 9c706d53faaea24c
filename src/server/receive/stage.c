/* The hooks of the stages: see stage.h. */
#include "stage.h"
#include "log.h"
#include "loop.h"
#include <posthouse/mime.h>
#include <stdio.h>

static const char *const acts[] = {"accepted", "tagged", "quarantined", "deferred", "rejected"};

static void say(struct stage_verdict *v, enum stage_act act, int code, const char *esc,
                const char *reply)
{
    v->act = act;
    v->code = code;
    v->esc = esc;
    snprintf(v->reply, sizeof v->reply, "%s", reply);
    snprintf(v->reason, sizeof v->reason, "%.150s", reply);
}

/* ---- CONNECT ------------------------------------------------------------------------------ */

static void front_door(struct intake *in, const struct ph_smtp_server_event *ev,
                       struct stage_verdict *v)
{
    (void)ev;
    if (in->peer->room != FRONT_OK)
        say(v, STAGE_DEFER, 421, in->peer->room == FRONT_FULL ? "4.3.2" : "4.7.0", in->peer->why);
}

/* ---- HELO --------------------------------------------------------------------------------- */

/* Whoever comes in our own name is not us. */
static void our_name(struct intake *in, const struct ph_smtp_server_event *ev,
                     struct stage_verdict *v)
{
    struct ph_smtp_server_info info;
    (void)ev;
    ph_smtp_server_info(in->engine, &info);
    if (!in->host->local_users && !in->peer->exempt && in->peer->service != IPC_LMTP &&
        in->proc->conf->hostname.n && ph_str_ieq(info.helo, in->proc->conf->hostname))
        say(v, STAGE_REJECT, 550, "5.7.1", "You greet with the name of this server");
}

/* ---- MAIL and RCPT ------------------------------------------------------------------------ */

static void limit(struct intake *in, struct stage_verdict *v, enum guard_what what, ph_str sender,
                  uint64_t amount)
{
    struct guard_who who = intake_who(in);
    who.name[GUARD_SENDER] = in->peer->exempt ? (ph_str){0} : sender;
    const char *why = guard_take(in->guard, ph_loop_now(in->proc->loop), what, &who, amount);
    if (why)
        say(v, STAGE_DEFER, 450, "4.7.1", why);
}

static void letters(struct intake *in, const struct ph_smtp_server_event *ev,
                    struct stage_verdict *v)
{
    limit(in, v, GUARD_LETTER, ev->mailbox.address, 1);
}

/* What SIZE announces; the rest is counted when it has come. */
static void octets(struct intake *in, const struct ph_smtp_server_event *ev,
                   struct stage_verdict *v)
{
    in->octets_said = ev->params.size ? ev->params.size : 1;
    limit(in, v, GUARD_OCTETS, (ph_str){0}, in->octets_said);
}

static void recipients(struct intake *in, const struct ph_smtp_server_event *ev,
                       struct stage_verdict *v)
{
    (void)ev;
    limit(in, v, GUARD_RECIPIENT, (ph_str){0}, 1);
}

/* ---- DATA --------------------------------------------------------------------------------- */

static void hops(struct intake *in, const struct ph_smtp_server_event *ev, struct stage_verdict *v)
{
    (void)ev;
    if (in->letter.received > in->proc->conf->max_hops)
        say(v, STAGE_REJECT, 554, "5.4.6", "Too many Received fields: the message is in a loop");
}

/* Mail programs show one From, each another one: so filters and readers are deceived (RFC 5322 3.6
 * allows one). */
static void one_from(struct intake *in, const struct ph_smtp_server_event *ev,
                     struct stage_verdict *v)
{
    (void)ev;
    if (!in->host->local_users && in->letter.froms > 1)
        say(v, STAGE_QUARANTINE, 0, "", "more than one From field");
}

/* ---- the table ---------------------------------------------------------------------------- */

static const struct {
    enum stage at;
    const char *name;
    void (*run)(struct intake *in, const struct ph_smtp_server_event *ev, struct stage_verdict *v);
} hooks[] = {
    {STAGE_CONNECT, "front-door", front_door},   {STAGE_HELO, "our-name", our_name},
    {STAGE_MAIL, "rate-letters", letters},       {STAGE_MAIL, "rate-octets", octets},
    {STAGE_RCPT, "rate-recipients", recipients}, {STAGE_DATA, "hops", hops},
    {STAGE_DATA, "one-from", one_from},
};

struct stage_verdict stage_run(struct intake *in, enum stage at,
                               const struct ph_smtp_server_event *ev)
{
    struct stage_verdict stands = {.act = STAGE_ACCEPT};
    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0] && stands.act < STAGE_DEFER; i++) {
        struct stage_verdict v = {.act = STAGE_ACCEPT, .hook = hooks[i].name};
        if (hooks[i].at != at)
            continue;
        hooks[i].run(in, ev, &v);
        if (v.act == STAGE_ACCEPT)
            continue;
        stands = v;
        ph_log(PH_LOG_INFO, ph_str_c(in->letter.message_id), "stage",
               "session=%s peer=%s hook=%s verdict=%s sender=%s reason=%s", in->peer->id,
               in->peer->text, v.hook, acts[v.act], in->letter.sender, v.reason);
        in->quarantine |= v.act == STAGE_QUARANTINE;
        ph_buf_addf(&in->notes, "; %s by %s: %s", acts[v.act], v.hook, v.reason);
    }
    return stands;
}
