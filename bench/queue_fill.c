/*
 * queue_fill - a spool with letters that wait for dead destinations, as days of failed tries would
 * leave it: every recipient tried three times, the next tries spread over the next hours. For
 * bench/queue-depth; while no queue process runs.
 *
 *   usage: queue_fill FILE LETTERS DESTINATIONS
 */
#include "queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BODY = 2048, SUMMARY = 500, GROUP = 2000, LOG_PAGES = 4096, SENDERS = 1000 };
#define SPREAD_US (INT64_C(4) * 3600 * 1000000) /* the longest wait between two tries */

static void must(int err, const char *why)
{
    if (err >= 0)
        return;
    fprintf(stderr, "queue_fill: %s: %s\n", ph_error_info(err)->text, why);
    exit(1);
}

static void put(struct ph_spool *s, int number, int dests, int64_t now, ph_str body, ph_str summary)
{
    char sender[64], address[96], dest[32], mid[64];
    snprintf(sender, sizeof sender, "s%d@elsewhere.test", number % SENDERS);
    snprintf(dest, sizeof dest, "dead%d.test", number % dests);
    snprintf(address, sizeof address, "n%d@%s", number, dest);
    snprintf(mid, sizeof mid, "<%d.waits@elsewhere.test>", number);
    struct ph_spool_letter l = {.qid = ph_spool_id(s, now),
                                .received = now,
                                .sender = ph_str_c(sender),
                                .message_id = ph_str_c(mid),
                                .size = body.n,
                                .summary = summary};
    struct ph_spool_rcpt r = {.target = PH_SPOOL_REMOTE,
                              .address = ph_str_c(address),
                              .dest = ph_str_c(dest),
                              .attempts = 3,
                              .next_try = now + (int64_t)(rand() / (RAND_MAX + 1.0) * SPREAD_US),
                              .reply = PH_STR("connection refused")};
    struct ph_spool_event began = {.time = now, .process = PH_STR("queue"), .rcpt = r.address};
    l.events = &began;
    l.events_n = 1;
    must(ph_spool_put(s, &l, &r, 1, body), ph_spool_why(s));
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: queue_fill FILE LETTERS DESTINATIONS\n");
        return 64;
    }
    static char body[BODY], summary[SUMMARY];
    memset(body, 'x', sizeof body);
    memset(summary, 's', sizeof summary);
    int letters = atoi(argv[2]), dests = atoi(argv[3]);
    struct ph_spool *s = NULL;
    struct ph_error why = {0};
    struct ph_spool_options opt = {.journey = true};
    must(ph_spool_open(argv[1], &opt, &s, &why), why.text);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t now = t.tv_sec * INT64_C(1000000);
    for (int i = 0; i < letters; i++) {
        put(s, i, dests, now, (ph_str){body, BODY}, (ph_str){summary, SUMMARY});
        if (i % GROUP == GROUP - 1 || i == letters - 1) {
            must(ph_spool_commit(s), ph_spool_why(s));
            must(ph_spool_checkpoint(s, LOG_PAGES), ph_spool_why(s));
        }
    }
    must(ph_spool_checkpoint(s, 0), ph_spool_why(s));
    ph_spool_close(s);
    return 0;
}
