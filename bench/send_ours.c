/* send_ours HOST PORT LETTERS CONNECTIONS OCTETS: letters by the library, each connection in its
 * own thread. */
#include <posthouse/send.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ph_account account;
static ph_str letter;

struct work {
    pthread_t thread;
    size_t letters;
    bool failed;
};

static void *send_all(void *ctx)
{
    struct work *w = ctx;
    struct ph_smtp_session *s;
    struct ph_trouble t = {0};
    const ph_str to = PH_STR("b@a.test");
    struct ph_smtp_letter *all = calloc(w->letters, sizeof *all);
    for (size_t i = 0; all && i < w->letters; i++)
        all[i] = (struct ph_smtp_letter){.struct_size = sizeof *all,
                                         .sender = PH_STR_INIT("a@a.test"),
                                         .recipients = &to,
                                         .count = 1,
                                         .message = letter};
    int rc = all ? ph_smtp_open(&account, &s, &t) : -1;
    if (rc == 0) {
        rc = ph_smtp_sendmany(s, all, w->letters, NULL, NULL, &t);
        ph_smtp_close(s);
    }
    w->failed = rc != (int)w->letters;
    if (w->failed)
        fprintf(stderr, "%d: %s\n", rc, t.error.text);
    free(all);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    size_t letters = strtoul(argv[3], NULL, 10), connections = strtoul(argv[4], NULL, 10),
           octets = strtoul(argv[5], NULL, 10);
    static const char head[] = "From: <a@a.test>\r\nTo: <b@a.test>\r\nSubject: bench\r\n\r\n";
    struct work *w = calloc(connections, sizeof *w);
    char *text = malloc(octets + sizeof head);
    if (!w || !text)
        return 1;
    memcpy(text, head, sizeof head - 1);
    for (size_t i = sizeof head - 1; i < octets; i++)
        text[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : 'x';
    letter = (ph_str){text, octets};
    account = (struct ph_account){.struct_size = sizeof account,
                                  .host = ph_str_c(argv[1]),
                                  .port = (unsigned)atoi(argv[2]),
                                  .tls = PH_TLS_OFF};
    int failed = 0;
    for (size_t i = 0; i < connections; i++) {
        w[i].letters = letters / connections + (i < letters % connections);
        if (pthread_create(&w[i].thread, NULL, send_all, &w[i]) != 0)
            return 1;
    }
    for (size_t i = 0; i < connections; i++) {
        pthread_join(w[i].thread, NULL);
        failed += w[i].failed;
    }
    free(text);
    free(w);
    return failed > 0;
}
