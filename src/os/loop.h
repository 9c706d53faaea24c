/*
 * loop.h - the event loop of a process (over libevent): readiness, timers, signals, and work put
 * off to the end of the turn. Single-threaded; ph_loop_wake alone may be called from other threads.
 */
#ifndef PH_LOOP_H
#define PH_LOOP_H
#include <posthouse/base.h>

struct ph_loop;
struct ph_io;
struct ph_timer;

enum { PH_READ = 1, PH_WRITE = 2 };

struct ph_loop *ph_loop_new(void); /* NULL: out of memory or no epoll */
struct ph_loop *ph_loop_free(struct ph_loop *l);
int ph_loop_run(struct ph_loop *l); /* until ph_loop_stop; 0, or -PH_EIO */
void ph_loop_stop(struct ph_loop *l);

/* Milliseconds of the monotonic clock, read once a turn; microseconds since 1970, read at the
 * call. */
int64_t ph_loop_now(const struct ph_loop *l);
int64_t ph_wall_us(void);
int64_t ph_mono_us(void);
int64_t ph_boot_us(void); /* since the machine started, sleep included; never jumps */

/* Watches fd for PH_READ | PH_WRITE, level-triggered; the fd stays the caller's. ph_io_want changes
 * what is watched (0 is allowed). */
struct ph_io *ph_io_new(struct ph_loop *l, int fd, unsigned want,
                        void (*fn)(void *ctx, unsigned ready), void *ctx);
void ph_io_want(struct ph_io *io, unsigned want);
struct ph_io *ph_io_free(struct ph_io *io); /* safe inside its own callback */

/* One-shot timer, disarmed when made. */
struct ph_timer *ph_timer_new(struct ph_loop *l, void (*fn)(void *ctx), void *ctx);
void ph_timer_set(struct ph_timer *t, int64_t after_ms);
void ph_timer_off(struct ph_timer *t);
struct ph_timer *ph_timer_free(struct ph_timer *t);

/* Calls fn once, at the end of this turn, after all readiness callbacks; asked for while such calls
 * are made, at the end of the next turn, which then does not wait. First asked, first called. A
 * struct ph_later belongs to the caller, is zero-initialised with fn and ctx set, and may be asked
 * for again while pending (no effect). */
struct ph_later {
    void (*fn)(void *ctx);
    void *ctx;
    struct ph_later *next, **at; /* the loop's, while pending: unlinking takes constant time */
    bool pending;
};
void ph_loop_later(struct ph_loop *l, struct ph_later *later);
void ph_later_off(struct ph_loop *l, struct ph_later *later);

/* fn is called in the loop, not in the signal's context. 0 or -PH_ENOMEM. Ignored after
 * ph_loop_free. */
int ph_loop_signal(struct ph_loop *l, int signo, void (*fn)(void *ctx), void *ctx);

/* From any thread: makes the loop call `fn(ctx)` given here soon. One per loop. */
int ph_loop_on_wake(struct ph_loop *l, void (*fn)(void *ctx), void *ctx);
void ph_loop_wake(struct ph_loop *l);

#endif
