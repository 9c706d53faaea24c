/* Private keys, and the channels on which processes that have none ask for signatures. */
#include "keeper_int.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_OCTETS = 255, SIGNATURE_MAX = 1024 };

struct named_key {
    char name[NAME_MAX_OCTETS + 1];
    struct ph_sign_key *key;
};

struct keeper_signs {
    struct keeper *k;
    struct named_key *keys;
    size_t key_count;
    struct ipc_chan *channels[KEEPER_SIGNERS];
};

struct keeper_signs *keeper_signs_new(struct keeper *k)
{
    struct keeper_signs *s = calloc(1, sizeof *s);
    if (s)
        s->k = k;
    return s;
}

struct keeper_signs *keeper_signs_free(struct keeper_signs *s)
{
    if (s) {
        for (size_t i = 0; i < KEEPER_SIGNERS; i++)
            ipc_chan_free(s->channels[i]);
        for (size_t i = 0; i < s->key_count; i++)
            ph_sign_key_free(s->keys[i].key);
        free(s->keys);
        free(s);
    }
    return NULL;
}

static struct named_key *find(struct keeper_signs *s, ph_str name)
{
    for (size_t i = 0; i < s->key_count; i++)
        if (ph_str_eq(ph_str_c(s->keys[i].name), name))
            return &s->keys[i];
    return NULL;
}

static struct named_key *make(struct keeper_signs *s, ph_str name)
{
    if (s->key_count == KEEPER_KEYS || name.n > NAME_MAX_OCTETS)
        return NULL;
    struct named_key *keys = realloc(s->keys, (s->key_count + 1) * sizeof *keys);
    if (!keys)
        return NULL;
    s->keys = keys;
    keys[s->key_count] = (struct named_key){0};
    memcpy(keys[s->key_count].name, name.n ? name.p : "", name.n);
    return &keys[s->key_count++];
}

void keeper_signs_key(struct keeper_signs *s, ph_str name, ph_str pem)
{
    struct ph_sign_key *key;
    struct ph_error e = {0};
    if (ph_sign_key_load(pem, &key, &e) < 0) {
        ph_log(PH_LOG_ERROR, (ph_str){0}, "key-unusable", "name=%.*s error=%s", PH_FMT(name),
               e.text);
        return;
    }
    struct named_key *at = find(s, name);
    if (!at)
        at = make(s, name);
    if (!at) {
        ph_sign_key_free(key);
        ph_log(PH_LOG_ERROR, (ph_str){0}, "key-refused", "name=%.*s", PH_FMT(name));
        return;
    }
    ph_sign_key_free(at->key);
    at->key = key;
}

/* ---- channels ---------------------------------------------------------------------------- */

static void drop(struct keeper_signs *s, struct ipc_chan *chan)
{
    for (size_t i = 0; i < KEEPER_SIGNERS; i++)
        if (s->channels[i] == chan)
            s->channels[i] = NULL;
    ipc_chan_free(chan);
}

/* One channel a process: a new one replaces it, so that nobody can take all places. */
static void drop_earlier(struct keeper_signs *s, const struct ipc_ends *ends)
{
    for (size_t i = 0; i < KEEPER_SIGNERS; i++) {
        const struct ipc_ends *old = s->channels[i] ? ipc_chan_ends(s->channels[i]) : NULL;
        if (old && old->peer_role == ends->peer_role && old->peer_instance == ends->peer_instance)
            s->channels[i] = ipc_chan_free(s->channels[i]);
    }
}

static void gone(void *ctx, struct ipc_chan *chan, const char *why)
{
    const struct ipc_ends *ends = ipc_chan_ends(chan);
    if (why)
        ph_log(PH_LOG_ERROR, (ph_str){0}, "signer-broken", "peer=%s instance=%u why=%s",
               ipc_role_name(ends->peer_role), ends->peer_instance, why);
    drop(ctx, chan);
}

/* Only SIGN is meaningful here; what else such a peer may send keeper belongs on its other
 * channel. */
static void message(void *ctx, struct ipc_chan *from, struct ipc_msg *msg)
{
    struct keeper_signs *s = ctx;
    if (msg->type != IPC_SIGN)
        return;
    const struct ipc_SIGN *q = &msg->SIGN;
    unsigned char signature[SIGNATURE_MAX];
    struct named_key *key = find(s, q->key);
    int n = key ? ph_sign(key->key, q->scheme, q->digest, signature, sizeof signature) : -PH_ENOENT;
    if (n < 0)
        ph_log(PH_LOG_ERROR, (ph_str){0}, "sign-failed", "key=%.*s scheme=%u error=%s",
               PH_FMT(q->key), (unsigned)q->scheme, ph_error_info(n)->text);
    else
        s->k->signatures++;
    ipc_send(from, SIGNED, -1, .req = q->req,
             .verdict = n < 0 ? (key ? IPC_TEMP : IPC_NOENT) : IPC_OK,
             .signature = {(const char *)signature, n < 0 ? 0 : (size_t)n});
}

void keeper_signs_channel(struct keeper_signs *s, int role, unsigned instance, int fd)
{
    struct ipc_ends ends = {.self_role = ROLE_KEEPER,
                            .peer_role = role,
                            .self_instance = s->k->p->instance,
                            .peer_instance = instance};
    struct ipc_callbacks cb = {.message = message, .gone = gone, .ctx = s};
    size_t at = 0;
    drop_earlier(s, &ends);
    while (at < KEEPER_SIGNERS && s->channels[at])
        at++;
    struct ipc_chan *chan = ipc_chan_new(s->k->p->loop, fd, &ends, &cb);
    if (!chan)
        return;
    if (at < KEEPER_SIGNERS)
        s->channels[at] = chan;
    else
        ipc_chan_free(chan);
}
