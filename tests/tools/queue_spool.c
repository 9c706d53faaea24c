/*
 * queue_spool - letters a second through the spool alone: put, commit, two events, done. One line a
 * group size. usage: queue_spool FOLDER [LETTERS [BYTES]]
 */
#include "queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t now_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void must(int err, struct ph_spool *s)
{
    if (err >= 0)
        return;
    fprintf(stderr, "%s: %s\n", ph_error_info(err)->name, s ? ph_spool_why(s) : "");
    exit(1);
}

static struct ph_spool_event event(uint64_t qid, int kind)
{
    return (struct ph_spool_event){.qid = qid,
                                   .time = now_us(CLOCK_REALTIME),
                                   .kind = (uint8_t)kind,
                                   .process = PH_STR("queue"),
                                   .peer = PH_STR("client.test [127.0.0.1]:4711"),
                                   .host = PH_STR("a.test"),
                                   .tls = PH_STR("TLSv1.3 TLS_AES_256_GCM_SHA384"),
                                   .rcpt = PH_STR("bob@b.test")};
}

static double run(const char *folder, int letters, int group, ph_str body, bool journey)
{
    char path[512];
    struct ph_spool *s = NULL;
    struct ph_error err = {0};
    struct ph_spool_options opt = {.journey = journey};
    snprintf(path, sizeof path, "%s/bench.sqlite", folder);
    if (ph_spool_open(path, &opt, &s, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    uint64_t *ids = calloc((size_t)group * 2, sizeof *ids);
    char summary[500];
    memset(summary, 's', sizeof summary);
    int64_t start = now_us(CLOCK_MONOTONIC);
    for (int done = 0; done < letters; done += group) {
        for (int i = 0; i < group; i++) {
            uint64_t qid = ph_spool_id(s, now_us(CLOCK_REALTIME));
            char mid[64];
            int n = snprintf(mid, sizeof mid, "<%llx.%d@a.test>",
                             (unsigned long long)(qid * 0x9e3779b97f4a7c15u), i);
            struct ph_spool_letter l = {.qid = qid,
                                        .received = now_us(CLOCK_REALTIME),
                                        .sender = PH_STR("alice@a.test"),
                                        .skip = 30,
                                        .message_id = {mid, (size_t)n},
                                        .owner = PH_STR("alice@a.test"),
                                        .size = body.n,
                                        .summary = {summary, sizeof summary}};
            struct ph_spool_rcpt r = {.target = PH_SPOOL_LOCAL,
                                      .address = PH_STR("bob@b.test"),
                                      .folder = PH_STR("bob@b.test"),
                                      .account = 7,
                                      .next_try = PH_SPOOL_FRESH};
            const struct ph_spool_event begin[] = {event(qid, 0), event(qid, 3)};
            l.events = begin;
            l.events_n = 2;
            must(ph_spool_put(s, &l, &r, 1, body), s);
            if (ids[group + i]) {
                struct ph_spool_event end = event(ids[group + i], 7);
                must(ph_spool_event(s, (ph_str){0}, (ph_str){0}, &end), s);
                must(ph_spool_done(s, ids[group + i], 0), s);
            }
            ids[group + i] = ids[i], ids[i] = qid;
        }
        must(ph_spool_commit(s), s);
        must(ph_spool_checkpoint(s, 16384), s);
    }
    double took = (double)(now_us(CLOCK_MONOTONIC) - start) / 1e6;
    ph_spool_close(s);
    unlink(path);
    free(ids);
    return letters / took;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    int letters = argc > 2 ? atoi(argv[2]) : 50000;
    size_t bytes = argc > 3 ? (size_t)atoi(argv[3]) : 2048;
    char *p = malloc(bytes);
    memset(p, 'x', bytes);
    static const int groups[] = {1, 16, 64, 256};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        int n = groups[i] == 1 ? letters / 10 : letters;
        double with = run(argv[1], n, groups[i], (ph_str){p, bytes}, true);
        double without = run(argv[1], n, groups[i], (ph_str){p, bytes}, false);
        printf("group %3d: %8.0f letters/s, %8.0f without journeys\n", groups[i], with, without);
    }
    free(p);
    return 0;
}
