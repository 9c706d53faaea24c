/*
 * keeper_int.h - the parts of the keeper process.
 *
 *   keeper.c    its privileges, its handlers, the house's file and how changes in it are seen
 *   lookup.c    RCPT_CHECK, SENDER_CHECK
 *   cache.c     answers of lookup.c, until the address book changes
 *   exchange.c  AUTH: the steps of a login until there is a proof
 *   auth.c      proof ... GRANT ... AUTHED, sessions, recent successes, the price of failure
 *   apop.c      a login by APOP
 *   hasher.c    threads that hash passwords
 *   sign.c      private keys and the channels that ask for signatures
 */
#ifndef KEEPER_INT_H
#define KEEPER_INT_H
#include "house.h"
#include "proc.h"

enum {
    KEEPER_POLL_MS = 500,      /* how often a quiet keeper looks for removed accounts */
    KEEPER_ARENA = 4 << 20,    /* memory of one request */
    KEEPER_CACHE_SLOTS = 8192, /* one answer each */
    KEEPER_CACHE_ENTRY = 4096, /* longest answer that is kept, octets */
    KEEPER_HASHERS = 8,        /* threads at most; half as many as processors, but two at least */
    KEEPER_HASHES = 1024, /* passwords waiting; 15 s for two threads: later ones must try again */
    KEEPER_ATTEMPTS = 16384,  /* logins under way, refused ones that wait included */
    KEEPER_FAIL_MS = 1000,    /* a wrong password is answered after this (RFC 4954 4, 3206 5) */
    KEEPER_RECENT_MS = 60000, /* a right password is known again for so long */
    KEEPER_RECENTS = 4096,    /* of so many accounts */
    KEEPER_FRIENDS = 4,       /* addresses that are remembered of each */
    KEEPER_EXCHANGES = 1024,  /* logins whose clients are waited for: 12 KiB each */
    KEEPER_EXCHANGE_MS = 60000,
    KEEPER_USED_S = 600, /* how exactly the last use of an app password is known */
    KEEPER_SESSIONS = 1000000,
    KEEPER_INSTANCES = 256,
    KEEPER_SIGNERS = 256, /* channels */
    KEEPER_KEYS = 1024
};

struct keeper_cache;
struct keeper_auth;
struct keeper_signs;

struct ph_token_keys;

struct keeper {
    struct proc *p;
    struct ph_house *house;
    struct ph_arena *arena; /* of the request being answered; emptied behind it */
    struct keeper_cache *cache;
    struct keeper_auth *auth;
    struct keeper_signs *signs;
    struct ph_token_keys *tokens; /* of the identity provider; NULL: no tokens are taken */
    struct ph_timer *poll;
    struct ph_later turn_over;
    bool looked;         /* for changes, in this turn of the loop */
    uint64_t generation; /* of the address book; answers of an older one are void */
    uint64_t told;       /* the store knows of removed accounts up to here */
    uint64_t told_quota; /* ... and of limits up to here */
    uint64_t rcpt_checks, cache_hits, logins, failures, hashes, signatures; /* for stats */
};

/* Before an answer: whether the address book has changed; once a turn. */
void keeper_look(struct keeper *k);
void keeper_forget(struct keeper *k); /* empties the arena */
/* Whom a bearer token names, in the arena. -PH_EAUTH: it is not good. */
PH_MUST_CHECK int keeper_token_name(struct keeper *k, ph_str token, ph_str *ret_name,
                                    struct ph_error *reterr);

/* ---- lookup.c ---- */
proc_handler keeper_rcpt_check, keeper_sender_check;

/* ---- cache.c ---- */
struct keeper_cache *keeper_cache_new(void);
struct keeper_cache *keeper_cache_free(struct keeper_cache *c);
/* The value is borrowed until the next put. */
bool keeper_cache_get(const struct keeper_cache *c, uint64_t generation, ph_str key,
                      ph_str *ret_value);
void keeper_cache_put(struct keeper_cache *c, uint64_t generation, ph_str key, ph_str value);

/* ---- auth.c ---- */
proc_handler keeper_auth_ask, keeper_auth_end, keeper_granted, keeper_session_end;
void keeper_auth_settings(struct keeper_auth *a); /* they have changed */
void keeper_auth_drain(struct keeper_auth *a);    /* clients are waited for no more */
struct keeper_auth *keeper_auth_new(struct keeper *k, struct ph_error *reterr);
struct keeper_auth *keeper_auth_free(struct keeper_auth *a);
void keeper_auth_store_down(struct keeper_auth *a);
void keeper_auth_access_down(struct keeper_auth *a, unsigned instance);
void keeper_auth_account_gone(struct keeper_auth *a, uint64_t account);
bool keeper_auth_is_busy(const struct keeper_auth *a); /* logins under way */
size_t keeper_auth_sessions(const struct keeper_auth *a);
/* The account behind a session that was granted to that access process; 0: there is none. */
uint64_t keeper_auth_account(const struct keeper_auth *a, uint64_t session, unsigned instance);

/* ---- hasher.c ---- */

/* A password to check, embedded in what wants to know. */
struct keeper_job {
    struct keeper_job *next;
    int result; /* of ph_password_check */
    size_t password_n;
    char password[1024]; /* wiped when done */
    char hash[PH_HASH_MAX];
};
struct keeper_hasher;
/* done(ctx, job) is called in the loop. */
struct keeper_hasher *keeper_hasher_new(struct ph_loop *loop,
                                        void (*done)(void *ctx, struct keeper_job *job), void *ctx,
                                        struct ph_error *reterr);
/* Waits for the threads; returns the jobs that `done` was not called for. */
struct keeper_job *keeper_hasher_free(struct keeper_hasher *h);
int keeper_hasher_add(struct keeper_hasher *h, struct keeper_job *job); /* -PH_ELIMIT */

/* ---- sign.c ---- */
struct keeper_signs *keeper_signs_new(struct keeper *k);
struct keeper_signs *keeper_signs_free(struct keeper_signs *s);
void keeper_signs_key(struct keeper_signs *s, ph_str name, ph_str pem);
void keeper_signs_channel(struct keeper_signs *s, int role, unsigned instance, int fd);

#endif
