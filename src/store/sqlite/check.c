/* check.c - the invariants of docs/store.md, one row each. */
#include "sqlite_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 4096, FINDING_MAX = 512, FINDINGS_EACH = 100 };

/* find: one text column per violation. fix: run once when something was found; NULL: cannot be
 * repaired for certain. */
struct rule {
    const char *find, *fix;
};

#define MESSAGES_OF                                                                                \
    "FROM message WHERE message.account=mailbox.account AND message.mailbox=mailbox.id"

static const struct rule rules[] = {
    /* 1 */
    {"SELECT 'a row of another account in ' || t FROM (SELECT 'mailbox' t, account FROM mailbox "
     "UNION ALL SELECT 'message', account"
     " FROM message UNION ALL SELECT 'email', account FROM email UNION ALL SELECT 'content', "
     "account FROM content UNION ALL"
     " SELECT 'gone', account FROM gone UNION ALL SELECT 'delivered', account FROM delivered UNION "
     "ALL SELECT 'uidl', account FROM uidl UNION ALL SELECT 'thread', account FROM thread)"
     " WHERE account <> (SELECT account FROM account)",
     NULL},
    {"SELECT 'there are ' || count(*) || ' account rows' FROM account HAVING count(*) <> 1", NULL},
    /* 3 */
    {"SELECT 'message ' || uid || ' is in mailbox ' || mailbox || ', which does not exist' FROM "
     "message m WHERE NOT EXISTS"
     " (SELECT 1 FROM mailbox b WHERE b.id=m.mailbox AND b.state=0)",
     NULL},
    {"SELECT 'mailbox ' || name || ': uidnext ' || uidnext || ' is not above all uids' FROM "
     "mailbox WHERE uidnext <= max("
     "(SELECT coalesce(max(uid), 0) " MESSAGES_OF
     "), (SELECT coalesce(max(last), 0) FROM gone WHERE gone.mailbox=mailbox.id))",
     "UPDATE mailbox SET uidnext = 1 + max(uidnext - 1, (SELECT coalesce(max(uid), 0) " MESSAGES_OF
     "),"
     " (SELECT coalesce(max(last), 0) FROM gone WHERE gone.mailbox=mailbox.id))"},
    {"SELECT 'mailbox ' || g.mailbox || ': uids ' || g.first || ' to ' || g.last || ' are gone, "
     "and there' FROM gone g WHERE EXISTS"
     " (SELECT 1 FROM message m WHERE m.account=g.account AND m.mailbox=g.mailbox AND m.uid "
     "BETWEEN g.first AND g.last)",
     NULL},
    {"SELECT 'mailbox ' || mailbox || ': gone ranges overlap at ' || first FROM (SELECT mailbox, "
     "first, last, lead(first) OVER"
     " (PARTITION BY mailbox ORDER BY first) nx FROM gone) WHERE nx <= last OR last < first",
     NULL},
    {"SELECT 'mailbox ' || mailbox || ': a UIDL of ' || uid || ', which is not there' FROM uidl u "
     "WHERE "
     "NOT EXISTS (SELECT 1 FROM message m WHERE m.account=u.account AND m.mailbox=u.mailbox AND "
     "m.uid=u.uid)",
     "DELETE FROM uidl WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.account=uidl.account AND "
     "m.mailbox=uidl.mailbox AND m.uid=uidl.uid)"},
    /* 4 */
    {"SELECT 'mailbox ' || name || ': modseq is behind' FROM mailbox WHERE modseq < max((SELECT "
     "coalesce(max(modseq), 0) " MESSAGES_OF
     "), (SELECT coalesce(max(modseq), 0) FROM gone WHERE gone.mailbox=mailbox.id))",
     "UPDATE mailbox SET modseq = max(modseq, (SELECT coalesce(max(modseq), 0) " MESSAGES_OF
     "), (SELECT coalesce(max(modseq), 0) FROM gone WHERE gone.mailbox=mailbox.id))"},
    {"SELECT 'mailbox ' || mailbox || ': born of ' || uid || ' is out of order' FROM (SELECT "
     "mailbox, uid, born, modseq,"
     " lag(born) OVER (PARTITION BY mailbox ORDER BY uid) pv FROM message) WHERE born > modseq OR "
     "pv >= born",
     NULL},
    {"SELECT 'mailbox ' || mailbox || ': modseq ' || modseq || ' is used twice' FROM (SELECT "
     "mailbox, modseq FROM message UNION ALL"
     " SELECT mailbox, modseq FROM gone) GROUP BY mailbox, modseq HAVING count(*) > 1",
     NULL},
    /* 5 */
    {"SELECT 'mailbox ' || name || ': counters are wrong' FROM mailbox WHERE messages <> (SELECT "
     "count(*) " MESSAGES_OF ") OR unseen <> (SELECT count(*) " MESSAGES_OF
     " AND flags & 1 = 0) OR deleted <> (SELECT count(*) " MESSAGES_OF
     " AND flags & 8 <> 0) OR size <> (SELECT coalesce(sum(size), 0) " MESSAGES_OF ")",
     "UPDATE mailbox SET messages = (SELECT count(*) " MESSAGES_OF
     "), unseen = (SELECT count(*) " MESSAGES_OF
     " AND flags & 1 = 0), deleted = (SELECT count(*) " MESSAGES_OF
     " AND flags & 8 <> 0), size = (SELECT coalesce(sum(message.size), 0)"
     " " MESSAGES_OF ")"},
    {"SELECT 'mailbox ' || name || ': an unseen message is below seen_below' FROM mailbox WHERE "
     "EXISTS (SELECT 1 " MESSAGES_OF " AND uid < mailbox.seen_below AND flags & 1 = 0)",
     "UPDATE mailbox SET seen_below = 1, seen_exact = 0"},
    {"SELECT 'mailbox ' || name || ': the message at seen_below is not what it should be' FROM "
     "mailbox WHERE seen_exact AND unseen > 0 AND NOT EXISTS (SELECT 1 " MESSAGES_OF
     " AND uid = mailbox.seen_below AND flags & 1 = 0)",
     "UPDATE mailbox SET seen_exact = 0"},
    /* 6 */
    {"SELECT 'mailbox ' || mailbox || ': message ' || uid || ' has lost its email ' || emailid "
     "FROM message WHERE emailid NOT IN"
     " (SELECT emailid FROM email)",
     NULL},
    {"SELECT 'email ' || e.emailid || ': ' || refs || ' references, ' || count(m.emailid) || ' "
     "messages' FROM email e LEFT JOIN message m"
     " ON m.emailid=e.emailid GROUP BY e.emailid HAVING refs <> count(m.emailid) OR refs < 1",
     "WITH n AS MATERIALIZED (SELECT emailid, count(*) c FROM message GROUP BY emailid) UPDATE "
     "email SET refs = coalesce("
     "(SELECT c FROM n WHERE n.emailid=email.emailid), 0); DELETE FROM email WHERE refs = 0"},
    /* 7 */
    {"SELECT 'email ' || emailid || ': its body is missing' FROM email WHERE form < 2 AND emailid "
     "NOT IN (SELECT emailid FROM content)",
     NULL},
    {"SELECT 'body ' || emailid || ' belongs to no email' FROM content WHERE emailid NOT IN "
     "(SELECT emailid FROM email WHERE form < 2)",
     "DELETE FROM content WHERE emailid NOT IN (SELECT emailid FROM email WHERE form < 2)"},
    {"SELECT 'email ' || emailid || ': its thread ' || thread || ' is younger' FROM email WHERE "
     "thread NOT BETWEEN 1 AND emailid",
     "UPDATE email SET thread = emailid WHERE thread NOT BETWEEN 1 AND emailid"},
    /* 8 */
    {"SELECT 'the next ids are behind' FROM account WHERE email_next <= (SELECT "
     "coalesce(max(emailid), 0) FROM email)"
     " OR mailbox_next <= (SELECT coalesce(max(id), 0) FROM mailbox) OR uidvalidity < (SELECT "
     "max(uidvalidity) FROM mailbox)",
     "UPDATE account SET email_next = max(email_next, (SELECT coalesce(max(emailid), 0) + 1 FROM "
     "email)), mailbox_next = max(mailbox_next,"
     " (SELECT coalesce(max(id), 0) + 1 FROM mailbox)), uidvalidity = max(uidvalidity, (SELECT "
     "max(uidvalidity) FROM mailbox))"},
};

struct checking {
    struct store_account *a;
    bool repair;
    bool repair_all; /* these rules are repaired together, afterwards */
    store_finding_fn *found;
    void *ctx;
    int count;
    time_t before; /* younger files may belong to a delivery under way */
};

static void report(struct checking *k, const char *text, bool fixed)
{
    k->count++;
    k->found(k->ctx, text, fixed);
}

static int check_rule(struct checking *k, const struct rule *rule)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(k->a->db, rule->find, -1, &st, NULL);
    int before = k->count;
    bool fixes = k->repair && rule->fix;
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        if (k->count - before < FINDINGS_EACH)
            report(k, (const char *)sqlite3_column_text(st, 0), fixes || k->repair_all);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    if (rc == SQLITE_DONE && fixes && k->count > before)
        rc = sqlite3_exec(k->a->db, rule->fix, NULL, NULL, NULL);
    return rc == SQLITE_OK || rc == SQLITE_DONE ? 0 : sq_error(k->a, rc);
}

static int check_integrity(struct checking *k)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(k->a->db, "PRAGMA integrity_check(100)", -1, &st, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        if (text && strcmp(text, "ok"))
            report(k, text, false);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : sq_error(k->a, rc);
}

static int check_names(struct checking *k)
{
    char text[FINDING_MAX], norm[STORE_NAME_MAX];
    struct store_account *a = k->a;
    struct mbox *inbox = mbox_find(a, PH_STR("INBOX"));
    if (!inbox || inbox->state != MBOX_LIVE) {
        struct mbox *made;
        report(k, "there is no INBOX", k->repair && !inbox);
        int r = k->repair && !inbox ? mbox_make(a, PH_STR("INBOX"), PH_STR(""), true, &made) : 0;
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < a->mb_n; i++) {
        ph_str name = {a->mb[i].name, a->mb[i].name_n};
        int n = store_name_norm(name, norm, NULL);
        if (n < 0 || !ph_str_eq(name, (ph_str){norm, (size_t)n})) {
            snprintf(text, sizeof text, "mailbox %" PRIu64 ": not a good name", a->mb[i].id);
            report(k, text, false);
        }
    }
    return 0;
}

/* Invariant 3, second half: uids that are neither there nor gone. */
static int check_uids(struct checking *k)
{
    struct store_account *a = k->a;
    char text[FINDING_MAX];
    int r = 0;
    for (size_t i = 0; r >= 0 && i < a->mb_n; i++) {
        struct mbox *m = &a->mb[i];
        struct uidset known = {0}, lost = {0};
        sqlite3_stmt *st = m->state == MBOX_LIVE ? sq_start(a, ST_UIDS, "i", (int64_t)m->id) : NULL;
        if (!st)
            continue;
        while (r >= 0 && (r = sq_step(a, st)) > 0)
            r = uidset_add(&known, (uint32_t)sqlite3_column_int64(st, 0),
                           (uint32_t)sqlite3_column_int64(st, 0));
        st = sq_start(a, ST_GONE, "i", (int64_t)m->id);
        while (st && r >= 0 && (r = sq_step(a, st)) > 0)
            r = uidset_add(&known, (uint32_t)sqlite3_column_int64(st, 0),
                           (uint32_t)sqlite3_column_int64(st, 1));
        uint32_t next = 1;
        for (size_t j = 0; r >= 0 && j <= known.n; j++) {
            uint32_t end = j < known.n ? known.v[j].from : m->uidnext;
            if (end > next)
                r = uidset_add(&lost, next, end - 1);
            if (j < known.n)
                next = known.v[j].to + 1;
        }
        if (r >= 0 && lost.n > 0) {
            snprintf(text, sizeof text,
                     "mailbox %.200s: %" PRIu64 " uids are neither there nor gone", m->name,
                     uidset_count(&lost));
            report(k, text, k->repair);
            if (k->repair)
                r = sq_remove_gone(a, m, &lost);
        }
        uidset_done(&known);
        uidset_done(&lost);
    }
    return r;
}

/* The search index: derived, so that anything wrong with it is mended by making it anew. */
static int check_index(struct checking *k)
{
    static const struct rule of_index[] = {
        {"SELECT 'text ' || emailid || ' belongs to no email' FROM text WHERE emailid NOT IN "
         "(SELECT emailid FROM email) AND emailid NOT IN (SELECT emailid FROM dropped)",
         NULL},
        {"SELECT 'email ' || emailid || ' has no text' FROM email, account WHERE emailid <= "
         "indexed "
         "AND emailid NOT IN (SELECT emailid FROM text)",
         NULL},
        {"SELECT 'text ' || emailid || ' is ahead of the index' FROM text, account WHERE emailid > "
         "indexed",
         NULL},
    };
    struct store_account *a = k->a;
    struct ids texts = {0};
    int r = 0, before = k->count;
    if (a->indexed < 0)
        return 0;
    k->repair_all = k->repair;
    for (size_t i = 0; r >= 0 && i < sizeof of_index / sizeof *of_index; i++)
        r = check_rule(k, &of_index[i]);
    sqlite3_stmt *st = r < 0 ? NULL : sq_start(a, ST_TEXT_ALL, "");
    while (st && r >= 0 && (r = sq_step(a, st)) > 0)
        r = ids_add(&texts, (uint64_t)sqlite3_column_int64(st, 0));
    for (size_t i = 0; r >= 0 && i < texts.n; i++) {
        ph_str head, body;
        r = index_text(a, texts.v[i], &head, &body);
        if (r == -PH_ECORRUPT) {
            report(k, a->err.text, k->repair);
            r = 0;
        }
    }
    k->repair_all = false;
    free(texts.v);
    if (r >= 0 && k->repair && k->count > before)
        r = index_forget(a);
    return r < 0 ? r : 0;
}

/* Every body unpacks to its size. */
static int check_bodies(struct checking *k)
{
    struct store_account *a = k->a;
    sqlite3_stmt *st;
    static const char sql[] = "SELECT e.emailid, e.form, e.size, c.data FROM email e LEFT JOIN "
                              "content c ON c.emailid=e.emailid";
    int rc = sqlite3_prepare_v2(a->db, sql, -1, &st, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        uint64_t id = (uint64_t)sqlite3_column_int64(st, 0),
                 size = (uint64_t)sqlite3_column_int64(st, 2);
        enum form form = (enum form)sqlite3_column_int(st, 1);
        ph_str bytes, data = sq_blob(st, 3);
        int fd = -1;
        int r = size <= STORE_INLINE_MAX && form <= FORM_ZSTD
                    ? body_unpack(a, form, id, data, size, &bytes)
                    : body_unpack_fd(a, form, id, data, size, &fd);
        if (fd >= 0)
            close(fd);
        if (r == -PH_ECORRUPT)
            report(k, a->err.text, false);
        else if (r < 0)
            break;
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? 0 : rc == SQLITE_ROW ? -a->err.code : sq_error(a, rc);
}

static int check_file(struct checking *k, int dir, const char *name)
{
    char *end, text[FINDING_MAX];
    uint64_t id = strtoull(name, &end, 16);
    sqlite3_stmt *st = sq_start(k->a, ST_EMAIL_FORM, "i", (int64_t)id);
    int r = st ? sq_step(k->a, st) : -k->a->err.code;
    struct stat sb;
    bool young = fstatat(dir, name, &sb, AT_SYMLINK_NOFOLLOW) < 0 || sb.st_mtime >= k->before;
    bool known = r > 0 && *end == 0 && sqlite3_column_int(st, 0) >= FORM_FILE_ZSTD;
    if (r > 0)
        sqlite3_reset(st);
    if (r < 0 || known || young)
        return r;
    snprintf(text, sizeof text, "blobs/%.100s belongs to no email", name);
    report(k, text, k->repair);
    if (k->repair)
        unlinkat(dir, name, 0);
    return 0;
}

static int check_files(struct checking *k)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/blobs", k->a->dir);
    DIR *d = opendir(path);
    int r = 0;
    for (struct dirent *e; d && r >= 0 && (e = readdir(d));)
        if (e->d_name[0] != '.')
            r = check_file(k, dirfd(d), e->d_name);
    if (d)
        closedir(d);
    return r < 0 ? r : 0;
}

int sq_check(struct store_account *a, bool repair, store_finding_fn *found, void *ctx,
             struct ph_error *reterr)
{
    struct checking k = {.a = a,
                         .repair = repair,
                         .found = found,
                         .ctx = ctx,
                         .before = (time_t)(sq_now() / 1000000) - 1};
    int r = sq_enter(a, repair);
    if (r >= 0)
        r = check_integrity(&k);
    if (r >= 0)
        r = check_names(&k);
    if (r >= 0 && repair)
        r = sq_write_back(a);
    for (size_t i = 0; r >= 0 && i < sizeof rules / sizeof *rules; i++)
        r = check_rule(&k, &rules[i]);
    if (r >= 0 && repair)
        r = sq_load(a); /* the rules wrote beside our memory */
    if (r >= 0)
        r = check_uids(&k);
    if (r >= 0)
        r = check_index(&k);
    if (r >= 0)
        r = check_bodies(&k);
    if (r >= 0)
        r = check_files(&k);
    r = sq_leave(a, r, reterr);
    return r < 0 ? r : k.count;
}
