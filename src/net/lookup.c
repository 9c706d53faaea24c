/* The system's ways to ask the outside: the resolver of the C library, and libcurl for https. */
#include <arpa/nameser.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <posthouse/discover.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 5000, ANSWER_MAX = 16 * 1024, REDIRECTS = 3 };

static int by_rank(const void *a, const void *b)
{
    const struct ph_srv *x = a, *y = b;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    return x->weight == y->weight ? 0 : x->weight > y->weight ? -1 : 1;
}

/* One record's data; false: it is damaged. */
static bool read_record(const ns_msg *msg, const ns_rr *rr, int type, struct ph_srv *ret)
{
    const unsigned char *d = ns_rr_rdata(*rr);
    size_t n = ns_rr_rdlen(*rr), fixed = type == ns_t_srv ? 6 : 2;
    *ret = (struct ph_srv){0};
    if (n <= fixed ||
        dn_expand(ns_msg_base(*msg), ns_msg_end(*msg), d + fixed, ret->host, sizeof ret->host) < 0)
        return false;
    ret->priority = ns_get16(d);
    ret->weight = type == ns_t_srv ? ns_get16(d + 2) : 0;
    ret->port = type == ns_t_srv ? ns_get16(d + 4) : 25;
    return true;
}

static int ask(const struct ph_lookup_system *s, const char *name, int type, struct ph_srv *rows,
               size_t max)
{
    struct __res_state state = {0};
    unsigned char *answer = malloc(ANSWER_MAX);
    size_t n = 0;
    ns_msg msg;
    if (!answer || res_ninit(&state) != 0) {
        free(answer);
        return -PH_ENOMEM;
    }
    int64_t ms = s->timeout_ms ? s->timeout_ms : TIMEOUT_MS;
    state.retrans = ms < 2000 ? 1 : (int)(ms / 2000);
    state.retry = 2;
    int len = res_nquery(&state, name, ns_c_in, type, answer, ANSWER_MAX);
    if (len > 0 && ns_initparse(answer, len, &msg) == 0)
        for (int i = 0; i < ns_msg_count(msg, ns_s_an) && n < max; i++) {
            ns_rr rr;
            if (ns_parserr(&msg, ns_s_an, i, &rr) == 0 && (int)ns_rr_type(rr) == type &&
                read_record(&msg, &rr, type, &rows[n]))
                n++;
        }
    res_nclose(&state);
    free(answer);
    qsort(rows, n, sizeof *rows, by_rank);
    return (int)n;
}

static int ask_srv(void *ctx, const char *name, struct ph_srv *rows, size_t max)
{
    return ask(ctx, name, ns_t_srv, rows, max);
}

static int ask_mx(void *ctx, const char *domain, struct ph_srv *rows, size_t max)
{
    return ask(ctx, domain, ns_t_mx, rows, max);
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct ph_buf *out = ctx;
    ph_buf_add(out, (ph_str){p, size * n});
    return ph_buf_err(out) ? 0 : size * n;
}

static int get(void *ctx, const char *url, struct ph_buf *out)
{
    const struct ph_lookup_system *s = ctx;
    CURL *c = curl_easy_init();
    if (!c)
        return -PH_ENOMEM;
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(s->timeout_ms ? s->timeout_ms : TIMEOUT_MS));
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
    CURLcode rc = curl_easy_perform(c);
    curl_easy_cleanup(c);
    return rc == CURLE_OK ? 0 : -PH_ENOENT;
}

void ph_lookup_init(struct ph_lookup *l, struct ph_lookup_system *storage)
{
    *l = (struct ph_lookup){ask_srv, ask_mx, get, storage};
}
