/* auth_int.h - what auth.c and exchange.c share: a login under way, and all of them. */
#ifndef AUTH_INT_H
#define AUTH_INT_H
#include "guard.h"
#include "keeper_int.h"

#include <posthouse/sasl.h>

enum { DIGEST = 32, BUCKETS = 4096, PEER_MAX = 128 };

/* One login from its first AUTH to its answer. */
struct attempt {
    struct keeper_job job;       /* first: the hasher hands it back */
    struct attempt *next, *prev; /* in the list of failures, or of exchanges that wait */
    int64_t due;
    uint64_t req, account, exchange; /* exchange: its number while the client is waited for */
    unsigned instance, epoch;        /* of the access process that asked */
    uint8_t service;
    bool friend, barred;
    char from[64 + 1]; /* what counts as an address; empty: no limit holds */
    uint64_t address;  /* its digest, 0: none */
    const char *why;
    struct ph_sasl_server *sasl;     /* until the proof is here */
    char *certificate;               /* whom the client's names; NULL: none */
    char user[PH_HOUSE_ADDRESS + 1]; /* normalised; as given when it is no address */
    char folder[PH_HOUSE_FOLDER + 1];
    char peer[PEER_MAX + 1];
};

struct session {
    struct session *next, *next_of_account, **at_of_account; /* in its buckets */
    uint64_t id, account;
    unsigned instance;
    struct attempt *pending; /* until the store has answered */
};

struct recent {
    uint64_t account; /* 0: empty */
    int64_t until;
    unsigned char digest[DIGEST]; /* of password, account and hash, keyed in memory */
};

/* Where an account's owner has come from of late. */
struct friends {
    uint64_t account, addresses[KEEPER_FRIENDS];
    unsigned next;
};

struct keeper_auth {
    struct keeper *k;
    struct keeper_hasher *hasher;
    struct guard *guard;
    struct session *buckets[BUCKETS], *by_account[BUCKETS];
    size_t session_count, attempts;
    struct recent recents[KEEPER_RECENTS];
    struct friends friends[KEEPER_RECENTS];
    unsigned char secret[DIGEST];
    char nobody[PH_HASH_MAX]; /* a hash that fits nothing */
    unsigned epochs[KEEPER_INSTANCES];
    struct attempt *failed, **failed_end;
    struct ph_timer *failed_timer, *exchange_timer;
    struct attempt *waiting, *waiting_last; /* for their clients, the oldest first */
    size_t waiting_n;
};

/* ---- auth.c ---- */

/* Fills in who `user` is: 1 known (*ret_account, in the keeper's arena: keeper_forget), 0 unknown
 * or disabled, negative: the address book can not be read (logged). */
PH_MUST_CHECK int auth_identify(struct keeper_auth *a, struct attempt *t, ph_str user,
                                struct ph_house_account *ret_account);
/* Whether the account is still there with the hash that it had: it may have changed meanwhile. */
bool auth_is_current(struct keeper *k, const struct attempt *t);
void auth_copy(char *to, size_t size, ph_str from);
void auth_wipe(struct attempt *t); /* its secrets */
/* req and user are filled in. */
void auth_answer(struct keeper_auth *a, const struct attempt *t, const struct ipc_AUTHED *with);

/* Each of these takes the attempt. */
void auth_password(struct keeper_auth *a, struct attempt *t); /* job.password is to be checked */
void auth_grant(struct keeper_auth *a, struct attempt *t);    /* it is who it says */
void auth_fail_later(struct keeper_auth *a, struct attempt *t,
                     const char *why); /* it is not: a literal */
void auth_fail_now(struct keeper_auth *a, struct attempt *t, int verdict, const char *why);
void auth_end(struct keeper_auth *a, struct attempt *t);

unsigned auth_scope(unsigned service); /* of an app password: PH_SCOPE_... */
/* Its last use is now. */
void auth_note_use(struct keeper *k, const struct attempt *t, const struct ph_house_app *app);

/* ---- apop.c ---- */

void auth_apop(struct keeper_auth *a, struct attempt *t, ph_str data); /* takes the attempt */

/* ---- exchange.c ---- */

void auth_unhold(struct keeper_auth *a, struct attempt *t);
void auth_exchange_late(void *a);                                /* a timer's */
void auth_forget_exchanges(struct keeper_auth *a, int instance); /* -1: of all */

#endif
