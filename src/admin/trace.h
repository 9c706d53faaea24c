/* trace.h - a journey as the verb `trace` has gathered it, and its picture. */
#ifndef PH_ADMIN_TRACE_H
#define PH_ADMIN_TRACE_H
#include <posthouse/base.h>

#include "queue.h"

enum { TRACE_EVENTS = 10000 };

struct trace_journey {
    ph_str message_id, owner;
    const struct ph_spool_event *events; /* in the order of their times */
    size_t n;                            /* 1 to TRACE_EVENTS */
};

/* Appends the journey as one self-contained SVG 1.1 document: a band for each host with a lane for
 * each of its processes, time downwards (a long wait shortened, with a mark), each step with its
 * text, colours by outcome, for light and dark. What strangers said is escaped, and characters that
 * XML or a reader's eye does not bear are replaced. Times are local. Errors stay in the buffer. */
void trace_svg(const struct trace_journey *j, struct ph_buf *out);

/* "2026-11-23 12:00:00.042" */
void trace_clock(int64_t us, char *buf, size_t n);
/* "0.042 s", "4:10 min", "3:05 h" */
void trace_span(int64_t us, char *buf, size_t n);
/* Whether the code is to be shown in front of the reply: not where the reply begins with it. */
bool trace_adds_code(const struct ph_spool_event *e);

#endif
