/*
 * The store alone, without processes: what one worker needs for the operations that IMAP asks for.
 * Prints CPU time per call.
 *
 *   store_reads [MESSAGES [WORD [TURNS]]]   only jobs with that word in their name, so many times (5)
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const struct store_ops *const ops = &store_sqlite;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void check(int r, const struct ph_error *e, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, e->text);
    exit(1);
}

static uint64_t rows;
static int count(void *ctx, const struct store_message *m)
{
    (void)ctx;
    rows += m->flags + m->summary.n + 1;
    return 0;
}

struct bench {
    struct store *s;
    struct store_account *a;
    char *root;
    struct uidset all;
    struct store_selected box;
    uint32_t n;
    struct ph_error e;
};

static void fill(struct bench *b)
{
    static char body[4000], summary[600];
    struct store_put p;
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)('a' + i * 7 % 26);
    memset(summary, 's', sizeof summary);
    check(ops->new (&(struct store_options){.root = b->root}, &b->s, &b->e), &b->e, "new");
    check(ops->account(b->s, 1, PH_STR("one"), STORE_OPEN_CREATE, &b->a, &b->e), &b->e, "account");
    double t = now();
    for (uint32_t i = 0; i < b->n; i++) {
        if (i % 256 == 0)
            check(ops->txn(b->a, STORE_BEGIN, &b->e), &b->e, "begin");
        struct store_letter l = {.mailbox = PH_STR("INBOX"),
                                 .flags = i % 32,
                                 .summary = {summary, sizeof summary},
                                 .body = {body, 1500 + i % 2000}};
        check(ops->put(b->a, &l, &p, &b->e), &b->e, "put");
        if (i % 256 == 255 || i + 1 == b->n)
            check(ops->txn(b->a, STORE_COMMIT, &b->e), &b->e, "commit");
    }
    struct store_sync *y;
    if (ops->mark(b->a, &y) > 0)
        check(ops->sync(y, true), &b->e, "sync");
    while (ops->tend(b->s, 0, INT64_MAX) > 0) /* what is read was checkpointed, as most mail is */
        ;
    printf("%-34s %9.2f us each\n", "put, 256 a transaction", (now() - t) * 1e3 / b->n);
}

static void select_all(struct bench *b)
{
    uidset_done(&b->all);
    check(ops->select(b->a, PH_STR("INBOX"), false, &b->box, &b->all, &b->e), &b->e, "select");
}

static void list_flags(struct bench *b)
{
    check(ops->list(b->a, b->box.mailbox.id, &b->all, STORE_F_FLAGS, 0, count, NULL, &b->e), &b->e,
          "list");
}

static void list_summary(struct bench *b)
{
    struct uidset ten = {0};
    check(uidset_add(&ten, 1, 10000), &b->e, "set");
    check(ops->list(b->a, b->box.mailbox.id, &ten, STORE_F_SUMMARY | STORE_F_DATES | STORE_F_SIZE,
                    0, count, NULL, &b->e),
          &b->e, "list");
    uidset_done(&ten);
}

static void bodies(struct bench *b)
{
    struct store_body body;
    for (uint32_t i = 0; i < 10000; i++)
        check(ops->body(b->a, b->box.mailbox.id, 1 + (i * 7919u) % b->n, true, &body, &b->e), &b->e,
              "body");
}

static void one_flag(struct bench *b)
{
    for (uint32_t i = 0; i < 10000; i++) {
        struct uidset one = {0}, mod = {0};
        uint64_t modseq;
        struct store_flagging f = {
            i % 2 ? STORE_FLAGS_ADD : STORE_FLAGS_DEL, STORE_FLAGGED, {0}, UINT64_MAX};
        if (i % 32 == 0)
            check(ops->txn(b->a, STORE_BEGIN, &b->e), &b->e, "begin");
        check(uidset_add(&one, 1 + (i * 7919u) % b->n, 1 + (i * 7919u) % b->n), &b->e, "set");
        check(ops->flags(b->a, b->box.mailbox.id, &one, &f, count, NULL, &mod, &modseq, &b->e),
              &b->e, "flags");
        uidset_done(&one), uidset_done(&mod);
        if (i % 32 == 31 || i == 9999)
            check(ops->txn(b->a, STORE_COMMIT, &b->e), &b->e, "commit");
    }
}

static void new_accounts(struct bench *b)
{
    for (uint64_t i = 0; i < 20; i++) {
        char folder[32];
        struct store_account *a;
        snprintf(folder, sizeof folder, "new%u", (unsigned)(i + (uint64_t)rows % 1000 * 100));
        check(ops->account(b->s, 1000 + i + rows % 1000 * 100, ph_str_c(folder), STORE_OPEN_CREATE,
                           &a, &b->e),
              &b->e, "new account");
    }
    rows += 1;
}

static const struct {
    const char *name;
    void (*run)(struct bench *b);
    double per;
    const char *unit;
} jobs[] = {
    {"select", select_all, 1, "ms"},
    {"list FLAGS of all", list_flags, 1, "ms"},
    {"list SUMMARY of 10,000", list_summary, 1, "ms"},
    {"body, random, of one", bodies, 10, "us"},
    {"flags of one, 32 a transaction", one_flag, 10, "us"},
    {"a new account", new_accounts, 20, "ms"},
};

int main(int argc, char **argv)
{
    char root[] = "/tmp/store-reads-XXXXXX", cmd[64];
    struct bench b = {.root = mkdtemp(root), .n = argc > 1 ? (uint32_t)atoi(argv[1]) : 100000};
    if (!b.root)
        return 1;
    fill(&b);
    select_all(&b);
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        double least = 1e9, wall = 1e9;
        if (argc > 2 && !strstr(jobs[i].name, argv[2]))
            continue;
        for (int turn = 0; turn < (argc > 3 ? atoi(argv[3]) : 5); turn++) {
            struct timespec w0, w1;
            clock_gettime(CLOCK_MONOTONIC, &w0);
            double t = now();
            check(ops->account(b.s, 1, PH_STR("one"), STORE_OPEN, &b.a, &b.e), &b.e, "account");
            jobs[i].run(&b);
            t = now() - t;
            clock_gettime(CLOCK_MONOTONIC, &w1);
            double w =
                (double)(w1.tv_sec - w0.tv_sec) * 1e3 + (double)(w1.tv_nsec - w0.tv_nsec) / 1e6;
            least = t < least ? t : least;
            wall = w < wall ? w : wall;
        }
        printf("%-34s %9.2f %s (%.2f on the clock)\n", jobs[i].name, least / jobs[i].per,
               jobs[i].unit, wall / jobs[i].per);
    }
    uidset_done(&b.all);
    ops->free(b.s);
    snprintf(cmd, sizeof cmd, "rm -rf %s", root);
    return system(cmd) != 0;
}
