/*
 * pump.h - drives one protocol engine over one socket in an event loop. There is one pump; every
 * session of every protocol, server and client, uses it.
 *
 *   socket readable -> feed(engine) -> handler.events -> out(engine) -> socket writable -> sent(engine)
 *
 * It reads only while the engine wants to read (back-pressure), keeps the deadline, does the TLS
 * handshake and compresses when the engine asks for it, and frees nothing that it does not own. An
 * idle connection holds no buffer: all read into one, of the thread.
 */
#ifndef PH_PUMP_H
#define PH_PUMP_H
#include <posthouse/proto.h>

struct ph_loop;
struct ph_tls_ctx;
struct ph_tls_info;
struct ph_pump;

enum {
    PH_PUMP_READ = 64 * 1024, /* one read */
    /* reads of one connection in one turn of the loop; then others come first */
    PH_PUMP_ROUNDS = 16,
    PH_PUMP_CLOSE_MS = 10000, /* for the last bytes after the engine wanted to close */
    /* for a peer that still sends when we close: a reset would destroy our last words */
    PH_PUMP_LINGER_MS = 2000,
    PH_PUMP_LINGER = 256 * 1024 /* bytes of it that are thrown away */
};

struct ph_pump_handler {
    /* The engine was fed or ticked, its output was sent, or TLS came up: take its events until it
     * says NEED. */
    void (*events)(void *ctx);
    /* The socket is gone or the engine wanted to close and all was sent. why: NULL for an orderly
     * end. Free the pump here or later; it does nothing more. */
    void (*closed)(void *ctx, const struct ph_error *why);
    /* Handshake done after WANT_TLS; tell the engine (ph_x_tls_started). Called before `events`. */
    void (*secured)(void *ctx, const struct ph_tls_info *info);
    void *ctx;
    /* Compressing after WANT_DEFLATE; tell the engine (ph_x_compressed). Called before `events`.
     * May be NULL where no engine asks. */
    void (*compressed)(void *ctx);
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
/* The engine has output or wants something else now: call after every reply made outside `events`.
 * Cheap; the work is done at the end of the turn. */
void ph_pump_kick(struct ph_pump *p);
/* False while the fd of `connecting` has not connected. */
bool ph_pump_is_connected(const struct ph_pump *p);
/* Sends what is pending (for PH_PUMP_CLOSE_MS at most), then closed(). */
void ph_pump_close(struct ph_pump *p);
/* Closes the socket at once, without closed(). Allowed in every callback. */
struct ph_pump *ph_pump_free(struct ph_pump *p);

#endif
