/* send_curl HOST PORT LETTERS CONNECTIONS OCTETS: the same by libcurl, one handle (and so one kept
 * connection) a thread. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char url[300], *text;
static size_t octets;

struct work {
    pthread_t thread;
    size_t letters, at;
    int failed;
};

static size_t give(char *to, size_t size, size_t n, void *ctx)
{
    struct work *w = ctx;
    size_t most = size * n, left = octets - w->at, take = left < most ? left : most;
    memcpy(to, text + w->at, take);
    w->at += take;
    return take;
}

static void *send_all(void *ctx)
{
    struct work *w = ctx;
    CURL *c = curl_easy_init();
    struct curl_slist *to = curl_slist_append(NULL, "<b@a.test>");
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_MAIL_FROM, "<a@a.test>");
    curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(c, CURLOPT_READDATA, w);
    for (size_t i = 0; i < w->letters; i++) {
        w->at = 0;
        w->failed += curl_easy_perform(c) != CURLE_OK;
    }
    curl_slist_free_all(to);
    curl_easy_cleanup(c);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    size_t letters = strtoul(argv[3], NULL, 10), connections = strtoul(argv[4], NULL, 10);
    octets = strtoul(argv[5], NULL, 10);
    struct work *w = calloc(connections, sizeof *w);
    text = malloc(octets);
    if (!w || !text)
        return 1;
    for (size_t i = 0; i < octets; i++)
        text[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : 'x';
    snprintf(url, sizeof url, "smtp://%s:%s/", argv[1], argv[2]);
    curl_global_init(CURL_GLOBAL_ALL);
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
