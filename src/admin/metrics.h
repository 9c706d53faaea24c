/* metrics.h - what `status` and the spool say, in the text format of Prometheus. */
#ifndef PH_METRICS_H
#define PH_METRICS_H
#include <posthouse/base.h>

struct metrics;

/* data: borrowed for life. NULL without memory. Nothing is asked yet. */
struct metrics *metrics_new(const char *data);
struct metrics *metrics_free(struct metrics *m); /* NULL allowed; NULL */

/* The text as it is now; borrowed until the next call. Asks the server at most once a second. A
 * server that does not answer is told in it (posthouse_up 0); NULL: no memory. */
const char *metrics_text(struct metrics *m);
bool metrics_up(const struct metrics *m); /* whether the server answered the last time */

/* Serves GET /metrics on `address` ("127.0.0.1:9125", "[::1]:9125") until SIGINT or SIGTERM.
 * Returns the exit code of the program. */
PH_MUST_CHECK int metrics_serve(struct metrics *m, ph_str address);
#endif
