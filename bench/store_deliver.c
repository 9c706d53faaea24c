/*
 * store_deliver - letters a second through the store's operations alone: 2 KB letters into 1, 10,
 * 100 accounts, in batches of 1, 16, 64, with a sync round every 30 ms as the store process does.
 *
 *   ninja -C build bench/store_deliver && build/bench/store_deliver [FOLDER [LETTERS]]
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const struct store_ops *const ops = &store_sqlite;
enum { BODY = 2048, SUMMARY = 700, ROUND_US = 30000 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double processor(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static struct store_account *account(struct store *s, unsigned i)
{
    char folder[32];
    struct store_account *a = NULL;
    struct ph_error e = {0};
    snprintf(folder, sizeof folder, "a%u", i);
    if (ops->account(s, i + 1, ph_str_c(folder), STORE_OPEN_CREATE, &a, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    return a;
}

static void sync_all(struct store *s, unsigned accounts)
{
    for (unsigned i = 0; i < accounts; i++) {
        struct store_sync *y;
        if (ops->mark(account(s, i), &y) == 1)
            ops->sync(y, true);
    }
}

/* Text like a letter's: words, so that it packs as letters do. */
static ph_str sample(char *text, unsigned n)
{
    static const char *const words[] = {"the ",     "letter ",  "of ",  "yesterday ",
                                        "arrived ", "without ", "its ", "attachment;\r\n",
                                        "please ",  "send "};
    size_t used = (size_t)snprintf(
        text, BODY,
        "From: a@b.test\r\nTo: c@d.test\r\nSubject: letter %u\r\nMessage-ID: <%u@b.test>\r\n\r\n",
        n, n);
    for (unsigned i = n; used < BODY - 16; i = i * 1103515245u + 12345u)
        used += (size_t)snprintf(text + used, 16, "%s", words[(i >> 16) % 10]);
    return (ph_str){text, used};
}

enum { SAMPLES = 64 };
static char texts[SAMPLES][BODY + 16];
static ph_str samples[SAMPLES];

static void run(const char *dir, unsigned accounts, unsigned batch, unsigned letters)
{
    char cmd[4200], summary[SUMMARY];
    struct store *s = NULL;
    struct ph_error e = {0};
    static uint64_t qid;
    memset(summary, 'e', sizeof summary);
    if (ops->new (&(struct store_options){.root = dir}, &s, &e) < 0)
        exit(1);
    for (unsigned i = 0; i < accounts; i++)
        account(s, i);
    double start = seconds(), cpu = processor(), round = start, synced = 0;
    for (unsigned n = 0, at = 0; n < letters; at++) {
        struct store_account *a = account(s, at % accounts);
        ops->txn(a, STORE_BEGIN, &e);
        for (unsigned i = 0; i < batch; i++, n++) {
            struct store_put p;
            struct store_letter l = {.qid = ++qid,
                                     .address = PH_STR("someone@d.test"),
                                     .mailbox = PH_STR("INBOX"),
                                     .date = 1,
                                     .message_id = PH_STR("<12345678@b.test>"),
                                     .summary = {summary, sizeof summary},
                                     .body = samples[n % SAMPLES]};
            if (ops->put(a, &l, &p, &e) < 0)
                exit(1);
        }
        if (ops->txn(a, STORE_COMMIT, &e) < 0)
            exit(1);
        if (seconds() - round > ROUND_US / 1e6) {
            round = seconds();
            sync_all(s, accounts);
            synced += seconds() - round;
            round = seconds();
        }
    }
    double took = seconds() - start, used = processor() - cpu;
    printf("%4u accounts, batches of %2u: %7.0f letters/s, %5.1f us processor a letter, %4.1f %% "
           "waiting in sync rounds\n",
           accounts, batch, letters / took, used / letters * 1e6, synced / took * 100);
    fflush(stdout);
    ops->free(s);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'/*", dir);
    if (system(cmd) != 0)
        exit(1);
}

int main(int argc, char **argv)
{
    char dir[4096] = "/tmp/store-bench-XXXXXX";
    unsigned letters = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 20000;
    if (argc > 1)
        snprintf(dir, sizeof dir, "%s/store-bench-XXXXXX", argv[1]);
    if (!mkdtemp(dir))
        return 1;
    for (unsigned i = 0; i < SAMPLES; i++)
        samples[i] = sample(texts[i], i * 7919);
    static const unsigned accounts[] = {1, 10, 100}, batches[] = {1, 16, 64};
    for (int i = 0; i < (argc > 3 ? 1 : 3); i++)
        for (int k = 0; k < 3; k++)
            run(dir, accounts[i], batches[k], letters);
    return rmdir(dir);
}
