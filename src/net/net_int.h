/* net_int.h - what the files of this room share. */
#ifndef PH_NET_INT_H
#define PH_NET_INT_H
#include "deflate.h"
#include <posthouse/net.h>

/* ---- trouble.c ------------------------------------------------------------------------------- */

/* The same as ph_fail, with the stage; explains what is filled. Returns -code. rett may be NULL. */
int ph__trouble(struct ph_trouble *rett, ph_str host, enum ph_stage stage,
                const struct ph_error *e);
/* A refusal: "PEER refused WHAT: CODE ESC TEXT", with code chosen from reply and stage. reply 0:
 * POP3 or IMAP. */
struct ph__refusal {
    const struct ph_conn *conn;
    const char *what;
    enum ph_stage stage;
    int code; /* PH_E... */
    int reply;
    ph_str esc, said;
};
int ph__trouble_refused(struct ph_trouble *rett, const struct ph__refusal *r);
/* The session cannot go on: "PEER, STAGE: WHY"; why->code 0: it was closed. */
int ph__trouble_lost(struct ph_trouble *rett, const struct ph_conn *conn, enum ph_stage stage,
                     const struct ph_error *why);

/* The server's words on a login that failed, with what an OAuth challenge said before: in `buf`, or
 * as they were. */
ph_str ph__said(const struct ph_sasl_client *sasl, ph_str words, char *buf, size_t n);

/* ---- dial.c ---------------------------------------------------------------------------------- */

/* A connected socket to host:port, directly or through the proxy. ret_peer: "host [address]:port".
 * The descriptor, or negative with *ret_stage and reterr. */
struct ph__dial {
    const char *host;
    unsigned port;
    ph_str proxy;
    int64_t timeout_ms;
    void (*note)(void *ctx, const char *fmt, ...) PH_PRINTF(2, 3);
    void *ctx;
    char *peer; /* of at least sizeof(struct ph_conn_info).peer */
    bool *loopback;
};
int ph__dial(const struct ph__dial *d, enum ph_stage *ret_stage, struct ph_error *reterr);
/* Waits for PH_READ | PH_WRITE of loop.h until a time of ph_conn_now. True: something is there. */
bool ph__wait_fd(int fd, unsigned want, int64_t until);

/* proxy.c: makes fd a connection to host:port. Blocks until `until`. */
struct ph__proxy {
    bool socks; /* else HTTP CONNECT */
    char host[256], user[256], password[256];
    unsigned port;
};
int ph__proxy_parse(ph_str url, struct ph__proxy *ret_proxy, struct ph_error *reterr);
int ph__proxy_connect(const struct ph__proxy *p, int fd, const char *host, unsigned port,
                      int64_t until, struct ph_error *reterr);

/* ---- conn.c ---------------------------------------------------------------------------------- */

void ph__conn_tell(struct ph_conn *c, char who, ph_str line); /* to the transcript */
ph_str ph__conn_host(const struct ph_conn *c);

#endif
