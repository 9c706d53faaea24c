/*
 * pump.h - drives one protocol engine over one socket in an event loop. There is one pump; every
 * session of every protocol, server and client, uses it.
 *
 *   socket readable -> feed(engine) -> handler.events -> out(engine) -> socket writable -> sent(engine)
 *
 * It reads only while the engine wants to read (back-pressure), keeps the deadline, does the TLS
 * handshake when the engine asks for it, and frees nothing that it does not own.
 */
#ifndef PH_PUMP_H
#define PH_PUMP_H
#include <posthouse/proto.h>

struct ph_loop;
struct ph_tls_ctx;
struct ph_tls_info;
struct ph_pump;

struct ph_pump_handler {
    /* The engine was fed or ticked, or TLS came up: take its events until it says NEED. */
    void (*events)(void *ctx);
    /* The socket is gone or the engine wanted to close and all was sent. why: NULL for an orderly end. Free the
     * pump here or later; it does nothing more. */
    void (*closed)(void *ctx, const struct ph_error *why);
    /* Handshake done after WANT_TLS; tell the engine (ph_x_tls_started). Called before `events`. */
    void (*secured)(void *ctx, const struct ph_tls_info *info);
    void *ctx;
};

struct ph_pump_options {
    const struct ph_proto_ops *ops;
    void *engine;
    struct ph_tls_ctx *tls; /* for WANT_TLS and for tls_now; may be NULL */
    ph_str host;            /* client: name for SNI and verification */
    bool tls_now;           /* implicit TLS: handshake first (secured is called) */
    bool connecting;        /* fd comes from ph_connect and is not connected yet */
    struct ph_pump_handler handler;
};

/* Takes over fd. NULL: out of memory (fd is closed). */
struct ph_pump *ph_pump_new(struct ph_loop *l, int fd, const struct ph_pump_options *opt);
/* The engine has output or wants something else now: call after every reply made outside `events`. Cheap; the work is
 * done at the end of the turn. */
void ph_pump_kick(struct ph_pump *p);
void ph_pump_close(struct ph_pump *p); /* sends what is pending (bounded by the deadline), then closed() */
struct ph_pump *ph_pump_free(struct ph_pump *p);

#endif
