/*
 * posthouse/proto.h - the shape of every protocol engine: bytes and the time go in, events and
 * bytes come out. No socket, no clock, no file in it.
 */
#ifndef POSTHOUSE_PROTO_H
#define POSTHOUSE_PROTO_H
#include <posthouse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What an engine can do now. CLOSE: after `out` is empty, close. TLS: after `out` is empty, hand
 * the socket to TLS, then tell the engine. DEFLATE: the same with compression of both directions
 * (RFC 4978). */
enum {
    PH_WANT_READ = 1,
    PH_WANT_WRITE = 2,
    PH_WANT_TLS = 4,
    PH_WANT_CLOSE = 8,
    PH_WANT_DEFLATE = 16
};

#define PH_NEVER INT64_MAX /* a deadline that does not come */

/*
 * feed      bytes from the peer; the engine copies what it must keep (bounded by its limits) and
 *           takes all of them, unless its input bound is reached: the result is how many were
 *           taken, >= 0, or a negative error after which the engine is BROKEN (it may still have a
 *           farewell in out). The events found are taken with the protocol's own `next`. Slices in
 *           events are borrowed from the engine until the next call of `next` or `feed`.
 * feed_eof  the peer closed its side.
 * out/sent  bytes to send now, borrowed until the next call; how many of them were sent.
 * want      PH_WANT_ bits. Without WANT_READ, do not read (back-pressure).
 * deadline  milliseconds on the caller's monotonic clock, or PH_NEVER; tick(now) when it has come,
 *           and it is also how the engine learns the time: call it before every feed.
 */
struct ph_proto_ops {
    int64_t (*feed)(void *engine, ph_str in);
    void (*feed_eof)(void *engine);
    ph_str (*out)(const void *engine);
    void (*sent)(void *engine, size_t n);
    unsigned (*want)(const void *engine);
    int64_t (*deadline)(const void *engine);
    void (*tick)(void *engine, int64_t now_ms);
};

#ifdef __cplusplus
}
#endif
#endif
