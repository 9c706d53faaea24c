/* alarm.c - a binary heap whose members know their place. */
#include "alarm.h"

bool ph_alarms_room(struct ph_alarms *h, size_t n)
{
    if (n + 1 <= h->cap)
        return true;
    size_t cap = 2 * (n + 1);
    struct ph_alarm **more = ph_resize(NULL, h->heap, h->cap * sizeof *more, cap * sizeof *more);
    if (!more)
        return false;
    h->heap = more;
    h->cap = cap;
    return true;
}

void ph_alarms_done(struct ph_alarms *h)
{
    ph_free(NULL, h->heap, h->cap * sizeof *h->heap);
    *h = (struct ph_alarms){0};
}

static void place(struct ph_alarms *h, size_t at, struct ph_alarm *a)
{
    h->heap[at] = a;
    a->at = at;
}

static void sift(struct ph_alarms *h, size_t at)
{
    struct ph_alarm *a = h->heap[at];
    while (at > 1 && h->heap[at / 2]->when > a->when) {
        place(h, at, h->heap[at / 2]);
        at /= 2;
    }
    for (size_t kid; (kid = at * 2) <= h->n; at = kid) {
        if (kid < h->n && h->heap[kid + 1]->when < h->heap[kid]->when)
            kid++;
        if (h->heap[kid]->when >= a->when)
            break;
        place(h, at, h->heap[kid]);
    }
    place(h, at, a);
}

void ph_alarm_put(struct ph_alarms *h, struct ph_alarm *a, int64_t when)
{
    a->when = when;
    if (!a->at)
        place(h, ++h->n, a);
    sift(h, a->at);
}

void ph_alarm_cut(struct ph_alarms *h, struct ph_alarm *a)
{
    size_t at = a->at;
    if (!at)
        return;
    struct ph_alarm *last = h->heap[h->n--];
    a->at = 0;
    if (last != a) {
        place(h, at, last);
        sift(h, at);
    }
}

struct ph_alarm *ph_alarm_first(const struct ph_alarms *h)
{
    return h->n ? h->heap[1] : NULL;
}
