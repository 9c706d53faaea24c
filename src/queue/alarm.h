/* alarm.h - a heap of times: what is to be looked at first. No clock. */
#ifndef PH_ALARM_H
#define PH_ALARM_H
#include <posthouse/base.h>

/* When to look at something again; a member of it. */
struct ph_alarm {
    int64_t when;
    size_t at;            /* in the heap; 0: not there */
    struct ph_dest *dest; /* whose it is: this, or */
    struct ph_site *site; /* this */
};

struct ph_alarms {
    struct ph_alarm **heap; /* from 1 */
    size_t n, cap;
};

/* Room for `n` alarms, so that `put` cannot fail; false: out of memory. */
PH_MUST_CHECK bool ph_alarms_room(struct ph_alarms *h, size_t n);
void ph_alarms_done(struct ph_alarms *h);
/* Puts it in, or changes its time. */
void ph_alarm_put(struct ph_alarms *h, struct ph_alarm *a, int64_t when);
void ph_alarm_cut(struct ph_alarms *h, struct ph_alarm *a); /* not there: nothing */
struct ph_alarm *ph_alarm_first(const struct ph_alarms *h); /* NULL: none */

#endif
