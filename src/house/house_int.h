/* house_int.h - what the files of this room share: statements and how their failures are told. */
#ifndef PH_HOUSE_INT_H
#define PH_HOUSE_INT_H
#include "house.h"
#include <sqlite3.h>

#define PH_HOUSE_ACCOUNT                                                                           \
    "SELECT id, address, folder, hash, disabled, created, scram1, scram256 FROM account"

/* Every statement, prepared at first use and kept: S(name, sql). */
#define PH_HOUSE_STATEMENTS(S)                                                                     \
    S(DATA_VERSION, "PRAGMA data_version")                                                         \
    S(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    S(COMMIT, "COMMIT")                                                                            \
    S(ROLLBACK, "ROLLBACK")                                                                        \
    S(DOMAIN_ADD, "INSERT INTO domain(name, created) VALUES(?1, ?2)")                              \
    S(DOMAIN_REMOVE, "DELETE FROM domain WHERE name = ?1")                                         \
    S(DOMAIN_HAS, "SELECT 1 FROM domain WHERE name = ?1")                                          \
    S(DOMAIN_USED, "SELECT EXISTS(SELECT 1 FROM account WHERE domain = ?1) OR "                    \
                   "EXISTS(SELECT 1 FROM alias WHERE domain = ?1)")                                \
    S(DOMAINS, "SELECT name, created, (SELECT count(*) FROM account WHERE domain = d.name), "      \
               "(SELECT count(DISTINCT address) FROM alias WHERE domain = d.name) "                \
               "FROM domain d ORDER BY name")                                                      \
    S(ACCOUNT_ADD, "INSERT INTO account(address, domain, folder, hash, disabled, created, "        \
                   "scram1, scram256) VALUES(?1, ?2, ?3, ?4, 0, ?5, ?6, ?7)")                      \
    S(ACCOUNT_PASSWD, "UPDATE account SET hash = ?2, scram1 = ?3, scram256 = ?4 "                  \
                      "WHERE address = ?1")                                                        \
    S(ACCOUNT_REMOVE, "DELETE FROM account WHERE address = ?1")                                    \
    S(ACCOUNT_BURY, "INSERT INTO removed(id, folder, erase, time) "                                \
                    "SELECT id, folder, ?2, ?3 FROM account WHERE address = ?1")                   \
    S(ACCOUNT_GET, PH_HOUSE_ACCOUNT " "                                                            \
                                    "WHERE address = ?1")                                          \
    S(ACCOUNT_BY_ID, PH_HOUSE_ACCOUNT " "                                                          \
                                      "WHERE id = ?1")                                             \
    S(ACCOUNT_FIRST, PH_HOUSE_ACCOUNT " "                                                          \
                                      "ORDER BY id LIMIT 1")                                       \
    S(ACCOUNTS, PH_HOUSE_ACCOUNT " "                                                               \
                                 "ORDER BY address")                                               \
    S(SAMPLE, "SELECT value, (SELECT scram256 FROM account WHERE scram256 != '' "                  \
              "ORDER BY id DESC LIMIT 1) FROM seed")                                               \
    S(APP_ADD,                                                                                     \
      "INSERT INTO app_password(account, name, digest, scope, created, expires, used, secret) "    \
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)")                                                     \
    S(APP_REMOVE, "DELETE FROM app_password WHERE account = ?1 AND name = ?2")                     \
    S(APPS, "SELECT name, scope, created, expires, used, secret FROM app_password "                \
            "WHERE account = ?1 ORDER BY name")                                                    \
    S(APP_FIND, "SELECT name, scope, created, expires, used, secret FROM app_password "            \
                "WHERE account = ?1 AND digest = ?2")                                              \
    S(APP_USED, "UPDATE app_password SET used = ?3 WHERE account = ?1 AND name = ?2")              \
    S(FOLDER_TAKEN, "SELECT EXISTS(SELECT 1 FROM account WHERE folder = ?1) OR "                   \
                    "EXISTS(SELECT 1 FROM removed WHERE folder = ?1)")                             \
    S(REMOVED, "SELECT seq, id, folder, erase FROM removed WHERE seq > ?1 ORDER BY seq")           \
    S(QUOTA_SET, "INSERT OR REPLACE INTO quota(account, bytes, messages, seq) "                    \
                 "SELECT id, ?2, ?3, (SELECT coalesce(max(seq), 0) + 1 FROM quota) "               \
                 "FROM account WHERE address = ?1")                                                \
    S(QUOTA_GET, "SELECT seq, account, bytes, messages FROM quota WHERE account = ?1")             \
    S(QUOTAS, "SELECT seq, account, bytes, messages FROM quota WHERE seq > ?1 ORDER BY seq")       \
    S(ALIAS_ADD, "INSERT INTO alias(address, domain, target) VALUES(?1, ?2, ?3)")                  \
    S(ALIAS_REMOVE,                                                                                \
      "DELETE FROM alias WHERE address = ?1 AND (?2 = '' OR lower(target) = lower(?2))")           \
    S(ALIAS_TARGETS, "SELECT target FROM alias WHERE address = ?1 ORDER BY target")                \
    S(ALIASES, "SELECT address, target FROM alias ORDER BY domain, address, target")

enum statement {
#define ENUM(name, sql) ST_##name,
    PH_HOUSE_STATEMENTS(ENUM)
#undef ENUM
        ST_COUNT
};

struct ph_house {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *st[ST_COUNT];
    int64_t data_version; /* 0: not yet asked */
};

/* The statement, reset and ready to bind; NULL with *reterr filled. */
sqlite3_stmt *ph__house_use(struct ph_house *h, enum statement which, struct ph_error *reterr);
void ph__house_bind(sqlite3_stmt *st, int column, ph_str text);
ph_str ph__house_text(sqlite3_stmt *st, int column);
/* Runs a statement that gives no rows; resets it. Number of rows changed, or the failure. */
int ph__house_run(struct ph_house *h, sqlite3_stmt *st, struct ph_error *reterr);
/* One step: 1 a row, 0 the end (and reset), negative the failure (and reset). */
int ph__house_step(struct ph_house *h, sqlite3_stmt *st, struct ph_error *reterr);
int ph__house_fail(struct ph_house *h, int rc, struct ph_error *reterr);
int64_t ph__house_now(void); /* seconds since 1970 */
/* Steps a statement with the columns of ACCOUNT_GET: 1 and the account, 0, or the failure. */
int ph__house_account_take(struct ph_house *h, sqlite3_stmt *st, struct ph_arena *arena,
                           struct ph_house_account *ret_account, struct ph_error *reterr);

#endif
