/* metrics_http.c - the page that Prometheus fetches, by libevent's HTTP server. */
#include "metrics.h"

#include "admin.h"
#include "sock.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { HEADERS_MAX = 8192, BODY_MAX = 0, TIMEOUT_S = 10 };

static void on_metrics(struct evhttp_request *req, void *ctx)
{
    struct evkeyvalq *head = evhttp_request_get_output_headers(req);
    struct evbuffer *out = evhttp_request_get_output_buffer(req);
    const char *all = metrics_text(ctx);
    if (!all || evbuffer_add(out, all, strlen(all))) {
        evhttp_send_error(req, HTTP_SERVUNAVAIL, "out of memory");
        return;
    }
    evhttp_add_header(head, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    evhttp_add_header(head, "Cache-Control", "no-store");
    evhttp_send_reply(req, HTTP_OK, "OK", NULL);
}

static void on_other(struct evhttp_request *req, void *ctx)
{
    (void)ctx;
    evhttp_send_error(req, HTTP_NOTFOUND, "only /metrics is here");
}

static void on_signal(evutil_socket_t sig, short what, void *ctx)
{
    (void)sig, (void)what;
    event_base_loopbreak(ctx);
}

static struct evhttp *open_server(struct event_base *base, struct metrics *m,
                                  const struct ph_addr *at)
{
    char ip[64];
    struct evhttp *http = evhttp_new(base);
    if (!http)
        return NULL;
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(http, HEADERS_MAX);
    evhttp_set_max_body_size(http, BODY_MAX);
    evhttp_set_timeout(http, TIMEOUT_S);
    evhttp_set_gencb(http, on_other, NULL);
    if (!evhttp_set_cb(http, "/metrics", on_metrics, m) &&
        !evhttp_bind_socket(http, ph_addr_ip(at, ip, sizeof ip), (uint16_t)ph_addr_port(at)))
        return http;
    evhttp_free(http);
    return NULL;
}

static int run(struct event_base *base, struct metrics *m, const struct ph_addr *at)
{
    char where[96];
    struct evhttp *http = open_server(base, m, at);
    struct event *end[] = {evsignal_new(base, SIGINT, on_signal, base),
                           evsignal_new(base, SIGTERM, on_signal, base)};
    int code = 0;
    ph_addr_text(at, where, sizeof where);
    if (!http)
        code = admin_fail(EX_UNAVAILABLE, "cannot listen on %s: is another program there?", where);
    for (size_t i = 0; i < 2 && !code; i++)
        if (!end[i] || event_add(end[i], NULL))
            code = admin_fail(EX_OSERR, "out of memory");
    if (!code) {
        printf("http://%s/metrics\n", where);
        fflush(stdout);
        code = event_base_dispatch(base) < 0 ? EX_OSERR : 0;
    }
    for (size_t i = 0; i < 2; i++)
        if (end[i])
            event_free(end[i]);
    if (http)
        evhttp_free(http);
    return code;
}

int metrics_serve(struct metrics *m, ph_str address)
{
    struct ph_addr at;
    struct ph_error err = {0};
    if (ph_addr_parse(address, &at, &err) < 0)
        return admin_fail(EX_USAGE, "--listen: %s", err.text);
    if (!ph_addr_is_loopback(&at))
        return admin_fail(EX_USAGE, "--listen: metrics are served on a loopback address only, such "
                                    "as 127.0.0.1:9125; let a proxy that asks who it is hand "
                                    "them on");
    signal(SIGPIPE, SIG_IGN);
    struct event_base *base = event_base_new();
    if (!base)
        return admin_fail(EX_OSERR, "out of memory");
    int code = run(base, m, &at);
    event_base_free(base);
    return code;
}
