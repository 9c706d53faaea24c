/*
 * house.h - the address book of the house in house.sqlite: domains, accounts, aliases, and the
 * hashes of passwords. Written by the administration verbs, read by keeper; both at the same time
 * (WAL).
 *
 * Everything returns >= 0 or -PH_E...; reterr (may be NULL) then holds a sentence for a person that
 * names the file when it is the file's fault. Nothing here knows who may do what.
 */
#ifndef PH_HOUSE_H
#define PH_HOUSE_H
#include <posthouse/base.h>

enum {
    PH_HOUSE_VERSION = 4, /* PRAGMA user_version of the schema below */
    /* Octets of a normalised address. RFC 5321 4.5.3.1 allows 64 + 1 + 255; the senders of mailing
     * lists, to whom reports must find, are longer. */
    PH_HOUSE_ADDRESS = 512,
    PH_HOUSE_FOLDER = 200,       /* octets of a folder name */
    PH_HOUSE_BUSY_MS = 5000,     /* how long another writer is waited for */
    PH_HOUSE_ALIAS_STEPS = 1000, /* addresses looked at while one is expanded */
    PH_HOUSE_TARGETS = 500       /* where one address may lead */
};

struct ph_house;

/* Opens, and creates when `create`, the database with its schema; an older schema is brought up to
 * date. -PH_ECORRUPT (not a database, damaged, not ours), -PH_EINVAL (made by a newer Posthouse),
 * -PH_ENOENT, -PH_EDENIED, -PH_EFULL, -PH_EIO. As root, a new file belongs to the owner of its
 * folder. */
PH_MUST_CHECK int ph_house_open(const char *path, bool create, struct ph_house **ret_house,
                                struct ph_error *reterr);
struct ph_house *ph_house_close(struct ph_house *h); /* NULL allowed; returns NULL */
/* The sysexits code that fits an error of ph_house_open or of a call below: 65, 66, 73, 74, 75,
 * 77, 78. */
int ph_house_exit_code(const struct ph_error *e);

/* 1 when another connection has committed since the last call (at the first call: 1), 0 when
 * not. */
PH_MUST_CHECK int ph_house_changed(struct ph_house *h, struct ph_error *reterr);

/* A write transaction around several calls. commit without success rolls back. */
PH_MUST_CHECK int ph_house_begin(struct ph_house *h, struct ph_error *reterr);
PH_MUST_CHECK int ph_house_commit(struct ph_house *h, struct ph_error *reterr);
void ph_house_abort(struct ph_house *h);

/* ---- names ------------------------------------------------------------------------------- */

/* An address in the form in which the book keeps it: local part with ASCII letters lower-case and
 * quotes only where needed, domain as lower-case A-labels (RFC 5890), without a root dot. */
struct ph_house_name {
    char text[PH_HOUSE_ADDRESS + 1]; /* NUL behind */
    size_t n;
    size_t at; /* offset of the `@` */
};

/* -PH_EINVAL with the reason: no `@`, an empty or too long part, a character that can not be
 * there. */
PH_MUST_CHECK int ph_house_name(ph_str address, struct ph_house_name *ret_name,
                                struct ph_error *reterr);
/* Only a domain; for "@domain" in ret->text, at == 0. A bracketed address literal is kept as it
 * is. */
PH_MUST_CHECK int ph_house_domain_name(ph_str domain, struct ph_house_name *ret_name,
                                       struct ph_error *reterr);
ph_str ph_house_name_str(const struct ph_house_name *name);
ph_str ph_house_name_local(const struct ph_house_name *name);
ph_str ph_house_name_domain(const struct ph_house_name *name);

/* ---- domains ----------------------------------------------------------------------------- */

PH_MUST_CHECK int ph_house_domain_add(struct ph_house *h, ph_str domain,
                                      struct ph_error *reterr); /* -PH_EEXIST */
/* -PH_ENOENT; -PH_EINUSE while it has accounts or aliases. */
PH_MUST_CHECK int ph_house_domain_remove(struct ph_house *h, ph_str domain,
                                         struct ph_error *reterr);
/* `domain` normalised. 1 or 0. */
PH_MUST_CHECK int ph_house_domain_has(struct ph_house *h, ph_str domain, struct ph_error *reterr);

struct ph_house_domain {
    ph_str name;
    int64_t created; /* seconds since 1970 */
    uint64_t accounts, aliases;
};
/* Rows in order, until fn returns other than 0, which is then the result. Rows are borrowed until
 * fn returns. */
PH_MUST_CHECK int ph_house_domains(struct ph_house *h,
                                   int (*fn)(void *ctx, const struct ph_house_domain *row),
                                   void *ctx, struct ph_error *reterr);

/* ---- accounts ---------------------------------------------------------------------------- */

struct ph_house_account {
    uint64_t id; /* never used again after removal */
    ph_str address;
    ph_str folder; /* below data/mail; one path component */
    ph_str hash;
    ph_str scram1, scram256; /* ph_sasl_keys_write; empty: none were kept */
    bool disabled;           /* may not log in; its mail is kept and accepted */
    int64_t created;
};

/* What is kept of a password. */
struct ph_house_secret {
    ph_str hash; /* ph_password_hash */
    ph_str scram1,
        scram256; /* SCRAM keys, ph_sasl_keys_write; empty: this password is none for SCRAM */
};

/* The domain must exist (-PH_ENOENT). -PH_EEXIST: an account or alias of that address. */
PH_MUST_CHECK int ph_house_account_add(struct ph_house *h, ph_str address,
                                       const struct ph_house_secret *secret, uint64_t *ret_id,
                                       struct ph_error *reterr);
PH_MUST_CHECK int ph_house_account_passwd(struct ph_house *h, ph_str address,
                                          const struct ph_house_secret *secret,
                                          struct ph_error *reterr);
/* erase: keeper has the store delete its mail; else the folder stays and is never given to
 * another. */
PH_MUST_CHECK int ph_house_account_remove(struct ph_house *h, ph_str address, bool erase,
                                          struct ph_error *reterr);
/* The account with this (any form of) address; strings live in the arena given. -PH_ENOENT. */
PH_MUST_CHECK int ph_house_account_get(struct ph_house *h, ph_str address, struct ph_arena *arena,
                                       struct ph_house_account *ret_account,
                                       struct ph_error *reterr);
PH_MUST_CHECK int ph_house_account_by_id(struct ph_house *h, uint64_t id, struct ph_arena *arena,
                                         struct ph_house_account *ret_account,
                                         struct ph_error *reterr);
PH_MUST_CHECK int ph_house_accounts(struct ph_house *h,
                                    int (*fn)(void *ctx, const struct ph_house_account *row),
                                    void *ctx, struct ph_error *reterr);
/* What an answer to a stranger is made from, so that it looks like anyone's: SCRAM keys of the
 * youngest account that has some (empty: none has), and a secret that is always the same. Both live
 * in the arena. */
PH_MUST_CHECK int ph_house_sample(struct ph_house *h, struct ph_arena *arena, ph_str *ret_scram256,
                                  ph_str *ret_seed, struct ph_error *reterr);

/*
 * App passwords: one a program, so that a lost telephone costs one word and not the password. They
 * are made here alone (98 bits), so that a fast digest of them tells nothing; each is good for some
 * protocols, and perhaps until a day.
 */
enum {
    PH_SCOPE_SMTP = 1,
    PH_SCOPE_IMAP = 2,
    PH_SCOPE_POP3 = 4,
    PH_SCOPE_ALL = 7,
    PH_SCOPE_APOP = 8
};
enum { PH_APP_NAME_MAX = 64, PH_APP_DIGEST = 32 };
struct ph_house_app {
    ph_str name;
    unsigned scope;                 /* PH_SCOPE_...; APOP stands alone */
    int64_t created, expires, used; /* seconds since 1970; 0: never */
    ph_str secret;                  /* of APOP, which needs the password itself; else empty */
};
/* digest: of the password, ph_app_digest. -PH_EEXIST: the account has one of that name; -PH_EINVAL:
 * no name. */
PH_MUST_CHECK int ph_house_app_add(struct ph_house *h, uint64_t account,
                                   const struct ph_house_app *app,
                                   const unsigned char digest[PH_APP_DIGEST],
                                   struct ph_error *reterr);
PH_MUST_CHECK int ph_house_app_remove(struct ph_house *h, uint64_t account, ph_str name,
                                      struct ph_error *reterr); /* -PH_ENOENT */
PH_MUST_CHECK int ph_house_apps(struct ph_house *h, uint64_t account,
                                int (*fn)(void *ctx, const struct ph_house_app *row), void *ctx,
                                struct ph_error *reterr);
/* 1 and the one with this digest (its name in the arena, its secret left out), expired or not; 0:
 * there is none. */
PH_MUST_CHECK int ph_house_app_find(struct ph_house *h, uint64_t account,
                                    const unsigned char digest[PH_APP_DIGEST],
                                    struct ph_arena *arena, struct ph_house_app *ret_app,
                                    struct ph_error *reterr);
PH_MUST_CHECK int ph_house_app_used(struct ph_house *h, uint64_t account, ph_str name, int64_t when,
                                    struct ph_error *reterr);
/* SHA-256 of account and password; dashes and spaces in it are a reader's help and do not count. */
PH_MUST_CHECK int ph_app_digest(uint64_t account, ph_str password,
                                unsigned char ret_digest[PH_APP_DIGEST]);

/* What an account may hold: PH_HOUSE_QUOTA_DEFAULT: what the settings say; 0: no limit. */
enum { PH_HOUSE_QUOTA_DEFAULT = -1 };
struct ph_house_quota {
    uint64_t seq; /* rises with every change */
    uint64_t account;
    int64_t bytes, messages;
};
/* -PH_ENOENT: no such account. */
PH_MUST_CHECK int ph_house_quota_set(struct ph_house *h, ph_str address, int64_t bytes,
                                     int64_t messages, struct ph_error *reterr);
/* Defaults when nothing was ever said. */
PH_MUST_CHECK int ph_house_quota_get(struct ph_house *h, uint64_t account,
                                     struct ph_house_quota *ret_quota, struct ph_error *reterr);
/* Those that were set, in the order of their last change, from behind `after` on. */
PH_MUST_CHECK int ph_house_quotas(struct ph_house *h, uint64_t after,
                                  int (*fn)(void *ctx, const struct ph_house_quota *row), void *ctx,
                                  struct ph_error *reterr);

/* Removed accounts, in the order of removal, from behind `after` on. They stay listed, so that a
 * store that was down hears of them later. */
struct ph_house_gone {
    uint64_t seq; /* 1, 2, ... */
    uint64_t account;
    ph_str folder;
    bool erase;
};
PH_MUST_CHECK int ph_house_removed(struct ph_house *h, uint64_t after,
                                   int (*fn)(void *ctx, const struct ph_house_gone *row), void *ctx,
                                   struct ph_error *reterr);

/* ---- aliases ----------------------------------------------------------------------------- */

/* address: of a domain of the house; "@domain" catches what has no account and no alias there.
 * target: any address; of an "@domain" also "@other": the same local part in that domain. Several
 * targets are several rows. -PH_EEXIST, -PH_ENOENT (no such domain). */
PH_MUST_CHECK int ph_house_alias_add(struct ph_house *h, ph_str address, ph_str target,
                                     struct ph_error *reterr);
/* An empty target removes them all. -PH_ENOENT. */
PH_MUST_CHECK int ph_house_alias_remove(struct ph_house *h, ph_str address, ph_str target,
                                        struct ph_error *reterr);

struct ph_house_alias {
    ph_str address, target;
};
PH_MUST_CHECK int ph_house_aliases(struct ph_house *h,
                                   int (*fn)(void *ctx, const struct ph_house_alias *row),
                                   void *ctx, struct ph_error *reterr);

/* ---- where an address leads -------------------------------------------------------------- */

enum ph_house_route_kind {
    PH_HOUSE_LEADS,   /* to the targets: at least one */
    PH_HOUSE_NOUSER,  /* the domain is ours, the address is not */
    PH_HOUSE_FOREIGN, /* the domain is not ours: one target, remote */
    PH_HOUSE_TANGLED  /* a limit of this header was reached while aliases were expanded */
};

struct ph_house_target {
    ph_str address; /* of the account, or the foreign address (its local part as it was given) */
    ph_str folder;  /* empty: remote */
    ph_str domain;  /* remote: A-labels */
    ph_str mailbox; /* local: the tag that was dropped, as it was given; empty: none */
    uint64_t account;
};

struct ph_house_route {
    enum ph_house_route_kind kind;
    struct ph_house_target *targets;
    size_t count;
};

/*
 * Order: alias; account; the same without "+tag"; postmaster (RFC 5321 4.5.1; also without a
 * domain); the catch-all of the domain. An alias that names itself means the account of that name.
 * Each target is there once. postmaster: address of the account that gets its mail, empty: the
 * first account. -PH_EINVAL: not an address.
 */
PH_MUST_CHECK int ph_house_route(struct ph_house *h, ph_str address, ph_str postmaster,
                                 struct ph_arena *arena, struct ph_house_route *ret_route,
                                 struct ph_error *reterr);
/* May this account write as `address`: its own, an alias that leads to it, either with a tag. 1 or
 * 0. */
PH_MUST_CHECK int ph_house_may_send_as(struct ph_house *h, uint64_t account, ph_str address,
                                       ph_str postmaster, struct ph_arena *arena,
                                       struct ph_error *reterr);

/* ---- passwords --------------------------------------------------------------------------- */

enum {
    PH_PASSWORD_MAX = 511, /* octets; the limit of libxcrypt */
    PH_HASH_MAX = 384,
    /* yescrypt's N = 4096, r = 32: 16 MiB and 29 ms of one core (2023 server, 2 cores: measured 14
     * ms at cost 4, 56 ms at 6). Some 35 guesses a second and core for an attacker here, no visible
     * wait for a person. */
    PH_HASH_COST = 5
};

/* A new yescrypt hash ($y$). -PH_EINVAL: empty, too long, or with a NUL. Slow (PH_HASH_COST). */
PH_MUST_CHECK int ph_password_hash(ph_str password, char ret_hash[PH_HASH_MAX],
                                   struct ph_error *reterr);
/* 1 or 0, any hash that libxcrypt knows; slow, callable from any thread. Compares in constant
 * time. */
PH_MUST_CHECK int ph_password_check(ph_str password, ph_str hash);
/* A password of 20 characters without look-alikes in groups of five: 98 bits from the kernel. */
PH_MUST_CHECK int ph_password_generate(char ret_password[24]);

#endif
