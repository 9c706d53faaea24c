/* schema.sql.h - the tables of an account's file; docs/store.md tells what each column means. */
#ifndef PH_STORE_SCHEMA_SQL_H
#define PH_STORE_SCHEMA_SQL_H

enum { SCHEMA_VERSION = 4 };

/* What is there from version 2 on, also in a new file. */
#define SCHEMA_UIDL                                                                                \
    "CREATE TABLE uidl(account INTEGER NOT NULL, mailbox INTEGER NOT NULL, uid INTEGER NOT NULL,"  \
    " uidl TEXT NOT NULL, PRIMARY KEY(account, mailbox, uid)) WITHOUT ROWID;"

/* From version 3 on: which thread a Message-ID (its hash) belongs to. */
#define SCHEMA_THREAD                                                                              \
    "CREATE TABLE thread(account INTEGER NOT NULL, id INTEGER NOT NULL, thread INTEGER NOT NULL,"  \
    " PRIMARY KEY(account, id)) WITHOUT ROWID;"

/*
 * The search index, made by the first search; all of it can be made anew from the letters.
 * text: data NULL: could not be read; else zstd of the head (its length in `head`) and the body
 * behind it (together `size`). gram: the grams of search.c in hexadecimal, one word each; dropped:
 * letters that are gone, whose index entries are not yet.
 */
#define SCHEMA_SEARCH                                                                              \
    "CREATE TABLE text(account INTEGER NOT NULL, emailid INTEGER PRIMARY KEY, head INTEGER NOT"    \
    " NULL, size INTEGER NOT NULL, data BLOB);"                                                    \
    "CREATE TABLE dropped(account INTEGER NOT NULL, emailid INTEGER PRIMARY KEY);"                 \
    "CREATE INDEX text_unread ON text(emailid) WHERE data IS NULL;"                                \
    "CREATE VIRTUAL TABLE gram USING fts5(grams, content='', columnsize=0, detail=none,"           \
    " tokenize='ascii');"

/* upgrades[v]: from version v to v + 1; account.version is set behind them, in the same
 * transaction. */
#define SCHEMA_UPGRADES                                                                            \
    [1] = SCHEMA_UIDL "ALTER TABLE account ADD COLUMN indexed INTEGER NOT NULL DEFAULT -1;",       \
    [2] = SCHEMA_THREAD "ALTER TABLE email ADD COLUMN thread INTEGER NOT NULL DEFAULT 0;"          \
                        "UPDATE email SET thread=emailid;",                                        \
    [3] = "ALTER TABLE mailbox ADD COLUMN seen_exact INTEGER NOT NULL DEFAULT 0;"

#define SCHEMA_SQL                                                                                 \
    "CREATE TABLE mailbox(account INTEGER NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL,"      \
    " state INTEGER NOT NULL, special TEXT NOT NULL, subscribed INTEGER NOT NULL,"                 \
    " uidvalidity INTEGER NOT NULL, uidnext INTEGER NOT NULL, recent_uid INTEGER NOT NULL,"        \
    " modseq INTEGER NOT NULL, seen_below INTEGER NOT NULL, keywords TEXT NOT NULL,"               \
    " messages INTEGER NOT NULL, unseen INTEGER NOT NULL, deleted INTEGER NOT NULL,"               \
    " size INTEGER NOT NULL, seen_exact INTEGER NOT NULL DEFAULT 0,"                               \
    " PRIMARY KEY(account, id)) WITHOUT ROWID;"                                                    \
    "CREATE UNIQUE INDEX mailbox_name ON mailbox(account, name);"                                  \
    "CREATE TABLE message(account INTEGER NOT NULL, mailbox INTEGER NOT NULL, uid INTEGER NOT"     \
    " NULL, emailid INTEGER NOT NULL, flags INTEGER NOT NULL, keywords TEXT NOT NULL,"             \
    " born INTEGER NOT NULL, modseq INTEGER NOT NULL, date INTEGER NOT NULL,"                      \
    " saved INTEGER NOT NULL, size INTEGER NOT NULL,"                                              \
    " PRIMARY KEY(account, mailbox, uid)) WITHOUT ROWID;"                                          \
    "CREATE INDEX message_changed ON message(account, mailbox, modseq) WHERE modseq > born;"       \
    "CREATE TABLE email(account INTEGER NOT NULL, emailid INTEGER PRIMARY KEY,"                    \
    " refs INTEGER NOT NULL, form INTEGER NOT NULL, size INTEGER NOT NULL, qid INTEGER NOT NULL,"  \
    " message_id TEXT NOT NULL, summary BLOB NOT NULL, thread INTEGER NOT NULL DEFAULT 0);"        \
    "CREATE TABLE content(account INTEGER NOT NULL, emailid INTEGER PRIMARY KEY,"                  \
    " data BLOB NOT NULL);"                                                                        \
    "CREATE TABLE gone(account INTEGER NOT NULL, mailbox INTEGER NOT NULL, first INTEGER NOT"      \
    " NULL, last INTEGER NOT NULL, modseq INTEGER NOT NULL,"                                       \
    " PRIMARY KEY(account, mailbox, first)) WITHOUT ROWID;"                                        \
    "CREATE INDEX gone_modseq ON gone(account, mailbox, modseq);"                                  \
    "CREATE TABLE delivered(account INTEGER NOT NULL, qid INTEGER NOT NULL, address TEXT NOT"      \
    " NULL, mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, time INTEGER NOT NULL,"                \
    " PRIMARY KEY(account, qid, address)) WITHOUT ROWID;"                                          \
    "CREATE TABLE account(account INTEGER PRIMARY KEY, version INTEGER NOT NULL,"                  \
    " created INTEGER NOT NULL, uidvalidity INTEGER NOT NULL, mailbox_next INTEGER NOT NULL,"      \
    " email_next INTEGER NOT NULL, pruned INTEGER NOT NULL, indexed INTEGER NOT NULL DEFAULT "     \
    "-1);" SCHEMA_UIDL SCHEMA_THREAD

#endif
